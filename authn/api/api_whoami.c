#include "authn/api/api_whoami.h"

#include "policy-lang/evaluate/access.h"

void
api_add_strings(struct buf *out, const char *key, const struct str *list, size_t count)
{
	buf_printf(out, "\"%s\":[", key);
	for (size_t i = 0; i < count; i++) {
		if (i != 0)
			buf_add_char(out, ',');
		buf_add_json(out, list[i]);
	}
	buf_add_char(out, ']');
}

static bool
listed(const struct str *list, size_t count, struct str value)
{
	for (size_t i = 0; i < count; i++) {
		if (str_eq(list[i], value))
			return true;
	}
	return false;
}

static bool
names(const struct access_policy *p, const struct identity *id)
{
	if (listed(p->users, p->user_count, id->user))
		return true;
	for (size_t i = 0; i < id->group_count; i++) {
		if (listed(p->groups, p->group_count, id->groups[i]))
			return true;
	}
	return false;
}

static bool
allows_something(const struct access_policy *p)
{
	for (size_t i = 0; i < p->mandatory_count; i++) {
		if (p->mandatory[i].action == ACTION_ALLOW)
			return true;
	}
	for (size_t i = 0; i < p->default_count; i++) {
		if (p->defaults[i].action == ACTION_ALLOW)
			return true;
	}
	return false;
}

bool
api_has_access(const struct ns *ns, const struct identity *id)
{
	for (size_t i = 0; i < ns->access_count; i++) {
		if (names(ns->access[i], id) && allows_something(ns->access[i]))
			return true;
	}
	return false;
}

void
api_add_limits(struct buf *out, const char *key, const struct quota_limits *l)
{
	const struct {
		const char *name;
		uint64_t value;
	} fields[] = {
	    {"burst", l->burst},
	    {"inFlight", l->in_flight},
	    {"watches", l->watches},
	    {"perDay", l->per_day},
	    {"bodyBytes", l->body_bytes},
	};
	bool first = true;

	buf_printf(out, "\"%s\":{", key);
	if (l->per_second_milli != QUOTA_UNSET) {
		buf_printf(
		    out, "\"perSecond\":%.10g", (double)l->per_second_milli / 1000);
		first = false;
	}
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		if (fields[i].value == QUOTA_UNSET)
			continue;
		buf_printf(out, "%s\"%s\":%llu", first ? "" : ",", fields[i].name,
		    (unsigned long long)fields[i].value);
		first = false;
	}
	buf_add_char(out, '}');
}

void
api_add_quota(struct buf *out, const struct ns *ns)
{
	struct quota_limits requests, per_user;

	quota_effective(ns, &requests, &per_user);
	buf_add_char(out, '{');
	api_add_limits(out, "requests", &requests);
	buf_add_char(out, ',');
	api_add_limits(out, "perUser", &per_user);
	buf_add_char(out, '}');
}

static void
add_token(struct buf *out, const struct identity *id)
{
	char expires[WALLTIME_TEXT_BYTES];

	buf_add_cstr(out, "\"token\":{\"id\":");
	buf_add_json(out, id->token_id);
	buf_printf(out, ",\"expires\":\"%s\",\"scopes\":[",
	    walltime_format_seconds(id->expires, expires));
	for (size_t i = 0; i < id->scope_count; i++) {
		const struct token_scope *s = &id->scopes[i];

		buf_add_cstr(out, i == 0 ? "{" : ",{");
		api_add_strings(out, "namespaces", s->namespaces, s->namespace_count);
		buf_add_char(out, ',');
		api_add_strings(out, "verbs", s->verbs, s->verb_count);
		buf_add_char(out, ',');
		api_add_strings(out, "resources", s->resources, s->resource_count);
		buf_add_char(out, '}');
	}
	buf_add_cstr(out, "]}");
}

void
api_whoami_json(struct buf *out, const struct identity *id, const struct model *model)
{
	struct buf quotas = {NULL, 0, 0};
	bool first = true;

	buf_add_cstr(out, "{\"user\":");
	buf_add_json(out, id->user);
	buf_add_cstr(out, ",\"uid\":");
	buf_add_json(out, id->uid);
	buf_add_char(out, ',');
	api_add_strings(out, "groups", id->groups, id->group_count);
	buf_add_cstr(out, ",\"namespaces\":[");
	for (size_t i = 0; i < model->ns_count; i++) {
		const struct ns *ns = model->namespaces[i];

		if (!api_has_access(ns, id))
			continue;
		if (!first)
			buf_add_char(out, ',');
		buf_add_json(out, ns->path);
		if (!first)
			buf_add_char(&quotas, ',');
		buf_add_json(&quotas, ns->path);
		buf_add_char(&quotas, ':');
		api_add_quota(&quotas, ns);
		first = false;
	}
	buf_add_cstr(out, "],");
	if (id->token_id.len != 0)
		add_token(out, id);
	else
		buf_add_cstr(out, "\"token\":null");
	buf_add_cstr(out, ",\"quota\":{");
	buf_add_str(out, buf_str(&quotas));
	buf_add_cstr(out, "}}\n");
	buf_free(&quotas);
}
