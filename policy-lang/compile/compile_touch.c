/*
 * What a change may change: which addresses are to be looked at, and whether what the node's own
 * workloads are held to may be another.
 */
#include <stdlib.h>

#include "policy-lang/compile/compile_route.h"
#include "policy-lang/compile/compile_state.h"
#include "policy-lang/model/learnt.h"

static void
touch(struct update *u, const struct ip_addr *addr)
{
	struct held_table *held = &u->s->held;
	uint32_t place = held_find(held, addr);

	if (place == NONE)
		place = held_add(held, addr);
	if (held->items[place].touched)
		return;
	held->items[place].touched = true;
	if (u->dirty_count == u->dirty_cap) {
		u->dirty_cap = u->dirty_cap == 0 ? 16 : 2 * u->dirty_cap;
		u->dirty = xreallocarray(u->dirty, u->dirty_cap, sizeof(*u->dirty));
	}
	u->dirty[u->dirty_count++] = place;
}

/* Whether it changes more than the address's own class, of what Routes lead to, when it
 * becomes somebody's or nobody's: where routes by name go ways of their own, it may. */
static bool
routes_follow(const struct update *u, const struct ip_addr *addr)
{
	return routes_speak_of(u->model, addr) ||
	       (u->s->c->leave == NULL && u->s->c->leaves_by_name &&
		   learnt_has(u->model->options.learnt, addr));
}

static void
touch_workload(struct update *u, const struct workload *w)
{
	if (w == NULL)
		return;
	u->own |= compiler_is_local(u->s->c, w);
	u->local |= publish_depends_on(w) || leave_serves(u->s->c, w);
	u->via |= via_depends_on(u->model, w);
	for (size_t i = 0; i < w->ip_count; i++) {
		u->local |= routes_follow(u, &w->ips[i]);
		touch(u, &w->ips[i]);
	}
}

/* Addresses of one follow each other: it is touched once, not for each. */
void
update_touch_owners(struct update *u)
{
	const struct workload *last_had = NULL, *last_has = NULL;
	size_t count = u->dirty_count;

	for (size_t i = 0; i < count && !u->anew; i++) {
		const struct held *h = &u->s->held.items[u->dirty[i]];
		struct ip_addr addr = held_addr(h);
		const struct workload *had = held_owner(h);
		const struct workload *has = place_of(u->model, &addr).workload;

		/* What this touches may be held elsewhere afterwards. */
		if (had != last_had)
			touch_workload(u, had);
		if (has != last_has)
			touch_workload(u, has);
		last_had = had;
		last_has = has;
	}
}

static void
touch_displayed(struct update *u, struct str prefix, const struct kube_ns *kube,
    const struct ns *ns)
{
	const struct model *m = u->model;

	for (size_t i = model_first_displayed(m, prefix);
	     i < m->workload_count && !u->anew &&
	     str_starts(m->workloads[i]->shape->display, prefix);
	     i++) {
		const struct workload *w = m->workloads[i];

		if (kube != NULL ? place_same_kube(w->kube, kube)
				 : w->kube == NULL && str_eq(w->ns->path, ns->path))
			touch_workload(u, w);
	}
}

static void
touch_kube(struct update *u, const struct kube_ns *kube)
{
	u->via |= via_is_ruled(u->model);
	touch_displayed(
	    u, model_display_of_kube(u->arena, kube->cluster, kube->name), kube, NULL);
}

static bool
governs_local(const struct compiler *c, const struct policy *policy)
{
	if (policy != NULL && policy->subject.nodes != NULL)
		return true; /* for this node or not: there are few */
	for (size_t i = 0; policy != NULL && i < c->local_count; i++) {
		const struct workload *w = c->locals[i];

		if (place_path_within(w->ns, policy->level) &&
		    place_match_takes(&policy->subject, w))
			return true;
	}
	return false;
}

/* Whether rules of it may be in a profile that nobody is held to now (compile_own.c). */
static bool
is_kept(const struct compiler *c, const struct policy *policy)
{
	for (size_t i = 0; policy != NULL && i < c->number_count; i++) {
		const struct policy *kept = c->numbers[i].policy;

		if (kept != NULL && kept->kind == policy->kind &&
		    str_eq(kept->name, policy->name) &&
		    str_eq(kept->namespace_text, policy->namespace_text))
			return true;
	}
	return false;
}

/* "name" or "cluster/name": whether it may be that node. */
static bool
is_named(const struct node *node, struct str name)
{
	const size_t slash = str_find(name, '/', 0);

	return str_eq(node->name,
	    slash != name.len ? str_slice(name, slash + 1, name.len) : name);
}

/* Its labels may also say what the node that is compiled for is held to. */
static void
touch_node(struct update *u, const struct node *node)
{
	const struct model_options *o = &u->model->options;

	if (node == NULL)
		return;
	u->local |= is_named(node, u->s->options.node) || u->model->route_count != 0;
	for (size_t i = 0; i < node->ip_count; i++)
		touch(u, &node->ips[i]);
	for (size_t i = 0; i < o->own_count && is_named(node, o->here); i++)
		touch(u, &o->own[i]);
}

/* What is inside stays what it is. */
static void
see_learnt(struct update *u, const struct ip_addr *addr)
{
	if (model_workload_at(u->model, addr) != NULL ||
	    model_node_at(u->model, addr) != NULL)
		return;
	/* As routes_follow says; but it may be one that is forgotten. */
	u->local |= u->s->c->leave == NULL && u->s->c->leaves_by_name;
	touch(u, addr);
}

static void
see_route(struct update *u, const struct route_policy *route)
{
	if (route == NULL)
		return;
	u->local = true;
	u->via |= routes_rule_count(route, ROUTE_VIA) != 0;
}

void
update_see(struct update *u, const struct compile_change *change)
{
	switch (change->kind) {
	case CHANGE_WORKLOAD:
		touch_workload(u, change->workload_before);
		touch_workload(u, change->workload_after);
		break;
	case CHANGE_KUBE_PLACE:
		/* What Routes lead to may be what they led to where it was. */
		u->local |= u->model->route_count != 0;
		touch_kube(u, change->kube);
		break;
	case CHANGE_KUBE_LABELS:
		touch_kube(u, change->kube);
		break;
	case CHANGE_NS_LABELS:
		u->via |= via_is_ruled(u->model);
		touch_displayed(
		    u, model_display_of_ns(u->arena, change->ns), NULL, change->ns);
		break;
	case CHANGE_POLICY:
		u->local = u->local || is_kept(u->s->c, change->policy_before) ||
			   governs_local(u->s->c, change->policy_before) ||
			   governs_local(u->s->c, change->policy_after);
		break;
	case CHANGE_NODE:
		touch_node(u, change->node_before);
		touch_node(u, change->node_after);
		break;
	case CHANGE_OWN:
		u->local |= u->model->route_count != 0; /* as for touch_node */
		touch(u, &change->addr);
		break;
	case CHANGE_ROUTE:
		see_route(u, change->route_before);
		see_route(u, change->route_after);
		break;
	case CHANGE_LIMITS:
		u->local = true;
		break;
	case CHANGE_LEARNT:
		see_learnt(u, &change->addr);
		break;
	case CHANGE_OTHER:
		u->anew = true;
		break;
	}
}
