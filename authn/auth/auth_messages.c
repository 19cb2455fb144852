#include "authn/auth/auth_messages.h"

#include <string.h>

#include "authn/auth/service_account.h"

/* Reasons that the auth role gives (Kubernetes StatusReason). */
static const char *const reasons[] = {"", "BadRequest", "Unauthorized", "Forbidden",
    "NotFound", "TooManyRequests", "ServiceUnavailable", "InternalError", "Conflict",
    "RequestEntityTooLarge", "AlreadyExists"};

static void
put_list(struct buf *out, const struct str *items, size_t count)
{
	proc_put_u32(out, (uint32_t)count);
	for (size_t i = 0; i < count; i++)
		proc_put_str(out, items[i]);
}

static bool
get_list(struct proc_reader *r, struct arena *a, size_t max,
    const struct str **out_items, size_t *out_count)
{
	uint32_t count = proc_get_u32(r);
	struct str *items;

	if (!r->ok || count > max)
		return false;
	items = ARENA_ARRAY(a, count, struct str);
	for (uint32_t i = 0; i < count; i++)
		items[i] = str_dup(a, proc_get_str(r));
	*out_items = items;
	*out_count = count;
	return r->ok;
}

void
auth_put_check(struct buf *out, const struct token_parts *parts)
{
	buf_add(out, parts->id, TOKEN_ID_LEN);
	buf_add(out, parts->secret_hash, sizeof(parts->secret_hash));
}

bool
auth_get_check(const struct proc_msg *msg, struct token_parts *out)
{
	if (msg->len != TOKEN_ID_LEN + sizeof(out->secret_hash))
		return false;
	memcpy(out->id, msg->data, TOKEN_ID_LEN);
	out->id[TOKEN_ID_LEN] = '\0';
	memcpy(out->secret_hash, msg->data + TOKEN_ID_LEN, sizeof(out->secret_hash));
	return true;
}

void
auth_put_account(struct buf *out, struct str user)
{
	proc_put_str(out, user);
}

bool
auth_get_account(const struct proc_msg *msg, struct str *out_user)
{
	struct proc_reader r;

	proc_reader_init(&r, msg);
	*out_user = proc_get_str(&r);
	return proc_reader_done(&r) && identity_user_ok(*out_user);
}

void
auth_put_held(struct buf *out, const char *token_id, walltime_t learnt)
{
	buf_add(out, token_id, TOKEN_ID_LEN);
	buf_add(
	    out, &learnt.ns, sizeof(learnt.ns)); /* between processes of one machine */
}

bool
auth_get_held(
    const struct proc_msg *msg, size_t at, struct str *out_id, walltime_t *out_learnt)
{
	const char *record = (const char *)msg->data + at * AUTH_HELD_BYTES;

	if (at >= msg->len / AUTH_HELD_BYTES)
		return false;
	*out_id = (struct str){record, TOKEN_ID_LEN};
	memcpy(&out_learnt->ns, record + TOKEN_ID_LEN, sizeof(out_learnt->ns));
	return true;
}

void
auth_put_result(struct buf *out, enum auth_result result, const struct identity *id)
{
	proc_put_u8(out, (uint8_t)result);
	if (result != AUTH_ALLOWED)
		return;
	proc_put_str(out, id->user);
	proc_put_str(out, id->uid);
	proc_put_str(out, id->token_id);
	proc_put_u64(out, (uint64_t)id->expires.ns);
	put_list(out, id->groups, id->group_count);
	proc_put_str(out, id->maker);
	put_list(out, id->maker_groups, id->maker_group_count);
	proc_put_u32(out, (uint32_t)id->scope_count);
	for (size_t i = 0; i < id->scope_count; i++) {
		const struct token_scope *s = &id->scopes[i];

		put_list(out, s->namespaces, s->namespace_count);
		put_list(out, s->verbs, s->verb_count);
		put_list(out, s->resources, s->resource_count);
	}
}

/* A person, or a service account and the person who made its token. */
static bool
who_ok(const struct identity *id)
{
	return id->maker.len == 0 ? identity_user_ok(id->user)
				  : identity_user_ok(id->maker) &&
					service_account_path(id->user).len != 0;
}

