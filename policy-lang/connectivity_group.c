#include "policy-lang/connectivity_group.h"

#include <roaring/roaring.h>
#include <stdlib.h>
#include <string.h>

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
place_add(struct place *place, const struct workload *w)
{
	if (w == NULL) {
		place->nodes = true;
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
	count = first->labels.count;
	kept = ARENA_ARRAY(arena, count, struct label);
	for (size_t i = 0; i < count; i++)
		kept[i] = first->labels.items[i];
	for (uint32_t i = 1; i < atom->party_count && count > 0; i++) {
		const struct workload *w = workload_of(r, atom->parties[i]);
		size_t left = 0;

		for (size_t j = 0; w != NULL && j < count; j++) {
			if (has_label(w->labels, &kept[j]))
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
			place_add(&place, workload_of(r, atom->parties[j]));
		group->atom = atom;
		group->place = place_text(arena, &place);
		group->labels = common_labels(arena, r, atom);
		group->name =
		    str_from(arena_printf(arena, "group-%zu", ++g->group_count));
		g->atom_names[i] = group->name;
	}
}

static void
place_add_atom(
    const struct conn_groups *g, struct place *place, uint32_t atom, size_t *parties)
{
	const struct conn_atom *a = g->relation->atoms[atom];

	for (uint32_t i = 0; i < a->party_count; i++)
		place_add(place, workload_of(g->relation, a->parties[i]));
	*parties += a->party_count;
}

/* A set is told by what is in it, or by what is not, whichever is less. */
static void
tell_set(struct conn_groups *g, uint32_t number)
{
	const struct conn_relation *r = g->relation;
	const roaring_bitmap_t *bits = r->sets[number]->bits;
	uint64_t count = roaring_bitmap_get_cardinality(bits);
	uint64_t others = roaring_bitmap_get_cardinality(g->all) - count;
	struct conn_group_set *set = &g->sets[g->set_count];
	struct place place = {0};
	roaring_bitmap_t *tell;

	set->all_but = count > others;
	tell = set->all_but ? roaring_bitmap_andnot(g->all, bits)
			    : roaring_bitmap_copy(bits);
	if (tell == NULL)
		base_die("out of memory");
	set->count = roaring_bitmap_get_cardinality(tell);
	set->atoms = ARENA_ARRAY(r->arena, set->count, uint32_t);
	roaring_bitmap_to_uint32_array(tell, set->atoms);
	roaring_bitmap_free(tell);
	set->parties = conn_relation_set_parties(r, number);
	/* What is told by its complement is everywhere. */
	if (!set->all_but) {
		size_t parties = 0;

		for (size_t i = 0; i < set->count; i++)
			place_add_atom(g, &place, set->atoms[i], &parties);
		set->place = place_text(r->arena, &place);
	} else {
		set->place = STR("/");
	}
	set->name = str_from(arena_printf(r->arena, "set-%zu", ++g->set_count));
	g->set_names[number] = set->name;
}

static void
name_set(struct conn_groups *g, uint32_t number)
{
	const roaring_bitmap_t *bits = g->relation->sets[number]->bits;

	if (g->set_names[number].ptr != NULL)
		return;
	if (roaring_bitmap_get_cardinality(bits) == 1)
		g->set_names[number] = g->atom_names[roaring_bitmap_minimum(bits)];
	else
		tell_set(g, number);
}

/* Calls `each` for every set that a line names, or that is marked. */
static void
each_set(struct conn_groups *g, const bool *used,
    void (*each)(struct conn_groups *g, uint32_t set))
{
	for (size_t i = 0; i < g->relation->line_count; i++) {
		const struct conn_line *line = &g->relation->lines[i];

		if (line->src != CONN_OUTSIDE)
			each(g, line->src);
		if (line->dst != CONN_OUTSIDE)
			each(g, line->dst);
	}
	for (uint32_t i = 0; used != NULL && i < g->relation->set_count; i++) {
		if (used[i])
			each(g, i);
	}
}

static void
add_to_all(struct conn_groups *g, uint32_t set)
{
	roaring_bitmap_or_inplace(g->all, g->relation->sets[set]->bits);
}

void
conn_groups_make(
    const struct conn_relation *relation, const bool *used, struct conn_groups *out)
{
	*out = (struct conn_groups){.relation = relation};
	out->all = conn_bitmap(relation->world);
	out->sets =
	    ARENA_ARRAY(relation->arena, relation->set_count, struct conn_group_set);
	out->set_names = ARENA_ARRAY(relation->arena, relation->set_count, struct str);
	each_set(out, used, add_to_all);
	name_atoms(out);
	each_set(out, used, name_set);
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
