/*
 * The network limits that a workload's connections and bytes are charged to, in words and
 * as JSON. They hold at its node, for it and all others there together: whether they have
 * room only the node knows.
 */
#ifndef POLICY_LANG_EXPLAIN_LIMITS_H
#define POLICY_LANG_EXPLAIN_LIMITS_H

#include "policy-lang/evaluate/evaluate.h"

/* Lines for a connection between these ends; nothing if it is charged to no limit. */
void explain_limits_text(struct arena *a, struct buf *out, const struct flow *flow);
/* ", \"limits\": [...]" of them; nothing if there is none. */
void explain_limits_json(struct buf *out, const struct flow *flow);
/* The same of one workload, whatever it connects to. */
void explain_limits_workload_text(
    struct arena *a, struct buf *out, const struct workload *w);
void explain_limits_workload_json(struct buf *out, const struct workload *w);

#endif
