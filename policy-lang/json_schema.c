/*
 * Tables to schemas. The two dialects differ: JSON Schema takes null for absent, as the
 * loader does; an API server's structural schema knows one type a value, no patterns
 * of keys, and no types inside of anyOf and its like.
 */
#include "policy-lang/json_schema.h"

#include <limits.h>

#include "policy-lang/tree_writer.h"

/* An API server must know how often a rule in CEL can run before it takes it. */
#define CRD_LIST_MAX 1000

enum dialect {
	JSON_SCHEMA,
	STRUCTURAL
};

struct maker {
	struct tree_writer w;
	enum dialect dialect;
	unsigned lists; /* that the value is in */
};

/* `alone`: the value is a map and nothing else. */
static void make_map(struct maker *m, const struct schema *schema, bool alone);

/* ---- types ---- */

static const struct {
	unsigned type;
	const char *name;
} type_names[] = {
    {TYPE_STRING, "string"},
    {TYPE_INT, "integer"},
    {TYPE_FLOAT, "number"},
    {TYPE_BOOL, "boolean"},
    {TYPE_LIST, "array"},
    {TYPE_MAP, "object"},
    {TYPE_NULL, "null"},
};

static void
make_structural_type(struct maker *m, unsigned types)
{
	types &= ~TYPE_NULL;
	if ((types & TYPE_NUMBER) != 0 && (types & TYPE_STRING) != 0) {
		tree_bool(&m->w, "x-kubernetes-int-or-string", true);
		return;
	}
	if ((types & TYPE_FLOAT) != 0)
		types &= ~TYPE_INT;
	for (size_t i = 0; i < ARRAY_LEN(type_names); i++) {
		if (types == type_names[i].type) {
			tree_string(&m->w, "type", type_names[i].name);
			return;
		}
	}
	tree_bool(&m->w, "x-kubernetes-preserve-unknown-fields", true);
}

static void
make_type(struct maker *m, unsigned types)
{
	const char *names[ARRAY_LEN(type_names)];
	size_t count = 0;

	if (m->dialect == STRUCTURAL) {
		make_structural_type(m, types);
		return;
	}
	if (types == TYPE_ANY)
		return;
	for (size_t i = 0; i < ARRAY_LEN(type_names); i++) {
		bool within = type_names[i].type == TYPE_INT && (types & TYPE_FLOAT);

		if ((types & type_names[i].type) != 0 && !within)
			names[count++] = type_names[i].name;
	}
	if (count == 1)
		tree_string(&m->w, "type", names[0]);
	else
		tree_strings(&m->w, "type", names, count);
}

/* ---- strings ---- */

static void
make_patterns(struct maker *m, const char *const *patterns)
{
	if (patterns[1] == NULL) {
		tree_string(&m->w, "pattern", patterns[0]);
		return;
	}
	tree_list(&m->w, "allOf");
	for (size_t i = 0; i < GRAMMAR_PATTERNS && patterns[i] != NULL; i++) {
		tree_map(&m->w, NULL);
		tree_string(&m->w, "pattern", patterns[i]);
		tree_close(&m->w);
	}
	tree_close(&m->w);
}

static void
make_grammar(struct maker *m, const struct grammar *g)
{
	if (g->any_of[1][0] == NULL) {
		make_patterns(m, g->any_of[0]);
	} else {
		tree_list(&m->w, "anyOf");
		for (size_t i = 0; i < GRAMMAR_ALTERNATIVES && g->any_of[i][0] != NULL;
		     i++) {
			tree_map(&m->w, NULL);
			make_patterns(m, g->any_of[i]);
			tree_close(&m->w);
		}
		tree_close(&m->w);
	}
	if (g->max_bytes != 0)
		tree_int(&m->w, "maxLength", g->max_bytes);
}

