/*
 * Private to diag: source lines, and members of JSON objects.
 */
#ifndef COMMON_DIAG_TEXT_H
#define COMMON_DIAG_TEXT_H

#include "common/diag.h"
#include "common/map.h"

/*
 * Where lines begin, as far as they have been asked for: diagnostics and their notes lead
 * from one place of long files to another, and none is searched from its start for each.
 * {0} before the first.
 */
struct diag_lines {
	struct map sources; /* private: source -> where its lines begin */
};

void diag_lines_fini(struct diag_lines *lines);
/* The line of a place without its end; false if the source has no such line. */
MUST_CHECK bool diag_find_line(
    struct diag_lines *lines, struct loc loc, struct str *out_line);

/* Code points in text[from, to); a byte that is not UTF-8 counts as one. */
MUST_CHECK size_t diag_count_points(struct str text, size_t from, size_t to);

/* "" the first time, then ",". */
const char *diag_separator(bool *first);
/* Appends "key": value, with the separator before it. */
void diag_add_string(struct buf *out, bool *first, const char *key, struct str value);
void diag_add_number(struct buf *out, bool *first, const char *key, uint64_t value);
/* Appends the figures of a diagnostic, as an object. */
void diag_add_figures(struct buf *out, const struct diag *d);

#endif
