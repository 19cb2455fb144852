/*
 * The text form of diagnostics. What one says comes from input, as source lines do:
 * control characters in either never reach the terminal.
 */
#include "common/diag_text.h"

#include <string.h>

#include "common/utf8.h"

#define SHOWN_POINTS  120 /* of a source line */
#define SHOWN_BEFORE  40  /* of these, at most so many before the column */
#define GUTTER_DIGITS 5

/* Controls, and what changes the direction of text: shown, they would deceive. */
static bool
is_hidden_point(uint32_t point)
{
	return (point < 0x20 && point != '\t') || (point >= 0x7f && point < 0xa0) ||
	       point == 0x200e || point == 0x200f ||
	       (point >= 0x2028 && point <= 0x202e) ||
	       (point >= 0x2066 && point <= 0x2069) || point == 0xfeff;
}

/* Appends the character at text[at] or a replacement; returns its bytes. */
static size_t
add_point(struct buf *out, struct str text, size_t at)
{
	uint32_t point;
	size_t width = utf8_decode(text, at, &point);

	if (width == 0 || is_hidden_point(point)) {
		buf_add_cstr(out, UTF8_REPLACEMENT);
		return width != 0 ? width : 1;
	}
	buf_add(out, text.ptr + at, width);
	return width;
}

static void
add_plain(struct buf *out, struct str text)
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

bool
diag_find_line(struct diag_cursor *cursor, struct loc loc, struct str *out_line)
{
	struct str text;
	size_t end;

	if (loc.source == NULL || loc.line == 0)
		return false;
	text = loc.source->text;
	if (cursor->source != loc.source || cursor->line > loc.line)
		*cursor =
		    (struct diag_cursor){loc.source, 1, 0, str_find(text, '\n', 0)};
	while (cursor->line < loc.line) {
		if (cursor->end == text.len)
			return false;
		cursor->at = cursor->end + 1;
		cursor->end = str_find(text, '\n', cursor->at);
		cursor->line++;
	}
	end = cursor->end;
	if (end > cursor->at && text.ptr[end - 1] == '\r')
		end--;
	*out_line = str_slice(text, cursor->at, end);
	/* Columns of the first line count behind a byte order mark. */
	if (cursor->at == 0 && str_starts(*out_line, STR(UTF8_BYTE_ORDER_MARK)))
		*out_line =
		    str_slice(*out_line, strlen(UTF8_BYTE_ORDER_MARK), out_line->len);
	return true;
}

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
		add_plain(out, str_from(hint));
	}
	buf_add_char(out, '\n');
}

/* "file:line:col: ", as much of it as is known. */
static void
add_place(struct buf *out, struct loc loc)
{
	if (loc.source == NULL)
		return;
	add_plain(out, loc.source->name);
	if (loc.line != 0)
		buf_printf(out, ":%u", loc.line);
	if (loc.line != 0 && loc.col != 0)
		buf_printf(out, ":%u", loc.col);
	buf_add_cstr(out, ": ");
}

/* One message with its source line. `code` and `hint` may be NULL. */
static void
add_message(struct buf *out, struct diag_cursor *cursor, enum diag_severity severity,
    struct loc loc, const char *msg, const char *code, const char *hint)
{
	struct str line;

	add_place(out, loc);
	buf_printf(out, "%s: ", diag_severity_name(severity));
	add_plain(out, str_from(msg));
	if (code != NULL)
		buf_printf(out, " [%s]", code);
	if (diag_find_line(cursor, loc, &line)) {
		buf_add_char(out, '\n');
		add_excerpt(out, loc, line, hint);
		return;
	}
	if (hint != NULL) {
		buf_add_cstr(out, "; ");
		add_plain(out, str_from(hint));
	}
	buf_add_char(out, '\n');
}

void
diag_render_text(struct buf *out, const struct diag_list *list)
{
	struct diag_cursor cursor = {0}, note_cursor = {0};

	for (const struct diag *d = list->first; d != NULL; d = d->next) {
		add_message(
		    out, &cursor, d->severity, d->loc, d->msg, d->code, d->hint);
		if (d->note != NULL)
			add_message(out, &note_cursor, DIAG_NOTE, d->note_loc, d->note,
			    NULL, NULL);
	}
	if (list->dropped != 0)
		buf_printf(out, "note: %u more not shown\n", list->dropped);
}
