/*
 * How long is waited, by a clock that the test keeps.
 */
#include "enforcer/wire/pace.h"

#include <check.h>
#include <stdlib.h>

#define END_MS 60000

/* Events come every `every_ms` and never stop. Counts how often somebody is told, as the
 * timer of sources.c does it; *out_longest is how long the first of the events waited. */
static unsigned
tell(uint64_t every_ms, uint64_t *out_longest)
{
	uint64_t first = 0, due = 0;
	bool waits = false;
	unsigned told = 0;

	*out_longest = 0;
	for (uint64_t now = 0; now < END_MS; now++) {
		if (now % every_ms == 0) {
			first = waits ? first : now;
			waits = true;
			due = now + pace_settle_ms(now - first);
		}
		if (!waits || now < due)
			continue;
		if (now - first > *out_longest)
			*out_longest = now - first;
		waits = false;
		told++;
	}
	return told;
}

START_TEST(changes_that_never_stop_are_told_all_the_while)
{
	uint64_t longest;

	for (uint64_t every = 1; every < PACE_QUIET_MS; every++) {
		unsigned told = tell(every, &longest);

		ck_assert_uint_le(longest, PACE_SETTLE_MS);
		/* together, and not one by one */
		ck_assert_uint_ge(told, END_MS / (PACE_SETTLE_MS + every) - 1);
		ck_assert_uint_le(told, END_MS / PACE_SETTLE_MS + 1);
	}
}
END_TEST

START_TEST(change_that_stays_alone_waits_for_quiet_alone)
{
	uint64_t longest;

	ck_assert_uint_ge(tell(PACE_QUIET_MS + 1, &longest), END_MS / 52);
	ck_assert_uint_eq(longest, PACE_QUIET_MS);
}
END_TEST

START_TEST(clock_that_jumped_is_no_wait)
{
	ck_assert_uint_eq(pace_settle_ms(PACE_SETTLE_MS), 0);
	ck_assert_uint_eq(pace_settle_ms(UINT64_MAX), 0);
}
END_TEST

START_TEST(retries_come_at_twice_the_interval_up_to_a_half_minute)
{
	static const unsigned wanted[] = {
	    250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000};
	unsigned ms = 0;

	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		ms = pace_retry_ms(ms);
		ck_assert_uint_eq(ms, wanted[i]);
	}
	ck_assert_uint_eq(pace_retry_ms(UINT32_MAX), PACE_RETRY_MOST_MS);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("pace");
	TCase *tc = tcase_create("pace");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, changes_that_never_stop_are_told_all_the_while);
	tcase_add_test(tc, change_that_stays_alone_waits_for_quiet_alone);
	tcase_add_test(tc, clock_that_jumped_is_no_wait);
	tcase_add_test(tc, retries_come_at_twice_the_interval_up_to_a_half_minute);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
