/*
 * Tables to schemas. The two dialects differ: JSON Schema takes null for absent, as the
 * loader does; an API server's structural schema knows one type a value, no patterns
 * of keys, and no types inside of anyOf and its like.
 */
#include "policy-lang/format/json_schema_internal.h"

/* An API server must know how often a rule in CEL can run before it takes it: at most ten
 * million steps for all values that one rule can be asked of. */
#define CRD_LIST_MAX       10000 /* a list by itself */
#define CRD_INNER_LIST_MAX 250   /* rules, and lists in them */
#define CRD_CEL_LISTS      2 /* deeper, no bound that people could live with would do */

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
make_structural_type(struct schema_maker *m, unsigned types)
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
make_type(struct schema_maker *m, unsigned types)
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
make_patterns(struct schema_maker *m, const char *const *patterns)
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
make_grammar(struct schema_maker *m, const struct grammar *g)
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

static bool
takes_cel(const struct schema_maker *m, const struct grammar *g)
{
	return m->dialect == STRUCTURAL && g != NULL && g->cel != NULL &&
	       m->lists <= CRD_CEL_LISTS;
}

static void
make_cel(struct schema_maker *m, const struct grammar *g)
{
	tree_list(&m->w, "x-kubernetes-validations");
	tree_map(&m->w, NULL);
	tree_string(&m->w, "rule", g->cel);
	tree_string(&m->w, "message", g->cel_message);
	tree_close(&m->w);
	tree_close(&m->w);
}

/* ---- values ---- */

static void make_value(struct schema_maker *m, const char *key,
    const struct schema_value *value, unsigned types);

/* Of lists that rules in CEL can be asked below. */
static void
make_most_items(struct schema_maker *m, const struct schema_value *each)
{
	if (m->dialect != STRUCTURAL || m->lists >= CRD_CEL_LISTS)
		return;
	tree_int(&m->w, "maxItems",
	    m->lists == 0 && each->map == NULL ? CRD_LIST_MAX : CRD_INNER_LIST_MAX);
}

static void
make_each(struct schema_maker *m, const struct schema_value *value, unsigned types)
{
	bool list = (types & TYPE_LIST) != 0;

	if (list && value->most != 0)
		tree_int(&m->w, "maxItems", value->most);
	else if (list)
		make_most_items(m, value->each);
	m->lists++;
	if (list) {
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
make_bounds(struct schema_maker *m, const struct schema_value *value, unsigned types)
{
	tree_int(&m->w, "minimum", value->min);
	if ((types & TYPE_FLOAT) == 0)
		tree_int(&m->w, "maximum", value->max);
	if (value->multiple_of != 0)
		tree_int(&m->w, "multipleOf", value->multiple_of);
}

/* What the fields owe each other binds maps alone. */
static void
make_map_if_map(struct schema_maker *m, const struct schema *schema)
{
	tree_map(&m->w, "if");
	tree_string(&m->w, "type", "object");
	tree_close(&m->w);
	tree_map(&m->w, "then");
	json_schema_map(m, schema, true);
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
make_no_others(struct schema_maker *m, unsigned types)
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
make_constraints(
    struct schema_maker *m, const struct schema_value *value, unsigned types)
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
		json_schema_map(m, value->map, !mixed);
	if (value->each != NULL)
		make_each(m, value, types);
}

static void
make_value(struct schema_maker *m, const char *key, const struct schema_value *value,
    unsigned types)
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

/* ---- maps ---- */

void
json_schema_map(struct schema_maker *m, const struct schema *schema, bool alone)
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
				json_schema_rule(m, schema, &schema->rules[i]);
			else
				json_schema_rule_if_map(m, schema, &schema->rules[i]);
		}
		tree_close(&m->w);
	}
}

/* ---- JSON Schema ---- */

static void
make_const(struct schema_maker *m, const char *key, const char *value)
{
	tree_map(&m->w, key);
	tree_string(&m->w, "const", value);
	tree_close(&m->w);
}

/* A file's Namespace has its path in one of two places. */
static void
make_tree_rule(struct schema_maker *m)
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
make_kind(struct schema_maker *m, const struct native_kind *kind)
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
	json_schema_map(m, kind->meta, true);
	tree_close(&m->w);
	tree_map(&m->w, "spec");
	make_type(m, kind->spec_required ? TYPE_MAP : TYPE_MAP | TYPE_NULL);
	json_schema_map(m, kind->spec, true);
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
make_choice(struct schema_maker *m, const struct native_kind *kind)
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
make_document(struct schema_maker *m)
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
	struct schema_maker m = {.dialect = JSON_SCHEMA};

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
