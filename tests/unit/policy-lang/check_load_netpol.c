/* NetworkPolicy: the readings of null, absent and empty; ports; blocks; mistakes. */
#include "load_fixture.h"

/* Line 4 is the spec. */
#define NP(spec)                                                                       \
	"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"                      \
	"metadata: {name: p, namespace: shop}\nspec: " spec "\n"

static const struct policy *
policy_of(struct loaded *l)
{
	return find_policy(l, "p");
}

/* ---- isolation (traps 7, 10, 11) ---- */

static const struct {
	const char *spec;
	bool ingress, egress;               /* isolated */
	size_t ingress_rules, egress_rules; /* in force */
} isolation_rows[] = {
    {"{}", true, false, 0, 0},
    {"{ingress: []}", true, false, 0, 0},
    {"{ingress: null}", true, false, 0, 0},
    {"{ingress: [{}]}", true, false, 1, 0},
    {"{egress: []}", true, false, 0, 0},
    {"{egress: [{}]}", true, true, 0, 1},
    {"{policyTypes: []}", true, false, 0, 0},
    {"{policyTypes: null, egress: [{}]}", true, true, 0, 1},
    {"{policyTypes: [Egress]}", false, true, 0, 0},
    {"{policyTypes: [Ingress], egress: [{}]}", true, false, 0, 0},
    {"{policyTypes: [Egress], ingress: [{}]}", false, true, 0, 0},
    {"{policyTypes: [Ingress, Ingress]}", true, false, 0, 0},
    {"{policyTypes: [Egress, Ingress]}", true, true, 0, 0},
    {"null", true, false, 0, 0},
};

START_TEST(isolation_follows_policy_types_and_rules)
{
	struct arena *a = arena_new();
	struct loaded *l = load_ok(arena_printf(a, NP("%s"), isolation_rows[_i].spec));
	const struct policy *p = policy_of(l);

	ck_assert_int_eq(p->isolates[DIR_INGRESS], isolation_rows[_i].ingress);
	ck_assert_int_eq(p->isolates[DIR_EGRESS], isolation_rows[_i].egress);
	ck_assert_uint_eq(
	    p->allow[DIR_INGRESS].count, isolation_rows[_i].ingress_rules);
	ck_assert_uint_eq(p->allow[DIR_EGRESS].count, isolation_rows[_i].egress_rules);
	for (unsigned dir = 0; dir < DIRECTION_COUNT; dir++)
		ck_assert_int_eq(p->isolates[dir], p->isolate_number[dir] != 0);
	loaded_free(l);
	arena_free(a);
}
END_TEST

/* ---- subject and peers (traps 1, 3, 4, 8) ---- */

START_TEST(subject_is_in_its_own_kubernetes_namespace)
{
	struct loaded *l =
	    load_ok("apiVersion: ringfence.dev/v1alpha1\nkind: Namespace\n"
		    "metadata: {name: /acme/shop}\n"
		    "spec: {kubernetes: {namespaces: [shop]}}\n---\n" NP(
			"{podSelector: {matchLabels: {app: web}}}"));
	const struct policy *p = policy_of(l);

	ck_assert_int_eq(p->kind, POLICY_NETWORK_POLICY);
	assert_str(p->level->path, "/acme/shop");
	assert_str(p->namespace_text, "shop");
	assert_str(p->subject.kube->name, "shop");
	ck_assert_ptr_eq(p->subject.subtree, p->level);
	ck_assert_uint_eq(p->subject.selector->count, 1);
	ck_assert_ptr_eq(p->level->policies[0], p);
	loaded_free(l);
}
END_TEST

START_TEST(absent_subject_selector_is_everyone)
{
	struct loaded *l = load_ok(NP("{ingress: []}"));

	ck_assert(policy_of(l)->subject.selector == NULL ||
		  policy_of(l)->subject.selector->count == 0);
	ck_assert_ptr_null(l->diags.first);
	loaded_free(l);
	assert_warned(NP("{podSelector: null}"), "null-selector", 4);
	assert_warned(NP("\n  podSelector:\n  ingress: []"), "null-selector", 5);
}
END_TEST

