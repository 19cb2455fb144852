/*
 * common/log: lines as they arrive on standard error, which is a file in memory here.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"

#define TIME_TEXT  "2026-01-02T03:04:05.678Z"
#define TIME_REGEX "^(\\{\"time\":\")?[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{3}Z"

static int saved_stderr;
static int captured;
static char text[65536];

static void
capture_start(void)
{
	saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	captured = memfd_create("log", MFD_CLOEXEC);
	ck_assert_int_ge(saved_stderr, 0);
	ck_assert_int_ge(captured, 0);
	ck_assert_int_eq(dup2(captured, STDERR_FILENO), STDERR_FILENO);
}

/* What was written since capture_start; the time at its beginning, checked, is cut. */
static const char *
capture_end(void)
{
	ssize_t n = pread(captured, text, sizeof(text) - 1, 0);
	regex_t re;
	regmatch_t match = {0};

	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(captured);
	ck_assert_int_ge(n, 0);
	text[n] = '\0';
	if (n == 0)
		return text;
	ck_assert_int_eq(regcomp(&re, TIME_REGEX, REG_EXTENDED), 0);
	ck_assert_msg(regexec(&re, text, 1, &match, 0) == 0, "no time: %s", text);
	regfree(&re);
	return text + match.rm_eo;
}

START_TEST(log_text_names_level_role_event_and_tail)
{
	log_setup("engine", LOG_INFO, LOG_FORMAT_TEXT);
	capture_start();
	log_info("program-applied", "generation=%d rules=%u", 7, 12u);
	ck_assert_str_eq(
	    capture_end(), " info engine: program-applied generation=7 rules=12\n");
}
END_TEST

START_TEST(log_text_ends_after_event_when_tail_is_empty)
{
	log_setup("gate", LOG_INFO, LOG_FORMAT_TEXT);
	capture_start();
	log_error("stopped", "%s", "");
	ck_assert_str_eq(capture_end(), " error gate: stopped\n");
}
END_TEST

START_TEST(log_writes_nothing_when_level_is_below)
{
	log_setup("gate", LOG_WARN, LOG_FORMAT_TEXT);
	ck_assert(log_enabled(LOG_ERROR));
	ck_assert(log_enabled(LOG_WARN));
	ck_assert(!log_enabled(LOG_INFO));
	capture_start();
	log_info("noise", "a=%d", 1);
	log_debug("noise", "a=%d", 1);
	ck_assert_str_eq(capture_end(), "");
}
END_TEST

START_TEST(log_text_stays_one_line_when_value_has_newlines)
{
	log_setup("gate", LOG_DEBUG, LOG_FORMAT_TEXT);
	capture_start();
	log_warn("odd", "name=%s", "a\nb\r\t\x1b[2J\x7f\xff\xc2\x9b\xc3\xa9");
	ck_assert_str_eq(capture_end(),
	    " warn gate: odd name=a\\nb\\r\\t\\x1b[2J\\x7f\\xff\\xc2\\x9b\xc3\xa9\n");
}
END_TEST

struct quoting {
	struct str in;
	const char *out;
};

static const struct quoting quotings[] = {
    {{"", 0}, "\"\""},
    {{"plain", 5}, "\"plain\""},
    {{"say \"hi\" \\ bye", 14}, "\"say \\\"hi\\\" \\\\ bye\""},
    {{"a\0b", 3}, "\"a\\x00b\""},
    {{"\n\r\t\x01", 4}, "\"\\n\\r\\t\\x01\""},
    {{"\xc3\xa9\xf0\x9f\x94\x92", 6}, "\"\xc3\xa9\xf0\x9f\x94\x92\""},
    {{"\xc0\xaf\xed\xa0\x80", 5}, "\"\\xc0\\xaf\\xed\\xa0\\x80\""},
    {{"\xc2\x85", 2}, "\"\\xc2\\x85\""},
};

START_TEST(log_quote_escapes)
{
	ck_assert_str_eq(log_quote(quotings[_i].in), quotings[_i].out);
}
END_TEST

START_TEST(log_quote_marks_the_cut_when_text_is_long)
{
	char many[2000];
	const char *out;

	memset(many, 'x', sizeof(many));
	out = log_quote((struct str){many, sizeof(many)});
	ck_assert_uint_eq(strlen(out), 500 + strlen("\"...\""));
	ck_assert_str_eq(out + 501, "...\"");
	memset(many, '\n', sizeof(many));
	out = log_quote((struct str){many, sizeof(many)});
	ck_assert_uint_eq(strlen(out), 500 * 2 + strlen("\"...\""));
	memset(many, '\x02', sizeof(many));
	out = log_quote((struct str){many, sizeof(many)});
	ck_assert_uint_eq(strlen(out), 500 * 4 + strlen("\"...\""));
	/* No character is cut in half. */
	for (size_t i = 0; i < sizeof(many); i += 2)
		memcpy(many + i, "\xc3\xa9", 2);
	out = log_quote((struct str){many + 1, sizeof(many) - 1});
	ck_assert_str_eq(out + strlen(out) - 6, "\xc3\xa9...\"");
}
END_TEST

START_TEST(log_quote_keeps_several_values_in_one_call)
{
	const char *a = log_quote(STR("one"));
	const char *b = log_quote(STR("two"));
	const char *c = log_quote(STR("three"));
	const char *d = log_quote(STR("four"));

	ck_assert_str_eq(a, "\"one\"");
	ck_assert_str_eq(b, "\"two\"");
	ck_assert_str_eq(c, "\"three\"");
	ck_assert_str_eq(d, "\"four\"");
}
END_TEST

struct json_case {
	const char *tail;
	const char *members; /* behind "event" */
};

