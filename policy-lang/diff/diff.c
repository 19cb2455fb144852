/*
 * Two relations laid over each other, as far as the change reaches. An atom here is
 * parties that are of one atom before and of one after; columns whose cells are the same
 * before and after are passed over.
 */
#include "policy-lang/diff/diff.h"

#include <roaring/roaring.h>
#include <stdlib.h>
#include <string.h>

#include "policy-lang/diff/diff_internal.h"

#define NONE UINT32_MAX

/* One of the two relations, seen from the joint atoms. */
struct half {
	const struct conn_relation *r;
	uint32_t *first, *atoms; /* by atom of r: its part of `atoms`, joint atoms */
	uint32_t *room;          /* for as many joint atoms as there are */
	uint32_t *sets;          /* by set of r: the joint set; NONE: not asked yet */
	bool same;               /* atoms of r bear the same numbers as joint ones */
};

struct differ {
	struct diff *diff;
	struct conn_relation *joint;
	struct half old, new;
	uint32_t *atom_old, *atom_new; /* by joint atom; NONE */
	enum diff_presence *presence;  /* by joint atom */
	roaring_bitmap_t *by_presence[3];
	struct map line_by_key;
};

static roaring_bitmap_t *
some(roaring_bitmap_t *bits)
{
	if (bits == NULL)
		base_die("out of memory");
	return bits;
}

/* ---- joint atoms ---- */

static uint32_t
atom_in(const struct conn_relation *r, uint32_t party)
{
	return party != NONE ? r->atom_of[party] : NONE;
}

static struct conn_atom *
joint_atom(struct differ *d, struct map *known, uint32_t party)
{
	const struct diff_party *both = &d->diff->parties[party];
	enum diff_presence presence = diff_presence_of(d->diff, party);
	uint32_t key[3] = {
	    atom_in(d->old.r, both->old),
	    atom_in(d->new.r, both->new),
	    (uint32_t)presence,
	};
	struct str text = {(const char *)key, sizeof(key)};
	struct conn_atom *atom = map_get(known, text);
	struct conn_relation *joint = d->joint;

	if (atom != NULL)
		return atom;
	atom = ARENA_NEW(joint->arena, struct conn_atom);
	atom->index = joint->atom_count;
	d->atom_old[atom->index] = key[0];
	d->atom_new[atom->index] = key[1];
	d->presence[atom->index] = presence;
	roaring_bitmap_add(d->by_presence[presence], atom->index);
	joint->atoms[joint->atom_count++] = atom;
	(void)map_set(known, str_dup(joint->arena, text), atom); /* new */
	return atom;
}

static void
join_atoms(struct differ *d)
{
	struct conn_relation *joint = d->joint;
	uint32_t count = joint->world->party_count;
	struct map known = {0};

	joint->atoms = ARENA_ARRAY(joint->arena, count, struct conn_atom *);
	joint->atom_of = ARENA_ARRAY(joint->arena, count, uint32_t);
	for (uint32_t i = 0; i < count; i++) {
		struct conn_atom *atom = joint_atom(d, &known, i);

		joint->atom_of[i] = atom->index;
		atom->party_count++;
	}
	for (uint32_t i = 0; i < count; i++) {
		struct conn_atom *atom = joint->atoms[joint->atom_of[i]];

		if (atom->parties == NULL) {
			atom->parties =
			    ARENA_ARRAY(joint->arena, atom->party_count, uint32_t);
			atom->party_count = 0;
		}
		atom->parties[atom->party_count++] = i;
	}
	conn_relation_weigh(joint);
	map_fini(&known);
}

/* `atom_of`: by joint atom, that of the relation; NONE. */
static void
half_init(struct differ *d, struct half *half, const struct conn_relation *r,
    const uint32_t *atom_of)
{
	struct arena *arena = d->diff->arena;
	uint32_t count = d->joint->atom_count;

	half->r = r;
	half->first = ARENA_ARRAY(arena, (size_t)r->atom_count + 2, uint32_t);
	half->atoms = ARENA_ARRAY(arena, count, uint32_t);
	half->room = ARENA_ARRAY(arena, count, uint32_t);
	for (uint32_t i = 0; i < count; i++) {
		if (atom_of[i] != NONE)
			half->first[atom_of[i] + 2]++;
	}
	for (uint32_t i = 2; i < r->atom_count + 2; i++)
		half->first[i] += half->first[i - 1];
	for (uint32_t i = 0; i < count; i++) {
		if (atom_of[i] != NONE)
			half->atoms[half->first[atom_of[i] + 1]++] = i;
	}
	half->same = count == r->atom_count;
	for (uint32_t i = 0; i < count; i++)
		half->same = half->same && atom_of[i] == i;
	half->sets = ARENA_ARRAY(arena, r->set_count, uint32_t);
	for (uint32_t i = 0; i < r->set_count; i++)
		half->sets[i] = NONE;
}

