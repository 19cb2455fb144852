/*
 * The walk of Routes, and what its result means for a connection that leaves or that goes
 * from one workload to another. Written to be compared with the text of the language; it
 * must not know the compiler.
 */
#include "policy-lang/evaluate/route.h"

/* ---- does a rule match? ---- */

/* One walk under way. */
struct walker {
	const struct workload *subject;
	enum route_kind kind;
	const struct flow *flow;
	struct knower who;
	const struct route_rule *gone;
};

static bool
some_peer_takes(const struct walker *k, const struct peer *peers, size_t count,
    const struct endpoint *end)
{
	for (size_t i = 0; i < count; i++) {
		if (peer_takes(&peers[i], end, &k->who))
			return true;
	}
	return false;
}

static bool
matches_ports(const struct walker *k, const struct route_rule *rule)
{
	for (size_t i = 0; i < rule->port_count; i++) {
		if (port_match_takes(&rule->ports[i], k->flow))
			return true;
	}
	return rule->port_count == 0;
}

static bool
denies_names(const struct route_rule *rule)
{
	for (size_t i = 0; rule->action == ROUTE_DENY && i < rule->to_count; i++) {
		if (rule->to[i].fqdn_count > 0)
			return true;
	}
	return false;
}

/* As of policy: what may be meant by a name is denied with it. */
static bool
matches_egress(const struct walker *k, const struct route_rule *rule)
{
	return rule->to_count == 0 ||
	       some_peer_takes(k, rule->to, rule->to_count, &k->flow->dst) ||
	       (denies_names(rule) && peer_is_nameless(&k->flow->dst, &k->who));
}

static bool
matches_ingress(const struct walker *k, const struct route_rule *rule)
{
	for (size_t i = 0; i < rule->address_count; i++) {
		if (ip_in_prefix(&k->flow->dst.addr, &rule->addresses[i]))
			return true;
	}
	return rule->address_count == 0;
}

/* What is sent through a workload is not what that workload itself begins or ends. */
static bool
is_in_the_path(const struct walker *k, const struct route_rule *rule)
{
	return rule->action == ROUTE_APPLY &&
	       (workload_match_takes(&rule->through, k->flow->src.workload) ||
		   workload_match_takes(&rule->through, k->flow->dst.workload));
}

static bool
matches_via(const struct walker *k, const struct route_rule *rule)
{
	if (rule->from_count > 0 &&
	    !some_peer_takes(k, rule->from, rule->from_count, &k->flow->src))
		return false;
	if (rule->to_count > 0 &&
	    !some_peer_takes(k, rule->to, rule->to_count, &k->flow->dst))
		return false;
	return !is_in_the_path(k, rule);
}

static bool (*const kind_matches[ROUTE_KIND_COUNT])(
    const struct walker *k, const struct route_rule *rule) = {
    [ROUTE_EGRESS] = matches_egress,
    [ROUTE_INGRESS] = matches_ingress,
    [ROUTE_VIA] = matches_via,
};

/* ---- the walk ---- */

static const struct route_rule *
match_in_list(const struct walker *k, const struct route_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct route_rule *rule = &list->rules[i];

		if (rule != k->gone && matches_ports(k, rule) &&
		    kind_matches[k->kind](k, rule))
			return rule;
	}
	return NULL;
}

/* r = first match in mandatory(s) or default(s); pass or none: the next level. */
static struct route_found
match_at(const struct walker *k, const struct ns *level, enum phase phase)
{
	for (size_t i = 0; i < level->route_count; i++) {
		const struct route_policy *route = level->routes[i];
		const struct route_list *lists =
		    phase == PHASE_MANDATORY ? route->mandatory : route->defaults;
		const struct route_rule *rule;

		if (lists[k->kind].count == 0 ||
		    !workload_match_takes(&route->subject, k->subject))
			continue;
		rule = match_in_list(k, &lists[k->kind]);
		if (rule != NULL && rule->action == ROUTE_PASS)
			break;
		if (rule != NULL)
			return (struct route_found){route, rule};
	}
	return (struct route_found){0};
}

static const struct ns *
ancestor_at(const struct ns *ns, uint32_t depth)
{
	while (ns->depth > depth)
		ns = ns->parent;
	return ns;
}

