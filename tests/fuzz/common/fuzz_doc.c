/*
 * Reads any bytes as documents. Whatever they are: no crash, a tree whose every node has
 * a place in the text, an error if and only if the reader says so, and the same of
 * everything whether or not the fast reader of plain documents takes part.
 */
#include <stdlib.h>
#include <string.h>

#include "common/doc_tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                               \
	do {                                                                           \
		if (!(condition))                                                      \
			abort();                                                       \
	} while (0)

static void
check_loc(const struct source *source, struct loc loc)
{
	CHECK(loc.source == source && loc.line >= 1 && loc.col >= 1);
	CHECK(loc.line <= source->text.len + 1 && loc.col <= source->text.len + 1);
	CHECK(loc.end_col == 0 ||
	      (loc.end_col > loc.col && loc.end_col <= source->text.len + 1));
}

/* Returns the nodes in the tree, which aliases may make larger than the text. */
static uint64_t
check_node(const struct source *source, const struct doc_node *node, unsigned depth)
{
	uint64_t nodes = 1;

	check_loc(source, node->loc);
	CHECK(depth <= LIMIT_DOC_DEPTH);
	if (node->kind == DOC_LIST) {
		for (uint32_t i = 0; i < node->count; i++)
			nodes += check_node(source, node->u.items[i], depth + 1);
	} else if (node->kind == DOC_MAP) {
		for (uint32_t i = 0; i < node->count; i++) {
			const struct doc_entry *entry = &node->u.entries[i];

			CHECK(entry->key->kind == DOC_STRING);
			CHECK(doc_get(node, entry->key->text.ptr) == entry->value);
			nodes += check_node(source, entry->key, depth + 1);
			nodes += check_node(source, entry->value, depth + 1);
		}
	} else {
		CHECK(node->text.ptr != NULL && node->text.ptr[node->text.len] == '\0');
		CHECK(str_find(node->text, '\0', 0) == node->text.len);
	}
	return nodes;
}

static void
check_same(const struct doc_node *a, const struct doc_node *b)
{
	CHECK(a->kind == b->kind && a->count == b->count);
	CHECK(loc_cmp(a->loc, b->loc) == 0 && a->loc.end_col == b->loc.end_col);
	switch (a->kind) {
	case DOC_LIST:
		for (uint32_t i = 0; i < a->count; i++)
			check_same(a->u.items[i], b->u.items[i]);
		break;
	case DOC_MAP:
		for (uint32_t i = 0; i < a->count; i++) {
			check_same(a->u.entries[i].key, b->u.entries[i].key);
			check_same(a->u.entries[i].value, b->u.entries[i].value);
		}
		break;
	case DOC_BOOL:
		CHECK(a->u.boolean == b->u.boolean);
		break;
	case DOC_INT:
		CHECK(a->u.integer == b->u.integer);
		break;
	case DOC_FLOAT:
		CHECK(a->u.real <= b->u.real && a->u.real >= b->u.real);
		break;
	case DOC_NULL:
	case DOC_STRING:
	default:
		break;
	}
	CHECK(str_eq(a->text, b->text));
}

static void
check_messages(
    const struct source *source, struct diag_list *diags, struct diag_list *full_diags)
{
	struct buf out = {0}, full = {0};

	for (const struct diag *d = diags->first; d != NULL; d = d->next)
		check_loc(source, d->loc);
	diag_render(&out, diags, DIAG_JSON);
	diag_render(&full, full_diags, DIAG_JSON);
	CHECK(str_eq(buf_str(&out), buf_str(&full)));
	diag_sort(diags);
	diag_render(&out, diags, DIAG_TEXT);
	diag_render(&out, diags, DIAG_SARIF);
	buf_free(&out);
	buf_free(&full);
}

/* Documents given one by one, of which only every other one is kept. */
struct each {
	const struct doc_list *expected;
	size_t count;
	const struct doc_node *kept[2]; /* the last two that were */
};

static bool
take_document(void *ctx, const struct doc_node *doc)
{
	struct each *e = ctx;
	bool keep = e->count % 2 == 0;

	CHECK(e->count < e->expected->count);
	check_same(doc, e->expected->docs[e->count]);
	if (keep) {
		e->kept[0] = e->kept[1];
		e->kept[1] = doc;
	}
	e->count++;
	return keep;
}

