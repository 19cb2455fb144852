/* Which edits of a node's own workloads look at those alone, and which have what connections
 * go through compiled again. After each the content is what compiling all of it gives. */
#include <check.h>

#include "policy-lang/evaluate/evaluate.h"
#include "policy-lang/live/live.h"
#include "policy-lang/table/table_walk.h"

#define KIND(kind, spec)                                                               \
	"apiVersion: ringfence.dev/v1alpha1\nkind: " kind                              \
	"\nmetadata: { name: x, namespace: /a }\nspec: " spec "\n---\n"
#define WORKLOAD(name, app, node, ips, http)                                           \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Workload\nmetadata: { name: " name  \
	", namespace: /a, labels: { app: " app " } }\nspec: { node: " node             \
	", ips: [ " ips " ], ports: [ { name: http, port: " http                       \
	", protocol: tcp } ] }\n---\n"
#define POLICY                                                                         \
	KIND("Policy",                                                                 \
	    "{ allow: { ingress: [ { ports: [ http ], from: [ { workloads: { "         \
	    "matchLabels: { app: db } } } ] } ] } }")
#define FIRST      WORKLOAD("first", "web", "n1", "10.1.0.1", "80")
#define BASE       POLICY FIRST
#define OTHER(ips) WORKLOAD("other", "web", "n1", ips, "80")

static struct arena *arena;
static struct diag_list diags;
static struct live *live;
static struct compile_state *state;
static const struct compile_options options = {
    .node = {"n1", 2}, .settings = {.steer_mask = 0xff00}, .way_count = 200};

static const struct model_options here = {.here = {"n1", 2}};

static void
setup(void)
{
	arena = arena_new();
	diag_list_init(&diags, arena);
}

static void
teardown(void)
{
	compile_state_free(state);
	live_free(live);
	arena_free(arena);
}

static void
load(const char *text)
{
	struct source *source = ARENA_NEW(arena, struct source);
	const struct bundle bundle = {source, 1};

	*source = (struct source){STR("base"), str_from(text)};
	live = live_load(arena, &bundle, &here, NULL, &diags);
	ck_assert_ptr_nonnull(live);
	state = compile_state_new(live_model(live), &options, &diags);
	ck_assert_ptr_nonnull(state);
}

/* While rules are kept for nobody, classes may be others. */
static void
check_content(void)
{
	struct table_content now, expected;
	struct buf one = {0}, two = {0};

	live_settle(live);
	if (compile_state_keeps(state))
		return;
	ck_assert(compile_node(arena, live_model(live), &options, &diags, &expected));
	compile_state_content(state, arena, &now);
	table_print_json(&one, &expected);
	table_print_json(&two, &now);
	ck_assert(str_eq(buf_str(&one), buf_str(&two)));
	buf_free(&one);
	buf_free(&two);
}

static size_t
listed(enum table_set_id set)
{
	size_t counts[SET_COUNT];

	compile_state_counts(state, counts);
	return counts[set];
}

/* Edits another source; what that came to. */
static struct compile_delta
advance_source(const char *name, const char *text)
{
	const struct str none = {NULL, 0};
	struct live_edit *e = live_edit_new(live);
	struct compile_change *changes;
	struct compile_delta delta;
	size_t count;

	ck_assert_int_eq(
	    live_read(e, str_from(name), text != NULL ? str_from(text) : none, &diags),
	    LIVE_READ);
	ck_assert(live_commit(e, arena, &diags, &changes, &count));
	compile_state_advance(
	    state, arena, live_model(live), changes, count, &diags, &delta);
	live_edit_free(e);
	live_sweep(live);
	return delta;
}

static struct compile_delta
advance(const char *text)
{
	return advance_source("edited", text);
}

/* The same, of what needs no compiling anew. */
static struct compile_delta
edit_source(const char *name, const char *text)
{
	struct compile_delta delta = advance_source(name, text);

	ck_assert(!delta.anew);
	check_content();
	return delta;
}

