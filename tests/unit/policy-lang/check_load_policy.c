/* The native Policy, ExternalNetworks, and what a peer may say. */
#include "load_fixture.h"

#define NATIVE "apiVersion: ringfence.dev/v1alpha1\n"

/* Lines 1 to 10; the policy's spec is on line 14. */
#define TREE                                                                           \
	NATIVE "kind: Namespace\nmetadata: {name: /acme/shop/prod}\n---\n" NATIVE      \
	       "kind: Namespace\nmetadata: {name: /ops/mon}\n---\n# 9\n# 10\n"
#define POLICY(spec)                                                                   \
	TREE NATIVE                                                                    \
	    "kind: Policy\nmetadata: {name: p, namespace: /acme/shop}\nspec: " spec    \
	    "\n"
#define SPEC_LINE  14
#define RULE(rule) POLICY("{allow: {ingress: [" rule "]}}")
#define PEER(peer) RULE("{from: [" peer "]}")
#define PORT(port) RULE("{ports: [" port "]}")

static const struct rule *
only_rule(struct loaded *l)
{
	const struct rule_list *list = &find_policy(l, "p")->allow[DIR_INGRESS];

	ck_assert_uint_eq(list->count, 1);
	return &list->rules[0];
}

START_TEST(policy_is_read_whole)
{
	struct loaded *l = load_ok(POLICY(
	    "{priority: 7, workloads: {matchLabels: {tier: web}},"
	    " mandatory: {egress: [{name: no-metadata, action: deny,"
	    "  to: [{cidr: 169.254.169.254/32}]}, {action: pass}]},"
	    " allow: {ingress: [{from: [{workloads: {matchLabels: {tier: lb}}}],"
	    "  ports: [443/tcp, 8000-8080/tcp, metrics]}, {action: allow}]},"
	    " default: {ingress: [{action: deny}], egress: [{action: allow}]}}"));
	const struct policy *p = find_policy(l, "p");
	const struct rule *r;

	ck_assert_ptr_null(l->diags.first);
	ck_assert_int_eq(p->kind, POLICY_NATIVE);
	ck_assert_int_eq(p->priority, 7);
	assert_str(p->level->path, "/acme/shop");
	assert_str(p->namespace_text, "/acme/shop");
	ck_assert_ptr_eq(p->subject.subtree, p->level);
	ck_assert_ptr_null(p->subject.kube);
	ck_assert_uint_eq(p->subject.selector->count, 1);
	ck_assert(p->isolates[DIR_INGRESS] && !p->isolates[DIR_EGRESS]);
	ck_assert_uint_eq(p->mandatory[DIR_INGRESS].count, 0);
	ck_assert_uint_eq(p->mandatory[DIR_EGRESS].count, 2);
	r = &p->mandatory[DIR_EGRESS].rules[0];
	assert_str(r->name, "no-metadata");
	ck_assert_int_eq(r->action, ACTION_DENY);
	ck_assert_int_eq(r->phase, PHASE_MANDATORY);
	ck_assert_int_eq(r->dir, DIR_EGRESS);
	ck_assert(r->peers[0].by_address && r->any_port);
	ck_assert_ptr_eq(r->policy, p);
	ck_assert_int_eq(r[1].action, ACTION_PASS);
	ck_assert_uint_eq(r[1].index, 1);
	ck_assert_int_eq(p->allow[DIR_INGRESS].rules[1].action, ACTION_ALLOW);
	ck_assert_int_eq(p->defaults[DIR_INGRESS].rules[0].action, ACTION_DENY);
	ck_assert_int_eq(p->defaults[DIR_EGRESS].rules[0].action, ACTION_ALLOW);
	ck_assert_int_eq(p->defaults[DIR_EGRESS].rules[0].phase, PHASE_DEFAULT);
	loaded_free(l);
}
END_TEST

static const struct {
	const char *allow;
	bool ingress, egress;
} isolation_rows[] = {
    {"{}", false, false},
    {"null", false, false},
    {"{ingress: []}", true, false},
    {"{ingress: null}", false, false},
    {"{ingress: null, egress: []}", false, true},
    {"{ingress: [{}], egress: [{}]}", true, true},
};

START_TEST(allow_block_isolates_in_the_directions_named)
{
	struct arena *a = arena_new();
	struct loaded *l =
	    load_ok(arena_printf(a, POLICY("{allow: %s}"), isolation_rows[_i].allow));
	const struct policy *p = find_policy(l, "p");

	ck_assert_int_eq(p->isolates[DIR_INGRESS], isolation_rows[_i].ingress);
	ck_assert_int_eq(p->isolates[DIR_EGRESS], isolation_rows[_i].egress);
	loaded_free(l);
	arena_free(a);
}
END_TEST

