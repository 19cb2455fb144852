/*
 * Where port space has to be cut before it is asked about: at every port at which a rule
 * that may matter begins or ends. Too many cuts cost time, too few would be wrong.
 */
#ifndef POLICY_LANG_EXPLAIN_CUTS_H
#define POLICY_LANG_EXPLAIN_CUTS_H

#include "policy-lang/evaluate/query.h"

/* A bit for each port at which something may change. */
struct explain_cuts {
	uint64_t words[(UINT16_MAX + 1) / 64];
};

/* Adds the cuts for a question about one protocol. */
void explain_cuts_find(struct explain_cuts *cuts, const struct model *m,
    const struct query *q, uint8_t proto);
/* The next cut after `port`; UINT16_MAX + 1 if there is none. */
MUST_CHECK uint32_t explain_cuts_next(const struct explain_cuts *cuts, uint32_t port);

#endif
