/*
 * The engine's part: netlink messages to packets. What is in them was sent by whoever can
 * send packets, so nothing is believed about lengths.
 */
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <netinet/in.h>
#include <string.h>

#include <libmnl/libmnl.h>

#include "common/str.h"
#include "enforcer/kernel/nflog.h"
#include "enforcer/wire/connection.h"

#define IPV4_BYTES 20
#define IPV6_BYTES 40
#define EXT_MAX    8 /* IPv6 extension headers */

static uint16_t
get_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* ---- IP ---- */

/* `rest` is what follows the IP headers, of the first fragment. */
static void
parse_transport(const uint8_t *rest, size_t len, struct nflog_packet *out)
{
	out->rest = rest;
	out->rest_bytes = len;
	if (len < 4 || !connection_has_ports(out->proto))
		return;
	out->has_ports = true;
	out->src_port = get_be16(rest);
	out->dst_port = get_be16(rest + 2);
}

static bool
parse_ipv4(const uint8_t *data, size_t len, struct nflog_packet *out)
{
	size_t header;

	if (len < IPV4_BYTES)
		return false;
	header = (size_t)(data[0] & 15) * 4;
	if (header < IPV4_BYTES)
		return false;
	out->src.family = out->dst.family = IP_V4;
	memcpy(out->src.bytes, data + 12, 4);
	memcpy(out->dst.bytes, data + 16, 4);
	out->proto = data[9];
	if ((get_be16(data + 6) & 0x1fff) == 0 && len > header)
		parse_transport(data + header, len - header, out);
	return true;
}

/* Bytes of an extension header at `p`; 0 if it is none, or its length is not there. */
static size_t
extension_bytes(uint8_t kind, const uint8_t *p, size_t len)
{
	if (len < 2)
		return 0;
	switch (kind) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
		return ((size_t)p[1] + 1) * 8;
	case IPPROTO_FRAGMENT:
		return 8;
	case IPPROTO_AH:
		return ((size_t)p[1] + 2) * 4;
	default:
		return 0;
	}
}

static bool
parse_ipv6(const uint8_t *data, size_t len, struct nflog_packet *out)
{
	size_t at = IPV6_BYTES;

	if (len < IPV6_BYTES)
		return false;
	out->src.family = out->dst.family = IP_V6;
	memcpy(out->src.bytes, data + 8, 16);
	memcpy(out->dst.bytes, data + 24, 16);
	out->proto = data[6];
	for (unsigned n = 0; n < EXT_MAX && at < len; n++) {
		size_t bytes = extension_bytes(out->proto, data + at, len - at);

		if (bytes == 0) {
			parse_transport(data + at, len - at, out);
			break;
		}
		/* A later fragment has no transport header. */
		if (out->proto == IPPROTO_FRAGMENT &&
		    (len - at < 4 || (get_be16(data + at + 2) & 0xfff8) != 0)) {
			out->proto = data[at];
			break;
		}
		out->proto = data[at];
		at += bytes;
	}
	return true;
}

bool
nflog_parse_ip(const uint8_t *data, size_t len, struct nflog_packet *out_packet)
{
	if (len == 0)
		return false;
	switch (data[0] >> 4) {
	case 4:
		return parse_ipv4(data, len, out_packet);
	case 6:
		return parse_ipv6(data, len, out_packet);
	default:
		return false;
	}
}

/* ---- netlink ---- */

struct attributes {
	const struct nlattr *payload, *prefix, *seq, *head;
};

static int
note_attribute(const struct nlattr *attr, void *arg)
{
	struct attributes *a = arg;

	switch (mnl_attr_get_type(attr)) {
	case NFULA_PAYLOAD:
		a->payload = attr;
		break;
	case NFULA_PREFIX:
		a->prefix = attr;
		break;
	case NFULA_PACKET_HDR:
		a->head = attr;
		break;
	case NFULA_SEQ:
		a->seq = attr;
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

static bool
parse_number(const struct nlattr *attr, uint32_t *out_number)
{
	const char *text;
	uint64_t number;
	size_t len;

	if (attr == NULL)
		return false;
	text = mnl_attr_get_payload(attr);
	len = strnlen(text, mnl_attr_get_payload_len(attr));
	if (!str_to_u64((struct str){text, len}, UINT32_MAX, &number))
		return false;
	*out_number = (uint32_t)number;
	return true;
}

static bool
parse_message(const struct nlmsghdr *header, struct nflog_packet *out)
{
	struct attributes a = {.payload = NULL};
	struct nfulnl_msg_packet_hdr head;
	uint32_t seq;

	if (header->nlmsg_type != ((NFNL_SUBSYS_ULOG << 8) | NFULNL_MSG_PACKET) ||
	    mnl_nlmsg_get_payload_len(header) < sizeof(struct nfgenmsg) ||
	    mnl_attr_parse(header, sizeof(struct nfgenmsg), note_attribute, &a) !=
		MNL_CB_OK ||
	    a.payload == NULL || !parse_number(a.prefix, &out->number))
		return false;
	if (a.seq != NULL && mnl_attr_get_payload_len(a.seq) == sizeof(seq)) {
		memcpy(&seq, mnl_attr_get_payload(a.seq), sizeof(seq));
		out->has_seq = true;
		out->seq = ntohl(seq);
	}
	if (a.head != NULL && mnl_attr_get_payload_len(a.head) == sizeof(head)) {
		memcpy(&head, mnl_attr_get_payload(a.head), sizeof(head));
		out->to_node = head.hook == NF_INET_LOCAL_IN;
		out->from_node = head.hook == NF_INET_LOCAL_OUT;
	}
	return nflog_parse_ip(
	    mnl_attr_get_payload(a.payload), mnl_attr_get_payload_len(a.payload), out);
}

size_t
nflog_read(const uint8_t *data, size_t len, nflog_packet_fn each, void *arg)
{
	const struct nlmsghdr *header = (const void *)data;
	int left = len > INT32_MAX ? INT32_MAX : (int)len;
	size_t unknown = 0;

	/* libmnl compares the length as a signed number. */
	while (mnl_nlmsg_ok(header, left) && header->nlmsg_len <= (uint32_t)left) {
		struct nflog_packet packet = {.number = 0};

		if (parse_message(header, &packet))
			each(arg, &packet);
		else if (header->nlmsg_type >= NLMSG_MIN_TYPE)
			unknown++; /* not ends and errors of the protocol itself */
		header = mnl_nlmsg_next(header, &left);
	}
	return unknown;
}
