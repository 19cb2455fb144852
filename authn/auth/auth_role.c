/*
 * The loop owns the store, the throttle and all sockets: questions of workers come in,
 * and are answered from the store at once, or by a login on a thread.
 */
#include "authn/auth/auth_role.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <curl/curl.h>

#include "authn/auth/auth_state.h"
#include "authn/tls/key_thread.h"
#include "authn/wire/messages.h"
#include "common/log.h"
#include "common/secret.h"

#define WATCHDOG_EVERY_MS 500
#define PURGE_EVERY_MS    3600000
#define KEEP_ENDED_NS     (7 * 86400 * NS_PER_S) /* ended tokens stay listed */
#define READ_BATCH        256
#define HELD_SLACK_NS     2000000000ll /* a change that was about to be told */

/* ---- answers ---- */

static struct worker_link *
link_find(const struct auth_role *role, uint64_t serial)
{
	struct worker_link *l = role->links;

	while (l != NULL && l->serial != serial)
		l = l->next;
	return l;
}

void
auth_report_stuck(struct auth_role *role, const uint32_t *workers, size_t count)
{
	struct proc_msg stuck = {.type = MSG_WORKER_STUCK};
	struct buf body = {NULL, 0, 0};
	struct err err = ERR_INIT;

	proc_put_u32(&body, (uint32_t)count);
	for (size_t i = 0; i < count; i++)
		proc_put_u32(&body, workers[i]);
	stuck.data = (const uint8_t *)body.data;
	stuck.len = body.len;
	if (proc_send(role->monitor.channel, &stuck, &err) != 0)
		log_error("monitor-lost", "detail=%s", log_quote(str_from(err.msg)));
	buf_free(&body);
}

int
auth_send_body(struct worker_link *link, uint32_t type, uint32_t id, struct buf *body)
{
	struct proc_msg msg = {.type = type,
	    .id = id,
	    .data = (const uint8_t *)body->data,
	    .len = body->len};
	struct err err = ERR_INIT;
	int rc = proc_send(&link->channel, &msg, &err);

	if (rc != 0)
		log_warn("auth-answer-lost", "detail=%s", log_quote(str_from(err.msg)));
	/* One that does not read would wait for this answer for ever. */
	if (rc != 0 && rc != ERR_LIMIT)
		auth_report_stuck(link->role, &link->worker, 1);
	if (body->data != NULL)
		secret_wipe(body->data, body->len); /* it may hold a fresh token */
	buf_free(body);
	return rc;
}

void
auth_send_answer(struct auth_role *role, uint64_t asker, uint32_t question,
    const struct auth_answer *answer)
{
	const struct auth_answer too_large = {.status = 500,
	    .reason = "InternalError",
	    .message = STR("the answer is too large"),
	    .user = answer->user};
	struct worker_link *link = link_find(role, asker);
	struct buf body = {NULL, 0, 0};

	if (link == NULL)
		return; /* its worker is gone, and its client with it */
	buf_reserve(&body, 1024 + answer->body.len);
	auth_put_answer(&body, answer);
	if (auth_send_body(link, MSG_ANSWER, question, &body) != ERR_LIMIT)
		return;
	auth_put_answer(&body, &too_large);
	(void)auth_send_body(link, MSG_ANSWER, question, &body); /* it logs */
}

static void
send_result(struct worker_link *link, uint32_t question, enum auth_result result,
    const struct identity *id)
{
	struct buf body = {NULL, 0, 0};

	auth_put_result(&body, result, id);
	if (auth_send_body(link, MSG_TOKEN_RESULT, question, &body) != ERR_LIMIT)
		return;
	/* More groups and scopes than a request could carry. */
	auth_put_result(&body, AUTH_DENIED, NULL);
	(void)auth_send_body(link, MSG_TOKEN_RESULT, question, &body); /* it logs */
}

void
auth_send_result(struct auth_role *role, uint64_t asker, uint32_t question,
    enum auth_result result, const struct identity *id)
{
	struct worker_link *link = link_find(role, asker);

	if (link != NULL)
		send_result(link, question, result, result == AUTH_ALLOWED ? id : NULL);
}

