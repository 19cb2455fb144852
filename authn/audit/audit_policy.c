#include "authn/audit/audit_policy.h"

#include <string.h>

#include "authn/audit/audit_record.h"
#include "common/doc.h"
#include "policy-lang/load/schema.h"

#define CODE "audit-policy"

struct strings {
	const struct str *all;
	size_t count;
};

/* Resources of one group: "pods", "pods/log", "pods/ *", "* /status", "*"; none: all. */
struct group_resources {
	struct str group;
	struct strings resources, names;
};

struct audit_rule {
	enum audit_level level;
	struct strings users, groups, verbs, namespaces, urls;
	const struct group_resources *resources;
	size_t resource_count;
};

struct audit_policy {
	const struct audit_rule *rules;
	size_t count;
};

static const char *const level_names[] = {
    [AUDIT_LEVEL_NONE] = "None",
    [AUDIT_LEVEL_METADATA] = "Metadata",
    [AUDIT_LEVEL_REQUEST] = "Request",
    [AUDIT_LEVEL_RESPONSE] = "RequestResponse",
};

const char *
audit_level_name(enum audit_level level)
{
	return level_names[level];
}

/* ---- reading ---- */

struct reading {
	struct arena *arena;
	struct diag_list *diags;
};

static void
read_fields(struct reading *r, const struct schema *schema, const struct doc_node *n,
    const struct doc_node **out_values)
{
	bool ok = schema_read(r->diags, schema, n, out_values);

	(void)ok; /* what is wrong is reported, and NULL */
}

static struct strings
read_strings(struct reading *r, const struct doc_node *list, const char *what)
{
	struct str *all;
	struct strings out = {NULL, 0};

	if (list == NULL)
		return out;
	all = ARENA_ARRAY(r->arena, list->count, struct str);
	for (uint32_t i = 0; i < list->count; i++) {
		if (schema_type(r->diags, list->u.items[i], what, TYPE_STRING))
			all[out.count++] = str_dup(r->arena, list->u.items[i]->text);
	}
	out.all = all;
	return out;
}

static void
read_resources(struct reading *r, const struct doc_node *list, struct audit_rule *rule)
{
	static const struct schema_field fields[] = {
	    {"group", TYPE_STRING, false, NULL},
	    {"resources", TYPE_LIST, false, NULL},
	    {"resourceNames", TYPE_LIST, false, NULL},
	};
	static const struct schema schema = SCHEMA("resources", fields);
	const struct doc_node *v[ARRAY_LEN(fields)];
	struct group_resources *all;

	if (list == NULL)
		return;
	all = ARENA_ARRAY(r->arena, list->count, struct group_resources);
	for (uint32_t i = 0; i < list->count; i++) {
		read_fields(r, &schema, list->u.items[i], v);
		all[i] = (struct group_resources){
		    .group = v[0] != NULL ? str_dup(r->arena, v[0]->text) : STR(""),
		    .resources = read_strings(r, v[1], "a resource"),
		    .names = read_strings(r, v[2], "a name"),
		};
		if (all[i].names.count != 0 && all[i].resources.count == 0)
			diag_error(r->diags, CODE, list->u.items[i]->loc,
			    "\"resourceNames\" need \"resources\"");
	}
	rule->resources = all;
	rule->resource_count = list->count;
}

static bool
is_read_verb(struct str verb)
{
	return str_is(verb, "get") || str_is(verb, "list") || str_is(verb, "watch");
}

/* A change that leaves no trace is what the log is there to rule out. */
static void
check_none(
    struct reading *r, const struct doc_node *node, const struct audit_rule *rule)
{
	bool reads_only = rule->verbs.count != 0;

	for (size_t i = 0; i < rule->verbs.count; i++)
		reads_only = reads_only && is_read_verb(rule->verbs.all[i]);
	if (rule->level == AUDIT_LEVEL_NONE && !reads_only)
		diag_error(r->diags, CODE, node->loc,
		    "level None is for reads: say verbs: [get, list, watch], or some "
		    "of them");
}

static void
check_namespaces(
    struct reading *r, const struct doc_node *node, const struct audit_rule *rule)
{
	for (size_t i = 0; i < rule->namespaces.count; i++) {
		struct str path = rule->namespaces.all[i];

		if (path.len > 1 && path.ptr[0] == '/' && path.ptr[path.len - 1] == '/')
			diag_error(r->diags, CODE, node->loc,
			    "\"%.*s\" is no path of the tree: write it without the "
			    "last slash",
			    STR_ARG(path));
	}
}

