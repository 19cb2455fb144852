/*
 * A channel to another process, watched by the event loop.
 */
#ifndef ENFORCER_LINK_H
#define ENFORCER_LINK_H

#include <uv.h>

#include "common/proc.h"

struct link_handler {
	/* One message. Descriptors that the handler keeps it takes out of the message
	 * (link_take_fd). False: it is not legal here; the link is then lost. */
	bool (*message)(void *arg, struct proc_msg *msg);
	/* The peer is gone, or broke the rules. The link watches no more; free it here or
	 * later. */
	void (*lost)(void *arg);
};

struct link;

/* Watches a channel, which must be non-blocking and outlive the link; both are borrowed.
 * Handlers may free the link. */
MUST_CHECK int link_new(uv_loop_t *loop, struct proc_channel *channel,
    const struct link_handler *handler, void *arg, struct link **out_link,
    struct err *err);
/* Stops watching; the channel stays as it is. NULL is fine. */
void link_free(struct link *link);

/* Takes a message's only descriptor; -1 if it has not exactly one. */
MUST_CHECK int link_take_fd(struct proc_msg *msg);
/* Sends a body and perhaps a descriptor (-1: none), which both stay the caller's. */
MUST_CHECK int link_send(struct proc_channel *channel, uint32_t type, uint32_t id,
    const struct buf *body, int fd, struct err *err);

/* Answers a MSG_PING. Whoever it was from may be gone, which shows elsewhere. */
void link_pong(struct proc_channel *channel);

#endif
