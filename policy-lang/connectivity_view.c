/*
 * What a side says of every class of peers. Most peers are alike to it: they are `rest`;
 * the others are found from the sets that its rules speak of, each by its members or, if
 * these are more than half, by those that are not in it. Work is in proportion to them.
 */
#include "policy-lang/connectivity_world.h"

#include <roaring/roaring.h>
#include <stdlib.h>
#include <string.h>

/* A set that the side speaks of. */
struct spoken {
	uint32_t index; /* of the plane */
	bool base;      /* the rest is in it */
};

/* Elements (classes, or ranges of the outside) that are in the same of the side's sets:
 * those of `parent`, but for `set`. Part 0 is the rest. */
struct part {
	uint32_t parent, set;
	uint32_t serial, next;          /* while cutting: where members in the set go */
	const struct conn_value *value; /* NULL: not judged yet */
};

/* What was said of parties with the same two faces: most are of both families. */
struct both {
	uint32_t serial, parts[2];
	unsigned families;
	const struct conn_value *value;
};
#define BOTH_SLOTS 1024 /* a power of 2; a newer one takes the place of an older */

/* Party classes with one value, while a view is made. */
struct heap {
	const struct conn_value *value;
	uint32_t *items;
	size_t count, cap;
};

/* One side under work. */
struct viewer {
	struct conn_world *world;
	struct conn_plane *plane;
	struct conn_side *side;
	struct arena *scratch; /* of the side */
	struct portset ports;
	struct spoken *sets;
	size_t set_count, set_cap;
	uint32_t *place_of_set; /* by set of the plane: place + 1 among `sets` */
	uint32_t *first_step;   /* of each spoken set: its part of set_steps */
	uint32_t *set_steps;    /* steps that speak of it */
	size_t step_cap;
	uint32_t *on;     /* steps */
	uint8_t *flipped; /* by place: in what tells the part at hand from the rest */
	struct part *parts;
	size_t part_count, part_cap;
	uint32_t *part_of; /* by element; all 0 between two views */
	size_t element_cap;
	roaring_bitmap_t *moved; /* elements that are not in the rest */
	uint32_t *elements;      /* the same */
	size_t element_count, elements_cap;
	struct heap *heaps;
	size_t heap_count, heap_cap;
	uint32_t *class_stamp; /* by party class */
	struct both both[BOTH_SLOTS];
	uint32_t serial;
};

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

/* ---- the sets of a side ---- */

static void
speak_of(struct viewer *v, uint32_t set)
{
	if (v->place_of_set[set] != 0)
		return;
	if (v->set_count == v->set_cap) {
		v->set_cap = v->set_cap == 0 ? 16 : 2 * v->set_cap;
		v->sets = xreallocarray(v->sets, v->set_cap, sizeof(*v->sets));
	}
	v->sets[v->set_count++] = (struct spoken){.index = set};
	v->place_of_set[set] = (uint32_t)v->set_count;
}

static void
collect_sets(struct viewer *v)
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
static void
index_steps(struct viewer *v)
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

static uint32_t
new_part(struct viewer *v, uint32_t parent, uint32_t set)
{
	if (v->part_count == v->part_cap) {
		v->part_cap = v->part_cap == 0 ? 64 : 2 * v->part_cap;
		v->parts = xreallocarray(v->parts, v->part_cap, sizeof(*v->parts));
	}
	v->parts[v->part_count] = (struct part){.parent = parent, .set = set};
	return (uint32_t)v->part_count++;
}

static void
begin_cutting(struct viewer *v, size_t total)
{
	v->part_count = 0;
	(void)new_part(v, 0, UINT32_MAX); /* the rest */
	roaring_bitmap_clear(v->moved);
	if (total > v->element_cap) {
		free(v->part_of); /* nothing is in use: all is 0 */
		v->part_of = xcalloc(total, sizeof(*v->part_of));
		v->element_cap = total;
	}
}

static bool
move_element(uint32_t element, void *ctx)
{
	struct viewer *v = ctx;
	uint32_t old = v->part_of[element];

	if (v->parts[old].serial != v->serial) {
		uint32_t next = new_part(v, old, v->serial - 1);

		v->parts[old].serial = v->serial;
		v->parts[old].next = next;
	}
	v->part_of[element] = v->parts[old].next;
	return true;
}

/* Cuts by the side's set at a place: by its members, or by those that are not in it. */
static void
cut_by(
    struct viewer *v, uint32_t place, const roaring_bitmap_t *elements, uint32_t total)
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
	(void)roaring_iterate(elements, move_element, v); /* never stopped */
	roaring_bitmap_or_inplace(v->moved, elements);
	if (others != NULL)
		roaring_bitmap_free(others);
}

