/*
 * Self reviews: what a client asks about itself with SelfSubjectAccessReview and
 * SelfSubjectRulesReview, in JSON or protobuf, and the gate's part of the answer. Pure.
 */
#ifndef AUTHN_REVIEW_H
#define AUTHN_REVIEW_H

#include "authn/request/requestinfo.h"
#include "common/arena.h"

enum review_kind {
	REVIEW_NONE,
	REVIEW_ACCESS,
	REVIEW_RULES,
	REVIEW_SUBJECT, /* who am I: the API server's affair alone */
};

struct review {
	/* the request that is asked about; of REVIEW_RULES the namespace alone */
	struct request_info about;
};

MUST_CHECK enum review_kind review_kind_of(const struct request_info *info);

enum review_problem {
	REVIEW_OK,
	REVIEW_MEDIA, /* 415 */
	REVIEW_MALFORMED,
};

/* Reads a body; strings live in the arena or in `body`. */
MUST_CHECK enum review_problem review_parse(struct arena *arena, enum review_kind kind,
    struct str content_type, struct str body, struct review *out_review);

/* The answer that says no. `denied`: a rule does, rather than that none allows it. */
void review_refusal(struct buf *out, const struct request_info *info,
    const struct review *review, struct str reason, bool denied);

#endif
