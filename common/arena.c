#include "common/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHUNK_BYTES (64 * 1024)
/* An arena that has grown beyond BIG_AFTER gets its memory in chunks that the kernel can
 * back with huge pages: the page faults of a large tree cost more than building it. */
#define BIG_AFTER_BYTES (1024 * 1024)
#define BIG_CHUNK_BYTES ((size_t)4 * 1024 * 1024)

struct chunk {
	struct chunk *next;
	size_t used;
	size_t size;
	bool mapped; /* by mmap, not calloc */
	_Alignas(max_align_t) unsigned char data[];
};

struct arena {
	struct chunk *chunks;
	struct chunk *spare; /* a zeroed one that a rewind left; not in `chunks` */
	size_t chunk_bytes;
	size_t bytes;
};

struct arena *
arena_new(void)
{
	return arena_new_sized(CHUNK_BYTES);
}

struct arena *
arena_new_sized(size_t chunk_bytes)
{
	struct arena *a = xcalloc(1, sizeof(*a));

	a->chunk_bytes = chunk_bytes;
	return a;
}

static void
chunk_free(struct chunk *c)
{
	if (c->mapped)
		(void)munmap(c, sizeof(*c) + c->size); /* cannot fail: ours */
	else
		free(c);
}

void
arena_reset(struct arena *a)
{
	struct chunk *keep = NULL, *next;

	for (struct chunk *c = a->chunks; c != NULL; c = next) {
		next = c->next;
		if (keep == NULL && c->size == a->chunk_bytes)
			keep = c;
		else
			chunk_free(c);
	}
	if (keep != NULL) {
		memset(keep->data, 0, keep->used);
		keep->used = 0;
		keep->next = NULL;
	}
	a->chunks = keep;
	a->bytes = 0;
}

void
arena_free(struct arena *a)
{
	struct chunk *next;

	if (a == NULL)
		return;
	for (struct chunk *c = a->chunks; c != NULL; c = next) {
		next = c->next;
		chunk_free(c);
	}
	if (a->spare != NULL)
		chunk_free(a->spare);
	free(a);
}

/* What is given back reads as zero, as it did before. */
static void
chunk_settle(struct chunk *c)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char *from = c->data + c->used, *end = c->data + c->size;

	if (!c->mapped)
		return;
	from += -(uintptr_t)from & (page - 1);
	if (from >= end)
		return;
	/* Wishes: that it goes, and that no huge page brings it back. */
	(void)madvise(from, (size_t)(end - from), MADV_NOHUGEPAGE);
	(void)madvise(from, (size_t)(end - from), MADV_DONTNEED);
}

void
arena_settle(struct arena *a)
{
	for (struct chunk *c = a->chunks; c != NULL; c = c->next)
		chunk_settle(c);
	if (a->spare != NULL)
		chunk_free(a->spare);
	a->spare = NULL;
}

struct arena_mark
arena_mark(const struct arena *a)
{
	struct chunk *c = a->chunks;

	return (struct arena_mark){.chunk = c,
	    .next = c != NULL ? c->next : NULL,
	    .used = c != NULL ? c->used : 0,
	    .bytes = a->bytes};
}

/* One ordinary chunk is kept, so that a loop at the edge of a chunk does not ask the
 * system for memory at every turn. */
static void
chunk_retire(struct arena *a, struct chunk *c)
{
	if (a->spare != NULL || c->size < a->chunk_bytes || c->size > BIG_CHUNK_BYTES) {
		chunk_free(c);
		return;
	}
	memset(c->data, 0, c->used);
	c->used = 0;
	a->spare = c;
}

void
arena_rewind(struct arena *a, const struct arena_mark *mark)
{
	struct chunk *last = mark->chunk, *next;

	while (a->chunks != last) {
		next = a->chunks->next;
		chunk_retire(a, a->chunks);
		a->chunks = next;
	}
	a->bytes = mark->bytes;
	if (last == NULL)
		return;
	/* Oversized ones went behind it. */
	while (last->next != mark->next) {
		next = last->next->next;
		chunk_free(last->next);
		last->next = next;
	}
	memset(last->data + mark->used, 0, last->used - mark->used);
	last->used = mark->used;
}

/* The leak checker does not look for pointers in mapped memory. */
#ifdef RINGFENCE_SANITIZED
static struct chunk *
map_chunk(size_t size UNUSED)
{
	return NULL;
}
#else
static struct chunk *
map_chunk(size_t size)
{
	size_t bytes = sizeof(struct chunk) + size;
	void *p = mmap(
	    NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct chunk *c = p;

	if (p == MAP_FAILED)
		return NULL;
	(void)madvise(p, bytes, MADV_HUGEPAGE); /* a wish */
	c->mapped = true;
	c->size = size;
	return c;
}
#endif

static struct chunk *
arena_grow(struct arena *a, size_t size)
{
	size_t room = size > a->chunk_bytes / 4 ? size : a->chunk_bytes;
	struct chunk *c = NULL;

	if (room > SIZE_MAX - sizeof(*c))
		base_die("allocation too large");
	if (room > size && a->spare != NULL) {
		c = a->spare;
		a->spare = NULL;
	}
	if (c == NULL && room == CHUNK_BYTES && a->bytes > BIG_AFTER_BYTES)
		c = map_chunk(BIG_CHUNK_BYTES - sizeof(*c));
	else if (c == NULL && room >= BIG_CHUNK_BYTES)
		c = map_chunk(room);
	if (c == NULL) {
		c = xcalloc(1, sizeof(*c) + room);
		c->size = room;
	}
	/* An oversized chunk goes behind the current one, whose room stays in use. */
	if (room == size && a->chunks != NULL) {
		c->next = a->chunks->next;
		a->chunks->next = c;
	} else {
		c->next = a->chunks;
		a->chunks = c;
	}
	return c;
}

static size_t
alignment_of(size_t size)
{
	const size_t most = _Alignof(max_align_t);
	size_t align = size & -size;

	return align == 0 ? 1 : align < most ? align : most;
}

void *
arena_alloc(struct arena *a, size_t size)
{
	/* A type's size is a multiple of its alignment: of many small things most would be
	 * half padding if all were aligned for the largest. */
	const size_t align = alignment_of(size);
	struct chunk *c = a->chunks;
	size_t pad;
	void *p;

	if (size > SIZE_MAX / 2)
		base_die("allocation too large");
	if (size == 0)
		size = 1;
	pad = c != NULL ? -c->used & (align - 1) : 0;
	if (c == NULL || c->size - c->used < pad + size) {
		c = arena_grow(a, size);
		pad = -c->used & (align - 1);
	}
	p = c->data + c->used + pad;
	c->used += pad + size;
	a->bytes += pad + size;
	return p;
}

void *
arena_array(struct arena *a, size_t count, size_t size)
{
	if (size != 0 && count > SIZE_MAX / size)
		base_die("allocation too large");
	return arena_alloc(a, count * size);
}

char *
arena_strndup(struct arena *a, const char *s, size_t len)
{
	char *copy = arena_alloc(a, len + 1);

	if (len != 0)
		memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

char *
arena_strdup(struct arena *a, const char *s)
{
	return arena_strndup(a, s, strlen(s));
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		base_die("cannot format");
	s = arena_alloc(a, (size_t)n + 1);
	va_start(ap, fmt);
	(void)vsnprintf(s, (size_t)n + 1, fmt, ap); /* fits: measured above */
	va_end(ap);
	return s;
}

size_t
arena_bytes(const struct arena *a)
{
	return a->bytes;
}
