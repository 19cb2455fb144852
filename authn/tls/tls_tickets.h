/*
 * Session tickets: clients keep their sessions, encrypted for us. The keys are the same
 * in all workers, made by the monitor, never on disk, and short-lived: each encrypts for
 * TLS_TICKET_PERIOD_S, then opens for as long again, and is gone.
 */
#ifndef AUTHN_TLS_TICKETS_H
#define AUTHN_TLS_TICKETS_H

#include <openssl/ssl.h>

#include "common/str.h"

#define TLS_TICKET_PERIOD_S  3600
#define TLS_TICKET_KEYS      2  /* the newest first, which encrypts */
#define TLS_TICKET_KEY_BYTES 80 /* name, cipher key, MAC key: 16, 32, 32 */

struct tls_tickets {
	uint8_t keys[TLS_TICKET_KEYS][TLS_TICKET_KEY_BYTES];
	size_t count; /* 0: no tickets are given */
};

/* The newest becomes the one before; `key` is the newest. */
void tls_tickets_add(
    struct tls_tickets *tickets, const uint8_t key[TLS_TICKET_KEY_BYTES]);

/* The context's sessions are in tickets of these keys, as they are at that time; they must live as
 * long as the context and its connections. */
void tls_tickets_use(SSL_CTX *ctx, const struct tls_tickets *tickets);

#endif
