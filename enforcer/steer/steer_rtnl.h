/*
 * Rules and routes of policy routing that are ours, as the kernel has them. Private to
 * steer*.c.
 */
#ifndef ENFORCER_STEER_RTNL_H
#define ENFORCER_STEER_RTNL_H

#include "common/ip.h"
#include "enforcer/steer/rtnl.h"

/* What bears a mark looks there; or, inverted and without a table, what bears another is
 * lost. */
struct steer_rule {
	uint32_t priority, mark, mask, table;
	bool inverted;
	char came_by[IF_NAMESIZE]; /* an interface; "": any */
	bool odd;                  /* says something else as well */
};

/* Everywhere, by a next hop. */
struct steer_route {
	uint32_t table, interface;
	struct ip_addr hop; /* of no family: none */
	struct ip_prefix to;
	uint32_t metric; /* IPv6 always has one */
	bool odd;
};

struct steer_found {
	struct steer_rule *rules;
	size_t rule_count, rule_cap;
	struct steer_route *routes;
	size_t route_count, route_cap;
};

void steer_found_fini(struct steer_found *f);
/* Reads what is ours of one family; replaces what was found before. -1: errno. */
MUST_CHECK int steer_find(struct rtnl *r, enum ip_family family, struct steer_found *f);
MUST_CHECK bool steer_rule_same(const struct steer_rule *a, const struct steer_rule *b);
MUST_CHECK int steer_change_rule(
    struct rtnl *r, bool add, enum ip_family family, const struct steer_rule *rule);
/* Adds a route, in the place of the one that is there. */
MUST_CHECK int steer_set_route(
    struct rtnl *r, enum ip_family family, const struct steer_route *route);
MUST_CHECK int steer_delete_route(
    struct rtnl *r, enum ip_family family, const struct steer_route *route);

/* ---- steer_link.c ---- */

/* The interface behind which the address is a neighbour; 0: it is none, or ours. */
MUST_CHECK uint32_t steer_on_link(struct rtnl *r, const struct ip_addr *addr);
/* True if the route to the address is for it alone. */
MUST_CHECK bool steer_is_alone(struct rtnl *r, const struct ip_addr *addr);
/* The name of an interface, and whether its reverse path filter asks by marks (which IPv6
 * has not). False: there is no such interface. */
MUST_CHECK bool steer_link(
    struct rtnl *r, uint32_t interface, char out_name[IF_NAMESIZE], bool *out_by_mark);
/* Makes it ask by marks. -1: errno. */
MUST_CHECK int steer_link_by_mark(struct rtnl *r, uint32_t interface);

#endif
