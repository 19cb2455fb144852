/*
 * The gate as a whole: start, reload, stop.
 */
#include "authn/monitor/monitor.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "authn/monitor/listen.h"
#include "authn/monitor/status_role.h"
#include "authn/wire/messages.h"
#include "common/log.h"
#include "common/secret.h"

#define DRAIN_MORE_MS 5000 /* beyond what workers have for their drain */
#define STOP_MS       2000 /* a role that is told to end, while others wait */
#define MAX_WORKER_ID 64

/* ---- messages ---- */

/* Who is named did not confirm a revocation: it must not serve the token any longer. */
static void
on_stuck(struct monitor *m, const struct proc_msg *msg)
{
	struct proc_reader r;
	uint32_t count, worker;

	proc_reader_init(&r, msg);
	count = proc_get_u32(&r);
	for (uint32_t i = 0; i < count && i < QUOTA_MAX_WORKERS; i++) {
		worker = proc_get_u32(&r);
		if (!r.ok || SLOT_WORKER + worker >= m->slot_count)
			return;
		log_error("worker-stuck", "index=%u", worker);
		slot_kill(&m->slots[SLOT_WORKER + worker]);
	}
}

/* Somebody asks the status role: everybody is asked, and tells it. */
static void
on_question(struct monitor *m, uint32_t id)
{
	struct proc_msg ask = {.type = MSG_STATUS, .id = id};
	struct buf body = {NULL, 0, 0};
	uint32_t expected = 0;

	for (size_t i = 0; i < m->slot_count; i++) {
		struct slot *s = &m->slots[i];

		if (i == SLOT_STATUS || !slot_running(s) || !s->ready)
			continue;
		slot_send(s, &ask);
		expected++;
	}
	proc_put_str(&body, STR("monitor"));
	proc_put_u32(&body, expected);
	for (size_t i = 0; i < m->slot_count; i++) {
		const struct slot *s = &m->slots[i];

		if (s->absent)
			continue;
		proc_put_str(&body,
		    str_from(gate_roles[i < SLOT_WORKER ? i : SLOT_WORKER].name));
		proc_put_u32(&body, (uint32_t)s->child.pid);
		proc_put_u8(&body, s->ready);
		proc_put_u64(&body, s->restarts);
	}
	ask.data = (const uint8_t *)body.data;
	ask.len = body.len;
	slot_send(&m->slots[SLOT_STATUS], &ask);
	buf_free(&body);
}

static void
forward_status(struct slot *s, const struct proc_msg *msg)
{
	struct proc_msg part = {.type = MSG_STATUS, .id = msg->id};
	struct buf body = {NULL, 0, 0};

	proc_put_str(&body, str_from(s->child.role->name));
	proc_put_str(&body, (struct str){(const char *)msg->data, msg->len});
	part.data = (const uint8_t *)body.data;
	part.len = body.len;
	slot_send(&s->monitor->slots[SLOT_STATUS], &part);
	buf_free(&body);
}

void
monitor_on_message(struct slot *s, struct proc_msg *msg)
{
	struct buf problem = {NULL, 0, 0};

	if (msg->type == MSG_STATUS && s->index == SLOT_STATUS) {
		on_question(s->monitor, msg->id);
	} else if (msg->type == MSG_STATUS) {
		forward_status(s, msg);
	} else if (msg->type == MSG_ACCOUNT_NOTE && s->index == SLOT_AUTH) {
		monitor_note_account(s->monitor, msg);
	} else if (msg->type == MSG_WORKER_STUCK && s->index == SLOT_AUTH) {
		on_stuck(s->monitor, msg);
	} else if (msg->type == MSG_RELOAD_FAILED) {
		/* It was judged before, so this is about the worker: another takes over. */
		buf_add(&problem, msg->data, msg->len);
		monitor_log_problem("worker-refused", &problem);
		slot_kill(s);
	} else if (msg->type == MSG_READY && s->index == SLOT_BUDGET) {
		s->expected = false; /* it goes on, with the new policy */
	} else if (msg->type != MSG_READY) {
		log_error(
		    "role-protocol", "name=%s type=%u", s->child.role->name, msg->type);
		slot_kill(s);
	}
	buf_free(&problem);
}

