/*
 * The writer of the audit log. Two things hold at any instant, whatever fails: the files
 * up to `synced` are what the tree `synced_tree` says, and the checkpoint on disk covers a
 * prefix of that. So lines reach the disk before the checkpoint that signs them, and what
 * a checkpoint may cover already is never cut.
 */
#include "common/audit_internal.h"

#include <fcntl.h>
#include <seccomp.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/audit_key.h"
#include "common/limits.h"
#include "common/log.h"

#define MAX_NESTING 1024

/* renameat: libc's renameat2 without flags. */
const int audit_syscalls[] = {SCMP_SYS(openat), SCMP_SYS(fsync), SCMP_SYS(fdatasync),
    SCMP_SYS(ftruncate), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(unlinkat),
    -1};

/* ---- lines ---- */

bool
audit_log_is_object_line(struct str s)
{
	unsigned char closers[MAX_NESTING];
	size_t depth = 0;
	bool in_string = false;

	if (s.len < 2 || s.ptr[0] != '{')
		return false;
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c < 0x20)
			return false;
		if (in_string) {
			/* What follows a backslash is no quote; and no control byte either,
			 * which the next round would not see. */
			if (c == '\\' &&
			    (++i == s.len || (unsigned char)s.ptr[i] < 0x20))
				return false;
			if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (depth == MAX_NESTING)
				return false;
			closers[depth++] = c == '{' ? '}' : ']';
		} else if (c == '}' || c == ']') {
			if (depth == 0 || closers[--depth] != c)
				return false;
			if (depth == 0)
				return i == s.len - 1;
		}
	}
	return false;
}

int
audit_append(struct audit_log *log, struct str line, struct err *err)
{
	uint8_t leaf[AUDIT_HASH_BYTES];

	if (line.len > LIMIT_AUDIT_LINE_BYTES)
		return err_set(err, ERR_LIMIT,
		    "an audit event of %zu bytes; the limit is %u", line.len,
		    LIMIT_AUDIT_LINE_BYTES);
	if (line.len + 1 > LIMIT_AUDIT_PENDING_BYTES - log->pending.len)
		return err_set(
		    err, ERR_LIMIT, "too many audit events wait for the disk");
	if (!audit_log_is_object_line(line))
		return err_set(err, ERR_INVALID,
		    "an audit event that is not one JSON object on one line");
	buf_add_str(&log->pending, line);
	buf_add_char(&log->pending, '\n');
	audit_leaf_hash(line, leaf);
	audit_tree_add(&log->tree, leaf);
	return 0;
}

/* ---- the checkpoint ---- */

static bool
checkpoint_due(const struct audit_log *log)
{
	return log->interval_ms == 0 ||
	       monotime_since(log->checkpoint_time, monotime_now()) / NS_PER_MS >=
		   log->interval_ms;
}

int
audit_log_flush_directory(struct audit_log *log, struct err *err)
{
	log->directory_unsure = fsync(log->dirfd) != 0;
	return log->directory_unsure ? err_sys(err, "cannot flush the directory") : 0;
}

int
audit_log_write_checkpoint(
    struct audit_log *log, const struct audit_tree *tree, struct err *err)
{
	struct audit_checkpoint checkpoint = {
	    .origin = str_from(log->key.name), .size = tree->size};
	struct buf text = {0};
	struct buf note = {0};
	int rc;

	audit_tree_root(tree, checkpoint.root);
	audit_checkpoint_format(&text, &checkpoint);
	rc = audit_note_sign(&note, buf_str(&text), &log->key, &log->signer, err);
	if (rc == 0)
		rc = audit_store_write(log->dirfd, AUDIT_CHECKPOINT_FILE,
		    AUDIT_PUBLIC_MODE, true, buf_str(&note), err);
	if (rc == 0) {
		log->covered = tree->size;
		log->checkpoint_time = monotime_now();
		(void)audit_log_flush_directory(log, NULL); /* see above */
	}
	buf_free(&text);
	buf_free(&note);
	return rc;
}

/* ---- indexes ---- */

void
audit_log_write_index(const struct audit_log *log, uint64_t segment, struct str data)
{
	char name[AUDIT_SEGMENT_NAME_BYTES];
	struct err err = ERR_INIT;

	if (audit_store_write(log->dirfd, audit_index_name(segment, name),
		AUDIT_SEGMENT_MODE, true, data, &err) != 0)
		log_warn("audit-index-failed", "segment=%llu error=%s",
		    (unsigned long long)segment, log_quote(str_from(err.msg)));
}

