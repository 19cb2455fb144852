/*
 * common/proc: confinement, each in a child of its own. What needs root is left out
 * without it, and the filter with sanitizers; both say so.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/proc.h"

#define NOBODY 65534

/* Runs `body` in a child; its exit status, or 128 + signal. */
static int
in_child(int (*body)(void))
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(body());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* In children: the line where it failed, as an exit status. */
#define REQUIRE(cond)                                                                  \
	do {                                                                           \
		if (!(cond)) {                                                         \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);     \
			return 1;                                                      \
		}                                                                      \
	} while (0)

struct caps {
	uint64_t effective, permitted, inheritable;
};

static struct caps
caps_now(void)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2] = {0};

	(void)syscall(SYS_capget, &header, d);
	return (struct caps){d[0].effective | (uint64_t)d[1].effective << 32,
	    d[0].permitted | (uint64_t)d[1].permitted << 32,
	    d[0].inheritable | (uint64_t)d[1].inheritable << 32};
}

static bool
bounding_set_empty(void)
{
	int value;

	for (int cap = 0; (value = prctl(PR_CAPBSET_READ, cap)) >= 0; cap++)
		if (value != 0)
			return false;
	return true;
}

static int
body_user_and_caps(void)
{
	struct proc_sandbox sandbox = {.uid = NOBODY,
	    .gid = NOBODY,
	    .keep_caps = 1ull << CAP_NET_ADMIN,
	    .empty_root = true,
	    .max_files = 64};
	struct err err = ERR_INIT;
	uid_t r, e, s;
	gid_t rg, eg, sg;
	struct rlimit limit;
	struct caps caps;
	struct stat st;

	REQUIRE(setgroups(2, (gid_t[]){7, 8}) == 0 && getgroups(0, NULL) == 2);
	REQUIRE(proc_confine(&sandbox, &err) == 0);
	REQUIRE(
	    getresuid(&r, &e, &s) == 0 && r == NOBODY && e == NOBODY && s == NOBODY);
	REQUIRE(getresgid(&rg, &eg, &sg) == 0 && rg == NOBODY && eg == NOBODY &&
		sg == NOBODY);
	REQUIRE(getgroups(0, NULL) == 0);
	caps = caps_now();
	REQUIRE(caps.effective == 1ull << CAP_NET_ADMIN);
	REQUIRE(caps.permitted == 1ull << CAP_NET_ADMIN);
	REQUIRE(caps.inheritable == 0);
	REQUIRE(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_NET_ADMIN, 0, 0) == 0);
	REQUIRE(bounding_set_empty());
	REQUIRE(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	REQUIRE(prctl(PR_GET_DUMPABLE) == 0);
	REQUIRE(getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0);
	REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur == 64 &&
		limit.rlim_max == 64);
	/* The empty root: nothing is there, nothing can be made, no way out. */
	REQUIRE(open("/etc/passwd", O_RDONLY) == -1);
	REQUIRE(open("/", O_RDONLY | O_DIRECTORY) == -1);
	REQUIRE(open("/x", O_WRONLY | O_CREAT, 0600) == -1);
	REQUIRE(mkdir("/x", 0700) == -1);
	REQUIRE(chdir("..") == -1 || stat("etc", &st) == -1);
	/* No way back. */
	REQUIRE(setuid(0) == -1 && seteuid(0) == -1 && setresuid(0, 0, 0) == -1);
	REQUIRE(setgid(0) == -1 && setgroups(0, NULL) == -1);
	REQUIRE(chroot("/") == -1);
	REQUIRE(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0) == -1);
	return 0;
}

static int
body_give_up(void)
{
	const uint64_t bit = 1ull << CAP_NET_BIND_SERVICE;
	const struct caps before = caps_now();
	struct err err = ERR_INIT;
	struct caps after;

	REQUIRE((before.effective & bit) != 0);
	REQUIRE(prctl(PR_CAPBSET_READ, CAP_NET_BIND_SERVICE) == 1);
	REQUIRE(proc_give_up(CAP_NET_BIND_SERVICE, &err) == 0);
	after = caps_now();
	REQUIRE(after.effective == (before.effective & ~bit));
	REQUIRE(after.permitted == (before.permitted & ~bit));
	REQUIRE(after.inheritable == (before.inheritable & ~bit));
	REQUIRE(prctl(PR_CAPBSET_READ, CAP_NET_BIND_SERVICE) == 0);
	REQUIRE(prctl(PR_CAPBSET_READ, CAP_NET_ADMIN) == 1);
	REQUIRE(proc_give_up(CAP_NET_BIND_SERVICE, &err) == 0); /* it has none */
	REQUIRE(caps_now().permitted == after.permitted);
	return 0;
}

