/*
 * What tenants know by name: learnt from DNS, kept in a file, on record; and answers that
 * wait until what they say is in force.
 */
#ifndef ENFORCER_ENGINE_NAMES_H
#define ENFORCER_ENGINE_NAMES_H

#include "common/map.h"
#include "enforcer/audit/audit_event.h"
#include "enforcer/dns/dns_messages.h"
#include "enforcer/engine/questions.h"
#include "enforcer/kernel/nflog_reader.h"
#include "enforcer/wire/connection.h"
#include "enforcer/wire/link.h"
#include "policy-lang/compile/compile.h"
#include "policy-lang/load/learnt_text.h"

struct engine;

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

#endif
