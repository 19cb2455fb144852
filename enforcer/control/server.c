#include "enforcer/control/server.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_CONNECTIONS 256
#define ROOTS_OWN       32 /* of these, that no other user takes */
#define BACKLOG         64
#define QUESTION_MS     10000               /* to ask it */
#define FINISH_MS       10000               /* to read the answer's rest */
#define UNREAD_BYTES    (64u * 1024 * 1024) /* that clients may leave lying */
#define ROOTS_UNREAD    (16u * 1024 * 1024) /* of these, that no other user takes */

union stream {
	uv_handle_t handle;
	uv_stream_t stream;
	uv_pipe_t pipe;
	uv_tcp_t tcp;
};

/* Each handle's own: one that is closing may be there beside its successor. */
struct listener {
	union stream stream;
	struct server *server;
};

struct server {
	uv_loop_t *loop;
	struct listener *listener;
	const struct server_handler *handler;
	void *arg;
	struct server_conn *conns;
	size_t count;
	size_t unread, others_unread; /* bytes that wait, of all connections */
	uint64_t last_id;
	int domain;
	bool freed;
	unsigned open_listeners;
};

struct server_conn {
	struct server_conn *next;
	struct server *server;
	union stream stream;
	uv_timer_t timer;
	uint64_t id;
	size_t unread; /* bytes that wait, with what each piece takes */
	struct buf question;
	char chunk[4096];
	bool asked, ended, finishing, closing, marked;
	bool others; /* of a UNIX socket, and another user's than root */
	unsigned open_handles;
};

struct sending {
	uv_write_t request;
	struct buf data;
};

/* ---- life ---- */

static void
free_server_at_last(struct server *s)
{
	if (s->freed && s->open_listeners == 0 && s->count == 0)
		free(s);
}

static void
on_handle_closed(uv_handle_t *handle)
{
	struct server_conn *conn = handle->data;
	struct server *s = conn->server;
	struct server_conn **at = &s->conns;

	if (--conn->open_handles != 0)
		return;
	while (*at != conn)
		at = &(*at)->next;
	*at = conn->next;
	s->count--;
	buf_free(&conn->question);
	free(conn);
	free_server_at_last(s);
}

static void
count_unread(struct server_conn *conn, size_t bytes)
{
	conn->unread += bytes;
	conn->server->unread += bytes;
	conn->server->others_unread += conn->others ? bytes : 0;
}

static void
forget_unread(struct server_conn *conn, size_t bytes)
{
	conn->unread -= bytes;
	conn->server->unread -= bytes;
	conn->server->others_unread -= conn->others ? bytes : 0;
}

static void
close_conn(struct server_conn *conn)
{
	if (conn->closing)
		return;
	conn->closing = true;
	conn->marked = false;
	forget_unread(conn, conn->unread); /* on its way to be given back */
	uv_close(&conn->stream.handle, on_handle_closed);
	uv_close((uv_handle_t *)&conn->timer, on_handle_closed);
}

static void
on_timeout(uv_timer_t *timer)
{
	close_conn(timer->data);
}

static void
limit_time(struct server_conn *conn, uint64_t ms)
{
	if (uv_timer_start(&conn->timer, on_timeout, ms, 0) != 0)
		close_conn(conn);
}

/* ---- reading ---- */

static void
on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *out)
{
	struct server_conn *conn = handle->data;

	(void)wanted; /* a hint */
	*out = uv_buf_init(conn->chunk, sizeof(conn->chunk));
}

/* Where the question ends; its length beyond if it does not yet. */
static size_t
question_end(const struct server_conn *conn)
{
	const char *end = conn->server->handler->end;
	const char *found =
	    conn->question.len == 0
		? NULL
		: memmem(conn->question.data, conn->question.len, end, strlen(end));

	return found != NULL ? (size_t)(found - conn->question.data)
			     : conn->question.len + 1;
}

