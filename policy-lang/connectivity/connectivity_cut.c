/*
 * Most of those that a side may meet are alike to it: they are the rest. The others are
 * found from the sets that its rules speak of.
 */
#include <stdlib.h>
#include <string.h>

#include "policy-lang/connectivity/connectivity_viewer.h"

/* ---- the sets of a side ---- */

static void
speak_of(struct conn_viewer *v, uint32_t set)
{
	if (v->place_of_set[set] != 0)
		return;
	if (v->set_count == v->set_cap) {
		v->set_cap = v->set_cap == 0 ? 16 : 2 * v->set_cap;
		v->sets = xreallocarray(v->sets, v->set_cap, sizeof(*v->sets));
	}
	v->sets[v->set_count++] = (struct conn_spoken){.index = set};
	v->place_of_set[set] = (uint32_t)v->set_count;
}

void
conn_view_collect(struct conn_viewer *v)
{
	v->set_count = 0;
	for (size_t i = 0; i < v->side->step_count; i++) {
		const struct conn_step *step = &v->side->steps[i];
		const struct rule *rule = step->rule;

		if (step->peers < CONN_NOBODY)
			speak_of(v, step->peers);
		for (size_t j = 0;
		     rule != NULL && v->side->dir == DIR_EGRESS && j < rule->port_count;
		     j++) {
			const struct conn_meanings *meanings;

			if (rule->ports[j].kind != PORT_NAMED)
				continue;
			meanings = map_get(&v->plane->meanings, rule->ports[j].name);
			for (size_t k = 0; k < meanings->count; k++)
				speak_of(v, meanings->sets[k]);
		}
	}
}

/* Which steps speak of each set. */
void
conn_view_index_steps(struct conn_viewer *v)
{
	size_t count = v->side->step_count;
	uint32_t *first = arena_array(v->scratch, v->set_count + 2, sizeof(*first));
	uint32_t *steps = arena_array(v->scratch, count, sizeof(*steps));

	for (size_t i = 0; i < count; i++) {
		if (v->side->steps[i].peers < CONN_NOBODY)
			first[v->place_of_set[v->side->steps[i].peers] + 1]++;
	}
	for (size_t i = 2; i < v->set_count + 2; i++)
		first[i] += first[i - 1];
	for (size_t i = 0; i < count; i++) {
		if (v->side->steps[i].peers < CONN_NOBODY)
			steps[first[v->place_of_set[v->side->steps[i].peers]]++] =
			    (uint32_t)i;
	}
	v->first_step = first;
	v->set_steps = steps;
}

/* ---- cutting ---- */

uint32_t
conn_cut_new_part(struct conn_viewer *v, uint32_t parent, uint32_t set)
{
	if (v->part_count == v->part_cap) {
		v->part_cap = v->part_cap == 0 ? 64 : 2 * v->part_cap;
		v->parts = xreallocarray(v->parts, v->part_cap, sizeof(*v->parts));
	}
	v->parts[v->part_count] =
	    (struct conn_part_of_side){.parent = parent, .set = set};
	return (uint32_t)v->part_count++;
}

void
conn_cut_begin(struct conn_viewer *v, size_t total)
{
	v->part_count = 0;
	v->element_count = 0;
	v->bulk_count = 0;
	memset(v->bulk_parts, 0, sizeof(v->bulk_parts));
	(void)conn_cut_new_part(v, 0, UINT32_MAX); /* the rest */
	if (total > v->element_cap) {
		free(v->part_of); /* nothing is in use: all is 0 */
		v->part_of = xcalloc(total, sizeof(*v->part_of));
		v->element_cap = total;
	}
}

/* Makes room for them among the elements, too. */
size_t
conn_cut_members(struct conn_viewer *v, const roaring_bitmap_t *elements)
{
	size_t count = roaring_bitmap_get_cardinality(elements);

	if (v->element_count + count > v->elements_cap) {
		v->elements_cap = 2 * (v->element_count + count);
		v->elements =
		    xreallocarray(v->elements, v->elements_cap, sizeof(*v->elements));
		v->members =
		    xreallocarray(v->members, v->elements_cap, sizeof(*v->members));
	}
	roaring_bitmap_to_uint32_array(elements, v->members);
	return count;
}

static void
move_elements(struct conn_viewer *v, const roaring_bitmap_t *elements)
{
	size_t count = conn_cut_members(v, elements);

	for (size_t i = 0; i < count; i++) {
		uint32_t at = v->part_of[v->members[i]];

		if (at == 0) {
			v->elements[v->element_count++] = v->members[i];
			at = conn_bulk_part(v, v->members[i]);
		}
		if (v->parts[at].serial != v->serial) {
			uint32_t next = conn_cut_new_part(v, at, v->serial - 1);

			v->parts[at].serial = v->serial;
			v->parts[at].next = next;
		}
		v->part_of[v->members[i]] = v->parts[at].next;
	}
}

