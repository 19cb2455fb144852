/*
 * Sockets that the monitor opens for its roles, and directories that belong to them.
 */
#ifndef AUTHN_LISTEN_H
#define AUTHN_LISTEN_H

#include "authn/config/config.h"
#include "common/err.h"

/* A listening TCP socket; `shared`: one of several on the same address (SO_REUSEPORT). */
MUST_CHECK int listen_tcp(
    const struct gate_listen *address, bool shared, int *out_fd, struct err *err);
/* ERR_EXISTS if another program listens there. */
MUST_CHECK int listen_probe(const struct gate_listen *address, struct err *err);
/* A listening UNIX socket of mode 0600; one that nobody listens on any more is replaced. */
MUST_CHECK int listen_unix(const char *path, int *out_fd, struct err *err);
/* Makes the directory and its parents; it belongs to the user alone (uid 0: to us). ERR_DENIED for
 * one that is neither his, ours nor root's. */
MUST_CHECK int directory_prepare(
    const char *path, uint32_t uid, uint32_t gid, struct err *err);

#endif
