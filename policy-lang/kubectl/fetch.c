/*
 * What policy depends on, from the API server to a directory: each document of policy in a file of
 * its own, so that a place in it names it; of pods and nodes all in one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "policy-lang/kubectl/plugin.h"
#include "policy-lang/load/load_kinds.h"

#define PAGE_LIMIT 500
#define LIST_TRIES 3 /* a list whose pages take too long begins again */

/* ---- requests ---- */

static void
add_escaped(struct buf *out, const char *text)
{
	static const char plain[] = "-._~";

	for (const char *c = text; *c != '\0'; c++) {
		const bool word = (*c >= 'a' && *c <= 'z') ||
				  (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9');

		if (word || strchr(plain, *c) != NULL)
			buf_add_char(out, *c);
		else
			buf_printf(out, "%%%02X", (unsigned)(unsigned char)*c);
	}
}

/* One pass over the pages. */
static bool
list_once(struct plugin *p, const char *path, const char *query, fetch_each *each,
    void *arg, const char **out_why)
{
	struct buf url = {0}, more = {0};
	bool ok = true;

	do {
		json_t *page, *item;
		const char *next;
		size_t i;

		buf_clear(&url);
		buf_printf(&url, "%s?limit=%d%s", path, PAGE_LIMIT, query);
		if (more.len != 0)
			buf_printf(&url, "&continue=%s", more.data);
		page = server_get(p, url.data, out_why);
		json_array_foreach(json_object_get(page, "items"), i, item)
		{
			ok = ok && each(arg, item);
		}
		ok = ok && page != NULL;
		next = json_string_value(
		    json_object_get(json_object_get(page, "metadata"), "continue"));
		buf_clear(&more);
		if (next != NULL)
			add_escaped(&more, next);
		json_decref(page);
	} while (ok && more.len != 0);
	buf_free(&url);
	buf_free(&more);
	return ok;
}

bool
fetch_list(struct plugin *p, const char *path, const char *query, fetch_each *each,
    void *arg, const char **out_why)
{
	for (int i = 0; i < LIST_TRIES; i++) {
		*out_why = "";
		if (list_once(p, path, query, each, arg, out_why))
			return true;
		if (strstr(*out_why, "(Expired)") == NULL &&
		    strstr(*out_why, "(Gone)") == NULL)
			return false;
	}
	return false;
}

/* ---- files ---- */

bool
fetch_write(const char *path, struct str text)
{
	char *copy = xmalloc(strlen(path) + 1);
	bool ok;
	FILE *f;

	memcpy(copy, path, strlen(path) + 1);
	for (char *slash = strchr(copy + 1, '/'); slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(copy, 0700) != 0 && errno != EEXIST)
			break; /* opening the file says so */
		*slash = '/';
	}
	free(copy);
	f = fopen(path, "we");
	ok = f != NULL && fwrite(text.ptr, 1, text.len, f) == text.len;
	if (f != NULL && fclose(f) != 0)
		ok = false;
	if (!ok)
		(void)plugin_fail("%s: %s", path, strerror(errno));
	return ok;
}

/* ---- kinds ---- */

struct kind {
	const char *url; /* of the list; natives: made of the plural */
	const char *resource, *api_version, *kind;
	bool namespaced;
	bool crowd; /* many, which are all in one file */
};

static const struct kind others[] = {
    {"/api/v1", "namespaces", "v1", "Namespace", .crowd = true, .namespaced = false},
    {"/api/v1", "nodes", "v1", "Node", .crowd = true, .namespaced = false},
    {"/api/v1", "pods", "v1", "Pod", .crowd = true, .namespaced = true},
    {"/apis/networking.k8s.io/v1", "networkpolicies", "networking.k8s.io/v1",
	"NetworkPolicy", .namespaced = true, .crowd = false},
    {"/apis/policy.networking.k8s.io/v1alpha1", "adminnetworkpolicies",
	"policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy", .crowd = false,
	.namespaced = false},
    {"/apis/policy.networking.k8s.io/v1alpha1", "baselineadminnetworkpolicies",
	"policy.networking.k8s.io/v1alpha1", "BaselineAdminNetworkPolicy",
	.crowd = false, .namespaced = false},
    {"/apis/policy.networking.k8s.io/v1alpha2", "clusternetworkpolicies",
	"policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy", .crowd = false,
	.namespaced = false},
};

#define NATIVE_API NATIVE_GROUP "/" NATIVE_VERSION

static struct kind
kind_at(size_t i)
{
	const struct native_kind *native;

	if (i < ARRAY_LEN(others))
		return others[i];
	native = &native_kinds[i - ARRAY_LEN(others)];
	return (struct kind){"/apis/" NATIVE_API, native->plural, NATIVE_API,
	    native->kind, .namespaced = !native->tree};
}

