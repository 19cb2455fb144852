#include "enforcer/kube/kube_role.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>
#include <jansson.h>
#include <seccomp.h>

#include "common/log.h"
#include "common/secret.h"
#include "enforcer/config/settings.h"
#include "enforcer/kube/kube_state.h"
#include "enforcer/kube/kube_watch.h"
#include "enforcer/kube/node_report.h"
#include "enforcer/wire/link.h"
#include "enforcer/wire/messages.h"

#define START_MS     10000 /* for the parent to say what to do */
#define STATE_MS     250   /* between two reports */
#define RETRY_MS     100   /* to an engine that took no message */
#define ACCESS_MS    1000  /* between two requests for access */
#define FAILING      3     /* failures in a row: the source is not kept up */
#define EDIT_OBJECTS 128   /* that change together; their names fit into a message */
#define EDIT_BYTES   (4u * 1024 * 1024)
#define ROLE_FILES   256

static const int kube_syscalls[] = {SCMP_SYS(memfd_create), SCMP_SYS(socket),
    SCMP_SYS(socketpair), SCMP_SYS(connect), -1};

struct kube_role {
	uv_loop_t loop;
	struct proc_channel *parent;
	struct link *parent_link;
	struct proc_channel engine; /* fd -1: none */
	struct link *engine_link;
	struct arena *arena;
	struct kube_settings settings;
	struct kube_client *client;
	struct kube_cluster *cluster;
	struct kube_store store;
	struct node_report report_to; /* the cluster */
	bool writing;                 /* a report of it is under way */
	uint64_t access_hash;         /* of what we have */
	char *access_why; /* why the parent has none to give; NULL: it had */
	monotime_t access_asked;
	uv_timer_t reports, retry;
	bool report;      /* there is something to tell */
	bool whole;       /* the engine needs all of it */
	bool outstanding; /* an edit that it has not read yet */
	bool announced;   /* that all is known */
	bool stopping;
};

/* ---- to the engine ---- */

static void flush(struct kube_role *k);

static void
on_retry(uv_timer_t *timer)
{
	flush(timer->data);
}

/* Versions of all that is in the store. */
static struct node_versions
versions_of(const struct kube_role *k)
{
	struct node_versions v;

	for (size_t i = 0; i < KUBE_KIND_COUNT; i++)
		v.of[i] = kube_cluster_version(k->cluster, i);
	for (size_t i = 0; i < KUBE_KIND_COUNT; i++)
		v.edits[i] = k->store.kinds[i].edits;
	return v;
}

static void
note_sent(struct kube_role *k)
{
	const struct node_versions v = versions_of(k);

	node_report_sent(&k->report_to, kube_store_changed(&k->store) == 0 ? &v : NULL);
}

/* What was to be told is not known to have been: all of it is told next. */
static void
tell_whole_later(struct kube_role *k)
{
	k->whole = true;
	k->outstanding = false;
	if (uv_timer_start(&k->retry, on_retry, RETRY_MS, 0) != 0)
		base_die("cannot start a timer");
}

/* `rc`: of sealing it; takes the descriptor. */
static bool
send_sealed(struct kube_role *k, uint32_t type, const struct buf *body, int fd, int rc,
    struct err *err)
{
	if (rc == 0)
		rc = link_send(&k->engine, type, 0, body, fd, err);
	if (fd >= 0)
		(void)close(fd); /* the engine has its own */
	if (rc != 0)
		log_warn("engine-link", "detail=%s", log_quote(str_from(err->msg)));
	return rc == 0;
}

struct texts {
	struct kube_whole whole;
	struct buf text; /* of one */
};

static struct str
text_of(void *ctx, size_t index)
{
	struct texts *t = ctx;

	return kube_store_text(t->whole.entries[index], &t->text);
}

static void
send_whole(struct kube_role *k)
{
	struct arena *arena = arena_new();
	struct texts texts = {.text = {0}};
	struct err err = ERR_INIT;
	struct buf body = {0};
	int fd = -1, rc;

	kube_store_whole(&k->store, arena, &texts.whole);
	rc = bundle_seal_each(&texts.whole.names, text_of, &texts, &fd, &err);
	proc_put_u32(&body, k->settings.index);
	proc_put_str(&body, STR(""));
	k->whole = k->outstanding = false;
	if (!send_sealed(k, MSG_SOURCE, &body, fd, rc, &err)) {
		tell_whole_later(k);
	} else {
		note_sent(k);
		log_info("kube-whole", "objects=%zu", texts.whole.names.count);
	}
	buf_free(&texts.text);
	buf_free(&body);
	arena_free(arena);
}

