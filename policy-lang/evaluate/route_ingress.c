/*
 * Where a published address leads. Every workload walks for itself; of the rules that are
 * somebody's answer, the first in order has the address and the port.
 */
#include "policy-lang/evaluate/route.h"

/* ---- is it published? ---- */

static bool
publishes(const struct route_rule *rule, const struct flow *flow)
{
	bool address = false;

	if (rule->action != ROUTE_APPLY)
		return false;
	for (size_t i = 0; i < rule->address_count && !address; i++)
		address = ip_in_prefix(&flow->dst.addr, &rule->addresses[i]);
	for (size_t i = 0; address && i < rule->port_count; i++) {
		if (port_match_takes(&rule->ports[i], flow))
			return true;
	}
	return false;
}

static bool
list_publishes(const struct route_list *list, const struct flow *flow)
{
	for (size_t i = 0; i < list->count; i++) {
		if (publishes(&list->rules[i], flow))
			return true;
	}
	return false;
}

/* True if some rule publishes this address and port, whoever may do so. Cheap. */
static bool
route_may_be_published(const struct model *m, const struct flow *flow)
{
	for (size_t i = 0; i < m->route_count; i++) {
		const struct route_policy *r = m->routes[i];

		if (list_publishes(&r->mandatory[ROUTE_INGRESS], flow) ||
		    list_publishes(&r->defaults[ROUTE_INGRESS], flow))
			return true;
	}
	return false;
}

/* ---- whose is it? ---- */

/* Mandatory before default; mandatory from the root down, default from the leaves up;
 * then the order of the model: path, priority, name, and the rule's place. */
static bool
comes_before(const struct model *m, struct route_found a, struct route_found b)
{
	uint32_t a_depth = a.route->level->depth, b_depth = b.route->level->depth;

	if (a.rule->phase != b.rule->phase)
		return a.rule->phase == PHASE_MANDATORY;
	if (a_depth != b_depth)
		return (a_depth < b_depth) == (a.rule->phase == PHASE_MANDATORY);
	for (size_t i = 0; a.route != b.route && i < m->route_count; i++) {
		if (m->routes[i] == a.route || m->routes[i] == b.route)
			return m->routes[i] == a.route;
	}
	return a.rule->index < b.rule->index;
}

static void
add_claim(const struct model *m, struct route_found claim, struct route_ingress *out)
{
	struct route_found *first = &out->by, *second = &out->second;

	if (claim.rule == first->rule || claim.rule == second->rule)
		return;
	if (first->rule == NULL || comes_before(m, claim, *first)) {
		*second = *first;
		*first = claim;
	} else if (second->rule == NULL || comes_before(m, claim, *second)) {
		*second = claim;
	}
}

/* ---- where does it lead? ---- */

static bool
named_target(const struct route_rule *rule, const struct workload *w, uint8_t proto,
    uint16_t *out_port)
{
	for (size_t i = 0; i < w->shape->port_count; i++) {
		if (w->shape->ports[i].proto != proto ||
		    !str_eq(w->shape->ports[i].name, rule->target_name))
			continue;
		*out_port = w->shape->ports[i].port;
		return true;
	}
	return false;
}

bool
route_target_port(const struct route_rule *rule, const struct workload *w,
    uint8_t proto, uint16_t port, uint16_t *out_port)
{
	if (rule->target_name.len > 0)
		return named_target(rule, w, proto, out_port);
	*out_port = port;
	/* The rest of a range follows its first port. */
	if (rule->target_port != 0)
		*out_port = (uint16_t)(rule->target_port + (port - rule->ports[0].lo));
	return true;
}

/* The first target that takes the workload in; NULL: none does. */
static const struct route_backend *
backend_of(const struct route_rule *rule, const struct workload *w)
{
	for (size_t i = 0; i < rule->backend_count; i++) {
		if (workload_match_takes(&rule->backends[i].workloads, w))
			return &rule->backends[i];
	}
	return NULL;
}

static bool
address_of(const struct workload *w, enum ip_family family, struct endpoint *end)
{
	for (size_t i = 0; i < w->ip_count; i++) {
		if (w->ips[i].family == family) {
			end->has_addr = true;
			end->addr = w->ips[i];
			return true;
		}
	}
	return w->is_template; /* stands for pods that will have one */
}

/* Room for as many targets as there can be. */
static struct route_target *
target_room(struct arena *a, const struct model *m, const struct route_rule *rule)
{
	size_t count = 0;

	for (size_t i = 0; i < m->workload_count; i++)
		count += backend_of(rule, m->workloads[i]) != NULL;
	return ARENA_ARRAY(a, count, struct route_target);
}

/* Finds the targets; counts[i]: how many workloads the rule's target i has. */
static void
find_targets(const struct model *m, const struct flow *flow, uint32_t *counts,
    struct route_ingress *out)
{
	const struct route_rule *rule = out->by.rule;

	for (size_t i = 0; i < m->workload_count; i++) {
		const struct workload *w = m->workloads[i];
		const struct route_backend *backend = backend_of(rule, w);
		struct route_target *target;

		if (backend == NULL ||
		    route_walk(m, w, ROUTE_INGRESS, flow, NULL).rule != rule)
			continue;
		target = &out->targets[out->target_count];
		*target = (struct route_target){.workload = w,
		    .flow = *flow,
		    .weight = backend->weight,
		    .among = (uint32_t)(backend - rule->backends)};
		target->flow.dst =
		    (struct endpoint){.kind = ENDPOINT_WORKLOAD, .workload = w};
		if (!address_of(w, flow->dst.addr.family, &target->flow.dst) ||
		    !route_target_port(
			rule, w, flow->proto, flow->port, &target->flow.port))
			continue;
		if (counts[target->among]++ == 0)
			out->total_weight += backend->weight;
		out->target_count++;
	}
}

void
route_ingress(struct arena *a, const struct model *m, const struct flow *flow,
    struct route_ingress *out)
{
	uint32_t *counts;

	*out = (struct route_ingress){.reason = ROUTE_REASON_NONE};
	if (!route_may_be_published(m, flow))
		return;
	for (size_t i = 0; i < m->workload_count; i++) {
		struct route_found found =
		    route_walk(m, m->workloads[i], ROUTE_INGRESS, flow, NULL);

		if (found.rule != NULL && found.rule->action == ROUTE_APPLY)
			add_claim(m, found, out);
	}
	if (out->by.rule == NULL)
		return;
	out->reason = ROUTE_REASON_RULE;
	out->targets = target_room(a, m, out->by.rule);
	counts = ARENA_ARRAY(a, out->by.rule->backend_count, uint32_t);
	find_targets(m, flow, counts, out);
	for (size_t i = 0; i < out->target_count; i++)
		out->targets[i].among = counts[out->targets[i].among];
	out->outcome = out->total_weight > 0 ? ROUTE_TAKEN : ROUTE_REFUSED;
	if (out->outcome == ROUTE_REFUSED)
		out->reason = ROUTE_REASON_NO_TARGET;
}
