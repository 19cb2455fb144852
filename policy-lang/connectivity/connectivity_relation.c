/*
 * Columns joined to lines, with the outside; and what is asked about lines.
 */
#include "policy-lang/connectivity/connectivity_relation.h"

#include <stdlib.h>
#include <string.h>

#include "policy-lang/connectivity/connectivity_builder.h"

roaring_bitmap_t *
conn_some(roaring_bitmap_t *bits)
{
	if (bits == NULL)
		base_die("out of memory");
	return bits;
}

/* ---- lines ---- */

/* A line whose other end is still growing: no atom is added to it twice. */
struct open_line {
	struct conn_line line;
	struct conn_atom_list atoms;
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

static struct conn_atom_list *
atoms_of_line(struct conn_builder *b, const struct conn_line *like)
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
		(void)map_set(
		    &b->line_by_key, str_dup(b->r->arena, key), line); /* new */
	}
	return &line->atoms;
}

static void
grow_line(struct conn_builder *b, const struct conn_line *like, const uint32_t *atoms,
    size_t count)
{
	struct conn_atom_list *list = atoms_of_line(b, like);

	for (size_t i = 0; i < count; i++)
		conn_atom_list_add(list, atoms[i]);
}

/* Takes the list. */
static uint32_t
set_of_list(struct conn_builder *b, struct conn_atom_list *list)
{
	uint32_t set;

	conn_numbers_sort(&b->sieve, list->items, list->count);
	if (list->count <= CONN_FEW)
		set = conn_relation_set_of(b->r, list->items, list->count);
	else
		set = conn_relation_set(
		    b->r, conn_some(roaring_bitmap_of_ptr(list->count, list->items)));
	free(list->items);
	return set;
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
		uint32_t set = set_of_list(b, &line->atoms);

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

/* What is allowed within, column by column. */
static void
inner_lines(struct conn_builder *b)
{
	for (uint32_t i = 0; i < b->r->column_count; i++) {
		const struct conn_column *column = b->r->columns[i];
		size_t count = roaring_bitmap_get_cardinality(column->atoms);

		roaring_bitmap_to_uint32_array(column->atoms, b->room);
		for (uint32_t j = 0; j < column->cell_count; j++) {
			const struct conn_line line = {
			    .src = column->cells[j].sources,
			    .set = column->cells[j].set,
			};

			grow_line(b, &line, b->room, count);
		}
	}
	close_lines(b);
}

/* The outside of one direction. */
static void
outside_lines(struct conn_builder *b, enum direction dir)
{
	const struct conn_plane *plane = &b->world->planes[dir];
	struct conn_atom_list *atoms = xcalloc(2 * plane->view_count, sizeof(*atoms));

	for (uint32_t i = 0; i < b->r->atom_count; i++) {
		const struct conn_party *party =
		    &b->world->parties[b->r->atoms[i]->parties[0]];
		const struct conn_view *view = conn_party_view(b->world, party, dir);

		for (unsigned f = 0; party->end->kind != CONN_END_NODE && f < 2; f++) {
			size_t at = 2 * (size_t)view->index + f;

			if (view->outside[f] == NULL ||
			    (party->families & 2u << f) == 0)
				continue;
			conn_atom_list_add(&atoms[at], i);
		}
	}
	for (size_t at = 0; at < 2 * plane->view_count; at++) {
		const struct conn_spans *spans = plane->views[at / 2]->outside[at % 2];

		for (size_t i = 0; atoms[at].count > 0 && i < spans->count; i++) {
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
			grow_line(b, &line, atoms[at].items, atoms[at].count);
		}
		free(atoms[at].items);
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
	b->by_view = xcalloc(out->view_count + 1, sizeof(*b->by_view));
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
	b->met_last = xcalloc(CONN_MET_SLOTS, sizeof(*b->met_last));
	b->sent_class = UINT32_MAX;
	b->everything = conn_value_all(world);
}

static void
builder_fini(struct conn_builder *b)
{
	const struct conn_world *world = b->world;

	size_t egress_views = world->planes[DIR_EGRESS].view_count;

	for (size_t i = 0; i < world->planes[DIR_INGRESS].view_count; i++)
		conn_parts_fini(&b->let_in[i]);
	for (size_t i = 0; i < egress_views; i++) {
		free(b->by_view[i].items);
		conn_lot_fini(&b->senders[i]);
	}
	free(b->by_view);
	free(b->senders);
	free(b->met_last);
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
	inner_lines(&b);
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
