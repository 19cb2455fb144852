/*
 * Pairs of ends and what connects them: egress of the source and ingress of the
 * destination, met. What each side says is connectivity_side.c's.
 */
#include "policy-lang/connectivity.h"

#include <stdlib.h>

#include "policy-lang/connectivity_side.h"

/* An end together with its addresses and what its policies say. */
struct party {
	const struct conn_end *end;
	struct conn_face *faces;
	size_t face_count;
	struct conn_side *sides[DIRECTION_COUNT]; /* NULL: an end without policy */
};

struct finder {
	struct arena *arena;
	const struct model *model;
	const struct connectivity_options *options;
	struct conn_pool pool;
	struct conn_sides *sides;
	struct party *parties; /* workloads, then nodes */
	size_t party_count;
	size_t workload_count; /* parties that are workloads */
	size_t face_count;
	bool outside6;
	struct map ranges; /* text -> struct conn_end */
	struct connection *items;
	size_t count;
	size_t cap;
};

/* ---- what is there ---- */

static bool
names_proto_without_ports(const struct rule_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		for (size_t j = 0; j < list->rules[i].port_count; j++) {
			uint8_t proto = list->rules[i].ports[j].proto;

			if (proto == PROTO_ICMP || proto == PROTO_ICMPV6)
				return true;
		}
	}
	return false;
}

static bool
names_ipv6(const struct rule_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		for (size_t j = 0; j < list->rules[i].peer_count; j++) {
			const struct peer *peer = &list->rules[i].peers[j];

			for (size_t k = 0; k < peer->prefix_count; k++) {
				if (peer->prefixes[k].addr.family == IP_V6)
					return true;
			}
		}
	}
	return false;
}

static bool
some_list(const struct model *m, bool (*holds)(const struct rule_list *))
{
	for (size_t i = 0; i < m->policy_count; i++) {
		const struct policy *p = m->policies[i];

		for (size_t d = 0; d < DIRECTION_COUNT; d++) {
			if (holds(&p->mandatory[d]) || holds(&p->allow[d]) ||
			    holds(&p->defaults[d]))
				return true;
		}
	}
	return false;
}

static bool
some_workload_has_ipv6(const struct model *m)
{
	for (size_t i = 0; i < m->workload_count; i++) {
		const struct workload *w = m->workloads[i];

		for (size_t j = 0; j < w->ip_count; j++) {
			if (w->ips[j].family == IP_V6)
				return true;
		}
	}
	return false;
}

/* ---- parties ---- */

static void
add_face(struct finder *f, struct party *party, const struct endpoint *end,
    const struct ip_addr *addr)
{
	struct conn_face face = {.end = *end, .index = (uint32_t)f->face_count};

	face.end.has_addr = addr != NULL;
	if (addr != NULL) {
		if (f->options->family != 0 && addr->family != f->options->family)
			return;
		face.end.addr = *addr;
		face.family = addr->family;
	}
	party->faces[party->face_count++] = face;
	f->face_count++;
}

static void
add_party(struct finder *f, const struct endpoint *end, const struct conn_end *shown)
{
	struct party *party = &f->parties[f->party_count++];
	size_t count;
	const struct ip_addr *addrs = endpoint_addrs(end, &count);

	party->end = shown;
	party->faces = ARENA_ARRAY(f->arena, count + 1, struct conn_face);
	if (count == 0)
		add_face(f, party, end, NULL);
	for (size_t i = 0; i < count; i++)
		add_face(f, party, end, &addrs[i]);
}

/* Workloads are sorted by display, then name: the first of each display stands for all. */
static void
add_workloads(struct finder *f)
{
	struct str last = {0};

	for (size_t i = 0; i < f->model->workload_count; i++) {
		const struct workload *w = f->model->workloads[i];
		struct endpoint end = endpoint_of_workload(f->model, w);
		struct conn_end *shown;

		if (last.ptr != NULL && str_eq(last, w->display))
			continue;
		last = w->display;
		shown = ARENA_NEW(f->arena, struct conn_end);
		*shown = (struct conn_end){
		    .kind = CONN_END_WORKLOAD,
		    .workload = w,
		    .display = w->display,
		};
		add_party(f, &end, shown);
	}
	f->workload_count = f->party_count;
}

