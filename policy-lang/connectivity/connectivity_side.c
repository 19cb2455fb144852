/*
 * What one end's policies say of a peer, for all protocols and ports at once: the walk of
 * the language as interval algebra, one application a rule. The evaluator answers the
 * same questions one by one; tests hold the two against each other.
 */
#include "policy-lang/connectivity/connectivity_side.h"

const enum port_column conn_port_columns[CONN_PROTO_COUNT] = {
    [CONN_SCTP] = PORTS_SCTP,
    [CONN_TCP] = PORTS_TCP,
    [CONN_UDP] = PORTS_UDP,
};

const struct conn_rest_column conn_rest_columns[CONN_REST_COUNT] = {
    {CONN_ICMP, PORTS_ICMP},
    {CONN_ICMPV6, PORTS_ICMPV6},
    {CONN_OTHER, PORTS_OTHER},
};

unsigned
conn_possible(unsigned family)
{
	return (family != IP_V6 ? CONN_ICMP : 0u) |
	       (family != IP_V4 ? CONN_ICMPV6 : 0u) | CONN_OTHER;
}

/* ---- laying the steps ---- */

static void
add_step(struct conn_side *side, const struct rule *rule, const struct policy *policy,
    uint32_t level)
{
	side->steps[side->step_count++] = (struct conn_step){
	    .rule = rule,
	    .policy = policy,
	    .level = level,
	    .peers = CONN_EVERYONE,
	};
	for (size_t i = 0; rule != NULL && i < rule->port_count; i++)
		side->names_ports |= rule->ports[i].kind == PORT_NAMED;
}

static void
add_rules(struct conn_side *side, const struct policy *policy, enum phase phase,
    uint32_t level)
{
	const struct rule_list *list = policy_rules(policy, phase, side->dir);

	for (size_t i = 0; i < list->count; i++)
		add_step(side, &list->rules[i], policy, level);
}

/* The allow blocks of one level: the union of all that isolate, then the deny. */
static void
add_allow(struct conn_side *side, struct policy *const *policies, size_t count,
    uint32_t level)
{
	const struct policy *isolating = NULL;

	for (size_t i = 0; i < count; i++) {
		if (!policies[i]->isolates[side->dir])
			continue;
		if (isolating == NULL)
			isolating = policies[i];
		add_rules(side, policies[i], PHASE_ALLOW, level);
	}
	if (isolating != NULL)
		add_step(side, NULL, isolating, level);
}

/* Where the policies of one level begin, of those before `end`. */
static size_t
level_begin(struct policy *const *policies, size_t end)
{
	size_t first = end - 1;

	while (first > 0 && policies[first - 1]->level == policies[end - 1]->level)
		first--;
	return first;
}

static size_t
steps_of(struct policy *const *policies, size_t count, enum direction dir)
{
	size_t steps = 0;

	for (size_t i = 0; i < count; i++) {
		steps += policies[i]->mandatory[dir].count +
			 policies[i]->defaults[dir].count +
			 policies[i]->allow[dir].count + 1;
	}
	return steps;
}

/* A node's fail-safe ports, as the rule that they amount to. */
static const struct rule *
fail_safe_rule(struct arena *arena, const struct fail_safe *safe, enum direction dir)
{
	struct rule *rule = ARENA_NEW(arena, struct rule);
	struct port_match *ports =
	    ARENA_ARRAY(arena, safe->count[dir], struct port_match);

	for (size_t i = 0; i < safe->count[dir]; i++) {
		const struct fail_safe_port *p = &safe->ports[dir][i];

		ports[i] = (struct port_match){
		    .kind = PORT_NUMBERS, .proto = p->proto, .lo = p->lo, .hi = p->hi};
	}
	*rule = (struct rule){
	    .phase = PHASE_MANDATORY,
	    .dir = dir,
	    .action = ACTION_ALLOW,
	    .any_peer = true,
	    .ports = ports,
	    .port_count = safe->count[dir],
	};
	return rule;
}

struct conn_side *
conn_side_new(struct arena *arena, const struct model *m, enum direction dir,
    const struct workload *self, struct policy *const *policies, size_t policy_count)
{
	struct conn_side *side = ARENA_NEW(arena, struct conn_side);
	size_t count = steps_of(policies, policy_count, dir) + 1, end = policy_count;
	uint32_t level = 0;

	side->dir = dir;
	side->default_deny = self != NULL && m->options.default_deny;
	side->self = self;
	side->steps = ARENA_ARRAY(arena, count, struct conn_step);
	if (self == NULL)
		add_step(side, fail_safe_rule(arena, &m->options.fail_safe, dir), NULL,
		    level);
	for (size_t i = 0; i < policy_count; i++) {
		if (i == 0 || policies[i]->level != policies[i - 1]->level)
			level++;
		add_rules(side, policies[i], PHASE_MANDATORY, level);
	}
	while (end > 0) {
		size_t first = level_begin(policies, end);

		add_allow(side, policies + first, end - first, ++level);
		level++;
		for (size_t i = first; i < end; i++)
			add_rules(side, policies[i], PHASE_DEFAULT, level);
		end = first;
	}
	return side;
}

