/*
 * What the fields of a map owe each other, as schemas. A field that is null is not there,
 * where null is known.
 */
#include "policy-lang/format/json_schema_internal.h"

#include <limits.h>

/* Something of `fields` is there. */
static void
make_there(
    struct schema_maker *m, const struct schema *schema, size_t field, bool filled)
{
	const struct schema_field *f = &schema->fields[field];
	bool list = filled && f->types == TYPE_LIST;

	tree_map(&m->w, NULL);
	tree_strings(&m->w, "required", &f->name, 1);
	if (list || m->dialect == JSON_SCHEMA) {
		tree_map(&m->w, "properties");
		tree_map(&m->w, f->name);
		if (list)
			tree_int(&m->w, "minItems", 1);
		if (m->dialect == JSON_SCHEMA) {
			tree_map(&m->w, "not");
			tree_string(&m->w, "type", "null");
			tree_close(&m->w);
		}
		tree_close(&m->w);
		tree_close(&m->w);
	}
	tree_close(&m->w);
}

static void
make_set(struct schema_maker *m, const char *key, const struct schema *schema,
    uint32_t fields, bool filled)
{
	tree_list(&m->w, key);
	for (size_t i = 0; i < schema->count; i++) {
		if ((fields & SCHEMA_BIT(i)) != 0)
			make_there(m, schema, i, filled);
	}
	tree_close(&m->w);
}

/* { not: { anyOf: [what is there] } }, or without the `not`. */
static void
make_any(struct schema_maker *m, const struct schema *schema, uint32_t fields,
    bool filled, bool negated)
{
	tree_map(&m->w, NULL);
	if (negated)
		tree_map(&m->w, "not");
	make_set(m, "anyOf", schema, fields, filled);
	if (negated)
		tree_close(&m->w);
	tree_close(&m->w);
}

static void
make_needs(
    struct schema_maker *m, const struct schema *schema, const struct schema_rule *r)
{
	for (size_t i = 0; i < schema->count; i++) {
		if ((r->b & SCHEMA_BIT(i)) == 0)
			continue;
		tree_map(&m->w, NULL);
		tree_list(&m->w, "anyOf");
		make_any(m, schema, r->a, r->filled, true);
		make_there(m, schema, i, r->filled);
		tree_close(&m->w);
		tree_close(&m->w);
	}
}

static void
make_apart(
    struct schema_maker *m, const struct schema *schema, const struct schema_rule *r)
{
	tree_map(&m->w, NULL);
	tree_list(&m->w, "anyOf");
	make_any(m, schema, r->a, r->filled, true);
	make_any(m, schema, r->b, r->filled, true);
	tree_close(&m->w);
	tree_close(&m->w);
}

/* Of some family: nothing that is not of it, and something that is. */
static void
make_one_family(
    struct schema_maker *m, const struct schema *schema, const struct schema_rule *r)
{
	uint32_t all = 0;

	for (size_t i = 0; i < r->family_count; i++)
		all |= SCHEMA_BIT(i);
	tree_map(&m->w, NULL);
	tree_list(&m->w, "anyOf");
	for (unsigned family = 0; family < CHAR_BIT; family++) {
		uint32_t fields = 0;

		for (size_t i = 0; i < r->family_count; i++)
			fields |=
			    (r->families[i] & 1u << family) != 0 ? SCHEMA_BIT(i) : 0;
		if (fields == 0)
			continue;
		tree_map(&m->w, NULL);
		tree_list(&m->w, "allOf");
		make_any(m, schema, fields, r->filled, false);
		make_any(m, schema, all & ~fields, r->filled, true);
		tree_close(&m->w);
		tree_close(&m->w);
	}
	tree_close(&m->w);
	tree_close(&m->w);
}

static size_t
first_field(uint32_t fields)
{
	size_t i = 0;

	while ((fields & SCHEMA_BIT(i)) == 0)
		i++;
	return i;
}

static void
make_says(
    struct schema_maker *m, const struct schema *schema, const struct schema_rule *r)
{
	size_t says = first_field(r->a), owed = first_field(r->b);

	for (int named = 0; named < 2; named++) {
		tree_map(&m->w, NULL);
		tree_list(&m->w, "anyOf");
		tree_map(&m->w, NULL);
		if (!named) {
			tree_map(&m->w, "not");
		}
		tree_map(&m->w, "properties");
		tree_map(&m->w, schema->fields[says].name);
		tree_strings(&m->w, "enum", r->names, r->name_count);
		tree_close(&m->w);
		tree_close(&m->w);
		if (!named)
			tree_close(&m->w);
		tree_close(&m->w);
		if (named)
			make_any(m, schema, SCHEMA_BIT(owed), r->filled, true);
		else
			make_there(m, schema, owed, r->filled);
		tree_close(&m->w);
		tree_close(&m->w);
	}
}

void
json_schema_rule(
    struct schema_maker *m, const struct schema *schema, const struct schema_rule *r)
{
	switch (r->kind) {
	case SCHEMA_SOME:
		make_any(m, schema, r->a, r->filled, false);
		break;
	case SCHEMA_NONE:
		make_any(m, schema, r->a, r->filled, true);
		break;
	case SCHEMA_APART:
		make_apart(m, schema, r);
		break;
	case SCHEMA_NEEDS:
		make_needs(m, schema, r);
		break;
	case SCHEMA_ONE_FAMILY:
		make_one_family(m, schema, r);
		break;
	case SCHEMA_SAYS:
		make_says(m, schema, r);
		break;
	}
}

/* The rule, or what is no map: none has at least one field and at most none. */
void
json_schema_rule_if_map(
    struct schema_maker *m, const struct schema *schema, const struct schema_rule *r)
{
	tree_map(&m->w, NULL);
	tree_list(&m->w, "anyOf");
	json_schema_rule(m, schema, r);
	tree_map(&m->w, NULL);
	tree_int(&m->w, "minProperties", 1);
	tree_int(&m->w, "maxProperties", 0);
	tree_close(&m->w);
	tree_close(&m->w);
	tree_close(&m->w);
}
