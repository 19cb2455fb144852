/*
 * What of Quotas' network limits a node gets: whom they limit, by how much, in which order.
 * Amounts are worked out by hand from the manual.
 */
#include <check.h>
#include <stdio.h>

#include "load_fixture.h"
#include "policy-lang/compile/compile.h"

#define WORKLOAD(name, ns, node, ips)                                                  \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Workload\n"                         \
	"metadata: {name: " name ", namespace: " ns "}\n"                              \
	"spec: {node: " node ", ips: [" ips "]}\n---\n"
#define QUOTA(name, ns, network)                                                       \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Quota\n"                            \
	"metadata: {name: " name ", namespace: " ns "}\n"                              \
	"spec: {network: {" network "}}\n---\n"
#define NS(path)                                                                       \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Namespace\nmetadata: {name: " path  \
	"}\n---\n"
#define WORLD                                                                          \
	NS("/t")                                                                       \
	NS("/t/a")                                                                     \
	NS("/t/b")                                                                     \
	NS("/u")                                                                       \
	WORKLOAD("a1", "/t/a", "n1", "10.0.0.1, \"fd00::1\"")                          \
	WORKLOAD("a2", "/t/a", "n1", "10.0.0.2")                                       \
	WORKLOAD("b1", "/t/b", "n1", "10.0.0.3")                                       \
	WORKLOAD("b2", "/t/b", "n2", "10.0.0.4")                                       \
	WORKLOAD("u1", "/u", "n1", "10.0.0.5")

static struct loaded *l;
static struct table_content content;

static void
compile(const char *text)
{
	const struct compile_options options = {.node = STR("n1")};

	l = load_ok_with(NULL, text);
	ck_assert(compile_node(l->arena, l->m, &options, &l->diags, &content));
}

static void
teardown(void)
{
	if (l != NULL)
		loaded_free(l);
	l = NULL;
}

static const struct table_rule_chain *
chain_of(uint32_t number)
{
	size_t i = 0;

	while (i < content.rule_chain_count && content.rule_chains[i].number != number)
		i++;
	ck_assert_msg(i < content.rule_chain_count, "no chain %u", (unsigned)number);
	return &content.rule_chains[i];
}

static const struct table_element *
element_of(enum table_set_id set, uint8_t last)
{
	const size_t bytes = table_sets[set].key[0] == FIELD_IPV4 ? 4 : 16;

	for (size_t i = 0; i < content.element_count[set]; i++) {
		if (content.elements[set][i].addr[bytes - 1] == last)
			return &content.elements[set][i];
	}
	return NULL;
}

/* Where the address that ends in this byte begins. */
static const struct table_rule_chain *
entry(enum table_set_id set, uint8_t last)
{
	const struct table_element *e = element_of(set, last);

	return chain_of(e != NULL ? e->value : NUMBER_NONE);
}

static void
check_bucket(
    const struct table_limit *limit, uint64_t rate, uint32_t unit_s, uint32_t burst)
{
	ck_assert_uint_eq(limit->bucket.rate, rate);
	ck_assert_uint_eq(limit->bucket.unit_s, unit_s);
	ck_assert_uint_eq(limit->bucket.burst, burst);
}

START_TEST(nothing_when_no_quota_limits_the_network)
{
	compile(WORLD QUOTA("x", "/u/empty", "connections: 3") NS("/u/empty"));
	for (size_t set = SET_LIMIT_NEW; set < SET_COUNT; set++)
		ck_assert_uint_eq(content.element_count[set], 0);
	ck_assert_uint_eq(content.rule_chain_count, 0);
}
END_TEST