void
monitor_on_ready(struct monitor *m)
{
	monitor_notes_flush(m);
	for (size_t i = 0; i < m->slot_count; i++) {
		if (!m->slots[i].ready && !m->slots[i].absent)
			return;
	}
	if (m->announced)
		return;
	m->announced = true;
	log_info("gate-ready", "version=" RINGFENCE_VERSION " workers=%zu",
	    m->slot_count - SLOT_WORKER);
	proc_notify("READY=1");
	proc_ready_fd(m->options.ready_fd);
}

/* ---- stopping ---- */

static void
end_all(struct monitor *m)
{
	for (size_t i = 0; i < m->slot_count; i++)
		slot_kill(&m->slots[i]);
	uv_stop(&m->loop);
}

static void
on_deadline(uv_timer_t *timer)
{
	log_warn("stop-forced", "detail=\"roles did not end in time\"");
	end_all(timer->data);
}

static size_t
running_from(const struct monitor *m, size_t first)
{
	size_t n = 0;

	for (size_t i = first; i < m->slot_count; i++)
		n += slot_running(&m->slots[i]);
	return n;
}

/* Workers first; what they still say is then written by the others, who end after. */
static void
stop_next(struct monitor *m)
{
	struct proc_msg drain = {.type = MSG_DRAIN};

	if (running_from(m, SLOT_WORKER) != 0)
		return;
	if (running_from(m, 0) == 0) {
		uv_stop(&m->loop);
		return;
	}
	for (size_t i = 0; i < SLOT_WORKER; i++) {
		if (slot_running(&m->slots[i]) && !m->slots[i].expected) {
			m->slots[i].expected = true;
			slot_send(&m->slots[i], &drain);
		}
	}
}

static void
stop(struct monitor *m, int exit_status)
{
	const struct proc_msg drain = {.type = MSG_DRAIN};

	if (m->stopping)
		return;
	m->stopping = true;
	m->exit_status = exit_status;
	proc_notify("STOPPING=1");
	for (size_t i = 0; i < m->slot_count; i++) {
		(void)uv_timer_stop(&m->slots[i].restart); /* cannot fail */
		m->slots[i].expected = false;
		if (i >= SLOT_WORKER)
			slot_send(&m->slots[i], &drain);
	}
	if (uv_timer_start(&m->deadline, on_deadline,
		m->plan->worker.limits.drain_ms + DRAIN_MORE_MS, 0) != 0)
		base_die("cannot start a timer");
	stop_next(m);
}

static void
on_hangup(uv_signal_t *handle, int signal_number)
{
	(void)signal_number;
	monitor_reload(handle->data, false);
}

static void
on_terminate(uv_signal_t *handle, int signal_number)
{
	log_info("stopping", "signal=%d", signal_number);
	stop(handle->data, 0);
}

void
monitor_on_end(struct slot *s, int status)
{
	struct monitor *m = s->monitor;

	if (m->stopping) {
		stop_next(m);
	} else if (!m->announced) {
		/* What does not work from the start will not work later. */
		log_error(
		    "gate-start-failed", "role-index=%zu status=%d", s->index, status);
		m->stopping = true;
		m->exit_status = 1;
		end_all(m);
	}
}

/* ---- starting ---- */

static int
make_quota(struct monitor *m, struct err *err)
{
	const size_t bytes = quota_table_bytes();
	void *memory;

	m->quota_fd = memfd_create("ringfence-quota", MFD_CLOEXEC);
	if (m->quota_fd < 0 || ftruncate(m->quota_fd, (off_t)bytes) != 0)
		return err_sys(err, "quota table");
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m->quota_fd, 0);
	if (memory == MAP_FAILED)
		return err_sys(err, "quota table");
	quota_table_init(memory);
	m->quota = memory;
	monitor_quota_load(m);
	return 0;
}

static int
open_sockets(struct monitor *m, struct err *err)
{
	const struct gate_config *c = m->plan->config;
	int rc = 0;

	if (c->listen_count > LISTENERS_MAX)
		return err_set(
		    err, ERR_LIMIT, "more than %d listening addresses", LISTENERS_MAX);
	m->listener_count = c->listen_count;
	for (size_t i = 0; i < c->listen_count && rc == 0; i++) {
		rc = listen_probe(&c->listen[i], err);
		for (size_t w = 0; w < c->workers && rc == 0; w++)
			rc = listen_tcp(&c->listen[i], true, &m->listeners[w][i], err);
	}
	if (rc == 0)
		rc = listen_unix(c->control_socket, &m->control_fd, err);
	if (rc == 0 && c->has_metrics)
		rc = listen_tcp(&c->metrics, false, &m->metrics_fd, err);
	if (rc == 0 && c->has_admission && c->admission.listens)
		rc = listen_tcp(&c->admission.listen, false, &m->admission_fd, err);
	return rc;
}