/* Cuts by the side's set at a place: by its members, or by those that are not in it. */
void
conn_cut_by(struct conn_viewer *v, uint32_t place, const roaring_bitmap_t *elements,
    uint32_t total)
{
	uint64_t count = roaring_bitmap_get_cardinality(elements);
	roaring_bitmap_t *others = NULL;

	v->sets[place].base = count > total / 2;
	if (v->sets[place].base) {
		others = roaring_bitmap_flip(elements, 0, total);
		if (others == NULL)
			base_die("out of memory");
		elements = others;
	}
	v->serial = place + 1;
	move_elements(v, elements);
	if (others != NULL)
		roaring_bitmap_free(others);
}

void
conn_cut_look_at(struct conn_viewer *v, const roaring_bitmap_t *elements)
{
	size_t count = conn_cut_members(v, elements);

	for (size_t i = 0; i < count; i++) {
		if (v->part_of[v->members[i]] == 0)
			v->elements[v->element_count++] = v->members[i];
	}
}

void
conn_cut_forget(struct conn_viewer *v)
{
	for (size_t i = 0; i < v->element_count; i++)
		v->part_of[v->elements[i]] = 0;
}

uint32_t
conn_cut_part(struct conn_viewer *v, uint32_t element)
{
	return v->part_of[element] != 0 ? v->part_of[element]
					: conn_bulk_part(v, element);
}

uint32_t
conn_cut_first_of_rest(const struct conn_viewer *v, uint32_t total)
{
	return conn_bulk_next(v, 0, 0, total);
}

/* ---- judging ---- */

/* The steps that hold for a part, in order. */
static size_t
steps_on(struct conn_viewer *v, uint32_t part)
{
	size_t on = 0;

	for (uint32_t i = part; i != 0; i = v->parts[i].parent) {
		uint32_t set = v->parts[i].set;

		v->flipped[set] = 1;
		if (v->sets[set].base)
			continue;
		for (uint32_t j = v->first_step[set]; j < v->first_step[set + 1]; j++)
			v->on[on++] = v->set_steps[j];
	}
	for (size_t i = 0; i < v->side->step_count; i++) {
		uint32_t peers = v->side->steps[i].peers;
		uint32_t place;

		if (peers == CONN_EVERYONE) {
			v->on[on++] = (uint32_t)i;
			continue;
		}
		if (peers == CONN_NOBODY)
			continue;
		place = v->place_of_set[peers] - 1;
		if (v->sets[place].base && v->flipped[place] == 0)
			v->on[on++] = (uint32_t)i;
	}
	for (uint32_t i = part; i != 0; i = v->parts[i].parent)
		v->flipped[v->parts[i].set] = 0;
	if (on > 1)
		qsort(v->on, on, sizeof(*v->on), u32_cmp);
	return on;
}

/* What holds in whatever family, as it is in each of some: each has protocols that the
 * others have not. */
static const struct conn_value *
value_in(struct conn_world *world, const struct conn_set *any, unsigned families)
{
	struct {
		const struct conn_set *any;
		uintptr_t families;
	} which = {any, families};
	struct str key = {(const char *)&which, sizeof(which)};
	struct conn_value *kept = map_get(&world->values_by_set, key);
	struct conn_value value = {0};

	if (kept != NULL)
		return kept;
	for (unsigned f = 0; f < CONN_FAMILIES; f++) {
		struct conn_set set = *any;

		if ((families & 1u << f) == 0)
			continue;
		set.possible = conn_possible(conn_family_at(f));
		set.rest &= set.possible;
		value.sets[f] = conn_set_intern(world->pool, &set);
	}
	kept = conn_value_intern(world, &value);
	(void)map_set(
	    &world->values_by_set, str_dup(world->arena, key), kept); /* new */
	return kept;
}

const struct conn_value *
conn_view_judge(struct conn_viewer *v, uint32_t part, const struct endpoint *peer,
    unsigned families)
{
	const struct conn_set *any;
	size_t on;

	if (v->parts[part].value != NULL)
		return v->parts[part].value;
	on = steps_on(v, part);
	conn_side_walk(v->side, v->on, on,
	    peer->kind == ENDPOINT_WORKLOAD ? peer->workload : NULL, 0, &v->ports);
	any = conn_side_allowed(v->side, &v->ports, 0, v->scratch, v->world->pool);
	v->parts[part].value = value_in(v->world, any, families);
	return v->parts[part].value;
}
