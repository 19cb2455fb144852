#include "policy-lang/lint/lint_classes.h"

#include <roaring/roaring.h>
#include <stdlib.h>
#include <string.h>

/* Slots that policies select, each policy counted for itself. */
#define SELECTED_MAX 30000000u
/* Policies of all classes, each class counted for itself. */
#define LISTED_MAX 4000000u

static uint32_t
class_new(struct lint_classes *c, uint32_t first)
{
	if (c->count == c->cap) {
		c->cap = c->cap == 0 ? 64 : 2 * c->cap;
		c->items = xreallocarray(c->items, c->cap, sizeof(*c->items));
	}
	c->items[c->count] = (struct lint_class){.first = first};
	return (uint32_t)c->count++;
}

/* ---- cutting ---- */

static const struct ns *
top_of(const struct ns *ns)
{
	while (ns->depth > 1)
		ns = ns->parent;
	return ns;
}

static void
start(struct lint_classes *c)
{
	const struct lint_world *w = &c->lint->world;
	uint32_t *known = xcalloc(2 * c->lint->m->ns_count, sizeof(*known));

	for (uint32_t i = 0; i < w->slot_count; i++) {
		const struct workload *wl = w->slots[i];
		uint32_t *id = &known[2 * top_of(wl->ns)->index + (wl->kube != NULL)];

		if (*id == 0)
			*id = class_new(c, i) + 1;
		c->of_slot[i] = *id - 1;
		c->items[*id - 1].size++;
	}
	free(known);
}

/* Splits the classes that the policy selects a part of. */
static void
split(struct lint_classes *c, const uint32_t *slots, size_t count, uint32_t *hits,
    uint32_t *moved)
{
	for (size_t i = 0; i < count; i++)
		hits[c->of_slot[slots[i]]]++;
	for (size_t i = 0; i < count; i++) {
		uint32_t slot = slots[i], old = c->of_slot[slot];

		if (hits[old] == 0 || hits[old] == c->items[old].size)
			continue;
		if (moved[old] == 0)
			moved[old] = class_new(c, slot) + 1;
		c->of_slot[slot] = moved[old] - 1;
		c->items[moved[old] - 1].size++;
	}
	for (size_t i = 0; i < count; i++) {
		uint32_t id = c->of_slot[slots[i]];

		hits[id] = 0;
	}
}

static bool
is_selective(const struct lint_classes *c, const struct roaring_bitmap_s *bits)
{
	uint64_t count = roaring_bitmap_get_cardinality(bits);

	return count > 0 && count < c->lint->world.slot_count;
}

/*
 * Work arrays are by class; there are never more classes than slots. What a split moved
 * away is taken off its old class when all of the policy's slots have been seen.
 */
static bool
refine(struct lint_classes *c)
{
	const struct model *m = c->lint->m;
	uint32_t slots_max = c->lint->world.slot_count;
	uint32_t *slots = xcalloc(slots_max + 1, sizeof(*slots));
	uint32_t *hits = xcalloc(slots_max + 1, sizeof(*hits));
	uint32_t *moved = xcalloc(slots_max + 1, sizeof(*moved));
	uint64_t seen = 0;

	for (size_t i = 0; i < m->policy_count && seen <= SELECTED_MAX; i++) {
		const struct roaring_bitmap_s *bits =
		    world_match(&c->lint->world, &m->policies[i]->subject);
		size_t count = roaring_bitmap_get_cardinality(bits);
		size_t classes = c->count;

		if (!is_selective(c, bits))
			continue;
		seen += count;
		roaring_bitmap_to_uint32_array(bits, slots);
		split(c, slots, count, hits, moved);
		for (size_t j = 0; j < classes && c->count > classes; j++) {
			if (moved[j] != 0)
				c->items[j].size -= c->items[moved[j] - 1].size;
			moved[j] = hits[j] = 0;
		}
	}
	free(slots);
	free(hits);
	free(moved);
	return seen <= SELECTED_MAX;
}

/* ---- what applies ---- */

static void
list_policy(struct lint_class *k, struct policy *p)
{
	if (k->policy_count == k->policy_cap) {
		k->policy_cap = k->policy_cap == 0 ? 4 : 2 * k->policy_cap;
		k->policies =
		    xreallocarray(k->policies, k->policy_cap, sizeof(*k->policies));
	}
	k->policies[k->policy_count++] = p;
}

/* The class's own slot may have moved to another: any that is left stands for it. */
static void
choose_firsts(struct lint_classes *c)
{
	c->firsts = roaring_bitmap_create();
	for (size_t i = 0; i < c->count; i++)
		c->items[i].first = LINT_NONE;
	for (uint32_t i = 0; i < c->lint->world.slot_count; i++) {
		struct lint_class *k = &c->items[c->of_slot[i]];

		if (k->first != LINT_NONE)
			continue;
		k->first = i;
		roaring_bitmap_add(c->firsts, i);
	}
}

