/*
 * What policies with `enforcement: audit` would have of a connection, were they in force with
 * all others: beside what is said of it as it is.
 */
#include "policy-lang/explain/explain_internal.h"

/* The same family of the same question; NULL if it was not asked. */
static const struct explanation *
find(const struct explanations *all, const struct explanation *one)
{
	const struct explanations *watched = all->watched;

	if (watched == NULL || all->query.span != QUERY_SERVICE)
		return NULL;
	for (size_t i = 0; i < watched->count; i++) {
		if (watched->items[i].family == one->family)
			return &watched->items[i];
	}
	return NULL;
}

/* Of two models, whose rules are known by their places. */
static bool
is_same(const struct verdict *x, const struct verdict *y, enum direction dir)
{
	struct loc a = explain_verdict_loc(x, dir), b = explain_verdict_loc(y, dir);

	if (x->allow != y->allow || x->reason != y->reason || a.line != b.line ||
	    a.col != b.col || (a.source == NULL) != (b.source == NULL))
		return false;
	return a.source == NULL || str_eq(a.source->name, b.source->name);
}

static bool
allows(const struct explanation *one)
{
	return one->walks[DIR_EGRESS].verdict.allow &&
	       one->walks[DIR_INGRESS].verdict.allow;
}

void
explain_watched_text(struct arena *a, struct buf *out, const struct explanations *all,
    const struct explanation *one)
{
	const struct explanation *other = find(all, one);
	bool told = false;

	if (other == NULL)
		return;
	buf_add_cstr(out, "policies that are only watched (enforcement: audit): ");
	for (size_t d = 0; d < DIRECTION_COUNT; d++) {
		enum direction dir = explain_order[d];
		const struct verdict *would = &other->walks[dir].verdict;

		if (is_same(&one->walks[dir].verdict, would, dir))
			continue;
		if (!told)
			buf_printf(out, "with them it would be %s\n",
			    allows(other) ? "allowed" : "denied");
		told = true;
		buf_printf(out, "  %s: ", direction_name(dir));
		explain_say_verdict(
		    a, out, would, dir, explain_self(&other->flow, dir));
		buf_add_char(out, '\n');
	}
	if (!told)
		buf_add_cstr(out, "they would change nothing of it\n");
}

void
explain_watched_json(struct arena *a, struct buf *out, const struct explanations *all,
    const struct explanation *one)
{
	const struct explanation *other = find(all, one);

	if (other == NULL)
		return;
	buf_printf(out, ",\n  \"watched\": {\"verdict\": \"%s\"",
	    action_name(allows(other) ? ACTION_ALLOW : ACTION_DENY));
	for (size_t d = 0; d < DIRECTION_COUNT; d++) {
		enum direction dir = explain_order[d];

		buf_printf(out, ",\n   \"%s\": ", direction_name(dir));
		explain_json_verdict(a, out, &other->walks[dir].verdict, dir);
	}
	buf_add_char(out, '}');
}
