/* Routes: what the laws over random trees do not look at. */
#include "policy-lang/evaluate/route.h"
#include "policy-lang/model/learnt.h"

#include "load_fixture.h"

#define NATIVE "---\napiVersion: ringfence.dev/v1alpha1\n"
#define WORLD                                                                          \
	"apiVersion: v1\nkind: Node\nmetadata: {name: gw-1, labels: {edge: a}}\n"      \
	"---\napiVersion: v1\nkind: Node\nmetadata: {name: gw-2, labels: {edge: a}}\n" \
	"status: {addresses: [{type: InternalIP, address: 10.9.0.2}]}\n" NATIVE        \
	"kind: ExternalNetwork\nmetadata: {name: bank, namespace: /acme}\n"            \
	"spec: {cidrs: [192.0.2.0/24], fqdns: ['*.bank.example']}\n" NATIVE            \
	"kind: Workload\n"                                                             \
	"metadata: {name: web, namespace: /acme/shop, labels: {app: web}}\n"           \
	"spec: {ips: [10.1.0.1, 'fd00::1'],\n"                                         \
	"       ports: [{name: https, port: 8443, protocol: tcp}]}\n" NATIVE           \
	"kind: Workload\n"                                                             \
	"metadata: {name: db, namespace: /acme/shop, labels: {app: db}}\n"             \
	"spec: {ips: [10.1.0.2]}\n" NATIVE "kind: Workload\n"                          \
	"metadata: {name: fw, namespace: /ops, labels: {app: fw}}\n"                   \
	"spec: {ips: ['fd00::3']}\n"
#define ROUTE                                                                          \
	WORLD NATIVE "kind: Route\nmetadata: {name: r, namespace: "                    \
		     "/acme/shop}\nspec:\n"

static struct ip_addr
addr_of(const char *text)
{
	struct ip_addr addr;

	ck_assert(ip_parse(str_from(text), &addr));
	return addr;
}

/* From an address to an address. */
static struct flow
flow_to(const struct loaded *l, const char *src, const char *dst, uint16_t port)
{
	return (struct flow){.src = endpoint_of_addr(l->m, addr_of(src)),
	    .dst = endpoint_of_addr(l->m, addr_of(dst)),
	    .proto = PROTO_TCP,
	    .port = port};
}

static struct route_egress
egress(struct loaded *l, const char *src, const char *dst, const struct learnt *learnt)
{
	struct flow flow = flow_to(l, src, dst, 443);
	struct route_egress out;

	l->m->options.learnt = learnt;
	route_egress(l->arena, l->m, &flow, &out);
	return out;
}

static struct route_story
tell(struct loaded *l, const char *src, const char *dst, uint16_t port)
{
	struct flow flow = flow_to(l, src, dst, port);
	struct route_story out;

	route_tell(l->arena, l->m, NULL, &flow, &out);
	return out;
}

START_TEST(egress_has_what_is_of_the_family)
{
	struct loaded *l = load_ok(ROUTE
	    "  default: {egress: [{name: out, action: route, to: [{external: bank}],\n"
	    "    source: ['2001:db8::7', 203.0.113.7, 203.0.113.64/26],\n"
	    "    nextHop: ['fd00::fe', 10.1.0.254], gateway: [gw-2, gw-1]}]}\n");
	struct route_egress e = egress(l, "10.1.0.1", "192.0.2.9", NULL);
	char text[IP_TEXT_BYTES];

	ck_assert_int_eq(e.outcome, ROUTE_TAKEN);
	assert_str(e.by.rule->name, "out");
	ck_assert_uint_eq(e.source_count, 2);
	ck_assert_str_eq(ip_prefix_format(&e.sources[1], text), "203.0.113.64/26");
	ck_assert_str_eq(ip_format(e.next_hop, text), "10.1.0.254");
	ck_assert_uint_eq(e.gateway_count, 2);
	assert_str(e.gateways[0]->name, "gw-2");
	assert_str(e.gateways[1]->name, "gw-1");
	loaded_free(l);
}
END_TEST