/* Three addresses of /t/a, four of /t, one of /u. */
START_TEST(address_leads_to_its_nearest_limit_and_on_to_those_above)
{
	const struct table_rule_chain *own, *all, *above, *deny;

	compile(WORLD QUOTA("t", "/t", "connections: 100")
		QUOTA("a", "/t/a", "connections: 30, guaranteedPercent: 50"));
	ck_assert_uint_eq(content.element_count[SET_LIMIT4_COUNT], 3);
	ck_assert_uint_eq(content.element_count[SET_LIMIT6_COUNT], 1);
	ck_assert_uint_eq(content.element_count[SET_LIMIT_NEW], 2);
	ck_assert_uint_eq(content.element_count[SET_LIMIT4_RATE], 0);
	ck_assert_ptr_null(element_of(SET_LIMIT4_COUNT, 5));
	own = entry(SET_LIMIT4_COUNT, 1);
	ck_assert_ptr_eq(own, entry(SET_LIMIT6_COUNT, 1));
	ck_assert_ptr_eq(own, entry(SET_LIMIT4_COUNT, 2));
	/* 15 of 30 for three leave 5; 25 of 100 for four leave 6. */
	ck_assert_int_eq(own->limit.form, LIMIT_OWN);
	ck_assert_uint_eq(own->limit.count, 5);
	all = chain_of(own->limit.next);
	ck_assert_int_eq(all->limit.form, LIMIT_SHARED);
	ck_assert_uint_eq(all->limit.count, 30);
	above = chain_of(all->limit.next);
	ck_assert_uint_eq(above->limit.count, 100);
	ck_assert_uint_eq(above->limit.next, NUMBER_NONE);
	all = chain_of(own->limit.first);
	ck_assert_uint_eq(all->limit.count, 15);
	above = chain_of(all->limit.next);
	ck_assert_uint_eq(above->limit.count, 75);
	ck_assert_uint_eq(above->limit.next, NUMBER_NONE);
	deny = chain_of(above->limit.deny);
	ck_assert_int_eq(deny->action, ACTION_DENY);
	ck_assert_int_eq(deny->limit.form, LIMIT_NONE);
	ck_assert(!deny->quiet);
	ck_assert(str_is(deny->namespace_path, "/t"));
	ck_assert(str_is(deny->rule_name, "connections"));
	ck_assert_str_eq(deny->policy_kind, "Quota");
	/* Others of /t have its part alone. */
	own = entry(SET_LIMIT4_COUNT, 3);
	ck_assert_uint_eq(own->limit.count, 6);
	ck_assert_uint_eq(chain_of(own->limit.next)->limit.count, 100);
	ck_assert_ptr_eq(chain_of(own->limit.first), above);
}
END_TEST

START_TEST(address_alone_shares_with_nobody)
{
	const struct table_rule_chain *all;

	compile(WORLD QUOTA("u", "/u", "connectionsPerSecond: 10"));
	all = entry(SET_LIMIT4_RATE, 5);
	ck_assert_int_eq(all->limit.form, LIMIT_SHARED);
	check_bucket(&all->limit, 10, 1, 20);
	ck_assert_uint_eq(content.rule_chain_count, 2);
}
END_TEST

static const struct {
	const char *network;
	uint64_t rate;
	uint32_t unit_s, burst;
} rates[] = {
    {"connectionsPerSecond: 500, burst: 7", 500, 1, 7},
    {"connectionsPerSecond: 0.5", 30, TABLE_MINUTE, 1},
    {"connectionsPerSecond: 1.5", 90, TABLE_MINUTE, 3},
    {"connectionsPerSecond: 0.005", 18, TABLE_HOUR, 1},
    /* 604.8 a week are no whole number; never more than what was written */
    {"connectionsPerSecond: 0.001, burst: 4", 604, TABLE_WEEK, 4},
    /* what is in a bucket has 62 bits of nanoseconds */
    {"connectionsPerSecond: 0.001, burst: 4000000000", 604, TABLE_WEEK,
	(uint32_t)((UINT64_C(1) << 62) / (UINT64_C(604800000000000) / 604))},
};

START_TEST(rates_are_whole_numbers_in_some_unit)
{
	char text[4096];

	(void)snprintf(text, sizeof(text), "%s" QUOTA("u", "/u", "%s"), WORLD,
	    rates[_i].network); /* fits */
	compile(text);
	check_bucket(&entry(SET_LIMIT4_RATE, 5)->limit, rates[_i].rate,
	    rates[_i].unit_s, rates[_i].burst);
}
END_TEST

static const char *const no_limits[] = {
    "connectionsPerSecond: 1000001",
    "connections: 4294967296",
    "egressBytesPerSecond: 17G",
    "guaranteedPercent: 50",
};

START_TEST(limits_beyond_what_a_kernel_knows_are_none)
{
	char text[4096];

	(void)snprintf(text, sizeof(text), "%s" QUOTA("u", "/u", "%s"), WORLD,
	    no_limits[_i]); /* fits */
	compile(text);
	ck_assert_uint_eq(content.rule_chain_count, 0);
}
END_TEST

static const char *const closed[] = {
    "connectionsPerSecond: 0",
    "connectionsPerSecond: 5, burst: 0",
};

