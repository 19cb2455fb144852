/*
 * What is in force. One thing at a time is asked of the kernel role; what to do next
 * follows from what is known (engine_apply_step). A program that cannot be put in force
 * leaves the former one as it is, because a batch is one transaction.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/log.h"
#include "enforcer/blob.h"
#include "enforcer/engine_state.h"
#include "enforcer/plan_delta.h"

#define RETRY_FIRST_MS 250
#define RETRY_MOST_MS  30000
#define COLD_CHUNK     20000 /* elements: some tens of milliseconds of the kernel's */
#define LOG_NS         UINT64_C(1000000000)
#define LOG_MOST       10 /* changes, in so long */
#define STALE_MOST     3  /* commits that came too late; then make it all anew */

/* ---- names and records ---- */

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

static uint64_t
audit_change(
    struct engine *e, const char *stage, const char *detail, bool failed, bool urgent)
{
	const struct engine_apply *a = &e->apply;
	const struct program *p = a->pending;
	struct audit_change change = {
	    .verb = a->heal ? "heal" : "apply",
	    .stage = stage,
	    .node = e->settings.node,
	    .detail = str_from(detail),
	    .failed = failed,
	    .number = p->number != 0 ? p->number : a->programs + 1,
	    .workloads = p->local_workloads,
	    .policies = p->model->policy_count,
	    .routes = p->model->route_count,
	    .rules = p->real.chain_count,
	    .now = walltime_now(),
	};
	struct buf line = {0};
	uint64_t ticket;

	audit_event_change(&line, a->audit_id, &change);
	ticket = engine_audit_send(e, buf_str(&line), urgent);
	buf_free(&line);
	return ticket;
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

	a->retry_ms = a->retry_ms == 0 ? RETRY_FIRST_MS : a->retry_ms * 2;
	if (a->retry_ms > RETRY_MOST_MS)
		a->retry_ms = RETRY_MOST_MS;
	a->commit_after.ns = monotime_now().ns + a->retry_ms * UINT64_C(1000000);
	engine_apply_step_after(e, a->retry_ms);
}

/* ---- the end of a commit ---- */

/* What was pending is to be done again, unless something newer has come. */
static void
put_back(struct engine *e)
{
	struct engine_apply *a = &e->apply;
	struct program *p = a->pending;

	/* Current is what is not in the kernel: all of it is made again. */
	if (a->changed) {
		a->table_known = false;
		(void)snprintf(
		    a->reason, sizeof(a->reason), "a change could not be made alone");
	}
	a->again = false;
	a->pending = NULL;
	a->phase = APPLY_IDLE;
	if (p == a->current)
		a->heal = true;
	else if (a->candidate == NULL)
		a->candidate = p;
	else
		program_free(p);
}

static void
tell_ready(struct engine *e)
{
	struct err err = ERR_INIT;

	if (e->apply.ready_told || e->apply.current->skeleton)
		return;
	if (link_send(e->parent, MSG_READY, 0, NULL, -1, &err) != 0)
		log_error("parent-link", "detail=%s", log_quote(str_from(err.msg)));
	else
		e->apply.ready_told = true;
}

static void
log_applied(struct engine *e)
{
	struct engine_apply *a = &e->apply;
	const struct program *p = a->current;
	monotime_t now = monotime_now();
	enum log_level level = LOG_INFO;

	/* Of many changes in a row not every one. */
	if (now.ns >= a->log_until.ns) {
		a->log_until.ns = now.ns + LOG_NS;
		a->logged = 0;
	}
	if (a->changed && ++a->logged > LOG_MOST)
		level = LOG_DEBUG;
	log_write(level, a->current->skeleton ? "closed" : "program-applied",
	    "generation=%llu workloads=%zu policies=%zu rules=%zu operations=%zu%s "
	    "load-us=%llu compile-us=%llu commit-us=%llu",
	    (unsigned long long)p->number, p->local_workloads, p->model->policy_count,
	    p->real.chain_count, a->last_ops, a->whole ? " whole=true" : "",
	    (unsigned long long)p->load_us, (unsigned long long)p->compile_us,
	    (unsigned long long)a->last_apply_us);
}

/* True if any of the operations is such a one. */
static bool
some_op(const struct engine_apply *a, bool (*is)(const struct op *op))
{
	for (size_t s = 0; s < a->stages.count; s++) {
		const struct op_batch *batch = &a->stages.batches[s];

		for (size_t i = 0; i < batch->count; i++) {
			if (is(&batch->ops[i]))
				return true;
		}
	}
	return false;
}

/* Rules, not only elements: their digest is another now. */
static bool
touches_rules(const struct op *op)
{
	return op->kind != OP_ADD && op->kind != OP_DELETE && op->kind != OP_FLUSH;
}

