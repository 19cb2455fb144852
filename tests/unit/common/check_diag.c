#include "common/diag.h"

#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "common/utf8.h"

static struct arena *arena;
static struct diag_list list;
static struct buf out;
static struct source source;

static void
setup(void)
{
	arena = arena_new();
	diag_list_init(&list, arena);
	out = (struct buf){0};
	source = (struct source){.name = STR("policy.yaml")};
}

static void
teardown(void)
{
	buf_free(&out);
	arena_free(arena);
}

static struct loc
place_in(const struct source *in, uint32_t line, uint32_t col)
{
	return (struct loc){in, line, col, 0};
}

static struct loc
place(uint32_t line, uint32_t col, uint32_t end_col)
{
	return (struct loc){&source, line, col, end_col};
}

static const char *
rendered(enum diag_format format)
{
	buf_clear(&out);
	diag_render(&out, &list, format);
	return out.data;
}

/* ---- text ---- */

START_TEST(text_underlines_source_line)
{
	struct diag *d;

	source.text = STR("kind: Policy\n      - { actoin: deny }\n");
	d = diag_error(
	    &list, "unknown-field", place(2, 11, 17), "unknown field \"%s\"", "actoin");
	diag_hint(&list, d, "did you mean \"%s\"?", "action");
	ck_assert_str_eq(rendered(DIAG_TEXT),
	    "policy.yaml:2:11: error: unknown field \"actoin\" [unknown-field]\n"
	    "    2 |       - { actoin: deny }\n"
	    "      |           ^~~~~~ did you mean \"action\"?\n");
}
END_TEST

START_TEST(text_shows_second_place_as_note)
{
	struct diag *d;

	source.text = STR("a: 1\nb: 2\na: 3");
	d = diag_warn(&list, "twice", place(3, 1, 2), "again");
	diag_note(&list, d, place(1, 1, 2), "the %s one", "first");
	ck_assert_str_eq(rendered(DIAG_TEXT),
	    "policy.yaml:3:1: warning: again [twice]\n"
	    "    3 | a: 3\n"
	    "      | ^\n"
	    "policy.yaml:1:1: note: the first one\n"
	    "    1 | a: 1\n"
	    "      | ^\n");
}
END_TEST

START_TEST(text_keeps_tabs_before_caret)
{
	source.text = STR("\ta\t\tbc: d\n");
	diag_error(&list, "x", place(1, 5, 7), "m");
	ck_assert_str_eq(rendered(DIAG_TEXT), "policy.yaml:1:5: error: m [x]\n"
					      "    1 | \ta\t\tbc: d\n"
					      "      | \t \t\t^~\n");
}
END_TEST

START_TEST(text_counts_code_points_when_utf8)
{
	/* Two characters of 2 and 3 bytes before the column, two in what is marked. */
	source.text = STR("\xc3\xa9\xe2\x82\xac \xc3\xa9\xc3\xa9 x\n");
	diag_error(&list, "x", place(1, 7, 11), "m");
	ck_assert_str_eq(rendered(DIAG_TEXT),
	    "policy.yaml:1:7: error: m [x]\n"
	    "    1 | \xc3\xa9\xe2\x82\xac \xc3\xa9\xc3\xa9 x\n"
	    "      |    ^~\n");
}
END_TEST

START_TEST(text_counts_behind_byte_order_mark)
{
	source.text = STR("\xef\xbb\xbf"
			  "ab: c\n");
	diag_error(&list, "x", place(1, 1, 3), "m");
	ck_assert_str_eq(rendered(DIAG_TEXT),
	    "policy.yaml:1:1: error: m [x]\n    1 | ab: c\n      | ^~\n");
}
END_TEST

START_TEST(text_hides_control_characters)
{
	source.name = STR("a\x1b[2J.yaml");
	source.text = STR("\x1b[31mred\xff\xe2\x80\xae\n");
	diag_error(&list, "x", place(1, 1, 0), "bad \x1b]0;%s\x07\nnext", "t");
	ck_assert_str_eq(rendered(DIAG_TEXT),
	    "a\xef\xbf\xbd[2J.yaml:1:1: error: bad \xef\xbf\xbd]0;t\xef\xbf\xbd next "
	    "[x]\n"
	    "    1 | \xef\xbf\xbd[31mred\xef\xbf\xbd\xef\xbf\xbd\n"
	    "      | ^\n");
}
END_TEST

