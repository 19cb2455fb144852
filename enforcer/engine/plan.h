/*
 * The plan: what turns one table into another, as operations in an order that the kernel
 * accepts. And the comparison of what the kernel has with what it should have. Pure.
 */
#ifndef ENFORCER_PLAN_H
#define ENFORCER_PLAN_H

#include "enforcer/wire/ops.h"

/*
 * Operations that turn the table `from` into `to`; `from` NULL: whatever there is into
 * `to`, by making the table anew. Sets that are intervals are replaced whole; in others
 * each key that is new, gone or has another value is one element. Chains come before
 * what refers to them and go after it. The batch borrows elements and chains from both
 * contents; the rest is in the arena. No operations: they are the same.
 */
void plan_make(struct arena *arena, const struct table_content *from,
    const struct table_content *to, struct op_batch *out_batch);

/* What a table made to hold the content has room for (struct op); in the arena. */
MUST_CHECK const uint32_t *plan_room(
    struct arena *arena, const struct table_content *content);

/* The place in the policy of an operation, or of one of its elements; nowhere if the batch
 * has no such one. */
MUST_CHECK struct loc plan_place(
    const struct op_batch *batch, size_t op, size_t element);

/* What the kernel has that can be compared: elements of all sets, numbers of chains. */
struct plan_observed {
	const struct table_element *elements[SET_COUNT]; /* sorted */
	size_t element_count[SET_COUNT];
	const uint32_t *chains; /* sorted */
	size_t chain_count;
};

/* What a comparison found: one call for each difference. `element` is what should be
 * there (missing, different) or what should not (extra). */
enum plan_difference {
	PLAN_MISSING,
	PLAN_EXTRA,
	PLAN_DIFFERENT,
};

struct plan_visitor {
	void (*element)(void *arg, enum plan_difference what, enum table_set_id set,
	    const struct table_element *element);
	void (*chain)(void *arg, enum plan_difference what, uint32_t number);
	void *arg;
};

/* Returns how many differences there are. Functions of the visitor may be NULL. */
MUST_CHECK size_t plan_compare(const struct plan_observed *observed,
    const struct table_content *desired, const struct plan_visitor *visitor);

#endif
