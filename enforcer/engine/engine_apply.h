/*
 * What is in force, and how a program, or what has changed of one, comes to be: planned,
 * recorded, sent, and looked at afterwards.
 */
#ifndef ENFORCER_ENGINE_APPLY_H
#define ENFORCER_ENGINE_APPLY_H

#include <uv.h>

#include "enforcer/engine/plan_cold.h"
#include "enforcer/engine/program.h"
#include "enforcer/metrics/histogram.h"

struct engine;

enum apply_phase {
	APPLY_IDLE,
	APPLY_AUDIT,     /* waits until the record of it is on disk */
	APPLY_SENT,      /* waits for the kernel's answer */
	APPLY_OBSERVING, /* waits for what the kernel has */
};

struct engine_apply {
	enum apply_phase phase;
	struct program *current;   /* in force, as far as we know */
	struct program *candidate; /* next */
	struct program *pending;   /* what phase is about; may be current, to heal */
	struct arena *plan_arena;  /* the batches that are sent */
	struct plan_stages stages;
	size_t stage; /* the one that is sent */
	struct encoded_stage {
		bool made;
		struct buf body; /* of its message, without the generation */
		int fd;          /* -1: none */
	} next; /* the one after it: encoded while the kernel is busy */
	/* Elements that a plan leaves out (plan_cold) are listed when they are encoded. */
	struct listing {
		enum table_set_id set; /* that is being listed; SET_COUNT: none */
		uint32_t at;           /* how far: see program_some */
		struct table_element *room[2]; /* of stages by turns; in plan_arena */
	} listing;
	bool whole; /* they make the table anew */
	uint8_t audit_id[16];
	uint64_t audit_ticket;
	monotime_t sent;

	/* The model of current says more than the kernel has: an edit has changed it. What the
	 * kernel has is current before the delta, unless it is lost: the table may be either. */
	bool ahead, former_lost;
	struct compile_delta delta; /* in its arena */
	struct arena *delta_arena;
	/* Current has changed, and pending is current: */
	bool changed;
	bool again;           /* the batches that say so are to be sent again */
	monotime_t log_until; /* counts the changes that were logged */
	unsigned logged;
	struct program_recompiled *recompiled; /* what current is to be next; NULL */
	monotime_t recompiled_arrived;
	enum table_midstream midstream, pending_midstream; /* in force; in pending */
	bool table_known;    /* the table is current's, but for what others did */
	uint32_t generation; /* of the ruleset when it last was */
	bool digest_known;
	uint8_t digest[32]; /* of its rules */
	bool suspect;       /* others changed the ruleset: look */
	bool glance;        /* the same; it is owned: at its rules, when all is quiet */
	bool heal;          /* the table is not current's: make it so */
	bool drift;         /* because of others */
	char reason[512];   /* for heal */
	/* Others have done away with what was there before a change that is refused: that comes
	 * first. */
	bool restore;
	bool restoring;        /* pending is current before the delta */
	unsigned stale;        /* commits in a row that came too late */
	monotime_t look_after; /* not before: looking has its price */
	monotime_t looked;     /* the last look, and how long it took */
	uint64_t look_us;
	bool verify; /* look once more when all is quiet, to learn the digest */
	/* ... and once at elements, too, which take most of a look and hold up whatever
	 * comes meanwhile: when it has been quiet for a while. */
	bool verify_all;
	monotime_t committed;  /* the last commit */
	bool looks_at_all;     /* the look under way does look at elements */
	monotime_t looked_all; /* when one last did, and how long that took */
	uint64_t look_all_us;
	uv_timer_t timer; /* retries, delayed looks */
	unsigned retry_ms;
	monotime_t commit_after; /* not before: the last one was refused */
	char refusal[512];       /* what the kernel did not take; "" */
	bool candidate_refused;  /* candidate is what could not be put in force last */

	bool ready_told;
	uint64_t programs, heals, refusals, stale_total, looks, mismatches;
	uint64_t last_apply_us;
	struct histogram commits;     /* how long each took */
	struct histogram programming; /* from a source's change to its being in force */
	size_t last_ops;
	walltime_t last_apply, last_heal;
};

/* ---- engine_apply.c ---- */

void engine_apply_init(struct engine *e);
void engine_apply_fini(struct engine *e);
/* Takes a program that is to be put in force. */
void engine_apply_offer(struct engine *e, struct program *p);
/* Begins to put one in force, before all that waits. Nothing may be under way. */
void engine_apply_begin(struct engine *e, struct program *p);
/* An arena for a change of the program in force, which is not ahead. */
MUST_CHECK struct arena *engine_apply_delta_arena(struct engine *e);
/* The program in force has changed by that, and is ahead. Takes the delta, which is in the
 * arena; changed, or recompiled, tell what comes of it. */
void engine_apply_ahead(struct engine *e, const struct compile_delta *delta);
/* What it is now is to be in the kernel. */
void engine_apply_changed(struct engine *e, monotime_t arrived);
/* The same after it was compiled anew. Takes what became of that. */
void engine_apply_recompiled(
    struct engine *e, struct program_recompiled *r, monotime_t arrived);
/* What the kernel should have by now, in the arena: what current says, or said before a change
 * that is not in force. */
MUST_CHECK struct table_content engine_apply_desired(
    const struct engine *e, struct arena *arena);
/* Whether a program waits that nothing keeps from being put in force, but for its time. */
MUST_CHECK bool engine_apply_takes_candidate(const struct engine *e);
/* Does what can be done next. */
void engine_apply_step(struct engine *e);
/* The kernel role says hello, with the ruleset's generation; or is gone. */
void engine_apply_connected(struct engine *e, uint32_t generation);
void engine_apply_disconnected(struct engine *e);
void engine_apply_foreign(struct engine *e, uint32_t generation);
/* The kernel has all that the program in force says, as far as we know. */
MUST_CHECK bool engine_apply_is_in_force(const struct engine *e);
/* Nobody else can change the table: it is there, and not another process's. */
MUST_CHECK bool engine_apply_owns_table(const struct engine *e);
/* Something came that the program in force does not say yet. */
MUST_CHECK bool engine_apply_is_busy(const struct engine *e);
/* Calls engine_apply_step later; `retry`: after a refusal, each time later. */
void engine_apply_step_after(struct engine *e, uint64_t ms);
void engine_apply_retry(struct engine *e);
/* "starting", "closed", "enforcing", "stale". */
MUST_CHECK const char *engine_state_name(const struct engine *e);

/* ---- engine_commit.c ---- */

/* Records what apply.stages say of apply.pending, if need be, and sends it. */
void engine_commit_begin(struct engine *e);
/* Forgets what has been encoded and not been sent. */
void engine_commit_drop_encoded(struct engine_apply *a);
/* Sends the stage that it is at, again perhaps. */
void engine_commit_send(struct engine *e);
void engine_apply_audited(struct engine *e, uint64_t ticket, bool ok);
/* Forgets what became of a program that is no longer current. */
void engine_commit_drop_recompiled(struct engine_apply *a);

/* ---- engine_look.c ---- */

/* Reads the table back, now or as soon as it may; then steps on. */
void engine_apply_look(struct engine *e);
/* It is so long since a look at elements that another would not be often. */
MUST_CHECK bool engine_apply_looks_seldom(const struct engine *e);
/* The table is to be made anew; `drift`: because of others. */
void engine_apply_need_heal(struct engine *e, bool drift, const char *reason);

#endif
