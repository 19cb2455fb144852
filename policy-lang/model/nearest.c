#include "policy-lang/model/nearest.h"

#include <ctype.h>

/* How far a misspelling of a text of that length may be off. */
static unsigned
tolerance(size_t len)
{
	return len <= 3 ? 1 : 2;
}

static bool
equal_but_for_case(struct str a, struct str b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++) {
		if (tolower((unsigned char)a.ptr[i]) !=
		    tolower((unsigned char)b.ptr[i]))
			return false;
	}
	return true;
}

struct nearest
nearest_to(struct str wanted)
{
	return (struct nearest){.wanted = wanted, .within = tolerance(wanted.len)};
}

/* Whether a name is as near as the nearest so far, or nearer. */
static bool
is_near(const struct nearest *n, struct str name, unsigned *out_distance)
{
	*out_distance = equal_but_for_case(n->wanted, name)
			    ? 0
			    : str_distance(n->wanted, name, n->within);
	/* With as many edits as it has letters any name could be made of any. */
	return *out_distance <= n->within && *out_distance < name.len;
}

static void
take(struct nearest *n, struct str name, unsigned distance)
{
	n->within = distance;
	n->best = name;
}

void
nearest_consider(struct nearest *n, struct str name)
{
	unsigned distance;

	if (!is_near(n, name, &distance))
		return;
	if (distance < n->within || n->best.ptr == NULL || str_cmp(name, n->best) < 0)
		take(n, name, distance);
}

const char *
nearest_of(struct str wanted, const char *const *names, size_t count)
{
	struct nearest n = nearest_to(wanted);
	unsigned distance;

	for (size_t i = 0; i < count; i++) {
		struct str name = str_from(names[i]);

		if (is_near(&n, name, &distance) &&
		    (distance < n.within || n.best.ptr == NULL))
			take(&n, name, distance);
	}
	return n.best.ptr;
}
