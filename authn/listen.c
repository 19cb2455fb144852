#include "authn/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/ip.h"

#define BACKLOG 4096

/* Without a host: every address, of both families. */
static socklen_t
socket_address(const struct gate_listen *l, struct sockaddr_storage *out)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)out;
	struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)out;
	struct ip_addr addr = {.family = IP_V6};

	memset(out, 0, sizeof(*out));
	if (l->host.len != 0 && !ip_parse(l->host, &addr))
		return 0;
	if (addr.family == IP_V4) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(l->port);
		memcpy(&v4->sin_addr, addr.bytes, 4);
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(l->port);
	memcpy(&v6->sin6_addr, addr.bytes, 16);
	return sizeof(*v6);
}

static int
open_tcp(const struct gate_listen *l, bool shared, int *out_fd, struct err *err)
{
	struct sockaddr_storage sa;
	const socklen_t len = socket_address(l, &sa);
	const int on = 1;
	const int v6_only = l->host.len != 0;
	int fd;

	fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, "socket");
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    (shared &&
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) ||
	    (sa.ss_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY,
					     &v6_only, sizeof(v6_only)) != 0) ||
	    bind(fd, (const struct sockaddr *)&sa, len) != 0 ||
	    listen(fd, BACKLOG) != 0) {
		int rc = err_sys(err, "cannot listen on %.*s port %u", STR_ARG(l->host),
		    (unsigned)l->port);

		(void)close(fd); /* nothing was sent */
		return rc;
	}
	*out_fd = fd;
	return 0;
}

int
listen_tcp(const struct gate_listen *address, bool shared, int *out_fd, struct err *err)
{
	return open_tcp(address, shared, out_fd, err);
}

/* SO_REUSEPORT lets any program of our user join; a socket without it joins nobody. */
int
listen_probe(const struct gate_listen *address, struct err *err)
{
	int fd = -1;
	int rc = open_tcp(address, false, &fd, err);

	if (rc == 0)
		(void)close(fd); /* it was only a question */
	return rc;
}

static int
make_parents(const char *path, struct err *err)
{
	char copy[4096];
	size_t len = strlen(path);

	if (len >= sizeof(copy))
		return err_set(err, ERR_LIMIT, "%s: too long", path);
	memcpy(copy, path, len + 1);
	for (size_t i = 1; i < len; i++) {
		if (copy[i] != '/')
			continue;
		copy[i] = '\0';
		if (mkdir(copy, 0755) != 0 && errno != EEXIST)
			return err_sys(err, "%s", copy);
		copy[i] = '/';
	}
	return 0;
}

static bool
is_alive(const struct sockaddr_un *sa)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool alive;

	if (fd < 0)
		return true; /* cannot tell: leave it alone */
	alive = connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0 ||
		(errno != ECONNREFUSED && errno != ENOENT);
	(void)close(fd); /* nothing was sent */
	return alive;
}

int
listen_unix(const char *path, int *out_fd, struct err *err)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct stat st;
	mode_t before;
	int fd, rc;

	if (strlen(path) >= sizeof(sa.sun_path))
		return err_set(err, ERR_LIMIT, "%s: too long for a socket", path);
	memcpy(sa.sun_path, path, strlen(path));
	rc = make_parents(path, err);
	if (rc != 0)
		return rc;
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
		if (is_alive(&sa))
			return err_set(
			    err, ERR_EXISTS, "%s: another gate listens there", path);
		(void)unlink(path); /* if it fails bind says so */
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, "socket");
	before = umask(0177);
	rc = bind(fd, (const struct sockaddr *)&sa, sizeof(sa));
	(void)umask(before); /* cannot fail */
	if (rc != 0 || listen(fd, 64) != 0) {
		rc = err_sys(err, "cannot listen on %s", path);
		(void)close(fd); /* nothing was sent */
		return rc;
	}
	*out_fd = fd;
	return 0;
}

int
directory_prepare(const char *path, uint32_t uid, uint32_t gid, struct err *err)
{
	int fd;
	int rc = make_parents(path, err);

	if (rc != 0)
		return rc;
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return err_sys(err, "%s", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "%s", path);
	if ((uid != 0 && fchown(fd, uid, gid) != 0) || fchmod(fd, 0700) != 0)
		rc = err_sys(err, "%s", path);
	(void)close(fd); /* nothing was written */
	return rc;
}
