/*
 * The report of a test run: for people, for programs, and as JUnit XML for CI.
 */
#include "policy-lang/explain/explain_internal.h"
#include "policy-lang/explain/explain_route.h"
#include "policy-lang/explain/test_run.h"

/* ---- text ---- */

/* What decided instead, indented. */
static void
print_found(struct arena *a, struct buf *out, const char *indent,
    const struct test_failure *failure)
{
	for (size_t d = 0; failure->has_found && d < DIRECTION_COUNT; d++) {
		enum direction dir = explain_order[d];
		const struct explain_decision *decision =
		    &failure->found.decisions[dir];
		const struct endpoint *self = explain_self(&failure->flow, dir);

		buf_printf(out, "%s%s: ", indent, direction_name(dir));
		explain_say_verdict(a, out, &decision->verdict, dir, self);
		buf_add_char(out, '\n');
		if (!decision->has_otherwise)
			continue;
		buf_printf(out, "%s  without it: ", indent);
		explain_say_verdict(a, out, &decision->otherwise, dir, self);
		buf_add_char(out, '\n');
	}
	if (failure->has_found && failure->found.story != NULL)
		explain_route_way(a, out, indent, failure->found.story);
}

static void
print_ends(struct buf *out, const struct test_failure *failure)
{
	if (failure->from.len == 0)
		return;
	buf_printf(out, "%.*s to %.*s", STR_ARG(failure->from), STR_ARG(failure->to));
	if (failure->service.len > 0)
		buf_printf(out, ", %.*s", STR_ARG(failure->service));
	buf_add_cstr(out, ": ");
}

static void
print_failures(
    struct arena *a, struct buf *out, const char *indent, const struct test_result *r)
{
	for (size_t i = 0; i < r->failure_count; i++) {
		buf_add_cstr(out, indent);
		print_ends(out, &r->failures[i]);
		buf_printf(out, "%s\n", r->failures[i].problem);
		print_found(a, out, arena_printf(a, "%s  ", indent), &r->failures[i]);
	}
	if (r->failed > r->failure_count)
		buf_printf(out, "%sand %llu more\n", indent,
		    (unsigned long long)(r->failed - r->failure_count));
}

static const char *
plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

static void
print_text(struct arena *a, struct buf *out, const struct test_report *report)
{
	for (size_t i = 0; i < report->count; i++) {
		const struct test_result *r = &report->results[i];

		if (r->failed == 0) {
			buf_printf(out, "ok    %s (%llu check%s)\n", r->title,
			    (unsigned long long)r->checks, plural(r->checks));
			continue;
		}
		buf_printf(out, "FAIL  %s (%s)\n", r->title, loc_text(a, r->item->loc));
		print_failures(a, out, "      ", r);
	}
	buf_printf(out, "%zu expectation%s hold%s, %zu do%s not",
	    report->count - report->failed, plural(report->count - report->failed),
	    report->count - report->failed == 1 ? "s" : "", report->failed,
	    report->failed == 1 ? "es" : "");
	if (report->left_out > 0)
		buf_printf(out, ", %zu left out", report->left_out);
	buf_printf(out, " (%llu check%s)\n", (unsigned long long)report->checks,
	    plural(report->checks));
}

/* ---- JSON ---- */

/* The rule of a Route that refused; none. */
static struct route_found
refuser(const struct route_story *story)
{
	if (story->egress.outcome == ROUTE_REFUSED)
		return story->egress.by;
	return story->via.outcome == ROUTE_REFUSED ? story->via.by
						   : (struct route_found){0};
}

static void
json_place(struct buf *out, struct loc loc)
{
	explain_json_member(
	    out, "file", loc.source != NULL ? loc.source->name : (struct str){0});
	buf_printf(out, ", \"line\": %u, \"column\": %u", (unsigned)loc.line,
	    (unsigned)loc.col);
}

static void
json_failure(struct arena *a, struct buf *out, const struct test_failure *failure)
{
	buf_add_char(out, '{');
	explain_json_member(out, "from", failure->from);
	buf_add_cstr(out, ", ");
	explain_json_member(out, "to", failure->to);
	buf_add_cstr(out, ", ");
	explain_json_member(out, "service", failure->service);
	buf_add_cstr(out, ", ");
	explain_json_member(out, "problem", str_from(failure->problem));
	buf_add_cstr(out, ", \"found\": ");
	if (failure->has_found)
		buf_printf(out, "\"%s\"", failure->found.allow ? "allow" : "deny");
	else
		buf_add_cstr(out, "null");
	for (size_t d = 0; d < DIRECTION_COUNT; d++) {
		enum direction dir = explain_order[d];

		buf_printf(out, ", \"%s\": ", direction_name(dir));
		if (failure->has_found)
			explain_json_verdict(
			    a, out, &failure->found.decisions[dir].verdict, dir);
		else
			buf_add_cstr(out, "null");
	}
	if (failure->has_found && failure->found.story != NULL) {
		buf_add_cstr(out, ", \"route\": ");
		explain_route_rule_json(a, out, refuser(failure->found.story));
	}
	buf_add_char(out, '}');
}