static struct compile_delta
edit(const char *text)
{
	return edit_source("edited", text);
}

START_TEST(what_others_are_held_to_is_no_new_program)
{
	load(BASE);
	ck_assert(edit(OTHER("10.1.0.2")).own);
	ck_assert(edit(OTHER("10.1.0.3")).own);
	/* Its labels matter to peers alone. */
	ck_assert(edit(WORKLOAD("other", "db", "n1", "10.1.0.3", "80")).own);
	ck_assert(edit(WORKLOAD("other", "db", "n2", "10.1.0.3", "80")).own);
	ck_assert(!edit(WORKLOAD("other", "web", "n2", "10.1.0.3", "80")).own);
	ck_assert(edit(OTHER("10.1.0.3")).own);
	ck_assert(edit(NULL).own);
}
END_TEST

START_TEST(what_nobody_else_is_held_to_is)
{
	load(BASE);
	/* What the port's name means there is a rule of its own. */
	ck_assert(!edit(WORKLOAD("other", "web", "n1", "10.1.0.2", "8080")).own);
	ck_assert(!compile_state_keeps(state));
}
END_TEST

START_TEST(the_first_and_the_last_of_a_family_are_no_new_program)
{
	load(BASE);
	ck_assert(edit(OTHER("10.1.0.2, \"fd00::2\"")).own);
	ck_assert_uint_eq(listed(SET_LOCAL6_IN), 1);
	ck_assert(edit(OTHER("\"fd00::3\"")).own);
	ck_assert(edit(OTHER("10.1.0.2")).own);
	ck_assert_uint_eq(listed(SET_LOCAL6_IN) + listed(SET_CELL6_IN_REST), 0);
	ck_assert(edit(NULL).own);
	ck_assert(!compile_state_keeps(state));
}
END_TEST

#define SOLO WORKLOAD("solo", "solo", "n1", "10.1.0.2", "80")
#define ALONE(port)                                                                    \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Policy\nmetadata: { name: alone, "  \
	"namespace: /a }\nspec: { workloads: { matchLabels: { app: solo } }, allow: "  \
	"{ ingress: [ { ports: [ " port " ], from: [ { workloads: { matchLabels: { "   \
	"app: lb } } } ] } ] } }\n"

/* Nothing of what it was held to is left, but that its like is held to that at once. */
START_TEST(what_the_last_was_held_to_is_kept_for_the_next)
{
	size_t governed, rules;

	load(BASE);
	edit_source("policy", ALONE("81/tcp"));
	governed = listed(SET_LOCAL4_IN);
	rules = listed(SET_RULES);
	ck_assert(!edit(SOLO).own);
	ck_assert_uint_gt(listed(SET_RULES), rules);
	ck_assert(!compile_state_keeps(state));
	ck_assert(edit(NULL).own);
	ck_assert(compile_state_keeps(state));
	ck_assert_uint_eq(listed(SET_LOCAL4_IN), governed);
	ck_assert_uint_eq(listed(SET_RULES), rules);
	ck_assert(edit(WORKLOAD("next", "solo", "n1", "10.1.0.3", "80")).own);
	ck_assert(!compile_state_keeps(state));
}
END_TEST

START_TEST(what_is_kept_goes_with_its_policy)
{
	static const char *const texts[] = {ALONE("82/tcp"), NULL};

	load(BASE);
	edit_source("policy", ALONE("81/tcp"));
	edit(SOLO);
	ck_assert(edit(NULL).own);
	ck_assert(compile_state_keeps(state));
	ck_assert(edit_source("policy", texts[_i]).local);
	ck_assert(!compile_state_keeps(state));
	edit(SOLO);
}
END_TEST

