/*
 * The tree of namespaces while it is read, and the Kubernetes namespaces placed in it: each
 * is made when something first speaks of it, with all above it.
 */
#include "policy-lang/load/load_tree.h"

#define FRESH_CHUNK_BYTES 1024

/* Where one source is read against a model: what that has not. NULL: a load of all. */
static struct load_fresh *
fresh_of(const struct loader *l)
{
	struct load_fresh *fresh =
	    l->note != NULL && l->note->part ? l->note->fresh : NULL;

	if (fresh != NULL && fresh->arena == NULL)
		fresh->arena = arena_new_sized(FRESH_CHUNK_BYTES);
	return fresh;
}

/* The path of the level above; "/" has none. */
static struct str
parent_path(struct str path)
{
	size_t slash = path.len;

	while (path.ptr[slash - 1] != '/')
		slash--;
	return slash == 1 ? STR("/") : str_slice(path, 0, slash - 1);
}

static struct ns *
find_ns(const struct loader *l, struct str path)
{
	struct ns *ns = map_get(&l->m->ns_by_path, path);

	if (ns == NULL && l->note != NULL && l->note->fresh != NULL)
		ns = map_get(&l->note->fresh->ns_by_path, path);
	return ns;
}

struct ns *
load_ns(struct loader *l, struct str path)
{
	struct ns *ns = find_ns(l, path);
	struct load_fresh *fresh;
	struct tree_node *node;

	if (ns != NULL)
		return ns;
	fresh = fresh_of(l);
	node = ARENA_NEW(fresh != NULL ? fresh->arena : l->arena, struct tree_node);
	ns = &node->ns;
	ns->path = fresh != NULL ? str_dup(fresh->arena, path) : load_text(l, path);
	if (path.len > 1) {
		ns->parent = load_ns(l, parent_path(ns->path));
		ns->depth = ns->parent->depth + 1;
	}
	map_set(fresh != NULL ? &fresh->ns_by_path : &l->m->ns_by_path, ns->path, ns);
	return ns;
}

void
tree_mark_known(struct ns *ns)
{
	for (; ns != NULL && !tree_node_of(ns)->known; ns = ns->parent)
		tree_node_of(ns)->known = true;
}

/* ---- Kubernetes namespaces ---- */

/* "name" or "cluster/name": the keys of model.kube_by_name. */
struct str
tree_kube_key(struct arena *a, struct str cluster, struct str name)
{
	if (cluster.len == 0)
		return name;
	return str_from(arena_printf(a, "%.*s/%.*s", STR_ARG(cluster), STR_ARG(name)));
}

struct kube_node *
tree_find_kube(struct loader *l, struct str cluster, struct str name)
{
	struct str key = tree_kube_key(l->scratch, cluster, name);
	struct kube_ns *kube = map_get(&l->m->kube_by_name, key);

	if (kube == NULL && l->note != NULL && l->note->fresh != NULL)
		kube = map_get(&l->note->fresh->kube_by_name, key);
	return kube != NULL ? CONTAINER_OF(kube, struct kube_node, kube) : NULL;
}

/* The label that every one has. */
static struct label_set
bare_labels(struct arena *a, struct str name)
{
	struct label *label = ARENA_NEW(a, struct label);

	*label = (struct label){STR(METADATA_NAME), name};
	return (struct label_set){label, 1};
}

struct kube_node *
tree_new_kube(struct loader *l, struct str cluster, struct str name, struct ns *ns)
{
	struct load_fresh *fresh = fresh_of(l);
	struct arena *home = fresh != NULL ? fresh->arena : l->arena;
	struct kube_node *node = ARENA_NEW(home, struct kube_node);
	struct kube_ns *kube = &node->kube;

	if (fresh != NULL) {
		kube->cluster = str_dup(home, cluster);
		kube->name = str_dup(home, name);
	} else {
		kube->cluster = load_text(l, cluster);
		kube->name = load_text(l, name);
	}
	kube->labels = bare_labels(home, kube->name);
	node->bare = kube->labels;
	kube->ns = ns;
	map_set(fresh != NULL ? &fresh->kube_by_name : &l->m->kube_by_name,
	    str_dup(home, tree_kube_key(l->scratch, cluster, name)), kube);
	return node;
}

static struct ns *
default_place(struct loader *l, struct str name)
{
	return load_ns(l, str_from(arena_printf(l->scratch, "/%.*s", STR_ARG(name))));
}

struct ns *
load_default_place(const struct model *m, struct load_fresh *fresh, struct str name)
{
	struct model seen = *m; /* its maps are only looked into */
	struct load_note note = {.part = true, .fresh = fresh};
	struct loader l = {
	    .note = &note, .scratch = arena_new_sized(FRESH_CHUNK_BYTES), .m = &seen};
	struct ns *ns = default_place(&l, name);

	tree_mark_known(ns);
	arena_free(l.scratch);
	return ns;
}

/* Before it is known who is placed where, a new one is nowhere yet. */
struct kube_node *
load_kube_ns(struct loader *l, struct str cluster, struct str name)
{
	struct kube_node *node = tree_find_kube(l, cluster, name);

	if (node != NULL)
		return node;
	return tree_new_kube(
	    l, cluster, name, l->placed ? default_place(l, name) : NULL);
}

void
load_settle_kube(struct loader *l)
{
	for (size_t i = 0; i < l->m->kube_by_name.len; i++) {
		struct kube_ns *kube = l->m->kube_by_name.entries[i].value;

		if (kube->ns == NULL)
			kube->ns = default_place(l, kube->name);
		if (CONTAINER_OF(kube, struct kube_node, kube)->known)
			tree_mark_known(kube->ns);
	}
	l->placed = true;
}

void
kube_node_known(struct kube_node *node)
{
	if (!node->known && node->kube.ns != NULL)
		tree_mark_known(node->kube.ns);
	node->known = true;
}
