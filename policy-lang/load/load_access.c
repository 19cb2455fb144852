/*
 * Access documents: who may do what through the API server.
 */
#include "policy-lang/load/load_internal.h"

/* ---- verbs, resources, URLs ---- */

static const char *const known_verbs[] = {"get", "list", "watch", "create", "update",
    "patch", "delete", "deletecollection", "impersonate", "bind", "escalate", "approve",
    "sign", "attest", "use", "proxy", "head", "options", "post", "put", "connect"};

static bool
is_verb(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] < 'a' || s.ptr[i] > 'z')
			return str_is(s, "*");
	}
	return s.len != 0;
}

/* name[.group][/subresource], "*", or a star and a subresource. */
static bool
is_resource(struct str s)
{
	size_t slash = str_find(s, '/', 0);
	struct str name = str_slice(s, 0, slash);

	if (slash != s.len && !name_is_label(str_slice(s, slash + 1, s.len)))
		return false;
	return str_is(name, "*") || name_is_subdomain(name);
}

/* A path; a star only as its last byte. */
static bool
is_url(struct str s)
{
	if (str_is(s, "*"))
		return true;
	return s.len != 0 && s.ptr[0] == '/' && name_is_printable(s) &&
	       str_find(s, '*', 0) + 1 >= s.len;
}

static void
lint_verbs(struct loader *l, const struct doc_node *list)
{
	for (uint32_t i = 0; i < list->count; i++) {
		struct str verb = list->u.items[i]->text;
		const char *nearest;
		struct diag *d;

		nearest = nearest_of(verb, known_verbs, ARRAY_LEN(known_verbs));
		if (nearest == NULL || str_is(verb, nearest) || str_is(verb, "*"))
			continue;
		d = diag_say(l->diags, CODE_ODD_VERB, list->u.items[i]->loc,
		    "\"%.*s\" is not a usual verb", STR_ARG(verb));
		diag_hint(l->diags, d, "did you mean \"%s\"?", nearest);
	}
}

/* ---- rules ---- */

enum {
	RULE_NAME,
	RULE_ACTION,
	RULE_VERBS,
	RULE_RESOURCES,
	RULE_NAMES,
	RULE_RBAC_NAMES,
	RULE_URLS
};

static const struct schema_field rule_fields[] = {
    [RULE_NAME] = {"name", TYPE_STRING, false, NULL},
    [RULE_ACTION] = {"action", TYPE_STRING, true, NULL},
    [RULE_VERBS] = {"verbs", TYPE_LIST, true, NULL},
    [RULE_RESOURCES] = {"resources", TYPE_LIST, false, NULL},
    [RULE_NAMES] = {"names", TYPE_LIST, false, NULL},
    [RULE_RBAC_NAMES] = {"resourceNames", TYPE_LIST, false, NULL},
    [RULE_URLS] = {"nonResourceURLs", TYPE_LIST, false, NULL},
    {"apiGroups", 0, false, "write the group behind the resource: deployments.apps"},
};
static const char *const action_names[] = {
    [ACTION_ALLOW] = "allow",
    [ACTION_DENY] = "deny",
    [ACTION_PASS] = "pass",
};

#define NAME_VALUES(text)                                                              \
	{                                                                              \
		.about = (text), .each = &(const struct schema_value)                  \
		{                                                                      \
			.types = TYPE_STRING, .grammar = &grammar_printable            \
		}                                                                      \
	}
static const struct grammar grammar_verb = {{{"^([a-z]+|\\*)$"}}, 0, NULL, NULL};
static const struct grammar grammar_resource = {
    {{"^(\\*|" RE_SUBDOMAIN ")(/" RE_LABEL ")?$"}}, 0, NULL, NULL};
static const struct grammar grammar_url = {
    {{"^(\\*|/[!#-)+-\\[\\]-~]*\\*?)$"}}, 0, NULL, NULL};
