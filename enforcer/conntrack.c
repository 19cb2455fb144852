#include "enforcer/conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/rtnetlink.h>

#include "enforcer/netlink.h"

#define RECEIVE_BYTES  65536
#define ANSWER_S       5    /* the kernel answers while we ask; this is never needed */
#define COMMAND_BYTES  512  /* of one command */
#define COMMANDS       64   /* at a time: their answers wait in the socket */
#define ADOPTED_S      3600 /* without a packet; conntrack counts anew with the first */
#define ADOPTED_STATUS (IPS_CONFIRMED | IPS_SEEN_REPLY | IPS_ASSURED)

struct conntrack {
	int list_fd; /* its dump may be under way */
	int command_fd;
	int route_fd;
	uint32_t seq, list_seq;
	bool listing;
	struct ip_addr *own; /* the node's own addresses, sorted */
	size_t own_count, own_cap;
	_Alignas(struct nlmsghdr) char data[RECEIVE_BYTES];
};

/* ---- sockets ---- */

static int
open_socket(int protocol, int *out_fd, struct err *err)
{
	const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	const struct timeval wait = {.tv_sec = ANSWER_S};
	int size = 1024 * 1024;

	*out_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	if (*out_fd < 0 ||
	    connect(*out_fd, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0 ||
	    setsockopt(*out_fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0)
		return err_sys(err, "netlink socket");
	/* For the answers to COMMANDS; the default has room for them too. */
	(void)setsockopt(*out_fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	return 0;
}

int
conntrack_open(struct conntrack **out_conntrack, struct err *err)
{
	struct conntrack *c = xcalloc(1, sizeof(*c));
	int rc;

	*out_conntrack = NULL;
	c->list_fd = c->command_fd = c->route_fd = -1;
	c->seq = 1;
	rc = open_socket(NETLINK_NETFILTER, &c->list_fd, err);
	if (rc == 0)
		rc = open_socket(NETLINK_NETFILTER, &c->command_fd, err);
	if (rc == 0)
		rc = open_socket(NETLINK_ROUTE, &c->route_fd, err);
	if (rc != 0) {
		conntrack_close(c);
		return rc;
	}
	*out_conntrack = c;
	return 0;
}

void
conntrack_close(struct conntrack *c)
{
	const int fds[] = {
	    c != NULL ? c->list_fd : -1,
	    c != NULL ? c->command_fd : -1,
	    c != NULL ? c->route_fd : -1,
	};

	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		if (fds[i] >= 0)
			(void)close(fds[i]); /* nothing is buffered in them */
	}
	if (c != NULL)
		free(c->own);
	free(c);
}

static struct nlmsghdr *
begin(struct conntrack *c, void *data, uint16_t type, uint16_t flags, uint8_t family)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(data);
	struct nfgenmsg *nfg;

	header->nlmsg_type = (uint16_t)((NFNL_SUBSYS_CTNETLINK << 8) | type);
	header->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	header->nlmsg_seq = c->seq++;
	nfg = mnl_nlmsg_put_extra_header(header, sizeof(*nfg));
	nfg->nfgen_family = family;
	nfg->version = NFNETLINK_V0;
	return header;
}

/* One part of a dump's answer. Returns 1 if more may come, 0 at the end. */
static int
receive_part(struct conntrack *c, int fd, uint32_t seq,
    int (*each)(const struct nlmsghdr *header, void *arg), void *arg, struct err *err)
{
	for (;;) {
		ssize_t n = recv(fd, c->data, sizeof(c->data), 0);
		int rc;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "read a list from the kernel");
		if (!netlink_lengths_hold(c->data, (size_t)n))
			return err_set(err, ERR_PROTOCOL, "a list without an end");
		rc = mnl_cb_run(c->data, (size_t)n, seq, 0, each, arg);
		if (rc < 0 && errno == EPROTO)
			continue; /* left over from an earlier question */
		if (rc < 0)
			return err_sys(err, "a list from the kernel");
		return rc > MNL_CB_STOP;
	}
}

/* ---- the node's own addresses ---- */

