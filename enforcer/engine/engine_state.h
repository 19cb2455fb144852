/*
 * The engine: all of its state, shared by the files that it is made of. Each part has a
 * header, with what it keeps and what others may ask of it:
 *
 *     engine_sources.h
 *         engine_load.c          sources -> candidate program, on a thread of its own
 *         engine_edit.c          single files -> what changes in the program in force
 *         engine_refuse.c        files that are bad, and what goes on in their place
 *     engine_kube.h
 *         engine_kube.c          clusters that are sources
 *     engine_kernel.h
 *         engine_kernel.c        questions to the kernel role and their answers
 *     engine_apply.h
 *         engine_apply.c         candidate, or what has changed -> plan; what to do next
 *         engine_commit.c        plan -> in force
 *         engine_look.c          is the kernel's table still what it should be?
 *     engine_connections.h
 *         engine_cut.c           connections that policy forbids by now are ended
 *         engine_adopt.c         TCP that was there before anybody tracked it
 *         engine_shadow.c        what policies that are only watched would deny
 *     engine_ways.h
 *         engine_ways.c          ways that packets leave by
 *         engine_routes.c        addresses that routes need
 *     engine_attach.h
 *         engine_attach.c        workloads that are about to start, and who waits
 *     engine_names.h
 *         engine_names.c         NFLOG of DNS -> what tenants know by name
 *         engine_names_file.c    ... kept for the next that runs
 *         engine_names_audit.c   ... on record
 *         engine_hold.c          answers of DNS that wait
 *     engine_flows.h
 *         engine_flows.c         NFLOG -> flow log, recent flows, audit
 *         engine_export.c        flows to the journal and to an IPFIX collector
 *     engine_audit.h
 *         engine_audit.c         lines to the audit role
 *
 * Beside them, engine.c (start, end, what the parent sends), control.c (the control socket),
 * control_answers.c (what it says), metrics*.c (/metrics, /healthz, /readyz).
 *
 * Everything runs in the loop's thread but program_make, which shares nothing, and
 * program_recompile, which reads the model in force, as the loop does: edits wait for it.
 */
#ifndef ENFORCER_ENGINE_STATE_H
#define ENFORCER_ENGINE_STATE_H

#include <uv.h>

#include "enforcer/engine/engine_apply.h"
#include "enforcer/engine/engine_attach.h"
#include "enforcer/engine/engine_audit.h"
#include "enforcer/engine/engine_connections.h"
#include "enforcer/engine/engine_flows.h"
#include "enforcer/engine/engine_kernel.h"
#include "enforcer/engine/engine_kube.h"
#include "enforcer/engine/engine_names.h"
#include "enforcer/engine/engine_sources.h"
#include "enforcer/engine/engine_ways.h"

#define ENGINE_MAX_ROLES (8 + ENFORCER_MAX_SOURCES)

struct engine_role {
	char name[16];
	uint32_t pid;
	uint32_t restarts;
	int stat; /* its /proc/PID/stat; -1: none */
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
	struct arena *own_arena; /* of settings.own */
	struct engine_source sources[ENFORCER_MAX_SOURCES];
	struct engine_load load;
	struct engine_edits edits;
	struct engine_kube kubes[ENFORCER_MAX_SOURCES];
	struct engine_kernel kernel;
	struct engine_apply apply;
	struct engine_cut cut;
	struct engine_gone gone;
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
	uint32_t config_errors; /* in the configuration that was read last */
	struct engine_unfiltered unfiltered;
	/* Bridges that no route leads to: workloads behind them are taken for others. */
	struct interface_pattern unrouted[ENGINE_MAX_BRIDGES];
	size_t unrouted_count;
	walltime_t started;
	bool stopping;
};

#endif
