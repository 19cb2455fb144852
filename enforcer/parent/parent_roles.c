#include "enforcer/parent/parent_state.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/log.h"
#include "enforcer/audit/audit_role.h"
#include "enforcer/dns/dns_role.h"
#include "enforcer/engine/engine.h"
#include "enforcer/kernel/kernel.h"
#include "enforcer/kube/kube_role.h"

#define RESTART_FIRST_MS 100
#define RESTART_MOST_MS  5000
#define LIVED_MS         10000 /* a role that lived as long starts again at once */
#define STOP_MS          5000  /* for a role to end by itself */
#define EXIT_MS          1000  /* the same, of one that has closed its socket */

const struct proc_role enforcer_roles[] = {
    [ROLE_KERNEL] = {"kernel", kernel_role_run},
    [ROLE_AUDIT] = {"audit", audit_role_run},
    [ROLE_DNS] = {"dns", dns_role_run},
    [ROLE_ENGINE] = {"engine", engine_role_run},
    [ROLE_KUBE] = {"kube", kube_role_run},
    [ROLE_COUNT] = {NULL, NULL},
};

void
parent_fail(struct parent *p, const char *event, const char *detail)
{
	log_error(event, "detail=%s", log_quote(str_from(detail)));
	p->status = 1;
	uv_stop(&p->loop);
}

const struct proc_role *
parent_role(enum role_id id)
{
	return &enforcer_roles[id < ROLE_KUBE ? id : ROLE_KUBE];
}

/* One that does not do as it should; its pidfd tells the rest. One that never was ready may
 * be about to exit, and to say by its status that it cannot start. */
void
parent_end_role(const struct supervised *role)
{
	struct pollfd wait = {.fd = role->child.pidfd, .events = POLLIN};

	if (role->child.pid == 0)
		return; /* it would be all of us */
	if (!role->ready)
		(void)poll(&wait, 1, EXIT_MS); /* either way it ends now */
	(void)kill(role->child.pid, SIGKILL);  /* it may have ended already */
}

/* ---- sending ---- */

void
parent_send(
    struct parent *p, enum role_id id, uint32_t type, const struct buf *body, int fd)
{
	struct supervised *role = &p->roles[id];
	struct err err = ERR_INIT;

	if (role->child.pid == 0 ||
	    link_send(&role->child.channel, type, 0, body, fd, &err) == 0)
		return;
	log_error("role-link", "role=%s detail=%s", parent_role(id)->name,
	    log_quote(str_from(err.msg)));
	parent_end_role(role);
}

void
parent_send_settings(struct parent *p, enum role_id id)
{
	const struct enforcer_config *c = p->config;
	const struct role_settings role = {
	    .uid = p->uid,
	    .gid = p->gid,
	    .log_level = c->log_level,
	    .log_format = c->log_format,
	};
	struct buf body = {0}, origin = {0};

	if (id == ROLE_KERNEL) {
		const struct kernel_settings s = {.role = role,
		    .flow_group = c->flow_group,
		    .names_group = c->names_group,
		    .own_table = c->own_table,
		    .address_places = c->address_places,
		    .address_place_count = c->address_place_count,
		    .steering = c->steering};

		kernel_settings_encode(&body, &s);
	} else if (id == ROLE_AUDIT) {
		struct audit_settings s = {
		    .role = role, .directory = str_from(c->audit_directory)};

		buf_printf(&origin, "%.*s/enforcer", STR_ARG(c->node));
		s.origin = buf_str(&origin);
		audit_settings_encode(&body, &s);
	} else if (id == ROLE_DNS) {
		dns_settings_encode(&body, &role, c);
	} else if (id == ROLE_ENGINE) {
		engine_settings_encode(&body, &role, c);
	} else {
		struct kube_settings s = {.role = role};

		parent_kube_settings(p, (size_t)id - ROLE_KUBE, &s);
		kube_settings_encode(&body, &s);
	}
	parent_send(p, id, MSG_SETTINGS, &body, -1);
	buf_free(&body);
	buf_free(&origin);
}

void
parent_send_config_read(struct parent *p)
{
	struct buf body = {0};

	proc_put_u32(&body, p->config_errors);
	parent_send(p, ROLE_ENGINE, MSG_CONFIG_READ, &body, -1);
	buf_free(&body);
}

/* The engine, which has no /proc, reads there what the process takes. -1: it does without. */
static int
open_stat(pid_t pid)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static void
send_role(
    struct parent *p, uint32_t index, const char *name, pid_t pid, uint32_t restarts)
{
	struct buf body = {0};
	int fd = open_stat(pid);

