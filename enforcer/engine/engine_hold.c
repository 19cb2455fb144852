/*
 * Answers of DNS that wait: the role that forwards them tells what they say, and is told
 * when the kernel knows it. Changes of what is known are counted; an answer that came with
 * a change goes once all changes up to it are in force. One that says nothing new, or to a
 * workload without rules by name, goes at once.
 */
#include <stdlib.h>

#include "common/log.h"
#include "enforcer/engine/engine_state.h"

/* The role has given up by then, as it has what came long before what it has room for. */
#define FORGET_NS UINT64_C(2500000000)
#define HELD_MOST LIMIT_DNS_QUERIES

struct held_answer {
	struct held_answer *next;
	monotime_t since;
	bool learnt;      /* what it says is in the table; */
	uint64_t changes; /* this many were before that and with it */
	struct dns_lesson lesson;
};

/* ---- what is in force ---- */

static bool
is_in_force(struct engine *e, const struct held_answer *h)
{
	struct engine_hold *hold = &e->hold;

	/* The program in force says what is known. */
	if (e->apply.phase == APPLY_IDLE && engine_apply_is_in_force(e))
		hold->in_force = e->names.changes_told;
	return hold->in_force >= h->changes;
}

/* ---- one answer ---- */

static bool
has_program(const struct engine *e)
{
	return e->apply.current != NULL && !e->apply.current->skeleton;
}

/* Learns what it says, if that can be done now. */
static bool
learn(struct engine *e, struct held_answer *h)
{
	if (h->learnt)
		return true;
	if (!has_program(e))
		return false;
	if (!program_asks(e->apply.current, &h->lesson.client)) {
		h->learnt = true;
		return true;
	}
	if (!engine_names_answer(e, &h->lesson.client, &h->lesson.answer))
		return false;
	h->learnt = true;
	h->changes = e->names.changes_made;
	return true;
}

static bool
tell_passed(struct engine *e, uint32_t ticket)
{
	struct err err = ERR_INIT;
	struct buf body = {0};
	bool ok;

	proc_put_u32(&body, ticket);
	ok = link_send(&e->hold.channel, MSG_DNS_PASS, 0, &body, -1, &err) == 0;
	buf_free(&body);
	return ok;
}

/* True: it is over. */
static bool
settle(struct engine *e, struct held_answer *h)
{
	if (!learn(e, h) || !is_in_force(e, h))
		return monotime_since(h->since, monotime_now()) >= FORGET_NS;
	return tell_passed(e, h->lesson.ticket);
}

void
engine_hold_step(struct engine *e)
{
	struct held_answer **at = &e->hold.first;

	while (*at != NULL) {
		struct held_answer *h = *at;

		if (!settle(e, h)) {
			at = &h->next;
			continue;
		}
		*at = h->next;
		free(h);
		e->hold.count--;
	}
	e->hold.last = at;
}

void
engine_hold_tick(struct engine *e)
{
	if (e->hold.first == NULL)
		return;
	engine_hold_step(e);
	if (engine_names_wait(e))
		engine_apply_step(e);
}

/* ---- what the role says ---- */

static void
drop_oldest(struct engine_hold *hold)
{
	struct held_answer *h = hold->first;

	hold->first = h->next;
	if (hold->first == NULL)
		hold->last = &hold->first;
	free(h);
	hold->count--;
}

static bool
on_lesson(struct engine *e, const struct proc_msg *msg)
{
	struct engine_hold *hold = &e->hold;
	struct held_answer *h = xcalloc(1, sizeof(*h));
	struct proc_reader r;

	proc_reader_init(&r, msg);
	if (!dns_lesson_decode(&r, &h->lesson)) {
		free(h);
		return false;
	}
	if (hold->count == HELD_MOST)
		drop_oldest(hold);
	h->since = monotime_now();
	if (settle(e, h)) {
		free(h);
		return true;
	}
	*hold->last = h;
	hold->last = &h->next;
	hold->count++;
	if (engine_names_wait(e))
		engine_apply_step(e);
	return true;
}

static bool
on_client(struct engine *e, const struct proc_msg *msg)
{
	const struct workload *w;
	struct err err = ERR_INIT;
	struct buf body = {0};
	struct ip_addr client;
	struct proc_reader r;

	proc_reader_init(&r, msg);
	client = proc_get_ip(&r);
	if (!proc_reader_done(&r))
		return false;
	w = has_program(e) ? model_workload_at(e->apply.current->model, &client) : NULL;
	proc_put_ip(&body, &client);
	proc_put_str(&body, w != NULL ? ns_tenant(w->ns) : STR(""));
	/* One that is not taken is asked again. */
	if (link_send(&e->hold.channel, MSG_DNS_TENANT, 0, &body, -1, &err) != 0)
		log_debug("dns-link", "detail=%s", log_quote(str_from(err.msg)));
	buf_free(&body);
	return true;
}

static bool
on_counts(struct engine *e, const struct proc_msg *msg)
{
	struct err err = ERR_INIT;
	struct proc_reader r;

	proc_reader_init(&r, msg);
	if (!dns_counts_decode(&r, e->hold.counts))
		return false;
	/* The next counts are answered, too. */
	if (link_send(&e->hold.channel, MSG_DNS_HERE, 0, NULL, -1, &err) != 0)
		log_debug("dns-link", "detail=%s", log_quote(str_from(err.msg)));
	return true;
}

static bool
on_message(void *arg, struct proc_msg *msg)
{
	struct engine *e = arg;

	switch (msg->type) {
	case MSG_DNS_LESSON:
		return on_lesson(e, msg);
	case MSG_DNS_CLIENT:
		return on_client(e, msg);
	case MSG_DNS_COUNTS:
		return on_counts(e, msg);
	default:
		return false;
	}
}

/* ---- life ---- */

static void
disconnect(struct engine *e)
{
	struct engine_hold *hold = &e->hold;
	struct held_answer *next;

	link_free(hold->link);
	hold->link = NULL;
	proc_channel_close(&hold->channel);
	for (struct held_answer *h = hold->first; h != NULL; h = next) {
		next = h->next;
		free(h);
	}
	hold->first = NULL;
	hold->last = &hold->first;
	hold->count = 0;
}

/* Its end shows to the parent. */
static void
on_lost(void *arg)
{
	disconnect(arg);
}

void
engine_hold_init(struct engine *e)
{
	e->hold = (struct engine_hold){.channel = {.fd = -1}, .last = &e->hold.first};
}

void
engine_hold_connect(struct engine *e, int fd)
{
	static const struct link_handler handler = {on_message, on_lost};
	struct engine_hold *hold = &e->hold;
	struct err err = ERR_INIT;

	disconnect(e);
	proc_channel_init(&hold->channel, fd);
	if (link_new(&e->loop, &hold->channel, &handler, e, &hold->link, &err) == 0)
		return;
	log_error("dns-link", "detail=%s", log_quote(str_from(err.msg)));
	disconnect(e);
}

void
engine_hold_fini(struct engine *e)
{
	disconnect(e);
}
