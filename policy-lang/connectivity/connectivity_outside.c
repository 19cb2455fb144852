/*
 * What a side says of the outside, range by range.
 */
#include <stdlib.h>
#include <string.h>

#include "policy-lang/connectivity/connectivity_viewer.h"

/* The outside of one family, cut where the side's networks begin and end. */
struct cuts {
	addr_num *firsts;
	uint32_t count;
};

static int
num_cmp(const void *a, const void *b)
{
	addr_num x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

static struct addr_range
everything(enum ip_family family)
{
	struct ip_prefix prefix = {.addr = {.family = family}};

	return prefix_to_range(&prefix);
}

static struct cuts
find_cuts(const struct conn_viewer *v, unsigned f, enum ip_family family)
{
	struct cuts cuts = {0};
	addr_num last = everything(family).hi;
	size_t total = 1;
	uint32_t kept = 0;

	for (size_t i = 0; i < v->set_count; i++)
		total += 2 * v->plane->sets[v->sets[i].index]->nets[f].count;
	cuts.firsts = xcalloc(total, sizeof(*cuts.firsts));
	cuts.count = 1; /* the first address */
	for (size_t i = 0; i < v->set_count; i++) {
		const struct addrset *nets = &v->plane->sets[v->sets[i].index]->nets[f];

		for (size_t j = 0; j < nets->count; j++) {
			cuts.firsts[cuts.count++] = nets->ranges[j].lo;
			if (nets->ranges[j].hi != last)
				cuts.firsts[cuts.count++] = nets->ranges[j].hi + 1;
		}
	}
	qsort(cuts.firsts, cuts.count, sizeof(*cuts.firsts), num_cmp);
	for (uint32_t i = 0; i < cuts.count; i++) {
		if (kept == 0 || cuts.firsts[kept - 1] != cuts.firsts[i])
			cuts.firsts[kept++] = cuts.firsts[i];
	}
	cuts.count = kept;
	return cuts;
}

/* The range that begins there; `count` behind the last. */
static uint32_t
range_at(const struct cuts *cuts, addr_num first)
{
	uint32_t lo = 0, hi = cuts->count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (cuts->firsts[mid] < first)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void
cut_ranges(struct conn_viewer *v, const struct cuts *cuts, unsigned f, addr_num last)
{
	for (uint32_t i = 0; i < v->set_count; i++) {
		const struct addrset *nets = &v->plane->sets[v->sets[i].index]->nets[f];
		roaring_bitmap_t *ranges = roaring_bitmap_create();

		if (ranges == NULL)
			base_die("out of memory");
		for (size_t j = 0; j < nets->count; j++) {
			uint32_t end = nets->ranges[j].hi == last
					   ? cuts->count
					   : range_at(cuts, nets->ranges[j].hi + 1);

			roaring_bitmap_add_range(
			    ranges, range_at(cuts, nets->ranges[j].lo), end);
		}
		conn_cut_by(v, i, ranges, cuts->count);
		roaring_bitmap_free(ranges);
	}
}

static struct ip_addr
addr_of(addr_num num, enum ip_family family)
{
	struct ip_addr addr = {.family = family};

	addr_num_bytes(num, family, addr.bytes);
	return addr;
}

static const struct conn_spans *
spans_of(struct conn_viewer *v, const struct cuts *cuts, enum ip_family family)
{
	struct conn_spans *spans = ARENA_NEW(v->world->arena, struct conn_spans);
	struct endpoint outside = {.kind = ENDPOINT_ADDRESS};
	unsigned place = conn_family_place(family);
	struct conn_span *items =
	    ARENA_ARRAY(v->scratch, cuts->count, struct conn_span);

	for (uint32_t i = 0; i < cuts->count; i++) {
		const struct conn_set *set =
		    conn_view_judge(v, conn_cut_part(v, i), &outside, 1u << place)
			->sets[place];
		addr_num last = i + 1 < cuts->count ? cuts->firsts[i + 1] - 1
						    : everything(family).hi;

		if (spans->count == 0 || items[spans->count - 1].set != set)
			items[spans->count++] = (struct conn_span){
			    .first = addr_of(cuts->firsts[i], family), .set = set};
		items[spans->count - 1].last = addr_of(last, family);
	}
	spans->items = ARENA_ARRAY(v->world->arena, spans->count, struct conn_span);
	for (size_t i = 0; i < spans->count; i++)
		spans->items[i] = items[i];
	return spans;
}

const struct conn_spans *
conn_view_outside(struct conn_viewer *v, enum ip_family family)
{
	unsigned f = family == IP_V6;
	struct cuts cuts = find_cuts(v, f, family);
	const struct conn_spans *spans;

	conn_cut_begin(v, cuts.count);
	cut_ranges(v, &cuts, f, everything(family).hi);
	spans = spans_of(v, &cuts, family);
	conn_cut_forget(v);
	free(cuts.firsts);
	return spans;
}

const struct conn_spans *
conn_whole_outside(struct conn_world *world, enum ip_family family)
{
	struct conn_spans *spans = ARENA_NEW(world->arena, struct conn_spans);
	struct addr_range all = everything(family);

	spans->items = ARENA_NEW(world->arena, struct conn_span);
	spans->items[0] = (struct conn_span){
	    addr_of(all.lo, family),
	    addr_of(all.hi, family),
	    conn_set_all(world->pool, conn_possible(family)),
	};
	spans->count = 1;
	return spans;
}
