/*
 * Via: what connections between workloads go through. The rules of Routes as rules of
 * policy, as for egress (compile_leave.c), but each is a policy of its own, because each
 * has its own `from`; and for clients of every node, because the nodes of the client, of
 * the server, and of what is between them must send a connection through the same one. So
 * what is picked, by which hash, follows from addresses alone.
 */
#include "policy-lang/compile/compile_via.h"

#include <roaring/roaring.h>
#include <stdlib.h>
#include <string.h>

struct via_policy {
	struct policy policy; /* the first: via_takes */
	const struct route_rule *rule;
};

struct via {
	struct routes *r;
	struct via_kept *kept;
	struct arena *arena;             /* until all is compiled */
	struct policy_list *lists;       /* by namespace */
	const struct universe *universe; /* of all that via depends on */
	struct label_index *labels;      /* of slots: who may be gone through */
};

/* ---- routes as policies ---- */

static size_t
count_rules(const struct model *m)
{
	size_t count = 0;

	for (size_t i = 0; i < m->route_count; i++)
		count += routes_rule_count(m->routes[i], ROUTE_VIA);
	return count;
}

bool
via_is_ruled(const struct model *m)
{
	return count_rules(m) != 0;
}

static const struct workload_match *
not_for(const struct route_rule *rule)
{
	return rule->action == ROUTE_APPLY ? &rule->through : NULL;
}

/* To workloads alone: where none is named, to any. */
static void
set_peers(struct via *v, const struct route_rule *from, struct rule *to)
{
	size_t count = from->to_count != 0 ? from->to_count : 1;
	struct peer *peers = ARENA_ARRAY(v->arena, count, struct peer);

	peers[0] = (struct peer){.kind = PEER_WORKLOADS, .loc = from->loc};
	for (size_t i = 0; i < from->to_count; i++)
		peers[i] = from->to[i];
	for (size_t i = 0; i < count; i++)
		peers[i].but = not_for(from);
	to->peers = peers;
	to->peer_count = count;
}

static struct policy *
policy_of(
    struct via *v, const struct route_policy *route, const struct route_rule *from)
{
	struct via_policy *p = ARENA_NEW(v->arena, struct via_policy);
	struct rule *rule = ARENA_NEW(v->arena, struct rule);
	struct rule_list list = {rule, 1};

	*rule = routes_rule(from, &p->policy);
	set_peers(v, from, rule);
	p->rule = from;
	p->policy = routes_policy(route);
	if (from->phase == PHASE_MANDATORY)
		p->policy.mandatory[DIR_EGRESS] = list;
	else
		p->policy.defaults[DIR_EGRESS] = list;
	v->kept->rules[v->kept->rule_count++] =
	    (struct via_rule){.number = from->number, .rule = from};
	return &p->policy;
}

int
via_rule_cmp(const void *a, const void *b)
{
	const struct via_rule *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

/* Those of a level are together, in the order in which they are asked. */
static void
make_policies(struct via *v)
{
	const struct model *m = v->r->c->model;
	size_t all = count_rules(m), count = 0;
	struct policy **policies = ARENA_ARRAY(v->arena, all, struct policy *);

	v->kept->rules = ARENA_ARRAY(v->kept->arena, all, struct via_rule);
	v->lists = ARENA_ARRAY(v->arena, m->ns_count, struct policy_list);
	for (size_t i = 0; i < m->route_count; i++) {
		const struct route_policy *route = m->routes[i];
		const struct route_list *parts[] = {
		    &route->mandatory[ROUTE_VIA], &route->defaults[ROUTE_VIA]};
		struct policy_list *list = &v->lists[route->level->index];

		for (size_t j = 0; j < ARRAY_LEN(parts); j++) {
			for (size_t k = 0; k < parts[j]->count; k++) {
				if (list->count++ == 0)
					list->items = &policies[count];
				policies[count++] =
				    policy_of(v, route, &parts[j]->rules[k]);
			}
		}
	}
	qsort(
	    v->kept->rules, v->kept->rule_count, sizeof(*v->kept->rules), via_rule_cmp);
}

static bool
some_peer_takes(const struct peer *peers, size_t count, const struct workload *w)
{
	for (size_t i = 0; i < count; i++) {
		if (place_match_takes(&peers[i].workloads, w))
			return true;
	}
	return count == 0; /* none is named */
}

/* What a connection goes through begins none of those that the rule speaks of. */
static bool
via_takes(const struct policy *policy, const struct workload *w)
{
	const struct route_rule *rule = ((const struct via_policy *)policy)->rule;

	return some_peer_takes(rule->from, rule->from_count, w) &&
	       (rule->action != ROUTE_APPLY || !place_match_takes(&rule->through, w));
}

static const struct peer *
via_begins(const struct policy *policy, size_t *out_count)
{
	const struct route_rule *rule = ((const struct via_policy *)policy)->rule;

	*out_count = rule->from_count;
	return rule->from;
}

/* Every client is every node's. */
static bool
via_serves(const struct compiler *c, const struct workload *w)
{
	(void)c;
	return !w->is_template && !w->host_network;
}

static bool
list_depends_on(const struct route_list *list, const struct route_policy *route,
    const struct workload *w)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct route_rule *rule = &list->rules[i];

		if (place_match_takes(&route->subject, w) ||
		    some_peer_takes(rule->to, rule->to_count, w) ||
		    (rule->action == ROUTE_APPLY &&
			place_match_takes(&rule->through, w)))
			return true;
	}
	return false;
}

