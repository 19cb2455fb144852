#include "policy-lang/connectivity/graph_internal.h"

#include <stdlib.h>
#include <string.h>

struct builder {
	struct arena *arena;
	const struct model *m;
	const struct connectivity *connectivity;
	struct graph *g;
	struct map end_index;   /* display -> index + 1, as a pointer */
	struct map space_index; /* title -> index + 1 */
	uint64_t *alike;        /* of each end: equal for those that connect alike */
	bool group;
};

static void *
from_index(size_t i)
{
	return (void *)(uintptr_t)(i + 1);
}

static size_t
to_index(const void *value)
{
	return (size_t)(uintptr_t)value - 1;
}

/* ---- ends ---- */

static int
compare_ends(const void *a, const void *b)
{
	const struct conn_end *x = *(const struct conn_end *const *)a;
	const struct conn_end *y = *(const struct conn_end *const *)b;
	int order;

	if ((x->kind == CONN_END_EXTERNAL) != (y->kind == CONN_END_EXTERNAL))
		return x->kind == CONN_END_EXTERNAL ? -1 : 1;
	if (x->kind != CONN_END_EXTERNAL)
		return str_cmp(x->display, y->display);
	order = ip_cmp(&x->first, &y->first);
	return order != 0 ? order : ip_cmp(&x->last, &y->last);
}

static void
add_end(struct builder *b, const struct conn_end *end)
{
	struct graph *g = b->g;

	if (map_get(&b->end_index, end->display) != NULL)
		return;
	(void)map_set(&b->end_index, end->display, from_index(0));
	g->ends[g->end_count++] = end;
}

/* What nobody reaches and what reaches nobody is worth seeing, too. */
static void
collect_ends(struct builder *b)
{
	const struct connectivity *c = b->connectivity;
	struct graph *g = b->g;

	g->ends = ARENA_ARRAY(
	    b->arena, 2 * c->count + b->m->workload_count, const struct conn_end *);
	for (size_t i = 0; i < c->count; i++) {
		add_end(b, c->items[i].src);
		add_end(b, c->items[i].dst);
	}
	for (size_t i = 0; i < b->m->workload_count; i++) {
		const struct workload *w = b->m->workloads[i];
		struct conn_end *end = ARENA_NEW(b->arena, struct conn_end);

		*end = (struct conn_end){.kind = CONN_END_WORKLOAD,
		    .workload = w,
		    .display = w->shape->display};
		if (!w->host_network)
			add_end(b, end);
	}
	if (g->end_count > 1)
		qsort(g->ends, g->end_count, sizeof(*g->ends), compare_ends);
	for (size_t i = 0; i < g->end_count; i++)
		(void)map_set(&b->end_index, g->ends[i]->display, from_index(i));
}

static size_t
index_of(const struct builder *b, const struct conn_end *end)
{
	return to_index(map_get(&b->end_index, end->display));
}

static void
collect_pairs(struct builder *b)
{
	const struct connectivity *c = b->connectivity;
	struct graph *g = b->g;

	g->pairs = ARENA_ARRAY(b->arena, c->count, struct graph_pair);
	for (size_t i = 0; i < c->count; i++)
		g->pairs[g->pair_count++] = (struct graph_pair){
		    .src = index_of(b, c->items[i].src),
		    .dst = index_of(b, c->items[i].dst),
		    .set = c->items[i].set,
		};
}

/* ---- boxes ---- */

static size_t
add_space(struct builder *b, const struct ns *ns, struct str title, size_t parent)
{
	struct graph *g = b->g;

	(void)map_set(&b->space_index, title, from_index(g->space_count));
	g->spaces[g->space_count] =
	    (struct graph_space){.ns = ns, .title = title, .parent = parent};
	return g->space_count++;
}

/* The box of a namespace, made with those around it. */
static size_t
space_of(struct builder *b, const struct ns *ns)
{
	const void *known = map_get(&b->space_index, ns->path);
	size_t parent = SIZE_MAX;

	if (known != NULL)
		return to_index(known);
	if (ns->parent != NULL)
		parent = space_of(b, ns->parent);
	return add_space(b, ns, ns->path, parent);
}

static size_t
space_named(struct builder *b, const char *title)
{
	const void *known = map_get(&b->space_index, str_from(title));

	return known != NULL ? to_index(known)
			     : add_space(b, NULL, str_from(title), SIZE_MAX);
}

static size_t
space_of_end(struct builder *b, const struct conn_end *end)
{
	switch (end->kind) {
	case CONN_END_EXTERNAL:
		return space_named(b, "outside");
	case CONN_END_NODE:
		return space_named(b, "nodes");
	case CONN_END_WORKLOAD:
		break;
	}
	return space_of(b, end->workload->ns);
}

