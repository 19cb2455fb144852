/*
 * Sources of policy, whole and edited, on their way to a program; what of them is refused.
 */
#ifndef ENFORCER_ENGINE_SOURCES_H
#define ENFORCER_ENGINE_SOURCES_H

#include <uv.h>

#include "common/map.h"
#include "enforcer/engine/program.h"
#include "enforcer/metrics/histogram.h"
#include "enforcer/wire/messages.h"

struct engine;

#define ENGINE_STATUS_ERRORS 100 /* of a source that is bad, kept for `status` */

enum source_state {
	SOURCE_UNKNOWN, /* nothing came yet */
	SOURCE_GOOD,
	SOURCE_BAD,        /* what came cannot be enforced */
	SOURCE_UNREADABLE, /* the parent could not read it */
};

struct engine_source {
	/* All of it, the last that came, but for what waits in the queue of edits; -1: none, or
	 * it is spent. */
	int bundle_fd;
	bool
	    spent; /* it came as a whole, and edits of it were taken, or it was dropped */
	bool wanted; /* the parent was asked for all of it */
	struct map
	    refused; /* files whose last edit was: by name, struct refused_file */
	enum source_state state;
	walltime_t since;     /* of the state */
	struct arena *arena;  /* of the texts; NULL: none */
	const char **errors;  /* "file:line:col: error: message [code]" */
	size_t error_count;   /* kept; */
	unsigned error_total; /* found */
};

struct engine_load {
	uv_work_t work;
	bool running;
	bool dirty;   /* something came since the last start */
	bool starved; /* it could not be started for want of something; told of */
	struct engine_settings settings; /* of the run: a copy, in `arena` */
	struct arena *arena;
	int fds[ENFORCER_MAX_SOURCES]; /* of the run */
	size_t fd_count;
	struct program *result;
	bool
	    recompiles; /* the run does: the model in force, which an edit has changed */
	bool looks;     /* the same: it finds out again what is set aside */
	struct program_recompiled recompiled;
	bool
	    behind; /* what is in force is not what the sources say: they are refused */
	bool unfit; /* what current's model says could not be compiled */
	monotime_t arrived; /* the first that no run has taken yet; 0: none */
	monotime_t taken;   /* the first that the run has taken */
	monotime_t began;   /* when the run did, however often it is done again */
	/* What is set aside has been found out: when that may be done again. */
	monotime_t look_own, look_others;
	uint64_t loads, failures; /* counters */
	uint64_t warnings_hash;   /* of those that were told last */
	/* Of a run that is done again (engine_refuse.c): */
	struct map condemned;   /* files found bad: by name, struct refused_file */
	struct map kept;        /* what is kept of them: by name, struct load_kept */
	struct program *lender; /* of which it is; NULL */
	bool lender_gone;       /* nobody else needs it any more */
	unsigned rounds;
};

/* What others may do that makes a bad file good; bits. */
enum refused_wait {
	WAITS_FOR_NAME = 1 << 0, /* an ExternalNetwork that it names comes */
	WAITS_FOR_LESS = 1 << 1, /* another no longer gives what it gives, too */
};

/* A file that is bad. */
struct refused_file {
	struct arena *arena; /* in which it is */
	struct str name;
	walltime_t since;
	const char **errors; /* their text */
	size_t count;        /* kept; */
	unsigned total;      /* found */
	unsigned waits_for;  /* enum refused_wait */
	bool excess;         /* policy of it is set aside (program_aside.c) */
	/* Of a load: */
	size_t source;
	struct load_kept kept;
	bool closed;    /* it is what closes it */
	unsigned round; /* in which the last mistake was found */
};

/* ---- edits ---- */

/* Files of a source that the parent sent. */
struct queued_edit {
	size_t source;
	int bundle_fd; /* of those that are there */
	struct arena *arena;
	struct str *gone; /* those that are not */
	size_t gone_count;
};

struct engine_edits {
	struct queued_edit *queue; /* in the order in which they came */
	size_t count, cap;
	monotime_t arrived;      /* the first in the queue */
	bool announced;          /* other pods are, than the program in force knows */
	monotime_t announced_at; /* since then */
	bool own;                /* the node has other addresses than that knows */
	monotime_t own_at;       /* since then */
	bool held;               /* told of that the audit log holds them */
	uint64_t files, refused, beyond, incremental, anew, wholes;
	struct histogram durations; /* reading and compiling them */
};

/* ---- engine.c ---- */

/* MSG_SOURCE and MSG_SOURCE_EDIT; false: malformed. */
MUST_CHECK bool engine_take_source(struct engine *e, struct proc_msg *msg);
MUST_CHECK bool engine_take_source_edit(struct engine *e, struct proc_msg *msg);

