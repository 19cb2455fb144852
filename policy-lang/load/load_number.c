/*
 * Numbers of what is told by number: rules of policies and of Routes, limits of Quotas.
 */
#include <stdlib.h>

#include "policy-lang/load/load_internal.h"
#include "policy-lang/model/net_limit.h"

/* Something that gets a number, by what it is called: the number must be the same on
 * every node and after every restart, whatever else is loaded. */
struct numbered {
	uint32_t hash;
	uint32_t order; /* the last resort */
	struct str identity;
	uint32_t *number;
	const struct source *source; /* that speaks of it */
};

struct numbering {
	struct arena *arena;         /* of identities */
	const struct source *source; /* of what is added */
	struct numbered *items;
	size_t count, cap;
};

/* Hashes leave room above, so that collisions can move upwards. */
#define NUMBER_SPAN (UINT32_C(0x7f000000) - NUMBER_FIRST_RULE)

static uint32_t
identity_hash(struct str identity)
{
	/* A fixed key: the hash is a name, not a defence. */
	uint64_t hash = map_siphash(UINT64_C(0x72696e6766656e63), 1, identity);

	return (uint32_t)(hash % NUMBER_SPAN) + NUMBER_FIRST_RULE;
}

static void
number_identity(struct numbering *n, const char *id, uint32_t *number)
{
	if (n->count == n->cap) {
		n->cap = n->cap != 0 ? n->cap * 2 : 256;
		n->items = xreallocarray(n->items, n->cap, sizeof(*n->items));
	}
	n->items[n->count] = (struct numbered){identity_hash(str_from(id)),
	    (uint32_t)n->count, str_from(id), number, n->source};
	n->count++;
}

static void
number_add(struct numbering *n, const struct policy *p, const char *phase,
    enum direction dir, const char *what, uint32_t *number)
{
	number_identity(n,
	    arena_printf(n->arena, "%s\n%.*s\n%.*s\n%.*s\n%s\n%s\n%s",
		policy_kind_name(p->kind), STR_ARG(p->cluster),
		STR_ARG(p->namespace_text), STR_ARG(p->name), phase,
		direction_name(dir), what),
	    number);
}

static void
number_routes(struct numbering *n, const struct route_policy *p,
    const struct route_list lists[ROUTE_KIND_COUNT])
{
	static const char *const kinds[] = {"egress", "ingress", "via"};

	for (unsigned kind = 0; kind < ROUTE_KIND_COUNT; kind++) {
		for (size_t i = 0; i < lists[kind].count; i++) {
			struct route_rule *r = &lists[kind].rules[i];
			const char *id =
			    arena_printf(n->arena, "Route\n%.*s\n%.*s\n%s\n%s\n%u",
				STR_ARG(p->level->path), STR_ARG(p->name),
				phase_name(r->phase), kinds[kind], (unsigned)r->index);

			number_identity(n, id, &r->number);
			if (r->kind != ROUTE_INGRESS && r->action == ROUTE_APPLY)
				number_identity(n,
				    arena_printf(n->arena, "%s\nrefused", id),
				    &r->refuse_number);
		}
	}
}

static void
number_rules(struct numbering *n, const struct policy *p, const struct rule_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		struct rule *r = &list->rules[i];
		char index[16];

		(void)snprintf(index, sizeof(index), "%u", (unsigned)r->index);
		number_add(n, p, phase_name(r->phase), r->dir, index, &r->number);
	}
}

static void
number_quota(struct numbering *n, struct quota *q)
{
	n->source = q->loc.source;
	for (unsigned kind = 0; kind < NETLIM_KINDS; kind++) {
		if (net_limit_value(q, (enum net_limit)kind) == QUOTA_UNSET)
			continue;
		for (unsigned i = 0; i < NETLIM_CHAINS; i++)
			number_identity(n,
			    arena_printf(n->arena, "Quota\n%.*s\n%.*s\n%s\n%u",
				STR_ARG(q->level->path), STR_ARG(q->name),
				net_limit_name((enum net_limit)kind), i),
			    &q->network.number[kind][i]);
	}
}

static int
compare_numbered(const void *a, const void *b)
{
	const struct numbered *x = a, *y = b;
	int order = (x->hash > y->hash) - (x->hash < y->hash);

	if (order == 0)
		order = str_cmp(x->identity, y->identity);
	return order != 0 ? order : (x->order > y->order) - (x->order < y->order);
}

static void
number_policy(struct numbering *n, struct policy *p)
{
	n->source = p->loc.source;
	for (unsigned dir = 0; dir < DIRECTION_COUNT; dir++) {
		number_rules(n, p, &p->mandatory[dir]);
		number_rules(n, p, &p->allow[dir]);
		number_rules(n, p, &p->defaults[dir]);
		if (p->isolates[dir])
			number_add(n, p, phase_name(PHASE_ALLOW), (enum direction)dir,
			    "isolation", &p->isolate_number[dir]);
	}
}

static void
number_route(struct numbering *n, struct route_policy *p)
{
	n->source = p->loc.source;
	number_routes(n, p, p->mandatory);
	number_routes(n, p, p->defaults);
}

/* Those that are in force. */
void
load_number_alone(struct loader *l, struct load_objects *o)
{
	struct numbering n = {.arena = l->scratch};

	for (size_t i = 0; i < o->policy_count; i++) {
		if (!o->policies[i]->audit || l->m->options.audit_enforced)
			number_policy(&n, o->policies[i]);
	}
	for (size_t i = 0; i < o->other_count[OTHER_ROUTE]; i++)
		number_route(&n, o->others[OTHER_ROUTE][i]);
	for (size_t i = 0; i < o->other_count[OTHER_QUOTA]; i++)
		number_quota(&n, o->others[OTHER_QUOTA][i]);
	if (n.count != 0)
		o->numbers = xreallocarray(NULL, n.count, sizeof(*o->numbers));
	for (size_t i = 0; i < n.count; i++) {
		*n.items[i].number = n.items[i].hash;
		o->numbers[o->number_count++] = n.items[i].hash;
	}
	free(n.items);
}

/* The number of item `at` has moved: it, and that of the item before, go together. */
static void
note_collision(struct load_note *note, const struct numbering *n, size_t at)
{
	if (note == NULL)
		return;
	note->collided = xreallocarray(
	    note->collided, note->collided_count + 2, sizeof(*note->collided));
	for (size_t i = at - 1; i <= at; i++)
		note->collided[note->collided_count++] = n->items[i].source;
}

void
load_number(struct loader *l)
{
	struct numbering n = {.arena = l->scratch};
	uint32_t last = 0;

	for (size_t i = 0; i < l->m->policy_count; i++)
		number_policy(&n, l->m->policies[i]);
	for (size_t i = 0; i < l->m->route_count; i++)
		number_route(&n, l->m->routes[i]);
	for (size_t i = 0; i < l->m->quota_count; i++)
		number_quota(&n, l->m->quotas[i]);
	if (n.count > 1)
		qsort(n.items, n.count, sizeof(*n.items), compare_numbered);
	for (size_t i = 0; i < n.count; i++) {
		last = n.items[i].hash > last ? n.items[i].hash : last + 1;
		*n.items[i].number = last;
		if (last != n.items[i].hash)
			note_collision(l->note, &n, i);
	}
	free(n.items);
}
