/*
 * HTTP/2 with a client, by nghttp2. The connection's window counts what has not been
 * taken by an upstream yet, so that one connection cannot fill memory; answers are
 * written in turns by nghttp2's scheduler.
 */
#include <string.h>

#include "authn/proxy/worker_client.h"
#include "common/log.h"

#define MAX_STREAMS       100u
#define STREAM_WINDOW     (256 * 1024)
#define CONNECTION_WINDOW (4 * 1024 * 1024)
#define RESET_BURST       200
#define RESET_A_SECOND    33
#define UPDATES_MAX       10000
#define UPDATES_OF_DATA   10 /* for each DATA frame that is sent */
#define UPDATES_OF_STREAM 2
#define MAX_CONTINUATIONS                                                              \
	8 /* of one head: with the first frame more than the largest needs */

static struct exchange *
exchange_of(nghttp2_session *session, int32_t stream_id)
{
	return nghttp2_session_get_stream_user_data(session, stream_id);
}

static nghttp2_nv
nv(struct str name, struct str value)
{
	/* nghttp2's prototype lacks the const. Both live in the exchange's arena, which
	 * outlives the frame. */
	union {
		const char *in;
		uint8_t *out;
	} n = {.in = name.ptr}, v = {.in = value.ptr};

	return (nghttp2_nv){n.out, v.out, name.len, value.len,
	    NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
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

/* ---- what the exchange wants ---- */

/* Clients give windows back for what they were sent, each in his own way. */
static void
expect_updates(struct client_conn *c, uint32_t n)
{
	if (c->h2.updates < UPDATES_MAX)
		c->h2.updates += n;
}

static ssize_t
read_answer(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t room,
    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct exchange *x = source->ptr;
	size_t have = exchange_available(x), n = have < room ? have : room;

	(void)session;
	(void)stream_id;
	(void)buf;
	(void)arg;
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (exchange_ends_after(x, n)) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	} else if (n == 0) {
		x->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	return (ssize_t)n;
}

static int
send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *framehd,
    size_t length, nghttp2_data_source *source, void *arg)
{
	struct client_conn *c = arg;
	struct exchange *x = source->ptr;

	(void)session;
	(void)frame; /* never padded */
	expect_updates(c, UPDATES_OF_DATA);
	stream_put(&c->stream, framehd, 9);
	while (length != 0) {
		struct str piece = exchange_peek(x);

		if (piece.len > length)
			piece.len = length;
		stream_put(&c->stream, piece.ptr, piece.len);
		exchange_drain(x, piece.len);
		length -= piece.len;
	}
	return 0;
}

static void
on_respond(struct exchange *x)
{
	struct client_conn *c = x->client;
	const nghttp2_data_provider body = {
	    .source = {.ptr = x}, .read_callback = read_answer};
	nghttp2_nv *nva = ARENA_ARRAY(x->arena, x->res_headers.count + 1, nghttp2_nv);
	bool bodyless = exchange_finished(x) || str_is(x->method, "HEAD") ||
			x->status == 204 || x->status == 304;
	size_t n = 0;

	nva[n++] = nv(STR(":status"), header_decimal(x->arena, (uint64_t)x->status));
	for (size_t i = 0; i < x->res_headers.count; i++)
		nva[n++] = header_nv(&x->res_headers.items[i]);
	/* Fails only when the stream is gone, of which on_close tells. */
	(void)nghttp2_submit_response(
	    c->h2.session, x->stream_id, nva, n, bodyless ? NULL : &body);
	if (x->status == 401 && ++c->unauthenticated >= CLIENT_UNAUTHENTICATED_MAX)
		x->must_close = true;
	stream_want_flush(&c->stream);
}

static void
on_more(struct exchange *x)
{
	struct client_conn *c = x->client;

	if (x->deferred) {
		x->deferred = false;
		(void)nghttp2_session_resume_data(c->h2.session, x->stream_id);
	}
	stream_want_flush(&c->stream);
}

static void
on_consumed(struct exchange *x, size_t n)
{
	struct client_conn *c = x->client;

	x->unconsumed -= n < x->unconsumed ? n : x->unconsumed;
	(void)nghttp2_session_consume(c->h2.session, x->stream_id, n);
	stream_want_flush(&c->stream);
}

static void
on_go_ahead(struct exchange *x)
{
	struct client_conn *c = x->client;
	nghttp2_nv status = nv(STR(":status"), STR("100"));

	(void)nghttp2_submit_headers(
	    c->h2.session, NGHTTP2_FLAG_NONE, x->stream_id, NULL, &status, 1, NULL);
	stream_want_flush(&c->stream);
}

static void
on_cut(struct exchange *x)
{
	struct client_conn *c = x->client;

	(void)nghttp2_submit_rst_stream(
	    c->h2.session, NGHTTP2_FLAG_NONE, x->stream_id, NGHTTP2_INTERNAL_ERROR);
	stream_want_flush(&c->stream);
}

static const struct exchange_ops ops = {
    .respond = on_respond,
    .more = on_more,
    .consumed = on_consumed,
    .go_ahead = on_go_ahead,
    .cut = on_cut,
};

/* ---- what the client sends ---- */

static int
on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct client_conn *c = arg;
	struct exchange *x;

	if (frame->hd.type != NGHTTP2_HEADERS ||
	    frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	x = exchange_new(c->w, &ops, c, c->source_text, c->certificate);
	x->stream_id = frame->hd.stream_id;
	x->client_next = c->h2.exchanges;
	if (x->client_next != NULL)
		x->client_next->client_prev = x;
	c->h2.exchanges = x;
	c->h2.streams++;
	expect_updates(c, UPDATES_OF_STREAM);
	stream_set_deadline(&c->stream, 0);
	return nghttp2_session_set_stream_user_data(session, x->stream_id, x);
}

static struct str
copy_rcbuf(struct arena *arena, nghttp2_rcbuf *rc)
{
	nghttp2_vec v = nghttp2_rcbuf_get_buf(rc);

	if (nghttp2_rcbuf_is_static(rc)) /* lives for ever */
		return (struct str){(const char *)v.base, v.len};
	return str_dup(arena, (struct str){(const char *)v.base, v.len});
}

static void
take_header(struct exchange *x, struct str name, struct str value)
{
	if (str_is(name, ":method"))
		x->method = value;
	else if (str_is(name, ":path"))
		x->target = value;
	else if (str_is(name, ":authority"))
		x->authority = value;
	else if (name.ptr[0] != ':') /* of :scheme nghttp2 has seen to */
		header_list_add(x->arena, &x->req_headers, name, value);
}

static int
on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
    nghttp2_rcbuf *value, uint8_t flags, void *arg)
{
	struct exchange *x = exchange_of(session, frame->hd.stream_id);

	(void)flags;
	(void)arg;
	/* Trailers are dropped; of a list over the limit nothing more is kept. */
	if (x == NULL || x->state != EXCHANGE_HEAD ||
	    x->req_headers.bytes > HEADERS_MAX_BYTES)
		return 0;
	take_header(x, copy_rcbuf(x->arena, name), copy_rcbuf(x->arena, value));
	return 0;
}

