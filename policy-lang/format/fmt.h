/*
 * Canonical form of YAML files. The rules are in ringfence-fmt(1): an order of keys,
 * indentation by two, one spelling of brackets and quotes; every comment kept where it
 * belongs, every value as it was.
 */
#ifndef POLICY_LANG_FMT_H
#define POLICY_LANG_FMT_H

#include "common/diag.h"

/*
 * Appends the canonical form of a source. What cannot be rewritten without loss is
 * reported (the codes of doc_read, yaml-form, fmt-unsafe), and false returned; then
 * nothing has been appended. The result has been read back: it says what the source
 * says, with the same comments.
 */
MUST_CHECK bool fmt_source(struct arena *arena, const struct source *source,
    struct diag_list *diags, struct buf *out);

#endif
