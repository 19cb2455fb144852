/*
 * One question to the directory: on the first server that answers, as the service, find the
 * user and its groups; for a login also bind as the user, on a connection that is good for
 * binding only.
 */
#include "authn/directory/directory.h"

#include <stdlib.h>
#include <string.h>

#include "authn/directory/directory_servers.h"
#include "authn/directory/directory_users.h"

#define QUICKLY_NS                                                                     \
	1000000000ull /* a failure that is a dead connection's, not the server's */

struct directory {
	const struct gate_ldap *ldap;
	const struct secret *bind_password;
	struct dir_servers *servers;
};

int
directory_new(const struct gate_ldap *ldap, const struct secret *bind_password,
    const char *ca_pem_path, struct directory **out_directory, struct err *err)
{
	struct directory *d = xcalloc(1, sizeof(*d));

	(void)err; /* nothing fails before a server is asked */
	d->ldap = ldap;
	d->bind_password = bind_password;
	d->servers = dir_servers_new(ldap, ca_pem_path);
	*out_directory = d;
	return 0;
}

void
directory_free(struct directory *d)
{
	if (d == NULL)
		return;
	dir_servers_free(d->servers);
	free(d);
}

void
directory_status(struct directory *d, struct buf *out, size_t *out_resting)
{
	dir_servers_status(d->servers, out, out_resting);
}

/* ---- templates ---- */

struct str
directory_fill(struct arena *arena, struct str template, struct str value)
{
	size_t at = 0;

	while (at + 1 < template.len && memcmp(template.ptr + at, "{}", 2) != 0)
		at++;
	return STR_CONCAT(arena, str_slice(template, 0, at), value,
	    str_slice(template, at + 2, template.len));
}

struct str
directory_filter(struct arena *arena, struct str filter, struct str value)
{
	struct buf out = {NULL, 0, 0};
	struct str result;

	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.ptr[i];

		/* RFC 4515 section 3; control and non-ASCII bytes as well, to be sure. */
		if (c == '*' || c == '(' || c == ')' || c == '\\' || c < 0x20 ||
		    c > 0x7e)
			buf_printf(&out, "\\%02x", c);
		else
			buf_add_char(&out, (char)c);
	}
	result = directory_fill(arena, filter, buf_str(&out));
	buf_free(&out);
	return result;
}

/* RFC 4514 2.4: what has a meaning in a DN, at the ends or anywhere. */
static void
add_dn_value(struct buf *out, struct str value)
{
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.ptr[i];

		if (c < 0x20 || c > 0x7e || strchr(" #\"+,;<>=\\", c) != NULL)
			buf_printf(out, "\\%02x", c);
		else
			buf_add_char(out, (char)c);
	}
}

struct str
directory_bind_name(struct arena *arena, struct str template, struct str value)
{
	const bool is_dn = str_find(template, '=', 0) < template.len;
	struct buf out = {NULL, 0, 0};
	struct str result;

	if (!is_dn) {
		for (size_t i = 0; i < value.len; i++) {
			unsigned char c = (unsigned char)value.ptr[i];

			/* Nothing that would make another name of the template. */
			if (c <= 0x20 || c == 0x7f ||
			    strchr("@\\/=,+\"<>;:", c) != NULL)
				return STR("");
		}
		return directory_fill(arena, template, value);
	}
	add_dn_value(&out, value);
	result = directory_fill(arena, template, buf_str(&out));
	buf_free(&out);
	return result;
}

/* ---- one attempt at one server ---- */

struct attempt {
	struct directory *directory;
	struct arena *arena;
	struct dir_server *server;
	uint64_t deadline_ns;
	bool reused; /* a connection that had waited */
	struct err *err;
	/* a login, or a look without a password */
	struct str user, password;
	struct directory_user *out;
	/* a check */
	const struct directory_account *accounts;
	size_t count;
	struct directory_verdict *verdicts;
};

typedef enum auth_result (*attempt_fn)(struct attempt *a);