	proc_put_u32(&body, index);
	proc_put_str(&body, str_from(name));
	proc_put_u32(&body, (uint32_t)pid);
	proc_put_u32(&body, restarts);
	parent_send(p, ROLE_ENGINE, MSG_ROLE, &body, fd);
	if (fd >= 0)
		(void)close(fd); /* the engine has its own */
	buf_free(&body);
}

static void
send_roles(struct parent *p)
{
	uint32_t index = 0;

	send_role(p, index++, "parent", getpid(), 0);
	for (size_t i = 0; i < ROLE_SLOTS; i++) {
		const struct supervised *role = &p->roles[i];

		if (role->child.pid != 0)
			send_role(p, index++, parent_role((enum role_id)i)->name,
			    role->child.pid, role->restarts);
	}
}

void
parent_send_flow_file(struct parent *p)
{
	struct err err = ERR_INIT;
	struct buf body = {0};
	int fd;

	if (files_open_flow_log(p->config, &fd, &err) != 0)
		log_error("flow-log", "detail=%s", log_quote(str_from(err.msg)));
	proc_put_u8(&body, p->config->flow_file != NULL);
	parent_send(p, ROLE_ENGINE, MSG_FLOW_FILE, &body, fd);
	buf_free(&body);
	if (fd >= 0)
		(void)close(fd); /* the engine has its own */
}

static void
parent_send_names_file(struct parent *p)
{
	struct err err = ERR_INIT;
	int fd;

	if (files_open_names(p->config, &fd, &err) != 0)
		log_error("names-file", "detail=%s", log_quote(str_from(err.msg)));
	parent_send(p, ROLE_ENGINE, MSG_NAMES_FILE, NULL, fd);
	if (fd >= 0)
		(void)close(fd); /* the engine has its own */
}

/* What is said of a receiver beside the socket. */
static uint8_t
export_flags(const struct parent *p, enum enforcer_export kind)
{
	const struct enforcer_config *c = p->config;

	if (kind == EXPORT_JOURNAL)
		return c->journal_socket != NULL ? EXPORT_CONFIGURED : 0;
	if (!c->has_ipfix)
		return 0;
	return EXPORT_CONFIGURED | (c->ipfix_tcp ? EXPORT_STREAM : 0);
}

/* A receiver that is not there is told of; the engine has it tried again. */
static void
send_export(struct parent *p, enum enforcer_export kind, bool again)
{
	static int (*const connects[])(
	    const struct enforcer_config *c, int *out_fd, struct err *err) = {
	    [EXPORT_JOURNAL] = files_connect_journal,
	    [EXPORT_IPFIX] = files_connect_ipfix,
	};

	struct err err = ERR_INIT;
	struct buf body = {0};
	int fd;

	if (connects[kind](p->config, &fd, &err) != 0 && !again)
		log_error("flow-export", "detail=%s", log_quote(str_from(err.msg)));
	proc_put_u8(&body, (uint8_t)kind);
	proc_put_u8(&body, export_flags(p, kind));
	proc_put_u32(&body, p->config->ipfix_domain);
	proc_put_u32(&body, p->config->ipfix_enterprise);
	parent_send(p, ROLE_ENGINE, MSG_FLOW_EXPORT, &body, fd);
	if (fd >= 0)
		(void)close(fd); /* the engine has its own */
	buf_free(&body);
}

void
parent_send_exports(struct parent *p)
{
	for (unsigned i = 0; i < EXPORT_COUNT; i++)
		send_export(p, (enum enforcer_export)i, false);
}

/* A socket between the engine and another role, which begins anew where there is none to have. */
static void
connect_roles(
    struct parent *p, enum role_id other, uint32_t type, const struct buf *body)
{
	struct err err = ERR_INIT;
	int pair[2];

	if (p->roles[ROLE_ENGINE].child.pid == 0 || p->roles[other].child.pid == 0)
		return;
	if (proc_pair(pair, true, &err) != 0) {
		log_error("role-link", "role=%s detail=%s", parent_role(other)->name,
		    log_quote(str_from(err.msg)));
		parent_end_role(&p->roles[other]);
		return;
	}
	parent_send(p, ROLE_ENGINE, type, body, pair[0]);
	parent_send(p, other, MSG_ENGINE_LINK, NULL, pair[1]);
	(void)close(pair[0]); /* they have their own */
	(void)close(pair[1]);
}

void
parent_connect_kube(struct parent *p, size_t source)
{
	struct buf body = {0};

	proc_put_u32(&body, (uint32_t)source);
	connect_roles(p, (enum role_id)(ROLE_KUBE + source), MSG_KUBE_LINK, &body);
	buf_free(&body);
}

