/*
 * Between connectivity*.c only: one side of a connection, that is, what the policies of
 * one end say about all possible other ends. Workloads to which the same policies apply
 * share a side; other ends that its rules do not tell apart share a set.
 */
#ifndef POLICY_LANG_CONNECTIVITY_SIDE_H
#define POLICY_LANG_CONNECTIVITY_SIDE_H

#include "policy-lang/connectivity.h"

/* One address of an end, or an end without address. Numbered, so that what a rule says
 * about each is found out once. */
struct conn_face {
	struct endpoint end;
	unsigned family; /* 4 or 6; 0: no address */
	uint32_t index;  /* in the faces of the finder; external ranges have none */
};

/* A range of the outside that one side treats alike. */
struct conn_span {
	struct ip_addr first, last;
	const struct conn_set *set;
};

struct conn_spans {
	struct conn_span *items;
	size_t count;
};

struct conn_sides;
struct conn_side;

/* All are borrowed. `faces` are those that conn_side_set may be asked about. */
MUST_CHECK struct conn_sides *conn_sides_new(struct arena *arena, const struct model *m,
    struct conn_pool *pool, size_t face_count);
void conn_sides_free(struct conn_sides *sides);

/* The side of a workload in one direction. */
MUST_CHECK struct conn_side *conn_side_of(
    struct conn_sides *sides, const struct workload *w, enum direction dir);
/* What `self` (an end of this side) may do with `peer`; families must be comparable. */
MUST_CHECK const struct conn_set *conn_side_set(
    struct conn_side *side, const struct conn_face *self, const struct conn_face *peer);
/* What it may do with the outside of one family; adjacent ranges differ. */
MUST_CHECK const struct conn_spans *conn_side_outside(
    struct conn_side *side, const struct conn_face *self, enum ip_family family);

/* Which protocols without ports there are in a family (0: either). */
MUST_CHECK unsigned conn_possible(unsigned family);

#endif
