/*
 * What connections there are: conntrack's entries, read one by one from its dump.
 */
#include "enforcer/kernel/conntrack_internal.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

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

static void
read_ports(const struct nlattr *const *attrs, struct tuple *out)
{
	out->src_port = u16_of(attrs[CTA_PROTO_SRC_PORT]);
	out->dst_port = u16_of(attrs[CTA_PROTO_DST_PORT]);
	for (size_t i = 0; i < CONNTRACK_ICMPS; i++) {
		if (conntrack_icmps[i].proto != out->proto)
			continue;
		out->src_port = u16_of(attrs[conntrack_icmps[i].id]);
		out->dst_port = (uint16_t)(u8_of(attrs[conntrack_icmps[i].type]) << 8 |
					   u8_of(attrs[conntrack_icmps[i].code]));
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
	    !read_addr(ips[CTA_IP_V4_DST], ips[CTA_IP_V6_DST], &out->dst) ||
	    out->src.family != out->dst.family)
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

static int
master_seen(const struct nlmsghdr *header, void *arg)
{
	const struct nlattr *attrs[CTA_MAX + 1] = {NULL};
	struct attr_list list = {attrs, CTA_MAX};

	return mnl_attr_parse(header, sizeof(struct nfgenmsg), keep_attr, &list) >= 0 &&
		       read_tuple(attrs[CTA_TUPLE_REPLY], arg)
		   ? MNL_CB_OK
		   : MNL_CB_ERROR;
}

/* Where the connection that this one belongs to ends: what it was translated to, it has been,
 * too. Once that one is gone only its port is not known. */
static void
follow_master(struct conntrack *c, const struct tuple *master, const struct tuple *orig,
    const struct tuple *reply, struct connection *of)
{
	const struct connection which = {
	    .zone = of->zone,
	    .zone_one_way = of->zone_one_way,
	    .proto = master->proto,
	    .src = master->src,
	    .dst = master->dst,
	    .src_port = master->src_port,
	    .dst_port = master->dst_port,
	};
	struct tuple answers = {.proto = 0}; /* an answer may be of no entry */

	if (!conntrack_look_up(c, &which, master_seen, &answers) ||
	    answers.proto != master->proto ||
	    answers.src.family != master->src.family) {
		answers.src_port = master->dst_port;
		answers.src = ip_eq(&orig->dst, &master->dst)    ? reply->src
			      : ip_eq(&reply->dst, &master->dst) ? orig->src
								 : master->dst;
	}
	of->judged.proto = master->proto;
	of->judged.src = master->src;
	of->judged.dst = answers.src;
	of->judged.src_port = master->src_port;
	of->judged.dst_port = answers.src_port;
}

/* The hooks see the first packet after its destination was translated and before its
 * source is: that is where the answers come from. */
static bool
read_connection(
    struct conntrack *c, const struct nlattr *const *attrs, struct connection *out)
{
	struct tuple orig, reply, master;

	if (!read_tuple(attrs[CTA_TUPLE_ORIG], &orig) ||
	    !read_tuple(attrs[CTA_TUPLE_REPLY], &reply) ||
	    orig.src.family != reply.src.family)
		return false;
	*out = (struct connection){
	    .id = u32_of(attrs[CTA_ID]),
	    .zone = orig.has_zone ? orig.zone : u16_of(attrs[CTA_ZONE]),
	    .zone_one_way = orig.has_zone,
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
	    master.src.family == orig.src.family)
		follow_master(c, &master, &orig, &reply, out);
	out->from_node = conntrack_is_own(c, &out->judged.src);
	out->to_node = conntrack_is_own(c, &out->judged.dst);
	return !out->from_node || !out->to_node;
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
		rc = conntrack_receive_part(
		    c, c->list_fd, c->list_seq, skip_seen, NULL, err);
		c->listing = rc > 0;
		if (rc < 0)
			return rc;
	}
	rc = conntrack_read_own(c, err);
	if (rc != 0)
		return rc;
	header = conntrack_begin(c, data, IPCTNL_MSG_CT_GET, NLM_F_DUMP, AF_UNSPEC);
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
		rc = conntrack_receive_part(
		    c, c->list_fd, c->list_seq, entry_seen, &l, err);
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