/* Everything that a new engine needs. */
static void
equip_engine(struct parent *p)
{
	for (uint8_t i = 0; i < LISTENER_COUNT; i++) {
		struct buf body = {0};

		if (p->listeners[i] < 0)
			continue;
		proc_put_u8(&body, i);
		parent_send(p, ROLE_ENGINE, MSG_LISTENER, &body, p->listeners[i]);
		buf_free(&body);
	}
	parent_send_flow_file(p);
	parent_send_names_file(p);
	parent_send_exports(p);
	parent_send_config_read(p);
	parent_bridge_tell(p);
	parent_uplinks_tell(p);
	parent_own_tell(p);
	parent_sources_tell(p);
}

static void
connect_all(struct parent *p, enum role_id started)
{
	if (started == ROLE_ENGINE || started == ROLE_AUDIT)
		connect_roles(p, ROLE_AUDIT, MSG_AUDIT_LINK, NULL);
	if (started == ROLE_ENGINE || started == ROLE_KERNEL)
		connect_roles(p, ROLE_KERNEL, MSG_KERNEL_LINK, NULL);
	if (started == ROLE_ENGINE || started == ROLE_DNS)
		connect_roles(p, ROLE_DNS, MSG_DNS_LINK, NULL);
	for (size_t i = 0; i < ENFORCER_MAX_SOURCES; i++) {
		if (started == ROLE_ENGINE || started == ROLE_KUBE + i)
			parent_connect_kube(p, i);
	}
	send_roles(p);
}

/* ---- what roles say, and their end ---- */

static void
tell_ready(struct parent *p)
{
	if (p->told_ready)
		return;
	p->told_ready = true;
	proc_notify("READY=1");
	proc_ready_fd(p->ready_fd);
	p->ready_fd = -1;
	log_info("ready", "node=%s", log_quote(p->config->node));
}

/* The engine wants all of a source, whatever it has of it. */
static bool
on_source_wanted(struct parent *p, struct proc_msg *msg)
{
	struct proc_reader r;
	uint32_t index;

	proc_reader_init(&r, msg);
	index = proc_get_u32(&r);
	if (!proc_reader_done(&r) || index >= p->config->source_count)
		return false;
	parent_source_tell(p, index);
	return true;
}

static bool
on_export_wanted(struct parent *p, struct proc_msg *msg)
{
	struct proc_reader r;
	uint8_t kind;

	proc_reader_init(&r, msg);
	kind = proc_get_u8(&r);
	if (!proc_reader_done(&r) || kind >= EXPORT_COUNT)
		return false;
	send_export(p, (enum enforcer_export)kind, true);
	return true;
}

static bool
on_role_message(void *arg, struct proc_msg *msg)
{
	struct supervised *role = arg;

	if (role->id == ROLE_ENGINE && msg->type == MSG_SOURCE_WANTED)
		return on_source_wanted(role->parent, msg);
	if (role->id == ROLE_ENGINE && msg->type == MSG_EXPORT_WANTED)
		return on_export_wanted(role->parent, msg);
	if (role->id >= ROLE_KUBE && msg->type == MSG_KUBE_ACCESS_WANTED) {
		parent_kube_refresh(role->parent, (size_t)role->id - ROLE_KUBE, false);
		return true;
	}
	if ((msg->type != MSG_READY && msg->type != MSG_PONG) || msg->len != 0)
		return false;
	role->answers = true;
	role->silent = 0;
	if (msg->type == MSG_PONG)
		return true;
	role->ready = true;
	if (role->id == ROLE_ENGINE)
		tell_ready(role->parent);
	return true;
}

/* Its end shows on the pidfd; a role that broke the rules is ended here. */
static void
on_role_lost(void *arg)
{
	struct supervised *role = arg;

	link_free(role->link);
	role->link = NULL;
	parent_end_role(role);
}

static void
on_watch_closed(uv_handle_t *handle)
{
	free(handle);
}

static void
unwatch(struct supervised *role)
{
	link_free(role->link);
	role->link = NULL;
	if (role->watch == NULL)
		return;
	(void)uv_poll_stop(role->watch); /* of an open handle: cannot fail */
	uv_close((uv_handle_t *)role->watch, on_watch_closed);
	role->watch = NULL;
}

static void
on_restart(uv_timer_t *timer)
{
	struct supervised *role = timer->data;

	parent_start_role(role->parent, role->id);
}

static void
choose_delay(struct supervised *role, uint64_t lived_ms)
{
	role->delay_ms = lived_ms >= LIVED_MS  ? 0
			 : role->delay_ms == 0 ? RESTART_FIRST_MS
					       : role->delay_ms * 2;
	if (role->delay_ms > RESTART_MOST_MS)
		role->delay_ms = RESTART_MOST_MS;
}

