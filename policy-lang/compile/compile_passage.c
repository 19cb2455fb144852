/*
 * A set that rules spoke of before has whom it had; only of a new one is it asked whom it
 * takes, and of workloads only where it may take some. Nearly all addresses are in the class
 * that theirs has become, without being looked at: what that costs is a line of memory each.
 * Only of addresses that the change itself touches everything is asked.
 */
#include "policy-lang/compile/compile_passage.h"

#include <stdlib.h>
#include <string.h>

#define UNKNOWN (NONE - 1) /* not looked for yet */

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

/* The names of ports of which it is to be asked anew who is meant. */
static void
match_names(struct passage *p)
{
	struct side *to = p->to;
	size_t most = 0;

	for (size_t i = 0; i < to->port_names.len; i++) {
		for (const struct port_name *n = to->port_names.entries[i].value;
		     n != NULL; n = n->next)
			most++;
	}
	p->names = ARENA_ARRAY(to->c->scratch, most, struct port_name *);
	for (size_t i = 0; i < to->port_names.len; i++) {
		for (struct port_name *n = to->port_names.entries[i].value; n != NULL;
		     n = n->next) {
			if (peers_same_name(p->from, to, n) == NULL)
				p->names[p->name_count++] = n;
		}
	}
}

/* What a set is now. What a port's name means stays as it is, but is not known yet. */
static uint32_t
match_set(const struct passage *p, const struct peer_set *set)
{
	const struct peer_set *now;

	if (set->name != NULL)
		return peers_same_name(p->to, p->from, set->name) != NULL ? UNKNOWN
									  : NONE;
	now = map_get(&p->to->set_by_key, set->key);
	return now != NULL ? now->index : NONE;
}

static void
match_sets(struct passage *p)
{
	struct arena *scratch = p->to->c->scratch;

	p->sets = ARENA_ARRAY(scratch, p->from->set_count, uint32_t);
	p->fresh = ARENA_ARRAY(scratch, p->to->set_count, uint32_t);
	p->same = p->name_count == 0;
	for (size_t i = 0; i < p->from->set_count; i++) {
		p->sets[i] = match_set(p, p->from->sets[i]);
		if (p->sets[i] != NONE)
			continue;
		p->same = false;
		move_nets(p, p->from->sets[i]);
	}
	for (uint32_t i = 0; i < p->to->set_count; i++) {
		const struct peer_set *set = p->to->sets[i];

		if (set->name != NULL ||
		    map_get(&p->from->set_by_key, set->key) != NULL)
			continue;
		p->same = false;
		p->fresh[p->fresh_count++] = i;
		move_nets(p, set);
	}
	for (unsigned f = 0; f < FAMILY_COUNT; f++)
		addrset_normalise(&p->moved[f]);
	p->list = ARENA_ARRAY(
	    scratch, p->from->set_count + p->to->set_count + p->name_count, uint32_t);
	if (p->fresh_count != 0)
		p->takers = fresh_new(p->to, p->fresh, p->fresh_count);
}

/* ---- who is to be asked ---- */

/* Whether every address must be, because it matters which it is. */
static bool
asks_all(const struct passage *p, const struct held_table *held)
{
	for (unsigned f = 0; f < FAMILY_COUNT; f++) {
		if (held_may_be_in(held, f, &p->moved[f]))
			return true;
	}
	for (size_t i = 0; i < p->name_count; i++) {
		for (size_t j = 0; j < p->names[i]->peer_count; j++) {
			const uint32_t peers = p->names[i]->peers[j];

			/* A name is a workload's, whichever of its addresses is taken. */
			if (peers == PEERS_EVERYONE ||
			    fresh_asks_where(p->to->sets[peers], held))
				return true;
		}
	}
	return p->takers != NULL && !fresh_is_found(p->takers, held);
}

/* Whether what the set was says who may mean something else by a name now. */
static bool
is_of_names(const struct passage *p, uint32_t set)
{
	if (p->from->sets[set]->name != NULL)
		return p->sets[set] == NONE;
	for (size_t i = 0; i < p->name_count; i++) {
		for (size_t j = 0; j < p->names[i]->peer_count; j++) {
			if (p->names[i]->peers[j] == p->sets[set])
				return true;
		}
	}
	return false;
}

/* Classes whose addresses are to be asked, in `asked`; false: none. */
static bool
find_asked(struct passage *p)
{
	bool *of_names = ARENA_ARRAY(p->to->c->scratch, p->from->set_count, bool);
	bool any = false;

	for (uint32_t i = 0; i < p->from->set_count; i++) {
		of_names[i] = is_of_names(p, i);
		any |= of_names[i];
	}
	for (size_t i = 0; i < p->from->classes->count && any; i++) {
		const struct class_info *class = &p->from->classes->items[i];

		for (size_t j = 0; j < class->set_count; j++)
			p->asked[class->node] |= of_names[class->sets[j]];
	}
	return any;
}

/* ---- nodes ---- */

