/*
 * Roles: how a parent starts its own program again as a lesser process, and ends it.
 */
#include "common/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"

#define FD_CHANNEL   3
#define ROLE_ARG     "--role="
#define FDS_ARG      "--fds="
#define EXIT_USAGE   2
#define EXIT_NO_EXEC 127
/* How long a killed process may take to end before it is given up. */
#define KILL_WAIT_MS 10000
#define LAUNCH_MAX_FDS                                                                 \
	(PROC_MAX_ROLE_FDS + 2) /* and the channel, and the report pipe */

/* Everything that the child needs between fork and exec, made before the fork: after it
 * only async-signal-safe calls are allowed. */
struct launch {
	char role_arg[128];
	char fds_arg[32];
	char *argv[4];
	pid_t parent;
	int fds[LAUNCH_MAX_FDS]; /* channel, the role's own, report pipe */
	size_t fd_count;
};

/* ---- the child between fork and exec ---- */

NORETURN static void
launch_fail(int report)
{
	int saved = errno;

	(void)!write(report, &saved, sizeof(saved)); /* the parent sees the exit too */
	_exit(EXIT_NO_EXEC);
}

static void
launch_reset_signals(void)
{
	struct sigaction sa = {.sa_handler = SIG_DFL};
	sigset_t none;

	/* Fails for SIGKILL, SIGSTOP and those of libc itself: they are as they must be. */
	for (int sig = 1; sig < NSIG; sig++)
		(void)sigaction(sig, &sa, NULL);
	sigemptyset(&none);
	(void)sigprocmask(
	    SIG_SETMASK, &none, NULL); /* cannot fail with these arguments */
}

/* Puts l->fds at 3, 4, ... and closes all others. First all go above the targets, so
 * that no target overwrites one that is still to be moved. Returns where the report
 * pipe is now (close-on-exec), the last of them. */
static int
launch_place_fds(struct launch *l, int report)
{
	int first_free = FD_CHANNEL + (int)l->fd_count;

	for (size_t i = 0; i < l->fd_count; i++) {
		l->fds[i] = fcntl(l->fds[i], F_DUPFD_CLOEXEC, first_free);
		if (l->fds[i] < 0)
			launch_fail(report);
	}
	report = l->fds[l->fd_count - 1];
	for (size_t i = 0; i < l->fd_count; i++)
		if (dup2(l->fds[i], FD_CHANNEL + (int)i) < 0)
			launch_fail(report);
	report = first_free - 1;
	if (fcntl(report, F_SETFD, FD_CLOEXEC) != 0 ||
	    close_range((unsigned)first_free, ~0u, 0) != 0)
		launch_fail(report);
	return report;
}

NORETURN static void
launch_child(struct launch *l)
{
	int report = l->fds[l->fd_count - 1];

	launch_reset_signals();
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		launch_fail(report);
	/* The parent may have died before the line above. */
	if (getppid() != l->parent)
		_exit(EXIT_NO_EXEC);
	report = launch_place_fds(l, report);
	execve("/proc/self/exe", l->argv, environ);
	launch_fail(report);
}

/* ---- the parent ---- */

static int
launch_init(struct launch *l, const struct proc_role *role, const int *fds,
    size_t fd_count, struct err *err)
{
	int n = snprintf(l->role_arg, sizeof(l->role_arg), ROLE_ARG "%s", role->name);

	if (n < 0 || (size_t)n >= sizeof(l->role_arg))
		return err_set(
		    err, ERR_LIMIT, "the name of role %s is too long", role->name);
	if (fd_count > PROC_MAX_ROLE_FDS)
		return err_set(err, ERR_LIMIT, "%zu descriptors for role %s", fd_count,
		    role->name);
	(void)snprintf(l->fds_arg, sizeof(l->fds_arg), FDS_ARG "%zu", fd_count);
	l->argv[0] = program_invocation_name;
	l->argv[1] = l->role_arg;
	l->argv[2] = l->fds_arg;
	l->argv[3] = NULL;
	l->parent = getpid();
	for (size_t i = 0; i < fd_count; i++)
		l->fds[i + 1] = fds[i];
	l->fd_count = fd_count + 2;
	return 0;
}

/* Signals are blocked across the fork, so that no handler of the parent runs in the
 * child before it has reset them. */
static pid_t
launch_fork(struct launch *l)
{
	sigset_t all, before;
	pid_t pid;

	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before); /* cannot fail: valid how */
	pid = fork();
	if (pid == 0)
		launch_child(l);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return pid;
}

