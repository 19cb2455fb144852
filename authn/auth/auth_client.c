/*
 * Questions that wait for an answer, by ticket. A wrong secret for a known id is denied here,
 * anything unknown is asked.
 */
#include "authn/auth/auth_client_internal.h"

#include <stdlib.h>
#include <string.h>

#include "authn/access/list_token.h"
#include "authn/auth/auth_messages.h"
#include "authn/wire/messages.h"
#include "authn/wire/peer_poll.h"
#include "common/log.h"

#define WAITING_MAX   16384u
#define USED_EVERY_MS 60000        /* how exact `lastUsed` is */
#define PORTION_BYTES (32u * 1024) /* of one MSG_TOKENS_HELD or MSG_TOKENS_USED */

struct waiting {
	uint32_t id;
	struct token_parts parts; /* token questions */
	bool is_account;          /* about `user`, and no token */
	char user[IDENTITY_USER_BYTES + 1];
	auth_token_fn token_done; /* one of the two, or none after a cancel */
	auth_answer_fn answer_done;
	bool is_token;
	void *arg;
	struct waiting *next, *previous;
};

static void ask_accounts(struct auth_client *c, bool all);

static struct waiting *
waiting_add(struct auth_client *c, void *arg)
{
	struct waiting *w = xcalloc(1, sizeof(*w));

	c->next_id = c->next_id == UINT32_MAX ? 1 : c->next_id + 1;
	w->id = c->next_id;
	w->arg = arg;
	w->next = c->waiting;
	if (w->next != NULL)
		w->next->previous = w;
	c->waiting = w;
	c->waiting_count++;
	return w;
}

static void
waiting_remove(struct auth_client *c, struct waiting *w)
{
	if (w->previous != NULL)
		w->previous->next = w->next;
	else
		c->waiting = w->next;
	if (w->next != NULL)
		w->next->previous = w->previous;
	c->waiting_count--;
}

static struct waiting *
waiting_find(const struct auth_client *c, uint32_t id)
{
	struct waiting *w = c->waiting;

	while (w != NULL && w->id != id)
		w = w->next;
	return w;
}

static void
answer_unavailable(const struct waiting *w)
{
	const struct auth_answer answer = {.status = 503,
	    .retry_after_s = 1,
	    .reason = "ServiceUnavailable",
	    .message = STR("authentication is not available at the moment")};

	if (w->token_done != NULL)
		w->token_done(w->arg, AUTH_UNAVAILABLE, NULL);
	if (w->answer_done != NULL)
		w->answer_done(w->arg, &answer);
}

static void
disconnect(struct auth_client *c)
{
	struct waiting *w;

	peer_poll_close(&c->poll, &c->channel);
	while ((w = c->waiting) != NULL) {
		waiting_remove(c, w);
		answer_unavailable(w);
		free(w);
	}
}

/* Sends what was gathered, if that is enough or the last of it, and goes on with none. */
static int
send_portion(
    struct auth_client *c, uint32_t type, struct buf *body, bool last, struct err *err)
{
	const struct proc_msg msg = {
	    .type = type, .data = (const uint8_t *)body->data, .len = body->len};
	int rc;

	if (body->len == 0 || (body->len < PORTION_BYTES && !last))
		return 0;
	rc = proc_send(&c->channel, &msg, err);
	buf_clear(body);
	return rc;
}

/*
 * A new auth role does not know what this worker has not heard of: it is told what is held here,
 * and since when, and answers with what must be forgotten.
 */
static void
tell_held(struct auth_client *c)
{
	struct buf body = {NULL, 0, 0};
	struct err err = ERR_INIT;
	int rc = 0;

	for (size_t i = 0; i < c->known.len && rc == 0; i++) {
		const struct known *k = c->known.entries[i].value;

		auth_put_held(&body, k->parts.id, k->learnt);
		rc = send_portion(
		    c, MSG_TOKENS_HELD, &body, i + 1 == c->known.len, &err);
	}
	buf_free(&body);
	/* Nothing that may have ended goes on: it is all asked for again. */
	while (rc != 0 && c->known.len != 0)
		auth_client_known_revoke(c, c->known.entries[c->known.len - 1].key);
}

