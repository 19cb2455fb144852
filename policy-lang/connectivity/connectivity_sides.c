/*
 * Who has which policies. Each policy's workloads are found at once, and it is put behind
 * those that they have already; workloads with the same ones share a side.
 */
#include "policy-lang/connectivity/connectivity_world.h"

#include <roaring/roaring.h>
#include <stdlib.h>

/* Policies of some workloads, root first, as a tree: the last of them, and the trail of
 * those before it. Trail 0 has none. */
struct trail {
	struct policy *policy;
	uint32_t before, length;
	uint32_t serial, next; /* of a policy: the trail that it has made of this one */
};

struct trails {
	struct trail *items;
	uint32_t count, cap;
	uint32_t *at; /* by party */
};

struct side_maker {
	struct conn_world *world;
	struct trails trails[DIRECTION_COUNT];
	uint32_t serial;
	struct map names;         /* of ports that some ingress rule speaks of */
	struct policy **policies; /* room for those of one trail */
	uint32_t policy_cap;
	struct buf key;
};

bool
conn_policy_concerns(const struct policy *policy, enum direction dir)
{
	return policy->isolates[dir] || policy->mandatory[dir].count > 0 ||
	       policy->defaults[dir].count > 0;
}

/* ---- announcing ---- */

static void
each_list(const struct policy *policy,
    void (*each)(void *ctx, const struct rule_list *list), void *ctx)
{
	for (size_t d = 0; d < DIRECTION_COUNT; d++) {
		each(ctx, &policy->mandatory[d]);
		each(ctx, &policy->allow[d]);
		each(ctx, &policy->defaults[d]);
	}
}

static void
announce_rules(void *ctx, const struct rule_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct rule *rule = &list->rules[i];

		for (size_t j = 0; j < rule->peer_count; j++) {
			if (rule->peers[j].kind == PEER_WORKLOADS)
				conn_match_announce(ctx, &rule->peers[j].workloads);
		}
	}
}

void
conn_policies_announce(struct conn_world *world)
{
	const struct model *m = world->model;

	for (size_t i = 0; i < m->policy_count; i++) {
		conn_match_announce(world, &m->policies[i]->subject);
		each_list(m->policies[i], announce_rules, world);
	}
	conn_world_index(world);
}

static void
add_names(void *ctx, const struct rule_list *list)
{
	struct side_maker *maker = ctx;

	for (size_t i = 0; i < list->count; i++) {
		const struct rule *rule = &list->rules[i];

		for (size_t j = 0; j < rule->port_count; j++) {
			if (rule->ports[j].kind == PORT_NAMED &&
			    rule->dir == DIR_INGRESS)
				(void)map_set(
				    &maker->names, rule->ports[j].name, maker);
		}
	}
}

/* ---- trails ---- */

static uint32_t
new_trail(struct trails *trails, uint32_t before, struct policy *policy)
{
	if (trails->count == trails->cap) {
		trails->cap = trails->cap == 0 ? 256 : 2 * trails->cap;
		trails->items =
		    xreallocarray(trails->items, trails->cap, sizeof(*trails->items));
	}
	trails->items[trails->count] = (struct trail){
	    .policy = policy,
	    .before = before,
	    .length = policy != NULL ? trails->items[before].length + 1 : 0,
	};
	return trails->count++;
}

/* Puts the policy behind those that the party has. */
static void
follow(struct trails *trails, uint32_t party, struct policy *policy, uint32_t serial)
{
	uint32_t at = trails->at[party];

	/* The faces of a party are neighbours: it may be met several times. */
	if (trails->items[at].policy == policy)
		return;
	if (trails->items[at].serial != serial) {
		uint32_t next = new_trail(trails, at, policy);

		trails->items[at].serial = serial;
		trails->items[at].next = next;
	}
	trails->at[party] = trails->items[at].next;
}

static void
follow_all(struct side_maker *maker, enum direction dir, struct policy *policy,
    const roaring_bitmap_t *faces)
{
	const struct conn_world *world = maker->world;
	roaring_uint32_iterator_t *it = roaring_create_iterator(faces);

	if (it == NULL)
		base_die("out of memory");
	for (; it->has_value; roaring_advance_uint32_iterator(it))
		follow(&maker->trails[dir], world->faces[it->current_value].party,
		    policy, maker->serial);
	roaring_free_uint32_iterator(it);
}

static roaring_bitmap_t *
new_bitmap(void)
{
	roaring_bitmap_t *bits = roaring_bitmap_create();

	if (bits == NULL)
		base_die("out of memory");
	return bits;
}

