/*
 * Opening an audit log: what is there is read and judged first, and changed only once
 * nothing speaks against it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/audit_internal.h"
#include "common/audit_key.h"
#include "common/limits.h"
#include "common/log.h"

#define SEGMENT_BYTES_DEFAULT (UINT64_C(64) * 1024 * 1024)
#define DIRECTORY_MODE        0750

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

/* An index that a full segment has not got, because the writer was killed before. */
struct missing_index {
	struct missing_index *next;
	uint64_t segment;
	struct buf data;
};

/* What the directory says already: the public key and the checkpoint, if any. */
struct found {
	struct missing_index *missing;
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
	if (audit_checkpoint_open(
		&found->checkpoint, buf_str(&found->note), &log->key, err) == 0)
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

	if (log->tree.size >= found->checkpoint.size && !audit_log_is_object_line(line))
		return false;
	audit_leaf_hash(line, leaf);
	audit_tree_add(&log->tree, leaf);
	return true;
}

/* The reader has come to another segment: the index of the one before is complete, and
 * kept if there is none on disk. */
static void
leave_segment(struct audit_log *log, struct found *found, uint64_t segment)
{
	char name[AUDIT_SEGMENT_NAME_BYTES];
	struct missing_index *m;
	struct stat st;

	if (fstatat(log->dirfd, audit_index_name(segment, name), &st,
		AT_SYMLINK_NOFOLLOW) != 0) {
		m = xcalloc(1, sizeof(*m));
		m->segment = segment;
		audit_index_finish(&log->index, &m->data);
		m->next = found->missing;
		found->missing = m;
	}
	audit_index_begin(&log->index, log->tree.size);
	found->end = 0; /* no line of the next one yet */
}

static void
write_missing_indexes(const struct audit_log *log, const struct found *found)
{
	for (const struct missing_index *m = found->missing; m != NULL; m = m->next)
		audit_log_write_index(log, m->segment, buf_str(&m->data));
}

static void
found_fini(struct found *found)
{
	while (found->missing != NULL) {
		struct missing_index *m = found->missing;

		found->missing = m->next;
		buf_free(&m->data);
		free(m);
	}
	buf_free(&found->public_key);
	buf_free(&found->note);
}

/* Rebuilds the tree from the lines and finds where the complete ones end. */
static int
read_lines(struct audit_log *log, struct found *found, struct err *err)
{
	uint64_t end_segment = 0;
	struct audit_reader r;
	struct str line;
	int rc = audit_reader_init(&r, log->dirfd, err);

	audit_index_begin(&log->index, 0);
	while (rc == 0 && (rc = audit_reader_next(&r, &line, err)) == 1) {
		for (; end_segment != r.segment; end_segment++)
			leave_segment(log, found, end_segment);
		found->cut = !take_line(log, found, line);
		rc = 0;
		if (found->cut)
			break;
		audit_index_add(&log->index, line);
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
	/* There may be no line in the last segment. */
	for (; rc == 0 && end_segment + 1 < r.segment_count; end_segment++)
		leave_segment(log, found, end_segment);
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
		return audit_log_open_segment(log, 0, O_CREAT | O_EXCL, err);
	rc = audit_log_open_segment(log, found->segment_count - 1, 0, err);
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
		rc = audit_store_write(log->dirfd, AUDIT_PUBLIC_KEY_FILE,
		    AUDIT_PUBLIC_MODE, false, buf_str(&text), err);
		buf_free(&text);
	}
	log->covered = found->checkpoint.size;
	log->checkpoint_time = monotime_now();
	if (rc == 0 && found->note.len == 0)
		rc = audit_log_write_checkpoint(log, &log->tree, err);
	if (rc == 0)
		rc = open_last_segment(log, found, err);
	if (rc == 0 && fdatasync(log->fd) != 0)
		rc = err_sys(err, "cannot flush");
	if (rc == 0 && log->covered != log->tree.size)
		rc = audit_log_write_checkpoint(log, &log->tree, err);
	if (rc == 0)
		write_missing_indexes(log, found);
	if (rc == 0)
		rc = audit_log_flush_directory(log, err);
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
	found_fini(&found);
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