static const struct schema_value rule_values[ARRAY_LEN(rule_fields)] = {
    [RULE_NAME] = {.about = "What explanations call it."},
    [RULE_ACTION] = {.about = "What becomes of a match: allow, deny, or pass, which "
			      "leaves this level.",
	.names = action_names,
	.name_count = ARRAY_LEN(action_names)},
    [RULE_VERBS] = {.about =
			"get, list, watch, create, update, patch, delete and so on, "
			"or * for all.",
	.each = &(
	    const struct schema_value){.types = TYPE_STRING, .grammar = &grammar_verb},
	.filled = true},
    [RULE_RESOURCES] = {.about = "As RBAC writes them: pods, pods/exec, "
				 "deployments.apps, *, */scale.",
	.each = &(const struct schema_value){.types = TYPE_STRING,
	    .grammar = &grammar_resource}},
    [RULE_NAMES] = NAME_VALUES("Only objects of these names."),
    [RULE_RBAC_NAMES] = NAME_VALUES("The same as names, as RBAC calls it."),
    [RULE_URLS] = {.about = "Paths that are no resources, such as /metrics; a * at the "
			    "end stands for the rest.",
	.each = &(
	    const struct schema_value){.types = TYPE_STRING, .grammar = &grammar_url}},
};
static const struct schema_rule rule_rules[] = {
    {.kind = SCHEMA_SOME,
	.a = SCHEMA_BIT(RULE_RESOURCES) | SCHEMA_BIT(RULE_URLS),
	.filled = true},
    {.kind = SCHEMA_APART,
	.a = SCHEMA_BIT(RULE_RESOURCES) | SCHEMA_BIT(RULE_NAMES) |
	     SCHEMA_BIT(RULE_RBAC_NAMES),
	.b = SCHEMA_BIT(RULE_URLS),
	.filled = true},
    {.kind = SCHEMA_APART,
	.a = SCHEMA_BIT(RULE_NAMES),
	.b = SCHEMA_BIT(RULE_RBAC_NAMES)},
};
static const struct schema rule_schema =
    SCHEMA_RULED("an access rule", rule_fields, rule_values, rule_rules);

static bool
read_lists(struct loader *l, const struct doc_node *const *v, struct access_rule *r)
{
	const struct doc_node *names =
	    v[RULE_NAMES] != NULL ? v[RULE_NAMES] : v[RULE_RBAC_NAMES];
	bool ok = true;

	ok &= load_strings(l, v[RULE_VERBS], "a verb", is_verb,
	    "lower-case letters, or *", &r->verbs, &r->verb_count);
	if (v[RULE_RESOURCES] != NULL)
		ok &= load_strings(l, v[RULE_RESOURCES], "a resource", is_resource,
		    "as in pods, pods/exec, deployments.apps, * or */scale",
		    &r->resources, &r->resource_count);
	if (v[RULE_URLS] != NULL)
		ok &= load_strings(l, v[RULE_URLS], "a non-resource URL", is_url,
		    "a path that begins with /, with * at its end or nowhere", &r->urls,
		    &r->url_count);
	if (names != NULL)
		ok &= load_strings(l, names, "an object's name", name_is_printable,
		    "printable", &r->names, &r->name_count);
	return ok;
}

static bool
check_rule(struct loader *l, const struct doc_node *const *v,
    const struct doc_node *node, const struct ns *level, const struct access_rule *r)
{
	const char *wrong = NULL;

	if (r->verb_count == 0)
		wrong = "an access rule needs at least one verb";
	else if (r->resource_count == 0 && r->url_count == 0)
		wrong = "an access rule needs \"resources\" or \"nonResourceURLs\"";
	else if (r->resource_count != 0 && r->url_count != 0)
		wrong = "\"resources\" and \"nonResourceURLs\" are two rules";
	else if (r->name_count != 0 && r->url_count != 0)
		wrong = "\"names\" has no meaning beside \"nonResourceURLs\"";
	else if (v[RULE_NAMES] != NULL && v[RULE_RBAC_NAMES] != NULL)
		wrong = "\"names\" and \"resourceNames\" are the same field";
	if (wrong != NULL) {
		diag_say(l->diags, CODE_BAD_RULE, node->loc, "%s", wrong);
		return false;
	}
	if (r->url_count != 0 && level->parent != NULL)
		diag_say(l->diags, CODE_NEVER_JUDGED, v[RULE_URLS]->loc,
		    "non-resource URLs are judged at /: this rule never applies");
	lint_verbs(l, v[RULE_VERBS]);
	return true;
}

static bool
read_rule(struct loader *l, const struct doc_node *node, const struct ns *level,
    struct access_rule *r)
{
	const struct doc_node *v[ARRAY_LEN(rule_fields)];
	size_t action;

	if (!schema_read(l->diags, &rule_schema, node, v) ||
	    !schema_enum(l->diags, v[RULE_ACTION], "\"action\"", action_names,
		ARRAY_LEN(action_names), &action))
		return false;
	r->action = (enum action)action;
	r->loc = node->loc;
	return read_lists(l, v, r) && check_rule(l, v, node, level, r);
}

static bool
read_rules(struct loader *l, const struct doc_node *list, const struct ns *level,
    const struct access_rule **out, size_t *out_count)
{
	struct access_rule *rules;
	bool ok = true;

	if (list == NULL)
		return true;
	rules = ARENA_ARRAY(l->arena, list->count, struct access_rule);
	for (uint32_t i = 0; i < list->count; i++) {
		rules[i].index = i;
		ok &= read_rule(l, list->u.items[i], level, &rules[i]);
	}
	*out = rules;
	*out_count = list->count;
	return ok;
}

