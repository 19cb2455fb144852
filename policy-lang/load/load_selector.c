/*
 * Labels and label selectors, in one normal form: sorted, without duplicates.
 */
#include <stdlib.h>
#include <string.h>

#include "policy-lang/load/load_internal.h"

static int
compare_labels(const void *a, const void *b)
{
	const struct label *x = a, *y = b;

	return str_cmp(x->key, y->key);
}

static int
compare_strs(const void *a, const void *b)
{
	const struct str *x = a, *y = b;

	return str_cmp(*x, *y);
}

static bool
check_label_key(struct loader *l, const struct doc_node *key, enum api_style style)
{
	if (name_is_qualified(key->text))
		return true;
	if (style == API_CRD) {
		diag_say(l->diags, CODE_DEAD_LABEL, key->loc,
		    "no object can have a label with the key \"%.*s\"",
		    STR_ARG(key->text));
		return true;
	}
	diag_say(l->diags, CODE_BAD_LABEL, key->loc,
	    "the label key \"%.*s\" must be %s", STR_ARG(key->text),
	    NAME_QUALIFIED_RULE);
	return false;
}

static bool
check_label_value(struct loader *l, const struct doc_node *value, enum api_style style)
{
	if (name_is_label_value(value->text))
		return true;
	if (style == API_CRD) {
		diag_say(l->diags, CODE_DEAD_LABEL, value->loc,
		    "no label can have the value \"%.*s\"", STR_ARG(value->text));
		return true;
	}
	diag_say(l->diags, CODE_BAD_LABEL, value->loc, "a label's value must be %s",
	    NAME_LABEL_VALUE_RULE);
	return false;
}

/* One label of a map. *out_absent: a null that counts as no label at all. */
static bool
read_label(struct loader *l, const struct doc_entry *entry, enum api_style style,
    struct label *out, bool *out_absent)
{
	bool ok = true;

	*out_absent = entry->value->kind == DOC_NULL && style != API_CORE;
	if (*out_absent) /* which a CRD's server takes away, unread */
		return style == API_CRD || check_label_key(l, entry->key, style);
	ok &= check_label_key(l, entry->key, style);
	if (entry->value->kind == DOC_NULL) {
		*out = (struct label){load_text(l, entry->key->text), STR("")};
		return ok;
	}
	if (!schema_type(l->diags, entry->value, "a label's value", TYPE_STRING))
		return false;
	ok &= check_label_value(l, entry->value, style);
	*out = (struct label){
	    load_text(l, entry->key->text), load_text(l, entry->value->text)};
	return ok;
}

/* As an API server writes them. */
static bool
labels_sorted(const struct label *items, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		if (compare_labels(&items[i - 1], &items[i]) > 0)
			return false;
	}
	return true;
}

static bool
are_written(const struct load_seen_labels *seen, const struct doc_node *map)
{
	if (seen->labels.count != map->count)
		return false;
	for (uint32_t i = 0; i < map->count; i++) {
		const struct doc_entry *e = &map->u.entries[i];
		const struct label *label = &seen->labels.items[seen->order[i]];

		if (e->value->kind != DOC_STRING ||
		    !str_eq(e->value->text, label->value) ||
		    !str_eq(e->key->text, label->key))
			return false;
	}
	return true;
}

/* Where such labels are remembered. The values tell templates apart, the keys hardly. */
static struct load_seen_labels *
seen_labels(struct loader *l, const struct doc_node *map)
{
	uint64_t hash = 0;

	for (uint32_t i = 0; i < map->count; i++)
		hash = hash * 31 + map_cache_hash(map->u.entries[i].value->text);
	return &l->recent.labels[load_recent_place(&l->recent, hash)];
}

/* `written` are the labels in the order of their document; none was wrong. */
static void
remember_labels(
    struct load_seen_labels *seen, struct label_set labels, const struct label *written)
{
	if (labels.count > LOAD_SEEN_LABELS_MAX)
		return;
	seen->labels = labels;
	for (size_t i = 0; i < labels.count; i++) {
		size_t at = 0;

		while (labels.items[at].key.ptr != written[i].key.ptr)
			at++; /* of one key there is one text */
		seen->order[i] = (uint8_t)at;
	}
}

