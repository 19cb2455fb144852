/*
 * Policies of one level and priority: only their names say which is first. That matters
 * where a rule of one and a rule of the other decide the same connection differently.
 */
#include <roaring/roaring.h>
#include <stdlib.h>
#include <string.h>

#include "policy-lang/lint/lint_internal.h"

/* Of one policy no more conflicts than these are said, and no more comparisons than those
 * are made for one rule: what all do is proportional to their number. */
#define CONFLICTS_MAX 4u
#define COMPARED_MAX  2048u
/* What looking at the workloads of today costs, in comparisons. */
#define TODAY_WORK 16u

#define ACTIONS 3u /* of enum action */

/* Boxes, by their index. */
struct shelf {
	uint32_t *items;
	size_t count, cap;
};

/*
 * The rules of one phase and direction, of policies that tie. Boxes that differ in the
 * values of the group's key cannot meet: the key is the dimension that tells most boxes
 * apart (a label of the subject, its namespace, ...).
 */
struct group {
	struct lint *lint;
	struct space_boxes boxes;
	const struct rule **rules; /* by box */
	size_t rule_cap;
	uint32_t key;       /* KEYLESS: nothing tells them apart */
	struct map by_text; /* action and value, or two numbers -> struct shelf */
	struct shelf every[ACTIONS], keyless[ACTIONS];
};

#define KEYLESS UINT32_MAX

/* What is asked about, and what came of it. */
struct asked {
	const struct policy *conflicts[CONFLICTS_MAX]; /* of the policy */
	unsigned conflict_count;
	unsigned compared; /* for the rule */
};

/* ---- shelves ---- */

static void
shelve(struct shelf *shelf, size_t box)
{
	if (shelf->count == shelf->cap) {
		shelf->cap = shelf->cap == 0 ? 4 : 2 * shelf->cap;
		shelf->items =
		    xreallocarray(shelf->items, shelf->cap, sizeof(*shelf->items));
	}
	shelf->items[shelf->count++] = (uint32_t)box;
}

/* The shelf of a value; NULL if there is none and none is to be made. */
static struct shelf *
shelf_of(struct group *g, uint32_t kind, addr_num value, bool make)
{
	char bytes[sizeof(kind) + sizeof(value)];
	struct str key = {bytes, sizeof(bytes)};
	struct shelf *shelf;

	memcpy(bytes, &kind, sizeof(kind));
	memcpy(bytes + sizeof(kind), &value, sizeof(value));
	shelf = map_get(&g->by_text, key);
	if (shelf == NULL && make) {
		shelf = ARENA_NEW(g->lint->arena, struct shelf);
		(void)map_set(&g->by_text, str_dup(g->lint->arena, key), shelf);
	}
	return shelf;
}

static void
clear_shelves(struct group *g)
{
	for (size_t i = 0; i < g->by_text.len; i++)
		free(((struct shelf *)g->by_text.entries[i].value)->items);
	map_fini(&g->by_text);
	g->by_text = (struct map){0};
}

/* The values of a box in the key; NULL: it does not ask for single ones. */
static const struct space_set *
values_in_key(const struct group *g, const struct space_box *box)
{
	for (uint32_t i = 0; i < box->count; i++) {
		const struct space_dim *d = &box->dims[i];

		if (d->id == g->key)
			return space_is_points(&d->set) ? &d->set : NULL;
	}
	return NULL;
}

static void
shelve_box(struct group *g, size_t at)
{
	const struct space_set *values = values_in_key(g, &g->boxes.items[at]);
	unsigned action = (unsigned)g->rules[at]->action;

	shelve(&g->every[action], at);
	if (values == NULL)
		shelve(&g->keyless[action], at);
	for (uint32_t i = 0; values != NULL && i < values->count; i++)
		shelve(shelf_of(g, action, values->ranges[i].lo, true), at);
}

/* ---- the key ---- */

/* How many boxes ask for single values of a dimension, and most of them for one. */
struct tally {
	uint32_t dim, boxes, most;
};

static struct tally *
tally_of(struct map *tallies, struct arena *arena, uint32_t dim)
{
	struct str key = {(const char *)&dim, sizeof(dim)};
	struct tally *t = map_get(tallies, key);

	if (t == NULL) {
		t = ARENA_NEW(arena, struct tally);
		t->dim = dim;
		(void)map_set(tallies, str_dup(arena, key), t);
	}
	return t;
}

static void
tally_box(struct group *g, struct map *tallies, const struct space_box *box)
{
	for (uint32_t i = 0; i < box->count; i++) {
		const struct space_dim *d = &box->dims[i];
		struct tally *t;

		if (!space_is_points(&d->set))
			continue;
		t = tally_of(tallies, g->lint->arena, d->id);
		t->boxes++;
		for (uint32_t j = 0; j < d->set.count; j++) {
			/* No boxes on these shelves: they are counted only. */
			struct shelf *seen =
			    shelf_of(g, d->id, d->set.ranges[j].lo, true);

			if (++seen->count > t->most)
				t->most = (uint32_t)seen->count;
		}
	}
}

static void
choose_key(struct group *g)
{
	struct map tallies = {0};
	uint32_t best = 0;

	g->key = KEYLESS;
	for (size_t i = 0; i < g->boxes.count; i++)
		tally_box(g, &tallies, &g->boxes.items[i]);
	for (size_t i = 0; i < tallies.len; i++) {
		const struct tally *t = tallies.entries[i].value;

		if (t->boxes - t->most > best) {
			best = t->boxes - t->most;
			g->key = t->dim;
		}
	}
	map_fini(&tallies);
	clear_shelves(g);
}

