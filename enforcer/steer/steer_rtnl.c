#include "enforcer/steer/steer_rtnl.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/ip_socket.h"

void
steer_found_fini(struct steer_found *f)
{
	free(f->rules);
	free(f->routes);
	*f = (struct steer_found){.rules = NULL};
}

/* ---- what is there ---- */

static int
rule_seen(const struct nlmsghdr *header, void *arg)
{
	const struct fib_rule_hdr *m = mnl_nlmsg_get_payload(header);
	struct steer_found *f = arg;
	struct steer_rule *rule;
	struct rtnl_attrs a;
	bool blackhole, lookup;

	if (!rtnl_parse(header, sizeof(*m), &a) ||
	    rtnl_u8(&a, FRA_PROTOCOL) != RTNL_PROTO)
		return MNL_CB_OK;
	if (f->rule_count == f->rule_cap) {
		f->rule_cap = f->rule_cap == 0 ? 16 : 2 * f->rule_cap;
		f->rules = xreallocarray(f->rules, f->rule_cap, sizeof(*f->rules));
	}
	rule = &f->rules[f->rule_count++];
	blackhole = m->action == FR_ACT_BLACKHOLE;
	lookup = m->action == FR_ACT_TO_TBL;
	*rule = (struct steer_rule){
	    .priority = rtnl_u32(&a, FRA_PRIORITY),
	    .mark = rtnl_u32(&a, FRA_FWMARK),
	    .mask = rtnl_u32(&a, FRA_FWMASK),
	    .table = lookup ? rtnl_u32(&a, FRA_TABLE) : 0,
	    .inverted = (m->flags & FIB_RULE_INVERT) != 0,
	    .odd = (!blackhole && !lookup) || m->dst_len != 0 || m->src_len != 0 ||
		   m->tos != 0 || a.of[FRA_OIFNAME] != NULL,
	};
	if (a.of[FRA_IIFNAME] != NULL)
		rule->odd |= !rtnl_name(&a, FRA_IIFNAME, rule->came_by);
	return MNL_CB_OK;
}

static bool
get_addr(const struct nlattr *attr, enum ip_family family, struct ip_addr *out)
{
	if (attr == NULL || mnl_attr_get_payload_len(attr) != ip_bytes(family))
		return false;
	out->family = family;
	memcpy(out->bytes, mnl_attr_get_payload(attr), ip_bytes(family));
	return true;
}

/* IPv6's routes of the cache are nobody's. */
static int
route_seen(const struct nlmsghdr *header, void *arg)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(header);
	struct steer_found *f = arg;
	struct steer_route *out;
	struct rtnl_attrs a;
	enum ip_family family;

	if (!rtnl_parse(header, sizeof(*m), &a) || m->rtm_protocol != RTNL_PROTO ||
	    (m->rtm_flags & RTM_F_CLONED) != 0)
		return MNL_CB_OK;
	if (f->route_count == f->route_cap) {
		f->route_cap = f->route_cap == 0 ? 16 : 2 * f->route_cap;
		f->routes = xreallocarray(f->routes, f->route_cap, sizeof(*f->routes));
	}
	family = m->rtm_family == AF_INET ? IP_V4 : IP_V6;
	out = &f->routes[f->route_count++];
	*out = (struct steer_route){
	    .table = rtnl_u32(&a, RTA_TABLE),
	    .interface = rtnl_u32(&a, RTA_OIF),
	    .metric = rtnl_u32(&a, RTA_PRIORITY),
	    .to = {.addr = {.family = family}, .len = m->rtm_dst_len},
	};
	if (out->table == 0)
		out->table = m->rtm_table;
	(void)get_addr(a.of[RTA_DST], family, &out->to.addr); /* none: everywhere */
	out->odd = !get_addr(a.of[RTA_GATEWAY], family, &out->hop) ||
		   m->rtm_dst_len != 0 || m->rtm_type != RTN_UNICAST ||
		   a.of[RTA_MULTIPATH] != NULL;
	return MNL_CB_OK;
}

static struct nlmsghdr *
begin_route(char *data, uint16_t type, uint16_t flags, enum ip_family family,
    struct rtmsg **out)
{
	struct nlmsghdr *header = rtnl_begin(data, type, flags, sizeof(**out));

	*out = mnl_nlmsg_get_payload(header);
	(*out)->rtm_family = (uint8_t)ip_socket_family(family);
	return header;
}

