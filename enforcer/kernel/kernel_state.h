/*
 * The kernel role's state, shared by the files that it is made of:
 *
 *     kernel.c              start, end, the loop, what the parent sends
 *     kernel_answer.c       answers to the engine
 *     kernel_table.c        batches into the table, and the table read back
 *     kernel_tracker.c      connections: listed, cut, adopted, on a thread of their own
 *     kernel_trace.c        single packets, traced
 *     kernel_routes.c       addresses and ways of Routes
 *     kernel_logs.c         the groups of NFLOG that the engine reads
 */
#ifndef ENFORCER_KERNEL_STATE_H
#define ENFORCER_KERNEL_STATE_H

#include "common/clock.h"
#include "common/proc.h"
#include "enforcer/config/settings.h"
#include "enforcer/kernel/nft.h"
#include "enforcer/kernel/trace.h"
#include "enforcer/steer/address.h"
#include "enforcer/steer/steer.h"
#include "enforcer/wire/messages.h"

/* A group of NFLOG that the engine reads. */
struct logged {
	int fd; /* -1: not wanted */
	uint16_t group;
	bool bound, complained;
};

struct tracker;

struct kernel {
	struct proc_channel *parent;
	struct proc_channel engine; /* fd -1: none */
	uint64_t engine_link;       /* which of those that there were */
	struct kernel_settings settings;
	struct nft *nft;
	bool owned;     /* the table is, where the kernel has that */
	unsigned lacks; /* of limits; enum op_lack */
	struct tracker *tracker;
	struct address_book *addresses;
	monotime_t addresses_looked;
	bool addresses_complained;
	struct probe *probe;
	struct steer *steer;
	monotime_t steer_looked;
	bool steer_dirty, steer_complained;
	struct arena *settings_arena;
	struct trace *trace;
	uint32_t trace_question;
	uint64_t trace_link; /* of who asked it */
	monotime_t trace_until;
	struct arena *arena; /* of one message */
	uint32_t generation; /* of our last commit, or told to the engine */
	struct logged logs[NFLOG_COUNT];
	bool stop;
};

/* A request of the engine: answered at once, unless it says otherwise. */
typedef void (*kernel_request_fn)(struct kernel *k, const struct proc_msg *msg);

/* ---- kernel_answer.c ---- */

/* The link to the engine is closed; its pollfd is -1 from now on. */
void kernel_engine_lost(struct kernel *k);
/* Sends to the engine; `fd`, which stays the caller's, goes along unless it is -1. One that
 * does not read its answers is of no use any more. */
void kernel_answer(
    struct kernel *k, uint32_t type, uint32_t id, const struct buf *body, int fd);
/* What became of a request, at the end of its answer. */
void kernel_put_outcome(struct buf *body, int rc, const struct err *err);
/* An answer with much in it: the code, `head` (which it frees), `data` (which it frees), and the outcome. */
void kernel_answer_blob(struct kernel *k, uint32_t type, uint32_t id, int rc,
    struct buf *head, struct buf *data, struct err *err);

/* ---- kernel_table.c ---- */

void kernel_apply(struct kernel *k, const struct proc_msg *msg);
void kernel_observe(struct kernel *k, const struct proc_msg *msg);
void kernel_count(struct kernel *k, const struct proc_msg *msg);
/* Tells the engine if the ruleset's generation is another than it knows. */
void kernel_watch_generation(struct kernel *k);

/* ---- kernel_trace.c ---- */

/* Answered when the packet has come, or time is up: kernel_watch_trace looks. */
void kernel_trace(struct kernel *k, const struct proc_msg *msg);
void kernel_end_trace(struct kernel *k, const struct proc_msg *msg);
void kernel_watch_trace(struct kernel *k);

/* ---- kernel_routes.c ---- */

/* Told, not asked: what is amiss is looked at again and again. */
void kernel_want_addresses(struct kernel *k, const struct proc_msg *msg);
void kernel_want_ways(struct kernel *k, const struct proc_msg *msg);
void kernel_tell_ways(struct kernel *k);
/* Which addresses are the node's own. */
void kernel_tell_whose(struct kernel *k, const struct proc_msg *msg);
/* In how many milliseconds the following is to be called again, at most `most`. */
MUST_CHECK int kernel_routes_wait_ms(const struct kernel *k, int most);
/* Looks after addresses and ways, as often as is needed. */
void kernel_watch_routes(struct kernel *k);

/* ---- kernel_logs.c ---- */

MUST_CHECK int kernel_logs_open(struct kernel *k, struct err *err);
void kernel_logs_close(struct kernel *k);
/* Binds those groups that are not bound yet, and gives them to the engine. */
void kernel_logs_bind(struct kernel *k);
/* Gives those that are bound to an engine that has come. */
void kernel_logs_give(struct kernel *k);

#endif
