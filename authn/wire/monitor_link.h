/*
 * A role's end of the channel to the monitor: its configuration comes first, then messages as
 * the loop runs; a role without a monitor has no reason to go on.
 */
#ifndef AUTHN_MONITOR_LINK_H
#define AUTHN_MONITOR_LINK_H

#include <uv.h>

#include "common/err.h"
#include "common/proc.h"

/* Embedded in the role, which sets everything but `poll`. */
struct monitor_link {
	uv_poll_t poll;
	struct proc_channel *channel;
	/* Takes a message; false: it tells the role to end, or is none that it knows. What is
	 * left of its descriptors is closed after that. */
	bool (*take)(void *arg, struct proc_msg *msg);
	/* There is nothing more to come; NULL: the loop stops, and that is all. */
	void (*lost)(void *arg, const struct err *err);
	void *arg;
};

/* Waits for MSG_CONFIG, which the caller owns as it does what proc_recv gives.
 * ERR_PROTOCOL if it does not come, or something else does. */
MUST_CHECK int monitor_link_config(
    struct proc_channel *channel, struct proc_msg *out_msg, struct err *err);
/* Has the loop take messages; the channel does not wait from now on. */
MUST_CHECK int monitor_link_start(
    struct monitor_link *link, uv_loop_t *loop, struct err *err);
/* Sends a message, or logs why not. */
void monitor_link_send(
    struct proc_channel *channel, uint32_t type, uint32_t id, struct str body);

#endif
