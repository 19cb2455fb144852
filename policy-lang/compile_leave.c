/*
 * Egress. The rules of Routes, as rules of policy: what is done is allowed, what is not is
 * denied, and whatever a rule does is a verdict of its own, its number. To workloads and
 * nodes no route leads: the kernel asks for them first, so of peers only networks matter.
 */
#include "policy-lang/compile_route.h"

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
	struct route_end ends[ROUTE_POOL_MAX]; /* of the rule that is looked at */
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
	static const enum action actions[] = {
	    [ROUTE_APPLY] = ACTION_ALLOW,
	    [ROUTE_DIRECT] = ACTION_ALLOW,
	    [ROUTE_DENY] = ACTION_DENY,
	    [ROUTE_PASS] = ACTION_PASS,
	};
	struct rule rule = {
	    .name = from->name,
	    .index = from->index,
	    .phase = from->phase,
	    .dir = DIR_EGRESS,
	    .action = actions[from->action],
	    .any_port = from->port_count == 0,
	    .ports = from->ports,
	    .port_count = from->port_count,
	    .policy = policy,
	    .number = from->number,
	    .loc = from->loc,
	};

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

	p->kind = POLICY_NATIVE;
	p->name = route->name;
	p->namespace_text = route->namespace_text;
	p->cluster = STR("");
	p->level = route->level;
	p->priority = route->priority;
	p->subject = route->subject;
	p->loc = route->loc;
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

		if (route->mandatory[ROUTE_EGRESS].count +
			route->defaults[ROUTE_EGRESS].count ==
		    0)
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

/* All addresses of a family that the rule's sources have. False: too many. */
static bool
list_sources(const struct route_rule *rule, enum ip_family family,
    struct route_end *ends, size_t *out_count)
{
	*out_count = 0;
	for (size_t i = 0; i < rule->source_count; i++) {
		struct ip_addr addr, last;
		bool more = rule->sources[i].addr.family == family;

		ip_prefix_range(&rule->sources[i], &addr, &last);
		while (more) {
			if (*out_count == ROUTE_POOL_MAX)
				return false;
			ends[(*out_count)++] = (struct route_end){
			    .addr = addr, .weight = 1, .loc = rule->loc};
			more = !ip_eq(&addr, &last) && ip_next(&addr, &addr);
		}
	}
	return true;
}

/* What the kernel can be told here is an address to put on. NULL: it is enough; else why
 * it is not: where traffic would have to go another way than it does, it goes nowhere. */
static const char *
why_not(struct leaving *l, const struct route_rule *rule)
{
	const struct node *node = compiler_node(l->r->c);
	bool here = rule->gateway_count == 0 && rule->gateway_selector == NULL;

	for (size_t i = 0; i < rule->gateway_count && !here; i++)
		here = str_eq(rule->gateways[i], node->name);
	if (rule->gateway_selector != NULL)
		here = selector_matches(rule->gateway_selector, node->labels);
	if (!here)
		return "its gateway is another node";
	if (rule->next_hop_count != 0 || rule->table != 0)
		return "next hops and tables are not enforced";
	return NULL;
}

/* NULL: the id leads to the rule's sources; else why it does not. */
static const char *
lead_to_sources(
    struct leaving *l, const struct leaver *from, enum ip_family family, uint32_t id)
{
	const struct route_rule *rule = from->rule;
	size_t count;

	if (!list_sources(rule, family, l->ends, &count))
		return "it has more source addresses than a node takes";
	for (size_t i = 0; i < count; i++) {
		switch (routes_right(l->r, &l->ends[i].addr, from->level)) {
		case ROUTE_MAY:
			break;
		case ROUTE_ELSEWHERE:
			return "this node does not put on its source address";
		case ROUTE_OTHERS:
			return "its source address is for Routes of another subtree";
		}
		if (routes_inside(l->r->c->model, &l->ends[i].addr))
			return "its source address is a workload's or a node's";
	}
	return routes_lead(l->r, id, l->ends, count, PICK_HASH, rule->loc)
		   ? NULL
		   : "it has no source address of the family";
}

