/*
 * Texts that anybody may have chosen, on a terminal, on a page, in a spreadsheet.
 */
#ifndef AUTHN_AUDIT_TEXT_H
#define AUTHN_AUDIT_TEXT_H

#include "common/str.h"

/* Appends the text with a question mark for what is no UTF-8, controls anything (C0, C1), has no
 * width, or turns the direction of writing. Returns the characters. */
size_t audit_text_safe(struct buf *out, struct str text);
/* One cell of CSV. What a spreadsheet would take for a formula gets an apostrophe in
 * front, which makes it text there. */
void audit_csv_cell(struct buf *out, struct str text);

#endif
