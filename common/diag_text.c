/*
 * The text form of diagnostics. What one says comes from input, as source lines do:
 * control characters in either never reach the terminal.
 */
#include "common/diag_text.h"

#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"

#define SHOWN_POINTS  120 /* of a source line */
#define SHOWN_BEFORE  40  /* of these, at most so many before the column */
#define GUTTER_DIGITS 5

/* Appends the character at text[at] or a replacement; returns its bytes. */
static size_t
add_point(struct buf *out, struct str text, size_t at)
{
	uint32_t point;
	size_t width = utf8_decode(text, at, &point);

	if (width == 0 || (point != '\t' && utf8_is_hidden(point))) {
		buf_add_cstr(out, UTF8_REPLACEMENT);
		return width != 0 ? width : 1;
	}
	buf_add(out, text.ptr + at, width);
	return width;
}

void
diag_add_plain(struct buf *out, struct str text)
{
	size_t i = 0;

	while (i < text.len) {
		if (text.ptr[i] == '\n' || text.ptr[i] == '\t') {
			buf_add_char(out, ' ');
			i++;
		} else {
			i += add_point(out, text, i);
		}
	}
}

static size_t
point_width(struct str text, size_t at)
{
	size_t width = utf8_width(text, at);

	return width != 0 ? width : 1;
}

size_t
diag_count_points(struct str text, size_t from, size_t to)
{
	size_t count = 0;

	for (size_t i = from; i < to && i < text.len; i += point_width(text, i))
		count++;
	return count;
}

/* The byte that lies `points` code points behind `from`. */
static size_t
skip_points(struct str text, size_t from, size_t points)
{
	size_t i = from;

	while (points-- > 0 && i < text.len)
		i += point_width(text, i);
	return i;
}

/* The byte at most `points` code points before `from`. */
static size_t
back_points(struct str text, size_t from, size_t points)
{
	size_t i = from;

	while (points-- > 0 && i > 0) {
		i--;
		while (i > 0 && ((unsigned char)text.ptr[i] & 0xc0) == 0x80)
			i--;
	}
	return i;
}

/* ---- lines ---- */

/* Between two places that are kept, lines and bytes are no more, but for one line. */
#define KEPT_LINES 64u
#define KEPT_BYTES 65536u

struct line_start {
	uint32_t line; /* from 0 */
	size_t at;
};

struct line_table {
	const struct source *source; /* its address is the key */
	struct line_start *kept;     /* by line */
	size_t count, cap;
	struct line_start last; /* so far has been looked */
	bool done;              /* it is the source's last */
};

static void
keep_start(struct line_table *t, struct line_start start)
{
	if (t->count == t->cap) {
		t->cap = t->cap == 0 ? 16 : 2 * t->cap;
		t->kept = xreallocarray(t->kept, t->cap, sizeof(*t->kept));
	}
	t->kept[t->count++] = start;
}

static struct line_table *
table_of(struct diag_lines *lines, const struct source *source)
{
	struct str key = {(const char *)&source, sizeof(struct source *)};
	struct line_table *t = map_get(&lines->sources, key);

	if (t == NULL) {
		t = xcalloc(1, sizeof(*t));
		t->source = source;
		keep_start(t, (struct line_start){0});
		key.ptr = (const char *)&t->source;
		(void)map_set(&lines->sources, key, t);
	}
	return t;
}

void
diag_lines_fini(struct diag_lines *lines)
{
	for (size_t i = 0; i < lines->sources.len; i++) {
		struct line_table *t = lines->sources.entries[i].value;

		free(t->kept);
		free(t);
	}
	map_fini(&lines->sources);
}

/* Looks one line further. */
static void
look_on(struct line_table *t)
{
	const struct line_start *kept = &t->kept[t->count - 1];
	size_t end = str_find(t->source->text, '\n', t->last.at);

	t->done = end == t->source->text.len;
	if (t->done)
		return;
	t->last = (struct line_start){t->last.line + 1, end + 1};
	if (t->last.line - kept->line >= KEPT_LINES ||
	    t->last.at - kept->at >= KEPT_BYTES)
		keep_start(t, t->last);
}

/* Where a line, counted from 0, begins; false if there are not so many. */
static bool
find_start(struct line_table *t, uint32_t line, size_t *out_at)
{
	size_t lo = 0, hi;

	while (!t->done && t->last.line < line)
		look_on(t);
	if (t->last.line < line)
		return false;
	hi = t->count;
	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (t->kept[mid].line <= line)
			lo = mid;
		else
			hi = mid;
	}
	*out_at = t->kept[lo].at;
	for (uint32_t i = t->kept[lo].line; i < line; i++)
		*out_at = str_find(t->source->text, '\n', *out_at) + 1;
	return true;
}

