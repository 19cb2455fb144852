/* The loader's frame: kinds, lists, the tree, clusters, identities, numbers. */
#include "load_fixture.h"

#define NATIVE "apiVersion: ringfence.dev/v1alpha1\n"
#define NETPOL "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"

/* ---- kinds ---- */

static const struct {
	const char *text;
	const char *code; /* NULL: nothing is said */
	unsigned line;
} kind_rows[] = {
    {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: s}\n", "skipped-kind", 2},
    {"apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\n", "skipped-kind", 2},
    {"apiVersion: networking.k8s.io/v1\nkind: Ingress\n", "skipped-kind", 2},
    {"some: file\nof: another\n", "skipped-kind", 1},
    {"- a\n- list\n", "skipped-kind", 1},
    {"apiVersion: apps/v1beta2\nkind: Deployment\n", "skipped-kind", 2},
};

START_TEST(unrelated_kinds_are_skipped_with_a_note)
{
	struct loaded *l = load_ok(kind_rows[_i].text);

	if (kind_rows[_i].code == NULL) {
		ck_assert_ptr_null(l->diags.first);
	} else {
		ck_assert_int_eq(
		    loaded_find(l, kind_rows[_i].code)->severity, DIAG_NOTE);
		ck_assert_uint_eq(l->diags.first->loc.line, kind_rows[_i].line);
		ck_assert_uint_eq(l->diags.notes, 1);
	}
	loaded_free(l);
}
END_TEST

START_TEST(skipped_documents_of_one_kind_make_one_note)
{
	struct loaded *l = load_ok("{apiVersion: v1, kind: Secret}\n---\n"
				   "{apiVersion: v1, kind: Secret}\n---\n"
				   "{apiVersion: v1, kind: Event}\n");

	ck_assert_uint_eq(l->diags.notes, 2);
	ck_assert_str_eq(l->diags.first->msg, "2 documents skipped: v1 Secret");
	loaded_free(l);
}
END_TEST

static const struct {
	const char *text;
	const char *code;
	unsigned line;
	const char *hint; /* NULL: whatever */
} bad_kind_rows[] = {
    {"kind: NetworkPolicy\nmetadata: {name: p}\n", "not-an-object", 1, NULL},
    {"apiVersion: networking.k8s.io/v1\nmetadata: {name: p}\n", "not-an-object", 1,
	NULL},
    {"metadata: {name: p}\nspec: {}\n", "not-an-object", 1, NULL},
    {"apiVersion: networking.k8s.io/v1\nkind: ''\n", "not-an-object", 1, NULL},
    {"apiVersion: 5\nkind: NetworkPolicy\n", "wrong-type", 1, NULL},
    {"apiVersion: v1\nkind: [Pod]\n", "wrong-type", 2, NULL},
    {"apiVersion: k8sV1\nkind: NetworkPolicy\n", "unknown-api-version", 1,
	"write networking.k8s.io/v1"},
    {"apiVersion: extensions/v1beta1\nkind: NetworkPolicy\n", "unknown-api-version", 1,
	"write networking.k8s.io/v1"},
    {"apiVersion: networking.k8s.io/v2\nkind: NetworkPolicy\n", "unknown-api-version",
	1, NULL},
    {"apiVersion: policy.networking.k8s.io/v1alpha1\nkind: ClusterNetworkPolicy\n",
	"unknown-api-version", 1, "write policy.networking.k8s.io/v1alpha2"},
    {"apiVersion: ringfence.dev/v1\nkind: Policy\n", "unknown-api-version", 1,
	"write ringfence.dev/v1alpha1"},
    {"apiVersion: networking.k8s.io/v1\nkind: NetworkPolcy\n", "unknown-kind", 2,
	"did you mean NetworkPolicy?"},
    {NATIVE "kind: Polices\n", "unknown-kind", 2, "did you mean Policy?"},
    {NATIVE "kind: Firewall\n", "unknown-kind", 2, NULL},
    {"apiVersion: policy.networking.k8s.io/v1alpha2\nkind: Other\n", "unknown-kind", 2,
	NULL},
    {"apiVersion: networking.k8s.io/v1\nkind: Other\n", "unknown-kind", 2, NULL},
    {"apiVersion: v1\nkind: a b\n", "unknown-kind", 2, NULL},
    {"apiVersion: v1\nkind: List\nitems: {}\n", "wrong-type", 3, NULL},
    {"apiVersion: v1\nkind: List\nitems:\n- 5\n", "not-an-object", 4, NULL},
    {"apiVersion: v1\nkind: List\nitems:\n- metadata: {name: x}\n", "not-an-object", 4,
	NULL},
};

