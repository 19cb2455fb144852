#include "enforcer/steer.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "enforcer/netlink.h"
#include "enforcer/steer_rtnl.h"

#define FAMILIES  2
#define NEWS_MOST 64 /* messages at a time */

static const enum ip_family families[FAMILIES] = {IP_V4, IP_V6};

struct hop {
	struct ip_addr addr[FAMILIES];
};

struct way {
	bool used;
	enum table_way_kind kind;
	uint32_t table; /* 0: by the hops */
	bool gateways;
	struct hop hops[TABLE_HOPS_MAX];
	size_t hop_count;
};

/* What has become of a way in one family. */
struct outcome {
	enum steer_state state;
	uint8_t hop;
};

struct steer {
	const struct steering *config;
	struct probe *probe;
	struct rtnl rtnl;
	int news;
	bool told, settled;
	struct way ways[TABLE_WAYS_MAX]; /* by number, from 1 */
	bool closed[TABLE_WAYS_MAX][FAMILIES];
	struct outcome now[TABLE_WAYS_MAX][FAMILIES];
	bool changed;
	struct steer_found found;
};

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

/* ---- what is wanted ---- */

static bool
read_hop(struct proc_reader *r, struct hop *out)
{
	for (unsigned f = 0; f < FAMILIES; f++) {
		bool has = proc_get_u8(r) != 0;
		const uint8_t *bytes = proc_get_bytes(r, sizeof(out->addr[f].bytes));

		if (bytes == NULL)
			return false;
		if (!has)
			continue;
		out->addr[f].family = families[f];
		memcpy(out->addr[f].bytes, bytes, ip_bytes(families[f]));
	}
	return true;
}

static bool
read_way(struct steer *s, struct proc_reader *r, struct way *ways)
{
	uint32_t number = proc_get_u32(r);
	uint8_t kind = proc_get_u8(r);
	struct way *way;

	if (!r->ok || kind >= WAY_KIND_COUNT || number == 0 ||
	    number > s->config->way_count || ways[number - 1].used)
		return false;
	way = &ways[number - 1];
	way->used = true;
	way->kind = (enum table_way_kind)kind;
	way->table = proc_get_u32(r);
	way->gateways = proc_get_u8(r) != 0;
	way->hop_count = proc_get_u8(r);
	if (!r->ok || way->hop_count > TABLE_HOPS_MAX ||
	    (way->table != 0) != (way->hop_count == 0) ||
	    (way->table != 0 && !steering_has_table(s->config, way->table)))
		return false;
	for (size_t i = 0; i < way->hop_count; i++) {
		if (!read_hop(r, &way->hops[i]))
			return false;
	}
	return true;
}

/* Gateways that matter for something else than a way. */
static bool
read_watched(struct proc_reader *r, struct ip_addr *out, size_t *out_count)
{
	uint32_t count = proc_get_u32(r);

	if (!r->ok || count > PROBE_TARGETS_MAX)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		uint8_t family = proc_get_u8(r);
		const uint8_t *bytes = proc_get_bytes(r, sizeof(out[i].bytes));

		if (bytes == NULL || (family != IP_V4 && family != IP_V6))
			return false;
		out[i] = (struct ip_addr){.family = (enum ip_family)family};
		memcpy(out[i].bytes, bytes, ip_bytes(out[i].family));
	}
	*out_count = count;
	return true;
}

static void
add_watched(struct ip_addr *list, size_t *count, const struct ip_addr *addr)
{
	for (size_t i = 0; i < *count; i++) {
		if (ip_eq(&list[i], addr))
			return;
	}
	if (addr->family != 0 && *count < PROBE_TARGETS_MAX)
		list[(*count)++] = *addr;
}

static void
watch_gateways(struct steer *s, const struct way *ways, const struct ip_addr *others,
    size_t other_count)
{
	struct ip_addr list[PROBE_TARGETS_MAX];
	size_t count = 0;

	for (size_t n = 0; n < TABLE_WAYS_MAX; n++) {
		for (size_t i = 0; ways[n].gateways && i < ways[n].hop_count; i++) {
			for (unsigned f = 0; f < FAMILIES; f++)
				add_watched(list, &count, &ways[n].hops[i].addr[f]);
		}
	}
	for (size_t i = 0; i < other_count; i++)
		add_watched(list, &count, &others[i]);
	probe_want(s->probe, list, count);
}

