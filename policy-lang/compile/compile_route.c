#include "policy-lang/compile/compile_route.h"

#include <roaring/roaring.h>
#include <stdlib.h>
#include <string.h>

/* ---- ids ---- */

uint32_t
routes_new_id(struct routes *r, struct str identity)
{
	/* A fixed key, as of rules' numbers. The first is for what is not routed. */
	uint64_t hash = map_siphash(UINT64_C(0x726f757465), 1, identity);
	uint32_t n = (uint32_t)(hash % (TABLE_ROUTE_IDS - 1)) + 1;

	while (!roaring_bitmap_add_checked(r->ids, n))
		n = n % (TABLE_ROUTE_IDS - 1) + 1;
	return TABLE_ROUTE_ID(n);
}

static int
verdict_cmp(const void *a, const void *b)
{
	const struct route_verdict *x = a, *y = b;

	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	if (x->family != y->family)
		return x->family < y->family ? -1 : 1;
	return (int)x->remote - (int)y->remote;
}

size_t
routes_sort_verdicts(struct route_verdict *all, size_t count)
{
	size_t kept = 0;

	if (count > 1)
		qsort(all, count, sizeof(*all), verdict_cmp);
	for (size_t i = 0; i < count; i++) {
		if (i == 0 || verdict_cmp(&all[kept - 1], &all[i]) != 0)
			all[kept++] = all[i];
	}
	return kept;
}

void
routes_count(struct routes *r, uint32_t id, uint32_t number)
{
	struct table_element e = {.class_id = id, .value = number};

	e.loc = chains_use(r->c, number);
	emit(r->c, SET_ROUTES, &e);
}

struct route_network *
route_networks_copy(
    struct arena *arena, const struct route_network *networks, size_t count)
{
	struct route_network *copy = ARENA_ARRAY(arena, count, struct route_network);

	for (size_t i = 0; i < count; i++) {
		copy[i] = networks[i];
		copy[i].subtree = str_dup(arena, networks[i].subtree);
	}
	return copy;
}

/* By paths: nothing else need be known of the subtree. */
static bool
is_within(const struct ns *level, struct str subtree)
{
	return str_is(subtree, "/") || (str_starts(level->path, subtree) &&
					   (level->path.len == subtree.len ||
					       level->path.ptr[subtree.len] == '/'));
}

enum route_right
routes_right(const struct routes *r, const struct ip_addr *addr, const struct ns *level)
{
	const struct compile_options *o = r->c->options;
	enum route_right right = o->has_route_networks ? ROUTE_ELSEWHERE : ROUTE_MAY;
	uint8_t longest = 0;

	for (size_t i = 0; i < o->route_network_count; i++) {
		const struct route_network *n = &o->route_networks[i];

		if (!ip_in_prefix(addr, &n->network) ||
		    (right != ROUTE_ELSEWHERE && n->network.len < longest))
			continue;
		if (is_within(level, n->subtree))
			right = ROUTE_MAY;
		else if (right != ROUTE_MAY || n->network.len > longest)
			right = ROUTE_OTHERS;
		longest = n->network.len;
	}
	return right;
}

struct route_tables *
route_tables_copy(struct arena *arena, const struct route_tables *tables, size_t count)
{
	struct route_tables *copy = ARENA_ARRAY(arena, count, struct route_tables);

	for (size_t i = 0; i < count; i++) {
		copy[i] = tables[i];
		copy[i].subtree = str_dup(arena, tables[i].subtree);
	}
	return copy;
}

bool
routes_may_use_table(const struct routes *r, uint32_t table, const struct ns *level)
{
	const struct compile_options *o = r->c->options;

	for (size_t i = 0; i < o->route_table_count; i++) {
		const struct route_tables *t = &o->route_tables[i];

		if (table >= t->first && table <= t->last &&
		    is_within(level, t->subtree))
			return true;
	}
	return false;
}

bool
routes_inside(const struct model *m, const struct ip_addr *addr)
{
	return model_workload_at(m, addr) != NULL ||
	       model_node_said_at(m, addr) != NULL;
}

static bool
list_speaks_of(const struct route_list *list, const struct ip_addr *addr)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct route_rule *r = &list->rules[i];

		for (size_t j = 0; j < r->address_count; j++) {
			if (ip_in_prefix(addr, &r->addresses[j]))
				return true;
		}
		for (size_t j = 0; j < r->source_count; j++) {
			if (ip_in_prefix(addr, &r->sources[j]))
				return true;
		}
	}
	return false;
}

bool
routes_speak_of(const struct model *m, const struct ip_addr *addr)
{
	for (size_t i = 0; i < m->route_count; i++) {
		for (unsigned k = 0; k < ROUTE_KIND_COUNT; k++) {
			if (list_speaks_of(&m->routes[i]->mandatory[k], addr) ||
			    list_speaks_of(&m->routes[i]->defaults[k], addr))
				return true;
		}
	}
	return false;
}

/* ---- as policy ---- */

size_t
routes_rule_count(const struct route_policy *route, enum route_kind kind)
{
	return route->mandatory[kind].count + route->defaults[kind].count;
}

