#include "enforcer/steer/address.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/ip_socket.h"
#include "common/log.h"
#include "enforcer/steer/announce.h"
#include "enforcer/steer/rtnl.h"

/* That are told of again at a time. */
#define AGAIN_MOST 256

struct wanted {
	struct ip_addr addr;
	const struct address_place *place;
	bool shared; /* others may have had it */
	bool there, ours;
	bool added; /* just now */
};

/* An address with our number that is not wanted. */
struct stray {
	struct ip_addr addr;
	uint32_t interface;
	uint8_t len;
};

struct address_book {
	const struct address_place *places;
	size_t place_count;
	struct rtnl rtnl;
	int announce_fd;
	struct wanted *wanted;
	size_t wanted_count;
	bool told;     /* what is wanted */
	bool unmarked; /* the kernel keeps no number: nothing can be ours */
	struct stray *strays;
	size_t stray_count, stray_cap;
};

int
address_open(struct address_book **out_book, const struct address_place *places,
    size_t count, struct err *err)
{
	struct address_book *b = xcalloc(1, sizeof(*b));

	*out_book = b;
	b->places = places;
	b->place_count = count;
	b->announce_fd = -1;
	if (rtnl_open(&b->rtnl, err) != 0)
		return ERR_SYSTEM;
	return count == 0 ? 0 : announce_open(&b->announce_fd, err);
}

void
address_close(struct address_book *b)
{
	if (b == NULL)
		return;
	rtnl_close(&b->rtnl);
	if (b->announce_fd >= 0)
		(void)close(b->announce_fd); /* nothing is buffered */
	free(b->wanted);
	free(b->strays);
	free(b);
}

/* ---- what is wanted ---- */

static const struct address_place *
place_of_addr(const struct address_book *b, const struct ip_addr *addr)
{
	for (size_t i = 0; i < b->place_count; i++) {
		if (ip_in_prefix(addr, &b->places[i].network))
			return &b->places[i];
	}
	return NULL;
}

static int
compare_wanted(const void *a, const void *b)
{
	return ip_cmp(
	    &((const struct wanted *)a)->addr, &((const struct wanted *)b)->addr);
}

static void
want(struct address_book *b, const struct wanted *all, size_t count)
{
	b->wanted = xreallocarray(b->wanted, count + 1, sizeof(*b->wanted));
	b->wanted_count = 0;
	for (size_t i = 0; i < count; i++) {
		const struct address_place *place = place_of_addr(b, &all[i].addr);

		if (place != NULL && place->interface[0] != '\0')
			b->wanted[b->wanted_count++] =
			    (struct wanted){.addr = all[i].addr,
				.shared = all[i].shared,
				.place = place};
	}
	if (b->wanted_count > 1)
		qsort(b->wanted, b->wanted_count, sizeof(*b->wanted), compare_wanted);
	b->told = true;
}

bool
address_told(struct address_book *b, struct arena *arena, const struct proc_msg *msg)
{
	struct proc_reader r;
	struct wanted *all;
	uint32_t count;

	proc_reader_init(&r, msg);
	count = proc_get_u32(&r);
	if (!r.ok || count > ADDRESS_MAX)
		return false;
	all = ARENA_ARRAY(arena, count, struct wanted);
	for (uint32_t i = 0; i < count; i++) {
		all[i].addr = proc_get_ip(&r);
		all[i].shared = proc_get_u8(&r) != 0;
	}
	if (!proc_reader_done(&r))
		return false;
	want(b, all, count);
	return true;
}

static struct wanted *
find_wanted(struct address_book *b, const struct ip_addr *addr)
{
	struct wanted key = {.addr = *addr};

	return b->wanted_count == 0 ? NULL
				    : bsearch(&key, b->wanted, b->wanted_count,
					  sizeof(key), compare_wanted);
}

/* ---- what is there ---- */

static void
add_stray(
    struct address_book *b, const struct ip_addr *addr, uint32_t interface, uint8_t len)
{
	if (b->stray_count == b->stray_cap) {
		b->stray_cap = b->stray_cap == 0 ? 16 : 2 * b->stray_cap;
		b->strays = xreallocarray(b->strays, b->stray_cap, sizeof(*b->strays));
	}
	b->strays[b->stray_count++] = (struct stray){*addr, interface, len};
}