START_TEST(policy_that_cannot_be_told_apart_is_refused)
{
	struct loaded *l = load(bad_kind_rows[_i].text);
	const struct diag *d = loaded_find(l, bad_kind_rows[_i].code);

	if (bad_kind_rows[_i].hint != NULL) {
		ck_assert_ptr_nonnull(d->hint);
		ck_assert_str_eq(d->hint, bad_kind_rows[_i].hint);
	}
	loaded_free(l);
	assert_refused(
	    bad_kind_rows[_i].text, bad_kind_rows[_i].code, bad_kind_rows[_i].line);
}
END_TEST

/* ---- lists ---- */

START_TEST(items_of_typed_list_inherit_kind)
{
	struct loaded *l =
	    load_ok("apiVersion: v1\n"
		    "kind: PodList\n"
		    "metadata: {resourceVersion: '1'}\n"
		    "items:\n"
		    "- metadata: {name: a, namespace: x}\n"
		    "- {apiVersion: v1, kind: Pod, metadata: {name: b}}\n"
		    "---\n"
		    "apiVersion: v1\nkind: NamespaceList\n"
		    "items: [{metadata: {name: x, labels: {team: t}}}]\n"
		    "---\n"
		    "apiVersion: v1\nkind: List\nitems:\n"
		    "- apiVersion: networking.k8s.io/v1\n"
		    "  kind: NetworkPolicyList\n"
		    "  items: [{metadata: {name: p}, spec: {}}]\n"
		    "---\n"
		    "{apiVersion: v1, kind: PodList, items: null}\n");

	ck_assert_uint_eq(l->m->workload_count, 2);
	ck_assert_uint_eq(l->m->policy_count, 1);
	ck_assert_uint_eq(model_kube_ns(l->m, STR(""), STR("x"))->labels.count, 2);
	loaded_free(l);
}
END_TEST

START_TEST(lists_in_lists_are_bounded)
{
	struct arena *a = arena_new();
	const char *text = "{apiVersion: v1, kind: Pod, metadata: {name: p}}";

	for (int i = 0; i < 4; i++)
		text =
		    arena_printf(a, "{apiVersion: v1, kind: List, items: [%s]}", text);
	assert_clean(text);
	text = arena_printf(a, "{apiVersion: v1, kind: List, items: [%s]}", text);
	assert_refused(text, "list-depth", 1);
	arena_free(a);
}
END_TEST

/* ---- the tree ---- */

START_TEST(namespaces_are_a_tree_sorted_by_path)
{
	static const char *const paths[] = {
	    "/", "/acme", "/acme/shop", "/acme/shop/prod", "/acme/web", "/unplaced"};
	struct loaded *l = load_ok(
	    NATIVE "kind: Namespace\n"
		   "metadata: {name: /acme/shop/prod, labels: {env: prod}}\n"
		   "spec: {kubernetes: {namespaces: [shop-prod, shop-extra]},"
		   " owners: [acme-admins, ops]}\n"
		   "---\n" NATIVE "kind: Namespace\n"
		   "metadata: {name: acme-web}\n"
		   "spec: {path: /acme/web}\n"
		   "---\n"
		   "{apiVersion: v1, kind: Namespace, metadata: {name: unplaced}}\n"
		   "---\n"
		   "{apiVersion: v1, kind: Namespace, metadata: {name: shop-prod,"
		   " labels: {team: a, kubernetes.io/metadata.name: lie}}}\n");
	const struct ns *prod = model_ns(l->m, STR("/acme/shop/prod"));
	const struct kube_ns *k = model_kube_ns(l->m, STR(""), STR("shop-prod"));

	ck_assert_uint_eq(l->m->ns_count, ARRAY_LEN(paths));
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		assert_str(l->m->namespaces[i]->path, paths[i]);
		ck_assert_uint_eq(l->m->namespaces[i]->index, i);
	}
	ck_assert_ptr_eq(l->m->namespaces[0], l->m->root);
	ck_assert_ptr_null(l->m->root->parent);
	ck_assert_uint_eq(prod->depth, 3);
	assert_str(prod->parent->path, "/acme/shop");
	ck_assert_ptr_null(prod->parent->loc.source);
	ck_assert_uint_eq(prod->loc.line, 3);
	ck_assert_uint_eq(prod->owner_count, 2);
	assert_str(prod->owners[0], "acme-admins");
	assert_str(prod->labels.items[0].value, "prod");
	ck_assert_ptr_eq(k->ns, prod);
	ck_assert_uint_eq(k->labels.count, 2);
	assert_str(k->labels.items[0].key, "kubernetes.io/metadata.name");
	assert_str(k->labels.items[0].value, "shop-prod");
	assert_str(
	    model_kube_ns(l->m, STR(""), STR("unplaced"))->ns->path, "/unplaced");
	loaded_free(l);
}
END_TEST

