/*
 * The body of GET /ringfence/v1/whoami. Pure.
 */
#ifndef AUTHN_API_WHOAMI_H
#define AUTHN_API_WHOAMI_H

#include "authn/request/identity.h"
#include "policy-lang/model/model.h"

/* Appends one JSON object and a newline: user, uid, groups, namespaces (where some
 * Access document allows this user something), token, and the limits there. */
void api_whoami_json(
    struct buf *out, const struct identity *id, const struct model *model);

/* Parts of it, for other answers: "key":[...], and the limits that hold at a node. */
void api_add_strings(
    struct buf *out, const char *key, const struct str *list, size_t count);
void api_add_quota(struct buf *out, const struct ns *ns);
void api_add_limits(struct buf *out, const char *key, const struct quota_limits *l);
/* True if some Access document at that node allows the user something. */
MUST_CHECK bool api_has_access(const struct ns *ns, const struct identity *id);

#endif
