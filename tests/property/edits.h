/*
 * Random edits of a random cluster, a document to a source; and comparing what comes of them.
 */
#ifndef TESTS_PROPERTY_EDITS_H
#define TESTS_PROPERTY_EDITS_H

#include "policy-lang/compile/compile_incremental.h"
#include "tests/property/cluster.h"

#define DOCUMENTS_MAX 256

struct document {
	struct str name; /* of its source: part, kind and metadata */
	struct str kind;
	struct str text;
};

struct documents {
	struct document items[DOCUMENTS_MAX];
	size_t count;
};

struct editor {
	struct dice dice;
	struct arena *arena; /* borrowed: of names and texts */
	unsigned clusters;
	bool plain;  /* no Routes or Quotas, and many workloads that are like others */
	bool others; /* external networks, too, and what means nothing to a node */
};

/* Documents of a random cluster with as many clusters as before; or, first, with any. */
void editor_roll(struct editor *s, struct documents *docs, bool first);
/* Edits one of them; what was taken away, put or changed. */
struct document editor_edit(struct editor *s, struct documents *docs);
/* A Namespace or a Node. */
MUST_CHECK bool document_is_fixed(const struct document *doc);

/* The same ways and standbys. */
MUST_CHECK bool same_ways(const struct table_content *a, const struct table_content *b);
/* The same elements with the same places, the same chains, and the same ways. */
MUST_CHECK bool same_content(
    const struct table_content *a, const struct table_content *b);
/* before - removed + added == after, in the order of elements. */
MUST_CHECK bool delta_leads(const struct compile_delta *d, enum table_set_id set,
    const struct table_content *before, const struct table_content *after);
/* The same of the chains, whose words are compared, too. */
MUST_CHECK bool delta_leads_chains(const struct compile_delta *d,
    const struct table_content *before, const struct table_content *after);

#endif
