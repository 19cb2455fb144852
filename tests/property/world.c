#include "tests/property/world.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static const char *const label_keys[] = {"app", "app", "tier"};
static const char *const label_values[] = {"a", "b", "web"};
static const char *const cidrs[][2] = {
    {"10.0.0.0/29", NULL},
    {"10.0.0.0/24", "10.0.0.2/31"},
    {"0.0.0.0/0", "10.0.0.0/8"},
    {"192.0.2.0/24", "192.0.2.128/25"},
    {"fd00::/64", NULL},
    {"::/0", "fd00::/16"},
};
/* As a native policy writes a port, and as a NetworkPolicy does (NULL: it cannot). */
static const char *const ports[][2] = {
    {"80/tcp", "{port: 80}"},
    {"80-90/tcp", "{port: 80, endPort: 90}"},
    {"tcp", "{}"},
    {"udp", "{protocol: UDP}"},
    {"53/udp", "{protocol: UDP, port: 53}"},
    {"web", NULL},
    {"icmp", NULL},
    {"85-443/tcp", "{port: 85, endPort: 443}"},
    {"icmpv6", NULL},
};
/* The same as the admin kinds write them: v1alpha1, v1alpha2. */
static const char *const admin_ports[][2] = {
    {"{portNumber: {protocol: TCP, port: 80}}",
	"{tcp: {destinationPort: {number: 80}}}"},
    {"{portNumber: {protocol: UDP, port: 53}}",
	"{udp: {destinationPort: {number: 53}}}"},
    {"{portRange: {protocol: TCP, start: 80, end: 90}}",
	"{tcp: {destinationPort: {range: {start: 80, end: 90}}}}"},
    {"{portRange: {protocol: TCP, start: 85, end: 443}}",
	"{tcp: {destinationPort: {range: {start: 85, end: 443}}}}"},
    {"{namedPort: web}", "{destinationNamedPort: web}"},
};
#define ADMIN_NUMBERS 4 /* those that any peer may stand beside */

/* What a workload's port name "web" means: a number and a protocol each. */
#define WEB_MEANINGS 3
static const struct {
	unsigned port;
	const char *kube, *native;
} web_ports[WEB_MEANINGS][2] = {
    {{80, "TCP", "tcp"}, {53, "UDP", "udp"}},
    {{443, "TCP", "tcp"}, {80, "SCTP", "sctp"}},
    {{90, "TCP", "tcp"}, {54, "UDP", "udp"}},
};

static const char *const cluster_names[] = {"east", "west"};

void
dice_init(struct dice *dice, uint64_t seed)
{
	/* Neighbouring seeds must not give neighbouring worlds. */
	*dice = (struct dice){.state = (seed + 1) * 0x9e3779b97f4a7c15u};
	if (dice->state == 0)
		dice->state = 1;
}

void
dice_init_bytes(struct dice *dice, const uint8_t *bytes, size_t count)
{
	dice_init(dice, count);
	dice->bytes = bytes;
	dice->left = count;
}

static unsigned
next_byte(struct dice *dice)
{
	dice->left--;
	return *dice->bytes++;
}

uint64_t
dice_random_seed(void)
{
	uint32_t seed;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		base_die("no randomness");
	return seed % 1000000000;
}

static bool
read_option(char *const *words, const struct run_option *options, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(words[0], options[i].name) == 0)
			return words[1] != NULL && str_to_u64(str_from(words[1]),
						       UINT64_MAX, options[i].value);
	}
	return false;
}

bool
run_options_read(int argc, char **argv, const struct run_option *options, size_t count)
{
	for (int i = 1; i < argc; i += 2) {
		if (read_option(argv + i, options, count))
			continue;
		(void)fprintf(stderr, "usage: %s", argv[0]);
		for (size_t j = 0; j < count; j++)
			(void)fprintf(stderr, " [%s N]", options[j].name);
		(void)fprintf(stderr, "\n");
		return false;
	}
	return true;
}

unsigned
dice_roll(struct dice *dice, unsigned below)
{
	if (dice->left == 1 || (dice->left > 1 && below <= 256))
		return next_byte(dice) % below;
	if (dice->left > 1) {
		unsigned high = next_byte(dice);

		return (high << 8 | next_byte(dice)) % below;
	}
	dice->state ^= dice->state >> 12;
	dice->state ^= dice->state << 25;
	dice->state ^= dice->state >> 27;
	return (unsigned)((dice->state * 0x2545f4914f6cdd1du) >> 33) % below;
}

