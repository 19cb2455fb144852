/*
 * Who may write policy where: `owners` of a namespace of the tree, and nobody else, write at and
 * below it. Pure.
 */
#ifndef AUTHN_POLICY_AUTHORITY_H
#define AUTHN_POLICY_AUTHORITY_H

#include "authn/policy/admission_wire.h"
#include "authn/policy/policy_objects.h"
#include "policy-lang/model/model.h"

/*
 * NULL if the user may; else why not, in the arena. The tree is the one before the change. Where
 * nobody above has owners, it is the API server's permissions alone that count. A native
 * Namespace is written at its path, old and new, and where the Kubernetes namespaces are that it
 * takes. Members of system:masters, who could take the webhook away, and the API server's own
 * cleaners are not asked.
 */
MUST_CHECK const char *policy_authority(struct arena *arena, const struct model *model,
    const struct policy_resource *kind, const struct admission_asked *asked);

/* A deletion by one of Kubernetes' controllers that clean up: of a namespace, or of what lost its
 * owner. Refusing it would leave the namespace there for ever. */
MUST_CHECK bool policy_is_cleaner(const struct admission_asked *asked);

#endif
