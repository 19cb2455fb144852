/*
 * Between connectivity*.c and diff*.c only: fields of the formats that `list` writes.
 */
#ifndef POLICY_LANG_CONNECTIVITY_TEXT_H
#define POLICY_LANG_CONNECTIVITY_TEXT_H

#include "common/str.h"

/* A field of CSV (RFC 4180), a cell of a Markdown table, a quoted DOT identifier. */
void conn_text_csv(struct buf *out, struct str field);
void conn_text_md(struct buf *out, struct str field);
void conn_text_dot(struct buf *out, struct str field);

#endif
