#include "enforcer/engine/engine.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <seccomp.h>

#include "common/log.h"
#include "enforcer/control/control.h"
#include "enforcer/engine/engine_state.h"
#include "enforcer/metrics/metrics.h"

#define START_MS 10000 /* for the parent to say what to do */
#define TICK_MS  100

/* Beyond proc_syscalls_basic: blobs, and the listening sockets that the parent made. */
static const int engine_syscalls[] = {SCMP_SYS(memfd_create), SCMP_SYS(listen),
    SCMP_SYS(accept4), SCMP_SYS(ftruncate), -1};

/* ---- settings ---- */

/* Sources that are the same directory as before keep what they had. */
static void
move_sources(struct engine *e, const struct engine_settings *old)
{
	struct engine_source before[ENFORCER_MAX_SOURCES];

	memcpy(before, e->sources, sizeof(before));
	memset(e->sources, 0, sizeof(e->sources));
	for (size_t i = 0; i < ENFORCER_MAX_SOURCES; i++)
		e->sources[i].bundle_fd = -1;
	for (size_t i = 0; i < e->settings.source_count; i++) {
		for (size_t j = 0; j < old->source_count; j++) {
			if (!str_eq(e->settings.sources[i].directory,
				old->sources[j].directory))
				continue;
			e->sources[i] = before[j];
			before[j] = (struct engine_source){.bundle_fd = -1};
		}
	}
	for (size_t i = 0; i < ENFORCER_MAX_SOURCES; i++) {
		if (before[i].bundle_fd >= 0)
			(void)close(before[i].bundle_fd); /* only read from */
		arena_free(before[i].arena);
		engine_refused_forgive_all(&before[i]);
	}
}

static bool
on_settings(struct engine *e, struct proc_msg *msg)
{
	struct arena *arena = arena_new();
	struct engine_settings old = e->settings;
	struct engine_settings settings = {0};
	struct proc_reader r;

	proc_reader_init(&r, msg);
	if (!engine_settings_decode(arena, &r, &settings)) {
		arena_free(arena);
		return false;
	}
	e->settings = settings;
	e->settings.learnt = settings.names_group != 0 ? e->names.learnt : NULL;
	e->settings.no_nat = old.no_nat;
	e->settings.no_fib = old.no_fib;
	memcpy(e->settings.uplinks, old.uplinks, sizeof(old.uplinks));
	e->settings.uplink_count = old.uplink_count;
	e->settings.own = old.own;
	e->settings.own_count = old.own_count;
	engine_kernel_limit(e);
	engine_kube_forget(e);
	engine_edits_forget(e); /* sources that were edited come again as a whole */
	move_sources(e, &old);
	arena_free(e->settings_arena);
	e->settings_arena = arena;
	log_setup("engine", settings.role.log_level, settings.role.log_format);
	engine_load_whole(e);
	engine_cut_want(e, true); /* what was kept may not be any longer */
	return true;
}

/* ---- what the parent sends ---- */

bool
engine_take_source(struct engine *e, struct proc_msg *msg)
{
	struct proc_reader r;
	uint32_t index;
	struct str why;

	proc_reader_init(&r, msg);
	index = proc_get_u32(&r);
	why = proc_get_str(&r);
	if (!proc_reader_done(&r) || index >= e->settings.source_count)
		return false;
	if (msg->fd_count == 0)
		engine_source_failed(e, index, why);
	else
		engine_source_arrived(e, index, link_take_fd(msg));
	return true;
}

bool
engine_take_source_edit(struct engine *e, struct proc_msg *msg)
{
	struct queued_edit edit = {.arena = arena_new_sized(1024)};
	struct proc_reader r;
	uint32_t count;

	proc_reader_init(&r, msg);
	edit.source = proc_get_u32(&r);
	count = proc_get_u32(&r);
	if (count > msg->len / sizeof(uint32_t))
		goto refused;
	edit.gone = ARENA_ARRAY(edit.arena, count, struct str);
	for (uint32_t i = 0; i < count; i++)
		edit.gone[i] = str_dup(edit.arena, proc_get_str(&r));
	edit.gone_count = count;
	if (!proc_reader_done(&r) || edit.source >= e->settings.source_count ||
	    msg->fd_count == 0)
		goto refused;
	edit.bundle_fd = link_take_fd(msg);
	engine_source_edited(e, &edit);
	return true;
refused:
	arena_free(edit.arena);
	return false;
}

static bool
on_kernel_link(struct engine *e, struct proc_msg *msg)
{
	int fd = link_take_fd(msg);

	if (fd >= 0)
		engine_kernel_connect(e, fd);
	return fd >= 0;
}