START_TEST(peers_scope_their_selectors)
{
	struct loaded *l = load_ok(NP(
	    "{ingress: [{from: ["
	    "{podSelector: {}}, {namespaceSelector: {}},"
	    "{podSelector: {matchLabels: {a: b}}, namespaceSelector: "
	    "{matchLabels: {c: d}}}, {podSelector: {}, namespaceSelector: null}]}]}"));
	const struct rule *r = &policy_of(l)->allow[DIR_INGRESS].rules[0];

	ck_assert_uint_eq(r->peer_count, 4);
	for (size_t i = 0; i < 4; i++)
		ck_assert_int_eq(r->peers[i].kind, PEER_WORKLOADS);
	assert_str(r->peers[0].workloads.kube->name, "shop");
	ck_assert_ptr_null(r->peers[0].workloads.ns_selector);
	ck_assert_ptr_null(r->peers[1].workloads.kube);
	ck_assert_uint_eq(r->peers[1].workloads.ns_selector->count, 0);
	ck_assert_ptr_null(r->peers[1].workloads.selector);
	ck_assert_ptr_null(r->peers[2].workloads.kube);
	ck_assert_uint_eq(r->peers[2].workloads.ns_selector->count, 1);
	ck_assert_uint_eq(r->peers[2].workloads.selector->count, 1);
	assert_str(r->peers[3].workloads.kube->name, "shop");
	loaded_free(l);
}
END_TEST

static const struct {
	const char *rule;
	bool any_peer, any_port;
} any_rows[] = {
    {"{}", true, true},
    {"null", true, true},
    {"{from: [], ports: []}", true, true},
    {"{from: null, ports: null}", true, true},
    {"{from: [{podSelector: {}}]}", false, true},
    {"{ports: [{}]}", true, false},
};

START_TEST(absent_and_empty_mean_everyone_and_everything)
{
	struct arena *a = arena_new();
	struct loaded *l =
	    load_ok(arena_printf(a, NP("{ingress: [%s]}"), any_rows[_i].rule));
	const struct rule *r = &policy_of(l)->allow[DIR_INGRESS].rules[0];

	ck_assert_int_eq(r->any_peer, any_rows[_i].any_peer);
	ck_assert_int_eq(r->any_port, any_rows[_i].any_port);
	ck_assert_int_eq(r->action, ACTION_ALLOW);
	loaded_free(l);
	arena_free(a);
}
END_TEST

/* ---- ports (traps 9, 13 to 17) ---- */

static const struct {
	const char *port;
	enum port_match_kind kind;
	uint8_t proto;
	uint16_t lo, hi;
} port_rows[] = {
    {"{}", PORT_NUMBERS, PROTO_TCP, 0, 65535},
    {"null", PORT_NUMBERS, PROTO_TCP, 0, 65535},
    {"{port: null}", PORT_NUMBERS, PROTO_TCP, 0, 65535},
    {"{protocol: UDP}", PORT_NUMBERS, PROTO_UDP, 0, 65535},
    {"{protocol: SCTP, port: 9}", PORT_NUMBERS, PROTO_SCTP, 9, 9},
    {"{port: 80}", PORT_NUMBERS, PROTO_TCP, 80, 80},
    {"{port: 80, endPort: 80}", PORT_NUMBERS, PROTO_TCP, 80, 80},
    {"{port: 1, endPort: 65535}", PORT_NUMBERS, PROTO_TCP, 1, 65535},
    {"{port: http}", PORT_NAMED, PROTO_TCP, 0, 0},
    {"{port: dns, protocol: UDP}", PORT_NAMED, PROTO_UDP, 0, 0},
};

START_TEST(ports_are_read_as_the_api_reads_them)
{
	struct arena *a = arena_new();
	struct loaded *l = load_ok(
	    arena_printf(a, NP("{ingress: [{ports: [%s]}]}"), port_rows[_i].port));
	const struct rule *r = &policy_of(l)->allow[DIR_INGRESS].rules[0];

	ck_assert_uint_eq(r->port_count, 1);
	ck_assert_int_eq(r->ports[0].kind, port_rows[_i].kind);
	ck_assert_uint_eq(r->ports[0].proto, port_rows[_i].proto);
	ck_assert_uint_eq(r->ports[0].lo, port_rows[_i].lo);
	ck_assert_uint_eq(r->ports[0].hi, port_rows[_i].hi);
	loaded_free(l);
	arena_free(a);
}
END_TEST

