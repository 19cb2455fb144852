/*
 * Private to graph: graph.c makes cards and edges, graph_layout.c places them,
 * graph_svg.c draws, graph_page.c writes the page, graph_why.c finds the rules.
 */
#ifndef POLICY_LANG_GRAPH_INTERNAL_H
#define POLICY_LANG_GRAPH_INTERNAL_H

#include "policy-lang/connectivity/graph.h"

/* Sizes in pixels; texts are in a font whose characters are all of one width. */
#define GRAPH_CHAR      7.3
#define GRAPH_HEAD      22.0
#define GRAPH_ROW       18.0
#define GRAPH_CARD_MAX  30 /* characters of a title or row that are shown */
#define GRAPH_SHORT_MAX GRAPH_CARD_MAX

void graph_layout(struct arena *arena, struct graph *g);

/* The ports of a row as they are drawn. */
MUST_CHECK struct str graph_row_text(const struct graph_row *row);
/* The svg element; `page`: inside of a page, whose style it takes. */
void graph_draw(struct buf *out, const struct graph *g, bool page);

/* Why each pair may connect, as JSON: "whys" (who decided), "reasons" (lists of ports
 * with the deciders of both directions), and of each pair its reasons. */
void graph_print_whys(
    struct arena *arena, struct buf *out, const struct model *m, const struct graph *g);

/* Of the build: policy-lang/page/graph.css and graph.js. */
extern const char graph_page_css[];
extern const char graph_page_js[];
extern const char graph_page_js_hash[]; /* "sha256-..." */

#endif
