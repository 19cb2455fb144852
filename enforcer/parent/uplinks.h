/*
 * Interfaces by which others than this node's workloads come, as its routes have it; and bridges
 * whose workloads no route leads to.
 */
#ifndef ENFORCER_UPLINKS_H
#define ENFORCER_UPLINKS_H

#include "enforcer/config/settings.h"
#include "enforcer/steer/rtnl.h"

struct uplinks {
	size_t count, unrouted_count;
	char names[UPLINKS_MAX][IF_NAMESIZE];
	char unrouted[UPLINKS_MAX][IF_NAMESIZE];
};

/* Whether a message of the kernel's is of a route that makes an uplink. */
MUST_CHECK bool uplinks_have(const struct nlmsghdr *header);
/* Looks at all links and routes of the present network namespace; of more than there is room
 * for some are left out. -1: errno. */
MUST_CHECK int uplinks_look(struct rtnl *r, struct uplinks *out);

#endif
