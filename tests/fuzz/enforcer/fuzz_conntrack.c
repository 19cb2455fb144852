/*
 * What ctnetlink and rtnetlink say of connections and of the node's own addresses, in
 * datagrams of any bytes: a list is read, or refused. Each datagram of the input begins with
 * the socket that it comes from and its length, in 16 bits.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "enforcer/conntrack_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                               \
	do {                                                                           \
		if (!(condition))                                                      \
			abort();                                                       \
	} while (0)

enum {
	LIST,
	COMMAND,
	ROUTE,
	SOCKETS
};

struct kernel {
	int fds[SOCKETS]; /* its ends */
};

/* Each question was sent, and is answered by what waits; nothing more comes. */
static struct conntrack *
open_to(struct kernel *k)
{
	struct conntrack *c = calloc(1, sizeof(*c));
	int *const ours[SOCKETS] = {&c->list_fd, &c->command_fd, &c->route_fd};

	CHECK(c != NULL);
	c->seq = 1;
	for (unsigned i = 0; i < SOCKETS; i++) {
		int pair[2];

		CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
			  pair) == 0);
		*ours[i] = pair[0];
		k->fds[i] = pair[1];
	}
	return c;
}

static void
answer(const struct kernel *k, const uint8_t *data, size_t size)
{
	while (size >= 3) {
		const unsigned from = data[0] % SOCKETS;
		size_t len = (size_t)data[1] | (size_t)data[2] << 8;

		data += 3;
		size -= 3;
		if (len > size)
			len = size;
		(void)send(k->fds[from], data, len, 0); /* or the queue is full */
		data += len;
		size -= len;
	}
}

static void
check_all(const struct connection *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct connection *l = &list[i];

		CHECK(l->src.family == IP_V4 || l->src.family == IP_V6);
		CHECK(l->src.family == l->dst.family);
		CHECK(l->judged.src.family == l->src.family);
		CHECK(l->judged.dst.family == l->src.family);
		CHECK(!l->from_node || !l->to_node);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kernel k;
	struct conntrack *c = open_to(&k);
	struct connection *list = calloc(CONNECTIONS_MOST, sizeof(*list));
	bool done = false;
	struct err err = {0};

	CHECK(list != NULL);
	answer(&k, data, size);
	for (bool first = true; !done; first = false) {
		size_t count;

		if (conntrack_list(c, first, list, &count, &done, &err) != 0)
			break;
		CHECK(count <= CONNECTIONS_MOST);
		check_all(list, count);
	}
	for (unsigned i = 0; i < SOCKETS; i++)
		(void)close(k.fds[i]);
	conntrack_close(c);
	free(list);
	return 0;
}