struct policy
routes_policy(const struct route_policy *route)
{
	return (struct policy){
	    .kind = POLICY_NATIVE,
	    .name = route->name,
	    .namespace_text = route->namespace_text,
	    .cluster = STR(""),
	    .level = route->level,
	    .priority = route->priority,
	    .subject = route->subject,
	    .loc = route->loc,
	};
}

struct rule
routes_rule(const struct route_rule *from, const struct policy *policy)
{
	static const enum action actions[] = {
	    [ROUTE_APPLY] = ACTION_ALLOW,
	    [ROUTE_DIRECT] = ACTION_ALLOW,
	    [ROUTE_DENY] = ACTION_DENY,
	    [ROUTE_PASS] = ACTION_PASS,
	};

	return (struct rule){
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
}

/* ---- workloads ---- */

const struct workload *
routes_workload(const struct routes *r, unsigned family, const struct table_element *e)
{
	struct ip_addr addr = {.family = family_of(family)};

	memcpy(addr.bytes, e->addr, ip_bytes(addr.family));
	return model_workload_at(r->c->model, &addr);
}

bool
routes_is_remote(const struct routes *r, unsigned family, const struct table_element *e)
{
	const struct workload *w = routes_workload(r, family, e);

	return w == NULL || !compiler_is_local(r->c, w);
}

const struct ip_addr *
routes_address(const struct workload *w, enum ip_family family)
{
	for (size_t i = 0; i < w->ip_count; i++) {
		if (w->ips[i].family == family)
			return &w->ips[i];
	}
	return NULL;
}

/* ---- ends ---- */

static enum table_set_id
end_set(const struct route_end *end)
{
	bool four = end->addr.family == IP_V4;

	if (end->port != 0)
		return four ? SET_END4_PORT : SET_END6_PORT;
	return four ? SET_END4 : SET_END6;
}

static void
emit_end(struct routes *r, uint32_t id, const struct route_end *end)
{
	struct table_element e = {
	    .class_id = id, .port_hi = end->port, .loc = end->loc};

	memcpy(e.addr_end, end->addr.bytes, ip_bytes(end->addr.family));
	emit(r->c, end_set(end), &e);
}

/* The id of an end that is one of several somewhere: others may lead to it, too. */
static uint32_t
shared_end(struct routes *r, const struct route_end *end)
{
	struct buf key = {0};
	uint32_t *id;

	buf_add_cstr(&key, "end");
	key_add_u32(&key, end->addr.family);
	buf_add(&key, end->addr.bytes, ip_bytes(end->addr.family));
	key_add_u32(&key, end->port);
	id = map_get(&r->ends, buf_str(&key));
	if (id == NULL) {
		id = ARENA_NEW(r->arena, uint32_t);
		*id = routes_new_id(r, buf_str(&key));
		(void)map_set(&r->ends, str_dup(r->arena, buf_str(&key)), id); /* new */
		emit_end(r, *id, end);
	}
	buf_free(&key);
	return *id;
}

/* ---- one of several ---- */

/*
 * Each end has as many slots as its weight is worth; which ones it prefers follows from its
 * address, and they take turns (as Maglev's tables are filled). So when an end comes or
 * goes most clients keep theirs.
 */
struct share {
	uint32_t id, seed;
	uint64_t weight;
	uint32_t slots; /* that it has a right to */
	uint32_t next, step;
};

static uint32_t
common_divisor(uint32_t a, uint32_t b)
{
	while (b != 0) {
		uint32_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* Whole slots first, the rest to those that lack most. True if nobody's share is off by
 * more than a tenth. */
static bool
give_slots(struct share *shares, size_t count, uint64_t total, uint32_t slots)
{
	uint32_t left = slots;
	bool good = true;

	for (size_t i = 0; i < count; i++) {
		shares[i].slots = (uint32_t)(shares[i].weight * slots / total);
		left -= shares[i].slots;
	}
	while (left > 0) {
		struct share *most = NULL;
		uint64_t lack = 0;

		for (size_t i = 0; i < count; i++) {
			uint64_t has = (uint64_t)shares[i].slots * total;
			uint64_t wants = shares[i].weight * slots;

			if (wants > has && wants - has > lack) {
				lack = wants - has;
				most = &shares[i];
			}
		}
		if (most == NULL)
			break; /* cannot be: what is left is lacking */
		most->slots++;
		left--;
	}
	for (size_t i = 0; i < count; i++) {
		uint64_t has = (uint64_t)shares[i].slots * total;
		uint64_t wants = shares[i].weight * slots;
		uint64_t off = has > wants ? has - wants : wants - has;

		good = good && off * 10 <= wants;
	}
	return good;
}

static void
prefer_slots(struct share *share, uint32_t slots)
{
	uint32_t mixed = share->seed * UINT32_C(2654435761);

	share->next = mixed % slots;
	share->step = (mixed >> 8) % slots;
	while (common_divisor(share->step, slots) != 1)
		share->step = (share->step + 1) % slots;
}

static void
emit_slots(struct routes *r, enum table_set_id set, uint32_t id, struct share *shares,
    size_t count, struct loc loc)
{
	uint32_t slots = table_sets[set].slots, left = slots;
	bool taken[TABLE_SLOTS_FINE] = {false};

	for (size_t i = 0; i < count; i++)
		prefer_slots(&shares[i], slots);
	while (left > 0) {
		for (size_t i = 0; i < count; i++) {
			struct share *s = &shares[i];
			struct table_element e = {
			    .class_id = id, .value = s->id, .loc = loc};

			if (s->slots == 0)
				continue;
			while (taken[s->next])
				s->next = (s->next + s->step) % slots;
			taken[s->next] = true;
			e.port_lo = (uint16_t)s->next;
			emit(r->c, set, &e);
			s->slots--;
			left--;
		}
	}
}

static void
spread(struct routes *r, uint32_t id, struct share *shares, size_t count,
    uint64_t total, enum route_pick pick, struct loc loc)
{
	bool hash = pick == PICK_HASH;

	if (give_slots(shares, count, total, TABLE_SLOTS)) {
		emit_slots(
		    r, hash ? SET_PICK_HASH : SET_PICK_RANDOM, id, shares, count, loc);
		return;
	}
	(void)give_slots(
	    shares, count, total, TABLE_SLOTS_FINE); /* as good as it gets */
	emit_slots(r, hash ? SET_PICK_HASH_FINE : SET_PICK_RANDOM_FINE, id, shares,
	    count, loc);
}

bool
routes_lead(struct routes *r, uint32_t id, const struct route_end *ends, size_t count,
    enum route_pick pick, struct loc loc)
{
	struct share *shares = ARENA_ARRAY(r->arena, count, struct share);
	const struct route_end *only = NULL;
	uint64_t total = 0;
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		if (ends[i].weight == 0)
			continue;
		only = &ends[i];
		total += ends[i].weight;
		shares[n++].weight = ends[i].weight;
	}
	if (n == 0)
		return false;
	if (n == 1) {
		emit_end(r, id, only);
		return true;
	}
	if (n > TABLE_SLOTS_FINE) {
		diag_warn(r->c->diags, "not-followed", loc,
		    "what this route is for is denied: it leads to more than %u ends",
		    TABLE_SLOTS_FINE);
		return false;
	}
	n = 0;
	for (size_t i = 0; i < count; i++) {
		if (ends[i].weight != 0)
			shares[n++].id = shared_end(r, &ends[i]);
	}
	for (size_t i = 0; i < n; i++)
		shares[i].seed = shares[i].id;
	spread(r, id, shares, n, total, pick, loc);
	return true;
}

void
routes_spread(struct routes *r, uint32_t id, const struct route_pick_end *ends,
    size_t count, struct loc loc)
{
	struct share *shares = ARENA_ARRAY(r->arena, count, struct share);

	for (size_t i = 0; i < count; i++)
		shares[i] =
		    (struct share){.id = ends[i].id, .seed = ends[i].seed, .weight = 1};
	spread(r, id, shares, count, count, PICK_HASH, loc);
}

/* ---- numbers ---- */

static void
name_rules(
    struct compiler *c, const struct route_policy *route, const struct route_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct route_rule *rule = &list->rules[i];
		struct verdict_number n = {
		    .number = rule->number,
		    .route = route,
		    .route_rule = rule,
		    .dir = rule->kind == ROUTE_INGRESS ? DIR_INGRESS : DIR_EGRESS,
		};

		chains_add(c, &n);
		if (rule->kind == ROUTE_INGRESS || rule->action != ROUTE_APPLY)
			continue;
		n.number = rule->refuse_number;
		chains_add(c, &n);
	}
}

void
routes_name(struct compiler *c)
{
	if (c->policies != NULL)
		return; /* Routes are what this one compiles */
	ways_name(c);
	for (size_t i = 0; i < c->model->route_count; i++) {
		const struct route_policy *route = c->model->routes[i];

		for (unsigned kind = 0; kind < ROUTE_KIND_COUNT; kind++) {
			name_rules(c, route, &route->mandatory[kind]);
			name_rules(c, route, &route->defaults[kind]);
		}
	}
}

/* ---- all of it ---- */

void
routes_build(struct compiler *c)
{
	struct routes r = {.c = c, .universe = &c->universe};
	struct universe routed = {0};

	if (c->policies != NULL || c->model->route_count == 0 || c->failed)
		return;
	r.arena = arena_new();
	r.ids = roaring_bitmap_create();
	if (r.ids == NULL)
		base_die("out of memory");
	if (c->routed != NULL) {
		universe_init(&routed, c->routed, false);
		r.universe = &routed;
	}
	leave_build(&r);
	publish_build(&r);
	taken_build(&r);
	via_build(&r);
	(void)chains_use(c, NUMBER_STRAY);
	roaring_bitmap_free(r.ids);
	map_fini(&r.ends);
	map_fini(&r.leaves);
	map_fini(&r.ways);
	universe_fini(&routed);
	arena_free(r.arena);
}
