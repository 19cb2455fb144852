/*
 * The ends of a model: workloads, one for all pods of an owner, and nodes; each with its
 * addresses.
 */
#include "policy-lang/connectivity/connectivity_world.h"

#include <roaring/roaring.h>
#include <stdlib.h>
#include <string.h>

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

/* Where and how far apart numbers are. */
struct extent {
	uint32_t least, most;
	bool rising;
};

static struct extent
extent_of(const uint32_t *numbers, size_t count)
{
	struct extent e = {.least = UINT32_MAX, .rising = true};

	for (size_t i = 0; i < count; i++) {
		e.rising &= i == 0 || numbers[i - 1] < numbers[i];
		e.least = numbers[i] < e.least ? numbers[i] : e.least;
		e.most = numbers[i] > e.most ? numbers[i] : e.most;
	}
	return e;
}

/* A word for every 64 numbers of the extent. */
static void
sift(struct conn_sieve *sieve, const struct extent *e, uint32_t *numbers, size_t count)
{
	uint32_t first = e->least / 64;
	size_t words = (size_t)e->most / 64 - first + 1, out = 0;

	if (words > sieve->cap) {
		free(sieve->words); /* all is 0 */
		sieve->cap = 2 * words;
		sieve->words = xcalloc(sieve->cap, sizeof(*sieve->words));
	}
	for (size_t i = 0; i < count; i++)
		sieve->words[numbers[i] / 64 - first] |= UINT64_C(1) << numbers[i] % 64;
	for (size_t i = 0; i < words; i++) {
		uint64_t word = sieve->words[i];

		for (; word != 0; word &= word - 1)
			numbers[out++] = (uint32_t)(first + i) * 64 +
					 (uint32_t)__builtin_ctzll(word);
		sieve->words[i] = 0;
	}
}

void
conn_numbers_sort(struct conn_sieve *sieve, uint32_t *numbers, size_t count)
{
	struct extent e = extent_of(numbers, count);

	/* Few that are far apart are not worth as many words. */
	if (!e.rising && (e.most - e.least) / 64 > 64 * count)
		qsort(numbers, count, sizeof(*numbers), u32_cmp);
	else if (!e.rising)
		sift(sieve, &e, numbers, count);
}

struct roaring_bitmap_s *
conn_bitmap_of(struct conn_sieve *sieve, uint32_t *numbers, size_t count)
{
	roaring_bitmap_t *bits;

	conn_numbers_sort(sieve, numbers, count);
	bits = roaring_bitmap_of_ptr(count, numbers);
	if (bits == NULL)
		base_die("out of memory");
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
	    .display = w->shape->display,
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

		if (last.ptr != NULL && str_eq(last, w->shape->display))
			continue;
		last = w->shape->display;
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

/* The workloads' ends and the nodes'. */
static void
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

/* ---- all of it ---- */

struct conn_world *
conn_world_open(struct arena *arena, const struct model *m,
    const struct connectivity_options *options, struct conn_pool *pool)
{
	struct conn_world *world = ARENA_NEW(arena, struct conn_world);

	world->arena = arena;
	world->model = m;
	world->options = *options;
	world->pool = pool;
	conn_world_find_parties(world);
	conn_world_place(world);
	conn_policies_announce(world);
	return world;
}

/* Finds the faces that sides of each direction are asked about: those of parties whose
 * sides of the other direction are whole. If there are none, nobody else's sides matter. */
static void
ask(struct conn_world *world)
{
	struct roaring_bitmap_s *whole[DIRECTION_COUNT];

	for (size_t d = 0; d < DIRECTION_COUNT; d++) {
		whole[d] = conn_bitmap(world);
		for (uint32_t i = 0; i < world->face_count; i++) {
			if ((world->whole[world->faces[i].party] & 1u << d) != 0)
				roaring_bitmap_add(whole[d], i);
		}
	}
	for (size_t d = 0; d < DIRECTION_COUNT; d++) {
		struct conn_plane *plane = &world->planes[d];

		plane->asked = whole[1 - d];
		if (roaring_bitmap_is_empty(plane->asked))
			plane->wanted = whole[d];
	}
}

void
conn_world_fill(struct conn_world *world, const uint8_t *whole)
{
	world->whole = whole;
	if (whole != NULL)
		ask(world);
	conn_classes_build(world);
	conn_views_build(world);
}

struct conn_world *
conn_world_new(struct arena *arena, const struct model *m,
    const struct connectivity_options *options, struct conn_pool *pool)
{
	struct conn_world *world = conn_world_open(arena, m, options, pool);

	conn_world_fill(world, NULL);
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
	map_fini(&world->cluster_faces);
	map_fini(&world->ns_selections);
	map_fini(&world->values);
	map_fini(&world->values_by_set);
	map_fini(&world->owns_by_key);
	map_fini(&world->ranges);
}