static const struct {
	const char *text;
	struct loc loc;
	const char *expected;
} places[] = {
    {"", {0}, "error: m [x]\n"},
    {"a\n", {NULL, 3, 4, 0}, "error: m [x]\n"},
    {"a\n", {&source, 0, 0, 0}, "policy.yaml: error: m [x]\n"},
    {"a\n", {&source, 9, 1, 0}, "policy.yaml:9:1: error: m [x]\n"},
    {"a\n", {&source, 1, 0, 0}, "policy.yaml:1: error: m [x]\n    1 | a\n      | ^\n"},
    {"ab\n", {&source, 1, 99, 0},
	"policy.yaml:1:99: error: m [x]\n    1 | ab\n      |   ^\n"},
    {"ab\n", {&source, 1, 1, 99},
	"policy.yaml:1:1: error: m [x]\n    1 | ab\n      | ^~\n"},
    {"ab\n", {&source, 1, 2, 1},
	"policy.yaml:1:2: error: m [x]\n    1 | ab\n      |  ^\n"},
    {"ab\r\ncd\r\n", {&source, 2, 1, 3},
	"policy.yaml:2:1: error: m [x]\n    2 | cd\n      | ^~\n"},
    {"ab\n", {&source, 2, 1, 0},
	"policy.yaml:2:1: error: m [x]\n    2 | \n      | ^\n"},
};

START_TEST(text_copes_when_place_is_odd)
{
	source.text = str_from(places[_i].text);
	diag_error(&list, "x", places[_i].loc, "m");
	ck_assert_str_eq(rendered(DIAG_TEXT), places[_i].expected);
}
END_TEST

START_TEST(text_puts_hint_behind_message_when_no_line)
{
	struct diag *d = diag_error(&list, "x", (struct loc){.source = &source}, "m");

	diag_hint(&list, d, "do this");
	ck_assert_str_eq(rendered(DIAG_TEXT), "policy.yaml: error: m [x]; do this\n");
}
END_TEST

START_TEST(text_shows_part_when_line_is_long)
{
	struct buf line = {0};
	const char *shown, *caret;

	for (int i = 0; i < 1000; i++)
		buf_add_cstr(&line, "\xc3\xa9");
	buf_add_cstr(&line, "WRONG");
	for (int i = 0; i < 1000; i++)
		buf_add_char(&line, 'b');
	source.text = buf_str(&line);
	diag_error(&list, "x", place(1, 2001, 2006), "m");
	shown = strchr(rendered(DIAG_TEXT), '\n') + 1;
	ck_assert(str_starts(str_from(shown), STR("    1 | ...\xc3\xa9")));
	/* 40 characters before the column, 120 in all, marked where it was cut. */
	ck_assert_ptr_eq(strstr(shown, "WRONG"), shown + 11 + 40 * 2);
	ck_assert_ptr_eq(strchr(shown, '\n'), shown + 11 + 120 + 40 + 3);
	caret = strchr(shown, '\n') + 1;
	ck_assert_uint_eq(strcspn(caret, "^"), 11 + 40);
	ck_assert_str_eq(strchr(caret, '^'), "^~~~~\n");
	buf_free(&line);
}
END_TEST

START_TEST(text_is_empty_when_list_is)
{
	buf_add_char(&out, 'x');
	diag_render(&out, &list, DIAG_TEXT);
	ck_assert_str_eq(out.data, "x");
}
END_TEST

/* ---- list ---- */

