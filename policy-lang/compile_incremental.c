/*
 * What a change makes of a compilation. Addresses of other nodes' workloads are kept by
 * address, each with its place in the tree of classes; the elements that say so are made
 * from that. The cells, and all that only a compilation anew can change, are kept as they
 * were emitted.
 */
#include "policy-lang/compile_incremental.h"

#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "policy-lang/compile_held.h"
#include "policy-lang/compile_route.h"
#include "policy-lang/table_walk.h"

/* So many new nodes of the tree of classes make it worth while to begin again. */
#define STALE_NODES 100000

struct compile_state {
	struct arena *options_arena;
	struct compile_options options;
	struct compiler c;
	struct held_table held;
	/* Sorted; without the sets that are made from `held`, and SET_RULES. */
	struct element_list kept[SET_COUNT];
	size_t listed[SET_COUNT];              /* elements of those that are */
	uint32_t fresh_nodes[DIRECTION_COUNT]; /* nodes there were in the beginning */
	bool inside;                           /* addresses are listed as such */
};

/* ---- which sets are made from addresses ---- */

static enum table_set_id
peer_set_id(unsigned family, enum direction dir)
{
	return set_of(SET_PEER4_IN, family, dir);
}

static enum table_set_id
known_set_id(unsigned family)
{
	return family == 0 ? SET_KNOWN4 : SET_KNOWN6;
}

static enum table_set_id
inside_set_id(unsigned family)
{
	return family == 0 ? SET_INSIDE4 : SET_INSIDE6;
}

static bool
is_from_held(enum table_set_id set)
{
	return (set >= SET_PEER4_IN && set <= SET_PEER6_OUT) || set == SET_KNOWN4 ||
	       set == SET_KNOWN6 || set == SET_INSIDE4 || set == SET_INSIDE6;
}

/* ---- addresses ---- */

static bool
in_gate(const struct compile_state *s, const struct ip_addr *addr)
{
	for (size_t i = 0; i < s->options.workload_network_count; i++) {
		if (ip_in_prefix(addr, &s->options.workload_networks[i]))
			return true;
	}
	return false;
}

/* ---- the beginning ---- */

static void
copy_options(struct compile_state *s, const struct compile_options *options)
{
	struct ip_prefix *networks = ARENA_ARRAY(
	    s->options_arena, options->workload_network_count, struct ip_prefix);
	struct interface_pattern *interfaces = ARENA_ARRAY(s->options_arena,
	    options->workload_interface_count, struct interface_pattern);

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
}

static void
hold_points(struct compile_state *s)
{
	const struct universe *u = &s->c.universe;
	const struct model *model = u->model;

	for (uint32_t i = 0; i < u->point_count; i++) {
		const struct point *p = &u->points[i];
		struct ip_addr addr = {.family = p->family};
		struct held *h;
		uint8_t bytes[16];
		struct place own;
		uint32_t place;

		addr_num_bytes(p->addr, p->family, bytes);
		memcpy(addr.bytes, bytes, ip_bytes(p->family));
		place = held_add(&s->held, &addr);
		h = &s->held.items[place];
		h->exists = true;
		own = place_of(model, &addr);
		held_own(h, own.workload, own.ip);
		for (unsigned d = 0; d < DIRECTION_COUNT; d++)
			h->node[d] = classes_node_of_point(&s->c.sides[d], i);
	}
}

/* Moves the sorted lists to where they are kept; those of addresses are only counted. */
static void
keep_lists(struct compile_state *s)
{
	for (unsigned i = 0; i < SET_COUNT; i++) {
		struct element_list *list = &s->c.lists[i];

		s->listed[i] = list->count;
		if (is_from_held((enum table_set_id)i)) {
			free(list->items);
		} else {
			element_list_sort(list);
			s->kept[i] = *list;
		}
		*list = (struct element_list){0};
	}
}

static bool
begin(struct compile_state *s, const struct model *model, struct diag_list *diags)
{
	held_init(&s->held);
	s->c = (struct compiler){
	    .scratch = arena_new(),
	    .model = model,
	    .options = &s->options,
	    .diags = diags,
	};
	compiler_run(&s->c);
	if (s->c.failed)
		return false;
	s->inside = leave_is_ruled(model);
	hold_points(s);
	keep_lists(s);
	universe_fini(&s->c.universe);
	held_shrink(&s->held);
	for (size_t i = 0; i < s->c.number_count; i++)
		s->c.numbers[i].in_force = s->c.numbers[i].uses != 0;
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		s->fresh_nodes[d] = (uint32_t)s->c.sides[d].classes->count;
		classes_forget_points(&s->c.sides[d]);
		peers_forget_slots(&s->c.sides[d]);
	}
	return true;
}

