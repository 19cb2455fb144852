#include "policy-lang/model/nearest.h"

#include <check.h>
#include <stdlib.h>

/* A text, names in the order in which they are looked at, and which is meant; "": none. */
static const struct {
	const char *wanted, *names[4], *meant;
} searches[] = {
    {"workload", {"workloads", "policies"}, "workloads"},
    {"shpo", {"shop", "ship"}, "shop"},        /* a swap is one edit */
    {"prd", {"prod", "pod"}, "pod"},           /* as near: the first by name, ... */
    {"prd", {"pod", "prod"}, "pod"},           /* ... in whatever order they come */
    {"ab", {"xy"}, ""},                        /* nothing is left of it */
    {"abc", {"abxy"}, ""},                     /* two edits of three letters */
    {"abcd", {"abxy"}, "abxy"},                /* of four */
    {"abcd", {"axyz"}, ""},                    /* three edits are too many */
    {"WORKLOADS", {"workloads"}, "workloads"}, /* case alone is nothing */
    {"WEB", {"wEx", "web", "wed"}, "web"},
    {"x", {"", "y"}, ""}, /* of one letter nothing is near */
    {"x", {NULL}, ""},
};

START_TEST(nearest_consider_finds_what_was_meant)
{
	struct nearest n = nearest_to(str_from(searches[_i].wanted));

	for (size_t i = 0; i < 4 && searches[_i].names[i] != NULL; i++)
		nearest_consider(&n, str_from(searches[_i].names[i]));
	ck_assert_msg(str_is(n.best, searches[_i].meant), "%s: %.*s",
	    searches[_i].wanted, STR_ARG(n.best));
}
END_TEST

START_TEST(nearest_of_keeps_the_order_of_a_table)
{
	static const char *const protocols[] = {"tcp", "udp", "sctp"};

	ck_assert_str_eq(nearest_of(STR("http"), protocols, 3), "tcp");
	ck_assert_str_eq(nearest_of(STR("SCTP"), protocols, 3), "sctp");
	ck_assert_ptr_null(nearest_of(STR("gre"), protocols, 3));
	ck_assert_ptr_null(nearest_of(STR("http"), protocols, 0));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("nearest");
	TCase *tc = tcase_create("names");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(
	    tc, nearest_consider_finds_what_was_meant, 0, ARRAY_LEN(searches));
	tcase_add_test(tc, nearest_of_keeps_the_order_of_a_table);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
