/*
 * Reads JSON (RFC 8259) strictly. YAML's readers refuse some of it: surrogate pairs
 * in escapes, long keys. Several values may follow each other, as kubectl accepts them.
 */
#include <string.h>

#include "common/doc_tree.h"
#include "common/utf8.h"

struct json_reader {
	struct doc_tree *tree;
	struct str text;
	size_t at;
	size_t line;       /* from 1 */
	size_t line_start; /* byte */
	struct doc_failure *failure;
	bool over_limit; /* reported; reading ends, though it is JSON */
	struct buf unescaped;
};

static struct loc
loc_between(const struct json_reader *r, size_t from, size_t to)
{
	return (struct loc){
	    .source = r->tree->source,
	    .line = (uint32_t)r->line,
	    .col = (uint32_t)(from - r->line_start) + 1,
	    .end_col = to > from ? (uint32_t)(to - r->line_start) + 1 : 0,
	};
}

/* Remembers the failure; false for the caller to return. */
static bool
fail(struct json_reader *r, size_t at, const char *msg)
{
	*r->failure =
	    (struct doc_failure){.at = at, .loc = loc_between(r, at, at), .msg = msg};
	return false;
}

/* The byte at the place; NUL at the end (none is in the text). */
static char
peek(const struct json_reader *r)
{
	return r->at < r->text.len ? r->text.ptr[r->at] : '\0';
}

static void
skip_space(struct json_reader *r)
{
	for (;; r->at++) {
		char c = peek(r);

		if (c == '\n') {
			r->line++;
			r->line_start = r->at + 1;
		} else if (c != ' ' && c != '\t' && c != '\r') {
			return;
		}
	}
}

static struct doc_node *
new_scalar(struct json_reader *r, enum doc_kind kind, size_t from)
{
	return doc_tree_node(r->tree, kind, loc_between(r, from, r->at));
}

/* False ends the reading: over a limit. */
static bool
add_scalar(struct json_reader *r, struct doc_node *node)
{
	r->over_limit = !doc_tree_add(r->tree, node);
	return !r->over_limit;
}

/* ---- strings ---- */

/* Four hexadecimal digits at `at`. */
static bool
read_hex(const struct json_reader *r, size_t at, uint32_t *out_unit)
{
	uint32_t unit = 0;

	if (r->text.len - at < 4)
		return false;
	for (size_t i = 0; i < 4; i++) {
		static const char digits[] = "0123456789abcdef";
		char c = r->text.ptr[at + i];
		char lower = c >= 'A' && c <= 'F' ? (char)(c + ('a' - 'A')) : c;
		const char *digit = memchr(digits, lower, sizeof(digits) - 1);

		if (digit == NULL)
			return false;
		unit = unit << 4 | (uint32_t)(digit - digits);
	}
	*out_unit = unit;
	return true;
}

/* The rest of "\u": one unit of UTF-16, or two that belong together. */
static bool
read_unicode_escape(struct json_reader *r)
{
	size_t start = r->at - 2;
	uint32_t point, low;
	char utf8[4];

	if (!read_hex(r, r->at, &point))
		return fail(
		    r, start, "expected four hexadecimal digits in this escape");
	r->at += 4;
	if (point >= 0xd800 && point <= 0xdbff) {
		if (!str_starts(str_slice(r->text, r->at, r->text.len), STR("\\u")) ||
		    !read_hex(r, r->at + 2, &low) || low < 0xdc00 || low > 0xdfff)
			return fail(r, start, "this escape is half a character");
		r->at += 6;
		point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
	} else if (point >= 0xdc00 && point <= 0xdfff) {
		return fail(r, start, "this escape is half a character");
	}
	if (point == 0)
		return fail(r, start, "a NUL character in a text is not allowed");
	buf_add(&r->unescaped, utf8, utf8_put(point, utf8));
	return true;
}

/* Behind a backslash. */
static bool
read_escape(struct json_reader *r)
{
	static const char escapes[128] = {
	    ['"'] = '"',
	    ['\\'] = '\\',
	    ['/'] = '/',
	    ['b'] = '\b',
	    ['f'] = '\f',
	    ['n'] = '\n',
	    ['r'] = '\r',
	    ['t'] = '\t',
	};
	unsigned char c = (unsigned char)peek(r);

	r->at++;
	if (c == 'u')
		return read_unicode_escape(r);
	if (c >= sizeof(escapes) || escapes[c] == '\0')
		return fail(
		    r, r->at - 2, "unknown escape: a backslash is written \\\\");
	buf_add_char(&r->unescaped, escapes[c]);
	return true;
}

/* Reads on in a string that has an escape; `from`: behind its opening quote. */
static bool
read_escaped(struct json_reader *r, size_t from)
{
	size_t plain = from;

	buf_clear(&r->unescaped);
	while (peek(r) != '"') {
		char c = peek(r);

		if (r->at == r->text.len || (unsigned char)c < 0x20)
			return fail(
			    r, from - 1, "this quote is not closed on its line");
		if (c != '\\') {
			r->at++;
			continue;
		}
		buf_add(&r->unescaped, r->text.ptr + plain, r->at - plain);
		r->at++;
		if (!read_escape(r))
			return false;
		plain = r->at;
	}
	buf_add(&r->unescaped, r->text.ptr + plain, r->at - plain);
	return true;
}

