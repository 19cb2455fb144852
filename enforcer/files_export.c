/*
 * Sockets to receivers of flow records, for the engine, which can open none.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "enforcer/files.h"

/* Connects, or forgets the socket. */
static int
connect_or_close(int fd, const struct sockaddr *address, socklen_t len,
    const char *what, int *out_fd, struct err *err)
{
	int rc = 0;

	if (fd < 0)
		return err_sys(err, "a socket to %s", what);
	if (connect(fd, address, len) == 0) {
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
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	bool is_v4 = c->ipfix_addr.family == IP_V4;

	*out_fd = -1;
	if (!c->has_ipfix)
		return 0;
	v4.sin_port = v6.sin6_port = htons(c->ipfix_port);
	memcpy(&v4.sin_addr, c->ipfix_addr.bytes, sizeof(v4.sin_addr));
	memcpy(&v6.sin6_addr, c->ipfix_addr.bytes, sizeof(v6.sin6_addr));
	return connect_or_close(socket(is_v4 ? AF_INET : AF_INET6,
				    SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
	    is_v4 ? (const struct sockaddr *)&v4 : (const struct sockaddr *)&v6,
	    is_v4 ? sizeof(v4) : sizeof(v6), "the IPFIX collector", out_fd, err);
}