void
auth_answer_unavailable(struct auth_role *role, uint64_t asker, uint32_t question)
{
	const struct auth_answer answer = {.status = 503,
	    .retry_after_s = 5,
	    .reason = "ServiceUnavailable",
	    .message = STR("the directory does not answer; existing tokens go on")};

	auth_send_answer(role, asker, question, &answer);
}

/* ---- token checks ---- */

enum auth_result
auth_record_state(
    const struct auth_role *role, const struct token_record *record, walltime_t now)
{
	const uint64_t grace_s = role->settings.ldap.check_grace_s;

	if (record->revoked.ns != 0 || record->expires.ns <= now.ns ||
	    record->suspended || record->service_gone)
		return AUTH_DENIED;
	/* Nobody knows any more whether the account is what it was. */
	if (role->directory != NULL &&
	    record->checked.ns + (int64_t)grace_s * NS_PER_S <= now.ns)
		return AUTH_UNAVAILABLE;
	return AUTH_ALLOWED;
}

static enum auth_result
check_token(struct auth_role *role, struct arena *arena,
    const struct token_parts *parts, struct identity **out_id)
{
	struct token_record record;
	struct err err = ERR_INIT;
	enum auth_result result;
	int rc = token_store_get(role->store, arena, parts->id, &record, &err);

	*out_id = NULL;
	if (rc == ERR_NOT_FOUND)
		return AUTH_DENIED;
	if (rc != 0) {
		log_error("token-store", "detail=%s", log_quote(str_from(err.msg)));
		return AUTH_UNAVAILABLE;
	}
	if (!secret_equal(record.secret_hash, sizeof(record.secret_hash),
		parts->secret_hash, sizeof(parts->secret_hash)))
		return AUTH_DENIED;
	result = auth_record_state(role, &record, walltime_now());
	if (result == AUTH_ALLOWED)
		*out_id = token_api_identity(&record);
	return result == AUTH_ALLOWED && *out_id == NULL ? AUTH_DENIED : result;
}

static bool
on_check(struct worker_link *link, const struct proc_msg *msg)
{
	struct token_parts parts;
	struct identity *id;
	enum auth_result result;
	struct arena *arena;

	if (!auth_get_check(msg, &parts))
		return false;
	link->role->counters.checks++;
	arena = arena_new();
	result = check_token(link->role, arena, &parts, &id);
	send_result(link, msg->id, result, id);
	identity_unref(id);
	arena_free(arena);
	return true;
}

static bool
on_used(struct worker_link *link, const struct proc_msg *msg)
{
	struct err err = ERR_INIT;

	if (msg->len % TOKEN_ID_LEN != 0)
		return false;
	if (token_store_used(link->role->store, (const char *)msg->data,
		msg->len / TOKEN_ID_LEN, walltime_now(), &err) != 0)
		log_warn("token-last-used", "detail=%s", log_quote(str_from(err.msg)));
	return true;
}

/* A worker that knew an earlier role: what it holds may have changed unheard. */
static bool
on_held(struct worker_link *link, const struct proc_msg *msg)
{
	const walltime_t now = walltime_now();
	struct arena *arena = arena_new();
	struct arena_mark start = arena_mark(arena);
	struct buf ids = {NULL, 0, 0};
	struct token_record record;
	struct err err = ERR_INIT;
	walltime_t learnt;
	struct str id;

	for (size_t i = 0; auth_get_held(msg, i, &id, &learnt); i++) {
		if (token_store_get(link->role->store, arena, id.ptr, &record, &err) !=
			0 ||
		    auth_record_state(link->role, &record, now) != AUTH_ALLOWED ||
		    record.changed.ns + HELD_SLACK_NS >= learnt.ns ||
		    learnt.ns > now.ns) /* the clock was set back meanwhile */
			buf_add_str(&ids, id);
		arena_rewind(arena, &start);
	}
	auth_forget(link->role, buf_str(&ids));
	buf_free(&ids);
	arena_free(arena);
	return msg->len % AUTH_HELD_BYTES == 0;
}

/* ---- sockets ---- */

