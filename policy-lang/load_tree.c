/*
 * The tree of namespaces, and the Kubernetes namespaces placed in it. What only
 * admins write decides who is where: native Namespace documents are read before
 * anything else, and no label can change what they say.
 */
#include <string.h>

#include "policy-lang/load_internal.h"

#define METADATA_NAME "kubernetes.io/metadata.name"

#define FRESH_CHUNK_BYTES 1024

static struct tree_node *
tree_node_of(struct ns *ns)
{
	return CONTAINER_OF(ns, struct tree_node, ns);
}

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

/* The namespace at a well-formed path, made with all above it if it is new. */
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

static void
mark_known(struct ns *ns)
{
	for (; ns != NULL && !tree_node_of(ns)->known; ns = ns->parent)
		tree_node_of(ns)->known = true;
}

/* ---- paths ---- */

static bool
bad_path(struct loader *l, struct loc loc, struct str path, const char *why)
{
	diag_say(
	    l->diags, CODE_BAD_PATH, loc, "the path \"%.*s\" %s", STR_ARG(path), why);
	return false;
}

static bool
check_path(struct loader *l, struct str path, struct loc loc)
{
	struct str rest = str_slice(path, 1, path.len);
	unsigned depth = 0;

	if (path.len > LIMIT_PATH_BYTES)
		return bad_path(l, loc, str_slice(path, 0, 40), "... is too long");
	if (path.len == 0 || path.ptr[0] != '/')
		return bad_path(l, loc, path, "does not begin with /");
	if (rest.len == 0)
		return true;
	do {
		struct str step = str_split(&rest, '/');

		if (step.len == 0)
			return bad_path(l, loc, path, "has an empty step");
		if (!name_is_path_step(step)) {
			diag_say(l->diags, CODE_BAD_PATH, loc,
			    "the step \"%.*s\" of a path must be %s", STR_ARG(step),
			    NAME_PATH_STEP_RULE);
			return false;
		}
		depth++;
	} while (rest.ptr != NULL);
	if (depth > LIMIT_PATH_DEPTH)
		return bad_path(l, loc, path, "is too deep");
	return true;
}

static void
suggest_ns(struct loader *l, struct diag *d, struct str path)
{
	struct load_nearest n = load_nearest_to(l, path);

	for (size_t i = 0; i < l->m->ns_by_path.len && load_nearest_goes_on(&n); i++) {
		struct ns *ns = l->m->ns_by_path.entries[i].value;

		if (tree_node_of(ns)->known && ns->parent != NULL)
			load_nearest_consider(&n, ns->path);
	}
	load_nearest_hint(&n, l, d);
}

/* Whether a source has been told of an undeclared namespace already; it has from now on. What
 * others were told does not count: each object's warnings are its own. */
static bool
warned_of(struct loader *l, struct loc loc, struct str name)
{
	struct str key = STR_CONCAT(l->scratch, loc.source->name, STR("\n"), name);

	return map_set(&l->warned, key, l) != NULL;
}

/* The namespace at a path that a document names: a source is warned of undeclared ones, once
 * of each. */
static struct ns *
named_ns(struct loader *l, struct str path, struct loc loc)
{
	struct ns *ns = load_ns(l, path);
	struct tree_node *node = tree_node_of(ns);
	struct diag *d;

	if (node->known || ns->parent == NULL || warned_of(l, loc, path))
		return ns;
	d = diag_say(l->diags, CODE_UNKNOWN_NAMESPACE, loc,
	    "no Namespace document declares %.*s", STR_ARG(path));
	suggest_ns(l, d, path);
	return ns;
}

/* `base` plus steps that begin with "." or ".."; false (reported) if above the root. */
static bool
resolve_relative(struct loader *l, const struct doc_node *node, const struct ns *base,
    struct buf *out)
{
	struct str rest = node->text;

