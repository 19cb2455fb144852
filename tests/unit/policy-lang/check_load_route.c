/* Routes, and the network section of quotas. */
#include "load_fixture.h"

#define NATIVE "apiVersion: ringfence.dev/v1alpha1\n"
#define TREE                                                                           \
	NATIVE "kind: Namespace\nmetadata: {name: /acme/shop}\n---\n" NATIVE           \
	       "kind: Namespace\nmetadata: {name: /ops/fw}\n---\n" NATIVE              \
	       "kind: ExternalNetwork\nmetadata: {name: bank, namespace: /acme}\n"     \
	       "spec: {cidrs: [192.0.2.0/24], fqdns: [api.bank.example]}\n---\n"
#define ROUTE                                                                          \
	TREE NATIVE "kind: Route\nmetadata: {name: web, namespace: "                   \
		    "/acme/shop}\nspec:\n"
#define FIRST_LINE 18 /* of what follows ROUTE */

START_TEST(route_is_read_whole)
{
	struct loaded *l = load_ok(
	    ROUTE "  priority: -3\n"
		  "  workloads: {matchLabels: {tier: web}}\n"
		  "  mandatory:\n"
		  "    egress:\n"
		  "    - {name: pay, action: route, to: [{external: bank}, {fqdn: "
		  "'*.example.org'}],\n"
		  "       ports: [443/tcp], source: [203.0.113.7, '2001:db8::/126'],\n"
		  "       gateway: [gw-1, gw-2], table: 7}\n"
		  "    - {action: route, nextHop: [10.9.0.254, 'fd00::1'],\n"
		  "       gateway: {matchLabels: {edge: x}}}\n"
		  "    - {action: deny}\n"
		  "  default:\n"
		  "    ingress:\n"
		  "    - {action: publish, address: [203.0.113.80, '2001:db8::80'],\n"
		  "       ports: [8000-8080/udp], targetPort: 9000, balance: hash,\n"
		  "       to: [{workloads: {matchLabels: {app: web}}, weight: 3},\n"
		  "            {namespace: ./x, weight: 0}]}\n"
		  "    - {action: deny, address: [203.0.113.0/24]}\n"
		  "    via:\n"
		  "    - {action: through, from: [{workloads: {}}],\n"
		  "       to: [{namespace: /ops}], ports: [5432/tcp],\n"
		  "       through: {namespace: /ops/fw}, onFailure: direct}\n"
		  "    - {action: pass}\n");
	const struct ns *shop = model_ns(l->m, STR("/acme/shop"));
	const struct route_policy *r = l->m->routes[0];
	const struct route_rule *e = r->mandatory[ROUTE_EGRESS].rules;
	const struct route_rule *i = r->defaults[ROUTE_INGRESS].rules;
	const struct route_rule *v = r->defaults[ROUTE_VIA].rules;
	char text[IP_TEXT_BYTES];

	ck_assert_uint_eq(shop->route_count, 1);
	ck_assert_ptr_eq(shop->routes[0], r);
	ck_assert_int_eq(r->priority, -3);
	ck_assert_uint_eq(r->subject.selector->count, 1);
	ck_assert_ptr_eq(r->subject.subtree, shop);
	ck_assert_uint_eq(r->mandatory[ROUTE_EGRESS].count, 3);
	assert_str(e[0].name, "pay");
	ck_assert_int_eq(e[0].action, ROUTE_APPLY);
	ck_assert_uint_eq(e[0].to_count, 2);
	ck_assert_uint_eq(e[0].to[0].fqdn_count, 1);
	ck_assert_int_eq(e[0].to[1].kind, PEER_FQDN);
	ck_assert_uint_eq(e[0].ports[0].lo, 443);
	ck_assert_uint_eq(e[0].source_count, 2);
	ck_assert_str_eq(ip_prefix_format(&e[0].sources[0], text), "203.0.113.7/32");
	ck_assert_str_eq(ip_prefix_format(&e[0].sources[1], text), "2001:db8::/126");
	ck_assert_uint_eq(e[0].gateway_count, 2);
	assert_str(e[0].gateways[1], "gw-2");
	ck_assert_uint_eq(e[0].table, 7);
	ck_assert_uint_eq(e[1].next_hop_count, 2);
	ck_assert_uint_eq(e[1].to_count, 0);
	ck_assert_uint_eq(e[1].gateway_selector->count, 1);
	ck_assert_int_eq(e[2].action, ROUTE_DENY);
	ck_assert_uint_eq(e[2].index, 2);
	ck_assert_uint_eq(i[0].address_count, 2);
	ck_assert_uint_eq(i[0].ports[0].hi, 8080);
	ck_assert_uint_eq(i[0].target_port, 9000);
	ck_assert_int_eq(i[0].balance, BALANCE_HASH);
	ck_assert_uint_eq(i[0].backend_count, 2);
	ck_assert_uint_eq(i[0].backends[0].weight, 3);
	ck_assert_ptr_eq(i[0].backends[0].workloads.subtree, shop);
	ck_assert_uint_eq(i[0].backends[1].weight, 0);
	assert_str(i[0].backends[1].workloads.subtree->path, "/acme/shop/x");
	ck_assert_int_eq(i[1].action, ROUTE_DENY);
	ck_assert_int_eq(v[0].phase, PHASE_DEFAULT);
	ck_assert_uint_eq(v[0].from_count, 1);
	assert_str(v[0].through.subtree->path, "/ops/fw");
	ck_assert_int_eq(v[0].balance, BALANCE_HASH);
	ck_assert(v[0].direct_on_failure);
	ck_assert_int_eq(v[1].action, ROUTE_PASS);
	loaded_free(l);
}
END_TEST

