/*
 * The monitor: the gate's parent. Keeps privileges, so it parses nothing that comes from the
 * network: it reads files, opens sockets, starts roles, hands each what it needs, and
 * starts again what died.
 */
#ifndef AUTHN_MONITOR_H
#define AUTHN_MONITOR_H

#include <uv.h>

#include "authn/budget/budget_journal.h"
#include "authn/monitor/plan.h"
#include "authn/quota/quota.h"
#include "authn/tls/tls_tickets.h"
#include "common/proc.h"

struct monitor_options {
	const char *config_path;
	int ready_fd; /* -1: nobody asked */
};

/* Runs the gate until SIGTERM or SIGINT. Returns the exit status. */
int monitor_run(const struct monitor_options *options);

extern const struct proc_role gate_roles[];

/* ---- private to monitor*.c ---- */

enum slot_kind {
	SLOT_AUDIT,
	SLOT_AUTH,
	SLOT_STATUS,
	SLOT_BUDGET, /* absent without `admission` */
	SLOT_KEY,
	SLOT_WORKER, /* this and those after it */
};

#define SLOTS_MAX     (SLOT_WORKER + QUOTA_MAX_WORKERS)
#define LISTENERS_MAX 8 /* addresses; each worker has a socket of its own for each */

#define NOTES_MAX 256

/* One role's place: what runs there now, and when the next may start. */
struct slot {
	struct monitor *monitor;
	size_t index; /* in monitor.slots */
	struct proc_child child;
	uv_poll_t channel_poll, end_poll;
	unsigned open_handles; /* of the two, not closed yet */
	uv_timer_t restart;
	bool absent; /* nothing runs here, and nothing will */
	bool ready;
	bool expected; /* its end is our own doing */
	monotime_t started;
	unsigned failures; /* in a row */
	uint64_t restarts;
};

struct monitor {
	uv_loop_t loop;
	uv_signal_t hangup, terminate, interrupt;
	uv_timer_t deadline; /* of a drain */
	struct monitor_options options;
	struct gate_plan *plan;
	struct slot slots[SLOTS_MAX];
	size_t slot_count;
	int listeners[QUOTA_MAX_WORKERS][LISTENERS_MAX];
	size_t listener_count; /* of each worker */
	int control_fd, metrics_fd, admission_fd;
	int quota_fd;
	struct quota_table *quota;
	uv_timer_t quota_timer;
	struct buf quota_saved; /* as it is on disk */
	bool quota_save_failed;
	uint8_t list_seed[LIST_SEED_BYTES]; /* worker_settings' */
	struct tls_tickets tickets;
	uv_timer_t tickets_timer;
	uv_timer_t files_timer;
	uint64_t files_in_force, files_seen; /* what they looked like */
	struct buf notes[NOTES_MAX];         /* for an audit role that is away */
	size_t note_count;
	bool announced; /* everything was ready once */
	bool stopping;
	int exit_status;
};

/* Starts the role of a slot and introduces it to the others. */
MUST_CHECK int slot_start(struct slot *s, struct err *err);
/* Ends it at once; it is started again unless the gate is stopping. */
void slot_kill(struct slot *s);
MUST_CHECK bool slot_running(const struct slot *s);
/* Sends a message; one who cannot take it is killed. */
void slot_send(struct slot *s, const struct proc_msg *msg);
/* Sends the key role its keys. */
void slot_send_keys(struct slot *s, uint32_t id);
/* Sends a worker its settings, and policy. */
MUST_CHECK int slot_send_settings(struct slot *s, uint32_t id, struct err *err);

/* The counts of the day from the state directory, and to it; every few seconds. */
void monitor_quota_load(struct monitor *m);
void monitor_quota_save(struct monitor *m);
MUST_CHECK int monitor_quota_start(struct monitor *m, struct err *err);

/* Makes the first key of session tickets, and others as time goes by. */
MUST_CHECK int monitor_tickets_start(struct monitor *m, struct err *err);
/* Tells a new worker of those that there are. */
void monitor_tickets_tell(struct slot *s);

/* The budget role's journal, in the state directory; closed here once it is sent. */
MUST_CHECK int monitor_journal_open(
    const struct monitor *m, int out_fds[BUDGET_JOURNAL_FILES], struct err *err);
void monitor_journal_close(int fds[BUDGET_JOURNAL_FILES]);

/* What is wrong, line by line, in the log under that event. */
void monitor_log_problem(const char *event, const struct buf *problem);
/* Reads the configuration and has it judged. NULL: what is wrong is in the log. */
MUST_CHECK struct gate_plan *monitor_load_plan(const char *path, const char *event);
/* Reads everything again; `files_only`: but the policy. What is wrong changes nothing. */
void monitor_reload(struct monitor *m, bool files_only);
/* Looks every few seconds whether certificates and keys have changed. */
MUST_CHECK int monitor_files_start(struct monitor *m, struct err *err);
/* They are in force as they are now. */
void monitor_files_note(struct monitor *m);

/* Called by slots: a message that is not the slot's own affair; all is ready; a role has
 * ended (status as proc_stop). */
void monitor_on_message(struct slot *s, struct proc_msg *msg);
void monitor_on_ready(struct monitor *m);
void monitor_on_end(struct slot *s, int status);

/* Puts on record what the auth role says of an account; waits for an audit role that is away. */
void monitor_note_account(struct monitor *m, const struct proc_msg *msg);
/* An audit role is ready. */
void monitor_notes_flush(struct monitor *m);

/* Puts on record that a configuration is in force (`what`: how it came), or is not. */
void monitor_record(struct monitor *m, const char *what, bool ok);

#endif
