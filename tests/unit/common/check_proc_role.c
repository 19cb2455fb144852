/*
 * common/proc: roles. Those of this program are started as those of a daemon are:
 * proc_main comes first in main.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/proc.h"

#define WAIT_MS 20000 /* for what happens at once unless it is broken */
#define NOBODY  65534

static unsigned
count_fds(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			count++;
	return count;
}

static void
reply(struct proc_channel *channel, uint32_t type, const struct buf *body)
{
	struct proc_msg msg = {.type = type};

	if (body != NULL) {
		msg.data = (const uint8_t *)body->data;
		msg.len = body->len;
	}
	if (proc_send(channel, &msg, NULL) != 0)
		_exit(99);
}

/* Waits for the parent to close. */
static int
until_end(struct proc_channel *channel)
{
	struct proc_msg msg;

	while (proc_recv(channel, &msg, NULL) >= 0)
		(void)poll(
		    &(struct pollfd){.fd = channel->fd, .events = POLLIN}, 1, WAIT_MS);
	return 3;
}

/* Says everything about itself that it inherited. */
static int
run_report(struct proc_channel *channel, const int *fds, size_t fd_count)
{
	struct buf b = {0};
	char name[32] = "";
	sigset_t mask;
	unsigned odd_signals = 0;
	int death = 0;

	(void)prctl(PR_GET_NAME, name);
	(void)prctl(PR_GET_PDEATHSIG, &death);
	(void)sigprocmask(SIG_SETMASK, NULL, &mask);
	for (int sig = 1; sig < 32; sig++) {
		struct sigaction sa = {0};

		if (sig == SIGPIPE)
			continue;
			/* The sanitizer's own handlers are none that we left. */
#ifdef RINGFENCE_SANITIZED
		if (sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE)
			continue;
#endif
		if (sigismember(&mask, sig) == 1 ||
		    (sigaction(sig, NULL, &sa) == 0 && sa.sa_handler != SIG_DFL))
			odd_signals++;
	}
	proc_put_str(&b, str_from(name));
	proc_put_u32(&b, (uint32_t)death);
	proc_put_u32(&b, odd_signals);
	proc_put_u32(&b, (uint32_t)channel->fd);
	proc_put_u32(&b, (uint32_t)fd_count);
	for (size_t i = 0; i < fd_count; i++) {
		char c = '?';

		if (pread(fds[i], &c, 1, 0) != 1)
			c = '!';
		proc_put_u32(&b, (uint32_t)fds[i]);
		proc_put_u8(&b, (uint8_t)c);
	}
	for (int fd = 3; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			proc_put_u32(
			    &b, (uint32_t)fd | (uint32_t)fcntl(fd, F_GETFD) << 16);
	reply(channel, 1, &b);
	buf_free(&b);
	return until_end(channel);
}

static int
run_exit(struct proc_channel *channel, const int *fds, size_t fd_count)
{
	(void)channel;
	(void)fds;
	(void)fd_count;
	return 42;
}

static int
run_patient(struct proc_channel *channel, const int *fds, size_t fd_count)
{
	(void)fds;
	(void)fd_count;
	reply(channel, 1, NULL);
	return until_end(channel);
}

static int
run_stubborn(struct proc_channel *channel, const int *fds, size_t fd_count)
{
	(void)fds;
	(void)fd_count;
	(void)signal(SIGTERM, SIG_IGN);
	reply(channel, 1, NULL);
	while (true)
		pause();
	return 0;
}

/* Becomes another user, as a daemon's role does, and waits. Its descriptor is a pipe
 * that its death closes. */
static int
run_confined(struct proc_channel *channel, const int *fds, size_t fd_count)
{
	struct proc_sandbox sandbox = {.uid = NOBODY,
	    .gid = NOBODY,
	    .empty_root = true,
	    .syscalls = proc_syscalls_basic};
	const int more[] = {SCMP_SYS(pause), -1};

	(void)fds;
	(void)fd_count;
	sandbox.more_syscalls = more;
	if (proc_confine(&sandbox, NULL) != 0)
		return 98;
	reply(channel, 1, NULL);
	for (;;)
		pause(); /* not even the end of the channel is noticed */
}

/* Ends by itself while confined: what runs at exit must not break on it. */
static int
run_confined_exit(struct proc_channel *channel, const int *fds, size_t fd_count)
{
	struct proc_sandbox sandbox = {.uid = NOBODY,
	    .gid = NOBODY,
	    .empty_root = true,
	    .syscalls = proc_syscalls_basic};

	(void)fds;
	(void)fd_count;
	if (proc_confine(&sandbox, NULL) != 0)
		return 98;
	reply(channel, 1, NULL);
	return 42;
}

/* A parent that dies: starts a confined role with the pipe and waits to be killed. */
static int run_middle(struct proc_channel *channel, const int *fds, size_t fd_count);

static const struct proc_role roles[] = {
    {"report-with-a-long-name", run_report},
    {"exit", run_exit},
    {"patient", run_patient},
    {"stubborn", run_stubborn},
    {"confined", run_confined},
    {"confined-exit", run_confined_exit},
    {"middle", run_middle},
    {NULL, NULL},
};

enum {
	ROLE_REPORT,
	ROLE_EXIT,
	ROLE_PATIENT,
	ROLE_STUBBORN,
	ROLE_CONFINED,
	ROLE_CONFINED_EXIT,
	ROLE_MIDDLE
};

static int
run_middle(struct proc_channel *channel, const int *fds, size_t fd_count)
{
	struct proc_child child;
	struct proc_msg msg;

	(void)fd_count;
	if (proc_spawn(&child, &roles[ROLE_CONFINED], fds, 1, false, NULL) != 0 ||
	    proc_recv(&child.channel, &msg, NULL) != 1)
		return 97;
	(void)close(fds[0]); /* the grandchild alone holds it now */
	reply(channel, 1, NULL);
	for (;;)
		pause();
}

static bool
readable_within(int fd, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, timeout_ms) == 1;
}