/* Reads a map of labels into `items`, in its order. */
static bool
read_labels(struct loader *l, const struct doc_node *map, struct label *items,
    size_t *out_count)
{
	bool ok = true;

	*out_count = 0;
	for (uint32_t i = 0; i < map->count; i++) {
		bool absent;

		if (!read_label(
			l, &map->u.entries[i], API_CORE, &items[*out_count], &absent))
			ok = false;
		else
			++*out_count;
	}
	return ok;
}

bool
load_labels(struct loader *l, const struct doc_node *map, struct label_set *out)
{
	struct load_seen_labels *seen = seen_labels(l, map);
	struct arena_mark mark = arena_mark(l->scratch);
	struct label *written, *sorted;
	size_t count;
	bool ok;

	if (are_written(seen, map)) {
		*out = seen->labels;
		return true;
	}
	written = ARENA_ARRAY(l->scratch, map->count, struct label);
	ok = read_labels(l, map, written, &count);
	sorted = ARENA_ARRAY(l->scratch, count, struct label);
	memcpy(sorted, written, count * sizeof(*sorted));
	if (!labels_sorted(sorted, count))
		qsort(sorted, count, sizeof(*sorted), compare_labels);
	*out =
	    (struct label_set){load_shared(l, sorted, count * sizeof(*sorted)), count};
	if (ok)
		remember_labels(seen, *out, written);
	arena_rewind(l->scratch, &mark);
	return ok;
}

struct label_set
load_label_set(
    struct loader *l, struct label_set labels, struct str key, struct str value)
{
	struct label *items = ARENA_ARRAY(l->arena, labels.count + 1, struct label);
	size_t count = 0;

	for (size_t i = 0; i < labels.count; i++) {
		if (!str_eq(labels.items[i].key, key))
			items[count++] = labels.items[i];
	}
	items[count++] = (struct label){load_text(l, key), load_text(l, value)};
	qsort(items, count, sizeof(*items), compare_labels);
	return (struct label_set){items, count};
}

/* ---- selectors ---- */

enum {
	SEL_LABELS,
	SEL_EXPRESSIONS
};

static const struct schema_field selector_fields[] = {
    [SEL_LABELS] = {"matchLabels", TYPE_MAP, false, NULL},
    [SEL_EXPRESSIONS] = {"matchExpressions", TYPE_LIST, false, NULL},
};

enum {
	EXPR_KEY,
	EXPR_OPERATOR,
	EXPR_VALUES
};

static const struct schema_field expression_fields[] = {
    [EXPR_KEY] = {"key", TYPE_STRING, true, NULL},
    [EXPR_OPERATOR] = {"operator", TYPE_STRING, true, NULL},
    [EXPR_VALUES] = {"values", TYPE_LIST, false, NULL},
};
static const char *const operator_names[] = {
    [REQ_IN] = "In",
    [REQ_NOT_IN] = "NotIn",
    [REQ_EXISTS] = "Exists",
    [REQ_NOT_EXISTS] = "DoesNotExist",
};

static const struct schema_value expression_values[] = {
    [EXPR_KEY] = {.about = "The label's key.", .grammar = &grammar_qualified},
    [EXPR_OPERATOR] = {.about = "How the label is compared.",
	.names = operator_names,
	.name_count = ARRAY_LEN(operator_names)},
    [EXPR_VALUES] = {.about = "What In and NotIn compare with.",
	.each = &(const struct schema_value){.types = TYPE_STRING,
	    .grammar = &grammar_label_value}},
};
/* The operators In and NotIn, the first two, have values; the others have none. */
static const struct schema_rule expression_rules[] = {
    {.kind = SCHEMA_SAYS,
	.a = SCHEMA_BIT(EXPR_OPERATOR),
	.b = SCHEMA_BIT(EXPR_VALUES),
	.filled = true,
	.names = operator_names,
	.name_count = REQ_NOT_IN + 1},
};
static const struct schema expression_schema = SCHEMA_RULED(
    "a selector requirement", expression_fields, expression_values, expression_rules);

static const struct schema_value selector_values[] = {
    [SEL_LABELS] = {.about = "Labels that must be there, with these values.",
	.keys = &grammar_qualified,
	.each = &(const struct schema_value){.types = TYPE_STRING | TYPE_NULL,
	    .grammar = &grammar_label_value}},
    [SEL_EXPRESSIONS] = {.about = "Requirements; all of them must hold.",
	.each =
	    &(const struct schema_value){.types = TYPE_MAP, .map = &expression_schema}},
};
const struct schema load_selector_schema = {
    .what = "a label selector",
    .fields = selector_fields,
    .count = ARRAY_LEN(selector_fields),
    .values = SCHEMA_EACH(selector_fields, selector_values),
    .advice = "labels stand in matchLabels: { KEY: VALUE }",
};

