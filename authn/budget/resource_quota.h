/*
 * Budgets of a subtree as Kubernetes ResourceQuotas, one in each of its namespaces. Kubernetes
 * knows no sum over namespaces, so each gets what it uses and what all may still use together:
 *
 *	hard = used there + the least, over the levels above it, of (limit - used below the level)
 *
 * So whoever needs the room has it, wherever in the subtree; and what is written is recomputed
 * as use changes. Between two computations each of n namespaces may take the same room once:
 * together they exceed a limit by at most (n - 1) times what was left of it. Who wants no such bound
 * has the webhook, too. Pure.
 */
#ifndef AUTHN_RESOURCE_QUOTA_H
#define AUTHN_RESOURCE_QUOTA_H

#include "authn/budget/budget.h"

#define RESOURCE_QUOTA_NAME    "ringfence"
#define RESOURCE_QUOTA_MANAGER "ringfence-gate" /* label and field manager */
#define RESOURCE_QUOTA_LABEL   "app.kubernetes.io/managed-by"

struct resource_quota_line {
	struct str resource; /* "pods" */
	uint64_t hard_milli;
	const struct quota *by; /* with the least room */
};

struct resource_quota {
	struct str namespace; /* of Kubernetes */
	const struct ns *level;
	struct resource_quota_line *lines; /* sorted by resource */
	size_t line_count;
};

/*
 * Those of every namespace that the policy names and that a budget is over, sorted by
 * name. What lies at the root because no document names it has none: only the webhook
 * counts it. Everything lives in the arena, or in the model.
 */
MUST_CHECK const struct resource_quota *resource_quotas_make(struct arena *arena,
    const struct model *model, const struct budget_plan *plan,
    const struct budget_ledger *ledger, size_t *out_count);

/* Appends the object to be applied, as JSON. */
void resource_quota_json(struct buf *out, const struct resource_quota *q);
/* Appends it for people, as YAML, with the document of each limit. */
void resource_quota_yaml(struct buf *out, const struct resource_quota *q);
/* True if the API server's object says the same. */
MUST_CHECK bool resource_quota_is(const struct resource_quota *q, const json_t *object);

#endif
