#include "policy-lang/format/tree_writer.h"

#include <inttypes.h>

void
tree_begin(struct tree_writer *w, struct buf *out, enum tree_format format)
{
	*w = (struct tree_writer){.out = out, .format = format};
}

void
tree_end(struct tree_writer *w)
{
	if (w->depth != 0)
		base_die("a tree was left open");
	if (w->format == TREE_JSON)
		buf_add_char(w->out, '\n');
}

static void
indent(struct tree_writer *w, unsigned levels)
{
	for (unsigned i = 0; i < levels; i++)
		buf_add_cstr(w->out, "  ");
}

/* What stands before a value: separator, line, indentation, key or dash. */
static void
lead_in(struct tree_writer *w, const char *key)
{
	unsigned inner = w->depth;

	if (w->depth == 0)
		return;
	if (w->format == TREE_JSON) {
		buf_add_cstr(w->out, w->levels[inner].count++ > 0 ? ",\n" : "\n");
		indent(w, inner);
		if (key != NULL) {
			buf_add_json(w->out, str_from(key));
			buf_add_cstr(w->out, ": ");
		}
		return;
	}
	if (!(w->levels[inner].compact && w->levels[inner].count == 0))
		indent(w, inner - 1);
	w->levels[inner].count++;
	if (key == NULL)
		buf_add_cstr(w->out, "- ");
	else
		buf_printf(w->out, "%s:", key);
}

static void
open_level(struct tree_writer *w, const char *key, bool list)
{
	bool item = w->depth > 0 && w->levels[w->depth].list;

	lead_in(w, key);
	if (w->format == TREE_JSON)
		buf_add_char(w->out, list ? '[' : '{');
	else if (w->depth > 0 && !item)
		buf_add_char(w->out, '\n');
	if (++w->depth >= TREE_DEPTH)
		base_die("a tree is too deep");
	w->levels[w->depth].list = list;
	w->levels[w->depth].count = 0;
	w->levels[w->depth].compact = item;
}

void
tree_map(struct tree_writer *w, const char *key)
{
	open_level(w, key, false);
}

void
tree_list(struct tree_writer *w, const char *key)
{
	open_level(w, key, true);
}

/* An empty collection has no block style: it goes back to the line of its key. */
static void
close_empty(struct tree_writer *w)
{
	const char *text = w->levels[w->depth].list ? "[]\n" : "{}\n";

	if (w->depth > 1 && !w->levels[w->depth].compact) {
		w->out->len--;
		buf_add_char(w->out, ' ');
	}
	buf_add_cstr(w->out, text);
}

void
tree_close(struct tree_writer *w)
{
	bool empty = w->levels[w->depth].count == 0;

	if (w->format == TREE_JSON) {
		if (!empty) {
			buf_add_char(w->out, '\n');
			indent(w, w->depth - 1);
		}
		buf_add_char(w->out, w->levels[w->depth].list ? ']' : '}');
	} else if (empty) {
		close_empty(w);
	}
	w->depth--;
}

static void
scalar(struct tree_writer *w, const char *key, struct str text, bool quoted)
{
	lead_in(w, key);
	if (w->format == TREE_YAML && key != NULL)
		buf_add_char(w->out, ' ');
	if (quoted)
		buf_add_json(w->out, text);
	else
		buf_add_str(w->out, text);
	if (w->format == TREE_YAML)
		buf_add_char(w->out, '\n');
}

/* What YAML reads as the same string without quotes, in every version of it. */
static bool
is_plain(const char *text)
{
	static const char *const words[] = {
	    "true", "false", "null", "yes", "no", "on", "off", "y", "n", "inf", "nan"};
	struct str s = str_from(text);

	if (s.len == 0 || s.ptr[s.len - 1] == ' ')
		return false;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (str_is(s, words[i]))
			return false;
	}
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		bool inside = (c >= '0' && c <= '9') || c == ' ' || c == '.' ||
			      c == '-' || c == '/' || c == '(' || c == ')' || c == ';';

		if (!letter && (i == 0 || !inside))
			return false;
	}
	return true;
}

void
tree_string(struct tree_writer *w, const char *key, const char *value)
{
	scalar(w, key, str_from(value), w->format == TREE_JSON || !is_plain(value));
}

void
tree_null(struct tree_writer *w, const char *key)
{
	scalar(w, key, STR("null"), false);
}

void
tree_bool(struct tree_writer *w, const char *key, bool value)
{
	scalar(w, key, value ? STR("true") : STR("false"), false);
}

void
tree_int(struct tree_writer *w, const char *key, int64_t value)
{
	struct buf text = {0};

	buf_printf(&text, "%" PRId64, value);
	scalar(w, key, buf_str(&text), false);
	buf_free(&text);
}

void
tree_strings(
    struct tree_writer *w, const char *key, const char *const *values, size_t count)
{
	tree_list(w, key);
	for (size_t i = 0; i < count; i++)
		tree_string(w, NULL, values[i]);
	tree_close(w);
}
