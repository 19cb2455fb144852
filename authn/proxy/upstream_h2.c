/*
 * HTTP/2 to an API server. The connection's window is opened as data comes in, each stream's only as
 * its client takes the data: a slow client stops its own stream and nobody else's.
 */
#include <string.h>

#include "authn/proxy/upstream_internal.h"

#define MAX_STREAMS_UNKNOWN 100u

static struct upstream_request *
request_of(nghttp2_session *session, int32_t stream_id)
{
	return nghttp2_session_get_stream_user_data(session, stream_id);
}

/* Takes the request off the connection; the stream may live on for a while. */
static struct exchange *
let_go(struct upstream_conn *c, struct upstream_request *r)
{
	struct exchange *x = r->x;

	/* Fails only for a stream that is gone, which is as good. */
	(void)nghttp2_session_set_stream_user_data(c->h2, r->stream_id, NULL);
	upstream_request_detach(r);
	r->x = NULL;
	return x;
}

static void
reset(struct upstream_conn *c, int32_t stream_id, uint32_t code)
{
	(void)nghttp2_submit_rst_stream(c->h2, NGHTTP2_FLAG_NONE, stream_id, code);
	stream_want_flush(&c->stream);
}

/* ---- what the server sends ---- */

static struct str
copy_rcbuf(struct arena *arena, nghttp2_rcbuf *rc)
{
	nghttp2_vec v = nghttp2_rcbuf_get_buf(rc);

	/* Names of the static table live for ever. */
	if (nghttp2_rcbuf_is_static(rc))
		return (struct str){(const char *)v.base, v.len};
	return str_dup(arena, (struct str){(const char *)v.base, v.len});
}

static int
on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
    nghttp2_rcbuf *value, uint8_t flags, void *arg)
{
	struct upstream_request *r = request_of(session, frame->hd.stream_id);
	nghttp2_vec n = nghttp2_rcbuf_get_buf(name);
	uint64_t status;

	(void)flags;
	(void)arg;
	if (r == NULL || frame->hd.type != NGHTTP2_HEADERS ||
	    (frame->headers.cat == NGHTTP2_HCAT_HEADERS && r->status >= 200))
		return 0; /* trailers are dropped */
	if (n.len == 7 && memcmp(n.base, ":status", 7) == 0) {
		nghttp2_vec v = nghttp2_rcbuf_get_buf(value);

		if (!str_to_u64(
			(struct str){(const char *)v.base, v.len}, 999, &status))
			return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
		r->status = (int)status;
		r->headers = (struct header_list){NULL, 0, 0, 0};
		return 0;
	}
	header_list_add(r->x->arena, &r->headers, copy_rcbuf(r->x->arena, name),
	    copy_rcbuf(r->x->arena, value));
	return r->headers.bytes > UPSTREAM_HEADER_BYTES
		   ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE
		   : 0;
}

static void
finish(struct upstream_conn *c, struct upstream_request *r)
{
	int32_t id = r->stream_id;
	bool early = !r->body_sent;
	struct exchange *x = let_go(c, r);

	if (early) /* answered without the whole request: the rest is not wanted */
		reset(c, id, NGHTTP2_CANCEL);
	exchange_up_end(x);
}

static int
on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct upstream_conn *c = arg;
	struct upstream_request *r;

	if (frame->hd.type == NGHTTP2_GOAWAY) {
		c->going = true;
		return 0;
	}
	if (frame->hd.type == NGHTTP2_SETTINGS) {
		upstream_pump(c->server);
		return 0;
	}
	r = frame->hd.stream_id != 0 ? request_of(session, frame->hd.stream_id) : NULL;
	if (r == NULL)
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS && r->status >= 200)
		exchange_up_head(r->x, r->status, &r->headers);
	/* The exchange may have let go from within. */
	r = request_of(session, frame->hd.stream_id);
	if (r != NULL && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 &&
	    (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA))
		finish(c, r);
	return 0;
}

