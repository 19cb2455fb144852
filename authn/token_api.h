/*
 * The token API's rules: which body is well-formed, who may create what, and what the
 * answers look like. No input or output of its own: it works on the store and on time given.
 */
#ifndef AUTHN_TOKEN_API_H
#define AUTHN_TOKEN_API_H

#include "authn/auth_client.h"
#include "authn/token_store.h"

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

/* Parses the JSON body (empty: all defaults). False: *out_answer is a 400. */
MUST_CHECK bool token_api_parse(struct arena *arena, struct str body,
    struct token_request *out_request, struct auth_answer *out_answer);
/* The same for a rotation, which takes "overlap" and "ttl". */
MUST_CHECK bool token_api_parse_rotation(struct arena *arena, struct str body,
    struct token_request *out_request, struct auth_answer *out_answer);

/* Whose token: a user just authenticated by password, or the owner of a stored token. */
struct token_owner {
	struct str user, uid;
	const struct str *groups;
	size_t group_count;
	walltime_t
	    not_after; /* a token made with another lives no longer; 0: no bound */
};

/*
 * Makes a token and stores it. *out_answer becomes 201 with the token in its body (wipe it once
 * sent), or an error.
 */
void token_api_issue(struct token_store *store, struct arena *arena,
    const struct token_owner *owner, const struct token_request *request,
    uint64_t default_ttl_s, uint64_t max_ttl_s, walltime_t now,
    struct auth_answer *out_answer);

/*
 * Replaces a stored token by a fresh one of the same name and scopes, which lives as long as
 * the old one would have, or as the request says, but not beyond `not_after`. *out_answer
 * becomes 201 with the token in its body (wipe it once sent), or an error.
 */
void token_api_rotate(struct token_store *store, struct arena *arena,
    const struct token_record *old, const struct token_request *request,
    walltime_t not_after, uint64_t max_ttl_s, walltime_t now,
    struct auth_answer *out_answer);

/* Groups as the store keeps them: a JSON array, in the arena. */
MUST_CHECK struct str token_api_groups(
    struct arena *arena, const struct str *groups, size_t count);

/* 200 with the owner's tokens. */
void token_api_list(struct token_store *store, struct arena *arena, struct str owner,
    struct auth_answer *out_answer);

/* The identity that a stored record stands for: new, one reference. NULL if the record is
 * damaged. `extra` groups: system:authenticated is added. */
MUST_CHECK struct identity *token_api_identity(const struct token_record *record);

/* The groups of an identity without those that we add ourselves, in the arena. */
MUST_CHECK const struct str *token_api_stored_groups(
    struct arena *arena, const struct identity *id, size_t *out_count);

#endif