static void
send_edit(struct kube_role *k)
{
	struct arena *arena = arena_new();
	struct bundle changed;
	struct err err = ERR_INIT;
	struct buf body = {0};
	struct str *gone;
	size_t gone_count;
	int fd = -1, rc;

	kube_store_edit(
	    &k->store, arena, EDIT_OBJECTS, EDIT_BYTES, &changed, &gone, &gone_count);
	proc_put_u32(&body, k->settings.index);
	proc_put_u32(&body, (uint32_t)gone_count);
	for (size_t i = 0; i < gone_count; i++)
		proc_put_str(&body, gone[i]);
	k->outstanding = true;
	rc = bundle_seal(&changed, &fd, &err);
	if (!send_sealed(k, MSG_SOURCE_EDIT, &body, fd, rc, &err))
		tell_whole_later(k);
	else
		note_sent(k);
	buf_free(&body);
	arena_free(arena);
}

/* One edit at a time: what happens until the engine has read it goes together. */
static void
flush(struct kube_role *k)
{
	if (k->engine.fd < 0 || !kube_cluster_synced(k->cluster))
		return;
	if (!k->announced)
		log_info("kube-synced", "source=%s", log_quote(k->settings.cluster));
	k->announced = true;
	if (k->whole && !uv_is_active((uv_handle_t *)&k->retry))
		send_whole(k);
	else if (!k->whole && !k->outstanding && kube_store_changed(&k->store) != 0)
		send_edit(k);
}

/* ---- how it goes ---- */

/* The first kind that is not kept up, in the arena. */
static struct str
find_why(const struct kube_role *k, struct arena *arena)
{
	if (!kube_client_has_access(k->client))
		return str_from(k->access_why != NULL ? k->access_why : "");
	for (size_t i = 0; i < KUBE_KIND_COUNT; i++) {
		const struct kube_kind_state *s = kube_cluster_state(k->cluster, i);

		if (s->failing >= FAILING)
			return str_from(arena_printf(arena, "%.*s/%s: %s",
			    STR_ARG(k->settings.cluster), kube_kinds[i].name,
			    s->detail));
	}
	return STR("");
}

static void
describe(const struct kube_role *k, size_t i, struct kube_state_kind *out)
{
	const struct kube_kind_state *s = kube_cluster_state(k->cluster, i);

	*out = (struct kube_state_kind){
	    .phase = (uint8_t)s->phase,
	    .synced = s->synced,
	    .objects = k->store.kinds[i].count,
	    .bytes = k->store.kinds[i].bytes,
	    .lists = s->lists,
	    .watches = s->watches,
	    .events = s->events,
	    .repeated = s->repeated,
	    .failures = s->failures,
	    .silent_ms = s->heard.ns == 0
			     ? UINT64_MAX
			     : monotime_since(s->heard, monotime_now()) / 1000000,
	    .detail = str_from(s->detail),
	};
}

/* ---- to the cluster ---- */

static bool
on_report_data(void *arg, const char *data, size_t len)
{
	(void)arg;
	(void)data;
	(void)len; /* what came of it shows in the watch of who reads it */
	return true;
}

static void
on_report_opened(void *arg)
{
	(void)arg;
}

static void
on_report_done(void *arg, const struct kube_result *result)
{
	struct kube_role *k = arg;
	const bool taken = result->status == 200 || result->status == 201;

	k->writing = false;
	if (!taken && !k->report_to.failed)
		log_warn(
		    "node-report", "detail=%s", log_quote(str_from(result->detail)));
	node_report_answered(&k->report_to, taken);
	k->report = true;
}

static void
write_report(struct kube_role *k)
{
	static const struct kube_get_handler handler = {
	    on_report_opened, on_report_data, on_report_done};
	const unsigned every_s = k->settings.report_s;
	const monotime_t now = monotime_now();
	const struct node_versions known = versions_of(k);
	struct buf path = {0}, object = {0};

	if (!k->whole && kube_store_changed(&k->store) == 0)
		node_report_known(&k->report_to, &known);
	if (every_s == 0 || k->writing || !kube_client_has_access(k->client) ||
	    !node_report_due(&k->report_to, k->settings.node, every_s, now))
		return;
	node_report_print(
	    &k->report_to, k->settings.node, every_s, now, walltime_now(), &object);
	buf_printf(&path, NODE_REPORT_PATH "%.*s", STR_ARG(k->settings.node));
	k->writing = kube_client_apply(k->client, path.data, buf_str(&object),
			 k->settings.silent_s, &handler, k) != NULL;
	if (!k->writing) {
		node_report_answered(&k->report_to, false);
		k->report = true;
	}
	buf_free(&path);
	buf_free(&object);
}

