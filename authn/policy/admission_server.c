/*
 * HTTPS for API servers alone: without a certificate that the CA signed there is no
 * connection, and under another name than those configured no answer. HTTP/1.1, one request at
 * a time; whatever is odd ends the connection.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "authn/budget/budget_state.h"
#include "authn/proxy/http1_parse.h"
#include "authn/tls/tls.h"
#include "common/log.h"

#define CONNECTIONS_MAX 64u
#define HANDSHAKE_MS    10000
#define REQUEST_MS      30000
#define IDLE_MS         120000
#define HEAD_BYTES      (16u * 1024)

struct caller {
	struct stream stream;
	struct budget_role *role;
	struct caller *next; /* of all */
	uint64_t serial;     /* names it to whom judges elsewhere */
	bool waiting;        /* somebody judges */
	bool known;          /* its name may ask */
	struct buf in, out;
	size_t sent;
	size_t scanned; /* of `in`, for the end of the head */
	size_t wanted;  /* bytes of head and body; 0: the head is not complete */
	struct http1_request request;
	struct arena *arena; /* of the request */
	bool close_after;
};

/* ---- answers ---- */

static void
respond(struct caller *c, int code, const char *type, struct str body)
{
	static const struct {
		int code;
		const char *phrase;
	} phrases[] = {
	    {200, "OK"},
	    {400, "Bad Request"},
	    {403, "Forbidden"},
	    {404, "Not Found"},
	    {405, "Method Not Allowed"},
	    {411, "Length Required"},
	    {413, "Payload Too Large"},
	    {503, "Service Unavailable"},
	};
	const char *phrase = "Error";

	for (size_t i = 0; i < ARRAY_LEN(phrases); i++) {
		if (phrases[i].code == code)
			phrase = phrases[i].phrase;
	}
	if (code != 200)
		c->close_after = true;
	buf_printf(&c->out,
	    "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
	    "Cache-Control: no-store\r\n%s\r\n",
	    code, phrase, type, body.len,
	    c->close_after ? "Connection: close\r\n" : "");
	buf_add_str(&c->out, body);
	stream_want_flush(&c->stream);
}

static void
refuse(struct caller *c, int code, const char *text)
{
	c->role->malformed += code == 400;
	c->close_after = true;
	respond(c, code, "text/plain", str_from(text));
}

static void
respond_reviewed(struct caller *c, enum admission_result result, struct str body)
{
	struct budget_role *role = c->role;

	switch (result) {
	case ADMISSION_MALFORMED:
		role->malformed++;
		respond(c, 400, "text/plain", body);
		return;
	case ADMISSION_ALLOWED:
		role->allowed++;
		break;
	case ADMISSION_DENIED:
		role->denied++;
		break;
	case ADMISSION_UNKNOWN:
		role->unknown++;
		break;
	}
	respond(c, 200, "application/json", body);
}

/* By one gate alone: judged at once, and answered when it is in the journal. */
static enum admission_result
review_here(struct budget_role *role, struct str body, struct buf *out)
{
	enum admission_result result;
	struct err err = ERR_INIT;
	uint64_t mark;
	int rc = 0;

	(void)pthread_mutex_lock(&role->lock); /* cannot fail: it is our own */
	mark = budget_ledger_mark(role->ledger);
	result = admission_review(role->ledger, &role->plan, body, monotime_now(), out);
	if (budget_ledger_mark(role->ledger) != mark)
		rc = budget_journal_note(
		    &role->journal, role->ledger, &role->plan, mark, &err);
	if (rc != 0)
		budget_ledger_undo(role->ledger, mark);
	(void)pthread_mutex_unlock(&role->lock);
	if (rc == 0)
		return result;
	log_error("budget-journal", "detail=%s", log_quote(str_from(err.msg)));
	buf_clear(out);
	return admission_unknown(
	    body, "what is admitted cannot be written down; try again", out);
}

/* For who judges elsewhere, and answers by admission_server_answer. */
static struct budget_review *
new_review(struct caller *c, struct str body)
{
	struct budget_review *review = xcalloc(1, sizeof(*review));

	review->asker = c->serial;
	buf_add_str(&review->body, body);
	c->waiting = true;
	return review;
}