static void
finish_token(struct auth_client *c, struct waiting *w, enum auth_result result,
    struct identity *id)
{
	if (result == AUTH_ALLOWED && w->is_account)
		id = auth_client_account_learn(c, id);
	if (w->token_done != NULL)
		w->token_done(w->arg, result, id);
}

static bool
on_result(struct auth_client *c, const struct proc_msg *msg)
{
	struct waiting *w = waiting_find(c, msg->id);
	enum auth_result result;
	struct identity *id;

	if (w == NULL || !w->is_token || !auth_get_result(msg, &result, &id) ||
	    (w->is_account && id != NULL && !str_is(id->user, w->user)))
		return false;
	waiting_remove(c, w);
	if (result == AUTH_ALLOWED && !w->is_account)
		auth_client_known_add(c, &w->parts, id);
	else if (result != AUTH_ALLOWED && w->is_account)
		auth_client_account_revoke(
		    c, str_from(w->user)); /* it was asked about again */
	if (w->token_done != NULL || w->is_account)
		finish_token(c, w, result, id);
	identity_unref(id);
	free(w);
	return true;
}

static bool
on_answer(struct auth_client *c, const struct proc_msg *msg)
{
	struct waiting *w = waiting_find(c, msg->id);
	struct auth_answer answer;

	if (w == NULL || w->is_token || !auth_get_answer(msg, &answer))
		return false;
	waiting_remove(c, w);
	if (w->answer_done != NULL)
		w->answer_done(w->arg, &answer);
	free(w);
	return true;
}

/* Body: u32 count, then as many ids. Confirmed once none of them works any more. */
static bool
on_revoked(struct auth_client *c, const struct proc_msg *msg)
{
	struct proc_msg ack = {.type = MSG_TOKEN_REVOKED_ACK, .id = msg->id};
	struct err err = ERR_INIT;
	struct proc_reader r;
	uint32_t count;

	proc_reader_init(&r, msg);
	count = proc_get_u32(&r);
	for (uint32_t i = 0; i < count && r.ok; i++)
		auth_client_forget(c, proc_get_str(&r));
	return proc_reader_done(&r) && proc_send(&c->channel, &ack, &err) == 0;
}

static bool
on_list_keys(struct auth_client *c, const struct proc_msg *msg)
{
	if (msg->len != LIST_RING_BYTES || c->callbacks.list_keys == NULL)
		return false;
	c->callbacks.list_keys(c->callbacks.arg, msg->data);
	secret_wipe((void *)(uintptr_t)msg->data, msg->len);
	return true;
}

static bool
on_message(struct auth_client *c, const struct proc_msg *msg)
{
	switch (msg->type) {
	case MSG_TOKEN_RESULT:
		return on_result(c, msg);
	case MSG_ANSWER:
		return on_answer(c, msg);
	case MSG_TOKEN_REVOKED:
		return on_revoked(c, msg);
	case MSG_LIST_KEYS:
		return on_list_keys(c, msg);
	default:
		return false;
	}
}

static void
on_poll(uv_poll_t *poll, int status, int events)
{
	struct auth_client *c = poll->data;
	struct err err = ERR_INIT;
	struct proc_msg msg;
	int rc = status < 0 ? ERR_UNAVAILABLE : 1;

	(void)events; /* only readability is watched */
	while (rc == 1) {
		rc = proc_recv(&c->channel, &msg, &err);
		if (rc == 1 && !on_message(c, &msg))
			rc = ERR_PROTOCOL;
	}
	if (rc < 0) {
		log_warn("auth-role-lost", "waiting=%zu", c->waiting_count);
		disconnect(c);
	}
}

/* Tells the auth role which tokens were used, so that it can keep `lastUsed`, by which idle
 * ones are ended. A role that does not read is told the rest the next time. */
static void
on_used_timer(uv_timer_t *timer)
{
	struct auth_client *c = timer->data;
	struct buf ids = {NULL, 0, 0};
	struct err err = ERR_INIT;
	int rc = 0;

	if (c->channel.fd < 0)
		return;
	for (size_t i = 0; i < c->known.len && rc == 0; i++) {
		struct known *k = c->known.entries[i].value;

		if (k->used)
			buf_add(&ids, k->parts.id, TOKEN_ID_LEN);
		k->used = false;
		rc =
		    send_portion(c, MSG_TOKENS_USED, &ids, i + 1 == c->known.len, &err);
	}
	if (rc != 0)
		log_debug(
		    "tokens-used-lost", "detail=%s", log_quote(str_from(err.msg)));
	buf_free(&ids);
	ask_accounts(c, false);
}

