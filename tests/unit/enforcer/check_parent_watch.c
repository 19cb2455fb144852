/*
 * Which roles the parent ends because they hang, and tries again because they cannot start.
 */
#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "enforcer/parent/parent_state.h"

#define TURNS  6  /* that may pass without an answer */
#define ENOUGH 60 /* answers in a row */

static struct parent *parent;
static struct supervised *role;
static struct proc_channel other; /* the role's end */

static void
start(void)
{
	role->child.pid = fork();
	if (role->child.pid == 0) { /* an assertion would write to the parent's file */
		for (;;)
			(void)pause();
	}
	ck_assert_int_ge(role->child.pid, 0);
	role->silent = 0;
}

static void
setup(void)
{
	int fds[2];

	parent = xcalloc(1, sizeof(*parent));
	for (size_t i = 0; i < ROLE_SLOTS; i++) {
		parent->roles[i].parent = parent;
		parent->roles[i].id = (enum role_id)i;
		parent->roles[i].child = PROC_CHILD_INIT;
	}
	role = &parent->roles[ROLE_AUDIT];
	ck_assert_int_eq(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
	    0);
	start();
	proc_channel_init(&role->child.channel, fds[0]);
	proc_channel_init(&other, fds[1]);
	role->ready = role->answers = true;
}

static void
teardown(void)
{
	if (role->child.pid != 0) {
		(void)kill(role->child.pid, SIGKILL);
		(void)waitpid(role->child.pid, NULL, 0);
	}
	proc_channel_close(&role->child.channel);
	proc_channel_close(&other);
	free(parent);
}

/* How often the role was asked, since this was called last. */
static unsigned
asked(void)
{
	struct err err = ERR_INIT;
	struct proc_msg msg;
	unsigned count = 0;

	while (proc_recv(&other, &msg, &err) == 1) {
		ck_assert_uint_eq(msg.type, MSG_PING);
		count++;
	}
	return count;
}

static void
turn(unsigned times)
{
	for (unsigned i = 0; i < times; i++)
		parent_watch_roles(parent);
}

START_TEST(role_that_does_not_answer_is_ended)
{
	int status;

	turn(TURNS);
	ck_assert_uint_eq(asked(), TURNS);
	ck_assert_int_eq(waitpid(role->child.pid, &status, WNOHANG), 0);
	turn(1);
	ck_assert_uint_eq(asked(), 0);
	ck_assert_int_eq(waitpid(role->child.pid, &status, 0), role->child.pid);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	role->child.pid = 0; /* as when its end is seen */
	turn(1);
}
END_TEST

START_TEST(role_that_has_not_begun_is_not_asked)
{
	role->answers = false;
	turn(2 * TURNS);
	ck_assert_uint_eq(asked(), 0);
	ck_assert_int_eq(waitpid(role->child.pid, NULL, WNOHANG), 0);
}
END_TEST

/* As when one has ended and the next is there. */
static void
restart(void)
{
	ck_assert_int_eq(waitpid(role->child.pid, NULL, 0), role->child.pid);
	start();
}

static void
answer(unsigned turns)
{
	for (unsigned i = 0; i < turns; i++) {
		turn(1);
		role->silent = 0; /* as MSG_PONG does */
	}
}

static void
ck_is_ended_after(unsigned turns)
{
	(void)asked();
	turn(turns);
	ck_assert_uint_eq(asked(), turns);
	turn(1);
	ck_assert_uint_eq(asked(), 0);
	restart();
}

/* What takes so long would never be done. */
START_TEST(role_that_was_ended_has_twice_the_time_until_it_answers_for_long)
{
	static const unsigned times[] = {1, 2, 4, 8, 16, 16};

	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		answer(1);
		ck_is_ended_after(times[i] * TURNS);
	}
	answer(ENOUGH - 2); /* and the turn after the last */
	ck_is_ended_after(16 * TURNS);
	answer(ENOUGH - 1);
	ck_is_ended_after(TURNS);
}
END_TEST

/* There is no descriptor to be had: for good before all was ready (_i 0), or for now. */
START_TEST(role_that_cannot_be_started_is_tried_again)
{
	struct supervised *engine = &parent->roles[ROLE_ENGINE];
	struct rlimit had, none;

	parent->told_ready = _i != 0;
	ck_assert_int_eq(uv_loop_init(&parent->loop), 0);
	ck_assert_int_eq(uv_timer_init(&parent->loop, &engine->restart), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &had), 0);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = had.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	parent_start_role(parent, ROLE_ENGINE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &had), 0);
	ck_assert_int_eq(engine->child.pid, 0);
	ck_assert_int_eq(parent->status, _i == 0);
	ck_assert_int_eq(uv_is_active((uv_handle_t *)&engine->restart), _i != 0);
	uv_close((uv_handle_t *)&engine->restart, NULL);
	while (uv_run(&parent->loop, UV_RUN_DEFAULT) != 0)
		continue; /* it may have been stopped */
	ck_assert_int_eq(uv_loop_close(&parent->loop), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("parent_watch");
	TCase *tc = tcase_create("parent_watch");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, role_that_does_not_answer_is_ended);
	tcase_add_test(tc, role_that_has_not_begun_is_not_asked);
	tcase_add_test(
	    tc, role_that_was_ended_has_twice_the_time_until_it_answers_for_long);
	tcase_add_loop_test(tc, role_that_cannot_be_started_is_tried_again, 0, 2);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
