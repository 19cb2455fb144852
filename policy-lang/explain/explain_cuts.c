#include "policy-lang/explain/explain_cuts.h"

#include "policy-lang/evaluate/route.h"

/* ---- policies ---- */

static void
cut_at(struct explain_cuts *cuts, uint32_t port)
{
	if (port >= 1 && port <= UINT16_MAX)
		cuts->words[port / 64] |= (uint64_t)1 << (port % 64);
}

uint32_t
explain_cuts_next(const struct explain_cuts *cuts, uint32_t port)
{
	uint32_t at = port + 1;

	while (at <= UINT16_MAX) {
		uint64_t word = cuts->words[at / 64] >> (at % 64);

		if (word != 0)
			return at + (uint32_t)__builtin_ctzll(word);
		at = (at / 64 + 1) * 64;
	}
	return UINT16_MAX + 1u;
}

static void
cut_for_name(struct explain_cuts *cuts, const struct port_match *match,
    const struct workload *dst)
{
	for (size_t i = 0; dst != NULL && i < dst->shape->port_count; i++) {
		if (!str_eq(dst->shape->ports[i].name, match->name))
			continue;
		cut_at(cuts, dst->shape->ports[i].port);
		cut_at(cuts, dst->shape->ports[i].port + 1u);
	}
}

static void
cut_for_ports(struct explain_cuts *cuts, const struct port_match *ports, size_t count,
    uint8_t proto, const struct workload *dst)
{
	for (size_t i = 0; i < count; i++) {
		const struct port_match *match = &ports[i];

		if (match->proto != PROTO_ANY && match->proto != proto)
			continue;
		if (match->kind == PORT_NAMED) {
			cut_for_name(cuts, match, dst);
			continue;
		}
		cut_at(cuts, match->lo);
		cut_at(cuts, match->hi + 1u);
	}
}

static void
cut_for_rules(struct explain_cuts *cuts, const struct rule_list *list, uint8_t proto,
    const struct workload *dst)
{
	for (size_t i = 0; i < list->count; i++)
		cut_for_ports(
		    cuts, list->rules[i].ports, list->rules[i].port_count, proto, dst);
}

static void
cut_for_policy(struct explain_cuts *cuts, const struct policy *p, enum direction dir,
    uint8_t proto, const struct workload *dst)
{
	cut_for_rules(cuts, &p->mandatory[dir], proto, dst);
	cut_for_rules(cuts, &p->allow[dir], proto, dst);
	cut_for_rules(cuts, &p->defaults[dir], proto, dst);
}

static void
cut_for_node(struct explain_cuts *cuts, const struct model *m, const struct node *node,
    enum direction dir, uint8_t proto, const struct workload *dst)
{
	const struct fail_safe *safe = &m->options.fail_safe;

	for (size_t i = 0; i < safe->count[dir]; i++) {
		const struct fail_safe_port *p = &safe->ports[dir][i];

		if (p->proto == proto) {
			cut_at(cuts, p->lo);
			cut_at(cuts, p->hi + 1u);
		}
	}
	for (size_t i = 0; i < m->root->policy_count; i++) {
		if (policy_applies_to_node(m->root->policies[i], node))
			cut_for_policy(cuts, m->root->policies[i], dir, proto, dst);
	}
}

/* Only the policies of the end that is judged can tell ports apart. */
static void
cut_for_end(struct explain_cuts *cuts, const struct model *m,
    const struct endpoint *self, enum direction dir, uint8_t proto,
    const struct workload *dst)
{
	if (self->kind == ENDPOINT_NODE && self->node != NULL)
		cut_for_node(cuts, m, self->node, dir, proto, dst);
	if (self->kind != ENDPOINT_WORKLOAD)
		return;
	for (const struct ns *s = self->workload->ns; s != NULL; s = s->parent) {
		for (size_t i = 0; i < s->policy_count; i++) {
			const struct policy *p = s->policies[i];

			if (policy_applies(p, self->workload))
				cut_for_policy(cuts, p, dir, proto, dst);
		}
	}
}

