/*
 * The walk, point by point. Expected verdicts follow from the text of the language;
 * models are made by hand, so that nothing but the evaluator is under test.
 */
#include <check.h>

#include "tests/unit/policy-lang/hand_model.h"

static struct hand h;

static void
setup(void)
{
	hand_init(&h);
}

static void
teardown(void)
{
	hand_fini(&h);
}

static bool
allowed(const struct workload *src, const struct workload *dst, uint16_t port)
{
	struct flow flow = hand_flow(src, dst, PROTO_TCP, port);

	return evaluate_flow(&h.m, &flow);
}

/* ---- the two laws ---- */

START_TEST(flow_follows_the_ancestor_when_both_are_mandatory)
{
	struct workload *a = hand_workload(&h, "/acme/shop", "a", "", "10.0.0.1");
	struct workload *b = hand_workload(&h, "/acme/shop", "b", "", "10.0.0.2");

	(void)hand_rule(&h, hand_policy(&h, "/acme/shop", "leaf"), PHASE_MANDATORY,
	    DIR_INGRESS, ACTION_ALLOW);
	(void)hand_rule(&h, hand_policy(&h, "/acme", "top"), PHASE_MANDATORY,
	    DIR_INGRESS, ACTION_DENY);
	ck_assert(!allowed(a, b, 80));
}
END_TEST

START_TEST(flow_follows_the_nearest_when_both_are_defaults)
{
	struct workload *a = hand_workload(&h, "/acme/shop", "a", "", "10.0.0.1");
	struct workload *b = hand_workload(&h, "/acme/shop", "b", "", "10.0.0.2");

	(void)hand_rule(&h, hand_policy(&h, "/acme", "top"), PHASE_DEFAULT, DIR_INGRESS,
	    ACTION_DENY);
	ck_assert(!allowed(a, b, 80));
	(void)hand_rule(&h, hand_policy(&h, "/acme/shop", "leaf"), PHASE_DEFAULT,
	    DIR_INGRESS, ACTION_ALLOW);
	ck_assert(allowed(a, b, 80));
}
END_TEST

START_TEST(mandatory_wins_over_an_allow_block_and_that_over_a_default)
{
	struct workload *a = hand_workload(&h, "/acme", "a", "", "10.0.0.1");
	struct workload *b = hand_workload(&h, "/acme", "b", "", "10.0.0.2");
	struct policy *p = hand_policy(&h, "/acme", "p");
	struct rule *allow;

	(void)hand_rule(&h, p, PHASE_DEFAULT, DIR_INGRESS, ACTION_DENY);
	allow = hand_rule(&h, p, PHASE_ALLOW, DIR_INGRESS, ACTION_ALLOW);
	hand_ports(&h, allow, PROTO_TCP, 80, 81);
	ck_assert(allowed(a, b, 80));
	hand_ports(&h, hand_rule(&h, p, PHASE_MANDATORY, DIR_INGRESS, ACTION_DENY),
	    PROTO_TCP, 80, 80);
	ck_assert(!allowed(a, b, 80));
	ck_assert(allowed(a, b, 81));
	ck_assert(!allowed(a, b, 82));
}
END_TEST

START_TEST(pass_leaves_the_whole_level_across_its_policies)
{
	struct workload *a = hand_workload(&h, "/acme", "a", "", "10.0.0.1");
	struct workload *b = hand_workload(&h, "/acme", "b", "", "10.0.0.2");

	(void)hand_rule(&h, hand_policy(&h, "/", "first"), PHASE_MANDATORY, DIR_INGRESS,
	    ACTION_PASS);
	(void)hand_rule(&h, hand_policy(&h, "/", "second"), PHASE_MANDATORY,
	    DIR_INGRESS, ACTION_DENY);
	ck_assert(allowed(a, b, 80));
	(void)hand_rule(&h, hand_policy(&h, "/acme", "below"), PHASE_MANDATORY,
	    DIR_INGRESS, ACTION_DENY);
	ck_assert(!allowed(a, b, 80));
}
END_TEST