static void
on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *data)
{
	struct server_conn *conn = stream->data;
	const struct server_handler *handler = conn->server->handler;
	size_t end;

	if (n < 0 && (!conn->asked || n != UV_EOF)) {
		close_conn(conn);
		return;
	}
	conn->ended = n == UV_EOF;
	if (n == UV_EOF && !conn->finishing && handler->ended != NULL)
		handler->ended(conn->server->arg, conn);
	if (n <= 0 || conn->asked)
		return; /* half-closed, or more than was asked for */
	buf_add(&conn->question, data->base, (size_t)n);
	end = question_end(conn);
	if (conn->question.len > handler->question_bytes) {
		close_conn(conn);
	} else if (end <= conn->question.len) {
		conn->asked = true;
		(void)uv_timer_stop(&conn->timer); /* cannot fail */
		handler->question(
		    conn->server->arg, conn, (struct str){conn->question.data, end});
	}
}

/* ---- writing ---- */

static size_t
size_of(const struct sending *sending)
{
	return sizeof(*sending) + sending->data.len;
}

static void
on_sent(uv_write_t *request, int status)
{
	struct sending *sending = request->data;
	struct server_conn *conn = request->handle->data;

	if (!conn->closing)
		forget_unread(conn, size_of(sending));
	buf_free(&sending->data);
	free(sending);
	if (status < 0 ||
	    (conn->finishing && conn->stream.stream.write_queue_size == 0))
		close_conn(conn);
}

/* However many clients do not read: who is furthest behind makes room; root's, only for what
 * root's have taken. */
static void
make_room(struct server *s)
{
	const bool others = s->others_unread > UNREAD_BYTES - ROOTS_UNREAD;
	struct server_conn *slowest = NULL;

	if (!others && s->unread <= UNREAD_BYTES)
		return;
	for (struct server_conn *c = s->conns; c != NULL; c = c->next) {
		if ((c->others || !others) &&
		    (slowest == NULL || c->unread > slowest->unread))
			slowest = c;
	}
	if (slowest != NULL)
		close_conn(slowest);
}

void
server_send(struct server_conn *conn, struct str data)
{
	struct sending *sending;
	uv_buf_t piece;

	if (!conn->closing && data.len != 0)
		make_room(conn->server);
	if (conn->closing || data.len == 0)
		return;
	sending = xcalloc(1, sizeof(*sending));
	sending->request.data = sending;
	buf_add_str(&sending->data, data);
	count_unread(conn, size_of(sending));
	piece = uv_buf_init(sending->data.data, (unsigned)sending->data.len);
	if (uv_write(&sending->request, &conn->stream.stream, &piece, 1, on_sent) !=
	    0) {
		close_conn(conn);
		buf_free(&sending->data);
		free(sending);
	}
}

void
server_finish(struct server_conn *conn)
{
	if (conn->closing)
		return;
	conn->finishing = true;
	if (conn->stream.stream.write_queue_size == 0)
		close_conn(conn);
	else
		limit_time(conn, FINISH_MS);
}

/* ---- accepting ---- */

static int
init_stream(struct server *s, union stream *stream)
{
	return s->domain == AF_UNIX ? uv_pipe_init(s->loop, &stream->pipe, 0)
				    : uv_tcp_init(s->loop, &stream->tcp);
}

/* Who may be sent away for somebody else to be heard: who has not asked yet, rather than who
 * says no more, and may not even be there. */
static unsigned
idleness(const struct server_conn *conn)
{
	if (!conn->asked)
		return 2;
	return conn->ended && conn->marked ? 1 : 0;
}

/* Of more than `most` (of others than root alone) the oldest of the most idle goes; where none
 * is idle, whoever came last. */
static void
keep_to(struct server *s, size_t most, bool others)
{
	struct server_conn *newest = NULL, *idle = NULL;
	size_t count = 0;

	for (struct server_conn *c = s->conns; c != NULL; c = c->next) {
		if (c->closing || (others && !c->others))
			continue;
		count++;
		if (newest == NULL)
			newest = c;
		else if (idleness(c) != 0 &&
			 (idle == NULL || idleness(c) >= idleness(idle)))
			idle = c;
	}
	if (count > most)
		close_conn(idle != NULL ? idle : newest);
}

