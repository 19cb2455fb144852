/*
 * Documents -> the elements and chains of one node, each as policy says it.
 */
#include "compile_fixture.h"
#include "policy-lang/table/table_walk.h"

/* ---- what becomes an element ---- */

START_TEST(nothing_when_no_policy_governs)
{
	struct compiled *c = compiled(PODS);

	ck_assert_uint_eq(total(&c->content), 0);
	ck_assert_uint_eq(c->content.rule_chain_count, 0);
	compiled_free(c);
}
END_TEST

START_TEST(nothing_when_the_subject_is_elsewhere)
{
	struct compiled *c = compiled(
	    PODS NETPOL("db", "podSelector: {matchLabels: {app: db}}, ingress: []"));

	ck_assert_uint_eq(total(&c->content), 0);
	compiled_free(c);
}
END_TEST

START_TEST(isolated_workload_has_a_rest_and_a_cell_for_its_peer)
{
	struct compiled *c = compiled(PODS WEB_FROM_LB);
	const struct policy *p = policy(c, "web");
	uint32_t rule = p->allow[DIR_INGRESS].rules[0].number;
	uint32_t isolation = p->isolate_number[DIR_INGRESS];
	uint32_t class = value(c, SET_PEER4_IN, 0, "10.1.0.2", 0, 0);

	ck_assert_uint_ne(class, 0);
	(void)value(c, SET_LOCAL4_IN, 0, "10.1.0.1", 0, 0);
	(void)value(c, SET_ITSELF4, 0, "10.1.0.1", 0, 0);
	ck_assert_uint_eq(value(c, SET_CELL4_IN_REST, 0, "10.1.0.1", 0, 0), isolation);
	ck_assert_uint_eq(
	    value(c, SET_CELL4_IN, class, "10.1.0.1", PROTO_TCP, 443), rule);
	ck_assert_uint_eq(value(c, SET_RULES, rule, NULL, 0, 0), rule);
	ck_assert_uint_eq(value(c, SET_RULES, isolation, NULL, 0, 0), isolation);
	ck_assert_uint_eq(
	    value(c, SET_RULES, NUMBER_MIDSTREAM, NULL, 0, 0), NUMBER_MIDSTREAM);
	/* And nothing else: no element for what is as the rest, none for egress. */
	ck_assert_uint_eq(total(&c->content), 8);
	ck_assert_uint_eq(c->content.rule_chain_count, 3);
	ck_assert_int_eq(chain_of(c, rule)->action, ACTION_ALLOW);
	ck_assert_int_eq(chain_of(c, isolation)->action, ACTION_DENY);
	ck_assert(chain_of(c, isolation)->isolation);
	compiled_free(c);
}
END_TEST

START_TEST(cluster_deny_governs_every_local_workload)
{
	struct model_options options = {.default_deny = true};
	struct compiled *c = compile_options_of(
	    &options, &(struct compile_options){.node = STR("n2")}, PODS);

	for (size_t i = 0; i < 2; i++) {
		const char *ip = i == 0 ? "10.1.0.2" : "10.1.0.3";

		(void)value(c, SET_LOCAL4_IN, 0, ip, 0, 0);
		(void)value(c, SET_LOCAL4_OUT, 0, ip, 0, 0);
		(void)value(c, SET_ITSELF4, 0, ip, 0, 0);
		ck_assert_uint_eq(value(c, SET_CELL4_IN_REST, 0, ip, 0, 0), 2);
		ck_assert_uint_eq(value(c, SET_CELL4_OUT_REST, 0, ip, 0, 0), 2);
	}
	(void)value(c, SET_RULES, NUMBER_MIDSTREAM, NULL, 0, 0);
	ck_assert_uint_eq(total(&c->content), 12);
	ck_assert_int_eq(chain_of(c, 2)->action, ACTION_DENY);
	compiled_free(c);
}
END_TEST

/* web takes lb on 443; whatever goes between them in mid-stream is reset, whichever way, and
 * so is what web would begin if it were a SYN. Others are none of our business. */
