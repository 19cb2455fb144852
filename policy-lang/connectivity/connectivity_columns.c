/*
 * Sides met with classes. For each column (destinations that are alike to everybody) the
 * sources are cut twice: by what they may send there, and by what is let in. Both cuts
 * are `rest and exceptions`, so that work follows what policy names, not pairs.
 */
#include <stdlib.h>
#include <string.h>

#include "policy-lang/connectivity/connectivity_builder.h"

/* ---- the two cuts of a column ---- */

static bool
value_empty(const struct conn_value *value)
{
	for (unsigned f = 0; f < CONN_FAMILIES; f++) {
		if (value->sets[f] != NULL && !conn_set_empty(value->sets[f]))
			return false;
	}
	return true;
}

/* Adds to the part of that value; what may not connect at all is in no part. Parts are
 * few: they are looked through. Takes what the atoms have. */
static void
parts_add(
    struct conn_parts *parts, const struct conn_value *value, struct conn_lot *atoms)
{
	size_t i = 0;

	if (value_empty(value)) {
		conn_lot_fini(atoms);
		return;
	}
	while (i < parts->count && parts->items[i].value != value)
		i++;
	if (i < parts->count) {
		conn_lot_add(&parts->items[i].atoms, atoms);
		conn_lot_fini(atoms);
		return;
	}
	if (parts->count == parts->cap) {
		parts->cap = parts->cap == 0 ? 2 : 2 * parts->cap;
		parts->items =
		    xreallocarray(parts->items, parts->cap, sizeof(*parts->items));
	}
	parts->items[parts->count++] = (struct conn_part){value, *atoms};
}

static void
parts_clear(struct conn_parts *parts)
{
	for (size_t i = 0; i < parts->count; i++)
		conn_lot_fini(&parts->items[i].atoms);
	parts->count = 0;
}

void
conn_parts_fini(struct conn_parts *parts)
{
	parts_clear(parts);
	free(parts->items);
	*parts = (struct conn_parts){0};
}

static bool
add_class_atoms(uint32_t class, void *ctx)
{
	struct conn_builder *b = ctx;
	const struct conn_atom_list *list = &b->by_class[class];

	for (size_t i = 0; i < list->count; i++)
		b->room[b->room_count++] = list->items[i];
	return true;
}

/* Each atom is of one class. */
static void
atoms_of_classes(
    struct conn_builder *b, const roaring_bitmap_t *classes, struct conn_lot *out)
{
	b->room_count = 0;
	(void)roaring_iterate(classes, add_class_atoms, b); /* never stopped */
	conn_numbers_sort(&b->sieve, b->room, b->room_count);
	conn_lot_list(out, b->room, b->room_count);
}

/* By what the view lets in. */
static const struct conn_parts *
let_in(struct conn_builder *b, const struct conn_view *view)
{
	struct conn_parts *parts = &b->let_in[view->index];
	bool some = !value_empty(view->rest);
	struct conn_lot rest;

	if (b->let_in_known[view->index])
		return parts;
	b->let_in_known[view->index] = true;
	conn_lot_borrow(&rest, &b->everybody);
	for (size_t i = 0; i < view->count; i++) {
		struct conn_lot atoms;

		if (!some && value_empty(view->exceptions[i].value))
			continue;
		atoms_of_classes(b, view->exceptions[i].classes, &atoms);
		if (some)
			conn_lot_drop(&rest, &atoms);
		parts_add(parts, view->exceptions[i].value, &atoms);
	}
	if (some)
		parts_add(parts, view->rest, &rest);
	return parts;
}

/* By what they may send to a class of receivers. Columns come by class: only the
 * last one is kept. Most views that say something special say nothing else: they are in no
 * rest, of which nothing need be taken then. */
