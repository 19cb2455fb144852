/*
 * Interfaces by which others than workloads come, which the engine is told of: sources that are
 * validated are not asked for there. Looked at when a route changes that makes one, and, because
 * the kernel does not tell of all, twice a minute. The kernel's news of addresses come here, too.
 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "enforcer/kernel/netlink.h"
#include "enforcer/parent/parent_state.h"
#include "enforcer/parent/uplinks.h"

#define LOOK_MS   30000
#define SETTLE_MS 100 /* they come several at a time */

void
parent_uplinks_tell(struct parent *p)
{
	if (p->uplinks.len != 0)
		parent_send(p, ROLE_ENGINE, MSG_UPLINKS, &p->uplinks, -1);
}

static bool
is_workloads(const struct enforcer_config *c, const char *name)
{
	for (size_t i = 0; i < c->workload_interface_count; i++) {
		if (interface_pattern_has(&c->workload_interfaces[i], name))
			return true;
	}
	return false;
}

static void
put(struct buf *out, const char (*names)[IF_NAMESIZE], size_t count)
{
	proc_put_u32(out, (uint32_t)count);
	for (size_t i = 0; i < count; i++)
		proc_put_str(out, str_from(names[i]));
}

static void
say(const struct uplinks *u)
{
	struct buf names = {0};

	for (size_t i = 0; i < u->count; i++)
		buf_printf(&names, "%s%s", i != 0 ? "," : "", u->names[i]);
	log_info("uplinks", "interfaces=%s", log_quote(buf_str(&names)));
	buf_free(&names);
	for (size_t i = 0; i < u->unrouted_count; i++)
		log_warn("unrouted",
		    "bridge=%s message=\"no route leads to it: what its workloads send "
		    "is "
		    "dropped as spoofed; give it an address, or set sourceValidation: "
		    "none\"",
		    log_quote(str_from(u->unrouted[i])));
}

static bool
validates(const struct enforcer_config *c)
{
	return c->validate_sources && c->boot_closed &&
	       (c->workload_network_count != 0 || c->workload_interface_count != 0);
}

static int
ask(struct rtnl *r, void *out)
{
	return uplinks_look(r, out);
}

/* What cannot be looked at is as it was. */
void
parent_uplinks_look(struct parent *p)
{
	struct uplinks u = {0};
	struct buf body = {0};
	size_t kept = 0;
	const bool ok = !validates(p->config) || rtnl_look(ask, &u);

	for (size_t i = 0; i < u.count; i++) {
		if (!is_workloads(p->config, u.names[i]))
			memmove(u.names[kept++], u.names[i], IF_NAMESIZE);
	}
	u.count = kept;
	put(&body, (const char(*)[IF_NAMESIZE])u.names, u.count);
	put(&body, (const char(*)[IF_NAMESIZE])u.unrouted, u.unrouted_count);
	if (!ok || p->stopping || str_eq(buf_str(&body), buf_str(&p->uplinks))) {
		buf_free(&body);
		return;
	}
	if (validates(p->config))
		say(&u);
	buf_free(&p->uplinks);
	p->uplinks = body;
	parent_uplinks_tell(p);
}

/* ---- when ---- */

static void
on_look(uv_timer_t *timer)
{
	parent_uplinks_look(timer->data);
}

struct news {
	bool routes, addresses;
};

static int
on_change(const struct nlmsghdr *header, void *arg)
{
	struct news *news = arg;

	news->addresses |=
	    header->nlmsg_type == RTM_NEWADDR || header->nlmsg_type == RTM_DELADDR;
	news->routes = news->routes || uplinks_have(header);
	return MNL_CB_OK;
}

static void on_news(uv_poll_t *poll, int status, int events);

static void
watch_routes(struct parent *p)
{
	if (uv_poll_start(&p->route_watch, UV_READABLE, on_news) != 0)
		base_die("cannot watch routes");
}

static void
on_news(uv_poll_t *poll, int status, int events)
{
	_Alignas(struct nlmsghdr) char data[16 * 1024];
	const bool broken = status < 0 || (events & UV_READABLE) == 0;
	struct news news = {broken, broken};
	struct parent *p = poll->data;
	ssize_t n;

	while ((n = recv(p->route_fd, data, sizeof(data), MSG_DONTWAIT)) > 0 ||
	       (n < 0 && (errno == ENOBUFS || errno == EINTR))) {
		if (n < 0 || !netlink_lengths_hold(data, (size_t)n) ||
		    mnl_cb_run(data, (size_t)n, 0, 0, on_change, &news) < 0)
			news = (struct news){true, true}; /* some were lost, or odd */
	}
	if (news.addresses)
		parent_own_changed(p);
	if (news.routes && uv_timer_get_due_in(&p->uplinks_timer) > SETTLE_MS &&
	    uv_timer_start(&p->uplinks_timer, on_look, SETTLE_MS, LOOK_MS) != 0)
		base_die("cannot start a timer");
	/* Where news were lost the socket has an error, at which libuv watches no longer. */
	if (status < 0)
		watch_routes(p);
}

void
parent_uplinks_init(struct parent *p)
{
	const struct sockaddr_nl routes = {.nl_family = AF_NETLINK,
	    .nl_groups = RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE | RTMGRP_IPV4_IFADDR |
			 RTMGRP_IPV6_IFADDR};

	p->uplinks_timer.data = p->route_watch.data = p;
	p->route_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (uv_timer_init(&p->loop, &p->uplinks_timer) != 0 ||
	    uv_timer_start(&p->uplinks_timer, on_look, LOOK_MS, LOOK_MS) != 0 ||
	    p->route_fd < 0 ||
	    bind(p->route_fd, (const struct sockaddr *)&routes, sizeof(routes)) < 0 ||
	    uv_poll_init(&p->loop, &p->route_watch, p->route_fd) != 0)
		base_die("cannot watch routes");
	watch_routes(p);
}

void
parent_uplinks_fini(struct parent *p)
{
	uv_close((uv_handle_t *)&p->uplinks_timer, NULL);
	uv_close((uv_handle_t *)&p->route_watch, NULL);
	(void)close(p->route_fd); /* only read from */
	buf_free(&p->uplinks);
}