/* ---- cards ---- */

static uint64_t
mix(uint64_t a, uint64_t b)
{
	uint64_t x = a * UINT64_C(0x9e3779b97f4a7c15) ^ b;

	x ^= x >> 29;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	return x ^ (x >> 32);
}

/* Sums over each end's connections, which do not depend on their order. An end of the
 * same box counts by its box alone: those of a group reach each other. */
static void
find_alike(struct builder *b, const size_t *spaces)
{
	struct graph *g = b->g;

	for (size_t i = 0; i < g->pair_count; i++) {
		const struct graph_pair *p = &g->pairs[i];
		bool own = spaces[p->src] == spaces[p->dst];
		uint64_t ports = map_hash(str_from(p->set->text));
		uint64_t src = own ? mix(1, spaces[p->src]) : mix(2, p->src);
		uint64_t dst = own ? mix(1, spaces[p->dst]) : mix(2, p->dst);

		b->alike[p->src] += mix(mix(3, ports), dst);
		b->alike[p->dst] += mix(mix(4, ports), src);
	}
}

struct candidate {
	size_t end, space;
	uint64_t alike;
};

static int
compare_candidates(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->space != y->space)
		return x->space < y->space ? -1 : 1;
	if (x->alike != y->alike)
		return x->alike < y->alike ? -1 : 1;
	return x->end < y->end ? -1 : x->end > y->end;
}

/* "10.0.0.0-10.255.255.255[External]" is 10.0.0.0/8. */
static struct str
range_title(struct arena *a, const struct conn_end *end)
{
	char text[IP_TEXT_BYTES];

	for (unsigned len = 0; len <= ip_bits(end->first.family); len++) {
		struct ip_prefix p = {.addr = end->first, .len = (uint8_t)len};
		struct ip_addr first, last;

		ip_prefix_range(&p, &first, &last);
		if (ip_cmp(&first, &end->first) == 0 && ip_cmp(&last, &end->last) == 0)
			return str_from(
			    arena_printf(a, "%s", ip_prefix_format(&p, text)));
	}
	return str_slice(end->display, 0, str_find(end->display, '[', 0));
}

/* Its own name: the box says the rest. */
static struct str
end_title(struct arena *a, const struct conn_end *end)
{
	if (end->kind == CONN_END_EXTERNAL)
		return range_title(a, end);
	if (end->kind == CONN_END_NODE)
		return end->node->name;
	return end->workload->shape->owner_len > 0 && !end->workload->host_network
		   ? workload_owner(end->workload)
		   : end->workload->name;
}

/* The ExternalNetwork that all of a card's ranges are in, or NULL. */
static const struct external_network *
external_of(const struct model *m, const struct graph_card *card)
{
	for (size_t i = 0; i < m->external_count; i++) {
		const struct external_network *e = m->externals[i];
		size_t within = 0;

		for (size_t j = 0; j < card->count; j++) {
			for (size_t k = 0; k < e->prefix_count; k++) {
				struct ip_addr first, last;

				ip_prefix_range(&e->prefixes[k], &first, &last);
				if (ip_cmp(&first, &card->members[j]->first) <= 0 &&
				    ip_cmp(&last, &card->members[j]->last) >= 0) {
					within++;
					break;
				}
			}
		}
		if (within == card->count)
			return e;
	}
	return NULL;
}

static bool
is_first_address(const struct ip_addr *addr)
{
	struct ip_prefix all = {.addr = {.family = addr->family}};
	struct ip_addr first, last;

	ip_prefix_range(&all, &first, &last);
	return ip_cmp(&first, addr) == 0;
}

static struct str
ranges_title(struct arena *a, const struct graph_card *card)
{
	const struct conn_end *first = card->members[0];

	if (card->count == 1)
		return range_title(a, first);
	if (is_first_address(&first->first))
		return first->first.family !=
			       card->members[card->count - 1]->first.family
			   ? STR("the rest")
		       : first->first.family == IP_V4 ? STR("the rest of IPv4")
						      : STR("the rest of IPv6");
	return str_from(arena_printf(
	    a, "%.*s +%zu", STR_ARG(range_title(a, first)), card->count - 1));
}

