/*
 * Two listeners, one small HTTP/1.1 server: GET of /healthz, /readyz, /metrics and
 * /status, one request a connection. Each is answered with what the other roles say at
 * that moment; who does not answer within ANSWER_MS is left out.
 */
#include "authn/monitor/status_role.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <seccomp.h>
#include <uv.h>

#include "authn/monitor/status_text.h"
#include "authn/wire/messages.h"
#include "authn/wire/monitor_link.h"
#include "common/log.h"

#define ANSWER_MS     1000
#define CLIENT_MS     5000
#define CLIENTS_MAX   64
#define REQUEST_BYTES 8192

struct status_role;

struct client {
	struct client *next;
	struct status_role *role;
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} u;
	uv_timer_t timer;
	unsigned open_handles;
	bool closing;
	char request[REQUEST_BYTES];
	size_t len;
	uint32_t question; /* asked of the monitor; 0: not yet */
	unsigned expected; /* answers; valid once `report` has the monitor's */
	bool asked_all;
	enum status_page page;
	struct status_report *report;
	struct buf answer;
	uv_write_t write;
};

struct status_role {
	uv_loop_t loop;
	uv_pipe_t control;
	uv_tcp_t metrics;
	struct monitor_link monitor;
	struct client *clients;
	size_t client_count;
	uint32_t next_question;
};

/* ---- clients ---- */

static void
on_closed(uv_handle_t *handle)
{
	struct client *c = handle->data;

	if (--c->open_handles != 0)
		return;
	status_report_free(c->report);
	buf_free(&c->answer);
	free(c);
}

static void
drop(struct client *c)
{
	struct client **at = &c->role->clients;

	if (c->closing)
		return;
	c->closing = true;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->role->client_count--;
	uv_close(&c->u.handle, on_closed);
	uv_close((uv_handle_t *)&c->timer, on_closed);
}

static void
on_written(uv_write_t *write, int status)
{
	(void)status; /* either way it is over */
	drop(write->data);
}

static void
respond(struct client *c, int status, const char *type, struct str body)
{
	uv_buf_t out;

	buf_printf(&c->answer,
	    "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
	    "Cache-Control: no-store\r\nConnection: close\r\n\r\n",
	    status, status_page_reason(status), type, body.len);
	buf_add_str(&c->answer, body);
	out = uv_buf_init(c->answer.data, (unsigned)c->answer.len);
	c->write.data = c;
	(void)uv_read_stop(&c->u.stream); /* cannot fail */
	if (uv_write(&c->write, &c->u.stream, &out, 1, on_written) != 0)
		drop(c);
}

static void
respond_report(struct client *c)
{
	struct buf body = {NULL, 0, 0};
	const char *type = "";
	int status = status_page_render(c->report, c->page, &body, &type);

	respond(c, status, type, buf_str(&body));
	buf_free(&body);
}

static void
on_timer(uv_timer_t *timer)
{
	struct client *c = timer->data;

	if (c->question == 0 || c->answer.len != 0)
		drop(c); /* says nothing, or takes nothing */
	else
		respond_report(c);
}

static void
ask(struct client *c)
{
	struct status_role *role = c->role;
	struct proc_msg msg = {.type = MSG_STATUS};
	struct err err = ERR_INIT;

	role->next_question =
	    role->next_question == UINT32_MAX ? 1 : role->next_question + 1;
	msg.id = c->question = role->next_question;
	c->report = status_report_new();
	if (proc_send(role->monitor.channel, &msg, &err) != 0 ||
	    uv_timer_start(&c->timer, on_timer, ANSWER_MS, CLIENT_MS) != 0)
		drop(c);
}

static void
on_request(struct client *c)
{
	const struct str text = {c->request, c->len};
	int status = status_page_request(text, &c->page);

	if (status == 0)
		return; /* not complete yet */
	if (status == 200)
		ask(c);
	else
		respond(c, status, "text/plain", STR(""));
}

static void
on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
	struct client *c = handle->data;

	(void)suggested;
	*out =
	    uv_buf_init(c->request + c->len, (unsigned)(sizeof(c->request) - c->len));
}

static void
on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *in)
{
	struct client *c = stream->data;

	(void)in;    /* it is in c->request */
	if (n < 0) { /* gone, or its head is too long (UV_ENOBUFS) */
		drop(c);
		return;
	}
	c->len += (size_t)n;
	if (c->question == 0 && c->answer.len == 0)
		on_request(c);
}

