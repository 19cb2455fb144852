/*
 * Parties that nobody tells apart: as sources by their view and their class, as
 * destinations likewise; and the nodes that are somebody's own.
 */
#include "policy-lang/connectivity/connectivity_builder.h"

#include <stdlib.h>

/* ---- own nodes ---- */

static bool
is_own(const struct conn_face *face, const struct workload *w)
{
	const struct node *node = face->end.node;

	if (face->end.kind != ENDPOINT_NODE || node == NULL || w->where->node.len == 0)
		return false;
	return str_eq(w->where->cluster, node->cluster) &&
	       str_eq(node->name, w->where->node);
}

static void
own_key(struct buf *key, const struct workload *w)
{
	buf_clear(key);
	key_add_str(key, w->where->cluster);
	key_add_str(key, w->where->node);
}

/* `nodes`: the parties that are nodes, or run on a node's network. */
static struct conn_own *
new_own(struct conn_world *world, const struct workload *w, const uint32_t *nodes,
    uint32_t node_count)
{
	struct conn_own *own = ARENA_NEW(world->arena, struct conn_own);

	own->parties = conn_bitmap(world);
	for (uint32_t i = 0; i < node_count; i++) {
		const struct conn_party *party = &world->parties[nodes[i]];

		if (is_own(&world->faces[party->first_face], w))
			roaring_bitmap_add(own->parties, nodes[i]);
	}
	return own;
}

/* Only nodes that are ends here matter, and what runs on their network. */
void
conn_owns_find(struct conn_world *world)
{
	struct buf key = {0};
	struct map known = {0};
	uint32_t *nodes = xcalloc((size_t)world->party_count + 1, sizeof(*nodes));
	uint32_t node_count = 0;

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
		nodes[node_count++] = i;
	}
	for (uint32_t i = 0; known.len > 0 && i < world->party_count; i++) {
		struct conn_party *party = &world->parties[i];
		const struct workload *w = party->end->workload;
		struct conn_own *own;

		/* A node that is judged, what runs on its network included, reaches
		 * itself. */
		if (w == NULL ||
		    (w->host_network && party->sides[DIR_INGRESS] == NULL &&
			party->sides[DIR_EGRESS] == NULL))
			continue;
		if (map_get(&known, w->where->node) == NULL)
			continue;
		own_key(&key, w);
		own = map_get(&world->owns_by_key, buf_str(&key));
		if (own == NULL) {
			own = new_own(world, w, nodes, node_count);
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
	free(nodes);
}

/* ---- atoms and columns ---- */

static enum conn_kind
kind_of(const struct conn_party *party)
{
	if (party->end->kind == CONN_END_NODE)
		return CONN_KIND_NODE;
	return party->end->workload->host_network ? CONN_KIND_HOST : CONN_KIND_WORKLOAD;
}

static struct conn_sender
sender_of(const struct conn_world *world, uint32_t party)
{
	const struct conn_party *p = &world->parties[party];
	struct conn_sender sender = {0};

	sender.egress = conn_party_view(world, p, DIR_EGRESS);
	sender.ingress_class = p->classes[DIR_INGRESS];
	sender.families = p->families;
	sender.kind = kind_of(p);
	sender.marks = world->marks != NULL ? world->marks[party] : 0;
	sender.node = UINT32_MAX;
	for (uint32_t i = 1; sender.kind != CONN_KIND_WORKLOAD && i < world->own_count;
	     i++) {
		if (roaring_bitmap_contains(world->owns[i]->parties, party))
			sender.node = party;
	}
	return sender;
}

static struct conn_receiver
receiver_of(const struct conn_world *world, uint32_t party)
{
	const struct conn_party *p = &world->parties[party];
	struct conn_receiver receiver = {0};

	receiver.ingress = conn_party_view(world, p, DIR_INGRESS);
	receiver.egress_class = p->classes[DIR_EGRESS];
	receiver.families = p->families;
	receiver.own = p->own;
	receiver.kind = kind_of(p);
	return receiver;
}

static void
receiver_key(struct buf *key, const struct conn_receiver *d)
{
	key_add_u32(key, d->ingress->index);
	key_add_u32(key, d->egress_class);
	key_add_u32(key, d->families);
	key_add_u32(key, d->own);
	key_add_u32(key, (uint32_t)d->kind);
}

static void
sender_key(struct buf *key, const struct conn_sender *s)
{
	key_add_u32(key, s->egress->index);
	key_add_u32(key, s->ingress_class);
	key_add_u32(key, s->families);
	key_add_u32(key, (uint32_t)s->kind);
	key_add_u32(key, s->node);
	key_add_u32(key, s->marks);
}

static struct conn_column *
column_of(struct conn_builder *b, const struct conn_receiver *d, struct str key)
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

void
conn_atom_list_add(struct conn_atom_list *list, uint32_t atom)
{
	if (list->count == list->cap) {
		list->cap = list->cap == 0 ? 4 : 2 * list->cap;
		list->items =
		    xreallocarray(list->items, list->cap, sizeof(*list->items));
	}
	list->items[list->count++] = atom;
}

static struct conn_atom *
new_atom(struct conn_builder *b, const struct conn_sender *s,
    const struct conn_receiver *d, struct str column_key)
{
	struct conn_relation *r = b->r;
	struct conn_atom *atom = ARENA_NEW(r->arena, struct conn_atom);
	struct conn_column *column = column_of(b, d, column_key);

	atom->index = r->atom_count;
	atom->column = column->index;
	r->atoms[r->atom_count++] = atom;
	roaring_bitmap_add(column->atoms, atom->index);
	conn_atom_list_add(&b->by_view[s->egress->index], atom->index);
	conn_atom_list_add(&b->by_class[s->ingress_class], atom->index);
	roaring_bitmap_add(b->by_kind[s->kind], atom->index);
	roaring_bitmap_add(b->by_families[s->families], atom->index);
	roaring_bitmap_add(b->all, atom->index);
	return atom;
}

void
conn_atoms_make(struct conn_builder *b)
{
	struct conn_relation *r = b->r;
	struct conn_world *world = b->world;
	struct buf key = {0};

	for (uint32_t i = 0; i < world->party_count; i++) {
		struct conn_sender s;
		struct conn_receiver d;
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
void
conn_atoms_find_own(struct conn_builder *b)
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
