/* AdminNetworkPolicy, BaselineAdminNetworkPolicy, ClusterNetworkPolicy. */
#include "load_fixture.h"

#define ANP(spec)                                                                      \
	"apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\n"    \
	"metadata: {name: p}\nspec: " spec "\n"
#define BANP(spec)                                                                     \
	"apiVersion: policy.networking.k8s.io/v1alpha1\n"                              \
	"kind: BaselineAdminNetworkPolicy\n"                                           \
	"metadata: {name: default}\nspec: " spec "\n"
#define CNP(spec)                                                                      \
	"apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\n"  \
	"metadata: {name: p}\nspec: " spec "\n"

#define SUBJECT "subject: {namespaces: {}}"
#define AFRONT  "priority: 5, " SUBJECT
#define CFRONT  "tier: Admin, " AFRONT

#define ANP_IN(rule)  ANP("{" AFRONT ", ingress: [" rule "]}")
#define ANP_OUT(rule) ANP("{" AFRONT ", egress: [" rule "]}")
#define CNP_IN(rule)  CNP("{" CFRONT ", ingress: [" rule "]}")
#define CNP_OUT(rule) CNP("{" CFRONT ", egress: [" rule "]}")

START_TEST(admin_policy_is_mandatory_at_the_root)
{
	struct loaded *l = load_ok(ANP(
	    "{priority: 9, subject: {pods: {namespaceSelector: {matchLabels: {a: b}},"
	    " podSelector: {matchLabels: {c: d}}}},"
	    " ingress: [{name: one, action: Allow, from: [{namespaces: {}},"
	    "  {pods: {namespaceSelector: {}, podSelector: {matchLabels: {e: f}}}}]},"
	    "  {action: Deny, from: [{namespaces: {}}]}],"
	    " egress: [{action: Pass, to: [{networks: [10.0.0.0/8, 'fd00::/8']},"
	    "  {nodes: {}}, {domainNames: ['*.example.org']}]}]}"));
	const struct policy *p = find_policy(l, "p");
	const struct rule *in = p->mandatory[DIR_INGRESS].rules;
	const struct rule *out = p->mandatory[DIR_EGRESS].rules;

	ck_assert_ptr_null(l->diags.first);
	ck_assert_int_eq(p->kind, POLICY_ADMIN);
	ck_assert_ptr_eq(p->level, l->m->root);
	ck_assert_ptr_eq(p->subject.subtree, l->m->root);
	assert_str(p->namespace_text, "");
	ck_assert_int_eq(p->priority, 9);
	ck_assert_uint_eq(p->subject.ns_selector->count, 1);
	ck_assert_uint_eq(p->subject.selector->count, 1);
	ck_assert(!p->isolates[DIR_INGRESS] && !p->isolates[DIR_EGRESS]);
	ck_assert_uint_eq(p->mandatory[DIR_INGRESS].count, 2);
	assert_str(in[0].name, "one");
	ck_assert_int_eq(in[0].action, ACTION_ALLOW);
	ck_assert_int_eq(in[1].action, ACTION_DENY);
	ck_assert(!in[0].any_peer && in[0].any_port);
	ck_assert_ptr_null(in[0].peers[0].workloads.selector);
	ck_assert_ptr_null(in[0].peers[0].workloads.subtree);
	ck_assert_uint_eq(in[0].peers[1].workloads.selector->count, 1);
	ck_assert_int_eq(out[0].action, ACTION_PASS);
	ck_assert_int_eq(out[0].peers[0].kind, PEER_NETWORK);
	ck_assert(out[0].peers[0].by_address);
	ck_assert_uint_eq(out[0].peers[0].prefix_count, 2);
	ck_assert_int_eq(out[0].peers[1].kind, PEER_NODES);
	ck_assert_int_eq(out[0].peers[2].kind, PEER_FQDN);
	loaded_free(l);
}
END_TEST

START_TEST(tiers_are_phases_and_the_old_baseline_is_last)
{
	struct loaded *l =
	    load_ok(CNP("{" CFRONT ", ingress: [{action: Accept, from: [{namespaces: "
			"{}}]}]}") "---\n"
				   "apiVersion: "
				   "policy.networking.k8s.io/"
				   "v1alpha2\nkind: ClusterNetworkPolicy\n"
				   "metadata: {name: z}\nspec: {tier: "
				   "Baseline, priority: 1000, " SUBJECT
				   ", egress: [{action: Pass, to: "
				   "[{namespaces: {}}]}]}\n---\n" BANP(
				       "{" SUBJECT ", egress: [{action: Deny, to: "
				       "[{networks: [0.0.0.0/0]}]}]}"));
	const struct policy *p = find_policy(l, "p"), *z = find_policy(l, "z");
	const struct policy *banp = find_policy(l, "default");

	ck_assert_uint_eq(p->mandatory[DIR_INGRESS].count, 1);
	ck_assert_int_eq(p->mandatory[DIR_INGRESS].rules[0].action, ACTION_ALLOW);
	ck_assert_uint_eq(z->mandatory[DIR_EGRESS].count, 0);
	ck_assert_uint_eq(z->defaults[DIR_EGRESS].count, 1);
	ck_assert_int_eq(z->defaults[DIR_EGRESS].rules[0].phase, PHASE_DEFAULT);
	ck_assert_uint_eq(banp->defaults[DIR_EGRESS].count, 1);
	ck_assert_ptr_eq(l->m->root->policies[0], p);
	ck_assert_ptr_eq(l->m->root->policies[1], z);
	ck_assert_ptr_eq(l->m->root->policies[2], banp);
	loaded_free(l);
}
END_TEST

