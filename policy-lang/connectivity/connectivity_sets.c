/*
 * The sets of atoms of a relation, each of which it has once.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "policy-lang/connectivity/connectivity_builder.h"

/* Sets are looked up by a hash, so that no copy of what may be large is kept. */
static struct conn_atoms *
find_set(struct conn_relation *r, uint64_t hash, const roaring_bitmap_t *bits)
{
	struct str key = {(const char *)&hash, sizeof(hash)};
	struct conn_atoms *set = map_get(&r->set_by_hash, key);

	while (set != NULL && !roaring_bitmap_equals(set->bits, bits))
		set = set->next;
	return set;
}

static void
add_set(struct conn_relation *r, struct conn_atoms *set)
{
	struct str key = {(const char *)&set->hash, sizeof(set->hash)};

	if (r->set_count == r->set_cap) {
		r->set_cap = r->set_cap == 0 ? 64 : 2 * r->set_cap;
		r->sets =
		    xreallocarray(r->sets, r->set_cap, sizeof(struct conn_atoms *));
	}
	set->index = r->set_count;
	r->sets[r->set_count++] = set;
	/* The map keeps the key that it has, which is as long-lived. */
	set->next = map_set(&r->set_by_hash, key, set);
}

/* Takes the bitmap. */
static uint32_t
new_set(struct conn_relation *r, uint64_t hash, roaring_bitmap_t *bits)
{
	struct conn_atoms *set = ARENA_NEW(r->arena, struct conn_atoms);

	set->bits = bits;
	set->hash = hash;
	add_set(r, set);
	return set->index;
}

/* True if the set has just these atoms. */
static bool
has_just(const struct conn_atoms *set, const uint32_t *atoms, size_t count)
{
	if (roaring_bitmap_get_cardinality(set->bits) != count)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!roaring_bitmap_contains(set->bits, atoms[i]))
			return false;
	}
	return true;
}

uint32_t
conn_relation_set_of(
    struct conn_relation *relation, const uint32_t *atoms, size_t count)
{
	uint64_t hash =
	    map_hash((struct str){(const char *)atoms, count * sizeof(*atoms)});
	struct str key = {(const char *)&hash, sizeof(hash)};
	struct conn_atoms *set = map_get(&relation->set_by_hash, key);
	roaring_bitmap_t *bits;

	while (set != NULL && !has_just(set, atoms, count))
		set = set->next;
	if (set != NULL)
		return set->index;
	bits = conn_some(roaring_bitmap_of_ptr(count, atoms));
	(void)roaring_bitmap_run_optimize(bits);
	return new_set(relation, hash, bits);
}

/* A container that is as small as runs as it is as an array (a length, and its items)
 * stays what it was. True if there may be one, as the bitmap's text tells: with runs it
 * begins with this cookie and the number of containers but one; a single one follows nine
 * bytes. */
#define RUNS_COOKIE 12347
static bool
is_ambiguous(const struct buf *text, size_t count)
{
	uint32_t cookie;

	memcpy(&cookie, text->data, sizeof(cookie));
	cookie = le32toh(cookie);
	if ((cookie & 0xffff) != RUNS_COOKIE)
		return false;
	return cookie >> 16 != 0 || text->len - 9 == (count + 1) * sizeof(uint16_t);
}

static void
write_text(struct buf *text, roaring_bitmap_t *bits)
{
	(void)roaring_bitmap_run_optimize(bits);
	buf_clear(text);
	buf_reserve(text, roaring_bitmap_portable_size_in_bytes(bits));
	text->len = roaring_bitmap_portable_serialize(bits, text->data);
}

/* Packs the bitmap; its bytes, which are the same for the same atoms. */
static struct str
pack(struct buf *text, roaring_bitmap_t *bits, size_t count)
{
	write_text(text, bits);
	if (is_ambiguous(text, count)) {
		(void)roaring_bitmap_remove_run_compression(bits);
		write_text(text, bits);
	}
	return buf_str(text);
}

uint32_t
conn_relation_set(struct conn_relation *relation, struct roaring_bitmap_s *bits)
{
	struct conn_atoms *set;
	uint32_t few[CONN_FEW];
	size_t count = roaring_bitmap_get_cardinality(bits);
	uint64_t hash;

	if (count <= CONN_FEW) {
		roaring_bitmap_to_uint32_array(bits, few);
		roaring_bitmap_free(bits);
		return conn_relation_set_of(relation, few, count);
	}
	hash = map_hash(pack(&relation->scratch, bits, count));
	set = find_set(relation, hash, bits);
	if (set == NULL)
		return new_set(relation, hash, bits);
	roaring_bitmap_free(bits);
	return set->index;
}

/* Most atoms are one party: the others' parties beyond the first are counted by the bits
 * of their number. */
void
conn_relation_weigh(struct conn_relation *relation)
{
	for (uint32_t i = 0; i < relation->atom_count; i++) {
		uint32_t more = relation->atoms[i]->party_count - 1;

		for (unsigned bit = 0; more >> bit != 0; bit++) {
			if (relation->weights[bit] == NULL)
				relation->weights[bit] = conn_bitmap(relation->world);
			if ((more >> bit & 1) != 0)
				roaring_bitmap_add(relation->weights[bit], i);
		}
	}
}

size_t
conn_relation_parties(
    const struct conn_relation *relation, const struct roaring_bitmap_s *atoms)
{
	uint64_t count = roaring_bitmap_get_cardinality(atoms);

	for (unsigned bit = 0; bit < CONN_WEIGHTS && relation->weights[bit] != NULL;
	     bit++)
		count += roaring_bitmap_and_cardinality(atoms, relation->weights[bit])
			 << bit;
	return count;
}

size_t
conn_relation_set_parties(const struct conn_relation *relation, uint32_t set)
{
	struct conn_atoms *atoms = relation->sets[set];

	if (atoms->parties == 0)
		atoms->parties = conn_relation_parties(relation, atoms->bits);
	return atoms->parties;
}

/* A set, and what it is sorted by. */
struct place {
	struct conn_atoms *set;
	uint32_t first;
	uint64_t count;
};

static int
place_cmp(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	if (x->count != y->count)
		return x->count < y->count ? -1 : 1;
	return (x->set->index > y->set->index) - (x->set->index < y->set->index);
}

uint32_t *
conn_relation_number(struct conn_relation *r)
{
	uint32_t *number = xcalloc((size_t)r->set_count + 1, sizeof(*number));
	struct place *places = xcalloc((size_t)r->set_count + 1, sizeof(*places));

	for (uint32_t i = 0; i < r->set_count; i++)
		places[i] = (struct place){
		    .set = r->sets[i],
		    .first = roaring_bitmap_minimum(r->sets[i]->bits),
		    .count = roaring_bitmap_get_cardinality(r->sets[i]->bits),
		};
	if (r->set_count > 1)
		qsort(places, r->set_count, sizeof(*places), place_cmp);
	for (uint32_t i = 0; i < r->set_count; i++) {
		number[places[i].set->index] = i;
		places[i].set->index = i;
		r->sets[i] = places[i].set;
	}
	free(places);
	return number;
}