static void
expect_message(struct proc_channel *channel, struct proc_msg *out)
{
	struct err err = ERR_INIT;

	ck_assert(readable_within(channel->fd, WAIT_MS));
	ck_assert_msg(proc_recv(channel, out, &err) == 1, "%s", err.msg);
}

START_TEST(proc_spawn_gives_the_role_its_descriptors_and_nothing_else)
{
	struct err err = ERR_INIT;
	struct proc_child child;
	struct proc_msg msg;
	struct proc_reader r;
	sigset_t block;
	int fds[5];

	/* What a daemon may have around: open files, blocked and ignored signals. */
	for (size_t i = 0; i < 5; i++) {
		char c = (char)('a' + i);

		int fd = memfd_create("x", MFD_CLOEXEC);

		/* Far up, so that they are not overwritten by chance, and not all of them
		 * closed by the exec. */
		fds[i] = fcntl(fd, i % 2 == 0 ? F_DUPFD_CLOEXEC : F_DUPFD, 100);
		close(fd);
		ck_assert_int_eq(write(fds[i], &c, 1), 1);
	}
	sigemptyset(&block);
	sigaddset(&block, SIGTERM);
	sigaddset(&block, SIGUSR1);
	ck_assert_int_eq(sigprocmask(SIG_BLOCK, &block, NULL), 0);
	(void)signal(SIGHUP, SIG_IGN);

	/* In an order in which each would overwrite the next. */
	ck_assert_msg(proc_spawn(&child, &roles[ROLE_REPORT],
			  (int[]){fds[4], fds[1], fds[1], fds[0]}, 4, true, &err) == 0,
	    "%s", err.msg);
	expect_message(&child.channel, &msg);
	proc_reader_init(&r, &msg);
	ck_assert(
	    str_is(proc_get_str(&r), "report-with-a-l")); /* the kernel's 15 bytes */
	ck_assert_uint_eq(proc_get_u32(&r), SIGKILL);
	ck_assert_uint_eq(proc_get_u32(&r), 0); /* signals that are not as new */
	ck_assert_uint_eq(proc_get_u32(&r), 3);
	ck_assert_uint_eq(proc_get_u32(&r), 4);
	for (uint32_t i = 0; i < 4; i++) {
		ck_assert_uint_eq(proc_get_u32(&r), 4 + i);
		ck_assert_int_eq(proc_get_u8(&r), "ebba"[i]);
	}
	for (uint32_t fd = 3; fd < 8; fd++)
		ck_assert_uint_eq(proc_get_u32(&r), fd | FD_CLOEXEC << 16);
	ck_assert(proc_reader_done(&r));
	ck_assert_int_eq(proc_stop(&child, WAIT_MS), 128 + SIGTERM);
	for (size_t i = 0; i < 5; i++)
		close(fds[i]);
}
END_TEST

