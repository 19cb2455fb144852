/*
 * What is to be in force, and what to do next: one thing at a time is asked of the kernel
 * role, and what follows from what is known (engine_apply_step). How it is asked, and what
 * becomes of the answer, is in engine_commit.c.
 */
#include <stdlib.h>

#include "common/log.h"
#include "enforcer/engine/engine_state.h"
#include "enforcer/engine/plan_delta.h"
#include "enforcer/wire/pace.h"

#define COLD_CHUNK 20000 /* elements: some tens of milliseconds of the kernel's */

const char *
engine_state_name(const struct engine *e)
{
	if (e->apply.current == NULL)
		return "starting";
	if (e->apply.current->skeleton)
		return "closed";
	return engine_sources_good(e) && e->apply.refusal[0] == '\0' ? "enforcing"
								     : "stale";
}

/* ---- waiting ---- */

static void
on_timer(uv_timer_t *timer)
{
	engine_apply_step(timer->data);
}

void
engine_apply_step_after(struct engine *e, uint64_t ms)
{
	if (uv_timer_start(&e->apply.timer, on_timer, ms, 0) != 0)
		base_die("cannot start a timer");
}

void
engine_apply_retry(struct engine *e)
{
	struct engine_apply *a = &e->apply;

	a->retry_ms = pace_retry_ms(a->retry_ms);
	a->commit_after.ns = monotime_now().ns + a->retry_ms * UINT64_C(1000000);
	engine_apply_step_after(e, a->retry_ms);
}

/* ---- plans ---- */

/* Nothing is in force that would have to go on: what is large comes bit by bit. */
static bool
is_cold(const struct engine *e, const struct program *p)
{
	size_t counts[SET_COUNT], count = 0;

	program_counts(p, counts);
	for (size_t set = 0; set < SET_COUNT; set++)
		count += counts[set];
	return count > COLD_CHUNK && e->adopt.fresh &&
	       (e->apply.current == NULL || e->apply.current->skeleton);
}

/* Its long sets are listed while the kernel is at what came before. */
static void
plan_by_and_by(struct engine_apply *a)
{
	struct arena *arena = a->plan_arena;
	struct table_content to;

	program_rest(a->pending, arena, a->pending_midstream, &to);
	plan_cold(arena, &to, COLD_CHUNK, &a->stages);
	a->listing.set = SET_COUNT;
	for (size_t i = 0; i < ARRAY_LEN(a->listing.room); i++)
		a->listing.room[i] =
		    ARENA_ARRAY(arena, COLD_CHUNK, struct table_element);
}

static bool
can_go_on(const struct engine_apply *a)
{
	return a->table_known && a->current != NULL && !a->heal;
}

struct table_content
engine_apply_desired(const struct engine *e, struct arena *arena)
{
	const struct engine_apply *a = &e->apply;
	struct table_content content;

	if (a->ahead && !a->former_lost)
		program_former_content(
		    a->current, &a->delta, arena, a->midstream, &content);
	else
		program_content(a->current, arena, a->midstream, &content);
	return content;
}

/* Another program, or the one in force anew. */
static void
make_plan(struct engine *e)
{
	struct engine_apply *a = &e->apply;
	struct arena *arena = a->plan_arena;
	struct table_content from, to;
	bool cold = is_cold(e, a->pending);

	a->whole = cold || !can_go_on(a);
	if (!a->whole)
		from = engine_apply_desired(e, arena);
	if (a->current != NULL && !a->current->skeleton)
		engine_gone_note_program(e, a->current);
	/* What there are rules for stays until the whole table is made again. */
	program_keep_uses(a->pending, a->whole ? 0 : from.settings.uses);
	if (cold) {
		plan_by_and_by(a);
	} else {
		program_content(a->pending, arena, a->pending_midstream, &to);
		plan_at_once(arena, a->whole ? NULL : &from, &to, &a->stages);
	}
	a->stage = 0;
}

