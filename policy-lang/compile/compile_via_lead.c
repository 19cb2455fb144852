/*
 * Via: where each rule leads, on this node, and the elements that say so. What was compiled for
 * clients holds as long as they do, but ways, and numbers that are picked among all, may
 * have become others meanwhile: these are made for every program.
 */
#include "policy-lang/compile/compile_via.h"

#include <stdlib.h>
#include <string.h>

struct leading {
	struct routes *r;
	const struct via_kept *kept;
	struct map ids; /* family, number, whose -> id */
};

/* ---- what is gone through ---- */

/* Of one rule in one family. */
struct instance {
	const struct workload *workload;
	const struct ip_addr *addr;
	uint32_t end;
};

static int
instance_cmp(const void *a, const void *b)
{
	const struct instance *x = a, *y = b;

	return memcmp(x->addr->bytes, y->addr->bytes, sizeof(x->addr->bytes));
}

/* In an order that is the same on every node. */
static struct instance *
list_instances(
    struct leading *l, struct via_rule *rule, enum ip_family family, size_t *out_count)
{
	struct instance *list;

	list = ARENA_ARRAY(l->r->arena, rule->through_count, struct instance);
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
reach(struct leading *l, struct instance *instance, enum ip_family family,
    const struct table_way **out_way)
{
	struct compiler *c = l->r->c;
	const struct workload *w = instance->workload;
	struct table_way way = {.loc = w->loc, .hop_count = 1};
	const struct node *node;

	if (compiler_is_local(c, w)) {
		way.kind = WAY_INSTANCE;
		way.hops = ways_hop_of(l->r, w);
	} else {
		node = model_node_of(c->model, w);
		if (node == NULL)
			return "the node of what it goes through is not known";
		way.kind = WAY_VIA;
		way.hops = ways_hops(l->r, &node, 1);
		if (way.hops[0].addr[family_index(family)].family != family)
			return "the node of what it goes through has no address of "
			       "the family";
	}
	*out_way = ways_find(l->r, &way);
	if (*out_way == NULL)
		return "there are more ways than the mark has numbers for";
	instance->end = ways_end(l->r, *out_way);
	return NULL;
}

static void
keep(struct leading *l, uint32_t id, const struct table_way *way, uint32_t end,
    struct loc loc)
{
	const uint32_t mark =
	    table_way_mark(l->r->c->options->settings.steer_mask, way->number);
	struct table_element e = {.class_id = id, .value = end, .loc = loc};

	memcpy(e.addr, &mark, sizeof(mark));
	emit(l->r->c, SET_VIA_KEPT, &e);
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
lead(struct leading *l, struct via_rule *rule, enum ip_family family, uint32_t id)
{
	const struct table_way **ways;
	struct route_pick_end *ends;
	struct instance *list;
	const char *why = NULL;
	size_t count;

	if (l->r->c->options->way_count == 0)
		return "\"steering\" is not configured";
	if (l->r->c->options->settings.no_nat)
		return "the kernel picks nothing by hash";
	list = list_instances(l, rule, family, &count);
	if (count == 0)
		return "no workload that it goes through is ready";
	if (count > TABLE_SLOTS_FINE)
		return "it goes through more workloads than a node takes";
	ways = ARENA_ARRAY(l->r->arena, count, const struct table_way *);
	ends = ARENA_ARRAY(l->r->arena, count, struct route_pick_end);
	for (size_t i = 0; i < count && why == NULL; i++) {
		why = reach(l, &list[i], family, &ways[i]);
		ends[i] = (struct route_pick_end){
		    list[i].end, (uint32_t)map_siphash(UINT64_C(0x766961), 1,
				     (struct str){(const char *)list[i].addr->bytes,
					 ip_bytes(family)})};
	}
	if (why != NULL)
		return why;
	for (size_t i = 0; i < count; i++) {
		if (is_first(list, i))
			keep(l, id, ways[i], list[i].end, rule->rule->loc);
	}
	routes_spread(l->r, id, ends, count, rule->rule->loc);
	return NULL;
}

/* ---- verdicts as ids ---- */

static void
refuse(struct leading *l, uint32_t id, uint32_t number)
{
	struct table_element e = {.class_id = id, .value = number};

	routes_count(l->r, id, number);
	e.loc = chains_use(l->r->c, number);
	emit(l->r->c, SET_VIA_REFUSED, &e);
}

/* Whoever wants it to go through something is not to find that it did not. */
static bool
follow(
    struct leading *l, struct via_rule *rule, unsigned family, bool remote, uint32_t id)
{
	const struct route_rule *r = rule->rule;
	const char *why;