START_TEST(proc_give_up_takes_one_capability_and_no_other)
{
	if (geteuid() != 0)
		return;
	ck_assert_int_eq(in_child(body_give_up), 0);
}
END_TEST

START_TEST(proc_confine_leaves_exactly_what_is_listed_when_root)
{
	if (geteuid() != 0)
		return;
	ck_assert_int_eq(in_child(body_user_and_caps), 0);
}
END_TEST

static int
body_root_stays(void)
{
	struct proc_sandbox sandbox = {.keep_caps = 1ull << CAP_NET_RAW};
	struct caps caps;
	int status;
	pid_t pid;

	REQUIRE(proc_confine(&sandbox, NULL) == 0);
	caps = caps_now();
	REQUIRE(geteuid() == 0);
	REQUIRE(caps.effective == 1ull << CAP_NET_RAW);
	REQUIRE(caps.permitted == 1ull << CAP_NET_RAW);
	REQUIRE(bounding_set_empty());
	/* An exec gives root nothing back: /proc/self/status of the new program. */
	pid = fork();
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c",
		    "grep -q '^CapEff:.0000000000000000$' /proc/self/status", NULL);
		_exit(95);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid);
	REQUIRE(status == 0);
	return 0;
}

START_TEST(proc_confine_drops_capabilities_when_user_stays_root)
{
	if (geteuid() != 0)
		return;
	ck_assert_int_eq(in_child(body_root_stays), 0);
}
END_TEST

static int
body_not_root(void)
{
	struct proc_sandbox sandbox = {
	    .uid = NOBODY, .gid = NOBODY, .empty_root = true, .max_files = 32};
	struct rlimit limit;

	if (geteuid() == 0)
		REQUIRE(setresuid(NOBODY, NOBODY, NOBODY) == 0);
	REQUIRE(proc_confine(&sandbox, NULL) == 0);
	REQUIRE(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	REQUIRE(prctl(PR_GET_DUMPABLE) == 0);
	REQUIRE(caps_now().permitted == 0);
	REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max == 32);
	return 0;
}

START_TEST(proc_confine_does_what_it_can_when_not_root)
{
	ck_assert_int_eq(in_child(body_not_root), 0);
}
END_TEST

static int
body_group_of_root(void)
{
	struct proc_sandbox sandbox = {.uid = NOBODY};
	struct err err = ERR_INIT;

	REQUIRE(proc_confine(&sandbox, &err) == ERR_INVALID);
	REQUIRE(strstr(err.msg, "group of root") != NULL);
	return 0;
}

START_TEST(proc_confine_refuses_a_user_with_the_group_of_root)
{
	if (geteuid() != 0)
		return;
	ck_assert_int_eq(in_child(body_group_of_root), 0);
}
END_TEST

#ifndef RINGFENCE_SANITIZED

static const int no_more[] = {-1};
static struct proc_channel left, right;

static void
open_channels(bool non_blocking)
{
	struct err err = ERR_INIT;
	int fds[2];

	ck_assert_int_eq(proc_pair(fds, non_blocking, &err), 0);
	proc_channel_init(&left, fds[0]);
	proc_channel_init(&right, fds[1]);
}

static void
close_channels(void)
{
	proc_channel_close(&left);
	proc_channel_close(&right);
}

static void
filter(const int *more)
{
	struct proc_sandbox sandbox = {
	    .syscalls = proc_syscalls_basic, .more_syscalls = more};
	struct err err = ERR_INIT;

	if (proc_confine(&sandbox, &err) != 0) {
		fprintf(stderr, "%s\n", err.msg);
		_exit(94);
	}
}

static void *
thread_body(void *arg)
{
	char *p = malloc(200000);

	*(int *)arg = p != NULL ? 7 : 0;
	free(p);
	return NULL;
}

