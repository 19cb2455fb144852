/*
 * Columns joined to lines, with the outside; and what is asked about lines.
 */
#include "policy-lang/connectivity_relation.h"

#include <stdlib.h>
#include <string.h>

#include "policy-lang/connectivity_builder.h"

roaring_bitmap_t *
conn_some(roaring_bitmap_t *bits)
{
	if (bits == NULL)
		base_die("out of memory");
	return bits;
}

/* ---- sets of atoms ---- */

/* Sets are looked up by a hash, so that no copy of what may be large is kept. */
static struct conn_atoms *
find_set(struct conn_relation *r, uint64_t hash, const roaring_bitmap_t *bits)
{
	struct str key = {(const char *)&hash, sizeof(hash)};
	struct conn_atoms *set = map_get(&r->set_by_hash, key);

	while (set != NULL && !roaring_bitmap_equals(set->bits, bits))
		set = set->next;
	return set;
}

static void
add_set(struct conn_relation *r, struct conn_atoms *set)
{
	struct str key = {(const char *)&set->hash, sizeof(set->hash)};

	if (r->set_count == r->set_cap) {
		r->set_cap = r->set_cap == 0 ? 64 : 2 * r->set_cap;
		r->sets =
		    xreallocarray(r->sets, r->set_cap, sizeof(struct conn_atoms *));
	}
	set->index = r->set_count;
	r->sets[r->set_count++] = set;
	/* The map keeps the key that it has, which is as long-lived. */
	set->next = map_set(&r->set_by_hash, key, set);
}

uint32_t
conn_relation_set(struct conn_relation *relation, struct roaring_bitmap_s *bits)
{
	struct buf *text = &relation->scratch;
	struct conn_atoms *set;
	uint64_t hash;

	(void)roaring_bitmap_run_optimize(bits);
	buf_clear(text);
	buf_reserve(text, roaring_bitmap_portable_size_in_bytes(bits));
	text->len = roaring_bitmap_portable_serialize(bits, text->data);
	hash = map_hash(buf_str(text));
	set = find_set(relation, hash, bits);
	if (set != NULL) {
		roaring_bitmap_free(bits);
		return set->index;
	}
	set = ARENA_NEW(relation->arena, struct conn_atoms);
	set->bits = bits;
	set->hash = hash;
	add_set(relation, set);
	return set->index;
}

/* Most atoms are one party: the others' parties beyond the first are counted by the bits
 * of their number. */
void
conn_relation_weigh(struct conn_relation *relation)
{
	for (uint32_t i = 0; i < relation->atom_count; i++) {
		uint32_t more = relation->atoms[i]->party_count - 1;

		for (unsigned bit = 0; more >> bit != 0; bit++) {
			if (relation->weights[bit] == NULL)
				relation->weights[bit] = conn_bitmap(relation->world);
			if ((more >> bit & 1) != 0)
				roaring_bitmap_add(relation->weights[bit], i);
		}
	}
}

size_t
conn_relation_parties(
    const struct conn_relation *relation, const struct roaring_bitmap_s *atoms)
{
	uint64_t count = roaring_bitmap_get_cardinality(atoms);

	for (unsigned bit = 0; bit < CONN_WEIGHTS && relation->weights[bit] != NULL;
	     bit++)
		count += roaring_bitmap_and_cardinality(atoms, relation->weights[bit])
			 << bit;
	return count;
}

size_t
conn_relation_set_parties(const struct conn_relation *relation, uint32_t set)
{
	struct conn_atoms *atoms = relation->sets[set];

	if (atoms->parties == 0)
		atoms->parties = conn_relation_parties(relation, atoms->bits);
	return atoms->parties;
}

/* ---- lines ---- */

/* A line whose other end is still growing. */
struct open_line {
	struct conn_line line;
	roaring_bitmap_t *bits;
};

static void
add_line(struct conn_relation *r, const struct conn_line *line)
{
	if (r->line_count == r->line_cap) {
		r->line_cap = r->line_cap == 0 ? 256 : 2 * r->line_cap;
		r->lines = xreallocarray(r->lines, r->line_cap, sizeof(*r->lines));
	}
	r->lines[r->line_count++] = *line;
}

