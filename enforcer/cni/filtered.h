/*
 * Whether what a container sends passes where policy is: the forward hook of the node. What is
 * switched by a bridge passes it only with br_netfilter; what goes out by an interface that has no
 * end on the node, never.
 */
#ifndef ENFORCER_CNI_FILTERED_H
#define ENFORCER_CNI_FILTERED_H

#include "enforcer/cni/request.h"

/* False: it does not, or that cannot be told; `why` (CNI_TEXT_BYTES) says what is the matter.
 * Enters the container's network namespace, and comes back. */
MUST_CHECK bool cni_is_filtered(
    const struct cni_request *r, const char *netns, char *why);

#endif
