/*
 * What a user may do through the gate: Access, and beyond it the scopes of his token, what is open
 * to everyone signed in, and what a request across namespaces comes to. Pure; the gate
 * decides by it, and `ringfence can-i` answers by it.
 */
#ifndef AUTHN_RIGHTS_H
#define AUTHN_RIGHTS_H

#include "authn/request/identity.h"
#include "authn/request/requestinfo.h"
#include "policy-lang/evaluate/access.h"

struct rights {
	const struct model *model;
	const struct access_levels *levels;
	struct access_subject subject;
	const struct identity *id; /* whose scopes count; NULL: none do */
};

/* The request as Access sees it. */
MUST_CHECK struct access_request rights_question(const struct request_info *info);

/* Access and scopes, for one question as it is. */
MUST_CHECK struct access_verdict rights_ask(
    const struct rights *r, const struct access_request *question);

/* ... where it is allowed. */
MUST_CHECK struct access_extent rights_extent(
    const struct rights *r, const struct request_info *info, struct arena *scratch);

/* Any request. *out_extent: everywhere, unless it is one across namespaces. */
MUST_CHECK struct access_verdict rights_decide(const struct rights *r,
    const struct request_info *info, struct arena *scratch,
    struct access_request *out_question, struct access_extent *out_extent);

#endif