static void
grow_line(
    struct conn_builder *b, const struct conn_line *like, const roaring_bitmap_t *bits)
{
	struct {
		const void *outside, *set;
		uint64_t ends;
	} ends = {like->outside, like->set, (uint64_t)like->src << 32 | like->dst};
	struct str key = {(const char *)&ends, sizeof(ends)};
	struct open_line *line = map_get(&b->line_by_key, key);

	if (line == NULL) {
		line = ARENA_NEW(b->r->arena, struct open_line);
		line->line = *like;
		line->bits = conn_some(roaring_bitmap_create());
		(void)map_set(
		    &b->line_by_key, str_dup(b->r->arena, key), line); /* new */
	}
	roaring_bitmap_or_inplace(line->bits, bits);
}

/* True if the line is about one party and itself. */
static bool
is_vacuous(const struct conn_relation *r, const struct conn_line *line)
{
	return line->outside == NULL && line->src == line->dst &&
	       conn_relation_set_parties(r, line->src) == 1;
}

static void
close_lines(struct conn_builder *b)
{
	for (size_t i = 0; i < b->line_by_key.len; i++) {
		struct open_line *line = b->line_by_key.entries[i].value;
		uint32_t set = conn_relation_set(b->r, line->bits);

		if (line->line.src == CONN_OUTSIDE || line->line.outside == NULL)
			line->line.dst = set;
		else
			line->line.src = set;
		if (!is_vacuous(b->r, &line->line))
			add_line(b->r, &line->line);
	}
	map_fini(&b->line_by_key);
	b->line_by_key = (struct map){0};
}

const struct conn_end *
conn_world_range(
    struct conn_world *world, const struct ip_addr *first, const struct ip_addr *last)
{
	char from[IP_TEXT_BYTES], to[IP_TEXT_BYTES];
	uint8_t bounds[1 + 2 * sizeof(first->bytes)];
	size_t bytes = ip_bytes(first->family);
	struct str key = {(const char *)bounds, 1 + 2 * bytes};
	struct conn_end *end;

	bounds[0] = (uint8_t)first->family;
	memcpy(bounds + 1, first->bytes, bytes);
	memcpy(bounds + 1 + bytes, last->bytes, bytes);
	end = map_get(&world->ranges, key);
	if (end != NULL)
		return end;
	end = ARENA_NEW(world->arena, struct conn_end);
	*end = (struct conn_end){
	    .kind = CONN_END_EXTERNAL,
	    .first = *first,
	    .last = *last,
	    .display = str_from(arena_printf(world->arena, "%s-%s[External]",
		ip_format(first, from), ip_format(last, to))),
	};
	(void)map_set(&world->ranges, str_dup(world->arena, key), end); /* new */
	return end;
}

/* The outside of one direction. */
static void
outside_lines(struct conn_builder *b, enum direction dir)
{
	const struct conn_plane *plane = &b->world->planes[dir];
	roaring_bitmap_t **atoms = xcalloc(2 * plane->view_count, sizeof(*atoms));

	for (uint32_t i = 0; i < b->r->atom_count; i++) {
		const struct conn_party *party =
		    &b->world->parties[b->r->atoms[i]->parties[0]];
		const struct conn_view *view = conn_party_view(b->world, party, dir);

		for (unsigned f = 0; party->end->kind != CONN_END_NODE && f < 2; f++) {
			size_t at = 2 * (size_t)view->index + f;

			if (view->outside[f] == NULL ||
			    (party->families & 2u << f) == 0)
				continue;
			if (atoms[at] == NULL)
				atoms[at] = conn_some(roaring_bitmap_create());
			roaring_bitmap_add(atoms[at], i);
		}
	}
	for (size_t at = 0; at < 2 * plane->view_count; at++) {
		const struct conn_spans *spans = plane->views[at / 2]->outside[at % 2];

		for (size_t i = 0; atoms[at] != NULL && i < spans->count; i++) {
			const struct conn_span *span = &spans->items[i];
			struct conn_line line = {
			    .src = dir == DIR_INGRESS ? CONN_OUTSIDE : 0,
			    .dst = dir == DIR_EGRESS ? CONN_OUTSIDE : 0,
			    .set = conn_told(b, span->set),
			};

			if (line.set == NULL)
				continue;
			line.outside =
			    conn_world_range(b->world, &span->first, &span->last);
			grow_line(b, &line, atoms[at]);
		}
		if (atoms[at] != NULL)
			roaring_bitmap_free(atoms[at]);
	}
	free(atoms);
	close_lines(b);
}

