/*
 * Is an API server ready? With several of them each is asked for /readyz every few seconds, on
 * a connection of its own. One that says no, or nothing, twice is left alone until it says yes:
 * a server that starts or ends accepts connections long before and after it serves. When none is
 * ready, readiness says nothing, and all are tried.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "authn/proxy/upstream_internal.h"
#include "common/log.h"

#define EVERY_NS     (5 * NS_PER_S)
#define AGAIN_NS     NS_PER_S /* after a failure */
#define ANSWER_MS    3000
#define HEAD_BYTES   4096u
#define FAILURES_MAX 2u
#define PROBE_USER   "ringfence-health"

static struct upstream_server *
server_of(struct stream *s)
{
	return CONTAINER_OF(s, struct upstream_server, probe.stream);
}

static void
on_result(struct upstream_server *server, bool ready, const char *why)
{
	struct upstream_probe *p = &server->probe;
	const bool was_ejected = p->ejected;

	if (p->answered)
		return;
	p->answered = true;
	p->failures = ready ? 0 : p->failures + 1;
	p->ejected = p->failures >= FAILURES_MAX;
	p->next.ns = monotime_now().ns + (ready ? EVERY_NS : AGAIN_NS);
	if (p->ejected != was_ejected)
		log_warn(p->ejected ? "upstream-ejected" : "upstream-ready",
		    "server=%s reason=%s", log_quote(server->authority),
		    log_quote(str_from(why)));
	if (p->ejected && !was_ejected)
		upstream_move_waiting(server);
}

static void
on_opened(struct stream *s)
{
	struct upstream_server *server = server_of(s);
	const bool impersonates = server->w->settings.identity == IDENTITY_IMPERSONATE;
	struct buf out = {NULL, 0, 0};

	buf_printf(&out,
	    "GET /readyz HTTP/1.1\r\nHost: %.*s\r\nUser-Agent: ringfence-gate\r\n"
	    "%s: " PROBE_USER "\r\nConnection: close\r\n\r\n",
	    STR_ARG(server->authority),
	    impersonates ? "Impersonate-User" : "X-Remote-User");
	stream_put(s, out.data, out.len);
	buf_free(&out);
	stream_set_deadline(s, ANSWER_MS);
}

/* The status line is all that counts. A server that does not let us ask is alive. */
static void
on_received(struct stream *s, const char *data, size_t len)
{
	struct upstream_server *server = server_of(s);
	struct upstream_probe *p = &server->probe;
	uint64_t code = 0;

	if (p->answered || p->head.len + len > HEAD_BYTES) {
		stream_close(s);
		return;
	}
	buf_add(&p->head, data, len);
	if (p->head.len < strlen("HTTP/1.1 200"))
		return;
	if (!str_starts(buf_str(&p->head), STR("HTTP/1.")) ||
	    !str_to_u64(str_slice(buf_str(&p->head), 9, 12), 999, &code))
		code = 0;
	on_result(server, code != 0 && code < 500, "/readyz says no");
	stream_finish(s);
}

static void
on_ended(struct stream *s, bool clean)
{
	(void)clean;
	on_result(server_of(s), false, "no answer to /readyz");
	stream_close(s);
}

static void
on_flush(struct stream *s)
{
	(void)s; /* everything was put at once */
}

static void
on_failed(struct stream *s, const struct err *err)
{
	on_result(server_of(s), false, err != NULL ? err->msg : "timeout");
	stream_close(s);
}

static void
on_closed(struct stream *s)
{
	struct upstream_server *server = server_of(s);

	server->probe.active = false;
	buf_clear(&server->probe.head);
	upstream_server_release(server);
}

static const struct stream_ops probe_ops = {
    .opened = on_opened,
    .received = on_received,
    .ended = on_ended,
    .flush = on_flush,
    .failed = on_failed,
    .closed = on_closed,
};

void
upstream_probe_tick(struct upstream_server *server, monotime_t now)
{
	struct upstream_probe *p = &server->probe;
	struct err err = ERR_INIT;
	SSL *ssl;
	int fd;

	if (p->active || now.ns < p->next.ns)
		return;
	p->answered = false;
	fd = upstream_connect(server, &err);
	ssl = fd < 0 ? NULL
		     : tls_client_connection(server->tls, server->where.host,
			   TLS_ALPN_HTTP1_ONLY, &server->session, &err);
	if (ssl == NULL) {
		if (fd >= 0)
			(void)close(fd); /* nothing was sent */
		on_result(server, false, err.msg);
		return;
	}
	p->active = true;
	stream_connect(&p->stream, &server->w->hub, &probe_ops, fd, ssl);
	stream_set_deadline(&p->stream, ANSWER_MS);
}

void
upstream_probe_stop(struct upstream_server *server)
{
	if (server->probe.active)
		stream_close(&server->probe.stream);
}