static int
address_seen(const struct nlmsghdr *header, void *arg)
{
	struct address_book *b = arg;
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(header);
	struct rtnl_attrs a;
	struct ip_addr addr = {.family = IP_V6};
	const struct nlattr *own;
	struct wanted *w;
	bool ours;

	if (!rtnl_parse(header, sizeof(*m), &a))
		return MNL_CB_OK;
	if (m->ifa_family == AF_INET)
		addr.family = IP_V4;
	own = a.of[IFA_LOCAL] != NULL ? a.of[IFA_LOCAL] : a.of[IFA_ADDRESS];
	if (own == NULL || mnl_attr_get_payload_len(own) != ip_bytes(addr.family))
		return MNL_CB_OK;
	memcpy(addr.bytes, mnl_attr_get_payload(own), ip_bytes(addr.family));
	ours = rtnl_u8(&a, IFA_PROTO) == RTNL_PROTO;
	w = find_wanted(b, &addr);
	if (w != NULL) {
		w->there = true; /* ours, or somebody's who knows better */
		w->ours |= ours;
	} else if (ours) {
		add_stray(b, &addr, m->ifa_index, m->ifa_prefixlen);
	}
	return MNL_CB_OK;
}

static int
look(struct address_book *b)
{
	_Alignas(struct nlmsghdr) char data[128];
	struct ifaddrmsg *m;
	struct nlmsghdr *header = rtnl_begin(data, RTM_GETADDR, NLM_F_DUMP, sizeof(*m));

	for (size_t i = 0; i < b->wanted_count; i++)
		b->wanted[i].there = b->wanted[i].ours = false;
	b->stray_count = 0;
	m = mnl_nlmsg_get_payload(header);
	m->ifa_family = AF_UNSPEC;
	return rtnl_ask(&b->rtnl, header, address_seen, b);
}

static int
link_seen(const struct nlmsghdr *header, void *arg)
{
	const struct ifinfomsg *m = mnl_nlmsg_get_payload(header);
	struct announce_link *out = arg;
	struct rtnl_attrs a;

	if (!rtnl_parse(header, sizeof(*m), &a))
		return MNL_CB_OK;
	out->interface = (uint32_t)m->ifi_index;
	out->has_mac = a.of[IFLA_ADDRESS] != NULL &&
		       mnl_attr_get_payload_len(a.of[IFLA_ADDRESS]) == sizeof(out->mac);
	if (out->has_mac)
		memcpy(out->mac, mnl_attr_get_payload(a.of[IFLA_ADDRESS]),
		    sizeof(out->mac));
	return MNL_CB_OK;
}

static int
find_link(struct address_book *b, const char *name, struct announce_link *out)
{
	_Alignas(struct nlmsghdr) char data[256];
	struct nlmsghdr *header =
	    rtnl_begin(data, RTM_GETLINK, 0, sizeof(struct ifinfomsg));

	*out = (struct announce_link){.interface = 0};
	mnl_attr_put_strz(header, IFLA_IFNAME, name);
	return rtnl_ask(&b->rtnl, header, link_seen, out);
}

/* ---- putting right ---- */

static int
change(struct address_book *b, bool add, const struct ip_addr *addr, uint8_t len,
    uint32_t interface)
{
	/* For ever, but not for what the node sends by itself, where there is another. */
	static const struct ifa_cacheinfo lasting = {
	    .ifa_prefered = 0, .ifa_valid = UINT32_MAX};
	_Alignas(struct nlmsghdr) char data[256];
	struct ifaddrmsg *m;
	struct nlmsghdr *header = rtnl_begin(data, add ? RTM_NEWADDR : RTM_DELADDR,
	    (uint16_t)(NLM_F_ACK | (add ? NLM_F_CREATE | NLM_F_EXCL : 0)), sizeof(*m));

	m = mnl_nlmsg_get_payload(header);
	m->ifa_family = (uint8_t)ip_socket_family(addr->family);
	m->ifa_prefixlen = len;
	m->ifa_index = interface;
	/* Whoever had it before us is gone: nothing is to be asked. */
	m->ifa_flags = addr->family == IP_V6 && add ? IFA_F_NODAD : 0;
	mnl_attr_put(header, IFA_LOCAL, ip_bytes(addr->family), addr->bytes);
	mnl_attr_put(header, IFA_ADDRESS, ip_bytes(addr->family), addr->bytes);
	if (add) {
		mnl_attr_put_u8(header, IFA_PROTO, RTNL_PROTO);
		mnl_attr_put(header, IFA_CACHEINFO, sizeof(lasting), &lasting);
	}
	return rtnl_ask(&b->rtnl, header, NULL, NULL);
}