static struct str
card_title(const struct builder *b, const struct graph_card *card)
{
	struct str first = end_title(b->arena, card->members[0]);
	const struct external_network *e;

	if (card->members[0]->kind == CONN_END_EXTERNAL) {
		e = external_of(b->m, card);
		return e != NULL ? e->name : ranges_title(b->arena, card);
	}
	if (card->count == 1)
		return first;
	return str_from(
	    arena_printf(b->arena, "%.*s +%zu", STR_ARG(first), card->count - 1));
}

static int
compare_cards(const void *a, const void *b)
{
	const struct graph_card *x = a, *y = b;

	if (x->space != y->space)
		return x->space < y->space ? -1 : 1;
	return compare_ends(&x->members[0], &y->members[0]);
}

static void
make_cards(struct builder *b, const struct candidate *list)
{
	struct graph *g = b->g;

	g->cards = ARENA_ARRAY(b->arena, g->end_count, struct graph_card);
	for (size_t i = 0; i < g->end_count; i++) {
		const struct candidate *c = &list[i];
		const struct conn_end *end = g->ends[c->end];
		bool joins = i > 0 && list[i - 1].space == c->space &&
			     list[i - 1].alike == c->alike &&
			     (b->group || end->kind == CONN_END_EXTERNAL);
		struct graph_card *card;

		if (!joins) {
			card = &g->cards[g->card_count++];
			card->space = c->space;
			card->members = ARENA_ARRAY(
			    b->arena, g->end_count - i, const struct conn_end *);
		}
		card = &g->cards[g->card_count - 1];
		card->members[card->count++] = end;
	}
	if (g->card_count > 1)
		qsort(g->cards, g->card_count, sizeof(*g->cards), compare_cards);
	for (size_t i = 0; i < g->card_count; i++) {
		struct graph_card *card = &g->cards[i];

		card->title = card_title(b, card);
		g->grouped = g->grouped || (card->count > 1 && card->members[0]->kind !=
								   CONN_END_EXTERNAL);
		for (size_t j = 0; j < card->count; j++)
			g->end_cards[index_of(b, card->members[j])] = i;
		for (size_t s = card->space; s != SIZE_MAX; s = g->spaces[s].parent)
			g->spaces[s].card_count++;
	}
}

static void
group_ends(struct builder *b)
{
	struct graph *g = b->g;
	size_t *spaces = ARENA_ARRAY(b->arena, g->end_count, size_t);
	struct candidate *list = ARENA_ARRAY(b->arena, g->end_count, struct candidate);
	size_t room = 2;

	for (size_t i = 0; i < g->end_count; i++) {
		const struct ns *ns = g->ends[i]->kind == CONN_END_WORKLOAD
					  ? g->ends[i]->workload->ns
					  : NULL;

		room += ns != NULL ? ns->depth + 1 : 0;
	}
	g->spaces = ARENA_ARRAY(b->arena, room, struct graph_space);
	g->end_cards = ARENA_ARRAY(b->arena, g->end_count, size_t);
	b->alike = ARENA_ARRAY(b->arena, g->end_count, uint64_t);
	for (size_t i = 0; i < g->end_count; i++)
		spaces[i] = space_of_end(b, g->ends[i]);
	find_alike(b, spaces);
	for (size_t i = 0; i < g->end_count; i++)
		list[i] = (struct candidate){i, spaces[i], b->alike[i]};
	if (g->end_count > 1)
		qsort(list, g->end_count, sizeof(*list), compare_candidates);
	make_cards(b, list);
}

/* ---- rows and edges ---- */

struct pair_key {
	size_t dst_card, src_card, pair;
	const char *ports;
};

/* By the card that is reached, its ports, and the card that reaches it. */
static int
compare_keys(const void *a, const void *b)
{
	const struct pair_key *x = a, *y = b;
	int order;

	if (x->dst_card != y->dst_card)
		return x->dst_card < y->dst_card ? -1 : 1;
	order = strcmp(x->ports, y->ports);
	if (order != 0)
		return order;
	if (x->src_card != y->src_card)
		return x->src_card < y->src_card ? -1 : 1;
	return x->pair < y->pair ? -1 : x->pair > y->pair;
}

/* The cards that reach one row, and the boxes that stand for all of theirs. */
struct cover {
	struct builder *b;
	size_t row, dst;
	bool *reaches;    /* of each card */
	size_t *counts;   /* of each box: cards in it that reach the row */
	size_t *edges;    /* of each card: its edge */
	size_t *of_space; /* of each box: its edge */
};

static size_t
add_edge(struct builder *b, enum graph_place place, size_t from, size_t row)
{
	struct graph *g = b->g;

	g->edges[g->edge_count] =
	    (struct graph_edge){.place = place, .from = from, .row = row};
	return g->edge_count++;
}

