/*
 * Answers of the gate's own.
 */
#include "authn/proxy/exchange.h"
#include "authn/proxy/worker_state.h"

void
exchange_reply_header(struct exchange *x, const char *name, struct str value)
{
	header_list_add(x->arena, &x->res_headers, str_from(name), value);
}

/* The headers that the API server gives its own answers. */
static void
add_common_headers(struct exchange *x, const char *content_type, size_t len)
{
	exchange_reply_header(x, "audit-id", str_from(x->audit_id));
	exchange_reply_header(x, "cache-control", STR("no-cache, private"));
	if (content_type != NULL)
		exchange_reply_header(x, "content-type", str_from(content_type));
	exchange_reply_header(x, "x-content-type-options", STR("nosniff"));
	exchange_reply_header(x, "date", str_dup(x->arena, worker_date(x->w)));
	exchange_reply_header(x, "content-length", header_decimal(x->arena, len));
}

void
exchange_reply(struct exchange *x, int code, const char *content_type, struct str body)
{
	struct iobuf_pool *pool = &x->w->bufs;

	if (x->res_head) /* an answer is under way already */
		return;
	x->state = EXCHANGE_REPLIED;
	x->res_head = true;
	x->status = code;
	x->progress_ms = uv_now(&x->w->loop);
	x->res_length =
	    str_is(x->method, "HEAD") || code == 204 ? 0 : (int64_t)body.len;
	add_common_headers(x, content_type, body.len);
	if (x->res_length != 0)
		iobuf_append(pool, &x->res_body, body.ptr, body.len);
	if (!x->secure_body && x->req_body.len != 0) {
		/* What was not forwarded is no longer wanted; let more come, to be dropped. */
		size_t len = x->req_body.len;

		iobuf_clear(pool, &x->req_body);
		x->ops->consumed(x, len);
	}
	x->res_ended = true;
	exchange_record_complete(x);
	if (!x->res_sent && (x->res_complete || !exchange_must_record(x))) {
		x->res_sent = true;
		x->ops->respond(x);
	}
}

void
exchange_reply_status(struct exchange *x, const struct status *status)
{
	struct buf body = {NULL, 0, 0};

	if (x->res_head)
		return;
	x->reason =
	    status->reason != NULL ? status->reason : status_reason(status->code);
	if (x->message.len == 0)
		x->message = status->message;
	if (status->retry_after_s != 0)
		exchange_reply_header(
		    x, "retry-after", header_decimal(x->arena, status->retry_after_s));
	status_encode(&body, status);
	exchange_reply(x, status->code, "application/json", buf_str(&body));
	buf_free(&body);
}

void
exchange_reply_error(struct exchange *x, int code, const char *message)
{
	struct status s = {.code = code, .message = str_from(message)};

	s.has_details = code == 404 || code == 405;
	exchange_reply_status(x, &s);
}

void
exchange_reply_unavailable(struct exchange *x, const char *message)
{
	struct status s = {
	    .code = 503, .message = str_from(message), .retry_after_s = 1};

	x->w->stats.unavailable++;
	exchange_reply_status(x, &s);
}
