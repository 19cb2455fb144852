/*
 * Commands to conntrack, many at a time: entries that end, and entries that are made.
 */
#include "enforcer/kernel/conntrack_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "enforcer/kernel/netlink.h"

#define COMMAND_BYTES  512  /* of one command */
#define ENTRY_BYTES    4096 /* of one connection as the kernel tells it */
#define COMMANDS       64   /* at a time: their answers wait in the socket */
#define ADOPTED_S      3600 /* without a packet; conntrack counts anew with the first */
#define ADOPTED_STATUS (IPS_CONFIRMED | IPS_SEEN_REPLY | IPS_ASSURED)

static void
put_addr(struct nlmsghdr *header, bool source, const struct ip_addr *addr)
{
	uint16_t type = addr->family == IP_V4
			    ? (source ? CTA_IP_V4_SRC : CTA_IP_V4_DST)
			    : (source ? CTA_IP_V6_SRC : CTA_IP_V6_DST);

	mnl_attr_put(header, type, ip_bytes(addr->family), addr->bytes);
}

static void
put_ports(struct nlmsghdr *header, uint8_t proto, uint16_t src_port, uint16_t dst_port)
{
	for (size_t i = 0; i < CONNTRACK_ICMPS; i++) {
		if (conntrack_icmps[i].proto != proto)
			continue;
		mnl_attr_put_u16(header, conntrack_icmps[i].id, htons(src_port));
		mnl_attr_put_u8(
		    header, conntrack_icmps[i].type, (uint8_t)(dst_port >> 8));
		mnl_attr_put_u8(header, conntrack_icmps[i].code, (uint8_t)dst_port);
		return;
	}
	mnl_attr_put_u16(header, CTA_PROTO_SRC_PORT, htons(src_port));
	mnl_attr_put_u16(header, CTA_PROTO_DST_PORT, htons(dst_port));
}

/* `reply`: the other way round. */
static void
put_tuple(struct nlmsghdr *header, const struct connection *c, bool reply)
{
	struct nlattr *nest =
	    mnl_attr_nest_start(header, reply ? CTA_TUPLE_REPLY : CTA_TUPLE_ORIG);
	struct nlattr *part = mnl_attr_nest_start(header, CTA_TUPLE_IP);

	put_addr(header, true, reply ? &c->dst : &c->src);
	put_addr(header, false, reply ? &c->src : &c->dst);
	mnl_attr_nest_end(header, part);
	part = mnl_attr_nest_start(header, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(header, CTA_PROTO_NUM, c->proto);
	put_ports(header, c->proto, reply ? c->dst_port : c->src_port,
	    reply ? c->src_port : c->dst_port);
	mnl_attr_nest_end(header, part);
	if (c->zone_one_way && !reply)
		mnl_attr_put_u16(header, CTA_TUPLE_ZONE, htons(c->zone));
	mnl_attr_nest_end(header, nest);
}

static void
put_begun(struct nlmsghdr *header, const struct connection *from)
{
	put_tuple(header, from, false);
	if (from->zone != 0 && !from->zone_one_way)
		mnl_attr_put_u16(header, CTA_ZONE, htons(from->zone));
}

static void
build_end(struct nlmsghdr *header, const struct connection *from)
{
	put_begun(header, from);
	mnl_attr_put_u32(header, CTA_ID, htonl(from->id));
}

/* Its window is not known: whatever comes next is taken as it is. */
static void
build_adopt(struct nlmsghdr *header, const struct connection *from)
{
	static const struct nf_ct_tcp_flags liberal = {
	    .flags = IP_CT_TCP_FLAG_BE_LIBERAL, .mask = IP_CT_TCP_FLAG_BE_LIBERAL};
	struct nlattr *nest, *tcp;

	put_tuple(header, from, false);
	put_tuple(header, from, true);
	mnl_attr_put_u32(header, CTA_STATUS, htonl(ADOPTED_STATUS));
	mnl_attr_put_u32(header, CTA_TIMEOUT, htonl(ADOPTED_S));
	nest = mnl_attr_nest_start(header, CTA_PROTOINFO);
	tcp = mnl_attr_nest_start(header, CTA_PROTOINFO_TCP);
	mnl_attr_put_u8(header, CTA_PROTOINFO_TCP_STATE, TCP_CONNTRACK_ESTABLISHED);
	mnl_attr_put(
	    header, CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, sizeof(liberal), &liberal);
	mnl_attr_put(header, CTA_PROTOINFO_TCP_FLAGS_REPLY, sizeof(liberal), &liberal);
	mnl_attr_nest_end(header, tcp);
	mnl_attr_nest_end(header, nest);
}

struct command {
	uint16_t type, flags;
	int expected; /* an errno that says that nothing was to be done */
	void (*build)(struct nlmsghdr *header, const struct connection *from);
};

static const struct command end_command = {
    IPCTNL_MSG_CT_DELETE, NLM_F_ACK, ENOENT, build_end};
static const struct command adopt_command = {
    IPCTNL_MSG_CT_NEW, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, EEXIST, build_adopt};

/* The answers to commands `first` to before `last`, which wait in the socket already. */
static int
read_answers(struct conntrack *c, const struct command *command, uint32_t first,
    uint32_t last, bool *out_done, struct err *err)
{
	uint32_t answered = 0;
	int failed = 0;

	while (answered < last - first) {
		ssize_t n = recv(c->command_fd, c->data, sizeof(c->data), 0);
		int rest = (int)n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "answers of conntrack");
		if (!netlink_lengths_hold(c->data, (size_t)n))
			return err_set(err, ERR_PROTOCOL, "an answer without an end");
		for (const struct nlmsghdr *h =
			 (const struct nlmsghdr *)(void *)c->data;
		     mnl_nlmsg_ok(h, rest); h = mnl_nlmsg_next(h, &rest)) {
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);

			if (h->nlmsg_type != NLMSG_ERROR ||
			    mnl_nlmsg_get_payload_len(h) < sizeof(*e) ||
			    h->nlmsg_seq - first >= last - first)
				continue;
			answered++;
			out_done[h->nlmsg_seq - first] = e->error == 0;
			if (e->error != 0 && e->error != -command->expected)
				failed = -e->error;
		}
	}
	errno = failed;
	return failed == 0 ? 0 : err_sys(err, "conntrack refused a command");
}

