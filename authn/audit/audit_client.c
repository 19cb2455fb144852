/*
 * Records of one turn of the loop travel together, many to a message: for each u64 ticket, u8
 * somebody waits, then the JSON line.
 * Answers come in the order of the records, so waiting tickets are a queue.
 * When the socket is full the record waits here, up to a limit; beyond it the gate
 * counts as not ready: nothing is forwarded that could not be recorded.
 */
#include "authn/audit/audit_client.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "authn/audit/audit_recent.h"
#include "authn/wire/messages.h"
#include "authn/wire/peer_poll.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/proc.h"

#define CUT_BYTES     4096u
#define PENDING_MAX   65536u /* records that wait for the disk or for the socket */
#define HEAD_BYTES    13     /* of a record: u64 ticket, u8 waits, u32 length */
#define MESSAGE_BYTES (LIMIT_MESSAGE_BYTES / 2) /* a message is full beyond this */

struct pending {
	struct pending *next;
	uint64_t ticket;
	audit_done_fn done; /* NULL: nobody waits (any more) */
	void *arg;
	struct buf body; /* kept until the answer, to be sent again after a restart */
	bool sent;
};

/* Somebody who waits for recent records. */
struct asking {
	struct asking *next;
	uint64_t ticket;
	audit_recent_fn done;
	void *arg;
};

struct audit_client {
	struct asking *asking;
	uv_loop_t *loop;
	uv_poll_t *poll; /* of the present socket; NULL without one */
	struct proc_channel channel;
	bool required;
	bool writable; /* what the audit role said last */
	uint64_t next_ticket;
	struct pending *first, **tail;
	struct pending *unsent; /* the first that is not sent yet */
	size_t count;
	struct buf message; /* being put together */
	int events;         /* what `poll` waits for */
};

static void on_poll(uv_poll_t *poll, int status, int events);

static void
finish_asking(struct audit_client *c, uint64_t ticket, struct str json)
{
	struct asking **at = &c->asking, *a;

	while (*at != NULL && (*at)->ticket != ticket)
		at = &(*at)->next;
	a = *at;
	if (a == NULL)
		return; /* it went away */
	*at = a->next;
	a->done(a->arg, json);
	free(a);
}

static void
disconnect(struct audit_client *c)
{
	while (c->asking != NULL)
		finish_asking(c, c->asking->ticket, STR(""));
	peer_poll_close(&c->poll, &c->channel);
}

static void
watch(struct audit_client *c)
{
	int events = UV_READABLE | (c->unsent != NULL ? UV_WRITABLE : 0);

	if (c->poll == NULL || events == c->events)
		return;
	c->events = events;
	if (uv_poll_start(c->poll, events, on_poll) != 0)
		base_die("cannot watch the audit role");
}

/* Fills one message with records that are not sent yet; the first that is not in it. */
static struct pending *
fill_message(const struct audit_client *c, struct buf *message)
{
	struct pending *p = c->unsent;

	do {
		buf_add_str(message, buf_str(&p->body));
		p = p->next;
	} while (p != NULL && message->len + p->body.len <= MESSAGE_BYTES);
	return p;
}

void
audit_client_flush(struct audit_client *c)
{
	struct err err = ERR_INIT;

	if (c->unsent == NULL)
		return;
	/* Stops at the first message that does not fit into the socket. */
	while (c->unsent != NULL && c->channel.fd >= 0) {
		struct proc_msg msg = {.type = MSG_AUDIT_APPEND};
		struct pending *rest;

		buf_clear(&c->message);
		rest = fill_message(c, &c->message);
		msg.data = (const uint8_t *)c->message.data;
		msg.len = c->message.len;
		if (proc_send(&c->channel, &msg, &err) != 0)
			break;
		for (struct pending *p = c->unsent; p != rest; p = p->next)
			p->sent = true;
		c->unsent = rest;
	}
	watch(c);
}

static void
finish_first(struct audit_client *c, bool ok)
{
	struct pending *p = c->first;

	c->first = p->next;
	if (c->first == NULL)
		c->tail = &c->first;
	if (c->unsent == p)
		c->unsent = p->next;
	c->count--;
	if (p->done != NULL)
		p->done(p->arg, ok);
	buf_free(&p->body);
	free(p);
}

/* Body: u64 ticket, u8 ok. Tickets are answered in order, none twice. */
static bool
on_done(struct audit_client *c, const struct proc_msg *msg)
{
	struct proc_reader r;
	uint64_t ticket;
	uint8_t ok;

	proc_reader_init(&r, msg);
	ticket = proc_get_u64(&r);
	ok = proc_get_u8(&r);
	if (!proc_reader_done(&r))
		return false;
	while (c->first != NULL && c->first->sent && c->first->ticket <= ticket)
		finish_first(c, ok == 1);
	return true;
}

static bool
on_state(struct audit_client *c, const struct proc_msg *msg)
{
	struct proc_reader r;
	uint8_t writable;

	proc_reader_init(&r, msg);
	writable = proc_get_u8(&r);
	if (!proc_reader_done(&r))
		return false;
	c->writable = writable == 1;
	return true;
}

static bool
on_recent(struct audit_client *c, const struct proc_msg *msg)
{
	struct proc_reader r;
	struct str json;
	uint64_t ticket;

	proc_reader_init(&r, msg);
	ticket = proc_get_u64(&r);
	json = proc_get_str(&r);
	if (!proc_reader_done(&r))
		return false;
	finish_asking(c, ticket, json);
	return true;
}

