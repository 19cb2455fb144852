/*
 * What comes into force: a plan that a process without privileges has judged, at the start and
 * when it is read again.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "authn/monitor/monitor.h"
#include "authn/wire/messages.h"
#include "common/log.h"

#define CHECK_MS 60000 /* for judging the largest policy */
#define STOP_MS  2000  /* a role that is told to end, while others wait */

/* ---- judging a plan ---- */

void
monitor_log_problem(const char *event, const struct buf *problem)
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

struct gate_plan *
monitor_load_plan(const char *path, const char *event)
{
	struct buf problem = {NULL, 0, 0};
	struct gate_plan *plan = gate_plan_load(path, &problem);

	if (plan != NULL && !check_plan(plan, &problem)) {
		gate_plan_free(plan);
		plan = NULL;
	}
	monitor_log_problem(event, &problem);
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

void
monitor_reload(struct monitor *m, bool files_only)
{
	struct gate_plan *old = m->plan;
	struct gate_plan *plan;
	struct err err = ERR_INIT;

	if (!files_only)
		monitor_files_note(m);
	proc_notify("RELOADING=1");
	plan = monitor_load_plan(m->options.config_path, "reload-problem");
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
