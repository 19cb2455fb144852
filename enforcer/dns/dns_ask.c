/*
 * A query on its way. Each time that a resolver is asked, it is from a socket of its own,
 * connected, with a port that the kernel draws and an id of our own (RFC 5452): only that
 * resolver's address is heard there, and only an answer with this id to this question
 * counts. Whatever else comes is passed over; if much does, another socket asks, but not
 * without end: how often a query asks is bounded, whoever answers what.
 *
 * An answer with addresses is held until the engine says that the kernel knows them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "enforcer/dns/dns_internal.h"
#include "enforcer/wire/messages.h"

#define TRY_MS      1000u /* for one resolver to answer */
#define QUERY_MS    4500u /* in all: stub resolvers wait for 5 s */
#define HOLD_MS     2000u /* for the kernel to know */
#define ODD_MOST    16u   /* answers that do not fit, to one socket */
#define ODD_SOCKETS 4u    /* with so many, of one query */

static uint8_t received[DNS_MESSAGE_BYTES];

static monotime_t
after_ms(monotime_t now, uint64_t ms)
{
	return (monotime_t){now.ns + ms * UINT64_C(1000000)};
}

static bool
is_past(monotime_t at, monotime_t now)
{
	return now.ns >= at.ns;
}

/* ---- its end ---- */

static void
hang_up(struct dns_query *q)
{
	dns_unwatch(q->poll);
	q->poll = NULL;
	if (q->fd >= 0)
		(void)close(q->fd); /* whatever else comes is too late */
	q->fd = -1;
	q->done = 0;
	q->sent = false;
	q->odd = 0;
}

static void
finish(struct dns_query *q)
{
	struct dns_role *d = q->role;

	hang_up(q);
	dns_share_give(d->share, q->asker, SHARE_QUERIES);
	free(q->message);
	free(q->answer);
	q->message = q->answer = NULL;
	q->used = false;
	q->next_free = d->free;
	d->free = q;
}

/* Whoever is answered may ask again at once: the query is over before. */
static void
answer(struct dns_query *q, const uint8_t *message, size_t size)
{
	struct dns_source source = q->source;
	uint8_t *kept = q->answer;

	q->answer = NULL;
	finish(q);
	dns_answer(&source, message, size);
	free(kept);
}

static void
fail(struct dns_query *q, enum dns_count why)
{
	uint8_t message[DNS_REFUSAL_BYTES];
	size_t size = dns_refuse(q->message + 2, &q->head, DNS_SERVFAIL, message);

	q->role->counts[why]++;
	answer(q, message, size);
}

/* ---- the answer ---- */

/* False: it teaches nothing. */
static bool
read_lesson(const struct dns_query *q, struct dns_answer *out)
{
	return dns_read(q->answer, q->answer_size, out) == DNS_ANSWERED &&
	       out->address_count != 0;
}

static void
tell_lesson(struct dns_query *q, const struct dns_answer *lesson)
{
	struct buf body = {0};

	dns_lesson_encode(&body, q->ticket, &q->source.client, lesson);
	q->told = dns_tell_engine(q->role, MSG_DNS_LESSON, &body);
	buf_free(&body);
}

/* Of an answer that is held: it was not taken, or there is another engine. */
static void
tell_again(struct dns_query *q)
{
	struct dns_answer lesson;

	if (read_lesson(q, &lesson))
		tell_lesson(q, &lesson);
}

static void
take_answer(struct dns_query *q, const uint8_t *message, size_t size)
{
	struct dns_role *d = q->role;
	const monotime_t now = monotime_now(), hold = after_ms(now, HOLD_MS);
	struct dns_answer lesson;

	d->counts[DNS_COUNT_ANSWERED]++;
	hang_up(q);
	q->answer = xmalloc(size);
	memcpy(q->answer, message, size);
	q->answer_size = size;
	dns_set_id(q->answer, q->head.id);
	if (!read_lesson(q, &lesson)) {
		answer(q, q->answer, size);
		return;
	}
	q->since = now;
	tell_lesson(q, &lesson);
	if (d->deaf) { /* it may be heard again by this */
		fail(q, DNS_COUNT_UNHEARD);
		return;
	}
	d->counts[DNS_COUNT_HELD]++;
	q->held = true;
	q->until = is_past(q->last, hold) ? q->last : hold;
}

/* The engine said nothing for as long as an answer may wait at most: what comes next fails at
 * once, until it says something again. */
