/*
 * Questions about connections, on a thread of their own. To list them the kernel goes
 * through all of conntrack's hash table, other networks' part of it included, and where
 * little is in it that is one system call of ten milliseconds: no commit waits for that. The
 * thread has the power of its process.
 */
#ifndef ENFORCER_KERNEL_TRACKER_H
#define ENFORCER_KERNEL_TRACKER_H

#include "common/proc.h"

struct tracker;

/* A question about connections, or its answer. */
struct tracker_message {
	uint32_t type, id;
	uint64_t link; /* of the engine that asked */
	struct buf body;
};

/* Opens its sockets, before confinement; to be closed even if that fails. */
MUST_CHECK int tracker_open(struct tracker **out_tracker, struct err *err);
/* Begins to answer; after confinement, which the thread inherits. */
MUST_CHECK int tracker_start(struct tracker *t, struct err *err);
/* Waits until what is being answered has been. NULL is fine. */
void tracker_close(struct tracker *t);
/* Readable when there are answers. */
MUST_CHECK int tracker_fd(const struct tracker *t);
/* Copies MSG_CONNECTIONS, MSG_CUT or MSG_ADOPT, which are answered in the order in which they
 * came. False: too many wait already. */
MUST_CHECK bool tracker_ask(
    struct tracker *t, const struct proc_msg *msg, uint64_t link);
/* The next answer, of which the body is the caller's then; false: none yet. */
MUST_CHECK bool tracker_take(struct tracker *t, struct tracker_message *out);

#endif
