/*
 * What Routes do with a connection, in words and as JSON.
 */
#ifndef POLICY_LANG_EXPLAIN_ROUTE_H
#define POLICY_LANG_EXPLAIN_ROUTE_H

#include "policy-lang/evaluate/route.h"

/* Where a published address leads; nothing if it is not. `indent` begins each line. */
void explain_route_published(struct arena *a, struct buf *out, const char *indent,
    const struct model *m, const struct route_story *story);
/* How the connection leaves, or what it goes through. */
void explain_route_way(struct arena *a, struct buf *out, const char *indent,
    const struct route_story *story);
/* {"egress": ..., "ingress": ..., "via": ...}; null for what was not asked. */
void explain_route_json(struct arena *a, struct buf *out, const struct model *m,
    const struct route_story *story);
/* {"title", "namespace", "route", "phase", "kind", "index", "name", "action", "file",
 * "line", "column"}; null for no rule. */
void explain_route_rule_json(
    struct arena *a, struct buf *out, struct route_found found);
/* True if the same rules do the same. */
MUST_CHECK bool explain_route_same(
    const struct route_story *x, const struct route_story *y);
/* Whose subject a workload is: each Route, in the order of its walk. */
void explain_route_workload_text(
    struct arena *a, struct buf *out, const struct workload *w);
void explain_route_workload_json(
    struct arena *a, struct buf *out, const struct workload *w);

#endif
