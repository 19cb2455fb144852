#include "tests/property/cluster.h"

#include "tests/property/names.h"

#define KUBE_COUNT 6

static const char *const paths[] = {"/", "/a", "/a/b", "/a/b/c", "/a/d", "/e"};
/* Where Kubernetes namespace i is placed; two share a node, two are not placed. */
static const char *const placed_at[] = {"/a/b", "/a/b", "/a/b/c", "/e"};

/* Networks that contain, touch and split each other and the addresses of pods. */
static const char *const nets4[] = {"10.1.0.0/16", "10.1.0.0/24", "10.1.0.8/29",
    "10.1.1.0/24", "10.0.0.0/8", "0.0.0.0/0", "10.9.0.0/24", "192.0.2.0/24",
    "192.0.3.0/24", "10.1.0.3/32", "255.255.255.255/32", "128.0.0.0/1"};
static const char *const nets6[] = {"fd00:1::/64", "fd00:1::/120", "fd00::/8", "::/0",
    "fd00:9::/64", "fd00:1::4/126", "ffff::/16"};
/* A network and a part of it. */
static const char *const excepts[][2] = {{"10.1.0.0/16", "10.1.0.0/29"},
    {"0.0.0.0/0", "10.0.0.0/8"}, {"10.0.0.0/8", "10.1.0.8/29"},
    {"fd00::/8", "fd00:1::/120"}, {"192.0.2.0/23", "192.0.2.0/24"}};

static const char *const ports_native[] = {"80/tcp", "8080/tcp", "80-95/tcp",
    "80-96/tcp", "1-65535/tcp", "1-79/tcp", "1024-65535/udp", "53/udp", "tcp", "udp",
    "sctp", "7000-7003/sctp", "icmp", "icmpv6", "http", "dns", "metrics"};
static const char *const ports_kube[] = {"{port: 80}", "{port: 8080, protocol: TCP}",
    "{port: 80, endPort: 95}", "{port: 1, endPort: 65535}",
    "{port: 1024, endPort: 65535, protocol: UDP}", "{port: 53, protocol: UDP}", "{}",
    "{protocol: SCTP}", "{port: http}", "{port: dns, protocol: UDP}",
    "{port: metrics}"};
static const char *const ports_admin[] = {"{portNumber: {protocol: TCP, port: 80}}",
    "{portNumber: {protocol: UDP, port: 53}}",
    "{portRange: {protocol: TCP, start: 8000, end: 9000}}",
    "{portRange: {protocol: TCP, start: 80, end: 90}}",
    "{portNumber: {protocol: SCTP, port: 7001}}"};

#define PICK(dice, list) (list)[dice_roll((dice), (unsigned)ARRAY_LEN(list))]

const char *const cluster_names[CLUSTER_MAX] = {"east", "west"};

static bool
chance(struct dice *dice, unsigned one_in)
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

static void
print_pods(struct buf *out, struct dice *dice)
{
	static const char *const keys[] = {"app", "tier"};

	print_selector(out, dice, keys, 2, "v");
}

static void
print_spaces(struct buf *out, struct dice *dice)
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
	for (unsigned i = 1; i < ARRAY_LEN(paths); i++) {
		buf_printf(out,
		    "---\napiVersion: ringfence.dev/v1alpha1\nkind: Namespace\n"
		    "metadata: {name: %s, labels: {team: t%u}}\n"
		    "spec: {kubernetes: {namespaces: [",
		    paths[i], i % 3);
		print_placed(out, paths[i], clusters);
		buf_add_cstr(out, "]}}\n");
	}
}

/* `c`: which cluster; their labels and addresses differ. */
static void
print_kube_namespaces(struct buf *out, unsigned c)
{
	for (unsigned k = 0; k < KUBE_COUNT; k++)
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
	unsigned number = chance(dice, 12) ? i : i + 1;
	/* What Routes speak of, or what is known by a name, may be somebody's. */
	static const char *const others[] = {
	    "192.0.2.80", "198.51.100.7", "192.0.2.7", "8.8.8.8", "198.51.100.1"};
	bool v4 = !chance(dice, 6), v6 = chance(dice, 2);

	if (chance(dice, 6)) {
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
	if (!chance(dice, 3))
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
	    number, chance(dice, 2) ? 80 : 8080, tcp, number, udp);
	if (chance(dice, 2))
		buf_printf(out, ", {name: metrics, %s: %u, protocol: %s}", number,
		    9090 + dice_roll(dice, 2), chance(dice, 2) ? tcp : udp);
	buf_add_cstr(out, "]\n");
}

