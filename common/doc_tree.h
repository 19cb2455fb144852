/*
 * Private to doc: the tree while it grows. The YAML and the JSON reader hand it
 * nodes in the order of the text; it closes lists and maps, expands merge keys, finds
 * duplicate keys and holds the limits.
 */
#ifndef COMMON_DOC_TREE_H
#define COMMON_DOC_TREE_H

#include <endian.h>
#include <string.h>

#include "common/doc.h"
#include "common/limits.h"
#include "common/map.h"

/* Codes of the diagnostics that reading documents can make. */
#define DOC_CODE_SYNTAX    "yaml-syntax"
#define DOC_CODE_TEXT      "yaml-text" /* bytes that are no text */
#define DOC_CODE_LIMIT     "yaml-limit"
#define DOC_CODE_ALIAS     "yaml-alias"
#define DOC_CODE_TAG       "yaml-tag"
#define DOC_CODE_NUMBER    "yaml-number"
#define DOC_CODE_KEY       "yaml-key"
#define DOC_CODE_MERGE     "yaml-merge"
#define DOC_CODE_DUPLICATE "duplicate-key"

#define DOC_NODE_BLOCK 64 /* nodes that are allocated at a time */
/* Short texts are kept once: the same few keys make up most of a file. The cache has
 * a place for each hash, which the latest text with it takes. */
#define DOC_CACHE_SLOTS 2048
#define DOC_CACHE_BYTES 48

/* The text of a plain "<<"; the pointer, not the spelling, makes a key a merge key. */
extern const char doc_merge_text[];

struct doc_anchor {
	struct doc_node *node; /* NULL while the anchored node is still open */
	uint64_t nodes;        /* in it, aliases expanded */
	size_t height;         /* levels of lists and maps in it */
};

struct doc_frame {
	struct doc_node *node;
	struct doc_anchor *anchor; /* or NULL */
	size_t base;               /* its children begin at stack[base] */
	size_t height;             /* levels in it so far, itself included */
	uint64_t nodes_before;
	bool merges; /* some key is a merge key */
};

/* Texts that were met in several documents of a stream are kept on shelves that no rewind
 * gives back; a stream has some when it is this long. */
#define DOC_SHELF_BYTES   4096
#define DOC_SHELVES       12
#define DOC_SHELF_REWINDS 16

/* A text of the cache, and how often memory had been given back when it was made:
 * if that has happened since, it is gone, unless it is on a shelf. */
struct doc_cached {
	const char *text;
	uint32_t hash; /* also of one that is gone */
	uint32_t rewinds;
	uint8_t len;
	bool on_shelf;
	bool is_string; /* whenever it stands as a plain scalar */
};

struct doc_tree {
	struct arena *arena;
	const struct source *source;
	struct diag_list *diags;
	struct str text;        /* of the source, without a byte order mark */
	struct doc_node *block; /* of new nodes */
	size_t block_left;
	struct doc_cached *cache; /* DOC_CACHE_SLOTS */
	char *shelf;              /* where the room on the last one begins */
	size_t shelf_left;
	unsigned shelves;
	struct doc_node **stack;
	size_t len, cap;
	struct doc_frame frames[LIMIT_DOC_DEPTH];
	size_t depth;
	struct doc_node *root; /* of the present document */
	struct doc_node **docs;
	size_t doc_count, doc_cap;
	/* Takes each document as it ends, and the memory that begins at `mark` is used
	 * again unless it is kept; NULL: they are gathered in `docs`. */
	doc_each
		*each;
	void *each_ctx;
	/* Of documents whose items are given one by one; NULL: of none. */
	const struct doc_stream *stream;
	struct doc_head head; /* of the present document */
	bool streams, in_items;
	bool is_json;       /* and has been checked to be */
	size_t item_count;  /* of the present document so far */
	size_t items_given; /* of it, by whatever reader */
	size_t items_again; /* by one that gave up: the next does not give them again */
	struct diag_list document_diags, item_diags; /* as they were at the beginning */
	size_t anchors, item_anchors;
	struct arena_mark mark;
	struct doc_node *mark_block;
	size_t mark_block_left;
	uint32_t rewinds;
	uint64_t nodes;       /* so far, aliases expanded */
	uint64_t alias_nodes; /* that aliases added */
	bool failed;          /* some error was reported */
	/* Nothing is built: the grammar is checked. */
	bool dry;
	struct doc_node dry_nodes[DOC_MAP + 1];
};

void doc_tree_init(struct doc_tree *t, struct arena *arena, const struct source *source,
    struct diag_list *diags, struct str text);
void doc_tree_fini(struct doc_tree *t);
/* What is allocated from here on belongs to the next document or item. */
void doc_tree_mark(struct doc_tree *t);
/* Gives back what has been allocated since. */
void doc_tree_rewind(struct doc_tree *t);
/* A document begins on this line, at this byte of the text. */
void doc_tree_begin_document(
    struct doc_tree *t, size_t at, uint32_t line, size_t line_start);
/* As if the document had not been begun, but for the items that were given. */
void doc_tree_forget_document(struct doc_tree *t, const struct diag_list *mark);

/* More room for nodes. */
void doc_tree_new_block(struct doc_tree *t);

/* A zeroed node in the arena. Inline: a place is six words that go through memory
 * otherwise, for every node. */