/* The one in force as it was before a change that the kernel does not have: whatever there are
 * to be rules for there were then. */
static void
plan_former(struct engine *e)
{
	struct engine_apply *a = &e->apply;
	struct table_content to;

	a->pending_midstream = a->midstream;
	a->whole = true;
	to = engine_apply_desired(e, a->plan_arena);
	plan_at_once(a->plan_arena, NULL, &to, &a->stages);
	a->stage = 0;
}

/* The table is to be as it was: a change waits for what comes of it, or is refused. */
static bool
wants_former(const struct engine_apply *a)
{
	return a->ahead && !a->former_lost && (!a->changed || a->restore);
}

/* What becomes of mid-stream is all that is another, which one chain says: nobody waits while
 * a whole table is compared with itself. */
static void
plan_midstream(struct engine_apply *a)
{
	const struct table_rule_chain *now = program_rule(a->current, NUMBER_MIDSTREAM);
	struct table_rule_chain *next =
	    ARENA_NEW(a->plan_arena, struct table_rule_chain);
	struct op_batch *batch = ARENA_NEW(a->plan_arena, struct op_batch);

	batch->settings = a->current->options.settings;
	batch->ops = ARENA_NEW(a->plan_arena, struct op);
	if (now != NULL) {
		*next = *now;
		table_set_midstream(next, 1, a->pending_midstream);
		batch->ops[batch->count++] =
		    (struct op){.kind = OP_CHAIN_REPLACE, .chain = next};
	}
	a->stages = (struct plan_stages){.batches = batch, .count = 1};
	a->stage = 0;
	a->whole = false;
}

void
engine_apply_begin(struct engine *e, struct program *p)
{
	struct engine_apply *a = &e->apply;

	arena_reset(a->plan_arena);
	a->pending = p;
	a->pending_midstream = engine_adopt_midstream(e);
	a->restoring = p == a->current && !can_go_on(a) && wants_former(a);
	a->restore = false;
	if (a->restoring)
		plan_former(e);
	else if (p == a->current && can_go_on(a))
		plan_midstream(a);
	else
		make_plan(e);
	engine_commit_begin(e);
}

/* The change alone, with the rules that it is the first to need. */
static void
plan_change(struct engine_apply *a)
{
	struct table_settings *settings = &a->current->options.settings;
	const uint32_t before = settings->uses;

	settings->uses |= table_uses(a->delta.added_count);
	a->whole = false;
	a->stages.count = 1;
	a->stages.batches = ARENA_NEW(a->plan_arena, struct op_batch);
	plan_delta(a->plan_arena, a->current->real.state, settings, before, &a->delta,
	    a->stages.batches);
}

struct arena *
engine_apply_delta_arena(struct engine *e)
{
	arena_reset(e->apply.delta_arena);
	return e->apply.delta_arena;
}

void
engine_apply_ahead(struct engine *e, const struct compile_delta *delta)
{
	e->apply.ahead = true;
	e->apply.former_lost = false;
	e->apply.delta = *delta;
}

void
engine_apply_changed(struct engine *e, monotime_t arrived)
{
	struct engine_apply *a = &e->apply;

	arena_reset(a->plan_arena);
	a->pending = a->current;
	a->pending_midstream = a->midstream;
	a->changed = true;
	table_set_midstream(
	    a->delta.chains_added, a->delta.chain_added_count, a->midstream);
	allowed_set_logs(
	    &a->current->allowed, a->delta.chains_added, a->delta.chain_added_count);
	allowed_set_logs(&a->current->allowed, a->delta.chains_changed,
	    a->delta.chain_changed_count);
	a->current->arrived = arrived;
	a->stage = 0;
	plan_change(a);
	engine_commit_begin(e);
}

/* What was planned beside the program that was current, if nothing has become of its table
 * meanwhile. */
