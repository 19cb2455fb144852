#include "policy-lang/connectivity/connectivity_lot.h"

static roaring_bitmap_t *
some(roaring_bitmap_t *bits)
{
	if (bits == NULL)
		base_die("out of memory");
	return bits;
}

void
conn_lot_fini(struct conn_lot *lot)
{
	if (lot->bits != NULL && !lot->borrowed)
		roaring_bitmap_free(lot->bits);
	lot->bits = NULL;
	lot->count = 0;
}

bool
conn_lot_empty(const struct conn_lot *lot)
{
	return lot->bits == NULL && lot->count == 0;
}

void
conn_lot_take(struct conn_lot *out, roaring_bitmap_t *bits)
{
	uint64_t count = roaring_bitmap_get_cardinality(bits);

	out->bits = bits;
	out->borrowed = false;
	out->count = 0;
	if (count > CONN_FEW)
		return;
	roaring_bitmap_to_uint32_array(bits, out->items);
	roaring_bitmap_free(bits);
	out->bits = NULL;
	out->count = (uint32_t)count;
}

static void
list(struct conn_lot *out, const uint32_t *items, uint32_t count)
{
	out->bits = NULL;
	out->count = count;
	for (uint32_t i = 0; i < count; i++)
		out->items[i] = items[i];
}

void
conn_lot_list(struct conn_lot *out, const uint32_t *items, size_t count)
{
	if (count <= CONN_FEW) {
		list(out, items, (uint32_t)count);
		return;
	}
	out->bits = some(roaring_bitmap_of_ptr(count, items));
	out->borrowed = false;
	out->count = 0;
}

void
conn_lot_borrow(struct conn_lot *out, const struct conn_lot *from)
{
	list(out, from->items, from->count);
	out->bits = from->bits;
	out->borrowed = true;
}

/* The lot's own bitmap, which may be changed. */
static roaring_bitmap_t *
own_bits(struct conn_lot *lot)
{
	if (lot->bits == NULL)
		lot->bits = some(roaring_bitmap_of_ptr(lot->count, lot->items));
	else if (lot->borrowed)
		lot->bits = some(roaring_bitmap_copy(lot->bits));
	lot->borrowed = false;
	lot->count = 0;
	return lot->bits;
}

roaring_bitmap_t *
conn_lot_give(struct conn_lot *lot)
{
	roaring_bitmap_t *bits = own_bits(lot);

	lot->bits = NULL;
	return bits;
}

static void
add_list(struct conn_lot *lot, const struct conn_lot *more)
{
	uint32_t all[2 * CONN_FEW], count = 0, i = 0, j = 0;

	while (i < lot->count || j < more->count) {
		bool left = j == more->count ||
			    (i < lot->count && lot->items[i] <= more->items[j]);
		uint32_t item = left ? lot->items[i] : more->items[j];

		j += j < more->count && more->items[j] == item;
		i += left;
		all[count++] = item;
	}
	conn_lot_list(lot, all, count);
}

void
conn_lot_add(struct conn_lot *lot, const struct conn_lot *more)
{
	if (conn_lot_empty(more))
		return;
	if (lot->bits == NULL && more->bits == NULL)
		add_list(lot, more);
	else if (more->bits != NULL)
		roaring_bitmap_or_inplace(own_bits(lot), more->bits);
	else
		roaring_bitmap_add_many(own_bits(lot), more->count, more->items);
}

/* A list again, if few are left. */
static void
settle(struct conn_lot *lot)
{
	if (lot->bits != NULL && !lot->borrowed)
		conn_lot_take(lot, lot->bits);
}

void
conn_lot_drop_bits(struct conn_lot *lot, const roaring_bitmap_t *bits)
{
	uint32_t kept = 0;

	if (lot->bits != NULL)
		roaring_bitmap_andnot_inplace(own_bits(lot), bits);
	for (uint32_t i = 0; i < lot->count; i++) {
		if (!roaring_bitmap_contains(bits, lot->items[i]))
			lot->items[kept++] = lot->items[i];
	}
	lot->count = kept;
	settle(lot);
}

static void
drop_list(struct conn_lot *lot, const struct conn_lot *less)
{
	uint32_t kept = 0, j = 0;

	for (uint32_t i = 0; i < lot->count; i++) {
		while (j < less->count && less->items[j] < lot->items[i])
			j++;
		if (j == less->count || less->items[j] != lot->items[i])
			lot->items[kept++] = lot->items[i];
	}
	lot->count = kept;
}

void
conn_lot_drop(struct conn_lot *lot, const struct conn_lot *less)
{
	if (less->bits != NULL) {
		conn_lot_drop_bits(lot, less->bits);
	} else if (lot->bits == NULL) {
		drop_list(lot, less);
	} else if (less->count > 0) {
		roaring_bitmap_t *bits = own_bits(lot);

		for (uint32_t i = 0; i < less->count; i++)
			roaring_bitmap_remove(bits, less->items[i]);
		settle(lot);
	}
}

static void
meet_lists(const struct conn_lot *a, const struct conn_lot *b, struct conn_lot *out)
{
	uint32_t i = 0, j = 0;

	while (i < a->count && j < b->count) {
		if (a->items[i] == b->items[j])
			out->items[out->count++] = a->items[i];
		if (a->items[i] <= b->items[j])
			i++;
		else
			j++;
	}
}

void
conn_lot_meet_bits(
    const struct conn_lot *lot, const roaring_bitmap_t *bits, struct conn_lot *out)
{
	out->bits = NULL;
	out->count = 0;
	if (lot->bits != NULL) {
		conn_lot_take(out, some(roaring_bitmap_and(lot->bits, bits)));
		return;
	}
	for (uint32_t i = 0; i < lot->count; i++) {
		if (roaring_bitmap_contains(bits, lot->items[i]))
			out->items[out->count++] = lot->items[i];
	}
}

void
conn_lot_meet(const struct conn_lot *a, const struct conn_lot *b, struct conn_lot *out)
{
	if (b->bits != NULL) {
		conn_lot_meet_bits(a, b->bits, out);
	} else if (a->bits != NULL) {
		conn_lot_meet_bits(b, a->bits, out);
	} else {
		out->bits = NULL;
		out->count = 0;
		meet_lists(a, b, out);
	}
}
