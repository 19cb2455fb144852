/*
 * The workloads that Routes may be about at a node, where not all of the model is compiled:
 * the node's own, those that what is published may lead to, and those of other nodes that may
 * leave by this one. They are found by their names, which begin with where they are: no
 * others are looked at, and they are in the order that they have in the model.
 */
#include <stdlib.h>
#include <string.h>

#include "policy-lang/compile/compile_route.h"

/* With more, what is published is better compiled where nothing waits for it. Each piece of
 * what is published asks each workload that it may lead to. */
#define ROUTED_WORKLOADS_MOST 20000u
#define ROUTED_ASKED_MOST     500000u

struct routed {
	const struct compiler *c;
	const struct model *m;
	bool *marked; /* by namespace: a Route of its level is about those below it */
	uint32_t *found; /* places in the model */
	size_t count, cap;
	size_t pieces; /* that are published, at least */
	/* For via: only whom it depends on, by so many rules. */
	bool via;
	size_t via_rules, asked;
};

/* ---- levels ---- */

static void
count_pieces(struct routed *r, const struct route_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		r->pieces += list->rules[i].address_count * list->rules[i].port_count;
}

/* False: of no Route. */
static bool
mark_levels(struct routed *r)
{
	bool some = false;

	for (size_t i = 0; i < r->m->route_count; i++) {
		const struct route_policy *route = r->m->routes[i];

		if (!publish_is_by(route) && !leave_is_served(r->c, route))
			continue;
		count_pieces(r, &route->mandatory[ROUTE_INGRESS]);
		count_pieces(r, &route->defaults[ROUTE_INGRESS]);
		r->marked[route->level->index] = true;
		some = true;
	}
	return some;
}

static bool
is_below_marked(const struct routed *r, const struct ns *ns)
{
	while (ns != NULL && !r->marked[ns->index])
		ns = ns->parent;
	return ns != NULL;
}

/* ---- workloads ---- */

static bool
add(struct routed *r, size_t place)
{
	if (r->count == ROUTED_WORKLOADS_MOST)
		return false;
	if (r->count == r->cap) {
		r->cap = r->cap == 0 ? 256 : 2 * r->cap;
		r->found = xreallocarray(r->found, r->cap, sizeof(*r->found));
	}
	r->found[r->count++] = (uint32_t)place;
	return true;
}

/* For via, each that it may depend on is asked. False: too many. */
static bool
add_asked(struct routed *r, size_t place)
{
	if (!r->via)
		return add(r, place);
	r->asked += r->via_rules;
	if (r->asked > ROUTED_ASKED_MOST)
		return false;
	return !via_depends_on(r->m, r->m->workloads[place]) || add(r, place);
}

/* Whose name begins so; false: too many. */
static bool
add_displayed(struct routed *r, struct str prefix)
{
	const struct model *m = r->m;

	for (size_t i = model_first_displayed(m, prefix);
	     i < m->workload_count &&
	     str_starts(m->workloads[i]->shape->display, prefix);
	     i++) {
		if (is_below_marked(r, m->workloads[i]->ns) && !add_asked(r, i))
			return false;
	}
	return true;
}

static bool
add_below_marked(struct routed *r, struct arena *a)
{
	const struct model *m = r->m;

	for (size_t i = 0; i < m->ns_count; i++) {
		const struct ns *ns = m->namespaces[i];

		if (!r->marked[ns->index] || is_below_marked(r, ns->parent))
			continue;
		if (!add_displayed(r, model_display_of_ns(a, ns)))
			return false;
	}
	for (size_t i = 0; i < m->kube_count; i++) {
		const struct kube_ns *kube = m->kube_namespaces[i];

		if (is_below_marked(r, kube->ns) &&
		    !add_displayed(
			r, model_display_of_kube(a, kube->cluster, kube->name)))
			return false;
	}
	return true;
}

/* Several may be displayed alike. */
static bool
add_one(struct routed *r, const struct workload *w)
{
	const struct model *m = r->m;
	size_t at = model_first_displayed(m, w->shape->display);

	while (at < m->workload_count && m->workloads[at] != w &&
	       str_eq(m->workloads[at]->shape->display, w->shape->display))
		at++;
	return at < m->workload_count && m->workloads[at] == w && add(r, at);
}

/* Each once, in the order of the model. */
static void
give(struct routed *r, struct arena *a, struct model *out)
{
	struct workload **list = ARENA_ARRAY(a, r->count, struct workload *);
	size_t count = 0;

	if (r->count > 1)
		qsort(r->found, r->count, sizeof(*r->found), u32_cmp);
	for (size_t i = 0; i < r->count; i++) {
		if (i == 0 || r->found[i] != r->found[i - 1])
			list[count++] = r->m->workloads[r->found[i]];
	}
	*out = *r->m;
	out->workloads = list;
	out->workload_count = count;
}

bool
routed_find(struct compiler *c, const struct model *locals, struct model *out)
{
	struct routed r = {.c = c, .m = c->model};
	bool ok = true;

	r.marked = ARENA_ARRAY(c->scratch, r.m->ns_count, bool);
	if (mark_levels(&r))
		ok = add_below_marked(&r, c->scratch);
	ok = ok && r.pieces * r.count <= ROUTED_ASKED_MOST;
	for (size_t i = 0; i < locals->workload_count && ok; i++)
		ok = add_one(&r, locals->workloads[i]);
	if (ok)
		give(&r, c->scratch, out);
	free(r.found);
	return ok;
}

/* ---- via ---- */

static void
mark_match(struct routed *r, const struct workload_match *match)
{
	const struct ns *top = match->subtree != NULL ? match->subtree : r->m->root;

	r->marked[top->index] = true;
}

/* Clients are below the Route. */
static void
mark_via(
    struct routed *r, const struct route_policy *route, const struct route_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct route_rule *rule = &list->rules[i];

		r->via_rules++;
		r->marked[route->level->index] = true;
		r->marked[r->m->root->index] |= rule->to_count == 0;
		for (size_t j = 0; j < rule->to_count; j++)
			mark_match(r, &rule->to[j].workloads);
		if (rule->action == ROUTE_APPLY)
			mark_match(r, &rule->through);
	}
}

bool
routed_find_via(struct compiler *c, struct model *out)
{
	struct routed r = {.c = c, .m = c->model, .via = true};
	bool ok;

	r.marked = ARENA_ARRAY(c->scratch, r.m->ns_count, bool);
	for (size_t i = 0; i < r.m->route_count; i++) {
		mark_via(&r, r.m->routes[i], &r.m->routes[i]->mandatory[ROUTE_VIA]);
		mark_via(&r, r.m->routes[i], &r.m->routes[i]->defaults[ROUTE_VIA]);
	}
	ok = add_below_marked(&r, c->scratch);
	if (ok)
		give(&r, c->scratch, out);
	free(r.found);
	return ok;
}
