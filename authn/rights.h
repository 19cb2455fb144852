/*
 * What a user may do through the gate: Access, and beyond it the scopes of his token, what is open
 * to everyone signed in, and what a request across namespaces comes to. Pure; the gate
 * decides by it, and `ringfence can-i` answers by it.
 */
#ifndef AUTHN_RIGHTS_H
#define AUTHN_RIGHTS_H

#include "authn/identity.h"
#include "authn/requestinfo.h"
#include "policy-lang/access.h"

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

/* One request in one place. *out_question is the one that decided: exec and its like
 * need the right to create, whatever the method is. */
MUST_CHECK struct access_verdict rights_judge(const struct rights *r,
    const struct request_info *info, struct access_request *out_question);

/* A list or watch that is not limited to one namespace. */
MUST_CHECK bool rights_is_across(const struct request_info *info);
/* ... where it is allowed. */
MUST_CHECK struct access_extent rights_extent(
    const struct rights *r, const struct request_info *info, struct arena *scratch);
/* ... and what it comes to: allowed where it would show something. */
MUST_CHECK struct access_verdict rights_judge_across(const struct rights *r,
    const struct request_info *info, const struct access_extent *extent,
    struct access_request *out_question);

/* Any request. *out_extent: everywhere, unless it is one across namespaces. */
MUST_CHECK struct access_verdict rights_decide(const struct rights *r,
    const struct request_info *info, struct arena *scratch,
    struct access_request *out_question, struct access_extent *out_extent);

#endif
