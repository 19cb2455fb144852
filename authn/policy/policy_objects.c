#include "authn/policy/policy_objects.h"

#include <stdlib.h>

#include "authn/wire/json_text.h"
#include "policy-lang/load/load_kinds.h"

#define LITERAL(text)                                                                  \
	{                                                                              \
		(text), sizeof(text) - 1                                               \
	}

static const struct policy_resource others[] = {
    {LITERAL("networking.k8s.io"), LITERAL("networkpolicies"), "v1", "NetworkPolicy",
	.namespaced = true, .judged = true},
    {LITERAL("policy.networking.k8s.io"), LITERAL("adminnetworkpolicies"), "v1alpha1",
	"AdminNetworkPolicy", .judged = true},
    {LITERAL("policy.networking.k8s.io"), LITERAL("baselineadminnetworkpolicies"),
	"v1alpha1", "BaselineAdminNetworkPolicy", .judged = true},
    {LITERAL("policy.networking.k8s.io"), LITERAL("clusternetworkpolicies"), "v1alpha2",
	"ClusterNetworkPolicy", .judged = true},
    {{NULL, 0}, LITERAL("namespaces"), "v1", "Namespace", .judged = false},
};

size_t
policy_resource_count(void)
{
	return native_kind_count + ARRAY_LEN(others);
}

void
policy_resource_get(size_t i, struct policy_resource *out)
{
	const struct native_kind *native;

	if (i >= native_kind_count) {
		*out = others[i - native_kind_count];
		return;
	}
	native = &native_kinds[i];
	*out = (struct policy_resource){
	    .group = STR(NATIVE_GROUP),
	    .resource = str_from(native->plural),
	    .version = NATIVE_VERSION,
	    .kind = native->kind,
	    .namespaced = !native->tree,
	    .is_tree = native->tree,
	    .judged = true,
	};
}

bool
policy_resource_find(struct str group, struct str resource, struct policy_resource *out)
{
	for (size_t i = 0; i < policy_resource_count(); i++) {
		policy_resource_get(i, out);
		if (out->judged && str_eq(out->group, group) &&
		    str_eq(out->resource, resource))
			return true;
	}
	return false;
}

struct str
policy_object_name(
    struct arena *arena, const struct policy_resource *kind, const json_t *object)
{
	const json_t *metadata = json_object_get(object, "metadata");
	const struct str name = json_text_at(metadata, "name");
	const struct str ns = json_text_at(metadata, "namespace");

	if (name.len == 0)
		return STR("");
	return str_from(
	    arena_printf(arena, "%s%s %.*s%s%.*s", kind->group.len == 0 ? "v1 " : "",
		kind->kind, STR_ARG(ns), ns.len != 0 ? "/" : "", STR_ARG(name)));
}

static void
keep(json_t *to, const char *key, json_t *value)
{
	if (value != NULL && json_object_set(to, key, value) != 0)
		base_die("out of memory");
}

struct str
policy_object_text(
    struct arena *arena, const struct policy_resource *kind, const json_t *object)
{
	static const char *const kept[] = {"name", "namespace", "labels"};
	const json_t *from = json_object_get(object, "metadata");
	json_t *document = json_object(), *metadata = json_object();
	struct str text;
	char *dumped;

	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		keep(metadata, kept[i], json_object_get(from, kept[i]));
	if (json_object_set_new(document, "apiVersion",
		json_string(arena_printf(arena, "%.*s%s%s", STR_ARG(kind->group),
		    kind->group.len != 0 ? "/" : "", kind->version))) != 0 ||
	    json_object_set_new(document, "kind", json_string(kind->kind)) != 0 ||
	    json_object_set_new(document, "metadata", metadata) != 0)
		base_die("out of memory");
	if (kind->group.len != 0)
		keep(document, "spec", json_object_get(object, "spec"));
	dumped = json_dumps(document, JSON_COMPACT);
	if (dumped == NULL)
		base_die("out of memory");
	text = str_dup(arena, str_from(dumped));
	free(dumped);
	json_decref(document);
	return text;
}
