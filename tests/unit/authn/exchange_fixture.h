/*
 * Everything around one exchange, played for its tests: the client's connection, the
 * worker's services, the auth role, the audit role, the upstream. What happens is told in
 * order as words of one story.
 */
#ifndef TESTS_EXCHANGE_FIXTURE_H
#define TESTS_EXCHANGE_FIXTURE_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "authn/proxy/exchange.h"
#include "authn/proxy/upstream.h"
#include "authn/proxy/worker_state.h"
#include "policy-lang/load/load.h"

static const char policy[] =
    "apiVersion: ringfence.dev/v1alpha1\n"
    "kind: Access\n"
    "metadata: { name: devs, namespace: / }\n"
    "spec:\n"
    "  groups: [devs]\n"
    "  default: [ { action: allow, verbs: [\"*\"], resources: [pods, pods/exec] } ]\n";

static struct worker *w;
static struct identity *alice;
static struct worker_policy loaded;
static struct buf story; /* what happened, in order */

static void
tell(const char *event)
{
	buf_printf(&story, "%s%s", story.len != 0 ? " " : "", event);
}

static void
check_story(const char *want)
{
	ck_assert_str_eq(story.data != NULL ? story.data : "", want);
}

/* ---- the worker's services ---- */

struct arena *
worker_arena_get(struct worker *worker)
{
	(void)worker;
	return arena_new_sized(4096);
}

void
worker_arena_put(struct worker *worker, struct arena *arena)
{
	(void)worker;
	arena_free(arena);
}

void
worker_uuid(struct worker *worker, char out[37])
{
	(void)worker;
	memcpy(out, "00000000-0000-4000-8000-000000000000", 37);
}

struct str
worker_date(struct worker *worker)
{
	(void)worker;
	return STR("now");
}

struct str
worker_policy_decision(
    const struct worker_policy *worker_policy, const struct access_rule *rule)
{
	(void)worker_policy;
	(void)rule;
	return STR("rule");
}

/* ---- the auth role ---- */

static auth_token_fn token_done;
static void *token_arg;

auth_ticket_t
auth_client_token(
    struct auth_client *c, struct str token, auth_token_fn done, void *arg)
{
	(void)c;
	if (str_is(token, "later")) {
		token_done = done;
		token_arg = arg;
		return 7;
	}
	if (str_is(token, "good"))
		done(arg, AUTH_ALLOWED, alice);
	else
		done(arg, str_is(token, "down") ? AUTH_UNAVAILABLE : AUTH_DENIED, NULL);
	return 0;
}

/* What the directory has of whoever comes by certificate. */
static enum auth_result account_state;

auth_ticket_t
auth_client_account(
    struct auth_client *c, struct str user, auth_token_fn done, void *arg)
{
	(void)c;
	ck_assert(str_is(user, "alice"));
	done(arg, account_state, account_state == AUTH_ALLOWED ? alice : NULL);
	return 0;
}

void
auth_client_cancel(struct auth_client *c, auth_ticket_t ticket)
{
	(void)c;
	ck_assert_uint_eq(ticket, 7);
	tell("auth-cancelled");
	token_done = NULL;
}

auth_ticket_t
auth_client_issue(struct auth_client *c, bool login, const struct auth_caller *caller,
    struct str body, auth_answer_fn done, void *arg)
{
	const struct auth_answer answer = {
	    .status = 201, .body = STR("{\"token\":\"t\"}"), .user = STR("alice")};

	(void)c;
	ck_assert(login);
	ck_assert(str_is(caller->user, "alice"));
	ck_assert(str_is(secret_str(caller->password), "pass:word"));
	ck_assert(str_is(body, "{}"));
	secret_free(caller->password);
	tell("issue");
	done(arg, &answer);
	return 0;
}

auth_ticket_t
auth_client_list(struct auth_client *c, const struct auth_caller *caller,
    auth_answer_fn done, void *arg)
{
	(void)c;
	(void)caller;
	(void)done;
	(void)arg;
	return 0;
}

auth_ticket_t
auth_client_revoke(struct auth_client *c, const struct auth_caller *caller,
    struct str token_id, auth_answer_fn done, void *arg)
{
	(void)c;
	(void)caller;
	(void)token_id;
	(void)done;
	(void)arg;
	return 0;
}

auth_ticket_t
auth_client_service(struct auth_client *c, enum auth_service_call call,
    const struct auth_caller *caller, auth_answer_fn done, void *arg)
{
	(void)call;
	return auth_client_revoke(c, caller, caller->service, done, arg);
}

auth_ticket_t
auth_client_rotate(struct auth_client *c, const struct auth_caller *caller,
    struct str token_id, struct str body, auth_answer_fn done, void *arg)
{
	(void)body;
	return auth_client_revoke(c, caller, token_id, done, arg);
}

/* ---- the audit role ---- */

static bool audit_writable;
static audit_done_fn audit_done;
static void *audit_arg;

bool
audit_client_ready(const struct audit_client *c)
{
	(void)c;
	return audit_writable;
}

audit_ticket_t
audit_client_send(struct audit_client *c, const struct audit_event *event,
    audit_done_fn done, void *arg)
{
	static const char *const stages[] = {"received", "started", "complete"};

	(void)c;
	buf_printf(&story, "%s%s:%d", story.len != 0 ? " " : "", stages[event->stage],
	    event->code);
	if (done == NULL)
		return 0;
	audit_done = done;
	audit_arg = arg;
	return 9;
}

