/*
 * A program that follows edits of single files. The model with the policies that are only
 * watched, where there is one, follows them as well.
 */
#include <stdlib.h>
#include <string.h>

#include "enforcer/engine/plan_delta.h"
#include "enforcer/engine/program.h"

#define WORN_BYTES ((size_t)16 * 1024 * 1024)

struct program_edit {
	struct program *p;
	struct live_edit *real, *shadow; /* NULL: there is no shadow */
};

struct program_edit *
program_edit_new(struct program *p)
{
	struct program_edit *e = xcalloc(1, sizeof(*e));

	e->p = p;
	e->real = live_edit_new(p->real.live);
	if (p->shadow.live != NULL)
		e->shadow = live_edit_new(p->shadow.live);
	return e;
}

void
program_edit_free(struct program_edit *e)
{
	if (e == NULL)
		return;
	live_edit_free(e->real);
	live_edit_free(e->shadow);
	free(e);
}

enum live_answer
program_edit_read(
    struct program_edit *e, struct str name, struct str text, struct diag_list *diags)
{
	enum live_answer answer = live_read(e->real, name, text, diags);
	struct diag_list again;

	if (answer != LIVE_READ || e->shadow == NULL)
		return answer;
	diag_list_init(&again, diags->arena); /* they have been told */
	return live_read(e->shadow, name, text, &again) == LIVE_READ ? LIVE_READ
								     : LIVE_BEYOND;
}

bool
program_edit_brings_names(const struct program_edit *e)
{
	return live_brings_names(e->real);
}

bool
program_edit_frees_names(const struct program_edit *e)
{
	return live_frees_names(e->real);
}

/* Chains that came and went, or read otherwise. */
static bool
changes_chains(const struct compile_delta *delta)
{
	return delta->chain_added_count + delta->chain_changed_count +
		   delta->chain_removed_count !=
	       0;
}

static bool
is_empty(const struct compile_delta *delta)
{
	return !compile_delta_has_elements(delta) && !changes_chains(delta);
}

static void
count_local(struct program *p, const struct compile_change *changes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (changes[i].kind != CHANGE_WORKLOAD)
			continue;
		p->local_workloads +=
		    program_counts_local(p, changes[i].workload_after);
		p->local_workloads -=
		    program_counts_local(p, changes[i].workload_before);
	}
}

/* ... of the side, which has others; what the real one had is put aside. */
static void
take_chains(struct program *p, struct program_side *side)
{
	struct program_former *former = &p->former;

	if (side == &p->real && former->chain_arena == NULL) {
		former->chain_arena = side->chain_arena;
		former->chains = side->chains;
		former->chain_count = side->chain_count;
		side->chain_arena = NULL;
	}
	program_take_chains(side);
}

static enum program_answer
advance(struct program *p, struct program_side *side, struct arena *arena,
    const struct compile_change *changes, size_t count, struct diag_list *diags,
    struct compile_delta *out_delta)
{
	const bool frees =
	    side == &p->real && program_see_changes(p, changes, count, diags);

	compile_state_advance(side->state, arena, live_model(side->live), changes,
	    count, diags, out_delta);
	if (!out_delta->anew && frees)
		compile_delta_make_anew(out_delta);
	if (out_delta->anew)
		return PROGRAM_COMPILES;
	if (changes_chains(out_delta) || (out_delta->local && !out_delta->own))
		take_chains(p, side);
	return PROGRAM_CHANGED;
}

/* Both sides follow, or none. */
enum program_answer
program_edit_commit(struct program_edit *e, struct arena *arena,
    struct diag_list *diags, struct compile_delta *out_delta)
{
	struct program *p = e->p;
	struct compile_change *changes, *shadow_changes = NULL;
	struct compile_delta shadow_delta;
	struct diag_list again;
	size_t count, shadow_count = 0;
	enum program_answer answer, shadow_answer = PROGRAM_CHANGED;

