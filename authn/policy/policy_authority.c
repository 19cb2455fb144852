#include "authn/policy/policy_authority.h"

#include "authn/wire/json_text.h"
#include "policy-lang/evaluate/access.h"

struct asking {
	struct arena *arena;
	const struct model *model;
	const struct policy_resource *kind;
	const struct admission_asked *asked;
};

static bool
is_in_group(const struct admission_asked *q, struct str group)
{
	const json_t *item;
	size_t i;

	json_array_foreach(q->groups, i, item)
	{
		if (str_eq(json_text(item), group))
			return true;
	}
	return false;
}

bool
policy_is_cleaner(const struct admission_asked *q)
{
	static const char *const cleaners[] = {
	    "system:serviceaccount:kube-system:namespace-controller",
	    "system:serviceaccount:kube-system:generic-garbage-collector"};

	for (size_t i = 0; i < ARRAY_LEN(cleaners); i++) {
		if (str_is(q->operation, "DELETE") && str_is(q->user, cleaners[i]))
			return true;
	}
	return false;
}

/* ---- at one level ---- */

static bool
owns(const struct asking *a, const struct ns *level)
{
	for (size_t i = 0; i < level->owner_count; i++) {
		if (is_in_group(a->asked, level->owners[i]))
			return true;
	}
	return false;
}

static void
add_owners(struct buf *out, const struct ns *level)
{
	for (; level != NULL; level = level->parent) {
		for (size_t i = 0; i < level->owner_count; i++)
			buf_printf(out, "%s%.*s (of %.*s)", out->len != 0 ? ", " : "",
			    STR_ARG(level->owners[i]), STR_ARG(level->path));
	}
}

static const char *
refuse_at(const struct asking *a, const struct ns *level, struct str what)
{
	struct buf owners = {0};
	const char *why;

	add_owners(&owners, level);
	if (what.len != 0)
		why = arena_printf(a->arena,
		    "the Kubernetes namespace \"%.*s\" is at %.*s: only owners there "
		    "may "
		    "place it: %.*s",
		    STR_ARG(what), STR_ARG(level->path), STR_ARG(buf_str(&owners)));
	else
		why = arena_printf(a->arena,
		    "what is written at %.*s is its owners' to write: %.*s",
		    STR_ARG(level->path), STR_ARG(buf_str(&owners)));
	buf_free(&owners);
	return why;
}

/* `what`: the Kubernetes namespace that it is about, or "". */
static const char *
ask_at(const struct asking *a, const struct ns *level, struct str what)
{
	bool owned = false;

	for (const struct ns *at = level; at != NULL; at = at->parent) {
		owned |= at->owner_count != 0;
		if (owns(a, at))
			return NULL;
	}
	return owned ? refuse_at(a, level, what) : NULL;
}

/* ---- where a document stands ---- */

/* Where it is, or the nearest above that there is. */
static const struct ns *
nearest(const struct model *m, struct str path)
{
	const struct ns *ns = model_ns(m, path);

	while (ns == NULL && path.len > 1) {
		while (path.len > 1 && path.ptr[path.len - 1] != '/')
			path.len--;
		path.len -= path.len > 1;
		ns = model_ns(m, path);
	}
	return ns != NULL ? ns : m->root;
}

static const struct ns *
home(const struct asking *a, struct str kube_namespace)
{
	const struct access_request request = {
	    .is_resource = true, .namespace = kube_namespace};
	const struct ns *level = access_level(a->model, &request, STR(""));

	return level != NULL ? level : a->model->root;
}

static const char *
ask_tree(const struct asking *a, const json_t *object)
{
	const json_t *spec = json_object_get(object, "spec");
	const json_t *placed =
	    json_object_get(json_object_get(spec, "kubernetes"), "namespaces");
	const char *why =
	    ask_at(a, nearest(a->model, json_text_at(spec, "path")), STR(""));
	const json_t *item;
	size_t i;

	json_array_foreach(placed, i, item)
	{
		struct str name = json_text(item);
		const size_t slash = str_find(name, '/', 0);

		if (slash != name.len)
			name = str_slice(name, slash + 1, name.len);
		if (why == NULL)
			why = ask_at(a, home(a, name), name);
	}
	return why;
}

const char *
policy_authority(struct arena *arena, const struct model *model,
    const struct policy_resource *kind, const struct admission_asked *asked)
{
	const struct asking a = {arena, model, kind, asked};
	const char *why;

	if (is_in_group(asked, STR("system:masters")) || policy_is_cleaner(asked))
		return NULL;
	if (kind->namespaced)
		return ask_at(&a, home(&a, asked->namespace), STR(""));
	if (!kind->is_tree)
		return ask_at(&a, model->root, STR(""));
	why = json_is_object(asked->object) ? ask_tree(&a, asked->object) : NULL;
	if (why == NULL && json_is_object(asked->old_object))
		why = ask_tree(&a, asked->old_object);
	return why;
}