bool
steer_told(struct steer *s, const struct proc_msg *msg)
{
	struct way *ways = xcalloc(TABLE_WAYS_MAX, sizeof(*ways));
	struct ip_addr watched[PROBE_TARGETS_MAX];
	size_t watched_count = 0;
	struct proc_reader r;
	bool settled, in_force, ok;
	uint32_t count;

	proc_reader_init(&r, msg);
	settled = proc_get_u8(&r) != 0;
	in_force = proc_get_u8(&r) != 0;
	count = proc_get_u32(&r);
	ok = r.ok && count <= s->config->way_count;
	for (uint32_t i = 0; ok && i < count; i++)
		ok = read_way(s, &r, ways);
	ok = ok && read_watched(&r, watched, &watched_count) && proc_reader_done(&r);
	if (ok) {
		if (settled) {
			watch_gateways(s, ways, watched, watched_count);
			probe_set_in_force(s->probe, in_force);
		}
		memcpy(s->ways, ways, sizeof(s->ways));
		memset(s->closed, 0, sizeof(s->closed));
		s->settled = settled;
		s->told = true;
	}
	free(ways);
	return ok;
}

/* ---- one family ---- */

struct tending {
	struct steer *s;
	unsigned f;
	enum ip_family family;
	bool seen_rules[TABLE_WAYS_MAX + 1]; /* what is as it should be; 0: the last */
	bool seen_back[TABLE_WAYS_MAX];
	struct choice {
		struct outcome outcome;
		uint32_t interface;
		char name[IF_NAMESIZE]; /* of one that something comes back by */
	} chosen[TABLE_WAYS_MAX];
	int failed; /* errno; 0 */
};

static void
must(struct tending *t, int rc, int harmless)
{
	if (rc != 0 && errno != harmless)
		t->failed = errno;
}

static struct steer_rule
wanted_rule(const struct steer *s, uint32_t number)
{
	const struct way *way = &s->ways[number - 1];

	return (struct steer_rule){
	    .priority = s->config->priority,
	    .mark = table_way_mark(s->config->mask, number),
	    .mask = s->config->mask,
	    .table = way->table != 0 ? way->table : steering_table(s->config, number),
	};
}

/* What bears some number and has come so far. */
static struct steer_rule
last_rule(const struct steer *s)
{
	return (struct steer_rule){
	    .priority = s->config->priority + 1,
	    .mask = s->config->mask,
	    .inverted = true,
	};
}

/* What comes back from where the way leads does not go there again. */
static struct steer_rule
back_rule(const struct tending *t, uint32_t number)
{
	const struct steer *s = t->s;
	struct steer_rule rule = {
	    .priority = s->config->priority - 1,
	    .mark = table_way_mark(s->config->mask, number),
	    .mask = s->config->mask,
	    .table = RT_TABLE_MAIN,
	};

	memcpy(rule.came_by, t->chosen[number - 1].name, sizeof(rule.came_by));
	return rule;
}

static bool
has_family(const struct way *way, unsigned f)
{
	for (size_t i = 0; i < way->hop_count; i++) {
		if (way->hops[i].addr[f].family == families[f])
			return true;
	}
	return way->table != 0;
}

/* The number that a rule of ours is for; 0: none. */
static uint32_t
number_of(const struct steer *s, const struct steer_rule *rule)
{
	for (uint32_t n = 1; n <= s->config->way_count; n++) {
		if (rule->mask == s->config->mask && !rule->inverted &&
		    rule->mark == table_way_mark(s->config->mask, n))
			return n;
	}
	return 0;
}

static const struct steer_route *
route_in(const struct steer *s, uint32_t table)
{
	for (size_t i = 0; i < s->found.route_count; i++) {
		if (s->found.routes[i].table == table)
			return &s->found.routes[i];
	}
	return NULL;
}

/* Whether a route that is there may be one of the way's: it goes by one of its hops. */
static bool
is_ways(const struct way *way, unsigned f, const struct steer_route *route)
{
	for (size_t i = 0; i < way->hop_count; i++) {
		if (ip_eq(&way->hops[i].addr[f], &route->hop))
			return true;
	}
	return false;
}

