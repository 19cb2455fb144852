#include "tests/property/cluster.h"

#include "tests/property/cluster_words.h"

const char *const cluster_paths[CLUSTER_PATHS] = {
    "/", "/a", "/a/b", "/a/b/c", "/a/d", "/e"};
/* Where Kubernetes namespace i is placed; two share a node, two are not placed. */
static const char *const placed_at[] = {"/a/b", "/a/b", "/a/b/c", "/e"};

const char *const cluster_names[CLUSTER_MAX] = {"east", "west"};

bool
cluster_chance(struct dice *dice, unsigned one_in)
{
	return dice_roll(dice, one_in) == 0;
}

/* ---- selectors ---- */

static void
print_selector(struct buf *out, struct dice *dice, const char *const *keys,
    size_t key_count, const char *value_prefix)
{
	const char *key = keys[dice_roll(dice, (unsigned)key_count)];
	unsigned value = dice_roll(dice, 3);

	switch (dice_roll(dice, 6)) {
	case 0:
		buf_add_cstr(out, "{}");
		break;
	case 1:
		buf_printf(
		    out, "{matchExpressions: [{key: %s, operator: Exists}]}", key);
		break;
	case 2:
		buf_printf(out,
		    "{matchExpressions: [{key: %s, operator: NotIn, "
		    "values: [%s%u]}]}",
		    key, value_prefix, value);
		break;
	case 3:
		buf_printf(out,
		    "{matchExpressions: [{key: %s, operator: In, "
		    "values: [%s%u, %s%u]}, {key: %s, operator: "
		    "DoesNotExist}]}",
		    keys[0], value_prefix, value, value_prefix, (value + 1) % 3,
		    keys[key_count - 1]);
		break;
	default:
		buf_printf(out, "{matchLabels: {%s: %s%u}}", key, value_prefix, value);
		break;
	}
}

void
cluster_print_pods(struct buf *out, struct dice *dice)
{
	static const char *const keys[] = {"app", "tier"};

	print_selector(out, dice, keys, 2, "v");
}

void
cluster_print_spaces(struct buf *out, struct dice *dice)
{
	static const char *const keys[] = {"team", "env"};

	print_selector(out, dice, keys, 2, "t");
}

/* ---- the tree, nodes, workloads ---- */

/* The Kubernetes namespaces placed at a path, of every cluster. */
static void
print_placed(struct buf *out, const char *path, unsigned clusters)
{
	const char *comma = "";

	for (unsigned k = 0; k < ARRAY_LEN(placed_at); k++) {
		if (!str_is(str_from(placed_at[k]), path))
			continue;
		for (unsigned c = 0; c < (clusters == 0 ? 1 : clusters); c++) {
			buf_printf(out, "%s%s%sk%u", comma,
			    clusters == 0 ? "" : cluster_names[c],
			    clusters == 0 ? "" : "/", k);
			comma = ", ";
		}
	}
}

static void
print_tree(struct buf *out, unsigned clusters)
{
	for (unsigned i = 1; i < ARRAY_LEN(cluster_paths); i++) {
		buf_printf(out,
		    "---\napiVersion: ringfence.dev/v1alpha1\nkind: Namespace\n"
		    "metadata: {name: %s, labels: {team: t%u}}\n"
		    "spec: {kubernetes: {namespaces: [",
		    cluster_paths[i], i % 3);
		print_placed(out, cluster_paths[i], clusters);
		buf_add_cstr(out, "]}}\n");
	}
}

/* `c`: which cluster; their labels and addresses differ. */
static void
print_kube_namespaces(struct buf *out, unsigned c)
{
	for (unsigned k = 0; k < CLUSTER_KUBE; k++)
		buf_printf(out,
		    "---\napiVersion: v1\nkind: Namespace\n"
		    "metadata: {name: k%u, labels: {team: t%u%s}}\n",
		    k, (k + c) % 3, k % 2 == 0 ? ", env: t1" : "");
}

static void
print_nodes(struct buf *out, unsigned c)
{
	for (unsigned i = 0; i < CLUSTER_NODES; i++)
		buf_printf(out,
		    "---\napiVersion: v1\nkind: Node\n"
		    "metadata: {name: node-%u, labels: {zone: z%u}}\n"
		    "status: {addresses: [{type: InternalIP, address: 10.9.%u.%u}, "
		    "{type: InternalIP, address: \"fd00:9:%u::%u\"}]}\n",
		    i, i % 2, c, i + 1, c, i + 1);
}

/* Some share an address with a neighbour, some have none. */
static void
print_addresses(struct buf *out, struct dice *dice, unsigned i, const char *before,
    const char *after)
{
	unsigned number = cluster_chance(dice, 12) ? i : i + 1;
	/* What Routes speak of, or what is known by a name, may be somebody's. */
	static const char *const others[] = {"192.0.2.80", "198.51.100.7", "192.0.2.7",
	    "8.8.8.8", "198.51.100.1", "10.9.0.1"}; /* a node's */
	bool v4 = !cluster_chance(dice, 6), v6 = cluster_chance(dice, 2);

	if (cluster_chance(dice, 6)) {
		buf_printf(out, "%s%s%s", before, PICK(dice, others), after);
		return;
	}

	if (v4)
		buf_printf(out, "%s10.1.%u.%u%s", before, i % 2, number, after);
	if (v6)
		buf_printf(
		    out, "%s%s\"fd00:1::%x\"%s", v4 ? ", " : "", before, number, after);
}

