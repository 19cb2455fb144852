/*
 * SelfSubjectRulesReview: of the API server's list of rules, what Access allows too. Pure.
 */
#ifndef AUTHN_REVIEW_RULES_H
#define AUTHN_REVIEW_RULES_H

#include "authn/request/identity.h"
#include "policy-lang/evaluate/access_pattern.h"

#define REVIEW_RULES_BYTES (1024u * 1024) /* of an API server's answer */

/* Where and of whom. */
struct review_subject {
	const struct identity *id;
	const struct ns *level;
	struct str namespace;
};

/*
 * Appends the answer with the rules that both agree on. Where an exception cuts into a rule
 * of the API server's, its parts are listed as far as they can be, and the list is marked as
 * incomplete: it never says more than is allowed. False: the answer cannot be read.
 */
MUST_CHECK bool review_rules_intersect(
    struct str answer, const struct review_subject *subject, struct buf *out);

#endif