static roaring_bitmap_t *
joint_atoms(struct half *half, const roaring_bitmap_t *atoms)
{
	roaring_uint32_iterator_t *it;
	size_t count = 0;

	if (half->same)
		return some(roaring_bitmap_copy(atoms));
	it = roaring_create_iterator(atoms);
	if (it == NULL)
		base_die("out of memory");
	for (; it->has_value; roaring_advance_uint32_iterator(it)) {
		uint32_t atom = it->current_value;

		for (uint32_t i = half->first[atom]; i < half->first[atom + 1]; i++)
			half->room[count++] = half->atoms[i];
	}
	roaring_free_uint32_iterator(it);
	return some(roaring_bitmap_of_ptr(count, half->room));
}

/* The joint atoms of a set of one relation. */
static uint32_t
joint_set(struct differ *d, struct half *half, uint32_t set)
{
	if (half->sets[set] == NONE)
		half->sets[set] = conn_relation_set(
		    d->joint, joint_atoms(half, half->r->sets[set]->bits));
	return half->sets[set];
}

/* ---- lines ---- */

/* A line whose destinations (or, to the outside, sources) are still growing. */
struct growing {
	struct diff_line line;
	roaring_bitmap_t *bits;
};

/* Equal as far as the families of both go: that an end has got a family is no change of
 * policy. */
static bool
is_same(const struct conn_set *a, const struct conn_set *b)
{
	if (a == b)
		return true;
	if (a == NULL || b == NULL)
		return false;
	for (size_t i = 0; i < CONN_PROTO_COUNT; i++) {
		const struct conn_ports *x = &a->ports[i], *y = &b->ports[i];

		if (x->count != y->count ||
		    memcmp(x->items, y->items, x->count * sizeof(*x->items)) != 0)
			return false;
	}
	return ((a->rest ^ b->rest) & a->possible & b->possible) == 0;
}

static void
grow(struct differ *d, const struct diff_line *like, const roaring_bitmap_t *bits)
{
	struct {
		const void *outside, *old, *new;
		uint64_t ends, presence;
	} ends = {like->line.outside, like->old, like->new,
	    (uint64_t)like->line.src << 32 | like->line.dst,
	    (uint64_t)like->src << 32 | (uint64_t)like->dst};
	struct str key = {(const char *)&ends, sizeof(ends)};
	struct growing *line = map_get(&d->line_by_key, key);

	if (line == NULL) {
		line = ARENA_NEW(d->diff->arena, struct growing);
		line->line = *like;
		line->bits = some(roaring_bitmap_create());
		(void)map_set(
		    &d->line_by_key, str_dup(d->diff->arena, key), line); /* new */
	}
	roaring_bitmap_or_inplace(line->bits, bits);
}

/* ---- columns ---- */

/* Destinations of one column before and one after. */
struct joint_column {
	const struct conn_column *old, *new; /* NULL: they are not there */
	enum diff_presence presence;
	roaring_bitmap_t *atoms;
};

static void
emit(struct differ *d, const struct joint_column *column, const struct conn_set *old,
    const struct conn_set *new, const roaring_bitmap_t *sources)
{
	for (unsigned p = 0; p < ARRAY_LEN(d->by_presence); p++) {
		struct diff_line line = {
		    .old = old,
		    .new = new,
		    .src = (enum diff_presence)p,
		    .dst = column->presence,
		};
		roaring_bitmap_t *some_sources =
		    some(roaring_bitmap_and(sources, d->by_presence[p]));

		if (roaring_bitmap_is_empty(some_sources)) {
			roaring_bitmap_free(some_sources);
			continue;
		}
		line.line.src = conn_relation_set(d->joint, some_sources);
		grow(d, &line, column->atoms);
	}
}

