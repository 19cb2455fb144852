#include "authn/api/api_audit.h"

#include "authn/api/api_whoami.h"
#include "authn/audit/audit_recent.h"
#include "authn/proxy/worker_state.h"

static bool
is_owner(const struct ns *ns, const struct identity *id)
{
	for (size_t i = 0; i < ns->owner_count; i++) {
		for (size_t g = 0; g < id->group_count; g++) {
			if (str_eq(ns->owners[i], id->groups[g]))
				return true;
		}
	}
	return false;
}

/* True if the node or one above it is the user's. */
static bool
owns(const struct ns *ns, const struct identity *id)
{
	for (; ns != NULL; ns = ns->parent) {
		if (is_owner(ns, id))
			return true;
	}
	return false;
}

/* The highest nodes that are the user's; more than there is room for are not asked about. */
static size_t
owned_subtrees(const struct model *m, const struct identity *id, struct str *out)
{
	size_t count = 0;

	for (size_t i = 0; i < m->ns_count && count < AUDIT_RECENT_SUBTREES; i++) {
		const struct ns *ns = m->namespaces[i];

		if (is_owner(ns, id) && !owns(ns->parent, id))
			out[count++] = ns->path;
	}
	return count;
}

static bool
refuse_scoped(struct exchange *x)
{
	if (x->id->scope_count == 0)
		return false;
	exchange_reply_error(
	    x, 403, "a token that is limited to a scope does not show the audit log");
	return true;
}

/* ---- records ---- */

static void
on_recent(void *arg, struct str json)
{
	struct exchange *x = arg;

	x->recent_ticket = 0;
	if (json.len == 0)
		exchange_reply_unavailable(x, "the audit log does not answer");
	else
		exchange_reply(x, 200, "application/json", json);
}

void
api_audit_list(struct exchange *x)
{
	struct str *subtrees = ARENA_ARRAY(x->arena, AUDIT_RECENT_SUBTREES, struct str);
	const struct audit_recent_question question = {
	    .user = x->id->user,
	    .subtrees = subtrees,
	    .subtree_count = owned_subtrees(x->w->policy->model, x->id, subtrees),
	    .refused = str_ends(x->info.path, STR("/refused")),
	};
	uint64_t ticket;

	if (refuse_scoped(x))
		return;
	x->state = EXCHANGE_ANSWER;
	ticket = audit_client_ask(x->w->audit, &question, on_recent, x);
	if (!x->res_head)
		x->recent_ticket = ticket;
}

/* ---- tenants ---- */

static void
add_kubernetes(struct buf *out, const struct model *m, const struct ns *ns)
{
	bool first = true;

	buf_add_cstr(out, ",\"kubernetes\":[");
	for (size_t i = 0; i < m->kube_count; i++) {
		if (m->kube_namespaces[i]->ns != ns)
			continue;
		if (!first)
			buf_add_char(out, ',');
		buf_add_json(out, m->kube_namespaces[i]->name);
		first = false;
	}
	buf_add_char(out, ']');
}

static void
add_tenant(struct buf *out, const struct model *m, const struct ns *ns)
{
	buf_add_cstr(out, "{\"path\":");
	buf_add_json(out, ns->path);
	buf_add_char(out, ',');
	api_add_strings(out, "owners", ns->owners, ns->owner_count);
	add_kubernetes(out, m, ns);
	buf_add_cstr(out, ",\"quota\":");
	api_add_quota(out, ns);
	buf_add_char(out, '}');
}

void
api_audit_tenants(struct exchange *x)
{
	const struct model *m = x->w->policy->model;
	struct buf body = {0};
	bool first = true;

	if (refuse_scoped(x))
		return;
	buf_add_cstr(&body, "{\"tenants\":[");
	for (size_t i = 0; i < m->ns_count; i++) {
		if (!owns(m->namespaces[i], x->id))
			continue;
		if (!first)
			buf_add_char(&body, ',');
		add_tenant(&body, m, m->namespaces[i]);
		first = false;
	}
	buf_add_cstr(&body, "]}\n");
	exchange_reply(x, 200, "application/json", buf_str(&body));
	buf_free(&body);
}

/* ---- quotas ---- */

static void
add_quota(struct buf *out, const struct exchange *x, const struct quota *q)
{
	struct quota_use use;

	quota_use(x->w->quota, q, walltime_now(), &use);
	buf_add_cstr(out, "{\"namespace\":");
	buf_add_json(out, q->level->path);
	buf_add_cstr(out, ",\"name\":");
	buf_add_json(out, q->name);
	buf_add_char(out, ',');
	api_add_limits(out, "requests", &q->requests);
	buf_printf(out,
	    ",\"inFlight\":%llu,\"watches\":%llu,\"today\":%llu,\"admitted\":%llu,"
	    "\"refused\":%llu}",
	    (unsigned long long)use.in_flight, (unsigned long long)use.watches,
	    (unsigned long long)use.today, (unsigned long long)use.admitted,
	    (unsigned long long)use.refused);
}

void
api_audit_quotas(struct exchange *x)
{
	const struct model *m = x->w->policy->model;
	struct buf body = {0};
	bool first = true;

	if (refuse_scoped(x))
		return;
	buf_add_cstr(&body, "{\"quotas\":[");
	for (size_t i = 0; i < m->ns_count; i++) {
		const struct ns *ns = m->namespaces[i];

		if (!owns(ns, x->id) && !api_has_access(ns, x->id))
			continue;
		for (size_t n = 0; n < ns->quota_count; n++) {
			if (!first)
				buf_add_char(&body, ',');
			add_quota(&body, x, ns->quotas[n]);
			first = false;
		}
	}
	buf_add_cstr(&body, "]}\n");
	exchange_reply(x, 200, "application/json", buf_str(&body));
	buf_free(&body);
}
