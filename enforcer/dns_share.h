/*
 * Who asks, and how much of a resolver each tenant may have of it: so many things at a time
 * that as many are free for others. One that floods has half of all at most, two have a
 * third each; whoever asks little always finds room. And so many queries in a second. Pure;
 * not thread-safe.
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
/* Stays while something of it is taken. */
struct dns_tenant;

/* `most`: of each, at a time. `rate`: queries of one tenant in a second, and as many at
 * once. */
MUST_CHECK struct dns_share *dns_share_new(
    const size_t most[SHARE_COUNT], uint32_t rate);
/* NULL is fine. */
void dns_share_free(struct dns_share *s);

/* Whose an address is, as far as we were told: what nobody has told of shares one tenant's
 * part. *out_ask becomes true if somebody should be asked now. */
MUST_CHECK struct dns_tenant *dns_share_tenant(
    struct dns_share *s, const struct ip_addr *client, monotime_t now, bool *out_ask);
/* We are told; "": nobody's. */
void dns_share_tell(struct dns_share *s, const struct ip_addr *client,
    struct str tenant, monotime_t now);

/* Takes one for the tenant; false: it has as much as it may. */
MUST_CHECK bool dns_share_take(struct dns_share *s, struct dns_tenant *t,
    enum dns_share_what what, monotime_t now);
void dns_share_give(
    struct dns_share *s, struct dns_tenant *t, enum dns_share_what what);
/* How many are taken, of all. */
MUST_CHECK size_t dns_share_taken(const struct dns_share *s, enum dns_share_what what);

#endif
