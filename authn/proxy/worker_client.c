#include "authn/proxy/worker_client.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"

#define DEAD_PEER_MS 60000 /* unacknowledged data for so long: the peer is gone */

static struct client_conn *
conn_of(struct stream *s)
{
	return CONTAINER_OF(s, struct client_conn, stream);
}

static void
on_opened(struct stream *s)
{
	struct client_conn *c = conn_of(s);
	const char *problem;

	c->certificate = tls_peer_identity(s->ssl, &problem);
	if (problem != NULL)
		log_info("client-certificate-refused", "source=%s reason=%s", c->source,
		    log_quote(str_from(problem)));
	if (tls_is_h2(s->ssl)) {
		c->kind = CLIENT_HTTP2;
		if (!http2_client_start(c))
			stream_close(s);
	} else {
		c->kind = CLIENT_HTTP1;
		http1_client_start(c);
	}
}

static void
on_received(struct stream *s, const char *data, size_t len)
{
	struct client_conn *c = conn_of(s);

	if (c->kind == CLIENT_HTTP2)
		http2_client_received(c, data, len);
	else
		http1_client_received(c, data, len);
}

static void
on_ended(struct stream *s, bool clean)
{
	struct client_conn *c = conn_of(s);

	if (c->kind == CLIENT_HTTP1)
		http1_client_ended(c, clean);
	else
		stream_close(s);
}

static void
on_flush(struct stream *s)
{
	struct client_conn *c = conn_of(s);

	if (c->kind == CLIENT_HTTP2)
		http2_client_flush(c);
	else if (c->kind == CLIENT_HTTP1)
		http1_client_flush(c);
}

static void
on_failed(struct stream *s, const struct err *err)
{
	struct client_conn *c = conn_of(s);

	if (c->kind == CLIENT_OPENING) {
		c->w->stats.handshakes_failed++;
		log_debug("handshake-failed", "source=%s reason=%s", c->source,
		    err != NULL ? log_quote(str_from(err->msg)) : "timeout");
	} else if (err == NULL && c->kind == CLIENT_HTTP2 && !c->h2.leaving) {
		http2_client_leave(c); /* idle for long: politely */
		return;
	}
	stream_close(s);
}

static void
on_closed(struct stream *s)
{
	struct client_conn *c = conn_of(s);

	if (c->kind == CLIENT_HTTP2)
		http2_client_fini(c);
	else
		http1_client_fini(c);
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		c->w->clients = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	c->w->client_count--;
	identity_unref(c->certificate);
	free(c);
}

static const struct stream_ops client_ops = {
    .opened = on_opened,
    .received = on_received,
    .ended = on_ended,
    .flush = on_flush,
    .failed = on_failed,
    .closed = on_closed,
};

/* Best effort: without them things are noticed later. */
static void
set_socket_options(int fd)
{
	int on = 1, idle = 60, interval = 15, count = 3;
	unsigned dead = DEAD_PEER_MS;

	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead, sizeof(dead));
}

void
client_accept(struct worker *w, int fd, const struct ip_addr *peer)
{
	struct client_conn *c;
	SSL *ssl;

	w->stats.connections_total++;
	ssl = w->client_count < w->settings.limits.connections ? SSL_new(w->server_tls)
							       : NULL;
	if (ssl == NULL) {
		w->stats.connections_refused++;
		(void)close(fd);
		return;
	}
	set_socket_options(fd);
	c = xcalloc(1, sizeof(*c));
	c->w = w;
	c->source_text = str_from(ip_format(peer, c->source));
	c->next = w->clients;
	if (w->clients != NULL)
		w->clients->prev = c;
	w->clients = c;
	w->client_count++;
	stream_accept(&c->stream, &w->hub, &client_ops, fd, ssl);
	stream_set_deadline(&c->stream, w->settings.limits.handshake_ms);
}

void
client_drain_all(struct worker *w)
{
	struct client_conn *next;

	for (struct client_conn *c = w->clients; c != NULL; c = next) {
		next = c->next;
		if (c->kind == CLIENT_HTTP2)
			http2_client_leave(c);
		else if (c->kind == CLIENT_HTTP1)
			http1_client_drain(c);
	}
}

void
client_close_all(struct worker *w)
{
	for (struct client_conn *c = w->clients; c != NULL; c = c->next)
		stream_close(&c->stream);
}

void
client_tick(struct client_conn *c)
{
	c->h2.control = c->h2.control > CLIENT_CONTROL_A_SECOND
			    ? c->h2.control - CLIENT_CONTROL_A_SECOND
			    : 0;
}
