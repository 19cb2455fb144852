/*
 * Places cards in their boxes and boxes in each other, in rows from the left, each box
 * about as wide as it is high. Wide gaps between them are for the edges.
 */
#include "policy-lang/connectivity/graph_internal.h"

#include <math.h>
#include <stdlib.h>

#define MARGIN   16.0
#define PAD      18.0
#define TITLE    26.0
#define GAP_X    56.0
#define GAP_Y    24.0
#define ASPECT   1.7
#define CARD_MIN 110.0

/* A card or a box in a box. */
struct item {
	struct graph_box *box;
};

struct layouter {
	struct graph *g;
	struct arena *arena;
};

static size_t
shown(struct str text)
{
	size_t chars = 0;

	for (size_t i = 0; i < text.len; i++)
		chars += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
	return chars < GRAPH_CARD_MAX ? chars : GRAPH_CARD_MAX;
}

static void
size_card(struct graph *g, struct graph_card *card)
{
	double width = (double)shown(card->title) * GRAPH_CHAR + 24;

	for (size_t i = 0; i < card->row_count; i++) {
		struct str text = graph_row_text(&g->rows[card->first_row + i]);
		double row = (double)shown(text) * GRAPH_CHAR + 24;

		width = row > width ? row : width;
	}
	card->box.w = width < CARD_MIN ? CARD_MIN : width;
	card->box.h = GRAPH_HEAD + GRAPH_ROW * (double)card->row_count +
		      (card->row_count > 0 ? 4 : 2);
}

/* Relative to the box that they are in; `column`: one below the other. */
static void
pack(const struct item *items, size_t count, bool column, struct graph_box *around)
{
	double area = 0, widest = 0, target, x = PAD, y = TITLE + 4, tallest = 0,
	       right = 0;

	for (size_t i = 0; i < count; i++) {
		area += (items[i].box->w + GAP_X) * (items[i].box->h + GAP_Y);
		if (items[i].box->w > widest)
			widest = items[i].box->w;
	}
	target = column ? 0 : sqrt(area * ASPECT);
	if (target < widest)
		target = widest;
	for (size_t i = 0; i < count; i++) {
		struct graph_box *box = items[i].box;

		if (x > PAD && x + box->w > PAD + target) {
			x = PAD;
			y += tallest + GAP_Y;
			tallest = 0;
		}
		box->x = x;
		box->y = y;
		x += box->w + GAP_X;
		if (box->h > tallest)
			tallest = box->h;
		if (box->x + box->w > right)
			right = box->x + box->w;
	}
	around->w = right + PAD;
	around->h = y + tallest + PAD;
}

static int
compare_spaces(const void *a, const void *b)
{
	const struct graph_space *x = *(const struct graph_space *const *)a;
	const struct graph_space *y = *(const struct graph_space *const *)b;

	return str_cmp(x->title, y->title);
}

/* The boxes in one, by title; "outside" is left of "/" because people read so. */
static struct graph_space **
children_of(struct layouter *l, size_t parent, size_t *out_count)
{
	struct graph *g = l->g;
	struct graph_space **list =
	    ARENA_ARRAY(l->arena, g->space_count, struct graph_space *);
	size_t count = 0;

	for (size_t i = 0; i < g->space_count; i++) {
		if (g->spaces[i].parent == parent)
			list[count++] = &g->spaces[i];
	}
	if (count > 1)
		qsort(list, count, sizeof(struct graph_space *), compare_spaces);
	*out_count = count;
	return list;
}

static void
layout_space(struct layouter *l, size_t space)
{
	struct graph *g = l->g;
	struct item *items =
	    ARENA_ARRAY(l->arena, g->card_count + g->space_count, struct item);
	struct graph_space **children;
	size_t count = 0, child_count;

	for (size_t i = 0; i < g->card_count; i++) {
		if (g->cards[i].space == space)
			items[count++].box = &g->cards[i].box;
	}
	children = children_of(l, space, &child_count);
	for (size_t i = 0; i < child_count; i++) {
		layout_space(l, (size_t)(children[i] - g->spaces));
		items[count++].box = &children[i]->box;
	}
	if (count == 1 && child_count == 1 && g->spaces[space].parent != SIZE_MAX) {
		g->spaces[space].hidden = true;
		g->spaces[space].box = children[0]->box;
		children[0]->box.x = children[0]->box.y = 0;
		return;
	}
	pack(items, count, g->spaces[space].ns == NULL, &g->spaces[space].box);
	if (g->spaces[space].box.w <
	    (double)g->spaces[space].title.len * GRAPH_CHAR + 2 * PAD)
		g->spaces[space].box.w =
		    (double)g->spaces[space].title.len * GRAPH_CHAR + 2 * PAD;
}

/* From places in a box to places in the picture; boxes come before what is in them. */
static void
make_absolute(struct graph *g)
{
	for (size_t i = 0; i < g->space_count; i++) {
		struct graph_space *s = &g->spaces[i];

		if (s->parent != SIZE_MAX) {
			s->box.x += g->spaces[s->parent].box.x;
			s->box.y += g->spaces[s->parent].box.y;
		}
	}
	for (size_t i = 0; i < g->card_count; i++) {
		struct graph_card *card = &g->cards[i];

		card->box.x += g->spaces[card->space].box.x;
		card->box.y += g->spaces[card->space].box.y;
		for (size_t j = 0; j < card->row_count; j++)
			g->rows[card->first_row + j].y =
			    card->box.y + GRAPH_HEAD + GRAPH_ROW * ((double)j + 0.5);
	}
}

/* What has no box around it stands side by side: the outside, the tree, the nodes. */
static void
layout_top(struct layouter *l)
{
	static const char *const order[] = {"outside", "/", "nodes"};
	struct graph *g = l->g;
	double x = MARGIN, bottom = 0;

	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		for (size_t s = 0; s < g->space_count; s++) {
			struct graph_space *space = &g->spaces[s];

			if (space->parent != SIZE_MAX ||
			    !str_is(space->title, order[i]))
				continue;
			layout_space(l, s);
			space->box.x = x;
			space->box.y = MARGIN;
			x += space->box.w + GAP_X * 1.6;
			if (space->box.h > bottom)
				bottom = space->box.h;
		}
	}
	g->width = x > MARGIN ? x - GAP_X * 1.6 + MARGIN : 2 * MARGIN;
	g->height = bottom + 2 * MARGIN;
}

void
graph_layout(struct arena *arena, struct graph *g)
{
	struct layouter l = {.g = g, .arena = arena};

	for (size_t i = 0; i < g->card_count; i++)
		size_card(g, &g->cards[i]);
	layout_top(&l);
	make_absolute(g);
}