bool
via_depends_on(const struct model *m, const struct workload *w)
{
	for (size_t i = 0; i < m->route_count; i++) {
		const struct route_policy *route = m->routes[i];

		if (list_depends_on(&route->mandatory[ROUTE_VIA], route, w) ||
		    list_depends_on(&route->defaults[ROUTE_VIA], route, w))
			return true;
	}
	return false;
}

/* ---- what is gone through ---- */

static struct label_set
slot_labels(const void *ctx, uint32_t item)
{
	return ((const struct universe *)ctx)->slots[item]->shape->labels;
}

struct through_list {
	const struct workload **items;
	size_t count, cap;
};

static void
add_through(
    struct through_list *list, const struct route_rule *rule, const struct workload *w)
{
	if (w->not_ready || w->is_template || w->host_network ||
	    !place_match_takes(&rule->through, w))
		return;
	if (list->count == list->cap) {
		list->cap = list->cap == 0 ? 16 : 2 * list->cap;
		list->items =
		    xreallocarray(list->items, list->cap, sizeof(*list->items));
	}
	list->items[list->count++] = w;
}

/* Only those of the subtree that have the labels are looked at. */
static void
find_through(struct via *v, struct via_rule *rule)
{
	const struct universe *u = v->universe;
	const struct workload_match *match = &rule->rule->through;
	const roaring_bitmap_t *labels;
	struct through_list list = {0};
	uint32_t first = 0, end = u->slot_count;
	roaring_uint32_iterator_t it;

	if (match->subtree != NULL) {
		first = u->ns_first[match->subtree->index];
		end = u->ns_end[match->subtree->index];
	}
	labels = label_index_select(v->labels, match->selector);
	if (labels == NULL) {
		for (uint32_t i = first; i < end; i++)
			add_through(&list, rule->rule, u->slots[i]);
	} else {
		roaring_init_iterator(labels, &it);
		(void)roaring_move_uint32_iterator_equalorlarger(&it, first);
		for (; it.has_value && it.current_value < end;
		     (void)roaring_advance_uint32_iterator(&it))
			add_through(&list, rule->rule, u->slots[it.current_value]);
	}
	rule->through_count = list.count;
	rule->through =
	    ARENA_ARRAY(v->kept->arena, list.count, const struct workload *);
	if (list.count != 0)
		memcpy(rule->through, list.items, list.count * sizeof(*list.items));
	free(list.items);
}

static void
find_all_through(struct via *v)
{
	const struct universe *u = v->universe;
	struct via_kept *kept = v->kept;

	v->labels = label_index_new(u->slot_count, slot_labels, u);
	for (size_t i = 0; i < kept->rule_count; i++)
		label_index_want(v->labels, kept->rules[i].rule->through.selector);
	label_index_fill(v->labels);
	for (size_t i = 0; i < kept->rule_count; i++) {
		if (kept->rules[i].rule->action == ROUTE_APPLY)
			find_through(v, &kept->rules[i]);
	}
	label_index_free(v->labels);
}

