/*
 * The loader's frame: documents are read, lists opened, kinds told apart, and each
 * object given to the function for its kind, stage by stage.
 */
#include "policy-lang/load.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "policy-lang/load_internal.h"

/* A List may hold Lists; nobody writes them deeper than this. */
#define LIST_DEPTH 4

/* Of scratch memory for a source of a few objects. */
#define PART_CHUNK_BYTES 4096

#define NATIVE         "ringfence.dev/v1alpha1"
#define NETWORKING     "networking.k8s.io/v1"
#define ADMIN_V1ALPHA1 "policy.networking.k8s.io/v1alpha1"
#define ADMIN_V1ALPHA2 "policy.networking.k8s.io/v1alpha2"

static const struct load_kind kinds[] = {
    {NATIVE, "Namespace", STAGE_TREE, load_native_namespace},
    {NATIVE, "Workload", STAGE_NATIVE, load_native_workload},
    {NATIVE, "ExternalNetwork", STAGE_NATIVE, load_external},
    {NATIVE, "Policy", STAGE_POLICIES, load_native_policy},
    {NATIVE, "Access", STAGE_POLICIES, load_access},
    {NATIVE, "Quota", STAGE_POLICIES, load_quota},
    {NATIVE, "Route", STAGE_POLICIES, load_route},
    {NATIVE, "Test", STAGE_POLICIES, load_test},
    {"v1", "Namespace", STAGE_KUBE, load_kube_namespace},
    {"v1", "Pod", STAGE_PODS, load_pod},
    {"v1", "Node", STAGE_PODS, load_node},
    {"v1", "Service", STAGE_PODS, load_service},
    {"v1", "ReplicationController", STAGE_PODS, load_template},
    {"apps/v1", "Deployment", STAGE_PODS, load_template},
    {"apps/v1", "ReplicaSet", STAGE_PODS, load_template},
    {"apps/v1", "StatefulSet", STAGE_PODS, load_template},
    {"apps/v1", "DaemonSet", STAGE_PODS, load_template},
    {"batch/v1", "Job", STAGE_PODS, load_template},
    {"batch/v1", "CronJob", STAGE_PODS, load_template},
    {"batch/v1beta1", "CronJob", STAGE_PODS, load_template},
    {NETWORKING, "NetworkPolicy", STAGE_POLICIES, load_network_policy},
    {ADMIN_V1ALPHA1, "AdminNetworkPolicy", STAGE_POLICIES, load_admin_policy},
    {ADMIN_V1ALPHA1, "BaselineAdminNetworkPolicy", STAGE_POLICIES,
	load_baseline_policy},
    {ADMIN_V1ALPHA2, "ClusterNetworkPolicy", STAGE_POLICIES, load_cluster_policy},
};

/* Objects of which none changes what another is; of a namespace, that holds for what may be
 * said anew of one that there is. */
static void (*const alone[])(struct loader *l, const struct load_object *o) = {load_pod,
    load_node, load_native_workload, load_native_policy, load_network_policy,
    load_admin_policy, load_baseline_policy, load_cluster_policy, load_native_namespace,
    load_kube_namespace};

/* Groups whose kinds were ours once, in versions that are gone. */
static const char *const old_groups[] = {"extensions"};

/* Groups of policy: a kind of theirs that we do not know is a mistake, ... */
static const char *const policy_groups[] = {
    "ringfence.dev", "networking.k8s.io", "policy.networking.k8s.io"};

/* ... except these, which have no bearing on policy. */
static const char *const harmless_kinds[] = {
    "Ingress", "IngressClass", "IPAddress", "ServiceCIDR"};

struct skipped_kind {
	unsigned count;
	struct loc first;
};

/* ---- telling kinds apart ---- */

static struct str
group_of(struct str api_version)
{
	size_t slash = str_find(api_version, '/', 0);

	return slash == api_version.len ? (struct str){0}
					: str_slice(api_version, 0, slash);
}

static const struct load_kind *
find_kind(struct str api_version, struct str kind)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (str_is(kind, kinds[i].kind) &&
		    str_is(api_version, kinds[i].api_version))
			return &kinds[i];
	}
	return NULL;
}

bool
load_stands_alone(const struct load_kind *k)
{
	for (size_t i = 0; i < ARRAY_LEN(alone); i++) {
		if (alone[i] == k->load)
			return true;
	}
	return false;
}

