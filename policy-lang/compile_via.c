/*
 * Via: what connections between workloads go through. The rules of Routes as rules of
 * policy, as for egress (compile_leave.c), but each is a policy of its own, because each
 * has its own `from`; and for clients of every node, because the nodes of the client, of
 * the server, and of what is between them must send a connection through the same one. So
 * what is picked, by which hash, follows from addresses alone.
 */
#include "policy-lang/compile_route.h"

#include <roaring/roaring.h>
#include <stdlib.h>
#include <string.h>

#include "policy-lang/route.h"

struct via_policy {
	struct policy policy; /* the first: via_takes */
	const struct route_rule *rule;
};

/* A rule that a number stands for. */
struct via_rule {
	uint32_t number;
	const struct route_rule *rule;
	/* That may be gone through: ready, sorted by nothing; once looked for. */
	const struct workload **through;
	size_t through_count;
	bool known;
};

struct via {
	struct routes *r;
	struct arena *arena;
	struct policy_list *lists; /* by namespace */
	struct via_rule *rules;    /* by number */
	size_t rule_count;
	struct label_index *labels; /* of slots: who may be gone through */
	struct map ids;             /* family, number, whose -> id */
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
	v->rules[v->rule_count++] =
	    (struct via_rule){.number = from->number, .rule = from};
	return &p->policy;
}

static int
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

	v->rules = ARENA_ARRAY(v->arena, all, struct via_rule);
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
	qsort(v->rules, v->rule_count, sizeof(*v->rules), via_rule_cmp);
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

/* Of one rule in one family. */
struct instance {
	const struct workload *workload;
	const struct ip_addr *addr;
	uint32_t end;
};

static struct label_set
slot_labels(const void *ctx, uint32_t item)
{
	return ((const struct universe *)ctx)->slots[item]->shape->labels;
}

static void
index_labels(struct via *v)
{
	const struct universe *u = v->r->universe;

	v->labels = label_index_new(u->slot_count, slot_labels, u);
	for (size_t i = 0; i < v->rule_count; i++)
		label_index_want(v->labels, v->rules[i].rule->through.selector);
	label_index_fill(v->labels);
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
	const struct universe *u = v->r->universe;
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
	rule->known = true;
	rule->through_count = list.count;
	rule->through = ARENA_ARRAY(v->arena, list.count, const struct workload *);
	if (list.count != 0)
		memcpy(rule->through, list.items, list.count * sizeof(*list.items));
	free(list.items);
}

static int
instance_cmp(const void *a, const void *b)
{
	const struct instance *x = a, *y = b;

	return memcmp(x->addr->bytes, y->addr->bytes, sizeof(x->addr->bytes));
}

/* In an order that is the same on every node. */
static struct instance *
list_instances(
    struct via *v, struct via_rule *rule, enum ip_family family, size_t *out_count)
{
	struct instance *list;

	if (!rule->known)
		find_through(v, rule);
	list = ARENA_ARRAY(v->arena, rule->through_count, struct instance);
	*out_count = 0;
	for (size_t i = 0; i < rule->through_count; i++) {
		const struct workload *w = rule->through[i];
		const struct ip_addr *addr = routes_address(w, family);

		if (addr != NULL)
			list[(*out_count)++] = (struct instance){w, addr, 0};
	}
	if (*out_count > 1)
		qsort(list, *out_count, sizeof(*list), instance_cmp);
	return list;
}

/* ---- where they are ---- */

/* NULL: packets get to it, as an end; else why not. */
static const char *
reach(struct via *v, struct instance *instance, enum ip_family family,
    const struct table_way **out_way)
{
	struct compiler *c = v->r->c;
	const struct workload *w = instance->workload;
	struct table_way way = {.loc = w->loc, .hop_count = 1};
	const struct node *node;

	if (compiler_is_local(c, w)) {
		way.kind = WAY_INSTANCE;
		way.hops = ways_hop_of(v->r, w);
	} else {
		node = model_node_of(c->model, w);
		if (node == NULL)
			return "the node of what it goes through is not known";
		way.kind = WAY_VIA;
		way.hops = ways_hops(v->r, &node, 1);
		if (way.hops[0].addr[family_index(family)].family != family)
			return "the node of what it goes through has no address of "
			       "the family";
	}
	*out_way = ways_find(v->r, &way);
	if (*out_way == NULL)
		return "there are more ways than the mark has numbers for";
	instance->end = ways_end(v->r, *out_way);
	return NULL;
}

static void
keep(struct via *v, uint32_t id, const struct table_way *way, uint32_t end,
    struct loc loc)
{
	const uint32_t mark =
	    table_way_mark(v->r->c->options->settings.steer_mask, way->number);
	struct table_element e = {.class_id = id, .value = end, .loc = loc};

	memcpy(e.addr, &mark, sizeof(mark));
	emit(v->r->c, SET_VIA_KEPT, &e);
}

static bool
is_first(const struct instance *list, size_t i)
{
	for (size_t j = 0; j < i; j++) {
		if (list[j].end == list[i].end)
			return false; /* on the same node */
	}
	return true;
}

