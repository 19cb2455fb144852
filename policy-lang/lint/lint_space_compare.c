/*
 * Boxes against boxes: what covers, what meets, and what is left.
 */
#include <stdlib.h>
#include <string.h>

#include "policy-lang/lint/lint_space_set.h"
#include "policy-lang/model/portset.h"

/* ---- comparing boxes ---- */

bool
space_covers(const struct space_box *outer, const struct space_box *inner)
{
	uint32_t j = 0;

	for (uint32_t i = 0; i < outer->count; i++) {
		const struct space_dim *d = &outer->dims[i];

		while (j < inner->count && inner->dims[j].id < d->id)
			j++;
		if (j == inner->count || inner->dims[j].id != d->id ||
		    !space_set_covers(&d->set, &inner->dims[j].set))
			return false;
	}
	return true;
}

bool
space_meets(const struct space_box *a, const struct space_box *b)
{
	uint32_t i = 0, j = 0;

	while (i < a->count && j < b->count) {
		if (a->dims[i].id < b->dims[j].id)
			i++;
		else if (b->dims[j].id < a->dims[i].id)
			j++;
		else if (!space_sets_meet(&a->dims[i++].set, &b->dims[j++].set))
			return false;
	}
	return true;
}

/* ---- corners ---- */

struct space_box
space_corner(struct arena *arena, const struct space_box *box, bool last)
{
	struct space_dim *dims = ARENA_ARRAY(arena, box->count, struct space_dim);

	for (uint32_t i = 0; i < box->count; i++) {
		const struct space_set *set = &box->dims[i].set;
		addr_num at = last ? set->ranges[set->count - 1].hi : set->ranges[0].lo;

		dims[i] =
		    (struct space_dim){box->dims[i].id, space_set_range(arena, at, at)};
	}
	return (struct space_box){dims, box->count};
}

bool
space_has_corner(const struct space_box *box, const struct space_box *corner, bool last)
{
	uint32_t j = 0;

	for (uint32_t i = 0; i < box->count; i++) {
		const struct space_dim *d = &box->dims[i];
		addr_num at = last ? space_dim_max(d->id) : 0;

		while (j < corner->count && corner->dims[j].id < d->id)
			j++;
		if (j < corner->count && corner->dims[j].id == d->id)
			at = corner->dims[j].set.ranges[0].lo;
		if (!space_set_has(&d->set, at))
			return false;
	}
	return true;
}

/* ---- what is left ---- */

static const struct space_dim *
find_dim(const struct space_box *box, uint32_t id)
{
	for (uint32_t i = 0; i < box->count; i++) {
		if (box->dims[i].id == id)
			return &box->dims[i];
	}
	return NULL;
}

/* `box` with one dimension set to something else. */
static struct space_box
with_dim(
    struct arena *a, const struct space_box *box, uint32_t id, struct space_set set)
{
	struct space_dim *dims = ARENA_ARRAY(a, box->count + 1, struct space_dim);
	uint32_t count = 0, i = 0;

	for (; i < box->count && box->dims[i].id < id; i++)
		dims[count++] = box->dims[i];
	dims[count++] = (struct space_dim){id, set};
	if (i < box->count && box->dims[i].id == id)
		i++;
	for (; i < box->count; i++)
		dims[count++] = box->dims[i];
	return (struct space_box){dims, count};
}

struct space_box
space_with_names(struct space *s, const struct space_box *box)
{
	const struct space_dim *d = find_dim(box, DIM_PORT);
	struct addrset set = {0};
	struct space_box wide = *box;

	if (d == NULL)
		return wide;
	for (uint32_t i = 0; i < d->set.count; i++)
		addrset_add(&set, d->set.ranges[i]);
	for (unsigned c = 0; c < PORT_COLUMNS; c++) {
		addr_num names = NAMES_FIRST + c * NAMES_COUNT, first = c << 16;
		struct addr_range numbers = {first, first + UINT16_MAX};
		struct addr_range named = {names, names + NAMES_COUNT - 1};

		if (space_sets_meet(&(struct space_set){&numbers, 1}, &d->set))
			addrset_add(&set, named);
		if (space_sets_meet(&(struct space_set){&named, 1}, &d->set))
			addrset_add(&set, numbers);
	}
	addrset_normalise(&set);
	wide = with_dim(s->arena, box, DIM_PORT, space_set_keep(s->arena, &set));
	addrset_fini(&set);
	return wide;
}

void
space_rest_init(
    struct space_rest *rest, struct arena *arena, const struct space_box *box)
{
	*rest = (struct space_rest){.arena = arena};
	space_boxes_add(&rest->open, *box);
}

void
space_rest_fini(struct space_rest *rest)
{
	free(rest->open.items);
	free(rest->passed.items);
}

/* Cuts `piece`, which meets `box`, into what is outside (appended to `out`, disjoint
 * pieces) and what is inside (returned). */
static struct space_box
cut(struct arena *a, struct space_box piece, const struct space_box *box,
    struct space_boxes *out)
{
	for (uint32_t i = 0; i < box->count; i++) {
		const struct space_dim *b = &box->dims[i];
		const struct space_dim *p = find_dim(&piece, b->id);
		addr_num max = space_dim_max(b->id);
		struct space_set whole = space_set_range(a, 0, max);
		struct space_set mine = p != NULL ? p->set : whole;
		struct space_set outside =
		    space_set_meet(a, mine, space_set_rest(a, b->set, max));

		if (outside.count == 0)
			continue;
		space_boxes_add(out, with_dim(a, &piece, b->id, outside));
		piece = with_dim(a, &piece, b->id, space_set_meet(a, mine, b->set));
	}
	return piece;
}

bool
space_rest_take(struct space_rest *rest, const struct space_box *box, bool pass)
{
	struct space_boxes left = {0};
	size_t met = 0;

	while (met < rest->open.count && !space_meets(&rest->open.items[met], box))
		met++;
	if (met == rest->open.count)
		return false; /* most boxes meet nothing */
	for (size_t i = 0; i < rest->open.count && !rest->gave_up; i++) {
		struct space_box inside;

		if (i < met || !space_meets(&rest->open.items[i], box)) {
			space_boxes_add(&left, rest->open.items[i]);
			continue;
		}
		inside = cut(rest->arena, rest->open.items[i], box, &left);
		if (pass)
			space_boxes_add(&rest->passed, inside);
		rest->gave_up = left.count + rest->passed.count > SPACE_PIECES;
	}
	free(rest->open.items);
	rest->open = left;
	return true;
}

void
space_rest_next_level(struct space_rest *rest)
{
	for (size_t i = 0; i < rest->passed.count; i++)
		space_boxes_add(&rest->open, rest->passed.items[i]);
	rest->passed.count = 0;
}
