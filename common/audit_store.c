#include "common/audit_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/limits.h"

#define SEGMENT_PREFIX "log-"
#define SEGMENT_SUFFIX ".jsonl"
#define MAX_SEGMENT    UINT32_MAX
#define READ_BYTES     (256u * 1024)
#define READER_BYTES   (LIMIT_AUDIT_LINE_BYTES + READ_BYTES)

/* ---- small files ---- */

/* As err_sys, with a code of its own for two errnos that callers act on. */
static int
name_failed(const char *name, struct err *err)
{
	int saved = errno;
	int rc = err_sys(err, "%s", name);

	if (saved == ENOENT)
		rc = ERR_NOT_FOUND;
	else if (saved == EEXIST)
		rc = ERR_EXISTS;
	if (err != NULL)
		err->code = rc;
	return rc;
}

int
audit_store_open(int dirfd, const char *name, int flags, mode_t mode, struct err *err)
{
	/* O_NONBLOCK: a FIFO of that name must not make us wait. */
	int safe = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	struct stat st;
	int fd;

	if (dirfd != AT_FDCWD)
		safe |= O_NOFOLLOW;
	fd = openat(dirfd, name, flags | safe, mode);
	if (fd < 0)
		return name_failed(name, err);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	(void)close(fd); /* unused */
	return err_set(err, ERR_INVALID, "%s is not a regular file", name);
}

int
audit_store_read(
    int dirfd, const char *name, size_t max, struct buf *out, struct err *err)
{
	int fd = audit_store_open(dirfd, name, O_RDONLY, 0, err);
	char chunk[4096];
	size_t len = 0;
	ssize_t n;
	int rc = 0;

	if (fd < 0)
		return fd;
	while ((n = read(fd, chunk, sizeof(chunk))) != 0 && rc == 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			rc = err_sys(err, "%s", name);
		} else if ((size_t)n > max - len) {
			rc = err_set(
			    err, ERR_LIMIT, "%s: longer than %zu bytes", name, max);
		} else {
			buf_add(out, chunk, (size_t)n);
			len += (size_t)n;
		}
	}
	(void)close(fd); /* read only */
	return rc;
}

int
audit_store_write_at(int fd, uint64_t offset, struct str data, struct err *err)
{
	size_t done = 0;

	while (done < data.len) {
		ssize_t n = pwrite(
		    fd, data.ptr + done, data.len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "cannot write");
		done += (size_t)n;
	}
	return 0;
}

static int
write_new(int dirfd, const char *name, mode_t mode, struct str data, struct err *err)
{
	int fd = audit_store_open(dirfd, name, O_WRONLY | O_CREAT | O_EXCL, mode, err);
	int rc;

	if (fd < 0)
		return fd;
	rc = audit_store_write_at(fd, 0, data, err);
	if (rc == 0 && fsync(fd) != 0)
		rc = err_sys(err, "cannot flush");
	if (close(fd) != 0 && rc == 0)
		rc = err_sys(err, "cannot close");
	if (rc != 0)
		(void)err_wrap(err, "%s", name); /* rc is the code */
	return rc;
}

int
audit_store_write(int dirfd, const char *name, mode_t mode, bool replace,
    struct str data, struct err *err)
{
	unsigned flags = replace ? 0 : RENAME_NOREPLACE;
	char temporary[PATH_MAX];
	int rc = snprintf(temporary, sizeof(temporary), "%s.tmp", name);

	if (rc < 0 || (size_t)rc >= sizeof(temporary))
		return err_set(err, ERR_LIMIT, "%s: the path is too long", name);
	/* The one of a writer that was killed. We hold the lock: nobody else writes it. */
	if (unlinkat(dirfd, temporary, 0) != 0 && errno != ENOENT)
		return err_sys(err, "%s", temporary);
	rc = write_new(dirfd, temporary, mode, data, err);
	if (rc == 0 && renameat2(dirfd, temporary, dirfd, name, flags) != 0)
		rc = name_failed(name, err);
	if (rc != 0)
		(void)unlinkat(
		    dirfd, temporary, 0); /* the failure itself is reported */
	return rc;
}

/* ---- segments ---- */

const char *
audit_segment_name(uint64_t number, char *out)
{
	(void)snprintf(out, AUDIT_SEGMENT_NAME_BYTES,
	    SEGMENT_PREFIX "%llu" SEGMENT_SUFFIX, (unsigned long long)number);
	return out;
}

/* "log-7.jsonl" is one, "log-07.jsonl" and "log-7.jsonl.gz" are somebody else's. */
static bool
parse_segment_name(struct str name, uint64_t *out_number)
{
	size_t edges = strlen(SEGMENT_PREFIX) + strlen(SEGMENT_SUFFIX);

	return name.len > edges && str_starts(name, STR(SEGMENT_PREFIX)) &&
	       str_ends(name, STR(SEGMENT_SUFFIX)) &&
	       str_to_u64(str_slice(name, strlen(SEGMENT_PREFIX),
			      name.len - strlen(SEGMENT_SUFFIX)),
		   MAX_SEGMENT, out_number);
}

static int
first_missing(int dirfd, struct err *err)
{
	char name[AUDIT_SEGMENT_NAME_BYTES];
	uint64_t number = 0;
	struct stat st;

	while (fstatat(dirfd, audit_segment_name(number, name), &st,
		   AT_SYMLINK_NOFOLLOW) == 0)
		number++;
	return err_set(err, ERR_INVALID, "%s is missing", name);
}

