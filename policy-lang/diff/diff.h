/*
 * What a change of policy opens and closes: two models compared, exactly, over all
 * addresses and ports. Parties that the change does not tell apart are told together, as
 * in a relation (connectivity_relation.h).
 */
#ifndef POLICY_LANG_DIFF_H
#define POLICY_LANG_DIFF_H

#include "policy-lang/connectivity/connectivity_relation.h"
#include "policy-lang/diff/diff_policy.h"

enum diff_kind {
	DIFF_ADDED,   /* there was no connection */
	DIFF_REMOVED, /* there is none any more */
	DIFF_CHANGED,
};

/* Whether an end is in both models. */
enum diff_presence {
	DIFF_BOTH,
	DIFF_NEW,  /* the workload is new */
	DIFF_GONE, /* the workload is gone */
};

/* What matters most comes first. */
enum diff_reach {
	DIFF_FROM_OUTSIDE,
	DIFF_TO_OUTSIDE,
	DIFF_CROSS_TENANT, /* between two top levels of the tree */
	DIFF_WITHIN,
};

struct diff_line {
	struct conn_line
	    line; /* of `joint`; its set is what was opened, or else closed */
	const struct conn_set *old, *new;       /* NULL: no connection */
	const struct conn_set *opened, *closed; /* NULL: nothing */
	enum diff_kind kind;
	enum diff_presence src, dst; /* external ranges are in both */
	enum diff_reach reach;
};

struct diff_party {
	uint32_t old, new; /* of the two worlds; UINT32_MAX: not there */
};

/* Lives in the arena given; the models must outlive it. */
struct diff {
	struct arena *arena;
	struct conn_pool pool;
	struct diff_documents documents;
	struct conn_world *old_world, *new_world;
	/* Of pairs that the change may concern: of others nothing is in them. */
	struct conn_relation *old_relation, *new_relation;
	/* Parties of either, their atoms, and the lines' sets. */
	struct conn_relation *joint;
	struct diff_party *parties; /* of joint's world */
	struct diff_line *lines;    /* by reach, then as lines of relations */
	size_t line_count, line_cap;
};

MUST_CHECK struct diff *diff_new(struct arena *arena, const struct model *old_model,
    const struct model *new_model, const struct connectivity_options *options);
void diff_free(struct diff *diff);

MUST_CHECK enum diff_presence diff_presence_of(const struct diff *diff, uint32_t party);

/* How many pairs of ends a line stands for. */
MUST_CHECK uint64_t diff_line_pairs(
    const struct diff *diff, const struct diff_line *line);

/* The first pair of a line; CONN_OUTSIDE for the outside. */
void diff_line_example(const struct diff *diff, const struct diff_line *line,
    uint32_t *out_src, uint32_t *out_dst);

#endif
