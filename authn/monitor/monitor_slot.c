/*
 * Slots: starting one role, introducing it to the others, noticing its end, starting it
 * again, each time a little later.
 */
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "authn/monitor/monitor.h"
#include "authn/monitor/status_role.h"
#include "authn/proxy/worker.h"
#include "authn/tls/key_role.h"
#include "authn/wire/messages.h"
#include "common/log.h"
#include "common/secret.h"

#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 10000
#define SILENT_MS      5000           /* between a closed channel and the end */
#define STEADY_NS      30000000000ull /* who ran so long may start again at once */

const struct proc_role gate_roles[] = {
    {"audit", audit_role_run},
    {"auth", auth_role_run},
    {"status", status_role_run},
    {"budget", budget_role_run},
    {"key", key_role_run},
    {"worker", worker_run},
    {"check", check_role_run},
    {NULL, NULL},
};

static size_t
slot_kind(const struct slot *s)
{
	return s->index < SLOT_WORKER ? s->index : SLOT_WORKER;
}

bool
slot_running(const struct slot *s)
{
	return s->child.pid != 0;
}

void
slot_kill(struct slot *s)
{
	if (slot_running(s))
		(void)pidfd_send_signal(
		    s->child.pidfd, SIGKILL, NULL, 0); /* it may be gone */
}

void
slot_send(struct slot *s, const struct proc_msg *msg)
{
	struct err err = ERR_INIT;

	if (!slot_running(s) || proc_send(&s->child.channel, msg, &err) == 0)
		return;
	log_error("role-does-not-listen", "name=%s index=%zu detail=%s",
	    s->child.role->name, s->index, log_quote(str_from(err.msg)));
	slot_kill(s);
}

/* ---- introductions ---- */

static void
close_pair(int pair[2])
{
	for (size_t i = 0; i < 2; i++) {
		if (pair[i] >= 0)
			(void)close(pair[i]); /* nothing was sent on our side */
		pair[i] = -1;
	}
}

/* Gives `s` one end of a new socket; what it is for says the type. */
static void
send_peer(struct slot *s, uint32_t type, int fd, size_t worker)
{
	struct proc_msg msg = {.type = type, .fds = {fd}, .fd_count = 1};
	struct buf body = {NULL, 0, 0};

	if (type == MSG_PEER_WORKER)
		proc_put_u32(&body, (uint32_t)worker);
	msg.data = (const uint8_t *)body.data;
	msg.len = body.len;
	slot_send(s, &msg);
	buf_free(&body);
}

/* A new auth, audit or key role meets every worker. */
static int
introduce_to_workers(struct slot *s, struct err *err)
{
	const uint32_t type = s->index == SLOT_AUTH    ? MSG_PEER_AUTH
			      : s->index == SLOT_AUDIT ? MSG_PEER_AUDIT
						       : MSG_PEER_KEY;
	struct monitor *m = s->monitor;

	for (size_t i = SLOT_WORKER; i < m->slot_count; i++) {
		int pair[2] = {-1, -1};

		if (!slot_running(&m->slots[i]))
			continue; /* gets its socket when it starts */
		if (proc_pair(pair, true, err) != 0)
			return err->code;
		send_peer(s, MSG_PEER_WORKER, pair[0], i - SLOT_WORKER);
		send_peer(&m->slots[i], type, pair[1], 0);
		close_pair(pair);
	}
	return 0;
}

/* Gives auth or budget, and the key role, the ends of as many sockets as it uses: one for its
 * threads, and, first, one for its loop if that has handshakes, too. */