/* ---- ports ---- */

static const struct {
	const char *text;
	enum port_match_kind kind;
	uint8_t proto;
	uint16_t lo, hi;
} port_rows[] = {
#define OLD(port) ANP_IN("{action: Allow, from: [{namespaces: {}}], ports: [" port "]}")
#define NEW(port)                                                                      \
	CNP_IN("{action: Accept, from: [{namespaces: {}}], protocols: [" port "]}")
    {OLD("{portNumber: {protocol: TCP, port: 80}}"), PORT_NUMBERS, PROTO_TCP, 80, 80},
    {OLD("{portNumber: {port: 80}}"), PORT_NUMBERS, PROTO_TCP, 80, 80},
    {OLD("{portNumber: {protocol: SCTP, port: 9}}"), PORT_NUMBERS, PROTO_SCTP, 9, 9},
    {OLD("{portRange: {protocol: UDP, start: 10, end: 20}}"), PORT_NUMBERS, PROTO_UDP,
	10, 20},
    {OLD("{portRange: {start: 10, end: 10}}"), PORT_NUMBERS, PROTO_TCP, 10, 10},
    {OLD("{namedPort: http}"), PORT_NAMED, PROTO_ANY, 0, 0},
    {NEW("{tcp: {destinationPort: {number: 80}}}"), PORT_NUMBERS, PROTO_TCP, 80, 80},
    {NEW("{udp: {destinationPort: {range: {start: 1, end: 2}}}}"), PORT_NUMBERS,
	PROTO_UDP, 1, 2},
    {NEW("{sctp: {destinationPort: {number: 65535}}}"), PORT_NUMBERS, PROTO_SCTP, 65535,
	65535},
    {NEW("{destinationNamedPort: http}"), PORT_NAMED, PROTO_ANY, 0, 0},
};

START_TEST(ports_are_read_in_both_dialects)
{
	struct loaded *l = load_ok(port_rows[_i].text);
	const struct rule *r = find_policy(l, "p")->mandatory[DIR_INGRESS].rules;

	ck_assert_uint_eq(r->port_count, 1);
	ck_assert_int_eq(r->ports[0].kind, port_rows[_i].kind);
	ck_assert_uint_eq(r->ports[0].proto, port_rows[_i].proto);
	ck_assert_uint_eq(r->ports[0].lo, port_rows[_i].lo);
	ck_assert_uint_eq(r->ports[0].hi, port_rows[_i].hi);
	loaded_free(l);
}
END_TEST

START_TEST(empty_range_matches_nothing)
{
	struct loaded *l = load_ok(OLD("{portRange: {start: 10, end: 9}}"));
	const struct rule *r = find_policy(l, "p")->mandatory[DIR_INGRESS].rules;

	ck_assert_uint_eq(loaded_count(l, "empty-range"), 1);
	ck_assert(!r->any_port && r->port_count == 0);
	loaded_free(l);
}
END_TEST

/* The CRD takes any protocol; what we do not know must not open or fail to close. */
START_TEST(odd_protocol_fails_closed)
{
	struct loaded *l =
	    load_ok(ANP("{" AFRONT ", ingress: ["
			"{action: Allow, from: [{namespaces: {}}], ports:"
			" [{portNumber: {protocol: tcp, port: 80}}]},"
			"{action: Pass, from: [{namespaces: {}}], ports:"
			" [{portRange: {protocol: ICMP, start: 1, end: 2}}]}]}"));
	const struct rule *r = find_policy(l, "p")->mandatory[DIR_INGRESS].rules;

	ck_assert_uint_eq(loaded_count(l, "odd-protocol"), 2);
	ck_assert_str_eq(l->diags.first->hint, "did you mean \"TCP\"?");
	ck_assert(!r[0].any_peer && r[0].peer_count == 0);
	ck_assert_int_eq(r[1].action, ACTION_DENY);
	ck_assert(r[1].any_peer && r[1].any_port);
	loaded_free(l);
}
END_TEST

