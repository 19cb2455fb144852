/*
 * Both walks of a connection, by the policy in force: what `ringfence explain` says, asked
 * of the daemon.
 */
#ifndef ENFORCER_EXPLAIN_H
#define ENFORCER_EXPLAIN_H

#include "policy-lang/explain.h"

struct explain_node {
	const struct model *model;
	bool pending; /* the kernel does not have all that the model says */
	struct explain_gate gate;
};

/* Appends the explanation as JSON, or as text for people. False: why there is none is appended
 * to `why`. */
MUST_CHECK bool explain_question(const struct explain_node *node,
    const struct str words[3], bool text, struct buf *out, struct buf *why);

#endif
