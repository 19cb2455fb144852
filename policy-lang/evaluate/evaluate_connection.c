/*
 * From names to flows: which end an address is, which pairs of addresses stand for a
 * connection between two ends, and the judge that remembers who is whose subject.
 */
#include "policy-lang/evaluate/evaluate.h"

#include <stdlib.h>

#include "policy-lang/evaluate/evaluate_walk.h"
#include "policy-lang/evaluate/policy_index.h"

/* ---- ends ---- */

struct endpoint
endpoint_of_workload(const struct model *m, const struct workload *w)
{
	struct endpoint end = {.kind = ENDPOINT_WORKLOAD, .workload = w};

	if (w->host_network) {
		end.kind = ENDPOINT_NODE;
		end.node = model_node_of(m, w);
	}
	return end;
}

struct endpoint
endpoint_of_node(const struct node *node)
{
	return (struct endpoint){.kind = ENDPOINT_NODE, .node = node};
}

struct endpoint
endpoint_of_addr(const struct model *m, struct ip_addr addr)
{
	const struct workload *w = model_workload_at(m, &addr);
	const struct node *node = model_node_at(m, &addr);
	struct endpoint end = {.kind = ENDPOINT_ADDRESS};

	if (node != NULL && (w == NULL || w->host_network))
		end = endpoint_of_node(node);
	else if (w != NULL)
		end = endpoint_of_workload(m, w);
	end.has_addr = true;
	end.addr = addr;
	return end;
}

const struct ip_addr *
endpoint_addrs(const struct endpoint *end, size_t *out_count)
{
	if (end->has_addr) {
		*out_count = 1;
		return &end->addr;
	}
	if (end->name_addr_count > 0) {
		*out_count = end->name_addr_count;
		return end->name_addrs;
	}
	if (end->node != NULL && end->node->ip_count > 0) {
		*out_count = end->node->ip_count;
		return end->node->ips;
	}
	if (end->workload != NULL) {
		*out_count = end->workload->ip_count;
		return end->workload->ips;
	}
	*out_count = 0;
	return NULL;
}

/* ---- connections ---- */

/* One question about two ends; `judge` may be NULL. */
struct question {
	const struct model *model;
	struct judge *judge;
	unsigned family;
	struct flow flow;
};

static bool
flow_allowed(struct question *q)
{
	if (q->judge == NULL)
		return evaluate_flow(q->model, &q->flow);
	return judge_direction(q->judge, &q->flow, DIR_EGRESS).allow &&
	       judge_direction(q->judge, &q->flow, DIR_INGRESS).allow;
}

static void
set_addr(struct endpoint *end, const struct ip_addr *addr)
{
	end->has_addr = addr != NULL;
	if (addr != NULL)
		end->addr = *addr;
}

/* NULL stands for an end without address: it goes with every family. */
static bool
comparable(const struct ip_addr *a, const struct ip_addr *b, unsigned family)
{
	if (a != NULL && b != NULL && a->family != b->family)
		return false;
	if (family == 0)
		return true;
	return (a == NULL || a->family == family) && (b == NULL || b->family == family);
}

/* ICMP belongs to one family: over the other nobody means it. */
static unsigned
family_of_proto(uint8_t proto)
{
	if (proto == PROTO_ICMP)
		return IP_V4;
	return proto == PROTO_ICMPV6 ? IP_V6 : 0;
}

static bool
ask(struct question *q, const struct endpoint *src, const struct endpoint *dst,
    bool *out_comparable, struct flow *out_flow)
{
	size_t src_count, dst_count;
	const struct ip_addr *srcs = endpoint_addrs(src, &src_count);
	const struct ip_addr *dsts = endpoint_addrs(dst, &dst_count);
	unsigned family = q->family;
	unsigned proto_family = family_of_proto(q->flow.proto);

	*out_comparable = false;
	if (proto_family != 0 && family != 0 && proto_family != family)
		return false;
	if (proto_family != 0)
		family = proto_family;
	for (size_t i = 0; i < (src_count > 0 ? src_count : 1); i++) {
		const struct ip_addr *a = src_count > 0 ? &srcs[i] : NULL;

		for (size_t j = 0; j < (dst_count > 0 ? dst_count : 1); j++) {
			const struct ip_addr *b = dst_count > 0 ? &dsts[j] : NULL;
			bool allowed;

			if (!comparable(a, b, family))
				continue;
			set_addr(&q->flow.src, a);
			set_addr(&q->flow.dst, b);
			allowed = flow_allowed(q);
			if (out_flow != NULL && (allowed || !*out_comparable))
				*out_flow = q->flow;
			*out_comparable = true;
			if (allowed)
				return true;
		}
	}
	return false;
}

