#include "authn/proxy/stream_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "authn/tls/tls.h"

#define READ_BUDGET                                                                    \
	(256 * 1024) /* per stream and turn, so that one cannot starve others */
#define LINGER_MS         2000
#define LINGER_BYTES      (1024 * 1024)
#define FINISH_TIMEOUT_MS 10000

static void on_poll(uv_poll_t *handle, int status, int events);

/* ---- lists ---- */

static void
add_again(struct stream *s)
{
	struct stream **end = &s->hub->again;

	if (s->again)
		return;
	while (*end != NULL) /* few, if any, are on this list */
		end = &(*end)->again_next;
	s->again = true;
	s->again_next = NULL;
	*end = s;
	(void)uv_idle_start(&s->hub->idle, s->hub->idle.idle_cb);
}

void
stream_want_flush(struct stream *s)
{
	/* Whoever flushes at this moment goes on until nothing is left anyway. */
	if (s->dirty || s->flushing || s->state == STREAM_CLOSED ||
	    s->state == STREAM_LINGER)
		return;
	s->dirty = true;
	s->dirty_next = s->hub->dirty;
	s->hub->dirty = s;
}

static void
unlink_from(struct stream **list, struct stream *s, size_t next_offset)
{
	while (*list != NULL && *list != s)
		list = (struct stream **)(void *)((char *)*list + next_offset);
	if (*list != NULL)
		*list = *(struct stream **)(void *)((char *)s + next_offset);
}

static void
forget(struct stream *s)
{
	if (s->dirty)
		unlink_from(&s->hub->dirty, s, offsetof(struct stream, dirty_next));
	if (s->again)
		unlink_from(&s->hub->again, s, offsetof(struct stream, again_next));
	s->dirty = s->again = false;
	if (s->prev != NULL)
		s->prev->next = s->next;
	else
		s->hub->all = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	s->hub->count--;
}

/* ---- polling ---- */

static void
update_poll(struct stream *s)
{
	int events = 0;

	if (s->state == STREAM_CLOSED)
		return;
	if (!s->paused && !s->saw_end && !s->signing)
		events |= UV_READABLE;
	if (s->state == STREAM_CONNECTING || s->pending_len != s->pending_pos)
		events |= UV_WRITABLE;
	if (events == s->events)
		return;
	s->events = events;
	if (events == 0)
		(void)uv_poll_stop(&s->poll);
	else
		(void)uv_poll_start(&s->poll, events, on_poll);
}

static void
stream_fail(struct stream *s, enum err_code code, const char *what)
{
	struct err err = ERR_INIT;

	if (s->state == STREAM_CLOSED)
		return;
	(void)tls_error(&err, code, what);
	if (s->state == STREAM_LINGER)
		stream_close(s);
	else
		s->ops->failed(s, &err);
}

/* ---- writing ---- */

/* Makes a record of what is staged. A failure shows once the owner is out of the way. */
static void
encrypt_staged(struct stream_hub *hub)
{
	struct stream *s = hub->staged;
	size_t len = hub->staging_len, n;

	hub->staged = NULL;
	hub->staging_len = 0;
	if (s == NULL || len == 0 || s->broken)
		return;
	ERR_clear_error();
	if (SSL_write_ex(s->ssl, hub->staging, len, &n) != 1 || n != len)
		s->broken = true;
}

/* Reports a failure to send; true if there was one. */
static bool
report_broken(struct stream *s)
{
	if (!s->broken || s->state == STREAM_CLOSED)
		return s->broken;
	s->saw_end = true;
	update_poll(s);
	stream_fail(s, ERR_UNAVAILABLE, "cannot send");
	return true;
}

bool
stream_blocked(const struct stream *s)
{
	return s->pending_len != s->pending_pos || s->broken || s->state != STREAM_OPEN;
}

size_t
stream_room(const struct stream *s)
{
	return s->hub->staged == s ? STREAM_RECORD_BYTES - s->hub->staging_len
				   : STREAM_RECORD_BYTES;
}

void
stream_put(struct stream *s, const void *data, size_t len)
{
	struct stream_hub *hub = s->hub;
	const char *from = data;

	if (s->state == STREAM_CLOSED || s->state == STREAM_LINGER)
		return;
	if (hub->staged != s)
		encrypt_staged(hub);
	while (len != 0) {
		size_t n = STREAM_RECORD_BYTES - hub->staging_len;

		hub->staged = s;
		n = n < len ? n : len;
		memcpy(hub->staging + hub->staging_len, from, n);
		hub->staging_len += n;
		from += n;
		len -= n;
		if (hub->staging_len == STREAM_RECORD_BYTES)
			encrypt_staged(hub);
	}
	stream_want_flush(s); /* somebody must send the rest of the record */
}

void
stream_flush_now(struct stream *s)
{
	if (s->state != STREAM_OPEN)
		return;
	if (s->pending_len != s->pending_pos)
		stream_send_pending(s);
	s->flushing = true;
	if (!stream_blocked(s))
		s->ops->flush(s);
	s->flushing = false;
	if (s->state == STREAM_CLOSED)
		return;
	if (s->hub->staged == s)
		encrypt_staged(s->hub);
	stream_send_wire(s);
	if (!report_broken(s))
		update_poll(s);
}

