/*
 * Between dns_*.c only:
 *
 *     dns_role.c      start, end, what the parent and the engine send
 *     dns_listen.c    questions of workloads, over UDP and TCP, and their answers
 *     dns_ask.c       a query: resolvers are asked in turn, the answer is held
 *     dns_share.c     how much of that each tenant may have
 */
#ifndef ENFORCER_DNS_INTERNAL_H
#define ENFORCER_DNS_INTERNAL_H

#include <uv.h>

#include "common/ip_socket.h"
#include "enforcer/config/settings.h"
#include "enforcer/dns/dns_messages.h"
#include "enforcer/dns/dns_share.h"
#include "enforcer/wire/link.h"

#define DNS_QUERY_BYTES 4096u /* longer ones nobody needs */
#define DNS_PORT        53

struct dns_role;
struct dns_conn;

/* Who asks, and how to answer. */
struct dns_source {
	struct ip_addr client;
	int socket;           /* UDP: the answer goes out of this one ... */
	union ip_socket from; /* ... to here */
	socklen_t from_len;
	struct dns_conn *conn; /* TCP; NULL: UDP, or it is over by now */
	bool tcp;
};

struct dns_query {
	struct dns_role *role;
	struct dns_query *next_free;
	bool used;
	uint32_t ticket; /* another one each time; modulo LIMIT_DNS_QUERIES the place */
	struct dns_client *asker;
	struct dns_source source;
	struct dns_head head;
	uint8_t *message; /* behind the two bytes of its length */
	size_t size;
	monotime_t last; /* by then it is over */
	/* The resolver that is asked now, of all; the first is `first`. */
	size_t first;
	unsigned tries, refusals;
	uint16_t id;
	int fd; /* -1: none */
	uv_poll_t *poll;
	monotime_t until; /* then another is, or the answer is held no longer */
	unsigned odd, odd_sockets; /* answers that did not fit; sockets of too many */
	size_t done;               /* bytes over TCP, sent or received */
	bool sent;
	/* What it says. */
	uint8_t *answer; /* behind two bytes as well, over TCP */
	size_t answer_size;
	bool held;
	monotime_t since; /* when that began */
	bool told;        /* the engine knows of it */
};

struct dns_socket {
	struct dns_role *role;
	int fd;
	uv_poll_t poll;
};

#define DNS_SOCKETS_MOST (2 * LIMIT_DNS_LISTENERS)

struct dns_role {
	uv_loop_t loop;
	struct proc_channel *parent;
	struct link *parent_link;
	struct proc_channel engine; /* fd -1: none */
	struct link *engine_link;
	monotime_t heard; /* when it last said something */
	bool deaf;        /* it said nothing for as long as answers wait */
	struct arena *arena;
	struct dns_settings settings;
	struct dns_socket sockets[DNS_SOCKETS_MOST];
	size_t socket_count;
	struct dns_share *share;
	struct dns_query *queries; /* LIMIT_DNS_QUERIES */
	struct dns_query *free;
	size_t first;           /* the resolver that is asked first */
	struct dns_conn *conns; /* a list */
	uv_timer_t tick;        /* while anything is under way */
	uv_timer_t reports;
	uv_timer_t missing; /* ends us if no new engine comes */
	uint64_t counts[DNS_COUNTS], told[DNS_COUNTS];
};

/* ---- dns_role.c ---- */

/* Sends the engine a message; false: it is not taken, now. */
MUST_CHECK bool dns_tell_engine(
    struct dns_role *d, uint32_t type, const struct buf *body);
/* Watches a descriptor; NULL: that cannot be. */
MUST_CHECK uv_poll_t *dns_watch(
    struct dns_role *d, int fd, int events, uv_poll_cb callback, void *arg);
/* Stops watching; NULL is fine. The descriptor stays. */
void dns_unwatch(uv_poll_t *poll);
/* Something is under way: the clock runs. */
void dns_run_clock(struct dns_role *d);

/* ---- dns_listen.c ---- */

MUST_CHECK int dns_listen_begin(
    struct dns_role *d, const int *fds, size_t count, struct err *err);
void dns_listen_end(struct dns_role *d);
/* Sends an answer, if its asker is still there; `message` stays the caller's. */
void dns_answer(const struct dns_source *source, const uint8_t *message, size_t size);
/* Ends connections that say nothing. */
void dns_listen_tick(struct dns_role *d, monotime_t now);

/* ---- dns_ask.c ---- */

void dns_ask_init(struct dns_role *d);
void dns_ask_fini(struct dns_role *d);
/* Begins a query, of which one has been taken from the tenant's share; copies. It is
 * answered later, even if there is nobody who could. */
void dns_ask(struct dns_role *d, const struct dns_source *source,
    struct dns_client *asker, const struct dns_head *head, const uint8_t *message,
    size_t size);
/* The connection of its asker is over. */
void dns_ask_orphan(struct dns_role *d, const struct dns_conn *conn);
/* The kernel knows what an answer says. */
void dns_ask_pass(struct dns_role *d, uint32_t ticket);
/* There is another engine, or it speaks again: it is asked again. */
void dns_ask_again(struct dns_role *d);
void dns_ask_tick(struct dns_role *d, monotime_t now);

#endif
