/*
 * `explain`: why a connection is allowed or denied here. What is this node's own address
 * nobody but its kernel knows for sure.
 */
#include <stdlib.h>
#include <string.h>

#include "enforcer/control/control_ask.h"
#include "enforcer/control/explain.h"

/* Waits for the kernel role. */
struct explaining {
	struct arena *arena;
	uint64_t conn;
	struct str words[3];
	bool text;
	struct ip_addr addrs[WHOSE_MOST]; /* that are asked about */
	size_t count;
};

void
control_answer_explain(struct engine *e, const struct str words[3], bool text,
    const struct ip_addr *own, size_t own_count, struct buf *out)
{
	const struct program *p = e->apply.current;
	struct explain_node node = {
	    .own = own,
	    .own_count = own_count,
	    .pending = !engine_apply_is_in_force(e),
	    .gate = {e->settings.node, e->settings.workload_networks,
		e->settings.workload_network_count},
	};
	const char *none = control_no_policy(e);
	struct buf why = {0};

	if (none != NULL) {
		control_answer_error(out, str_from(none));
		return;
	}
	node.program = p;
	if (!explain_question(&node, words, text, out, &why))
		control_answer_error(out, buf_str(&why));
	buf_free(&why);
}

/* `answer` NULL: nobody knows which are the node's own. */
static void
on_told(struct engine *e, const struct proc_msg *answer, void *arg)
{
	struct explaining *x = arg;
	struct server_conn *conn =
	    e->control != NULL ? control_find(e->control, x->conn) : NULL;
	struct ip_addr own[WHOSE_MOST];
	struct proc_reader r = {.ok = false};
	struct buf out = {0};
	size_t count = 0;

	if (answer != NULL)
		proc_reader_init(&r, answer);
	for (size_t i = 0; i < x->count; i++) {
		if (proc_get_u8(&r) != 0)
			own[count++] = x->addrs[i];
	}
	if (conn != NULL) {
		control_answer_explain(e, x->words, x->text, own, count, &out);
		server_send(conn, buf_str(&out));
		server_finish(conn);
	}
	buf_free(&out);
	arena_free(x->arena);
	free(x);
}

static void
ask(struct asked *a, bool text)
{
	struct explaining *x = xcalloc(1, sizeof(*x));
	struct err err = ERR_INIT;
	struct buf question = {0};

	*x = (struct explaining){.arena = arena_new_sized(1024),
	    .conn = server_conn_id(a->conn),
	    .text = text};
	for (size_t i = 0; i < ARRAY_LEN(x->words); i++) {
		x->words[i] = str_dup(x->arena, a->words[1 + i]);
		if (i < WHOSE_MOST && ip_parse(x->words[i], &x->addrs[x->count]))
			x->count++;
	}
	proc_put_u8(&question, (uint8_t)x->count);
	for (size_t i = 0; i < x->count; i++)
		proc_put_ip(&question, &x->addrs[i]);
	if (x->count == 0 || engine_kernel_ask(asked_engine(a), MSG_WHOSE, &question,
				 -1, on_told, x, &err) != 0)
		on_told(asked_engine(a), NULL, x);
	buf_free(&question);
}

void
ask_explain(struct asked *a)
{
	ask(a, false);
}

void
ask_explain_text(struct asked *a)
{
	ask(a, true);
}