/* While the former program is in force, a number that led elsewhere leads nowhere. */
static bool
leads_elsewhere(struct tending *t, uint32_t number, const struct steer_rule *rule)
{
	const struct steer *s = t->s;
	const struct steer_rule wanted = wanted_rule(s, number);
	const struct steer_route *route = route_in(s, rule->table);

	if (!steer_rule_same(rule, &wanted))
		return true;
	return s->ways[number - 1].table == 0 && route != NULL &&
	       !is_ways(&s->ways[number - 1], t->f, route);
}

/* Those of the program that is still in force stay. */
static void
tend_back_rule(struct tending *t, const struct steer_rule *rule)
{
	struct steer *s = t->s;
	uint32_t number = number_of(s, rule);
	struct steer_rule wanted;

	if (number != 0 && t->chosen[number - 1].name[0] != '\0' &&
	    !t->seen_back[number - 1]) {
		wanted = back_rule(t, number);
		t->seen_back[number - 1] = steer_rule_same(rule, &wanted);
		if (t->seen_back[number - 1])
			return;
	} else if (!s->settled && number != 0 && !s->ways[number - 1].used) {
		return;
	}
	must(t, steer_change_rule(&s->rtnl, false, t->family, rule), ENOENT);
}

static void
tend_rule(struct tending *t, const struct steer_rule *rule)
{
	struct steer *s = t->s;
	const struct steer_rule last = last_rule(s);
	uint32_t number = number_of(s, rule);
	bool wanted = number != 0 && s->ways[number - 1].used &&
		      has_family(&s->ways[number - 1], t->f);

	if (s->config->mask != 0 && steer_rule_same(rule, &last) && !t->seen_rules[0]) {
		t->seen_rules[0] = true;
		return;
	}
	if (rule->came_by[0] != '\0') {
		tend_back_rule(t, rule);
		return;
	}
	if (wanted && !t->seen_rules[number]) {
		const struct steer_rule as = wanted_rule(s, number);

		if (!s->settled && leads_elsewhere(t, number, rule))
			s->closed[number - 1][t->f] = true;
		else if (steer_rule_same(rule, &as)) {
			t->seen_rules[number] = !s->closed[number - 1][t->f];
			if (t->seen_rules[number])
				return;
		}
	} else if (!s->settled && number != 0 && !wanted) {
		return; /* of the program that is still in force */
	}
	must(t, steer_change_rule(&s->rtnl, false, t->family, rule), ENOENT);
}

/* The first hop that can be used. */
static struct outcome
choose(struct tending *t, const struct way *way, uint32_t *out_interface)
{
	struct outcome outcome = {.state = STEER_UNUSED};

	for (size_t i = 0; i < way->hop_count; i++) {
		const struct ip_addr *addr = &way->hops[i].addr[t->f];

		if (addr->family != t->family)
			continue;
		/* One of a program that comes is not asked yet. */
		if (way->gateways && !probe_is_up(t->s->probe, addr, !t->s->settled)) {
			outcome.state = STEER_DOWN;
			continue;
		}
		*out_interface = steer_on_link(&t->s->rtnl, addr);
		if (*out_interface == 0)
			outcome.state = STEER_NOT_ON_LINK;
		else if (way->kind == WAY_INSTANCE &&
			 !steer_is_alone(&t->s->rtnl, addr))
			outcome.state = STEER_SHARED;
		else
			return (struct outcome){STEER_GOES, (uint8_t)i};
	}
	return outcome;
}

/* What comes back is known by its interface. Where that is a workload's, a reverse path
 * filter that is there lets by what comes back, and nothing else that is not its own. */
static void
know_interface(struct tending *t, const struct way *way, struct choice *c)
{
	struct rtnl *r = &t->s->rtnl;
	bool by_mark;

	if (!steer_link(r, c->interface, c->name, &by_mark)) {
		c->name[0] = '\0';
		c->outcome.state = STEER_NOT_ON_LINK;
	} else if (t->family == IP_V4 && way->kind == WAY_INSTANCE && !by_mark) {
		must(t, steer_link_by_mark(r, c->interface), 0);
	}
}

static void
choose_all(struct tending *t)
{
	const struct steer *s = t->s;

	for (uint32_t n = 0; n < s->config->way_count; n++) {
		const struct way *way = &s->ways[n];
		struct choice *c = &t->chosen[n];

		if (!way->used || way->table != 0)
			continue;
		c->outcome = choose(t, way, &c->interface);
		if (way->kind != WAY_OUT && c->outcome.state == STEER_GOES)
			know_interface(t, way, c);
	}
}

