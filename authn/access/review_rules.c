#include "authn/access/review_rules.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "authn/auth/service_account.h"
#include "authn/proxy/exchange.h"

#define MAX_RULES 2000 /* in the answer; what is beyond it makes it incomplete */

struct rules {
	const struct review_subject *who;
	struct access_subject asker;
	json_t *list; /* being made */
	bool incomplete;
};

/* ---- is a pattern within Access, the token's scopes, and what is open to everyone? ---- */

static bool
open_to_all(const struct access_pattern *p)
{
	static const char *const open_prefixes[] = {"/api/*", "/apis/*", "/openapi/*"};
	struct request_info info = {
	    .is_resource = p->is_resource,
	    .verb = p->verb,
	    .api_group = p->api_group,
	    .resource = p->resource,
	    .subresource = p->subresource,
	    .path = p->path,
	};

	for (size_t i = 0; i < ARRAY_LEN(open_prefixes) && !p->is_resource; i++) {
		if (str_is(p->path, open_prefixes[i]) && str_is(p->verb, "get"))
			return true;
	}
	request_info_derive(&info);
	return info.is_discovery || info.is_self_review;
}

static bool
has_text(const struct str *list, size_t count, struct str text)
{
	for (size_t i = 0; i < count; i++) {
		if (str_is(list[i], "*") || str_eq(list[i], text))
			return true;
	}
	return count == 0;
}

/* Scopes name things by RBAC's grammar too: a scope as if it were a rule. */
static bool
scope_covers(const struct token_scope *scope, const struct review_subject *who,
    const struct access_pattern *p)
{
	const struct access_rule rule = {
	    .action = ACTION_ALLOW,
	    .verbs = &p->verb,
	    .verb_count = 1,
	    .resources = scope->resources,
	    .resource_count = scope->resource_count,
	};
	struct access_policy policy = {
	    .users = &who->id->user,
	    .user_count = 1,
	    .defaults = &rule,
	    .default_count = 1,
	};
	struct access_policy *policies[] = {&policy};
	const struct ns root = {.access = policies, .access_count = 1};
	const struct access_subject asker = {.user = who->id->user};
	const struct access_request place = {
	    .is_resource = true, .namespace = who->namespace};
	struct token_scope here = *scope;
	struct identity one = {.scopes = &here, .scope_count = 1};

	/* The namespace's part is exactly that of requests. */
	here.verb_count = here.resource_count = 0;
	if (!exchange_in_scope(&one, &place, who->level) ||
	    !has_text(scope->verbs, scope->verb_count, p->verb))
		return false;
	return scope->resource_count == 0 ||
	       (p->is_resource && access_covers(&root, &asker, p));
}

static bool
in_scope(const struct review_subject *who, const struct access_pattern *p)
{
	const struct access_request place = {
	    .is_resource = true, .namespace = who->namespace};

	if (!service_account_at_home(who->id->user, who->id, &place, who->level))
		return false;
	for (size_t i = 0; i < who->id->scope_count; i++) {
		if (scope_covers(&who->id->scopes[i], who, p))
			return true;
	}
	return who->id->scope_count == 0;
}

static bool
covers(const struct rules *r, const struct access_pattern *p)
{
	struct access_pattern create = *p;
	struct request_info info = {
	    .is_resource = p->is_resource, .subresource = p->subresource};

	if (open_to_all(p))
		return true;
	if (!in_scope(r->who, p) || !access_covers(r->who->level, &r->asker, p))
		return false;
	/* exec and its like need the right to create, whatever the method is */
	request_info_derive(&info);
	create.verb = STR("create");
	return !info.is_upgrade_subresource || !str_is(p->verb, "get") ||
	       access_covers(r->who->level, &r->asker, &create);
}

/* ---- writing ---- */

static json_t *
one_text(struct str s)
{
	return json_pack("[s#]", s.ptr != NULL ? s.ptr : "", s.len);
}

static void
emit(struct rules *r, const struct access_pattern *p)
{
	json_t *rule = json_object();
	char resource[1024];
	int n;

	if (json_array_size(r->list) >= MAX_RULES) {
		r->incomplete = true;
		json_decref(rule);
		return;
	}
	json_object_set_new(rule, "verbs", one_text(p->verb));
	if (!p->is_resource) {
		json_object_set_new(rule, "nonResourceURLs", one_text(p->path));
	} else {
		bool plain = p->subresource.len == 0 ||
			     (str_is(p->resource, "*") && str_is(p->subresource, "*"));

		n = snprintf(resource, sizeof(resource), "%.*s%s%.*s",
		    STR_ARG(p->resource), plain ? "" : "/",
		    STR_ARG(plain ? STR("") : p->subresource));
		if (n < 0 || (size_t)n >= sizeof(resource)) {
			r->incomplete = true;
			json_decref(rule);
			return;
		}
		json_object_set_new(rule, "apiGroups", one_text(p->api_group));
		json_object_set_new(rule, "resources", one_text(str_from(resource)));
		if (p->name.len != 0)
			json_object_set_new(rule, "resourceNames", one_text(p->name));
	}
	for (size_t i = 0; i < json_array_size(r->list); i++) {
		if (json_equal(json_array_get(r->list, i), rule)) {
			json_decref(rule);
			return;
		}
	}
	json_array_append_new(r->list, rule);
}

