/*
 * Policies of one level and priority: only their names say which is first. That matters
 * where a rule of one and a rule of the other decide the same connection differently.
 */
#include <roaring/roaring.h>
#include <stdlib.h>

#include "policy-lang/lint_internal.h"

/* A rule of the policies that are compared, and its boxes. */
struct rival {
	const struct rule *rule;
	size_t first, end; /* boxes */
};

struct group {
	struct lint *lint;
	struct rival *rivals;
	size_t count, cap;
	struct space_boxes boxes;
};

static void
add_rival(struct group *g, const struct rule *rule)
{
	size_t first = g->boxes.count;

	space_rule(&g->lint->space, rule, &g->boxes);
	if (g->count == g->cap) {
		g->cap = g->cap == 0 ? 16 : 2 * g->cap;
		g->rivals = xreallocarray(g->rivals, g->cap, sizeof(*g->rivals));
	}
	g->rivals[g->count++] = (struct rival){rule, first, g->boxes.count};
}

static bool
boxes_meet(struct group *g, const struct rival *a, const struct rival *b)
{
	for (size_t i = a->first; i < a->end; i++) {
		for (size_t j = b->first; j < b->end; j++) {
			g->lint->work++;
			if (space_meets(&g->boxes.items[i], &g->boxes.items[j]))
				return true;
		}
	}
	return false;
}

/* True if the rule speaks of workloads by what they are, and of nothing else. */
static bool
peers_are_workloads(const struct rule *rule)
{
	for (size_t i = 0; i < rule->peer_count; i++) {
		if (rule->peers[i].kind != PEER_WORKLOADS)
			return false;
	}
	return !rule->any_peer;
}

/* With workloads known, two selectors that nothing matches both do not overlap. */
static bool
overlap_today(struct lint *lint, const struct rule *a, const struct rule *b)
{
	struct lint_world *w = &lint->world;

	if (w->slot_count == 0)
		return true;
	if (!roaring_bitmap_intersect(world_match(w, &a->policy->subject),
		world_match(w, &b->policy->subject)))
		return false;
	if (!peers_are_workloads(a) && !peers_are_workloads(b))
		return true;
	return roaring_bitmap_intersect(world_rule_peers(w, a), world_rule_peers(w, b));
}

static void
say_conflict(struct lint *lint, const struct rule *a, const struct rule *b)
{
	struct diag *d = lint_say(lint, CODE_PRIORITY_CONFLICT, b->loc,
	    "%s and %s decide some connections differently, and only the policies' "
	    "names say which is first",
	    lint_rule_name(lint, b), lint_rule_name(lint, a));

	lint_note(
	    lint, d, a->loc, "this one is first, and says %s", action_name(a->action));
	lint_hint(lint, d, "give the policies different priorities");
}

static bool
has_priority(const struct policy *p)
{
	return p->kind == POLICY_ADMIN || p->kind == POLICY_CLUSTER;
}

/* Nothing overlaps: still, for the kinds that say so themselves, ties are worth a note. */
static void
say_same_priority(struct lint *lint, const struct policy *a, const struct policy *b)
{
	struct diag *d;

	if (!has_priority(a) || !has_priority(b) || !str_eq(a->cluster, b->cluster))
		return;
	d = lint_say(lint, CODE_SAME_PRIORITY, b->loc,
	    "%s has the same priority as %s, which is first by its name",
	    lint_policy_name(lint, b), lint_policy_name(lint, a));
	lint_note(lint, d, a->loc, "\"%.*s\" is here", STR_ARG(a->name));
}

/* One pair of policies is said once, at its first pair of rules. */
static void
compare_rivals(struct group *g, size_t at, const struct policy **last)
{
	const struct rival *b = &g->rivals[at];

	for (size_t i = 0; i < at; i++) {
		const struct rival *a = &g->rivals[i];

		if (a->rule->policy == b->rule->policy ||
		    a->rule->action == b->rule->action)
			continue;
		if (g->lint->work > LINT_WORK) {
			g->lint->given_up++;
			return;
		}
		if (*last == a->rule->policy || !boxes_meet(g, a, b) ||
		    !overlap_today(g->lint, a->rule, b->rule))
			continue;
		*last = a->rule->policy;
		say_conflict(g->lint, a->rule, b->rule);
	}
}

/* The rules of one phase and direction, of policies that tie. */
static void
compare_group(struct lint *lint, struct policy *const *policies, size_t count,
    enum phase phase, enum direction dir)
{
	struct group g = {.lint = lint};
	const struct policy *before = NULL, *said = NULL;

	for (size_t i = 0; i < count; i++) {
		const struct rule_list *list = lint_rules_of(policies[i], phase, dir);
		size_t first = g.count;
		unsigned conflicts = lint->said[CODE_PRIORITY_CONFLICT];

		for (size_t j = 0; j < list->count; j++)
			add_rival(&g, &list->rules[j]);
		said = NULL;
		for (size_t j = first; j < g.count; j++)
			compare_rivals(&g, j, &said);
		if (list->count == 0)
			continue;
		if (before != NULL && conflicts == lint->said[CODE_PRIORITY_CONFLICT])
			say_same_priority(lint, before, policies[i]);
		before = policies[i];
	}
	free(g.rivals);
	free(g.boxes.items);
}

void
lint_priorities(struct lint *lint)
{
	const struct model *m = lint->m;

	for (size_t i = 0, end; i < m->policy_count; i = end) {
		const struct policy *first = m->policies[i];

		end = i + 1;
		while (end < m->policy_count &&
		       m->policies[end]->level == first->level &&
		       m->policies[end]->priority == first->priority)
			end++;
		for (unsigned d = 0; end - i > 1 && d < DIRECTION_COUNT; d++) {
			compare_group(lint, &m->policies[i], end - i, PHASE_MANDATORY,
			    (enum direction)d);
			compare_group(lint, &m->policies[i], end - i, PHASE_DEFAULT,
			    (enum direction)d);
		}
	}
}
