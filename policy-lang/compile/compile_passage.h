/*
 * Between compile_local.c and compile_passage.c: from the sets of peers that the node's rules
 * spoke of to those that they speak of now, and what that makes of the addresses that are
 * held.
 */
#ifndef POLICY_LANG_COMPILE_PASSAGE_H
#define POLICY_LANG_COMPILE_PASSAGE_H

#include "policy-lang/compile/compile_state.h"

/* One direction. */
struct passage {
	struct side *from, *to;
	uint32_t *sets;  /* set -> its number now; NONE: nobody speaks of it any more */
	uint32_t *fresh; /* sets that nobody spoke of */
	size_t fresh_count;
	struct fresh *takers;     /* who is in these; NULL: there are none */
	struct port_name **names; /* that rules did not speak of so: of `to` */
	size_t name_count;
	bool same; /* the same sets: who is not touched is listed as before */
	/* Where what surrounds an address may not be what it was. */
	struct addrset moved[FAMILY_COUNT];
	/* Of each class: its node now, whether its addresses are listed otherwise, whether each
	 * of them is to be asked where it is, how many are in it that need not be. */
	uint32_t *nodes;
	bool *told, *asked;
	uint32_t (*counts)[FAMILY_COUNT];
	/* Of what is held (carried: of what is touched): the node now; NONE: that of its
	 * class. */
	uint32_t *held;
	uint32_t *list; /* room for all sets */
};

struct passages {
	struct update *u;
	struct arena *scratch;
	struct passage of[DIRECTION_COUNT];
	bool carried; /* the same sets, both: only what is touched is looked at */
	bool all;     /* every address is to be asked where it is */
};

/* Finds out where addresses are, in classes that it makes, of the rules that `to` has gathered.
 * Changes nothing of what was before. passages_end is to be called then. */
void passages_begin(struct passages *ps, struct update *u, struct compiler *to);
/* Puts them there, and tells what lists them before and after. */
void passages_take(struct passages *ps);
void passages_end(struct passages *ps);

#endif
