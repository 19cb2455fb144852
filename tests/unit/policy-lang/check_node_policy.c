/* Policy for nodes: read, judged, compiled; and what none of it can close. */
#include "policy-lang/model/fail_safe.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "load_fixture.h"
#include "policy-lang/compile/compile.h"
#include "policy-lang/evaluate/evaluate.h"
#include "policy-lang/table/table_walk.h"
#include "table_sim.h"

#define NODE(name, ip, role)                                                           \
	"---\n{apiVersion: v1, kind: Node, metadata: {name: " name                     \
	", labels: {role: " role                                                       \
	"}}, status: {addresses: [{type: InternalIP, address: \"" ip "\"}]}}\n"
#define WORKLOAD(name, node, ip)                                                       \
	"---\n{apiVersion: ringfence.dev/v1alpha1, kind: Workload, metadata: "         \
	"{name: " name ", namespace: /shop, labels: {app: " name                       \
	"}}, spec: {node: " node ", ips: [\"" ip "\"]}}\n"
#define POLICY(name, path, spec)                                                       \
	"---\n{apiVersion: ringfence.dev/v1alpha1, kind: Policy, metadata: "           \
	"{name: " name ", namespace: " path "}, spec: {" spec "}}\n"
#define WORLD                                                                          \
	NODE("n1", "192.168.0.1", "worker")                                            \
	NODE("n2", "192.168.0.2", "control")                                           \
	WORKLOAD("web", "n1", "10.1.0.1") WORKLOAD("far", "n2", "10.2.0.1")
#define DENY_ALL                                                                       \
	POLICY("closed", "/",                                                          \
	    "node: {}, mandatory: {ingress: [{action: deny}], egress: [{action: "      \
	    "deny}]}")

/* With the fail-safe ports that are the default. */
static struct loaded *
load_world(const char *text, bool unprotected)
{
	const struct model_options options = {
	    .fail_safe = fail_safe_default(),
	    .nodes_unprotected = unprotected,
	    .default_deny = true, /* which is not for nodes */
	};

	return load_ok_with(&options, text);
}

static struct ip_addr
address(const char *text)
{
	struct ip_addr addr;

	ck_assert(ip_parse(str_from(text), &addr));
	return addr;
}

static struct verdict
judged(const struct loaded *l, enum direction dir, const char *src, const char *dst,
    uint8_t proto, uint16_t port)
{
	const struct flow flow = {
	    .src = endpoint_of_addr(l->m, address(src)),
	    .dst = endpoint_of_addr(l->m, address(dst)),
	    .proto = proto,
	    .port = port,
	};

	return evaluate_direction(l->m, &flow, dir);
}

/* What the table of n1 does, of which 192.168.0.1 is the address and 10.1.0.254 another
 * that no document tells of. */
static struct table_verdict
walked(const struct table_content *content, enum table_hook hook, const char *src,
    const char *dst, uint8_t proto, uint16_t port)
{
	const struct table_packet packet = {
	    .saddr = address(src),
	    .daddr = address(dst),
	    .proto = proto,
	    .dport = port,
	    .hook = hook,
	};

	return table_walk(content, &packet);
}

static struct table_content
compiled(struct loaded *l, const char *node)
{
	const struct compile_options options = {.node = str_from(node)};
	struct table_content content;
	char why[128] = "";

	ck_assert(compile_node(l->arena, l->m, &options, &l->diags, &content));
	ck_assert_msg(!sim_insane(&content, why, sizeof(why)), "%s", why);
	return content;
}