static void
check_each(const struct source *source, const struct doc_list *docs, bool ok)
{
	struct arena *arena = arena_new(), *other = arena_new();
	struct each e = {.expected = docs};
	struct diag_list diags;
	size_t last;

	diag_list_init(&diags, other);
	CHECK(doc_read_each(arena, source, &diags, take_document, &e) == ok);
	CHECK(e.count == docs->count);
	last = e.count == 0 ? 0 : (e.count - 1) / 2 * 2;
	if (e.kept[1] != NULL)
		check_same(e.kept[1], docs->docs[last]);
	if (e.kept[0] != NULL)
		check_same(e.kept[0], docs->docs[last - 2]);
	arena_free(arena);
	arena_free(other);
}

/* The same with the items of every document that says what it is, one by one. */
struct items {
	const struct doc_list *expected; /* whole */
	size_t docs, items;
	bool one_by_one; /* those of the present document */
	struct doc_head head;
	const struct doc_node *kept[2]; /* an item, and what it should be */
};

static bool
wants_items(void *ctx, const struct doc_head *head)
{
	struct items *e = ctx;

	e->one_by_one = true;
	e->head = *head;
	return true;
}

static bool
take_item(void *ctx, const struct doc_head *head, const struct doc_node *item)
{
	struct items *e = ctx;
	bool keep = e->items % 3 == 0;

	CHECK(e->one_by_one);
	CHECK(str_eq(head->values[0].text, e->head.values[0].text));
	if (e->docs < e->expected->count) {
		const struct doc_node *all =
		    doc_get(e->expected->docs[e->docs], "items");

		CHECK(all != NULL && e->items < all->count);
		check_same(item, all->u.items[e->items]);
		if (keep) {
			e->kept[0] = item;
			e->kept[1] = all->u.items[e->items];
		}
	}
	e->items++;
	return keep;
}

static bool
take_rest(void *ctx, const struct doc_node *doc)
{
	struct items *e = ctx;
	const struct doc_node *expected, *left = doc_get(doc, "items");

	CHECK(e->docs < e->expected->count);
	expected = doc_get(e->expected->docs[e->docs], "items");
	if (e->items > 0)
		CHECK(left->count == 0 && expected->count == e->items);
	else if (!e->one_by_one)
		check_same(doc, e->expected->docs[e->docs]);
	e->docs++;
	e->items = 0;
	e->one_by_one = false;
	return false;
}

static void
check_items(const struct source *source, const struct doc_list *docs,
    const struct diag_list *expected)
{
	struct arena *arena = arena_new(), *other = arena_new();
	struct items e = {.expected = docs};
	const struct doc_stream stream = {.each = take_rest,
	    .head_keys = {"apiVersion", "kind"},
	    .items_key = "items",
	    .has_items = wants_items,
	    .item = take_item,
	    .ctx = &e};
	struct diag_list diags;

	diag_list_init(&diags, other);
	CHECK(doc_read_stream(arena, source, &diags, &stream) == (diags.errors == 0));
	CHECK(e.docs == docs->count);
	/* Only a head that was taken from the inside of a text is one more. */
	CHECK(diags.errors >= expected->errors && diags.warnings == expected->warnings);
	for (const struct diag *d = diags.first;
	     d != NULL && diags.errors != expected->errors; d = d->next) {
		if (strstr(d->msg, "looks like the document's own") != NULL)
			diags.errors--;
	}
	CHECK(diags.errors == expected->errors);
	if (e.kept[0] != NULL)
		check_same(e.kept[0], e.kept[1]);
	arena_free(arena);
	arena_free(other);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct source source = {STR("fuzz.yaml"), {(const char *)data, size}};
	struct arena *arena;
	struct diag_list diags, full_diags;
	struct doc_list docs, full_docs;
	uint64_t nodes = 0;
	bool ok;

	/* Such a text says why a file was not read; whoever reads files makes no document so. */
	if (str_starts(source.text, STR(SOURCE_NOT_READ)))
		return 0;
	arena = arena_new();
	diag_list_init(&diags, arena);
	diag_list_init(&full_diags, arena);
	ok = doc_read(arena, &source, &diags, &docs);
	CHECK(ok == (diags.errors == 0));
	CHECK(ok == doc_read_full(arena, &source, &full_diags, &full_docs));
	CHECK(docs.count == full_docs.count);
	for (size_t i = 0; i < docs.count; i++) {
		nodes += check_node(&source, docs.docs[i], 0);
		check_same(docs.docs[i], full_docs.docs[i]);
	}
	CHECK(nodes <= 2 * size + 2 + 2 * (uint64_t)LIMIT_DOC_ALIAS_NODES);
	check_messages(&source, &diags, &full_diags);
	check_each(&source, &docs, ok);
	check_items(&source, &docs, &diags);
	arena_free(arena);
	return 0;
}