static void
add_nodes(struct finder *f)
{
	for (size_t i = 0; f->options->nodes && i < f->model->node_count; i++) {
		const struct node *node = f->model->nodes[i];
		struct endpoint end = endpoint_of_node(node);
		struct conn_end *shown = ARENA_NEW(f->arena, struct conn_end);
		const char *slash = node->cluster.len > 0 ? "/" : "";

		*shown = (struct conn_end){
		    .kind = CONN_END_NODE,
		    .node = node,
		    .display = str_from(arena_printf(f->arena, "node/%.*s%s%.*s[Node]",
			STR_ARG(node->cluster), slash, STR_ARG(node->name))),
		};
		add_party(f, &end, shown);
	}
}

/* ---- pairs ---- */

static void
add_connection(struct finder *f, const struct conn_end *src, const struct conn_end *dst,
    const struct conn_set *set)
{
	if (set->text == NULL)
		return;
	if (f->count == f->cap) {
		f->cap = f->cap == 0 ? 256 : 2 * f->cap;
		f->items = xreallocarray(f->items, f->cap, sizeof(*f->items));
	}
	f->items[f->count++] = (struct connection){src, dst, set};
}

static const struct conn_set *
party_set(struct finder *f, const struct party *party, enum direction dir,
    const struct conn_face *self, const struct conn_face *peer)
{
	unsigned family = self->family != 0 ? self->family : peer->family;

	if (party->sides[dir] == NULL)
		return conn_set_all(&f->pool, conn_possible(family));
	return conn_side_set(party->sides[dir], self, peer);
}

static void
find_pair(struct finder *f, const struct party *src, const struct party *dst)
{
	const struct conn_set *all = NULL;

	for (size_t i = 0; i < src->face_count; i++) {
		for (size_t j = 0; j < dst->face_count; j++) {
			const struct conn_face *a = &src->faces[i];
			const struct conn_face *b = &dst->faces[j];
			const struct conn_set *set;

			if (a->family != 0 && b->family != 0 && a->family != b->family)
				continue;
			set =
			    conn_set_meet(&f->pool, party_set(f, src, DIR_EGRESS, a, b),
				party_set(f, dst, DIR_INGRESS, b, a));
			all = all == NULL ? set : conn_set_join(&f->pool, all, set);
		}
	}
	if (all != NULL)
		add_connection(f, src->end, dst->end, all);
}

static const struct conn_end *
range_end(struct finder *f, const struct conn_span *span)
{
	char first[IP_TEXT_BYTES], last[IP_TEXT_BYTES];
	struct str text = str_from(arena_printf(f->arena, "%s-%s[External]",
	    ip_format(&span->first, first), ip_format(&span->last, last)));
	struct conn_end *end = map_get(&f->ranges, text);

	if (end != NULL)
		return end;
	end = ARENA_NEW(f->arena, struct conn_end);
	*end = (struct conn_end){
	    .kind = CONN_END_EXTERNAL,
	    .first = span->first,
	    .last = span->last,
	    .display = text,
	};
	(void)map_set(&f->ranges, text, end); /* new */
	return end;
}

/* What an end without policy may do: everything, with everyone. */
static const struct conn_spans *
whole_outside(struct finder *f, enum ip_family family)
{
	struct ip_prefix everything = {.addr = {.family = family}};
	struct conn_spans *spans = ARENA_NEW(f->arena, struct conn_spans);
	struct conn_span *span = ARENA_NEW(f->arena, struct conn_span);

	ip_prefix_range(&everything, &span->first, &span->last);
	span->set = conn_set_all(&f->pool, conn_possible(family));
	*spans = (struct conn_spans){span, 1};
	return spans;
}