bool
world_within(const struct world *world, unsigned ns, unsigned top)
{
	while (ns != top && ns != 0)
		ns = world->parent[ns];
	return ns == top;
}

unsigned
world_depth(const struct world *world, unsigned ns)
{
	unsigned depth = 0;

	for (; ns != 0; ns = world->parent[ns])
		depth++;
	return depth;
}

/* ---- rolling ---- */

static bool
is_admin(enum world_dialect dialect)
{
	return dialect >= WORLD_ADMIN;
}

/* Peers are namespaces or pods in them; egress rules also name networks. */
static void
roll_admin_rule(const struct world *world, struct dice *dice, enum direction dir,
    struct world_rule *rule)
{
	bool networks = dir == DIR_EGRESS && dice_roll(dice, 3) == 0;

	*rule = (struct world_rule){
	    .action = (enum action)dice_roll(dice, 3),
	    /* Split, they must stay within the 25 rules that v1alpha2 allows. */
	    .peer_count = 1 + dice_roll(dice, 2),
	    .port_count =
		dice_roll(dice, 3) == 0 ? 0 : 1 + dice_roll(dice, WORLD_ITEMS),
	};
	for (unsigned i = 0; i < rule->peer_count; i++)
		rule->peers[i] = (struct world_peer){
		    .kind = networks                  ? WORLD_PEER_CIDR
			    : dice_roll(dice, 2) == 0 ? WORLD_PEER_BOTH
						      : WORLD_PEER_NS_LABEL,
		    .label = dice_roll(dice, ARRAY_LEN(label_keys)),
		    .ns = dice_roll(dice, world->ns_count),
		    .cidr = dice_roll(dice, ARRAY_LEN(cidrs)),
		};
	for (unsigned i = 0; i < rule->port_count; i++)
		rule->ports[i] =
		    dice_roll(dice, networks ? ADMIN_NUMBERS : ARRAY_LEN(admin_ports));
}

static void
roll_rule(const struct world *world, struct dice *dice, bool network_policy,
    enum phase phase, struct world_rule *rule)
{
	static const enum world_peer_kind kinds[] = {WORLD_PEER_LABEL, WORLD_PEER_CIDR,
	    WORLD_PEER_NS_LABEL, WORLD_PEER_SUBTREE, WORLD_PEER_BOTH, WORLD_PEER_NODE};

	*rule = (struct world_rule){0};
	rule->action =
	    phase == PHASE_ALLOW ? ACTION_ALLOW : (enum action)dice_roll(dice, 3);
	rule->peer_count =
	    dice_roll(dice, 3) == 0 ? 0 : 1 + dice_roll(dice, WORLD_ITEMS);
	for (unsigned i = 0; i < rule->peer_count; i++) {
		rule->peers[i] = (struct world_peer){
		    .kind = kinds[dice_roll(dice, network_policy ? 3 : 6)],
		    .label = dice_roll(dice, ARRAY_LEN(label_keys)),
		    .ns = dice_roll(dice, world->ns_count),
		    .cidr = dice_roll(dice, ARRAY_LEN(cidrs)),
		    .node = dice_roll(dice, 2),
		};
	}
	rule->port_count =
	    dice_roll(dice, 3) == 0 ? 0 : 1 + dice_roll(dice, WORLD_ITEMS);
	for (unsigned i = 0; i < rule->port_count; i++) {
		do {
			rule->ports[i] = dice_roll(dice, ARRAY_LEN(ports));
		} while (network_policy && ports[rule->ports[i]][1] == NULL);
	}
}

static void
roll_rules(struct world *world, struct dice *dice, struct world_policy *policy,
    enum phase phase)
{
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		unsigned count = dice_roll(dice, WORLD_RULES + 1);

		for (unsigned i = 0; i < count && is_admin(policy->dialect); i++)
			roll_admin_rule(world, dice, (enum direction)d,
			    &policy->rules[phase][d][i]);
		for (unsigned i = 0; i < count && !is_admin(policy->dialect); i++)
			roll_rule(world, dice, policy->dialect == WORLD_NETWORK_POLICY,
			    phase, &policy->rules[phase][d][i]);
		policy->rule_count[phase][d] = count;
	}
}

