/*
 * Private to fmt: fmt.c orders and checks, fmt_emit.c writes, fmt_scalar.c spells.
 */
#ifndef POLICY_LANG_FMT_INTERNAL_H
#define POLICY_LANG_FMT_INTERNAL_H

#include "common/written.h"

#define FMT_INDENT 2
/* What is written in brackets stays so if its line has room for it. */
#define FMT_WIDTH 120

/* Writes all documents; entries are in the order in which they are to be. */
void fmt_emit(struct buf *out, const struct written *w);

/* A scalar or alias on one line, with its properties. False if it takes several. */
MUST_CHECK bool fmt_scalar(struct buf *out, const struct written_node *node);
/* A block text whose lines stand at `indent`, beginning with its indicator; `comment` goes
 * behind that. False if it is better written as fmt_scalar_quoted. */
MUST_CHECK bool fmt_block_text(struct buf *out, const struct written_node *node,
    unsigned indent, struct str comment);
void fmt_scalar_quoted(struct buf *out, const struct written_node *node);
/* Lines at the end of the text belong to it: nothing may be added there. */
MUST_CHECK bool fmt_keeps_lines(const struct written_node *node);

#endif
