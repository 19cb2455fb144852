#include "enforcer/dns/dns_role.h"

#include <stdlib.h>
#include <string.h>

#include <seccomp.h>

#include "common/log.h"
#include "enforcer/dns/dns_internal.h"
#include "enforcer/wire/messages.h"

#define START_MS  10000 /* for the parent to say what to do */
#define TICK_MS   50
#define REPORT_MS 500
#define ENGINE_MS 10000 /* for another engine to come */
/* One for each query and connection, and some. */
#define ROLE_FILES (LIMIT_DNS_QUERIES + LIMIT_DNS_CONNECTIONS + 128u)

/* Beyond proc_syscalls_basic: resolvers are called, connections of workloads taken. */
static const int dns_syscalls[] = {
    SCMP_SYS(socket), SCMP_SYS(connect), SCMP_SYS(accept4), -1};

/* ---- the loop ---- */

static void
on_poll_closed(uv_handle_t *handle)
{
	free(handle);
}

void
dns_unwatch(uv_poll_t *poll)
{
	if (poll == NULL)
		return;
	(void)uv_poll_stop(poll); /* of an open handle: cannot fail */
	uv_close((uv_handle_t *)poll, on_poll_closed);
}

uv_poll_t *
dns_watch(struct dns_role *d, int fd, int events, uv_poll_cb callback, void *arg)
{
	uv_poll_t *poll = xcalloc(1, sizeof(*poll));

	if (uv_poll_init(&d->loop, poll, fd) != 0) {
		free(poll);
		return NULL;
	}
	poll->data = arg;
	if (uv_poll_start(poll, events, callback) == 0)
		return poll;
	dns_unwatch(poll);
	return NULL;
}

static void
on_tick(uv_timer_t *timer)
{
	struct dns_role *d = timer->data;
	const monotime_t now = monotime_now();

	dns_ask_tick(d, now);
	dns_listen_tick(d, now);
	if (d->conns == NULL && dns_share_taken(d->share, SHARE_QUERIES) == 0)
		(void)uv_timer_stop(timer); /* cannot fail */
}

void
dns_run_clock(struct dns_role *d)
{
	if (!uv_is_active((uv_handle_t *)&d->tick) &&
	    uv_timer_start(&d->tick, on_tick, TICK_MS, TICK_MS) != 0)
		base_die("cannot start a timer");
}

/* ---- the engine ---- */

bool
dns_tell_engine(struct dns_role *d, uint32_t type, const struct buf *body)
{
	struct err err = ERR_INIT;

	return link_send(&d->engine, type, 0, body, -1, &err) == 0;
}

static void
on_report(uv_timer_t *timer)
{
	struct dns_role *d = timer->data;
	struct buf body = {0};

	d->counts[DNS_COUNT_WAITING] = dns_share_taken(d->share, SHARE_QUERIES);
	if (memcmp(d->counts, d->told, sizeof(d->counts)) == 0)
		return;
	dns_counts_encode(&body, d->counts);
	if (dns_tell_engine(d, MSG_DNS_COUNTS, &body))
		memcpy(d->told, d->counts, sizeof(d->told));
	buf_free(&body);
}

static bool
on_tenant(struct dns_role *d, struct proc_msg *msg)
{
	struct proc_reader r;
	struct ip_addr client;
	struct str tenant;

	proc_reader_init(&r, msg);
	client = proc_get_ip(&r);
	tenant = proc_get_str(&r);
	if (!proc_reader_done(&r))
		return false;
	dns_share_tell(d->share, &client, tenant, monotime_now());
	return true;
}

/* The engine says something. */
static void
hear_engine(struct dns_role *d)
{
	d->heard = monotime_now();
	if (d->deaf)
		log_info("engine-heard", "detail=\"answers wait for it again\"");
	d->deaf = false;
}

static bool
on_engine_message(void *arg, struct proc_msg *msg)
{
	struct dns_role *d = arg;
	struct proc_reader r;
	uint32_t ticket;

	hear_engine(d);
	if (msg->type == MSG_DNS_TENANT)
		return on_tenant(d, msg);
	proc_reader_init(&r, msg);
	if (msg->type == MSG_DNS_HERE)
		return proc_reader_done(&r);
	ticket = proc_get_u32(&r);
	if (msg->type != MSG_DNS_PASS || !proc_reader_done(&r))
		return false;
	dns_ask_pass(d, ticket);
	return true;
}

static void
on_missing(uv_timer_t *timer)
{
	struct dns_role *d = timer->data;

	log_error("engine-missing", "detail=\"no engine came\"");
	uv_stop(&d->loop);
}

static void
drop_engine(struct dns_role *d)
{
	link_free(d->engine_link);
	d->engine_link = NULL;
	proc_channel_close(&d->engine);
}

/* Answers wait on: the parent sends another. If it is there and does not want us any more, it
 * takes another of us. */
static void
on_engine_lost(void *arg)
{
	struct dns_role *d = arg;

	drop_engine(d);
	if (uv_timer_start(&d->missing, on_missing, ENGINE_MS, 0) != 0)
		base_die("cannot start a timer");
}

/* ---- the parent ---- */