static bool
on_audit_link(struct engine *e, struct proc_msg *msg)
{
	int fd = link_take_fd(msg);

	if (fd >= 0)
		engine_audit_connect(e, fd);
	return fd >= 0;
}

static bool
on_kube_link(struct engine *e, struct proc_msg *msg)
{
	struct proc_reader r;
	uint32_t index;
	int fd;

	proc_reader_init(&r, msg);
	index = proc_get_u32(&r);
	if (!proc_reader_done(&r) || index >= e->settings.source_count ||
	    !e->settings.sources[index].kubernetes)
		return false;
	fd = link_take_fd(msg);
	if (fd >= 0)
		engine_kube_connect(e, index, fd);
	return fd >= 0;
}

static bool
on_dns_link(struct engine *e, struct proc_msg *msg)
{
	int fd = link_take_fd(msg);

	if (fd >= 0)
		engine_hold_connect(e, fd);
	return fd >= 0;
}

static bool
on_flow_file(struct engine *e, struct proc_msg *msg)
{
	struct proc_reader r;
	bool kept;

	proc_reader_init(&r, msg);
	kept = proc_get_u8(&r) != 0;
	if (!proc_reader_done(&r))
		return false;
	engine_flows_file(e, kept, link_take_fd(msg));
	return true;
}

static bool
on_names_file(struct engine *e, struct proc_msg *msg)
{
	engine_names_file(e, link_take_fd(msg));
	return true;
}

static bool
on_flow_export(struct engine *e, struct proc_msg *msg)
{
	struct proc_reader r;
	uint32_t domain, enterprise;
	uint8_t kind, flags;

	proc_reader_init(&r, msg);
	kind = proc_get_u8(&r);
	flags = proc_get_u8(&r);
	domain = proc_get_u32(&r);
	enterprise = proc_get_u32(&r);
	if (kind >= EXPORT_COUNT || !proc_reader_done(&r))
		return false;
	engine_export_socket(e, (enum enforcer_export)kind, flags, domain, enterprise,
	    link_take_fd(msg));
	return true;
}

static bool
on_listener(struct engine *e, struct proc_msg *msg)
{
	struct err err = ERR_INIT;
	struct proc_reader r;
	uint8_t kind;
	int fd = link_take_fd(msg);
	int rc;

	proc_reader_init(&r, msg);
	kind = proc_get_u8(&r);
	if (fd < 0)
		return false;
	if (kind == LISTENER_CONTROL) {
		rc = e->control != NULL ? control_listen(e->control, fd, &err)
					: control_new(e, fd, &e->control, &err);
	} else if (kind == LISTENER_METRICS && e->metrics == NULL) {
		rc = metrics_new(e, fd, &e->metrics, &err);
	} else {
		(void)close(fd); /* not wanted */
		return false;
	}
	if (rc != 0)
		log_error("listener", "detail=%s", log_quote(str_from(err.msg)));
	return true;
}

static void
forget_roles(struct engine *e)
{
	for (size_t i = 0; i < e->role_count; i++) {
		if (e->roles[i].stat >= 0)
			(void)close(e->roles[i].stat); /* it was only read */
	}
	e->role_count = 0;
}

static bool
on_role(struct engine *e, struct proc_msg *msg)
{
	struct engine_role role = {.stat = link_take_fd(msg)};
	struct proc_reader r;
	uint32_t index;
	struct str name;

	proc_reader_init(&r, msg);
	index = proc_get_u32(&r);
	name = proc_get_str(&r);
	role.pid = proc_get_u32(&r);
	role.restarts = proc_get_u32(&r);
	if (index == 0)
		forget_roles(e);
	if (!proc_reader_done(&r) || index != e->role_count ||
	    index == ENGINE_MAX_ROLES || name.len >= sizeof(role.name)) {
		if (role.stat >= 0)
			(void)close(role.stat); /* of nobody that we know */
		return false;
	}
	if (name.len != 0)
		memcpy(role.name, name.ptr, name.len);
	e->roles[e->role_count++] = role;
	return true;
}

static bool
on_config_read(struct engine *e, struct proc_msg *msg)
{
	struct proc_reader r;

	proc_reader_init(&r, msg);
	e->config_errors = proc_get_u32(&r);
	return proc_reader_done(&r);
}

static bool
on_unfiltered(struct engine *e, struct proc_msg *msg)
{
	struct engine_unfiltered *u = &e->unfiltered;
	struct proc_reader r;
	uint32_t count;

	proc_reader_init(&r, msg);
	u->refused = proc_get_u8(&r) != 0;
	count = proc_get_u32(&r);
	u->count = 0;
	if (!r.ok || count > ENGINE_MAX_BRIDGES)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		struct str name = proc_get_str(&r);

		if (name.len == 0 || name.len >= sizeof(u->bridges[i].name))
			return false;
		memset(u->bridges[i].name, 0, sizeof(u->bridges[i].name));
		memcpy(u->bridges[i].name, name.ptr, name.len);
		u->bridges[i].family = proc_get_u8(&r);
	}
	u->count = count;
	return proc_reader_done(&r);
}

