/*
 * Sets of connections: the algebra, the text, and that what is found is exactly what the
 * evaluator says, port by port and address by address.
 */
#include <check.h>
#include <stdlib.h>

#include "policy-lang/connectivity/connectivity.h"
#include "tests/unit/policy-lang/hand_model.h"

static struct hand h;

static void
setup(void)
{
	hand_init(&h);
	(void)hand_ns(&h, "/");
}

static void
teardown(void)
{
	hand_fini(&h);
}

/* ---- sets ---- */

static const struct conn_set *
tcp_set(struct conn_pool *pool, const struct port_range *ranges, size_t count)
{
	struct conn_set set = {.possible = CONN_ICMP | CONN_OTHER};

	set.ports[CONN_TCP] = (struct conn_ports){ranges, count};
	return conn_set_intern(pool, &set);
}

START_TEST(sets_meet_and_join_exactly)
{
	static const struct port_range a[] = {{1, 100}, {200, 300}, {65535, 65535}};
	static const struct port_range b[] = {{50, 250}, {400, 65535}};
	struct conn_pool pool;
	const struct conn_set *x, *y;

	conn_pool_init(&pool, h.arena, false);
	x = tcp_set(&pool, a, ARRAY_LEN(a));
	y = tcp_set(&pool, b, ARRAY_LEN(b));
	ck_assert_str_eq(x->text, "TCP 1-100,200-300,65535");
	ck_assert_str_eq(conn_set_meet(&pool, x, y)->text, "TCP 50-100,200-250,65535");
	ck_assert_str_eq(conn_set_join(&pool, x, y)->text, "TCP 1-300,400-65535");
	ck_assert_ptr_eq(conn_set_meet(&pool, x, y), conn_set_meet(&pool, y, x));
	ck_assert_ptr_eq(conn_set_join(&pool, x, x), x);
	ck_assert_ptr_null(conn_set_none(&pool, CONN_OTHER)->text);
	ck_assert_str_eq(conn_set_all(&pool, CONN_OTHER)->text, "All Connections");
	conn_pool_fini(&pool);
}
END_TEST

START_TEST(adjacent_ranges_become_one_when_joined)
{
	static const struct port_range a[] = {{1, 10}, {21, 30}};
	static const struct port_range b[] = {{11, 20}};
	struct conn_pool pool;

	conn_pool_init(&pool, h.arena, false);
	ck_assert_str_eq(
	    conn_set_join(&pool, tcp_set(&pool, a, 2), tcp_set(&pool, b, 1))->text,
	    "TCP 1-30");
	conn_pool_fini(&pool);
}
END_TEST

/* The first one's bytes are the second's, but for where one protocol ends: 0x3b, with
 * which both begin or end, is a separator's byte, too. */
START_TEST(sets_are_told_apart_by_their_protocols_whatever_their_numbers)
{
	static const struct port_range sctp[] = {{0x013b, 0x1010}};
	static const struct port_range tcp[] = {{0x1001, 0x3b10}};
	struct conn_set set = {.possible = CONN_ICMP | CONN_OTHER};
	struct conn_pool pool;

	conn_pool_init(&pool, h.arena, false);
	set.ports[CONN_SCTP] = (struct conn_ports){sctp, 1};
	ck_assert_str_eq(conn_set_intern(&pool, &set)->text, "SCTP 315-4112");
	ck_assert_str_eq(tcp_set(&pool, tcp, 1)->text, "TCP 4097-15120");
	conn_pool_fini(&pool);
}
END_TEST

