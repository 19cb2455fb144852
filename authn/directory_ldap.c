#include "authn/directory_ldap.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/time.h>

#include <ldap.h>

#define SEARCH_MAX   2000 /* groups one search may give */
#define GROUPS_MAX   1024 /* of one user, nested ones included */
#define NESTED_DEPTH 16
#define GROUPS_BYTES (48u * 1024) /* what a request to the API server can carry */

struct dir_conn {
	LDAP *ld;
	const struct dir_target *target;
};

static uint64_t
left_ns(const struct dir_target *t)
{
	uint64_t now = monotime_now().ns;

	return now < t->deadline_ns ? t->deadline_ns - now : 0;
}

/* The time for one operation: its own limit, or what is left of the whole. */
static struct timeval
operation_time(const struct dir_target *t)
{
	uint64_t ns = left_ns(t);
	uint64_t limit = t->ldap->timeout_ms * 1000000ull;
	struct timeval tv;

	if (ns > limit)
		ns = limit;
	if (ns < 1000000)
		ns = 1000000; /* libldap takes zero for "poll" */
	tv.tv_sec = (time_t)(ns / 1000000000);
	tv.tv_usec = (suseconds_t)(ns % 1000000000 / 1000);
	return tv;
}

/* ---- results ---- */

/* Codes by which a server says "no" about credentials; everything else that is no success
 * is a server that cannot answer. */
static enum auth_result
result_of(int code)
{
	switch (code) {
	case LDAP_SUCCESS:
		return AUTH_ALLOWED;
	case LDAP_INVALID_CREDENTIALS:
	case LDAP_INAPPROPRIATE_AUTH:
	case LDAP_NO_SUCH_OBJECT:
	case LDAP_CONSTRAINT_VIOLATION:
	case LDAP_INSUFFICIENT_ACCESS:
	case LDAP_UNWILLING_TO_PERFORM:
	case LDAP_INVALID_DN_SYNTAX:
	case LDAP_REFERRAL:
	case LDAP_SASL_BIND_IN_PROGRESS:
	case LDAP_STRONG_AUTH_REQUIRED:
		return AUTH_DENIED;
	default:
		return AUTH_UNAVAILABLE;
	}
}

static enum auth_result
fail(struct dir_conn *c, int code, const char *what, struct err *err)
{
	enum auth_result result = result_of(code);

	(void)err_set(err, result == AUTH_DENIED ? ERR_DENIED : ERR_UNAVAILABLE,
	    "%s: %s: %s", c->target->url, what, ldap_err2string(code));
	return result;
}

/* ---- connecting ---- */

static int
set_tls(LDAP *ld, const struct dir_target *t)
{
	int demand = LDAP_OPT_X_TLS_DEMAND;
	int minimum = LDAP_OPT_X_TLS_PROTOCOL_TLS1_2;
	int zero = 0;
	int rc = ldap_set_option(ld, LDAP_OPT_X_TLS_REQUIRE_CERT, &demand);

	if (rc == LDAP_OPT_SUCCESS)
		rc = ldap_set_option(ld, LDAP_OPT_X_TLS_PROTOCOL_MIN, &minimum);
	if (rc == LDAP_OPT_SUCCESS && t->ca_path != NULL)
		rc = ldap_set_option(ld, LDAP_OPT_X_TLS_CACERTFILE, t->ca_path);
	/* Makes the options above take effect: must be the last. */
	if (rc == LDAP_OPT_SUCCESS)
		rc = ldap_set_option(ld, LDAP_OPT_X_TLS_NEWCTX, &zero);
	return rc;
}

static int
set_options(LDAP *ld, const struct dir_target *t)
{
	const struct timeval time = operation_time(t);
	const int version = LDAP_VERSION3;
	const int sizelimit = SEARCH_MAX;
	const int deref = LDAP_DEREF_NEVER;
	const struct {
		int option;
		const void *value;
	} options[] = {
	    {LDAP_OPT_PROTOCOL_VERSION, &version},
	    {LDAP_OPT_REFERRALS, LDAP_OPT_OFF},
	    {LDAP_OPT_NETWORK_TIMEOUT, &time},
	    {LDAP_OPT_TIMEOUT, &time},
	    /* Without it the time limit does not hold during a TLS handshake. */
	    {LDAP_OPT_CONNECT_ASYNC, LDAP_OPT_ON},
	    {LDAP_OPT_SIZELIMIT, &sizelimit},
	    {LDAP_OPT_DEREF, &deref},
	};

	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		int rc = ldap_set_option(ld, options[i].option, options[i].value);

		if (rc != LDAP_OPT_SUCCESS)
			return rc;
	}
	return set_tls(ld, t);
}

