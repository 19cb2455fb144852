#include "authn/policy/status_fold.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "authn/wire/json_text.h"
#include "common/utf8.h"

#define VALID_S_MAX   86400
#define MESSAGE_BYTES 512

/* ---- reports ---- */

struct node {
	struct arena *arena;
	struct str name;
	uint64_t hash;    /* of what it says */
	monotime_t heard; /* when it said something else than before */
	uint64_t valid_ns;
	uint64_t pass;
	json_t *spec;
};

struct status_nodes {
	struct map by_name;
	uint64_t pass;
};

struct status_nodes *
status_nodes_new(void)
{
	return xcalloc(1, sizeof(struct status_nodes));
}

static void
node_free(struct node *n)
{
	if (n == NULL)
		return;
	json_decref(n->spec);
	arena_free(n->arena); /* in which it is */
}

void
status_nodes_free(struct status_nodes *nodes)
{
	if (nodes == NULL)
		return;
	for (size_t i = 0; i < nodes->by_name.len; i++)
		node_free(nodes->by_name.entries[i].value);
	map_fini(&nodes->by_name);
	free(nodes);
}

static uint64_t
hash_of(const json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS);
	uint64_t hash;

	if (text == NULL)
		base_die("out of memory");
	hash = map_hash(str_from(text));
	free(text);
	return hash;
}

bool
status_nodes_put(struct status_nodes *nodes, const json_t *report, monotime_t now)
{
	const struct str name =
	    json_text_at(json_object_get(report, "metadata"), "name");
	json_t *spec = json_object_get(report, "spec");
	const json_int_t valid_s =
	    json_integer_value(json_object_get(spec, "validSeconds"));
	struct node *n, *old = map_get(&nodes->by_name, name);
	struct arena *arena;

	if (name.len == 0)
		return false;
	arena = arena_new_sized(256);
	n = ARENA_NEW(arena, struct node);
	*n = (struct node){.arena = arena,
	    .name = str_dup(arena, name),
	    .heard = now,
	    .pass = nodes->pass,
	    .spec = json_is_object(spec) ? json_incref(spec) : json_object()};
	n->hash = hash_of(n->spec);
	/* Its clock is not ours: what counts is when it last said something new. */
	if (old != NULL && old->hash == n->hash)
		n->heard = old->heard;
	if (valid_s > 0)
		n->valid_ns =
		    (uint64_t)(valid_s < VALID_S_MAX ? valid_s : VALID_S_MAX) *
		    UINT64_C(1000000000);
	(void)map_remove(&nodes->by_name, name);
	node_free(old);
	(void)map_set(&nodes->by_name, n->name, n); /* new */
	return n->valid_ns != 0;
}

void
status_nodes_remove(struct status_nodes *nodes, struct str name)
{
	node_free(map_remove(&nodes->by_name, name));
}

size_t
status_nodes_count(const struct status_nodes *nodes)
{
	return nodes->by_name.len;
}

void
status_nodes_list_begin(struct status_nodes *nodes)
{
	nodes->pass++;
}

void
status_nodes_list_end(struct status_nodes *nodes)
{
	for (size_t i = nodes->by_name.len; i-- > 0;) {
		const struct node *n = nodes->by_name.entries[i].value;

		if (n->pass != nodes->pass)
			status_nodes_remove(nodes, n->name);
	}
}

/* ---- all of them at a time ---- */

static size_t
resource_at(
    struct status_view *view, struct str resource, size_t most, struct arena *arena)
{
	for (size_t i = 0; i < view->resource_count; i++) {
		if (str_eq(view->resources[i].resource, resource))
			return i;
	}
	if (view->resource_count == STATUS_RESOURCES_MAX)
		return SIZE_MAX;
	view->resources[view->resource_count].resource = resource;
	view->resources[view->resource_count].versions =
	    ARENA_ARRAY(arena, most, uint64_t);
	view->resources[view->resource_count].count = 0;
	return view->resource_count++;
}

static uint64_t
version_of(const struct node *n, struct str resource)
{
	const json_t *in_force = json_object_get(n->spec, "inForce"), *item;
	uint64_t version;
	size_t i;

	json_array_foreach(in_force, i, item)
	{
		if (str_eq(json_text_at(item, "resource"), resource) &&
		    str_to_u64(json_text_at(item, "resourceVersion"), UINT64_MAX - 1,
			&version))
			return version;
	}
	return 0;
}