static void
tend_hops(struct tending *t, uint32_t number)
{
	struct steer *s = t->s;
	const struct way *way = &s->ways[number - 1];
	uint32_t table = steering_table(s->config, number);
	const struct steer_route *there = route_in(s, table);
	struct outcome *out = &s->now[number - 1][t->f], before = *out;
	struct steer_route route = {
	    .table = table, .interface = t->chosen[number - 1].interface};

	*out = t->chosen[number - 1].outcome;
	if (out->state == STEER_GOES) {
		route.hop = way->hops[out->hop].addr[t->f];
		if ((there == NULL || there->odd || !ip_eq(&there->hop, &route.hop) ||
			there->interface != route.interface) &&
		    steer_set_route(&s->rtnl, t->family, &route) != 0) {
			t->failed = errno;
			out->state = STEER_REFUSED;
		}
	} else if (there != NULL) {
		must(t, steer_delete_route(&s->rtnl, t->family, there), ESRCH);
	}
	s->changed |= before.state != out->state || before.hop != out->hop;
}

/* Tables of ours in which nothing of ours is to be, or something else. */
static void
sweep_routes(struct tending *t)
{
	struct steer *s = t->s;

	for (size_t i = 0; i < s->found.route_count; i++) {
		const struct steer_route *route = &s->found.routes[i];
		uint32_t number = route->table - s->config->first_table + 1;
		bool wanted = number >= 1 && number <= s->config->way_count &&
			      s->ways[number - 1].used &&
			      s->ways[number - 1].table == 0 &&
			      has_family(&s->ways[number - 1], t->f) &&
			      route == route_in(s, route->table) && !route->odd;

		if (!wanted)
			must(t, steer_delete_route(&s->rtnl, t->family, route), ESRCH);
	}
}

static void
add_back_rule(struct tending *t, uint32_t number)
{
	const struct steer_rule rule = back_rule(t, number);

	if (rule.came_by[0] != '\0' && !t->seen_back[number - 1])
		must(t, steer_change_rule(&t->s->rtnl, true, t->family, &rule), EEXIST);
}

static void
add_rule(struct tending *t, uint32_t number, const struct steer_rule *rule)
{
	if (!t->seen_rules[number])
		must(t, steer_change_rule(&t->s->rtnl, true, t->family, rule), EEXIST);
}

/* First what loses packets, then where ways lead, at last what leads to them. */
static int
tend_family(struct steer *s, unsigned f)
{
	struct tending t = {.s = s, .f = f, .family = families[f]};
	const struct steer_rule last = last_rule(s);
	struct steer_rule wanted;

	if (steer_find(&s->rtnl, t.family, &s->found) != 0)
		return errno == EOPNOTSUPP || errno == EAFNOSUPPORT ? 0 : errno;
	choose_all(&t);
	for (size_t i = 0; i < s->found.rule_count; i++)
		tend_rule(&t, &s->found.rules[i]);
	if (s->config->mask != 0)
		add_rule(&t, 0, &last);
	for (uint32_t n = 1; n <= s->config->way_count; n++) {
		const struct way *way = &s->ways[n - 1];

		if (!way->used || !has_family(way, f)) {
			s->changed |= s->now[n - 1][f].state != STEER_UNUSED;
			s->now[n - 1][f] = (struct outcome){STEER_UNUSED, 0};
			continue;
		}
		if (s->closed[n - 1][f])
			continue;
		add_back_rule(&t, n);
		if (way->table == 0) {
			tend_hops(&t, n);
		} else {
			s->changed |= s->now[n - 1][f].state != STEER_GOES;
			s->now[n - 1][f] = (struct outcome){STEER_GOES, 0};
		}
		wanted = wanted_rule(s, n);
		add_rule(&t, n, &wanted);
	}
	if (s->settled)
		sweep_routes(&t);
	return t.failed;
}

int
steer_tend(struct steer *s, struct err *err)
{
	int rc = 0;

	if (!s->told)
		return 0;
	for (unsigned f = 0; f < FAMILIES; f++) {
		int failed = tend_family(s, f);

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
		for (unsigned f = 0; f < FAMILIES; f++) {
			proc_put_u8(out, (uint8_t)s->now[n][f].state);
			proc_put_u8(out, s->now[n][f].hop);
		}
	}
}
