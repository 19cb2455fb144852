/*
 * Tokens by those who have one: further ones, and a list of them.
 */
#include "authn/auth_state.h"
#include "common/log.h"

bool
auth_caller_record(struct auth_role *role, struct arena *arena, struct str id,
    struct token_record *out_record, struct auth_answer *out_answer)
{
	struct err err = ERR_INIT;
	enum auth_result result = AUTH_DENIED;

	if (id.len == TOKEN_ID_LEN &&
	    token_store_get(role->store, arena, id.ptr, out_record, &err) == 0)
		result = auth_record_state(role, out_record, walltime_now());
	if (result == AUTH_ALLOWED)
		return true;
	if (result == AUTH_DENIED) {
		token_api_refuse(
		    out_answer, arena, 401, "Unauthorized", "Unauthorized");
	} else {
		token_api_refuse(out_answer, arena, 503, "ServiceUnavailable",
		    "the directory has not answered for too long");
		out_answer->retry_after_s = 5;
	}
	return false;
}

/* A token made with a token: unscoped ones only, and it lives no longer. */
static void
issue_by_token(struct auth_role *role, struct arena *arena,
    const struct auth_question *q, struct auth_answer *answer)
{
	struct token_record record;
	struct token_request request;
	struct token_owner owner;
	struct identity *id;

	if (!auth_caller_record(role, arena, q->token_id, &record, answer))
		return;
	if (!str_is(record.scopes, "[]")) {
		token_api_refuse(answer, arena, 403, "Forbidden",
		    "a scoped token creates no tokens: log in, or use an unscoped one");
		answer->user = record.owner;
		return;
	}
	id = token_api_identity(&record);
	if (id == NULL || !token_api_parse(arena, q->argument, &request, answer)) {
		if (id == NULL)
			token_api_refuse(
			    answer, arena, 401, "Unauthorized", "Unauthorized");
	} else {
		owner = (struct token_owner){.user = record.owner,
		    .uid = record.uid,
		    .not_after = record.expires};
		owner.groups = token_api_stored_groups(arena, id, &owner.group_count);
		token_api_issue(role->store, arena, &owner, &request,
		    role->settings.max_ttl_s, role->settings.max_ttl_s, walltime_now(),
		    answer);
	}
	answer->user = str_dup(arena, record.owner);
	identity_unref(id);
}

bool
auth_issue(struct worker_link *link, const struct proc_msg *msg)
{
	struct auth_role *role = link->role;
	struct auth_answer answer;
	struct auth_question q;
	struct arena *arena;

	if (!auth_get_question(msg, &q))
		return false;
	if (q.token_id.len == 0) {
		auth_login_start(role, link, msg->id, &q);
		return true;
	}
	arena = arena_new();
	issue_by_token(role, arena, &q, &answer);
	auth_answer_written(
	    role, link->serial, msg->id, arena, &answer, (struct str){NULL, 0});
	return true;
}

bool
auth_list(struct worker_link *link, const struct proc_msg *msg)
{
	struct auth_role *role = link->role;
	struct auth_answer answer;
	struct token_record record;
	struct auth_question q;
	struct arena *arena;

	if (!auth_get_question(msg, &q))
		return false;
	arena = arena_new();
	if (auth_caller_record(role, arena, q.token_id, &record, &answer))
		token_api_list(role->store, arena, record.owner, &answer);
	auth_send_answer(role, link->serial, msg->id, &answer);
	arena_free(arena);
	return true;
}
