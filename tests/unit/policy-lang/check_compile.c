#include "policy-lang/compile.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "load_fixture.h"
#include "policy-lang/evaluate.h"
#include "policy-lang/table_walk.h"
#include "table_sim.h"

/* ---- fixtures ---- */

struct compiled {
	struct loaded *l;
	struct table_content content;
};

static struct compiled *
compile_options_of(const struct model_options *model, const struct compile_options *o,
    const char *text)
{
	struct loaded *l = load_ok_with(model, text);
	struct compiled *c = ARENA_NEW(l->arena, struct compiled);
	char why[128] = "";

	c->l = l;
	ck_assert(compile_node(l->arena, l->m, o, &l->diags, &c->content));
	ck_assert_msg(!sim_insane(&c->content, why, sizeof(why)), "%s", why);
	return c;
}

/* For node n1. */
static struct compiled *
compiled(const char *text)
{
	return compile_options_of(NULL,
	    &(struct compile_options){.node = STR("n1"), .settings = {.log_group = 5}},
	    text);
}

static void
compiled_free(struct compiled *c)
{
	loaded_free(c->l);
}

static size_t
total(const struct table_content *content)
{
	size_t sum = 0;

	for (size_t i = 0; i < SET_COUNT; i++)
		sum += content->element_count[i];
	return sum;
}

static struct ip_addr
address(const char *text)
{
	struct ip_addr addr;

	ck_assert(ip_parse(str_from(text), &addr));
	return addr;
}

/* The element of a set with that class, address, protocol and first port; NULL. */
static const struct table_element *
find(const struct compiled *c, enum table_set_id set, uint32_t class_id,
    const char *addr, uint8_t proto, uint16_t port)
{
	struct table_element key = {
	    .class_id = class_id, .proto = proto, .port_lo = port};
	struct ip_addr bytes;

	if (addr != NULL) {
		bytes = address(addr);
		memcpy(key.addr, bytes.bytes, ip_bytes(bytes.family));
	}
	for (size_t i = 0; i < c->content.element_count[set]; i++) {
		if (table_element_cmp(&c->content.elements[set][i], &key) == 0)
			return &c->content.elements[set][i];
	}
	return NULL;
}

static uint32_t
value(const struct compiled *c, enum table_set_id set, uint32_t class_id,
    const char *addr, uint8_t proto, uint16_t port)
{
	const struct table_element *e = find(c, set, class_id, addr, proto, port);

	ck_assert_msg(e != NULL, "nothing in %s for class %u, %s, %u:%u",
	    table_sets[set].name, class_id, addr, proto, port);
	return e->value;
}

static const struct table_rule_chain *
chain(const struct compiled *c, uint32_t number)
{
	for (size_t i = 0; i < c->content.rule_chain_count; i++) {
		if (c->content.rule_chains[i].number == number)
			return &c->content.rule_chains[i];
	}
	ck_abort_msg("no chain %u", number);
	return NULL;
}

static const struct policy *
policy(const struct compiled *c, const char *name)
{
	for (size_t i = 0; i < c->l->m->policy_count; i++) {
		if (str_is(c->l->m->policies[i]->name, name))
			return c->l->m->policies[i];
	}
	ck_abort_msg("no policy %s", name);
	return NULL;
}

#define POD(name, node, ip, label)                                                     \
	"---\n{apiVersion: v1, kind: Pod, metadata: {name: " name                      \
	", namespace: shop, labels: {app: " label "}}, spec: {nodeName: " node         \
	", containers: [{name: c, ports: [{name: http, containerPort: 80}]}]}, "       \
	"status: {podIP: \"" ip "\"}}\n"
#define NETPOL(name, spec)                                                             \
	"---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: "      \
	"{name: " name ", namespace: shop}, spec: {" spec "}}\n"
#define NATIVE(name, path, spec)                                                       \
	"---\n{apiVersion: ringfence.dev/v1alpha1, kind: Policy, metadata: "           \
	"{name: " name ", namespace: " path "}, spec: {" spec "}}\n"

#define PODS                                                                           \
	POD("web", "n1", "10.1.0.1", "web")                                            \
	POD("lb", "n2", "10.1.0.2", "lb")                                              \
	POD("db", "n2", "10.1.0.3", "db")
