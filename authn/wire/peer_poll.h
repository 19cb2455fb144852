/*
 * A worker's end of the socket to another role, which may be lost and given anew while the loop
 * runs: the handle that watches it is on the heap, because libuv keeps it until the loop turns.
 */
#ifndef AUTHN_PEER_POLL_H
#define AUTHN_PEER_POLL_H

#include <uv.h>

#include "common/err.h"
#include "common/proc.h"

/* Makes the socket the channel's, and a handle for it, whose data is `data` and which watches
 * nothing yet. Where that fails the socket is closed and *out_poll is NULL. `role` is for the
 * message: "the key role". */
MUST_CHECK int peer_poll_open(uv_loop_t *loop, struct proc_channel *channel, int fd,
    const char *role, void *data, uv_poll_t **out_poll, struct err *err);
/* Closes both. *poll becomes NULL; that it is NULL already is fine. */
void peer_poll_close(uv_poll_t **poll, struct proc_channel *channel);

#endif
