/*
 * The ledger of budgets as budget.c and budget_reservation.c see it.
 */
#ifndef AUTHN_BUDGET_INTERNAL_H
#define AUTHN_BUDGET_INTERNAL_H

#include "authn/budget/budget.h"
#include "common/map.h"

struct reservation {
	struct reservation *next;          /* of its entry */
	struct reservation *older, *newer; /* of all, by time */
	struct entry *entry;
	char *uid;        /* "": not known */
	bool is_new;      /* a creation */
	uint64_t version; /* a change: of the object that it is based on */
	uint64_t serial;  /* newer ones have higher ones */
	monotime_t expires;
	uint64_t amounts[];
};

struct entry {
	struct str key; /* kind, namespace, name: owned */
	size_t kind;
	struct str namespace; /* in the key */
	const struct ns *level;
	bool seen; /* exists, as far as we know */
	char *uid;
	uint64_t version;
	uint32_t list; /* the last one that had it */
	struct reservation *reservations;
	uint64_t amounts[]; /* those seen, then those charged */
};

struct kind_state {
	uint32_t list;
	bool synced;
	monotime_t heard;
};

struct budget_ledger {
	const struct model *model;
	const struct budget_plan *plan;
	uint64_t hold_ns;
	struct budget_line *lines;
	size_t line_count;
	size_t *first_line; /* of each level of the model, and one more */
	struct map entries;
	struct kind_state *kinds;
	struct reservation *oldest, *newest;
	size_t reservation_count;
	uint64_t next_serial;
	monotime_t doubt; /* what was heard before does not count */
};

/* Calls for every line at the level and above. */
#define FOR_LINES(l, at_level, line)                                                   \
	for (const struct ns *ns_ = (at_level); ns_ != NULL; ns_ = ns_->parent)        \
		for (struct budget_line *line =                                        \
			 (l)->lines + (l)->first_line[ns_->index];                     \
		     line < (l)->lines + (l)->first_line[ns_->index + 1]; line++)

/* ---- budget.c ---- */

/* The object's entry, made if there is none. */
MUST_CHECK struct entry *budget_entry_get(
    struct budget_ledger *l, const struct budget_object *o);
/* Brings the lines up to what the entry is worth; one that is nothing any more is freed. */
void budget_settle(struct budget_ledger *l, struct entry *e);
/* A copy in the place of what was there. */
void budget_set_text(char **at, struct str text);

/* ---- budget_reservation.c ---- */

/* Notes that the object may come about until then; its entry is not settled yet. */
void budget_reserve(struct budget_ledger *l, struct entry *e,
    const struct budget_object *o, bool is_new, monotime_t expires);
/* Takes it out of its entry's list, where `at` has it. */
void budget_end_reservation(struct budget_ledger *l, struct reservation **at);
/* Ends those of which what is seen now says that they came about, or cannot any more. */
void budget_resolve(
    struct budget_ledger *l, struct entry *e, const struct budget_object *o, bool gone);

#endif
