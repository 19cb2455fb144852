/*
 * The evaluator: the walk of the language, as literally as it can be written,
 * one connection at a time. It is the specification in code: it shares nothing with
 * the compiler but the model, so that each can be tested against the other.
 */
#ifndef POLICY_LANG_EVALUATE_H
#define POLICY_LANG_EVALUATE_H

#include "policy-lang/model/model.h"

enum endpoint_kind {
	ENDPOINT_WORKLOAD,
	ENDPOINT_NODE,
	ENDPOINT_ADDRESS
};

/* One end of a connection. An address of a known workload or node is that. */
struct endpoint {
	enum endpoint_kind kind;
	/* ENDPOINT_WORKLOAD: never a hostNetwork one. ENDPOINT_NODE: the hostNetwork
	 * workload that stands for its node here, or NULL. */
	const struct workload *workload;
	const struct node *node; /* ENDPOINT_NODE; NULL: which one is not known */
	bool has_addr; /* false: a workload without address, or family unset */
	bool unlisted; /* ENDPOINT_NODE: has `addr`, which peers do not take in */
	struct ip_addr addr;
	/* ENDPOINT_ADDRESS: what was asked for by this name. Its addresses are those that the
	 * other end knows, or one that stands for it; verdicts come from these alone. */
	struct str name;
	bool stand_in;
	const struct ip_addr *name_addrs;
	size_t name_addr_count;
};

struct flow {
	struct endpoint src;
	struct endpoint dst;
	uint8_t proto;
	uint16_t port; /* destination port; 0 for protocols without ports */
};

enum verdict_reason {
	REASON_RULE,            /* a rule decided */
	REASON_ISOLATION,       /* an allow block isolates, and nothing in it matched */
	REASON_CLUSTER_DEFAULT, /* nothing decided */
	REASON_NO_POLICY, /* this end is no workload, and no node with a policy for it */
	REASON_SELF,      /* a workload or a node to itself */
	REASON_OWN_NODE,  /* the workload's own node reaches it always */
	REASON_FAIL_SAFE, /* a port of a node that no policy can close */
	REASON_NODE_OPEN, /* no policy for the node decided */
};

struct verdict {
	bool allow;
	enum verdict_reason reason;
	const struct rule *rule; /* REASON_RULE */
	const struct policy
	    *policy;            /* REASON_RULE; REASON_ISOLATION: the first isolating */
	const struct ns *level; /* where it was decided */
};

/* What happened at one step of the walk, for `explain`. */
enum step_kind {
	STEP_NO_MATCH, /* rules here, none matched */
	STEP_PASS,     /* a pass rule matched: on to the next level */
	STEP_DECIDED,
	STEP_UNREACHED, /* would have matched, had nobody decided before */
};

struct step {
	const struct ns *level;
	enum phase phase;
	enum step_kind kind;
	const struct rule *rule; /* STEP_PASS, STEP_DECIDED by a rule, STEP_UNREACHED */
	const struct policy *policy;
	bool isolation; /* decided by isolation */
	bool allow;     /* STEP_DECIDED, STEP_UNREACHED: which way */
};

struct walk {
	struct verdict verdict;
	struct step *steps;
	size_t step_count;
};

/* Judges one direction of a flow: egress at the source, ingress at the destination. */
MUST_CHECK struct verdict evaluate_direction(
    const struct model *m, const struct flow *flow, enum direction dir);
/* Both. */
MUST_CHECK bool evaluate_flow(const struct model *m, const struct flow *flow);
/* As evaluate_direction, keeping every step of the walk (in the arena), the steps after
 * the decision included as STEP_UNREACHED where they would have matched. An end that is
 * not walked (REASON_NO_POLICY, _SELF, _OWN_NODE, _FAIL_SAFE) has no steps. */
void evaluate_trace(struct arena *a, const struct model *m, const struct flow *flow,
    enum direction dir, struct walk *out_walk);
/* The verdict if what decided `gone` were not written: its rule, or for REASON_ISOLATION
 * the allow block of its policy. For every other reason nothing is taken away. */