static const struct json_case json_cases[] = {
    {"", ""},
    {"generation=7 ok=true off=false", ",\"generation\":7,\"ok\":true,\"off\":false"},
    {"n=-3 z=0 big=123456789012345", ",\"n\":-3,\"z\":0,\"big\":123456789012345"},
    {"big=1234567890123456 lead=007 dash=- f=1.5",
	",\"big\":\"1234567890123456\",\"lead\":\"007\",\"dash\":\"-\",\"f\":\"1.5\""},
    {"path=/etc/x.yaml empty= end=x",
	",\"path\":\"/etc/x.yaml\",\"empty\":\"\",\"end\":\"x\""},
    {"name=\"a b\" n=\"7\"", ",\"name\":\"a b\",\"n\":\"7\""},
    {"q=\"\\\"\\\\\\n\\x01\"", ",\"q\":\"\\\"\\\\\\n\\u0001\""},
    {"open=\"never closed", ",\"open\":\"never closed\""},
    {"two words a=1", ",\"a\":1,\"detail\":\"two words\""},
    {"a=b=c", ",\"a\":\"b=c\""},
    {"time=0 level=x event=y role=z", ",\"_time\":0,\"_level\":\"x\",\"_event\":\"y\","
				      "\"_role\":\"z\""},
    {"  a=1   b=2  ", ",\"a\":1,\"b\":2"},
    {"\"lonely\" =x", ",\"detail\":\"lonely =x\""},
};

START_TEST(log_json_splits_the_tail)
{
	char expected[1024];

	log_setup("engine", LOG_INFO, LOG_FORMAT_JSON);
	(void)snprintf(expected, sizeof(expected),
	    "\",\"level\":\"info\",\"role\":\"engine\",\"event\":\"x\"%s}\n",
	    json_cases[_i].members);
	capture_start();
	log_info("x", "%s", json_cases[_i].tail);
	ck_assert_str_eq(capture_end(), expected);
}
END_TEST

START_TEST(log_json_gives_back_what_was_quoted)
{
	log_setup("engine", LOG_INFO, LOG_FORMAT_JSON);
	capture_start();
	log_info("denied", "user=%s", log_quote(STR("x\" admin=true \"\n\xc3\xa9")));
	ck_assert_str_eq(capture_end(),
	    "\",\"level\":\"info\",\"role\":\"engine\",\"event\":\"denied\","
	    "\"user\":\"x\\\" admin=true \\\"\\n\xc3\xa9\"}\n");
}
END_TEST

START_TEST(log_cuts_and_says_so_when_the_tail_is_huge)
{
	static char huge[40000];
	const char *line;

	log_setup("engine", LOG_INFO, LOG_FORMAT_TEXT);
	memset(huge, 'x', sizeof(huge) - 1);
	capture_start();
	log_info("big", "v=%s", huge);
	line = capture_end();
	ck_assert_uint_lt(strlen(line), 17000);
	ck_assert_str_eq(line + strlen(line) - 10, " cut=true\n");
}
END_TEST

START_TEST(log_writes_one_record_per_line)
{
	int fds[2];
	char line[256];

	log_setup("gate", LOG_INFO, LOG_FORMAT_TEXT);
	/* A packet pipe keeps the boundaries of write(2). */
	ck_assert_int_eq(pipe2(fds, O_DIRECT | O_CLOEXEC), 0);
	saved_stderr = dup(STDERR_FILENO);
	dup2(fds[1], STDERR_FILENO);
	log_info("one", "a=%d b=%s", 1, log_quote(STR("x y")));
	log_info("two", "a=%d", 2);
	dup2(saved_stderr, STDERR_FILENO);
	ck_assert_int_eq(read(fds[0], line, sizeof(line)),
	    (ssize_t)strlen(TIME_TEXT " info gate: one a=1 b=\"x y\"\n"));
	ck_assert_int_eq(read(fds[0], line, sizeof(line)),
	    (ssize_t)strlen(TIME_TEXT " info gate: two a=2\n"));
}
END_TEST

START_TEST(log_keeps_errno_and_goes_on_when_nobody_reads)
{
	int fds[2];

	log_setup("gate", LOG_INFO, LOG_FORMAT_TEXT);
	ck_assert_int_eq(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
	close(fds[0]);
	signal(SIGPIPE, SIG_IGN);
	saved_stderr = dup(STDERR_FILENO);
	dup2(fds[1], STDERR_FILENO);
	errno = ENOTTY;
	log_info("lost", "a=%d", 1);
	dup2(saved_stderr, STDERR_FILENO);
	ck_assert_int_eq(errno, ENOTTY);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("log");
	TCase *tc = tcase_create("log");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, log_text_names_level_role_event_and_tail);
	tcase_add_test(tc, log_text_ends_after_event_when_tail_is_empty);
	tcase_add_test(tc, log_writes_nothing_when_level_is_below);
	tcase_add_test(tc, log_text_stays_one_line_when_value_has_newlines);
	tcase_add_loop_test(tc, log_quote_escapes, 0, ARRAY_LEN(quotings));
	tcase_add_test(tc, log_quote_marks_the_cut_when_text_is_long);
	tcase_add_test(tc, log_quote_keeps_several_values_in_one_call);
	tcase_add_loop_test(tc, log_json_splits_the_tail, 0, ARRAY_LEN(json_cases));
	tcase_add_test(tc, log_json_gives_back_what_was_quoted);
	tcase_add_test(tc, log_cuts_and_says_so_when_the_tail_is_huge);
	tcase_add_test(tc, log_writes_one_record_per_line);
	tcase_add_test(tc, log_keeps_errno_and_goes_on_when_nobody_reads);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