static enum world_dialect
roll_dialect(const struct world *world, struct dice *dice, unsigned ns)
{
	if (ns == 0 && dice_roll(dice, 2) == 0)
		return (enum world_dialect)(WORLD_ADMIN + dice_roll(dice, 3));
	return world->kube[ns] && dice_roll(dice, 3) == 0 ? WORLD_NETWORK_POLICY
							  : WORLD_NATIVE;
}

static bool
may_have(enum world_dialect dialect, enum phase phase)
{
	switch (dialect) {
	case WORLD_NATIVE:
		return true;
	case WORLD_NETWORK_POLICY:
		return phase == PHASE_ALLOW;
	case WORLD_ADMIN:
	case WORLD_CLUSTER_ADMIN:
		return phase == PHASE_MANDATORY;
	case WORLD_CLUSTER_BASELINE:
		return phase == PHASE_DEFAULT;
	}
	return false;
}

void
world_roll_policy(struct world *world, struct dice *dice, unsigned p, unsigned ns)
{
	struct world_policy *policy = &world->policies[p];

	*policy = (struct world_policy){
	    .present = true,
	    .ns = ns,
	    .dialect = roll_dialect(world, dice, ns),
	    .priority = dice_roll(dice, 3),
	    .subject = dice_roll(dice, 2) == 0 ? WORLD_ANY
					       : dice_roll(dice, ARRAY_LEN(label_keys)),
	};
	for (unsigned phase = 0; phase < PHASE_COUNT; phase++) {
		if (!may_have(policy->dialect, (enum phase)phase))
			continue;
		for (unsigned d = 0; d < DIRECTION_COUNT && phase == PHASE_ALLOW; d++)
			policy->isolates[d] = dice_roll(dice, 3) == 0;
		roll_rules(world, dice, policy, (enum phase)phase);
	}
}

void
world_roll_default(struct world *world, struct dice *dice, unsigned p, unsigned ns)
{
	world_roll_policy(world, dice, p, ns);
	world->policies[p].dialect = WORLD_NATIVE;
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		world->policies[p].isolates[d] = false;
		world->policies[p].rule_count[PHASE_MANDATORY][d] = 0;
		world->policies[p].rule_count[PHASE_ALLOW][d] = 0;
	}
	roll_rules(world, dice, &world->policies[p], PHASE_DEFAULT);
}

void
world_roll(struct world *world, struct dice *dice)
{
	*world = (struct world){0};
	world->ns_count = 2 + dice_roll(dice, WORLD_NAMESPACES - 1);
	world->clusters = dice_roll(dice, 4) == 0;
	for (unsigned i = 1; i < world->ns_count; i++) {
		world->parent[i] = dice_roll(dice, i);
		world->kube[i] = dice_roll(dice, 2) == 0;
	}
	world->workload_count = 2 + dice_roll(dice, WORLD_WORKLOADS - 1);
	for (unsigned i = 0; i < world->workload_count; i++) {
		world->workloads[i] = (struct world_workload){
		    .ns = dice_roll(dice, world->ns_count),
		    .label = dice_roll(dice, ARRAY_LEN(label_keys)),
		    .node = dice_roll(dice, 2),
		    .v4 = dice_roll(dice, 4) != 0,
		    .v6 = dice_roll(dice, 3) == 0,
		    .named_ports = dice_roll(dice, 2 * WEB_MEANINGS),
		};
	}
	/* The last place stays free for what a law adds. */
	for (unsigned p = 0; p + 1 < WORLD_POLICIES; p++) {
		if (dice_roll(dice, 4) != 0)
			world_roll_policy(
			    world, dice, p, dice_roll(dice, world->ns_count));
	}
}

/* ---- printing ---- */

void
world_path(struct buf *out, const struct world *world, unsigned ns,
    const struct world_printing *how)
{
	if (ns == 0) {
		if (out->len == 0 || out->data[out->len - 1] != '/')
			buf_add_char(out, '/');
		return;
	}
	if (world->parent[ns] != 0)
		world_path(out, world, world->parent[ns], how);
	if (how->insert && ns == how->inserted)
		buf_add_cstr(out, "/empty");
	buf_printf(out, "/n%u", ns);
}