START_TEST(pass_in_a_default_goes_up_to_the_next_level)
{
	struct workload *a = hand_workload(&h, "/acme", "a", "", "10.0.0.1");
	struct workload *b = hand_workload(&h, "/acme", "b", "", "10.0.0.2");

	(void)hand_rule(&h, hand_policy(&h, "/acme", "near"), PHASE_DEFAULT,
	    DIR_INGRESS, ACTION_PASS);
	ck_assert(allowed(a, b, 80));
	(void)hand_rule(
	    &h, hand_policy(&h, "/", "far"), PHASE_DEFAULT, DIR_INGRESS, ACTION_DENY);
	ck_assert(!allowed(a, b, 80));
}
END_TEST

START_TEST(first_match_wins_within_a_list)
{
	struct workload *a = hand_workload(&h, "/", "a", "", "10.0.0.1");
	struct workload *b = hand_workload(&h, "/", "b", "", "10.0.0.2");
	struct policy *p = hand_policy(&h, "/", "p");

	hand_ports(&h, hand_rule(&h, p, PHASE_MANDATORY, DIR_EGRESS, ACTION_ALLOW),
	    PROTO_TCP, 80, 80);
	(void)hand_rule(&h, p, PHASE_MANDATORY, DIR_EGRESS, ACTION_DENY);
	ck_assert(allowed(a, b, 80));
	ck_assert(!allowed(a, b, 81));
}
END_TEST

/* ---- allow blocks ---- */

START_TEST(allow_blocks_of_one_level_are_a_union)
{
	struct workload *a = hand_workload(&h, "/acme", "a", "", "10.0.0.1");
	struct workload *b = hand_workload(&h, "/acme", "b", "", "10.0.0.2");

	hand_ports(&h,
	    hand_rule(&h, hand_policy(&h, "/acme", "p"), PHASE_ALLOW, DIR_INGRESS,
		ACTION_ALLOW),
	    PROTO_TCP, 80, 80);
	ck_assert(!allowed(a, b, 81));
	hand_ports(&h,
	    hand_rule(&h, hand_policy(&h, "/acme", "q"), PHASE_ALLOW, DIR_INGRESS,
		ACTION_ALLOW),
	    PROTO_TCP, 81, 81);
	ck_assert(allowed(a, b, 80));
	ck_assert(allowed(a, b, 81));
	ck_assert(!allowed(a, b, 82));
}
END_TEST

START_TEST(isolation_is_final_for_every_level_above)
{
	struct workload *a = hand_workload(&h, "/acme", "a", "", "10.0.0.1");
	struct workload *b = hand_workload(&h, "/acme", "b", "", "10.0.0.2");

	hand_policy(&h, "/acme", "empty")->isolates[DIR_INGRESS] = true;
	(void)hand_rule(
	    &h, hand_policy(&h, "/", "above"), PHASE_ALLOW, DIR_INGRESS, ACTION_ALLOW);
	ck_assert(!allowed(a, b, 80));
}
END_TEST

START_TEST(isolation_is_per_direction_for_the_step_to_defaults_too)
{
	struct workload *a = hand_workload(&h, "/acme", "a", "", "10.0.0.1");
	struct workload *b = hand_workload(&h, "/acme", "b", "", "10.0.0.2");

	/* b is isolated for egress alone: what the root says of ingress still holds. */
	(void)hand_rule(&h, hand_policy(&h, "/acme", "egress-only"), PHASE_ALLOW,
	    DIR_EGRESS, ACTION_ALLOW);
	ck_assert(allowed(a, b, 80));
	(void)hand_rule(&h, hand_policy(&h, "/", "baseline"), PHASE_DEFAULT,
	    DIR_INGRESS, ACTION_DENY);
	ck_assert(!allowed(a, b, 80));
}
END_TEST

