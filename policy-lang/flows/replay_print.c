/*
 * The report of a replay: for people, for programs, for pull requests, for tables.
 */
#include "policy-lang/explain/explain_internal.h"
#include "policy-lang/flows/replay.h"

static const char *const change_names[REPLAY_CHANGE_COUNT] = {
    [REPLAY_CLOSED] = "closed",
    [REPLAY_OPENED] = "opened",
    [REPLAY_SAME] = "same",
    [REPLAY_UNSAID] = "new",
};

static const char *const was_names[] = {
    [FLOWLOG_UNSAID] = "unknown",
    [FLOWLOG_ALLOW] = "allow",
    [FLOWLOG_DENY] = "deny",
};

static const char *
verdict_name(bool allow)
{
	return action_name(allow ? ACTION_ALLOW : ACTION_DENY);
}

/* "443/tcp", "icmp", "protocol 47". */
static void
add_service(struct buf *out, const struct replay_row *row)
{
	char text[8];

	const char *name = proto_name(row->proto, text);

	if (row->port > 0)
		buf_printf(out, "%u/%s", (unsigned)row->port, name);
	else
		buf_printf(out, "%s%s", name[0] <= '9' ? "protocol " : "", name);
}

static void
add_decider(struct arena *a, struct buf *out, const struct replay_row *row)
{
	buf_printf(out, "%s ", direction_name(row->dir));
	explain_say_verdict(
	    a, out, &row->decider, row->dir, explain_self(&row->flow, row->dir));
}

static bool
is_shown(const struct replay_row *row, bool changed_only)
{
	return !changed_only || row->change != REPLAY_SAME;
}

/* ---- text ---- */

static void
add_totals(struct buf *out, const struct replay_report *report)
{
	uint64_t beyond = 0;

	buf_printf(out,
	    "%llu would be closed, %llu opened, %llu stay as they are, %llu of unknown "
	    "fate\n",
	    (unsigned long long)report->flows[REPLAY_CLOSED],
	    (unsigned long long)report->flows[REPLAY_OPENED],
	    (unsigned long long)report->flows[REPLAY_SAME],
	    (unsigned long long)report->flows[REPLAY_UNSAID]);
	for (size_t i = 0; i < REPLAY_CHANGE_COUNT; i++)
		beyond += report->beyond[i];
	if (beyond > 0)
		buf_printf(out,
		    "of them %llu in no line above: more than %zu kinds (%llu "
		    "closed)\n",
		    (unsigned long long)beyond, report->count,
		    (unsigned long long)report->beyond[REPLAY_CLOSED]);
	if (report->unknown > 0)
		buf_printf(out, "%llu not judged: an end is not known here (%.*s)\n",
		    (unsigned long long)report->unknown,
		    STR_ARG(report->unknown_example));
	if (report->incomparable > 0)
		buf_printf(out,
		    "%llu not judged: an end has no address of the flow's family\n",
		    (unsigned long long)report->incomparable);
}

static const char *const headings[REPLAY_CHANGE_COUNT] = {
    [REPLAY_CLOSED] = "closed: was allowed, would be denied",
    [REPLAY_OPENED] = "opened: was denied, would be allowed",
    [REPLAY_SAME] = "the same",
    [REPLAY_UNSAID] = "what became of these is not known; they would be",
};

static void
print_txt(struct arena *a, struct buf *out, const struct replay_report *report,
    bool changed_only)
{
	int last = -1;

	for (size_t i = 0; i < report->count; i++) {
		const struct replay_row *row = report->rows[i];

		if (!is_shown(row, changed_only))
			continue;
		if ((int)row->change != last)
			buf_printf(
			    out, "%s%s\n", last < 0 ? "" : "\n", headings[row->change]);
		last = (int)row->change;
		buf_printf(out, "  %6llu  %s  %.*s => %.*s ",
		    (unsigned long long)row->count, verdict_name(row->allow),
		    STR_ARG(row->src), STR_ARG(row->dst));
		add_service(out, row);
		buf_add_cstr(out, "\n          ");
		add_decider(a, out, row);
		buf_add_char(out, '\n');
	}
	buf_add_cstr(out, last < 0 ? "" : "\n");
	add_totals(out, report);
}

/* ---- JSON ---- */