START_TEST(empty_list_of_peers_is_everyone)
{
	static const char *const rules[] = {
	    "{}", "{from: []}", "{from: null, ports: []}"};

	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		struct arena *a = arena_new();
		struct loaded *l = load_ok(arena_printf(a, RULE("%s"), rules[i]));

		ck_assert(only_rule(l)->any_peer && only_rule(l)->any_port);
		loaded_free(l);
		arena_free(a);
	}
}
END_TEST

/* ---- whom a peer of workloads may be in ---- */

static const struct {
	const char *peer;
	const char *subtree; /* NULL: anywhere */
	bool selector, ns_selector;
	const char *account;
} scope_rows[] = {
    {"{workloads: {}}", "/acme/shop", true, false, NULL},
    {"{serviceAccount: sa}", "/acme/shop", false, false, "sa"},
    {"{namespace: /ops/mon}", "/ops/mon", false, false, NULL},
    {"{namespace: /ops/mon, workloads: {matchLabels: {a: b}}}", "/ops/mon", true, false,
	NULL},
    {"{namespace: .}", "/acme/shop", false, false, NULL},
    {"{namespace: ..}", "/acme", false, false, NULL},
    {"{namespace: ../..}", "/", false, false, NULL},
    {"{namespace: ../shop/prod}", "/acme/shop/prod", false, false, NULL},
    {"{namespace: ./prod}", "/acme/shop/prod", false, false, NULL},
    {"{namespace: /}", "/", false, false, NULL},
    {"{namespaces: {}}", NULL, false, true, NULL},
    {"{namespaces: {}, workloads: {}, serviceAccount: sa}", NULL, true, true, "sa"},
    {"{namespaces: {}, namespace: /ops/mon}", "/ops/mon", false, true, NULL},
};

START_TEST(peer_is_scoped_by_what_it_names)
{
	struct arena *a = arena_new();
	struct loaded *l = load_ok(arena_printf(a, PEER("%s"), scope_rows[_i].peer));
	const struct peer *p = only_rule(l)->peers;

	ck_assert_ptr_null(l->diags.first);
	ck_assert_int_eq(p->kind, PEER_WORKLOADS);
	if (scope_rows[_i].subtree == NULL)
		ck_assert_ptr_null(p->workloads.subtree);
	else
		assert_str(p->workloads.subtree->path, scope_rows[_i].subtree);
	ck_assert_int_eq(p->workloads.selector != NULL, scope_rows[_i].selector);
	ck_assert_int_eq(p->workloads.ns_selector != NULL, scope_rows[_i].ns_selector);
	if (scope_rows[_i].account == NULL)
		ck_assert_ptr_null(p->workloads.service_account.ptr);
	else
		assert_str(p->workloads.service_account, scope_rows[_i].account);
	loaded_free(l);
	arena_free(a);
}
END_TEST

START_TEST(other_peers_are_what_they_name)
{
	struct loaded *l = load_ok(
	    PEER("{cidr: 10.0.0.0/8, except: [10.1.0.0/16]}, {fqdn: '*.example.org'},"
		 " {node: worker-1}, {node: {matchLabels: {zone: a}}}, {node: {}}"));
	const struct peer *p = only_rule(l)->peers;

	ck_assert_uint_eq(only_rule(l)->peer_count, 5);
	ck_assert_int_eq(p[0].kind, PEER_NETWORK);
	ck_assert(p[0].by_address);
	ck_assert_uint_eq(p[0].except_count, 1);
	ck_assert_int_eq(p[1].kind, PEER_FQDN);
	assert_str(p[1].fqdns[0], "*.example.org");
	ck_assert_int_eq(p[2].kind, PEER_NODES);
	assert_str(p[2].node_name, "worker-1");
	ck_assert_ptr_null(p[3].node_name.ptr);
	ck_assert_uint_eq(p[3].node_selector->count, 1);
	ck_assert_uint_eq(p[4].node_selector->count, 0);
	loaded_free(l);
}
END_TEST

/* ---- external networks ---- */

#define EXTERNAL(ns, spec)                                                             \
	"---\n" NATIVE "kind: ExternalNetwork\nmetadata: {name: card, namespace: " ns  \
	"}\nspec: " spec "\n"