/* CEL is bounded by the lists it stands in: in more than one, it would cost too much. */
static bool
takes_cel(const struct maker *m, const struct grammar *g)
{
	return m->dialect == STRUCTURAL && g != NULL && g->cel != NULL && m->lists <= 1;
}

static void
make_cel(struct maker *m, const struct grammar *g)
{
	tree_list(&m->w, "x-kubernetes-validations");
	tree_map(&m->w, NULL);
	tree_string(&m->w, "rule", g->cel);
	tree_close(&m->w);
	tree_close(&m->w);
}

/* ---- values ---- */

static void make_value(
    struct maker *m, const char *key, const struct schema_value *value, unsigned types);

static void
make_each(struct maker *m, const struct schema_value *value, unsigned types)
{
	bool list = (types & TYPE_LIST) != 0;

	m->lists++;
	if (list) {
		if (takes_cel(m, value->each->grammar))
			tree_int(&m->w, "maxItems", CRD_LIST_MAX);
		make_value(m, "items", value->each, value->each->types);
	} else {
		if (m->dialect == JSON_SCHEMA && value->keys != NULL) {
			tree_map(&m->w, "propertyNames");
			make_grammar(m, value->keys);
			tree_close(&m->w);
		}
		make_value(m, "additionalProperties", value->each, value->each->types);
	}
	m->lists--;
}

static void
make_bounds(struct maker *m, const struct schema_value *value, unsigned types)
{
	tree_int(&m->w, "minimum", value->min);
	if ((types & TYPE_FLOAT) == 0)
		tree_int(&m->w, "maximum", value->max);
	if (value->multiple_of != 0)
		tree_int(&m->w, "multipleOf", value->multiple_of);
}

/* What the fields owe each other binds maps alone. */
static void
make_map_if_map(struct maker *m, const struct schema *schema)
{
	tree_map(&m->w, "if");
	tree_string(&m->w, "type", "object");
	tree_close(&m->w);
	tree_map(&m->w, "then");
	make_map(m, schema, true);
	tree_close(&m->w);
}

/* A map, or something else. */
static bool
is_mixed(unsigned types)
{
	return (types & TYPE_MAP) != 0 && (types & (TYPE_STRING | TYPE_LIST)) != 0;
}

/* No value of other types. A structural schema cannot say so by type: but no number is
 * at least 1 and at most 0, no list is both empty and not, and there are two truths. */
static void
make_no_others(struct maker *m, unsigned types)
{
	tree_int(&m->w, "minimum", 1);
	tree_int(&m->w, "maximum", 0);
	if ((types & TYPE_LIST) == 0) {
		tree_int(&m->w, "minItems", 1);
		tree_int(&m->w, "maxItems", 0);
	}
	if ((types & TYPE_STRING) == 0)
		tree_int(&m->w, "maxLength", 0);
	tree_map(&m->w, "not");
	tree_list(&m->w, "enum");
	tree_bool(&m->w, NULL, false);
	tree_bool(&m->w, NULL, true);
	if ((types & TYPE_STRING) == 0)
		tree_string(&m->w, NULL, "");
	tree_close(&m->w);
	tree_close(&m->w);
}

/*
 * A value of several types keeps the constraints of each, which bind that type alone. An
 * API server lets such a value's map have further fields; nothing else is looser there.
 */
static void
make_constraints(struct maker *m, const struct schema_value *value, unsigned types)
{
	bool mixed = is_mixed(types);

	if (value->names != NULL) {
		size_t count = value->name_count;

		tree_list(&m->w, "enum");
		for (size_t i = 0; i < count; i++)
			tree_string(&m->w, NULL, value->names[i]);
		if (m->dialect == JSON_SCHEMA && (types & TYPE_NULL) != 0)
			tree_null(&m->w, NULL);
		tree_close(&m->w);
	}
	if (value->grammar != NULL)
		make_grammar(m, value->grammar);
	if (takes_cel(m, value->grammar))
		make_cel(m, value->grammar);
	if (value->bounded)
		make_bounds(m, value, types);
	if (value->filled)
		tree_int(&m->w, "minItems", 1);
	if (mixed && m->dialect == STRUCTURAL)
		make_no_others(m, types);
	if (value->map != NULL && mixed && m->dialect == JSON_SCHEMA)
		make_map_if_map(m, value->map);
	else if (value->map != NULL)
		make_map(m, value->map, !mixed);
	if (value->each != NULL)
		make_each(m, value, types);
}

