/*
 * One login: on the first server that answers, bind as the service, find the user, read its
 * groups; then, on a connection of its own, bind as the user. A connection is never
 * used again after a user's bind, and never shared between threads.
 */
#include "authn/directory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "authn/directory_ldap.h"

#define BREAKER_MIN_NS                                                                 \
	1000000000ull /* a server that failed is left alone so long ... */
#define BREAKER_MAX_NS 60000000000ull /* ... doubling up to this */

struct breaker {
	unsigned failures;
	monotime_t open_until;
};

struct directory {
	const struct gate_ldap *ldap;
	const struct secret *bind_password;
	const char *ca_path;
	struct str *urls; /* NUL-terminated copies */
	struct breaker *breakers;
	pthread_mutex_t lock; /* of breakers */
	struct arena *arena;
};

int
directory_new(const struct gate_ldap *ldap, const struct secret *bind_password,
    const char *ca_pem_path, struct directory **out_directory, struct err *err)
{
	struct arena *arena = arena_new();
	struct directory *d = ARENA_NEW(arena, struct directory);

	*out_directory = NULL;
	d->arena = arena;
	d->ldap = ldap;
	d->bind_password = bind_password;
	d->ca_path = ca_pem_path;
	d->urls = ARENA_ARRAY(arena, ldap->server_count, struct str);
	d->breakers = ARENA_ARRAY(arena, ldap->server_count, struct breaker);
	for (size_t i = 0; i < ldap->server_count; i++)
		d->urls[i] = str_dup(arena, ldap->servers[i]);
	if (pthread_mutex_init(&d->lock, NULL) != 0) {
		arena_free(arena);
		return err_set(err, ERR_SYSTEM, "cannot make a lock");
	}
	*out_directory = d;
	return 0;
}

void
directory_free(struct directory *d)
{
	if (d == NULL)
		return;
	(void)pthread_mutex_destroy(&d->lock); /* nobody holds it any more */
	arena_free(d->arena);
}

struct str
directory_filter(struct arena *arena, struct str filter, struct str value)
{
	struct buf out = {NULL, 0, 0};
	size_t at = 0;
	struct str result;

	while (at + 1 < filter.len &&
	       !(filter.ptr[at] == '{' && filter.ptr[at + 1] == '}'))
		at++;
	buf_add_str(&out, str_slice(filter, 0, at));
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.ptr[i];

		/* RFC 4515 section 3; control and non-ASCII bytes as well, to be sure. */
		if (c == '*' || c == '(' || c == ')' || c == '\\' || c < 0x20 ||
		    c > 0x7e)
			buf_printf(&out, "\\%02x", c);
		else
			buf_add_char(&out, (char)c);
	}
	buf_add_str(&out, str_slice(filter, at + 2, filter.len));
	result = str_dup(arena, buf_str(&out));
	buf_free(&out);
	return result;
}

/* ---- circuit breakers ---- */

static bool
server_open(struct directory *d, size_t i, monotime_t now)
{
	bool open;

	(void)pthread_mutex_lock(&d->lock);
	open = d->breakers[i].open_until.ns > now.ns;
	(void)pthread_mutex_unlock(&d->lock);
	return open;
}

static void
server_result(struct directory *d, size_t i, bool failed)
{
	struct breaker *b = &d->breakers[i];
	uint64_t pause_ns = BREAKER_MIN_NS;

	(void)pthread_mutex_lock(&d->lock);
	if (!failed) {
		*b = (struct breaker){0};
	} else {
		for (unsigned n = 0; n < b->failures && pause_ns < BREAKER_MAX_NS; n++)
			pause_ns *= 2;
		b->failures++;
		b->open_until.ns =
		    monotime_now().ns +
		    (pause_ns < BREAKER_MAX_NS ? pause_ns : BREAKER_MAX_NS);
	}
	(void)pthread_mutex_unlock(&d->lock);
}

/* ---- one server ---- */

struct attempt {
	struct directory *directory;
	struct arena *arena;
	struct dir_target target;
	struct str user, password;
	struct directory_user *out;
	struct err *err;
};