static int
address_attr(const struct nlattr *attr, void *arg)
{
	const struct nlattr **attrs = arg;
	uint16_t type = mnl_attr_get_type(attr);

	if (type <= IFA_MAX)
		attrs[type] = attr;
	return MNL_CB_OK;
}

static int
address_seen(const struct nlmsghdr *header, void *arg)
{
	struct conntrack *c = arg;
	const struct ifaddrmsg *message = mnl_nlmsg_get_payload(header);
	const struct nlattr *attrs[IFA_MAX + 1] = {NULL};
	const struct nlattr *own;
	struct ip_addr addr = {
	    .family = message->ifa_family == AF_INET ? IP_V4 : IP_V6};

	if (mnl_nlmsg_get_payload_len(header) < sizeof(*message) ||
	    mnl_attr_parse(header, sizeof(*message), address_attr, attrs) < 0)
		return MNL_CB_OK;
	/* On a point-to-point link IFA_ADDRESS is the other end's. */
	own = attrs[IFA_LOCAL] != NULL ? attrs[IFA_LOCAL] : attrs[IFA_ADDRESS];
	if (own == NULL || mnl_attr_get_payload_len(own) != ip_bytes(addr.family))
		return MNL_CB_OK;
	memcpy(addr.bytes, mnl_attr_get_payload(own), ip_bytes(addr.family));
	if (c->own_count == c->own_cap) {
		c->own_cap = c->own_cap == 0 ? 64 : c->own_cap * 2;
		c->own = xreallocarray(c->own, c->own_cap, sizeof(*c->own));
	}
	c->own[c->own_count++] = addr;
	return MNL_CB_OK;
}

static int
compare_addresses(const void *a, const void *b)
{
	return ip_cmp(a, b);
}

static int
read_own_addresses(struct conntrack *c, struct err *err)
{
	_Alignas(struct nlmsghdr) char data[128];
	struct nlmsghdr *header = mnl_nlmsg_put_header(data);
	struct ifaddrmsg *message;
	int rc;

	c->own_count = 0;
	header->nlmsg_type = RTM_GETADDR;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	header->nlmsg_seq = c->seq++;
	message = mnl_nlmsg_put_extra_header(header, sizeof(*message));
	message->ifa_family = AF_UNSPEC;
	if (send(c->route_fd, header, header->nlmsg_len, 0) < 0)
		return err_sys(err, "ask for the node's addresses");
	do {
		rc = receive_part(
		    c, c->route_fd, header->nlmsg_seq, address_seen, c, err);
	} while (rc > 0);
	if (rc == 0 && c->own_count != 0)
		qsort(c->own, c->own_count, sizeof(*c->own), compare_addresses);
	return rc;
}

static bool
is_own(const struct conntrack *c, const struct ip_addr *addr)
{
	return c->own_count != 0 && bsearch(addr, c->own, c->own_count, sizeof(*c->own),
					compare_addresses) != NULL;
}

/* ---- reading entries ---- */

struct attr_list {
	const struct nlattr **attrs;
	uint16_t most;
};

static int
keep_attr(const struct nlattr *attr, void *arg)
{
	const struct attr_list *list = arg;
	uint16_t type = mnl_attr_get_type(attr);

	if (type <= list->most)
		list->attrs[type] = attr;
	return MNL_CB_OK;
}

/* Collects nested attributes up to `most`; none if there are none. */
static void
nested(const struct nlattr *nest, const struct nlattr **attrs, uint16_t most)
{
	struct attr_list list = {attrs, most};

	memset(attrs, 0, (most + 1u) * sizeof(*attrs));
	if (nest == NULL || mnl_attr_parse_nested(nest, keep_attr, &list) < 0)
		memset(attrs, 0, (most + 1u) * sizeof(*attrs));
}

static uint16_t
u16_of(const struct nlattr *attr)
{
	return attr != NULL && mnl_attr_get_payload_len(attr) == 2
		   ? ntohs(mnl_attr_get_u16(attr))
		   : 0;
}

static uint8_t
u8_of(const struct nlattr *attr)
{
	return attr != NULL && mnl_attr_get_payload_len(attr) == 1
		   ? mnl_attr_get_u8(attr)
		   : 0;
}