START_TEST(policy_leaves_others_alone_when_its_subject_selects_one)
{
	struct workload *a = hand_workload(&h, "/acme", "a", "", "10.0.0.1");
	struct workload *b = hand_workload(&h, "/acme", "b", "tier=web", "10.0.0.2");
	struct workload *c = hand_workload(&h, "/acme", "c", "tier=db", "10.0.0.3");
	struct policy *p = hand_policy(&h, "/acme", "p");

	p->subject.selector = hand_selector(&h, "tier", "web");
	p->isolates[DIR_INGRESS] = true;
	ck_assert(!allowed(a, b, 80));
	ck_assert(allowed(a, c, 80));
}
END_TEST

START_TEST(both_ends_must_consent)
{
	struct workload *a = hand_workload(&h, "/one", "a", "", "10.0.0.1");
	struct workload *b = hand_workload(&h, "/two", "b", "", "10.0.0.2");

	(void)hand_rule(&h, hand_policy(&h, "/one", "open"), PHASE_MANDATORY,
	    DIR_EGRESS, ACTION_ALLOW);
	hand_policy(&h, "/two", "closed")->isolates[DIR_INGRESS] = true;
	ck_assert(!allowed(a, b, 80));
	ck_assert(allowed(b, a, 80));
}
END_TEST

START_TEST(cluster_default_is_for_workloads_alone)
{
	struct workload *a = hand_workload(&h, "/", "a", "", "10.0.0.1");
	struct flow out = hand_flow(a, a, PROTO_TCP, 80);
	struct flow in;

	(void)hand_ns(&h, "/");
	h.m.options.default_deny = true;
	out.dst = (struct endpoint){
	    .kind = ENDPOINT_ADDRESS, .has_addr = true, .addr = hand_addr("192.0.2.1")};
	in = (struct flow){
	    .src = out.dst, .dst = out.src, .proto = PROTO_TCP, .port = 80};
	ck_assert(!evaluate_direction(&h.m, &out, DIR_EGRESS).allow);
	ck_assert(evaluate_direction(&h.m, &out, DIR_INGRESS).allow);
	ck_assert_int_eq(
	    evaluate_direction(&h.m, &out, DIR_INGRESS).reason, REASON_NO_POLICY);
	ck_assert(evaluate_direction(&h.m, &in, DIR_EGRESS).allow);
	ck_assert_int_eq(
	    evaluate_direction(&h.m, &in, DIR_INGRESS).reason, REASON_CLUSTER_DEFAULT);
}
END_TEST

/* ---- ends ---- */

START_TEST(workload_reaches_itself_when_everything_is_denied)
{
	struct workload *a = hand_workload(&h, "/", "a", "", "10.0.0.1");
	struct policy *p = hand_policy(&h, "/", "p");

	(void)hand_rule(&h, p, PHASE_MANDATORY, DIR_INGRESS, ACTION_DENY);
	(void)hand_rule(&h, p, PHASE_MANDATORY, DIR_EGRESS, ACTION_DENY);
	ck_assert(allowed(a, a, 80));
}
END_TEST

START_TEST(own_node_reaches_its_workload_against_a_mandatory_deny)
{
	struct workload *a = hand_workload(&h, "/", "a", "", "10.0.0.1");
	struct flow in = hand_flow(a, a, PROTO_TCP, 80);
	struct flow out = in;

	hand_run_on(&h, a, "worker-1");
	(void)hand_rule(
	    &h, hand_policy(&h, "/", "p"), PHASE_MANDATORY, DIR_INGRESS, ACTION_DENY);
	in.src = endpoint_of_node(hand_node(&h, "worker-1", "10.9.0.1"));
	ck_assert(evaluate_flow(&h.m, &in));
	ck_assert_int_eq(
	    evaluate_direction(&h.m, &in, DIR_INGRESS).reason, REASON_OWN_NODE);
	in.src = endpoint_of_node(hand_node(&h, "worker-2", "10.9.0.2"));
	ck_assert(!evaluate_flow(&h.m, &in));
	/* The other way is judged, for the own node as well. */
	(void)hand_rule(
	    &h, hand_policy(&h, "/", "q"), PHASE_MANDATORY, DIR_EGRESS, ACTION_DENY);
	out.dst = endpoint_of_node(h.nodes[0]);
	ck_assert(!evaluate_flow(&h.m, &out));
}
END_TEST