	diag_list_init(&again, diags->arena);
	/* What the shadow takes the other does, which has fewer objects; the other way
	 * round, a name that is only in the shadow's way makes both wait. */
	if (e->shadow != NULL &&
	    !live_commit(e->shadow, arena, &again, &shadow_changes, &shadow_count))
		return PROGRAM_BEYOND;
	if (!live_commit(e->real, arena, diags, &changes, &count))
		return PROGRAM_BEYOND;
	answer = advance(p, &p->real, arena, changes, count, diags, out_delta);
	if (e->shadow != NULL)
		shadow_answer = advance(p, &p->shadow, arena, shadow_changes,
		    shadow_count, &again, &shadow_delta);
	count_local(p, changes, count);
	if (answer != PROGRAM_COMPILES && shadow_answer == PROGRAM_COMPILES)
		compile_delta_make_anew(out_delta);
	return answer == PROGRAM_CHANGED ? shadow_answer : answer;
}

static enum program_answer
announce(struct program *p, struct program_side *side, const struct announced_pod *pods,
    size_t count, struct arena *arena, struct diag_list *diags,
    struct compile_delta *out_delta)
{
	struct compile_change *changes;
	size_t change_count;

	live_announce(side->live, pods, count, arena, diags, &changes, &change_count);
	if (change_count == 0)
		return PROGRAM_SAME;
	if (side == &p->real)
		count_local(p, changes, change_count);
	return advance(p, side, arena, changes, change_count, diags, out_delta);
}

enum program_answer
program_announce(struct program *p, const struct announced_pod *pods, size_t count,
    struct arena *arena, struct diag_list *diags, struct compile_delta *out_delta)
{
	struct compile_delta shadow_delta;
	struct diag_list again;
	enum program_answer answer, shadow_answer = PROGRAM_SAME;

	*out_delta = (struct compile_delta){.anew = false};
	diag_list_init(&again, arena);
	answer = announce(p, &p->real, pods, count, arena, diags, out_delta);
	if (p->shadow.live != NULL)
		shadow_answer =
		    announce(p, &p->shadow, pods, count, arena, &again, &shadow_delta);
	if (answer == PROGRAM_COMPILES || shadow_answer != PROGRAM_COMPILES)
		return answer;
	compile_delta_make_anew(out_delta);
	return PROGRAM_COMPILES;
}

enum program_answer
program_learn(struct program *p, const struct compile_change *changes, size_t count,
    struct arena *arena, struct diag_list *diags, struct compile_delta *out_delta)
{
	struct compile_delta shadow_delta;
	struct diag_list again;
	enum program_answer answer, shadow_answer = PROGRAM_CHANGED;

	diag_list_init(&again, arena);
	answer = advance(p, &p->real, arena, changes, count, diags, out_delta);
	if (p->shadow.live != NULL)
		shadow_answer = advance(
		    p, &p->shadow, arena, changes, count, &again, &shadow_delta);
	if (answer == PROGRAM_CHANGED && shadow_answer == PROGRAM_COMPILES)
		compile_delta_make_anew(out_delta);
	if (answer == PROGRAM_CHANGED && shadow_answer == PROGRAM_CHANGED &&
	    is_empty(out_delta))
		return PROGRAM_SAME;
	return answer == PROGRAM_CHANGED ? shadow_answer : answer;
}

enum program_answer
program_own(struct program *p, const struct ip_addr *addrs, size_t count,
    struct arena *arena, struct diag_list *diags, struct compile_delta *out_delta)
{
	struct compile_change *changes;
	size_t changed;

	if (p->shadow.live != NULL)
		live_own(p->shadow.live, addrs, count, arena, &changes, &changed);
	live_own(p->real.live, addrs, count, arena, &changes, &changed);
	if (changed == 0)
		return PROGRAM_SAME;
	return program_learn(p, changes, changed, arena, diags, out_delta);
}

/* ---- compiling anew ---- */