#define EGRESS(rule)  "  mandatory: {egress: [" rule "]}\n"
#define INGRESS(rule) "  default: {ingress: [" rule "]}\n"
#define VIA(rule)     "  default: {via: [" rule "]}\n"

static const struct {
	const char *spec, *code;
} bad_rows[] = {
    {"  egress: []\n", "unknown-field"},
    {"  allow: {}\n", "unknown-field"},
    {"  default: {egres: []}\n", "unknown-field"},
    {"  priority: x\n", "wrong-type"},
    {"  workloads: {matchLabels: {a b: c}}\n", "bad-label"},
    {"  workloads: {matchLabels: {a b: null}}\n", "bad-label"},
    {EGRESS("{}"), "missing-field"},
    {EGRESS("{action: drop}"), "bad-value"},
    {EGRESS("{action: publish}"), "bad-value"},
    {EGRESS("{action: route}"), "missing-field"},
    {EGRESS("{action: route, to: [{cidr: 10.0.0.0/8}]}"), "missing-field"},
    {EGRESS("{action: deny, source: [192.0.2.1]}"), "bad-rule"},
    {EGRESS("{action: pass, table: 3}"), "bad-rule"},
    {EGRESS("{action: route, source: []}"), "too-many"},
    {EGRESS("{action: route, source: [192.0.2.300]}"), "bad-address"},
    {EGRESS("{action: route, source: [192.0.2.0/33]}"), "bad-cidr"},
    {EGRESS("{action: route, source: [5]}"), "wrong-type"},
    {EGRESS("{action: route, gateway: []}"), "too-many"},
    {EGRESS("{action: route, gateway: [A_]}"), "bad-name"},
    {EGRESS("{action: route, gateway: [5]}"), "wrong-type"},
    {EGRESS("{action: route, nextHop: [10.0.0.1, 10.0.0.2]}"), "bad-rule"},
    {EGRESS("{action: route, nextHop: [a]}"), "bad-address"},
    {EGRESS("{action: route, nextHop: [10.0.0.1], table: 1}"), "bad-rule"},
    {EGRESS("{action: route, table: 0}"), "bad-value"},
    {EGRESS("{action: deny, to: [{workloads: {}}]}"), "bad-rule"},
    {EGRESS("{action: deny, to: [{node: n1}]}"), "bad-rule"},
    {EGRESS("{action: deny, to: [{external: bnk}]}"), "unknown-external"},
    {EGRESS("{action: deny, from: []}"), "unknown-field"},
    {EGRESS("{action: deny, through: {}}"), "unknown-field"},
    {EGRESS("{action: deny, ports: [443]}"), "bad-port"},
    {INGRESS("{action: publish}"), "missing-field"},
    {INGRESS("{action: direct}"), "bad-value"},
    {INGRESS("{action: publish, address: [192.0.2.0/24], ports: [1/tcp], to: "
	     "[{workloads: {}}]}"),
	"bad-rule"},
    {INGRESS("{action: publish, address: [999.0.2.1, 192.0.2.0/24], ports: [1/tcp], "
	     "to: [{workloads: {}}]}"),
	"bad-address"},
    {INGRESS("{action: publish, address: [192.0.2.1], ports: [tcp], to: [{workloads: "
	     "{}}]}"),
	"bad-rule"},
    {INGRESS("{action: publish, address: [192.0.2.1], ports: [http], to: [{workloads: "
	     "{}}]}"),
	"bad-rule"},
    {INGRESS("{action: publish, address: [192.0.2.1], ports: [1/tcp], to: [{cidr: "
	     "10.0.0.1/32}]}"),
	"bad-rule"},
    {INGRESS("{action: publish, address: [192.0.2.1], ports: [1/tcp], to: "
	     "[{namespace: /ops/fw}]}"),
	"outside-subtree"},
    {INGRESS("{action: publish, address: [192.0.2.1], ports: [1/tcp], to: "
	     "[{namespace: ..}]}"),
	"outside-subtree"},
    {INGRESS("{action: publish, address: [192.0.2.1], ports: [1/tcp], to: "
	     "[{workloads: {}, weight: -1}]}"),
	"bad-value"},
    {INGRESS("{action: publish, address: [192.0.2.1], ports: [1-9/tcp], targetPort: "
	     "65530, to: [{workloads: {}}]}"),
	"bad-value"},
    {INGRESS("{action: publish, address: [192.0.2.1], ports: [1-9/tcp], targetPort: "
	     "http, to: [{workloads: {}}]}"),
	"bad-rule"},
    {INGRESS("{action: publish, address: [192.0.2.1], ports: [1/tcp, 2/tcp], "
	     "targetPort: 3, to: [{workloads: {}}]}"),
	"bad-rule"},
    {INGRESS("{action: publish, address: [192.0.2.1], ports: [1/tcp], balance: best, "
	     "to: [{workloads: {}}]}"),
	"bad-value"},
    {INGRESS("{action: deny, to: [{workloads: {}}]}"), "bad-rule"},
    {INGRESS("{action: deny, targetPort: 1}"), "bad-rule"},
    {VIA("{action: through}"), "missing-field"},
    {VIA("{action: through, through: {cidr: 10.0.0.0/8}}"), "bad-rule"},
    {VIA("{action: through, through: {}}"), "empty-peer"},
    {VIA("{action: direct, through: {namespace: /ops/fw}}"), "bad-rule"},
    {VIA("{action: deny, to: [{fqdn: a.example}]}"), "bad-rule"},
    {VIA("{action: through, through: {namespace: /ops/fw}, onFailure: allow}"),
	"bad-value"},
};

