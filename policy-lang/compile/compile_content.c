/*
 * What a state comes to: the whole content, and questions to it. Elements of addresses are
 * made when they are asked for.
 */
#include <stdlib.h>
#include <string.h>

#include "policy-lang/compile/compile_state.h"
#include "policy-lang/table/table_walk.h"

/* ---- which sets are made from addresses ---- */

enum table_set_id
state_peer_set(unsigned family, enum direction dir)
{
	return set_of(SET_PEER4_IN, family, dir);
}

enum table_set_id
state_inside_set(unsigned family)
{
	return family == 0 ? SET_INSIDE4 : SET_INSIDE6;
}

bool
state_is_from_held(enum table_set_id set)
{
	return (set >= SET_PEER4_IN && set <= SET_PEER6_OUT) ||
	       (set >= SET_KNOWN4 && set <= SET_NOBODY6) || set == SET_INSIDE4 ||
	       set == SET_INSIDE6;
}

bool
state_in_gate(const struct compile_state *s, const struct ip_addr *addr, bool is_node)
{
	if (is_node && compiler_validates(s->c))
		return true;
	for (size_t i = 0; i < s->options.workload_network_count; i++) {
		if (ip_in_prefix(addr, &s->options.workload_networks[i]))
			return true;
	}
	return false;
}

bool
state_peer_element(const struct side *side, const struct ip_addr *addr, uint32_t node,
    struct table_element *out)
{
	unsigned family = family_index(addr->family);

	if (node == classes_around(side, family, addr_to_num(addr)))
		return false;
	*out = classes_element(side, node);
	memcpy(out->addr, addr->bytes, ip_bytes(addr->family));
	return true;
}

static bool
held_element(const struct compile_state *s, const struct held *h, enum direction dir,
    struct table_element *out)
{
	struct ip_addr addr = held_addr(h);

	return state_peer_element(&s->c->sides[dir], &addr, h->node[dir], out);
}

/* ---- lists ---- */

void
state_list_add(struct element_list *list, const struct table_element *e)
{
	if (list->count == list->cap) {
		list->cap = list->cap == 0 ? 16 : 2 * list->cap;
		list->items =
		    xreallocarray(list->items, list->cap, sizeof(*list->items));
	}
	list->items[list->count++] = *e;
}