	buf_add_str(out, base->path);
	do {
		struct str step = str_split(&rest, '/');

		if (str_is(step, "."))
			continue;
		if (!str_is(step, "..")) {
			if (out->len > 1)
				buf_add_char(out, '/');
			buf_add_str(out, step);
			continue;
		}
		if (out->len == 1)
			return bad_path(l, node->loc, node->text, "leads above /");
		while (out->data[out->len - 1] != '/')
			out->len--;
		if (out->len > 1)
			out->len--;
	} while (rest.ptr != NULL);
	return true;
}

struct ns *
load_relative(struct loader *l, const struct doc_node *node, const struct ns *base)
{
	struct str first = str_slice(node->text, 0, str_find(node->text, '/', 0));
	struct buf path = {0};
	struct ns *ns = NULL;

	if (str_starts(node->text, STR("/"))) {
		if (check_path(l, node->text, node->loc))
			ns = named_ns(l, node->text, node->loc);
		return ns;
	}
	if (!str_is(first, ".") && !str_is(first, "..")) {
		struct diag *d = diag_say(l->diags, CODE_BAD_PATH, node->loc,
		    "a peer's namespace must be a path that begins with /, or . or ..");

		if (name_is_path_step(node->text))
			diag_hint(l->diags, d, "write /%.*s", STR_ARG(node->text));
		return NULL;
	}
	if (resolve_relative(l, node, base, &path) &&
	    check_path(l, buf_str(&path), node->loc))
		ns = named_ns(l, buf_str(&path), node->loc);
	buf_free(&path);
	return ns;
}

/* ---- Kubernetes namespaces ---- */

/* "name" or "cluster/name": the keys of model.kube_by_name. */
static struct str
kube_key(struct arena *a, struct str cluster, struct str name)
{
	if (cluster.len == 0)
		return name;
	return str_from(arena_printf(a, "%.*s/%.*s", STR_ARG(cluster), STR_ARG(name)));
}

static struct kube_node *
find_kube(struct loader *l, struct str cluster, struct str name)
{
	struct str key = kube_key(l->scratch, cluster, name);
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

static struct kube_node *
new_kube(struct loader *l, struct str cluster, struct str name, struct ns *ns)
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
	    str_dup(home, kube_key(l->scratch, cluster, name)), kube);
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

	mark_known(ns);
	arena_free(l.scratch);
	return ns;
}

/* Before it is known who is placed where, a new one is nowhere yet. */
struct kube_node *
load_kube_ns(struct loader *l, struct str cluster, struct str name)
{
	struct kube_node *node = find_kube(l, cluster, name);

	if (node != NULL)
		return node;
	return new_kube(l, cluster, name, l->placed ? default_place(l, name) : NULL);
}

void
load_settle_kube(struct loader *l)
{
	for (size_t i = 0; i < l->m->kube_by_name.len; i++) {
		struct kube_ns *kube = l->m->kube_by_name.entries[i].value;

		if (kube->ns == NULL)
			kube->ns = default_place(l, kube->name);
		if (CONTAINER_OF(kube, struct kube_node, kube)->known)
			mark_known(kube->ns);
	}
	l->placed = true;
}

void
kube_node_known(struct kube_node *node)
{
	if (!node->known && node->kube.ns != NULL)
		mark_known(node->kube.ns);
	node->known = true;
}

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

/* ---- which cluster ---- */

static bool
cluster_is_given(const struct model_options *options, struct str name)
{
	for (size_t i = 0; i < options->cluster_count; i++) {
		if (str_eq(options->clusters[i].name, name))
			return true;
	}
	return false;
}

struct str
load_sight(struct loader *l, const struct load_object *o)
{
	if (l->m->options.cluster_count == 0)
		return (struct str){0};
	return load_text(l, o->cluster);
}

