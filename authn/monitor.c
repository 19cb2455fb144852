/*
 * The gate as a whole: start, reload, stop.
 */
#include "authn/monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "authn/listen.h"
#include "authn/messages.h"
#include "authn/status_role.h"
#include "common/log.h"
#include "common/secret.h"

#define CHECK_MS      60000 /* for judging the largest policy */
#define DRAIN_MORE_MS 5000  /* beyond what workers have for their drain */
#define STOP_MS       2000  /* a role that is told to end, while others wait */
#define MAX_WORKER_ID 64

/* ---- judging a plan ---- */

static void
log_problem(const char *event, const struct buf *problem)
{
	struct str rest = buf_str(problem);

	while (rest.len != 0) {
		struct str line = str_split(&rest, '\n');

		if (line.len != 0)
			log_error(event, "text=%s", log_quote(line));
		if (rest.ptr == NULL)
			break;
	}
}

/* Signals interrupt poll(2), such as that of the next reload; it must not end this one. */
static bool
wait_readable(int fd, int timeout_ms)
{
	const monotime_t begin = monotime_now();
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	int left_ms = timeout_ms, rc;

	do {
		rc = poll(&wait, 1, left_ms);
		left_ms =
		    timeout_ms - (int)(monotime_since(begin, monotime_now()) / 1000000);
	} while (rc < 0 && errno == EINTR && left_ms > 0);
	return rc == 1;
}

/* What the role says, in `problem` if it is no. */
static bool
check_answer(struct proc_child *child, struct buf *problem)
{
	struct err err = ERR_INIT;
	struct proc_msg msg;

	if (!wait_readable(child->channel.fd, CHECK_MS) ||
	    proc_recv(&child->channel, &msg, &err) != 1) {
		buf_printf(problem, "the configuration could not be judged%s%s\n",
		    err.msg[0] != '\0' ? ": " : "", err.msg);
		return false;
	}
	buf_add(problem, msg.data, msg.len);
	proc_msg_close_fds(&msg);
	return msg.type == MSG_READY;
}

/* Has a role without privileges judge the plan. */
static bool
check_plan(const struct gate_plan *plan, struct buf *problem)
{
	struct proc_child child = PROC_CHILD_INIT;
	struct proc_msg msg = {.type = MSG_CONFIG, .fd_count = 3};
	struct buf body = {NULL, 0, 0};
	struct err err = ERR_INIT;
	int fd = -1, admission_fd = -1;
	bool ok = false;

	proc_put_u32(&body, plan->worker.uid);
	proc_put_u32(&body, plan->worker.gid);
	if (worker_settings_seal(&plan->worker, &fd, &err) != 0 ||
	    (plan->config->has_admission &&
		worker_settings_seal(&plan->admission, &admission_fd, &err) != 0) ||
	    proc_spawn(&child, &gate_roles[SLOT_WORKER + 1], NULL, 0, false, &err) != 0)
		goto out;
	msg.data = (const uint8_t *)body.data;
	msg.len = body.len;
	msg.fds[0] = fd;
	msg.fds[1] = plan->policy_fd;
	msg.fds[2] = plan->keys_fd;
	if (admission_fd >= 0)
		msg.fds[msg.fd_count++] = admission_fd;
	if (proc_send(&child.channel, &msg, &err) == 0)
		ok = check_answer(&child, problem);
out:
	if (err.msg[0] != '\0')
		buf_printf(problem, "%s\n", err.msg);
	if (fd >= 0)
		(void)close(fd); /* sealed: nothing can be lost */
	if (admission_fd >= 0)
		(void)close(admission_fd); /* the same */
	(void)proc_stop(&child, STOP_MS);
	buf_free(&body);
	return ok;
}

static struct gate_plan *
load_and_check(const char *path, const char *event)
{
	struct buf problem = {NULL, 0, 0};
	struct gate_plan *plan = gate_plan_load(path, &problem);

	if (plan != NULL && !check_plan(plan, &problem)) {
		gate_plan_free(plan);
		plan = NULL;
	}
	log_problem(event, &problem);
	buf_free(&problem);
	return plan;
}

/* ---- reload ---- */

static bool
same_listeners(const struct gate_config *a, const struct gate_config *b)
{
	if (a->listen_count != b->listen_count || a->workers != b->workers ||
	    a->has_metrics != b->has_metrics || a->has_admission != b->has_admission ||
	    a->admission.listens != b->admission.listens ||
	    strcmp(a->control_socket, b->control_socket) != 0 ||
	    strcmp(a->audit_directory, b->audit_directory) != 0 ||
	    strcmp(a->state_directory, b->state_directory) != 0)
		return false;
	for (size_t i = 0; i < a->listen_count; i++) {
		if (!str_eq(a->listen[i].host, b->listen[i].host) ||
		    a->listen[i].port != b->listen[i].port)
			return false;
	}
	return !a->has_metrics || (str_eq(a->metrics.host, b->metrics.host) &&
				      a->metrics.port == b->metrics.port);
}