START_TEST(namespace_label_is_there_when_nobody_declared_it)
{
	struct loaded *l =
	    load_ok("{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: x}}\n");
	const struct kube_ns *k = find_workload(l, "p")->kube;

	ck_assert_uint_eq(k->labels.count, 1);
	assert_str(k->labels.items[0].key, "kubernetes.io/metadata.name");
	assert_str(k->labels.items[0].value, "x");
	assert_str(k->ns->path, "/x");
	ck_assert_ptr_null(k->loc.source);
	loaded_free(l);
}
END_TEST

/* The place of a namespace does not depend on what is read first. */
START_TEST(placement_holds_whatever_the_order)
{
	const char *const files[] = {"a.yaml",
	    "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: x}}\n",
	    "b.yaml",
	    NATIVE "kind: Namespace\nmetadata: {name: /t/x}\n"
		   "spec: {kubernetes: {namespaces: [x]}}\n",
	    NULL};
	struct loaded *l = load_files(NULL, files);

	assert_str(find_workload(l, "p")->ns->path, "/t/x");
	ck_assert_ptr_null(model_ns(l->m, STR("/x")));
	loaded_free(l);
}
END_TEST

#define NS_NAMED(name) NATIVE "kind: Namespace\nmetadata: {name: " name "}\n"

static const struct {
	const char *text;
	const char *code;
	unsigned line;
} bad_ns_rows[] = {
    {NS_NAMED("/acme//shop"), "bad-path", 3},
    {NS_NAMED("/acme/"), "bad-path", 3},
    {NS_NAMED("/acme/Shop"), "bad-path", 3},
    {NS_NAMED("/acme/.."), "bad-path", 3},
    {NS_NAMED("/a b"), "bad-path", 3},
    {NS_NAMED("/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17"), "bad-path", 3},
    {NS_NAMED("acme"), "missing-field", 3},
    {NS_NAMED("/acme") "spec: {path: /other}\n", "bad-path", 4},
    {NS_NAMED("acme") "spec: {path: acme}\n", "bad-path", 4},
    {NS_NAMED("/acme") "spec: {owner: [a]}\n", "unknown-field", 4},
    {NS_NAMED("/acme") "spec: {owners: a}\n", "wrong-type", 4},
    {NS_NAMED("/acme") "spec: {kubernetes: {}}\n", "missing-field", 4},
    {NS_NAMED("/acme") "spec: {kubernetes: {namespaces: [A]}}\n", "bad-name", 4},
    {NATIVE "kind: Namespace\nmetadata: {name: /acme, namespace: /}\n", "unknown-field",
	3},
    {NS_NAMED("/acme") "---\n" NS_NAMED("/acme"), "duplicate-object", 7},
    {NS_NAMED("/a") "spec: {kubernetes: {namespaces: [x]}}\n---\n" NS_NAMED(
	 "/b") "spec: {kubernetes: {namespaces: [x]}}\n",
	"placed-twice", 9},
    {"apiVersion: v1\nkind: Namespace\nmetadata: {name: a.b}\n", "bad-name", 3},
    {"apiVersion: v1\nkind: Namespace\nmetadata: {labels: {}}\n", "missing-field", 3},
    {"apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n"
     "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n",
	"duplicate-object", 7},
};

START_TEST(bad_namespace_is_refused)
{
	assert_refused(
	    bad_ns_rows[_i].text, bad_ns_rows[_i].code, bad_ns_rows[_i].line);
}
END_TEST

START_TEST(sixteen_levels_are_not_too_deep)
{
	assert_clean(NS_NAMED("/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16"));
}
END_TEST

#define WORKLOAD_IN(ns)                                                                \
	NATIVE "kind: Workload\nmetadata: {name: w, namespace: " ns "}\n"

