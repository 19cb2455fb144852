#include "authn/proxy/exchange.h"

#include <string.h>

#include "authn/api/api.h"
#include "authn/proxy/exchange_list.h"
#include "authn/proxy/exchange_review.h"
#include "authn/proxy/upstream.h"
#include "authn/proxy/worker_state.h"

#define STALL_MS 300000 /* a client that takes nothing for so long */

struct exchange *
exchange_new(struct worker *w, const struct exchange_ops *ops, void *client,
    struct str source, struct identity *certificate)
{
	struct arena *arena = worker_arena_get(w);
	struct exchange *x = ARENA_NEW(arena, struct exchange);

	x->w = w;
	x->ops = ops;
	x->client = client;
	x->arena = arena;
	x->state = EXCHANGE_HEAD;
	x->source = source;
	x->certificate = certificate;
	x->facts.content_length = -1;
	x->res_length = -1;
	x->reason = "";
	x->received = walltime_now();
	x->progress_ms = uv_now(&w->loop);
	worker_uuid(w, x->audit_id);
	x->next = w->exchanges;
	if (w->exchanges != NULL)
		w->exchanges->prev = x;
	w->exchanges = x;
	w->exchange_count++;
	w->stats.requests++;
	return x;
}

static void
unlink_exchange(struct exchange *x)
{
	if (x->prev != NULL)
		x->prev->next = x->next;
	else
		x->w->exchanges = x->next;
	if (x->next != NULL)
		x->next->prev = x->prev;
	x->w->exchange_count--;
}

/* Nobody works for it any more. */
static void
stop_work(struct exchange *x)
{
	struct worker *w = x->w;

	if (x->up != NULL)
		upstream_cancel(x->up);
	x->up = NULL;
	if (x->auth_ticket != 0)
		auth_client_cancel(w->auth, x->auth_ticket);
	if (x->audit_ticket != 0)
		audit_client_cancel(w->audit, x->audit_ticket);
	if (x->recent_ticket != 0)
		audit_client_forget(w->audit, x->recent_ticket);
	x->auth_ticket = x->audit_ticket = x->recent_ticket = 0;
}

static void
release(struct exchange *x)
{
	struct worker *w = x->w;

	stop_work(x);
	if (x->has_quota)
		quota_release(w->quota, w->settings.index, &x->quota);
	x->has_quota = false;
}

static void
ignore(struct exchange *x)
{
	(void)x;
}

static void
ignore_size(struct exchange *x, size_t n)
{
	(void)x;
	(void)n;
}

/* Of a connection that is no longer interested. */
static const struct exchange_ops gone = {
    .respond = ignore,
    .more = ignore,
    .consumed = ignore_size,
    .go_ahead = ignore,
    .cut = ignore,
};

void
exchange_free(struct exchange *x)
{
	struct worker *w = x->w;

	x->ops = &gone;
	release(x);
	if (!x->end_recorded && x->on_record && x->id != NULL) {
		x->reason = "Canceled";
		x->message = STR("the client went away");
		exchange_record_complete(x);
		if (x->audit_ticket != 0)
			audit_client_cancel(w->audit, x->audit_ticket);
	}
	if (x->status >= 100 && x->status < 600)
		w->stats.by_class[x->status / 100]++;
	unlink_exchange(x);
	exchange_list_free(x);
	exchange_rules_free(x);
	if (x->secure_body) {
		iobuf_wipe(&w->bufs, &x->req_body);
		iobuf_wipe(&w->bufs, &x->res_body);
	}
	iobuf_clear(&w->bufs, &x->req_body);
	iobuf_clear(&w->bufs, &x->res_body);
	exchange_capture_free(x);
	identity_unref(x->id);
	secret_free(&x->password);
	worker_arena_put(w, x->arena); /* the exchange itself lies in it */
}

/* ---- the client's side ---- */

void
exchange_refuse(struct exchange *x, int code, const char *message)
{
	x->w->stats.malformed++;
	x->must_close = true;
	stop_work(x); /* what came so far must not be taken for the whole */
	exchange_reply_error(x, code, message);
}