static bool
take_plan(struct engine_apply *a)
{
	struct program_recompiled *r = a->recompiled;

	if (!can_go_on(a) || r->midstream != a->midstream ||
	    r->uses != a->current->options.settings.uses)
		return false;
	arena_free(a->plan_arena);
	a->plan_arena = r->plan_arena;
	r->plan_arena = NULL;
	a->stages = r->stages;
	a->stage = 0;
	a->whole = false;
	return true;
}

static void
begin_recompiled(struct engine *e)
{
	struct engine_apply *a = &e->apply;
	const uint32_t uses = a->recompiled->uses;
	const bool planned = take_plan(a);

	engine_gone_note_program(e, a->current);
	program_take(a->current, a->recompiled);
	free(a->recompiled);
	a->recompiled = NULL;
	a->current->arrived = a->recompiled_arrived;
	a->changed = true;
	a->pending = a->current;
	a->pending_midstream = a->midstream;
	if (planned) {
		program_keep_uses(a->current, uses);
	} else {
		arena_reset(a->plan_arena);
		a->pending_midstream = engine_adopt_midstream(e);
		make_plan(e);
	}
	engine_commit_begin(e);
}

void
engine_apply_recompiled(
    struct engine *e, struct program_recompiled *r, monotime_t arrived)
{
	struct engine_apply *a = &e->apply;

	a->recompiled = xmalloc(sizeof(*r));
	*a->recompiled = *r;
	a->recompiled_arrived = arrived;
	engine_apply_step(e);
}

/* ---- what next ---- */

static bool
audit_blocks(const struct engine *e)
{
	return e->settings.audit_required && !e->audit.writable;
}

static bool
audit_holds(const struct engine *e)
{
	return audit_blocks(e) && !e->apply.candidate->skeleton;
}

bool
engine_apply_is_in_force(const struct engine *e)
{
	const struct engine_apply *a = &e->apply;

	return a->current != NULL && !a->current->skeleton && a->table_known &&
	       !a->ahead && !a->heal && !a->again;
}

bool
engine_apply_owns_table(const struct engine *e)
{
	return e->kernel.owned && e->apply.current != NULL;
}

bool
engine_apply_is_busy(const struct engine *e)
{
	return e->load.dirty || e->load.running || e->apply.candidate != NULL ||
	       e->apply.pending != NULL || engine_edits_wait(e);
}

static bool
wants_midstream(const struct engine *e)
{
	return e->apply.current != NULL && !e->apply.current->skeleton &&
	       e->apply.midstream != engine_adopt_midstream(e);
}

static bool
wants_commit(const struct engine *e)
{
	return e->apply.heal || wants_midstream(e) ||
	       (e->apply.candidate != NULL && !audit_holds(e));
}

/* What could not be put in force, and may never be, does not keep from the kernel what was. */
static bool
restores_first(const struct engine *e)
{
	const struct engine_apply *a = &e->apply;

	return a->candidate_refused && (a->heal || wants_midstream(e));
}

bool
engine_apply_takes_candidate(const struct engine *e)
{
	return e->apply.candidate != NULL && !audit_holds(e) && !restores_first(e);
}

static bool
must_wait(const struct engine *e)
{
	return wants_commit(e) && !restores_first(e) &&
	       !(e->apply.restore && wants_former(&e->apply)) &&
	       monotime_now().ns < e->apply.commit_after.ns;
}

static bool
take_edits(struct engine *e)
{
	if (e->apply.recompiled != NULL || !engine_edits_wait(e))
		return false;
	if (!audit_blocks(e))
		return engine_edits_take(e);
	if (e->audit.told && !e->edits.held)
		log_error("program-held", "detail=\"the audit log cannot be written\"");
	e->edits.held = true;
	return false;
}

