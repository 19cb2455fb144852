/*
 * AdmissionReviews about policy: what `ringfence check` would refuse is refused in its words, what it
 * warns of is a warning, and who writes must be an owner of where it stands. Pure.
 */
#ifndef AUTHN_POLICY_REVIEW_H
#define AUTHN_POLICY_REVIEW_H

#include "authn/policy/admission.h"
#include "policy-lang/live/amend.h"

struct policy_reviewed {
	enum admission_result result;
	unsigned warnings;
	/* Refused for what another object may mend, which may be under way. */
	bool may_settle;
};

/* Judges one review in the tree that there is, and appends the answer's body. Without a tree
 * (NULL) it is refused for now. */
void policy_review(struct amend_base *tree, struct str body, struct buf *out,
    struct policy_reviewed *out_reviewed);

#endif
