/*
 * Whom a match, or a rule's from/to, takes in. Selectors are evaluated once, over an index
 * of labels; addresses are looked up in order.
 */
#include "policy-lang/connectivity/connectivity_world.h"

#include <roaring/roaring.h>
#include <stdlib.h>
#include <string.h>

/* An address of a face, for networks to find. */
struct conn_point {
	addr_num addr;
	enum ip_family family;
	uint32_t face;
};

/* ---- who is where ---- */

static struct conn_scope *
scope_of(struct conn_world *world, const struct workload *w)
{
	const void *place =
	    w->kube != NULL ? (const void *)w->kube : (const void *)w->ns;
	struct str key = {(const char *)&place, sizeof(place)};
	struct conn_scope *scope = map_get(&world->scope_by_key, key);

	if (scope != NULL)
		return scope;
	scope = &world->scopes[world->scope_count++];
	scope->kube = w->kube;
	scope->ns = w->ns;
	scope->faces = conn_bitmap(world);
	(void)map_set(
	    &world->scope_by_key, str_dup(world->arena, key), scope); /* new */
	return scope;
}

static struct roaring_bitmap_s *
cluster_of(struct conn_world *world, struct str cluster)
{
	struct roaring_bitmap_s *faces = map_get(&world->cluster_faces, cluster);

	if (faces == NULL) {
		faces = conn_bitmap(world);
		(void)map_set(&world->cluster_faces, cluster, faces); /* new */
	}
	return faces;
}

static void
place_faces(struct conn_world *world)
{
	const struct workload *last = NULL;
	struct conn_scope *scope = NULL;

	world->scopes = ARENA_ARRAY(world->arena,
	    world->model->ns_count + world->model->kube_count, struct conn_scope);
	for (uint32_t i = 0; i < world->face_count; i++) {
		const struct conn_face *face = &world->faces[i];
		const struct workload *w = face->end.workload;

		if (face->end.kind != ENDPOINT_WORKLOAD)
			continue;
		if (last == NULL || last->kube != w->kube || last->ns != w->ns)
			scope = scope_of(world, w);
		last = w;
		roaring_bitmap_add(scope->faces, i);
		roaring_bitmap_add(world->workload_faces, i);
		roaring_bitmap_add(cluster_of(world, w->where->cluster), i);
	}
	for (uint32_t i = 0; i < world->scope_count; i++) {
		const struct ns *ns = world->scopes[i].ns;

		for (; ns != NULL; ns = ns->parent) {
			if (world->ns_faces[ns->index] == NULL)
				world->ns_faces[ns->index] = conn_bitmap(world);
			roaring_bitmap_or_inplace(
			    world->ns_faces[ns->index], world->scopes[i].faces);
		}
	}
}

static int
point_cmp(const void *a, const void *b)
{
	const struct conn_point *x = a, *y = b;

	if (x->family != y->family)
		return x->family < y->family ? -1 : 1;
	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	return (x->face > y->face) - (x->face < y->face);
}

static void
sort_addresses(struct conn_world *world)
{
	world->points = ARENA_ARRAY(world->arena, world->face_count, struct conn_point);
	world->node_faces = ARENA_ARRAY(world->arena, world->face_count, uint32_t);
	for (uint32_t i = 0; i < world->face_count; i++) {
		const struct conn_face *face = &world->faces[i];

		if (face->end.kind == ENDPOINT_NODE && face->end.node != NULL)
			world->node_faces[world->node_face_count++] = i;
		if (face->family == 0)
			continue;
		world->points[world->point_count++] = (struct conn_point){
		    addr_to_num(&face->end.addr), face->end.addr.family, i};
	}
	if (world->point_count > 1)
		qsort(world->points, world->point_count, sizeof(*world->points),
		    point_cmp);
}

static struct label_set
labels_of_face(const void *ctx, uint32_t item)
{
	const struct conn_face *face = &((const struct conn_world *)ctx)->faces[item];

	if (face->end.kind != ENDPOINT_WORKLOAD)
		return (struct label_set){0};
	return face->end.workload->shape->labels;
}

