/*
 * Which documents a change touches: policies, what people are granted, quotas, Routes. Told by
 * what they say, not by how they are written.
 */
#ifndef POLICY_LANG_DIFF_POLICY_H
#define POLICY_LANG_DIFF_POLICY_H

#include "policy-lang/model/model.h"

enum diff_change {
	DIFF_DOC_ADDED,
	DIFF_DOC_REMOVED,
	DIFF_DOC_CHANGED,
};

/* A policy, by kind, place and name. */
struct diff_document {
	enum diff_change change;
	const char *title; /* "NetworkPolicy shop/web" */
	/* As it was, as it is; NULL: it was not, or is not. */
	const struct policy *old, *new;
	bool differs[DIRECTION_COUNT]; /* it says something else there */
	struct loc loc; /* where it is written now; removed: where it was */
};

/* A sentence that one side has and the other has not: "group devs may get, list pods at
 * and below /acme", or a limit that changed. */
struct diff_sentence {
	enum diff_change change;
	const char *text;
	struct loc loc;
};

struct diff_documents {
	struct diff_document *policies; /* by title */
	size_t policy_count;
	struct diff_sentence *access; /* by text */
	size_t access_count;
	struct diff_sentence *quotas;
	size_t quota_count;
	struct diff_sentence *routes; /* what each Route is about, and each rule */
	size_t route_count;
};

/* In the arena; sorted. */
void diff_documents_find(struct arena *arena, const struct model *old_model,
    const struct model *new_model, struct diff_documents *out);

#endif
