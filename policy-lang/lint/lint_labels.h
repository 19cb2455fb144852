/*
 * Between lint*.c only: the labels that there are, to say which one was probably meant.
 */
#ifndef POLICY_LANG_LINT_LABELS_H
#define POLICY_LANG_LINT_LABELS_H

#include "policy-lang/model/model.h"

/* {0} is empty. Borrows the texts that it is told of. */
struct vocabulary {
	struct map keys; /* text -> struct map of values */
	bool filled;
};

void vocabulary_add(struct vocabulary *v, struct arena *arena, struct label_set labels);
void vocabulary_fini(struct vocabulary *v);

/*
 * Says, in the arena, why a selector that matches nothing does so: the nearest key or
 * value that exists, where the value is found under another key, or which values there
 * are. NULL: each of its requirements is met by somebody, or nothing is near.
 */
MUST_CHECK const char *vocabulary_suggest(
    const struct vocabulary *v, struct arena *arena, const struct selector *selector);

/* The key of a map that is spelt most like a text; ptr NULL: none is near. */
MUST_CHECK struct str vocabulary_nearest(const struct map *texts, struct str text);

#endif
