/*
 * Who asks, and how much of a resolver each may have of it. A tenant has so many things at a
 * time that as many are free for others, and a client so many that as many are free for the
 * rest of its tenant: a tenant that floods has half of all at most, one client a third; whoever
 * asks little always finds room. And so many queries in a second. Pure; not thread-safe.
 */
#ifndef ENFORCER_DNS_SHARE_H
#define ENFORCER_DNS_SHARE_H

#include "common/clock.h"
#include "common/ip.h"

enum dns_share_what {
	SHARE_QUERIES, /* these have a rate, too */
	SHARE_CONNECTIONS,
	SHARE_COUNT
};

struct dns_share;
/* An address. Stays while something of it is taken; else until the next is asked for. */
struct dns_client;

/* `most`: of each, at a time. `rate`: queries of one tenant in a second, and as many at
 * once; of one client half of that. */
MUST_CHECK struct dns_share *dns_share_new(
    const size_t most[SHARE_COUNT], uint32_t rate);
/* NULL is fine. */
void dns_share_free(struct dns_share *s);

/* Who an address is: as far as we were told, and what nobody has told of shares one tenant's
 * part. *out_ask becomes true if somebody should be asked now. */
MUST_CHECK struct dns_client *dns_share_client(
    struct dns_share *s, const struct ip_addr *addr, monotime_t now, bool *out_ask);
/* We are told whose it is; "": nobody's. What it has taken is that tenant's from now on. */
void dns_share_tell(
    struct dns_share *s, const struct ip_addr *addr, struct str tenant, monotime_t now);

/* Takes one; false: it has as much as it may. */
MUST_CHECK bool dns_share_take(struct dns_share *s, struct dns_client *c,
    enum dns_share_what what, monotime_t now);
void dns_share_give(
    struct dns_share *s, struct dns_client *c, enum dns_share_what what);
/* How many are taken, of all. */
MUST_CHECK size_t dns_share_taken(const struct dns_share *s, enum dns_share_what what);

#endif