/* ---- walking ---- */

/* ICMP is a matter of IPv4 and ICMPv6 one of IPv6; a rule that names one does not speak
 * of it over the other. */
static bool
names_column(const struct port_match *m, enum port_column column, unsigned family)
{
	if (m->proto == PROTO_ANY)
		return port_column_has_ports(column) || m->lo == 0;
	if (port_column_of(m->proto) != column || column == PORTS_OTHER)
		return false;
	if (column == PORTS_ICMP)
		return family != IP_V6;
	return column != PORTS_ICMPV6 || family != IP_V4;
}

static void
apply_numbers(struct portset *out, const struct rule *rule, const struct port_match *m,
    uint32_t number, unsigned family)
{
	for (unsigned i = 0; i < PORT_COLUMNS; i++) {
		enum port_column column = (enum port_column)i;

		if (names_column(m, column, family))
			portset_apply(out, column, m->lo, m->hi, rule->action, number);
	}
}

static void
apply_name(struct portset *out, const struct rule *rule, const struct port_match *m,
    uint32_t number, const struct workload *dst)
{
	const struct named_port *ports = NULL;
	size_t count = 0;

	if (dst != NULL)
		ports = workload_ports_named(dst, m->name, &count);
	for (size_t i = 0; i < count; i++) {
		const struct named_port *port = &ports[i];
		enum port_column column = port_column_of(port->proto);

		if (column == PORTS_OTHER ||
		    (m->proto != PROTO_ANY && m->proto != port->proto))
			continue;
		portset_apply(
		    out, column, port->port, port->port, rule->action, number);
	}
}

void
conn_side_walk(const struct conn_side *side, const uint32_t *on, size_t on_count,
    const struct workload *peer, unsigned family, struct portset *out)
{
	const struct workload *dst = side->dir == DIR_INGRESS ? side->self : peer;
	uint32_t level = 0;

	portset_reset(out);
	for (size_t i = 0; i < on_count && !portset_decided(out); i++) {
		const struct conn_step *step = &side->steps[on[i]];
		const struct rule *rule = step->rule;

		if (step->level != level)
			portset_next_level(out);
		level = step->level;
		if (rule == NULL || rule->any_port)
			portset_apply_all(
			    out, rule == NULL ? ACTION_DENY : rule->action, on[i] + 1);
		for (size_t j = 0;
		     rule != NULL && !rule->any_port && j < rule->port_count; j++) {
			if (rule->ports[j].kind == PORT_NUMBERS)
				apply_numbers(
				    out, rule, &rule->ports[j], on[i] + 1, family);
			else
				apply_name(out, rule, &rule->ports[j], on[i] + 1, dst);
		}
	}
	portset_next_level(out);
	portset_apply_all(out, ACTION_DENY, (uint32_t)side->step_count + 1);
}

bool
conn_side_allows(const struct conn_side *side, uint32_t number)
{
	const struct conn_step *step;

	if (number > side->step_count)
		return !side->default_deny;
	step = &side->steps[number - 1];
	return step->rule != NULL && step->rule->action == ACTION_ALLOW;
}

const struct conn_set *
conn_side_allowed(const struct conn_side *side, const struct portset *walked,
    unsigned family, struct arena *scratch, struct conn_pool *pool)
{
	struct conn_set set = {.possible = conn_possible(family)};

	for (size_t p = 0; p < CONN_PROTO_COUNT; p++) {
		const struct port_list *list = &walked->columns[conn_port_columns[p]];
		struct port_range *out =
		    ARENA_ARRAY(scratch, list->count, struct port_range);
		size_t count = 0;

		for (size_t i = 0; i < list->count; i++) {
			uint16_t lo = list->items[i].lo, hi = list->items[i].hi;

			if (hi == 0 || !conn_side_allows(side, list->items[i].number))
				continue;
			if (lo == 0)
				lo = 1;
			if (count > 0 && out[count - 1].hi + 1 == lo)
				out[count - 1].hi = hi;
			else
				out[count++] = (struct port_range){lo, hi};
		}
		set.ports[p] = (struct conn_ports){out, count};
	}
	for (size_t i = 0; i < CONN_REST_COUNT; i++) {
		const struct port_list *list =
		    &walked->columns[conn_rest_columns[i].column];

		if ((set.possible & conn_rest_columns[i].bit) != 0 &&
		    conn_side_allows(side, list->items[0].number))
			set.rest |= conn_rest_columns[i].bit;
	}
	return conn_set_intern(pool, &set);
}

size_t
conn_side_match(
    const struct conn_side *side, const struct endpoint *peer, uint32_t *out_on)
{
	const struct knower nobody = {0}; /* listings know no names */
	size_t count = 0;

	for (size_t i = 0; i < side->step_count; i++) {
		const struct rule *rule = side->steps[i].rule;

		if (rule == NULL || rule_matches_peer(rule, peer, &nobody))
			out_on[count++] = (uint32_t)i;
	}
	return count;
}
