/*
 * A change of the node's own workloads, or of the policies that they are held to. What they
 * are held to is compiled again, for them alone: a hundred of a hundred thousand. Where their
 * rules speak of the sets of peers that they spoke of, all that is held stays in its class.
 * Else every address that is held is given its place among the sets that they speak of
 * now. A set that they spoke of before has whom it had; only of a new one is it asked whom
 * it takes, and only of addresses that the change itself touches is everything asked. Routes
 * lead to other nodes' workloads, too: those come from compile_routed.c.
 */
#include <stdlib.h>
#include <string.h>

#include "policy-lang/compile_route.h"
#include "policy-lang/compile_state.h"

#define UNKNOWN (NONE - 1) /* not looked for yet */

/* One direction, from what was to what is. */
struct passage {
	struct side *from, *to;
	uint32_t *sets;  /* set -> its number now; NONE: nobody speaks of it any more */
	uint32_t *nodes; /* class -> its node now; or UNKNOWN */
	uint32_t *fresh; /* sets that nobody spoke of */
	size_t fresh_count;
	struct fresh *takers; /* who is in these; NULL: there are none */
	bool same; /* the same sets: who is not touched is listed as before */
	/* Where what surrounds an address may not be what it was. */
	struct addrset moved[FAMILY_COUNT];
	uint32_t
	    *held; /* of what is held (carried: of what is touched): the node now */
	uint32_t *list; /* room for all sets */
};

struct move {
	struct update *u;
	struct compiler *to;
	struct passage passages[DIRECTION_COUNT];
	bool carried; /* the same sets, both: only what is touched is looked at */
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
}

/* ---- from the sets that were to those that are ---- */

/* A set came or is gone, and with it what it says of the space around addresses. */
static void
move_nets(struct passage *p, const struct peer_set *set)
{
	for (unsigned f = 0; f < FAMILY_COUNT; f++) {
		if (set->nameless)
			addrset_add(
			    &p->moved[f], (struct addr_range){.hi = ~(addr_num)0});
		addrset_add_set(&p->moved[f], &set->nets[f]);
	}
}

static void
match_sets(struct passage *p)
{
	struct arena *scratch = p->to->c->scratch;
	size_t known = 0, before = 0;

	p->sets = ARENA_ARRAY(scratch, p->from->set_count, uint32_t);
	p->nodes = ARENA_ARRAY(scratch, p->from->classes->count, uint32_t);
	p->fresh = ARENA_ARRAY(scratch, p->to->set_count, uint32_t);
	p->list = ARENA_ARRAY(scratch, p->from->set_count + p->to->set_count, uint32_t);
	for (size_t i = 0; i < p->from->classes->count; i++)
		p->nodes[i] = UNKNOWN;
	for (size_t i = 0; i < p->from->set_count; i++) {
		const struct peer_set *set = p->from->sets[i];
		const struct peer_set *now = map_get(&p->to->set_by_key, set->key);

		p->sets[i] = now != NULL ? now->index : NONE;
		/* What a port's name means stays as it is, but is not known yet. */
		if (set->name != NULL)
			p->sets[i] = UNKNOWN;
		else
			before++;
		if (now == NULL)
			move_nets(p, set);
		known += set->name == NULL && now != NULL;
	}
	for (uint32_t i = 0; i < p->to->set_count; i++) {
		const struct peer_set *set = p->to->sets[i];

		if (set->name != NULL ||
		    map_get(&p->from->set_by_key, set->key) != NULL)
			continue;
		p->fresh[p->fresh_count++] = i;
		move_nets(p, set);
	}
	for (unsigned f = 0; f < FAMILY_COUNT; f++)
		addrset_normalise(&p->moved[f]);
	if (p->fresh_count != 0)
		p->takers = fresh_new(p->to, p->fresh, p->fresh_count);
	p->same = known == before && p->fresh_count == 0;
}

static uint32_t
set_now(struct passage *p, uint32_t set)
{
	if (p->sets[set] == UNKNOWN)
		p->sets[set] = peers_adopt_meaning(p->to, p->from->sets[set])->index;
	return p->sets[set];
}