/* A packet may fare otherwise than before. */
static bool
changes_policy(const struct op *op)
{
	return op->chain == NULL || op->chain->number != NUMBER_MIDSTREAM;
}

static size_t
count_ops(const struct engine_apply *a)
{
	size_t count = 0;

	for (size_t s = 0; s < a->stages.count; s++)
		count += a->stages.batches[s].count;
	return count;
}

/* The whole table was made: whatever was wrong with it is gone. */
static void
finish_heal(struct engine *e)
{
	struct engine_apply *a = &e->apply;

	if (!a->heal)
		return;
	if (a->drift) {
		a->heals++;
		a->last_heal = walltime_now();
		log_warn("table-healed", "generation=%llu reason=%s",
		    (unsigned long long)a->pending->number,
		    log_quote(str_from(a->reason)));
	} else {
		log_info("table-restored", "reason=%s", log_quote(str_from(a->reason)));
	}
	(void)audit_change(e, "ResponseComplete", a->reason, false, false);
	a->heal = false;
	a->drift = false;
}

/* What became of a program that is no longer current. */
static void
drop_recompiled(struct engine_apply *a)
{
	if (a->recompiled != NULL)
		program_recompiled_free(a->recompiled);
	free(a->recompiled);
	a->recompiled = NULL;
}

static void
take_over(struct engine *e)
{
	struct engine_apply *a = &e->apply;

	if (a->pending != a->current) {
		drop_recompiled(a);
		program_free(a->current);
	}
	a->current = a->pending;
	a->ahead = false;
	program_sweep(a->current);
	if (!a->current->skeleton)
		a->current->number = ++a->programs;
	a->current->since = walltime_now();
	if (a->current->arrived.ns != 0)
		histogram_add(&a->programming,
		    monotime_since(a->current->arrived, monotime_now()) / 1000);
	a->refusal[0] = '\0';
	log_applied(e);
	if (!a->current->skeleton)
		(void)audit_change(e, "ResponseComplete", "", false, false);
}

static void
committed(struct engine *e, uint32_t generation)
{
	struct engine_apply *a = &e->apply;

	a->last_apply_us = monotime_since(a->sent, monotime_now()) / 1000;
	a->last_apply = walltime_now();
	a->last_ops = count_ops(a);
	if (a->last_ops != 0)
		histogram_add(&a->commits, a->last_apply_us);
	a->generation = generation;
	a->table_known = true;
	a->suspect = false;
	a->stale = 0;
	a->retry_ms = 0;
	if (some_op(a, touches_rules)) {
		a->digest_known = false;
		a->verify = true;
	}
	finish_heal(e);
	if (some_op(a, changes_policy))
		engine_cut_want(e);
	a->midstream = a->pending_midstream;
	if (a->pending != a->current || a->changed)
		take_over(e);
	if (a->whole || some_op(a, engine_routes_move))
		engine_routes_tell(e);
	a->changed = a->again = false;
	a->stages.count = 0;
	arena_reset(a->plan_arena);
	if (a->whole)
		(void)malloc_trim(0); /* all of the table went through here */
	tell_ready(e);
	if (!a->current->skeleton)
		engine_adopt_committed(e);
	a->pending = NULL;
	a->phase = APPLY_IDLE;
	engine_attach_tick(e);
}

/* ---- refusals ---- */

static void
refused(struct engine *e, struct proc_reader *r, uint32_t op, uint32_t element)
{
	struct engine_apply *a = &e->apply;
	struct arena *arena = a->pending->arena;
	const struct op_batch *batch = &a->stages.batches[a->stage];
	struct loc loc = plan_place(batch, op, element);
	struct str detail = proc_get_str(r);
	const char *where = loc_text(arena, loc);
	const char *set = op < batch->count && batch->ops[op].chain == NULL
			      ? table_sets[batch->ops[op].set].name
			      : "";

	a->refusals++;
	log_error("kernel-refused", "at=%s operation=%u set=%s detail=%s",
	    log_quote(str_from(where)), (unsigned)op, set, log_quote(detail));
	(void)snprintf(
	    a->refusal, sizeof(a->refusal), "%s: %.*s", where, STR_ARG(detail));
	(void)audit_change(e, "ResponseComplete", a->refusal, true, false);
	put_back(e);
	/* Half way, or perhaps not what we think. */
	a->table_known = false;
	if (a->whole)
		engine_apply_retry(e);
}