/* Waits until a connection in progress can be written to, or the time is over. */
static bool
wait_connected(struct dir_conn *c)
{
	struct pollfd p = {.fd = -1, .events = POLLOUT};
	uint64_t ms = left_ns(c->target) / 1000000;

	if (ms == 0 ||
	    ldap_get_option(c->ld, LDAP_OPT_DESC, &p.fd) != LDAP_OPT_SUCCESS ||
	    p.fd < 0)
		return false;
	if (ms > c->target->ldap->timeout_ms)
		ms = c->target->ldap->timeout_ms;
	return poll(&p, 1, (int)ms) == 1;
}

enum auth_result
dir_connect(
    const struct dir_target *target, struct dir_conn **out_conn, struct err *err)
{
	struct dir_conn *c = xcalloc(1, sizeof(*c));
	enum auth_result result = AUTH_ALLOWED;
	int code;

	c->target = target;
	*out_conn = c;
	code = ldap_initialize(&c->ld, target->url);
	if (code == LDAP_SUCCESS)
		code = set_options(c->ld, target);
	if (code != LDAP_SUCCESS) {
		result = fail(c, code, "initialise", err);
	} else if (target->ldap->start_tls && strncmp(target->url, "ldap://", 7) == 0) {
		do {
			code = ldap_start_tls_s(c->ld, NULL, NULL);
		} while (code == LDAP_X_CONNECTING && wait_connected(c));
		if (code != LDAP_SUCCESS) /* never go on in clear text */
			result = fail(c, code, "StartTLS", err);
	}
	/* A server with which no TLS can be had has not said no. */
	if (result != AUTH_ALLOWED) {
		dir_close(c);
		*out_conn = NULL;
		result = AUTH_UNAVAILABLE;
	}
	return result;
}

void
dir_close(struct dir_conn *c)
{
	if (c == NULL)
		return;
	if (c->ld != NULL)
		(void)ldap_unbind_ext_s(
		    c->ld, NULL, NULL); /* it is freed in any case */
	free(c);
}

/* ---- binding ---- */

/* What the password policy control says, if the server sent one (draft-behera). */
static const char *
policy_problem(LDAP *ld, LDAPControl **controls)
{
	LDAPControl *control =
	    ldap_control_find(LDAP_CONTROL_PASSWORDPOLICYRESPONSE, controls, NULL);
	LDAPPasswordPolicyError error = PP_noError;
	ber_int_t expire = -1, grace = -1;

	if (control == NULL || ldap_parse_passwordpolicy_control(ld, control, &expire,
				   &grace, &error) != LDAP_SUCCESS)
		return NULL;
	if (error == PP_passwordExpired)
		return "the password has expired";
	if (error == PP_accountLocked)
		return "the account is locked";
	if (error == PP_changeAfterReset)
		return "the password must be changed";
	return NULL; /* the others are about changing it */
}

static enum auth_result
bind_result(struct dir_conn *c, int id, struct err *err)
{
	struct timeval time = operation_time(c->target);
	LDAPControl **controls = NULL;
	LDAPMessage *message = NULL;
	const char *problem;
	enum auth_result result;
	int code = LDAP_OTHER;
	int type = ldap_result(c->ld, id, LDAP_MSG_ALL, &time, &message);

	if (type <= 0) {
		(void)ldap_msgfree(message); /* NULL */
		return fail(
		    c, type == 0 ? LDAP_TIMEOUT : LDAP_SERVER_DOWN, "bind", err);
	}
	if (type != LDAP_RES_BIND) {
		(void)ldap_msgfree(message); /* its type is of no interest */
		return fail(c, LDAP_PROTOCOL_ERROR, "bind", err);
	}
	if (ldap_parse_result(c->ld, message, &code, NULL, NULL, NULL, &controls, 1) !=
	    LDAP_SUCCESS)
		return fail(c, LDAP_DECODING_ERROR, "bind", err);
	result = code == LDAP_SUCCESS ? AUTH_ALLOWED : fail(c, code, "bind", err);
	problem = policy_problem(c->ld, controls);
	if (problem != NULL && result != AUTH_UNAVAILABLE) {
		(void)err_set(err, ERR_DENIED, "%s: %s", c->target->url, problem);
		result = AUTH_DENIED;
	}
	ldap_controls_free(controls);
	return result;
}

