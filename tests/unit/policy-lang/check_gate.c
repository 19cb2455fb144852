/*
 * The gate, by what becomes of packets: in whatever order the chains ask, nothing passes to
 * or from an address of the workloads' networks that nobody has, and nothing from an address
 * that somebody else has.
 */
#include "compile_fixture.h"
#include "policy-lang/compile/compile_incremental.h"
#include "policy-lang/model/learnt.h"
#include "policy-lang/table/table_walk.h"

/* web is governed in both directions, db of the same node in none, lb is another node's. */
#define WORLD                                                                          \
	POD("web", "n1", "10.1.0.1", "web")                                            \
	POD("lb", "n2", "10.1.0.2", "lb")                                              \
	POD("db", "n1", "10.1.0.3", "db")                                              \
	NATIVE("web", "/shop",                                                         \
	    "workloads: {matchLabels: {app: web}}, allow: {ingress: [{from: [{cidr: "  \
	    "10.0.0.0/8}, {cidr: 192.0.2.0/24}]}], egress: [{to: [{cidr: "             \
	    "10.0.0.0/8}, {fqdn: a.example}]}]}")

static struct ip_prefix network;
static const struct compile_options options = {
    .node = STR("n1"), .workload_networks = &network, .workload_network_count = 1};

static struct table_verdict
walk_to(const struct table_content *content, const char *from, const char *to,
    bool midstream)
{
	const struct table_packet packet = {.saddr = address(from),
	    .daddr = address(to),
	    .proto = PROTO_TCP,
	    .dport = 80,
	    .hook = HOOK_FORWARD,
	    .midstream = midstream};

	return table_walk(content, &packet);
}

static bool
is_by_the_gate(struct table_verdict v)
{
	return !v.accept && v.number_count != 0 &&
	       v.numbers[v.number_count - 1] == NUMBER_GATE;
}

static const struct {
	const char *from, *to;
	bool passes; /* else the gate refuses it */
} rows[] = {
    {"10.1.0.2", "10.1.0.1", true},
    {"10.1.0.1", "10.1.0.2", true},
    {"10.1.0.3", "10.1.0.1", true},
    {"10.1.0.1", "10.1.0.3", true},
    {"10.1.0.2", "10.1.0.3", true},
    {"192.0.2.1", "10.1.0.1", true},
    {"192.0.2.1", "10.1.0.3", true},
    {"10.1.0.3", "192.0.2.1", true},
    /* 10.1.0.9 is nobody's */
    {"10.1.0.9", "10.1.0.1", false},
    {"10.1.0.1", "10.1.0.9", false},
    {"10.1.0.9", "10.1.0.3", false},
    {"10.1.0.3", "10.1.0.9", false},
    {"10.1.0.9", "10.1.0.2", false},
    {"192.0.2.1", "10.1.0.9", false},
    {"10.1.0.9", "192.0.2.1", false},
};

START_TEST(gate_refuses_what_nobody_has)
{
	struct compiled *c = compile_options_of(NULL, &options, WORLD);
	struct table_verdict v =
	    walk_to(&c->content, rows[_i].from, rows[_i].to, false);

	ck_assert_int_eq(v.accept, rows[_i].passes);
	ck_assert_int_eq(is_by_the_gate(v), !rows[_i].passes);
	/* The midst of a connection is not even answered. */
	v = walk_to(&c->content, rows[_i].from, rows[_i].to, true);
	ck_assert_int_eq(is_by_the_gate(v), !rows[_i].passes);
	compiled_free(c);
}
END_TEST

static void
take(struct compile_state *state, struct loaded *l, const struct compile_change *change)
{
	struct compile_delta delta;

	ck_assert(
	    compile_state_update(state, l->arena, l->m, change, 1, &l->diags, &delta));
	ck_assert(!delta.anew);
}