/* Everything is compared, which may take seconds. */
static void
plan(const struct program *p, struct program_recompiled *r)
{
	struct table_content from, to;

	r->plan_arena = arena_new();
	program_former_content(p, r->delta, r->plan_arena, r->midstream, &from);
	from.settings.uses = r->uses;
	program_content_of(p, r->real, r->plan_arena, r->midstream, &to);
	to.settings.uses = table_uses(to.element_count) | r->uses;
	plan_at_once(r->plan_arena, &from, &to, &r->stages);
}

void
program_recompile(const struct program *p, struct program_recompiled *out)
{
	monotime_t start = monotime_now();
	struct diag_list again;

	*out = (struct program_recompiled){.midstream = out->midstream,
	    .uses = out->uses,
	    .delta = out->delta,
	    .arena = arena_new()};
	diag_list_init(&out->diags, out->arena);
	diag_list_init(&out->told, out->arena);
	diag_list_init(&again, out->arena);
	live_settle(p->real.live);
	out->real =
	    compile_state_new(live_model(p->real.live), &p->options, &out->diags);
	out->ok = out->real != NULL;
	out->has_shadow = p->shadow.live != NULL;
	if (out->ok && out->has_shadow) {
		live_settle(p->shadow.live);
		out->shadow =
		    compile_state_new(live_model(p->shadow.live), &p->options, &again);
		if (out->shadow == NULL)
			program_warn_not_watched(&out->told);
	}
	out->compile_us = monotime_since(start, monotime_now()) / 1000;
	if (out->ok)
		plan(p, out);
}

void
program_recompiled_free(struct program_recompiled *r)
{
	compile_state_free(r->real);
	compile_state_free(r->shadow);
	arena_free(r->arena);
	arena_free(r->plan_arena);
	*r = (struct program_recompiled){.ok = false};
}

static void
take_state(struct program *p, struct program_side *side, struct compile_state **state)
{
	if (side == &p->real && p->former.state == NULL)
		p->former.state = side->state;
	else
		compile_state_free(side->state);
	side->state = *state;
	*state = NULL;
	if (side->state != NULL)
		take_chains(p, side);
}

void
program_take(struct program *p, struct program_recompiled *r)
{
	take_state(p, &p->real, &r->real);
	if (r->has_shadow && r->shadow == NULL)
		program_free_side(&p->shadow); /* too large to be watched */
	else if (r->has_shadow)
		take_state(p, &p->shadow, &r->shadow);
	p->compile_us = r->compile_us;
	program_recompiled_free(r);
}

struct table_content
program_former_chains(const struct program *p)
{
	if (p->former.chain_arena == NULL)
		return (struct table_content){.rule_chains = p->real.chains,
		    .rule_chain_count = p->real.chain_count};
	return (struct table_content){
	    .rule_chains = p->former.chains, .rule_chain_count = p->former.chain_count};
}

void
program_former_content(const struct program *p, const struct compile_delta *delta,
    struct arena *arena, enum table_midstream midstream, struct table_content *out)
{
	const struct program_former *former = &p->former;
	const struct table_content chains = program_former_chains(p);
	const size_t count = chains.rule_chain_count;

	compile_state_content(
	    former->state != NULL ? former->state : p->real.state, arena, out);
	if (delta != NULL)
		plan_undo(arena, delta, out);
	out->rule_chains = ARENA_ARRAY(arena, count, struct table_rule_chain);
	out->rule_chain_count = count;
	if (count != 0)
		memcpy(out->rule_chains, chains.rule_chains,
		    count * sizeof(*chains.rule_chains));
	program_complete(p, midstream, out);
}

void
program_sweep(struct program *p)
{
	program_free_former(&p->former); /* which refers to the model */
	program_sweep_asides(p);
	live_sweep(p->real.live);
	if (p->shadow.live != NULL)
		live_sweep(p->shadow.live);
}

bool
program_is_worn(const struct program *p)
{
	return live_edited_bytes(p->real.live) > WORN_BYTES + arena_bytes(p->arena) / 4;
}