static bool
on_message(struct worker_link *link, const struct proc_msg *msg)
{
	switch (msg->type) {
	case MSG_TOKEN_CHECK:
		return on_check(link, msg);
	case MSG_ACCOUNT_CHECK:
		return auth_visitor_ask(link, msg);
	case MSG_TOKEN_ISSUE:
		return auth_issue(link, msg);
	case MSG_TOKEN_LIST:
		return auth_list(link, msg);
	case MSG_TOKEN_REVOKE:
		return auth_revoke(link, msg);
	case MSG_TOKEN_ROTATE:
		return auth_rotate(link, msg);
	case MSG_SERVICE_DECLARE:
		return auth_service_declare(link, msg);
	case MSG_SERVICE_LIST:
		return auth_service_list(link, msg);
	case MSG_SERVICE_REMOVE:
		return auth_service_remove(link, msg);
	case MSG_TOKENS_USED:
		return on_used(link, msg);
	case MSG_TOKENS_HELD:
		return on_held(link, msg);
	case MSG_TOKEN_REVOKED_ACK:
		auth_revoke_confirm(link->role, msg->id, link->serial);
		return true;
	default:
		return false;
	}
}

static void
free_link(uv_handle_t *handle)
{
	free(CONTAINER_OF(handle, struct worker_link, poll));
}

static void
drop_link(struct worker_link *link)
{
	struct auth_role *role = link->role;
	struct worker_link **at = &role->links;

	while (*at != link)
		at = &(*at)->next;
	*at = link->next;
	auth_revoke_confirm(role, 0, link->serial); /* a dead worker serves no token */
	proc_channel_close(&link->channel);
	uv_close((uv_handle_t *)&link->poll, free_link);
}

static void
on_worker(uv_poll_t *poll, int status, int events)
{
	struct worker_link *link = poll->data;
	struct err err = ERR_INIT;
	struct proc_msg msg;
	int rc = status < 0 ? ERR_UNAVAILABLE : 1;

	(void)events; /* only readability is watched */
	for (unsigned n = 0; n < READ_BATCH && rc == 1; n++) {
		rc = proc_recv(&link->channel, &msg, &err);
		if (rc == 1 && (msg.fd_count != 0 || !on_message(link, &msg))) {
			log_error("auth-link-broken", "type=%u", msg.type);
			proc_msg_close_fds(&msg);
			auth_report_stuck(link->role, &link->worker, 1);
			rc = ERR_PROTOCOL;
		}
		if (rc == 1)
			secret_wipe((void *)(uintptr_t)msg.data, msg.len);
	}
	if (rc < 0)
		drop_link(link);
}

static void
send_list_ring(struct worker_link *link)
{
	struct buf body = {NULL, 0, 0};

	buf_add(&body, link->role->list_ring, LIST_RING_BYTES);
	(void)auth_send_body(link, MSG_LIST_KEYS, 0, &body); /* it logs */
}

/* A token_share's `list_keys`. */
static void
on_list_ring(void *arg, const uint8_t ring[LIST_RING_BYTES])
{
	struct auth_role *role = arg;

	memcpy(role->list_ring, ring, LIST_RING_BYTES);
	role->has_list_ring = true;
	for (struct worker_link *l = role->links; l != NULL; l = l->next)
		send_list_ring(l);
}

static int
add_link(struct auth_role *role, int fd, uint32_t worker, struct err *err)
{
	struct worker_link *link = xcalloc(1, sizeof(*link));

	link->role = role;
	link->serial = ++role->next_serial;
	link->worker = worker;
	proc_channel_init(&link->channel, fd);
	link->poll.data = link;
	if (uv_poll_init(&role->loop, &link->poll, fd) != 0 ||
	    uv_poll_start(&link->poll, UV_READABLE, on_worker) != 0)
		return err_set(err, ERR_SYSTEM, "cannot watch a worker");
	link->next = role->links;
	role->links = link;
	if (role->has_list_ring)
		send_list_ring(link);
	return 0;
}

