/*
 * `flows.allowed`: the parts of the tree of whose workloads allowed connections are told of,
 * as denied ones always are. The kernel logs what the rules allow that may be about them; what
 * is not is left out here: a rule of /acme decides for workloads of /acme/shop and for others.
 */
#ifndef ENFORCER_ALLOWED_H
#define ENFORCER_ALLOWED_H

#include "common/proc.h"
#include "policy-lang/model/model.h"
#include "policy-lang/table/table.h"

#define ALLOWED_MOST 64

struct allowed {
	const struct str *paths; /* of namespaces, each once */
	size_t count;
};

/* A copy in the arena, texts and all. */
MUST_CHECK struct allowed allowed_copy(struct arena *arena, const struct allowed *a);
void allowed_encode(struct buf *out, const struct allowed *a);
/* Into the arena; false: malformed. */
MUST_CHECK bool allowed_decode(
    struct arena *arena, struct proc_reader *r, struct allowed *out);

/* Has chains log that are rules of policy which allow, and may be about such workloads. */
void allowed_set_logs(
    const struct allowed *a, struct table_rule_chain *chains, size_t count);
/* True for a workload that is among them; NULL is not. */
MUST_CHECK bool allowed_has(const struct allowed *a, const struct workload *w);

#endif