static int
range_cmp(const struct conn_end *a, const struct conn_end *b)
{
	int order = ip_cmp(&a->first, &b->first);

	return order != 0 ? order : ip_cmp(&a->last, &b->last);
}

/* From outside by range, then within, then to outside by range; the rest by the numbers
 * of sets and the text. */
static int
line_cmp(const void *a, const void *b)
{
	const struct conn_line *x = a, *y = b;
	int place_x = x->outside == NULL ? 1 : x->src == CONN_OUTSIDE ? 0 : 2;
	int place_y = y->outside == NULL ? 1 : y->src == CONN_OUTSIDE ? 0 : 2;
	int order = place_x - place_y;

	if (order == 0 && x->outside != NULL)
		order = range_cmp(x->outside, y->outside);
	if (order == 0)
		order = (x->src > y->src) - (x->src < y->src);
	if (order == 0)
		order = (x->dst > y->dst) - (x->dst < y->dst);
	if (order == 0 && x->set->text != NULL && y->set->text != NULL)
		order = strcmp(x->set->text, y->set->text);
	return order;
}

void
conn_relation_sort(struct conn_relation *relation)
{
	if (relation->line_count > 1)
		qsort(relation->lines, relation->line_count, sizeof(*relation->lines),
		    line_cmp);
}

/* A set, and what it is sorted by. */
struct place {
	struct conn_atoms *set;
	uint32_t first;
	uint64_t count;
};

static int
place_cmp(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	if (x->count != y->count)
		return x->count < y->count ? -1 : 1;
	return (x->set->index > y->set->index) - (x->set->index < y->set->index);
}

uint32_t *
conn_relation_number(struct conn_relation *r)
{
	uint32_t *number = xcalloc((size_t)r->set_count + 1, sizeof(*number));
	struct place *places = xcalloc((size_t)r->set_count + 1, sizeof(*places));

	for (uint32_t i = 0; i < r->set_count; i++)
		places[i] = (struct place){
		    .set = r->sets[i],
		    .first = roaring_bitmap_minimum(r->sets[i]->bits),
		    .count = roaring_bitmap_get_cardinality(r->sets[i]->bits),
		};
	if (r->set_count > 1)
		qsort(places, r->set_count, sizeof(*places), place_cmp);
	for (uint32_t i = 0; i < r->set_count; i++) {
		number[places[i].set->index] = i;
		places[i].set->index = i;
		r->sets[i] = places[i].set;
	}
	free(places);
	return number;
}

static void
number_sets(struct conn_relation *r)
{
	uint32_t *number = conn_relation_number(r);

	for (size_t i = 0; i < r->line_count; i++) {
		struct conn_line *line = &r->lines[i];

		if (line->src != CONN_OUTSIDE)
			line->src = number[line->src];
		if (line->dst != CONN_OUTSIDE)
			line->dst = number[line->dst];
	}
	for (uint32_t i = 0; i < r->column_count; i++) {
		for (uint32_t j = 0; j < r->columns[i]->cell_count; j++) {
			struct conn_cell *cell = &r->columns[i]->cells[j];

			cell->sources = number[cell->sources];
		}
	}
	free(number);
}

/* Parties in both sets: each would connect to itself. */
static uint64_t
common_parties(const struct conn_relation *r, uint32_t a, uint32_t b)
{
	roaring_bitmap_t *both =
	    conn_some(roaring_bitmap_and(r->sets[a]->bits, r->sets[b]->bits));
	uint64_t count = conn_relation_parties(r, both);

	roaring_bitmap_free(both);
	return count;
}

uint64_t
conn_relation_line_pairs(
    const struct conn_relation *relation, const struct conn_line *line)
{
	if (line->src == CONN_OUTSIDE)
		return conn_relation_set_parties(relation, line->dst);
	if (line->dst == CONN_OUTSIDE)
		return conn_relation_set_parties(relation, line->src);
	return (uint64_t)conn_relation_set_parties(relation, line->src) *
		   conn_relation_set_parties(relation, line->dst) -
	       common_parties(relation, line->src, line->dst);
}

