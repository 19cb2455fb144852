/*
 * Telling others that a daemon is ready: the service manager, or whoever started it.
 */
#include "common/proc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"

/* "@name" is an abstract socket, "/path" one in the file system. */
static bool
notify_address(const char *name, struct sockaddr_un *out, socklen_t *out_len)
{
	size_t len = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || len < 2 ||
	    len >= sizeof(out->sun_path))
		return false;
	memset(out, 0, sizeof(*out));
	out->sun_family = AF_UNIX;
	memcpy(out->sun_path, name, len);
	if (name[0] == '@')
		out->sun_path[0] = '\0';
	/* The length of an abstract name counts; that of a path includes its NUL. */
	*out_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len +
			       (name[0] == '/' ? 1 : 0));
	return true;
}

void
proc_notify(const char *state)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address;
	socklen_t len;
	int fd;

	if (name == NULL || name[0] == '\0')
		return;
	if (!notify_address(name, &address, &len)) {
		log_warn("notify-failed", "socket=%s", log_quote(str_from(name)));
		return;
	}
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || sendto(fd, state, strlen(state), MSG_NOSIGNAL,
			  (struct sockaddr *)&address, len) < 0)
		log_warn("notify-failed", "socket=%s errno=%d",
		    log_quote(str_from(name)), errno);
	if (fd >= 0)
		(void)close(fd);
}

void
proc_ready_fd(int fd)
{
	static const char ready[] = "READY\n";
	ssize_t n;

	if (fd < 0)
		return;
	do {
		n = write(fd, ready, sizeof(ready) - 1);
	} while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(ready) - 1)
		log_warn("ready-fd-failed", "fd=%d errno=%d", fd, errno);
	(void)close(fd);
}