START_TEST(external_is_the_nearest_upwards)
{
	struct loaded *l =
	    load_ok(PEER("{external: card}") EXTERNAL("/", "{cidrs: [192.0.2.0/24]}")
		    EXTERNAL("/acme", "{cidrs: [198.51.100.0/24, 'fd00::/8'],"
				      " fqdns: [api.cards.example]}")
			EXTERNAL("/acme/shop/prod", "{cidrs: [203.0.113.0/24]}")
			    EXTERNAL("/ops", "{cidrs: [203.0.113.0/24]}"));
	const struct peer *p = only_rule(l)->peers;
	char text[IP_TEXT_BYTES];

	ck_assert_int_eq(p->kind, PEER_NETWORK);
	ck_assert(p->by_address);
	ck_assert_uint_eq(p->prefix_count, 2);
	ck_assert_str_eq(ip_prefix_format(&p->prefixes[0], text), "198.51.100.0/24");
	ck_assert_uint_eq(p->fqdn_count, 1);
	ck_assert_uint_eq(l->m->external_count, 4);
	assert_str(l->m->externals[0]->ns->path, "/");
	assert_str(l->m->externals[3]->ns->path, "/ops");
	loaded_free(l);
}
END_TEST

START_TEST(external_of_names_alone_is_names)
{
	struct loaded *l =
	    load_ok(PEER("{external: card}") EXTERNAL("/acme", "{fqdns: [a.example]}"));

	ck_assert_int_eq(only_rule(l)->peers[0].kind, PEER_FQDN);
	loaded_free(l);
}
END_TEST

START_TEST(external_that_is_not_visible_is_refused)
{
	struct loaded *l =
	    load(PEER("{external: crad}") EXTERNAL("/acme", "{cidrs: [192.0.2.0/24]}"));
	const struct diag *d = loaded_find(l, "unknown-external");

	ck_assert(!l->ok);
	ck_assert_str_eq(d->hint, "did you mean \"card\"?");
	ck_assert_uint_eq(d->loc.line, SPEC_LINE);
	loaded_free(l);
	assert_refused(PEER("{external: card}")
			   EXTERNAL("/ops", "{cidrs: [192.0.2.0/24]}"),
	    "unknown-external", SPEC_LINE);
	assert_refused(PEER("{external: card}")
			   EXTERNAL("/acme/shop/prod", "{cidrs: [192.0.2.0/24]}"),
	    "unknown-external", SPEC_LINE);
}
END_TEST

/* ---- ports ---- */

static const struct {
	const char *port;
	enum port_match_kind kind;
	uint8_t proto;
	uint16_t lo, hi;
} port_rows[] = {
    {"443/tcp", PORT_NUMBERS, PROTO_TCP, 443, 443},
    {"443/TCP", PORT_NUMBERS, PROTO_TCP, 443, 443},
    {"53/udp", PORT_NUMBERS, PROTO_UDP, 53, 53},
    {"9/sctp", PORT_NUMBERS, PROTO_SCTP, 9, 9},
    {"8000-8080/tcp", PORT_NUMBERS, PROTO_TCP, 8000, 8080},
    {"1-65535/udp", PORT_NUMBERS, PROTO_UDP, 1, 65535},
    {"80-80/tcp", PORT_NUMBERS, PROTO_TCP, 80, 80},
    {"tcp", PORT_NUMBERS, PROTO_TCP, 0, 65535},
    {"udp", PORT_NUMBERS, PROTO_UDP, 0, 65535},
    {"icmp", PORT_NUMBERS, PROTO_ICMP, 0, 65535},
    {"icmpv6", PORT_NUMBERS, PROTO_ICMPV6, 0, 65535},
    {"metrics", PORT_NAMED, PROTO_ANY, 0, 0},
    {"metrics/udp", PORT_NAMED, PROTO_UDP, 0, 0},
};

START_TEST(ports_have_their_grammar)
{
	struct arena *a = arena_new();
	struct loaded *l = load_ok(arena_printf(a, PORT("%s"), port_rows[_i].port));
	const struct port_match *p = only_rule(l)->ports;

	ck_assert_int_eq(p->kind, port_rows[_i].kind);
	ck_assert_uint_eq(p->proto, port_rows[_i].proto);
	ck_assert_uint_eq(p->lo, port_rows[_i].lo);
	ck_assert_uint_eq(p->hi, port_rows[_i].hi);
	if (p->kind == PORT_NAMED)
		assert_str(p->name, "metrics");
	loaded_free(l);
	arena_free(a);
}
END_TEST

/* ---- mistakes ---- */

