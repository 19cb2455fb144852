/*
 * Texts of objects, of which a cluster has very many that are nearly alike: pods of one owner,
 * pods of one node. What others have as well is held once. Pure.
 */
#ifndef ENFORCER_KUBE_TEXT_H
#define ENFORCER_KUBE_TEXT_H

#include "common/map.h"
#include "enforcer/kube/kube_kinds.h"

struct kube_part;
struct kube_text;

/* Where a part of a text begins; up to the first it is KUBE_OF_KIN's. */
struct kube_cut {
	uint32_t at;
	enum kube_of of;
};

/* {0} is empty. */
struct kube_texts {
	struct map parts; /* that are shared: by text, struct kube_part */
};

/* Without cuts nothing of it is shared. Cuts grow. Free it with kube_text_free. */
MUST_CHECK struct kube_text *kube_text_new(struct kube_texts *texts, struct str text,
    const struct kube_cut *cuts, size_t cut_count);
/* NULL is fine. */
void kube_text_free(struct kube_texts *texts, struct kube_text *t);
/* Frees what texts shared; there are none any more. */
void kube_texts_fini(struct kube_texts *texts);

MUST_CHECK size_t kube_text_len(const struct kube_text *t);
MUST_CHECK bool kube_text_is(const struct kube_text *t, struct str text);
/* Appends it. */
void kube_text_add(const struct kube_text *t, struct buf *out);

#endif