struct str
load_cluster(struct loader *l, struct loc loc, struct str name)
{
	const struct model_options *options = &l->m->options;
	const char **names;
	const char *nearest;
	struct diag *d;

	if (cluster_is_given(options, name))
		return load_text(l, name);
	d = diag_say(l->diags, CODE_UNKNOWN_CLUSTER, loc,
	    "no cluster \"%.*s\" was given", STR_ARG(name));
	names = ARENA_ARRAY(l->scratch, options->cluster_count, const char *);
	for (size_t i = 0; i < options->cluster_count; i++)
		names[i] = load_text(l, options->clusters[i].name).ptr;
	nearest = schema_nearest(name, names, options->cluster_count);
	if (nearest != NULL)
		diag_hint(l->diags, d, "did you mean \"%s\"?", nearest);
	return load_text(l, name);
}

/* The cluster of a Kubernetes namespace that a native document of `o` names. */
static bool
default_cluster(struct loader *l, const struct load_object *o, struct loc loc,
    const char *hint, struct str *out)
{
	*out = o->cluster;
	if (out->len != 0 || l->m->options.cluster_count == 0)
		return true;
	diag_hint(l->diags,
	    diag_say(l->diags, CODE_WHICH_CLUSTER, loc,
		"there are several clusters: which one's namespace is this?"),
	    "%s", hint);
	return false;
}

static void
suggest_kube(struct loader *l, struct diag *d, struct str cluster, struct str name)
{
	struct load_nearest n = load_nearest_to(l, name);

	for (size_t i = 0; i < l->m->kube_by_name.len && load_nearest_goes_on(&n);
	     i++) {
		struct kube_ns *kube = l->m->kube_by_name.entries[i].value;

		if (CONTAINER_OF(kube, struct kube_node, kube)->known &&
		    str_eq(kube->cluster, cluster))
			load_nearest_consider(&n, kube->name);
	}
	load_nearest_hint(&n, l, d);
}

struct ns *
load_home(struct loader *l, const struct load_object *o, struct meta *meta)
{
	struct kube_node *node;
	struct str cluster;
	struct diag *d;

	meta->cluster = STR("");
	if (meta->ns.len == 0)
		return NULL;
	if (meta->ns.ptr[0] == '/') {
		if (!check_path(l, meta->ns, meta->ns_loc))
			return NULL;
		return named_ns(l, meta->ns, meta->ns_loc);
	}
	if (!default_cluster(l, o, meta->ns_loc,
		"write its path in the tree, or put the document below a --cluster "
		"path",
		&cluster))
		return NULL;
	node = load_kube_ns(l, cluster, meta->ns);
	node->holds_others |= !load_stands_alone(o->kind);
	meta->cluster = node->kube.cluster;
	if (!node->known && !warned_of(l, meta->ns_loc, meta->ns)) {
		d = diag_say(l->diags, CODE_UNKNOWN_NAMESPACE, meta->ns_loc,
		    "no document declares the Kubernetes namespace \"%.*s\"",
		    STR_ARG(meta->ns));
		diag_hint(l->diags, d, "a path begins with /");
		suggest_kube(l, d, cluster, meta->ns);
	}
	return node->kube.ns;
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
	struct str key = kube_key(l->scratch, node->kube.cluster, node->kube.name);
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
	struct kube_node *node = find_kube(l, cluster, name);
	bool part = l->note != NULL && l->note->part;

	if (node == NULL)
		node = new_kube(l, cluster, name, part ? ns : NULL);
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
		else if (!default_cluster(l, o, map->loc,
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
	return check_path(l, *out, *out_loc);
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
	mark_known(said.ns);
	if (v[NS_KUBERNETES] != NULL)
		read_kubernetes(l, o, said.ns, v[NS_KUBERNETES]);
	if (v[NS_OWNERS] != NULL &&
	    !load_strings(l, v[NS_OWNERS], "an owner", name_is_printable,
		"a group's name", &said.owners, &said.owner_count))
		said.owner_count = 0; /* nobody, rather than some of them */
	declare(l, &said);
}
