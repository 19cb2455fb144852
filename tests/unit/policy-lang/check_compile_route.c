#include "compile_fixture.h"
#include "policy-lang/compile/compile_incremental.h"
#include "policy-lang/evaluate/route.h"
#include "policy-lang/model/learnt.h"
#include "policy-lang/table/table_walk.h"

/* Workloads of /a on node n1, unless said otherwise; `extra` is what the test is about. */
#define WORKLOAD(name, app, ips)                                                       \
	"---\napiVersion: ringfence.dev/v1alpha1\nkind: Workload\n"                    \
	"metadata: {name: " name ", namespace: /a, labels: {app: " app                 \
	"}}\nspec: {node: n1, ips: [" ips "]}\n"
#define PLACE                                                                          \
	"---\napiVersion: ringfence.dev/v1alpha1\nkind: Namespace\n"                   \
	"metadata: {name: /a}\n"
#define ROUTE(spec)                                                                    \
	"---\napiVersion: ringfence.dev/v1alpha1\nkind: Route\n"                       \
	"metadata: {name: r, namespace: /a}\nspec:\n  default:\n" spec
#define READY_POD(name, ip, ready)                                                     \
	"---\napiVersion: v1\nkind: Pod\nmetadata: {name: " name                       \
	", namespace: a, labels: {app: x}}\nspec: {nodeName: n1}\n"                    \
	"status: {podIP: " ip ", conditions: [{type: Initialized, status: 'True'}, "   \
	"{type: Ready, status: '" ready "'}]}\n"
#define NODES                                                                          \
	"---\napiVersion: v1\nkind: Node\nmetadata: {name: n1, labels: {exit: "        \
	"'yes'}}\n"                                                                    \
	"status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}\n"              \
	"---\napiVersion: v1\nkind: Node\nmetadata: {name: n2}\n"                      \
	"status: {addresses: [{type: InternalIP, address: 192.0.2.2}]}\n"
#define THREE                                                                          \
	PLACE WORKLOAD("x", "x", "10.1.0.1") WORKLOAD("w", "w", "10.1.0.2")            \
	    WORKLOAD("z", "z", "10.1.0.3")

static struct compiled *
compiled_for(
    const char *text, bool some, const struct route_network *networks, size_t n)
{
	const struct compile_options options = {.node = STR("n1"),
	    .settings = {.log_group = 5},
	    .has_route_networks = some,
	    .route_networks = networks,
	    .route_network_count = n};

	return compile_options_of(NULL, &options, text);
}

static struct route_network
network_of(const char *network, const char *subtree)
{
	struct route_network n = {.subtree = str_from(subtree)};

	ck_assert(ip_prefix_parse(str_from(network), &n.network, NULL));
	return n;
}

/* `network`: all that the node translates; NULL: everything. */
static struct compiled *
compiled_within(const char *text, const char *network)
{
	struct route_network own;

	if (network == NULL)
		return compiled_for(text, false, NULL, 0);
	own = network_of(network, "/");
	return compiled_for(text, true, &own, 1);
}

static uint8_t
last_byte(const struct compiled *c, enum table_set_id ends, uint32_t id)
{
	for (size_t i = 0; i < c->content.element_count[ends]; i++) {
		const struct table_element *e = &c->content.elements[ends][i];

		if (e->class_id == id)
			return e->addr_end[3];
	}
	return 0;
}

/* Whom each slot leads to, by the last byte of the address. */
static size_t
slots_of(const struct compiled *c, enum table_set_id set, uint8_t *out)
{
	for (size_t i = 0; i < c->content.element_count[set]; i++) {
		const struct table_element *e = &c->content.elements[set][i];

		out[e->port_lo] = last_byte(c, SET_END4, e->value);
		ck_assert_uint_ne(out[e->port_lo], 0);
	}
	return c->content.element_count[set];
}

static size_t
count_of(const uint8_t *slots, size_t count, uint8_t end)
{
	size_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += slots[i] == end;
	return sum;
}

#define PUBLISH(to)                                                                    \
	ROUTE("    ingress: [{action: publish, address: [198.51.100.80], "             \
	      "ports: [80/tcp], to: [" to "]}]\n")
#define TO(app, weight) "{workloads: {matchLabels: {app: " app "}}, weight: " weight "}"