static const struct {
	const char *text;
	const char *code;
} bad_rows[] = {
    {POLICY("[]"), "wrong-type"},
    {POLICY("{workload: {}}"), "unknown-field"},
    {POLICY("{ingress: []}"), "unknown-field"},
    {POLICY("{podSelector: {}}"), "unknown-field"},
    {POLICY("{priority: high}"), "wrong-type"},
    {POLICY("{priority: 99999999999}"), "bad-value"},
    {POLICY("{mandatory: []}"), "wrong-type"},
    {POLICY("{mandatory: {inbound: []}}"), "unknown-field"},
    {POLICY("{mandatory: {ingress: [{}]}}"), "missing-field"},
    {POLICY("{default: {ingress: [{from: []}]}}"), "missing-field"},
    {POLICY("{mandatory: {ingress: [{action: Allow}]}}"), "bad-value"},
    {POLICY("{mandatory: {ingress: [{action: drop}]}}"), "bad-value"},
    {POLICY("{mandatory: {ingress: [null]}}"), "wrong-type"},
    {POLICY("{mandatory: {ingress: [{action: deny, name: \"a\\nallow: b\"}]}}"),
	"bad-name"},
    {RULE("{action: deny}"), "allow-action"},
    {RULE("{action: pass}"), "allow-action"},
    {RULE("{to: []}"), "unknown-field"},
    {RULE("{from: {}}"), "wrong-type"},
    {PEER("{}"), "empty-peer"},
    {PEER("null"), "wrong-type"},
    {PEER("{podSelector: {}}"), "unknown-field"},
    {PEER("{workloads: {app: web}}"), "unknown-field"},
    {PEER("{workloads: {}, cidr: 10.0.0.0/8}"), "mixed-peer"},
    {PEER("{cidr: 10.0.0.0/8, external: x}"), "mixed-peer"},
    {PEER("{namespace: /acme, node: a}"), "mixed-peer"},
    {PEER("{fqdn: a.example, serviceAccount: a}"), "mixed-peer"},
    {PEER("{except: [10.0.0.0/8]}"), "missing-field"},
    {PEER("{cidr: 10.0.0.0}"), "bad-cidr"},
    {PEER("{cidr: 010.0.0.0/8}"), "bad-cidr"},
    {PEER("{cidr: 10.0.0.0/8, except: [10.0.0.0/8]}"), "bad-except"},
    {PEER("{cidr: 10.0.0.0/8, except: ['fd00::/8']}"), "bad-except"},
    {PEER("{fqdn: localhost}"), "bad-name"},
    {PEER("{fqdn: '*'}"), "bad-name"},
    {PEER("{fqdn: a.*.example}"), "bad-name"},
    {PEER("{node: Worker}"), "bad-name"},
    {PEER("{node: 5}"), "wrong-type"},
    {PEER("{serviceAccount: a b}"), "bad-name"},
    {PEER("{namespace: ../../..}"), "bad-path"},
    {PEER("{namespace: ../../../x}"), "bad-path"},
    {PEER("{namespace: acme}"), "bad-path"},
    {PEER("{namespace: /acme/}"), "bad-path"},
    {PEER("{namespace: .../x}"), "bad-path"},
    {PEER("{namespace: ''}"), "bad-path"},
    {PEER("{namespace: 5}"), "wrong-type"},
    {PORT("443"), "bad-port"},
    {PORT("'443'"), "bad-port"},
    {PORT("0/tcp"), "bad-port"},
    {PORT("65536/tcp"), "bad-port"},
    {PORT("80-79/tcp"), "bad-port"},
    {PORT("80-/tcp"), "bad-port"},
    {PORT("-80/tcp"), "bad-port"},
    {PORT("80/http"), "bad-port"},
    {PORT("80/"), "bad-port"},
    {PORT("/tcp"), "bad-port"},
    {PORT("80/icmp"), "bad-port"},
    {PORT("Metrics"), "bad-port"},
    {PORT("any"
	  "-port-name-that-is-long"),
	"bad-port"},
    {PORT("{port: 80}"), "wrong-type"},
};

START_TEST(mistake_is_refused_at_its_line)
{
	assert_refused(bad_rows[_i].text, bad_rows[_i].code, SPEC_LINE);
}
END_TEST

#define META(m) NATIVE "kind: Policy\nmetadata: " m "\nspec: {}\n"

START_TEST(policy_needs_a_namespace)
{
	assert_refused(META("{name: p}"), "missing-field", 3);
	assert_refused(META("{name: p, namespace: null}"), "missing-field", 3);
	assert_refused(META("{name: p, namespace: A}"), "bad-name", 3);
	assert_refused(META("{name: p, namespace: /..}"), "bad-path", 3);
	assert_refused(META("{name: /p, namespace: /}"), "bad-name", 3);
	assert_refused(META("{name: p_q, namespace: /}"), "bad-name", 3);
	assert_refused(
	    META("{name: p, namespace: /}") "---\n" META("{name: p, namespace: /}"),
	    "duplicate-object", 8);
	assert_refused(NATIVE "kind: Policy\nmetadata: {name: p, namespace: /}\n",
	    "missing-field", 3);
	assert_clean(META("{name: p, namespace: /}"));
}
END_TEST

