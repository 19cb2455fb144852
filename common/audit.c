/*
 * The writer of the audit log. Two things hold at any instant, whatever fails: the files
 * up to `synced` are what the tree `synced_tree` says, and the checkpoint on disk covers a
 * prefix of that. So lines reach the disk before the checkpoint that signs them, and what
 * a checkpoint may cover already is never cut.
 */
#include "common/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/audit_key.h"
#include "common/audit_note.h"
#include "common/audit_store.h"
#include "common/audit_tree.h"
#include "common/clock.h"
#include "common/limits.h"
#include "common/log.h"

#define SEGMENT_BYTES_DEFAULT (UINT64_C(64) * 1024 * 1024)
#define DIRECTORY_MODE        0750
#define SEGMENT_MODE          0640
#define PUBLIC_MODE           0644
#define MAX_NESTING           1024
#define NS_PER_MS             1000000u

struct audit_log {
	int dirfd; /* holds the lock */
	int fd;    /* the last segment */
	uint64_t segment;
	uint64_t segment_bytes;
	uint64_t synced; /* bytes of the last segment that are on disk */
	struct buf pending;
	struct audit_tree tree; /* with what is pending */
	struct audit_tree synced_tree;
	uint64_t covered;      /* lines that the checkpoint signs */
	bool tail_unsure;      /* bytes beyond `synced` could not be cut off */
	bool directory_unsure; /* a name in it could not be flushed */
	unsigned interval_ms;
	monotime_t checkpoint_time;
	struct audit_key key;
	struct audit_signer signer;
	bool owns_signer;
};

/* renameat: libc's renameat2 without flags. */
const int audit_syscalls[] = {SCMP_SYS(openat), SCMP_SYS(fsync), SCMP_SYS(fdatasync),
    SCMP_SYS(ftruncate), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(unlinkat),
    -1};

/* ---- lines ---- */

/* True if s is one JSON object as far as brackets and strings tell: cheap enough for
 * every request, and enough to keep an event from swallowing the next one. */
static bool
is_object_line(struct str s)
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
	if (!is_object_line(line))
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

static int
flush_directory(struct audit_log *log, struct err *err)
{
	log->directory_unsure = fsync(log->dirfd) != 0;
	return log->directory_unsure ? err_sys(err, "cannot flush the directory") : 0;
}

/* Signs the tree. On failure the old checkpoint is in place. Once the new one has its
 * name, lines that it covers may no longer be cut: a failure to flush the name is
 * therefore kept for the next call and is none of this one. */
static int
write_checkpoint(struct audit_log *log, const struct audit_tree *tree, struct err *err)
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
		rc = audit_store_write(log->dirfd, AUDIT_CHECKPOINT_FILE, PUBLIC_MODE,
		    true, buf_str(&note), err);
	if (rc == 0) {
		log->covered = tree->size;
		log->checkpoint_time = monotime_now();
		(void)flush_directory(log, NULL); /* see above */
	}
	buf_free(&text);
	buf_free(&note);
	return rc;
}

/* ---- writing ---- */

static int
open_segment(struct audit_log *log, uint64_t number, int flags, struct err *err)
{
	char name[AUDIT_SEGMENT_NAME_BYTES];
	int fd = audit_store_open(log->dirfd, audit_segment_name(number, name),
	    O_WRONLY | flags, SEGMENT_MODE, err);

	if (fd < 0)
		return fd;
	if (log->fd >= 0)
		(void)close(log->fd); /* everything in it is flushed */
	log->fd = fd;
	log->segment = number;
	log->synced = 0;
	return (flags & O_CREAT) != 0 ? flush_directory(log, err) : 0;
}

/* Finishes what an earlier failure left behind: until then nothing may be added. */
static int
settle(struct audit_log *log, struct err *err)
{
	if (log->tail_unsure && ftruncate(log->fd, (off_t)log->synced) != 0)
		return err_sys(err, "cannot cut the audit log back");
	log->tail_unsure = false;
	return log->directory_unsure ? flush_directory(log, err) : 0;
}

