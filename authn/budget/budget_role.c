#include "authn/budget/budget_role.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>
#include <seccomp.h>

#include "authn/budget/budget_state.h"
#include "authn/tls/key_thread.h"
#include "authn/wire/messages.h"
#include "common/log.h"
#include "common/secret.h"

#define CALLERS_MAX 64u

static const int syscalls[] = {SCMP_SYS(socket), SCMP_SYS(socketpair),
    SCMP_SYS(connect), SCMP_SYS(accept4), SCMP_SYS(listen), SCMP_SYS(ftruncate), -1};

/* ---- settings ---- */

void
budget_role_settings_encode(struct buf *out, const struct budget_role_settings *s)
{
	proc_put_u32(out, (uint32_t)s->caller_count);
	for (size_t i = 0; i < s->caller_count; i++)
		proc_put_str(out, s->callers[i]);
	proc_put_u32(out, s->hold_s);
	proc_put_u32(out, s->policy);
	proc_put_str(out, s->status.user);
	proc_put_str(out, s->status.lease_namespace);
	proc_put_str(out, s->writes_as);
	etcd_options_encode(out, &s->share.etcd);
	proc_put_str(out, s->share.prefix);
}

static bool
budget_role_settings_decode(
    struct arena *arena, struct proc_reader *r, struct budget_role_settings *out)
{
	const uint32_t count = proc_get_u32(r);
	struct str *callers;

	if (!r->ok || count > CALLERS_MAX)
		return false;
	callers = ARENA_ARRAY(arena, count, struct str);
	for (uint32_t i = 0; i < count; i++)
		callers[i] = str_dup(arena, proc_get_str(r));
	*out = (struct budget_role_settings){
	    .callers = callers, .caller_count = count, .hold_s = proc_get_u32(r)};
	out->policy = proc_get_u32(r) != 0;
	out->status.user = str_dup(arena, proc_get_str(r));
	out->status.lease_namespace = str_dup(arena, proc_get_str(r));
	out->writes_as = str_dup(arena, proc_get_str(r));
	if (!etcd_options_decode(arena, r, &out->share.etcd))
		return false;
	out->share.prefix = str_dup(arena, proc_get_str(r));
	return proc_reader_done(r) && out->hold_s != 0;
}

/* ---- policy ---- */

/* What is watched stays, whatever becomes of the policy that said so. */
static void
keep_kinds(struct budget_role *role)
{
	struct budget_kind *kinds =
	    ARENA_ARRAY(role->arena, role->plan.kind_count, struct budget_kind);

	for (size_t i = 0; i < role->plan.kind_count; i++)
		kinds[i] = (struct budget_kind){
		    .group = str_dup(role->arena, role->plan.kinds[i].group),
		    .resource = str_dup(role->arena, role->plan.kinds[i].resource)};
	role->kinds =
	    (struct budget_plan){.kinds = kinds, .kind_count = role->plan.kind_count};
}

static struct worker_policy *
load_policy(int fd, struct budget_plan *out_plan, struct buf *problem)
{
	struct worker_policy *policy = worker_policy_load(fd, problem);

	if (policy == NULL ||
	    budget_plan_make(policy->arena, policy->model, problem, out_plan))
		return policy;
	worker_policy_free(policy);
	return NULL;
}

/* What reviews of policy are judged by, beside the objects of the API servers. */
static bool
take_files(struct budget_role *role, int fd)
{
	struct err err = ERR_INIT;

	if (role->reviews == NULL || policy_watch_files(role->reviews, fd, &err) == 0)
		return true;
	log_error("policy-files", "detail=%s", log_quote(str_from(err.msg)));
	return false;
}

/* False if the role cannot go on with it: it ends, and the next one begins with it. */
static bool
replace_policy(struct budget_role *role, int fd)
{
	struct buf problem = {NULL, 0, 0};
	struct budget_plan plan;
	struct worker_policy *policy = load_policy(fd, &plan, &problem);
	struct worker_policy *old = role->policy;

	if (policy != NULL && !take_files(role, fd)) {
		worker_policy_free(policy);
		policy = NULL;
	}
	buf_free(&problem); /* it was judged before */
	if (policy == NULL || !budget_plan_equal(&plan, &role->plan)) {
		worker_policy_free(policy);
		return false;
	}
	(void)pthread_mutex_lock(&role->lock); /* cannot fail: it is our own */
	role->policy = policy;
	role->plan = plan;
	budget_ledger_replace(role->ledger, policy->model, &role->plan);
	(void)pthread_mutex_unlock(&role->lock);
	worker_policy_free(old);
	log_info("budgets-in-force", "kinds=%zu", role->plan.kind_count);
	return true;
}

/* ---- status ---- */

static uint64_t
shown(budget_sum_t sum)
{
	return sum > UINT64_MAX ? UINT64_MAX : (uint64_t)sum;
}

