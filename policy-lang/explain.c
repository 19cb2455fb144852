/*
 * Both walks of a connection, level by level.
 */
#include "policy-lang/explain.h"

struct loc
explain_step_loc(const struct step *step, enum direction dir)
{
	if (step->rule != NULL)
		return step->rule->loc;
	if (step->isolation && step->policy->isolate_loc[dir].source != NULL)
		return step->policy->isolate_loc[dir];
	return step->policy != NULL ? step->policy->loc : (struct loc){0};
}

const struct step *
explain_otherwise(const struct walk *walk)
{
	for (size_t i = 0; i < walk->step_count; i++) {
		const struct step *step = &walk->steps[i];
		bool pass = step->rule != NULL && step->rule->action == ACTION_PASS;

		if (step->kind == STEP_UNREACHED && !pass)
			return step;
	}
	return NULL;
}

const struct endpoint *
explain_self(const struct flow *flow, enum direction dir)
{
	return dir == DIR_EGRESS ? &flow->src : &flow->dst;
}

static void
add_family(struct arena *a, struct explanations *all, unsigned family)
{
	const struct query *q = &all->query;
	struct explanation *one = &all->items[all->count];
	bool comparable;

	*one = (struct explanation){.family = family};
	one->allow = evaluate_connection_flow(all->model, &q->src, &q->dst, q->proto,
	    q->port, family, &comparable, &one->flow);
	if (!comparable)
		return;
	for (size_t d = 0; d < DIRECTION_COUNT; d++)
		evaluate_trace(
		    a, all->model, &one->flow, (enum direction)d, &one->walks[d]);
	all->allow = all->allow || one->allow;
	all->count++;
}

static bool
has_some_addr(const struct endpoint *end)
{
	size_t count;

	return endpoint_addrs(end, &count) != NULL && count > 0;
}

bool
explain_query(struct arena *a, const struct model *m, const struct query *query,
    unsigned family, struct explanations *out_all)
{
	*out_all = (struct explanations){.model = m, .query = *query};
	if (family != 0) {
		add_family(a, out_all, family);
	} else if (!has_some_addr(&query->src) && !has_some_addr(&query->dst)) {
		add_family(a, out_all, 0);
	} else {
		add_family(a, out_all, IP_V4);
		add_family(a, out_all, IP_V6);
	}
	return out_all->count > 0;
}
