/*
 * The directory's servers: which there are (as configured, or by DNS), which of them rest after
 * a failure, and connections that wait for their next use. Private to directory*.c.
 * Thread-safe.
 */
#ifndef AUTHN_DIRECTORY_SERVERS_H
#define AUTHN_DIRECTORY_SERVERS_H

#include "authn/directory/directory_ldap.h"

#define SERVERS_TRIED_MAX 16

struct dir_servers;
struct dir_server;

/* Apart, because a bind changes who a connection is. */
enum dir_pool {
	DIR_POOL_SEARCH, /* bound as the service */
	DIR_POOL_BIND,   /* bound as whoever came last; good for binding only */
	DIR_POOLS
};

MUST_CHECK struct dir_servers *dir_servers_new(
    const struct gate_ldap *ldap, const char *ca_path);
void dir_servers_free(struct dir_servers *s);

/* The servers, best first. Servers by DNS are looked up when it is time; `err` is filled if
 * that fails. */
MUST_CHECK size_t dir_servers_list(
    struct dir_servers *s, struct dir_server *out[SERVERS_TRIED_MAX], struct err *err);
/* False while a server rests after a failure. When its rest is over one caller may try it,
 * and must tell the result; the others go on without it meanwhile. */
MUST_CHECK bool dir_server_may_try(struct dir_servers *s, struct dir_server *server);
/* How an attempt ended; a failure also drops the connections that wait. */
void dir_server_result(struct dir_servers *s, struct dir_server *server, bool failed);

/* A connection that waited, or a fresh one (*out_reused tells): connected, and bound as it was
 * left. */
MUST_CHECK enum auth_result dir_server_take(struct dir_servers *s,
    struct dir_server *server, enum dir_pool pool, uint64_t deadline_ns,
    struct dir_conn **out_conn, bool *out_reused, struct err *err);
/* Gives a connection back, or ends it where enough wait already. */
void dir_server_give(struct dir_servers *s, struct dir_server *server,
    enum dir_pool pool, struct dir_conn *conn);
void dir_server_flush(struct dir_servers *s, struct dir_server *server);

/* For people: appends a JSON list of the servers and how they are. */
void dir_servers_status(struct dir_servers *s, struct buf *out, size_t *out_resting);

#endif