static void
match_policy(struct side_maker *maker, struct policy *policy)
{
	struct conn_world *world = maker->world;
	const roaring_bitmap_t *within = NULL;
	roaring_bitmap_t *faces = NULL;

	maker->serial++;
	for (size_t d = 0; d < DIRECTION_COUNT; d++) {
		/* That a node has policies at all matters, even where they do not. */
		const roaring_bitmap_t *wanted =
		    policy->subject.nodes == NULL ? world->planes[d].wanted : NULL;

		if (!conn_policy_concerns(policy, (enum direction)d))
			continue;
		if (faces == NULL || wanted != within) {
			if (faces != NULL)
				roaring_bitmap_free(faces);
			faces = new_bitmap();
			conn_match_faces(world, &policy->subject, wanted, faces);
			within = wanted;
		}
		follow_all(maker, (enum direction)d, policy, faces);
	}
	if (faces != NULL)
		roaring_bitmap_free(faces);
}

static void
match_policies(struct side_maker *maker)
{
	const struct model *m = maker->world->model;

	for (size_t d = 0; d < DIRECTION_COUNT; d++) {
		maker->trails[d].at =
		    xcalloc((size_t)maker->world->party_count + 1, sizeof(uint32_t));
		(void)new_trail(&maker->trails[d], 0, NULL);
	}
	for (size_t i = 0; i < m->ns_count; i++) {
		for (size_t j = 0; j < m->namespaces[i]->policy_count; j++)
			match_policy(maker, m->namespaces[i]->policies[j]);
	}
}

/* The policies of a trail, in order. */
static uint32_t
policies_of(struct side_maker *maker, enum direction dir, uint32_t trail)
{
	const struct trail *items = maker->trails[dir].items;
	uint32_t count = items[trail].length;

	if (count > maker->policy_cap) {
		maker->policy_cap = 2 * count;
		maker->policies = xreallocarray(
		    maker->policies, maker->policy_cap, sizeof(struct policy *));
	}
	for (uint32_t i = count; i > 0; i--) {
		maker->policies[i - 1] = items[trail].policy;
		trail = items[trail].before;
	}
	return count;
}

/* ---- sides ---- */

/* Names of ports are the destination's: for ingress, the subject's own. */
static void
add_named_ports(struct side_maker *maker, const struct workload *w)
{
	for (size_t i = 0; i < w->shape->port_count; i++) {
		if (map_get(&maker->names, w->shape->ports[i].name) == NULL)
			continue;
		key_add_str(&maker->key, w->shape->ports[i].name);
		key_add_u32(&maker->key,
		    (uint32_t)w->shape->ports[i].proto << 16 | w->shape->ports[i].port);
	}
}

static struct conn_side *
new_side(struct side_maker *maker, enum direction dir, uint32_t trail,
    const struct workload *w)
{
	struct conn_world *world = maker->world;
	struct conn_plane *plane = &world->planes[dir];
	uint32_t count = policies_of(maker, dir, trail);

	if (plane->side_count == plane->side_cap) {
		plane->side_cap = plane->side_cap == 0 ? 64 : 2 * plane->side_cap;
		plane->sides = xreallocarray(
		    plane->sides, plane->side_cap, sizeof(struct conn_side *));
	}
	plane->sides[plane->side_count] =
	    conn_side_new(world->arena, world->model, dir, w, maker->policies, count);
	return plane->sides[plane->side_count++];
}

/* The side of a workload, or of a node: `w` is NULL then. */
static struct conn_side *
side_of(struct side_maker *maker, enum direction dir, uint32_t party,
    const struct workload *w)
{
	struct conn_world *world = maker->world;
	struct conn_plane *plane = &world->planes[dir];
	uint32_t trail = maker->trails[dir].at[party];
	bool whole = world->whole == NULL || (world->whole[party] & 1u << dir) != 0;
	struct conn_side *side;

	buf_clear(&maker->key);
	key_add_u32(&maker->key, trail << 1 | whole);
	if (dir == DIR_INGRESS && trail != 0 && w != NULL)
		add_named_ports(maker, w);
	side = map_get(&plane->side_by_key, buf_str(&maker->key));
	if (side == NULL) {
		side = new_side(maker, dir, trail, w);
		side->whole = whole;
		(void)map_set(&plane->side_by_key,
		    str_dup(world->arena, buf_str(&maker->key)), side); /* new */
	}
	return side;
}

void
conn_sides_make(struct conn_world *world)
{
	struct side_maker maker = {.world = world};
	const struct model *m = world->model;

	for (size_t i = 0; i < m->policy_count; i++)
		each_list(m->policies[i], add_names, &maker);
	match_policies(&maker);
	for (size_t d = 0; d < DIRECTION_COUNT; d++) {
		for (uint32_t i = 0; i < world->party_count; i++) {
			struct conn_party *party = &world->parties[i];
			const struct workload *w = party->end->workload;

			if (w != NULL && !w->host_network)
				party->sides[d] =
				    side_of(&maker, (enum direction)d, i, w);
			else if (maker.trails[d].at[i] != 0)
				party->sides[d] =
				    side_of(&maker, (enum direction)d, i, NULL);
		}
		free(maker.trails[d].items);
		free(maker.trails[d].at);
	}
	free(maker.policies);
	map_fini(&maker.names);
	buf_free(&maker.key);
}
