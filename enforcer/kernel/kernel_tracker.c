/*
 * The thread has conntrack's sockets for itself, and shares with the loop the two queues here
 * and nothing else.
 */
#include "enforcer/kernel/kernel_tracker.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "enforcer/kernel/conntrack.h"
#include "enforcer/kernel/kernel_state.h"

/* An engine has a list or an end of connections under way, and an adoption; what one that is
 * gone has asked may be there, too. */
#define QUESTIONS_MOST 8

struct tracker_item {
	struct tracker_item *next;
	struct tracker_message message;
};

struct tracker_queue {
	struct tracker_item *first, **last;
	size_t count;
};

struct tracker {
	struct conntrack *conntrack; /* the thread's */
	struct arena *arena;         /* the thread's: of one question */
	pthread_t thread;
	bool running;
	int fd; /* readable: there are answers */
	pthread_mutex_t lock;
	pthread_cond_t asked;
	struct tracker_queue questions, answers; /* under the lock; and: */
	bool stop;
};

/* ---- queues ---- */

static void
push(struct tracker_queue *q, struct tracker_item *item)
{
	item->next = NULL;
	*q->last = item;
	q->last = &item->next;
	q->count++;
}

static struct tracker_item *
pop(struct tracker_queue *q)
{
	struct tracker_item *item = q->first;

	if (item == NULL)
		return NULL;
	q->first = item->next;
	if (q->first == NULL)
		q->last = &q->first;
	q->count--;
	return item;
}

static void
free_item(struct tracker_item *item)
{
	if (item != NULL)
		buf_free(&item->message.body);
	free(item);
}

static void
free_all(struct tracker_queue *q)
{
	while (q->count != 0)
		free_item(pop(q));
}

/* ---- answering: the thread ---- */

static void
list(struct tracker *t, struct proc_reader *r, struct buf *out)
{
	struct connection *found =
	    ARENA_ARRAY(t->arena, CONNECTIONS_MOST, struct connection);
	const bool first = proc_get_u8(r) != 0;
	struct err err = ERR_INIT;
	bool done = true;
	size_t n = 0;
	int rc = proc_reader_done(r)
		     ? conntrack_list(t->conntrack, first, found, &n, &done, &err)
		     : err_set(&err, ERR_PROTOCOL, "malformed question");

	proc_put_u32(out, (uint32_t)rc);
	proc_put_u8(out, done);
	connections_put(out, found, n);
	kernel_put_outcome(out, rc, &err);
}

typedef int (*command_fn)(struct conntrack *c, const struct connection *list,
    size_t count, bool *out_done, struct err *err);

static void
run_command(
    struct tracker *t, command_fn command, struct proc_reader *r, struct buf *out)
{
	bool *done = ARENA_ARRAY(t->arena, CONNECTIONS_MOST, bool);
	struct connection *those;
	struct err err = ERR_INIT;
	size_t count;
	int rc = connections_get(t->arena, r, &those, &count) && proc_reader_done(r)
		     ? command(t->conntrack, those, count, done, &err)
		     : err_set(&err, ERR_PROTOCOL, "malformed connections");

	proc_put_u32(out, (uint32_t)rc);
	proc_put_u32(out, (uint32_t)count);
	for (size_t i = 0; i < count; i++)
		proc_put_u8(out, done[i]);
	kernel_put_outcome(out, rc, &err);
}

static void
end_connections(struct tracker *t, struct proc_reader *r, struct buf *out)
{
	run_command(t, conntrack_end, r, out);
}

static void
adopt_connections(struct tracker *t, struct proc_reader *r, struct buf *out)
{
	run_command(t, conntrack_adopt, r, out);
}

static const struct {
	uint32_t question, answer;
	void (*handle)(struct tracker *t, struct proc_reader *r, struct buf *out);
} handlers[] = {
    {MSG_CONNECTIONS, MSG_CONNECTION_LIST, list},
    {MSG_CUT, MSG_CUT_DONE, end_connections},
    {MSG_ADOPT, MSG_ADOPTED, adopt_connections},
};