static void
end_cutting(struct viewer *v)
{
	v->element_count = roaring_bitmap_get_cardinality(v->moved);
	if (v->element_count > v->elements_cap) {
		v->elements_cap = 2 * v->element_count;
		v->elements =
		    xreallocarray(v->elements, v->elements_cap, sizeof(*v->elements));
	}
	roaring_bitmap_to_uint32_array(v->moved, v->elements);
}

static void
forget_elements(struct viewer *v)
{
	for (size_t i = 0; i < v->element_count; i++)
		v->part_of[v->elements[i]] = 0;
}

/* The first element that has not moved; `total` if all have. */
static uint32_t
first_of_rest(const struct viewer *v, uint32_t total)
{
	uint32_t i = 0;

	while (i < v->element_count && v->elements[i] == i)
		i++;
	return i < total ? i : total;
}

/* ---- judging ---- */

static int
u32_cmp(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The steps that hold for a part, in order. */
static size_t
steps_on(struct viewer *v, uint32_t part)
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

/* What the side says to a part; `peer` is in it. */
static const struct conn_value *
judge(struct viewer *v, uint32_t part, const struct endpoint *peer, unsigned families)
{
	struct conn_value value = {0};
	size_t on;

	if (v->parts[part].value != NULL)
		return v->parts[part].value;
	on = steps_on(v, part);
	for (unsigned f = 0; f < CONN_FAMILIES; f++) {
		unsigned family = conn_family_at(f);

		if ((families & 1u << f) == 0)
			continue;
		conn_side_walk(v->side, v->on, on,
		    peer->kind == ENDPOINT_WORKLOAD ? peer->workload : NULL, family,
		    &v->ports);
		value.sets[f] =
		    conn_side_allowed(v->side, &v->ports, family, v->world->pool);
	}
	v->parts[part].value = conn_value_intern(v->world, &value);
	return v->parts[part].value;
}

/* ---- parties ---- */

static const struct conn_value *
class_value(struct viewer *v, uint32_t class)
{
	uint32_t face = v->plane->representatives[class];

	return judge(
	    v, v->part_of[class], &v->world->faces[face].end, v->world->families);
}

static const struct conn_set *
join_faces(struct viewer *v, const struct conn_party_class *class, unsigned place)
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

static struct both
both_of(const struct viewer *v, const struct conn_party_class *class)
{
	size_t last = class->count - 1;

	return (struct both){
	    .serial = v->side->serial,
	    .parts = {v->part_of[class->items[0].face_class],
		v->part_of[class->items[last].face_class]},
	    .families = class->items[0].family << 8 | class->items[last].family << 4 |
			(unsigned)class->count,
	};
}

/* Where the answer for parties with these faces is kept; NULL: there are too many. */
static struct both *
slot_of(struct viewer *v, const struct conn_party_class *class)
{
	struct both both;

	if (class->count > 2)
		return NULL;
	both = both_of(v, class);
	return &v->both[(both.parts[0] * 31 + both.parts[1] * 17 + both.families) %
			BOTH_SLOTS];
}

static bool
is_same(const struct viewer *v, const struct both *slot,
    const struct conn_party_class *class)
{
	struct both both = both_of(v, class);

	return slot->serial == both.serial && slot->parts[0] == both.parts[0] &&
	       slot->parts[1] == both.parts[1] && slot->families == both.families;
}

/* What the side says of a party: any of its addresses will do. In families in which it
 * has none the rest's value stands: nobody asks. */
static const struct conn_value *
party_value(struct viewer *v, const struct conn_party_class *class,
    const struct conn_value *rest)
{
	struct conn_value value = *rest;
	struct both *slot = slot_of(v, class);

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

/* Heaps are few: they are looked through. */
static void
add_to_heap(struct viewer *v, const struct conn_value *value, uint32_t class)
{
	struct heap *heap;
	size_t i = 0;

	while (i < v->heap_count && v->heaps[i].value != value)
		i++;
	if (i == v->heap_cap) {
		v->heap_cap = i == 0 ? 8 : 2 * i;
		v->heaps = xreallocarray(v->heaps, v->heap_cap, sizeof(*v->heaps));
		memset(&v->heaps[i], 0, (v->heap_cap - i) * sizeof(*v->heaps));
	}
	heap = &v->heaps[i];
	if (i == v->heap_count) {
		v->heap_count++;
		heap->value = value;
		heap->count = 0;
	}
	if (heap->count == heap->cap) {
		heap->cap = heap->cap == 0 ? 16 : 2 * heap->cap;
		heap->items = xreallocarray(heap->items, heap->cap, sizeof(uint32_t));
	}
	heap->items[heap->count++] = class;
}

/* The party classes that have a face outside the rest, by what the side says of them. */
static void
heap_exceptions(struct viewer *v, const struct conn_value *rest)
{
	const struct conn_plane *plane = v->plane;

	v->heap_count = 0;
	for (size_t i = 0; i < v->element_count; i++) {
		uint32_t element = v->elements[i];

		for (uint32_t j = plane->face_class_first[element];
		     j < plane->face_class_first[element + 1]; j++) {
			uint32_t class = plane->face_class_parties[j];
			const struct conn_value *value;

			if (v->class_stamp[class] == v->side->serial)
				continue;
			v->class_stamp[class] = v->side->serial;
			value = party_value(v, &plane->party_classes[class], rest);
			if (value != rest)
				add_to_heap(v, value, class);
		}
	}
}

static struct conn_exception *
make_exceptions(struct viewer *v)
{
	struct conn_exception *exceptions =
	    ARENA_ARRAY(v->scratch, v->heap_count, struct conn_exception);

	for (size_t i = 0; i < v->heap_count; i++) {
		exceptions[i].value = v->heaps[i].value;
		exceptions[i].classes =
		    roaring_bitmap_of_ptr(v->heaps[i].count, v->heaps[i].items);
		if (exceptions[i].classes == NULL)
			base_die("out of memory");
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
intern_view(struct viewer *v, struct conn_view *view)
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
view_parties(struct viewer *v, struct conn_view *view)
{
	struct conn_plane *plane = v->plane;
	struct endpoint nobody = {.kind = ENDPOINT_ADDRESS};
	uint32_t first;

	begin_cutting(v, plane->class_count);
	for (uint32_t i = 0; i < v->set_count; i++)
		cut_by(
		    v, i, plane->sets[v->sets[i].index]->classes, plane->class_count);
	end_cutting(v);
	first = first_of_rest(v, plane->class_count);
	view->rest = first < plane->class_count
			 ? class_value(v, first)
			 : judge(v, 0, &nobody, v->world->families);
	heap_exceptions(v, view->rest);
	view->exceptions = make_exceptions(v);
	view->count = v->heap_count;
	forget_elements(v);
}

/* ---- the outside ---- */

/* The outside of one family, cut where the side's networks begin and end. */
struct cuts {
	addr_num *firsts;
	uint32_t count;
};

static int
num_cmp(const void *a, const void *b)
{
	addr_num x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

static struct addr_range
everything(enum ip_family family)
{
	struct ip_prefix prefix = {.addr = {.family = family}};

	return prefix_to_range(&prefix);
}

static struct cuts
find_cuts(const struct viewer *v, unsigned f, enum ip_family family)
{
	struct cuts cuts = {0};
	addr_num last = everything(family).hi;
	size_t total = 1;
	uint32_t kept = 0;

	for (size_t i = 0; i < v->set_count; i++)
		total += 2 * v->plane->sets[v->sets[i].index]->nets[f].count;
	cuts.firsts = xcalloc(total, sizeof(*cuts.firsts));
	cuts.count = 1; /* the first address */
	for (size_t i = 0; i < v->set_count; i++) {
		const struct addrset *nets = &v->plane->sets[v->sets[i].index]->nets[f];

		for (size_t j = 0; j < nets->count; j++) {
			cuts.firsts[cuts.count++] = nets->ranges[j].lo;
			if (nets->ranges[j].hi != last)
				cuts.firsts[cuts.count++] = nets->ranges[j].hi + 1;
		}
	}
	qsort(cuts.firsts, cuts.count, sizeof(*cuts.firsts), num_cmp);
	for (uint32_t i = 0; i < cuts.count; i++) {
		if (kept == 0 || cuts.firsts[kept - 1] != cuts.firsts[i])
			cuts.firsts[kept++] = cuts.firsts[i];
	}
	cuts.count = kept;
	return cuts;
}

/* The range that begins there; `count` behind the last. */
static uint32_t
range_at(const struct cuts *cuts, addr_num first)
{
	uint32_t lo = 0, hi = cuts->count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (cuts->firsts[mid] < first)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void
cut_ranges(struct viewer *v, const struct cuts *cuts, unsigned f, addr_num last)
{
	for (uint32_t i = 0; i < v->set_count; i++) {
		const struct addrset *nets = &v->plane->sets[v->sets[i].index]->nets[f];
		roaring_bitmap_t *ranges = roaring_bitmap_create();

		if (ranges == NULL)
			base_die("out of memory");
		for (size_t j = 0; j < nets->count; j++) {
			uint32_t end = nets->ranges[j].hi == last
					   ? cuts->count
					   : range_at(cuts, nets->ranges[j].hi + 1);

			roaring_bitmap_add_range(
			    ranges, range_at(cuts, nets->ranges[j].lo), end);
		}
		cut_by(v, i, ranges, cuts->count);
		roaring_bitmap_free(ranges);
	}
}

static struct ip_addr
addr_of(addr_num num, enum ip_family family)
{
	struct ip_addr addr = {.family = family};

	addr_num_bytes(num, family, addr.bytes);
	return addr;
}

static const struct conn_spans *
spans_of(struct viewer *v, const struct cuts *cuts, enum ip_family family)
{
	struct conn_spans *spans = ARENA_NEW(v->world->arena, struct conn_spans);
	struct endpoint outside = {.kind = ENDPOINT_ADDRESS};
	unsigned place = conn_family_place(family);
	struct conn_span *items =
	    ARENA_ARRAY(v->scratch, cuts->count, struct conn_span);

	for (uint32_t i = 0; i < cuts->count; i++) {
		const struct conn_set *set =
		    judge(v, v->part_of[i], &outside, 1u << place)->sets[place];
		addr_num last = i + 1 < cuts->count ? cuts->firsts[i + 1] - 1
						    : everything(family).hi;

		if (spans->count == 0 || items[spans->count - 1].set != set)
			items[spans->count++] = (struct conn_span){
			    .first = addr_of(cuts->firsts[i], family), .set = set};
		items[spans->count - 1].last = addr_of(last, family);
	}
	spans->items = ARENA_ARRAY(v->world->arena, spans->count, struct conn_span);
	for (size_t i = 0; i < spans->count; i++)
		spans->items[i] = items[i];
	return spans;
}

static const struct conn_spans *
view_outside(struct viewer *v, enum ip_family family)
{
	unsigned f = family == IP_V6;
	struct cuts cuts = find_cuts(v, f, family);
	const struct conn_spans *spans;

	begin_cutting(v, cuts.count);
	cut_ranges(v, &cuts, f, everything(family).hi);
	end_cutting(v);
	spans = spans_of(v, &cuts, family);
	forget_elements(v);
	free(cuts.firsts);
	return spans;
}

/* ---- all sides ---- */

static bool
outside_listed(const struct conn_world *world, enum ip_family family)
{
	return family == IP_V4 ? world->options.family != IP_V6 : world->outside6;
}

static void
view_side(struct viewer *v, struct conn_side *side)
{
	struct conn_view view = {0};

	v->side = side;
	if (side->step_count > v->step_cap) {
		v->step_cap = 2 * side->step_count;
		v->on = xreallocarray(v->on, v->step_cap, sizeof(*v->on));
	}
	collect_sets(v);
	index_steps(v);
	v->flipped = arena_array(v->scratch, v->set_count + 1, sizeof(*v->flipped));
	for (unsigned f = 0; f < 2; f++) {
		enum ip_family family = f == 0 ? IP_V4 : IP_V6;

		if (outside_listed(v->world, family))
			view.outside[f] = view_outside(v, family);
		side->outside[f] = view.outside[f];
	}
	view_parties(v, &view);
	side->view = intern_view(v, &view);
	for (size_t i = 0; i < v->set_count; i++)
		v->place_of_set[v->sets[i].index] = 0;
	arena_reset(v->scratch);
}

/* An end without policy: a side without steps says the same, but for the default. */
static const struct conn_spans *
whole_outside(struct conn_world *world, enum ip_family family)
{
	struct conn_spans *spans = ARENA_NEW(world->arena, struct conn_spans);
	struct addr_range all = everything(family);

	spans->items = ARENA_NEW(world->arena, struct conn_span);
	spans->items[0] = (struct conn_span){
	    addr_of(all.lo, family),
	    addr_of(all.hi, family),
	    conn_set_all(world->pool, conn_possible(family)),
	};
	spans->count = 1;
	return spans;
}

static void
view_plane(struct conn_world *world, struct conn_plane *plane)
{
	struct viewer v = {
	    .world = world,
	    .plane = plane,
	    .scratch = arena_new(),
	    .moved = roaring_bitmap_create(),
	};
	struct conn_view open = {.rest = conn_value_all(world)};

	v.place_of_set = xcalloc(plane->set_count + 1, sizeof(*v.place_of_set));
	v.class_stamp =
	    xcalloc((size_t)plane->party_class_count + 1, sizeof(*v.class_stamp));
	if (v.moved == NULL)
		base_die("out of memory");
	for (unsigned f = 0; f < 2; f++) {
		enum ip_family family = f == 0 ? IP_V4 : IP_V6;

		if (outside_listed(world, family))
			open.outside[f] = whole_outside(world, family);
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
	for (size_t i = 0; i < v.heap_cap; i++)
		free(v.heaps[i].items);
	free(v.heaps);
	free(v.class_stamp);
	roaring_bitmap_free(v.moved);
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