/* Of a rule whose port's name means nothing there no peers are known, whoever is held to it. */
START_TEST(a_name_that_means_nothing_here_tells_no_peers_apart)
{
	static const char *const metrics =
	    "apiVersion: ringfence.dev/v1alpha1\nkind: Policy\nmetadata: { name: m, "
	    "namespace: /a }\nspec: { workloads: { matchLabels: { app: solo } }, "
	    "mandatory: { ingress: [ { action: deny, ports: [ metrics ], from: [ { "
	    "workloads: { matchLabels: { app: lb } } } ] } ] } }\n---\n";

	load(arena_printf(arena, "%s%s%s", metrics, BASE,
	    WORKLOAD("lb", "lb", "n2", "10.2.0.1", "80")));
	ck_assert(edit(SOLO).own);
	ck_assert(edit(NULL).own);
}
END_TEST

/* Whom a policy of the root holds to the same, wherever they are. */
START_TEST(tenants_share_what_speaks_of_no_names)
{
#define ANYWHERE(name, ns, ip)                                                         \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Workload\nmetadata: { name: " name  \
	", namespace: " ns " }\nspec: { node: n1, ips: [ " ip " ] }\n---\n"
	load("apiVersion: ringfence.dev/v1alpha1\nkind: Policy\nmetadata: { name: all, "
	     "namespace: / }\nspec: { mandatory: { ingress: [ { action: deny, ports: [ "
	     "22/tcp ] } ] } }\n---\n" ANYWHERE("one", "/a", "10.1.0.1"));
	ck_assert(edit(ANYWHERE("two", "/b", "10.1.0.2")).own);
	ck_assert(edit(NULL).own);
}
END_TEST

START_TEST(an_address_is_its_first_owners)
{
	load(BASE);
	/* "before" comes first, so that "first" has no address left. */
	ck_assert(edit(WORKLOAD("before", "web", "n1", "10.1.0.1", "80")).own);
	ck_assert(edit(NULL).own);
}
END_TEST

#define NODE_OF(name, ip)                                                              \
	"apiVersion: v1\nkind: Node\nmetadata: { name: " name " }\nstatus: { "         \
	"addresses: [ { type: InternalIP, address: " ip " } ] }\n---\n"
#define NO_NODE(nodes)                                                                 \
	KIND("Policy",                                                                 \
	    "{ mandatory: { egress: [ { action: deny, to: [ { node: " nodes            \
	    " } ] }, { action: allow, to: [ { cidr: 172.17.0.0/24 } ] }, { action: "   \
	    "deny } ] } }")

static void
tell_own(const char *const *texts, size_t count, bool *out_empty)
{
	struct ip_addr addrs[4];
	struct compile_change *changes;
	struct compile_delta delta;
	size_t changed;

	for (size_t i = 0; i < count; i++)
		ck_assert(ip_parse(str_from(texts[i]), &addrs[i]));
	live_own(live, addrs, count, arena, &changes, &changed);
	compile_state_advance(
	    state, arena, live_model(live), changes, changed, &diags, &delta);
	ck_assert(!delta.anew && !delta.local);
	*out_empty = !compile_delta_has_elements(&delta);
	live_sweep(live);
	check_content();
}

/* What the table does with what the first workload sends there, which is what policy says. */
static bool
reaches(const char *addr)
{
	struct table_packet packet = {
	    .proto = PROTO_TCP, .dport = 9100, .hook = HOOK_INPUT};
	struct flow flow = {.proto = PROTO_TCP, .port = 9100};
	struct table_content content;
	bool allowed;

	ck_assert(ip_parse(STR("10.1.0.1"), &packet.saddr));
	ck_assert(ip_parse(str_from(addr), &packet.daddr));
	compile_state_content(state, arena, &content);
	allowed = table_walk(&content, &packet).accept;
	flow.src = endpoint_of_addr(live_model(live), packet.saddr);
	flow.dst = endpoint_of_addr(live_model(live), packet.daddr);
	ck_assert(
	    evaluate_direction(live_model(live), &flow, DIR_EGRESS).allow == allowed);
	return allowed;
}