static void
make_value(
    struct maker *m, const char *key, const struct schema_value *value, unsigned types)
{
	tree_map(&m->w, key);
	if (value->about != NULL)
		tree_string(&m->w, "description", value->about);
	make_type(m, types);
	make_constraints(m, value, types);
	if (m->dialect == STRUCTURAL && value->each == NULL && value->map == NULL &&
	    types == TYPE_MAP)
		tree_bool(&m->w, "x-kubernetes-preserve-unknown-fields", true);
	if (m->dialect == STRUCTURAL && types == TYPE_LIST && value->each == NULL)
		base_die("a list's items are not told");
	tree_close(&m->w);
}

/* ---- what the fields of a map owe each other ---- */

/* Something of `fields` is there. */
static void
make_there(struct maker *m, const struct schema *schema, size_t field, bool filled)
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
make_set(struct maker *m, const char *key, const struct schema *schema, uint32_t fields,
    bool filled)
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
make_any(struct maker *m, const struct schema *schema, uint32_t fields, bool filled,
    bool negated)
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
make_needs(struct maker *m, const struct schema *schema, const struct schema_rule *r)
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
make_apart(struct maker *m, const struct schema *schema, const struct schema_rule *r)
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
    struct maker *m, const struct schema *schema, const struct schema_rule *r)
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
make_says(struct maker *m, const struct schema *schema, const struct schema_rule *r)
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

static void
make_rule(struct maker *m, const struct schema *schema, const struct schema_rule *r)
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
static void
make_rule_if_map(
    struct maker *m, const struct schema *schema, const struct schema_rule *r)
{
	tree_map(&m->w, NULL);
	tree_list(&m->w, "anyOf");
	make_rule(m, schema, r);
	tree_map(&m->w, NULL);
	tree_int(&m->w, "minProperties", 1);
	tree_int(&m->w, "maxProperties", 0);
	tree_close(&m->w);
	tree_close(&m->w);
	tree_close(&m->w);
}

/* ---- maps ---- */

static void
make_map(struct maker *m, const struct schema *schema, bool alone)
{
	const char *required[SCHEMA_FIELDS_MAX];
	size_t count = 0;

	tree_map(&m->w, "properties");
	for (size_t i = 0; i < schema->count; i++) {
		const struct schema_field *f = &schema->fields[i];

		if (f->types == 0)
			continue;
		if (f->required)
			required[count++] = f->name;
		make_value(m, f->name, &schema->values[i],
		    f->required ? f->types : f->types | TYPE_NULL);
	}
	tree_close(&m->w);
	if (count > 0)
		tree_strings(&m->w, "required", required, count);
	if (m->dialect == JSON_SCHEMA)
		tree_bool(&m->w, "additionalProperties", false);
	if (schema->rule_count > 0) {
		tree_list(&m->w, "allOf");
		for (size_t i = 0; i < schema->rule_count; i++) {
			if (alone)
				make_rule(m, schema, &schema->rules[i]);
			else
				make_rule_if_map(m, schema, &schema->rules[i]);
		}
		tree_close(&m->w);
	}
}

/* ---- JSON Schema ---- */

static void
make_const(struct maker *m, const char *key, const char *value)
{
	tree_map(&m->w, key);
	tree_string(&m->w, "const", value);
	tree_close(&m->w);
}

