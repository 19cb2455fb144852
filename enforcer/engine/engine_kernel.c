/*
 * Questions to the kernel role and their answers.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "enforcer/engine/engine_state.h"
#include "enforcer/wire/blob.h"

#define STUCK_MS   60000 /* without an answer: the longest commit takes some seconds */
#define MISSING_MS 10000 /* without a kernel role: the parent gives us a new life */

void
engine_kernel_init(struct engine *e)
{
	e->kernel.channel.fd = -1;
	e->kernel.missing.data = e;
	if (uv_timer_init(&e->loop, &e->kernel.missing) != 0)
		base_die("cannot make a timer");
}

/* Every question gets its answer: here, that there will be none. */
static void
forget_questions(struct engine *e)
{
	while (e->kernel.questions != NULL) {
		struct kernel_question *q = e->kernel.questions;

		e->kernel.questions = q->next;
		q->answered(e, NULL, q->arg);
		free(q);
	}
}

static void
disconnect(struct engine *e)
{
	link_free(e->kernel.link);
	e->kernel.link = NULL;
	proc_channel_close(&e->kernel.channel);
}

void
engine_kernel_fini(struct engine *e)
{
	disconnect(e);
	forget_questions(e);
	uv_close((uv_handle_t *)&e->kernel.missing, NULL);
}

static void
on_missing(uv_timer_t *timer)
{
	struct engine *e = timer->data;

	log_error("kernel-link", "detail=\"no kernel role came back\"");
	e->stopping = true;
	uv_stop(&e->loop);
}

static struct kernel_question *
take_question(struct engine *e, uint32_t id, uint32_t type)
{
	struct kernel_question **at = &e->kernel.questions;

	while (*at != NULL) {
		struct kernel_question *q = *at;

		if (q->id == id && q->answer_type == type) {
			*at = q->next;
			return q;
		}
		at = &q->next;
	}
	return NULL;
}

void
engine_kernel_limit(struct engine *e)
{
	if ((e->kernel.lacks & OP_LACKS_FIB) != 0)
		e->settings.steering = (struct steering){.mask = 0};
}

/* A limit that is not enforced is told of; a source address that cannot be put on is denied,
 * which takes another program. */
static void
take_lacks(struct engine *e, unsigned lacks)
{
	bool no_nat = (lacks & OP_LACKS_NAT) != 0;
	bool no_fib = (lacks & OP_LACKS_FIB) != 0;
	bool unsteered = no_fib && e->settings.steering.mask != 0;
	bool revalidated = engine_settings_validate(&e->settings);

	e->settings.no_fib = no_fib;
	revalidated = revalidated != engine_settings_validate(&e->settings);
	e->kernel.lacks = lacks;
	if ((lacks & (OP_LACKS_RATES | OP_LACKS_COUNTS)) != 0)
		log_warn("limits-not-enforced", "rates=%d connections=%d",
		    (lacks & OP_LACKS_RATES) != 0, (lacks & OP_LACKS_COUNTS) != 0);
	if (no_nat)
		log_warn("routes-not-followed",
		    "detail=\"the kernel has no nat, masq, hash or numgen: nothing is "
		    "published, and what would get a source address is denied\"");
	if (unsteered)
		log_warn("nothing-steered",
		    "detail=\"the kernel has no nft_fib as of Linux 5.19: it is as if "
		    "nothing were configured for steering\"");
	if (revalidated && no_fib)
		log_warn("sources-not-validated",
		    "detail=\"the kernel has no nft_fib as of Linux 5.19: a workload "
		    "may take another's address\"");
	if (no_nat == e->settings.no_nat && !unsteered && !revalidated)
		return;
	e->settings.no_nat = no_nat;
	engine_kernel_limit(e);
	engine_refused_drop_program(e, e->apply.candidate);
	e->apply.candidate = NULL;
	engine_load_whole(e);
}