START_TEST(bad_external_network_is_refused)
{
#define NET(spec)                                                                      \
	TREE NATIVE "kind: ExternalNetwork\nmetadata: {name: e, namespace: /}\n" spec
	assert_refused(NET("spec: {cidr: 10.0.0.0/8}\n"), "unknown-field", SPEC_LINE);
	assert_refused(NET("spec: {cidrs: [10.0.0.0]}\n"), "bad-cidr", SPEC_LINE);
	assert_refused(NET("spec: {fqdns: [localhost]}\n"), "bad-value", SPEC_LINE);
	assert_refused(NET(""), "missing-field", 13);
	assert_warned(NET("spec: {}\n"), "empty-external", SPEC_LINE);
	assert_warned(NET("spec: {cidrs: [10.0.0.1/8]}\n"), "loose-cidr", SPEC_LINE);
}
END_TEST

/* ---- warnings, failing closed ---- */

START_TEST(unknown_names_are_warned_of)
{
	assert_warned(PEER("{namespace: /ops/man}"), "unknown-namespace", SPEC_LINE);
	assert_warned(PEER("{node: worker-2}") "---\n" NATIVE "kind: Workload\n"
					       "metadata: {name: w, namespace: /}\n"
					       "spec: {node: worker-1}\n",
	    "unknown-node", SPEC_LINE);
	assert_clean(PEER("{node: worker-2}"));
}
END_TEST

START_TEST(rule_that_is_not_understood_fails_closed)
{
	struct loaded *l =
	    load(POLICY("{mandatory: {ingress: [{action: allow, from: [{bogus: 1}]},"
			" {action: pass, bogus: 1, from: [{cidr: 10.0.0.0/8}]},"
			" {action: deny, ports: [bad/port]}, {action: bogus},"
			" {action: allow, from: [{cidr: 10.0.0.0/8}]}]}}"));
	const struct rule *r = find_policy(l, "p")->mandatory[DIR_INGRESS].rules;

	ck_assert(!l->ok);
	ck_assert_int_eq(r[0].action, ACTION_ALLOW);
	ck_assert(!r[0].any_peer && r[0].peer_count == 0);
	for (int i = 1; i <= 3; i++) {
		ck_assert_int_eq(r[i].action, ACTION_DENY);
		ck_assert(r[i].any_peer && r[i].any_port);
	}
	ck_assert_uint_eq(r[4].peer_count, 1);
	loaded_free(l);
}
END_TEST

START_TEST(policy_that_is_not_understood_allows_nothing)
{
	struct loaded *l = load(POLICY("{newField: 1, mandatory: {ingress:"
				       " [{action: allow}, {action: deny,"
				       " from: [{cidr: 10.0.0.0/8}]}]}}"));
	const struct rule *r = find_policy(l, "p")->mandatory[DIR_INGRESS].rules;

	ck_assert(!l->ok);
	ck_assert(!r[0].any_peer && r[0].peer_count == 0);
	ck_assert_uint_eq(r[1].peer_count, 1);
	loaded_free(l);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("load_policy");
	TCase *tc = tcase_create("load_policy");

#define LOOP(test, rows) tcase_add_loop_test(tc, test, 0, (int)ARRAY_LEN(rows))
	tcase_add_test(tc, policy_is_read_whole);
	LOOP(allow_block_isolates_in_the_directions_named, isolation_rows);
	tcase_add_test(tc, empty_list_of_peers_is_everyone);
	LOOP(peer_is_scoped_by_what_it_names, scope_rows);
	tcase_add_test(tc, other_peers_are_what_they_name);
	tcase_add_test(tc, external_is_the_nearest_upwards);
	tcase_add_test(tc, external_of_names_alone_is_names);
	tcase_add_test(tc, external_that_is_not_visible_is_refused);
	LOOP(ports_have_their_grammar, port_rows);
	LOOP(mistake_is_refused_at_its_line, bad_rows);
	tcase_add_test(tc, policy_needs_a_namespace);
	tcase_add_test(tc, bad_external_network_is_refused);
	tcase_add_test(tc, unknown_names_are_warned_of);
	tcase_add_test(tc, rule_that_is_not_understood_fails_closed);
	tcase_add_test(tc, policy_that_is_not_understood_allows_nothing);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
