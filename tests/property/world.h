/*
 * Random worlds: a tree, workloads in it and policies on it, as data that a test can edit
 * and then print as the YAML that people write.
 */
#ifndef TESTS_PROPERTY_WORLD_H
#define TESTS_PROPERTY_WORLD_H

#include "common/str.h"
#include "policy-lang/model/model.h"
#include "tests/property/dice.h"

#define WORLD_NAMESPACES 8
#define WORLD_WORKLOADS  6
#define WORLD_POLICIES   9
#define WORLD_RULES      3
#define WORLD_ITEMS      3
#define PHASE_COUNT      3

enum world_peer_kind {
	WORLD_PEER_LABEL,    /* workloads of the policy's own namespace (and below) */
	WORLD_PEER_SUBTREE,  /* a namespace of the tree */
	WORLD_PEER_BOTH,     /* a namespace and a label */
	WORLD_PEER_NS_LABEL, /* namespaces by label */
	WORLD_PEER_CIDR,
	WORLD_PEER_NODE,
};

struct world_peer {
	enum world_peer_kind kind;
	unsigned label, ns, cidr, node;
};

struct world_rule {
	enum action action;
	struct world_peer peers[WORLD_ITEMS];
	unsigned peer_count; /* 0: everyone */
	unsigned ports[WORLD_ITEMS];
	unsigned port_count; /* 0: everything */
};

/* In what language a policy is written. */
enum world_dialect {
	WORLD_NATIVE,
	WORLD_NETWORK_POLICY, /* of the Kubernetes namespace placed at `ns` */
	WORLD_ADMIN,          /* AdminNetworkPolicy: mandatory at the root */
	WORLD_CLUSTER_ADMIN, /* ClusterNetworkPolicy of either tier: the same, and ... */
	WORLD_CLUSTER_BASELINE, /* ... default at the root */
};

struct world_policy {
	bool present;
	enum world_dialect dialect;
	unsigned ns;
	unsigned priority;
	unsigned subject; /* a label, or WORLD_ANY */
	bool isolates[DIRECTION_COUNT];
	struct world_rule rules[PHASE_COUNT][DIRECTION_COUNT][WORLD_RULES];
	unsigned rule_count[PHASE_COUNT][DIRECTION_COUNT];
};

#define WORLD_ANY 1000u

struct world_workload {
	unsigned ns;
	unsigned label;
	unsigned node;
	bool v4, v6;
	unsigned named_ports; /* what the name "web" means here */
};

/* Namespace 0 is the root; a parent comes before its children. */
struct world {
	unsigned ns_count;
	bool clusters; /* Kubernetes namespaces are of one of two, in turn */
	unsigned parent[WORLD_NAMESPACES];
	bool kube[WORLD_NAMESPACES]; /* a Kubernetes namespace is placed here */
	unsigned workload_count;
	struct world_workload workloads[WORLD_WORKLOADS];
	struct world_policy policies[WORLD_POLICIES];
};

void world_roll(struct world *world, struct dice *dice);
/* A new policy in the place of number `p`, written at `ns`. */
void world_roll_policy(struct world *world, struct dice *dice, unsigned p, unsigned ns);
/* Default rules alone: what law (b) adds. */
void world_roll_default(
    struct world *world, struct dice *dice, unsigned p, unsigned ns);
/* Whether it is of those that stand at the root. */
MUST_CHECK bool world_is_admin(enum world_dialect dialect);
/* True if `ns` is `top` or below it. */
MUST_CHECK bool world_within(const struct world *world, unsigned ns, unsigned top);
MUST_CHECK unsigned world_depth(const struct world *world, unsigned ns);

/* With several clusters, which source a document stands in. */
enum world_part {
	WORLD_TREE,
	WORLD_EAST,
	WORLD_WEST,
	WORLD_PARTS
};

struct world_printing {
	bool split;  /* one rule for each port and each peer */
	bool insert; /* an empty level above namespace `inserted` */
	unsigned inserted;
};

/* Everything, in one text; not for a world of several clusters. */
void world_print(
    struct buf *out, const struct world *world, const struct world_printing *how);
/* What stands in one source. Without clusters, the tree's has it all. */
void world_print_part(struct buf *out, const struct world *world,
    const struct world_printing *how, enum world_part part);
/* A workload's name in the YAML: "w3". The root's path is "/". */
void world_path(struct buf *out, const struct world *world, unsigned ns,
    const struct world_printing *how);

#endif