static void
put_line(struct buf *out, const struct budget_line *line, bool first)
{
	buf_add_cstr(out, first ? "{\"namespace\":" : ",{\"namespace\":");
	buf_add_json(out, line->quota->level->path);
	buf_add_cstr(out, ",\"quota\":");
	buf_add_json(out, line->quota->name);
	buf_add_cstr(out, ",\"resource\":");
	buf_add_json(out, line->limit->resource);
	buf_printf(out, ",\"usedMilli\":%llu,\"seenMilli\":%llu,\"limitMilli\":%llu}",
	    (unsigned long long)shown(line->used),
	    (unsigned long long)shown(line->seen),
	    (unsigned long long)line->limit->amount_milli);
}

static void
answer_status(struct budget_role *role, uint32_t id)
{
	struct buf text = {NULL, 0, 0};
	const struct budget_line *lines;
	size_t count;

	(void)pthread_mutex_lock(&role->lock); /* cannot fail: it is our own */
	buf_printf(&text,
	    "{\"admissionsAllowed\":%llu,\"admissionsDenied\":%llu,"
	    "\"admissionsUnknown\":%llu,\"admissionsMalformed\":%llu,"
	    "\"admissionStrangers\":%llu,\"budgetLists\":%llu,\"budgetsSynced\":%s,"
	    "\"quotasApplied\":%llu,\"quotasRemoved\":%llu,\"quotaFailures\":%llu,"
	    "\"reservations\":%zu,\"budgets\":[",
	    (unsigned long long)role->allowed, (unsigned long long)role->denied,
	    (unsigned long long)role->unknown, (unsigned long long)role->malformed,
	    (unsigned long long)role->strangers, (unsigned long long)role->relists,
	    budget_ledger_synced(role->ledger) ? "true" : "false",
	    (unsigned long long)role->quotas_applied,
	    (unsigned long long)role->quotas_removed,
	    (unsigned long long)role->quota_failures,
	    budget_ledger_reservations(role->ledger));
	lines = budget_ledger_lines(role->ledger, &count);
	/* A message is bounded: with very many budgets the rest is not shown. */
	for (size_t i = 0; i < count && text.len < 96u * 1024; i++)
		put_line(&text, &lines[i], i == 0);
	(void)pthread_mutex_unlock(&role->lock);
	buf_add_char(&text, ']');
	if (role->share != NULL)
		budget_share_status(role->share, &text);
	if (role->reviews != NULL)
		policy_watch_status(role->reviews, &text);
	buf_add_char(&text, '}');
	monitor_link_send(role->monitor.channel, MSG_STATUS, id, buf_str(&text));
	buf_free(&text);
}

/* ---- the monitor ---- */

/* One socket is the loop's, for API servers that come; the other is for the threads that go to
 * them, and to etcd. */
static bool
meet_key(struct budget_role *role, struct proc_msg *msg)
{
	struct err err = ERR_INIT;
	const int fd = msg->fds[0];

	key_thread_connect(msg->fds[1]);
	msg->fd_count = 0; /* taken, both of them */
	if (key_client_reconnect(role->keys, fd, &err) == 0)
		return true;
	log_error("budget-key", "detail=%s", log_quote(str_from(err.msg)));
	return false;
}

static bool
on_monitor(void *arg, struct proc_msg *msg)
{
	struct budget_role *role = arg;

	if (msg->type == MSG_STATUS) {
		answer_status(role, msg->id);
		return true;
	}
	if (msg->type == MSG_PEER_KEY && msg->fd_count == 2)
		return meet_key(role, msg);
	if (msg->type != MSG_POLICY || msg->fd_count != 1 ||
	    !replace_policy(role, msg->fds[0]))
		return false; /* MSG_DRAIN, other kinds to watch, or nothing known */
	monitor_link_send(role->monitor.channel, MSG_READY, msg->id, STR(""));
	return true;
}

static void
on_second(void *arg)
{
	struct budget_role *role = arg;
	bool synced;

	(void)pthread_mutex_lock(&role->lock); /* cannot fail: it is our own */
	budget_ledger_expire(role->ledger, monotime_now());
	synced = budget_ledger_synced(role->ledger);
	(void)pthread_mutex_unlock(&role->lock);
	if (synced && !role->ready)
		log_info("budgets-known", "kinds=%zu", role->plan.kind_count);
	role->ready = synced;
}

/* ---- start ---- */

