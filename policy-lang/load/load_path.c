/*
 * Places as documents name them: paths, absolute and relative, Kubernetes namespaces, and
 * clusters. Who names what nobody declares is told so once.
 */
#include "policy-lang/load/load_tree.h"

/* ---- paths ---- */

static bool
bad_path(struct loader *l, struct loc loc, struct str path, const char *why)
{
	diag_say(
	    l->diags, CODE_BAD_PATH, loc, "the path \"%.*s\" %s", STR_ARG(path), why);
	return false;
}

bool
tree_check_path(struct loader *l, struct str path, struct loc loc)
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
	struct nearest n = nearest_to(path);

	if (!load_may_suggest(l))
		return;
	for (size_t i = 0; i < l->m->ns_by_path.len; i++) {
		struct ns *ns = l->m->ns_by_path.entries[i].value;

		if (tree_node_of(ns)->known && ns->parent != NULL)
			nearest_consider(&n, ns->path);
	}
	load_suggest(l, d, &n);
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
		if (tree_check_path(l, node->text, node->loc))
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
	    tree_check_path(l, buf_str(&path), node->loc))
		ns = named_ns(l, buf_str(&path), node->loc);
	buf_free(&path);
	return ns;
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
	struct nearest n = nearest_to(name);
	struct diag *d;

	if (cluster_is_given(options, name))
		return load_text(l, name);
	d = diag_say(l->diags, CODE_UNKNOWN_CLUSTER, loc,
	    "no cluster \"%.*s\" was given", STR_ARG(name));
	for (size_t i = 0; i < options->cluster_count; i++)
		nearest_consider(&n, options->clusters[i].name);
	load_suggest(l, d, &n);
	return load_text(l, name);
}

/* The cluster of a Kubernetes namespace that a native document of `o` names. */
bool
tree_default_cluster(struct loader *l, const struct load_object *o, struct loc loc,
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
	struct nearest n = nearest_to(name);

	if (!load_may_suggest(l))
		return;
	for (size_t i = 0; i < l->m->kube_by_name.len; i++) {
		struct kube_ns *kube = l->m->kube_by_name.entries[i].value;

		if (CONTAINER_OF(kube, struct kube_node, kube)->known &&
		    str_eq(kube->cluster, cluster))
			nearest_consider(&n, kube->name);
	}
	load_suggest(l, d, &n);
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
		if (!tree_check_path(l, meta->ns, meta->ns_loc))
			return NULL;
		return named_ns(l, meta->ns, meta->ns_loc);
	}
	if (!tree_default_cluster(l, o, meta->ns_loc,
		"write its path in the tree, or put the document below a --cluster "
		"path",
		&cluster))
		return NULL;
	node = load_kube_ns(l, cluster, meta->ns);
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
