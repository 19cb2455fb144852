/*
 * The control socket: questions to answers. Who may connect is decided by the socket's
 * mode and owner.
 */
#include "enforcer/control/control.h"

#include <stdlib.h>

#include "common/limits.h"
#include "common/log.h"
#include "enforcer/control/control_record.h"

#define QUESTION_BYTES LIMIT_LINE_BYTES
#define DEFAULT_FLOWS  100
#define QUESTIONS      13

struct control {
	struct engine *engine;
	struct server *server;
	struct control_window windows[QUESTIONS][2]; /* by others, by root */
	uint64_t tracing; /* whose trace is under way; 0: nobody's */
};

/* A question that waits for the kernel role. */
struct waiting {
	uint64_t conn;
	void (*answer)(
	    struct engine *e, const struct proc_msg *answer, struct buf *out);
};

static void
send_and_finish(struct server_conn *conn, struct buf *out)
{
	server_send(conn, buf_str(out));
	server_finish(conn);
	buf_free(out);
}

static void
refuse(struct server_conn *conn, const char *why)
{
	struct buf out = {0};

	control_answer_error(&out, str_from(why));
	send_and_finish(conn, &out);
}

struct engine *
asked_engine(const struct asked *a)
{
	return a->control->engine;
}

struct server_conn *
control_find(struct control *c, uint64_t conn_id)
{
	return server_find(c->server, conn_id);
}

void
asked_refuse(struct asked *a, const char *why)
{
	refuse(a->conn, why);
}

void
asked_done(struct asked *a)
{
	struct buf out = {0};

	buf_add_cstr(&out, "{}\n");
	send_and_finish(a->conn, &out);
}

/* ---- one function for each question ---- */

static void
ask_status(struct asked *a)
{
	struct buf out = {0};

	control_answer_status(a->control->engine, &out);
	send_and_finish(a->conn, &out);
}

static size_t
wanted_flows(const struct asked *a)
{
	uint64_t count = DEFAULT_FLOWS;

	if (a->count > 1 && !str_to_u64(a->words[1], ENGINE_RECENT_FLOWS, &count))
		count = ENGINE_RECENT_FLOWS;
	return count;
}

static void
answer_names(struct asked *a, bool json)
{
	struct buf out = {0};

	control_answer_names(a->control->engine, json, &out);
	send_and_finish(a->conn, &out);
}

static void
ask_names(struct asked *a)
{
	answer_names(a, false);
}

static void
ask_names_json(struct asked *a)
{
	answer_names(a, true);
}

static void
ask_flows(struct asked *a)
{
	struct buf out = {0};

	control_answer_flows(a->control->engine, wanted_flows(a), &out);
	send_and_finish(a->conn, &out);
}

/* What an engine that began then has recorded since that many of its records; everything if
 * it was another. */
static size_t
flows_since(const struct engine *e, struct str engine, struct str records)
{
	uint64_t began, before;
	uint64_t came = e->flows.records;

	if (str_to_u64(engine, UINT64_MAX, &began) &&
	    began == (uint64_t)e->started.ns && str_to_u64(records, came, &before))
		came -= before;
	return came < ENGINE_RECENT_FLOWS ? (size_t)came : ENGINE_RECENT_FLOWS;
}

/* COUNT mark [ENGINE RECORDS]: a mark stands between what there was (of that, what came since
 * an earlier mark) and what comes. */
static void
ask_flows_follow(struct asked *a)
{
	struct engine *e = a->control->engine;
	size_t count = wanted_flows(a);
	struct buf out = {0};

	if (a->count > 4)
		count = flows_since(e, a->words[3], a->words[4]);
	control_answer_flows(e, count, &out);
	if (a->count > 2)
		control_answer_mark(e, &out);
	server_send(a->conn, buf_str(&out));
	server_conn_mark(a->conn, true);
	buf_free(&out);
}

static void
on_answer(struct engine *e, const struct proc_msg *answer, void *arg)
{
	struct waiting *w = arg;
	struct server_conn *conn =
	    e->control != NULL ? server_find(e->control->server, w->conn) : NULL;
	struct buf out = {0};

	if (conn != NULL) {
		w->answer(e, answer, &out);
		send_and_finish(conn, &out);
	}
	free(w);
}

static void
ask_kernel(struct asked *a, uint32_t type,
    void (*answer)(struct engine *e, const struct proc_msg *answer, struct buf *out))
{
	struct waiting *w = xcalloc(1, sizeof(*w));
	struct err err = ERR_INIT;

	w->conn = server_conn_id(a->conn);
	w->answer = answer;
	if (engine_kernel_ask(a->control->engine, type, NULL, -1, on_answer, w, &err) ==
	    0)
		return;
	free(w);
	refuse(a->conn, "the kernel role does not answer; try again");
}

