/*
 * The throttle: few failures are free, more wait longer and longer, a password known to be
 * wrong is not tried again, and nobody's failures stop somebody else.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "authn/auth/throttle.h"

#define S 1000000000ull

static struct throttle *throttle;
static uint32_t wait_s;

static void
setup(void)
{
	static const uint8_t key[32] = {1, 2, 3};

	throttle = throttle_new(key);
}

static void
teardown(void)
{
	throttle_free(throttle);
}

static enum throttle_verdict
check_beside(uint32_t running, const char *user, const char *password,
    const char *source, uint64_t ns)
{
	return throttle_check(throttle, str_from(user), running, str_from(password),
	    str_from(source), (monotime_t){ns}, &wait_s);
}

static enum throttle_verdict
check(const char *user, const char *password, const char *source, uint64_t ns)
{
	return check_beside(0, user, password, source, ns);
}

static void
wrong(const char *user, const char *password, const char *source, uint64_t ns)
{
	throttle_failed(throttle, str_from(user), str_from(password), str_from(source),
	    (monotime_t){ns});
}

START_TEST(wrong_password_is_known_for_a_while)
{
	ck_assert_int_eq(check("a", "x", "1.1.1.1", 10 * S), THROTTLE_GO);
	wrong("a", "x", "1.1.1.1", 10 * S);
	ck_assert_int_eq(check("a", "x", "1.1.1.1", 11 * S), THROTTLE_KNOWN_WRONG);
	ck_assert_int_eq(check("a", "x", "2.2.2.2", 11 * S), THROTTLE_KNOWN_WRONG);
	ck_assert_int_eq(check("a", "y", "1.1.1.1", 11 * S), THROTTLE_GO);
	ck_assert_int_eq(check("b", "x", "1.1.1.1", 11 * S), THROTTLE_GO);
	/* It may have become right meanwhile. */
	ck_assert_int_eq(check("a", "x", "1.1.1.1", 3600 * S), THROTTLE_GO);
}
END_TEST

START_TEST(account_is_never_brought_to_the_directory_s_own_limit)
{
	char password[16];
	uint64_t now = 10 * S;
	unsigned failures = 0;

	throttle_limit(throttle, 3, 600);
	for (unsigned i = 0; i < 1200; i++, now += S) {
		(void)snprintf(password, sizeof(password), "p%u", i);
		if (check("a", password, "1.1.1.1", now) != THROTTLE_GO)
			continue;
		wrong("a", password, "1.1.1.1", now);
		failures++;
		if (i < 600)
			ck_assert_uint_le(failures, 2);
	}
	ck_assert_uint_eq(failures, 3); /* the third once the window was over */
	ck_assert_int_eq(check("b", "x", "2.2.2.2", now), THROTTLE_GO);
}
END_TEST

START_TEST(another_spelling_is_no_other_user)
{
	static const char *const spellings[] = {"alice", "Alice", "ALICE", " aLice "};
	unsigned failures = 0;

	throttle_limit(throttle, 3, 600);
	for (size_t i = 0; i < ARRAY_LEN(spellings); i++) {
		char password[16];

		(void)snprintf(password, sizeof(password), "p%zu", i);
		if (check(spellings[i], password, "1.1.1.1", 10 * S) != THROTTLE_GO)
			continue;
		wrong(spellings[i], password, "1.1.1.1", 10 * S);
		failures++;
	}
	ck_assert_uint_eq(failures, 2);
	ck_assert_int_eq(check("alice1", "x", "1.1.1.1", 10 * S), THROTTLE_GO);
	throttle_succeeded(throttle, STR("AlicE"), STR("1.1.1.1"));
	ck_assert_int_eq(check("alice", "p0", "1.1.1.1", 10 * S), THROTTLE_KNOWN_WRONG);
	ck_assert_int_eq(check("Alice", "P0", "1.1.1.1", 10 * S), THROTTLE_GO);
}
END_TEST

