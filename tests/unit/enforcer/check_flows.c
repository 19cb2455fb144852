/*
 * Aggregation of logged packets: the first at once, the rest counted by the second, none
 * lost.
 */
#include "enforcer/flows/flows.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define MOST_RECORDS 64
#define MS           1000000ull

static struct flows *flows;
static struct flows_record records[MOST_RECORDS];
static size_t record_count;
static uint64_t total;

static void
tell(void *arg, const struct flows_record *record)
{
	(void)arg;
	if (record_count < MOST_RECORDS)
		records[record_count] = *record;
	record_count++;
	total += record->count;
}

static void
setup(void)
{
	record_count = 0;
	total = 0;
	flows = flows_new(tell, NULL);
}

static void
teardown(void)
{
	flows_free(flows);
}

static struct nflog_packet
packet(uint32_t number, uint8_t src, uint16_t src_port, uint16_t dst_port)
{
	return (struct nflog_packet){.number = number,
	    .src = {IP_V4, {10, 0, 0, src}},
	    .dst = {IP_V4, {10, 0, 0, 99}},
	    .proto = 6,
	    .has_ports = true,
	    .src_port = src_port,
	    .dst_port = dst_port};
}

static void
add_at(struct nflog_packet p, uint64_t ms)
{
	flows_add(flows, &p, (monotime_t){1 + ms * MS},
	    (walltime_t){(int64_t)(1000 + ms) * (int64_t)MS});
}

static bool
tick_at(uint64_t ms)
{
	return flows_tick(flows, (monotime_t){1 + ms * MS});
}

START_TEST(first_packet_is_told_at_once)
{
	add_at(packet(5, 1, 1000, 80), 0);
	ck_assert_uint_eq(record_count, 1);
	ck_assert_uint_eq(records[0].count, 1);
	ck_assert_uint_eq(records[0].packet.number, 5);
	ck_assert_uint_eq(records[0].packet.src_port, 1000);
	ck_assert(!records[0].crowd);
}
END_TEST

START_TEST(what_is_held_is_told_later_as_it_was)
{
	flows_hold(flows, true);
	add_at(packet(5, 1, 1000, 80), 0);
	add_at(packet(5, 1, 1001, 80), 1500);
	ck_assert(tick_at(2000));
	ck_assert_uint_eq(record_count, 0);
	flows_hold(flows, false);
	ck_assert(tick_at(2001));
	ck_assert_uint_eq(record_count, 1);
	ck_assert_uint_eq(records[0].count, 2);
	ck_assert_int_eq(records[0].time.ns, (int64_t)(1000 * MS));
	add_at(packet(6, 1, 1000, 80), 2002);
	ck_assert_uint_eq(record_count, 2);
}
END_TEST

START_TEST(packets_of_a_second_are_one_record)
{
	for (unsigned i = 0; i < 10; i++)
		add_at(packet(5, 1, (uint16_t)(1000 + i), 80), i * 50);
	ck_assert_uint_eq(record_count, 1);
	ck_assert(tick_at(999));
	ck_assert_uint_eq(record_count, 1);
	ck_assert(tick_at(1000));
	ck_assert_uint_eq(record_count, 2);
	ck_assert_uint_eq(records[1].count, 9);
	ck_assert_uint_eq(records[1].packet.src_port, 1001);
	ck_assert_int_eq(records[1].time.ns, 1050 * (int64_t)MS);
}
END_TEST

START_TEST(flow_that_goes_on_is_told_each_second)
{
	for (uint64_t ms = 0; ms < 5000; ms += 10) {
		add_at(packet(5, 1, 1000, 80), ms);
		(void)tick_at(ms);
	}
	ck_assert_uint_eq(record_count, 5);
	flows_flush(flows);
	ck_assert_uint_eq(total, 500);
}
END_TEST

START_TEST(flow_that_ended_is_forgotten_and_told_anew)
{
	add_at(packet(5, 1, 1000, 80), 0);
	ck_assert(!tick_at(1000)); /* nothing to wait for */
	add_at(packet(5, 1, 1000, 80), 1001);
	ck_assert_uint_eq(record_count, 2);
}
END_TEST

/* Each differs from the first in one thing that makes another flow. */
START_TEST(different_flows_are_told_apart)
{
	struct nflog_packet other[6];

	for (size_t i = 0; i < 6; i++)
		other[i] = packet(5, 1, 1000, 80);
	other[0].number = 6;
	other[1].src.bytes[3] = 2;
	other[2].dst.bytes[3] = 98;
	other[3].dst_port = 81;
	other[4].proto = 17;
	other[5].src.family = other[5].dst.family = IP_V6;
	add_at(packet(5, 1, 1000, 80), 0);
	add_at(other[_i], 0);
	ck_assert_uint_eq(record_count, 2);
}
END_TEST

START_TEST(too_many_flows_are_counted_by_rule_and_none_is_lost)
{
	const unsigned many = FLOWS_MAX + 5000;

	for (unsigned i = 0; i < many; i++) {
		struct nflog_packet p = packet(i % 2, 1, 1000, (uint16_t)i);

		p.src.bytes[0] = (uint8_t)(i >> 16);
		add_at(p, 0);
	}
	ck_assert_uint_eq(record_count, FLOWS_MAX);
	(void)tick_at(1000);
	ck_assert_uint_eq(record_count, FLOWS_MAX + 2);
	ck_assert_uint_eq(total, many);
	/* When it is quiet again, flows are told apart again. */
	(void)tick_at(2001);
	record_count = 0;
	add_at(packet(9, 1, 1000, 80), 2002);
	ck_assert_uint_eq(record_count, 1);
	ck_assert(!records[0].crowd);
}
END_TEST

START_TEST(crowd_says_nothing_but_the_rule)
{
	for (unsigned i = 0; i < FLOWS_MAX; i++) {
		struct nflog_packet p = packet(1, 1, 1000, (uint16_t)i);

		p.src.bytes[0] = (uint8_t)(i >> 16);
		add_at(p, 0);
	}
	record_count = 0;
	add_at(packet(7, 200, 1, 2), 0);
	add_at(packet(7, 201, 3, 4), 0);
	ck_assert_uint_eq(record_count, 0);
	(void)tick_at(1000);
	ck_assert_uint_eq(record_count, 1);
	ck_assert(records[0].crowd);
	ck_assert_uint_eq(records[0].count, 2);
	ck_assert_uint_eq(records[0].packet.number, 7);
	ck_assert_uint_eq(records[0].packet.dst_port, 0);
}
END_TEST

START_TEST(flush_tells_what_is_left)
{
	add_at(packet(5, 1, 1000, 80), 0);
	add_at(packet(5, 1, 1000, 80), 1);
	flows_flush(flows);
	ck_assert_uint_eq(record_count, 2);
	ck_assert_uint_eq(total, 2);
	ck_assert(!tick_at(5000));
	ck_assert_uint_eq(record_count, 2);
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("flows");
	TCase *tc = tcase_create("flows");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, first_packet_is_told_at_once);
	tcase_add_test(tc, what_is_held_is_told_later_as_it_was);
	tcase_add_test(tc, packets_of_a_second_are_one_record);
	tcase_add_test(tc, flow_that_goes_on_is_told_each_second);
	tcase_add_test(tc, flow_that_ended_is_forgotten_and_told_anew);
	tcase_add_loop_test(tc, different_flows_are_told_apart, 0, 6);
	tcase_add_test(tc, too_many_flows_are_counted_by_rule_and_none_is_lost);
	tcase_add_test(tc, crowd_says_nothing_but_the_rule);
	tcase_add_test(tc, flush_tells_what_is_left);
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