/* ---- the document ---- */

enum {
	SPEC_USERS,
	SPEC_GROUPS,
	SPEC_PRIORITY,
	SPEC_MANDATORY,
	SPEC_DEFAULT
};

static const struct schema_field spec_fields[] = {
    [SPEC_USERS] = {"users", TYPE_LIST, false, NULL},
    [SPEC_GROUPS] = {"groups", TYPE_LIST, false, NULL},
    [SPEC_PRIORITY] = {"priority", TYPE_INT, false, NULL},
    [SPEC_MANDATORY] = {"mandatory", TYPE_LIST, false, NULL},
    [SPEC_DEFAULT] = {"default", TYPE_LIST, false, NULL},
    {"allow", 0, false, "access rules are \"mandatory\" or \"default\""},
};
static const struct grammar grammar_who = {{{"^[^\\x00-\\x1f]+$"}}, 0, NULL, NULL};
static const struct schema_value who_value = {
    .types = TYPE_STRING, .grammar = &grammar_who};
static const struct schema_value rule_value = {.types = TYPE_MAP, .map = &rule_schema};
static const struct schema_value spec_values[ARRAY_LEN(spec_fields)] = {
    [SPEC_USERS] = {.about = "Users that the rules are about.", .each = &who_value},
    [SPEC_GROUPS] = {.about = "Groups that they are about; system:authenticated is "
			      "everyone signed in.",
	.each = &who_value},
    [SPEC_PRIORITY] = {.about = "Smaller numbers come first; 0 when absent.",
	.bounded = true,
	.min = -INT32_MAX,
	.max = INT32_MAX - 1},
    [SPEC_MANDATORY] = {.about = "Ordered rules that nothing below can change.",
	.each = &rule_value},
    [SPEC_DEFAULT] = {.about = "Ordered rules for what nothing mandatory decides: the "
			       "nearest namespace wins.",
	.each = &rule_value},
};
static const struct schema_rule spec_rules[] = {
    {.kind = SCHEMA_SOME,
	.a = SCHEMA_BIT(SPEC_USERS) | SCHEMA_BIT(SPEC_GROUPS),
	.filled = true},
};
const struct schema load_access_schema =
    SCHEMA_RULED("an Access's spec", spec_fields, spec_values, spec_rules);

static bool
is_who(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if ((unsigned char)s.ptr[i] < ' ')
			return false;
	}
	return s.len != 0;
}

static bool
read_spec(struct loader *l, const struct doc_node *spec, struct access_policy *p)
{
	const struct doc_node *v[ARRAY_LEN(spec_fields)];
	bool ok = schema_read(l->diags, &load_access_schema, spec, v);
	int64_t priority = 0;

	if (v[SPEC_USERS] != NULL)
		ok &= load_strings(l, v[SPEC_USERS], "a user", is_who, "a name",
		    &p->users, &p->user_count);
	if (v[SPEC_GROUPS] != NULL)
		ok &= load_strings(l, v[SPEC_GROUPS], "a group", is_who, "a name",
		    &p->groups, &p->group_count);
	if (ok && p->user_count + p->group_count == 0) {
		diag_say(l->diags, CODE_MISSING_FIELD, spec->loc,
		    "Access needs \"groups\" or \"users\"");
		ok = false;
	}
	if (v[SPEC_PRIORITY] != NULL)
		ok &= schema_int(l->diags, v[SPEC_PRIORITY], "\"priority\"", -INT32_MAX,
		    INT32_MAX - 1, &priority);
	p->priority = (int32_t)priority;
	ok &= read_rules(
	    l, v[SPEC_MANDATORY], p->level, &p->mandatory, &p->mandatory_count);
	ok &= read_rules(l, v[SPEC_DEFAULT], p->level, &p->defaults, &p->default_count);
	return ok;
}

void
load_access(struct loader *l, const struct load_object *o)
{
	struct access_policy *p = ARENA_NEW(l->arena, struct access_policy);
	const struct doc_node *spec;
	struct meta meta;
	bool ok = load_top(l, o, &spec);

	ok &= load_meta(l, o, META_PLACED, false, &meta);
	p->level = load_home(l, o, &meta);
	if (!ok || p->level == NULL || !load_claim_native(l, o, &meta))
		return;
	p->name = meta.name;
	p->namespace_text = meta.ns.ptr != NULL ? meta.ns : STR("");
	p->loc = meta.loc;
	if (spec == NULL)
		diag_say(
		    l->diags, CODE_MISSING_FIELD, meta.loc, "Access needs \"spec\"");
	/* A document with a mistake in it grants nothing. */
	else if (read_spec(l, spec, p))
		ptr_vec_push(&l->others[OTHER_ACCESS], p);
}
