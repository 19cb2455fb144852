/*
 * What the names in Quota documents' `objects` mean: which kinds of objects they count, and what
 * one object comes to. The names are those of Kubernetes' ResourceQuota. Pure.
 */
#ifndef AUTHN_BUDGET_PLAN_H
#define AUTHN_BUDGET_PLAN_H

#include <jansson.h>

#include "policy-lang/model/model.h"

#define BUDGET_KEYS_MAX 64u

/* Sums of amounts, which are 64 bits each. */
__extension__ typedef unsigned __int128 budget_sum_t;

struct budget_kind {
	struct str group, resource; /* "", "pods" */
};

enum budget_measure {
	MEASURE_COUNT,
	MEASURE_POD, /* one that has not finished */
	MEASURE_POD_REQUEST,
	MEASURE_POD_LIMIT,
	MEASURE_CLAIM, /* persistent volume claims of the class `what`, or all */
	MEASURE_CLAIM_STORAGE,
	MEASURE_LOAD_BALANCER,
	MEASURE_NODE_PORT,
};

struct budget_key {
	struct str name; /* "requests.cpu" */
	size_t kind;
	enum budget_measure measure;
	struct str what; /* "cpu"; a storage class */
};

struct budget_plan {
	const struct budget_key *keys; /* sorted by name */
	size_t key_count;
	const struct budget_kind *kinds; /* sorted by group, resource */
	size_t kind_count;
};

/* Collects every name of every Quota. Names that mean nothing are told in `problem`, with
 * their place, and make it false. Borrows from the model. */
MUST_CHECK bool budget_plan_make(struct arena *arena, const struct model *model,
    struct buf *problem, struct budget_plan *out_plan);
MUST_CHECK bool budget_plan_equal(
    const struct budget_plan *a, const struct budget_plan *b);
/* SIZE_MAX if no budget counts such objects. */
MUST_CHECK size_t budget_plan_kind(
    const struct budget_plan *plan, struct str group, struct str resource);
MUST_CHECK size_t budget_plan_key(const struct budget_plan *plan, struct str name);

/* What the object comes to: `amounts` has key_count places, times 1,000; those of other
 * kinds become 0. False if it cannot be read; *out_why says what. */
MUST_CHECK bool budget_measure(const struct budget_plan *plan, size_t kind,
    const json_t *object, uint64_t *amounts, const char **out_why);

/* A container without a request or limit (of CPU or memory) that a budget at the level or
 * above counts could not be counted: appends the names that are missing, with the container's;
 * true if there are any. */
MUST_CHECK bool budget_pod_lacks(const struct budget_plan *plan, const struct ns *level,
    const json_t *pod, struct buf *out);

/* "64", "500m", "3Gi". */
const char *budget_amount_text(struct arena *arena, budget_sum_t milli);

#endif