static void
end(struct compile_state *s)
{
	compiler_fini(&s->c);
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
	arena_free(state->options_arena);
	free(state);
}

/* ---- an update ---- */

/* A class that gained or lost an address, and what it had before. */
struct touched_class {
	uint32_t node;
	enum direction dir;
	bool before[FAMILY_COUNT];
};

struct update {
	struct compile_state *s;
	const struct model *model;
	struct arena *arena;
	struct compile_delta *delta;
	uint32_t *dirty; /* places of held addresses */
	size_t dirty_count, dirty_cap;
	struct touched_class *classes;
	size_t class_count, class_cap;
	struct element_list removed[SET_COUNT], added[SET_COUNT];
	bool anew;
	bool applied; /* the state is no longer what it was */
};

static void
list_add(struct element_list *list, const struct table_element *e)
{
	if (list->count == list->cap) {
		list->cap = list->cap == 0 ? 16 : 2 * list->cap;
		list->items =
		    xreallocarray(list->items, list->cap, sizeof(*list->items));
	}
	list->items[list->count++] = *e;
}

/* ---- which addresses to look at ---- */

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

static void
touch_workload(struct update *u, const struct workload *w)
{
	if (w == NULL)
		return;
	if (compiler_is_local(&u->s->c, w) || publish_depends_on(w) ||
	    leave_serves(&u->s->c, w))
		u->anew = true;
	for (size_t i = 0; i < w->ip_count; i++) {
		u->anew |= routes_speak_of(u->model, &w->ips[i]);
		touch(u, &w->ips[i]);
	}
}

/* Whoever had an address or has it now may be reached by another set of rules. */
static void
touch_owners(struct update *u)
{
	size_t count = u->dirty_count;

	for (size_t i = 0; i < count && !u->anew; i++) {
		const struct held *h = &u->s->held.items[u->dirty[i]];
		struct ip_addr addr = held_addr(h);

		/* What this touches may be held elsewhere afterwards. */
		touch_workload(u, held_owner(h));
		touch_workload(u, place_of(u->model, &addr).workload);
	}
}

/* Workloads are sorted by what is displayed, which begins with their namespace. */
static void
touch_displayed(struct update *u, struct str prefix, const struct kube_ns *kube,
    const struct ns *ns)
{
	const struct model *m = u->model;
	size_t lo = 0, hi = m->workload_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (str_cmp(m->workloads[mid]->display, prefix) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < m->workload_count && !u->anew &&
	       str_starts(m->workloads[lo]->display, prefix);
	     lo++) {
		const struct workload *w = m->workloads[lo];

		if (kube != NULL ? place_same_kube(w->kube, kube)
				 : w->kube == NULL && str_eq(w->ns->path, ns->path))
			touch_workload(u, w);
	}
}

static void
touch_kube(struct update *u, const struct kube_ns *kube)
{
	bool cluster = kube->cluster.len != 0;

	touch_displayed(u,
	    STR_CONCAT(u->arena, kube->cluster, cluster ? STR("/") : STR(""),
		kube->name, STR("/")),
	    kube, NULL);
}

