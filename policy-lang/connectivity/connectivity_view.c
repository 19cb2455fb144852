/*
 * What a side says of every class of parties, and of the outside: sides that say the same
 * share a view.
 */
#include "policy-lang/connectivity/connectivity_world.h"

#include <stdlib.h>
#include <string.h>

#include "policy-lang/connectivity/connectivity_viewer.h"

/* ---- values ---- */

struct conn_value *
conn_value_intern(struct conn_world *world, const struct conn_value *value)
{
	struct str key = {(const char *)value->sets, sizeof(value->sets)};
	struct conn_value *own = map_get(&world->values, key);

	if (own != NULL)
		return own;
	own = ARENA_NEW(world->arena, struct conn_value);
	*own = *value;
	key.ptr = (const char *)own->sets;
	(void)map_set(&world->values, key, own); /* new */
	return own;
}

struct conn_value *
conn_value_all(struct conn_world *world)
{
	struct conn_value all = {0};

	for (unsigned f = 0; f < CONN_FAMILIES; f++)
		all.sets[f] =
		    conn_set_all(world->pool, conn_possible(conn_family_at(f)));
	return conn_value_intern(world, &all);
}

/* What sides say of those whom they are not asked about. */
static struct conn_value *
value_none(struct conn_world *world)
{
	struct conn_value none = {0};

	for (unsigned f = 0; f < CONN_FAMILIES; f++)
		none.sets[f] =
		    conn_set_none(world->pool, conn_possible(conn_family_at(f)));
	return conn_value_intern(world, &none);
}

/* ---- parties ---- */

static const struct conn_value *
class_value(struct conn_viewer *v, uint32_t class)
{
	uint32_t face = v->plane->representatives[class];

	return conn_view_judge(
	    v, conn_cut_part(v, class), &v->world->faces[face].end, v->world->families);
}

static const struct conn_set *
join_faces(struct conn_viewer *v, const struct conn_party_class *class, unsigned place)
{
	const struct conn_set *all = NULL;
	unsigned family = conn_family_at(place);

	for (size_t i = 0; i < class->count; i++) {
		const struct conn_set *set;

		/* Without an address it is in flows of either family. */
		if (class->items[i].family != 0 && class->items[i].family != family)
			continue;
		set = class_value(v, class->items[i].face_class)->sets[place];
		all = all == NULL ? set : conn_set_join(v->world->pool, all, set);
	}
	return all;
}

static struct conn_both
both_of(struct conn_viewer *v, const struct conn_party_class *class)
{
	size_t last = class->count - 1;

	return (struct conn_both){
	    .serial = v->side->serial,
	    .parts = {conn_cut_part(v, class->items[0].face_class),
		conn_cut_part(v, class->items[last].face_class)},
	    .families = class->items[0].family << 8 | class->items[last].family << 4 |
			(unsigned)class->count,
	};
}

/* Where the answer for parties with these faces is kept; NULL: there are too many. */
static struct conn_both *
slot_of(struct conn_viewer *v, const struct conn_party_class *class)
{
	struct conn_both both;

	if (class->count > 2)
		return NULL;
	both = both_of(v, class);
	return &v->both[(both.parts[0] * 31 + both.parts[1] * 17 + both.families) %
			CONN_BOTH_SLOTS];
}

static bool
is_same(struct conn_viewer *v, const struct conn_both *slot,
    const struct conn_party_class *class)
{
	struct conn_both both = both_of(v, class);

	return slot->serial == both.serial && slot->parts[0] == both.parts[0] &&
	       slot->parts[1] == both.parts[1] && slot->families == both.families;
}

/* What the side says of a party: any of its addresses will do. In families in which it
 * has none the rest's value stands: nobody asks. */
static const struct conn_value *
party_value(struct conn_viewer *v, const struct conn_party_class *class,
    const struct conn_value *rest)
{
	struct conn_value value = *rest;
	struct conn_both *slot = slot_of(v, class);

	if (slot != NULL && is_same(v, slot, class))
		return slot->value;
	for (unsigned f = 0; f < CONN_FAMILIES; f++) {
		const struct conn_set *set;

		if ((v->world->families & 1u << f) == 0)
			continue;
		set = join_faces(v, class, f);
		if (set != NULL)
			value.sets[f] = set;
	}
	if (slot == NULL)
		return conn_value_intern(v->world, &value);
	*slot = both_of(v, class);
	slot->value = conn_value_intern(v->world, &value);
	return slot->value;
}