/* ---- objects ---- */

struct fetching {
	struct plugin *p;
	struct kind kind;
	struct buf crowd;
	size_t count;
};

/* Of a pod's containers only the ports count. */
static void
slim_containers(json_t *spec, const char *key)
{
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(spec, key), i, item)
	{
		json_t *ports = json_incref(json_object_get(item, "ports"));

		(void)json_object_clear(item); /* it is one */
		if (ports != NULL)
			(void)json_object_set_new(item, "ports", ports);
	}
}

static void
slim(const struct kind *kind, json_t *object)
{
	static const char *const servers[] = {"managedFields", "annotations"};
	json_t *metadata = json_object_get(object, "metadata");

	for (size_t i = 0; i < ARRAY_LEN(servers); i++)
		(void)json_object_del(metadata, servers[i]); /* it need not be there */
	if (strcmp(kind->kind, "Pod") == 0) {
		json_t *spec = json_object_get(object, "spec");

		slim_containers(spec, "containers");
		slim_containers(spec, "initContainers");
		(void)json_object_del(spec, "volumes"); /* the same */
	}
	if (!kind->crowd)
		(void)json_object_del(object, "status"); /* the same */
	if (json_object_set_new(object, "apiVersion", json_string(kind->api_version)) !=
		0 ||
	    json_object_set_new(object, "kind", json_string(kind->kind)) != 0)
		base_die("out of memory");
}

/* A server's names lead nowhere else; ours to make sure of. */
static bool
is_file_name(const char *name)
{
	return name != NULL && name[0] != '\0' && name[0] != '.' &&
	       strchr(name, '/') == NULL;
}

static bool
take(void *arg, json_t *object)
{
	struct fetching *f = arg;
	const json_t *metadata = json_object_get(object, "metadata");
	const char *name = json_string_value(json_object_get(metadata, "name"));
	const char *ns = json_string_value(json_object_get(metadata, "namespace"));
	char *text;
	bool ok = true;

	if (!is_file_name(name) || (f->kind.namespaced && !is_file_name(ns)))
		return plugin_fail("an object without a name came") == 0;
	slim(&f->kind, object);
	text = json_dumps(object, f->kind.crowd ? JSON_COMPACT : JSON_INDENT(2));
	if (text == NULL)
		base_die("out of memory");
	f->count++;
	if (f->kind.crowd)
		buf_printf(&f->crowd, "---\n%s\n", text);
	else
		ok = fetch_write(
		    arena_printf(f->p->arena, "%s/live/%s/%s%s%s.json", f->p->directory,
			f->kind.kind, f->kind.namespaced ? ns : "",
			f->kind.namespaced ? "/" : "", name),
		    str_from(text));
	free(text);
	return ok;
}

/* ---- the cluster ---- */

/* What the user may not read is left out, and said; where it is of a namespace, that which is asked
 * about is tried. False: it cannot be told what there is. */
static bool
fetch_kind(struct fetching *f)
{
	const struct kind *k = &f->kind;
	const char *home = plugin_namespace(f->p), *why;
	const char *path = arena_printf(f->p->arena, "%s/%s", k->url, k->resource);

	if (fetch_list(f->p, path, "", take, f, &why) ||
	    strstr(why, "(NotFound)") != NULL)
		return true; /* a kind that is not served has no objects */
	if (strstr(why, "(Forbidden)") == NULL)
		return plugin_fail("%s cannot be read: %s", k->resource, why) == 0;
	path =
	    arena_printf(f->p->arena, "%s/namespaces/%s/%s", k->url, home, k->resource);
	if (k->namespaced && fetch_list(f->p, path, "", take, f, &why))
		(void)plugin_fail(
		    "%s are only those of the namespace %s", k->resource, home);
	else
		(void)plugin_fail("%s are left out: %s", k->resource, why);
	return true;
}

bool
fetch_cluster(struct plugin *p)
{
	size_t objects = 0;
	bool ok = true;

	if (!plugin_directory(p))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(others) + native_kind_count && ok; i++) {
		struct fetching f = {.p = p, .kind = kind_at(i)};

		ok = fetch_kind(&f) &&
		     (f.crowd.len == 0 ||
			 fetch_write(arena_printf(p->arena, "%s/live/%s.yaml",
					 p->directory, f.kind.resource),
			     buf_str(&f.crowd)));
		objects += f.count;
		buf_free(&f.crowd);
	}
	if (ok && objects == 0)
		return plugin_fail("there is nothing that can be read") == 0;
	return ok;
}