#define WEB_FROM_LB                                                                    \
	NETPOL("web", "podSelector: {matchLabels: {app: web}}, "                       \
		      "ingress: [{from: [{podSelector: {matchLabels: {app: lb}}}], "   \
		      "ports: [{port: 443}]}]")

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
	ck_assert_uint_eq(value(c, SET_CELL4_IN_REST, 0, "10.1.0.1", 0, 0), isolation);
	ck_assert_uint_eq(
	    value(c, SET_CELL4_IN, class, "10.1.0.1", PROTO_TCP, 443), rule);
	ck_assert_uint_eq(value(c, SET_RULES, rule, NULL, 0, 0), rule);
	ck_assert_uint_eq(value(c, SET_RULES, isolation, NULL, 0, 0), isolation);
	ck_assert_uint_eq(
	    value(c, SET_RULES, NUMBER_MIDSTREAM, NULL, 0, 0), NUMBER_MIDSTREAM);
	/* And nothing else: no element for what is as the rest, none for egress. */
	ck_assert_uint_eq(total(&c->content), 7);
	ck_assert_uint_eq(c->content.rule_chain_count, 3);
	ck_assert_int_eq(chain(c, rule)->action, ACTION_ALLOW);
	ck_assert_int_eq(chain(c, isolation)->action, ACTION_DENY);
	ck_assert(chain(c, isolation)->isolation);
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
		ck_assert_uint_eq(value(c, SET_CELL4_IN_REST, 0, ip, 0, 0), 2);
		ck_assert_uint_eq(value(c, SET_CELL4_OUT_REST, 0, ip, 0, 0), 2);
	}
	(void)value(c, SET_RULES, NUMBER_MIDSTREAM, NULL, 0, 0);
	ck_assert_uint_eq(total(&c->content), 10);
	ck_assert_int_eq(chain(c, 2)->action, ACTION_DENY);
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

	ck_assert(chain(c, NUMBER_MIDSTREAM)->reset);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct table_packet packet = {.saddr = address(cases[i].from),
		    .daddr = address(cases[i].to),
		    .proto = PROTO_TCP,
		    .dport = 443,
		    .hook = _i == 0 ? HOOK_FORWARD : HOOK_INPUT};
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
	ck_assert_int_eq(chain(c, NUMBER_MIDSTREAM)->action, ACTION_DENY);
	ck_assert(!chain(c, NUMBER_MIDSTREAM)->reset);
	table_set_midstream(
	    content->rule_chains, content->rule_chain_count, MIDSTREAM_JUDGE);
	ck_assert_int_eq(chain(c, NUMBER_MIDSTREAM)->action, ACTION_ALLOW);
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
	    find(c, SET_CELL4_IN_RANGE, 0, "10.1.0.1", PROTO_UDP, 80)->port_hi, 96);
	ck_assert_uint_eq(
	    find(c, SET_CELL4_IN_RANGE, 0, "10.1.0.1", PROTO_SCTP, 0)->port_hi, 65535);
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
	    find(c, SET_CELL4_IN_RANGE, 0, "10.1.0.1", PROTO_ICMP, 0)->port_hi, 65535);
	ck_assert_uint_eq(
	    find(c, SET_CELL6_IN_RANGE, 0, "fd00::1", PROTO_ICMPV6, 0)->port_hi, 65535);
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
	ck_assert_int_eq(chain(c, NUMBER_GATE)->action, ACTION_DENY);
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

/* ---- small changes stay small ---- */

/* How many elements are in one program and not, with the same value, in the other. */
static size_t
difference(const struct table_content *a, const struct table_content *b)
{
	size_t count = 0;

	for (size_t s = 0; s < SET_COUNT; s++) {
		for (size_t i = 0; i < a->element_count[s]; i++) {
			bool found = false;

			for (size_t j = 0; j < b->element_count[s] && !found; j++)
				found = table_element_equal(
				    &a->elements[s][i], &b->elements[s][j]);
			count += !found;
		}
	}
	return count;
}