START_TEST(list_counts_and_summarises_beyond_limit)
{
	struct diag *d = NULL;

	for (unsigned i = 0; i < LIMIT_DIAGS + 5; i++)
		d = diag_error(&list, "x", (struct loc){0}, "m%u", i);
	diag_hint(&list, d, "into the void");
	diag_note(&list, d, place(1, 1, 1), "likewise");
	ck_assert_uint_eq(list.errors, LIMIT_DIAGS + 5);
	ck_assert_uint_eq(list.dropped, 5);
	ck_assert(str_ends(str_from(rendered(DIAG_TEXT)),
	    STR("\nerror: m999 [x]\nnote: 5 more not shown\n")));
	diag_sort(&list);
	ck_assert(str_ends(str_from(rendered(DIAG_TEXT)),
	    STR("\nerror: m999 [x]\nnote: 5 more not shown\n")));
}
END_TEST

START_TEST(errors_are_kept_however_much_is_warned_of)
{
	for (unsigned i = 0; i < LIMIT_DIAGS + 5; i++)
		diag_warn(&list, "w", (struct loc){0}, "m%u", i);
	for (unsigned i = 0; i < LIMIT_DIAGS + 2; i++)
		diag_error(&list, "x", (struct loc){0}, "m%u", i);
	ck_assert_uint_eq(list.dropped, 7);
	diag_sort(&list);
	ck_assert(str_ends(str_from(rendered(DIAG_TEXT)),
	    STR("\nerror: m999 [x]\nnote: 7 more not shown\n")));
}
END_TEST

START_TEST(list_takes_another_as_far_as_there_is_room)
{
	struct diag_list more;

	diag_list_init(&more, list.arena);
	diag_warn(&list, "w", (struct loc){0}, "w");
	for (unsigned i = 1; i < LIMIT_DIAGS; i++)
		diag_error(&list, "x", (struct loc){0}, "m");
	diag_list_take(&list, &more);
	diag_warn(&more, "w", (struct loc){0}, "w2");
	for (unsigned i = 0; i < LIMIT_DIAGS + 3; i++)
		diag_error(&more, "x", (struct loc){0}, "n%u", i);
	diag_list_take(&list, &more);
	ck_assert_ptr_null(more.first);
	ck_assert_uint_eq(more.errors, 0);
	ck_assert_uint_eq(list.errors, 2 * LIMIT_DIAGS + 2);
	ck_assert_uint_eq(list.warnings, 2);
	ck_assert_uint_eq(list.dropped, LIMIT_DIAGS + 2);
	diag_error(&list, "x", (struct loc){0}, "m");
	diag_warn(&list, "w", (struct loc){0}, "w3");
	ck_assert(str_ends(str_from(rendered(DIAG_TEXT)),
	    STR("\nerror: m [x]\nwarning: w2 [w]\nerror: n0 [x]\nwarning: w3 [w]\n"
		"note: 1003 more not shown\n")));
}
END_TEST

START_TEST(summary_counts_by_severity)
{
	diag_summary(&out, &list);
	ck_assert_str_eq(out.data, "no errors");
	diag_error(&list, "x", (struct loc){0}, "m");
	diag_error(&list, "x", (struct loc){0}, "m");
	diag_warn(&list, "x", (struct loc){0}, "m");
	buf_clear(&out);
	diag_summary(&out, &list);
	ck_assert_str_eq(out.data, "2 errors, 1 warning");
	diag_add(&list, DIAG_NOTE, "x", (struct loc){0}, "m");
	buf_clear(&out);
	diag_summary(&out, &list);
	ck_assert_str_eq(out.data, "2 errors, 1 warning, 1 note");
}
END_TEST

START_TEST(sort_is_by_first_use_then_line_and_stable)
{
	struct source other = {.name = STR("a.yaml")};
	static const char *const expected[] = {"n", "p1", "p2", "p3", "p4", "o1", "o2"};
	const struct diag *d;

	diag_error(&list, "x", place(5, 2, 0), "p3");
	diag_error(&list, "x", place_in(&other, 9, 1), "o2");
	diag_error(&list, "x", place(5, 1, 0), "p1");
	diag_error(&list, "x", (struct loc){0}, "n");
	diag_error(&list, "x", place_in(&other, 2, 1), "o1");
	diag_error(&list, "x", place(5, 1, 0), "p2");
	diag_error(&list, "x", place(10, 1, 0), "p4");
	diag_sort(&list);
	d = list.first;
	for (size_t i = 0; i < ARRAY_LEN(expected); i++, d = d->next)
		ck_assert_str_eq(d->msg, expected[i]);
	ck_assert_ptr_null(d);
	/* The list still grows at its end. */
	diag_error(&list, "x", (struct loc){0}, "last");
	ck_assert(str_ends(str_from(rendered(DIAG_TEXT)), STR("error: last [x]\n")));
}
END_TEST

