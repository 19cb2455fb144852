/*
 * Between recommend*.c only: groups of workloads, and what was seen of them.
 */
#ifndef POLICY_LANG_RECOMMEND_INTERNAL_H
#define POLICY_LANG_RECOMMEND_INTERNAL_H

#include "policy-lang/evaluate/query.h"
#include "policy-lang/flows/recommend.h"

/* Workloads that one selector tells from all others: those of an owner, or of several
 * owners that no label tells apart. */
struct group {
	struct group *into; /* NULL, or the group that this one has become part of */
	struct str name;    /* of the first owner */
	const struct ns *home;
	const struct kube_ns *kube; /* NULL: native, or for native policy */
	const struct workload **members;
	size_t count, cap;
	bool seen; /* some flow names it */
	bool made; /* labels are chosen */
	const struct label
	    *labels; /* what selects it at home; none: everything there */
	size_t label_count;
};

struct groups;

/* Every workload is in a group of its owner. `by_kube`: selectors reach as far as a
 * Kubernetes namespace, not as a subtree. */
MUST_CHECK struct groups *groups_new(
    struct arena *arena, const struct model *m, bool by_kube);
void groups_free(struct groups *groups);
/* The group that a workload is in now; NULL for hostNetwork ones, which are their node. */
MUST_CHECK struct group *groups_of(struct groups *groups, const struct workload *w);
MUST_CHECK struct group *group_root(struct group *group);
/* Chooses labels for every group that is seen, joining those that labels do not tell
 * apart. Afterwards only roots count. */
void groups_make(struct groups *groups);
/* How many owners are in no group that is seen. */
MUST_CHECK size_t groups_unseen(const struct groups *groups);
/* The name that every member gives a port and no other port; "" if there is none. */
MUST_CHECK struct str group_port_name(
    const struct group *group, uint8_t proto, uint16_t port);

/* One end of what was seen; exactly one is set, else it is a prefix of the outside. */
struct seen_end {
	struct group *group;
	const struct node *node;
	struct ip_prefix prefix;
};

/* Of the first and the last record read, as they are written; "" if they are not. */
struct seen_times {
	char first[40], last[40];
};

/* Flows that were alike. */
struct seen_flow {
	struct seen_end src, dst;
	uint8_t proto;
	uint16_t port;
	uint64_t count;
	struct seen_times times;
};

struct recommend {
	struct arena *arena;
	const struct model *model;
	struct recommend_options options;
	struct resolver *resolver;
	struct groups *groups;
	struct map flows; /* key -> struct seen_flow */
	struct buf key;
	struct ip_addr *known; /* workloads' and nodes' addresses, sorted */
	size_t known_count;
	struct recommend_counts counts;
	struct seen_times times;
};

/* Joins neighbours: the shortest list of prefixes that covers the same addresses. Sorted;
 * returns how many are left. */
MUST_CHECK size_t prefixes_join(struct ip_prefix *prefixes, size_t count);

#endif