/* ---- ipBlock (traps 18 to 20) ---- */

static const struct {
	const char *cidr;
	const char *reads_as;
	bool warned;
} cidr_rows[] = {
    {"10.0.0.0/8", "10.0.0.0/8", false},
    {"0.0.0.0/0", "0.0.0.0/0", false},
    {"10.0.0.1/24", "10.0.0.0/24", true},
    {"1.2.3.4/0", "0.0.0.0/0", true},
    {"fd00::1/64", "fd00::/64", true},
    {"FD00::/8", "fd00::/8", false},
    {"010.0.0.0/8", "10.0.0.0/8", true},
    {"10.0.0.0/08", "10.0.0.0/8", true},
    {"::ffff:10.0.0.0/104", "10.0.0.0/8", true},
    {"::ffff:10.0.0.1/128", "10.0.0.1/32", true},
    {"fd00::/08", "fd00::/8", true},
};

START_TEST(cidr_is_masked_with_a_warning)
{
	struct arena *a = arena_new();
	struct loaded *l = load_ok(arena_printf(a,
	    NP("{ingress: [{from: [{ipBlock: {cidr: '%s'}}]}]}"), cidr_rows[_i].cidr));
	const struct peer *p = policy_of(l)->allow[DIR_INGRESS].rules[0].peers;
	char text[IP_TEXT_BYTES];

	ck_assert_int_eq(p->kind, PEER_NETWORK);
	ck_assert_uint_eq(p->prefix_count, 1);
	ck_assert_str_eq(
	    ip_prefix_format(&p->prefixes[0], text), cidr_rows[_i].reads_as);
	ck_assert_uint_eq(loaded_count(l, "loose-cidr"), cidr_rows[_i].warned);
	loaded_free(l);
	arena_free(a);
}
END_TEST

START_TEST(ip_block_matches_pods_unless_told_otherwise)
{
	static const char text[] =
	    NP("{egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8,"
	       " except: [10.1.0.0/16, 10.2.3.4/32, 10.1.0.0/16]}}]}]}");
	struct loaded *l = load_ok(text);
	const struct peer *p = policy_of(l)->allow[DIR_EGRESS].rules[0].peers;

	ck_assert(p->by_address);
	ck_assert_uint_eq(p->except_count, 3);
	loaded_free(l);
	l = load_ok_with(&(struct model_options){.ip_blocks_skip_pods = true}, text);
	ck_assert(!policy_of(l)->allow[DIR_EGRESS].rules[0].peers[0].by_address);
	loaded_free(l);
}
END_TEST

/* ---- mistakes ---- */

#define FROM(peer)  NP("{ingress: [{from: [" peer "]}]}")
#define PORTS(port) NP("{ingress: [{ports: [" port "]}]}")
#define BLOCK(b)    FROM("{ipBlock: " b "}")
#define EXPR(e)     NP("{podSelector: {matchExpressions: [" e "]}}")

