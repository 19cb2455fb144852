/*
 * A copy in a directory, on another machine's disk for instance: files are made and appended
 * to, never changed, so that the directory may be append-only.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "authn/audit/audit_copy.h"
#include "common/limits.h"

#define DIRECTORY_MODE 0750
#define FILE_MODE      0640

struct directory_sink {
	struct audit_sink sink;
	const char *path;
	int source, dir, segment_fd, checkpoints_fd;
	uint64_t segment, size; /* of the open segment's copy */
	uint64_t passed;        /* of it, by lines that were given */
	bool dirty;
};

static struct directory_sink *
of(struct audit_sink *s)
{
	return CONTAINER_OF(s, struct directory_sink, sink);
}

static int
append(int fd, struct str data, struct err *err)
{
	while (data.len != 0) {
		ssize_t n = write(fd, data.ptr, data.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "cannot write the copy");
		data = str_slice(data, (size_t)n, data.len);
	}
	return 0;
}

static int
open_file(struct directory_sink *d, const char *name, struct err *err)
{
	return audit_store_open(
	    d->dir, name, O_WRONLY | O_APPEND | O_CREAT, FILE_MODE, err);
}

/* The key, once; one that is there must be the same. */
static int
copy_key(struct directory_sink *d, struct err *err)
{
	struct buf ours = {0}, theirs = {0};
	int rc = audit_store_read(
	    d->source, AUDIT_PUBLIC_KEY_FILE, LIMIT_AUDIT_NOTE_BYTES, &ours, err);
	int fd;

	if (rc == 0) {
		rc = audit_store_read(d->dir, AUDIT_PUBLIC_KEY_FILE,
		    LIMIT_AUDIT_NOTE_BYTES, &theirs, err);
		if (rc == 0 && !str_eq(buf_str(&ours), buf_str(&theirs)))
			rc = err_set(err, ERR_INVALID,
			    "%s is the copy of another log: its key differs", d->path);
	}
	if (rc == ERR_NOT_FOUND && ours.len != 0) {
		fd = open_file(d, AUDIT_PUBLIC_KEY_FILE, err);
		rc = fd < 0 ? fd : append(fd, buf_str(&ours), err);
		if (fd >= 0)
			(void)close(fd); /* flushed with the directory */
	}
	buf_free(&ours);
	buf_free(&theirs);
	return rc;
}

/* Whatever the path is called. */
static int
check_apart(const struct directory_sink *d, struct err *err)
{
	struct stat ours, theirs;

	if (fstat(d->source, &ours) != 0 || fstat(d->dir, &theirs) != 0)
		return err_sys(err, "%s", d->path);
	if (ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino)
		return err_set(err, ERR_INVALID, "%s is the log itself", d->path);
	return 0;
}

/* How many lines are in the copy is known once they are passed: 0, and `line` sees what is
 * there. */
static int
directory_open(struct audit_sink *s, uint64_t *out_lines, struct err *err)
{
	struct directory_sink *d = of(s);
	int rc;

	*out_lines = 0;
	if (mkdir(d->path, DIRECTORY_MODE) != 0 && errno != EEXIST)
		return err_sys(err, "%s", d->path);
	d->dir = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->dir < 0)
		return err_sys(err, "%s", d->path);
	rc = check_apart(d, err);
	if (rc == 0)
		rc = copy_key(d, err);
	if (rc == 0) {
		d->checkpoints_fd = open_file(d, AUDIT_CHECKPOINTS_FILE, err);
		rc = d->checkpoints_fd < 0 ? d->checkpoints_fd : 0;
	}
	return rc;
}

static int
enter_segment(struct directory_sink *d, uint64_t segment, struct err *err)
{
	char name[AUDIT_SEGMENT_NAME_BYTES];
	struct stat st;

	if (d->segment_fd >= 0 && d->segment == segment)
		return 0;
	if (d->segment_fd >= 0) {
		if (fdatasync(d->segment_fd) != 0)
			return err_sys(err, "cannot flush the copy");
		(void)close(d->segment_fd); /* flushed */
	}
	d->segment_fd = open_file(d, audit_segment_name(segment, name), err);
	if (d->segment_fd < 0)
		return d->segment_fd;
	if (fstat(d->segment_fd, &st) != 0)
		return err_sys(err, "cannot read the copy");
	d->segment = segment;
	d->size = (uint64_t)st.st_size;
	return 0;
}

/* Only the last segment of a copy may grow. */
static bool
is_last(const struct directory_sink *d)
{
	char name[AUDIT_SEGMENT_NAME_BYTES];

	return faccessat(d->dir, audit_segment_name(d->segment + 1, name), F_OK,
		   AT_SYMLINK_NOFOLLOW) != 0;
}

static int
has_more(const struct directory_sink *d, struct err *err)
{
	return err_set(err, ERR_INVALID,
	    "%s has lines that the log has not: see verify --against", d->path);
}

/* Appends as much of it as is not there: the copy may have been killed within a line. */
static int
directory_line(struct audit_sink *s, const struct audit_reader *at, struct str line,
    struct err *err)
{
	struct directory_sink *d = of(s);
	uint64_t start = at->offset - line.len - 1;
	struct str rest;
	int rc = enter_segment(d, at->segment, err);

	d->passed = at->offset;
	if (rc != 0 || d->size >= at->offset)
		return rc;
	if (d->size < start)
		return err_set(
		    err, ERR_INVALID, "%s: a part of it is missing", d->path);
	if (!is_last(d))
		return has_more(d, err);
	rest = str_slice(line, d->size - start, line.len);
	rc = append(d->segment_fd, rest, err);
	if (rc == 0)
		rc = append(d->segment_fd, STR("\n"), err);
	if (rc == 0)
		d->size = at->offset;
	d->dirty = true;
	return rc;
}

static int
directory_checkpoint(struct audit_sink *s, struct str note, struct err *err)
{
	struct directory_sink *d = of(s);
	int rc = 0;

	if (d->segment_fd >= 0 && (d->size > d->passed || !is_last(d)))
		rc = has_more(d, err);
	if (rc == 0)
		rc = append(d->checkpoints_fd, note, err);
	if (rc == 0 && fdatasync(d->checkpoints_fd) != 0)
		rc = err_sys(err, "cannot flush the copy");
	return rc;
}

static int
directory_settle(struct audit_sink *s, uint64_t lines, struct err *err)
{
	struct directory_sink *d = of(s);

	(void)lines; /* the files say it */
	if (!d->dirty)
		return 0;
	if (fdatasync(d->segment_fd) != 0 || fsync(d->dir) != 0)
		return err_sys(err, "cannot flush the copy");
	d->dirty = false;
	return 0;
}

static void
close_one(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd); /* what counts is flushed */
	*fd = -1;
}

static void
directory_close(struct audit_sink *s)
{
	struct directory_sink *d = of(s);

	close_one(&d->segment_fd);
	close_one(&d->checkpoints_fd);
	close_one(&d->dir);
}

static void
directory_free(struct audit_sink *s)
{
	directory_close(s);
	free(of(s));
}

struct audit_sink *
audit_sink_directory(const char *path, int source)
{
	static const struct audit_sink_ops ops = {
	    .open = directory_open,
	    .line = directory_line,
	    .checkpoint = directory_checkpoint,
	    .settle = directory_settle,
	    .close = directory_close,
	    .free = directory_free,
	};
	struct directory_sink *d = xcalloc(1, sizeof(*d));

	d->sink.ops = &ops;
	d->path = path;
	d->source = source;
	d->dir = d->segment_fd = d->checkpoints_fd = -1;
	return &d->sink;
}
