/*
 * What a change makes of a compilation. Addresses of other nodes' workloads are kept by
 * address, each with its place in the tree of classes; the elements that say so are made
 * from that. The cells, and all that only a compilation anew can change, are kept as they
 * were emitted.
 */
#include "policy-lang/compile/compile_incremental.h"

#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "policy-lang/compile/compile_route.h"
#include "policy-lang/compile/compile_state.h"

/* So many new nodes of the tree of classes make it worth while to begin again. */
#define STALE_NODES 100000

/* With more the program of the node is better compiled where nothing waits for it: elements,
 * rules, and what these are listed for, of which each costs a microsecond or two. */
#define LOCAL_WORK_MOST 250000

/* ---- the beginning ---- */

static void
copy_options(struct compile_state *s, const struct compile_options *options)
{
	struct ip_prefix *networks = ARENA_ARRAY(
	    s->options_arena, options->workload_network_count, struct ip_prefix);
	struct interface_pattern *interfaces = ARENA_ARRAY(s->options_arena,
	    options->workload_interface_count, struct interface_pattern);
	struct interface_pattern *uplinks = ARENA_ARRAY(
	    s->options_arena, options->uplink_count, struct interface_pattern);

	s->options = *options;
	s->options.node = str_dup(s->options_arena, options->node);
	for (size_t i = 0; i < options->workload_network_count; i++)
		networks[i] = options->workload_networks[i];
	s->options.workload_networks = networks;
	s->options.route_networks = route_networks_copy(
	    s->options_arena, options->route_networks, options->route_network_count);
	s->options.route_tables = route_tables_copy(
	    s->options_arena, options->route_tables, options->route_table_count);
	for (size_t i = 0; i < options->workload_interface_count; i++)
		interfaces[i] = options->workload_interfaces[i];
	s->options.workload_interfaces = interfaces;
	for (size_t i = 0; i < options->uplink_count; i++)
		uplinks[i] = options->uplinks[i];
	s->options.uplinks = uplinks;
}

static void
hold_points(struct compile_state *s)
{
	const struct universe *u = &s->c->universe;

	held_reserve(&s->held, u->point_count);
	for (uint32_t i = 0; i < u->point_count; i++) {
		const struct point *p = &u->points[i];
		struct ip_addr addr = addr_of_num(p->addr, p->family);
		uint32_t place = p->slot != NONE ? held_add_owned(&s->held,
						       u->slots[p->slot], p->ip, &addr)
						 : held_add(&s->held, &addr);
		struct held *h = &s->held.items[place];

		h->exists = true;
		h->inside = !p->outside;
		for (unsigned d = 0; d < DIRECTION_COUNT; d++)
			h->node[d] = classes_node_of_point(&s->c->sides[d], i);
	}
}

/* Moves the sorted lists to where they are kept; those of addresses are only counted. */
static void
keep_lists(struct compile_state *s)
{
	for (unsigned i = 0; i < SET_COUNT; i++) {
		struct element_list *list = &s->c->lists[i];

		s->listed[i] = list->count;
		if (!state_is_from_held((enum table_set_id)i)) {
			element_list_sort(list);
			s->kept[i] = *list;
		}
		*list = (struct element_list){0};
	}
}

static bool
begin(struct compile_state *s, const struct model *model, struct diag_list *diags)
{
	struct diag **told = diags->first != NULL ? diags->tail : &diags->first;

	held_init(&s->held);
	s->c = xcalloc(1, sizeof(*s->c));
	*s->c = (struct compiler){
	    .keeps_routes = true,
	    .scratch = arena_new(),
	    .model = model,
	    .options = &s->options,
	    .diags = diags,
	    .only_counts = state_is_from_held,
	};
	compiler_run(s->c);
	s->c->only_counts = NULL;
	state_remember_told(s, *told);
	if (s->c->failed)
		return false;
	s->inside = leave_is_ruled(model);
	hold_points(s);
	keep_lists(s);
	universe_fini(&s->c->universe);
	held_shrink(&s->held);
	for (size_t i = 0; i < s->c->number_count; i++)
		s->c->numbers[i].in_force = s->c->numbers[i].uses != 0;
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		s->fresh_nodes[d] = (uint32_t)s->c->sides[d].classes->count;
		classes_forget_points(&s->c->sides[d]);
		peers_forget_slots(&s->c->sides[d]);
	}
	return true;
}

static void
end(struct compile_state *s)
{
	compiler_fini(s->c);
	free(s->c);
	for (size_t i = 0; i < SET_COUNT; i++) {
		free(s->kept[i].items);
		s->kept[i] = (struct element_list){0};
	}
	held_fini(&s->held);
}

