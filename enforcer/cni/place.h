/*
 * Files of one directory, replaced as wholes.
 */
#ifndef ENFORCER_CNI_PLACE_H
#define ENFORCER_CNI_PLACE_H

#include <sys/types.h>

#include "common/err.h"
#include "common/str.h"

/* Opens a directory; the caller closes it. */
MUST_CHECK int place_open(const char *path, int *out_directory, struct err *err);
/* Reads a regular file of at most `most` bytes behind what is in *out. ERR_NOT_FOUND. */
MUST_CHECK int place_read(int directory, const char *name, size_t most, struct buf *out,
    mode_t *out_mode, struct err *err);
/* Writes another file, which takes its place once it is on disk. */
MUST_CHECK int place_write(
    int directory, const char *name, struct str data, mode_t mode, struct err *err);
MUST_CHECK int place_rename(
    int directory, const char *from, const char *to, struct err *err);
/* What is not there is removed. */
MUST_CHECK int place_remove(int directory, const char *name, struct err *err);

#define PLACE_NAMES_MOST 256

/* The files that a runtime would take for configuration, in its order: *.conf, *.conflist,
 * *.json. On the heap, to be freed with place_free_names. */
struct place_names {
	char *names[PLACE_NAMES_MOST];
	size_t count;
};

MUST_CHECK int place_list(int directory, struct place_names *out, struct err *err);
void place_free_names(struct place_names *n);

#endif