static size_t
place_in(const struct element_list *list, const struct table_element *e)
{
	size_t lo = 0, hi = list->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (table_element_cmp(&list->items[mid], e) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void
state_list_drop(struct element_list *list, const struct element_list *removed)
{
	size_t i = removed->count != 0 ? place_in(list, &removed->items[0]) : 0;
	size_t left = i, gone = 0;

	for (; i < list->count && gone < removed->count; i++) {
		if (table_element_cmp(&removed->items[gone], &list->items[i]) == 0)
			gone++;
		else
			list->items[left++] = list->items[i];
	}
	if (gone == 0)
		return;
	memmove(&list->items[left], &list->items[i],
	    (list->count - i) * sizeof(*list->items));
	list->count -= gone;
}

/* From the end, so that only what is behind the first of them moves. */
void
state_list_merge(struct element_list *list, const struct element_list *added)
{
	size_t i = list->count, j = added->count, to = i + j;

	if (to > list->cap) {
		list->cap = to + to / 16;
		list->items =
		    xreallocarray(list->items, list->cap, sizeof(*list->items));
	}
	list->count = to;
	while (j > 0) {
		if (i > 0 &&
		    table_element_cmp(&list->items[i - 1], &added->items[j - 1]) > 0)
			list->items[--to] = list->items[--i];
		else
			list->items[--to] = added->items[--j];
	}
}

struct table_element *
state_give(struct arena *arena, const struct element_list *list)
{
	struct table_element *copy =
	    ARENA_ARRAY(arena, list->count, struct table_element);

	if (list->count != 0)
		memcpy(copy, list->items, list->count * sizeof(*copy));
	return copy;
}

/* ---- the whole content ---- */

/* What a held address is in a set that is made from them; false if it is not in it. */
static bool
element_of(const struct compile_state *s, enum table_set_id set, const struct held *h,
    struct table_element *out)
{
	struct ip_addr addr;

	if (set == state_peer_set(h->family, DIR_INGRESS))
		return held_element(s, h, DIR_INGRESS, out);
	if (set == state_peer_set(h->family, DIR_EGRESS))
		return held_element(s, h, DIR_EGRESS, out);
	addr = held_addr(h);
	*out = (struct table_element){0};
	memcpy(out->addr, addr.bytes, ip_bytes(addr.family));
	if (set == state_inside_set(h->family))
		return h->inside && s->inside;
	return set == gate_set(h->family, h->inside) &&
	       state_in_gate(s, &addr, h->inside && !h->owned);
}

/* Which family's addresses the set is made from. */
static unsigned
family_of_set(enum table_set_id set)
{
	return table_sets[set].key[0] == FIELD_IPV6;
}

size_t
compile_state_some(const struct compile_state *state, enum table_set_id set,
    uint32_t *at, struct table_element *out, size_t most)
{
	const struct held_table *held = &state->held;
	const unsigned family = family_of_set(set);
	size_t count = 0;

	for (; *at < held->count && count < most; ++*at) {
		const struct held *h = &held->items[*at];
		const struct held *later = held_ahead(held, *at, HELD_AHEAD);
		const struct held *last = held_ahead(held, *at, 2 * HELD_AHEAD);

		if (!h->exists || h->family != family)
			continue; /* free, or touched by an update that went no further */
		if (last != NULL)
			__builtin_prefetch(&last->of.owner->ips);
		if (later != NULL)
			__builtin_prefetch(&later->of.owner->ips[later->ip]);
		count += element_of(state, set, h, &out[count]);
	}
	return count;
}

/* All of a set that is made from addresses, sorted, in the arena. */
static void
give_held(const struct compile_state *s, enum table_set_id set, struct arena *arena,
    struct table_element **out_elements, size_t *out_count)
{
	struct element_list list = {.cap = s->listed[set]};
	uint32_t at = 0;

	list.items = ARENA_ARRAY(arena, list.cap, struct table_element);
	list.count = compile_state_some(s, set, &at, list.items, list.cap);
	element_list_sort(&list);
	*out_elements = list.items;
	*out_count = list.count;
}

void
compile_state_rest(const struct compile_state *state, struct arena *arena,
    struct table_content *out_content)
{
	*out_content = (struct table_content){.settings = state->options.settings};
	for (unsigned i = 0; i < SET_COUNT; i++) {
		struct element_list list = state->kept[i];

		if (state_is_from_held((enum table_set_id)i))
			out_content->element_count[i] = state->listed[i];
		else
			element_list_give(
			    arena, &list, out_content, (enum table_set_id)i);
	}
	out_content->settings.uses = table_uses(out_content->element_count);
	chains_build(state->c, arena, out_content);
	ways_give(state->c, arena, out_content);
}

void
compile_state_content(const struct compile_state *state, struct arena *arena,
    struct table_content *out_content)
{
	compile_state_rest(state, arena, out_content);
	for (unsigned i = 0; i < SET_COUNT; i++) {
		if (state_is_from_held((enum table_set_id)i))
			give_held(state, (enum table_set_id)i, arena,
			    &out_content->elements[i], &out_content->element_count[i]);
	}
}

void
compile_state_chains(const struct compile_state *state, struct arena *arena,
    struct table_rule_chain **out_chains, size_t *out_count)
{
	struct table_content content = {.rule_chains = NULL};

	chains_build(state->c, arena, &content);
	*out_chains = content.rule_chains;
	*out_count = content.rule_chain_count;
}

/* ---- questions ---- */

void
compile_state_counts(const struct compile_state *state, size_t out[SET_COUNT])
{
	memcpy(out, state->listed, sizeof(state->listed));
	out[SET_RULES] = 0;
	for (size_t i = 0; i < state->c->number_count; i++)
		out[SET_RULES] += state->c->numbers[i].uses != 0;
}

static bool
find_rule(const struct compile_state *s, uint32_t number, struct table_element *out)
{
	size_t lo = 0, hi = s->c->number_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->c->numbers[mid].number < number)
			lo = mid + 1;
		else
			hi = mid;
	}
	*out = (struct table_element){.class_id = number, .value = number};
	return lo < s->c->number_count && s->c->numbers[lo].number == number &&
	       s->c->numbers[lo].uses != 0;
}

static bool
find_held(const struct compile_state *s, enum table_set_id set,
    const struct table_element *key, struct table_element *out)
{
	struct ip_addr addr = {.family = family_of(family_of_set(set))};
	const struct held *h;
	uint32_t place;

	memcpy(addr.bytes, key->addr, ip_bytes(addr.family));
	place = held_find(&s->held, &addr);
	h = place != NONE ? &s->held.items[place] : NULL;
	if (h == NULL || !h->exists)
		return false;
	return element_of(s, set, h, out);
}

bool
compile_state_find(const struct compile_state *s, enum table_set_id set,
    const struct table_element *key, struct table_element *out)
{
	struct table_content content = {.settings = s->options.settings};
	const struct table_element *e;

	if (set == SET_RULES)
		return find_rule(s, key->class_id, out);
	if (state_is_from_held(set))
		return find_held(s, set, key, out);
	content.elements[set] = s->kept[set].items;
	content.element_count[set] = s->kept[set].count;
	e = table_find(&content, set, key);
	if (e != NULL)
		*out = *e;
	return e != NULL;
}

void
compile_state_set(const struct compile_state *s, enum table_set_id set,
    struct arena *arena, struct table_element **out_elements, size_t *out_count)
{
	if (state_is_from_held(set)) {
		give_held(s, set, arena, out_elements, out_count);
		return;
	}
	*out_elements = state_give(arena, &s->kept[set]);
	*out_count = s->kept[set].count;
}

void
compile_state_ways(const struct compile_state *s, struct arena *arena,
    struct table_content *out_content)
{
	*out_content = (struct table_content){.settings = s->options.settings};
	ways_give(s->c, arena, out_content);
}
