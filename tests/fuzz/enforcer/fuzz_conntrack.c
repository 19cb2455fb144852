/*
 * What ctnetlink and rtnetlink say of connections and of the node's own addresses, in
 * datagrams of any bytes: a list is read, or refused. Each datagram of the input begins with
 * the socket that it comes from and its length, in 16 bits.
 */
#include <stdlib.h>
#include <sys/socket.h>

#include "enforcer/kernel/conntrack_internal.h"

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

/* One pair of each kind for all inputs: closing a socket takes longer than reading one. */
static int ours[SOCKETS], theirs[SOCKETS];

static void
open_sockets(void)
{
	for (unsigned i = 0; i < SOCKETS; i++) {
		int pair[2];

		CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
			  pair) == 0);
		ours[i] = pair[0];
		theirs[i] = pair[1];
	}
}

static void
drain(int fd)
{
	char byte;

	while (recv(fd, &byte, 1, 0) >= 0)
		;
}

static void
answer(const uint8_t *data, size_t size)
{
	while (size >= 3) {
		const unsigned from = data[0] % SOCKETS;
		size_t len = (size_t)data[1] | (size_t)data[2] << 8;

		data += 3;
		size -= 3;
		if (len > size)
			len = size;
		(void)send(theirs[from], data, len, 0); /* or the queue is full */
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
	static struct conntrack c; /* its buffer is large */
	static struct connection list[CONNECTIONS_MOST];
	static bool opened;
	bool done = false;
	struct err err = {0};

	if (!opened)
		open_sockets();
	opened = true;
	for (unsigned i = 0; i < SOCKETS; i++) {
		drain(ours[i]);
		drain(theirs[i]);
	}
	c.list_fd = ours[LIST];
	c.command_fd = ours[COMMAND];
	c.route_fd = ours[ROUTE];
	c.seq = 1;
	c.listing = false;
	/* Each question is answered by what waits; nothing more comes. */
	answer(data, size);
	for (bool first = true; !done; first = false) {
		size_t count;

		if (conntrack_list(&c, first, list, &count, &done, &err) != 0)
			break;
		CHECK(count <= CONNECTIONS_MOST);
		check_all(list, count);
	}
	return 0;
}
