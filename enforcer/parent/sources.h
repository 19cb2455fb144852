/*
 * Directories that are watched: tells which files of one may have changed. inotify tells at
 * once; a slow look at names, sizes and times is the safety net for what it does not see
 * (network file systems, links to elsewhere, a directory that comes back).
 */
#ifndef ENFORCER_SOURCES_H
#define ENFORCER_SOURCES_H

#include <uv.h>

#include "common/err.h"

struct sources;

/* Beyond so many files it is the whole directory that has changed. */
#define SOURCES_NAMES_MOST 2000

struct sources_change {
	bool whole; /* anything in it may be another: no names */
	/* Files, as bundle_read names them, that are there and may be others, or are there
	 * no more. Only names of policy files. */
	const char *const *names;
	size_t count;
};

/* Called for a directory once changes have settled (50 ms of quiet, 500 ms at most), and
 * once for each, whole, at the start. Watches are in place before it is called, so that
 * nothing that happens during or after it is missed. */
typedef void (*sources_changed_fn)(
    void *arg, size_t index, const struct sources_change *change);

/* `directories` must stay while the sources do. Where there is no inotify left for us, changes
 * are seen by looking, about every second. */
void sources_new(uv_loop_t *loop, const char *const *directories, size_t count,
    sources_changed_fn changed, void *arg, struct sources **out_sources);
/* Files of a directory that could not be read, or all of it (NULL): the next look takes them for
 * changed. */
void sources_again(
    struct sources *s, size_t index, const char *const *names, size_t count);
/* NULL is fine. */
void sources_free(struct sources *s);

#endif