/* A connection for searching, bound as the service. */
static enum auth_result
take_service(struct attempt *a, struct dir_conn **out_conn)
{
	const struct directory *d = a->directory;
	enum auth_result result;
	bool reused, clean;

	result = dir_server_take(d->servers, a->server, DIR_POOL_SEARCH, a->deadline_ns,
	    out_conn, &reused, a->err);
	a->reused = a->reused || reused;
	if (result != AUTH_ALLOWED || reused)
		return result;
	result = dir_bind(
	    *out_conn, d->ldap->bind_dn, secret_str(d->bind_password), &clean, a->err);
	/* Our own account being refused says nothing about the user. */
	if (result == AUTH_DENIED) {
		struct err why = *a->err;

		(void)err_set(a->err, ERR_UNAVAILABLE, "as the service: %s", why.msg);
		result = AUTH_UNAVAILABLE;
	}
	if (result != AUTH_ALLOWED) {
		dir_close(*out_conn);
		*out_conn = NULL;
	}
	return result;
}

/* One that failed is in an unknown state; any other can go on. */
static void
give_back(struct attempt *a, enum dir_pool pool, struct dir_conn *conn,
    enum auth_result result)
{
	if (conn != NULL && result != AUTH_UNAVAILABLE)
		dir_server_give(a->directory->servers, a->server, pool, conn);
	else
		dir_close(conn);
}

/* Binds as the user. The connection is then good for binding only, or, with `out_conn`, for
 * searching in the user's own name, and the caller's to close. */
static enum auth_result
bind_user(struct attempt *a, struct str name, struct dir_conn **out_conn)
{
	struct dir_conn *conn = NULL;
	enum auth_result result;
	bool reused, clean = false;

	result = dir_server_take(a->directory->servers, a->server, DIR_POOL_BIND,
	    a->deadline_ns, &conn, &reused, a->err);
	a->reused = a->reused || reused;
	if (result != AUTH_ALLOWED)
		return result;
	result = dir_bind(conn, name, a->password, &clean, a->err);
	if (out_conn != NULL && result == AUTH_ALLOWED)
		*out_conn = conn;
	else
		give_back(a, DIR_POOL_BIND, conn, clean ? result : AUTH_UNAVAILABLE);
	return result;
}

static enum auth_result
find_user(struct attempt *a, struct dir_conn *conn, struct str bound_dn,
    struct dir_found *found)
{
	const struct gate_ldap *l = a->directory->ldap;
	const bool own = bound_dn.len != 0;
	enum auth_result result = dir_find_user(conn, a->arena,
	    own ? bound_dn : l->user_base, own ? DIR_BASE : DIR_SUBTREE,
	    directory_filter(a->arena, l->user_filter, a->user), found, a->err);

	if (result != AUTH_ALLOWED)
		return result;
	a->out->uid = found->user.uid;
	a->out->dn = found->user.dn;
	if (dir_user_name(a->arena, found, &a->out->name))
		return AUTH_ALLOWED;
	(void)err_set(a->err, ERR_DENIED, "the entry's name may not be used here: %.*s",
	    STR_ARG(found->user.name));
	return AUTH_DENIED;
}

/* What follows once it is clear who it is. */
static enum auth_result
judge_user(struct attempt *a, struct dir_conn *conn, const struct dir_found *found)
{
	struct policy_memo *policies = policy_memo_new(a->arena);
	struct group_memo *memo = group_memo_new(a->arena);
	enum auth_result result =
	    dir_account_state(conn, a->arena, policies, found, a->err);

	if (result == AUTH_ALLOWED)
		result = dir_groups(conn, a->arena, memo, &found->user, &a->out->groups,
		    &a->out->group_count, a->err);
	group_memo_fini(memo);
	policy_memo_fini(policies);
	return result;
}