static bool
is_first(const json_t *in_force, size_t at, struct str resource)
{
	for (size_t i = 0; i < at; i++) {
		if (str_eq(json_text_at(json_array_get(in_force, i), "resource"),
			resource))
			return false;
	}
	return true;
}

static void
add_versions(
    struct status_view *view, const struct node *n, size_t most, struct arena *arena)
{
	const json_t *in_force = json_object_get(n->spec, "inForce"), *item;
	size_t i;

	json_array_foreach(in_force, i, item)
	{
		const struct str resource = json_text_at(item, "resource");
		const size_t at = resource_at(view, resource, most, arena);
		const uint64_t version = version_of(n, resource);

		/* Of one that says a resource twice, the first counts. */
		if (at != SIZE_MAX && is_first(in_force, i, resource) && version != 0 &&
		    view->resources[at].count < most)
			view->resources[at].versions[view->resources[at].count++] =
			    version;
	}
}

static struct str
refusal_key(struct arena *arena, struct str resource, struct str ns, struct str name)
{
	return str_from(arena_printf(
	    arena, "%.*s %.*s/%.*s", STR_ARG(resource), STR_ARG(ns), STR_ARG(name)));
}

static void
add_refusals(struct status_view *view, const struct node *n, struct arena *arena)
{
	const json_t *refused = json_object_get(n->spec, "refused"), *item;
	size_t i;

	json_array_foreach(refused, i, item)
	{
		const struct str resource = json_text_at(item, "resource");
		const struct str key = refusal_key(arena, resource,
		    json_text_at(item, "namespace"), json_text_at(item, "name"));
		struct status_refusal *r = map_get(&view->refused, key);
		uint64_t *versions;

		if (r == NULL) {
			r = ARENA_NEW(arena, struct status_refusal);
			*r = (struct status_refusal){
			    .node = n->name, .message = json_text_at(item, "message")};
			(void)map_set(&view->refused, key, r); /* new */
		}
		if (r->count == r->cap) {
			r->cap = r->cap != 0 ? 2 * r->cap : 4;
			versions = ARENA_ARRAY(arena, r->cap, uint64_t);
			if (r->count != 0)
				memcpy(versions, r->versions,
				    r->count * sizeof(*versions));
			r->versions = versions;
		}
		versions = (uint64_t *)(uintptr_t)r->versions; /* its own, above */
		versions[r->count++] = version_of(n, resource);
		if (str_cmp(n->name, r->node) < 0) {
			r->node = n->name;
			r->message = json_text_at(item, "message");
		}
	}
}

static int
u64_cmp(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

void
status_view_make(struct status_view *view, const struct status_nodes *nodes,
    monotime_t now, struct arena *arena)
{
	*view = (struct status_view){.nodes = 0};
	for (size_t i = 0; i < nodes->by_name.len; i++) {
		const struct node *n = nodes->by_name.entries[i].value;

		if (monotime_since(n->heard, now) >= n->valid_ns)
			continue; /* it has gone */
		view->nodes++;
		add_versions(view, n, nodes->by_name.len, arena);
		add_refusals(view, n, arena);
	}
	for (size_t i = 0; i < view->resource_count; i++)
		qsort(view->resources[i].versions, view->resources[i].count,
		    sizeof(uint64_t), u64_cmp);
}

void
status_view_fini(struct status_view *view)
{
	map_fini(&view->refused);
}

/* ---- one document ---- */

/* How many nodes have the resource up to the version, or beyond. */
static size_t
count_from(const struct status_view *view, struct str resource, uint64_t version)
{
	size_t low = 0, high = 0, i = 0;

	while (
	    i < view->resource_count && !str_eq(view->resources[i].resource, resource))
		i++;
	if (i == view->resource_count)
		return 0;
	high = view->resources[i].count;
	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (view->resources[i].versions[middle] < version)
			low = middle + 1;
		else
			high = middle;
	}
	return view->resources[i].count - low;
}

/* "bad-port" -> "BadPort" */
static const char *
reason_of(struct arena *arena, struct str code)
{
	char *reason = arena_strndup(arena, code.ptr, code.len);
	size_t n = 0;
	bool upper = true;

	for (size_t i = 0; i < code.len; i++) {
		const char c = code.ptr[i];

		if (!isalnum((unsigned char)c)) {
			upper = true;
			continue;
		}
		reason[n++] = upper ? (char)toupper((unsigned char)c) : c;
		upper = false;
	}
	reason[n] = '\0';
	return n != 0 ? reason : "Refused";
}

