/*
 * The command `flows`: what there is, and with --follow what comes, past restarts of the
 * daemon.
 */
#ifndef ENFORCER_CLIENT_FOLLOW_H
#define ENFORCER_CLIENT_FOLLOW_H

#include "enforcer/client/client_options.h"

/* Returns the exit status. */
MUST_CHECK int client_follow_run(const struct client_options *c);

#endif
