/*
 * Between lint_reach.c and those that use its classes.
 */
#ifndef POLICY_LANG_LINT_REACH_H
#define POLICY_LANG_LINT_REACH_H

#include "policy-lang/lint/lint_classes.h"

/* Rules that let workloads of other tenants in, where the other end consents. */
void lint_tenants(struct lint *lint, struct lint_classes *classes);

/* Pairs of workloads that nobody wrote about. */
void lint_defaults(struct lint *lint, const struct lint_classes *classes);

#endif
