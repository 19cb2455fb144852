/*
 * Flow records to where others collect them: systemd's journal, an IPFIX collector. Both are
 * sockets that the parent opened, one datagram a message. A receiver that is slow is waited
 * for with a bounded queue, and what does not fit is counted: nothing else waits for it.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "enforcer/engine_state.h"
#include "enforcer/journal.h"

#define QUEUE_MOST 4096 /* messages of one receiver */

static const char *const names[] = {
    [EXPORT_JOURNAL] = "journal",
    [EXPORT_IPFIX] = "ipfix",
};

const char *
engine_export_name(enum enforcer_export kind)
{
	return names[kind];
}

void
engine_export_init(struct engine *e)
{
	for (size_t i = 0; i < EXPORT_COUNT; i++) {
		e->exports[i].fd = -1;
		e->exports[i].tail = &e->exports[i].queue;
	}
}

static void
drop_first(struct engine_export *x)
{
	struct export_message *m = x->queue;

	x->queue = m->next;
	if (x->queue == NULL)
		x->tail = &x->queue;
	x->queued--;
	buf_free(&m->data);
	free(m);
}

static void
close_export(struct engine_export *x)
{
	while (x->queue != NULL)
		drop_first(x);
	if (x->fd >= 0)
		(void)close(x->fd); /* datagrams are sent or not */
	x->fd = -1;
}

void
engine_export_fini(struct engine *e)
{
	for (size_t i = 0; i < EXPORT_COUNT; i++)
		close_export(&e->exports[i]);
}

void
engine_export_socket(struct engine *e, enum enforcer_export kind, uint32_t domain,
    uint32_t enterprise, int fd)
{
	struct engine_export *x = &e->exports[kind];
	uint32_t sequence = x->ipfix.sequence;

	close_export(x);
	x->fd = fd;
	x->failing = false;
	/* Numbers go on: to the collector it is the same exporter. */
	x->ipfix = (struct ipfix){
	    .domain = domain, .enterprise = enterprise, .sequence = sequence};
}

/* What is queued, as far as it goes. A receiver that is not there now may be later. */
static void
send_queue(struct engine_export *x, enum enforcer_export kind)
{
	char reason[128];

	while (x->queue != NULL) {
		const struct buf *data = &x->queue->data;
		ssize_t n =
		    send(x->fd, data->data, data->len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n < 0) {
			int error = errno;

			x->lost += x->queue->records;
			if (!x->failing)
				log_error("export", "receiver=%s detail=%s",
				    names[kind],
				    log_quote(str_from(
					strerror_r(error, reason, sizeof(reason)))));
			x->failing = true;
		} else {
			x->sent += x->queue->records;
			x->failing = false;
		}
		drop_first(x);
	}
}

/* Takes the data; `records`: how many are in it. */
static void
enqueue(struct engine_export *x, struct buf *data, unsigned records)
{
	struct export_message *m;

	if (x->queued == QUEUE_MOST) {
		x->lost += records;
		buf_free(data);
		return;
	}
	m = xcalloc(1, sizeof(*m));
	m->data = *data;
	m->records = records;
	*data = (struct buf){0};
	*x->tail = m;
	x->tail = &m->next;
	x->queued++;
}

/* Whole messages, each a datagram of its own: their length stands in their heads. */
static void
enqueue_messages(struct engine_export *x, const struct buf *all)
{
	for (size_t at = 0; at + 4 <= all->len;) {
		size_t len = (size_t)(uint8_t)all->data[at + 2] << 8 |
			     (uint8_t)all->data[at + 3];
		struct buf one = {0};

		buf_add(&one, all->data + at, len);
		at += len;
		/* The record is in the last; what comes before are templates. */
		enqueue(x, &one, at == all->len);
	}
}

void
engine_export_flow(struct engine *e, const struct flow_view *view)
{
	struct engine_export *journal = &e->exports[EXPORT_JOURNAL];
	struct engine_export *ipfix = &e->exports[EXPORT_IPFIX];
	struct buf data = {0};

	if (journal->fd >= 0) {
		journal_add(&data, view);
		enqueue(journal, &data, 1);
		send_queue(journal, EXPORT_JOURNAL);
	}
	if (ipfix->fd >= 0) {
		ipfix_add(&data, &ipfix->ipfix, view, monotime_now(), walltime_now());
		enqueue_messages(ipfix, &data);
		buf_free(&data);
		send_queue(ipfix, EXPORT_IPFIX);
	}
}

void
engine_export_tick(struct engine *e)
{
	for (unsigned i = 0; i < EXPORT_COUNT; i++) {
		if (e->exports[i].fd >= 0)
			send_queue(&e->exports[i], (enum enforcer_export)i);
	}
}