static void
print_pod(struct buf *out, struct dice *dice, unsigned i, unsigned c)
{
	/* One node more is known by its pods alone. */
	unsigned node = dice_roll(dice, CLUSTER_NODES + 1);
	bool host = chance(dice, 8);

	buf_printf(out,
	    "---\napiVersion: v1\nkind: Pod\nmetadata: {name: w%u, "
	    "namespace: k%u, ",
	    i, dice_roll(dice, KUBE_COUNT));
	print_labels(out, dice);
	buf_printf(out, "}\nspec:\n  nodeName: node-%u\n  serviceAccountName: sa%u\n",
	    node, dice_roll(dice, 2));
	if (host)
		buf_add_cstr(out, "  hostNetwork: true\n");
	buf_add_cstr(out, "  containers:\n    - name: c\n");
	if (chance(dice, 2)) {
		buf_add_cstr(out, "      ports: ");
		print_port_names(out, dice, "containerPort", "TCP", "UDP");
	}
	buf_add_cstr(out, "status: {phase: Running, ");
	if (chance(dice, 2))
		buf_printf(
		    out, "hostIP: 10.9.%u.%u, ", c, node + 1 + 10 * dice_roll(dice, 2));
	buf_add_cstr(out, "podIPs: [");
	/* A hostNetwork pod's address is not always one that the node reports, and a pod
	 * of its own network may be said to have a node's. */
	if (host || chance(dice, 30))
		buf_printf(
		    out, "{ip: 10.9.%u.%u}", c, node + 1 + 10 * dice_roll(dice, 2));
	else
		print_addresses(out, dice, i, "{ip: ", "}");
	buf_add_cstr(out, "]}\n");
}

/* `before` and the name of one of the clusters, if there are several. */
static void
print_own_cluster(
    struct buf *out, struct dice *dice, const char *before, unsigned clusters)
{
	if (clusters != 0)
		buf_printf(
		    out, "%s%s", before, cluster_names[dice_roll(dice, clusters)]);
}

/* Of a native document: a path or, where it can only be that of one cluster, a Kubernetes
 * namespace. */
static const char *
home(struct dice *dice, unsigned clusters)
{
	static const char *const kube[KUBE_COUNT] = {
	    "k0", "k1", "k2", "k3", "k4", "k5"};

	return clusters == 0 && chance(dice, 4) ? PICK(dice, kube) : PICK(dice, paths);
}

static void
print_native(struct buf *out, struct dice *dice, unsigned i, unsigned clusters)
{
	buf_printf(out,
	    "---\napiVersion: ringfence.dev/v1alpha1\nkind: Workload\n"
	    "metadata: {name: w%u, namespace: %s, ",
	    i, home(dice, clusters));
	print_labels(out, dice);
	buf_add_cstr(out, "}\nspec:\n");
	/* Of no cluster, it cannot say which node it means. */
	if (clusters == 0 || !chance(dice, 4))
		buf_printf(out, "  node: node-%u\n", dice_roll(dice, CLUSTER_NODES));
	else
		clusters = 0;
	print_own_cluster(out, dice, "  cluster: ", clusters);
	buf_add_char(out, '\n');
	buf_add_cstr(out, "  ips: [");
	print_addresses(out, dice, i, "", "");
	buf_add_cstr(out, "]\n");
	if (chance(dice, 2)) {
		buf_add_cstr(out, "  ports: ");
		print_port_names(out, dice, "port", "tcp", "udp");
	}
}

/* ---- rules ---- */

static const char *
random_net(struct dice *dice)
{
	return chance(dice, 3) ? PICK(dice, nets6) : PICK(dice, nets4);
}

static void
print_cidr(struct buf *out, struct dice *dice)
{
	unsigned i = dice_roll(dice, (unsigned)ARRAY_LEN(excepts));

	if (chance(dice, 2))
		buf_printf(out, "cidr: \"%s\", except: [\"%s\"]", excepts[i][0],
		    excepts[i][1]);
	else
		buf_printf(out, "cidr: \"%s\"", random_net(dice));
}

