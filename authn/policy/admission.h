/*
 * AdmissionReview (admission.k8s.io/v1): what an API server asks a validating webhook, judged by the
 * ledger of budgets. Pure but for the ledger.
 */
#ifndef AUTHN_ADMISSION_H
#define AUTHN_ADMISSION_H

#include "authn/budget/budget.h"

#define ADMISSION_BODY_BYTES (16u * 1024 * 1024) /* an object twice, and its frame */

/* What is counted of it. */
enum admission_result {
	ADMISSION_MALFORMED, /* no answer: HTTP 400, and the API server fails the request */
	ADMISSION_ALLOWED,
	ADMISSION_DENIED,
	ADMISSION_UNKNOWN /* denied for now: what exists is not known */
};

/* Judges one review and appends the answer's body; with ADMISSION_MALFORMED, why it is none. */
MUST_CHECK enum admission_result admission_review(struct budget_ledger *ledger,
    const struct budget_plan *plan, struct str body, monotime_t now, struct buf *out);

/* The answer to a review that cannot be judged now, and why. */
MUST_CHECK enum admission_result admission_unknown(
    struct str body, const char *message, struct buf *out);

/* resourceVersion as a number; false for what is none. */
MUST_CHECK bool admission_version(const json_t *object, uint64_t *out_version);

/* Namespace, name, uid and version of an object's metadata (a Namespace is in itself), and
 * what it comes to, in `amounts` of key_count places. False if it cannot be read. */
MUST_CHECK bool admission_object(const struct budget_plan *plan, size_t kind,
    const json_t *object, uint64_t *amounts, struct budget_object *out_object,
    const char **out_why);

#endif