START_TEST(text_tells_of_icmp_in_a_wide_pool_alone)
{
	static const struct port_range all[] = {{1, 65535}};
	struct conn_set set = {.possible = CONN_ICMP | CONN_OTHER};
	struct conn_pool narrow, wide;

	for (size_t i = 0; i < CONN_PROTO_COUNT; i++)
		set.ports[i] = (struct conn_ports){all, 1};
	conn_pool_init(&narrow, h.arena, false);
	conn_pool_init(&wide, h.arena, true);
	ck_assert_str_eq(conn_set_intern(&narrow, &set)->text, "All Connections");
	ck_assert_str_eq(
	    conn_set_intern(&wide, &set)->text, "SCTP 1-65535,TCP 1-65535,UDP 1-65535");
	set.rest = CONN_ICMP;
	ck_assert_str_eq(conn_set_intern(&wide, &set)->text,
	    "ICMP,SCTP 1-65535,TCP 1-65535,UDP 1-65535");
	set.rest |= CONN_OTHER;
	ck_assert_str_eq(conn_set_intern(&wide, &set)->text, "All Connections");
	conn_pool_fini(&narrow);
	conn_pool_fini(&wide);
}
END_TEST

/* ---- finding ---- */

static const char *
text_of(const struct connectivity *found, const char *src, const char *dst)
{
	for (size_t i = 0; i < found->count; i++) {
		const struct connection *c = &found->items[i];

		if (str_is(c->src->display, src) && str_is(c->dst->display, dst))
			return c->set->text;
	}
	return "";
}

static void
find(struct connectivity *found, unsigned family, bool nodes)
{
	struct connectivity_options options = {.family = family, .nodes = nodes};

	connectivity_find(h.arena, &h.m, &options, found);
}

START_TEST(ports_are_cut_where_rules_of_both_ends_cut_them)
{
	struct policy *p = hand_policy(&h, "/a", "out");
	struct policy *q = hand_policy(&h, "/b", "in");
	struct connectivity found;

	(void)hand_workload(&h, "/a", "x", "", "10.0.0.1");
	(void)hand_workload(&h, "/b", "y", "", "10.0.0.2");
	hand_ports(&h, hand_rule(&h, p, PHASE_MANDATORY, DIR_EGRESS, ACTION_DENY),
	    PROTO_TCP, 80, 80);
	hand_ports(&h, hand_rule(&h, q, PHASE_ALLOW, DIR_INGRESS, ACTION_ALLOW),
	    PROTO_TCP, 70, 90);
	find(&found, 0, false);
	ck_assert_str_eq(
	    text_of(&found, "/a/x[Workload]", "/b/y[Workload]"), "TCP 70-79,81-90");
	ck_assert_str_eq(
	    text_of(&found, "/b/y[Workload]", "/a/x[Workload]"), "All Connections");
	ck_assert_str_eq(
	    text_of(&found, "/a/x[Workload]", "0.0.0.0-255.255.255.255[External]"),
	    "SCTP 1-65535,TCP 1-79,81-65535,UDP 1-65535");
	ck_assert_str_eq(
	    text_of(&found, "0.0.0.0-255.255.255.255[External]", "/b/y[Workload]"),
	    "TCP 70-90");
}
END_TEST

START_TEST(outside_is_cut_where_networks_begin_and_end)
{
	struct rule *rule = hand_rule(
	    &h, hand_policy(&h, "/", "p"), PHASE_MANDATORY, DIR_EGRESS, ACTION_DENY);
	struct connectivity found;

	(void)hand_workload(&h, "/", "x", "", "10.0.0.1");
	hand_peer_net(&h, rule, "192.0.2.0/24", true);
	find(&found, 0, false);
	ck_assert_uint_eq(found.count, 3);
	ck_assert_str_eq(
	    text_of(&found, "/x[Workload]", "0.0.0.0-192.0.1.255[External]"),
	    "All Connections");
	ck_assert_str_eq(
	    text_of(&found, "/x[Workload]", "192.0.3.0-255.255.255.255[External]"),
	    "All Connections");
}
END_TEST