START_TEST(rewind_takes_back_what_was_added)
{
	struct diag_list mark = list;

	diag_error(&list, "x", (struct loc){0}, "m");
	diag_list_rewind(&list, &mark);
	ck_assert_ptr_null(list.first);
	ck_assert_uint_eq(list.errors, 0);
	diag_error(&list, "x", (struct loc){0}, "kept");
	mark = list;
	diag_error(&list, "x", (struct loc){0}, "gone");
	diag_list_rewind(&list, &mark);
	diag_warn(&list, "x", (struct loc){0}, "new");
	ck_assert_str_eq(rendered(DIAG_TEXT), "error: kept [x]\nwarning: new [x]\n");
}
END_TEST

START_TEST(message_loses_its_middle_when_long)
{
	const char *quoted = "\xc3\xa9"; /* two bytes, so that a cut can fall inside */
	size_t pairs = LIMIT_DIAG_TEXT_BYTES;

	for (size_t i = 0; i < pairs; i++)
		buf_add_cstr(&out, quoted);
	for (unsigned shift = 0; shift < 2; shift++) {
		struct diag *d = diag_error(&list, "x", (struct loc){0},
		    "%s%.*s is bad", shift == 0 ? "" : "a", (int)out.len, out.data);
		struct str msg = str_from(d->msg);

		ck_assert_uint_le(msg.len, LIMIT_DIAG_TEXT_BYTES + 8);
		ck_assert_uint_ge(msg.len, LIMIT_DIAG_TEXT_BYTES);
		ck_assert_uint_eq(utf8_check(msg), msg.len);
		ck_assert_ptr_nonnull(strstr(d->msg, " ... "));
		ck_assert_str_eq(d->msg + msg.len - strlen(" is bad"), " is bad");
	}
}
END_TEST

START_TEST(message_is_whole_at_its_limit)
{
	for (size_t i = 0; i < LIMIT_DIAG_TEXT_BYTES; i++)
		buf_add_cstr(&out, "x");
	ck_assert_uint_eq(strlen(diag_error(&list, "x", (struct loc){0}, "%.*s",
			      (int)out.len, out.data)
				     ->msg),
	    LIMIT_DIAG_TEXT_BYTES);
}
END_TEST

START_TEST(loc_text_gives_what_is_known)
{
	ck_assert_str_eq(loc_text(arena, (struct loc){0}), "?");
	ck_assert_str_eq(loc_text(arena, place(0, 0, 0)), "policy.yaml");
	ck_assert_str_eq(loc_text(arena, place(3, 0, 0)), "policy.yaml:3");
	ck_assert_str_eq(loc_text(arena, place(3, 4, 9)), "policy.yaml:3:4");
}
END_TEST

START_TEST(loc_cmp_orders_by_name_line_column)
{
	struct source other = {.name = STR("q.yaml")};
	struct loc nowhere = {0};

	ck_assert_int_lt(loc_cmp(nowhere, place(1, 1, 0)), 0);
	ck_assert_int_eq(loc_cmp(nowhere, nowhere), 0);
	ck_assert_int_lt(loc_cmp(place(9, 1, 0), place_in(&other, 1, 1)), 0);
	ck_assert_int_lt(loc_cmp(place(9, 1, 0), place(10, 1, 0)), 0);
	ck_assert_int_gt(loc_cmp(place(9, 2, 0), place(9, 1, 0)), 0);
	ck_assert_int_eq(loc_cmp(place(9, 2, 0), place(9, 2, 5)), 0);
}
END_TEST

/* ---- JSON and SARIF ---- */