/* Waits for the exec: 0 when the report pipe was closed by it, else the errno. */
static int
launch_wait_exec(int report)
{
	int failure = 0;
	ssize_t n;

	do {
		n = read(report, &failure, sizeof(failure));
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(failure) ? failure : n < 0 ? errno : 0;
}

static void
reap(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void
close_if_open(int fd)
{
	if (fd >= 0)
		(void)close(fd); /* nothing buffered */
}

int
proc_spawn(struct proc_child *child, const struct proc_role *role, const int *fds,
    size_t fd_count, bool non_blocking, struct err *err)
{
	struct launch l = {0};
	int report[2] = {-1, -1};
	int pair[2] = {-1, -1};
	int pidfd = -1;
	pid_t pid = -1;
	int rc;

	*child = PROC_CHILD_INIT;
	rc = launch_init(&l, role, fds, fd_count, err);
	if (rc == 0)
		rc = proc_pair(pair, non_blocking, err);
	if (rc == 0 && pipe2(report, O_CLOEXEC) != 0)
		rc = err_sys(err, "cannot make a pipe");
	if (rc != 0)
		goto out;
	l.fds[0] = pair[1];
	l.fds[l.fd_count - 1] = report[1];
	pid = launch_fork(&l);
	if (pid < 0) {
		rc = err_sys(err, "cannot fork role %s", role->name);
		goto out;
	}
	(void)close(report[1]); /* or the read below would never see its end */
	report[1] = -1;
	errno = launch_wait_exec(report[0]);
	if (errno == 0)
		pidfd = pidfd_open(pid, 0);
	if (pidfd < 0) {
		rc = err_sys(err, "cannot start role %s", role->name);
		(void)kill(
		    pid, SIGKILL); /* may have ended: it is a zombie until here */
		reap(pid);
		goto out;
	}
	*child = (struct proc_child){.role = role, .pid = pid, .pidfd = pidfd};
	proc_channel_init(&child->channel, pair[0]);
	pair[0] = -1;
out:
	close_if_open(report[0]);
	close_if_open(report[1]);
	close_if_open(pair[0]);
	close_if_open(pair[1]);
	return rc;
}

/* True if the process behind the pidfd has ended within the time. */
static bool
wait_end(int pidfd, unsigned timeout_ms)
{
	monotime_t start = monotime_now();
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	for (;;) {
		uint64_t past_ms = monotime_since(start, monotime_now()) / NS_PER_MS;
		int left_ms = past_ms < timeout_ms ? (int)(timeout_ms - past_ms) : 0;
		int n = poll(&p, 1, left_ms);

		if (n > 0)
			return true;
		if (n == 0 && left_ms == 0)
			return false;
		if (n < 0 && errno != EINTR)
			return false;
	}
}

static int
collect_status(int pidfd)
{
	siginfo_t info = {0};
	int rc;

	do {
		rc = waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED);
	} while (rc != 0 && errno == EINTR);
	if (rc != 0)
		return -1;
	return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

int
proc_stop(struct proc_child *child, unsigned timeout_ms)
{
	int status = -1;
	bool ended;

	if (child->pid == 0)
		return -1;
	if (timeout_ms > INT32_MAX)
		timeout_ms = INT32_MAX;
	ended = wait_end(child->pidfd, 0);
	if (!ended) {
		/* Without the power to signal it, EOF below still ends it. */
		(void)pidfd_send_signal(child->pidfd, SIGTERM, NULL, 0);
		ended = wait_end(child->pidfd, timeout_ms);
	}
	if (!ended)
		(void)pidfd_send_signal(child->pidfd, SIGKILL, NULL, 0);
	proc_channel_close(&child->channel);
	if (ended || wait_end(child->pidfd, KILL_WAIT_MS))
		status = collect_status(child->pidfd);
	(void)close(child->pidfd);
	*child = PROC_CHILD_INIT;
	return status;
}

/* ---- the role ---- */

/* A program started with one of 0-2 closed would get it for its first socket, and then
 * print into that. */
static void
guard_standard_fds(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			_exit(EXIT_USAGE);
}

NORETURN static void
refuse_role(const char *arg, const char *why)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, arg, why);
	exit(EXIT_USAGE);
}

static bool
is_channel(int fd)
{
	int domain = 0, type = 0;
	socklen_t len = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	       domain == AF_UNIX && type == SOCK_SEQPACKET;
}

/* The exec clears the death signal when the binary has file capabilities; once it is
 * set again, a parent that died meanwhile shows as the end of the channel. */
static bool
bind_to_parent(void)
{
	struct pollfd p = {.fd = FD_CHANNEL};

	return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && poll(&p, 1, 0) >= 0 &&
	       (p.revents & POLLHUP) == 0;
}

/* Reads --fds=N and checks that descriptors 3 to 3 + N are what proc_spawn gives. */
static size_t
role_fds(int argc, char **argv, int *out_fds)
{
	uint64_t count;

	if (argc != 3 || strncmp(argv[2], FDS_ARG, strlen(FDS_ARG)) != 0 ||
	    !str_to_u64(
		str_from(argv[2] + strlen(FDS_ARG)), PROC_MAX_ROLE_FDS, &count) ||
	    !is_channel(FD_CHANNEL))
		refuse_role(argv[1], "roles are started by their parent only");
	for (size_t i = 0; i <= count; i++) {
		if (fcntl(FD_CHANNEL + (int)i, F_SETFD, FD_CLOEXEC) != 0)
			refuse_role(argv[1], "a descriptor is missing");
		if (i > 0)
			out_fds[i - 1] = FD_CHANNEL + (int)i;
	}
	return count;
}

NORETURN static void
run_role(int argc, char **argv, const struct proc_role *role)
{
	struct proc_channel channel;
	int fds[PROC_MAX_ROLE_FDS];
	size_t fd_count = role_fds(argc, argv, fds);
	int status;

	if (!bind_to_parent())
		exit(EXIT_NO_EXEC);
	(void)prctl(PR_SET_NAME, role->name); /* cut at 15 bytes; for people only */
	(void)signal(SIGPIPE, SIG_IGN);       /* a peer that left is an error code */
	proc_channel_init(&channel, FD_CHANNEL);
	status = role->run(&channel, fds, fd_count);
	proc_channel_close(&channel);
	exit(status);
}

void
proc_main(int argc, char **argv, const struct proc_role *roles)
{
	guard_standard_fds();
	if (argc < 2 || strncmp(argv[1], ROLE_ARG, strlen(ROLE_ARG)) != 0)
		return;
	for (; roles->name != NULL; roles++)
		if (strcmp(argv[1] + strlen(ROLE_ARG), roles->name) == 0)
			run_role(argc, argv, roles);
	refuse_role(argv[1], "no such role");
}
