#include "enforcer/parent/files.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/ip_socket.h"
#include "common/proc.h"

#define BACKLOG  64
#define DNS_ROOM (1024 * 1024)

/* ---- the control socket ---- */

static int
make_parent_directory(const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	char *directory;
	int rc = 0;

	if (slash == NULL || slash == path)
		return 0;
	directory = xstrdup(path);
	directory[slash - path] = '\0';
	if (mkdir(directory, 0755) != 0 && errno != EEXIST)
		rc = err_sys(err, "%s", directory);
	free(directory);
	return rc;
}

/* A socket that nobody answers at was left behind by a daemon that was killed. Anything else
 * that is there belongs to somebody. */
static int
remove_leftover(const struct sockaddr_un *address, struct err *err)
{
	const char *path = address->sun_path;
	struct stat there;
	int fd, rc = 0;

	if (lstat(path, &there) != 0)
		return errno == ENOENT ? 0 : err_sys(err, "%s", path);
	if (!S_ISSOCK(there.st_mode))
		return err_set(err, ERR_EXISTS, "%s: is there, and is no socket", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(err, "control socket");
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
	    errno == EAGAIN)
		rc = err_set(
		    err, ERR_EXISTS, "%s: another enforcer answers there", path);
	else if (errno != ECONNREFUSED || unlink(path) != 0)
		rc = err_sys(err, "%s", path);
	(void)close(fd); /* it was only to see */
	return rc;
}

static int
find_group(struct str name, struct files_identity *file, struct err *err)
{
	char text[256];
	const struct group *group;

	if (name.len == 0 || file->has_group)
		return 0;
	if (name.len >= sizeof(text))
		return err_set(err, ERR_LIMIT, "controlGroup is too long");
	memcpy(text, name.ptr, name.len);
	text[name.len] = '\0';
	group = getgrnam(text);
	if (group == NULL)
		return err_set(err, ERR_NOT_FOUND, "there is no group \"%s\"", text);
	file->group = group->gr_gid;
	file->has_group = true;
	return 0;
}

static int
give_to_group(const char *path, const struct files_identity *file, struct err *err)
{
	if (file->has_group &&
	    (chown(path, (uid_t)-1, file->group) != 0 || chmod(path, 0660) != 0))
		return err_sys(err, "%s", path);
	return 0;
}

static int
identify(const char *path, struct files_identity *out, struct err *err)
{
	struct stat st;

	if (lstat(path, &st) != 0)
		return err_sys(err, "%s", path);
	out->device = st.st_dev;
	out->inode = st.st_ino;
	return 0;
}

/* As long as the socket is open its inode is nobody else's. */
bool
files_control_is(const struct enforcer_config *c, const struct files_identity *file)
{
	struct files_identity now = {0};
	struct err ignored = ERR_INIT;

	return identify(c->control_socket, &now, &ignored) == 0 &&
	       now.device == file->device && now.inode == file->inode;
}