/* ---- engine_load.c ---- */

void engine_load_init(struct engine *e);
void engine_load_fini(struct engine *e);
/* Source number `index` has new contents; takes the descriptor. */
void engine_source_arrived(struct engine *e, size_t index, int bundle_fd);
/* What came as a whole is no longer all of it. */
void engine_source_spend(struct engine_source *s);
/* Its directory cannot be read. */
void engine_source_failed(struct engine *e, size_t index, struct str why);
/* It can be read again, and says what it said before. */
void engine_source_readable(struct engine *e, size_t index);
/* Files of it have changed; takes the descriptor and the arena. */
void engine_source_edited(struct engine *e, const struct queued_edit *edit);
/* What is in force follows by loading all of them. */
void engine_load_whole(struct engine *e);
/* A load that could not be started for want of descriptors is tried again; what waited for its
 * time is done. */
void engine_load_tick(struct engine *e);
/* The model of the program in force has changed: it is to be compiled anew. */
void engine_load_recompile(struct engine *e, monotime_t arrived);
/* How long the run has taken that there is; 0: none. */
MUST_CHECK uint64_t engine_load_ns(const struct engine *e, monotime_t now);
/* NULL, or what is wrong: a run that will not end. */
MUST_CHECK const char *engine_load_ill(const struct engine *e, monotime_t now);
/* Bad, with the errors of the files that are refused; without any: good. */
void engine_source_judged(struct engine *e, size_t index);
/* "file:line:col: error: message (advice) [code]", in the arena. */
MUST_CHECK const char *engine_error_text(struct arena *arena, const struct diag *d);
/* Logs a mistake, or what it warns of. */
void engine_log_diag(struct arena *arena, const struct diag *d);
MUST_CHECK const char *source_state_name(enum source_state state);
/* True if every source is good. */
MUST_CHECK bool engine_sources_good(const struct engine *e);

/* ---- engine_edit.c ---- */

void engine_edits_forget(struct engine *e);
/* Where the last load was refused, or the kernel refuses what it or an edit made, edits take
 * another. */
void engine_edits_catch_up(struct engine *e);
void engine_edits_fini(struct engine *e);
/* Forgets what is queued of a source: it comes as a whole. */
void engine_edits_drop(struct engine *e, size_t source);
/* Pods were announced, or are no longer; settings.own is another. */
void engine_edits_announced(struct engine *e);
void engine_edits_own(struct engine *e);
/* Whether anything waits to be taken. */
MUST_CHECK bool engine_edits_wait(const struct engine *e);
/* Reads what is queued and changes the program in force, if that can be done now: then
 * engine_apply_changed is called, or a run of the loader begins. False: nothing began. */
MUST_CHECK bool engine_edits_take(struct engine *e);

/* ---- engine_aside.c ---- */

/* A run has found out what of the program is set aside: notes when another may. */
void engine_asides_found(struct engine *e, const struct program *p);
/* Whether none may yet: what is set aside stays so. */
MUST_CHECK bool engine_asides_wait(const struct engine *e);
/* Whether changes that waited for it are to be compiled anew with everything. */
MUST_CHECK bool engine_asides_are_due(const struct engine *e);

/* ---- engine_refuse.c ---- */

/* A file whose edit has mistakes; and one that has none, or all of them. */
void engine_refused_add(struct engine *e, struct engine_source *s, struct str name,
    const struct diag_list *diags);
void engine_refused_forgive(struct engine_source *s, struct str name);
void engine_refused_forgive_all(struct engine_source *s);
/* A load found mistakes: whether it is to be done again, with load.kept. */
MUST_CHECK bool engine_refused_go_on(struct engine *e, const struct program *p);
/* A load is over: the files that it found bad are the sources' refused files from now on. */
void engine_refused_settle(struct engine *e);
/* All that is set aside (program_set_aside) says again what it says, and will be told of
 * anew; and files of which policy is set aside from now on. */
void engine_refused_excess_over(struct engine *e);
void engine_refused_excess(
    struct engine *e, const struct program *p, const struct diag_list *diags);
/* Whether a text is among the errors of the file. */
MUST_CHECK bool engine_refused_says(
    const struct engine_source *s, struct str name, const char *text);
/* What some file of the source waits for: bits of enum refused_wait. */
MUST_CHECK unsigned engine_refused_waits_for(const struct engine_source *s);
/* Forgets what a load was to be done again with. */
void engine_refused_end(struct engine *e);
/* Frees a program, unless a load still reads files that are kept of it. */
void engine_refused_drop_program(struct engine *e, struct program *p);

#endif
