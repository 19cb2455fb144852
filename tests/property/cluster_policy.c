/*
 * Policies of a random cluster: every kind, with peers and ports that overlap.
 */
#include "tests/property/cluster_words.h"
#include "tests/property/names.h"

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

/* ---- rules ---- */

static const char *
random_net(struct dice *dice)
{
	return cluster_chance(dice, 3) ? PICK(dice, nets6) : PICK(dice, nets4);
}

void
cluster_print_cidr(struct buf *out, struct dice *dice)
{
	unsigned i = dice_roll(dice, (unsigned)ARRAY_LEN(excepts));

	if (cluster_chance(dice, 2))
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
		cluster_print_cidr(out, dice);
		buf_add_char(out, '}');
		break;
	case 1:
		buf_add_cstr(out, "namespaceSelector: ");
		cluster_print_spaces(out, dice);
		break;
	case 2:
		buf_add_cstr(out, "namespaceSelector: ");
		cluster_print_spaces(out, dice);
		buf_add_cstr(out, ", podSelector: ");
		cluster_print_pods(out, dice);
		break;
	default:
		buf_add_cstr(out, "podSelector: ");
		cluster_print_pods(out, dice);
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
		cluster_print_cidr(out, dice);
		break;
	case 1:
		buf_printf(
		    out, "namespace: %s, workloads: ", PICK(dice, cluster_paths));
		cluster_print_pods(out, dice);
		break;
	case 2:
		buf_add_cstr(out, "namespaces: ");
		cluster_print_spaces(out, dice);
		break;
	case 3:
		buf_printf(out, "node: node-%u", dice_roll(dice, CLUSTER_NODES));
		break;
	case 4:
		buf_printf(out, "node: {matchLabels: {zone: z%u}}", dice_roll(dice, 2));
		break;
	case 5:
		buf_printf(out, "namespace: %s, serviceAccount: sa%u",
		    PICK(dice, cluster_paths), dice_roll(dice, 2));
		break;
	case 6:
		buf_printf(out, "namespace: %s", PICK(dice, cluster_paths));
		break;
	default:
		buf_add_cstr(out, "workloads: ");
		cluster_print_pods(out, dice);
		break;
	}
	if (!outside && cluster_chance(dice, 3))
		cluster_print_own(out, dice, ", cluster: ", clusters);
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
		cluster_print_spaces(out, dice);
		break;
	case 1:
		buf_add_cstr(out, "pods: {namespaceSelector: ");
		cluster_print_spaces(out, dice);
		buf_add_cstr(out, ", podSelector: ");
		cluster_print_pods(out, dice);
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
	unsigned ports = cluster_chance(dice, 3) ? 0 : 1 + dice_roll(dice, 3);

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
	const char *path = cluster_home(dice, clusters);

	buf_printf(out,
	    "---\napiVersion: ringfence.dev/v1alpha1\nkind: Policy\n"
	    "metadata: {name: p%u, namespace: %s}\nspec:\n  priority: %u\n",
	    i, path, dice_roll(dice, 2));
	if (strcmp(path, "/") == 0 && cluster_chance(dice, 2)) {
		buf_printf(out, "  node: %s\n", PICK(dice, nodes));
	} else if (!cluster_chance(dice, 3)) {
		buf_add_cstr(out, "  workloads: ");
		cluster_print_pods(out, dice);
		buf_add_char(out, '\n');
	}
	if (cluster_chance(dice, 2)) {
		buf_add_cstr(out, "  mandatory:\n");
		print_lists(out, dice, &native_dialect, "    ", clusters);
	}
	if (cluster_chance(dice, 3)) {
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
	    i, dice_roll(dice, CLUSTER_KUBE));
	cluster_print_pods(out, dice);
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
	cluster_print_spaces(out, dice);
	buf_add_cstr(out, "}\n");
	print_lists(out, dice, &admin_dialect, "  ", 0);
}

void
cluster_print_baseline(struct buf *out, struct dice *dice)
{
	buf_add_cstr(out,
	    "---\napiVersion: policy.networking.k8s.io/v1alpha1\n"
	    "kind: BaselineAdminNetworkPolicy\nmetadata: {name: default}\n"
	    "spec:\n  subject: {pods: {namespaceSelector: ");
	cluster_print_spaces(out, dice);
	buf_add_cstr(out, ", podSelector: ");
	cluster_print_pods(out, dice);
	buf_add_cstr(out, "}}\n");
	print_lists(out, dice, &baseline_dialect, "  ", 0);
}

void
cluster_print_policy(
    struct cluster_texts *out, struct buf *kube, struct dice *dice, unsigned i)
{
	unsigned kind = dice_roll(dice, 8);

	if (kind < 4)
		print_network_policy(kube, dice, i);
	else if (kind == 4)
		print_admin_policy(kube, dice, i);
	else
		print_native_policy(&out->tree, dice, i, out->clusters);
}
