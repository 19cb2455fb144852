/*
 * Between compile_via*.c only: what connections go through.
 *
 *     compile_via.c        which connections of which clients, by which rule
 *     compile_via_lead.c   where that leads on this node
 */
#ifndef POLICY_LANG_COMPILE_VIA_H
#define POLICY_LANG_COMPILE_VIA_H

#include "policy-lang/compile/compile_route.h"

/* A rule that a number stands for. */
struct via_rule {
	uint32_t number;
	const struct route_rule *rule;
	/* That may be gone through: ready, sorted by nothing. */
	const struct workload **through;
	size_t through_count;
};

MUST_CHECK int via_rule_cmp(const void *a, const void *b);

#define VIA_CELLS 4
/* From a compiler's cells, IPv4 first, to those of via. */
extern const struct leave_move via_moves[VIA_CELLS];

/* What was compiled for clients. It holds as long as nothing changes that via depends on. */
struct via_kept {
	struct arena *arena;
	struct via_rule *rules; /* by number */
	size_t rule_count;
	struct element_list cells[VIA_CELLS][FAMILY_COUNT]; /* values are numbers */
	struct diag_list told;
	bool collided; /* numbers of classes stood in each other's way */
};

/* Makes ids and ways, and emits the cells. */
void via_lead(struct routes *r, const struct via_kept *kept);

#endif