bool
load_is_policy(struct str api_version, struct str kind)
{
	const struct load_kind *k = find_kind(api_version, kind);

	return k != NULL && k->stage == STAGE_POLICIES && load_stands_alone(k);
}

static bool
is_policy_kind(const struct load_kind *k)
{
	return k->stage == STAGE_POLICIES || str_is(str_from(k->api_version), NATIVE);
}

static bool
is_one_of(struct str s, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (str_is(s, names[i]))
			return true;
	}
	return false;
}

/* What any API would take for the name of a kind. */
static bool
is_kind_name(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (!isascii(s.ptr[i]) || !isalnum((unsigned char)s.ptr[i]))
			return false;
	}
	return s.len != 0;
}

/* A policy kind of another apiVersion that must mean ours: dropping it silently would
 * leave policy out. */
static const struct load_kind *
find_other_version(struct str api_version, struct str kind)
{
	struct str group = group_of(api_version);
	bool core = group.len == 0;

	for (size_t i = 0; i < ARRAY_LEN(old_groups); i++)
		core |= str_is(group, old_groups[i]);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (str_is(kind, kinds[i].kind) && is_policy_kind(&kinds[i]) &&
		    (core || str_eq(group, group_of(str_from(kinds[i].api_version)))))
			return &kinds[i];
	}
	return NULL;
}

static const char *
nearest_kind(struct str api_version, struct str kind)
{
	const char *names[ARRAY_LEN(kinds)];
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (is_policy_kind(&kinds[i]) &&
		    str_is(api_version, kinds[i].api_version))
			names[count++] = kinds[i].kind;
	}
	return schema_nearest(kind, names, count);
}

static void
skip(struct loader *l, struct str what, struct loc loc)
{
	struct skipped_kind *s = map_get(&l->skipped, what);

	if (s == NULL) {
		s = ARENA_NEW(l->scratch, struct skipped_kind);
		s->first = loc;
		map_set(&l->skipped, str_dup(l->scratch, what), s);
	}
	s->count++;
}

static void
report_skipped(struct loader *l)
{
	for (size_t i = 0; i < l->skipped.len; i++) {
		const struct map_entry *e = &l->skipped.entries[i];
		const struct skipped_kind *s = e->value;

		diag_say(l->diags, CODE_SKIPPED_KIND, s->first,
		    "%u document%s skipped: %.*s", s->count, s->count == 1 ? "" : "s",
		    STR_ARG(e->key));
	}
}

/* A kind that is not in the table: a mistake if it must have meant one that is. */
static void
refuse_or_skip(
    struct loader *l, const struct doc_node *api, const struct doc_node *kind)
{
	const struct load_kind *other = find_other_version(api->text, kind->text);
	bool ours =
	    !is_kind_name(kind->text) ||
	    (is_one_of(group_of(api->text), policy_groups, ARRAY_LEN(policy_groups)) &&
		!is_one_of(kind->text, harmless_kinds, ARRAY_LEN(harmless_kinds)));
	const char *nearest = nearest_kind(api->text, kind->text);
	struct diag *d;

	if (other != NULL) {
		d = diag_say(l->diags, CODE_UNKNOWN_API_VERSION, api->loc,
		    "there is no %s in \"%.*s\"", other->kind, STR_ARG(api->text));
		diag_hint(l->diags, d, "write %s", other->api_version);
		return;
	}
	if (!ours && nearest == NULL) {
		skip(l,
		    str_from(arena_printf(l->scratch, "%.*s %.*s", STR_ARG(api->text),
			STR_ARG(kind->text))),
		    kind->loc);
		return;
	}
	d = diag_say(l->diags, CODE_UNKNOWN_KIND, kind->loc,
	    "there is no kind \"%.*s\" in %.*s", STR_ARG(kind->text),
	    STR_ARG(api->text));
	if (nearest != NULL)
		diag_hint(l->diags, d, "did you mean %s?", nearest);
}

/* ---- documents and lists ---- */

/* What items of a typed list inherit; {0} for documents. */
struct inherited {
	const struct doc_node *api, *kind;
	unsigned depth;
};

static void add_document(struct loader *l, const struct doc_node *doc,
    struct str cluster, struct inherited from);

