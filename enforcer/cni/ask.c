#include "enforcer/cni/ask.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_BYTES (4u * 1024 * 1024) /* `status` of a daemon that has much to say */

struct cni_patience
cni_patience_of(uint64_t ms)
{
	struct cni_patience p = {monotime_now()};

	p.deadline.ns += ms * UINT64_C(1000000);
	return p;
}

uint64_t
cni_patience_left(const struct cni_patience *p)
{
	monotime_t now = monotime_now();

	return now.ns < p->deadline.ns ? (p->deadline.ns - now.ns) / 1000000 : 0;
}

/* True when the descriptor is ready before patience ends. */
static bool
wait_for(int fd, short events, const struct cni_patience *p)
{
	struct pollfd wait = {.fd = fd, .events = events};
	int n;

	do {
		n = poll(&wait, 1, (int)cni_patience_left(p));
	} while (n < 0 && errno == EINTR);
	return n > 0;
}

/* A daemon that is busy has many to answer before us: connecting waits, but not for ever. */
static bool
limit_connecting(int fd, const struct cni_patience *p)
{
	const uint64_t ms = cni_patience_left(p) + 1; /* 0 would be for ever */
	const struct timeval wait = {
	    .tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};

	return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) == 0;
}

/* A signal does not end it: of a local socket nothing has happened by then. */
static bool
connect_to(int fd, const struct sockaddr_un *address, const struct cni_patience *p)
{
	int rc;

	do {
		if (!limit_connecting(fd, p))
			return false;
		rc = connect(fd, (const struct sockaddr *)address, sizeof(*address));
	} while (rc != 0 && errno == EINTR);
	return rc == 0;
}

static int
open_socket(const char *path, const struct cni_patience *p)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (connect_to(fd, &address, p) && fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
		return fd;
	{
		int error = errno;

		(void)close(fd); /* not connected */
		errno = error;
	}
	return -1;
}

static bool
send_all(int fd, const struct cni_patience *p, struct str data)
{
	while (data.len != 0) {
		ssize_t n = send(fd, data.ptr, data.len, MSG_NOSIGNAL);

		if (n > 0) {
			data = str_slice(data, (size_t)n, data.len);
			continue;
		}
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return false;
		if (n < 0 && errno == EAGAIN && !wait_for(fd, POLLOUT, p))
			return false;
	}
	return true;
}

/* To its end. False: it does not end in time, or is too long. */
static bool
read_all(int fd, const struct cni_patience *p, struct buf *out)
{
	char chunk[8192];

	for (;;) {
		ssize_t n = recv(fd, chunk, sizeof(chunk), 0);

		if (n == 0)
			return true;
		if (n > 0) {
			buf_add(out, chunk, (size_t)n);
			if (out->len > ANSWER_BYTES)
				return false;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN || !wait_for(fd, POLLIN, p))
			return false;
	}
}

json_t *
cni_ask(const char *socket, const struct cni_patience *patience, struct str question,
    char *why)
{
	struct buf out = {0}, answer = {0};
	json_t *json = NULL;
	int fd = open_socket(socket, patience);

	if (fd < 0) {
		(void)snprintf(why, CNI_TEXT_BYTES, "the enforcer is not there: %s: %s",
		    socket, strerror(errno));
		return NULL;
	}
	buf_add_str(&out, question);
	buf_add_char(&out, '\n');
	if (send_all(fd, patience, buf_str(&out)) && read_all(fd, patience, &answer) &&
	    answer.len != 0)
		json = json_loadb(answer.data, answer.len, 0, NULL);
	if (!json_is_object(json)) {
		json_decref(json);
		json = NULL;
		(void)snprintf(
		    why, CNI_TEXT_BYTES, "the enforcer gave no answer at %s", socket);
	}
	(void)close(fd); /* only read from */
	buf_free(&out);
	buf_free(&answer);
	return json;
}
