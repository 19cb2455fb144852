/*
 * `list --routes`: every rule of every Route, one a line.
 */
#ifndef POLICY_LANG_ROUTE_LIST_H
#define POLICY_LANG_ROUTE_LIST_H

#include "policy-lang/connectivity/connectivity.h"
#include "policy-lang/evaluate/route.h"

/* By level and Route, as the model has them; mandatory before default, and as written.
 * `within` NULL: all; else Routes that concern this subtree: written in it, or above it.
 * CONNECTIVITY_DOT is not among the formats. */
void route_list_print(struct buf *out, const struct model *m, const struct ns *within,
    enum connectivity_format format);

#endif
