/* Pods, what makes pods, nodes, native workloads. */
#include "load_fixture.h"

#define POD    "apiVersion: v1\nkind: Pod\n"
#define NATIVE "apiVersion: ringfence.dev/v1alpha1\n"

START_TEST(pod_is_read_whole)
{
	struct loaded *l = load_ok(
	    POD "metadata:\n"
		"  name: web-7d4-abc\n"
		"  namespace: shop\n"
		"  labels: {tier: web, app: shop}\n"
		"  managedFields: [{anything: {}}]\n"
		"  ownerReferences:\n"
		"  - {apiVersion: apps/v1, kind: ReplicaSet, name: web-7d4, uid: u}\n"
		"  - {apiVersion: v1, kind: Other, name: second, uid: u}\n"
		"spec:\n"
		"  nodeName: worker-1\n"
		"  serviceAccountName: shop-sa\n"
		"  tolerations: [{operator: Exists}]\n"
		"  initContainers: [{name: i, restartPolicy: Always,\n"
		"    ports: [{name: mesh, containerPort: 15001}]}]\n"
		"  containers:\n"
		"  - name: c\n"
		"    ports: [{name: http, containerPort: 8080}, {containerPort: 9},\n"
		"      {name: dns, containerPort: 53, protocol: UDP, hostPort: 53}]\n"
		"status: {phase: Running, hostIP: 192.0.2.7, podIP: 10.0.0.1,\n"
		"  podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]}\n");
	const struct workload *w = find_workload(l, "web-7d4-abc");
	const struct node *n = model_node(l->m, STR("worker-1"));
	char text[IP_TEXT_BYTES];
	size_t count;

	ck_assert_ptr_null(l->diags.first);
	assert_str(workload_owner(w), "web-7d4");
	assert_str(workload_owner_kind(w), "ReplicaSet");
	assert_str(w->shape->display, "shop/web-7d4[ReplicaSet]");
	assert_str(w->ns->path, "/shop");
	assert_str(w->kube->name, "shop");
	assert_str(w->shape->service_account, "shop-sa");
	assert_str(w->where->node, "worker-1");
	ck_assert(!w->host_network && !w->is_template);
	ck_assert_uint_eq(w->shape->labels.count, 2);
	assert_str(w->shape->labels.items[0].key, "app");
	ck_assert_uint_eq(w->ip_count, 2);
	ck_assert_str_eq(ip_format(&w->ips[1], text), "fd00::1");
	ck_assert_uint_eq(w->shape->port_count, 3);
	assert_str(w->shape->ports[0].name, "dns"); /* by name */
	ck_assert_uint_eq(w->shape->ports[0].proto, PROTO_UDP);
	ck_assert_uint_eq(w->shape->ports[0].port, 53);
	assert_str(w->shape->ports[1].name, "http");
	ck_assert_uint_eq(w->shape->ports[1].proto, PROTO_TCP);
	assert_str(w->shape->ports[2].name, "mesh");
	ck_assert_ptr_eq(
	    workload_ports_named(w, STR("mesh"), &count), &w->shape->ports[2]);
	ck_assert_uint_eq(count, 1);
	ck_assert_ptr_null(workload_ports_named(w, STR("htt"), &count));
	ck_assert_uint_eq(count, 0);
	ck_assert_uint_eq(w->loc.line, 4);
	/* The node is known through its pod. */
	ck_assert_uint_eq(n->ip_count, 1);
	ck_assert_str_eq(ip_format(&n->ips[0], text), "192.0.2.7");
	ck_assert_ptr_null(n->loc.source);
	loaded_free(l);
}
END_TEST

START_TEST(pod_of_nobody_owns_itself)
{
	struct loaded *l = load_ok(POD
	    "metadata: {name: a}\n---\n" POD "metadata: {name: b, ownerReferences:"
	    " [{kind: Node, name: n1}]}\n---\n" POD
	    "metadata: {generateName: c-}\n---\n" POD "metadata: {generateName: c-}\n");

	assert_str(find_workload(l, "a")->shape->display, "default/a[Pod]");
	assert_str(find_workload(l, "a")->shape->service_account, "default");
	assert_str(find_workload(l, "a")->where->node, "");
	assert_str(find_workload(l, "b")->shape->display, "default/b[Pod]");
	assert_str(find_workload(l, "c-")->shape->display, "default/c-[Pod]");
	ck_assert_uint_eq(l->m->workload_count, 4);
	loaded_free(l);
}
END_TEST

