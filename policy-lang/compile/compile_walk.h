/*
 * Between compile_cells.c and compile_walk.c only: the work on one profile.
 */
#ifndef POLICY_LANG_COMPILE_WALK_H
#define POLICY_LANG_COMPILE_WALK_H

#include "policy-lang/compile/compile_internal.h"

/* What every protocol and port comes to; the lists are joined. */
struct verdicts {
	struct port_list columns[PORT_COLUMNS];
};

/* An entry of a profile that speaks of a set. */
struct mention {
	uint32_t set;
	uint32_t entry;
};

enum cell_kind {
	CELL_EXACT,
	CELL_RANGE,
	CELL_ANY,
	CELL_REST
};

struct cell {
	enum cell_kind kind;
	uint8_t proto;
	uint16_t lo, hi;
	uint32_t number;
};

struct cell_list {
	struct cell *items;
	size_t count, cap;
};

/* The work on one profile. */
struct walker {
	struct side *s;
	const struct profile *profile;
	uint32_t owner;           /* compile_budget.c */
	struct mention *mentions; /* by set */
	size_t mention_count;
	uint32_t *always; /* entries that hold for every class */
	size_t always_count;
	uint32_t *sets; /* mentioned, also by what a port's name means; each once */
	size_t set_count, set_cap;
	uint32_t *set_stamp;   /* set -> serial of the last profile that mentions it */
	uint32_t *class_stamp; /* class -> the last profile that it was walked for */
	uint32_t serial;
	uint32_t *entries; /* of the walk under way */
	struct portset ports;
	struct map memo; /* entries and meanings -> struct verdicts */
	struct buf key;
	struct cell_list cells, other;
	const struct verdicts *everyone;      /* of class 0 */
	bool families[FAMILY_COUNT];          /* in which the profile has addresses */
	uint32_t family_points[FAMILY_COUNT]; /* how many */
};

/* Many classes are the same to one profile: they are walked once. */
MUST_CHECK const struct verdicts *walker_verdicts(
    struct walker *w, const struct class_info *class);

#endif