struct route_found
route_walk(const struct model *m, const struct workload *w, enum route_kind kind,
    const struct flow *flow, const struct route_rule *gone)
{
	struct walker k = {.subject = w,
	    .kind = kind,
	    .flow = flow,
	    .who = knower_of(m, w->ns),
	    .gone = gone};
	struct route_found found = {0};

	for (uint32_t depth = 0; depth <= w->ns->depth && found.rule == NULL; depth++)
		found = match_at(&k, ancestor_at(w->ns, depth), PHASE_MANDATORY);
	for (const struct ns *s = w->ns; s != NULL && found.rule == NULL; s = s->parent)
		found = match_at(&k, s, PHASE_DEFAULT);
	return found;
}

/* ---- egress ---- */

bool
route_gateway_takes(
    const struct route_rule *rule, struct str cluster, const struct node *node)
{
	if (!str_eq(cluster, node->cluster))
		return false;
	if (rule->gateway_selector != NULL)
		return selector_matches(rule->gateway_selector, node->labels);
	for (size_t i = 0; i < rule->gateway_count; i++) {
		if (str_eq(rule->gateways[i], node->name))
			return true;
	}
	return false;
}

/* Named nodes in the order of the names, selected ones in that of the model. */
static uint32_t
gateway_rank(const struct route_rule *rule, const struct node *node)
{
	for (size_t i = 0; i < rule->gateway_count; i++) {
		if (str_eq(rule->gateways[i], node->name))
			return (uint32_t)i;
	}
	return 0;
}

bool
route_node_is_known(const struct node *node)
{
	return node->loc.source != NULL || node->ip_count != 0;
}

const struct node **
route_gateways(struct arena *a, const struct model *m, const struct route_rule *rule,
    struct str cluster, size_t *out_count)
{
	const struct node **nodes = ARENA_ARRAY(a, m->node_count, const struct node *);
	size_t count = 0;

	for (size_t i = 0; i < m->node_count; i++) {
		const struct node *node = m->nodes[i];
		size_t at = count;

		if (!route_node_is_known(node) ||
		    !route_gateway_takes(rule, cluster, node))
			continue;
		while (at > 0 && rule->gateway_selector == NULL &&
		       gateway_rank(rule, nodes[at - 1]) > gateway_rank(rule, node)) {
			nodes[at] = nodes[at - 1];
			at--;
		}
		nodes[at] = node;
		count++;
	}
	*out_count = count;
	return nodes;
}

/* The sources of the family that is asked about. */
static void
find_sources(struct arena *a, enum ip_family family, struct route_egress *out)
{
	const struct route_rule *rule = out->by.rule;
	struct ip_prefix *sources =
	    ARENA_ARRAY(a, rule->source_count, struct ip_prefix);

	for (size_t i = 0; i < rule->source_count; i++) {
		if (rule->sources[i].addr.family == family)
			sources[out->source_count++] = rule->sources[i];
	}
	out->sources = sources;
}

static void
find_next_hop(enum ip_family family, struct route_egress *out)
{
	const struct route_rule *rule = out->by.rule;

	for (size_t i = 0; i < rule->next_hop_count; i++) {
		if (rule->next_hops[i].family == family)
			out->next_hop = &rule->next_hops[i];
	}
	out->table = rule->table;
}

/* A rule that cannot be followed in this family refuses: nothing may leave with an address
 * or by a way that the rule was written to forbid. */
static void
take_egress(struct arena *a, const struct model *m, const struct flow *flow,
    struct route_egress *out)
{
	const struct route_rule *rule = out->by.rule;
	enum ip_family family = flow->dst.addr.family;
	bool by_node = rule->gateway_count > 0 || rule->gateway_selector != NULL;

	find_sources(a, family, out);
	find_next_hop(family, out);
	if (by_node)
		out->gateways = route_gateways(a, m, rule,
		    flow->src.workload->where->cluster, &out->gateway_count);
	if ((rule->source_count > 0 && out->source_count == 0) ||
	    (rule->next_hop_count > 0 && out->next_hop == NULL))
		out->reason = ROUTE_REASON_NO_FAMILY;
	/* Where nothing is known of nodes at all, no name is suspicious. */
	else if (by_node && out->gateway_count == 0 && m->node_count > 0)
		out->reason = ROUTE_REASON_NO_NODE;
	out->outcome = out->reason == ROUTE_REASON_RULE ? ROUTE_TAKEN : ROUTE_REFUSED;
}

