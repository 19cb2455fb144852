/*
 * Sides met with classes. For each column (destinations that are alike to everybody) the
 * sources are cut twice: by what they may send there, and by what is let in. Both cuts
 * are `rest and exceptions`, so that work follows what policy names, not pairs.
 */
#include "policy-lang/connectivity_relation.h"

#include <roaring/roaring.h>
#include <stdlib.h>
#include <string.h>

enum party_kind {
	KIND_WORKLOAD, /* has policy */
	KIND_HOST,     /* a workload on its node's network */
	KIND_NODE,
};
#define KIND_COUNT 3

/* A part of the atoms, with what policy says of it. */
struct part {
	const struct conn_value *value;
	roaring_bitmap_t *bits;
};

struct parts {
	struct part *items;
	size_t count, cap;
};

/* What a destination is to others. */
struct receiver {
	const struct conn_view *ingress;
	uint32_t egress_class; /* of egress rules' peers */
	unsigned families;
	uint32_t own;
	enum party_kind kind;
};

/* What a source is to others. */
struct sender {
	const struct conn_view *egress;
	uint32_t ingress_class;
	unsigned families;
	enum party_kind kind;
	uint32_t node; /* the party itself, if it is somebody's own node */
	uint8_t marks;
};

/* A view that says something special of a class. */
struct mention {
	uint32_t view;
	const struct conn_value *value;
};

struct atom_list {
	uint32_t *items;
	size_t count, cap;
};

struct builder {
	struct conn_relation *r;
	struct conn_world *world;
	struct map atom_by_key;
	struct map column_by_key;
	struct receiver *receivers; /* by column */
	roaring_bitmap_t **by_view; /* atoms by egress view */
	struct atom_list *by_class; /* atoms by ingress class */
	roaring_bitmap_t *by_kind[KIND_COUNT];
	roaring_bitmap_t *by_families[1 << CONN_FAMILIES];
	roaring_bitmap_t **own; /* by own: atoms that are its nodes */
	roaring_bitmap_t *all;
	uint32_t *mention_first; /* by egress class */
	struct mention *mentions;
	struct parts rests;   /* egress views by the value of their rest */
	struct parts *let_in; /* by ingress view; made when asked for */
	bool *let_in_known;
	struct parts sent; /* to `sent_class` */
	uint32_t sent_class;
	const struct conn_value *everything;
	struct map met; /* values and families -> conn_set */
	struct map line_by_key;
	bool exact;
	struct map set_by_text; /* -> const struct conn_set * */
};

static roaring_bitmap_t *
some(roaring_bitmap_t *bits)
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

size_t
conn_relation_parties(
    const struct conn_relation *relation, const struct roaring_bitmap_s *atoms)
{
	roaring_uint32_iterator_t *it = roaring_create_iterator(atoms);
	size_t count = 0;

	if (it == NULL)
		base_die("out of memory");
	for (; it->has_value; roaring_advance_uint32_iterator(it))
		count += relation->atoms[it->current_value]->party_count;
	roaring_free_uint32_iterator(it);
	return count;
}

size_t
conn_relation_set_parties(const struct conn_relation *relation, uint32_t set)
{
	return conn_relation_parties(relation, relation->sets[set]->bits);
}

/* ---- own nodes ---- */

/* A native workload's node may be of any cluster, a pod's is of its own. */
static bool
is_own(const struct conn_face *face, const struct workload *w)
{
	const struct node *node = face->end.node;

	if (face->end.kind != ENDPOINT_NODE || node == NULL || w->node.len == 0)
		return false;
	if (w->kube != NULL && !str_eq(w->kube->cluster, node->cluster))
		return false;
	return str_eq(node->name, w->node);
}

static void
own_key(struct buf *key, const struct workload *w)
{
	buf_clear(key);
	buf_add_char(key, w->kube != NULL ? 'k' : 'n');
	if (w->kube != NULL)
		key_add_str(key, w->kube->cluster);
	key_add_str(key, w->node);
}