static int
add(struct address_book *b, struct wanted *w, struct err *err)
{
	struct announce_link link;
	char text[IP_TEXT_BYTES];

	if (find_link(b, w->place->interface, &link) != 0)
		return err_sys(err, "interface %s", w->place->interface);
	if (change(b, true, &w->addr, (uint8_t)ip_bits(w->addr.family),
		link.interface) != 0 &&
	    errno != EEXIST)
		return err_sys(err, "add %s", ip_format(&w->addr, text));
	log_info("address-taken", "address=%s interface=%s", ip_format(&w->addr, text),
	    w->place->interface);
	announce(b->announce_fd, &link, &w->addr);
	w->added = true;
	return 0;
}

/* An address that came without our number could never be given up. */
static int
check_marks(struct address_book *b, struct err *err)
{
	struct announce_link link;

	if (look(b) != 0)
		return err_sys(err, "read the node's addresses");
	for (size_t i = 0; i < b->wanted_count; i++) {
		struct wanted *w = &b->wanted[i];

		b->unmarked |= w->added && w->there && !w->ours;
		if (b->unmarked && w->added &&
		    (find_link(b, w->place->interface, &link) != 0 ||
			change(b, false, &w->addr, (uint8_t)ip_bits(w->addr.family),
			    link.interface) != 0))
			return err_sys(err, "remove an address");
		w->added = false;
	}
	return b->unmarked
		   ? err_set(err, ERR_SYSTEM, "addresses of routes need Linux 5.18")
		   : 0;
}

/* Who had it before may have told the neighbours since, and they believe the last word. */
static void
tell_again(struct address_book *b)
{
	struct announce_link link = {.interface = 0};
	const struct address_place *at = NULL;

	for (size_t i = 0, told = 0; i < b->wanted_count && told < AGAIN_MOST; i++) {
		const struct wanted *w = &b->wanted[i];

		if (!w->shared || !w->there || !w->ours)
			continue;
		if (at != w->place && find_link(b, w->place->interface, &link) != 0)
			continue;
		at = w->place;
		announce(b->announce_fd, &link, &w->addr);
		told++;
	}
}

int
address_tend(struct address_book *b, struct err *err)
{
	char text[IP_TEXT_BYTES];
	bool added = false;
	int rc = 0;

	if (!b->told || b->unmarked)
		return 0;
	if (look(b) != 0)
		return err_sys(err, "read the node's addresses");
	for (size_t i = 0; i < b->stray_count; i++) {
		const struct stray *s = &b->strays[i];

		if (change(b, false, &s->addr, s->len, s->interface) == 0)
			log_info("address-given-up", "address=%s",
			    ip_format(&s->addr, text));
		else if (errno != EADDRNOTAVAIL)
			rc = err_sys(err, "remove %s", ip_format(&s->addr, text));
	}
	for (size_t i = 0; i < b->wanted_count; i++) {
		bool twice = i > 0 && ip_eq(&b->wanted[i].addr, &b->wanted[i - 1].addr);
		int failed;

		if (b->wanted[i].there || twice)
			continue;
		failed = add(b, &b->wanted[i], err);
		rc = failed != 0 ? failed : rc;
		added |= failed == 0;
	}
	if (added && rc == 0)
		rc = check_marks(b, err);
	tell_again(b);
	return rc;
}

/* ---- what is the node's own ---- */

static int
see_type(const struct nlmsghdr *header, void *arg)
{
	const struct rtmsg *route = mnl_nlmsg_get_payload(header);

	if (mnl_nlmsg_get_payload_len(header) >= sizeof(*route))
		*(bool *)arg = route->rtm_type == RTN_LOCAL;
	return MNL_CB_OK;
}

bool
address_is_own(struct address_book *b, const struct ip_addr *addr)
{
	_Alignas(struct nlmsghdr) char data[128];
	struct nlmsghdr *header =
	    rtnl_begin(data, RTM_GETROUTE, 0, sizeof(struct rtmsg));
	struct rtmsg *route = mnl_nlmsg_get_payload(header);
	bool own = false;

	route->rtm_family = addr->family == IP_V4 ? AF_INET : AF_INET6;
	route->rtm_dst_len = (unsigned char)ip_bits(addr->family);
	mnl_attr_put(header, RTA_DST, ip_bytes(addr->family), addr->bytes);
	return rtnl_ask(&b->rtnl, header, see_type, &own) == 0 && own;
}
