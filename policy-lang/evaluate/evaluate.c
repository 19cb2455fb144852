/*
 * The walk: mandatory from the root down, allow and default from the leaf up.
 * Written to be compared with the text of the language line by line. It must not know
 * the compiler, and it keeps nothing between two questions; who asks many
 * (evaluate_connection.c) only hands it shorter lists of policies.
 */
#include "policy-lang/evaluate/evaluate.h"

#include "policy-lang/evaluate/evaluate_walk.h"
#include "policy-lang/model/fail_safe.h"
#include "policy-lang/model/learnt.h"

/* ---- does a rule match? ---- */

bool
workload_match_takes(const struct workload_match *match, const struct workload *w)
{
	if (w->host_network || match->nodes != NULL)
		return false;
	if (match->cluster.ptr != NULL && !str_eq(match->cluster, w->where->cluster))
		return false;
	if (match->subtree != NULL && !ns_within(w->ns, match->subtree))
		return false;
	if (match->kube != NULL && w->kube != match->kube)
		return false;
	if (match->ns_selector != NULL &&
	    !selector_matches(match->ns_selector, workload_ns_labels(w)))
		return false;
	if (match->selector != NULL &&
	    !selector_matches(match->selector, w->shape->labels))
		return false;
	return match->service_account.ptr == NULL ||
	       str_eq(match->service_account, w->shape->service_account);
}

bool
policy_applies(const struct policy *policy, const struct workload *w)
{
	return workload_match_takes(&policy->subject, w);
}

static bool
in_some_prefix(
    const struct ip_addr *addr, const struct ip_prefix *prefixes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (ip_in_prefix(addr, &prefixes[i]))
			return true;
	}
	return false;
}

/* To a policy of one cluster the workloads of another are outside addresses. */
static bool
is_outside(const struct peer *peer, const struct workload *w)
{
	return peer->cluster.ptr != NULL && !str_eq(peer->cluster, w->where->cluster);
}

static bool
network_matches(const struct peer *peer, const struct endpoint *end)
{
	if (!end->has_addr)
		return false;
	if (end->kind == ENDPOINT_WORKLOAD && !peer->by_address &&
	    !is_outside(peer, end->workload))
		return false;
	return in_some_prefix(&end->addr, peer->prefixes, peer->prefix_count) &&
	       !in_some_prefix(&end->addr, peer->excepts, peer->except_count);
}

bool
policy_applies_to_node(const struct policy *policy, const struct node *node)
{
	return policy->subject.nodes != NULL &&
	       peer_takes_node(policy->subject.nodes, node);
}

/* True if some policy's subject is this node, and it is judged at all. */
static bool
node_is_judged(const struct model *m, const struct node *node)
{
	if (m->options.nodes_unprotected)
		return false;
	for (size_t i = 0; i < m->root->policy_count; i++) {
		if (policy_applies_to_node(m->root->policies[i], node))
			return true;
	}
	return false;
}

struct knower
knower_of(const struct model *m, const struct ns *ns)
{
	return (struct knower){m->options.learnt, ns_tenant(ns)};
}

/* What is inside has an owner, whatever some answer says of its address. */
static bool
is_outside_address(const struct endpoint *end)
{
	return end->kind == ENDPOINT_ADDRESS && end->has_addr;
}

static bool
name_matches(
    const struct peer *peer, const struct endpoint *end, const struct knower *who)
{
	return is_outside_address(end) &&
	       learnt_matches(
		   who->learnt, who->tenant, &end->addr, peer->fqdns, peer->fqdn_count);
}

bool
peer_is_nameless(const struct endpoint *end, const struct knower *who)
{
	return is_outside_address(end) &&
	       !learnt_explains(who->learnt, who->tenant, &end->addr);
}

bool
peer_takes(
    const struct peer *peer, const struct endpoint *end, const struct knower *who)
{
	switch (peer->kind) {
	case PEER_WORKLOADS:
		return end->kind == ENDPOINT_WORKLOAD &&
		       workload_match_takes(&peer->workloads, end->workload);
	case PEER_NETWORK:
		return network_matches(peer, end) || name_matches(peer, end, who);
	case PEER_NODES:
		return end->kind == ENDPOINT_NODE && end->node != NULL &&
		       !end->unlisted && peer_takes_node(peer, end->node);
	case PEER_FQDN:
		return name_matches(peer, end, who);
	}
	return false;
}

