/*
 * Whose turn it is, of many who wait for few places: first among tenants, then among a
 * tenant's users, those with the fewest running; of equals, who has waited longest since
 * its last turn. When too many wait, the one who came last of the user with the most
 * waiting, of the tenant with the most, has to go. So nobody's load costs another more than
 * an equal share. Pure: the caller keeps the places.
 */
#ifndef AUTHN_FAIR_H
#define AUTHN_FAIR_H

#include "common/map.h"

struct fair_user;

struct fair {
	struct map tenants; /* path -> struct fair_tenant: who waits or runs */
	size_t waiting, running;
	uint64_t turns;
};

/* One request; the caller embeds it, zeroed, and names its tenant and user before the first
 * call; both must live until it neither waits nor runs. */
struct fair_item {
	struct str tenant, user;
	struct fair_user *owner; /* NULL: neither waits nor runs */
	struct fair_item *prev, *next;
	bool runs;
};

void fair_wait(struct fair *f, struct fair_item *i);
/* It waits no more, or runs no more; one that does neither is fine. */
void fair_leave(struct fair *f, struct fair_item *i);
/* Takes a place, whether or not it has waited. */
void fair_run(struct fair *f, struct fair_item *i);
/* Who is next, and who must go; NULL if nobody waits. */
MUST_CHECK struct fair_item *fair_next(const struct fair *f);
MUST_CHECK struct fair_item *fair_excess(const struct fair *f);
/* Everybody must have left. */
void fair_fini(struct fair *f);

#endif
