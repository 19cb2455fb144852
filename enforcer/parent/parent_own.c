/*
 * Addresses of the node itself, which the engine is told of: a peer of policy that takes in this
 * node takes in these, too. Looked at when an address comes or goes, and twice a minute.
 */
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/log.h"
#include "enforcer/parent/parent_state.h"
#include "enforcer/steer/rtnl.h"

#define LOOK_MS   30000
#define SETTLE_MS 100 /* they come several at a time */
/* Where kube-proxy puts the addresses of Services, which lead elsewhere. */
#define SERVICES "kube-ipvs0"

struct own {
	uint32_t services; /* number of that interface; 0: there is none */
	size_t count, cap;
	struct ip_addr *addrs;
};

/* What another interface may have, too, or nobody reaches from elsewhere. */
static bool
is_special(const struct ip_addr *addr)
{
	static const struct ip_prefix special[] = {
	    {{IP_V4, {127}}, 8},
	    {{IP_V4, {169, 254}}, 16},
	    {{IP_V4, {224}}, 3},
	    {{IP_V6, {[15] = 1}}, 128},
	    {{IP_V6, {0xfe, 0x80}}, 10},
	    {{IP_V6, {0xff}}, 8},
	};

	for (size_t i = 0; i < ARRAY_LEN(special); i++) {
		if (ip_in_prefix(addr, &special[i]))
			return true;
	}
	return false;
}

static int
on_address(const struct nlmsghdr *header, void *arg)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(header);
	struct own *own = arg;
	struct ip_addr addr = {.family = IP_V6};
	struct rtnl_attrs a;
	const struct nlattr *attr;

	if (header->nlmsg_type != RTM_NEWADDR || !rtnl_parse(header, sizeof(*m), &a) ||
	    (m->ifa_flags & IFA_F_DADFAILED) != 0 ||
	    (own->services != 0 && m->ifa_index == own->services))
		return MNL_CB_OK;
	if (m->ifa_family == AF_INET)
		addr.family = IP_V4;
	/* On a point-to-point link IFA_ADDRESS is the other end's. */
	attr = a.of[IFA_LOCAL] != NULL ? a.of[IFA_LOCAL] : a.of[IFA_ADDRESS];
	if (attr == NULL || mnl_attr_get_payload_len(attr) != ip_bytes(addr.family))
		return MNL_CB_OK;
	memcpy(addr.bytes, mnl_attr_get_payload(attr), ip_bytes(addr.family));
	if (is_special(&addr) || rtnl_u8(&a, IFA_PROTO) == RTNL_PROTO)
		return MNL_CB_OK; /* or it is there for Routes alone */
	if (own->count == own->cap) {
		own->cap = own->cap != 0 ? 2 * own->cap : 64;
		own->addrs = xreallocarray(own->addrs, own->cap, sizeof(*own->addrs));
	}
	own->addrs[own->count++] = addr;
	return MNL_CB_OK;
}

static int
ask(struct rtnl *r, void *arg)
{
	_Alignas(struct nlmsghdr) char data[128];
	struct own *own = arg;

	own->services = if_nametoindex(SERVICES);
	own->count = 0;
	return rtnl_ask(r,
	    rtnl_begin(data, RTM_GETADDR, NLM_F_DUMP, sizeof(struct ifaddrmsg)),
	    on_address, own);
}

/* Sorted, and each once: it may be on several interfaces. Returns how many are left out. */
static size_t
settle(struct own *own)
{
	size_t kept = 0;

	if (own->count != 0)
		qsort(own->addrs, own->count, sizeof(*own->addrs), ip_order);
	for (size_t i = 0; i < own->count; i++) {
		if (kept == 0 || !ip_eq(&own->addrs[kept - 1], &own->addrs[i]))
			own->addrs[kept++] = own->addrs[i];
	}
	own->count = kept < OWN_MAX ? kept : OWN_MAX;
	return kept - own->count;
}

void
parent_own_tell(struct parent *p)
{
	if (p->own.len != 0)
		parent_send(p, ROLE_ENGINE, MSG_OWN, &p->own, -1);
}

/* What cannot be looked at is as it was. */
void
parent_own_look(struct parent *p)
{
	struct own own = {0};
	struct buf body = {0};
	const bool ok = rtnl_look(ask, &own);
	const size_t left_out = settle(&own);

	proc_put_u32(&body, (uint32_t)own.count);
	for (size_t i = 0; i < own.count; i++)
		proc_put_ip(&body, &own.addrs[i]);
	free(own.addrs);
	if (!ok || p->stopping || str_eq(buf_str(&body), buf_str(&p->own))) {
		buf_free(&body);
		return;
	}
	if (left_out != 0)
		log_warn("own-addresses",
		    "left-out=%zu message=\"the node has too many addresses: peers "
		    "that "
		    "name nodes do not take in all of them\"",
		    left_out);
	buf_free(&p->own);
	p->own = body;
	parent_own_tell(p);
}

/* ---- when ---- */

static void
on_look(uv_timer_t *timer)
{
	parent_own_look(timer->data);
}

void
parent_own_changed(struct parent *p)
{
	if (uv_timer_get_due_in(&p->own_timer) > SETTLE_MS &&
	    uv_timer_start(&p->own_timer, on_look, SETTLE_MS, LOOK_MS) != 0)
		base_die("cannot start a timer");
}

void
parent_own_init(struct parent *p)
{
	p->own_timer.data = p;
	if (uv_timer_init(&p->loop, &p->own_timer) != 0 ||
	    uv_timer_start(&p->own_timer, on_look, LOOK_MS, LOOK_MS) != 0)
		base_die("cannot start a timer");
}

void
parent_own_fini(struct parent *p)
{
	uv_close((uv_handle_t *)&p->own_timer, NULL);
	buf_free(&p->own);
}
