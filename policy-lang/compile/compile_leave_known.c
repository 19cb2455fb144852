/*
 * Addresses that are known by name, and what routes lead to them: what becomes of single
 * ones, by what compiling egress has left. As compile_incremental.c does for policy; but of
 * addresses inside no route knows anything.
 */
#include "policy-lang/compile/compile_route.h"

#include <stdlib.h>
#include <string.h>

struct leave_known {
	uint32_t node; /* in the tree of classes */
	char key[MODEL_ADDRESS_KEY_BYTES];
};

/* A class that gained or lost an address, and what it had before. */
struct leave_touched {
	uint32_t node;
	bool before[FAMILY_COUNT];
};

static struct side *
side_of(struct leave_kept *leave)
{
	return &leave->c.sides[DIR_EGRESS];
}

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

/* ---- what is kept ---- */

void
leave_see_model(struct leave_kept *leave, const struct model *model)
{
	leave->model = *model;
	leave->model.options.default_deny = false;
	leave->model.options.nodes_unprotected = true;
	leave->c.model = &leave->model;
}

struct leave_kept *
leave_new(struct routes *r)
{
	struct leave_kept *leave = xcalloc(1, sizeof(*leave));
	struct compiler *c = r->c;

	leave->arena = arena_new();
	leave->options = (struct compile_options){
	    .node = c->options->node, .settings = c->options->settings};
	leave->c = (struct compiler){
	    .scratch = arena_new(), .options = &leave->options, .diags = c->diags};
	leave_see_model(leave, c->model);
	return leave;
}

/* ---- the addresses ---- */

static void
hold(struct leave_kept *leave, const struct ip_addr *addr, uint32_t node)
{
	struct leave_known *known = xcalloc(1, sizeof(*known));

	known->node = node;
	(void)map_set(
	    &leave->nodes, model_address_key(addr, known->key), known); /* new */
}

void
leave_hold(struct leave_kept *leave)
{
	struct universe *u = &leave->c.universe;

	for (uint32_t i = 0; i < u->outside_count; i++) {
		const struct point *p = &u->points[u->outside[i]];
		struct ip_addr addr = addr_of_num(p->addr, p->family);

		hold(
		    leave, &addr, classes_node_of_point(side_of(leave), u->outside[i]));
	}
	universe_fini(u);
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		classes_forget_points(&leave->c.sides[d]);
		peers_forget_slots(&leave->c.sides[d]);
	}
	for (size_t i = 0; i < SET_COUNT; i++) {
		free(leave->c.lists[i].items);
		leave->c.lists[i] = (struct element_list){0};
	}
}

void
leave_free(struct leave_kept *leave)
{
	if (leave == NULL)
		return;
	for (size_t i = 0; i < leave->nodes.len; i++)
		free(leave->nodes.entries[i].value);
	map_fini(&leave->nodes);
	free(leave->touched);
	compiler_fini(&leave->c);
	arena_free(leave->arena);
	free(leave);
}

/* ---- one of them ---- */

static void
change_uses(struct leave_kept *leave, uint32_t node, unsigned family, bool more)
{
	struct class_info *class = classes_of_node(side_of(leave), node);
	size_t i = 0;

	if (class == NULL)
		return;
	while (i < leave->touched_count && leave->touched[i].node != node)
		i++;
	if (i == leave->touched_cap) {
		leave->touched_cap = leave->touched_cap == 0 ? 8 : 2 * i;
		leave->touched = xreallocarray(
		    leave->touched, leave->touched_cap, sizeof(*leave->touched));
	}
	if (i == leave->touched_count)
		leave->touched[leave->touched_count++] = (struct leave_touched){
		    .node = node,
		    .before = {class->uses[0] != 0, class->uses[1] != 0},
		};
	class->uses[family] += more ? 1 : UINT32_MAX; /* which takes one away */
}

/* Lists the address in its class, unless the networks around it say the same. */
static void
list_address(struct leave_kept *leave, const struct ip_addr *addr, uint32_t node,
    struct element_list lists[SET_COUNT])
{
	unsigned family = family_index(addr->family);
	struct table_element e;

	if (node == classes_around(side_of(leave), family, addr_to_num(addr)))
		return;
	e = classes_element(side_of(leave), node);
	memcpy(e.addr, addr->bytes, ip_bytes(addr->family));
	list_add(&lists[SET_ROUTE_PEER4_OUT + family], &e);
}

void
leave_look_at(struct leave_kept *leave, const struct ip_addr *addr,
    const struct place *p, struct element_list removed[SET_COUNT],
    struct element_list added[SET_COUNT])
{
	char bytes[MODEL_ADDRESS_KEY_BYTES];
	struct str key = model_address_key(addr, bytes);
	struct leave_known *known = map_get(&leave->nodes, key);
	uint32_t node = 0;

	if (p->outside)
		node = place_node(side_of(leave), &leave->model, p, NULL);
	if (known == NULL && !p->outside)
		return;
	if (known != NULL && p->outside && known->node == node)
		return;
	if (known != NULL) {
		list_address(leave, addr, known->node, removed);
		change_uses(leave, known->node, p->family, false);
		(void)map_remove(&leave->nodes, key); /* was there */
		free(known);
	}
	if (!p->outside)
		return;
	change_uses(leave, node, p->family, true);
	list_address(leave, addr, node, added);
	hold(leave, addr, node);
}

/* ---- cells ---- */

static uint32_t
id_of(const struct leave_kept *leave, uint32_t number, unsigned family)
{
	size_t lo = 0, hi = leave->id_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (leave->ids[mid].number < number)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == leave->id_count || leave->ids[lo].number != number)
		base_die("compiler: a route without an id");
	return leave->ids[lo].ids[family];
}

/* What was emitted, as the sets of routes have it. */
static void
move_cells(struct leave_kept *leave, struct element_list lists[SET_COUNT])
{
	for (size_t i = 0; i < LEAVE_MOVES; i++) {
		for (unsigned f = 0; f < FAMILY_COUNT; f++) {
			struct element_list *from =
			    &leave->c.lists[leave_moves[i].from + f];

			for (size_t j = 0; j < from->count; j++) {
				struct table_element e = from->items[j];

				if (leave_moves[i].verdict)
					e.value = id_of(leave, e.value, f);
				list_add(&lists[leave_moves[i].to + f], &e);
			}
			from->count = 0;
		}
	}
}

static void
emit_flips(struct leave_kept *leave, bool came, struct element_list lists[SET_COUNT])
{
	leave->c.retracting = !came;
	leave->c.element_count = 0; /* what there is in all is counted at the end */
	for (size_t i = 0; i < leave->touched_count; i++) {
		const struct leave_touched *t = &leave->touched[i];
		const struct class_info *class =
		    classes_of_node(side_of(leave), t->node);
		bool flips[FAMILY_COUNT];

		for (unsigned f = 0; f < FAMILY_COUNT; f++)
			flips[f] =
			    t->before[f] != came && (class->uses[f] != 0) == came;
		if (flips[0] || flips[1])
			cells_emit_class(side_of(leave), class, flips);
	}
	move_cells(leave, lists);
	leave->c.retracting = false;
}

void
leave_settle(struct leave_kept *leave, struct element_list removed[SET_COUNT],
    struct element_list added[SET_COUNT])
{
	emit_flips(leave, false, removed);
	emit_flips(leave, true, added);
	leave->touched_count = 0;
}

bool
leave_needs_anew(const struct leave_kept *leave)
{
	return leave->c.sides[DIR_EGRESS].classes->collided || leave->c.failed;
}
