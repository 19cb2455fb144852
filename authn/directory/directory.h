/*
 * The directory: search and bind against LDAP servers, with three possible outcomes.
 * Blocking: every call runs on a thread that may be lost to it (libldap can hang or spin
 * inside a call), never on an event loop. Thread-safe.
 */
#ifndef AUTHN_DIRECTORY_H
#define AUTHN_DIRECTORY_H

#include "authn/config/config.h"
#include "authn/request/identity.h"
#include "common/err.h"
#include "common/secret.h"

struct directory;

struct directory_user {
	struct str name; /* the entry's own attribute, normalised; identity_user_ok */
	struct str uid;  /* entryUUID, objectGUID or nsUniqueId; "" without */
	struct str dn;
	const struct str *groups; /* sorted, identity_group_ok, without system:* */
	size_t group_count;
};

/*
 * `ldap` and `bind_password` are borrowed until directory_free. `ca_pem_path` is a file that the
 * role can still open (libldap takes a path), or NULL for the system's.
 */
MUST_CHECK int directory_new(const struct gate_ldap *ldap,
    const struct secret *bind_password, const char *ca_pem_path,
    struct directory **out_directory, struct err *err);
void directory_free(struct directory *d);

/*
 * Finds the user and binds as it. AUTH_ALLOWED: *out_user is filled, in the arena.
 * AUTH_DENIED: unknown user, more than one, wrong or empty password, disabled, locked or
 * expired account, a name or group that may not be asserted; never tried on a second server.
 * AUTH_UNAVAILABLE: no server gave an answer within the time; says nothing of the user.
 * `err` tells the log why; it is not for the client.
 */
MUST_CHECK enum auth_result directory_login(struct directory *d, struct arena *arena,
    struct str user, struct str password, unsigned timeout_ms,
    struct directory_user *out_user, struct err *err);

/* An account to look at again: as directory_login found it. */
struct directory_account {
	struct str name, uid;
};

struct directory_verdict {
	enum auth_result result;
	bool tried; /* false with AUTH_UNAVAILABLE: its turn did not come */
	struct directory_user user; /* AUTH_ALLOWED */
	struct str problem;         /* AUTH_DENIED: why; in the arena */
};

#define DIRECTORY_BATCH 100

/*
 * Looks at up to DIRECTORY_BATCH accounts without a password: does each still exist, under
 * the same name, may it log in, and which groups is it in? One search for all of them, and as few as
 * possible for their groups. A verdict stays AUTH_UNAVAILABLE where no server gave an answer
 * within the time; `err` then tells why. A server that is slow is left after half of the time, with
 * the verdicts that there are. Needs the service account.
 */
void directory_check(struct directory *d, struct arena *arena,
    const struct directory_account *accounts, size_t count, unsigned timeout_ms,
    struct directory_verdict *out_verdicts, struct err *err);

/* What one finds of a name, without a password; else as directory_login. */
MUST_CHECK enum auth_result directory_find(struct directory *d, struct arena *arena,
    struct str user, unsigned timeout_ms, struct directory_user *out_user,
    struct err *err);

/* Appends a JSON list of the servers. */
void directory_status(struct directory *d, struct buf *out, size_t *out_resting);

/* The template with the value, as it is, in place of {}. In the arena. */
MUST_CHECK struct str directory_fill(
    struct arena *arena, struct str template, struct str value);

/* The search filter with the value escaped in place of {} (RFC 4515). In the arena. */
MUST_CHECK struct str directory_filter(
    struct arena *arena, struct str filter, struct str value);

/*
 * The name to bind by: the value in place of {}, escaped for a DN (RFC 4514) if that is what
 * the template is. Empty if the value may not stand in a template that is none, such as
 * {}@example.org. In the arena.
 */
MUST_CHECK struct str directory_bind_name(
    struct arena *arena, struct str template, struct str value);

#endif