static struct conn_own *
new_own(struct conn_world *world, const struct workload *w)
{
	struct conn_own *own = ARENA_NEW(world->arena, struct conn_own);

	own->parties = conn_bitmap(world);
	for (uint32_t i = 0; i < world->party_count; i++) {
		const struct conn_party *party = &world->parties[i];

		if (party->face_count > 0 &&
		    is_own(&world->faces[party->first_face], w))
			roaring_bitmap_add(own->parties, i);
	}
	return own;
}

/* Only nodes that are ends here matter, and what runs on their network. */
static void
find_owns(struct conn_world *world)
{
	struct buf key = {0};
	struct map known = {0};

	world->owns =
	    xcalloc((size_t)world->party_count + 1, sizeof(struct conn_own *));
	world->own_count = 1; /* 0: none */
	for (uint32_t i = 0; i < world->party_count; i++) {
		const struct conn_party *party = &world->parties[i];
		const struct node *node;
		struct str name;

		if (party->face_count == 0)
			continue;
		node = world->faces[party->first_face].end.node;
		if (world->faces[party->first_face].end.kind != ENDPOINT_NODE ||
		    node == NULL)
			continue;
		name = node->name;
		(void)map_set(&known, name, world);
	}
	for (uint32_t i = 0; known.len > 0 && i < world->party_count; i++) {
		struct conn_party *party = &world->parties[i];
		const struct workload *w = party->end->workload;
		struct conn_own *own;

		if (party->sides[DIR_INGRESS] == NULL ||
		    map_get(&known, w->node) == NULL)
			continue;
		own_key(&key, w);
		own = map_get(&world->owns_by_key, buf_str(&key));
		if (own == NULL) {
			own = new_own(world, w);
			own->index = roaring_bitmap_is_empty(own->parties)
					 ? 0
					 : world->own_count++;
			world->owns[own->index] = own;
			(void)map_set(&world->owns_by_key,
			    str_dup(world->arena, buf_str(&key)), own); /* new */
		}
		party->own = own->index;
	}
	map_fini(&known);
	buf_free(&key);
}

/* ---- atoms and columns ---- */

static enum party_kind
kind_of(const struct conn_party *party)
{
	if (party->end->kind == CONN_END_NODE)
		return KIND_NODE;
	return party->sides[DIR_EGRESS] != NULL ? KIND_WORKLOAD : KIND_HOST;
}

static struct sender
sender_of(const struct conn_world *world, uint32_t party)
{
	const struct conn_party *p = &world->parties[party];
	struct sender sender = {0};

	sender.egress = conn_party_view(world, p, DIR_EGRESS);
	sender.ingress_class = p->classes[DIR_INGRESS];
	sender.families = p->families;
	sender.kind = kind_of(p);
	sender.marks = world->marks != NULL ? world->marks[party] : 0;
	sender.node = UINT32_MAX;
	for (uint32_t i = 1; sender.kind != KIND_WORKLOAD && i < world->own_count;
	     i++) {
		if (roaring_bitmap_contains(world->owns[i]->parties, party))
			sender.node = party;
	}
	return sender;
}

static struct receiver
receiver_of(const struct conn_world *world, uint32_t party)
{
	const struct conn_party *p = &world->parties[party];
	struct receiver receiver = {0};

	receiver.ingress = conn_party_view(world, p, DIR_INGRESS);
	receiver.egress_class = p->classes[DIR_EGRESS];
	receiver.families = p->families;
	receiver.own = p->own;
	receiver.kind = kind_of(p);
	return receiver;
}

static void
receiver_key(struct buf *key, const struct receiver *d)
{
	key_add_u32(key, d->ingress->index);
	key_add_u32(key, d->egress_class);
	key_add_u32(key, d->families);
	key_add_u32(key, d->own);
	key_add_u32(key, (uint32_t)d->kind);
}

static void
sender_key(struct buf *key, const struct sender *s)
{
	key_add_u32(key, s->egress->index);
	key_add_u32(key, s->ingress_class);
	key_add_u32(key, s->families);
	key_add_u32(key, (uint32_t)s->kind);
	key_add_u32(key, s->node);
	key_add_u32(key, s->marks);
}

