/*
 * The walk of one workload as one ordered list: a second implementation, of law (d), which
 * shares with the first what one rule matches and nothing of the order.
 */
#ifndef TESTS_PROPERTY_FLAT_WALK_H
#define TESTS_PROPERTY_FLAT_WALK_H

#include "policy-lang/evaluate/evaluate.h"

/* Where an entry matches, its action holds; `next`
 * is where a pass goes on. An isolating entry denies whatever reaches it. */
struct flat_entry {
	const struct rule *rule; /* NULL: isolation */
	enum action action;
	size_t next;
};

#define FLAT_ENTRIES_MAX 2048

struct flat_walk {
	struct flat_entry entries[FLAT_ENTRIES_MAX];
	size_t count;
};

void flat_walk_make(struct flat_walk *flat, const struct model *m,
    const struct workload *w, enum direction dir);
/* `otherwise`: what holds where nothing matches. */
MUST_CHECK bool flat_walk_allows(const struct flat_walk *flat, const struct flow *flow,
    enum direction dir, bool otherwise);

#endif
