#include "authn/api/api.h"

#include <openssl/evp.h>
#include <string.h>

#include "authn/api/api_audit.h"
#include "authn/api/api_service.h"
#include "authn/api/api_tokenreview.h"
#include "authn/api/api_whoami.h"
#include "authn/api/console.h"
#include "authn/proxy/worker_state.h"

#define BASIC_MAX_BYTES 4096

struct route {
	const char *method;
	const char *path;   /* a trailing slash: a name follows; "/+": a path */
	const char *suffix; /* and this; NULL: nothing */
	bool basic;         /* takes a password ... */
	bool bearer;        /* ... or a token or certificate */
	void (*handle)(struct exchange *x);
};

static void login(struct exchange *x);
static void create_token(struct exchange *x);
static void list_tokens(struct exchange *x);
static void revoke_token(struct exchange *x);
static void rotate_token(struct exchange *x);
static void whoami(struct exchange *x);
static void review_token(struct exchange *x);

#define TOKENS "/ringfence/v1/tokens"
#define ROTATE "/rotate"

static const struct route routes[] = {
    {"POST", "/ringfence/v1/login", NULL, true, false, login},
    {"POST", TOKENS, NULL, true, true, create_token},
    {"GET", TOKENS, NULL, true, true, list_tokens},
    {"DELETE", TOKENS "/", NULL, true, true, revoke_token},
    {"POST", TOKENS "/", ROTATE, false, true, rotate_token},
    {"GET", "/ringfence/v1/whoami", NULL, false, true, whoami},
    {"GET", "/ringfence/v1/audit", NULL, false, true, api_audit_list},
    {"GET", "/ringfence/v1/audit/refused", NULL, false, true, api_audit_list},
    {"GET", "/ringfence/v1/tenants", NULL, false, true, api_audit_tenants},
    {"GET", "/ringfence/v1/quotas", NULL, false, true, api_audit_quotas},
    {"POST", "/ringfence/v1/tokenreviews", NULL, false, true, review_token},
    {"GET", API_SERVICES, NULL, false, true, api_service_list},
    {"GET", API_SERVICES "/+", NULL, false, true, api_service_list},
    {"POST", API_SERVICES "/+", NULL, false, true, api_service_declare},
    {"DELETE", API_SERVICES "/+", NULL, false, true, api_service_remove},
    {"GET", API_SERVICE_TOKENS "/+", NULL, false, true, api_service_tokens},
    {"POST", API_SERVICE_TOKENS "/+", NULL, true, true, api_service_token},
    {"DELETE", API_SERVICE_TOKENS "/+", NULL, false, true, api_service_revoke},
};

/* ---- health ---- */

static struct str
raw_path(const struct exchange *x)
{
	return str_slice(x->target, 0, str_find(x->target, '?', 0));
}

bool
api_is_health(const struct exchange *x)
{
	struct str path = raw_path(x);

	return str_is(path, "/healthz") || str_is(path, "/readyz");
}

void
api_health(struct exchange *x)
{
	bool ready = !x->w->draining && audit_client_ready(x->w->audit);

	if (!str_is(x->method, "GET") && !str_is(x->method, "HEAD"))
		exchange_reply_error(x, 405,
		    "the server does not allow this method on the requested resource");
	else if (ready || str_is(raw_path(x), "/healthz"))
		exchange_reply(x, 200, "text/plain; charset=utf-8", STR("ok"));
	else
		exchange_reply(x, 503, "text/plain; charset=utf-8", STR("not ready"));
}

/* ---- routing ---- */

static struct str
own_path(const struct exchange *x)
{
	return x->classified ? x->info.path : raw_path(x);
}

bool
api_is_own(const struct exchange *x)
{
	struct str path = own_path(x);

	return str_is(path, "/ringfence") || str_starts(path, STR("/ringfence/"));
}

static bool
path_matches(const struct route *r, struct str path)
{
	struct str want = str_from(r->path);
	struct str suffix = str_from(r->suffix);

	if (str_ends(want, STR("/+"))) {
		want.len--;
		return str_starts(path, want) && path.len > want.len;
	}
	if (want.ptr[want.len - 1] != '/')
		return str_eq(path, want);
	return str_starts(path, want) && str_ends(path, suffix) &&
	       path.len > want.len + suffix.len &&
	       str_find(path, '/', want.len) == path.len - suffix.len;
}

static const struct route *
find_route(const struct exchange *x, bool *out_known_path)
{
	*out_known_path = false;
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		if (!path_matches(&routes[i], own_path(x)))
			continue;
		*out_known_path = true;
		if (str_is(x->method, routes[i].method))
			return &routes[i];
	}
	return NULL;
}

/* ---- basic authentication ---- */

