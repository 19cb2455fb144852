/*
 * The client's connection to the control socket.
 */
#ifndef ENFORCER_CLIENT_LINK_H
#define ENFORCER_CLIENT_LINK_H

#include <sys/types.h>

#include "enforcer/client/client_options.h"

/* Connects and asks; the socket, or -1, and told why, if that cannot be. */
MUST_CHECK int client_ask(const struct client_options *c, const struct buf *question);
/* The same; errno says why, and nothing is told. */
MUST_CHECK int client_try(const struct client_options *c, const struct buf *question);
/* What there is, 0 at the end, and -1, which is told, if it broke. */
MUST_CHECK ssize_t client_read(
    const struct client_options *c, int fd, char *chunk, size_t size);

#endif
