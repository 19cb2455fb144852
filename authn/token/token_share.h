/*
 * Several replicas of the gate, which share tokens and quotas through etcd. Private to the
 * auth role.
 *
 * Tokens: the local store has all of them. What is written here stands in etcd before it is
 * answered (or the answer is that it cannot be); a watch tells the others, who take it over
 * and have their workers forget it. Of a row that two replicas change, a revocation stays.
 * Quotas: who is there is told by leases, and shares are set in the workers' table (quota.h).
 * Keys of continue tokens (list_token.h): a ring in etcd, the same for all, which turns.
 * Nothing is shared out to a newcomer before all others have said that they know of it.
 * Without etcd the replica goes on for `keep`, and then admits nothing (fails closed); its
 * lease is longer than that, so that nobody has its part before it stops.
 */
#ifndef AUTHN_TOKEN_SHARE_H
#define AUTHN_TOKEN_SHARE_H

#include <uv.h>

#include "authn/access/list_token.h"
#include "authn/quota/quota.h"
#include "authn/token/token_store.h"
#include "authn/wire/etcd.h"

struct token_share_settings {
	struct etcd_options etcd; /* endpoint_count 0: there is nobody to share with */
	struct str prefix;        /* of all keys; ends with '/' */
	uint32_t keep_ms;
};

struct token_share;

/* Called on the loop. */
struct token_share_callbacks {
	/* Tokens that mean something else now: ids of TOKEN_ID_LEN bytes, one after the other. */
	void (*ended)(void *arg, struct str ids);
	/* The ring is another one. */
	void (*list_keys)(void *arg, const uint8_t ring[LIST_RING_BYTES]);
	void *arg;
};

/* Starts the threads. Everything borrowed must live on. */
MUST_CHECK int token_share_start(uv_loop_t *loop,
    const struct token_share_settings *settings, struct token_store *store,
    struct quota_table *quota, const struct token_share_callbacks *callbacks,
    struct token_share **out_share, struct err *err);
/* Calls `done` on the loop, once: with 0 when everything that was written to the store until now is
 * in etcd; or it may not be, and is sent when etcd answers again. Maybe from within. */
void token_share_settle(
    struct token_share *s, void (*done)(void *arg, int rc), void *arg);
/* Appends members of a JSON object, with a comma before each. */
void token_share_status(const struct token_share *s, struct buf *out);

#endif