/* Strict base64 with its padding; returns the length, or -1. */
static int
decode_base64(struct str text, unsigned char *out)
{
	size_t pad = 0;
	int n;

	while (pad < 2 && pad < text.len && text.ptr[text.len - 1 - pad] == '=')
		pad++;
	if (text.len == 0 || text.len % 4 != 0 || text.len > BASIC_MAX_BYTES)
		return -1;
	for (size_t i = 0; i < text.len - pad; i++) {
		char c = text.ptr[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= '0' && c <= '9') && c != '+' && c != '/')
			return -1;
	}
	n = EVP_DecodeBlock(out, (const unsigned char *)text.ptr, (int)text.len);
	return n < 0 ? -1 : n - (int)pad;
}

/* user:password into the exchange; the header's copy is overwritten. */
static bool
take_basic(struct exchange *x, struct str credentials)
{
	unsigned char plain[BASIC_MAX_BYTES];
	int n = decode_base64(credentials, plain);
	struct str text = {(const char *)plain, n > 0 ? (size_t)n : 0};
	size_t colon = str_find(text, ':', 0);
	struct err err = ERR_INIT;
	union {
		const char *in;
		char *out;
	} header = {.in = credentials.ptr};
	bool ok = colon < text.len && colon != 0 &&
		  secret_set(&x->password, text.ptr + colon + 1, text.len - colon - 1,
		      &err) == 0;

	if (ok)
		x->user = str_dup(x->arena, str_slice(text, 0, colon));
	secret_wipe(plain, sizeof(plain));
	secret_wipe(header.out, credentials.len);
	return ok;
}

/* ---- from credentials to the handler ---- */

/* The auth role's affairs are only begun once they are on record. */
static void
on_recorded(void *arg, bool ok)
{
	struct exchange *x = arg;
	bool known;
	const struct route *r = find_route(x, &known);

	x->audit_ticket = 0;
	if (!ok) {
		exchange_reply_unavailable(x, "the audit log cannot be written");
		return;
	}
	x->state = EXCHANGE_ANSWER;
	x->forwarded = true;
	r->handle(x);
}

void
api_body_complete(struct exchange *x)
{
	if (!audit_client_ready(x->w->audit))
		exchange_reply_unavailable(x, "the audit log cannot be written");
	else
		exchange_record_received(x, on_recorded);
}

static void
collect_body(struct exchange *x)
{
	x->state = EXCHANGE_COLLECT;
	if (x->req_bytes > EXCHANGE_OWN_BODY ||
	    x->facts.content_length > (int64_t)EXCHANGE_OWN_BODY) {
		x->must_close = true;
		exchange_reply_error(x, 413, "Request entity is too large");
		return;
	}
	if (x->req_body.len != 0) /* what came before was not acknowledged yet */
		x->ops->consumed(x, x->req_body.len);
	if (x->req_ended)
		api_body_complete(x);
	else if (x->facts.expect_continue)
		x->ops->go_ahead(x);
}

static void
identified(struct exchange *x)
{
	bool known;
	const struct route *r = find_route(x, &known);

	if (str_is(x->method, "GET"))
		r->handle(x);
	else
		collect_body(x);
}

void
api_start(struct exchange *x)
{
	bool known;
	const struct route *r = find_route(x, &known);
	struct str basic = exchange_credentials(x, "Basic");

	x->secure_body = true;
	if (!x->classified) {
		exchange_reply_error(x, 400, request_problem_text(x->problem));
	} else if (console_reply(x, own_path(x))) {
		return;
	} else if (r == NULL) {
		exchange_reply_error(x, known ? 405 : 404,
		    known ? "the server does not allow this method on the requested "
			    "resource"
			  : "the server could not find the requested resource");
	} else if (r->basic && basic.ptr != NULL) {
		if (take_basic(x, basic))
			identified(x);
		else
			exchange_reply_unauthorized(x);
	} else if (r->bearer) {
		exchange_identify(x, identified);
	} else {
		exchange_reply_unauthorized(x);
	}
}

/* ---- handlers ---- */

/* The id of the token that was made: {"token":...,"id":"..."}. */
static struct str
issued_id(struct exchange *x, struct str body)
{
	struct str key = STR("\"id\":\"");
	const char *at =
	    body.len != 0 ? memmem(body.ptr, body.len, key.ptr, key.len) : NULL;
	struct str rest;

	if (at == NULL)
		return STR("");
	rest = str_slice(body, (size_t)(at - body.ptr) + key.len, body.len);
	return str_dup(x->arena, str_slice(rest, 0, str_find(rest, '"', 0)));
}

void
api_answer(void *arg, const struct auth_answer *a)
{
	struct exchange *x = arg;
	struct status s = {
	    .code = a->status, .reason = a->reason, .message = a->message};

	x->auth_ticket = 0;
	x->user = str_dup(x->arena, a->user);
	s.message = str_dup(x->arena, s.message);
	s.retry_after_s = a->retry_after_s;
	if (a->status == 201)
		x->token_issued = issued_id(x, a->body);
	if (a->status == 401)
		x->w->stats.unauthenticated++;
	if (a->status >= 400)
		exchange_reply_status(x, &s);
	else
		exchange_reply(x, a->status,
		    a->status == 204 ? NULL : "application/json", a->body);
}