static int
compare_requirements(const void *a, const void *b)
{
	const struct requirement *x = a, *y = b;
	int order = str_cmp(x->key, y->key);

	if (order == 0)
		order = (x->op > y->op) - (x->op < y->op);
	for (size_t i = 0; order == 0 && i < x->value_count && i < y->value_count; i++)
		order = str_cmp(x->values[i], y->values[i]);
	if (order == 0)
		order = (x->value_count > y->value_count) -
			(x->value_count < y->value_count);
	return order;
}

static bool
read_values(struct loader *l, const struct doc_node *list, enum api_style style,
    struct requirement *req)
{
	struct arena_mark mark = arena_mark(l->scratch);
	struct str *values = ARENA_ARRAY(l->scratch, list->count, struct str);
	size_t count = 0, unique = 0;
	bool ok = true;

	for (uint32_t i = 0; i < list->count; i++) {
		const struct doc_node *value = list->u.items[i];

		if (value->kind == DOC_NULL && style == API_CORE) {
			values[count++] = STR("");
		} else if (!schema_type(
			       l->diags, value, "a label's value", TYPE_STRING) ||
			   !check_label_value(l, value, style)) {
			ok = false;
		} else {
			values[count++] = load_text(l, value->text);
		}
	}
	if (count > 1)
		qsort(values, count, sizeof(*values), compare_strs);
	for (size_t i = 0; i < count; i++) {
		if (i == 0 || !str_eq(values[i], values[unique - 1]))
			values[unique++] = values[i];
	}
	req->values = load_shared(l, values, unique * sizeof(*values));
	req->value_count = unique;
	arena_rewind(l->scratch, &mark);
	return ok;
}

/* A requirement that means nothing. A CRD's schema lets it pass, and whoever evaluates
 * the selector then fails: a warning there, and the rule fails closed. Returns false. */
static bool
bad_requirement(struct loader *l, struct loc loc, enum api_style style,
    const char *operator_name, const char *why)
{
	diag_say(l->diags, style == API_CRD ? CODE_ODD_SELECTOR : CODE_BAD_SELECTOR,
	    loc, "the operator %s %s%s", operator_name, why,
	    style == API_CRD ? ": the rule fails closed" : "");
	return false;
}

static bool
read_operator(struct loader *l, const struct doc_node *node, enum api_style style,
    enum requirement_op *out)
{
	const char *nearest;
	size_t op = 0;
	struct diag *d;

	while (
	    op < ARRAY_LEN(operator_names) && !str_is(node->text, operator_names[op]))
		op++;
	*out = (enum requirement_op)op;
	if (op < ARRAY_LEN(operator_names))
		return true;
	if (style != API_CRD)
		return schema_enum(l->diags, node, "\"operator\"", operator_names,
		    ARRAY_LEN(operator_names), &op);
	d = diag_say(l->diags, CODE_ODD_SELECTOR, node->loc,
	    "there is no operator \"%.*s\": the rule fails closed",
	    STR_ARG(node->text));
	nearest = nearest_of(node->text, operator_names, ARRAY_LEN(operator_names));
	if (nearest != NULL)
		diag_hint(l->diags, d, "did you mean \"%s\"?", nearest);
	return false;
}

static bool
read_expression(struct loader *l, const struct doc_node *node, enum api_style style,
    struct requirement *req)
{
	const struct doc_node *v[ARRAY_LEN(expression_fields)];
	struct doc_node empty;
	bool ok, some;

	node = load_item(style, node, &empty);
	ok = schema_read(l->diags, &expression_schema, node, v);
	if (v[EXPR_KEY] != NULL) {
		ok &= check_label_key(l, v[EXPR_KEY], style);
		req->key = load_text(l, v[EXPR_KEY]->text);
	}
	if (v[EXPR_OPERATOR] == NULL ||
	    !read_operator(l, v[EXPR_OPERATOR], style, &req->op))
		return false;
	some = v[EXPR_VALUES] != NULL && v[EXPR_VALUES]->count != 0;
	if (req->op == REQ_IN || req->op == REQ_NOT_IN) {
		if (some)
			return read_values(l, v[EXPR_VALUES], style, req) && ok;
		return bad_requirement(l, v[EXPR_OPERATOR]->loc, style,
		    operator_names[req->op], "needs at least one value in \"values\"");
	}
	if (some)
		return bad_requirement(l, v[EXPR_VALUES]->loc, style,
		    operator_names[req->op], "takes no values");
	return ok;
}

