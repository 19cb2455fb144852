/* Services: what clients dial, and what is behind. */
#include "load_fixture.h"

#define SERVICE                                                                        \
	"apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: shop}\n"        \
	"spec:\n"

static const struct service *
only_service(const struct loaded *l)
{
	ck_assert_uint_eq(l->m->service_count, 1);
	return l->m->services[0];
}

START_TEST(service_is_read_whole)
{
	struct loaded *l = load_ok(
	    SERVICE "  selector: {app: web, tier: front}\n"
		    "  type: LoadBalancer\n"
		    "  clusterIP: 10.96.0.7\n"
		    "  clusterIPs: [10.96.0.7, 'fd00:96::7']\n"
		    "  externalIPs: [192.0.2.1]\n"
		    "  sessionAffinity: None\n"
		    "  ports:\n"
		    "  - {name: http, port: 80, targetPort: 8080, nodePort: 30080}\n"
		    "  - {name: dns, port: 53, protocol: UDP, targetPort: dns-udp}\n"
		    "  - {name: same, port: 9, protocol: SCTP}\n"
		    "  - {name: zero, port: 10, targetPort: 0}\n"
		    "status: {loadBalancer: {ingress: [{ip: '2001:db8::1'}, {hostname: "
		    "h}]}}\n");
	const struct service *s = only_service(l);
	char text[IP_TEXT_BYTES];

	ck_assert_ptr_null(l->diags.first);
	assert_str(s->name, "s");
	assert_str(s->kube->name, "shop");
	assert_str(s->type, "LoadBalancer");
	ck_assert_uint_eq(s->selector->count, 2);
	assert_str(s->selector->reqs[0].key, "app");
	assert_str(s->selector->reqs[0].values[0], "web");
	ck_assert_uint_eq(s->ip_count, 2);
	ck_assert_str_eq(ip_format(&s->ips[1], text), "fd00:96::7");
	ck_assert_uint_eq(s->external_ip_count, 2);
	ck_assert_str_eq(ip_prefix_format(&s->external_ips[0], text), "192.0.2.1/32");
	ck_assert_str_eq(
	    ip_prefix_format(&s->external_ips[1], text), "2001:db8::1/128");
	ck_assert_uint_eq(s->port_count, 4);
	ck_assert_uint_eq(s->ports[0].port, 80);
	ck_assert_uint_eq(s->ports[0].target, 8080);
	ck_assert_uint_eq(s->ports[0].proto, PROTO_TCP);
	ck_assert_uint_eq(s->ports[1].target, 0);
	assert_str(s->ports[1].target_name, "dns-udp");
	ck_assert_uint_eq(s->ports[1].proto, PROTO_UDP);
	ck_assert_uint_eq(s->ports[2].target, 9);
	ck_assert_uint_eq(s->ports[2].proto, PROTO_SCTP);
	ck_assert_uint_eq(s->ports[3].target, 10);
	ck_assert_uint_eq(s->loc.line, 3);
	loaded_free(l);
}
END_TEST

/* Services that say little: whether they lead to pods, and how many addresses. */
static const struct {
	const char *spec, *type;
	bool selects;
	size_t ips;
} sparse_rows[] = {
    {"  ports: [{port: 80}]\n", "ClusterIP", false, 0},
    {"  ports: [{port: 80}]\n  selector: {}\n", "ClusterIP", false, 0},
    {"  ports: [{port: 80}]\n  selector: {a: b}\n  clusterIP: ''\n", "ClusterIP", true,
	0},
    {"  ports: [{port: 80}]\n  clusterIP: 10.0.0.1\n", "ClusterIP", false, 1},
    {"  ports: [{port: 80}]\n  clusterIPs: [10.0.0.1]\n", "ClusterIP", false, 1},
    {"  clusterIP: None\n  selector: {a: b}\n", "ClusterIP", true, 0},
    {"  clusterIP: None\n  clusterIPs: [None]\n", "ClusterIP", false, 0},
    {"  type: ExternalName\n  externalName: a.example\n  selector: {a: b}\n",
	"ExternalName", false, 0},
};

