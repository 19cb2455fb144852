#include "authn/request/requestquery.h"

#include <string.h>

static const char *const key_names[QUERY_KEY_COUNT] = {
    [QUERY_WATCH] = "watch",
    [QUERY_FIELD_SELECTOR] = "fieldSelector",
    [QUERY_LABEL_SELECTOR] = "labelSelector",
    [QUERY_LIMIT] = "limit",
    [QUERY_TIMEOUT_SECONDS] = "timeoutSeconds",
    [QUERY_FOLLOW] = "follow",
};

static bool
unescape(struct arena *arena, struct str text, struct str *out)
{
	char *copy;
	size_t len;

	if (text.len == 0 || (memchr(text.ptr, '%', text.len) == NULL &&
				 memchr(text.ptr, '+', text.len) == NULL)) {
		*out = (struct str){text.ptr != NULL ? text.ptr : "", text.len};
		return true;
	}
	copy = arena_alloc(arena, text.len + 1);
	if (!request_unescape(text, true, copy, &len))
		return false;
	*out = (struct str){copy, len};
	return true;
}

bool
request_query_parse(
    struct arena *arena, struct str query, struct request_query *out_query)
{
	*out_query = (struct request_query){.values = {{NULL, 0}}};
	while (query.len != 0) {
		struct str value = str_split(&query, '&'), key;

		if (value.len == 0)
			continue;
		if (memchr(value.ptr, ';', value.len) != NULL)
			return false;
		key = str_split(&value, '=');
		if (!unescape(arena, key, &key) || !unescape(arena, value, &value))
			return false;
		for (size_t i = 0; i < QUERY_KEY_COUNT; i++) {
			if (out_query->values[i].ptr == NULL &&
			    str_is(key, key_names[i]))
				out_query->values[i] = value;
		}
	}
	return true;
}

bool
request_query_bool(const struct request_query *q, enum query_key key)
{
	struct str v = q->values[key];

	if (v.ptr == NULL || str_is(v, "0"))
		return false;
	return v.len != 5 || strncasecmp(v.ptr, "false", 5) != 0;
}

/* strconv.ParseInt(s, 10, 64) */
static bool
is_int64(struct str s)
{
	bool negative = s.len != 0 && s.ptr[0] == '-';
	uint64_t limit = (uint64_t)INT64_MAX + (negative ? 1 : 0), n = 0;
	size_t i = negative || (s.len != 0 && s.ptr[0] == '+') ? 1 : 0;

	if (i == s.len)
		return false;
	for (; i < s.len; i++) {
		uint64_t digit = (uint64_t)(unsigned char)s.ptr[i] - '0';

		if (s.ptr[i] < '0' || s.ptr[i] > '9' || n > (limit - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	return true;
}

/* ---- field selectors: terms joined by commas; \\ \, \= are escapes in values ---- */

/* Cuts the next term off; an escaped comma does not end it. */
static struct str
next_term(struct str *rest)
{
	struct str all = *rest;
	size_t i = 0;

	while (i < all.len && all.ptr[i] != ',')
		i += all.ptr[i] == '\\' && i + 1 < all.len ? 2 : 1;
	*rest = i < all.len ? str_slice(all, i + 1, all.len) : (struct str){NULL, 0};
	return str_slice(all, 0, i);
}

static bool
unescape_value(struct arena *arena, struct str text, struct str *out)
{
	char *copy = arena_alloc(arena, text.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (c == ',' || c == '=') /* must be escaped */
			return false;
		if (c == '\\') {
			if (++i == text.len || memchr("\\,=", text.ptr[i], 3) == NULL)
				return false;
			c = text.ptr[i];
		}
		copy[n++] = c;
	}
	*out = (struct str){copy, n};
	return true;
}

struct field_term {
	struct str field;
	struct str value;
	bool equals;
};

/* The first operator from the left cuts the term: !=, ==, = in that order at one place. */
static bool
parse_term(struct arena *arena, struct str text, struct field_term *out_term)
{
	size_t i = 0, width = 0;

	for (; i < text.len && width == 0; i++) {
		char next = i + 1 < text.len ? text.ptr[i + 1] : '\0';

		if (text.ptr[i] == '!' && next == '=') {
			width = 2;
			out_term->equals = false;
		} else if (text.ptr[i] == '=') {
			width = next == '=' ? 2 : 1;
			out_term->equals = true;
		}
	}
	if (width == 0)
		return false;
	out_term->field = str_slice(text, 0, i - 1);
	return unescape_value(
	    arena, str_slice(text, i - 1 + width, text.len), &out_term->value);
}

/* What path.IsValidPathSegmentName refuses is no name. */
static bool
is_path_segment(struct str s)
{
	return !str_is(s, ".") && !str_is(s, "..") &&
	       memchr(s.ptr, '/', s.len) == NULL && memchr(s.ptr, '%', s.len) == NULL;
}

bool
request_query_name(
    struct arena *arena, const struct request_query *q, struct str *out_name)
{
	struct str rest = q->values[QUERY_FIELD_SELECTOR], name = {NULL, 0};
	const struct str *limit = &q->values[QUERY_LIMIT];
	const struct str *timeout = &q->values[QUERY_TIMEOUT_SECONDS];
	const struct str *labels = &q->values[QUERY_LABEL_SELECTOR];

	*out_name = STR("");
	while (rest.len != 0) {
		struct str text = next_term(&rest);
		struct field_term term;

		if (text.len == 0)
			continue;
		if (!parse_term(arena, text, &term))
			return false;
		if (name.ptr == NULL && term.equals &&
		    str_is(term.field, "metadata.name"))
			name = term.value;
	}
	if (name.ptr == NULL)
		return true;
	/* One option that cannot be read, and the server forgets the name: refuse. */
	if ((limit->ptr != NULL && !is_int64(*limit)) ||
	    (timeout->ptr != NULL && !is_int64(*timeout)) ||
	    (labels->ptr != NULL && !label_selector_ok(*labels)))
		return false;
	if (is_path_segment(name))
		*out_name = name;
	return true;
}