START_TEST(midstream_is_judged_by_neither_direction)
{
	static const struct {
		const char *from, *to;
		bool governed;
	} cases[] = {
	    {"10.1.0.2", "10.1.0.1", true},
	    {"10.1.0.1", "10.1.0.2", true},
	    {"10.1.0.1", "8.8.8.8", true},
	    {"10.1.0.2", "10.1.0.3", false},
	};
	struct compiled *c = compiled(PODS WEB_FROM_LB);
	struct table_content *content = &c->content;

	ck_assert(chain_of(c, NUMBER_MIDSTREAM)->reset);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct table_packet packet = {.saddr = address(cases[i].from),
		    .daddr = address(cases[i].to),
		    .proto = PROTO_TCP,
		    .dport = 443,
		    .hook = HOOK_FORWARD};
		struct table_verdict v = table_walk(content, &packet);

		ck_assert(v.accept); /* as a SYN */
		packet.midstream = true;
		v = table_walk(content, &packet);
		ck_assert(v.accept != cases[i].governed);
		ck_assert(v.accept || v.numbers[0] == NUMBER_MIDSTREAM);
		packet.proto = PROTO_UDP; /* which has no such thing */
		v = table_walk(content, &packet);
		ck_assert(v.number_count == 0 || v.numbers[0] != NUMBER_MIDSTREAM);
	}
	table_set_midstream(
	    content->rule_chains, content->rule_chain_count, MIDSTREAM_HOLD);
	ck_assert_int_eq(chain_of(c, NUMBER_MIDSTREAM)->action, ACTION_DENY);
	ck_assert(!chain_of(c, NUMBER_MIDSTREAM)->reset);
	table_set_midstream(
	    content->rule_chains, content->rule_chain_count, MIDSTREAM_JUDGE);
	ck_assert_int_eq(chain_of(c, NUMBER_MIDSTREAM)->action, ACTION_ALLOW);
	compiled_free(c);
}
END_TEST

/* The node may begin anything to its workloads; what it sends to one, or gets from one, may be
 * of what was ended only if that may not begin everything. */
START_TEST(midstream_of_the_node_is_judged_where_egress_is)
{
	struct compiled *c = compiled(
	    PODS WEB_FROM_LB POD("out", "n1", "10.1.0.4", "out") NATIVE("out", "/shop",
		"workloads: {matchLabels: {app: out}}, default: {egress: [{action: "
		"deny, ports: [443/tcp]}]}"));
	struct table_packet packet = {.saddr = address("192.168.0.1"),
	    .daddr = address("192.168.0.1"),
	    .proto = PROTO_TCP,
	    .dport = 444,
	    .hook = _i == 0 ? HOOK_OUTPUT : HOOK_INPUT,
	    .midstream = true};
	struct ip_addr *end = _i == 0 ? &packet.daddr : &packet.saddr;
	struct table_verdict v;

	*end = address("10.1.0.1"); /* web */
	ck_assert(table_walk(&c->content, &packet).accept);
	*end = address("10.1.0.4");
	v = table_walk(&c->content, &packet);
	ck_assert(!v.accept && v.numbers[0] == NUMBER_MIDSTREAM);
	packet.midstream = false;
	ck_assert(table_walk(&c->content, &packet).accept);
	compiled_free(c);
}
END_TEST

/* LIMIT_PORTS_EXPANDED is 16: 80-95 is 16 ports, 80-96 is 17. */
START_TEST(narrow_ranges_are_exact_and_wide_ones_are_not)
{
	struct compiled *c = compiled(PODS NATIVE("p", "/shop",
	    "default: {ingress: [{action: deny, ports: [80-95/tcp, 80-96/udp, "
	    "sctp]}]}"));

	for (uint16_t port = 80; port <= 95; port++)
		(void)value(c, SET_CELL4_IN, 0, "10.1.0.1", PROTO_TCP, port);
	ck_assert_uint_eq(c->content.element_count[SET_CELL4_IN], 16);
	ck_assert_uint_eq(c->content.element_count[SET_CELL4_IN_RANGE], 2);
	ck_assert_uint_eq(
	    element(c, SET_CELL4_IN_RANGE, 0, "10.1.0.1", PROTO_UDP, 80)->port_hi, 96);
	ck_assert_uint_eq(
	    element(c, SET_CELL4_IN_RANGE, 0, "10.1.0.1", PROTO_SCTP, 0)->port_hi,
	    65535);
	ck_assert_uint_eq(
	    value(c, SET_CELL4_IN_REST, 0, "10.1.0.1", 0, 0), NUMBER_CLUSTER_ALLOW);
	compiled_free(c);
}
END_TEST