static bool
on_news(struct engine *e, struct proc_msg *msg)
{
	struct proc_reader r;
	uint32_t generation;

	proc_reader_init(&r, msg);
	if (msg->type == MSG_WAY_STATE)
		return engine_ways_heard(e, &r);
	if (msg->type == MSG_NFLOG) {
		uint8_t which = proc_get_u8(&r);
		int fd = link_take_fd(msg);

		if (which == NFLOG_NAMES)
			engine_names_socket(e, fd);
		else
			engine_flows_socket(e, fd);
		return fd >= 0 && proc_reader_done(&r) && which < NFLOG_COUNT;
	}
	generation = proc_get_u32(&r);
	if (msg->type == MSG_HELLO) {
		e->kernel.owned = proc_get_u8(&r) != 0;
		take_lacks(e, proc_get_u8(&r));
	}
	if (!proc_reader_done(&r))
		return false;
	if (msg->type == MSG_GENERATION) {
		engine_apply_foreign(e, generation);
		return true;
	}
	engine_flows_socket(e, -1); /* they come when they are bound */
	engine_names_socket(e, -1);
	engine_apply_connected(e, generation);
	return true;
}

static bool
on_message(void *arg, struct proc_msg *msg)
{
	struct engine *e = arg;
	struct kernel_question *q;

	if (msg->type == MSG_HELLO || msg->type == MSG_NFLOG ||
	    msg->type == MSG_GENERATION || msg->type == MSG_WAY_STATE)
		return on_news(e, msg);
	q = take_question(e, msg->id, msg->type);
	if (q == NULL)
		return false;
	q->answered(e, msg, q->arg);
	free(q);
	return true;
}

static void
lost(struct engine *e)
{
	disconnect(e);
	engine_flows_socket(e, -1); /* or the next role could not bind the group */
	engine_names_socket(e, -1);
	forget_questions(e);
	engine_cut_disconnected(e);
	engine_apply_disconnected(e);
}

static void
on_lost(void *arg)
{
	struct engine *e = arg;

	log_warn("kernel-link", "detail=\"the kernel role is gone\"");
	lost(e);
	if (uv_timer_start(&e->kernel.missing, on_missing, MISSING_MS, 0) != 0)
		base_die("cannot start a timer");
}

void
engine_kernel_connect(struct engine *e, int fd)
{
	static const struct link_handler handler = {on_message, on_lost};
	struct err err = ERR_INIT;

	if (e->kernel.link != NULL)
		lost(e);
	(void)uv_timer_stop(&e->kernel.missing); /* cannot fail */
	proc_channel_init(&e->kernel.channel, fd);
	if (link_new(&e->loop, &e->kernel.channel, &handler, e, &e->kernel.link,
		&err) != 0) {
		log_error("kernel-link", "detail=%s", log_quote(str_from(err.msg)));
		disconnect(e);
	}
}

/* A trace waits for its packet. */
const char *
engine_kernel_ill(const struct engine *e, monotime_t now)
{
	if (!engine_kernel_connected(e))
		return "no kernel role";
	for (const struct kernel_question *q = e->kernel.questions; q != NULL;
	     q = q->next) {
		if (q->answer_type != MSG_TRACED &&
		    monotime_since(q->asked, now) >= STUCK_MS * UINT64_C(1000000))
			return "the kernel role does not answer";
	}
	return NULL;
}

bool
engine_kernel_connected(const struct engine *e)
{
	return e->kernel.link != NULL;
}

