/*
 * What a side says of every class of peers. Most peers are alike to it: they are `rest`;
 * the others are found from the sets that its rules speak of, each by its members or, if
 * these are more than half, by those that are not in it. Work is in proportion to them.
 */
#include "policy-lang/connectivity_world.h"

#include <roaring/roaring.h>
#include <stdlib.h>
#include <string.h>

/* An element (a class, or a range of the outside) that differs from the rest in whether
 * it is in a set. */
struct flip {
	uint32_t element;
	uint32_t set; /* place among the side's sets */
};

/* A set that the side speaks of. */
struct spoken {
	uint32_t index; /* of the plane */
	bool base;      /* the rest is in it */
};

/* One side under work. */
struct viewer {
	struct conn_world *world;
	struct conn_plane *plane;
	struct conn_side *side;
	struct portset ports;
	struct spoken *sets;
	size_t set_count, set_cap;
	uint32_t *place_of_set; /* by set of the plane: place + 1 among `sets` */
	struct flip *flips;
	size_t flip_count, flip_cap;
	uint32_t *first_step; /* of each spoken set: its part of set_steps */
	uint32_t *set_steps;  /* steps that speak of it */
	size_t step_cap;
	uint32_t *on;     /* steps */
	uint8_t *flipped; /* by place: in the flips of the element at hand */
	struct map parts;
	const struct conn_value **class_values; /* of face classes; NULL: as the rest */
	uint32_t *moved;
	size_t moved_count, moved_cap;
	struct conn_exception *exceptions;
	size_t exception_cap;
	struct arena *scratch;
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

/* ---- elements ---- */

static void
add_flip(struct viewer *v, uint32_t element, uint32_t set)
{
	if (v->flip_count == v->flip_cap) {
		v->flip_cap = v->flip_cap == 0 ? 256 : 2 * v->flip_cap;
		v->flips = xreallocarray(v->flips, v->flip_cap, sizeof(*v->flips));
	}
	v->flips[v->flip_count++] = (struct flip){element, set};
}

/* The members of a set, of `total` elements, or those that are not in it. */
static void
flip_set(
    struct viewer *v, uint32_t place, const roaring_bitmap_t *elements, uint32_t total)
{
	uint64_t count = roaring_bitmap_get_cardinality(elements);
	roaring_bitmap_t *others = NULL;
	roaring_uint32_iterator_t *it;

