#include "enforcer/engine/plan_delta.h"

#include <string.h>

static struct op *
next_op(struct op_batch *batch, enum op_kind kind)
{
	struct op *op = &batch->ops[batch->count++];

	*op = (struct op){.kind = kind};
	return op;
}

static void
add_elements(struct op_batch *batch, enum op_kind kind, enum table_set_id set,
    const struct table_element *elements, size_t count)
{
	struct op *op;

	if (count == 0)
		return;
	op = next_op(batch, kind);
	op->set = set;
	op->elements = elements;
	op->element_count = count;
}

/* Intervals are replaced whole. */
static void
replace_set(struct op_batch *batch, struct arena *arena,
    const struct compile_state *state, const struct compile_delta *delta,
    enum table_set_id set)
{
	struct table_element *elements;
	size_t count;

	compile_state_set(state, set, arena, &elements, &count);
	if (count + delta->removed_count[set] != delta->added_count[set])
		next_op(batch, OP_FLUSH)->set = set;
	add_elements(batch, OP_ADD, set, elements, count);
}

static void
plan_set(struct op_batch *batch, struct arena *arena, const struct compile_state *state,
    const struct compile_delta *delta, enum table_set_id set)
{
	if (delta->removed_count[set] + delta->added_count[set] == 0)
		return;
	if (table_sets[set].interval) {
		replace_set(batch, arena, state, delta, set);
		return;
	}
	add_elements(
	    batch, OP_DELETE, set, delta->removed[set], delta->removed_count[set]);
	add_elements(batch, OP_ADD, set, delta->added[set], delta->added_count[set]);
}

void
plan_delta(struct arena *arena, const struct compile_state *state,
    const struct table_settings *settings, uint32_t uses_before,
    const struct compile_delta *delta, struct op_batch *out_batch)
{
	size_t most = 1 + 2 * (size_t)SET_COUNT + delta->chain_added_count +
		      delta->chain_changed_count + delta->chain_removed_count;

	*out_batch = (struct op_batch){.settings = *settings};
	out_batch->ops = ARENA_ARRAY(arena, most, struct op);
	if (settings->uses != uses_before)
		(void)next_op(out_batch, OP_RULES);
	for (size_t i = 0; i < delta->chain_added_count; i++)
		next_op(out_batch, OP_CHAIN_ADD)->chain = &delta->chains_added[i];
	for (size_t i = 0; i < delta->chain_changed_count; i++)
		next_op(out_batch, OP_CHAIN_REPLACE)->chain = &delta->chains_changed[i];
	for (int set = 0; set < SET_COUNT; set++)
		plan_set(out_batch, arena, state, delta, (enum table_set_id)set);
	for (size_t i = 0; i < delta->chain_removed_count; i++) {
		struct table_rule_chain *chain =
		    ARENA_NEW(arena, struct table_rule_chain);

		chain->number = delta->chains_removed[i];
		chain->comment = "";
		next_op(out_batch, OP_CHAIN_DELETE)->chain = chain;
	}
}

/* ---- the other way ---- */

/* content - added + removed; all sorted. */
static void
undo_set(struct arena *arena, const struct compile_delta *delta, enum table_set_id set,
    struct table_content *content)
{
	const struct table_element *now = content->elements[set];
	const struct table_element *added = delta->added[set];
	const struct table_element *removed = delta->removed[set];
	size_t count = content->element_count[set], len = 0;
	size_t new = 0, old = 0;
	struct table_element *before =
	    ARENA_ARRAY(arena, count + delta->removed_count[set], struct table_element);

	for (size_t i = 0; i < count; i++) {
		while (old < delta->removed_count[set] &&
		       table_element_cmp(&removed[old], &now[i]) <= 0)
			before[len++] = removed[old++];
		if (new < delta->added_count[set] &&
		    table_element_cmp(&added[new], &now[i]) == 0)
			new ++;
		else
			before[len++] = now[i];
	}
	while (old < delta->removed_count[set])
		before[len++] = removed[old++];
	content->elements[set] = before;
	content->element_count[set] = len;
}

void
plan_undo(struct arena *arena, const struct compile_delta *delta,
    struct table_content *content)
{
	for (int set = 0; set < SET_COUNT; set++) {
		if (delta->removed_count[set] + delta->added_count[set] != 0)
			undo_set(arena, delta, (enum table_set_id)set, content);
	}
}
