#include "enforcer/client/client_link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* What may be amiss, for who has just been called out of bed. */
static const char *
hint(int error)
{
	switch (error) {
	case ENOENT:
	case ECONNREFUSED:
		return "; is it running? (--control or --config tell of another "
		       "socket)";
	case EACCES:
	case EPERM:
		return "; it answers root alone";
	case EAGAIN:
		return "; it is there, and takes no connection (--timeout)";
	default:
		return "";
	}
}

/* A daemon that is stuck is not waited for for ever. What comes with time, or is the answer
 * to none of our questions, may take any. */
static void
limit_time(int fd, const struct client_options *c)
{
	struct timeval limit = {.tv_sec = c->timeout_s};

	if (c->command == CLIENT_TRACE)
		limit.tv_sec += c->wait_s;
	/* Without a limit it goes as well. */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (c->command == CLIENT_FLOWS && c->follow)
		limit.tv_sec = 0;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

/* Nothing comes of it any more; why not is errno. */
static void
close_keeping_errno(int fd)
{
	const int error = errno;

	(void)close(fd); /* nothing was written that matters */
	errno = error;
}

static int
connect_daemon(const struct client_options *c)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(c->control) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address.sun_path, c->control, strlen(c->control) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	limit_time(fd, c);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close_keeping_errno(fd);
	return -1;
}

static bool
write_all(int fd, struct str data)
{
	while (data.len != 0) {
		ssize_t n = send(fd, data.ptr, data.len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		data = str_slice(data, (size_t)n, data.len);
	}
	return true;
}

ssize_t
client_read(const struct client_options *c, int fd, char *chunk, size_t size)
{
	ssize_t n;

	do
		n = read(fd, chunk, size);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		(void)client_mistake(c,
		    "the daemon is there, but does not answer (--timeout; its "
		    "/healthz and its log may say why)",
		    NULL);
	else if (n < 0)
		(void)client_mistake(c, "the connection broke", strerror(errno));
	return n;
}

int
client_try(const struct client_options *c, const struct buf *question)
{
	int fd = connect_daemon(c);

	if (fd >= 0 && !write_all(fd, buf_str(question))) {
		close_keeping_errno(fd);
		fd = -1;
	}
	return fd;
}

int
client_ask(const struct client_options *c, const struct buf *question)
{
	int fd = client_try(c, question);

	if (fd < 0)
		(void)fprintf(stderr,
		    "ringfence-enforcer %s: cannot reach the daemon at %s: %s%s\n",
		    client_commands[c->command].name, c->control, strerror(errno),
		    hint(errno));
	return fd;
}
