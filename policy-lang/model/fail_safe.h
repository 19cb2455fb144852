/*
 * Fail-safe ports: what stays open at a node whatever policy for it says, so that no
 * mistake locks out who has to mend it, or the node out of its cluster.
 */
#ifndef POLICY_LANG_FAIL_SAFE_H
#define POLICY_LANG_FAIL_SAFE_H

#include "policy-lang/model/model.h"

#define FAIL_SAFE_MOST 64 /* entries of one direction */

/* SSH, DHCP, BGP, etcd, the API server, kubelets; outwards DNS as well. Static. */
MUST_CHECK struct fail_safe fail_safe_default(void);
/* A copy in the arena. */
MUST_CHECK struct fail_safe fail_safe_copy(
    struct arena *arena, const struct fail_safe *safe);
/* "22/tcp" or "2379-2380/tcp". */
MUST_CHECK bool fail_safe_parse(struct str text, struct fail_safe_port *out_port);
/* True if the port is one of the direction's. */
MUST_CHECK bool fail_safe_has(
    const struct fail_safe *safe, enum direction dir, uint8_t proto, uint16_t port);

#endif