enum auth_result
dir_bind(struct dir_conn *c, struct str dn, struct str password, struct err *err)
{
	char policy_oid[] = LDAP_CONTROL_PASSWORDPOLICYREQUEST;
	LDAPControl policy = {.ldctl_oid = policy_oid};
	LDAPControl *controls[] = {&policy, NULL};
	struct berval secret = {
	    .bv_len = password.len, .bv_val = (char *)(uintptr_t)password.ptr};
	char *name;
	int id = -1;
	int code;

	if (dn.len == 0 || password.len == 0) { /* would be anonymous, and succeed */
		(void)err_set(err, ERR_DENIED, "an empty name or password");
		return AUTH_DENIED;
	}
	name = xmalloc(dn.len + 1);
	memcpy(name, dn.ptr, dn.len);
	name[dn.len] = '\0';
	do {
		code = ldap_sasl_bind(
		    c->ld, name, LDAP_SASL_SIMPLE, &secret, controls, NULL, &id);
	} while (code == LDAP_X_CONNECTING && wait_connected(c));
	free(name);
	if (code != LDAP_SUCCESS) {
		(void)fail(c, code, "bind", err);
		return AUTH_UNAVAILABLE; /* nothing has been answered yet */
	}
	return bind_result(c, id, err);
}

/* ---- searching ---- */

static const char *
text(struct arena *arena, struct str s)
{
	return arena_strndup(arena, s.ptr, s.len);
}

/* One search; the caller frees *out_message. Nothing below the base is "nothing found". */
static enum auth_result
search(struct dir_conn *c, const char *base, int scope, const char *filter,
    const char *const *attributes, int limit, LDAPMessage **out_message,
    struct err *err)
{
	struct timeval time = operation_time(c->target);
	char **attrs = (char **)(uintptr_t)attributes;
	int code = ldap_search_ext_s(c->ld, base, scope, filter, attrs, 0, NULL, NULL,
	    &time, limit, out_message);

	if (code == LDAP_SUCCESS || code == LDAP_SIZELIMIT_EXCEEDED ||
	    code == LDAP_NO_SUCH_OBJECT)
		return AUTH_ALLOWED;
	(void)fail(c, code, "search", err);
	return AUTH_UNAVAILABLE; /* a search that fails says nothing about the user */
}

/* The first value of an attribute, in the arena; empty without one. */
static struct str
first_value(
    struct dir_conn *c, struct arena *arena, LDAPMessage *entry, const char *name)
{
	struct berval **values = ldap_get_values_len(c->ld, entry, name);
	struct str out = {NULL, 0};

	if (values != NULL && values[0] != NULL)
		out =
		    str_dup(arena, (struct str){values[0]->bv_val, values[0]->bv_len});
	ldap_value_free_len(values);
	return out;
}

static void
all_values(struct dir_conn *c, struct arena *arena, LDAPMessage *entry,
    const char *name, const struct str **out_values, size_t *out_count)
{
	struct berval **values = ldap_get_values_len(c->ld, entry, name);
	size_t count = values != NULL ? (size_t)ldap_count_values_len(values) : 0;
	struct str *all;

	if (count > GROUPS_MAX)
		count = GROUPS_MAX + 1; /* over the limit: refused later, not cut */
	all = ARENA_ARRAY(arena, count, struct str);
	for (size_t i = 0; i < count; i++)
		all[i] =
		    str_dup(arena, (struct str){values[i]->bv_val, values[i]->bv_len});
	*out_values = all;
	*out_count = count;
	ldap_value_free_len(values);
}

