/* Reports of nodes, folded. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "authn/policy/status_fold.h"
#include "authn/wire/json_text.h"

#define S_NS UINT64_C(1000000000)

static struct arena *arena;
static struct status_nodes *nodes;

static void
setup(void)
{
	arena = arena_new();
	nodes = status_nodes_new();
}

static void
teardown(void)
{
	status_nodes_free(nodes);
	arena_free(arena);
}

static monotime_t
second(uint64_t s)
{
	return (monotime_t){(100 + s) * S_NS};
}

static void
put(const char *name, const char *spec, uint64_t s)
{
	const char *text = arena_printf(
	    arena, "{\"metadata\":{\"name\":\"%s\"},\"spec\":%s}", name, spec);
	json_t *json = json_loads(text, 0, NULL);

	ck_assert_ptr_nonnull(json);
	(void)status_nodes_put(nodes, json, second(s));
	json_decref(json);
}

static const char *
spec(unsigned long long version, const char *refused, unsigned long long beat)
{
	return arena_printf(arena,
	    "{\"validSeconds\":60,\"renewTime\":\"%llu\",\"inForce\":[{\"resource\":"
	    "\"p\","
	    "\"resourceVersion\":\"%llu\"}],\"refused\":[%s]}",
	    beat, version, refused);
}

static struct status_document
document(uint64_t since)
{
	return (struct status_document){.resource = STR("p"),
	    .namespace = STR("shop"),
	    .name = STR("web"),
	    .on_nodes = true,
	    .generation = 3,
	    .since = since,
	    .code = STR(""),
	    .problem = STR("")};
}

/* "True InForce 2 of 2 nodes"; in the arena. */
static const char *
in_force_at(uint64_t since, uint64_t s)
{
	const struct status_document d = document(since);
	const char *text = "";
	struct status_view view;
	json_t *conditions;
	const json_t *c;

	status_view_make(&view, nodes, second(s), arena);
	conditions = status_fold(&view, &d, (walltime_t){0});
	c = json_array_get(conditions, 1);
	if (c != NULL)
		text = arena_printf(arena, "%s %s %s",
		    json_string_value(json_object_get(c, "status")),
		    json_string_value(json_object_get(c, "reason")),
		    json_string_value(json_object_get(c, "message")));
	json_decref(conditions);
	status_view_fini(&view);
	return text;
}

START_TEST(nodes_are_counted_from_the_version_on)
{
	ck_assert_str_eq(in_force_at(5, 0), "Unknown NoReports no node reports");
	for (unsigned i = 0; i < 100; i++)
		put(arena_printf(arena, "n%u", i), spec(i + 1, "", 0), 0);
	for (unsigned since = 1; since <= 100; since++) {
		const char *expected = arena_printf(arena, "%s %u of 100 nodes",
		    since == 1 ? "True InForce" : "False Partly", 101 - since);

		ck_assert_str_eq(in_force_at(since, 0), expected);
	}
	ck_assert_str_eq(in_force_at(101, 0), "False Nowhere 0 of 100 nodes");
}
END_TEST

START_TEST(node_that_says_nothing_new_is_gone)
{
	put("a", spec(9, "", 1), 0);
	put("b", spec(9, "", 1), 0);
	put("a", spec(9, "", 1), 50); /* the same: seen again, not said again */
	put("b", spec(9, "", 2), 50);
	ck_assert_str_eq(in_force_at(9, 59), "True InForce 2 of 2 nodes");
	ck_assert_str_eq(in_force_at(9, 61), "True InForce 1 of 1 nodes");
	ck_assert_str_eq(in_force_at(9, 111), "Unknown NoReports no node reports");
	status_nodes_list_begin(nodes);
	put("b", spec(9, "", 3), 112);
	status_nodes_list_end(nodes);
	ck_assert_uint_eq(status_nodes_count(nodes), 1);
	status_nodes_remove(nodes, STR("b"));
	ck_assert_uint_eq(status_nodes_count(nodes), 0);
}
END_TEST