MUST_CHECK static inline struct doc_node *
doc_tree_node(struct doc_tree *t, enum doc_kind kind, struct loc loc)
{
	struct doc_node *node;

	if (t->dry) {
		node = &t->dry_nodes[kind];
		node->kind = kind;
		return node;
	}
	if (t->block_left == 0)
		doc_tree_new_block(t);
	t->block_left--;
	node = t->block++;
	node->kind = kind;
	node->loc = loc;
	return node;
}

/* The text in the arena, followed by a NUL; equal texts may share a copy. */
MUST_CHECK struct str doc_tree_text(struct doc_tree *t, struct str text);
/* Gives a node its text, which is a plain scalar's, and resolves it. */
void doc_tree_plain_text(struct doc_tree *t, struct doc_node *node, struct str text);

/* Sixteen bytes that are looked at at once, by whatever the processor has for it. */
typedef uint8_t doc_bytes __attribute__((vector_size(16)));

MUST_CHECK static inline doc_bytes
doc_bytes_at(const char *at)
{
	doc_bytes bytes;

	memcpy(&bytes, at, sizeof(bytes));
	return bytes;
}

/* The first that is not 0 of bytes that are 0 or 0xff; 16: none. */
MUST_CHECK static inline size_t
doc_bytes_first(doc_bytes bytes)
{
	uint64_t halves[2];

	memcpy(halves, &bytes, sizeof(halves));
	for (size_t i = 0; i < 2; i++) {
		if (halves[i] != 0)
			return 8 * i + (size_t)__builtin_ctzll(le64toh(halves[i])) / 8;
	}
	return sizeof(bytes);
}

/* Reports an error and remembers that there was one. */
struct diag *doc_tree_error(struct doc_tree *t, const char *code, struct loc loc,
    const char *fmt, ...) PRINTF_LIKE(4, 5);

/* Appends a finished node where the tree grows. False: over a limit, reported. */
MUST_CHECK bool doc_tree_add(struct doc_tree *t, struct doc_node *node);
/* Appends an anchored node once more. False: over a limit, reported. */
MUST_CHECK bool doc_tree_add_alias(
    struct doc_tree *t, const struct doc_anchor *anchor, struct loc loc);
/* Begins a list or map. False: over a limit, reported. */
MUST_CHECK bool doc_tree_open(
    struct doc_tree *t, enum doc_kind kind, struct loc loc, struct doc_anchor *anchor);
/* Ends the innermost list or map. */
void doc_tree_close(struct doc_tree *t);
/* Ends a document; an empty one is dropped. */
void doc_tree_end_document(struct doc_tree *t);

/* What comes next is an item that is given away when it ends. */
MUST_CHECK bool doc_tree_at_item(const struct doc_tree *t);

/* Between doc_tree.c and doc_items.c. Whether what was opened is a list of items. */
MUST_CHECK bool doc_tree_opens_items(const struct doc_tree *t);
void doc_tree_begin_items(struct doc_tree *t);
void doc_tree_end_item(struct doc_tree *t, const struct doc_node *item);
/* That the items were given for what the document turned out to be. */
void doc_tree_check_head(struct doc_tree *t, const struct doc_node *root);

/*
 * Resolves the scalar whose text is in node->text. `tag` is the part behind
 * "tag:yaml.org,2002:", NULL for none; a scalar that is `quoted` and untagged is a
 * string. What is wrong is reported, and the node left a string.
 */
void doc_scalar_resolve(
    struct doc_tree *t, struct doc_node *node, const char *tag, bool quoted);
/* A plain scalar without a tag. True if its text is nothing but a string, wherever it
 * stands. */
bool doc_scalar_resolve_plain(struct doc_tree *t, struct doc_node *node);
/* A JSON number, whose grammar the caller has checked. */
void doc_scalar_json_number(struct doc_tree *t, struct doc_node *node, bool integer);

/* Where a reader gave up. */
struct doc_failure {
	size_t at; /* byte of tree->text */
	struct loc loc;
	const char *msg; /* NULL: no failure; otherwise not reported yet */
};

/* A place between documents: the beginning of a line. */
struct doc_place {
	size_t at;     /* byte of tree->text */
	uint32_t line; /* from 1 */
};

/*
 * Reads one document at *place, if it is written in the plain part of YAML, and moves
 * *place behind it. False if the full reader must read it; nothing has happened then.
 * The text must be UTF-8 whose only line ends are LF and CRLF.
 */
MUST_CHECK bool doc_plain_read(struct doc_tree *t, struct doc_place *place);

/*
 * Reads YAML from *place on: at least `documents` documents, then until one ends before
 * a "---", and moves *place there. What is wrong is reported. False when reading must
 * not go on; *out_stopped_at: the byte where a syntax error ended it, SIZE_MAX if none did.
 * `simple_marks`: the text is ASCII whose only line ends are LF and CRLF.
 */
MUST_CHECK bool doc_yaml_read(struct doc_tree *t, bool simple_marks, size_t documents,
    struct doc_place *place, size_t *out_stopped_at);
/* Reads one JSON value after another. False if the text is not JSON: *out_failure says
 * where, and the tree must be thrown away. */
MUST_CHECK bool doc_json_read(struct doc_tree *t, struct doc_failure *out_failure);

/* doc_read without the reader of the plain part, to compare it with. */
MUST_CHECK bool doc_read_full(struct arena *arena, const struct source *source,
    struct diag_list *diags, struct doc_list *out_docs);

#endif
