/*
 * Routes: how traffic leaves, what is published, what goes through something. How they are
 * decided is in route.h.
 */
#ifndef POLICY_LANG_MODEL_ROUTE_H
#define POLICY_LANG_MODEL_ROUTE_H

#include "policy-lang/model/model_policy.h"

/* What a route rule speaks of. */
enum route_kind {
	ROUTE_EGRESS,  /* how traffic to the outside leaves */
	ROUTE_INGRESS, /* what is published to the outside */
	ROUTE_VIA,     /* what traffic between workloads is sent through */
};
#define ROUTE_KIND_COUNT 3

enum route_action {
	ROUTE_APPLY, /* egress "route", ingress "publish", via "through": as the rule says */
	ROUTE_DIRECT, /* egress, via: as if there were no rule */
	ROUTE_DENY,   /* not at all */
	ROUTE_PASS,   /* the next level decides */
};

enum route_balance {
	BALANCE_RANDOM, /* each connection anywhere */
	BALANCE_HASH, /* by the client's address: the same client, the same workload */
};

struct route_backend {
	struct workload_match workloads; /* within the route's level */
	uint32_t weight;                 /* 1 unless given; 0: no new connections */
};

/* Which fields are set follows from kind and action; see load_route.c. */
struct route_rule {
	struct str name;  /* "" when it has none */
	uint32_t index;   /* in its list, from 0 */
	enum phase phase; /* PHASE_MANDATORY or PHASE_DEFAULT */
	enum route_kind kind;
	enum route_action action;
	const struct peer *from; /* via; none: the workloads of the route */
	size_t from_count;
	const struct peer
	    *to;         /* egress: networks and names, none: everywhere outside */
	size_t to_count; /* via: workloads, none: everyone */
	const struct port_match *ports; /* none: everything */
	size_t port_count;
	/* Egress, ROUTE_APPLY: at least one of these. */
	const struct ip_prefix *sources; /* the source address, or a pool of them */
	size_t source_count;
	const struct str *gateways; /* names of nodes, the first that is up is used */
	size_t gateway_count;
	const struct selector *gateway_selector; /* instead of names; else NULL */
	const struct ip_addr *next_hops;         /* at most one of each family */
	size_t next_hop_count;
	uint32_t table; /* a routing table of the node; 0: none */
	/* Ingress. */
	const struct ip_prefix *addresses; /* published; deny, pass: any of these */
	size_t address_count;
	const struct route_backend *backends;
	size_t backend_count;
	uint16_t target_port;       /* of the first port; 0: as published, or by name */
	struct str target_name;     /* "" unless by name */
	enum route_balance balance; /* ingress and via */
	/* Via, ROUTE_APPLY: both directions of a connection go through one of these. */
	struct workload_match through;
	bool direct_on_failure; /* when none of them is there; else nothing passes */
	/* Identifies the rule in kernel and logs, as a policy's; and where it is the rule
	 * that decides, but a node cannot do as it says (ROUTE_APPLY, but not ingress). */
	uint32_t number, refuse_number;
	struct loc loc;
};

struct route_list {
	struct route_rule *rules;
	size_t count;
};

/* A Route: the same tree, the same two laws. For a workload and a kind the first match
 * going down through `mandatory` decides, else the first going up through `defaults`. */
struct route_policy {
	struct str name;
	struct str namespace_text; /* as policy's */
	struct ns *level;
	int32_t priority;              /* lower is first */
	struct workload_match subject; /* subtree is `level` */
	struct route_list mandatory[ROUTE_KIND_COUNT];
	struct route_list defaults[ROUTE_KIND_COUNT];
	struct loc loc;
};

#endif