static int
run(struct conntrack *c, const struct command *command, const struct connection *list,
    size_t count, bool *out_done, struct err *err)
{
	struct buf bytes = {0};
	int rc = 0;

	memset(out_done, 0, count * sizeof(*out_done));
	for (size_t i = 0; i < count && rc == 0;) {
		uint32_t first = c->seq;
		bool *done = out_done + i;

		buf_clear(&bytes);
		for (size_t n = 0; n < COMMANDS && i < count; n++, i++) {
			struct nlmsghdr *header;

			buf_reserve(&bytes, COMMAND_BYTES);
			header = conntrack_begin(c, bytes.data + bytes.len,
			    command->type, command->flags,
			    list[i].src.family == IP_V4 ? AF_INET : AF_INET6);
			command->build(header, &list[i]);
			bytes.len += (header->nlmsg_len + 3u) & ~3u;
		}
		if (send(c->command_fd, bytes.data, bytes.len, 0) < 0)
			rc = err_sys(err, "commands to conntrack");
		else
			rc = read_answers(c, command, first, c->seq, done, err);
	}
	buf_free(&bytes);
	return rc;
}

int
conntrack_end(struct conntrack *c, const struct connection *list, size_t count,
    bool *out_done, struct err *err)
{
	return run(c, &end_command, list, count, out_done, err);
}

int
conntrack_adopt(struct conntrack *c, const struct connection *list, size_t count,
    bool *out_done, struct err *err)
{
	return run(c, &adopt_command, list, count, out_done, err);
}

bool
conntrack_look_up(struct conntrack *c, const struct connection *which,
    int (*each)(const struct nlmsghdr *header, void *arg), void *arg)
{
	_Alignas(struct nlmsghdr) char data[ENTRY_BYTES]; /* a list may be in c->data */
	struct nlmsghdr *header = conntrack_begin(c, data, IPCTNL_MSG_CT_GET, 0,
	    which->src.family == IP_V4 ? AF_INET : AF_INET6);
	const uint32_t seq = header->nlmsg_seq;
	ssize_t n;

	put_begun(header, which);
	if (send(c->command_fd, header, header->nlmsg_len, 0) < 0)
		return false;
	do {
		n = recv(c->command_fd, data, sizeof(data), 0);
	} while (n < 0 && errno == EINTR);
	return n >= 0 && netlink_lengths_hold(data, (size_t)n) &&
	       mnl_cb_run(data, (size_t)n, seq, 0, each, arg) >= 0;
}