static const struct {
	enum header_problem problem;
	int code;
} header_codes[] = {
    {HEADERS_TOO_LARGE, 431},
    {HEADERS_MALFORMED, 400},
    {HEADERS_REPEATED, 400},
    {HEADERS_LENGTH, 400},
    {HEADERS_EXPECTATION, 417},
};

static bool
read_headers(struct exchange *x)
{
	enum header_problem problem =
	    headers_read_request(x->arena, &x->req_headers, &x->facts);

	for (size_t i = 0; i < ARRAY_LEN(header_codes); i++) {
		if (header_codes[i].problem == problem) {
			exchange_refuse(
			    x, header_codes[i].code, header_problem_text(problem));
			return false;
		}
	}
	return true;
}

static bool
upgrade_supported(struct str protocol)
{
	return (protocol.len == 9 && strncasecmp(protocol.ptr, "websocket", 9) == 0) ||
	       (protocol.len == 8 && strncasecmp(protocol.ptr, "SPDY/3.1", 8) == 0);
}

/* A draining worker answers 429, so that clients go elsewhere. */
static void
reply_draining(struct exchange *x)
{
	struct status s = {
	    .code = 429,
	    .message = STR("the server is shutting down, please try again later"),
	    .retry_after_s = 1,
	};

	x->must_close = true;
	exchange_reply_status(x, &s);
}

void
exchange_start(struct exchange *x, bool wants_upgrade)
{
	if (!read_headers(x))
		return;
	if (api_is_health(x)) {
		api_health(x);
		return;
	}
	if (x->w->draining) {
		reply_draining(x);
		return;
	}
	/* h2c and other protocols are not offered: such a request is an ordinary one. */
	x->upgrade = wants_upgrade && upgrade_supported(x->facts.upgrade);
	if (x->upgrade && (x->facts.content_length > 0 || !x->req_ended)) {
		exchange_refuse(x, 400, "a request to upgrade must not have a body");
		return;
	}
	exchange_authenticate(x);
}

/* The body is over its limit: the upstream never sees a complete request. */
static void
refuse_body(struct exchange *x, uint64_t limit)
{
	struct status s = {.code = 413, .has_details = true};

	stop_work(x);
	x->must_close = true;
	if (x->secure_body)
		iobuf_wipe(&x->w->bufs, &x->req_body);
	iobuf_clear(&x->w->bufs, &x->req_body);
	s.message = str_from(arena_printf(x->arena,
	    "Request entity is too large: limit is %llu", (unsigned long long)limit));
	if (x->res_sent)
		exchange_end_stream(x, "request body over its limit");
	else
		exchange_reply_status(x, &s);
}

static uint64_t
body_limit(const struct exchange *x)
{
	if (x->state == EXCHANGE_COLLECT || x->state == EXCHANGE_REVIEW)
		return EXCHANGE_OWN_BODY;
	return x->has_quota && !x->switched ? x->quota.body_bytes : QUOTA_UNSET;
}

void
exchange_request_data(struct exchange *x, const char *data, size_t len)
{
	uint64_t limit = body_limit(x);

	x->req_bytes += len;
	if (x->state == EXCHANGE_REPLIED) { /* nobody wants it any more */
		x->ops->consumed(x, len);
		return;
	}
	if (x->req_bytes > limit) {
		refuse_body(x, limit);
		x->ops->consumed(x, len);
		return;
	}
	iobuf_append(&x->w->bufs, &x->req_body, data, len);
	if (x->state == EXCHANGE_COLLECT)
		x->ops->consumed(x, len);
	else if (x->up != NULL)
		upstream_body(x->up);
}

void
exchange_request_end(struct exchange *x)
{
	x->req_ended = true;
	if (x->state == EXCHANGE_COLLECT)
		api_body_complete(x);
	else if (x->state == EXCHANGE_REVIEW)
		exchange_review_complete(x);
	else if (x->up != NULL)
		upstream_body(x->up);
}

void
exchange_append(struct exchange *x, const char *data, size_t len)
{
	if (x->res_body.len == 0)
		x->progress_ms = uv_now(&x->w->loop);
	iobuf_append(&x->w->bufs, &x->res_body, data, len);
}

