/*
 * common/clock: expected values come from date(1) and from RFC 3339.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"

#define SECOND 1000000000LL

struct sample {
	int64_t seconds;
	int64_t ns;
	const char *text; /* with microseconds */
	const char *seconds_text;
};

/* date -u -d @SECONDS +%FT%TZ */
static const struct sample samples[] = {
    {0, 0, "1970-01-01T00:00:00.000000Z", "1970-01-01T00:00:00Z"},
    {1767323045, 678000, "2026-01-02T03:04:05.000678Z", "2026-01-02T03:04:05Z"},
    {951782400, 999999999, "2000-02-29T00:00:00.999999Z", "2000-02-29T00:00:00Z"},
    {951868799, 1000, "2000-02-29T23:59:59.000001Z", "2000-02-29T23:59:59Z"},
    {951868800, 0, "2000-03-01T00:00:00.000000Z", "2000-03-01T00:00:00Z"},
    {4107542399, 0, "2100-02-28T23:59:59.000000Z", "2100-02-28T23:59:59Z"},
    {4107542400, 0, "2100-03-01T00:00:00.000000Z", "2100-03-01T00:00:00Z"},
    {-1, 0, "1969-12-31T23:59:59.000000Z", "1969-12-31T23:59:59Z"},
    {-2203891201, 500000000, "1900-02-28T23:59:59.500000Z", "1900-02-28T23:59:59Z"},
    {-2203891200, 0, "1900-03-01T00:00:00.000000Z", "1900-03-01T00:00:00Z"},
};

START_TEST(walltime_format_writes_utc)
{
	const struct sample *s = &samples[_i];
	walltime_t t = {s->seconds * SECOND + s->ns};
	char text[WALLTIME_TEXT_BYTES];

	ck_assert_str_eq(walltime_format(t, text), s->text);
	ck_assert_str_eq(walltime_format_seconds(t, text), s->seconds_text);
}
END_TEST

START_TEST(walltime_parse_reads_what_format_writes)
{
	const struct sample *s = &samples[_i];
	walltime_t t = {1};

	ck_assert(walltime_parse(s->seconds_text, &t));
	ck_assert_int_eq(t.ns, s->seconds * SECOND);
	ck_assert(walltime_parse(s->text, &t));
	ck_assert_int_eq(t.ns, s->seconds * SECOND + s->ns / 1000 * 1000);
}
END_TEST

/* Every day of 400 years and a bit, against libc. */
START_TEST(walltime_format_agrees_with_gmtime_on_every_day)
{
	for (int64_t day = -100000; day < 106000; day++) {
		time_t seconds = (time_t)(day * 86400 + (day % 86400 + 86400) % 86400);
		char expected[64], text[WALLTIME_TEXT_BYTES];
		walltime_t back = {0};
		struct tm tm;

		ck_assert_ptr_nonnull(gmtime_r(&seconds, &tm));
		ck_assert(strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%SZ",
			      &tm) > 0);
		walltime_format_seconds((walltime_t){seconds * SECOND}, text);
		if (strcmp(text, expected) != 0)
			ck_abort_msg("%lld: %s, expected %s", (long long)seconds, text,
			    expected);
		if (!walltime_parse(text, &back) || back.ns != seconds * SECOND)
			ck_abort_msg("%s is not read back", text);
	}
}
END_TEST

struct reading {
	const char *text;
	int64_t ns;
};

/* The first four are the examples of RFC 3339, section 5.8. */
static const struct reading readings[] = {
    {"1985-04-12T23:20:50.52Z", 482196050520000000},
    {"1996-12-19T16:39:57-08:00", 851042397000000000},
    {"1990-12-31T23:59:60Z", 662688000000000000}, /* a leap second */
    {"1937-01-01T12:00:27.87+00:20", -1041337172130000000},
    {"2026-01-02t03:04:05z", 1767323045000000000},
    {"2026-01-02 03:04:05Z", 1767323045000000000},
    {"2026-01-02T03:04:05.1234567891Z", 1767323045123456789},
    {"2026-01-02T03:04:05+00:00", 1767323045000000000},
};

START_TEST(walltime_parse_reads_rfc3339)
{
	walltime_t t = {0};

	ck_assert(walltime_parse(readings[_i].text, &t));
	ck_assert_int_eq(t.ns, readings[_i].ns);
	t.ns = 0;
	ck_assert(walltime_parse_str(str_from(readings[_i].text), &t));
	ck_assert_int_eq(t.ns, readings[_i].ns);
}
END_TEST

static const char *const bad[] = {"", "2026", "2026-01-02", "2026-01-02T03:04:05",
    "2026-01-02T03:04Z", "2026-1-02T03:04:05Z", "2026-13-01T00:00:00Z",
    "2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z",
    "2026-04-31T00:00:00Z", "2026-01-00T00:00:00Z", "2026-01-02T24:00:00Z",
    "2026-01-02T00:60:00Z", "2026-01-02T00:00:61Z", "2026-01-02T00:00:00.Z",
    "2026-01-02T00:00:00+0100", "2026-01-02T00:00:00+24:00",
    "2026-01-02T00:00:00+00:60", "2026-01-02T00:00:00Zx", " 2026-01-02T00:00:00Z",
    "1677-12-31T23:59:59Z", "2262-01-01T00:00:00Z", "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z", "2026-01-02T03:04:05,5Z", "+2026-01-02T03:04:05Z"};

