/*
 * Revocations and rotations: first on disk, then in every worker, then answered. A worker that does not
 * confirm is ended, which confirms too.
 */
#include <stdlib.h>
#include <string.h>

#include "authn/auth/auth_state.h"
#include "authn/quota/quota.h"
#include "authn/wire/messages.h"
#include "common/log.h"
#include "common/secret.h"

#define REVOKE_ACK_MS  2000
#define STUCK_END_MS   1000 /* for the monitor to end a worker */
#define FORGET_AT_ONCE 2000 /* tokens in one message */

/* A revocation that waits until every worker has confirmed it. */
struct revocation {
	struct revocation *next;
	struct auth_role *role;
	uint32_t id;
	uint64_t asker; /* serial of the link that gets the answer; 0: nobody */
	uint32_t question;
	struct arena *arena;
	struct auth_answer answer;
	uint64_t
	    waiting[QUOTA_MAX_WORKERS]; /* serials of links that have not confirmed */
	size_t waiting_count;
	bool reported; /* to the monitor */
	uv_timer_t timer;
};

static void
free_revocation(uv_handle_t *handle)
{
	struct revocation *r = CONTAINER_OF(handle, struct revocation, timer);

	arena_free(r->arena);
	free(r);
}

static void
revocation_finish(struct revocation *r)
{
	struct revocation **at = &r->role->revocations;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	auth_send_answer(r->role, r->asker, r->question, &r->answer);
	if (r->answer.body.len != 0) /* lies in the arena, and may bear a token */
		secret_wipe((void *)(uintptr_t)r->answer.body.ptr, r->answer.body.len);
	uv_close((uv_handle_t *)&r->timer, free_revocation);
}

/* The monitor ends those that have not confirmed, and their end confirms. */
static void
report_stuck(const struct revocation *r)
{
	uint32_t workers[QUOTA_MAX_WORKERS];
	size_t count = 0;

	log_error("revocation-not-confirmed", "workers=%zu", r->waiting_count);
	for (const struct worker_link *l = r->role->links; l != NULL; l = l->next) {
		for (size_t i = 0; i < r->waiting_count; i++) {
			if (r->waiting[i] == l->serial)
				workers[count++] = l->worker;
		}
	}
	auth_report_stuck(r->role, workers, count);
}

/* A worker that does not confirm must not serve the token any longer. */
static void
on_revoke_timeout(uv_timer_t *timer)
{
	struct revocation *r = CONTAINER_OF(timer, struct revocation, timer);

	if (!r->reported) {
		r->reported = true;
		report_stuck(r);
		if (uv_timer_start(timer, on_revoke_timeout, STUCK_END_MS, 0) != 0)
			base_die("cannot start a timer");
		return;
	}
	/* A fresh token that took the old one's place is there, and told to its owner. */
	if (r->answer.status == 201) {
		revocation_finish(r);
		return;
	}
	r->answer.status = 503;
	r->answer.reason = "ServiceUnavailable";
	r->answer.retry_after_s = 1;
	r->answer.message =
	    STR("the token is revoked, but not every worker has confirmed it yet");
	revocation_finish(r);
}

/* Tells every worker the list, and waits for them with the answer. Takes the arena. */
static void
revocation_start(struct auth_role *role, uint64_t asker, uint32_t question,
    struct arena *arena, const struct auth_answer *answer, const struct buf *list)
{
	struct revocation *r = xcalloc(1, sizeof(*r));

	r->role = role;
	r->id = ++role->next_revocation;
	r->asker = asker;
	r->question = question;
	r->arena = arena;
	r->answer = *answer;
	r->next = role->revocations;
	role->revocations = r;
	if (uv_timer_init(&role->loop, &r->timer) != 0 ||
	    uv_timer_start(&r->timer, on_revoke_timeout, REVOKE_ACK_MS, 0) != 0)
		base_die("cannot start a timer");
	for (struct worker_link *l = role->links; l != NULL; l = l->next) {
		struct buf body = {NULL, 0, 0};

		buf_add_str(&body, buf_str(list));
		(void)auth_send_body(l, MSG_TOKEN_REVOKED, r->id, &body); /* it logs */
		if (r->waiting_count < ARRAY_LEN(r->waiting))
			r->waiting[r->waiting_count++] = l->serial;
	}
	if (r->waiting_count == 0)
		revocation_finish(r);
}

