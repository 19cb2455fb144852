/*
 * Least privilege for a role: user, groups, capabilities, root directory, limits and
 * system calls. The order matters: each step still has the power that the next ones
 * need, and the filter, which forbids all of them, comes last.
 */
#include "common/proc_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <malloc.h>
#include <pwd.h>
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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CAP_BIT(cap) (UINT64_C(1) << (cap))
#define PASSWD_BYTES 16384
#define CAPS_WORDS   _LINUX_CAPABILITY_U32S_3
#define LOCKED_SECUREBITS                                                              \
	(SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |               \
	    SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |              \
	    SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)

/* ---- capabilities, limits, user, root ---- */

static int
caps_get(uint64_t *out_permitted, uint64_t *out_effective, struct err *err)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[CAPS_WORDS] = {0};

	if (syscall(SYS_capget, &header, data) != 0)
		return err_sys(err, "capget");
	*out_permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	*out_effective = data[0].effective | (uint64_t)data[1].effective << 32;
	return 0;
}

/* Permitted and effective become `caps`, inheritable and ambient nothing. */
static int
caps_set(uint64_t caps, struct err *err)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[CAPS_WORDS] = {
	    {(uint32_t)caps, (uint32_t)caps, 0},
	    {(uint32_t)(caps >> 32), (uint32_t)(caps >> 32), 0},
	};

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
		return err_sys(err, "cannot clear ambient capabilities");
	if (syscall(SYS_capset, &header, data) != 0)
		return err_sys(err, "capset");
	return 0;
}

/* What an exec could give back: the bounding set, and root's own privileges. Without
 * CAP_SETPCAP (some containers) no_new_privs alone stands in that way. */
static int
close_way_back(struct err *err)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0)
			return err_sys(err, "cannot drop capability %d for ever", cap);
	if (prctl(PR_SET_SECUREBITS, LOCKED_SECUREBITS, 0, 0, 0) != 0)
		return err_sys(err, "cannot set securebits");
	return 0;
}

int
proc_give_up(int capability, struct err *err)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[CAPS_WORDS] = {0};
	struct __user_cap_data_struct *word = &data[capability / 32];
	const uint32_t bit = UINT32_C(1) << capability % 32;

	if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EPERM)
		return err_sys(err, "cannot drop capability %d for ever", capability);
	if (syscall(SYS_capget, &header, data) != 0)
		return err_sys(err, "capget");
	word->effective &= ~bit;
	word->permitted &= ~bit;
	word->inheritable &= ~bit; /* with these it is not ambient either */
	if (syscall(SYS_capset, &header, data) != 0)
		return err_sys(err, "capset");
	return 0;
}

static int
limit_resources(const struct proc_sandbox *sandbox, struct err *err)
{
	struct rlimit none = {0, 0};
	struct rlimit files;

	if (setrlimit(RLIMIT_CORE, &none) != 0)
		return err_sys(err, "cannot forbid core dumps");
	if (sandbox->max_files == 0)
		return 0;
	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		return err_sys(err, "RLIMIT_NOFILE");
	if (sandbox->max_files < files.rlim_max) {
		files.rlim_max = sandbox->max_files;
	} else if (geteuid() == 0) {
		/* Raising the hard limit needs a privilege that root in a container may
		 * not have; then what there is must do. */
		const struct rlimit more = {sandbox->max_files, sandbox->max_files};

		if (setrlimit(RLIMIT_NOFILE, &more) == 0)
			return 0;
		if (errno != EPERM)
			return err_sys(err, "RLIMIT_NOFILE of %llu",
			    (unsigned long long)sandbox->max_files);
	}
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) != 0)
		return err_sys(
		    err, "RLIMIT_NOFILE of %llu", (unsigned long long)files.rlim_max);
	return 0;
}

/* Makes a directory and removes its name at once: it lives on as our root, and
 * nothing can ever be made in a removed directory, by anyone. */
