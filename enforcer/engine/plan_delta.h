/*
 * The plan of a change that is known as a difference. Pure.
 */
#ifndef ENFORCER_PLAN_DELTA_H
#define ENFORCER_PLAN_DELTA_H

#include "enforcer/engine/plan.h"
#include "policy-lang/compile/compile_incremental.h"

/* Operations that bring a table to what the state says by now, from what it said before the
 * delta (which is not `anew`) with rules for `uses_before`, all of which the settings have:
 * as plan_make would have them. The batch borrows the delta; the rest is in the arena. */
void plan_delta(struct arena *arena, const struct compile_state *state,
    const struct table_settings *settings, uint32_t uses_before,
    const struct compile_delta *delta, struct op_batch *out_batch);

/* Makes of a content's elements those before the delta, in the arena. */
void plan_undo(struct arena *arena, const struct compile_delta *delta,
    struct table_content *content);

#endif
