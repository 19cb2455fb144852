/*
 * Connection tracking through ctnetlink: what connections there are, and the end of some
 * of them. Runs in the kernel role.
 */
#ifndef ENFORCER_CONNTRACK_H
#define ENFORCER_CONNTRACK_H

#include "common/err.h"
#include "enforcer/wire/connection.h"

struct conntrack;

/* Opens its sockets; before confinement. */
MUST_CHECK int conntrack_open(struct conntrack **out_conntrack, struct err *err);
void conntrack_close(struct conntrack *c);

/*
 * Lists connections, some at each call: at most CONNECTIONS_MOST into `out_list`;
 * `first` begins anew. *out_done: that was the end. Left out is what the node has with
 * itself, which policy never judges, and what is neither IPv4 nor IPv6.
 */
MUST_CHECK int conntrack_list(struct conntrack *c, bool first,
    struct connection *out_list, size_t *out_count, bool *out_done, struct err *err);
/* Ends connections that were listed. out_done[i]: it was ended; if not, it had ended
 * already, or another has taken its place. */
MUST_CHECK int conntrack_end(struct conntrack *c, const struct connection *list,
    size_t count, bool *out_done, struct err *err);
/* Makes known, as established, TCP connections that are under way: their `src`, `dst` and
 * ports. out_done[i]: it was; if not, it is known already, and stays as it is. */
MUST_CHECK int conntrack_adopt(struct conntrack *c, const struct connection *list,
    size_t count, bool *out_done, struct err *err);

#endif
