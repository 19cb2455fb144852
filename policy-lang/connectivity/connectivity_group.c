#include "policy-lang/connectivity/connectivity_group.h"

#include <roaring/roaring.h>
#include <stdlib.h>
#include <string.h>

#include "policy-lang/connectivity/connectivity_reference.h"

#define PLACE_ATOMS     64 /* a set of more is said to be in / */
#define REFERENCE_TERMS 16 /* a set that takes more words helps to tell others */

struct subtree {
	struct roaring_bitmap_s *atoms;
	uint32_t *items; /* the same */
	uint64_t count;
	bool whole;      /* consists of whole atoms */
	struct str name; /* ptr NULL: not told yet */
	uint64_t asked;  /* the telling that it was last looked for in */
	bool inside;     /* and what was found */
};

/* Words for sets are found one set at a time. */
struct teller {
	struct conn_groups *groups;
	struct subtree *subtrees; /* by namespace */
	const struct ns **homes;  /* by atom: its first party's namespace; or NULL */
	struct conn_references references;
	struct str *terms;
	size_t term_count, term_cap;
	size_t named;
	bool *seen;        /* by set */
	uint64_t *present; /* by atom: the telling that it was last to be told in */
	uint64_t *told;    /* by atom: the telling that a subtree last told it in */
	uint64_t telling;
	uint32_t *room; /* for as many atoms as there are */
};

/* ---- what members have in common ---- */

static const struct workload *
workload_of(const struct conn_relation *r, uint32_t party)
{
	return r->world->parties[party].end->workload;
}

/* The lowest namespace that both are in or below. */
static const struct ns *
common_ns(const struct ns *a, const struct ns *b)
{
	while (a != b) {
		if (a->depth >= b->depth)
			a = a->parent;
		else
			b = b->parent;
	}
	return a;
}

/* Where members are. */
struct place {
	const struct ns *ns;
	const struct kube_ns *kube; /* if all are in it */
	bool any, nodes;            /* there are workloads; there are nodes */
};

static void
place_add(struct place *place, const struct conn_end *end)
{
	const struct workload *w = end->workload;

	if (w == NULL) {
		place->nodes |= end->kind == CONN_END_NODE;
		return;
	}
	if (!place->any)
		*place = (struct place){w->ns, w->kube, true, place->nodes};
	place->ns = common_ns(place->ns, w->ns);
	if (place->kube != w->kube)
		place->kube = NULL;
}

static struct str
place_text(struct arena *arena, const struct place *place)
{
	const char *slash;

	if (!place->any)
		return place->nodes ? STR("node") : (struct str){0};
	if (place->nodes)
		return STR("/");
	if (place->kube == NULL)
		return place->ns->path;
	slash = place->kube->cluster.len > 0 ? "/" : "";
	return str_from(arena_printf(arena, "%.*s%s%.*s", STR_ARG(place->kube->cluster),
	    slash, STR_ARG(place->kube->name)));
}

static bool
has_label(struct label_set labels, const struct label *label)
{
	for (size_t i = 0; i < labels.count; i++) {
		if (str_eq(labels.items[i].key, label->key))
			return str_eq(labels.items[i].value, label->value);
	}
	return false;
}

static struct label_set
common_labels(
    struct arena *arena, const struct conn_relation *r, const struct conn_atom *atom)
{
	const struct workload *first = workload_of(r, atom->parties[0]);
	struct label *kept;
	size_t count;

	if (first == NULL)
		return (struct label_set){0};
	count = first->shape->labels.count;
	kept = ARENA_ARRAY(arena, count, struct label);
	for (size_t i = 0; i < count; i++)
		kept[i] = first->shape->labels.items[i];
	for (uint32_t i = 1; i < atom->party_count && count > 0; i++) {
		const struct workload *w = workload_of(r, atom->parties[i]);
		size_t left = 0;

		for (size_t j = 0; w != NULL && j < count; j++) {
			if (has_label(w->shape->labels, &kept[j]))
				kept[left++] = kept[j];
		}
		count = left;
	}
	return (struct label_set){kept, count};
}

/* ---- names ---- */

