/*
 * One change on its way into the kernel: recorded, sent stage by stage, answered. A program
 * that cannot be put in force leaves the former one as it is, because a batch is one
 * transaction.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/log.h"
#include "enforcer/engine/engine_state.h"
#include "enforcer/wire/blob.h"

#define LOG_NS     UINT64_C(1000000000)
#define LOG_MOST   10 /* changes, in so long */
#define STALE_MOST 3  /* commits that came too late; then make it all anew */

/* ---- records ---- */

static uint64_t
audit_change(
    struct engine *e, const char *stage, const char *detail, bool failed, bool urgent)
{
	const struct engine_apply *a = &e->apply;
	const struct program *p = a->pending;
	/* An edit is of the program in force, which has its former number until then. */
	const bool numbered =
	    a->heal || (!failed && str_is(str_from(stage), "ResponseComplete"));
	struct audit_change change = {
	    .verb = a->heal ? "heal" : "apply",
	    .stage = stage,
	    .node = e->settings.node,
	    .detail = str_from(detail),
	    .failed = failed,
	    .number = numbered && p->number != 0 ? p->number : a->programs + 1,
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

/* ---- the end of a commit ---- */

/* What was pending is to be done again, unless something newer has come. */
static void
put_back(struct engine *e)
{
	struct engine_apply *a = &e->apply;
	struct program *p = a->pending;
	const bool closes = a->current == NULL && p->skeleton;

	/* Current is what is not in the kernel: all of it is made again. */
	if (a->changed) {
		a->table_known = false;
		(void)snprintf(
		    a->reason, sizeof(a->reason), "a change could not be made alone");
	}
	engine_commit_drop_encoded(a);
	a->again = false;
	a->pending = NULL;
	a->phase = APPLY_IDLE;
	if (p != a->current)
		engine_ways_settle(e); /* they go on */
	a->restore = a->changed && a->drift && !a->restoring;
	a->restoring = false;
	if (p == a->current)
		a->heal = true;
	else if (a->candidate == NULL && !closes)
		a->candidate = p;
	else
		engine_refused_drop_program(e, p);
	/* Nothing is in force: what closes is made, or made again, if there is no table. */
	a->suspect |= a->current == NULL;
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
	if (!a->changed && !p->skeleton && !program_knows_node(p))
		log_warn("node-unknown",
		    "node=%s detail=\"all workloads are of other nodes, and no "
		    "document speaks of this one: is the name right?\"",
		    log_quote(p->options.node));
	log_write(level, a->current->skeleton ? "closed" : "program-applied",
	    "generation=%llu workloads=%zu policies=%zu rules=%zu operations=%zu%s "
	    "load-us=%llu compile-us=%llu commit-us=%llu enforce-us=%llu",
	    (unsigned long long)p->number, p->local_workloads, p->model->policy_count,
	    p->real.chain_count, a->last_ops, a->whole ? " whole=true" : "",
	    (unsigned long long)p->load_us, (unsigned long long)p->compile_us,
	    (unsigned long long)a->last_apply_us,
	    (unsigned long long)(a->changed ? a->last_apply_us
					    : monotime_since(p->loaded, now) / 1000));
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

static bool
may_forbid_what_goes_on(const struct engine_apply *a)
{
	return a->whole || !a->changed || a->delta.anew || a->delta.local ||
	       a->delta.moves;
}

/* Of another program, though a change of the one before is refused; but what comes back has not
 * even those of a change. */
static bool
may_have_other_ways(const struct engine_apply *a)
{
	return !a->restoring &&
	       (a->whole || !a->changed || a->delta.anew || a->delta.ways);
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
	a->drift = false;
	/* What came back is not what is to be there. */
	a->heal = a->restoring && a->changed;
	if (a->heal)
		(void)snprintf(
		    a->reason, sizeof(a->reason), "a change could not be made alone");
}

/* What became of a program that is no longer current. */
void
engine_commit_drop_recompiled(struct engine_apply *a)
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
		engine_commit_drop_recompiled(a);
		engine_refused_drop_program(e, a->current);
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
	a->table_known = !a->restoring || !a->changed;
	a->suspect = a->restoring; /* its digest has yet to be learnt */
	a->stale = 0;
	if (!a->restoring)
		a->retry_ms = 0;
	a->committed = monotime_now();
	if (some_op(a, touches_rules)) {
		a->digest_known = false;
		a->verify = true;
		a->verify_all |= a->whole || engine_apply_looks_seldom(e);
	}
	finish_heal(e);
	if (some_op(a, changes_policy))
		engine_cut_want(e, may_forbid_what_goes_on(a));
	a->midstream = a->pending_midstream;
	if (a->pending != a->current || (a->changed && !a->restoring))
		take_over(e);
	else if (!a->changed && a->candidate == NULL)
		a->refusal[0] = '\0'; /* it was of what is back */
	if (a->whole || some_op(a, engine_routes_move))
		engine_routes_tell(e);
	if (may_have_other_ways(a))
		engine_ways_settle(e);
	a->changed = a->changed && a->restoring;
	a->again = a->restoring = false;
	a->stages.count = 0;
	arena_reset(a->plan_arena);
	if (!a->ahead)
		arena_reset(a->delta_arena);
	if (a->whole)
		(void)malloc_trim(0); /* all of the table went through here */
	tell_ready(e);
	if (!a->current->skeleton)
		engine_adopt_committed(e);
	a->pending = NULL;
	a->phase = APPLY_IDLE;
	engine_attach_tick(e);
	engine_hold_step(e);
}

/* ---- refusals ---- */

/* As put_back, of what would fare the same way at once. */
static void
put_back_refused(struct engine *e)
{
	struct engine_apply *a = &e->apply;

	a->candidate_refused = a->pending != a->current && a->candidate == NULL;
	put_back(e);
}

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
	const char *number =
	    op < batch->count ? arena_printf(arena, "%u", (unsigned)op) : "none";

