/*
 * Network limits of Quotas that limit nothing, or more than was meant.
 */
#include "policy-lang/lint/lint_internal.h"
#include "policy-lang/model/net_limit.h"

/* Less than so many milliseconds' worth of connections in a burst denies what comes evenly:
 * nothing comes as evenly as that. */
#define BURST_LEAST_MS 20

/* What is first come of it is what may be left when nobody else comes. */
static uint64_t
least(const struct quota *q, enum net_limit kind)
{
	uint64_t value = net_limit_value(q, kind);

	return value / 100 * (100 - net_limit_percent(q));
}

/* Whether the limit above is always reached first. */
static bool
is_reached_first(const struct quota *above, const struct quota *q, enum net_limit kind)
{
	return net_limit_value(above, kind) < least(q, kind) &&
	       (kind != NETLIM_RATE || net_limit_burst(above) <= net_limit_burst(q));
}

static void
say_lower(struct lint *lint, const struct quota *q, enum net_limit kind,
    const struct quota *other)
{
	struct diag *d = lint_say(lint, CODE_QUOTA_NO_EFFECT, q->network.loc[kind],
	    "network.%s of Quota \"%.*s\" has no effect: %.*s has a lower one",
	    net_limit_name(kind), STR_ARG(q->name), STR_ARG(other->level->path));

	lint_note(
	    lint, d, other->network.loc[kind], "Quota \"%.*s\"", STR_ARG(other->name));
}

static void
lint_kind(struct lint *lint, const struct quota *q, enum net_limit kind)
{
	const struct quota *here = net_limit_at(q->level, kind);

	if (net_limit_value(q, kind) == QUOTA_UNSET) {
		if (q->network.loc[kind].source != NULL)
			(void)lint_say(lint, CODE_QUOTA_NO_EFFECT, q->network.loc[kind],
			    "network.%s of Quota \"%.*s\" has no effect: it is more "
			    "than a kernel can be told",
			    net_limit_name(kind), STR_ARG(q->name));
		return;
	}
	if (here != q) {
		say_lower(lint, q, kind, here);
		return;
	}
	for (const struct ns *s = net_limit_from(q->level->parent, kind); s != NULL;
	     s = net_limit_from(s->parent, kind)) {
		const struct quota *above = net_limit_at(s, kind);

		if (is_reached_first(above, q, kind)) {
			say_lower(lint, q, kind, above);
			return;
		}
	}
}

static void
lint_burst(struct lint *lint, const struct quota *q)
{
	const uint64_t rate = net_limit_value(q, NETLIM_RATE);
	const uint64_t burst = q->network.burst;

	if (burst == QUOTA_UNSET)
		return;
	if (rate == QUOTA_UNSET) {
		(void)lint_say(lint, CODE_QUOTA_NO_EFFECT, q->loc,
		    "network.burst of Quota \"%.*s\" has no effect: it has no "
		    "connectionsPerSecond",
		    STR_ARG(q->name));
		return;
	}
	if (rate != 0 && burst < rate / 1000 * BURST_LEAST_MS / 1000)
		(void)lint_say(lint, CODE_QUOTA_SMALL_BURST,
		    q->network.loc[NETLIM_RATE],
		    "Quota \"%.*s\" denies connections that come within %u ms of each "
		    "other: its burst is %llu",
		    STR_ARG(q->name), BURST_LEAST_MS, (unsigned long long)burst);
}

void
lint_limits(struct lint *lint)
{
	for (size_t i = 0; i < lint->m->ns_count; i++) {
		const struct ns *ns = lint->m->namespaces[i];

		for (size_t j = 0; j < ns->quota_count; j++) {
			for (unsigned kind = 0; kind < NETLIM_KINDS; kind++)
				lint_kind(lint, ns->quotas[j], (enum net_limit)kind);
			lint_burst(lint, ns->quotas[j]);
		}
	}
}
