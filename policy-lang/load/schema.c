#include "policy-lang/load/schema.h"

#include <string.h>

#include "policy-lang/model/codes.h"
#include "policy-lang/model/nearest.h"

/* Fields that are told where one is unknown: what fits a line or two. */
#define FIELDS_LISTED 12

static const struct {
	unsigned type;
	const char *name;
} type_names[] = {
    {TYPE_STRING, "a string"},
    {TYPE_INT, "an integer"},
    {TYPE_FLOAT, "a number"},
    {TYPE_BOOL, "true or false"},
    {TYPE_LIST, "a list"},
    {TYPE_MAP, "a map"},
};

bool
schema_wrong_type(struct diag_list *diags, const struct doc_node *node,
    const char *what, unsigned types, const char *advice)
{
	struct buf expected = {0};
	struct diag *d;

	for (size_t i = 0; i < ARRAY_LEN(type_names); i++) {
		if ((types & type_names[i].type) == 0 ||
		    (type_names[i].type == TYPE_INT && (types & TYPE_FLOAT) != 0))
			continue;
		if (expected.len != 0)
			buf_add_cstr(&expected, " or ");
		buf_add_cstr(&expected, type_names[i].name);
	}
	d = diag_say(diags, CODE_WRONG_TYPE, node->loc, "%s must be %s, not %s", what,
	    buf_str(&expected).ptr, doc_kind_name(node->kind));
	if (advice != NULL)
		diag_hint(diags, d, "%s", advice);
	else if ((types & TYPE_STRING) != 0 && node->text.len != 0 &&
		 node->text.len < 80 &&
		 (node->kind == DOC_INT || node->kind == DOC_FLOAT ||
		     node->kind == DOC_BOOL))
		diag_hint(diags, d, "write \"%.*s\"", STR_ARG(node->text));
	else if (types == TYPE_LIST)
		diag_hint(diags, d,
		    "one item is written [ ... ], or on a line that begins with \"- "
		    "\"");
	buf_free(&expected);
	return false;
}

bool
schema_type(struct diag_list *diags, const struct doc_node *node, const char *what,
    unsigned types)
{
	if ((types & (1u << node->kind)) != 0)
		return true;
	return schema_wrong_type(diags, node, what, types, NULL);
}

static const struct schema_field *
find_field(const struct schema *schema, struct str name)
{
	for (size_t i = 0; i < schema->count; i++) {
		if (str_is(name, schema->fields[i].name))
			return &schema->fields[i];
	}
	return NULL;
}

/* "a, b and c"; of very many the first ones. */
static void
hint_fields(
    struct diag_list *diags, struct diag *d, const char *const *names, size_t count)
{
	struct buf text = {0};

	for (size_t i = 0; i < count && i < FIELDS_LISTED; i++) {
		buf_add_cstr(&text, i == 0 ? "" : i + 1 == count ? " and " : ", ");
		buf_add_cstr(&text, names[i]);
	}
	if (count > FIELDS_LISTED)
		buf_add_cstr(&text, ", ...");
	if (count != 0)
		diag_hint(diags, d, "it has %.*s", STR_ARG(buf_str(&text)));
	buf_free(&text);
}

/* Returns the name of the field that was probably meant, or NULL. */
static const char *
report_unknown(struct diag_list *diags, const struct schema *schema,
    const struct doc_node *key, const struct schema_field *elsewhere)
{
	const char *names[SCHEMA_FIELDS_MAX];
	const char *nearest;
	size_t count = 0;
	struct diag *d;

	for (size_t i = 0; i < schema->count; i++) {
		if (schema->fields[i].types != 0)
			names[count++] = schema->fields[i].name;
	}
	d = diag_say(diags, CODE_UNKNOWN_FIELD, key->loc, "%s has no field \"%.*s\"",
	    schema->what, STR_ARG(key->text));
	if (elsewhere != NULL) {
		diag_hint(diags, d, "%s", elsewhere->advice);
		return NULL;
	}
	nearest = nearest_of(key->text, names, count);
	if (nearest != NULL)
		diag_hint(diags, d, "did you mean \"%s\"?", nearest);
	else if (schema->advice != NULL)
		diag_hint(diags, d, "%s", schema->advice);
	else
		hint_fields(diags, d, names, count);
	return nearest;
}

