/*
 * The ends of a model, and which of them a match takes in. Selectors are evaluated once,
 * over an index of labels; addresses are looked up in order.
 */
#include "policy-lang/connectivity_world.h"

#include <roaring/roaring.h>
#include <stdlib.h>
#include <string.h>

/* An address of a face, for networks to find. */
struct conn_point {
	addr_num addr;
	enum ip_family family;
	uint32_t face;
};

unsigned
conn_family_place(unsigned family)
{
	if (family == 0)
		return 0;
	return family == IP_V4 ? 1 : 2;
}

unsigned
conn_family_at(unsigned place)
{
	static const unsigned families[CONN_FAMILIES] = {0, IP_V4, IP_V6};

	return families[place];
}

/* ---- bitmaps ---- */

void
conn_bitmap_keep(struct conn_world *world, struct roaring_bitmap_s *bits)
{
	if (bits == NULL)
		base_die("out of memory");
	if (world->bitmap_count == world->bitmap_cap) {
		world->bitmap_cap = world->bitmap_cap == 0 ? 64 : 2 * world->bitmap_cap;
		world->bitmaps = xreallocarray(world->bitmaps, world->bitmap_cap,
		    sizeof(struct roaring_bitmap_s *));
	}
	world->bitmaps[world->bitmap_count++] = bits;
}

struct roaring_bitmap_s *
conn_bitmap(struct conn_world *world)
{
	roaring_bitmap_t *bits = roaring_bitmap_create();

	conn_bitmap_keep(world, bits);
	return bits;
}

/* ---- parties ---- */

static bool
some_workload_has_ipv6(const struct model *m)
{
	for (size_t i = 0; i < m->workload_count; i++) {
		const struct workload *w = m->workloads[i];

		for (size_t j = 0; j < w->ip_count; j++) {
			if (w->ips[j].family == IP_V6)
				return true;
		}
	}
	return false;
}

static bool
names_ipv6(const struct rule_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		for (size_t j = 0; j < list->rules[i].peer_count; j++) {
			const struct peer *peer = &list->rules[i].peers[j];

			for (size_t k = 0; k < peer->prefix_count; k++) {
				if (peer->prefixes[k].addr.family == IP_V6)
					return true;
			}
		}
	}
	return false;
}

static bool
names_portless(const struct rule_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		for (size_t j = 0; j < list->rules[i].port_count; j++) {
			uint8_t proto = list->rules[i].ports[j].proto;

			if (proto == PROTO_ICMP || proto == PROTO_ICMPV6)
				return true;
		}
	}
	return false;
}

static bool
some_list(const struct model *m, bool (*holds)(const struct rule_list *))
{
	for (size_t i = 0; i < m->policy_count; i++) {
		const struct policy *p = m->policies[i];

		for (size_t d = 0; d < DIRECTION_COUNT; d++) {
			if (holds(&p->mandatory[d]) || holds(&p->allow[d]) ||
			    holds(&p->defaults[d]))
				return true;
		}
	}
	return false;
}

bool
conn_names_portless(const struct model *m)
{
	return some_list(m, names_portless);
}

bool
conn_speaks_of_ipv6(const struct model *m)
{
	return some_list(m, names_ipv6) || some_workload_has_ipv6(m);
}

static const struct conn_end *
workload_end(struct conn_world *world, const struct workload *w)
{
	struct conn_end *end = ARENA_NEW(world->arena, struct conn_end);

	*end = (struct conn_end){
	    .kind = CONN_END_WORKLOAD,
	    .workload = w,
	    .display = w->display,
	};
	return end;
}

static const struct conn_end *
node_end(struct conn_world *world, const struct node *node)
{
	struct conn_end *end = ARENA_NEW(world->arena, struct conn_end);
	const char *slash = node->cluster.len > 0 ? "/" : "";

	*end = (struct conn_end){
	    .kind = CONN_END_NODE,
	    .node = node,
	    .display = str_from(arena_printf(world->arena, "node/%.*s%s%.*s[Node]",
		STR_ARG(node->cluster), slash, STR_ARG(node->name))),
	};
	return end;
}

/* Workloads are sorted by display, then name: the first of each display stands for all. */
static void
add_workloads(struct conn_world *world)
{
	struct str last = {0};

	for (size_t i = 0; i < world->model->workload_count; i++) {
		const struct workload *w = world->model->workloads[i];

		if (last.ptr != NULL && str_eq(last, w->display))
			continue;
		last = w->display;
		world->parties[world->party_count++].end = workload_end(world, w);
	}
}

static int
party_cmp(const void *a, const void *b)
{
	const struct conn_party *x = a, *y = b;

	return str_cmp(x->end->display, y->end->display);
}