/* A file's Namespace has its path in one of two places. */
static void
make_tree_rule(struct maker *m)
{
	tree_list(&m->w, "anyOf");
	tree_map(&m->w, NULL);
	tree_map(&m->w, "properties");
	tree_map(&m->w, "metadata");
	tree_strings(&m->w, "required", (const char *const[]){"name"}, 1);
	tree_map(&m->w, "properties");
	tree_map(&m->w, "name");
	tree_string(&m->w, "pattern", "^/");
	for (int i = 0; i < 5; i++)
		tree_close(&m->w);
	tree_map(&m->w, NULL);
	tree_strings(&m->w, "required", (const char *const[]){"spec"}, 1);
	tree_map(&m->w, "properties");
	tree_map(&m->w, "spec");
	tree_string(&m->w, "type", "object");
	tree_strings(&m->w, "required", (const char *const[]){"path"}, 1);
	tree_map(&m->w, "properties");
	tree_map(&m->w, "path");
	tree_string(&m->w, "type", "string");
	for (int i = 0; i < 5; i++)
		tree_close(&m->w);
	tree_close(&m->w);
}

static void
make_kind(struct maker *m, const struct native_kind *kind)
{
	static const char *const required[] = {
	    "apiVersion", "kind", "metadata", "spec"};

	tree_string(&m->w, "description", kind->about);
	tree_string(&m->w, "type", "object");
	tree_map(&m->w, "properties");
	make_const(m, "apiVersion", NATIVE_GROUP "/" NATIVE_VERSION);
	make_const(m, "kind", kind->kind);
	tree_map(&m->w, "metadata");
	tree_string(&m->w, "type", "object");
	make_map(m, kind->meta, true);
	tree_close(&m->w);
	tree_map(&m->w, "spec");
	make_type(m, kind->spec_required ? TYPE_MAP : TYPE_MAP | TYPE_NULL);
	make_map(m, kind->spec, true);
	tree_close(&m->w);
	tree_map(&m->w, "status");
	tree_close(&m->w);
	tree_close(&m->w);
	tree_strings(&m->w, "required", required,
	    kind->spec_required ? ARRAY_LEN(required) : ARRAY_LEN(required) - 1);
	tree_bool(&m->w, "additionalProperties", false);
	if (kind->tree)
		make_tree_rule(m);
}

static void
make_choice(struct maker *m, const struct native_kind *kind)
{
	struct buf ref = {0};

	buf_printf(&ref, "#/$defs/%s", kind->kind);
	tree_map(&m->w, NULL);
	tree_map(&m->w, "if");
	tree_strings(&m->w, "required", (const char *const[]){"apiVersion", "kind"}, 2);
	tree_map(&m->w, "properties");
	make_const(m, "apiVersion", NATIVE_GROUP "/" NATIVE_VERSION);
	make_const(m, "kind", kind->kind);
	tree_close(&m->w);
	tree_close(&m->w);
	tree_map(&m->w, "then");
	tree_string(&m->w, "$ref", ref.data);
	tree_close(&m->w);
	tree_close(&m->w);
	buf_free(&ref);
}

/* A document of our group has one of our kinds; others are not ours to judge. */
static void
make_document(struct maker *m)
{
	tree_string(&m->w, "title", "A document that ringfence reads");
	tree_list(&m->w, "allOf");
	tree_map(&m->w, NULL);
	tree_map(&m->w, "if");
	tree_strings(&m->w, "required", (const char *const[]){"apiVersion"}, 1);
	tree_map(&m->w, "properties");
	make_const(m, "apiVersion", NATIVE_GROUP "/" NATIVE_VERSION);
	tree_close(&m->w);
	tree_close(&m->w);
	tree_map(&m->w, "then");
	tree_strings(&m->w, "required", (const char *const[]){"kind"}, 1);
	tree_map(&m->w, "properties");
	tree_map(&m->w, "kind");
	tree_list(&m->w, "enum");
	for (size_t i = 0; i < native_kind_count; i++)
		tree_string(&m->w, NULL, native_kinds[i].kind);
	for (int i = 0; i < 5; i++)
		tree_close(&m->w);
	for (size_t i = 0; i < native_kind_count; i++)
		make_choice(m, &native_kinds[i]);
	tree_close(&m->w);
	tree_map(&m->w, "$defs");
	for (size_t i = 0; i < native_kind_count; i++) {
		tree_map(&m->w, native_kinds[i].kind);
		make_kind(m, &native_kinds[i]);
		tree_close(&m->w);
	}
	tree_close(&m->w);
}