static void
name_atoms(struct conn_groups *g)
{
	const struct conn_relation *r = g->relation;
	struct arena *arena = r->arena;

	g->atom_names = ARENA_ARRAY(arena, r->atom_count, struct str);
	g->groups = ARENA_ARRAY(arena, r->atom_count, struct conn_group);
	for (uint32_t i = 0; i < r->atom_count; i++) {
		const struct conn_atom *atom = r->atoms[i];
		struct conn_group *group = &g->groups[g->group_count];
		struct place place = {0};

		if (!roaring_bitmap_contains(g->all, i))
			continue;
		if (atom->party_count == 1) {
			g->atom_names[i] =
			    r->world->parties[atom->parties[0]].end->display;
			continue;
		}
		for (uint32_t j = 0; j < atom->party_count; j++)
			place_add(&place, r->world->parties[atom->parties[j]].end);
		group->atom = atom;
		group->place = place_text(arena, &place);
		group->labels = common_labels(arena, r, atom);
		group->name =
		    str_from(arena_printf(arena, "group-%zu", ++g->group_count));
		g->atom_names[i] = group->name;
	}
}

/* Where the members of a set are; of large ones it is not looked for. */
static struct str
set_place(const struct conn_groups *g, const roaring_bitmap_t *bits)
{
	const struct conn_relation *r = g->relation;
	roaring_uint32_iterator_t *it;
	struct place place = {0};

	if (roaring_bitmap_get_cardinality(bits) > PLACE_ATOMS)
		return STR("/");
	it = roaring_create_iterator(bits);
	if (it == NULL)
		base_die("out of memory");
	for (; it->has_value; roaring_advance_uint32_iterator(it)) {
		const struct conn_atom *atom = r->atoms[it->current_value];

		for (uint32_t i = 0; i < atom->party_count; i++)
			place_add(&place, r->world->parties[atom->parties[i]].end);
	}
	roaring_free_uint32_iterator(it);
	return place_text(r->arena, &place);
}

/* ---- subtrees ---- */

/* Where the first party of each atom is; to be freed. */
static const struct ns **
homes_of(const struct conn_relation *r)
{
	const struct ns **homes =
	    xcalloc((size_t)r->atom_count + 1, sizeof(const struct ns *));

	for (uint32_t i = 0; i < r->atom_count; i++) {
		const struct workload *w = workload_of(r, r->atoms[i]->parties[0]);

		homes[i] = w != NULL ? w->ns : NULL;
	}
	return homes;
}

/* The atoms of each namespace's subtree that consists of whole atoms, two or more. */
static void
find_subtrees(struct teller *t)
{
	struct conn_groups *g = t->groups;
	const struct conn_relation *r = g->relation;
	size_t count = r->world->model->ns_count;
	uint64_t *members = xcalloc(count, sizeof(*members));

	for (uint32_t i = 0; i < r->atom_count; i++) {
		const struct conn_atom *atom = r->atoms[i];

		if (!roaring_bitmap_contains(g->all, i))
			continue;
		for (uint32_t j = 0; j < atom->party_count; j++) {
			const struct workload *w = workload_of(r, atom->parties[j]);

			for (const struct ns *ns = w != NULL ? w->ns : NULL; ns != NULL;
			     ns = ns->parent) {
				members[ns->index]++;
				if (t->subtrees[ns->index].atoms == NULL)
					t->subtrees[ns->index].atoms =
					    conn_bitmap(r->world);
				roaring_bitmap_add(t->subtrees[ns->index].atoms, i);
			}
		}
	}
	for (size_t i = 0; i < count; i++) {
		struct subtree *s = &t->subtrees[i];

		if (s->atoms == NULL)
			continue;
		s->count = roaring_bitmap_get_cardinality(s->atoms);
		s->items = ARENA_ARRAY(r->arena, s->count, uint32_t);
		roaring_bitmap_to_uint32_array(s->atoms, s->items);
		s->whole =
		    s->count > 1 && conn_relation_parties(r, s->atoms) == members[i];
	}
	free(members);
}

static struct conn_group_set *
new_set(struct conn_groups *g)
{
	if (g->set_count == g->set_cap) {
		size_t cap = g->set_cap == 0 ? 64 : 2 * g->set_cap;
		struct conn_group_set *sets =
		    ARENA_ARRAY(g->relation->arena, cap, struct conn_group_set);

		for (size_t i = 0; i < g->set_count; i++)
			sets[i] = g->sets[i];
		g->sets = sets;
		g->set_cap = cap;
	}
	return &g->sets[g->set_count++];
}

