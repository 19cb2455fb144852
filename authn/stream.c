#include "authn/stream.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "authn/tls.h"

#define SCRATCH_BYTES (64 * 1024)
#define READ_BUDGET                                                                    \
	(256 * 1024) /* per stream and turn, so that one cannot starve others */
#define LINGER_MS         2000
#define LINGER_BYTES      (1024 * 1024)
#define PENDING_KEEP      0 /* idle streams keep no buffer */
#define FINISH_TIMEOUT_MS 10000

static void on_poll(uv_poll_t *handle, int status, int events);

/* ---- lists ---- */

static void
add_again(struct stream *s)
{
	if (s->again)
		return;
	s->again = true;
	s->again_next = s->hub->again;
	s->hub->again = s;
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
	if (!s->paused && !s->saw_end)
		events |= UV_READABLE;
	if (s->state == STREAM_CONNECTING || s->read_wants_write ||
	    s->pending_len != s->pending_pos)
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

/* Gives bytes to OpenSSL; returns how many it took, or -1 after a failure. */
static long
ssl_write(struct stream *s, const char *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		size_t n;
		int rc;

		ERR_clear_error();
		rc = SSL_write_ex(s->ssl, data + done, len - done, &n);
		if (rc == 1) {
			done += n;
			s->bytes_out += n;
			continue;
		}
		rc = SSL_get_error(s->ssl, rc);
		if (rc == SSL_ERROR_WANT_WRITE || rc == SSL_ERROR_WANT_READ)
			return (long)done;
		return -1;
	}
	return (long)done;
}

static void
add_pending(struct stream *s, const char *data, size_t len)
{
	if (s->pending_cap - s->pending_len < len) {
		size_t cap = s->pending_len + len;

		cap = cap < STREAM_RECORD_BYTES ? STREAM_RECORD_BYTES : cap;
		s->pending = xreallocarray(s->pending, cap, 1);
		s->pending_cap = cap;
	}
	memcpy(s->pending + s->pending_len, data, len);
	s->pending_len += len;
}

static void
drop_pending(struct stream *s)
{
	free(s->pending);
	s->pending = NULL;
	s->pending_len = s->pending_pos = s->pending_cap = 0;
}

/* Writes what waits; false after a failure, which has been reported. */
static bool
write_pending(struct stream *s)
{
	long n;

	if (s->pending_len == s->pending_pos)
		return true;
	n = ssl_write(s, s->pending + s->pending_pos, s->pending_len - s->pending_pos);
	if (n < 0) {
		drop_pending(s);
		stream_fail(s, ERR_UNAVAILABLE, "cannot send");
		return false;
	}
	s->pending_pos += (size_t)n;
	if (s->pending_pos == s->pending_len)
		drop_pending(s);
	return true;
}

/* Sends the staged record. A failure shows at the next read or flush. */
static void
write_staged(struct stream_hub *hub)
{
	struct stream *s = hub->staged;
	size_t len = hub->staging_len;
	long n;

	hub->staged = NULL;
	hub->staging_len = 0;
	if (s == NULL || len == 0)
		return;
	n = ssl_write(s, hub->staging, len);
	if (n < 0)
		s->saw_end = true; /* nothing more can come of it */
	if (n < 0 || (size_t)n < len)
		add_pending(
		    s, hub->staging + (n < 0 ? 0 : n), len - (n < 0 ? 0 : (size_t)n));
}

bool
stream_blocked(const struct stream *s)
{
	return s->pending_len != s->pending_pos || s->state != STREAM_OPEN;
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
	if (hub->staged != s) {
		write_staged(hub);
		if (s->pending_len == s->pending_pos)
			hub->staged = s;
	}
	while (len != 0 && hub->staged == s) {
		size_t n = STREAM_RECORD_BYTES - hub->staging_len;

		n = n < len ? n : len;
		memcpy(hub->staging + hub->staging_len, from, n);
		hub->staging_len += n;
		from += n;
		len -= n;
		if (hub->staging_len == STREAM_RECORD_BYTES) {
			write_staged(hub);
			if (s->pending_len == s->pending_pos)
				hub->staged = s;
		}
	}
	if (len != 0)
		add_pending(s, from, len);
	stream_want_flush(s); /* somebody must write the rest of the record */
}