START_TEST(outside_of_ipv6_is_listed_when_something_speaks_of_it)
{
	struct connectivity found;
	struct rule *rule;

	(void)hand_workload(&h, "/", "x", "", "");
	find(&found, 0, false);
	ck_assert_uint_eq(found.count, 2);
	find(&found, IP_V6, false);
	ck_assert_uint_eq(found.count, 2);
	ck_assert_str_eq(text_of(&found, "/x[Workload]",
			     "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff[External]"),
	    "All Connections");
	rule = hand_rule(
	    &h, hand_policy(&h, "/", "p"), PHASE_MANDATORY, DIR_EGRESS, ACTION_DENY);
	hand_peer_net(&h, rule, "::/0", true);
	find(&found, 0, false);
	/* In and out by IPv4, in by IPv6. */
	ck_assert_uint_eq(found.count, 3);
}
END_TEST

START_TEST(workloads_that_share_policies_still_reach_each_other)
{
	struct rule *rule = hand_rule(
	    &h, hand_policy(&h, "/", "p"), PHASE_ALLOW, DIR_INGRESS, ACTION_ALLOW);
	struct connectivity found;

	/* Both have the same side; neither is itself to the other. */
	(void)hand_workload(&h, "/", "x", "app=a", "10.0.0.1");
	(void)hand_workload(&h, "/", "y", "app=b", "10.0.0.2");
	hand_peer(&h, rule, PEER_WORKLOADS)->workloads.selector =
	    hand_selector(&h, "app", "a");
	find(&found, 0, false);
	ck_assert_str_eq(
	    text_of(&found, "/x[Workload]", "/y[Workload]"), "All Connections");
	ck_assert_str_eq(text_of(&found, "/y[Workload]", "/x[Workload]"), "");
}
END_TEST

START_TEST(own_node_is_listed_with_everything_and_others_with_what_is_allowed)
{
	struct workload *x = hand_workload(&h, "/", "x", "", "10.0.0.1");
	struct connectivity found;

	hand_run_on(&h, x, "n1");
	(void)hand_node(&h, "n1", "10.9.0.1");
	(void)hand_node(&h, "n2", "10.9.0.2");
	hand_ports(&h,
	    hand_rule(
		&h, hand_policy(&h, "/", "p"), PHASE_ALLOW, DIR_INGRESS, ACTION_ALLOW),
	    PROTO_UDP, 53, 53);
	find(&found, 0, true);
	ck_assert_str_eq(
	    text_of(&found, "node/n1[Node]", "/x[Workload]"), "All Connections");
	ck_assert_str_eq(text_of(&found, "node/n2[Node]", "/x[Workload]"), "UDP 53");
	ck_assert_str_eq(
	    text_of(&found, "/x[Workload]", "node/n2[Node]"), "All Connections");
	ck_assert_str_eq(text_of(&found, "node/n1[Node]", "node/n2[Node]"), "");
}
END_TEST

START_TEST(host_network_workload_is_listed_by_name_and_judged_as_its_node)
{
	struct workload *host = hand_workload(&h, "/", "host", "app=a", "");
	struct rule *rule = hand_rule(
	    &h, hand_policy(&h, "/", "p"), PHASE_ALLOW, DIR_INGRESS, ACTION_ALLOW);
	struct connectivity found;

	host->host_network = true;
	hand_run_on(&h, host, "n1");
	(void)hand_node(&h, "n1", "10.9.0.1");
	hand_run_on(&h, hand_workload(&h, "/", "x", "", "10.0.0.1"), "n1");
	(void)hand_workload(&h, "/", "y", "", "10.0.0.2");
	hand_peer(&h, rule, PEER_WORKLOADS)->workloads.selector =
	    hand_selector(&h, "app", "a");
	h.m.options.default_deny = true;
	find(&found, 0, true);
	ck_assert_str_eq(
	    text_of(&found, "/host[Workload]", "/x[Workload]"), "All Connections");
	ck_assert_str_eq(text_of(&found, "/host[Workload]", "/y[Workload]"), "");
	ck_assert_str_eq(text_of(&found, "/x[Workload]", "/host[Workload]"), "");
	ck_assert_str_eq(
	    text_of(&found, "0.0.0.0-255.255.255.255[External]", "/host[Workload]"),
	    "All Connections");
	ck_assert_str_eq(text_of(&found, "/host[Workload]", "node/n1[Node]"), "");
}
END_TEST

