/*
 * Between lint_rules*.c only: what is before a rule in the walk.
 */
#ifndef POLICY_LANG_LINT_RULES_H
#define POLICY_LANG_LINT_RULES_H

#include "policy-lang/lint/lint_internal.h"

/* What stands at one level, in one direction. */
enum list_kind {
	LIST_MANDATORY,
	LIST_ISOLATION, /* a policy's subject: the end of the walk for it */
	LIST_ALLOW,
	LIST_DEFAULT,
	LIST_KINDS
};

/* A box of a rule, or of an isolation. Those of one rule are neighbours. */
struct block {
	struct space_box box;
	struct space_box passes; /* of a rule that passes: what it may, at most */
	const struct policy *policy;
	const struct rule *rule; /* NULL: isolation */
	uint32_t list;
	bool removed; /* said to be redundant */
};

/* Blocks that ask for one value of one dimension. */
struct posting {
	uint32_t *items;
	uint32_t count, cap;
	uint32_t seen; /* blocks that could be here */
};

/* A block that takes something away from what is asked about, or the end of a level. */
struct step {
	uint32_t block; /* LEVEL_END: what was passed is open again */
	bool pass;
};

#define LEVEL_END UINT32_MAX

struct finder {
	struct lint *lint;
	struct arena *scratch; /* of one question */
	struct block *blocks;
	size_t count, cap;
	unsigned rule_count;  /* the rules that they are of */
	uint32_t *list_first; /* list -> its first block; one more at the end */
	/* By namespace, when not everything is asked about: whether policies there are before one
	 * that is, and whether one of these stands there. NULL: all do. */
	bool *looks_at, *asks_at;
	struct map postings;
	const struct space_box *box; /* what is asked about */
	uint32_t *found;             /* candidates of one question */
	size_t found_count, found_cap;
	uint64_t *marks;    /* blocks, as bits: what is found, before it is in order */
	struct step *steps; /* of one question, in the walk's order */
	size_t step_count, step_cap;
	uint32_t *takers; /* blocks that took part of one rule */
	size_t taker_count, taker_cap;
};

MUST_CHECK uint32_t finder_list(
    const struct ns *level, enum direction dir, enum list_kind kind);
void finder_push(uint32_t **items, size_t *count, size_t *cap, uint32_t id);
/* Finds all blocks, list by list; then puts them where they are found again. */
void finder_collect(struct finder *f);
void finder_index(struct finder *f);
/*
 * The blocks of a list, before one of them, that can be part of a cover of the box: a
 * block that asks for single values where the box allows for endlessly many is none.
 */
void finder_find(
    struct finder *f, uint32_t list, uint32_t before, const struct space_box *box);
/* True if the rules of the block's level are asked about. */
MUST_CHECK bool finder_asks(const struct finder *f, const struct block *b);
MUST_CHECK bool block_is_pass(const struct block *b);

#endif
