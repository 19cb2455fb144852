#include "authn/proxy/iobuf.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/secret.h"

#define SMALL_BYTES 4096u
#define LARGE_BYTES 16384u
#define POOL_SMALL  256u /* kept for reuse: 1 MiB */
#define POOL_LARGE  128u /* 2 MiB */

struct iobuf_block {
	struct iobuf_block *next;
	size_t start, end;
	size_t cap;
	uint8_t data[];
};

static struct iobuf_block *
block_new(struct iobuf_pool *pool, size_t want)
{
	bool large = want > SMALL_BYTES - sizeof(struct iobuf_block);
	struct iobuf_block **list = large ? &pool->large : &pool->small;
	size_t bytes = large ? LARGE_BYTES : SMALL_BYTES;
	struct iobuf_block *block = *list;

	if (block != NULL) {
		*list = block->next;
		*(large ? &pool->large_count : &pool->small_count) -= 1;
	} else {
		block = xmalloc(bytes);
	}
	block->next = NULL;
	block->start = block->end = 0;
	block->cap = bytes - sizeof(*block);
	pool->bytes += bytes;
	return block;
}

static void
block_free(struct iobuf_pool *pool, struct iobuf_block *block)
{
	size_t bytes = block->cap + sizeof(*block);
	bool large = bytes == LARGE_BYTES;
	unsigned *count = large ? &pool->large_count : &pool->small_count;
	struct iobuf_block **list = large ? &pool->large : &pool->small;

	pool->bytes -= bytes;
	if (*count >= (large ? POOL_LARGE : POOL_SMALL)) {
		free(block);
		return;
	}
	block->next = *list;
	*list = block;
	*count += 1;
}

void
iobuf_pool_fini(struct iobuf_pool *pool)
{
	struct iobuf_block *lists[] = {pool->small, pool->large};

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		while (lists[i] != NULL) {
			struct iobuf_block *next = lists[i]->next;

			free(lists[i]);
			lists[i] = next;
		}
	}
	*pool = (struct iobuf_pool){.small = NULL};
}

bool
iobuf_sane(const struct iobuf *b)
{
	size_t len = 0;

	for (const struct iobuf_block *k = b->first; k != NULL; k = k->next) {
		if (k->start >= k->end || k->end > k->cap)
			return false;
		if (k->next == NULL && k != b->last)
			return false;
		len += k->end - k->start;
	}
	return len == b->len && (b->first != NULL || b->last == NULL);
}

void
iobuf_append(struct iobuf_pool *pool, struct iobuf *b, const void *data, size_t len)
{
	const uint8_t *from = data;

	while (len != 0) {
		struct iobuf_block *last = b->last;
		size_t n;

		if (last == NULL || last->end == last->cap) {
			struct iobuf_block *block = block_new(pool, len);

			if (last != NULL)
				last->next = block;
			else
				b->first = block;
			b->last = last = block;
		}
		n = last->cap - last->end;
		if (n > len)
			n = len;
		memcpy(last->data + last->end, from, n);
		last->end += n;
		b->len += n;
		from += n;
		len -= n;
	}
}

struct str
iobuf_peek(const struct iobuf *b)
{
	if (b->first == NULL)
		return STR("");
	return (struct str){(const char *)b->first->data + b->first->start,
	    b->first->end - b->first->start};
}

void
iobuf_copy(const struct iobuf *b, struct buf *out)
{
	for (const struct iobuf_block *block = b->first; block != NULL;
	     block = block->next)
		buf_add(out, block->data + block->start, block->end - block->start);
}

void
iobuf_drain(struct iobuf_pool *pool, struct iobuf *b, size_t len)
{
	assert(len <= b->len);
	b->len -= len;
	while (len != 0) {
		struct iobuf_block *first = b->first;
		size_t n = first->end - first->start;

		if (n > len) {
			first->start += len;
			return;
		}
		len -= n;
		b->first = first->next;
		if (b->first == NULL)
			b->last = NULL;
		block_free(pool, first);
	}
}

void
iobuf_wipe_front(struct iobuf *b, size_t len)
{
	for (struct iobuf_block *k = b->first; k != NULL && len != 0; k = k->next) {
		size_t n = k->end - k->start < len ? k->end - k->start : len;

		secret_wipe(k->data + k->start, n);
		len -= n;
	}
}

void
iobuf_wipe(struct iobuf_pool *pool, struct iobuf *b)
{
	/* The part that was drained may be secret as well. */
	for (struct iobuf_block *k = b->first; k != NULL; k = k->next)
		secret_wipe(k->data, k->end);
	iobuf_clear(pool, b);
}

void
iobuf_clear(struct iobuf_pool *pool, struct iobuf *b)
{
	if (b->len != 0)
		iobuf_drain(pool, b, b->len);
}
