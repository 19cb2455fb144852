/*
 * A YAML text as it was written: nodes with their spelling, and the comments that belong
 * to them. For tools that rewrite a text; whoever wants to know what it says uses doc.h.
 *
 * A comment on a line of its own belongs to the entry that follows it; at the end of a
 * list or map, to that list or map, if it is not written left of it. A comment
 * behind something on its line belongs to the entry that it stands behind.
 */
#ifndef COMMON_WRITTEN_H
#define COMMON_WRITTEN_H

#include "common/diag.h"

enum written_kind {
	WRITTEN_SCALAR,
	WRITTEN_ALIAS,
	WRITTEN_LIST,
	WRITTEN_MAP
};

enum written_style {
	WRITTEN_PLAIN,
	WRITTEN_SINGLE_QUOTED,
	WRITTEN_DOUBLE_QUOTED,
	WRITTEN_LITERAL,
	WRITTEN_FOLDED
};

struct written_comment {
	struct str text; /* from # on, without spaces at its end */
	bool blank_before;
	struct written_comment *next;
};

/* In order; {0} is empty. */
struct written_comments {
	struct written_comment *first, *last;
};

struct written_node {
	enum written_kind kind;
	enum written_style style; /* of a scalar */
	bool flow;                /* of a list or map: in brackets */
	struct str properties;    /* anchor and tag, one space between; often empty */
	struct str raw;           /* scalars, aliases: as written, without properties */
	struct str value;         /* scalars: what it says */
	struct written_entry *entries;
	size_t count;
	struct written_comments foot; /* of a list or map: behind its last entry */

	/* Where it is, in bytes of the text; `end` is one past its last byte. */
	size_t start, end;
	uint32_t line, col; /* of start, from 1 */
};

/* An entry of a map; an item of a list (key NULL); a document. */
struct written_entry {
	struct written_node *key;
	struct written_node *value;
	struct written_comments head; /* above it */
	struct str line;              /* behind it, or behind its key; often empty */
	bool blank_before;            /* it, not its head */
	size_t start;
};

struct written_doc {
	struct written_entry root;    /* its value is NULL for a document of comments */
	struct written_comments foot; /* behind a root that is no block list or map */
	bool anchors;                 /* something in it has a name, or refers to one */
};

struct written {
	struct written_doc
	    *docs; /* those that have neither node nor comment left out */
	size_t count;
};

/*
 * Reads a text, which doc_read must have accepted, into the arena; parts of the
 * text are borrowed. What has no place in this form (directives, "? key", odd line ends)
 * is reported, as yaml-form; then returns false.
 */
MUST_CHECK bool written_read(struct arena *arena, const struct source *source,
    struct diag_list *diags, struct written *out);

#endif
