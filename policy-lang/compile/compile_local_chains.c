/*
 * Chains that come, go, or read otherwise where the node's own workloads are held to
 * something else.
 */
#include "policy-lang/compile/compile_state.h"

/* A number stays with a rule whose words have changed. */
static void
tell_words(struct update *u, const struct verdict_number *old,
    const struct verdict_number *now)
{
	struct table_rule_chain before, after;

	if (old->rule == now->rule && old->policy == now->policy &&
	    old->route == now->route && old->way == now->way)
		return;
	before = chains_one(u->arena, old);
	after = chains_one(u->arena, now);
	if (!table_rule_chain_equal(&before, &after))
		u->delta->chains_changed[u->delta->chain_changed_count++] = after;
}

static void
tell_numbers(struct update *u, struct compiler *to)
{
	const struct compiler *from = u->s->c;
	const size_t most = to->number_count + to->limit_count;
	size_t i = 0, j = 0;

	u->delta->chains_added = ARENA_ARRAY(u->arena, most, struct table_rule_chain);
	u->delta->chains_changed = ARENA_ARRAY(u->arena, most, struct table_rule_chain);
	u->delta->chains_removed =
	    ARENA_ARRAY(u->arena, from->number_count + from->limit_count, uint32_t);
	while (i < from->number_count || j < to->number_count) {
		const struct verdict_number *old =
		    i < from->number_count ? &from->numbers[i] : NULL;
		struct verdict_number *now =
		    j < to->number_count ? &to->numbers[j] : NULL;
		bool had = old != NULL && (now == NULL || old->number <= now->number);
		bool has = now != NULL && (old == NULL || now->number <= old->number);

		i += had;
		j += has;
		had = had && old->in_force;
		if (has)
			now->in_force = now->uses != 0;
		has = has && now->in_force;
		if (had && has)
			tell_words(u, old, now);
		else if (had || has)
			update_chain(u, has ? now : old, has);
	}
}

/* Chains of limits, which no verdict bears. */
static void
tell_limits(struct update *u, const struct compiler *to)
{
	const struct compiler *from = u->s->c;
	struct compile_delta *delta = u->delta;
	size_t i = 0, j = 0;

	while (i < from->limit_count || j < to->limit_count) {
		const struct table_rule_chain *old =
		    i < from->limit_count ? &from->limits[i] : NULL;
		const struct table_rule_chain *now =
		    j < to->limit_count ? &to->limits[j] : NULL;
		bool had = old != NULL && (now == NULL || old->number <= now->number);
		bool has = now != NULL && (old == NULL || now->number <= old->number);

		i += had;
		j += has;
		if (had && has && table_rule_chain_equal(old, now))
			continue;
		if (has && had)
			limits_copy_chain(u->arena, now,
			    &delta->chains_changed[delta->chain_changed_count++]);
		else if (has)
			limits_copy_chain(u->arena, now,
			    &delta->chains_added[delta->chain_added_count++]);
		else if (had)
			delta->chains_removed[delta->chain_removed_count++] =
			    old->number;
	}
}

void
update_chains(struct update *u, struct compiler *to)
{
	tell_numbers(u, to);
	tell_limits(u, to);
}
