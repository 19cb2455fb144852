/*
 * Processes: a daemon is a parent and roles. The parent forks and re-executes
 * its own binary once per role, each with one SOCK_SEQPACKET socket to the parent (and
 * others handed over as the daemon needs). Messages are typed, bounded
 * (LIMIT_MESSAGE_BYTES) and length-checked; a receiver accepts only the types that are
 * legal for it, and treats anything else as the end of that peer. Descriptors may travel
 * with a message. When the parent dies every role ends (PR_SET_PDEATHSIG and EOF).
 */
#ifndef COMMON_PROC_H
#define COMMON_PROC_H

#include <sys/types.h>

#include "common/err.h"
#include "common/ip.h"
#include "common/str.h"

/* ---- messages ---- */

#define PROC_MAX_FDS 4

struct proc_msg {
	uint32_t type; /* the daemon's own enum */
	uint32_t id;   /* pairs an answer with its question; 0: none is expected */
	const uint8_t *data; /* received: borrowed until the next receive */
	size_t len;
	int fds[PROC_MAX_FDS]; /* received: the receiver owns and closes them */
	size_t fd_count;
};

/* A socket with its receive buffer. `fd` is -1 when empty. */
struct proc_channel {
	int fd;
	uint8_t *buffer;
};

/* Takes the descriptor. */
void proc_channel_init(struct proc_channel *ch, int fd);
/* Closes the socket and frees the buffer; what is in a received message dies with it.
 * An empty channel is fine. */
void proc_channel_close(struct proc_channel *ch);
/* Switches this end between waiting and not waiting; the other end stays as it is. */
MUST_CHECK int proc_channel_set_blocking(
    struct proc_channel *ch, bool blocking, struct err *err);
/* Sends one message; `msg->data` and `msg->fds` stay the caller's. 0; ERR_LIMIT if it is
 * too large; ERR_UNAVAILABLE if the socket is full (err->sys EAGAIN, ENOBUFS:
 * non-blocking sockets only; nothing was sent) or the peer is gone (any other). */
MUST_CHECK int proc_send(
    struct proc_channel *ch, const struct proc_msg *msg, struct err *err);
/* 1: a message; 0: nothing now (non-blocking); negative: ERR_UNAVAILABLE when the peer
 * is gone, ERR_PROTOCOL when it sent something malformed (its descriptors are closed).
 * Unless it returns 1, *out_msg owns nothing. */
MUST_CHECK int proc_recv(
    struct proc_channel *ch, struct proc_msg *out_msg, struct err *err);
/* Closes the descriptors of a received message that nobody took. */
void proc_msg_close_fds(struct proc_msg *msg);
/* Checks the header of a record and fills type, id, data (a view) and len; for
 * proc_recv, exposed for fuzzing. Descriptors are left alone. */
MUST_CHECK bool proc_msg_parse(struct proc_msg *msg, const uint8_t *record, size_t len);
/* A connected pair, close-on-exec, SOCK_SEQPACKET; `non_blocking` holds for both ends. */
MUST_CHECK int proc_pair(int out_fds[2], bool non_blocking, struct err *err);

/* Typed readers and writers for message bodies: little-endian, fail instead of
 * reading past the end. After any failure `ok` is false and zeros are returned. */
struct proc_reader {
	const uint8_t *data;
	size_t len;
	size_t pos;
	bool ok;
};

void proc_reader_init(struct proc_reader *r, const struct proc_msg *msg);
uint8_t proc_get_u8(struct proc_reader *r);
uint16_t proc_get_u16(struct proc_reader *r);
uint32_t proc_get_u32(struct proc_reader *r);
uint64_t proc_get_u64(struct proc_reader *r);
/* A view into the message: u32 length, then the bytes. */
struct str proc_get_str(struct proc_reader *r);
/* What is neither family is malformed, and 0.0.0.0. */
struct ip_addr proc_get_ip(struct proc_reader *r);
/* `len` bytes of the message, borrowed from it; NULL if there are fewer. */
const uint8_t *proc_get_bytes(struct proc_reader *r, size_t len);
/* True if everything was read and nothing failed. */
MUST_CHECK bool proc_reader_done(const struct proc_reader *r);

void proc_put_u8(struct buf *b, uint8_t v);
void proc_put_u16(struct buf *b, uint16_t v);
void proc_put_u32(struct buf *b, uint32_t v);
void proc_put_u64(struct buf *b, uint64_t v);
void proc_put_str(struct buf *b, struct str s);
void proc_put_ip(struct buf *b, const struct ip_addr *addr);

/* ---- roles ---- */

#define PROC_MAX_ROLE_FDS 64 /* that proc_spawn hands over */

struct proc_role {
	const char *name; /* argv[1] is "--role=NAME"; also the thread name */
	/* Runs the role; `channel` talks to the parent, `fds` are those that the parent
	 * passed, in its order (close-on-exec). Returns the exit status. */
	int (*run)(struct proc_channel *channel, const int *fds, size_t fd_count);
};

struct proc_child {
	const struct proc_role *role;
	pid_t pid; /* 0 when not running */
	int pidfd; /* readable when it has ended; -1 when not running */
	struct proc_channel channel;
};