static bool
stands_in(const struct world *world, unsigned ns, enum world_part part)
{
	enum world_part own = ns % 2 == 0 ? WORLD_EAST : WORLD_WEST;

	return part == (world->clusters ? own : WORLD_TREE);
}

static void
print_tree(struct buf *out, const struct world *world, const struct world_printing *how)
{
	for (unsigned i = 0; i < world->ns_count; i++) {
		buf_add_cstr(out, "---\napiVersion: ringfence.dev/v1alpha1\n"
				  "kind: Namespace\nmetadata:\n  name: ");
		world_path(out, world, i, how);
		buf_printf(out, "\n  labels: {level: l%u}\n", i % 3);
		if (!world->kube[i])
			continue;
		buf_printf(out, "spec: {kubernetes: {namespaces: [k%u]", i);
		if (world->clusters)
			buf_printf(out, ", cluster: %s", cluster_names[i % 2]);
		buf_add_cstr(out, "}}\n");
	}
}

static void
print_kube(struct buf *out, const struct world *world, enum world_part part)
{
	unsigned third = world->clusters && part == WORLD_WEST ? 1 : 0;

	for (unsigned i = 0; i < world->ns_count; i++) {
		if (world->kube[i] && stands_in(world, i, part))
			buf_printf(out,
			    "---\napiVersion: v1\nkind: Namespace\n"
			    "metadata: {name: k%u, labels: {level: l%u}}\n",
			    i, i % 3);
	}
	for (unsigned i = 0; i < 2; i++)
		buf_printf(out,
		    "---\napiVersion: v1\nkind: Node\nmetadata: {name: node-%u}\n"
		    "status: {addresses: [{type: InternalIP, address: 10.9.%u.%u}]}\n",
		    i, third, i + 1);
}

static void
print_addresses(struct buf *out, const struct world_workload *w, unsigned i,
    const char *before, const char *after)
{
	if (w->v4)
		buf_printf(out, "%s10.0.0.%u%s", before, i + 1, after);
	if (w->v4 && w->v6)
		buf_add_cstr(out, ", ");
	if (w->v6)
		buf_printf(out, "%s\"fd00::%u\"%s", before, i + 1, after);
}

static void
print_pod(struct buf *out, const struct world_workload *w, unsigned i)
{
	buf_printf(out,
	    "---\napiVersion: v1\nkind: Pod\n"
	    "metadata: {name: w%u, namespace: k%u, labels: {%s: %s}}\n"
	    "spec:\n  nodeName: node-%u\n  containers:\n    - name: c\n",
	    i, w->ns, label_keys[w->label], label_values[w->label], w->node);
	if (w->named_ports < WEB_MEANINGS)
		buf_printf(out,
		    "      ports: [{name: web, containerPort: %u, protocol: %s}, "
		    "{name: web, containerPort: %u, protocol: %s}]\n",
		    web_ports[w->named_ports][0].port,
		    web_ports[w->named_ports][0].kube,
		    web_ports[w->named_ports][1].port,
		    web_ports[w->named_ports][1].kube);
	buf_add_cstr(out, "status: {phase: Running, podIPs: [");
	print_addresses(out, w, i, "{ip: ", "}");
	buf_add_cstr(out, "]}\n");
}

static void
print_workload(struct buf *out, const struct world *world, unsigned i,
    const struct world_printing *how)
{
	const struct world_workload *w = &world->workloads[i];

	if (world->kube[w->ns]) {
		print_pod(out, w, i);
		return;
	}
	buf_printf(out,
	    "---\napiVersion: ringfence.dev/v1alpha1\nkind: Workload\n"
	    "metadata:\n  name: w%u\n  labels: {%s: %s}\n  namespace: ",
	    i, label_keys[w->label], label_values[w->label]);
	world_path(out, world, w->ns, how);
	buf_printf(out, "\nspec:\n  node: node-%u\n", w->node);
	if (world->clusters)
		buf_printf(out, "  cluster: %s\n", cluster_names[i % 2]);
	buf_add_cstr(out, "  ips: [");
	print_addresses(out, w, i, "", "");
	buf_add_cstr(out, "]\n");
	if (w->named_ports < WEB_MEANINGS)
		buf_printf(out,
		    "  ports: [{name: web, port: %u, protocol: %s}, "
		    "{name: web, port: %u, protocol: %s}]\n",
		    web_ports[w->named_ports][0].port,
		    web_ports[w->named_ports][0].native,
		    web_ports[w->named_ports][1].port,
		    web_ports[w->named_ports][1].native);
}

