#include "enforcer/metrics/metrics.h"

#include <stdlib.h>

#include "enforcer/control/server.h"
#include "enforcer/engine/engine_state.h"
#include "enforcer/metrics/metrics_internal.h"

#define QUESTION_BYTES 8192

struct metrics {
	struct engine *engine;
	struct server *server;
};

static void
answer(struct server_conn *conn, const char *status, const char *type, struct str body)
{
	struct buf out = {0};

	buf_printf(&out,
	    "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
	    "Connection: close\r\n\r\n",
	    status, type, body.len);
	buf_add_str(&out, body);
	server_send(conn, buf_str(&out));
	server_finish(conn);
	buf_free(&out);
}

static void
send_metrics(
    struct engine *e, struct server_conn *conn, const struct proc_msg *counters)
{
	struct buf body = {0};

	metrics_add_engine(e, &body);
	metrics_add_rules(e, counters, &body);
	answer(conn, "200 OK", "text/plain; version=0.0.4", buf_str(&body));
	buf_free(&body);
}

static void
on_counted(struct engine *e, const struct proc_msg *counters, void *arg)
{
	uint64_t *id = arg;
	struct server_conn *conn =
	    e->metrics != NULL ? server_find(e->metrics->server, *id) : NULL;

	if (conn != NULL)
		send_metrics(e, conn, counters);
	free(id);
}

/* With the counters of rules, if the kernel role tells them. */
static void
answer_metrics(struct engine *e, struct server_conn *conn)
{
	uint64_t *id = xcalloc(1, sizeof(*id));
	struct err err = ERR_INIT;

	*id = server_conn_id(conn);
	if (engine_kernel_ask(e, MSG_COUNTERS, NULL, -1, on_counted, id, &err) == 0)
		return;
	free(id);
	send_metrics(e, conn, NULL);
}

/* That we answer says that the loop turns; without a kernel role that answers nothing can be
 * changed or healed, and behind a load that does not end nothing new comes into force. */
static void
answer_healthz(struct engine *e, struct server_conn *conn)
{
	const monotime_t now = monotime_now();
	const char *ill = engine_kernel_ill(e, now);
	struct buf body = {0};

	if (ill == NULL)
		ill = engine_load_ill(e, now);

	buf_printf(&body, "%s\n", ill != NULL ? ill : "ok");
	answer(conn, ill == NULL ? "200 OK" : "503 Service Unavailable", "text/plain",
	    buf_str(&body));
	buf_free(&body);
}

static void
answer_readyz(struct engine *e, struct server_conn *conn)
{
	const struct engine_unfiltered *u = &e->unfiltered;
	bool ok = e->apply.current != NULL && !e->apply.current->skeleton;
	struct buf body = {0};

	buf_printf(&body, "%s\n", engine_state_name(e));
	for (size_t i = 0; i < u->count; i++)
		buf_printf(&body, "unfiltered: %s IPv%u\n", u->bridges[i].name,
		    u->bridges[i].family == IP_V4 ? 4 : 6);
	/* What policy does not reach must not seem to be fenced. */
	ok = ok && !(u->refused && u->count != 0);
	answer(conn, ok ? "200 OK" : "503 Service Unavailable", "text/plain",
	    buf_str(&body));
	buf_free(&body);
}

static const struct {
	const char *path;
	void (*answer)(struct engine *e, struct server_conn *conn);
} pages[] = {
    {"/metrics", answer_metrics},
    {"/healthz", answer_healthz},
    {"/readyz", answer_readyz},
};

static void
on_question(void *arg, struct server_conn *conn, struct str question)
{
	struct metrics *m = arg;
	struct str rest = question;
	struct str line = str_split(&rest, '\r');
	struct str method = str_split(&line, ' ');
	struct str target = str_split(&line, ' ');
	struct str path = str_slice(target, 0, str_find(target, '?', 0));

	if (!str_starts(line, STR("HTTP/1."))) {
		answer(conn, "400 Bad Request", "text/plain", STR("bad request\n"));
		return;
	}
	if (!str_is(method, "GET")) {
		answer(conn, "405 Method Not Allowed", "text/plain", STR("GET only\n"));
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
		if (str_is(path, pages[i].path)) {
			pages[i].answer(m->engine, conn);
			return;
		}
	}
	answer(conn, "404 Not Found", "text/plain", STR("not found\n"));
}

int
metrics_new(struct engine *e, int fd, struct metrics **out_metrics, struct err *err)
{
	static const struct server_handler handler = {
	    .name = "metrics",
	    .end = "\r\n\r\n",
	    .question_bytes = QUESTION_BYTES,
	    .question = on_question,
	};
	struct metrics *m = xcalloc(1, sizeof(*m));
	int rc;

	m->engine = e;
	rc = server_new(&e->loop, fd, &handler, m, &m->server, err);
	if (rc != 0)
		free(m);
	else
		*out_metrics = m;
	return rc;
}

void
metrics_free(struct metrics *m)
{
	if (m == NULL)
		return;
	server_free(m->server);
	free(m);
}
