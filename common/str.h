/*
 * Strings: `struct str` is a view of bytes that somebody else owns (not
 * NUL-terminated unless a comment says so); `struct buf` is a growing text that
 * its holder frees. A NUL byte inside a view is an ordinary byte.
 */
#ifndef COMMON_STR_H
#define COMMON_STR_H

#include <stdarg.h>
#include <string.h>

#include "common/arena.h"
#include "common/base.h"

struct str {
	const char *ptr; /* may be NULL when len is 0 */
	size_t len;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
/* For printf: "%.*s", STR_ARG(s). */
#define STR_ARG(s) (int)(s).len, ((s).ptr != NULL ? (s).ptr : "")

/* The few that parsers call for every word are defined here, to be inlined. */

/* A view of a NUL-terminated string; NULL gives the empty view. */
MUST_CHECK static inline struct str
str_from(const char *s)
{
	return (struct str){s, s != NULL ? strlen(s) : 0};
}

MUST_CHECK static inline bool
str_eq(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Most words differ from what they are compared with in their first byte. */
MUST_CHECK static inline bool
str_is(struct str a, const char *b)
{
	if (a.len == 0 || b[0] != a.ptr[0])
		return a.len == 0 && b[0] == '\0';
	return str_eq(a, str_from(b));
}

/* Byte order, shorter first: <0, 0, >0. */
MUST_CHECK int str_cmp(struct str a, struct str b);
MUST_CHECK bool str_starts(struct str s, struct str prefix);
MUST_CHECK bool str_ends(struct str s, struct str suffix);
/* Index of the first byte `c` at or after `from`; s.len if there is none. */
MUST_CHECK size_t str_find(struct str s, char c, size_t from);
/* The part [from, to) of s, clamped to s. */
MUST_CHECK static inline struct str
str_slice(struct str s, size_t from, size_t to)
{
	if (to > s.len)
		to = s.len;
	if (from > to)
		from = to;
	return (struct str){from != 0 ? s.ptr + from : s.ptr, to - from};
}

MUST_CHECK struct str str_trim(struct str s);
/* A copy in the arena, followed by a NUL. */
MUST_CHECK struct str str_dup(struct arena *a, struct str s);
/* The parts one behind the other, in the arena, followed by a NUL:
 * STR_CONCAT(arena, a, STR("/"), b). */
MUST_CHECK struct str str_concat(
    struct arena *a, const struct str *parts, size_t count);
#define STR_CONCAT(a, ...)                                                             \
	str_concat((a), (const struct str[]){__VA_ARGS__},                             \
	    sizeof((const struct str[]){__VA_ARGS__}) / sizeof(struct str))
/* Cuts the part before the first `c` off *rest and returns it; when there is no
 * `c`, returns all of it and leaves *rest with ptr NULL. */
MUST_CHECK struct str str_split(struct str *rest, char c);
/* A hexadecimal digit's value, in either case; -1: it is none. */
MUST_CHECK static inline int
str_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}
/* The whole of s as an unsigned decimal number without sign, spaces or leading
 * zeros; false if it is not one or exceeds `max`. */
MUST_CHECK bool str_to_u64(struct str s, uint64_t max, uint64_t *out_value);
/* Edit distance (Damerau-Levenshtein, bytes), at most `limit` + 1. For
 * suggestions; strings longer than 64 bytes count as far apart. */
MUST_CHECK unsigned str_distance(struct str a, struct str b, unsigned limit);

/* A growing text; {0} is the empty value. `data` is NUL-terminated once anything
 * has been appended. The holder frees it with buf_free. */
struct buf {
	char *data;
	size_t len;
	size_t cap;
};

void buf_free(struct buf *b);
void buf_clear(struct buf *b);
void buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *data, size_t len);
void buf_add_str(struct buf *b, struct str s);
void buf_add_cstr(struct buf *b, const char *s);
void buf_add_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);
/* Appends s as a JSON string with its quotes. Bytes that are not UTF-8 become
 * U+FFFD. */
void buf_add_json(struct buf *b, struct str s);
MUST_CHECK struct str buf_str(const struct buf *b);

#endif
