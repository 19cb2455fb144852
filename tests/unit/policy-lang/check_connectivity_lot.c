/*
 * Lots of atoms against plain arrays of who is in them; and the nearest of some sets
 * against all of them asked one by one.
 */
#include "policy-lang/connectivity/connectivity_lot.h"

#include <check.h>
#include <stdlib.h>

#include "policy-lang/connectivity/connectivity_reference.h"
#include "policy-lang/connectivity/connectivity_relation.h"

#define ATOMS  200
#define ROUNDS 3000
#define SETS   64

static unsigned seed;

static unsigned
start(void)
{
	const char *text = getenv("RINGFENCE_SEED");

	seed = text != NULL ? (unsigned)atoi(text) : 1;
	srand(seed);
	return seed;
}

static unsigned
below(unsigned limit)
{
	return (unsigned)rand() % limit;
}

/* Some atoms, few or many, one by one or in runs. */
static void
choose(bool *in)
{
	unsigned sparse = 1 + below(3) * below(40), run = 1 + below(30);

	for (unsigned i = 0; i < ATOMS; i += run) {
		bool some = below(sparse) == 0;

		for (unsigned j = i; j < i + run && j < ATOMS; j++)
			in[j] = some;
	}
}

static roaring_bitmap_t *
bitmap(const bool *in)
{
	roaring_bitmap_t *bits = roaring_bitmap_create();

	for (uint32_t i = 0; i < ATOMS; i++) {
		if (in[i])
			roaring_bitmap_add(bits, i);
	}
	if (below(2) == 0)
		(void)roaring_bitmap_run_optimize(bits);
	return bits;
}

static void
make(struct conn_lot *lot, const bool *in)
{
	uint32_t items[ATOMS];
	size_t count = 0;

	for (uint32_t i = 0; i < ATOMS; i++) {
		if (in[i])
			items[count++] = i;
	}
	if (below(2) == 0)
		conn_lot_list(lot, items, count);
	else
		conn_lot_take(lot, bitmap(in));
}

/* Takes the lot. */
static void
check(struct conn_lot *lot, const bool *in)
{
	roaring_bitmap_t *bits;
	bool none = conn_lot_empty(lot);
	size_t count = 0;

	bits = conn_lot_give(lot);
	for (uint32_t i = 0; i < ATOMS; i++) {
		if (roaring_bitmap_contains(bits, i) != in[i])
			ck_abort_msg("seed %u: %u", seed, i);
		count += in[i];
	}
	ck_assert_msg(roaring_bitmap_get_cardinality(bits) == count, "seed %u", seed);
	ck_assert_msg(none == (count == 0), "seed %u", seed);
	roaring_bitmap_free(bits);
}

START_TEST(lots_are_sets)
{
	(void)start();
	for (unsigned round = 0; round < ROUNDS; round++) {
		bool a[ATOMS], b[ATOMS], both[ATOMS], either[ATOMS], left[ATOMS];
		struct conn_lot one, two, borrowed, out;
		roaring_bitmap_t *bits;

		choose(a);
		choose(b);
		for (unsigned i = 0; i < ATOMS; i++) {
			both[i] = a[i] && b[i];
			either[i] = a[i] || b[i];
			left[i] = a[i] && !b[i];
		}
		make(&one, a);
		make(&two, b);
		bits = bitmap(b);
		conn_lot_meet(&one, &two, &out);
		check(&out, both);
		conn_lot_meet_bits(&one, bits, &out);
		check(&out, both);
		conn_lot_borrow(&borrowed, &one);
		conn_lot_add(&borrowed, &two);
		check(&borrowed, either);
		conn_lot_borrow(&borrowed, &one);
		conn_lot_drop(&borrowed, &two);
		check(&borrowed, left);
		conn_lot_borrow(&borrowed, &one);
		conn_lot_drop_bits(&borrowed, bits);
		check(&borrowed, left);
		/* Who borrows changes nothing of the lender's. */
		conn_lot_add(&two, &one);
		check(&two, either);
		check(&one, a);
		roaring_bitmap_free(bits);
	}
}
END_TEST

/* As the header says it: words, which count double where there is a name to tell; nobody
 * and everybody if they are no worse; of equals the first. */
