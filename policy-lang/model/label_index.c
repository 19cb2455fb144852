#include "policy-lang/model/label_index.h"

#include <roaring/roaring.h>
#include <stdlib.h>
#include <string.h>

/* Objects in rising order: first collected, then a bitmap. */
struct posting {
	uint32_t *items;
	size_t count, cap;
	roaring_bitmap_t *bitmap; /* NULL until filled */
};

/* A key that some selector names. */
struct key_index {
	struct map values; /* text -> struct posting */
	struct posting present;
	bool filled;
};

struct memo {
	struct str key; /* owned */
	roaring_bitmap_t *bitmap;
};

struct label_index {
	uint32_t count;
	label_index_get *get;
	const void *ctx;
	struct map keys; /* text -> struct key_index */
	bool unfilled;
	struct map memos; /* selector_add_key's bytes -> struct memo */
};

/* ---- keys of selectors ---- */

void
key_add_u32(struct buf *out, uint32_t value)
{
	uint8_t bytes[4];

	for (unsigned i = 0; i < 4; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
	buf_add(out, bytes, sizeof(bytes));
}

void
key_add_str(struct buf *out, struct str text)
{
	key_add_u32(out, (uint32_t)text.len);
	buf_add_str(out, text);
}

void
selector_add_key(struct buf *out, const struct selector *selector)
{
	size_t count = selector != NULL ? selector->count : 0;

	key_add_u32(out, (uint32_t)count);
	for (size_t i = 0; i < count; i++) {
		const struct requirement *r = &selector->reqs[i];

		key_add_str(out, r->key);
		key_add_u32(out, (uint32_t)r->op);
		key_add_u32(out, (uint32_t)r->value_count);
		for (size_t j = 0; j < r->value_count; j++)
			key_add_str(out, r->values[j]);
	}
}

static roaring_bitmap_t *
some(roaring_bitmap_t *bits)
{
	if (bits == NULL)
		base_die("out of memory");
	return bits;
}

static roaring_bitmap_t *
everything(const struct label_index *index)
{
	return some(index->count > 0 ? roaring_bitmap_from_range(0, index->count, 1)
				     : roaring_bitmap_create());
}

/* ---- postings ---- */

static void
posting_add(struct posting *p, uint32_t item)
{
	if (p->count == p->cap) {
		p->cap = p->cap == 0 ? 4 : 2 * p->cap;
		p->items = xreallocarray(p->items, p->cap, sizeof(*p->items));
	}
	p->items[p->count++] = item;
}

static void
posting_seal(struct posting *p)
{
	p->bitmap = some(roaring_bitmap_of_ptr(p->count, p->items));
	free(p->items);
	p->items = NULL;
	p->count = p->cap = 0;
}

static void
posting_fini(struct posting *p)
{
	free(p->items);
	if (p->bitmap != NULL)
		roaring_bitmap_free(p->bitmap);
}

static void
key_index_free(struct key_index *k)
{
	for (size_t i = 0; i < k->values.len; i++) {
		posting_fini(k->values.entries[i].value);
		free(k->values.entries[i].value);
	}
	map_fini(&k->values);
	posting_fini(&k->present);
	free(k);
}

/* ---- the index ---- */

struct label_index *
label_index_new(uint32_t count, label_index_get *get, const void *ctx)
{
	struct label_index *index = xcalloc(1, sizeof(*index));

	index->count = count;
	index->get = get;
	index->ctx = ctx;
	return index;
}

void
label_index_free(struct label_index *index)
{
	if (index == NULL)
		return;
	for (size_t i = 0; i < index->keys.len; i++)
		key_index_free(index->keys.entries[i].value);
	map_fini(&index->keys);
	for (size_t i = 0; i < index->memos.len; i++) {
		struct memo *memo = index->memos.entries[i].value;

		roaring_bitmap_free(memo->bitmap);
		free(memo);
	}
	map_fini(&index->memos);
	free(index);
}

void
label_index_want(struct label_index *index, const struct selector *selector)
{
	for (size_t i = 0; selector != NULL && i < selector->count; i++) {
		struct str key = selector->reqs[i].key;

		if (map_get(&index->keys, key) != NULL)
			continue;
		(void)map_set(&index->keys, key, xcalloc(1, sizeof(struct key_index)));
		index->unfilled = true;
	}
}

/* The postings that objects with a set of labels are added to. */
struct target {
	struct label_set labels;
	struct posting **postings;
	size_t count, cap;
};

static void
target_add(struct target *t, struct posting *p)
{
	if (t->count == t->cap) {
		t->cap = t->cap == 0 ? 32 : 2 * t->cap;
		t->postings =
		    xreallocarray(t->postings, t->cap, sizeof(struct posting *));
	}
	t->postings[t->count++] = p;
}

static void
target_label(struct target *t, struct label_index *index, const struct label *label)
{
	struct key_index *k = map_get(&index->keys, label->key);
	struct posting *p;

	if (k == NULL || k->filled)
		return;
	target_add(t, &k->present);
	p = map_get(&k->values, label->value);
	if (p == NULL) {
		p = xcalloc(1, sizeof(*p));
		(void)map_set(&k->values, label->value, p);
	}
	target_add(t, p);
}

static void
target_set(struct target *t, struct label_index *index, struct label_set labels)
{
	t->labels = labels;
	t->count = 0;
	for (size_t j = 0; j < labels.count; j++)
		target_label(t, index, &labels.items[j]);
}

void
label_index_fill(struct label_index *index)
{
	struct target target = {.count = 0};

	if (!index->unfilled)
		return;
	for (uint32_t i = 0; i < index->count; i++) {
		struct label_set labels = index->get(index->ctx, i);

		/* Neighbours are mostly of one owner, and share their labels. */
		if (labels.items != target.labels.items ||
		    labels.count != target.labels.count)
			target_set(&target, index, labels);
		for (size_t j = 0; j < target.count; j++)
			posting_add(target.postings[j], i);
	}
	free(target.postings);
	for (size_t i = 0; i < index->keys.len; i++) {
		struct key_index *k = index->keys.entries[i].value;

		if (k->filled)
			continue;
		k->filled = true;
		posting_seal(&k->present);
		for (size_t j = 0; j < k->values.len; j++)
			posting_seal(k->values.entries[j].value);
	}
	index->unfilled = false;
}

/* The objects whose label is among the requirement's values; the caller frees it. */
static roaring_bitmap_t *
union_of_values(const struct key_index *k, const struct requirement *r)
{
	roaring_bitmap_t *bits = NULL;

	for (size_t i = 0; i < r->value_count; i++) {
		const struct posting *p = map_get(&k->values, r->values[i]);

		if (p == NULL)
			continue;
		if (bits == NULL)
			bits = some(roaring_bitmap_copy(p->bitmap));
		else
			roaring_bitmap_or_inplace(bits, p->bitmap);
	}
	return bits != NULL ? bits : some(roaring_bitmap_create());
}

/* Keeps of `bits` what meets the requirement; NULL is everything. Takes and returns. */
static roaring_bitmap_t *
apply_requirement(
    struct label_index *index, const struct requirement *r, roaring_bitmap_t *bits)
{
	const struct key_index *k = map_get(&index->keys, r->key);
	bool values = r->op == REQ_IN || r->op == REQ_NOT_IN;
	roaring_bitmap_t *named = NULL;
	const roaring_bitmap_t *these;

	if (k == NULL || !k->filled)
		base_die("label index: a selector was not announced");
	if (values)
		named = union_of_values(k, r);
	these = values ? named : k->present.bitmap;
	if (r->op == REQ_NOT_EXISTS || r->op == REQ_NOT_IN) {
		/* An absent key is in no list. */
		if (bits == NULL)
			bits = everything(index);
		roaring_bitmap_andnot_inplace(bits, these);
	} else if (bits == NULL) {
		return named != NULL ? named : some(roaring_bitmap_copy(these));
	} else {
		roaring_bitmap_and_inplace(bits, these);
	}
	if (named != NULL)
		roaring_bitmap_free(named);
	return bits;
}

static roaring_bitmap_t *
evaluate(struct label_index *index, const struct selector *selector)
{
	roaring_bitmap_t *bits = NULL;

	for (size_t i = 0; selector != NULL && i < selector->count; i++)
		bits = apply_requirement(index, &selector->reqs[i], bits);
	return bits != NULL ? bits : everything(index);
}

const struct roaring_bitmap_s *
label_index_select(struct label_index *index, const struct selector *selector)
{
	struct buf key = {0};
	struct memo *memo;

	selector_add_key(&key, selector);
	memo = map_get(&index->memos, buf_str(&key));
	if (memo == NULL) {
		/* The memo's key stands behind it in the same allocation. */
		memo = xmalloc(sizeof(*memo) + key.len);
		memcpy(memo + 1, key.data, key.len);
		memo->key = (struct str){(const char *)(memo + 1), key.len};
		memo->bitmap = evaluate(index, selector);
		(void)map_set(&index->memos, memo->key, memo);
	}
	buf_free(&key);
	return memo->bitmap;
}

size_t
label_index_evaluations(const struct label_index *index)
{
	return index->memos.len;
}