/* What may be meant by a name is denied with it. */
bool
rule_matches_peer(
    const struct rule *rule, const struct endpoint *peer, const struct knower *who)
{
	if (rule->any_peer)
		return true;
	for (size_t i = 0; i < rule->peer_count; i++) {
		if (peer_takes(&rule->peers[i], peer, who))
			return true;
	}
	return rule->action == ACTION_DENY && rule_has_names(rule) &&
	       peer_is_nameless(peer, who);
}

/* The family that a flow is of; 0 if neither end has an address. */
static unsigned
flow_family(const struct flow *flow)
{
	if (flow->src.has_addr)
		return flow->src.addr.family;
	return flow->dst.has_addr ? flow->dst.addr.family : 0;
}

/* A port's name means what the destination gives that name; nothing else has names. */
static bool
named_port_matches(const struct port_match *match, const struct flow *flow)
{
	const struct named_port *ports;
	size_t count;

	if (flow->dst.kind != ENDPOINT_WORKLOAD ||
	    (match->proto != PROTO_ANY && match->proto != flow->proto))
		return false;
	ports = workload_ports_named(flow->dst.workload, match->name, &count);
	for (size_t i = 0; i < count; i++) {
		if (ports[i].proto == flow->proto && ports[i].port == flow->port)
			return true;
	}
	return false;
}

bool
port_match_takes(const struct port_match *match, const struct flow *flow)
{
	if (match->kind == PORT_NAMED)
		return named_port_matches(match, flow);
	if (match->proto != PROTO_ANY && match->proto != flow->proto)
		return false;
	if (match->proto == PROTO_ICMP && flow_family(flow) == IP_V6)
		return false;
	if (match->proto == PROTO_ICMPV6 && flow_family(flow) == IP_V4)
		return false;
	return match->lo <= flow->port && flow->port <= match->hi;
}

static bool
rule_matches(const struct rule *rule, const struct flow *flow,
    const struct endpoint *peer, const struct knower *who)
{
	if (!rule_matches_peer(rule, peer, who))
		return false;
	if (rule->any_port)
		return true;
	for (size_t i = 0; i < rule->port_count; i++) {
		if (port_match_takes(&rule->ports[i], flow))
			return true;
	}
	return false;
}

/* ---- the walk ---- */

/* One walk under way. */
struct walker {
	const struct model *model;
	const struct flow *flow;
	enum direction dir;
	const struct workload *subject; /* NULL: the node */
	const struct node *node;
	const struct endpoint *peer;
	struct knower who;
	const struct level_policies *levels; /* by depth; NULL: all that a level has */
	struct verdict verdict;
	bool decided;
	const struct verdict *gone; /* the decider that is taken away; NULL */
	struct arena *arena;        /* tracing; else NULL */
	struct walk *trace;
	size_t step_cap;
};

static const struct ns *
ancestor_at(const struct ns *ns, uint32_t depth)
{
	while (ns->depth > depth)
		ns = ns->parent;
	return ns;
}

static struct level_policies
policies_at(const struct walker *k, const struct ns *level)
{
	if (k->levels != NULL)
		return k->levels[level->depth];
	return (struct level_policies){level->policies, level->policy_count};
}

static bool
applies(const struct walker *k, const struct policy *policy)
{
	return k->node != NULL ? policy_applies_to_node(policy, k->node)
			       : policy_applies(policy, k->subject);
}

static bool
rule_is_gone(const struct walker *k, const struct rule *rule)
{
	return k->gone != NULL && k->gone->reason == REASON_RULE &&
	       k->gone->rule == rule;
}

static bool
isolation_is_gone(const struct walker *k, const struct policy *policy)
{
	return k->gone != NULL && k->gone->reason == REASON_ISOLATION &&
	       k->gone->policy == policy;
}

static const struct rule *
match_in_policy(const struct walker *k, const struct policy *policy, enum phase phase)
{
	const struct rule_list *list = policy_rules(policy, phase, k->dir);

	for (size_t i = 0; i < list->count; i++) {
		if (rule_matches(&list->rules[i], k->flow, k->peer, &k->who) &&
		    !rule_is_gone(k, &list->rules[i]))
			return &list->rules[i];
	}
	return NULL;
}

