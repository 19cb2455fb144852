/*
 * Why each pair may connect. A set of ports is cut where some rule's ports begin or end;
 * each interval is judged once in both directions, and intervals with the same deciders
 * are one reason.
 */
#include "policy-lang/connectivity/graph_internal.h"

#include <stdlib.h>

struct decider {
	enum verdict_reason reason;
	const struct rule *rule;
	const struct policy *policy;
};

struct reason {
	struct decider deciders[DIRECTION_COUNT];
	struct buf ports;
	uint8_t last_proto;
};

#define REASONS_MAX 64 /* of one pair; the last takes the rest in */

struct asker {
	struct arena *arena;
	const struct model *m;
	const struct graph *g;
	struct judge *judge;
	uint16_t *cuts; /* sorted: an interval begins at each */
	size_t cut_count;
	struct map deciders; /* its JSON -> index + 1 */
	struct map reasons;  /* its JSON -> index + 1 */
	struct reason list[REASONS_MAX];
	size_t count;
};

/* ---- cuts ---- */

static int
compare_ports(const void *a, const void *b)
{
	uint16_t x = *(const uint16_t *)a, y = *(const uint16_t *)b;

	return (x > y) - (x < y);
}

struct cut_list {
	uint16_t *items;
	size_t count, cap;
};

static void
add_cut(struct cut_list *list, unsigned port)
{
	if (port == 0 || port > UINT16_MAX)
		return;
	if (list->count == list->cap) {
		list->cap = list->cap != 0 ? list->cap * 2 : 256;
		list->items =
		    xreallocarray(list->items, list->cap, sizeof(*list->items));
	}
	list->items[list->count++] = (uint16_t)port;
}

static void
add_rule_cuts(struct cut_list *list, const struct rule_list *rules)
{
	for (size_t i = 0; i < rules->count; i++) {
		const struct rule *r = &rules->rules[i];

		for (size_t j = 0; j < r->port_count; j++) {
			if (r->ports[j].kind != PORT_NUMBERS)
				continue;
			add_cut(list, r->ports[j].lo);
			add_cut(list, r->ports[j].hi + 1u);
		}
	}
}

static void
find_cuts(struct asker *a)
{
	struct cut_list list = {0};
	size_t unique = 0;

	for (size_t i = 0; i < a->m->policy_count; i++) {
		const struct policy *p = a->m->policies[i];

		for (size_t d = 0; d < DIRECTION_COUNT; d++) {
			add_rule_cuts(&list, &p->mandatory[d]);
			add_rule_cuts(&list, &p->allow[d]);
			add_rule_cuts(&list, &p->defaults[d]);
		}
	}
	for (size_t i = 0; i < a->m->workload_count; i++) {
		const struct workload *w = a->m->workloads[i];

		for (size_t j = 0; j < w->shape->port_count; j++) {
			add_cut(&list, w->shape->ports[j].port);
			add_cut(&list, w->shape->ports[j].port + 1u);
		}
	}
	if (list.count > 1)
		qsort(list.items, list.count, sizeof(*list.items), compare_ports);
	for (size_t i = 0; i < list.count; i++) {
		if (i == 0 || list.items[i] != list.items[unique - 1])
			list.items[unique++] = list.items[i];
	}
	a->cuts = list.items;
	a->cut_count = unique;
}

/* Where the interval that begins at `from` ends, at most `to`. */
static uint16_t
interval_end(const struct asker *a, uint16_t from, uint16_t to)
{
	size_t lo = 0, hi = a->cut_count;

	while (lo < hi) {
		size_t middle = lo + (hi - lo) / 2;

		if (a->cuts[middle] <= from)
			lo = middle + 1;
		else
			hi = middle;
	}
	return lo < a->cut_count && a->cuts[lo] <= to ? (uint16_t)(a->cuts[lo] - 1)
						      : to;
}

/* ---- judging ---- */

static struct endpoint
endpoint_of_end(const struct asker *a, const struct conn_end *end)
{
	switch (end->kind) {
	case CONN_END_EXTERNAL:
		break;
	case CONN_END_NODE:
		return endpoint_of_node(end->node);
	case CONN_END_WORKLOAD:
		return endpoint_of_workload(a->m, end->workload);
	}
	return (struct endpoint){
	    .kind = ENDPOINT_ADDRESS, .has_addr = true, .addr = end->first};
}

static struct reason *
reason_of(struct asker *a, const struct decider *deciders)
{
	struct reason *r;

	for (size_t i = 0; i < a->count; i++) {
		const struct decider *x = a->list[i].deciders;

		if (x[0].reason == deciders[0].reason &&
		    x[0].policy == deciders[0].policy &&
		    x[0].rule == deciders[0].rule &&
		    x[1].reason == deciders[1].reason &&
		    x[1].policy == deciders[1].policy && x[1].rule == deciders[1].rule)
			return &a->list[i];
	}
	if (a->count == REASONS_MAX)
		return &a->list[REASONS_MAX - 1];
	r = &a->list[a->count];
	*r = (struct reason){.deciders = {deciders[0], deciders[1]}};
	a->count++;
	return r;
}