/* Whether the gate refuses it; by what is in force, which is what is compiled from scratch. */
static bool
is_refused(const struct compile_state *state, struct loaded *l, const char *to)
{
	struct table_content content, anew;

	compile_state_content(state, l->arena, &content);
	ck_assert(compile_node(l->arena, l->m, &options, &l->diags, &anew));
	for (unsigned set = SET_KNOWN4; set <= SET_NOBODY6; set++)
		ck_assert_uint_eq(content.element_count[set], anew.element_count[set]);
	ck_assert_int_eq(is_by_the_gate(walk_to(&content, "10.1.0.1", to, false)),
	    is_by_the_gate(walk_to(&anew, "10.1.0.1", to, false)));
	return is_by_the_gate(walk_to(&content, "10.1.0.1", to, false));
}

/* Policy lets web reach what is called so; but what is called so may be anybody's. */
START_TEST(name_does_not_lead_past_the_gate)
{
	struct loaded *l = load_ok_with(NULL, WORLD);
	struct learnt *learnt = learnt_new(10);
	struct compile_change change = {.kind = CHANGE_LEARNT};
	struct compile_state *state;

	l->m->options.learnt = learnt;
	state = compile_state_new(l->m, &options, &l->diags);
	ck_assert(!is_refused(state, l, "198.51.100.1"));
	change.addr = address("198.51.100.1");
	ck_assert_int_eq(
	    learnt_add(learnt, STR("shop"), STR("a.example"), &change.addr, 60, 0),
	    LEARNT_NEW);
	take(state, l, &change);
	ck_assert(!is_refused(state, l, "198.51.100.1"));
	change.addr = address("10.1.0.9");
	ck_assert_int_eq(
	    learnt_add(learnt, STR("shop"), STR("a.example"), &change.addr, 60, 0),
	    LEARNT_NEW);
	take(state, l, &change);
	ck_assert(is_refused(state, l, "10.1.0.9"));
	ck_assert_uint_eq(learnt_expire(learnt, 1000000, NULL, NULL, NULL), 2);
	take(state, l, &change);
	ck_assert(is_refused(state, l, "10.1.0.9"));
	compile_state_free(state);
	learnt_free(learnt);
	loaded_free(l);
}
END_TEST

/* ---- source addresses ---- */

/* n1 has web and db, n2 lb; 192.168.0.2 and fd00::2 are n2's own, in no gate. */
#define NODES                                                                          \
	"---\n{apiVersion: v1, kind: Node, metadata: {name: n2}, status: {addresses: " \
	"[{type: InternalIP, address: 192.168.0.2}, {type: InternalIP, address: "      \
	"'fd00::2'}]}}\n"

/* Packets that came by an interface which does not lead back to where they are from. */
static const struct {
	const char *from, *iif_kind;
	uint32_t denied; /* by what; 0: they are judged like any other */
	const char *iif;
} source_rows[] = {
    {"10.1.0.3", "veth", NUMBER_SPOOFED, NULL}, /* a workload here is nowhere else */
    {"10.1.0.3", "vxlan", NUMBER_SPOOFED, NULL},
    {"10.1.0.3", NULL, NUMBER_SPOOFED, NULL},
    {"10.1.0.2", "veth", NUMBER_SPOOFED,
	NULL}, /* one of another node is behind no other */
    {"10.1.0.2", "bridge", NUMBER_SPOOFED, NULL},
    {"10.1.0.2", "tun", NUMBER_SPOOFED, NULL},
    {"10.1.0.2", "vxlan", 0, NULL}, /* what comes from outside may take any way */
    {"10.1.0.2", NULL, 0, NULL},
    {"192.168.0.2", "veth", NUMBER_SPOOFED, NULL}, /* nor is a node */
    {"192.168.0.2", NULL, 0, NULL}, {"fd00::2", "veth", NUMBER_SPOOFED, NULL},
    {"fd00::2", NULL, 0, NULL},
    {"192.0.2.1", "veth", 0, NULL}, /* the outside may be anywhere */
    /* who is not of this node comes by an uplink of whatever kind */
    {"10.1.0.2", "veth", 0, "eth0"}, {"192.168.0.2", "bridge", 0, "eth0"},
    {"fd00::2", "veth", 0, "eth0"}, {"10.1.0.3", "veth", NUMBER_SPOOFED, "eth0"},
    {"10.1.0.2", "veth", NUMBER_SPOOFED, "eth01"}, {"fe80::1", "veth", 0, NULL},
    {"10.1.0.9", "veth", NUMBER_GATE, NULL}, /* nobody has it */
};

