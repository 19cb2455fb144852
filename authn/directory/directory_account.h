/*
 * What an account's attributes say of it: may its owner log in? Knows the vocabularies of
 * Active Directory, OpenLDAP's ppolicy, 389 Directory Server, FreeIPA and RFC 2307. Pure:
 * the caller brings the values and the clock.
 */
#ifndef AUTHN_DIRECTORY_ACCOUNT_H
#define AUTHN_DIRECTORY_ACCOUNT_H

#include "common/clock.h"
#include "common/str.h"

enum account_attr {
	ACCOUNT_UAC,
	ACCOUNT_UAC_COMPUTED,
	ACCOUNT_EXPIRES,
	ACCOUNT_PWD_LAST_SET,
	ACCOUNT_NS_LOCK,
	ACCOUNT_UNLOCK_TIME,
	ACCOUNT_PASSWORD_EXPIRATION,
	ACCOUNT_KRB_PASSWORD,
	ACCOUNT_KRB_PRINCIPAL,
	ACCOUNT_PPOLICY_LOCKED,
	ACCOUNT_PPOLICY_RESET,
	ACCOUNT_PPOLICY_CHANGED,
	ACCOUNT_PPOLICY_START,
	ACCOUNT_PPOLICY_END,
	ACCOUNT_PPOLICY_DN,
	ACCOUNT_SHADOW_EXPIRE,
	ACCOUNT_ATTRS
};

/* The attributes to ask for, by enum account_attr. */
extern const char *const account_attributes[ACCOUNT_ATTRS];

/* First values; empty: the entry has none. */
struct account_values {
	struct str v[ACCOUNT_ATTRS];
};

/* The OpenLDAP password policy that governs an account. */
struct account_policy {
	bool known;
	uint64_t lockout_s; /* 0: until somebody unlocks it */
	uint64_t max_age_s; /* 0: passwords do not age */
	bool grace; /* an old password still opens a few times: only a bind can tell */
};

/*
 * NULL, or why the account may not be used: disabled, locked, expired, to change its
 * password first; also an attribute of the above that cannot be understood. Without a known
 * policy a locked account stays locked, and passwords do not age.
 */
MUST_CHECK const char *account_problem(const struct account_values *values,
    const struct account_policy *policy, walltime_t now);

/* RFC 4517 3.3.13: "20260131123059Z", minutes and seconds optional, a fraction, an offset.
 * False if it is none. */
MUST_CHECK bool account_time(struct str text, walltime_t *out_time);

/* What Active Directory means by a refused bind ("... data 775, ..."), or NULL. */
MUST_CHECK const char *account_bind_problem(struct str diagnostic);

#endif
