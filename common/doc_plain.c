/*
 * Reads the plain part of YAML, which is nearly all that policy files consist of: block
 * maps and lists, flow collections on one line, scalars on one line, comments. It is
 * several times as fast as the full reader and must make the same tree with the same
 * places; whatever it is not sure of (anchors, tags, block texts, escapes, tabs, every
 * error) it leaves to the full reader, which then reads that document from its beginning.
 * All functions that return bool return false for that.
 */
#include <string.h>

#include "common/doc_tree.h"

/* YAML allows a key 1024 characters; the limit's own edge is left to the full reader. */
#define KEY_BYTES 1000

struct plain_reader {
	struct doc_tree *tree;
	struct str text;
	size_t at;
	size_t line_start;
	uint32_t line; /* from 1 */
	/* Columns before the first character of the line that is being read, when a
	 * node begins there; -1 when the document has ended. */
	ptrdiff_t indent;
};

static char
peek_at(const struct plain_reader *r, size_t at)
{
	return at < r->text.len ? r->text.ptr[at] : '\n';
}

static char
peek(const struct plain_reader *r)
{
	return peek_at(r, r->at);
}

/* At a line end (a CR stands only before LF) or at the end of the text. */
static bool
is_line_end(char c)
{
	return c == '\n' || c == '\r';
}

static bool
is_blank_or_end(char c)
{
	return c == ' ' || is_line_end(c);
}

static bool
is_one_of(char c, const char *set)
{
	return strchr(set, c) != NULL && c != '\0';
}

static bool
is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || (unsigned char)c >= 0x80;
}

/* May begin a plain scalar, whatever follows. Not "<": "<<" is a merge key. */
static bool
is_first(char c)
{
	return is_word(c) || is_one_of(c, "_/.$+=~()^");
}

/* May stand in a plain scalar in a flow collection, whatever follows. */
static bool
is_flow_inner(char c)
{
	return is_word(c) || is_one_of(c, "-. /_$+=~()^*@");
}

static void
skip_spaces(struct plain_reader *r)
{
	while (peek(r) == ' ')
		r->at++;
}

static struct loc
loc_between(const struct plain_reader *r, size_t from, size_t to)
{
	return (struct loc){
	    .source = r->tree->source,
	    .line = r->line,
	    .col = (uint32_t)(from - r->line_start) + 1,
	    .end_col = to > from ? (uint32_t)(to - r->line_start) + 1 : 0,
	};
}

static ptrdiff_t
column(const struct plain_reader *r)
{
	return (ptrdiff_t)(r->at - r->line_start);
}

/* ---- lines ---- */

/* "---" or "..." for itself at the beginning of a line. */
static bool
is_marker(const struct plain_reader *r, const char *marker)
{
	return r->at == r->line_start && r->text.len - r->at >= 3 &&
	       memcmp(r->text.ptr + r->at, marker, 3) == 0 &&
	       (is_blank_or_end(peek_at(r, r->at + 3)) ||
		   peek_at(r, r->at + 3) == '\t');
}

static void
skip_line(struct plain_reader *r)
{
	if (peek(r) != '\n')
		r->at = str_find(r->text, '\n', r->at);
	if (r->at < r->text.len)
		r->at++;
	r->line_start = r->at;
	r->line++;
}

/* From anywhere in the blank rest of a line to the first character of the next line that
 * has contents. */
static bool
next_contents(struct plain_reader *r)
{
	for (;;) {
		skip_spaces(r);
		if (r->at >= r->text.len || is_marker(r, "---")) {
			r->indent = -1;
			return true;
		}
		if (!is_line_end(peek(r)) && peek(r) != '#') {
			r->indent = column(r);
			return !is_marker(r, "...");
		}
		skip_line(r);
	}
}

/* Behind a value: nothing but a comment may follow on its line. */
static bool
end_line(struct plain_reader *r)
{
	size_t from = r->at;

	skip_spaces(r);
	if (!is_line_end(peek(r)) && (peek(r) != '#' || r->at == from))
		return false;
	if (r->at < r->text.len)
		skip_line(r);
	return next_contents(r);
}

/* ---- scalars ---- */

static bool
add_scalar(struct plain_reader *r, size_t from, struct str text, bool quoted)
{
	struct doc_node *node =
	    doc_tree_node(r->tree, DOC_STRING, loc_between(r, from, r->at));

	if (quoted)
		node->text = doc_tree_text(r->tree, text);
	else
		doc_tree_plain_text(r->tree, node, text);
	return doc_tree_add(r->tree, node);
}

static bool
add_null(struct plain_reader *r, struct loc loc)
{
	struct doc_node *node = doc_tree_node(r->tree, DOC_NULL, loc);

	node->text = STR("");
	return doc_tree_add(r->tree, node);
}