static uint32_t
cells_of(const struct conn_column *column)
{
	return column != NULL ? column->cell_count : 0;
}

static bool
is_unchanged(struct differ *d, const struct joint_column *column)
{
	uint32_t count = cells_of(column->old);

	if (count != cells_of(column->new))
		return false;
	for (uint32_t i = 0; i < count; i++) {
		const struct conn_cell *a = &column->old->cells[i];
		const struct conn_cell *b = &column->new->cells[i];

		if (a->set != b->set || joint_set(d, &d->old, a->sources) !=
					    joint_set(d, &d->new, b->sources))
			return false;
	}
	return true;
}

static const roaring_bitmap_t *
sources_of(struct differ *d, struct half *half, const struct conn_cell *cell)
{
	uint32_t set = joint_set(d, half, cell->sources);

	return d->joint->sets[set]->bits;
}

/* The sources of `cell` that are in none of the other column's cells: they had, or have,
 * no connection. */
static void
compare_alone(struct differ *d, const struct joint_column *column,
    const struct conn_cell *cell, bool is_old)
{
	const struct conn_column *other = is_old ? column->new : column->old;
	roaring_bitmap_t *left =
	    some(roaring_bitmap_copy(sources_of(d, is_old ? &d->old : &d->new, cell)));

	for (uint32_t i = 0; i < cells_of(other); i++)
		roaring_bitmap_andnot_inplace(
		    left, sources_of(d, is_old ? &d->new : &d->old, &other->cells[i]));
	emit(d, column, is_old ? cell->set : NULL, is_old ? NULL : cell->set, left);
	roaring_bitmap_free(left);
}

static void
compare_column(struct differ *d, const struct joint_column *column)
{
	if (is_unchanged(d, column))
		return;
	for (uint32_t i = 0; i < cells_of(column->old); i++) {
		const struct conn_cell *a = &column->old->cells[i];

		for (uint32_t j = 0; j < cells_of(column->new); j++) {
			const struct conn_cell *b = &column->new->cells[j];
			roaring_bitmap_t *both;

			if (is_same(a->set, b->set))
				continue;
			both = some(roaring_bitmap_and(
			    sources_of(d, &d->old, a), sources_of(d, &d->new, b)));
			emit(d, column, a->set, b->set, both);
			roaring_bitmap_free(both);
		}
		compare_alone(d, column, a, true);
	}
	for (uint32_t j = 0; j < cells_of(column->new); j++)
		compare_alone(d, column, &column->new->cells[j], false);
}

static const struct conn_column *
column_in(const struct conn_relation *r, uint32_t atom)
{
	return atom != NONE ? r->columns[r->atoms[atom]->column] : NULL;
}

static void
compare_columns(struct differ *d)
{
	struct map known = {0};

	for (uint32_t i = 0; i < d->joint->atom_count; i++) {
		struct {
			const void *old, *new;
			uintptr_t presence;
		} ends = {column_in(d->old.r, d->atom_old[i]),
		    column_in(d->new.r, d->atom_new[i]), d->presence[i]};
		struct str key = {(const char *)&ends, sizeof(ends)};
		struct joint_column *column = map_get(&known, key);

		if (column == NULL) {
			column = ARENA_NEW(d->diff->arena, struct joint_column);
			column->old = ends.old;
			column->new = ends.new;
			column->presence = d->presence[i];
			column->atoms = conn_bitmap(d->joint->world);
			(void)map_set(
			    &known, str_dup(d->diff->arena, key), column); /* new */
		}
		roaring_bitmap_add(column->atoms, i);
	}
	for (size_t i = 0; i < known.len; i++)
		compare_column(d, known.entries[i].value);
	map_fini(&known);
}

/* ---- the outside ---- */

/* Parties whose outside is one thing before and one after. */
struct joint_outside {
	const struct conn_spans *old, *new; /* NULL: nothing */
	enum diff_presence presence;
	roaring_bitmap_t *atoms;
};