START_TEST(host_network_workload_is_its_node)
{
	struct workload *a = hand_workload(&h, "/", "a", "", "10.0.0.1");
	struct workload *host = hand_workload(&h, "/", "host", "app=x", "");
	struct policy *p = hand_policy(&h, "/", "p");
	struct rule *rule = hand_rule(&h, p, PHASE_MANDATORY, DIR_INGRESS, ACTION_DENY);
	struct endpoint src, dst = endpoint_of_workload(&h.m, a);
	bool comparable;

	host->host_network = true;
	hand_run_on(&h, host, "worker-2");
	(void)hand_node(&h, "worker-2", "10.9.0.2");
	hand_peer(&h, rule, PEER_WORKLOADS)->workloads.selector =
	    hand_selector(&h, "app", "x");
	src = endpoint_of_workload(&h.m, host);
	ck_assert_int_eq(src.kind, ENDPOINT_NODE);
	ck_assert_ptr_eq(src.node, h.nodes[0]);
	/* Its labels are nothing to a policy; its node's address is. */
	ck_assert(evaluate_connection(&h.m, &src, &dst, PROTO_TCP, 80, 0, &comparable));
	hand_peer_net(&h, rule, "10.9.0.2/32", false);
	ck_assert(
	    !evaluate_connection(&h.m, &src, &dst, PROTO_TCP, 80, 0, &comparable));
	ck_assert(!policy_applies(p, host));
}
END_TEST

START_TEST(address_is_the_workload_or_the_node_that_has_it)
{
	struct workload *a = hand_workload(&h, "/", "a", "", "10.0.0.1");
	struct endpoint end;

	(void)hand_node(&h, "worker-1", "10.9.0.1");
	end = endpoint_of_addr(&h.m, hand_addr("10.0.0.1"));
	ck_assert_int_eq(end.kind, ENDPOINT_WORKLOAD);
	ck_assert_ptr_eq(end.workload, a);
	end = endpoint_of_addr(&h.m, hand_addr("10.9.0.1"));
	ck_assert_int_eq(end.kind, ENDPOINT_NODE);
	ck_assert_ptr_eq(end.node, h.nodes[0]);
	end = endpoint_of_addr(&h.m, hand_addr("192.0.2.1"));
	ck_assert_int_eq(end.kind, ENDPOINT_ADDRESS);
}
END_TEST

/* ---- peers ---- */

START_TEST(network_matches_a_workload_by_address_unless_told_not_to)
{
	struct workload *a = hand_workload(&h, "/", "a", "", "10.0.0.1");
	struct workload *b = hand_workload(&h, "/", "b", "", "10.0.0.2");
	struct rule *rule = hand_rule(
	    &h, hand_policy(&h, "/", "p"), PHASE_MANDATORY, DIR_INGRESS, ACTION_DENY);

	hand_peer_net(&h, rule, "10.0.0.0/24", true);
	ck_assert(!allowed(a, b, 80));
	hand_peer_net(&h, rule, "10.0.0.0/24", false);
	ck_assert(allowed(a, b, 80));
}
END_TEST

START_TEST(network_never_matches_a_workload_without_address)
{
	struct workload *a = hand_workload(&h, "/", "a", "", "");
	struct workload *b = hand_workload(&h, "/", "b", "", "10.0.0.2");
	struct rule *rule = hand_rule(
	    &h, hand_policy(&h, "/", "p"), PHASE_MANDATORY, DIR_INGRESS, ACTION_DENY);

	hand_peer_net(&h, rule, "0.0.0.0/0", true);
	ck_assert(allowed(a, b, 80));
}
END_TEST