START_TEST(icmp_is_of_its_family)
{
	struct compiled *c = compiled(POD("web", "n1", "10.1.0.1", "web")
		POD("six", "n1", "fd00::1", "web") NATIVE("p", "/shop",
		    "default: {ingress: [{action: deny, ports: [icmp, icmpv6]}]}"));

	ck_assert_uint_eq(c->content.element_count[SET_CELL4_IN_RANGE], 1);
	ck_assert_uint_eq(c->content.element_count[SET_CELL6_IN_RANGE], 1);
	ck_assert_uint_eq(
	    element(c, SET_CELL4_IN_RANGE, 0, "10.1.0.1", PROTO_ICMP, 0)->port_hi,
	    65535);
	ck_assert_uint_eq(
	    element(c, SET_CELL6_IN_RANGE, 0, "fd00::1", PROTO_ICMPV6, 0)->port_hi,
	    65535);
	ck_assert_uint_eq(c->content.element_count[SET_CELL4_IN], 0);
	ck_assert_uint_eq(c->content.element_count[SET_CELL6_IN], 0);
	compiled_free(c);
}
END_TEST

START_TEST(class_has_only_what_differs_from_everyone)
{
	struct compiled *c = compiled(PODS NETPOL("web",
	    "podSelector: {matchLabels: {app: web}}, ingress: "
	    "[{ports: [{port: 80}]}, {from: [{podSelector: {matchLabels: {app: lb}}}], "
	    "ports: [{port: 443}]}, {from: [{podSelector: {matchLabels: {app: "
	    "db}}}]}]"));
	uint32_t lb = value(c, SET_PEER4_IN, 0, "10.1.0.2", 0, 0);
	uint32_t db = value(c, SET_PEER4_IN, 0, "10.1.0.3", 0, 0);
	const struct rule *rules = policy(c, "web")->allow[DIR_INGRESS].rules;

	ck_assert_uint_ne(lb, db);
	ck_assert_uint_eq(
	    value(c, SET_CELL4_IN, 0, "10.1.0.1", PROTO_TCP, 80), rules[0].number);
	ck_assert_uint_eq(
	    value(c, SET_CELL4_IN, lb, "10.1.0.1", PROTO_TCP, 443), rules[1].number);
	/* All ports, and the first rule still decides port 80. */
	ck_assert_uint_eq(
	    value(c, SET_CELL4_IN_ANY, db, "10.1.0.1", 0, 0), rules[2].number);
	ck_assert_uint_eq(
	    value(c, SET_CELL4_IN, db, "10.1.0.1", PROTO_TCP, 80), rules[0].number);
	ck_assert_uint_eq(c->content.element_count[SET_CELL4_IN], 3);
	ck_assert_uint_eq(c->content.element_count[SET_CELL4_IN_ANY], 1);
	compiled_free(c);
}
END_TEST

START_TEST(port_names_mean_what_each_peer_says)
{
	struct compiled *c = compiled(PODS
	    "---\n{apiVersion: v1, kind: Pod, metadata: {name: odd, namespace: shop, "
	    "labels: {app: db}}, spec: {nodeName: n2, containers: [{name: c, ports: "
	    "[{name: http, containerPort: 8080}]}]}, status: {podIP: "
	    "10.1.0.4}}\n" NETPOL("out", "podSelector: {matchLabels: {app: web}}, "
					 "policyTypes: [Egress], egress: "
					 "[{to: [{podSelector: {matchLabels: {app: "
					 "db}}}], ports: [{port: http}]}]"));
	uint32_t usual = value(c, SET_PEER4_OUT, 0, "10.1.0.3", 0, 0);
	uint32_t odd = value(c, SET_PEER4_OUT, 0, "10.1.0.4", 0, 0);
	uint32_t rule = policy(c, "out")->allow[DIR_EGRESS].rules[0].number;

	ck_assert_uint_eq(
	    value(c, SET_CELL4_OUT, usual, "10.1.0.1", PROTO_TCP, 80), rule);
	ck_assert_uint_eq(
	    value(c, SET_CELL4_OUT, odd, "10.1.0.1", PROTO_TCP, 8080), rule);
	ck_assert_uint_eq(c->content.element_count[SET_CELL4_OUT], 2);
	/* The load balancer has the name too, but no rule reaches it. */
	ck_assert_uint_eq(c->content.element_count[SET_PEER4_OUT], 2);
	compiled_free(c);
}
END_TEST