/* *out_meant is set to the field that a misspelt key probably meant. */
static bool
read_entry(struct diag_list *diags, const struct schema *schema,
    const struct doc_entry *entry, const struct doc_node **out_values,
    const char **out_meant)
{
	const struct schema_field *field = find_field(schema, entry->key->text);
	const char *what;

	if (field == NULL && schema->open)
		return true;
	if (field == NULL || field->types == 0) {
		*out_meant = report_unknown(diags, schema, entry->key, field);
		return false;
	}
	if (entry->value->kind == DOC_NULL)
		return true;
	if ((field->types & (1u << entry->value->kind)) == 0) {
		what = arena_printf(diags->arena, "\"%s\"", field->name);
		return schema_wrong_type(
		    diags, entry->value, what, field->types, field->advice);
	}
	out_values[field - schema->fields] = entry->value;
	return true;
}

/* Reports a required field that is absent or null. One that is there but wrong has been
 * reported already, and so has a misspelling of it. */
static void
report_missing(struct diag_list *diags, const struct schema *schema,
    const struct doc_node *map, const char *name, const char *meant)
{
	const struct doc_node *value = doc_get(map, name);

	if ((value != NULL && value->kind != DOC_NULL) ||
	    (meant != NULL && strcmp(meant, name) == 0))
		return;
	diag_say(diags, CODE_MISSING_FIELD, value != NULL ? value->loc : map->loc,
	    "%s needs \"%s\"", schema->what, name);
}

bool
schema_read(struct diag_list *diags, const struct schema *schema,
    const struct doc_node *map, const struct doc_node **out_values)
{
	const char *meant = NULL;
	bool ok = true;

	for (size_t i = 0; i < schema->count; i++)
		out_values[i] = NULL;
	if (map->kind != DOC_MAP)
		return schema_wrong_type(diags, map, schema->what, TYPE_MAP, NULL);
	for (uint32_t i = 0; i < map->count; i++)
		ok &= read_entry(diags, schema, &map->u.entries[i], out_values, &meant);
	for (size_t i = 0; i < schema->count; i++) {
		if (!schema->fields[i].required || out_values[i] != NULL)
			continue;
		report_missing(diags, schema, map, schema->fields[i].name, meant);
		ok = false;
	}
	return ok;
}

bool
schema_enum(struct diag_list *diags, const struct doc_node *node, const char *what,
    const char *const *names, size_t count, size_t *out_index)
{
	struct buf legal = {0};
	const char *nearest;
	struct diag *d;

	for (size_t i = 0; i < count; i++) {
		if (str_is(node->text, names[i])) {
			buf_free(&legal);
			*out_index = i;
			return true;
		}
		buf_add_cstr(&legal, i == 0 ? "" : i + 1 == count ? " or " : ", ");
		buf_add_cstr(&legal, names[i]);
	}
	d = diag_say(diags, CODE_BAD_VALUE, node->loc, "%s must be %s, not \"%.*s\"",
	    what, buf_str(&legal).ptr, STR_ARG(node->text));
	nearest = nearest_of(node->text, names, count);
	if (nearest != NULL)
		diag_hint(diags, d, "did you mean \"%s\"?", nearest);
	buf_free(&legal);
	return false;
}

bool
schema_int(struct diag_list *diags, const struct doc_node *node, const char *what,
    int64_t min, int64_t max, int64_t *out_value)
{
	if (node->u.integer < min || node->u.integer > max) {
		diag_say(diags, CODE_BAD_VALUE, node->loc,
		    "%s must be between %lld and %lld, not %lld", what, (long long)min,
		    (long long)max, (long long)node->u.integer);
		return false;
	}
	*out_value = node->u.integer;
	return true;
}
