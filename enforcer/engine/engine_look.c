/*
 * Looking at what the kernel has: after others have changed the ruleset, and once after a
 * commit of our own, to learn what its rules look like when they are as they should be.
 */
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "enforcer/engine/engine_state.h"

#define LOOK_SHARE   20     /* looking takes at most 1/20 of the time ... */
#define LOOK_MOST_US 400000 /* ... but never waits longer than this */
/* At rules that only we can have changed, while what comes meanwhile waits: */
#define OWN_SHARE   200     /* at most 1/200 of the time ... */
#define OWN_MOST_US 1000000 /* ... but it never waits longer than this */
/* Of elements that only we have changed: */
#define ALL_SHARE    1000 /* at most 1/1000 of the time, but for a table made anew ... */
#define ALL_QUIET_NS UINT64_C(5000000000) /* ... and so long after the last commit */

void
engine_apply_need_heal(struct engine *e, bool drift, const char *reason)
{
	struct engine_apply *a = &e->apply;

	a->heal = true;
	a->drift = a->drift || drift;
	a->restore = a->changed && a->drift;
	a->table_known = false;
	(void)snprintf(a->reason, sizeof(a->reason), "%s", reason);
}

/* Rules of which nothing is missing. Others that came between our commit and this look
 * cannot have touched a table that is owned. */
static void
judge_digest(struct engine *e, const struct kernel_observation *o)
{
	struct engine_apply *a = &e->apply;

	if (o->generation == a->generation || (e->kernel.owned && !a->digest_known)) {
		memcpy(a->digest, o->digest, sizeof(a->digest));
		a->digest_known = true;
	} else if (!a->digest_known ||
		   memcmp(a->digest, o->digest, sizeof(a->digest)) != 0) {
		engine_apply_need_heal(e, true, "rules changed by others");
	}
}

/* The table as it should be, or its rules no longer; `o->code` is 0. */
static void
judge_observation(struct engine *e, const struct kernel_observation *o)
{
	static const struct plan_visitor nobody = {.element = NULL};
	struct engine_apply *a = &e->apply;
	struct arena *arena = arena_new();
	struct table_content desired = engine_apply_desired(e, arena);
	size_t differences = plan_compare(&o->table, &desired, &nobody);
	bool ours = o->generation == a->generation;
	char reason[128];

	arena_free(arena);
	if (ours && differences != 0) {
		/* Nobody else was there: making it again would end the same way. */
		a->mismatches++;
		log_error("table-mismatch", "differences=%zu", differences);
	} else if (differences != 0) {
		(void)snprintf(reason, sizeof(reason),
		    "%zu elements or chains changed by others", differences);
		engine_apply_need_heal(e, true, reason);
	} else {
		judge_digest(e, o);
	}
	if (!a->heal) {
		a->generation = o->generation;
		a->table_known = true;
	}
}

/* Rules as they are after a commit of ours; or, of a table that is owned, after others did
 * something elsewhere. */
static void
judge_rules(struct engine *e, const struct kernel_observation *o)
{
	static const struct plan_visitor nobody = {.element = NULL};
	struct engine_apply *a = &e->apply;
	const struct table_content chains = program_former_chains(a->current);
	const bool ours = o->generation == a->generation;
	size_t differences;

	if (!ours && !e->kernel.owned) {
		a->suspect = true; /* others were there: all of it is looked at */
		return;
	}
	differences = plan_compare(&o->table, &chains, &nobody);
	if (differences != 0 && !ours) {
		engine_apply_need_heal(e, true, "chains changed by others");
		return;
	}
	if (differences != 0) { /* as judge_observation has it */
		a->mismatches++;
		a->verify = a->verify_all = false;
		log_error("table-mismatch", "differences=%zu", differences);
		return;
	}
	judge_digest(e, o);
	if (!a->heal)
		a->generation = o->generation;
}

/* Nothing of ours is in force yet, and nothing is there: close what is to be closed, unless
 * policy is ready, has not been refused, and does not have to wait until it is on record. */
static void
close_at_boot(struct engine *e)
{
	struct engine_apply *a = &e->apply;
	struct program *p;

	if (!e->settings.boot_closed ||
	    (e->settings.workload_network_count == 0 &&
		e->settings.workload_interface_count == 0) ||
	    (a->candidate != NULL && !a->candidate_refused &&
		!e->settings.audit_required))
		return;
	if (monotime_now().ns < a->commit_after.ns) { /* the last was refused */
		a->suspect = true;
		a->look_after = a->commit_after;
		return;
	}
	p = program_make_skeleton(&e->settings);
	if (p->ok) {
		engine_apply_begin(e, p);
		return;
	}
	log_error("closed", "detail=\"cannot make the closed table\"");
	program_free(p);
}

/* True if no policy was in force: there is no table, or one that only closes. */
static bool
is_fresh(const struct kernel_observation *o)
{
	if (o->code != 0)
		return o->code == ERR_NOT_FOUND;
	for (size_t i = SET_LOCAL4_IN; i <= SET_LOCAL6_OUT; i++) {
		if (o->table.element_count[i] != 0)
			return false;
	}
	return o->table.element_count[SET_HOST_IN] == 0 &&
	       o->table.element_count[SET_HOST_OUT] == 0;
}