static int
receive(struct budget_role *role, struct err *err)
{
	struct buf problem = {NULL, 0, 0};
	struct proc_msg msg;
	struct proc_reader r;
	int rc = monitor_link_config(role->monitor.channel, &msg, err);

	if (rc != 0)
		return rc;
	if (msg.fd_count != 2 + BUDGET_JOURNAL_FILES)
		return err_set(err, ERR_PROTOCOL, "the monitor sent no configuration");
	proc_reader_init(&r, &msg);
	if (!budget_role_settings_decode(role->arena, &r, &role->own))
		rc = err_set(err, ERR_PROTOCOL, "malformed configuration");
	if (rc == 0)
		rc =
		    worker_settings_open(role->arena, msg.fds[0], &role->settings, err);
	if (rc == 0) {
		role->policy = load_policy(msg.fds[1], &role->plan, &problem);
		if (role->policy == NULL)
			rc = err_set(err, ERR_INVALID, "%.*s", (int)problem.len,
			    problem.data != NULL ? problem.data : "policy");
	}
	/* Taken by the journal, and until there are reviews: they stay open. */
	memcpy(role->journal_fds, msg.fds + 2, sizeof(role->journal_fds));
	role->files_fd = msg.fds[1];
	msg.fd_count = 1;
	proc_msg_close_fds(&msg);
	secret_wipe((void *)(uintptr_t)msg.data, msg.len);
	buf_free(&problem);
	return rc;
}

/* What was reserved before, here and by others; only then is there a look at what exists. */
static int
start_ledger(struct budget_role *role, struct err *err)
{
	const uint64_t hold_ns = role->own.hold_s * NS_PER_S;
	int rc;

	role->ledger = budget_ledger_new(role->policy->model, &role->plan, hold_ns);
	rc = budget_journal_open(
	    &role->journal, role->journal_fds, role->ledger, &role->plan, hold_ns, err);
	if (rc == 0 && role->own.share.etcd.endpoint_count != 0)
		return budget_share_start(
		    role, admission_server_answer, &role->share, err);
	return rc == 0 ? budget_watch_start(role, err) : rc;
}

static void
on_policy_reviewed(void *arg, struct budget_review *review)
{
	admission_server_answer(arg, review);
}

static int
start_reviews(struct budget_role *role, struct err *err)
{
	int rc = 0;

	if (role->own.policy && role->listen_fd >= 0)
		rc = policy_watch_start(&role->loop, &role->settings,
		    on_policy_reviewed, role, &role->reviews, err);
	if (rc == 0 && role->reviews != NULL)
		rc = policy_watch_files(role->reviews, role->files_fd, err);
	if (rc == 0 && role->reviews != NULL && role->own.status.user.len != 0)
		rc = status_writer_start(
		    role->reviews, &role->settings, &role->own.status, err);
	(void)close(role->files_fd); /* it is read, if anybody reads it */
	return rc;
}

static int
start(struct budget_role *role, struct err *err)
{
	struct proc_sandbox sandbox = {
	    .empty_root = true,
	    .syscalls = proc_syscalls_basic,
	    .more_syscalls = syscalls,
	    .max_files = 1024,
	};
	int rc = receive(role, err);

	if (rc != 0)
		return rc;
	sandbox.uid = role->settings.uid;
	sandbox.gid = role->settings.gid;
	if (uv_loop_init(&role->loop) != 0)
		return err_set(err, ERR_SYSTEM, "event loop");
	keep_kinds(role);
	rc = proc_confine(&sandbox, err);
	if (rc == 0)
		rc = proc_channel_set_blocking(role->monitor.channel, false, err);
	stream_hub_init(&role->hub, &role->loop);
	role->keys = key_client_new(&role->loop);
	key_thread_start();
	if (rc == 0 && role->listen_fd >= 0)
		rc = admission_server_start(role, err);
	if (rc == 0)
		rc = start_reviews(role, err);
	if (rc == 0)
		rc = start_ledger(role, err);
	if (rc == 0 && role->own.writes_as.len != 0)
		rc = budget_quotas_start(role, err);
	if (rc != 0)
		return rc;
	role->hub.second = on_second;
	role->hub.arg = role;
	return monitor_link_start(&role->monitor, &role->loop, err);
}

int
budget_role_run(struct proc_channel *monitor, const int *fds, size_t fd_count)
{
	struct budget_role *role = xcalloc(1, sizeof(*role));
	struct err err = ERR_INIT;

	log_setup("budget", LOG_INFO, LOG_FORMAT_TEXT);
	/* What reads files does so before there are none. */
	json_object_seed(0);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0 || fd_count > 1) {
		log_error("budget-start", "detail=\"no listener\"");
		return 1;
	}
	role->monitor =
	    (struct monitor_link){.channel = monitor, .take = on_monitor, .arg = role};
	role->listen_fd = fd_count == 1 ? fds[0] : -1;
	role->arena = arena_new();
	(void)pthread_mutex_init(&role->lock, NULL); /* cannot fail */
	if (start(role, &err) != 0) {
		log_error("budget-start", "detail=%s", log_quote(str_from(err.msg)));
		return 1;
	}
	monitor_link_send(monitor, MSG_READY, 0, STR(""));
	(void)uv_run(&role->loop, UV_RUN_DEFAULT); /* ends by uv_stop */
	_Exit(0); /* threads wait for the API servers */
}
