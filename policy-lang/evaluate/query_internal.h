/* Between query*.c only. */
#ifndef POLICY_LANG_QUERY_INTERNAL_H
#define POLICY_LANG_QUERY_INTERNAL_H

#include "policy-lang/evaluate/query.h"

/* The destination that a name is to a source; in the arena. `learnt` is the model's, to be
 * written to where the name is not known; NULL: only what is known counts. False: why is
 * appended. */
MUST_CHECK bool query_find_name(struct arena *arena, const struct model *m,
    struct learnt *learnt, const struct endpoint *src, struct str text,
    struct endpoint *out_end, struct buf *why);

#endif
