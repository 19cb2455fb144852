#include "enforcer/steer/steer.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "enforcer/kernel/netlink.h"
#include "enforcer/steer/steer_internal.h"

#define NEWS_MOST 64 /* messages at a time */

int
steer_open(struct steer **out_steer, const struct steering *config, struct probe *probe,
    struct err *err)
{
	const struct sockaddr_nl groups = {
	    .nl_family = AF_NETLINK,
	    .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
			 RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE | RTMGRP_IPV4_RULE |
			 1u << (RTNLGRP_IPV6_RULE - 1),
	};
	struct steer *s = xcalloc(1, sizeof(*s));
	int on = 1;

	*out_steer = s;
	s->config = config;
	s->probe = probe;
	s->news = -1;
	if (rtnl_open(&s->rtnl, err) != 0)
		return ERR_SYSTEM;
	/* Where it is not known the kernel lists what others have, too. */
	(void)setsockopt(
	    s->rtnl.fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	if (config->mask == 0)
		return 0;
	s->news =
	    socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (s->news < 0 ||
	    bind(s->news, (const struct sockaddr *)&groups, sizeof(groups)) < 0)
		return err_sys(err, "rtnetlink news");
	return 0;
}

void
steer_close(struct steer *s)
{
	if (s == NULL)
		return;
	rtnl_close(&s->rtnl);
	if (s->news >= 0)
		(void)close(s->news); /* nothing is buffered */
	steer_found_fini(&s->found);
	free(s);
}

int
steer_tend(struct steer *s, struct err *err)
{
	int rc = 0;

	if (!s->told)
		return 0;
	for (unsigned f = 0; f < STEER_FAMILIES; f++) {
		int failed = steer_tend_family(s, f);

		if (failed != 0) {
			errno = failed;
			rc = err_sys(err, "routes of ways, IPv%u", f == 0 ? 4u : 6u);
		}
	}
	return rc;
}

/* ---- what others do ---- */

int
steer_fd(const struct steer *s)
{
	return s->news;
}

static bool
is_our_table(const struct steer *s, const struct nlmsghdr *header)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(header);
	struct rtnl_attrs a;
	uint32_t table;

	if (!rtnl_parse(header, sizeof(*m), &a))
		return true;
	table = rtnl_u32(&a, RTA_TABLE);
	return table - s->config->first_table < s->config->way_count;
}

/* A router's table may change very often: of routes only ours matter, and that a hop is no
 * neighbour any more is found out at the latest when all is looked at. */
static bool
matters(const struct steer *s, const struct nlmsghdr *header)
{
	if (header->nlmsg_type == RTM_NEWROUTE || header->nlmsg_type == RTM_DELROUTE)
		return is_our_table(s, header);
	return true;
}

bool
steer_news(struct steer *s)
{
	_Alignas(struct nlmsghdr) char data[8192];
	bool dirty = false;

	for (unsigned i = 0; s->news >= 0 && i < NEWS_MOST; i++) {
		ssize_t n = recv(s->news, data, sizeof(data), 0);
		const struct nlmsghdr *header = (const struct nlmsghdr *)data;
		int left = (int)n;

		if (n < 0 && errno == ENOBUFS)
			dirty = true; /* some of it is lost */
		else if (n <= 0)
			break;
		else if (!netlink_lengths_hold(data, (size_t)n))
			return s->told; /* nobody knows what it says */
		for (; n > 0 && mnl_nlmsg_ok(header, left);
		     header = mnl_nlmsg_next(header, &left))
			dirty |= matters(s, header);
	}
	return dirty && s->told;
}

/* ---- what there is to tell ---- */

bool
steer_changed(struct steer *s)
{
	bool changed = s->changed;

	s->changed = false;
	return changed;
}

void
steer_put(const struct steer *s, struct buf *out)
{
	uint32_t count = 0;

	for (uint32_t n = 0; n < s->config->way_count; n++)
		count += s->ways[n].used;
	proc_put_u32(out, count);
	for (uint32_t n = 0; n < s->config->way_count; n++) {
		if (!s->ways[n].used)
			continue;
		proc_put_u32(out, n + 1);
		for (unsigned f = 0; f < STEER_FAMILIES; f++) {
			proc_put_u8(out, (uint8_t)s->now[n][f].state);
			proc_put_u8(out, s->now[n][f].hop);
		}
	}
}