int
engine_kernel_ask(struct engine *e, uint32_t type, const struct buf *body, int fd,
    kernel_answer_fn answered, void *arg, struct err *err)
{
	static const struct {
		uint32_t question, answer;
	} pairs[] = {
	    {MSG_APPLY, MSG_APPLIED},
	    {MSG_OBSERVE, MSG_OBSERVED},
	    {MSG_OBSERVE_RULES, MSG_OBSERVED},
	    {MSG_COUNTERS, MSG_COUNTED},
	    {MSG_CONNECTIONS, MSG_CONNECTION_LIST},
	    {MSG_CUT, MSG_CUT_DONE},
	    {MSG_ADOPT, MSG_ADOPTED},
	    {MSG_TRACE, MSG_TRACED},
	    {MSG_WHOSE, MSG_WHOSE_TOLD},
	};
	struct kernel_question *q;
	int rc;

	if (++e->kernel.last_id == 0)
		e->kernel.last_id = 1;
	rc = link_send(&e->kernel.channel, type, e->kernel.last_id, body, fd, err);
	if (rc != 0)
		return rc;
	q = xcalloc(1, sizeof(*q));
	q->id = e->kernel.last_id;
	q->asked = monotime_now();
	q->answered = answered;
	q->arg = arg;
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		if (pairs[i].question == type)
			q->answer_type = pairs[i].answer;
	}
	q->next = e->kernel.questions;
	e->kernel.questions = q;
	return 0;
}

/* ---- observations ---- */

static void
take_operations(
    struct arena *arena, const struct op_batch *batch, struct plan_observed *out)
{
	uint32_t *chains = ARENA_ARRAY(arena, batch->count, uint32_t);

	for (size_t i = 0; i < batch->count; i++) {
		const struct op *op = &batch->ops[i];

		if (op->kind == OP_ADD) {
			out->elements[op->set] = op->elements;
			out->element_count[op->set] = op->element_count;
		} else if (op->kind == OP_CHAIN_DELETE) {
			chains[out->chain_count++] = op->chain->number;
		}
	}
	out->chains = chains;
}

int
kernel_observation_read(struct arena *arena, const struct proc_msg *msg,
    struct kernel_observation *out, struct err *err)
{
	struct op_batch batch = {0};
	struct proc_reader r;
	struct blob blob = {0};
	const uint8_t *digest;
	int rc;

	*out = (struct kernel_observation){0};
	proc_reader_init(&r, msg);
	out->code = (int)proc_get_u32(&r);
	out->generation = proc_get_u32(&r);
	digest = proc_get_bytes(&r, sizeof(out->digest));
	rc = blob_get(&r, msg, OP_MAX_BATCH_BYTES, &blob, err);
	if (rc == 0) {
		struct str detail = proc_get_str(&r);

		out->detail = arena_strndup(arena, detail.ptr, detail.len);
	}
	if (rc == 0 && (digest == NULL || !proc_reader_done(&r)))
		rc = err_set(err, ERR_PROTOCOL, "malformed observation");
	if (rc == 0)
		memcpy(out->digest, digest, sizeof(out->digest));
	if (rc == 0 && blob.data.len != 0)
		rc = op_decode(
		    arena, (const uint8_t *)blob.data.ptr, blob.data.len, &batch, err);
	if (rc == 0)
		take_operations(arena, &batch, &out->table);
	blob_free(&blob);
	return rc;
}

/* ---- counters ---- */

#define MAX_COUNTERS_BYTES (64u * 1024 * 1024)

bool
kernel_counters_read(const struct proc_msg *msg,
    void (*each)(void *arg, uint32_t number, uint64_t packets, uint64_t bytes),
    void *arg)
{
	struct err err = ERR_INIT;
	struct proc_reader r = {.ok = false};
	struct blob blob = {0};

	if (msg == NULL)
		return false;
	proc_reader_init(&r, msg);
	if ((int)proc_get_u32(&r) != 0 ||
	    blob_get(&r, msg, MAX_COUNTERS_BYTES, &blob, &err) != 0)
		return false;
	r = (struct proc_reader){
	    .data = (const uint8_t *)blob.data.ptr, .len = blob.data.len, .ok = true};
	while (r.pos < r.len && r.ok) {
		uint32_t number = proc_get_u32(&r);
		uint64_t packets = proc_get_u64(&r);
		uint64_t bytes = proc_get_u64(&r);

		if (r.ok)
			each(arg, number, packets, bytes);
	}
	blob_free(&blob);
	return true;
}
