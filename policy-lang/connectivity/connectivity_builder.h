/*
 * Between connectivity_atoms.c, _columns.c and _relation.c only: a relation under
 * construction.
 */
#ifndef POLICY_LANG_CONNECTIVITY_BUILDER_H
#define POLICY_LANG_CONNECTIVITY_BUILDER_H

#include <roaring/roaring.h>

#include "policy-lang/connectivity/connectivity_lot.h"
#include "policy-lang/connectivity/connectivity_relation.h"

enum conn_kind {
	CONN_KIND_WORKLOAD, /* has policy */
	CONN_KIND_HOST,     /* a workload on its node's network */
	CONN_KIND_NODE,
};
#define CONN_KIND_COUNT 3

/* A part of the atoms, with what policy says of it. */
struct conn_part {
	const struct conn_value *value;
	struct conn_lot atoms;
};

struct conn_parts {
	struct conn_part *items;
	size_t count, cap;
};

/* What a destination is to others. */
struct conn_receiver {
	const struct conn_view *ingress;
	uint32_t egress_class; /* of egress rules' peers */
	unsigned families;
	uint32_t own;
	enum conn_kind kind;
};

/* What a source is to others. */
struct conn_sender {
	const struct conn_view *egress;
	uint32_t ingress_class;
	unsigned families;
	enum conn_kind kind;
	uint32_t node; /* the party itself, if it is somebody's own node */
	uint8_t marks;
};

/* A view that says something special of a class. */
struct conn_mention {
	uint32_t view;
	const struct conn_value *value;
};

struct conn_atom_list {
	uint32_t *items;
	size_t count, cap;
};

/* What the last values met that have this place come to: most meet again and again. */
struct conn_met {
	const struct conn_value *out, *in;
	unsigned families;
	const struct conn_set *set;
};
#define CONN_MET_SLOTS 4096 /* a power of 2 */

struct conn_builder {
	struct conn_relation *r;
	struct conn_world *world;
	struct map atom_by_key;
	struct map column_by_key;
	struct conn_receiver *receivers; /* by column */
	struct conn_atom_list *by_view;  /* atoms by egress view */
	struct conn_lot *senders;        /* the same, once all are made */
	struct conn_atom_list *by_class; /* atoms by ingress class */
	roaring_bitmap_t *by_kind[CONN_KIND_COUNT];
	roaring_bitmap_t *by_families[1 << CONN_FAMILIES];
	unsigned kinds[1 << CONN_FAMILIES]; /* of by_families: those that have atoms */
	unsigned kind_count;
	roaring_bitmap_t **own; /* by own: atoms that are its nodes */
	roaring_bitmap_t *all;
	struct conn_lot everybody; /* the same */
	uint32_t *mention_first;   /* by egress class */
	struct conn_mention *mentions;
	struct conn_parts rests;   /* egress views by the value of their rest */
	struct conn_parts *let_in; /* by ingress view; made when asked for */
	bool *let_in_known;
	struct conn_parts sent; /* to `sent_class` */
	uint32_t sent_class;
	uint32_t *room; /* for as many atoms as there are */
	size_t room_count;
	struct conn_sieve sieve;
	const struct conn_value *everything;
	struct map met; /* values and families -> conn_set */
	struct conn_met *met_last;
	struct map line_by_key;
	bool exact;
	struct map set_by_text; /* -> const struct conn_set * */
};

/* Ends the process for want of memory. */
MUST_CHECK roaring_bitmap_t *conn_some(roaring_bitmap_t *bits);

/* ---- connectivity_atoms.c ---- */

void conn_atom_list_add(struct conn_atom_list *list, uint32_t atom);
/* Which nodes are whose own; then the atoms and their columns; then the atoms of nodes. */
void conn_owns_find(struct conn_world *world);
void conn_atoms_make(struct conn_builder *b);
void conn_atoms_find_own(struct conn_builder *b);

/* ---- connectivity_columns.c ---- */

/* Fills the cells of all columns. */
void conn_columns_prepare(struct conn_builder *b);
void conn_columns_build(struct conn_builder *b);
void conn_parts_fini(struct conn_parts *parts);
/* The set as the relation tells it; NULL: not at all. */
MUST_CHECK const struct conn_set *conn_told(
    struct conn_builder *b, const struct conn_set *set);

#endif
