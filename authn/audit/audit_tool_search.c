/*
 * Records as text for people, as CSV, and as they are.
 */
#include "authn/audit/audit_text.h"
#include "authn/audit/audit_tool.h"

void
audit_tool_complain(void *arg, const char *what)
{
	(void)arg;
	fprintf(stderr, "ringfence-audit: %s\n", what);
}

int
audit_tool_fail(const char *what)
{
	audit_tool_complain(NULL, what);
	return AUDIT_EXIT_CANNOT_TELL;
}

int
audit_tool_flush(void)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		return audit_tool_fail("cannot write");
	return 0;
}

/* ---- CSV ---- */

static const enum audit_field csv_fields[] = {
    AUDIT_FIELD_USER,
    AUDIT_FIELD_SOURCE,
    AUDIT_FIELD_VERB,
    AUDIT_FIELD_RESOURCE,
    AUDIT_FIELD_SUBRESOURCE,
    AUDIT_FIELD_GROUP,
    AUDIT_FIELD_NAMESPACE,
    AUDIT_FIELD_NAME,
    AUDIT_FIELD_TENANT,
    AUDIT_FIELD_CODE,
    AUDIT_FIELD_REASON,
    AUDIT_FIELD_MESSAGE,
    AUDIT_FIELD_DECIDED_BY,
    AUDIT_FIELD_TOKEN,
    AUDIT_FIELD_TOKEN_ISSUED,
    AUDIT_FIELD_STAGE,
    AUDIT_FIELD_ID,
    AUDIT_FIELD_URI,
    AUDIT_FIELD_AGENT,
    AUDIT_FIELD_DIRECTION,
    AUDIT_FIELD_FLOW_SOURCE,
    AUDIT_FIELD_FLOW_DESTINATION,
    AUDIT_FIELD_SERVICE,
    AUDIT_FIELD_COUNT_OF,
    AUDIT_FIELD_GENERATION,
    AUDIT_FIELD_DETAIL,
};

static void
audit_csv_head(struct buf *out)
{
	buf_add_cstr(out, "index,time,kind");
	for (size_t i = 0; i < ARRAY_LEN(csv_fields); i++)
		buf_printf(out, ",%s", audit_field_name(csv_fields[i]));
	buf_add_char(out, '\n');
}

void
audit_csv_record(struct buf *out, const struct audit_record *r)
{
	buf_printf(out, "%llu,", (unsigned long long)r->index);
	audit_csv_cell(out, r->text[AUDIT_FIELD_TIME]);
	buf_printf(out, ",%s", audit_kind_name(r->kind));
	for (size_t i = 0; i < ARRAY_LEN(csv_fields); i++) {
		buf_add_char(out, ',');
		audit_csv_cell(out, r->text[csv_fields[i]]);
	}
	buf_add_char(out, '\n');
}

/* ---- text ---- */

/* Whatever a client sent stays text: nothing of it reaches the terminal as control. */
static void
add_safe(struct buf *out, struct str text, size_t width)
{
	for (size_t n = audit_text_safe(out, text); n < width; n++)
		buf_add_char(out, ' ');
	buf_add_char(out, ' ');
}

/* What it was about: of a request its target, of a flow its ends. */
static void
add_subject(struct buf *out, const struct audit_record *r)
{
	if (r->text[AUDIT_FIELD_FLOW_SOURCE].len == 0) {
		add_safe(out,
		    r->text[AUDIT_FIELD_URI].len != 0 ? r->text[AUDIT_FIELD_URI]
						      : r->text[AUDIT_FIELD_DETAIL],
		    0);
		return;
	}
	add_safe(out, r->text[AUDIT_FIELD_FLOW_SOURCE], 0);
	buf_add_cstr(out, "=> ");
	add_safe(out, r->text[AUDIT_FIELD_FLOW_DESTINATION], 0);
	add_safe(out, r->text[AUDIT_FIELD_SERVICE], 0);
}

static void
add_row(struct buf *out, const struct audit_record *r)
{
	struct str code = r->text[AUDIT_FIELD_CODE];

	add_safe(out, r->text[AUDIT_FIELD_TIME], 27);
	add_safe(out, str_from(audit_kind_name(r->kind)), 12);
	add_safe(out, r->text[AUDIT_FIELD_USER], 16);
	add_safe(out, r->text[AUDIT_FIELD_SOURCE], 15);
	add_safe(out, r->text[AUDIT_FIELD_VERB], 10);
	add_safe(out, code.len != 0 ? code : STR("-"), 4);
	add_subject(out, r);
	while (out->data[out->len - 1] == ' ')
		out->len--;
	buf_add_char(out, '\n');
}

/* ---- commands ---- */

struct printing {
	struct audit_tool *tool;
	struct buf out;
	uint64_t printed;
};

static bool
print_record(void *arg, const struct audit_record *record)
{
	struct printing *p = arg;

	buf_clear(&p->out);
	if (p->tool->output == AUDIT_OUTPUT_TEXT) {
		add_row(&p->out, record);
	} else if (p->tool->output == AUDIT_OUTPUT_CSV) {
		audit_csv_record(&p->out, record);
	} else {
		buf_add_str(&p->out, record->line);
		buf_add_char(&p->out, '\n');
	}
	(void)fwrite(p->out.data, 1, p->out.len, stdout); /* ferror, at the end */
	p->printed++;
	return !ferror(stdout) && p->printed != p->tool->limit;
}

static int
print_matches(struct audit_tool *t, uint64_t *out_matches)
{
	struct printing p = {.tool = t};
	struct audit_search search = {.directory = t->directory,
	    .no_index = t->no_index,
	    .each = print_record,
	    .complain = audit_tool_complain,
	    .arg = &p};
	struct err err = ERR_INIT;
	int rc;

	if (t->output == AUDIT_OUTPUT_CSV) {
		audit_csv_head(&p.out);
		(void)fwrite(p.out.data, 1, p.out.len, stdout); /* ferror, at the end */
	}
	rc = audit_query_run(&t->query, &search, &err);
	buf_free(&p.out);
	*out_matches = search.matches;
	if (rc != 0)
		return audit_tool_fail(err.msg);
	rc = audit_tool_flush();
	return rc != 0 ? rc : search.unreadable != 0 ? AUDIT_EXIT_CANNOT_TELL : 0;
}

int
audit_tool_show(struct audit_tool *t)
{
	uint64_t matches;

	return print_matches(t, &matches);
}

int
audit_tool_search(struct audit_tool *t)
{
	uint64_t matches;
	int status = print_matches(t, &matches);

	return status != 0 ? status : matches != 0 ? 0 : 1;
}
