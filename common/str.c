#include "common/str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"

#define DISTANCE_BYTES 64

int
str_cmp(struct str a, struct str b)
{
	size_t common = a.len < b.len ? a.len : b.len;
	int order = common != 0 ? memcmp(a.ptr, b.ptr, common) : 0;

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

bool
str_starts(struct str s, struct str prefix)
{
	return s.len >= prefix.len && str_eq(str_slice(s, 0, prefix.len), prefix);
}

bool
str_ends(struct str s, struct str suffix)
{
	return s.len >= suffix.len &&
	       str_eq(str_slice(s, s.len - suffix.len, s.len), suffix);
}

size_t
str_find(struct str s, char c, size_t from)
{
	const char *hit;

	if (from >= s.len)
		return s.len;
	hit = memchr(s.ptr + from, c, s.len - from);
	return hit != NULL ? (size_t)(hit - s.ptr) : s.len;
}

static bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str
str_trim(struct str s)
{
	while (s.len > 0 && is_space(s.ptr[s.len - 1]))
		s.len--;
	while (s.len > 0 && is_space(s.ptr[0])) {
		s.ptr++;
		s.len--;
	}
	return s;
}

struct str
str_dup(struct arena *a, struct str s)
{
	return (struct str){arena_strndup(a, s.ptr, s.len), s.len};
}

struct str
str_concat(struct arena *a, const struct str *parts, size_t count)
{
	size_t len = 0, at = 0;
	char *text;

	for (size_t i = 0; i < count; i++)
		len += parts[i].len;
	text = arena_alloc(a, len + 1);
	for (size_t i = 0; i < count; i++) {
		if (parts[i].len != 0)
			memcpy(text + at, parts[i].ptr, parts[i].len);
		at += parts[i].len;
	}
	return (struct str){text, len};
}

struct str
str_split(struct str *rest, char c)
{
	struct str part = *rest;
	size_t at = str_find(part, c, 0);

	if (at == part.len) {
		*rest = (struct str){NULL, 0};
		return part;
	}
	*rest = str_slice(part, at + 1, part.len);
	return str_slice(part, 0, at);
}

bool
str_to_u64(struct str s, uint64_t max, uint64_t *out_value)
{
	uint64_t value = 0;

	if (s.len == 0 || (s.len > 1 && s.ptr[0] == '0'))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		unsigned digit = (unsigned char)s.ptr[i] - (unsigned)'0';

		if (digit > 9 || value > (UINT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	if (value > max)
		return false;
	*out_value = value;
	return true;
}

static unsigned
min_unsigned(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

unsigned
str_distance(struct str a, struct str b, unsigned limit)
{
	/* Three rows of the table: two back (for a swap), the last, the present. */
	unsigned rows[3][DISTANCE_BYTES + 1];
	size_t gap = a.len > b.len ? a.len - b.len : b.len - a.len;

	if (a.len > DISTANCE_BYTES || b.len > DISTANCE_BYTES || gap > limit)
		return limit + 1;
	for (unsigned j = 0; j <= b.len; j++)
		rows[0][j] = j;
	for (unsigned i = 1; i <= a.len; i++) {
		const unsigned *two = rows[(i + 1) % 3], *last = rows[(i - 1) % 3];
		unsigned *row = rows[i % 3];

		row[0] = i;
		for (unsigned j = 1; j <= b.len; j++) {
			bool same = a.ptr[i - 1] == b.ptr[j - 1];

			row[j] = min_unsigned(min_unsigned(last[j], row[j - 1]) + 1,
			    last[j - 1] + (same ? 0 : 1));
			if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] &&
			    a.ptr[i - 2] == b.ptr[j - 1])
				row[j] = min_unsigned(row[j], two[j - 2] + 1);
		}
	}
	return min_unsigned(rows[a.len % 3][b.len], limit + 1);
}

void
buf_free(struct buf *b)
{
	free(b->data);
	*b = (struct buf){0};
}

void
buf_clear(struct buf *b)
{
	b->len = 0;
	if (b->data != NULL)
		b->data[0] = '\0';
}

void
buf_reserve(struct buf *b, size_t more)
{
	size_t need, cap;

	if (more > SIZE_MAX / 2 - b->len - 1)
		base_die("text too large");
	need = b->len + more + 1;
	if (need <= b->cap)
		return;
	cap = b->cap < 64 ? 64 : b->cap;
	while (cap < need)
		cap *= 2;
	b->data = xreallocarray(b->data, cap, 1);
	b->cap = cap;
}

void
buf_add(struct buf *b, const void *data, size_t len)
{
	buf_reserve(b, len);
	if (len != 0)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void
buf_add_str(struct buf *b, struct str s)
{
	buf_add(b, s.ptr, s.len);
}

void
buf_add_cstr(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_add_char(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(b, fmt, ap);
	va_end(ap);
}

void
buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	buf_reserve(b, 64);
	va_copy(again, ap);
	n = vsnprintf(b->data + b->len, b->cap - b->len, fmt, ap);
	if (n < 0)
		base_die("cannot format");
	if ((size_t)n >= b->cap - b->len) {
		buf_reserve(b, (size_t)n);
		(void)vsnprintf(
		    b->data + b->len, b->cap - b->len, fmt, again); /* fits */
	}
	va_end(again);
	b->len += (size_t)n;
}

static void
add_json_ascii(struct buf *b, char c)
{
	static const char short_escapes[128] = {
	    ['"'] = '"',
	    ['\\'] = '\\',
	    ['\b'] = 'b',
	    ['\f'] = 'f',
	    ['\n'] = 'n',
	    ['\r'] = 'r',
	    ['\t'] = 't',
	};
	char letter = short_escapes[(unsigned char)c & 0x7f];

	if (letter != '\0') {
		buf_add_char(b, '\\');
		buf_add_char(b, letter);
	} else {
		buf_printf(b, "\\u%04x", (unsigned)(unsigned char)c);
	}
}

void
buf_add_json(struct buf *b, struct str s)
{
	size_t plain = 0; /* bytes before i that are still to be copied as they are */
	size_t i = 0;

	buf_add_char(b, '"');
	while (i < s.len) {
		unsigned char c = (unsigned char)s.ptr[i];
		size_t width = 1;

		if (c >= 0x80)
			width = utf8_width(s, i);
		if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f && width != 0) {
			plain += width;
			i += width;
			continue;
		}
		buf_add(b, s.ptr + i - plain, plain);
		plain = 0;
		if (width == 0)
			buf_add_cstr(b, UTF8_REPLACEMENT);
		else
			add_json_ascii(b, s.ptr[i]);
		i++;
	}
	if (plain != 0) /* an empty view may have no pointer to add to */
		buf_add(b, s.ptr + i - plain, plain);
	buf_add_char(b, '"');
}

struct str
buf_str(const struct buf *b)
{
	return (struct str){b->data, b->len};
}