void
exchange_tick(struct exchange *x, uint64_t now_ms)
{
	const uint64_t since_ms = now_ms - x->progress_ms;
	const bool late = since_ms > x->w->settings.limits.header_ms;

	if (x->state == EXCHANGE_HEAD && late)
		x->ops->cut(x);
	else if ((x->state == EXCHANGE_COLLECT || x->state == EXCHANGE_REVIEW) && late)
		/* The gate's own endpoints take small bodies, from strangers too. */
		exchange_refuse(x, 408, "the body of the request did not come in time");
	else if (x->res_sent && x->res_body.len != 0 && since_ms > STALL_MS)
		exchange_end_stream(x, "the client takes nothing any more");
}

/* Until its record is on disk an answer keeps its last byte. Of a stream without a length
 * it is enough to keep the end: its bytes may be somebody's keystrokes. */
static size_t
held_back(const struct exchange *x)
{
	bool streams = x->res_length < 0 && (x->switched || x->info.is_long_running);

	return x->res_complete || streams || !exchange_must_record(x) ? 0 : 1;
}

size_t
exchange_available(const struct exchange *x)
{
	return x->res_body.len != 0 ? x->res_body.len - held_back(x) : 0;
}

bool
exchange_ends_after(const struct exchange *x, size_t n)
{
	return x->res_complete && x->res_ended && n == x->res_body.len;
}

struct str
exchange_peek(const struct exchange *x)
{
	struct str piece = iobuf_peek(&x->res_body);

	if (piece.len == x->res_body.len && piece.len != 0)
		piece.len -= held_back(x);
	return piece;
}

void
exchange_drain(struct exchange *x, size_t n)
{
	if (x->secure_body)
		iobuf_wipe_front(&x->res_body, n);
	iobuf_drain(&x->w->bufs, &x->res_body, n);
	x->progress_ms = uv_now(&x->w->loop);
	if (x->list != NULL)
		exchange_list_settle(x);
	else if (x->up != NULL)
		upstream_consumed(x->up, n);
}

bool
exchange_finished(const struct exchange *x)
{
	return exchange_ends_after(x, 0);
}

/* ---- the upstream's side ---- */

void
exchange_request_drain(struct exchange *x, size_t n)
{
	for (size_t left = n; left != 0;) {
		struct str piece = str_slice(iobuf_peek(&x->req_body), 0, left);

		exchange_capture_request(x, piece);
		iobuf_drain(&x->w->bufs, &x->req_body, piece.len);
		left -= piece.len;
	}
	x->ops->consumed(x, n);
}

/* Passes the head on, unless a short answer waits for its record as a whole. */
void
exchange_send_head(struct exchange *x)
{
	bool is_short = x->res_length >= 0 && x->res_length <= EXCHANGE_HOLD_BYTES;

	if (x->list != NULL && !exchange_list_decided(x))
		return;
	/* A head without a body is the whole answer: not before its record. */
	if (x->res_length == 0 && !x->res_ended)
		return;
	if (x->res_sent ||
	    (!x->res_complete && exchange_must_record(x) && (is_short || x->res_ended)))
		return;
	x->res_sent = true;
	x->ops->respond(x);
}

/* The length of the body that follows, from status, method and Content-Length. */
static int64_t
response_length(const struct exchange *x, int status, const struct header_list *headers)
{
	const struct header *h = header_find(headers, HEADER_CONTENT_LENGTH);
	uint64_t n;

	if (str_is(x->method, "HEAD") || status == 204 || status == 304)
		return 0;
	if (h == NULL || !str_to_u64(h->value, INT64_MAX, &n))
		return -1;
	return (int64_t)n;
}

