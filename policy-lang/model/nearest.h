/*
 * "Did you mean": the nearest of the names that there are, near enough to be what was meant.
 * What is nearest does not depend on the order in which they are looked at. Each search looks
 * at all of them: who can be made to search very often has a limit.
 */
#ifndef POLICY_LANG_NEAREST_H
#define POLICY_LANG_NEAREST_H

#include "common/str.h"

struct nearest {
	struct str wanted;
	unsigned within; /* edits; case does not count where nothing else differs */
	struct str best; /* ptr NULL: nothing is near */
};

/* Begins a search; borrows the text, and the names that it is told of. */
MUST_CHECK struct nearest nearest_to(struct str wanted);
/* Of two that are as near it is the first by name. */
void nearest_consider(struct nearest *n, struct str name);
/* The nearest of a table's; of two that are as near the first in it. NULL: none is near. */
MUST_CHECK const char *nearest_of(
    struct str wanted, const char *const *names, size_t count);

#endif
