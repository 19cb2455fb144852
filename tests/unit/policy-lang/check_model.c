/* The questions that loader, evaluator and compiler share. */
#include "load_fixture.h"

/* What a selector says of {app: web, tier: ""}. */
static const struct {
	const char *selector;
	bool matches;
} selector_rows[] = {
    {"{}", true},
    {"{matchLabels: {app: web}}", true},
    {"{matchLabels: {app: db}}", false},
    {"{matchLabels: {app: web, tier: ''}}", true},
    {"{matchLabels: {app: web, zone: a}}", false},
    {"{matchExpressions: [{key: app, operator: In, values: [db, web]}]}", true},
    {"{matchExpressions: [{key: app, operator: In, values: [db]}]}", false},
    {"{matchExpressions: [{key: zone, operator: In, values: ['']}]}", false},
    {"{matchExpressions: [{key: app, operator: NotIn, values: [db]}]}", true},
    {"{matchExpressions: [{key: app, operator: NotIn, values: [web]}]}", false},
    {"{matchExpressions: [{key: zone, operator: NotIn, values: [web]}]}", true},
    {"{matchExpressions: [{key: tier, operator: Exists}]}", true},
    {"{matchExpressions: [{key: zone, operator: Exists}]}", false},
    {"{matchExpressions: [{key: zone, operator: DoesNotExist}]}", true},
    {"{matchExpressions: [{key: tier, operator: DoesNotExist}]}", false},
    {"{matchLabels: {app: web}, matchExpressions: "
     "[{key: zone, operator: Exists}]}",
	false},
};

START_TEST(selector_matches_as_label_selectors_do)
{
	struct arena *a = arena_new();
	struct loaded *l = load_ok(arena_printf(a,
	    "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy,"
	    " metadata: {name: p}, spec: {podSelector: %s}}\n---\n"
	    "{apiVersion: v1, kind: Pod,"
	    " metadata: {name: w, labels: {tier: '', app: web}}}\n",
	    selector_rows[_i].selector));

	ck_assert_msg(
	    selector_matches(find_policy(l, "p")->subject.selector,
		find_workload(l, "w")->shape->labels) == selector_rows[_i].matches,
	    "%s", selector_rows[_i].selector);
	loaded_free(l);
	arena_free(a);
}
END_TEST

START_TEST(selector_equal_ignores_order_and_repetition)
{
	struct loaded *l = load_ok(
	    "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy,"
	    " metadata: {name: a}, spec: {podSelector: {matchLabels: {x: '1', z: "
	    "'2'}}}}\n"
	    "---\n"
	    "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy,"
	    " metadata: {name: b}, spec: {podSelector: {matchLabels: {z: '2'},"
	    " matchExpressions: [{key: x, operator: In, values: ['1', '1']},"
	    " {key: z, operator: In, values: ['2']}]}}}\n"
	    "---\n"
	    "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy,"
	    " metadata: {name: c}, spec: {podSelector: {matchLabels: {x: '1'}}}}\n");
	const struct selector *a = find_policy(l, "a")->subject.selector;
	const struct selector *b = find_policy(l, "b")->subject.selector;
	const struct selector *c = find_policy(l, "c")->subject.selector;

	ck_assert(selector_equal(a, b));
	ck_assert(!selector_equal(a, c));
	ck_assert(!selector_equal(c, NULL));
	ck_assert(selector_equal(NULL, &(struct selector){0}));
	ck_assert(selector_matches(NULL, (struct label_set){0}));
	loaded_free(l);
}
END_TEST

START_TEST(ns_within_follows_steps_not_prefixes)
{
	struct loaded *l =
	    load_ok("{apiVersion: ringfence.dev/v1alpha1, kind: Namespace,"
		    " metadata: {name: /a/b/c}}\n---\n"
		    "{apiVersion: ringfence.dev/v1alpha1, kind: Namespace,"
		    " metadata: {name: /a/bc}}\n");
	const struct ns *b = model_ns(l->m, STR("/a/b"));
	const struct ns *c = model_ns(l->m, STR("/a/b/c"));
	const struct ns *bc = model_ns(l->m, STR("/a/bc"));

	ck_assert(ns_within(c, b));
	ck_assert(ns_within(b, b));
	ck_assert(ns_within(b, l->m->root));
	ck_assert(!ns_within(b, c));
	ck_assert(!ns_within(bc, b));
	ck_assert_ptr_null(model_ns(l->m, STR("/b")));
	loaded_free(l);
}
END_TEST

