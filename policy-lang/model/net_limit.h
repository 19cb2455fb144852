/*
 * Limits of the network: what of Quota documents holds at a namespace, in one place for the
 * compiler, `explain` and the lints.
 *
 * A limit holds at each node, for the workloads of the subtree there together. A new
 * connection is charged to the workload that opens it, to that one's namespace and to all
 * above; a packet's bytes to whom it leaves, and to whom it comes in. Of several limits of
 * one kind at one namespace the lowest holds.
 */
#ifndef POLICY_LANG_NET_LIMIT_H
#define POLICY_LANG_NET_LIMIT_H

#include "policy-lang/model/model.h"

/* As in documents: "connectionsPerSecond". */
MUST_CHECK const char *net_limit_name(enum net_limit kind);
/* Per 1,000 seconds, a count, or bytes per second; QUOTA_UNSET: none, or more than a kernel
 * can be told, which is as good as none. */
MUST_CHECK uint64_t net_limit_value(const struct quota *q, enum net_limit kind);
/* NETLIM_RATE: connections that may come at once. */
MUST_CHECK uint64_t net_limit_burst(const struct quota *q);
/* How much of it is kept for workloads each by itself, in percent. */
MUST_CHECK uint64_t net_limit_percent(const struct quota *q);
/* The quota whose limit holds at the namespace itself; NULL. */
MUST_CHECK const struct quota *net_limit_at(const struct ns *ns, enum net_limit kind);
/* The nearest namespace from this one upwards that has such a limit; NULL. */
MUST_CHECK const struct ns *net_limit_from(const struct ns *ns, enum net_limit kind);
/* Whether it has one; whether any namespace does. */
MUST_CHECK bool net_limit_has(const struct quota *q);
MUST_CHECK bool net_limit_any(const struct model *m);

#endif