static void
give_up_hold(struct dns_query *q)
{
	struct dns_role *d = q->role;

	if (!d->deaf && is_past(d->heard, q->since) &&
	    is_past(after_ms(q->since, HOLD_MS), monotime_now())) {
		log_warn("engine-silent", "detail=\"answers with addresses fail\"");
		d->deaf = true;
	}
	fail(q, DNS_COUNT_LATE);
}

/* Whether this is an answer to what the socket asked. */
static bool
fits(struct dns_query *q, const uint8_t *message, size_t size, struct dns_head *head)
{
	if (dns_read_head(message, size, head) && head->answer && head->id == q->id &&
	    head->opcode == DNS_OPCODE_QUERY &&
	    head->question_end == q->head.question_end &&
	    dns_same_question(message, q->message + 2, head->question_end))
		return true;
	q->role->counts[DNS_COUNT_FORGED]++;
	q->odd++;
	return false;
}

/* ---- asking ---- */

static void ask_next(struct dns_query *q);

/* A resolver that does not want to: another may. */
static bool
others_may(struct dns_query *q, const struct dns_head *head)
{
	return (head->rcode == DNS_SERVFAIL || head->rcode == DNS_REFUSED) &&
	       q->refusals + 1 < q->role->settings.resolver_count;
}

static void
refused(struct dns_query *q)
{
	q->refusals++;
	ask_next(q);
}

/* True: an answer was taken, or another resolver is asked. */
static bool
heard(struct dns_query *q, const uint8_t *message, size_t size)
{
	struct dns_head head;

	if (!fits(q, message, size, &head)) {
		if (q->odd < ODD_MOST)
			return false;
		if (++q->odd_sockets < ODD_SOCKETS)
			ask_next(q);
		else
			fail(q, DNS_COUNT_FAILED);
		return true;
	}
	if (others_may(q, &head))
		refused(q);
	else
		take_answer(q, message, size);
	return true;
}

static void
on_datagrams(uv_poll_t *poll, int status, int events)
{
	struct dns_query *q = poll->data;
	ssize_t n;

	(void)status; /* an error shows in recv */
	(void)events; /* only readability is watched */
	do {
		n = recv(q->fd, received, sizeof(received), MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			refused(q); /* nobody is there */
			return;
		}
	} while (n >= 0 && !heard(q, received, (size_t)n));
}

/* ---- over TCP ---- */

