/*
 * "Did you mean": the nearest of many names. Each search looks at all of them, so only so
 * many are made in a load.
 */
#include "policy-lang/load_internal.h"

struct load_nearest
load_nearest_to(struct loader *l, struct str wanted)
{
	struct load_nearest n = {.wanted = wanted};

	if (l->suggestions++ < LOAD_SUGGESTIONS_MAX)
		n.least = schema_tolerance(wanted.len) + 1;
	return n;
}

bool
load_nearest_goes_on(const struct load_nearest *n)
{
	return n->least != 0;
}

void
load_nearest_consider(struct load_nearest *n, struct str name)
{
	unsigned distance = str_distance(n->wanted, name, n->least);

	if (distance > n->least || distance >= name.len)
		return;
	/* Of two that are as near it is the first by name, not the first that came. */
	if (distance == n->least && (n->best.ptr == NULL || str_cmp(name, n->best) > 0))
		return;
	n->least = distance;
	n->best = name;
}

void
load_nearest_hint(const struct load_nearest *n, struct loader *l, struct diag *d)
{
	const char *quote = str_starts(n->best, STR("/")) ? "" : "\"";

	if (n->best.ptr != NULL)
		diag_hint(l->diags, d, "did you mean %s%.*s%s?", quote,
		    STR_ARG(n->best), quote);
}
