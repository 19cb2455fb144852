#include "enforcer/parent/uplinks.h"

#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "enforcer/cni/bridge.h"
#include "enforcer/cni/link.h"

/* A default route is written in halves, too (0.0.0.0/1), or as 2000::/3. */
#define WIDE_BITS 3

struct link_seen {
	uint32_t index;
	struct cni_link is;
	bool routed; /* some route leads there */
	bool uplink;
	bool announced; /* one would be, by a router's word alone */
	bool guests; /* a bridge with ports whose other ends are in other namespaces */
};

struct look {
	struct link_seen *links; /* by their numbers, once all are there */
	size_t count, cap;
};

/* ---- links ---- */

static int
on_link(const struct nlmsghdr *header, void *arg)
{
	struct look *look = arg;
	struct link_seen *l;

	if (header->nlmsg_type != RTM_NEWLINK)
		return MNL_CB_OK;
	if (look->count == look->cap) {
		look->cap = look->cap != 0 ? 2 * look->cap : 64;
		look->links = xreallocarray(look->links, look->cap, sizeof(*l));
	}
	l = &look->links[look->count];
	*l = (struct link_seen){0};
	if (cni_link_parse(
		(struct str){(const char *)header, header->nlmsg_len}, &l->is)) {
		const struct ifinfomsg *info = mnl_nlmsg_get_payload(header);

		l->index = (uint32_t)info->ifi_index;
		look->count++;
	}
	return MNL_CB_OK;
}

static int
by_index(const void *a, const void *b)
{
	const struct link_seen *x = a, *y = b;

	return (x->index > y->index) - (x->index < y->index);
}

static struct link_seen *
find(const struct look *look, uint32_t index)
{
	const struct link_seen key = {.index = index};

	return look->count != 0
		   ? bsearch(&key, look->links, look->count, sizeof(key), by_index)
		   : NULL;
}

/* ---- routes ---- */

/* A route through an interface that is nobody's own; those that the daemon made lead through
 * workloads, too. */
static bool
leads_away(const struct nlmsghdr *header)
{
	const struct rtmsg *route = mnl_nlmsg_get_payload(header);

	return (header->nlmsg_type == RTM_NEWROUTE ||
		   header->nlmsg_type == RTM_DELROUTE) &&
	       mnl_nlmsg_get_payload_len(header) >= sizeof(*route) &&
	       route->rtm_type == RTN_UNICAST && route->rtm_table != RT_TABLE_LOCAL &&
	       route->rtm_protocol != RTNL_PROTO;
}

bool
uplinks_have(const struct nlmsghdr *header)
{
	const struct rtmsg *route = mnl_nlmsg_get_payload(header);

	return leads_away(header) && route->rtm_dst_len <= WIDE_BITS;
}

/* Every interface has the one of IPv6. */
static bool
is_link_local(const struct rtnl_attrs *a)
{
	static const uint8_t fe80[8] = {0xfe, 0x80};
	const struct nlattr *to = a->of[RTA_DST];

	return to != NULL && mnl_attr_get_payload_len(to) == 16 &&
	       memcmp(mnl_attr_get_payload(to), fe80, sizeof(fe80)) == 0;
}

static void
mark(const struct look *look, uint32_t index, const struct nlmsghdr *route)
{
	const struct rtmsg *is = mnl_nlmsg_get_payload(route);
	struct link_seen *l = find(look, index);

	if (l == NULL)
		return; /* it came or went meanwhile, and so the next look is not far */
	l->routed = true;
	if (uplinks_have(route) && is->rtm_protocol == RTPROT_RA)
		l->announced = true;
	else if (uplinks_have(route))
		l->uplink = true;
}

static void
mark_hops(
    const struct look *look, const struct nlattr *hops, const struct nlmsghdr *route)
{
	const uint8_t *at = mnl_attr_get_payload(hops);
	size_t step, left = mnl_attr_get_payload_len(hops);
	struct rtnexthop hop;

	while (left >= sizeof(hop)) {
		memcpy(&hop, at, sizeof(hop));
		if (hop.rtnh_len < sizeof(hop) || hop.rtnh_len > left)
			break;
		mark(look, (uint32_t)hop.rtnh_ifindex, route);
		step = ((size_t)hop.rtnh_len + 3) & ~(size_t)3;
		step = step < left ? step : left;
		at += step;
		left -= step;
	}
}

