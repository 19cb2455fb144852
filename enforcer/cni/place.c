#include "enforcer/cni/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK 65536

int
place_open(const char *path, int *out_directory, struct err *err)
{
	*out_directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *out_directory < 0 ? err_sys(err, "%s", path) : 0;
}

static int
fail(struct err *err, const char *name)
{
	if (errno == ENOENT)
		return err_set(err, ERR_NOT_FOUND, "%s: there is no such file", name);
	return err_sys(err, "%s", name);
}

/* ---- reading ---- */

static int
read_fd(int fd, const char *name, size_t most, struct buf *out, struct err *err)
{
	const size_t before = out->len;
	ssize_t n;

	for (;;) {
		buf_reserve(out, CHUNK);
		n = read(fd, out->data + out->len, CHUNK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "%s", name);
		if (n == 0)
			return 0;
		out->len += (size_t)n;
		if (out->len - before > most)
			return err_set(err, ERR_LIMIT, "%s: it has more than %zu bytes",
			    name, most);
	}
}

int
place_read(int directory, const char *name, size_t most, struct buf *out,
    mode_t *out_mode, struct err *err)
{
	/* A FIFO must not hold us up. */
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int rc;

	if (fd < 0)
		return fail(err, name);
	if (fstat(fd, &st) != 0)
		rc = err_sys(err, "%s", name);
	else if (!S_ISREG(st.st_mode))
		rc = err_set(err, ERR_INVALID, "%s: it is no file", name);
	else
		rc = read_fd(fd, name, most, out, err);
	*out_mode = st.st_mode & 07777;
	(void)close(fd); /* only read from */
	return rc;
}

/* ---- writing ---- */

static bool
write_all(int fd, struct str data)
{
	while (data.len != 0) {
		ssize_t n = write(fd, data.ptr, data.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		data = str_slice(data, (size_t)n, data.len);
	}
	return true;
}

/* That a name is another file's is on disk only then. */
static int
settle(int directory, struct err *err)
{
	return fsync(directory) != 0 && errno != EINVAL ? err_sys(err, "fsync") : 0;
}

int
place_write(
    int directory, const char *name, struct str data, mode_t mode, struct err *err)
{
	char temporary[64]; /* no name that a runtime looks at */
	bool ok;
	int fd, rc = 0;

	(void)snprintf(
	    temporary, sizeof(temporary), ".ringfence-cni.%ld", (long)getpid());
	(void)unlinkat(directory, temporary, 0); /* of one that was killed */
	fd =
	    openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(err, "%s", name);
	ok = write_all(fd, data) && fchmod(fd, mode) == 0 && fsync(fd) == 0;
	if (!ok)
		rc = err_sys(err, "%s", name);
	if (close(fd) != 0 && rc == 0)
		rc = err_sys(err, "%s", name);
	if (rc == 0 && renameat(directory, temporary, directory, name) != 0)
		rc = err_sys(err, "%s", name);
	if (rc != 0) {
		(void)unlinkat(directory, temporary, 0); /* the first failure counts */
		return rc;
	}
	return settle(directory, err);
}

int
place_rename(int directory, const char *from, const char *to, struct err *err)
{
	if (renameat(directory, from, directory, to) != 0)
		return fail(err, from);
	return settle(directory, err);
}

int
place_remove(int directory, const char *name, struct err *err)
{
	if (unlinkat(directory, name, 0) != 0 && errno != ENOENT)
		return err_sys(err, "%s", name);
	return settle(directory, err);
}

/* ---- listing ---- */

static bool
is_configuration(const char *name)
{
	struct str s = str_from(name);

	return str_ends(s, STR(".conf")) || str_ends(s, STR(".conflist")) ||
	       str_ends(s, STR(".json"));
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int
place_list(int directory, struct place_names *out, struct err *err)
{
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;
	int rc = 0;

	*out = (struct place_names){.count = 0};
	if (dir == NULL) {
		rc = err_sys(err, "cannot list the directory");
		if (fd >= 0)
			(void)close(fd); /* only read from */
		return rc;
	}
	while (rc == 0 && (entry = readdir(dir)) != NULL) {
		if (!is_configuration(entry->d_name))
			continue;
		if (out->count == PLACE_NAMES_MOST)
			rc = err_set(err, ERR_LIMIT,
			    "there are more than %d files of configuration",
			    PLACE_NAMES_MOST);
		else
			out->names[out->count++] = xstrdup(entry->d_name);
	}
	(void)closedir(dir); /* only read from */
	if (out->count != 0)
		qsort(out->names, out->count, sizeof(*out->names), compare_names);
	if (rc != 0)
		place_free_names(out);
	return rc;
}

void
place_free_names(struct place_names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->names[i]);
	n->count = 0;
}