START_TEST(limit_of_nothing_denies_all)
{
	char text[4096];

	(void)snprintf(text, sizeof(text), "%s" QUOTA("t", "/t", "%s"), WORLD,
	    closed[_i]); /* fits */
	compile(text);
	ck_assert(entry(SET_LIMIT4_RATE, 1)->limit.nothing);
}
END_TEST

START_TEST(bytes_are_by_direction_and_log_little)
{
	const struct table_rule_chain *own;

	compile(WORLD QUOTA("t", "/t",
	    "egressBytesPerSecond: 4M, ingressBytesPerSecond: 1Ki, "
	    "guaranteedPercent: 10"));
	ck_assert_uint_eq(content.element_count[SET_LIMIT_OUT], 2);
	ck_assert_uint_eq(content.element_count[SET_LIMIT_IN], 2);
	ck_assert_uint_eq(content.element_count[SET_LIMIT_NEW], 0);
	own = entry(SET_LIMIT4_OUT, 1);
	check_bucket(&own->limit, 100000, 1, 65536);
	ck_assert(own->limit.bucket.bytes);
	check_bucket(&chain_of(own->limit.first)->limit, 3600000, 1, 65536);
	check_bucket(&chain_of(own->limit.next)->limit, 4000000, 1, 262144);
	ck_assert(chain_of(chain_of(own->limit.next)->limit.deny)->quiet);
	ck_assert_int_eq(entry(SET_LIMIT4_IN, 1)->limit.kind, NETLIM_IN);
	check_bucket(
	    &chain_of(entry(SET_LIMIT4_IN, 1)->limit.next)->limit, 1024, 1, 262144);
}
END_TEST

START_TEST(lowest_of_one_namespace_holds)
{
	compile(WORLD QUOTA("x", "/u", "connectionsPerSecond: 9")
		QUOTA("z1", "/u", "connectionsPerSecond: 8, burst: 90")
		    QUOTA("z2", "/u", "connectionsPerSecond: 8, burst: 80"));
	check_bucket(&entry(SET_LIMIT4_RATE, 5)->limit, 8, 1, 80);
	ck_assert(str_is(entry(SET_LIMIT4_RATE, 5)->policy, "z2"));
}
END_TEST

/* What a kernel has used of a limit is lost with its chain: it must not change with what
 * is no part of it. */
START_TEST(chains_of_limits_stay_when_documents_move_and_workloads_come)
{
	static const char *const quota =
	    QUOTA("t", "/t", "connectionsPerSecond: 9, connections: 40");
	struct table_content before;
	struct loaded *former;
	char text[4096];
	size_t shared = 0;

	(void)snprintf(text, sizeof(text), "%s%s", WORLD, quota); /* fits */
	compile(text);
	before = content;
	former = l;
	(void)snprintf(text, sizeof(text), "%s%s%s", quota, WORLD,
	    WORKLOAD("a9", "/t/a", "n1", "10.0.0.9")); /* fits */
	compile(text);
	ck_assert_uint_eq(before.rule_chain_count, content.rule_chain_count);
	for (size_t i = 0; i < before.rule_chain_count; i++) {
		const struct table_rule_chain *a = &before.rule_chains[i];
		const struct table_rule_chain *b = &content.rule_chains[i];

		ck_assert_uint_eq(a->number, b->number);
		if (a->limit.form != LIMIT_SHARED)
			continue;
		shared++;
		ck_assert(table_limit_equal(&a->limit, &b->limit));
		ck_assert_str_eq(a->comment, b->comment);
	}
	ck_assert_uint_eq(shared, 4);
	loaded_free(former);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("compile_limits");
	TCase *tc = tcase_create("limits");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, nothing_when_no_quota_limits_the_network);
	tcase_add_test(tc, address_leads_to_its_nearest_limit_and_on_to_those_above);
	tcase_add_test(tc, address_alone_shares_with_nobody);
	tcase_add_loop_test(
	    tc, rates_are_whole_numbers_in_some_unit, 0, ARRAY_LEN(rates));
	tcase_add_loop_test(
	    tc, limits_beyond_what_a_kernel_knows_are_none, 0, ARRAY_LEN(no_limits));
	tcase_add_loop_test(tc, limit_of_nothing_denies_all, 0, ARRAY_LEN(closed));
	tcase_add_test(tc, bytes_are_by_direction_and_log_little);
	tcase_add_test(tc, lowest_of_one_namespace_holds);
	tcase_add_test(
	    tc, chains_of_limits_stay_when_documents_move_and_workloads_come);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