static struct str
entry_dn(struct dir_conn *c, struct arena *arena, LDAPMessage *entry)
{
	char *dn = ldap_get_dn(c->ld, entry);
	struct str out = {NULL, 0};

	if (dn != NULL)
		out = str_dup(arena, str_from(dn));
	ldap_memfree(dn);
	return out;
}

/* Active Directory's objectGUID is binary: told as hexadecimal digits. */
static struct str
entry_uid(struct dir_conn *c, struct arena *arena, LDAPMessage *entry)
{
	struct str uid = first_value(c, arena, entry, "entryUUID");
	struct buf hex = {NULL, 0, 0};
	struct str out;

	if (uid.len != 0)
		return uid;
	uid = first_value(c, arena, entry, "objectGUID");
	for (size_t i = 0; i < uid.len; i++)
		buf_printf(&hex, "%02x", (unsigned char)uid.ptr[i]);
	out = str_dup(arena, buf_str(&hex));
	buf_free(&hex);
	return out;
}

enum auth_result
dir_find_user(struct dir_conn *c, struct arena *arena, struct str filter,
    struct dir_entry *out_entry, size_t *out_count, struct err *err)
{
	const struct gate_ldap *l = c->target->ldap;
	const char *name = text(arena, l->user_name_attr);
	const char *member_of = text(arena, l->group_member_of);
	const char *const attributes[] = {name, "entryUUID", "objectGUID",
	    l->group_member_of.len != 0 ? member_of : NULL, NULL};
	LDAPMessage *message = NULL, *entry;
	enum auth_result result = search(c, text(arena, l->user_base),
	    LDAP_SCOPE_SUBTREE, text(arena, filter), attributes, 2, &message, err);
	int found = result == AUTH_ALLOWED ? ldap_count_entries(c->ld, message) : 0;

	*out_count = found > 0 ? (size_t)found : 0;
	entry = found == 1 ? ldap_first_entry(c->ld, message) : NULL;
	if (entry != NULL) {
		out_entry->dn = entry_dn(c, arena, entry);
		out_entry->name = first_value(c, arena, entry, name);
		out_entry->uid = entry_uid(c, arena, entry);
		if (l->group_member_of.len != 0)
			all_values(c, arena, entry, member_of, &out_entry->member_of,
			    &out_entry->member_of_count);
	}
	(void)ldap_msgfree(message); /* its type is of no interest */
	return result;
}

/* ---- groups ---- */

struct found_group {
	struct str dn;
	struct str name;
};

struct group_walk {
	struct dir_conn *conn;
	struct arena *arena;
	struct found_group *groups;
	size_t count;
	bool too_many;
};

static bool
walk_add(struct group_walk *w, struct str dn, struct str name)
{
	for (size_t i = 0; i < w->count; i++) {
		if (w->groups[i].dn.len == dn.len &&
		    strncasecmp(w->groups[i].dn.ptr, dn.ptr, dn.len) == 0)
			return false; /* met already: cycles end here */
	}
	if (w->count == GROUPS_MAX) {
		w->too_many = true;
		return false;
	}
	w->groups[w->count++] = (struct found_group){dn, name};
	return true;
}

static void
walk_add_entries(struct group_walk *w, LDAPMessage *message)
{
	const char *name = text(w->arena, w->conn->target->ldap->group_name_attr);
	LDAP *ld = w->conn->ld;

	for (LDAPMessage *e = ldap_first_entry(ld, message); e != NULL;
	     e = ldap_next_entry(ld, e))
		(void)walk_add(w, entry_dn(w->conn, w->arena, e),
		    first_value(w->conn, w->arena, e, name));
}

/* The groups that have `dn` as a member. */
static enum auth_result
search_groups(struct group_walk *w, struct str dn, struct err *err)
{
	const struct gate_ldap *l = w->conn->target->ldap;
	const char *name = text(w->arena, l->group_name_attr);
	const char *const attributes[] = {name, NULL};
	struct str filter = l->group_filter;
	LDAPMessage *message = NULL;
	enum auth_result result;

	if (l->nested == LDAP_NESTED_AD) /* LDAP_MATCHING_RULE_IN_CHAIN */
		filter = STR("(member:1.2.840.113556.1.4.1941:={})");
	filter = directory_filter(w->arena, filter, dn);
	result = search(w->conn, text(w->arena, l->group_base), LDAP_SCOPE_SUBTREE,
	    text(w->arena, filter), attributes, SEARCH_MAX, &message, err);
	if (result == AUTH_ALLOWED)
		walk_add_entries(w, message);
	(void)ldap_msgfree(message); /* its type is of no interest */
	return result;
}

