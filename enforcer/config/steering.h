/*
 * What the configuration says of steering: which bits of packets' marks, which rules and
 * which tables of routes are the daemon's.
 */
#ifndef ENFORCER_STEERING_H
#define ENFORCER_STEERING_H

#include "common/proc.h"
#include "policy-lang/compile/compile.h"

#define STEERING_TABLES_MAX 64

struct steering {
	uint32_t mask;        /* 0: nothing is steered */
	uint32_t priority;    /* of our rules, and one more of the last */
	uint32_t first_table; /* of ours, one for each way */
	uint32_t way_count;   /* how many there can be */
	uint16_t probe_port;
	const struct route_tables *tables; /* that Routes may name */
	size_t table_count;
};

/* The table of a way's own. */
MUST_CHECK uint32_t steering_table(const struct steering *s, uint32_t way);
/* Whether some Route may name the table. */
MUST_CHECK bool steering_has_table(const struct steering *s, uint32_t table);
/* Equal to the last word. */
MUST_CHECK bool steering_equal(const struct steering *a, const struct steering *b);
/* Into the arena. */
MUST_CHECK struct steering steering_copy(
    struct arena *arena, const struct steering *from);
void steering_encode(struct buf *out, const struct steering *s);
/* Copies into the arena; what is malformed, or cannot be, fails the reader. */
void steering_decode(struct arena *arena, struct proc_reader *r, struct steering *out);

#endif
