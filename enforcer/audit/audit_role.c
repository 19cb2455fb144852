#include "enforcer/audit/audit_role.h"

#include <errno.h>
#include <poll.h>

#include "common/audit.h"
#include "common/clock.h"
#include "common/log.h"
#include "enforcer/audit/audit_event.h"
#include "enforcer/config/settings.h"
#include "enforcer/wire/link.h"
#include "enforcer/wire/messages.h"

#define START_MS      10000 /* for the parent to say what to do */
#define LAZY_MS       100   /* how long a line that nobody waits for may wait */
#define RETRY_MS      250   /* after the log could not be written */
#define CHECKPOINT_MS 1000  /* how often the signed checkpoint is renewed */
#define READ_BATCH    512

struct audit_role {
	struct proc_channel *parent;
	struct proc_channel engine; /* fd -1: none */
	struct arena *arena;
	struct audit_settings settings;
	struct audit_log *log;
	uint64_t appended; /* ticket of the last line; 0: nothing waits for a sync */
	monotime_t since;  /* when the first of them came */
	bool urgent;       /* somebody waits */
	bool writable;
	bool stop;
};

static void
tell(struct audit_role *a, uint32_t type, uint64_t ticket, bool value)
{
	struct buf body = {0};
	const struct proc_msg unsent = {.type = type};
	struct proc_msg msg = unsent;
	struct err err = ERR_INIT;

	if (type == MSG_AUDIT_DONE)
		proc_put_u64(&body, ticket);
	proc_put_u8(&body, value);
	msg.data = (const uint8_t *)body.data;
	msg.len = body.len;
	if (a->engine.fd >= 0 && proc_send(&a->engine, &msg, &err) != 0)
		proc_channel_close(&a->engine);
	buf_free(&body);
}

static void
set_writable(struct audit_role *a, bool writable, const struct err *err)
{
	if (a->writable == writable)
		return;
	a->writable = writable;
	if (writable)
		log_info("audit-writable", "lines=%llu",
		    (unsigned long long)audit_size(a->log));
	else
		log_error(
		    "audit-not-writable", "detail=%s", log_quote(str_from(err->msg)));
	tell(a, MSG_AUDIT_STATE, 0, writable);
}

/* That nothing could be written for a while is itself to be on record; and only a line
 * shows whether one can be written again. */
static bool
append_resumed(struct audit_role *a, struct err *err)
{
	static const uint8_t no_id[16] = {0};
	const struct audit_resumed resumed = {
	    .origin = a->settings.origin, .now = walltime_now()};
	struct buf line = {0};
	int rc;

	audit_event_resumed(&line, no_id, &resumed);
	rc = audit_append(a->log, buf_str(&line), err);
	buf_free(&line);
	return rc == 0;
}

/* Lines that cannot be written are not kept: whoever waits for one is told. */
static void
commit(struct audit_role *a)
{
	struct err err = ERR_INIT;
	bool ok =
	    (a->writable || append_resumed(a, &err)) && audit_sync(a->log, &err) == 0;

	set_writable(a, ok, &err);
	if (a->appended != 0)
		tell(a, MSG_AUDIT_DONE, a->appended, ok);
	a->appended = 0;
	a->urgent = false;
}

/* False: the engine sends what is no line. */
static bool
append(struct audit_role *a, const struct proc_msg *msg)
{
	struct err err = ERR_INIT;
	struct proc_reader r;
	struct str line;
	uint64_t ticket;
	bool urgent;

	proc_reader_init(&r, msg);
	ticket = proc_get_u64(&r);
	urgent = proc_get_u8(&r) != 0;
	if (!r.ok || ticket == 0)
		return false;
	line = (struct str){(const char *)msg->data + r.pos, msg->len - r.pos};
	if (audit_append(a->log, line, &err) == ERR_LIMIT) {
		commit(a);
		if (audit_append(a->log, line, &err) != 0) {
			tell(a, MSG_AUDIT_DONE, ticket, false);
			return true;
		}
	} else if (err.code != ERR_NONE) {
		return false;
	}
	if (a->appended == 0)
		a->since = monotime_now();
	a->appended = ticket;
	a->urgent |= urgent;
	return true;
}