/* ---- to the engine, how it goes ---- */

static void
on_report(uv_timer_t *timer)
{
	struct kube_role *k = timer->data;
	struct arena *arena;
	struct kube_state state;
	struct err err = ERR_INIT;
	struct buf body = {0};

	write_report(k);
	k->report |= kube_cluster_settle(k->cluster);
	if (!k->report || k->engine.fd < 0)
		return;
	arena = arena_new_sized(1024);
	state = (struct kube_state){.why = find_why(k, arena),
	    .reports = k->report_to.writes,
	    .report_failures = k->report_to.failures};
	for (size_t i = 0; i < KUBE_KIND_COUNT; i++)
		describe(k, i, &state.kinds[i]);
	kube_state_encode(&body, &state);
	/* One that is not taken is sent again. */
	k->report = link_send(&k->engine, MSG_KUBE_STATE, 0, &body, -1, &err) != 0;
	buf_free(&body);
	arena_free(arena);
}

static void
on_changed(void *arg)
{
	struct kube_role *k = arg;

	k->report = true;
	flush(k);
}

/* ---- from the engine ---- */

static bool
on_in_force(struct kube_role *k, struct proc_msg *msg)
{
	struct node_held held;
	struct proc_reader r;

	proc_reader_init(&r, msg);
	if (!node_held_decode(&r, &held))
		return false;
	node_report_held(&k->report_to, &held, k->settings.cluster);
	return true;
}

static bool
on_engine_message(void *arg, struct proc_msg *msg)
{
	struct kube_role *k = arg;

	if (msg->type == MSG_SOURCE_TAKEN && msg->len == 0)
		k->outstanding = false;
	else if (msg->type == MSG_SOURCE_WANTED)
		k->whole = true;
	else if (msg->type == MSG_KUBE_IN_FORCE)
		return on_in_force(k, msg);
	else
		return false;
	flush(k);
	return true;
}

static void
on_engine_lost(void *arg)
{
	struct kube_role *k = arg;

	link_free(k->engine_link);
	k->engine_link = NULL;
	proc_channel_close(&k->engine); /* the parent sends another */
}

/* ---- from the parent ---- */

static bool
on_engine_link(struct kube_role *k, struct proc_msg *msg)
{
	static const struct link_handler handler = {on_engine_message, on_engine_lost};
	struct err err = ERR_INIT;
	const int fd = link_take_fd(msg);

	if (fd < 0)
		return false;
	on_engine_lost(k);
	proc_channel_init(&k->engine, fd);
	if (link_new(&k->loop, &k->engine, &handler, k, &k->engine_link, &err) != 0)
		return false;
	node_report_begin(&k->report_to);
	k->whole = k->report = true;
	k->outstanding = false;
	flush(k);
	return true;
}

static bool
on_access(struct kube_role *k, struct proc_msg *msg)
{
	const struct str all = {(const char *)msg->data, msg->len};
	const uint64_t hash = map_hash(str_slice(all, 1, all.len));
	struct arena *arena = arena_new_sized(4096);
	struct kube_access access;
	struct proc_reader r;
	struct str why;
	bool news, at_once, ok;

	proc_reader_init(&r, msg);
	at_once = proc_get_u8(&r) != 0;
	why = proc_get_str(&r);
	free(k->access_why);
	k->access_why = NULL;
	ok = r.ok;
	if (ok && why.len != 0) {
		k->access_why = xmalloc(why.len + 1);
		memcpy(k->access_why, why.ptr, why.len);
		k->access_why[why.len] = '\0';
		log_error("kube-access", "detail=%s", log_quote(why));
	} else if (ok && kube_access_decode(arena, &r, &access) &&
		   proc_reader_done(&r)) {
		news = hash != k->access_hash;
		k->access_hash = hash;
		if (news)
			kube_client_set_access(k->client, &access);
		kube_access_wipe(&access);
		if (news || at_once)
			kube_cluster_kick(k->cluster);
	} else {
		ok = false;
	}
	arena_free(arena);
	on_changed(k);
	return ok;
}

static bool
on_parent_message(void *arg, struct proc_msg *msg)
{
	struct kube_role *k = arg;

	switch (msg->type) {
	case MSG_ENGINE_LINK:
		return on_engine_link(k, msg);
	case MSG_KUBE_ACCESS:
		return on_access(k, msg);
	case MSG_PING:
		link_pong(k->parent);
		return true;
	case MSG_STOP:
		uv_stop(&k->loop);
		return true;
	default:
		return false;
	}
}

