/*
 * What policy can tell apart: the sets of peers that sides' rules speak of cut all
 * addresses into classes.
 */
#include "policy-lang/connectivity/connectivity_world.h"

#include <roaring/roaring.h>
#include <stdlib.h>
#include <string.h>

#include "policy-lang/model/peer_key.h"

static void
append(uint32_t **items, size_t *count, size_t *cap, uint32_t item)
{
	if (*count == *cap) {
		*cap = *cap == 0 ? 4 : 2 * *cap;
		*items = xreallocarray(*items, *cap, sizeof(**items));
	}
	(*items)[(*count)++] = item;
}

/* ---- sets of peers ---- */

/* The sets that sides of one kind speak of. */
struct known_sets {
	const struct roaring_bitmap_s *within; /* NULL: all faces */
	struct map by_key, by_rule;
};

static struct conn_peers *
new_set(struct conn_world *world, struct conn_plane *plane)
{
	struct conn_peers *set = ARENA_NEW(world->arena, struct conn_peers);

	set->faces = conn_bitmap(world);
	set->index = (uint32_t)plane->set_count;
	if (plane->set_count == plane->set_cap) {
		plane->set_cap = plane->set_cap == 0 ? 64 : 2 * plane->set_cap;
		plane->sets = xreallocarray(
		    plane->sets, plane->set_cap, sizeof(struct conn_peers *));
	}
	plane->sets[plane->set_count++] = set;
	return set;
}

static struct conn_peers *
set_of_key(struct conn_world *world, struct conn_plane *plane, struct known_sets *known,
    const struct rule *rule)
{
	struct str key = peer_key_of_rule(world->arena, rule);
	struct conn_peers *set;

	if (key.len == 0)
		return NULL;
	set = map_get(&known->by_key, key);
	if (set != NULL)
		return set;
	set = new_set(world, plane);
	conn_rule_faces(world, rule, known->within, set->faces);
	if (known->within == NULL)
		conn_rule_nets(rule, set->nets);
	(void)map_set(&known->by_key, key, set); /* new */
	return set;
}

static uint32_t
set_of_rule(struct conn_world *world, struct conn_plane *plane,
    struct known_sets *known, const struct rule *rule)
{
	struct str key = {(const char *)&rule, sizeof(rule)};
	struct conn_peers *set;

	if (rule->any_peer)
		return CONN_EVERYONE;
	set = map_get(&known->by_rule, key);
	if (set == NULL) {
		set = set_of_key(world, plane, known, rule);
		if (set == NULL)
			return CONN_NOBODY;
		(void)map_set(&known->by_rule, str_dup(world->arena, key), set);
	}
	/* Of who is not asked about nothing is said. */
	return known->within == NULL || !roaring_bitmap_is_empty(set->faces)
		   ? set->index
		   : CONN_NOBODY;
}

static void
want_names(struct conn_world *world, struct conn_plane *plane, const struct rule *rule)
{
	for (size_t i = 0; i < rule->port_count; i++) {
		const struct port_match *match = &rule->ports[i];

		if (match->kind == PORT_NAMED &&
		    map_get(&plane->meanings, match->name) == NULL)
			(void)map_set(&plane->meanings, match->name,
			    ARENA_NEW(world->arena, struct conn_meanings));
	}
}

static void
make_sets(struct conn_world *world, struct conn_plane *plane)
{
	struct known_sets whole = {0}, asked = {.within = plane->asked};

	for (size_t i = 0; i < plane->side_count; i++) {
		struct conn_side *side = plane->sides[i];

		for (size_t j = 0; j < side->step_count; j++) {
			struct conn_step *step = &side->steps[j];

			if (step->rule == NULL)
				continue;
			step->peers = set_of_rule(
			    world, plane, side->whole ? &whole : &asked, step->rule);
			if (plane->dir == DIR_EGRESS)
				want_names(world, plane, step->rule);
		}
	}
	map_fini(&whole.by_key);
	map_fini(&whole.by_rule);
	map_fini(&asked.by_key);
	map_fini(&asked.by_rule);
}

