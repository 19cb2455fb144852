/*
 * Writes a tree of maps, lists and scalars, as JSON or as YAML in block style. The
 * caller says what comes, in order; the writer knows what stands between.
 */
#ifndef POLICY_LANG_TREE_WRITER_H
#define POLICY_LANG_TREE_WRITER_H

#include "common/str.h"

enum tree_format {
	TREE_JSON,
	TREE_YAML
};

#define TREE_DEPTH 64

struct tree_writer {
	struct buf *out;
	enum tree_format format;
	unsigned depth;
	struct {
		bool list;
		unsigned count;
		bool compact; /* YAML: begins behind the "- " of an item */
	} levels[TREE_DEPTH];
};

/* Writes to `out`, which it borrows. */
void tree_begin(struct tree_writer *w, struct buf *out, enum tree_format format);
/* Ends the document with a newline. Every map and list must have been closed. */
void tree_end(struct tree_writer *w);

/* `key` is NULL for items of a list and for the root. */
void tree_map(struct tree_writer *w, const char *key);
void tree_list(struct tree_writer *w, const char *key);
/* Ends the innermost map or list. */
void tree_close(struct tree_writer *w);
void tree_string(struct tree_writer *w, const char *key, const char *value);
void tree_null(struct tree_writer *w, const char *key);
void tree_bool(struct tree_writer *w, const char *key, bool value);
void tree_int(struct tree_writer *w, const char *key, int64_t value);
/* A list of one string each. */
void tree_strings(
    struct tree_writer *w, const char *key, const char *const *values, size_t count);

#endif