static struct conn_column *
column_of(struct builder *b, const struct receiver *d, struct str key)
{
	struct conn_relation *r = b->r;
	struct conn_column *column = map_get(&b->column_by_key, key);

	if (column != NULL)
		return column;
	column = ARENA_NEW(r->arena, struct conn_column);
	column->atoms = conn_bitmap(b->world);
	column->index = r->column_count;
	b->receivers[r->column_count] = *d;
	r->columns[r->column_count++] = column;
	(void)map_set(&b->column_by_key, str_dup(r->arena, key), column); /* new */
	return column;
}

static void
atom_list_add(struct atom_list *list, uint32_t atom)
{
	if (list->count == list->cap) {
		list->cap = list->cap == 0 ? 4 : 2 * list->cap;
		list->items =
		    xreallocarray(list->items, list->cap, sizeof(*list->items));
	}
	list->items[list->count++] = atom;
}

static struct conn_atom *
new_atom(struct builder *b, const struct sender *s, const struct receiver *d,
    struct str column_key)
{
	struct conn_relation *r = b->r;
	struct conn_atom *atom = ARENA_NEW(r->arena, struct conn_atom);
	struct conn_column *column = column_of(b, d, column_key);

	atom->index = r->atom_count;
	atom->column = column->index;
	r->atoms[r->atom_count++] = atom;
	roaring_bitmap_add(column->atoms, atom->index);
	roaring_bitmap_add(b->by_view[s->egress->index], atom->index);
	atom_list_add(&b->by_class[s->ingress_class], atom->index);
	roaring_bitmap_add(b->by_kind[s->kind], atom->index);
	roaring_bitmap_add(b->by_families[s->families], atom->index);
	roaring_bitmap_add(b->all, atom->index);
	return atom;
}

static void
make_atoms(struct builder *b)
{
	struct conn_relation *r = b->r;
	struct conn_world *world = b->world;
	struct buf key = {0};

	for (uint32_t i = 0; i < world->party_count; i++) {
		struct sender s;
		struct receiver d;
		struct conn_atom *atom;
		size_t cut;

		r->atom_of[i] = UINT32_MAX;
		if (world->parties[i].face_count == 0)
			continue;
		s = sender_of(world, i);
		d = receiver_of(world, i);
		buf_clear(&key);
		receiver_key(&key, &d);
		cut = key.len;
		sender_key(&key, &s);
		atom = map_get(&b->atom_by_key, buf_str(&key));
		if (atom == NULL) {
			atom = new_atom(b, &s, &d, str_slice(buf_str(&key), 0, cut));
			(void)map_set(&b->atom_by_key, str_dup(r->arena, buf_str(&key)),
			    atom); /* new */
		}
		atom->party_count++;
		r->atom_of[i] = atom->index;
	}
	for (uint32_t i = 0; i < world->party_count; i++) {
		struct conn_atom *atom;

		if (r->atom_of[i] == UINT32_MAX)
			continue;
		atom = r->atoms[r->atom_of[i]];
		if (atom->parties == NULL) {
			atom->parties =
			    ARENA_ARRAY(r->arena, atom->party_count, uint32_t);
			atom->party_count = 0;
		}
		atom->parties[atom->party_count++] = i;
	}
	buf_free(&key);
}

/* The atoms that are somebody's own nodes: each is a party alone. */
static void
find_own_atoms(struct builder *b)
{
	for (uint32_t i = 1; i < b->world->own_count; i++) {
		const roaring_bitmap_t *parties = b->world->owns[i]->parties;
		roaring_uint32_iterator_t *it = roaring_create_iterator(parties);

		if (it == NULL)
			base_die("out of memory");
		for (; it->has_value; roaring_advance_uint32_iterator(it))
			roaring_bitmap_add(b->own[i], b->r->atom_of[it->current_value]);
		roaring_free_uint32_iterator(it);
	}
}