static void
find_outside(struct finder *f, const struct party *party, enum ip_family family)
{
	const struct conn_face *face = NULL;

	/* Addresses of one family differ in nothing that one's own policies see. */
	for (size_t i = 0; i < party->face_count && face == NULL; i++) {
		if (party->faces[i].family == 0 || party->faces[i].family == family)
			face = &party->faces[i];
	}
	if (face == NULL)
		return;
	for (size_t d = 0; d < DIRECTION_COUNT; d++) {
		const struct conn_spans *spans =
		    party->sides[d] != NULL
			? conn_side_outside(party->sides[d], face, family)
			: whole_outside(f, family);

		for (size_t i = 0; i < spans->count; i++) {
			const struct conn_span *span = &spans->items[i];

			if (span->set->text == NULL)
				continue;
			if (d == DIR_INGRESS)
				add_connection(
				    f, range_end(f, span), party->end, span->set);
			else
				add_connection(
				    f, party->end, range_end(f, span), span->set);
		}
	}
}

/* A node's ways to nodes, or to what runs on their network, are nobody's business here. */
static bool
worth_listing(const struct party *src, const struct party *dst)
{
	bool some_policy =
	    src->sides[DIR_EGRESS] != NULL || dst->sides[DIR_INGRESS] != NULL;

	return some_policy ||
	       (src->end->kind != CONN_END_NODE && dst->end->kind != CONN_END_NODE);
}

static void
find_all(struct finder *f)
{
	for (size_t i = 0; i < f->workload_count; i++) {
		const struct workload *w = f->parties[i].end->workload;

		for (size_t d = 0; d < DIRECTION_COUNT && !w->host_network; d++)
			f->parties[i].sides[d] =
			    conn_side_of(f->sides, w, (enum direction)d);
	}
	for (size_t i = 0; i < f->party_count; i++) {
		for (size_t j = 0; j < f->party_count; j++) {
			if (i != j && worth_listing(&f->parties[i], &f->parties[j]))
				find_pair(f, &f->parties[i], &f->parties[j]);
		}
	}
	for (size_t i = 0; i < f->workload_count; i++) {
		if (f->options->family != IP_V6)
			find_outside(f, &f->parties[i], IP_V4);
		if (f->outside6)
			find_outside(f, &f->parties[i], IP_V6);
	}
}

static int
end_cmp(const struct conn_end *a, const struct conn_end *b)
{
	int order;

	if ((a->kind == CONN_END_EXTERNAL) != (b->kind == CONN_END_EXTERNAL))
		return a->kind == CONN_END_EXTERNAL ? -1 : 1;
	if (a->kind != CONN_END_EXTERNAL)
		return str_cmp(a->display, b->display);
	order = ip_cmp(&a->first, &b->first);
	return order != 0 ? order : ip_cmp(&a->last, &b->last);
}

static int
connection_cmp(const void *a, const void *b)
{
	const struct connection *x = a, *y = b;
	int order = end_cmp(x->src, y->src);

	return order != 0 ? order : end_cmp(x->dst, y->dst);
}

void
connectivity_find(struct arena *arena, const struct model *m,
    const struct connectivity_options *options, struct connectivity *out)
{
	struct finder f = {.arena = arena, .model = m, .options = options};

	f.outside6 = options->family == IP_V6 ||
		     (options->family == 0 &&
			 (some_list(m, names_ipv6) || some_workload_has_ipv6(m)));
	conn_pool_init(&f.pool, arena, some_list(m, names_proto_without_ports));
	f.parties =
	    ARENA_ARRAY(arena, m->workload_count + m->node_count + 1, struct party);
	add_workloads(&f);
	add_nodes(&f);
	f.sides = conn_sides_new(arena, m, &f.pool, f.face_count);
	find_all(&f);
	if (f.count > 1)
		qsort(f.items, f.count, sizeof(*f.items), connection_cmp);
	out->items = ARENA_ARRAY(arena, f.count, struct connection);
	out->count = f.count;
	for (size_t i = 0; i < f.count; i++)
		out->items[i] = f.items[i];
	free(f.items);
	conn_sides_free(f.sides);
	conn_pool_fini(&f.pool);
	map_fini(&f.ranges);
}
