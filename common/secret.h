/*
 * Secrets: memory that is locked, left out of core dumps, wiped when freed, and
 * compared in constant time. Never print one.
 */
#ifndef COMMON_SECRET_H
#define COMMON_SECRET_H

#include "common/err.h"
#include "common/str.h"

#define SECRET_FILE_BYTES (64u * 1024) /* the largest secret in a file */

/* {0} is the empty secret. */
struct secret {
	uint8_t *data; /* NULL when empty */
	size_t len;
	size_t mapped; /* private */
};

/* Copies `len` bytes into *s, which holds nothing yet (the caller wipes its own
 * copy). Locking is best effort: RLIMIT_MEMLOCK may forbid it. On failure *s is empty. */
MUST_CHECK int secret_set(
    struct secret *s, const void *data, size_t len, struct err *err);
/*
 * Reads a file into *s, which holds nothing yet: at most SECRET_FILE_BYTES, one trailing
 * newline removed. ERR_DENIED for a file that others may read (mode & 0077) unless it is
 * world-readable on purpose (`allow_open`), or root's and readable for the group that is ours
 * alone, as kubelets make them for one who is not root, and (unless `allow_open`) for one that
 * is neither root's nor ours, all as the opened file says; ERR_LIMIT if it is too large;
 * ERR_INVALID if it is empty or no regular file: an empty password is no password, and
 * some directories take it for an anonymous login. On failure *s is empty.
 */
MUST_CHECK int secret_read_file(
    struct secret *s, const char *path, bool allow_open, struct err *err);
/* Opens such a file for somebody else to read, with the same rules but for the emptiness; the
 * caller closes it. -1 on failure. */
MUST_CHECK int secret_open_file(
    const char *path, bool allow_open, int *out_fd, struct err *err);
/* Wipes and frees; the empty secret is fine. */
void secret_free(struct secret *s);
/* A view, borrowed until secret_free. */
MUST_CHECK struct str secret_str(const struct secret *s);

/* Constant time in the contents (not in the lengths). */
MUST_CHECK bool secret_equal(const void *a, size_t a_len, const void *b, size_t b_len);
/* Overwrites memory in a way that the compiler keeps. */
void secret_wipe(void *data, size_t len);
/* Cryptographic randomness; ends the process if the kernel has none. */
void secret_random(void *out, size_t len);

#endif
