/*
 * Between connectivity_columns.c, _relation.c and _lot.c only: some atoms. Most sets that a
 * column is cut into have few, which are a list and need no memory of their own.
 */
#ifndef POLICY_LANG_CONNECTIVITY_LOT_H
#define POLICY_LANG_CONNECTIVITY_LOT_H

#include <roaring/roaring.h>

#include "common/base.h"

#define CONN_FEW 32

/* {0}: none. */
struct conn_lot {
	roaring_bitmap_t *bits;   /* if there are more than CONN_FEW; else NULL */
	bool borrowed;            /* the bitmap is another's */
	uint32_t count;           /* of items */
	uint32_t items[CONN_FEW]; /* rising */
};

void conn_lot_fini(struct conn_lot *lot);
MUST_CHECK bool conn_lot_empty(const struct conn_lot *lot);
/* Rising numbers. */
void conn_lot_list(struct conn_lot *out, const uint32_t *items, size_t count);
/* Takes the bitmap. */
void conn_lot_take(struct conn_lot *out, roaring_bitmap_t *bits);
/* The same atoms; borrows what `from` has for as long as it is used. */
void conn_lot_borrow(struct conn_lot *out, const struct conn_lot *from);
/* Adds, or takes out. */
void conn_lot_add(struct conn_lot *lot, const struct conn_lot *more);
void conn_lot_drop(struct conn_lot *lot, const struct conn_lot *less);
void conn_lot_drop_bits(struct conn_lot *lot, const roaring_bitmap_t *bits);
/* What is in both; `out` is a new one. */
void conn_lot_meet(
    const struct conn_lot *a, const struct conn_lot *b, struct conn_lot *out);
void conn_lot_meet_bits(
    const struct conn_lot *lot, const roaring_bitmap_t *bits, struct conn_lot *out);
/* A bitmap of the caller's; the lot has none any more. */
MUST_CHECK roaring_bitmap_t *conn_lot_give(struct conn_lot *lot);

#endif