static void
print_cidr(struct buf *out, unsigned cidr)
{
	buf_printf(out, "cidr: \"%s\"", cidrs[cidr][0]);
	if (cidrs[cidr][1] != NULL)
		buf_printf(out, ", except: [\"%s\"]", cidrs[cidr][1]);
}

static void
print_label(struct buf *out, const char *key, unsigned label)
{
	buf_printf(out, "%s: {matchLabels: {%s: %s}}", key, label_keys[label],
	    label_values[label]);
}

static void
print_native_peer(struct buf *out, const struct world *world,
    const struct world_peer *peer, const struct world_printing *how)
{
	buf_add_char(out, '{');
	switch (peer->kind) {
	case WORLD_PEER_LABEL:
		print_label(out, "workloads", peer->label);
		break;
	case WORLD_PEER_SUBTREE:
	case WORLD_PEER_BOTH:
		buf_add_cstr(out, "namespace: ");
		world_path(out, world, peer->ns, how);
		if (peer->kind == WORLD_PEER_BOTH) {
			buf_add_cstr(out, ", ");
			print_label(out, "workloads", peer->label);
		}
		break;
	case WORLD_PEER_NS_LABEL:
		buf_printf(
		    out, "namespaces: {matchLabels: {level: l%u}}", peer->ns % 3);
		break;
	case WORLD_PEER_CIDR:
		print_cidr(out, peer->cidr);
		break;
	case WORLD_PEER_NODE:
		buf_printf(out, "node: node-%u", peer->node);
		break;
	}
	buf_add_char(out, '}');
}

static void
print_kube_peer(struct buf *out, const struct world_peer *peer)
{
	buf_add_char(out, '{');
	if (peer->kind == WORLD_PEER_CIDR) {
		buf_add_cstr(out, "ipBlock: {");
		print_cidr(out, peer->cidr);
		buf_add_char(out, '}');
	} else if (peer->kind == WORLD_PEER_NS_LABEL) {
		buf_printf(out, "namespaceSelector: {matchLabels: {level: l%u}}",
		    peer->ns % 3);
	} else {
		print_label(out, "podSelector", peer->label);
	}
	buf_add_char(out, '}');
}

static void
print_admin_peer(struct buf *out, const struct world_peer *peer)
{
	if (peer->kind == WORLD_PEER_CIDR) {
		buf_printf(out, "{networks: [\"%s\"]}", cidrs[peer->cidr][0]);
	} else if (peer->kind == WORLD_PEER_NS_LABEL) {
		buf_printf(
		    out, "{namespaces: {matchLabels: {level: l%u}}}", peer->ns % 3);
	} else {
		buf_printf(out,
		    "{pods: {namespaceSelector: {matchLabels: {level: l%u}}, ",
		    peer->ns % 3);
		print_label(out, "podSelector", peer->label);
		buf_add_cstr(out, "}}");
	}
}

static const char *
port_text(const struct world_policy *policy, unsigned port)
{
	switch (policy->dialect) {
	case WORLD_NATIVE:
		return ports[port][0];
	case WORLD_NETWORK_POLICY:
		return ports[port][1];
	case WORLD_ADMIN:
		return admin_ports[port][0];
	case WORLD_CLUSTER_ADMIN:
	case WORLD_CLUSTER_BASELINE:
		break;
	}
	return admin_ports[port][1];
}

/* As each dialect spells it. */
static const char *
action_text(const struct world_policy *policy, enum action action)
{
	static const char *const alpha1[] = {"Allow", "Deny", "Pass"};
	static const char *const alpha2[] = {"Accept", "Deny", "Pass"};

	if (!is_admin(policy->dialect))
		return action_name(action);
	return policy->dialect == WORLD_ADMIN ? alpha1[action] : alpha2[action];
}