START_TEST(undeclared_namespace_is_warned_of_once_with_suggestion)
{
	struct loaded *l = load_ok(NS_NAMED("/acme/shop") "---\n" WORKLOAD_IN(
	    "/acme/shpo") "---\n" NATIVE "kind: Workload\n"
			  "metadata: {name: v, namespace: /acme/shpo}\n");
	const struct diag *d = loaded_find(l, "unknown-namespace");

	ck_assert_uint_eq(loaded_count(l, "unknown-namespace"), 1);
	ck_assert_str_eq(d->hint, "did you mean /acme/shop?");
	ck_assert_uint_eq(d->loc.line, 7);
	assert_str(find_workload(l, "w")->ns->path, "/acme/shpo");
	loaded_free(l);
}
END_TEST

START_TEST(known_namespaces_are_not_warned_of)
{
	assert_clean(NS_NAMED("/acme/shop") "---\n" WORKLOAD_IN("/acme/shop"));
	assert_clean(NS_NAMED("/acme/shop") "---\n" WORKLOAD_IN("/acme"));
	assert_clean(WORKLOAD_IN("/"));
	assert_clean(WORKLOAD_IN("/x") "---\n{apiVersion: v1, kind: Namespace,"
				       " metadata: {name: x}}\n");
	assert_clean(WORKLOAD_IN("x") "---\n{apiVersion: v1, kind: Pod,"
				      " metadata: {name: p, namespace: x}}\n");
	assert_warned(WORKLOAD_IN("x"), "unknown-namespace", 3);
	assert_warned(WORKLOAD_IN("/x"), "unknown-namespace", 3);
}
END_TEST

/* ---- clusters ---- */

START_TEST(sources_belong_to_the_cluster_of_their_path)
{
	struct model_options options = {0};
	const char *const files[] = {"k/east/a.yaml",
	    "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: x}}\n",
	    "k/eastern/a.yaml",
	    "{apiVersion: v1, kind: Pod, metadata: {name: q, namespace: x}}\n",
	    "west.yaml",
	    "{apiVersion: v1, kind: Pod, metadata: {name: r, namespace: x}}\n",
	    "tree.yaml",
	    NATIVE "kind: Namespace\nmetadata: {name: /t}\n"
		   "spec: {kubernetes: {cluster: east, namespaces: [x]}}\n",
	    NULL};
	struct loaded *l;

	options.clusters = (const void *)(const struct { struct str name, path; }[]){
	    {STR("east"), STR("k/east/")}, {STR("west"), STR("west.yaml")}};
	options.cluster_count = 2;
	l = load_files(&options, files);
	ck_assert_msg(l->ok, "%s", loaded_text(l));
	assert_str(find_workload(l, "p")->kube->cluster, "east");
	assert_str(find_workload(l, "p")->ns->path, "/t");
	assert_str(find_workload(l, "p")->shape->display, "east/x/p[Pod]");
	assert_str(find_workload(l, "q")->kube->cluster, "");
	assert_str(find_workload(l, "q")->shape->display, "x/q[Pod]");
	assert_str(find_workload(l, "r")->kube->cluster, "west");
	assert_str(find_workload(l, "r")->ns->path, "/x");
	ck_assert_ptr_eq(
	    model_kube_ns(l->m, STR("east"), STR("x")), find_workload(l, "p")->kube);
	loaded_free(l);
}
END_TEST

START_TEST(nearest_cluster_path_wins)
{
	struct model_options options = {0};
	const char *const files[] = {"k/east/a.yaml",
	    "{apiVersion: v1, kind: Pod, metadata: {name: p}}\n", "k/a.yaml",
	    "{apiVersion: v1, kind: Pod, metadata: {name: q}}\n", NULL};
	struct loaded *l;

	options.clusters = (const void *)(const struct { struct str name, path; }[]){
	    {STR("east"), STR("k/east")}, {STR("other"), STR("k")}};
	options.cluster_count = 2;
	l = load_files(&options, files);
	assert_str(find_workload(l, "p")->kube->cluster, "east");
	assert_str(find_workload(l, "q")->kube->cluster, "other");
	loaded_free(l);
}
END_TEST

