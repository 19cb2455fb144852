/*
 * Between load_route_*.c: one rule of a Route being read.
 */
#ifndef POLICY_LANG_LOAD_ROUTE_INTERNAL_H
#define POLICY_LANG_LOAD_ROUTE_INTERNAL_H

#include "policy-lang/load/load_internal.h"

#define ROUTE_TABLE_MAX UINT32_MAX

/* The fields of every kind of rule; see load_route_fields.c for who has which. */
enum route_field {
	F_NAME,
	F_ACTION,
	F_FROM,
	F_TO,
	F_PORTS,
	F_SOURCE,
	F_GATEWAY,
	F_NEXT_HOP,
	F_TABLE,
	F_ADDRESS,
	F_TARGET,
	F_BALANCE,
	F_THROUGH,
	F_ON_FAILURE,
	F_COUNT
};

/* One rule being read. */
struct route_reader {
	struct rule_context c;
	struct route_policy *route;
	const struct doc_node *node;
	const struct doc_node *v[F_COUNT]; /* by route_field */
	struct route_rule *rule;
};

/* ---- names (load_route_fields.c) ---- */

/* The actions of a kind, in the order in which they are told. */
struct route_actions {
	const char *names[4];
	enum route_action actions[4];
	size_t count;
};
extern const struct route_actions load_route_actions[ROUTE_KIND_COUNT];
#define ROUTE_BALANCE_COUNT 2
extern const char *const load_route_balances[ROUTE_BALANCE_COUNT];
#define ROUTE_FAILURE_COUNT 2
extern const char *const load_route_failures[ROUTE_FAILURE_COUNT]; /* deny, direct */
/* What makes a rule do something: only beside the first action. */
#define ROUTE_EFFECT_COUNT 8
extern const enum route_field load_route_effects[ROUTE_EFFECT_COUNT];

/* ---- parts of a rule (load_route_rule.c) ---- */

/* Each reports what is wrong and returns false. */
MUST_CHECK bool route_bad_rule(
    const struct route_reader *r, struct loc loc, const char *why);
MUST_CHECK bool route_missing(const struct route_reader *r, const char *why);
/* True if the peer is one that the kind of rule may name. */
MUST_CHECK bool route_right_peer(const struct route_reader *r, const struct peer *peer);
/* A list that is absent (NULL) leaves what it would fill as it is. */
MUST_CHECK bool route_read_peers(const struct route_reader *r,
    const struct doc_node *list, const struct peer **out, size_t *out_count);
MUST_CHECK bool route_read_ports(const struct route_reader *r);
MUST_CHECK bool route_read_prefixes(const struct route_reader *r,
    const struct doc_node *list, const char *what, const struct ip_prefix **out,
    size_t *out_count);
MUST_CHECK bool route_read_balance(const struct route_reader *r);

/* ---- kinds ---- */

MUST_CHECK bool route_read_egress(const struct route_reader *r);
MUST_CHECK bool route_read_ingress(const struct route_reader *r);

#endif
