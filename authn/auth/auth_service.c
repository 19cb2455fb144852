/*
 * Service accounts, for owners of their nodes: declared, listed, taken back. Who owns a node the
 * worker says, which has the policy; who the caller is, and in which groups, is known here.
 */
#include <jansson.h>
#include <string.h>

#include "authn/auth/auth_state.h"
#include "authn/auth/service_account.h"
#include "common/limits.h"
#include "common/secret.h"

#define LIST_BYTES       (LIMIT_MESSAGE_BYTES - 4096)
#define SERVICES_AT_NODE 1000 /* right at one node */

bool
auth_service_owner(struct arena *arena, const struct auth_question *q, struct str user,
    const struct str *groups, size_t group_count, struct auth_answer *out_answer)
{
	for (size_t i = 0; i < q->owner_count; i++) {
		for (size_t n = 0; n < group_count; n++) {
			if (str_eq(q->owners[i], groups[n]))
				return true;
		}
	}
	token_api_refuse(out_answer, arena, 403, "Forbidden",
	    "service accounts at %.*s are for owners of that namespace of the tree, or "
	    "of "
	    "one above%s",
	    STR_ARG(q->service), q->owner_count == 0 ? ": it has none" : "");
	out_answer->user = user;
	return false;
}

bool
auth_service_caller(struct auth_role *role, struct arena *arena,
    const struct auth_question *q, struct token_record *out_record,
    struct auth_answer *out_answer)
{
	const struct str *groups;
	size_t count;

	if (!auth_caller_record(role, arena, q->token_id, out_record, out_answer))
		return false;
	if (out_record->service.len != 0 || !str_is(out_record->scopes, "[]") ||
	    !token_api_owner_groups(arena, out_record, &groups, &count)) {
		token_api_refuse(out_answer, arena, 403, "Forbidden",
		    "service accounts are managed by persons, with a token that has no "
		    "scopes: log in");
		out_answer->user = out_record->owner;
		return false;
	}
	return auth_service_owner(
	    arena, q, out_record->owner, groups, count, out_answer);
}

/* 404, or 503. */
static void
refuse_rc(struct arena *arena, const struct auth_question *q, int rc,
    struct auth_answer *out_answer)
{
	if (rc == ERR_NOT_FOUND) {
		token_api_refuse(out_answer, arena, 404, "NotFound",
		    "there is no service account %.*s", STR_ARG(q->service));
		return;
	}
	token_api_unavailable(out_answer, arena);
}

bool
auth_service_find(struct auth_role *role, struct arena *arena,
    const struct auth_question *q, struct token_service *out_service,
    struct auth_answer *out_answer)
{
	struct err err = ERR_INIT;
	const int rc =
	    token_store_service(role->store, arena, q->service, out_service, &err);

	if (rc != 0)
		refuse_rc(arena, q, rc, out_answer);
	return rc == 0;
}

/* ---- answers ---- */

static json_t *
service_json(const struct token_service *v)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:I}", "path", token_api_text(v->path),
	    "user", json_sprintf(SERVICE_ACCOUNT_PREFIX "%.*s", STR_ARG(v->path)),
	    "declared", token_api_time(v->declared), "declaredBy",
	    token_api_text(v->declared_by), "tokens", (json_int_t)v->tokens);
}

static void
add_service(struct auth_role *role, struct arena *arena, struct str path,
    struct str user, struct auth_answer *out)
{
	struct token_service v = {
	    .path = path, .declared = walltime_now(), .declared_by = user};
	struct token_parts parts;
	struct err err = ERR_INIT;
	uint8_t random[64];
	char token[TOKEN_LEN + 1];
	json_t *body;

	secret_random(random, sizeof(random));
	token_make(random, token, &parts); /* for its id */
	v.id = str_from(parts.id);
	secret_wipe(random, sizeof(random));
	secret_wipe(token, sizeof(token));
	if (token_store_service_add(role->store, &v, &err) != 0) {
		token_api_unavailable(out, arena);
		return;
	}
	role->counters.services_declared++;
	body = service_json(&v);
	*out = (struct auth_answer){
	    .status = 201, .body = token_api_dump(arena, body), .user = user};
	json_decref(body);
}

/* "/acme/shop/" for "/acme/shop", "/" for "/". */
static struct str
below(struct arena *arena, struct str node)
{
	return str_is(node, "/") ? node : STR_CONCAT(arena, node, STR("/"));
}

/* False: no more may be declared at the node; or it cannot be told. */
static bool
has_room(struct auth_role *role, struct arena *arena, struct str path,
    struct auth_answer *answer)
{
	const struct str node = service_path_node(path);
	struct token_service *all;
	struct err err = ERR_INIT;
	size_t count, here = 0;