/* ---- all of it ---- */

/* What lists clients and servers; these elements say nothing of rules. */
static const struct leave_move via_lists[] = {
    {SET_LOCAL4_OUT, SET_VIA_LOCAL4, false},
    {SET_PEER4_OUT, SET_VIA_PEER4, false},
};

const struct leave_move via_moves[VIA_CELLS] = {
    {SET_CELL4_OUT, SET_VIA_CELL4_OUT, true},
    {SET_CELL4_OUT_RANGE, SET_VIA_CELL4_OUT_RANGE, true},
    {SET_CELL4_OUT_ANY, SET_VIA_CELL4_OUT_ANY, true},
    {SET_CELL4_OUT_REST, SET_VIA_CELL4_OUT_REST, true},
};

bool
via_is_listed(enum table_set_id set)
{
	return set >= SET_VIA_LOCAL4 && set <= SET_VIA_PEER6;
}

static void
emit_lists(struct compiler *c, const struct compiler *from)
{
	for (size_t i = 0; i < ARRAY_LEN(via_lists) * FAMILY_COUNT; i++) {
		const struct leave_move *move = &via_lists[i / FAMILY_COUNT];
		unsigned f = i % FAMILY_COUNT;
		const struct element_list *list = &from->lists[move->from + f];

		for (size_t j = 0; j < list->count && !c->failed; j++)
			emit(c, (enum table_set_id)(move->to + f), &list->items[j]);
	}
}

static void
take_cells(struct via_kept *kept, struct compiler *from)
{
	for (size_t i = 0; i < VIA_CELLS; i++) {
		for (unsigned f = 0; f < FAMILY_COUNT; f++) {
			struct element_list *list = &from->lists[via_moves[i].from + f];

			kept->cells[i][f] = *list;
			*list = (struct element_list){0};
		}
	}
}

static struct via_kept *
kept_new(void)
{
	struct via_kept *kept = xcalloc(1, sizeof(*kept));

	kept->arena = arena_new();
	diag_list_init(&kept->told, kept->arena);
	return kept;
}

void
via_free(struct via_kept *kept)
{
	if (kept == NULL)
		return;
	for (size_t i = 0; i < VIA_CELLS; i++) {
		for (unsigned f = 0; f < FAMILY_COUNT; f++)
			free(kept->cells[i][f].items);
	}
	arena_free(kept->arena);
	free(kept);
}

static struct via_kept *
make(struct routes *r)
{
	struct leave_kept *sub = leave_new(r);
	struct via v = {.r = r, .kept = kept_new(), .arena = sub->arena};

	make_policies(&v);
	sub->c.diags = &v.kept->told;
	sub->c.policies = v.lists;
	sub->c.serves = via_serves;
	sub->c.takes = via_takes;
	sub->c.begins = via_begins;
	sub->c.routed = r->c->via_about;
	compiler_run(&sub->c);
	sub->c.routed = NULL;
	r->c->failed |= sub->c.failed;
	v.kept->collided = sub->c.sides[DIR_EGRESS].classes->collided;
	v.universe = &sub->c.universe;
	find_all_through(&v);
	emit_lists(r->c, &sub->c);
	take_cells(v.kept, &sub->c);
	leave_free(sub);
	return v.kept;
}

void
via_build(struct routes *r)
{
	struct compiler *c = r->c;
	struct via_kept *kept = c->via;

	if (!via_is_ruled(c->model))
		return;
	if (kept == NULL)
		kept = make(r);
	for (const struct diag *d = kept->told.first; d != NULL; d = d->next)
		tell_again(c->diags, d);
	via_lead(r, kept);
	if (c->lists[SET_VIA_KEPT].count != 0) {
		(void)chains_use(c, NUMBER_VIA_TRANSLATED);
		(void)chains_use(c, NUMBER_VIA_POSED);
	}
	if (c->keeps_routes)
		c->via = kept;
	else
		via_free(kept);
}

bool
via_needs_anew(const struct via_kept *kept)
{
	return kept->collided;
}
