/*
 * An index of labels: which of many objects a selector matches, as bitmaps of their
 * numbers. Only keys that some selector names are indexed, and each distinct selector is
 * evaluated once.
 */
#ifndef POLICY_LANG_LABEL_INDEX_H
#define POLICY_LANG_LABEL_INDEX_H

#include "policy-lang/model/model.h"

struct label_index;
struct roaring_bitmap_s;

/* The labels of object `item`; `ctx` is the caller's. */
typedef struct label_set label_index_get(const void *ctx, uint32_t item);

/* An index over the objects 0..count-1. Borrows `ctx`, and the texts of labels and
 * selectors, for as long as it lives. */
MUST_CHECK struct label_index *label_index_new(
    uint32_t count, label_index_get *get, const void *ctx);
/* NULL is fine. */
void label_index_free(struct label_index *index);
/* Announces a selector: its keys are indexed by the next label_index_fill. NULL is fine. */
void label_index_want(struct label_index *index, const struct selector *selector);
/* Indexes the keys announced since the last time, in one pass over all objects. */
void label_index_fill(struct label_index *index);
/* The objects that the selector, announced before the last fill, matches (NULL: all).
 * Owned by the index. */
MUST_CHECK const struct roaring_bitmap_s *label_index_select(
    struct label_index *index, const struct selector *selector);
/* How many selectors were evaluated so far. */
MUST_CHECK size_t label_index_evaluations(const struct label_index *index);

/* Appends bytes that are equal exactly for equal selectors; the same in every process. */
void selector_add_key(struct buf *out, const struct selector *selector);
/* The same for a text (with its length) and for a number. */
void key_add_str(struct buf *out, struct str text);
void key_add_u32(struct buf *out, uint32_t value);

#endif