static void
add_face(struct conn_world *world, uint32_t party, const struct endpoint *end,
    const struct ip_addr *addr)
{
	struct conn_party *p = &world->parties[party];
	struct conn_face *face = &world->faces[world->face_count];

	if (addr != NULL && world->options.family != 0 &&
	    addr->family != world->options.family)
		return;
	face->end = *end;
	face->party = party;
	face->end.has_addr = addr != NULL;
	if (addr != NULL) {
		face->end.addr = *addr;
		face->family = addr->family;
		p->families |= 1u << conn_family_place(addr->family);
	} else {
		p->families = (1u << CONN_FAMILIES) - 1;
	}
	world->face_count++;
	p->face_count++;
}

static struct endpoint
endpoint_of(const struct conn_world *world, const struct conn_end *end)
{
	if (end->kind == CONN_END_NODE)
		return endpoint_of_node(end->node);
	return endpoint_of_workload(world->model, end->workload);
}

static void
add_faces(struct conn_world *world)
{
	const struct ip_addr *addrs;
	size_t total = 0, count;

	for (uint32_t i = 0; i < world->party_count; i++) {
		struct endpoint end = endpoint_of(world, world->parties[i].end);

		addrs = endpoint_addrs(&end, &count);
		total += addrs != NULL ? count + 1 : 1;
	}
	world->faces = ARENA_ARRAY(world->arena, total, struct conn_face);
	for (uint32_t i = 0; i < world->party_count; i++) {
		struct endpoint end = endpoint_of(world, world->parties[i].end);

		addrs = endpoint_addrs(&end, &count);
		world->parties[i].first_face = world->face_count;
		if (count == 0)
			add_face(world, i, &end, NULL);
		for (size_t j = 0; j < count; j++)
			add_face(world, i, &end, &addrs[j]);
	}
}

void
conn_world_find_parties(struct conn_world *world)
{
	const struct model *m = world->model;
	bool addressless = false;

	world->outside6 = world->options.family == IP_V6 ||
			  (world->options.family == 0 &&
			      (world->options.outside6 || conn_speaks_of_ipv6(m)));
	world->parties = ARENA_ARRAY(
	    world->arena, m->workload_count + m->node_count, struct conn_party);
	add_workloads(world);
	for (size_t i = 0; world->options.nodes && i < m->node_count; i++)
		world->parties[world->party_count++].end = node_end(world, m->nodes[i]);
	if (world->party_count > 1)
		qsort(world->parties, world->party_count, sizeof(*world->parties),
		    party_cmp);
	add_faces(world);
	for (uint32_t i = 0; i < world->face_count; i++) {
		addressless |= world->faces[i].family == 0;
		world->families |= 1u << conn_family_place(world->faces[i].family);
	}
	if (!addressless)
		world->families &= ~1u;
}

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
	return face->end.workload->labels;
}

static struct label_set
labels_of_scope(const void *ctx, uint32_t item)
{
	const struct conn_scope *scope =
	    &((const struct conn_world *)ctx)->scopes[item];

	return scope->kube != NULL ? scope->kube->labels : scope->ns->labels;
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

/* The faces in the namespaces that a namespaceSelector takes in. */
static const struct roaring_bitmap_s *
faces_by_ns_selector(struct conn_world *world, const struct selector *selector)
{
	struct buf key = {0};
	struct roaring_bitmap_s *faces;
	const struct roaring_bitmap_s *scopes;
	roaring_uint32_iterator_t *it;

	selector_add_key(&key, selector);
	faces = map_get(&world->ns_selections, buf_str(&key));
	if (faces != NULL) {
		buf_free(&key);
		return faces;
	}
	faces = conn_bitmap(world);
	scopes = label_index_select(world->scope_labels, selector);
	it = roaring_create_iterator(scopes);
	if (it == NULL)
		base_die("out of memory");
	for (; it->has_value; roaring_advance_uint32_iterator(it))
		roaring_bitmap_or_inplace(
		    faces, world->scopes[it->current_value].faces);
	roaring_free_uint32_iterator(it);
	(void)map_set(
	    &world->ns_selections, str_dup(world->arena, buf_str(&key)), faces);
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

		if (!str_eq(w->service_account, account))
			roaring_bitmap_add(others, it->current_value);
	}
	roaring_free_uint32_iterator(it);
	roaring_bitmap_andnot_inplace(bits, others);
	roaring_bitmap_free(others);
}

void
conn_match_faces(struct conn_world *world, const struct workload_match *match,
    struct roaring_bitmap_s *out_faces)
{
	const struct roaring_bitmap_s *place = faces_in_place(world, match);
	roaring_bitmap_t *bits;