static const struct {
	const char *text;
	const char *code;
} bad_rows[] = {
    {NP("[]"), "wrong-type"},
    {NP("{podSelectors: {}}"), "unknown-field"},
    {NP("{podSelector: []}"), "wrong-type"},
    {NP("{podSelector: {app: web}}"), "unknown-field"},
    {NP("{podSelector: {matchLabels: [a]}}"), "wrong-type"},
    {NP("{podSelector: {matchLabels: {a: 1}}}"), "wrong-type"},
    {NP("{podSelector: {matchLabels: {a: true}}}"), "wrong-type"},
    {NP("{podSelector: {matchLabels: {-a: b}}}"), "bad-label"},
    {NP("{podSelector: {matchLabels: {a/b/c: b}}}"), "bad-label"},
    {NP("{podSelector: {matchLabels: {a: -b}}}"), "bad-label"},
    {EXPR("{key: a, operator: Gt, values: ['1']}"), "bad-value"},
    {EXPR("{key: a, operator: in, values: ['1']}"), "bad-value"},
    {EXPR("{key: a, operator: In}"), "bad-selector"},
    {EXPR("{key: a, operator: NotIn, values: []}"), "bad-selector"},
    {EXPR("{key: a, operator: Exists, values: [b]}"), "bad-selector"},
    {EXPR("{key: a, operator: DoesNotExist, values: [b]}"), "bad-selector"},
    {EXPR("{key: a, operator: In, values: [5]}"), "wrong-type"},
    {EXPR("{key: a, operator: In, values: [b c]}"), "bad-label"},
    {EXPR("{operator: Exists}"), "missing-field"},
    {EXPR("{key: a}"), "missing-field"},
    {EXPR("{key: a, operator: Exists, value: b}"), "unknown-field"},
    {NP("{policyTypes: [ingress]}"), "bad-value"},
    {NP("{policyTypes: [null]}"), "wrong-type"},
    {NP("{policyTypes: [Ingress, Egress, Ingress]}"), "too-many"},
    {NP("{policyTypes: Ingress}"), "wrong-type"},
    {NP("{ingress: {}}"), "wrong-type"},
    {NP("{ingress: [[]]}"), "wrong-type"},
    {NP("{ingress: [{to: []}]}"), "unknown-field"},
    {NP("{egress: [{from: []}]}"), "unknown-field"},
    {FROM("{}"), "empty-peer"},
    {FROM("null"), "empty-peer"},
    {FROM("{podSelector: null, namespaceSelector: null}"), "empty-peer"},
    {FROM("{podselector: {}}"), "unknown-field"},
    {FROM("{podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}"), "mixed-peer"},
    {FROM("{namespaceSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}"), "mixed-peer"},
    {BLOCK("{}"), "missing-field"},
    {BLOCK("{cidr: 10.0.0.0}"), "bad-cidr"},
    {BLOCK("{cidr: ' 10.0.0.0/8'}"), "bad-cidr"},
    {BLOCK("{cidr: 10.0.0.0/33}"), "bad-cidr"},
    {BLOCK("{cidr: 10.0.0.0/}"), "bad-cidr"},
    {BLOCK("{cidr: 10.0.0.0/+8}"), "bad-cidr"},
    {BLOCK("{cidr: 10.0.0/8}"), "bad-cidr"},
    {BLOCK("{cidr: '::ffff:10.0.0.0/8'}"), "bad-cidr"},
    {BLOCK("{cidr: '::ffff:10.0.0/104'}"), "bad-cidr"},
    {BLOCK("{cidr: '::ffff:10.0.0.0/104', except: [10.1.0.0/16]}"), "bad-except"},
    {BLOCK("{cidr: 'fe80::1%eth0/64'}"), "bad-cidr"},
    {BLOCK("{cidr: 5}"), "wrong-type"},
    {BLOCK("{cidr: 10.0.0.0/8, except: [11.0.0.0/16]}"), "bad-except"},
    {BLOCK("{cidr: 10.0.0.0/8, except: [10.0.0.0/8]}"), "bad-except"},
    {BLOCK("{cidr: 10.0.0.0/8, except: [0.0.0.0/0]}"), "bad-except"},
    {BLOCK("{cidr: 0.0.0.0/0, except: ['fd00::/8']}"), "bad-except"},
    {BLOCK("{cidr: '::/0', except: [10.0.0.0/8]}"), "bad-except"},
    {BLOCK("{cidr: 10.0.0.0/8, except: [null]}"), "bad-cidr"},
    {BLOCK("{cidr: 10.0.0.0/8, except: 10.1.0.0/16}"), "wrong-type"},
    {PORTS("{port: 0}"), "bad-value"},
    {PORTS("{port: 65536}"), "bad-value"},
    {PORTS("{port: -1}"), "bad-value"},
    {PORTS("{port: 1.5}"), "wrong-type"},
    {PORTS("{port: '80'}"), "bad-port"},
    {PORTS("{port: ''}"), "bad-port"},
    {PORTS("{port: HTTP}"), "bad-port"},
    {PORTS("{port: a--b}"), "bad-port"},
    {PORTS("{port: a-very-long-port-name}"), "bad-port"},
    {PORTS("{protocol: tcp}"), "bad-value"},
    {PORTS("{protocol: ICMP}"), "bad-value"},
    {PORTS("{protocol: ''}"), "bad-value"},
    {PORTS("{endPort: 90}"), "bad-port"},
    {PORTS("{port: http, endPort: 90}"), "bad-port"},
    {PORTS("{port: 80, endPort: 79}"), "bad-port"},
    {PORTS("{port: 80, endPort: 65536}"), "bad-value"},
    {PORTS("{port: 80, endPort: '90'}"), "wrong-type"},
    {PORTS("{ports: 80}"), "unknown-field"},
};