struct compile_state *
compile_state_new(const struct model *model, const struct compile_options *options,
    struct diag_list *diags)
{
	struct compile_state *s = xcalloc(1, sizeof(*s));

	s->options_arena = arena_new();
	copy_options(s, options);
	if (begin(s, model, diags))
		return s;
	compile_state_free(s);
	return NULL;
}

void
compile_state_free(struct compile_state *state)
{
	if (state == NULL)
		return;
	end(state);
	state_forget_told(state);
	arena_free(state->options_arena);
	free(state);
}

/* ---- what becomes of an address ---- */

/* Remembers what a class had before it is changed. */
static struct class_info *
touch_class(struct update *u, enum direction dir, uint32_t node)
{
	struct class_info *class = classes_of_node(&u->s->c->sides[dir], node);

	for (size_t i = 0; i < u->class_count; i++) {
		if (u->classes[i].node == node && u->classes[i].dir == dir)
			return class;
	}
	if (u->class_count == u->class_cap) {
		u->class_cap = u->class_cap == 0 ? 16 : 2 * u->class_cap;
		u->classes =
		    xreallocarray(u->classes, u->class_cap, sizeof(*u->classes));
	}
	u->classes[u->class_count++] = (struct touched_class){
	    .node = node,
	    .dir = dir,
	    .before = {class->uses[0] != 0, class->uses[1] != 0},
	};
	return class;
}

static void
move_address(struct update *u, struct held *h, enum direction dir, bool existed,
    const struct place *p)
{
	enum table_set_id set = state_peer_set(p->family, dir);
	struct side *side = &u->s->c->sides[dir];
	struct ip_addr addr = held_addr(h);
	uint32_t node = p->exists ? place_node(side, u->model, p, &u->placed[dir]) : 0;
	struct table_element e;

	if (existed == p->exists && node == h->node[dir])
		return;
	u->delta->moves |= existed && p->exists;
	if (existed && state_peer_element(side, &addr, h->node[dir], &e))
		state_list_add(&u->removed[set], &e);
	if (existed && h->node[dir] != 0)
		touch_class(u, dir, h->node[dir])->uses[p->family]--;
	h->node[dir] = node;
	if (node != 0)
		touch_class(u, dir, node)->uses[p->family]++;
	if (p->exists && state_peer_element(side, &addr, h->node[dir], &e))
		state_list_add(&u->added[set], &e);
}

void
update_owner(struct update *u, uint32_t held, const struct place *p)
{
	struct held *h = &u->s->held.items[held];
	struct ip_addr addr = held_addr(h);
	bool inside = p->exists && !p->outside, was_inside = h->inside;
	bool had = h->exists && state_in_gate(u->s, &addr, was_inside && !h->owned);
	bool has =
	    p->exists && state_in_gate(u->s, &addr, inside && p->workload == NULL);
	struct table_element e = {0};

	h->touched = false;
	held_own(h, p->workload, p->ip);
	h->exists = p->exists;
	h->inside = inside;
	memcpy(e.addr, addr.bytes, ip_bytes(addr.family));
	if (had && (!has || was_inside != inside))
		state_list_add(&u->removed[gate_set(p->family, was_inside)], &e);
	if (has && (!had || was_inside != inside))
		state_list_add(&u->added[gate_set(p->family, inside)], &e);
	if (was_inside != inside && u->s->inside)
		state_list_add(inside ? &u->added[state_inside_set(p->family)]
				      : &u->removed[state_inside_set(p->family)],
		    &e);
	if (!p->exists)
		held_remove(&u->s->held, held);
}

static void
look_at(struct update *u, uint32_t place)
{
	struct held *h = &u->s->held.items[place]; /* nothing is added meanwhile */
	struct ip_addr addr = held_addr(h);
	struct place p = place_of(u->model, &addr);

	/* What is no workload's was there before anybody spoke of it. */
	u->delta->moves |= (h->exists ? held_owner(h) : p.workload) == NULL;
	for (unsigned d = 0; d < DIRECTION_COUNT; d++)
		move_address(u, h, (enum direction)d, h->exists, &p);
	u->delta->moves |= u->s->c->leave != NULL;
	if (u->s->c->leave != NULL)
		leave_look_at(u->s->c->leave, &addr, &p, u->removed, u->added);
	update_owner(u, place, &p);
}

/* ---- what becomes of the cells ---- */