	if (place == NULL)
		return;
	bits = roaring_bitmap_copy(place);
	if (bits == NULL)
		base_die("out of memory");
	if (match->ns_selector != NULL)
		roaring_bitmap_and_inplace(
		    bits, faces_by_ns_selector(world, match->ns_selector));
	if (match->selector != NULL)
		roaring_bitmap_and_inplace(
		    bits, label_index_select(world->labels, match->selector));
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

static void
network_faces(struct conn_world *world, const struct peer *peer,
    struct roaring_bitmap_s *out_faces)
{
	for (unsigned f = 0; f < 2; f++) {
		enum ip_family family = f == 0 ? IP_V4 : IP_V6;
		struct addrset addrs = {0};

		network_addrs(peer, f, &addrs);
		for (size_t i = 0; i < addrs.count; i++) {
			uint32_t p = find_point(world, family, addrs.ranges[i].lo);

			for (; p < world->point_count &&
			       world->points[p].family == family &&
			       world->points[p].addr <= addrs.ranges[i].hi;
			     p++) {
				uint32_t face = world->points[p].face;

				if (peer->by_address ||
				    world->faces[face].end.kind != ENDPOINT_WORKLOAD)
					roaring_bitmap_add(out_faces, face);
			}
		}
		addrset_fini(&addrs);
	}
}

static void
node_faces(struct conn_world *world, const struct peer *peer,
    struct roaring_bitmap_s *out_faces)
{
	for (uint32_t i = 0; i < world->node_face_count; i++) {
		uint32_t face = world->node_faces[i];
		const struct node *node = world->faces[face].end.node;

		if (peer->node_name.ptr != NULL && !str_eq(peer->node_name, node->name))
			continue;
		if (peer->node_selector == NULL ||
		    selector_matches(peer->node_selector, node->labels))
			roaring_bitmap_add(out_faces, face);
	}
}

void
conn_rule_faces(struct conn_world *world, const struct rule *rule,
    struct roaring_bitmap_s *out_faces)
{
	for (size_t i = 0; i < rule->peer_count; i++) {
		const struct peer *peer = &rule->peers[i];

		switch (peer->kind) {
		case PEER_WORKLOADS:
			conn_match_faces(world, &peer->workloads, out_faces);
			break;
		case PEER_NETWORK:
			network_faces(world, peer, out_faces);
			break;
		case PEER_NODES:
			node_faces(world, peer, out_faces);
			break;
		case PEER_FQDN: /* no name has been resolved to an address */
			break;
		}
	}
}

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
		addrset_normalise(&out_nets[f]);
	}
}

/* ---- all of it ---- */

struct conn_world *
conn_world_new(struct arena *arena, const struct model *m,
    const struct connectivity_options *options, struct conn_pool *pool)
{
	struct conn_world *world = ARENA_NEW(arena, struct conn_world);

	world->arena = arena;
	world->model = m;
	world->options = *options;
	world->pool = pool;
	conn_world_find_parties(world);
	world->workload_faces = conn_bitmap(world);
	world->ns_faces = ARENA_ARRAY(arena, m->ns_count, struct roaring_bitmap_s *);
	place_faces(world);
	sort_addresses(world);
	world->labels = label_index_new(world->face_count, labels_of_face, world);
	world->scope_labels =
	    label_index_new(world->scope_count, labels_of_scope, world);
	conn_classes_build(world);
	conn_views_build(world);
	return world;
}

static void
plane_fini(struct conn_plane *plane)
{
	for (size_t i = 0; i < plane->set_count; i++) {
		for (unsigned f = 0; f < 2; f++)
			addrset_fini(&plane->sets[i]->nets[f]);
	}
	for (size_t i = 0; i < plane->meanings.len; i++)
		free(((struct conn_meanings *)plane->meanings.entries[i].value)->sets);
	free(plane->sides);
	free(plane->sets);
	free(plane->views);
	map_fini(&plane->side_by_key);
	map_fini(&plane->set_by_key);
	map_fini(&plane->set_by_rule);
	map_fini(&plane->meanings);
	map_fini(&plane->view_by_key);
}

void
conn_world_free(struct conn_world *world)
{
	if (world == NULL)
		return;
	for (size_t d = 0; d < DIRECTION_COUNT; d++)
		plane_fini(&world->planes[d]);
	for (size_t i = 0; i < world->bitmap_count; i++)
		roaring_bitmap_free(world->bitmaps[i]);
	free(world->bitmaps);
	free(world->owns);
	label_index_free(world->labels);
	label_index_free(world->scope_labels);
	map_fini(&world->scope_by_key);
	map_fini(&world->ns_selections);
	map_fini(&world->values);
	map_fini(&world->owns_by_key);
	map_fini(&world->ranges);
}