struct auth_caller
api_caller(struct exchange *x)
{
	return (struct auth_caller){
	    .id = x->id,
	    .user = x->id == NULL ? x->user : STR(""),
	    .password = x->id == NULL ? &x->password : NULL,
	    .source = x->source,
	};
}

void
api_asked(struct exchange *x, auth_ticket_t ticket)
{
	if (!x->res_head)
		x->auth_ticket = ticket;
}

/* Moves the request's body to the end of `out`; what stays behind is overwritten. */
static void
take_body(struct exchange *x, struct buf *out)
{
	while (x->req_body.len != 0) {
		struct str piece = iobuf_peek(&x->req_body);

		buf_add_str(out, piece);
		iobuf_wipe_front(&x->req_body, piece.len);
		iobuf_drain(&x->w->bufs, &x->req_body, piece.len);
	}
}

void
api_issue(struct exchange *x, const struct auth_caller *caller, bool is_login)
{
	struct buf body = {NULL, 0, 0};

	take_body(x, &body);
	api_asked(x, auth_client_issue(
			 x->w->auth, is_login, caller, buf_str(&body), api_answer, x));
	if (body.data != NULL)
		secret_wipe(body.data, body.len);
	buf_free(&body);
}

static void
login(struct exchange *x)
{
	const struct auth_caller caller = api_caller(x);

	api_issue(x, &caller, true);
}

static void
create_token(struct exchange *x)
{
	const struct auth_caller caller = api_caller(x);

	api_issue(x, &caller, false);
}

static void
list_tokens(struct exchange *x)
{
	struct auth_caller caller = api_caller(x);

	x->state = EXCHANGE_ANSWER;
	api_asked(x, auth_client_list(x->w->auth, &caller, api_answer, x));
}

static void
revoke_token(struct exchange *x)
{
	struct auth_caller caller = api_caller(x);

	api_asked(x, auth_client_revoke(x->w->auth, &caller,
			 str_slice(x->info.path, sizeof(TOKENS), x->info.path.len),
			 api_answer, x));
}

static void
rotate_token(struct exchange *x)
{
	struct auth_caller caller = api_caller(x);
	struct str path = x->info.path;
	struct buf body = {NULL, 0, 0};

	take_body(x, &body);
	api_asked(
	    x, auth_client_rotate(x->w->auth, &caller,
		   str_slice(path, sizeof(TOKENS), path.len - (sizeof(ROTATE) - 1)),
		   buf_str(&body), api_answer, x));
	buf_free(&body);
}

static void
whoami(struct exchange *x)
{
	struct buf body = {NULL, 0, 0};

	api_whoami_json(&body, x->id, x->w->policy->model);
	exchange_reply(x, 200, "application/json", buf_str(&body));
	buf_free(&body);
}

/* ---- token reviews ---- */

/* Who may ask whose a token is: whom Access lets create tokenreviews, as with RBAC. */
static bool
may_review(struct exchange *x)
{
	struct request_info info = {
	    .is_resource = true,
	    .verb = STR("create"),
	    .api_group = STR("authentication.k8s.io"),
	    .resource = STR("tokenreviews"),
	};
	struct access_request question;
	struct access_extent extent;
	struct status s;

	request_info_derive(&info);
	if (exchange_judge(x, &info, &question, &extent).allow)
		return true;
	x->w->stats.denied++;
	s = status_forbidden(x->arena, x->id->user, &info);
	exchange_reply_status(x, &s);
	return false;
}

static void
on_reviewed(void *arg, enum auth_result result, struct identity *id)
{
	struct exchange *x = arg;
	struct buf body = {NULL, 0, 0};

	x->auth_ticket = 0;
	if (result == AUTH_UNAVAILABLE) { /* silence is not a no */
		exchange_reply_unavailable(
		    x, "authentication is not available at the moment");
		return;
	}
	if (result != AUTH_ALLOWED || id == NULL || id->revoked)
		id = NULL;
	token_review_answer(&body, x->token_review, id);
	exchange_reply(x, 200, "application/json", buf_str(&body));
	buf_free(&body);
}

static void
review_token(struct exchange *x)
{
	struct token_review *review = ARENA_NEW(x->arena, struct token_review);
	struct buf body = {NULL, 0, 0};
	bool ok;

	if (!may_review(x))
		return;
	buf_reserve(&body, x->req_body.len); /* so that growing leaves no copies */
	iobuf_copy(&x->req_body, &body);
	iobuf_wipe(&x->w->bufs, &x->req_body);
	ok = token_review_parse(buf_str(&body), review);
	if (body.data != NULL)
		secret_wipe(body.data, body.len);
	buf_free(&body);
	if (!ok) {
		exchange_reply_error(x, 400, "the body is no TokenReview");
		return;
	}
	x->token_review = review;
	api_asked(x,
	    auth_client_token(x->w->auth, secret_str(&review->token), on_reviewed, x));
	secret_free(&review->token);
}