static void
add_term(struct teller *t, struct str name)
{
	if (t->term_count == t->term_cap) {
		t->term_cap = t->term_cap == 0 ? 64 : 2 * t->term_cap;
		t->terms = xreallocarray(t->terms, t->term_cap, sizeof(*t->terms));
	}
	t->terms[t->term_count++] = name;
}

static void
take_terms(struct teller *t, struct str **out, size_t *out_count)
{
	*out = ARENA_ARRAY(t->groups->relation->arena, t->term_count, struct str);
	for (size_t i = 0; i < t->term_count; i++)
		(*out)[i] = t->terms[i];
	*out_count = t->term_count;
	t->term_count = 0;
}

/* The name of a subtree's set: it is told when it is first spoken of. */
static struct str
subtree_name(struct teller *t, const struct ns *ns)
{
	struct conn_groups *g = t->groups;
	struct subtree *s = &t->subtrees[ns->index];
	struct conn_group_set *set;
	roaring_uint32_iterator_t *it;
	const char *slash = ns->parent != NULL ? "/" : "";

	if (s->name.ptr != NULL)
		return s->name;
	s->name = str_from(
	    arena_printf(g->relation->arena, "%.*s%s**", STR_ARG(ns->path), slash));
	set = new_set(g);
	*set = (struct conn_group_set){.name = s->name, .place = ns->path};
	set->parties = conn_relation_parties(g->relation, s->atoms);
	it = roaring_create_iterator(s->atoms);
	if (it == NULL)
		base_die("out of memory");
	set->with = ARENA_ARRAY(
	    g->relation->arena, roaring_bitmap_get_cardinality(s->atoms), struct str);
	for (; it->has_value; roaring_advance_uint32_iterator(it))
		set->with[set->with_count++] = g->atom_names[it->current_value];
	roaring_free_uint32_iterator(it);
	return s->name;
}

/* True if all of it is to be told. What is looked at in vain is one atom at most. */
static bool
is_inside(struct teller *t, struct subtree *s, uint64_t count)
{
	uint64_t i = 0;

	if (s->asked != t->telling) {
		s->asked = t->telling;
		while (s->count <= count && i < s->count &&
		       t->present[s->items[i]] == t->telling)
			i++;
		s->inside = i == s->count;
	}
	return s->inside;
}

/* The largest subtree that an atom is in and that is all among the `count` that are to be
 * told; NULL: none. Where one is not, those above are not either. */
static const struct ns *
subtree_in(struct teller *t, uint32_t atom, uint64_t count)
{
	const struct ns *found = NULL;

	for (const struct ns *ns = t->homes[atom]; ns != NULL; ns = ns->parent) {
		struct subtree *s = &t->subtrees[ns->index];

		if (!is_inside(t, s, count))
			break;
		if (s->whole)
			found = ns;
	}
	return found;
}

/* Tells atoms by subtrees where it can. An atom that is told alone is in no subtree that
 * is all in the bitmap, so that nothing need be taken out of it on the way. */
static void
tell_atoms(struct teller *t, const roaring_bitmap_t *bits)
{
	uint64_t count = roaring_bitmap_get_cardinality(bits);

	roaring_bitmap_to_uint32_array(bits, t->room);
	t->telling++;
	for (uint64_t i = 0; i < count; i++)
		t->present[t->room[i]] = t->telling;
	for (uint64_t i = 0; i < count; i++) {
		uint32_t atom = t->room[i];
		const struct subtree *s;
		const struct ns *ns;

		if (t->told[atom] == t->telling)
			continue;
		ns = subtree_in(t, atom, count);
		if (ns == NULL) {
			add_term(t, t->groups->atom_names[atom]);
			continue;
		}
		add_term(t, subtree_name(t, ns));
		s = &t->subtrees[ns->index];
		for (uint64_t j = 0; j < s->count; j++)
			t->told[s->items[j]] = t->telling;
	}
}

/* ---- sets ---- */