/* The name that everybody will know the user by: from the entry, lower-cased. */
static bool
read_name(struct attempt *a, const struct dir_entry *entry)
{
	char *name;

	if (entry->name.len == 0)
		return false;
	name = arena_strndup(a->arena, entry->name.ptr, entry->name.len);
	for (size_t i = 0; i < entry->name.len; i++) {
		if (name[i] >= 'A' && name[i] <= 'Z')
			name[i] = (char)(name[i] | 0x20);
	}
	a->out->name = (struct str){name, entry->name.len};
	a->out->uid = entry->uid;
	a->out->dn = entry->dn;
	return identity_user_ok(a->out->name);
}

static enum auth_result
find_user(struct attempt *a, struct dir_conn *conn, struct dir_entry *out_entry)
{
	const struct gate_ldap *l = a->directory->ldap;
	struct str filter = directory_filter(a->arena, l->user_filter, a->user);
	size_t count = 0;
	enum auth_result result;

	result = dir_find_user(conn, a->arena, filter, out_entry, &count, a->err);
	if (result != AUTH_ALLOWED)
		return result;
	if (count != 1) {
		(void)err_set(a->err, ERR_DENIED,
		    count == 0 ? "no such user" : "several entries match");
		return AUTH_DENIED;
	}
	if (!read_name(a, out_entry)) {
		(void)err_set(a->err, ERR_DENIED,
		    "the entry's name may not be used here: %.*s",
		    STR_ARG(out_entry->name));
		return AUTH_DENIED;
	}
	return AUTH_ALLOWED;
}

static enum auth_result
try_server(struct attempt *a)
{
	const struct gate_ldap *l = a->directory->ldap;
	struct dir_conn *conn = NULL;
	struct dir_entry entry = {.dn = {NULL, 0}};
	enum auth_result result;

	result = dir_connect(&a->target, &conn, a->err);
	if (result == AUTH_ALLOWED)
		result = dir_bind(
		    conn, l->bind_dn, secret_str(a->directory->bind_password), a->err);
	/* Our own account being refused says nothing about the user. */
	if (result == AUTH_DENIED)
		result = AUTH_UNAVAILABLE;
	if (result == AUTH_ALLOWED)
		result = find_user(a, conn, &entry);
	if (result == AUTH_ALLOWED)
		result = dir_groups(conn, a->arena, &entry, &a->out->groups,
		    &a->out->group_count, a->err);
	dir_close(conn);
	conn = NULL;
	if (result == AUTH_ALLOWED)
		result = dir_connect(&a->target, &conn, a->err);
	if (result == AUTH_ALLOWED)
		result = dir_bind(conn, entry.dn, a->password, a->err);
	dir_close(conn);
	return result;
}

enum auth_result
directory_login(struct directory *d, struct arena *arena, struct str user,
    struct str password, unsigned timeout_ms, struct directory_user *out_user,
    struct err *err)
{
	const monotime_t start = monotime_now();
	const uint64_t deadline_ns = start.ns + timeout_ms * 1000000ull;
	enum auth_result result = AUTH_UNAVAILABLE;

	if (user.len == 0 || password.len == 0 ||
	    memchr(password.ptr, '\0', password.len) != NULL) {
		(void)err_set(err, ERR_DENIED, "an empty name or password");
		return AUTH_DENIED;
	}
	(void)err_set(
	    err, ERR_UNAVAILABLE, "every directory server is resting after a failure");
	for (size_t i = 0; i < d->ldap->server_count; i++) {
		struct attempt a = {d, arena, {0}, user, password, out_user, err};

		a.target = (struct dir_target){.ldap = d->ldap,
		    .url = d->urls[i].ptr,
		    .ca_path = d->ca_path,
		    .deadline_ns = deadline_ns};
		if (server_open(d, i, monotime_now()))
			continue;
		if (monotime_now().ns >= deadline_ns)
			break;
		result = try_server(&a);
		server_result(d, i, result == AUTH_UNAVAILABLE);
		if (result != AUTH_UNAVAILABLE)
			break;
	}
	return result;
}
