/*
 * Entries of one list that say what another entry says already, and neighbours in a list
 * that were probably meant to be one.
 */
#include <stdlib.h>

#include <roaring/roaring.h>

#include "policy-lang/lint/lint_internal.h"

/* Lists are compared entry by entry up to this length. */
#define LIST_MAX 256u

/* ---- peers and ports ---- */

/* The boxes of one entry; those of all entries stand in one array. */
struct span {
	size_t first, end;
};

static bool
span_covers(
    const struct space_boxes *boxes, const struct span *outer, const struct span *inner)
{
	if (inner->first == inner->end)
		return false;
	for (size_t i = inner->first; i < inner->end; i++) {
		bool covered = false;

		for (size_t j = outer->first; j < outer->end && !covered; j++)
			covered = space_covers(&boxes->items[j], &boxes->items[i]);
		if (!covered)
			return false;
	}
	return true;
}

/* The entry that covers entry `at`, and stays itself: of two equal ones the first does.
 * Returns `count` if there is none. */
static size_t
covering(
    const struct space_boxes *boxes, const struct span *spans, size_t count, size_t at)
{
	for (size_t i = 0; i < count; i++) {
		if (i == at || !span_covers(boxes, &spans[i], &spans[at]))
			continue;
		if (i < at || !span_covers(boxes, &spans[at], &spans[i]))
			return i;
	}
	return count;
}

/* A list under comparison. */
struct list {
	struct space_boxes boxes;
	struct span spans[LIST_MAX];
	struct loc locs[LIST_MAX];
	size_t count;
};

/* False, and counted, if the list is too long; lists of one have nothing to say. */
static bool
is_comparable(struct lint *lint, size_t count)
{
	lint->given_up += count > LIST_MAX;
	return count > 1 && count <= LIST_MAX;
}

static void
say_covered(struct lint *lint, const struct list *list, enum diag_code code)
{
	for (size_t i = 0; i < list->count; i++) {
		size_t by = covering(&list->boxes, list->spans, list->count, i);
		struct diag *d;

		if (by == list->count)
			continue;
		d = lint_say(lint, code, list->locs[i],
		    "another entry of the list takes in all that this one does");
		lint_note(lint, d, list->locs[by], "this one");
	}
}

static void
lint_peers(struct lint *lint, const struct rule *rule)
{
	struct list list = {.count = rule->peer_count};

	if (!is_comparable(lint, rule->peer_count))
		return;
	for (size_t i = 0; i < rule->peer_count; i++) {
		list.spans[i].first = list.boxes.count;
		space_peer(&lint->space, &rule->peers[i], &list.boxes);
		list.spans[i].end = list.boxes.count;
		list.locs[i] = rule->peers[i].loc;
	}
	say_covered(lint, &list, CODE_REDUNDANT_PEER);
	free(list.boxes.items);
}

static void
lint_port_list(struct lint *lint, const struct rule *rule)
{
	struct list list = {.count = rule->port_count};

	if (!is_comparable(lint, rule->port_count))
		return;
	list.boxes.items = xcalloc(rule->port_count, sizeof(*list.boxes.items));
	for (size_t i = 0; i < rule->port_count; i++) {
		list.boxes.items[i] = space_port(&lint->space, &rule->ports[i]);
		list.spans[i] = (struct span){i, i + 1};
		list.locs[i] = rule->ports[i].loc;
	}
	say_covered(lint, &list, CODE_REDUNDANT_PORT);
	free(list.boxes.items);
}

/* ---- two items where one was meant ---- */

static bool
is_pods_only(const struct peer *p)
{
	return p->kind == PEER_WORKLOADS && p->workloads.kube != NULL &&
	       p->workloads.selector != NULL && p->workloads.selector->count > 0;
}

static bool
is_namespaces_only(const struct peer *p)
{
	return p->kind == PEER_WORKLOADS && p->workloads.kube == NULL &&
	       p->workloads.ns_selector != NULL && p->workloads.selector == NULL;
}

/*
 * A namespaceSelector and, beside it, a podSelector that matches no pod of the policy's
 * own namespace: it was meant for the pods of those others.
 */
static void
lint_dash(struct lint *lint, const struct peer *a, const struct peer *b)
{
	const struct peer *namespaces = is_namespaces_only(a) ? a : b;
	const struct peer *pods = namespaces == a ? b : a;
	struct workload_match both;
	struct diag *d;

	if (!is_namespaces_only(namespaces) || !is_pods_only(pods))
		return;
	both = pods->workloads;
	both.kube = NULL;
	both.ns_selector = namespaces->workloads.ns_selector;
	if (lint->world.slot_count > 0 &&
	    (!roaring_bitmap_is_empty(world_peer(&lint->world, pods)) ||
		roaring_bitmap_is_empty(world_match(&lint->world, &both))))
		return;
	d = lint_say(lint, CODE_TWO_ITEMS, b->loc,
	    "two items of a list mean either; together they take in every pod of the "
	    "namespaces selected");
	lint_note(lint, d, a->loc, "the other item");
	lint_hint(lint, d, "one item with both selectors means both");
}

static void
lint_neighbours(struct lint *lint, const struct rule *rule)
{
	if (rule->policy->kind != POLICY_NETWORK_POLICY)
		return;
	for (size_t i = 1; i < rule->peer_count; i++)
		lint_dash(lint, &rule->peers[i - 1], &rule->peers[i]);
}

static void
lint_one(struct lint *lint, const struct rule *rule)
{
	lint_peers(lint, rule);
	lint_port_list(lint, rule);
	lint_neighbours(lint, rule);
}

void
lint_lists(struct lint *lint)
{
	lint_each_rule(lint, lint_one);
}