static const struct {
	enum direction dir;
	const char *src, *dst;
	uint8_t proto;
	uint16_t port;
	bool allow;
	enum verdict_reason reason;
} closed_rows[] = {
    {DIR_INGRESS, "8.8.8.8", "192.168.0.1", PROTO_TCP, 80, false, REASON_RULE},
    {DIR_INGRESS, "8.8.8.8", "192.168.0.1", PROTO_TCP, 22, true, REASON_FAIL_SAFE},
    {DIR_INGRESS, "8.8.8.8", "192.168.0.1", PROTO_UDP, 22, false, REASON_RULE},
    {DIR_INGRESS, "8.8.8.8", "192.168.0.1", PROTO_TCP, 2380, true, REASON_FAIL_SAFE},
    {DIR_INGRESS, "8.8.8.8", "192.168.0.1", PROTO_TCP, 2381, false, REASON_RULE},
    {DIR_INGRESS, "8.8.8.8", "192.168.0.1", PROTO_UDP, 68, true, REASON_FAIL_SAFE},
    {DIR_INGRESS, "10.1.0.1", "192.168.0.1", PROTO_TCP, 80, false, REASON_RULE},
    {DIR_INGRESS, "192.168.0.1", "192.168.0.1", PROTO_TCP, 80, true, REASON_SELF},
    {DIR_EGRESS, "192.168.0.1", "8.8.8.8", PROTO_TCP, 80, false, REASON_RULE},
    {DIR_EGRESS, "192.168.0.1", "8.8.8.8", PROTO_UDP, 53, true, REASON_FAIL_SAFE},
    {DIR_EGRESS, "192.168.0.1", "8.8.8.8", PROTO_TCP, 22, false, REASON_RULE},
    {DIR_EGRESS, "192.168.0.1", "10.1.0.1", PROTO_TCP, 80, true, REASON_OWN_NODE},
    {DIR_EGRESS, "192.168.0.1", "10.2.0.1", PROTO_TCP, 80, false, REASON_RULE},
    {DIR_EGRESS, "192.168.0.1", "192.168.0.2", PROTO_TCP, 80, false, REASON_RULE},
    {DIR_EGRESS, "192.168.0.1", "192.168.0.2", PROTO_TCP, 6443, true, REASON_FAIL_SAFE},
};

START_TEST(deny_all_closes_all_but_what_is_fail_safe)
{
	struct loaded *l = load_world(WORLD DENY_ALL, false);
	struct table_content content = compiled(l, "n1");
	enum table_hook hook =
	    closed_rows[_i].dir == DIR_INGRESS ? HOOK_INPUT : HOOK_OUTPUT;
	struct verdict v = judged(l, closed_rows[_i].dir, closed_rows[_i].src,
	    closed_rows[_i].dst, closed_rows[_i].proto, closed_rows[_i].port);

	ck_assert_int_eq(v.reason, closed_rows[_i].reason);
	ck_assert(v.allow == closed_rows[_i].allow);
	/* The kernel never asks about the node itself: that goes by the loopback. And a
	 * workload is denied by the cluster default before. */
	if (v.reason != REASON_SELF && strncmp(closed_rows[_i].src, "10.", 3) != 0)
		ck_assert(
		    walked(&content, hook, closed_rows[_i].src, closed_rows[_i].dst,
			closed_rows[_i].proto, closed_rows[_i].port)
			.accept == v.allow);
	loaded_free(l);
}
END_TEST

START_TEST(every_address_of_the_node_is_the_node)
{
	struct loaded *l = load_world(WORLD DENY_ALL, false);
	struct table_content content = compiled(l, "n1");

	ck_assert(!walked(&content, HOOK_INPUT, "8.8.8.8", "10.1.0.254", PROTO_TCP, 80)
		       .accept);
	ck_assert(
	    !walked(&content, HOOK_INPUT, "fd00::8", "fe80::1", PROTO_UDP, 5).accept);
	ck_assert(
	    walked(&content, HOOK_INPUT, "fd00::8", "fe80::1", PROTO_UDP, 546).accept);
	/* What passes through is none of it. */
	ck_assert(
	    walked(&content, HOOK_FORWARD, "8.8.8.8", "9.9.9.9", PROTO_TCP, 80).accept);
	loaded_free(l);
}
END_TEST

START_TEST(allow_block_judges_peers_and_a_direction_alone)
{
	struct loaded *l = load_world(
	    WORLD POLICY("p", "/",
		"node: {matchLabels: {role: worker}}, allow: {ingress: [{from: "
		"[{namespace: /shop, workloads: {matchLabels: {app: far}}}], ports: "
		"[9100/tcp]}, {from: [{node: n2}]}]}"),
	    false);
	struct table_content content = compiled(l, "n1");
	static const struct {
		const char *src;
		uint16_t port;
		bool allow;
	} rows[] = {
	    {"10.2.0.1", 9100, true},
	    {"10.2.0.1", 9101, false},
	    {"10.2.0.77", 9100, false},
	    {"192.168.0.2", 9101, true},
	    {"8.8.8.8", 9100, false},
	    {"8.8.8.8", 22, true},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		ck_assert(judged(l, DIR_INGRESS, rows[i].src, "192.168.0.1", PROTO_TCP,
			      rows[i].port)
			      .allow == rows[i].allow);
		ck_assert(walked(&content, HOOK_INPUT, rows[i].src, "192.168.0.1",
			      PROTO_TCP, rows[i].port)
			      .accept == rows[i].allow);
	}
	/* Of egress nothing is said: open, whatever the cluster default; not even looked at. */
	ck_assert_int_eq(
	    judged(l, DIR_EGRESS, "192.168.0.1", "8.8.8.8", PROTO_TCP, 80).reason,
	    REASON_NODE_OPEN);
	ck_assert_uint_eq(content.element_count[SET_HOST_OUT], 0);
	ck_assert_uint_eq(content.element_count[SET_HOST_IN], 2);
	/* n2 is no worker. */
	ck_assert_int_eq(
	    judged(l, DIR_INGRESS, "8.8.8.8", "192.168.0.2", PROTO_TCP, 80).reason,
	    REASON_NO_POLICY);
	content = compiled(l, "n2");
	ck_assert_uint_eq(content.element_count[SET_HOST_IN], 0);
	loaded_free(l);
}
END_TEST