static void
came_too_late(struct engine *e)
{
	struct engine_apply *a = &e->apply;

	a->stale_total++;
	a->suspect = true;
	/* The batches say what changes in a table that others have not changed. */
	if (a->changed && !a->delta.anew && !a->heal && a->stale < STALE_MOST) {
		a->stale++;
		a->again = true;
		a->phase = APPLY_IDLE;
		a->pending = NULL;
		return;
	}
	if (++a->stale > STALE_MOST || a->stage != 0)
		a->table_known = false;
	put_back(e);
}

static void send_batch(struct engine *e);

static void
on_applied(struct engine *e, const struct proc_msg *msg, void *arg)
{
	struct proc_reader r;
	uint32_t generation, op, element;
	int code;

	(void)arg;         /* one commit at a time */
	if (msg == NULL) { /* it may have happened, or not */
		e->apply.table_known = false;
		put_back(e);
		return;
	}
	proc_reader_init(&r, msg);
	code = (int)proc_get_u32(&r);
	generation = proc_get_u32(&r);
	op = proc_get_u32(&r);
	element = proc_get_u32(&r);
	(void)proc_get_u32(&r); /* errno: the text says it */
	if (code == 0 && e->apply.stage + 1 < e->apply.stages.count) {
		e->apply.stage++;
		e->apply.generation = generation;
		send_batch(e);
		return;
	}
	if (code == 0)
		committed(e, generation);
	else if (code == ERR_STALE)
		came_too_late(e);
	else
		refused(e, &r, op, element);
	engine_apply_step(e);
}

/* ---- committing ---- */

/* Nothing is in force that would have to go on: what is large comes bit by bit. */
static bool
is_cold(const struct engine *e, const struct table_content *to)
{
	size_t count = 0;

	for (size_t set = 0; set < SET_COUNT; set++)
		count += to->element_count[set];
	return count > COLD_CHUNK && e->adopt.fresh &&
	       (e->apply.current == NULL || e->apply.current->skeleton);
}

static bool
can_go_on(const struct engine_apply *a)
{
	return a->table_known && a->current != NULL && !a->heal;
}

/* Another program, or the same with other mid-stream; `before` is what is in force, if it is
 * not what current says. */
static void
make_plan(struct engine *e, const struct table_content *before)
{
	struct engine_apply *a = &e->apply;
	struct arena *arena = a->plan_arena;
	struct table_content from, to;

	program_content(a->pending, arena, a->pending_midstream, &to);
	a->whole = !can_go_on(a);
	if (!a->whole && before != NULL)
		from = *before;
	else if (!a->whole)
		program_content(a->current, arena, a->midstream, &from);
	if (a->whole && is_cold(e, &to))
		plan_cold(arena, &to, COLD_CHUNK, &a->stages);
	else
		plan_at_once(arena, a->whole ? NULL : &from, &to, &a->stages);
	a->stage = 0;
	/* What others have done to a table is best undone by making another. */
	if (a->whole && !a->drift && a->stages.count == 1)
		a->stages.batches[0].ops[0].kind = OP_RESTORE;
}

static void
send_batch(struct engine *e)
{
	struct engine_apply *a = &e->apply;
	struct err err = ERR_INIT;
	struct buf data = {0}, body = {0};
	int fd = -1;
	int rc;

	op_encode(&data, &a->stages.batches[a->stage]);
	/* A table made anew replaces whatever is there; one that is owned is as we left
	 * it, whatever others do elsewhere. */
	proc_put_u32(&body, a->whole || e->kernel.owned ? 0 : a->generation);
	rc = blob_put(&body, buf_str(&data), &fd, &err);
	if (a->stage == 0)
		a->sent = monotime_now();
	if (rc == 0)
		rc = engine_kernel_ask(e, MSG_APPLY, &body, fd, on_applied, NULL, &err);
	if (fd >= 0)
		(void)close(fd); /* the kernel role has its own */
	buf_free(&data);
	buf_free(&body);
	if (rc == 0) {
		a->phase = APPLY_SENT;
		return;
	}
	log_error("kernel-link", "detail=%s", log_quote(str_from(err.msg)));
	a->table_known = a->table_known && a->stage == 0;
	put_back(e);
	engine_apply_retry(e);
}

/* Returns false while the record of what is about to happen cannot be on disk. */
static bool
audit_first(struct engine *e)
{
	struct engine_apply *a = &e->apply;

	if (!e->settings.audit_required || a->pending->skeleton ||
	    (a->pending == a->current && !a->changed))
		return true;
	a->audit_ticket = audit_change(e, "RequestReceived", "", false, true);
	a->phase = APPLY_AUDIT;
	if (a->audit_ticket == 0) {
		put_back(e);
		engine_apply_retry(e);
	}
	return false;
}

