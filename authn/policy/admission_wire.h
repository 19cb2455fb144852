/*
 * AdmissionReview (admission.k8s.io/v1) on the wire: what is asked, and the answer. Pure.
 */
#ifndef AUTHN_ADMISSION_WIRE_H
#define AUTHN_ADMISSION_WIRE_H

#include <jansson.h>

#include "common/str.h"

/* Texts and objects are borrowed from the review; "" and NULL: absent. */
struct admission_asked {
	struct str uid, group, resource, subresource, namespace, operation;
	struct str kind, name, user;
	bool dry_run;
	const json_t *groups; /* of the user: strings, if they are any */
	json_t *object, *old_object;
};

/* False if it is none. */
MUST_CHECK bool admission_asked_read(const json_t *review, struct admission_asked *out);

struct admission_answer {
	bool allowed;
	int code; /* of the refusal, with a reason that Kubernetes knows */
	const char *reason;
	struct str message;
	const json_t *details;  /* of the refusal; NULL: none */
	const json_t *warnings; /* an array; NULL: none */
};

void admission_answer_print(
    struct buf *out, struct str uid, const struct admission_answer *answer);

#endif