static void
ask_rules(struct asked *a)
{
	ask_kernel(a, MSG_COUNTERS, control_answer_rules);
}

static void
ask_diff(struct asked *a)
{
	ask_kernel(a, MSG_OBSERVE, control_answer_diff);
}

static void
on_traced(struct engine *e, const struct proc_msg *answer, void *arg)
{
	if (e->control != NULL)
		e->control->tracing = 0;
	on_answer(e, answer, arg);
}

/* Who has gone waits for no packet; the next who asks need not wait for his time to be up. */
static void
on_ended(void *arg, struct server_conn *conn)
{
	const struct control *c = arg;
	struct err err = ERR_INIT;

	if (c->tracing == server_conn_id(conn) &&
	    link_send(&c->engine->kernel.channel, MSG_TRACE_END, 0, NULL, -1, &err) !=
		0)
		log_error("kernel-link", "detail=%s", log_quote(str_from(err.msg)));
}

/* SRC DST PORT/PROTO SECONDS */
static void
ask_trace(struct asked *a)
{
	struct waiting *w = xcalloc(1, sizeof(*w));
	struct err err = ERR_INIT;
	struct buf question = {0}, why = {0};

	w->conn = server_conn_id(a->conn);
	w->answer = control_answer_trace;
	if (a->control->tracing != 0) {
		refuse(a->conn, "another trace is under way");
	} else if (!control_trace_question(
		       a->control->engine, a->words + 1, &question, &why)) {
		refuse(a->conn, why.data);
	} else if (engine_kernel_ask(a->control->engine, MSG_TRACE, &question, -1,
		       on_traced, w, &err) == 0) {
		a->control->tracing = w->conn;
		w = NULL;
	} else {
		refuse(a->conn, "the kernel role does not answer; try again");
	}
	free(w);
	buf_free(&question);
	buf_free(&why);
}

static const struct {
	const char *name;
	size_t least, most; /* words after it */
	void (*ask)(struct asked *a);
	bool recorded; /* tells of tenants' traffic, or changes something */
} questions[] = {
    {"status", 0, 0, ask_status, false},
    {"rules", 0, 0, ask_rules, false},
    {"flows", 0, 1, ask_flows, true},
    {"flows-follow", 0, 4, ask_flows_follow, true},
    {"names", 0, 0, ask_names, true},
    {"names-json", 0, 0, ask_names_json, true},
    {"diff", 0, 0, ask_diff, true},
    {"explain", 3, 3, ask_explain, false},
    {"explain-text", 3, 3, ask_explain_text, false},
    {"trace", 4, 4, ask_trace, true},
    {"attach", 5, 5, ask_attach, true},
    {"detach", 1, 1, ask_detach, true},
    {"keep", 1, 1, ask_keep, true},
};
_Static_assert(ARRAY_LEN(questions) == QUESTIONS, "each kind has its windows");

static void
on_question(void *arg, struct server_conn *conn, struct str question)
{
	struct asked a = {.control = arg, .conn = conn};
	struct str rest = question;

	while (rest.ptr != NULL && a.count < CONTROL_WORDS) {
		struct str word = str_trim(str_split(&rest, ' '));

		if (word.len != 0)
			a.words[a.count++] = word;
	}
	for (size_t i = 0; i < ARRAY_LEN(questions) && a.count != 0; i++) {
		if (!str_is(a.words[0], questions[i].name))
			continue;
		if (a.count - 1 < questions[i].least ||
		    a.count - 1 > questions[i].most || rest.ptr != NULL) {
			refuse(conn, "the question has too many or too few words");
			return;
		}
		if (questions[i].recorded)
			control_record(
			    &a.control->windows[i][server_conn_peer(conn).uid == 0],
			    &a);
		questions[i].ask(&a);
		return;
	}
	refuse(conn, "no such question");
}

int
control_new(struct engine *e, int fd, struct control **out_control, struct err *err)
{
	static const struct server_handler handler = {
	    .name = "control socket",
	    .end = "\n",
	    .question_bytes = QUESTION_BYTES,
	    .question = on_question,
	    .ended = on_ended,
	};
	struct control *c = xcalloc(1, sizeof(*c));
	int rc;

	c->engine = e;
	rc = server_new(&e->loop, fd, &handler, c, &c->server, err);
	if (rc != 0)
		free(c);
	else
		*out_control = c;
	return rc;
}

int
control_listen(struct control *c, int fd, struct err *err)
{
	return server_listen(c->server, fd, err);
}

void
control_free(struct control *c)
{
	if (c == NULL)
		return;
	server_free(c->server);
	free(c);
}

static void
pass_on(struct server_conn *conn, void *arg)
{
	server_send(conn, *(const struct str *)arg);
}

void
control_flow(struct control *c, struct str line)
{
	if (c != NULL)
		server_each_marked(c->server, pass_on, &line);
}