struct condition {
	const char *type, *status, *reason, *message;
};

static struct condition
accepted(const struct status_document *d, struct arena *arena)
{
	if (d->code.len == 0)
		return (struct condition){"Accepted", "True", "Accepted", ""};
	return (struct condition){"Accepted", "False", reason_of(arena, d->code),
	    str_dup(arena, d->problem).ptr};
}

static struct str
cut(struct str message)
{
	const struct str head = str_slice(message, 0, MESSAGE_BYTES);

	return message.len <= MESSAGE_BYTES ? message
					    : str_slice(head, 0, utf8_check(head));
}

static struct condition
in_force(const struct status_view *view, const struct status_document *d,
    struct arena *arena)
{
	const struct str key = refusal_key(arena, d->resource, d->namespace, d->name);
	const struct status_refusal *refusal = map_get(&view->refused, key);
	size_t here = count_from(view, d->resource, d->since), refusing = 0;
	const char *count;

	for (size_t i = 0; refusal != NULL && i < refusal->count; i++)
		refusing += refusal->versions[i] >= d->since;
	here -= refusing < here ? refusing : here;
	count = arena_printf(arena, "%zu of %zu nodes", here, view->nodes);
	if (view->nodes == 0)
		return (struct condition){
		    "InForce", "Unknown", "NoReports", "no node reports"};
	if (here == view->nodes)
		return (struct condition){"InForce", "True", "InForce", count};
	if (refusing != 0)
		return (struct condition){"InForce", "False", "Refused",
		    arena_printf(arena, "%s; refused by %.*s: %.*s", count,
			STR_ARG(refusal->node), STR_ARG(cut(refusal->message)))};
	return (struct condition){
	    "InForce", "False", here == 0 ? "Nowhere" : "Partly", count};
}

static const json_t *
find(const json_t *conditions, const char *type)
{
	const json_t *item;
	size_t i;

	json_array_foreach(conditions, i, item)
	{
		if (str_is(json_text_at(item, "type"), type))
			return item;
	}
	return NULL;
}

static bool
is_known(const json_t *known, const struct condition *c, int64_t generation)
{
	return str_is(json_text_at(known, "status"), c->status) &&
	       str_is(json_text_at(known, "reason"), c->reason) &&
	       str_is(json_text_at(known, "message"), c->message) &&
	       json_integer_value(json_object_get(known, "observedGeneration")) ==
		   generation;
}

static json_t *
make(const json_t *known, const struct condition *c, int64_t generation, walltime_t now)
{
	const struct str since = json_text_at(known, "lastTransitionTime");
	char time[WALLTIME_TEXT_BYTES];
	json_t *made;

	if (known == NULL || !str_is(json_text_at(known, "status"), c->status) ||
	    since.len == 0)
		(void)walltime_format_seconds(now, time);
	else
		(void)snprintf(
		    time, sizeof(time), "%.*s", STR_ARG(since)); /* a time fits */
	made = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "type", c->type, "status",
	    c->status, "reason", c->reason, "message", c->message, "lastTransitionTime",
	    time, "observedGeneration", (json_int_t)generation);
	if (made == NULL)
		base_die("out of memory");
	return made;
}

json_t *
status_fold(
    const struct status_view *view, const struct status_document *d, walltime_t now)
{
	struct arena *arena = arena_new_sized(1024);
	struct condition wanted[2];
	size_t count = 0, same = 0;
	json_t *conditions = NULL;

	wanted[count++] = accepted(d, arena);
	if (d->on_nodes)
		wanted[count++] = in_force(view, d, arena);
	for (size_t i = 0; i < count; i++)
		same +=
		    is_known(find(d->known, wanted[i].type), &wanted[i], d->generation);
	if (same != count) {
		conditions = json_array();
		for (size_t i = 0; i < count; i++) {
			const json_t *known = find(d->known, wanted[i].type);

			if (json_array_append_new(conditions,
				make(known, &wanted[i], d->generation, now)) != 0)
				base_die("out of memory");
		}
	}
	arena_free(arena);
	return conditions;
}