int
auth_client_reconnect(struct auth_client *c, int fd, struct err *err)
{
	int rc;

	disconnect(c);
	rc =
	    peer_poll_open(c->loop, &c->channel, fd, "the auth role", c, &c->poll, err);
	if (rc != 0)
		return rc;
	rc = uv_poll_start(c->poll, UV_READABLE, on_poll);
	if (rc != 0)
		return err_set(
		    err, ERR_SYSTEM, "watch the auth role: %s", uv_strerror(rc));
	tell_held(c);
	ask_accounts(c, true);
	return 0;
}

int
auth_client_new(uv_loop_t *loop, int fd, const struct auth_callbacks *cb,
    struct auth_client **out_client, struct err *err)
{
	struct auth_client *c = xcalloc(1, sizeof(*c));

	c->loop = loop;
	c->callbacks = *cb;
	c->channel.fd = -1;
	c->used_timer = xcalloc(1, sizeof(*c->used_timer));
	c->used_timer->data = c;
	if (uv_timer_init(loop, c->used_timer) != 0 ||
	    uv_timer_start(
		c->used_timer, on_used_timer, USED_EVERY_MS, USED_EVERY_MS) != 0)
		base_die("cannot start a timer");
	uv_unref((uv_handle_t *)c->used_timer);
	*out_client = c;
	return auth_client_reconnect(c, fd, err);
}

static void
free_handle(uv_handle_t *handle)
{
	free(handle);
}

void
auth_client_free(struct auth_client *c)
{
	if (c == NULL)
		return;
	on_used_timer(c->used_timer);
	uv_close((uv_handle_t *)c->used_timer, free_handle);
	disconnect(c);
	auth_client_known_fini(c);
	free(c);
}

void
auth_client_cancel(struct auth_client *c, auth_ticket_t ticket)
{
	struct waiting *w = waiting_find(c, (uint32_t)ticket);

	if (w == NULL)
		return;
	w->token_done = NULL;
	w->answer_done = NULL;
}

/* Sends a question; on failure it is answered as unavailable at once. Wipes the body. */
static auth_ticket_t
ask(struct auth_client *c, struct waiting *w, uint32_t type, struct buf *body)
{
	struct proc_msg msg = {.type = type,
	    .id = w->id,
	    .data = (const uint8_t *)body->data,
	    .len = body->len};
	struct err err = ERR_INIT;
	uint32_t id = w->id;

	if (c->channel.fd < 0 || c->waiting_count > WAITING_MAX ||
	    proc_send(&c->channel, &msg, &err) != 0) {
		waiting_remove(c, w);
		answer_unavailable(w);
		free(w);
		id = 0;
	}
	secret_wipe(body->data, body->len);
	buf_free(body);
	return id;
}

static auth_ticket_t
ask_account(struct auth_client *c, struct str user, auth_token_fn done, void *arg)
{
	struct waiting *w = waiting_add(c, arg);
	struct buf body = {NULL, 0, 0};

	w->is_token = w->is_account = true;
	memcpy(w->user, user.ptr, user.len); /* of a valid length */
	w->token_done = done;
	auth_put_account(&body, user);
	return ask(c, w, MSG_ACCOUNT_CHECK, &body);
}

/* Those in use are asked about again, so that the auth role goes on looking at them; the others
 * (but for `all`) are forgotten. */
static void
ask_accounts(struct auth_client *c, bool all)
{
	for (size_t i = c->accounts.len; i > 0 && c->channel.fd >= 0; i--) {
		struct account *a = c->accounts.entries[i - 1].value;

		if (!all && !a->used && a->identity->refs == 1) {
			auth_client_account_drop(c, a);
			continue;
		}
		a->used = false;
		(void)ask_account(c, str_from(a->name), NULL, NULL);
	}
}

auth_ticket_t
auth_client_account(
    struct auth_client *c, struct str user, auth_token_fn done, void *arg)
{
	struct account *a = map_get(&c->accounts, user);

	if (a == NULL)
		return ask_account(c, user, done, arg);
	a->used = true;
	done(arg, AUTH_ALLOWED, a->identity);
	return 0;
}

