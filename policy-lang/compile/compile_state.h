/*
 * What is kept of a compilation, and an update of it: between compile_incremental.c, compile_touch.c,
 * compile_own.c, compile_local*.c, compile_passage.c, compile_told.c and compile_content.c only.
 */
#ifndef POLICY_LANG_COMPILE_STATE_H
#define POLICY_LANG_COMPILE_STATE_H

#include "policy-lang/compile/compile_held.h"
#include "policy-lang/compile/compile_incremental.h"

struct compile_state {
	struct arena *options_arena;
	struct compile_options options;
	struct compiler *c;
	struct held_table held;
	/* Sorted; without the sets that are made from `held`, and SET_RULES. */
	struct element_list kept[SET_COUNT];
	size_t listed[SET_COUNT];              /* elements of those that are */
	uint32_t fresh_nodes[DIRECTION_COUNT]; /* nodes there were in the beginning */
	bool inside;                           /* addresses are listed as such */
	struct map told;                       /* warnings: what they say and where */
	struct arena *told_arena;
};

/* A class that gained or lost an address, and what it had before. */
struct touched_class {
	uint32_t node;
	enum direction dir;
	bool before[FAMILY_COUNT];
};

struct update {
	struct compile_state *s;
	const struct model *model;
	struct arena *arena;
	struct compile_delta *delta;
	uint32_t *dirty; /* places of held addresses */
	size_t dirty_count, dirty_cap;
	struct touched_class *classes;
	size_t class_count, class_cap;
	struct placed placed[DIRECTION_COUNT]; /* of the sides that it leads to */
	struct element_list removed[SET_COUNT], added[SET_COUNT];
	bool own;   /* workloads of the node are others */
	bool local; /* what they are held to, or what Routes say here, may be, too */
	bool via;   /* so may be what anyone's connections go through */
	bool anew;
};

/* ---- compile_content.c ---- */

/* Sets that are made from addresses: of a family and direction; all of them. */
MUST_CHECK enum table_set_id state_peer_set(unsigned family, enum direction dir);
MUST_CHECK enum table_set_id state_inside_set(unsigned family);
MUST_CHECK bool state_is_from_held(enum table_set_id set);
/* Whether an address that is a node's, or is not, is listed as known, or as nobody's. */
MUST_CHECK bool state_in_gate(
    const struct compile_state *s, const struct ip_addr *addr, bool is_node);
/* The element that lists an address that is in a node of the tree of classes; false if
 * none does. */
MUST_CHECK bool state_peer_element(const struct side *side, const struct ip_addr *addr,
    uint32_t node, struct table_element *out);
/* A copy in the arena. */
MUST_CHECK struct table_element *state_give(
    struct arena *arena, const struct element_list *list);
void state_list_add(struct element_list *list, const struct table_element *e);
/* Takes some out of a list, and puts some in; all are sorted. */
void state_list_drop(struct element_list *list, const struct element_list *removed);
void state_list_merge(struct element_list *list, const struct element_list *added);

/* ---- compile_told.c ---- */

/* Remembers what was warned of: this and what follows it, instead of what was before. */
void state_remember_told(struct compile_state *s, const struct diag *first);
/* The same; of these warnings tells those that were not so before. */
void state_tell(
    struct compile_state *s, const struct diag_list *found, struct diag_list *to);
void state_forget_told(struct compile_state *s);

/* ---- compile_incremental.c ---- */

/* Whose a held address is now, beside its classes. One that belongs to nobody any more is
 * let go. */
void update_owner(struct update *u, uint32_t held, const struct place *p);
/* The chain of a number came, or is gone, and its element. */
void update_chain(struct update *u, const struct verdict_number *n, bool came);

/* Looks again at all that is touched, and at the cells of classes that came or went. */
void update_addresses(struct update *u);
/* Moves what was emitted to the lists. */
void update_take_emitted(struct update *u, struct element_list lists[SET_COUNT]);
/* Of numbers that came into use or fell out of it, chains and elements. */
void update_numbers(struct update *u);

/* ---- compile_touch.c ---- */

/* Touches what a change may change. */
void update_see(struct update *u, const struct compile_change *change);
/* Then, whoever had an address that is touched or has it now: each may be reached by another set
 * of rules. */
void update_touch_owners(struct update *u);

/* ---- compile_own.c ---- */

/* Workloads of the node that came, went or are others, where they are held to rules that
 * others here are held to, too: only they are looked at. False: it takes update_local, and
 * nothing has changed. */
MUST_CHECK bool update_own(struct update *u);

/* ---- compile_local.c ---- */

/* The node's workloads that own an address, each once: what they had before or what was
 * touched; or only the latter. *out is the model with these alone. */
void update_find_locals(
    const struct update *u, bool touched_only, struct arena *arena, struct model *out);

/* What the node's workloads are held to is found out again, and what that makes of
 * addresses and elements. Sets u->anew instead, and changes nothing, where that takes
 * compiling anew. */
void update_local(struct update *u);

/* ---- compile_local_fresh.c ---- */

/* Sets of a side's, by number, and what has been found out about them. Borrows both. */
struct fresh;

MUST_CHECK struct fresh *fresh_new(
    const struct side *side, const uint32_t *sets, size_t count);
void fresh_free(struct fresh *f);
/* Lists those that take a workload's address, in no order; there is room for all. */
MUST_CHECK size_t fresh_of(struct fresh *f, const struct held *h, uint32_t *out);
/* Whether a set may take workloads whose addresses are held for where they are, and not for
 * what they are. */
MUST_CHECK bool fresh_asks_where(
    const struct peer_set *set, const struct held_table *held);
/* True: whatever workload's address one of them takes, fresh_find finds it. */
MUST_CHECK bool fresh_is_found(const struct fresh *f, const struct held_table *held);
/* Calls `each` for the places of workloads' addresses that they take for what these are, for
 * some more than once. Costs what there is in the namespaces where they may take any. The
 * arena is for texts. */
void fresh_find(struct fresh *f, const struct model *m, const struct held_table *held,
    struct arena *arena, void (*each)(void *ctx, uint32_t held), void *ctx);
/* Whether they may take an address that is no workload's. */
MUST_CHECK bool fresh_takes_others(const struct fresh *f);

/* ---- compile_local_chains.c ---- */

/* Chains that differ from those in force once `to` is what is compiled. Its numbers know
 * afterwards which of them are told. */
void update_chains(struct update *u, struct compiler *to);

#endif
