/*
 * The worker's end of the auth role, as auth_client.c and auth_client_known.c see it.
 */
#ifndef AUTHN_AUTH_CLIENT_INTERNAL_H
#define AUTHN_AUTH_CLIENT_INTERNAL_H

#include "authn/auth/auth_client.h"
#include "authn/token/token.h"
#include "common/map.h"
#include "common/proc.h"

struct known {
	struct token_parts parts;
	struct identity *identity;
	walltime_t learnt;
	bool used; /* since the last MSG_TOKENS_USED */
};

/* A user who came by certificate, as the directory has him. */
struct account {
	char name[IDENTITY_USER_BYTES + 1];
	struct identity *identity;
	bool used; /* since it was last asked about */
};

struct auth_client {
	uv_loop_t *loop;
	uv_poll_t *poll; /* NULL without a socket */
	uv_timer_t *used_timer;
	struct proc_channel channel;
	struct auth_callbacks callbacks;
	struct map known;        /* token id -> struct known */
	struct map accounts;     /* user -> struct account */
	struct waiting *waiting; /* newest first */
	size_t waiting_count;
	uint32_t next_id;
};

/* ---- auth_client_known.c ---- */

/* The identity is shared from here on. */
void auth_client_known_add(
    struct auth_client *c, const struct token_parts *parts, struct identity *id);
/* Forgets a token, and says that it is revoked. */
void auth_client_known_revoke(struct auth_client *c, struct str token_id);

/* What is known stays as long as it is so: streams hang on it. Returns what is known then. */
MUST_CHECK struct identity *auth_client_account_learn(
    struct auth_client *c, struct identity *id);
/* Forgets one, and says nothing. */
void auth_client_account_drop(struct auth_client *c, struct account *a);
/* Forgets a user, and says that he is revoked. */
void auth_client_account_revoke(struct auth_client *c, struct str user);

/* Either, by the id as the auth role tells it. */
void auth_client_forget(struct auth_client *c, struct str id);
void auth_client_known_fini(struct auth_client *c);

#endif