enum rule_field {
	RULE_LEVEL,
	RULE_USERS,
	RULE_GROUPS,
	RULE_VERBS,
	RULE_NAMESPACES,
	RULE_RESOURCES,
	RULE_URLS,
	RULE_OMIT_STAGES,
	RULE_OMIT_MANAGED,
	RULE_COUNT
};

static void
read_rule(struct reading *r, const struct doc_node *node, struct audit_rule *rule)
{
	static const struct schema_field fields[RULE_COUNT] = {
	    [RULE_LEVEL] = {"level", TYPE_STRING, true, NULL},
	    [RULE_USERS] = {"users", TYPE_LIST, false, NULL},
	    [RULE_GROUPS] = {"userGroups", TYPE_LIST, false, NULL},
	    [RULE_VERBS] = {"verbs", TYPE_LIST, false, NULL},
	    [RULE_NAMESPACES] = {"namespaces", TYPE_LIST, false, NULL},
	    [RULE_RESOURCES] = {"resources", TYPE_LIST, false, NULL},
	    [RULE_URLS] = {"nonResourceURLs", TYPE_LIST, false, NULL},
	    [RULE_OMIT_STAGES] = {"omitStages", 0, false,
		"what is on record before a change cannot be omitted"},
	    [RULE_OMIT_MANAGED] = {"omitManagedFields", 0, false,
		"managed fields are never recorded"},
	};
	static const struct schema schema = SCHEMA("a rule", fields);
	const struct doc_node *v[RULE_COUNT];
	size_t level = AUDIT_LEVEL_METADATA;

	read_fields(r, &schema, node, v);
	if (v[RULE_LEVEL] != NULL && !schema_enum(r->diags, v[RULE_LEVEL], "level",
					 level_names, ARRAY_LEN(level_names), &level))
		return;
	rule->level = (enum audit_level)level;
	rule->users = read_strings(r, v[RULE_USERS], "a user");
	rule->groups = read_strings(r, v[RULE_GROUPS], "a group");
	rule->verbs = read_strings(r, v[RULE_VERBS], "a verb");
	rule->namespaces = read_strings(r, v[RULE_NAMESPACES], "a namespace");
	rule->urls = read_strings(r, v[RULE_URLS], "a path");
	read_resources(r, v[RULE_RESOURCES], rule);
	check_none(r, node, rule);
	check_namespaces(r, node, rule);
}

static const struct audit_policy *
read_policy(struct reading *r, const struct doc_node *doc)
{
	static const struct schema_field fields[] = {
	    {"apiVersion", TYPE_STRING, true, NULL},
	    {"kind", TYPE_STRING, true, NULL},
	    {"metadata", TYPE_MAP, false, NULL},
	    {"rules", TYPE_LIST, true, NULL},
	    {"omitStages", 0, false,
		"what is on record before a change cannot be omitted"},
	    {"omitManagedFields", 0, false, "managed fields are never recorded"},
	};
	static const struct schema schema = SCHEMA("an audit policy", fields);
	const struct doc_node *v[ARRAY_LEN(fields)];
	struct audit_policy *policy = ARENA_NEW(r->arena, struct audit_policy);
	struct audit_rule *rules;

	read_fields(r, &schema, doc, v);
	if (v[0] == NULL || v[1] == NULL || v[3] == NULL)
		return policy; /* reported */
	if (!str_is(v[0]->text, "audit.k8s.io/v1") || !str_is(v[1]->text, "Policy"))
		diag_error(r->diags, CODE, doc->loc,
		    "an audit policy is of apiVersion audit.k8s.io/v1, kind Policy");
	rules = ARENA_ARRAY(r->arena, v[3]->count, struct audit_rule);
	for (uint32_t i = 0; i < v[3]->count; i++)
		read_rule(r, v[3]->u.items[i], &rules[i]);
	policy->rules = rules;
	policy->count = v[3]->count;
	return policy;
}

const struct audit_policy *
audit_policy_load(
    struct arena *arena, const struct source *source, struct diag_list *diags)
{
	struct reading r = {arena, diags};
	const unsigned errors = diags->errors;
	const struct audit_policy *policy;
	struct loc start = {source, 1, 1, 0};
	struct doc_list docs;

	if (!doc_read(arena, source, diags, &docs))
		return NULL;
	if (docs.count != 1) {
		diag_error(diags, CODE, start, "an audit policy is one document");
		return NULL;
	}
	policy = read_policy(&r, docs.docs[0]);
	return diags->errors == errors ? policy : NULL;
}

/* ---- deciding ---- */

