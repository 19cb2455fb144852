/*
 * The kinds of objects that are read, with the function that loads each, and what becomes of
 * others: skipped where they have no bearing on policy, refused where they must have meant one
 * that has.
 */
#include <ctype.h>

#include "policy-lang/load/load_internal.h"

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

/* Those that say who may connect. */
static void (*const policies[])(struct loader *l, const struct load_object *o) = {
    load_native_policy, load_network_policy, load_admin_policy, load_baseline_policy,
    load_cluster_policy};

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

static struct str
group_of(struct str api_version)
{
	size_t slash = str_find(api_version, '/', 0);

	return slash == api_version.len ? (struct str){0}
					: str_slice(api_version, 0, slash);
}

const struct load_kind *
load_kind_find(struct str api_version, struct str kind)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (str_is(kind, kinds[i].kind) &&
		    str_is(api_version, kinds[i].api_version))
			return &kinds[i];
	}
	return NULL;
}

bool
load_is_policy(struct str api_version, struct str kind)
{
	const struct load_kind *k = load_kind_find(api_version, kind);

	for (size_t i = 0; k != NULL && i < ARRAY_LEN(policies); i++) {
		if (policies[i] == k->load)
			return true;
	}
	return false;
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
	return nearest_of(kind, names, count);
}

void
load_skip(struct loader *l, struct str what, struct loc loc)
{
	struct skipped_kind *s = map_get(&l->skipped, what);

	if (l->stage != STAGE_PODS)
		return; /* it is read again */
	if (s == NULL) {
		s = ARENA_NEW(l->scratch, struct skipped_kind);
		s->first = loc;
		map_set(&l->skipped, str_dup(l->scratch, what), s);
	}
	s->count++;
}

void
load_report_skipped(struct loader *l)
{
	for (size_t i = 0; i < l->skipped.len; i++) {
		const struct map_entry *e = &l->skipped.entries[i];
		const struct skipped_kind *s = e->value;

		diag_say(l->diags, CODE_SKIPPED_KIND, s->first,
		    "%u document%s skipped: %.*s", s->count, s->count == 1 ? "" : "s",
		    STR_ARG(e->key));
	}
}

void
load_refuse_or_skip(
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
		load_skip(l,
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
