/*
 * The parent's state, shared by parent.c (start, end, signals, configuration) and
 * parent_roles.c (processes, what they are sent, what they say).
 */
#ifndef ENFORCER_PARENT_STATE_H
#define ENFORCER_PARENT_STATE_H

#include <uv.h>

#include "common/clock.h"
#include "enforcer/files.h"
#include "enforcer/link.h"
#include "enforcer/messages.h"
#include "enforcer/parent.h"
#include "enforcer/sources.h"

enum role_id {
	ROLE_KERNEL,
	ROLE_AUDIT,
	ROLE_ENGINE,
	ROLE_COUNT
};

struct parent;

struct supervised {
	struct parent *parent;
	enum role_id id;
	struct proc_child child;
	struct link *link;
	uv_poll_t *watch; /* of the pidfd */
	uv_timer_t restart;
	monotime_t started;
	uint64_t delay_ms;
	uint32_t restarts;
	bool ready; /* ever: a role that never started will not start later */
};

struct parent {
	uv_loop_t loop;
	const struct parent_options *options;
	struct arena *config_arena;
	struct enforcer_config *config;
	uint32_t uid, gid;
	struct supervised roles[ROLE_COUNT];
	struct sources *sources;
	const char **directories; /* in config_arena */
	struct files_source source_files[ENFORCER_MAX_SOURCES];
	int listeners[LISTENER_COUNT];
	int nft_fd; /* the kernel roles', one after the other */
	uv_signal_t signals[3];
	int ready_fd;
	int status; /* of our exit */
	bool told_ready;
	bool stopping;
};

/* ---- parent_roles.c ---- */

/* Starts a role and gives it what it needs; on failure the loop ends with status 1. */
void parent_start_role(struct parent *p, enum role_id id);
/* Waits until a role has ended by itself, a few seconds at most; then ends it. */
void parent_stop_role(struct parent *p, enum role_id id);
/* Sends the engine settings, or the flow log opened anew. */
void parent_send_settings(struct parent *p, enum role_id id);
void parent_send_flow_file(struct parent *p);
/* The same for sockets to receivers of flow records. */
void parent_send_exports(struct parent *p);
/* A sources_changed_fn: reads what may have changed and sends what has. */
void parent_source_changed(
    void *arg, size_t index, const struct sources_change *change);
/* Logs and ends the loop with status 1. */
void parent_fail(struct parent *p, const char *event, const char *detail);

#endif