static int
introduce_to_key(struct slot *s, struct err *err)
{
	struct slot *key = &s->monitor->slots[SLOT_KEY];
	const bool budget = s->index == SLOT_BUDGET;
	struct proc_msg msg = {.type = MSG_PEER_KEY};
	int pairs[2][2] = {{-1, -1}, {-1, -1}};
	const size_t count = budget ? 2 : 1;
	int rc = 0;

	if (!slot_running(s) || !slot_running(key))
		return 0; /* who starts later is introduced then */
	for (size_t i = 0; i < count && rc == 0; i++) {
		rc = proc_pair(pairs[i], true, err);
		if (rc != 0)
			break;
		send_peer(
		    key, budget ? MSG_PEER_BUDGET : MSG_PEER_AUTH, pairs[i][0], 0);
		msg.fds[msg.fd_count++] = pairs[i][1];
	}
	if (rc == 0)
		slot_send(s, &msg);
	for (size_t i = 0; i < count; i++)
		close_pair(pairs[i]);
	return rc;
}

/* ---- starting ---- */

static int
start_worker(struct slot *s, struct err *err)
{
	struct monitor *m = s->monitor;
	const size_t worker = s->index - SLOT_WORKER;
	int auth[2] = {-1, -1}, audit[2] = {-1, -1}, key[2] = {-1, -1};
	int fds[WORKER_FD_LISTEN + LISTENERS_MAX];
	int rc;

	quota_table_worker_reset(m->quota, (unsigned)worker);
	rc = proc_pair(auth, true, err);
	if (rc == 0)
		rc = proc_pair(audit, true, err);
	if (rc == 0)
		rc = proc_pair(key, true, err);
	fds[WORKER_FD_AUTH] = auth[1];
	fds[WORKER_FD_AUDIT] = audit[1];
	fds[WORKER_FD_KEY] = key[1];
	fds[WORKER_FD_QUOTA] = m->quota_fd;
	for (size_t i = 0; i < m->listener_count; i++)
		fds[WORKER_FD_LISTEN + i] = m->listeners[worker][i];
	if (rc == 0)
		rc = proc_spawn(&s->child, &gate_roles[SLOT_WORKER], fds,
		    WORKER_FD_LISTEN + m->listener_count, true, err);
	/* Without an auth role now the worker sees a closed socket, and gets another later. */
	if (rc == 0) {
		send_peer(&m->slots[SLOT_AUTH], MSG_PEER_WORKER, auth[0], worker);
		send_peer(&m->slots[SLOT_AUDIT], MSG_PEER_WORKER, audit[0], worker);
		send_peer(&m->slots[SLOT_KEY], MSG_PEER_WORKER, key[0], worker);
	}
	close_pair(auth);
	close_pair(audit);
	close_pair(key);
	if (rc == 0)
		rc = slot_send_settings(s, 0, err);
	if (rc == 0)
		monitor_tickets_tell(s);
	return rc;
}

int
slot_send_settings(struct slot *s, uint32_t id, struct err *err)
{
	struct monitor *m = s->monitor;
	struct worker_settings settings = m->plan->worker;
	struct proc_msg msg = {.type = MSG_CONFIG, .id = id, .fd_count = 2};
	int fd = -1;

	settings.index = (uint32_t)(s->index - SLOT_WORKER);
	memcpy(settings.list_seed, m->list_seed, sizeof(settings.list_seed));
	if (worker_settings_seal(&settings, &fd, err) != 0)
		return err->code;
	msg.fds[0] = fd;
	msg.fds[1] = m->plan->policy_fd;
	slot_send(s, &msg);
	(void)close(fd); /* sealed: nothing can be lost */
	return 0;
}

void
slot_send_keys(struct slot *s, uint32_t id)
{
	const struct gate_plan *plan = s->monitor->plan;
	struct proc_msg msg = {
	    .type = MSG_CONFIG, .id = id, .fds = {plan->keys_fd}, .fd_count = 1};
	struct buf body = {NULL, 0, 0};

	proc_put_u32(&body, plan->worker.uid);
	proc_put_u32(&body, plan->worker.gid);
	msg.data = (const uint8_t *)body.data;
	msg.len = body.len;
	slot_send(s, &msg);
	buf_free(&body);
}