/* The heap of a value, or CONN_NO_HEAP if it is the rest's; heaps are few: they are
 * looked through. Numbers are from 1. */
static uint32_t
heap_of(struct conn_viewer *v, const struct conn_value *value,
    const struct conn_value *rest)
{
	size_t i = 0;

	if (value == rest)
		return CONN_NO_HEAP;
	while (i < v->heap_count && v->heaps[i].value != value)
		i++;
	if (i == v->heap_cap) {
		v->heap_cap = i == 0 ? 8 : 2 * i;
		v->heaps = xreallocarray(v->heaps, v->heap_cap, sizeof(*v->heaps));
		memset(&v->heaps[i], 0, (v->heap_cap - i) * sizeof(*v->heaps));
	}
	if (i == v->heap_count) {
		v->heap_count++;
		v->heaps[i].value = value;
		v->heaps[i].count = 0;
	}
	return (uint32_t)i + 1;
}

static void
add_to_heap(struct conn_viewer *v, uint32_t number, uint32_t class)
{
	struct conn_heap *heap;

	if (number == CONN_NO_HEAP)
		return;
	heap = &v->heaps[number - 1];
	if (heap->count == heap->cap) {
		heap->cap = heap->cap == 0 ? 16 : 2 * heap->cap;
		heap->items = xreallocarray(heap->items, heap->cap, sizeof(uint32_t));
	}
	heap->items[heap->count++] = class;
}

/* The heap of parties that have these families, and faces of this class only: what is
 * said of them depends on the part alone. Nearly all parties are such. */
static uint32_t
lone_heap(struct conn_viewer *v, uint32_t face_class, uint32_t part, unsigned families,
    const struct conn_value *rest)
{
	struct conn_value value = *rest;
	const struct conn_value *judged;

	if (v->parts[part].heaps[families] != 0)
		return v->parts[part].heaps[families];
	judged = class_value(v, face_class);
	for (unsigned f = 0; f < CONN_FAMILIES; f++) {
		/* Without an address it is in flows of either family. */
		if ((v->world->families & 1u << f) != 0 &&
		    (families & (1u | 1u << f)) != 0)
			value.sets[f] = judged->sets[f];
	}
	v->parts[part].heaps[families] =
	    heap_of(v, conn_value_intern(v->world, &value), rest);
	return v->parts[part].heaps[families];
}

/* The party classes that have a face of a class, by what the side says of them. */
static void
heap_class(struct conn_viewer *v, uint32_t element, uint32_t part,
    const struct conn_value *rest)
{
	const struct conn_plane *plane = v->plane;

	for (uint32_t j = plane->member_first[element];
	     j < plane->member_first[element + 1]; j++) {
		const struct conn_member *member = &plane->members[j];
		uint32_t class = member->party_class;
		uint32_t heap;

		if (member->lone != 0) {
			heap = lone_heap(v, element, part, member->lone, rest);
		} else if (v->class_stamp[class] != v->side->serial) {
			v->class_stamp[class] = v->side->serial;
			heap = heap_of(v,
			    party_value(v, &plane->party_classes[class], rest), rest);
		} else {
			continue;
		}
		add_to_heap(v, heap, class);
	}
}

/* The classes that are in large sets only. Where they are told as the rest is, none of
 * their parties is an exception for what it has there. */
static void
heap_bulk(struct conn_viewer *v, unsigned mask, const struct conn_value *rest)
{
	uint32_t none = v->plane->class_count;
	uint32_t element = conn_bulk_next(v, mask, 0, none);
	uint32_t part;

	if (element == none || class_value(v, element) == rest)
		return;
	part = conn_cut_part(v, element);
	for (; element != none; element = conn_bulk_next(v, mask, element + 1, none))
		heap_class(v, element, part, rest);
}

/* The party classes that have a face outside the rest, by what the side says of them. */
static void
heap_exceptions(struct conn_viewer *v, const struct conn_value *rest)
{
	v->heap_count = 0;
	for (size_t i = 0; i < v->element_count; i++)
		heap_class(v, v->elements[i], v->part_of[v->elements[i]], rest);
	for (unsigned mask = 1; mask < 1u << v->bulk_count; mask++)
		heap_bulk(v, mask, rest);
}