/* ---- reading ---- */

static void
on_end(struct stream *s, bool clean)
{
	s->saw_end = true;
	update_poll(s);
	if (s->state == STREAM_LINGER)
		stream_close(s);
	else
		s->ops->ended(s, clean);
}

/* One SSL_read; true to go on. */
static bool
read_once(struct stream *s, size_t *budget)
{
	size_t n;
	int rc;

	ERR_clear_error();
	rc = SSL_read_ex(s->ssl, s->hub->scratch, STREAM_SCRATCH_BYTES, &n);
	if (rc == 1) {
		s->bytes_in += n;
		*budget -= n < *budget ? n : *budget;
		if (s->state == STREAM_OPEN)
			s->ops->received(s, s->hub->scratch, n);
		else if (s->state == STREAM_LINGER && (s->lingered += n) > LINGER_BYTES)
			stream_close(s);
		return s->state != STREAM_CLOSED && !s->paused;
	}
	rc = SSL_get_error(s->ssl, rc);
	if (rc == SSL_ERROR_WANT_READ) {
		update_poll(s);
	} else if (rc == SSL_ERROR_ZERO_RETURN) {
		on_end(s, true);
	} else if (rc == SSL_ERROR_SSL && ERR_GET_REASON(ERR_peek_error()) ==
					      SSL_R_UNEXPECTED_EOF_WHILE_READING) {
		ERR_clear_error();
		on_end(s, false);
	} else {
		s->saw_end = true;
		update_poll(s);
		stream_fail(s, ERR_UNAVAILABLE, "cannot receive");
	}
	return false;
}

void
stream_read(struct stream *s)
{
	size_t budget = READ_BUDGET;

	while (!s->paused && !s->saw_end && read_once(s, &budget)) {
		/* Another SSL_read would cost a system call that finds nothing; only
		 * go on for what OpenSSL holds already. */
		if (budget == 0 || SSL_has_pending(s->ssl) == 0)
			break;
	}
	if (s->state == STREAM_CLOSED)
		return;
	stream_send_wire(s); /* an answer of OpenSSL's own, such as a key update */
	if (report_broken(s))
		return;
	if (!s->paused && !s->saw_end && SSL_has_pending(s->ssl) != 0)
		add_again(s);
}

static void
handshake(struct stream *s)
{
	int rc;

	ERR_clear_error();
	rc = SSL_do_handshake(s->ssl);
	if (rc != 1) {
		const int why = SSL_get_error(s->ssl, rc);

		s->signing = why == SSL_ERROR_WANT_ASYNC;
		rc = s->signing || why == SSL_ERROR_WANT_READ ? 0 : -1;
	}
	stream_send_wire(s); /* what the handshake has to say, an alert too */
	if (rc == 1) {
		s->state = STREAM_OPEN;
		s->deadline.ns = 0;
		(void)SSL_clear_mode(s->ssl, SSL_MODE_ASYNC);
		s->ops->opened(s);
		if (s->state == STREAM_CLOSED)
			return;
		update_poll(s);
		stream_read(s);
		return;
	}
	if (rc == 0 && !s->broken)
		update_poll(s);
	else
		stream_fail(s, ERR_UNAVAILABLE, "TLS handshake");
}

/* The signature that a handshake waited for is there, or will not come. */
static int
on_signed(SSL *ssl, void *arg)
{
	struct stream *s = arg;

	(void)ssl;
	s->signing = false;
	handshake(s);
	return 1;
}

/* What waits is on a stack of its own: entered once more, it ends there. */
static void
give_up_signing(struct stream *s)
{
	s->signing = false;
	s->broken = true; /* nothing is to be said any more */
	(void)SSL_do_handshake(s->ssl);
	ERR_clear_error();
}

static void
finish_connect(struct stream *s)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		error = errno;
	if (error != 0) {
		struct err err = ERR_INIT;

		errno = error;
		(void)err_sys(&err, "connect");
		s->ops->failed(s, &err);
		return;
	}
	s->state = STREAM_HANDSHAKE;
	handshake(s);
}

/* Everything is sent: says so on the socket too, and waits for the peer to see it. */
static void
say_goodbye(struct stream *s)
{
	(void)shutdown(s->fd, SHUT_WR);
	stream_set_deadline(s, LINGER_MS);
	if (s->saw_end || s->broken)
		stream_close(s);
	else
		update_poll(s);
}

static void
on_writable(struct stream *s)
{
	if (s->state == STREAM_OPEN) {
		stream_want_flush(s);
		return;
	}
	stream_send_pending(s);
	if (s->state == STREAM_LINGER && s->pending_len == s->pending_pos)
		say_goodbye(s);
	else
		update_poll(s);
}

/* An error is pending on the socket, and libuv has stopped the handle: nothing will call
 * again. What the peer sent before can still be read; behind it the error comes. */
