/*
 * The wire form of a chain of limits, for ops.c.
 */
#ifndef ENFORCER_OPS_LIMIT_H
#define ENFORCER_OPS_LIMIT_H

#include "common/proc.h"
#include "policy-lang/table/table.h"

void op_limit_encode(struct buf *out, const struct table_limit *limit);
/* NULL, or what is wrong with it; what lies behind the end is the reader's to tell. */
MUST_CHECK const char *op_limit_decode(struct proc_reader *r, struct table_limit *out);

#endif