static struct conn_exception *
make_exceptions(struct conn_viewer *v)
{
	struct conn_exception *exceptions =
	    ARENA_ARRAY(v->scratch, v->heap_count, struct conn_exception);

	for (size_t i = 0; i < v->heap_count; i++) {
		exceptions[i].value = v->heaps[i].value;
		exceptions[i].classes =
		    conn_bitmap_of(&v->sieve, v->heaps[i].items, v->heaps[i].count);
		(void)roaring_bitmap_run_optimize(exceptions[i].classes);
	}
	return exceptions;
}

/* ---- views ---- */

static int
exception_cmp(const void *a, const void *b)
{
	const struct conn_exception *x = a, *y = b;
	uint32_t min_x = roaring_bitmap_minimum(x->classes);
	uint32_t min_y = roaring_bitmap_minimum(y->classes);

	return (min_x > min_y) - (min_x < min_y);
}

static void
view_key(struct buf *key, const struct conn_view *view)
{
	buf_add(key, &view->rest, sizeof(view->rest));
	for (unsigned f = 0; f < 2; f++) {
		const struct conn_spans *spans = view->outside[f];

		key_add_u32(key, spans != NULL ? (uint32_t)spans->count : UINT32_MAX);
		for (size_t i = 0; spans != NULL && i < spans->count; i++) {
			buf_add(key, &spans->items[i].set, sizeof(spans->items[i].set));
			buf_add(key, spans->items[i].last.bytes,
			    sizeof(spans->items[i].last.bytes));
		}
	}
	for (size_t i = 0; i < view->count; i++) {
		const struct conn_exception *e = &view->exceptions[i];

		buf_add(key, &e->value, sizeof(e->value));
		buf_reserve(key, roaring_bitmap_portable_size_in_bytes(e->classes));
		key->len +=
		    roaring_bitmap_portable_serialize(e->classes, key->data + key->len);
	}
}

static void
add_view(struct conn_plane *plane, struct conn_view *view)
{
	view->index = (uint32_t)plane->view_count;
	if (plane->view_count == plane->view_cap) {
		plane->view_cap = plane->view_cap == 0 ? 64 : 2 * plane->view_cap;
		plane->views = xreallocarray(
		    plane->views, plane->view_cap, sizeof(struct conn_view *));
	}
	plane->views[plane->view_count++] = view;
}

/* Takes the bitmaps of the exceptions. */
static struct conn_view *
intern_view(struct conn_viewer *v, struct conn_view *view)
{
	struct conn_plane *plane = v->plane;
	struct buf key = {0};
	struct conn_view *own;

	if (view->count > 1)
		qsort(view->exceptions, view->count, sizeof(*view->exceptions),
		    exception_cmp);
	view_key(&key, view);
	own = map_get(&plane->view_by_key, buf_str(&key));
	if (own == NULL) {
		own = ARENA_NEW(v->world->arena, struct conn_view);
		*own = *view;
		own->exceptions =
		    ARENA_ARRAY(v->world->arena, view->count, struct conn_exception);
		for (size_t i = 0; i < view->count; i++) {
			own->exceptions[i] = view->exceptions[i];
			conn_bitmap_keep(v->world, view->exceptions[i].classes);
		}
		add_view(plane, own);
		(void)map_set(&plane->view_by_key,
		    str_dup(v->world->arena, buf_str(&key)), own); /* new */
	} else {
		for (size_t i = 0; i < view->count; i++)
			roaring_bitmap_free(view->exceptions[i].classes);
	}
	buf_free(&key);
	return own;
}

static void
view_parties(struct conn_viewer *v, struct conn_view *view)
{
	struct conn_plane *plane = v->plane;
	struct endpoint nobody = {.kind = ENDPOINT_ADDRESS};
	uint32_t first;

	conn_cut_begin(v, plane->class_count);
	conn_bulk_choose(v, plane->class_count);
	for (uint32_t i = 0; i < v->set_count; i++) {
		if (!conn_bulk_has(v, i))
			conn_cut_by(v, i, plane->sets[v->sets[i].index]->classes,
			    plane->class_count);
	}
	first = conn_cut_first_of_rest(v, plane->class_count);
	view->rest = first < plane->class_count
			 ? class_value(v, first)
			 : conn_view_judge(v, 0, &nobody, v->world->families);
	heap_exceptions(v, view->rest);
	view->exceptions = make_exceptions(v);
	view->count = v->heap_count;
	conn_cut_forget(v);
}