static void
answer_review(struct caller *c, struct str body)
{
	struct buf out = {NULL, 0, 0};
	enum admission_result result;

	if (c->role->share != NULL) {
		budget_share_ask(c->role->share, new_review(c, body));
		return;
	}
	result = review_here(c->role, body, &out);
	respond_reviewed(c, result, buf_str(&out));
	buf_free(&out);
}

void
admission_server_answer(struct budget_role *role, struct budget_review *review)
{
	struct caller *c = role->callers;

	while (c != NULL && c->serial != review->asker)
		c = c->next;
	if (c != NULL &&
	    c->waiting) { /* else it is gone: what it asked stays charged */
		c->waiting = false;
		respond_reviewed(c, review->result, buf_str(&review->answer));
	}
	budget_review_free(review);
}

static void
answer_ready(struct caller *c)
{
	bool synced;

	(void)pthread_mutex_lock(&c->role->lock); /* cannot fail: it is our own */
	synced = budget_ledger_synced(c->role->ledger);
	(void)pthread_mutex_unlock(&c->role->lock);
	if (c->role->share != NULL)
		synced = synced && budget_share_connected(c->role->share);
	if (c->role->reviews != NULL)
		synced = synced && policy_watch_synced(c->role->reviews);
	respond(c, synced ? 200 : 503, "text/plain",
	    synced ? STR("ok\n") : STR("not yet\n"));
}

static void
answer(struct caller *c, struct str body)
{
	const struct http1_request *r = &c->request;
	const struct str path = str_slice(r->target, 0, str_find(r->target, '?', 0));

	c->close_after = !r->keep_alive;
	if (!c->known)
		refuse(c, 403, "this certificate's name may not ask\n");
	else if (str_is(path, "/readyz") && str_is(r->method, "GET"))
		answer_ready(c);
	else if (!str_is(path, "/admission") &&
		 (!str_is(path, "/policy") || c->role->reviews == NULL))
		refuse(c, 404, "ask POST /admission\n");
	else if (!str_is(r->method, "POST"))
		refuse(c, 405, "ask POST /admission\n");
	else if (str_is(path, "/policy"))
		policy_watch_ask(c->role->reviews, new_review(c, body));
	else
		answer_review(c, body);
}

/* ---- requests ---- */

static bool
read_head(struct caller *c)
{
	long n = http1_head_length(c->in.data, c->in.len, c->scanned);
	enum http1_problem problem;
	char *head;

	c->scanned = c->in.len;
	if (n == 0 && c->in.len <= HEAD_BYTES)
		return false;
	if (n <= 0 || n > (long)HEAD_BYTES) {
		refuse(c, 400, "no HTTP request\n");
		return false;
	}
	arena_reset(c->arena);
	head = arena_strndup(c->arena, c->in.data, (size_t)n);
	problem = http1_parse_head(c->arena, head, (size_t)n, &c->request);
	if (problem != HTTP1_OK) {
		refuse(c, 400, http1_problem_text(problem));
	} else if (c->request.chunked) {
		refuse(c, 411, "Content-Length is needed\n");
	} else if (c->request.content_length > (int64_t)ADMISSION_BODY_BYTES) {
		refuse(c, 413, "the review is too large\n");
	} else {
		c->wanted = (size_t)n + (c->request.content_length > 0
						? (size_t)c->request.content_length
						: 0);
		return true;
	}
	return false;
}

static void
read_input(struct caller *c)
{
	struct str body;
	size_t taken;

	/* The next request waits until this answer is out. */
	if (c->waiting || c->out.len != 0 || c->in.len == 0 ||
	    (c->wanted == 0 && !read_head(c)) || c->in.len < c->wanted)
		return;
	taken = c->wanted;
	body = str_slice(buf_str(&c->in),
	    taken -
		(c->request.content_length > 0 ? (size_t)c->request.content_length : 0),
	    taken);
	answer(c, body);
	memmove(c->in.data, c->in.data + taken, c->in.len - taken);
	c->in.len -= taken;
	c->wanted = c->scanned = 0;
}

/* ---- the stream ---- */

static bool
may_ask(const struct caller *c, const SSL *ssl)
{
	const struct budget_role_settings *own = &c->role->own;
	const struct str name = tls_peer_name(ssl, c->arena);

	if (own->caller_count == 0)
		return SSL_get0_peer_certificate(ssl) != NULL;
	for (size_t i = 0; i < own->caller_count && name.len != 0; i++) {
		if (str_eq(own->callers[i], name))
			return true;
	}
	return false;
}

