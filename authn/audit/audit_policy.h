/*
 * How much of a request is recorded: an audit.k8s.io/v1 Policy, whose namespaces may be paths
 * of the tree too. The first rule that fits decides; none: Metadata. What must be on record is
 * recorded whatever it says: a change, and whatever was refused, at Metadata at least. Pure.
 */
#ifndef AUTHN_AUDIT_POLICY_H
#define AUTHN_AUDIT_POLICY_H

#include "authn/request/requestinfo.h"
#include "common/diag.h"

enum audit_level {
	AUDIT_LEVEL_NONE,     /* for reads that were allowed */
	AUDIT_LEVEL_METADATA, /* no bodies */
	AUDIT_LEVEL_REQUEST,  /* and the body of the request */
	AUDIT_LEVEL_RESPONSE, /* and that of the answer */
};

struct audit_policy;

/* Reads the one Policy of a source. NULL after errors, which are diagnostics. */
MUST_CHECK const struct audit_policy *audit_policy_load(
    struct arena *arena, const struct source *source, struct diag_list *diags);

struct audit_policy_question {
	const struct request_info *info;
	struct str tenant; /* path of the namespace in the tree */
	struct str user;
	const struct str *groups;
	size_t group_count;
};

/* `policy` NULL: Metadata. Never more than Metadata for what is all secret: tokens, reviews
 * of tokens, certificate requests, streams. */
MUST_CHECK enum audit_level audit_policy_level(
    const struct audit_policy *policy, const struct audit_policy_question *question);
/* "Metadata", "Request", ... */
const char *audit_level_name(enum audit_level level);

#endif