#define FROM_NET                                                                       \
	NETPOL("web",                                                                  \
	    "podSelector: {matchLabels: {app: web}}, ingress: "                        \
	    "[{from: [{ipBlock: {cidr: 10.1.0.0/24, except: [10.1.0.3/32]}}]}]")

START_TEST(network_is_intervals_and_covers_workloads_in_it)
{
	struct compiled *c = compiled(PODS FROM_NET);
	const struct table_element *nets = c->content.elements[SET_PEER4_IN_NET];

	ck_assert_uint_eq(c->content.element_count[SET_PEER4_IN_NET], 2);
	ck_assert_uint_eq(nets[0].addr_end[3], 2);
	ck_assert_uint_eq(nets[1].addr[3], 4);
	ck_assert_uint_eq(nets[1].addr_end[3], 255);
	ck_assert_uint_eq(nets[0].value, nets[1].value);
	ck_assert_uint_eq(c->content.element_count[SET_PEER4_IN], 0);
	compiled_free(c);
}
END_TEST

START_TEST(workload_that_no_network_means_is_listed_as_nobody)
{
	struct model_options options = {.ip_blocks_skip_pods = true};
	struct compiled *c = compile_options_of(
	    &options, &(struct compile_options){.node = STR("n1")}, PODS FROM_NET);

	ck_assert_uint_eq(c->content.element_count[SET_PEER4_IN_NET], 2);
	ck_assert_uint_eq(value(c, SET_PEER4_IN, 0, "10.1.0.1", 0, 0), 0);
	ck_assert_uint_eq(value(c, SET_PEER4_IN, 0, "10.1.0.2", 0, 0), 0);
	/* 10.1.0.3 is in no interval. */
	ck_assert_uint_eq(c->content.element_count[SET_PEER4_IN], 2);
	compiled_free(c);
}
END_TEST

START_TEST(gate_holds_networks_and_who_is_known)
{
	struct ip_prefix nets[3];
	struct compile_options options = {
	    .node = STR("n9"), .workload_networks = nets, .workload_network_count = 3};
	struct compiled *c;

	ck_assert(ip_prefix_parse(STR("10.1.0.0/31"), &nets[0], NULL));
	ck_assert(ip_prefix_parse(STR("10.1.0.2/32"), &nets[1], NULL));
	ck_assert(ip_prefix_parse(STR("fd00::/64"), &nets[2], NULL));
	c = compile_options_of(NULL, &options,
	    PODS POD("six", "n1", "fd00::1",
		"web") "---\n{apiVersion: v1, kind: Node, metadata: {name: n2}, "
		       "status: "
		       "{addresses: [{type: InternalIP, address: 10.1.0.0}]}}\n");
	ck_assert_uint_eq(c->content.element_count[SET_GATE4], 1);
	ck_assert_uint_eq(c->content.elements[SET_GATE4][0].addr_end[3], 2);
	ck_assert_uint_eq(c->content.element_count[SET_GATE6], 1);
	/* .0 is a node's, .1 and .2 are workloads'; .3 is not in a gate. */
	ck_assert_uint_eq(c->content.element_count[SET_KNOWN4], 3);
	ck_assert_ptr_nonnull(find(c, SET_KNOWN4, 0, "10.1.0.0", 0, 0));
	ck_assert_ptr_nonnull(find(c, SET_KNOWN6, 0, "fd00::1", 0, 0));
	ck_assert_int_eq(chain_of(c, NUMBER_GATE)->action, ACTION_DENY);
	ck_assert_uint_eq(value(c, SET_RULES, NUMBER_GATE, NULL, 0, 0), NUMBER_GATE);
	ck_assert_uint_eq(total(&c->content), 7);
	compiled_free(c);
}
END_TEST

START_TEST(host_network_pod_is_no_local_workload)
{
	struct compiled *c =
	    compiled("---\n{apiVersion: v1, kind: Pod, metadata: {name: h, namespace: "
		     "shop}, spec: "
		     "{nodeName: n1, hostNetwork: true, containers: [{name: c}]}, "
		     "status: {podIP: "
		     "10.9.0.1}}\n" NETPOL("deny", "podSelector: {}, ingress: []"));

	ck_assert_uint_eq(total(&c->content), 0);
	compiled_free(c);
}
END_TEST

/* ---- chains ---- */

#define LONG_NAME                                                                      \
	"a-very-long-name-of-a-policy-that-goes-on-and-on-until-it-would-not-fit-"     \
	"into-a-comment-of-the-kernel-table-any-more-whatever-one-leaves-out-of-it"

