/*
 * Entries of users: finding them by the name that somebody typed or by what identifies their
 * account for ever, and judging whether they may log in. Private to directory*.c.
 */
#ifndef AUTHN_DIRECTORY_USERS_H
#define AUTHN_DIRECTORY_USERS_H

#include "authn/directory/directory_account.h"
#include "authn/directory/directory_ldap.h"

struct dir_found {
	struct dir_user user;
	struct account_values account;
};

/* OpenLDAP's password policies that were read in one round; in its arena. */
struct policy_memo;
MUST_CHECK struct policy_memo *policy_memo_new(struct arena *arena);
void policy_memo_fini(struct policy_memo *memo);

/* The one entry that matches, below the base (or the base itself). AUTH_DENIED: there is none,
 * or several. */
MUST_CHECK enum auth_result dir_find_user(struct dir_conn *conn, struct arena *arena,
    struct str base, enum dir_scope scope, struct str filter,
    struct dir_found *out_found, struct err *err);

/*
 * The entries of accounts, in one search. out_found[i] is NULL if there is none (or there are
 * several, where only the name tells them apart).
 */
MUST_CHECK enum auth_result dir_find_accounts(struct dir_conn *conn,
    struct arena *arena, const struct directory_account *accounts, size_t count,
    struct dir_found **out_found, struct err *err);

/* The name that everybody will know the user by: the entry's own, lower-cased. False: it may not
 * be used. */
MUST_CHECK bool dir_user_name(
    struct arena *arena, const struct dir_found *found, struct str *out_name);

/* Whether the account may be used; AUTH_DENIED: `err` tells why not. */
MUST_CHECK enum auth_result dir_account_state(struct dir_conn *conn,
    struct arena *arena, struct policy_memo *memo, const struct dir_found *found,
    struct err *err);

#endif
