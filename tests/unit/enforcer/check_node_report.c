/* What a node reports, and when. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "enforcer/kube/node_report.h"

#define EVERY_S 10
#define S_NS    UINT64_C(1000000000)

static struct node_report report;

static void
setup(void)
{
	report = (struct node_report){.sent = 0};
}

static void
teardown(void)
{
	node_report_fini(&report);
}

static size_t
kind_of(const char *name)
{
	for (size_t i = 0; i < KUBE_KIND_COUNT; i++) {
		if (strcmp(kube_kinds[i].name, name) == 0)
			return i;
	}
	ck_abort_msg("no kind %s", name);
	return 0;
}

/* Policies at that version, after so many edits. */
static struct node_versions
at(uint64_t version, uint64_t edits)
{
	struct node_versions v = {{0}, {0}};

	v.of[kind_of("policies.ringfence.dev")] = version;
	v.edits[kind_of("policies.ringfence.dev")] = edits;
	return v;
}

static void
sent(uint64_t version, uint64_t edits)
{
	const struct node_versions v = at(version, edits);

	node_report_sent(&report, &v);
}

static void
held(uint64_t bundles)
{
	const struct node_held h = {.bundles = bundles};

	node_report_held(&report, &h, STR("kubernetes"));
}

static monotime_t
second(uint64_t s)
{
	return (monotime_t){(1000 + s) * S_NS};
}

static json_t *
print(uint64_t s)
{
	struct buf out = {0};
	json_t *json;

	node_report_print(
	    &report, STR("n1"), EVERY_S, second(s), (walltime_t){0}, &out);
	json = json_loadb(out.data, out.len, 0, NULL);
	ck_assert_ptr_nonnull(json);
	buf_free(&out);
	node_report_answered(&report, true);
	return json;
}

static uint64_t
printed_version(uint64_t s)
{
	json_t *json = print(s);
	const json_t *spec = json_object_get(json, "spec");
	const char *text = json_string_value(json_object_get(
	    json_array_get(json_object_get(spec, "inForce"), 0), "resourceVersion"));
	uint64_t version = text != NULL ? strtoull(text, NULL, 10) : 0;

	json_decref(json);
	return version;
}

static bool
due(uint64_t s)
{
	return node_report_due(&report, STR("n1"), EVERY_S, second(s));
}

START_TEST(nothing_is_said_before_something_is_in_force)
{
	ck_assert(!due(0));
	sent(7, 1);
	ck_assert(!due(0));
	held(1);
	ck_assert(due(0));
	ck_assert_uint_eq(printed_version(0), 7);
}
END_TEST

START_TEST(version_is_that_of_the_bundle_in_force)
{
	sent(7, 1);
	node_report_sent(&report, NULL); /* more waits: nothing is known by it */
	sent(9, 3);
	held(2);
	ck_assert_uint_eq(printed_version(0), 7);
	held(3);
	ck_assert_uint_eq(printed_version(1), 9);
	node_report_begin(&report); /* another engine: it has nothing of it yet */
	sent(12, 4);
	ck_assert_uint_eq(printed_version(2), 9);
	held(1);
	ck_assert_uint_eq(printed_version(3), 12);
}
END_TEST

START_TEST(change_waits_and_what_says_nothing_new_is_no_change)
{
	const struct node_versions status_only = at(20, 1), edited = at(21, 2);

	sent(7, 1);
	held(1);
	ck_assert_uint_eq(printed_version(0), 7);
	node_report_known(&report, &status_only);
	ck_assert(!due(40));
	ck_assert(due(100));
	sent(21, 2);
	node_report_known(&report, &edited); /* not in force yet */
	ck_assert(!due(40));
	held(2);
	ck_assert(!due(9));
	ck_assert(due(15));
	ck_assert_uint_eq(printed_version(15), 21);
	ck_assert(!due(40));
}
END_TEST

START_TEST(refused_documents_are_named)
{
	struct node_held h = {.bundles = 1, .count = 2, .total = 5};
	json_t *json;
	const json_t *spec, *first, *second_one;

	h.refused[0] = (struct node_refused){
	    STR("east/policies.ringfence.dev/shop/web"), STR("no \"such\" port")};
	h.refused[1] =
	    (struct node_refused){STR("east/namespaces.ringfence.dev/acme"), STR("x")};
	sent(7, 1);
	held(1);
	json_decref(print(0));
	node_report_held(&report, &h, STR("east"));
	ck_assert(due(20));
	json = print(20);
	spec = json_object_get(json, "spec");
	first = json_array_get(json_object_get(spec, "refused"), 0);
	second_one = json_array_get(json_object_get(spec, "refused"), 1);
	ck_assert_str_eq(json_string_value(json_object_get(first, "resource")),
	    "policies.ringfence.dev");
	ck_assert_str_eq(
	    json_string_value(json_object_get(first, "namespace")), "shop");
	ck_assert_str_eq(json_string_value(json_object_get(first, "name")), "web");
	ck_assert_str_eq(
	    json_string_value(json_object_get(first, "message")), "no \"such\" port");
	ck_assert_str_eq(
	    json_string_value(json_object_get(second_one, "namespace")), "");
	ck_assert_str_eq(
	    json_string_value(json_object_get(second_one, "name")), "acme");
	ck_assert_int_eq(json_integer_value(json_object_get(spec, "refusedMore")), 3);
	json_decref(json);
	node_report_held(&report, &h, STR("east"));
	ck_assert(!due(60));
}
END_TEST

START_TEST(failure_is_tried_again)
{
	struct buf out = {0};

	sent(7, 1);
	held(1);
	node_report_print(
	    &report, STR("n1"), EVERY_S, second(0), (walltime_t){0}, &out);
	node_report_answered(&report, false);
	ck_assert(!due(5));
	ck_assert(due(16));
	buf_free(&out);
}
END_TEST

START_TEST(message_comes_back_and_others_are_refused)
{
	struct node_held h = {.bundles = 9, .count = 1, .total = 2}, back;
	struct buf body = {0};
	struct proc_reader r = {.ok = true};

	h.refused[0] = (struct node_refused){STR("a"), STR("b")};
	node_held_encode(&body, &h);
	r.data = (const uint8_t *)body.data;
	r.len = body.len;
	ck_assert(node_held_decode(&r, &back));
	ck_assert_uint_eq(back.bundles, 9);
	ck_assert(str_is(back.refused[0].why, "b"));
	for (size_t len = 0; len < body.len; len++) {
		r = (struct proc_reader){
		    .ok = true, .data = (const uint8_t *)body.data, .len = len};
		ck_assert(!node_held_decode(&r, &back));
	}
	body.data[8] = 0; /* fewer than are given */
	r = (struct proc_reader){
	    .ok = true, .data = (const uint8_t *)body.data, .len = body.len};
	ck_assert(!node_held_decode(&r, &back));
	buf_free(&body);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("node_report");
	TCase *tc = tcase_create("node_report");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, nothing_is_said_before_something_is_in_force);
	tcase_add_test(tc, version_is_that_of_the_bundle_in_force);
	tcase_add_test(tc, change_waits_and_what_says_nothing_new_is_no_change);
	tcase_add_test(tc, refused_documents_are_named);
	tcase_add_test(tc, failure_is_tried_again);
	tcase_add_test(tc, message_comes_back_and_others_are_refused);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