static struct label_set
labels_of_scope(const void *ctx, uint32_t item)
{
	const struct conn_scope *scope =
	    &((const struct conn_world *)ctx)->scopes[item];

	return scope->kube != NULL ? scope->kube->labels : scope->ns->labels;
}

void
conn_world_place(struct conn_world *world)
{
	world->workload_faces = conn_bitmap(world);
	world->ns_faces = ARENA_ARRAY(
	    world->arena, world->model->ns_count, struct roaring_bitmap_s *);
	place_faces(world);
	sort_addresses(world);
	world->labels = label_index_new(world->face_count, labels_of_face, world);
	world->scope_labels =
	    label_index_new(world->scope_count, labels_of_scope, world);
}

void
conn_match_announce(struct conn_world *world, const struct workload_match *match)
{
	label_index_want(world->labels, match->selector);
	label_index_want(world->scope_labels, match->ns_selector);
}

void
conn_world_index(struct conn_world *world)
{
	label_index_fill(world->labels);
	label_index_fill(world->scope_labels);
}

/* ---- matching ---- */

/* The faces of some scopes. */
static struct roaring_bitmap_s *
faces_of_scopes(struct conn_world *world, const struct roaring_bitmap_s *scopes)
{
	roaring_uint32_iterator_t *it = roaring_create_iterator(scopes);
	struct roaring_bitmap_s *all = conn_bitmap(world);

	if (it == NULL)
		base_die("out of memory");
	for (; it->has_value; roaring_advance_uint32_iterator(it))
		roaring_bitmap_lazy_or_inplace(
		    all, world->scopes[it->current_value].faces, false);
	roaring_free_uint32_iterator(it);
	roaring_bitmap_repair_after_lazy(all);
	return all;
}

/* The faces in the namespaces that a namespaceSelector takes in. */
static const struct roaring_bitmap_s *
faces_by_ns_selector(struct conn_world *world, const struct selector *selector)
{
	struct buf key = {0};
	struct roaring_bitmap_s *faces;

	selector_add_key(&key, selector);
	faces = map_get(&world->ns_selections, buf_str(&key));
	if (faces == NULL) {
		faces = faces_of_scopes(
		    world, label_index_select(world->scope_labels, selector));
		(void)map_set(&world->ns_selections,
		    str_dup(world->arena, buf_str(&key)), faces); /* new */
	}
	buf_free(&key);
	return faces;
}

/* Where a match looks at all; NULL: nowhere. */
static const struct roaring_bitmap_s *
faces_in_place(struct conn_world *world, const struct workload_match *match)
{
	const void *place = match->kube;
	struct str key = {(const char *)&place, sizeof(place)};
	const struct conn_scope *scope;

	if (match->kube != NULL) {
		if (match->subtree != NULL &&
		    !ns_within(match->kube->ns, match->subtree))
			return NULL;
		scope = map_get(&world->scope_by_key, key);
		return scope != NULL ? scope->faces : NULL;
	}
	if (match->subtree != NULL && match->subtree->parent != NULL)
		return world->ns_faces[match->subtree->index];
	return world->workload_faces;
}

static void
keep_account(const struct conn_world *world, struct str account, roaring_bitmap_t *bits)
{
	roaring_bitmap_t *others = roaring_bitmap_create();
	roaring_uint32_iterator_t *it = roaring_create_iterator(bits);

	if (others == NULL || it == NULL)
		base_die("out of memory");
	for (; it->has_value; roaring_advance_uint32_iterator(it)) {
		const struct workload *w = world->faces[it->current_value].end.workload;

		if (!str_eq(w->shape->service_account, account))
			roaring_bitmap_add(others, it->current_value);
	}
	roaring_free_uint32_iterator(it);
	roaring_bitmap_andnot_inplace(bits, others);
	roaring_bitmap_free(others);
}

