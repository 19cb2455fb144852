#include "tests/property/world.h"

#include "tests/property/world_words.h"

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

bool
world_is_admin(enum world_dialect dialect)
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

		for (unsigned i = 0; i < count && world_is_admin(policy->dialect); i++)
			roll_admin_rule(world, dice, (enum direction)d,
			    &policy->rules[phase][d][i]);
		for (unsigned i = 0; i < count && !world_is_admin(policy->dialect); i++)
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