START_TEST(model_finds_by_address_and_name)
{
	struct loaded *l = load_ok(
	    "{apiVersion: v1, kind: Pod, metadata: {name: w},"
	    " status: {podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]}}\n"
	    "---\n"
	    "{apiVersion: v1, kind: Node, metadata: {name: node-1},"
	    " status: {addresses: [{type: InternalIP, address: 192.0.2.1},"
	    " {type: Hostname, address: 192.0.2.2}]}}\n");
	struct ip_addr v4, v6, node, name, other;

	ck_assert(ip_parse(STR("10.0.0.1"), &v4) && ip_parse(STR("fd00::1"), &v6) &&
		  ip_parse(STR("192.0.2.1"), &node) &&
		  ip_parse(STR("192.0.2.2"), &name) &&
		  ip_parse(STR("10.0.0.2"), &other));
	ck_assert_ptr_eq(model_workload_at(l->m, &v4), find_workload(l, "w"));
	ck_assert_ptr_eq(model_workload_at(l->m, &v6), find_workload(l, "w"));
	ck_assert_ptr_null(model_workload_at(l->m, &other));
	ck_assert_ptr_null(model_workload_at(l->m, &node));
	ck_assert_ptr_nonnull(model_node_at(l->m, &node));
	ck_assert_ptr_eq(model_node_at(l->m, &node), model_node(l->m, STR("node-1")));
	ck_assert_ptr_null(model_node_at(l->m, &name));
	ck_assert_ptr_null(model_node(l->m, STR("m")));
	ck_assert_ptr_nonnull(model_kube_ns(l->m, STR(""), STR("default")));
	ck_assert_ptr_null(model_kube_ns(l->m, STR("east"), STR("default")));
	loaded_free(l);
}
END_TEST

START_TEST(names_are_those_of_the_language)
{
	char out[8];
	uint8_t proto;

	ck_assert_str_eq(proto_name(PROTO_TCP, out), "tcp");
	ck_assert_str_eq(proto_name(PROTO_ICMPV6, out), "icmpv6");
	ck_assert_str_eq(proto_name(PROTO_ANY, out), "any");
	ck_assert_str_eq(proto_name(47, out), "47");
	ck_assert(proto_parse(STR("sctp"), &proto) && proto == PROTO_SCTP);
	ck_assert(proto_parse(STR("ICMPv6"), &proto) == false);
	ck_assert(proto_parse(STR("UDP"), &proto) && proto == PROTO_UDP);
	ck_assert(!proto_parse(STR("any"), &proto));
	ck_assert_str_eq(direction_name(DIR_EGRESS), "egress");
	ck_assert_str_eq(phase_name(PHASE_DEFAULT), "default");
	ck_assert_str_eq(action_name(ACTION_PASS), "pass");
	ck_assert_str_eq(
	    policy_kind_name(POLICY_BASELINE), "BaselineAdminNetworkPolicy");
}
END_TEST

START_TEST(rule_title_says_where)
{
	struct loaded *l =
	    load_ok("{apiVersion: ringfence.dev/v1alpha1, kind: Policy,"
		    " metadata: {name: web, namespace: /}, spec: {mandatory: {ingress:"
		    " [{action: deny}, {name: metrics, action: allow}]}}}\n---\n"
		    "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy,"
		    " metadata: {name: np, namespace: shop}, spec: {ingress: [{}]}}\n");
	const struct policy *web = find_policy(l, "web"), *np = find_policy(l, "np");

	ck_assert_str_eq(rule_title(l->arena, &web->mandatory[DIR_INGRESS].rules[1]),
	    "Policy /web rule 1 \"metrics\"");
	ck_assert_str_eq(rule_title(l->arena, &np->allow[DIR_INGRESS].rules[0]),
	    "NetworkPolicy shop/np rule 0");
	loaded_free(l);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("model");
	TCase *tc = tcase_create("model");

	tcase_add_loop_test(tc, selector_matches_as_label_selectors_do, 0,
	    (int)ARRAY_LEN(selector_rows));
	tcase_add_test(tc, selector_equal_ignores_order_and_repetition);
	tcase_add_test(tc, ns_within_follows_steps_not_prefixes);
	tcase_add_test(tc, model_finds_by_address_and_name);
	tcase_add_test(tc, names_are_those_of_the_language);
	tcase_add_test(tc, rule_title_says_where);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
