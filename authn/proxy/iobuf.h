/*
 * A queue of bytes between two sides of an exchange: appended at the end, taken from
 * the front, made of blocks that a pool recycles. An empty queue owns no memory, so
 * that an idle watch costs nothing here. Limits are the users' affair: flow control
 * bounds what is appended.
 *
 *      first                         last
 *     [ done | data ] -> [ data ] -> [ data | room ]
 *            ^start                         ^end   ^cap
 */
#ifndef AUTHN_IOBUF_H
#define AUTHN_IOBUF_H

#include "common/str.h"

struct iobuf_block;

/* Free blocks of one worker. {0} is an empty pool. */
struct iobuf_pool {
	struct iobuf_block *small, *large;
	unsigned small_count, large_count; /* kept for reuse */
	size_t bytes;                      /* in use, for memory figures */
};

/* {0} is an empty queue. */
struct iobuf {
	struct iobuf_block *first, *last;
	size_t len;
};

void iobuf_pool_fini(struct iobuf_pool *pool);

void iobuf_append(
    struct iobuf_pool *pool, struct iobuf *b, const void *data, size_t len);
/* The first contiguous piece; empty when the queue is. Valid until the next change. */
MUST_CHECK struct str iobuf_peek(const struct iobuf *b);
/* Appends everything to *out; the queue keeps it. */
void iobuf_copy(const struct iobuf *b, struct buf *out);
/* Takes `len` bytes (at most b->len) off the front. */
void iobuf_drain(struct iobuf_pool *pool, struct iobuf *b, size_t len);
/* Overwrites the first `len` bytes, which stay in the queue. */
void iobuf_wipe_front(struct iobuf *b, size_t len);
/* Overwrites everything, then drops it: for bodies that hold passwords or tokens. */
void iobuf_wipe(struct iobuf_pool *pool, struct iobuf *b);
void iobuf_clear(struct iobuf_pool *pool, struct iobuf *b);
/* Checks the invariant of the picture above. */
MUST_CHECK bool iobuf_sane(const struct iobuf *b);

#endif
