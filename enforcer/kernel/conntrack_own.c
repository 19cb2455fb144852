/*
 * The node's own addresses, by rtnetlink: where a connection began and where it ends says
 * which hooks saw it.
 */
#include "enforcer/kernel/conntrack_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/rtnetlink.h>

#define TIMES_MOST 4 /* that addresses change while they are listed */

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
	struct ip_addr addr = {0};

	if (mnl_nlmsg_get_payload_len(header) < sizeof(*message) ||
	    mnl_attr_parse(header, sizeof(*message), address_attr, attrs) < 0)
		return MNL_CB_OK;
	addr.family = message->ifa_family == AF_INET ? IP_V4 : IP_V6;
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
list_own(struct conntrack *c, struct err *err)
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
		rc = conntrack_receive_part(
		    c, c->route_fd, header->nlmsg_seq, address_seen, c, err);
	} while (rc > 0);
	return rc;
}

int
conntrack_read_own(struct conntrack *c, struct err *err)
{
	unsigned times = 0;
	int rc;

	do
		rc = list_own(c, err);
	while (rc == ERR_STALE && ++times < TIMES_MOST);
	if (rc == 0 && c->own_count != 0)
		qsort(c->own, c->own_count, sizeof(*c->own), ip_order);
	return rc;
}

bool
conntrack_is_own(const struct conntrack *c, const struct ip_addr *addr)
{
	return c->own_count != 0 &&
	       bsearch(addr, c->own, c->own_count, sizeof(*c->own), ip_order) != NULL;
}