static void
add_samples(void)
{
	struct diag *d;

	source.name = STR("dir with space/p\"1.yaml");
	source.text = STR("\xc3\xa9\xc3\xa9 ab: 1\nx: 2\n");
	d = diag_error(&list, "code-a", place(1, 6, 8), "say \"%s\"", "hi\n");
	diag_hint(&list, d, "a hint");
	diag_note(&list, d, place(2, 1, 2), "the note");
	diag_warn(&list, "code-b", (struct loc){.source = &source}, "whole file");
	d = diag_add(&list, DIAG_NOTE, "code-c", (struct loc){0}, "nowhere");
	diag_figure(&list, d, "one", 1);
	diag_figure(&list, d, "many", UINT64_C(9999900000));
}

static json_t *
parsed(enum diag_format format)
{
	json_error_t error;
	json_t *root = json_loads(rendered(format), JSON_REJECT_DUPLICATES, &error);

	ck_assert_msg(root != NULL, "%s: %s", error.text, out.data);
	return root;
}

/* The value at "a.b.0.c" of a tree. */
static const json_t *
at(const json_t *node, const char *path)
{
	struct str rest = str_from(path);

	while (rest.ptr != NULL && node != NULL) {
		struct str part = str_split(&rest, '.');
		uint64_t index;

		if (json_is_array(node) && str_to_u64(part, 99, &index))
			node = json_array_get(node, (size_t)index);
		else
			node = json_object_getn(node, part.ptr, part.len);
	}
	return node;
}

#define ck_json_str(root, path, value)                                                 \
	ck_assert_pstr_eq(json_string_value(at((root), (path))), (value))
#define ck_json_int(root, path, value)                                                 \
	ck_assert_int_eq(json_integer_value(at((root), (path))), (value))

START_TEST(json_has_every_field)
{
	json_t *root;

	add_samples();
	root = parsed(DIAG_JSON);
	ck_assert_uint_eq(json_array_size(root), 3);
	ck_json_str(root, "0.severity", "error");
	ck_json_str(root, "0.code", "code-a");
	ck_json_str(root, "0.file", "dir with space/p\"1.yaml");
	ck_json_int(root, "0.line", 1);
	ck_json_int(root, "0.column", 6);
	ck_json_int(root, "0.endColumn", 8);
	ck_json_str(root, "0.message", "say \"hi\n\"");
	ck_json_str(root, "0.hint", "a hint");
	ck_json_str(root, "0.related.file", "dir with space/p\"1.yaml");
	ck_json_int(root, "0.related.line", 2);
	ck_json_int(root, "0.related.column", 1);
	ck_json_str(root, "0.related.message", "the note");
	ck_json_str(root, "1.severity", "warning");
	ck_assert_ptr_nonnull(at(root, "1.file"));
	ck_assert_ptr_null(at(root, "1.line"));
	ck_json_str(root, "2.severity", "note");
	ck_assert_ptr_null(at(root, "2.file"));
	ck_assert_ptr_null(at(root, "1.figures"));
	ck_json_int(root, "2.figures.one", 1);
	ck_json_int(root, "2.figures.many", 9999900000);
	json_decref(root);
}
END_TEST

START_TEST(json_and_sarif_are_valid_when_empty)
{
	json_t *root = parsed(DIAG_JSON);

	ck_assert_uint_eq(json_array_size(root), 0);
	json_decref(root);
	root = parsed(DIAG_SARIF);
	ck_assert(json_is_array(at(root, "runs.0.results")));
	json_decref(root);
}
END_TEST

START_TEST(json_and_sarif_say_how_many_are_missing)
{
	json_t *root;

	for (unsigned i = 0; i < LIMIT_DIAGS + 2; i++)
		diag_error(&list, "x", (struct loc){0}, "m");
	root = parsed(DIAG_JSON);
	ck_assert_uint_eq(json_array_size(root), LIMIT_DIAGS + 1);
	ck_assert_str_eq(json_string_value(json_object_get(
			     json_array_get(root, LIMIT_DIAGS), "message")),
	    "2 more not shown");
	json_decref(root);
	root = parsed(DIAG_SARIF);
	ck_assert_uint_eq(json_array_size(at(root, "runs.0.results")), LIMIT_DIAGS + 1);
	json_decref(root);
}
END_TEST