static bool
list_policies(struct lint_classes *c)
{
	const struct model *m = c->lint->m;
	uint64_t listed = 0;

	for (size_t i = 0; i < m->policy_count && listed <= LISTED_MAX; i++) {
		struct policy *p = m->policies[i];
		roaring_bitmap_t *bits = roaring_bitmap_and(
		    world_match(&c->lint->world, &p->subject), c->firsts);
		roaring_uint32_iterator_t *it = roaring_create_iterator(bits);

		for (; it != NULL && it->has_value;
		     roaring_advance_uint32_iterator(it)) {
			list_policy(&c->items[c->of_slot[it->current_value]], p);
			listed++;
		}
		roaring_free_uint32_iterator(it);
		roaring_bitmap_free(bits);
	}
	return listed <= LISTED_MAX;
}

bool
lint_classes_init(struct lint_classes *c, struct lint *lint)
{
	*c = (struct lint_classes){.lint = lint};
	c->of_slot = xcalloc(lint->world.slot_count + 1, sizeof(*c->of_slot));
	start(c);
	if (refine(c)) {
		choose_firsts(c);
		if (list_policies(c))
			return true;
	}
	lint_classes_fini(c);
	return false;
}

void
lint_classes_fini(struct lint_classes *c)
{
	for (size_t i = 0; i < c->count; i++)
		free(c->items[i].policies);
	free(c->items);
	free(c->of_slot);
	if (c->firsts != NULL)
		roaring_bitmap_free(c->firsts);
	*c = (struct lint_classes){0};
}

/* ---- judging ---- */

struct levels {
	struct level_policies at[LIMIT_PATH_DEPTH + 1];
};

/* The policies of a class, cut by level: they are in that order. */
static void
levels_of(const struct lint_class *k, struct levels *out)
{
	*out = (struct levels){0};
	for (size_t i = 0; i < k->policy_count; i++) {
		struct level_policies *at = &out->at[k->policies[i]->level->depth];

		if (at->count++ == 0)
			at->policies = &k->policies[i];
	}
}

/* An end as the evaluator takes it, with an address of a family (0: none). */
static bool
lint_classes_end(const struct workload *w, unsigned family, struct endpoint *out)
{
	*out = (struct endpoint){.kind = ENDPOINT_WORKLOAD, .workload = w};
	if (family == 0)
		return w->ip_count == 0;
	for (size_t i = 0; i < w->ip_count; i++) {
		if (w->ips[i].family != family)
			continue;
		out->has_addr = true;
		out->addr = w->ips[i];
		return true;
	}
	return false;
}

/* The same end with an address of the family; a workload without any fits every one. */
static bool
end_in_family(const struct endpoint *end, unsigned family, struct endpoint *out)
{
	if (end->kind == ENDPOINT_WORKLOAD)
		return end->workload->ip_count == 0
			   ? lint_classes_end(end->workload, 0, out)
			   : lint_classes_end(end->workload, family, out);
	*out = *end;
	return end->has_addr && end->addr.family == family;
}

static bool
judge(const struct lint_classes *c, uint32_t slot, const struct flow *flow,
    enum direction dir, struct verdict *out)
{
	struct levels levels;

	levels_of(&c->items[c->of_slot[slot]], &levels);
	*out = evaluate_walk(c->lint->m, levels.at, flow, dir);
	return out->allow;
}

bool
lint_classes_allowed(const struct lint_classes *c, uint32_t src,
    const struct endpoint *dst, uint8_t proto, uint16_t port,
    struct verdict *out_verdict, enum direction *out_dir)
{
	static const unsigned families[] = {IP_V4, IP_V6};
	const struct lint_world *w = &c->lint->world;
	bool asked = false;

	*out_verdict = (struct verdict){.allow = true};
	*out_dir = DIR_EGRESS;
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		struct flow flow = {.proto = proto, .port = port};
		struct endpoint self = {
		    .kind = ENDPOINT_WORKLOAD, .workload = w->slots[src]};
		struct verdict verdict;
		enum direction dir = DIR_EGRESS;
		uint32_t slot = LINT_NONE;

		if (!end_in_family(&self, families[i], &flow.src) ||
		    !end_in_family(dst, families[i], &flow.dst))
			continue;
		c->lint->work += 64;
		if (judge(c, src, &flow, DIR_EGRESS, &verdict)) {
			dir = DIR_INGRESS;
			if (dst->kind == ENDPOINT_WORKLOAD)
				slot = w->slot_of[dst->workload->index];
			if (slot == LINT_NONE ||
			    judge(c, slot, &flow, DIR_INGRESS, &verdict)) {
				*out_verdict = verdict;
				*out_dir = dir;
				return true;
			}
		}
		if (!asked) {
			*out_verdict = verdict;
			*out_dir = dir;
		}
		asked = true;
	}
	return !asked; /* nothing in common: there is nothing to say */
}