static bool
read_string(struct json_reader *r)
{
	size_t from = r->at + 1;
	struct str value;
	struct doc_node *node;

	r->at = from;
	while (peek(r) != '"' && peek(r) != '\\' && (unsigned char)peek(r) >= 0x20)
		r->at++;
	value = str_slice(r->text, from, r->at);
	if (peek(r) != '"') {
		if (!read_escaped(r, from))
			return false;
		value = buf_str(&r->unescaped);
	}
	r->at++;
	node = new_scalar(r, DOC_STRING, from - 1);
	node->text = doc_tree_text(r->tree, value);
	return add_scalar(r, node);
}

/* ---- other scalars ---- */

static size_t
skip_digits(struct json_reader *r)
{
	size_t from = r->at;

	while (peek(r) >= '0' && peek(r) <= '9')
		r->at++;
	return r->at - from;
}

static bool
read_number(struct json_reader *r)
{
	size_t from = r->at, digits;
	bool integer = true, zero;
	struct doc_node *node;

	if (peek(r) == '-')
		r->at++;
	zero = peek(r) == '0';
	digits = skip_digits(r);
	if (digits == 0 || (zero && digits > 1))
		return fail(r, from, "this is not a JSON number");
	if (peek(r) == '.') {
		integer = false;
		r->at++;
		if (skip_digits(r) == 0)
			return fail(r, r->at, "expected digits");
	}
	if (peek(r) == 'e' || peek(r) == 'E') {
		integer = false;
		r->at++;
		if (peek(r) == '+' || peek(r) == '-')
			r->at++;
		if (skip_digits(r) == 0)
			return fail(r, r->at, "expected digits");
	}
	node = new_scalar(r, DOC_INT, from);
	node->text = doc_tree_text(r->tree, str_slice(r->text, from, r->at));
	doc_scalar_json_number(r->tree, node, integer);
	return add_scalar(r, node);
}

static bool
read_word(struct json_reader *r)
{
	static const struct {
		struct str word;
		enum doc_kind kind;
		bool value;
	} words[] = {
	    {{"true", 4}, DOC_BOOL, true},
	    {{"false", 5}, DOC_BOOL, false},
	    {{"null", 4}, DOC_NULL, false},
	};
	struct str rest = str_slice(r->text, r->at, r->text.len);

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		size_t from = r->at;
		struct doc_node *node;

		if (!str_starts(rest, words[i].word))
			continue;
		r->at += words[i].word.len;
		node = new_scalar(r, words[i].kind, from);
		node->text = words[i].word;
		node->u.boolean = words[i].value;
		return add_scalar(r, node);
	}
	return fail(r, r->at, "expected a value");
}

static bool
read_scalar(struct json_reader *r)
{
	char c = peek(r);

	if (c == '"')
		return read_string(r);
	if (c == '-' || (c >= '0' && c <= '9'))
		return read_number(r);
	return read_word(r);
}

/* ---- lists and maps ---- */

static bool
in_map(const struct json_reader *r)
{
	const struct doc_tree *t = r->tree;

	return t->frames[t->depth - 1].node->kind == DOC_MAP;
}

static bool
read_key(struct json_reader *r)
{
	if (peek(r) != '"')
		return fail(r, r->at, "expected a key in double quotes");
	if (!read_string(r))
		return false;
	skip_space(r);
	if (peek(r) != ':')
		return fail(r, r->at, "expected \":\" after the key");
	r->at++;
	skip_space(r);
	return true;
}

/* After a value: closes what ends here, up to the comma before the next value.
 * False: failed. The outermost value has ended when the depth is 0. */
static bool
end_values(struct json_reader *r)
{
	while (r->tree->depth > 0) {
		bool map = in_map(r);
		char c;

		skip_space(r);
		c = peek(r);
		if (c == ',') {
			r->at++;
			skip_space(r);
			return !map || read_key(r);
		}
		if (c != (map ? '}' : ']'))
			return fail(r, r->at,
			    map ? "expected \",\" or \"}\""
				: "expected \",\" or \"]\"");
		r->at++;
		doc_tree_close(r->tree);
	}
	return true;
}

/* "{" or "[", up to the first value in it; *out_empty: there is none, and it is
 * closed. */
static bool
open_collection(struct json_reader *r, bool *out_empty)
{
	bool map = peek(r) == '{';

	if (!doc_tree_open(r->tree, map ? DOC_MAP : DOC_LIST,
		loc_between(r, r->at, r->at), NULL)) {
		r->over_limit = true;
		return false;
	}
	r->at++;
	skip_space(r);
	*out_empty = peek(r) == (map ? '}' : ']');
	if (*out_empty) {
		r->at++;
		doc_tree_close(r->tree);
		return true;
	}
	return !map || read_key(r);
}

static bool
read_value(struct json_reader *r)
{
	if (!r->tree->dry)
		doc_tree_begin_document(
		    r->tree, r->at, (uint32_t)r->line, r->line_start);
	do {
		char c = peek(r);
		bool ended = true;

		if (c == '{' || c == '[') {
			if (!open_collection(r, &ended))
				return false;
		} else if (!read_scalar(r)) {
			return false;
		}
		if (ended && !end_values(r))
			return false;
	} while (r->tree->depth > 0);
	doc_tree_end_document(r->tree);
	return true;
}

bool
doc_json_read(struct doc_tree *t, struct doc_failure *out_failure)
{
	struct json_reader r = {
	    .tree = t, .text = t->text, .line = 1, .failure = out_failure};
	bool ok = true;

	skip_space(&r);
	while (ok && r.at < r.text.len) {
		if (peek(&r) != '{' && peek(&r) != '[')
			ok = fail(&r, r.at, "expected the end of the file");
		else
			ok = read_value(&r);
		skip_space(&r);
	}
	buf_free(&r.unescaped);
	return ok || r.over_limit;
}