/* Emits the cells of classes that came (or went), into lists of the update. */
static void
emit_flips(struct update *u, bool came, struct element_list lists[SET_COUNT])
{
	struct compiler *c = u->s->c;

	c->retracting = !came;
	c->element_count = 0; /* what there is in all is counted at the end */
	for (size_t i = 0; i < u->class_count; i++) {
		const struct touched_class *t = &u->classes[i];
		struct side *side = &c->sides[t->dir];
		const struct class_info *class = classes_of_node(side, t->node);
		bool flips[FAMILY_COUNT];

		for (unsigned f = 0; f < FAMILY_COUNT; f++)
			flips[f] =
			    t->before[f] != came && (class->uses[f] != 0) == came;
		if (flips[0] || flips[1])
			cells_emit_class(side, class, flips);
	}
	update_take_emitted(u, lists);
	c->retracting = false;
}

void
update_take_emitted(struct update *u, struct element_list lists[SET_COUNT])
{
	struct compiler *c = u->s->c;

	for (size_t i = 0; i < SET_COUNT; i++) {
		for (size_t j = 0; j < c->lists[i].count; j++)
			state_list_add(&lists[i], &c->lists[i].items[j]);
		c->lists[i].count = 0;
	}
}

/* ---- numbers ---- */

void
update_chain(struct update *u, const struct verdict_number *n, bool came)
{
	struct compile_delta *delta = u->delta;
	struct table_element e = {.class_id = n->number, .value = n->number};

	if (came) {
		struct table_rule_chain chain = chains_one(u->arena, n);

		e.loc = chain.loc;
		delta->chains_added[delta->chain_added_count++] = chain;
		state_list_add(&u->added[SET_RULES], &e);
	} else {
		delta->chains_removed[delta->chain_removed_count++] = n->number;
		state_list_add(&u->removed[SET_RULES], &e);
	}
}

void
update_numbers(struct update *u)
{
	struct compiler *c = u->s->c;
	struct compile_delta *delta = u->delta;
	size_t count = 0;

	/* Mostly there are none, and a thousand that stay. */
	for (size_t i = 0; i < c->number_count; i++)
		count += c->numbers[i].in_force != (c->numbers[i].uses != 0);
	delta->chains_added = ARENA_ARRAY(u->arena, count, struct table_rule_chain);
	delta->chains_removed = ARENA_ARRAY(u->arena, count, uint32_t);
	for (size_t i = 0; i < c->number_count && count != 0; i++) {
		struct verdict_number *n = &c->numbers[i];

		if (n->in_force == (n->uses != 0))
			continue;
		n->in_force = n->uses != 0;
		update_chain(u, n, n->in_force);
	}
}

/* ---- all of it ---- */

static void
finish_lists(struct update *u)
{
	struct compile_delta *delta = u->delta;

	for (unsigned i = 0; i < SET_COUNT; i++) {
		element_list_sort(&u->removed[i]);
		element_list_sort(&u->added[i]);
		if (u->removed[i].count + u->added[i].count == 0)
			continue;
		if (!u->local && !state_is_from_held((enum table_set_id)i) &&
		    i != SET_RULES) {
			state_list_drop(&u->s->kept[i], &u->removed[i]);
			state_list_merge(&u->s->kept[i], &u->added[i]);
		}
		u->s->listed[i] += u->added[i].count - u->removed[i].count;
		delta->removed_count[i] = u->removed[i].count;
		delta->added_count[i] = u->added[i].count;
		delta->removed[i] = state_give(u->arena, &u->removed[i]);
		delta->added[i] = state_give(u->arena, &u->added[i]);
	}
}

/* What a compilation anew would refuse it must refuse: that says why. And numbers of
 * classes that stood in each other's way only it can give. */
static bool
needs_anew(const struct compile_state *s)
{
	size_t elements = 0;

	for (unsigned i = 0; i < SET_COUNT; i++) {
		if (i != SET_RULES)
			elements += s->listed[i];
		if (table_set_swaps((enum table_set_id)i) &&
		    s->listed[i] > LIMIT_PROGRAM_RANGES)
			return true;
	}
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		const struct classes *classes = s->c->sides[d].classes;

		if (classes->collided ||
		    classes->count > s->fresh_nodes[d] + STALE_NODES)
			return true;
	}
	return elements > LIMIT_PROGRAM_ELEMENTS || s->c->failed ||
	       (s->c->leave != NULL && leave_needs_anew(s->c->leave)) ||
	       (s->c->via != NULL && via_needs_anew(s->c->via));
}

/* What finding out the node's own rules again goes through. */
static size_t
local_work(const struct compile_state *s, bool every_address)
{
	size_t work = every_address ? s->held.used : 0;

	for (unsigned i = 0; i < SET_COUNT; i++)
		work += s->kept[i].count;
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		const struct side *side = &s->c->sides[d];

		work += side->set_count + side->rule_count;
		for (size_t i = 0; i < side->profile_count; i++)
			work += side->profiles[i]->count;
	}
	return work;
}