START_TEST(placement_names_its_cluster_when_there_are_several)
{
	static const char text[] =
	    NS_NAMED("/t") "spec: {kubernetes: {namespaces: [x]}}\n";
	struct model_options options = {0};
	struct loaded *l;

	options.clusters = (const void *)(const struct { struct str name, path; }[]){
	    {STR("east"), STR("k/east")}, {STR("west"), STR("k/west")}};
	options.cluster_count = 2;
	l = load_with(&options, text);
	ck_assert_uint_eq(loaded_count(l, "which-cluster"), 1);
	ck_assert(!l->ok);
	loaded_free(l);
	l = load_files(&options, (const char *const[]){"k/west/a.yaml", text, NULL});
	ck_assert(l->ok);
	loaded_free(l);
	assert_warned(
	    NS_NAMED("/t") "spec: {kubernetes: {cluster: est, namespaces: [x]}}\n",
	    "unknown-cluster", 4);
}
END_TEST

/* ---- identities and numbers ---- */

#define NP(name, ns)                                                                   \
	NETPOL "metadata: {name: " name ", namespace: " ns "}\n"                       \
	       "spec: {ingress: [{}, {}], egress: [{}]}\n"

START_TEST(duplicate_object_is_refused_with_a_note_at_the_first)
{
	struct loaded *l = load(NP("p", "x") "---\n" NP("p", "x"));
	const struct diag *d = loaded_find(l, "duplicate-object");

	ck_assert(!l->ok);
	ck_assert_uint_eq(d->loc.line, 8);
	ck_assert_uint_eq(d->note_loc.line, 3);
	ck_assert_uint_eq(l->m->policy_count, 1);
	loaded_free(l);
	assert_clean(NP("p", "x") "---\n" NP("p", "w") "---\n" NP("q", "x"));
}
END_TEST

/* Every number in the order of the policies and their rules. */
static size_t
collect_numbers(const struct loaded *l, const char *name, uint32_t *out)
{
	const struct policy *p = find_policy(l, name);
	size_t count = 0;

	for (unsigned dir = 0; dir < DIRECTION_COUNT; dir++) {
		for (size_t i = 0; i < p->allow[dir].count; i++)
			out[count++] = p->allow[dir].rules[i].number;
		out[count++] = p->isolate_number[dir];
	}
	return count;
}

START_TEST(rule_numbers_depend_on_the_rule_alone)
{
	const char *const alone[] = {"a.yaml", NP("p", "x"), NULL};
	const char *const among[] = {"z.yaml", NP("q", "x") "---\n" NP("p", "z"),
	    "b.yaml", "# moved\n\n" NP("p", "x"), NULL};
	uint32_t a[8], b[8], other[8];
	struct loaded *first = load_files(NULL, alone);
	struct loaded *second = load_files(NULL, among);
	size_t count = collect_numbers(first, "p", a);

	ck_assert_uint_eq(count, 5);
	/* The one of namespace x is found first: the policies are sorted by level. */
	ck_assert_uint_eq(collect_numbers(second, "p", b), count);
	ck_assert_mem_eq(a, b, count * sizeof(*a));
	ck_assert_uint_eq(collect_numbers(second, "q", other), count);
	for (size_t i = 0; i < count; i++) {
		ck_assert_uint_ge(a[i], NUMBER_FIRST_RULE);
		ck_assert_uint_le(a[i], INT32_MAX);
		for (size_t j = 0; j < count; j++) {
			ck_assert(a[i] != other[j]);
			ck_assert(i == j || a[i] != a[j]);
		}
	}
	loaded_free(first);
	loaded_free(second);
}
END_TEST

/* The first rules of these two hash alike (found by search). */
START_TEST(colliding_numbers_are_told_apart_in_any_order)
{
	const char *const one[] = {
	    "a.yaml", NP("p-17399", "x") "---\n" NP("p-34175", "x"), NULL};
	const char *const two[] = {
	    "a.yaml", NP("p-34175", "x") "---\n" NP("p-17399", "x"), NULL};
	uint32_t a[2][8], b[2][8];
	struct loaded *first = load_files(NULL, one), *second = load_files(NULL, two);

	ck_assert_uint_eq(collect_numbers(first, "p-17399", a[0]), 5);
	ck_assert_uint_eq(collect_numbers(first, "p-34175", a[1]), 5);
	ck_assert_uint_eq(collect_numbers(second, "p-17399", b[0]), 5);
	ck_assert_uint_eq(collect_numbers(second, "p-34175", b[1]), 5);
	ck_assert_uint_eq(a[1][0], a[0][0] + 1);
	ck_assert_mem_eq(a, b, sizeof(a[0]) / 8 * 5);
	ck_assert_uint_eq(b[1][0], a[1][0]);
	loaded_free(first);
	loaded_free(second);
}
END_TEST

