/*
 * The address space in the parts that networks cut it in: what no address of the model is in.
 */
#ifndef POLICY_LANG_COMPILE_SPACE_H
#define POLICY_LANG_COMPILE_SPACE_H

#include "policy-lang/compile/compile_internal.h"

/* The part of a side's sets in one family. */
struct space;

/* Between two ends of networks. */
struct space_part {
	addr_num lo, hi;
	const uint32_t *sets; /* that have it, rising; until the next */
	size_t count;
	/* Networks of one kind among those of another come and go by the thousand: parts of the
	 * same sets are of a kind. Numbered in the order in which they come. */
	uint32_t kind;
	bool is_new; /* the first of it */
};

MUST_CHECK struct space *space_new(const struct side *s, unsigned family);
void space_free(struct space *space);
/* There are no more parts than that, nor kinds. */
MUST_CHECK size_t space_most(const struct space *space);
/* From the lowest that a network has to the end; false: there are no more. */
MUST_CHECK bool space_next(struct space *space, struct space_part *out);

#endif