/* From a quote to behind its partner on the same line. */
static bool
read_quoted(struct plain_reader *r)
{
	char quote = peek(r);
	size_t from = r->at++;
	size_t end = r->at;
	char c;

	for (; (c = peek_at(r, end)) != quote; end++) {
		if (is_line_end(c) || (quote == '"' && c == '\\'))
			return false;
	}
	r->at = end + 1; /* at another quote, if a text in single quotes has one */
	return add_scalar(r, from, str_slice(r->text, from + 1, end), true);
}

/* What may end a scalar in a block, or what is refused there; all of it is below ':'. */
#define BLOCK_STOPS                                                                    \
	(UINT64_C(1) << '\n' | UINT64_C(1) << '\r' | UINT64_C(1) << '\t' |             \
	    UINT64_C(1) << '#' | UINT64_C(1) << ':')

/* The first stop among the sixteen bytes there; 16: none. */
static size_t
first_block_stop(const char *at)
{
	doc_bytes bytes = doc_bytes_at(at);

	return doc_bytes_first(
	    (doc_bytes)((bytes == '\n') | (bytes == '\r') | (bytes == '\t') |
			(bytes == '#') | (bytes == ':')));
}

/* The first place at or after `i` with one of them, or the end of the text. */
static size_t
find_block_stop(const struct plain_reader *r, size_t i)
{
	while (r->text.len - i >= sizeof(doc_bytes)) {
		size_t stop = first_block_stop(r->text.ptr + i);

		i += stop;
		if (stop < sizeof(doc_bytes))
			return i;
	}
	for (; i < r->text.len; i++) {
		unsigned char c = (unsigned char)r->text.ptr[i];

		if (c <= ':' && (BLOCK_STOPS >> c & 1) != 0)
			break;
	}
	return i;
}

/* Where the plain scalar that begins at `from` ends, blanks behind it included; SIZE_MAX
 * for what others must read. */
static size_t
find_block_end(const struct plain_reader *r, size_t from)
{
	for (size_t i = from;; i++) {
		char c;

		i = find_block_stop(r, i);
		c = peek_at(r, i);
		if (is_line_end(c) ||
		    (c == ':' && is_blank_or_end(peek_at(r, i + 1))) ||
		    (c == '#' && r->text.ptr[i - 1] == ' '))
			return i;
		if (c == '\t')
			return SIZE_MAX;
	}
}

static size_t
find_flow_end(const struct plain_reader *r, size_t from)
{
	for (size_t i = from;; i++) {
		char c = peek_at(r, i), next = peek_at(r, i + 1);

		if (is_line_end(c) || (c == ':' && is_blank_or_end(next)) ||
		    (c == '#' && r->text.ptr[i - 1] == ' ') || c == ',' || c == ']' ||
		    c == '}')
			return i;
		if (!is_flow_inner(c) && (c != ':' || !is_flow_inner(next)))
			return SIZE_MAX;
	}
}

/* From the first character of a plain scalar to behind its last. */
static bool
read_plain(struct plain_reader *r, bool flow)
{
	size_t from = r->at, first = from, end;

	/* Up to two dashes: options of a command line. */
	while (first < from + 2 && peek_at(r, first) == '-')
		first++;
	if (!is_first(peek_at(r, first)))
		return false;
	end = flow ? find_flow_end(r, from) : find_block_end(r, from);
	if (end == SIZE_MAX)
		return false;
	while (r->text.ptr[end - 1] == ' ')
		end--; /* the first character is none */
	r->at = end;
	return add_scalar(r, from, str_slice(r->text, from, end), false);
}

static bool
read_scalar(struct plain_reader *r, bool flow)
{
	if (peek(r) == '"' || peek(r) == '\'')
		return read_quoted(r);
	return read_plain(r, flow);
}

/* A key and its colon. */
static bool
read_key(struct plain_reader *r, bool flow)
{
	size_t from = r->at;

	if (!read_scalar(r, flow) || peek(r) != ':' || r->at - from > KEY_BYTES)
		return false;
	r->at++;
	return is_blank_or_end(peek(r));
}

/* ---- flow collections, on one line ---- */

static bool
open_collection(struct plain_reader *r, enum doc_kind kind)
{
	return doc_tree_open(r->tree, kind, loc_between(r, r->at, r->at), NULL);
}

static bool
read_flow(struct plain_reader *r)
{
	bool map = peek(r) == '{';
	char end = map ? '}' : ']';

	if (!open_collection(r, map ? DOC_MAP : DOC_LIST))
		return false;
	r->at++;
	skip_spaces(r);
	while (peek(r) != end) {
		if (map) {
			if (!read_key(r, true))
				return false;
			skip_spaces(r);
		}
		if (peek(r) == '[' || peek(r) == '{' ? !read_flow(r)
						     : !read_scalar(r, true))
			return false;
		skip_spaces(r);
		if (peek(r) == end)
			break;
		if (peek(r) != ',')
			return false;
		r->at++;
		skip_spaces(r);
		if (peek(r) == end)
			return false; /* a comma at the end: rare */
	}
	r->at++;
	doc_tree_close(r->tree);
	return true;
}

