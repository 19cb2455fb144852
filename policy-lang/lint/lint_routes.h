/*
 * Between lint_routes*.c only.
 */
#ifndef POLICY_LANG_LINT_ROUTES_H
#define POLICY_LANG_LINT_ROUTES_H

#include "policy-lang/evaluate/route.h"
#include "policy-lang/lint/lint_internal.h"

typedef void lint_route_fn(struct lint *lint, struct route_found found);

/* Every rule of every Route, in the order of the model. */
void lint_each_route_rule(struct lint *lint, lint_route_fn *each);
/* "rule "x" of Route "y"", for messages; in the arena. */
MUST_CHECK const char *lint_route_name(struct lint *lint, struct route_found found);

/* Rules that others before them decide, and two that publish the same. */
void lint_route_order(struct lint *lint);

#endif