void
engine_apply_step(struct engine *e)
{
	struct engine_apply *a = &e->apply;

	engine_cut_decided(e); /* before the next change is on its way */
	engine_edits_catch_up(e);
	if (a->phase != APPLY_IDLE || e->stopping || !engine_kernel_connected(e))
		return;
	if (a->suspect) {
		engine_apply_look(e);
	} else if (a->again && !a->heal) {
		a->again = false;
		a->pending = a->current;
		engine_commit_send(e);
	} else if (must_wait(e)) {
		engine_apply_step_after(e, PACE_RETRY_FIRST_MS);
	} else if (engine_apply_takes_candidate(e)) {
		struct program *p = a->candidate;

		a->candidate = NULL;
		a->candidate_refused = false;
		engine_apply_begin(e, p);
	} else if (a->heal || wants_midstream(e)) {
		engine_apply_begin(e, a->current);
	} else if (a->recompiled != NULL && !audit_blocks(e)) {
		begin_recompiled(e);
	} else if (!take_edits(e) && ((a->verify && !a->ahead) || a->glance)) {
		engine_apply_look(e);
	}
}

void
engine_apply_offer(struct engine *e, struct program *p)
{
	engine_refused_drop_program(e, e->apply.candidate);
	e->apply.candidate = NULL;
	/* Made before the kernel was asked; another is on its way. */
	if (p->options.settings.no_nat != e->settings.no_nat ||
	    p->options.settings.validate_sources !=
		engine_settings_validate(&e->settings) ||
	    p->options.settings.steer_mask != e->settings.steering.mask) {
		engine_refused_drop_program(e, p);
		return;
	}
	e->apply.candidate = p;
	e->apply.candidate_refused = false;
	e->apply.retry_ms = 0;
	e->apply.commit_after.ns = 0;
	if (e->apply.current == NULL)
		e->apply.look_after.ns = 0; /* nor does it wait until what closes may */
	if (e->audit.told && audit_holds(e))
		log_error("program-held", "detail=\"the audit log cannot be written\"");
	engine_apply_step(e);
}

void
engine_apply_foreign(struct engine *e, uint32_t generation)
{
	struct engine_apply *a = &e->apply;

	if (generation == a->generation)
		return;
	/* To a table that is owned others can do nothing: no change waits for a look at it; nor
	 * is what current says half way to being compiled anew a reason to mend it.
	 * Without a program of ours, what they do matters only if the table goes. */
	if (e->kernel.owned && (a->table_known || a->ahead) && a->current != NULL)
		a->glance = true;
	else
		a->suspect = a->current != NULL || e->settings.boot_closed;
	engine_apply_step(e);
}

void
engine_apply_connected(struct engine *e, uint32_t generation)
{
	struct engine_apply *a = &e->apply;

	if (a->current == NULL)
		a->suspect = true; /* is there a table at all? */
	else if (!a->table_known && !a->heal)
		engine_apply_need_heal(
		    e, false, "the kernel role ended in the middle of a commit");
	else if (generation != a->generation)
		a->suspect = true;
	engine_routes_tell(e);
	engine_ways_settle(e);
	engine_apply_step(e);
}

void
engine_apply_disconnected(struct engine *e)
{
	(void)uv_timer_stop(&e->apply.timer); /* cannot fail */
}

void
engine_apply_init(struct engine *e)
{
	e->apply.plan_arena = arena_new();
	e->apply.delta_arena = arena_new();
	e->apply.suspect = true; /* is there a table of an earlier run? */
	e->apply.timer.data = e;
	if (uv_timer_init(&e->loop, &e->apply.timer) != 0)
		base_die("cannot make a timer");
}

void
engine_apply_fini(struct engine *e)
{
	struct engine_apply *a = &e->apply;

	if (a->pending != a->current)
		program_free(a->pending);
	engine_commit_drop_encoded(a);
	engine_commit_drop_recompiled(a);
	program_free(a->candidate);
	program_free(a->current);
	arena_free(a->plan_arena);
	arena_free(a->delta_arena);
	uv_close((uv_handle_t *)&a->timer, NULL);
}