static int
u32_cmp(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static uint32_t
node_of_list(struct passage *p, size_t count)
{
	if (count > 1)
		qsort(p->list, count, sizeof(*p->list), u32_cmp);
	return classes_node(p->to, p->list, count);
}

/* Appends to the list the sets of a class, NULL for class 0, that still are. */
static size_t
list_sets(struct passage *p, const struct class_info *class, size_t count)
{
	for (size_t i = 0; class != NULL && i < class->set_count; i++) {
		uint32_t now = set_now(p, class->sets[i]);

		if (now != NONE)
			p->list[count++] = now;
	}
	return count;
}

/* The node of those that are in what is left of the sets of a node, and no other. */
static uint32_t
node_left(struct passage *p, uint32_t node)
{
	const struct class_info *class = classes_of_node(p->from, node);
	uint32_t *known;

	if (class == NULL)
		return 0;
	known = &p->nodes[class - p->from->classes->items];
	if (*known == UNKNOWN)
		*known = node_of_list(p, list_sets(p, class, 0));
	return *known;
}

/* ---- addresses ---- */

static struct place
place_of_touched(const struct update *u, const struct held *h)
{
	struct ip_addr addr = held_addr(h);

	return place_of(u->model, &addr);
}

/* New sets that an address is in which nothing has touched: it is whose it was. */
static size_t
list_fresh(const struct move *m, struct passage *p, const struct held *h)
{
	struct place place;
	size_t count = 0;

	if (held_owner(h) != NULL)
		return fresh_of(p->takers, h, p->list);
	place = place_of_touched(m->u, h);
	for (size_t i = 0; i < p->fresh_count; i++) {
		if (place_in_set(p->to->sets[p->fresh[i]], p->to->c->model, &place))
			p->list[count++] = p->fresh[i];
	}
	return count;
}

static uint32_t
node_now(const struct move *m, struct passage *p, const struct held *h, uint32_t node)
{
	size_t count = p->fresh_count != 0 ? list_fresh(m, p, h) : 0;

	if (count == 0)
		return node_left(p, node);
	return node_of_list(p, list_sets(p, classes_of_node(p->from, node), count));
}

/* Neither what is free nor what an update that went no further has left. */
static bool
is_of_interest(const struct held *h)
{
	return h->used && (h->touched || h->exists);
}

static void
place_touched(struct move *m, uint32_t i)
{
	struct place place = place_of_touched(m->u, &m->u->s->held.items[i]);

	if (!place.exists)
		return;
	for (unsigned d = 0; d < DIRECTION_COUNT; d++)
		m->passages[d].held[i] =
		    place_node(m->passages[d].to, m->u->model, &place);
}

static void
place_again(struct move *m, uint32_t i)
{
	const struct held *h = &m->u->s->held.items[i];

	for (unsigned d = 0; d < DIRECTION_COUNT; d++)
		m->passages[d].held[i] = node_now(m, &m->passages[d], h, h->node[d]);
}

static void
place_address(struct move *m, uint32_t i)
{
	const struct held *h = &m->u->s->held.items[i];

	if (h->touched)
		place_touched(m, i);
	else
		place_again(m, i);
	for (unsigned d = 0; d < DIRECTION_COUNT; d++)
		classes_use(m->passages[d].to, m->passages[d].held[i], h->family);
}

static void
place_addresses(struct move *m)
{
	const struct held_table *held = &m->u->s->held;
	const bool asks = m->passages[0].fresh_count + m->passages[1].fresh_count != 0;

	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		m->passages[d].held =
		    ARENA_ARRAY(m->to->scratch, held->count, uint32_t);
		classes_begin(m->passages[d].to);
	}
	for (uint32_t i = 0; i < held->count; i++) {
		const struct held *later = held_ahead(held, i, 2 * HELD_AHEAD);

		if (later != NULL && asks)
			__builtin_prefetch(later->of.owner);
		if (is_of_interest(&held->items[i]))
			place_address(m, i);
	}
	for (unsigned d = 0; d < DIRECTION_COUNT; d++)
		classes_end(m->passages[d].to);
}

/* One that is touched leaves the class that it was in. */
static void
move_use(struct passage *p, unsigned family, uint32_t before, uint32_t node)
{
	if (before != 0)
		classes_of_node(p->to, before)->uses[family]--;
	if (node != 0)
		classes_of_node(p->to, node)->uses[family]++;
}