static void
on_parent_lost(void *arg)
{
	struct kube_role *k = arg;

	uv_stop(&k->loop);
}

/* Not for each kind that fails. */
static void
on_access_wanted(void *arg)
{
	struct kube_role *k = arg;
	const monotime_t now = monotime_now();
	struct err err = ERR_INIT;

	if (k->access_asked.ns != 0 &&
	    monotime_since(k->access_asked, now) < ACCESS_MS * UINT64_C(1000000))
		return;
	k->access_asked = now;
	if (link_send(k->parent, MSG_KUBE_ACCESS_WANTED, 0, NULL, -1, &err) != 0)
		log_warn("parent-link", "detail=%s", log_quote(str_from(err.msg)));
}

/* ---- life ---- */

static int
receive_settings(struct kube_role *k, struct err *err)
{
	struct proc_msg msg;
	struct proc_reader r;
	int rc = settings_receive(k->parent, START_MS, &msg, err);

	if (rc != 0)
		return rc;
	proc_reader_init(&r, &msg);
	if (!kube_settings_decode(k->arena, &r, &k->settings))
		return err_set(err, ERR_PROTOCOL, "malformed settings");
	log_setup("kube", k->settings.role.log_level, k->settings.role.log_format);
	return 0;
}

static int
confine(const struct kube_role *k, struct err *err)
{
	const struct proc_sandbox sandbox = {
	    .uid = k->settings.role.uid,
	    .gid = k->settings.role.gid,
	    .empty_root = true,
	    .files = PROC_FILES_NONE,
	    .syscalls = proc_syscalls_basic,
	    .more_syscalls = kube_syscalls,
	    .max_files = ROLE_FILES,
	};

	return proc_confine(&sandbox, err);
}

static int
start(struct kube_role *k, struct err *err)
{
	static const struct link_handler parent = {on_parent_message, on_parent_lost};
	static const struct kube_cluster_handler cluster = {
	    on_changed, on_access_wanted};
	int rc;

	/* What reads files does so before there are none. */
	json_object_seed(0);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
		return err_set(err, ERR_SYSTEM, "cannot set up curl");
	if (uv_loop_init(&k->loop) != 0 || uv_timer_init(&k->loop, &k->reports) != 0 ||
	    uv_timer_init(&k->loop, &k->retry) != 0)
		return err_set(err, ERR_SYSTEM, "cannot make the event loop");
	k->reports.data = k->retry.data = k;
	rc = receive_settings(k, err);
	if (rc == 0)
		rc = confine(k, err);
	if (rc == 0)
		rc = kube_client_new(&k->loop, &k->client, err);
	if (rc != 0)
		return rc;
	kube_store_init(&k->store, k->settings.cluster);
	k->cluster = kube_cluster_new(
	    &k->loop, k->client, &k->store, k->settings.silent_s, &cluster, k);
	if (uv_timer_start(&k->reports, on_report, STATE_MS, STATE_MS) != 0)
		return err_set(err, ERR_SYSTEM, "cannot start a timer");
	rc = link_new(&k->loop, k->parent, &parent, k, &k->parent_link, err);
	if (rc == 0)
		rc = link_send(k->parent, MSG_READY, 0, NULL, -1, err);
	return rc;
}

static void
finish(struct kube_role *k)
{
	link_free(k->parent_link);
	on_engine_lost(k);
	kube_client_free(k->client);
	kube_cluster_free(k->cluster);
	uv_close((uv_handle_t *)&k->reports, NULL);
	uv_close((uv_handle_t *)&k->retry, NULL);
	(void)uv_run(&k->loop, UV_RUN_DEFAULT); /* until all handles are closed */
	(void)uv_loop_close(&k->loop);          /* they are */
	kube_store_fini(&k->store);
	node_report_fini(&k->report_to);
	free(k->access_why);
	arena_free(k->arena);
}

int
kube_role_run(struct proc_channel *parent, const int *fds, size_t fd_count)
{
	struct kube_role *k = xcalloc(1, sizeof(*k));
	struct err err = ERR_INIT;

	(void)fds;
	(void)fd_count; /* none are passed */
	log_setup("kube", LOG_INFO, LOG_FORMAT_TEXT);
	k->parent = parent;
	k->engine.fd = -1;
	k->arena = arena_new();
	if (start(k, &err) != 0) {
		log_error("start", "detail=%s", log_quote(str_from(err.msg)));
		return 1;
	}
	(void)uv_run(&k->loop, UV_RUN_DEFAULT); /* ends by uv_stop */
	finish(k);
	free(k);
	return 0;
}
