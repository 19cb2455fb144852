/*
 * The few macros that every room uses.
 */
#ifndef COMMON_BASE_H
#define COMMON_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK             __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define NORETURN               __attribute__((noreturn))
#define UNUSED                 __attribute__((unused))
#define ARRAY_LEN(a)           (sizeof(a) / sizeof((a)[0]))

/* The structure of type `type` whose member `member` is at `ptr`. */
#define CONTAINER_OF(ptr, type, member)                                                \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/*
 * Ends the process for want of memory or for a broken invariant; prints `what`
 * to standard error. For small fixed allocations only: what is sized by input
 * is limited first (see limits.h) and refused with a diagnostic.
 */
NORETURN void base_die(const char *what);

/* As malloc(3), calloc(3), realloc(3), but end the process instead of failing. */
MUST_CHECK void *xmalloc(size_t size);
MUST_CHECK void *xcalloc(size_t count, size_t size);
MUST_CHECK void *xreallocarray(void *ptr, size_t count, size_t size);
MUST_CHECK char *xstrdup(const char *s);

/* Orders what two pointers to uint32_t point to: for qsort(3) and bsearch(3). */
MUST_CHECK int u32_cmp(const void *a, const void *b);

#endif
