/*
 * Between load_pod.c, load_kept.c and load_node.c: addresses, and what pods tell of nodes.
 */
#ifndef POLICY_LANG_LOAD_POD_H
#define POLICY_LANG_LOAD_POD_H

#include "policy-lang/load/load_internal.h"

/* ---- load_pod.c ---- */

/* The one copy of it in the model: most pods of a node tell the same. NULL is fine. */
MUST_CHECK const struct node_word *pod_share_told(
    struct loader *l, const struct node_word *told);

/* ---- load_kept.c ---- */

/* Before its status has addresses, they are what its node's runtime told of. */
void pod_take_announced(const struct loader *l, struct workload *w);

/* ---- load_node.c ---- */

/* What a pod says about its node's addresses, or NULL; a Node object knows better. */
void pod_tell_node(
    struct loader *l, struct node_draft *d, const struct node_word *told);

#endif
