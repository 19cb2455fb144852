/*
 * Keeps up with one kind of objects at the API servers, for ever: a thread that lists in pages,
 * then watches from there; what is odd is listed again. Servers are asked in turn, each time
 * after a failure the next.
 */
#ifndef AUTHN_KIND_WATCH_H
#define AUTHN_KIND_WATCH_H

#include <jansson.h>

#include "authn/proxy/worker_settings.h"

struct kind_watch_target {
	struct str group, resource; /* borrowed for ever */
	const char *version;        /* NULL: the group's preferred one */
	bool may_be_absent;         /* a kind that is not served has no objects */
};

/* Called on the thread. */
struct kind_watch_handler {
	/* All objects come now; what does not come until list_end is no more. A list that fails
	 * begins again. */
	void (*list_begin)(void *arg, size_t kind);
	/* One is there, or is gone; items of lists have neither kind nor apiVersion. False: it
	 * cannot be read. */
	bool (*object)(void *arg, size_t kind, const json_t *object, bool gone);
	void (*list_end)(void *arg, size_t kind);
	/* The watch was heard, and has told all until now. */
	void (*heard)(void *arg, size_t kind);
};

/* Asks as `settings->lists_as`; settings, handler and arg are borrowed for ever. `kind` is what the
 * handler is told. */
MUST_CHECK int kind_watch_start(const struct worker_settings *settings,
    const struct kind_watch_target *target, size_t kind,
    const struct kind_watch_handler *handler, void *arg, struct err *err);

#endif
