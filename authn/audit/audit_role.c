/*
 * Group commit: records that arrive while a write is under way share the next one. A
 * record that somebody waits for is written as soon as the loop has read what is there
 * (the sooner, the fewer share it; under load reading takes longer than writing, and groups
 * grow by themselves); others wait at most LAZY_MS.
 */
#include "authn/audit/audit_role.h"

#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "authn/audit/audit_client.h"
#include "authn/audit/audit_recent.h"
#include "authn/wire/messages.h"
#include "authn/wire/monitor_link.h"
#include "common/audit.h"
#include "common/log.h"
#include "common/secret.h"

#define LAZY_MS    100 /* a record that nobody waits for */
#define TICK_MS    250 /* to try again, and to sign */
#define READ_BATCH 512 /* messages taken from one worker at a time */

struct worker_link {
	struct worker_link *next;
	struct audit_role *role;
	uv_poll_t poll;
	struct proc_channel channel;
	uint64_t appended; /* ticket of its last record in the present group */
	bool waiting;      /* has something to be answered in it */
};

struct audit_role {
	uv_loop_t loop;
	uv_timer_t lazy;
	uv_timer_t tick;
	uv_prepare_t commit;
	struct monitor_link monitor;
	struct worker_link *links;
	struct audit_log *log;
	struct audit_recent *recent;
	struct audit_role_settings settings;
	bool dirty;  /* something is appended and not synced */
	bool urgent; /* somebody waits for it */
	bool writable;
	uint64_t lines, failures;
};

static void
answer(struct worker_link *link, uint32_t type, uint64_t ticket, uint8_t value)
{
	struct buf body = {NULL, 0, 0};
	struct proc_msg msg = {.type = type};
	struct err err = ERR_INIT;

	if (type == MSG_AUDIT_DONE)
		proc_put_u64(&body, ticket);
	proc_put_u8(&body, value);
	msg.data = (const uint8_t *)body.data;
	msg.len = body.len;
	/* A worker that does not read its answers fails its own requests only. */
	if (proc_send(&link->channel, &msg, &err) != 0)
		log_warn(
		    "audit-answer-lost", "detail=%s", log_quote(str_from(err.msg)));
	buf_free(&body);
}

static void
set_writable(struct audit_role *role, bool writable)
{
	if (role->writable == writable)
		return;
	role->writable = writable;
	for (struct worker_link *l = role->links; l != NULL; l = l->next)
		answer(l, MSG_AUDIT_STATE, 0, writable);
}

static void
answer_group(struct audit_role *role, bool ok)
{
	for (struct worker_link *l = role->links; l != NULL; l = l->next) {
		if (l->appended != 0)
			answer(l, MSG_AUDIT_DONE, l->appended, ok);
		l->appended = 0;
	}
	role->dirty = false;
	role->urgent = false;
}

static bool
answer_recent(struct worker_link *link, const struct proc_msg *msg)
{
	struct proc_msg reply = {.type = MSG_AUDIT_RECENT_ANSWER};
	struct arena *arena = arena_new();
	struct audit_recent_question question;
	struct buf json = {NULL, 0, 0}, body = {NULL, 0, 0};
	struct err err = ERR_INIT;
	struct proc_reader r;
	uint64_t ticket;
	bool ok;

	proc_reader_init(&r, msg);
	ticket = proc_get_u64(&r);
	ok = audit_recent_question_decode(arena, &r, &question);
	if (ok) {
		audit_recent_answer(link->role->recent, &question, &json);
		proc_put_u64(&body, ticket);
		proc_put_str(&body, buf_str(&json));
		reply.data = (const uint8_t *)body.data;
		reply.len = body.len;
		if (proc_send(&link->channel, &reply, &err) != 0)
			log_warn("audit-answer-lost", "detail=%s",
			    log_quote(str_from(err.msg)));
	}
	buf_free(&json);
	buf_free(&body);
	arena_free(arena);
	return ok;
}