	a->refusals++;
	log_error("kernel-refused", "at=%s operation=%s set=%s detail=%s",
	    log_quote(str_from(where)), number, set, log_quote(detail));
	(void)snprintf(
	    a->refusal, sizeof(a->refusal), "%s: %.*s", where, STR_ARG(detail));
	(void)audit_change(e, "ResponseComplete", a->refusal, true, false);
	put_back_refused(e);
	/* Half way, or perhaps not what we think. */
	a->table_known = false;
	if (a->whole)
		engine_apply_retry(e);
}

/* A set has grown beyond what it was made for: the whole table is made for what there is. */
static void
outgrown(struct engine *e, struct proc_reader *r)
{
	struct engine_apply *a = &e->apply;
	struct str detail = proc_get_str(r);

	log_info("table-outgrown", "detail=%s", log_quote(detail));
	put_back(e);
	a->table_known = false;
}

static void
came_too_late(struct engine *e)
{
	struct engine_apply *a = &e->apply;

	a->stale_total++;
	a->suspect = true;
	/* The batches say what changes in a table that others have not changed. */
	if (a->changed && !a->whole && !a->heal && a->stale < STALE_MOST) {
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

/* It may have happened, or not. */
static void
unanswered(struct engine *e)
{
	struct engine_apply *a = &e->apply;

	a->table_known = false;
	a->former_lost |= !a->restoring && (a->changed || a->pending != a->current);
	put_back(e);
}

static void
on_applied(struct engine *e, const struct proc_msg *msg, void *arg)
{
	struct proc_reader r;
	uint32_t generation, op, element;
	int code;

	(void)arg; /* one commit at a time */
	if (msg == NULL) {
		unanswered(e);
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
		engine_commit_send(e);
		return;
	}
	if (code == 0)
		committed(e, generation);
	else if (code == ERR_STALE)
		came_too_late(e);
	else if (code == ERR_LIMIT && !e->apply.whole)
		outgrown(e, &r);
	else
		refused(e, &r, op, element);
	engine_apply_step(e);
}

/* ---- sending ---- */

void
engine_commit_drop_encoded(struct engine_apply *a)
{
	buf_free(&a->next.body);
	if (a->next.made && a->next.fd >= 0)
		(void)close(a->next.fd); /* nobody else's */
	a->next = (struct encoded_stage){.fd = -1};
}

/* The elements that the plan left out, if it did: the next of their set. They stay until
 * the stage after the next one is made. */
static int
list_elements(struct engine_apply *a, size_t stage, struct err *err)
{
	struct op *op = &a->stages.batches[stage].ops[0];
	struct listing *l = &a->listing;
	struct table_element *room;

	if (op->kind != OP_ADD || op->elements != NULL)
		return 0;
	if (l->set != op->set) {
		l->set = op->set;
		l->at = 0;
	}
	room = l->room[stage % 2];
	if (program_some(a->pending, op->set, &l->at, room, op->element_count) !=
	    op->element_count)
		return err_set(err, ERR_INVALID, "%s has fewer elements than it should",
		    table_sets[op->set].name);
	op->elements = room;
	return 0;
}

static int
encode_stage(struct engine_apply *a, size_t stage, struct err *err)
{
	struct buf data = {0};
	int rc;

	engine_commit_drop_encoded(a);
	rc = list_elements(a, stage, err);
	if (rc != 0)
		return rc;
	op_encode(&data, &a->stages.batches[stage]);
	a->next.made = true;
	rc = blob_put(&a->next.body, buf_str(&data), &a->next.fd, err);
	buf_free(&data);
	if (rc != 0)
		engine_commit_drop_encoded(a);
	return rc;
}

/* What has been encoded goes out, and the next stage is encoded while the kernel is at it. */
static int
send_encoded(struct engine *e, struct err *err)
{
	struct engine_apply *a = &e->apply;
	struct buf body = {0};
	int rc;

	/* A table made anew replaces whatever is there; one that is owned is as we left
	 * it, whatever others do elsewhere. */
	proc_put_u32(&body, a->whole || e->kernel.owned ? 0 : a->generation);
	buf_add_str(&body, buf_str(&a->next.body));
	if (a->stage == 0)
		a->sent = monotime_now();
	rc = engine_kernel_ask(e, MSG_APPLY, &body, a->next.fd, on_applied, NULL, err);
	buf_free(&body);
	engine_commit_drop_encoded(a); /* the kernel role has its own descriptor */
	return rc;
}

void
engine_commit_send(struct engine *e)
{
	struct engine_apply *a = &e->apply;
	struct err err = ERR_INIT;
	int rc = a->next.made ? 0 : encode_stage(a, a->stage, &err);

	if (rc == 0)
		rc = send_encoded(e, &err);
	if (rc == 0) {
		a->phase = APPLY_SENT;
		if (a->stage + 1 < a->stages.count)
			rc = encode_stage(a, a->stage + 1, &err);
		if (rc != 0) /* its turn comes, and then it is said */
			log_debug("encode", "detail=%s", log_quote(str_from(err.msg)));
		return;
	}
	log_error("kernel-link", "detail=%s", log_quote(str_from(err.msg)));
	a->table_known = a->table_known && a->stage == 0;
	put_back_refused(e);
	engine_apply_retry(e);
}

/* Returns false while the record of what is about to happen cannot be on disk. What was in force
 * has one. */
static bool
audit_first(struct engine *e)
{
	struct engine_apply *a = &e->apply;

	if (!e->settings.audit_required || a->pending->skeleton ||
	    (a->pending == a->current && (!a->changed || a->restoring)))
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
		engine_commit_send(e);
		return;
	}
	log_error("program-held", "detail=\"the audit log cannot be written\"");
	put_back(e);
	a->retry_ms = 0;
	engine_apply_retry(e);
}

/* Commits what has been planned. */
void
engine_commit_begin(struct engine *e)
{
	struct engine_apply *a = &e->apply;

	engine_commit_drop_encoded(a); /* of another plan */
	if (getrandom(a->audit_id, sizeof(a->audit_id), 0) !=
	    (ssize_t)sizeof(a->audit_id))
		base_die("getrandom");
	if (may_have_other_ways(a))
		engine_ways_prepare(e, a->pending);
	if (count_ops(a) == 0) { /* other words, the same table */
		a->sent = monotime_now();
		committed(e, a->generation);
		engine_apply_step_after(e, 0); /* no answer comes that would go on */
		return;
	}
	if (audit_first(e))
		engine_commit_send(e);
}