static uint32_t
u32_of(const struct nlattr *attr)
{
	return attr != NULL && mnl_attr_get_payload_len(attr) == 4
		   ? ntohl(mnl_attr_get_u32(attr))
		   : 0;
}

static bool
read_addr(const struct nlattr *v4, const struct nlattr *v6, struct ip_addr *out)
{
	const struct nlattr *attr = v4 != NULL ? v4 : v6;

	memset(out, 0, sizeof(*out));
	out->family = v4 != NULL ? IP_V4 : IP_V6;
	if (attr == NULL || mnl_attr_get_payload_len(attr) != ip_bytes(out->family))
		return false;
	memcpy(out->bytes, mnl_attr_get_payload(attr), ip_bytes(out->family));
	return true;
}

struct tuple {
	struct ip_addr src, dst;
	uint8_t proto;
	uint16_t src_port, dst_port; /* as in struct connection */
	bool has_zone;
	uint16_t zone;
};

/* Each type of ICMP's attributes: id, type, code. */
static const struct {
	uint8_t proto;
	uint16_t id, type, code;
} icmps[] = {
    {IPPROTO_ICMP, CTA_PROTO_ICMP_ID, CTA_PROTO_ICMP_TYPE, CTA_PROTO_ICMP_CODE},
    {IPPROTO_ICMPV6, CTA_PROTO_ICMPV6_ID, CTA_PROTO_ICMPV6_TYPE, CTA_PROTO_ICMPV6_CODE},
};

static void
read_ports(const struct nlattr *const *attrs, struct tuple *out)
{
	out->src_port = u16_of(attrs[CTA_PROTO_SRC_PORT]);
	out->dst_port = u16_of(attrs[CTA_PROTO_DST_PORT]);
	for (size_t i = 0; i < ARRAY_LEN(icmps); i++) {
		if (icmps[i].proto != out->proto)
			continue;
		out->src_port = u16_of(attrs[icmps[i].id]);
		out->dst_port = (uint16_t)(u8_of(attrs[icmps[i].type]) << 8 |
					   u8_of(attrs[icmps[i].code]));
	}
}

static bool
read_tuple(const struct nlattr *nest, struct tuple *out)
{
	const struct nlattr *parts[CTA_TUPLE_MAX + 1];
	const struct nlattr *ips[CTA_IP_MAX + 1];
	const struct nlattr *protos[CTA_PROTO_MAX + 1];

	nested(nest, parts, CTA_TUPLE_MAX);
	nested(parts[CTA_TUPLE_IP], ips, CTA_IP_MAX);
	nested(parts[CTA_TUPLE_PROTO], protos, CTA_PROTO_MAX);
	out->has_zone = parts[CTA_TUPLE_ZONE] != NULL;
	out->zone = u16_of(parts[CTA_TUPLE_ZONE]);
	if (protos[CTA_PROTO_NUM] == NULL ||
	    !read_addr(ips[CTA_IP_V4_SRC], ips[CTA_IP_V6_SRC], &out->src) ||
	    !read_addr(ips[CTA_IP_V4_DST], ips[CTA_IP_V6_DST], &out->dst))
		return false;
	out->proto = u8_of(protos[CTA_PROTO_NUM]);
	read_ports(protos, out);
	return true;
}

struct lister {
	struct conntrack *c;
	struct connection *list;
	size_t count;
	bool overrun;
};

/* The hooks see the first packet after its destination was translated and before its
 * source is: that is where the answers come from. */
static bool
read_connection(const struct conntrack *c, const struct nlattr *const *attrs,
    struct connection *out)
{
	struct tuple orig, reply, master;