static uint32_t
denial_of(const struct table_content *content, int row, enum table_hook hook, bool away)
{
	const bool is_v4 = strchr(source_rows[row].from, ':') == NULL;
	const struct table_packet packet = {.saddr = address(source_rows[row].from),
	    .daddr = address(is_v4 ? "198.51.100.1" : "2001:db8::1"),
	    .proto = PROTO_UDP,
	    .dport = 80,
	    .hook = hook,
	    .from_elsewhere = away,
	    .iif = source_rows[row].iif,
	    .iif_kind = source_rows[row].iif_kind};
	struct table_verdict v = table_walk(content, &packet);

	return v.accept ? 0 : v.numbers[v.number_count - 1];
}

START_TEST(source_address_is_behind_the_interface)
{
	static const enum table_hook hooks[] = {HOOK_FORWARD, HOOK_INPUT};
	struct compile_options strict = options;
	struct interface_pattern uplink;
	const uint32_t denied = source_rows[_i].denied;
	const uint32_t by_the_gate = denied == NUMBER_GATE ? NUMBER_GATE : 0;
	struct compiled *c;

	ck_assert(interface_pattern_parse(STR("eth0"), &uplink));
	strict.uplinks = &uplink;
	strict.uplink_count = 1;
	for (int off = 0; off < 2; off++) {
		strict.settings.validate_sources = off == 0;
		c = compile_options_of(NULL, &strict, WORLD NODES);
		for (size_t i = 0; i < ARRAY_LEN(hooks); i++) {
			ck_assert_uint_eq(denial_of(&c->content, _i, hooks[i], true),
			    off == 0 ? denied : by_the_gate);
			ck_assert_uint_eq(
			    denial_of(&c->content, _i, hooks[i], false), by_the_gate);
		}
		compiled_free(c);
	}
}
END_TEST

/* Behind interfaces that are named there are workloads of the node, and no networks. */
START_TEST(source_address_is_validated_where_interfaces_are_named)
{
	struct interface_pattern pattern;
	struct compile_options named = {.node = STR("n1"),
	    .settings = {.validate_sources = true},
	    .workload_interfaces = &pattern,
	    .workload_interface_count = 1};
	struct compiled *c;

	ck_assert(interface_pattern_parse(STR("cali*"), &pattern));
	c = compile_options_of(NULL, &named, WORLD NODES);
	ck_assert_uint_eq(
	    denial_of(&c->content, 0, HOOK_FORWARD, true), NUMBER_SPOOFED);
	ck_assert_uint_eq(denial_of(&c->content, 0, HOOK_FORWARD, false), 0);
	compiled_free(c);
	named.workload_interface_count = 0; /* then nobody says what is a workload's */
	c = compile_options_of(NULL, &named, WORLD NODES);
	ck_assert_uint_eq(denial_of(&c->content, 0, HOOK_FORWARD, true), 0);
	ck_assert_uint_eq(c->content.element_count[SET_OWN4], 0);
	ck_assert_uint_eq(c->content.element_count[SET_KNOWN4], 0);
	compiled_free(c);
}
END_TEST

static void
set_up(void)
{
	ck_assert(ip_prefix_parse(STR("10.1.0.0/24"), &network, NULL));
}

static Suite *
gate_suite(void)
{
	Suite *suite = suite_create("gate");
	TCase *tc = tcase_create("gate");

	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_loop_test(tc, gate_refuses_what_nobody_has, 0, (int)ARRAY_LEN(rows));
	tcase_add_test(tc, name_does_not_lead_past_the_gate);
	tcase_add_loop_test(
	    tc, source_address_is_behind_the_interface, 0, (int)ARRAY_LEN(source_rows));
	tcase_add_test(tc, source_address_is_validated_where_interfaces_are_named);
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	SRunner *runner = srunner_create(gate_suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
