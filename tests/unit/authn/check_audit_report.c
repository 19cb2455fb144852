/*
 * Reports of more than a table takes: whichever way they are printed, they say so.
 */
#include <check.h>
#include <string.h>

#include "authn/audit/audit_report.h"
#include "common/limits.h"

#define BEYOND 5u

START_TEST(table_counts_what_is_beyond_its_rows)
{
	struct audit_reporter *reporter = audit_reporter_new();
	const struct audit_table *tables;
	struct audit_summary summary;
	size_t count;

	for (uint64_t i = 0; i < LIMIT_AUDIT_REPORT_ROWS + BEYOND; i++)
		audit_reporter_add(reporter,
		    &(struct audit_record){.index = i, .kind = AUDIT_KIND_GAP});
	tables = audit_reporter_finish(reporter, &count, &summary);
	ck_assert_uint_eq(summary.records, LIMIT_AUDIT_REPORT_ROWS + BEYOND);
	for (size_t i = 0; i < count; i++) {
		const struct audit_table *t = &tables[i];
		const bool full = strcmp(t->id, "gaps") == 0;

		ck_assert_uint_eq(t->row_count, full ? LIMIT_AUDIT_REPORT_ROWS : 0);
		ck_assert_uint_eq(t->omitted, full ? BEYOND : 0);
	}
	audit_reporter_free(reporter);
}
END_TEST

static void
expect(void (*print)(struct buf *out, const struct audit_paper *p), const char *text)
{
	static const char *const heads[] = {"Time"};
	const struct str cell = STR("now");
	struct audit_row row = {&cell};
	const struct audit_table tables[] = {
	    {"whole", "t", "a", heads, 1, &row, 1, 1, 0},
	    {"full", "t", "a", heads, 1, &row, 1, 6, BEYOND},
	};
	const struct audit_paper paper = {
	    .title = STR("t"), .tables = tables, .table_count = ARRAY_LEN(tables)};
	struct buf out = {0};

	print(&out, &paper);
	ck_assert_msg(strstr(out.data, text) != NULL, "%s in %s", text, out.data);
	buf_free(&out);
}

START_TEST(report_says_what_is_not_in_a_full_table)
{
	expect(audit_paper_html, "The table is full: 5 more records are not in it.");
	expect(audit_paper_json, "\"records\":1,\"omitted\":0,");
	expect(audit_paper_json, "\"records\":6,\"omitted\":5,");
	expect(
	    audit_paper_csv, "\n#omitted,Table,Records\nomitted,full,5\n#whole,Time\n");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("audit_report");
	TCase *tc = tcase_create("audit_report");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, table_counts_what_is_beyond_its_rows);
	tcase_add_test(tc, report_says_what_is_not_in_a_full_table);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