/* ---- what port names mean at peers ---- */

/* The set of the workloads that give the name the same ports as this one. */
static struct conn_peers *
meaning_at(struct conn_world *world, struct conn_plane *plane, struct map *by_ports,
    const struct workload *w, struct str name)
{
	struct conn_meanings *meanings = map_get(&plane->meanings, name);
	struct conn_peers *set;
	const struct named_port *ports;
	struct buf key = {0};
	size_t count;

	if (meanings == NULL)
		return NULL;
	key_add_str(&key, name);
	ports = workload_ports_named(w, name, &count);
	for (size_t i = 0; i < count; i++)
		key_add_u32(&key, (uint32_t)ports[i].proto << 16 | ports[i].port);
	set = map_get(by_ports, buf_str(&key));
	if (set == NULL) {
		set = new_set(world, plane);
		set->port_name = name;
		append(&meanings->sets, &meanings->count, &meanings->cap, set->index);
		(void)map_set(
		    by_ports, str_dup(world->arena, buf_str(&key)), set); /* new */
	}
	buf_free(&key);
	return set;
}

static void
make_meanings(struct conn_world *world, struct conn_plane *plane)
{
	struct map by_ports = {0};

	for (uint32_t i = 0; plane->meanings.len > 0 && i < world->face_count; i++) {
		const struct workload *w = world->faces[i].end.workload;

		if (world->faces[i].end.kind != ENDPOINT_WORKLOAD)
			continue;
		for (size_t j = 0; j < w->shape->port_count; j++) {
			const struct named_port *port = &w->shape->ports[j];
			struct conn_peers *set;

			if (!workload_port_is_first(w, j))
				continue;
			set = meaning_at(world, plane, &by_ports, w, port->name);
			if (set != NULL)
				roaring_bitmap_add(set->faces, i);
		}
	}
	map_fini(&by_ports);
}

/* ---- classes of faces ---- */

/* A class that is being cut: where its members in the set at hand go. */
struct cut {
	uint32_t serial; /* of the set that made it */
	uint32_t new_class;
};

struct cutter {
	struct conn_world *world;
	struct conn_plane *plane;
	struct cut *cuts; /* by class */
	uint32_t *sizes;  /* by class: faces */
	uint32_t *unused; /* numbers of classes that have lost all faces */
	uint32_t unused_count;
	uint32_t serial;
};

static uint32_t
unused_class(struct cutter *c)
{
	if (c->unused_count > 0)
		return c->unused[--c->unused_count];
	return c->plane->class_count++;
}

static bool
move_face(uint32_t face, void *ctx)
{
	struct cutter *c = ctx;
	uint32_t old = c->plane->class_of[face];
	uint32_t to;

	if (c->cuts[old].serial != c->serial)
		c->cuts[old] = (struct cut){c->serial, unused_class(c)};
	to = c->cuts[old].new_class;
	c->plane->class_of[face] = to;
	c->sizes[to]++;
	if (--c->sizes[old] == 0)
		c->unused[c->unused_count++] = old;
	return true;
}

/* Cutting by a set or by its complement is the same: by the smaller of them. */
static void
cut_by(struct cutter *c, const roaring_bitmap_t *faces)
{
	uint64_t count = roaring_bitmap_get_cardinality(faces);
	uint32_t total = c->world->face_count;
	roaring_bitmap_t *others;

	c->serial++;
	if (count <= total / 2) {
		(void)roaring_iterate(faces, move_face, c); /* never stopped */
		return;
	}
	others = roaring_bitmap_flip(faces, 0, total);
	if (others == NULL)
		base_die("out of memory");
	(void)roaring_iterate(others, move_face, c);
	roaring_bitmap_free(others);
}

