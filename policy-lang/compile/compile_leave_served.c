/*
 * Whose traffic may leave by a Route at a node: its own workloads', and where it is a gateway that
 * of other nodes' workloads.
 */
#include "policy-lang/compile/compile_route.h"

#include "policy-lang/evaluate/route.h"

bool
leave_is_ruled(const struct model *m)
{
	for (size_t i = 0; i < m->route_count; i++) {
		if (routes_rule_count(m->routes[i], ROUTE_EGRESS) != 0)
			return true;
	}
	return false;
}

static bool
list_serves(const struct route_list *list, const struct node *here)
{
	for (size_t i = 0; i < list->count; i++) {
		if (list->rules[i].action == ROUTE_APPLY &&
		    route_gateway_takes(&list->rules[i], here->cluster, here))
			return true;
	}
	return false;
}

static bool
is_served_at(const struct route_policy *route, const struct node *here)
{
	return list_serves(&route->mandatory[ROUTE_EGRESS], here) ||
	       list_serves(&route->defaults[ROUTE_EGRESS], here);
}

/* This node, if others know it. */
static const struct node *
known_node(const struct compiler *c)
{
	const struct node *here = model_node(c->model, c->options->node);

	return here != NULL && route_node_is_known(here) ? here : NULL;
}

bool
leave_is_served(const struct compiler *c, const struct route_policy *route)
{
	const struct node *here = known_node(c);

	return here != NULL && is_served_at(route, here);
}

bool
leave_serves(const struct compiler *c, const struct workload *w)
{
	const struct node *here = known_node(c);

	if (here == NULL || w->is_template || w->host_network ||
	    !str_eq(w->where->cluster, here->cluster) || compiler_is_local(c, w))
		return false;
	for (const struct ns *ns = w->ns; ns != NULL; ns = ns->parent) {
		for (size_t i = 0; i < ns->route_count; i++) {
			const struct route_policy *route = ns->routes[i];

			if (is_served_at(route, here) &&
			    place_match_takes(&route->subject, w))
				return true;
		}
	}
	return false;
}

bool
leave_has_gateway(const struct compiler *c)
{
	const struct model *m = c->model;
	const struct node *here = known_node(c);

	for (size_t i = 0; here != NULL && i < m->route_count; i++) {
		if (is_served_at(m->routes[i], here))
			return true;
	}
	return false;
}
