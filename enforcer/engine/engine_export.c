/*
 * Flow records to where others collect them: systemd's journal, an IPFIX collector. Both are
 * sockets that the parent opened, one datagram a message, or a stream of them. A receiver
 * that is slow is waited for with a bounded queue, and what does not fit is counted: nothing
 * else waits for it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "enforcer/engine/engine_state.h"
#include "enforcer/flows/journal.h"

#define QUEUE_MOST        4096 /* messages of one receiver */
#define SEND_MOST         64 /* of these are sent together, for the price of one look */
#define SAID_MOST         16 /* pieces of what a receiver says, at a time */
#define PATIENCE_LEAST_NS UINT64_C(1000000000)
#define PATIENCE_MOST_NS  UINT64_C(60000000000)

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

/* What was meant for a receiver that nobody wants any more. */
static void
drop_all(struct engine_export *x)
{
	while (x->queue != NULL) {
		x->lost += x->queue->records;
		drop_first(x);
	}
}

static void
close_socket(struct engine_export *x)
{
	if (x->fd >= 0)
		(void)close(x->fd); /* what it took is on its way, or lost with it */
	x->fd = -1;
	x->begun = 0; /* another is sent the message from its start */
}

void
engine_export_fini(struct engine *e)
{
	for (size_t i = 0; i < EXPORT_COUNT; i++) {
		drop_all(&e->exports[i]);
		close_socket(&e->exports[i]);
	}
}

/* ---- the receiver ---- */

/* A stream begins with templates: whoever is at its other end now knows none. */
static void
begin_stream(struct engine_export *x)
{
	struct export_message *first = xcalloc(1, sizeof(*first));

	/* Those that did not get to another's end are of no use to this one. */
	while (x->queue != NULL && x->queue->records == 0)
		drop_first(x);
	ipfix_begin(&first->data, &x->ipfix,
	    x->queue != NULL ? buf_str(&x->queue->data) : STR(""), walltime_now());
	first->next = x->queue;
	if (x->queue == NULL)
		x->tail = &first->next;
	x->queue = first;
	x->queued++;
	x->fresh++;
}

void
engine_export_socket(struct engine *e, enum enforcer_export kind, uint8_t flags,
    uint32_t domain, uint32_t enterprise, int fd)
{
	struct engine_export *x = &e->exports[kind];
	bool same = x->flags == flags && x->ipfix.domain == domain &&
		    x->ipfix.enterprise == enterprise;

	if (!same)
		drop_all(x);
	close_socket(x);
	x->fd = fd;
	x->flags = flags;
	/* Numbers go on: to the collector it is the same exporter. */
	x->ipfix = (struct ipfix){.domain = domain,
	    .enterprise = enterprise,
	    .sequence = x->ipfix.sequence,
	    .stream = (flags & EXPORT_STREAM) != 0};
	if (fd >= 0 && x->ipfix.stream)
		begin_stream(x);
}

/* The engine can open no socket. The parent is asked soon, and then ever more rarely. */
static void
want_socket(struct engine *e, enum enforcer_export kind)
{
	struct engine_export *x = &e->exports[kind];
	const monotime_t now = monotime_now();
	struct err err = ERR_INIT;
	struct buf body = {0};

	if (now.ns < x->again.ns)
		return;
	if (x->patience == 0)
		x->patience = PATIENCE_LEAST_NS;
	x->again.ns = now.ns + x->patience;
	x->patience =
	    x->patience * 2 < PATIENCE_MOST_NS ? x->patience * 2 : PATIENCE_MOST_NS;
	proc_put_u8(&body, (uint8_t)kind);
	if (link_send(e->parent, MSG_EXPORT_WANTED, 0, &body, -1, &err) != 0)
		log_error("parent-link", "detail=%s", log_quote(str_from(err.msg)));
	buf_free(&body);
}

static void
tell_failure(struct engine_export *x, enum enforcer_export kind, int error)
{
	char reason[128];

	if (!x->failing)
		log_error("export", "receiver=%s detail=%s", names[kind],
		    log_quote(str_from(strerror_r(error, reason, sizeof(reason)))));
	x->failing = true;
}

/* Whether a stream's other end is still there: collectors say nothing, but that they end. One
 * that goes on talking is there. */
static bool
is_there(const struct engine_export *x, int *out_error)
{
	char said[256];
	ssize_t n = 1;

	for (unsigned i = 0; i < SAID_MOST && (n > 0 || (n < 0 && errno == EINTR)); i++)
		n = recv(x->fd, said, sizeof(said), MSG_DONTWAIT);
	*out_error = n == 0 ? ECONNRESET : errno;
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK));
}

/* ---- sending ---- */

/* All of the first message that goes now: 0; -1, with errno. */
static int
send_first(struct engine_export *x)
{
	const struct buf *data = &x->queue->data;
	ssize_t n;

	while (x->begun < data->len) {
		n = send(x->fd, data->data + x->begun, data->len - x->begun,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		x->begun += (size_t)n; /* of a datagram all */
	}
	return 0;
}

/* A receiver that did not take it. A collector that gets datagrams is asked again with the
 * next; others are connected to anew, and get the same again. */
static void
on_refused(struct engine_export *x, enum enforcer_export kind, int error)
{
	tell_failure(x, kind, error);
	if (x->ipfix.stream) {
		close_socket(x);
		return;
	}
	x->lost += x->queue->records;
	drop_first(x);
	if (kind == EXPORT_JOURNAL && error != EMSGSIZE && error != ENOBUFS)
		close_socket(x);
}

/* What is queued, as far as it goes. A receiver that is not there now may be later. */
static void
send_queue(struct engine *e, enum enforcer_export kind)
{
	struct engine_export *x = &e->exports[kind];
	int error;

	x->fresh = 0;
	if (x->fd >= 0 && x->ipfix.stream && !is_there(x, &error)) {
		tell_failure(x, kind, error);
		close_socket(x);
	}
	while (x->fd >= 0 && x->queue != NULL) {
		if (send_first(x) == 0) {
			x->sent += x->queue->records;
			x->failing = false;
			x->patience = 0;
			x->begun = 0;
			drop_first(x);
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			return;
		} else {
			on_refused(x, kind, errno);
		}
	}
	if (x->fd < 0)
		want_socket(e, kind);
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
	x->fresh++;
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

static void
send_full(struct engine *e, enum enforcer_export kind)
{
	if (e->exports[kind].fresh >= SEND_MOST)
		send_queue(e, kind);
}

void
engine_export_flow(struct engine *e, const struct flow_view *view)
{
	struct engine_export *journal = &e->exports[EXPORT_JOURNAL];
	struct engine_export *ipfix = &e->exports[EXPORT_IPFIX];
	struct buf data = {0};

	if ((journal->flags & EXPORT_CONFIGURED) != 0) {
		journal_add(&data, view);
		enqueue(journal, &data, 1);
		send_full(e, EXPORT_JOURNAL);
	}
	if ((ipfix->flags & EXPORT_CONFIGURED) != 0) {
		ipfix_add(&data, &ipfix->ipfix, view, monotime_now(), walltime_now());
		enqueue_messages(ipfix, &data);
		buf_free(&data);
		send_full(e, EXPORT_IPFIX);
	}
}

void
engine_export_send(struct engine *e)
{
	for (unsigned i = 0; i < EXPORT_COUNT; i++) {
		if ((e->exports[i].flags & EXPORT_CONFIGURED) != 0)
			send_queue(e, (enum enforcer_export)i);
	}
}