static int
on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
    size_t len, void *arg)
{
	struct upstream_request *r = request_of(session, stream_id);

	(void)flags;
	(void)arg;
	(void)nghttp2_session_consume_connection(session, len);
	if (r == NULL) {
		(void)nghttp2_session_consume_stream(session, stream_id, len);
		return 0;
	}
	exchange_up_data(r->x, (const char *)data, len);
	return 0;
}

static int
on_close(nghttp2_session *session, int32_t stream_id, uint32_t code, void *arg)
{
	struct upstream_conn *c = arg;
	struct upstream_request *r = request_of(session, stream_id);
	struct exchange *x;

	if (r != NULL) {
		bool untouched = code == NGHTTP2_REFUSED_STREAM && r->status == 0 &&
				 r->x->req_bytes == 0;

		x = r->x;
		if (untouched) { /* the server promises not to have begun with it */
			(void)let_go(c, r);
			r->x = x;
			r->stream_id = 0;
			upstream_try_elsewhere(r);
		} else {
			exchange_up_failed(let_go(c, r), UPSTREAM_BROKEN,
			    nghttp2_http2_strerror(code));
		}
	}
	upstream_pump(c->server);
	return 0;
}

/* ---- what we send ---- */

static ssize_t
read_body(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t room,
    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct upstream_request *r = request_of(session, stream_id);
	size_t n = 0;

	(void)source;
	(void)arg;
	if (r == NULL)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* a reset is under way */
	while (n < room && r->x->req_body.len != 0) {
		struct str piece = iobuf_peek(&r->x->req_body);
		size_t take = piece.len < room - n ? piece.len : room - n;

		memcpy(buf + n, piece.ptr, take);
		exchange_request_drain(r->x, take);
		n += take;
	}
	if (r->x->req_ended && r->x->req_body.len == 0) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		r->body_sent = true;
	} else if (n == 0) {
		r->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	return (ssize_t)n;
}

static nghttp2_nv
nv(struct str name, struct str value)
{
	/* nghttp2 copies both; its prototype only lacks the const. */
	union {
		const char *in;
		uint8_t *out;
	} n = {.in = name.ptr}, v = {.in = value.ptr};

	return (nghttp2_nv){n.out, v.out, name.len, value.len, NGHTTP2_NV_FLAG_NONE};
}

/* An audit id never comes again: it has no place in the compressor's table. */
static nghttp2_nv
header_nv(const struct header *h)
{
	nghttp2_nv pair = nv(h->name, h->value);

	if (h->id == HEADER_AUDIT_ID)
		pair.flags |= NGHTTP2_NV_FLAG_NO_INDEX;
	return pair;
}

bool
upstream_h2_submit(struct upstream_conn *c, struct upstream_request *r)
{
	struct exchange *x = r->x;
	const struct header_identity identity = {
	    .mode = c->server->w->settings.identity,
	    .id = x->asks_as != NULL ? x->asks_as : x->id,
	    .on_behalf_of = x->asks_as != NULL ? x->id->user : STR(""),
	    .audit_id = str_from(x->audit_id),
	    .source = x->source,
	};
	const nghttp2_data_provider body = {.read_callback = read_body};
	struct header_list list = {NULL, 0, 0, 0};
	struct arena *scratch = x->w->scratch; /* nghttp2 copies what it is given */
	nghttp2_nv *nva;
	size_t n = 0;

	headers_to_upstream(
	    scratch, &x->req_headers, &x->facts, &x->info, &identity, &list);
	nva = ARENA_ARRAY(scratch, list.count + 5, nghttp2_nv);
	nva[n++] = nv(STR(":method"), x->method);
	nva[n++] = nv(STR(":scheme"), STR("https"));
	nva[n++] = nv(STR(":authority"), c->server->authority);
	nva[n++] = nv(STR(":path"), x->up_target);
	for (size_t i = 0; i < list.count; i++)
		nva[n++] = header_nv(&list.items[i]);
	if (x->facts.content_length >= 0)
		nva[n++] = nv(STR("content-length"),
		    header_decimal(scratch, (uint64_t)x->facts.content_length));
	r->body_sent = x->req_ended && x->req_body.len == 0;
	r->deferred = false;
	r->stream_id =
	    nghttp2_submit_request(c->h2, NULL, nva, n, r->body_sent ? NULL : &body, r);
	arena_reset(scratch);
	stream_want_flush(&c->stream);
	return r->stream_id > 0;
}