/* Sends what is left. 1: all is; 0: later; -1: that fails. */
static int
send_rest(struct dns_query *q)
{
	while (q->done < q->size + 2) {
		ssize_t n = send(q->fd, q->message + q->done, q->size + 2 - q->done,
		    MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return errno == EAGAIN ? 0 : -1;
		if (n > 0)
			q->done += (size_t)n;
	}
	return 1;
}

/* Reads on: two bytes of length, and so many. The same. */
static int
receive_rest(struct dns_query *q)
{
	for (;;) {
		size_t whole = 2;
		ssize_t n;

		if (q->done >= 2)
			whole += (size_t)q->answer[0] << 8 | q->answer[1];
		if (q->done >= 2 && q->done == whole)
			return 1;
		n = recv(q->fd, q->answer + q->done, whole - q->done, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 && errno == EAGAIN ? 0 : -1;
		q->done += (size_t)n;
	}
}

static void
on_stream(uv_poll_t *poll, int status, int events)
{
	struct dns_query *q = poll->data;
	uint8_t *message;
	int rc;

	(void)status; /* an error shows in send, recv */
	(void)events;
	rc = q->sent ? receive_rest(q) : send_rest(q);
	if (rc == 1 && !q->sent) {
		q->sent = true;
		q->done = 0;
		q->answer = xmalloc(2 + DNS_MESSAGE_BYTES);
		rc = uv_poll_start(poll, UV_READABLE, on_stream) == 0 ? 0 : -1;
	} else if (rc == 1) {
		message = q->answer;
		q->answer = NULL;
		if (!heard(q, message + 2, q->done - 2))
			refused(q);
		free(message);
		return;
	}
	if (rc < 0)
		refused(q);
}

/* ---- whom ---- */

static bool
call(struct dns_query *q, const struct ip_addr *resolver)
{
	union ip_socket to;
	const socklen_t len = ip_to_socket(resolver, DNS_PORT, &to);
	const int kind = q->source.tcp ? SOCK_STREAM : SOCK_DGRAM;

	if (getrandom(&q->id, sizeof(q->id), 0) != (ssize_t)sizeof(q->id))
		base_die("getrandom");
	dns_set_id(q->message + 2, q->id);
	q->fd = socket(to.any.sa_family, kind | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (q->fd < 0)
		return false;
	if (connect(q->fd, &to.any, len) != 0 && errno != EINPROGRESS)
		return false;
	if (!q->source.tcp &&
	    send(q->fd, q->message + 2, q->size, MSG_DONTWAIT) != (ssize_t)q->size)
		return false;
	q->poll = dns_watch(q->role, q->fd, q->source.tcp ? UV_WRITABLE : UV_READABLE,
	    q->source.tcp ? on_stream : on_datagrams, q);
	return q->poll != NULL;
}

static const struct ip_addr *
whom(const struct dns_query *q)
{
	const struct dns_settings *s = &q->role->settings;

	return &s->resolvers[(q->first + q->tries - 1) % s->resolver_count];
}

/* In turn, until one answers or the time is up; not on if each has refused. */
static void
ask_next(struct dns_query *q)
{
	free(q->answer);
	q->answer = NULL;
	while (q->refusals < q->role->settings.resolver_count) {
		hang_up(q);
		q->tries++;
		if (call(q, whom(q))) {
			q->until = after_ms(monotime_now(), TRY_MS);
			return;
		}
		q->refusals++;
	}
	fail(q, DNS_COUNT_FAILED);
}

/* Whoever is silent is not the first to be asked any more. */
static void
give_up(struct dns_query *q)
{
	struct dns_role *d = q->role;

	if (whom(q) == &d->settings.resolvers[d->first % d->settings.resolver_count])
		d->first++;
	ask_next(q);
}

void
dns_ask(struct dns_role *d, const struct dns_source *source, struct dns_client *asker,
    const struct dns_head *head, const uint8_t *message, size_t size)
{
	struct dns_query *q = d->free; /* as many are taken as shares are, at most */
	const uint32_t ticket = q->ticket + LIMIT_DNS_QUERIES;

	d->free = q->next_free;
	*q = (struct dns_query){.role = d,
	    .used = true,
	    .ticket = ticket,
	    .asker = asker,
	    .source = *source,
	    .head = *head,
	    .size = size,
	    .last = after_ms(monotime_now(), QUERY_MS),
	    .first = d->first,
	    .fd = -1};
	q->message = xmalloc(2 + size);
	q->message[0] = (uint8_t)(size >> 8);
	q->message[1] = (uint8_t)size;
	memcpy(q->message + 2, message, size);
	dns_run_clock(d);
	ask_next(q);
}

/* ---- all of them ---- */

void
dns_ask_pass(struct dns_role *d, uint32_t ticket)
{
	struct dns_query *q = &d->queries[ticket % LIMIT_DNS_QUERIES];

	if (q->used && q->held && q->ticket == ticket)
		answer(q, q->answer, q->answer_size);
}

void
dns_ask_orphan(struct dns_role *d, const struct dns_conn *conn)
{
	for (size_t i = 0; i < LIMIT_DNS_QUERIES; i++) {
		if (d->queries[i].used && d->queries[i].source.conn == conn)
			d->queries[i].source.conn = NULL;
	}
}

void
dns_ask_again(struct dns_role *d)
{
	for (size_t i = 0; i < LIMIT_DNS_QUERIES; i++) {
		if (d->queries[i].used && d->queries[i].held)
			tell_again(&d->queries[i]);
	}
}

static void
look_at(struct dns_query *q, monotime_t now)
{
	if (q->held && is_past(q->until, now))
		give_up_hold(q);
	else if (q->held && !q->told)
		tell_again(q);
	else if (!q->held && is_past(q->last, now))
		fail(q, DNS_COUNT_FAILED);
	else if (!q->held && is_past(q->until, now))
		give_up(q);
}

void
dns_ask_tick(struct dns_role *d, monotime_t now)
{
	for (size_t i = 0; i < LIMIT_DNS_QUERIES; i++) {
		if (d->queries[i].used)
			look_at(&d->queries[i], now);
	}
}

void
dns_ask_init(struct dns_role *d)
{
	d->queries = xcalloc(LIMIT_DNS_QUERIES, sizeof(*d->queries));
	for (uint32_t i = LIMIT_DNS_QUERIES; i-- > 0;) {
		d->queries[i].ticket = i;
		d->queries[i].next_free = d->free;
		d->free = &d->queries[i];
	}
}

void
dns_ask_fini(struct dns_role *d)
{
	for (size_t i = 0; i < LIMIT_DNS_QUERIES; i++) {
		if (d->queries[i].used)
			finish(&d->queries[i]);
	}
	free(d->queries);
}