/* Writes the group. What cannot be written is not kept: its requests were refused, and
 * the refusals are the workers' to give; best-effort counts it. */
static void
commit(struct audit_role *role)
{
	struct err err = ERR_INIT;

	if (!role->dirty)
		return;
	if (audit_sync(role->log, &err) == 0) {
		audit_recent_settle(role->recent, true);
		if (!role->writable)
			log_info("audit-writable", "lines=%llu",
			    (unsigned long long)audit_size(role->log));
		set_writable(role, true);
		answer_group(role, true);
		return;
	}
	audit_recent_settle(role->recent, false);
	role->failures++;
	if (role->writable)
		log_error("audit-not-writable", "mode=%s detail=%s",
		    role->settings.required ? "required" : "best-effort",
		    log_quote(str_from(err.msg)));
	set_writable(role, false);
	answer_group(role, !role->settings.required);
}

static void
on_lazy(uv_timer_t *timer)
{
	commit(timer->data);
}

static void
on_prepare(uv_prepare_t *prepare)
{
	struct audit_role *role = prepare->data;

	if (role->urgent)
		commit(role);
}

/* A record of our own: nobody asked for it over the network. */
static int
append_own(struct audit_role *role, struct audit_own_event event, struct err *err)
{
	struct buf line = {NULL, 0, 0};
	int rc;

	event.now = walltime_now();
	secret_random(event.id, sizeof(event.id));
	audit_event_encode_own(&line, &event);
	rc = audit_append(role->log, buf_str(&line), err);
	buf_free(&line);
	role->dirty = role->dirty || rc == 0;
	return rc;
}

/* Lines written since the last checkpoint are signed once it is due, also when nothing
 * more comes. */
static void
renew_checkpoint(struct audit_role *role)
{
	struct err err = ERR_INIT;

	if (!role->dirty && audit_sync(role->log, &err) != 0)
		log_warn("audit-checkpoint", "detail=%s", log_quote(str_from(err.msg)));
}

/* While the log cannot be written, one record of our own tries it again; else the last
 * lines before a pause are signed. */
static void
on_tick(uv_timer_t *timer)
{
	struct audit_role *role = timer->data;
	const struct audit_own_event event = {.verb = "audit-resumed", .code = 200};
	struct err err = ERR_INIT;

	if (role->writable) {
		renew_checkpoint(role);
		return;
	}
	if (append_own(role, event, &err) == 0)
		commit(role);
}

static bool
append(struct worker_link *link, uint64_t ticket, bool waits, struct str line)
{
	struct audit_role *role = link->role;
	struct err err = ERR_INIT;

	if (audit_append(role->log, line, &err) != 0) {
		if (err.code != ERR_LIMIT)
			return false; /* a worker that sends no event is broken */
		commit(role);
		if (audit_append(role->log, line, &err) != 0) {
			answer(link, MSG_AUDIT_DONE, ticket, !role->settings.required);
			return true;
		}
	}
	audit_recent_add(role->recent, line);
	role->lines++;
	link->appended = ticket;
	if (!role->dirty && uv_timer_start(&role->lazy, on_lazy, LAZY_MS, 0) != 0)
		base_die("cannot start a timer");
	role->dirty = true;
	role->urgent = role->urgent || waits;
	return true;
}

/* Body: for each record u64 ticket, u8 somebody waits, then the line. */
static bool
append_all(struct worker_link *link, const struct proc_msg *msg)
{
	struct proc_reader r;

	proc_reader_init(&r, msg);
	do {
		uint64_t ticket = proc_get_u64(&r);
		uint8_t waits = proc_get_u8(&r);
		struct str line = proc_get_str(&r);

		if (!r.ok || ticket == 0 || !append(link, ticket, waits != 0, line))
			return false;
	} while (!proc_reader_done(&r));
	return true;
}

static void
free_link(uv_handle_t *handle)
{
	free(CONTAINER_OF(handle, struct worker_link, poll));
}

