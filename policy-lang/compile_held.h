/*
 * Addresses of the model with what is compiled of each: for compile_incremental.c only. An
 * address is known by its place, which stays as long as it is held.
 */
#ifndef POLICY_LANG_COMPILE_HELD_H
#define POLICY_LANG_COMPILE_HELD_H

#include "policy-lang/compile_internal.h"

struct held {
	uint8_t addr[16];
	const struct workload *owner;   /* NULL: no workload's */
	uint32_t node[DIRECTION_COUNT]; /* in the trees of classes */
	uint8_t family;                 /* 0: the place is free; else enum ip_family */
	bool touched;                   /* by the update under way */
	bool exists; /* in the model; false: seen for the first time */
};

struct held_table {
	struct held *items; /* by place; some are free */
	uint32_t count, cap;
	uint32_t used;   /* of the places */
	uint32_t spare;  /* one that is free, and by its node[0] the next; or NONE */
	uint32_t *slots; /* place + 1; 0: none */
	uint32_t slot_count;
};

void held_init(struct held_table *t);
/* {0} is fine, too. */
void held_fini(struct held_table *t);
/* Gives back most of the room that is not used. */
void held_shrink(struct held_table *t);
/* NONE: it is not held. */
MUST_CHECK uint32_t held_find(const struct held_table *t, const struct ip_addr *addr);
/* Holds one that is not; its place. */
MUST_CHECK uint32_t held_add(struct held_table *t, const struct ip_addr *addr);
void held_remove(struct held_table *t, uint32_t place);
MUST_CHECK struct ip_addr held_addr(const struct held *h);

#endif