static void
touch_ns(struct update *u, const struct ns *ns)
{
	touch_displayed(u,
	    STR_CONCAT(u->arena, ns->path, ns->depth > 0 ? STR("/") : STR("")), NULL,
	    ns);
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

static void
see_change(struct update *u, const struct compile_change *change)
{
	switch (change->kind) {
	case CHANGE_WORKLOAD:
		touch_workload(u, change->workload_before);
		touch_workload(u, change->workload_after);
		break;
	case CHANGE_KUBE_LABELS:
		touch_kube(u, change->kube);
		break;
	case CHANGE_NS_LABELS:
		touch_ns(u, change->ns);
		break;
	case CHANGE_POLICY:
		u->anew |= governs_local(&u->s->c, change->policy_before) ||
			   governs_local(&u->s->c, change->policy_after);
		break;
	case CHANGE_OTHER:
		u->anew = true;
		break;
	}
}

/* ---- what becomes of an address ---- */

/* Remembers what a class had before it is changed. */
static struct class_info *
touch_class(struct update *u, enum direction dir, uint32_t node)
{
	struct class_info *class = classes_of_node(&u->s->c.sides[dir], node);

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

/* The element that lists an address; false if none does. */
static bool
peer_element(const struct compile_state *s, const struct held *h, enum direction dir,
    struct table_element *out)
{
	const struct side *side = &s->c.sides[dir];
	struct ip_addr addr = held_addr(h);
	unsigned family = family_index(addr.family);
	uint32_t around = classes_around(side, family, addr_to_num(&addr));

	if (h->node[dir] == around)
		return false;
	*out = classes_element(side, h->node[dir]);
	memcpy(out->addr, addr.bytes, ip_bytes(addr.family));
	return true;
}

static void
move_address(struct update *u, struct held *h, enum direction dir, bool existed,
    const struct place *p)
{
	enum table_set_id set = peer_set_id(p->family, dir);
	struct side *side = &u->s->c.sides[dir];
	uint32_t node = p->exists ? place_node(side, u->model, p) : 0;
	struct table_element e;

	if (existed == p->exists && node == h->node[dir])
		return;
	if (existed && peer_element(u->s, h, dir, &e))
		list_add(&u->removed[set], &e);
	if (existed && h->node[dir] != 0)
		touch_class(u, dir, h->node[dir])->uses[p->family]--;
	h->node[dir] = node;
	if (node != 0)
		touch_class(u, dir, node)->uses[p->family]++;
	if (p->exists && peer_element(u->s, h, dir, &e))
		list_add(&u->added[set], &e);
}

/* An address that was held but belongs to nobody any more is let go. */
static void
look_at(struct update *u, uint32_t place)
{
	struct held *h = &u->s->held.items[place]; /* nothing is added meanwhile */
	struct ip_addr addr = held_addr(h);
	bool existed = h->exists;
	struct place p = place_of(u->model, &addr);
	struct table_element e = {0};

	h->touched = false;
	for (unsigned d = 0; d < DIRECTION_COUNT; d++)
		move_address(u, h, (enum direction)d, existed, &p);
	held_own(h, p.workload, p.ip);
	h->exists = p.exists;
	memcpy(e.addr, addr.bytes, ip_bytes(addr.family));
	if (existed != p.exists && in_gate(u->s, &addr))
		list_add(p.exists ? &u->added[known_set_id(p.family)]
				  : &u->removed[known_set_id(p.family)],
		    &e);
	if (existed != p.exists && u->s->inside)
		list_add(p.exists ? &u->added[inside_set_id(p.family)]
				  : &u->removed[inside_set_id(p.family)],
		    &e);
	if (p.exists)
		return;
	held_remove(&u->s->held, place);
}

/* ---- what becomes of the cells ---- */

/* Emits the cells of classes that came (or went), into lists of the update. */
static void
emit_flips(struct update *u, bool came, struct element_list lists[SET_COUNT])
{
	struct compiler *c = &u->s->c;

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
	for (size_t i = 0; i < SET_COUNT; i++) {
		for (size_t j = 0; j < c->lists[i].count; j++)
			list_add(&lists[i], &c->lists[i].items[j]);
		c->lists[i].count = 0;
	}
	c->retracting = false;
}

/* kept - removed + added; all sorted. */
static void
merge_kept(struct element_list *kept, const struct element_list *removed,
    const struct element_list *added)
{
	struct element_list merged = {0};
	size_t gone = 0, new = 0;

	merged.cap = kept->count + added->count;
	merged.items = xcalloc(merged.cap, sizeof(*merged.items));
	for (size_t i = 0; i <= kept->count; i++) {
		while (new < added->count &&
		       (i == kept->count ||
			   table_element_cmp(&added->items[new], &kept->items[i]) < 0))
			merged.items[merged.count++] = added->items[new ++];
		if (i == kept->count)
			break;
		if (gone < removed->count &&
		    table_element_cmp(&removed->items[gone], &kept->items[i]) == 0)
			gone++;
		else
			merged.items[merged.count++] = kept->items[i];
	}
	free(kept->items);
	*kept = merged;
}

/* ---- numbers ---- */

static void
tell_chains(struct update *u)
{
	struct compiler *c = &u->s->c;
	struct compile_delta *delta = u->delta;

	delta->chains_added =
	    ARENA_ARRAY(u->arena, c->number_count, struct table_rule_chain);
	delta->chains_removed = ARENA_ARRAY(u->arena, c->number_count, uint32_t);
	for (size_t i = 0; i < c->number_count; i++) {
		struct verdict_number *n = &c->numbers[i];
		struct table_element e = {.class_id = n->number, .value = n->number};

		if (n->in_force == (n->uses != 0))
			continue;
		n->in_force = n->uses != 0;
		if (n->in_force) {
			struct table_rule_chain chain = chains_one(u->arena, n);

			e.loc = chain.loc;
			delta->chains_added[delta->chain_added_count++] = chain;
			list_add(&u->added[SET_RULES], &e);
		} else {
			delta->chains_removed[delta->chain_removed_count++] = n->number;
			list_add(&u->removed[SET_RULES], &e);
		}
	}
}

/* ---- all of it ---- */

static struct table_element *
give(struct arena *arena, const struct element_list *list)
{
	struct table_element *copy =
	    ARENA_ARRAY(arena, list->count, struct table_element);

	if (list->count != 0)
		memcpy(copy, list->items, list->count * sizeof(*copy));
	return copy;
}

static void
finish_lists(struct update *u)
{
	struct compile_delta *delta = u->delta;

	for (unsigned i = 0; i < SET_COUNT; i++) {
		element_list_sort(&u->removed[i]);
		element_list_sort(&u->added[i]);
		if (u->removed[i].count + u->added[i].count == 0)
			continue;
		if (!is_from_held((enum table_set_id)i) && i != SET_RULES)
			merge_kept(&u->s->kept[i], &u->removed[i], &u->added[i]);
		u->s->listed[i] += u->added[i].count - u->removed[i].count;
		delta->removed_count[i] = u->removed[i].count;
		delta->added_count[i] = u->added[i].count;
		delta->removed[i] = give(u->arena, &u->removed[i]);
		delta->added[i] = give(u->arena, &u->added[i]);
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
		const struct classes *classes = s->c.sides[d].classes;

		if (classes->collided ||
		    classes->count > s->fresh_nodes[d] + STALE_NODES)
			return true;
	}
	return elements > LIMIT_PROGRAM_ELEMENTS || s->c.failed;
}

static void
apply(struct update *u)
{
	touch_owners(u);
	if (u->anew)
		return;
	u->applied = true;
	for (size_t i = 0; i < u->dirty_count; i++)
		look_at(u, u->dirty[i]);
	emit_flips(u, false, u->removed);
	emit_flips(u, true, u->added);
	if (u->class_count != 0)
		tell_chains(u);
	finish_lists(u);
	u->anew = needs_anew(u->s);
}

static void
update_fini(struct update *u)
{
	for (size_t i = 0; i < SET_COUNT; i++) {
		free(u->removed[i].items);
		free(u->added[i].items);
	}
	free(u->dirty);
	free(u->classes);
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
	state->c.model = model;
	state->c.diags = diags;
	u.anew = needs_anew(state);
	for (size_t i = 0; i < count && !u.anew; i++)
		see_change(&u, &changes[i]);
	if (!u.anew)
		apply(&u);
	update_fini(&u);
	if (u.anew)
		*out_delta = (struct compile_delta){.anew = true, .gone = u.applied};
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

/* ---- the whole content ---- */

static void
list_held(const struct compile_state *s, struct element_list lists[SET_COUNT])
{
	for (uint32_t i = 0; i < s->held.count; i++) {
		const struct held *h = &s->held.items[i];
		struct table_element e;
		struct ip_addr addr;
		unsigned family;

		if (!h->exists)
			continue; /* free, or touched by an update that went no further */
		addr = held_addr(h);
		family = family_index(addr.family);
		for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
			if (peer_element(s, h, (enum direction)d, &e))
				list_add(
				    &lists[peer_set_id(family, (enum direction)d)], &e);
		}
		e = (struct table_element){0};
		memcpy(e.addr, addr.bytes, ip_bytes(addr.family));
		if (in_gate(s, &addr))
			list_add(&lists[known_set_id(family)], &e);
		if (s->inside)
			list_add(&lists[inside_set_id(family)], &e);
	}
}

void
compile_state_content(const struct compile_state *state, struct arena *arena,
    struct table_content *out_content)
{
	struct element_list lists[SET_COUNT] = {0};

	*out_content = (struct table_content){.settings = state->options.settings};
	list_held(state, lists);
	for (unsigned i = 0; i < SET_COUNT; i++) {
		struct element_list list = state->kept[i];

		if (is_from_held((enum table_set_id)i)) {
			element_list_sort(&lists[i]);
			list = lists[i];
		}
		element_list_give(arena, &list, out_content, (enum table_set_id)i);
		free(lists[i].items);
	}
	chains_build(&state->c, arena, out_content);
	ways_give(&state->c, arena, out_content);
}

void
compile_state_chains(const struct compile_state *state, struct arena *arena,
    struct table_rule_chain **out_chains, size_t *out_count)
{
	struct table_content content = {.rule_chains = NULL};

	chains_build(&state->c, arena, &content);
	*out_chains = content.rule_chains;
	*out_count = content.rule_chain_count;
}

/* ---- questions ---- */

void
compile_state_counts(const struct compile_state *state, size_t out[SET_COUNT])
{
	memcpy(out, state->listed, sizeof(state->listed));
	out[SET_RULES] = 0;
	for (size_t i = 0; i < state->c.number_count; i++)
		out[SET_RULES] += state->c.numbers[i].uses != 0;
}

static bool
find_rule(const struct compile_state *s, uint32_t number, struct table_element *out)
{
	size_t lo = 0, hi = s->c.number_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->c.numbers[mid].number < number)
			lo = mid + 1;
		else
			hi = mid;
	}
	*out = (struct table_element){.class_id = number, .value = number};
	return lo < s->c.number_count && s->c.numbers[lo].number == number &&
	       s->c.numbers[lo].uses != 0;
}

