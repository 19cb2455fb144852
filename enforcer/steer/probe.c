#include "enforcer/steer/probe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/ip_socket.h"
#include "common/little_endian.h"
#include "common/log.h"
#include "common/proc.h"

#define FAMILIES  2
#define READ_MOST 64 /* at a time: there is other work */

static const uint8_t magic[4] = {'R', 'F', 'P', '1'};

struct target {
	struct ip_addr addr;
	uint32_t number; /* of the last question */
	bool asked, answered;
	unsigned misses, goods; /* in a row */
	bool up;
};

struct probe {
	int fds[FAMILIES];
	uint16_t port;
	uint64_t secret;
	uint32_t number;
	bool in_force;
	monotime_t asked;
	struct target *targets; /* by address */
	size_t count;
};

/* ---- packets ---- */

void
probe_encode(const struct probe_packet *packet, uint8_t out[PROBE_BYTES])
{
	memset(out, 0, PROBE_BYTES);
	memcpy(out, magic, sizeof(magic));
	out[4] = (uint8_t)packet->kind;
	out[5] = packet->in_force;
	put_le(out + 8, packet->secret, 8);
	put_le(out + 16, packet->number, 4);
}

bool
probe_decode(const uint8_t *data, size_t len, struct probe_packet *out)
{
	if (len != PROBE_BYTES || memcmp(data, magic, sizeof(magic)) != 0 ||
	    (data[4] != PROBE_ASK && data[4] != PROBE_ANSWER) || data[5] > 1)
		return false;
	*out = (struct probe_packet){
	    .kind = (enum probe_kind)data[4],
	    .in_force = data[5] != 0,
	    .secret = get_le(data + 8, 8),
	    .number = (uint32_t)get_le(data + 16, 4),
	};
	return true;
}

/* ---- sockets ---- */