static const struct {
	const char *text, *policy;
	bool isolation;
	const char *comment;
} comment_rows[] = {
    {PODS WEB_FROM_LB, "web", false, "NetworkPolicy shop/web ingress rule 0 t.yaml:8"},
    {PODS WEB_FROM_LB, "web", true,
	"NetworkPolicy shop/web ingress isolation t.yaml:8"},
    {PODS NATIVE(
	 "p", "/shop", "allow: {ingress: [{name: 'he said \"hi\"', ports: [80/tcp]}]}"),
	"p", false, "Policy /shop/p ingress allow rule 0 (he said ?hi?) t.yaml:8"},
    {PODS NETPOL(LONG_NAME, "podSelector: {}, ingress: [{ports: [{port: 80}]}]"),
	LONG_NAME, false, NULL},
};

START_TEST(comment_names_the_policy_and_its_place)
{
	struct compiled *c = compiled(comment_rows[_i].text);
	const struct policy *p = policy(c, comment_rows[_i].policy);
	uint32_t number = comment_rows[_i].isolation
			      ? p->isolate_number[DIR_INGRESS]
			      : p->allow[DIR_INGRESS].rules[0].number;
	const char *comment = chain_of(c, number)->comment;

	ck_assert_uint_le(strlen(comment), TABLE_COMMENT_BYTES);
	if (comment_rows[_i].comment != NULL) {
		ck_assert_str_eq(comment, comment_rows[_i].comment);
	} else {
		ck_assert_ptr_nonnull(
		    strstr(comment, "NetworkPolicy shop/a-very-long"));
		ck_assert_ptr_nonnull(strstr(comment, ".. ingress rule 0 t.yaml:8"));
	}
	compiled_free(c);
}
END_TEST

START_TEST(chain_and_elements_bear_the_policy_and_its_line)
{
	struct compiled *c = compiled(PODS WEB_FROM_LB);
	const struct policy *p = policy(c, "web");
	uint32_t number = p->allow[DIR_INGRESS].rules[0].number;
	const struct table_rule_chain *found = chain_of(c, number);

	ck_assert_int_eq(found->dir, DIR_INGRESS);
	ck_assert_int_eq(found->phase, PHASE_ALLOW);
	ck_assert_str_eq(found->policy_kind, "NetworkPolicy");
	ck_assert(str_is(found->policy, "web"));
	ck_assert(str_is(found->namespace_path, "/shop"));
	ck_assert_uint_eq(found->rule_index, 0);
	ck_assert_uint_eq(found->loc.line, 8);
	ck_assert(!found->isolation);
	for (size_t i = 0; i < SET_COUNT; i++) {
		for (size_t j = 0; j < c->content.element_count[i]; j++) {
			const struct table_element *e = &c->content.elements[i][j];

			ck_assert_uint_eq(
			    e->loc.line, e->value == NUMBER_MIDSTREAM ? 0 : 8);
		}
	}
	compiled_free(c);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("compile");
	TCase *tc = tcase_create("compile");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, nothing_when_no_policy_governs);
	tcase_add_test(tc, nothing_when_the_subject_is_elsewhere);
	tcase_add_test(tc, isolated_workload_has_a_rest_and_a_cell_for_its_peer);
	tcase_add_test(tc, cluster_deny_governs_every_local_workload);
	tcase_add_test(tc, midstream_is_judged_by_neither_direction);
	tcase_add_loop_test(tc, midstream_of_the_node_is_judged_where_egress_is, 0, 2);
	tcase_add_test(tc, narrow_ranges_are_exact_and_wide_ones_are_not);
	tcase_add_test(tc, icmp_is_of_its_family);
	tcase_add_test(tc, class_has_only_what_differs_from_everyone);
	tcase_add_test(tc, port_names_mean_what_each_peer_says);
	tcase_add_test(tc, network_is_intervals_and_covers_workloads_in_it);
	tcase_add_test(tc, workload_that_no_network_means_is_listed_as_nobody);
	tcase_add_test(tc, gate_holds_networks_and_who_is_known);
	tcase_add_test(tc, host_network_pod_is_no_local_workload);
	tcase_add_loop_test(tc, comment_names_the_policy_and_its_place, 0,
	    (int)ARRAY_LEN(comment_rows));
	tcase_add_test(tc, chain_and_elements_bear_the_policy_and_its_line);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