static uint32_t
set_now(struct passage *p, uint32_t set)
{
	if (p->sets[set] == UNKNOWN)
		p->sets[set] = peers_adopt_meaning(p->to, p->from->sets[set])->index;
	return p->sets[set];
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
	uint32_t *known = &p->nodes[node];

	if (*known == UNKNOWN)
		*known =
		    node_of_list(p, list_sets(p, classes_of_node(p->from, node), 0));
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
list_fresh(const struct passages *ps, struct passage *p, const struct held *h)
{
	struct place place;
	size_t count = 0;

	if (p->fresh_count == 0)
		return 0;
	if (held_owner(h) != NULL)
		return fresh_of(p->takers, h, p->list);
	place = place_of_touched(ps->u, h);
	for (size_t i = 0; i < p->fresh_count; i++) {
		if (place_in_set(p->to->sets[p->fresh[i]], p->to->c->model, &place))
			p->list[count++] = p->fresh[i];
	}
	return count;
}

static size_t
list_meanings(
    const struct passages *ps, struct passage *p, const struct held *h, size_t count)
{
	const struct workload *w = NULL;

	if (p->name_count != 0 && held_owner(h) != NULL)
		w = place_of_touched(ps->u, h).workload;
	for (size_t i = 0; i < p->name_count && w != NULL; i++) {
		const struct peer_set *set =
		    place_meaning(p->to, ps->u->model, p->names[i], w);

		if (set != NULL)
			p->list[count++] = set->index;
	}
	return count;
}

static uint32_t
node_now(
    const struct passages *ps, struct passage *p, const struct held *h, uint32_t node)
{
	size_t count = list_meanings(ps, p, h, list_fresh(ps, p, h));

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

/* It is no longer one of those that are wherever their class is. */
static void
place_at(struct passage *p, const struct held *h, uint32_t i, uint32_t node)
{
	if (h->exists)
		p->counts[h->node[p->from->dir]][h->family]--;
	classes_use(p->to, node, h->family, 1);
	p->held[i] = node;
}

static void
place_touched(struct passages *ps, uint32_t i)
{
	const struct held *h = &ps->u->s->held.items[i];
	struct place place = place_of_touched(ps->u, h);

	for (unsigned d = 0; d < DIRECTION_COUNT; d++)
		place_at(&ps->of[d], h, i,
		    place.exists ? place_node(ps->of[d].to, ps->u->model, &place,
				       &ps->u->placed[d])
				 : 0);
}

static void
place_again(struct passages *ps, uint32_t i)
{
	const struct held *h = &ps->u->s->held.items[i];

	if (h->touched || ps->of[0].held[i] != NONE)
		return;
	for (unsigned d = 0; d < DIRECTION_COUNT; d++)
		place_at(&ps->of[d], h, i, node_now(ps, &ps->of[d], h, h->node[d]));
}

static void
place_found(void *ctx, uint32_t held)
{
	place_again(ctx, held);
}

static void
place_all(struct passages *ps)
{
	const struct held_table *held = &ps->u->s->held;

	for (uint32_t i = 0; i < held->count; i++) {
		const struct held *later = held_ahead(held, i, 2 * HELD_AHEAD);

		if (later != NULL)
			__builtin_prefetch(later->of.owner);
		if (is_of_interest(&held->items[i]))
			place_again(ps, i);
	}
}

/* Those of classes that are asked, and where new sets take what is no workload's, that. */
static void
place_asked(struct passages *ps, bool others)
{
	const struct held_table *held = &ps->u->s->held;

	for (uint32_t i = 0; i < held->count; i++) {
		const struct held *h = &held->items[i];

		if (is_of_interest(h) &&
		    ((others && !h->owned) || ps->of[0].asked[h->node[0]] ||
			ps->of[1].asked[h->node[1]]))
			place_again(ps, i);
	}
}

/* All the others are wherever their classes are. */
static void
place_classes(struct passage *p)
{
	const size_t count = p->from->classes->count;

	for (size_t i = 0; i < count; i++) {
		const uint32_t node = p->from->classes->items[i].node;

		for (unsigned f = 0; f < FAMILY_COUNT; f++) {
			if (p->counts[node][f] != 0)
				classes_use(
				    p->to, node_left(p, node), f, p->counts[node][f]);
		}
	}
}

static void
begin_placing(struct passages *ps, struct passage *p)
{
	const uint32_t nodes = classes_node_count(p->from);
	const uint32_t held = ps->u->s->held.count;

	p->nodes = ARENA_ARRAY(ps->scratch, nodes, uint32_t);
	p->told = ARENA_ARRAY(ps->scratch, nodes, bool);
	p->asked = ARENA_ARRAY(ps->scratch, nodes, bool);
	p->counts = arena_alloc(ps->scratch, nodes * sizeof(*p->counts));
	p->held = arena_alloc(ps->scratch, held * sizeof(*p->held));
	for (uint32_t i = 0; i < nodes; i++)
		p->nodes[i] = UNKNOWN;
	p->nodes[0] = 0;
	memset(p->held, 0xff, held * sizeof(*p->held)); /* NONE */
	classes_count(p->from, p->counts);
	classes_begin(p->to);
}

/* Once classes have their numbers. */
static void
find_told(struct passage *p)
{
	for (size_t i = 0; i < p->from->classes->count && !p->same; i++) {
		const struct class_info *old = &p->from->classes->items[i], *now;

		if (p->nodes[old->node] == UNKNOWN)
			continue; /* nobody is in it */
		now = classes_of_node(p->to, p->nodes[old->node]);
		p->told[old->node] = now == NULL || now->id != old->id;
	}
}

static void
place_addresses(struct passages *ps)
{
	const struct update *u = ps->u;
	bool asked = false, others = false;

	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		struct passage *p = &ps->of[d];

		begin_placing(ps, p);
		asked |= find_asked(p);
		others |= p->takers != NULL && fresh_takes_others(p->takers);
		ps->all |= asks_all(p, &u->s->held);
	}
	for (size_t i = 0; i < u->dirty_count; i++)
		place_touched(ps, u->dirty[i]);
	for (unsigned d = 0; d < DIRECTION_COUNT && !ps->all; d++) {
		if (ps->of[d].takers != NULL)
			fresh_find(ps->of[d].takers, u->model, &u->s->held, u->arena,
			    place_found, ps);
	}
	if (ps->all)
		place_all(ps);
	else if (asked || others)
		place_asked(ps, others);
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		place_classes(&ps->of[d]);
		classes_end(ps->of[d].to);
		find_told(&ps->of[d]);
	}
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
carry_addresses(struct passages *ps)
{
	const struct update *u = ps->u;

	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		struct passage *p = &ps->of[d];

		peers_align(p->to, p->from);
		classes_carry(p->to, p->from);
		p->held = ARENA_ARRAY(ps->scratch, u->dirty_count, uint32_t);
		for (size_t i = 0; i < u->dirty_count; i++) {
			const struct held *h = &u->s->held.items[u->dirty[i]];
			struct place place = place_of_touched(u, h);

			p->held[i] = place.exists ? place_node(p->to, u->model, &place,
							&ps->u->placed[d])
						  : 0;
			move_use(p, h->family, h->exists ? h->node[d] : 0, p->held[i]);
		}
		classes_carried(p->to);
	}
}