/* Body: u32 count, then as many ids. */
static void
put_ids(struct buf *out, struct str ids)
{
	proc_put_u32(out, (uint32_t)(ids.len / TOKEN_ID_LEN));
	for (size_t at = 0; at < ids.len; at += TOKEN_ID_LEN)
		proc_put_str(out, str_slice(ids, at, at + TOKEN_ID_LEN));
}

void
auth_forget_account(struct auth_role *role, struct str user)
{
	const struct auth_answer none = {.status = 204};
	struct buf name = {NULL, 0, 0}, list = {NULL, 0, 0};

	buf_add_char(&name, AUTH_ACCOUNT_MARK);
	buf_add_str(&name, user);
	proc_put_u32(&list, 1);
	proc_put_str(&list, buf_str(&name));
	revocation_start(role, 0, 0, arena_new_sized(1024), &none, &list);
	buf_free(&name);
	buf_free(&list);
}

void
auth_forget(void *arg, struct str ids)
{
	const struct auth_answer none = {.status = 204};
	struct auth_role *role = arg;

	for (size_t at = 0; at < ids.len; at += FORGET_AT_ONCE * TOKEN_ID_LEN) {
		struct buf list = {NULL, 0, 0};

		put_ids(&list, str_slice(ids, at, at + FORGET_AT_ONCE * TOKEN_ID_LEN));
		revocation_start(role, 0, 0, arena_new_sized(1024), &none, &list);
		buf_free(&list);
	}
}

void
auth_answer_forgotten(struct auth_role *role, uint64_t asker, uint32_t question,
    struct arena *arena, const struct auth_answer *answer, struct str ids)
{
	struct buf list = {NULL, 0, 0};

	put_ids(&list, ids);
	revocation_start(role, asker, question, arena, answer, &list);
	buf_free(&list);
}

void
auth_revoke_confirm(struct auth_role *role, uint32_t id, uint64_t serial)
{
	struct revocation *next;

	for (struct revocation *r = role->revocations; r != NULL; r = next) {
		next = r->next;
		if (id != 0 && r->id != id)
			continue;
		for (size_t i = 0; i < r->waiting_count; i++) {
			if (r->waiting[i] == serial)
				r->waiting[i--] = r->waiting[--r->waiting_count];
		}
		if (r->waiting_count == 0)
			revocation_finish(r);
	}
}

/* Whose the token is that may be revoked: the caller's own, or one of a service account whose owner
 * he is. False: *answer says why not. */
static bool
revocation_target(struct auth_role *role, struct arena *arena,
    const struct auth_question *q, struct token_record *caller, struct str *out_owner,
    struct auth_answer *answer)
{
	struct token_record target;
	struct err err = ERR_INIT;

	if (q->service.len == 0) {
		if (!auth_caller_record(role, arena, q->token_id, caller, answer))
			return false;
		*out_owner = caller->owner;
		/* The bearer of a service account's is not who made it. */
		if (caller->service.len == 0 || str_is(q->argument, caller->id))
			return true;
	} else if (!auth_service_caller(role, arena, q, caller, answer)) {
		return false;
	} else if (q->argument.len == TOKEN_ID_LEN &&
		   token_store_get(
		       role->store, arena, q->argument.ptr, &target, &err) == 0 &&
		   !target.service_gone && str_eq(target.service_path, q->service)) {
		*out_owner = target.owner;
		return true;
	}
	token_api_refuse(answer, arena, 404, "NotFound",
	    q->service.len == 0 ? "you have no such token" : "it has no such token");
	return false;
}