START_TEST(except_takes_addresses_out_of_its_own_item)
{
	struct workload *b = hand_workload(&h, "/", "b", "", "10.0.0.2");
	struct rule *rule = hand_rule(
	    &h, hand_policy(&h, "/", "p"), PHASE_ALLOW, DIR_INGRESS, ACTION_ALLOW);
	struct ip_prefix except = hand_prefix("192.0.2.128/25");
	struct peer *peer = hand_peer(&h, rule, PEER_NETWORK);
	struct ip_prefix prefix = hand_prefix("192.0.2.0/24");
	struct flow in = hand_flow(b, b, PROTO_TCP, 80);

	*peer = (struct peer){.kind = PEER_NETWORK,
	    .prefixes = &prefix,
	    .prefix_count = 1,
	    .excepts = &except,
	    .except_count = 1};
	in.src = endpoint_of_addr(&h.m, hand_addr("192.0.2.127"));
	ck_assert(evaluate_flow(&h.m, &in));
	in.src = endpoint_of_addr(&h.m, hand_addr("192.0.2.128"));
	ck_assert(!evaluate_flow(&h.m, &in));
}
END_TEST

START_TEST(node_peer_matches_the_node_by_name_and_no_other_address)
{
	struct workload *b = hand_workload(&h, "/", "b", "", "10.0.0.2");
	struct rule *rule = hand_rule(
	    &h, hand_policy(&h, "/", "p"), PHASE_MANDATORY, DIR_EGRESS, ACTION_DENY);
	struct flow out = hand_flow(b, b, PROTO_TCP, 80);

	(void)hand_node(&h, "worker-1", "10.9.0.1");
	(void)hand_node(&h, "worker-2", "10.9.0.2");
	hand_peer(&h, rule, PEER_NODES)->node_name = STR("worker-1");
	out.dst = endpoint_of_addr(&h.m, hand_addr("10.9.0.1"));
	ck_assert(!evaluate_flow(&h.m, &out));
	out.dst = endpoint_of_addr(&h.m, hand_addr("10.9.0.2"));
	ck_assert(evaluate_flow(&h.m, &out));
	out.dst = endpoint_of_addr(&h.m, hand_addr("192.0.2.1"));
	ck_assert(evaluate_flow(&h.m, &out));
}
END_TEST

START_TEST(rule_matches_nobody_when_its_peers_are_names_or_none)
{
	struct workload *a = hand_workload(&h, "/", "a", "", "10.0.0.1");
	struct workload *b = hand_workload(&h, "/", "b", "", "10.0.0.2");
	struct rule *rule = hand_rule(
	    &h, hand_policy(&h, "/", "p"), PHASE_ALLOW, DIR_INGRESS, ACTION_ALLOW);

	ck_assert(allowed(a, b, 80));
	(void)hand_peer(&h, rule, PEER_FQDN);
	ck_assert(!allowed(a, b, 80));
	rule->peer_count = 0;
	ck_assert(!allowed(a, b, 80));
}
END_TEST

/* ---- ports ---- */

START_TEST(bare_name_means_each_protocol_that_the_destination_gives_it)
{
	static const struct named_port ports[] = {
	    {{"dns", 3}, PROTO_TCP, 53}, {{"dns", 3}, PROTO_UDP, 5353}};
	static const struct {
		uint8_t rule_proto, proto;
		uint16_t port;
		bool allow;
	} cases[] = {
	    {PROTO_ANY, PROTO_TCP, 53, true},
	    {PROTO_ANY, PROTO_UDP, 5353, true},
	    {PROTO_ANY, PROTO_UDP, 53, false},
	    {PROTO_ANY, PROTO_TCP, 5353, false},
	    {PROTO_UDP, PROTO_UDP, 5353, true},
	    {PROTO_UDP, PROTO_TCP, 53, false},
	};
	struct workload *a = hand_workload(&h, "/", "a", "", "10.0.0.1");
	struct workload *b = hand_workload(&h, "/", "b", "", "10.0.0.2");
	struct rule *rule = hand_rule(
	    &h, hand_policy(&h, "/", "p"), PHASE_ALLOW, DIR_INGRESS, ACTION_ALLOW);

	hand_shape(b)->ports = ports;
	hand_shape(b)->port_count = ARRAY_LEN(ports);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct flow flow = hand_flow(a, b, cases[i].proto, cases[i].port);

		hand_port_name(&h, rule, cases[i].rule_proto, "dns");
		ck_assert_int_eq(evaluate_flow(&h.m, &flow), cases[i].allow);
	}
}
END_TEST