static void
json_row(struct arena *a, struct buf *out, const struct replay_row *row)
{
	struct buf service = {0};

	add_service(&service, row);
	buf_add_char(out, '{');
	explain_json_member(out, "src", row->src);
	buf_add_cstr(out, ", ");
	explain_json_member(out, "dst", row->dst);
	buf_add_cstr(out, ", ");
	explain_json_member(out, "service", buf_str(&service));
	buf_printf(out,
	    ", \"count\": %llu, \"change\": \"%s\", \"was\": \"%s\", "
	    "\"verdict\": \"%s\", \"line\": %lu, \"decider\": ",
	    (unsigned long long)row->count, change_names[row->change],
	    was_names[row->was], verdict_name(row->allow), row->line);
	explain_json_verdict(a, out, &row->decider, row->dir);
	buf_add_char(out, '}');
	buf_free(&service);
}

static void
json_counts(struct buf *out, const char *key, const uint64_t *counts)
{
	buf_printf(out, "\"%s\": {", key);
	for (size_t i = 0; i < REPLAY_CHANGE_COUNT; i++)
		buf_printf(out, "%s\"%s\": %llu", i > 0 ? ", " : "", change_names[i],
		    (unsigned long long)counts[i]);
	buf_add_cstr(out, "}, ");
}

static void
print_json(struct arena *a, struct buf *out, const struct replay_report *report,
    bool changed_only)
{
	const char *comma = "";

	buf_add_char(out, '{');
	json_counts(out, "flows", report->flows);
	json_counts(out, "beyond", report->beyond);
	buf_printf(out, "\"unknownEnds\": %llu, \"otherFamily\": %llu, \"rows\": [",
	    (unsigned long long)report->unknown,
	    (unsigned long long)report->incomparable);
	for (size_t i = 0; i < report->count; i++) {
		if (!is_shown(report->rows[i], changed_only))
			continue;
		buf_printf(out, "%s\n ", comma);
		json_row(a, out, report->rows[i]);
		comma = ",";
	}
	buf_add_cstr(out, "]}\n");
}

/* ---- tables ---- */

/* What a cell of a table must not hold, made harmless. */
typedef void (*cell_fn)(struct buf *out, struct str text);

static void
md_cell(struct buf *out, struct str text)
{
	buf_add_cstr(out, " ");
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '|')
			buf_add_char(out, '\\');
		buf_add_char(out, text.ptr[i] == '\n' ? ' ' : text.ptr[i]);
	}
	buf_add_cstr(out, " |");
}

static void
csv_cell(struct buf *out, struct str text)
{
	if (out->len > 0 && out->data[out->len - 1] != '\n')
		buf_add_char(out, ',');
	buf_add_char(out, '"');
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '"')
			buf_add_char(out, '"');
		buf_add_char(out, text.ptr[i]);
	}
	buf_add_char(out, '"');
}

static void
table_row(struct arena *a, struct buf *out, const struct replay_row *row, cell_fn cell)
{
	struct buf text = {0};

	cell(out, str_from(change_names[row->change]));
	cell(out, row->src);
	cell(out, row->dst);
	add_service(&text, row);
	cell(out, buf_str(&text));
	buf_clear(&text);
	buf_printf(&text, "%llu", (unsigned long long)row->count);
	cell(out, buf_str(&text));
	cell(out, str_from(was_names[row->was]));
	cell(out, str_from(verdict_name(row->allow)));
	buf_clear(&text);
	add_decider(a, &text, row);
	cell(out, buf_str(&text));
	buf_free(&text);
}

static void
print_md(struct arena *a, struct buf *out, const struct replay_report *report,
    bool changed_only)
{
	buf_add_cstr(out,
	    "| change | src | dst | service | count | was | verdict | decider |\n"
	    "|---|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < report->count; i++) {
		if (!is_shown(report->rows[i], changed_only))
			continue;
		buf_add_char(out, '|');
		table_row(a, out, report->rows[i], md_cell);
		buf_add_char(out, '\n');
	}
	buf_add_char(out, '\n');
	add_totals(out, report);
}

static void
print_csv(struct arena *a, struct buf *out, const struct replay_report *report,
    bool changed_only)
{
	buf_add_cstr(out, "change,src,dst,service,count,was,verdict,decider\n");
	for (size_t i = 0; i < report->count; i++) {
		if (!is_shown(report->rows[i], changed_only))
			continue;
		table_row(a, out, report->rows[i], csv_cell);
		buf_add_char(out, '\n');
	}
}

void
replay_print(struct arena *a, struct buf *out, const struct replay_report *report,
    enum replay_format format, bool changed_only)
{
	static void (*const printers[])(
	    struct arena *, struct buf *, const struct replay_report *, bool) = {
	    [REPLAY_TXT] = print_txt,
	    [REPLAY_JSON] = print_json,
	    [REPLAY_MD] = print_md,
	    [REPLAY_CSV] = print_csv,
	};

	printers[format](a, out, report, changed_only);
}