	if (!read_tuple(attrs[CTA_TUPLE_ORIG], &orig) ||
	    !read_tuple(attrs[CTA_TUPLE_REPLY], &reply) ||
	    orig.src.family != reply.src.family || is_own(c, &orig.src))
		return false;
	*out = (struct connection){
	    .id = u32_of(attrs[CTA_ID]),
	    .zone = orig.has_zone ? orig.zone : u16_of(attrs[CTA_ZONE]),
	    .zone_one_way = orig.has_zone,
	    .to_node = is_own(c, &reply.src),
	    .proto = orig.proto,
	    .src = orig.src,
	    .dst = orig.dst,
	    .src_port = orig.src_port,
	    .dst_port = orig.dst_port,
	    .judged = {orig.proto, orig.src, reply.src, orig.src_port, reply.src_port},
	};
	if (connection_is_icmp(orig.proto))
		out->judged.src_port = out->judged.dst_port = 0;
	if (attrs[CTA_TUPLE_MASTER] != NULL &&
	    read_tuple(attrs[CTA_TUPLE_MASTER], &master) &&
	    master.src.family == orig.src.family) {
		out->judged.proto = master.proto;
		out->judged.src = master.src;
		out->judged.dst = master.dst;
		out->judged.src_port = master.src_port;
		out->judged.dst_port = master.dst_port;
		out->to_node = is_own(c, &master.dst);
	}
	return true;
}

static int
entry_seen(const struct nlmsghdr *header, void *arg)
{
	struct lister *l = arg;
	const struct nlattr *attrs[CTA_MAX + 1] = {NULL};
	struct attr_list list = {attrs, CTA_MAX};

	if (mnl_attr_parse(header, sizeof(struct nfgenmsg), keep_attr, &list) < 0)
		return MNL_CB_OK;
	if (l->count == CONNECTIONS_MOST) {
		l->overrun = true;
		return MNL_CB_OK;
	}
	if (read_connection(l->c, attrs, &l->list[l->count]))
		l->count++;
	return MNL_CB_OK;
}

static int
skip_seen(const struct nlmsghdr *header, void *arg)
{
	(void)header;
	(void)arg; /* of a list that nobody wants any more */
	return MNL_CB_OK;
}

static int
begin_list(struct conntrack *c, struct err *err)
{
	_Alignas(struct nlmsghdr) char data[128];
	struct nlmsghdr *header;
	int rc;

	while (c->listing) {
		rc = receive_part(c, c->list_fd, c->list_seq, skip_seen, NULL, err);
		c->listing = rc > 0;
		if (rc < 0)
			return rc;
	}
	rc = read_own_addresses(c, err);
	if (rc != 0)
		return rc;
	header = begin(c, data, IPCTNL_MSG_CT_GET, NLM_F_DUMP, AF_UNSPEC);
	c->list_seq = header->nlmsg_seq;
	if (send(c->list_fd, header, header->nlmsg_len, 0) < 0)
		return err_sys(err, "ask for connections");
	c->listing = true;
	return 0;
}

int
conntrack_list(struct conntrack *c, bool first, struct connection *out_list,
    size_t *out_count, bool *out_done, struct err *err)
{
	struct lister l = {.c = c, .list = out_list};
	int rc = first ? begin_list(c, err) : 0;

	*out_count = 0;
	*out_done = true;
	if (rc != 0)
		return rc;
	while (c->listing && l.count < CONNECTIONS_SOME) {
		rc = receive_part(c, c->list_fd, c->list_seq, entry_seen, &l, err);
		c->listing = rc > 0;
		if (rc < 0)
			return rc;
	}
	/* The kernel's parts are of 32 KiB at most, and an entry takes more than 100. */
	if (l.overrun)
		return err_set(err, ERR_LIMIT, "too many connections in one answer");
	*out_count = l.count;
	*out_done = !c->listing;
	return 0;
}

/* ---- commands ---- */

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
	for (size_t i = 0; i < ARRAY_LEN(icmps); i++) {
		if (icmps[i].proto != proto)
			continue;
		mnl_attr_put_u16(header, icmps[i].id, htons(src_port));
		mnl_attr_put_u8(header, icmps[i].type, (uint8_t)(dst_port >> 8));
		mnl_attr_put_u8(header, icmps[i].code, (uint8_t)dst_port);
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
build_end(struct nlmsghdr *header, const struct connection *from)
{
	put_tuple(header, from, false);
	if (from->zone != 0 && !from->zone_one_way)
		mnl_attr_put_u16(header, CTA_ZONE, htons(from->zone));
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
			header = begin(c, bytes.data + bytes.len, command->type,
			    command->flags,
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