START_TEST(finished_pods_are_no_workloads)
{
	struct loaded *l = load_ok(POD
	    "metadata: {name: a}\nstatus: {phase: Succeeded, podIP: 10.0.0.1}\n"
	    "---\n" POD
	    "metadata: {name: b}\nstatus: {phase: Failed, podIP: 10.0.0.1}\n"
	    "---\n" POD
	    "metadata: {name: c}\nstatus: {phase: Running, podIP: 10.0.0.1}\n"
	    "---\n" POD "metadata: {name: d}\nstatus: {phase: Pending, podIP: ''}\n");

	ck_assert_uint_eq(l->m->workload_count, 2);
	ck_assert_uint_eq(find_workload(l, "c")->ip_count, 1);
	ck_assert_uint_eq(find_workload(l, "d")->ip_count, 0);
	ck_assert_ptr_null(l->diags.first);
	loaded_free(l);
}
END_TEST

START_TEST(host_network_pod_is_its_node)
{
	struct loaded *l =
	    load_ok(POD "metadata: {name: a}\nspec: {nodeName: n1, hostNetwork: true}\n"
			"status: {podIP: 192.0.2.1}\n---\n" POD
			"metadata: {name: b}\nspec: {hostNetwork: false}\n");
	struct ip_addr addr;

	ck_assert(ip_parse(STR("192.0.2.1"), &addr));
	ck_assert(find_workload(l, "a")->host_network);
	ck_assert(!find_workload(l, "b")->host_network);
	ck_assert_ptr_null(model_workload_at(l->m, &addr));
	ck_assert_ptr_eq(model_node_at(l->m, &addr), model_node(l->m, STR("n1")));
	loaded_free(l);
}
END_TEST

START_TEST(node_object_knows_its_addresses_better_than_pods)
{
	struct loaded *l = load_ok(
	    POD "metadata: {name: a}\nspec: {nodeName: n1}\n"
		"status: {hostIP: 192.0.2.9}\n---\n"
		"apiVersion: v1\nkind: Node\nmetadata: {name: n1, labels: {zone: a}}\n"
		"status: {addresses: [{type: InternalIP, address: 192.0.2.1},\n"
		"  {type: ExternalIP, address: '2001:db8::1'},\n"
		"  {type: InternalDNS, address: n1.example.org}]}\n---\n" POD
		"metadata: {name: b}\nspec: {nodeName: n1}\n"
		"status: {hostIP: 192.0.2.8}\n");
	const struct node *n = model_node(l->m, STR("n1"));

	ck_assert_uint_eq(l->m->node_count, 1);
	ck_assert_uint_eq(n->ip_count, 2);
	assert_str(n->labels.items[0].value, "a");
	ck_assert_ptr_nonnull(n->loc.source);
	loaded_free(l);
}
END_TEST

static const struct {
	const char *api, *kind, *before, *after, *display;
} template_rows[] = {
    {"apps/v1", "Deployment", "spec: {replicas: 3, template: ", "}", "d/w[Deployment]"},
    {"apps/v1", "ReplicaSet", "spec: {template: ", "}", "d/w[ReplicaSet]"},
    {"apps/v1", "StatefulSet", "spec: {template: ", "}", "d/w[StatefulSet]"},
    {"apps/v1", "DaemonSet", "spec: {template: ", "}", "d/w[DaemonSet]"},
    {"batch/v1", "Job", "spec: {template: ", "}", "d/w[Job]"},
    {"batch/v1", "CronJob", "spec: {jobTemplate: {spec: {template: ", "}}}",
	"d/w[CronJob]"},
    {"batch/v1beta1", "CronJob", "spec: {jobTemplate: {spec: {template: ", "}}}",
	"d/w[CronJob]"},
    {"v1", "ReplicationController", "spec: {template: ", "}",
	"d/w[ReplicationController]"},
};