/* ---- what becomes of them ---- */

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
tell_address(struct passages *ps, enum direction d, const struct held *h, bool exists,
    uint32_t node)
{
	struct passage *p = &ps->of[d];
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
		state_list_add(&ps->u->removed[set], &old);
	if (has)
		state_list_add(&ps->u->added[set], &now);
}

/* `at` is where passages have its nodes. */
static void
take_address(struct passages *ps, uint32_t i, size_t at)
{
	struct held *h = &ps->u->s->held.items[i];
	struct place place = {.exists = true};

	if (h->touched)
		place = place_of_touched(ps->u, h);
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		uint32_t node = ps->of[d].held[at];

		tell_address(ps, (enum direction)d, h, place.exists, node);
		h->node[d] = node;
	}
	if (h->touched)
		update_owner(ps->u, i, &place);
}

/* One that is where its class is. */
static void
take_along(struct passages *ps, struct held *h)
{
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		const struct passage *p = &ps->of[d];
		const uint32_t node = p->nodes[h->node[d]];

		if (p->told[h->node[d]])
			tell_address(ps, (enum direction)d, h, true, node);
		h->node[d] = node;
	}
}

/* Addresses that are soon to be looked into: where they lie, then they. */
static void
fetch_ahead(const struct held_table *held, uint32_t i)
{
	const struct held *later = held_ahead(held, i, HELD_AHEAD);
	const struct held *last = held_ahead(held, i, 2 * HELD_AHEAD);

	if (last != NULL)
		__builtin_prefetch(&last->of.owner->ips);
	if (later != NULL)
		__builtin_prefetch(&later->of.owner->ips[later->ip]);
}

void
passages_take(struct passages *ps)
{
	struct held_table *held = &ps->u->s->held;

	for (size_t i = 0; ps->carried && i < ps->u->dirty_count; i++)
		take_address(ps, ps->u->dirty[i], i);
	for (uint32_t i = 0; !ps->carried && i < held->count; i++) {
		if (ps->all)
			fetch_ahead(held, i);
		if (!is_of_interest(&held->items[i]))
			continue;
		if (ps->of[0].held[i] != NONE)
			take_address(ps, i, i);
		else
			take_along(ps, &held->items[i]);
	}
}

/* ---- all of it ---- */

void
passages_begin(struct passages *ps, struct update *u, struct compiler *to)
{
	*ps = (struct passages){.u = u, .scratch = to->scratch, .carried = true};
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		struct passage *p = &ps->of[d];

		p->from = &u->s->c->sides[d];
		p->to = &to->sides[d];
		match_names(p);
		match_sets(p);
		ps->carried &= p->same;
	}
	if (ps->carried)
		carry_addresses(ps);
	else
		place_addresses(ps);
}

void
passages_end(struct passages *ps)
{
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		fresh_free(ps->of[d].takers);
		for (unsigned f = 0; f < FAMILY_COUNT; f++)
			addrset_fini(&ps->of[d].moved[f]);
	}
}
