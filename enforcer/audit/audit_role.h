/*
 * The audit role: the one writer of the enforcer's audit log. Takes lines from the
 * engine, writes them in groups, and says when they are on disk.
 */
#ifndef ENFORCER_AUDIT_ROLE_H
#define ENFORCER_AUDIT_ROLE_H

#include "common/proc.h"

/* A proc_role's run. */
int audit_role_run(struct proc_channel *parent, const int *fds, size_t fd_count);

#endif
