/*
 * Diagnostics for programs: JSON and SARIF 2.1.0 (OASIS, sections 3.13 to 3.30).
 */
#include "common/diag_text.h"

static const char *
separator(bool *first)
{
	const char *s = *first ? "" : ",";

	*first = false;
	return s;
}

static void
add_string(struct buf *out, bool *first, const char *key, struct str value)
{
	buf_printf(out, "%s\"%s\":", separator(first), key);
	buf_add_json(out, value);
}

static void
add_number(struct buf *out, bool *first, const char *key, uint32_t value)
{
	buf_printf(out, "%s\"%s\":%u", separator(first), key, value);
}

/* ---- JSON ---- */

static void
add_json_place(struct buf *out, bool *first, struct loc loc)
{
	if (loc.source == NULL)
		return;
	add_string(out, first, "file", loc.source->name);
	if (loc.line == 0)
		return;
	add_number(out, first, "line", loc.line);
	if (loc.col == 0)
		return;
	add_number(out, first, "column", loc.col);
	if (loc.end_col > loc.col)
		add_number(out, first, "endColumn", loc.end_col);
}

static void
add_json_diag(struct buf *out, const struct diag *d)
{
	bool first = true, related_first = true;

	buf_add_char(out, '{');
	add_string(out, &first, "severity", str_from(diag_severity_name(d->severity)));
	add_string(out, &first, "code", str_from(d->code));
	add_json_place(out, &first, d->loc);
	add_string(out, &first, "message", str_from(d->msg));
	if (d->hint != NULL)
		add_string(out, &first, "hint", str_from(d->hint));
	if (d->note != NULL) {
		buf_add_cstr(out, ",\"related\":{");
		add_json_place(out, &related_first, d->note_loc);
		add_string(out, &related_first, "message", str_from(d->note));
		buf_add_char(out, '}');
	}
	buf_add_char(out, '}');
}

static void
render_json(struct buf *out, const struct diag_list *list)
{
	bool first = true;

	buf_add_char(out, '[');
	for (const struct diag *d = list->first; d != NULL; d = d->next) {
		buf_printf(out, "%s\n  ", separator(&first));
		add_json_diag(out, d);
	}
	if (list->dropped != 0)
		buf_printf(out,
		    "%s\n  {\"severity\":\"note\",\"code\":\"too-many-diagnostics\","
		    "\"message\":\"%u more not shown\"}",
		    separator(&first), list->dropped);
	buf_add_cstr(out, first ? "]\n" : "\n]\n");
}

/* ---- SARIF ---- */

static bool
is_uri_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~' ||
	       c == '/';
}

/* A file name as a URI reference (RFC 3986): other bytes percent-encoded. */
static void
add_uri(struct buf *out, struct str name)
{
	buf_add_char(out, '"');
	for (size_t i = 0; i < name.len; i++) {
		if (is_uri_char(name.ptr[i]))
			buf_add_char(out, name.ptr[i]);
		else
			buf_printf(out, "%%%02X", (unsigned)(unsigned char)name.ptr[i]);
	}
	buf_add_char(out, '"');
}

/* Lines longer than this are not counted through for every place on them. */
#define COUNTED_BYTES 65536

/* A column by code points, as the run says that they are; ours are bytes. */
static uint32_t
point_col(struct diag_cursor *cursor, struct loc loc, uint32_t col)
{
	struct str line;

	if (!diag_find_line(cursor, loc, &line) || line.len > COUNTED_BYTES)
		return col;
	return (uint32_t)diag_count_points(line, 0, col - 1) + 1;
}

static void
add_sarif_region(struct buf *out, struct diag_cursor *cursor, struct loc loc)
{
	bool first = true;

	if (loc.line == 0)
		return;
	buf_add_cstr(out, ",\"region\":{");
	add_number(out, &first, "startLine", loc.line);
	if (loc.col != 0)
		add_number(out, &first, "startColumn", point_col(cursor, loc, loc.col));
	if (loc.col != 0 && loc.end_col > loc.col)
		add_number(
		    out, &first, "endColumn", point_col(cursor, loc, loc.end_col));
	buf_add_char(out, '}');
}

/* A location object; `message` may be NULL. */
static void
add_sarif_location(
    struct buf *out, struct diag_cursor *cursor, struct loc loc, const char *message)
{
	bool first = true;

	buf_add_char(out, '{');
	if (loc.source != NULL) {
		buf_printf(out,
		    "%s\"physicalLocation\":{\"artifactLocation\":{\"uri\":",
		    separator(&first));
		add_uri(out, loc.source->name);
		buf_add_char(out, '}');
		add_sarif_region(out, cursor, loc);
		buf_add_char(out, '}');
	}
	if (message != NULL) {
		buf_printf(out, "%s\"message\":{\"text\":", separator(&first));
		buf_add_json(out, str_from(message));
		buf_add_char(out, '}');
	}
	buf_add_char(out, '}');
}

static void
add_sarif_result(struct buf *out, struct diag_cursor *cursor, const struct diag *d)
{
	bool first = true;

	buf_add_char(out, '{');
	add_string(out, &first, "ruleId", str_from(d->code));
	add_string(out, &first, "level", str_from(diag_severity_name(d->severity)));
	buf_add_cstr(out, ",\"message\":{\"text\":");
	if (d->hint != NULL) {
		struct buf text = {0};

		buf_printf(&text, "%s; %s", d->msg, d->hint);
		buf_add_json(out, buf_str(&text));
		buf_free(&text);
	} else {
		buf_add_json(out, str_from(d->msg));
	}
	buf_add_char(out, '}');
	if (d->loc.source != NULL) {
		buf_add_cstr(out, ",\"locations\":[");
		add_sarif_location(out, cursor, d->loc, NULL);
		buf_add_char(out, ']');
	}
	if (d->note != NULL) {
		buf_add_cstr(out, ",\"relatedLocations\":[");
		add_sarif_location(out, cursor, d->note_loc, d->note);
		buf_add_char(out, ']');
	}
	buf_add_char(out, '}');
}

static void
render_sarif(struct buf *out, const struct diag_list *list)
{
	struct diag_cursor cursor = {0};
	bool first = true;

	buf_add_cstr(out,
	    "{\"$schema\":\"https://json.schemastore.org/sarif-2.1.0.json\","
	    "\"version\":\"2.1.0\",\"runs\":[{\"tool\":{\"driver\":{"
	    "\"name\":\"ringfence\",\"version\":\"" RINGFENCE_VERSION "\"}},"
	    "\"columnKind\":\"unicodeCodePoints\",\"results\":[");
	for (const struct diag *d = list->first; d != NULL; d = d->next) {
		buf_printf(out, "%s\n  ", separator(&first));
		add_sarif_result(out, &cursor, d);
	}
	if (list->dropped != 0)
		buf_printf(out,
		    "%s\n  {\"ruleId\":\"too-many-diagnostics\",\"level\":\"note\","
		    "\"message\":{\"text\":\"%u more not shown\"}}",
		    separator(&first), list->dropped);
	buf_add_cstr(out, first ? "]}]}\n" : "\n]}]}\n");
}

void
diag_render(struct buf *out, const struct diag_list *list, enum diag_format format)
{
	static void (*const renderers[])(struct buf *, const struct diag_list *) = {
	    [DIAG_TEXT] = diag_render_text,
	    [DIAG_JSON] = render_json,
	    [DIAG_SARIF] = render_sarif,
	};

	renderers[format](out, list);
}