static void
print_kube_peer(struct buf *out, struct dice *dice)
{
	buf_add_char(out, '{');
	switch (dice_roll(dice, 4)) {
	case 0:
		buf_add_cstr(out, "ipBlock: {");
		print_cidr(out, dice);
		buf_add_char(out, '}');
		break;
	case 1:
		buf_add_cstr(out, "namespaceSelector: ");
		print_spaces(out, dice);
		break;
	case 2:
		buf_add_cstr(out, "namespaceSelector: ");
		print_spaces(out, dice);
		buf_add_cstr(out, ", podSelector: ");
		print_pods(out, dice);
		break;
	default:
		buf_add_cstr(out, "podSelector: ");
		print_pods(out, dice);
		break;
	}
	buf_add_char(out, '}');
}

static void
print_native_peer(struct buf *out, struct dice *dice, unsigned clusters)
{
	unsigned kind = dice_roll(dice, 10);
	bool outside = kind == 0 || kind >= 8;

	buf_add_char(out, '{');
	switch (kind) {
	case 8:
	case 9:
		buf_printf(out, "fqdn: \"%s\"", names_pattern(dice));
		break;
	case 0:
		print_cidr(out, dice);
		break;
	case 1:
		buf_printf(out, "namespace: %s, workloads: ", PICK(dice, paths));
		print_pods(out, dice);
		break;
	case 2:
		buf_add_cstr(out, "namespaces: ");
		print_spaces(out, dice);
		break;
	case 3:
		buf_printf(out, "node: node-%u", dice_roll(dice, CLUSTER_NODES));
		break;
	case 4:
		buf_printf(out, "node: {matchLabels: {zone: z%u}}", dice_roll(dice, 2));
		break;
	case 5:
		buf_printf(out, "namespace: %s, serviceAccount: sa%u",
		    PICK(dice, paths), dice_roll(dice, 2));
		break;
	case 6:
		buf_printf(out, "namespace: %s", PICK(dice, paths));
		break;
	default:
		buf_add_cstr(out, "workloads: ");
		print_pods(out, dice);
		break;
	}
	if (!outside && chance(dice, 3))
		print_own_cluster(out, dice, ", cluster: ", clusters);
	buf_add_char(out, '}');
}

static void
print_admin_peer(
    struct buf *out, struct dice *dice, enum direction dir, unsigned clusters)
{
	(void)clusters;
	buf_add_char(out, '{');
	switch (dice_roll(dice, dir == DIR_EGRESS ? 4 : 2)) {
	case 0:
		buf_add_cstr(out, "namespaces: ");
		print_spaces(out, dice);
		break;
	case 1:
		buf_add_cstr(out, "pods: {namespaceSelector: ");
		print_spaces(out, dice);
		buf_add_cstr(out, ", podSelector: ");
		print_pods(out, dice);
		buf_add_char(out, '}');
		break;
	case 2:
		buf_printf(out, "networks: [\"%s\"]", random_net(dice));
		break;
	default:
		buf_printf(
		    out, "nodes: {matchLabels: {zone: z%u}}", dice_roll(dice, 2));
		break;
	}
	buf_add_char(out, '}');
}

/* How a kind of policy writes its rules. */
struct dialect {
	void (*peer)(
	    struct buf *out, struct dice *dice, enum direction dir, unsigned clusters);
	const char *const *ports;
	unsigned port_count;
	const char *actions[3]; /* NULL: rules of an allow block */
	unsigned action_count;
	bool must_have_peers;
};

static void
native_peer(struct buf *out, struct dice *dice, enum direction dir, unsigned clusters)
{
	(void)dir;
	print_native_peer(out, dice, clusters);
}

static void
kube_peer(struct buf *out, struct dice *dice, enum direction dir, unsigned clusters)
{
	(void)dir;
	(void)clusters;
	print_kube_peer(out, dice);
}