START_TEST(slots_are_as_weights_say)
{
	struct compiled *c =
	    compiled(THREE PUBLISH(TO("x", "3") ", " TO("w", "2") ", " TO("z", "1")));
	uint8_t slots[TABLE_SLOTS_FINE] = {0};

	ck_assert_uint_eq(slots_of(c, SET_PICK_RANDOM, slots), TABLE_SLOTS);
	ck_assert_uint_eq(count_of(slots, TABLE_SLOTS, 1), 30);
	ck_assert_uint_eq(count_of(slots, TABLE_SLOTS, 2), 20);
	ck_assert_uint_eq(count_of(slots, TABLE_SLOTS, 3), 10);
	loaded_free(c->l);
}
END_TEST

START_TEST(weight_is_shared_by_the_workloads_of_a_target)
{
	struct compiled *c = compiled(THREE WORKLOAD("v", "x", "10.1.0.4")
		PUBLISH(TO("x", "1") ", " TO("w", "1")));
	uint8_t slots[TABLE_SLOTS_FINE] = {0};

	(void)slots_of(c, SET_PICK_RANDOM, slots);
	ck_assert_uint_eq(count_of(slots, TABLE_SLOTS, 2), 30);
	ck_assert_uint_eq(count_of(slots, TABLE_SLOTS, 1), 15);
	ck_assert_uint_eq(count_of(slots, TABLE_SLOTS, 4), 15);
	loaded_free(c->l);
}
END_TEST

START_TEST(uneven_weights_take_finer_slots)
{
	struct compiled *c =
	    compiled(THREE PUBLISH(TO("x", "99") ", " TO("w", "1") ", " TO("z", "0")));
	uint8_t slots[TABLE_SLOTS_FINE] = {0};

	ck_assert_uint_eq(slots_of(c, SET_PICK_RANDOM, slots), 0);
	ck_assert_uint_eq(slots_of(c, SET_PICK_RANDOM_FINE, slots), TABLE_SLOTS_FINE);
	ck_assert_uint_eq(count_of(slots, TABLE_SLOTS_FINE, 2), 25); /* of 25.2 */
	ck_assert_uint_eq(count_of(slots, TABLE_SLOTS_FINE, 3), 0);
	loaded_free(c->l);
}
END_TEST

/* Of 60 slots 20 were of the one that went. Few others move. */
START_TEST(most_slots_stay_when_an_end_goes)
{
	struct compiled *three =
	    compiled(THREE PUBLISH(TO("x", "1") ", " TO("w", "1") ", " TO("z", "1")));
	struct compiled *two = compiled(THREE PUBLISH(TO("x", "1") ", " TO("w", "1")));
	uint8_t before[TABLE_SLOTS_FINE] = {0}, after[TABLE_SLOTS_FINE] = {0};
	size_t moved = 0;

	ck_assert_uint_eq(slots_of(three, SET_PICK_RANDOM, before), TABLE_SLOTS);
	ck_assert_uint_eq(slots_of(two, SET_PICK_RANDOM, after), TABLE_SLOTS);
	for (size_t i = 0; i < TABLE_SLOTS; i++)
		moved += before[i] != 3 && before[i] != after[i];
	ck_assert_uint_le(moved, 10);
	loaded_free(three->l);
	loaded_free(two->l);
}
END_TEST

START_TEST(an_address_that_is_named_twice_is_listed_once)
{
	struct compiled *c = compiled(
	    THREE WORKLOAD("v", "x", "10.1.0.4, 'fd00::4', 10.1.0.4, 'fd00::4'")
		PUBLISH(TO("x", "1")) "---\napiVersion: ringfence.dev/v1alpha1\nkind: "
				      "Policy\nmetadata: {name: p, namespace: /a}\n"
				      "spec: {allow: {ingress: []}}\n");

	ck_assert_uint_eq(c->content.element_count[SET_SELF4], 2);
	ck_assert_uint_eq(c->content.element_count[SET_SELF6], 1);
	ck_assert_uint_eq(c->content.element_count[SET_ITSELF4], 4);
	ck_assert_uint_eq(c->content.element_count[SET_ITSELF6], 1);
	loaded_free(c->l);
}
END_TEST

/* Others may translate, too: whoever a Route may be about reaches itself by that. */
START_TEST(whom_a_route_may_be_about_reaches_itself)
{
	struct compiled *c =
	    compiled(THREE WORKLOAD("v", "x", "10.1.0.4") PUBLISH(TO("x", "1")));

	ck_assert_uint_eq(c->content.element_count[SET_SELF4], 2);
	ck_assert_uint_eq(c->content.element_count[SET_ITSELF4], 4);
	loaded_free(c->l);
	c = compiled(THREE);
	ck_assert_uint_eq(c->content.element_count[SET_ITSELF4], 0);
	loaded_free(c->l);
}
END_TEST

