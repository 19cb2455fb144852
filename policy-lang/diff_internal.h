/*
 * Between diff.c and diff_lines.c only.
 */
#ifndef POLICY_LANG_DIFF_INTERNAL_H
#define POLICY_LANG_DIFF_INTERNAL_H

#include "policy-lang/diff.h"

/* The set, or NULL if nothing is in it. */
MUST_CHECK const struct conn_set *diff_listed(const struct conn_set *set);
/* Fills in what follows from the ends and from what was and is. */
void diff_line_complete(struct diff *diff, struct diff_line *line);
/* Numbers the joint sets, and puts all lines in order. */
void diff_lines_order(struct diff *diff);

#endif
