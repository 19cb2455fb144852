/*
 * Objects of an API server that are policy, or say where policy stands: their kinds, what they are
 * called here, and their documents. Pure.
 */
#ifndef AUTHN_POLICY_OBJECTS_H
#define AUTHN_POLICY_OBJECTS_H

#include <jansson.h>

#include "common/arena.h"
#include "common/str.h"

struct policy_resource {
	struct str group, resource;
	const char *version, *kind;
	bool namespaced;
	bool is_tree; /* a native Namespace */
	bool judged;  /* else it is only known */
};

MUST_CHECK size_t policy_resource_count(void);
/* `i` below the count. */
void policy_resource_get(size_t i, struct policy_resource *out_kind);
/* One that is judged; false: there is none of that name. */
MUST_CHECK bool policy_resource_find(
    struct str group, struct str resource, struct policy_resource *out_kind);

/* "Policy shop-prod/web": names the object, also as a source; in the arena. "" without a name. */
MUST_CHECK struct str policy_object_name(
    struct arena *arena, const struct policy_resource *kind, const json_t *object);
/* The document that the object is, as JSON without what servers add to it; in the arena. Of
 * metadata: name, namespace, labels. */
MUST_CHECK struct str policy_object_text(
    struct arena *arena, const struct policy_resource *kind, const json_t *object);

#endif