static bool
on_message(struct audit_client *c, const struct proc_msg *msg)
{
	switch (msg->type) {
	case MSG_AUDIT_DONE:
		return on_done(c, msg);
	case MSG_AUDIT_STATE:
		return on_state(c, msg);
	case MSG_AUDIT_RECENT_ANSWER:
		return on_recent(c, msg);
	default:
		return false;
	}
}

static void
on_poll(uv_poll_t *poll, int status, int events)
{
	struct audit_client *c = poll->data;
	struct err err = ERR_INIT;
	struct proc_msg msg;
	int rc = status < 0 ? ERR_UNAVAILABLE : 1;

	while (rc == 1 && c->channel.fd >= 0) {
		rc = proc_recv(&c->channel, &msg, &err);
		if (rc == 1 && !on_message(c, &msg))
			rc = ERR_PROTOCOL;
	}
	if (rc < 0) {
		log_warn("audit-role-lost", "pending=%zu", c->count);
		disconnect(c);
		return;
	}
	if ((events & UV_WRITABLE) != 0)
		audit_client_flush(c);
}

int
audit_client_reconnect(struct audit_client *c, int fd, struct err *err)
{
	int rc;

	disconnect(c);
	rc = peer_poll_open(
	    c->loop, &c->channel, fd, "the audit role", c, &c->poll, err);
	if (rc != 0)
		return rc;
	c->writable = true;
	/* Whatever was not confirmed is sent again: a record twice is better than none. */
	for (struct pending *p = c->first; p != NULL; p = p->next)
		p->sent = false;
	c->unsent = c->first;
	c->events = 0;
	watch(c);
	audit_client_flush(c);
	return 0;
}

int
audit_client_new(uv_loop_t *loop, int fd, bool required,
    struct audit_client **out_client, struct err *err)
{
	struct audit_client *c = xcalloc(1, sizeof(*c));

	c->loop = loop;
	c->required = required;
	c->next_ticket = 1;
	c->tail = &c->first;
	c->channel.fd = -1;
	*out_client = c;
	return audit_client_reconnect(c, fd, err);
}

void
audit_client_free(struct audit_client *c)
{
	if (c == NULL)
		return;
	disconnect(c);
	while (c->first != NULL)
		finish_first(c, false);
	buf_free(&c->message);
	free(c);
}

bool
audit_client_ready(const struct audit_client *c)
{
	if (!c->required)
		return true;
	return c->writable && c->channel.fd >= 0 && c->count < PENDING_MAX;
}

/* The line's length, which is known last, before the line. */
static void
put_length(struct buf *body)
{
	uint32_t len = (uint32_t)(body->len - HEAD_BYTES);

	for (size_t i = 0; i < 4; i++)
		body->data[HEAD_BYTES - 4 + i] = (char)(len >> (8 * i));
}

/* A message, which has its limit: what does not fit is left out and marked, first bodies and the
 * end of the target, then the groups; a record that stays away would stop all others. */
static void
encode(struct buf *body, uint64_t ticket, bool waits, const struct audit_event *event)
{
	struct audit_event less = *event;

	for (int step = 0; step < 3; step++) {
		buf_clear(body);
		proc_put_u64(body, ticket);
		proc_put_u8(body, waits);
		proc_put_u32(body, 0);
		audit_event_encode(body, &less);
		put_length(body);
		if (body->len <= LIMIT_MESSAGE_BYTES)
			return;
		less.cut = true;
		less.request_object = less.response_object = STR("");
		less.request_uri = str_slice(event->request_uri, 0, CUT_BYTES);
		less.user_agent = str_slice(event->user_agent, 0, CUT_BYTES);
		if (step == 1)
			less.group_count = 0;
	}
}

audit_ticket_t
audit_client_send(struct audit_client *c, const struct audit_event *event,
    audit_done_fn done, void *arg)
{
	struct pending *p;

	if (c->count >= PENDING_MAX && !c->required) {
		log_warn("audit-record-dropped", "reason=backlog");
		if (done != NULL)
			done(arg, true);
		return 0;
	}
	p = xcalloc(1, sizeof(*p));
	p->ticket = c->next_ticket++;
	p->done = done;
	p->arg = arg;
	encode(&p->body, p->ticket, done != NULL, event);
	*c->tail = p;
	c->tail = &p->next;
	c->count++;
	if (c->unsent == NULL)
		c->unsent = p;
	return p->ticket;
}

void
audit_client_cancel(struct audit_client *c, audit_ticket_t ticket)
{
	for (struct pending *p = c->first; p != NULL; p = p->next) {
		if (p->ticket == ticket) {
			p->done = NULL;
			return;
		}
	}
}

uint64_t
audit_client_ask(struct audit_client *c, const struct audit_recent_question *question,
    audit_recent_fn done, void *arg)
{
	struct asking *a = xcalloc(1, sizeof(*a));
	struct proc_msg msg = {.type = MSG_AUDIT_RECENT};
	struct buf body = {NULL, 0, 0};
	struct err err = ERR_INIT;
	uint64_t ticket = c->next_ticket++;

	*a = (struct asking){c->asking, ticket, done, arg};
	c->asking = a;
	proc_put_u64(&body, ticket);
	audit_recent_question_encode(&body, question);
	msg.data = (const uint8_t *)body.data;
	msg.len = body.len;
	if (c->channel.fd < 0 || proc_send(&c->channel, &msg, &err) != 0)
		finish_asking(c, ticket, STR(""));
	buf_free(&body);
	return ticket;
}

void
audit_client_forget(struct audit_client *c, uint64_t ticket)
{
	for (struct asking **at = &c->asking; *at != NULL; at = &(*at)->next) {
		struct asking *a = *at;

		if (a->ticket != ticket)
			continue;
		*at = a->next;
		free(a);
		return;
	}
}
