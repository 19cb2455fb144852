/*
 * The queue between two sides: bytes come out as they went in, and an empty queue owns
 * nothing.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "authn/proxy/iobuf.h"

START_TEST(queue_gives_back_what_it_took_however_it_is_cut)
{
	struct iobuf_pool pool = {.small = NULL};
	struct iobuf b = {NULL, NULL, 0};
	unsigned seed = 1, in = 0, out = 0;
	static uint8_t data[40000];

	for (int step = 0; step < 3000; step++) {
		size_t n;

		seed = seed * 1103515245 + 12345;
		n = (seed >> 8) % (step % 50 == 0 ? sizeof(data) : 700);
		if ((seed & 1) != 0 && b.len < 300000) {
			for (size_t i = 0; i < n; i++)
				data[i] = (uint8_t)(in++ % 251);
			iobuf_append(&pool, &b, data, n);
		} else {
			while (n != 0 && b.len != 0) {
				struct str piece = iobuf_peek(&b);
				size_t take = piece.len < n ? piece.len : n;

				ck_assert_uint_gt(piece.len, 0);
				for (size_t i = 0; i < take; i++)
					ck_assert_uint_eq(
					    (uint8_t)piece.ptr[i], out++ % 251);
				iobuf_drain(&pool, &b, take);
				n -= take;
			}
		}
		ck_assert(iobuf_sane(&b));
		ck_assert_uint_eq(b.len, in - out);
	}
	iobuf_clear(&pool, &b);
	ck_assert_uint_eq(pool.bytes, 0);
	ck_assert_ptr_null(b.first);
	iobuf_pool_fini(&pool);
}
END_TEST

START_TEST(queue_owns_nothing_when_it_is_empty)
{
	struct iobuf_pool pool = {.small = NULL};
	struct iobuf b = {NULL, NULL, 0};

	ck_assert_uint_eq(iobuf_peek(&b).len, 0);
	iobuf_append(&pool, &b, "abc", 3);
	ck_assert_uint_gt(pool.bytes, 0);
	iobuf_drain(&pool, &b, 3);
	ck_assert_uint_eq(pool.bytes, 0);
	ck_assert_ptr_null(b.first);
	ck_assert(iobuf_sane(&b));
	iobuf_pool_fini(&pool);
}
END_TEST

START_TEST(secrets_are_overwritten_before_their_block_is_reused)
{
	struct iobuf_pool pool = {.small = NULL};
	struct iobuf b = {NULL, NULL, 0};
	const char *place;

	iobuf_append(&pool, &b, "password", 8);
	place = iobuf_peek(&b).ptr;
	iobuf_wipe_front(&b, 4);
	ck_assert_int_eq(memcmp(place, "\0\0\0\0word", 8), 0);
	iobuf_wipe(&pool, &b);
	/* The block is in the pool now: the next taker must not find the rest. */
	iobuf_append(&pool, &b, "x", 1);
	ck_assert_ptr_eq(iobuf_peek(&b).ptr, place);
	ck_assert_int_eq(memcmp(place, "x\0\0\0\0\0\0\0", 8), 0);
	iobuf_clear(&pool, &b);
	iobuf_pool_fini(&pool);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("iobuf");
	TCase *tc = tcase_create("iobuf");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, queue_gives_back_what_it_took_however_it_is_cut);
	tcase_add_test(tc, queue_owns_nothing_when_it_is_empty);
	tcase_add_test(tc, secrets_are_overwritten_before_their_block_is_reused);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
