/*
 * What nobody wrote about: pairs of a source and a destination of whose connections the
 * cluster default decides all, because no policy of either end isolates it or has a rule
 * that speaks of the other. (A rule that passes leaves it to others to decide.)
 *
 * Workloads to whom policy is silent about the same others are one group, so that the
 * work is by groups and not by pairs.
 */
#include <roaring/roaring.h>
#include <stdlib.h>

#include "policy-lang/lint/lint_reach.h"

/* Workloads of whom a direction's policies are silent about the same others. */
struct group {
	roaring_bitmap_t *members, *silent;
};

struct silence {
	struct lint *lint;
	const struct lint_classes *classes;
	struct group *groups[DIRECTION_COUNT];
	size_t count[DIRECTION_COUNT], cap[DIRECTION_COUNT];
	uint32_t *of_class; /* of one direction; LINT_NONE: silent about nobody */
	uint64_t
	    pairs[DIRECTION_COUNT]; /* that one direction's policies are silent of */
	uint64_t both;
	uint32_t src, dst; /* the first pair of both */
};

/* What one operation on sets of all workloads costs, in comparisons. */
static unsigned
set_work(const struct lint *lint)
{
	return 4 + lint->world.slot_count / 16384;
}

/* ---- whom a class is silent about ---- */

/* Takes away whom the rules speak of. */
static void
take_rules(struct lint *lint, const struct rule_list *list, roaring_bitmap_t *silent)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct rule *rule = &list->rules[i];

		if (rule->action == ACTION_PASS)
			continue;
		roaring_bitmap_andnot_inplace(
		    silent, world_rule_peers(&lint->world, rule));
		lint->work += set_work(lint);
	}
}

static bool
isolates(const struct lint_class *k, enum direction dir)
{
	for (size_t i = 0; i < k->policy_count; i++) {
		if (k->policies[i]->isolates[dir])
			return true;
	}
	return false;
}

/* Whom the policies of a class are silent about; the caller frees it. */
static roaring_bitmap_t *
silent_about(struct lint *lint, const struct lint_class *k, enum direction dir)
{
	roaring_bitmap_t *silent;

	if (isolates(k, dir))
		return roaring_bitmap_create();
	silent = roaring_bitmap_copy(world_all(&lint->world));
	for (size_t i = 0; i < k->policy_count && !roaring_bitmap_is_empty(silent);
	     i++) {
		take_rules(lint, &k->policies[i]->mandatory[dir], silent);
		take_rules(lint, &k->policies[i]->defaults[dir], silent);
	}
	return silent;
}

/* ---- groups ---- */

/* The text of a set: equal sets have equal ones. */
static struct str
set_key(struct arena *arena, roaring_bitmap_t *bits)
{
	size_t size;
	char *bytes;

	(void)roaring_bitmap_run_optimize(bits);
	size = roaring_bitmap_portable_size_in_bytes(bits);
	bytes = arena_alloc(arena, size);
	return (struct str){bytes, roaring_bitmap_portable_serialize(bits, bytes)};
}

/* Takes the set. */
static uint32_t
group_new(struct silence *s, enum direction dir, roaring_bitmap_t *silent)
{
	if (s->count[dir] == s->cap[dir]) {
		s->cap[dir] = s->cap[dir] == 0 ? 16 : 2 * s->cap[dir];
		s->groups[dir] =
		    xreallocarray(s->groups[dir], s->cap[dir], sizeof(*s->groups[dir]));
	}
	s->groups[dir][s->count[dir]] =
	    (struct group){.members = roaring_bitmap_create(), .silent = silent};
	return (uint32_t)s->count[dir]++;
}

/* Finds the group of each class. False: there was too much to do. */
static bool
group_classes(struct silence *s, enum direction dir)
{
	struct arena *arena = arena_new();
	struct map by_set = {0}; /* -> its group's number, plus 1 */
	bool done = true;

	for (size_t i = 0; i < s->classes->count && done; i++) {
		roaring_bitmap_t *silent =
		    silent_about(s->lint, &s->classes->items[i], dir);
		struct str key;
		uintptr_t known;

		s->of_class[i] = LINT_NONE;
		done = !lint_stops(s->lint, LINT_DEFAULTS);
		if (roaring_bitmap_is_empty(silent) || !done) {
			roaring_bitmap_free(silent);
			continue;
		}
		key = set_key(arena, silent);
		known = (uintptr_t)map_get(&by_set, key);
		if (known != 0) {
			roaring_bitmap_free(silent);
			s->of_class[i] = (uint32_t)(known - 1);
			continue;
		}
		s->of_class[i] = group_new(s, dir, silent);
		(void)map_set(&by_set, key, (void *)(uintptr_t)(s->of_class[i] + 1));
	}
	map_fini(&by_set);
	arena_free(arena);
	return done;
}

static void
fill_groups(struct silence *s, enum direction dir)
{
	for (uint32_t i = 0; i < s->lint->world.slot_count; i++) {
		uint32_t group = s->of_class[s->classes->of_slot[i]];

		if (group != LINT_NONE)
			roaring_bitmap_add(s->groups[dir][group].members, i);
	}
}

/* ---- counting ---- */

