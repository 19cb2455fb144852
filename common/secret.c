#include "common/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* Pages of its own, so that locking and leaving out of dumps concern nothing else. */
static int
secret_map(struct secret *s, size_t len, struct err *err)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t mapped = (len + page - 1) / page * page;
	void *p;

	*s = (struct secret){0};
	if (len == 0)
		return 0;
	if (mapped < len)
		return err_set(err, ERR_LIMIT, "a secret of %zu bytes", len);
	p = mmap(
	    NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return err_sys(err, "cannot map memory for a secret");
	if (madvise(p, mapped, MADV_DONTDUMP) != 0) {
		int rc = err_sys(err, "cannot keep a secret out of core dumps");

		(void)munmap(p, mapped); /* nothing in it yet */
		return rc;
	}
	(void)mlock(p, mapped); /* best effort, see the header */
	*s = (struct secret){p, len, mapped};
	return 0;
}

int
secret_set(struct secret *s, const void *data, size_t len, struct err *err)
{
	int rc = secret_map(s, len, err);

	if (rc == 0 && len != 0)
		memcpy(s->data, data, len);
	return rc;
}

/* As kubelets make files for one who is not root: root's, for the group that is ours alone. */
static bool
is_group_ours(const struct stat *st)
{
	return (st->st_mode & 0077) == 0040 && st->st_uid == 0 && geteuid() != 0 &&
	       st->st_gid != 0 && st->st_gid == getegid();
}

static int
check_file(int fd, const char *path, bool allow_open, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return err_sys(err, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_INVALID, "%s: not a regular file", path);
	if (!allow_open && (st.st_mode & 0077) != 0 && !is_group_ours(&st))
		return err_set(err, ERR_DENIED,
		    "%s: others may read this secret (mode %04o); use chmod 600", path,
		    (unsigned)st.st_mode & 07777);
	/* Whose it is could put another one into its place. */
	if (!allow_open && st.st_uid != 0 && st.st_uid != geteuid())
		return err_set(err, ERR_DENIED,
		    "%s: this secret is somebody else's (uid %u): it must belong to "
		    "root, or "
		    "to who reads it",
		    path, (unsigned)st.st_uid);
	if (st.st_size > SECRET_FILE_BYTES)
		return err_set(err, ERR_LIMIT, "%s: larger than %u bytes", path,
		    SECRET_FILE_BYTES);
	return 0;
}

/* Reads into s until the end of the file; s->len is the room at first, then what was
 * read. One byte of room must be left over, or the file is longer than it was. */
static int
fill_from(struct secret *s, int fd, const char *path, struct err *err)
{
	size_t len = 0;
	ssize_t n;

	do {
		n = read(fd, s->data + len, s->len - len);
		if (n > 0)
			len += (size_t)n;
	} while ((n > 0 && len < s->len) || (n < 0 && errno == EINTR));
	if (n < 0)
		return err_sys(err, "%s", path);
	if (len == s->len)
		return err_set(err, ERR_LIMIT, "%s: larger than %u bytes", path,
		    SECRET_FILE_BYTES);
	if (len > 0 && s->data[len - 1] == '\n')
		len--;
	if (len == 0)
		return err_set(err, ERR_INVALID, "%s: empty", path);
	s->len = len;
	return 0;
}

int
secret_open_file(const char *path, bool allow_open, int *out_fd, struct err *err)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int rc;

	*out_fd = -1;
	if (fd < 0)
		return err_sys(err, "%s", path);
	rc = check_file(fd, path, allow_open, err);
	if (rc == 0)
		*out_fd = fd;
	else
		(void)close(fd); /* read only */
	return rc;
}

int
secret_read_file(struct secret *s, const char *path, bool allow_open, struct err *err)
{
	struct secret room = {0};
	int fd, rc;

	*s = (struct secret){0};
	rc = secret_open_file(path, allow_open, &fd, err);
	if (rc != 0)
		return rc;
	rc = secret_map(&room, SECRET_FILE_BYTES + 1, err);
	if (rc == 0)
		rc = fill_from(&room, fd, path, err);
	if (rc == 0)
		rc = secret_set(s, room.data, room.len, err);
	secret_free(&room);
	(void)close(fd); /* read only */
	return rc;
}

void
secret_free(struct secret *s)
{
	if (s->data != NULL) {
		OPENSSL_cleanse(s->data, s->mapped);
		(void)munmap(
		    s->data, s->mapped); /* our own whole mapping: cannot fail */
	}
	*s = (struct secret){0};
}

struct str
secret_str(const struct secret *s)
{
	return (struct str){(const char *)s->data, s->len};
}

bool
secret_equal(const void *a, size_t a_len, const void *b, size_t b_len)
{
	return a_len == b_len && (a_len == 0 || CRYPTO_memcmp(a, b, a_len) == 0);
}

void
secret_wipe(void *data, size_t len)
{
	if (len != 0)
		OPENSSL_cleanse(data, len);
}

void
secret_random(void *out, size_t len)
{
	uint8_t *p = out;

	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			base_die("the kernel gives no randomness");
		p += n;
		len -= (size_t)n;
	}
}
