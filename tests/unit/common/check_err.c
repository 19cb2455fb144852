#include "common/err.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

START_TEST(err_set_fills_and_returns_code)
{
	struct err err = ERR_INIT;

	ck_assert_int_eq(err_set(&err, ERR_LIMIT, "%u of %s", 3, "x"), ERR_LIMIT);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	ck_assert_int_eq(err.sys, 0);
	ck_assert_str_eq(err.msg, "3 of x");
}
END_TEST

START_TEST(err_sys_appends_reason)
{
	struct err err = ERR_INIT;

	errno = ENOENT;
	ck_assert_int_eq(err_sys(&err, "cannot open %s", "/x"), ERR_SYSTEM);
	ck_assert_int_eq(err.sys, ENOENT);
	ck_assert_str_eq(err.msg, "cannot open /x: No such file or directory");
}
END_TEST

START_TEST(err_wrap_puts_prefix_before)
{
	struct err err = ERR_INIT;

	(void)err_set(&err, ERR_DENIED, "inner");
	ck_assert_int_eq(err_wrap(&err, "load %d", 7), ERR_DENIED);
	ck_assert_int_eq(err_wrap(&err, "outer"), ERR_DENIED);
	ck_assert_str_eq(err.msg, "outer: load 7: inner");
	ck_assert_int_eq(err.code, ERR_DENIED);
}
END_TEST

START_TEST(err_set_may_quote_its_own_message)
{
	struct err err = ERR_INIT;

	(void)err_set(&err, ERR_INVALID, "first");
	(void)err_set(&err, ERR_STALE, "again: %s", err.msg);
	ck_assert_str_eq(err.msg, "again: first");
}
END_TEST

START_TEST(err_functions_return_code_when_err_is_null)
{
	errno = EPERM;
	ck_assert_int_eq(err_set(NULL, ERR_EXISTS, "x"), ERR_EXISTS);
	ck_assert_int_eq(err_sys(NULL, "x"), ERR_SYSTEM);
	ck_assert_int_lt(err_wrap(NULL, "x"), 0);
}
END_TEST

START_TEST(err_message_shows_cut_when_too_long)
{
	struct err err = ERR_INIT;
	char text[2000];

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	(void)err_set(&err, ERR_INVALID, "%s", text);
	ck_assert_uint_eq(strlen(err.msg), sizeof(err.msg) - 1);
	ck_assert_str_eq(err.msg + strlen(err.msg) - 3, "...");
	(void)err_set(&err, ERR_INVALID, "%.511s", text);
	ck_assert_int_eq(err.msg[510], 'a');
	errno = ENOENT;
	(void)err_sys(&err, "%s", text);
	ck_assert_str_eq(err.msg + strlen(err.msg) - 3, "...");
	(void)err_wrap(&err, "%s", text);
	ck_assert_uint_eq(strlen(err.msg), sizeof(err.msg) - 1);
	ck_assert_str_eq(err.msg + strlen(err.msg) - 3, "...");
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("err");
	TCase *tc = tcase_create("err");

	tcase_add_test(tc, err_set_fills_and_returns_code);
	tcase_add_test(tc, err_sys_appends_reason);
	tcase_add_test(tc, err_wrap_puts_prefix_before);
	tcase_add_test(tc, err_set_may_quote_its_own_message);
	tcase_add_test(tc, err_functions_return_code_when_err_is_null);
	tcase_add_test(tc, err_message_shows_cut_when_too_long);
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