START_TEST(template_stands_for_the_pods)
{
	struct arena *a = arena_new();
	struct loaded *l = load_ok(arena_printf(a,
	    "apiVersion: %s\nkind: %s\n"
	    "metadata: {name: w, namespace: d, labels: {not: these}}\n"
	    "%s{metadata: {labels: {app: web}}, spec: {serviceAccountName: sa,\n"
	    " containers: [{name: c, ports: [{name: http, containerPort: 80}]}]}}%s\n",
	    template_rows[_i].api, template_rows[_i].kind, template_rows[_i].before,
	    template_rows[_i].after));
	const struct workload *w = find_workload(l, "w");

	assert_str(w->shape->display, template_rows[_i].display);
	ck_assert(w->is_template);
	ck_assert_uint_eq(w->shape->labels.count, 1);
	assert_str(w->shape->labels.items[0].value, "web");
	assert_str(w->shape->service_account, "sa");
	ck_assert_uint_eq(w->shape->port_count, 1);
	loaded_free(l);
	arena_free(a);
}
END_TEST

START_TEST(owned_template_is_its_owners)
{
	struct loaded *l = load_ok(
	    "apiVersion: apps/v1\nkind: ReplicaSet\n"
	    "metadata: {name: w-1, ownerReferences: [{kind: Deployment, name: w}]}\n"
	    "spec: {template: {spec: {containers: []}}}\n");

	assert_str(find_workload(l, "w-1")->shape->display, "default/w[Deployment]");
	loaded_free(l);
}
END_TEST

START_TEST(native_workload_is_read_whole)
{
	struct loaded *l = load_ok(NATIVE
	    "kind: Namespace\nmetadata: {name: /acme/db}\n---\n" NATIVE
	    "kind: Workload\n"
	    "metadata: {name: db-1, namespace: /acme/db, labels: {app: db}}\n"
	    "spec: {node: worker-1, ips: [10.1.0.7, 'fd00::7'],\n"
	    "  serviceAccount: dbs,\n"
	    "  ports: [{name: pg, port: 5432, protocol: tcp},\n"
	    "    {name: dns, port: 53, protocol: UDP}, {name: web, port: 80}]}\n"
	    "---\n" NATIVE "kind: Workload\nmetadata: {name: top, namespace: /}\n");
	const struct workload *w = find_workload(l, "db-1");

	ck_assert_ptr_null(l->diags.first);
	assert_str(w->shape->display, "/acme/db/db-1[Workload]");
	assert_str(find_workload(l, "top")->shape->display, "/top[Workload]");
	assert_str(workload_owner_kind(w), "Workload");
	assert_str(w->ns->path, "/acme/db");
	ck_assert_ptr_null(w->kube);
	assert_str(w->shape->service_account, "dbs");
	assert_str(find_workload(l, "top")->shape->service_account, "");
	ck_assert_uint_eq(w->ip_count, 2);
	ck_assert_uint_eq(w->shape->port_count, 3);
	ck_assert_uint_eq(w->shape->ports[0].proto, PROTO_UDP); /* by name */
	ck_assert_uint_eq(w->shape->ports[1].proto, PROTO_TCP);
	ck_assert_ptr_nonnull(model_node(l->m, STR("worker-1")));
	loaded_free(l);
}
END_TEST

/* In a Kubernetes namespace: its place, and no Kubernetes namespace of its own. */
START_TEST(native_object_may_name_a_kubernetes_namespace)
{
	struct loaded *l = load_ok(
	    NATIVE "kind: Namespace\nmetadata: {name: /acme/shop}\n"
		   "spec: {kubernetes: {namespaces: [shop]}}\n---\n" NATIVE
		   "kind: Workload\nmetadata: {name: w, namespace: shop}\n---\n" NATIVE
		   "kind: Policy\nmetadata: {name: p, namespace: shop}\nspec: {}\n");

	ck_assert_ptr_null(l->diags.first);
	assert_str(find_workload(l, "w")->ns->path, "/acme/shop");
	ck_assert_ptr_null(find_workload(l, "w")->kube);
	assert_str(find_policy(l, "p")->level->path, "/acme/shop");
	assert_str(find_policy(l, "p")->namespace_text, "shop");
	loaded_free(l);
}
END_TEST