auth_ticket_t
auth_client_token(
    struct auth_client *c, struct str token, auth_token_fn done, void *arg)
{
	struct buf body = {NULL, 0, 0};
	struct token_parts parts;
	struct waiting *w;
	struct known *k;

	if (!token_parse(token, &parts)) {
		done(arg, AUTH_DENIED, NULL);
		return 0;
	}
	k = map_get(&c->known, str_from(parts.id));
	if (k != NULL) {
		bool good =
		    secret_equal(k->parts.secret_hash, sizeof(k->parts.secret_hash),
			parts.secret_hash, sizeof(parts.secret_hash)) &&
		    walltime_now().ns < k->identity->expires.ns;

		k->used = k->used || good;
		done(arg, good ? AUTH_ALLOWED : AUTH_DENIED, good ? k->identity : NULL);
		return 0;
	}
	w = waiting_add(c, arg);
	w->is_token = true;
	w->parts = parts;
	w->token_done = done;
	auth_put_check(&body, &parts);
	return ask(c, w, MSG_TOKEN_CHECK, &body);
}

static auth_ticket_t
ask_question(struct auth_client *c, uint32_t type, bool login,
    const struct auth_caller *caller, struct str argument, auth_answer_fn done,
    void *arg)
{
	struct buf body = {NULL, 0, 0};
	struct waiting *w = waiting_add(c, arg);
	struct auth_question q = {.login = login,
	    .user = caller->user,
	    .source = caller->source,
	    .argument = argument,
	    .service = caller->service,
	    .owners = caller->owners,
	    .owner_count = caller->owner_count};
	size_t owners = 0;

	w->answer_done = done;
	if (caller->id != NULL) {
		q.token_id = caller->id->token_id;
		q.token_scoped = caller->id->scope_count != 0;
	}
	if (caller->password != NULL)
		q.password = secret_str(caller->password);
	/* Reserved at once: growing would leave copies of the password behind. */
	for (size_t i = 0; i < q.owner_count; i++)
		owners += sizeof(uint32_t) + q.owners[i].len;
	buf_reserve(&body, 256 + q.user.len + q.password.len + q.source.len +
			       argument.len + q.service.len + owners);
	auth_put_question(&body, &q);
	if (caller->password != NULL)
		secret_free(caller->password);
	return ask(c, w, type, &body);
}

auth_ticket_t
auth_client_issue(struct auth_client *c, bool login, const struct auth_caller *caller,
    struct str body, auth_answer_fn done, void *arg)
{
	return ask_question(c, MSG_TOKEN_ISSUE, login, caller, body, done, arg);
}

auth_ticket_t
auth_client_list(struct auth_client *c, const struct auth_caller *caller,
    auth_answer_fn done, void *arg)
{
	return ask_question(
	    c, MSG_TOKEN_LIST, false, caller, (struct str){NULL, 0}, done, arg);
}

auth_ticket_t
auth_client_service(struct auth_client *c, enum auth_service_call call,
    const struct auth_caller *caller, auth_answer_fn done, void *arg)
{
	static const uint32_t types[] = {
	    [AUTH_SERVICE_DECLARE] = MSG_SERVICE_DECLARE,
	    [AUTH_SERVICE_LIST] = MSG_SERVICE_LIST,
	    [AUTH_SERVICE_REMOVE] = MSG_SERVICE_REMOVE,
	};

	return ask_question(
	    c, types[call], false, caller, (struct str){NULL, 0}, done, arg);
}

auth_ticket_t
auth_client_revoke(struct auth_client *c, const struct auth_caller *caller,
    struct str token_id, auth_answer_fn done, void *arg)
{
	return ask_question(c, MSG_TOKEN_REVOKE, false, caller, token_id, done, arg);
}

auth_ticket_t
auth_client_rotate(struct auth_client *c, const struct auth_caller *caller,
    struct str token_id, struct str body, auth_answer_fn done, void *arg)
{
	struct buf argument = {NULL, 0, 0};
	auth_ticket_t ticket;

	buf_add_str(&argument, token_id);
	buf_add_char(&argument, ' ');
	buf_add_str(&argument, body);
	ticket = ask_question(
	    c, MSG_TOKEN_ROTATE, false, caller, buf_str(&argument), done, arg);
	buf_free(&argument);
	return ticket;
}
