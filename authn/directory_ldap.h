/*
 * libldap with every option that it takes to be safe with it. Private to directory*.c.
 * One connection belongs to one thread.
 */
#ifndef AUTHN_DIRECTORY_LDAP_H
#define AUTHN_DIRECTORY_LDAP_H

#include "authn/directory.h"

struct dir_target {
	const struct gate_ldap *ldap;
	const char *url;      /* one server */
	const char *ca_path;  /* NULL: the system's */
	uint64_t deadline_ns; /* CLOCK_MONOTONIC: for everything on this connection */
};

struct dir_conn;

struct dir_entry {
	struct str dn;
	struct str name; /* of the name attribute */
	struct str uid;
	const struct str *member_of; /* DNs, when configured */
	size_t member_of_count;
};

/* AUTH_ALLOWED: connected, and TLS stands where it is to. */
MUST_CHECK enum auth_result dir_connect(
    const struct dir_target *target, struct dir_conn **out_conn, struct err *err);
void dir_close(struct dir_conn *conn); /* NULL is fine */

/* Simple bind. The password policy control is asked for: locked, expired and must-change
 * are AUTH_DENIED even where the bind succeeds. */
MUST_CHECK enum auth_result dir_bind(
    struct dir_conn *conn, struct str dn, struct str password, struct err *err);

/* Searches below users.base. *out_count: entries found, 2 standing for "more than one". */
MUST_CHECK enum auth_result dir_find_user(struct dir_conn *conn, struct arena *arena,
    struct str filter, struct dir_entry *out_entry, size_t *out_count, struct err *err);

/* The names of the user's groups as configured: search or memberOf, nested upwards. */
MUST_CHECK enum auth_result dir_groups(struct dir_conn *conn, struct arena *arena,
    const struct dir_entry *entry, const struct str **out_groups, size_t *out_count,
    struct err *err);

#endif
