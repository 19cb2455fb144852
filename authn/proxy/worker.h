/*
 * The worker role: everything between a client's TLS connection and the API server. It
 * parses what the network sends and holds no file, no directory password and no token
 * but those that it is shown.
 */
#ifndef AUTHN_WORKER_H
#define AUTHN_WORKER_H

#include "authn/proxy/worker_settings.h"
#include "common/proc.h"

/* Runs until it has drained or the monitor is gone; `fds` are in the order of enum
 * worker_fd. Returns the exit status. A proc_role. */
int worker_run(struct proc_channel *monitor, const int *fds, size_t fd_count);

#endif
