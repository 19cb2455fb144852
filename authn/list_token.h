/*
 * Continue tokens of filtered lists. The API server's own names the object at which the
 * next page begins, in clear text: somebody else's, maybe. So clients get it encrypted,
 * good only for the same user and path, until the gate is started again.
 */
#ifndef AUTHN_LIST_TOKEN_H
#define AUTHN_LIST_TOKEN_H

#include "common/arena.h"
#include "common/str.h"

#define LIST_TOKEN_KEY_BYTES 32
#define LIST_TOKEN_MAX_BYTES (16u * 1024) /* of the clear text */

/* Derives the key from a secret that all workers share. */
void list_token_key(
    const uint8_t *secret, size_t secret_len, uint8_t out_key[LIST_TOKEN_KEY_BYTES]);

/* Appends the sealed token; `bound_to` must be the same on opening. */
MUST_CHECK bool list_token_seal(const uint8_t key[LIST_TOKEN_KEY_BYTES],
    struct str bound_to, struct str token, struct buf *out);

enum list_token_result {
	LIST_TOKEN_OK,
	LIST_TOKEN_MALFORMED, /* cannot be one of ours */
	LIST_TOKEN_UNKNOWN, /* another key's, another user's, another list's, or changed */
};

/* *out_token lives in the arena. */
MUST_CHECK enum list_token_result list_token_open(struct arena *arena,
    const uint8_t key[LIST_TOKEN_KEY_BYTES], struct str bound_to, struct str sealed,
    struct str *out_token);

#endif
