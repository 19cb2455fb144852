/*
 * One connection to an API server: opening, and the choice of protocol; what the protocol does is in
 * upstream_h2.c and upstream_h1.c.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "authn/proxy/upstream_internal.h"
#include "common/ip_socket.h"
#include "common/log.h"

#define PING_AFTER_NS (30 * NS_PER_S)
#define PING_WAIT_NS  (15 * NS_PER_S)
#define IDLE_NS       (60 * NS_PER_S)

static struct upstream_conn *
conn_of(struct stream *s)
{
	return CONTAINER_OF(s, struct upstream_conn, stream);
}

/* ---- opening ---- */

int
upstream_connect(struct upstream_server *server, struct err *err)
{
	const struct ip_addr *addr =
	    &server->where
		 .addresses[server->next_address % server->where.address_count];
	union ip_socket sa;
	socklen_t len = ip_to_socket(addr, server->where.port, &sa);
	int fd = socket(
	    sa.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	int on = 1;

	if (fd < 0)
		return err_sys(err, "socket");
	/* Best effort: without it things are noticed later. */
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	if (connect(fd, &sa.any, len) != 0 && errno != EINPROGRESS) {
		(void)err_sys(err, "connect");
		(void)close(fd);
		return ERR_SYSTEM;
	}
	return fd;
}

static const struct stream_ops conn_ops;

static void
attach(struct upstream_conn *c, struct upstream_request *r)
{
	r->conn = c;
	r->prev = NULL;
	r->next = c->requests;
	if (c->requests != NULL)
		c->requests->prev = r;
	c->requests = r;
	c->request_count++;
	upstream_request_runs(r);
}

bool
upstream_conn_open(struct upstream_server *server, struct upstream_request *alone)
{
	struct err err = ERR_INIT;
	struct upstream_conn *c;
	int fd = upstream_connect(server, &err);
	SSL *ssl;

	if (fd < 0)
		goto fail;
	ssl = tls_client_connection(server->tls, server->where.host,
	    alone != NULL ? TLS_ALPN_HTTP1_ONLY : TLS_ALPN_H2_FIRST, &server->session,
	    &err);
	if (ssl == NULL) {
		(void)close(fd);
		goto fail;
	}
	c = xcalloc(1, sizeof(*c));
	c->server = server;
	c->alone = alone != NULL;
	c->going = c->alone;
	c->next = server->conns;
	if (server->conns != NULL)
		server->conns->prev = c;
	server->conns = c;
	if (!c->alone) {
		server->conn_count++;
		server->opening_count++;
	}
	server->w->stats.upstream_connections++;
	stream_connect(&c->stream, &server->w->hub, &conn_ops, fd, ssl);
	stream_set_deadline(&c->stream, server->w->settings.limits.connect_ms);
	if (alone != NULL)
		attach(c, alone);
	return true;
fail:
	upstream_server_failed(server, err.msg);
	return false;
}

static void
on_opened(struct stream *s)
{
	struct upstream_conn *c = conn_of(s);
	struct upstream_server *server = c->server;

	if (!c->alone)
		server->opening_count--;
	server->failures = 0;
	c->last_in = monotime_now();
	if (tls_is_h2(s->ssl)) {
		c->kind = UPSTREAM_H2;
		server->speaks_h1 = false;
		if (!upstream_h2_start(c)) {
			upstream_conn_fail(c, "no session");
			return;
		}
	} else {
		c->kind = UPSTREAM_H1;
		if (!c->alone)
			server->speaks_h1 = true;
		upstream_h1_start(c);
	}
	if (server->pool == NULL && !c->alone) {
		upstream_conn_fail(c, "retired");
		return;
	}
	upstream_pump(server);
}

/* ---- use ---- */

bool
upstream_conn_has_room(const struct upstream_conn *c)
{
	if (c->going || c->stream.state != STREAM_OPEN)
		return false;
	if (c->kind == UPSTREAM_H2)
		return c->request_count < upstream_h2_max_streams(c);
	return c->kind == UPSTREAM_H1 && c->request_count == 0;
}

void
upstream_conn_take(struct upstream_conn *c, struct upstream_request *r)
{
	attach(c, r);
	if (c->kind == UPSTREAM_H1) {
		stream_want_flush(&c->stream);
	} else if (!upstream_h2_submit(c, r)) {
		c->going = true; /* out of stream ids, most likely */
		upstream_request_detach(r);
		upstream_try_elsewhere(r);
	}
}

/* ---- ending ---- */

/* What waits for this server and has no other connection to hope for goes elsewhere. */
static void
disappoint(struct upstream_server *server)
{
	struct upstream_request *list = server->waiting;

	for (const struct upstream_conn *c = server->conns; c != NULL; c = c->next) {
		if (!c->alone && c->stream.state != STREAM_CLOSED)
			return;
	}
	/* Detach the whole queue first: requests may come back to this very server. */
	server->waiting = server->waiting_last = NULL;
	server->waiting_count = 0;
	for (struct upstream_request *r = list; r != NULL; r = r->next)
		fair_leave(&server->turns, &r->turn);
	while (list != NULL) {
		struct upstream_request *r = list;

		list = r->next;
		r->prev = r->next = NULL;
		r->server = NULL;
		upstream_try_elsewhere(r);
	}
}

void
upstream_conn_fail(struct upstream_conn *c, const char *why)
{
	struct upstream_server *server = c->server;
	bool opening = c->kind == UPSTREAM_OPENING;
	struct upstream_request *r;

	if (c->stream.state == STREAM_CLOSED)
		return;
	c->going = true;
	stream_close(&c->stream);
	if (opening && !c->alone)
		server->opening_count--;
	while ((r = c->requests) != NULL) {
		struct exchange *x = r->x;
		bool unsent = opening || (c->kind == UPSTREAM_H1 && !r->head_sent);

		upstream_request_detach(r);
		if (x == NULL)
			continue;
		if (unsent && server->pool != NULL) { /* another may have better luck */
			upstream_try_elsewhere(r);
			continue;
		}
		r->x = NULL;
		exchange_up_failed(
		    x, unsent ? UPSTREAM_NOT_SENT : UPSTREAM_BROKEN, why);
	}
	if (opening)
		disappoint(server);
}

static void
on_failed(struct stream *s, const struct err *err)
{
	struct upstream_conn *c = conn_of(s);
	const char *why = err != NULL ? err->msg : "timeout";

	if (c->kind == UPSTREAM_OPENING)
		upstream_server_failed(c->server, why);
	upstream_conn_fail(c, why);
}

static void
on_ended(struct stream *s, bool clean)
{
	struct upstream_conn *c = conn_of(s);

	if (c->kind == UPSTREAM_H1)
		upstream_h1_ended(c, clean);
	else
		on_failed(s, &(struct err){.msg = "the server closed the connection"});
}

static void
on_received(struct stream *s, const char *data, size_t len)
{
	struct upstream_conn *c = conn_of(s);

	c->last_in.ns = 0; /* now, to the next tick */
	if (c->kind == UPSTREAM_H2)
		upstream_h2_received(c, data, len);
	else
		upstream_h1_received(c, data, len);
}

static void
on_flush(struct stream *s)
{
	struct upstream_conn *c = conn_of(s);

	if (c->kind == UPSTREAM_H2)
		upstream_h2_flush(c);
	else
		upstream_h1_flush(c);
}

static void
on_closed(struct stream *s)
{
	struct upstream_conn *c = conn_of(s);
	struct upstream_server *server = c->server;

	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		server->conns = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	if (!c->alone)
		server->conn_count--;
	nghttp2_session_del(c->h2);
	buf_free(&c->field);
	buf_free(&c->value);
	free(c);
	if (server->pool != NULL)
		upstream_pump(server);
	upstream_server_release(server);
}

static const struct stream_ops conn_ops = {
    .opened = on_opened,
    .received = on_received,
    .ended = on_ended,
    .flush = on_flush,
    .failed = on_failed,
    .closed = on_closed,
};

/* ---- once a second ---- */

void
upstream_conn_tick(struct upstream_conn *c, monotime_t now)
{
	uint64_t silent;

	if (c->stream.state != STREAM_OPEN || c->alone)
		return;
	if (c->last_in.ns == 0) {
		c->last_in = now;
		c->ping_sent.ns = 0;
	}
	silent = monotime_since(c->last_in, now);
	if (c->request_count == 0 && silent > IDLE_NS) {
		c->going = true;
		stream_finish(&c->stream);
		return;
	}
	if (c->kind != UPSTREAM_H2 || c->request_count == 0 || silent < PING_AFTER_NS)
		return;
	if (c->ping_sent.ns == 0) {
		c->ping_sent = now;
		(void)nghttp2_submit_ping(c->h2, NGHTTP2_FLAG_NONE, NULL);
		stream_want_flush(&c->stream);
	} else if (monotime_since(c->ping_sent, now) > PING_WAIT_NS) {
		upstream_conn_fail(c, "the server does not answer any more");
	}
}
