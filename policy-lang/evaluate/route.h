/*
 * What Routes say of a connection: where it leaves and with which address, where a
 * published address leads, what it is sent through. As the evaluator for policy, this is
 * the specification in code, one connection at a time; it shares nothing with the
 * compiler but the model. ringfence-policy(5), ROUTE, has the words.
 *
 * For a workload and a kind of rule: the first match going down through `mandatory`, else
 * the first going up through `default`; `pass` leaves the level. Whose walk it is: the
 * source's for egress and via; for ingress each workload walks for itself, and where
 * several rules lead from one address and port, the first of them in order has it.
 *
 * Policy is asked of the original client and the real destination: of an address that is
 * published, of each workload that it leads to; never of a gateway, a source address that
 * is put on, or what a connection is sent through.
 */
#ifndef POLICY_LANG_ROUTE_H
#define POLICY_LANG_ROUTE_H

#include "policy-lang/evaluate/evaluate.h"

/* A rule and the Route that it is of; both NULL: no rule. */
struct route_found {
	const struct route_policy *route;
	const struct route_rule *rule;
};

enum route_outcome {
	ROUTE_AS_IT_IS, /* as if there were no Route */
	ROUTE_TAKEN,    /* as the rule says */
	ROUTE_REFUSED,  /* the connection does not come about */
};

enum route_reason {
	ROUTE_REASON_RULE,      /* the rule's action says so */
	ROUTE_REASON_NONE,      /* no rule matches, or `pass` was the last word */
	ROUTE_REASON_NO_FAMILY, /* the rule has no source or next hop of this family */
	ROUTE_REASON_NO_NODE,   /* no known node is a gateway of the rule */
	ROUTE_REASON_NO_TARGET, /* no workload is there to take it */
	ROUTE_REASON_INSIDE,    /* egress: the other end is no outside address */
};

/* ---- egress ---- */

struct route_egress {
	struct route_found by;
	struct route_found otherwise; /* if `by` were not written */
	enum route_outcome outcome;
	enum route_reason reason;
	/* ROUTE_TAKEN. What is absent stays as it is. */
	const struct ip_prefix *sources; /* of the destination's family; any of these */
	size_t source_count;
	/* The first that is up; where none is, nothing leaves. Selected nodes are in the
	 * order of their names. Nodes are of the source's cluster. */
	const struct node **gateways;
	size_t gateway_count;
	const struct ip_addr *next_hop; /* NULL: none */
	uint32_t table;                 /* 0: none */
};

/* How a flow leaves: `flow->src` is a workload, `flow->dst` has an address. Whoever asks
 * has put the real destination in the place of a published address. */
void route_egress(struct arena *a, const struct model *m, const struct flow *flow,
    struct route_egress *out);

/* ---- ingress ---- */

/* A workload that a published port leads to. */
struct route_target {
	const struct workload *workload;
	/* The client's flow with the real destination. A template has no address. */
	struct flow flow;
	/* Its share of new connections is weight / (total_weight * among): a target of
	 * the rule has a share by its weight, and its workloads have equal parts of it. */
	uint32_t weight;
	uint32_t among;
};

struct route_ingress {
	struct route_found by;
	/* Another rule that leads from the same address and port, and does not come to
	 * its turn: the order decides, and `check` calls it an error. */
	struct route_found second;
	enum route_outcome outcome; /* ROUTE_AS_IT_IS: nobody publishes this */
	enum route_reason reason;
	struct route_target *targets; /* in the order of the model */
	size_t target_count;
	uint64_t total_weight; /* of the targets that have workloads */
};

/* Where a flow to an address leads; `flow->dst` has that address. */
void route_ingress(struct arena *a, const struct model *m, const struct flow *flow,
    struct route_ingress *out);

/* ---- via ---- */

struct route_via {
	struct route_found by;
	struct route_found otherwise;
	enum route_outcome outcome;
	enum route_reason reason;
	/* ROUTE_TAKEN: both directions of a connection go through the same one. */
	const struct workload **through;
	size_t through_count;
};

/* What a flow between two workloads is sent through. */
void route_via(struct arena *a, const struct model *m, const struct flow *flow,
    struct route_via *out);

/* ---- all of it ---- */

/* What happens to one flow. */
struct route_story {
	bool has[ROUTE_KIND_COUNT]; /* the question was asked */
	struct route_egress egress;
	struct route_ingress ingress;
	struct route_via via;
	/* The first target that policy lets the client reach, else the first; NULL. */
	const struct route_target *target;
	bool allow;       /* policy at the real destination, and no Route refuses */
	struct flow flow; /* with the real destination */
};

/*
 * Judges a flow by policy and Routes together. A published address is allowed if some
 * workload that takes new connections may be reached there. `judge` may be NULL. The
 * story is in the arena.
 */
void route_tell(struct arena *a, const struct model *m, struct judge *judge,
    const struct flow *flow, struct route_story *out);

/*
 * As judge_connection_flow, with Routes: allowed if in some family both allow it. With no
 * Routes in the model it is the same question. `judge` may be NULL. False if no pair of
 * addresses can be asked about; else the verdict is in the story.
 */
MUST_CHECK bool route_connection(struct arena *a, const struct model *m,
    struct judge *judge, const struct endpoint *src, const struct endpoint *dst,
    uint8_t proto, uint16_t port, unsigned family, struct route_story *out_story);

/* ---- parts, for lints and listings ---- */

/* The first match for a workload; the flow's own ends are not looked at but for what the
 * rules of the kind name. `gone`, a rule that is not written, may be NULL. */
MUST_CHECK struct route_found route_walk(const struct model *m,
    const struct workload *w, enum route_kind kind, const struct flow *flow,
    const struct route_rule *gone);
/* True if a published port of this protocol leads somewhere at the workload: *out_port. */
MUST_CHECK bool route_target_port(const struct route_rule *rule,
    const struct workload *w, uint8_t proto, uint16_t port, uint16_t *out_port);
/* True if the node is a gateway of the rule for workloads of this cluster. */
MUST_CHECK bool route_gateway_takes(
    const struct route_rule *rule, struct str cluster, const struct node *node);

/* False: nothing is known of it but that workloads name it, who may come and go. */
MUST_CHECK bool route_node_is_known(const struct node *node);
/* The known ones of a cluster, in order of preference; in the arena. */
MUST_CHECK const struct node **route_gateways(struct arena *a, const struct model *m,
    const struct route_rule *rule, struct str cluster, size_t *out_count);

/* "egress", "ingress", "via". */
MUST_CHECK const char *route_kind_name(enum route_kind kind);
/* As written: "route", "publish", "through", "direct", "deny", "pass". */
MUST_CHECK const char *route_action_name(
    enum route_kind kind, enum route_action action);
/* "Route /acme/shop/web". In the arena. */
MUST_CHECK const char *route_title(struct arena *a, const struct route_policy *route);
/* "Route /acme/shop/web egress rule 2 "pay"". In the arena. */
MUST_CHECK const char *route_rule_title(struct arena *a, struct route_found found);

#endif
