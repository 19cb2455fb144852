/*
 * A worker's side of the key role. A handshake that needs a signature is left in the middle
 * (OpenSSL's asynchronous jobs), and entered again when the signature is there; the loop serves
 * others meanwhile. While the key role is away requests wait for the next one; the deadline of the
 * handshake that made them bounds that.
 */
#ifndef AUTHN_KEY_CLIENT_H
#define AUTHN_KEY_CLIENT_H

#include <uv.h>

#include "authn/key_messages.h"
#include "common/err.h"

#define KEY_WAITING_MAX 1024 /* of one worker; more handshakes fail */

struct key_client;

struct key_client_counts {
	uint64_t signatures, refused, wait_us; /* of all that were answered */
	size_t waiting;
};

/* Takes the socket to the key role. From now on it signs for this process's remote keys. */
MUST_CHECK int key_client_new(
    uv_loop_t *loop, int fd, struct key_client **out_client, struct err *err);
/* The key role was restarted: what waits is asked again. Takes the new socket. */
MUST_CHECK int key_client_reconnect(struct key_client *c, int fd, struct err *err);
/* No handshake may wait any more. NULL is fine. */
void key_client_free(struct key_client *c);
MUST_CHECK struct key_client_counts key_client_count(const struct key_client *c);

#endif
