/*
 * A world as the YAML that people write: each policy in its own language.
 */
#include "tests/property/world.h"
#include "tests/property/world_words.h"

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

	if (!world_is_admin(policy->dialect))
		return action_name(action);
	return policy->dialect == WORLD_ADMIN ? alpha1[action] : alpha2[action];
}

static void
print_peer(struct buf *out, const struct world *world,
    const struct world_policy *policy, const struct world_peer *peer,
    const struct world_printing *how)
{
	if (world_is_admin(policy->dialect))
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
	} else if (world_is_admin(policy->dialect)) {
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