/* No child: what a proc_child is before proc_spawn and after proc_stop. */
#define PROC_CHILD_INIT                                                                \
	(struct proc_child)                                                            \
	{                                                                              \
		.pidfd = -1, .channel = {.fd = -1 }                                    \
	}

/*
 * If argv names a role of the NULL-named-terminated table, runs it and never
 * returns; call it first in main. Opens /dev/null for whichever of descriptors 0-2 is
 * closed. A role ignores SIGPIPE; all other signals have their default action and none
 * is blocked.
 */
void proc_main(int argc, char **argv, const struct proc_role *roles);
/*
 * Forks and re-executes /proc/self/exe for a role. `fds` (at most PROC_MAX_ROLE_FDS)
 * are duplicated into the child at 4, 5, ..., its channel is 3; the child sees no other
 * descriptor but 0-2. `non_blocking` holds for both ends of the channel. 0 means that
 * the new program runs; an exec that failed is an error here.
 *
 * Call it from the main thread: the kernel ends the child when the *thread* that made
 * it ends. And keep the parent root (or give it CAP_KILL, or the child's user): a parent
 * without power over the child cannot end it, neither by its death nor in proc_stop;
 * then the end of the channel alone tells the role.
 */
MUST_CHECK int proc_spawn(struct proc_child *child, const struct proc_role *role,
    const int *fds, size_t fd_count, bool non_blocking, struct err *err);
/*
 * Sends SIGTERM, waits up to the time, then SIGKILL; reaps, closes the channel and
 * leaves *child empty. Also collects a child that has ended by itself (then without
 * delay). Returns its exit status, or 128 + the number of the signal that ended it; -1 if
 * there was no child or it would not die. Blocks: not for a loop that serves others,
 * unless the child is known to have ended.
 */
int proc_stop(struct proc_child *child, unsigned timeout_ms);

/* ---- least privilege ---- */

/*
 * What every role may call (-1-terminated libseccomp numbers): memory, threads, time,
 * signals of its own, poll and epoll, reading and writing what is open already.
 * No opening, connecting, accepting, forking, executing. Some only in part: memory
 * is never made executable, clone makes threads only, ioctl is FIONBIO and its like,
 * stat takes descriptors only. `more_syscalls` adds whole calls; naming one of
 * those there lifts its condition.
 */
extern const int proc_syscalls_basic[];

/* Which files a role may still open, where the kernel has Landlock (Linux 5.13). Executing is
 * forbidden but for PROC_FILES_ANY. */
enum proc_files {
	PROC_FILES_ANY,
	PROC_FILES_NONE,
	PROC_FILES_WRITE_HERE, /* reads everywhere, makes and changes files below the working
				  directory as it is then */
};

struct proc_sandbox {
	uid_t uid; /* used when the process is root; 0: stay */
	gid_t gid;
	uint64_t keep_caps; /* bit per capability number that stays effective */
	bool empty_root;    /* chroot into an empty directory, when root */
	enum proc_files files;
	const int *syscalls;      /* usually proc_syscalls_basic; NULL: no filter */
	const int *more_syscalls; /* the role's own, -1-terminated; NULL: none */
	uint64_t max_files;       /* RLIMIT_NOFILE; 0: leave */
};

/*
 * Drops everything but what is listed; no_new_privs; no core; not dumpable. After it the
 * process cannot get anything back. Call it before the first byte of input is parsed,
 * and before the second thread. A system call outside both lists kills the process; the
 * kernel logs its number (audit type 1326). With RINGFENCE_SECCOMP_LOG=1 in the
 * environment it is only logged, for debugging. Libraries that read files on first use
 * (libcrypto: its configuration; libc: locales, time zones) are used once before.
 *
 * A process that is not root has no user to change and no root to leave; these are then
 * left out, everything else applies, and of keep_caps it keeps those that it has. As
 * root, whatever cannot be done is an error. Builds with sanitizers leave
 * the filter out, because the sanitizer needs calls of its own. 0, ERR_SYSTEM, or
 * ERR_UNSUPPORTED if the kernel has no seccomp filters.
 */
MUST_CHECK int proc_confine(const struct proc_sandbox *sandbox, struct err *err);
/*
 * Gives up one capability that is needed no more, for this process and what it starts; nothing
 * if it has none. Without CAP_SETPCAP a program that root executes could still get it. Before
 * the second thread.
 */
MUST_CHECK int proc_give_up(int capability, struct err *err);
/* Looks up a system user, for the parent's configuration. ERR_NOT_FOUND if there is
 * none. Reads files: call it before confinement. */
MUST_CHECK int proc_user(
    const char *name, uid_t *out_uid, gid_t *out_gid, struct err *err);

/* ---- service manager ---- */

/* Tells systemd (sd_notify protocol on $NOTIFY_SOCKET), e.g. "READY=1"; does nothing
 * without one. */
void proc_notify(const char *state);
/* Writes "READY\n" to the descriptor of --ready-fd and closes it; -1: nothing. */
void proc_ready_fd(int fd);

#endif