/* What SARIF 2.1.0 requires: section 3.13 (log), 3.14 (run), 3.18 and 3.19 (tool),
 * 3.27 (result), 3.28 (location), 3.30 (region). */
START_TEST(sarif_has_required_structure)
{
	json_t *root;
	const json_t *run;

	add_samples();
	root = parsed(DIAG_SARIF);
	ck_json_str(root, "version", "2.1.0");
	ck_assert_uint_eq(json_array_size(at(root, "runs")), 1);
	run = at(root, "runs.0");
	ck_json_str(run, "tool.driver.name", "ringfence");
	ck_json_str(run, "tool.driver.version", RINGFENCE_VERSION);
	ck_json_str(run, "columnKind", "unicodeCodePoints");
	ck_assert_uint_eq(json_array_size(at(run, "results")), 3);
	ck_json_str(run, "results.0.ruleId", "code-a");
	ck_json_str(run, "results.0.level", "error");
	ck_json_str(run, "results.0.message.text", "say \"hi\n\"; a hint");
	/* A URI reference (RFC 3986): space and quote are encoded. */
	ck_json_str(run, "results.0.locations.0.physicalLocation.artifactLocation.uri",
	    "dir%20with%20space/p%221.yaml");
	/* Byte 6 is the 4th character. */
	ck_json_int(run, "results.0.locations.0.physicalLocation.region.startLine", 1);
	ck_json_int(
	    run, "results.0.locations.0.physicalLocation.region.startColumn", 4);
	ck_json_int(run, "results.0.locations.0.physicalLocation.region.endColumn", 6);
	ck_json_int(
	    run, "results.0.relatedLocations.0.physicalLocation.region.startLine", 2);
	ck_json_str(run, "results.0.relatedLocations.0.message.text", "the note");
	ck_json_str(run, "results.1.level", "warning");
	ck_assert_ptr_nonnull(at(run, "results.1.locations.0.physicalLocation"));
	ck_assert_ptr_null(at(run, "results.1.locations.0.physicalLocation.region"));
	ck_json_str(run, "results.2.level", "note");
	ck_assert_ptr_null(at(run, "results.2.locations"));
	ck_json_int(run, "results.2.properties.many", 9999900000);
	json_decref(root);
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("diag");
	TCase *tc = tcase_create("diag");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, text_underlines_source_line);
	tcase_add_test(tc, text_shows_second_place_as_note);
	tcase_add_test(tc, text_keeps_tabs_before_caret);
	tcase_add_test(tc, text_counts_code_points_when_utf8);
	tcase_add_test(tc, text_counts_behind_byte_order_mark);
	tcase_add_test(tc, text_hides_control_characters);
	tcase_add_loop_test(tc, text_copes_when_place_is_odd, 0, ARRAY_LEN(places));
	tcase_add_test(tc, text_puts_hint_behind_message_when_no_line);
	tcase_add_test(tc, text_shows_part_when_line_is_long);
	tcase_add_test(tc, text_is_empty_when_list_is);
	tcase_add_test(tc, list_counts_and_summarises_beyond_limit);
	tcase_add_test(tc, errors_are_kept_however_much_is_warned_of);
	tcase_add_test(tc, list_takes_another_as_far_as_there_is_room);
	tcase_add_test(tc, summary_counts_by_severity);
	tcase_add_test(tc, sort_is_by_first_use_then_line_and_stable);
	tcase_add_test(tc, rewind_takes_back_what_was_added);
	tcase_add_test(tc, message_loses_its_middle_when_long);
	tcase_add_test(tc, message_is_whole_at_its_limit);
	tcase_add_test(tc, loc_text_gives_what_is_known);
	tcase_add_test(tc, loc_cmp_orders_by_name_line_column);
	tcase_add_test(tc, json_has_every_field);
	tcase_add_test(tc, json_and_sarif_are_valid_when_empty);
	tcase_add_test(tc, json_and_sarif_say_how_many_are_missing);
	tcase_add_test(tc, sarif_has_required_structure);
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	SRunner *runner = srunner_create(make_suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