START_TEST(addresses_of_the_node_itself_are_the_nodes)
{
	static const char *const nodes[] = {"{}", "n1"};
	static const char *const own[] = {"172.17.0.1", "fd00:ff::1"};
	bool empty;

	load(arena_printf(
	    arena, "%s%s", FIRST, _i == 0 ? NO_NODE("{}") : NO_NODE("n1")));
	ck_assert_msg(reaches("172.17.0.1"), "%s", nodes[_i]);
	tell_own(own, 2, &empty);
	ck_assert(!empty);
	ck_assert(!reaches("172.17.0.1"));
	ck_assert(reaches("172.17.0.2")); /* CIDRs stay exact */
	tell_own(own, 2, &empty);
	ck_assert(empty);
	/* Whether a document speaks of the node or not. */
	edit(NODE_OF("n1", "192.168.0.1"));
	ck_assert(!reaches("172.17.0.1") && !reaches("192.168.0.1"));
	/* A workload's stays the workload's, */
	edit(WORKLOAD("far", "db", "n2", "172.17.0.1", "80"));
	ck_assert(reaches("172.17.0.1"));
	tell_own(own, 0, &empty);
	tell_own(own, 1, &empty);
	ck_assert(reaches("172.17.0.1"));
	/* and what documents say is another node's stays that. */
	edit(NODE_OF("n2", "172.17.0.1"));
	ck_assert_int_eq(reaches("172.17.0.1"), _i == 1);
	edit(NULL);
	ck_assert(!reaches("172.17.0.1"));
	tell_own(own, 0, &empty);
	ck_assert(reaches("172.17.0.1"));
	check_content();
}
END_TEST

START_TEST(addresses_of_the_node_that_no_rule_asks_for_change_nothing)
{
	static const char *const own[] = {"172.17.0.1"};
	bool empty;

	load(BASE);
	tell_own(own, 1, &empty);
	ck_assert(empty);
	tell_own(own, 0, &empty);
	ck_assert(empty);
}
END_TEST

/* Whoever writes them could keep all else waiting. */
START_TEST(very_many_addresses_are_not_looked_for_one_by_one)
{
	struct buf text = {0};

	for (unsigned w = 0; w < 20; w++) {
		buf_printf(&text,
		    "apiVersion: ringfence.dev/v1alpha1\nkind: Workload\n"
		    "metadata: { name: o%u, namespace: /a }\nspec: { node: n1, "
		    "ports: [ { name: http, port: 80 } ], ips: [ 10.2.%u.0",
		    w, w);
		for (unsigned i = 1; i < 256; i++)
			buf_printf(&text, ", 10.2.%u.%u", w, i);
		buf_add_cstr(&text, " ] }\n---\n");
	}
	load(BASE);
	ck_assert(!edit(buf_str(&text).ptr).own);
	ck_assert(!edit(NULL).own);
	ck_assert(edit(OTHER("10.1.0.2")).own);
	buf_free(&text);
}
END_TEST

#define NODE(ip)                                                                       \
	"apiVersion: v1\nkind: Node\nmetadata: { name: n9 }\nstatus: { addresses: [ "  \
	"{ type: InternalIP, address: " ip " } ] }\n"

/* As long as there is one that has it; who would have it is found as its peer meanwhile. */
START_TEST(an_address_of_a_node_is_no_workloads)
{
	static const char *const from_nodes =
	    "apiVersion: ringfence.dev/v1alpha1\nkind: Policy\nmetadata: { name: "
	    "nodes, "
	    "namespace: / }\nspec: { mandatory: { ingress: [ { action: deny, from: [ { "
	    "node: {} } ] } ] } }\n---\n";
	size_t peers;

	load(arena_printf(arena, "%s%s%s", from_nodes, BASE, OTHER("10.1.0.2")));
	edit(NODE("10.1.0.7"));
	peers = listed(SET_LOCAL4_IN);
	edit(NODE("10.1.0.2"));
	ck_assert_uint_eq(listed(SET_LOCAL4_IN), peers - 1);
	edit(NODE("10.1.0.7"));
	ck_assert_uint_eq(listed(SET_LOCAL4_IN), peers);
	edit(NODE("10.1.0.1"));
	ck_assert_uint_eq(listed(SET_LOCAL4_IN), peers - 1);
	edit(NULL);
	ck_assert_uint_eq(listed(SET_LOCAL4_IN), peers);
}
END_TEST

