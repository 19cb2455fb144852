#include "authn/directory/directory_ldap.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "authn/directory/directory_account.h"
#include "authn/directory/directory_wire.h"

#define MESSAGE_BYTES (16u * 1024 * 1024) /* one message from a server */

struct dir_conn {
	LDAP *ld;
	const struct dir_target target;
	uint64_t deadline_ns;
};

const struct gate_ldap *
dir_config(const struct dir_conn *c)
{
	return c->target.ldap;
}

LDAP *
dir_handle(const struct dir_conn *c)
{
	return c->ld;
}

const char *
dir_url(const struct dir_conn *c)
{
	return c->target.url;
}

static uint64_t
left_ns(const struct dir_conn *c)
{
	uint64_t now = monotime_now().ns;

	return now < c->deadline_ns ? c->deadline_ns - now : 0;
}

bool
dir_late(const struct dir_conn *c)
{
	return left_ns(c) == 0;
}

/* The time for one operation: its own limit, or what is left of the whole. */
struct timeval
dir_time(const struct dir_conn *c)
{
	uint64_t ns = left_ns(c);
	uint64_t limit = c->target.ldap->timeout_ms * 1000000ull;
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

enum auth_result
dir_fail(struct dir_conn *c, int code, const char *what, struct err *err)
{
	enum auth_result result = result_of(code);

	(void)err_set(err, result == AUTH_DENIED ? ERR_DENIED : ERR_UNAVAILABLE,
	    "%s: %s: %s", c->target.url, what, ldap_err2string(code));
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
set_times(struct dir_conn *c)
{
	const struct timeval time = dir_time(c);
	int rc = ldap_set_option(c->ld, LDAP_OPT_NETWORK_TIMEOUT, &time);

	return rc == LDAP_OPT_SUCCESS ? ldap_set_option(c->ld, LDAP_OPT_TIMEOUT, &time)
				      : rc;
}

/* What a server may make this process hold at once. */
static bool
limit_messages(LDAP *ld)
{
	ber_len_t max = MESSAGE_BYTES;
	Sockbuf *sb = NULL;

	return ldap_get_option(ld, LDAP_OPT_SOCKBUF, &sb) == LDAP_OPT_SUCCESS &&
	       sb != NULL &&
	       ber_sockbuf_ctrl(sb, LBER_SB_OPT_SET_MAX_INCOMING, &max) == 1;
}

static int
set_options(struct dir_conn *c)
{
	static const int version = LDAP_VERSION3, deref = LDAP_DEREF_NEVER;
	static const int idle_s = 30, probes = 3, interval_s = 10;
	const unsigned unacknowledged_ms = c->target.ldap->timeout_ms;
	const struct {
		int option;
		const void *value;
	} options[] = {
	    {LDAP_OPT_PROTOCOL_VERSION, &version},
	    {LDAP_OPT_REFERRALS, LDAP_OPT_OFF},
	    /* Without it the time limit does not hold during a TLS handshake. */
	    {LDAP_OPT_CONNECT_ASYNC, LDAP_OPT_ON},
	    {LDAP_OPT_DEREF, &deref},
	    {LDAP_OPT_X_KEEPALIVE_IDLE, &idle_s},
	    {LDAP_OPT_X_KEEPALIVE_PROBES, &probes},
	    {LDAP_OPT_X_KEEPALIVE_INTERVAL, &interval_s},
	    {LDAP_OPT_TCP_USER_TIMEOUT, &unacknowledged_ms},
	};
	int rc = set_times(c);

	for (size_t i = 0; i < ARRAY_LEN(options) && rc == LDAP_OPT_SUCCESS; i++)
		rc = ldap_set_option(c->ld, options[i].option, options[i].value);
	if (rc == LDAP_OPT_SUCCESS && !limit_messages(c->ld))
		rc = LDAP_OPT_ERROR;
	return rc == LDAP_OPT_SUCCESS ? set_tls(c->ld, &c->target) : rc;
}

/* Waits until a connection in progress can be written to, or the time is over. */
static bool
wait_connected(struct dir_conn *c)
{
	struct pollfd p = {.fd = -1, .events = POLLOUT};
	uint64_t ms = left_ns(c) / 1000000;

	if (ms == 0 ||
	    ldap_get_option(c->ld, LDAP_OPT_DESC, &p.fd) != LDAP_OPT_SUCCESS ||
	    p.fd < 0)
		return false;
	if (ms > c->target.ldap->timeout_ms)
		ms = c->target.ldap->timeout_ms;
	return poll(&p, 1, (int)ms) == 1;
}

enum auth_result
dir_connect(const struct dir_target *target, uint64_t deadline_ns,
    struct dir_conn **out_conn, struct err *err)
{
	const struct dir_conn made = {.target = *target, .deadline_ns = deadline_ns};
	struct dir_conn *c = xmalloc(sizeof(*c));
	enum auth_result result = AUTH_ALLOWED;
	int code;

	memcpy(c, &made, sizeof(*c));
	*out_conn = c;
	code = ldap_initialize(&c->ld, target->url);
	if (code == LDAP_SUCCESS)
		code = set_options(c);
	if (code != LDAP_SUCCESS) {
		result = dir_fail(c, code, "initialise", err);
	} else if (target->ldap->start_tls && strncmp(target->url, "ldap://", 7) == 0) {
		do {
			code = ldap_start_tls_s(c->ld, NULL, NULL);
		} while (code == LDAP_X_CONNECTING && wait_connected(c));
		if (code != LDAP_SUCCESS) /* never go on in clear text */
			result = dir_fail(c, code, "StartTLS", err);
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

void
dir_set_deadline(struct dir_conn *c, uint64_t deadline_ns)
{
	c->deadline_ns = deadline_ns;
	(void)set_times(c); /* cannot fail: these options take any time */
}

bool
dir_idle_ok(struct dir_conn *c)
{
	struct pollfd p = {.fd = -1, .events = POLLIN};

	return ldap_get_option(c->ld, LDAP_OPT_DESC, &p.fd) == LDAP_OPT_SUCCESS &&
	       p.fd >= 0 && poll(&p, 1, 0) == 0;
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

/* The server's own words say more than the code; they are for the log alone. */
static const char *
bind_detail(LDAP *ld, LDAPControl **controls, const char *diagnostic)
{
	const char *problem = policy_problem(ld, controls);

	return problem != NULL ? problem : account_bind_problem(str_from(diagnostic));
}

static enum auth_result
bind_result(struct dir_conn *c, int id, bool *out_clean, struct err *err)
{
	struct timeval time = dir_time(c);
	LDAPControl **controls = NULL;
	LDAPMessage *message = NULL;
	char *diagnostic = NULL;
	const char *problem;
	enum auth_result result;
	int code = LDAP_OTHER;
	int type = ldap_result(c->ld, id, LDAP_MSG_ALL, &time, &message);

	if (type <= 0) {
		(void)ldap_msgfree(message); /* NULL */
		return dir_fail(
		    c, type == 0 ? LDAP_TIMEOUT : LDAP_SERVER_DOWN, "bind", err);
	}
	if (type != LDAP_RES_BIND) {
		(void)ldap_msgfree(message); /* its type is of no interest */
		return dir_fail(c, LDAP_PROTOCOL_ERROR, "bind", err);
	}
	if (ldap_parse_result(c->ld, message, &code, NULL, &diagnostic, NULL, &controls,
		1) != LDAP_SUCCESS)
		return dir_fail(c, LDAP_DECODING_ERROR, "bind", err);
	result = code == LDAP_SUCCESS ? AUTH_ALLOWED : dir_fail(c, code, "bind", err);
	problem = bind_detail(c->ld, controls, diagnostic);
	if (problem != NULL && result != AUTH_UNAVAILABLE) {
		(void)err_set(err, ERR_DENIED, "%s: %s", c->target.url, problem);
		result = AUTH_DENIED;
	}
	/* Where a policy has a word to say, servers restrict what follows. */
	*out_clean = problem == NULL &&
		     (code == LDAP_SUCCESS || code == LDAP_INVALID_CREDENTIALS);
	ldap_memfree(diagnostic);
	ldap_controls_free(controls);
	return result;
}

enum auth_result
dir_bind(struct dir_conn *c, struct str name, struct str password, bool *out_clean,
    struct err *err)
{
	char policy_oid[] = LDAP_CONTROL_PASSWORDPOLICYREQUEST;
	LDAPControl policy = {.ldctl_oid = policy_oid};
	LDAPControl *controls[] = {&policy, NULL};
	struct berval secret = {
	    .bv_len = password.len, .bv_val = (char *)(uintptr_t)password.ptr};
	char *text;
	int id = -1;
	int code;

	*out_clean = false;
	if (name.len == 0 || password.len == 0) { /* would be anonymous, and succeed */
		(void)err_set(err, ERR_DENIED, "an empty name or password");
		return AUTH_DENIED;
	}
	text = xmalloc(name.len + 1);
	memcpy(text, name.ptr, name.len);
	text[name.len] = '\0';
	do {
		code = ldap_sasl_bind(
		    c->ld, text, LDAP_SASL_SIMPLE, &secret, controls, NULL, &id);
	} while (code == LDAP_X_CONNECTING && wait_connected(c));
	free(text);
	if (code != LDAP_SUCCESS) {
		(void)dir_fail(c, code, "bind", err);
		return AUTH_UNAVAILABLE; /* nothing has been answered yet */
	}
	return bind_result(c, id, out_clean, err);
}
