/*
 * Diagnostics as JSON, and in any format.
 */
#include "common/diag_text.h"

#include <inttypes.h>

const char *
diag_separator(bool *first)
{
	const char *s = *first ? "" : ",";

	*first = false;
	return s;
}

void
diag_add_string(struct buf *out, bool *first, const char *key, struct str value)
{
	buf_printf(out, "%s\"%s\":", diag_separator(first), key);
	buf_add_json(out, value);
}

void
diag_add_number(struct buf *out, bool *first, const char *key, uint64_t value)
{
	buf_printf(out, "%s\"%s\":%" PRIu64, diag_separator(first), key, value);
}

void
diag_add_figures(struct buf *out, const struct diag *d)
{
	bool first = true;

	buf_add_char(out, '{');
	for (const struct diag_figure *f = d->figures; f != NULL; f = f->next)
		diag_add_number(out, &first, f->name, f->value);
	buf_add_char(out, '}');
}

/* ---- JSON ---- */

static void
add_json_place(struct buf *out, bool *first, struct loc loc)
{
	if (loc.source == NULL)
		return;
	diag_add_string(out, first, "file", loc.source->name);
	if (loc.line == 0)
		return;
	diag_add_number(out, first, "line", loc.line);
	if (loc.col == 0)
		return;
	diag_add_number(out, first, "column", loc.col);
	if (loc.end_col > loc.col)
		diag_add_number(out, first, "endColumn", loc.end_col);
}

static void
add_json_diag(struct buf *out, const struct diag *d)
{
	bool first = true, related_first = true;

	buf_add_char(out, '{');
	diag_add_string(
	    out, &first, "severity", str_from(diag_severity_name(d->severity)));
	diag_add_string(out, &first, "code", str_from(d->code));
	add_json_place(out, &first, d->loc);
	diag_add_string(out, &first, "message", str_from(d->msg));
	if (d->hint != NULL)
		diag_add_string(out, &first, "hint", str_from(d->hint));
	if (d->note != NULL) {
		buf_add_cstr(out, ",\"related\":{");
		add_json_place(out, &related_first, d->note_loc);
		diag_add_string(out, &related_first, "message", str_from(d->note));
		buf_add_char(out, '}');
	}
	if (d->figures != NULL) {
		buf_add_cstr(out, ",\"figures\":");
		diag_add_figures(out, d);
	}
	buf_add_char(out, '}');
}

static void
render_json(struct buf *out, const struct diag_list *list)
{
	bool first = true;

	buf_add_char(out, '[');
	for (const struct diag *d = list->first; d != NULL; d = d->next) {
		buf_printf(out, "%s\n  ", diag_separator(&first));
		add_json_diag(out, d);
	}
	if (list->dropped != 0)
		buf_printf(out,
		    "%s\n  {\"severity\":\"note\",\"code\":\"too-many-diagnostics\","
		    "\"message\":\"%u more not shown\"}",
		    diag_separator(&first), list->dropped);
	buf_add_cstr(out, first ? "]\n" : "\n]\n");
}

static void
render_sarif(struct buf *out, const struct diag_list *list)
{
	diag_render_sarif(out, list, NULL);
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