static void
on_connection(uv_stream_t *stream, int status)
{
	struct listener *listener = stream->data;
	struct server *s = listener->server;
	struct server_conn *conn;

	if (status < 0)
		return;
	conn = xcalloc(1, sizeof(*conn));
	conn->server = s;
	conn->id = ++s->last_id;
	if (uv_timer_init(s->loop, &conn->timer) != 0 ||
	    init_stream(s, &conn->stream) != 0)
		base_die("cannot make handles");
	conn->open_handles = 2;
	conn->stream.handle.data = conn;
	conn->timer.data = conn;
	conn->next = s->conns;
	s->conns = conn;
	s->count++;
	if (uv_accept(stream, &conn->stream.stream) != 0 ||
	    uv_read_start(&conn->stream.stream, on_alloc, on_read) != 0) {
		close_conn(conn);
		return;
	}
	conn->others = s->domain == AF_UNIX && server_conn_peer(conn).uid != 0;
	limit_time(conn, QUESTION_MS);
	keep_to(s, MAX_CONNECTIONS - ROOTS_OWN, true);
	keep_to(s, MAX_CONNECTIONS, false);
}

static void
on_listener_closed(uv_handle_t *handle)
{
	struct listener *listener = handle->data;
	struct server *s = listener->server;

	free(listener);
	s->open_listeners--;
	free_server_at_last(s);
}

static void
close_listener(struct listener *listener)
{
	if (listener != NULL)
		uv_close(&listener->stream.handle, on_listener_closed);
}

int
server_listen(struct server *s, int fd, struct err *err)
{
	struct listener *listener = xcalloc(1, sizeof(*listener));
	union stream *stream = &listener->stream;
	int rc;

	listener->server = s;
	if (init_stream(s, stream) != 0)
		base_die("cannot make handles");
	s->open_listeners++;
	stream->handle.data = listener;
	rc = s->domain == AF_UNIX ? uv_pipe_open(&stream->pipe, fd)
				  : uv_tcp_open(&stream->tcp, fd);
	if (rc != 0)
		(void)close(fd); /* not taken */
	else
		rc = uv_listen(&stream->stream, BACKLOG, on_connection);
	if (rc != 0) {
		close_listener(listener);
		return err_set(
		    err, ERR_SYSTEM, "%s: %s", s->handler->name, uv_strerror(rc));
	}
	close_listener(s->listener);
	s->listener = listener;
	return 0;
}

int
server_new(uv_loop_t *loop, int fd, const struct server_handler *handler, void *arg,
    struct server **out_server, struct err *err)
{
	struct server *s = xcalloc(1, sizeof(*s));
	socklen_t len = sizeof(s->domain);
	int rc;

	s->loop = loop;
	s->handler = handler;
	s->arg = arg;
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &s->domain, &len) != 0) {
		free(s);
		(void)close(fd); /* not used */
		return err_set(err, ERR_SYSTEM, "%s: not a socket", handler->name);
	}
	rc = server_listen(s, fd, err);
	if (rc != 0)
		server_free(s);
	else
		*out_server = s;
	return rc;
}

void
server_free(struct server *s)
{
	if (s == NULL)
		return;
	s->freed = true;
	for (struct server_conn *c = s->conns; c != NULL; c = c->next)
		close_conn(c);
	close_listener(s->listener);
}

/* ---- looking up ---- */

uint64_t
server_conn_id(const struct server_conn *conn)
{
	return conn->id;
}

struct server_conn *
server_find(struct server *s, uint64_t id)
{
	for (struct server_conn *c = s->conns; c != NULL; c = c->next) {
		if (c->id == id && !c->closing)
			return c;
	}
	return NULL;
}

struct ucred
server_conn_peer(const struct server_conn *conn)
{
	const struct ucred nobody = {.uid = UINT32_MAX, .gid = UINT32_MAX};
	struct ucred peer = nobody;
	socklen_t len = sizeof(peer);
	uv_os_fd_t fd;

	if (uv_fileno(&conn->stream.handle, &fd) != 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
		return nobody;
	return peer;
}

void
server_conn_mark(struct server_conn *conn, bool value)
{
	conn->marked = value;
}

void
server_each_marked(
    struct server *s, void (*each)(struct server_conn *conn, void *arg), void *arg)
{
	for (struct server_conn *c = s->conns; c != NULL; c = c->next) {
		if (c->marked)
			each(c, arg);
	}
}