static int
start_loop(struct monitor *m, struct err *err)
{
	const struct {
		uv_signal_t *handle;
		uv_signal_cb callback;
		int number;
	} signals[] = {
	    {&m->hangup, on_hangup, SIGHUP},
	    {&m->terminate, on_terminate, SIGTERM},
	    {&m->interrupt, on_terminate, SIGINT},
	};

	if (uv_loop_init(&m->loop) != 0 || uv_timer_init(&m->loop, &m->deadline) != 0)
		return err_set(err, ERR_SYSTEM, "cannot start the event loop");
	m->deadline.data = m;
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		signals[i].handle->data = m;
		if (uv_signal_init(&m->loop, signals[i].handle) != 0 ||
		    uv_signal_start(
			signals[i].handle, signals[i].callback, signals[i].number) != 0)
			return err_set(err, ERR_SYSTEM, "cannot watch signals");
	}
	return 0;
}

static int
start_slots(struct monitor *m, struct err *err)
{
	int rc = 0;

	m->slot_count = SLOT_WORKER + m->plan->config->workers;
	for (size_t i = 0; i < m->slot_count && rc == 0; i++) {
		struct slot *s = &m->slots[i];

		s->monitor = m;
		s->index = i;
		s->restart.data = s;
		s->child = PROC_CHILD_INIT;
		s->absent = i == SLOT_BUDGET && !m->plan->config->has_admission;
		if (uv_timer_init(&m->loop, &s->restart) != 0)
			return err_set(err, ERR_SYSTEM, "cannot make a timer");
	}
	for (size_t i = 0; i < m->slot_count && rc == 0; i++) {
		if (!m->slots[i].absent)
			rc = slot_start(&m->slots[i], err);
	}
	return rc;
}

static int
start(struct monitor *m, struct err *err)
{
	const struct gate_plan *p = m->plan;
	int rc = directory_prepare(
	    p->config->state_directory, p->auth.uid, p->auth.gid, err);

	if (rc == 0)
		rc = directory_prepare(
		    p->config->audit_directory, p->audit.uid, p->audit.gid, err);
	if (rc == 0)
		rc = make_quota(m, err);
	if (rc == 0)
		rc = open_sockets(m, err);
	if (rc == 0)
		rc = start_loop(m, err);
	if (rc == 0)
		rc = monitor_quota_start(m, err);
	if (rc == 0)
		rc = monitor_files_start(m, err);
	if (rc == 0)
		rc = monitor_tickets_start(m, err);
	if (rc == 0)
		rc = start_slots(m, err);
	if (rc == 0)
		monitor_record(m, "started", true);
	return rc;
}

int
monitor_run(const struct monitor_options *options)
{
	struct monitor *m = xcalloc(1, sizeof(*m));
	struct err err = ERR_INIT;

	log_setup("monitor", LOG_INFO, LOG_FORMAT_TEXT);
	m->options = *options;
	m->control_fd = m->metrics_fd = m->admission_fd = m->quota_fd = -1;
	secret_random(m->list_seed, sizeof(m->list_seed));
	m->plan = monitor_load_plan(options->config_path, "config-problem");
	if (m->plan == NULL)
		return 2;
	if (start(m, &err) != 0) {
		log_error("gate-start", "detail=%s", log_quote(str_from(err.msg)));
		m->exit_status = 1;
	} else {
		(void)uv_run(&m->loop, UV_RUN_DEFAULT); /* ends by uv_stop */
	}
	for (size_t i = 0; i < m->slot_count; i++)
		(void)proc_stop(&m->slots[i].child, STOP_MS); /* has ended, usually */
	if (m->quota != NULL)
		monitor_quota_save(m);
	if (m->control_fd >= 0)
		(void)unlink(
		    m->plan->config->control_socket); /* or the next one does */
	gate_plan_free(m->plan);
	secret_wipe(&m->tickets, sizeof(m->tickets));
	secret_wipe(m->list_seed, sizeof(m->list_seed));
	log_info("gate-ended", "status=%d", m->exit_status);
	return m->exit_status;
}
