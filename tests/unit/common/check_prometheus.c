#include "common/prometheus.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* https://prometheus.io/docs/instrumenting/exposition_formats: in a label's value a
 * backslash, a double quote and a line feed are escaped; anything else stands for itself. */
static const struct {
	const char *value, *written;
} values[] = {
    {"", ""},
    {"/acme/shop", "/acme/shop"},
    {"a\"b", "a\\\"b"},
    {"a\\", "a\\\\"},
    {"a\nb", "a\\nb"},
    {"\"} 1\nringfence_state", "\\\"} 1\\nringfence_state"},
    {"caf\xc3\xa9\t{}", "caf\xc3\xa9\t{}"},
};

START_TEST(prometheus_add_value_escapes_what_would_end_it)
{
	struct buf out = {0};

	prometheus_add_value(&out, str_from(values[_i].value));
	ck_assert_uint_eq(out.len, strlen(values[_i].written));
	ck_assert(str_is(buf_str(&out), values[_i].written));
	buf_free(&out);
}
END_TEST

START_TEST(prometheus_add_writes_help_type_and_sample)
{
	struct buf out = {0};

	prometheus_add(&out, "ringfence_looks_total", "counter", "Looks.", UINT64_MAX);
	prometheus_add_seconds(&out, "ringfence_took_seconds", "How long.", 1500000);
	ck_assert(str_is(buf_str(&out), "# HELP ringfence_looks_total Looks.\n"
					"# TYPE ringfence_looks_total counter\n"
					"ringfence_looks_total 18446744073709551615\n"
					"# HELP ringfence_took_seconds How long.\n"
					"# TYPE ringfence_took_seconds gauge\n"
					"ringfence_took_seconds 0.001500\n"));
	buf_free(&out);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("prometheus");
	TCase *tc = tcase_create("text");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(
	    tc, prometheus_add_value_escapes_what_would_end_it, 0, ARRAY_LEN(values));
	tcase_add_test(tc, prometheus_add_writes_help_type_and_sample);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