/* ---- mistakes ---- */

#define PEER_IN  "from: [{namespaces: {}}]"
#define PEER_OUT "to: [{namespaces: {}}]"

static const struct {
	const char *text;
	const char *code;
} bad_rows[] = {
    {ANP("{" SUBJECT "}"), "missing-field"},
    {ANP("{priority: 5}"), "missing-field"},
    {ANP("{priority: 1001, " SUBJECT "}"), "bad-value"},
    {ANP("{priority: -1, " SUBJECT "}"), "bad-value"},
    {ANP("{priority: '5', " SUBJECT "}"), "wrong-type"},
    {ANP("{priority: 5, subject: {}}"), "missing-field"},
    {ANP("{priority: 5, subject: {namespaces: null}}"), "missing-field"},
    {ANP("{priority: 5, subject: {namespaces: {}, pods: {namespaceSelector: {},"
	 " podSelector: {}}}}"),
	"too-many"},
    {ANP("{priority: 5, subject: {pods: {podSelector: {}}}}"), "missing-field"},
    {ANP("{priority: 5, subject: {networks: [10.0.0.0/8]}}"), "unknown-field"},
    {ANP("{priority: 5, tier: Admin, " SUBJECT "}"), "unknown-field"},
    {BANP("{priority: 5, " SUBJECT "}"), "unknown-field"},
    {CNP("{" AFRONT "}"), "missing-field"},
    {CNP("{tier: admin, " AFRONT "}"), "bad-value"},
    {CNP("{tier: Admin, priority: 5, subject: {pods: {namespaceSelector: {}}}}"),
	"missing-field"},
    {ANP_IN("{action: Accept, " PEER_IN "}"), "bad-value"},
    {ANP_IN("{action: allow, " PEER_IN "}"), "bad-value"},
    {ANP_IN("{" PEER_IN "}"), "missing-field"},
    {ANP_IN("{action: Allow}"), "missing-field"},
    {ANP_IN("{action: Allow, from: []}"), "too-many"},
    {ANP_IN("{action: Allow, from: [{}]}"), "missing-field"},
    {ANP_IN("{action: Allow, from: [null]}"), "wrong-type"},
    {ANP_IN("{action: Allow, from: [{networks: [10.0.0.0/8]}]}"), "unknown-field"},
    {ANP_IN("{action: Allow, from: [{nodes: {}}]}"), "unknown-field"},
    {ANP_IN("null"), "wrong-type"},
    {ANP_IN("{action: Allow, " PEER_IN ", ports: []}"), "too-many"},
    {ANP_IN("{action: Allow, " PEER_IN ", ports: [{}]}"), "missing-field"},
    {ANP_IN("{action: Allow, " PEER_IN ", protocols: []}"), "unknown-field"},
    {OLD("{portNumber: {port: 80}, namedPort: http}"), "too-many"},
    {OLD("{portNumber: {port: 0}}"), "bad-value"},
    {OLD("{portNumber: {protocol: TCP}}"), "missing-field"},
    {OLD("{portRange: {start: 1}}"), "missing-field"},
    {ANP_OUT("{action: Deny, to: [{networks: []}]}"), "too-many"},
    {ANP_OUT("{action: Deny, to: [{networks: [10.0.0.0]}]}"), "bad-cidr"},
    {ANP_OUT("{action: Deny, to: [{networks: [010.0.0.0/8]}]}"), "bad-cidr"},
    {ANP_OUT("{action: Deny, to: [{networks: [10.0.0.0/8, 10.0.0.0/8]}]}"),
	"duplicate-value"},
    {ANP_OUT("{action: Deny, to: [{domainNames: [localhost]}]}"), "bad-value"},
    {ANP_OUT("{action: Deny, to: [{nodes: {}}], ports: [{namedPort: http}]}"),
	"named-port-peer"},
    {ANP_OUT("{action: Deny, to: [{networks: [10.0.0.0/8]}, {namespaces: {}}],"
	     " ports: [{namedPort: http}]}"),
	"named-port-peer"},
    {BANP("{" SUBJECT ", ingress: [{action: Pass, " PEER_IN "}]}"), "bad-value"},
    {BANP("{" SUBJECT ", egress: [{action: Deny, to: [{domainNames: [a.example]}]}]}"),
	"unknown-field"},
    {CNP_IN("{action: Allow, " PEER_IN "}"), "bad-value"},
    {CNP_IN("{action: Accept, " PEER_IN ", ports: []}"), "unknown-field"},
    {NEW("{tcp: {}}"), "missing-field"},
    {NEW("{tcp: {destinationPort: {}}}"), "missing-field"},
    {NEW("{tcp: {destinationPort: {number: 80, range: {start: 1, end: 2}}}}"),
	"too-many"},
    {NEW("{tcp: {destinationPort: {range: {start: 5, end: 5}}}}"), "bad-port"},
    {NEW("{icmp: {}}"), "unknown-field"},
    {CNP_OUT("{action: Accept, to: [{networks: [10.0.0.0/8]}],"
	     " protocols: [{destinationNamedPort: http}]}"),
	"named-port-peer"},
};