/* ---- the two cuts of a column ---- */

static bool
value_empty(const struct conn_value *value)
{
	for (unsigned f = 0; f < CONN_FAMILIES; f++) {
		if (value->sets[f] != NULL && !conn_set_empty(value->sets[f]))
			return false;
	}
	return true;
}

/* Adds to the part of that value; what may not connect at all is in no part. Parts are
 * few: they are looked through. */
static void
parts_add(
    struct parts *parts, const struct conn_value *value, const roaring_bitmap_t *bits)
{
	if (value_empty(value))
		return;
	for (size_t i = 0; i < parts->count; i++) {
		if (parts->items[i].value == value) {
			roaring_bitmap_or_inplace(parts->items[i].bits, bits);
			return;
		}
	}
	if (parts->count == parts->cap) {
		parts->cap = parts->cap == 0 ? 4 : 2 * parts->cap;
		parts->items =
		    xreallocarray(parts->items, parts->cap, sizeof(*parts->items));
	}
	parts->items[parts->count++] =
	    (struct part){value, some(roaring_bitmap_copy(bits))};
}

static void
parts_fini(struct parts *parts)
{
	for (size_t i = 0; i < parts->count; i++)
		roaring_bitmap_free(parts->items[i].bits);
	free(parts->items);
	*parts = (struct parts){0};
}

struct class_atoms {
	const struct builder *b;
	roaring_bitmap_t *atoms;
};

static bool
add_class_atoms(uint32_t class, void *ctx)
{
	struct class_atoms *c = ctx;
	const struct atom_list *list = &c->b->by_class[class];

	roaring_bitmap_add_many(c->atoms, list->count, list->items);
	return true;
}

static roaring_bitmap_t *
atoms_of_classes(const struct builder *b, const roaring_bitmap_t *classes)
{
	struct class_atoms c = {b, some(roaring_bitmap_create())};

	(void)roaring_iterate(classes, add_class_atoms, &c); /* never stopped */
	return c.atoms;
}

/* By what the view lets in. */
static const struct parts *
let_in(struct builder *b, const struct conn_view *view)
{
	struct parts *parts = &b->let_in[view->index];
	roaring_bitmap_t *rest;

	if (b->let_in_known[view->index])
		return parts;
	b->let_in_known[view->index] = true;
	rest = some(roaring_bitmap_copy(b->all));
	for (size_t i = 0; i < view->count; i++) {
		roaring_bitmap_t *atoms =
		    atoms_of_classes(b, view->exceptions[i].classes);

		parts_add(parts, view->exceptions[i].value, atoms);
		roaring_bitmap_andnot_inplace(rest, atoms);
		roaring_bitmap_free(atoms);
	}
	parts_add(parts, view->rest, rest);
	roaring_bitmap_free(rest);
	return parts;
}

/* By what they may send to a class of receivers. Columns come by class: only the
 * last one is kept. */
static const struct parts *
sent_to(struct builder *b, uint32_t class)
{
	struct parts *parts = &b->sent;
	roaring_bitmap_t *special;

	if (b->sent_class == class)
		return parts;
	parts_fini(parts);
	b->sent_class = class;
	special = some(roaring_bitmap_create());
	for (uint32_t i = b->mention_first[class]; i < b->mention_first[class + 1];
	     i++) {
		const roaring_bitmap_t *atoms = b->by_view[b->mentions[i].view];

		parts_add(parts, b->mentions[i].value, atoms);
		roaring_bitmap_or_inplace(special, atoms);
	}
	for (size_t i = 0; i < b->rests.count; i++) {
		roaring_bitmap_t *others =
		    some(roaring_bitmap_andnot(b->rests.items[i].bits, special));

		parts_add(parts, b->rests.items[i].value, others);
		roaring_bitmap_free(others);
	}
	roaring_bitmap_free(special);
	return parts;
}

struct mention_maker {
	struct builder *b;
	struct mention mention;
	bool counting;
};

