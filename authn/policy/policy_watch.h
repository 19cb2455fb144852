/*
 * The policy that there is: the files that the gate was told, and the objects of the API servers,
 * which threads watch; and a thread that judges reviews in it, one after the other.
 *
 * What is refused because of something that is not there (an ExternalNetwork that was written a
 * moment ago, perhaps by way of another gate) is held for a moment, and judged again when the
 * watches have told more.
 */
#ifndef AUTHN_POLICY_WATCH_H
#define AUTHN_POLICY_WATCH_H

#include <uv.h>

#include "authn/budget/budget_share.h"
#include "authn/proxy/worker_settings.h"
#include "common/bundle.h"

struct policy_watch;

/* Starts the threads, which ask as `settings->lists_as`, borrowed for ever. `done` is called on
 * the loop with what was asked. */
MUST_CHECK int policy_watch_start(uv_loop_t *loop,
    const struct worker_settings *settings,
    void (*done)(void *arg, struct budget_review *review), void *arg,
    struct policy_watch **out_watch, struct err *err);
/* The files, from now on; a sealed bundle, which stays the caller's. */
MUST_CHECK int policy_watch_files(
    struct policy_watch *w, int bundle_fd, struct err *err);
/* Takes the review, which is malloc'ed and has its body. */
void policy_watch_ask(struct policy_watch *w, struct budget_review *review);
/* True once every kind has been listed. */
MUST_CHECK bool policy_watch_synced(const struct policy_watch *w);
/* Appends members of a JSON object, with a comma before each. */
void policy_watch_status(const struct policy_watch *w, struct buf *out);

#endif