START_TEST(the_first_and_the_last_of_all_are_not_alone)
{
	/* Without it, the node would not be known. */
	load(POLICY "apiVersion: ringfence.dev/v1alpha1\nkind: Workload\nmetadata: { "
		    "name: free, namespace: /b }\nspec: { node: n1, ips: [ 10.2.0.1 ] "
		    "}\n");
	ck_assert(!edit(OTHER("10.1.0.2")).own);
	ck_assert(!edit(NULL).own);
}
END_TEST

START_TEST(the_only_one_may_be_another)
{
	load(POLICY "apiVersion: ringfence.dev/v1alpha1\nkind: Workload\nmetadata: { "
		    "name: free, namespace: /b }\nspec: { node: n1, ips: [ 10.2.0.1 ] "
		    "}\n");
	ck_assert(!edit(OTHER("10.1.0.2")).own);
	ck_assert(edit(OTHER("10.1.0.3")).own);
	ck_assert(edit(WORKLOAD("another", "web", "n1", "10.1.0.4", "80")).own);
	/* At once the first of those whom it is to let in; then none is. */
	ck_assert(edit(WORKLOAD("another", "db", "n1", "10.1.0.5", "80")).own);
	ck_assert(edit(WORKLOAD("another", "web", "n1", "10.1.0.6", "80")).own);
	ck_assert(!edit(NULL).own);
}
END_TEST

START_TEST(who_is_here_is_asked_by_routes_and_quotas)
{
	static const char *const askers[] = {
	    KIND("Route", "{ default: { egress: [ { action: deny } ] } }"),
	    KIND("Quota", "{ network: { connections: 3 } }")};

	load(arena_printf(arena, "%s%s", BASE, askers[_i]));
	ck_assert(!edit(OTHER("10.1.0.2")).own);
	ck_assert(!edit(NULL).own);
}
END_TEST

/* ---- what is too large ---- */

/* So many rules, each of a peer of its own and so many ports. */
static const char *
rules(unsigned count, unsigned ports)
{
	struct buf listed_ports = {0}, text = {0};
	const char *copy;

	for (unsigned i = 0; i < ports; i++)
		buf_add_cstr(&listed_ports, arena_printf(arena, "%u/tcp, ", 2 * i + 1));
	buf_add_cstr(&text,
	    "apiVersion: ringfence.dev/v1alpha1\nkind: Policy\nmetadata: { name: "
	    "large, namespace: /a }\nspec: { allow: { ingress: [\n");
	for (unsigned i = 0; i < count; i++) {
		buf_add_cstr(
		    &text, arena_printf(arena,
			       "{ from: [ { cidr: 11.%u.%u.%u/32 } ], ports: [ ",
			       i >> 16, i >> 8 & UINT8_MAX, i & UINT8_MAX));
		buf_add_str(&text, buf_str(&listed_ports));
		buf_add_cstr(&text, "1/udp ] },\n");
	}
	buf_add_cstr(&text, "] } }\n---\n" FIRST);
	copy = arena_strndup(arena, text.data, text.len);
	buf_free(&listed_ports);
	buf_free(&text);
	return copy;
}

/* Nothing else goes on meanwhile: it may not take seconds, whether of elements or of rules. */
START_TEST(a_very_large_program_is_compiled_beside_everything_else)
{
	static const struct {
		unsigned rules, ports;
		bool anew;
	} sizes[] = {{10, 500, false}, {520, 500, true}, {84000, 0, true}};
	struct compile_delta delta;

	load(rules(sizes[_i].rules, sizes[_i].ports));
	delta = advance(POLICY);
	ck_assert(delta.anew == sizes[_i].anew);
	ck_assert(!delta.anew || !compile_delta_has_elements(&delta));
	ck_assert(delta.local != sizes[_i].anew);
}
END_TEST

