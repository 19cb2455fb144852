/*
 * Between metrics*.c: the parts that /metrics is made of.
 */
#ifndef ENFORCER_METRICS_INTERNAL_H
#define ENFORCER_METRICS_INTERNAL_H

#include "common/proc.h"

struct engine;
struct engine_role;

/* Appends what the engine and its parts tell (metrics_engine.c). */
void metrics_add_engine(const struct engine *e, struct buf *out);
/* Appends what each role takes; roles of one name are told as one (metrics_roles.c). */
void metrics_add_roles(const struct engine_role *roles, size_t count, struct buf *out);
/* Appends counters of rules, of the kernel role's answer to MSG_COUNTERS; NULL: there is none,
 * which is told (metrics_rules.c). */
void metrics_add_rules(
    const struct engine *e, const struct proc_msg *counters, struct buf *out);

#endif
