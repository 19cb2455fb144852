/*
 * Addresses that the node has for Routes alone: those of its networks with an interface that
 * a Route publishes, or puts on. At other ports than the published ones they are nobody's;
 * without this they would lead to the node's own services. Which workloads there are has no
 * say in it.
 */
#include "policy-lang/compile/compile_route.h"

#include <string.h>

struct taking {
	struct routes *r;
	const struct ns *level; /* of the Route that is looked at */
	struct map seen;
};

static bool
is_taken(const struct taking *t, const struct ip_addr *addr)
{
	const struct compile_options *o = t->r->c->options;
	size_t i = 0;

	while (i < o->route_network_count &&
	       !ip_in_prefix(addr, &o->route_networks[i].network))
		i++;
	return i < o->route_network_count && o->route_networks[i].taken &&
	       routes_right(t->r, addr, t->level) == ROUTE_MAY &&
	       !routes_inside(t->r->c->model, addr);
}

static void
take(struct taking *t, const struct ip_addr *addr, struct loc loc)
{
	struct table_element e = {.loc = loc};
	char bytes[MODEL_ADDRESS_KEY_BYTES];
	struct str key = model_address_key(addr, bytes);

	if (!is_taken(t, addr) || map_get(&t->seen, key) != NULL)
		return;
	(void)map_set(&t->seen, str_dup(t->r->arena, key), t); /* new */
	memcpy(e.addr, addr->bytes, ip_bytes(addr->family));
	emit(t->r->c, addr->family == IP_V4 ? SET_TAKEN4 : SET_TAKEN6, &e);
}

/* Of more than a pool may have none is put on (compile_leave.c). */
static void
take_prefix(struct taking *t, const struct ip_prefix *prefix, struct loc loc)
{
	struct ip_addr addr, last;
	bool more = true;

	ip_prefix_range(prefix, &addr, &last);
	for (size_t i = 0; more && i < ROUTE_POOL_MAX; i++) {
		take(t, &addr, loc);
		more = !ip_eq(&addr, &last) && ip_next(&addr, &addr);
	}
}

static void
take_list(struct taking *t, const struct route_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct route_rule *rule = &list->rules[i];

		if (rule->action != ROUTE_APPLY)
			continue;
		for (size_t j = 0; j < rule->address_count; j++)
			take_prefix(t, &rule->addresses[j], rule->loc);
		for (size_t j = 0; j < rule->source_count; j++)
			take_prefix(t, &rule->sources[j], rule->loc);
	}
}

void
taken_build(struct routes *r)
{
	const struct model *m = r->c->model;
	struct taking t = {.r = r};

	for (size_t i = 0; i < m->route_count; i++) {
		t.level = m->routes[i]->level;
		for (unsigned kind = ROUTE_EGRESS; kind <= ROUTE_INGRESS; kind++) {
			take_list(&t, &m->routes[i]->mandatory[kind]);
			take_list(&t, &m->routes[i]->defaults[kind]);
		}
	}
	if (t.seen.len != 0)
		(void)chains_use(r->c, NUMBER_UNPUBLISHED);
	map_fini(&t.seen);
}