static void
flush_one(struct stream *s)
{
	bool had_pending = s->pending_len != s->pending_pos;

	if (s->state != STREAM_OPEN)
		return;
	if (!write_pending(s))
		return;
	s->flushing = true;
	if (!stream_blocked(s))
		s->ops->flush(s);
	s->flushing = false;
	if (s->hub->staged == s)
		write_staged(s->hub);
	if (s->state == STREAM_CLOSED)
		return;
	if (had_pending || s->pending_len != s->pending_pos)
		update_poll(s);
}

static void
flush_dirty(struct stream_hub *hub)
{
	/* Ends, because flushing only moves what has been received already. */
	while (hub->dirty != NULL) {
		struct stream *s = hub->dirty;

		hub->dirty = s->dirty_next;
		s->dirty = false;
		flush_one(s);
	}
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
	rc = SSL_read_ex(s->ssl, s->hub->scratch, SCRATCH_BYTES, &n);
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
	if (rc == SSL_ERROR_WANT_READ || rc == SSL_ERROR_WANT_WRITE) {
		s->read_wants_write = rc == SSL_ERROR_WANT_WRITE;
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

static void
stream_read(struct stream *s)
{
	size_t budget = READ_BUDGET;

	while (!s->paused && !s->saw_end && read_once(s, &budget)) {
		/* Another SSL_read would cost a system call that finds nothing; only
		 * go on for what OpenSSL holds already. */
		if (budget == 0 || SSL_has_pending(s->ssl) == 0)
			break;
	}
	if (s->state != STREAM_CLOSED && !s->paused && !s->saw_end &&
	    SSL_has_pending(s->ssl) != 0)
		add_again(s);
}

static void
handshake(struct stream *s)
{
	int rc;

	ERR_clear_error();
	rc = SSL_do_handshake(s->ssl);
	if (rc == 1) {
		s->state = STREAM_OPEN;
		s->read_wants_write = false;
		s->deadline.ns = 0;
		s->ops->opened(s);
		if (s->state == STREAM_CLOSED)
			return;
		update_poll(s);
		stream_read(s);
		return;
	}
	rc = SSL_get_error(s->ssl, rc);
	if (rc == SSL_ERROR_WANT_READ || rc == SSL_ERROR_WANT_WRITE) {
		s->read_wants_write = rc == SSL_ERROR_WANT_WRITE;
		update_poll(s);
	} else {
		stream_fail(s, ERR_UNAVAILABLE, "TLS handshake");
	}
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

/* Nothing is left to send: says so, and waits for the peer to see it. */
static void
say_goodbye(struct stream *s)
{
	ERR_clear_error();
	(void)SSL_shutdown(s->ssl); /* 0: sent, the peer's is outstanding */
	ERR_clear_error();
	(void)shutdown(s->fd, SHUT_WR);
	stream_set_deadline(s, LINGER_MS);
	if (s->saw_end)
		stream_close(s);
	else
		update_poll(s);
}

static void
linger_write(struct stream *s)
{
	if (!write_pending(s))
		return;
	if (s->pending_len == s->pending_pos)
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
	while (s->state != STREAM_CLOSED && !s->paused && !s->saw_end &&
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
	if (s->state == STREAM_HANDSHAKE) {
		handshake(s);
		return;
	}
	if (status < 0) {
		on_socket_error(s);
		return;
	}
	if ((events & UV_WRITABLE) != 0 && s->pending_len != s->pending_pos) {
		if (s->state == STREAM_LINGER)
			linger_write(s);
		else
			stream_want_flush(s);
	}
	if ((events & UV_READABLE) != 0 || s->read_wants_write)
		stream_read(s);
}

/* ---- the hub ---- */

static void
run_again(struct stream_hub *hub)
{
	struct stream *list = hub->again;

	hub->again = NULL;
	while (list != NULL) {
		struct stream *s = list;

		hub->again = s->again_next;
		s->again = false;
		if (s->state == STREAM_OPEN || s->state == STREAM_LINGER)
			stream_read(s);
		list = hub->again;
		if (list == s) /* it wants still more: next turn */
			break;
	}
	if (hub->again == NULL)
		(void)uv_idle_stop(&hub->idle);
}

static void
on_idle(uv_idle_t *handle)
{
	(void)handle; /* run_again does the work after polling */
}

static void
on_prepare(uv_prepare_t *handle)
{
	struct stream_hub *hub = handle->data;

	flush_dirty(hub);
}

static void
on_check(uv_check_t *handle)
{
	struct stream_hub *hub = handle->data;

	run_again(hub);
	flush_dirty(hub);
}

static void
on_tick(uv_timer_t *handle)
{
	struct stream_hub *hub = handle->data;
	monotime_t now = monotime_now();
	struct stream *next;

	for (struct stream *s = hub->all; s != NULL; s = next) {
		next = s->next;
		if (s->state == STREAM_CLOSED || s->deadline.ns == 0 ||
		    s->deadline.ns > now.ns)
			continue;
		s->deadline.ns = 0;
		if (s->state == STREAM_LINGER)
			stream_close(s);
		else
			s->ops->failed(s, NULL);
	}
	if (hub->second != NULL)
		hub->second(hub->arg);
}

void
stream_hub_init(struct stream_hub *hub, uv_loop_t *loop)
{
	*hub = (struct stream_hub){.loop = loop};
	hub->staging = xmalloc(STREAM_RECORD_BYTES);
	hub->scratch = xmalloc(SCRATCH_BYTES);
	(void)uv_prepare_init(loop, &hub->prepare);
	(void)uv_check_init(loop, &hub->check);
	(void)uv_idle_init(loop, &hub->idle);
	(void)uv_timer_init(loop, &hub->tick);
	hub->prepare.data = hub->check.data = hub->idle.data = hub->tick.data = hub;
	hub->idle.idle_cb = on_idle;
	(void)uv_prepare_start(&hub->prepare, on_prepare);
	(void)uv_check_start(&hub->check, on_check);
	(void)uv_timer_start(&hub->tick, on_tick, 1000, 1000);
}

void
stream_hub_fini(struct stream_hub *hub)
{
	uv_close((uv_handle_t *)&hub->prepare, NULL);
	uv_close((uv_handle_t *)&hub->check, NULL);
	uv_close((uv_handle_t *)&hub->idle, NULL);
	uv_close((uv_handle_t *)&hub->tick, NULL);
	free(hub->staging);
	free(hub->scratch);
	hub->staging = hub->scratch = NULL;
}

/* ---- life ---- */

static void
start(struct stream *s, struct stream_hub *hub, const struct stream_ops *ops, int fd,
    SSL *ssl, enum stream_state state)
{
	*s = (struct stream){
	    .hub = hub, .ops = ops, .fd = fd, .ssl = ssl, .state = state};
	if (SSL_set_fd(ssl, fd) != 1 || uv_poll_init(hub->loop, &s->poll, fd) != 0)
		base_die("cannot watch a socket");
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

void
stream_end_writing(struct stream *s)
{
	if (s->state != STREAM_OPEN)
		return;
	if (s->hub->staged == s)
		write_staged(s->hub);
	ERR_clear_error();
	(void)SSL_shutdown(s->ssl); /* 0: sent, the peer's is outstanding */
	ERR_clear_error();
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
	if (s->hub->staged == s)
		write_staged(s->hub);
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
	s->state = STREAM_CLOSED;
	forget(s);
	drop_pending(s);
	(void)uv_poll_stop(&s->poll);
	uv_close((uv_handle_t *)&s->poll, on_closed);
	SSL_free(s->ssl);
	s->ssl = NULL;
	(void)close(s->fd);
	s->fd = -1;
}