	if (r->action != ROUTE_APPLY)
		return true;
	why = lead(l, rule, family_of(family), id);
	if (why != NULL && !remote)
		diag_warn(l->r->c->diags, "not-followed", r->loc,
		    "what this route is for %s on node %.*s over IPv%u: %s",
		    r->direct_on_failure ? "goes directly" : "is denied",
		    STR_ARG(l->r->c->options->node), family == 0 ? 4u : 6u, why);
	return why == NULL || r->direct_on_failure;
}

static uint32_t
make_id(
    struct leading *l, uint32_t number, unsigned family, bool remote, struct str key)
{
	struct via_rule wanted = {.number = number};
	struct via_rule *rule = bsearch(
	    &wanted, l->kept->rules, l->kept->rule_count, sizeof(wanted), via_rule_cmp);
	uint32_t id;

	if (rule == NULL)
		return TABLE_ROUTE_DIRECT; /* no rule matches */
	id = routes_new_id(l->r, key);
	if (!follow(l, rule, family, remote, id))
		refuse(l, id, rule->rule->refuse_number);
	else if (rule->rule->action == ROUTE_DENY)
		refuse(l, id, number);
	else if (!remote)
		routes_count(l->r, id, number); /* once: where it begins */
	return id;
}

static uint32_t
id_of(struct leading *l, uint32_t number, unsigned family, bool remote)
{
	struct buf key = {0};
	uint32_t *id;

	buf_add_cstr(&key, remote ? "via" : "own via");
	key_add_u32(&key, family);
	key_add_u32(&key, number);
	id = map_get(&l->ids, buf_str(&key));
	if (id == NULL) {
		id = ARENA_NEW(l->r->arena, uint32_t);
		*id = make_id(l, number, family, remote, buf_str(&key));
		(void)map_set(
		    &l->ids, str_dup(l->r->arena, buf_str(&key)), id); /* new */
	}
	buf_free(&key);
	return *id;
}

/* ---- elements ---- */

static void
move_cells(struct leading *l)
{
	struct compiler *c = l->r->c;

	for (size_t i = 0; i < VIA_CELLS * FAMILY_COUNT; i++) {
		unsigned f = i % FAMILY_COUNT;
		const struct element_list *list = &l->kept->cells[i / FAMILY_COUNT][f];

		for (size_t j = 0; j < list->count && !c->failed; j++) {
			struct table_element e = list->items[j];

			e.value = id_of(l, e.value, f, routes_is_remote(l->r, f, &e));
			emit(c, (enum table_set_id)(via_moves[i / FAMILY_COUNT].to + f),
			    &e);
		}
	}
}

/* Ids and ways hang on which was first: all that is needed is made first, by number. */
static void
make_ids(struct leading *l)
{
	struct route_verdict *all;
	size_t count = 0;

	for (size_t i = 0; i < VIA_CELLS * FAMILY_COUNT; i++)
		count += l->kept->cells[i / FAMILY_COUNT][i % FAMILY_COUNT].count;
	all = xcalloc(count + 1, sizeof(*all));
	count = 0;
	for (size_t i = 0; i < VIA_CELLS * FAMILY_COUNT; i++) {
		unsigned f = i % FAMILY_COUNT;
		const struct element_list *list = &l->kept->cells[i / FAMILY_COUNT][f];

		for (size_t j = 0; j < list->count; j++)
			all[count++] = (struct route_verdict){list->items[j].value, f,
			    routes_is_remote(l->r, f, &list->items[j])};
	}
	count = routes_sort_verdicts(all, count);
	for (size_t i = 0; i < count; i++)
		(void)id_of(l, all[i].number, all[i].family, all[i].remote);
	free(all);
}

void
via_lead(struct routes *r, const struct via_kept *kept)
{
	struct leading l = {.r = r, .kept = kept};

	make_ids(&l);
	move_cells(&l);
	map_fini(&l.ids);
}