static const struct conn_parts *
sent_to(struct conn_builder *b, uint32_t class)
{
	const struct conn_plane *plane = &b->world->planes[DIR_EGRESS];
	struct conn_parts *parts = &b->sent;
	struct conn_lot special = {0}, atoms;

	if (b->sent_class == class)
		return parts;
	parts_clear(parts);
	b->sent_class = class;
	for (uint32_t i = b->mention_first[class]; i < b->mention_first[class + 1];
	     i++) {
		const struct conn_mention *mention = &b->mentions[i];

		conn_lot_borrow(&atoms, &b->senders[mention->view]);
		parts_add(parts, mention->value, &atoms);
		if (!value_empty(plane->views[mention->view]->rest))
			conn_lot_add(&special, &b->senders[mention->view]);
	}
	for (size_t i = 0; i < b->rests.count; i++) {
		conn_lot_borrow(&atoms, &b->rests.items[i].atoms);
		conn_lot_drop(&atoms, &special);
		parts_add(parts, b->rests.items[i].value, &atoms);
	}
	conn_lot_fini(&special);
	return parts;
}

struct mention_maker {
	struct conn_builder *b;
	struct conn_mention mention;
	bool counting;
};

static bool
add_mention(uint32_t class, void *ctx)
{
	struct mention_maker *m = ctx;
	struct conn_builder *b = m->b;

	if (m->counting)
		b->mention_first[class + 2]++;
	else
		b->mentions[b->mention_first[class + 1]++] = m->mention;
	return true;
}

static void
each_mention(struct conn_builder *b, bool counting)
{
	const struct conn_plane *plane = &b->world->planes[DIR_EGRESS];
	struct mention_maker m = {.b = b, .counting = counting};

	for (uint32_t i = 0; i < plane->view_count; i++) {
		const struct conn_view *view = plane->views[i];

		for (size_t j = 0; j < view->count; j++) {
			m.mention = (struct conn_mention){i, view->exceptions[j].value};
			(void)roaring_iterate(view->exceptions[j].classes, add_mention,
			    &m); /* never stopped */
		}
	}
}

/* Which egress views say something special of each class. */
void
conn_columns_prepare(struct conn_builder *b)
{
	const struct conn_plane *plane = &b->world->planes[DIR_EGRESS];
	size_t classes = plane->party_class_count;

	b->room = xcalloc((size_t)b->r->atom_count + 1, sizeof(*b->room));
	for (unsigned f = 1; f < 1u << CONN_FAMILIES; f++) {
		if (roaring_bitmap_is_empty(b->by_families[f]))
			continue;
		(void)roaring_bitmap_run_optimize(b->by_families[f]);
		b->kinds[b->kind_count++] = f;
	}
	(void)roaring_bitmap_run_optimize(b->all);
	b->mention_first = xcalloc(classes + 2, sizeof(*b->mention_first));
	each_mention(b, true);
	for (size_t i = 2; i < classes + 2; i++)
		b->mention_first[i] += b->mention_first[i - 1];
	b->mentions =
	    xcalloc((size_t)b->mention_first[classes + 1] + 1, sizeof(*b->mentions));
	each_mention(b, false);
	b->everybody.bits = b->all;
	b->everybody.borrowed = true;
	b->senders = xcalloc(plane->view_count + 1, sizeof(*b->senders));
	for (size_t i = 0; i < plane->view_count; i++) {
		struct conn_lot atoms;

		conn_lot_list(&b->senders[i], b->by_view[i].items, b->by_view[i].count);
		conn_lot_borrow(&atoms, &b->senders[i]);
		parts_add(&b->rests, plane->views[i]->rest, &atoms);
	}
}

/* ---- columns ---- */

const struct conn_set *
conn_told(struct conn_builder *b, const struct conn_set *set)
{
	const struct conn_set **first;
	struct str key;

	if (set == NULL || conn_set_empty(set))
		return NULL;
	if (b->exact)
		return set;
	if (set->text == NULL)
		return NULL;
	key = str_from(set->text);
	first = map_get(&b->set_by_text, key);
	if (first == NULL) {
		first = ARENA_NEW(b->r->arena, const struct conn_set *);
		*first = set;
		(void)map_set(&b->set_by_text, key, first); /* new */
	}
	return *first;
}

