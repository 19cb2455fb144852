/*
 * Addresses that workloads of this node had. Where the workload networks are interfaces, no
 * stranger is behind them; but conntrack knows no interface, so that a connection of a
 * workload that is gone would pass for one of somebody outside. What had been behind them
 * until a moment ago is known: its connections are ended, as the gate would end them.
 */
#include <string.h>

#include "enforcer/engine/engine_state.h"

#define GONE_MOST 65536 /* between two lists; of more nothing is known */

/* An address without what may lie between its members. */
struct gone_key {
	uint8_t bytes[1 + 16];
};

static struct str
key_of(struct gone_key *key, const struct ip_addr *addr)
{
	key->bytes[0] = (uint8_t)addr->family;
	memcpy(key->bytes + 1, addr->bytes, 16);
	return (struct str){(const char *)key->bytes, sizeof(key->bytes)};
}

static void
clear(struct gone_addresses *list)
{
	map_fini(&list->addresses);
	list->addresses = (struct map){0};
	arena_reset(list->arena);
}

static void
add(struct gone_addresses *list, struct str key)
{
	if (list->addresses.len >= GONE_MOST || map_get(&list->addresses, key) != NULL)
		return;
	(void)map_set(&list->addresses, str_dup(list->arena, key), list); /* new */
}

void
engine_gone_note(
    struct engine *e, const struct table_element *const *elements, const size_t *counts)
{
	for (unsigned f = 0; f < 2 && e->settings.workload_interface_count != 0; f++) {
		struct ip_addr addr = {.family = f == 0 ? IP_V4 : IP_V6};
		struct gone_key key;

		for (size_t i = 0; i < counts[f]; i++) {
			memcpy(addr.bytes, elements[f][i].addr, ip_bytes(addr.family));
			add(&e->gone.since, key_of(&key, &addr));
		}
	}
}

void
engine_gone_note_program(struct engine *e, const struct program *p)
{
	struct arena *arena = arena_new();
	struct table_element *own[2];
	size_t counts[2];

	for (unsigned f = 0; f < 2; f++)
		compile_state_set(p->real.state, (enum table_set_id)(SET_OWN4 + f),
		    arena, &own[f], &counts[f]);
	engine_gone_note(e, (const struct table_element *const *)own, counts);
	arena_free(arena);
}

/* ---- lists of connections ---- */

/* What is on its way into the kernel is asked of again: until it is there, who is about to
 * go may begin anew what a list ends. */
void
engine_gone_list_begins(struct engine *e)
{
	struct engine_gone *g = &e->gone;

	for (size_t i = 0; i < g->since.addresses.len; i++)
		add(&g->asked, g->since.addresses.entries[i].key);
	if (e->apply.pending == NULL && engine_apply_is_in_force(e))
		clear(&g->since);
}

void
engine_gone_listed(struct engine *e)
{
	clear(&e->gone.asked);
}

static bool
is_gone(const struct engine *e, const struct ip_addr *addr)
{
	struct gone_key key;

	return map_get(&e->gone.asked.addresses, key_of(&key, addr)) != NULL &&
	       !engine_cut_former_has(e, addr) &&
	       model_workload_at(e->apply.current->model, addr) == NULL &&
	       model_node_at(e->apply.current->model, addr) == NULL;
}

bool
engine_gone_had(const struct engine *e, const struct connection *c)
{
	return e->gone.asked.addresses.len != 0 && !c->from_node &&
	       e->apply.current->options.workload_interface_count != 0 &&
	       (is_gone(e, &c->judged.src) ||
		   (!c->to_node && is_gone(e, &c->judged.dst)));
}

void
engine_gone_init(struct engine *e)
{
	e->gone.since.arena = arena_new();
	e->gone.asked.arena = arena_new();
}

void
engine_gone_fini(struct engine *e)
{
	map_fini(&e->gone.since.addresses);
	map_fini(&e->gone.asked.addresses);
	arena_free(e->gone.since.arena);
	arena_free(e->gone.asked.arena);
}