static int
compare_ints(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* What a role does all day. */
static int
body_filter_allows(void)
{
	static int many[5000]; /* beyond what qsort(3) does on the stack */
	struct proc_msg msg = {.type = 1}, got;
	pthread_t thread;
	int on = 1, seen = 0;
	struct stat st;
	FILE *f;

	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = (int)(i * 7919 % 5003);
	open_channels(false);
	filter(no_more);
	REQUIRE(
	    proc_send(&left, &msg, NULL) == 0 && proc_recv(&right, &got, NULL) == 1);
	REQUIRE(ioctl(left.fd, FIONBIO, &on) == 0);
	REQUIRE(fstat(left.fd, &st) == 0);
	qsort(many, ARRAY_LEN(many), sizeof(many[0]), compare_ints);
	REQUIRE(many[0] <= many[1]);
	REQUIRE(pthread_create(&thread, NULL, thread_body, &seen) == 0);
	REQUIRE(pthread_join(thread, NULL) == 0 && seen == 7);
	f = fdopen(dup(STDOUT_FILENO), "w"); /* stdio looks at what it writes to */
	REQUIRE(f != NULL && fprintf(f, "%s", "") == 0 && fclose(f) == 0);
	close_channels();
	return 0;
}

START_TEST(proc_confine_filter_allows_what_roles_need)
{
	ck_assert_int_eq(in_child(body_filter_allows), 0);
}
END_TEST

struct forbidden {
	const char *what;
	long number;
	long args[6];
};

static char page[8192] __attribute__((aligned(4096)));

static const struct forbidden forbidden[] = {
    {"open a file", SYS_openat, {AT_FDCWD, (long)"/etc/passwd", O_RDONLY}},
    {"make a socket", SYS_socket, {AF_INET, SOCK_STREAM}},
    {"execute", SYS_execve, {(long)"/bin/true"}},
    {"fork", SYS_clone, {SIGCHLD}},
    {"leave for another namespace", SYS_unshare, {CLONE_NEWUSER}},
    {"map executable memory", SYS_mmap,
	{0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1}},
    {"make memory executable", SYS_mprotect, {(long)page, 4096, PROT_READ | PROT_EXEC}},
    {"signal another process", SYS_tgkill, {1, 1}},
    {"signal by kill(2)", SYS_kill, {1}},
    {"type into the terminal", SYS_ioctl, {STDIN_FILENO, TIOCSTI, (long)"x"}},
    {"become dumpable", SYS_prctl, {PR_SET_DUMPABLE, 1}},
    {"set a limit", SYS_prlimit64, {0, RLIMIT_NOFILE, (long)page}},
    {"read the limit of another", SYS_prlimit64, {1, RLIMIT_NOFILE, 0, (long)page}},
    {"look at a path", SYS_newfstatat, {AT_FDCWD, (long)"/etc/passwd", (long)page}},
    {"trace", SYS_ptrace, {0}},
};

static const struct forbidden *forbidden_now;

static int
body_forbidden(void)
{
	const long *a = forbidden_now->args;

	filter(no_more);
	(void)syscall(forbidden_now->number, a[0], a[1], a[2], a[3], a[4], a[5]);
	return 0;
}

START_TEST(proc_confine_filter_kills_when_call_is_not_listed)
{
	forbidden_now = &forbidden[_i];
	ck_assert_msg(
	    in_child(body_forbidden) == 128 + SIGSYS, "%s", forbidden_now->what);
}
END_TEST

/* clone3 cannot be judged by its flags: libc must find it missing, not deadly. */
static int
body_clone3(void)
{
	filter(no_more);
	return syscall(SYS_clone3, NULL, 0) == -1 && errno == ENOSYS ? 0 : 1;
}

START_TEST(proc_confine_filter_says_that_there_is_no_clone3)
{
	ck_assert_int_eq(in_child(body_clone3), 0);
}
END_TEST

static int
body_more(void)
{
	static const int more[] = {SCMP_SYS(openat), SCMP_SYS(mmap), -1};
	void *p;

	filter(more);
	REQUIRE(open("/etc/passwd", O_RDONLY) >= 0);
	/* Naming a call lifts its condition. */
	p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(p != MAP_FAILED);
	return 0;
}

START_TEST(proc_confine_filter_allows_the_roles_own_calls)
{
	ck_assert_int_eq(in_child(body_more), 0);
}
END_TEST

static int
body_log_only(void)
{
	setenv("RINGFENCE_SECCOMP_LOG", "1", 1);
	filter(no_more);
	REQUIRE(open("/etc/passwd", O_RDONLY) >= 0);
	REQUIRE(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	return 0;
}

START_TEST(proc_confine_filter_only_logs_when_debugging)
{
	ck_assert_int_eq(in_child(body_log_only), 0);
}
END_TEST

static int
body_abort(void)
{
	filter(no_more);
	abort();
}

START_TEST(proc_confine_filter_lets_abort_be_abort)
{
	ck_assert_int_eq(in_child(body_abort), 128 + SIGABRT);
}
END_TEST

#endif

/* ---- files ---- */

static char files_directory[] = "/tmp/ringfence-files.XXXXXX";

static int
write_here_only(void)
{
	const struct proc_sandbox sandbox = {.files = PROC_FILES_WRITE_HERE};
	struct err err = ERR_INIT;
	char inside[64];
	char name[] = "true";
	char *const argv[] = {name, NULL};

	REQUIRE(chdir(files_directory) == 0 && mkdir("here", 0700) == 0 &&
		chdir("here") == 0);
	REQUIRE(proc_confine(&sandbox, &err) == 0);
	REQUIRE(open("/etc/passwd", O_RDONLY) >= 0);
	REQUIRE(open("new", O_RDWR | O_CREAT | O_EXCL, 0600) >= 0);
	REQUIRE(rename("new", "other") == 0 && truncate("other", 0) == 0 &&
		unlink("other") == 0);
	REQUIRE(open("../new", O_RDWR | O_CREAT, 0600) < 0 && errno == EACCES);
	(void)snprintf(inside, sizeof(inside), "%s/kept", files_directory);
	REQUIRE(open(inside, O_WRONLY) < 0 && errno == EACCES);
	REQUIRE(unlink(inside) != 0 && errno == EACCES);
	REQUIRE(symlink("/etc", "link") != 0 && errno == EACCES);
	(void)execv("/bin/true", argv);
	REQUIRE(errno == EACCES);
	return 0;
}

static int
no_file_at_all(void)
{
	const struct proc_sandbox sandbox = {.files = PROC_FILES_NONE};
	struct err err = ERR_INIT;

	REQUIRE(chdir(files_directory) == 0);
	REQUIRE(proc_confine(&sandbox, &err) == 0);
	REQUIRE(open("kept", O_RDONLY) < 0 && errno == EACCES);
	REQUIRE(open("/", O_RDONLY | O_DIRECTORY) < 0 && errno == EACCES);
	REQUIRE(open("new", O_RDWR | O_CREAT, 0600) < 0 && errno == EACCES);
	return 0;
}

START_TEST(proc_confine_leaves_only_the_files_that_are_listed)
{
	char path[64];
	int fd;

	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 1) {
		fprintf(stderr, "left out: the kernel has no Landlock\n");
		return;
	}
	memcpy(files_directory + sizeof(files_directory) - 7, "XXXXXX", 6);
	ck_assert_ptr_nonnull(mkdtemp(files_directory));
	(void)snprintf(path, sizeof(path), "%s/kept", files_directory);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(close(fd), 0);
	ck_assert_int_eq(in_child(write_here_only), 0);
	ck_assert_int_eq(in_child(no_file_at_all), 0);
	ck_assert_int_eq(unlink(path), 0);
	(void)snprintf(path, sizeof(path), "%s/here", files_directory);
	ck_assert_int_eq(rmdir(path), 0);
	ck_assert_int_eq(rmdir(files_directory), 0);
}
END_TEST

START_TEST(proc_user_finds_root_and_refuses_strangers)
{
	struct err err = ERR_INIT;
	uid_t uid = 1;
	gid_t gid = 1;

	ck_assert_int_eq(proc_user("root", &uid, &gid, &err), 0);
	ck_assert_uint_eq(uid, 0);
	ck_assert_uint_eq(gid, 0);
	ck_assert_int_eq(
	    proc_user("no-such-user-here", &uid, &gid, &err), ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(err.msg, "no-such-user-here"));
}
END_TEST

static TCase *
confine_case(void)
{
	TCase *tc = tcase_create("confine");

	if (geteuid() != 0)
		printf("not root: confinement of root is not tested\n");
	tcase_add_test(tc, proc_give_up_takes_one_capability_and_no_other);
	tcase_add_test(tc, proc_confine_leaves_exactly_what_is_listed_when_root);
	tcase_add_test(tc, proc_confine_drops_capabilities_when_user_stays_root);
	tcase_add_test(tc, proc_confine_does_what_it_can_when_not_root);
	tcase_add_test(tc, proc_confine_refuses_a_user_with_the_group_of_root);
#ifndef RINGFENCE_SANITIZED
	tcase_add_test(tc, proc_confine_filter_allows_what_roles_need);
	tcase_add_loop_test(tc, proc_confine_filter_kills_when_call_is_not_listed, 0,
	    ARRAY_LEN(forbidden));
	tcase_add_test(tc, proc_confine_filter_says_that_there_is_no_clone3);
	tcase_add_test(tc, proc_confine_filter_allows_the_roles_own_calls);
	tcase_add_test(tc, proc_confine_filter_only_logs_when_debugging);
	tcase_add_test(tc, proc_confine_filter_lets_abort_be_abort);
#else
	printf("sanitized: the system call filter is not tested\n");
#endif
	tcase_add_test(tc, proc_confine_leaves_only_the_files_that_are_listed);
	tcase_add_test(tc, proc_user_finds_root_and_refuses_strangers);
	return tc;
}

int
main(void)
{
	Suite *suite = suite_create("proc_confine");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, confine_case());
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