START_TEST(pods_of_one_owner_are_one_end)
{
	struct workload *x = hand_workload(&h, "/", "x", "", "10.0.0.1");
	struct workload *y = hand_workload(&h, "/", "y", "", "10.0.0.2");
	struct connectivity found;

	hand_shape(y)->display = x->shape->display;
	find(&found, 0, false);
	ck_assert_uint_eq(found.count, 2); /* from and to the outside */
}
END_TEST

START_TEST(families_are_joined_when_one_of_them_is_allowed)
{
	struct rule *rule = hand_rule(
	    &h, hand_policy(&h, "/", "p"), PHASE_MANDATORY, DIR_EGRESS, ACTION_DENY);
	struct connectivity found;

	(void)hand_workload(&h, "/", "x", "", "10.0.0.1 2001:db8::1");
	(void)hand_workload(&h, "/", "y", "", "10.0.0.2 2001:db8::2");
	(void)hand_workload(&h, "/", "z", "", "10.0.0.3");
	hand_peer_net(&h, rule, "0.0.0.0/0", true);
	find(&found, 0, false);
	ck_assert_str_eq(
	    text_of(&found, "/x[Workload]", "/y[Workload]"), "All Connections");
	ck_assert_str_eq(text_of(&found, "/x[Workload]", "/z[Workload]"), "");
	find(&found, IP_V4, false);
	ck_assert_str_eq(text_of(&found, "/x[Workload]", "/y[Workload]"), "");
}
END_TEST

START_TEST(icmp_of_each_family_is_told_apart)
{
	struct policy *p = hand_policy(&h, "/y", "p");
	struct connectivity found;

	(void)hand_workload(&h, "/x", "x", "", "10.0.0.1 2001:db8::1");
	(void)hand_workload(&h, "/y", "y", "", "10.0.0.2 2001:db8::2");
	(void)hand_workload(&h, "/z", "z", "", "10.0.0.3");
	hand_ports(&h, hand_rule(&h, p, PHASE_ALLOW, DIR_INGRESS, ACTION_ALLOW),
	    PROTO_ICMPV6, 0, UINT16_MAX);
	find(&found, 0, false);
	ck_assert_str_eq(text_of(&found, "/x/x[Workload]", "/y/y[Workload]"), "ICMPv6");
	ck_assert_str_eq(text_of(&found, "/z/z[Workload]", "/y/y[Workload]"), "");
	ck_assert_str_eq(
	    text_of(&found, "/y/y[Workload]", "/z/z[Workload]"), "All Connections");
}
END_TEST

/* ---- against the evaluator, on models made by chance ---- */

static unsigned random_state;

static unsigned
chance(unsigned below)
{
	random_state = random_state * 1103515245u + 12345u;
	return (random_state >> 16) % below;
}

static const struct named_port web_ports[] = {
    {{"web", 3}, PROTO_TCP, 8}, {{"web", 3}, PROTO_UDP, 9}};

static void
random_rule(struct policy *p)
{
	enum phase phase = (enum phase)chance(3);
	enum direction dir = (enum direction)chance(2);
	enum action action =
	    phase == PHASE_ALLOW ? ACTION_ALLOW : (enum action)chance(3);
	static const char *const nets[] = {
	    "10.0.0.0/30", "10.0.0.2/31", "192.0.2.0/24"};
	static const uint8_t protos[] = {PROTO_TCP, PROTO_UDP, PROTO_ANY};
	static const char *const apps[] = {"a", "b"};
	struct rule *rule = hand_rule(&h, p, phase, dir, action);
	uint16_t lo = (uint16_t)(1 + chance(12));

	if (chance(3) == 0)
		hand_peer(&h, rule, PEER_WORKLOADS)->workloads.selector =
		    hand_selector(&h, "app", apps[chance(2)]);
	else if (chance(2) == 0)
		hand_peer_net(&h, rule, nets[chance(3)], chance(2) == 0);
	if (chance(3) == 0)
		hand_port_name(&h, rule, chance(2) == 0 ? PROTO_ANY : PROTO_TCP, "web");
	else if (chance(2) == 0)
		hand_ports(&h, rule, protos[chance(3)], lo, (uint16_t)(lo + chance(4)));
}