static bool
add_mention(uint32_t class, void *ctx)
{
	struct mention_maker *m = ctx;
	struct builder *b = m->b;

	if (m->counting)
		b->mention_first[class + 2]++;
	else
		b->mentions[b->mention_first[class + 1]++] = m->mention;
	return true;
}

static void
each_mention(struct builder *b, bool counting)
{
	const struct conn_plane *plane = &b->world->planes[DIR_EGRESS];
	struct mention_maker m = {.b = b, .counting = counting};

	for (uint32_t i = 0; i < plane->view_count; i++) {
		const struct conn_view *view = plane->views[i];

		for (size_t j = 0; j < view->count; j++) {
			m.mention = (struct mention){i, view->exceptions[j].value};
			(void)roaring_iterate(view->exceptions[j].classes, add_mention,
			    &m); /* never stopped */
		}
	}
}

/* Which egress views say something special of each class. */
static void
find_mentions(struct builder *b)
{
	const struct conn_plane *plane = &b->world->planes[DIR_EGRESS];
	size_t classes = plane->party_class_count;

	b->mention_first = xcalloc(classes + 2, sizeof(*b->mention_first));
	each_mention(b, true);
	for (size_t i = 2; i < classes + 2; i++)
		b->mention_first[i] += b->mention_first[i - 1];
	b->mentions =
	    xcalloc((size_t)b->mention_first[classes + 1] + 1, sizeof(*b->mentions));
	each_mention(b, false);
	for (size_t i = 0; i < plane->view_count; i++)
		parts_add(&b->rests, plane->views[i]->rest, b->by_view[i]);
}

/* ---- columns ---- */

/* Both ends in one flow; families that both can have, of which the first stands alone if
 * neither has an address. */
static const struct conn_set *
meet(struct builder *b, const struct conn_value *out, const struct conn_value *in,
    unsigned families)
{
	struct {
		const struct conn_value *out, *in;
		uintptr_t families;
	} pair = {out, in, families};
	struct str key = {(const char *)&pair, sizeof(pair)};
	const struct conn_set **kept = map_get(&b->met, key);
	const struct conn_set *all = NULL;

	if (kept != NULL)
		return *kept;
	for (unsigned f = 0; f < CONN_FAMILIES; f++) {
		const struct conn_set *set;

		if ((families & 1u << f) == 0 || ((families & 1u) != 0 && f > 0))
			continue;
		set = conn_set_meet(b->world->pool, out->sets[f], in->sets[f]);
		all = all == NULL ? set : conn_set_join(b->world->pool, all, set);
	}
	kept = ARENA_NEW(b->r->arena, const struct conn_set *);
	*kept = all;
	(void)map_set(&b->met, str_dup(b->r->arena, key), kept); /* new */
	return *kept;
}

/* The set as the relation tells it; NULL: not at all. */
static const struct conn_set *
told(struct builder *b, const struct conn_set *set)
{
	const struct conn_set **first;
	struct str key;

	if (set == NULL || conn_set_empty(set))
		return NULL;
	if (b->exact)
		return set;
	if (set->text == NULL)
		return NULL;
	key = str_from(set->text);
	first = map_get(&b->set_by_text, key);
	if (first == NULL) {
		first = ARENA_NEW(b->r->arena, const struct conn_set *);
		*first = set;
		(void)map_set(&b->set_by_text, key, first); /* new */
	}
	return *first;
}

/* Sources of one column by set, before they become cells. */
struct gathered {
	const struct conn_set *set;
	roaring_bitmap_t *bits;
};

struct gathering {
	struct gathered *items;
	size_t count, cap;
};

static void
gather(struct gathering *g, const struct conn_set *set, roaring_bitmap_t *bits)
{
	if (roaring_bitmap_is_empty(bits)) {
		roaring_bitmap_free(bits);
		return;
	}
	for (size_t i = 0; i < g->count; i++) {
		if (g->items[i].set == set) {
			roaring_bitmap_or_inplace(g->items[i].bits, bits);
			roaring_bitmap_free(bits);
			return;
		}
	}
	if (g->count == g->cap) {
		g->cap = g->cap == 0 ? 8 : 2 * g->cap;
		g->items = xreallocarray(g->items, g->cap, sizeof(*g->items));
	}
	g->items[g->count++] = (struct gathered){set, bits};
}