static int
enter_empty_root(struct err *err)
{
	static const char *const places[] = {"/run", "/tmp", "/var/tmp", "/dev/shm"};
	char path[64];
	bool made = false;

	for (size_t i = 0; i < ARRAY_LEN(places) && !made; i++) {
		(void)snprintf(path, sizeof(path), "%s/ringfence.XXXXXX", places[i]);
		made = mkdtemp(path) != NULL;
	}
	if (!made)
		return err_sys(err, "cannot make a directory for the empty root");
	if (chdir(path) != 0) {
		(void)rmdir(path); /* the first failure is the one to report */
		return err_sys(err, "%s", path);
	}
	if (rmdir(path) != 0)
		return err_sys(err, "%s", path);
	if (chroot(".") != 0 || chdir("/") != 0)
		return err_sys(err, "cannot enter the empty root");
	return 0;
}

static int
become_user(const struct proc_sandbox *sandbox, struct err *err)
{
	uid_t ruid, euid, suid;
	gid_t rgid, egid, sgid;

	if (sandbox->uid == 0)
		return 0;
	if (sandbox->gid == 0)
		return err_set(err, ERR_INVALID, "user %u with the group of root",
		    (unsigned)sandbox->uid);
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
		return err_sys(err, "PR_SET_KEEPCAPS");
	if (setgroups(0, NULL) != 0)
		return err_sys(err, "cannot leave the supplementary groups");
	if (setresgid(sandbox->gid, sandbox->gid, sandbox->gid) != 0)
		return err_sys(err, "cannot become group %u", (unsigned)sandbox->gid);
	if (setresuid(sandbox->uid, sandbox->uid, sandbox->uid) != 0)
		return err_sys(err, "cannot become user %u", (unsigned)sandbox->uid);
	if (getresuid(&ruid, &euid, &suid) != 0 ||
	    getresgid(&rgid, &egid, &sgid) != 0 || ruid != sandbox->uid ||
	    euid != ruid || suid != ruid || rgid != sandbox->gid || egid != rgid ||
	    sgid != rgid)
		return err_set(err, ERR_DENIED, "the change of user did not hold");
	return 0;
}

static int
drop_privileges(const struct proc_sandbox *sandbox, struct err *err)
{
	uint64_t permitted = 0, effective = 0;
	int rc = caps_get(&permitted, &effective, err);

	if (rc == 0 && (effective & CAP_BIT(CAP_SETPCAP)) != 0)
		rc = close_way_back(err);
	if (rc == 0 && geteuid() == 0 && sandbox->empty_root)
		rc = enter_empty_root(err);
	if (rc == 0 && geteuid() == 0)
		rc = become_user(sandbox, err);
	if (rc == 0)
		rc = caps_set(permitted & sandbox->keep_caps, err);
	return rc;
}

/* A change of user or capabilities clears the signal that ends us with our parent. */
static int
drop_privileges_bound_to_parent(const struct proc_sandbox *sandbox, struct err *err)
{
	pid_t parent = getppid();
	int signal_number = 0;
	int rc;

	if (prctl(PR_GET_PDEATHSIG, &signal_number) != 0)
		return err_sys(err, "PR_GET_PDEATHSIG");
	rc = drop_privileges(sandbox, err);
	if (rc != 0 || signal_number == 0)
		return rc;
	if (prctl(PR_SET_PDEATHSIG, signal_number) != 0)
		return err_sys(err, "PR_SET_PDEATHSIG");
	if (getppid() != parent) /* it died in between, unnoticed */
		_exit(1);
	return 0;
}

/* ---- system calls ---- */