/* ---- what overlaps ---- */

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

/* ---- comparing ---- */

static void
add_rules(struct group *g, const struct policy *p, enum phase phase, enum direction dir)
{
	const struct rule_list *list = policy_rules(p, phase, dir);

	for (size_t i = 0; i < list->count; i++) {
		size_t first = g->boxes.count;

		space_rule(&g->lint->space, &list->rules[i], &g->boxes);
		if (g->rule_cap < g->boxes.count) {
			g->rule_cap = 2 * g->boxes.count;
			g->rules = xreallocarray(
			    g->rules, g->rule_cap, sizeof(const struct rule *));
		}
		for (size_t j = first; j < g->boxes.count; j++)
			g->rules[j] = &list->rules[i];
	}
}

static bool
is_said(const struct asked *q, const struct policy *p)
{
	for (unsigned i = 0; i < q->conflict_count; i++) {
		if (q->conflicts[i] == p)
			return true;
	}
	return false;
}

/* One pair of policies is said once, at its first pair of rules. False: enough. */
static bool
compare(struct group *g, struct asked *q, size_t at, size_t other)
{
	const struct rule *a = g->rules[other], *b = g->rules[at];

	if (is_said(q, a->policy))
		return true;
	g->lint->work++;
	if (++q->compared > COMPARED_MAX || g->lint->work > LINT_WORK)
		return false;
	if (!space_meets(&g->boxes.items[other], &g->boxes.items[at]))
		return true;
	g->lint->work += TODAY_WORK;
	q->compared += TODAY_WORK;
	if (!overlap_today(g->lint, a, b))
		return true;
	if (q->conflict_count == CONFLICTS_MAX)
		return false;
	q->conflicts[q->conflict_count++] = a->policy;
	say_conflict(g->lint, a, b);
	return true;
}

static bool
compare_shelf(struct group *g, struct asked *q, size_t at, const struct shelf *shelf)
{
	for (size_t i = 0; shelf != NULL && i < shelf->count; i++) {
		if (!compare(g, q, at, shelf->items[i]))
			return false;
	}
	return true;
}

/* A box with those of other actions that it can meet. False: there were too many. */
static bool
compare_box(struct group *g, struct asked *q, size_t at)
{
	const struct space_set *values = values_in_key(g, &g->boxes.items[at]);
	bool all = true;

	for (unsigned action = 0; action < ACTIONS && all; action++) {
		if (action == (unsigned)g->rules[at]->action)
			continue;
		all = compare_shelf(
		    g, q, at, values == NULL ? &g->every[action] : &g->keyless[action]);
		for (uint32_t i = 0; values != NULL && i < values->count && all; i++)
			all = compare_shelf(
			    g, q, at, shelf_of(g, action, values->ranges[i].lo, false));
	}
	return all;
}

/* The boxes [first, end) of a policy, with those of the policies before it. */
static void
compare_policy(struct group *g, size_t first, size_t end)
{
	struct asked q = {0};

	for (size_t i = first; i < end; i++) {
		if (i > first && g->rules[i] != g->rules[i - 1])
			q.compared = 0;
		if (compare_box(g, &q, i))
			continue;
		if (q.conflict_count == CONFLICTS_MAX) {
			g->lint->ties_cut++;
			break;
		}
		g->lint->given_up++;
		while (i + 1 < end && g->rules[i + 1] == g->rules[i])
			i++;
	}
	for (size_t i = first; i < end; i++)
		shelve_box(g, i);
}

static void
compare_group(struct lint *lint, struct policy *const *policies, size_t count,
    enum phase phase, enum direction dir)
{
	struct group g = {.lint = lint};
	const struct policy *before = NULL;
	size_t box = 0;

	for (size_t i = 0; i < count; i++)
		add_rules(&g, policies[i], phase, dir);
	choose_key(&g);
	for (size_t i = 0; i < count; i++) {
		unsigned conflicts = lint->said[CODE_PRIORITY_CONFLICT];
		size_t first = box;

		if (policy_rules(policies[i], phase, dir)->count == 0)
			continue;
		while (box < g.boxes.count && g.rules[box]->policy == policies[i])
			box++;
		compare_policy(&g, first, box);
		if (before != NULL && conflicts == lint->said[CODE_PRIORITY_CONFLICT])
			say_same_priority(lint, before, policies[i]);
		before = policies[i];
	}
	clear_shelves(&g);
	for (unsigned i = 0; i < ACTIONS; i++) {
		free(g.every[i].items);
		free(g.keyless[i].items);
	}
	free(g.rules);
	free(g.boxes.items);
}

/* True if one of the policies [first, end) of the model is asked about. */
static bool
asks_any(const struct lint *lint, size_t first, size_t end)
{
	while (first < end && !lint_asks(lint, lint->m->policies[first]))
		first++;
	return first < end;
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
		if (!asks_any(lint, i, end))
			continue;
		for (unsigned d = 0; end - i > 1 && d < DIRECTION_COUNT; d++) {
			compare_group(lint, &m->policies[i], end - i, PHASE_MANDATORY,
			    (enum direction)d);
			compare_group(lint, &m->policies[i], end - i, PHASE_DEFAULT,
			    (enum direction)d);
		}
	}
}