/* Numbers the classes that have members, in the order of their first faces. */
static void
close_up(struct cutter *c)
{
	struct conn_plane *plane = c->plane;
	struct conn_world *world = c->world;
	uint32_t *number = ARENA_ARRAY(world->arena, plane->class_count, uint32_t);
	uint32_t count = 0;

	for (uint32_t i = 0; i < plane->class_count; i++)
		number[i] = UINT32_MAX;
	plane->representatives =
	    ARENA_ARRAY(world->arena, plane->class_count, uint32_t);
	plane->representative_faces = conn_bitmap(world);
	for (uint32_t i = 0; i < world->face_count; i++) {
		uint32_t *class = &plane->class_of[i];

		if (number[*class] == UINT32_MAX) {
			plane->representatives[count] = i;
			roaring_bitmap_add(plane->representative_faces, i);
			number[*class] = count++;
		}
		*class = number[*class];
	}
	plane->class_count = count;
}

static void
make_classes(struct conn_world *world, struct conn_plane *plane)
{
	/* Numbers are used again: there are never more of them than faces, and one. */
	struct cutter c = {.world = world, .plane = plane};
	size_t most = (size_t)world->face_count + 2;

	plane->class_of = ARENA_ARRAY(world->arena, world->face_count, uint32_t);
	plane->class_count = 1;
	c.cuts = xcalloc(most, sizeof(*c.cuts));
	c.sizes = xcalloc(most, sizeof(*c.sizes));
	c.unused = xcalloc(most, sizeof(*c.unused));
	c.sizes[0] = world->face_count;
	if (plane->asked != NULL)
		cut_by(&c, plane->asked);
	for (size_t i = 0; i < plane->set_count; i++)
		cut_by(&c, plane->sets[i]->faces);
	close_up(&c);
	free(c.cuts);
	free(c.sizes);
	free(c.unused);
}

/* The classes of faces that are whole classes. */
static struct roaring_bitmap_s *
classes_of(struct conn_world *world, const struct conn_plane *plane,
    const roaring_bitmap_t *faces)
{
	roaring_bitmap_t *some = roaring_bitmap_and(faces, plane->representative_faces);
	struct roaring_bitmap_s *classes = conn_bitmap(world);
	roaring_uint32_iterator_t *it;

	if (some == NULL)
		base_die("out of memory");
	it = roaring_create_iterator(some);
	if (it == NULL)
		base_die("out of memory");
	for (; it->has_value; roaring_advance_uint32_iterator(it))
		roaring_bitmap_add(classes, plane->class_of[it->current_value]);
	roaring_free_uint32_iterator(it);
	roaring_bitmap_free(some);
	return classes;
}

static void
class_sets(struct conn_world *world, struct conn_plane *plane)
{
	if (plane->asked != NULL)
		plane->asked_classes = classes_of(world, plane, plane->asked);
	for (size_t i = 0; i < plane->set_count; i++) {
		struct conn_peers *set = plane->sets[i];

		set->classes = classes_of(world, plane, set->faces);
	}
}

/* ---- classes of parties ---- */

