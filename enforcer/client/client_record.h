/*
 * Members of records of flows, and of rules, as the daemon tells them.
 */
#ifndef ENFORCER_CLIENT_RECORD_H
#define ENFORCER_CLIENT_RECORD_H

#include <jansson.h>
#include <string.h>

#include "common/str.h"

/* "" if there is none, or it is no text. */
MUST_CHECK static inline const char *
record_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}

/* Appends "/acme/shop/db", of its place in the tree and its name. */
static inline void
record_add_path(struct buf *out, const char *space, const char *name)
{
	buf_printf(out, "%s%s%s", space, strcmp(space, "/") == 0 ? "" : "/", name);
}

#endif