START_TEST(refusal_counts_where_the_document_has_come)
{
	static const char refusal[] = "{\"resource\":\"p\",\"namespace\":\"shop\","
				      "\"name\":\"web\",\"message\":\"no\"}";

	put("a", spec(9, "", 0), 0);
	put("b", spec(9, refusal, 0), 0);
	put("c", spec(4, refusal, 0), 0);
	ck_assert_str_eq(
	    in_force_at(9, 0), "False Refused 1 of 3 nodes; refused by b: no");
	ck_assert_str_eq(
	    in_force_at(4, 0), "False Refused 1 of 3 nodes; refused by b: no");
	/* of another generation: what is refused there is not this one */
	ck_assert_str_eq(in_force_at(10, 0), "False Nowhere 0 of 3 nodes");
}
END_TEST

static const char *const odd[] = {
    "7",
    "{}",
    "{\"validSeconds\":60}",
    "{\"validSeconds\":60,\"inForce\":7,\"refused\":{}}",
    "{\"validSeconds\":60,\"inForce\":[7,{},{\"resource\":7}],\"refused\":[7,{}]}",
    "{\"validSeconds\":60,\"inForce\":[{\"resource\":\"p\",\"resourceVersion\":\"x\"}]"
    "}",
    "{\"validSeconds\":60,\"inForce\":[{\"resource\":\"p\",\"resourceVersion\":\"1\"},"
    "{\"resource\":\"p\",\"resourceVersion\":\"9\"}]}",
    "{\"validSeconds\":-1,\"inForce\":[{\"resource\":\"p\",\"resourceVersion\":\"9\"}]"
    "}",
};

START_TEST(odd_report_is_in_force_nowhere)
{
	put("good", spec(9, "", 0), 0);
	put("odd", odd[_i], 0);
	ck_assert(strcmp(in_force_at(9, 0), "False Partly 1 of 2 nodes") == 0 ||
		  strcmp(in_force_at(9, 0), "True InForce 1 of 1 nodes") == 0);
}
END_TEST

START_TEST(known_conditions_are_not_written_again)
{
	struct status_document d = document(9);
	struct status_view view;
	json_t *first, *second_time, *third;
	char time[WALLTIME_TEXT_BYTES];

	put("a", spec(9, "", 0), 0);
	status_view_make(&view, nodes, second(0), arena);
	first = status_fold(&view, &d, (walltime_t){0});
	ck_assert_ptr_nonnull(first);
	d.known = first;
	ck_assert_ptr_null(status_fold(&view, &d, (walltime_t){5000000000}));
	d.generation = 4;
	second_time = status_fold(&view, &d, (walltime_t){5000000000});
	ck_assert_ptr_nonnull(second_time);
	/* What did not change has not since then. */
	(void)walltime_format_seconds((walltime_t){0}, time);
	ck_assert_str_eq(json_string_value(json_object_get(
			     json_array_get(second_time, 0), "lastTransitionTime")),
	    time);
	d.known = second_time;
	d.code = STR("bad-port");
	d.problem = STR("x [bad-port]");
	third = status_fold(&view, &d, (walltime_t){5000000000});
	ck_assert_str_eq(
	    json_string_value(json_object_get(json_array_get(third, 0), "reason")),
	    "BadPort");
	ck_assert_str_ne(json_string_value(json_object_get(
			     json_array_get(third, 0), "lastTransitionTime")),
	    time);
	json_decref(first);
	json_decref(second_time);
	json_decref(third);
	status_view_fini(&view);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("status_fold");
	TCase *tc = tcase_create("status_fold");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, nodes_are_counted_from_the_version_on);
	tcase_add_test(tc, node_that_says_nothing_new_is_gone);
	tcase_add_test(tc, refusal_counts_where_the_document_has_come);
	tcase_add_loop_test(tc, odd_report_is_in_force_nowhere, 0, (int)ARRAY_LEN(odd));
	tcase_add_test(tc, known_conditions_are_not_written_again);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
