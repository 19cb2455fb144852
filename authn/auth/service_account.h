/*
 * Service accounts: identities that no person logs in to. An owner of a node of the tree declares
 * one there; as a user it is called "serviceaccount:" and its path, which no directory and no
 * certificate can give (':' and '/' are in no name of theirs). Whatever Access says, it acts at
 * and below its node only, and only while whoever made its token is an owner there. Pure.
 */
#ifndef AUTHN_SERVICE_ACCOUNT_H
#define AUTHN_SERVICE_ACCOUNT_H

#include "authn/request/identity.h"
#include "policy-lang/evaluate/access.h"

#define SERVICE_ACCOUNT_PREFIX "serviceaccount:"
#define SERVICE_PATH_BYTES     253

/* Whether that can be the path of one: the steps of a node's path, and a name like them. */
MUST_CHECK bool service_path_ok(struct str path);
/* The node of a path that is ok: "/" at least. */
MUST_CHECK struct str service_path_node(struct str path);
/* The path in the name of a user; "" for who is none. */
MUST_CHECK struct str service_account_path(struct str user);

/* Whether some of the groups own the node of that path, or one above. */
MUST_CHECK bool service_node_owned(const struct model *m, struct str node,
    const struct str *groups, size_t group_count);
/* Whether a user may be judged where a request is (`level` of access_decide): everyone but a service
 * account anywhere. `id`: its token, whose maker counts; NULL: nobody stands for it. */
MUST_CHECK bool service_account_at_home(struct str user, const struct identity *id,
    const struct access_request *request, const struct ns *level);

#endif