static bool
same_settings(const struct gate_plan *a, const struct gate_plan *b, size_t slot)
{
	struct buf x = {NULL, 0, 0}, y = {NULL, 0, 0};
	bool same;

	if (slot == SLOT_AUTH) {
		auth_role_settings_encode(&x, &a->auth);
		auth_role_settings_encode(&y, &b->auth);
	} else {
		audit_role_settings_encode(&x, &a->audit);
		audit_role_settings_encode(&y, &b->audit);
	}
	same = str_eq(buf_str(&x), buf_str(&y));
	secret_wipe(x.data, x.len);
	secret_wipe(y.data, y.len);
	buf_free(&x);
	buf_free(&y);
	return same;
}

/* Ends a role so that it starts again with the settings that hold now. */
static void
renew(struct slot *s)
{
	struct proc_msg drain = {.type = MSG_DRAIN};

	s->expected = true;
	slot_send(s, &drain);
}

/* Another policy is taken as it runs, so that nobody waits for everything to be listed. */
static void
reload_budget(struct monitor *m, const struct gate_plan *old)
{
	struct slot *s = &m->slots[SLOT_BUDGET];
	struct proc_msg policy = {
	    .type = MSG_POLICY, .id = 1, .fds = {m->plan->policy_fd}, .fd_count = 1};
	struct buf x = {NULL, 0, 0}, y = {NULL, 0, 0};

	if (!slot_running(s))
		return;
	worker_settings_encode(&x, &old->admission);
	worker_settings_encode(&y, &m->plan->admission);
	budget_role_settings_encode(&x, &old->budget);
	budget_role_settings_encode(&y, &m->plan->budget);
	if (str_eq(buf_str(&x), buf_str(&y))) {
		s->expected = true; /* it ends if there are other kinds to be watched */
		slot_send(s, &policy);
	} else {
		renew(s);
	}
	secret_wipe(x.data, x.len);
	secret_wipe(y.data, y.len);
	buf_free(&x);
	buf_free(&y);
}

/* Takes the policy of the plan that is in force. */
static bool
keep_policy(struct gate_plan *plan, const struct gate_plan *old)
{
	const int fd = fcntl(old->policy_fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return false;
	(void)close(plan->policy_fd); /* sealed: nothing can be lost */
	plan->policy_fd = fd;
	return true;
}

static void
on_hangup(uv_signal_t *handle, int signal_number)
{
	(void)signal_number;
	monitor_reload(handle->data, false);
}

void
monitor_reload(struct monitor *m, bool files_only)
{
	struct gate_plan *old = m->plan;
	struct gate_plan *plan;
	struct err err = ERR_INIT;

	if (!files_only)
		monitor_files_note(m);
	proc_notify("RELOADING=1");
	plan = load_and_check(m->options.config_path, "reload-problem");
	if (plan != NULL && files_only && !keep_policy(plan, old)) {
		gate_plan_free(plan);
		plan = NULL;
	}
	if (plan == NULL) {
		monitor_record(m, "not reloaded: what was in force stays", false);
		log_error("reload-failed", "detail=\"what was in force stays\"");
		proc_notify("READY=1");
		return;
	}
	if (!same_listeners(old->config, plan->config))
		log_warn("reload-partial",
		    "detail=\"addresses, directories, sockets and the number of "
		    "workers change with a restart only\"");
	plan->auth.directory = str_dup(plan->arena, old->auth.directory);
	plan->audit.directory = str_dup(plan->arena, old->audit.directory);
	m->plan = plan;
	if (slot_running(&m->slots[SLOT_KEY]))
		slot_send_keys(&m->slots[SLOT_KEY], 1);
	for (size_t i = SLOT_WORKER; i < m->slot_count; i++) {
		if (slot_running(&m->slots[i]) &&
		    slot_send_settings(&m->slots[i], 1, &err) != 0)
			slot_kill(&m->slots[i]); /* it starts again with them */
	}
	for (size_t i = SLOT_AUDIT; i <= SLOT_AUTH; i++) {
		if (!same_settings(old, plan, i))
			renew(&m->slots[i]);
	}
	reload_budget(m, old);
	gate_plan_free(old);
	monitor_record(m, "reloaded", true);
	log_info("reloaded", "config=%s", log_quote(str_from(m->options.config_path)));
	proc_notify("READY=1");
}

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
		log_problem("worker-refused", &problem);
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
	m->plan = load_and_check(options->config_path, "config-problem");
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
