/*
 * HTTP/1.1 to an API server: one request at a time, and the only way for upgrades. After
 * a 101 the connection is two pipes of bytes. A connection is used again only after an answer that
 * ended where its framing says, to a request that was sent completely.
 */
#include <string.h>

#include "authn/proxy/upstream_internal.h"

static struct upstream_request *
request_of(const struct upstream_conn *c)
{
	return c->requests;
}

/* ---- sending ---- */

static void
put_line(struct buf *out, struct str name, struct str value)
{
	buf_add_str(out, name);
	buf_add_cstr(out, ": ");
	buf_add_str(out, value);
	buf_add_cstr(out, "\r\n");
}

static bool
may_have_body(struct str method)
{
	return str_is(method, "POST") || str_is(method, "PUT") ||
	       str_is(method, "PATCH");
}

static void
put_head(struct upstream_conn *c, struct upstream_request *r)
{
	struct exchange *x = r->x;
	const struct header_identity identity = {
	    .mode = c->server->w->settings.identity,
	    .id = x->asks_as != NULL ? x->asks_as : x->id,
	    .on_behalf_of = x->asks_as != NULL ? x->id->user : STR(""),
	    .audit_id = str_from(x->audit_id),
	    .source = x->source,
	};
	struct header_list list = {NULL, 0, 0, 0};
	struct buf out = {NULL, 0, 0};

	headers_to_upstream(
	    x->w->scratch, &x->req_headers, &x->facts, &x->info, &identity, &list);
	buf_printf(
	    &out, "%.*s %.*s HTTP/1.1\r\n", STR_ARG(x->method), STR_ARG(x->up_target));
	put_line(&out, STR("Host"), c->server->authority);
	for (size_t i = 0; i < list.count; i++)
		put_line(&out, list.items[i].name, list.items[i].value);
	if (x->upgrade) {
		put_line(&out, STR("Connection"), STR("Upgrade"));
		put_line(&out, STR("Upgrade"), x->facts.upgrade);
	}
	if (x->facts.content_length >= 0)
		buf_printf(&out, "Content-Length: %lld\r\n",
		    (long long)x->facts.content_length);
	else if (!x->req_ended || x->req_body.len != 0)
		buf_add_cstr(&out, "Transfer-Encoding: chunked\r\n");
	else if (may_have_body(x->method))
		buf_add_cstr(&out, "Content-Length: 0\r\n");
	buf_add_cstr(&out, "\r\n");
	r->body_sent = x->req_ended && x->req_body.len == 0;
	r->head_sent = true;
	stream_put(&c->stream, out.data, out.len);
	buf_free(&out);
	arena_reset(x->w->scratch);
}

/* Our direction of two pipes is over; with the other one all is. */
static void
end_raw_writing(struct upstream_conn *c)
{
	struct upstream_request *r = request_of(c);
	struct exchange *x = r->x;

	stream_end_writing(&c->stream);
	if (!c->message_done)
		return;
	upstream_request_detach(r);
	r->x = NULL;
	stream_finish(&c->stream);
	exchange_up_end(x);
}

static void
put_body(struct upstream_conn *c, struct upstream_request *r)
{
	struct exchange *x = r->x;
	bool chunked = x->facts.content_length < 0 && !c->raw;
	char size[24];

	while (!stream_blocked(&c->stream) && x->req_body.len != 0) {
		struct str piece = iobuf_peek(&x->req_body);

		if (chunked) {
			int n = snprintf(size, sizeof(size), "%zx\r\n", piece.len);

			stream_put(&c->stream, size, (size_t)n);
		}
		stream_put(&c->stream, piece.ptr, piece.len);
		if (chunked)
			stream_put(&c->stream, "\r\n", 2);
		exchange_request_drain(x, piece.len);
	}
	if (!x->req_ended || x->req_body.len != 0)
		return;
	r->body_sent = true;
	if (c->raw)
		end_raw_writing(c);
	else if (chunked)
		stream_put(&c->stream, "0\r\n\r\n", 5);
}

void
upstream_h1_flush(struct upstream_conn *c)
{
	struct upstream_request *r = request_of(c);

	if (r == NULL)
		return;
	if (!r->head_sent)
		put_head(c, r);
	if (!r->body_sent)
		put_body(c, r);
}

/* ---- the end of an answer ---- */

static void
finish(struct upstream_conn *c)
{
	struct upstream_request *r = request_of(c);
	struct exchange *x = r->x;
	bool again = c->reusable && r->body_sent && !c->alone && !c->going;

	upstream_request_detach(r);
	r->x = NULL;
	if (again) {
		upstream_h1_start(c);
		stream_resume(&c->stream);
	} else {
		c->going = true;
		stream_finish(&c->stream);
	}
	exchange_up_end(x);
	upstream_pump(c->server);
}

/* ---- receiving: llhttp ---- */

static void
end_header_line(struct upstream_conn *c)
{
	struct upstream_request *r = request_of(c);
	struct str name = buf_str(&c->field), value = str_trim(buf_str(&c->value));

	if (!c->in_value)
		return;
	c->in_value = false;
	for (size_t i = 0; i < c->field.len; i++) {
		if (c->field.data[i] >= 'A' && c->field.data[i] <= 'Z')
			c->field.data[i] = (char)(c->field.data[i] + ('a' - 'A'));
	}
	/* After the head these are trailers: dropped. */
	if (r != NULL && r->status == 0)
		header_list_add(r->x->arena, &r->headers, str_dup(r->x->arena, name),
		    str_dup(r->x->arena, value));
	buf_clear(&c->field);
	buf_clear(&c->value);
}