/* One of apiVersion and kind. False if it is there and no string. */
static bool
read_type_field(struct loader *l, const struct doc_node *doc, const char *name,
    const struct doc_node *inherited, const struct doc_node **out)
{
	const struct doc_node *node = doc_value(doc, name);

	*out = inherited;
	if (node == NULL)
		return true;
	if (node->kind != DOC_STRING)
		return schema_wrong_type(l->diags, node,
		    arena_printf(l->scratch, "\"%s\"", name), TYPE_STRING);
	*out = node->text.len != 0 ? node : NULL;
	return true;
}

static bool
is_list(const struct doc_node *api, const struct doc_node *kind)
{
	return str_ends(kind->text, STR("List")) &&
	       find_kind(api->text, kind->text) == NULL;
}

/* The items of a List say what they are; those of a PodList are Pods. */
static struct inherited
inherit(struct loader *l, const struct doc_node *api, const struct doc_node *kind,
    unsigned depth)
{
	struct inherited from = {.depth = depth + 1};
	struct doc_node *copies;

	if (str_is(kind->text, "List"))
		return from;
	copies = ARENA_ARRAY(l->scratch, 2, struct doc_node);
	copies[0] = *api;
	copies[1] = *kind;
	copies[1].text = str_slice(kind->text, 0, kind->text.len - 4);
	from.api = &copies[0];
	from.kind = &copies[1];
	return from;
}

static void
add_list(struct loader *l, const struct doc_node *doc, const struct doc_node *api,
    const struct doc_node *kind, struct str cluster, unsigned depth)
{
	const struct doc_node *items = doc_value(doc, "items");
	struct inherited from;

	if (items == NULL)
		return;
	if (!schema_type(l->diags, items, "\"items\"", TYPE_LIST))
		return;
	if (depth + 1 > LIST_DEPTH) {
		diag_say(l->diags, CODE_LIST_DEPTH, doc->loc,
		    "lists are nested more than %d deep", LIST_DEPTH);
		return;
	}
	from = inherit(l, api, kind, depth);
	for (uint32_t i = 0; i < items->count; i++)
		add_document(l, items->u.items[i], cluster, from);
}

/* Neither apiVersion nor kind: a file that is none of ours, unless it looks like it. */
static void
add_untyped(struct loader *l, const struct doc_node *doc, const struct doc_node *api,
    const struct doc_node *kind, struct inherited from)
{
	bool foreign = from.depth == 0 && api == NULL && kind == NULL;

	if (foreign && doc_get(doc, "spec") == NULL &&
	    doc_get(doc, "metadata") == NULL && doc_get(doc, "kind") == NULL &&
	    doc_get(doc, "apiVersion") == NULL) {
		skip(l, STR("not an API object"), doc->loc);
		return;
	}
	diag_say(l->diags, CODE_NOT_AN_OBJECT, doc->loc, "the object has no \"%s\"",
	    kind == NULL ? "kind" : "apiVersion");
}

static void
add_document(struct loader *l, const struct doc_node *doc, struct str cluster,
    struct inherited from)
{
	const struct doc_node *api, *kind;
	const struct load_kind *found;
	struct load_object *o;

	if (doc->kind != DOC_MAP && from.depth == 0) {
		skip(l, STR("not an API object"), doc->loc);
		return;
	}
	if (doc->kind != DOC_MAP) {
		diag_say(l->diags, CODE_NOT_AN_OBJECT, doc->loc,
		    "an item of a list of objects must be a map, not %s",
		    doc_kind_name(doc->kind));
		return;
	}
	if (!read_type_field(l, doc, "apiVersion", from.api, &api) ||
	    !read_type_field(l, doc, "kind", from.kind, &kind))
		return;
	if (api == NULL || kind == NULL) {
		add_untyped(l, doc, api, kind, from);
		return;
	}
	if (is_list(api, kind)) {
		add_list(l, doc, api, kind, cluster, from.depth);
		return;
	}
	found = find_kind(api->text, kind->text);
	if (found == NULL) {
		refuse_or_skip(l, api, kind);
		return;
	}
	if (l->note != NULL)
		l->note->other |= !load_stands_alone(found);
	if (found->stage == STAGE_PODS) {
		found->load(l, &(struct load_object){found, doc, cluster});
		return;
	}
	o = ARENA_NEW(l->scratch, struct load_object);
	*o = (struct load_object){found, doc, cluster};
	ptr_vec_push(&l->items, o);
}

/* The cluster that a source belongs to: the only one, or the longest of the paths given
 * above it. */
