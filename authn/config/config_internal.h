/*
 * What the files that read gate.yaml share: the reader, and small steps of it. Private to
 * config*.c.
 */
#ifndef AUTHN_CONFIG_INTERNAL_H
#define AUTHN_CONFIG_INTERNAL_H

#include <string.h>

#include "authn/config/config.h"
#include "common/clock.h"
#include "common/doc.h"
#include "policy-lang/load/schema.h"
#include "policy-lang/model/config_file.h"

#define CODE_VALUE "config-value"
#define HTTPS      "https://"

struct config_listener;

struct reader {
	struct arena *arena;
	struct diag_list *diags;
	struct config_file file;
	struct gate_config *config;
	const struct doc_node *client_users; /* of tls; NULL: not said */
	struct config_listener *listeners; /* the addresses so far (config_listen.c) */
};

/* Fields that are wrong have been reported and are NULL; reading goes on. */
static inline void
read_fields(struct reader *r, const struct schema *schema, const struct doc_node *n,
    const struct doc_node **out_values)
{
	bool ok = schema_read(r->diags, schema, n, out_values);

	(void)ok;
}

static inline const char *
node_path(struct reader *r, const struct doc_node *n)
{
	return config_file_path(r->arena, &r->file, n, CODE_VALUE, r->diags);
}

static inline void
optional_path(struct reader *r, const struct doc_node *n, const char **out)
{
	if (n != NULL)
		*out = node_path(r, n);
}

static inline bool
read_string_list(struct reader *r, const struct doc_node *list, const char *what,
    const struct str **out, size_t *out_count)
{
	struct str *all = ARENA_ARRAY(r->arena, list->count, struct str);

	for (uint32_t i = 0; i < list->count; i++) {
		if (!schema_type(r->diags, list->u.items[i], what, TYPE_STRING))
			return false;
		all[i] = list->u.items[i]->text;
	}
	*out = all;
	*out_count = list->count;
	return true;
}

static inline struct str
text_or(const struct doc_node *n, struct str other)
{
	return n != NULL ? n->text : other;
}

static inline bool
read_bool(const struct doc_node *n)
{
	return n != NULL && n->u.boolean;
}

static inline void
read_duration(struct reader *r, const struct doc_node *n, uint64_t *out_s)
{
	if (!duration_parse(n->text, out_s))
		diag_error(r->diags, CODE_VALUE, n->loc,
		    "\"%.*s\" is no duration: write 12h, 90m or 1h30m",
		    STR_ARG(n->text));
}

/* What follows "https://": HOST or HOST:PORT, with the port of HTTPS when there is none; port 0
 * is none. */
MUST_CHECK bool config_authority(
    struct str text, struct str *out_host, uint16_t *out_port);

/* "listen"; and one address, which no other may be. */
void config_read_listens(struct reader *r, const struct doc_node *list);
void config_read_listen(
    struct reader *r, const struct doc_node *n, struct gate_listen *out);
/* "control"; NULL: the default. */
void config_read_control(struct reader *r, const struct doc_node *n);
/* "ldap". */
void config_read_ldap(struct reader *r, const struct doc_node *n);
/* "state". */
void config_read_state(struct reader *r, const struct doc_node *n);

#endif
