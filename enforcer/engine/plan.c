#include "enforcer/engine/plan.h"

#include <string.h>

/* ---- walking two sorted arrays side by side ---- */

/* One of `old` and `new` may be NULL: it is only in the other array. */
typedef void (*pair_fn)(
    void *arg, const struct table_element *old, const struct table_element *now);

static void
walk_elements(const struct table_element *old, size_t old_count,
    const struct table_element *now, size_t now_count, pair_fn each, void *arg)
{
	size_t i = 0, j = 0;

	while (i < old_count || j < now_count) {
		int order = i == old_count   ? 1
			    : j == now_count ? -1
					     : table_element_cmp(&old[i], &now[j]);

		each(arg, order <= 0 ? &old[i] : NULL, order >= 0 ? &now[j] : NULL);
		i += order <= 0;
		j += order >= 0;
	}
}

/* ---- operations ---- */

struct plan {
	struct arena *arena;
	struct op_batch *batch;
	size_t cap;
};

static void
add_op(struct plan *p, struct op op)
{
	if (p->batch->count == p->cap) {
		size_t cap = p->cap != 0 ? p->cap * 2 : 64;
		struct op *ops = ARENA_ARRAY(p->arena, cap, struct op);

		if (p->batch->count != 0)
			memcpy(ops, p->batch->ops, p->batch->count * sizeof(*ops));
		p->batch->ops = ops;
		p->cap = cap;
	}
	p->batch->ops[p->batch->count++] = op;
}

static void
add_elements(struct plan *p, enum op_kind kind, enum table_set_id set,
    const struct table_element *elements, size_t count)
{
	if (count != 0)
		add_op(p, (struct op){.kind = kind,
			      .set = set,
			      .elements = elements,
			      .element_count = count});
}

/* ---- elements ---- */

/* Counted first, then collected. */
struct changes {
	struct table_element *gone, *added;
	size_t gone_count, added_count;
	bool collect;
};

static void
count_change(
    void *arg, const struct table_element *old, const struct table_element *now)
{
	struct changes *c = arg;

	if (old != NULL && now != NULL && table_element_equal(old, now))
		return;
	if (old != NULL) {
		if (c->collect)
			c->gone[c->gone_count] = *old;
		c->gone_count++;
	}
	if (now != NULL) {
		if (c->collect)
			c->added[c->added_count] = *now;
		c->added_count++;
	}
}

static void
find_changes(struct plan *p, const struct table_content *from,
    const struct table_content *to, enum table_set_id set, struct changes *out)
{
	*out = (struct changes){.collect = false};
	walk_elements(from->elements[set], from->element_count[set], to->elements[set],
	    to->element_count[set], count_change, out);
	if (table_sets[set].interval)
		return; /* whether there are any is all that matters */
	out->gone = ARENA_ARRAY(p->arena, out->gone_count, struct table_element);
	out->added = ARENA_ARRAY(p->arena, out->added_count, struct table_element);
	out->gone_count = out->added_count = 0;
	out->collect = true;
	walk_elements(from->elements[set], from->element_count[set], to->elements[set],
	    to->element_count[set], count_change, out);
}

static void
plan_set(struct plan *p, const struct table_content *from,
    const struct table_content *to, enum table_set_id set)
{
	struct changes changes;

	find_changes(p, from, to, set, &changes);
	if (changes.gone_count == 0 && changes.added_count == 0)
		return;
	if (table_sets[set].interval) {
		if (from->element_count[set] != 0)
			add_op(p, (struct op){.kind = OP_FLUSH, .set = set});
		add_elements(p, OP_ADD, set, to->elements[set], to->element_count[set]);
		return;
	}
	add_elements(p, OP_DELETE, set, changes.gone, changes.gone_count);
	add_elements(p, OP_ADD, set, changes.added, changes.added_count);
}

/* ---- chains ---- */

/* Adds what is in `one` and not in `other`; with `replace` what is in both and is not the
 * same too, as `one` has it. */
static void
plan_chains(struct plan *p, const struct table_content *one,
    const struct table_content *other, enum op_kind kind, bool replace)
{
	size_t j = 0;

	for (size_t i = 0; i < one->rule_chain_count; i++) {
		const struct table_rule_chain *chain = &one->rule_chains[i];
		const struct table_rule_chain *peer = NULL;

		while (j < other->rule_chain_count &&
		       other->rule_chains[j].number < chain->number)
			j++;
		if (j < other->rule_chain_count &&
		    other->rule_chains[j].number == chain->number)
			peer = &other->rule_chains[j];
		if (peer == NULL)
			add_op(p, (struct op){.kind = kind, .chain = chain});
		else if (replace && !table_rule_chain_equal(chain, peer))
			add_op(
			    p, (struct op){.kind = OP_CHAIN_REPLACE, .chain = chain});
	}
}

