/*
 * What workloads ask, by datagrams and over connections, and what they are told. A
 * connection has one query under way at a time; what comes behind it waits in the socket.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "enforcer/dns/dns_internal.h"
#include "enforcer/wire/messages.h"

#define DATAGRAMS  64u /* at a time */
#define SILENCE_NS UINT64_C(10000000000)

struct dns_conn {
	struct dns_conn *next, **link;
	struct dns_role *role;
	struct dns_client *asker;
	struct ip_addr client;
	int fd;
	uv_poll_t *poll;
	monotime_t since; /* of the last that was whole */
	bool asking;
	uint8_t in[2 + DNS_QUERY_BYTES];
	size_t got;
	struct buf out;
	size_t sent;
};

/* ---- a question ---- */

static bool
is_answered(const struct dns_role *d, const struct ip_addr *client)
{
	for (size_t i = 0; i < d->settings.network_count; i++) {
		if (ip_in_prefix(client, &d->settings.networks[i]))
			return true;
	}
	return false;
}

static struct dns_client *
asker_of(struct dns_role *d, const struct ip_addr *client, monotime_t now)
{
	struct buf body = {0};
	struct dns_client *asker;
	bool ask;

	asker = dns_share_client(d->share, client, now, &ask);
	if (ask) {
		proc_put_ip(&body, client);
		/* If nobody is there to ask, the next query asks. */
		ask = dns_tell_engine(d, MSG_DNS_CLIENT, &body);
	}
	buf_free(&body);
	return asker;
}

static void
refuse(const struct dns_source *source, const uint8_t *message,
    const struct dns_head *head, enum dns_rcode rcode)
{
	uint8_t out[DNS_REFUSAL_BYTES];

	dns_answer(source, out, dns_refuse(message, head, rcode, out));
}

/* What has several messages, or addresses of a name among whatever there is, does not wait for
 * the kernel: nobody needs it of a node's resolver. */
static bool
is_forwarded(const struct dns_head *head)
{
	return head->opcode == DNS_OPCODE_QUERY && head->question_end != 0 &&
	       head->type != DNS_ANY && head->type != DNS_AXFR &&
	       head->type != DNS_IXFR;
}

static void
answer_here(const struct dns_source *source, const uint8_t *message,
    const struct dns_head *head)
{
	uint8_t out[DNS_LITTLE_BYTES];

	if (head->opcode != DNS_OPCODE_QUERY)
		refuse(source, message, head, DNS_NOTIMP);
	else if (head->question_end == 0)
		refuse(source, message, head, DNS_FORMERR);
	else if (head->type == DNS_ANY)
		dns_answer(source, out, dns_say_little(message, head, out));
	else
		refuse(source, message, head, DNS_REFUSED);
}

/* False: it is no query, and not answered. */
static bool
take_query(struct dns_role *d, const struct dns_source *source, const uint8_t *message,
    size_t size)
{
	const monotime_t now = monotime_now();
	struct dns_head head;
	struct dns_client *asker;

	if (size > DNS_QUERY_BYTES || !dns_read_head(message, size, &head) ||
	    head.answer) {
		d->counts[DNS_COUNT_MALFORMED]++;
		return false;
	}
	d->counts[DNS_COUNT_QUERIES]++;
	asker = asker_of(d, &source->client, now);
	if (!dns_share_take(d->share, asker, SHARE_QUERIES, now)) {
		d->counts[DNS_COUNT_OVER]++;
		if (source->tcp) /* whoever floods by datagrams gets none back */
			refuse(source, message, &head, DNS_SERVFAIL);
		return true;
	}
	if (is_forwarded(&head)) {
		dns_ask(d, source, asker, &head, message, size);
		return true;
	}
	dns_share_give(d->share, asker, SHARE_QUERIES);
	answer_here(source, message, &head);
	return true;
}

/* ---- datagrams ---- */

static void
on_datagrams(uv_poll_t *poll, int status, int events)
{
	static uint8_t message[DNS_QUERY_BYTES + 1];
	struct dns_socket *s = poll->data;
	struct dns_source source = {.socket = s->fd};

	(void)status; /* an error shows in recvfrom */
	(void)events; /* only readability is watched */
	for (unsigned i = 0; i < DATAGRAMS; i++) {
		ssize_t n;

		source.from_len = sizeof(source.from);
		n = recvfrom(s->fd, message, sizeof(message), MSG_DONTWAIT,
		    &source.from.any, &source.from_len);
		if (n < 0)
			return;
		if (!ip_from_socket(&source.from.any, &source.client, NULL) ||
		    !is_answered(s->role, &source.client))
			s->role->counts[DNS_COUNT_STRANGERS]++;
		else
			(void)take_query(s->role, &source, message,
			    (size_t)n); /* junk is not answered */
	}
}

/* ---- connections ---- */

static void on_conn(uv_poll_t *poll, int status, int events);

static void
close_conn(struct dns_conn *c)
{
	struct dns_role *d = c->role;

	if (c->asking)
		dns_ask_orphan(d, c);
	dns_unwatch(c->poll);
	(void)close(c->fd); /* what could be sent was */
	dns_share_give(d->share, c->asker, SHARE_CONNECTIONS);
	*c->link = c->next;
	if (c->next != NULL)
		c->next->link = c->link;
	buf_free(&c->out);
	free(c);
}

static bool
watch(struct dns_conn *c, int events)
{
	return uv_poll_start(c->poll, events, on_conn) == 0;
}