static const struct conn_spans *
spans_in(const struct conn_relation *r, uint32_t atom, enum direction dir, unsigned f)
{
	const struct conn_party *party;

	if (atom == NONE)
		return NULL;
	party = &r->world->parties[r->atoms[atom]->parties[0]];
	if (party->end->kind == CONN_END_NODE || (party->families & 2u << f) == 0)
		return NULL;
	return conn_party_view(r->world, party, dir)->outside[f];
}

const struct conn_set *
diff_listed(const struct conn_set *set)
{
	return set != NULL && !conn_set_empty(set) ? set : NULL;
}

static void
emit_range(struct differ *d, enum direction dir, const struct joint_outside *o,
    const struct ip_addr *first, const struct ip_addr *last, const struct conn_set *old,
    const struct conn_set *new)
{
	struct diff_line line = {
	    .old = old,
	    .new = new,
	    .src = dir == DIR_EGRESS ? o->presence : DIFF_BOTH,
	    .dst = dir == DIR_INGRESS ? o->presence : DIFF_BOTH,
	};

	line.line.src = dir == DIR_INGRESS ? CONN_OUTSIDE : 0;
	line.line.dst = dir == DIR_EGRESS ? CONN_OUTSIDE : 0;
	line.line.outside = conn_world_range(d->joint->world, first, last);
	grow(d, &line, o->atoms);
}

/* Where the piece that two ranges have in common begins, or ends; one may not be there. */
static struct ip_addr
piece_bound(const struct conn_span *a, const struct conn_span *b, bool end)
{
	const struct conn_span *one = a != NULL ? a : b;
	const struct conn_span *other = b != NULL ? b : a;

	if (one == NULL || other == NULL)
		return (struct ip_addr){0};
	if (end)
		return ip_cmp(&one->last, &other->last) < 0 ? one->last : other->last;
	return ip_cmp(&one->first, &other->first) > 0 ? one->first : other->first;
}

/* Both cover the whole family, or are not there at all; the pieces between two cuts are
 * compared, and neighbours that changed alike are told as one. */
static void
compare_spans(struct differ *d, enum direction dir, const struct joint_outside *o)
{
	const struct conn_set *run_old = NULL, *run_new = NULL;
	struct ip_addr first = {0}, last = {0};
	size_t i = 0, j = 0;
	bool run = false;

	while ((o->old != NULL && i < o->old->count) ||
	       (o->new != NULL &&j < o->new->count)) {
		const struct conn_span *a = o->old != NULL ? &o->old->items[i] : NULL;
		const struct conn_span *b = o->new != NULL ? &o->new->items[j] : NULL;
		const struct conn_set *old = diff_listed(a != NULL ? a->set : NULL);
		const struct conn_set *new = diff_listed(b != NULL ? b->set : NULL);
		struct ip_addr begin, end;
		bool changed = !is_same(old, new);

		begin = piece_bound(a, b, false);
		end = piece_bound(a, b, true);
		if (run && (!changed || old != run_old || new != run_new)) {
			emit_range(d, dir, o, &first, &last, run_old, run_new);
			run = false;
		}
		if (changed && !run)
			first = begin;
		run = changed;
		run_old = old;
		run_new = new;
		last = end;
		i += a != NULL && ip_eq(&a->last, &end);
		j += b != NULL && ip_eq(&b->last, &end);
	}
	if (run)
		emit_range(d, dir, o, &first, &last, run_old, run_new);
}

static void
compare_outside(struct differ *d, enum direction dir, unsigned f)
{
	struct map known = {0};

	for (uint32_t i = 0; i < d->joint->atom_count; i++) {
		struct {
			const void *old, *new;
			uintptr_t presence;
		} ends = {spans_in(d->old.r, d->atom_old[i], dir, f),
		    spans_in(d->new.r, d->atom_new[i], dir, f), d->presence[i]};
		struct str key = {(const char *)&ends, sizeof(ends)};
		struct joint_outside *o = map_get(&known, key);

		if (o == NULL) {
			o = ARENA_NEW(d->diff->arena, struct joint_outside);
			o->old = ends.old;
			o->new = ends.new;
			o->presence = d->presence[i];
			o->atoms = conn_bitmap(d->joint->world);
			(void)map_set(
			    &known, str_dup(d->diff->arena, key), o); /* new */
		}
		roaring_bitmap_add(o->atoms, i);
	}
	for (size_t i = 0; i < known.len; i++)
		compare_spans(d, dir, known.entries[i].value);
	map_fini(&known);
}