/* Both ends in one flow, as the relation tells it; families that both can have, of which
 * the first stands alone if neither has an address. */
static const struct conn_set *
meet(struct conn_builder *b, const struct conn_value *out, const struct conn_value *in,
    unsigned families)
{
	const struct conn_set *all = NULL;

	for (unsigned f = 0; f < CONN_FAMILIES; f++) {
		const struct conn_set *set;

		if ((families & 1u << f) == 0 || ((families & 1u) != 0 && f > 0))
			continue;
		set = conn_set_meet(b->world->pool, out->sets[f], in->sets[f]);
		all = all == NULL ? set : conn_set_join(b->world->pool, all, set);
	}
	return conn_told(b, all);
}

/* The same, known for good. */
static const struct conn_set *
meet_once(struct conn_builder *b, const struct conn_value *out,
    const struct conn_value *in, unsigned families)
{
	struct {
		const struct conn_value *out, *in;
		uintptr_t families;
	} pair = {out, in, families};
	struct str key = {(const char *)&pair, sizeof(pair)};
	const struct conn_set **kept = map_get(&b->met, key);

	if (kept == NULL) {
		kept = ARENA_NEW(b->r->arena, const struct conn_set *);
		*kept = meet(b, out, in, families);
		(void)map_set(&b->met, str_dup(b->r->arena, key), kept); /* new */
	}
	return *kept;
}

static const struct conn_set *
met(struct conn_builder *b, const struct conn_value *out, const struct conn_value *in,
    unsigned families)
{
	uintptr_t place = ((uintptr_t)out >> 4) * 31 + ((uintptr_t)in >> 4) + families;
	struct conn_met *last = &b->met_last[place % CONN_MET_SLOTS];

	if (last->out != out || last->in != in || last->families != families)
		*last = (struct conn_met){
		    out, in, families, meet_once(b, out, in, families)};
	return last->set;
}

/* Sources of one column by set, before they become cells. */
struct gathered {
	const struct conn_set *set;
	struct conn_lot atoms;
};

struct gathering {
	struct gathered *items;
	size_t count, cap;
};

/* Takes what the atoms have. */
static void
gather(struct gathering *g, const struct conn_set *set, struct conn_lot *atoms)
{
	if (conn_lot_empty(atoms))
		return;
	for (size_t i = 0; i < g->count; i++) {
		if (g->items[i].set == set) {
			conn_lot_add(&g->items[i].atoms, atoms);
			conn_lot_fini(atoms);
			return;
		}
	}
	if (g->count == g->cap) {
		g->cap = g->cap == 0 ? 8 : 2 * g->cap;
		g->items = xreallocarray(g->items, g->cap, sizeof(*g->items));
	}
	g->items[g->count++] = (struct gathered){set, *atoms};
}

/* The sources that may come from one part, of every kind of families. Mostly they are told
 * alike, whatever their families. */
static void
gather_meeting(struct conn_builder *b, struct gathering *g,
    const struct conn_receiver *d, const struct conn_part *out,
    const struct conn_value *in, const struct conn_lot *atoms)
{
	const struct conn_set *sets[1 << CONN_FAMILIES];
	struct conn_lot sources, some;
	bool any = false, alike = true;

	for (unsigned i = 0; i < b->kind_count; i++) {
		sets[i] = met(b, out->value, in, b->kinds[i] & d->families);
		any |= sets[i] != NULL;
		alike &= sets[i] == sets[0];
	}
	if (!any)
		return;
	conn_lot_meet(atoms, &out->atoms, &sources);
	if (alike) {
		gather(g, sets[0], &sources);
		return;
	}
	for (unsigned i = 0; i < b->kind_count; i++) {
		if (sets[i] == NULL)
			continue;
		conn_lot_meet_bits(&sources, b->by_families[b->kinds[i]], &some);
		gather(g, sets[i], &some);
	}
	conn_lot_fini(&sources);
}