void
upstream_h2_body(struct upstream_request *r)
{
	if (!r->deferred)
		return;
	r->deferred = false;
	(void)nghttp2_session_resume_data(r->conn->h2, r->stream_id);
	stream_want_flush(&r->conn->stream);
}

void
upstream_h2_consumed(struct upstream_request *r, size_t n)
{
	(void)nghttp2_session_consume_stream(r->conn->h2, r->stream_id, n);
	stream_want_flush(&r->conn->stream);
}

void
upstream_h2_cancel(struct upstream_request *r)
{
	struct upstream_conn *c = r->conn;
	int32_t id = r->stream_id;

	(void)let_go(c, r);
	reset(c, id, NGHTTP2_CANCEL);
}

/* ---- the session ---- */

unsigned
upstream_h2_max_streams(const struct upstream_conn *c)
{
	uint32_t max = nghttp2_session_get_remote_settings(
	    c->h2, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

	return max == UINT32_MAX || max > 1000 ? MAX_STREAMS_UNKNOWN : max;
}

bool
upstream_h2_start(struct upstream_conn *c)
{
	const nghttp2_settings_entry settings[] = {
	    {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
	    {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, UPSTREAM_STREAM_WINDOW},
	};
	nghttp2_session_callbacks *cb = NULL;
	nghttp2_option *option = NULL;
	int rc;

	if (nghttp2_session_callbacks_new(&cb) != 0 || nghttp2_option_new(&option) != 0)
		base_die("out of memory");
	nghttp2_session_callbacks_set_on_header_callback2(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	nghttp2_option_set_no_auto_window_update(option, 1);
	/* Closed streams are kept for priorities only, which servers do not use. */
	nghttp2_option_set_no_closed_streams(option, 1);
	rc = nghttp2_session_client_new2(&c->h2, cb, c, option);
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(cb);
	if (rc != 0 ||
	    nghttp2_submit_settings(
		c->h2, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) != 0 ||
	    nghttp2_session_set_local_window_size(
		c->h2, NGHTTP2_FLAG_NONE, 0, UPSTREAM_CONNECTION_WINDOW) != 0)
		return false;
	stream_want_flush(&c->stream);
	return true;
}

void
upstream_h2_received(struct upstream_conn *c, const char *data, size_t len)
{
	ssize_t n = nghttp2_session_mem_recv(c->h2, (const uint8_t *)data, len);

	if (n < 0 || (size_t)n != len) {
		upstream_conn_fail(c, "the server breaks the protocol");
		return;
	}
	stream_want_flush(&c->stream);
}

void
upstream_h2_flush(struct upstream_conn *c)
{
	while (!stream_blocked(&c->stream)) {
		const uint8_t *data;
		ssize_t n = nghttp2_session_mem_send(c->h2, &data);

		if (n < 0) {
			upstream_conn_fail(c, "cannot make a frame");
			return;
		}
		if (n == 0)
			break;
		stream_put(&c->stream, data, (size_t)n);
	}
	if (nghttp2_session_want_read(c->h2) == 0 &&
	    nghttp2_session_want_write(c->h2) == 0)
		upstream_conn_fail(c, "the session has ended");
	else if (c->going && c->request_count == 0)
		stream_finish(&c->stream); /* nobody will ask for it again */
}
