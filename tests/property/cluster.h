/*
 * Random clusters, larger and odder than worlds: pods and native workloads of both
 * families, hostNetwork pods, shared and missing addresses, port names that mean
 * different things, every kind of policy, networks that overlap; sometimes two clusters
 * in one tree. As YAML.
 */
#ifndef TESTS_PROPERTY_CLUSTER_H
#define TESTS_PROPERTY_CLUSTER_H

#include "tests/property/world.h"

#define CLUSTER_NODES 3 /* of each cluster: "node-0" and so on */
#define CLUSTER_MAX   2

/* What stands in each source. With one cluster everything is in the tree's. */
struct cluster_texts {
	struct buf tree;
	struct buf kube[CLUSTER_MAX];
	unsigned clusters; /* 0: one, without a name */
};

extern const char *const cluster_names[CLUSTER_MAX];

/* Appends to the buffers; sets `clusters` to 0 or CLUSTER_MAX. */
void cluster_print(struct cluster_texts *out, struct dice *dice);
/* A Route or two, for a cluster of which not only policy is asked. */
void cluster_print_routes(struct buf *out, struct dice *dice);
/* The same of Quotas with network limits. */
void cluster_print_quotas(struct buf *out, struct dice *dice);
/* External networks with who speaks of them, and documents that mean nothing to a node. */
void cluster_print_others(struct cluster_texts *out, struct dice *dice);
/* The text with another word somewhere, or as it is. */
void cluster_print_reworded(struct buf *out, struct dice *dice, const struct buf *text);
/* The same again, but for a document or some words of one source. */
void cluster_print_edited(
    struct cluster_texts *out, struct dice *dice, const struct cluster_texts *old);

#endif
