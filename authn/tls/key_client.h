/*
 * The side of a role with a loop of the key role. A handshake that needs a signature is left in the middle
 * (OpenSSL's asynchronous jobs), and entered again when the signature is there; the loop serves
 * others meanwhile. While the key role is away requests wait for the next one; the deadline of the
 * handshake that made them bounds that.
 */
#ifndef AUTHN_KEY_CLIENT_H
#define AUTHN_KEY_CLIENT_H

#include <uv.h>

#include "authn/tls/key_messages.h"
#include "common/err.h"

#define KEY_WAITING_MAX 1024 /* more handshakes fail */

struct key_client;

struct key_client_counts {
	uint64_t signatures, refused, wait_us; /* of all that were answered */
	size_t waiting;
};

/* From now on the key role signs for this process's remote keys; until there is a socket to it
 * handshakes wait. */
MUST_CHECK struct key_client *key_client_new(uv_loop_t *loop);
/* A socket to the key role, the first or the next, which it takes. What waits is asked (again). */
MUST_CHECK int key_client_reconnect(struct key_client *c, int fd, struct err *err);
/* No handshake may wait any more. NULL is fine. */
void key_client_free(struct key_client *c);
MUST_CHECK struct key_client_counts key_client_count(const struct key_client *c);

#endif
