/*
 * Sockets to receivers of flow records, for the engine, which can open none.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/ip_socket.h"
#include "enforcer/parent/files.h"

/* A collector that has gone without a word: what it has not taken by then is sent to it
 * anew, or to its successor. */
#define TAKEN_MS 30000u

/* Connects, or forgets the socket. A stream may still be at it: nobody waits. */
static int
connect_or_close(int fd, const struct sockaddr *address, socklen_t len,
    const char *what, int *out_fd, struct err *err)
{
	int rc = 0;

	if (fd < 0)
		return err_sys(err, "a socket to %s", what);
	if (connect(fd, address, len) == 0 || errno == EINPROGRESS) {
		*out_fd = fd;
		return 0;
	}
	rc = err_sys(err, "%s", what);
	(void)close(fd); /* not connected */
	return rc;
}

int
files_connect_journal(const struct enforcer_config *c, int *out_fd, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	*out_fd = -1;
	if (c->journal_socket == NULL)
		return 0;
	if (strlen(c->journal_socket) >= sizeof(address.sun_path))
		return err_set(err, ERR_INVALID, "%s is too long", c->journal_socket);
	memcpy(address.sun_path, c->journal_socket, strlen(c->journal_socket) + 1);
	return connect_or_close(
	    socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
	    (const struct sockaddr *)&address, sizeof(address), c->journal_socket,
	    out_fd, err);
}

int
files_connect_ipfix(const struct enforcer_config *c, int *out_fd, struct err *err)
{
	union ip_socket address;
	socklen_t len = ip_to_socket(&c->ipfix_addr, c->ipfix_port, &address);
	const int type = c->ipfix_tcp ? SOCK_STREAM : SOCK_DGRAM;
	const unsigned taken_ms = TAKEN_MS;
	int fd;

	*out_fd = -1;
	if (!c->has_ipfix)
		return 0;
	fd = socket(ip_socket_family(c->ipfix_addr.family),
	    type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && c->ipfix_tcp) /* without it, it takes a quarter of an hour */
		(void)setsockopt(
		    fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &taken_ms, sizeof(taken_ms));
	return connect_or_close(
	    fd, &address.any, len, "the IPFIX collector", out_fd, err);
}