uint64_t
conn_relation_pair_count(const struct conn_relation *relation)
{
	uint64_t total = 0;

	for (size_t i = 0; i < relation->line_count; i++)
		total += conn_relation_line_pairs(relation, &relation->lines[i]);
	return total;
}

/* ---- all of it ---- */

static void
builder_init(struct conn_builder *b, struct conn_relation *r)
{
	struct conn_world *world = r->world;
	const struct conn_plane *in = &world->planes[DIR_INGRESS];
	const struct conn_plane *out = &world->planes[DIR_EGRESS];
	size_t parties = (size_t)world->party_count + 1;

	b->r = r;
	b->world = world;
	b->receivers = xcalloc(parties, sizeof(*b->receivers));
	b->by_view = ARENA_ARRAY(r->arena, out->view_count, roaring_bitmap_t *);
	for (size_t i = 0; i < out->view_count; i++)
		b->by_view[i] = conn_bitmap(world);
	b->by_class = xcalloc((size_t)in->party_class_count + 1, sizeof(*b->by_class));
	for (size_t i = 0; i < CONN_KIND_COUNT; i++)
		b->by_kind[i] = conn_bitmap(world);
	for (size_t i = 0; i < ARRAY_LEN(b->by_families); i++)
		b->by_families[i] = conn_bitmap(world);
	b->own = ARENA_ARRAY(r->arena, world->own_count, roaring_bitmap_t *);
	for (size_t i = 0; i < world->own_count; i++)
		b->own[i] = conn_bitmap(world);
	b->all = conn_bitmap(world);
	b->let_in = xcalloc(in->view_count + 1, sizeof(*b->let_in));
	b->let_in_known = xcalloc(in->view_count + 1, sizeof(*b->let_in_known));
	b->sent_class = UINT32_MAX;
	b->everything = conn_value_all(world);
}

static void
builder_fini(struct conn_builder *b)
{
	const struct conn_world *world = b->world;

	for (size_t i = 0; i < world->planes[DIR_INGRESS].view_count; i++)
		conn_parts_fini(&b->let_in[i]);
	conn_parts_fini(&b->sent);
	conn_parts_fini(&b->rests);
	free(b->receivers);
	free(b->let_in);
	free(b->let_in_known);
	for (size_t i = 0; i < world->planes[DIR_INGRESS].party_class_count; i++)
		free(b->by_class[i].items);
	free(b->by_class);
	free(b->mention_first);
	free(b->mentions);
	free(b->room);
	free(b->sieve.words);
	map_fini(&b->atom_by_key);
	map_fini(&b->column_by_key);
	map_fini(&b->met);
	map_fini(&b->set_by_text);
}

struct conn_relation *
conn_relation_new(struct conn_world *world, bool exact)
{
	struct conn_relation *r = ARENA_NEW(world->arena, struct conn_relation);
	struct conn_builder b = {.exact = exact};

	r->world = world;
	r->arena = world->arena;
	r->atoms = ARENA_ARRAY(r->arena, world->party_count, struct conn_atom *);
	r->atom_of = ARENA_ARRAY(r->arena, world->party_count, uint32_t);
	r->columns = ARENA_ARRAY(r->arena, world->party_count, struct conn_column *);
	conn_owns_find(world);
	builder_init(&b, r);
	conn_atoms_make(&b);
	conn_relation_weigh(r);
	conn_atoms_find_own(&b);
	conn_columns_prepare(&b);
	conn_columns_build(&b);
	for (uint32_t i = 0; i < r->column_count; i++) {
		for (uint32_t j = 0; j < r->columns[i]->cell_count; j++)
			grow_line(&b,
			    &(struct conn_line){
				.src = r->columns[i]->cells[j].sources,
				.set = r->columns[i]->cells[j].set,
			    },
			    r->columns[i]->atoms);
	}
	close_lines(&b);
	outside_lines(&b, DIR_INGRESS);
	outside_lines(&b, DIR_EGRESS);
	number_sets(r);
	conn_relation_sort(r);
	builder_fini(&b);
	return r;
}

void
conn_relation_free(struct conn_relation *relation)
{
	if (relation == NULL)
		return;
	for (uint32_t i = 0; i < relation->set_count; i++)
		roaring_bitmap_free(relation->sets[i]->bits);
	free(relation->sets);
	free(relation->lines);
	map_fini(&relation->set_by_hash);
	buf_free(&relation->scratch);
}