START_TEST(proc_spawn_leaves_nothing_open)
{
	struct err err = ERR_INIT;
	struct proc_child child;
	unsigned before = count_fds();

	ck_assert_int_eq(
	    proc_spawn(&child, &roles[ROLE_EXIT], NULL, 0, false, &err), 0);
	ck_assert_uint_eq(count_fds(), before + 2); /* the channel and the pidfd */
	ck_assert(readable_within(child.pidfd, WAIT_MS));
	ck_assert_int_eq(proc_stop(&child, WAIT_MS), 42);
	ck_assert_uint_eq(count_fds(), before);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* no zombie */
	ck_assert_int_eq(errno, ECHILD);
}
END_TEST

START_TEST(proc_stop_returns_the_status_when_it_has_ended)
{
	struct err err = ERR_INIT;
	struct proc_child child;

	ck_assert_int_eq(
	    proc_spawn(&child, &roles[ROLE_EXIT], NULL, 0, false, &err), 0);
	ck_assert(readable_within(child.pidfd, WAIT_MS));
	ck_assert_int_eq(proc_stop(&child, 0), 42);
	ck_assert_int_eq(child.pid, 0);
	ck_assert_int_eq(child.pidfd, -1);
	ck_assert_int_eq(child.channel.fd, -1);
	ck_assert_int_eq(proc_stop(&child, 0), -1);
}
END_TEST

START_TEST(proc_stop_kills_when_the_role_ignores_sigterm)
{
	struct err err = ERR_INIT;
	struct proc_child child;
	struct proc_msg msg;

	ck_assert_int_eq(
	    proc_spawn(&child, &roles[ROLE_STUBBORN], NULL, 0, false, &err), 0);
	expect_message(&child.channel, &msg);
	ck_assert_int_eq(proc_stop(&child, 50), 128 + SIGKILL);
}
END_TEST

START_TEST(proc_role_sees_the_end_of_its_channel)
{
	struct err err = ERR_INIT;
	struct proc_child child;
	struct proc_msg msg;

	ck_assert_int_eq(
	    proc_spawn(&child, &roles[ROLE_PATIENT], NULL, 0, false, &err), 0);
	expect_message(&child.channel, &msg);
	proc_channel_close(&child.channel);
	ck_assert(readable_within(child.pidfd, WAIT_MS));
	ck_assert_int_eq(proc_stop(&child, 0), 3);
}
END_TEST

START_TEST(proc_spawn_fails_when_a_descriptor_is_bad)
{
	struct err err = ERR_INIT;
	struct proc_child child;
	int many[PROC_MAX_ROLE_FDS + 1] = {0};
	unsigned before = count_fds();

	ck_assert_int_eq(
	    proc_spawn(&child, &roles[ROLE_EXIT], (int[]){999}, 1, false, &err),
	    ERR_SYSTEM);
	ck_assert_int_eq(err.sys, EBADF);
	ck_assert_int_eq(child.pid, 0);
	ck_assert_int_eq(
	    proc_spawn(&child, &roles[ROLE_EXIT], many, ARRAY_LEN(many), false, &err),
	    ERR_LIMIT);
	ck_assert_uint_eq(count_fds(), before);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
}
END_TEST

