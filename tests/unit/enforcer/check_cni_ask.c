/*
 * Asking a daemon that takes its time.
 */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "enforcer/cni/ask.h"

#define PATIENCE_MS 60000 /* longer than the test */
#define FILL_MOST   16
#define DEAF_TICKS  3

static int listener;
static volatile sig_atomic_t ticks;
static int answered[FILL_MOST];
static size_t answered_count;

/* A daemon that is deaf at first, then answers everybody. */
static void
on_tick(int number)
{
	static const char answer[] = "{\"ok\": true}";
	const int error = errno;
	int fd;

	(void)number;
	if (++ticks > DEAF_TICKS) {
		while (answered_count < FILL_MOST &&
		       (fd = accept(listener, NULL, NULL)) >= 0) {
			(void)!write(
			    fd, answer, sizeof(answer) - 1); /* some are gone */
			(void)shutdown(fd, SHUT_WR);
			answered[answered_count++] = fd;
		}
	}
	errno = error;
}

START_TEST(signals_do_not_end_waiting_for_the_daemon)
{
	const struct itimerval often = {{0, 5000}, {0, 5000}}, never = {{0, 0}, {0, 0}};
	const struct sigaction tick = {.sa_handler = on_tick};
	const struct cni_patience patience = cni_patience_of(PATIENCE_MS);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char why[CNI_TEXT_BYTES] = "";
	int waiting[FILL_MOST];
	size_t count = 0;
	json_t *answer;

	(void)snprintf(address.sun_path, sizeof(address.sun_path),
	    "/tmp/check_cni_ask-%d.sock", (int)getpid());
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(
	    bind(listener, (const struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(listener, 0), 0);
	do { /* until there is no room for another */
		ck_assert_uint_lt(count, FILL_MOST);
		waiting[count] =
		    socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		ck_assert_int_ge(waiting[count], 0);
	} while (connect(waiting[count++], (const struct sockaddr *)&address,
		     sizeof(address)) == 0);
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_eq(sigaction(SIGALRM, &tick, NULL), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
	answer = cni_ask(address.sun_path, &patience, STR("status"), why);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
	(void)unlink(address.sun_path);
	ck_assert_msg(answer != NULL, "%s", why);
	json_decref(answer);
	while (count > 0)
		(void)close(waiting[--count]);
	while (answered_count > 0)
		(void)close(answered[--answered_count]);
	(void)close(listener);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("cni_ask");
	TCase *tc = tcase_create("cni_ask");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, signals_do_not_end_waiting_for_the_daemon);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