static struct str
source_cluster(const struct model_options *options, const struct source *source)
{
	struct str cluster = {0};
	size_t best = 0;

	if (options->cluster_count == 1)
		return options->clusters[0].name;
	for (size_t i = 0; i < options->cluster_count; i++) {
		struct str path = options->clusters[i].path;

		while (path.len > 1 && path.ptr[path.len - 1] == '/')
			path.len--;
		if (!str_starts(source->name, path) || path.len < best)
			continue;
		if (source->name.len > path.len && source->name.ptr[path.len] != '/' &&
		    !str_is(path, "/"))
			continue;
		cluster = options->clusters[i].name;
		best = path.len;
	}
	return cluster;
}

struct source_reader {
	struct loader *l;
	struct str cluster;
	struct inherited from; /* for items that come one by one */
};

/* Documents of which some object is loaded later are kept. */
static bool
read_document(void *ctx, const struct doc_node *doc)
{
	struct source_reader *r = ctx;
	size_t waiting = r->l->items.count;

	add_document(r->l, doc, r->cluster, (struct inherited){0});
	return r->l->items.count != waiting;
}

static bool
is_list_of_items(void *ctx, const struct doc_head *head)
{
	struct source_reader *r = ctx;

	if (!is_list(&head->values[0], &head->values[1]))
		return false;
	r->from = inherit(r->l, &head->values[0], &head->values[1], 0);
	return true;
}

static bool
read_item(void *ctx, const struct doc_head *head UNUSED, const struct doc_node *item)
{
	struct source_reader *r = ctx;
	size_t waiting = r->l->items.count;

	add_document(r->l, item, r->cluster, r->from);
	return r->l->items.count != waiting;
}

static void
read_source(struct loader *l, const struct source *source)
{
	struct source_reader r = {.l = l};
	const struct doc_stream stream = {
	    .each = read_document,
	    .head_keys = {"apiVersion", "kind"},
	    .items_key = "items",
	    .has_items = is_list_of_items,
	    .item = read_item,
	    .ctx = &r,
	};

	r.cluster = source_cluster(&l->m->options, source);
	/* What came before a mistake counts. */
	if (!doc_read_stream(l->pages, source, l->diags, &stream))
		l->failed = true;
}

static void
run_stage(struct loader *l, enum load_stage stage)
{
	for (size_t i = 0; i < l->items.count; i++) {
		const struct load_object *o = l->items.items[i];

		if (o->kind->stage == stage)
			o->kind->load(l, o);
	}
}

static void
remember(struct loader *l, size_t count)
{
	l->recent.texts = ARENA_ARRAY(l->scratch, count, struct str);
	l->recent.labels = ARENA_ARRAY(l->scratch, count, struct load_seen_labels);
	l->recent.count = count;
}

static void
loader_fini(struct loader *l)
{
	struct ptr_vec *vecs[] = {&l->items, &l->workloads, &l->policies, &l->access,
	    &l->quotas, &l->external_list, &l->services, &l->routes, &l->tests};
	struct map *maps[] = {&l->texts, &l->arrays, &l->objects, &l->externals,
	    &l->placings, &l->skipped};

	for (size_t i = 0; i < l->nodes.len; i++) {
		struct node_draft *d = l->nodes.entries[i].value;

		ptr_vec_fini(&d->addresses);
	}
	map_fini(&l->nodes);
	map_fini(&l->warned);
	for (size_t i = 0; i < ARRAY_LEN(vecs); i++)
		ptr_vec_fini(vecs[i]);
	for (size_t i = 0; i < ARRAY_LEN(maps); i++)
		map_fini(maps[i]);
	arena_free(l->scratch);
	arena_free(l->pages);
}

/* Files that never met an API server may hold what it would refuse, where nothing depends
 * on it or it can only mean one thing. Who asks for the server's judgement gets it. */
static const enum diag_code tolerated[] = {CODE_ABSENT_SELECTOR, CODE_ODD_NAME};

static void
refuse_tolerated(struct loader *l)
{
	for (struct diag *d = l->diags->first; d != NULL; d = d->next) {
		for (size_t i = 0; i < ARRAY_LEN(tolerated); i++) {
			if (d->severity != DIAG_WARNING ||
			    strcmp(d->code, diag_code_table[tolerated[i]].code) != 0)
				continue;
			d->severity = DIAG_ERROR;
			l->diags->warnings--;
			l->diags->errors++;
		}
	}
}

static void
take_pods(struct loader *l, const struct source *source, const struct load_kept *kept)
{
	for (size_t i = 0; i < kept->pod_count; i++)
		load_kept_pod(l, source, kept->pods[i]);
}

