/*
 * libldap with every option that it takes to be safe with it: one connection, binding and
 * searching on it. Private to directory*.c. One connection belongs to one thread at a time.
 */
#ifndef AUTHN_DIRECTORY_LDAP_H
#define AUTHN_DIRECTORY_LDAP_H

#include "authn/directory/directory.h"

/* LDAPMessage and LDAP stay libldap's. */
struct ldap;
struct ldapmsg;

struct dir_target {
	const struct gate_ldap *ldap;
	const char *url;     /* one server; lives as long as the connection */
	const char *ca_path; /* NULL: the system's */
};

struct dir_conn;

/* AUTH_ALLOWED: connected, and TLS stands where it is to. `deadline_ns`: CLOCK_MONOTONIC,
 * for everything on this connection until dir_set_deadline. */
MUST_CHECK enum auth_result dir_connect(const struct dir_target *target,
    uint64_t deadline_ns, struct dir_conn **out_conn, struct err *err);
void dir_close(struct dir_conn *conn); /* NULL is fine */
void dir_set_deadline(struct dir_conn *conn, uint64_t deadline_ns);
/* False if the server has closed it, or says something that nobody asked for. */
MUST_CHECK bool dir_idle_ok(struct dir_conn *conn);
MUST_CHECK const struct gate_ldap *dir_config(const struct dir_conn *conn);
/* The deadline has passed. */
MUST_CHECK bool dir_late(const struct dir_conn *conn);

/*
 * Simple bind, by DN or whatever name the server takes. The password policy control is
 * asked for: locked, expired and must-change are AUTH_DENIED even where the bind
 * succeeds. *out_clean: the connection may be used for another bind.
 */
MUST_CHECK enum auth_result dir_bind(struct dir_conn *conn, struct str name,
    struct str password, bool *out_clean, struct err *err);

/* ---- directory_search.c ---- */

enum dir_scope {
	DIR_BASE,
	DIR_SUBTREE
};

struct dir_query {
	struct str base;
	enum dir_scope scope;
	struct str filter;
	const char *const *attributes; /* NULL-terminated */
	size_t limit;    /* more entries than these: AUTH_DENIED, with ERR_LIMIT */
	bool missing_ok; /* no such base: nothing found, instead of AUTH_UNAVAILABLE */
};

/* Called for each entry, which is lent. */
typedef void (*dir_entry_fn)(void *arg, struct dir_conn *conn, struct ldapmsg *entry);

/*
 * A search, page by page (RFC 2696) where the server can. AUTH_ALLOWED: every entry has been
 * seen. AUTH_UNAVAILABLE: it has not, and nothing may be concluded from those that
 * were; ERR_UNAVAILABLE where that is the server's failure, not this search's. Strings that live during the call go into the arena.
 */
MUST_CHECK enum auth_result dir_search(struct dir_conn *conn, struct arena *arena,
    const struct dir_query *query, dir_entry_fn on_entry, void *arg, struct err *err);

/* In the arena; empty without one. */
MUST_CHECK struct str dir_first_value(struct dir_conn *conn, struct arena *arena,
    struct ldapmsg *entry, const char *name);
MUST_CHECK struct str dir_entry_dn(
    struct dir_conn *conn, struct arena *arena, struct ldapmsg *entry);

/* ASCII letters in lower case; what is binary as hexadecimal digits. In the arena. */
MUST_CHECK struct str dir_lower(struct arena *arena, struct str s);
MUST_CHECK struct str dir_hex(struct arena *arena, struct str bytes);
/* Appends a filter for the value that dir_hex told. */
void dir_add_binary(struct buf *filter, const char *attribute, struct str hex);

/*
 * Values of an attribute that may have very many. Active Directory gives those of a
 * large one in ranges ("member;range=0-1499"): *out_next is then where to go on, else 0.
 * More than `limit` values: *out_count is limit + 1.
 */
void dir_values(struct dir_conn *conn, struct arena *arena, struct ldapmsg *entry,
    const char *name, size_t limit, const struct str **out_values, size_t *out_count,
    size_t *out_next);
/* Reads the remaining ranges and appends them. Too many values: AUTH_DENIED, ERR_LIMIT; a
 * server that goes in circles: AUTH_UNAVAILABLE. */
MUST_CHECK enum auth_result dir_more_values(struct dir_conn *conn, struct arena *arena,
    struct str dn, const char *name, size_t limit, size_t next,
    const struct str **values, size_t *count, struct err *err);

/* "NAME;range=LOW-HIGH": where the next one starts, 0 after "*"; false if it is no range of
 * that attribute that starts at `low`, or it runs backwards. */
MUST_CHECK bool dir_parse_range(
    struct str attribute, struct str name, size_t low, size_t *out_next);

/* ---- directory_groups.c ---- */

/* What one round of look-ups has learnt of groups, so that each is asked about once. */
struct group_memo;
MUST_CHECK struct group_memo *group_memo_new(struct arena *arena);
void group_memo_fini(struct group_memo *memo); /* before its arena goes */

struct dir_user {
	struct str dn;
	struct str name; /* of the name attribute, as it is */
	struct str uid;
	const struct str *member_of; /* DNs, when configured */
	size_t member_of_count, member_of_next;
};

/*
 * The names of the user's groups as configured: by search, memberOf or tokenGroups, nested
 * upwards. Sorted, in the arena. AUTH_DENIED: more groups, deeper ones, or longer names than the
 * limits; never cut.
 */
MUST_CHECK enum auth_result dir_groups(struct dir_conn *conn, struct arena *arena,
    struct group_memo *memo, const struct dir_user *user, const struct str **out_groups,
    size_t *out_count, struct err *err);

#endif
