/*
 * Sets of numbers in an arena: what a dimension of a box may be.
 */
#include "policy-lang/lint/lint_space_set.h"

#include <string.h>

/* The greatest value of a dimension; the least is 0. */
addr_num
space_dim_max(uint32_t id)
{
	switch (id) {
	case DIM_PEER_KIND:
		return 2;
	case DIM_PEER_ADDRESSED:
		return 1;
	default:
		return NUM_MAX;
	}
}

/* A copy of the set in the arena. */
struct space_set
space_set_keep(struct arena *a, const struct addrset *set)
{
	struct addr_range *ranges = ARENA_ARRAY(a, set->count, struct addr_range);

	if (set->count != 0) /* else there may be no ranges to point to */
		memcpy(ranges, set->ranges, set->count * sizeof(*ranges));
	return (struct space_set){ranges, (uint32_t)set->count};
}

struct space_set
space_set_range(struct arena *a, addr_num lo, addr_num hi)
{
	struct addr_range *range = ARENA_NEW(a, struct addr_range);

	*range = (struct addr_range){lo, hi};
	return (struct space_set){range, 1};
}

/* May be empty. */
struct space_set
space_set_meet(struct arena *a, struct space_set x, struct space_set y)
{
	struct addr_range *out = ARENA_ARRAY(a, x.count + y.count, struct addr_range);
	uint32_t i = 0, j = 0, count = 0;

	while (i < x.count && j < y.count) {
		const struct addr_range *p = &x.ranges[i], *q = &y.ranges[j];
		addr_num lo = p->lo > q->lo ? p->lo : q->lo;
		addr_num hi = p->hi < q->hi ? p->hi : q->hi;

		if (lo <= hi)
			out[count++] = (struct addr_range){lo, hi};
		if (p->hi < q->hi)
			i++;
		else
			j++;
	}
	return (struct space_set){out, count};
}

/* Everything up to `max` that is not in it; may be empty. */
struct space_set
space_set_rest(struct arena *a, struct space_set x, addr_num max)
{
	struct addr_range *out = ARENA_ARRAY(a, x.count + 1, struct addr_range);
	uint32_t count = 0;
	addr_num next = 0;

	for (uint32_t i = 0; i < x.count; i++) {
		if (x.ranges[i].lo > next)
			out[count++] = (struct addr_range){next, x.ranges[i].lo - 1};
		if (x.ranges[i].hi >= max)
			return (struct space_set){out, count};
		next = x.ranges[i].hi + 1;
	}
	out[count++] = (struct addr_range){next, max};
	return (struct space_set){out, count};
}

bool
space_set_covers(const struct space_set *outer, const struct space_set *inner)
{
	uint32_t j = 0;

	if (outer->ranges == inner->ranges)
		return true;
	for (uint32_t i = 0; i < inner->count; i++) {
		while (j < outer->count && outer->ranges[j].hi < inner->ranges[i].lo)
			j++;
		if (j == outer->count || outer->ranges[j].lo > inner->ranges[i].lo ||
		    outer->ranges[j].hi < inner->ranges[i].hi)
			return false;
	}
	return true;
}

bool
space_set_has(const struct space_set *set, addr_num at)
{
	uint32_t lo = 0, hi = set->count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (set->ranges[mid].hi < at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < set->count && set->ranges[lo].lo <= at;
}

bool
space_sets_meet(const struct space_set *x, const struct space_set *y)
{
	uint32_t i = 0, j = 0;

	while (i < x->count && j < y->count) {
		if (x->ranges[i].hi < y->ranges[j].lo)
			i++;
		else if (y->ranges[j].hi < x->ranges[i].lo)
			j++;
		else
			return true;
	}
	return false;
}

bool
space_is_points(const struct space_set *set)
{
	if (set->count > 16)
		return false;
	for (uint32_t i = 0; i < set->count; i++) {
		if (set->ranges[i].lo != set->ranges[i].hi)
			return false;
	}
	return true;
}