/* What an action means where the rule itself adds nothing. */
static enum route_outcome
plain_outcome(enum route_action action)
{
	return action == ROUTE_DENY ? ROUTE_REFUSED : ROUTE_AS_IT_IS;
}

void
route_egress(struct arena *a, const struct model *m, const struct flow *flow,
    struct route_egress *out)
{
	const struct workload *w = flow->src.workload;

	*out = (struct route_egress){.reason = ROUTE_REASON_INSIDE};
	if (flow->dst.kind != ENDPOINT_ADDRESS)
		return;
	out->reason = ROUTE_REASON_NONE;
	out->by = route_walk(m, w, ROUTE_EGRESS, flow, NULL);
	if (out->by.rule == NULL)
		return;
	out->reason = ROUTE_REASON_RULE;
	out->otherwise = route_walk(m, w, ROUTE_EGRESS, flow, out->by.rule);
	if (out->by.rule->action == ROUTE_APPLY)
		take_egress(a, m, flow, out);
	else
		out->outcome = plain_outcome(out->by.rule->action);
}

/* ---- via ---- */

static bool
is_there(const struct workload *w, const struct flow *flow)
{
	if (w->not_ready || w->host_network)
		return false;
	if (w->is_template || !flow->src.has_addr)
		return true;
	for (size_t i = 0; i < w->ip_count; i++) {
		if (w->ips[i].family == flow->src.addr.family)
			return true;
	}
	return false;
}

static void
find_through(struct arena *a, const struct model *m, const struct flow *flow,
    struct route_via *out)
{
	const struct route_rule *rule = out->by.rule;
	const struct workload **through =
	    ARENA_ARRAY(a, m->workload_count, const struct workload *);

	for (size_t i = 0; i < m->workload_count; i++) {
		const struct workload *w = m->workloads[i];

		if (workload_match_takes(&rule->through, w) && is_there(w, flow))
			through[out->through_count++] = w;
	}
	out->through = through;
	if (out->through_count > 0) {
		out->outcome = ROUTE_TAKEN;
		return;
	}
	out->reason = ROUTE_REASON_NO_TARGET;
	out->outcome = rule->direct_on_failure ? ROUTE_AS_IT_IS : ROUTE_REFUSED;
}

void
route_via(struct arena *a, const struct model *m, const struct flow *flow,
    struct route_via *out)
{
	const struct workload *w = flow->src.workload;

	*out = (struct route_via){.reason = ROUTE_REASON_NONE};
	if (w == flow->dst.workload)
		return;
	out->by = route_walk(m, w, ROUTE_VIA, flow, NULL);
	if (out->by.rule == NULL)
		return;
	out->reason = ROUTE_REASON_RULE;
	out->otherwise = route_walk(m, w, ROUTE_VIA, flow, out->by.rule);
	if (out->by.rule->action == ROUTE_APPLY)
		find_through(a, m, flow, out);
	else
		out->outcome = plain_outcome(out->by.rule->action);
}

/* ---- names ---- */

const char *
route_kind_name(enum route_kind kind)
{
	static const char *const names[] = {[ROUTE_EGRESS] = "egress",
	    [ROUTE_INGRESS] = "ingress",
	    [ROUTE_VIA] = "via"};

	return names[kind];
}

const char *
route_action_name(enum route_kind kind, enum route_action action)
{
	static const char *const applied[] = {[ROUTE_EGRESS] = "route",
	    [ROUTE_INGRESS] = "publish",
	    [ROUTE_VIA] = "through"};
	static const char *const names[] = {
	    [ROUTE_DIRECT] = "direct", [ROUTE_DENY] = "deny", [ROUTE_PASS] = "pass"};

	return action == ROUTE_APPLY ? applied[kind] : names[action];
}

const char *
route_title(struct arena *a, const struct route_policy *route)
{
	return arena_printf(a, "Route %.*s/%.*s",
	    STR_ARG(route->level->depth > 0 ? route->level->path : STR("")),
	    STR_ARG(route->name));
}

const char *
route_rule_title(struct arena *a, struct route_found found)
{
	const char *text = arena_printf(a, "%s %s rule %u", route_title(a, found.route),
	    route_kind_name(found.rule->kind), (unsigned)found.rule->index);

	if (found.rule->name.len == 0)
		return text;
	return arena_printf(a, "%s \"%.*s\"", text, STR_ARG(found.rule->name));
}