/* Members of a JSON object: a name, and a number. */
static void
put_numbers(struct buf *out, const struct auth_role *role)
{
	const struct auth_counters *n = &role->counters;
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
	    {"loginsAllowed", n->allowed},
	    {"loginsDenied", n->denied},
	    {"loginsThrottled", n->throttled},
	    {"loginsUnavailable", n->unavailable},
	    {"loginsRunning", role->login_count},
	    {"loginsLost", role->lost},
	    {"tokenChecks", n->checks},
	    {"certificateChecks", n->visitors},
	    {"certificateUsers", role->visitors.len},
	    {"revocations", n->revocations},
	    {"rotations", n->rotations},
	    {"tokensRefused", n->tokens_refused},
	    {"servicesDeclared", n->services_declared},
	    {"servicesRemoved", n->services_removed},
	    {"accountsAllowed", n->polled_allowed},
	    {"accountsDenied", n->polled_denied},
	    {"accountsUnavailable", n->polled_unavailable},
	};

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		buf_printf(out, "\"%s\":%llu,", numbers[i].name,
		    (unsigned long long)numbers[i].value);
}

static void
answer_status(struct auth_role *role, uint32_t id)
{
	struct buf text = {NULL, 0, 0};
	const walltime_t now = walltime_now();
	struct token_counts counts = {0};
	struct err err = ERR_INIT;
	uint64_t live = 0;
	size_t resting = 0;

	if (token_store_live(role->store, now, &live, &err) != 0 ||
	    token_store_counts(role->store, now, &counts, &err) != 0)
		log_warn("token-store", "detail=%s", log_quote(str_from(err.msg)));
	buf_add_char(&text, '{');
	put_numbers(&text, role);
	if (role->directory != NULL) {
		buf_add_cstr(&text, "\"directory\":");
		directory_status(role->directory, &text, &resting);
		buf_printf(&text, ",\"directoryResting\":%zu,", resting);
	}
	buf_printf(&text,
	    "\"accounts\":%llu,\"accountsSuspended\":%llu,\"accountsAge\":%lld,"
	    "\"tokensLive\":%llu",
	    (unsigned long long)counts.accounts, (unsigned long long)counts.suspended,
	    counts.accounts != 0 ? (long long)((now.ns - counts.oldest.ns) / NS_PER_S)
				 : 0LL,
	    (unsigned long long)live);
	if (role->share != NULL)
		token_share_status(role->share, &text);
	buf_add_char(&text, '}');
	monitor_link_send(role->monitor.channel, MSG_STATUS, id, buf_str(&text));
	buf_free(&text);
}

static void
on_watchdog(uv_timer_t *timer)
{
	auth_poll_watch(timer->data);
	auth_login_watch(timer->data);
}

static bool
on_monitor(void *arg, struct proc_msg *msg)
{
	struct auth_role *role = arg;
	struct err err = ERR_INIT;
	struct proc_reader r;

	if (msg->type == MSG_STATUS && msg->fd_count == 0) {
		answer_status(role, msg->id);
		return true;
	}
	if (msg->type == MSG_PEER_KEY && msg->fd_count == 1) {
		key_thread_connect(msg->fds[0]);
		msg->fd_count = 0; /* taken */
		return true;
	}
	if (msg->type != MSG_PEER_WORKER || msg->fd_count != 1)
		return false; /* MSG_DRAIN, or something that this role does not know */
	proc_reader_init(&r, msg);
	if (add_link(role, msg->fds[0], proc_get_u32(&r), &err) != 0)
		log_error("auth-link", "detail=%s", log_quote(str_from(err.msg)));
	msg->fd_count = 0; /* the link's now */
	return true;
}

static void
on_purge(uv_timer_t *timer)
{
	struct auth_role *role = timer->data;
	struct err err = ERR_INIT;
	walltime_t before = walltime_now();

	before.ns -= KEEP_ENDED_NS;
	if (token_store_purge(role->store, before, &err) == 0) {
		before = walltime_now();
		before.ns -= (int64_t)role->settings.ldap.check_grace_s * NS_PER_S;
		if (token_store_visitors_purge(role->store, before, &err) == 0)
			return;
	}
	log_warn("token-purge", "detail=%s", log_quote(str_from(err.msg)));
}