/* The sources that may come from one part, of every kind of families. */
static void
gather_meeting(struct builder *b, struct gathering *g, const struct receiver *d,
    const struct part *out, const struct conn_value *in, const roaring_bitmap_t *bits)
{
	for (unsigned families = 1; families < 1u << CONN_FAMILIES; families++) {
		const struct conn_set *set;
		roaring_bitmap_t *sources;

		if (roaring_bitmap_is_empty(b->by_families[families]))
			continue;
		set = told(b, meet(b, out->value, in, families & d->families));
		if (set == NULL)
			continue;
		sources = some(roaring_bitmap_and(bits, out->bits));
		roaring_bitmap_and_inplace(sources, b->by_families[families]);
		gather(g, set, sources);
	}
}

/* A node's ways to nodes, or to what runs on their network, are nobody's business here. */
static void
drop_unlisted(const struct builder *b, const struct receiver *d, roaring_bitmap_t *bits)
{
	if (d->kind == KIND_WORKLOAD)
		return;
	roaring_bitmap_andnot_inplace(bits, b->by_kind[KIND_NODE]);
	if (d->kind == KIND_NODE)
		roaring_bitmap_andnot_inplace(bits, b->by_kind[KIND_HOST]);
}

static void
gather_column(struct builder *b, struct gathering *g, const struct receiver *d)
{
	const struct parts *out = sent_to(b, d->egress_class);
	const struct parts *in = let_in(b, d->ingress);
	bool plain = d->own == 0 && d->kind == KIND_WORKLOAD;

	for (size_t i = 0; i < in->count; i++) {
		roaring_bitmap_t *bits = in->items[i].bits;

		if (!plain) {
			bits = some(roaring_bitmap_copy(bits));
			if (d->own != 0)
				roaring_bitmap_andnot_inplace(bits, b->own[d->own]);
			drop_unlisted(b, d, bits);
		}
		for (size_t j = 0; j < out->count; j++)
			gather_meeting(
			    b, g, d, &out->items[j], in->items[i].value, bits);
		if (!plain)
			roaring_bitmap_free(bits);
	}
	/* Its own node reaches a workload always. */
	for (size_t j = 0; d->own != 0 && j < out->count; j++)
		gather_meeting(b, g, d, &out->items[j], b->everything, b->own[d->own]);
}

static int
cell_cmp(const void *a, const void *b)
{
	const struct conn_cell *x = a, *y = b;

	return strcmp(x->set->text != NULL ? x->set->text : "",
	    y->set->text != NULL ? y->set->text : "");
}

static void
build_column(struct builder *b, uint32_t index)
{
	struct conn_column *column = b->r->columns[index];
	struct gathering g = {0};

	gather_column(b, &g, &b->receivers[index]);
	column->cells = ARENA_ARRAY(b->r->arena, g.count, struct conn_cell);
	for (size_t i = 0; i < g.count; i++) {
		column->cells[i].set = g.items[i].set;
		column->cells[i].sources = conn_relation_set(b->r, g.items[i].bits);
	}
	column->cell_count = (uint32_t)g.count;
	if (g.count > 1)
		qsort(column->cells, g.count, sizeof(*column->cells), cell_cmp);
	free(g.items);
}

