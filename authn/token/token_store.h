/*
 * The token store: SQLite in WAL mode, synchronous FULL: what was answered is on
 * disk. Holds hashes, never tokens. One process, one thread.
 */
#ifndef AUTHN_TOKEN_STORE_H
#define AUTHN_TOKEN_STORE_H

#include "authn/request/identity.h"
#include "authn/token/token.h"
#include "common/err.h"

struct token_store;

struct token_record {
	char id[TOKEN_ID_LEN + 1];
	uint8_t secret_hash[32];
	struct str owner, uid;
	struct str groups; /* JSON array of strings */
	struct str scopes; /* JSON array, as given; "[]" unscoped */
	struct str name;
	/* Of a service account: its id, else "". `owner` is then who made the token, whose
	 * account it depends on. */
	struct str service;
	struct str service_path; /* read only */
	bool service_gone;       /* read only: removed, or not known here */
	walltime_t created, expires;
	walltime_t last_used; /* 0: never */
	walltime_t revoked;   /* 0: not */
	struct str revoked_by;
	walltime_t checked; /* when the directory last told of the account */
	walltime_t
	    changed; /* when it last told something new that concerned a token; 0: never */
	bool suspended; /* it said that the account may not be used */
};

/* Opens or creates the database file; refuses one of a newer layout. */
MUST_CHECK int token_store_open(
    const char *path, struct token_store **out_store, struct err *err);
void token_store_close(struct token_store *s);

/* For token_share.c: the database, and who is called when something was written and stands
 * (outside of transactions); what it returns is what the writer returns. */
struct sqlite3 *token_store_database(struct token_store *s);
void token_store_written(struct token_store *s, void (*written)(void *arg), void *arg);

/* ERR_EXISTS if the id is taken. */
MUST_CHECK int token_store_add(
    struct token_store *s, const struct token_record *record, struct err *err);
/* The record of that id, in the arena, revoked and expired ones too; ERR_NOT_FOUND. */
MUST_CHECK int token_store_get(struct token_store *s, struct arena *arena,
    const char *id, struct token_record *out_record, struct err *err);
/* Every record of an owner, newest first. */
MUST_CHECK int token_store_list(struct token_store *s, struct arena *arena,
    struct str owner, struct token_record **out_records, size_t *out_count,
    struct err *err);
/* Marks a token of `owner` as revoked; revoking twice is fine. ERR_NOT_FOUND if there is
 * none or it is another's. */
MUST_CHECK int token_store_revoke(struct token_store *s, struct str owner,
    const char *id, walltime_t now, struct str by, struct err *err);
/*
 * Adds `fresh` in place of the token `id` of the same owner, which is revoked (by `why`), or
 * expires at `until` if that is not 0 (and not later than it would anyway). Both or neither;
 * ERR_NOT_FOUND, ERR_EXISTS.
 */
MUST_CHECK int token_store_rotate(struct token_store *s, const char *id,
    const struct token_record *fresh, walltime_t until, walltime_t now, struct str why,
    struct err *err);
/* How many tokens of an account can be used. */
MUST_CHECK int token_store_owned(struct token_store *s, struct str owner,
    struct str uid, walltime_t now, uint64_t *out_count, struct err *err);
/* Of these, without a name, scopes or a service account, the one that has been unused the
 * longest; ERR_NOT_FOUND. */
MUST_CHECK int token_store_stale_login(struct token_store *s, struct str owner,
    struct str uid, walltime_t now, char out_id[TOKEN_ID_LEN + 1], struct err *err);
/* Notes the use of `count` ids of TOKEN_ID_LEN bytes, one after the other. */
MUST_CHECK int token_store_used(struct token_store *s, const char *ids, size_t count,
    walltime_t now, struct err *err);
/* Forgets what expired or was revoked before `before`. */
MUST_CHECK int token_store_purge(
    struct token_store *s, walltime_t before, struct err *err);
/* ---- token_accounts.c: the accounts that tokens belong to ---- */

struct token_account {
	struct str owner, uid;
	bool suspended;
};

/* Accounts with live tokens that nobody has tried to look at since `before`, those that wait
 * longest first; `limit` of them at most. */
MUST_CHECK int token_store_due(struct token_store *s, struct arena *arena,
    walltime_t now, walltime_t before, size_t limit,
    struct token_account **out_accounts, size_t *out_count, struct err *err);

/* Whether its tokens are suspended; false where that cannot be told. */
MUST_CHECK bool token_store_suspended(
    struct token_store *s, const struct token_account *account);

