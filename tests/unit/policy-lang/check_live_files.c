/* Files by the names of their sources, against an array. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy-lang/live/live_internal.h"

#define NAMES 300
#define STEPS 20000

static uint64_t random_state;

static uint32_t
random_below(uint32_t limit)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random_state >> 33) % limit;
}

static char texts[NAMES][16];
static struct source sources[NAMES];
static struct live_file files[2][NAMES]; /* two of each name */

static void
make_files(void)
{
	for (size_t i = 0; i < NAMES; i++) {
		int len = snprintf(texts[i], sizeof(texts[i]), "pods/ns/%zu", i);

		ck_assert_int_gt(len, 0);
		sources[i] = (struct source){.name = {texts[i], (size_t)len}};
		files[0][i].source = files[1][i].source = &sources[i];
	}
}

static void
compare(const struct live_files *t, struct live_file *const *there, unsigned seed)
{
	size_t used = 0;

	for (size_t i = 0; i < NAMES; i++) {
		used += there[i] != NULL;
		if (live_files_get(t, sources[i].name) != there[i])
			ck_abort_msg("seed %u: name %zu", seed, i);
	}
	ck_assert_uint_eq(t->used, used);
}

/* It grows, shrinks, grows again; sometimes it was told how far. */
START_TEST(files_equal_array_after_random_changes)
{
	struct live_file *there[NAMES] = {NULL};
	struct live_files t = {0};
	const unsigned seed = 1u + (unsigned)_i;

	random_state = seed;
	make_files();
	if (_i % 2 == 0)
		live_files_reserve(&t, random_below(NAMES));
	for (uint32_t step = 0; step < STEPS; step++) {
		const bool grows = step / 4000 % 2 == 0;
		const uint32_t i = random_below(NAMES);

		if (random_below(4) != 0 ? grows : !grows) {
			struct live_file *f = &files[random_below(2)][i];

			ck_assert_ptr_eq(live_files_put(&t, f), there[i]);
			there[i] = f;
		} else {
			live_files_remove(&t, sources[i].name);
			there[i] = NULL;
		}
		if (step % 500 == 0)
			compare(&t, there, seed);
	}
	compare(&t, there, seed);
	live_files_fini(&t);
}
END_TEST

START_TEST(what_was_reserved_is_enough)
{
	struct live_files t = {0};
	struct live_file **items;

	make_files();
	live_files_reserve(&t, NAMES);
	items = t.items;
	for (size_t i = 0; i < NAMES; i++)
		ck_assert_ptr_null(live_files_put(&t, &files[0][i]));
	ck_assert_ptr_eq(t.items, items);
	live_files_fini(&t);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("live_files");
	TCase *tc = tcase_create("live_files");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(tc, files_equal_array_after_random_changes, 0, 4);
	tcase_add_test(tc, what_was_reserved_is_enough);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