/* RBAC cannot say "every subresource of one resource": that part is left out. */
static bool
can_be_said(const struct access_pattern *p)
{
	return !p->is_resource || !str_is(p->subresource, "*") ||
	       str_is(p->resource, "*");
}

static void
on_part(void *arg, const struct access_pattern *part)
{
	struct rules *r = arg;

	if (can_be_said(part) && covers(r, part))
		emit(r, part);
}

static void
cut(struct rules *r, const struct access_pattern *p)
{
	bool open = str_is(p->verb, "*") || str_is(p->api_group, "*") ||
		    str_is(p->resource, "*") || str_is(p->subresource, "*") ||
		    str_ends(p->path, STR("*")) || (p->is_resource && p->name.len == 0);

	if (covers(r, p)) {
		emit(r, p);
		return;
	}
	if (!open)
		return;
	/* Not all of it: what Access names of it, one by one. */
	r->incomplete = true;
	access_parts(r->who->level, &r->asker, p, on_part, r);
}

/* ---- reading ---- */

static struct str
text_at(const json_t *array, size_t i)
{
	const json_t *s = json_array_get(array, i);

	return (struct str){json_string_value(s), json_string_length(s)};
}

/* Every member a list of strings. */
static bool
strings_only(const json_t *rule)
{
	const char *key;
	json_t *list;
	union {
		const json_t *in;
		json_t *out;
	} r = {.in = rule};

	if (!json_is_object(rule))
		return false;
	json_object_foreach(r.out, key, list)
	{
		if (!json_is_array(list))
			return false;
		for (size_t i = 0; i < json_array_size(list); i++) {
			if (!json_is_string(json_array_get(list, i)))
				return false;
		}
	}
	return true;
}

static void
cut_names(struct rules *r, const json_t *rule, struct access_pattern *p)
{
	const json_t *names = json_object_get(rule, "resourceNames");

	p->name = STR("");
	if (json_array_size(names) == 0)
		cut(r, p);
	for (size_t i = 0; i < json_array_size(names); i++) {
		p->name = text_at(names, i);
		if (p->name.len != 0)
			cut(r, p);
	}
}

static void
cut_resource_rule(struct rules *r, const json_t *rule)
{
	const json_t *verbs = json_object_get(rule, "verbs");
	const json_t *groups = json_object_get(rule, "apiGroups");
	const json_t *resources = json_object_get(rule, "resources");
	struct access_pattern p = {.is_resource = true};

	for (size_t g = 0; g < json_array_size(groups); g++) {
		p.api_group = text_at(groups, g);
		for (size_t i = 0; i < json_array_size(resources); i++) {
			access_pattern_resource(&p, text_at(resources, i));
			for (size_t v = 0; v < json_array_size(verbs); v++) {
				p.verb = text_at(verbs, v);
				cut_names(r, rule, &p);
			}
		}
	}
}

static void
cut_path_rule(struct rules *r, const json_t *rule)
{
	const json_t *verbs = json_object_get(rule, "verbs");
	const json_t *paths = json_object_get(rule, "nonResourceURLs");
	struct access_pattern p = {.is_resource = false};

	for (size_t i = 0; i < json_array_size(paths); i++) {
		p.path = text_at(paths, i);
		for (size_t v = 0; v < json_array_size(verbs); v++) {
			p.verb = text_at(verbs, v);
			cut(r, &p);
		}
	}
}

/* The list that stands under `name`, replaced; false if it cannot be read. */
static bool
replace(struct rules *r, json_t *status, const char *name,
    void (*cut_rule)(struct rules *r, const json_t *rule))
{
	const json_t *given = json_object_get(status, name);
	size_t count = json_array_size(given);

	if (given != NULL && !json_is_null(given) && !json_is_array(given))
		return false;
	r->list = json_array();
	for (size_t i = 0; i < count; i++) {
		const json_t *rule = json_array_get(given, i);

		if (!strings_only(rule)) {
			json_decref(r->list);
			return false;
		}
		cut_rule(r, rule);
	}
	json_object_set_new(status, name, r->list);
	return true;
}

bool
review_rules_intersect(
    struct str answer, const struct review_subject *subject, struct buf *out)
{
	json_t *root = json_loadb(answer.ptr != NULL ? answer.ptr : "", answer.len,
	    JSON_REJECT_DUPLICATES, NULL);
	json_t *status = json_object_get(root, "status");
	struct rules r = {
	    .who = subject,
	    .asker =
		{
		    .user = subject->id->user,
		    .groups = subject->id->groups,
		    .group_count = subject->id->group_count,
		},
	    .incomplete = json_is_true(json_object_get(status, "incomplete")),
	};
	bool ok = json_is_object(status) &&
		  replace(&r, status, "resourceRules", cut_resource_rule) &&
		  replace(&r, status, "nonResourceRules", cut_path_rule);
	char *text = NULL;

	if (ok) {
		json_object_set_new(status, "incomplete", json_boolean(r.incomplete));
		text = json_dumps(root, JSON_COMPACT);
		ok = text != NULL;
	}
	if (ok) {
		buf_add_cstr(out, text);
		buf_add_char(out, '\n');
	}
	free(text);
	json_decref(root);
	return ok;
}
