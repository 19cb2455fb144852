/*
 * Between diff.c, diff_ends.c and diff_lines.c only.
 */
#ifndef POLICY_LANG_DIFF_INTERNAL_H
#define POLICY_LANG_DIFF_INTERNAL_H

#include "policy-lang/diff/diff.h"

/* ---- diff_ends.c ---- */

/* The parties of either world, which are open, as those of `joint`. */
void diff_ends_join(struct diff *diff, struct conn_world *joint);
/* By party of each world, bits by direction: the sides that the change touches, as
 * conn_world_fill wants them. What two ends may do whose sides are not touched is the same
 * before and after. In the arena. */
void diff_ends_touched(const struct diff *diff, uint8_t **out_old, uint8_t **out_new);

/* ---- diff_lines.c ---- */

/* The set, or NULL if nothing is in it. */
MUST_CHECK const struct conn_set *diff_listed(const struct conn_set *set);
/* Fills in what follows from the ends and from what was and is. */
void diff_line_complete(struct diff *diff, struct diff_line *line);
/* Numbers the joint sets, and puts all lines in order. */
void diff_lines_order(struct diff *diff);

/* ---- keys (diff_policy.c): equal if and only if they mean the same ---- */

void diff_add_match(struct buf *key, const struct workload_match *match);
void diff_add_ports(struct buf *key, const struct port_match *ports, size_t count);

#endif
