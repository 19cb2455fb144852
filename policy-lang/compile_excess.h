/*
 * Whose a program is that is too large. Errors are told where most of it is from, so that
 * they are of those documents alone: others' are not to wait for somebody else's excess.
 */
#ifndef POLICY_LANG_COMPILE_EXCESS_H
#define POLICY_LANG_COMPILE_EXCESS_H

#include "policy-lang/compile_internal.h"
#include "policy-lang/table64.h"

/* What each source of documents has of it. {0} is empty. */
struct excess {
	struct table64 numbers; /* of sources -> their place */
	struct excess_share {
		struct loc loc; /* the first that was charged */
		uint64_t count;
	} * shares;
	size_t share_count, cap;
};

/* Charges one to the source of a location; nobody if it has none. */
void excess_charge(struct excess *x, struct loc loc);
/*
 * Tells that the program has more than `most` of `what`, at each of those who have most of
 * it, until what is left is half of `most`; the compilation has failed. `at`: where nobody
 * was charged. Frees `x`.
 */
void excess_tell(struct compiler *c, struct excess *x, const char *what, uint32_t most,
    struct loc at);
/* The same of elements, all or those of `kind` sets alone, that were emitted up to now. */
void excess_of_elements(struct compiler *c, bool (*kind)(enum table_set_id set),
    const char *what, uint32_t most, struct loc at);

#endif
