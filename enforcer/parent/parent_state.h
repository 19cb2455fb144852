/*
 * The parent's state, shared by parent.c (start, end, signals, configuration),
 * parent_roles.c (processes, what they are sent, what they say), parent_kube.c (clusters,
 * and what lets in there), parent_control.c (the control socket's file), parent_bridge.c
 * (what passes policy by), parent_uplinks.c (where others than workloads come from) and
 * parent_own.c (which addresses are the node's).
 */
#ifndef ENFORCER_PARENT_STATE_H
#define ENFORCER_PARENT_STATE_H

#include <uv.h>

#include "common/clock.h"
#include "common/limits.h"
#include "enforcer/config/settings.h"
#include "enforcer/parent/files.h"
#include "enforcer/parent/parent.h"
#include "enforcer/parent/sources.h"
#include "enforcer/wire/link.h"
#include "enforcer/wire/messages.h"

enum role_id {
	ROLE_KERNEL,
	ROLE_AUDIT,
	ROLE_DNS,
	ROLE_ENGINE,
	ROLE_KUBE, /* and one more for each further source: ROLE_KUBE + its index */
	ROLE_COUNT,
	ROLE_SLOTS = ROLE_KUBE + ENFORCER_MAX_SOURCES
};

struct parent;

struct supervised {
	struct parent *parent;
	enum role_id id; /* which of the slots */
	struct proc_child child;
	struct link *link;
	uv_poll_t *watch; /* of the pidfd */
	uv_timer_t restart;
	monotime_t started;
	uint64_t delay_ms;
	uint32_t restarts;
	bool ready;   /* ever: a role that never started will not start later */
	bool answers; /* this one has begun to read */
	/* Times in a row that it did not answer MSG_PING, or did; and how often it, or one
	 * before it, was ended because it did not, since one did for long. */
	unsigned silent, good, hangs;
};

/* A cluster that is a source: what its role was told. */
struct parent_kube {
	struct str name; /* of the source; these are on the heap */
	char *kubeconfig, *context;
	unsigned silent_s, report_s;
	bool used;
	uint64_t access_hash; /* of what was read last, 0: nothing */
	uint32_t
	    generation; /* counts what was asked for: of two answers the later counts */
};

struct parent {
	uv_loop_t loop;
	const struct parent_options *options;
	struct arena *config_arena;
	struct enforcer_config *config;
	uint32_t config_errors; /* in the one that was read last */
	uint32_t uid, gid;
	struct supervised roles[ROLE_SLOTS];
	struct parent_kube kubes[ENFORCER_MAX_SOURCES];
	uv_timer_t kube_timer;   /* looks at what lets in */
	uv_timer_t bridge_timer; /* looks for what passes policy by */
	uv_timer_t watch_timer;  /* asks roles whether they hang */
	struct buf unfiltered;   /* what the engine was told of that last */
	struct buf uplinks;      /* and of interfaces by which others come */
	struct buf own;          /* and of the node's own addresses */
	uv_timer_t uplinks_timer, own_timer;
	uv_poll_t route_watch; /* the kernel's news of routes and addresses */
	int route_fd;
	struct sources *sources;
	const char **directories; /* in config_arena; those of sources that are any */
	size_t directory_count;
	size_t directory_sources[ENFORCER_MAX_SOURCES]; /* which sources */
	struct files_source source_files[ENFORCER_MAX_SOURCES];
	int listeners[LISTENER_COUNT];
	struct files_identity control_file;   /* of the control socket */
	uv_timer_t control_timer;             /* looks whether it is there */
	bool control_failed;                  /* and has been told of */
	int dns_fds[2 * LIMIT_DNS_LISTENERS]; /* UDP and TCP of each */
	size_t dns_fd_count;
	int nft_fd; /* the kernel roles', one after the other */
	uv_signal_t signals[3];
	uv_timer_t reload; /* once for all SIGHUP that have come */
	int ready_fd;
	int status; /* of our exit */
	bool told_ready;
	bool stopping;
};

/* ---- parent_kube.c ---- */

void parent_kube_init(struct parent *p);
/* Starts a role for each cluster among the sources, ends those of others. */
void parent_kube_update(struct parent *p);
/* Reads again how a cluster is reached and as whom, resolves the server's name and tells the
 * role, `at_once` to try what waits. */
void parent_kube_refresh(struct parent *p, size_t source, bool at_once);
/* What the role is told first. */
void parent_kube_settings(
    const struct parent *p, size_t source, struct kube_settings *out);
void parent_kube_fini(struct parent *p);

/* ---- parent_control.c ---- */

void parent_control_init(struct parent *p);
/* Listens, and goes on to look whether the socket can be found. */
MUST_CHECK int parent_control_listen(struct parent *p, struct err *err);
/* Takes its file away. */
void parent_control_fini(struct parent *p);

/* ---- parent_bridge.c ---- */

void parent_bridge_init(struct parent *p);
void parent_bridge_fini(struct parent *p);
/* Looks now, as after a change of the configuration. */
void parent_bridge_look(struct parent *p);
/* Tells a new engine. */
void parent_bridge_tell(struct parent *p);

/* ---- parent_uplinks.c ---- */

void parent_uplinks_init(struct parent *p);
void parent_uplinks_fini(struct parent *p);
/* Looks now, as after a change of the configuration. */
void parent_uplinks_look(struct parent *p);
/* Tells a new engine. */
void parent_uplinks_tell(struct parent *p);

/* ---- parent_own.c ---- */

void parent_own_init(struct parent *p);
void parent_own_fini(struct parent *p);
/* Looks now; soon, because some have changed. */
void parent_own_look(struct parent *p);
void parent_own_changed(struct parent *p);
/* Tells a new engine. */
void parent_own_tell(struct parent *p);

/* ---- parent_watch.c ---- */

void parent_watch_init(struct parent *p);
void parent_watch_fini(struct parent *p);
/* Asks all roles; ends those that have not answered for long. */
void parent_watch_roles(struct parent *p);

/* ---- parent_sources.c ---- */

/* A sources_changed_fn: reads what may have changed and sends what has. */
void parent_source_changed(
    void *arg, size_t index, const struct sources_change *change);
/* Sends all of a source, which the engine asks for; of all that there are, to a new one. */
void parent_source_tell(struct parent *p, size_t index);
void parent_sources_tell(struct parent *p);

/* ---- parent_roles.c ---- */

/* Tells the engine whether the configuration that was read last was refused. */
void parent_send_config_read(struct parent *p);

/* A role that has no room for a message does not read; it is ended, and starts anew. */
void parent_send(
    struct parent *p, enum role_id id, uint32_t type, const struct buf *body, int fd);
/* A socket between the engine and a cluster's role, where both are. */
void parent_connect_kube(struct parent *p, size_t source);
/* Starts a role and gives it what it needs. On failure it is tried again; before all was ready
 * the loop ends with status 1. */
void parent_start_role(struct parent *p, enum role_id id);
/* Waits until a role has ended by itself, a few seconds at most; then ends it. */
void parent_stop_role(struct parent *p, enum role_id id);
/* Sends the engine settings, or the flow log opened anew. */
void parent_send_settings(struct parent *p, enum role_id id);
void parent_send_flow_file(struct parent *p);
/* The same for sockets to receivers of flow records. */
void parent_send_exports(struct parent *p);
/* "kernel", "kube": what runs in a slot. */
MUST_CHECK const struct proc_role *parent_role(enum role_id id);
/* Ends it at once; it starts anew. */
void parent_end_role(const struct supervised *role);
/* Logs and ends the loop with status 1. */
void parent_fail(struct parent *p, const char *event, const char *detail);

#endif