START_TEST(bad_route_is_refused)
{
	char text[2048];
	struct loaded *l;

	(void)snprintf(text, sizeof(text), ROUTE "%s", bad_rows[_i].spec);
	assert_refused(text, bad_rows[_i].code, FIRST_LINE);
	l = load(text);
	ck_assert_uint_eq(l->m->route_count, 0);
	loaded_free(l);
}
END_TEST

/* A namespace selector looks around in the own subtree only. */
START_TEST(backend_by_namespace_label_stays_in_the_subtree)
{
	struct loaded *l = load_ok(
	    ROUTE INGRESS("{action: publish, address: [192.0.2.1], ports: [1/tcp], to: "
			  "[{namespaces: {}}]}"));

	assert_str(l->m->routes[0]
		       ->defaults[ROUTE_INGRESS]
		       .rules[0]
		       .backends[0]
		       .workloads.subtree->path,
	    "/acme/shop");
	loaded_free(l);
}
END_TEST

#define QUOTA NATIVE "kind: Quota\nmetadata: {name: q, namespace: /}\nspec:\n"

START_TEST(quota_network_is_read)
{
	struct loaded *l = load_ok(QUOTA
	    "  network: {connectionsPerSecond: 0.5, burst: 7, connections: 1000,\n"
	    "    egressBytesPerSecond: 100M, ingressBytesPerSecond: 1Gi}\n");
	const struct quota_network *n = &l->m->root->quotas[0]->network;

	ck_assert_uint_eq(n->per_second_milli, 500);
	ck_assert_uint_eq(n->burst, 7);
	ck_assert_uint_eq(n->connections, 1000);
	ck_assert_uint_eq(n->egress_bytes_per_second, 100000000);
	ck_assert_uint_eq(n->ingress_bytes_per_second, 1u << 30);
	loaded_free(l);
	l = load_ok(QUOTA "  requests: {perSecond: 1}\n");
	ck_assert(l->m->root->quotas[0]->network.connections == QUOTA_UNSET);
	loaded_free(l);
}
END_TEST

START_TEST(bad_quota_network_is_refused)
{
	static const char *const rows[][2] = {{"connections: -1", "bad-value"},
	    {"connections: 1.5", "wrong-type"},
	    {"connectionsPerSecond: '1'", "wrong-type"},
	    {"connectionsPerSecond: -1", "bad-quantity"},
	    {"egressBytesPerSecond: fast", "bad-quantity"},
	    {"bandwidth: 1G", "unknown-field"}, {"conections: 1", "unknown-field"}};
	char text[256];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		(void)snprintf(
		    text, sizeof(text), QUOTA "  network: {%s}\n", rows[i][0]);
		assert_refused(text, rows[i][1], 5);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("load_route");
	TCase *tc = tcase_create("load_route");

	tcase_add_test(tc, route_is_read_whole);
	tcase_add_loop_test(tc, bad_route_is_refused, 0, (int)ARRAY_LEN(bad_rows));
	tcase_add_test(tc, backend_by_namespace_label_stays_in_the_subtree);
	tcase_add_test(tc, quota_network_is_read);
	tcase_add_test(tc, bad_quota_network_is_refused);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
