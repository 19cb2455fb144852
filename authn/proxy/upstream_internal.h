/*
 * What the files of the upstream share. A request waits at a server until a connection takes
 * it; a connection belongs to its server, whatever becomes of the pool.
 */
#ifndef AUTHN_UPSTREAM_INTERNAL_H
#define AUTHN_UPSTREAM_INTERNAL_H

#include <llhttp.h>
#include <nghttp2/nghttp2.h>

#include "authn/proxy/fair.h"
#include "authn/proxy/stream.h"
#include "authn/proxy/upstream.h"
#include "authn/proxy/worker_state.h"

#define UPSTREAM_STREAM_WINDOW     (256 * 1024)
#define UPSTREAM_CONNECTION_WINDOW (64 * 1024 * 1024)
#define UPSTREAM_HEADER_BYTES      (256u * 1024) /* of an answer */

struct upstream_conn;
struct upstream_server;

struct upstream_request {
	struct exchange *x;
	struct upstream_server *server; /* where it waits or runs */
	struct upstream_conn *conn;     /* NULL: waits */
	struct upstream_request *prev,
	    *next; /* of the server's queue, or the connection's */
	monotime_t since;
	struct fair_item turn; /* among all of the server's, while it waits or runs */
	unsigned tries;
	int32_t stream_id;
	bool deferred;  /* h2: the session waits for more body */
	bool head_sent; /* h1 */
	bool body_sent; /* the request's end has been sent */
	/* the answer's head */
	int status;
	struct header_list headers;
};

enum upstream_kind {
	UPSTREAM_OPENING,
	UPSTREAM_H2,
	UPSTREAM_H1
};

struct upstream_conn {
	struct stream stream;
	struct upstream_server *server;
	struct upstream_conn *prev, *next; /* of the server's */
	enum upstream_kind kind;
	bool alone; /* for one upgrade: HTTP/1.1, never shared, never reused */
	bool going; /* takes no new requests */
	struct upstream_request *requests; /* h1: at most one */
	unsigned request_count;
	/* h2 */
	nghttp2_session *h2;
	monotime_t last_in, ping_sent; /* ns 0: none outstanding */
	/* h1 */
	llhttp_t parser;
	struct buf field, value; /* of the header line being read */
	size_t header_bytes;
	bool in_value, reusable, raw;
	bool message_done;
};

struct upstream_probe {
	struct stream stream;
	struct buf head; /* of the answer */
	bool active, answered;
	bool ejected; /* it is not ready */
	unsigned failures;
	monotime_t next;
};

struct upstream_server {
	struct upstream_pool *pool; /* NULL: retired by a reload */
	struct worker *w;
	struct worker_upstream where; /* strings and addresses of its own */
	struct arena *arena;
	SSL_CTX *tls; /* a reference */
	SSL_SESSION *session;
	struct str authority;
	size_t next_address;
	struct upstream_conn *conns;
	unsigned conn_count, opening_count;
	bool speaks_h1; /* known from the last connection */
	struct upstream_request *waiting, *waiting_last;
	unsigned waiting_count;
	struct fair turns;
	unsigned failures; /* in a row */
	monotime_t retry_at;
	struct upstream_probe probe; /* of several servers */
};

struct upstream_pool {
	struct worker *w;
	struct upstream_server **servers;
	size_t count;
	size_t next; /* round robin */
};

/* Capacity came free, or a connection opened: lets waiting requests go. */
void upstream_pump(struct upstream_server *server);
/* No connection could be made, or the one it was meant for is gone. */
void upstream_try_elsewhere(struct upstream_request *r);
void upstream_server_failed(struct upstream_server *server, const char *why);
void upstream_server_release(struct upstream_server *server);
/* What waits there goes to other servers. */
void upstream_move_waiting(struct upstream_server *server);
/* It has a connection now. */
void upstream_request_runs(struct upstream_request *r);
/* The request is over: takes it off its connection. */
void upstream_request_detach(struct upstream_request *r);

/* ---- upstream_conn.c ---- */

/* Begins a connection; `alone` is the request that it is for, or NULL. False when none can
 * be begun. */
MUST_CHECK bool upstream_conn_open(
    struct upstream_server *server, struct upstream_request *alone);
/* Puts a waiting request on a connection that has room. */
void upstream_conn_take(struct upstream_conn *c, struct upstream_request *r);
MUST_CHECK bool upstream_conn_has_room(const struct upstream_conn *c);
/* Fails what runs on it, and closes it. */
void upstream_conn_fail(struct upstream_conn *c, const char *why);
/* Once a second. */
void upstream_conn_tick(struct upstream_conn *c, monotime_t now);

/* A socket that is being connected to the server's next address; negative: why not. */
MUST_CHECK int upstream_connect(struct upstream_server *server, struct err *err);

/* ---- upstream_probe.c ---- */

/* Once a second: asks whether the server is ready, when it is time to. */
void upstream_probe_tick(struct upstream_server *server, monotime_t now);
void upstream_probe_stop(struct upstream_server *server);

/* ---- upstream_h2.c ---- */

MUST_CHECK bool upstream_h2_start(struct upstream_conn *c);
MUST_CHECK bool upstream_h2_submit(struct upstream_conn *c, struct upstream_request *r);
void upstream_h2_received(struct upstream_conn *c, const char *data, size_t len);
void upstream_h2_flush(struct upstream_conn *c);
void upstream_h2_cancel(struct upstream_request *r);
void upstream_h2_body(struct upstream_request *r);
void upstream_h2_consumed(struct upstream_request *r, size_t n);
MUST_CHECK unsigned upstream_h2_max_streams(const struct upstream_conn *c);

/* ---- upstream_h1.c ---- */

void upstream_h1_start(struct upstream_conn *c);
void upstream_h1_received(struct upstream_conn *c, const char *data, size_t len);
void upstream_h1_ended(struct upstream_conn *c, bool clean);
void upstream_h1_flush(struct upstream_conn *c);

#endif
