/*
 * Documents: YAML (and JSON, its subset) read into a tree in which every node
 * knows its place. Scalars are resolved as Kubernetes resolves them (YAML 1.1 as
 * its reader has it, then JSON: y/n, yes/no, on/off are booleans, dates are strings,
 * 80.0 is the integer 80). Duplicate keys, tags of other kinds, too deep or too large
 * documents are diagnostics. Everything lives in the arena given; no global state.
 */
#ifndef COMMON_DOC_H
#define COMMON_DOC_H

#include "common/arena.h"
#include "common/diag.h"

enum doc_kind {
	DOC_NULL,
	DOC_BOOL,
	DOC_INT,
	DOC_FLOAT,
	DOC_STRING,
	DOC_LIST,
	DOC_MAP,
};

struct doc_entry {
	struct doc_node *key; /* always a DOC_STRING after loading */
	struct doc_node *value;
};

struct doc_node {
	enum doc_kind kind;
	uint32_t count;  /* items of a list, entries of a map */
	struct loc loc;  /* scalars: the token; lists and maps: where they begin */
	struct str text; /* scalars: the value (strings) or the spelling; NUL follows */
	union {
		bool boolean;
		int64_t integer;
		double real;
		struct doc_node **items;
		struct doc_entry *entries; /* in the order written */
	} u;
};

struct doc_list {
	struct doc_node **docs; /* empty documents are left out */
	size_t count;
};

/*
 * Reads every document of a source. Errors go to `diags`; a document with a
 * syntax error ends the reading of that source (what came before it is kept in
 * *out_docs, and *out_docs is always valid). Returns true if there was no error.
 * Codes: yaml-syntax, yaml-text (bytes that are no text), yaml-limit, yaml-alias,
 * yaml-tag, yaml-number, yaml-key, yaml-merge, duplicate-key. A key that YAML takes for a
 * boolean, and a merge that replaces what stands before it, are warnings.
 */
MUST_CHECK bool doc_read(struct arena *arena, const struct source *source,
    struct diag_list *diags, struct doc_list *out_docs);

/*
 * As doc_read, for sources that are too large to be held as trees: each document is given
 * to `each` as soon as it has been read. When that returns false the document's memory is
 * used again; otherwise it stays in the arena, which nobody else may allocate from
 * meanwhile (the diagnostics live elsewhere, too).
 */
typedef bool doc_each (void *ctx, const struct doc_node *doc);
MUST_CHECK bool doc_read_each(struct arena *arena, const struct source *source,
    struct diag_list *diags, doc_each *each, void *ctx);

/* What a document says of itself: the values of two of its outermost keys. */
#define DOC_HEAD_KEYS 2

struct doc_head {
	struct doc_node values[DOC_HEAD_KEYS]; /* strings, until its items end */
};

/*
 * As doc_read_each, also for documents that are one list: if the head asks for it, each
 * item of the list under `items_key` is given to `item` as soon as it has been read
 * (true: it is kept, as by `each`), and the document, which comes behind its last item,
 * has that list empty. A document that breaks off has given what stands before. Heads
 * that are not simple words, and items below an anchor, ask for nothing.
 */
struct doc_stream {
	doc_each
		*each;
	const char *head_keys[DOC_HEAD_KEYS];
	const char *items_key;
	bool (*has_items)(void *ctx, const struct doc_head *head);
	bool (*item)(
	    void *ctx, const struct doc_head *head, const struct doc_node *item);
	void *ctx;
};

MUST_CHECK bool doc_read_stream(struct arena *arena, const struct source *source,
    struct diag_list *diags, const struct doc_stream *stream);

/* The value under `key` in a map; NULL if absent or `map` is no map. */
MUST_CHECK const struct doc_node *doc_get(const struct doc_node *map, const char *key);
/* As doc_get, but an explicit null counts as absent. */
MUST_CHECK const struct doc_node *doc_value(
    const struct doc_node *map, const char *key);
/* "a string", "a list", ... for messages. */
MUST_CHECK const char *doc_kind_name(enum doc_kind kind);

#endif