/* Says to which of our addresses a question came, so that the answer comes from there. */
static int
set_options(int fd, bool six)
{
	int on = 1;

	if (six && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -1;
	return setsockopt(fd, six ? IPPROTO_IPV6 : IPPROTO_IP,
	    six ? IPV6_RECVPKTINFO : IP_PKTINFO, &on, sizeof(on));
}

/* A node without IPv6 has one socket. */
static int
open_family(struct probe *p, bool six, struct err *err)
{
	const int kind = SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
	const struct ip_addr any = {.family = six ? IP_V6 : IP_V4};
	union ip_socket at;
	socklen_t len = ip_to_socket(&any, p->port, &at);

	p->fds[six] = socket(ip_socket_family(any.family), kind, 0);
	if (p->fds[six] < 0 && six && errno == EAFNOSUPPORT)
		return 0;
	if (p->fds[six] < 0 || set_options(p->fds[six], six) < 0 ||
	    bind(p->fds[six], &at.any, len) < 0)
		return err_sys(err, "probes at UDP port %u", (unsigned)p->port);
	return 0;
}

int
probe_open(struct probe **out_probe, uint16_t port, struct err *err)
{
	struct probe *p = xcalloc(1, sizeof(*p));
	int rc;

	*out_probe = p;
	p->port = port;
	p->fds[0] = p->fds[1] = -1;
	if (port == 0)
		return 0;
	if (getrandom(&p->secret, sizeof(p->secret), 0) != (ssize_t)sizeof(p->secret))
		return err_sys(err, "getrandom");
	rc = open_family(p, false, err);
	return rc != 0 ? rc : open_family(p, true, err);
}

void
probe_close(struct probe *p)
{
	if (p == NULL)
		return;
	for (unsigned f = 0; f < FAMILIES; f++) {
		if (p->fds[f] >= 0)
			(void)close(p->fds[f]); /* nothing is buffered */
	}
	free(p->targets);
	free(p);
}

int
probe_fd(const struct probe *p, enum ip_family family)
{
	return p->fds[family == IP_V6];
}

/* ---- whom ---- */

void
probe_want(struct probe *p, const struct ip_addr *addrs, size_t count)
{
	struct target *targets;

	if (count > PROBE_TARGETS_MAX) {
		log_error(
		    "probes", "detail=\"more than %u gateways\"", PROBE_TARGETS_MAX);
		count = PROBE_TARGETS_MAX;
	}
	targets = xcalloc(count + 1, sizeof(*targets));
	for (size_t i = 0; i < count; i++) {
		targets[i] = (struct target){.addr = addrs[i], .up = p->port != 0};
		for (size_t j = 0; j < p->count; j++) {
			if (ip_eq(&p->targets[j].addr, &addrs[i]))
				targets[i] = p->targets[j];
		}
	}
	free(p->targets);
	p->targets = targets;
	p->count = count;
}

static struct target *
find_target(const struct probe *p, const struct ip_addr *addr)
{
	for (size_t i = 0; i < p->count; i++) {
		if (ip_eq(&p->targets[i].addr, addr))
			return &p->targets[i];
	}
	return NULL;
}

bool
probe_is_up(const struct probe *p, const struct ip_addr *addr, bool otherwise)
{
	const struct target *t = find_target(p, addr);

	return t != NULL ? t->up : otherwise;
}

void
probe_set_in_force(struct probe *p, bool in_force)
{
	p->in_force = in_force;
}

void
probe_put(const struct probe *p, struct buf *out)
{
	proc_put_u32(out, (uint32_t)p->count);
	for (size_t i = 0; i < p->count; i++) {
		proc_put_ip(out, &p->targets[i].addr);
		proc_put_u8(out, p->targets[i].up);
	}
}

/* ---- questions and answers ---- */

static void
answer(struct probe *p, const struct probe_packet *asked, struct msghdr *to)
{
	struct probe_packet packet = *asked;

	packet.kind = PROBE_ANSWER;
	packet.in_force = p->in_force;
	probe_encode(&packet, to->msg_iov->iov_base);
	to->msg_iov->iov_len = PROBE_BYTES;
	/* Who cannot be answered takes us for one that is down, as it should. */
	(void)sendmsg(
	    p->fds[((struct sockaddr *)to->msg_name)->sa_family == AF_INET6], to, 0);
}

static void
take_answer(
    struct probe *p, const struct probe_packet *packet, const union ip_socket *from)
{
	struct target *t = NULL;
	struct ip_addr addr;
	uint16_t port;

	if (ip_from_socket(&from->any, &addr, &port))
		t = find_target(p, &addr);
	if (t == NULL || packet->secret != p->secret || port != p->port || !t->asked ||
	    packet->number != t->number)
		return;
	t->answered = packet->in_force;
}

/* The control message that says where a question came to says where the answer is from. */
static bool
read_one(struct probe *p, int fd)
{
	_Alignas(struct cmsghdr) char control[128];
	uint8_t data[PROBE_BYTES + 1];
	struct iovec iov = {.iov_base = data, .iov_len = sizeof(data)};
	union ip_socket from;
	struct msghdr msg = {
	    .msg_name = &from,
	    .msg_namelen = sizeof(from),
	    .msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control,
	    .msg_controllen = sizeof(control),
	};
	struct probe_packet packet;
	ssize_t n = recvmsg(fd, &msg, 0);

	if (n < 0)
		return errno == EINTR || errno == ECONNREFUSED ||
		       errno == EHOSTUNREACH || errno == ENETUNREACH;
	if (!probe_decode(data, (size_t)n, &packet) ||
	    (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
		return true;
	if (packet.kind == PROBE_ASK)
		answer(p, &packet, &msg);
	else
		take_answer(p, &packet, &from);
	return true;
}

void
probe_read(struct probe *p)
{
	for (unsigned f = 0; f < FAMILIES; f++) {
		for (unsigned i = 0; p->fds[f] >= 0 && i < READ_MOST; i++) {
			if (!read_one(p, p->fds[f]))
				break;
		}
	}
}

static void
ask(struct probe *p, struct target *t)
{
	const struct probe_packet packet = {
	    .kind = PROBE_ASK, .secret = p->secret, .number = ++p->number};
	int fd = p->fds[t->addr.family == IP_V6];
	uint8_t data[PROBE_BYTES];
	union ip_socket at;
	socklen_t len = ip_to_socket(&t->addr, p->port, &at);

	probe_encode(&packet, data);
	t->asked = true;
	t->answered = false;
	t->number = packet.number;
	if (fd >= 0) /* what cannot be sent has no answer */
		(void)sendto(fd, data, sizeof(data), 0, &at.any, len);
}

/* What came of the last question. True: the state has changed. */
static bool
judge(struct target *t)
{
	bool before = t->up;

	if (!t->asked)
		return false;
	t->goods = t->answered ? t->goods + 1 : 0;
	t->misses = t->answered ? 0 : t->misses + 1;
	if (t->misses >= PROBE_MISSES)
		t->up = false;
	if (t->goods >= PROBE_GOODS)
		t->up = true;
	return t->up != before;
}

bool
probe_tick(struct probe *p, monotime_t now)
{
	bool changed = false;

	if (p->count == 0 || p->port == 0 ||
	    monotime_since(p->asked, now) < PROBE_INTERVAL_MS * UINT64_C(1000000))
		return false;
	p->asked = now;
	for (size_t i = 0; i < p->count; i++) {
		changed |= judge(&p->targets[i]);
		ask(p, &p->targets[i]);
	}
	return changed;
}

int
probe_wait_ms(const struct probe *p, monotime_t now, int most)
{
	uint64_t passed = monotime_since(p->asked, now) / 1000000;
	int left;

	if (p->count == 0 || p->port == 0)
		return most;
	left = passed >= PROBE_INTERVAL_MS ? 0 : (int)(PROBE_INTERVAL_MS - passed);
	return left < most ? left : most;
}