static void
restart_after(struct supervised *role)
{
	if (uv_timer_start(&role->restart, on_restart, role->delay_ms, 0) != 0)
		base_die("cannot start a timer");
}

static void
on_role_end(uv_poll_t *poll, int status, int events)
{
	struct supervised *role = poll->data;
	struct parent *p = role->parent;
	uint64_t lived_ms = monotime_since(role->started, monotime_now()) / 1000000;
	int code;

	(void)status; /* either way it has ended */
	(void)events;
	unwatch(role);
	code = proc_stop(&role->child, 0);
	if (p->stopping)
		return;
	/* One that cannot start says so and exits; one that was killed is started anew.
	 * A disk that takes no record now may do so later, and leaves no node open. */
	if (!role->ready && role->id < ROLE_ENGINE && role->id != ROLE_AUDIT &&
	    code < 128) {
		parent_fail(p, "role-not-started", parent_role(role->id)->name);
		return;
	}
	choose_delay(role, lived_ms);
	role->restarts++;
	log_error("role-ended", "role=%s status=%d restart-in-ms=%llu",
	    parent_role(role->id)->name, code, (unsigned long long)role->delay_ms);
	send_roles(p);
	restart_after(role);
}

static int
watch_role(struct parent *p, struct supervised *role, struct err *err)
{
	static const struct link_handler handler = {on_role_message, on_role_lost};
	int rc =
	    link_new(&p->loop, &role->child.channel, &handler, role, &role->link, err);

	if (rc != 0)
		return rc;
	role->watch = xcalloc(1, sizeof(*role->watch));
	role->watch->data = role;
	if (uv_poll_init(&p->loop, role->watch, role->child.pidfd) != 0) {
		free(role->watch);
		role->watch = NULL;
		return err_set(err, ERR_SYSTEM, "cannot watch a role");
	}
	if (uv_poll_start(role->watch, UV_READABLE, on_role_end) != 0)
		return err_set(err, ERR_SYSTEM, "cannot watch a role");
	return 0;
}

static void
make_audit_directory(const struct parent *p)
{
	struct err err = ERR_INIT;

	if (files_make_audit_directory(p->config, p->uid, p->gid, &err) != 0)
		log_error("audit-directory", "detail=%s", log_quote(str_from(err.msg)));
}

/* While all goes on, what is lacking (memory, processes, descriptors) may come back; if we ended,
 * nobody would hold the table. */
static void
not_started(struct supervised *role, struct err *err)
{
	struct parent *p = role->parent;

	unwatch(role);
	(void)proc_stop(&role->child, 0); /* if there is one */
	if (!p->told_ready) {
		parent_fail(p, "role-not-started", err->msg);
		return;
	}
	choose_delay(role, 0);
	log_error("role-not-started", "role=%s detail=%s restart-in-ms=%llu",
	    parent_role(role->id)->name, log_quote(str_from(err->msg)),
	    (unsigned long long)role->delay_ms);
	restart_after(role);
}

void
parent_start_role(struct parent *p, enum role_id id)
{
	struct supervised *role = &p->roles[id];
	/* The table is the socket's: as long as we hold it, a kernel role that ends
	 * leaves no table that others can touch. And who asks while there is no DNS role
	 * is answered by the next. */
	const int *fds = id == ROLE_DNS ? p->dns_fds : &p->nft_fd;
	size_t fd_count = id == ROLE_DNS ? p->dns_fd_count : id == ROLE_KERNEL;
	struct err err = ERR_INIT;

	if (id == ROLE_AUDIT)
		make_audit_directory(p);
	if (proc_spawn(&role->child, parent_role(id), fds, fd_count, true, &err) != 0 ||
	    watch_role(p, role, &err) != 0) {
		not_started(role, &err);
		return;
	}
	role->started = monotime_now();
	role->answers = id == ROLE_ENGINE; /* which is ready long after it has begun */
	role->silent = 0;
	parent_send_settings(p, id);
	if (id == ROLE_ENGINE)
		equip_engine(p);
	connect_all(p, id);
	if (id >= ROLE_KUBE)
		parent_kube_refresh(p, (size_t)id - ROLE_KUBE, false);
}

/* Waits until a role has ended by itself; then ends it. */
void
parent_stop_role(struct parent *p, enum role_id id)
{
	struct supervised *role = &p->roles[id];
	struct pollfd wait = {.fd = role->child.pidfd, .events = POLLIN};

	unwatch(role);
	if (role->child.pid == 0)
		return;
	parent_send(p, id, MSG_STOP, NULL, -1);
	(void)poll(&wait, 1, STOP_MS);    /* whether it did is seen in the next line */
	(void)proc_stop(&role->child, 0); /* its status matters to nobody now */
}