START_TEST(own_workloads_are_listed_where_egress_is_judged)
{
	struct loaded *l = load_world(WORLD DENY_ALL, false);
	struct table_content content = compiled(l, "n1");

	ck_assert_uint_eq(content.element_count[SET_OWN4], 1);
	ck_assert_mem_eq(
	    content.elements[SET_OWN4][0].addr, address("10.1.0.1").bytes, 4);
	loaded_free(l);
}
END_TEST

/* No workload is the subject of it, not even of one with a rule for all. */
START_TEST(workloads_are_not_touched)
{
	struct loaded *l = load_with(
	    &(struct model_options){.fail_safe = fail_safe_default()}, WORLD DENY_ALL);
	struct table_content content = compiled(l, "n1");

	ck_assert_int_eq(
	    judged(l, DIR_INGRESS, "8.8.8.8", "10.1.0.1", PROTO_TCP, 80).reason,
	    REASON_CLUSTER_DEFAULT);
	ck_assert_uint_eq(content.element_count[SET_LOCAL4_IN], 0);
	loaded_free(l);
}
END_TEST

START_TEST(nothing_is_judged_where_hosts_are_not_protected)
{
	struct loaded *l = load_world(WORLD DENY_ALL, true);
	struct table_content content = compiled(l, "n1");

	ck_assert_int_eq(
	    judged(l, DIR_INGRESS, "8.8.8.8", "192.168.0.1", PROTO_TCP, 80).reason,
	    REASON_NO_POLICY);
	for (unsigned s = SET_HOST4_IN; s <= SET_OWN6; s++)
		ck_assert_uint_eq(content.element_count[s], 0);
	loaded_free(l);
}
END_TEST

/* By name, of a node that no document tells of. */
START_TEST(node_without_a_document_is_its_name)
{
	struct loaded *l = load_world(
	    POLICY("p", "/", "node: lonely, mandatory: {ingress: [{action: deny}]}"),
	    false);
	struct table_content content = compiled(l, "lonely");

	ck_assert(
	    !walked(&content, HOOK_INPUT, "8.8.8.8", "9.9.9.9", PROTO_TCP, 80).accept);
	content = compiled(l, "other");
	ck_assert(
	    walked(&content, HOOK_INPUT, "8.8.8.8", "9.9.9.9", PROTO_TCP, 80).accept);
	loaded_free(l);
}
END_TEST

START_TEST(subject_is_refused_below_the_root_and_beside_workloads)
{
	assert_refused("apiVersion: ringfence.dev/v1alpha1\nkind: Policy\nmetadata: "
		       "{name: p, namespace: /a}\nspec:\n  node: {}\n  default: "
		       "{ingress: [{action: deny}]}\n",
	    "node-subject", 5);
	assert_refused("apiVersion: ringfence.dev/v1alpha1\nkind: Policy\nmetadata: "
		       "{name: p, namespace: /}\nspec:\n  node: {}\n  workloads: {}\n",
	    "node-subject", 6);
	assert_refused("apiVersion: ringfence.dev/v1alpha1\nkind: Policy\nmetadata: "
		       "{name: p, namespace: /}\nspec:\n  node: UPPER_case\n",
	    "bad-name", 5);
}
END_TEST

static const struct {
	const char *text;
	bool ok;
	struct fail_safe_port port;
} port_rows[] = {
    {"22/tcp", true, {PROTO_TCP, 22, 22}},
    {"2379-2380/tcp", true, {PROTO_TCP, 2379, 2380}},
    {"1-65535/udp", true, {PROTO_UDP, 1, 65535}},
    {"9/sctp", true, {PROTO_SCTP, 9, 9}},
    {"0/tcp", false, {0}},
    {"65536/tcp", false, {0}},
    {"20-10/tcp", false, {0}},
    {"22", false, {0}},
    {"22/icmp", false, {0}},
    {"ssh/tcp", false, {0}},
    {"-22/tcp", false, {0}},
    {"22-/tcp", false, {0}},
    {"", false, {0}},
};