/* By the service: search, bind as what was found, and only then the groups. */
static enum auth_result
search_and_bind(struct attempt *a)
{
	const struct gate_ldap *l = a->directory->ldap;
	struct dir_conn *conn = NULL;
	struct dir_found found;
	struct str name;
	enum auth_result result = take_service(a, &conn);

	if (result == AUTH_ALLOWED)
		result = find_user(a, conn, STR(""), &found);
	if (result == AUTH_ALLOWED && a->password.len != 0) {
		name = l->user_bind_as.len != 0
			   ? directory_bind_name(a->arena, l->user_bind_as, a->user)
			   : found.user.dn;
		result = bind_user(a, name, NULL);
	}
	if (result == AUTH_ALLOWED)
		result = judge_user(a, conn, &found);
	give_back(a, DIR_POOL_SEARCH, conn, result);
	return result;
}

/* Without a service: bind first, and look oneself up. */
static enum auth_result
bind_and_search(struct attempt *a)
{
	const struct gate_ldap *l = a->directory->ldap;
	struct str name = directory_bind_name(a->arena, l->user_bind_as, a->user);
	const bool is_dn = str_find(l->user_bind_as, '=', 0) < l->user_bind_as.len;
	struct dir_conn *conn = NULL;
	struct dir_found found;
	enum auth_result result = bind_user(a, name, &conn);

	if (result == AUTH_ALLOWED)
		result = find_user(a, conn, is_dn ? name : STR(""), &found);
	if (result == AUTH_ALLOWED)
		result = judge_user(a, conn, &found);
	dir_close(conn);
	return result;
}

/* ---- over the servers ---- */

static enum auth_result
try_once(struct attempt *a, attempt_fn fn)
{
	const monotime_t begin = monotime_now();
	enum auth_result result;

	a->reused = false;
	result = fn(a);
	/* A connection that waited may have died unnoticed: that is no server's failure. */
	if (result == AUTH_UNAVAILABLE && a->reused &&
	    monotime_since(begin, monotime_now()) < QUICKLY_NS) {
		dir_server_flush(a->directory->servers, a->server);
		result = fn(a);
	}
	return result;
}

/* Each server gets a fair part of the time that is left, so that silent ones do not use it up. */
static enum auth_result
over_servers(struct attempt *a, unsigned timeout_ms, attempt_fn fn)
{
	struct dir_servers *servers = a->directory->servers;
	const uint64_t end_ns = monotime_now().ns + timeout_ms * 1000000ull;
	struct dir_server *list[SERVERS_TRIED_MAX];
	enum auth_result result = AUTH_UNAVAILABLE;
	size_t count;

	(void)err_set(a->err, ERR_UNAVAILABLE,
	    "every directory server is resting after a failure");
	count = dir_servers_list(servers, list, a->err);
	for (size_t i = 0; i < count && result == AUTH_UNAVAILABLE; i++) {
		const uint64_t now_ns = monotime_now().ns;

		if (now_ns >= end_ns)
			break;
		if (!dir_server_may_try(servers, list[i]))
			continue;
		a->server = list[i];
		a->deadline_ns = now_ns + (end_ns - now_ns) / (count - i);
		result = try_once(a, fn);
		dir_server_result(servers, list[i],
		    result == AUTH_UNAVAILABLE && a->err->code == ERR_UNAVAILABLE);
	}
	return result;
}

enum auth_result
directory_login(struct directory *d, struct arena *arena, struct str user,
    struct str password, unsigned timeout_ms, struct directory_user *out_user,
    struct err *err)
{
	struct attempt a = {.directory = d,
	    .arena = arena,
	    .err = err,
	    .user = user,
	    .password = password,
	    .out = out_user};

	if (user.len == 0 || password.len == 0 ||
	    memchr(password.ptr, '\0', password.len) != NULL ||
	    memchr(user.ptr, '\0', user.len) != NULL) {
		(void)err_set(err, ERR_DENIED, "an empty name or password");
		return AUTH_DENIED;
	}
	if (d->ldap->user_bind_as.len != 0 &&
	    directory_bind_name(arena, d->ldap->user_bind_as, user).len == 0) {
		(void)err_set(err, ERR_DENIED, "a name that cannot be one");
		return AUTH_DENIED;
	}
	return over_servers(&a, timeout_ms,
	    d->ldap->bind_dn.len != 0 ? search_and_bind : bind_and_search);
}