bool
auth_revoke(struct worker_link *link, const struct proc_msg *msg)
{
	struct auth_role *role = link->role;
	struct arena *arena = arena_new();
	struct token_record caller = {.owner = STR("")};
	struct auth_answer answer;
	struct auth_question q;
	struct str owner;
	struct err err = ERR_INIT;
	int rc = ERR_NOT_FOUND;

	if (!auth_get_question(msg, arena, &q)) {
		arena_free(arena);
		return false;
	}
	if (!revocation_target(role, arena, &q, &caller, &owner, &answer)) {
		if (answer.status != 401)
			answer.user = caller.owner;
		goto answer_now;
	}
	if (q.argument.len == TOKEN_ID_LEN)
		rc = token_store_revoke(role->store, owner, q.argument.ptr,
		    walltime_now(), caller.owner, &err);
	if (rc == 0) {
		role->counters.revocations++;
		answer = (struct auth_answer){.status = 204, .user = caller.owner};
		auth_answer_written(role, link->serial, msg->id, arena, &answer,
		    str_dup(arena, q.argument));
		return true;
	}
	if (rc == ERR_NOT_FOUND)
		token_api_refuse(
		    &answer, arena, 404, "NotFound", "you have no such token");
	else
		token_api_refuse(&answer, arena, 503, "ServiceUnavailable",
		    "the token store does not answer");
	answer.user = caller.owner;
answer_now:
	auth_send_answer(role, link->serial, msg->id, &answer);
	arena_free(arena);
	return true;
}

/* The token to replace: by itself, or by an unscoped one of the same owner. */
static bool
rotation_target(struct auth_role *role, struct arena *arena,
    const struct token_record *caller, struct str id, struct token_record *out_old,
    struct auth_answer *answer)
{
	struct err err = ERR_INIT;

	if (id.len != TOKEN_ID_LEN ||
	    token_store_get(role->store, arena, id.ptr, out_old, &err) != 0 ||
	    !str_eq(out_old->owner, caller->owner) ||
	    !str_eq(out_old->uid, caller->uid) ||
	    auth_record_state(role, out_old, walltime_now()) != AUTH_ALLOWED) {
		token_api_refuse(
		    answer, arena, 404, "NotFound", "you have no such token");
		return false;
	}
	if (memcmp(caller->id, out_old->id, TOKEN_ID_LEN) == 0 ||
	    (str_is(caller->scopes, "[]") && caller->service.len == 0))
		return true;
	token_api_refuse(answer, arena, 403, "Forbidden",
	    caller->service.len != 0
		? "a service account's token rotates nothing but itself"
		: "a scoped token rotates nothing but itself");
	return false;
}

bool
auth_rotate(struct worker_link *link, const struct proc_msg *msg)
{
	struct auth_role *role = link->role;
	struct token_record caller, old;
	struct auth_answer answer;
	struct token_request request;
	const struct token_terms terms = auth_terms(role, false);
	struct arena *arena = arena_new();
	struct auth_question q;
	struct str id, body;

	if (!auth_get_question(msg, arena, &q)) {
		arena_free(arena);
		return false;
	}
	body = q.argument;
	id = str_split(&body, ' ');
	if (!auth_caller_record(role, arena, q.token_id, &caller, &answer))
		goto answer_now;
	if (rotation_target(role, arena, &caller, id, &old, &answer) &&
	    token_api_parse_rotation(arena, body, &request, &answer))
		token_api_rotate(role->store, arena, &old, &request,
		    old.expires.ns > caller.expires.ns ? old.expires : caller.expires,
		    &terms, &answer);
	answer.user = caller.owner;
	if (answer.status == 201) {
		role->counters.rotations++;
		auth_answer_written(
		    role, link->serial, msg->id, arena, &answer, str_dup(arena, id));
		return true;
	}
answer_now:
	auth_send_answer(role, link->serial, msg->id, &answer);
	arena_free(arena);
	return true;
}