#define WORKLOAD(spec)                                                                 \
	NATIVE "kind: Workload\nmetadata: {name: w, namespace: /}\nspec: " spec "\n"

static const struct {
	const char *text;
	const char *code;
	unsigned line;
} bad_rows[] = {
    {POD "metadata: {name: A}\n", "bad-name", 3},
    {POD "metadata: {name: a, namespace: A}\n", "bad-name", 3},
    {POD "metadata: {}\n", "missing-field", 3},
    {POD "metadata: {name: a, labels: {a: 5}}\n", "wrong-type", 3},
    {POD "metadata: {name: a, labels: {a b: c}}\n", "bad-label", 3},
    {POD "metadata: {name: a, labels: {a: b c}}\n", "bad-label", 3},
    {POD "metadata: {name: a}\nspec: {hostNetwork: 'true'}\n", "wrong-type", 4},
    {POD "metadata: {name: a}\nstatus: {podIP: 10.0.0.256}\n", "bad-address", 4},
    {POD "metadata: {name: a}\nstatus: {podIPs: [{ip: 010.0.0.1}]}\n", "bad-address",
	4},
    {POD "metadata: {name: a}\n"
	 "spec: {containers: [{ports: [{name: Http, containerPort: 80}]}]}\n",
	"bad-port", 4},
    {POD "metadata: {name: a}\n"
	 "spec: {containers: [{ports: [{name: http, containerPort: 0}]}]}\n",
	"bad-value", 4},
    {POD "metadata: {name: a}\n"
	 "spec: {containers: [{ports: [{name: http, containerPort: '80'}]}]}\n",
	"wrong-type", 4},
    {POD "metadata: {name: a}\n---\n" POD "metadata: {name: a}\n", "duplicate-object",
	7},
    {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n", "missing-field",
	1},
    {WORKLOAD("{ips: [10.0.0.0/8]}"), "bad-address", 4},
    {WORKLOAD("{ips: 10.0.0.1}"), "wrong-type", 4},
    {WORKLOAD("{ip: 10.0.0.1}"), "unknown-field", 4},
    {WORKLOAD("{ports: [{name: a, port: 70000}]}"), "bad-value", 4},
    {WORKLOAD("{ports: [{name: a, port: 70, protocol: icmp}]}"), "bad-port", 4},
    {WORKLOAD("{ports: [{port: 70}]}"), "missing-field", 4},
    {WORKLOAD("{ports: [{name: '80', port: 70}]}"), "bad-port", 4},
    {WORKLOAD("{node: Worker}"), "bad-name", 4},
    {NATIVE "kind: Workload\nmetadata: {name: w}\n", "missing-field", 3},
    {NATIVE "kind: Workload\nmetadata: {name: w, namespace: /a//b}\n", "bad-path", 3},
};

START_TEST(bad_workload_is_refused)
{
	assert_refused(bad_rows[_i].text, bad_rows[_i].code, bad_rows[_i].line);
}
END_TEST

/* Labels that have been read before are recognized, whatever their order, and mistakes are
 * told of each time. */