enum auth_result
directory_find(struct directory *d, struct arena *arena, struct str user,
    unsigned timeout_ms, struct directory_user *out_user, struct err *err)
{
	struct attempt a = {
	    .directory = d, .arena = arena, .err = err, .user = user, .out = out_user};

	if (d->ldap->bind_dn.len == 0) {
		(void)err_set(err, ERR_UNAVAILABLE, "no service account to look with");
		return AUTH_UNAVAILABLE;
	}
	return over_servers(&a, timeout_ms, search_and_bind);
}

/* ---- checks ---- */

struct check_round {
	struct attempt *attempt;
	struct dir_conn *conn;
	struct policy_memo *policies;
	struct group_memo *memo;
};

static void
refuse(struct attempt *a, struct directory_verdict *v, const char *why)
{
	v->result = AUTH_DENIED;
	v->problem = str_dup(a->arena, str_from(why));
}

static enum auth_result
check_one(struct check_round *round, size_t i, const struct dir_found *found)
{
	struct attempt *a = round->attempt;
	struct directory_verdict *v = &a->verdicts[i];
	enum auth_result result;

	v->tried = true;
	if (found == NULL) {
		refuse(a, v, "the account is gone");
		return AUTH_ALLOWED;
	}
	if (!dir_user_name(a->arena, found, &v->user.name) ||
	    !str_eq(v->user.name, a->accounts[i].name)) {
		refuse(a, v, "the account has another name");
		return AUTH_ALLOWED;
	}
	v->user.uid = found->user.uid;
	v->user.dn = found->user.dn;
	result =
	    dir_account_state(round->conn, a->arena, round->policies, found, a->err);
	if (result == AUTH_ALLOWED)
		result = dir_groups(round->conn, a->arena, round->memo, &found->user,
		    &v->user.groups, &v->user.group_count, a->err);
	if (result == AUTH_DENIED)
		refuse(a, v, a->err->msg);
	else
		v->result = result;
	return result == AUTH_UNAVAILABLE ? result : AUTH_ALLOWED;
}

static enum auth_result
check_accounts(struct attempt *a)
{
	struct dir_found *found[DIRECTORY_BATCH];
	struct check_round round = {.attempt = a,
	    .policies = policy_memo_new(a->arena),
	    .memo = group_memo_new(a->arena)};
	const uint64_t begin_ns = monotime_now().ns;
	/* Who needs long for each is slow, and not broken: it is not driven into its limit. */
	const uint64_t enough_ns = begin_ns + (a->deadline_ns - begin_ns) / 2;
	enum auth_result result = take_service(a, &round.conn);

	if (result == AUTH_ALLOWED)
		result = dir_find_accounts(
		    round.conn, a->arena, a->accounts, a->count, found, a->err);
	for (size_t i = 0; i < a->count && result == AUTH_ALLOWED; i++) {
		if (i != 0 && monotime_now().ns > enough_ns)
			break;
		result = check_one(&round, i, found[i]);
	}
	group_memo_fini(round.memo);
	policy_memo_fini(round.policies);
	give_back(a, DIR_POOL_SEARCH, round.conn, result);
	return result;
}

void
directory_check(struct directory *d, struct arena *arena,
    const struct directory_account *accounts, size_t count, unsigned timeout_ms,
    struct directory_verdict *out_verdicts, struct err *err)
{
	struct attempt a = {.directory = d,
	    .arena = arena,
	    .err = err,
	    .accounts = accounts,
	    .count = count < DIRECTORY_BATCH ? count : DIRECTORY_BATCH,
	    .verdicts = out_verdicts};

	for (size_t i = 0; i < count; i++)
		out_verdicts[i] =
		    (struct directory_verdict){.result = AUTH_UNAVAILABLE};
	if (d->ldap->bind_dn.len == 0)
		(void)err_set(err, ERR_UNAVAILABLE, "no service account to look with");
	else
		(void)over_servers(
		    &a, timeout_ms, check_accounts); /* in the verdicts */
}