/* A name or value that HTTP/2 forbids: nghttp2 would leave it out silently. */
static int
on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
    nghttp2_rcbuf *name, nghttp2_rcbuf *value, uint8_t flags, void *arg)
{
	struct exchange *x = exchange_of(session, frame->hd.stream_id);

	(void)name;
	(void)value;
	(void)flags;
	(void)arg;
	if (x != NULL)
		x->malformed = true;
	return 0;
}

static void
start_request(struct client_conn *c, struct exchange *x, bool ended)
{
	const struct header *host = header_find(&x->req_headers, HEADER_HOST);

	x->req_ended = ended;
	if (host == NULL && x->authority.len != 0)
		header_list_add(x->arena, &x->req_headers, STR("host"), x->authority);
	if (x->malformed || x->target.len == 0 || x->target.ptr[0] != '/' ||
	    (host != NULL && x->authority.len != 0 &&
		!str_eq(host->value, x->authority)) ||
	    (host == NULL && x->authority.len == 0)) {
		exchange_refuse(x, 400, "the request's headers are malformed");
		return;
	}
	if (c->h2.leaving && !c->w->draining)
		x->must_close = true;
	exchange_start(x, false);
}

static bool
has_a_reason(struct client_conn *c, const nghttp2_frame_hd *hd)
{
	switch (hd->type) {
	case NGHTTP2_HEADERS:
		return true;
	case NGHTTP2_DATA:
		return hd->length != 0 || (hd->flags & NGHTTP2_FLAG_END_STREAM) != 0;
	case NGHTTP2_WINDOW_UPDATE:
		if (c->h2.updates == 0)
			return false;
		c->h2.updates--;
		return true;
	default:
		return false;
	}
}

/* PING, SETTINGS, PRIORITY and the like cost work and carry nothing: within reason. */
static bool
control_allowed(struct client_conn *c, const nghttp2_frame *frame)
{
	if (has_a_reason(c, &frame->hd) || ++c->h2.control <= CLIENT_CONTROL_BURST)
		return true;
	log_warn("client-flood", "source=%s frame-type=%u", c->source, frame->hd.type);
	(void)nghttp2_session_terminate_session(
	    c->h2.session, NGHTTP2_ENHANCE_YOUR_CALM);
	return false;
}

static int
on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct client_conn *c = arg;
	bool ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
	struct exchange *x;

	if (!control_allowed(c, frame) || frame->hd.stream_id == 0)
		return 0;
	x = exchange_of(session, frame->hd.stream_id);
	if (x == NULL)
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS &&
	    frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		start_request(c, x, ended);
	else if (ended &&
		 (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS))
		exchange_request_end(x);
	return 0;
}

static int
on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
    size_t len, void *arg)
{
	struct exchange *x = exchange_of(session, stream_id);

	(void)flags;
	(void)arg;
	if (x == NULL) {
		(void)nghttp2_session_consume(session, stream_id, len);
		return 0;
	}
	x->unconsumed += len;
	exchange_request_data(x, (const char *)data, len);
	return 0;
}