START_TEST(proc_role_ends_in_order_when_confined)
{
	struct err err = ERR_INIT;
	struct proc_child child;
	struct proc_msg msg;

	ck_assert_int_eq(
	    proc_spawn(&child, &roles[ROLE_CONFINED_EXIT], NULL, 0, false, &err), 0);
	expect_message(&child.channel, &msg);
	ck_assert(readable_within(child.pidfd, WAIT_MS));
	ck_assert_int_eq(proc_stop(&child, 0), 42);
}
END_TEST

/* The grandchild holds the writing end of a pipe; its end is the end of the pipe. */
START_TEST(proc_role_ends_with_its_parent_even_as_another_user)
{
	struct err err = ERR_INIT;
	struct proc_child middle;
	struct proc_msg msg;
	int pipe_fds[2];
	char c;

	ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
	ck_assert_int_eq(
	    proc_spawn(&middle, &roles[ROLE_MIDDLE], &pipe_fds[1], 1, false, &err), 0);
	close(pipe_fds[1]);
	expect_message(&middle.channel, &msg);
	ck_assert_msg(
	    !readable_within(pipe_fds[0], 0), "the grandchild is gone too early");
	ck_assert_int_eq(pidfd_send_signal(middle.pidfd, SIGKILL, NULL, 0), 0);
	ck_assert_int_eq(proc_stop(&middle, WAIT_MS), 128 + SIGKILL);
	ck_assert_msg(readable_within(pipe_fds[0], WAIT_MS), "the grandchild lives on");
	ck_assert_int_eq(read(pipe_fds[0], &c, 1), 0);
	close(pipe_fds[0]);
}
END_TEST

/* Runs this program with arguments, its standard error closed; the exit status. */
static int
run_self(const char *arg1, const char *arg2)
{
	char *argv[] = {strdup("check_proc"), strdup(arg1),
	    arg2 != NULL ? strdup(arg2) : NULL, NULL};
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		close(STDERR_FILENO);
		execv("/proc/self/exe", argv);
		_exit(96);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	for (size_t i = 0; i < 3; i++)
		free(argv[i]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

START_TEST(proc_main_refuses_when_not_started_by_a_parent)
{
	ck_assert_int_eq(run_self("--role=nosuch", "--fds=0"), 2);
	ck_assert_int_eq(run_self("--role=exit", NULL), 2);
	ck_assert_int_eq(run_self("--role=exit", "--fds=x"), 2);
	ck_assert_int_eq(run_self("--role=exit", "--fds=65"), 2);
	ck_assert_int_eq(run_self("--role=exit", "--fds=0"), 2); /* 3 is no channel */
	ck_assert_int_eq(run_self("--role=", "--fds=0"), 2);
}
END_TEST

static TCase *
roles_case(void)
{
	TCase *tc = tcase_create("roles");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, proc_spawn_gives_the_role_its_descriptors_and_nothing_else);
	tcase_add_test(tc, proc_spawn_leaves_nothing_open);
	tcase_add_test(tc, proc_stop_returns_the_status_when_it_has_ended);
	tcase_add_test(tc, proc_stop_kills_when_the_role_ignores_sigterm);
	tcase_add_test(tc, proc_role_sees_the_end_of_its_channel);
	tcase_add_test(tc, proc_spawn_fails_when_a_descriptor_is_bad);
	tcase_add_test(tc, proc_role_ends_in_order_when_confined);
	tcase_add_test(tc, proc_role_ends_with_its_parent_even_as_another_user);
	tcase_add_test(tc, proc_main_refuses_when_not_started_by_a_parent);
	return tc;
}

int
main(int argc, char **argv)
{
	Suite *suite = suite_create("proc_role");
	SRunner *runner;
	int failed;

	proc_main(argc, argv, roles);
	suite_add_tcase(suite, roles_case());
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