static void
build_columns(struct builder *b)
{
	size_t classes = b->world->planes[DIR_EGRESS].party_class_count;
	uint32_t *first = xcalloc(classes + 2, sizeof(*first));
	uint32_t *order = xcalloc((size_t)b->r->column_count + 1, sizeof(*order));

	for (uint32_t i = 0; i < b->r->column_count; i++)
		first[b->receivers[i].egress_class + 1]++;
	for (size_t i = 1; i < classes + 1; i++)
		first[i] += first[i - 1];
	for (uint32_t i = 0; i < b->r->column_count; i++)
		order[first[b->receivers[i].egress_class]++] = i;
	for (uint32_t i = 0; i < b->r->column_count; i++)
		build_column(b, order[i]);
	free(first);
	free(order);
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
grow_line(struct builder *b, const struct conn_line *like, const roaring_bitmap_t *bits)
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
		line->bits = some(roaring_bitmap_create());
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
close_lines(struct builder *b)
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
	struct str text = str_from(arena_printf(world->arena, "%s-%s[External]",
	    ip_format(first, from), ip_format(last, to)));
	struct conn_end *end = map_get(&world->ranges, text);

	if (end != NULL)
		return end;
	end = ARENA_NEW(world->arena, struct conn_end);
	*end = (struct conn_end){
	    .kind = CONN_END_EXTERNAL,
	    .first = *first,
	    .last = *last,
	    .display = text,
	};
	(void)map_set(&world->ranges, text, end); /* new */
	return end;
}

/* The outside of one direction. */
static void
outside_lines(struct builder *b, enum direction dir)
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
				atoms[at] = some(roaring_bitmap_create());
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
			    .set = told(b, span->set),
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

static int
set_cmp(const void *a, const void *b)
{
	const struct conn_atoms *x = *(struct conn_atoms *const *)a;
	const struct conn_atoms *y = *(struct conn_atoms *const *)b;
	uint32_t min_x = roaring_bitmap_minimum(x->bits);
	uint32_t min_y = roaring_bitmap_minimum(y->bits);
	uint64_t count_x = roaring_bitmap_get_cardinality(x->bits);
	uint64_t count_y = roaring_bitmap_get_cardinality(y->bits);

	if (min_x != min_y)
		return min_x < min_y ? -1 : 1;
	if (count_x != count_y)
		return count_x < count_y ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

uint32_t *
conn_relation_number(struct conn_relation *r)
{
	uint32_t *number = xcalloc((size_t)r->set_count + 1, sizeof(*number));

	if (r->set_count > 1)
		qsort(r->sets, r->set_count, sizeof(struct conn_atoms *), set_cmp);
	for (uint32_t i = 0; i < r->set_count; i++) {
		number[r->sets[i]->index] = i;
		r->sets[i]->index = i;
	}
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
	    some(roaring_bitmap_and(r->sets[a]->bits, r->sets[b]->bits));
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
builder_init(struct builder *b, struct conn_relation *r)
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
	for (size_t i = 0; i < KIND_COUNT; i++)
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
builder_fini(struct builder *b)
{
	const struct conn_world *world = b->world;

	for (size_t i = 0; i < world->planes[DIR_INGRESS].view_count; i++)
		parts_fini(&b->let_in[i]);
	parts_fini(&b->sent);
	parts_fini(&b->rests);
	free(b->receivers);
	free(b->let_in);
	free(b->let_in_known);
	for (size_t i = 0; i < world->planes[DIR_INGRESS].party_class_count; i++)
		free(b->by_class[i].items);
	free(b->by_class);
	free(b->mention_first);
	free(b->mentions);
	map_fini(&b->atom_by_key);
	map_fini(&b->column_by_key);
	map_fini(&b->met);
	map_fini(&b->set_by_text);
}

struct conn_relation *
conn_relation_new(struct conn_world *world, bool exact)
{
	struct conn_relation *r = ARENA_NEW(world->arena, struct conn_relation);
	struct builder b = {.exact = exact};

	r->world = world;
	r->arena = world->arena;
	r->atoms = ARENA_ARRAY(r->arena, world->party_count, struct conn_atom *);
	r->atom_of = ARENA_ARRAY(r->arena, world->party_count, uint32_t);
	r->columns = ARENA_ARRAY(r->arena, world->party_count, struct conn_column *);
	find_owns(world);
	builder_init(&b, r);
	make_atoms(&b);
	find_own_atoms(&b);
	find_mentions(&b);
	build_columns(&b);
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