static void
node_faces(struct conn_world *world, const struct peer *peer,
    const struct roaring_bitmap_s *within, struct roaring_bitmap_s *out_faces)
{
	for (uint32_t i = 0; i < world->node_face_count; i++) {
		uint32_t face = world->node_faces[i];
		const struct node *node = world->faces[face].end.node;

		if ((within == NULL || roaring_bitmap_contains(within, face)) &&
		    peer_takes_node(peer, node))
			roaring_bitmap_add(out_faces, face);
	}
}

/* What workloads of a match are in, all of them. */
struct factors {
	const roaring_bitmap_t *items[5];
	size_t count;
};

/* False if there can be none. */
static bool
find_factors(struct conn_world *world, const struct workload_match *match,
    const struct roaring_bitmap_s *within, struct factors *out)
{
	const struct roaring_bitmap_s *place = faces_in_place(world, match);

	if (place == NULL ||
	    (within != NULL && !roaring_bitmap_intersect(place, within)))
		return false;
	out->items[out->count++] = place;
	if (within != NULL)
		out->items[out->count++] = within;
	if (match->cluster.ptr != NULL) {
		const roaring_bitmap_t *own =
		    map_get(&world->cluster_faces, match->cluster);

		if (own == NULL)
			return false;
		if (world->cluster_faces.len > 1)
			out->items[out->count++] = own;
	}
	if (match->ns_selector != NULL)
		out->items[out->count++] =
		    faces_by_ns_selector(world, match->ns_selector);
	if (match->selector != NULL)
		out->items[out->count++] =
		    label_index_select(world->labels, match->selector);
	return true;
}

/* What is in all of them; the smallest is cut by the others. */
static roaring_bitmap_t *
product(struct factors *f)
{
	uint64_t least = UINT64_MAX;
	roaring_bitmap_t *bits;

	for (size_t i = 0; i < f->count; i++) {
		const roaring_bitmap_t *item = f->items[i];
		uint64_t count = roaring_bitmap_get_cardinality(item);

		if (count < least) {
			least = count;
			f->items[i] = f->items[0];
			f->items[0] = item;
		}
	}
	bits = f->count > 1 ? roaring_bitmap_and(f->items[0], f->items[1])
			    : roaring_bitmap_copy(f->items[0]);
	if (bits == NULL)
		base_die("out of memory");
	for (size_t i = 2; i < f->count; i++)
		roaring_bitmap_and_inplace(bits, f->items[i]);
	return bits;
}

void
conn_match_faces(struct conn_world *world, const struct workload_match *match,
    const struct roaring_bitmap_s *within, struct roaring_bitmap_s *out_faces)
{
	struct factors factors = {0};
	roaring_bitmap_t *bits;

	if (match->nodes != NULL) {
		if (!world->model->options.nodes_unprotected)
			node_faces(world, match->nodes, within, out_faces);
		return;
	}
	if (!find_factors(world, match, within, &factors))
		return;
	bits = product(&factors);
	if (match->service_account.ptr != NULL)
		keep_account(world, match->service_account, bits);
	roaring_bitmap_or_inplace(out_faces, bits);
	roaring_bitmap_free(bits);
}

static void
network_addrs(const struct peer *peer, unsigned f, struct addrset *out)
{
	enum ip_family family = f == 0 ? IP_V4 : IP_V6;
	struct addrset excepts = {0};

	addrset_add_prefixes(out, family, peer->prefixes, peer->prefix_count);
	addrset_add_prefixes(&excepts, family, peer->excepts, peer->except_count);
	addrset_normalise(out);
	addrset_normalise(&excepts);
	addrset_subtract(out, &excepts);
	addrset_fini(&excepts);
}