/* Names of interfaces; false: malformed, or too many. */
static bool
get_interfaces(struct proc_reader *r, struct interface_pattern *out, size_t most,
    size_t *out_count)
{
	const uint32_t count = proc_get_u32(r);

	if (!r->ok || count > most)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		if (!interface_pattern_parse(proc_get_str(r), &out[i]))
			return false;
	}
	*out_count = count;
	return true;
}

/* Sources are validated otherwise from then on, which takes another program. */
static bool
on_uplinks(struct engine *e, struct proc_msg *msg)
{
	struct engine_settings *s = &e->settings;
	struct interface_pattern uplinks[UPLINKS_MAX];
	struct proc_reader r;
	size_t count;

	proc_reader_init(&r, msg);
	if (!get_interfaces(&r, uplinks, UPLINKS_MAX, &count) ||
	    !get_interfaces(&r, e->unrouted, ENGINE_MAX_BRIDGES, &e->unrouted_count) ||
	    !proc_reader_done(&r))
		return false;
	count = interface_patterns_normalise(uplinks, count);
	if (count == s->uplink_count &&
	    (count == 0 || memcmp(uplinks, s->uplinks, count * sizeof(*uplinks)) == 0))
		return true;
	memcpy(s->uplinks, uplinks, sizeof(uplinks));
	s->uplink_count = count;
	if (engine_settings_validate(s))
		engine_load_whole(e);
	return true;
}

static bool
on_own(struct engine *e, struct proc_msg *msg)
{
	struct engine_settings *s = &e->settings;
	struct arena *arena = arena_new_sized(1024);
	struct proc_reader r;
	struct ip_addr *own;
	uint32_t count;

	proc_reader_init(&r, msg);
	count = proc_get_u32(&r);
	if (!r.ok || count > OWN_MAX)
		goto malformed;
	own = ARENA_ARRAY(arena, count, struct ip_addr);
	for (uint32_t i = 0; i < count; i++) {
		own[i] = proc_get_ip(&r);
		if (i != 0 && ip_cmp(&own[i - 1], &own[i]) >= 0)
			goto malformed;
	}
	if (!proc_reader_done(&r))
		goto malformed;
	arena_free(e->own_arena);
	e->own_arena = arena;
	s->own = own;
	s->own_count = count;
	engine_edits_own(e);
	return true;
malformed:
	arena_free(arena);
	return false;
}

static bool
on_ping(struct engine *e, struct proc_msg *msg)
{
	(void)msg; /* it says nothing more */
	link_pong(e->parent);
	return true;
}

static bool
on_stop(struct engine *e, struct proc_msg *msg)
{
	(void)msg; /* it says nothing more */
	e->stopping = true;
	uv_stop(&e->loop);
	return true;
}

static const struct {
	uint32_t type;
	bool (*handle)(struct engine *e, struct proc_msg *msg);
} orders[] = {
    {MSG_SETTINGS, on_settings},
    {MSG_STOP, on_stop},
    {MSG_PING, on_ping},
    {MSG_SOURCE, engine_take_source},
    {MSG_SOURCE_EDIT, engine_take_source_edit},
    {MSG_KERNEL_LINK, on_kernel_link},
    {MSG_AUDIT_LINK, on_audit_link},
    {MSG_KUBE_LINK, on_kube_link},
    {MSG_DNS_LINK, on_dns_link},
    {MSG_FLOW_FILE, on_flow_file},
    {MSG_NAMES_FILE, on_names_file},
    {MSG_FLOW_EXPORT, on_flow_export},
    {MSG_LISTENER, on_listener},
    {MSG_ROLE, on_role},
    {MSG_CONFIG_READ, on_config_read},
    {MSG_UNFILTERED, on_unfiltered},
    {MSG_UPLINKS, on_uplinks},
    {MSG_OWN, on_own},
};

static bool
on_parent_message(void *arg, struct proc_msg *msg)
{
	for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
		if (orders[i].type == msg->type)
			return orders[i].handle(arg, msg);
	}
	return false;
}

static void
on_parent_lost(void *arg)
{
	struct engine *e = arg;

	e->stopping = true;
	uv_stop(&e->loop);
}

/* ---- life ---- */

static void
on_tick(uv_timer_t *timer)
{
	struct engine *e = timer->data;

	engine_flows_tick(e);
	engine_load_tick(e);
	engine_audit_tick(e);
	engine_attach_tick(e);
	engine_names_tick(e);
	engine_hold_tick(e);
	engine_export_send(e);
	engine_kube_tick(e);
}