/* Of a side that is not whole: what it says to those whom it is asked about. */
static void
view_asked(struct conn_viewer *v, struct conn_view *view)
{
	struct conn_plane *plane = v->plane;

	conn_cut_begin(v, plane->class_count);
	for (uint32_t i = 0; i < v->set_count; i++) {
		roaring_bitmap_t *some = roaring_bitmap_and(
		    plane->sets[v->sets[i].index]->classes, plane->asked_classes);

		if (some == NULL)
			base_die("out of memory");
		conn_cut_by(v, i, some, UINT32_MAX);
		roaring_bitmap_free(some);
	}
	conn_cut_look_at(v, plane->asked_classes);
	view->rest = value_none(v->world);
	heap_exceptions(v, view->rest);
	view->exceptions = make_exceptions(v);
	view->count = v->heap_count;
	conn_cut_forget(v);
}

/* ---- all sides ---- */

static bool
outside_listed(const struct conn_world *world, enum ip_family family)
{
	return family == IP_V4 ? world->options.family != IP_V6 : world->outside6;
}

static void
view_side(struct conn_viewer *v, struct conn_side *side)
{
	struct conn_view view = {0};

	v->side = side;
	if (side->step_count > v->step_cap) {
		v->step_cap = 2 * side->step_count;
		v->on = xreallocarray(v->on, v->step_cap, sizeof(*v->on));
	}
	conn_view_collect(v);
	conn_view_index_steps(v);
	v->flipped = arena_array(v->scratch, v->set_count + 1, sizeof(*v->flipped));
	for (unsigned f = 0; f < 2; f++) {
		enum ip_family family = f == 0 ? IP_V4 : IP_V6;

		if (side->whole && outside_listed(v->world, family))
			view.outside[f] = conn_view_outside(v, family);
		side->outside[f] = view.outside[f];
	}
	if (side->whole)
		view_parties(v, &view);
	else
		view_asked(v, &view);
	side->view = intern_view(v, &view);
	for (size_t i = 0; i < v->set_count; i++)
		v->place_of_set[v->sets[i].index] = 0;
	arena_reset(v->scratch);
}

static void
view_plane(struct conn_world *world, struct conn_plane *plane)
{
	struct conn_viewer v = {
	    .world = world,
	    .plane = plane,
	    .scratch = arena_new(),
	};
	struct conn_view open = {.rest = conn_value_all(world)};

	v.place_of_set = xcalloc(plane->set_count + 1, sizeof(*v.place_of_set));
	v.class_stamp =
	    xcalloc((size_t)plane->party_class_count + 1, sizeof(*v.class_stamp));
	for (unsigned f = 0; f < 2; f++) {
		enum ip_family family = f == 0 ? IP_V4 : IP_V6;

		if (outside_listed(world, family))
			open.outside[f] = conn_whole_outside(world, family);
	}
	/* The first view of a plane is that of ends without policy. */
	(void)intern_view(&v, &open);
	for (size_t i = 0; i < plane->side_count; i++) {
		plane->sides[i]->serial = (uint32_t)i + 1;
		view_side(&v, plane->sides[i]);
	}
	portset_fini(&v.ports);
	free(v.sets);
	free(v.place_of_set);
	free(v.on);
	free(v.parts);
	free(v.part_of);
	free(v.elements);
	free(v.members);
	for (size_t i = 0; i < v.heap_cap; i++)
		free(v.heaps[i].items);
	free(v.heaps);
	free(v.sieve.words);
	free(v.class_stamp);
	arena_free(v.scratch);
}

void
conn_views_build(struct conn_world *world)
{
	for (size_t d = 0; d < DIRECTION_COUNT; d++)
		view_plane(world, &world->planes[d]);
}

const struct conn_view *
conn_party_view(
    const struct conn_world *world, const struct conn_party *party, enum direction dir)
{
	const struct conn_side *side = party->sides[dir];

	return side != NULL ? side->view : world->planes[dir].views[0];
}