/* Takes the first message that is whole. False: the connection is to be closed. */
static bool
take_message(struct dns_conn *c)
{
	const struct dns_source source = {
	    .client = c->client, .socket = -1, .conn = c, .tcp = true};
	size_t size = (size_t)c->in[0] << 8 | c->in[1];
	uint8_t message[DNS_QUERY_BYTES];

	if (c->got >= 2 && size > DNS_QUERY_BYTES)
		return false;
	if (c->got < 2 || c->got < 2 + size)
		return watch(c, UV_READABLE);
	memcpy(message, c->in + 2, size);
	c->got -= 2 + size;
	memmove(c->in, c->in + 2 + size, c->got);
	c->since = monotime_now();
	c->asking = true;
	(void)uv_poll_stop(c->poll); /* of an open handle: cannot fail */
	return take_query(c->role, &source, message, size);
}

/* False: as above. */
static bool
write_out(struct dns_conn *c)
{
	while (c->sent < c->out.len) {
		ssize_t n = send(c->fd, c->out.data + c->sent, c->out.len - c->sent,
		    MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			return watch(c, UV_WRITABLE);
		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0)
			c->sent += (size_t)n;
	}
	buf_free(&c->out);
	c->out = (struct buf){0};
	c->sent = 0;
	return take_message(c); /* that came with the one before */
}

static bool
read_in(struct dns_conn *c)
{
	ssize_t n = 0;

	if (c->got < sizeof(c->in)) {
		n = recv(c->fd, c->in + c->got, sizeof(c->in) - c->got, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return false;
	}
	if (n > 0)
		c->got += (size_t)n;
	return take_message(c);
}

/* Answers come at once sometimes: what is in `in` is looked at when writing is over. */
static void
on_conn(uv_poll_t *poll, int status, int events)
{
	struct dns_conn *c = poll->data;
	bool ok;

	(void)events;
	if (status < 0)
		ok = false;
	else if (c->out.len != 0)
		ok = write_out(c);
	else
		ok = read_in(c);
	if (!ok)
		close_conn(c);
}

static void
add_conn(struct dns_role *d, int fd, const struct ip_addr *client,
    struct dns_client *asker, monotime_t now)
{
	struct dns_conn *c = xcalloc(1, sizeof(*c));

	*c = (struct dns_conn){.role = d,
	    .asker = asker,
	    .client = *client,
	    .fd = fd,
	    .since = now,
	    .next = d->conns,
	    .link = &d->conns};
	if (c->next != NULL)
		c->next->link = &c->next;
	d->conns = c;
	c->poll = dns_watch(d, fd, UV_READABLE, on_conn, c);
	if (c->poll == NULL)
		close_conn(c);
	else
		dns_run_clock(d);
}

static void
on_connection(uv_poll_t *poll, int status, int events)
{
	struct dns_socket *s = poll->data;
	struct dns_role *d = s->role;
	union ip_socket from = {.any = {.sa_family = AF_UNSPEC}};
	socklen_t len = sizeof(from);
	struct ip_addr client;
	const monotime_t now = monotime_now();
	int fd = accept4(s->fd, &from.any, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)status; /* an error shows in accept4 */
	(void)events;
	if (fd < 0)
		return;
	if (!ip_from_socket(&from.any, &client, NULL) || !is_answered(d, &client)) {
		d->counts[DNS_COUNT_STRANGERS]++;
	} else {
		struct dns_client *asker = asker_of(d, &client, now);

		if (dns_share_take(d->share, asker, SHARE_CONNECTIONS, now)) {
			add_conn(d, fd, &client, asker, now);
			return;
		}
		d->counts[DNS_COUNT_OVER]++;
	}
	(void)close(fd); /* nothing was sent */
}

void
dns_listen_tick(struct dns_role *d, monotime_t now)
{
	struct dns_conn *next;

	for (struct dns_conn *c = d->conns; c != NULL; c = next) {
		next = c->next;
		if (!c->asking && monotime_since(c->since, now) >= SILENCE_NS)
			close_conn(c);
	}
}

/* ---- answers ---- */

/* It goes out in the loop's next turn: whoever calls may be in the middle of a message. */
static void
answer_conn(struct dns_conn *c, const uint8_t *message, size_t size)
{
	c->asking = false;
	c->since = monotime_now();
	buf_add_char(&c->out, (char)(size >> 8));
	buf_add_char(&c->out, (char)(size & 0xff));
	buf_add(&c->out, message, size);
	if (!watch(c, UV_WRITABLE))
		base_die("cannot watch a connection");
}

void
dns_answer(const struct dns_source *source, const uint8_t *message, size_t size)
{
	if (source->conn != NULL)
		answer_conn(source->conn, message, size);
	else if (!source->tcp) /* what does not go out is asked for again */
		(void)sendto(source->socket, message, size, MSG_DONTWAIT | MSG_NOSIGNAL,
		    &source->from.any, source->from_len);
}

/* ---- all of them ---- */

int
dns_listen_begin(struct dns_role *d, const int *fds, size_t count, struct err *err)
{
	if (count == 0 || count > DNS_SOCKETS_MOST || count % 2 != 0)
		return err_set(err, ERR_PROTOCOL, "the parent passed no sockets");
	for (size_t i = 0; i < count; i++) {
		struct dns_socket *s = &d->sockets[i];

		s->role = d;
		s->fd = fds[i];
		s->poll.data = s;
		if (uv_poll_init(&d->loop, &s->poll, s->fd) != 0)
			return err_set(err, ERR_SYSTEM, "cannot watch a socket");
		d->socket_count = i + 1;
		if (uv_poll_start(&s->poll, UV_READABLE,
			i % 2 == 0 ? on_datagrams : on_connection) != 0)
			return err_set(err, ERR_SYSTEM, "cannot watch a socket");
	}
	return 0;
}

void
dns_listen_end(struct dns_role *d)
{
	while (d->conns != NULL)
		close_conn(d->conns);
	for (size_t i = 0; i < d->socket_count; i++)
		uv_close((uv_handle_t *)&d->sockets[i].poll, NULL);
}
