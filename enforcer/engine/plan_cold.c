#include "enforcer/engine/plan_cold.h"

static void
begin(struct arena *arena, size_t most, struct plan_stages *out)
{
	out->batches = ARENA_ARRAY(arena, most, struct op_batch);
	out->count = 0;
}

void
plan_at_once(struct arena *arena, const struct table_content *from,
    const struct table_content *to, struct plan_stages *out)
{
	begin(arena, 1, out);
	plan_make(arena, from, to, &out->batches[out->count++]);
}

/* What chains and intervals hold; the former are referred to by the rules' map. */
static bool
is_first(enum table_set_id set)
{
	return set == SET_RULES || table_sets[set].interval;
}

/* Who is judged. */
static bool
governs(enum table_set_id set)
{
	return set <= SET_LOCAL6_OUT || set == SET_OWN4 || set == SET_OWN6 ||
	       set == SET_HOST_IN || set == SET_HOST_OUT ||
	       set == SET_ROUTE_LOCAL4_OUT || set == SET_ROUTE_LOCAL6_OUT;
}

/* Who may pass the gate at all. */
static bool
opens(enum table_set_id set)
{
	return set == SET_KNOWN4 || set == SET_KNOWN6;
}

/* By what. */
static bool
judges(enum table_set_id set)
{
	return !is_first(set) && !governs(set) && !opens(set);
}

static void
add_chunks(struct arena *arena, const struct table_content *to, enum table_set_id set,
    size_t chunk, struct plan_stages *out)
{
	for (size_t i = 0; i < to->element_count[set]; i += chunk) {
		size_t rest = to->element_count[set] - i;
		struct op_batch *batch = &out->batches[out->count++];

		*batch = (struct op_batch){.settings = to->settings, .count = 1};
		batch->ops = ARENA_NEW(arena, struct op);
		batch->ops[0] = (struct op){.kind = OP_ADD,
		    .set = set,
		    .elements =
			to->elements[set] != NULL ? to->elements[set] + i : NULL,
		    .element_count = rest < chunk ? rest : chunk};
	}
}

static void
add_governed(
    struct arena *arena, const struct table_content *to, struct plan_stages *out)
{
	struct op_batch *batch = &out->batches[out->count];

	*batch = (struct op_batch){
	    .settings = to->settings, .ops = ARENA_ARRAY(arena, SET_COUNT, struct op)};
	for (int set = 0; set < SET_COUNT; set++) {
		if (governs((enum table_set_id)set) && to->element_count[set] != 0)
			batch->ops[batch->count++] = (struct op){.kind = OP_ADD,
			    .set = (enum table_set_id)set,
			    .elements = to->elements[set],
			    .element_count = to->element_count[set]};
	}
	out->count += batch->count != 0;
}

void
plan_cold(struct arena *arena, const struct table_content *to, size_t chunk,
    struct plan_stages *out)
{
	/* With the rule chains, which elements refer to, and with all intervals. */
	struct table_content first = *to;
	size_t most = 2;

	for (int i = 0; i < SET_COUNT; i++) {
		enum table_set_id set = (enum table_set_id)i;

		most += to->element_count[set] / chunk + 1;
		if (!is_first(set))
			first.element_count[set] = 0;
	}
	begin(arena, most, out);
	plan_make(arena, NULL, &first, &out->batches[out->count]);
	out->batches[out->count++].ops[0].room = plan_room(arena, to);
	for (int set = 0; set < SET_COUNT; set++) {
		if (judges((enum table_set_id)set))
			add_chunks(arena, to, (enum table_set_id)set, chunk, out);
	}
	add_governed(arena, to, out);
	for (int set = 0; set < SET_COUNT; set++) {
		if (opens((enum table_set_id)set))
			add_chunks(arena, to, (enum table_set_id)set, chunk, out);
	}
}