static bool
read_match_labels(struct loader *l, const struct doc_node *map, enum api_style style,
    struct requirement *reqs, size_t *count)
{
	bool ok = true;

	for (uint32_t i = 0; i < map->count; i++) {
		struct requirement *req = &reqs[*count];
		struct label label;
		bool absent;

		if (!read_label(l, &map->u.entries[i], style, &label, &absent)) {
			ok = false;
			continue;
		}
		if (absent)
			continue;
		req->key = label.key;
		req->op = REQ_IN;
		req->values = load_shared(l, &label.value, sizeof(label.value));
		req->value_count = 1;
		(*count)++;
	}
	return ok;
}

bool
load_selector(struct loader *l, const struct doc_node *node, enum api_style style,
    const struct selector **out)
{
	const struct doc_node *v[ARRAY_LEN(selector_fields)];
	struct selector *s = ARENA_NEW(l->arena, struct selector);
	struct requirement *reqs;
	struct arena_mark mark;
	size_t room = 0, count = 0, unique = 0;
	bool ok = schema_read(l->diags, &load_selector_schema, node, v);

	*out = s;
	s->loc = node->loc;
	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		room += v[i] != NULL ? v[i]->count : 0;
	mark = arena_mark(l->scratch);
	reqs = ARENA_ARRAY(l->scratch, room, struct requirement);
	if (v[SEL_LABELS] != NULL)
		ok &= read_match_labels(l, v[SEL_LABELS], style, reqs, &count);
	for (uint32_t i = 0;
	     v[SEL_EXPRESSIONS] != NULL && i < v[SEL_EXPRESSIONS]->count; i++) {
		const struct doc_node *item = v[SEL_EXPRESSIONS]->u.items[i];

		if (read_expression(l, item, style, &reqs[count]))
			count++;
		else
			ok = false;
	}
	if (ok && count > 1)
		qsort(reqs, count, sizeof(*reqs), compare_requirements);
	for (size_t i = 0; ok && i < count; i++) {
		if (i == 0 || compare_requirements(&reqs[i], &reqs[unique - 1]) != 0)
			memmove(&reqs[unique++], &reqs[i], sizeof(*reqs));
	}
	/* Few different ones make up the selectors of a cluster. */
	s->reqs = load_shared(l, reqs, unique * sizeof(*reqs));
	s->count = unique;
	arena_rewind(l->scratch, &mark);
	return ok;
}

const struct selector *
load_selector_all(struct loader *l, struct loc loc)
{
	struct selector *s = ARENA_NEW(l->arena, struct selector);

	s->loc = loc;
	return s;
}

const struct doc_node *
load_item(enum api_style style, const struct doc_node *item, struct doc_node *empty)
{
	if (item->kind != DOC_NULL || style != API_CORE)
		return item;
	*empty = (struct doc_node){.kind = DOC_MAP, .loc = item->loc};
	return empty;
}

/* To quote it helps only where it would be right then. */
static const char *
advise_string(struct loader *l, const struct doc_node *item, bool (*check)(struct str),
    const char *rule)
{
	if (check == NULL || check(item->text))
		return NULL;
	return arena_printf(l->scratch, "it must be %s", rule);
}

bool
load_strings(struct loader *l, const struct doc_node *list, const char *what,
    bool (*check)(struct str), const char *rule, const struct str **out,
    size_t *out_count)
{
	struct str *items = ARENA_ARRAY(l->arena, list->count, struct str);
	size_t count = 0;
	bool ok = true;

	for (uint32_t i = 0; i < list->count; i++) {
		const struct doc_node *item = list->u.items[i];

		if (item->kind != DOC_STRING) {
			ok = schema_wrong_type(l->diags, item, what, TYPE_STRING,
			    advise_string(l, item, check, rule));
		} else if (check != NULL && !check(item->text)) {
			diag_say(l->diags, CODE_BAD_VALUE, item->loc, "%s must be %s",
			    what, rule);
			ok = false;
		} else {
			items[count++] = load_text(l, item->text);
		}
	}
	*out = items;
	*out_count = count;
	return ok;
}
