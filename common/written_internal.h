/*
 * Private to written: the reader's state. written.c makes the tree out of libyaml's
 * events, written_comments.c finds the comments between its scalars and gives each to its
 * owner.
 */
#ifndef COMMON_WRITTEN_INTERNAL_H
#define COMMON_WRITTEN_INTERNAL_H

#include "common/written.h"

#define WRITTEN_CODE "yaml-form"

struct written_reader {
	struct arena *arena;
	struct diag_list *diags;
	const struct source *source; /* as given, for places */
	struct str text;             /* LF line ends, no byte order mark */
	size_t *lines;               /* where each begins */
	size_t line_count;
	/* Scalars and aliases that take up room, in order: what is no structure. */
	const struct written_node **leaves;
	size_t leaf_count, leaf_cap;
	struct written_doc *docs;
	size_t *doc_starts; /* byte at which each begins: where the one before ended */
	size_t doc_count, doc_cap;
	struct written_comments loose; /* of a text without a document */
};

/* The line (from 0) of a byte. */
MUST_CHECK size_t written_line(const struct written_reader *r, size_t at);
/* Reports that something has no place in this form; returns false. */
bool written_refuse(struct written_reader *r, size_t at, const char *what);

/* Finds every comment and gives it to its owner; fills in blank_before. */
MUST_CHECK bool written_attach(struct written_reader *r);

#endif
