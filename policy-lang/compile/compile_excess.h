/*
 * Whose a program is that is too large. Errors are told where most of it is from, so that
 * they are of those documents alone: others' are not to wait for somebody else's excess. That
 * of a policy is told at its place (struct policy), whichever rule it was found at.
 */
#ifndef POLICY_LANG_COMPILE_EXCESS_H
#define POLICY_LANG_COMPILE_EXCESS_H

#include "policy-lang/compile/compile_internal.h"
#include "policy-lang/compile/table64.h"

/* What each policy has of it, and of what is no policy's each source. {0} is empty. */
struct excess {
	struct table64 numbers; /* of policies and sources -> their place */
	struct excess_share {
		struct loc loc;    /* of the policy; else the first that was charged */
		struct str tenant; /* whose policy it is; "": nobody's, or at / */
		uint64_t count;
	} * shares;
	size_t share_count, cap;
};

/* Charges the policy (NULL: the source of the location; nobody if it has none). */
void excess_charge(
    struct excess *x, const struct policy *policy, struct loc loc, uint64_t count);
/*
 * Tells that the program has more than `most` of `what`, at each of those who have most of
 * it, always of the tenant who has most left, until what is left of all tenants' is half of
 * what policy at / leaves them. Where that leaves nothing it is told itself. The compilation
 * has failed. `at`: where nobody was charged. Frees `x`.
 */
void excess_tell(struct compiler *c, struct excess *x, const char *what, uint32_t most,
    struct loc at);
/* The same of elements, all (SET_COUNT) or those of one set, that were emitted up to now. */
void excess_of_elements(struct compiler *c, enum table_set_id only, const char *what,
    uint32_t most, struct loc at);

#endif