/* All that are inside. */
static void
list_inside(const struct compile_state *s, struct element_list lists[SET_COUNT])
{
	for (uint32_t i = 0; i < s->held.count; i++) {
		const struct held *h = &s->held.items[i];
		struct table_element e = {0};
		struct ip_addr addr;

		if (!h->used || !h->exists || !h->inside)
			continue;
		addr = held_addr(h);
		memcpy(e.addr, addr.bytes, ip_bytes(addr.family));
		state_list_add(&lists[state_inside_set(h->family)], &e);
	}
}

/* Where the first Route for what leaves comes, or the last one goes, all that are inside are
 * listed from then on, or no more: whatever else becomes of an address is not told twice. */
static void
apply_local(struct update *u)
{
	struct compile_state *s = u->s;
	const bool was_listed = s->inside, is_listed = leave_is_ruled(u->model);

	u->anew = local_work(s, was_listed != is_listed) > LOCAL_WORK_MOST;
	if (u->anew)
		return;
	if (was_listed && !is_listed)
		list_inside(s, u->removed);
	s->inside = was_listed && is_listed;
	update_local(u);
	s->inside = u->anew ? was_listed : is_listed;
	if (u->anew)
		return;
	if (!was_listed && is_listed)
		list_inside(s, u->added);
	finish_lists(u);
	u->delta->local = true;
}

void
update_addresses(struct update *u)
{
	for (size_t i = 0; i < u->dirty_count; i++)
		look_at(u, u->dirty[i]);
	emit_flips(u, false, u->removed);
	emit_flips(u, true, u->added);
}

static void
apply_others(struct update *u)
{
	update_addresses(u);
	if (u->s->c->leave != NULL)
		leave_settle(u->s->c->leave, u->removed, u->added);
	if (u->class_count != 0)
		update_numbers(u);
	finish_lists(u);
}

static void
apply_own(struct update *u)
{
	if (update_own(u)) {
		finish_lists(u);
		u->delta->local = u->delta->own = true;
	} else {
		u->local = true;
		apply_local(u);
	}
}

static void
apply(struct update *u)
{
	update_touch_owners(u);
	if (u->anew)
		return;
	u->local |= u->via;
	if (u->local)
		apply_local(u);
	else if (u->own)
		apply_own(u);
	else
		apply_others(u);
	u->anew |= needs_anew(u->s);
}

static void
update_fini(struct update *u)
{
	for (size_t i = 0; i < SET_COUNT; i++) {
		free(u->removed[i].items);
		free(u->added[i].items);
	}
	for (unsigned d = 0; d < DIRECTION_COUNT; d++)
		placed_fini(&u->placed[d]);
	free(u->dirty);
	free(u->classes);
}

bool
compile_delta_has_elements(const struct compile_delta *delta)
{
	for (unsigned set = 0; set < SET_COUNT; set++) {
		if (delta->removed_count[set] + delta->added_count[set] != 0)
			return true;
	}
	return false;
}

void
compile_delta_make_anew(struct compile_delta *delta)
{
	struct compile_delta anew = {.anew = true};

	for (unsigned set = 0; set < SET_COUNT; set++) {
		anew.removed[set] = delta->removed[set];
		anew.removed_count[set] = delta->removed_count[set];
		anew.added[set] = delta->added[set];
		anew.added_count[set] = delta->added_count[set];
	}
	*delta = anew;
}

void
compile_state_advance(struct compile_state *state, struct arena *arena,
    const struct model *model, const struct compile_change *changes, size_t count,
    struct diag_list *diags, struct compile_delta *out_delta)
{
	struct update u = {
	    .s = state,
	    .model = model,
	    .arena = arena,
	    .delta = out_delta,
	};

	*out_delta = (struct compile_delta){0};
	state->c->model = model;
	state->c->diags = diags;
	if (state->c->leave != NULL)
		leave_see_model(state->c->leave, model);
	u.anew = needs_anew(state);
	for (size_t i = 0; i < count && !u.anew; i++)
		update_see(&u, &changes[i]);
	if (!u.anew)
		apply(&u);
	update_fini(&u);
	if (u.anew)
		compile_delta_make_anew(out_delta);
}

bool
compile_state_update(struct compile_state *state, struct arena *arena,
    const struct model *model, const struct compile_change *changes, size_t count,
    struct diag_list *diags, struct compile_delta *out_delta)
{
	compile_state_advance(state, arena, model, changes, count, diags, out_delta);
	if (!out_delta->anew)
		return true;
	end(state);
	return begin(state, model, diags);
}
