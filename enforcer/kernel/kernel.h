/*
 * The kernel role: the one process with CAP_NET_ADMIN. It parses no policy and no packet:
 * it takes batches of typed operations for our own table from the engine, checks each, and
 * applies them; it reads the table back; it owns the NFLOG group.
 */
#ifndef ENFORCER_KERNEL_H
#define ENFORCER_KERNEL_H

#include "common/proc.h"

/* A proc_role's run. */
int kernel_role_run(struct proc_channel *parent, const int *fds, size_t fd_count);

#endif