/* What the directory told of an account; `groups` is a JSON array. */
struct token_verdict {
	struct str owner, uid;
	bool known; /* false: it was tried, and there was no answer */
	bool suspended;
	struct str reason, groups;
};

/*
 * Writes verdicts, all or none. *out_ids: the tokens that mean something else from now on,
 * TOKEN_ID_LEN bytes each, one after the other: whoever knows them must ask again.
 */
MUST_CHECK int token_store_judge(struct token_store *s, struct arena *arena,
    const struct token_verdict *verdicts, size_t count, walltime_t now,
    struct str *out_ids, struct err *err);

/* The clock went back: what was asked later than now was asked now, and is due; what was used
 * later was used now. */
MUST_CHECK int token_store_clock_back(
    struct token_store *s, walltime_t now, struct err *err);

/* The live tokens (as above) of accounts that were last checked in [after, before). */
MUST_CHECK int token_store_unchecked(struct token_store *s, struct arena *arena,
    walltime_t now, walltime_t after, walltime_t before, struct str *out_ids,
    struct err *err);

/* Live tokens that nobody has used since `before`, 1000 of them at most; they are revoked. */
MUST_CHECK int token_store_end_idle(struct token_store *s, struct arena *arena,
    walltime_t now, walltime_t before, struct str *out_ids, struct err *err);

/* ---- token_visitors.c: users who come by certificate ---- */

struct token_visitor {
	struct str name, uid;
	struct str groups;  /* JSON array of strings */
	walltime_t checked; /* when the directory told so */
	bool suspended;     /* it said that the account may not be used */
};

/* What is known of a user, in the arena; ERR_NOT_FOUND. */
MUST_CHECK int token_store_visitor(struct token_store *s, struct arena *arena,
    struct str name, struct token_visitor *out_visitor, struct err *err);
/* Writes it, in place of what was known. */
MUST_CHECK int token_store_visitor_put(
    struct token_store *s, const struct token_visitor *visitor, struct err *err);
/* He may not use his account, as of `now`; of who is not known nothing is written. */
MUST_CHECK int token_store_visitor_deny(
    struct token_store *s, struct str name, walltime_t now, struct err *err);
/* Forgets what the directory told before `before`. */
MUST_CHECK int token_store_visitors_purge(
    struct token_store *s, walltime_t before, struct err *err);

/* ---- token_services.c: service accounts ---- */

/* An account that nobody logs in to: its declaration. */
struct token_service {
	struct str id;   /* unique for ever, unlike the path */
	struct str path; /* of its node and its name: /acme/shop/deploy */
	walltime_t declared;
	struct str declared_by;
	uint64_t tokens; /* of a list: how many can be used */
};

#define TOKEN_SERVICE_ID_LEN TOKEN_ID_LEN

/* ERR_EXISTS if the id is taken; whether the path is, others ask. */
MUST_CHECK int token_store_service_add(
    struct token_store *s, const struct token_service *service, struct err *err);
/* The one of that path; ERR_NOT_FOUND. Two replicas may have declared it at once: the first. */
MUST_CHECK int token_store_service(struct token_store *s, struct arena *arena,
    struct str path, struct token_service *out_service, struct err *err);
/* Those below a path that ends in a slash, by path. */
MUST_CHECK int token_store_services(struct token_store *s, struct arena *arena,
    struct str below, walltime_t now, struct token_service **out_services,
    size_t *out_count, struct err *err);
/* The tokens of those of that path, as token_store_list. */
MUST_CHECK int token_store_service_tokens(struct token_store *s, struct arena *arena,
    struct str path, struct token_record **out_records, size_t *out_count,
    struct err *err);
/* Takes back the declaration; *out_ids: its tokens, which are revoked. ERR_NOT_FOUND. */
MUST_CHECK int token_store_service_remove(struct token_store *s, struct arena *arena,
    struct str path, walltime_t now, struct str by, struct str *out_ids,
    struct err *err);

/* ---- */

struct token_counts {
	uint64_t accounts, suspended; /* of those with live tokens */
	walltime_t oldest; /* the longest ago that one was checked; 0: none */
};

MUST_CHECK int token_store_counts(
    struct token_store *s, walltime_t now, struct token_counts *out, struct err *err);

/* ---- */

/* Tokens that are neither revoked nor expired. */
MUST_CHECK int token_store_live(
    struct token_store *s, walltime_t now, uint64_t *out_count, struct err *err);

#endif
