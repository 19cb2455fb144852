/*
 * Messages between processes: one SOCK_SEQPACKET record each, a fixed header and a
 * body. The kernel keeps the boundaries, so a bad record cannot shift the next one;
 * still a peer that sends one is not trusted further (ERR_PROTOCOL).
 */
#include "common/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/limits.h"
#include "common/little_endian.h"

#define HEADER_BYTES 16u
#define HEADER_MAGIC 0x314d4652u /* "RFM1" */
#define RECORD_BYTES (HEADER_BYTES + LIMIT_MESSAGE_BYTES)
/* Asked for, not needed: lets several large messages wait for a busy peer. */
#define SOCKET_BYTES (8 * (int)LIMIT_MESSAGE_BYTES)

/* The control part of a record, aligned as cmsg(3) wants it. */
union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(PROC_MAX_FDS * sizeof(int))];
};

void
proc_channel_init(struct proc_channel *ch, int fd)
{
	ch->fd = fd;
	ch->buffer = xmalloc(RECORD_BYTES);
}

void
proc_channel_close(struct proc_channel *ch)
{
	if (ch->fd >= 0)
		(void)close(ch->fd); /* nothing is buffered that could be lost */
	free(ch->buffer);
	ch->fd = -1;
	ch->buffer = NULL;
}

int
proc_channel_set_blocking(struct proc_channel *ch, bool blocking, struct err *err)
{
	int flags = fcntl(ch->fd, F_GETFL);

	if (flags < 0)
		return err_sys(err, "channel");
	flags = blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
	if (fcntl(ch->fd, F_SETFL, flags) != 0)
		return err_sys(err, "channel");
	return 0;
}

/* ERR_UNAVAILABLE with the present errno, so that callers can tell a full socket
 * (EAGAIN) from a peer that is gone. */
static int
unavailable(struct err *err, const char *what)
{
	int saved = errno;

	(void)err_set(err, ERR_UNAVAILABLE, "%s", what);
	if (err != NULL)
		err->sys = saved;
	return ERR_UNAVAILABLE;
}

static int
send_failed(struct err *err)
{
	switch (errno) {
	case EAGAIN:
	case ENOBUFS:
		return unavailable(err, "the peer's socket is full");
	case EPIPE:
	case ECONNRESET:
	case ENOTCONN:
		return unavailable(err, "the peer is gone");
	default:
		return err_sys(err, "cannot send a message");
	}
}

