/*
 * The auth role's memory, shared by its files: auth_role.c (loop, sockets, token checks),
 * auth_login.c (logins on threads), auth_revoke.c (revocations). Private to them.
 */
#ifndef AUTHN_AUTH_STATE_H
#define AUTHN_AUTH_STATE_H

#include <uv.h>

#include "authn/auth/auth_messages.h"
#include "authn/auth/auth_role.h"
#include "authn/auth/throttle.h"
#include "authn/token/token_api.h"
#include "authn/wire/monitor_link.h"
#include "common/map.h"

#define LOGIN_THREADS 16

struct auth_role;
struct login;
struct poll;
struct revocation;

struct worker_link {
	struct worker_link *next;
	struct auth_role *role;
	uv_poll_t poll;
	struct proc_channel channel;
	uint64_t serial; /* names the link to jobs that outlive it */
	uint32_t worker; /* the monitor's number of it; UINT32_MAX: not told */
};

struct auth_counters {
	uint64_t allowed, denied, throttled, unavailable; /* logins */
	uint64_t checks, revocations, rotations;
	uint64_t tokens_refused; /* the user had too many */
	uint64_t services_declared, services_removed;
	uint64_t visitors; /* questions about users by certificate */
	/* accounts looked at again, by what came of it */
	uint64_t polled_allowed, polled_denied, polled_unavailable;
};

struct auth_role {
	uv_loop_t loop;
	uv_timer_t watchdog, purge;
	struct monitor_link monitor;
	struct worker_link *links;
	uint64_t next_serial;
	uint32_t next_revocation;
	struct arena *arena; /* settings */
	struct auth_role_settings settings;
	struct secret bind_password;
	struct directory *directory; /* NULL: no logins */
	struct token_store *store;
	struct quota_table *quota;          /* the workers' */
	struct token_share *share;          /* NULL: no other replicas */
	uint8_t list_ring[LIST_RING_BYTES]; /* the replicas' keys of continue tokens */
	bool has_list_ring;
	struct throttle *throttle;
	struct map visitors; /* name -> struct visitor (auth_visitors.c) */
	struct map noted;    /* name -> what is on record of the account last */
	struct login *logins;
	size_t login_count;
	size_t lost;       /* logins and polls whose thread was given up */
	struct poll *poll; /* the look at accounts that is under way */
	size_t polls_lost;
	uv_timer_t poll_timer;
	monotime_t poll_again;     /* not before, after one without an answer */
	walltime_t unchecked_from; /* accounts checked before have been dealt with */
	walltime_t ticked;         /* by both clocks: see mind_clock */
	monotime_t ticked_clock;
	monotime_t idle_from; /* nothing is idle before */
	struct revocation *revocations;
	struct auth_counters counters;
};

/* The answer goes to the worker that asked, if it is still there. */
void auth_send_result(struct auth_role *role, uint64_t asker, uint32_t question,
    enum auth_result result, const struct identity *id);
/* The same. */
void auth_send_answer(struct auth_role *role, uint64_t asker, uint32_t question,
    const struct auth_answer *answer);
/* Wipes and frees the body. ERR_LIMIT: too large, nothing was sent; a worker that does not
 * read is reported. */
int auth_send_body(
    struct worker_link *link, uint32_t type, uint32_t id, struct buf *body);
/* (auth_note.c) Has it recorded, once, that an account may not be used any more (and why), or may again.
 * `changed`: it was otherwise before, as far as the caller knows. */
void auth_note_account(struct auth_role *role, struct str user, bool suspended,
    bool changed, struct str reason);
/* Has the monitor end these workers and start others. */
void auth_report_stuck(struct auth_role *role, const uint32_t *workers, size_t count);
/* 503: the directory or the store does not answer. */
void auth_answer_unavailable(struct auth_role *role, uint64_t asker, uint32_t question);
/* Whether a token may be used now, whoever shows it. */
MUST_CHECK enum auth_result auth_record_state(
    const struct auth_role *role, const struct token_record *record, walltime_t now);

/* ---- auth_tokens.c ---- */

/*
 * The record of the token by which somebody calls the token API. False: *out_answer says
 * why not: unknown, revoked or expired, its account is suspended, or nobody could be asked about
 * that for too long.
 */
MUST_CHECK bool auth_caller_record(struct auth_role *role, struct arena *arena,
    struct str id, struct token_record *out_record, struct auth_answer *out_answer);
/* What holds for tokens that are made now. */
MUST_CHECK struct token_terms auth_terms(struct auth_role *role, bool is_login);
/* MSG_TOKEN_ISSUE, MSG_TOKEN_LIST. False: malformed. */
MUST_CHECK bool auth_issue(struct worker_link *link, const struct proc_msg *msg);
MUST_CHECK bool auth_list(struct worker_link *link, const struct proc_msg *msg);

