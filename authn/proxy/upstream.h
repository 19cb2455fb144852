/*
 * The API servers behind the gate: connections to them, which requests share (HTTP/2)
 * or take in turn (HTTP/1.1), whom to ask next, whom to leave alone for a while.
 */
#ifndef AUTHN_UPSTREAM_H
#define AUTHN_UPSTREAM_H

#include "authn/proxy/exchange.h"

struct upstream_pool;
struct upstream_request;

MUST_CHECK struct upstream_pool *upstream_pool_new(struct worker *w);
/* Reload: settings or credentials changed. New requests use new connections; what runs
 * goes on where it is. */
void upstream_pool_renew(struct upstream_pool *pool);
/* Closes everything. All exchanges must be gone. */
void upstream_pool_free(struct upstream_pool *pool);

/* Sends the exchange's request; sets x->up while somebody works on it. Answers come as
 * exchange_up_*; the last of them clears x->up. */
void upstream_start(struct upstream_pool *pool, struct exchange *x);
/* The client went away: the request is reset, no call comes any more. */
void upstream_cancel(struct upstream_request *r);
/* More of the request's body is there, or its end. */
void upstream_body(struct upstream_request *r);
/* The client took so much of the answer. */
void upstream_consumed(struct upstream_request *r, size_t n);

/* Once a second: what waited too long, who does not answer any more. */
void upstream_tick(struct upstream_pool *pool);

/* For MSG_STATUS: appends a JSON array of servers. */
void upstream_status_json(const struct upstream_pool *pool, struct buf *out);

#endif