static const struct dialect native_dialect = {
    .peer = native_peer,
    .ports = ports_native,
    .port_count = ARRAY_LEN(ports_native),
    .actions = {"allow", "deny", "pass"},
    .action_count = 3,
};
static const struct dialect native_allow_dialect = {
    .peer = native_peer,
    .ports = ports_native,
    .port_count = ARRAY_LEN(ports_native),
};
static const struct dialect kube_dialect = {
    .peer = kube_peer,
    .ports = ports_kube,
    .port_count = ARRAY_LEN(ports_kube),
};
static const struct dialect admin_dialect = {
    .peer = print_admin_peer,
    .ports = ports_admin,
    .port_count = ARRAY_LEN(ports_admin),
    .actions = {"Allow", "Deny", "Pass"},
    .action_count = 3,
    .must_have_peers = true,
};
static const struct dialect baseline_dialect = {
    .peer = print_admin_peer,
    .ports = ports_admin,
    .port_count = ARRAY_LEN(ports_admin),
    .actions = {"Allow", "Deny"},
    .action_count = 2,
    .must_have_peers = true,
};

static void
print_rule(struct buf *out, struct dice *dice, const struct dialect *d,
    enum direction dir, unsigned clusters)
{
	const char *comma = "";
	unsigned peers =
	    d->must_have_peers ? 1 + dice_roll(dice, 2) : dice_roll(dice, 4);
	unsigned ports = chance(dice, 3) ? 0 : 1 + dice_roll(dice, 3);

	buf_add_char(out, '{');
	if (d->action_count != 0) {
		buf_printf(
		    out, "action: %s", d->actions[dice_roll(dice, d->action_count)]);
		comma = ", ";
	}
	if (peers != 0) {
		buf_printf(out, "%s%s: [", comma, dir == DIR_INGRESS ? "from" : "to");
		for (unsigned i = 0; i < peers; i++) {
			buf_add_cstr(out, i > 0 ? ", " : "");
			d->peer(out, dice, dir, clusters);
		}
		buf_add_char(out, ']');
		comma = ", ";
	}
	if (ports != 0) {
		buf_printf(out, "%sports: [", comma);
		for (unsigned i = 0; i < ports; i++)
			buf_printf(out, "%s%s", i > 0 ? ", " : "",
			    d->ports[dice_roll(dice, d->port_count)]);
		buf_add_char(out, ']');
	}
	buf_add_char(out, '}');
}

static void
print_lists(struct buf *out, struct dice *dice, const struct dialect *d,
    const char *indent, unsigned clusters)
{
	unsigned which = 1 + dice_roll(dice, 3);

	for (unsigned dir = 0; dir < DIRECTION_COUNT; dir++) {
		unsigned count = dice_roll(dice, 4);

		if ((which & 1u << dir) == 0)
			continue;
		buf_printf(out, "%s%s: [", indent, direction_name((enum direction)dir));
		for (unsigned i = 0; i < count; i++) {
			buf_add_cstr(out, i > 0 ? ", " : "");
			print_rule(out, dice, d, (enum direction)dir, clusters);
		}
		buf_add_cstr(out, "]\n");
	}
}

/* ---- policies ---- */

static void
print_native_policy(struct buf *out, struct dice *dice, unsigned i, unsigned clusters)
{
	static const char *const nodes[] = {"{}", "node-0", "node-1"};
	const char *path = home(dice, clusters);

	buf_printf(out,
	    "---\napiVersion: ringfence.dev/v1alpha1\nkind: Policy\n"
	    "metadata: {name: p%u, namespace: %s}\nspec:\n  priority: %u\n",
	    i, path, dice_roll(dice, 2));
	if (strcmp(path, "/") == 0 && chance(dice, 2)) {
		buf_printf(out, "  node: %s\n", PICK(dice, nodes));
	} else if (!chance(dice, 3)) {
		buf_add_cstr(out, "  workloads: ");
		print_pods(out, dice);
		buf_add_char(out, '\n');
	}
	if (chance(dice, 2)) {
		buf_add_cstr(out, "  mandatory:\n");
		print_lists(out, dice, &native_dialect, "    ", clusters);
	}
	if (chance(dice, 3)) {
		buf_add_cstr(out, "  allow:\n");
		print_lists(out, dice, &native_allow_dialect, "    ", clusters);
	}
	buf_add_cstr(out, "  default:\n");
	print_lists(out, dice, &native_dialect, "    ", clusters);
}

static void
print_network_policy(struct buf *out, struct dice *dice, unsigned i)
{
	buf_printf(out,
	    "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
	    "metadata: {name: p%u, namespace: k%u}\nspec:\n  podSelector: ",
	    i, dice_roll(dice, KUBE_COUNT));
	print_pods(out, dice);
	buf_add_char(out, '\n');
	print_lists(out, dice, &kube_dialect, "  ", 0);
}