START_TEST(named_port_is_the_destinations_for_egress_as_well)
{
	static const struct named_port eighty = {{"http", 4}, PROTO_TCP, 80};
	static const struct named_port other = {{"http", 4}, PROTO_TCP, 8080};
	struct workload *a = hand_workload(&h, "/", "a", "", "10.0.0.1");
	struct workload *b = hand_workload(&h, "/", "b", "", "10.0.0.2");
	struct workload *c = hand_workload(&h, "/", "c", "", "10.0.0.3");
	struct rule *rule = hand_rule(
	    &h, hand_policy(&h, "/", "p"), PHASE_ALLOW, DIR_EGRESS, ACTION_ALLOW);
	struct flow out = hand_flow(a, a, PROTO_TCP, 80);

	hand_shape(a)->ports = hand_shape(b)->ports = &eighty;
	hand_shape(c)->ports = &other;
	hand_shape(a)->port_count = hand_shape(b)->port_count =
	    hand_shape(c)->port_count = 1;
	hand_port_name(&h, rule, PROTO_TCP, "http");
	ck_assert(allowed(a, b, 80));
	ck_assert(!allowed(a, c, 80));
	ck_assert(allowed(a, c, 8080));
	out.dst = endpoint_of_addr(&h.m, hand_addr("192.0.2.1"));
	ck_assert(!evaluate_flow(&h.m, &out));
}
END_TEST

START_TEST(icmp_rule_matches_its_own_family_alone)
{
	static const struct {
		uint8_t rule_proto, proto;
		const char *addr;
		bool denied;
	} cases[] = {
	    {PROTO_ICMP, PROTO_ICMP, "192.0.2.1", true},
	    {PROTO_ICMP, PROTO_ICMP, "2001:db8::1", false},
	    {PROTO_ICMP, PROTO_ICMPV6, "2001:db8::1", false},
	    {PROTO_ICMPV6, PROTO_ICMPV6, "2001:db8::1", true},
	    {PROTO_ICMPV6, PROTO_ICMPV6, "192.0.2.1", false},
	};
	struct workload *a = hand_workload(&h, "/", "a", "", "");
	struct rule *rule = hand_rule(
	    &h, hand_policy(&h, "/", "p"), PHASE_MANDATORY, DIR_EGRESS, ACTION_DENY);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct flow flow = hand_flow(a, a, cases[i].proto, 0);

		flow.dst = endpoint_of_addr(&h.m, hand_addr(cases[i].addr));
		rule->port_count = 0;
		hand_ports(&h, rule, cases[i].rule_proto, 0, UINT16_MAX);
		ck_assert_int_eq(evaluate_flow(&h.m, &flow), !cases[i].denied);
	}
}
END_TEST

START_TEST(rule_for_udp_opens_no_tcp)
{
	struct workload *a = hand_workload(&h, "/", "a", "", "10.0.0.1");
	struct workload *b = hand_workload(&h, "/", "b", "", "10.0.0.2");
	struct flow udp = hand_flow(a, b, PROTO_UDP, 53);

	hand_ports(&h,
	    hand_rule(
		&h, hand_policy(&h, "/", "p"), PHASE_ALLOW, DIR_INGRESS, ACTION_ALLOW),
	    PROTO_UDP, 0, UINT16_MAX);
	ck_assert(evaluate_flow(&h.m, &udp));
	ck_assert(!allowed(a, b, 53));
}
END_TEST

/* ---- connections of ends with several addresses ---- */