static const struct {
	const char *before, *after;
	size_t added, removed;
} change_rows[] = {
    /* a workload in an existing class */
    {PODS WEB_FROM_LB, PODS WEB_FROM_LB POD("lb2", "n2", "10.1.0.9", "lb"), 1, 0},
    /* a workload that no rule mentions */
    {PODS WEB_FROM_LB, PODS WEB_FROM_LB POD("x", "n2", "10.1.0.9", "x"), 0, 0},
    /* a policy with the same peers: its rule and the cell, and no class changes */
    {PODS WEB_FROM_LB,
	PODS WEB_FROM_LB NETPOL("web2",
	    "podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: "
	    "{matchLabels: {app: lb}}}], ports: [{port: 444}]}]"),
	2, 0},
    /* a rule for other peers: their class, its cell, its rule */
    {PODS WEB_FROM_LB,
	PODS WEB_FROM_LB NETPOL("a",
	    "podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: "
	    "{matchLabels: {app: db}}}], ports: [{port: 444}]}]"),
	/* and the isolation is now told as the first policy's */
	5, 2},
};

START_TEST(small_changes_cost_few_elements)
{
	struct compiled *before = compiled(change_rows[_i].before);
	struct compiled *after = compiled(change_rows[_i].after);

	ck_assert_uint_eq(
	    difference(&after->content, &before->content), change_rows[_i].added);
	ck_assert_uint_eq(
	    difference(&before->content, &after->content), change_rows[_i].removed);
	compiled_free(before);
	compiled_free(after);
}
END_TEST