/* Shares are set where workers see them. */
static int
map_quota(struct auth_role *role, int fd, struct err *err)
{
	void *memory =
	    mmap(NULL, quota_table_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		return err_sys(err, "quota table");
	role->quota = memory;
	return curl_global_init(CURL_GLOBAL_DEFAULT) == 0
		   ? 0
		   : err_set(err, ERR_SYSTEM, "cannot use curl");
}

static int
receive_settings(struct auth_role *role, struct err *err)
{
	struct proc_msg msg;
	struct proc_reader r;
	int rc = monitor_link_config(role->monitor.channel, &msg, err);

	if (rc != 0)
		return rc;
	proc_reader_init(&r, &msg);
	if (!auth_role_settings_decode(role->arena, &r, &role->settings))
		return err_set(err, ERR_PROTOCOL, "malformed configuration");
	rc = secret_set(&role->bind_password, role->settings.bind_password.ptr,
	    role->settings.bind_password.len, err);
	secret_wipe((void *)(uintptr_t)msg.data, msg.len);
	role->settings.bind_password = (struct str){NULL, 0};
	if (rc == 0 && role->settings.share.etcd.endpoint_count != 0)
		rc = map_quota(role, msg.fd_count == 1 ? msg.fds[0] : -1, err);
	proc_msg_close_fds(&msg);
	return rc;
}

static int
start(struct auth_role *role, const int *fds, size_t fd_count, struct err *err)
{
	const struct token_share_callbacks sharing = {
	    .ended = auth_forget, .list_keys = on_list_ring, .arg = role};
	uint8_t key[32];
	char threads[8];
	int rc;

	(void)snprintf(threads, sizeof(threads), "%d", LOGIN_THREADS); /* fits */
	if (setenv("UV_THREADPOOL_SIZE", threads, 1) != 0 ||
	    setenv("LDAPNOINIT", "1", 1) != 0)
		return err_sys(err, "set the environment");
	rc = auth_role_prepare(
	    &role->settings, &role->bind_password, &role->store, &role->directory, err);
	if (rc != 0)
		return rc;
	secret_random(key, sizeof(key));
	role->throttle = throttle_new(key);
	throttle_limit(role->throttle, role->settings.ldap.lockout_attempts,
	    role->settings.ldap.lockout_window_s);
	secret_wipe(key, sizeof(key));
	role->watchdog.data = role->purge.data = role;
	role->poll_timer.data = role;
	if (uv_loop_init(&role->loop) != 0 ||
	    uv_timer_init(&role->loop, &role->watchdog) != 0 ||
	    uv_timer_start(&role->watchdog, on_watchdog, WATCHDOG_EVERY_MS,
		WATCHDOG_EVERY_MS) != 0 ||
	    uv_timer_init(&role->loop, &role->purge) != 0 ||
	    uv_timer_start(&role->purge, on_purge, 1000, PURGE_EVERY_MS) != 0)
		return err_set(err, ERR_SYSTEM, "cannot start the event loop");
	key_thread_start(); /* for etcd */
	rc = monitor_link_start(&role->monitor, &role->loop, err);
	if (rc == 0 && role->quota != NULL)
		rc = token_share_start(&role->loop, &role->settings.share, role->store,
		    role->quota, &sharing, &role->share, err);
	for (size_t i = 0; i < fd_count && rc == 0; i++)
		rc = add_link(role, fds[i], UINT32_MAX, err);
	auth_poll_start(role);
	return rc;
}

int
auth_role_run(struct proc_channel *monitor, const int *fds, size_t fd_count)
{
	struct auth_role *role = xcalloc(1, sizeof(*role));
	struct proc_msg ready = {.type = MSG_READY};
	struct err err = ERR_INIT;

	log_setup("auth", LOG_INFO, LOG_FORMAT_TEXT);
	role->monitor =
	    (struct monitor_link){.channel = monitor, .take = on_monitor, .arg = role};
	role->arena = arena_new();
	if (receive_settings(role, &err) != 0 ||
	    start(role, fds, fd_count, &err) != 0 ||
	    proc_send(monitor, &ready, &err) != 0) {
		log_error("auth-start", "detail=%s", log_quote(str_from(err.msg)));
		return 1;
	}
	(void)uv_run(&role->loop, UV_RUN_DEFAULT); /* ends by uv_stop */
	token_store_close(role->store);
	_Exit(0); /* threads may still hang in the directory */
}
