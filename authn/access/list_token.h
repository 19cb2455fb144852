/*
 * Continue tokens of filtered lists. The API server's own names the object at which the
 * next page begins, in clear text: somebody else's, maybe. So clients get it encrypted,
 * good only for the same user and path. A gate by itself has one key, until it is started again;
 * replicas have a ring of keys from etcd (token_share_keys.c), so that each opens what another
 * sealed.
 */
#ifndef AUTHN_LIST_TOKEN_H
#define AUTHN_LIST_TOKEN_H

#include "common/arena.h"
#include "common/str.h"

#define LIST_TOKEN_KEY_BYTES 32
#define LIST_SEED_BYTES      32 /* what a gate by itself derives its key from */
#define LIST_TOKEN_MAX_BYTES (16u * 1024) /* of the clear text */

/* A ring: the next key, the one that seals, the one before. The next is there so that everybody
 * can open what it seals before anybody seals with it. */
#define LIST_RING_KEYS  3
#define LIST_RING_BYTES (LIST_RING_KEYS * LIST_TOKEN_KEY_BYTES)

struct list_keys {
	unsigned count; /* 0: none is known, and nothing can be sealed or opened */
	unsigned seals; /* which one; all open */
	uint8_t keys[LIST_RING_KEYS][LIST_TOKEN_KEY_BYTES];
};

/* One key, derived from a secret that all workers share. */
void list_keys_derive(
    const uint8_t *secret, size_t secret_len, struct list_keys *out_keys);
/* A ring as it travels. */
void list_keys_ring(const uint8_t ring[LIST_RING_BYTES], struct list_keys *out_keys);

/* Appends the sealed token; `bound_to` must be the same on opening. */
MUST_CHECK bool list_token_seal(const struct list_keys *keys, struct str bound_to,
    struct str token, struct buf *out);

enum list_token_result {
	LIST_TOKEN_OK,
	LIST_TOKEN_MALFORMED, /* cannot be one of ours */
	LIST_TOKEN_UNKNOWN, /* another key's, another user's, another list's, or changed */
};

/* *out_token lives in the arena. */
MUST_CHECK enum list_token_result list_token_open(struct arena *arena,
    const struct list_keys *keys, struct str bound_to, struct str sealed,
    struct str *out_token);

#endif
