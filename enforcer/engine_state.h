/*
 * The engine's state, shared by the files that it is made of:
 *
 *     engine.c          start, end, what the parent sends
 *     engine_load.c     sources -> candidate program, on a thread of its own
 *     engine_edit.c     single files -> what changes in the program in force
 *     engine_kube.c     clusters that are sources
 *     engine_refuse.c   files that are bad, and what goes on in their place
 *     engine_apply.c    candidate, or what has changed -> plan; what to do next
 *     engine_commit.c   plan -> in force
 *     engine_look.c     is the kernel's table still what it should be?
 *     engine_kernel.c   questions to the kernel role and their answers
 *     engine_cut.c      connections that policy forbids by now are ended
 *     engine_adopt.c    TCP that was there before anybody tracked it
 *     engine_shadow.c   what policies that are only watched would deny
 *     engine_attach.c   workloads that are about to start, and who waits for their policy
 *     engine_names.c    NFLOG of DNS -> what tenants know by name
 *     engine_names_file.c   ... kept for the next that runs
 *     engine_names_audit.c  ... on record
 *     engine_hold.c     answers of DNS that wait until what they say is in force
 *     engine_flows.c    NFLOG -> flow log, recent flows, audit
 *     engine_export.c   flows to the journal and to an IPFIX collector
 *     engine_audit.c    lines to the audit role
 *     control.c         the control socket;  control_answers.c: what it says
 *     metrics.c         /metrics, /healthz, /readyz
 *
 * Everything runs in the loop's thread but program_make, which shares nothing, and
 * program_recompile, which reads the model in force, as the loop does: edits wait for it.
 */
#ifndef ENFORCER_ENGINE_STATE_H
#define ENFORCER_ENGINE_STATE_H

#include <uv.h>

#include "common/map.h"
#include "enforcer/audit_event.h"
#include "enforcer/connection.h"
#include "enforcer/dns_messages.h"
#include "enforcer/flows.h"
#include "enforcer/histogram.h"
#include "enforcer/ipfix.h"
#include "enforcer/kube_report.h"
#include "enforcer/link.h"
#include "enforcer/messages.h"
#include "enforcer/nflog_reader.h"
#include "enforcer/plan_cold.h"
#include "enforcer/program.h"
#include "enforcer/questions.h"
#include "enforcer/steer.h"
#include "policy-lang/learnt_text.h"

#define ENGINE_RECENT_FLOWS  1000
#define ENGINE_MAX_ROLES     (8 + ENFORCER_MAX_SOURCES)
#define ENGINE_STATUS_ERRORS 100 /* of a source that is bad, kept for `status` */

/* ---- sources ---- */

enum source_state {
	SOURCE_UNKNOWN, /* nothing came yet */
	SOURCE_GOOD,
	SOURCE_BAD,        /* what came cannot be enforced */
	SOURCE_UNREADABLE, /* the parent could not read it */
};

struct engine_source {
	int bundle_fd; /* all of it, the last that came; -1: none, or it has been edited */
	bool edited; /* since it came as a whole */
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
	bool dirty;                      /* something came since the last start */
	struct engine_settings settings; /* of the run: a copy, in `arena` */
	struct arena *arena;
	int fds[ENFORCER_MAX_SOURCES]; /* of the run */
	size_t fd_count;
	struct program *result;
	bool
	    recompiles; /* the run does: the model in force, which an edit has changed */
	struct program_recompiled recompiled;
	bool
	    behind; /* what is in force is not what the sources say: they are refused */
	monotime_t arrived;       /* the first that no run has taken yet; 0: none */
	monotime_t taken;         /* the first that the run has taken */
	uint64_t loads, failures; /* counters */
	uint64_t warnings_hash;   /* of those that were told last */
	/* Of a run that is done again (engine_refuse.c): */
	struct map condemned;   /* files found bad: by name, struct refused_file */
	struct map kept;        /* what is kept of them: by name, struct load_kept */
	struct program *lender; /* of which it is; NULL */
	bool lender_gone;       /* nobody else needs it any more */
	unsigned rounds;
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
	bool held;               /* told of that the audit log holds them */
	uint64_t files, refused, beyond, incremental, anew, wholes;
	struct histogram durations; /* reading and compiling them */
};

/* ---- clusters ---- */

struct engine;

