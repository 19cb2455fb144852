/*
 * A relation told in groups, for clusters of which nobody wants every pair: a group is
 * workloads that no policy tells apart, a set some groups, and a line says what all of
 * one may open to all of another. Every group and set has a name and is told once.
 */
#ifndef POLICY_LANG_CONNECTIVITY_GROUP_H
#define POLICY_LANG_CONNECTIVITY_GROUP_H

#include "policy-lang/connectivity/connectivity_relation.h"

/* An atom of more than one party; an atom of one bears its display for a name. */
struct conn_group {
	struct str name; /* "group-3" */
	const struct conn_atom *atom;
	struct str
	    place; /* the namespace that all are in or below, as `list` prints it */
	struct label_set labels; /* that all have; workloads only */
};

/*
 * A set of several atoms: `base` with some and without others, each told by names: of a
 * group, of a party alone, or of a set that stands before it. A set named PATH and two
 * asterisks is all that is at or below PATH.
 */
struct conn_group_set {
	struct str name;  /* "set-7" */
	struct str place; /* as of a group; of large sets it is / */
	struct str base;  /* an earlier set; "": nobody, or everybody if `all` */
	bool all;
	struct str *with, *without;
	size_t with_count, without_count;
	size_t parties; /* in the set */
};

/* Lives in the arena of the relation, which it borrows. */
struct conn_groups {
	const struct conn_relation *relation;
	/* The atoms that lines speak of: everybody. */
	struct roaring_bitmap_s *all;
	struct str *atom_names; /* by atom; ptr NULL: no line speaks of it */
	struct conn_group *groups;
	size_t group_count;
	struct conn_group_set *sets;
	size_t set_count, set_cap;
	struct str *set_names; /* by set of the relation; ptr NULL: no line names it */
};

/* Names what the lines speak of; `used` marks (by set) what else must have a name, or is
 * NULL. */
void conn_groups_make(
    const struct conn_relation *relation, const bool *used, struct conn_groups *out);

/* "group-3", "shop/web[Deployment]", "10.0.0.0-10.0.0.255[External]". */
MUST_CHECK struct str conn_groups_src(
    const struct conn_groups *groups, const struct conn_line *line);
MUST_CHECK struct str conn_groups_dst(
    const struct conn_groups *groups, const struct conn_line *line);

/* The groups and sets themselves, in a format; lines follow in their own. */
void conn_groups_print(
    struct buf *out, const struct conn_groups *groups, enum connectivity_format format);
/* As CSV: records "member", "set", "with" and "without" with a name and a value each, and
 * `more` behind them (commas, for columns that they have not). */
void conn_groups_print_csv(
    struct buf *out, const struct conn_groups *groups, const char *more);
/* All of it. */
void connectivity_print_groups(
    struct buf *out, const struct conn_groups *groups, enum connectivity_format format);

#endif