static void
print_peer(struct buf *out, const struct world *world,
    const struct world_policy *policy, const struct world_peer *peer,
    const struct world_printing *how)
{
	if (is_admin(policy->dialect))
		print_admin_peer(out, peer);
	else if (policy->dialect == WORLD_NETWORK_POLICY)
		print_kube_peer(out, peer);
	else
		print_native_peer(out, world, peer, how);
}

/* One rule, with peers [p, p_end) and ports [q, q_end) of it. */
static void
print_part(struct buf *out, const struct world *world,
    const struct world_policy *policy, const struct world_rule *rule, enum phase phase,
    enum direction dir, const unsigned range[4], const struct world_printing *how)
{
	const char *comma = "";

	buf_add_cstr(out, policy->dialect != WORLD_NATIVE ? "    - {" : "      - {");
	if (phase != PHASE_ALLOW) {
		buf_printf(out, "action: %s", action_text(policy, rule->action));
		comma = ", ";
	}
	if (rule->peer_count > 0) {
		buf_printf(out, "%s%s: [", comma, dir == DIR_INGRESS ? "from" : "to");
		for (unsigned i = range[0]; i < range[1]; i++) {
			buf_add_cstr(out, i > range[0] ? ", " : "");
			print_peer(out, world, policy, &rule->peers[i], how);
		}
		buf_add_char(out, ']');
		comma = ", ";
	}
	if (rule->port_count > 0) {
		buf_printf(out, "%s%s: [", comma,
		    policy->dialect > WORLD_ADMIN ? "protocols" : "ports");
		for (unsigned i = range[2]; i < range[3]; i++)
			buf_printf(out, "%s%s", i > range[2] ? ", " : "",
			    port_text(policy, rule->ports[i]));
		buf_add_char(out, ']');
	}
	buf_add_cstr(out, "}\n");
}

static void
print_rule(struct buf *out, const struct world *world,
    const struct world_policy *policy, const struct world_rule *rule, enum phase phase,
    enum direction dir, const struct world_printing *how)
{
	unsigned peers = rule->peer_count > 0 ? rule->peer_count : 1;
	unsigned count = rule->port_count > 0 ? rule->port_count : 1;

	if (!how->split) {
		print_part(out, world, policy, rule, phase, dir,
		    (unsigned[]){0, peers, 0, count}, how);
		return;
	}
	for (unsigned i = 0; i < peers; i++) {
		for (unsigned j = 0; j < count; j++)
			print_part(out, world, policy, rule, phase, dir,
			    (unsigned[]){i, i + 1, j, j + 1}, how);
	}
}

static bool
has_list(const struct world_policy *policy, unsigned phase, unsigned dir)
{
	return policy->rule_count[phase][dir] > 0 ||
	       (phase == PHASE_ALLOW && policy->isolates[dir]);
}

static void
print_list(struct buf *out, const struct world *world,
    const struct world_policy *policy, unsigned phase, unsigned dir,
    const struct world_printing *how)
{
	if (!has_list(policy, phase, dir))
		return;
	buf_printf(out, "%s%s:", policy->dialect != WORLD_NATIVE ? "  " : "    ",
	    direction_name((enum direction)dir));
	if (policy->rule_count[phase][dir] == 0)
		buf_add_cstr(out, " []");
	buf_add_char(out, '\n');
	for (unsigned i = 0; i < policy->rule_count[phase][dir]; i++)
		print_rule(out, world, policy, &policy->rules[phase][dir][i],
		    (enum phase)phase, (enum direction)dir, how);
}

static void
print_network_policy(struct buf *out, const struct world *world, unsigned p,
    const struct world_printing *how)
{
	const struct world_policy *policy = &world->policies[p];

	buf_printf(out,
	    "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
	    "metadata: {name: p%u, namespace: k%u}\nspec:\n  ",
	    p, policy->ns);
	if (policy->subject == WORLD_ANY)
		buf_add_cstr(out, "podSelector: {}");
	else
		print_label(out, "podSelector", policy->subject);
	buf_add_cstr(out, "\n  policyTypes: [Ingress");
	buf_add_cstr(
	    out, has_list(policy, PHASE_ALLOW, DIR_EGRESS) ? ", Egress]\n" : "]\n");
	for (unsigned dir = 0; dir < DIRECTION_COUNT; dir++)
		print_list(out, world, policy, PHASE_ALLOW, dir, how);
}