	v->sets[place].base = count > total / 2;
	if (v->sets[place].base) {
		others = roaring_bitmap_flip(elements, 0, total);
		if (others == NULL)
			base_die("out of memory");
		elements = others;
	}
	it = roaring_create_iterator(elements);
	if (it == NULL)
		base_die("out of memory");
	for (; it->has_value; roaring_advance_uint32_iterator(it))
		add_flip(v, it->current_value, place);
	roaring_free_uint32_iterator(it);
	if (others != NULL)
		roaring_bitmap_free(others);
}

static int
flip_cmp(const void *a, const void *b)
{
	const struct flip *x = a, *y = b;

	if (x->element != y->element)
		return x->element < y->element ? -1 : 1;
	return (x->set > y->set) - (x->set < y->set);
}

static int
u32_cmp(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The steps that hold for elements with these flips, in order. */
static size_t
steps_on(struct viewer *v, const struct flip *flips, size_t count)
{
	size_t on = 0;

	for (size_t i = 0; i < count; i++) {
		uint32_t set = flips[i].set;

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
	for (size_t i = 0; i < count; i++)
		v->flipped[flips[i].set] = 0;
	if (on > 1)
		qsort(v->on, on, sizeof(*v->on), u32_cmp);
	return on;
}

/* What the side says to peers with these flips; `peer` is one of them. */
static struct conn_value *
judge(struct viewer *v, const struct flip *flips, size_t count,
    const struct endpoint *peer, unsigned families)
{
	size_t on = steps_on(v, flips, count);
	struct conn_value value = {0};

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
	return conn_value_intern(v->world, &value);
}

static void
add_moved(struct viewer *v, uint32_t element)
{
	if (v->moved_count == v->moved_cap) {
		v->moved_cap = v->moved_cap == 0 ? 256 : 2 * v->moved_cap;
		v->moved = xreallocarray(v->moved, v->moved_cap, sizeof(*v->moved));
	}
	v->moved[v->moved_count++] = element;
}

/* Judges every element that differs from the rest: elements with equal flips once. Calls
 * `each` in rising order. */
static void
judge_elements(struct viewer *v, unsigned families,
    struct endpoint (*peer_at)(struct viewer *v, uint32_t element),
    void (*each)(void *ctx, uint32_t element, const struct conn_value *value),
    void *ctx)
{
	size_t i = 0;

	if (v->flip_count > 1)
		qsort(v->flips, v->flip_count, sizeof(*v->flips), flip_cmp);
	v->moved_count = 0;
	while (i < v->flip_count) {
		uint32_t element = v->flips[i].element;
		size_t first = i;
		struct buf key = {0};
		struct conn_value *value;

		for (; i < v->flip_count && v->flips[i].element == element; i++)
			key_add_u32(&key, v->flips[i].set);
		value = map_get(&v->parts, buf_str(&key));
		if (value == NULL) {
			struct endpoint peer = peer_at(v, element);

			value = judge(v, &v->flips[first], i - first, &peer, families);
			(void)map_set(&v->parts, str_dup(v->scratch, buf_str(&key)),
			    value); /* new */
		}
		buf_free(&key);
		add_moved(v, element);
		each(ctx, element, value);
	}
	map_fini(&v->parts);
	v->parts = (struct map){0};
}

/* The first element that is not among the moved ones; `total` if all are. */
static uint32_t
first_of_rest(const struct viewer *v, uint32_t total)
{
	uint32_t element = 0;

	while (element < v->moved_count && v->moved[element] == element)
		element++;
	return element < total ? element : total;
}

/* ---- parties ---- */

static struct endpoint
face_at(struct viewer *v, uint32_t class)
{
	return v->world->faces[v->plane->representatives[class]].end;
}

static void
keep_class_value(void *ctx, uint32_t class, const struct conn_value *value)
{
	((struct viewer *)ctx)->class_values[class] = value;
}

static const struct conn_set *
join_faces(struct viewer *v, const struct conn_party_class *class, unsigned place,
    const struct conn_value *rest)
{
	const struct conn_set *all = NULL;
	unsigned family = conn_family_at(place);

	for (size_t i = 0; i < class->count; i++) {
		const struct conn_value *value =
		    v->class_values[class->items[i].face_class];
		const struct conn_set *set;

		/* Without an address it is in flows of either family. */
		if (class->items[i].family != 0 && class->items[i].family != family)
			continue;
		set = (value != NULL ? value : rest)->sets[place];
		all = all == NULL ? set : conn_set_join(v->world->pool, all, set);
	}
	return all;
}

/* What the side says of a party: any of its addresses will do. In families in which it
 * has none the rest's value stands: nobody asks. */
static const struct conn_value *
party_value(struct viewer *v, const struct conn_party_class *class,
    const struct conn_value *rest)
{
	struct conn_value value = *rest;

	for (unsigned f = 0; f < CONN_FAMILIES; f++) {
		const struct conn_set *set;

		if ((v->world->families & 1u << f) == 0)
			continue;
		set = join_faces(v, class, f, rest);
		if (set != NULL)
			value.sets[f] = set;
	}
	return conn_value_intern(v->world, &value);
}

static int
exception_cmp(const void *a, const void *b)
{
	const struct conn_exception *x = a, *y = b;

	return (x->party_class > y->party_class) - (x->party_class < y->party_class);
}

static size_t
collect_exceptions(struct viewer *v, const struct conn_value *rest)
{
	const struct conn_plane *plane = v->plane;
	size_t count = 0, kept = 0;

	for (size_t i = 0; i < v->moved_count; i++) {
		uint32_t class = v->moved[i];

		for (uint32_t j = plane->face_class_first[class];
		     j < plane->face_class_first[class + 1]; j++) {
			if (count == v->exception_cap) {
				v->exception_cap = count == 0 ? 256 : 2 * count;
				v->exceptions = xreallocarray(v->exceptions,
				    v->exception_cap, sizeof(*v->exceptions));
			}
			v->exceptions[count++].party_class =
			    plane->face_class_parties[j];
		}
	}
	if (count > 1)
		qsort(v->exceptions, count, sizeof(*v->exceptions), exception_cmp);
	for (size_t i = 0; i < count; i++) {
		struct conn_exception *e = &v->exceptions[kept];
		uint32_t class = v->exceptions[i].party_class;

		if (i > 0 && class == v->exceptions[i - 1].party_class)
			continue;
		e->value = party_value(v, &plane->party_classes[class], rest);
		e->party_class = class;
		kept += e->value != rest;
	}
	return kept;
}

static struct conn_view *
intern_view(struct viewer *v, const struct conn_view *view)
{
	struct conn_plane *plane = v->plane;
	struct buf key = {0};
	struct conn_view *own;

	buf_add(&key, &view->rest, sizeof(view->rest));
	for (unsigned f = 0; f < 2; f++) {
		const struct conn_spans *spans = view->outside[f];

		key_add_u32(&key, spans != NULL ? (uint32_t)spans->count : UINT32_MAX);
		for (size_t i = 0; spans != NULL && i < spans->count; i++) {
			buf_add(
			    &key, &spans->items[i].set, sizeof(spans->items[i].set));
			buf_add(&key, spans->items[i].last.bytes,
			    sizeof(spans->items[i].last.bytes));
		}
	}
	for (size_t i = 0; i < view->count; i++) {
		key_add_u32(&key, view->exceptions[i].party_class);
		buf_add(&key, &view->exceptions[i].value,
		    sizeof(view->exceptions[i].value));
	}
	own = map_get(&plane->view_by_key, buf_str(&key));
	if (own == NULL) {
		struct conn_exception *exceptions =
		    ARENA_ARRAY(v->world->arena, view->count, struct conn_exception);

		for (size_t i = 0; i < view->count; i++)
			exceptions[i] = view->exceptions[i];
		own = ARENA_NEW(v->world->arena, struct conn_view);
		*own = *view;
		own->exceptions = exceptions;
		own->index = (uint32_t)plane->view_count;
		if (plane->view_count == plane->view_cap) {
			plane->view_cap =
			    plane->view_cap == 0 ? 64 : 2 * plane->view_cap;
			plane->views = xreallocarray(
			    plane->views, plane->view_cap, sizeof(struct conn_view *));
		}
		plane->views[plane->view_count++] = own;
		(void)map_set(
		    &plane->view_by_key, str_dup(v->world->arena, buf_str(&key)), own);
	}
	buf_free(&key);
	return own;
}

static const struct conn_value *
judge_rest(struct viewer *v, uint32_t total, unsigned families,
    struct endpoint (*peer_at)(struct viewer *v, uint32_t element))
{
	uint32_t element = first_of_rest(v, total);
	struct endpoint nobody = {.kind = ENDPOINT_ADDRESS};
	struct endpoint peer = element < total ? peer_at(v, element) : nobody;

	return judge(v, NULL, 0, &peer, families);
}

static void
view_parties(struct viewer *v, struct conn_view *view)
{
	struct conn_plane *plane = v->plane;

	v->flip_count = 0;
	for (uint32_t i = 0; i < v->set_count; i++)
		flip_set(
		    v, i, plane->sets[v->sets[i].index]->classes, plane->class_count);
	judge_elements(v, v->world->families, face_at, keep_class_value, v);
	view->rest = judge_rest(v, plane->class_count, v->world->families, face_at);
	view->count = collect_exceptions(v, view->rest);
	view->exceptions = v->exceptions;
	for (size_t i = 0; i < v->moved_count; i++)
		v->class_values[v->moved[i]] = NULL;
}

/* ---- the outside ---- */

/* The outside of one family, cut where the side's networks begin and end. */
struct cuts {
	addr_num *firsts;
	uint32_t count;
};

struct outside {
	struct viewer *v;
	const struct conn_set **sets; /* by range; NULL: as the rest */
	unsigned place;
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
flip_ranges(struct viewer *v, const struct cuts *cuts, unsigned f, addr_num last)
{
	v->flip_count = 0;
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
		flip_set(v, i, ranges, cuts->count);
		roaring_bitmap_free(ranges);
	}
}

static struct endpoint
outside_at(struct viewer *v UNUSED, uint32_t element UNUSED)
{
	return (struct endpoint){.kind = ENDPOINT_ADDRESS};
}

static void
keep_range_set(void *ctx, uint32_t element, const struct conn_value *value)
{
	struct outside *o = ctx;

	o->sets[element] = value->sets[o->place];
}

static struct ip_addr
addr_of(addr_num num, enum ip_family family)
{
	struct ip_addr addr = {.family = family};

	addr_num_bytes(num, family, addr.bytes);
	return addr;
}

static const struct conn_spans *
spans_of(struct viewer *v, const struct cuts *cuts, const struct conn_set *const *sets,
    const struct conn_set *rest, enum ip_family family)
{
	struct conn_spans *spans = ARENA_NEW(v->world->arena, struct conn_spans);

	spans->items = ARENA_ARRAY(v->world->arena, cuts->count, struct conn_span);
	for (uint32_t i = 0; i < cuts->count; i++) {
		const struct conn_set *set = sets[i] != NULL ? sets[i] : rest;
		addr_num last = i + 1 < cuts->count ? cuts->firsts[i + 1] - 1
						    : everything(family).hi;
		struct conn_span *span;

		if (spans->count == 0 || spans->items[spans->count - 1].set != set) {
			span = &spans->items[spans->count++];
			span->first = addr_of(cuts->firsts[i], family);
			span->set = set;
		}
		span = &spans->items[spans->count - 1];
		span->last = addr_of(last, family);
	}
	return spans;
}

static const struct conn_spans *
view_outside(struct viewer *v, enum ip_family family)
{
	unsigned f = family == IP_V6;
	struct cuts cuts = find_cuts(v, f, family);
	struct outside o = {.v = v, .place = conn_family_place(family)};
	const struct conn_value *rest;
	const struct conn_spans *spans;

	o.sets = xcalloc(cuts.count, sizeof(*o.sets));
	flip_ranges(v, &cuts, f, everything(family).hi);
	judge_elements(v, 1u << o.place, outside_at, keep_range_set, &o);
	rest = judge_rest(v, cuts.count, 1u << o.place, outside_at);
	spans = spans_of(v, &cuts, o.sets, rest->sets[o.place], family);
	free(o.sets);
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
	struct viewer v = {.world = world, .plane = plane, .scratch = arena_new()};
	struct conn_view open = {.rest = conn_value_all(world)};

	v.place_of_set = xcalloc(plane->set_count + 1, sizeof(*v.place_of_set));
	v.class_values =
	    xcalloc((size_t)plane->class_count + 1, sizeof(struct conn_value *));
	for (unsigned f = 0; f < 2; f++) {
		enum ip_family family = f == 0 ? IP_V4 : IP_V6;

		if (outside_listed(world, family))
			open.outside[f] = whole_outside(world, family);
	}
	/* The first view of a plane is that of ends without policy. */
	(void)intern_view(&v, &open);
	for (size_t i = 0; i < plane->side_count; i++)
		view_side(&v, plane->sides[i]);
	portset_fini(&v.ports);
	free(v.sets);
	free(v.place_of_set);
	free(v.flips);
	free(v.on);
	free(v.class_values);
	free(v.moved);
	free(v.exceptions);
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