static void
on_opened(struct stream *s)
{
	struct caller *c = CONTAINER_OF(s, struct caller, stream);

	c->known = may_ask(c, s->ssl);
	if (!c->known)
		c->role->strangers++;
	stream_set_deadline(s, REQUEST_MS);
}

static void
on_received(struct stream *s, const char *data, size_t len)
{
	struct caller *c = CONTAINER_OF(s, struct caller, stream);

	if (c->close_after)
		return; /* whatever comes behind it */
	if (c->in.len == 0)
		stream_set_deadline(s, REQUEST_MS);
	if (c->in.len + len > ADMISSION_BODY_BYTES + 2 * HEAD_BYTES) {
		stream_close(s);
		return;
	}
	buf_add(&c->in, data, len);
	read_input(c);
}

static void
on_flush(struct stream *s)
{
	struct caller *c = CONTAINER_OF(s, struct caller, stream);

	while (c->sent < c->out.len && !stream_blocked(s)) {
		size_t n = c->out.len - c->sent;

		n = n < STREAM_RECORD_BYTES ? n : STREAM_RECORD_BYTES;
		stream_put(s, c->out.data + c->sent, n);
		c->sent += n;
	}
	if (c->sent < c->out.len || c->out.len == 0)
		return;
	buf_clear(&c->out);
	c->sent = 0;
	if (c->close_after) {
		stream_finish(s);
		return;
	}
	stream_set_deadline(s, IDLE_MS);
	read_input(c);
}

static void
on_ended(struct stream *s, bool clean)
{
	(void)clean; /* a request in part is none */
	stream_close(s);
}

static void
on_failed(struct stream *s, const struct err *err)
{
	if (err != NULL)
		log_info(
		    "admission-connection", "detail=%s", log_quote(str_from(err->msg)));
	stream_close(s);
}

static void
on_closed(struct stream *s)
{
	struct caller *c = CONTAINER_OF(s, struct caller, stream);
	struct caller **at = &c->role->callers;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->role->connections--;
	buf_free(&c->in);
	buf_free(&c->out);
	arena_free(c->arena);
	free(c);
}

static const struct stream_ops ops = {
    .opened = on_opened,
    .received = on_received,
    .ended = on_ended,
    .flush = on_flush,
    .failed = on_failed,
    .closed = on_closed,
};

static void
on_listener(uv_poll_t *handle, int status, int events)
{
	struct budget_role *role = handle->data;
	int fd;

	(void)status;
	(void)events;
	while ((fd = accept4(
		    role->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		SSL *ssl =
		    role->connections < CONNECTIONS_MAX ? SSL_new(role->tls) : NULL;
		struct caller *c;

		if (ssl == NULL) {
			(void)close(fd); /* nothing was sent */
			continue;
		}
		c = xcalloc(1, sizeof(*c));
		c->role = role;
		c->arena = arena_new_sized(4096);
		c->serial = ++role->next_caller;
		c->next = role->callers;
		role->callers = c;
		role->connections++;
		stream_accept(&c->stream, &role->hub, &ops, fd, ssl);
		stream_set_deadline(&c->stream, HANDSHAKE_MS);
	}
}

int
admission_server_start(struct budget_role *role, struct err *err)
{
	const struct tls_server_options options = {
	    .certificate = role->settings.tls_certificate,
	    .client_ca = role->settings.client_ca,
	    /* Go asks webhooks by HTTP/2 when it is offered; one protocol is enough. */
	    .alpn = TLS_ALPN_HTTP1_ONLY,
	};

	if (options.client_ca.len == 0)
		return err_set(err, ERR_INVALID, "admission needs a client CA");
	role->tls = tls_server_new(&options, err);
	if (role->tls == NULL)
		return err->code;
	/* Here a certificate is no choice. */
	SSL_CTX_set_verify(
	    role->tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	role->listener.data = role;
	if (uv_poll_init(&role->loop, &role->listener, role->listen_fd) != 0 ||
	    uv_poll_start(&role->listener, UV_READABLE, on_listener) != 0)
		return err_set(err, ERR_SYSTEM, "cannot watch the admission listener");
	return 0;
}