/* The members of whose own connections to themselves nothing is said: no pairs. */
static roaring_bitmap_t *
selves(const struct silence *s, enum direction dir)
{
	roaring_bitmap_t *all = roaring_bitmap_create();

	for (size_t i = 0; i < s->count[dir]; i++) {
		roaring_bitmap_t *own = roaring_bitmap_and(
		    s->groups[dir][i].members, s->groups[dir][i].silent);

		roaring_bitmap_or_inplace(all, own);
		roaring_bitmap_free(own);
	}
	return all;
}

static void
count_direction(struct silence *s, enum direction dir)
{
	for (size_t i = 0; i < s->count[dir]; i++)
		s->pairs[dir] +=
		    roaring_bitmap_get_cardinality(s->groups[dir][i].members) *
		    roaring_bitmap_get_cardinality(s->groups[dir][i].silent);
}

/* The first source of a pair of groups, if none before it was found. */
static void
keep_first(struct silence *s, const struct group *from, const struct group *to)
{
	roaring_bitmap_t *sources = roaring_bitmap_and(from->members, to->silent);
	roaring_bitmap_t *ends = roaring_bitmap_and(to->members, from->silent);
	uint32_t src = roaring_bitmap_minimum(sources);
	uint32_t dst = roaring_bitmap_minimum(ends);

	if (src == dst && roaring_bitmap_get_cardinality(ends) > 1)
		(void)roaring_bitmap_select(ends, 1, &dst);
	else if (src == dst && roaring_bitmap_get_cardinality(sources) > 1)
		(void)roaring_bitmap_select(sources, 1, &src);
	if (src != dst && src < s->src) {
		s->src = src;
		s->dst = dst;
	}
	roaring_bitmap_free(sources);
	roaring_bitmap_free(ends);
}

/* False: there was too much to do. */
static bool
count_both(struct silence *s)
{
	for (size_t i = 0; i < s->count[DIR_EGRESS]; i++) {
		const struct group *from = &s->groups[DIR_EGRESS][i];

		for (size_t j = 0; j < s->count[DIR_INGRESS]; j++) {
			const struct group *to = &s->groups[DIR_INGRESS][j];
			uint64_t sources, ends;

			s->lint->work += 2 * set_work(s->lint);
			if (lint_stops(s->lint, LINT_DEFAULTS))
				return false;
			sources =
			    roaring_bitmap_and_cardinality(from->members, to->silent);
			ends =
			    roaring_bitmap_and_cardinality(to->members, from->silent);
			s->both += sources * ends;
			if (sources > 0 && ends > 0)
				keep_first(s, from, to);
		}
	}
	return true;
}

static void
drop_selves(struct silence *s)
{
	roaring_bitmap_t *own[DIRECTION_COUNT];

	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		own[d] = selves(s, (enum direction)d);
		s->pairs[d] -= roaring_bitmap_get_cardinality(own[d]);
	}
	s->both -= roaring_bitmap_and_cardinality(own[DIR_EGRESS], own[DIR_INGRESS]);
	for (unsigned d = 0; d < DIRECTION_COUNT; d++)
		roaring_bitmap_free(own[d]);
}

static void
say_defaults(const struct silence *s)
{
	const struct lint_world *w = &s->lint->world;
	uint64_t pairs = (uint64_t)w->slot_count * (w->slot_count - 1);
	struct diag *d;

	d = lint_say(s->lint, CODE_DEFAULT_ALONE, w->slots[s->src]->loc,
	    "%" PRIu64 " of %" PRIu64
	    " pairs of a source and a destination rely on the "
	    "cluster default alone (%s): policy is silent about %" PRIu64
	    " in the source's egress, about %" PRIu64
	    " in the destination's ingress; this is the source of the first",
	    s->both, pairs, s->lint->m->options.default_deny ? "deny" : "allow",
	    s->pairs[DIR_EGRESS], s->pairs[DIR_INGRESS]);
	lint_note(s->lint, d, w->slots[s->dst]->loc, "and %.*s is its destination",
	    STR_ARG(w->slots[s->dst]->shape->display));
	lint_figure(s->lint, d, "pairs", pairs);
	lint_figure(s->lint, d, "default", s->both);
	lint_figure(s->lint, d, "egressDefault", s->pairs[DIR_EGRESS]);
	lint_figure(s->lint, d, "ingressDefault", s->pairs[DIR_INGRESS]);
}

void
lint_defaults(struct lint *lint, const struct lint_classes *classes)
{
	struct silence s = {.lint = lint, .classes = classes, .src = LINT_NONE};
	bool done = true;

	s.of_class = xcalloc(classes->count + 1, sizeof(*s.of_class));
	for (unsigned d = 0; d < DIRECTION_COUNT && done; d++) {
		done = group_classes(&s, (enum direction)d);
		if (done) {
			fill_groups(&s, (enum direction)d);
			count_direction(&s, (enum direction)d);
		}
	}
	if (done && count_both(&s)) {
		drop_selves(&s);
		if (s.both > 0)
			say_defaults(&s);
	}
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		for (size_t i = 0; i < s.count[d]; i++) {
			roaring_bitmap_free(s.groups[d][i].members);
			roaring_bitmap_free(s.groups[d][i].silent);
		}
		free(s.groups[d]);
	}
	free(s.of_class);
}