/* ---- auth_service.c: service accounts ---- */

/* The groups are those of an owner of the node that the question is about. False: *out_answer is a
 * 403. */
MUST_CHECK bool auth_service_owner(struct arena *arena, const struct auth_question *q,
    struct str user, const struct str *groups, size_t group_count,
    struct auth_answer *out_answer);
/* The same of a caller by a token, which is a person's and unscoped. */
MUST_CHECK bool auth_service_caller(struct auth_role *role, struct arena *arena,
    const struct auth_question *q, struct token_record *out_record,
    struct auth_answer *out_answer);
/* The service account that the question is about. False: *out_answer is a 404 or 503. */
MUST_CHECK bool auth_service_find(struct auth_role *role, struct arena *arena,
    const struct auth_question *q, struct token_service *out_service,
    struct auth_answer *out_answer);
/* MSG_SERVICE_DECLARE, MSG_SERVICE_LIST, MSG_SERVICE_REMOVE. False: malformed. */
MUST_CHECK bool auth_service_declare(
    struct worker_link *link, const struct proc_msg *msg);
MUST_CHECK bool auth_service_list(struct worker_link *link, const struct proc_msg *msg);
MUST_CHECK bool auth_service_remove(
    struct worker_link *link, const struct proc_msg *msg);

/* ---- auth_login.c ---- */

/* MSG_TOKEN_ISSUE with a password. */
void auth_login_start(struct auth_role *role, struct worker_link *link,
    uint32_t question, const struct auth_question *q);
/* Looks for a user without a password; auth_visitor_found gets the answer. False: too much is under
 * way. */
MUST_CHECK bool auth_login_find(struct auth_role *role, struct str user);
/* Gives up what takes too long; ends the process when too many threads are lost. */
void auth_login_watch(struct auth_role *role);

/* ---- auth_poll.c: accounts are looked at again and again ---- */

/* Begins, and goes on until the role ends. */
void auth_poll_start(struct auth_role *role);
/* Gives up a look that takes too long. */
void auth_poll_watch(struct auth_role *role);
/* What a login has just told of an account, written down; tokens that it changes are
 * forgotten by the workers. */
void auth_poll_seen(struct auth_role *role, const struct directory_user *user);

/* ---- auth_visitors.c: users who come by certificate ---- */

/* MSG_ACCOUNT_CHECK. False: malformed. */
MUST_CHECK bool auth_visitor_ask(struct worker_link *link, const struct proc_msg *msg);
/* What came of auth_login_find. `user` counts with AUTH_ALLOWED. */
void auth_visitor_found(struct auth_role *role, struct str name,
    enum auth_result result, const struct directory_user *user, struct str problem);
/* Those to be looked at again, `room` at most; how many. Strings are in the arena. */
MUST_CHECK size_t auth_visitors_due(struct auth_role *role, struct arena *arena,
    struct directory_account *out_accounts, size_t room);
/* What came of that. */
void auth_visitor_judge(struct auth_role *role, const struct directory_account *account,
    const struct directory_verdict *verdict);
/* Ends the grace of those nobody could be asked about, and forgets whom nobody knows. */
void auth_visitors_tick(struct auth_role *role);

/* ---- auth_revoke.c ---- */

/* Workers forget who that user is, who came by certificate, and ask again. */
void auth_forget_account(struct auth_role *role, struct str user);
/* Workers forget these tokens (TOKEN_ID_LEN bytes each, one after the other): streams that
 * use them end, and the next request is asked about again. A token_share's `ended`: arg is the
 * role. */
void auth_forget(void *arg, struct str ids);
/* The same, and an answer once every worker has confirmed. Takes the arena. */
void auth_answer_forgotten(struct auth_role *role, uint64_t asker, uint32_t question,
    struct arena *arena, const struct auth_answer *answer, struct str ids);

/* ---- auth_written.c ---- */

/* An answer that tells of a change (a refusal: at once): when the other gates can know of it, or 503
 * that they cannot. `ids`, as those of auth_answer_forgotten, may be empty. Takes the arena, in
 * which everything lies; the body is wiped. */
void auth_answer_written(struct auth_role *role, uint64_t asker, uint32_t question,
    struct arena *arena, const struct auth_answer *answer, struct str ids);

/* MSG_TOKEN_REVOKE. False: malformed. */
MUST_CHECK bool auth_revoke(struct worker_link *link, const struct proc_msg *msg);
/* MSG_TOKEN_ROTATE. False: malformed. */
MUST_CHECK bool auth_rotate(struct worker_link *link, const struct proc_msg *msg);
/* A worker has confirmed (id 0: is gone, which confirms everything). */
void auth_revoke_confirm(struct auth_role *role, uint32_t id, uint64_t serial);

#endif
