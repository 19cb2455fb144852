/*
 * Policies and what they are made of, of every kind in the one normal form of the model.
 */
#ifndef POLICY_LANG_MODEL_POLICY_H
#define POLICY_LANG_MODEL_POLICY_H

#include "common/arena.h"
#include "common/diag.h"
#include "common/ip.h"
#include "common/str.h"
#include "policy-lang/model/proto.h"
#include "policy-lang/model/selector.h"

struct kube_ns;
struct ns;

enum direction {
	DIR_INGRESS,
	DIR_EGRESS
};
#define DIRECTION_COUNT 2

enum phase {
	PHASE_MANDATORY,
	PHASE_ALLOW,
	PHASE_DEFAULT
};

enum action {
	ACTION_ALLOW,
	ACTION_DENY,
	ACTION_PASS
};

enum port_match_kind {
	PORT_NUMBERS, /* `proto` and lo..hi; 0..65535 is the whole protocol */
	PORT_NAMED,   /* `name` at the destination; proto PROTO_ANY: in any protocol */
};

struct port_match {
	enum port_match_kind kind;
	uint8_t proto;
	uint16_t lo, hi;
	struct str name;
	struct loc loc;
};

/* A set of workloads: subject of a policy, or part of a peer. Every part that is
 * set must hold. hostNetwork workloads are never in one. */
struct workload_match {
	/* The subject of a policy for nodes: these (PEER_NODES), and no workload at all.
	 * NULL: workloads. */
	const struct peer *nodes;
	struct str cluster;         /* of this cluster; ptr NULL: of any */
	const struct ns *subtree;   /* at or below; NULL: anywhere */
	const struct kube_ns *kube; /* exactly this Kubernetes namespace; NULL */
	const struct selector
	    *ns_selector; /* over the labels of the workload's own namespace
					       (kube ? kube->labels : ns->labels); NULL: any */
	const struct selector *selector; /* over the workload's labels; NULL: any */
	struct str service_account;      /* ptr NULL: any */
};

enum peer_kind {
	PEER_WORKLOADS,
	PEER_NETWORK, /* addresses, and workloads by their addresses unless !by_address */
	PEER_NODES,   /* the addresses of nodes, and their hostNetwork workloads */
	PEER_FQDN,    /* outside addresses that the tenant knows by such a name */
};

struct peer {
	enum peer_kind kind;
	bool by_address; /* also matches workloads that have such an address */
	struct workload_match workloads; /* PEER_WORKLOADS ... */
	/* ... but for these; NULL: none. Only compilers make such peers. */
	const struct workload_match *but;
	const struct ip_prefix *prefixes; /* PEER_NETWORK: in one of these ... */
	size_t prefix_count;
	const struct ip_prefix *excepts; /* ... and in none of these */
	size_t except_count;
	/* ptr NULL: none. PEER_NODES: only nodes of it. PEER_NETWORK: workloads of other
	 * clusters are the outside here; they match whatever by_address says. */
	struct str cluster;
	struct str node_name; /* PEER_NODES: ptr NULL: by selector */
	const struct selector *node_selector;
	const struct str
	    *fqdns; /* PEER_FQDN, or beside prefixes of an ExternalNetwork */
	size_t fqdn_count;
	struct loc loc;
};

struct rule {
	struct str name; /* "" when it has none */
	uint32_t index;  /* in its list, from 0 */
	enum phase phase;
	enum direction dir;
	enum action action; /* PHASE_ALLOW: always ACTION_ALLOW */
	/* Identifies the rule in kernel and logs: a hash of what it is called, so that it is
	 * the same on every node and after every edit (load_finish.c). */
	uint32_t number;
	bool any_peer; /* no from/to: everyone; else one of peers (none: nobody) */
	bool any_port; /* no ports: everything; else one of ports (none: nothing) */
	const struct peer *peers;
	size_t peer_count;
	const struct port_match *ports;
	size_t port_count;
	const struct policy *policy;
	struct loc loc;
};

struct rule_list {
	struct rule *rules;
	size_t count;
};

enum policy_kind {
	POLICY_NATIVE,
	POLICY_NETWORK_POLICY,
	POLICY_ADMIN,    /* AdminNetworkPolicy */
	POLICY_BASELINE, /* BaselineAdminNetworkPolicy */
	POLICY_CLUSTER,  /* ClusterNetworkPolicy, either tier */
};

struct policy {
	enum policy_kind kind;
	int32_t priority; /* lower is first */
	bool audit;       /* enforcement: audit: what it would do is told, not done */
	bool isolates[DIRECTION_COUNT]; /* has an allow block in this direction */
	uint32_t isolate_number[DIRECTION_COUNT]; /* number of "denied by isolation" */
	struct str name;
	struct str
	    namespace_text; /* as written: a path or a Kubernetes namespace; "" at / */
	struct str cluster; /* of its source, or its Kubernetes namespace; mostly "" */
	struct ns *level;   /* where its rules stand in the walk */
	struct workload_match subject; /* subtree is always at or below level */
	struct rule_list mandatory[DIRECTION_COUNT];
	struct rule_list allow[DIRECTION_COUNT];
	struct rule_list defaults[DIRECTION_COUNT];
	struct loc loc;
	struct loc isolate_loc[DIRECTION_COUNT]; /* what isolates: for messages */
	const struct policy *said; /* it is set aside: what it says; NULL */
};

/* What is in the place of what a policy says. */
struct policy_aside {
	struct policy said;
	struct rule denies[3 * DIRECTION_COUNT];
};

/* ---- questions ---- */

MUST_CHECK const char *direction_name(enum direction d); /* "ingress", "egress" */
MUST_CHECK const char *phase_name(enum phase p); /* "mandatory", "allow", "default" */
MUST_CHECK const char *action_name(enum action a);
MUST_CHECK const char *policy_kind_name(enum policy_kind k); /* "NetworkPolicy", ... */
/* The rules of a policy that the walk asks in a phase and direction. */
MUST_CHECK const struct rule_list *policy_rules(
    const struct policy *p, enum phase phase, enum direction dir);
/* "Policy /acme/shop/web", "NetworkPolicy east/shop/web": names a policy for people. In
 * the arena. */
MUST_CHECK const char *policy_title(struct arena *a, const struct policy *p);
/* "Policy /acme/shop/web rule 2 \"metrics\"": names a rule for people. In the arena. */
MUST_CHECK const char *rule_title(struct arena *a, const struct rule *r);
/* True if the rule's peers include names. */
MUST_CHECK bool rule_has_names(const struct rule *rule);
/* How many of its rules that is so of. */
MUST_CHECK size_t policy_rules_by_name(const struct policy *policy);

/* Sets a policy aside, as one that is not understood: it isolates whom it did, allows
 * nothing, and where it would deny or pass something on it denies everything, by the number
 * of its first rule that did. `room` (whatever is in it) must last until policy_restore. */
void policy_set_aside(struct policy *policy, struct policy_aside *room);
void policy_restore(struct policy *policy);

#endif