static void
add_step(struct walker *k, struct step step)
{
	struct walk *trace = k->trace;

	if (trace == NULL)
		return;
	if (trace->step_count == k->step_cap) {
		size_t cap = k->step_cap == 0 ? 8 : 2 * k->step_cap;
		struct step *steps = ARENA_ARRAY(k->arena, cap, struct step);

		for (size_t i = 0; i < trace->step_count; i++)
			steps[i] = trace->steps[i];
		trace->steps = steps;
		k->step_cap = cap;
	}
	trace->steps[trace->step_count++] = step;
}

/* Settles the walk, unless somebody has already. */
static void
decide(struct walker *k, struct step *step, struct verdict verdict)
{
	step->kind = k->decided ? STEP_UNREACHED : STEP_DECIDED;
	step->rule = verdict.rule;
	step->policy = verdict.policy;
	step->allow = verdict.allow;
	step->isolation = verdict.reason == REASON_ISOLATION;
	if (!k->decided)
		k->verdict = verdict;
	k->decided = true;
}

/* r = first match in mandatory(s) or default(s); allow/deny: final; pass or none: on. */
static void
visit_ordered(struct walker *k, const struct ns *level, enum phase phase)
{
	struct level_policies here = policies_at(k, level);
	struct step step = {.level = level, .phase = phase, .kind = STEP_NO_MATCH};
	const struct rule *rule = NULL;
	bool any_rule = false;

	for (size_t i = 0; i < here.count && rule == NULL; i++) {
		const struct policy *policy = here.policies[i];

		if (policy_rules(policy, phase, k->dir)->count == 0 ||
		    !applies(k, policy))
			continue;
		any_rule = true;
		rule = match_in_policy(k, policy, phase);
	}
	if (rule != NULL && rule->action == ACTION_PASS) {
		step.kind = k->decided ? STEP_UNREACHED : STEP_PASS;
		step.rule = rule;
		step.policy = rule->policy;
	} else if (rule != NULL) {
		decide(k, &step,
		    (struct verdict){
			.allow = rule->action == ACTION_ALLOW,
			.reason = REASON_RULE,
			.rule = rule,
			.policy = rule->policy,
			.level = level,
		    });
	}
	if (any_rule)
		add_step(k, step);
}

/* If some allow block of s isolates: any of them matches: allow, else deny (final). */
static void
visit_allow(struct walker *k, const struct ns *level)
{
	struct level_policies here = policies_at(k, level);
	struct step step = {.level = level, .phase = PHASE_ALLOW};
	const struct policy *isolating = NULL;
	const struct rule *rule = NULL;

	for (size_t i = 0; i < here.count && rule == NULL; i++) {
		const struct policy *policy = here.policies[i];

		if (!policy->isolates[k->dir] || isolation_is_gone(k, policy) ||
		    !applies(k, policy))
			continue;
		if (isolating == NULL)
			isolating = policy;
		rule = match_in_policy(k, policy, PHASE_ALLOW);
	}
	if (isolating == NULL)
		return;
	decide(k, &step,
	    (struct verdict){
		.allow = rule != NULL,
		.reason = rule != NULL ? REASON_RULE : REASON_ISOLATION,
		.rule = rule,
		.policy = rule != NULL ? rule->policy : isolating,
		.level = level,
	    });
	add_step(k, step);
}

static bool
finished(const struct walker *k)
{
	return k->decided && k->trace == NULL;
}

static void
walk(struct walker *k)
{
	/* Nodes are at the root. */
	const struct ns *leaf = k->node != NULL ? k->model->root : k->subject->ns;

	k->who = knower_of(k->model, leaf);
	for (uint32_t depth = 0; depth <= leaf->depth && !finished(k); depth++)
		visit_ordered(k, ancestor_at(leaf, depth), PHASE_MANDATORY);
	for (const struct ns *s = leaf; s != NULL && !finished(k); s = s->parent) {
		visit_allow(k, s);
		if (!finished(k))
			visit_ordered(k, s, PHASE_DEFAULT);
	}
	if (!k->decided && k->node != NULL) {
		k->verdict =
		    (struct verdict){.allow = true, .reason = REASON_NODE_OPEN};
	} else if (!k->decided) {
		k->verdict = (struct verdict){
		    .allow = !k->model->options.default_deny,
		    .reason = REASON_CLUSTER_DEFAULT,
		};
	}
}

/* ---- one direction ---- */

