#include "policy-lang/format/fmt_internal.h"

#include <string.h>

static void
add_properties(struct buf *out, const struct written_node *node)
{
	if (node->properties.len == 0)
		return;
	buf_add_str(out, node->properties);
	if (node->raw.len > 0)
		buf_add_char(out, ' ');
}

static bool
is_one_line(struct str s)
{
	return str_find(s, '\n', 0) == s.len;
}

void
fmt_scalar_quoted(struct buf *out, const struct written_node *node)
{
	add_properties(out, node);
	buf_add_json(out, node->value);
}

/* Double quotes, unless single ones spare escapes. */
static void
add_single_quoted(struct buf *out, const struct written_node *node)
{
	bool plain = true;

	for (size_t i = 0; i < node->value.len; i++) {
		unsigned char c = (unsigned char)node->value.ptr[i];

		if (c == '"' || c == '\\' || c < ' ')
			plain = false;
	}
	if (!plain && is_one_line(node->raw)) {
		buf_add_str(out, node->raw);
		return;
	}
	buf_add_json(out, node->value);
}

bool
fmt_scalar(struct buf *out, const struct written_node *node)
{
	if (node->style == WRITTEN_LITERAL || node->style == WRITTEN_FOLDED)
		return false;
	add_properties(out, node);
	if (node->kind == WRITTEN_ALIAS || is_one_line(node->raw)) {
		if (node->style == WRITTEN_SINGLE_QUOTED)
			add_single_quoted(out, node);
		else
			buf_add_str(out, node->raw);
	} else if (node->style == WRITTEN_PLAIN && is_one_line(node->value)) {
		buf_add_str(out, node->value);
	} else {
		buf_add_json(out, node->value);
	}
	return true;
}

/* ---- block texts ---- */

static bool
is_spaces(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] != ' ')
			return false;
	}
	return true;
}

static size_t
leading_spaces(struct str s)
{
	size_t n = 0;

	while (n < s.len && s.ptr[n] == ' ')
		n++;
	return n;
}

/* The first line that is not empty; the empty view if there is none. *out_odd: some
 * line has spaces and nothing else. */
static struct str
first_line(struct str text, bool *out_odd)
{
	struct str first = {0};

	*out_odd = false;
	while (text.ptr != NULL) {
		struct str line = str_split(&text, '\n');

		if (line.len == 0)
			continue;
		if (is_spaces(line))
			*out_odd = true;
		else if (first.len == 0)
			first = line;
	}
	return first;
}

bool
fmt_keeps_lines(const struct written_node *node)
{
	size_t header = str_find(node->raw, '\n', 0);
	size_t comment = str_find(node->raw, '#', 0);

	return (node->style == WRITTEN_LITERAL || node->style == WRITTEN_FOLDED) &&
	       str_find(str_slice(node->raw, 0, header < comment ? header : comment),
		   '+', 0) < (header < comment ? header : comment);
}

static void
add_header(
    struct buf *out, const struct written_node *node, bool leads, struct str comment)
{
	struct str header = str_slice(node->raw, 0, str_find(node->raw, '\n', 0));

	add_properties(out, node);
	buf_add_char(out, header.ptr[0]);
	if (leads)
		buf_printf(out, "%d", FMT_INDENT);
	for (size_t i = 1; i < header.len && header.ptr[i] != '#'; i++) {
		if (header.ptr[i] == '+' || header.ptr[i] == '-')
			buf_add_char(out, header.ptr[i]);
	}
	if (comment.len > 0)
		buf_printf(out, " %.*s", STR_ARG(comment));
	buf_add_char(out, '\n');
}

bool
fmt_block_text(struct buf *out, const struct written_node *node, unsigned indent,
    struct str comment)
{
	struct str body =
	    str_slice(node->raw, str_find(node->raw, '\n', 0) + 1, node->raw.len);
	struct str line, first_value, first_body;
	size_t cut, empty = 0;
	bool odd, odd_body;

	first_value = first_line(node->value, &odd);
	if (first_value.len == 0 || odd || body.len == 0)
		return false;
	first_body = first_line(body, &odd_body);
	cut = leading_spaces(first_body) - leading_spaces(first_value);
	add_header(out, node, leading_spaces(first_value) > 0, comment);
	if (str_ends(body, STR("\n")))
		body.len--;
	while (body.ptr != NULL) {
		line = str_split(&body, '\n');
		if (is_spaces(line)) {
			empty++;
			continue;
		}
		for (; empty > 0; empty--)
			buf_add_char(out, '\n');
		buf_printf(out, "%*s%.*s\n", (int)indent, "",
		    STR_ARG(str_slice(line, cut, line.len)));
	}
	for (; fmt_keeps_lines(node) && empty > 0; empty--)
		buf_add_char(out, '\n');
	return true;
}