/* The question becomes its answer. */
static void
answer(struct tracker *t, struct tracker_message *m)
{
	struct buf body = {0};
	struct proc_reader r = {
	    .data = (const uint8_t *)m->body.data, .len = m->body.len, .ok = true};

	for (size_t i = 0; i < ARRAY_LEN(handlers); i++) {
		if (handlers[i].question != m->type)
			continue;
		m->type = handlers[i].answer;
		handlers[i].handle(t, &r, &body);
		break;
	}
	buf_free(&m->body);
	m->body = body;
	arena_reset(t->arena);
}

static void *
run(void *arg)
{
	struct tracker *t = arg;

	(void)pthread_mutex_lock(&t->lock); /* cannot fail: neither held nor broken */
	while (!t->stop) {
		struct tracker_item *item = pop(&t->questions);

		if (item == NULL) {
			(void)pthread_cond_wait(&t->asked, &t->lock); /* nor this */
			continue;
		}
		(void)pthread_mutex_unlock(&t->lock);
		answer(t, &item->message);
		(void)pthread_mutex_lock(&t->lock);
		push(&t->answers, item);
		if (eventfd_write(t->fd, 1) != 0)
			base_die("eventfd");
	}
	(void)pthread_mutex_unlock(&t->lock);
	return NULL;
}

/* ---- asking: the loop ---- */

int
tracker_open(struct tracker **out_tracker, struct err *err)
{
	struct tracker *t = xcalloc(1, sizeof(*t));
	int rc;

	*out_tracker = t;
	t->arena = arena_new();
	t->questions.last = &t->questions.first;
	t->answers.last = &t->answers.first;
	t->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = t->fd < 0 ? err_sys(err, "eventfd") : 0;
	if (pthread_mutex_init(&t->lock, NULL) != 0 ||
	    pthread_cond_init(&t->asked, NULL) != 0)
		base_die("cannot make a lock");
	if (rc == 0)
		rc = conntrack_open(&t->conntrack, err);
	return rc;
}

int
tracker_start(struct tracker *t, struct err *err)
{
	errno = pthread_create(&t->thread, NULL, run, t);
	if (errno != 0)
		return err_sys(err, "thread");
	t->running = true;
	return 0;
}

void
tracker_close(struct tracker *t)
{
	if (t == NULL)
		return;
	(void)pthread_mutex_lock(&t->lock);
	t->stop = true;
	(void)pthread_cond_signal(&t->asked); /* cannot fail */
	(void)pthread_mutex_unlock(&t->lock);
	if (t->running && pthread_join(t->thread, NULL) != 0)
		base_die("a thread was lost");
	free_all(&t->questions);
	free_all(&t->answers);
	(void)pthread_cond_destroy(&t->asked); /* nobody waits */
	(void)pthread_mutex_destroy(&t->lock); /* nobody has it */
	if (t->fd >= 0)
		(void)close(t->fd); /* nothing is in it that is wanted */
	conntrack_close(t->conntrack);
	arena_free(t->arena);
	free(t);
}

int
tracker_fd(const struct tracker *t)
{
	return t->fd;
}

bool
tracker_ask(struct tracker *t, const struct proc_msg *msg, uint64_t link)
{
	struct tracker_item *item = xcalloc(1, sizeof(*item));
	bool room;

	item->message =
	    (struct tracker_message){.type = msg->type, .id = msg->id, .link = link};
	buf_add(&item->message.body, msg->data, msg->len);
	(void)pthread_mutex_lock(&t->lock);
	room = t->questions.count < QUESTIONS_MOST;
	if (room) {
		push(&t->questions, item);
		(void)pthread_cond_signal(&t->asked);
	}
	(void)pthread_mutex_unlock(&t->lock);
	if (!room)
		free_item(item);
	return room;
}

bool
tracker_take(struct tracker *t, struct tracker_message *out)
{
	struct tracker_item *item;
	eventfd_t count;

	(void)pthread_mutex_lock(&t->lock);
	item = pop(&t->answers);
	if (item == NULL)
		(void)eventfd_read(t->fd, &count); /* or nothing was in it */
	(void)pthread_mutex_unlock(&t->lock);
	if (item == NULL)
		return false;
	*out = item->message; /* with what it owns */
	free(item);
	return true;
}
