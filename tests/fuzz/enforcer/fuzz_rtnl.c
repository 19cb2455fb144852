/*
 * Reads any bytes as what the kernel answers about rules, routes and neighbours (rtnetlink):
 * datagrams, each behind its length (u16, little-endian). Whatever they are: no crash, no
 * endless wait, and what is told of has a family and fits its prefix; names have an end.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "enforcer/steer/steer_rtnl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                               \
	do {                                                                           \
		if (!(condition))                                                      \
			abort();                                                       \
	} while (0)
#define DATAGRAMS 8

static struct rtnl rtnl;
static unsigned neighbours; /* so that somebody wants to know */

/* All of them lie there before anything is asked. */
static int
answer(const uint8_t *data, size_t size)
{
	int ends[2];

	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		  ends) == 0);
	for (unsigned i = 0; i < DATAGRAMS && size > 2; i++) {
		size_t len = (size_t)data[0] | (size_t)data[1] << 8;

		data += 2;
		size -= 2;
		len = len < size ? len : size;
		/* What does not fit is lost, as it would be. */
		if (len != 0)
			(void)send(ends[1], data, len, MSG_NOSIGNAL);
		data += len;
		size -= len;
	}
	rtnl.fd = ends[0];
	rtnl.seq = 1;
	return ends[1];
}

static void
end(int other)
{
	(void)close(other);
	rtnl_close(&rtnl);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum ip_family families[] = {IP_V4, IP_V6};
	const struct ip_addr hop = {.family = IP_V6, .bytes = {0xfd}};
	int other, rc;

	for (size_t f = 0; f < 2; f++) {
		struct steer_found found = {.rules = NULL};

		other = answer(data, size);
		rc = steer_find(&rtnl, families[f], &found);
		CHECK(rc == 0 || rc == -1);
		for (size_t i = 0; i < found.route_count; i++) {
			const struct steer_route *r = &found.routes[i];

			CHECK(r->to.addr.family == IP_V4 || r->to.addr.family == IP_V6);
			CHECK(r->odd || r->hop.family == r->to.addr.family);
		}
		for (size_t i = 0; i < found.rule_count; i++) {
			const struct steer_rule *r = &found.rules[i];

			CHECK(memchr(r->came_by, '\0', sizeof(r->came_by)) != NULL);
			CHECK(steer_rule_same(r, r));
		}
		steer_found_fini(&found);
		end(other);
	}
	other = answer(data, size);
	neighbours += steer_on_link(&rtnl, &hop) != 0;
	end(other);
	return 0;
}
