#include "authn/monitor/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/ip_socket.h"

#define BACKLOG 4096

/* Without a host: every address, of both families. False: it is no address. */
static bool
host_address(const struct gate_listen *l, struct ip_addr *out)
{
	*out = (struct ip_addr){.family = IP_V6};
	return l->host.len == 0 || ip_parse(l->host, out);
}

static int
open_tcp(const struct gate_listen *l, bool shared, int *out_fd, struct err *err)
{
	struct ip_addr addr;
	union ip_socket sa;
	socklen_t len;
	const int on = 1;
	const int v6_only = l->host.len != 0;
	int fd;

	if (!host_address(l, &addr))
		return err_set(
		    err, ERR_INVALID, "%.*s is no address", STR_ARG(l->host));
	len = ip_to_socket(&addr, l->port, &sa);
	fd = socket(sa.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, "socket");
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    (shared &&
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) ||
	    (addr.family == IP_V6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only,
					 sizeof(v6_only)) != 0) ||
	    bind(fd, &sa.any, len) != 0 || listen(fd, BACKLOG) != 0) {
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
	struct stat st;
	int fd;
	int rc = make_parents(path, err);

	if (rc != 0)
		return rc;
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return err_sys(err, "%s", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "%s", path);
	if (fstat(fd, &st) != 0)
		rc = err_sys(err, "%s", path);
	/* What somebody else has made he may have filled, and hold open. */
	else if (st.st_uid != 0 && st.st_uid != geteuid() && st.st_uid != uid)
		rc = err_set(err, ERR_DENIED,
		    "%s: belongs to somebody else (uid %u); look at what is in it, and "
		    "use "
		    "chown",
		    path, (unsigned)st.st_uid);
	else if ((uid != 0 && fchown(fd, uid, gid) != 0) || fchmod(fd, 0700) != 0)
		rc = err_sys(err, "%s", path);
	(void)close(fd); /* nothing was written */
	return rc;
}
