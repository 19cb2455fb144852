/*
 * What each tenant's policy has of a node's cells. Beyond a tenant's part of the program his
 * cells are only counted: the compilation fails, at the cost of that part, and is told at his
 * documents, so that others' need not wait.
 */
#ifndef POLICY_LANG_COMPILE_BUDGET_H
#define POLICY_LANG_COMPILE_BUDGET_H

#include "policy-lang/compile/compile_walk.h"

/* Before all cells are emitted, and thereafter: whoever has too many is told, and
 * c->failed. What Routes say (c->policies) has no budget. */
void budget_begin(struct compiler *c);
void budget_end(struct compiler *c);

/* Whose profile it is, for struct walker. */
MUST_CHECK uint32_t budget_owner(const struct walker *w);
/*
 * Charges the elements of one of w->cells, in a family, for a class; NULL: class 0. False: they
 * are of somebody who has too many, and are not to be emitted.
 *
 * They are charged to the policy whose number the cell bears, or to that of who cuts the class
 * out (cutters_blame). What no rule decides is charged to whose profile it is.
 */
MUST_CHECK bool budget_take(const struct walker *w, unsigned family,
    const struct class_info *class, uint32_t number);

#endif