static void
on_socket_error(struct stream *s)
{
	size_t budget = SIZE_MAX;

	s->events = 0;
	while (!s->signing && s->state != STREAM_CLOSED && !s->paused && !s->saw_end &&
	       read_once(s, &budget)) {
		/* until it fails */
	}
	if (!s->saw_end)
		stream_fail(s, ERR_UNAVAILABLE, "connection");
}

static void
on_poll(uv_poll_t *handle, int status, int events)
{
	struct stream *s = handle->data;

	if (s->state == STREAM_CONNECTING) {
		finish_connect(s);
		return;
	}
	if ((events & UV_WRITABLE) != 0 && s->pending_len != s->pending_pos)
		on_writable(s);
	if (s->state == STREAM_HANDSHAKE && !s->signing)
		handshake(s);
	else if (status < 0 && s->state != STREAM_CLOSED)
		on_socket_error(s);
	else if ((events & UV_READABLE) != 0 && s->state != STREAM_CLOSED)
		stream_read(s);
}

/* ---- life ---- */

static void
start(struct stream *s, struct stream_hub *hub, const struct stream_ops *ops, int fd,
    SSL *ssl, enum stream_state state)
{
	BIO *bio = stream_bio_new(s);
	const int on = 1;

	*s = (struct stream){
	    .hub = hub, .ops = ops, .fd = fd, .ssl = ssl, .state = state};
	SSL_set_bio(ssl, bio, bio);
	if (SSL_set_async_callback(ssl, on_signed) != 1 ||
	    SSL_set_async_callback_arg(ssl, s) != 1)
		base_die("cannot set a callback");
	if (uv_poll_init(hub->loop, &s->poll, fd) != 0)
		base_die("cannot watch a socket");
	/* A turn's bytes leave at its end: there is nothing to wait for. Best effort: without
	 * it things are slower. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	s->poll.data = s;
	s->next = hub->all;
	if (hub->all != NULL)
		hub->all->prev = s;
	hub->all = s;
	hub->count++;
	update_poll(s);
}

void
stream_accept(struct stream *s, struct stream_hub *hub, const struct stream_ops *ops,
    int fd, SSL *ssl)
{
	start(s, hub, ops, fd, ssl, STREAM_HANDSHAKE);
	SSL_set_accept_state(ssl);
}

void
stream_connect(struct stream *s, struct stream_hub *hub, const struct stream_ops *ops,
    int fd, SSL *ssl)
{
	start(s, hub, ops, fd, ssl, STREAM_CONNECTING);
}

void
stream_pause(struct stream *s)
{
	s->paused = true;
	update_poll(s);
}

void
stream_resume(struct stream *s)
{
	if (!s->paused || s->state == STREAM_CLOSED)
		return;
	s->paused = false;
	update_poll(s);
	/* What OpenSSL has read ahead never shows on the socket. */
	if (s->state == STREAM_OPEN && SSL_has_pending(s->ssl) != 0)
		add_again(s);
}

void
stream_set_deadline(struct stream *s, uint64_t timeout_ms)
{
	s->deadline.ns =
	    timeout_ms != 0 ? monotime_now().ns + timeout_ms * 1000000u : 0;
}

/* close_notify, behind everything else. */
static void
send_close_notify(struct stream *s)
{
	if (s->hub->staged == s)
		encrypt_staged(s->hub);
	ERR_clear_error();
	(void)SSL_shutdown(s->ssl); /* 0: sent, the peer's is outstanding */
	ERR_clear_error();
	stream_send_wire(s);
}

void
stream_end_writing(struct stream *s)
{
	if (s->state != STREAM_OPEN)
		return;
	send_close_notify(s);
	update_poll(s);
}

void
stream_finish(struct stream *s)
{
	if (s->state == STREAM_CLOSED || s->state == STREAM_LINGER)
		return;
	if (s->state != STREAM_OPEN) {
		stream_close(s);
		return;
	}
	send_close_notify(s);
	s->paused = false;
	s->state = STREAM_LINGER;
	if (s->pending_len == s->pending_pos) {
		say_goodbye(s);
		return;
	}
	/* The socket is full: the rest goes out while lingering. */
	stream_set_deadline(s, FINISH_TIMEOUT_MS);
	update_poll(s);
}

static void
on_closed(uv_handle_t *handle)
{
	struct stream *s = handle->data;

	s->ops->closed(s);
}

void
stream_close(struct stream *s)
{
	if (s->state == STREAM_CLOSED)
		return;
	if (s->hub->staged == s) {
		s->hub->staged = NULL;
		s->hub->staging_len = 0;
	}
	if (s->hub->wire_owner == s) {
		s->hub->wire_owner = NULL;
		s->hub->wire_len = 0;
	}
	if (s->signing)
		give_up_signing(s);
	s->state = STREAM_CLOSED;
	forget(s);
	stream_drop_pending(s);
	(void)uv_poll_stop(&s->poll);
	uv_close((uv_handle_t *)&s->poll, on_closed);
	SSL_free(s->ssl);
	s->ssl = NULL;
	(void)close(s->fd);
	s->fd = -1;
}
