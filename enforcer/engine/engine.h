/*
 * The engine: the process that understands policy. Unprivileged, in an empty root; it gets
 * bundles of files from the parent, makes programs of them, asks the kernel role to put
 * them in force, joins logged packets to them, and answers questions.
 */
#ifndef ENFORCER_ENGINE_H
#define ENFORCER_ENGINE_H

#include "common/proc.h"

/* A proc_role's run. */
int engine_role_run(struct proc_channel *parent, const int *fds, size_t fd_count);

#endif