static int
u64_cmp(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The classes of a party's faces with their families: sorted, each once. */
static size_t
party_faces(const struct conn_world *world, const struct conn_plane *plane,
    const struct conn_party *party, uint64_t *out)
{
	size_t kept = 0;

	for (uint32_t i = 0; i < party->face_count; i++) {
		uint32_t face = party->first_face + i;

		out[i] =
		    (uint64_t)plane->class_of[face] << 8 | world->faces[face].family;
	}
	if (party->face_count > 1)
		qsort(out, party->face_count, sizeof(*out), u64_cmp);
	for (size_t i = 0; i < party->face_count; i++) {
		if (kept == 0 || out[kept - 1] != out[i])
			out[kept++] = out[i];
	}
	return kept;
}

static uint32_t
party_class_of(struct conn_world *world, struct conn_plane *plane, struct map *known,
    const uint64_t *faces, size_t count)
{
	struct str key = {(const char *)faces, count * sizeof(*faces)};
	struct conn_party_class *class = map_get(known, key);

	if (class == NULL) {
		class = &plane->party_classes[plane->party_class_count++];
		class->count = count;
		class->items = arena_array(world->arena, count, sizeof(*class->items));
		for (size_t i = 0; i < count; i++) {
			class->items[i].face_class = (uint32_t)(faces[i] >> 8);
			class->items[i].family = (unsigned)(faces[i] & 0xff);
		}
		(void)map_set(known, str_dup(world->arena, key), class); /* new */
	}
	return (uint32_t)(class - plane->party_classes);
}

/* The families of a party class whose faces are all of one class, bits by place; else 0. */
static uint8_t
lone_families(const struct conn_party_class *class)
{
	unsigned families = 0;

	for (size_t i = 0; i < class->count; i++) {
		if (class->items[i].face_class != class->items[0].face_class)
			return 0;
		families |= 1u << conn_family_place(class->items[i].family);
	}
	return (uint8_t)families;
}

/* Items are sorted: those of one face class are neighbours. */
static bool
is_first_of_class(const struct conn_party_class *class, size_t item)
{
	return item == 0 ||
	       class->items[item - 1].face_class != class->items[item].face_class;
}

/* Which party classes have a face of each class. */
static void
invert(struct conn_world *world, struct conn_plane *plane)
{
	uint32_t *first =
	    ARENA_ARRAY(world->arena, (size_t)plane->class_count + 2, uint32_t);
	size_t total = 0;

	for (uint32_t i = 0; i < plane->party_class_count; i++) {
		const struct conn_party_class *class = &plane->party_classes[i];

		for (size_t j = 0; j < class->count; j++) {
			if (!is_first_of_class(class, j))
				continue;
			first[class->items[j].face_class + 2]++;
			total++;
		}
	}
	for (uint32_t i = 0; i < plane->class_count; i++)
		first[i + 2] += first[i + 1];
	plane->members = ARENA_ARRAY(world->arena, total, struct conn_member);
	for (uint32_t i = 0; i < plane->party_class_count; i++) {
		const struct conn_party_class *class = &plane->party_classes[i];
		uint8_t lone = lone_families(class);

		for (size_t j = 0; j < class->count; j++) {
			uint32_t face_class = class->items[j].face_class;

			if (is_first_of_class(class, j))
				plane->members[first[face_class + 1]++] =
				    (struct conn_member){i, lone};
		}
	}
	plane->member_first = first;
}

static void
make_party_classes(struct conn_world *world, struct conn_plane *plane)
{
	struct map known = {0};
	uint32_t most = 0;
	uint64_t *faces;

	for (uint32_t i = 0; i < world->party_count; i++) {
		if (world->parties[i].face_count > most)
			most = world->parties[i].face_count;
	}
	faces = xcalloc((size_t)most + 1, sizeof(*faces));
	plane->party_classes =
	    ARENA_ARRAY(world->arena, world->party_count, struct conn_party_class);
	for (uint32_t i = 0; i < world->party_count; i++) {
		struct conn_party *party = &world->parties[i];
		size_t count = party_faces(world, plane, party, faces);

		party->classes[plane->dir] =
		    party_class_of(world, plane, &known, faces, count);
	}
	invert(world, plane);
	free(faces);
	map_fini(&known);
}

void
conn_classes_build(struct conn_world *world)
{
	conn_sides_make(world);
	for (size_t d = 0; d < DIRECTION_COUNT; d++) {
		struct conn_plane *plane = &world->planes[d];

		plane->dir = (enum direction)d;
		make_sets(world, plane);
		if (plane->dir == DIR_EGRESS)
			make_meanings(world, plane);
		make_classes(world, plane);
		class_sets(world, plane);
		make_party_classes(world, plane);
	}
}