/* The outermost box all of whose cards, but the one that is reached, reach the row. */
static size_t
whole_space(const struct cover *c, size_t card)
{
	const struct graph *g = c->b->g;
	size_t best = SIZE_MAX;

	for (size_t s = g->cards[card].space; s != SIZE_MAX; s = g->spaces[s].parent) {
		size_t all = g->spaces[s].card_count;

		for (size_t d = g->cards[c->dst].space; d != SIZE_MAX;
		     d = g->spaces[d].parent)
			all -= d == s && !c->reaches[c->dst];
		if (c->counts[s] == all && all > 1)
			best = s;
	}
	return best;
}

static void
cover_row(struct cover *c, const struct pair_key *keys, size_t count)
{
	struct graph *g = c->b->g;

	for (size_t i = 0; i < count; i++) {
		size_t card = keys[i].src_card;

		for (size_t s = g->cards[card].space;
		     !c->reaches[card] && s != SIZE_MAX; s = g->spaces[s].parent)
			c->counts[s]++;
		c->reaches[card] = true;
	}
	for (size_t i = 0; i < count; i++) {
		struct graph_pair *p = &g->pairs[keys[i].pair];
		size_t card = keys[i].src_card;
		size_t space = whole_space(c, card);

		if (space != SIZE_MAX && c->of_space[space] == SIZE_MAX)
			c->of_space[space] = add_edge(c->b, GRAPH_SPACE, space, c->row);
		if (space == SIZE_MAX && c->edges[card] == SIZE_MAX)
			c->edges[card] = add_edge(c->b, GRAPH_CARD, card, c->row);
		p->edge = space != SIZE_MAX ? c->of_space[space] : c->edges[card];
	}
}

static void
make_row(struct cover *c, const struct pair_key *keys, size_t count)
{
	struct graph *g = c->b->g;
	struct graph_card *card = &g->cards[keys[0].dst_card];

	c->row = g->row_count++;
	c->dst = keys[0].dst_card;
	g->rows[c->row] =
	    (struct graph_row){.set = g->pairs[keys[0].pair].set, .card = c->dst};
	if (card->row_count++ == 0)
		card->first_row = c->row;
	for (size_t s = 0; s < g->space_count; s++) {
		c->of_space[s] = SIZE_MAX;
		c->counts[s] = 0;
	}
	for (size_t i = 0; i < g->card_count; i++) {
		c->reaches[i] = false;
		c->edges[i] = SIZE_MAX;
	}
	cover_row(c, keys, count);
}

static bool
same_row(const struct pair_key *a, const struct pair_key *b)
{
	return a->dst_card == b->dst_card && strcmp(a->ports, b->ports) == 0;
}

static void
make_rows(struct builder *b)
{
	struct graph *g = b->g;
	struct pair_key *keys = ARENA_ARRAY(b->arena, g->pair_count, struct pair_key);
	struct cover c = {
	    .b = b,
	    .reaches = ARENA_ARRAY(b->arena, g->card_count, bool),
	    .counts = ARENA_ARRAY(b->arena, g->space_count, size_t),
	    .edges = ARENA_ARRAY(b->arena, g->card_count, size_t),
	    .of_space = ARENA_ARRAY(b->arena, g->space_count, size_t),
	};

	g->rows = ARENA_ARRAY(b->arena, g->pair_count, struct graph_row);
	g->edges = ARENA_ARRAY(b->arena, g->pair_count, struct graph_edge);
	for (size_t i = 0; i < g->pair_count; i++) {
		const struct graph_pair *p = &g->pairs[i];

		keys[i] = (struct pair_key){
		    g->end_cards[p->dst], g->end_cards[p->src], i, p->set->text};
	}
	if (g->pair_count > 1)
		qsort(keys, g->pair_count, sizeof(*keys), compare_keys);
	for (size_t from = 0, to = 0; from < g->pair_count; from = to) {
		for (to = from + 1;
		     to < g->pair_count && same_row(&keys[from], &keys[to]); to++)
			;
		make_row(&c, &keys[from], to - from);
	}
}

void
graph_build(struct arena *arena, const struct model *m,
    const struct connectivity *connectivity, bool group, struct graph *out)
{
	struct builder b = {.arena = arena,
	    .m = m,
	    .connectivity = connectivity,
	    .g = out,
	    .group = group};

	*out = (struct graph){0};
	collect_ends(&b);
	collect_pairs(&b);
	group_ends(&b);
	make_rows(&b);
	graph_layout(arena, out);
	map_fini(&b.end_index);
	map_fini(&b.space_index);
}
