/*
 * What Namespace documents say, native and Kubernetes: labels, owners, and who is placed
 * where. Native ones, which only admins write, are read before anything else, and no label
 * can change what they say.
 */
#include "policy-lang/load/load_tree.h"

/* ---- what documents say of namespaces ---- */

void
load_declare(const struct load_space *said)
{
	if (said->kube != NULL) {
		said->kube->kube.labels = said->labels;
		said->kube->kube.loc = said->loc;
		return;
	}
	said->ns->labels = said->labels;
	said->ns->owners = said->owners;
	said->ns->owner_count = said->owner_count;
	said->ns->loc = said->loc;
}

/* The model of a part stays as it is: what would be written there is noted. */
static void
declare(struct loader *l, const struct load_space *said)
{
	struct load_space *copy;

	if (l->note == NULL || !l->note->part) {
		load_declare(said);
		return;
	}
	copy = ARENA_NEW(l->arena, struct load_space);
	*copy = *said;
	ptr_vec_push(&l->note->spaces, copy);
}

void
load_kube_namespace(struct loader *l, const struct load_object *o)
{
	struct kube_node *node;
	struct meta meta;

	if (!load_meta(l, o, META_CLUSTER, true, &meta) || meta.name.len == 0)
		return;
	if (!name_is_label(meta.name)) {
		diag_say(l->diags, CODE_BAD_NAME, meta.loc,
		    "a namespace's name must be %s", NAME_LABEL_RULE);
		return;
	}
	if (!load_claim(
		l, "Namespace", o->cluster, (struct str){0}, meta.name, meta.loc))
		return;
	node = load_kube_ns(l, o->cluster, meta.name);
	declare(l,
	    &(struct load_space){
		.kube = node,
		.labels = load_label_set(l, meta.labels, STR(METADATA_NAME), meta.name),
		.loc = meta.loc,
	    });
	kube_node_known(node);
}

/* ---- native Namespace documents ---- */

enum {
	NS_PATH,
	NS_KUBERNETES,
	NS_OWNERS
};

static const struct schema_field ns_fields[] = {
    [NS_PATH] = {"path", TYPE_STRING, false, NULL},
    [NS_KUBERNETES] = {"kubernetes", TYPE_MAP, false, NULL},
    [NS_OWNERS] = {"owners", TYPE_LIST, false, NULL},
};

enum {
	NSK_NAMESPACES,
	NSK_CLUSTER
};

static const struct schema_field ns_kube_fields[] = {
    [NSK_NAMESPACES] = {"namespaces", TYPE_LIST, true, NULL},
    [NSK_CLUSTER] = {"cluster", TYPE_STRING, false, NULL},
};
static const struct schema_value ns_kube_values[] = {
    [NSK_NAMESPACES] = {.about = "Names of Kubernetes namespaces, each with CLUSTER/ "
				 "before it or without.",
	.each = &(const struct schema_value){.types = TYPE_STRING,
	    .grammar = &grammar_placed}},
    [NSK_CLUSTER] = {.about = "Which cluster's those are that do not say it."},
};
static const struct schema ns_kube_schema =
    SCHEMA_TOLD("\"kubernetes\"", ns_kube_fields, ns_kube_values);

static const struct schema_value ns_values[] = {
    [NS_PATH] = {.about = "The path, such as /acme/shop; in files metadata.name may be "
			  "it instead.",
	.grammar = &grammar_path},
    [NS_KUBERNETES] = {.about = "The Kubernetes namespaces that are this namespace.",
	.map = &ns_kube_schema},
    [NS_OWNERS] = {.about = "Groups of the directory that may change what is written "
			    "at and below this namespace.",
	.each = &(const struct schema_value){.types = TYPE_STRING,
	    .grammar = &grammar_printable}},
};
const struct schema load_namespace_schema =
    SCHEMA_TOLD("a Namespace's spec", ns_fields, ns_values);

/* Splits "CLUSTER/NAME" or "NAME". False: it is neither (reported). */
static bool
read_placed(struct loader *l, const struct doc_node *node, struct str *out_cluster,
    struct str *out_name)
{
	if (!schema_type(l->diags, node, "a Kubernetes namespace", TYPE_STRING))
		return false;
	*out_name = node->text;
	*out_cluster = str_split(out_name, '/');
	if (out_name->ptr == NULL) {
		*out_name = *out_cluster;
		*out_cluster = (struct str){0};
	}
	if (name_is_label(*out_name) &&
	    (out_cluster->ptr == NULL || out_cluster->len > 0))
		return true;
	diag_say(l->diags, CODE_BAD_NAME, node->loc,
	    "a Kubernetes namespace's name, here with CLUSTER/ before it or without, "
	    "must be %s",
	    NAME_LABEL_RULE);
	return false;
}

static void
say_placed_twice(struct loader *l, const struct kube_node *node, const struct ns *ns,
    struct loc first, struct loc loc)
{
	struct diag *d = diag_say(l->diags, CODE_PLACED_TWICE, loc,
	    "the Kubernetes namespace %.*s is placed at %.*s already",
	    STR_ARG(node->kube.name), STR_ARG(ns->path));