static void
random_model(void)
{
	static const char *const paths[] = {"/", "/a", "/a/b"};
	static const char *const labels[] = {"app=a", "app=b", ""};

	for (unsigned i = 0; i < 5; i++) {
		const char *addr =
		    chance(4) == 0 ? "" : arena_printf(h.arena, "10.0.0.%u", i);
		struct workload *w = hand_workload(&h, paths[chance(3)],
		    arena_printf(h.arena, "w%u", i), labels[chance(3)], addr);

		if (chance(2) == 0) {
			hand_shape(w)->ports = web_ports;
			hand_shape(w)->port_count = 1 + chance(2);
		}
	}
	for (unsigned i = 0; i < 4; i++) {
		struct policy *p =
		    hand_policy(&h, paths[chance(3)], arena_printf(h.arena, "p%u", i));

		for (unsigned j = 0; j < 1 + chance(3); j++)
			random_rule(p);
	}
}

static bool
set_has(const struct conn_set *set, enum conn_proto proto, uint16_t port)
{
	const struct conn_ports *list = &set->ports[proto];

	for (size_t i = 0; i < list->count; i++) {
		if (list->items[i].lo <= port && port <= list->items[i].hi)
			return true;
	}
	return false;
}

static bool
listed(const struct connectivity *found, const struct workload *src,
    const struct workload *dst, const struct ip_addr *outside, bool from_outside,
    enum conn_proto proto, uint16_t port)
{
	for (size_t i = 0; i < found->count; i++) {
		const struct connection *c = &found->items[i];
		const struct conn_end *ext = from_outside ? c->src : c->dst;

		if (outside != NULL && (ext->kind != CONN_END_EXTERNAL ||
					   ip_cmp(outside, &ext->first) < 0 ||
					   ip_cmp(outside, &ext->last) > 0))
			continue;
		if ((src == NULL || c->src->workload == src) &&
		    (dst == NULL || c->dst->workload == dst) &&
		    set_has(c->set, proto, port))
			return true;
	}
	return false;
}

static const uint8_t numbers[] = {PROTO_SCTP, PROTO_TCP, PROTO_UDP};
static const uint16_t probes[] = {
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 65535};

static void
compare_pair(const struct connectivity *found, const struct workload *a,
    const struct workload *b)
{
	struct endpoint src = endpoint_of_workload(&h.m, a);
	struct endpoint dst = endpoint_of_workload(&h.m, b);
	bool comparable;

	for (size_t p = 0; p < CONN_PROTO_COUNT; p++) {
		for (size_t k = 0; k < ARRAY_LEN(probes); k++)
			ck_assert_int_eq(listed(found, a, b, NULL, false,
					     (enum conn_proto)p, probes[k]),
			    evaluate_connection(&h.m, &src, &dst, numbers[p], probes[k],
				0, &comparable));
	}
}

