/*
 * Between load_tree.c, load_path.c and load_namespace.c; what others may ask of the tree is in
 * load_internal.h.
 */
#ifndef POLICY_LANG_LOAD_TREE_H
#define POLICY_LANG_LOAD_TREE_H

#include "policy-lang/load/load_internal.h"

/* A label that every Kubernetes namespace has: its name. */
#define METADATA_NAME "kubernetes.io/metadata.name"

/* ---- nodes (load_tree.c) ---- */

MUST_CHECK static inline struct tree_node *
tree_node_of(struct ns *ns)
{
	return CONTAINER_OF(ns, struct tree_node, ns);
}

/* Notes that a namespace, and all above it, exist. NULL is fine. */
void tree_mark_known(struct ns *ns);
/* "name" or "cluster/name": the keys of model.kube_by_name; in the arena or borrowed. */
MUST_CHECK struct str tree_kube_key(
    struct arena *a, struct str cluster, struct str name);
/* NULL: nothing has spoken of it yet. */
MUST_CHECK struct kube_node *tree_find_kube(
    struct loader *l, struct str cluster, struct str name);
/* Makes one that tree_find_kube does not know, at a place; NULL: not known yet. */
MUST_CHECK struct kube_node *tree_new_kube(
    struct loader *l, struct str cluster, struct str name, struct ns *ns);

/* ---- places as they are written (load_path.c) ---- */

/* Whether it is an absolute path within the limits; reported if not. */
MUST_CHECK bool tree_check_path(struct loader *l, struct str path, struct loc loc);
/* The cluster of a Kubernetes namespace that a native document of `o` names without one. False
 * if it cannot be told (reported with the hint). */
MUST_CHECK bool tree_default_cluster(struct loader *l, const struct load_object *o,
    struct loc loc, const char *hint, struct str *out);

#endif