static bool
on_engine_link(struct dns_role *d, struct proc_msg *msg)
{
	static const struct link_handler handler = {on_engine_message, on_engine_lost};
	struct err err = ERR_INIT;
	const int fd = link_take_fd(msg);

	if (fd < 0)
		return false;
	drop_engine(d);
	(void)uv_timer_stop(&d->missing); /* cannot fail */
	proc_channel_init(&d->engine, fd);
	if (link_new(&d->loop, &d->engine, &handler, d, &d->engine_link, &err) != 0)
		return false;
	hear_engine(d); /* as if */
	memset(d->told, 0, sizeof(d->told));
	dns_ask_again(d);
	return true;
}

static bool
on_settings(struct dns_role *d, struct proc_msg *msg)
{
	struct arena *arena = arena_new_sized(1024);
	struct dns_settings settings;
	struct proc_reader r;

	proc_reader_init(&r, msg);
	if (!dns_settings_decode(arena, &r, &settings) ||
	    settings.resolver_count == 0) {
		arena_free(arena);
		return false;
	}
	arena_free(d->arena);
	d->arena = arena;
	d->settings = settings;
	log_setup("dns", settings.role.log_level, settings.role.log_format);
	return true;
}

static bool
on_parent_message(void *arg, struct proc_msg *msg)
{
	struct dns_role *d = arg;

	switch (msg->type) {
	case MSG_SETTINGS:
		return on_settings(d, msg);
	case MSG_ENGINE_LINK:
		return on_engine_link(d, msg);
	case MSG_PING:
		link_pong(d->parent);
		return true;
	case MSG_STOP:
		uv_stop(&d->loop);
		return true;
	default:
		return false;
	}
}

static void
on_parent_lost(void *arg)
{
	struct dns_role *d = arg;

	uv_stop(&d->loop);
}

/* ---- life ---- */

static int
confine(const struct dns_role *d, struct err *err)
{
	const struct proc_sandbox sandbox = {
	    .uid = d->settings.role.uid,
	    .gid = d->settings.role.gid,
	    .empty_root = true,
	    .files = PROC_FILES_NONE,
	    .syscalls = proc_syscalls_basic,
	    .more_syscalls = dns_syscalls,
	    .max_files = ROLE_FILES,
	};

	return proc_confine(&sandbox, err);
}

static int
receive_settings(struct dns_role *d, struct err *err)
{
	struct proc_msg msg;
	int rc = settings_receive(d->parent, START_MS, &msg, err);

	if (rc != 0)
		return rc;
	return on_settings(d, &msg) ? 0
				    : err_set(err, ERR_PROTOCOL, "malformed settings");
}

static int
start(struct dns_role *d, const int *fds, size_t fd_count, struct err *err)
{
	static const struct link_handler parent = {on_parent_message, on_parent_lost};
	static const size_t most[SHARE_COUNT] = {
	    [SHARE_QUERIES] = LIMIT_DNS_QUERIES,
	    [SHARE_CONNECTIONS] = LIMIT_DNS_CONNECTIONS,
	};
	int rc;

	if (uv_loop_init(&d->loop) != 0 || uv_timer_init(&d->loop, &d->tick) != 0 ||
	    uv_timer_init(&d->loop, &d->reports) != 0 ||
	    uv_timer_init(&d->loop, &d->missing) != 0)
		return err_set(err, ERR_SYSTEM, "cannot make the event loop");
	d->tick.data = d->reports.data = d->missing.data = d;
	d->share = dns_share_new(most, LIMIT_DNS_RATE);
	dns_ask_init(d);
	rc = receive_settings(d, err);
	if (rc == 0)
		rc = confine(d, err);
	if (rc == 0)
		rc = dns_listen_begin(d, fds, fd_count, err);
	if (rc != 0)
		return rc;
	if (uv_timer_start(&d->reports, on_report, REPORT_MS, REPORT_MS) != 0)
		return err_set(err, ERR_SYSTEM, "cannot start a timer");
	rc = link_new(&d->loop, d->parent, &parent, d, &d->parent_link, err);
	if (rc == 0)
		rc = link_send(d->parent, MSG_READY, 0, NULL, -1, err);
	return rc;
}

static void
finish(struct dns_role *d)
{
	link_free(d->parent_link);
	drop_engine(d);
	dns_listen_end(d);
	dns_ask_fini(d);
	uv_close((uv_handle_t *)&d->tick, NULL);
	uv_close((uv_handle_t *)&d->reports, NULL);
	uv_close((uv_handle_t *)&d->missing, NULL);
	(void)uv_run(&d->loop, UV_RUN_DEFAULT); /* until all handles are closed */
	(void)uv_loop_close(&d->loop);          /* they are */
	dns_share_free(d->share);
	arena_free(d->arena);
}

int
dns_role_run(struct proc_channel *parent, const int *fds, size_t fd_count)
{
	struct dns_role *d = xcalloc(1, sizeof(*d));
	struct err err = ERR_INIT;

	log_setup("dns", LOG_INFO, LOG_FORMAT_TEXT);
	d->parent = parent;
	d->engine.fd = -1;
	if (start(d, fds, fd_count, &err) != 0) {
		log_error("start", "detail=%s", log_quote(str_from(err.msg)));
		return 1;
	}
	(void)uv_run(&d->loop, UV_RUN_DEFAULT); /* ends by uv_stop */
	finish(d);
	free(d);
	return 0;
}