static uint32_t
find_point(const struct conn_world *world, enum ip_family family, addr_num addr)
{
	uint32_t lo = 0, hi = world->point_count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		const struct conn_point *p = &world->points[mid];

		if (p->family < family || (p->family == family && p->addr < addr))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* To a policy of one cluster the workloads of another are outside addresses. */
static bool
takes_in(const struct peer *peer, const struct endpoint *end)
{
	if (end->kind != ENDPOINT_WORKLOAD || peer->by_address)
		return true;
	return peer->cluster.ptr != NULL &&
	       !str_eq(peer->cluster, end->workload->where->cluster);
}

static void
add_in_network(struct conn_world *world, const struct peer *peer, enum ip_family family,
    const struct addrset *addrs, struct roaring_bitmap_s *out_faces)
{
	for (size_t i = 0; i < addrs->count; i++) {
		uint32_t p = find_point(world, family, addrs->ranges[i].lo);

		for (; p < world->point_count && world->points[p].family == family &&
		       world->points[p].addr <= addrs->ranges[i].hi;
		     p++) {
			uint32_t face = world->points[p].face;

			if (takes_in(peer, &world->faces[face].end))
				roaring_bitmap_add(out_faces, face);
		}
	}
}

/* The same of some faces. */
static void
add_some_in_network(struct conn_world *world, const struct peer *peer,
    enum ip_family family, const struct addrset *addrs,
    const struct roaring_bitmap_s *within, struct roaring_bitmap_s *out_faces)
{
	roaring_uint32_iterator_t *it = roaring_create_iterator(within);

	if (it == NULL)
		base_die("out of memory");
	for (; it->has_value; roaring_advance_uint32_iterator(it)) {
		const struct conn_face *face = &world->faces[it->current_value];

		if (face->family == family &&
		    addrset_has(addrs, addr_to_num(&face->end.addr)) &&
		    takes_in(peer, &face->end))
			roaring_bitmap_add(out_faces, it->current_value);
	}
	roaring_free_uint32_iterator(it);
}

static void
network_faces(struct conn_world *world, const struct peer *peer,
    const struct roaring_bitmap_s *within, struct roaring_bitmap_s *out_faces)
{
	for (unsigned f = 0; f < 2; f++) {
		enum ip_family family = f == 0 ? IP_V4 : IP_V6;
		struct addrset addrs = {0};

		network_addrs(peer, f, &addrs);
		if (within == NULL)
			add_in_network(world, peer, family, &addrs, out_faces);
		else if (addrs.count > 0)
			add_some_in_network(
			    world, peer, family, &addrs, within, out_faces);
		addrset_fini(&addrs);
	}
}

void
conn_rule_faces(struct conn_world *world, const struct rule *rule,
    const struct roaring_bitmap_s *within, struct roaring_bitmap_s *out_faces)
{
	for (size_t i = 0; i < rule->peer_count; i++) {
		const struct peer *peer = &rule->peers[i];

		switch (peer->kind) {
		case PEER_WORKLOADS:
			conn_match_faces(world, &peer->workloads, within, out_faces);
			break;
		case PEER_NETWORK:
			network_faces(world, peer, within, out_faces);
			break;
		case PEER_NODES:
			node_faces(world, peer, within, out_faces);
			break;
		case PEER_FQDN: /* outside, and listings know no names */
			break;
		}
	}
}

/* What is denied by name, by whom knows none. */
static const struct ip_prefix everywhere[] = {
    {.addr = {.family = IP_V4}},
    {.addr = {.family = IP_V6}},
};

void
conn_rule_nets(const struct rule *rule, struct addrset out_nets[2])
{
	for (unsigned f = 0; f < 2; f++) {
		for (size_t i = 0; i < rule->peer_count; i++) {
			struct addrset addrs = {0};

			if (rule->peers[i].kind != PEER_NETWORK)
				continue;
			network_addrs(&rule->peers[i], f, &addrs);
			addrset_add_set(&out_nets[f], &addrs);
			addrset_fini(&addrs);
		}
		if (rule->action == ACTION_DENY && rule_has_names(rule))
			addrset_add_prefixes(&out_nets[f], f == 0 ? IP_V4 : IP_V6,
			    everywhere, ARRAY_LEN(everywhere));
		addrset_normalise(&out_nets[f]);
	}
}