static void
compare_outside(const struct connectivity *found, const struct workload *w)
{
	static const char *const addrs[] = {"0.0.0.0", "9.255.255.255", "10.0.0.9",
	    "192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0", "255.255.255.255"};

	for (size_t i = 0; i < ARRAY_LEN(addrs) * CONN_PROTO_COUNT; i++) {
		enum conn_proto p = (enum conn_proto)(i % CONN_PROTO_COUNT);
		struct endpoint self = endpoint_of_workload(&h.m, w);
		struct endpoint out = {.kind = ENDPOINT_ADDRESS,
		    .has_addr = true,
		    .addr = hand_addr(addrs[i / CONN_PROTO_COUNT])};
		bool comparable;

		for (size_t k = 0; k < ARRAY_LEN(probes); k++) {
			ck_assert_int_eq(
			    listed(found, w, NULL, &out.addr, false, p, probes[k]),
			    evaluate_connection(&h.m, &self, &out, numbers[p],
				probes[k], 0, &comparable));
			ck_assert_int_eq(
			    listed(found, NULL, w, &out.addr, true, p, probes[k]),
			    evaluate_connection(&h.m, &out, &self, numbers[p],
				probes[k], 0, &comparable));
		}
	}
}

START_TEST(list_is_what_the_evaluator_says_of_every_port)
{
	struct connectivity found;

	random_state = (unsigned)_i;
	random_model();
	find(&found, 0, false);
	for (size_t i = 0; i < h.m.workload_count; i++) {
		compare_outside(&found, h.workloads[i]);
		for (size_t j = 0; j < h.m.workload_count; j++) {
			if (i != j)
				compare_pair(&found, h.workloads[i], h.workloads[j]);
		}
	}
}
END_TEST

START_TEST(formats_quote_what_would_break_them)
{
	struct conn_set set = {.text = "TCP 1,2"};
	struct conn_end a = {.display = STR("a\"|b")}, b = {.display = STR("c")};
	struct connection one = {&a, &b, &set};
	struct connectivity found = {&one, 1};
	struct buf out = {0};

	connectivity_print(&out, &found, CONNECTIVITY_JSON);
	ck_assert_str_eq(out.data,
	    "[{\"src\": \"a\\\"|b\", \"dst\": \"c\", \"conn\": \"TCP 1,2\"}]\n");
	buf_clear(&out);
	connectivity_print(&out, &found, CONNECTIVITY_CSV);
	ck_assert_str_eq(out.data, "src,dst,conn\n\"a\"\"|b\",c,\"TCP 1,2\"\n");
	buf_clear(&out);
	connectivity_print(&out, &found, CONNECTIVITY_MD);
	ck_assert_str_eq(out.data,
	    "| src | dst | conn |\n|---|---|---|\n| a\"\\|b | c | TCP 1,2 |\n");
	buf_clear(&out);
	connectivity_print(&out, &found, CONNECTIVITY_DOT);
	ck_assert_ptr_nonnull(
	    strstr(out.data, "\t\"a\\\"|b\" -> \"c\" [label=\"TCP 1,2\"]\n"));
	buf_free(&out);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    sets_meet_and_join_exactly,
	    adjacent_ranges_become_one_when_joined,
	    sets_are_told_apart_by_their_protocols_whatever_their_numbers,
	    text_tells_of_icmp_in_a_wide_pool_alone,
	    ports_are_cut_where_rules_of_both_ends_cut_them,
	    outside_is_cut_where_networks_begin_and_end,
	    outside_of_ipv6_is_listed_when_something_speaks_of_it,
	    workloads_that_share_policies_still_reach_each_other,
	    own_node_is_listed_with_everything_and_others_with_what_is_allowed,
	    host_network_workload_is_listed_by_name_and_judged_as_its_node,
	    pods_of_one_owner_are_one_end,
	    families_are_joined_when_one_of_them_is_allowed,
	    icmp_of_each_family_is_told_apart,
	    formats_quote_what_would_break_them,
	};
	Suite *suite = suite_create("connectivity");
	TCase *tcase = tcase_create("connectivity");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	for (size_t i = 0; i < ARRAY_LEN(tests); i++)
		tcase_add_test(tcase, tests[i]);
	tcase_add_loop_test(
	    tcase, list_is_what_the_evaluator_says_of_every_port, 0, 60);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
