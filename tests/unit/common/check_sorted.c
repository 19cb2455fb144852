/*
 * Looking up in sorted arrays.
 */
#include <check.h>
#include <stdlib.h>

#include "common/sorted.h"

struct item {
	uint32_t number;
	char name;
};

START_TEST(find_returns_the_one_of_the_number)
{
	static const struct item items[] = {
	    {0, 'a'}, {1, 'b'}, {7, 'c'}, {0x80000000, 'd'}, {UINT32_MAX, 'e'}};
	static const uint32_t others[] = {
	    2, 6, 8, 0x7fffffff, 0x80000001, UINT32_MAX - 1};

	for (size_t count = 0; count <= ARRAY_LEN(items); count++) {
		for (size_t i = 0; i < ARRAY_LEN(items); i++)
			ck_assert_ptr_eq(
			    u32_find(items[i].number, items, count, sizeof(items[0])),
			    i < count ? &items[i] : NULL);
		for (size_t i = 0; i < ARRAY_LEN(others); i++)
			ck_assert_ptr_null(
			    u32_find(others[i], items, count, sizeof(items[0])));
	}
	ck_assert_ptr_null(u32_find(0, NULL, 0, sizeof(items[0])));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("sorted");
	TCase *tc = tcase_create("find");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, find_returns_the_one_of_the_number);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
