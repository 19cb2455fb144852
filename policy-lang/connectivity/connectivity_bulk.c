/*
 * The largest sets that a side speaks of, and most sides speak of some such, are cut by
 * as words. Their members are met one by one only if something is said of them that is
 * not said of the rest.
 */
#include <string.h>

#include "policy-lang/connectivity/connectivity_viewer.h"

/* A set of fewer is not worth its words, which are never more than its members then. */
static bool
is_bulk(size_t count, size_t total)
{
	return count >= 4 && count >= total / 64;
}

static size_t
words_of(size_t total)
{
	return (total + 63) / 64;
}

/* The set's words, made when they are first asked for. */
static const uint64_t *
set_words(struct conn_viewer *v, struct conn_peers *set, size_t total)
{
	size_t count;

	if (set->words != NULL)
		return set->words;
	set->words = ARENA_ARRAY(v->world->arena, words_of(total), uint64_t);
	count = conn_cut_members(v, set->classes);
	for (size_t i = 0; i < count; i++)
		set->words[v->members[i] / 64] |= UINT64_C(1) << v->members[i] % 64;
	return set->words;
}

/* Puts a set among the largest, of which the least falls out. */
static void
offer(struct conn_viewer *v, size_t *sizes, uint32_t place, size_t size, bool base)
{
	unsigned at = v->bulk_count;

	if (at < CONN_BULK)
		v->bulk_count++;
	else if (sizes[--at] >= size)
		return;
	for (; at > 0 && sizes[at - 1] < size; at--) {
		sizes[at] = sizes[at - 1];
		v->bulk[at] = v->bulk[at - 1];
	}
	sizes[at] = size;
	v->bulk[at] = (struct conn_bulk){.place = place, .base = base};
}

void
conn_bulk_choose(struct conn_viewer *v, size_t total)
{
	size_t sizes[CONN_BULK];

	v->bulk_total = total;
	for (uint32_t i = 0; i < v->set_count; i++) {
		const struct conn_peers *set = v->plane->sets[v->sets[i].index];
		size_t count = roaring_bitmap_get_cardinality(set->classes);
		bool base = count > total / 2;

		if (base)
			count = total - count;
		if (is_bulk(count, total))
			offer(v, sizes, i, count, base);
	}
	for (unsigned i = 0; i < v->bulk_count; i++) {
		struct conn_bulk *bulk = &v->bulk[i];

		v->sets[bulk->place].base = bulk->base;
		bulk->words =
		    set_words(v, v->plane->sets[v->sets[bulk->place].index], total);
	}
}

bool
conn_bulk_has(const struct conn_viewer *v, uint32_t place)
{
	for (unsigned i = 0; i < v->bulk_count; i++) {
		if (v->bulk[i].place == place)
			return true;
	}
	return false;
}

/* Those that are in the set, or that are not if most are. */
static uint64_t
word_at(const struct conn_bulk *bulk, size_t i)
{
	return bulk->base ? ~bulk->words[i] : bulk->words[i];
}

static uint32_t
part_of_mask(struct conn_viewer *v, unsigned mask)
{
	unsigned top = CONN_BULK - 1;

	if (mask == 0 || v->bulk_parts[mask] != 0)
		return v->bulk_parts[mask];
	while ((mask >> top & 1) == 0)
		top--;
	v->bulk_parts[mask] = conn_cut_new_part(
	    v, part_of_mask(v, mask & ~(1u << top)), v->bulk[top].place);
	return v->bulk_parts[mask];
}

uint32_t
conn_bulk_part(struct conn_viewer *v, uint32_t element)
{
	unsigned mask = 0;

	for (unsigned i = 0; i < v->bulk_count; i++)
		mask |=
		    (unsigned)(word_at(&v->bulk[i], element / 64) >> element % 64 & 1)
		    << i;
	return part_of_mask(v, mask);
}

/* The elements of a word that are in just these of the large sets. */
static uint64_t
word_of_mask(const struct conn_viewer *v, unsigned mask, size_t i)
{
	uint64_t word = ~UINT64_C(0);

	for (unsigned j = 0; j < v->bulk_count; j++) {
		uint64_t in = word_at(&v->bulk[j], i);

		word &= (mask >> j & 1) != 0 ? in : ~in;
	}
	if (i == v->bulk_total / 64)
		word &= (UINT64_C(1) << v->bulk_total % 64) - 1;
	return word;
}

uint32_t
conn_bulk_next(const struct conn_viewer *v, unsigned mask, uint32_t from, uint32_t none)
{
	size_t i = from / 64;
	uint64_t after = ~UINT64_C(0) << from % 64;

	for (; i < words_of(v->bulk_total); i++, after = ~UINT64_C(0)) {
		uint64_t word = word_of_mask(v, mask, i) & after;

		for (; word != 0; word &= word - 1) {
			uint32_t element =
			    (uint32_t)(i * 64) + (uint32_t)__builtin_ctzll(word);

			if (v->part_of[element] == 0)
				return element;
		}
	}
	return none;
}