/* The role that is a source. */
struct engine_kube {
	struct engine *engine;
	size_t index;
	struct proc_channel channel; /* fd -1: none */
	struct link *link;
	bool unread;         /* the last edit that it sent waits in the queue */
	uint64_t bundles;    /* that came; */
	uint64_t in_force;   /* of these, when all was so last */
	uint64_t told_hash;  /* of what it was told of that */
	struct arena *arena; /* of state; NULL: it has told nothing yet */
	struct kube_state state;
	monotime_t told;
};

/* ---- the kernel role ---- */

/* `answer` NULL: the link was lost before it came. */
typedef void (*kernel_answer_fn)(
    struct engine *e, const struct proc_msg *answer, void *arg);

struct kernel_question {
	struct kernel_question *next;
	uint32_t id;
	uint32_t answer_type;
	kernel_answer_fn answered;
	void *arg;
};

struct engine_kernel {
	struct proc_channel channel; /* fd -1: none */
	struct link *link;
	struct kernel_question *questions;
	uint32_t last_id;
	bool owned;         /* the table is: others have no say in it */
	unsigned lacks;     /* of limits, enum op_lack: those are not enforced */
	uv_timer_t missing; /* ends us if no new link comes */
};

/* ---- what is in force ---- */

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

	/* The model of current says more than the kernel has: an edit has changed it. */
	bool ahead;
	/* Current has changed, and pending is current: */
	bool changed;
	bool again;                 /* the batches that say so are to be sent again */
	struct compile_delta delta; /* what they say; anew: more than this tells */
	monotime_t log_until;       /* counts the changes that were logged */
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
	unsigned stale;     /* commits in a row that came too late */
	monotime_t look_after; /* not before: looking has its price */
	uint64_t look_us;      /* what it was last time */
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

	bool ready_told;
	uint64_t programs, heals, refusals, stale_total, looks, mismatches;
	uint64_t last_apply_us;
	struct histogram commits;     /* how long each took */
	struct histogram programming; /* from a source's change to its being in force */
	size_t last_ops;
	walltime_t last_apply, last_heal;
};

/* ---- established connections ---- */

struct engine_cut {
	bool wanted;    /* policy has changed since the last list began */
	bool running;   /* one list at a time */
	bool began_now; /* the next question begins a list */
	monotime_t began, not_before;
	struct arena *arena; /* of one answer and of the connections to end */
	struct connection *ending;
	uint32_t *numbers; /* of the rules that end them */
	size_t ending_count;
	bool done;    /* the list has ended */
	bool failing; /* and it has been told */
	uv_timer_t timer;
	size_t listed; /* by this list, and by the last whole one: */
	size_t last_listed;
	uint64_t last_us;
	uint64_t lists, failures, cut, kept;
};

/* ---- ways ---- */

struct way_outcome {
	enum steer_state state;
	uint8_t hop;
};

struct gateway_state {
	struct ip_addr addr;
	bool up;
};

struct engine_ways {
	bool told;                                        /* some ways, at some time */
	struct way_outcome now[TABLE_WAYS_MAX][2];        /* by number, and family */
	struct gateway_state gateways[PROBE_TARGETS_MAX]; /* that are asked */
	size_t gateway_count;
	uint64_t changes; /* of what they are */
};

/* Connections that were told of: in the last list, or in this one. */
struct shadow_seen {
	struct map told;
	struct arena *arena;
};

struct shadow_count {
	uint32_t number;
	uint64_t connections;
};

struct engine_shadow {
	struct shadow_seen before, now;
	struct shadow_count *counts; /* by rule */
	size_t count_len;
	uint64_t denied;
	uv_timer_t timer;
};

#define ENGINE_ADOPT_MOST 256

struct engine_adopt {
	bool fresh;          /* no program of an earlier run is in force */
	bool open;           /* the first program came into force a moment ago */
	uv_timer_t timer;    /* its end */
	struct map never;    /* ends of connections that were cut meanwhile */
	struct arena *arena; /* of them */
	struct connection waiting[ENGINE_ADOPT_MOST];
	size_t count;
	bool asked; /* the kernel role, for those of before */
	uint64_t adopted;
};

/* ---- flows ---- */

struct engine_flows {
	struct nflog_reader log;
	struct flows *flows;
	int file;         /* -1: none */
	struct buf lines; /* not written yet */
	bool file_failed;
	struct buf recent[ENGINE_RECENT_FLOWS]; /* a ring */
	size_t recent_count, recent_next;
	uint64_t packets, records, write_failures;
	uint64_t denied, allowed, cut, audited; /* by verdict */
};

