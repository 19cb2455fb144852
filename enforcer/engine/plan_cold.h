/*
 * The first program of a node, which may be large, in several transactions. Pure.
 */
#ifndef ENFORCER_PLAN_COLD_H
#define ENFORCER_PLAN_COLD_H

#include "enforcer/engine/plan.h"

/* Batches, one transaction each, in this order. */
struct plan_stages {
	struct op_batch *batches;
	size_t count;
};

/* One batch, as plan_make has it. */
void plan_at_once(struct arena *arena, const struct table_content *from,
    const struct table_content *to, struct plan_stages *out);

/*
 * Whatever there is into `to`, where nothing is let through yet: the table without anybody
 * in it, but with the gate, closed; then its elements, at most `chunk` at a time, to which
 * nothing leads; then, at once, who is governed; at last, some at a time, who is known, and
 * passes the gate to be judged by all that policy says.
 * Elements that `to` only counts are left to be listed: `elements` is NULL in the one
 * operation of each such batch. Batches of one set follow each other.
 */
void plan_cold(struct arena *arena, const struct table_content *to, size_t chunk,
    struct plan_stages *out);

#endif