static void
forget_exchange(struct client_conn *c, struct exchange *x)
{
	if (x->client_prev != NULL)
		x->client_prev->client_next = x->client_next;
	else
		c->h2.exchanges = x->client_next;
	if (x->client_next != NULL)
		x->client_next->client_prev = x->client_prev;
	c->h2.streams--;
	exchange_free(x);
}

static int
on_close(nghttp2_session *session, int32_t stream_id, uint32_t code, void *arg)
{
	struct client_conn *c = arg;
	struct exchange *x = exchange_of(session, stream_id);

	(void)code;
	if (x == NULL)
		return 0;
	if (x->must_close)
		http2_client_leave(c);
	/* What nobody will take any more must not narrow the connection's window. */
	(void)nghttp2_session_consume_connection(session, x->unconsumed);
	forget_exchange(c, x);
	if (c->h2.streams == 0)
		stream_set_deadline(&c->stream, c->w->settings.limits.idle_ms);
	return 0;
}

/* The answer is out: a request that is still being sent is not wanted any more. */
static int
on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct exchange *x;

	(void)arg;
	if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0 ||
	    (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS))
		return 0;
	x = exchange_of(session, frame->hd.stream_id);
	if (x != NULL && !x->req_ended)
		(void)nghttp2_submit_rst_stream(
		    session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
	return 0;
}

/* Frames that fill the TLS record that is being made. */
static ssize_t
frame_length(nghttp2_session *session, uint8_t type, int32_t stream_id,
    int32_t session_window, int32_t stream_window, uint32_t max_frame, void *arg)
{
	struct client_conn *c = arg;
	ssize_t room = (ssize_t)stream_room(&c->stream) - 9;

	(void)session;
	(void)type;
	(void)stream_id;
	if (room < 1024)
		room = STREAM_RECORD_BYTES - 9;
	room = room < session_window ? room : session_window;
	room = room < stream_window ? room : stream_window;
	return room < (ssize_t)max_frame ? room : (ssize_t)max_frame;
}

/* ---- the session ---- */

static void
set_callbacks(nghttp2_session_callbacks *cb)
{
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback2(cb, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback2(
	    cb, on_invalid_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
	nghttp2_session_callbacks_set_send_data_callback(cb, send_data);
	nghttp2_session_callbacks_set_data_source_read_length_callback(
	    cb, frame_length);
}

bool
http2_client_start(struct client_conn *c)
{
	const nghttp2_settings_entry settings[] = {
	    {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, MAX_STREAMS},
	    {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
	    {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADERS_MAX_BYTES},
	};
	nghttp2_session_callbacks *cb = NULL;
	nghttp2_option *option = NULL;
	int rc;

	if (nghttp2_session_callbacks_new(&cb) != 0 || nghttp2_option_new(&option) != 0)
		base_die("out of memory");
	set_callbacks(cb);
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_option_set_no_closed_streams(option, 1);
	nghttp2_option_set_stream_reset_rate_limit(option, RESET_BURST, RESET_A_SECOND);
	nghttp2_option_set_max_continuations(option, MAX_CONTINUATIONS);
	rc = nghttp2_session_server_new2(&c->h2.session, cb, c, option);
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(cb);
	if (rc != 0 ||
	    nghttp2_submit_settings(
		c->h2.session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) != 0 ||
	    nghttp2_session_set_local_window_size(
		c->h2.session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW) != 0)
		return false;
	stream_set_deadline(&c->stream, c->w->settings.limits.header_ms);
	stream_want_flush(&c->stream);
	return true;
}

void
http2_client_received(struct client_conn *c, const char *data, size_t len)
{
	ssize_t n = nghttp2_session_mem_recv(c->h2.session, (const uint8_t *)data, len);

	if (n < 0) {
		if (n == NGHTTP2_ERR_FLOODED)
			log_warn("client-flood", "source=%s", c->source);
		stream_close(&c->stream);
		return;
	}
	stream_want_flush(&c->stream);
}

void
http2_client_flush(struct client_conn *c)
{
	while (!stream_blocked(&c->stream)) {
		const uint8_t *data;
		ssize_t n = nghttp2_session_mem_send(c->h2.session, &data);

		if (n < 0) {
			stream_close(&c->stream);
			return;
		}
		if (n == 0)
			break;
		stream_put(&c->stream, data, (size_t)n);
	}
	if (nghttp2_session_want_read(c->h2.session) == 0 &&
	    nghttp2_session_want_write(c->h2.session) == 0)
		stream_finish(&c->stream);
}

void
http2_client_leave(struct client_conn *c)
{
	int32_t last = nghttp2_session_get_last_proc_stream_id(c->h2.session);

	if (c->h2.leaving)
		return;
	c->h2.leaving = true;
	(void)nghttp2_submit_goaway(
	    c->h2.session, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL, 0);
	stream_set_deadline(&c->stream, 0);
	stream_want_flush(&c->stream);
}

void
http2_client_fini(struct client_conn *c)
{
	/* nghttp2 does not tell of open streams when a session is freed. */
	while (c->h2.exchanges != NULL)
		forget_exchange(c, c->h2.exchanges);
	nghttp2_session_del(c->h2.session);
	c->h2.session = NULL;
}