static void
carry_addresses(struct move *m)
{
	const struct update *u = m->u;

	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		struct passage *p = &m->passages[d];

		peers_align(p->to, p->from);
		classes_carry(p->to, p->from);
		p->held = ARENA_ARRAY(m->to->scratch, u->dirty_count, uint32_t);
		for (size_t i = 0; i < u->dirty_count; i++) {
			const struct held *h = &u->s->held.items[u->dirty[i]];
			struct place place = place_of_touched(u, h);

			p->held[i] =
			    place.exists ? place_node(p->to, u->model, &place) : 0;
			move_use(p, h->family, h->exists ? h->node[d] : 0, p->held[i]);
		}
		classes_carried(p->to);
	}
}

static bool
may_have_moved(const struct passage *p, const struct held *h)
{
	struct ip_addr addr;

	if (p->moved[h->family].count == 0)
		return false;
	addr = held_addr(h);
	return addrset_has(&p->moved[h->family], addr_to_num(&addr));
}

/* An address that nothing has touched. */
static bool
is_listed_as_before(
    const struct passage *p, const struct held *h, uint32_t before, uint32_t node)
{
	const struct class_info *old, *now;

	if (p->same)
		return true;
	old = classes_of_node(p->from, before);
	now = classes_of_node(p->to, node);
	if (old == NULL || now == NULL ? old != now : old->id != now->id)
		return false;
	return !may_have_moved(p, h);
}

/* What lists an address, before and after. */
static void
tell_address(
    struct move *m, enum direction d, const struct held *h, bool exists, uint32_t node)
{
	struct passage *p = &m->passages[d];
	enum table_set_id set = state_peer_set(h->family, d);
	struct table_element old, now;
	struct ip_addr addr;
	bool had, has;

	if (!h->touched && is_listed_as_before(p, h, h->node[d], node))
		return;
	addr = held_addr(h);
	had = h->exists && state_peer_element(p->from, &addr, h->node[d], &old);
	has = exists && state_peer_element(p->to, &addr, node, &now);
	if (had && has && table_element_equal(&old, &now))
		return;
	if (had)
		state_list_add(&m->u->removed[set], &old);
	if (has)
		state_list_add(&m->u->added[set], &now);
}

/* `at` is where passages have its nodes. */
static void
take_address(struct move *m, uint32_t i, size_t at)
{
	struct held *h = &m->u->s->held.items[i];
	struct place place = {.exists = true};

	if (h->touched)
		place = place_of_touched(m->u, h);
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		uint32_t node = m->passages[d].held[at];

		tell_address(m, (enum direction)d, h, place.exists, node);
		h->node[d] = node;
	}
	if (h->touched)
		update_owner(m->u, i, &place);
}

static void
take_addresses(struct move *m)
{
	const struct held_table *held = &m->u->s->held;
	bool moved = false;

	for (unsigned d = 0; d < DIRECTION_COUNT; d++)
		moved |=
		    m->passages[d].moved[0].count + m->passages[d].moved[1].count != 0;

	for (size_t i = 0; m->carried && i < m->u->dirty_count; i++)
		take_address(m, m->u->dirty[i], i);
	for (uint32_t i = 0; !m->carried && i < held->count; i++) {
		const struct held *later = held_ahead(held, i, HELD_AHEAD);
		const struct held *last = held_ahead(held, i, 2 * HELD_AHEAD);

		if (last != NULL && moved)
			__builtin_prefetch(&last->of.owner->ips);
		if (later != NULL && moved)
			__builtin_prefetch(&later->of.owner->ips[later->ip]);
		if (is_of_interest(&held->items[i]))
			take_address(m, i, i);
	}
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
	take_addresses(m);
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
		if (!m->carried)
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
	struct compiler *from = m->u->s->c, *to = m->to;

	update_find_locals(m->u, false, to->scratch, &m->workloads);
	if (!find_routed(m))
		return false;
	compiler_gather(to, &m->workloads);
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		if (to->failed || !peers_same_names(&from->sides[d], &to->sides[d]))
			return false;
		m->passages[d].from = &from->sides[d];
		m->passages[d].to = &to->sides[d];
		match_sets(&m->passages[d]);
	}
	m->carried = m->passages[0].same && m->passages[1].same;
	if (m->carried)
		carry_addresses(m);
	else
		place_addresses(m);
	compiler_emit(to);
	return !to->failed;
}

static void
end(struct move *m)
{
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		fresh_free(m->passages[d].takers);
		for (unsigned f = 0; f < FAMILY_COUNT; f++)
			addrset_fini(&m->passages[d].moved[f]);
	}
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
	end(&m);
}