	if (token_store_services(role->store, arena, below(arena, node), walltime_now(),
		&all, &count, &err) != 0) {
		token_api_unavailable(answer, arena);
		return false;
	}
	for (size_t i = 0; i < count; i++)
		here += str_eq(service_path_node(all[i].path), node);
	if (here < SERVICES_AT_NODE)
		return true;
	token_api_refuse(answer, arena, 403, "Forbidden",
	    "%.*s has %d service accounts, and more are not allowed: remove some",
	    STR_ARG(node), SERVICES_AT_NODE);
	return false;
}

bool
auth_service_declare(struct worker_link *link, const struct proc_msg *msg)
{
	struct auth_role *role = link->role;
	struct arena *arena = arena_new();
	struct token_record record;
	struct token_service known;
	struct auth_answer answer;
	struct auth_question q;
	struct err err = ERR_INIT;

	if (!auth_get_question(msg, arena, &q) || !service_path_ok(q.service)) {
		arena_free(arena);
		return false;
	}
	if (auth_service_caller(role, arena, &q, &record, &answer)) {
		const int rc =
		    token_store_service(role->store, arena, q.service, &known, &err);

		if (rc == 0)
			token_api_refuse(&answer, arena, 409, "AlreadyExists",
			    "there is a service account %.*s already",
			    STR_ARG(q.service));
		else if (rc != ERR_NOT_FOUND)
			refuse_rc(arena, &q, rc, &answer);
		else if (has_room(role, arena, q.service, &answer))
			add_service(role, arena, q.service, record.owner, &answer);
		answer.user = record.owner;
	}
	auth_answer_written(
	    role, link->serial, msg->id, arena, &answer, (struct str){NULL, 0});
	return true;
}

static void
list_services(struct auth_role *role, struct arena *arena, struct str node,
    struct auth_answer *out)
{
	struct token_service *all;
	struct err err = ERR_INIT;
	size_t count, bytes = 0, i;
	json_t *list, *root;

	if (token_store_services(role->store, arena, below(arena, node), walltime_now(),
		&all, &count, &err) != 0) {
		token_api_unavailable(out, arena);
		return;
	}
	list = json_array();
	for (i = 0; i < count && bytes < LIST_BYTES; i++) {
		json_t *entry = service_json(&all[i]);

		bytes += json_dumpb(entry, NULL, 0, JSON_COMPACT) + 1;
		if (bytes < LIST_BYTES)
			(void)json_array_append(list, entry); /* fatal when dumped */
		json_decref(entry);
	}
	root = json_pack("{s:o}", "serviceAccounts", list);
	if (json_array_size(list) < count)
		(void)json_object_set_new(root, "omitted",
		    json_integer((json_int_t)(count - json_array_size(list))));
	*out = (struct auth_answer){.status = 200};
	out->body = token_api_dump(arena, root);
	json_decref(root);
}

bool
auth_service_list(struct worker_link *link, const struct proc_msg *msg)
{
	struct auth_role *role = link->role;
	struct arena *arena = arena_new();
	struct token_record record;
	struct auth_answer answer;
	struct auth_question q;
	const bool ok = auth_get_question(msg, arena, &q) && q.service.len != 0;

	if (ok && auth_service_caller(role, arena, &q, &record, &answer)) {
		list_services(role, arena, q.service, &answer);
		answer.user = record.owner;
	}
	if (ok)
		auth_send_answer(role, link->serial, msg->id, &answer);
	arena_free(arena);
	return ok;
}

bool
auth_service_remove(struct worker_link *link, const struct proc_msg *msg)
{
	struct auth_role *role = link->role;
	struct arena *arena = arena_new();
	struct token_record record;
	struct auth_answer answer = {.status = 204};
	struct auth_question q;
	struct str ids = STR("");
	struct err err = ERR_INIT;

	if (!auth_get_question(msg, arena, &q) || !service_path_ok(q.service)) {
		arena_free(arena);
		return false;
	}
	if (auth_service_caller(role, arena, &q, &record, &answer)) {
		const int rc = token_store_service_remove(role->store, arena, q.service,
		    walltime_now(), record.owner, &ids, &err);

		if (rc != 0) {
			refuse_rc(arena, &q, rc, &answer);
		} else {
			role->counters.services_removed++;
			role->counters.revocations += ids.len / TOKEN_ID_LEN;
			answer = (struct auth_answer){.status = 204};
		}
		answer.user = record.owner;
	}
	auth_answer_written(role, link->serial, msg->id, arena, &answer, ids);
	return true;
}
