/*
 * Draws the graph as SVG. Everything that a person may ask about has an id: s0 (boxes),
 * c0 (cards), r0 (rows), e0 (edges).
 */
#include "policy-lang/connectivity/graph_internal.h"

#include <math.h>

#define TENANTS 8

/* The colours of a picture that stands alone; the page has its own, of the same names. */
static const char style[] =
    "svg{--bg:#fff;--box:#f4f6f8;--line:#c3ccd5;--text:#17202a;--soft:#5b6875;"
    "--card:#fff;--t0:#2563eb;--t1:#b45309;--t2:#047857;--t3:#be185d;--t4:#6d28d9;"
    "--t5:#0e7490;--t6:#a16207;--t7:#b91c1c;--none:#64748b;background:var(--bg)}"
    "@media(prefers-color-scheme:dark){svg{--bg:#11161c;--box:#1a222b;--line:#3b4754;"
    "--text:#e8edf2;--soft:#9aa7b4;--card:#232d38;--t0:#7aa7ff;--t1:#f0a35e;"
    "--t2:#4fd1a5;--t3:#f48fb8;--t4:#b39bff;--t5:#5fd0e6;--t6:#e2c15c;--t7:#ff8f8f;"
    "--none:#94a3b8}}";

static const char shapes[] =
    "text{font:12px ui-monospace,Menlo,Consolas,\"DejaVu Sans Mono\",monospace;"
    "fill:var(--text)}"
    ".space rect{fill:var(--box);fill-opacity:.55;stroke:var(--line)}"
    ".space text{fill:var(--soft)}"
    ".card>rect{fill:var(--card);stroke:var(--line)}"
    ".card .name{font-weight:bold}.row text{fill:var(--soft)}"
    ".edge path{fill:none;stroke:var(--c);stroke-width:1.4;stroke-opacity:.75}"
    ".edge .hit{stroke-width:10;stroke-opacity:0}.edge circle,.edge "
    ".head{fill:var(--c);"
    "stroke:none}";

/* Text for XML and HTML, in attributes too. */
static void
graph_add_escaped(struct buf *out, struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		switch (c) {
		case '&':
			buf_add_cstr(out, "&amp;");
			break;
		case '<':
			buf_add_cstr(out, "&lt;");
			break;
		case '>':
			buf_add_cstr(out, "&gt;");
			break;
		case '"':
			buf_add_cstr(out, "&quot;");
			break;
		case '\'':
			buf_add_cstr(out, "&#39;");
			break;
		default:
			buf_add_char(out, (unsigned char)c < ' ' ? ' ' : c);
		}
	}
}

/* So much of a text as is shown; whole characters, and a mark where it is cut. */
static void
add_short(struct buf *out, struct str text)
{
	size_t chars = 0, end = 0;

	for (; end < text.len; end++) {
		if (((unsigned char)text.ptr[end] & 0xc0) == 0x80)
			continue;
		if (++chars >= GRAPH_SHORT_MAX)
			break;
	}
	graph_add_escaped(out, str_slice(text, 0, end));
	if (end < text.len)
		buf_add_cstr(out, "\xe2\x80\xa6");
}

struct str
graph_row_text(const struct graph_row *row)
{
	return str_from(row->set->text);
}

/* The colour of a card or box: that of its top-level namespace. */
static const char *
colour_of(const struct graph *g, size_t space)
{
	static const char *const names[TENANTS] = {
	    "t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7"};
	struct str title;
	size_t tenant = 0;

	while (g->spaces[space].parent != SIZE_MAX &&
	       g->spaces[g->spaces[space].parent].parent != SIZE_MAX)
		space = g->spaces[space].parent;
	if (g->spaces[space].parent == SIZE_MAX)
		return "none";
	title = g->spaces[space].title;
	for (size_t i = 0; i < g->space_count; i++) {
		const struct graph_space *s = &g->spaces[i];

		tenant += s->parent == g->spaces[space].parent &&
			  str_cmp(s->title, title) < 0;
	}
	return names[tenant % TENANTS];
}

static void
draw_space(struct buf *out, const struct graph *g, size_t i)
{
	const struct graph_space *s = &g->spaces[i];

	buf_printf(out,
	    "<g class=\"space\" id=\"s%zu\"><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
	    "height=\"%.1f\" rx=\"8\"/><text x=\"%.1f\" y=\"%.1f\">",
	    i, s->box.x, s->box.y, s->box.w, s->box.h, s->box.x + 12, s->box.y + 18);
	add_short(out, s->title);
	buf_add_cstr(out, "</text></g>\n");
}

static void
draw_members(struct buf *out, const struct graph_card *card)
{
	buf_add_cstr(out, "<title>");
	for (size_t i = 0; i < card->count && i < 20; i++) {
		if (i > 0)
			buf_add_cstr(out, "\n");
		graph_add_escaped(out, card->members[i]->display);
	}
	if (card->count > 20)
		buf_printf(out, "\nand %zu more", card->count - 20);
	buf_add_cstr(out, "</title>");
}

