/*
 * What one object more, another one in its place, or one less does to a tree of documents: the
 * mistakes and lints that come with it, as `check` tells them of the whole, and those of other
 * documents that there were not. For whoever judges objects before they are there.
 */
#ifndef POLICY_LANG_AMEND_H
#define POLICY_LANG_AMEND_H

#include "common/bundle.h"
#include "policy-lang/model/model.h"

struct amend_base;

/* Loads the documents as they are, mistakes and all, in the order of their sources' names; copies
 * them. */
MUST_CHECK struct amend_base *amend_base_new(const struct bundle *documents);
/* NULL is fine. */
void amend_base_free(struct amend_base *base);
/* Puts a source in the place of the one of its name, or there anew; with `text.ptr` NULL there is none
 * of it any more. Copies it. Takes little, most often; what changes Routes takes a load, the
 * next time that anybody asks. */
void amend_base_put(struct amend_base *base, const struct source *source);
/* What was understood of them: good for where things stand, not for judging. Until the next
 * call of another function for this base. */
MUST_CHECK const struct model *amend_base_model(struct amend_base *base);

/* Calls for each mistake that has its place in a document: its source's name, the field ("": the whole),
 * the code, and what it is. */
void amend_base_each_mistake(struct amend_base *base,
    void (*fn)(void *arg, struct str source, struct str field, const char *code,
	struct str message),
    void *arg);

struct amend_finding {
	enum diag_severity severity; /* an error or a warning */
	const char *code;            /* of codes.h, or of doc.h */
	struct str field;            /* of the object: "spec.ports[0]"; "": the whole */
	struct str object; /* "", or the name of another source of which this is */
	struct str message;
};

struct amend_judgement {
	/* Errors first, of the rest its own first; in the order of places. */
	const struct amend_finding *findings;
	size_t count, errors;
	bool whole; /* it took a load of everything */
};

/*
 * Judges `object`, a source of the name that it has, or would have, among the documents; with
 * `text.ptr` NULL there is none of it any more. The documents stay as they are. Lints are made of an
 * object without mistakes, in a tree without any; of those about workloads and nodes only when
 * the tree has pods. On other documents a policy throws no new light; what any other object does to
 * them, as when it goes and they refer to it, is told where nothing was wrong before, and not of a tree
 * that is too large to be linted wholly. Findings are in the arena.
 *
 * A policy is read alone, and compared with what is before it in the walk; an object of
 * another kind takes the time of a load, twice where there are mistakes or warnings elsewhere.
 */
void amend_judge(struct amend_base *base, const struct source *object,
    struct arena *arena, struct amend_judgement *out_judgement);
/* The same, always by a load of everything: what amend_judge is held against. */
void amend_judge_whole(struct amend_base *base, const struct source *object,
    struct arena *arena, struct amend_judgement *out_judgement);

#endif