	diag_note(l->diags, d, first, "here");
}

/* For who keeps the model up. Of a part it is not known yet what others say. */
static void
note_placed(struct loader *l, struct ns *ns, struct kube_node *node, struct loc loc)
{
	struct str key = tree_kube_key(l->scratch, node->kube.cluster, node->kube.name);
	struct load_placed *said = map_get(&l->placings, key);

	if (said != NULL) {
		if (said->ns != ns)
			say_placed_twice(l, node, said->ns, said->loc, loc);
		return;
	}
	said = ARENA_NEW(l->arena, struct load_placed);
	*said = (struct load_placed){node, ns, loc};
	ptr_vec_push(&l->note->placed, said);
	if (l->note->part)
		(void)map_set(&l->placings, key, said); /* new */
}

/* A namespace that is placed exists, even if no document of it is at hand: the gate
 * judges requests for it. */
static void
place(struct loader *l, struct ns *ns, struct str cluster, struct str name,
    struct loc loc)
{
	struct kube_node *node = tree_find_kube(l, cluster, name);
	bool part = l->note != NULL && l->note->part;

	if (node == NULL)
		node = tree_new_kube(l, cluster, name, part ? ns : NULL);
	if (l->note != NULL)
		note_placed(l, ns, node, loc);
	if (part) {
		node->known = true;
	} else if (node->kube.ns == NULL) {
		node->kube.ns = ns;
		node->known = true;
		node->placed = loc;
	} else if (node->kube.ns != ns) {
		say_placed_twice(l, node, node->kube.ns, node->placed, loc);
	}
}

static void
read_kubernetes(struct loader *l, const struct load_object *o, struct ns *ns,
    const struct doc_node *map)
{
	const struct doc_node *v[ARRAY_LEN(ns_kube_fields)];
	struct str given = {0};

	if (!schema_read(l->diags, &ns_kube_schema, map, v))
		return;
	if (v[NSK_CLUSTER] != NULL)
		given = load_cluster(l, v[NSK_CLUSTER]->loc, v[NSK_CLUSTER]->text);
	for (uint32_t i = 0; i < v[NSK_NAMESPACES]->count; i++) {
		const struct doc_node *item = v[NSK_NAMESPACES]->u.items[i];
		struct str cluster, name;

		if (!read_placed(l, item, &cluster, &name))
			continue;
		if (cluster.ptr != NULL)
			cluster = load_cluster(l, item->loc, cluster);
		else if (given.ptr != NULL)
			cluster = given;
		else if (!tree_default_cluster(l, o, map->loc,
			     "write \"cluster\" beside it, or CLUSTER/ before each",
			     &cluster))
			return;
		place(l, ns, cluster, name, item->loc);
	}
}

/* The path: spec.path, or metadata.name when that is one. */
static bool
read_own_path(struct loader *l, const struct meta *meta, const struct doc_node *path,
    struct str *out, struct loc *out_loc)
{
	bool named = str_starts(meta->name, STR("/"));

	*out = path != NULL ? path->text : meta->name;
	*out_loc = path != NULL ? path->loc : meta->loc;
	if (path == NULL && !named) {
		struct diag *d = diag_say(l->diags, CODE_MISSING_FIELD, meta->loc,
		    "a Namespace needs its path: in metadata.name, or in spec.path");

		diag_hint(l->diags, d, "write /%.*s", STR_ARG(meta->name));
		return false;
	}
	if (path != NULL && named && !str_eq(path->text, meta->name)) {
		diag_say(l->diags, CODE_BAD_PATH, path->loc,
		    "spec.path differs from the path in metadata.name");
		return false;
	}
	return tree_check_path(l, *out, *out_loc);
}

void
load_native_namespace(struct loader *l, const struct load_object *o)
{
	const struct doc_node *v[ARRAY_LEN(ns_fields)] = {NULL};
	const struct doc_node *spec;
	struct load_space said = {0};
	struct meta meta;
	struct str path;
	struct loc loc;
	bool ok = load_top(l, o, &spec);

	ok &= load_meta(l, o, META_TREE, false, &meta);
	if (spec != NULL)
		ok &= schema_read(l->diags, &load_namespace_schema, spec, v);
	if (!ok || !read_own_path(l, &meta, v[NS_PATH], &path, &loc))
		return;
	if (!load_claim(l, "Namespace", STR("tree"), (struct str){0}, path, meta.loc))
		return;
	said.ns = load_ns(l, path);
	said.labels = meta.labels;
	said.loc = meta.loc;
	tree_mark_known(said.ns);
	if (v[NS_KUBERNETES] != NULL)
		read_kubernetes(l, o, said.ns, v[NS_KUBERNETES]);
	if (v[NS_OWNERS] != NULL &&
	    !load_strings(l, v[NS_OWNERS], "an owner", name_is_printable,
		"a group's name", &said.owners, &said.owner_count))
		said.owner_count = 0; /* nobody, rather than some of them */
	declare(l, &said);
}
