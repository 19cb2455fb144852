/*
 * What the gate answers itself: sign-in and tokens (by way of the auth role), whoami,
 * health.
 */
#ifndef AUTHN_API_H
#define AUTHN_API_H

#include "authn/exchange.h"

/* GET /healthz and /readyz: for everybody, and not on record. */
MUST_CHECK bool api_is_health(const struct exchange *x);
void api_health(struct exchange *x);

/* Everything below /ringfence/. */
MUST_CHECK bool api_is_own(const struct exchange *x);
void api_start(struct exchange *x);
/* The body of a request in state COLLECT is there. */
void api_body_complete(struct exchange *x);

#endif