START_TEST(egress_knows_addresses_by_the_names_that_were_learnt)
{
	struct loaded *l = load_ok(ROUTE "  default: {egress: [{name: deny-it, action: "
					 "deny, to: [{external: bank}]}]}\n");
	struct learnt *learnt = learnt_new(10);
	struct ip_addr bank = addr_of("198.51.100.1"), other = addr_of("198.51.100.2");

	ck_assert_int_eq(
	    learnt_add(learnt, STR("acme"), STR("other.example"), &other, 60, 0),
	    LEARNT_NEW);
	/* Another tenant's knowledge is nobody else's; and what has no name may be it. */
	ck_assert_int_eq(
	    learnt_add(learnt, STR("bi"), STR("other.example"), &bank, 60, 0),
	    LEARNT_NEW);
	ck_assert_int_eq(
	    egress(l, "10.1.0.1", "198.51.100.1", learnt).outcome, ROUTE_REFUSED);
	ck_assert_ptr_null(egress(l, "10.1.0.1", "198.51.100.2", learnt).by.rule);
	ck_assert_int_eq(
	    learnt_add(learnt, STR("acme"), STR("API.bank.example."), &other, 60, 0),
	    LEARNT_NEW);
	ck_assert_int_eq(
	    egress(l, "10.1.0.1", "198.51.100.2", learnt).outcome, ROUTE_REFUSED);
	ck_assert_int_eq(
	    egress(l, "10.1.0.1", "192.0.2.1", learnt).outcome, ROUTE_REFUSED);
	learnt_free(learnt);
	loaded_free(l);
}
END_TEST

/* Neither a workload nor a node is the outside, whatever a rule's networks are. */
START_TEST(egress_is_about_the_outside)
{
	struct loaded *l = load_ok(
	    ROUTE "  mandatory: {egress: [{action: deny, to: [{cidr: 0.0.0.0/0}]}]}\n");

	ck_assert_int_eq(
	    egress(l, "10.1.0.1", "10.1.0.2", NULL).reason, ROUTE_REASON_INSIDE);
	ck_assert_int_eq(
	    egress(l, "10.1.0.1", "10.9.0.2", NULL).reason, ROUTE_REASON_INSIDE);
	ck_assert_int_eq(
	    egress(l, "10.1.0.1", "10.9.0.3", NULL).outcome, ROUTE_REFUSED);
	ck_assert_int_eq(egress(l, "fd00::1", "fd00::9", NULL).outcome, ROUTE_AS_IT_IS);
	loaded_free(l);
}
END_TEST

START_TEST(egress_refuses_what_it_cannot_follow)
{
	static const struct {
		const char *effect, *dst;
		enum route_reason reason;
	} rows[] = {
	    {"source: [203.0.113.7]", "2001:db8::1", ROUTE_REASON_NO_FAMILY},
	    {"nextHop: ['fd00::fe']", "192.0.2.1", ROUTE_REASON_NO_FAMILY},
	    {"gateway: {matchLabels: {edge: b}}", "192.0.2.1", ROUTE_REASON_NO_NODE},
	    {"gateway: [gw-9]", "192.0.2.1", ROUTE_REASON_NO_NODE},
	    {"gateway: [gw-9, gw-1]", "192.0.2.1", ROUTE_REASON_RULE},
	    {"gateway: {matchLabels: {edge: a}}", "2001:db8::1", ROUTE_REASON_RULE},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[2048];
		struct loaded *l;
		struct route_egress e;

		(void)snprintf(text, sizeof(text),
		    ROUTE "  default: {egress: [{action: route, %s}]}\n",
		    rows[i].effect);
		l = load_ok(text);
		e = egress(l, "10.1.0.1", rows[i].dst, NULL);
		ck_assert_msg(
		    e.reason == rows[i].reason &&
			(e.outcome == ROUTE_TAKEN) == (e.reason == ROUTE_REASON_RULE),
		    "%s: %d", rows[i].effect, (int)e.reason);
		loaded_free(l);
	}
}
END_TEST

