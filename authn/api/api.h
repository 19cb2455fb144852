/*
 * What the gate answers itself: sign-in and tokens (by way of the auth role), whoami,
 * health.
 */
#ifndef AUTHN_API_H
#define AUTHN_API_H

#include "authn/proxy/exchange.h"

/* GET /healthz and /readyz: for everybody, and not on record. */
MUST_CHECK bool api_is_health(const struct exchange *x);
void api_health(struct exchange *x);

/* Everything below /ringfence/. */
MUST_CHECK bool api_is_own(const struct exchange *x);
void api_start(struct exchange *x);
/* The body of a request in state COLLECT is there. */
void api_body_complete(struct exchange *x);

/* ---- for what asks the auth role ---- */

/* Who asks, by what he came with; the password is taken when it is sent. */
MUST_CHECK struct auth_caller api_caller(struct exchange *x);
/* Remembers the ticket unless the answer came from within the call. */
void api_asked(struct exchange *x, auth_ticket_t ticket);
/* An auth_answer_fn: replies with it. */
void api_answer(void *arg, const struct auth_answer *answer);
/* Makes a token, as the request's body asks. */
void api_issue(struct exchange *x, const struct auth_caller *caller, bool is_login);

#endif