static void
tell_set(struct teller *t, uint32_t number)
{
	struct conn_groups *g = t->groups;
	const struct conn_relation *r = g->relation;
	const roaring_bitmap_t *bits = r->sets[number]->bits;
	const struct conn_reference *ref =
	    conn_references_nearest(&t->references, bits);
	struct conn_group_set set = {.all = ref == &t->references.items[1]};
	roaring_bitmap_t *with = roaring_bitmap_andnot(bits, ref->bits);
	roaring_bitmap_t *without = roaring_bitmap_andnot(ref->bits, bits);

	if (with == NULL || without == NULL)
		base_die("out of memory");
	set.parties = conn_relation_set_parties(r, number);
	set.base = ref->name;
	tell_atoms(t, with);
	take_terms(t, &set.with, &set.with_count);
	tell_atoms(t, without);
	take_terms(t, &set.without, &set.without_count);
	roaring_bitmap_free(with);
	roaring_bitmap_free(without);
	set.place = set_place(g, bits);
	set.name = str_from(arena_printf(r->arena, "set-%zu", ++t->named));
	g->set_names[number] = set.name;
	if (set.with_count + set.without_count > REFERENCE_TERMS)
		conn_references_keep(&t->references, set.name, bits);
	*new_set(g) = set;
}

/* Calls `each` for every set that a line names, or that is marked. */
static void
each_set(
    struct teller *t, const bool *used, void (*each)(struct teller *t, uint32_t set))
{
	const struct conn_relation *r = t->groups->relation;

	for (size_t i = 0; i < r->line_count; i++) {
		if (r->lines[i].src != CONN_OUTSIDE)
			each(t, r->lines[i].src);
		if (r->lines[i].dst != CONN_OUTSIDE)
			each(t, r->lines[i].dst);
	}
	for (uint32_t i = 0; used != NULL && i < r->set_count; i++) {
		if (used[i])
			each(t, i);
	}
}

static void
add_to_all(struct teller *t, uint32_t set)
{
	if (t->seen[set])
		return;
	t->seen[set] = true;
	roaring_bitmap_lazy_or_inplace(
	    t->groups->all, t->groups->relation->sets[set]->bits, false);
}

static void
name_set(struct teller *t, uint32_t number)
{
	struct conn_groups *g = t->groups;
	const roaring_bitmap_t *bits = g->relation->sets[number]->bits;

	if (g->set_names[number].ptr != NULL)
		return;
	if (roaring_bitmap_get_cardinality(bits) == 1)
		g->set_names[number] = g->atom_names[roaring_bitmap_minimum(bits)];
	else
		tell_set(t, number);
}

void
conn_groups_make(
    const struct conn_relation *relation, const bool *used, struct conn_groups *out)
{
	struct teller t = {.groups = out};

	*out = (struct conn_groups){.relation = relation};
	out->all = conn_bitmap(relation->world);
	out->set_names = ARENA_ARRAY(relation->arena, relation->set_count, struct str);
	t.seen = xcalloc((size_t)relation->set_count + 1, sizeof(*t.seen));
	t.present = xcalloc((size_t)relation->atom_count + 1, sizeof(*t.present));
	t.told = xcalloc((size_t)relation->atom_count + 1, sizeof(*t.told));
	t.room = xcalloc((size_t)relation->atom_count + 1, sizeof(*t.room));
	each_set(&t, used, add_to_all);
	roaring_bitmap_repair_after_lazy(out->all);
	(void)roaring_bitmap_run_optimize(out->all);
	name_atoms(out);
	t.homes = homes_of(relation);
	t.subtrees = xcalloc(relation->world->model->ns_count + 1, sizeof(*t.subtrees));
	find_subtrees(&t);
	conn_references_init(&t.references, conn_bitmap(relation->world), out->all);
	each_set(&t, used, name_set);
	free(t.seen);
	free(t.present);
	free(t.told);
	free(t.room);
	free(t.homes);
	free(t.subtrees);
	free(t.terms);
}

struct str
conn_groups_src(const struct conn_groups *groups, const struct conn_line *line)
{
	return line->src == CONN_OUTSIDE ? line->outside->display
					 : groups->set_names[line->src];
}

struct str
conn_groups_dst(const struct conn_groups *groups, const struct conn_line *line)
{
	return line->dst == CONN_OUTSIDE ? line->outside->display
					 : groups->set_names[line->dst];
}
