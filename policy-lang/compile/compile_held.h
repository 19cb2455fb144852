/*
 * Addresses of the model with what is compiled of each: for compile_incremental.c only. An
 * address is known by its place, which stays as long as it is held.
 */
#ifndef POLICY_LANG_COMPILE_HELD_H
#define POLICY_LANG_COMPILE_HELD_H

#include "policy-lang/compile/compile_internal.h"

struct held {
	/* Of an address of a workload no more is kept than whose and which; it must last. */
	union {
		const struct workload *owner;
		struct ip_addr *addr; /* on the heap */
	} of;
	uint32_t ip;                    /* of owner->ips */
	uint32_t node[DIRECTION_COUNT]; /* in the trees of classes */
	uint8_t family;                 /* its index: known without looking further */
	bool used : 1;                  /* false: the place is free */
	bool owned : 1;
	bool touched : 1; /* by the update under way */
	bool exists : 1;  /* in the model; false: seen for the first time */
	bool
	    inside : 1; /* a workload's or a node's; else somebody knows it by a name */
};

struct held_table {
	struct held *items; /* by place; some are free */
	uint32_t count, cap;
	uint32_t used;   /* of the places */
	uint32_t spare;  /* one that is free, and by its node[0] the next; or NONE */
	uint32_t *slots; /* place + 1; 0: none */
	uint32_t slot_count;
	uint32_t leading[FAMILY_COUNT][256]; /* how many begin with each byte */
};

void held_init(struct held_table *t);
/* {0} is fine, too. */
void held_fini(struct held_table *t);
/* Makes room for so many, in a table that holds none. */
void held_reserve(struct held_table *t, uint32_t count);
/* Gives back most of the room that is not used. */
void held_shrink(struct held_table *t);
/* NONE: it is not held. */
MUST_CHECK uint32_t held_find(const struct held_table *t, const struct ip_addr *addr);
/* False: surely none that is held is in the set; found out without looking at them. */
MUST_CHECK bool held_may_be_in(
    const struct held_table *t, unsigned family, const struct addrset *set);
/* Holds one that is not; its place. */
MUST_CHECK uint32_t held_add(struct held_table *t, const struct ip_addr *addr);
/* The same for an address of a workload that has it, as held_own; `addr` is that. */
MUST_CHECK uint32_t held_add_owned(struct held_table *t, const struct workload *owner,
    uint32_t ip, const struct ip_addr *addr);
void held_remove(struct held_table *t, uint32_t place);
/* The workload that has the address, as its number `ip`; NULL: none. */
void held_own(struct held *h, const struct workload *owner, uint32_t ip);
MUST_CHECK const struct workload *held_owner(const struct held *h);
MUST_CHECK struct ip_addr held_addr(const struct held *h);
/* For who goes through all places: what lies so far ahead, if it is a workload's; its owner
 * may be fetched before it is asked for, because owners are all over memory. (gcc 12 drops
 * calls of a function that does nothing else.) */
MUST_CHECK const struct held *held_ahead(
    const struct held_table *t, uint32_t at, uint32_t ahead);

#define HELD_AHEAD 8 /* about as many as memory has under way at a time */

#endif