void
json_schema_print(struct buf *out, const struct native_kind *kind)
{
	struct maker m = {.dialect = JSON_SCHEMA};

	tree_begin(&m.w, out, TREE_JSON);
	tree_map(&m.w, NULL);
	tree_string(&m.w, "$schema", "https://json-schema.org/draft/2020-12/schema");
	if (kind != NULL)
		make_kind(&m, kind);
	else
		make_document(&m);
	tree_close(&m.w);
	tree_end(&m.w);
}

/* ---- CustomResourceDefinitions ---- */

static void
make_names(struct maker *m, const struct native_kind *kind)
{
	struct buf list = {0};

	buf_printf(&list, "%sList", kind->kind);
	tree_map(&m->w, "names");
	tree_string(&m->w, "kind", kind->kind);
	tree_string(&m->w, "listKind", list.data);
	tree_string(&m->w, "plural", kind->plural);
	tree_string(&m->w, "singular", kind->singular);
	tree_strings(&m->w, "shortNames", &kind->short_name, 1);
	tree_strings(&m->w, "categories", (const char *const[]){"ringfence"}, 1);
	tree_close(&m->w);
	buf_free(&list);
}

/* The conditions that every API has, as apimachinery's meta/v1 Condition. */
static void
make_condition_field(struct maker *m, const char *name, const char *about)
{
	tree_map(&m->w, name);
	tree_string(&m->w, "description", about);
	tree_string(&m->w, "type", "string");
}

static void
make_status(struct maker *m)
{
	static const char *const values[] = {"True", "False", "Unknown"};
	static const char *const required[] = {
	    "type", "status", "lastTransitionTime", "reason", "message"};

	tree_map(&m->w, "status");
	tree_string(&m->w, "type", "object");
	tree_map(&m->w, "properties");
	tree_map(&m->w, "conditions");
	tree_string(&m->w, "description", "What became of the document.");
	tree_string(&m->w, "type", "array");
	tree_string(&m->w, "x-kubernetes-list-type", "map");
	tree_strings(
	    &m->w, "x-kubernetes-list-map-keys", (const char *const[]){"type"}, 1);
	tree_map(&m->w, "items");
	tree_string(&m->w, "type", "object");
	tree_map(&m->w, "properties");
	make_condition_field(m, "type", "Of which condition.");
	tree_close(&m->w);
	make_condition_field(m, "status", "Whether it holds.");
	tree_strings(&m->w, "enum", values, ARRAY_LEN(values));
	tree_close(&m->w);
	make_condition_field(m, "reason", "Why, in one word.");
	tree_close(&m->w);
	make_condition_field(m, "message", "Why, for people.");
	tree_close(&m->w);
	make_condition_field(m, "lastTransitionTime", "Since when.");
	tree_string(&m->w, "format", "date-time");
	tree_close(&m->w);
	tree_map(&m->w, "observedGeneration");
	tree_string(&m->w, "description", "Of which generation this is said.");
	tree_string(&m->w, "type", "integer");
	tree_string(&m->w, "format", "int64");
	tree_close(&m->w);
	tree_close(&m->w);
	tree_strings(&m->w, "required", required, ARRAY_LEN(required));
	for (int i = 0; i < 4; i++)
		tree_close(&m->w);
}

