/*
 * A connection as policy and Routes together judge it. Policy sees the original client and
 * the real destination: a published address is first put aside for where it leads, and
 * what leaves is judged before it gets another source.
 */
#include "policy-lang/evaluate/route.h"

static bool
policy_allows(const struct model *m, struct judge *judge, const struct flow *flow)
{
	if (judge == NULL)
		return evaluate_flow(m, flow);
	return judge_direction(judge, flow, DIR_EGRESS).allow &&
	       judge_direction(judge, flow, DIR_INGRESS).allow;
}

/* From a workload to where the connection really goes. */
static bool
refused_on_the_way(struct arena *a, const struct model *m, struct route_story *s)
{
	const struct flow *flow = &s->flow;

	if (flow->src.kind != ENDPOINT_WORKLOAD)
		return false;
	if (flow->dst.kind == ENDPOINT_WORKLOAD) {
		s->has[ROUTE_VIA] = true;
		route_via(a, m, flow, &s->via);
		return s->via.outcome == ROUTE_REFUSED;
	}
	if (!flow->dst.has_addr)
		return false;
	s->has[ROUTE_EGRESS] = true;
	route_egress(a, m, flow, &s->egress);
	return s->egress.outcome == ROUTE_REFUSED;
}

static void
tell_flow(struct arena *a, const struct model *m, struct judge *judge,
    const struct flow *flow, struct route_story *s)
{
	bool refused;

	s->flow = *flow;
	refused = refused_on_the_way(a, m, s);
	s->allow = !refused && policy_allows(m, judge, flow);
}

/* The first target that takes new connections and may be reached, else the first. */
static void
tell_published(
    struct arena *a, const struct model *m, struct judge *judge, struct route_story *s)
{
	const struct route_ingress *in = &s->ingress;

	for (size_t i = 0; i < in->target_count && !s->allow; i++) {
		const struct route_target *target = &in->targets[i];
		struct route_story one = {0};

		if (target->weight == 0 && s->target != NULL)
			continue;
		tell_flow(a, m, judge, &target->flow, &one);
		one.allow = one.allow && target->weight > 0;
		if (s->target != NULL && !one.allow)
			continue;
		s->target = target;
		s->flow = one.flow;
		s->allow = one.allow;
		s->via = one.via;
		s->has[ROUTE_VIA] = one.has[ROUTE_VIA];
	}
}

void
route_tell(struct arena *a, const struct model *m, struct judge *judge,
    const struct flow *flow, struct route_story *out)
{
	*out = (struct route_story){.flow = *flow};
	if (flow->dst.kind != ENDPOINT_WORKLOAD && flow->dst.has_addr) {
		route_ingress(a, m, flow, &out->ingress);
		out->has[ROUTE_INGRESS] = out->ingress.by.rule != NULL;
	}
	if (out->has[ROUTE_INGRESS])
		tell_published(a, m, judge, out);
	else
		tell_flow(a, m, judge, flow, out);
}

/* ---- connections ---- */

/* One family; false if it cannot be asked about. */
static bool
tell_family(struct arena *a, const struct model *m, struct judge *judge,
    const struct endpoint *src, const struct endpoint *dst, uint8_t proto,
    uint16_t port, unsigned family, struct route_story *out)
{
	struct flow flow;
	bool comparable;
	/* Chooses the pair of addresses. */
	bool allow = judge != NULL ? judge_connection_flow(judge, src, dst, proto, port,
					 family, &comparable, &flow)
				   : evaluate_connection_flow(m, src, dst, proto, port,
					 family, &comparable, &flow);

	if (!comparable)
		return false;
	if (m->route_count == 0)
		*out = (struct route_story){.allow = allow, .flow = flow};
	else
		route_tell(a, m, judge, &flow, out);
	return true;
}

bool
route_connection(struct arena *a, const struct model *m, struct judge *judge,
    const struct endpoint *src, const struct endpoint *dst, uint8_t proto,
    uint16_t port, unsigned family, struct route_story *out_story)
{
	static const unsigned families[] = {IP_V4, IP_V6};
	struct route_story one;
	bool comparable = false;

	/* Routes may refuse the family that policy would have chosen. */
	if (family != 0 || m->route_count == 0)
		return tell_family(
		    a, m, judge, src, dst, proto, port, family, out_story);
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		if (!tell_family(a, m, judge, src, dst, proto, port, families[i], &one))
			continue;
		if (!comparable || one.allow)
			*out_story = one;
		comparable = true;
		if (one.allow)
			break;
	}
	return comparable;
}