START_TEST(only_ready_pods_are_ends)
{
	struct compiled *c = compiled(READY_POD("one", "10.1.0.1", "True") READY_POD(
	    "two", "10.1.0.2", "False") READY_POD("three", "10.1.0.3", "Unknown")
		ROUTE("    ingress: [{action: publish, address: "
		      "[198.51.100.80], "
		      "ports: [80/tcp], to: [{workloads: "
		      "{}}]}]\n") "---\napiVersion: "
				  "ringfence.dev/"
				  "v1alpha1\nkind: Namespace\n"
				  "metadata: {name: /a}\nspec: "
				  "{kubernetes: {namespaces: "
				  "[a]}}\n");

	ck_assert_uint_eq(c->content.element_count[SET_PUBLISH4], 1);
	ck_assert_uint_eq(c->content.element_count[SET_END4], 1);
	ck_assert_uint_eq(c->content.elements[SET_END4][0].addr_end[3], 1);
	loaded_free(c->l);
}
END_TEST

/* Actions of the chains that what leaves is counted by, for what is followed and what is
 * not. */
static const struct {
	const char *rule;
	enum action action;
} leaving_rows[] = {
    {"{action: route, source: [198.51.100.7]}", ACTION_ALLOW},
    {"{action: route, source: [198.51.100.0/22]}", ACTION_ALLOW},
    {"{action: route, source: [198.51.96.0/21]}", ACTION_DENY},
    {"{action: route, source: ['fd0a::7']}", ACTION_DENY},
    {"{action: route, source: [198.51.100.7], gateway: [n1]}", ACTION_ALLOW},
    {"{action: route, source: [198.51.100.7], gateway: [n2]}", ACTION_DENY},
    {"{action: route, source: [198.51.100.7], gateway: {matchLabels: {exit: 'yes'}}}",
	ACTION_ALLOW},
    {"{action: route, source: [198.51.100.7], gateway: {matchLabels: {exit: 'no'}}}",
	ACTION_DENY},
    {"{action: route, source: [198.51.100.7], nextHop: [192.0.2.9]}", ACTION_DENY},
    {"{action: route, source: [198.51.100.7], table: 7}", ACTION_DENY},
    {"{action: route, source: [192.0.2.2]}", ACTION_DENY},
    {"{action: route, source: [10.1.0.1]}", ACTION_DENY},
    {"{action: direct}", ACTION_ALLOW},
    {"{action: deny}", ACTION_DENY},
};

START_TEST(route_that_cannot_be_followed_is_denied)
{
	char text[4096];
	struct compiled *c;
	uint32_t number;

	(void)snprintf(text, sizeof(text), "%s%s%s]\n", NODES PLACE,
	    WORKLOAD("x", "x", "10.1.0.1") ROUTE("    egress: ["),
	    leaving_rows[_i].rule);
	c = compiled(text);
	/* Both families, though nobody has IPv6: its networks have classes, too. */
	ck_assert_uint_ge(c->content.element_count[SET_ROUTES], 1);
	ck_assert_uint_ge(c->content.element_count[SET_ROUTE_CELL4_OUT_ANY], 1);
	number = 0;
	for (size_t i = 0; i < c->content.element_count[SET_ROUTES]; i++) {
		const struct table_element *e = &c->content.elements[SET_ROUTES][i];

		ck_assert_uint_eq(e->class_id & 15, 0);
		if (e->class_id ==
		    c->content.elements[SET_ROUTE_CELL4_OUT_ANY][0].value)
			number = e->value;
	}
	for (size_t i = 0; i < c->content.rule_chain_count; i++) {
		if (c->content.rule_chains[i].number == number)
			ck_assert_int_eq(
			    c->content.rule_chains[i].action, leaving_rows[_i].action);
	}
	ck_assert_uint_ne(number, 0);
	loaded_free(c->l);
}
END_TEST