static bool
has(const struct strings *list, struct str value)
{
	for (size_t i = 0; i < list->count; i++) {
		if (str_eq(list->all[i], value) || str_is(list->all[i], "*"))
			return true;
	}
	return false;
}

static bool
has_group(const struct audit_rule *rule, const struct audit_policy_question *q)
{
	for (size_t i = 0; i < q->group_count; i++) {
		if (has(&rule->groups, q->groups[i]))
			return true;
	}
	return false;
}

/* A path is that subtree; a name is the Kubernetes namespace, "" none at all. */
static bool
in_namespaces(const struct audit_rule *rule, const struct audit_policy_question *q)
{
	struct str own = q->info->is_resource ? q->info->namespace : STR("");

	for (size_t i = 0; i < rule->namespaces.count; i++) {
		struct str wanted = rule->namespaces.all[i];

		if (wanted.len != 0 && wanted.ptr[0] == '/'
			? audit_path_within(q->tenant, wanted)
			: str_eq(wanted, own))
			return true;
	}
	return false;
}

/* One entry of `resources`, as the API server's audit policies read it. */
static bool
resource_fits(struct str entry, const struct request_info *info)
{
	struct str sub = entry;
	struct str name = str_split(&sub, '/');

	if (str_is(entry, "*"))
		return true;
	if (!str_is(name, "*") && !str_eq(name, info->resource))
		return false;
	if (sub.ptr == NULL)
		return info->subresource.len == 0;
	return info->subresource.len != 0 &&
	       (str_is(sub, "*") || str_eq(sub, info->subresource));
}

static bool
group_fits(const struct group_resources *g, const struct request_info *info)
{
	if (!str_eq(g->group, info->api_group))
		return false;
	if (g->names.count != 0 && !has(&g->names, info->name))
		return false;
	for (size_t i = 0; i < g->resources.count; i++) {
		if (resource_fits(g->resources.all[i], info))
			return true;
	}
	return g->resources.count == 0;
}

static bool
url_fits(struct str pattern, struct str path)
{
	if (str_ends(pattern, STR("*")))
		return str_starts(path, str_slice(pattern, 0, pattern.len - 1));
	return str_eq(pattern, path);
}

/* A rule with resources is about those, one with paths about those, one with neither about
 * everything. */
static bool
object_fits(const struct audit_rule *rule, const struct request_info *info)
{
	if (rule->resource_count == 0 && rule->urls.count == 0)
		return true;
	for (size_t i = 0; info->is_resource && i < rule->resource_count; i++) {
		if (group_fits(&rule->resources[i], info))
			return true;
	}
	for (size_t i = 0; !info->is_resource && i < rule->urls.count; i++) {
		if (url_fits(rule->urls.all[i], info->path))
			return true;
	}
	return false;
}

static bool
rule_fits(const struct audit_rule *rule, const struct audit_policy_question *q)
{
	return (rule->users.count == 0 || has(&rule->users, q->user)) &&
	       (rule->groups.count == 0 || has_group(rule, q)) &&
	       (rule->verbs.count == 0 || has(&rule->verbs, q->info->verb)) &&
	       (rule->namespaces.count == 0 || in_namespaces(rule, q)) &&
	       object_fits(rule, q->info);
}

/* Nothing of these can be shown. */
static bool
is_all_secret(const struct request_info *info)
{
	static const struct {
		const char *group, *resource, *subresource; /* NULL: any */
	} all[] = {
	    {"authentication.k8s.io", NULL, NULL},
	    {"certificates.k8s.io", NULL, NULL},
	    {"oauth.openshift.io", NULL, NULL},
	    {"", "serviceaccounts", "token"},
	};

	if (!info->is_resource || info->is_upgrade_subresource || info->is_long_running)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (str_is(info->api_group, all[i].group) &&
		    (all[i].resource == NULL ||
			(str_is(info->resource, all[i].resource) &&
			    str_is(info->subresource, all[i].subresource))))
			return true;
	}
	return false;
}

enum audit_level
audit_policy_level(
    const struct audit_policy *policy, const struct audit_policy_question *question)
{
	enum audit_level level = AUDIT_LEVEL_METADATA;

	for (size_t i = 0; policy != NULL && i < policy->count; i++) {
		if (rule_fits(&policy->rules[i], question)) {
			level = policy->rules[i].level;
			break;
		}
	}
	if (level == AUDIT_LEVEL_NONE && question->info->is_mutation)
		return AUDIT_LEVEL_METADATA;
	if (level > AUDIT_LEVEL_METADATA && is_all_secret(question->info))
		return AUDIT_LEVEL_METADATA;
	return level;
}