static void
read_sources(struct loader *l, const struct bundle *bundle)
{
	const struct load_reading none = {0};
	const struct load_reading *how = l->note != NULL ? &l->note->reading : &none;
	const struct load_kept *kept = how->kept;

	for (size_t i = 0; i < bundle->count; i++) {
		if (l->note != NULL)
			l->note->other = false;
		if (kept != NULL && kept[i].pod_count != 0)
			take_pods(l, &bundle->sources[i], &kept[i]);
		else
			read_source(l, &bundle->sources[i]);
		if (l->note != NULL)
			l->note->others[i] = l->note->other;
		if (how->has_read != NULL)
			how->has_read(how->ctx, &bundle->sources[i]);
	}
}

bool
load_whole(struct arena *arena, const struct bundle *bundle,
    const struct model_options *options, struct diag_list *diags,
    struct load_note *note, struct model **out_model)
{
	struct loader l = {
	    .note = note,
	    .arena = arena,
	    .scratch = arena_new(),
	    .pages = arena_new(),
	    .diags = diags,
	};
	unsigned errors = diags->errors;

	remember(&l, LOAD_RECENT_WHOLE);
	l.m = ARENA_NEW(arena, struct model);
	l.m->arena = arena;
	if (options != NULL)
		l.m->options = *options;
	l.m->root = load_ns(&l, STR("/"));
	read_sources(&l, bundle);
	for (unsigned stage = STAGE_TREE; stage < STAGE_COUNT; stage++) {
		run_stage(&l, (enum load_stage)stage);
		if (stage == STAGE_TREE)
			load_settle_kube(&l);
	}
	load_finish(&l);
	report_skipped(&l);
	if (l.m->options.as_the_server)
		refuse_tolerated(&l);
	loader_fini(&l);
	*out_model = l.m;
	return !l.failed && diags->errors == errors;
}

bool
model_load(struct arena *arena, const struct bundle *bundle,
    const struct model_options *options, struct diag_list *diags,
    struct model **out_model)
{
	return load_whole(arena, bundle, options, diags, NULL, out_model);
}

/* ---- one source ---- */

static void
take_nodes(struct loader *l, struct load_objects *out)
{
	out->nodes = ARENA_ARRAY(l->arena, l->nodes.len, struct node *);
	for (size_t i = 0; i < l->nodes.len; i++) {
		struct node_draft *d = l->nodes.entries[i].value;

		if (!d->declared)
			continue;
		load_finish_node(l->arena, d);
		out->nodes[out->node_count++] = &d->node;
	}
}

static void
take_objects(struct loader *l, struct load_objects *out)
{
	*out = (struct load_objects){
	    .workloads = ptr_vec_copy(l->arena, &l->workloads),
	    .workload_count = l->workloads.count,
	    .policies = ptr_vec_copy(l->arena, &l->policies),
	    .policy_count = l->policies.count,
	};
	for (size_t i = 0; i < out->workload_count; i++) {
		struct workload *w = out->workloads[i];

		if (w->kube != NULL)
			w->ns = w->kube->ns;
	}
	take_nodes(l, out);
	for (size_t i = 0; i < out->policy_count; i++) {
		if (!out->policies[i]->audit || l->m->options.audit_enforced)
			load_number_alone(
			    l, out->policies[i], &out->numbers, &out->number_count);
	}
}

bool
load_part(struct arena *arena, const struct source *source, const struct model *model,
    struct diag_list *diags, struct load_note *note, struct load_objects *out)
{
	struct model seen = *model; /* its maps are only looked into */
	struct loader *l = xcalloc(1, sizeof(*l));
	unsigned errors = diags->errors;
	bool ok;

	*l = (struct loader){
	    .note = note,
	    .arena = arena,
	    .scratch = arena_new_sized(PART_CHUNK_BYTES),
	    .pages = arena_new_sized(PART_CHUNK_BYTES),
	    .diags = diags,
	    .m = &seen,
	    .placed = true,
	};
	remember(l, LOAD_RECENT_PART);
	note->part = true;
	read_source(l, source);
	for (unsigned stage = STAGE_TREE; stage < STAGE_COUNT; stage++)
		run_stage(l, (enum load_stage)stage);
	ok = !l->failed && diags->errors == errors;
	take_objects(l, out);
	loader_fini(l);
	free(l);
	return ok;
}
