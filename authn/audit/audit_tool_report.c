/*
 * The report: what the log has of a period, and whether it is whole.
 */
#include <stdlib.h>
#include <string.h>

#include "authn/audit/audit_report.h"
#include "authn/audit/audit_tool.h"
#include "common/audit.h"
#include "common/audit_base64.h"

#define MAX_FACTS 24

struct making {
	struct audit_tool *tool;
	struct audit_reporter *reporter;
	struct audit_fact facts[MAX_FACTS], integrity[MAX_FACTS];
	struct audit_paper paper;
};

static void
add(struct audit_fact *facts, size_t *count, const char *name, struct str value)
{
	if (*count < MAX_FACTS)
		facts[(*count)++] = (struct audit_fact){name, value};
}

static bool
add_record(void *arg, const struct audit_record *record)
{
	struct making *m = arg;

	audit_reporter_add(m->reporter, record);
	return true;
}

/* What was asked for, and when. */
static void
state_scope(struct making *m)
{
	struct arena *arena = m->tool->arena;
	size_t *n = &m->paper.fact_count;
	char now[WALLTIME_TEXT_BYTES];

	add(m->facts, n, "log", str_from(m->tool->directory));
	add(m->facts, n, "made",
	    str_from(
		arena_strdup(arena, walltime_format_seconds(walltime_now(), now))));
	for (int i = 0; i < AUDIT_FILTER_COUNT; i++) {
		if (m->tool->query.value[i].ptr != NULL)
			add(m->facts, n, audit_filter_name((enum audit_filter)i),
			    m->tool->query.value[i]);
	}
	m->paper.facts = m->facts;
}

static struct str
number(struct arena *arena, uint64_t value)
{
	return str_from(arena_printf(arena, "%llu", (unsigned long long)value));
}

static struct str
root_text(struct arena *arena, const uint8_t root[32])
{
	struct buf text = {0};
	struct str kept;

	audit_base64_encode(&text, root, 32);
	kept = str_dup(arena, buf_str(&text));
	buf_free(&text);
	return kept;
}

static void
state_lines(struct making *m, const struct audit_report *report)
{
	struct arena *arena = m->tool->arena;
	const struct audit_summary *s = &m->paper.summary;
	size_t *n = &m->paper.integrity_count;

	add(m->integrity, n, "lines", number(arena, report->lines));
	add(m->integrity, n, "signed", number(arena, report->signed_size));
	if (report->note.len != 0) {
		add(m->integrity, n, "root", root_text(arena, report->signed_root));
		add(m->integrity, n, "checkpoint", report->note);
	}
	if (report->key.len != 0)
		add(m->integrity, n, "key", report->key);
	add(m->integrity, n, "compared",
	    str_from(arena_printf(arena, "%llu checkpoints and copies",
		(unsigned long long)report->witnesses)));
	add(m->integrity, n, "gaps", number(arena, s->by_kind[AUDIT_KIND_GAP]));
	add(m->integrity, n, "records", number(arena, s->records));
	if (s->records != 0)
		add(m->integrity, n, "range",
		    str_from(arena_printf(arena, "lines %llu to %llu, counted from 0",
			(unsigned long long)s->first_index,
			(unsigned long long)s->last_index)));
}

static enum audit_verdict
state_integrity(struct making *m, uint64_t unreadable)
{
	static const char *const words[] = {
	    [AUDIT_INTACT] = "intact: every signed line is there, and as it was",
	    [AUDIT_BROKEN] = "BROKEN",
	    [AUDIT_CANNOT_TELL] = "CANNOT BE TOLD",
	};
	struct audit_tool *t = m->tool;
	struct audit_evidence evidence;
	struct audit_report report = {0};
	struct err err = ERR_INIT;
	enum audit_verdict verdict = AUDIT_CANNOT_TELL;
	size_t *n = &m->paper.integrity_count;

	if (audit_tool_evidence(t, &evidence, &err) == 0)
		verdict =
		    audit_verify_against(t->arena, t->directory, &evidence, &report);
	else
		report.problem = arena_printf(t->arena, "%s", err.msg);
	add(m->integrity, n, "verdict", str_from(words[verdict]));
	if (report.problem != NULL)
		add(m->integrity, n, "problem", str_from(report.problem));
	if (t->key == NULL && t->checkpoint_count == 0 && t->against == NULL)
		add(m->integrity, n, "caution",
		    STR("compared with its own key and checkpoint only: that the end "
			"was cut off together with the checkpoint, or all was signed "
			"anew, shows only against what was kept elsewhere"));
	state_lines(m, &report);
	if (unreadable != 0)
		add(m->integrity, n, "unreadable", number(t->arena, unreadable));
	m->paper.integrity = m->integrity;
	m->paper.intact = verdict == AUDIT_INTACT;
	return verdict;
}

static int
print_paper(const struct audit_tool *t, const struct audit_paper *paper)
{
	struct buf out = {0};

	if (t->output == AUDIT_OUTPUT_HTML)
		audit_paper_html(&out, paper);
	else if (t->output == AUDIT_OUTPUT_CSV)
		audit_paper_csv(&out, paper);
	else
		audit_paper_json(&out, paper);
	(void)fwrite(out.data, 1, out.len, stdout); /* ferror, next */
	buf_free(&out);
	return audit_tool_flush();
}

/* The exit status is that of verify: a report of a log that is not whole says so twice. */
int
audit_tool_report(struct audit_tool *t)
{
	struct making m = {.tool = t,
	    .reporter = audit_reporter_new(),
	    .paper = {.title = STR("Audit report")}};
	struct audit_search search = {.directory = t->directory,
	    .no_index = t->no_index,
	    .each = add_record,
	    .complain = audit_tool_complain,
	    .arg = &m};
	struct err err = ERR_INIT;
	enum audit_verdict verdict;
	int status;

	state_scope(&m);
	if (audit_query_run(&t->query, &search, &err) != 0) {
		audit_reporter_free(m.reporter);
		return audit_tool_fail(err.msg);
	}
	m.paper.tables =
	    audit_reporter_finish(m.reporter, &m.paper.table_count, &m.paper.summary);
	verdict = state_integrity(&m, search.unreadable);
	status = print_paper(t, &m.paper);
	audit_reporter_free(m.reporter);
	return status != 0 ? status : (int)verdict;
}