/* The chains that a packet of web meets, and the rule of the walk. */
static void
check_leaves(struct loaded *l, const struct table_content *content, const char *to)
{
	struct table_packet p = {
	    .hook = HOOK_FORWARD, .proto = PROTO_TCP, .dport = 443};
	struct route_egress expected;
	struct table_verdict v;
	struct flow flow;

	ck_assert(ip_parse(STR("10.1.0.1"), &p.saddr));
	ck_assert(ip_parse(str_from(to), &p.daddr));
	flow = (struct flow){.src = endpoint_of_addr(l->m, p.saddr),
	    .dst = endpoint_of_addr(l->m, p.daddr),
	    .proto = p.proto,
	    .port = p.dport};
	route_egress(l->arena, l->m, &flow, &expected);
	v = table_walk(content, &p);
	ck_assert_msg(v.accept == (expected.outcome != ROUTE_REFUSED), "to %s", to);
	ck_assert_uint_eq(v.number_count, expected.by.rule != NULL);
	if (expected.by.rule != NULL)
		ck_assert_uint_eq(v.numbers[0], expected.by.rule->number);
}

/* What is learnt and forgotten: each time as the walk has it, and as compiled anew. */
START_TEST(names_lead_where_the_walk_says)
{
	static const char *const addrs[] = {
	    "203.0.113.1", "203.0.113.2", "203.0.114.1", "203.0.114.2", "8.8.8.8"};
	static const char *const names[] = {
	    "api.cards.example", "cards.example", "x.evil.test", "other.example"};
	struct loaded *l = load_ok_with(
	    NULL, NODES THREE ROUTE(
		      "    egress:\n"
		      "      - {action: route, to: [{fqdn: '*.cards.example'}],\n"
		      "         source: [198.51.100.7], ports: [443/tcp]}\n"
		      "      - {action: deny, to: [{fqdn: '*.evil.test'}]}\n"
		      "      - {action: direct, to: [{cidr: 203.0.113.0/24}]}\n"
		      "      - {action: route, to: [{fqdn: other.example}],\n"
		      "         source: [198.51.100.8]}\n"));
	const struct compile_options options = {.node = STR("n1")};
	struct learnt *learnt = learnt_new(100);
	struct compile_state *state;
	unsigned seed = 1;

	l->m->options.learnt = learnt;
	state = compile_state_new(l->m, &options, &l->diags);
	for (uint64_t i = 0; i < 300; i++) {
		struct compile_change change = {.kind = CHANGE_LEARNT};
		struct compile_delta delta;
		struct table_content content;

		(void)learnt_expire(learnt, i * 2000, NULL, NULL, NULL);
		ck_assert(ip_parse(
		    str_from(addrs[(unsigned)rand_r(&seed) % 5]), &change.addr));
		ck_assert_int_ne(learnt_add(learnt, STR("a"),
				     str_from(names[(unsigned)rand_r(&seed) % 4]),
				     &change.addr, 60, i * 2000),
		    LEARNT_FULL);
		for (size_t j = 0; j < ARRAY_LEN(addrs); j++) {
			ck_assert(ip_parse(str_from(addrs[j]), &change.addr));
			ck_assert(compile_state_update(
			    state, l->arena, l->m, &change, 1, &l->diags, &delta));
			ck_assert(!delta.anew);
		}
		compile_state_content(state, l->arena, &content);
		for (size_t j = 0; j < ARRAY_LEN(addrs); j++)
			check_leaves(l, &content, addrs[j]);
	}
	compile_state_free(state);
	learnt_free(learnt);
	loaded_free(l);
}
END_TEST

START_TEST(inside_is_every_workload_and_node)
{
	struct compiled *c = compiled(NODES THREE ROUTE(
	    "    egress: [{action: route, source: [198.51.100.7]}]\n"));

	ck_assert_uint_eq(c->content.element_count[SET_INSIDE4], 5);
	loaded_free(c->l);
}
END_TEST

