/*
 * What `explain` found out, and its two forms.
 */
#ifndef POLICY_LANG_EXPLAIN_H
#define POLICY_LANG_EXPLAIN_H

#include "policy-lang/query.h"

/* One family's answer; both walks. */
struct explanation {
	unsigned family; /* 4 or 6; 0: no end has an address */
	bool allow;
	struct flow flow; /* the pair of addresses that is allowed, or the first */
	struct walk walks[DIRECTION_COUNT];
};

struct explanations {
	struct query query;
	const struct model *model;
	bool allow; /* some family is */
	struct explanation items[2];
	size_t count;
};

/* Explains a question in one family, or (0) in each in which its ends have addresses.
 * False: no pair of addresses can be asked about. */
MUST_CHECK bool explain_query(struct arena *a, const struct model *m,
    const struct query *query, unsigned family, struct explanations *out_all);

void explain_print_text(
    struct arena *a, struct buf *out, const struct explanations *all);
void explain_print_json(
    struct arena *a, struct buf *out, const struct explanations *all);

/* Where a step's rule, or what isolates, is written. */
MUST_CHECK struct loc explain_step_loc(const struct step *step, enum direction dir);
/* The step that would have decided, had the deciding one not been; NULL: the cluster
 * default would have. */
MUST_CHECK const struct step *explain_otherwise(const struct walk *walk);
/* The end that a direction judges. */
MUST_CHECK const struct endpoint *explain_self(
    const struct flow *flow, enum direction dir);

#endif