/* A node's ways to nodes, or to what runs on their network, are nobody's business here. */
static void
drop_unlisted(
    const struct conn_builder *b, const struct conn_receiver *d, struct conn_lot *atoms)
{
	if (d->kind == CONN_KIND_WORKLOAD)
		return;
	conn_lot_drop_bits(atoms, b->by_kind[CONN_KIND_NODE]);
	if (d->kind == CONN_KIND_NODE)
		conn_lot_drop_bits(atoms, b->by_kind[CONN_KIND_HOST]);
}

/* Its own node reaches a workload always, whatever policy there is for either. */
static void
gather_own(struct conn_builder *b, struct gathering *g, const struct conn_receiver *d)
{
	struct conn_part everything = {.value = b->everything};
	struct conn_lot own;

	conn_lot_borrow(&everything.atoms, &b->everybody);
	conn_lot_meet_bits(&everything.atoms, b->own[d->own], &own);
	drop_unlisted(b, d, &own);
	gather_meeting(b, g, d, &everything, b->everything, &own);
	conn_lot_fini(&own);
}

static void
gather_column(
    struct conn_builder *b, struct gathering *g, const struct conn_receiver *d)
{
	const struct conn_parts *out = sent_to(b, d->egress_class);
	const struct conn_parts *in = let_in(b, d->ingress);

	for (size_t i = 0; i < in->count; i++) {
		struct conn_lot atoms;

		conn_lot_borrow(&atoms, &in->items[i].atoms);
		if (d->own != 0)
			conn_lot_drop_bits(&atoms, b->own[d->own]);
		drop_unlisted(b, d, &atoms);
		for (size_t j = 0; j < out->count; j++)
			gather_meeting(
			    b, g, d, &out->items[j], in->items[i].value, &atoms);
		conn_lot_fini(&atoms);
	}
	if (d->own != 0)
		gather_own(b, g, d);
}

static int
cell_cmp(const void *a, const void *b)
{
	const struct conn_cell *x = a, *y = b;

	return strcmp(x->set->text != NULL ? x->set->text : "",
	    y->set->text != NULL ? y->set->text : "");
}

/* Takes what the atoms have. */
static uint32_t
set_of(struct conn_relation *r, struct conn_lot *atoms)
{
	if (atoms->bits != NULL)
		return conn_relation_set(r, conn_lot_give(atoms));
	return conn_relation_set_of(r, atoms->items, atoms->count);
}

static void
build_column(struct conn_builder *b, uint32_t index)
{
	struct conn_column *column = b->r->columns[index];
	struct gathering g = {0};

	gather_column(b, &g, &b->receivers[index]);
	column->cells = ARENA_ARRAY(b->r->arena, g.count, struct conn_cell);
	for (size_t i = 0; i < g.count; i++) {
		column->cells[i].set = g.items[i].set;
		column->cells[i].sources = set_of(b->r, &g.items[i].atoms);
	}
	column->cell_count = (uint32_t)g.count;
	if (g.count > 1)
		qsort(column->cells, g.count, sizeof(*column->cells), cell_cmp);
	free(g.items);
}

void
conn_columns_build(struct conn_builder *b)
{
	size_t classes = b->world->planes[DIR_EGRESS].party_class_count;
	uint32_t *first = xcalloc(classes + 2, sizeof(*first));
	uint32_t *order = xcalloc((size_t)b->r->column_count + 1, sizeof(*order));

	for (uint32_t i = 0; i < b->r->column_count; i++)
		first[b->receivers[i].egress_class + 1]++;
	for (size_t i = 1; i < classes + 1; i++)
		first[i] += first[i - 1];
	for (uint32_t i = 0; i < b->r->column_count; i++)
		order[first[b->receivers[i].egress_class]++] = i;
	for (uint32_t i = 0; i < b->r->column_count; i++)
		build_column(b, order[i]);
	free(first);
	free(order);
}