static void
add_ports(struct reason *r, const char *name, uint8_t proto, unsigned lo, unsigned hi)
{
	bool more = r->ports.len > 0 && r->last_proto == proto;

	if (r->ports.len > 0)
		buf_add_cstr(&r->ports, more ? "," : ", ");
	if (!more)
		buf_printf(&r->ports, "%s%s", name, hi != 0 ? " " : "");
	if (hi != 0 && lo == hi)
		buf_printf(&r->ports, "%u", lo);
	else if (hi != 0)
		buf_printf(&r->ports, "%u-%u", lo, hi);
	r->last_proto = proto;
}

static void
ask(struct asker *a, const struct graph_pair *p, const char *name, uint8_t proto,
    unsigned lo, unsigned hi)
{
	struct endpoint src = endpoint_of_end(a, a->g->ends[p->src]);
	struct endpoint dst = endpoint_of_end(a, a->g->ends[p->dst]);
	struct decider deciders[DIRECTION_COUNT] = {{0}};
	struct flow flow = {.src = src, .dst = dst, .proto = proto};
	bool comparable;

	flow.port = (uint16_t)lo;
	/* Of several addresses, the pair that may connect is what there is to explain. */
	if (!evaluate_connection_flow(
		a->m, &src, &dst, proto, (uint16_t)lo, 0, &comparable, &flow))
		return;
	for (size_t d = 0; d < DIRECTION_COUNT; d++) {
		struct verdict v = judge_direction(a->judge, &flow, (enum direction)d);

		deciders[d] = (struct decider){v.reason, v.rule, v.policy};
	}
	add_ports(reason_of(a, deciders), name, proto, lo, hi);
}

