/*
 * Sets of connections between two ends: which ports of which protocols. A set is
 * interned in its pool: equal sets of one pool are the same pointer.
 */
#ifndef POLICY_LANG_CONNECTIVITY_SET_H
#define POLICY_LANG_CONNECTIVITY_SET_H

#include "common/arena.h"
#include "common/map.h"
#include "common/str.h"

/* Protocols with ports, in the order in which they are printed. */
enum conn_proto {
	CONN_SCTP,
	CONN_TCP,
	CONN_UDP,
	CONN_PROTO_COUNT
};

/* Protocols without ports, as bits. */
enum conn_rest {
	CONN_ICMP = 1 << 0,
	CONN_ICMPV6 = 1 << 1,
	CONN_OTHER = 1 << 2,
};

/* lo <= hi; ports are 1..65535. */
struct port_range {
	uint16_t lo, hi;
};

/* Sorted, disjoint, no two adjacent. */
struct conn_ports {
	const struct port_range *items;
	size_t count;
};

struct conn_set {
	struct conn_ports ports[CONN_PROTO_COUNT];
	unsigned rest;     /* enum conn_rest: allowed */
	unsigned possible; /* enum conn_rest: what the two ends' families have at all */
	const char *text;  /* in the grammar of `list`; NULL: nothing to print */
};

struct conn_pool {
	struct arena *arena;
	bool wide; /* print protocols without ports, too: some policy names one */
	struct map sets;
	struct map meets;
};

/* The arena is borrowed; sets live as long as it does. */
void conn_pool_init(struct conn_pool *pool, struct arena *arena, bool wide);
void conn_pool_fini(struct conn_pool *pool);

/* The pool's own copy of a set; `text` is filled in. */
MUST_CHECK const struct conn_set *conn_set_intern(
    struct conn_pool *pool, const struct conn_set *set);
/* What is in both, and what is in either. */
MUST_CHECK const struct conn_set *conn_set_meet(
    struct conn_pool *pool, const struct conn_set *a, const struct conn_set *b);
MUST_CHECK const struct conn_set *conn_set_join(
    struct conn_pool *pool, const struct conn_set *a, const struct conn_set *b);
/* What is in `a` and not in `b`. */
MUST_CHECK const struct conn_set *conn_set_minus(
    struct conn_pool *pool, const struct conn_set *a, const struct conn_set *b);
/* True if nothing is in it. */
MUST_CHECK bool conn_set_empty(const struct conn_set *set);
/* One port of one protocol, cut out of the protocols that `proto` is (one of enum proto;
 * protocols without ports ignore `port`). */
MUST_CHECK const struct conn_set *conn_set_point(
    struct conn_pool *pool, uint8_t proto, uint16_t port);
/* From now on the pool's texts tell of protocols without ports, those of the sets that it
 * has already included. */
void conn_pool_widen(struct conn_pool *pool);
/* Nothing, and everything that is possible. */
MUST_CHECK const struct conn_set *conn_set_none(
    struct conn_pool *pool, unsigned possible);
MUST_CHECK const struct conn_set *conn_set_all(
    struct conn_pool *pool, unsigned possible);

#endif
