/*
 * Writes what became of native documents into their status: one thread, of whichever gate holds the
 * Lease; a document only when its conditions have changed, and not many in a second.
 */
#ifndef AUTHN_STATUS_WRITER_H
#define AUTHN_STATUS_WRITER_H

#include "authn/policy/policy_watch.h"

struct status_writer_settings {
	struct str user;            /* in whose name it writes; "": nobody does */
	struct str lease_namespace; /* of the Lease "ringfence-status" */
};

/* Starts it, and the watch of NodeReports; both never end. The settings are borrowed for ever. */
MUST_CHECK int status_writer_start(struct policy_watch *watch,
    const struct worker_settings *settings, const struct status_writer_settings *own,
    struct err *err);

#endif
