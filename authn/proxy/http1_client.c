/*
 * HTTP/1.1 with a client. One request is worked on at a time; what a pipelining client
 * sends ahead waits, unread, in a bounded buffer. After any doubt about the framing the connection
 * ends.
 */
#include <stdio.h>
#include <string.h>

#include "authn/proxy/worker_client.h"
#include "authn/request/status.h"

#define AHEAD_BYTES (64u * 1024) /* of later requests, read while one is worked on */

static void read_input(struct client_conn *c);

/* ---- what the exchange wants ---- */

static void
want_flush(struct exchange *x)
{
	struct client_conn *c = x->client;

	stream_want_flush(&c->stream);
}

static void
on_consumed(struct exchange *x, size_t n)
{
	struct client_conn *c = x->client;

	(void)n;
	if (x->req_body.len < EXCHANGE_BUFFER_LOW && c->h1.phase != HTTP1_WAITING)
		stream_resume(&c->stream);
}

static void
on_go_ahead(struct exchange *x)
{
	struct client_conn *c = x->client;

	c->h1.send_continue = true;
	stream_want_flush(&c->stream);
}

static void
on_cut(struct exchange *x)
{
	struct client_conn *c = x->client;

	stream_close(&c->stream); /* the exchange is freed in http1_client_fini */
}

static const struct exchange_ops ops = {
    .respond = want_flush,
    .more = want_flush,
    .consumed = on_consumed,
    .go_ahead = on_go_ahead,
    .cut = on_cut,
};

/* ---- requests ---- */

static struct exchange *
new_exchange(struct client_conn *c)
{
	struct http1_client *h = &c->h1;

	h->x = exchange_new(c->w, &ops, c, c->source_text, c->certificate);
	h->head_sent = h->chunked_out = h->send_continue = false;
	h->close_after = h->bodyless = h->said_end = false;
	h->chunks = (struct http1_chunks){.state = CHUNK_SIZE_FIRST};
	h->body_left = 0;
	stream_set_deadline(&c->stream, 0);
	return h->x;
}

/* Answers something that is no request, and ends. */
static void
refuse(struct client_conn *c, enum http1_problem problem)
{
	struct http1_client *h = &c->h1;

	if (h->x == NULL)
		(void)new_exchange(c);
	h->close_after = true;
	h->phase = HTTP1_ENDING;
	buf_clear(&h->in);
	exchange_refuse(h->x, http1_problem_code(problem), http1_problem_text(problem));
}

static void
start_request(struct client_conn *c, const char *head, size_t len)
{
	struct http1_client *h = &c->h1;
	struct exchange *x = new_exchange(c);
	char *copy = arena_strndup(x->arena, head, len);
	enum http1_problem problem = http1_parse_head(x->arena, copy, len, &h->request);
	const struct http1_request *r = &h->request;

	x->method = r->method;
	x->target = r->target;
	x->req_headers = r->headers;
	if (problem != HTTP1_OK) {
		refuse(c, problem);
		return;
	}
	h->close_after = !r->keep_alive;
	h->body_left = r->content_length > 0 ? (uint64_t)r->content_length : 0;
	x->req_ended = !r->chunked && h->body_left == 0;
	h->phase = x->req_ended ? HTTP1_WAITING : HTTP1_BODY;
	exchange_start(x, r->wants_upgrade);
}

/* Reads a head off the front of *data, if a whole one is there. */
static void
read_head(struct client_conn *c, struct str *data)
{
	struct http1_client *h = &c->h1;
	long n;

	if (data->len == 0)
		return;
	if (h->scanned == 0 && data->len >= 2 && memcmp(data->ptr, "\r\n", 2) == 0) {
		*data =
		    str_slice(*data, 2, data->len); /* left over from the last body */
		return;
	}
	n = http1_head_length(data->ptr, data->len, h->scanned);
	if (n < 0) {
		refuse(c, HTTP1_BAD_LINE);
		*data = STR("");
	} else if (n == 0) {
		h->scanned = data->len;
		if (data->len > HEADERS_MAX_BYTES) {
			refuse(c, HTTP1_TOO_LARGE);
			*data = STR("");
		} else if (h->in.len == 0 && h->x == NULL) {
			stream_set_deadline(
			    &c->stream, c->w->settings.limits.header_ms);
		}
	} else {
		h->scanned = 0;
		start_request(c, data->ptr, (size_t)n);
		*data = str_slice(*data, (size_t)n, data->len);
	}
}

