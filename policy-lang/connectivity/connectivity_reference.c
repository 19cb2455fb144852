/*
 * The nearest of a few sets. To count what two large sets have in common is dear: what is
 * known of how far apart the references are tells of most that they cannot be nearest.
 */
#include "policy-lang/connectivity/connectivity_reference.h"

static struct conn_distance
exactly(uint64_t distance)
{
	return (struct conn_distance){distance, distance};
}

void
conn_references_init(struct conn_references *refs, const roaring_bitmap_t *nobody,
    const roaring_bitmap_t *everybody)
{
	uint64_t all = roaring_bitmap_get_cardinality(everybody);

	*refs = (struct conn_references){.count = REFERENCE_FIXED};
	refs->items[0].bits = nobody;
	refs->items[1].bits = everybody;
	refs->items[1].count = all;
	refs->between[0][1] = refs->between[1][0] = exactly(all);
}

/* The set differs from one reference by so much: what that means for the others. */
static void
learn(struct conn_references *refs, size_t ref, uint64_t distance)
{
	refs->from[ref] = exactly(distance);
	for (size_t i = 0; i < refs->count; i++) {
		const struct conn_distance *between = &refs->between[ref][i];
		struct conn_distance *from = &refs->from[i];
		uint64_t most = between->most + distance;
		uint64_t least = 0;

		if (between->least > distance)
			least = between->least - distance;
		else if (distance > between->most)
			least = distance - between->most;
		from->least = least > from->least ? least : from->least;
		from->most = most < from->most ? most : from->most;
	}
}

/* What a set has in common with nobody and everybody is known. */
static void
begin(struct conn_references *refs, uint64_t count)
{
	for (size_t i = 0; i < refs->count; i++)
		refs->from[i] = (struct conn_distance){0, UINT64_MAX};
	learn(refs, 0, count);
	learn(refs, 1, refs->items[1].count - count);
}

static uint64_t
distance_to(struct conn_references *refs, size_t ref, const roaring_bitmap_t *bits,
    uint64_t count)
{
	const struct conn_reference *r = &refs->items[ref];

	if (refs->from[ref].least != refs->from[ref].most)
		learn(refs, ref,
		    count + r->count -
			2 * roaring_bitmap_and_cardinality(r->bits, bits));
	return refs->from[ref].least;
}

/* How many words it takes to tell a set from a reference that it differs from by so much.
 */
static uint64_t
cost_of(size_t ref, uint64_t distance)
{
	return ref < REFERENCE_FIXED ? distance : 2 * distance + 1;
}

/* Neighbours are alike: what the last set was told from is asked first, so that others
 * need not be. */
const struct conn_reference *
conn_references_nearest(struct conn_references *refs, const roaring_bitmap_t *bits)
{
	uint64_t count = roaring_bitmap_get_cardinality(bits);
	size_t best = refs->last;
	uint64_t least;

	begin(refs, count);
	least = cost_of(best, distance_to(refs, best, bits, count));
	for (size_t i = 0; i < refs->count; i++) {
		uint64_t most = i < best ? least : least - 1;
		uint64_t cost;

		if (i == refs->last || least == 0 ||
		    cost_of(i, refs->from[i].least) > most)
			continue;
		cost = cost_of(i, distance_to(refs, i, bits, count));
		if (cost <= most) {
			least = cost;
			best = i;
		}
	}
	refs->last = best;
	refs->items[best].used = ++refs->clock;
	return &refs->items[best];
}

static size_t
oldest(const struct conn_references *refs)
{
	size_t found = REFERENCE_FIXED;

	for (size_t i = REFERENCE_FIXED; i < refs->count; i++) {
		if (refs->items[i].used < refs->items[found].used)
			found = i;
	}
	return found;
}

void
conn_references_keep(
    struct conn_references *refs, struct str name, const roaring_bitmap_t *bits)
{
	size_t at = refs->count < REFERENCE_MAX ? refs->count++ : oldest(refs);

	refs->items[at] = (struct conn_reference){
	    name, bits, roaring_bitmap_get_cardinality(bits), ++refs->clock};
	for (size_t i = 0; i < refs->count; i++)
		refs->between[at][i] = refs->between[i][at] = refs->from[i];
	refs->between[at][at] = exactly(0);
}