static struct nlmsghdr *
begin_rule(char *data, uint16_t type, uint16_t flags, enum ip_family family,
    struct fib_rule_hdr **out)
{
	struct nlmsghdr *header = rtnl_begin(data, type, flags, sizeof(**out));

	*out = mnl_nlmsg_get_payload(header);
	(*out)->family = (uint8_t)ip_socket_family(family);
	return header;
}

int
steer_find(struct rtnl *r, enum ip_family family, struct steer_found *f)
{
	_Alignas(struct nlmsghdr) char data[256];
	struct fib_rule_hdr *rule;
	struct nlmsghdr *header;
	struct rtmsg *route;

	f->rule_count = f->route_count = 0;
	header = begin_rule(data, RTM_GETRULE, NLM_F_DUMP, family, &rule);
	if (rtnl_ask(r, header, rule_seen, f) != 0)
		return -1;
	header = begin_route(data, RTM_GETROUTE, NLM_F_DUMP, family, &route);
	/* The kernel chooses where it can (strict checking, Linux 4.20). */
	route->rtm_protocol = RTNL_PROTO;
	return rtnl_ask(r, header, route_seen, f);
}

/* ---- changes ---- */

bool
steer_rule_same(const struct steer_rule *a, const struct steer_rule *b)
{
	return a->priority == b->priority && a->mark == b->mark && a->mask == b->mask &&
	       a->table == b->table && a->inverted == b->inverted && a->odd == b->odd &&
	       strcmp(a->came_by, b->came_by) == 0;
}

int
steer_change_rule(
    struct rtnl *r, bool add, enum ip_family family, const struct steer_rule *rule)
{
	_Alignas(struct nlmsghdr) char data[256];
	struct fib_rule_hdr *m;
	struct nlmsghdr *header = begin_rule(data, add ? RTM_NEWRULE : RTM_DELRULE,
	    (uint16_t)(NLM_F_ACK | (add ? NLM_F_CREATE | NLM_F_EXCL : 0)), family, &m);

	if (!rule->odd) /* else what is ours at that priority is enough to find it */
		m->action = rule->table != 0 ? FR_ACT_TO_TBL : FR_ACT_BLACKHOLE;
	m->flags = rule->inverted ? FIB_RULE_INVERT : 0;
	mnl_attr_put_u32(header, FRA_PRIORITY, rule->priority);
	mnl_attr_put_u32(header, FRA_FWMARK, rule->mark);
	mnl_attr_put_u32(header, FRA_FWMASK, rule->mask);
	if (rule->table != 0)
		mnl_attr_put_u32(header, FRA_TABLE, rule->table);
	if (rule->came_by[0] != '\0')
		mnl_attr_put_strz(header, FRA_IIFNAME, rule->came_by);
	mnl_attr_put_u8(header, FRA_PROTOCOL, RTNL_PROTO);
	return rtnl_ask(r, header, NULL, NULL);
}

static int
change_route(struct rtnl *r, uint16_t type, uint16_t flags, enum ip_family family,
    const struct steer_route *route)
{
	_Alignas(struct nlmsghdr) char data[256];
	struct rtmsg *m;
	struct nlmsghdr *header =
	    begin_route(data, type, (uint16_t)(NLM_F_ACK | flags), family, &m);

	m->rtm_dst_len = route->to.len;
	m->rtm_protocol = RTNL_PROTO;
	m->rtm_scope = type == RTM_DELROUTE ? RT_SCOPE_NOWHERE : RT_SCOPE_UNIVERSE;
	m->rtm_type = type == RTM_DELROUTE ? RTN_UNSPEC : RTN_UNICAST;
	mnl_attr_put_u32(header, RTA_TABLE, route->table);
	if (route->to.len != 0)
		mnl_attr_put(header, RTA_DST, ip_bytes(family), route->to.addr.bytes);
	if (route->hop.family == family)
		mnl_attr_put(header, RTA_GATEWAY, ip_bytes(family), route->hop.bytes);
	if (route->interface != 0)
		mnl_attr_put_u32(header, RTA_OIF, route->interface);
	if (route->metric != 0)
		mnl_attr_put_u32(header, RTA_PRIORITY, route->metric);
	return rtnl_ask(r, header, NULL, NULL);
}

int
steer_set_route(struct rtnl *r, enum ip_family family, const struct steer_route *route)
{
	return change_route(
	    r, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, family, route);
}

int
steer_delete_route(
    struct rtnl *r, enum ip_family family, const struct steer_route *route)
{
	return change_route(r, RTM_DELROUTE, 0, family, route);
}