const int proc_syscalls_basic[] = {
    /* memory */
    SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap),
    SCMP_SYS(mprotect), SCMP_SYS(madvise), SCMP_SYS(mlock), SCMP_SYS(munlock),
    /* what is open */
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(write),
    SCMP_SYS(writev), SCMP_SYS(pwrite64), SCMP_SYS(lseek), SCMP_SYS(close),
    SCMP_SYS(close_range), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(fcntl),
    SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(ioctl),
    /* sockets that are connected already */
    SCMP_SYS(sendmsg), SCMP_SYS(sendto), SCMP_SYS(recvmsg), SCMP_SYS(recvfrom),
    SCMP_SYS(shutdown), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt),
    SCMP_SYS(getsockname), SCMP_SYS(getpeername),
    /* waiting, and what libuv makes for it */
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(eventfd2), SCMP_SYS(pipe2),
    SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime), SCMP_SYS(signalfd4),
    /* time and chance */
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(getrandom),
    /* signals of its own; abort(3) */
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack), SCMP_SYS(restart_syscall), SCMP_SYS(tgkill),
    /* threads */
    SCMP_SYS(clone), SCMP_SYS(futex), SCMP_SYS(set_robust_list), SCMP_SYS(rseq),
    SCMP_SYS(set_tid_address), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity),
    SCMP_SYS(prctl),
    /* who am I; sysinfo: qsort(3) asks how much memory there is */
    SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(gettid), SCMP_SYS(getuid),
    SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(prlimit64),
    SCMP_SYS(getrlimit), SCMP_SYS(sysinfo), SCMP_SYS(uname),
    /* the end */
    SCMP_SYS(exit), SCMP_SYS(exit_group), -1};

/* Calls that are allowed only so. All conditions of a line hold; lines of one call are
 * alternatives. */
struct condition {
	int syscall;
	unsigned count;
	struct scmp_arg_cmp args[2];
};

static const struct condition conditions[] = {
    {SCMP_SYS(mmap), 1, {{2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}}},
    {SCMP_SYS(mprotect), 1, {{2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}}},
    {SCMP_SYS(clone), 1, {{0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD}}},
    {SCMP_SYS(newfstatat), 1, {{3, SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH}}},
    {SCMP_SYS(ioctl), 1, {{1, SCMP_CMP_EQ, FIONBIO, 0}}},
    {SCMP_SYS(ioctl), 1, {{1, SCMP_CMP_EQ, FIONREAD, 0}}},
    {SCMP_SYS(ioctl), 1, {{1, SCMP_CMP_EQ, FIOCLEX, 0}}},
    {SCMP_SYS(ioctl), 1, {{1, SCMP_CMP_EQ, TCGETS, 0}}}, /* isatty(3), by stdio */
    {SCMP_SYS(prctl), 1, {{0, SCMP_CMP_EQ, PR_SET_NAME, 0}}},
    /* Reading limits of its own, as pthread_create(3) does. */
    {SCMP_SYS(prlimit64), 2, {{0, SCMP_CMP_EQ, 0, 0}, {2, SCMP_CMP_EQ, 0, 0}}},
};

static bool
list_has(const int *list, int syscall_number)
{
	for (; list != NULL && *list != -1; list++)
		if (*list == syscall_number)
			return true;
	return false;
}

/* Adds a call with its conditions, or without if it has none; 0 or -errno. */
static int
filter_add(scmp_filter_ctx filter, int syscall_number)
{
	const struct scmp_arg_cmp own = {0, SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0};
	bool conditional = false;
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(conditions) && rc == 0; i++) {
		const struct condition *c = &conditions[i];

		if (c->syscall != syscall_number)
			continue;
		conditional = true;
		rc = seccomp_rule_add_array(
		    filter, SCMP_ACT_ALLOW, syscall_number, c->count, c->args);
	}
	if (conditional || rc != 0)
		return rc;
	if (syscall_number == SCMP_SYS(tgkill))
		return seccomp_rule_add_array(
		    filter, SCMP_ACT_ALLOW, syscall_number, 1, &own);
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, syscall_number, 0);
}

