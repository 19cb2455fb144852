/*
 * Between connectivity_view.c, _cut.c, _bulk.c and _outside.c only: one side under work,
 * and how those that it may meet are cut into parts that are alike to it.
 */
#ifndef POLICY_LANG_CONNECTIVITY_VIEWER_H
#define POLICY_LANG_CONNECTIVITY_VIEWER_H

#include <roaring/roaring.h>

#include "policy-lang/connectivity/connectivity_world.h"

/* A set that the side speaks of. */
struct conn_spoken {
	uint32_t index; /* of the plane */
	bool base;      /* the rest is in it */
};

/* Elements (classes, or ranges of the outside) that are in the same of the side's sets:
 * those of `parent`, but for `set`. Part 0 is the rest. */
struct conn_part_of_side {
	uint32_t parent, set;
	uint32_t serial, next;          /* while cutting: where members in the set go */
	const struct conn_value *value; /* NULL: not judged yet */
	/* By the families of a party with faces of this part only: its heap's number, from
	 * 1, or CONN_NO_HEAP; 0: not asked yet. */
	uint32_t heaps[1 << CONN_FAMILIES];
};
#define CONN_NO_HEAP UINT32_MAX

/* What was said of parties with the same two faces: most are of both families. */
struct conn_both {
	uint32_t serial, parts[2];
	unsigned families;
	const struct conn_value *value;
};
#define CONN_BOTH_SLOTS 1024 /* a power of 2; a newer one takes the place of an older */

/* Party classes with one value, while a view is made. */
struct conn_heap {
	const struct conn_value *value;
	uint32_t *items;
	size_t count, cap;
};

/* A large set of the side: it tells elements' parts without moving them. */
struct conn_bulk {
	uint32_t place;
	bool base; /* as in struct conn_spoken */
	const uint64_t *words;
};
#define CONN_BULK 3

/* One side under work. */
struct conn_viewer {
	struct conn_world *world;
	struct conn_plane *plane;
	struct conn_side *side;
	struct arena *scratch; /* of the side */
	struct portset ports;
	struct conn_spoken *sets;
	size_t set_count, set_cap;
	uint32_t *place_of_set; /* by set of the plane: place + 1 among `sets` */
	uint32_t *first_step;   /* of each spoken set: its part of set_steps */
	uint32_t *set_steps;    /* steps that speak of it */
	size_t step_cap;
	uint32_t *on;     /* steps */
	uint8_t *flipped; /* by place: in what tells the part at hand from the rest */
	struct conn_part_of_side *parts;
	size_t part_count, part_cap;
	struct conn_bulk bulk[CONN_BULK];
	unsigned bulk_count;
	size_t bulk_total;                   /* elements */
	uint32_t bulk_parts[1 << CONN_BULK]; /* by mask; 0: nothing is in it yet */
	uint32_t *
	    part_of; /* by element; 0: as the large sets say. All 0 between two views */
	size_t element_cap;
	uint32_t *elements; /* that were moved, in no order */
	uint32_t *members;  /* of the set at hand */
	size_t element_count, elements_cap;
	struct conn_heap *heaps;
	size_t heap_count, heap_cap;
	struct conn_sieve sieve;
	uint32_t *class_stamp; /* by party class */
	struct conn_both both[CONN_BOTH_SLOTS];
	uint32_t serial;
};

/* ---- connectivity_cut.c ---- */

/* Finds the sets that the side speaks of, and which steps speak of each. */
void conn_view_collect(struct conn_viewer *v);
void conn_view_index_steps(struct conn_viewer *v);
/* Cuts `total` elements: begin, by each set of the side; then v->elements are those that
 * are in some set that is not a large one, conn_cut_part says which part each is in, until
 * it is forgotten.
 * Work is in proportion to the members of sets, or to what is not in them if that is
 * less (never, if the total is not told: UINT32_MAX). */
void conn_cut_begin(struct conn_viewer *v, size_t total);
void conn_cut_by(struct conn_viewer *v, uint32_t place,
    const roaring_bitmap_t *elements, uint32_t total);
/* Once it is cut: these are to be among v->elements, be they in the rest or not. */
void conn_cut_look_at(struct conn_viewer *v, const roaring_bitmap_t *elements);
void conn_cut_forget(struct conn_viewer *v);
MUST_CHECK uint32_t conn_cut_part(struct conn_viewer *v, uint32_t element);
/* The first element of the rest; `total` if there is none. */
MUST_CHECK uint32_t conn_cut_first_of_rest(const struct conn_viewer *v, uint32_t total);
/* For connectivity_bulk.c: copies a set's members to v->members, and says how many there
 * are; a part of some part, in a set. */
MUST_CHECK size_t conn_cut_members(
    struct conn_viewer *v, const roaring_bitmap_t *elements);
uint32_t conn_cut_new_part(struct conn_viewer *v, uint32_t parent, uint32_t set);
/* What the side says to a part, in families (bits by place); `peer` is in it. */
MUST_CHECK const struct conn_value *conn_view_judge(struct conn_viewer *v,
    uint32_t part, const struct endpoint *peer, unsigned families);

/* ---- connectivity_bulk.c ---- */

/* After the cut has begun, before elements move: which sets are cut by as words. Elements
 * are classes of the plane. */
void conn_bulk_choose(struct conn_viewer *v, size_t total);
MUST_CHECK bool conn_bulk_has(const struct conn_viewer *v, uint32_t place);
/* The part of an element that was not moved. */
MUST_CHECK uint32_t conn_bulk_part(struct conn_viewer *v, uint32_t element);
/* The next element, from one on, that was not moved and is in just those of the large sets
 * that the mask says; `none` if there is none. */
MUST_CHECK uint32_t conn_bulk_next(
    const struct conn_viewer *v, unsigned mask, uint32_t from, uint32_t none);

/* ---- connectivity_outside.c ---- */

MUST_CHECK const struct conn_spans *conn_view_outside(
    struct conn_viewer *v, enum ip_family family);
/* What ends without policy say of the outside: everything. */
MUST_CHECK const struct conn_spans *conn_whole_outside(
    struct conn_world *world, enum ip_family family);

#endif
