/*
 * What the node writes to its flow log is what the language's tools read back.
 */
#include <check.h>
#include <stdlib.h>

#include "enforcer/flows/flow_view.h"
#include "policy-lang/flows/flowlog.h"

static struct ns root = {.path = {"/", 1}};
static struct ns shop = {.path = {"/acme/shop", 10}, .depth = 2};
static struct workload web = {.name = {"web-1", 5}, .ns = &shop};
static struct workload top = {.name = {"top", 3}, .ns = &root};
static struct node node = {.name = {"worker-1", 8}};

static struct flows_record
record_of(uint8_t proto, const char *src, const char *dst)
{
	struct flows_record record = {.count = 3};

	record.packet.proto = proto;
	record.packet.has_ports = proto == PROTO_TCP || proto == PROTO_UDP;
	record.packet.src_port = 40000;
	record.packet.dst_port = record.packet.has_ports ? 5432 : 0;
	ck_assert(ip_parse(str_from(src), &record.packet.src));
	ck_assert(ip_parse(str_from(dst), &record.packet.dst));
	return record;
}

static void
read_back(const struct flow_view *view, struct arena *a, struct flowlog_record *out)
{
	struct buf line = {0};
	const char *why;

	flow_view_json(&line, view);
	ck_assert_int_eq(
	    flowlog_read(a, FLOWLOG_AUTO, str_dup(a, buf_str(&line)), out, &why),
	    view->record->crowd ? FLOWLOG_CROWD : FLOWLOG_RECORD);
	ck_assert_ptr_null(why);
	buf_free(&line);
}

START_TEST(names_addresses_and_counts_come_back)
{
	struct flows_record record = record_of(PROTO_TCP, "10.1.0.8", "fd00::7");
	struct flow_view view = {.record = &record, .src = &web, .dst = &top};
	struct arena *a = arena_new();
	struct flowlog_record got;

	ck_assert(ip_parse(STR("10.1.0.7"), &record.packet.dst));
	read_back(&view, a, &got);
	ck_assert(str_is(got.src.name, "/acme/shop/web-1"));
	ck_assert(str_is(got.dst.name, "/top"));
	ck_assert(ip_eq(&got.src.addr, &record.packet.src));
	ck_assert(ip_eq(&got.dst.addr, &record.packet.dst));
	ck_assert_uint_eq(got.port, 5432);
	ck_assert_uint_eq(got.proto, PROTO_TCP);
	ck_assert_uint_eq(got.count, 3);
	ck_assert_int_eq(got.verdict, FLOWLOG_DENY);
	arena_free(a);
}
END_TEST

START_TEST(a_node_and_the_outside_come_back)
{
	struct flows_record record = record_of(PROTO_ICMPV6, "fd00::9", "2001:db8::1");
	struct flow_view view = {
	    .record = &record, .src_node = &node, .allow = true, .reason = FLOW_RULE};
	struct arena *a = arena_new();
	struct flowlog_record got;

	read_back(&view, a, &got);
	ck_assert(str_is(got.src.name, "node/worker-1"));
	ck_assert_uint_eq(got.dst.name.len, 0);
	ck_assert(ip_eq(&got.dst.addr, &record.packet.dst));
	ck_assert_uint_eq(got.proto, PROTO_ICMPV6);
	ck_assert_uint_eq(got.port, 0);
	ck_assert_int_eq(got.verdict, FLOWLOG_ALLOW);
	arena_free(a);
}
END_TEST

START_TEST(a_protocol_without_a_name_comes_back)
{
	struct flows_record record = record_of(47, "10.1.0.8", "10.1.0.7");
	struct flow_view view = {.record = &record};
	struct arena *a = arena_new();
	struct flowlog_record got;

	read_back(&view, a, &got);
	ck_assert_uint_eq(got.proto, 47);
	arena_free(a);
}
END_TEST

START_TEST(what_was_too_many_to_tell_apart_is_a_crowd)
{
	struct flows_record record = {.crowd = true, .count = 9};
	struct flow_view view = {.record = &record};
	struct arena *a = arena_new();
	struct flowlog_record got;

	read_back(&view, a, &got);
	ck_assert_uint_eq(got.count, 9);
	arena_free(a);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("flow_log");
	TCase *tc = tcase_create("flow_log");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, names_addresses_and_counts_come_back);
	tcase_add_test(tc, a_node_and_the_outside_come_back);
	tcase_add_test(tc, a_protocol_without_a_name_comes_back);
	tcase_add_test(tc, what_was_too_many_to_tell_apart_is_a_crowd);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