static void
on_engine(struct audit_role *a)
{
	int rc = 1;

	for (unsigned n = 0; n < READ_BATCH && rc == 1 && a->engine.fd >= 0; n++) {
		struct err err = ERR_INIT;
		struct proc_msg msg;

		rc = proc_recv(&a->engine, &msg, &err);
		if (rc != 1)
			break;
		proc_msg_close_fds(&msg);
		if (msg.type != MSG_AUDIT_APPEND || !append(a, &msg)) {
			log_error("engine-link", "detail=\"malformed message\"");
			rc = ERR_PROTOCOL;
		}
	}
	if (rc < 0) /* what it sent before stays appended */
		proc_channel_close(&a->engine);
}

static void
on_parent(struct audit_role *a)
{
	struct err err = ERR_INIT;
	struct proc_msg msg;
	int rc = proc_recv(a->parent, &msg, &err);

	if (rc == 0)
		return;
	if (rc == 1 && msg.type == MSG_PING) {
		link_pong(a->parent);
		return;
	}
	if (rc == 1 && msg.type == MSG_ENGINE_LINK && msg.fd_count == 1) {
		proc_channel_close(&a->engine);
		proc_channel_init(&a->engine, msg.fds[0]);
		tell(a, MSG_AUDIT_STATE, 0, a->writable);
		return;
	}
	if (rc == 1)
		proc_msg_close_fds(&msg);
	if (a->engine.fd >= 0)
		on_engine(a); /* what it sent last */
	a->stop = true;
}

/* How long nothing may happen, as poll(2) wants it. */
static int
patience_ms(const struct audit_role *a)
{
	if (a->urgent)
		return 0;
	if (a->appended != 0)
		return LAZY_MS;
	return a->writable ? CHECKPOINT_MS : RETRY_MS;
}

static void
run_loop(struct audit_role *a)
{
	while (!a->stop) {
		struct pollfd wait[2] = {
		    {.fd = a->parent->fd, .events = POLLIN},
		    {.fd = a->engine.fd, .events = POLLIN},
		};
		int n = poll(wait, 2, patience_ms(a));

		if (n < 0 && errno != EINTR)
			base_die("poll");
		if (n > 0 && wait[0].revents != 0)
			on_parent(a);
		else if (n > 0 && wait[1].revents != 0)
			on_engine(a);
		if (a->stop || n <= 0 || a->urgent ||
		    (a->appended != 0 && monotime_since(a->since, monotime_now()) >=
					     LAZY_MS * 1000000ull))
			commit(a);
	}
}

static int
start(struct audit_role *a, struct err *err)
{
	static const struct proc_sandbox power = {
	    .empty_root = true,
	    .syscalls = proc_syscalls_basic,
	    .more_syscalls = audit_syscalls,
	};
	struct proc_sandbox sandbox = power;
	struct audit_options options = {.checkpoint_interval_ms = CHECKPOINT_MS};
	struct proc_msg msg;
	struct proc_reader r;
	int rc = settings_receive(a->parent, START_MS, &msg, err);

	if (rc != 0)
		return rc;
	proc_reader_init(&r, &msg);
	if (!audit_settings_decode(a->arena, &r, &a->settings))
		return err_set(err, ERR_PROTOCOL, "malformed settings");
	log_setup("audit", a->settings.role.log_level, a->settings.role.log_format);
	sandbox.uid = a->settings.role.uid;
	sandbox.gid = a->settings.role.gid;
	options.directory = a->settings.directory.ptr;
	options.origin = a->settings.origin.ptr;
	rc = audit_open(&options, &a->log, err);
	if (rc != 0)
		return err_wrap(err, "audit log %s", options.directory);
	return proc_confine(&sandbox, err);
}

int
audit_role_run(struct proc_channel *parent, const int *fds, size_t fd_count)
{
	struct audit_role a = {.parent = parent,
	    .engine = {.fd = -1},
	    .arena = arena_new(),
	    .writable = true};
	const struct proc_msg ready = {.type = MSG_READY};
	struct err err = ERR_INIT;
	int status = 1;

	(void)fds;
	(void)fd_count; /* none are passed */
	log_setup("audit", LOG_INFO, LOG_FORMAT_TEXT);
	if (start(&a, &err) != 0 || proc_send(parent, &ready, &err) != 0) {
		log_error("start", "detail=%s", log_quote(str_from(err.msg)));
	} else {
		run_loop(&a);
		status = 0;
	}
	proc_channel_close(&a.engine);
	audit_close(a.log);
	arena_free(a.arena);
	return status;
}
