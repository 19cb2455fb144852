/*
 * The kube role: one for each cluster that is a source. It speaks to the API server, keeps
 * what policy depends on, and tells the engine of it as the parent tells of a directory:
 * first all, once all is known, then what changes. It alone has what the server lets in.
 */
#ifndef ENFORCER_KUBE_ROLE_H
#define ENFORCER_KUBE_ROLE_H

#include "common/proc.h"

MUST_CHECK int kube_role_run(
    struct proc_channel *parent, const int *fds, size_t fd_count);

#endif