/* ---- names ---- */

struct lesson;

struct engine_names {
	struct nflog_reader log; /* malformed: what is no DNS, too */
	struct learnt *learnt;   /* written to only while the loader does not run */
	struct questions *questions;
	struct lesson **waiting; /* until that is so */
	size_t waiting_count;
	struct compile_change *changes; /* that the program does not know yet */
	size_t change_count, change_cap;
	monotime_t changed_at;
	uint64_t list_began_ms; /* of connections, under way; 0: none */
	struct map used;        /* tenants' addresses that it has */
	struct arena *used_arena;
	uint64_t full_told_ms;
	int file; /* -1: none */
	bool file_read, file_failed;
	bool file_old; /* it is not what is known */
	monotime_t write_after;
	uint64_t asked, answers, unasked, truncated; /* messages */
	uint64_t news, forgotten, full, dropped;     /* addresses */
	struct map audited;                  /* struct names_audited by tenant */
	uint64_t changes_made, changes_told; /* of what is known; to the program */
};

/* The role that forwards DNS, and what waits there. */
struct engine_hold {
	struct proc_channel channel; /* fd -1: none */
	struct link *link;
	struct held_answer *first, **last;
	size_t count;
	uint64_t in_force;           /* of names.changes_told, as far as we know */
	uint64_t counts[DNS_COUNTS]; /* the role's */
};

/* ---- flows to others ---- */

struct export_message {
	struct export_message *next;
	struct buf data;
	unsigned records;
};

struct engine_export {
	int fd;             /* -1: none */
	struct ipfix ipfix; /* EXPORT_IPFIX */
	struct export_message *queue, **tail;
	size_t queued;
	bool failing;        /* and it has been told */
	uint64_t sent, lost; /* records */
};

/* ---- audit ---- */

struct audit_line {
	struct audit_line *next;
	uint64_t ticket;
	bool urgent;
	struct buf text;
};

struct engine_audit {
	struct proc_channel channel; /* fd -1: none */
	struct link *link;
	bool writable, told; /* told: that it is, or is not */
	uint64_t last_ticket;
	struct audit_line *queue; /* the socket was full */
	struct audit_line **tail;
	size_t queued;
	uint64_t lines, lost;
	uint64_t passed_over; /* questions without a record of their own */
};

/* ---- all ---- */

/* ---- workloads that are about to start ---- */

/* Whom an address is for. */
struct engine_attach_to {
	struct str namespace, name; /* of a pod; "": found by its addresses alone */
	const struct ip_addr *addrs;
	size_t addr_count;
};

struct engine_attach_result {
	uint64_t generation;
	const char *missing; /* NULL: it is in force; else what is not */
	const char *address; /* whose; "" */
};

typedef void (*engine_attach_fn)(
    struct engine *e, uint64_t arg, const struct engine_attach_result *result);

struct engine_attach {
	struct map all; /* by container/interface */
	struct waiter *waiters;
	size_t waiter_count;
};

struct engine_role {
	char name[16];
	uint32_t pid;
	uint32_t restarts;
};

#define ENGINE_MAX_BRIDGES 64

/* Bridges whose workloads reach each other past policy. */
struct engine_unfiltered {
	bool refused; /* the node is not ready then */
	size_t count;
	struct {
		char name[16];
		uint8_t family;
	} bridges[ENGINE_MAX_BRIDGES];
};

struct control;
struct metrics;

