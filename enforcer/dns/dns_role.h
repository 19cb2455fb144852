/*
 * The role that forwards DNS: workloads ask it, it asks the configured resolvers, and an
 * answer with addresses goes back once the engine says that the kernel knows them. It
 * parses what workloads and the network bring, so it has no privilege, no file, and
 * nothing to say but what answers teach.
 */
#ifndef ENFORCER_DNS_ROLE_H
#define ENFORCER_DNS_ROLE_H

#include "common/proc.h"

/* A proc_role's run; `fds`: a UDP socket and a listening TCP socket for each address. */
int dns_role_run(struct proc_channel *parent, const int *fds, size_t fd_count);

#endif