START_TEST(fail_safe_port_is_parsed)
{
	struct fail_safe_port port = {0};

	ck_assert(
	    fail_safe_parse(str_from(port_rows[_i].text), &port) == port_rows[_i].ok);
	if (!port_rows[_i].ok)
		return;
	ck_assert_uint_eq(port.proto, port_rows[_i].port.proto);
	ck_assert_uint_eq(port.lo, port_rows[_i].port.lo);
	ck_assert_uint_eq(port.hi, port_rows[_i].port.hi);
}
END_TEST

/* The kernel takes no intervals that overlap. */
START_TEST(fail_safe_ports_are_listed_once_where_the_node_is_judged)
{
	static const struct fail_safe_port ports[] = {{PROTO_UDP, 20, 30},
	    {PROTO_TCP, 80, 90}, {PROTO_TCP, 22, 22}, {PROTO_TCP, 85, 86},
	    {PROTO_TCP, 90, 95}, {PROTO_TCP, 22, 22}, {PROTO_TCP, 97, 97}};
	static const struct fail_safe_port listed[] = {{PROTO_TCP, 22, 22},
	    {PROTO_TCP, 80, 95}, {PROTO_TCP, 97, 97}, {PROTO_UDP, 20, 30}};
	const struct model_options options = {
	    .fail_safe = {.ports = {[DIR_EGRESS] = ports},
		.count = {[DIR_EGRESS] = ARRAY_LEN(ports)}}};
	struct loaded *l = load_ok_with(&options,
	    WORLD POLICY("p", "/", "node: {}, mandatory: {ingress: [{action: deny}]}"));
	struct table_content content = compiled(l, "n1");

	ck_assert_uint_eq(content.element_count[SET_SAFE_IN], 0);
	ck_assert_uint_eq(content.element_count[SET_SAFE_OUT], ARRAY_LEN(listed));
	for (size_t i = 0; i < ARRAY_LEN(listed); i++) {
		const struct table_element *e = &content.elements[SET_SAFE_OUT][i];

		ck_assert_uint_eq(e->proto, listed[i].proto);
		ck_assert_uint_eq(e->port_lo, listed[i].lo);
		ck_assert_uint_eq(e->port_hi, listed[i].hi);
	}
	loaded_free(l);
}
END_TEST

/* Else whoever may write Workloads could take a node out of others' rules. */
START_TEST(node_is_a_peer_whatever_a_workload_claims)
{
	struct loaded *l =
	    load_world(WORLD WORKLOAD("thief", "n2", "192.168.0.2") POLICY("p", "/",
			   "node: {matchLabels: {role: worker}}, "
			   "allow: {ingress: [{from: [{node: n2}]}]}"),
		false);
	struct table_content content = compiled(l, "n1");

	ck_assert_uint_eq(loaded_find(l, "shared-address")->note_loc.line, 4);
	ck_assert(
	    judged(l, DIR_INGRESS, "192.168.0.2", "192.168.0.1", PROTO_TCP, 80).allow);
	ck_assert(
	    walked(&content, HOOK_INPUT, "192.168.0.2", "192.168.0.1", PROTO_TCP, 80)
		.accept);
	loaded_free(l);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("node policy");
	TCase *tc = tcase_create("node policy");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(tc, deny_all_closes_all_but_what_is_fail_safe, 0,
	    (int)ARRAY_LEN(closed_rows));
	tcase_add_test(tc, every_address_of_the_node_is_the_node);
	tcase_add_test(tc, allow_block_judges_peers_and_a_direction_alone);
	tcase_add_test(tc, fail_safe_ports_are_listed_once_where_the_node_is_judged);
	tcase_add_test(tc, node_is_a_peer_whatever_a_workload_claims);
	tcase_add_test(tc, own_workloads_are_listed_where_egress_is_judged);
	tcase_add_test(tc, workloads_are_not_touched);
	tcase_add_test(tc, nothing_is_judged_where_hosts_are_not_protected);
	tcase_add_test(tc, node_without_a_document_is_its_name);
	tcase_add_test(tc, subject_is_refused_below_the_root_and_beside_workloads);
	tcase_add_loop_test(tc, fail_safe_port_is_parsed, 0, (int)ARRAY_LEN(port_rows));
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