static int
start_key(struct slot *s, struct err *err)
{
	const int rc = proc_spawn(&s->child, &gate_roles[SLOT_KEY], NULL, 0, true, err);

	if (rc != 0)
		return rc;
	slot_send_keys(s, 0);
	if (introduce_to_workers(s, err) != 0 ||
	    introduce_to_key(&s->monitor->slots[SLOT_AUTH], err) != 0)
		return err->code;
	return introduce_to_key(&s->monitor->slots[SLOT_BUDGET], err);
}

static int
start_budget(struct slot *s, struct err *err)
{
	const struct monitor *m = s->monitor;
	struct proc_msg msg = {.type = MSG_CONFIG, .fd_count = 2};
	struct buf body = {NULL, 0, 0};
	int journal[BUDGET_JOURNAL_FILES];
	int fd = -1;
	int rc = monitor_journal_open(m, journal, err);

	if (rc == 0)
		rc = worker_settings_seal(&m->plan->admission, &fd, err);
	if (rc == 0)
		rc = proc_spawn(&s->child, &gate_roles[SLOT_BUDGET], &m->admission_fd,
		    m->admission_fd >= 0, true, err);
	if (rc == 0) {
		budget_role_settings_encode(&body, &m->plan->budget);
		msg.data = (const uint8_t *)body.data;
		msg.len = body.len;
		msg.fds[0] = fd;
		msg.fds[1] = m->plan->policy_fd;
		for (size_t i = 0; i < BUDGET_JOURNAL_FILES; i++)
			msg.fds[msg.fd_count++] = journal[i];
		slot_send(s, &msg);
		secret_wipe(body.data, body.len); /* etcd's password may be in it */
		buf_free(&body);
		rc = introduce_to_key(s, err);
	}
	monitor_journal_close(journal);
	if (fd >= 0)
		(void)close(fd); /* sealed: nothing can be lost */
	return rc;
}

static int
start_service(struct slot *s, struct err *err)
{
	const struct gate_plan *plan = s->monitor->plan;
	struct proc_msg msg = {.type = MSG_CONFIG};
	struct buf body = {NULL, 0, 0};
	int fds[STATUS_FD_COUNT] = {s->monitor->control_fd, s->monitor->metrics_fd};
	/* Without a metrics listener there is only the first. */
	const size_t fd_count = s->index != SLOT_STATUS       ? 0
				: s->monitor->metrics_fd >= 0 ? 2
							      : 1;
	int rc = proc_spawn(&s->child, &gate_roles[s->index], fds, fd_count, true, err);

	if (rc != 0)
		return rc;
	if (s->index == SLOT_AUTH) {
		msg.fds[msg.fd_count++] = s->monitor->quota_fd;
		auth_role_settings_encode(&body, &plan->auth);
	} else if (s->index == SLOT_AUDIT) {
		audit_role_settings_encode(&body, &plan->audit);
	} else {
		proc_put_u32(&body, plan->worker.uid);
		proc_put_u32(&body, plan->worker.gid);
	}
	msg.data = (const uint8_t *)body.data;
	msg.len = body.len;
	slot_send(s, &msg);
	secret_wipe(body.data, body.len); /* a password may be in it */
	buf_free(&body);
	if (s->index == SLOT_AUTH && introduce_to_key(s, err) != 0)
		return err->code;
	return s->index == SLOT_STATUS ? 0 : introduce_to_workers(s, err);
}

/* ---- watching ---- */

static void
on_closed(uv_handle_t *handle)
{
	struct slot *s = handle->data;

	s->open_handles--;
}

/* Its channel is closed, so it is about to end; it had the time. */
static void
on_silent(uv_timer_t *timer)
{
	slot_kill(timer->data);
}

static void
on_channel(uv_poll_t *poll, int status, int events)
{
	struct slot *s = poll->data;
	struct err err = ERR_INIT;
	struct proc_msg msg;
	int rc = status < 0 ? ERR_UNAVAILABLE : 1;

	(void)events; /* only readability is watched */
	while (rc == 1) {
		rc = proc_recv(&s->child.channel, &msg, &err);
		if (rc != 1)
			break;
		if (msg.type == MSG_READY && msg.id == 0) {
			s->ready = true;
			monitor_on_ready(s->monitor);
		} else {
			monitor_on_message(s, &msg);
		}
		proc_msg_close_fds(&msg);
	}
	if (rc < 0) {
		(void)uv_poll_stop(poll); /* cannot fail */
		if (uv_timer_start(&s->restart, on_silent, SILENT_MS, 0) != 0)
			base_die("cannot start a timer");
	}
}