static void
print_labels(struct buf *out, struct dice *dice)
{
	buf_printf(out, "labels: {app: v%u", dice_roll(dice, 3));
	if (!cluster_chance(dice, 3))
		buf_printf(out, ", tier: v%u", dice_roll(dice, 3));
	buf_add_char(out, '}');
}

static void
print_port_names(struct buf *out, struct dice *dice, const char *number,
    const char *tcp, const char *udp)
{
	buf_printf(out,
	    "[{name: http, %s: %u, protocol: %s}, "
	    "{name: dns, %s: 53, protocol: %s}",
	    number, cluster_chance(dice, 2) ? 80 : 8080, tcp, number, udp);
	if (cluster_chance(dice, 2))
		buf_printf(out, ", {name: metrics, %s: %u, protocol: %s}", number,
		    9090 + dice_roll(dice, 2), cluster_chance(dice, 2) ? tcp : udp);
	buf_add_cstr(out, "]\n");
}

static void
print_pod(struct buf *out, struct dice *dice, unsigned i, unsigned c)
{
	/* One node more is known by its pods alone. */
	unsigned node = dice_roll(dice, CLUSTER_NODES + 1);
	bool host = cluster_chance(dice, 8);

	buf_printf(out,
	    "---\napiVersion: v1\nkind: Pod\nmetadata: {name: w%u, "
	    "namespace: k%u, ",
	    i, dice_roll(dice, CLUSTER_KUBE));
	print_labels(out, dice);
	buf_printf(out, "}\nspec:\n  nodeName: node-%u\n  serviceAccountName: sa%u\n",
	    node, dice_roll(dice, 2));
	if (host)
		buf_add_cstr(out, "  hostNetwork: true\n");
	buf_add_cstr(out, "  containers:\n    - name: c\n");
	if (cluster_chance(dice, 2)) {
		buf_add_cstr(out, "      ports: ");
		print_port_names(out, dice, "containerPort", "TCP", "UDP");
	}
	buf_add_cstr(out, "status: {phase: Running, ");
	if (cluster_chance(dice, 2))
		buf_printf(
		    out, "hostIP: 10.9.%u.%u, ", c, node + 1 + 10 * dice_roll(dice, 2));
	buf_add_cstr(out, "podIPs: [");
	/* A hostNetwork pod's address is not always one that the node reports, and a pod
	 * of its own network may be said to have a node's. */
	if (host || cluster_chance(dice, 30))
		buf_printf(
		    out, "{ip: 10.9.%u.%u}", c, node + 1 + 10 * dice_roll(dice, 2));
	else
		print_addresses(out, dice, i, "{ip: ", "}");
	buf_add_cstr(out, "]}\n");
}

void
cluster_print_own(
    struct buf *out, struct dice *dice, const char *before, unsigned clusters)
{
	if (clusters != 0)
		buf_printf(
		    out, "%s%s", before, cluster_names[dice_roll(dice, clusters)]);
}

const char *
cluster_home(struct dice *dice, unsigned clusters)
{
	static const char *const kube[CLUSTER_KUBE] = {
	    "k0", "k1", "k2", "k3", "k4", "k5"};

	return clusters == 0 && cluster_chance(dice, 4) ? PICK(dice, kube)
							: PICK(dice, cluster_paths);
}

static void
print_native(struct buf *out, struct dice *dice, unsigned i, unsigned clusters)
{
	buf_printf(out,
	    "---\napiVersion: ringfence.dev/v1alpha1\nkind: Workload\n"
	    "metadata: {name: w%u, namespace: %s, ",
	    i, cluster_home(dice, clusters));
	print_labels(out, dice);
	buf_add_cstr(out, "}\nspec:\n");
	/* Of no cluster, it cannot say which node it means. */
	if (clusters == 0 || !cluster_chance(dice, 4))
		buf_printf(out, "  node: node-%u\n", dice_roll(dice, CLUSTER_NODES));
	else
		clusters = 0;
	cluster_print_own(out, dice, "  cluster: ", clusters);
	buf_add_char(out, '\n');
	buf_add_cstr(out, "  ips: [");
	print_addresses(out, dice, i, "", "");
	buf_add_cstr(out, "]\n");
	if (cluster_chance(dice, 2)) {
		buf_add_cstr(out, "  ports: ");
		print_port_names(out, dice, "port", "tcp", "udp");
	}
}

/* Where the Kubernetes documents of a cluster stand. */
static struct buf *
kube_text(struct cluster_texts *out, unsigned c)
{
	return out->clusters == 0 ? &out->tree : &out->kube[c];
}

void
cluster_print(struct cluster_texts *out, struct dice *dice)
{
	unsigned workloads = 4 + dice_roll(dice, 16);
	unsigned policies = 1 + dice_roll(dice, 10);
	unsigned count;

	out->clusters = cluster_chance(dice, 3) ? CLUSTER_MAX : 0;
	count = out->clusters == 0 ? 1 : out->clusters;
	print_tree(&out->tree, out->clusters);
	for (unsigned c = 0; c < count; c++) {
		print_kube_namespaces(kube_text(out, c), c);
		print_nodes(kube_text(out, c), c);
	}
	for (unsigned i = 0; i < workloads; i++) {
		unsigned c = dice_roll(dice, count);

		if (cluster_chance(dice, 3))
			print_native(&out->tree, dice, i, out->clusters);
		else
			print_pod(kube_text(out, c), dice, i, c);
	}
	for (unsigned i = 0; i < policies; i++)
		cluster_print_policy(
		    out, kube_text(out, dice_roll(dice, count)), dice, i);
	for (unsigned c = 0; c < count; c++) {
		if (cluster_chance(dice, 2))
			cluster_print_baseline(kube_text(out, c), dice);
	}
}