static size_t
nearest_of(const struct conn_references *refs, const roaring_bitmap_t *bits)
{
	uint64_t least = UINT64_MAX;
	size_t found = 0;

	for (size_t i = 0; i < refs->count; i++) {
		uint64_t apart =
		    roaring_bitmap_xor_cardinality(refs->items[i].bits, bits);
		uint64_t cost = i < REFERENCE_FIXED ? apart : 2 * apart + 1;

		if (cost < least) {
			least = cost;
			found = i;
		}
	}
	return found;
}

START_TEST(nearest_is_nearest)
{
	bool nobody[ATOMS] = {0}, everybody[ATOMS], like[SETS][ATOMS];
	roaring_bitmap_t *fixed[2], *sets[ROUNDS];
	struct conn_references refs;

	(void)start();
	for (unsigned i = 0; i < ATOMS; i++)
		everybody[i] = true;
	for (unsigned i = 0; i < SETS; i++)
		choose(like[i]);
	fixed[0] = bitmap(nobody);
	fixed[1] = bitmap(everybody);
	conn_references_init(&refs, fixed[0], fixed[1]);
	for (unsigned round = 0; round < ROUNDS; round++) {
		bool in[ATOMS];
		const bool *near = like[below(SETS)];
		const struct conn_reference *ref;
		size_t expected;

		for (unsigned i = 0; i < ATOMS; i++)
			in[i] = near[i] != (below(12) == 0);
		sets[round] = bitmap(in);
		expected = nearest_of(&refs, sets[round]);
		ref = conn_references_nearest(&refs, sets[round]);
		if (ref != &refs.items[expected])
			ck_abort_msg("seed %u round %u: %zu, not %zu", seed, round,
			    (size_t)(ref - refs.items), expected);
		if (below(3) == 0)
			conn_references_keep(&refs, STR("set"), sets[round]);
	}
	for (unsigned i = 0; i < ROUNDS; i++)
		roaring_bitmap_free(sets[i]);
	roaring_bitmap_free(fixed[0]);
	roaring_bitmap_free(fixed[1]);
}
END_TEST

/* 42 atoms in 21 runs: as runs they take as many bytes as one by one. */
static roaring_bitmap_t *
even_chances(bool runs)
{
	roaring_bitmap_t *bits = roaring_bitmap_create(), *some, *all;

	for (uint32_t i = 0; i < 42; i++)
		roaring_bitmap_add(bits, i / 2 * 4 + i % 2);
	if (!runs)
		return bits;
	all = roaring_bitmap_from_range(0, 100, 1);
	roaring_bitmap_add_range(bits, 150, 199);
	(void)roaring_bitmap_run_optimize(bits);
	(void)roaring_bitmap_run_optimize(all);
	some = roaring_bitmap_and(bits, all);
	roaring_bitmap_free(bits);
	roaring_bitmap_free(all);
	return some;
}

START_TEST(same_atoms_same_set)
{
	struct arena *arena = arena_new();
	struct conn_relation relation = {.arena = arena};
	roaring_bitmap_t *runs = even_chances(true), *list = even_chances(false);
	roaring_bitmap_t *probe = even_chances(true);
	uint32_t few[3] = {1, 5, 6}, set;

	ck_assert(roaring_bitmap_equals(runs, list));
	ck_assert_msg(roaring_bitmap_remove_run_compression(probe),
	    "there are no runs to tell from");
	roaring_bitmap_free(probe);
	ck_assert_uint_eq(
	    conn_relation_set(&relation, runs), conn_relation_set(&relation, list));
	set = conn_relation_set_of(&relation, few, 3);
	ck_assert_uint_eq(
	    conn_relation_set(&relation, roaring_bitmap_of_ptr(3, few)), set);
	ck_assert_uint_ne(conn_relation_set_of(&relation, few, 2), set);
	ck_assert_uint_eq(relation.set_count, 3);
	conn_relation_free(&relation);
	arena_free(arena);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("connectivity_lot");
	TCase *tc = tcase_create("lots");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, lots_are_sets);
	tcase_add_test(tc, nearest_is_nearest);
	tcase_add_test(tc, same_atoms_same_set);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
