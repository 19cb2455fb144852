#include "tests/property/flat_walk.h"

#include <stdlib.h>
#include <string.h>

#include "tests/property/world.h"

/* By priority, name, kind: read off the documents, not the loader's order. */
static int
policy_order(const void *a, const void *b)
{
	const struct policy *x, *y;
	int order;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	order = str_cmp(x->name, y->name);
	return order != 0 ? order : (int)x->kind - (int)y->kind;
}

static size_t
policies_of(const struct model *m, const struct ns *level, const struct workload *w,
    const struct policy *out[])
{
	size_t count = 0;

	for (size_t i = 0; i < m->policy_count; i++) {
		if (m->policies[i]->level == level && policy_applies(m->policies[i], w))
			out[count++] = m->policies[i];
	}
	qsort(out, count, sizeof(*out), policy_order);
	return count;
}

static void
flatten_list(struct flat_walk *flat, const struct rule_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		flat->entries[flat->count++] = (struct flat_entry){
		    .rule = &list->rules[i], .action = list->rules[i].action};
}

static void
flatten(struct flat_walk *flat, const struct model *m, const struct ns *level,
    const struct workload *w, enum phase phase, enum direction dir)
{
	const struct policy *policies[2 * WORLD_POLICIES];
	size_t count = policies_of(m, level, w, policies);
	size_t first = flat->count;
	bool isolated = false;

	for (size_t i = 0; i < count; i++) {
		if (phase == PHASE_MANDATORY)
			flatten_list(flat, &policies[i]->mandatory[dir]);
		else if (phase == PHASE_DEFAULT)
			flatten_list(flat, &policies[i]->defaults[dir]);
		else if (policies[i]->isolates[dir])
			flatten_list(flat, &policies[i]->allow[dir]);
		isolated = isolated || policies[i]->isolates[dir];
	}
	if (phase == PHASE_ALLOW && isolated)
		flat->entries[flat->count++] =
		    (struct flat_entry){.action = ACTION_DENY};
	for (size_t i = first; i < flat->count; i++)
		flat->entries[i].next = flat->count;
}

static bool
port_hits(const struct port_match *match, const struct flow *flow)
{
	bool six = (flow->src.has_addr ? flow->src.addr.family
				       : flow->dst.addr.family) == IP_V6;
	bool unknown = !flow->src.has_addr && !flow->dst.has_addr;

	if (match->kind == PORT_NUMBERS) {
		if (match->proto == PROTO_ICMP && six && !unknown)
			return false;
		if (match->proto == PROTO_ICMPV6 && !six && !unknown)
			return false;
		return match->proto == flow->proto && flow->port >= match->lo &&
		       flow->port <= match->hi;
	}
	for (size_t i = 0; flow->dst.kind == ENDPOINT_WORKLOAD &&
			   i < flow->dst.workload->shape->port_count;
	     i++) {
		const struct named_port *port = &flow->dst.workload->shape->ports[i];

		if (str_eq(port->name, match->name) && port->proto == flow->proto &&
		    port->port == flow->port &&
		    (match->proto == PROTO_ANY || match->proto == port->proto))
			return true;
	}
	return false;
}

static bool
entry_hits(const struct flat_entry *entry, const struct flow *flow,
    const struct endpoint *peer)
{
	const struct rule *rule = entry->rule;

	if (rule == NULL)
		return true;
	if (!rule_matches_peer(rule, peer, &(struct knower){0}))
		return false;
	for (size_t i = 0; i < rule->port_count; i++) {
		if (port_hits(&rule->ports[i], flow))
			return true;
	}
	return rule->any_port;
}

bool
flat_walk_allows(const struct flat_walk *flat, const struct flow *flow,
    enum direction dir, bool otherwise)
{
	const struct endpoint *peer = dir == DIR_EGRESS ? &flow->dst : &flow->src;
	size_t i = 0;

	while (i < flat->count) {
		const struct flat_entry *entry = &flat->entries[i];

		if (!entry_hits(entry, flow, peer))
			i++;
		else if (entry->action == ACTION_PASS)
			i = entry->next;
		else
			return entry->action == ACTION_ALLOW;
	}
	return otherwise;
}

void
flat_walk_make(struct flat_walk *flat, const struct model *m, const struct workload *w,
    enum direction dir)
{
	const struct ns *path[WORLD_NAMESPACES + 2];
	size_t depth = 0;

	flat->count = 0;
	for (const struct ns *s = w->ns; s != NULL; s = s->parent)
		path[depth++] = s;
	for (size_t i = depth; i-- > 0;)
		flatten(flat, m, path[i], w, PHASE_MANDATORY, dir);
	for (size_t i = 0; i < depth; i++) {
		flatten(flat, m, path[i], w, PHASE_ALLOW, dir);
		flatten(flat, m, path[i], w, PHASE_DEFAULT, dir);
	}
}
