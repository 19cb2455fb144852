/*
 * Egress. The rules of Routes, as rules of policy: what is done is allowed, what is not is
 * denied, and whatever a rule does is a verdict of its own, its number. To workloads and
 * nodes no route leads: the kernel asks for them first, so of peers only networks matter.
 */
#include "policy-lang/compile/compile_route.h"

#include <stdlib.h>
#include <string.h>

/* A rule that a number stands for. */
struct leaver {
	uint32_t number;
	const struct route_rule *rule;
	const struct ns *level;
};

struct leaving {
	struct routes *r;
	struct arena *arena;
	struct policy_list *lists; /* by namespace */
	struct leaver *leavers;    /* by number */
	size_t leaver_count, leaver_cap;
	bool serves;                      /* some workload of another node */
	struct map steered[FAMILY_COUNT]; /* addresses */
};

/* ---- routes as policies ---- */

/* Everywhere outside. */
static const struct ip_prefix everywhere[] = {
    {.addr = {.family = IP_V4}},
    {.addr = {.family = IP_V6}},
};

static void
set_peers(struct leaving *l, const struct route_rule *from, struct rule *to)
{
	size_t count = from->to_count != 0 ? from->to_count : 1;
	struct peer *peers = ARENA_ARRAY(l->arena, count, struct peer);

	peers[0] = (struct peer){
	    .kind = PEER_NETWORK,
	    .prefixes = everywhere,
	    .prefix_count = ARRAY_LEN(everywhere),
	    .loc = from->loc,
	};
	for (size_t i = 0; i < from->to_count; i++) {
		peers[i] = from->to[i];
		peers[i].by_address = false;
		peers[i].cluster = (struct str){0};
	}
	to->peers = peers;
	to->peer_count = count;
}

static void
add_leaver(struct leaving *l, const struct route_rule *rule, const struct ns *level)
{
	if (l->leaver_count == l->leaver_cap) {
		l->leaver_cap = l->leaver_cap == 0 ? 64 : 2 * l->leaver_cap;
		l->leavers =
		    xreallocarray(l->leavers, l->leaver_cap, sizeof(*l->leavers));
	}
	l->leavers[l->leaver_count++] = (struct leaver){rule->number, rule, level};
}

static struct rule
rule_of(struct leaving *l, const struct policy *policy, const struct route_rule *from)
{
	struct rule rule = routes_rule(from, policy);

	set_peers(l, from, &rule);
	add_leaver(l, from, policy->level);
	return rule;
}

static void
add_rules(struct leaving *l, const struct policy *policy, const struct route_list *from,
    struct rule_list *to)
{
	for (size_t i = 0; i < from->count; i++)
		to->rules[to->count++] = rule_of(l, policy, &from->rules[i]);
}

static struct policy *
policy_of(struct leaving *l, const struct route_policy *route)
{
	const struct route_list *mandatory = &route->mandatory[ROUTE_EGRESS];
	const struct route_list *defaults = &route->defaults[ROUTE_EGRESS];
	struct policy *p = ARENA_NEW(l->arena, struct policy);
	struct rule_list *first = &p->mandatory[DIR_EGRESS];
	struct rule_list *last = &p->defaults[DIR_EGRESS];

	*p = routes_policy(route);
	first->rules = ARENA_ARRAY(l->arena, mandatory->count, struct rule);
	add_rules(l, p, mandatory, first);
	last->rules = ARENA_ARRAY(l->arena, defaults->count, struct rule);
	add_rules(l, p, defaults, last);
	return p;
}