int
audit_store_segments(int dirfd, uint64_t *out_count, struct err *err)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	uint64_t count = 0, beyond_last = 0, number;
	struct dirent *entry;
	int failure;

	*out_count = 0;
	if (dir == NULL) {
		int rc = err_sys(err, "cannot list the log");

		if (fd >= 0)
			(void)close(fd); /* nothing read */
		return rc;
	}
	for (errno = 0; (entry = readdir(dir)) != NULL; errno = 0) {
		if (!parse_segment_name(str_from(entry->d_name), &number))
			continue;
		count++;
		if (number >= beyond_last)
			beyond_last = number + 1;
	}
	failure = errno;
	(void)closedir(dir); /* read only */
	errno = failure;
	if (failure != 0)
		return err_sys(err, "cannot list the log");
	/* Names are unique: as many as the greatest number says, or one is missing. */
	if (count != beyond_last)
		return first_missing(dirfd, err);
	*out_count = count;
	return 0;
}

/* ---- lines ---- */

int
audit_reader_init(struct audit_reader *r, int dirfd, struct err *err)
{
	int rc;

	*r = (struct audit_reader){.dirfd = dirfd, .fd = -1};
	rc = audit_store_segments(dirfd, &r->segment_count, err);
	if (rc == 0)
		r->buffer = xmalloc(READER_BYTES);
	return rc;
}

void
audit_reader_fini(struct audit_reader *r)
{
	if (r->fd >= 0)
		(void)close(r->fd); /* read only */
	free(r->buffer);
	r->fd = -1;
	r->buffer = NULL;
}

static int
open_segment(struct audit_reader *r, struct err *err)
{
	char name[AUDIT_SEGMENT_NAME_BYTES];

	r->fd = audit_store_open(
	    r->dirfd, audit_segment_name(r->segment, name), O_RDONLY, 0, err);
	r->offset = 0;
	r->start = r->end = 0;
	return r->fd < 0 ? r->fd : 0;
}

/* Adds bytes behind those that are in the buffer; 1, 0 at the end of the segment, or
 * an error. */
static int
fill(struct audit_reader *r, struct err *err)
{
	ssize_t n;

	memmove(r->buffer, r->buffer + r->start, r->end - r->start);
	r->end -= r->start;
	r->start = 0;
	if (r->end > LIMIT_AUDIT_LINE_BYTES)
		return err_set(err, ERR_LIMIT, "line %llu is longer than %u bytes",
		    (unsigned long long)r->lines + 1, LIMIT_AUDIT_LINE_BYTES);
	do {
		n = read(r->fd, r->buffer + r->end, READER_BYTES - r->end);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(err, "cannot read the log");
	r->end += (size_t)n;
	return n > 0 ? 1 : 0;
}

/* At the end of a segment: opens the next one (1), or there is none (0). */
static int
next_segment(struct audit_reader *r, struct err *err)
{
	char name[AUDIT_SEGMENT_NAME_BYTES];
	int rc;

	if (r->start != r->end && r->segment + 1 < r->segment_count)
		return err_set(err, ERR_INVALID, "%s ends within a line",
		    audit_segment_name(r->segment, name));
	if (r->segment + 1 >= r->segment_count) {
		r->torn = r->start != r->end;
		return 0;
	}
	(void)close(r->fd); /* read only */
	r->segment++;
	rc = open_segment(r, err);
	return rc != 0 ? rc : 1;
}

int
audit_reader_next_within(struct audit_reader *r, struct str *out_line, struct err *err)
{
	size_t searched = 0;
	int rc;

	if (r->segment_count == 0)
		return 0;
	if (r->fd < 0 && (rc = open_segment(r, err)) != 0)
		return rc;
	for (;;) {
		const char *line = r->buffer + r->start;
		size_t len = r->end - r->start;
		const char *newline = memchr(line + searched, '\n', len - searched);

		if (newline != NULL) {
			*out_line = (struct str){line, (size_t)(newline - line)};
			break;
		}
		searched = len;
		rc = fill(r, err);
		if (rc <= 0)
			return rc;
	}
	if (out_line->len > LIMIT_AUDIT_LINE_BYTES)
		return err_set(err, ERR_LIMIT, "line %llu is longer than %u bytes",
		    (unsigned long long)r->lines + 1, LIMIT_AUDIT_LINE_BYTES);
	r->start += out_line->len + 1;
	r->offset += out_line->len + 1;
	r->lines++;
	return 1;
}

int
audit_reader_next(struct audit_reader *r, struct str *out_line, struct err *err)
{
	int rc = audit_reader_next_within(r, out_line, err);

	while (rc == 0 && r->segment_count != 0) {
		rc = next_segment(r, err);
		if (rc != 1)
			break;
		rc = audit_reader_next_within(r, out_line, err);
	}
	return rc;
}

int
audit_reader_seek(struct audit_reader *r, uint64_t segment, uint64_t offset,
    uint64_t lines, struct err *err)
{
	int rc = 0;

	if (r->fd >= 0 && r->segment != segment) {
		(void)close(r->fd); /* read only */
		r->fd = -1;
	}
	r->segment = segment;
	if (r->fd < 0)
		rc = open_segment(r, err);
	if (rc == 0 && lseek(r->fd, (off_t)offset, SEEK_SET) < 0)
		rc = err_sys(err, "cannot read the log");
	r->start = r->end = 0;
	r->offset = offset;
	r->lines = lines;
	return rc;
}