START_TEST(connection_is_allowed_when_one_family_is)
{
	struct workload *a = hand_workload(&h, "/", "a", "", "10.0.0.1 2001:db8::1");
	struct workload *b = hand_workload(&h, "/", "b", "", "10.0.0.2 2001:db8::2");
	struct endpoint src = endpoint_of_workload(&h.m, a);
	struct endpoint dst = endpoint_of_workload(&h.m, b);
	struct rule *rule = hand_rule(
	    &h, hand_policy(&h, "/", "p"), PHASE_MANDATORY, DIR_EGRESS, ACTION_DENY);
	struct flow flow;
	bool comparable;

	hand_peer_net(&h, rule, "0.0.0.0/0", true);
	ck_assert(evaluate_connection_flow(
	    &h.m, &src, &dst, PROTO_TCP, 80, 0, &comparable, &flow));
	ck_assert(comparable);
	ck_assert_uint_eq(flow.src.addr.family, IP_V6);
	ck_assert(
	    !evaluate_connection(&h.m, &src, &dst, PROTO_TCP, 80, IP_V4, &comparable));
	ck_assert(comparable);
	ck_assert(
	    evaluate_connection(&h.m, &src, &dst, PROTO_TCP, 80, IP_V6, &comparable));
}
END_TEST

START_TEST(connection_is_incomparable_when_no_family_is_common)
{
	struct workload *a = hand_workload(&h, "/", "a", "", "10.0.0.1");
	struct workload *b = hand_workload(&h, "/", "b", "", "2001:db8::2");
	struct workload *c = hand_workload(&h, "/", "c", "", "");
	struct endpoint four = endpoint_of_workload(&h.m, a);
	struct endpoint six = endpoint_of_workload(&h.m, b);
	struct endpoint none = endpoint_of_workload(&h.m, c);
	bool comparable;

	ck_assert(
	    !evaluate_connection(&h.m, &four, &six, PROTO_TCP, 80, 0, &comparable));
	ck_assert(!comparable);
	ck_assert(
	    evaluate_connection(&h.m, &four, &none, PROTO_TCP, 80, 0, &comparable));
	ck_assert(comparable);
	ck_assert(!evaluate_connection(
	    &h.m, &four, &none, PROTO_TCP, 80, IP_V6, &comparable));
	ck_assert(!comparable);
	ck_assert(
	    !evaluate_connection(&h.m, &none, &six, PROTO_ICMP, 0, 0, &comparable));
	ck_assert(!comparable);
}
END_TEST

/* ---- the trace, and the judge ---- */

START_TEST(trace_keeps_every_step_and_what_was_not_reached)
{
	struct workload *a = hand_workload(&h, "/acme", "a", "", "10.0.0.1");
	struct workload *b = hand_workload(&h, "/acme", "b", "", "10.0.0.2");
	struct policy *root = hand_policy(&h, "/", "root");
	struct policy *leaf = hand_policy(&h, "/acme", "leaf");
	struct flow flow = hand_flow(a, b, PROTO_TCP, 80);
	struct walk walk;

	(void)hand_rule(&h, root, PHASE_MANDATORY, DIR_INGRESS, ACTION_PASS);
	(void)hand_rule(&h, root, PHASE_DEFAULT, DIR_INGRESS, ACTION_ALLOW);
	hand_ports(&h, hand_rule(&h, leaf, PHASE_MANDATORY, DIR_INGRESS, ACTION_DENY),
	    PROTO_TCP, 22, 22);
	leaf->isolates[DIR_INGRESS] = true;
	evaluate_trace(h.arena, &h.m, &flow, DIR_INGRESS, &walk);
	ck_assert(!walk.verdict.allow);
	ck_assert_int_eq(walk.verdict.reason, REASON_ISOLATION);
	ck_assert_ptr_eq(walk.verdict.policy, leaf);
	ck_assert_uint_eq(walk.step_count, 4);
	ck_assert_int_eq(walk.steps[0].kind, STEP_PASS);
	ck_assert_int_eq(walk.steps[1].kind, STEP_NO_MATCH);
	ck_assert_int_eq(walk.steps[2].kind, STEP_DECIDED);
	ck_assert(walk.steps[2].isolation && !walk.steps[2].allow);
	ck_assert_int_eq(walk.steps[3].kind, STEP_UNREACHED);
	ck_assert(walk.steps[3].allow);
	ck_assert_ptr_eq(walk.steps[3].level, h.m.root);
}
END_TEST

