/*
 * Bodies of the messages between workers and the auth role. Every decoder refuses what
 * is too long, malformed, or followed by anything. Strings that come out borrow from the
 * message.
 */
#ifndef AUTHN_AUTH_MESSAGES_H
#define AUTHN_AUTH_MESSAGES_H

#include "authn/auth/auth_client.h"
#include "authn/token/token.h"
#include "common/proc.h"

#define IDENTITY_MAX_GROUPS 2048 /* more is refused (431), never cut */
#define IDENTITY_MAX_SCOPES 64
#define SCOPE_MAX_ITEMS     256

/* MSG_TOKEN_CHECK */
void auth_put_check(struct buf *out, const struct token_parts *parts);
MUST_CHECK bool auth_get_check(
    const struct proc_msg *msg, struct token_parts *out_parts);

/* MSG_ACCOUNT_CHECK: a user's name, which may be asserted. */
void auth_put_account(struct buf *out, struct str user);
MUST_CHECK bool auth_get_account(const struct proc_msg *msg, struct str *out_user);

/* MSG_TOKEN_REVOKED: ids of tokens, and, behind this mark, names of users who came by
 * certificate. */
#define AUTH_ACCOUNT_MARK '@'

/* MSG_TOKENS_HELD: a row of records. */
#define AUTH_HELD_BYTES (TOKEN_ID_LEN + 8)
void auth_put_held(struct buf *out, const char *token_id, walltime_t learnt);
/* The `at`th record. False: there is none; the whole message is wrong if its length is no
 * multiple of AUTH_HELD_BYTES. */
MUST_CHECK bool auth_get_held(
    const struct proc_msg *msg, size_t at, struct str *out_id, walltime_t *out_learnt);

/* MSG_TOKEN_RESULT; `id` is NULL unless AUTH_ALLOWED. The decoded identity is new, with one
 * reference, in an arena of its own. */
void auth_put_result(
    struct buf *out, enum auth_result result, const struct identity *id);
MUST_CHECK bool auth_get_result(
    const struct proc_msg *msg, enum auth_result *out_result, struct identity **out_id);

/* MSG_TOKEN_ISSUE, MSG_TOKEN_LIST, MSG_TOKEN_REVOKE, MSG_TOKEN_ROTATE, MSG_SERVICE_*: who asks,
 * and for what. */
struct auth_question {
	bool login;          /* MSG_TOKEN_ISSUE: a login, not a further token */
	struct str token_id; /* by which the caller came; "" without */
	bool token_scoped;
	struct str user; /* by basic authentication; "" without */
	struct str password;
	struct str source;
	struct str
	    argument; /* the request's body, the token to revoke, or to rotate: the
				token, a space, the body */
	/* About tokens of that service account, or it; MSG_SERVICE_LIST: about those at and
	 * below that node. "": about the caller's own. */
	struct str service;
	const struct str *owners; /* groups that own its node */
	size_t owner_count;
};

void auth_put_question(struct buf *out, const struct auth_question *q);
/* The list of owners is in the arena, everything else in the message. */
MUST_CHECK bool auth_get_question(
    const struct proc_msg *msg, struct arena *arena, struct auth_question *out_q);

/* MSG_ANSWER */
void auth_put_answer(struct buf *out, const struct auth_answer *answer);
/* `reason` is resolved to a literal of ours; an unknown one is refused. */
MUST_CHECK bool auth_get_answer(
    const struct proc_msg *msg, struct auth_answer *out_answer);

#endif