START_TEST(egress_tells_who_would_decide_otherwise)
{
	struct loaded *l = load_ok(
	    ROUTE "  mandatory: {egress: [{name: a, action: route, table: 3}]}\n"
		  "  default: {egress: [{name: b, action: deny}]}\n");
	struct route_egress e = egress(l, "10.1.0.1", "192.0.2.9", NULL);

	assert_str(e.by.rule->name, "a");
	assert_str(e.otherwise.rule->name, "b");
	ck_assert_uint_eq(e.table, 3);
	ck_assert_str_eq(
	    route_rule_title(l->arena, e.by), "Route /acme/shop/r egress rule 0 \"a\"");
	loaded_free(l);
}
END_TEST

#define PUBLISH                                                                        \
	ROUTE "  default: {ingress: [{name: p, action: publish, ports: [443/tcp],\n"   \
	      "    address: [203.0.113.80, '2001:db8::80'], targetPort: https,\n"      \
	      "    to: [{workloads: {matchLabels: {app: web}}},\n"                     \
	      "         {workloads: {}, weight: 3}]}]}\n"

/* The name of a port is looked up at each workload; one that has none is no target. */
START_TEST(ingress_leads_to_named_ports)
{
	struct loaded *l = load_ok(PUBLISH);
	struct route_story s = tell(l, "198.51.100.9", "203.0.113.80", 443);

	ck_assert(s.has[ROUTE_INGRESS] && s.allow);
	ck_assert_uint_eq(s.ingress.target_count, 1);
	ck_assert_uint_eq(s.ingress.total_weight, 1);
	assert_str(s.target->workload->name, "web");
	ck_assert_uint_eq(s.flow.port, 8443);
	ck_assert(ip_eq(&s.flow.dst.addr, &s.target->workload->ips[0]));
	s = tell(l, "2001:db8::9", "2001:db8::80", 443);
	ck_assert_uint_eq(s.flow.dst.addr.family, IP_V6);
	ck_assert(!tell(l, "198.51.100.9", "203.0.113.80", 80).has[ROUTE_INGRESS]);
	loaded_free(l);
}
END_TEST

/* Policy sees the client as it is and the workload that it gets to. */
START_TEST(published_address_does_not_bypass_policy)
{
	struct loaded *l = load_ok(PUBLISH NATIVE
	    "kind: Policy\nmetadata: {name: in, namespace: /acme/shop}\n"
	    "spec: {allow: {ingress: [{from: [{cidr: 198.51.100.0/24}], ports: "
	    "[8443/tcp]}]}}\n");

	ck_assert(tell(l, "198.51.100.9", "203.0.113.80", 443).allow);
	ck_assert(!tell(l, "192.0.2.9", "203.0.113.80", 443).allow);
	loaded_free(l);
	/* The published port is not what policy is asked about. */
	l = load_ok(
	    PUBLISH NATIVE "kind: Policy\nmetadata: {name: in, namespace: /acme/shop}\n"
			   "spec: {allow: {ingress: [{ports: [443/tcp]}]}}\n");
	ck_assert(!tell(l, "198.51.100.9", "203.0.113.80", 443).allow);
	loaded_free(l);
}
END_TEST

/* Egress policy names the outside as it is; the source that is put on opens nothing. */
START_TEST(egress_policy_is_asked_of_the_workload)
{
	struct loaded *l = load_ok(ROUTE
	    "  default: {egress: [{action: route, source: [203.0.113.7]}]}\n" NATIVE
	    "kind: Policy\nmetadata: {name: out, namespace: /acme/shop}\n"
	    "spec: {allow: {egress: [{to: [{cidr: 192.0.2.0/24}]}]}}\n");
	struct route_story s = tell(l, "10.1.0.1", "198.51.100.1", 443);

	ck_assert_int_eq(s.egress.outcome, ROUTE_TAKEN);
	ck_assert(!s.allow);
	ck_assert(tell(l, "10.1.0.1", "192.0.2.1", 443).allow);
	loaded_free(l);
}
END_TEST

