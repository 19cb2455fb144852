/*
 * The files of an audit log, for audit.c and audit_verify.c: small files written
 * durably, the list of segments, and a reader of lines over all of them. Knows
 * nothing of trees and signatures. Everything is relative to a directory descriptor, in
 * which no symbolic link is followed; AT_FDCWD stands for paths that a person gave, where
 * they are. Regular files only.
 */
#ifndef COMMON_AUDIT_STORE_H
#define COMMON_AUDIT_STORE_H

#include <sys/types.h>

#include "common/err.h"
#include "common/str.h"

#define AUDIT_CHECKPOINT_FILE    "checkpoint"
#define AUDIT_CHECKPOINTS_FILE   "checkpoints" /* of a copy: one behind the other */
#define AUDIT_PUBLIC_KEY_FILE    "key.pub"
#define AUDIT_KEY_FILE           "key"
#define AUDIT_SEGMENT_NAME_BYTES 32

/* Opens for openat(2) flags `flags`; the descriptor, or ERR_NOT_FOUND, ERR_EXISTS,
 * ERR_INVALID (not a regular file), ERR_SYSTEM. */
MUST_CHECK int audit_store_open(
    int dirfd, const char *name, int flags, mode_t mode, struct err *err);
/* Appends the whole file to `out`; ERR_LIMIT if it is longer than `max`. */
MUST_CHECK int audit_store_read(
    int dirfd, const char *name, size_t max, struct buf *out, struct err *err);
/*
 * Writes a file under a temporary name (`name`.tmp), flushes it and renames it, so that
 * there is the old one or the new one at any instant. `replace` false: ERR_EXISTS if
 * there is one. The name itself is durable after an fsync of the directory, which
 * is the caller's. On failure nothing changed.
 */
MUST_CHECK int audit_store_write(int dirfd, const char *name, mode_t mode, bool replace,
    struct str data, struct err *err);
/* Writes all of it at the offset. */
MUST_CHECK int audit_store_write_at(
    int fd, uint64_t offset, struct str data, struct err *err);

/* "log-N.jsonl" into `out` of AUDIT_SEGMENT_NAME_BYTES; returns it. */
const char *audit_segment_name(uint64_t number, char *out);
/* Counts the segments; they are 0 to count - 1. ERR_INVALID if one is missing. */
MUST_CHECK int audit_store_segments(int dirfd, uint64_t *out_count, struct err *err);

/* Reads lines in order, the segments numerically. */
struct audit_reader {
	int dirfd; /* borrowed */
	int fd;    /* -1: none open */
	uint64_t segment_count;
	uint64_t segment; /* of the last line */
	uint64_t offset;  /* in that segment, behind the last line */
	uint64_t lines;   /* read so far */
	bool torn;        /* at the end: bytes without a newline follow */
	char *buffer;
	size_t start, end;
};

/* Takes the list of segments as it is now. */
MUST_CHECK int audit_reader_init(struct audit_reader *r, int dirfd, struct err *err);
void audit_reader_fini(struct audit_reader *r);
/* 1 and a line without its newline, borrowed until the next call; 0 at the end;
 * ERR_INVALID for a segment that ends without a newline and is not the last; ERR_LIMIT for
 * a line longer than LIMIT_AUDIT_LINE_BYTES. */
MUST_CHECK int audit_reader_next(
    struct audit_reader *r, struct str *out_line, struct err *err);
/* As audit_reader_next, but 0 at the end of the segment that it is in. */
MUST_CHECK int audit_reader_next_within(
    struct audit_reader *r, struct str *out_line, struct err *err);
/* Goes on in that segment at that offset, where a line begins, as if `lines` lines had
 * come before. */
MUST_CHECK int audit_reader_seek(struct audit_reader *r, uint64_t segment,
    uint64_t offset, uint64_t lines, struct err *err);

#endif