void
exchange_up_head(struct exchange *x, int status, const struct header_list *headers)
{
	struct header_list filtered = {NULL, 0, 0, 0};

	if (x->state != EXCHANGE_UPSTREAM || x->res_head)
		return;
	if (x->rules != NULL) {
		exchange_rules_head(x, status);
		return;
	}
	if (x->list != NULL) {
		if (!exchange_list_head(x, status, headers, &filtered))
			return;
		headers = &filtered;
	}
	x->res_head = true;
	x->status = status;
	x->progress_ms = uv_now(&x->w->loop);
	x->switched = status == 101;
	if (x->switched)
		x->req_ended = false; /* the client's bytes are only beginning */
	x->res_length = x->switched ? -1 : response_length(x, status, headers);
	headers_to_client(x->arena, headers, &x->res_headers);
	if (header_find(&x->res_headers, HEADER_AUDIT_ID) == NULL)
		header_list_add(
		    x->arena, &x->res_headers, STR("audit-id"), str_from(x->audit_id));
	if (x->info.is_long_running)
		exchange_record_started(x);
	exchange_send_head(x);
}

void
exchange_up_data(struct exchange *x, const char *data, size_t len)
{
	if (x->state != EXCHANGE_UPSTREAM || x->res_ended)
		return;
	if (x->rules != NULL) {
		exchange_rules_data(x, data, len);
		return;
	}
	if (x->list != NULL) {
		exchange_list_data(x, data, len);
		return;
	}
	exchange_capture_response(x, (struct str){data, len});
	exchange_append(x, data, len);
	if (x->res_sent)
		x->ops->more(x);
}

void
exchange_up_end(struct exchange *x)
{
	x->up = NULL;
	if (x->state != EXCHANGE_UPSTREAM || x->res_ended)
		return;
	if (x->rules != NULL) {
		exchange_rules_ended(x);
		return;
	}
	if (x->list != NULL && !exchange_list_ended(x))
		return;
	x->state = EXCHANGE_REPLIED;
	x->res_ended = true;
	exchange_record_complete(x);
	exchange_send_head(x);
}

void
exchange_up_half_end(struct exchange *x)
{
	x->half_ended = true;
	x->ops->more(x);
}

void
exchange_up_failed(struct exchange *x, enum upstream_failure failure, const char *what)
{
	struct status s = {.code = 503};

	x->up = NULL;
	if (x->state != EXCHANGE_UPSTREAM)
		return;
	x->w->stats.upstream_failures += failure != UPSTREAM_CROWDED;
	if (x->res_head) {
		x->message = str_dup(x->arena, str_from(what));
		x->reason = "InternalError";
		exchange_end_stream(x, what);
		return;
	}
	if (failure == UPSTREAM_CROWDED) {
		x->w->stats.crowded++;
		s.code = 429;
		s.message = STR("Too many requests, please try again later.");
		s.retry_after_s = 1;
		exchange_reply_status(x, &s);
		return;
	}
	if (failure == UPSTREAM_NOT_SENT) {
		exchange_reply_unavailable(x, "the API server cannot be reached");
		return;
	}
	/* Clients repeat what carries Retry-After: only reads may. */
	s.message =
	    x->info.is_mutation
		? STR("the connection to the API server broke before it answered; the "
		      "change may have been made or not")
		: STR("the connection to the API server broke before it answered");
	s.retry_after_s = x->info.is_mutation ? 0 : 1;
	exchange_reply_status(x, &s);
}

/* ---- ending ---- */

void
exchange_answer_instead(struct exchange *x, const struct status *status)
{
	stop_work(x);
	exchange_list_free(x);
	exchange_rules_free(x);
	iobuf_clear(&x->w->bufs, &x->res_body);
	x->res_headers = (struct header_list){NULL, 0, 0, 0};
	x->res_head = false;
	exchange_reply_status(x, status);
}

void
exchange_end_stream(struct exchange *x, const char *why)
{
	bool clean = x->res_sent && !x->switched && str_is(x->info.verb, "watch") &&
		     x->state == EXCHANGE_UPSTREAM && x->up != NULL;

	x->w->stats.streams_ended++;
	stop_work(x);
	if (x->message.len == 0)
		x->message = str_dup(x->arena, str_from(why));
	if (clean) {
		/* A client takes this for the usual end of a watch, and asks again. */
		x->state = EXCHANGE_REPLIED;
		x->res_ended = true;
		exchange_record_complete(x);
		return;
	}
	exchange_record_complete(x);
	x->state = EXCHANGE_REPLIED;
	x->res_ended = true;
	x->ops->cut(x);
}