START_TEST(range_is_cut_where_another_rule_begins)
{
	struct compiled *c = compiled(THREE ROUTE(
	    "    ingress:\n"
	    "      - {action: publish, address: [198.51.100.80], ports: [100/tcp],\n"
	    "         to: [{workloads: {matchLabels: {app: x}}}]}\n"
	    "      - {action: deny, ports: [150-159/tcp]}\n"
	    "      - {action: publish, address: [198.51.100.80], ports: [90-200/tcp],\n"
	    "         to: [{workloads: {matchLabels: {app: w}}}]}\n"));
	const struct table_element *ranges = c->content.elements[SET_PUBLISH4_RANGE];

	ck_assert_uint_eq(c->content.element_count[SET_PUBLISH4], 1);
	ck_assert_uint_eq(c->content.elements[SET_PUBLISH4][0].port_lo, 100);
	ck_assert_uint_eq(
	    last_byte(c, SET_END4, c->content.elements[SET_PUBLISH4][0].value), 1);
	ck_assert_uint_eq(c->content.element_count[SET_PUBLISH4_RANGE], 3);
	ck_assert_uint_eq(ranges[0].port_lo, 90);
	ck_assert_uint_eq(ranges[0].port_hi, 99);
	ck_assert_uint_eq(ranges[1].port_lo, 101);
	ck_assert_uint_eq(ranges[1].port_hi, 149);
	ck_assert_uint_eq(ranges[2].port_lo, 160);
	ck_assert_uint_eq(ranges[2].port_hi, 200);
	for (size_t i = 0; i < 3; i++)
		ck_assert_uint_eq(last_byte(c, SET_END4, ranges[i].value), 2);
	loaded_free(c->l);
}
END_TEST

/* A rule of the namespace is nearer than one above it; a mandatory one the other way. */
START_TEST(port_that_two_publish_is_the_first_ones)
{
	struct compiled *c = compiled(THREE
	    "---\napiVersion: ringfence.dev/v1alpha1\nkind: Route\n"
	    "metadata: {name: above, namespace: /}\nspec:\n"
	    "  mandatory: {ingress: [{action: publish, address: [198.51.100.80], "
	    "ports: [81/tcp], to: [{namespace: /a, workloads: {matchLabels: {app: "
	    "z}}}]}]}\n"
	    "  default: {ingress: [{action: publish, address: [198.51.100.80], "
	    "ports: [80/tcp], to: [{namespace: /a, workloads: {matchLabels: {app: "
	    "z}}}]}]}\n" ROUTE(
		"    ingress: [{action: publish, address: [198.51.100.80], "
		"ports: [80-81/tcp], to: [{workloads: {matchLabels: {app: x}}}]}]\n"));
	const struct table_element *e = c->content.elements[SET_PUBLISH4];

	ck_assert_uint_eq(c->content.element_count[SET_PUBLISH4], 2);
	ck_assert_uint_eq(last_byte(c, SET_END4, e[0].value), 1);
	ck_assert_uint_eq(last_byte(c, SET_END4, e[1].value), 3);
	loaded_free(c->l);
}
END_TEST

START_TEST(only_what_is_the_nodes_is_published)
{
	static const char text[] =
	    THREE ROUTE("    ingress: [{action: publish, address: [198.51.100.80, "
			"203.0.113.80, 10.1.0.2], ports: [80/tcp, 90-99/tcp], "
			"to: [{workloads: {}}]}]\n");
	struct compiled *all = compiled(text);
	struct compiled *some = compiled_within(text, "203.0.113.0/24");

	/* 10.1.0.2 is a workload's. */
	ck_assert_uint_eq(all->content.element_count[SET_PUBLISH4], 2);
	ck_assert_uint_eq(all->content.element_count[SET_PUBLISH4_RANGE], 2);
	ck_assert_uint_eq(some->content.element_count[SET_PUBLISH4], 1);
	ck_assert_uint_eq(some->content.elements[SET_PUBLISH4][0].addr[0], 203);
	loaded_free(all->l);
	loaded_free(some->l);
}
END_TEST

/* Whom the one port that is published leads to, by the last byte of the address. */
static unsigned
leads_to(const struct compiled *c)
{
	ck_assert_uint_eq(c->content.element_count[SET_PUBLISH4], 1);
	return last_byte(c, SET_END4, c->content.elements[SET_PUBLISH4][0].value);
}

/* Who else may not have an address does not take it from whom it is for, whatever the order of
 * the rules; and nobody has what is nobody's. */