/* A hostNetwork pod of an unnamed node is on nobody's own node: what is not known to be
 * the node is judged. Node names of several clusters may coincide. */
static bool
is_own_node(const struct endpoint *end, const struct workload *w)
{
	if (end->kind != ENDPOINT_NODE || end->node == NULL || w->where->node.len == 0)
		return false;
	return str_eq(w->where->cluster, end->node->cluster) &&
	       str_eq(end->node->name, w->where->node);
}

/* The same for a node. What runs on it, it reaches always, as it must to start and to
 * probe it. */
static bool
judge_node_without_walk(const struct model *m, const struct flow *flow,
    enum direction dir, const struct node *node, struct verdict *out)
{
	const struct endpoint *self = dir == DIR_EGRESS ? &flow->src : &flow->dst;
	const struct endpoint *peer = dir == DIR_EGRESS ? &flow->dst : &flow->src;

	if (!node_is_judged(m, node))
		out->reason = REASON_NO_POLICY;
	else if (peer->kind == ENDPOINT_NODE && peer->node == node)
		out->reason = REASON_SELF;
	else if (dir == DIR_EGRESS && peer->kind == ENDPOINT_WORKLOAD &&
		 is_own_node(self, peer->workload))
		out->reason = REASON_OWN_NODE;
	else if (fail_safe_has(&m->options.fail_safe, dir, flow->proto, flow->port))
		out->reason = REASON_FAIL_SAFE;
	else
		return false;
	return true;
}

/* Judges what needs no walk; true if it did. */
static bool
judge_without_walk(const struct model *m, const struct flow *flow, enum direction dir,
    struct verdict *out)
{
	const struct endpoint *self = dir == DIR_EGRESS ? &flow->src : &flow->dst;
	const struct endpoint *peer = dir == DIR_EGRESS ? &flow->dst : &flow->src;

	*out = (struct verdict){.allow = true};
	if (self->kind == ENDPOINT_NODE && self->node != NULL)
		return judge_node_without_walk(m, flow, dir, self->node, out);
	if (self->kind != ENDPOINT_WORKLOAD)
		out->reason = REASON_NO_POLICY;
	else if (peer->kind == ENDPOINT_WORKLOAD && peer->workload == self->workload)
		out->reason = REASON_SELF;
	else if (dir == DIR_INGRESS && is_own_node(peer, self->workload))
		out->reason = REASON_OWN_NODE;
	else
		return false;
	return true;
}

static struct verdict
judge_one(struct walker *k)
{
	const struct flow *flow = k->flow;
	const struct endpoint *self = k->dir == DIR_EGRESS ? &flow->src : &flow->dst;

	if (judge_without_walk(k->model, flow, k->dir, &k->verdict))
		return k->verdict;
	if (self->kind == ENDPOINT_NODE)
		k->node = self->node;
	else
		k->subject = self->workload;
	k->peer = k->dir == DIR_EGRESS ? &flow->dst : &flow->src;
	walk(k);
	return k->verdict;
}

struct verdict
evaluate_walk(const struct model *m, const struct level_policies *levels,
    const struct flow *flow, enum direction dir)
{
	struct walker k = {
	    .model = m,
	    .flow = flow,
	    .dir = dir,
	    .levels = levels,
	};

	return judge_one(&k);
}

struct verdict
evaluate_direction(const struct model *m, const struct flow *flow, enum direction dir)
{
	return evaluate_walk(m, NULL, flow, dir);
}

bool
evaluate_flow(const struct model *m, const struct flow *flow)
{
	return evaluate_direction(m, flow, DIR_EGRESS).allow &&
	       evaluate_direction(m, flow, DIR_INGRESS).allow;
}

void
evaluate_trace(struct arena *a, const struct model *m, const struct flow *flow,
    enum direction dir, struct walk *out_walk)
{
	struct walker k = {
	    .model = m,
	    .flow = flow,
	    .dir = dir,
	    .arena = a,
	    .trace = out_walk,
	};

	*out_walk = (struct walk){0};
	out_walk->verdict = judge_one(&k);
}

struct verdict
evaluate_without(const struct model *m, const struct flow *flow, enum direction dir,
    const struct verdict *gone)
{
	struct walker k = {
	    .model = m,
	    .flow = flow,
	    .dir = dir,
	    .gone = gone,
	};

	return judge_one(&k);
}
