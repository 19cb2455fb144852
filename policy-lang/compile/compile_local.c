/*
 * A change of the node's own workloads, or of the policies that they are held to. What they
 * are held to is compiled again, for them alone: a hundred of a hundred thousand. Where their
 * rules speak of the sets of peers that they spoke of, all that is held stays in its class.
 * Else each is given its place among the sets that they speak of now (compile_passage.c).
 * Routes lead to other nodes' workloads, too: those come from compile_routed.c.
 */
#include <stdlib.h>
#include <string.h>

#include "policy-lang/compile/compile_passage.h"
#include "policy-lang/compile/compile_route.h"

struct move {
	struct update *u;
	struct compiler *to;
	struct passages passages;
	struct model workloads; /* the node's own */
	struct model routed;    /* and those that Routes may be about */
	struct model via_about;
	bool via_kept;          /* what connections go through is as it was */
	struct diag_list quiet; /* warnings; mistakes are for who compiles all of it */
};

/* ---- the node's workloads ---- */

struct locals {
	const struct update *u;
	const struct workload **items;
	size_t count, cap;
};

static void
add_owner(struct locals *l, const struct ip_addr *addr)
{
	const struct workload *w = place_of(l->u->model, addr).workload;

	if (w == NULL || !compiler_is_local(l->u->s->c, w))
		return;
	if (l->count == l->cap) {
		l->cap = l->cap == 0 ? 64 : 2 * l->cap;
		l->items = xreallocarray(l->items, l->cap, sizeof(*l->items));
	}
	l->items[l->count++] = w;
}

static int
pointer_cmp(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t) * (const struct workload *const *)a;
	uintptr_t y = (uintptr_t) * (const struct workload *const *)b;

	return (x > y) - (x < y);
}

void
update_find_locals(
    const struct update *u, bool touched_only, struct arena *arena, struct model *out)
{
	const struct compile_state *s = u->s;
	struct locals l = {.u = u};
	struct workload **once;
	size_t count = 0;

	for (size_t i = 0; i < s->c->local_count && !touched_only; i++) {
		for (size_t j = 0; j < s->c->locals[i]->ip_count; j++)
			add_owner(&l, &s->c->locals[i]->ips[j]);
	}
	for (size_t i = 0; i < u->dirty_count; i++) {
		struct ip_addr addr = held_addr(&s->held.items[u->dirty[i]]);

		add_owner(&l, &addr);
	}
	if (l.count > 1)
		qsort(l.items, l.count, sizeof(struct workload *), pointer_cmp);
	once = ARENA_ARRAY(arena, l.count, struct workload *);
	for (size_t i = 0; i < l.count; i++) {
		if (i == 0 || l.items[i] != l.items[i - 1])
			memcpy(&once[count++], &l.items[i], sizeof(*once));
	}
	free(l.items);
	*out = *u->model;
	out->workloads = once;
	out->workload_count = count;
	out->node_by_address = (struct map){0};
	out->options.own_count = 0;
}

/* ---- elements ---- */

static void
take_set(struct move *m, enum table_set_id set)
{
	struct element_list *old = &m->u->s->kept[set], *now = &m->to->lists[set];
	size_t i = 0, j = 0;

	element_list_sort(now);
	while (i < old->count || j < now->count) {
		int order = i == old->count ? 1
			    : j == now->count
				? -1
				: table_element_cmp(&old->items[i], &now->items[j]);
		bool same =
		    order == 0 && table_element_equal(&old->items[i], &now->items[j]);

		if (order <= 0 && !same)
			state_list_add(&m->u->removed[set], &old->items[i]);
		if (order >= 0 && !same)
			state_list_add(&m->u->added[set], &now->items[j]);
		i += order <= 0;
		j += order >= 0;
	}
	free(old->items);
	*old = *now;
	*now = (struct element_list){0};
}

/* Those of addresses are made from what is held. */
static void
take_sets(struct move *m)
{
	for (unsigned i = 0; i < SET_COUNT; i++) {
		if (i != SET_RULES && !state_is_from_held((enum table_set_id)i) &&
		    !(m->via_kept && via_is_listed((enum table_set_id)i)))
			take_set(m, (enum table_set_id)i);
		free(m->to->lists[i].items);
		m->to->lists[i] = (struct element_list){0};
	}
}

/* ---- all of it ---- */

static bool
has_ways(const struct compiler *c)
{
	bool some = c->standby_count != 0;

	for (uint32_t i = 0; i < c->options->way_count && c->ways != NULL; i++)
		some |= c->ways[i].number != 0;
	return some;
}

static void
take(struct move *m)
{
	struct compile_state *s = m->u->s;
	struct compiler *to = m->to;

	state_tell(s, &m->quiet, s->c->diags);
	update_chains(m->u, to);
	passages_take(&m->passages);
	take_sets(m);
	m->u->delta->ways = has_ways(s->c) || has_ways(to);
	m->u->delta->via = to->via_about != NULL;
	to->diags = s->c->diags;
	to->routed = to->via_about = NULL;
	if (m->via_kept)
		s->c->via = NULL; /* it is the other's now */
	compiler_fini(s->c);
	free(s->c);
	s->c = to;
	universe_fini(&to->universe);
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		if (!m->passages.carried)
			s->fresh_nodes[d] = (uint32_t)to->sides[d].classes->count;
		peers_forget_slots(&to->sides[d]);
	}
}

/* Whom Routes may be about, beside the node's own; what does not change is taken from before.
 * False: they are too many. */
static bool
find_routed(struct move *m)
{
	struct compiler *from = m->u->s->c, *to = m->to;

	if (to->model->route_count == 0)
		return true;
	if (!routed_find(to, &m->workloads, &m->routed))
		return false;
	to->routed = &m->routed;
	if (!via_is_ruled(to->model))
		return true;
	m->via_kept = !m->u->via && from->via != NULL;
	if (m->via_kept)
		to->via = from->via;
	else if (routed_find_via(to, &m->via_about))
		to->via_about = &m->via_about;
	return m->via_kept || to->via_about != NULL;
}

/* False: it takes compiling anew. */
static bool
make(struct move *m)
{
	struct compiler *to = m->to;

	update_find_locals(m->u, false, to->scratch, &m->workloads);
	if (!find_routed(m))
		return false;
	compiler_gather(to, &m->workloads);
	if (to->failed)
		return false;
	passages_begin(&m->passages, m->u, to);
	compiler_emit(to);
	return !to->failed;
}

void
update_local(struct update *u)
{
	struct move m = {.u = u, .to = xcalloc(1, sizeof(*m.to))};

	*m.to = (struct compiler){
	    .keeps_routes = true,
	    .scratch = arena_new(),
	    .model = u->model,
	    .options = &u->s->options,
	    .diags = &m.quiet,
	};
	diag_list_init(&m.quiet, m.to->scratch);
	if (make(&m)) {
		take(&m);
	} else {
		u->anew = true;
		if (m.via_kept)
			m.to->via = NULL;
		compiler_fini(m.to);
		free(m.to);
	}
	passages_end(&m.passages);
}
