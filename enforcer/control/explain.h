/*
 * Both walks of a connection, by the policy in force: what `ringfence explain` says, asked
 * of the daemon; and what its node makes of it, which may not have what a Route asks for.
 */
#ifndef ENFORCER_EXPLAIN_H
#define ENFORCER_EXPLAIN_H

#include "enforcer/engine/program.h"
#include "policy-lang/explain/explain.h"

struct explain_node {
	const struct program *program; /* of policy */
	/* This node has them, whatever documents say. */
	const struct ip_addr *own;
	size_t own_count;
	bool pending; /* the kernel does not have all that the model says */
	struct explain_gate gate;
};

/* Appends the explanation as JSON, or as text for people. False: why there is none is appended
 * to `why`. */
MUST_CHECK bool explain_question(const struct explain_node *node,
    const struct str words[3], bool text, struct buf *out, struct buf *why);

#endif