/* SipHash-2-4 with the loader's fixed key, of "NetworkPolicy\n\nx\np\nallow\ningress\n0":
 * numbers stand in logs and in the kernel and must not change between releases. */
START_TEST(rule_numbers_are_stable_between_releases)
{
	struct loaded *l = load_ok(NP("p", "x"));
	uint64_t hash = map_siphash(UINT64_C(0x72696e6766656e63), 1,
	    STR("NetworkPolicy\n\nx\np\nallow\ningress\n0"));

	ck_assert_uint_eq(find_policy(l, "p")->allow[DIR_INGRESS].rules[0].number,
	    hash % (0x7f000000u - NUMBER_FIRST_RULE) + NUMBER_FIRST_RULE);
	loaded_free(l);
}
END_TEST

START_TEST(policies_are_in_evaluation_order)
{
	static const char *const names[] = {"z", "b", "c", "a"};
	struct loaded *l = load_ok(NATIVE
	    "kind: Policy\nmetadata: {name: a, namespace: /}\n"
	    "spec: {priority: 5}\n---\n" NATIVE
	    "kind: Policy\nmetadata: {name: c, namespace: /}\nspec: {}\n---\n" NATIVE
	    "kind: Policy\nmetadata: {name: b, namespace: /}\nspec: {}\n---\n" NATIVE
	    "kind: Policy\nmetadata: {name: z, namespace: /}\n"
	    "spec: {priority: -1}\n");

	ck_assert_uint_eq(l->m->root->policy_count, 4);
	for (size_t i = 0; i < 4; i++) {
		assert_str(l->m->root->policies[i]->name, names[i]);
		ck_assert_ptr_eq(l->m->policies[i], l->m->root->policies[i]);
	}
	loaded_free(l);
}
END_TEST

/* Nothing follows from it, and nobody else's number changes, unless it is asked for. */
START_TEST(policy_that_is_only_watched_is_read_and_not_there)
{
	static const char text[] = NATIVE
	    "kind: Policy\nmetadata: {name: a, namespace: /}\n"
	    "spec: {enforcement: audit, default: {ingress: [{action: "
	    "deny}]}}\n---\n" NATIVE "kind: Policy\nmetadata: {name: b, namespace: /}\n"
	    "spec: {enforcement: enforce, default: {ingress: [{action: deny}]}}\n";
	const struct model_options watched = {.audit_enforced = true};
	struct loaded *l = load_ok(text);
	struct loaded *all = load_ok_with(&watched, text);

	ck_assert_uint_eq(l->m->policy_count, 1);
	ck_assert_uint_eq(l->m->root->policy_count, 1);
	ck_assert_uint_eq(l->m->audit_count, 1);
	assert_str(l->m->policies[0]->name, "b");
	ck_assert_uint_eq(all->m->policy_count, 2);
	ck_assert_uint_eq(all->m->audit_count, 1);
	assert_str(all->m->policies[0]->name, "a");
	ck_assert(all->m->policies[0]->audit && !all->m->policies[1]->audit);
	ck_assert_uint_eq(all->m->policies[1]->defaults[DIR_INGRESS].rules[0].number,
	    l->m->policies[0]->defaults[DIR_INGRESS].rules[0].number);
	loaded_free(l);
	loaded_free(all);
}
END_TEST

#define SAYING(group, kind, value)                                                     \
	"apiVersion: " group "\nkind: " kind "\n"                                      \
	"metadata: {name: default, annotations: {ringfence.dev/enforcement: " value    \
	"}}\nspec:"
#define ADMIN "policy.networking.k8s.io/"