static void slot_start_or_retry(struct slot *s);

static void
on_restart(uv_timer_t *timer)
{
	slot_start_or_retry(timer->data);
}

static uint64_t
backoff_ms(const struct slot *s)
{
	uint64_t ms = BACKOFF_MIN_MS;

	for (unsigned i = 1; i < s->failures && ms < BACKOFF_MAX_MS; i++)
		ms *= 2;
	return ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
}

static void
schedule(struct slot *s)
{
	s->failures++;
	if (uv_timer_start(&s->restart, on_restart, backoff_ms(s), 0) != 0)
		base_die("cannot start a timer");
}

static void
on_end(uv_poll_t *poll, int status, int events)
{
	struct slot *s = poll->data;
	const char *name = s->child.role->name;
	const pid_t pid = s->child.pid;

	(void)status; /* whatever it is, the process is looked at */
	(void)events;
	uv_close((uv_handle_t *)&s->channel_poll, on_closed);
	uv_close((uv_handle_t *)&s->end_poll, on_closed);
	(void)uv_timer_stop(&s->restart); /* cannot fail */
	status = proc_stop(&s->child, 0); /* it has ended: without delay */
	s->ready = false;
	if (s->index >= SLOT_WORKER)
		quota_table_worker_reset(
		    s->monitor->quota, (unsigned)(s->index - SLOT_WORKER));
	if (s->monitor->stopping || s->expected)
		log_info("role-ended", "name=%s pid=%d status=%d", name, pid, status);
	else
		log_error("role-died", "name=%s pid=%d status=%d", name, pid, status);
	if (monotime_since(s->started, monotime_now()) > STEADY_NS || s->expected)
		s->failures = 0;
	s->expected = false;
	monitor_on_end(s, status);
	if (!s->monitor->stopping) {
		s->restarts++;
		schedule(s);
	}
}

static int
watch(struct slot *s, struct err *err)
{
	struct monitor *m = s->monitor;

	s->channel_poll.data = s->end_poll.data = s;
	if (uv_poll_init(&m->loop, &s->channel_poll, s->child.channel.fd) != 0 ||
	    uv_poll_init(&m->loop, &s->end_poll, s->child.pidfd) != 0)
		return err_set(err, ERR_SYSTEM, "cannot watch a role");
	s->open_handles = 2;
	if (uv_poll_start(&s->channel_poll, UV_READABLE, on_channel) != 0 ||
	    uv_poll_start(&s->end_poll, UV_READABLE, on_end) != 0)
		return err_set(err, ERR_SYSTEM, "cannot watch a role");
	return 0;
}

int
slot_start(struct slot *s, struct err *err)
{
	int rc;

	s->ready = false;
	s->started = monotime_now();
	rc = slot_kind(s) == SLOT_WORKER   ? start_worker(s, err)
	     : slot_kind(s) == SLOT_BUDGET ? start_budget(s, err)
	     : slot_kind(s) == SLOT_KEY    ? start_key(s, err)
					   : start_service(s, err);
	if (rc == 0)
		rc = watch(s, err);
	if (rc != 0)
		(void)proc_stop(
		    &s->child, 0); /* the first failure is the one to tell */
	return rc;
}

/* As slot_start; if that fails, again later. */
static void
slot_start_or_retry(struct slot *s)
{
	struct err err = ERR_INIT;

	if (s->monitor->stopping)
		return;
	if (s->open_handles == 0 && slot_start(s, &err) == 0)
		return;
	if (s->open_handles == 0)
		log_error("role-start", "index=%zu detail=%s", s->index,
		    log_quote(str_from(err.msg)));
	schedule(s);
}
