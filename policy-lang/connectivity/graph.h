/*
 * Connectivity as a picture: cards in boxes. A card is a workload, or several that connect
 * alike; a box is a namespace. Each card has a row for each set of ports that it is
 * reached on, and an edge leads to the row from whoever reaches it: from a box, when
 * everything in the box does. No program but this one lays it out, always the same way.
 */
#ifndef POLICY_LANG_GRAPH_H
#define POLICY_LANG_GRAPH_H

#include "policy-lang/connectivity/connectivity.h"

/* Where an edge begins, or a card stands. */
enum graph_place {
	GRAPH_CARD,
	GRAPH_SPACE
};

struct graph_box {
	double x, y, w, h;
};

/* A namespace; or, with ns NULL, the outside, or the nodes. */
struct graph_space {
	const struct ns *ns;
	struct str title;
	size_t parent;     /* SIZE_MAX: none */
	size_t card_count; /* in it and below */
	bool hidden;       /* holds one box and nothing else, which stands for it */
	struct graph_box box;
};

struct graph_row {
	const struct conn_set *set;
	size_t card;
	double y; /* of its middle */
};

struct graph_card {
	const struct conn_end **members;
	size_t count;
	struct str title;
	size_t space;
	size_t first_row, row_count;
	struct graph_box box;
};

/* One connection: which ends, which ports. */
struct graph_pair {
	size_t src, dst; /* in graph.ends */
	const struct conn_set *set;
	size_t edge;
};

struct graph_edge {
	enum graph_place place;
	size_t from; /* of that place */
	size_t row;
};

struct graph {
	const struct conn_end **ends; /* sorted as connectivity sorts them */
	size_t end_count;
	size_t *end_cards; /* of each end */
	struct graph_space *spaces;
	size_t space_count;
	struct graph_card *cards;
	size_t card_count;
	struct graph_row *rows;
	size_t row_count;
	struct graph_edge *edges;
	size_t edge_count;
	struct graph_pair *pairs; /* in the order of connectivity */
	size_t pair_count;
	bool grouped; /* some card stands for several workloads */
	double width, height;
};

/* Makes the graph of all connections, workloads without any among them, and lays it out.
 * With `group`, workloads of a namespace that connect alike share a card. */
void graph_build(struct arena *arena, const struct model *m,
    const struct connectivity *connectivity, bool group, struct graph *out);

/* A picture that stands for itself. */
void graph_print_svg(struct buf *out, const struct graph *g);
/* A page that stands for itself: the picture, filters, and for each connection the rules
 * that allow it, in both directions. */
void graph_print_html(
    struct arena *arena, struct buf *out, const struct model *m, const struct graph *g);

#endif