static void
on_connection(uv_stream_t *server, int status)
{
	struct status_role *role = server->data;
	struct client *c;
	bool tcp = server->type == UV_TCP;

	if (status < 0)
		return;
	c = xcalloc(1, sizeof(*c));
	c->role = role;
	if ((tcp ? uv_tcp_init(&role->loop, &c->u.tcp)
		 : uv_pipe_init(&role->loop, &c->u.pipe, 0)) != 0 ||
	    uv_timer_init(&role->loop, &c->timer) != 0)
		base_die("cannot make a handle");
	c->u.handle.data = c->timer.data = c;
	c->open_handles = 2;
	c->next = role->clients;
	role->clients = c;
	role->client_count++;
	if (uv_accept(server, &c->u.stream) != 0 || role->client_count > CLIENTS_MAX ||
	    uv_read_start(&c->u.stream, on_alloc, on_read) != 0 ||
	    uv_timer_start(&c->timer, on_timer, CLIENT_MS, 0) != 0)
		drop(c);
}

/* ---- the monitor ---- */

static bool
on_monitor(void *arg, struct proc_msg *msg)
{
	struct status_role *role = arg;
	struct client *c = role->clients;

	if (msg->type != MSG_STATUS)
		return false; /* MSG_DRAIN, or nothing known */
	while (c != NULL && c->question != msg->id)
		c = c->next;
	if (c == NULL || c->closing || c->answer.len != 0)
		return true; /* too late */
	if (status_report_add(c->report, msg))
		respond_report(c);
	return true;
}

/* ---- start ---- */

static int
confine(struct proc_channel *monitor, struct err *err)
{
	static const int more[] = {SCMP_SYS(accept4), SCMP_SYS(listen), -1};
	struct proc_sandbox sandbox = {.empty_root = true,
	    .syscalls = proc_syscalls_basic,
	    .more_syscalls = more,
	    .max_files = CLIENTS_MAX + 64};
	struct proc_msg msg;
	struct proc_reader r;
	int rc = monitor_link_config(monitor, &msg, err);

	if (rc != 0)
		return rc;
	proc_reader_init(&r, &msg);
	sandbox.uid = proc_get_u32(&r);
	sandbox.gid = proc_get_u32(&r);
	if (!proc_reader_done(&r))
		return err_set(err, ERR_PROTOCOL, "malformed configuration");
	return proc_confine(&sandbox, err);
}

static int
start(struct status_role *role, const int *fds, size_t fd_count, struct err *err)
{
	if (fd_count == 0)
		return err_set(err, ERR_INVALID, "no control socket");
	role->control.data = role->metrics.data = role;
	if (uv_loop_init(&role->loop) != 0 ||
	    uv_pipe_init(&role->loop, &role->control, 0) != 0 ||
	    uv_pipe_open(&role->control, fds[STATUS_FD_CONTROL]) != 0 ||
	    uv_listen((uv_stream_t *)&role->control, 64, on_connection) != 0)
		return err_set(err, ERR_SYSTEM, "cannot watch the control socket");
	if (fd_count > STATUS_FD_METRICS &&
	    (uv_tcp_init(&role->loop, &role->metrics) != 0 ||
		uv_tcp_open(&role->metrics, fds[STATUS_FD_METRICS]) != 0 ||
		uv_listen((uv_stream_t *)&role->metrics, 64, on_connection) != 0))
		return err_set(err, ERR_SYSTEM, "cannot watch the metrics listener");
	return monitor_link_start(&role->monitor, &role->loop, err);
}

int
status_role_run(struct proc_channel *monitor, const int *fds, size_t fd_count)
{
	struct status_role *role = xcalloc(1, sizeof(*role));
	const struct proc_msg ready = {.type = MSG_READY};
	struct err err = ERR_INIT;

	log_setup("status", LOG_INFO, LOG_FORMAT_TEXT);
	json_object_seed(0); /* reads /dev/urandom when first used */
	role->monitor =
	    (struct monitor_link){.channel = monitor, .take = on_monitor, .arg = role};
	if (start(role, fds, fd_count, &err) != 0 || confine(monitor, &err) != 0 ||
	    proc_send(monitor, &ready, &err) != 0) {
		log_error("status-start", "detail=%s", log_quote(str_from(err.msg)));
		return 1;
	}
	(void)uv_run(&role->loop, UV_RUN_DEFAULT); /* ends by uv_stop */
	_Exit(0); /* nothing to write, and open connections to nobody's loss */
}