static int
on_field(llhttp_t *p, const char *at, size_t len)
{
	struct upstream_conn *c = p->data;

	end_header_line(c);
	c->header_bytes += len;
	if (c->header_bytes > UPSTREAM_HEADER_BYTES)
		return -1;
	buf_add(&c->field, at, len);
	return 0;
}

static int
on_value(llhttp_t *p, const char *at, size_t len)
{
	struct upstream_conn *c = p->data;

	c->in_value = true;
	c->header_bytes += len;
	if (c->header_bytes > UPSTREAM_HEADER_BYTES)
		return -1;
	buf_add(&c->value, at, len);
	return 0;
}

/* 0: a body may follow; 1: none does; 2: the connection changes its protocol. */
static int
on_head(llhttp_t *p)
{
	struct upstream_conn *c = p->data;
	struct upstream_request *r = request_of(c);

	end_header_line(c);
	c->header_bytes = 0;
	if (r == NULL)
		return -1;
	if (p->status_code == 101) {
		if (!r->x->upgrade)
			return -1;
		c->raw = true;
		r->status = 101;
		r->body_sent = false; /* from here on the request's body is raw bytes */
		return 2;
	}
	if (p->status_code < 200) {
		r->headers = (struct header_list){NULL, 0, 0, 0};
		return 1;
	}
	r->status = p->status_code;
	c->reusable = llhttp_should_keep_alive(p) == 1;
	exchange_up_head(r->x, r->status, &r->headers);
	r = request_of(c);
	return r == NULL || str_is(r->x->method, "HEAD") ? 1 : 0;
}

static int
on_body(llhttp_t *p, const char *at, size_t len)
{
	struct upstream_conn *c = p->data;
	struct upstream_request *r = request_of(c);

	if (r == NULL)
		return -1;
	exchange_up_data(r->x, at, len);
	r = request_of(c);
	if (r != NULL && r->x->res_body.len > EXCHANGE_BUFFER_HIGH)
		stream_pause(&c->stream);
	return 0;
}

static int
on_message(llhttp_t *p)
{
	struct upstream_conn *c = p->data;
	struct upstream_request *r = request_of(c);

	end_header_line(c);
	if (r != NULL && r->status >= 200) {
		c->message_done = true;
		return HPE_PAUSED; /* nothing may follow */
	}
	return 0;
}

void
upstream_h1_start(struct upstream_conn *c)
{
	static llhttp_settings_t settings;

	if (settings.on_body == NULL) {
		llhttp_settings_init(&settings);
		settings.on_header_field = on_field;
		settings.on_header_value = on_value;
		settings.on_headers_complete = on_head;
		settings.on_body = on_body;
		settings.on_message_complete = on_message;
	}
	llhttp_init(&c->parser, HTTP_RESPONSE, &settings);
	c->parser.data = c;
	c->header_bytes = 0;
	c->in_value = c->reusable = c->raw = c->message_done = false;
	if (c->requests != NULL)
		stream_want_flush(&c->stream);
}

static void
received_raw(struct upstream_conn *c, const char *data, size_t len)
{
	struct upstream_request *r = request_of(c);

	if (r == NULL || len == 0)
		return;
	exchange_up_data(r->x, data, len);
	r = request_of(c);
	if (r != NULL && r->x->res_body.len > EXCHANGE_BUFFER_HIGH)
		stream_pause(&c->stream);
}

static void
begin_raw(struct upstream_conn *c, const char *data, size_t len)
{
	const char *rest = llhttp_get_error_pos(&c->parser);
	struct upstream_request *r = request_of(c);

	exchange_up_head(r->x, 101, &r->headers);
	/* What came behind the head belongs to the new protocol. */
	received_raw(c, rest, (size_t)(data + len - rest));
	stream_want_flush(&c->stream);
}

void
upstream_h1_received(struct upstream_conn *c, const char *data, size_t len)
{
	struct upstream_request *r = request_of(c);
	llhttp_errno_t rc;

	if (c->raw) {
		received_raw(c, data, len);
		return;
	}
	if (r == NULL || !r->head_sent) {
		upstream_conn_fail(c, "an answer without a question");
		return;
	}
	rc = llhttp_execute(&c->parser, data, len);
	if (c->stream.state == STREAM_CLOSED)
		return;
	if (c->message_done) {
		if (rc != HPE_PAUSED || llhttp_get_error_pos(&c->parser) != data + len)
			c->reusable = false;
		finish(c);
	} else if (rc == HPE_PAUSED_UPGRADE && c->raw) {
		begin_raw(c, data, len);
	} else if (rc != HPE_OK) {
		upstream_conn_fail(c, "the server breaks the protocol");
	}
}

void
upstream_h1_ended(struct upstream_conn *c, bool clean)
{
	struct upstream_request *r = request_of(c);

	c->reusable = false;
	c->going = true;
	if (r == NULL) {
		stream_close(&c->stream);
		return;
	}
	if (c->raw && clean && !r->body_sent) { /* the client may still have words */
		c->message_done = true;
		exchange_up_half_end(r->x);
		return;
	}
	if (c->raw) {
		c->message_done = true;
		end_raw_writing(c);
		return;
	}
	/* A body without length or chunks ends here; only a clean end proves it whole. */
	if (clean && llhttp_finish(&c->parser) == HPE_OK && c->message_done) {
		finish(c);
		return;
	}
	upstream_conn_fail(c, "the server closed the connection");
}
