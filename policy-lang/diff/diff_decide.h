/*
 * What decides, after a change, the connections that it opened or closed.
 */
#ifndef POLICY_LANG_DIFF_DECIDE_H
#define POLICY_LANG_DIFF_DECIDE_H

#include "policy-lang/diff/diff.h"

/* A step of the new policies' walk. */
struct diff_decision {
	enum direction dir;
	bool allow;
	const struct rule *rule;     /* NULL: isolation, or the cluster default */
	const struct policy *policy; /* NULL: the cluster default */
	bool node;      /* that of a node: no policy for it, or none that could */
	struct loc loc; /* nowhere: the cluster default */
};

struct diff_decisions {
	struct diff_decision *items;
	size_t count;
};

/*
 * For one pair of a line (parties of the joint world, or CONN_OUTSIDE for its range):
 * where a direction denied before and allows now, what allows what was opened; and what
 * denies what was closed. In walking order, egress first; nothing for an end that is gone.
 */
void diff_decide(struct arena *arena, const struct diff *diff,
    const struct diff_line *line, uint32_t src, uint32_t dst, bool opened,
    struct diff_decisions *out);

#endif
