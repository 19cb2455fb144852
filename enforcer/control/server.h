/*
 * A small server for questions that fit into a few kilobytes: reads until the question is
 * complete, hands it to the handler, sends what the handler says, closes. For the
 * control socket and for metrics. Of more connections than it keeps, those that ask nothing
 * make room for new ones, and those that read nothing for what is sent to others; of a UNIX socket
 * some of both is kept free for root.
 */
#ifndef ENFORCER_SERVER_H
#define ENFORCER_SERVER_H

#include <sys/socket.h>
#include <uv.h>

#include "common/err.h"
#include "common/str.h"

struct server;
struct server_conn;

struct server_handler {
	const char *name;      /* for the log */
	const char *end;       /* what ends a question: "\n", "\r\n\r\n" */
	size_t question_bytes; /* at most, `end` included */
	/* Answer with server_send, now or later, and end with server_finish. */
	void (*question)(void *arg, struct server_conn *conn, struct str question);
	/* The client says no more, and may have gone, before it has its answer. May be NULL. */
	void (*ended)(void *arg, struct server_conn *conn);
};

/* Takes a listening socket (UNIX or TCP). */
MUST_CHECK int server_new(uv_loop_t *loop, int fd, const struct server_handler *handler,
    void *arg, struct server **out_server, struct err *err);
/* Takes another listening socket of that family in the place of the one that there is; connections
 * go on. On failure that one stays. */
MUST_CHECK int server_listen(struct server *s, int fd, struct err *err);
/* Closes everything. NULL is fine. */
void server_free(struct server *s);

/* Sends a copy. When more waits for clients than memory should hold, the one that has read
 * least of what it asked for is cut off. */
void server_send(struct server_conn *conn, struct str data);
/* Closes once everything is sent. */
void server_finish(struct server_conn *conn);
/* Names a connection for later; server_find gives NULL when it is over. */
MUST_CHECK uint64_t server_conn_id(const struct server_conn *conn);
MUST_CHECK struct server_conn *server_find(struct server *s, uint64_t id);
/* Who is at the other end of a UNIX socket; user and group UINT32_MAX, process 0: not known. */
MUST_CHECK struct ucred server_conn_peer(const struct server_conn *conn);
/* One more thing to remember about a connection. */
void server_conn_mark(struct server_conn *conn, bool value);
/* Calls `each` for every connection that is marked. */
void server_each_marked(
    struct server *s, void (*each)(struct server_conn *conn, void *arg), void *arg);

#endif
