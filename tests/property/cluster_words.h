/*
 * Between cluster.c, cluster_policy.c and cluster_route.c: what documents of every kind are
 * made of.
 */
#ifndef TESTS_PROPERTY_CLUSTER_WORDS_H
#define TESTS_PROPERTY_CLUSTER_WORDS_H

#include "tests/property/cluster.h"

#define CLUSTER_KUBE  6 /* Kubernetes namespaces of each cluster */
#define CLUSTER_PATHS 6

#define PICK(dice, list) (list)[dice_roll((dice), (unsigned)ARRAY_LEN(list))]

extern const char *const cluster_paths[CLUSTER_PATHS]; /* of the tree */

MUST_CHECK bool cluster_chance(struct dice *dice, unsigned one_in);
/* A selector over labels of pods, or of namespaces. */
void cluster_print_pods(struct buf *out, struct dice *dice);
void cluster_print_spaces(struct buf *out, struct dice *dice);
/* `before` and the name of one of the clusters, if there are several. */
void cluster_print_own(
    struct buf *out, struct dice *dice, const char *before, unsigned clusters);
/* Of a native document: a path or, where it can only be that of one cluster, a Kubernetes
 * namespace. */
MUST_CHECK const char *cluster_home(struct dice *dice, unsigned clusters);
/* The fields of an ipBlock (cluster_policy.c). */
void cluster_print_cidr(struct buf *out, struct dice *dice);

/* A policy of any kind but baselines, to the source where it may stand (cluster_policy.c). */
void cluster_print_policy(
    struct cluster_texts *out, struct buf *kube, struct dice *dice, unsigned i);
void cluster_print_baseline(struct buf *out, struct dice *dice);

#endif
