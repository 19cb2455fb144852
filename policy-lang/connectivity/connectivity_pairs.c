/*
 * Rectangles expanded: every pair, in order, one source at a time, so that what is kept is
 * never more than one source's destinations.
 */
#include <roaring/roaring.h>
#include <stdlib.h>

#include "policy-lang/connectivity/connectivity_relation.h"

struct pair {
	uint32_t dst; /* party */
	const struct conn_set *set;
};

/* The lines that an atom is a source of. */
struct atom_lines {
	uint32_t *items;
	size_t count, cap;
};

struct expander {
	const struct conn_relation *r;
	conn_pair_fn *each;
	void *ctx;
	struct atom_lines *lines; /* by atom */
	struct pair *pairs;
	size_t count, cap;
};

static int
pair_cmp(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;

	return (x->dst > y->dst) - (x->dst < y->dst);
}

static void
add_pair(struct expander *e, uint32_t dst, const struct conn_set *set)
{
	if (e->count == e->cap) {
		e->cap = e->cap == 0 ? 1024 : 2 * e->cap;
		e->pairs = xreallocarray(e->pairs, e->cap, sizeof(*e->pairs));
	}
	e->pairs[e->count++] = (struct pair){dst, set};
}

static void
add_parties(
    struct expander *e, uint32_t set, uint32_t self, const struct conn_set *conn)
{
	roaring_uint32_iterator_t *it = roaring_create_iterator(e->r->sets[set]->bits);

	if (it == NULL)
		base_die("out of memory");
	for (; it->has_value; roaring_advance_uint32_iterator(it)) {
		const struct conn_atom *atom = e->r->atoms[it->current_value];

		for (uint32_t i = 0; i < atom->party_count; i++) {
			if (atom->parties[i] != self)
				add_pair(e, atom->parties[i], conn);
		}
	}
	roaring_free_uint32_iterator(it);
}

static const struct conn_end *
end_of(const struct expander *e, uint32_t party)
{
	return e->r->world->parties[party].end;
}

/* Lines from outside are sorted by range; those of one range are each other's neighbours,
 * and its destinations are told together, in order. */
static size_t
expand_range(struct expander *e, size_t first)
{
	const struct conn_end *range = e->r->lines[first].outside;
	size_t i = first;

	e->count = 0;
	for (; i < e->r->line_count && e->r->lines[i].src == CONN_OUTSIDE &&
	       e->r->lines[i].outside == range;
	     i++)
		add_parties(e, e->r->lines[i].dst, UINT32_MAX, e->r->lines[i].set);
	if (e->count > 1)
		qsort(e->pairs, e->count, sizeof(*e->pairs), pair_cmp);
	for (size_t j = 0; j < e->count; j++)
		e->each(e->ctx, range, end_of(e, e->pairs[j].dst), e->pairs[j].set);
	return i;
}

static void
note_line(struct expander *e, uint32_t atom, size_t line)
{
	struct atom_lines *lines = &e->lines[atom];

	if (lines->count == lines->cap) {
		lines->cap = lines->cap == 0 ? 4 : 2 * lines->cap;
		lines->items =
		    xreallocarray(lines->items, lines->cap, sizeof(*lines->items));
	}
	lines->items[lines->count++] = (uint32_t)line;
}

static void
index_lines(struct expander *e)
{
	for (size_t i = 0; i < e->r->line_count; i++) {
		const struct conn_line *line = &e->r->lines[i];
		roaring_uint32_iterator_t *it;

		if (line->src == CONN_OUTSIDE)
			continue;
		it = roaring_create_iterator(e->r->sets[line->src]->bits);
		if (it == NULL)
			base_die("out of memory");
		for (; it->has_value; roaring_advance_uint32_iterator(it))
			note_line(e, it->current_value, i);
		roaring_free_uint32_iterator(it);
	}
}

/* Lines to outside stand behind all others, by range; they are told first. */
static void
expand_source(struct expander *e, uint32_t party)
{
	const struct atom_lines *lines = &e->lines[e->r->atom_of[party]];

	e->count = 0;
	for (size_t i = 0; i < lines->count; i++) {
		const struct conn_line *line = &e->r->lines[lines->items[i]];

		if (line->outside != NULL)
			e->each(e->ctx, end_of(e, party), line->outside, line->set);
		else
			add_parties(e, line->dst, party, line->set);
	}
	if (e->count > 1)
		qsort(e->pairs, e->count, sizeof(*e->pairs), pair_cmp);
	for (size_t i = 0; i < e->count; i++)
		e->each(e->ctx, end_of(e, party), end_of(e, e->pairs[i].dst),
		    e->pairs[i].set);
}

void
conn_relation_pairs(const struct conn_relation *relation, conn_pair_fn *each, void *ctx)
{
	struct expander e = {.r = relation, .each = each, .ctx = ctx};
	size_t i = 0;

	while (i < relation->line_count && relation->lines[i].src == CONN_OUTSIDE)
		i = expand_range(&e, i);
	e.lines = xcalloc((size_t)relation->atom_count + 1, sizeof(*e.lines));
	index_lines(&e);
	for (uint32_t p = 0; p < relation->world->party_count; p++) {
		if (relation->atom_of[p] != UINT32_MAX)
			expand_source(&e, p);
	}
	for (uint32_t a = 0; a < relation->atom_count; a++)
		free(e.lines[a].items);
	free(e.lines);
	free(e.pairs);
}
