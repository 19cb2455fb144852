/*
 * Who may connect to whom, as rectangles: parties that policy cannot tell apart are an
 * atom, and a line says that every party of some atoms may open a set of connections to
 * every party of other atoms. Expanding the lines gives every pair, each once.
 */
#ifndef POLICY_LANG_CONNECTIVITY_RELATION_H
#define POLICY_LANG_CONNECTIVITY_RELATION_H

#include "policy-lang/connectivity/connectivity_world.h"

/* Parties that no policy tells apart, neither as source nor as destination. */
struct conn_atom {
	uint32_t index;
	uint32_t column;   /* as a destination */
	uint32_t *parties; /* rising */
	uint32_t party_count;
};

/* Some atoms. Sets of one relation are equal exactly if their numbers are; numbers follow
 * the first atom. */
struct conn_atoms {
	struct roaring_bitmap_s *bits;
	uint32_t index;
	size_t parties;          /* private; 0: not counted yet */
	uint64_t hash;           /* private */
	struct conn_atoms *next; /* private: of the same hash */
};

/* What may connect to the destinations of one column. */
struct conn_cell {
	const struct conn_set *set; /* never empty */
	uint32_t sources;           /* a set of atoms */
};

/* Destinations that everybody treats alike. */
struct conn_column {
	uint32_t index;
	struct conn_cell *cells; /* sources of different cells have nothing in common */
	uint32_t cell_count;
	struct roaring_bitmap_s *atoms;
};

#define CONN_OUTSIDE UINT32_MAX

/* No party connects to itself: where an atom stands on both sides, itself is left out. */
struct conn_line {
	uint32_t src, dst;              /* sets of atoms, or CONN_OUTSIDE */
	const struct conn_end *outside; /* the external range, if one end is */
	const struct conn_set *set;
};

/* The bits of a number of parties. */
#define CONN_WEIGHTS 32

struct conn_relation {
	struct conn_world *world;
	struct arena *arena;
	struct conn_atom **atoms;
	uint32_t atom_count;
	uint32_t *atom_of; /* by party; UINT32_MAX: it is in no flow */
	struct roaring_bitmap_s *weights[CONN_WEIGHTS]; /* private */
	struct conn_atoms **sets;
	uint32_t set_count, set_cap;
	struct map set_by_hash; /* private */
	struct buf scratch;     /* private */
	struct conn_column **columns;
	uint32_t column_count;
	/* From outside by range, then within, then to outside by range. */
	struct conn_line *lines;
	size_t line_count, line_cap;
};

/*
 * Borrows the world. Not `exact`: sets of equal text are one, and what has no text is left
 * out, as a listing wants it; else sets are told apart by all that is in them.
 */
MUST_CHECK struct conn_relation *conn_relation_new(
    struct conn_world *world, bool exact);
void conn_relation_free(struct conn_relation *relation);

/* Once all atoms are made, before parties are counted. */
void conn_relation_weigh(struct conn_relation *relation);

/* The set of exactly these atoms. Takes the bitmap. */
MUST_CHECK uint32_t conn_relation_set(
    struct conn_relation *relation, struct roaring_bitmap_s *bits);
/* The same of few atoms, up to CONN_FEW; in rising order. */
MUST_CHECK uint32_t conn_relation_set_of(
    struct conn_relation *relation, const uint32_t *atoms, size_t count);
MUST_CHECK size_t conn_relation_parties(
    const struct conn_relation *relation, const struct roaring_bitmap_s *atoms);
MUST_CHECK size_t conn_relation_set_parties(
    const struct conn_relation *relation, uint32_t set);

/* The external range as an end of this world. */
MUST_CHECK const struct conn_end *conn_world_range(
    struct conn_world *world, const struct ip_addr *first, const struct ip_addr *last);
/* Puts the lines in order, after some were changed. */
void conn_relation_sort(struct conn_relation *relation);
/* Numbers the sets by their first atoms, so that readers find neighbours beside each
 * other. Returns the new numbers by old ones, which the caller applies, and frees. */
MUST_CHECK uint32_t *conn_relation_number(struct conn_relation *relation);
/* How many pairs a line, or all lines, stand for. */
MUST_CHECK uint64_t conn_relation_line_pairs(
    const struct conn_relation *relation, const struct conn_line *line);
MUST_CHECK uint64_t conn_relation_pair_count(const struct conn_relation *relation);

/* Called for every pair, sorted: external ranges first, then by display. */
typedef void conn_pair_fn(void *ctx, const struct conn_end *src,
    const struct conn_end *dst, const struct conn_set *set);
void conn_relation_pairs(
    const struct conn_relation *relation, conn_pair_fn *each, void *ctx);

#endif