static int
filter_build(scmp_filter_ctx filter, const struct proc_sandbox *sandbox)
{
	const int *more = sandbox->more_syscalls;
	/* One thread that was started before must not stay outside. */
	int rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);

	for (const int *s = sandbox->syscalls; *s != -1 && rc == 0; s++)
		if (!list_has(more, *s))
			rc = filter_add(filter, *s);
	for (const int *s = more; s != NULL && *s != -1 && rc == 0; s++)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, *s, 0);
	/* clone3 hides its flags from the filter; libc falls back to clone. */
	if (rc == 0 && !list_has(more, SCMP_SYS(clone3)) &&
	    !list_has(sandbox->syscalls, SCMP_SYS(clone3)))
		rc = seccomp_rule_add(
		    filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (rc == 0) /* a binary tree instead of a list of comparisons */
		rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	return rc;
}

static int
filter_system_calls(const struct proc_sandbox *sandbox, struct err *err)
{
	const char *log_only = getenv("RINGFENCE_SECCOMP_LOG");
	scmp_filter_ctx filter;
	int rc;

	/* EFAULT says that the kernel has filters and looked for ours at NULL. */
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL, 0, 0) != -1 ||
	    errno != EFAULT)
		return err_set(err, ERR_UNSUPPORTED,
		    "the kernel has no system call filters (CONFIG_SECCOMP_FILTER)");
	filter = seccomp_init(log_only != NULL && strcmp(log_only, "1") == 0
				  ? SCMP_ACT_LOG
				  : SCMP_ACT_KILL_PROCESS);
	if (filter == NULL)
		return err_set(
		    err, ERR_UNSUPPORTED, "cannot make a system call filter");
	rc = filter_build(filter, sandbox);
	if (rc == 0)
		rc = seccomp_load(filter);
	seccomp_release(filter);
	if (rc != 0) {
		errno = -rc;
		return err_sys(err, "cannot load the system call filter");
	}
	return 0;
}

/* ---- all of it ---- */

#ifdef RINGFENCE_SANITIZED
static bool confined;

/* The leak check at exit traces its own process, which a confined one does not let it
 * do; it would report that as a failure. The sanitizer asks here. */
int __lsan_is_turned_off(void);

int
__lsan_is_turned_off(void)
{
	return confined;
}
#endif

int
proc_confine(const struct proc_sandbox *sandbox, struct err *err)
{
	int rc = limit_resources(sandbox, err);

	tzset(); /* gmtime(3) would read the time zone's file when first used */
	/* A heap of a thread's own reads /proc/sys/vm when it shrinks: there is one for
	 * all, which does not. */
#ifndef RINGFENCE_SANITIZED /* whose malloc has no such option */
	if (rc == 0 && mallopt(M_ARENA_MAX, 1) != 1)
		rc = err_set(err, ERR_SYSTEM, "cannot limit the heaps");
#endif
	if (rc == 0)
		rc = drop_privileges_bound_to_parent(sandbox, err);
	if (rc == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		rc = err_sys(err, "PR_SET_NO_NEW_PRIVS");
	/* After the change of user, which resets it. */
	if (rc == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		rc = err_sys(err, "PR_SET_DUMPABLE");
	if (rc == 0)
		rc = proc_landlock(sandbox->files, err);
#ifdef RINGFENCE_SANITIZED
	confined = true;
	(void)filter_system_calls; /* left out: see the header */
#else
	if (rc == 0 && sandbox->syscalls != NULL)
		rc = filter_system_calls(sandbox, err);
#endif
	if (rc != 0)
		return err_wrap(err, "cannot confine the process");
	return 0;
}

int
proc_user(const char *name, uid_t *out_uid, gid_t *out_gid, struct err *err)
{
	char *text = xmalloc(PASSWD_BYTES);
	struct passwd entry;
	struct passwd *found = NULL;
	int rc = 0;

	errno = getpwnam_r(name, &entry, text, PASSWD_BYTES, &found);
	if (found != NULL) {
		*out_uid = entry.pw_uid;
		*out_gid = entry.pw_gid;
	} else if (errno == 0 || errno == ENOENT || errno == ESRCH) {
		rc = err_set(err, ERR_NOT_FOUND, "there is no user \"%s\"", name);
	} else {
		rc = err_sys(err, "user \"%s\"", name);
	}
	free(text);
	return rc;
}