static void
ask_pair(struct asker *a, const struct graph_pair *p)
{
	static const struct {
		const char *name;
		uint8_t proto;
	} protos[] = {
	    [CONN_SCTP] = {"SCTP", PROTO_SCTP},
	    [CONN_TCP] = {"TCP", PROTO_TCP},
	    [CONN_UDP] = {"UDP", PROTO_UDP},
	};
	static const struct {
		enum conn_rest bit;
		const char *name;
		uint8_t proto;
	} rests[] = {
	    {CONN_ICMP, "ICMP", PROTO_ICMP},
	    {CONN_ICMPV6, "ICMPv6", PROTO_ICMPV6},
	};

	for (size_t i = 0; i < CONN_PROTO_COUNT; i++) {
		const struct conn_ports *ports = &p->set->ports[i];

		for (size_t j = 0; j < ports->count; j++) {
			unsigned lo = ports->items[j].lo, hi;

			for (; lo <= ports->items[j].hi; lo = hi + 1) {
				hi = interval_end(a, (uint16_t)lo, ports->items[j].hi);
				ask(a, p, protos[i].name, protos[i].proto, lo, hi);
			}
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(rests); i++) {
		if ((p->set->rest & rests[i].bit) != 0)
			ask(a, p, rests[i].name, rests[i].proto, 0, 0);
	}
}

/* ---- printing ---- */

static const char *
reason_text(struct asker *a, const struct decider *d)
{
	switch (d->reason) {
	case REASON_RULE:
		return rule_title(a->arena, d->rule);
	case REASON_CLUSTER_DEFAULT:
		return "nothing decides: the cluster default";
	case REASON_NO_POLICY:
		return "no policy is for this end: it is no workload";
	case REASON_SELF:
		return "a workload or a node reaches itself";
	case REASON_FAIL_SAFE:
		return "a fail-safe port of the node";
	case REASON_NODE_OPEN:
		return "no policy for the node decides";
	case REASON_OWN_NODE:
		return "a node reaches its own workloads";
	case REASON_ISOLATION:
		break;
	}
	return "isolation";
}

/* JSON within a script element: nothing in it may look like the element's end. */
static void
add_json(struct buf *out, struct str text)
{
	struct buf json = {0};

	buf_add_json(&json, text);
	for (size_t i = 0; i < json.len; i++) {
		if (json.data[i] == '<' || json.data[i] == '>' || json.data[i] == '&')
			buf_printf(out, "\\u%04x", (unsigned)json.data[i]);
		else
			buf_add_char(out, json.data[i]);
	}
	buf_free(&json);
}

/* The index of a JSON text among those of its kind; new ones are added. */
static size_t
intern(struct asker *a, struct map *map, const struct buf *json)
{
	const void *known = map_get(map, buf_str(json));

	if (known == NULL) {
		(void)map_set(map, str_dup(a->arena, buf_str(json)),
		    (void *)(uintptr_t)(map->len + 1));
		return map->len - 1;
	}
	return (size_t)(uintptr_t)known - 1;
}

static size_t
decider_index(struct asker *a, const struct decider *d)
{
	struct buf json = {0};
	size_t index;

	buf_add_cstr(&json, "{\"text\":");
	add_json(&json, str_from(reason_text(a, d)));
	if (d->rule != NULL) {
		buf_printf(
		    &json, ",\"phase\":\"%s\",\"level\":", phase_name(d->rule->phase));
		add_json(&json, d->policy->level->path);
		buf_add_cstr(&json, ",\"place\":");
		add_json(&json, str_from(loc_text(a->arena, d->rule->loc)));
	}
	buf_add_char(&json, '}');
	index = intern(a, &a->deciders, &json);
	buf_free(&json);
	return index;
}

/* [[ports, egress decider, ingress decider], ...] of the pair that was asked about. */
static size_t
reasons_index(struct asker *a)
{
	struct buf json = {0};
	size_t index;

	buf_add_char(&json, '[');
	for (size_t i = 0; i < a->count; i++) {
		struct reason *r = &a->list[i];

		buf_add_cstr(&json, i > 0 ? ",[" : "[");
		add_json(&json, buf_str(&r->ports));
		buf_printf(&json, ",%zu,%zu]",
		    decider_index(a, &r->deciders[DIR_EGRESS]),
		    decider_index(a, &r->deciders[DIR_INGRESS]));
		buf_free(&r->ports);
	}
	buf_add_char(&json, ']');
	index = intern(a, &a->reasons, &json);
	buf_free(&json);
	return index;
}

static void
print_interned(struct buf *out, const char *name, const struct map *map)
{
	buf_printf(out, ",\n\"%s\":[", name);
	for (size_t i = 0; i < map->len; i++) {
		if (i > 0)
			buf_add_cstr(out, ",\n");
		buf_add_str(out, map->entries[i].key);
	}
	buf_add_char(out, ']');
}

static size_t
set_index(struct asker *a, struct map *sets, const struct conn_set *set)
{
	struct buf json = {0};
	size_t index;

	add_json(&json, str_from(set->text));
	index = intern(a, sets, &json);
	buf_free(&json);
	return index;
}

static void
print_ends(struct buf *out, const struct graph *g)
{
	buf_add_cstr(out, "\"ends\":[");
	for (size_t i = 0; i < g->end_count; i++) {
		const struct conn_end *end = g->ends[i];
		struct str space = g->spaces[g->cards[g->end_cards[i]].space].title;

		buf_add_cstr(out, i > 0 ? ",\n[" : "[");
		add_json(out, end->display);
		buf_add_char(out, ',');
		add_json(out, space);
		buf_printf(out, ",%zu]", g->end_cards[i]);
	}
	buf_add_char(out, ']');
}

static void
print_spaces(struct buf *out, const struct graph *g)
{
	buf_add_cstr(out, ",\n\"spaces\":[");
	for (size_t i = 0; i < g->space_count; i++) {
		if (i > 0)
			buf_add_char(out, ',');
		add_json(out, g->spaces[i].title);
	}
	buf_add_cstr(out, "],\n\"rows\":[");
	for (size_t i = 0; i < g->row_count; i++)
		buf_printf(out, "%s%zu", i > 0 ? "," : "", g->rows[i].card);
	buf_add_cstr(out, "],\n\"edges\":[");
	for (size_t i = 0; i < g->edge_count; i++)
		buf_printf(out, "%s[\"%c%zu\",%zu]", i > 0 ? "," : "",
		    g->edges[i].place == GRAPH_CARD ? 'c' : 's', g->edges[i].from,
		    g->edges[i].row);
	buf_add_char(out, ']');
}

void
graph_print_whys(
    struct arena *arena, struct buf *out, const struct model *m, const struct graph *g)
{
	struct asker *a = ARENA_NEW(arena, struct asker);
	struct map sets = {0};

	*a = (struct asker){.arena = arena, .m = m, .g = g, .judge = judge_new(m)};
	find_cuts(a);
	buf_add_char(out, '{');
	print_ends(out, g);
	print_spaces(out, g);
	buf_add_cstr(out, ",\n\"pairs\":[");
	for (size_t i = 0; i < g->pair_count; i++) {
		const struct graph_pair *p = &g->pairs[i];

		a->count = 0;
		ask_pair(a, p);
		buf_printf(out, "%s[%zu,%zu,%zu,%zu,%zu]", i > 0 ? "," : "", p->src,
		    p->dst, set_index(a, &sets, p->set), p->edge, reasons_index(a));
	}
	buf_add_char(out, ']');
	print_interned(out, "sets", &sets);
	print_interned(out, "reasons", &a->reasons);
	print_interned(out, "deciders", &a->deciders);
	buf_add_cstr(out, "}\n");
	map_fini(&sets);
	map_fini(&a->reasons);
	map_fini(&a->deciders);
	free(a->cuts);
	judge_free(a->judge);
}