static void
make_spec(struct maker *m, const struct native_kind *kind)
{
	tree_map(&m->w, "spec");
	tree_string(&m->w, "type", "object");
	make_map(m, kind->spec, true);
	/* There a name cannot be a path. */
	if (kind->tree)
		tree_strings(&m->w, "required", (const char *const[]){"path"}, 1);
	tree_close(&m->w);
}

static void
make_columns(struct maker *m, const struct native_kind *kind)
{
	tree_list(&m->w, "additionalPrinterColumns");
	for (size_t i = 0; i < NATIVE_COLUMNS && kind->columns[i].name != NULL; i++) {
		tree_map(&m->w, NULL);
		tree_string(&m->w, "name", kind->columns[i].name);
		tree_string(&m->w, "type", kind->columns[i].type);
		tree_string(&m->w, "jsonPath", kind->columns[i].path);
		tree_close(&m->w);
	}
	tree_map(&m->w, NULL);
	tree_string(&m->w, "name", "Age");
	tree_string(&m->w, "type", "date");
	tree_string(&m->w, "jsonPath", ".metadata.creationTimestamp");
	tree_close(&m->w);
	tree_close(&m->w);
}

static void
make_version(struct maker *m, const struct native_kind *kind)
{
	tree_list(&m->w, "versions");
	tree_map(&m->w, NULL);
	tree_string(&m->w, "name", NATIVE_VERSION);
	tree_bool(&m->w, "served", true);
	tree_bool(&m->w, "storage", true);
	tree_map(&m->w, "subresources");
	tree_map(&m->w, "status");
	tree_close(&m->w);
	tree_close(&m->w);
	make_columns(m, kind);
	tree_map(&m->w, "schema");
	tree_map(&m->w, "openAPIV3Schema");
	tree_string(&m->w, "description", kind->about);
	tree_string(&m->w, "type", "object");
	tree_map(&m->w, "properties");
	tree_map(&m->w, "apiVersion");
	tree_string(&m->w, "type", "string");
	tree_close(&m->w);
	tree_map(&m->w, "kind");
	tree_string(&m->w, "type", "string");
	tree_close(&m->w);
	tree_map(&m->w, "metadata");
	tree_string(&m->w, "type", "object");
	tree_close(&m->w);
	make_spec(m, kind);
	make_status(m);
	tree_close(&m->w);
	if (kind->spec_required || kind->tree)
		tree_strings(&m->w, "required", (const char *const[]){"spec"}, 1);
	for (int i = 0; i < 4; i++)
		tree_close(&m->w);
}

static void
print_crd(struct buf *out, const struct native_kind *kind)
{
	struct maker m = {.dialect = STRUCTURAL};
	struct buf name = {0};

	buf_printf(&name, "%s." NATIVE_GROUP, kind->plural);
	tree_begin(&m.w, out, TREE_YAML);
	tree_map(&m.w, NULL);
	tree_string(&m.w, "apiVersion", "apiextensions.k8s.io/v1");
	tree_string(&m.w, "kind", "CustomResourceDefinition");
	tree_map(&m.w, "metadata");
	tree_string(&m.w, "name", name.data);
	tree_close(&m.w);
	tree_map(&m.w, "spec");
	tree_string(&m.w, "group", NATIVE_GROUP);
	tree_string(&m.w, "scope", kind->tree ? "Cluster" : "Namespaced");
	make_names(&m, kind);
	make_version(&m, kind);
	tree_close(&m.w);
	tree_close(&m.w);
	tree_end(&m.w);
	buf_free(&name);
}

void
json_schema_print_crds(struct buf *out, const struct native_kind *kind)
{
	for (size_t i = 0; i < native_kind_count; i++) {
		if (kind != NULL && kind != &native_kinds[i])
			continue;
		if (out->len > 0)
			buf_add_cstr(out, "---\n");
		print_crd(out, &native_kinds[i]);
	}
}