static void
print_admin_policy(struct buf *out, struct dice *dice, unsigned i)
{
	buf_printf(out,
	    "---\napiVersion: policy.networking.k8s.io/v1alpha1\n"
	    "kind: AdminNetworkPolicy\nmetadata: {name: p%u}\n"
	    "spec:\n  priority: %u\n  subject: {namespaces: ",
	    i, i);
	print_spaces(out, dice);
	buf_add_cstr(out, "}\n");
	print_lists(out, dice, &admin_dialect, "  ", 0);
}

static void
print_baseline(struct buf *out, struct dice *dice)
{
	buf_add_cstr(out,
	    "---\napiVersion: policy.networking.k8s.io/v1alpha1\n"
	    "kind: BaselineAdminNetworkPolicy\nmetadata: {name: default}\n"
	    "spec:\n  subject: {pods: {namespaceSelector: ");
	print_spaces(out, dice);
	buf_add_cstr(out, ", podSelector: ");
	print_pods(out, dice);
	buf_add_cstr(out, "}}\n");
	print_lists(out, dice, &baseline_dialect, "  ", 0);
}

static void
print_policy(struct cluster_texts *out, struct buf *kube, struct dice *dice, unsigned i)
{
	unsigned kind = dice_roll(dice, 8);

	if (kind < 4)
		print_network_policy(kube, dice, i);
	else if (kind == 4)
		print_admin_policy(kube, dice, i);
	else
		print_native_policy(&out->tree, dice, i, out->clusters);
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

	out->clusters = chance(dice, 3) ? CLUSTER_MAX : 0;
	count = out->clusters == 0 ? 1 : out->clusters;
	print_tree(&out->tree, out->clusters);
	for (unsigned c = 0; c < count; c++) {
		print_kube_namespaces(kube_text(out, c), c);
		print_nodes(kube_text(out, c), c);
	}
	for (unsigned i = 0; i < workloads; i++) {
		unsigned c = dice_roll(dice, count);

		if (chance(dice, 3))
			print_native(&out->tree, dice, i, out->clusters);
		else
			print_pod(kube_text(out, c), dice, i, c);
	}
	for (unsigned i = 0; i < policies; i++)
		print_policy(out, kube_text(out, dice_roll(dice, count)), dice, i);
	for (unsigned c = 0; c < count; c++) {
		if (chance(dice, 2))
			print_baseline(kube_text(out, c), dice);
	}
}

/* ---- routes ---- */

static void
print_leaving(struct buf *out, struct dice *dice)
{
	static const char *const ways[] = {"action: direct", "action: deny",
	    "action: pass", "action: route, source: [198.51.100.7, \"2001:db8:5::7\"]",
	    "action: route, source: [198.51.100.8/30]",
	    "action: route, nextHop: [192.0.2.1], source: [198.51.100.9]",
	    "action: route, nextHop: [192.0.2.2, \"2001:db8::2\"]",
	    "action: route, table: 100",
	    "action: route, gateway: [node-1, node-0], source: [198.51.100.10]",
	    "action: route, gateway: [node-1]",
	    "action: route, gateway: {matchLabels: {zone: z1}}, source: [fd00:5::11]"};
	static const char *const ports[] = {"80/tcp", "53/udp, 1000-2000/tcp", "tcp"};

	buf_printf(out, "{%s", PICK(dice, ways));
	if (!chance(dice, 3)) {
		buf_add_cstr(out, ", to: [{");
		if (chance(dice, 2))
			buf_printf(out, "fqdn: \"%s\"", names_pattern(dice));
		else
			print_cidr(out, dice);
		buf_add_cstr(out, "}]");
	}
	if (chance(dice, 2))
		buf_printf(out, ", ports: [%s]", PICK(dice, ports));
	buf_add_char(out, '}');
}

