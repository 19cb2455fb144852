/*
 * Between amend*.c only: amend.c keeps the documents, amend_judge.c judges an object among them.
 */
#ifndef POLICY_LANG_AMEND_INTERNAL_H
#define POLICY_LANG_AMEND_INTERNAL_H

#include "common/map.h"
#include "policy-lang/live/amend.h"
#include "policy-lang/live/live.h"

/* A document as it is; on the heap. */
struct amend_document {
	struct str name, text;
};

/* Mistakes of some documents, or warnings, by what they are and where; {0}: nobody has asked. */
struct amend_mistakes {
	struct arena *arena;
	struct map keys;
	unsigned count; /* of those that are beyond the end of a list, too */
	bool all;       /* none keeps others from being seen */
};

/*
 * What is loaded: a live model of all documents but policies with mistakes, which stand
 * aside; what the others mean does not depend on those. Where mistakes are of another kind
 * there is a whole model only, and every change takes a load.
 */
struct amend_base {
	struct amend_document **documents; /* by name, on the heap */
	size_t count, cap;
	bool stale; /* what is below is of other documents: amend_fresh first */
	struct arena *arena;
	struct live *live;
	struct map aside;    /* name -> struct amend_aside */
	struct model *model; /* without `live` */
	struct diag_list diags;
	size_t edits;                 /* of the live model since it was loaded */
	struct amend_mistakes known;  /* of the documents as they are */
	struct amend_mistakes warned; /* the same, of warnings */
};

/* Loads anew, if that is to be done. */
void amend_fresh(struct amend_base *base);
/* Its document; NULL: there is none. */
MUST_CHECK const struct amend_document *amend_document(
    const struct amend_base *base, struct str name);
/* The only document of a source; NULL: it cannot be read, or has several. */
MUST_CHECK const struct doc_node *amend_only_document(
    struct arena *arena, const struct source *source);
/* True if it is of a kind that only says who may connect. NULL is not. */
MUST_CHECK bool amend_says_policy(const struct doc_node *doc);
/* The same of what a source says, and true of none (NULL). */
MUST_CHECK bool amend_is_policy(const struct amend_document *d);
/* Afterwards nobody has asked. */
void amend_mistakes_fini(struct amend_mistakes *mistakes);
/* True if no document has a mistake. */
MUST_CHECK bool amend_is_good(const struct amend_base *base);
/* What it says, with its hint, or its note and the name of the other source that that is about; in
 * the arena. */
MUST_CHECK struct str amend_words(struct arena *arena, const struct diag *d);
/* Puts the text (ptr NULL: nothing) in the place of what the source says in the live model.
 * Reports mistakes. What LIVE_BEYOND it is not changed by. */
MUST_CHECK enum live_answer amend_replace(
    struct amend_base *base, struct str name, struct str text, struct diag_list *diags);

#endif
