/*
 * Between connectivity_group.c and connectivity_reference.c only: sets of atoms that
 * others are told by their difference from.
 */
#ifndef POLICY_LANG_CONNECTIVITY_REFERENCE_H
#define POLICY_LANG_CONNECTIVITY_REFERENCE_H

#include <roaring/roaring.h>

#include "common/str.h"

#define REFERENCE_FIXED 2 /* nobody, and everybody */
#define REFERENCE_MAX   16

struct conn_reference {
	struct str name; /* "": nobody, or everybody */
	const roaring_bitmap_t *bits;
	uint64_t count; /* in it */
	uint64_t used;
};

/* Between how many atoms two sets differ by, as far as that is known. */
struct conn_distance {
	uint64_t least, most;
};

struct conn_references {
	struct conn_reference items[REFERENCE_MAX];
	size_t count, last;
	uint64_t clock;
	struct conn_distance between[REFERENCE_MAX][REFERENCE_MAX];
	struct conn_distance
	    from[REFERENCE_MAX]; /* the set that was last asked about */
};

/* Borrows all bitmaps for as long as it is used; `everybody` has all atoms of all sets. */
void conn_references_init(struct conn_references *refs, const roaring_bitmap_t *nobody,
    const roaring_bitmap_t *everybody);
/* The known set that differs least; nobody or everybody if that is no worse, and of
 * equals the first. A difference must be much less to be worth telling. */
MUST_CHECK const struct conn_reference *conn_references_nearest(
    struct conn_references *refs, const roaring_bitmap_t *bits);
/* Knows the set, too, that was asked about last, in place of the one that was of no use
 * for longest. */
void conn_references_keep(
    struct conn_references *refs, struct str name, const roaring_bitmap_t *bits);

#endif
