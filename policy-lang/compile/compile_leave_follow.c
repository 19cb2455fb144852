/*
 * Egress: how a rule of a Route is followed on this node. Where its connections go on to, by a
 * gateway, a next hop or a table; and with which address.
 */
#include "policy-lang/compile/compile_route.h"

#include "policy-lang/evaluate/route.h"

/* ---- where to ---- */

/* Of a rule, for workloads of this node or of another. */
enum leave_place {
	LEAVE_HERE,   /* by this node, as it is a gateway or none is named */
	LEAVE_BY,     /* by other nodes */
	LEAVE_UNSENT, /* nothing is sent here: of another node, which leaves elsewhere */
};

static bool
names_gateways(const struct route_rule *rule)
{
	return rule->gateway_count != 0 || rule->gateway_selector != NULL;
}

/* The gateways that are asked before this node, all of them if it is none. */
static enum leave_place
place_of_rule(struct routes *r, const struct route_rule *rule, bool remote,
    const struct node ***out_nodes, size_t *out_count)
{
	const struct node *here = compiler_node(r->c);
	const struct node **all;
	size_t count, before = 0;

	*out_nodes = NULL;
	*out_count = 0;
	if (!names_gateways(rule))
		return remote ? LEAVE_UNSENT : LEAVE_HERE;
	all = route_gateways(r->arena, r->c->model, rule, here->cluster, &count);
	while (before < count && all[before] != here)
		before++;
	*out_nodes = all;
	*out_count = before;
	/* A node that the model does not know is known by its name. */
	if (count == 0 && !remote && route_gateway_takes(rule, here->cluster, here))
		return LEAVE_HERE;
	if (remote)
		return before < count ? LEAVE_HERE : LEAVE_UNSENT;
	return count != 0 && before == 0 ? LEAVE_HERE : LEAVE_BY;
}

static bool
some_hop_has(const struct table_way *way, enum ip_family family)
{
	for (size_t i = 0; i < way->hop_count; i++) {
		if (way->hops[i].addr[family_index(family)].family == family)
			return true;
	}
	return false;
}

/* NULL: what gets the id goes this way; else why it does not. */
static const char *
lead_by(struct routes *r, uint32_t id, enum ip_family family, struct table_way *wanted)
{
	const struct table_way *way;

	if (r->c->options->way_count == 0)
		return "it would have to go another way, and \"steering\" is not "
		       "configured";
	if (wanted->table == 0 && !some_hop_has(wanted, family))
		return wanted->hop_count == 0 || wanted->hops[0].node.len == 0
			   ? "it has no next hop of the family"
			   : "its gateways have no address of the family";
	way = ways_find(r, wanted);
	if (way == NULL)
		return "there are more ways than the mark has numbers for";
	ways_lead(r, id, way);
	return NULL;
}

static const char *
lead_to_gateways(struct routes *r, const struct route_rule *rule, enum ip_family family,
    uint32_t id, const struct node **nodes, size_t count)
{
	struct table_way way = {.loc = rule->loc};

	if (count == 0)
		return "no known node is its gateway";
	if (count > TABLE_HOPS_MAX)
		return "it has more gateways than a node takes";
	way.hops = ways_hops(r, nodes, count);
	way.hop_count = count;
	return lead_by(r, id, family, &way);
}

/* From here by a next hop, or a table. */
static const char *
lead_on(struct routes *r, const struct route_rule *rule, const struct ns *level,
    enum ip_family family, uint32_t id)
{
	struct table_way way = {.loc = rule->loc, .table = rule->table};
	struct table_hop *hop;

	if (rule->next_hop_count == 0 && rule->table == 0)
		return NULL;
	if (rule->table != 0 && !routes_may_use_table(r, rule->table, level))
		return "this node has no such table for it";
	if (rule->table == 0) {
		hop = ARENA_NEW(r->c->scratch, struct table_hop);
		for (size_t i = 0; i < rule->next_hop_count; i++)
			hop->addr[family_index(rule->next_hops[i].family)] =
			    rule->next_hops[i];
		way.hops = hop;
		way.hop_count = 1;
	}
	return lead_by(r, id, family, &way);
}

/* ---- with which address ---- */

/* All addresses of a family that the rule's sources have. False: too many. */
static bool
list_sources(const struct route_rule *rule, enum ip_family family,
    struct route_end *ends, size_t *out_count)
{
	*out_count = 0;
	for (size_t i = 0; i < rule->source_count; i++) {
		struct ip_addr addr, last;
		bool more = rule->sources[i].addr.family == family;

		ip_prefix_range(&rule->sources[i], &addr, &last);
		while (more) {
			if (*out_count == ROUTE_POOL_MAX)
				return false;
			ends[(*out_count)++] = (struct route_end){
			    .addr = addr, .weight = 1, .loc = rule->loc};
			more = !ip_eq(&addr, &last) && ip_next(&addr, &addr);
		}
	}
	return true;
}

/* NULL: the id leads to the rule's sources; else why it does not. */
static const char *
lead_to_sources(struct routes *r, const struct route_rule *rule, const struct ns *level,
    enum ip_family family, uint32_t id)
{
	struct route_end ends[ROUTE_POOL_MAX];
	size_t count;

	if (!list_sources(rule, family, ends, &count))
		return "it has more source addresses than a node takes";
	for (size_t i = 0; i < count; i++) {
		switch (routes_right(r, &ends[i].addr, level)) {
		case ROUTE_MAY:
			break;
		case ROUTE_ELSEWHERE:
			return r->c->options->settings.no_nat
				   ? "the kernel puts on no addresses"
				   : "this node does not put on its source address";
		case ROUTE_OTHERS:
			return "its source address is for Routes of another subtree";
		}
		if (routes_inside(r->c->model, &ends[i].addr))
			return "its source address is a workload's or a node's";
	}
	return routes_lead(r, id, ends, count, PICK_HASH, rule->loc)
		   ? NULL
		   : "it has no source address of the family";
}

/* NULL: the rule is followed; else why not. */
static const char *
lead(struct routes *r, const struct route_rule *rule, const struct ns *level,
    enum ip_family family, bool remote, uint32_t id)
{
	const struct node **nodes;
	const char *why = NULL;
	size_t count;

	switch (place_of_rule(r, rule, remote, &nodes, &count)) {
	case LEAVE_UNSENT:
		return "nothing of another node's is sent here by it";
	case LEAVE_BY:
		return lead_to_gateways(r, rule, family, id, nodes, count);
	case LEAVE_HERE:
		break;
	}
	if (rule->source_count != 0)
		why = lead_to_sources(r, rule, level, family, id);
	if (rule->source_count != 0 && why == NULL)
		ways_stand_by(r, rule, nodes, count);
	return why != NULL ? why : lead_on(r, rule, level, family, id);
}

bool
leave_follow(struct routes *r, const struct route_rule *rule, const struct ns *level,
    unsigned family, bool remote, uint32_t id)
{
	const char *why;

	if (rule->action != ROUTE_APPLY)
		return true;
	why = lead(r, rule, level, family_of(family), remote, id);
	if (why != NULL && !remote)
		diag_warn(r->c->diags, "not-followed", rule->loc,
		    "what this route is for is denied on node %.*s over IPv%u: %s",
		    STR_ARG(r->c->options->node), family == 0 ? 4u : 6u, why);
	return why == NULL;
}