static bool
find_held(const struct compile_state *s, enum table_set_id set,
    const struct table_element *key, struct table_element *out)
{
	bool six = table_sets[set].key[0] == FIELD_IPV6;
	struct ip_addr addr = {.family = six ? IP_V6 : IP_V4};
	const struct held *h;
	uint32_t place;

	memcpy(addr.bytes, key->addr, ip_bytes(addr.family));
	place = held_find(&s->held, &addr);
	h = place != NONE ? &s->held.items[place] : NULL;
	if (h == NULL || !h->exists)
		return false;
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		if (set == peer_set_id(six, (enum direction)d))
			return peer_element(s, h, (enum direction)d, out);
	}
	*out = (struct table_element){0};
	memcpy(out->addr, addr.bytes, ip_bytes(addr.family));
	return set == inside_set_id(six) ? s->inside : in_gate(s, &addr);
}

bool
compile_state_find(const struct compile_state *s, enum table_set_id set,
    const struct table_element *key, struct table_element *out)
{
	struct table_content content = {.settings = s->options.settings};
	const struct table_element *e;

	if (set == SET_RULES)
		return find_rule(s, key->class_id, out);
	if (is_from_held(set))
		return find_held(s, set, key, out);
	content.elements[set] = s->kept[set].items;
	content.element_count[set] = s->kept[set].count;
	e = table_find(&content, set, key);
	if (e != NULL)
		*out = *e;
	return e != NULL;
}

void
compile_state_set(const struct compile_state *s, enum table_set_id set,
    struct arena *arena, struct table_element **out_elements, size_t *out_count)
{
	struct element_list lists[SET_COUNT] = {0};
	const struct element_list *list = &s->kept[set];

	if (is_from_held(set)) {
		list_held(s, lists);
		element_list_sort(&lists[set]);
		list = &lists[set];
	}
	*out_elements = give(arena, list);
	*out_count = list->count;
	for (size_t i = 0; i < SET_COUNT; i++)
		free(lists[i].items);
}

void
compile_state_ways(const struct compile_state *s, struct arena *arena,
    const struct table_way **out_ways, size_t *out_count)
{
	struct table_content content = {.ways = NULL};

	ways_give(&s->c, arena, &content);
	*out_ways = content.ways;
	*out_count = content.way_count;
}
