/*
 * The token API's rules: which body is well-formed, who may create what, and what the
 * answers look like. No input or output of its own: it works on the store and on time given.
 */
#ifndef AUTHN_TOKEN_API_H
#define AUTHN_TOKEN_API_H

#include "authn/auth/auth_client.h"
#include "authn/token/token_store.h"

struct json_t;

/* What a body of login or tokens asks for. */
struct token_request {
	struct str name;
	uint64_t ttl_s; /* 0: the default */
	uint64_t
	    overlap_s; /* of a rotation: the old one lives so long; 0: ends at once */
	struct str scopes; /* JSON array; "[]" unscoped */
	bool has_scopes;
};

/* An answer whose strings live in the arena. Fills status, reason and message. */
void token_api_refuse(struct auth_answer *out, struct arena *arena, int status,
    const char *reason, const char *fmt, ...) PRINTF_LIKE(5, 6);
/* The same, a 503: the store does not answer. */
void token_api_unavailable(struct auth_answer *out, struct arena *arena);

/* ---- token_request.c ---- */

/* Parses the JSON body (empty: all defaults). False: *out_answer is a 400. */
MUST_CHECK bool token_api_parse(struct arena *arena, struct str body,
    struct token_request *out_request, struct auth_answer *out_answer);
/* The same for a rotation, which takes "overlap" and "ttl". */
MUST_CHECK bool token_api_parse_rotation(struct arena *arena, struct str body,
    struct token_request *out_request, struct auth_answer *out_answer);

/* ---- token_api.c ---- */

/* Whose token: a user just authenticated by password, or the owner of a stored token. */
struct token_owner {
	struct str user, uid;
	const struct str *groups;
	size_t group_count;
	walltime_t
	    not_after; /* a token made with another lives no longer; 0: no bound */
	/* NULL: his own; else the service account that he makes a token of. */
	const struct token_service *service;
};

/* What holds for every token. */
struct token_terms {
	uint64_t default_ttl_s, max_ttl_s;
	uint32_t per_user; /* so many can be used at a time */
	bool is_login;     /* one too many: the login that is unused the longest ends */
	uint64_t *refused; /* counts those that were too many */
	walltime_t now;
};

/*
 * Makes a token and stores it. *out_answer becomes 201 with the token in its body (wipe it once
 * sent), or an error. *out_ended: "", or the id of one that made room, in the arena.
 */
void token_api_issue(struct token_store *store, struct arena *arena,
    const struct token_owner *owner, const struct token_request *request,
    const struct token_terms *terms, struct auth_answer *out_answer,
    struct str *out_ended);

/*
 * Replaces a stored token by a fresh one of the same name, scopes and account, which lives as
 * long as the old one would have, or as the request says, but not beyond `not_after`.
 * *out_answer becomes 201 with the token in its body (wipe it once sent), or an error.
 */
void token_api_rotate(struct token_store *store, struct arena *arena,
    const struct token_record *old, const struct token_request *request,
    walltime_t not_after, const struct token_terms *terms,
    struct auth_answer *out_answer);

/* Groups as the store keeps them: a JSON array, in the arena. */
MUST_CHECK struct str token_api_groups(
    struct arena *arena, const struct str *groups, size_t count);

/* 200 with the owner's tokens. */
void token_api_list(struct token_store *store, struct arena *arena, struct str owner,
    struct auth_answer *out_answer);

/* 200 with tokens of a service account, for its owners. */
void token_api_list_service(struct token_store *store, struct arena *arena,
    struct str path, struct auth_answer *out_answer);

/* The identity that a stored record stands for: new, one reference. NULL if the record is
 * damaged. system:authenticated is added to the groups, and is the only one of a service account. */
MUST_CHECK struct identity *token_api_identity(const struct token_record *record);

/* The groups of who made the token, in the arena; false if the record is damaged. */
MUST_CHECK bool token_api_owner_groups(struct arena *arena,
    const struct token_record *record, const struct str **out_groups,
    size_t *out_count);

/* No memory is fatal. */
MUST_CHECK struct str token_api_dump(struct arena *arena, struct json_t *value);
MUST_CHECK struct json_t *token_api_time(walltime_t t); /* 0: null */
MUST_CHECK struct json_t *token_api_text(struct str s);

#endif
