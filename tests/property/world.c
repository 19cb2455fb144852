#include "tests/property/world.h"

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

void
dice_init(struct dice *dice, uint64_t seed)
{
	/* Neighbouring seeds must not give neighbouring worlds. */
	dice->state = (seed + 1) * 0x9e3779b97f4a7c15u;
	if (dice->state == 0)
		dice->state = 1;
}

unsigned
dice_roll(struct dice *dice, unsigned below)
{
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

		for (unsigned i = 0; i < count; i++)
			roll_rule(world, dice, policy->network_policy, phase,
			    &policy->rules[phase][d][i]);
		policy->rule_count[phase][d] = count;
	}
}

void
world_roll_policy(struct world *world, struct dice *dice, unsigned p, unsigned ns)
{
	struct world_policy *policy = &world->policies[p];

	*policy = (struct world_policy){
	    .present = true,
	    .ns = ns,
	    .network_policy = world->kube[ns] && dice_roll(dice, 3) == 0,
	    .priority = dice_roll(dice, 3),
	    .subject = dice_roll(dice, 2) == 0 ? WORLD_ANY
					       : dice_roll(dice, ARRAY_LEN(label_keys)),
	};
	for (unsigned phase = 0; phase < PHASE_COUNT; phase++) {
		if (phase == PHASE_ALLOW) {
			for (unsigned d = 0; d < DIRECTION_COUNT; d++)
				policy->isolates[d] = dice_roll(dice, 3) == 0;
		}
		if (phase == PHASE_ALLOW || !policy->network_policy)
			roll_rules(world, dice, policy, (enum phase)phase);
	}
}

void
world_roll_default(struct world *world, struct dice *dice, unsigned p, unsigned ns)
{
	world_roll_policy(world, dice, p, ns);
	world->policies[p].network_policy = false;
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
		    .named_ports = dice_roll(dice, 2) == 0,
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

static void
print_namespaces(
    struct buf *out, const struct world *world, const struct world_printing *how)
{
	for (unsigned i = 0; i < world->ns_count; i++) {
		buf_add_cstr(out, "---\napiVersion: ringfence.dev/v1alpha1\n"
				  "kind: Namespace\nmetadata:\n  name: ");
		world_path(out, world, i, how);
		buf_printf(out, "\n  labels: {level: l%u}\n", i % 3);
		if (world->kube[i])
			buf_printf(out, "spec: {kubernetes: {namespaces: [k%u]}}\n", i);
	}
	for (unsigned i = 0; i < world->ns_count; i++) {
		if (world->kube[i])
			buf_printf(out,
			    "---\napiVersion: v1\nkind: Namespace\n"
			    "metadata: {name: k%u, labels: {level: l%u}}\n",
			    i, i % 3);
	}
	for (unsigned i = 0; i < 2; i++)
		buf_printf(out,
		    "---\napiVersion: v1\nkind: Node\nmetadata: {name: node-%u}\n"
		    "status: {addresses: [{type: InternalIP, address: 10.9.0.%u}]}\n",
		    i, i + 1);
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
	if (w->named_ports)
		buf_add_cstr(out, "      ports: [{name: web, containerPort: 80}, "
				  "{name: web, containerPort: 53, protocol: UDP}]\n");
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
	buf_printf(out, "\nspec:\n  node: node-%u\n  ips: [", w->node);
	print_addresses(out, w, i, "", "");
	buf_add_cstr(out, "]\n");
	if (w->named_ports)
		buf_add_cstr(out, "  ports: [{name: web, port: 80, protocol: tcp}, "
				  "{name: web, port: 53, protocol: udp}]\n");
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

/* One rule, with peers [p, p_end) and ports [q, q_end) of it. */
static void
print_part(struct buf *out, const struct world *world,
    const struct world_policy *policy, const struct world_rule *rule, enum phase phase,
    enum direction dir, const unsigned range[4], const struct world_printing *how)
{
	const char *comma = "";

	buf_add_cstr(out, policy->network_policy ? "    - {" : "      - {");
	if (phase != PHASE_ALLOW) {
		buf_printf(out, "action: %s", action_name(rule->action));
		comma = ", ";
	}
	if (rule->peer_count > 0) {
		buf_printf(out, "%s%s: [", comma, dir == DIR_INGRESS ? "from" : "to");
		for (unsigned i = range[0]; i < range[1]; i++) {
			buf_add_cstr(out, i > range[0] ? ", " : "");
			if (policy->network_policy)
				print_kube_peer(out, &rule->peers[i]);
			else
				print_native_peer(out, world, &rule->peers[i], how);
		}
		buf_add_char(out, ']');
		comma = ", ";
	}
	if (rule->port_count > 0) {
		buf_printf(out, "%sports: [", comma);
		for (unsigned i = range[2]; i < range[3]; i++)
			buf_printf(out, "%s%s", i > range[2] ? ", " : "",
			    ports[rule->ports[i]][policy->network_policy]);
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
	buf_printf(out, "%s%s:", policy->network_policy ? "  " : "    ",
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

void
world_print(
    struct buf *out, const struct world *world, const struct world_printing *how)
{
	print_namespaces(out, world, how);
	for (unsigned i = 0; i < world->workload_count; i++)
		print_workload(out, world, i, how);
	for (unsigned p = 0; p < WORLD_POLICIES; p++) {
		if (!world->policies[p].present)
			continue;
		if (world->policies[p].network_policy)
			print_network_policy(out, world, p, how);
		else
			print_native_policy(out, world, p, how);
	}
}