static void
not_read(struct engine *e, const struct kernel_observation *o)
{
	struct engine_apply *a = &e->apply;

	log_error("table-not-read", "detail=%s", log_quote(str_from(o->detail)));
	a->suspect = true;
	a->look_after.ns = monotime_now().ns + LOOK_MOST_US * UINT64_C(1000);
}

/* Nothing of ours is in force: is something there? As long as that cannot be told, what could
 * be put in force waits no longer; all else does. */
static void
take_first_observation(struct engine *e, const struct kernel_observation *o)
{
	/* As far as it could be read: another version's may lack a set. */
	engine_gone_note(
	    e, o->table.elements + SET_OWN4, o->table.element_count + SET_OWN4);
	if (o->code != 0 && o->code != ERR_NOT_FOUND) {
		not_read(e, o);
		e->apply.suspect = !engine_apply_takes_candidate(e);
		return;
	}
	e->adopt.fresh = is_fresh(o);
	if (o->code == ERR_NOT_FOUND)
		close_at_boot(e);
}

static void
take_observation(struct engine *e, const struct kernel_observation *o)
{
	struct engine_apply *a = &e->apply;

	if (a->current == NULL) {
		take_first_observation(e, o);
		return;
	}
	switch (o->code) {
	case 0:
		if (a->looks_at_all)
			judge_observation(e, o);
		else
			judge_rules(e, o);
		break;
	case ERR_NOT_FOUND:
		engine_apply_need_heal(e, true, "the table was deleted");
		break;
	case ERR_STALE:
		/* Others who are always at it: it is looked for a quieter moment. */
		if (e->kernel.owned && !a->looks_at_all)
			a->glance = true;
		else
			engine_apply_need_heal(e, true, o->detail);
		break;
	default:
		not_read(e, o);
		engine_apply_retry(e);
		break;
	}
}

/* Until when looking rests, for it to take no more than its share of the time. */
static uint64_t
rest_until_ns(const struct engine_apply *a, uint64_t share, uint64_t most_us)
{
	const uint64_t rest_us = a->look_us * share;

	return a->looked.ns + 1000 * (rest_us < most_us ? rest_us : most_us);
}

static void
on_observed(struct engine *e, const struct proc_msg *msg, void *arg)
{
	struct engine_apply *a = &e->apply;
	struct arena *arena = arena_new();
	struct kernel_observation o;
	struct err err = ERR_INIT;
	monotime_t now = monotime_now();

	(void)arg; /* one look at a time */
	a->phase = APPLY_IDLE;
	a->look_us = monotime_since(a->sent, now) / 1000;
	a->looked = now;
	a->look_after.ns = rest_until_ns(a, LOOK_SHARE, LOOK_MOST_US);
	if (a->looks_at_all) {
		a->looked_all = now;
		a->look_all_us = a->look_us;
	}
	if (msg == NULL) {
		a->suspect = a->current != NULL;
	} else if (kernel_observation_read(arena, msg, &o, &err) == 0) {
		take_observation(e, &o);
	} else if (a->current != NULL) { /* nothing that we would have written */
		engine_apply_need_heal(e, true, err.msg);
	}
	arena_free(arena);
	if (a->looks_at_all)
		(void)malloc_trim(0); /* a table read back is as large as one made */
	engine_apply_step(e);
}

bool
engine_apply_looks_seldom(const struct engine *e)
{
	const struct engine_apply *a = &e->apply;

	return monotime_since(a->looked_all, monotime_now()) / 1000 >=
	       ALL_SHARE * a->look_all_us;
}

/* When the look that is wanted may begin. Without the digest it is soon: of rules alone. Where
 * nobody else can have changed those, there is nothing to be found out before it. */
static uint64_t
look_after_ns(const struct engine *e)
{
	const struct engine_apply *a = &e->apply;
	const uint64_t soon = a->look_after.ns, quiet = a->committed.ns + ALL_QUIET_NS;
	const uint64_t rested = rest_until_ns(a, OWN_SHARE, OWN_MOST_US);

	if (a->suspect || a->glance)
		return soon;
	if (!a->digest_known)
		return e->kernel.owned && rested > soon ? rested : soon;
	return quiet > soon ? quiet : soon;
}

void
engine_apply_look(struct engine *e)
{
	struct engine_apply *a = &e->apply;
	struct err err = ERR_INIT;
	monotime_t now = monotime_now();
	uint64_t after = look_after_ns(e);

	if (now.ns < after) {
		engine_apply_step_after(e, (after - now.ns) / 1000000 + 1);
		return;
	}
	a->looks_at_all =
	    a->suspect || (a->verify_all && a->digest_known && !a->glance);
	a->verify_all = a->verify_all && !a->looks_at_all;
	a->verify = a->verify_all;
	a->suspect = a->glance = false;
	a->looks++;
	a->sent = now;
	if (engine_kernel_ask(e, a->looks_at_all ? MSG_OBSERVE : MSG_OBSERVE_RULES,
		NULL, -1, on_observed, NULL, &err) == 0) {
		a->phase = APPLY_OBSERVING;
		return;
	}
	log_error("kernel-link", "detail=%s", log_quote(str_from(err.msg)));
	a->suspect = true;
	engine_apply_retry(e);
}
