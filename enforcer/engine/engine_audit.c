/*
 * Lines to the audit role. It may be slow (it waits for the disk); what its socket has no
 * room for waits here, and what there is no room for here is counted as lost.
 */
#include <stdlib.h>
#include <sys/random.h>

#include "common/log.h"
#include "enforcer/engine/engine_state.h"

#define MAX_QUEUED 10000

void
engine_audit_init(struct engine *e)
{
	e->audit.channel.fd = -1;
	e->audit.tail = &e->audit.queue;
}

static void
drop_first(struct engine_audit *a)
{
	struct audit_line *line = a->queue;

	a->queue = line->next;
	if (a->queue == NULL)
		a->tail = &a->queue;
	a->queued--;
	buf_free(&line->text);
	free(line);
}

static void
disconnect(struct engine_audit *a)
{
	link_free(a->link);
	a->link = NULL;
	proc_channel_close(&a->channel);
	a->writable = false;
	a->told = false;
}

void
engine_audit_fini(struct engine *e)
{
	engine_audit_tick(e);
	while (e->audit.queue != NULL)
		drop_first(&e->audit);
	disconnect(&e->audit);
}

static bool
on_message(void *arg, struct proc_msg *msg)
{
	struct engine *e = arg;
	struct proc_reader r;
	uint64_t ticket = 0;
	bool value;

	if (msg->type != MSG_AUDIT_DONE && msg->type != MSG_AUDIT_STATE)
		return false;
	proc_reader_init(&r, msg);
	if (msg->type == MSG_AUDIT_DONE)
		ticket = proc_get_u64(&r);
	value = proc_get_u8(&r) != 0;
	if (!proc_reader_done(&r))
		return false;
	if (msg->type == MSG_AUDIT_STATE) {
		e->audit.writable = value;
		e->audit.told = true;
		engine_apply_step(e);
	} else {
		engine_apply_audited(e, ticket, value);
	}
	return true;
}

static void
on_lost(void *arg)
{
	struct engine *e = arg;

	disconnect(&e->audit);
	/* Nobody knows what became of what it had. */
	engine_apply_audited(e, UINT64_MAX, false);
}

void
engine_audit_connect(struct engine *e, int fd)
{
	static const struct link_handler handler = {on_message, on_lost};
	struct err err = ERR_INIT;

	on_lost(e); /* the former, if its end has not shown yet */
	proc_channel_init(&e->audit.channel, fd);
	if (link_new(&e->loop, &e->audit.channel, &handler, e, &e->audit.link, &err) !=
	    0) {
		log_error("audit-link", "detail=%s", log_quote(str_from(err.msg)));
		disconnect(&e->audit);
	}
}

/* Returns as proc_send. */
static int
send_line(struct engine_audit *a, const struct audit_line *line, struct err *err)
{
	struct buf body = {0};
	int rc;

	proc_put_u64(&body, line->ticket);
	proc_put_u8(&body, line->urgent);
	buf_add_str(&body, buf_str(&line->text));
	rc = link_send(&a->channel, MSG_AUDIT_APPEND, 0, &body, -1, err);
	buf_free(&body);
	return rc;
}

/* Sends what waits, as far as there is room. */
void
engine_audit_tick(struct engine *e)
{
	struct engine_audit *a = &e->audit;

	while (a->queue != NULL && a->channel.fd >= 0) {
		struct err err = ERR_INIT;
		int rc = send_line(a, a->queue, &err);

		if (rc == ERR_UNAVAILABLE)
			return; /* full, or gone: the link will tell */
		if (rc != 0) {
			a->lost++;
			log_error(
			    "audit-line", "detail=%s", log_quote(str_from(err.msg)));
		}
		drop_first(a);
	}
}

uint64_t
engine_audit_send(struct engine *e, struct str line, bool urgent)
{
	struct engine_audit *a = &e->audit;
	struct audit_line *item;

	if (!e->settings.audit)
		return 0;
	if (a->queued >= MAX_QUEUED || (a->channel.fd < 0 && urgent)) {
		a->lost++;
		return 0;
	}
	item = xcalloc(1, sizeof(*item));
	item->ticket = ++a->last_ticket;
	item->urgent = urgent;
	buf_add_str(&item->text, line);
	*a->tail = item;
	a->tail = &item->next;
	a->queued++;
	a->lines++;
	engine_audit_tick(e);
	return a->last_ticket;
}

void
engine_audit_gateway(struct engine *e, struct str node, const char *address, bool up)
{
	const struct audit_gateway event = {
	    .node = e->settings.node,
	    .gateway = node,
	    .address = address,
	    .up = up,
	    .now = walltime_now(),
	};
	struct buf line = {0};
	uint8_t id[16];

	if (getrandom(id, sizeof(id), 0) != (ssize_t)sizeof(id))
		base_die("getrandom");
	audit_event_gateway(&line, id, &event);
	(void)engine_audit_send(e, buf_str(&line), false); /* lost lines are counted */
	buf_free(&line);
}
