/*
 * TokenReview, for API servers that ask whose token it is instead of standing behind the
 * gate (webhook token authentication). Pure but for the caller's question.
 */
#ifndef AUTHN_API_TOKENREVIEW_H
#define AUTHN_API_TOKENREVIEW_H

#include "authn/request/identity.h"
#include "common/secret.h"

struct token_review {
	const char *api_version; /* static: the one that was asked in */
	struct secret token;
};

/* Reads a body. On success the caller frees the token; false: no TokenReview. */
MUST_CHECK bool token_review_parse(struct str body, struct token_review *out_review);

/* The answer: `id` NULL is nobody. A token that is limited to scopes is nobody's here: the
 * API server could not keep to them. */
void token_review_answer(
    struct buf *out, const struct token_review *review, const struct identity *id);

#endif