/* True if the rule is followed in the family; else what it decides is denied. */
static bool
follow(struct leaving *l, const struct leaver *from, unsigned family, uint32_t id)
{
	const struct route_rule *rule = from->rule;
	const char *why;

	if (rule->action != ROUTE_APPLY)
		return true;
	why = why_not(l, rule);
	if (why == NULL && rule->source_count != 0)
		why = lead_to_sources(l, from, family_of(family), id);
	if (why != NULL)
		diag_warn(l->r->c->diags, "not-followed", rule->loc,
		    "what this route is for is denied on node %.*s over IPv%u: %s",
		    STR_ARG(l->r->c->options->node), family == 0 ? 4u : 6u, why);
	return why == NULL;
}

static uint32_t
make_id(struct leaving *l, uint32_t number, unsigned family, struct str key)
{
	const struct leaver *from = leaver_of_number(l, number);
	uint32_t id;

	if (from == NULL)
		return TABLE_ROUTE_DIRECT; /* no rule matches */
	id = routes_new_id(l->r, key);
	routes_count(l->r, id,
	    follow(l, from, family, id) ? from->rule->number
					: from->rule->refuse_number);
	return id;
}

static uint32_t
id_of(struct leaving *l, uint32_t number, unsigned family)
{
	struct buf key = {0};
	uint32_t *id;

	buf_add_cstr(&key, "leave");
	key_add_u32(&key, family);
	key_add_u32(&key, number);
	id = map_get(&l->r->leaves, buf_str(&key));
	if (id == NULL) {
		id = ARENA_NEW(l->arena, uint32_t);
		*id = make_id(l, number, family, buf_str(&key));
		(void)map_set(
		    &l->r->leaves, str_dup(l->arena, buf_str(&key)), id); /* new */
	}
	buf_free(&key);
	return *id;
}

/* ---- elements ---- */

/* From a compiler's sets of egress, IPv4 first, to those of routes. */
static const struct {
	enum table_set_id from, to;
	bool verdict; /* its values are */
} moves[] = {
    {SET_LOCAL4_OUT, SET_ROUTE_LOCAL4_OUT, false},
    {SET_PEER4_OUT_NET, SET_ROUTE_PEER4_OUT_NET, false},
    {SET_CELL4_OUT, SET_ROUTE_CELL4_OUT, true},
    {SET_CELL4_OUT_RANGE, SET_ROUTE_CELL4_OUT_RANGE, true},
    {SET_CELL4_OUT_ANY, SET_ROUTE_CELL4_OUT_ANY, true},
    {SET_CELL4_OUT_REST, SET_ROUTE_CELL4_OUT_REST, true},
};

static void
move_elements(struct leaving *l, const struct compiler *from)
{
	struct compiler *c = l->r->c;

	for (size_t i = 0; i < ARRAY_LEN(moves); i++) {
		for (unsigned f = 0; f < FAMILY_COUNT; f++) {
			const struct element_list *list =
			    &from->lists[moves[i].from + f];

			for (size_t j = 0; j < list->count && !c->failed; j++) {
				struct table_element e = list->items[j];

				if (moves[i].verdict)
					e.value = id_of(l, e.value, f);
				emit(c, (enum table_set_id)(moves[i].to + f), &e);
			}
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

		addr_num_bytes(p->addr, p->family, e.addr);
		emit(c, p->family == IP_V4 ? SET_INSIDE4 : SET_INSIDE6, &e);
	}
}

bool
leave_is_ruled(const struct model *m)
{
	for (size_t i = 0; i < m->route_count; i++) {
		if (m->routes[i]->mandatory[ROUTE_EGRESS].count +
			m->routes[i]->defaults[ROUTE_EGRESS].count !=
		    0)
			return true;
	}
	return false;
}

void
leave_build(struct routes *r)
{
	struct compiler *c = r->c;
	struct leaving l = {.r = r, .arena = r->arena};
	struct model model = *c->model;
	const struct compile_options options = {
	    .node = c->options->node, .settings = c->options->settings};
	struct compiler sub = {
	    .model = &model,
	    .options = &options,
	    .diags = c->diags,
	};

	if (make_policies(&l)) {
		sub.scratch = arena_new();
		model.options.default_deny = false;
		model.options.nodes_unprotected = true;
		sub.policies = l.lists;
		compiler_run(&sub);
		c->failed |= sub.failed;
		move_elements(&l, &sub);
		compiler_fini(&sub);
		emit_inside(c);
	}
	free(l.leavers);
}
