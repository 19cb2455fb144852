/*
 * Which interface an address is behind, and what is known of that.
 */
#include <errno.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "common/ip_socket.h"
#include "enforcer/steer/steer_rtnl.h"

struct hop_found {
	uint32_t interface;
	uint8_t len; /* of the route to it, if that was asked for */
};

static int
hop_seen(const struct nlmsghdr *header, void *arg)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(header);
	struct hop_found *out = arg;
	struct rtnl_attrs a;

	if (rtnl_parse(header, sizeof(*m), &a) && m->rtm_type == RTN_UNICAST &&
	    a.of[RTA_GATEWAY] == NULL && a.of[RTA_VIA] == NULL &&
	    a.of[RTA_MULTIPATH] == NULL)
		*out = (struct hop_found){rtnl_u32(&a, RTA_OIF), m->rtm_dst_len};
	return MNL_CB_OK;
}

static struct hop_found
find_hop(struct rtnl *r, const struct ip_addr *addr, uint32_t flags)
{
	_Alignas(struct nlmsghdr) char data[256];
	struct rtmsg *m;
	struct nlmsghdr *header = rtnl_begin(data, RTM_GETROUTE, 0, sizeof(*m));
	struct hop_found found = {0};

	m = mnl_nlmsg_get_payload(header);
	m->rtm_family = (uint8_t)ip_socket_family(addr->family);
	m->rtm_flags = flags;
	m->rtm_dst_len = (uint8_t)ip_bits(addr->family);
	mnl_attr_put(header, RTA_DST, ip_bytes(addr->family), addr->bytes);
	return rtnl_ask(r, header, hop_seen, &found) == 0 ? found
							  : (struct hop_found){0};
}

uint32_t
steer_on_link(struct rtnl *r, const struct ip_addr *addr)
{
	return find_hop(r, addr, 0).interface;
}

bool
steer_is_alone(struct rtnl *r, const struct ip_addr *addr)
{
	return find_hop(r, addr, RTM_F_FIB_MATCH).len == ip_bits(addr->family);
}

/* ---- links ---- */

struct link_found {
	bool there, by_mark;
	char *name; /* IF_NAMESIZE */
};

/* The attribute of a type within another; NULL. */
static const struct nlattr *
nested(const struct nlattr *in, uint16_t type)
{
	struct rtnl_attrs a;

	if (in == NULL || !rtnl_parse_nested(in, &a))
		return NULL;
	return a.of[type];
}

static int
link_seen(const struct nlmsghdr *header, void *arg)
{
	struct link_found *out = arg;
	const struct nlattr *conf;
	struct rtnl_attrs a;
	uint32_t value;

	if (!rtnl_parse(header, sizeof(struct ifinfomsg), &a) ||
	    !rtnl_name(&a, IFLA_IFNAME, out->name))
		return MNL_CB_OK;
	out->there = true;
	conf = nested(nested(a.of[IFLA_AF_SPEC], AF_INET), IFLA_INET_CONF);
	if (conf != NULL &&
	    mnl_attr_get_payload_len(conf) >= IPV4_DEVCONF_SRC_VMARK * sizeof(value)) {
		memcpy(&value,
		    (const char *)mnl_attr_get_payload(conf) +
			(IPV4_DEVCONF_SRC_VMARK - 1) * sizeof(value),
		    sizeof(value));
		out->by_mark = value != 0;
	}
	return MNL_CB_OK;
}

static struct nlmsghdr *
begin_link(char *data, uint16_t type, uint16_t flags, uint32_t interface)
{
	struct ifinfomsg *m;
	struct nlmsghdr *header = rtnl_begin(data, type, flags, sizeof(*m));

	m = mnl_nlmsg_get_payload(header);
	m->ifi_index = (int)interface;
	return header;
}

bool
steer_link(
    struct rtnl *r, uint32_t interface, char out_name[IF_NAMESIZE], bool *out_by_mark)
{
	_Alignas(struct nlmsghdr) char data[256];
	struct nlmsghdr *header = begin_link(data, RTM_GETLINK, 0, interface);
	struct link_found found = {.name = out_name};

	memset(out_name, 0, IF_NAMESIZE);
	if (rtnl_ask(r, header, link_seen, &found) != 0)
		return false;
	*out_by_mark = found.by_mark;
	return found.there;
}

int
steer_link_by_mark(struct rtnl *r, uint32_t interface)
{
	_Alignas(struct nlmsghdr) char data[256];
	struct nlmsghdr *header = begin_link(data, RTM_SETLINK, NLM_F_ACK, interface);
	struct nlattr *spec = mnl_attr_nest_start(header, IFLA_AF_SPEC);
	struct nlattr *four = mnl_attr_nest_start(header, AF_INET);
	struct nlattr *conf = mnl_attr_nest_start(header, IFLA_INET_CONF);

	mnl_attr_put_u32(header, IPV4_DEVCONF_SRC_VMARK, 1);
	mnl_attr_nest_end(header, conf);
	mnl_attr_nest_end(header, four);
	mnl_attr_nest_end(header, spec);
	return rtnl_ask(r, header, NULL, NULL);
}