static int
confine(struct engine *e, struct err *err)
{
	const struct proc_sandbox sandbox = {
	    .uid = e->settings.role.uid,
	    .gid = e->settings.role.gid,
	    .empty_root = true,
	    .syscalls = proc_syscalls_basic,
	    .more_syscalls = engine_syscalls,
	};

	return proc_confine(&sandbox, err);
}

/* libuv opens /dev/null for the first stream of a loop; there is none afterwards. */
static int
warm_up(struct engine *e, struct err *err)
{
	uv_pipe_t pipe;

	if (uv_pipe_init(&e->loop, &pipe, 0) != 0)
		return err_set(err, ERR_SYSTEM, "cannot make a stream");
	uv_close((uv_handle_t *)&pipe, NULL);
	(void)uv_run(&e->loop, UV_RUN_NOWAIT); /* until it is closed */
	return 0;
}

static int
start(struct engine *e, struct err *err)
{
	static const struct link_handler handler = {on_parent_message, on_parent_lost};
	struct proc_msg msg;
	struct proc_reader r;
	int rc;

	if (uv_loop_init(&e->loop) != 0 || uv_timer_init(&e->loop, &e->tick) != 0)
		return err_set(err, ERR_SYSTEM, "cannot make the event loop");
	rc = settings_receive(e->parent, START_MS, &msg, err);
	if (rc != 0)
		return rc;
	proc_reader_init(&r, &msg);
	e->settings_arena = arena_new();
	if (!engine_settings_decode(e->settings_arena, &r, &e->settings))
		return err_set(err, ERR_PROTOCOL, "malformed settings");
	log_setup("engine", e->settings.role.log_level, e->settings.role.log_format);
	rc = warm_up(e, err);
	if (rc == 0)
		rc = confine(e, err);
	if (rc == 0)
		rc = link_new(&e->loop, e->parent, &handler, e, &e->parent_link, err);
	if (rc != 0)
		return rc;
	engine_load_init(e);
	engine_kube_init(e);
	engine_kernel_init(e);
	engine_apply_init(e);
	engine_cut_init(e);
	engine_gone_init(e);
	engine_adopt_init(e);
	engine_shadow_init(e);
	engine_flows_init(e);
	engine_names_init(e);
	engine_hold_init(e);
	engine_export_init(e);
	engine_audit_init(e);
	e->started = walltime_now();
	e->tick.data = e;
	if (uv_timer_start(&e->tick, on_tick, TICK_MS, TICK_MS) != 0)
		return err_set(err, ERR_SYSTEM, "cannot start a timer");
	return 0;
}

/* In an order in which nobody is told of what is gone. */
static void
finish(struct engine *e)
{
	e->stopping = true;
	engine_flows_fini(e);
	engine_hold_fini(e);
	engine_names_stop(e);
	engine_export_fini(e); /* its last records go to control and audit */
	control_free(e->control);
	engine_attach_fini(e);
	e->control = NULL;
	metrics_free(e->metrics);
	e->metrics = NULL;
	engine_audit_fini(e);
	engine_kube_fini(e);
	engine_kernel_fini(e);
	engine_gone_fini(e);
	engine_cut_fini(e); /* what waits for a time keeps the loop from ending */
	engine_adopt_fini(e);
	engine_shadow_fini(e);
	(void)uv_timer_stop(&e->apply.timer); /* cannot fail */
	link_free(e->parent_link);
	uv_close((uv_handle_t *)&e->tick, NULL);
	(void)uv_run(
	    &e->loop, UV_RUN_DEFAULT); /* a run of the loader, closing handles */
	engine_load_fini(e);
	engine_names_fini(e);
	engine_edits_fini(e);
	engine_apply_fini(e);
	(void)uv_run(&e->loop, UV_RUN_DEFAULT);
	(void)uv_loop_close(&e->loop); /* everything is closed */
	arena_free(e->settings_arena);
	arena_free(e->own_arena);
}

int
engine_role_run(struct proc_channel *parent, const int *fds, size_t fd_count)
{
	struct engine *e = xcalloc(1, sizeof(*e));
	struct err err = ERR_INIT;

	(void)fds;
	(void)fd_count; /* none are passed */
	log_setup("engine", LOG_INFO, LOG_FORMAT_TEXT);
	e->parent = parent;
	if (start(e, &err) != 0) {
		log_error("start", "detail=%s", log_quote(str_from(err.msg)));
		return 1;
	}
	(void)uv_run(&e->loop, UV_RUN_DEFAULT); /* ends by uv_stop */
	finish(e);
	free(e);
	return 0;
}
