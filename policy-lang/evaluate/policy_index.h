/*
 * Which policies of one level have a workload as their subject, without looking at all of
 * them: each policy is filed under the rarest label that its subject must bear.
 */
#ifndef POLICY_LANG_POLICY_INDEX_H
#define POLICY_LANG_POLICY_INDEX_H

#include "policy-lang/model/model.h"

struct policy_index;

/* Borrows the policies of `level`. */
MUST_CHECK struct policy_index *policy_index_new(const struct ns *level);
void policy_index_free(struct policy_index *index);
/* The policies whose subject is `w` (policy_applies), in evaluation order; in the arena. */
MUST_CHECK struct policy **policy_index_find(const struct policy_index *index,
    struct arena *a, const struct workload *w, size_t *out_count);

#endif
