/*
 * Objects checked by table: which fields an object has, of which types, which
 * must be given. Whoever reads an object gets its fields as an array, in the order
 * of the table; absent, null and wrong ones are NULL, and have been reported.
 */
#ifndef POLICY_LANG_SCHEMA_H
#define POLICY_LANG_SCHEMA_H

#include "common/doc.h"

/* Types that a field may have, or'ed. */
#define TYPE_BOOL   (1u << DOC_BOOL)
#define TYPE_INT    (1u << DOC_INT)
#define TYPE_FLOAT  (1u << DOC_FLOAT)
#define TYPE_STRING (1u << DOC_STRING)
#define TYPE_LIST   (1u << DOC_LIST)
#define TYPE_MAP    (1u << DOC_MAP)
#define TYPE_NUMBER (TYPE_INT | TYPE_FLOAT)
#define TYPE_ANY    0xffffu

struct schema_field {
	const char *name;
	unsigned types; /* 0: the field belongs elsewhere; `advice` says what to do */
	bool required;
	const char *advice;
};

struct schema {
	const char *what; /* "an ipBlock", for messages */
	const struct schema_field *fields;
	size_t count; /* at most SCHEMA_FIELDS_MAX */
	bool open;    /* has further fields, which are nobody's business here */
};

#define SCHEMA_FIELDS_MAX 24

/* clang-format off */
#define SCHEMA(text, table) \
	{.what = (text), .fields = (table), .count = ARRAY_LEN(table)}
#define SCHEMA_OPEN(text, table) \
	{.what = (text), .fields = (table), .count = ARRAY_LEN(table), .open = true}
/* clang-format on */

/*
 * Reads the fields of `map` into out_values[0 .. schema->count). Returns false if
 * anything is wrong with them, or if `map` is no map (then every value is NULL).
 */
MUST_CHECK bool schema_read(struct diag_list *diags, const struct schema *schema,
    const struct doc_node *map, const struct doc_node **out_values);

/* Reports that `node` is of the wrong type: `what` must be `types`. Returns false. */
bool schema_wrong_type(struct diag_list *diags, const struct doc_node *node,
    const char *what, unsigned types);

/* True if the node is of one of the types; otherwise as schema_wrong_type. */
MUST_CHECK bool schema_type(struct diag_list *diags, const struct doc_node *node,
    const char *what, unsigned types);

/* The index of a string among `names`; reports others, with the list of what is
 * legal, and returns false. */
MUST_CHECK bool schema_enum(struct diag_list *diags, const struct doc_node *node,
    const char *what, const char *const *names, size_t count, size_t *out_index);

/* An integer (the node must be one already) between min and max; else reports it. */
MUST_CHECK bool schema_int(struct diag_list *diags, const struct doc_node *node,
    const char *what, int64_t min, int64_t max, int64_t *out_value);

/* The name nearest to `text`, near enough to be what was meant; NULL if none is. */
MUST_CHECK const char *schema_nearest(
    struct str text, const char *const *names, size_t count);
/* How far a misspelling of a text of that length may be off. */
MUST_CHECK unsigned schema_tolerance(size_t len);

#endif