MUST_CHECK struct verdict evaluate_without(const struct model *m,
    const struct flow *flow, enum direction dir, const struct verdict *gone);

/*
 * A connection between two named ends: allowed if it is for some pair of their addresses
 * of one family (`family` 0: either), or, where an end has no address, by selectors alone.
 * ICMP is a question about IPv4 and ICMPv6 one about IPv6, whatever `family` says.
 * False with *out_comparable false when no pair of addresses can be asked about: no
 * family in common, or none of the family asked for.
 */
MUST_CHECK bool evaluate_connection(const struct model *m, const struct endpoint *src,
    const struct endpoint *dst, uint8_t proto, uint16_t port, unsigned family,
    bool *out_comparable);
/* As evaluate_connection; *out_flow is the flow that was allowed, or the first that was
 * denied (untouched if nothing is comparable): what `explain` walks. */
MUST_CHECK bool evaluate_connection_flow(const struct model *m,
    const struct endpoint *src, const struct endpoint *dst, uint8_t proto,
    uint16_t port, unsigned family, bool *out_comparable, struct flow *out_flow);

/* The end that an address is: a workload, a node, or the outside. */
MUST_CHECK struct endpoint endpoint_of_addr(const struct model *m, struct ip_addr addr);
/* A hostNetwork workload gives its node. No address is chosen: all of them count. */
MUST_CHECK struct endpoint endpoint_of_workload(
    const struct model *m, const struct workload *w);
MUST_CHECK struct endpoint endpoint_of_node(const struct node *node);
/* The addresses that an end may use: the one that is set, or all that it has. */
MUST_CHECK const struct ip_addr *endpoint_addrs(
    const struct endpoint *end, size_t *out_count);

/* True if the set of workloads has this one. */
MUST_CHECK bool workload_match_takes(
    const struct workload_match *match, const struct workload *w);
/* Whose rules are looked at: what their tenant knows by name counts. */
struct knower {
	const struct learnt *learnt; /* NULL: knows nothing */
	struct str tenant;
};

/* The knower that a subject in a namespace is. */
MUST_CHECK struct knower knower_of(const struct model *m, const struct ns *ns);
/* True if the peer takes in this end. Of names: an outside address that is known by one. */
MUST_CHECK bool peer_takes(
    const struct peer *peer, const struct endpoint *end, const struct knower *who);
/* True for an outside address of which it is not known whether it is one of a name: known
 * by none, and no resolver's. What is denied by name takes it in, too. */
MUST_CHECK bool peer_is_nameless(const struct endpoint *end, const struct knower *who);
/* True if the flow's protocol and destination port are among these. */
MUST_CHECK bool port_match_takes(
    const struct port_match *match, const struct flow *flow);
/* True if the rule's from/to takes in this end; ports aside. */
MUST_CHECK bool rule_matches_peer(
    const struct rule *rule, const struct endpoint *peer, const struct knower *who);
/* True if the policy's subject is this workload. */
MUST_CHECK bool policy_applies(const struct policy *policy, const struct workload *w);
/* True if it is this node. */
MUST_CHECK bool policy_applies_to_node(
    const struct policy *policy, const struct node *node);

/*
 * A judge answers the same questions many times: it keeps for each workload the
 * policies whose subject it is, found when first asked. Borrows the model. Not
 * thread-safe.
 */
struct judge;

MUST_CHECK struct judge *judge_new(const struct model *m);
void judge_free(struct judge *judge);
MUST_CHECK struct verdict judge_direction(
    struct judge *judge, const struct flow *flow, enum direction dir);
MUST_CHECK bool judge_connection(struct judge *judge, const struct endpoint *src,
    const struct endpoint *dst, uint8_t proto, uint16_t port, unsigned family,
    bool *out_comparable);
/* As evaluate_connection_flow. */
MUST_CHECK bool judge_connection_flow(struct judge *judge, const struct endpoint *src,
    const struct endpoint *dst, uint8_t proto, uint16_t port, unsigned family,
    bool *out_comparable, struct flow *out_flow);

#endif