/* ---- routes ---- */

static void
cut_for_list(struct explain_cuts *cuts, const struct route_list *list, uint8_t proto,
    const struct workload *dst)
{
	for (size_t i = 0; i < list->count; i++)
		cut_for_ports(
		    cuts, list->rules[i].ports, list->rules[i].port_count, proto, dst);
}

/* Of the source: how it leaves, and what it goes through. */
static void
cut_for_routes(struct explain_cuts *cuts, const struct workload *src, uint8_t proto,
    const struct workload *dst)
{
	static const enum route_kind kinds[] = {ROUTE_EGRESS, ROUTE_VIA};

	for (const struct ns *s = src->ns; s != NULL; s = s->parent) {
		for (size_t i = 0; i < s->route_count; i++) {
			for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
				const struct route_policy *r = s->routes[i];

				cut_for_list(cuts, &r->mandatory[kinds[k]], proto, dst);
				cut_for_list(cuts, &r->defaults[kinds[k]], proto, dst);
			}
		}
	}
}

static void
cut_for_pair(struct explain_cuts *cuts, const struct model *m,
    const struct endpoint *src, const struct endpoint *dst, uint8_t proto)
{
	const struct workload *w =
	    dst->kind == ENDPOINT_WORKLOAD ? dst->workload : NULL;

	cut_for_end(cuts, m, src, DIR_EGRESS, proto, w);
	cut_for_end(cuts, m, dst, DIR_INGRESS, proto, w);
	if (src->kind == ENDPOINT_WORKLOAD)
		cut_for_routes(cuts, src->workload, proto, w);
}

/* Policy cuts the ports at the workloads; moved to where they are published. */
static void
cut_for_targets(struct explain_cuts *cuts, const struct model *m,
    const struct endpoint *src, const struct route_rule *rule, uint8_t proto)
{
	struct explain_cuts there = {0};
	uint32_t lo = rule->ports[0].lo;
	uint32_t target = rule->target_port != 0 ? rule->target_port : lo;

	for (size_t i = 0; i < m->workload_count; i++) {
		struct endpoint end = endpoint_of_workload(m, m->workloads[i]);

		for (size_t j = 0; j < rule->backend_count; j++) {
			if (!workload_match_takes(
				&rule->backends[j].workloads, m->workloads[i]))
				continue;
			cut_for_pair(&there, m, src, &end, proto);
			break;
		}
	}
	for (uint32_t port = explain_cuts_next(&there, 0); port <= UINT16_MAX;
	     port = explain_cuts_next(&there, port)) {
		if (port + lo >= target)
			cut_at(cuts, port + lo - target);
	}
}

static void
cut_for_published(struct explain_cuts *cuts, const struct model *m,
    const struct query *q, const struct route_list *list, uint8_t proto)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct route_rule *rule = &list->rules[i];
		bool here = rule->address_count == 0;

		for (size_t j = 0; j < rule->address_count && !here; j++)
			here = ip_in_prefix(&q->dst.addr, &rule->addresses[j]);
		if (!here)
			continue;
		cut_for_ports(cuts, rule->ports, rule->port_count, proto, NULL);
		/* A name is one port, and a single port has nothing to be cut. */
		if (rule->action == ROUTE_APPLY && rule->target_name.len == 0)
			cut_for_targets(cuts, m, &q->src, rule, proto);
	}
}

void
explain_cuts_find(struct explain_cuts *cuts, const struct model *m,
    const struct query *q, uint8_t proto)
{
	cut_for_pair(cuts, m, &q->src, &q->dst, proto);
	if (q->dst.kind == ENDPOINT_WORKLOAD || !q->dst.has_addr)
		return;
	for (size_t i = 0; i < m->route_count; i++) {
		cut_for_published(
		    cuts, m, q, &m->routes[i]->mandatory[ROUTE_INGRESS], proto);
		cut_for_published(
		    cuts, m, q, &m->routes[i]->defaults[ROUTE_INGRESS], proto);
	}
}