static void
draw_row(struct buf *out, const struct graph *g, size_t i)
{
	const struct graph_row *row = &g->rows[i];
	const struct graph_card *card = &g->cards[row->card];

	buf_printf(out, "<g class=\"row\" id=\"r%zu\"><title>reached on ", i);
	graph_add_escaped(out, graph_row_text(row));
	buf_printf(
	    out, "</title><text x=\"%.1f\" y=\"%.1f\">", card->box.x + 14, row->y + 4);
	add_short(out, graph_row_text(row));
	buf_add_cstr(out, "</text></g>");
}

static void
draw_card(struct buf *out, const struct graph *g, size_t i, bool page)
{
	const struct graph_card *card = &g->cards[i];

	buf_printf(out, "<g class=\"card\" id=\"c%zu\"", i);
	if (page)
		buf_add_cstr(out, " tabindex=\"0\" role=\"button\"");
	buf_add_char(out, '>');
	draw_members(out, card);
	buf_printf(out,
	    "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"5\"/>",
	    card->box.x, card->box.y, card->box.w, card->box.h);
	buf_printf(out,
	    "<rect x=\"%.1f\" y=\"%.1f\" width=\"4\" height=\"%.1f\" "
	    "style=\"fill:var(--%s);stroke:none\"/>",
	    card->box.x, card->box.y + 3, card->box.h - 6, colour_of(g, card->space));
	buf_printf(out, "<text class=\"name\" x=\"%.1f\" y=\"%.1f\">", card->box.x + 14,
	    card->box.y + 16);
	add_short(out, card->title);
	buf_add_cstr(out, "</text>");
	for (size_t r = 0; r < card->row_count; r++)
		draw_row(out, g, card->first_row + r);
	buf_add_cstr(out, "</g>\n");
}

/* From one side of a box to one side of a card, and how far out it bends at each. */
struct curve {
	double x1, y1, x2, y2, leave, arrive;
};

static struct curve
curve_of(const struct graph_box *from, const struct graph_box *to, double row_y)
{
	struct curve c = {.y1 = from->y + GRAPH_HEAD / 2, .y2 = row_y};
	double right = from->x + from->w, to_right = to->x + to->w, bend;

	if (to->x >= right) { /* to the right */
		c.x1 = right;
		c.x2 = to->x;
	} else if (to_right <= from->x) { /* to the left */
		c.x1 = from->x;
		c.x2 = to_right;
	} else { /* above each other, or one around the other: round the left side */
		c.x1 = from->x;
		c.x2 = to->x;
	}
	bend = fabs(c.x2 - c.x1) * 0.5;
	bend = bend < 34 ? 34 : bend > 220 ? 220 : bend;
	c.leave = c.x1 == right ? bend : -bend;
	c.arrive = c.x2 == to->x ? -bend : bend;
	/* Out of a box into itself. */
	if (from->x < to->x && to_right < right)
		c.leave = bend;
	return c;
}

static void
draw_edge(struct buf *out, const struct graph *g, size_t i, bool page)
{
	const struct graph_edge *e = &g->edges[i];
	const struct graph_row *row = &g->rows[e->row];
	const struct graph_box *from =
	    e->place == GRAPH_CARD ? &g->cards[e->from].box : &g->spaces[e->from].box;
	const struct graph_box *to = &g->cards[row->card].box;
	size_t space = e->place == GRAPH_CARD ? g->cards[e->from].space : e->from;
	struct curve c = curve_of(from, to, row->y);

	buf_printf(out, "<g class=\"edge\" id=\"e%zu\" style=\"--c:var(--%s)\"", i,
	    colour_of(g, space));
	if (page)
		buf_add_cstr(out, " tabindex=\"0\" role=\"button\"");
	buf_add_char(out, '>');
	for (int hit = page ? 1 : 0; hit >= 0; hit--)
		buf_printf(out,
		    "<path%s d=\"M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f\"/>",
		    hit != 0 ? " class=\"hit\"" : "", c.x1, c.y1, c.x1 + c.leave, c.y1,
		    c.x2 + c.arrive, c.y2, c.x2, c.y2);
	buf_printf(out,
	    "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\"/>"
	    "<path class=\"head\" d=\"M%.1f %.1fl%d -4v8z\"/></g>\n",
	    c.x1, c.y1, c.x2, c.y2, c.arrive < 0 ? -8 : 8);
}

void
graph_draw(struct buf *out, const struct graph *g, bool page)
{
	buf_printf(out,
	    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\"%s>\n",
	    g->width, g->height,
	    page ? " id=\"picture\" role=\"group\" aria-label=\"the graph\"" : "");
	if (!page)
		buf_printf(out, "<style>%s%s</style>\n", style, shapes);
	for (size_t i = 0; i < g->space_count; i++) {
		if (!g->spaces[i].hidden)
			draw_space(out, g, i);
	}
	for (size_t i = 0; i < g->edge_count; i++)
		draw_edge(out, g, i, page);
	for (size_t i = 0; i < g->card_count; i++)
		draw_card(out, g, i, page);
	buf_add_cstr(out, "</svg>\n");
}

void
graph_print_svg(struct buf *out, const struct graph *g)
{
	buf_add_cstr(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
	graph_draw(out, g, false);
}