bool
diag_find_line(struct diag_lines *lines, struct loc loc, struct str *out_line)
{
	struct line_table *t;
	struct str text;
	size_t at, end;

	if (loc.source == NULL || loc.line == 0)
		return false;
	t = table_of(lines, loc.source);
	if (!find_start(t, loc.line - 1, &at))
		return false;
	text = loc.source->text;
	end = find_start(t, loc.line, &end) ? end - 1 : text.len;
	if (end > at && text.ptr[end - 1] == '\r')
		end--;
	*out_line = str_slice(text, at, end);
	/* Columns of the first line count behind a byte order mark. */
	if (at == 0 && str_starts(*out_line, STR(UTF8_BYTE_ORDER_MARK)))
		*out_line =
		    str_slice(*out_line, strlen(UTF8_BYTE_ORDER_MARK), out_line->len);
	return true;
}

/* ---- messages ---- */

/* Shows text[from, to) of a line, then the underline below it. */
static void
add_excerpt(struct buf *out, struct loc loc, struct str line, const char *hint)
{
	size_t col = loc.col != 0 ? loc.col - 1 : 0;
	size_t from = 0, to = line.len, marked = 1;

	if (col > line.len)
		col = line.len;
	/* The line may be a whole file: only the part shown is looked at. */
	if (skip_points(line, 0, SHOWN_POINTS) < line.len) {
		from = back_points(line, col, SHOWN_BEFORE);
		to = skip_points(line, from, SHOWN_POINTS);
	}
	buf_printf(out, "%*u | %s", GUTTER_DIGITS, loc.line, from > 0 ? "..." : "");
	for (size_t i = from; i < to;)
		i += add_point(out, line, i);
	buf_printf(out, "%s\n%*s | %s", to < line.len ? "..." : "", GUTTER_DIGITS, "",
	    from > 0 ? "   " : "");
	for (size_t i = from; i < col; i += point_width(line, i))
		buf_add_char(out, line.ptr[i] == '\t' ? '\t' : ' ');
	if (loc.end_col > loc.col)
		marked = diag_count_points(
		    line, col, loc.end_col - 1 < to ? loc.end_col - 1 : to);
	buf_add_char(out, '^');
	for (size_t i = 1; i < marked; i++)
		buf_add_char(out, '~');
	if (hint != NULL) {
		buf_add_char(out, ' ');
		diag_add_plain(out, str_from(hint));
	}
	buf_add_char(out, '\n');
}

/* "file:line:col: ", as much of it as is known. */
static void
add_place(struct buf *out, struct loc loc)
{
	if (loc.source == NULL)
		return;
	diag_add_plain(out, loc.source->name);
	if (loc.line != 0)
		buf_printf(out, ":%u", loc.line);
	if (loc.line != 0 && loc.col != 0)
		buf_printf(out, ":%u", loc.col);
	buf_add_cstr(out, ": ");
}

/* One message with its source line. `code` and `hint` may be NULL. */
static void
add_message(struct buf *out, struct diag_lines *lines, enum diag_severity severity,
    struct loc loc, const char *msg, const char *code, const char *hint)
{
	struct str line;

	add_place(out, loc);
	buf_printf(out, "%s: ", diag_severity_name(severity));
	diag_add_plain(out, str_from(msg));
	if (code != NULL)
		buf_printf(out, " [%s]", code);
	if (diag_find_line(lines, loc, &line)) {
		buf_add_char(out, '\n');
		add_excerpt(out, loc, line, hint);
		return;
	}
	if (hint != NULL) {
		buf_add_cstr(out, "; ");
		diag_add_plain(out, str_from(hint));
	}
	buf_add_char(out, '\n');
}

void
diag_render_text(struct buf *out, const struct diag_list *list)
{
	struct diag_lines lines = {0};

	for (const struct diag *d = list->first; d != NULL; d = d->next) {
		add_message(out, &lines, d->severity, d->loc, d->msg, d->code, d->hint);
		if (d->note != NULL)
			add_message(
			    out, &lines, DIAG_NOTE, d->note_loc, d->note, NULL, NULL);
	}
	if (list->dropped != 0)
		buf_printf(out, "note: %u more not shown\n", list->dropped);
	diag_lines_fini(&lines);
}