START_TEST(attempts_that_run_count_as_failures_until_they_told)
{
	ck_assert_int_eq(check_beside(100, "a", "x", "1.1.1.1", 10 * S), THROTTLE_GO);
	throttle_limit(throttle, 4, 600);
	ck_assert_int_eq(check_beside(2, "a", "x", "1.1.1.1", 10 * S), THROTTLE_GO);
	ck_assert_int_eq(check_beside(3, "a", "x", "1.1.1.1", 10 * S), THROTTLE_WAIT);
	ck_assert_uint_eq(wait_s, 1);
	wrong("a", "y", "1.1.1.1", 10 * S);
	ck_assert_int_eq(check_beside(1, "a", "x", "1.1.1.1", 10 * S), THROTTLE_GO);
	ck_assert_int_eq(check_beside(2, "a", "x", "1.1.1.1", 10 * S), THROTTLE_WAIT);
	ck_assert_uint_eq(wait_s, 1);
	wrong("a", "z", "1.1.1.1", 20 * S);
	wrong("a", "w", "1.1.1.1", 20 * S);
	ck_assert_int_eq(check_beside(0, "a", "x", "1.1.1.1", 30 * S), THROTTLE_WAIT);
	ck_assert_uint_eq(wait_s, 590);
	ck_assert_int_eq(check_beside(2, "a", "x", "1.1.1.1", 630 * S), THROTTLE_GO);
	ck_assert_int_eq(check_beside(3, "a", "x", "1.1.1.1", 630 * S), THROTTLE_WAIT);
	ck_assert_uint_eq(wait_s, 1);
	ck_assert_uint_eq(
	    throttle_user(throttle, STR("Bob")), throttle_user(throttle, STR("bob")));
	ck_assert_uint_ne(
	    throttle_user(throttle, STR("a")), throttle_user(throttle, STR("b")));
}
END_TEST

START_TEST(ipv6_network_is_one_source)
{
	char user[16];

	for (unsigned i = 0; i < 25; i++) {
		char source[32];

		(void)snprintf(user, sizeof(user), "u%u", i);
		(void)snprintf(source, sizeof(source), "2001:db8:0:1::%x", i + 1);
		if (check(user, "x", source, 10 * S) == THROTTLE_GO)
			wrong(user, "x", source, 10 * S);
	}
	ck_assert_int_eq(
	    check("other", "x", "2001:db8:0:1:ffff::1", 10 * S), THROTTLE_WAIT);
	ck_assert_int_eq(check("other", "x", "2001:db8:0:2::1", 10 * S), THROTTLE_GO);
}
END_TEST

START_TEST(parts_are_not_run_together)
{
	wrong("ab", "c", "1.1.1.1", 10 * S);
	ck_assert_int_eq(check("a", "bc", "1.1.1.1", 11 * S), THROTTLE_GO);
}
END_TEST

START_TEST(guesses_wait_longer_and_longer)
{
	uint64_t now = 10 * S;
	uint32_t before = 0;
	unsigned waits = 0;
	char password[16];

	for (int i = 0; i < 15; i++) {
		enum throttle_verdict v;

		(void)snprintf(password, sizeof(password), "guess-%d", i);
		v = check("a", password, "1.1.1.1", now);
		if (v == THROTTLE_WAIT) {
			waits++;
			ck_assert_uint_ge(wait_s, 1);
			ck_assert_uint_ge(wait_s, before);
			ck_assert_uint_le(wait_s, 300);
			before = wait_s;
			now += wait_s * S;
			v = check("a", password, "1.1.1.1", now);
		}
		ck_assert_int_eq(v, THROTTLE_GO);
		wrong("a", password, "1.1.1.1", now);
		ck_assert(i > 3 || waits == 0); /* a few are free */
	}
	ck_assert_uint_ge(waits, 8);
	ck_assert_int_eq(check("b", "p", "9.9.9.9", now), THROTTLE_GO);
}
END_TEST

START_TEST(success_clears_the_user)
{
	char password[16];

	for (int i = 0; i < 8; i++) {
		(void)snprintf(password, sizeof(password), "guess-%d", i);
		wrong("a", password, "1.1.1.1", 10 * S);
	}
	ck_assert_int_eq(check("a", "p", "1.1.1.1", 10 * S), THROTTLE_WAIT);
	throttle_succeeded(throttle, STR("a"), STR("1.1.1.1"));
	ck_assert_int_eq(check("a", "p", "1.1.1.1", 10 * S), THROTTLE_GO);
}
END_TEST

START_TEST(one_source_cannot_try_many_users)
{
	char user[16];
	bool waited = false;

	for (int i = 0; i < 60 && !waited; i++) {
		(void)snprintf(user, sizeof(user), "user-%d", i);
		waited = check(user, "summer", "1.1.1.1", 10 * S) == THROTTLE_WAIT;
		wrong(user, "summer", "1.1.1.1", 10 * S);
	}
	ck_assert(waited);
	ck_assert_int_eq(check("other", "p", "2.2.2.2", 10 * S), THROTTLE_GO);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("throttle");
	TCase *tc = tcase_create("throttle");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, wrong_password_is_known_for_a_while);
	tcase_add_test(tc, account_is_never_brought_to_the_directory_s_own_limit);
	tcase_add_test(tc, another_spelling_is_no_other_user);
	tcase_add_test(tc, attempts_that_run_count_as_failures_until_they_told);
	tcase_add_test(tc, ipv6_network_is_one_source);
	tcase_add_test(tc, parts_are_not_run_together);
	tcase_add_test(tc, guesses_wait_longer_and_longer);
	tcase_add_test(tc, success_clears_the_user);
	tcase_add_test(tc, one_source_cannot_try_many_users);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