START_TEST(mistake_is_refused_at_its_line)
{
	assert_refused(bad_rows[_i].text, bad_rows[_i].code, 4);
}
END_TEST

START_TEST(names_are_checked)
{
	struct arena *a = arena_new();
	const char *hundred = arena_printf(a, "%0100d", 7);

	assert_refused("apiVersion: policy.networking.k8s.io/v1alpha1\n"
		       "kind: BaselineAdminNetworkPolicy\n"
		       "metadata: {name: other}\nspec: {" SUBJECT "}\n",
	    "bad-name", 3);
	assert_refused("apiVersion: policy.networking.k8s.io/v1alpha1\n"
		       "kind: AdminNetworkPolicy\n"
		       "metadata: {name: p, namespace: x}\nspec: {" AFRONT "}\n",
	    "unknown-field", 3);
	assert_refused("apiVersion: policy.networking.k8s.io/v1alpha1\n"
		       "kind: AdminNetworkPolicy\nmetadata: {name: p}\n",
	    "missing-field", 3);
	assert_clean(arena_printf(
	    a, ANP_IN("{name: 'r%.99s', action: Allow, " PEER_IN "}"), hundred));
	assert_refused(
	    arena_printf(
		a, ANP_IN("{name: 'r%.100s', action: Allow, " PEER_IN "}"), hundred),
	    "bad-name", 4);
	arena_free(a);
}
END_TEST

/* Rules, peers and ports: at most 100 in v1alpha1, 25 in v1alpha2. */
START_TEST(limits_of_the_crds_hold)
{
	struct arena *a = arena_new();
	const char *peers = "{namespaces: {}}";

	for (int i = 1; i < 25; i++)
		peers = arena_printf(a, "%s, {namespaces: {}}", peers);
	assert_clean(arena_printf(a, CNP_IN("{action: Accept, from: [%s]}"), peers));
	assert_clean(arena_printf(a, ANP_IN("{action: Allow, from: [%s, %s, %s, %s]}"),
	    peers, peers, peers, peers));
	assert_refused(
	    arena_printf(
		a, CNP_IN("{action: Accept, from: [%s, {namespaces: {}}]}"), peers),
	    "too-many", 4);
	assert_refused(arena_printf(a,
			   ANP_IN("{action: Allow, from: [%s, %s, %s, %s, "
				  "{namespaces: {}}]}"),
			   peers, peers, peers, peers),
	    "too-many", 4);
	arena_free(a);
}
END_TEST

START_TEST(what_the_schema_takes_is_warned_of)
{
	assert_warned(ANP("{priority: 5, subject: {pods: {namespaceSelector: {}}}}"),
	    "absent-selector", 4);
	assert_warned(CNP("{tier: Admin, priority: 5,"
			  " subject: {namespaces: {matchLabels: {a b: c}}}}"),
	    "dead-label", 4);
	assert_warned(
	    ANP_OUT("{action: Deny, to: [{networks: [10.0.0.1/8]}]}"), "loose-cidr", 4);
	assert_clean(CNP("{tier: Admin, priority: 5, subject: {namespaces:"
			 " {matchLabels: null}}, ingress: null}"));
}
END_TEST

/* A null label is dropped by the CRD's pruning: it is no requirement. */
START_TEST(null_label_is_no_requirement)
{
	struct loaded *l =
	    load_ok(CNP("{tier: Admin, priority: 5, subject: {namespaces:"
			" {matchLabels: {a: null, b: c}}}}"));

	ck_assert_uint_eq(find_policy(l, "p")->subject.ns_selector->count, 1);
	loaded_free(l);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("load_admin");
	TCase *tc = tcase_create("load_admin");

	tcase_add_test(tc, admin_policy_is_mandatory_at_the_root);
	tcase_add_test(tc, tiers_are_phases_and_the_old_baseline_is_last);
	tcase_add_loop_test(
	    tc, ports_are_read_in_both_dialects, 0, (int)ARRAY_LEN(port_rows));
	tcase_add_test(tc, empty_range_matches_nothing);
	tcase_add_test(tc, odd_protocol_fails_closed);
	tcase_add_loop_test(
	    tc, mistake_is_refused_at_its_line, 0, (int)ARRAY_LEN(bad_rows));
	tcase_add_test(tc, names_are_checked);
	tcase_add_test(tc, limits_of_the_crds_hold);
	tcase_add_test(tc, what_the_schema_takes_is_warned_of);
	tcase_add_test(tc, null_label_is_no_requirement);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