void
engine_apply_audited(struct engine *e, uint64_t ticket, bool ok)
{
	struct engine_apply *a = &e->apply;

	if (a->phase != APPLY_AUDIT || ticket < a->audit_ticket)
		return;
	if (ok) {
		send_batch(e);
		return;
	}
	log_error("program-held", "detail=\"the audit log cannot be written\"");
	put_back(e);
	a->retry_ms = 0;
	engine_apply_retry(e);
}

/* Commits what has been planned. */
static void
begin_planned(struct engine *e)
{
	struct engine_apply *a = &e->apply;

	if (getrandom(a->audit_id, sizeof(a->audit_id), 0) !=
	    (ssize_t)sizeof(a->audit_id))
		base_die("getrandom");
	if (count_ops(a) == 0) { /* other words, the same table */
		a->sent = monotime_now();
		committed(e, a->generation);
		engine_apply_step_after(e, 0); /* no answer comes that would go on */
		return;
	}
	if (audit_first(e))
		send_batch(e);
}

static void
begin(struct engine *e, struct program *p)
{
	struct engine_apply *a = &e->apply;

	arena_reset(a->plan_arena);
	a->pending = p;
	a->pending_midstream = engine_adopt_midstream(e);
	make_plan(e, NULL);
	begin_planned(e);
}

void
engine_apply_changed(
    struct engine *e, const struct compile_delta *delta, monotime_t arrived)
{
	struct engine_apply *a = &e->apply;

	a->pending = a->current;
	a->pending_midstream = a->midstream;
	a->changed = true;
	a->delta = *delta;
	a->current->arrived = arrived;
	a->whole = false;
	a->stage = 0;
	a->stages.count = 1;
	a->stages.batches = ARENA_NEW(a->plan_arena, struct op_batch);
	plan_delta(a->plan_arena, a->current->real.state, &a->current->options.settings,
	    delta, a->stages.batches);
	begin_planned(e);
}

static void
begin_recompiled(struct engine *e)
{
	struct engine_apply *a = &e->apply;
	struct table_content before;

	arena_reset(a->plan_arena);
	program_content(a->current, a->plan_arena, a->midstream, &before);
	program_take(a->current, a->recompiled);
	free(a->recompiled);
	a->recompiled = NULL;
	a->current->arrived = a->recompiled_arrived;
	a->changed = true;
	a->delta = (struct compile_delta){.anew = true};
	a->pending = a->current;
	a->pending_midstream = engine_adopt_midstream(e);
	make_plan(e, &before);
	begin_planned(e);
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

struct table_content
engine_apply_desired(const struct engine *e, struct arena *arena)
{
	const struct engine_apply *a = &e->apply;
	struct table_content content;

	program_content(a->current, arena, a->midstream, &content);
	if (a->again)
		plan_undo(arena, &a->delta, &content);
	return content;
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

static bool
take_edits(struct engine *e)
{
	if (e->apply.recompiled != NULL || e->edits.count == 0)
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

	engine_edits_catch_up(e);
	if (a->phase != APPLY_IDLE || e->stopping || !engine_kernel_connected(e))
		return;
	if (a->suspect) {
		engine_apply_look(e);
	} else if (a->again && !a->heal) {
		a->again = false;
		a->pending = a->current;
		send_batch(e);
	} else if (wants_commit(e) && monotime_now().ns < a->commit_after.ns) {
		engine_apply_step_after(e, RETRY_FIRST_MS);
	} else if (a->candidate != NULL && !audit_holds(e)) {
		struct program *p = a->candidate;

		a->candidate = NULL;
		begin(e, p);
	} else if (a->heal || wants_midstream(e)) {
		begin(e, a->current);
	} else if (a->recompiled != NULL && !audit_blocks(e)) {
		begin_recompiled(e);
	} else if (!take_edits(e) && a->verify) {
		engine_apply_look(e);
	}
}

void
engine_apply_offer(struct engine *e, struct program *p)
{
	program_free(e->apply.candidate);
	e->apply.candidate = p;
	e->apply.retry_ms = 0;
	e->apply.commit_after.ns = 0;
	if (e->audit.told && audit_holds(e))
		log_error("program-held", "detail=\"the audit log cannot be written\"");
	engine_apply_step(e);
}

void
engine_apply_foreign(struct engine *e, uint32_t generation)
{
	if (generation == e->apply.generation)
		return;
	/* Without a program of ours, what others do matters only if the table goes. */
	e->apply.suspect = e->apply.current != NULL || e->settings.boot_closed;
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
	drop_recompiled(a);
	program_free(a->candidate);
	program_free(a->current);
	arena_free(a->plan_arena);
	uv_close((uv_handle_t *)&a->timer, NULL);
}
