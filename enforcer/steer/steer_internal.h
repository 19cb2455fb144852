/*
 * Between steer*.c: which ways are wanted, and what has become of each.
 */
#ifndef ENFORCER_STEER_INTERNAL_H
#define ENFORCER_STEER_INTERNAL_H

#include "enforcer/steer/steer.h"
#include "enforcer/steer/steer_rtnl.h"

#define STEER_FAMILIES 2

/* The order in which things are told of both. */
static const enum ip_family steer_families[STEER_FAMILIES] = {IP_V4, IP_V6};

struct steer_hop {
	struct ip_addr addr[STEER_FAMILIES];
};

struct steer_way {
	bool used;
	enum table_way_kind kind;
	uint32_t table; /* 0: by the hops */
	bool gateways;
	struct steer_hop hops[TABLE_HOPS_MAX];
	size_t hop_count;
};

/* What has become of a way in one family. */
struct steer_outcome {
	enum steer_state state;
	uint8_t hop;
};

struct steer {
	const struct steering *config;
	struct probe *probe;
	struct rtnl rtnl;
	int news;     /* a socket; -1: no ways are configured */
	bool told;    /* `ways` are the engine's */
	bool settled; /* the program that they are of is in force */
	struct steer_way ways[TABLE_WAYS_MAX]; /* by number, from 1 */
	/* Leads nowhere until settled: the program in force means another way by it. */
	bool closed[TABLE_WAYS_MAX][STEER_FAMILIES];
	struct steer_outcome now[TABLE_WAYS_MAX][STEER_FAMILIES];
	bool changed;             /* `now`, since steer_changed asked */
	struct steer_found found; /* of the family that is tended */
};

/* Puts rules and routes of one family right (steer_family.c). 0, or errno of what the kernel
 * refused; the rest is done. */
MUST_CHECK int steer_tend_family(struct steer *s, unsigned family);

#endif
