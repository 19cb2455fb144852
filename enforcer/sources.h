/*
 * Directories that are watched: tells when one may have changed. inotify tells at once;
 * a slow look at names, sizes and times is the safety net for what it does not see (network
 * file systems, links to elsewhere, a directory that comes back).
 */
#ifndef ENFORCER_SOURCES_H
#define ENFORCER_SOURCES_H

#include <uv.h>

#include "common/err.h"

struct sources;

/* Called for a directory once changes have settled (50 ms of quiet, 500 ms at most), and
 * once for each at the start. Watches are in place before it is called, so that nothing
 * that happens during or after it is missed. */
typedef void (*sources_changed_fn)(void *arg, size_t index);

/* `directories` must stay while the sources do. */
MUST_CHECK int sources_new(uv_loop_t *loop, const char *const *directories,
    size_t count, sources_changed_fn changed, void *arg, struct sources **out_sources,
    struct err *err);
/* NULL is fine. */
void sources_free(struct sources *s);

#endif
