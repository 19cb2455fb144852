/*
 * Between json_schema*.c only.
 */
#ifndef POLICY_LANG_JSON_SCHEMA_INTERNAL_H
#define POLICY_LANG_JSON_SCHEMA_INTERNAL_H

#include "policy-lang/format/json_schema.h"
#include "policy-lang/format/tree_writer.h"

enum dialect {
	JSON_SCHEMA,
	STRUCTURAL
};

struct schema_maker {
	struct tree_writer w;
	enum dialect dialect;
	unsigned lists; /* that the value is in */
};

/* Appends what the fields of a map are. `alone`: the value is a map and nothing else. */
void json_schema_map(struct schema_maker *m, const struct schema *schema, bool alone);

/* Appends what its fields owe each other by one rule; `_if_map`: if it is a map. */
void json_schema_rule(
    struct schema_maker *m, const struct schema *schema, const struct schema_rule *r);
void json_schema_rule_if_map(
    struct schema_maker *m, const struct schema *schema, const struct schema_rule *r);

#endif
