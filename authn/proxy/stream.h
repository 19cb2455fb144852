/*
 * A TLS connection on the event loop: bytes in by callback, bytes out when the owner is
 * asked to flush. All streams of a worker share a hub, which collects what callbacks
 * want to send and flushes each stream once per turn of the loop, so that many small frames become
 * one TLS record and one system call.
 *
 * The owner embeds the stream. It may close it from within any callback; its memory
 * must live until `closed` is called, which is the last call.
 */
#ifndef AUTHN_STREAM_H
#define AUTHN_STREAM_H

#include <openssl/ssl.h>
#include <uv.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/str.h"

#define STREAM_RECORD_BYTES 16384 /* plaintext of one TLS record */

struct stream;

struct stream_ops {
	/* The handshake is done. */
	void (*opened)(struct stream *s);
	/* Bytes came in; they are the owner's to consume now, all of them. */
	void (*received)(struct stream *s, const char *data, size_t len);
	/* The peer sends no more. `clean`: it said so (close_notify). */
	void (*ended)(struct stream *s, bool clean);
	/* May send: put frames while !stream_blocked(s). */
	void (*flush)(struct stream *s);
	/* It broke (NULL: the deadline passed). The owner closes it. */
	void (*failed)(struct stream *s, const struct err *err);
	/* Everything is released; the owner may free its memory. */
	void (*closed)(struct stream *s);
};

enum stream_state {
	STREAM_CLOSED,
	STREAM_CONNECTING, /* TCP */
	STREAM_HANDSHAKE,  /* TLS */
	STREAM_OPEN,
	STREAM_LINGER, /* our end is said; what still comes in is thrown away */
};

struct stream {
	uv_poll_t poll;
	struct stream_hub *hub;
	const struct stream_ops *ops;
	SSL *ssl;
	int fd;
	enum stream_state state;
	bool paused;       /* reading is */
	bool saw_end;      /* of what the peer sends */
	bool broken;       /* sending failed */
	bool signing;      /* the handshake waits for a signature */
	bool dirty, again; /* is on the hub's list */
	bool flushing;
	int events;    /* what the poll handle waits for */
	char *pending; /* records that the socket has not taken yet */
	size_t pending_len, pending_pos, pending_cap;
	monotime_t deadline; /* ns 0: none */
	struct stream *dirty_next, *again_next;
	struct stream *prev, *next; /* all of the hub's */
	uint64_t bytes_in, bytes_out;
	size_t lingered; /* bytes thrown away at the end */
};

struct stream_hub {
	uv_loop_t *loop;
	uv_prepare_t prepare;
	uv_check_t check;
	uv_idle_t idle; /* keeps the loop from sleeping while `again` has streams */
	uv_timer_t tick;
	struct stream *dirty, *again, *all;
	size_t count;
	struct stream *staged; /* whose bytes are in `staging` */
	size_t staging_len;
	char *staging;             /* STREAM_RECORD_BYTES of plaintext */
	struct stream *wire_owner; /* whose records are in `wire` */
	size_t wire_len;
	char *wire;    /* STREAM_WIRE_BYTES */
	char *scratch; /* for reading */
	/* Called before bytes leave, if not NULL: what must leave first does so then. */
	void (*before_flush)(void *arg);
	/* Called about once a second. */
	void (*second)(void *arg);
	void *arg;
};

void stream_hub_init(struct stream_hub *hub, uv_loop_t *loop);
/* Stops the hub's own handles; all streams must be closed. */
void stream_hub_fini(struct stream_hub *hub);

/* Takes an accepted socket and the SSL (server side); begins the handshake. */
void stream_accept(struct stream *s, struct stream_hub *hub,
    const struct stream_ops *ops, int fd, SSL *ssl);
/* Takes a socket whose connect(2) is under way, and the SSL (client side). */
void stream_connect(struct stream *s, struct stream_hub *hub,
    const struct stream_ops *ops, int fd, SSL *ssl);

/* Asks for a flush at the end of this turn. */
void stream_want_flush(struct stream *s);
/* True while earlier bytes wait for the socket. */
MUST_CHECK bool stream_blocked(const struct stream *s);
/* Sends; never refuses. Callers stop when stream_blocked, which bounds what waits. */
void stream_put(struct stream *s, const void *data, size_t len);
/* Room left in the record being made. */
MUST_CHECK size_t stream_room(const struct stream *s);

void stream_pause(struct stream *s);
void stream_resume(struct stream *s);
/* 0: none. `failed` is called with NULL when it passes. */
void stream_set_deadline(struct stream *s, uint64_t timeout_ms);

/* Says that we send no more (close_notify), and goes on reading. */
void stream_end_writing(struct stream *s);
/* Ends politely: what waits is sent, then close_notify; input is thrown away for up to
 * two seconds, so that the peer can read our last words. `closed` follows. */
void stream_finish(struct stream *s);
/* Ends at once. */
void stream_close(struct stream *s);

#endif