static bool
get_scopes(struct proc_reader *r, struct identity *id)
{
	uint32_t count = proc_get_u32(r);
	struct token_scope *scopes;

	if (!r->ok || count > IDENTITY_MAX_SCOPES)
		return false;
	scopes = ARENA_ARRAY(id->arena, count, struct token_scope);
	for (uint32_t i = 0; i < count; i++) {
		struct token_scope *s = &scopes[i];

		if (!get_list(r, id->arena, SCOPE_MAX_ITEMS, &s->namespaces,
			&s->namespace_count) ||
		    !get_list(
			r, id->arena, SCOPE_MAX_ITEMS, &s->verbs, &s->verb_count) ||
		    !get_list(r, id->arena, SCOPE_MAX_ITEMS, &s->resources,
			&s->resource_count))
			return false;
	}
	id->scopes = scopes;
	id->scope_count = count;
	return true;
}

bool
auth_get_result(
    const struct proc_msg *msg, enum auth_result *out_result, struct identity **out_id)
{
	struct proc_reader r;
	struct arena *arena;
	struct identity *id;
	uint8_t result;

	*out_id = NULL;
	proc_reader_init(&r, msg);
	result = proc_get_u8(&r);
	if (!r.ok || result > AUTH_UNAVAILABLE)
		return false;
	*out_result = (enum auth_result)result;
	if (*out_result != AUTH_ALLOWED)
		return proc_reader_done(&r);
	arena = arena_new();
	id = ARENA_NEW(arena, struct identity);
	id->arena = arena;
	id->refs = 1;
	id->user = str_dup(arena, proc_get_str(&r));
	id->uid = str_dup(arena, proc_get_str(&r));
	id->token_id = str_dup(arena, proc_get_str(&r));
	id->expires.ns = (int64_t)proc_get_u64(&r);
	if (!get_list(&r, arena, IDENTITY_MAX_GROUPS, &id->groups, &id->group_count)) {
		identity_unref(id);
		return false;
	}
	id->maker = str_dup(arena, proc_get_str(&r));
	if (!get_list(&r, arena, IDENTITY_MAX_GROUPS, &id->maker_groups,
		&id->maker_group_count) ||
	    !get_scopes(&r, id) || !proc_reader_done(&r) || !who_ok(id)) {
		identity_unref(id);
		return false;
	}
	*out_id = id;
	return true;
}

void
auth_put_question(struct buf *out, const struct auth_question *q)
{
	proc_put_u8(out, q->login);
	proc_put_str(out, q->token_id);
	proc_put_u8(out, q->token_scoped);
	proc_put_str(out, q->user);
	proc_put_str(out, q->password);
	proc_put_str(out, q->source);
	proc_put_str(out, q->argument);
	proc_put_str(out, q->service);
	put_list(out, q->owners, q->owner_count);
}

bool
auth_get_question(
    const struct proc_msg *msg, struct arena *arena, struct auth_question *q)
{
	struct proc_reader r;

	proc_reader_init(&r, msg);
	q->login = proc_get_u8(&r) == 1;
	q->token_id = proc_get_str(&r);
	q->token_scoped = proc_get_u8(&r) != 0;
	q->user = proc_get_str(&r);
	q->password = proc_get_str(&r);
	q->source = proc_get_str(&r);
	q->argument = proc_get_str(&r);
	q->service = proc_get_str(&r);
	return get_list(&r, arena, IDENTITY_MAX_GROUPS, &q->owners, &q->owner_count) &&
	       proc_reader_done(&r) &&
	       (q->service.len == 0 || str_is(q->service, "/") ||
		   service_path_ok(q->service));
}

void
auth_put_answer(struct buf *out, const struct auth_answer *a)
{
	proc_put_u32(out, (uint32_t)a->status);
	proc_put_str(out, a->body);
	proc_put_u32(out, a->retry_after_s);
	proc_put_str(out, str_from(a->reason));
	proc_put_str(out, a->message);
	proc_put_str(out, a->user);
}

bool
auth_get_answer(const struct proc_msg *msg, struct auth_answer *a)
{
	struct proc_reader r;
	struct str reason;

	proc_reader_init(&r, msg);
	a->status = (int)proc_get_u32(&r);
	a->body = proc_get_str(&r);
	a->retry_after_s = proc_get_u32(&r);
	reason = proc_get_str(&r);
	a->message = proc_get_str(&r);
	a->user = proc_get_str(&r);
	a->reason = NULL;
	if (!proc_reader_done(&r) || a->status < 200 || a->status > 599)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		if (str_is(reason, reasons[i])) {
			a->reason = i == 0 ? NULL : reasons[i];
			return true;
		}
	}
	return false;
}
