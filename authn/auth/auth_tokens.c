/*
 * Tokens by those who have one: further ones, and a list of them.
 */
#include "authn/auth/auth_state.h"
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

struct token_terms
auth_terms(struct auth_role *role, bool is_login)
{
	const struct auth_role_settings *s = &role->settings;

	return (struct token_terms){
	    .default_ttl_s = is_login ? s->login_ttl_s : s->max_ttl_s,
	    .max_ttl_s = s->max_ttl_s,
	    .per_user = s->tokens_per_user,
	    .is_login = is_login,
	    .refused = &role->counters.tokens_refused,
	    .now = walltime_now(),
	};
}

/* One's own, or one of a service account of which the caller is an owner. */
static void
issue_for(struct auth_role *role, struct arena *arena, const struct auth_question *q,
    const struct token_record *record, struct token_owner *owner,
    struct auth_answer *answer)
{
	const struct token_terms terms = auth_terms(role, false);
	struct token_service service;
	struct token_request request;
	struct str ended;

	if (!token_api_parse(arena, q->argument, &request, answer))
		return;
	if (!token_api_owner_groups(
		arena, record, &owner->groups, &owner->group_count)) {
		token_api_refuse(answer, arena, 401, "Unauthorized", "Unauthorized");
		return;
	}
	if (q->service.len != 0) {
		if (!auth_service_owner(arena, q, owner->user, owner->groups,
			owner->group_count, answer) ||
		    !auth_service_find(role, arena, q, &service, answer))
			return;
		owner->service = &service;
	}
	/* `ended` is of logins only. */
	token_api_issue(role->store, arena, owner, &request, &terms, answer, &ended);
}

/* A token made with a token: a person's, unscoped ones only, and it lives no longer. */
static void
issue_by_token(struct auth_role *role, struct arena *arena,
    const struct auth_question *q, struct auth_answer *answer)
{
	struct token_record record;
	struct token_owner owner;

	if (!auth_caller_record(role, arena, q->token_id, &record, answer))
		return;
	if (record.service.len != 0) {
		token_api_refuse(answer, arena, 403, "Forbidden",
		    "a service account makes no tokens: it may rotate its own");
	} else if (!str_is(record.scopes, "[]")) {
		token_api_refuse(answer, arena, 403, "Forbidden",
		    "a scoped token creates no tokens: log in, or use an unscoped one");
	} else {
		owner = (struct token_owner){.user = record.owner,
		    .uid = record.uid,
		    .not_after = record.expires};
		issue_for(role, arena, q, &record, &owner, answer);
	}
	answer->user = record.owner;
}

bool
auth_issue(struct worker_link *link, const struct proc_msg *msg)
{
	struct auth_role *role = link->role;
	struct arena *arena = arena_new();
	struct auth_answer answer;
	struct auth_question q;

	if (!auth_get_question(msg, arena, &q)) {
		arena_free(arena);
		return false;
	}
	if (q.token_id.len == 0) {
		auth_login_start(role, link, msg->id, &q);
		arena_free(arena);
		return true;
	}
	issue_by_token(role, arena, &q, &answer);
	auth_answer_written(
	    role, link->serial, msg->id, arena, &answer, (struct str){NULL, 0});
	return true;
}

bool
auth_list(struct worker_link *link, const struct proc_msg *msg)
{
	struct auth_role *role = link->role;
	struct arena *arena = arena_new();
	struct auth_answer answer;
	struct token_record record;
	struct token_service service;
	struct auth_question q;
	const bool ok = auth_get_question(msg, arena, &q);

	if (ok && q.service.len != 0) {
		if (auth_service_caller(role, arena, &q, &record, &answer) &&
		    auth_service_find(role, arena, &q, &service, &answer)) {
			token_api_list_service(role->store, arena, q.service, &answer);
			answer.user = record.owner;
		}
	} else if (ok &&
		   auth_caller_record(role, arena, q.token_id, &record, &answer)) {
		/* A service account's bearer sees its account's, not those of who made it. */
		if (record.service.len != 0)
			token_api_list_service(
			    role->store, arena, record.service_path, &answer);
		else
			token_api_list(role->store, arena, record.owner, &answer);
		answer.user = record.owner;
	}
	if (ok)
		auth_send_answer(role, link->serial, msg->id, &answer);
	arena_free(arena);
	return ok;
}
