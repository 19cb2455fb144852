/*
 * A client's connection: TLS, who its certificate names, and one of two protocols.
 */
#ifndef AUTHN_WORKER_CLIENT_H
#define AUTHN_WORKER_CLIENT_H

#include <nghttp2/nghttp2.h>

#include "authn/proxy/http1_parse.h"
#include "authn/proxy/stream.h"
#include "authn/proxy/worker_state.h"

/* What a connection may send beside requests before it counts as an attack. */
#define CLIENT_CONTROL_BURST    1000u
#define CLIENT_CONTROL_A_SECOND 200u
/* Refused sign-ins after which a connection is closed. */
#define CLIENT_UNAUTHENTICATED_MAX 10u

enum client_kind {
	CLIENT_OPENING,
	CLIENT_HTTP1,
	CLIENT_HTTP2
};

enum http1_phase {
	HTTP1_HEAD,    /* a head is being read; or nothing happens */
	HTTP1_BODY,    /* the request's body */
	HTTP1_WAITING, /* the request is complete, the answer is not */
	HTTP1_RAW,     /* after a 101 */
	HTTP1_ENDING,  /* nothing more is read */
};

struct http1_client {
	struct exchange *x;
	enum http1_phase phase;
	struct buf
	    in; /* received, not yet read: a head in parts, or the next request */
	size_t scanned; /* of `in`, for the end of the head */
	struct http1_request request;
	struct http1_chunks chunks;
	uint64_t body_left; /* with Content-Length */
	bool head_sent, chunked_out, send_continue, close_after, bodyless, said_end;
};

struct http2_client {
	nghttp2_session *session;
	struct exchange *exchanges;
	uint32_t streams;
	uint32_t control; /* frames in this second, over the allowance */
	uint32_t updates; /* WINDOW_UPDATE frames that there is a reason for */
	bool leaving;     /* GOAWAY is sent */
};

struct client_conn {
	struct stream stream;
	struct worker *w;
	struct client_conn *prev, *next;
	char source[IP_TEXT_BYTES];
	struct str source_text;
	struct identity *certificate;
	unsigned unauthenticated;
	enum client_kind kind;
	struct http1_client h1;
	struct http2_client h2;
};

/* Takes an accepted socket. */
void client_accept(struct worker *w, int fd, const struct ip_addr *peer);
/* Asks every connection to end: idle ones now, others after what runs. */
void client_drain_all(struct worker *w);
void client_close_all(struct worker *w);
/* Once a second. */
void client_tick(struct client_conn *c);

/* ---- http1_client.c ---- */

void http1_client_start(struct client_conn *c);
void http1_client_received(struct client_conn *c, const char *data, size_t len);
void http1_client_ended(struct client_conn *c, bool clean);
void http1_client_flush(struct client_conn *c);
void http1_client_drain(struct client_conn *c);
void http1_client_fini(struct client_conn *c);

/* ---- http2_client.c ---- */

MUST_CHECK bool http2_client_start(struct client_conn *c);
void http2_client_received(struct client_conn *c, const char *data, size_t len);
void http2_client_flush(struct client_conn *c);
/* Says GOAWAY; the connection ends with its last stream. */
void http2_client_leave(struct client_conn *c);
void http2_client_fini(struct client_conn *c);

#endif
