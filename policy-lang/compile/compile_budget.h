/*
 * What each tenant's policy has of a node's cells. Beyond a tenant's part of the program his
 * cells are only counted: the compilation fails, at the cost of that part, and is told at his
 * documents, so that others' need not wait.
 */
#ifndef POLICY_LANG_COMPILE_BUDGET_H
#define POLICY_LANG_COMPILE_BUDGET_H

#include "policy-lang/compile/compile_internal.h"

/* Before all cells are emitted, and thereafter: whoever has too many is told, and
 * c->failed. What Routes say (c->policies) has no budget. */
void budget_begin(struct compiler *c);
void budget_end(struct compiler *c);

/*
 * Charges `count` elements of one of the `cells` that a profile has for a class of a
 * direction; class NULL: class 0. False: they are of somebody who has too many, and are not
 * to be emitted.
 *
 * They are charged to the policy whose number the cell bears, or to who cut the class out:
 * where these are two tenants', to the one of them who has more to do with how many there
 * are.
 */
MUST_CHECK bool budget_take(struct side *s, const struct class_info *class,
    size_t cells, uint32_t number, uint64_t count);

#endif