/* ---- blocks ---- */

static bool read_block(struct plain_reader *r);

static bool
at_dash(const struct plain_reader *r)
{
	return peek(r) == '-' && is_blank_or_end(peek_at(r, r->at + 1));
}

/* The value whose line holds nothing more than its ":" or "-": on lines below, or
 * absent. A list may stand as far left as the key that it belongs to. */
static bool
read_value_below(struct plain_reader *r, ptrdiff_t parent_indent, bool in_map)
{
	struct loc absent = loc_between(r, r->at, r->at);

	if (!end_line(r))
		return false;
	if (r->indent > parent_indent ||
	    (in_map && r->indent == parent_indent && at_dash(r)))
		return read_block(r);
	return add_null(r, absent);
}

/* Whether what begins here is a key. It only looks: strange contents of the line are for
 * others to refuse. */
static bool
at_key(const struct plain_reader *r)
{
	size_t i = r->at;
	char quote = peek(r);

	if (quote == '"' || quote == '\'') {
		for (i++; peek_at(r, i) != quote; i++) {
			if (is_line_end(peek_at(r, i)))
				return false;
		}
		i++;
		return peek_at(r, i) == ':' && is_blank_or_end(peek_at(r, i + 1));
	}
	for (;; i++) {
		char c;

		i = find_block_stop(r, i);
		c = peek_at(r, i);
		if (is_line_end(c) ||
		    (c == '#' && i > r->at && r->text.ptr[i - 1] == ' '))
			return false;
		if (c == ':' && is_blank_or_end(peek_at(r, i + 1)))
			return true;
	}
}

/* Behind a ":" or "-" at the given indentation. Ends at the next contents. */
static bool
read_value(struct plain_reader *r, ptrdiff_t parent_indent, bool in_map)
{
	size_t behind = r->at;
	char c;

	skip_spaces(r);
	c = peek(r);
	if (is_line_end(c) || (c == '#' && r->at > behind)) {
		r->at = behind;
		return read_value_below(r, parent_indent, in_map);
	}
	if (c != '[' && c != '{' && !in_map && (at_dash(r) || at_key(r))) {
		r->indent = column(r);
		return read_block(r);
	}
	/* An item that is given away must have ended, and here it may go on. */
	if (doc_tree_at_item(r->tree))
		return false;
	if (c == '[' || c == '{')
		return read_flow(r) && end_line(r);
	return read_scalar(r, false) && end_line(r);
}

static bool
read_list(struct plain_reader *r, ptrdiff_t indent)
{
	if (!open_collection(r, DOC_LIST))
		return false;
	do {
		r->at++;
		if (!read_value(r, indent, false))
			return false;
	} while (r->indent == indent && at_dash(r));
	if (r->indent > indent)
		return false;
	doc_tree_close(r->tree);
	return true;
}

static bool
read_map(struct plain_reader *r, ptrdiff_t indent)
{
	if (!open_collection(r, DOC_MAP))
		return false;
	do {
		if (!read_key(r, false) || !read_value(r, indent, true))
			return false;
	} while (r->indent == indent);
	if (r->indent > indent)
		return false;
	doc_tree_close(r->tree);
	return true;
}

/* A list or map that begins here. What follows it further left is the affair of those
 * that it is in; further right nothing can follow it: it would go on. */
static bool
read_block(struct plain_reader *r)
{
	ptrdiff_t indent = r->indent;

	return at_dash(r) ? read_list(r, indent) : read_map(r, indent);
}

static bool
read_document(struct plain_reader *r)
{
	if (is_marker(r, "---")) {
		r->at += 3;
		if (!end_line(r))
			return false;
	} else if (!next_contents(r)) {
		return false;
	}
	return r->indent < 0 || (read_block(r) && r->indent < 0);
}

bool
doc_plain_read(struct doc_tree *t, struct doc_place *place)
{
	struct plain_reader r = {
	    .tree = t,
	    .text = t->text,
	    .at = place->at,
	    .line_start = place->at,
	    .line = place->line,
	};
	const struct diag_list mark = *t->diags;
	uint64_t nodes = t->nodes;
	bool failed = t->failed;

	doc_tree_begin_document(t, r.at, r.line, r.line_start);
	if (!read_document(&r)) {
		/* As if nothing had been tried; only the arena remembers. */
		doc_tree_forget_document(t, &mark);
		t->nodes = nodes;
		t->failed = failed;
		return false;
	}
	doc_tree_end_document(t);
	*place = (struct doc_place){.at = r.at, .line = r.line};
	return true;
}