START_TEST(route_that_denies_closes_what_policy_leaves_open)
{
	struct loaded *l = load_ok(ROUTE
	    "  mandatory: {egress: [{action: deny, to: [{cidr: 192.0.2.0/24}]}],\n"
	    "    via: [{action: deny, to: [{workloads: {matchLabels: {app: "
	    "db}}}]}]}\n");

	ck_assert(!tell(l, "10.1.0.1", "192.0.2.1", 443).allow);
	ck_assert(tell(l, "10.1.0.1", "198.51.100.1", 443).allow);
	ck_assert(!tell(l, "10.1.0.1", "10.1.0.2", 443).allow);
	loaded_free(l);
}
END_TEST

/* The firewall has IPv6 alone: IPv4 has nothing to go through. */
START_TEST(via_without_a_workload_does_as_it_was_told)
{
	static const char *const rows[] = {"deny", "direct"};

	for (size_t i = 0; i < 2; i++) {
		char text[2048];
		struct loaded *l;
		struct route_story s;

		(void)snprintf(text, sizeof(text),
		    ROUTE "  default: {via: [{action: through, through: {namespace: "
			  "/ops}, onFailure: %s}]}\n",
		    rows[i]);
		l = load_ok(text);
		s = tell(l, "10.1.0.1", "10.1.0.2", 443);
		ck_assert_int_eq(s.via.reason, ROUTE_REASON_NO_TARGET);
		ck_assert_int_eq(s.allow, i == 1);
		s = tell(l, "fd00::1", "fd00::3", 443); /* is itself the firewall */
		ck_assert_ptr_null(s.via.by.rule);
		loaded_free(l);
	}
}
END_TEST

/* A workload without an address of the family is asked in the other one. */
START_TEST(connection_is_allowed_if_one_family_is)
{
	struct loaded *l = load_ok(ROUTE
	    "  mandatory: {via: [{action: deny, to: [{workloads: {matchLabels: {app: "
	    "web}}}]}]}\n" NATIVE "kind: Workload\n"
	    "metadata: {name: cl, namespace: /acme/shop, labels: {app: cl}}\n"
	    "spec: {ips: [10.1.0.9, 'fd00::9']}\n");
	struct endpoint src = endpoint_of_addr(l->m, addr_of("10.1.0.9"));
	struct endpoint dst;
	struct route_story s;

	src.has_addr = false;
	dst = endpoint_of_addr(l->m, addr_of("10.1.0.1"));
	dst.has_addr = false;
	ck_assert(
	    route_connection(l->arena, l->m, NULL, &src, &dst, PROTO_TCP, 1, 0, &s));
	ck_assert(!s.allow && s.via.outcome == ROUTE_REFUSED);
	dst = endpoint_of_addr(l->m, addr_of("10.1.0.2"));
	ck_assert(
	    route_connection(l->arena, l->m, NULL, &src, &dst, PROTO_TCP, 1, 0, &s));
	ck_assert(s.allow);
	ck_assert(
	    !route_connection(l->arena, l->m, NULL, &src, &dst, PROTO_TCP, 1, 6, &s));
	loaded_free(l);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("route");
	TCase *tc = tcase_create("route");

	tcase_add_test(tc, egress_has_what_is_of_the_family);
	tcase_add_test(tc, egress_knows_addresses_by_the_names_that_were_learnt);
	tcase_add_test(tc, egress_is_about_the_outside);
	tcase_add_test(tc, egress_refuses_what_it_cannot_follow);
	tcase_add_test(tc, egress_tells_who_would_decide_otherwise);
	tcase_add_test(tc, ingress_leads_to_named_ports);
	tcase_add_test(tc, published_address_does_not_bypass_policy);
	tcase_add_test(tc, egress_policy_is_asked_of_the_workload);
	tcase_add_test(tc, route_that_denies_closes_what_policy_leaves_open);
	tcase_add_test(tc, via_without_a_workload_does_as_it_was_told);
	tcase_add_test(tc, connection_is_allowed_if_one_family_is);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
