#include "enforcer/kernel/kernel_state.h"

static void
answer_trace(struct kernel *k, uint32_t id, int rc, const struct trace_step *steps,
    size_t count, const struct err *err)
{
	struct buf body = {0};

	proc_put_u32(&body, (uint32_t)rc);
	proc_put_u32(&body, (uint32_t)count);
	for (size_t i = 0; i < count; i++) {
		proc_put_str(&body, str_from(steps[i].chain));
		proc_put_u8(&body, (uint8_t)steps[i].verdict);
		proc_put_str(&body, str_from(steps[i].to));
	}
	kernel_put_outcome(&body, rc, err);
	kernel_answer(k, MSG_TRACED, id, &body, -1);
	buf_free(&body);
}

/* Answered when the packet has come, or time is up. */
void
kernel_trace(struct kernel *k, const struct proc_msg *msg)
{
	struct connection *filters;
	struct err err = ERR_INIT;
	struct proc_reader r;
	uint32_t wait_ms;
	size_t count;
	int rc;

	proc_reader_init(&r, msg);
	wait_ms = proc_get_u32(&r);
	rc = connections_get(k->arena, &r, &filters, &count) && proc_reader_done(&r) &&
		     wait_ms <= TRACE_WAIT_MOST_S * 1000
		 ? trace_begin(k->trace, filters, count, &err)
		 : err_set(&err, ERR_PROTOCOL, "malformed question");
	if (rc != 0) {
		answer_trace(k, msg->id, rc, NULL, 0, &err);
		return;
	}
	k->trace_question = msg->id;
	k->trace_link = k->engine_link;
	k->trace_until.ns = monotime_now().ns + wait_ms * UINT64_C(1000000);
}

/* Nobody waits for the packet any more: the time is up. */
void
kernel_end_trace(struct kernel *k, const struct proc_msg *msg)
{
	(void)msg; /* it has no body */
	k->trace_until = monotime_now();
}

/* Looks whether the packet has come, or time is up. */
void
kernel_watch_trace(struct kernel *k)
{
	const struct trace_step *steps;
	struct err err = ERR_INIT;
	/* To another engine than the one that asked, the answer would be none of its own. */
	const bool waited_for = k->engine.fd >= 0 && k->engine_link == k->trace_link;
	bool running = trace_running(k->trace);
	bool came = trace_read(k->trace);
	size_t count;

	if (!running || (!came && monotime_now().ns < k->trace_until.ns && waited_for))
		return;
	steps = trace_end(k->trace, &count);
	if (!waited_for)
		return;
	if (came)
		answer_trace(k, k->trace_question, 0, steps, count, &err);
	else
		answer_trace(k, k->trace_question,
		    err_set(&err, ERR_NOT_FOUND, "no such packet came"), NULL, 0, &err);
}
