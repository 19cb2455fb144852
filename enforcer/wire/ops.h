/*
 * Operations on the kernel table: all that the engine can ask of the kernel role.
 * They are typed and name only the sets and chains of policy-lang/table/table.h, so
 * that nothing outside our table can even be said. A batch of them is one transaction.
 */
#ifndef ENFORCER_OPS_H
#define ENFORCER_OPS_H

#include "common/err.h"
#include "common/limits.h"
#include "policy-lang/table/table.h"

enum op_kind {
	OP_TABLE = 1, /* all of the table is what the batch says, whatever there was */
	OP_RULES, /* the constant chains have the rules that the batch's settings say */
	OP_ADD,   /* elements into a set; must not be there yet */
	OP_DELETE,    /* elements out of a set; only sets that are no interval sets */
	OP_FLUSH,     /* every element out of a set: interval sets before OP_ADD */
	OP_CHAIN_ADD, /* a chain rule_N with its rules */
	OP_CHAIN_REPLACE, /* its rules flushed and added anew; its counter goes on */
	OP_CHAIN_DELETE,  /* a chain rule_N that nothing refers to any more */
};

struct op {
	enum op_kind kind;
	enum table_set_id set;                /* OP_ADD, OP_DELETE, OP_FLUSH */
	const struct table_element *elements; /* OP_ADD, OP_DELETE; sorted */
	size_t element_count;
	/* OP_TABLE: of each set, how many elements it is to have room for; 0:
	 * as many as there will be (table_set_room). NULL: 0 for all. */
	const uint32_t *room;
	const struct table_rule_chain
	    *chain; /* OP_CHAIN_*; OP_CHAIN_DELETE: its number */
};

/* In the order in which the kernel must see them. */
struct op_batch {
	struct table_settings
	    settings; /* OP_TABLE, OP_RULES and OP_CHAIN_ADD, _REPLACE use them */
	struct op *ops;
	size_t count;
};

/* What a kernel may have been built without. */
enum op_lack {
	OP_LACKS_RATES = 1,  /* limit: connections and bytes per second */
	OP_LACKS_COUNTS = 2, /* connlimit: open connections */
	OP_LACKS_NAT = 4,    /* nat, masq, hash, numgen: what Routes translate */
	OP_LACKS_FIB = 8,    /* fib, as of Linux 5.19: what is steered */
};

#define OP_MAX_BATCH_BYTES (512u * 1024 * 1024)
#define OP_MAX_OPS         4000000u
#define OP_MAX_ROOM        (4 * LIMIT_PROGRAM_ELEMENTS) /* of all sets */
#define OP_MAX_ELEMENTS    10000000u /* in all; in memory they are larger */

/* Appends the batch in the form that op_decode reads: fixed-size fields, little-endian; of
 * elements those that the set's keys and values have. Places (loc) and names stay with the
 * engine: the kernel role answers with indexes. */
void op_encode(struct buf *out, const struct op_batch *batch);

/*
 * Reads and validates a batch into the arena: kinds, set ids, ends not before beginnings,
 * comments printable and short, actions and counts in range. ERR_INVALID says what is wrong. Pure; a fuzz target.
 */
MUST_CHECK int op_decode(struct arena *arena, const uint8_t *data, size_t len,
    struct op_batch *out_batch, struct err *err);

#endif
