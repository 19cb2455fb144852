/*
 * Between connectivity*.c and diff*.c only: one side of a connection, that is, what the
 * policies of one end say about all possible other ends. Workloads to which the same
 * policies apply share a side.
 */
#ifndef POLICY_LANG_CONNECTIVITY_SIDE_H
#define POLICY_LANG_CONNECTIVITY_SIDE_H

#include "policy-lang/connectivity/connectivity_set.h"
#include "policy-lang/evaluate/evaluate.h"
#include "policy-lang/model/portset.h"

/* Whom a step speaks of, beside the number of a set of peers. */
#define CONN_EVERYONE UINT32_MAX
#define CONN_NOBODY   (UINT32_MAX - 1)

/* A step of the walk: a rule, or the end of what isolates. */
struct conn_step {
	const struct rule *rule;     /* NULL: isolation */
	const struct policy *policy; /* of the rule, or the first that isolates */
	uint32_t level;              /* each phase of each namespace is one */
	uint32_t peers;              /* CONN_EVERYONE, CONN_NOBODY or a set's number */
};

struct conn_exposure;
struct conn_view;
struct conn_spans;

struct conn_side {
	enum direction dir;
	bool default_deny;
	bool whole; /* its view is of everybody, not only of those asked about */
	const struct workload
	    *self; /* one of its own: where ingress rules' names lie */
	struct conn_step *steps;
	size_t step_count;
	bool names_ports;
	uint32_t serial;              /* among the sides of its direction, from 1 */
	const struct conn_view *view; /* what it says of every party */
	const struct conn_spans *outside[2]; /* IPv4, IPv6; NULL: not asked yet */
	/* By the families of the party: connectivity_exposure.c's; NULL: not asked yet. */
	const struct conn_exposure *exposures[8];
};

/* Lays the steps of the walk over the policies of a workload: given root first, each
 * level's in evaluation order. In the arena. Peers are left to the caller. */
MUST_CHECK struct conn_side *conn_side_new(struct arena *arena, const struct model *m,
    enum direction dir, const struct workload *self, struct policy *const *policies,
    size_t policy_count);

/* Walks the steps `on` (rising numbers: those that speak of the peer) over all protocols
 * and ports of flows of a family (0: neither end has an address). `peer` is a workload
 * whose port names egress rules mean, or NULL. Numbers of segments are places of steps,
 * plus 1; beyond the last: the cluster default. */
void conn_side_walk(const struct conn_side *side, const uint32_t *on, size_t on_count,
    const struct workload *peer, unsigned family, struct portset *out);
/* What is allowed of a finished walk. Borrows the scratch arena for ranges. */
MUST_CHECK const struct conn_set *conn_side_allowed(const struct conn_side *side,
    const struct portset *walked, unsigned family, struct arena *scratch,
    struct conn_pool *pool);
/* Whether the segment with that number is allowed. */
MUST_CHECK bool conn_side_allows(const struct conn_side *side, uint32_t number);

/* The steps that speak of an end, found by asking each rule. `out_on` has room for all. */
MUST_CHECK size_t conn_side_match(
    const struct conn_side *side, const struct endpoint *peer, uint32_t *out_on);

/* Which protocols without ports there are in a family (0: either). */
MUST_CHECK unsigned conn_possible(unsigned family);

/* Where a protocol's ports, or a protocol without ports, stand in a portset. */
struct conn_rest_column {
	enum conn_rest bit;
	enum port_column column;
};

#define CONN_REST_COUNT 3

extern const enum port_column conn_port_columns[CONN_PROTO_COUNT];
extern const struct conn_rest_column conn_rest_columns[CONN_REST_COUNT];

#endif