static void
end_body(struct client_conn *c)
{
	c->h1.phase = HTTP1_WAITING;
	exchange_request_end(c->h1.x);
}

static void
read_body(struct client_conn *c, struct str *data)
{
	struct http1_client *h = &c->h1;
	struct str piece;

	if (h->request.chunked) {
		piece = http1_chunks_next(&h->chunks, data);
		if (h->chunks.state == CHUNK_BAD) {
			/* The upstream must not take what came for the whole. */
			*data = STR("");
			if (h->head_sent)
				stream_close(&c->stream);
			else
				refuse(c, HTTP1_BAD_FRAMING);
			return;
		}
	} else {
		piece = str_slice(*data, 0,
		    h->body_left < data->len ? (size_t)h->body_left : data->len);
		*data = str_slice(*data, piece.len, data->len);
		h->body_left -= piece.len;
	}
	if (piece.len != 0)
		exchange_request_data(h->x, piece.ptr, piece.len);
	if (c->stream.state == STREAM_CLOSED)
		return;
	if (h->phase == HTTP1_BODY &&
	    (h->request.chunked ? h->chunks.state == CHUNK_DONE : h->body_left == 0))
		end_body(c);
	else if (h->x->req_body.len > EXCHANGE_BUFFER_HIGH)
		stream_pause(&c->stream);
}

/* Works on the bytes until they are used up or must wait. */
static struct str
read_bytes(struct client_conn *c, struct str data)
{
	struct http1_client *h = &c->h1;
	size_t before;

	do {
		before = data.len;
		if (c->stream.state == STREAM_CLOSED)
			return STR("");
		if (h->phase == HTTP1_HEAD) {
			read_head(c, &data);
		} else if (h->phase == HTTP1_BODY) {
			read_body(c, &data);
		} else if (h->phase == HTTP1_RAW) {
			if (data.len != 0)
				exchange_request_data(h->x, data.ptr, data.len);
			if (h->x->req_body.len > EXCHANGE_BUFFER_HIGH)
				stream_pause(&c->stream);
			data = STR("");
		} else if (h->phase == HTTP1_ENDING) {
			data = STR("");
		}
	} while (data.len != 0 && data.len != before);
	return data;
}

void
http1_client_received(struct client_conn *c, const char *data, size_t len)
{
	struct http1_client *h = &c->h1;
	struct str rest = {data, len};

	if (h->in.len != 0) {
		buf_add(&h->in, data, len);
		read_input(c);
	} else {
		rest = read_bytes(c, rest);
		if (rest.len != 0 && c->stream.state != STREAM_CLOSED)
			buf_add_str(&h->in, rest);
	}
	if (h->phase == HTTP1_WAITING && h->in.len > AHEAD_BYTES)
		stream_pause(&c->stream);
}

/* Works on what waits in `in`. */
static void
read_input(struct client_conn *c)
{
	struct http1_client *h = &c->h1;
	struct str rest = read_bytes(c, buf_str(&h->in));
	size_t used;

	if (c->stream.state == STREAM_CLOSED || rest.len == h->in.len)
		return;
	used = h->in.len - rest.len;
	if (rest.len == 0) {
		buf_free(&h->in); /* idle connections keep no buffer */
		return;
	}
	memmove(h->in.data, h->in.data + used, rest.len);
	h->in.len = rest.len;
}

/* ---- answers ---- */

static void
put_header(struct buf *out, struct str name, struct str value)
{
	bool upper = true;
	char *to;

	buf_reserve(out, name.len + value.len + 4);
	to = out->data + out->len;
	/* Audit-Id, as most servers spell it: people read these. */
	for (size_t i = 0; i < name.len; i++) {
		char ch = name.ptr[i];

		*to++ = upper && ch >= 'a' && ch <= 'z' ? (char)(ch - 32) : ch;
		upper = ch == '-';
	}
	out->len += name.len;
	buf_add(out, ": ", 2);
	buf_add_str(out, value);
	buf_add(out, "\r\n", 2);
}