struct engine {
	uv_loop_t loop;
	struct proc_channel *parent;
	struct link *parent_link;
	struct arena *settings_arena;
	struct engine_settings settings;
	struct engine_source sources[ENFORCER_MAX_SOURCES];
	struct engine_load load;
	struct engine_edits edits;
	struct engine_kube kubes[ENFORCER_MAX_SOURCES];
	struct engine_kernel kernel;
	struct engine_apply apply;
	struct engine_cut cut;
	struct engine_adopt adopt;
	struct engine_shadow shadow;
	struct engine_flows flows;
	struct engine_names names;
	struct engine_hold hold;
	struct engine_export exports[EXPORT_COUNT];
	struct engine_audit audit;
	struct engine_ways ways;
	struct engine_attach attach;
	struct control *control;
	struct metrics *metrics;
	uv_timer_t tick; /* what happens a few times a second */
	struct engine_role roles[ENGINE_MAX_ROLES];
	size_t role_count;
	struct engine_unfiltered unfiltered;
	walltime_t started;
	bool stopping;
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
/* Its directory cannot be read. */
void engine_source_failed(struct engine *e, size_t index, struct str why);
/* It can be read again, and says what it said before. */
void engine_source_readable(struct engine *e, size_t index);
/* Files of it have changed; takes the descriptor and the arena. */
void engine_source_edited(struct engine *e, const struct queued_edit *edit);
/* What is in force follows by loading all of them. */
void engine_load_whole(struct engine *e);
/* The model of the program in force has changed: it is to be compiled anew. */
void engine_load_recompile(struct engine *e, monotime_t arrived);
/* Errors of a source, which is bad from then on; an empty list: it is good. */
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
/* Where the last load was refused, edits take another. */
void engine_edits_catch_up(struct engine *e);
void engine_edits_fini(struct engine *e);
/* Forgets what is queued of a source: it comes as a whole. */
void engine_edits_drop(struct engine *e, size_t source);
/* Pods were announced, or are no longer. */
void engine_edits_announced(struct engine *e);
/* Whether anything waits to be taken. */
MUST_CHECK bool engine_edits_wait(const struct engine *e);
/* Reads what is queued and changes the program in force, if that can be done now: then
 * engine_apply_changed is called, or a run of the loader begins. False: nothing began. */
MUST_CHECK bool engine_edits_take(struct engine *e);

/* ---- engine_kube.c ---- */

void engine_kube_init(struct engine *e);
void engine_kube_fini(struct engine *e);
/* Which source is which may be another by now: the parent sends the links anew. */
void engine_kube_forget(struct engine *e);
/* Takes the socket to a new role. */
void engine_kube_connect(struct engine *e, size_t index, int fd);
/* Asks for all of a source. False: there is nobody who could be asked; who comes sends it. */
MUST_CHECK bool engine_kube_want(struct engine *e, size_t index);
/* What it told last. False: nothing yet, or it is no cluster. */
MUST_CHECK bool engine_kube_report(
    const struct engine *e, size_t index, struct kube_report *out);
/* Tells those of whom nothing waits in the queue any more. */
void engine_kube_taken(struct engine *e);
/* A few times a second: tells them what is in force of what they sent. */
void engine_kube_tick(struct engine *e);
/* ---- engine_refuse.c ---- */

/* A file that is bad. */
struct refused_file {
	struct arena *arena; /* in which it is */
	struct str name;
	walltime_t since;
	const char **errors; /* their text */
	size_t count;        /* kept; */
	unsigned total;      /* found */
	/* Of a load: */
	size_t source;
	struct load_kept kept;
};

/* A file whose edit has mistakes; and one that has none, or all of them. */
void engine_refused_add(struct engine *e, struct engine_source *s, struct str name,
    const struct diag_list *diags);
void engine_refused_forgive(struct engine_source *s, struct str name);
void engine_refused_forgive_all(struct engine_source *s);
/* A load found mistakes: whether it is to be done again, with load.kept. */
MUST_CHECK bool engine_refused_go_on(struct engine *e, const struct program *p);
/* A load is over: the files that it found bad are the sources' refused files from now on. */
void engine_refused_settle(struct engine *e);
/* Whether a text is among the errors of the file. */
MUST_CHECK bool engine_refused_says(
    const struct engine_source *s, struct str name, const char *text);
/* Forgets what a load was to be done again with. */
void engine_refused_end(struct engine *e);
/* Frees a program, unless a load still reads files that are kept of it. */
void engine_refused_drop_program(struct engine *e, struct program *p);

/* ---- engine_kernel.c ---- */

void engine_kernel_init(struct engine *e);
void engine_kernel_fini(struct engine *e);
/* Takes the socket to a new kernel role. */
void engine_kernel_connect(struct engine *e, int fd);
MUST_CHECK bool engine_kernel_connected(const struct engine *e);
/* Asks; `answered` is called once, later, unless this fails. `fd` may be -1. */
MUST_CHECK int engine_kernel_ask(struct engine *e, uint32_t type,
    const struct buf *body, int fd, kernel_answer_fn answered, void *arg,
    struct err *err);

/* What MSG_OBSERVED says. */
struct kernel_observation {
	int code; /* 0, or an enum err_code */
	uint32_t generation;
	uint8_t digest[32];
	struct plan_observed table;
	const char *detail;
};
/* Reads one into the arena. */
MUST_CHECK int kernel_observation_read(struct arena *arena, const struct proc_msg *msg,
    struct kernel_observation *out, struct err *err);

/* What MSG_COUNTED says: calls `each`; false if it cannot be read. `msg` may be NULL. */
MUST_CHECK bool kernel_counters_read(const struct proc_msg *msg,
    void (*each)(void *arg, uint32_t number, uint64_t packets, uint64_t bytes),
    void *arg);

/* ---- engine_apply.c ---- */

void engine_apply_init(struct engine *e);
void engine_apply_fini(struct engine *e);
/* Takes a program that is to be put in force. */
void engine_apply_offer(struct engine *e, struct program *p);
/* The program in force has changed: what it is now is to be in the kernel. Borrows the
 * delta until the commit is answered. */
void engine_apply_changed(
    struct engine *e, const struct compile_delta *delta, monotime_t arrived);
/* The same after it was compiled anew. Takes what became of that. */
void engine_apply_recompiled(
    struct engine *e, struct program_recompiled *r, monotime_t arrived);
/* What the kernel should have by now, in the arena. */
MUST_CHECK struct table_content engine_apply_desired(
    const struct engine *e, struct arena *arena);
/* Does what can be done next. */
void engine_apply_step(struct engine *e);
/* The kernel role says hello, with the ruleset's generation; or is gone. */
void engine_apply_connected(struct engine *e, uint32_t generation);
void engine_apply_disconnected(struct engine *e);
void engine_apply_foreign(struct engine *e, uint32_t generation);
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

/* ---- engine_cut.c ---- */

void engine_cut_init(struct engine *e);
void engine_cut_fini(struct engine *e);
/* Policy has changed: connections are to be judged anew, as soon as they may. */
void engine_cut_want(struct engine *e);
/* True if no connection is ever cut. */
MUST_CHECK bool engine_cut_never(const struct engine *e);

/* ---- engine_shadow.c ---- */

void engine_shadow_init(struct engine *e);
void engine_shadow_fini(struct engine *e);
MUST_CHECK bool engine_shadow_wanted(const struct engine *e);
/* A connection that policy in force allows, of a list; and the list's end. */
void engine_shadow_judge(struct engine *e, const struct connection *c);
void engine_shadow_listed(struct engine *e);

/* ---- engine_adopt.c ---- */

void engine_adopt_init(struct engine *e);
void engine_adopt_fini(struct engine *e);
/* What is to become of TCP in mid-stream now. */
MUST_CHECK enum table_midstream engine_adopt_midstream(const struct engine *e);
/* A program, no skeleton, has come into force. */
void engine_adopt_committed(struct engine *e);
/* A connection that is cut: what comes of it is not to bring it back. */
void engine_adopt_never(struct engine *e, const struct connection *c);
/* A packet in mid-stream. True if it belongs to a connection that policy allows, and that
 * goes on once conntrack knows it. */
MUST_CHECK bool engine_adopt_packet(
    struct engine *e, const struct nflog_packet *packet);

/* ---- engine_attach.c ---- */

void engine_attach_fini(struct engine *e);
/* Remembers it under the key, and calls `answered` with `arg` when its policy is in force, or
 * when the time is up. False: there are too many. */
MUST_CHECK bool engine_attach(struct engine *e, struct str key,
    const struct engine_attach_to *to, uint64_t wait_ms, engine_attach_fn answered,
    uint64_t arg);
void engine_attach_remove(struct engine *e, struct str key);
/* All but those under these keys are gone. */
void engine_attach_keep(struct engine *e, const struct map *keys);
/* What is remembered, in the arena. */
void engine_attach_copy(const struct engine *e, struct arena *arena,
    const struct announced_pod **out_pods, size_t *out_count);
/* Answers who need not wait any more: after a commit, and a few times a second. */
void engine_attach_tick(struct engine *e);

/* ---- engine_flows.c ---- */

/* A packet that was logged, or a connection that was cut. */
void engine_flows_add(struct engine *e, const struct nflog_packet *packet);
void engine_flows_init(struct engine *e);
void engine_flows_fini(struct engine *e);
/* Takes the NFLOG socket; -1: it is gone. */
void engine_flows_socket(struct engine *e, int fd);
/* Takes the flow log's file; -1: none. */
void engine_flows_file(struct engine *e, int fd);
void engine_flows_tick(struct engine *e);

/* ---- engine_names.c ---- */

void engine_names_init(struct engine *e);
void engine_names_stop(struct engine *e);
/* Once the loader has ended. */
void engine_names_fini(struct engine *e);
/* Takes the NFLOG socket; -1: it is gone. */
void engine_names_socket(struct engine *e, int fd);
/* Takes the settings, and what came while the loader ran: it does not now. */
void engine_names_settle(struct engine *e);
/* Whether the program in force is to be told of something; and of what. To be called only
 * while the loader does not run. Borrowed until engine_names_told. */
MUST_CHECK bool engine_names_wait(const struct engine *e);
const struct compile_change *engine_names_changes(
    struct engine *e, size_t *out_count, monotime_t *out_since);
void engine_names_told(struct engine *e);
/* A list of connections begins, has this one, and has ended. */
MUST_CHECK bool engine_names_want_list(const struct engine *e);
void engine_names_list_begins(struct engine *e);
void engine_names_see(struct engine *e, const struct connection *c);
void engine_names_listed(struct engine *e);
void engine_names_tick(struct engine *e);
/* Takes the file that it is kept in; -1: none. The first is read. */
void engine_names_file(struct engine *e, int fd);
void engine_names_file_tick(struct engine *e);
void engine_names_file_close(struct engine *e);
/* What tenants know: a line each, or JSON. */
void engine_names_print(const struct engine *e, bool json, struct buf *out);

/* Learns what an answer to a workload says. False: not now, the loader runs, and something in
 * it is new. */
MUST_CHECK bool engine_names_answer(
    struct engine *e, const struct ip_addr *client, const struct dns_answer *answer);

/* ---- engine_names_audit.c ---- */

void engine_names_audit(struct engine *e, enum audit_name_kind kind, struct str tenant,
    struct str name, const struct ip_addr *addr);
void engine_names_audit_tick(struct engine *e);
void engine_names_audit_fini(struct engine *e);

/* ---- engine_hold.c ---- */

void engine_hold_init(struct engine *e);
void engine_hold_fini(struct engine *e);
/* Takes the socket to a new role. */
void engine_hold_connect(struct engine *e, int fd);
/* Lets go what is in force by now: after a commit. */
void engine_hold_step(struct engine *e);
void engine_hold_tick(struct engine *e);

/* ---- engine_export.c ---- */

void engine_export_init(struct engine *e);
void engine_export_fini(struct engine *e);
/* Takes a socket; -1: none. */
void engine_export_socket(struct engine *e, enum enforcer_export kind, uint32_t domain,
    uint32_t enterprise, int fd);
void engine_export_flow(struct engine *e, const struct flow_view *view);
void engine_export_tick(struct engine *e);
MUST_CHECK const char *engine_export_name(enum enforcer_export kind);

/* ---- engine_routes.c ---- */

/* Tells the kernel role which addresses routes in force need, if there is a program. */
void engine_routes_tell(struct engine *e);
/* True if an operation changes which they are. */
MUST_CHECK bool engine_routes_move(const struct op *op);

/* ---- engine_ways.c ---- */

/* Tells the kernel role by what ways the next program's packets leave; to be called before
 * that is sent. */
void engine_ways_prepare(struct engine *e, const struct program *next);
/* The same of the program in force: others may go. */
void engine_ways_settle(struct engine *e);
/* What has become of them; false: malformed. */
MUST_CHECK bool engine_ways_heard(struct engine *e, struct proc_reader *r);
/* The node that has a gateway's address; "". */
MUST_CHECK struct str engine_ways_node(
    const struct engine *e, const struct ip_addr *addr);
/* Whether the node is to have a source address now: not while a gateway that comes before
 * it is up. *out_shared becomes true if others may have it at other times. */
MUST_CHECK bool engine_ways_have(const struct engine *e,
    const struct table_content *content, const struct ip_addr *source,
    bool *out_shared);

/* ---- engine_audit.c ---- */

void engine_audit_init(struct engine *e);
void engine_audit_fini(struct engine *e);
void engine_audit_connect(struct engine *e, int fd);
/* Sends a line; with `urgent`, engine_apply_audited tells when it is on disk. Returns its
 * ticket; 0 if there is nobody to send it to. */
uint64_t engine_audit_send(struct engine *e, struct str line, bool urgent);
void engine_audit_tick(struct engine *e);
/* A gateway that routes here use is down, or up again. */
void engine_audit_gateway(
    struct engine *e, struct str node, const char *address, bool up);

#endif