static void
drop_link(struct worker_link *link)
{
	struct worker_link **at = &link->role->links;

	while (*at != link)
		at = &(*at)->next;
	*at = link->next;
	proc_channel_close(&link->channel);
	uv_close((uv_handle_t *)&link->poll, free_link);
}

static bool
take_message(struct worker_link *link, const struct proc_msg *msg)
{
	if (msg->type == MSG_AUDIT_APPEND)
		return append_all(link, msg);
	return msg->type == MSG_AUDIT_RECENT && answer_recent(link, msg);
}

/* Takes a batch of records: 1 if there may be more, 0 if not, negative at the end. */
static int
read_link(struct worker_link *link)
{
	struct err err = ERR_INIT;
	struct proc_msg msg;
	int rc = 1;

	for (unsigned n = 0; n < READ_BATCH && rc == 1; n++) {
		rc = proc_recv(&link->channel, &msg, &err);
		if (rc != 1)
			break;
		if (msg.fd_count != 0 || !take_message(link, &msg)) {
			log_error("audit-link-broken", "type=%u", msg.type);
			proc_msg_close_fds(&msg);
			rc = ERR_PROTOCOL;
		}
	}
	return rc;
}

static void
on_worker(uv_poll_t *poll, int status, int events)
{
	struct worker_link *link = poll->data;

	(void)events;                          /* only readability is watched */
	if (status < 0 || read_link(link) < 0) /* what it sent before stays appended */
		drop_link(link);
}

static int
add_link(struct audit_role *role, int fd, struct err *err)
{
	struct worker_link *link = xcalloc(1, sizeof(*link));

	link->role = role;
	proc_channel_init(&link->channel, fd);
	link->poll.data = link;
	if (uv_poll_init(&role->loop, &link->poll, fd) != 0 ||
	    uv_poll_start(&link->poll, UV_READABLE, on_worker) != 0)
		return err_set(err, ERR_SYSTEM, "cannot watch a worker");
	link->next = role->links;
	role->links = link;
	if (!role->writable)
		answer(link, MSG_AUDIT_STATE, 0, 0);
	return 0;
}

static void
finish(struct audit_role *role)
{
	commit(role);
	uv_stop(&role->loop);
}

/* Reads what every worker has sent already, then ends. A worker that lives on gets
 * another role, and asks that one about what was not answered. */
static void
drain(struct audit_role *role)
{
	struct worker_link *next;

	for (struct worker_link *l = role->links; l != NULL; l = next) {
		next = l->next;
		while (read_link(l) > 0)
			;
	}
	finish(role);
}

static void
answer_status(struct audit_role *role, uint32_t id)
{
	struct buf text = {NULL, 0, 0};

	buf_printf(&text,
	    "{\"lines\":%llu,\"failures\":%llu,\"writable\":%s,\"size\":%llu}",
	    (unsigned long long)role->lines, (unsigned long long)role->failures,
	    role->writable ? "true" : "false",
	    (unsigned long long)audit_size(role->log));
	monitor_link_send(role->monitor.channel, MSG_STATUS, id, buf_str(&text));
	buf_free(&text);
}

/* Nobody waits for it; where it cannot be written, requests cannot be recorded either. */
static void
note(struct audit_role *role, struct audit_own_event event)
{
	struct err err = ERR_INIT;

	if (append_own(role, event, &err) == 0)
		commit(role);
	else
		log_warn("audit-note", "verb=%s detail=%s", event.verb,
		    log_quote(str_from(err.msg)));
}

static bool
take_note(struct audit_role *role, const struct proc_msg *msg)
{
	struct proc_reader r;
	struct str detail;
	bool ok;

	proc_reader_init(&r, msg);
	ok = proc_get_u8(&r) != 0;
	detail = proc_get_str(&r);
	if (!proc_reader_done(&r))
		return false;
	note(role, (struct audit_own_event){
		       .verb = "configure", .detail = detail, .code = ok ? 200 : 500});
	return true;
}