bool
evaluate_connection_flow(const struct model *m, const struct endpoint *src,
    const struct endpoint *dst, uint8_t proto, uint16_t port, unsigned family,
    bool *out_comparable, struct flow *out_flow)
{
	struct question q = {
	    .model = m,
	    .family = family,
	    .flow = {.src = *src, .dst = *dst, .proto = proto, .port = port},
	};

	return ask(&q, src, dst, out_comparable, out_flow);
}

bool
evaluate_connection(const struct model *m, const struct endpoint *src,
    const struct endpoint *dst, uint8_t proto, uint16_t port, unsigned family,
    bool *out_comparable)
{
	return evaluate_connection_flow(
	    m, src, dst, proto, port, family, out_comparable, NULL);
}

/* ---- the judge ---- */

struct judge {
	const struct model *model;
	struct arena *arena;
	struct level_policies **by_workload; /* by index; NULL: not asked yet */
	struct policy_index **by_level;      /* the same */
};

struct judge *
judge_new(const struct model *m)
{
	struct judge *judge = xcalloc(1, sizeof(*judge));

	judge->model = m;
	judge->arena = arena_new();
	judge->by_workload =
	    xcalloc(m->workload_count + 1, sizeof(struct level_policies *));
	judge->by_level = xcalloc(m->ns_count + 1, sizeof(struct policy_index *));
	return judge;
}

void
judge_free(struct judge *judge)
{
	if (judge == NULL)
		return;
	for (size_t i = 0; i < judge->model->ns_count; i++)
		policy_index_free(judge->by_level[i]);
	arena_free(judge->arena);
	free(judge->by_level);
	free(judge->by_workload);
	free(judge);
}

static struct level_policies
policies_for(struct judge *judge, const struct ns *level, const struct workload *w)
{
	struct policy_index **index = &judge->by_level[level->index];
	struct level_policies here = {0};

	if (level->policy_count == 0)
		return here;
	if (*index == NULL)
		*index = policy_index_new(level);
	here.policies = policy_index_find(*index, judge->arena, w, &here.count);
	return here;
}

static const struct level_policies *
levels_for(struct judge *judge, const struct workload *w)
{
	struct level_policies **slot = &judge->by_workload[w->index];

	if (*slot == NULL) {
		*slot = ARENA_ARRAY(
		    judge->arena, (size_t)w->ns->depth + 1, struct level_policies);
		for (const struct ns *s = w->ns; s != NULL; s = s->parent)
			(*slot)[s->depth] = policies_for(judge, s, w);
	}
	return *slot;
}

struct verdict
judge_direction(struct judge *judge, const struct flow *flow, enum direction dir)
{
	const struct endpoint *self = dir == DIR_EGRESS ? &flow->src : &flow->dst;

	if (self->kind != ENDPOINT_WORKLOAD)
		return evaluate_direction(judge->model, flow, dir);
	return evaluate_walk(
	    judge->model, levels_for(judge, self->workload), flow, dir);
}

bool
judge_connection_flow(struct judge *judge, const struct endpoint *src,
    const struct endpoint *dst, uint8_t proto, uint16_t port, unsigned family,
    bool *out_comparable, struct flow *out_flow)
{
	struct question q = {
	    .model = judge->model,
	    .judge = judge,
	    .family = family,
	    .flow = {.src = *src, .dst = *dst, .proto = proto, .port = port},
	};

	return ask(&q, src, dst, out_comparable, out_flow);
}

bool
judge_connection(struct judge *judge, const struct endpoint *src,
    const struct endpoint *dst, uint8_t proto, uint16_t port, unsigned family,
    bool *out_comparable)
{
	return judge_connection_flow(
	    judge, src, dst, proto, port, family, out_comparable, NULL);
}
