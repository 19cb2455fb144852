#include "common/map.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS 5000

static char key_texts[KEYS][16];

static struct str
key(size_t i)
{
	(void)snprintf(key_texts[i], sizeof(key_texts[i]), "key-%zu", i);
	return str_from(key_texts[i]);
}

/* The reference vectors of SipHash-2-4: key 00 01 .. 0f, input 00 01 .. (n-1). From the
 * paper (n = 15) and the vector table of its authors (n = 0, 1, 7, 8). */
static const struct {
	size_t len;
	uint64_t hash;
} vectors[] = {
    {0, UINT64_C(0x726fdb47dd0e0e31)},
    {1, UINT64_C(0x74f839c593dc67fd)},
    {7, UINT64_C(0xab0200f58b01d137)},
    {8, UINT64_C(0x93f5f5799a932462)},
    {15, UINT64_C(0xa129ca6149be45e5)},
};

START_TEST(map_siphash_gives_reference_value)
{
	char input[16];

	for (size_t i = 0; i < sizeof(input); i++)
		input[i] = (char)i;
	ck_assert_uint_eq(
	    map_siphash(UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908),
		(struct str){input, vectors[_i].len}),
	    vectors[_i].hash);
}
END_TEST

START_TEST(map_hash_is_stable_within_a_process)
{
	ck_assert_uint_eq(map_hash(STR("a")), map_hash(STR("a")));
	ck_assert_uint_ne(map_hash(STR("a")), map_hash(STR("b")));
}
END_TEST

START_TEST(map_get_is_null_when_empty)
{
	struct map m = {0};

	ck_assert_ptr_null(map_get(&m, STR("a")));
	ck_assert_ptr_null(map_remove(&m, STR("a")));
	map_fini(&m);
}
END_TEST

START_TEST(map_set_returns_former_value)
{
	struct map m = {0};
	int one, two;

	ck_assert_ptr_null(map_set(&m, STR("a"), &one));
	ck_assert_ptr_eq(map_set(&m, STR("a"), &two), &one);
	ck_assert_uint_eq(m.len, 1);
	ck_assert_ptr_eq(map_get(&m, STR("a")), &two);
	ck_assert_ptr_null(map_get(&m, STR("")));
	ck_assert_ptr_null(map_set(&m, (struct str){NULL, 0}, &one));
	ck_assert_ptr_eq(map_get(&m, STR("")), &one);
	map_fini(&m);
}
END_TEST

START_TEST(map_keeps_order_of_insertion)
{
	struct map m = {0};

	for (size_t i = 0; i < KEYS; i++)
		ck_assert_ptr_null(map_set(&m, key(i), key_texts[i]));
	for (size_t i = 0; i < KEYS; i++)
		ck_assert_ptr_eq(m.entries[i].value, key_texts[i]);
	map_fini(&m);
}
END_TEST

START_TEST(map_removal_moves_last_into_gap)
{
	struct map m = {0};

	for (size_t i = 0; i < 5; i++)
		(void)map_set(&m, key(i), key_texts[i]);
	ck_assert_ptr_eq(map_remove(&m, key(1)), key_texts[1]);
	ck_assert_uint_eq(m.len, 4);
	ck_assert_ptr_eq(m.entries[1].value, key_texts[4]);
	ck_assert_ptr_null(map_get(&m, key(1)));
	ck_assert_ptr_eq(map_get(&m, key(4)), key_texts[4]);
	map_fini(&m);
}
END_TEST

/* Random sets and removals against a plain array of what should be there. */
START_TEST(map_agrees_with_array_when_random)
{
	static bool present[KEYS];
	unsigned seed = 20260102;
	struct map m = {0};
	size_t expected = 0;

	for (size_t i = 0; i < KEYS; i++)
		(void)key(i);
	for (int step = 0; step < 200000; step++) {
		size_t i = (size_t)rand_r(&seed) % KEYS;
		struct str k = str_from(key_texts[i]);
		void *former;

		if (rand_r(&seed) % 2 == 0) {
			former = map_set(&m, k, key_texts[i]);
			expected += present[i] ? 0 : 1;
		} else {
			former = map_remove(&m, k);
			expected -= present[i] ? 1 : 0;
		}
		ck_assert_ptr_eq(former, present[i] ? key_texts[i] : NULL);
		present[i] = map_get(&m, k) != NULL;
		ck_assert_uint_eq(m.len, expected);
	}
	for (size_t i = 0; i < KEYS; i++)
		ck_assert((map_get(&m, str_from(key_texts[i])) != NULL) == present[i]);
	map_fini(&m);
	ck_assert_uint_eq(m.len, 0);
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("map");
	TCase *tc = tcase_create("map");

	tcase_add_loop_test(
	    tc, map_siphash_gives_reference_value, 0, ARRAY_LEN(vectors));
	tcase_add_test(tc, map_hash_is_stable_within_a_process);
	tcase_add_test(tc, map_get_is_null_when_empty);
	tcase_add_test(tc, map_set_returns_former_value);
	tcase_add_test(tc, map_keeps_order_of_insertion);
	tcase_add_test(tc, map_removal_moves_last_into_gap);
	tcase_add_test(tc, map_agrees_with_array_when_random);
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	SRunner *runner = srunner_create(make_suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