static int
write_pending(struct audit_log *log, struct err *err)
{
	if (log->synced > 0 && log->synced + log->pending.len > log->segment_bytes) {
		int rc = open_segment(log, log->segment + 1, O_CREAT | O_EXCL, err);

		if (rc != 0)
			return rc;
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
		rc = write_checkpoint(log, &log->tree, err);
	if (rc != 0) {
		give_up_pending(log);
		(void)err_wrap(err, "audit log"); /* rc is the code */
		return rc;
	}
	log->synced += log->pending.len;
	log->synced_tree = log->tree;
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

/* ---- opening ---- */

static int
open_directory(struct audit_log *log, const char *path, struct err *err)
{
	if (mkdir(path, DIRECTORY_MODE) != 0 && errno != EEXIST)
		return err_sys(err, "cannot make it");
	log->dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (log->dirfd < 0)
		return err_sys(err, "cannot open it");
	if (flock(log->dirfd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return err_set(err, ERR_EXISTS, "another writer has it open");
	return err_sys(err, "cannot lock it");
}

/* What the directory says already: the public key and the checkpoint, if any. */
struct found {
	struct buf public_key; /* empty: none */
	struct buf note;       /* empty: none */
	struct audit_checkpoint checkpoint;
	uint64_t segment_count;
	uint64_t end; /* of the last complete line, in the last segment */
	bool cut;     /* bytes follow it that are to be cut off */
};

static int
read_if_any(struct audit_log *log, const char *name, struct buf *out, struct err *err)
{
	int rc = audit_store_read(log->dirfd, name, LIMIT_AUDIT_NOTE_BYTES, out, err);

	return rc == ERR_NOT_FOUND ? 0 : rc;
}

/* A new key is made for a new log only: an old log under a new key would prove
 * nothing about its past. */
static int
open_key_file(struct audit_log *log, const struct audit_options *options,
    const struct found *found, struct err *err)
{
	struct buf path = {0};
	int rc;

	if (options->key_path != NULL)
		buf_add_cstr(&path, options->key_path);
	else
		buf_printf(&path, "%s/" AUDIT_KEY_FILE, options->directory);
	rc = audit_key_open(path.data, &log->signer, err);
	if (rc == ERR_NOT_FOUND && found->public_key.len == 0 && found->note.len == 0 &&
	    found->segment_count == 0) {
		rc = audit_key_create(path.data, err);
		if (rc == 0)
			rc = audit_key_open(path.data, &log->signer, err);
	}
	log->owns_signer = rc == 0;
	buf_free(&path);
	return rc;
}

static int
open_key(struct audit_log *log, const struct audit_options *options,
    const struct found *found, struct err *err)
{
	struct audit_key public_key;
	int rc = 0;

	if (options->signer != NULL)
		log->signer = *options->signer;
	else
		rc = open_key_file(log, options, found, err);
	if (rc == 0)
		rc = audit_key_init(
		    &log->key, str_from(options->origin), log->signer.public_key, err);
	if (rc != 0 || found->public_key.len == 0)
		return rc;
	rc = audit_key_parse(&public_key, buf_str(&found->public_key), err);
	if (rc != 0)
		return err_wrap(err, AUDIT_PUBLIC_KEY_FILE);
	if (!audit_key_eq(&public_key, &log->key))
		return err_set(err, ERR_INVALID,
		    AUDIT_PUBLIC_KEY_FILE " is of another key or origin (%s)",
		    public_key.name);
	return 0;
}

static int
check_checkpoint(struct audit_log *log, struct found *found, struct err *err)
{
	struct str text;
	int rc = audit_note_open(buf_str(&found->note), &log->key, &text, err);

	if (rc == 0)
		rc = audit_checkpoint_parse(&found->checkpoint, text, err);
	if (rc == 0 && !str_is(found->checkpoint.origin, log->key.name))
		rc = err_set(err, ERR_INVALID, "of another log");
	if (rc == 0)
		return 0;
	(void)err_wrap(err, AUDIT_CHECKPOINT_FILE);
	if (err != NULL)
		err->code = ERR_INVALID;
	return ERR_INVALID;
}

static int
check_root(struct audit_log *log, const struct found *found, struct err *err)
{
	uint8_t root[AUDIT_HASH_BYTES];

	audit_tree_root(&log->tree, root);
	if (memcmp(root, found->checkpoint.root, sizeof(root)) == 0)
		return 0;
	return err_set(err, ERR_INVALID,
	    "the first %llu lines are not those that were signed",
	    (unsigned long long)found->checkpoint.size);
}

/* Adds a line to the tree. False if what is there is no line that was ever synced: a
 * crash of the machine may leave blocks at the end that were never written. */
static bool
take_line(struct audit_log *log, const struct found *found, struct str line)
{
	uint8_t leaf[AUDIT_HASH_BYTES];

	if (log->tree.size >= found->checkpoint.size && !is_object_line(line))
		return false;
	audit_leaf_hash(line, leaf);
	audit_tree_add(&log->tree, leaf);
	return true;
}

/* Rebuilds the tree from the lines and finds where the complete ones end. */
static int
read_lines(struct audit_log *log, struct found *found, struct err *err)
{
	uint64_t end_segment = 0;
	struct audit_reader r;
	struct str line;
	int rc = audit_reader_init(&r, log->dirfd, err);

	while (rc == 0 && (rc = audit_reader_next(&r, &line, err)) == 1) {
		found->cut = !take_line(log, found, line);
		rc = 0;
		if (found->cut)
			break;
		end_segment = r.segment;
		found->end = r.offset;
		if (log->tree.size == found->checkpoint.size)
			rc = check_root(log, found, err);
	}
	if (rc == ERR_LIMIT) {
		found->cut = log->tree.size >= found->checkpoint.size;
		rc = found->cut ? 0 : ERR_INVALID;
	}
	found->cut |= r.torn;
	if (rc == 0 && found->cut && r.segment + 1 != r.segment_count)
		rc = err_set(err, ERR_INVALID, "line %llu is damaged",
		    (unsigned long long)log->tree.size + 1);
	if (end_segment + 1 != r.segment_count)
		found->end = 0; /* there is no line in the last segment */
	audit_reader_fini(&r);
	return rc;
}

/* Everything that may refuse comes before the first change. */
static int
inspect(struct audit_log *log, const struct audit_options *options, struct found *found,
    struct err *err)
{
	int rc = audit_store_segments(log->dirfd, &found->segment_count, err);

	if (rc == 0)
		rc = read_if_any(log, AUDIT_PUBLIC_KEY_FILE, &found->public_key, err);
	if (rc == 0)
		rc = read_if_any(log, AUDIT_CHECKPOINT_FILE, &found->note, err);
	if (rc == 0)
		rc = open_key(log, options, found, err);
	if (rc == 0 && found->note.len != 0)
		rc = check_checkpoint(log, found, err);
	if (rc == 0)
		rc = read_lines(log, found, err);
	if (rc != 0)
		return rc;
	if (log->tree.size < found->checkpoint.size)
		return err_set(err, ERR_INVALID,
		    "%llu of %llu lines that were signed are gone",
		    (unsigned long long)(found->checkpoint.size - log->tree.size),
		    (unsigned long long)found->checkpoint.size);
	/* The first checkpoint precedes the first line. */
	if (found->note.len == 0 && log->tree.size != 0)
		return err_set(err, ERR_INVALID,
		    "there are lines, but the checkpoint that signs them is missing");
	return 0;
}

static int
open_last_segment(struct audit_log *log, const struct found *found, struct err *err)
{
	int rc;

	if (found->segment_count == 0)
		return open_segment(log, 0, O_CREAT | O_EXCL, err);
	rc = open_segment(log, found->segment_count - 1, 0, err);
	if (rc != 0)
		return rc;
	log->synced = found->end;
	if (!found->cut)
		return 0;
	log_warn("audit-tail-cut", "segment=%llu bytes=%llu",
	    (unsigned long long)log->segment, (unsigned long long)log->synced);
	if (ftruncate(log->fd, (off_t)log->synced) != 0 || fsync(log->fd) != 0)
		return err_sys(err, "cannot cut off a torn line");
	return 0;
}

/* Lines that a killed writer left may be in the page cache only: they are flushed before
 * they are signed. */
static int
prepare(struct audit_log *log, const struct found *found, struct err *err)
{
	struct buf text = {0};
	int rc = 0;

	if (found->public_key.len == 0) {
		audit_key_format(&text, &log->key);
		buf_add_char(&text, '\n');
		rc = audit_store_write(log->dirfd, AUDIT_PUBLIC_KEY_FILE, PUBLIC_MODE,
		    false, buf_str(&text), err);
		buf_free(&text);
	}
	log->covered = found->checkpoint.size;
	log->checkpoint_time = monotime_now();
	if (rc == 0 && found->note.len == 0)
		rc = write_checkpoint(log, &log->tree, err);
	if (rc == 0)
		rc = open_last_segment(log, found, err);
	if (rc == 0 && fdatasync(log->fd) != 0)
		rc = err_sys(err, "cannot flush");
	if (rc == 0 && log->covered != log->tree.size)
		rc = write_checkpoint(log, &log->tree, err);
	if (rc == 0)
		rc = flush_directory(log, err);
	return rc;
}

int
audit_open(
    const struct audit_options *options, struct audit_log **out_log, struct err *err)
{
	struct audit_log *log = xcalloc(1, sizeof(*log));
	struct found found = {0};
	int rc;

	*out_log = NULL;
	log->dirfd = log->fd = -1;
	log->interval_ms = options->checkpoint_interval_ms;
	log->segment_bytes = options->segment_bytes != 0 ? options->segment_bytes
							 : SEGMENT_BYTES_DEFAULT;
	rc = open_directory(log, options->directory, err);
	if (rc == 0)
		rc = inspect(log, options, &found, err);
	if (rc == 0)
		rc = prepare(log, &found, err);
	log->synced_tree = log->tree;
	buf_free(&found.public_key);
	buf_free(&found.note);
	if (rc != 0) {
		log->covered = log->tree.size; /* nothing to sign */
		audit_close(log);
		(void)err_wrap(
		    err, "audit log %s", options->directory); /* rc is the code */
		return rc;
	}
	*out_log = log;
	return 0;
}

void
audit_close(struct audit_log *log)
{
	struct err err = ERR_INIT;

	if (log == NULL)
		return;
	if (log->covered != log->synced_tree.size &&
	    write_checkpoint(log, &log->synced_tree, &err) != 0)
		log_warn("audit-checkpoint-failed", "error=%s",
		    log_quote(str_from(err.msg)));
	if (log->fd >= 0)
		(void)close(log->fd); /* flushed */
	if (log->dirfd >= 0)
		(void)close(log->dirfd); /* and so the lock is gone */
	if (log->owns_signer)
		audit_key_close(&log->signer);
	buf_free(&log->pending);
	free(log);
}