START_TEST(judge_says_what_the_evaluator_says)
{
	struct judge *judge;
	struct policy *p;
	const char *tiers[] = {"tier=web", "tier=db", ""};

	for (size_t i = 0; i < 6; i++)
		(void)hand_workload(&h, i % 2 != 0 ? "/acme" : "/acme/shop",
		    arena_printf(h.arena, "w%zu", i), tiers[i % 3],
		    arena_printf(h.arena, "10.0.0.%zu", i + 1));
	p = hand_policy(&h, "/acme/shop", "db");
	p->subject.selector = hand_selector(&h, "tier", "db");
	hand_ports(&h, hand_rule(&h, p, PHASE_ALLOW, DIR_INGRESS, ACTION_ALLOW),
	    PROTO_TCP, 80, 80);
	p = hand_policy(&h, "/acme", "web");
	p->subject.selector = hand_selector(&h, "tier", "web");
	(void)hand_rule(&h, p, PHASE_DEFAULT, DIR_EGRESS, ACTION_DENY);
	judge = judge_new(&h.m);
	for (size_t i = 0; i < 6 * 6 * 2; i++) {
		struct flow flow = hand_flow(h.workloads[i % 6], h.workloads[i / 6 % 6],
		    PROTO_TCP, i / 36 != 0 ? 80 : 81);

		for (size_t d = 0; d < DIRECTION_COUNT; d++)
			ck_assert_int_eq(
			    judge_direction(judge, &flow, (enum direction)d).allow,
			    evaluate_direction(&h.m, &flow, (enum direction)d).allow);
	}
	judge_free(judge);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    flow_follows_the_ancestor_when_both_are_mandatory,
	    flow_follows_the_nearest_when_both_are_defaults,
	    mandatory_wins_over_an_allow_block_and_that_over_a_default,
	    pass_leaves_the_whole_level_across_its_policies,
	    pass_in_a_default_goes_up_to_the_next_level,
	    first_match_wins_within_a_list,
	    allow_blocks_of_one_level_are_a_union,
	    isolation_is_final_for_every_level_above,
	    isolation_is_per_direction_for_the_step_to_defaults_too,
	    policy_leaves_others_alone_when_its_subject_selects_one,
	    both_ends_must_consent,
	    cluster_default_is_for_workloads_alone,
	    workload_reaches_itself_when_everything_is_denied,
	    own_node_reaches_its_workload_against_a_mandatory_deny,
	    host_network_workload_is_its_node,
	    address_is_the_workload_or_the_node_that_has_it,
	    network_matches_a_workload_by_address_unless_told_not_to,
	    network_never_matches_a_workload_without_address,
	    except_takes_addresses_out_of_its_own_item,
	    node_peer_matches_the_node_by_name_and_no_other_address,
	    rule_matches_nobody_when_its_peers_are_names_or_none,
	    bare_name_means_each_protocol_that_the_destination_gives_it,
	    named_port_is_the_destinations_for_egress_as_well,
	    icmp_rule_matches_its_own_family_alone,
	    rule_for_udp_opens_no_tcp,
	    connection_is_allowed_when_one_family_is,
	    connection_is_incomparable_when_no_family_is_common,
	    trace_keeps_every_step_and_what_was_not_reached,
	    judge_says_what_the_evaluator_says,
	};
	Suite *suite = suite_create("evaluate");
	TCase *tcase = tcase_create("walk");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	for (size_t i = 0; i < ARRAY_LEN(tests); i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