static void
print_native_policy(struct buf *out, const struct world *world, unsigned p,
    const struct world_printing *how)
{
	const struct world_policy *policy = &world->policies[p];

	buf_printf(out,
	    "---\napiVersion: ringfence.dev/v1alpha1\nkind: Policy\n"
	    "metadata:\n  name: p%u\n  namespace: ",
	    p);
	world_path(out, world, policy->ns, how);
	buf_printf(out, "\nspec:\n  priority: %u\n", policy->priority);
	if (policy->subject != WORLD_ANY) {
		buf_add_cstr(out, "  ");
		print_label(out, "workloads", policy->subject);
		buf_add_char(out, '\n');
	}
	for (unsigned phase = 0; phase < PHASE_COUNT; phase++) {
		if (!has_list(policy, phase, DIR_INGRESS) &&
		    !has_list(policy, phase, DIR_EGRESS))
			continue;
		buf_printf(out, "  %s:\n", phase_name((enum phase)phase));
		for (unsigned dir = 0; dir < DIRECTION_COUNT; dir++)
			print_list(out, world, policy, phase, dir, how);
	}
}

static void
print_admin_policy(struct buf *out, const struct world *world, unsigned p,
    const struct world_printing *how)
{
	const struct world_policy *policy = &world->policies[p];
	bool baseline = policy->dialect == WORLD_CLUSTER_BASELINE;
	unsigned phase = baseline ? PHASE_DEFAULT : PHASE_MANDATORY;

	if (policy->dialect == WORLD_ADMIN)
		buf_printf(out,
		    "---\napiVersion: policy.networking.k8s.io/v1alpha1\n"
		    "kind: AdminNetworkPolicy\nmetadata: {name: p%u}\nspec:\n",
		    p);
	else
		buf_printf(out,
		    "---\napiVersion: policy.networking.k8s.io/v1alpha2\n"
		    "kind: ClusterNetworkPolicy\nmetadata: {name: p%u}\nspec:\n"
		    "  tier: %s\n",
		    p, baseline ? "Baseline" : "Admin");
	buf_printf(out, "  priority: %u\n  subject: {", policy->priority);
	if (policy->subject == WORLD_ANY) {
		buf_add_cstr(out, "namespaces: {}");
	} else {
		buf_add_cstr(out, "pods: {namespaceSelector: {}, ");
		print_label(out, "podSelector", policy->subject);
		buf_add_char(out, '}');
	}
	buf_add_cstr(out, "}\n");
	for (unsigned dir = 0; dir < DIRECTION_COUNT; dir++)
		print_list(out, world, policy, phase, dir, how);
}

static void
print_policy(struct buf *out, const struct world *world, unsigned p,
    const struct world_printing *how, enum world_part part)
{
	const struct world_policy *policy = &world->policies[p];

	if (policy->dialect == WORLD_NATIVE) {
		if (part == WORLD_TREE)
			print_native_policy(out, world, p, how);
	} else if (is_admin(policy->dialect)) {
		if (stands_in(world, p, part))
			print_admin_policy(out, world, p, how);
	} else if (stands_in(world, policy->ns, part)) {
		print_network_policy(out, world, p, how);
	}
}

void
world_print_part(struct buf *out, const struct world *world,
    const struct world_printing *how, enum world_part part)
{
	if (part == WORLD_TREE)
		print_tree(out, world, how);
	if (part != WORLD_TREE || !world->clusters)
		print_kube(out, world, part);
	for (unsigned i = 0; i < world->workload_count; i++) {
		unsigned ns = world->workloads[i].ns;

		if (world->kube[ns] ? stands_in(world, ns, part) : part == WORLD_TREE)
			print_workload(out, world, i, how);
	}
	for (unsigned p = 0; p < WORLD_POLICIES; p++) {
		if (world->policies[p].present)
			print_policy(out, world, p, how, part);
	}
}

void
world_print(
    struct buf *out, const struct world *world, const struct world_printing *how)
{
	world_print_part(out, world, how, WORLD_TREE);
}