/* NULL: what gets the id goes through one of them; else why not. */
static const char *
lead(struct via *v, struct via_rule *rule, enum ip_family family, uint32_t id)
{
	const struct table_way **ways;
	struct route_pick_end *ends;
	struct instance *list;
	const char *why = NULL;
	size_t count;

	if (v->r->c->options->way_count == 0)
		return "\"steering\" is not configured";
	if (v->r->c->options->settings.no_nat)
		return "the kernel picks nothing by hash";
	list = list_instances(v, rule, family, &count);
	if (count == 0)
		return "no workload that it goes through is ready";
	if (count > TABLE_SLOTS_FINE)
		return "it goes through more workloads than a node takes";
	ways = ARENA_ARRAY(v->arena, count, const struct table_way *);
	ends = ARENA_ARRAY(v->arena, count, struct route_pick_end);
	for (size_t i = 0; i < count && why == NULL; i++) {
		why = reach(v, &list[i], family, &ways[i]);
		ends[i] = (struct route_pick_end){
		    list[i].end, (uint32_t)map_siphash(UINT64_C(0x766961), 1,
				     (struct str){(const char *)list[i].addr->bytes,
					 ip_bytes(family)})};
	}
	if (why != NULL)
		return why;
	for (size_t i = 0; i < count; i++) {
		if (is_first(list, i))
			keep(v, id, ways[i], list[i].end, rule->rule->loc);
	}
	routes_spread(v->r, id, ends, count, rule->rule->loc);
	return NULL;
}

/* ---- verdicts as ids ---- */

static void
refuse(struct via *v, uint32_t id, uint32_t number)
{
	struct table_element e = {.class_id = id, .value = number};

	routes_count(v->r, id, number);
	e.loc = chains_use(v->r->c, number);
	emit(v->r->c, SET_VIA_REFUSED, &e);
}

/* Whoever wants it to go through something is not to find that it did not. */
static bool
follow(struct via *v, struct via_rule *rule, unsigned family, bool remote, uint32_t id)
{
	const struct route_rule *r = rule->rule;
	const char *why;

	if (r->action != ROUTE_APPLY)
		return true;
	why = lead(v, rule, family_of(family), id);
	if (why != NULL && !remote)
		diag_warn(v->r->c->diags, "not-followed", r->loc,
		    "what this route is for %s on node %.*s over IPv%u: %s",
		    r->direct_on_failure ? "goes directly" : "is denied",
		    STR_ARG(v->r->c->options->node), family == 0 ? 4u : 6u, why);
	return why == NULL || r->direct_on_failure;
}

static uint32_t
make_id(struct via *v, uint32_t number, unsigned family, bool remote, struct str key)
{
	struct via_rule wanted = {.number = number};
	struct via_rule *rule =
	    bsearch(&wanted, v->rules, v->rule_count, sizeof(wanted), via_rule_cmp);
	uint32_t id;

	if (rule == NULL)
		return TABLE_ROUTE_DIRECT; /* no rule matches */
	id = routes_new_id(v->r, key);
	if (!follow(v, rule, family, remote, id))
		refuse(v, id, rule->rule->refuse_number);
	else if (rule->rule->action == ROUTE_DENY)
		refuse(v, id, number);
	else if (!remote)
		routes_count(v->r, id, number); /* once: where it begins */
	return id;
}

static uint32_t
id_of(struct via *v, uint32_t number, unsigned family, bool remote)
{
	struct buf key = {0};
	uint32_t *id;

	buf_add_cstr(&key, remote ? "via" : "own via");
	key_add_u32(&key, family);
	key_add_u32(&key, number);
	id = map_get(&v->ids, buf_str(&key));
	if (id == NULL) {
		id = ARENA_NEW(v->arena, uint32_t);
		*id = make_id(v, number, family, remote, buf_str(&key));
		(void)map_set(&v->ids, str_dup(v->arena, buf_str(&key)), id); /* new */
	}
	buf_free(&key);
	return *id;
}

/* ---- elements ---- */

static const struct leave_move moves[] = {
    {SET_LOCAL4_OUT, SET_VIA_LOCAL4, false},
    {SET_PEER4_OUT, SET_VIA_PEER4, false},
    {SET_CELL4_OUT, SET_VIA_CELL4_OUT, true},
    {SET_CELL4_OUT_RANGE, SET_VIA_CELL4_OUT_RANGE, true},
    {SET_CELL4_OUT_ANY, SET_VIA_CELL4_OUT_ANY, true},
    {SET_CELL4_OUT_REST, SET_VIA_CELL4_OUT_REST, true},
};

static void
move_elements(struct via *v, const struct compiler *from)
{
	struct compiler *c = v->r->c;

	for (size_t i = 0; i < ARRAY_LEN(moves) * FAMILY_COUNT; i++) {
		const struct leave_move *move = &moves[i / FAMILY_COUNT];
		unsigned f = i % FAMILY_COUNT;
		const struct element_list *list = &from->lists[move->from + f];

		for (size_t j = 0; j < list->count && !c->failed; j++) {
			struct table_element e = list->items[j];

			if (move->verdict)
				e.value =
				    id_of(v, e.value, f, routes_is_remote(v->r, f, &e));
			emit(c, (enum table_set_id)(move->to + f), &e);
		}
	}
}

void
via_build(struct routes *r)
{
	struct leave_kept *sub;
	struct via v = {.r = r};

	if (!via_is_ruled(r->c->model))
		return;
	sub = leave_new(r);
	v.arena = sub->arena;
	make_policies(&v);
	sub->c.policies = v.lists;
	sub->c.serves = via_serves;
	sub->c.takes = via_takes;
	sub->c.begins = via_begins;
	compiler_run(&sub->c);
	r->c->failed |= sub->c.failed;
	index_labels(&v);
	move_elements(&v, &sub->c);
	label_index_free(v.labels);
	if (r->c->lists[SET_VIA_KEPT].count != 0) {
		(void)chains_use(r->c, NUMBER_VIA_TRANSLATED);
		(void)chains_use(r->c, NUMBER_VIA_POSED);
	}
	map_fini(&v.ids);
	leave_free(sub);
}