static void
print_publishing(struct buf *out, struct dice *dice)
{
	static const char *const ports[] = {
	    "80/tcp", "443/tcp", "8000-8010/udp", "8005-8020/udp", "1-65535/tcp"};
	static const char *const limits[] = {"action: deny", "action: pass"};

	if (chance(dice, 4)) {
		buf_printf(
		    out, "{%s, ports: [%s]}", PICK(dice, limits), PICK(dice, ports));
		return;
	}
	buf_printf(out,
	    "{action: publish, address: [192.0.2.80, \"2001:db8::80\"], ports: [%s], "
	    "balance: %s, to: [{workloads: ",
	    PICK(dice, ports), chance(dice, 2) ? "hash" : "random");
	print_pods(out, dice);
	buf_printf(out, ", weight: %u}, {workloads: {}}]}", dice_roll(dice, 5));
}

static void
print_workloads(struct buf *out, struct dice *dice)
{
	buf_add_char(out, '{');
	if (chance(dice, 2)) {
		buf_printf(out, "namespace: %s, ", PICK(dice, paths));
	} else if (chance(dice, 3)) {
		buf_add_cstr(out, "namespaces: ");
		print_spaces(out, dice);
		buf_add_cstr(out, ", ");
	}
	buf_add_cstr(out, "workloads: ");
	print_pods(out, dice);
	buf_add_char(out, '}');
}

static void
print_via(struct buf *out, struct dice *dice)
{
	static const char *const actions[] = {"deny", "pass", "direct", "through",
	    "through", "through", "through, onFailure: direct"};
	static const char *const ports[] = {"80/tcp", "53/udp, 1000-2000/tcp", "http"};
	const char *action = PICK(dice, actions);

	buf_printf(out, "{action: %s", action);
	if (str_starts(str_from(action), STR("through"))) {
		buf_add_cstr(out, ", through: ");
		print_workloads(out, dice);
	}
	if (!chance(dice, 3)) {
		buf_add_cstr(out, ", to: [");
		print_workloads(out, dice);
		buf_add_char(out, ']');
	}
	if (chance(dice, 3)) {
		buf_add_cstr(out, ", from: [");
		print_workloads(out, dice);
		buf_add_char(out, ']');
	}
	if (chance(dice, 2))
		buf_printf(out, ", ports: [%s]", PICK(dice, ports));
	buf_add_char(out, '}');
}

static void
print_route_list(struct buf *out, struct dice *dice, const char *what,
    void (*print)(struct buf *out, struct dice *dice))
{
	unsigned count = dice_roll(dice, 4);

	buf_printf(out, "    %s: [", what);
	for (unsigned i = 0; i < count; i++) {
		buf_add_cstr(out, i > 0 ? ", " : "");
		print(out, dice);
	}
	buf_add_cstr(out, "]\n");
}

void
cluster_print_routes(struct buf *out, struct dice *dice)
{
	static const char *const levels[] = {"mandatory", "default"};
	unsigned count = 1 + dice_roll(dice, 2);

	for (unsigned i = 0; i < count; i++) {
		buf_printf(out,
		    "---\napiVersion: ringfence.dev/v1alpha1\nkind: Route\n"
		    "metadata: {name: r%u, namespace: %s}\nspec:\n",
		    i, PICK(dice, paths));
		for (unsigned l = 0; l < ARRAY_LEN(levels); l++) {
			buf_printf(out, "  %s:\n", levels[l]);
			print_route_list(out, dice, "egress", print_leaving);
			if (chance(dice, 2))
				print_route_list(
				    out, dice, "ingress", print_publishing);
			if (chance(dice, 3))
				print_route_list(out, dice, "via", print_via);
		}
	}
}

/* ---- quotas ---- */

void
cluster_print_quotas(struct buf *out, struct dice *dice)
{
	static const char *const limits[] = {"connectionsPerSecond: 0.5",
	    "connectionsPerSecond: 100, burst: 7", "connectionsPerSecond: 0",
	    "connections: 3", "connections: 1000", "egressBytesPerSecond: 1M",
	    "ingressBytesPerSecond: 20", "connections: 40, ingressBytesPerSecond: 9k"};
	unsigned count = 1 + dice_roll(dice, 3);

	for (unsigned i = 0; i < count; i++) {
		buf_printf(out,
		    "---\napiVersion: ringfence.dev/v1alpha1\nkind: Quota\n"
		    "metadata: {name: q%u, namespace: %s}\n"
		    "spec: {network: {%s, guaranteedPercent: %u}}\n",
		    i, PICK(dice, paths), PICK(dice, limits), 50 * dice_roll(dice, 3));
	}
}