/* What the directory has made of an account, and so of its tokens. */
static bool
take_account(struct audit_role *role, const struct proc_msg *msg)
{
	struct audit_own_event event = {.code = 200};
	struct proc_reader r;

	proc_reader_init(&r, msg);
	event.verb = proc_get_u8(&r) != 0 ? "suspend-account" : "restore-account";
	event.account = proc_get_str(&r);
	event.detail = proc_get_str(&r);
	if (!proc_reader_done(&r))
		return false;
	note(role, event);
	return true;
}

static bool
on_monitor(void *arg, struct proc_msg *msg)
{
	struct audit_role *role = arg;
	struct err err = ERR_INIT;

	if (msg->type == MSG_PEER_WORKER && msg->fd_count == 1) {
		if (add_link(role, msg->fds[0], &err) != 0)
			log_error(
			    "audit-link", "detail=%s", log_quote(str_from(err.msg)));
		msg->fd_count = 0; /* the link's now */
		return true;
	}
	if (msg->fd_count != 0)
		return false;
	switch (msg->type) {
	case MSG_AUDIT_ACCOUNT:
		return take_account(role, msg);
	case MSG_AUDIT_NOTE:
		return take_note(role, msg);
	case MSG_STATUS:
		answer_status(role, msg->id);
		return true;
	case MSG_DRAIN:
		drain(role);
		return true;
	default:
		return false;
	}
}

/* Writes what is there, then ends. */
static void
on_monitor_lost(void *arg, const struct err *err)
{
	(void)err;
	finish(arg);
}

static int
receive_settings(struct audit_role *role, struct err *err)
{
	struct proc_msg msg;
	struct proc_reader r;
	int rc = monitor_link_config(role->monitor.channel, &msg, err);

	if (rc != 0)
		return rc;
	proc_reader_init(&r, &msg);
	if (!audit_role_settings_decode(&r, &role->settings))
		return err_set(err, ERR_PROTOCOL, "malformed configuration");
	/* Before the message's memory is reused. */
	return audit_role_prepare(&role->settings, role->recent, &role->log, err);
}

static int
start_loop(struct audit_role *role, const int *fds, size_t fd_count, struct err *err)
{
	int rc;

	role->lazy.data = role->tick.data = role->commit.data = role;
	if (uv_loop_init(&role->loop) != 0 ||
	    uv_timer_init(&role->loop, &role->lazy) != 0 ||
	    uv_timer_init(&role->loop, &role->tick) != 0 ||
	    uv_timer_start(&role->tick, on_tick, TICK_MS, TICK_MS) != 0 ||
	    uv_prepare_init(&role->loop, &role->commit) != 0 ||
	    uv_prepare_start(&role->commit, on_prepare) != 0)
		return err_set(err, ERR_SYSTEM, "cannot start the event loop");
	rc = monitor_link_start(&role->monitor, &role->loop, err);
	for (size_t i = 0; i < fd_count && rc == 0; i++)
		rc = add_link(role, fds[i], err);
	return rc;
}

int
audit_role_run(struct proc_channel *monitor, const int *fds, size_t fd_count)
{
	static struct audit_role the; /* of the process, and ends with it */
	struct audit_role *role = &the;
	struct proc_msg ready = {.type = MSG_READY};
	struct err err = ERR_INIT;

	log_setup("audit", LOG_INFO, LOG_FORMAT_TEXT);
	role->monitor = (struct monitor_link){.channel = monitor,
	    .take = on_monitor,
	    .lost = on_monitor_lost,
	    .arg = role};
	role->writable = true;
	role->recent = audit_recent_new();
	if (start_loop(role, fds, fd_count, &err) != 0 ||
	    receive_settings(role, &err) != 0 ||
	    proc_send(monitor, &ready, &err) != 0) {
		log_error("audit-start", "detail=%s", log_quote(str_from(err.msg)));
		return 1;
	}
	(void)uv_run(&role->loop, UV_RUN_DEFAULT); /* ends by uv_stop */
	audit_close(role->log);
	audit_recent_free(role->recent);
	return 0;
}
