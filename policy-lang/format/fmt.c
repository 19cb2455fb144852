#include "policy-lang/format/fmt.h"

#include <stdlib.h>

#include "common/doc.h"
#include "common/map.h"
#include "policy-lang/format/fmt_internal.h"
#include "policy-lang/load/load_kinds.h"
#include "policy-lang/model/codes.h"

/* ---- the order of keys ---- */

/* Of every API object; what follows stays in the order in which it was written. */
static const char *const top_order[] = {"apiVersion", "kind", "metadata", "spec"};

static void order_node(struct written_node *node, const struct schema *schema);

static const struct schema_value *
value_of(const struct schema *schema, struct str key)
{
	for (size_t i = 0; i < schema->count && schema->values != NULL; i++) {
		if (str_is(key, schema->fields[i].name))
			return &schema->values[i];
	}
	return NULL;
}

/* Where a key comes; unknown ones come last. */
static size_t
rank_of(const struct schema *schema, const struct written_node *key)
{
	if (schema == NULL) {
		for (size_t i = 0; i < ARRAY_LEN(top_order); i++) {
			if (str_is(key->value, top_order[i]))
				return i;
		}
		return ARRAY_LEN(top_order);
	}
	for (size_t i = 0; i < schema->count; i++) {
		if (schema->fields[i].types != 0 &&
		    str_is(key->value, schema->fields[i].name))
			return i;
	}
	return schema->count;
}

struct ranked {
	size_t rank, place;
	struct written_entry entry;
};

static int
compare_ranked(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return x->place < y->place ? -1 : x->place > y->place;
}

/* Sorts the entries of a map: by the schema, or, with NULL, as an API object. */
static void
sort_entries(struct written_node *map, const struct schema *schema)
{
	struct ranked *list = xreallocarray(NULL, map->count + 1, sizeof(*list));

	for (size_t i = 0; i < map->count; i++)
		list[i] = (struct ranked){
		    rank_of(schema, map->entries[i].key), i, map->entries[i]};
	qsort(list, map->count, sizeof(*list), compare_ranked);
	for (size_t i = 0; i < map->count; i++)
		map->entries[i] = list[i].entry;
	free(list);
}

static void
order_value(struct written_node *node, const struct schema_value *value)
{
	if (value == NULL)
		return;
	if (value->map != NULL && node->kind == WRITTEN_MAP)
		order_node(node, value->map);
	if (value->each == NULL)
		return;
	for (size_t i = 0; i < node->count; i++)
		order_value(node->entries[i].value, value->each);
}

static void
order_node(struct written_node *node, const struct schema *schema)
{
	if (node->kind != WRITTEN_MAP)
		return;
	for (size_t i = 0; i < node->count; i++)
		order_value(node->entries[i].value,
		    value_of(schema, node->entries[i].key->value));
	sort_entries(node, schema);
}

static struct written_node *
get(const struct written_node *map, const char *key)
{
	for (size_t i = 0; map->kind == WRITTEN_MAP && i < map->count; i++) {
		if (str_is(map->entries[i].key->value, key))
			return map->entries[i].value;
	}
	return NULL;
}

/* An object of the Kubernetes API, or one of ours; other maps keep their order. */
static void
order_object(struct written_node *object)
{
	const struct written_node *api, *kind;
	const struct native_kind *native = NULL;
	struct written_node *metadata, *spec, *items;

	if (object == NULL || object->kind != WRITTEN_MAP)
		return;
	api = get(object, "apiVersion");
	kind = get(object, "kind");
	if (api == NULL || kind == NULL)
		return;
	metadata = get(object, "metadata");
	spec = get(object, "spec");
	items = get(object, "items");
	if (str_is(api->value, NATIVE_GROUP "/" NATIVE_VERSION))
		native = native_kind_find(kind->value);
	if (metadata != NULL)
		order_node(metadata, native_meta);
	if (native != NULL && spec != NULL)
		order_node(spec, native->spec);
	if (items != NULL && items->kind == WRITTEN_LIST &&
	    str_ends(kind->value, STR("List"))) {
		for (size_t i = 0; i < items->count; i++)
			order_object(items->entries[i].value);
	}
	sort_entries(object, NULL);
}

/* ---- the check ---- */

static bool same_node(const struct doc_node *a, const struct doc_node *b);

static bool
same_map(const struct doc_node *a, const struct doc_node *b)
{
	struct map keys = {0};
	bool same = true;

	for (uint32_t i = 0; i < b->count; i++)
		(void)map_set(&keys, b->u.entries[i].key->text, b->u.entries[i].value);
	for (uint32_t i = 0; same && i < a->count; i++) {
		const struct doc_node *other =
		    map_get(&keys, a->u.entries[i].key->text);

		same = other != NULL && same_node(a->u.entries[i].value, other);
	}
	map_fini(&keys);
	return same;
}