/* The policy stays on its line, which its comment tells. */
START_TEST(order_of_workloads_does_not_matter)
{
	struct compiled *one = compiled(PODS WEB_FROM_LB);
	struct compiled *two = compiled(POD("db", "n2", "10.1.0.3", "db") POD("lb",
	    "n2", "10.1.0.2", "lb") POD("web", "n1", "10.1.0.1", "web") WEB_FROM_LB);
	struct buf a = {0}, b = {0};

	table_print_nft(&a, &one->content);
	table_print_nft(&b, &two->content);
	ck_assert_str_eq(a.data, b.data);
	buf_free(&a);
	buf_free(&b);
	compiled_free(one);
	compiled_free(two);
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
	const char *comment = chain(c, number)->comment;

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
	const struct table_rule_chain *found = chain(c, number);

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

/* ---- limits ---- */

/* 401 workloads with 100 wide ranges each are more than 40,000 port ranges. */
START_TEST(too_large_a_program_is_refused)
{
	struct buf text = {0};
	struct table_content content;
	struct compile_options options = {.node = STR("n1")};
	struct loaded *l;

	for (unsigned i = 0; i < 401; i++)
		buf_printf(&text,
		    "---\n{apiVersion: ringfence.dev/v1alpha1, kind: Workload, "
		    "metadata: "
		    "{name: w%u, namespace: /a}, spec: {node: n1, ips: "
		    "[10.0.%u.%u]}}\n",
		    i, i / 250, i % 250 + 1);
	buf_add_cstr(&text,
	    "---\n{apiVersion: ringfence.dev/v1alpha1, kind: Policy, metadata: {name: "
	    "p, "
	    "namespace: /a}, spec: {default: {ingress: [{action: deny, ports: [");
	for (unsigned i = 0; i < 100; i++)
		buf_printf(
		    &text, "%s%u-%u/udp", i > 0 ? ", " : "", 1 + 100 * i, 50 + 100 * i);
	buf_add_cstr(&text, "]}]}}}\n");
	l = load_ok_with(NULL, text.data);
	ck_assert(!compile_node(l->arena, l->m, &options, &l->diags, &content));
	ck_assert_uint_eq(l->diags.errors, 1);
	ck_assert_ptr_nonnull(strstr(loaded_text(l), "[program-too-large]"));
	loaded_free(l);
	buf_free(&text);
}
END_TEST

/* ---- classes against signatures, address by address ---- */

static const char world[] = PODS POD("w2", "n1", "10.1.0.4", "web") POD("l2", "n3",
    "10.1.0.5", "lb") POD("d2", "n3", "10.1.0.130", "db") POD("o", "n3", "10.2.0.1",
    "other") "---\n{apiVersion: v1, kind: Node, metadata: {name: n3, labels: {z: a}}, "
	     "status: {addresses: [{type: InternalIP, address: 10.1.0.200}]}}\n" NATIVE(
		 "p", "/shop",
		 "workloads: {matchLabels: {app: web}}, default: {ingress: ["
		 "{action: deny, from: [{cidr: 10.1.0.128/25}]}, "
		 "{action: allow, from: [{workloads: {matchLabels: {app: lb}}}]}, "
		 "{action: deny, from: [{workloads: {matchLabels: {app: db}}}, {cidr: "
		 "10.1.0.0/30}]}, "
		 "{action: pass, from: [{node: {matchLabels: {z: a}}}]}, "
		 "{action: deny, from: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16]}], "
		 "ports: "
		 "[80/tcp]}]}");

static uint32_t
class_of(const struct compiled *c, const struct ip_addr *addr)
{
	struct table_element key = {0};
	const struct table_element *e;

	memcpy(key.addr, addr->bytes, 4);
	e = table_find(&c->content, SET_PEER4_IN, &key);
	if (e == NULL)
		e = table_find(&c->content, SET_PEER4_IN_NET, &key);
	return e != NULL ? e->value : 0;
}

/* Which of the policy's rules would match the address. */
static unsigned
signature(const struct compiled *c, const struct policy *p, const struct ip_addr *addr)
{
	struct endpoint peer = endpoint_of_addr(c->l->m, *addr);
	const struct rule_list *list = &p->defaults[DIR_INGRESS];
	unsigned bits = 0;

	for (size_t i = 0; i < list->count; i++)
		bits |= (unsigned)rule_matches_peer(
			    &list->rules[i], &peer, &(struct knower){0})
			<< i;
	return bits;
}

START_TEST(classes_are_the_addresses_that_no_rule_tells_apart)
{
	struct compiled *c = compiled(world);
	const struct policy *p = policy(c, "p");
	uint32_t classes[32] = {0};
	bool seen[32] = {false};

	for (unsigned i = 0; i < 4 * 256; i++) {
		static const uint8_t thirds[][2] = {{1, 0}, {1, 1}, {2, 0}, {255, 255}};
		struct ip_addr addr = {.family = IP_V4,
		    .bytes = {10, thirds[i / 256][0], thirds[i / 256][1],
			(uint8_t)(i % 256)}};
		unsigned bits = signature(c, p, &addr);
		uint32_t class = class_of(c, &addr);

		ck_assert_uint_lt(bits, 32);
		if (!seen[bits])
			classes[bits] = class;
		seen[bits] = true;
		ck_assert_uint_eq(classes[bits], class);
	}
	ck_assert(seen[0]);
	ck_assert_uint_eq(classes[0], 0);
	for (unsigned i = 0; i < 32; i++) {
		for (unsigned j = 0; j < i; j++)
			ck_assert(!seen[i] || !seen[j] || classes[i] != classes[j]);
	}
	compiled_free(c);
}
END_TEST

static Suite *
compile_suite(void)
{
	Suite *suite = suite_create("compile");
	TCase *tc = tcase_create("compile");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, nothing_when_no_policy_governs);
	tcase_add_test(tc, nothing_when_the_subject_is_elsewhere);
	tcase_add_test(tc, isolated_workload_has_a_rest_and_a_cell_for_its_peer);
	tcase_add_test(tc, cluster_deny_governs_every_local_workload);
	tcase_add_loop_test(tc, midstream_is_judged_by_neither_direction, 0, 2);
	tcase_add_test(tc, narrow_ranges_are_exact_and_wide_ones_are_not);
	tcase_add_test(tc, icmp_is_of_its_family);
	tcase_add_test(tc, class_has_only_what_differs_from_everyone);
	tcase_add_test(tc, port_names_mean_what_each_peer_says);
	tcase_add_test(tc, network_is_intervals_and_covers_workloads_in_it);
	tcase_add_test(tc, workload_that_no_network_means_is_listed_as_nobody);
	tcase_add_test(tc, gate_holds_networks_and_who_is_known);
	tcase_add_test(tc, host_network_pod_is_no_local_workload);
	tcase_add_loop_test(
	    tc, small_changes_cost_few_elements, 0, (int)ARRAY_LEN(change_rows));
	tcase_add_test(tc, order_of_workloads_does_not_matter);
	tcase_add_loop_test(tc, comment_names_the_policy_and_its_place, 0,
	    (int)ARRAY_LEN(comment_rows));
	tcase_add_test(tc, chain_and_elements_bear_the_policy_and_its_line);
	tcase_add_test(tc, too_large_a_program_is_refused);
	tcase_add_test(tc, classes_are_the_addresses_that_no_rule_tells_apart);
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	SRunner *runner = srunner_create(compile_suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