/* memberOf gives DNs; the names are read from the groups' entries. */
static enum auth_result
read_member_of(struct group_walk *w, const struct dir_entry *entry, struct err *err)
{
	const char *name = text(w->arena, w->conn->target->ldap->group_name_attr);
	const char *const attributes[] = {name, NULL};
	enum auth_result result = AUTH_ALLOWED;

	if (entry->member_of_count > GROUPS_MAX)
		w->too_many = true;
	for (size_t i = 0;
	     i < entry->member_of_count && !w->too_many && result == AUTH_ALLOWED;
	     i++) {
		LDAPMessage *message = NULL;

		result = search(w->conn, text(w->arena, entry->member_of[i]),
		    LDAP_SCOPE_BASE, "(objectClass=*)", attributes, 1, &message, err);
		if (result == AUTH_ALLOWED)
			walk_add_entries(w, message);
		(void)ldap_msgfree(message); /* its type is of no interest */
	}
	return result;
}

/* Upwards, level by level; each group is asked about once. */
static enum auth_result
walk_up(struct group_walk *w, struct err *err)
{
	enum auth_result result = AUTH_ALLOWED;
	size_t done = 0;

	for (unsigned depth = 0; depth < NESTED_DEPTH && result == AUTH_ALLOWED;
	     depth++) {
		size_t level_end = w->count;

		if (done == level_end)
			break;
		while (done < level_end && result == AUTH_ALLOWED && !w->too_many)
			result = search_groups(w, w->groups[done++].dn, err);
	}
	return result;
}

static int
compare_str(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* Names that may not be asserted are left out: a group grants, it never takes away. */
static void
sorted_names(
    const struct group_walk *w, const struct str **out_groups, size_t *out_count)
{
	struct str *names = ARENA_ARRAY(w->arena, w->count, struct str);
	size_t count = 0, unique = 0;

	for (size_t i = 0; i < w->count; i++) {
		if (identity_group_ok(w->groups[i].name))
			names[count++] = w->groups[i].name;
	}
	if (count != 0)
		qsort(names, count, sizeof(*names), compare_str);
	for (size_t i = 0; i < count; i++) {
		if (unique == 0 || !str_eq(names[unique - 1], names[i]))
			names[unique++] = names[i];
	}
	*out_groups = names;
	*out_count = unique;
}

enum auth_result
dir_groups(struct dir_conn *c, struct arena *arena, const struct dir_entry *entry,
    const struct str **out_groups, size_t *out_count, struct err *err)
{
	struct group_walk w = {.conn = c, .arena = arena};
	const struct gate_ldap *l = c->target->ldap;
	enum auth_result result;
	size_t bytes = 0;

	w.groups = ARENA_ARRAY(arena, GROUPS_MAX, struct found_group);
	if (l->group_member_of.len != 0)
		result = read_member_of(&w, entry, err);
	else
		result = search_groups(&w, entry->dn, err);
	if (result == AUTH_ALLOWED && l->nested == LDAP_NESTED_WALK)
		result = walk_up(&w, err);
	if (result == AUTH_ALLOWED && w.too_many) {
		(void)err_set(
		    err, ERR_LIMIT, "the user is in more than %d groups", GROUPS_MAX);
		return AUTH_DENIED;
	}
	sorted_names(&w, out_groups, out_count);
	for (size_t i = 0; i < *out_count; i++)
		bytes += (*out_groups)[i].len;
	if (result == AUTH_ALLOWED && bytes > GROUPS_BYTES) {
		(void)err_set(err, ERR_LIMIT,
		    "the names of the user's groups have more than %u bytes",
		    GROUPS_BYTES);
		return AUTH_DENIED;
	}
	return result;
}