START_TEST(mistake_is_refused_at_its_line)
{
	assert_refused(bad_rows[_i].text, bad_rows[_i].code, 4);
}
END_TEST

START_TEST(mistakes_in_metadata_are_refused)
{
#define META(m)                                                                        \
	"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: " m "\n"
	assert_refused(META("{name: p, namespaceSelector: {}}"), "unknown-field", 3);
	assert_refused(META("null"), "missing-field", 3);
	assert_refused(META("{name: null}"), "missing-field", 3);
	assert_refused(META("{name: ''}"), "missing-field", 3);
	assert_refused(META("{name: UPPER}"), "bad-name", 3);
	assert_refused(META("{name: a.-b}"), "bad-name", 3);
	assert_refused(META("{name: 5}"), "wrong-type", 3);
	assert_refused(META("{name: p, namespace: a b}"), "bad-name", 3);
	assert_refused(META("{name: p, labels: x}"), "wrong-type", 3);
	assert_refused(META("{name: p, labels: {a: '*'}}"), "bad-label", 3);
	assert_refused(META("{name: p, annotations: {a: 5}}"), "wrong-type", 3);
	assert_refused(META("{name: p}\nspecs: {}"), "unknown-field", 4);
	assert_warned(META("{name: p_q}"), "odd-name", 3);
	assert_clean(META("{name: p, namespace: '', uid: u, resourceVersion: '1',"
			  " annotations: {a/b: c}}\nstatus: {}"));
}
END_TEST

/* ---- failing closed ---- */

START_TEST(rule_that_is_not_understood_allows_nothing)
{
	struct loaded *l = load(NP("{ingress: [{from: [{podSelector: {}, new: 1}]},"
				   " {from: [{podSelector: {}}]}]}"));
	const struct rule_list *rules = &policy_of(l)->allow[DIR_INGRESS];

	ck_assert(!l->ok);
	ck_assert_uint_eq(rules->count, 2);
	ck_assert(!rules->rules[0].any_peer);
	ck_assert_uint_eq(rules->rules[0].peer_count, 0);
	ck_assert_uint_eq(rules->rules[1].peer_count, 1);
	ck_assert(policy_of(l)->isolates[DIR_INGRESS]);
	loaded_free(l);
}
END_TEST

START_TEST(policy_that_is_not_understood_isolates_everyone)
{
	struct loaded *l = load(NP("{podSelector: {matchLabels: {a: 5}},"
				   " ingress: [{}], newField: {}}"));
	const struct policy *p = policy_of(l);

	ck_assert(!l->ok);
	ck_assert(p->isolates[DIR_INGRESS] && p->isolates[DIR_EGRESS]);
	ck_assert_uint_eq(p->subject.selector->count, 0);
	ck_assert(!p->allow[DIR_INGRESS].rules[0].any_peer);
	loaded_free(l);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("load_netpol");
	TCase *tc = tcase_create("load_netpol");

#define LOOP(test, rows) tcase_add_loop_test(tc, test, 0, (int)ARRAY_LEN(rows))
	LOOP(isolation_follows_policy_types_and_rules, isolation_rows);
	tcase_add_test(tc, subject_is_in_its_own_kubernetes_namespace);
	tcase_add_test(tc, absent_subject_selector_is_everyone);
	tcase_add_test(tc, peers_scope_their_selectors);
	LOOP(absent_and_empty_mean_everyone_and_everything, any_rows);
	LOOP(ports_are_read_as_the_api_reads_them, port_rows);
	LOOP(cidr_is_masked_with_a_warning, cidr_rows);
	tcase_add_test(tc, ip_block_matches_pods_unless_told_otherwise);
	LOOP(mistake_is_refused_at_its_line, bad_rows);
	tcase_add_test(tc, mistakes_in_metadata_are_refused);
	tcase_add_test(tc, rule_that_is_not_understood_allows_nothing);
	tcase_add_test(tc, policy_that_is_not_understood_isolates_everyone);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
