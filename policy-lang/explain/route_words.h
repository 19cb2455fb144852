/*
 * Routes in words: what a rule is about and what it does, for explanations, lists and
 * comparisons.
 */
#ifndef POLICY_LANG_ROUTE_WORDS_H
#define POLICY_LANG_ROUTE_WORDS_H

#include "policy-lang/evaluate/route.h"

/* "the default rule "pay" of Route /acme/shop/web (shop.yaml:12:9)". */
void route_say_found(struct arena *a, struct buf *out, struct route_found found);
/* What a rule is about: "to 192.0.2.0/24, at 443/tcp", "203.0.113.80, at 443/tcp", "from
 * every workload in /acme and below to ...". */
void route_say_reach(struct buf *out, const struct route_rule *rule);
/* What it does with that, behind its action: "source 203.0.113.7; gateway gw-1, else
 * gw-2". "" where the action says all. */
void route_say_effect(struct buf *out, const struct route_rule *rule);
/* An address, or a network where it is one. `out` has IP_TEXT_BYTES. Returns out. */
const char *route_prefix_text(const struct ip_prefix *prefix, char *out);

#endif
