/*
 * A worker's side of the auth role: questions go out as messages, answers come back
 * as calls from the event loop. Known tokens are answered from the worker's own memory; the
 * auth role pushes revocations, and a revocation is not answered to its caller before every
 * worker has confirmed it. Passwords are wiped as soon as they are sent.
 */
#ifndef AUTHN_AUTH_CLIENT_H
#define AUTHN_AUTH_CLIENT_H

#include <uv.h>

#include "authn/request/identity.h"
#include "common/err.h"
#include "common/secret.h"

struct auth_client;

struct auth_callbacks {
	/* A token was revoked, expired or its account was locked: the identity's `revoked` is
	 * set already; open streams that use it must end. */
	void (*revoked)(void *arg, struct identity *id);
	/* Keys of continue tokens, LIST_RING_BYTES, borrowed and then wiped. */
	void (*list_keys)(void *arg, const uint8_t *ring);
	void *arg;
};

/* Takes the socket to the auth role. */
MUST_CHECK int auth_client_new(uv_loop_t *loop, int fd, const struct auth_callbacks *cb,
    struct auth_client **out_client, struct err *err);
/* The auth role was restarted: pending questions are answered AUTH_UNAVAILABLE, known
 * tokens go on. Takes the new socket. */
MUST_CHECK int auth_client_reconnect(struct auth_client *c, int fd, struct err *err);
void auth_client_free(struct auth_client *c);

/* Names a pending question, so that it can be dropped when its asker goes away. 0: none. */
typedef uint64_t auth_ticket_t;
void auth_client_cancel(struct auth_client *c, auth_ticket_t ticket);

/* Called once, from the loop or at once from within the asking call. On AUTH_ALLOWED the
 * identity is lent: take a reference to keep it. */
typedef void (*auth_token_fn)(void *arg, enum auth_result result, struct identity *id);
auth_ticket_t auth_client_token(
    struct auth_client *c, struct str token, auth_token_fn done, void *arg);

/* The same for a user who came by certificate, as the directory has him: his groups are its. */
auth_ticket_t auth_client_account(
    struct auth_client *c, struct str user, auth_token_fn done, void *arg);

/* Answers of the token API: an HTTP status and a JSON body (borrowed during the call; it may
 * hold a fresh token: the receiver wipes its copy once sent). 503 carries retry_after_s. */
struct auth_answer {
	int status;
	struct str body;
	uint32_t retry_after_s;
	const char *reason; /* Kubernetes Status reason for errors, or NULL */
	struct str message; /* for errors */
	struct str user;    /* who was recognised, for the audit record; "" if nobody */
};
typedef void (*auth_answer_fn)(void *arg, const struct auth_answer *answer);

/* What the caller presented to the token API. */
struct auth_caller {
	struct identity *id;     /* by token, or NULL */
	struct str user;         /* by basic authentication, or "" */
	struct secret *password; /* taken and wiped */
	struct str source;       /* client address, for throttling */
	/* It is about this service account, or the node of several; "": about himself. */
	struct str service;
	const struct str *owners; /* groups that own its node */
	size_t owner_count;
};

/* POST /ringfence/v1/login and POST /ringfence/v1/tokens; `body` is the JSON as received. */
auth_ticket_t auth_client_issue(struct auth_client *c, bool login,
    const struct auth_caller *caller, struct str body, auth_answer_fn done, void *arg);
/* GET /ringfence/v1/tokens */
auth_ticket_t auth_client_list(struct auth_client *c, const struct auth_caller *caller,
    auth_answer_fn done, void *arg);
/* POST /ringfence/v1/tokens/ID/rotate; `body` is the JSON as received. */
auth_ticket_t auth_client_rotate(struct auth_client *c,
    const struct auth_caller *caller, struct str token_id, struct str body,
    auth_answer_fn done, void *arg);
/* Service accounts, caller->service. */
enum auth_service_call {
	AUTH_SERVICE_DECLARE,
	AUTH_SERVICE_LIST,
	AUTH_SERVICE_REMOVE
};
auth_ticket_t auth_client_service(struct auth_client *c, enum auth_service_call call,
    const struct auth_caller *caller, auth_answer_fn done, void *arg);
/* DELETE /ringfence/v1/tokens/ID */
auth_ticket_t auth_client_revoke(struct auth_client *c,
    const struct auth_caller *caller, struct str token_id, auth_answer_fn done,
    void *arg);

#endif
