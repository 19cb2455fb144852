#include "authn/api/api_service.h"

#include "authn/api/api.h"
#include "authn/auth/auth_messages.h"
#include "authn/auth/service_account.h"
#include "authn/proxy/worker_state.h"

/* What follows the API's name: "/" and more, or "/" alone. */
static struct str
tail(struct str path, struct str api)
{
	const struct str rest = str_slice(path, api.len, path.len);

	return rest.len == 0 ? STR("/") : rest;
}

static bool
is_at(struct str path, struct str api)
{
	return str_starts(path, api) &&
	       (path.len == api.len || path.ptr[api.len] == '/');
}

/* "/acme/shop/deploy/ID" is the service account and the id. */
static void
split_id(struct str *path, struct str *out_id)
{
	size_t slash = path->len;

	while (slash > 0 && path->ptr[slash - 1] != '/')
		slash--;
	*out_id = str_slice(*path, slash, path->len);
	*path = str_slice(*path, 0, slash > 0 ? slash - 1 : 0);
}

bool
api_service_object(struct str path, struct str method, struct str *out_node,
    struct str *out_resource, struct str *out_name)
{
	const bool of_tokens = is_at(path, STR(API_SERVICE_TOKENS));
	const bool is_list = !of_tokens && str_is(method, "GET");
	struct str of;

	if (!of_tokens && !is_at(path, STR(API_SERVICES)))
		return false;
	of = tail(path, of_tokens ? STR(API_SERVICE_TOKENS) : STR(API_SERVICES));
	*out_resource = of_tokens ? STR("tokens") : STR("serviceaccounts");
	*out_name = of_tokens ? STR("") : of;
	if (of_tokens && str_is(method, "DELETE"))
		split_id(&of, out_name);
	*out_node = STR("/");
	if (service_path_ok(of))
		*out_node = is_list ? of : service_path_node(of);
	return true;
}

/* Groups that own the node, or one above; in the exchange's arena. False: more than the auth role
 * takes in a question. */
static bool
add_owners(struct exchange *x, const struct ns *node, struct auth_caller *caller)
{
	struct str *all;
	size_t count = 0;

	for (const struct ns *at = node; at != NULL; at = at->parent)
		count += at->owner_count;
	if (count > IDENTITY_MAX_GROUPS)
		return false;
	all = ARENA_ARRAY(x->arena, count, struct str);
	count = 0;
	for (const struct ns *at = node; at != NULL; at = at->parent) {
		for (size_t i = 0; i < at->owner_count; i++)
			all[count++] = str_dup(x->arena, at->owners[i]);
	}
	caller->owners = all;
	caller->owner_count = count;
	return true;
}

/* The caller, about `of`, which is at `node`. False: it was answered. */
static bool
about(struct exchange *x, struct str of, struct str node, struct auth_caller *out)
{
	const struct ns *level = model_ns(x->w->policy->model, node);

	if (level == NULL) {
		exchange_reply_error(
		    x, 404, "there is no such namespace in the tree of policy");
		return false;
	}
	/* Nodes may have longer ones, and the auth role ends a worker that asks about them. */
	if (of.len > SERVICE_PATH_BYTES) {
		exchange_reply_error(x, 400,
		    "the path of that namespace of the tree is too long for service "
		    "accounts");
		return false;
	}
	*out = api_caller(x);
	out->service = of;
	if (!add_owners(x, level, out)) {
		exchange_reply_error(x, 403,
		    "that namespace of the tree has too many owners for service "
		    "accounts");
		return false;
	}
	return true;
}

static bool
about_account(struct exchange *x, struct str of, struct auth_caller *out)
{
	if (service_path_ok(of))
		return about(x, of, service_path_node(of), out);
	exchange_reply_error(x, 400,
	    "the path of a service account is that of its namespace of the tree, and a "
	    "name: a-z, 0-9, '-', '_' and '.'");
	return false;
}

void
api_service_list(struct exchange *x)
{
	const struct str node = tail(x->info.path, STR(API_SERVICES));
	struct auth_caller caller;

	if (!about(x, node, node, &caller))
		return;
	x->state = EXCHANGE_ANSWER;
	api_asked(x,
	    auth_client_service(x->w->auth, AUTH_SERVICE_LIST, &caller, api_answer, x));
}

static void
change(struct exchange *x, enum auth_service_call call)
{
	struct auth_caller caller;

	if (about_account(x, tail(x->info.path, STR(API_SERVICES)), &caller))
		api_asked(
		    x, auth_client_service(x->w->auth, call, &caller, api_answer, x));
}

void
api_service_declare(struct exchange *x)
{
	change(x, AUTH_SERVICE_DECLARE);
}

void
api_service_remove(struct exchange *x)
{
	change(x, AUTH_SERVICE_REMOVE);
}

void
api_service_tokens(struct exchange *x)
{
	struct auth_caller caller;

	if (!about_account(x, tail(x->info.path, STR(API_SERVICE_TOKENS)), &caller))
		return;
	x->state = EXCHANGE_ANSWER;
	api_asked(x, auth_client_list(x->w->auth, &caller, api_answer, x));
}

void
api_service_token(struct exchange *x)
{
	struct auth_caller caller;

	if (about_account(x, tail(x->info.path, STR(API_SERVICE_TOKENS)), &caller))
		api_issue(x, &caller, false);
}

void
api_service_revoke(struct exchange *x)
{
	struct str of = tail(x->info.path, STR(API_SERVICE_TOKENS)), id;
	struct auth_caller caller;

	split_id(&of, &id);
	if (about_account(x, of, &caller))
		api_asked(
		    x, auth_client_revoke(x->w->auth, &caller, id, api_answer, x));
}
