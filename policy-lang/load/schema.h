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
#define TYPE_NULL   (1u << DOC_NULL)
#define TYPE_ANY    0xffffu

struct schema_field {
	const char *name;
	unsigned types; /* 0: the field belongs elsewhere; `advice` says what to do */
	bool required;
	const char *advice; /* else: on a value of another type; or NULL */
};

/*
 * A language of strings: a string is of it if one of the alternatives fits, and that
 * fits if all of its patterns do. The patterns are regular expressions that ECMA 262
 * and RE2 read alike.
 */
#define GRAMMAR_ALTERNATIVES 4
#define GRAMMAR_PATTERNS     3
struct grammar {
	const char *any_of[GRAMMAR_ALTERNATIVES][GRAMMAR_PATTERNS];
	uint32_t max_bytes;      /* 0: no limit */
	const char *cel;         /* of `self`, where no pattern says it; or NULL */
	const char *cel_message; /* what it must be */
};

/*
 * What a value is beyond its type. Whoever reads a document checks this in code, with
 * messages that know more; editors, API servers and `fmt` are told by these tables.
 */
struct schema_value {
	const char *about; /* one or two sentences, for the field's reader */
	unsigned types;    /* of an item or a map's value; fields have their own */
	const struct schema *map;        /* the fields of a map */
	const struct schema_value *each; /* the items of a list, the values of a map */
	const struct grammar *keys;      /* of a map with keys of its writer's choice */
	const struct grammar *grammar;   /* of a string */
	const char *const *names;        /* a string: one of these */
	size_t name_count;
	bool bounded; /* a number: within min and max */
	int64_t min, max, multiple_of;
	bool filled;   /* a list: not empty */
	uint32_t most; /* a list: has no more items; 0: no limit */
};

/* What the fields of a map owe each other. A field is there if it is given and not
 * null; with `filled`, a list must have items to be there. Sets of fields are bits. */
enum schema_rule_kind {
	SCHEMA_SOME,       /* one of `a` at least is there */
	SCHEMA_NONE,       /* nothing of `a` is there */
	SCHEMA_APART,      /* nothing of `a` beside anything of `b` */
	SCHEMA_NEEDS,      /* anything of `a` needs all of `b` */
	SCHEMA_ONE_FAMILY, /* all that is there shares a family, and something is there */
	SCHEMA_SAYS,       /* what the field in `a` says needs or forbids all of `b` */
};

struct schema_rule {
	enum schema_rule_kind kind;
	uint32_t a, b;
	bool filled;
	/* ONE_FAMILY: those of each of the first family_count fields, as bits. */
	const uint8_t *families;
	size_t family_count;
	const char *const *names; /* SAYS: what needs `b`; anything else forbids it */
	size_t name_count;
};

struct schema {
	const char *what; /* "an ipBlock", for messages */
	const struct schema_field *fields;
	size_t count;       /* at most SCHEMA_FIELDS_MAX */
	bool open;          /* has further fields, which are nobody's business here */
	const char *advice; /* on fields that are like none of its own; or NULL */
	/* Native documents: of each field, in the order of `fields`, which is also the
	 * order in which they are written; NULL otherwise. */
	const struct schema_value *values;
	const struct schema_rule *rules;
	size_t rule_count;
};

#define SCHEMA_FIELDS_MAX 24
#define SCHEMA_BIT(field) (1u << (field))

/* clang-format off */
#define SCHEMA(text, table) \
	{.what = (text), .fields = (table), .count = ARRAY_LEN(table)}
#define SCHEMA_OPEN(text, table) \
	{.what = (text), .fields = (table), .count = ARRAY_LEN(table), .open = true}
/* Every field is told of: an entry that was forgotten does not compile. */
#define SCHEMA_EACH(table, told) \
	((told) + 0 * sizeof(char[ARRAY_LEN(table) == ARRAY_LEN(told) ? 1 : -1]))
#define SCHEMA_TOLD(text, table, told) \
	{.what = (text), .fields = (table), .count = ARRAY_LEN(table), \
	    .values = SCHEMA_EACH(table, told)}
#define SCHEMA_RULED(text, table, told, owed) \
	{.what = (text), .fields = (table), .count = ARRAY_LEN(table), \
	    .values = SCHEMA_EACH(table, told), \
	    .rules = (owed), .rule_count = ARRAY_LEN(owed)}
/* clang-format on */

/*
 * Reads the fields of `map` into out_values[0 .. schema->count). Returns false if
 * anything is wrong with them, or if `map` is no map (then every value is NULL).
 */
MUST_CHECK bool schema_read(struct diag_list *diags, const struct schema *schema,
    const struct doc_node *map, const struct doc_node **out_values);

/* Reports that `node` is of the wrong type: `what` must be `types`. `advice` says how it is
 * written; NULL: what can be told from the node. Returns false. */
bool schema_wrong_type(struct diag_list *diags, const struct doc_node *node,
    const char *what, unsigned types, const char *advice);

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

#endif