static void
put_head(struct client_conn *c)
{
	struct http1_client *h = &c->h1;
	struct exchange *x = h->x;
	struct buf out = {NULL, 0, 0};

	h->head_sent = true;
	h->bodyless = str_is(x->method, "HEAD") || x->status == 204 || x->status == 304;
	h->close_after = h->close_after || x->must_close || c->w->draining;
	h->chunked_out =
	    !h->bodyless && !x->switched && x->res_length < 0 && h->request.minor_1;
	if (!h->bodyless && !x->switched && x->res_length < 0 && !h->chunked_out)
		h->close_after =
		    true; /* HTTP/1.0: the end is the end of the connection */
	buf_reserve(&out, 1024);
	buf_printf(&out, "HTTP/1.1 %d %s\r\n", x->status, status_phrase(x->status));
	for (size_t i = 0; i < x->res_headers.count; i++)
		put_header(
		    &out, x->res_headers.items[i].name, x->res_headers.items[i].value);
	if (h->chunked_out)
		put_header(&out, STR("transfer-encoding"), STR("chunked"));
	if (x->switched) {
		put_header(&out, STR("connection"), STR("Upgrade"));
		put_header(&out, STR("upgrade"), x->facts.upgrade);
	} else if (h->close_after) {
		put_header(&out, STR("connection"), STR("close"));
	} else if (!h->request.minor_1) {
		put_header(&out, STR("connection"), STR("keep-alive"));
	}
	buf_add_cstr(&out, "\r\n");
	stream_put(&c->stream, out.data, out.len);
	buf_free(&out);
	if (x->switched) {
		h->phase = HTTP1_RAW;
		read_input(c); /* what the client sent ahead is the first of it */
		stream_resume(&c->stream);
	}
}

static void
put_body(struct client_conn *c)
{
	struct http1_client *h = &c->h1;
	struct str piece;
	char size[24];

	while (!stream_blocked(&c->stream) && (piece = exchange_peek(h->x)).len != 0) {
		if (h->chunked_out) {
			int n = snprintf(size, sizeof(size), "%zx\r\n", piece.len);

			stream_put(&c->stream, size, (size_t)n);
		}
		if (!h->bodyless)
			stream_put(&c->stream, piece.ptr, piece.len);
		if (h->chunked_out)
			stream_put(&c->stream, "\r\n", 2);
		exchange_drain(h->x, piece.len);
	}
}

/* The answer is out; on to the next request, or the end. */
static void
end_exchange(struct client_conn *c)
{
	struct http1_client *h = &c->h1;
	bool whole = h->x->req_ended && h->phase == HTTP1_WAITING;

	if (h->chunked_out)
		stream_put(&c->stream, "0\r\n\r\n", 5);
	if (h->x->status == 401 && ++c->unauthenticated >= CLIENT_UNAUTHENTICATED_MAX)
		h->close_after = true;
	exchange_free(h->x);
	h->x = NULL;
	if (!whole || h->close_after || c->w->draining) {
		h->phase = HTTP1_ENDING;
		stream_finish(&c->stream);
		return;
	}
	h->phase = HTTP1_HEAD;
	h->scanned = 0;
	stream_set_deadline(&c->stream, c->w->settings.limits.idle_ms);
	read_input(c);
	if (c->stream.state == STREAM_OPEN)
		stream_resume(&c->stream);
}

void
http1_client_flush(struct client_conn *c)
{
	struct http1_client *h = &c->h1;

	/* Each turn answers one request of a pipeline. */
	while (h->x != NULL && c->stream.state == STREAM_OPEN) {
		struct exchange *x = h->x;

		if (h->send_continue && !h->head_sent) {
			h->send_continue = false;
			stream_put(&c->stream, "HTTP/1.1 100 Continue\r\n\r\n", 25);
		}
		if (!x->res_sent)
			return;
		if (!h->head_sent)
			put_head(c);
		put_body(c);
		if (x->half_ended && x->res_body.len == 0 && !h->said_end) {
			h->said_end = true;
			stream_end_writing(&c->stream);
			stream_set_deadline(&c->stream, c->w->settings.limits.idle_ms);
		}
		if (!exchange_finished(x))
			return;
		end_exchange(c);
	}
}

/* ---- life ---- */

void
http1_client_start(struct client_conn *c)
{
	c->h1.phase = HTTP1_HEAD;
	stream_set_deadline(&c->stream, c->w->settings.limits.header_ms);
}

void
http1_client_ended(struct client_conn *c, bool clean)
{
	(void)clean;
	if (c->h1.phase == HTTP1_RAW) {
		exchange_request_end(c->h1.x); /* the other direction goes on */
		return;
	}
	/* A client that ends before its answer does not want it. */
	stream_close(&c->stream);
}

void
http1_client_drain(struct client_conn *c)
{
	if (c->h1.x == NULL && c->h1.in.len == 0)
		stream_finish(&c->stream);
}

void
http1_client_fini(struct client_conn *c)
{
	if (c->h1.x != NULL)
		exchange_free(c->h1.x);
	c->h1.x = NULL;
	buf_free(&c->h1.in);
}