START_TEST(labels_that_come_again_are_the_same)
{
	struct loaded *l =
	    load_ok(POD "metadata: {name: a, labels: {x: one, b: two}}\n---\n" POD
			"metadata: {name: b, labels: {x: one, b: two}}\n---\n" POD
			"metadata: {name: c, labels: {b: two, x: one}}\n---\n" POD
			"metadata: {name: d, labels: {b: one, x: two}}\n---\n" POD
			"metadata: {name: e, labels: {z: one, b: two}}\n---\n" POD
			"metadata: {name: f, labels: {x: one, b: }}\n---\n" POD
			"metadata: {name: g, labels: {x: one, b: ''}}\n---\n" POD
			"metadata: {name: h, labels: {x: one}}\n");
	static const struct {
		const char *name, *key, *value;
		size_t count, at;
	} rows[] = {
	    {"a", "x", "one", 2, 1},
	    {"b", "x", "one", 2, 1},
	    {"c", "x", "one", 2, 1},
	    {"d", "x", "two", 2, 1},
	    {"e", "z", "one", 2, 1},
	    {"f", "b", "", 2, 0},
	    {"g", "b", "", 2, 0},
	    {"h", "x", "one", 1, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct label_set labels = find_workload(l, rows[i].name)->shape->labels;

		ck_assert_uint_eq(labels.count, rows[i].count);
		assert_str(labels.items[rows[i].at].key, rows[i].key);
		assert_str(labels.items[rows[i].at].value, rows[i].value);
	}
	ck_assert_ptr_eq(find_workload(l, "a")->shape->labels.items,
	    find_workload(l, "c")->shape->labels.items);
	loaded_free(l);
	l = load(POD "metadata: {name: a, labels: {a: b c}}\n---\n" POD
		     "metadata: {name: b, labels: {a: b c}}\n---\n" POD
		     "metadata: {name: c, labels: {a: 5}}\n---\n" POD
		     "metadata: {name: d, labels: {a: '5'}}\n---\n" POD
		     "metadata: {name: e, labels: {a: 5}}\n");
	ck_assert_uint_eq(l->diags.errors, 4);
	loaded_free(l);
}
END_TEST

START_TEST(workloads_that_share_an_address_are_warned_of)
{
	struct loaded *l =
	    load_ok(POD "metadata: {name: b}\nstatus: {podIP: 10.0.0.1}\n---\n" POD
			"metadata: {name: a}\nstatus: {podIP: 10.0.0.1}\n");
	const struct diag *d = loaded_find(l, "shared-address");
	struct ip_addr addr;

	ck_assert(ip_parse(STR("10.0.0.1"), &addr));
	ck_assert_ptr_eq(model_workload_at(l->m, &addr), find_workload(l, "a"));
	ck_assert_uint_eq(d->loc.line, 3);
	ck_assert_uint_eq(d->note_loc.line, 8);
	loaded_free(l);
}
END_TEST

START_TEST(workloads_are_sorted_by_display_then_name)
{
	static const char *const names[] = {"p1", "p2", "p3", "p0"};
	struct loaded *l = load_ok(POD
	    "metadata: {name: p3, ownerReferences: [{kind: Job, name: a}]}\n---\n" POD
	    "metadata: {name: p2, ownerReferences: [{kind: Job, name: a}],"
	    " namespace: a}\n---\n" POD "metadata: {name: p0}\n---\n" POD
	    "metadata: {name: p1, ownerReferences: [{kind: Job, name: a}],"
	    " namespace: a}\n");

	ck_assert_uint_eq(l->m->workload_count, 4);
	for (size_t i = 0; i < 4; i++) {
		assert_str(l->m->workloads[i]->name, names[i]);
		ck_assert_uint_eq(l->m->workloads[i]->index, i);
	}
	loaded_free(l);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("load_kube");
	TCase *tc = tcase_create("load_kube");

	tcase_add_test(tc, pod_is_read_whole);
	tcase_add_test(tc, pod_of_nobody_owns_itself);
	tcase_add_test(tc, finished_pods_are_no_workloads);
	tcase_add_test(tc, host_network_pod_is_its_node);
	tcase_add_test(tc, node_object_knows_its_addresses_better_than_pods);
	tcase_add_loop_test(
	    tc, template_stands_for_the_pods, 0, (int)ARRAY_LEN(template_rows));
	tcase_add_test(tc, owned_template_is_its_owners);
	tcase_add_test(tc, native_workload_is_read_whole);
	tcase_add_test(tc, native_object_may_name_a_kubernetes_namespace);
	tcase_add_loop_test(tc, bad_workload_is_refused, 0, (int)ARRAY_LEN(bad_rows));
	tcase_add_test(tc, labels_that_come_again_are_the_same);
	tcase_add_test(tc, workloads_that_share_an_address_are_warned_of);
	tcase_add_test(tc, workloads_are_sorted_by_display_then_name);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