static int
leaver_cmp(const void *a, const void *b)
{
	const struct leaver *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

/* False: no Route says how anything leaves. */
static bool
make_policies(struct leaving *l)
{
	const struct model *m = l->r->c->model;
	struct policy **all = ARENA_ARRAY(l->arena, m->route_count, struct policy *);
	size_t count = 0;

	l->lists = ARENA_ARRAY(l->arena, m->ns_count, struct policy_list);
	for (size_t i = 0; i < m->route_count; i++) {
		const struct route_policy *route = m->routes[i];
		struct policy_list *list = &l->lists[route->level->index];

		if (routes_rule_count(route, ROUTE_EGRESS) == 0)
			continue;
		all[count] = policy_of(l, route);
		if (list->count++ == 0)
			list->items = &all[count]; /* those of a level are together */
		count++;
	}
	if (l->leaver_count > 1)
		qsort(l->leavers, l->leaver_count, sizeof(*l->leavers), leaver_cmp);
	return count != 0;
}

/* ---- verdicts as ids ---- */

static const struct leaver *
leaver_of_number(const struct leaving *l, uint32_t number)
{
	struct leaver key = {.number = number};

	return l->leaver_count == 0 ? NULL
				    : bsearch(&key, l->leavers, l->leaver_count,
					  sizeof(key), leaver_cmp);
}

/* What a number stands for, in one family. */
struct leave {
	uint32_t id;
	bool steered;
};

static struct leave
make_leave(
    struct leaving *l, uint32_t number, unsigned family, bool remote, struct str key)
{
	const struct leaver *from = leaver_of_number(l, number);
	size_t ways = l->r->c->lists[SET_WAYS].count;
	struct leave leave = {.id = TABLE_ROUTE_DIRECT};

	if (from == NULL)
		return leave; /* no rule matches */
	leave.id = routes_new_id(l->r, key);
	routes_count(l->r, leave.id,
	    leave_follow(l->r, from->rule, from->level, family, remote, leave.id)
		? from->rule->number
		: from->rule->refuse_number);
	leave.steered = l->r->c->lists[SET_WAYS].count != ways;
	return leave;
}

static const struct leave *
leave_of(struct leaving *l, uint32_t number, unsigned family, bool remote)
{
	struct buf key = {0};
	struct leave *leave;

	buf_add_cstr(&key, remote ? "serve" : "leave");
	key_add_u32(&key, family);
	key_add_u32(&key, number);
	leave = map_get(&l->r->leaves, buf_str(&key));
	if (leave == NULL) {
		leave = ARENA_NEW(l->arena, struct leave);
		*leave = make_leave(l, number, family, remote, buf_str(&key));
		(void)map_set(
		    &l->r->leaves, str_dup(l->arena, buf_str(&key)), leave); /* new */
	}
	buf_free(&key);
	return leave;
}

/* ---- elements ---- */

const struct leave_move leave_moves[LEAVE_MOVES] = {
    {SET_LOCAL4_OUT, SET_ROUTE_LOCAL4_OUT, false},
    {SET_PEER4_OUT, SET_ROUTE_PEER4_OUT, false},
    {SET_PEER4_OUT_NET, SET_ROUTE_PEER4_OUT_NET, false},
    {SET_CELL4_OUT, SET_ROUTE_CELL4_OUT, true},
    {SET_CELL4_OUT_RANGE, SET_ROUTE_CELL4_OUT_RANGE, true},
    {SET_CELL4_OUT_ANY, SET_ROUTE_CELL4_OUT_ANY, true},
    {SET_CELL4_OUT_REST, SET_ROUTE_CELL4_OUT_REST, true},
};

/* Of single addresses only those outside are asked about. */
static bool
is_inside(const struct compiler *c, enum table_set_id from, unsigned family,
    const struct table_element *e)
{
	struct ip_addr addr = {.family = family_of(family)};

	if (from != SET_PEER4_OUT)
		return false;
	memcpy(addr.bytes, e->addr, ip_bytes(addr.family));
	return !place_of(c->model, &addr).outside;
}

/* Who asks for what policy names is there already. */
static void
move_askers(struct compiler *c, const struct compiler *from, enum table_set_id set)
{
	size_t before = c->lists[set].count;

	for (size_t i = 0; i < from->lists[set].count; i++) {
		const struct table_element *e = &from->lists[set].items[i];
		bool there = false;

		for (size_t j = 0; j < before && !there; j++)
			there = table_element_cmp(&c->lists[set].items[j], e) == 0;
		if (!there)
			emit(c, set, e);
	}
}

/* Whether the address here that the element is about is of another node's workload. */
static bool
is_remote(const struct leaving *l, unsigned family, const struct table_element *e)
{
	return l->serves && routes_is_remote(l->r, family, e);
}

/* Some of what leaves from the address goes a way of its own. Several rules may say so, in
 * no order: the place is the workload's. */
static void
steer(struct leaving *l, unsigned family, const struct table_element *cell)
{
	struct str key = {(const char *)cell->addr, ip_bytes(family_of(family))};
	const struct workload *w;
	struct table_element e = {0};

	if (map_get(&l->steered[family], key) != NULL)
		return;
	(void)map_set(&l->steered[family], str_dup(l->arena, key), l); /* new */
	w = routes_workload(l->r, family, cell);
	memcpy(e.addr, cell->addr, sizeof(e.addr));
	e.loc = w != NULL ? w->loc : cell->loc;
	emit(l->r->c, family == 0 ? SET_STEER4 : SET_STEER6, &e);
}

static void
move_element(
    struct leaving *l, size_t move, unsigned family, const struct table_element *from)
{
	struct table_element e = *from;

	if (is_inside(l->r->c, leave_moves[move].from, family, from))
		return;
	if (leave_moves[move].verdict) {
		const struct leave *leave =
		    leave_of(l, e.value, family, is_remote(l, family, from));

		e.value = leave->id;
		if (leave->steered)
			steer(l, family, from);
	}
	emit(l->r->c, (enum table_set_id)(leave_moves[move].to + family), &e);
}

/* Elements come in an order that hangs on which addresses are known. Ids, ways, and whose
 * place an end bears, must not: all that is needed is made first, by number. */
static void
make_leaves(struct leaving *l, const struct compiler *from)
{
	struct route_verdict *all;
	size_t count = 0;

	for (size_t i = 0; i < LEAVE_MOVES; i++) {
		for (unsigned f = 0; f < FAMILY_COUNT && leave_moves[i].verdict; f++)
			count += from->lists[leave_moves[i].from + f].count;
	}
	all = xcalloc(count + 1, sizeof(*all));
	count = 0;
	for (size_t i = 0; i < LEAVE_MOVES; i++) {
		for (unsigned f = 0; f < FAMILY_COUNT && leave_moves[i].verdict; f++) {
			const struct element_list *list =
			    &from->lists[leave_moves[i].from + f];

			for (size_t j = 0; j < list->count; j++)
				all[count++] =
				    (struct route_verdict){list->items[j].value, f,
					is_remote(l, f, &list->items[j])};
		}
	}
	count = routes_sort_verdicts(all, count);
	for (size_t i = 0; i < count; i++)
		(void)leave_of(l, all[i].number, all[i].family, all[i].remote);
	free(all);
}

static void
move_elements(struct leaving *l, const struct compiler *from)
{
	make_leaves(l, from);
	for (size_t i = 0; i < LEAVE_MOVES; i++) {
		for (unsigned f = 0; f < FAMILY_COUNT; f++) {
			const struct element_list *list =
			    &from->lists[leave_moves[i].from + f];

			for (size_t j = 0; j < list->count && !l->r->c->failed; j++)
				move_element(l, i, f, &list->items[j]);
		}
	}
}

static void
emit_inside(struct compiler *c)
{
	const struct universe *u = &c->universe;

	for (uint32_t i = 0; i < u->point_count; i++) {
		const struct point *p = &u->points[i];
		struct table_element e = {0};

		if (p->outside)
			continue;
		addr_num_bytes(p->addr, p->family, e.addr);
		emit(c, p->family == IP_V4 ? SET_INSIDE4 : SET_INSIDE6, &e);
	}
}

/* ---- what is kept ---- */

static bool
has_names(const struct compiler *sub)
{
	const struct side *side = &sub->sides[DIR_EGRESS];

	for (size_t i = 0; i < side->set_count; i++) {
		if (side->sets[i]->named)
			return true;
	}
	return false;
}

static int
leave_id_cmp(const void *a, const void *b)
{
	const struct leave_id *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

static void
add_id(struct leaving *l, struct leave_kept *leave, uint32_t number)
{
	struct leave_id *id = &leave->ids[leave->id_count++];

	id->number = number;
	for (unsigned f = 0; f < FAMILY_COUNT; f++)
		id->ids[f] = leave_of(l, number, f, false)->id;
}

/* Where a name decides, an address that becomes known may bring any rule that comes after:
 * all have their ids from the beginning, so that addresses change no more than themselves;
 * and in the order of the rules, which says whose place an end bears that several lead to. */
static void
make_ids(struct leaving *l, struct leave_kept *leave)
{
	const struct side *side = &leave->c.sides[DIR_EGRESS];

	leave->ids = ARENA_ARRAY(leave->arena, side->rule_count + 1, struct leave_id);
	add_id(l, leave, NUMBER_CLUSTER_ALLOW);
	for (size_t i = 0; i < side->rule_count; i++) {
		if (side->rules[i].reached)
			add_id(l, leave, side->rules[i].rule->number);
	}
	qsort(leave->ids, leave->id_count, sizeof(*leave->ids), leave_id_cmp);
}

void
leave_build(struct routes *r)
{
	struct compiler *c = r->c;
	struct leave_kept *leave = leave_new(r);
	struct leaving l = {.r = r, .arena = leave->arena};

	if (make_policies(&l)) {
		l.serves = leave_has_gateway(c);
		leave->c.policies = l.lists;
		if (l.serves)
			leave->c.serves = leave_serves;
		leave->c.routed = c->routed;
		compiler_run(&leave->c);
		leave->c.routed = NULL; /* it may be kept for longer */
		c->failed |= leave->c.failed;
		c->leaves_by_name = has_names(&leave->c);
		if (c->leaves_by_name)
			make_ids(&l, leave);
		move_elements(&l, &leave->c);
		move_askers(c, &leave->c, SET_ASKER4);
		move_askers(c, &leave->c, SET_ASKER6);
		/* Not where addresses may bring ways, or are others' as well. */
		if (c->leaves_by_name && c->keeps_routes && !l.serves &&
		    c->lists[SET_WAYS].count == 0)
			c->leave = leave;
		emit_inside(c);
	}
	if (c->leave == NULL)
		leave_free(leave);
	else
		leave_hold(leave);
	free(l.leavers);
	for (unsigned f = 0; f < FAMILY_COUNT; f++)
		map_fini(&l.steered[f]);
}