START_TEST(sparse_service_is_read)
{
	const struct service *s;
	struct loaded *l;
	char text[512];

	(void)snprintf(text, sizeof(text), SERVICE "%s", sparse_rows[_i].spec);
	l = load_ok(text);
	s = only_service(l);

	assert_str(s->type, sparse_rows[_i].type);
	ck_assert_int_eq(s->selector != NULL, sparse_rows[_i].selects);
	ck_assert_uint_eq(s->ip_count, sparse_rows[_i].ips);
	ck_assert_ptr_null(l->diags.first);
	loaded_free(l);
}
END_TEST

static const struct {
	const char *spec, *code;
	unsigned line;
} bad_rows[] = {
    {"  selector: {a: b}\n", "missing-field", 5},
    {"  ports: []\n", "missing-field", 5},
    {"  ports: [{name: a}]\n", "missing-field", 5},
    {"  ports: [{port: 0}]\n", "bad-value", 5},
    {"  ports: [{port: 65536}]\n", "bad-value", 5},
    {"  ports: [{port: '80'}]\n", "wrong-type", 5},
    {"  ports: [{port: 80, protocol: tcp}]\n", "bad-value", 5},
    {"  ports: [{port: 80, targetPort: 65536}]\n", "bad-value", 5},
    {"  ports: [{port: 80, targetPort: '80'}]\n", "bad-port", 5},
    {"  ports: [{port: 80, targetPort: Http}]\n", "bad-port", 5},
    {"  ports: [{port: 80, name: A}]\n", "bad-port", 5},
    {"  ports:\n  - {port: 80, name: a}\n  - {port: 81, name: a}\n", "duplicate-value",
	7},
    {"  ports:\n  - {port: 80, name: a}\n  - {port: 80, name: b}\n", "duplicate-value",
	7},
    {"  ports: [{port: 80}]\n  type: Cluster\n", "bad-value", 6},
    {"  ports: [{port: 80}]\n  clusterIP: 10.0.0.300\n", "bad-address", 6},
    {"  ports: [{port: 80}]\n  clusterIPs: [10.0.0.1, 10.0.0.2]\n", "bad-value", 6},
    {"  ports: [{port: 80}]\n  clusterIPs: [10.0.0.1, 'fd::1', 'fd::2']\n", "too-many",
	6},
    {"  ports: [{port: 80}]\n  clusterIP: 10.0.0.1\n  clusterIPs: ['fd::1']\n",
	"bad-value", 7},
    {"  ports: [{port: 80}]\n  externalIPs: [a]\n", "bad-address", 6},
    {"  ports: [{port: 80}]\n  selector: {matchLabels: {a: b}}\n", "wrong-type", 6},
    {"  ports: [{port: 80}]\n  selector: {a b: c}\n", "bad-label", 6},
};

START_TEST(bad_service_is_refused)
{
	char text[512];

	(void)snprintf(text, sizeof(text), SERVICE "%s", bad_rows[_i].spec);
	assert_refused(text, bad_rows[_i].code, bad_rows[_i].line);
}
END_TEST

START_TEST(services_are_sorted_and_unique)
{
	struct loaded *l =
	    load("apiVersion: v1\nkind: ServiceList\nitems:\n"
		 "- {metadata: {name: b}, spec: {ports: [{port: 1}]}}\n"
		 "- {metadata: {name: a}, spec: {ports: [{port: 1}]}}\n"
		 "- {metadata: {name: a, namespace: aa},\n"
		 "   spec: {ports: [{port: 1}]}}\n"
		 "- {metadata: {name: b}, spec: {ports: [{port: 1}]}}\n"
		 "- {metadata: {name: x}, spec: {ports: [{port: 1}, {port: 2}]}}\n");

	ck_assert_uint_eq(loaded_find(l, "duplicate-object")->loc.line, 8);
	ck_assert_uint_eq(loaded_count(l, "odd-name"), 2);
	ck_assert_uint_eq(l->m->service_count, 4);
	assert_str(l->m->services[0]->kube->name, "aa");
	assert_str(l->m->services[1]->name, "a");
	assert_str(l->m->services[2]->name, "b");
	assert_str(l->m->services[3]->name, "x");
	loaded_free(l);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("load_service");
	TCase *tc = tcase_create("load_service");

	tcase_add_test(tc, service_is_read_whole);
	tcase_add_loop_test(tc, sparse_service_is_read, 0, (int)ARRAY_LEN(sparse_rows));
	tcase_add_loop_test(tc, bad_service_is_refused, 0, (int)ARRAY_LEN(bad_rows));
	tcase_add_test(tc, services_are_sorted_and_unique);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
