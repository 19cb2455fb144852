/*
 * "Did you mean", on what a document says: only so many in a load.
 */
#include "policy-lang/load/load_internal.h"

bool
load_may_suggest(struct loader *l)
{
	return l->suggestions++ < LOAD_SUGGESTIONS_MAX;
}

void
load_suggest(struct loader *l, struct diag *d, const struct nearest *n)
{
	const char *quote = str_starts(n->best, STR("/")) ? "" : "\"";

	if (n->best.ptr != NULL)
		diag_hint(l->diags, d, "did you mean %s%.*s%s?", quote,
		    STR_ARG(n->best), quote);
}