static bool
same_node(const struct doc_node *a, const struct doc_node *b)
{
	if (a->kind != b->kind || a->count != b->count)
		return false;
	switch (a->kind) {
	case DOC_NULL:
		return true;
	case DOC_BOOL:
		return a->u.boolean == b->u.boolean;
	case DOC_INT:
		return a->u.integer == b->u.integer;
	case DOC_FLOAT: /* both are read from the same spelling */
	case DOC_STRING:
		return str_eq(a->text, b->text);
	case DOC_LIST:
		for (uint32_t i = 0; i < a->count; i++) {
			if (!same_node(a->u.items[i], b->u.items[i]))
				return false;
		}
		return true;
	case DOC_MAP:
		break;
	}
	return same_map(a, b);
}

static bool
same_documents(const struct doc_list *a, const struct doc_list *b)
{
	bool same = a->count == b->count;

	for (size_t i = 0; same && i < a->count; i++)
		same = same_node(a->docs[i], b->docs[i]);
	return same;
}

struct texts {
	struct str *items;
	size_t count, cap;
};

static void
add_text(struct texts *t, struct str text)
{
	if (text.len == 0)
		return;
	if (t->count == t->cap) {
		t->cap = t->cap != 0 ? t->cap * 2 : 64;
		t->items = xreallocarray(t->items, t->cap, sizeof(*t->items));
	}
	t->items[t->count++] = text;
}

static void
add_comments(struct texts *t, const struct written_comments *list)
{
	for (const struct written_comment *c = list->first; c != NULL; c = c->next)
		add_text(t, c->text);
}

static void
collect(struct texts *t, const struct written_entry *e)
{
	add_comments(t, &e->head);
	add_text(t, e->line);
	if (e->value == NULL)
		return;
	for (size_t i = 0; i < e->value->count; i++)
		collect(t, &e->value->entries[i]);
	add_comments(t, &e->value->foot);
}

static int
compare_texts(const void *a, const void *b)
{
	const struct str *x = a, *y = b;

	return str_cmp(*x, *y);
}

static void
collect_all(struct texts *t, const struct written *w)
{
	for (size_t i = 0; i < w->count; i++) {
		collect(t, &w->docs[i].root);
		add_comments(t, &w->docs[i].foot);
	}
	if (t->count > 1)
		qsort(t->items, t->count, sizeof(*t->items), compare_texts);
}

static bool
same_comments(const struct written *a, const struct written *b)
{
	struct texts x = {0}, y = {0};
	bool same;

	collect_all(&x, a);
	collect_all(&y, b);
	same = x.count == y.count;
	for (size_t i = 0; same && i < x.count; i++)
		same = str_eq(x.items[i], y.items[i]);
	free(x.items);
	free(y.items);
	return same;
}

/* Reads the result as anybody would; nothing is taken on trust. */
static bool
check_result(struct arena *arena, const struct doc_list *docs,
    const struct written *written, const struct source *result)
{
	struct diag_list diags;
	struct doc_list again;
	struct written w;

	diag_list_init(&diags, arena);
	return doc_read(arena, result, &diags, &again) &&
	       same_documents(docs, &again) &&
	       written_read(arena, result, &diags, &w) && same_comments(written, &w);
}

static void
format(struct buf *out, const struct written *w)
{
	for (size_t i = 0; i < w->count; i++) {
		/* What a name refers to may depend on the order. */
		if (!w->docs[i].anchors)
			order_object(w->docs[i].root.value);
	}
	fmt_emit(out, w);
}

bool
fmt_source(struct arena *arena, const struct source *source, struct diag_list *diags,
    struct buf *out)
{
	struct source result = {.name = source->name};
	struct doc_list docs;
	struct written w;
	struct buf text = {0};
	bool ok;

	if (!doc_read(arena, source, diags, &docs) ||
	    !written_read(arena, source, diags, &w))
		return false;
	format(&text, &w);
	result.text = str_dup(arena, buf_str(&text));
	buf_free(&text);
	ok = check_result(arena, &docs, &w, &result);
	if (ok)
		buf_add_str(out, result.text);
	else
		(void)diag_say(diags, CODE_FMT_UNSAFE, (struct loc){source, 1, 1, 0},
		    "this cannot be written in canonical form without changing what it "
		    "says: the file is left alone");
	return ok;
}