/* ---- finishing lines ---- */

static void
finish_line(struct differ *d, const struct growing *g)
{
	struct diff *diff = d->diff;
	struct diff_line line = g->line;
	uint32_t set = conn_relation_set(d->joint, g->bits);

	if (line.line.dst == CONN_OUTSIDE)
		line.line.src = set;
	else
		line.line.dst = set;
	if (line.line.outside == NULL && line.line.src == line.line.dst &&
	    conn_relation_set_parties(d->joint, set) == 1)
		return;
	diff_line_complete(diff, &line);
	if (diff->line_count == diff->line_cap) {
		diff->line_cap = diff->line_cap == 0 ? 64 : 2 * diff->line_cap;
		diff->lines =
		    xreallocarray(diff->lines, diff->line_cap, sizeof(*diff->lines));
	}
	diff->lines[diff->line_count++] = line;
}

/* ---- all of it ---- */

static struct conn_relation *
joint_new(struct diff *diff, const struct model *model)
{
	struct conn_relation *joint = ARENA_NEW(diff->arena, struct conn_relation);

	joint->arena = diff->arena;
	joint->world = ARENA_NEW(diff->arena, struct conn_world);
	joint->world->arena = diff->arena;
	joint->world->model = model;
	joint->world->pool = &diff->pool;
	diff_ends_join(diff, joint->world);
	return joint;
}

static void
find_lines(struct differ *d)
{
	compare_columns(d);
	for (unsigned f = 0; f < 2; f++) {
		for (size_t dir = 0; dir < DIRECTION_COUNT; dir++)
			compare_outside(d, (enum direction)dir, f);
	}
	for (size_t i = 0; i < d->line_by_key.len; i++)
		finish_line(d, d->line_by_key.entries[i].value);
	map_fini(&d->line_by_key);
}

struct diff *
diff_new(struct arena *arena, const struct model *old_model,
    const struct model *new_model, const struct connectivity_options *options)
{
	struct diff *diff = ARENA_NEW(arena, struct diff);
	struct connectivity_options both = *options;
	struct differ d = {.diff = diff};
	uint8_t *old_whole, *new_whole;
	size_t count;

	diff->arena = arena;
	both.outside6 =
	    conn_speaks_of_ipv6(old_model) || conn_speaks_of_ipv6(new_model);
	conn_pool_init(&diff->pool, arena,
	    conn_names_portless(old_model) || conn_names_portless(new_model));
	diff->old_world = conn_world_open(arena, old_model, &both, &diff->pool);
	diff->new_world = conn_world_open(arena, new_model, &both, &diff->pool);
	diff->joint = d.joint = joint_new(diff, new_model);
	diff_documents_find(arena, old_model, new_model, &diff->documents);
	diff_ends_touched(diff, &old_whole, &new_whole);
	conn_world_fill(diff->old_world, old_whole);
	conn_world_fill(diff->new_world, new_whole);
	diff->old_relation = conn_relation_new(diff->old_world, true);
	diff->new_relation = conn_relation_new(diff->new_world, true);
	d.old.r = diff->old_relation;
	d.new.r = diff->new_relation;
	count = d.joint->world->party_count;
	d.atom_old = ARENA_ARRAY(arena, count, uint32_t);
	d.atom_new = ARENA_ARRAY(arena, count, uint32_t);
	d.presence = ARENA_ARRAY(arena, count, enum diff_presence);
	for (size_t i = 0; i < ARRAY_LEN(d.by_presence); i++)
		d.by_presence[i] = conn_bitmap(d.joint->world);
	join_atoms(&d);
	half_init(&d, &d.old, diff->old_relation, d.atom_old);
	half_init(&d, &d.new, diff->new_relation, d.atom_new);
	find_lines(&d);
	diff_lines_order(diff);
	return diff;
}

void
diff_free(struct diff *diff)
{
	if (diff == NULL)
		return;
	conn_relation_free(diff->old_relation);
	conn_relation_free(diff->new_relation);
	conn_world_free(diff->old_world);
	conn_world_free(diff->new_world);
	conn_world_free(diff->joint->world);
	conn_relation_free(diff->joint);
	conn_pool_fini(&diff->pool);
	free(diff->lines);
}
