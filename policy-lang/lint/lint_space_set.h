/*
 * Between lint_space*.c only: sets of numbers, and boxes put together.
 */
#ifndef POLICY_LANG_LINT_SPACE_SET_H
#define POLICY_LANG_LINT_SPACE_SET_H

#include "policy-lang/lint/lint_space.h"

#define NUM_MAX (~(addr_num)0)
/* Behind the columns: the names of one protocol are a range, so that a rule for the
 * whole protocol takes them in. */
#define NAMES_FIRST ((addr_num)1 << 32)
#define NAMES_COUNT ((addr_num)1 << 32)

/* The greatest value of a dimension; the least is 0. */
MUST_CHECK addr_num space_dim_max(uint32_t id);
/* A copy of the set in the arena. */
MUST_CHECK struct space_set space_set_keep(struct arena *a, const struct addrset *set);
MUST_CHECK struct space_set space_set_range(struct arena *a, addr_num lo, addr_num hi);
/* What is in both, and what up to `max` is not in the set. */
MUST_CHECK struct space_set space_set_meet(
    struct arena *a, struct space_set x, struct space_set y);
MUST_CHECK struct space_set space_set_rest(
    struct arena *a, struct space_set x, addr_num max);
MUST_CHECK bool space_set_covers(
    const struct space_set *outer, const struct space_set *inner);
MUST_CHECK bool space_set_has(const struct space_set *set, addr_num at);
/* True if something is in both. */
MUST_CHECK bool space_sets_meet(const struct space_set *x, const struct space_set *y);

void space_boxes_add(struct space_boxes *boxes, struct space_box box);

#endif
