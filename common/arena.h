/*
 * Arena: memory that is freed all at once. One per load, compile or request.
 * Nothing in it is freed alone; pointers into it live as long as the arena.
 * Not thread-safe.
 */
#ifndef COMMON_ARENA_H
#define COMMON_ARENA_H

#include "common/base.h"

struct arena;

MUST_CHECK struct arena *arena_new(void);

/* As arena_new, growing by `chunk_bytes` (256 to 64 KiB) instead of 64 KiB: for the many
 * small arenas of a server, one per request. */
MUST_CHECK struct arena *arena_new_sized(size_t chunk_bytes);

/* Frees everything in it, and keeps the arena and one chunk for the next use. */
void arena_reset(struct arena *a);

/* A moment in an arena's life. */
struct arena_mark {
	void *chunk, *next; /* private */
	size_t used, bytes;
};

MUST_CHECK struct arena_mark arena_mark(const struct arena *a);
/* Frees everything allocated since the mark; marks made since are void. What is given
 * back and taken again costs nothing: this is how a loop reuses warm memory. */
void arena_rewind(struct arena *a, const struct arena_mark *mark);

/* Gives memory that is not in use back to the system, as far as it can be: for an arena that
 * has grown large and hardly grows any more. */
void arena_settle(struct arena *a);

/* Frees the arena and everything in it; NULL is fine. */
void arena_free(struct arena *a);

/* Zeroed memory for `size` bytes, aligned for any type of that size, and for arrays of
 * that many bytes. Ends the process for want of memory: bound what input can ask for
 * before calling. */
MUST_CHECK void *arena_alloc(struct arena *a, size_t size);

/* As arena_alloc for an array; an overflow of the product ends the process. */
MUST_CHECK void *arena_array(struct arena *a, size_t count, size_t size);

/* Copies `len` bytes and appends a NUL. */
MUST_CHECK char *arena_strndup(struct arena *a, const char *s, size_t len);
MUST_CHECK char *arena_strdup(struct arena *a, const char *s);
MUST_CHECK char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Bytes handed out so far (for memory figures). */
MUST_CHECK size_t arena_bytes(const struct arena *a);

#define ARENA_NEW(a, type)          ((type *)arena_alloc((a), sizeof(type)))
#define ARENA_ARRAY(a, count, type) ((type *)arena_array((a), (count), sizeof(type)))

#endif