uint64_t
audit_client_ask(struct audit_client *c, const struct audit_recent_question *question,
    audit_recent_fn done, void *arg)
{
	(void)c;
	(void)question;
	(void)done;
	(void)arg;
	return 0;
}

void
audit_client_forget(struct audit_client *c, uint64_t ticket)
{
	(void)c;
	(void)ticket;
}

void
audit_client_cancel(struct audit_client *c, audit_ticket_t ticket)
{
	(void)c;
	ck_assert_uint_eq(ticket, 9);
	audit_done = NULL;
}

static void
on_disk(bool ok)
{
	audit_done_fn done = audit_done;

	ck_assert_ptr_nonnull(done);
	audit_done = NULL;
	tell(ok ? "disk" : "disk-full");
	done(audit_arg, ok);
}

/* ---- the upstream ---- */

struct upstream_request {
	int unused;
};

static struct upstream_request upstream;

void
upstream_start(struct upstream_pool *pool, struct exchange *x)
{
	(void)pool;
	x->up = &upstream;
	tell("forward");
}

void
upstream_cancel(struct upstream_request *r)
{
	ck_assert_ptr_eq(r, &upstream);
	tell("cancel");
}

void
upstream_body(struct upstream_request *r)
{
	ck_assert_ptr_eq(r, &upstream);
	tell("body");
}

void
upstream_consumed(struct upstream_request *r, size_t n)
{
	(void)r;
	(void)n;
}

/* ---- the client ---- */

static void
on_respond(struct exchange *x)
{
	buf_printf(&story, "%srespond:%d", story.len != 0 ? " " : "", x->status);
}

static void
on_more(struct exchange *x)
{
	if (exchange_finished(x))
		tell("may-end");
}

static void
on_consumed(struct exchange *x, size_t n)
{
	(void)x;
	(void)n;
}

static void
on_go_ahead(struct exchange *x)
{
	(void)x;
	tell("go-ahead");
}

static void
on_cut(struct exchange *x)
{
	(void)x;
	tell("cut");
}

static const struct exchange_ops ops = {
    .respond = on_respond,
    .more = on_more,
    .consumed = on_consumed,
    .go_ahead = on_go_ahead,
    .cut = on_cut,
};

static struct exchange *
request(const char *method, const char *target, const char *authorization, bool ended)
{
	struct exchange *x = exchange_new(w, &ops, NULL, STR("192.0.2.1"), NULL);

	x->method = str_from(method);
	x->target = str_from(target);
	header_list_add(x->arena, &x->req_headers, STR("host"), STR("h"));
	header_list_add(x->arena, &x->req_headers, STR("authorization"),
	    str_dup(x->arena, str_from(authorization)));
	x->req_ended = ended;
	exchange_start(x, false);
	return x;
}

static void
answer(struct exchange *x, int status, const char *length)
{
	struct header_list headers = {NULL, 0, 0, 0};

	if (length != NULL)
		header_list_add(
		    x->arena, &headers, STR("content-length"), str_from(length));
	exchange_up_head(x, status, &headers);
}

/* Takes everything that may be taken; how much that was. */
static size_t
take(struct exchange *x)
{
	size_t all = 0;
	struct str piece;

	while ((piece = exchange_peek(x)).len != 0) {
		all += piece.len;
		exchange_drain(x, piece.len);
	}
	return all;
}

static void
setup(void)
{
	static const struct str groups[] = {{"devs", 4}, {"system:authenticated", 20}};
	const struct model_options options = {.default_deny = false};
	struct arena *arena = arena_new();
	struct source *source = ARENA_NEW(arena, struct source);
	struct bundle bundle = {source, 1};
	struct diag_list diags;

	*source = (struct source){STR("test.yaml"), {policy, sizeof(policy) - 1}};
	diag_list_init(&diags, arena);
	ck_assert(model_load(arena, &bundle, &options, &diags, &loaded.model));
	loaded.arena = arena;
	access_levels_find(arena, loaded.model, &loaded.levels);
	w = xcalloc(1, sizeof(*w));
	ck_assert_int_eq(uv_loop_init(&w->loop), 0);
	w->policy = &loaded;
	w->scratch = arena_new_sized(1024);
	w->quota = xcalloc(1, quota_table_bytes());
	quota_table_init(w->quota);
	arena = arena_new();
	alice = ARENA_NEW(arena, struct identity);
	alice->arena = arena;
	alice->refs = 1;
	alice->user = STR("alice");
	alice->groups = groups;
	alice->group_count = 2;
	alice->expires.ns = INT64_MAX;
	audit_writable = true;
	audit_done = NULL;
	token_done = NULL;
}

static void
teardown(void)
{
	ck_assert_ptr_null(w->exchanges);
	ck_assert_uint_eq(w->bufs.bytes, 0);
	ck_assert_uint_eq(alice->refs, 1);
	iobuf_pool_fini(&w->bufs);
	identity_unref(alice);
	ck_assert_int_eq(uv_loop_close(&w->loop), 0);
	free(w->quota);
	arena_free(w->scratch);
	free(w);
	arena_free(loaded.arena);
	buf_free(&story);
}

#endif
