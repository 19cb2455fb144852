/*
 * Sides met with classes. For each column (destinations that are alike to everybody) the
 * sources are cut twice: by what they may send there, and by what is let in. Both cuts
 * are `rest and exceptions`, so that work follows what policy names, not pairs.
 */
#include <stdlib.h>
#include <string.h>

#include "policy-lang/connectivity_builder.h"

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
 * few: they are looked through. Takes the bitmap. */
static void
parts_add(
    struct conn_parts *parts, const struct conn_value *value, roaring_bitmap_t *bits)
{
	size_t i = 0;

	if (value_empty(value)) {
		roaring_bitmap_free(bits);
		return;
	}
	while (i < parts->count && parts->items[i].value != value)
		i++;
	if (i < parts->count) {
		roaring_bitmap_or_inplace(parts->items[i].bits, bits);
		roaring_bitmap_free(bits);
		return;
	}
	if (parts->count == parts->cap) {
		parts->cap = parts->cap == 0 ? 4 : 2 * parts->cap;
		parts->items =
		    xreallocarray(parts->items, parts->cap, sizeof(*parts->items));
	}
	parts->items[parts->count++] = (struct conn_part){value, bits};
}

void
conn_parts_fini(struct conn_parts *parts)
{
	for (size_t i = 0; i < parts->count; i++)
		roaring_bitmap_free(parts->items[i].bits);
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
static roaring_bitmap_t *
atoms_of_classes(struct conn_builder *b, const roaring_bitmap_t *classes)
{
	b->room_count = 0;
	(void)roaring_iterate(classes, add_class_atoms, b); /* never stopped */
	return conn_bitmap_of(&b->sieve, b->room, b->room_count);
}

/* By what the view lets in. */
static const struct conn_parts *
let_in(struct conn_builder *b, const struct conn_view *view)
{
	struct conn_parts *parts = &b->let_in[view->index];
	roaring_bitmap_t *rest = NULL;

	if (b->let_in_known[view->index])
		return parts;
	b->let_in_known[view->index] = true;
	if (!value_empty(view->rest))
		rest = conn_some(roaring_bitmap_copy(b->all));
	for (size_t i = 0; i < view->count; i++) {
		roaring_bitmap_t *atoms;

		if (rest == NULL && value_empty(view->exceptions[i].value))
			continue;
		atoms = atoms_of_classes(b, view->exceptions[i].classes);
		if (rest != NULL)
			roaring_bitmap_andnot_inplace(rest, atoms);
		parts_add(parts, view->exceptions[i].value, atoms);
	}
	if (rest != NULL)
		parts_add(parts, view->rest, rest);
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
	roaring_bitmap_t *special;

	if (b->sent_class == class)
		return parts;
	conn_parts_fini(parts);
	b->sent_class = class;
	special = conn_some(roaring_bitmap_create());
	for (uint32_t i = b->mention_first[class]; i < b->mention_first[class + 1];
	     i++) {
		const struct conn_mention *mention = &b->mentions[i];
		const roaring_bitmap_t *atoms = b->by_view[mention->view];

		parts_add(parts, mention->value, conn_some(roaring_bitmap_copy(atoms)));
		if (!value_empty(plane->views[mention->view]->rest))
			roaring_bitmap_or_inplace(special, atoms);
	}
	for (size_t i = 0; i < b->rests.count; i++) {
		roaring_bitmap_t *others =
		    roaring_bitmap_is_empty(special)
			? roaring_bitmap_copy(b->rests.items[i].bits)
			: roaring_bitmap_andnot(b->rests.items[i].bits, special);

		parts_add(parts, b->rests.items[i].value, conn_some(others));
	}
	roaring_bitmap_free(special);
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
	for (size_t i = 0; i < plane->view_count; i++)
		parts_add(&b->rests, plane->views[i]->rest,
		    conn_some(roaring_bitmap_copy(b->by_view[i])));
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
	struct {
		const struct conn_value *out, *in;
		uintptr_t families;
	} pair = {out, in, families};
	struct str key = {(const char *)&pair, sizeof(pair)};
	const struct conn_set **kept = map_get(&b->met, key);
	const struct conn_set *all = NULL;

	if (kept != NULL)
		return *kept;
	for (unsigned f = 0; f < CONN_FAMILIES; f++) {
		const struct conn_set *set;

		if ((families & 1u << f) == 0 || ((families & 1u) != 0 && f > 0))
			continue;
		set = conn_set_meet(b->world->pool, out->sets[f], in->sets[f]);
		all = all == NULL ? set : conn_set_join(b->world->pool, all, set);
	}
	kept = ARENA_NEW(b->r->arena, const struct conn_set *);
	*kept = conn_told(b, all);
	(void)map_set(&b->met, str_dup(b->r->arena, key), kept); /* new */
	return *kept;
}

/* Sources of one column by set, before they become cells. */
struct gathered {
	const struct conn_set *set;
	roaring_bitmap_t *bits;
};

struct gathering {
	struct gathered *items;
	size_t count, cap;
};

static void
gather(struct gathering *g, const struct conn_set *set, roaring_bitmap_t *bits)
{
	if (roaring_bitmap_is_empty(bits)) {
		roaring_bitmap_free(bits);
		return;
	}
	for (size_t i = 0; i < g->count; i++) {
		if (g->items[i].set == set) {
			roaring_bitmap_or_inplace(g->items[i].bits, bits);
			roaring_bitmap_free(bits);
			return;
		}
	}
	if (g->count == g->cap) {
		g->cap = g->cap == 0 ? 8 : 2 * g->cap;
		g->items = xreallocarray(g->items, g->cap, sizeof(*g->items));
	}
	g->items[g->count++] = (struct gathered){set, bits};
}

/* The sources that may come from one part, of every kind of families. Mostly they are told
 * alike, whatever their families. */
static void
gather_meeting(struct conn_builder *b, struct gathering *g,
    const struct conn_receiver *d, const struct conn_part *out,
    const struct conn_value *in, const roaring_bitmap_t *bits)
{
	const struct conn_set *sets[1 << CONN_FAMILIES];
	roaring_bitmap_t *sources;
	bool any = false, alike = true;

	for (unsigned i = 0; i < b->kind_count; i++) {
		sets[i] = meet(b, out->value, in, b->kinds[i] & d->families);
		any |= sets[i] != NULL;
		alike &= sets[i] == sets[0];
	}
	if (!any)
		return;
	sources = conn_some(roaring_bitmap_and(bits, out->bits));
	if (alike) {
		gather(g, sets[0], sources);
		return;
	}
	for (unsigned i = 0; i < b->kind_count; i++) {
		if (sets[i] != NULL)
			gather(g, sets[i],
			    conn_some(roaring_bitmap_and(
				sources, b->by_families[b->kinds[i]])));
	}
	roaring_bitmap_free(sources);
}

/* A node's ways to nodes, or to what runs on their network, are nobody's business here. */
static void
drop_unlisted(
    const struct conn_builder *b, const struct conn_receiver *d, roaring_bitmap_t *bits)
{
	if (d->kind == CONN_KIND_WORKLOAD)
		return;
	roaring_bitmap_andnot_inplace(bits, b->by_kind[CONN_KIND_NODE]);
	if (d->kind == CONN_KIND_NODE)
		roaring_bitmap_andnot_inplace(bits, b->by_kind[CONN_KIND_HOST]);
}

static void
gather_column(
    struct conn_builder *b, struct gathering *g, const struct conn_receiver *d)
{
	const struct conn_parts *out = sent_to(b, d->egress_class);
	const struct conn_parts *in = let_in(b, d->ingress);
	bool plain = d->own == 0 && d->kind == CONN_KIND_WORKLOAD;

	for (size_t i = 0; i < in->count; i++) {
		roaring_bitmap_t *bits = in->items[i].bits;

		if (!plain) {
			bits = conn_some(roaring_bitmap_copy(bits));
			if (d->own != 0)
				roaring_bitmap_andnot_inplace(bits, b->own[d->own]);
			drop_unlisted(b, d, bits);
		}
		for (size_t j = 0; j < out->count; j++)
			gather_meeting(
			    b, g, d, &out->items[j], in->items[i].value, bits);
		if (!plain)
			roaring_bitmap_free(bits);
	}
	/* Its own node reaches a workload always, whatever policy there is for either. */
	if (d->own != 0) {
		const struct conn_part all = {b->everything, b->all};
		roaring_bitmap_t *own = conn_some(roaring_bitmap_copy(b->own[d->own]));

		drop_unlisted(b, d, own);
		gather_meeting(b, g, d, &all, b->everything, own);
		roaring_bitmap_free(own);
	}
}

static int
cell_cmp(const void *a, const void *b)
{
	const struct conn_cell *x = a, *y = b;

	return strcmp(x->set->text != NULL ? x->set->text : "",
	    y->set->text != NULL ? y->set->text : "");
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
		column->cells[i].sources = conn_relation_set(b->r, g.items[i].bits);
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
