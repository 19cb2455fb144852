#include "common/arena.h"

#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool
is_zero(const unsigned char *p, size_t len)
{
	return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

/* The most that a type of the size can ask for. */
static size_t
alignment(size_t size)
{
	size_t align = 1;

	while (align < _Alignof(max_align_t) && size % (align * 2) == 0)
		align *= 2;
	return align;
}

/* Allocates sizes of every kind, checks that the memory is zeroed and aligned, and
 * fills it; then checks that no allocation reached into another. */
static void
fill_and_check(struct arena *a, size_t total)
{
	static const size_t sizes[] = {
	    1, 15, 16, 17, 24, 100, 5000, 20000, 70000, 300000};
	unsigned char *parts[4096];
	size_t lens[4096], count = 0;

	for (size_t sum = 0; sum < total && count < 4096; count++) {
		lens[count] =
		    sizes[(count * 7 + count / 9) % (sizeof(sizes) / sizeof(*sizes))];
		parts[count] = arena_alloc(a, lens[count]);
		ck_assert_uint_eq((uintptr_t)parts[count] % alignment(lens[count]), 0);
		ck_assert(is_zero(parts[count], lens[count]));
		memset(parts[count], (int)(count % 255 + 1), lens[count]);
		sum += lens[count];
	}
	for (size_t i = 0; i < count; i++) {
		ck_assert_uint_eq(parts[i][0], i % 255 + 1);
		ck_assert_mem_eq(parts[i], parts[i] + 1, lens[i] - 1);
	}
}

START_TEST(arena_gives_zeroed_separate_memory)
{
	struct arena *a = arena_new();

	fill_and_check(a, 40 * 1024 * 1024);
	ck_assert_uint_ge(arena_bytes(a), 40 * 1024 * 1024);
	arena_free(a);
	arena_free(NULL);
}
END_TEST

START_TEST(arena_gives_zeroed_memory_again_after_reset)
{
	struct arena *a = arena_new();

	for (int round = 0; round < 3; round++) {
		fill_and_check(a, 20 * 1024 * 1024);
		arena_reset(a);
		ck_assert_uint_eq(arena_bytes(a), 0);
	}
	arena_free(a);
}
END_TEST

START_TEST(arena_may_have_small_chunks)
{
	struct arena *a = arena_new_sized(256);

	fill_and_check(a, 3 * 1024 * 1024);
	arena_reset(a);
	fill_and_check(a, 1000);
	arena_free(a);
}
END_TEST

START_TEST(arena_copies_texts)
{
	struct arena *a = arena_new();

	ck_assert_str_eq(arena_strndup(a, "abcdef", 3), "abc");
	ck_assert_str_eq(arena_strndup(a, NULL, 0), "");
	ck_assert_str_eq(arena_strdup(a, "x"), "x");
	ck_assert_str_eq(arena_printf(a, "%s-%d", "n", 7), "n-7");
	ck_assert_ptr_nonnull(arena_array(a, 0, 8));
	arena_free(a);
}
END_TEST

START_TEST(arena_is_as_it_was_after_rewind)
{
	static const size_t sizes[] = {8, 5000, 70000, 300000};
	struct arena *a = arena_new();
	char *kept = arena_strdup(a, "kept");
	size_t bytes = arena_bytes(a);

	/* From an empty chunk to one that is nearly full, small and large. */
	for (unsigned round = 0; round < 200; round++) {
		struct arena_mark mark = arena_mark(a);

		for (unsigned i = 0; i < 4; i++) {
			size_t size = sizes[(i + round) % 4];
			unsigned char *p = arena_alloc(a, size);

			ck_assert(is_zero(p, size));
			memset(p, 0xa5, size);
		}
		arena_rewind(a, &mark);
		ck_assert_uint_eq(arena_bytes(a), bytes);
		memset(arena_alloc(a, 1000), 0x5a, 1000);
		bytes = arena_bytes(a);
		ck_assert_str_eq(kept, "kept");
	}
	arena_free(a);
}
END_TEST

START_TEST(arena_can_be_rewound_to_its_beginning)
{
	struct arena *a = arena_new();
	struct arena_mark mark = arena_mark(a);

	for (unsigned round = 0; round < 3; round++) {
		fill_and_check(a, 8 * 1024 * 1024);
		arena_rewind(a, &mark);
		ck_assert_uint_eq(arena_bytes(a), 0);
	}
	arena_free(a);
}
END_TEST

#ifdef RINGFENCE_SANITIZED
static const bool gives_back = false; /* nothing is mapped then */
#else
static const bool gives_back = true;
#endif

/* How many pages of a range are in memory. */
static size_t
count_resident(unsigned char *p, size_t bytes)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char *from = p + (-(uintptr_t)p & (page - 1)), here;
	size_t count = 0;

	for (; from + page <= p + bytes; from += page) {
		ck_assert_int_eq(mincore(from, page, &here), 0);
		count += here & 1;
	}
	return count;
}

START_TEST(arena_gives_back_what_is_not_in_use)
{
	const size_t unused = 1024 * 1024;
	struct arena *a = arena_new();
	char *kept = arena_strdup(a, "kept");
	struct arena_mark mark;
	unsigned char *p;

	fill_and_check(a, 9 * 1024 * 1024); /* by then its chunks are mapped */
	mark = arena_mark(a);
	p = arena_alloc(a, unused);
	memset(p, 0xa5, unused);
	arena_rewind(a, &mark);
	arena_settle(a);
	p = arena_alloc(a, unused);
	if (gives_back)
		ck_assert_uint_eq(count_resident(p, unused), 0);
	ck_assert(is_zero(p, unused));
	memset(p, 0x5a, unused);
	ck_assert_uint_ne(count_resident(p, unused), 0);
	ck_assert_str_eq(kept, "kept");
	fill_and_check(a, 8 * 1024 * 1024);
	arena_free(a);
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("arena");
	TCase *tc = tcase_create("arena");

	tcase_add_test(tc, arena_gives_zeroed_separate_memory);
	tcase_add_test(tc, arena_gives_zeroed_memory_again_after_reset);
	tcase_add_test(tc, arena_may_have_small_chunks);
	tcase_add_test(tc, arena_copies_texts);
	tcase_add_test(tc, arena_is_as_it_was_after_rewind);
	tcase_add_test(tc, arena_can_be_rewound_to_its_beginning);
	tcase_add_test(tc, arena_gives_back_what_is_not_in_use);
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