START_TEST(walltime_parse_refuses_when_malformed)
{
	walltime_t t = {42};

	ck_assert_msg(!walltime_parse(bad[_i], &t), "%s", bad[_i]);
	ck_assert_msg(!walltime_parse_str(str_from(bad[_i]), &t), "%s", bad[_i]);
	ck_assert_int_eq(t.ns, 42);
}
END_TEST

START_TEST(walltime_parse_str_reads_its_bytes_and_no_more)
{
	static const char text[] = "2026-01-02T03:04:05Z\0"
				   "2026-01-02T03:04:05.0000000000"
				   "000000000000000000000000000000000Z";
	const struct str all = {text, sizeof(text) - 1};
	walltime_t t = {42};

	ck_assert(!walltime_parse_str((struct str){NULL, 0}, &t));
	ck_assert(!walltime_parse_str(str_slice(all, 0, 19), &t));
	ck_assert(!walltime_parse_str(str_slice(all, 0, 21), &t)); /* with the NUL */
	ck_assert(!walltime_parse_str(str_slice(all, 21, all.len), &t)); /* 64 bytes */
	ck_assert_int_eq(t.ns, 42);
	ck_assert(walltime_parse_str(str_slice(all, 0, 20), &t));
	ck_assert_int_eq(t.ns, 1767323045000000000);
	t.ns = 42;
	ck_assert_uint_eq(all.len - 21, 64);
	ck_assert(walltime_parse(text + 21, &t));
}
END_TEST

START_TEST(walltime_format_holds_at_the_ends_of_the_range)
{
	char text[WALLTIME_TEXT_BYTES];

	ck_assert_str_eq(walltime_format((walltime_t){INT64_MIN}, text),
	    "1677-09-21T00:12:43.145224Z");
	ck_assert_str_eq(walltime_format((walltime_t){INT64_MAX}, text),
	    "2262-04-11T23:47:16.854775Z");
}
END_TEST

START_TEST(monotime_since_is_zero_when_reversed)
{
	ck_assert_uint_eq(monotime_since((monotime_t){5}, (monotime_t){7}), 2);
	ck_assert_uint_eq(monotime_since((monotime_t){7}, (monotime_t){5}), 0);
	ck_assert_uint_eq(monotime_since((monotime_t){7}, (monotime_t){7}), 0);
}
END_TEST

START_TEST(clocks_agree_with_libc)
{
	struct timespec before, after;
	walltime_t wall;
	monotime_t a = monotime_now(), b;

	clock_gettime(CLOCK_REALTIME, &before);
	wall = walltime_now();
	clock_gettime(CLOCK_REALTIME, &after);
	b = monotime_now();
	ck_assert_int_ge(wall.ns, before.tv_sec * SECOND + before.tv_nsec);
	ck_assert_int_le(wall.ns, after.tv_sec * SECOND + after.tv_nsec);
	ck_assert_uint_gt(monotime_since(a, b), 0);
}
END_TEST

static const struct {
	const char *text;
	uint64_t seconds; /* 0: it is none */
} durations[] = {
    {"12h", 43200},
    {"90m", 5400},
    {"1h30m", 5400},
    {"45s", 45},
    {"1h1h1s", 7201},
    {"0h5s", 5},
    {"4294967295s", 4294967295},
    {"1193046h28m15s", 4294967295},
    {"4294967296s", 0},
    {"1193047h", 0},
    {"1193046h28m16s", 0},
    {"18446744073709551617s", 0},
    {"", 0},
    {"0s", 0},
    {"12", 0},
    {"h", 0},
    {"1h5", 0},
    {"1hm", 0},
    {"1d", 0},
    {"1.5h", 0},
    {"-1h", 0},
    {"1h ", 0},
    {" 1h", 0},
    {"1H", 0},
    {"1ms", 0},
};

START_TEST(duration_parse_reads_whole_units)
{
	uint64_t seconds = 77;
	bool ok = duration_parse(str_from(durations[_i].text), &seconds);

	ck_assert_msg(ok == (durations[_i].seconds != 0), "\"%s\"", durations[_i].text);
	ck_assert_uint_eq(seconds, ok ? durations[_i].seconds : 77);
	ck_assert(!duration_parse(STR("1h\0"), &seconds));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("clock");
	TCase *tc = tcase_create("clock");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tc, walltime_format_writes_utc, 0, ARRAY_LEN(samples));
	tcase_add_loop_test(
	    tc, walltime_parse_reads_what_format_writes, 0, ARRAY_LEN(samples));
	tcase_add_test(tc, walltime_format_agrees_with_gmtime_on_every_day);
	tcase_add_loop_test(tc, walltime_parse_reads_rfc3339, 0, ARRAY_LEN(readings));
	tcase_add_loop_test(
	    tc, walltime_parse_refuses_when_malformed, 0, ARRAY_LEN(bad));
	tcase_add_test(tc, walltime_parse_str_reads_its_bytes_and_no_more);
	tcase_add_test(tc, walltime_format_holds_at_the_ends_of_the_range);
	tcase_add_loop_test(
	    tc, duration_parse_reads_whole_units, 0, ARRAY_LEN(durations));
	tcase_add_test(tc, monotime_since_is_zero_when_reversed);
	tcase_add_test(tc, clocks_agree_with_libc);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
