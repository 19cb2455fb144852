#include "common/audit_scan.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/audit.h"
#include "common/audit_store.h"

#define ENOUGH 2 /* besides 0 and errors: nobody wants more */

static bool
is_of_size(const struct audit_reader *r, uint64_t segment, uint64_t bytes)
{
	char name[AUDIT_SEGMENT_NAME_BYTES];
	struct stat st;

	return fstatat(r->dirfd, audit_segment_name(segment, name), &st,
		   AT_SYMLINK_NOFOLLOW) == 0 &&
	       (uint64_t)st.st_size == bytes;
}

/* The index of a segment that is full; false if there is none to be used. `data` holds
 * its bytes. */
static bool
load_index(const struct audit_scan *scan, const struct audit_reader *r,
    uint64_t segment, uint64_t first_line, struct buf *data, struct audit_index *out)
{
	char name[AUDIT_SEGMENT_NAME_BYTES];
	struct err err = ERR_INIT;
	int rc;

	if (scan->no_index || segment + 1 >= r->segment_count)
		return false;
	rc = audit_index_load(r->dirfd, segment, first_line, data, out, &err);
	if (rc == ERR_NOT_FOUND)
		return false;
	if (rc == 0 && !is_of_size(r, segment, out->segment_bytes))
		rc = err_set(&err, ERR_INVALID, "%s is not of its segment",
		    audit_index_name(segment, name));
	if (rc != 0 && scan->complain != NULL)
		scan->complain(scan->arg, err.msg);
	return rc == 0;
}

/* Lines up to that offset of the segment that the reader is in. */
static int
read_until(
    struct audit_scan *scan, struct audit_reader *r, uint64_t end, struct err *err)
{
	struct str line;
	int rc = 1;

	while (r->offset < end && (rc = audit_reader_next_within(r, &line, err)) == 1) {
		scan->bytes_read += line.len + 1;
		if (!scan->each(scan->arg, r->lines - 1, line))
			return ENOUGH;
	}
	return rc == 1 ? 0 : rc;
}

static int
scan_blocks(struct audit_scan *scan, struct audit_reader *r, uint64_t segment,
    const struct audit_index *index, struct err *err)
{
	uint64_t lines = index->first_line;
	int rc = 0;

	for (uint32_t i = 0; i < index->count && rc == 0; i++) {
		struct audit_index_block block;

		audit_index_block(index, i, &block);
		if (!audit_index_may(&block, &scan->probe)) {
			scan->bytes_passed += block.end - block.start;
			lines += block.lines;
			continue;
		}
		if (r->fd < 0 || r->segment != segment || r->offset != block.start)
			rc = audit_reader_seek(r, segment, block.start, lines, err);
		if (rc == 0)
			rc = read_until(scan, r, block.end, err);
		lines += block.lines;
	}
	r->lines = lines;
	return rc;
}

static int
scan_segment(struct audit_scan *scan, struct audit_reader *r, uint64_t segment,
    struct buf *data, struct err *err)
{
	char name[AUDIT_SEGMENT_NAME_BYTES];
	struct audit_index index;
	int rc;

	if (load_index(scan, r, segment, r->lines, data, &index))
		return scan_blocks(scan, r, segment, &index, err);
	rc = audit_reader_seek(r, segment, 0, r->lines, err);
	if (rc == 0)
		rc = read_until(scan, r, UINT64_MAX, err);
	if (rc == 0 && r->start != r->end && segment + 1 < r->segment_count)
		rc = err_set(err, ERR_INVALID, "%s ends within a line",
		    audit_segment_name(segment, name));
	return rc;
}

int
audit_scan(struct audit_scan *scan, struct err *err)
{
	int dirfd = open(scan->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct buf data = {0};
	struct audit_reader r;
	int rc;

	if (dirfd < 0)
		return err_sys(err, "%s", scan->directory);
	rc = audit_reader_init(&r, dirfd, err);
	for (uint64_t segment = 0; segment < r.segment_count && rc == 0; segment++)
		rc = scan_segment(scan, &r, segment, &data, err);
	audit_reader_fini(&r);
	buf_free(&data);
	(void)close(dirfd); /* read only */
	if (rc == ENOUGH)
		return 0;
	if (rc != 0)
		(void)err_wrap(err, "%s", scan->directory); /* rc is the code */
	return rc;
}

int
audit_read(const char *directory,
    bool (*each)(void *arg, uint64_t index, struct str line), void *arg,
    struct err *err)
{
	struct audit_scan scan = {
	    .directory = directory, .no_index = true, .each = each, .arg = arg};

	return audit_scan(&scan, err);
}