/* ---- via ---- */

#define VIA                                                                            \
	KIND("Route",                                                                  \
	    "{ default: { via: [ { action: through, through: { workloads: { "          \
	    "matchLabels: { app: fw } } }, to: [ { workloads: { matchLabels: { app: "  \
	    "db } } } ], from: [ { workloads: { matchLabels: { app: web } } } ] } ] "  \
	    "} }")                                                                     \
	POLICY FIRST WORKLOAD("wall", "fw", "n1", "10.1.0.8", "80")                    \
	    WORKLOAD("data", "db", "n1", "10.1.0.9", "80")

START_TEST(via_is_compiled_again_for_whom_it_is_about)
{
	static const char *const apps[] = {"web", "db", "fw"};

	load(VIA);
	for (size_t i = 0; i < ARRAY_LEN(apps); i++) {
		const char *text = arena_printf(arena,
		    "apiVersion: ringfence.dev/v1alpha1\nkind: Workload\nmetadata: { "
		    "name: o, namespace: /a, labels: { app: %s } }\nspec: { node: n1, "
		    "ips: [ 10.1.0.20 ] }\n",
		    apps[i]);

		ck_assert(edit(text).via);
		ck_assert(edit(NULL).via);
	}
}
END_TEST

START_TEST(via_stays_when_others_change)
{
	static const char *const elsewhere =
	    "apiVersion: ringfence.dev/v1alpha1\nkind: Workload\nmetadata: { name: o, "
	    "namespace: /b, labels: { app: web } }\nspec: { node: n1, ips: [ 10.1.0.20 "
	    "] }\n";
	struct compile_delta delta;

	load(VIA);
	delta = edit(elsewhere);
	ck_assert(delta.local && !delta.via);
	delta = edit(
	    "apiVersion: ringfence.dev/v1alpha1\nkind: Policy\nmetadata: { name: o, "
	    "namespace: /a }\nspec: { workloads: { matchLabels: { app: fw } }, allow: "
	    "{ "
	    "egress: [] } }\n");
	ck_assert(delta.local && !delta.via);
	ck_assert(!edit(NULL).via);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("live, own");
	TCase *tcase = tcase_create("edits");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, what_others_are_held_to_is_no_new_program);
	tcase_add_test(tcase, what_nobody_else_is_held_to_is);
	tcase_add_test(tcase, the_first_and_the_last_of_a_family_are_no_new_program);
	tcase_add_test(tcase, what_the_last_was_held_to_is_kept_for_the_next);
	tcase_add_loop_test(tcase, what_is_kept_goes_with_its_policy, 0, 2);
	tcase_add_test(tcase, a_name_that_means_nothing_here_tells_no_peers_apart);
	tcase_add_test(tcase, tenants_share_what_speaks_of_no_names);
	tcase_add_test(tcase, an_address_is_its_first_owners);
	tcase_add_loop_test(tcase, addresses_of_the_node_itself_are_the_nodes, 0, 2);
	tcase_add_test(
	    tcase, addresses_of_the_node_that_no_rule_asks_for_change_nothing);
	tcase_add_test(tcase, very_many_addresses_are_not_looked_for_one_by_one);
	tcase_add_test(tcase, an_address_of_a_node_is_no_workloads);
	tcase_add_test(tcase, the_first_and_the_last_of_all_are_not_alone);
	tcase_add_test(tcase, the_only_one_may_be_another);
	tcase_add_loop_test(tcase, who_is_here_is_asked_by_routes_and_quotas, 0, 2);
	tcase_add_loop_test(
	    tcase, a_very_large_program_is_compiled_beside_everything_else, 0, 3);
	tcase_add_test(tcase, via_is_compiled_again_for_whom_it_is_about);
	tcase_add_test(tcase, via_stays_when_others_change);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
