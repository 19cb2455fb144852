/*
 * What a small change of what is compiled costs in elements.
 */
#include "compile_fixture.h"

/* How many elements are in one program and not, with the same value, in the other. */
static size_t
difference(const struct table_content *a, const struct table_content *b)
{
	size_t count = 0;

	for (size_t s = 0; s < SET_COUNT; s++) {
		for (size_t i = 0; i < a->element_count[s]; i++) {
			bool found = false;

			for (size_t j = 0; j < b->element_count[s] && !found; j++)
				found = table_element_equal(
				    &a->elements[s][i], &b->elements[s][j]);
			count += !found;
		}
	}
	return count;
}

static const struct {
	const char *before, *after;
	size_t added, removed;
} change_rows[] = {
    /* a workload in an existing class */
    {PODS WEB_FROM_LB, PODS WEB_FROM_LB POD("lb2", "n2", "10.1.0.9", "lb"), 1, 0},
    /* a workload that no rule mentions */
    {PODS WEB_FROM_LB, PODS WEB_FROM_LB POD("x", "n2", "10.1.0.9", "x"), 0, 0},
    /* a policy with the same peers: its rule and the cell, and no class changes */
    {PODS WEB_FROM_LB,
	PODS WEB_FROM_LB NETPOL("web2",
	    "podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: "
	    "{matchLabels: {app: lb}}}], ports: [{port: 444}]}]"),
	2, 0},
    /* a rule for other peers: their class, its cell, its rule */
    {PODS WEB_FROM_LB,
	PODS WEB_FROM_LB NETPOL("a",
	    "podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: "
	    "{matchLabels: {app: db}}}], ports: [{port: 444}]}]"),
	/* and the isolation is now told as the first policy's */
	5, 2},
};

START_TEST(small_changes_cost_few_elements)
{
	struct compiled *before = compiled(change_rows[_i].before);
	struct compiled *after = compiled(change_rows[_i].after);

	ck_assert_uint_eq(
	    difference(&after->content, &before->content), change_rows[_i].added);
	ck_assert_uint_eq(
	    difference(&before->content, &after->content), change_rows[_i].removed);
	compiled_free(before);
	compiled_free(after);
}
END_TEST

/* The policy stays on its line, which its comment tells. */
START_TEST(order_of_workloads_does_not_matter)
{
	struct compiled *one = compiled(PODS WEB_FROM_LB);
	struct compiled *two = compiled(POD("db", "n2", "10.1.0.3", "db") POD("lb",
	    "n2", "10.1.0.2", "lb") POD("web", "n1", "10.1.0.1", "web") WEB_FROM_LB);
	struct buf a = {0}, b = {0};

	table_print_nft(&a, &one->content);
	table_print_nft(&b, &two->content);
	ck_assert_str_eq(a.data, b.data);
	buf_free(&a);
	buf_free(&b);
	compiled_free(one);
	compiled_free(two);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("compile_change");
	TCase *tc = tcase_create("compile_change");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(
	    tc, small_changes_cost_few_elements, 0, (int)ARRAY_LEN(change_rows));
	tcase_add_test(tc, order_of_workloads_does_not_matter);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