int
proc_send(struct proc_channel *ch, const struct proc_msg *msg, struct err *err)
{
	uint8_t header[HEADER_BYTES];
	union control control = {0};
	/* sendmsg(2) reads the body only; the interface has no const for that. */
	struct iovec iov[2] = {
	    {header, sizeof(header)}, {(void *)(uintptr_t)msg->data, msg->len}};
	struct msghdr mh = {.msg_iov = iov, .msg_iovlen = msg->len != 0 ? 2 : 1};
	ssize_t n;

	if (msg->len > LIMIT_MESSAGE_BYTES)
		return err_set(err, ERR_LIMIT,
		    "a message of %zu bytes; the limit is %u", msg->len,
		    LIMIT_MESSAGE_BYTES);
	if (msg->fd_count > PROC_MAX_FDS)
		return err_set(
		    err, ERR_LIMIT, "a message with %zu descriptors", msg->fd_count);
	put_le(header, HEADER_MAGIC, 4);
	put_le(header + 4, msg->type, 4);
	put_le(header + 8, msg->id, 4);
	put_le(header + 12, msg->len, 4);
	if (msg->fd_count != 0) {
		size_t bytes = msg->fd_count * sizeof(int);

		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(bytes);
		memcpy(CMSG_DATA(&control.header), msg->fds, bytes);
		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(bytes);
	}
	do {
		n = sendmsg(ch->fd, &mh, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? send_failed(err) : 0;
}

void
proc_msg_close_fds(struct proc_msg *msg)
{
	for (size_t i = 0; i < msg->fd_count; i++)
		(void)close(msg->fds[i]); /* unused: nothing to lose */
	msg->fd_count = 0;
}

/* Collects the descriptors of a record; false if there is anything else in its
 * control part. All that arrived are in *msg either way, to be used or closed. */
static bool
take_fds(struct msghdr *mh, struct proc_msg *msg)
{
	bool ok = (mh->msg_flags & MSG_CTRUNC) == 0;

	msg->fd_count = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c != NULL; c = CMSG_NXTHDR(mh, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			ok = false;
			continue;
		}
		/* The control buffer has room for PROC_MAX_FDS and no more. */
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(msg->fds + msg->fd_count, CMSG_DATA(c), count * sizeof(int));
		msg->fd_count += count;
	}
	return ok;
}

bool
proc_msg_parse(struct proc_msg *msg, const uint8_t *record, size_t len)
{
	if (len < HEADER_BYTES || len > RECORD_BYTES ||
	    get_le(record, 4) != HEADER_MAGIC ||
	    get_le(record + 12, 4) != len - HEADER_BYTES)
		return false;
	msg->type = (uint32_t)get_le(record + 4, 4);
	msg->id = (uint32_t)get_le(record + 8, 4);
	msg->data = record + HEADER_BYTES;
	msg->len = len - HEADER_BYTES;
	return true;
}

int
proc_recv(struct proc_channel *ch, struct proc_msg *out_msg, struct err *err)
{
	union control control;
	struct iovec iov = {ch->buffer, RECORD_BYTES};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control};
	bool whole;
	ssize_t n;

	memset(out_msg, 0, sizeof(*out_msg));
	do {
		mh.msg_controllen = sizeof(control);
		n = recvmsg(ch->fd, &mh, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n < 0 && errno != ECONNRESET)
		return err_sys(err, "cannot receive a message");
	if (n < 0)
		return unavailable(err, "the peer is gone");
	whole = take_fds(&mh, out_msg) && (mh.msg_flags & MSG_TRUNC) == 0;
	/* An empty record reads like the end, and is one: nobody of ours sends it. */
	if (n == 0) {
		proc_msg_close_fds(out_msg);
		return err_set(err, ERR_UNAVAILABLE, "the peer is gone");
	}
	if (!whole || !proc_msg_parse(out_msg, ch->buffer, (size_t)n)) {
		proc_msg_close_fds(out_msg);
		return err_set(err, ERR_PROTOCOL, "the peer sent a malformed message");
	}
	return 1;
}

int
proc_pair(int out_fds[2], bool non_blocking, struct err *err)
{
	int type = SOCK_SEQPACKET | SOCK_CLOEXEC | (non_blocking ? SOCK_NONBLOCK : 0);
	int bytes = SOCKET_BYTES;

	out_fds[0] = out_fds[1] = -1;
	if (socketpair(AF_UNIX, type, 0, out_fds) != 0)
		return err_sys(err, "cannot make a socket pair");
	/* The kernel caps this at net.core.wmem_max, whose default has room for one
	 * message of the greatest size: enough to work. */
	for (size_t i = 0; i < 2; i++)
		(void)setsockopt(
		    out_fds[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	return 0;
}

void
proc_reader_init(struct proc_reader *r, const struct proc_msg *msg)
{
	*r = (struct proc_reader){msg->data, msg->len, 0, true};
}

const uint8_t *
proc_get_bytes(struct proc_reader *r, size_t len)
{
	const uint8_t *p;

	if (!r->ok || len > r->len - r->pos) {
		r->ok = false;
		return NULL;
	}
	if (len == 0)
		return (const uint8_t *)""; /* r->data may be NULL */
	p = r->data + r->pos;
	r->pos += len;
	return p;
}

static uint64_t
get_integer(struct proc_reader *r, size_t bytes)
{
	const uint8_t *p = proc_get_bytes(r, bytes);

	return p != NULL ? get_le(p, bytes) : 0;
}

uint8_t
proc_get_u8(struct proc_reader *r)
{
	return (uint8_t)get_integer(r, 1);
}

uint16_t
proc_get_u16(struct proc_reader *r)
{
	return (uint16_t)get_integer(r, 2);
}

uint32_t
proc_get_u32(struct proc_reader *r)
{
	return (uint32_t)get_integer(r, 4);
}

uint64_t
proc_get_u64(struct proc_reader *r)
{
	return get_integer(r, 8);
}

struct str
proc_get_str(struct proc_reader *r)
{
	size_t len = proc_get_u32(r);
	const uint8_t *p = proc_get_bytes(r, len);

	return p != NULL ? (struct str){(const char *)p, len} : (struct str){NULL, 0};
}

struct ip_addr
proc_get_ip(struct proc_reader *r)
{
	struct ip_addr addr = {.family = IP_V4};
	const uint8_t family = proc_get_u8(r);
	const uint8_t *bytes = proc_get_bytes(r, sizeof(addr.bytes));

	if (bytes == NULL || (family != IP_V4 && family != IP_V6)) {
		r->ok = false;
		return addr;
	}
	addr.family = (enum ip_family)family;
	memcpy(addr.bytes, bytes, ip_bytes(addr.family));
	return addr;
}

bool
proc_reader_done(const struct proc_reader *r)
{
	return r->ok && r->pos == r->len;
}

static void
put_integer(struct buf *b, uint64_t v, size_t bytes)
{
	uint8_t raw[8];

	put_le(raw, v, bytes);
	buf_add(b, raw, bytes);
}

void
proc_put_u8(struct buf *b, uint8_t v)
{
	put_integer(b, v, 1);
}

void
proc_put_u16(struct buf *b, uint16_t v)
{
	put_integer(b, v, 2);
}

void
proc_put_u32(struct buf *b, uint32_t v)
{
	put_integer(b, v, 4);
}

void
proc_put_u64(struct buf *b, uint64_t v)
{
	put_integer(b, v, 8);
}

void
proc_put_str(struct buf *b, struct str s)
{
	if (s.len > UINT32_MAX)
		base_die("a text too long for any message");
	put_integer(b, s.len, 4);
	buf_add_str(b, s);
}

void
proc_put_ip(struct buf *b, const struct ip_addr *addr)
{
	proc_put_u8(b, (uint8_t)addr->family);
	buf_add(b, addr->bytes, sizeof(addr->bytes));
}
