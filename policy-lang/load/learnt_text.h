/*
 * What tenants know by name, as text: a line each,
 *
 *     /acme api.cards.example 203.0.113.7 42
 *
 * tenant (/ is the root's own workloads), name, address, and seconds for which it is known
 * still, which may be missing; and a line `resolver 10.96.0.10` for where answers come from.
 * Empty lines and those that begin with # say nothing.
 */
#ifndef POLICY_LANG_LEARNT_TEXT_H
#define POLICY_LANG_LEARNT_TEXT_H

#include "policy-lang/model/learnt.h"

/* Adds what a line says, as learnt now. False: why is appended to `why`. */
MUST_CHECK bool learnt_read_line(
    struct learnt *table, struct str line, uint64_t now_ms, struct buf *why);
/* Everything, sorted. */
void learnt_print(struct buf *out, const struct learnt *table, uint64_t now_ms);
/* The same as an object: "resolvers", and "names" of "tenant", "name", "address" and
 * "seconds". */
void learnt_print_json(struct buf *out, const struct learnt *table, uint64_t now_ms);

#endif