/* ---- all of it ---- */

static const struct table_content empty;

const uint32_t *
plan_room(struct arena *arena, const struct table_content *content)
{
	uint32_t *room = ARENA_ARRAY(arena, SET_COUNT, uint32_t);

	for (int set = 0; set < SET_COUNT; set++)
		room[set] =
		    table_set_room((enum table_set_id)set, content->element_count[set]);
	return room;
}

/* Settings are in the rules of every chain. More uses bring chains and rules; that there are
 * fewer is for who makes the table. */
static bool
can_become(const struct table_settings *from, const struct table_settings *to)
{
	return from->log_group == to->log_group &&
	       from->names_group == to->names_group && from->reject == to->reject &&
	       from->steer_mask == to->steer_mask && from->no_nat == to->no_nat &&
	       from->validate_sources == to->validate_sources &&
	       (from->uses & ~to->uses) == 0;
}

void
plan_make(struct arena *arena, const struct table_content *from,
    const struct table_content *to, struct op_batch *out_batch)
{
	struct plan p = {.arena = arena, .batch = out_batch};

	*out_batch = (struct op_batch){.settings = to->settings};
	if (from == NULL || !can_become(&from->settings, &to->settings)) {
		add_op(&p, (struct op){.kind = OP_TABLE, .room = plan_room(arena, to)});
		from = &empty;
	} else if (from->settings.uses != to->settings.uses) {
		add_op(&p, (struct op){.kind = OP_RULES});
	}
	plan_chains(&p, to, from, OP_CHAIN_ADD, true);
	for (int set = 0; set < SET_COUNT; set++)
		plan_set(&p, from, to, (enum table_set_id)set);
	plan_chains(&p, from, to, OP_CHAIN_DELETE, false);
}

struct loc
plan_place(const struct op_batch *batch, size_t op, size_t element)
{
	const struct op *o;

	if (op >= batch->count)
		return (struct loc){0};
	o = &batch->ops[op];
	if (o->chain != NULL)
		return o->chain->loc;
	return element < o->element_count ? o->elements[element].loc : (struct loc){0};
}

/* ---- comparing ---- */

struct comparison {
	const struct plan_visitor *visitor;
	enum table_set_id set;
	size_t count;
};

static void
compare_pair(
    void *arg, const struct table_element *old, const struct table_element *now)
{
	struct comparison *c = arg;
	enum plan_difference what = old == NULL   ? PLAN_MISSING
				    : now == NULL ? PLAN_EXTRA
						  : PLAN_DIFFERENT;

	if (old != NULL && now != NULL && table_element_equal(old, now))
		return;
	c->count++;
	if (c->visitor->element != NULL)
		c->visitor->element(
		    c->visitor->arg, what, c->set, now != NULL ? now : old);
}

static void
compare_chain(struct comparison *c, enum plan_difference what, uint32_t number)
{
	c->count++;
	if (c->visitor->chain != NULL)
		c->visitor->chain(c->visitor->arg, what, number);
}

static void
compare_chains(struct comparison *c, const struct plan_observed *observed,
    const struct table_content *desired)
{
	size_t i = 0, j = 0;

	while (i < observed->chain_count || j < desired->rule_chain_count) {
		uint64_t old =
		    i < observed->chain_count ? observed->chains[i] : UINT64_MAX;
		uint64_t new = j < desired->rule_chain_count
				   ? desired->rule_chains[j].number
				   : UINT64_MAX;

		if (old < new)
			compare_chain(c, PLAN_EXTRA, (uint32_t)old);
		else if (new < old)
			compare_chain(c, PLAN_MISSING, (uint32_t) new);
		i += old <= new;
		j += new <= old;
	}
}

size_t
plan_compare(const struct plan_observed *observed, const struct table_content *desired,
    const struct plan_visitor *visitor)
{
	struct comparison c = {.visitor = visitor};

	for (int set = 0; set < SET_COUNT; set++) {
		c.set = (enum table_set_id)set;
		walk_elements(observed->elements[set], observed->element_count[set],
		    desired->elements[set], desired->element_count[set], compare_pair,
		    &c);
	}
	compare_chains(&c, observed, desired);
	return c.count;
}