START_TEST(address_is_for_routes_of_its_subtree)
{
	static const char text[] = THREE
	    "---\napiVersion: ringfence.dev/v1alpha1\nkind: Route\n"
	    "metadata: {name: all, namespace: /}\n"
	    "spec: {mandatory: {ingress: [{action: publish, "
	    "address: [203.0.113.7], ports: [80/tcp], to: [" TO("w",
		"1") "]}]}}\n" ROUTE("    ingress: [{action: publish, address: "
				     "[203.0.113.7], "
				     "ports: [80/tcp], to: [" TO("z", "1") "]}]\n");
	const struct route_network all = network_of("203.0.113.0/24", "/");
	const struct route_network longest[] = {
	    network_of("203.0.113.7/32", "/a"),
	    network_of("203.0.113.0/24", "/"),
	};
	const struct route_network other = network_of("203.0.113.0/24", "/ab");
	struct compiled *first = compiled_for(text, true, &all, 1);
	struct compiled *own = compiled_for(text, true, longest, ARRAY_LEN(longest));
	struct compiled *others = compiled_for(text, true, &other, 1);
	struct compiled *none = compiled_for(text, true, NULL, 0);

	ck_assert_uint_eq(leads_to(first), 2);
	ck_assert_uint_eq(leads_to(own), 3);
	ck_assert_uint_eq(own->l->diags.warnings, 1);
	ck_assert_uint_eq(others->content.element_count[SET_PUBLISH4], 0);
	ck_assert_uint_eq(others->l->diags.warnings, 2);
	ck_assert_uint_eq(none->content.element_count[SET_PUBLISH4], 0);
	ck_assert_uint_eq(none->l->diags.warnings, 0);
	loaded_free(first->l);
	loaded_free(own->l);
	loaded_free(others->l);
	loaded_free(none->l);
}
END_TEST

static bool
takes(const struct compiled *c, uint8_t last)
{
	for (size_t i = 0; i < c->content.element_count[SET_TAKEN4]; i++) {
		if (c->content.elements[SET_TAKEN4][i].addr[3] == last)
			return true;
	}
	return false;
}

/* Published at .80 and .81, put on .8 and .9, each once; a node has .81. */
START_TEST(addresses_are_taken_where_the_node_has_an_interface_for_them)
{
	static const char text[] = PLACE WORKLOAD("x", "x",
	    "10.1.0.1") "---\napiVersion: v1\nkind: Node\nmetadata: {name: n2}\n"
			"status: {addresses: [{type: InternalIP, address: "
			"198.51.100.81}]}\n" ROUTE(
			    "    ingress: [{action: publish, address: [198.51.100.80, "
			    "198.51.100.81], ports: [80/tcp], to: [" TO(
				"x", "1") "]}, "
					  "{action: publish, address: [198.51.100.80], "
					  "ports: [81/tcp], "
					  "to: [" TO("w",
					      "1") "]}]\n    egress: [{action: route, "
						   "source: [198.51.100.8/31]}]\n");
	struct route_network networks[] = {
	    network_of("198.51.100.9/32", "/"),
	    network_of("198.51.100.0/24", "/a"),
	    network_of("0.0.0.0/0", "/"),
	};
	struct compiled *some, *others;

	networks[1].taken = true;
	some = compiled_for(text, true, networks, ARRAY_LEN(networks));
	ck_assert_uint_eq(some->content.element_count[SET_TAKEN4], 2);
	ck_assert(takes(some, 80) && takes(some, 8));
	networks[1].subtree = STR("/ab"); /* nobody's here: nothing is taken */
	others = compiled_for(text, true, networks, ARRAY_LEN(networks));
	ck_assert_uint_eq(others->content.element_count[SET_TAKEN4], 0);
	loaded_free(some->l);
	loaded_free(others->l);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("compile_route");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, slots_are_as_weights_say);
	tcase_add_test(tc, weight_is_shared_by_the_workloads_of_a_target);
	tcase_add_test(tc, uneven_weights_take_finer_slots);
	tcase_add_test(tc, most_slots_stay_when_an_end_goes);
	tcase_add_test(tc, an_address_that_is_named_twice_is_listed_once);
	tcase_add_test(tc, whom_a_route_may_be_about_reaches_itself);
	tcase_add_test(tc, only_ready_pods_are_ends);
	tcase_add_loop_test(
	    tc, route_that_cannot_be_followed_is_denied, 0, ARRAY_LEN(leaving_rows));
	tcase_add_test(tc, inside_is_every_workload_and_node);
	tcase_add_test(tc, names_lead_where_the_walk_says);
	tcase_add_test(tc, address_is_for_routes_of_its_subtree);
	tcase_add_test(tc, range_is_cut_where_another_rule_begins);
	tcase_add_test(tc, port_that_two_publish_is_the_first_ones);
	tcase_add_test(tc, only_what_is_the_nodes_is_published);
	tcase_add_test(
	    tc, addresses_are_taken_where_the_node_has_an_interface_for_them);
	suite_add_tcase(s, tc);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
