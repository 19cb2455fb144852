/*
 * For those who know which policies apply (evaluate*.c, lint_classes.c): the walk over
 * given lists of policies, one for each level.
 */
#ifndef POLICY_LANG_EVALUATE_WALK_H
#define POLICY_LANG_EVALUATE_WALK_H

#include "policy-lang/evaluate/evaluate.h"

/* Policies of one level, in evaluation order. */
struct level_policies {
	struct policy *const *policies;
	size_t count;
};

/* As evaluate_direction. `levels`, by depth, may leave out policies whose subject is not
 * the workload that is judged; NULL: every policy of a level is looked at. */
MUST_CHECK struct verdict evaluate_walk(const struct model *m,
    const struct level_policies *levels, const struct flow *flow, enum direction dir);

#endif