START_TEST(policy_of_kubernetes_is_only_watched_by_annotation)
{
	static const char *const heads[][2] = {
	    {SAYING("networking.k8s.io/v1", "NetworkPolicy", "audit"),
		SAYING("networking.k8s.io/v1", "NetworkPolicy", "enforce")},
	    {SAYING(ADMIN "v1alpha1", "AdminNetworkPolicy", "audit"),
		SAYING(ADMIN "v1alpha1", "AdminNetworkPolicy", "enforce")},
	    {SAYING(ADMIN "v1alpha1", "BaselineAdminNetworkPolicy", "audit"),
		SAYING(ADMIN "v1alpha1", "BaselineAdminNetworkPolicy", "enforce")},
	    {SAYING(ADMIN "v1alpha2", "ClusterNetworkPolicy", "audit"),
		SAYING(ADMIN "v1alpha2", "ClusterNetworkPolicy", "enforce")},
	};
	static const char *const specs[] = {" {podSelector: {}}\n",
	    " {priority: 1, subject: {namespaces: {}}}\n",
	    " {subject: {namespaces: {}}}\n",
	    " {tier: Admin, priority: 1, subject: {namespaces: {}}}\n"};

	for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
		for (size_t enforced = 0; enforced < 2; enforced++) {
			struct buf text = {0};
			struct loaded *l;

			buf_printf(&text, "%s%s", heads[i][enforced], specs[i]);
			l = load_ok(buf_str(&text).ptr);
			ck_assert_uint_eq(l->m->policy_count, enforced);
			ck_assert_uint_eq(l->m->audit_count, 1 - enforced);
			loaded_free(l);
			buf_free(&text);
		}
	}
	assert_refused(SAYING(ADMIN "v1alpha1", "AdminNetworkPolicy",
			   "never") " {priority: 1, subject: {namespaces: {}}}\n",
	    "bad-value", 3);
	assert_refused(SAYING(ADMIN "v1alpha1", "AdminNetworkPolicy",
			   "off") " {priority: 1, subject: {namespaces: {}}}\n",
	    "wrong-type", 3);
}
END_TEST

START_TEST(every_code_has_an_explanation)
{
	for (size_t i = 0; i < DIAG_CODE_COUNT; i++) {
		const struct diag_code_info *info = &diag_code_table[i];

		ck_assert_ptr_eq(diag_code_find(info->code), info);
		ck_assert_uint_gt(strlen(info->text), 10);
		ck_assert_uint_eq(strspn(info->code, "abcdefghijklmnopqrstuvwxyz-"),
		    strlen(info->code));
	}
	ck_assert_ptr_null(diag_code_find("no-such-code"));
}
END_TEST

START_TEST(syntax_error_keeps_what_came_before)
{
	struct loaded *l =
	    load("{apiVersion: v1, kind: Pod, metadata: {name: p}}\n---\n"
		 "{apiVersion: v1, kind: Pod, metadata: {name: q\n");

	ck_assert(!l->ok);
	ck_assert_uint_eq(l->m->workload_count, 1);
	loaded_free(l);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("load");
	TCase *tc = tcase_create("load");

#define LOOP(test, rows) tcase_add_loop_test(tc, test, 0, (int)ARRAY_LEN(rows))
	LOOP(unrelated_kinds_are_skipped_with_a_note, kind_rows);
	tcase_add_test(tc, skipped_documents_of_one_kind_make_one_note);
	LOOP(policy_that_cannot_be_told_apart_is_refused, bad_kind_rows);
	tcase_add_test(tc, items_of_typed_list_inherit_kind);
	tcase_add_test(tc, lists_in_lists_are_bounded);
	tcase_add_test(tc, namespaces_are_a_tree_sorted_by_path);
	tcase_add_test(tc, namespace_label_is_there_when_nobody_declared_it);
	tcase_add_test(tc, placement_holds_whatever_the_order);
	LOOP(bad_namespace_is_refused, bad_ns_rows);
	tcase_add_test(tc, sixteen_levels_are_not_too_deep);
	tcase_add_test(tc, undeclared_namespace_is_warned_of_once_with_suggestion);
	tcase_add_test(tc, known_namespaces_are_not_warned_of);
	tcase_add_test(tc, sources_belong_to_the_cluster_of_their_path);
	tcase_add_test(tc, nearest_cluster_path_wins);
	tcase_add_test(tc, placement_names_its_cluster_when_there_are_several);
	tcase_add_test(tc, duplicate_object_is_refused_with_a_note_at_the_first);
	tcase_add_test(tc, rule_numbers_depend_on_the_rule_alone);
	tcase_add_test(tc, colliding_numbers_are_told_apart_in_any_order);
	tcase_add_test(tc, rule_numbers_are_stable_between_releases);
	tcase_add_test(tc, policies_are_in_evaluation_order);
	tcase_add_test(tc, policy_that_is_only_watched_is_read_and_not_there);
	tcase_add_test(tc, policy_of_kubernetes_is_only_watched_by_annotation);
	tcase_add_test(tc, every_code_has_an_explanation);
	tcase_add_test(tc, syntax_error_keeps_what_came_before);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
