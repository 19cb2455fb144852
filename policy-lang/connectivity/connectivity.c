/*
 * All pairs of a model in one array: for models of ordinary size. Large ones are better
 * asked for their rectangles, or pair by pair (connectivity_relation.h).
 */
#include "policy-lang/connectivity/connectivity.h"

#include <stdlib.h>

#include "policy-lang/connectivity/connectivity_relation.h"

struct collector {
	struct connection *items;
	size_t count, cap;
};

static void
collect(void *ctx, const struct conn_end *src, const struct conn_end *dst,
    const struct conn_set *set)
{
	struct collector *c = ctx;

	if (c->count == c->cap) {
		c->cap = c->cap == 0 ? 256 : 2 * c->cap;
		c->items = xreallocarray(c->items, c->cap, sizeof(*c->items));
	}
	c->items[c->count++] = (struct connection){src, dst, set};
}

void
connectivity_find(struct arena *arena, const struct model *m,
    const struct connectivity_options *options, struct connectivity *out)
{
	struct collector c = {0};
	struct conn_pool pool;
	struct conn_world *world;
	struct conn_relation *relation;

	conn_pool_init(&pool, arena, conn_names_portless(m));
	world = conn_world_new(arena, m, options, &pool);
	relation = conn_relation_new(world, false);
	conn_relation_pairs(relation, collect, &c);
	out->items = ARENA_ARRAY(arena, c.count, struct connection);
	out->count = c.count;
	for (size_t i = 0; i < c.count; i++)
		out->items[i] = c.items[i];
	free(c.items);
	conn_relation_free(relation);
	conn_world_free(world);
	conn_pool_fini(&pool);
}