static void
json_result(struct arena *a, struct buf *out, const struct test_result *r)
{
	buf_add_char(out, '{');
	explain_json_member(out, "namespace", r->document->ns->path);
	buf_add_cstr(out, ", ");
	explain_json_member(out, "test", r->document->name);
	buf_add_cstr(out, ", ");
	explain_json_member(out, "name", r->item->name);
	buf_add_cstr(out, ", ");
	explain_json_member(out, "title", str_from(r->title));
	buf_add_cstr(out, ", ");
	json_place(out, r->item->loc);
	buf_printf(out,
	    ", \"ok\": %s, \"expected\": \"%s\", \"checks\": %llu, \"failed\": %llu, "
	    "\"failures\": [",
	    r->failed == 0 ? "true" : "false", r->item->allow ? "allow" : "deny",
	    (unsigned long long)r->checks, (unsigned long long)r->failed);
	for (size_t i = 0; i < r->failure_count; i++) {
		buf_add_cstr(out, i > 0 ? ",\n  " : "\n  ");
		json_failure(a, out, &r->failures[i]);
	}
	buf_add_cstr(out, "]}");
}

static void
print_json(struct arena *a, struct buf *out, const struct test_report *report)
{
	buf_printf(out,
	    "{\"passed\": %zu, \"failed\": %zu, \"leftOut\": %zu, \"results\": [",
	    report->count - report->failed, report->failed, report->left_out);
	for (size_t i = 0; i < report->count; i++) {
		buf_add_cstr(out, i > 0 ? ",\n " : "\n ");
		json_result(a, out, &report->results[i]);
	}
	buf_add_cstr(out, "]}\n");
}

/* ---- JUnit ---- */

/* Text is UTF-8 once it has been read; XML has no place for most control characters. */
static void
xml_text(struct buf *out, struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (c == '<')
			buf_add_cstr(out, "&lt;");
		else if (c == '>')
			buf_add_cstr(out, "&gt;");
		else if (c == '&')
			buf_add_cstr(out, "&amp;");
		else if (c == '"')
			buf_add_cstr(out, "&quot;");
		else if (c == '\n')
			buf_add_cstr(out, "&#10;");
		else if (c < ' ' || c == 0x7f)
			buf_add_char(out, '?');
		else
			buf_add_char(out, (char)c);
	}
}

static void
xml_attribute(struct buf *out, const char *name, struct str value)
{
	buf_printf(out, " %s=\"", name);
	xml_text(out, value);
	buf_add_char(out, '"');
}

static void
junit_case(struct arena *a, struct buf *out, const struct test_result *r)
{
	struct loc loc = r->item->loc;
	struct buf text = {0};

	buf_add_cstr(out, "    <testcase");
	xml_attribute(out, "name", str_from(r->title));
	xml_attribute(out, "classname", r->document->ns->path);
	if (loc.source != NULL)
		xml_attribute(out, "file", loc.source->name);
	buf_printf(out, " line=\"%u\" assertions=\"%llu\" time=\"0\"",
	    (unsigned)loc.line, (unsigned long long)r->checks);
	if (r->failed == 0) {
		buf_add_cstr(out, "/>\n");
		return;
	}
	buf_add_cstr(out, ">\n      <failure");
	xml_attribute(out, "message", str_from(r->failures[0].problem));
	xml_attribute(out, "type", r->item->allow ? STR("deny") : STR("allow"));
	buf_add_char(out, '>');
	buf_printf(&text, "%s\n", loc_text(a, loc));
	print_failures(a, &text, "", r);
	xml_text(out, buf_str(&text));
	buf_add_cstr(out, "</failure>\n    </testcase>\n");
	buf_free(&text);
}

/* One suite for each document; results of one follow each other. */
static void
junit_suite(
    struct arena *a, struct buf *out, const struct test_result *results, size_t count)
{
	const struct test_document *d = results[0].document;
	size_t failed = 0;

	for (size_t i = 0; i < count; i++)
		failed += results[i].failed > 0;
	buf_add_cstr(out, "  <testsuite");
	xml_attribute(out, "name",
	    str_from(arena_printf(a, "%.*s%s%.*s", STR_ARG(d->ns->path),
		d->ns->depth > 0 ? "/" : "", STR_ARG(d->name))));
	buf_printf(out,
	    " tests=\"%zu\" failures=\"%zu\" errors=\"0\" skipped=\"0\" time=\"0\">\n",
	    count, failed);
	for (size_t i = 0; i < count; i++)
		junit_case(a, out, &results[i]);
	buf_add_cstr(out, "  </testsuite>\n");
}

static void
print_junit(struct arena *a, struct buf *out, const struct test_report *report)
{
	size_t from = 0;

	buf_printf(out,
	    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites "
	    "name=\"ringfence\" "
	    "tests=\"%zu\" failures=\"%zu\" errors=\"0\" time=\"0\">\n",
	    report->count, report->failed);
	for (size_t i = 1; i <= report->count; i++) {
		if (i < report->count &&
		    report->results[i].document == report->results[from].document)
			continue;
		junit_suite(a, out, &report->results[from], i - from);
		from = i;
	}
	buf_add_cstr(out, "</testsuites>\n");
}

void
test_print(struct arena *a, struct buf *out, const struct test_report *report,
    enum test_format format)
{
	static void (*const printers[])(
	    struct arena *, struct buf *, const struct test_report *) = {
	    [TEST_TEXT] = print_text,
	    [TEST_JSON] = print_json,
	    [TEST_JUNIT] = print_junit,
	};

	printers[format](a, out, report);
}
