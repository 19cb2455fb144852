/*
 * Who asks: the result of authentication, and its three possible outcomes.
 */
#ifndef AUTHN_IDENTITY_H
#define AUTHN_IDENTITY_H

#include "common/clock.h"
#include "common/str.h"

/* Never two: a directory that does not answer has not said no. */
enum auth_result {
	AUTH_DENIED = 0, /* the default: a forgotten assignment denies */
	AUTH_ALLOWED,
	AUTH_UNAVAILABLE,
};

/* What a token may be used for: a request is in scope if one of the scopes matches in
 * all its parts. A token without scopes is unscoped: as wide as its owner. */
struct token_scope {
	const struct str
	    *namespaces;        /* tree paths (subtree) or Kubernetes namespaces */
	size_t namespace_count; /* none: everywhere */
	const struct str *verbs;
	size_t verb_count;           /* none: every verb */
	const struct str *resources; /* RBAC grammar; none: every resource and URL */
	size_t resource_count;
};

/* Immutable; owns one arena; shared by requests through a count (two lifetimes meet: the
 * token cache and the requests in flight). Single-threaded within a worker. */
struct identity {
	struct arena *arena;
	unsigned refs;
	struct str user; /* as the directory spells it, normalised */
	struct str uid;  /* entryUUID or objectGUID, "" when the directory has none */
	const struct str *groups; /* sorted; system:authenticated among them */
	size_t group_count;
	/* Of a service account's token: who made it, and his groups as they are now. */
	struct str maker; /* "" of a person */
	const struct str *maker_groups;
	size_t maker_group_count;
	struct str token_id; /* "" when not by a token (client certificate) */
	walltime_t expires;
	const struct token_scope *scopes;
	size_t scope_count;
	bool revoked; /* set when its token was revoked: streams end */
};

void identity_ref(struct identity *id);
void identity_unref(struct identity *id); /* frees the last one; NULL is fine */

/* Whether they are the same account with the same groups. */
MUST_CHECK bool identity_same(const struct identity *a, const struct identity *b);

/* User names and group names that may be asserted to an API server: the allow-list
 * [a-z0-9._@-]{1,128} for users; groups: printable, no control characters, at most 256
 * bytes; neither ever begins with "system:". */
#define IDENTITY_USER_BYTES 128
MUST_CHECK bool identity_user_ok(struct str user);
MUST_CHECK bool identity_group_ok(struct str group);

#endif