int
files_listen_control(const struct enforcer_config *c, struct files_identity *file,
    int *out_fd, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct files_identity now = {0};
	mode_t before;
	int fd, rc;

	/* config.c has checked the length. */
	memcpy(address.sun_path, c->control_socket, strlen(c->control_socket) + 1);
	rc = make_parent_directory(c->control_socket, err);
	if (rc == 0)
		rc = remove_leftover(&address, err);
	if (rc == 0)
		rc = find_group(c->control_group, file, err);
	if (rc != 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(err, "control socket");
	before = umask(0177);
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
		rc = err_sys(err, "%s", c->control_socket);
	(void)umask(before); /* cannot fail */
	if (rc == 0)
		rc = identify(c->control_socket, &now, err);
	if (rc == 0)
		rc = give_to_group(c->control_socket, file, err);
	if (rc == 0 && listen(fd, BACKLOG) != 0)
		rc = err_sys(err, "%s", c->control_socket);
	if (rc != 0) {
		(void)close(fd); /* what is at the path is a leftover now */
		return rc;
	}
	file->device = now.device;
	file->inode = now.inode;
	*out_fd = fd;
	return 0;
}

/* ---- metrics ---- */

/* `early`: the address need not be there yet. */
static int
listen_at(const struct ip_addr *addr, uint16_t port, int type, bool early,
    const char *what, int *out_fd, struct err *err)
{
	union ip_socket address;
	socklen_t len = ip_to_socket(addr, port, &address);
	char text[IP_TEXT_BYTES];
	int one = 1;
	int fd = socket(
	    ip_socket_family(addr->family), type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return err_sys(err, "%s", what);
	/* Datagrams to an address that may be bound again are whose who binds it last. */
	if (type == SOCK_STREAM)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (early)
		(void)setsockopt(fd, SOL_IP, IP_FREEBIND, &one, sizeof(one));
	if (bind(fd, &address.any, len) != 0 ||
	    (type == SOCK_STREAM && listen(fd, BACKLOG) != 0)) {
		(void)err_sys(
		    err, "%s at %s port %u", what, ip_format(addr, text), port);
		(void)close(fd); /* not used */
		return err->code;
	}
	*out_fd = fd;
	return 0;
}

int
files_listen_metrics(const struct enforcer_config *c, int *out_fd, struct err *err)
{
	return listen_at(&c->metrics_addr, c->metrics_port, SOCK_STREAM, false,
	    "metrics", out_fd, err);
}

/* ---- DNS ---- */

int
files_listen_dns(const struct dns_listener *at, int out_fds[2], struct err *err)
{
	int room = DNS_ROOM;
	int rc =
	    listen_at(&at->addr, at->port, SOCK_DGRAM, true, "dns", &out_fds[0], err);

	if (rc != 0)
		return rc;
	/* What does not fit in is asked again; root may have more than others. */
	(void)setsockopt(out_fds[0], SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	rc = listen_at(&at->addr, at->port, SOCK_STREAM, true, "dns", &out_fds[1], err);
	if (rc != 0) {
		(void)close(out_fds[0]); /* not used */
		out_fds[0] = -1;
	}
	return rc;
}

/* ---- logs ---- */

int
files_open_flow_log(const struct enforcer_config *c, int *out_fd, struct err *err)
{
	*out_fd = -1;
	if (c->flow_file == NULL)
		return 0;
	*out_fd = open(c->flow_file,
	    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW |
		O_NONBLOCK,
	    0640);
	if (*out_fd < 0)
		return err_sys(err, "flow log %s", c->flow_file);
	return 0;
}

int
files_open_names(const struct enforcer_config *c, int *out_fd, struct err *err)
{
	struct buf path = {0};
	int rc = 0;

	*out_fd = -1;
	if (c->names_group == 0)
		return 0;
	buf_printf(&path, "%s.names", c->control_socket);
	*out_fd = open(path.data,
	    O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (*out_fd < 0)
		rc = err_sys(err, "%s", path.data);
	buf_free(&path);
	return rc;
}

int
files_make_audit_directory(
    const struct enforcer_config *c, uint32_t uid, uint32_t gid, struct err *err)
{
	struct stat st;

	if (mkdir(c->audit_directory, 0750) != 0 && errno != EEXIST)
		return err_sys(err, "audit log %s", c->audit_directory);
	if (uid == 0)
		return 0;
	if (lstat(c->audit_directory, &st) != 0)
		return err_sys(err, "audit log %s", c->audit_directory);
	if (!S_ISDIR(st.st_mode))
		return err_set(
		    err, ERR_INVALID, "%s is no directory", c->audit_directory);
	if (st.st_uid != uid && lchown(c->audit_directory, uid, gid) != 0)
		return err_sys(err, "audit log %s", c->audit_directory);
	return 0;
}

int
files_find_user(const struct enforcer_config *c, uint32_t *out_uid, uint32_t *out_gid,
    struct err *err)
{
	char text[256];
	int rc;

	*out_uid = *out_gid = 0;
	if (geteuid() != 0)
		return 0;
	if (c->user.len == 0) {
		struct err ignored = ERR_INIT;

		if (proc_user("ringfence", out_uid, out_gid, &ignored) == 0)
			return 0;
		return proc_user("nobody", out_uid, out_gid, err);
	}
	if (c->user.len >= sizeof(text))
		return err_set(err, ERR_LIMIT, "user is too long");
	memcpy(text, c->user.ptr, c->user.len);
	text[c->user.len] = '\0';
	rc = proc_user(text, out_uid, out_gid, err);
	if (rc == 0 && (*out_uid == 0 || *out_gid == 0))
		rc = err_set(err, ERR_INVALID,
		    "roles must not run as %s: it is root, or of its group", text);
	return rc;
}
