/*
 * Turns: equal shares among tenants whatever each of them asks for, then among their users;
 * and who has to go when too many wait.
 */
#include <check.h>
#include <stdlib.h>

#include "authn/proxy/fair.h"

#define PLACES 12

static struct fair fair;
static struct fair_item items[4096];
static size_t item_count;

static void
setup(void)
{
	fair = (struct fair){0};
	item_count = 0;
}

static void
teardown(void)
{
	for (size_t i = 0; i < item_count; i++)
		fair_leave(&fair, &items[i]);
	ck_assert_uint_eq(fair.waiting, 0);
	ck_assert_uint_eq(fair.running, 0);
	ck_assert_uint_eq(fair.tenants.len, 0);
	fair_fini(&fair);
}

static struct fair_item *
wait_for(const char *tenant, const char *user)
{
	struct fair_item *i = &items[item_count++];

	*i = (struct fair_item){.tenant = str_from(tenant), .user = str_from(user)};
	fair_wait(&fair, i);
	return i;
}

static size_t
running_of(const char *tenant, const char *user)
{
	size_t n = 0;

	for (size_t i = 0; i < item_count; i++)
		n += items[i].runs && str_is(items[i].tenant, tenant) &&
		     (user == NULL || str_is(items[i].user, user));
	return n;
}

static void
fill(void)
{
	while (fair.running < PLACES && fair.waiting != 0)
		fair_run(&fair, fair_next(&fair));
}

START_TEST(who_floods_gets_an_equal_share_and_no_more)
{
	for (int i = 0; i < 300; i++)
		(void)wait_for("/flood", i % 2 ? "a" : "b");
	for (int i = 0; i < 20; i++)
		(void)wait_for("/acme", "c");
	for (int i = 0; i < 20; i++)
		(void)wait_for("/globex", "d");
	fill();
	ck_assert_uint_eq(running_of("/flood", NULL), 4);
	ck_assert_uint_eq(running_of("/acme", NULL), 4);
	ck_assert_uint_eq(running_of("/globex", NULL), 4);
	ck_assert_uint_eq(running_of("/flood", "a"), 2);
	ck_assert_uint_eq(running_of("/flood", "b"), 2);
}
END_TEST

START_TEST(who_comes_late_is_next)
{
	for (int i = 0; i < 300; i++)
		(void)wait_for("/flood", "a");
	fill();
	ck_assert_uint_eq(running_of("/flood", NULL), PLACES);
	(void)wait_for("/acme", "c");
	fair_leave(&fair, &items[0]); /* the first to end makes room for it */
	fill();
	ck_assert_uint_eq(running_of("/acme", NULL), 1);
}
END_TEST

START_TEST(a_users_requests_keep_their_order)
{
	struct fair_item *first = wait_for("/a", "u"), *second = wait_for("/a", "u");

	ck_assert_ptr_eq(fair_next(&fair), first);
	fair_leave(&fair, first);
	ck_assert_ptr_eq(fair_next(&fair), second);
}
END_TEST

START_TEST(turns_go_round_when_places_are_short)
{
	size_t got[3] = {0, 0, 0};

	for (int i = 0; i < 100; i++) {
		(void)wait_for("/a", "u");
		(void)wait_for("/b", "u");
		(void)wait_for("/c", "u");
	}
	for (int i = 0; i < 90; i++) { /* one place */
		struct fair_item *next = fair_next(&fair);

		fair_run(&fair, next);
		got[next->tenant.ptr[1] - 'a']++;
		fair_leave(&fair, next);
	}
	for (size_t i = 0; i < 3; i++)
		ck_assert_uint_eq(got[i], 30);
}
END_TEST

START_TEST(excess_is_the_last_of_who_has_most)
{
	struct fair_item *last = NULL;

	ck_assert_ptr_null(fair_next(&fair));
	ck_assert_ptr_null(fair_excess(&fair));
	for (int i = 0; i < 5; i++)
		(void)wait_for("/a", "quiet");
	for (int i = 0; i < 9; i++)
		last = wait_for("/a", "loud");
	for (int i = 0; i < 10; i++)
		(void)wait_for("/b", "u");
	ck_assert_ptr_eq(fair_excess(&fair), last);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("fair");
	TCase *tc = tcase_create("fair");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, who_floods_gets_an_equal_share_and_no_more);
	tcase_add_test(tc, who_comes_late_is_next);
	tcase_add_test(tc, a_users_requests_keep_their_order);
	tcase_add_test(tc, turns_go_round_when_places_are_short);
	tcase_add_test(tc, excess_is_the_last_of_who_has_most);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