/* The segment is full: what is in it will not change. */
static void
seal_segment(struct audit_log *log, uint64_t segment)
{
	struct buf data = {0};

	audit_index_finish(&log->index, &data);
	audit_log_write_index(log, segment, buf_str(&data));
	audit_index_begin(&log->index, log->synced_tree.size);
	buf_free(&data);
}

static void
index_pending(struct audit_log *log)
{
	struct str rest = buf_str(&log->pending);

	while (rest.len != 0) {
		struct str line = str_split(&rest, '\n');

		audit_index_add(&log->index, line);
	}
}

/* ---- writing ---- */

int
audit_log_open_segment(
    struct audit_log *log, uint64_t number, int flags, struct err *err)
{
	char name[AUDIT_SEGMENT_NAME_BYTES];
	int fd = audit_store_open(log->dirfd, audit_segment_name(number, name),
	    O_WRONLY | flags, AUDIT_SEGMENT_MODE, err);

	if (fd < 0)
		return fd;
	if (log->fd >= 0)
		(void)close(log->fd); /* everything in it is flushed */
	log->fd = fd;
	log->segment = number;
	log->synced = 0;
	return (flags & O_CREAT) != 0 ? audit_log_flush_directory(log, err) : 0;
}

/* Finishes what an earlier failure left behind: until then nothing may be added. */
static int
settle(struct audit_log *log, struct err *err)
{
	if (log->tail_unsure && ftruncate(log->fd, (off_t)log->synced) != 0)
		return err_sys(err, "cannot cut the audit log back");
	log->tail_unsure = false;
	return log->directory_unsure ? audit_log_flush_directory(log, err) : 0;
}

static int
write_pending(struct audit_log *log, struct err *err)
{
	if (log->synced > 0 && log->synced + log->pending.len > log->segment_bytes) {
		int rc = audit_log_open_segment(
		    log, log->segment + 1, O_CREAT | O_EXCL, err);

		if (rc != 0)
			return rc;
		seal_segment(log, log->segment - 1);
	}
	if (audit_store_write_at(log->fd, log->synced, buf_str(&log->pending), err) !=
	    0)
		return ERR_SYSTEM;
	if (fdatasync(log->fd) != 0)
		return err_sys(err, "cannot flush");
	return 0;
}

/* A flush that failed may have lost pages and will not say so again: what it was about
 * is cut off and forgotten, never flushed a second time. */
static void
give_up_pending(struct audit_log *log)
{
	log->tail_unsure = ftruncate(log->fd, (off_t)log->synced) != 0;
	log->tree = log->synced_tree;
	buf_clear(&log->pending);
}

int
audit_sync(struct audit_log *log, struct err *err)
{
	int rc = settle(log, err);

	if (rc == 0 && log->pending.len != 0)
		rc = write_pending(log, err);
	if (rc == 0 && log->covered != log->tree.size && checkpoint_due(log))
		rc = audit_log_write_checkpoint(log, &log->tree, err);
	if (rc != 0) {
		give_up_pending(log);
		(void)err_wrap(err, "audit log"); /* rc is the code */
		return rc;
	}
	log->synced += log->pending.len;
	log->synced_tree = log->tree;
	index_pending(log);
	buf_clear(&log->pending);
	return 0;
}

uint64_t
audit_size(const struct audit_log *log)
{
	return log->synced_tree.size;
}

void
audit_root(const struct audit_log *log, uint8_t out_root[AUDIT_HASH_BYTES])
{
	audit_tree_root(&log->synced_tree, out_root);
}

/* ---- the end ---- */

void
audit_close(struct audit_log *log)
{
	struct err err = ERR_INIT;

	if (log == NULL)
		return;
	if (log->covered != log->synced_tree.size &&
	    audit_log_write_checkpoint(log, &log->synced_tree, &err) != 0)
		log_warn("audit-checkpoint-failed", "error=%s",
		    log_quote(str_from(err.msg)));
	if (log->fd >= 0)
		(void)close(log->fd); /* flushed */
	if (log->dirfd >= 0)
		(void)close(log->dirfd); /* and so the lock is gone */
	if (log->owns_signer)
		audit_key_close(&log->signer);
	buf_free(&log->pending);
	audit_index_fini(&log->index);
	free(log);
}