static int
on_route(const struct nlmsghdr *header, void *arg)
{
	struct rtnl_attrs a;

	if (!leads_away(header) || !rtnl_parse(header, sizeof(struct rtmsg), &a) ||
	    is_link_local(&a))
		return MNL_CB_OK;
	mark(arg, rtnl_u32(&a, RTA_OIF), header);
	if (a.of[RTA_MULTIPATH] != NULL)
		mark_hops(arg, a.of[RTA_MULTIPATH], header);
	return MNL_CB_OK;
}

/* ---- both together ---- */

/* A workload can call itself a router to a node that listens, as one without IPv6 of its own
 * does by default: that makes an uplink only where nothing else makes any. */
static void
believe(const struct look *look)
{
	bool any = false;

	for (size_t i = 0; i < look->count; i++)
		any = any || look->links[i].uplink;
	for (size_t i = 0; i < look->count && !any; i++)
		look->links[i].uplink = look->links[i].announced;
}

/* What comes by an uplink may be seen on what it is on: a VLAN's interface, the other end of a
 * veth within this namespace, and the bridge that this is a port of. */
static void
spread(const struct look *look, uint32_t index)
{
	struct link_seen *l = find(look, index);

	if (l == NULL || l->uplink)
		return;
	l->uplink = true;
	if (!l->is.peer_away)
		spread(look, l->is.peer);
	spread(look, l->is.master);
}

static void
relate(const struct look *look)
{
	for (size_t i = 0; i < look->count; i++) {
		struct link_seen *l = &look->links[i];
		struct link_seen *master = find(look, l->is.master);

		if (master != NULL &&
		    ((strcmp(l->is.kind, "veth") == 0 && l->is.peer_away) ||
			strcmp(l->is.kind, "tun") == 0))
			master->guests = true;
	}
	for (size_t i = 0; i < look->count; i++) {
		if (look->links[i].uplink) {
			look->links[i].uplink = false;
			spread(look, look->links[i].index);
		}
	}
}

/* Names that a program may not bear are nobody's uplink. */
static void
add(char (*names)[IF_NAMESIZE], size_t *count, const char *name)
{
	struct interface_pattern pattern;

	if (*count == UPLINKS_MAX || strchr(name, '*') != NULL ||
	    !interface_pattern_parse(str_from(name), &pattern))
		return;
	memcpy(names[(*count)++], name, IF_NAMESIZE);
}

static bool
is_unrouted(const struct link_seen *l)
{
	return l->guests && !l->routed && !l->uplink &&
	       strcmp(l->is.kind, "bridge") == 0 &&
	       (bridge_filters(&l->is, IP_V4) || bridge_filters(&l->is, IP_V6));
}

static int
ask(struct rtnl *r, uint16_t type, size_t bytes, mnl_cb_t each, struct look *look)
{
	_Alignas(struct nlmsghdr) char data[128];

	return rtnl_ask(r, rtnl_begin(data, type, NLM_F_DUMP, bytes), each, look);
}

int
uplinks_look(struct rtnl *r, struct uplinks *out)
{
	struct look look = {0};
	int rc = ask(r, RTM_GETLINK, sizeof(struct ifinfomsg), on_link, &look);

	*out = (struct uplinks){0};
	if (rc == 0 && look.count != 0) {
		qsort(look.links, look.count, sizeof(*look.links), by_index);
		rc = ask(r, RTM_GETROUTE, sizeof(struct rtmsg), on_route, &look);
	}
	believe(&look);
	relate(&look);
	for (size_t i = 0; i < look.count; i++) {
		if (look.links[i].uplink)
			add(out->names, &out->count, look.links[i].is.name);
		if (is_unrouted(&look.links[i]))
			add(out->unrouted, &out->unrouted_count, look.links[i].is.name);
	}
	free(look.links);
	return rc;
}
