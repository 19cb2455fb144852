/*
 * The rules of local workloads in the order of the walk. Workloads whose lists are equal
 * share a profile; where ingress rules name ports, what the names mean at the workload is
 * part of the list.
 */
#include "policy-lang/compile/compile_subjects.h"

#include <stdlib.h>
#include <string.h>

/* ---- one workload's list ---- */

/* A list under construction. */
struct list {
	struct subjects *b;
	struct side *side;
	const struct local *local;
	struct profile_entry *entries;
	size_t count, cap;
	struct resolved_port *ports; /* what one rule's names mean */
	size_t port_count, port_cap;
	struct buf key;
	uint32_t level;
	bool passed; /* a rule of this level may have passed something on */
	bool final;  /* nothing behind this can be reached */
};

static struct profile_entry *
list_add(struct list *l, enum entry_kind kind, uint32_t what)
{
	struct profile_entry *e;

	if (l->count == l->cap) {
		l->cap = l->cap == 0 ? 16 : 2 * l->cap;
		l->entries = xreallocarray(l->entries, l->cap, sizeof(*l->entries));
	}
	e = &l->entries[l->count++];
	*e = (struct profile_entry){.kind = kind, .level = l->level};
	key_add_u32(&l->key, (uint32_t)kind);
	key_add_u32(&l->key, l->level);
	key_add_u32(&l->key, what);
	return e;
}

static void
next_level(struct list *l)
{
	l->level++;
	l->passed = false;
}

static void
add_port(struct list *l, struct resolved_port port)
{
	if (l->port_count == l->port_cap) {
		l->port_cap = l->port_cap == 0 ? 16 : 2 * l->port_cap;
		l->ports = xreallocarray(l->ports, l->port_cap, sizeof(*l->ports));
	}
	l->ports[l->port_count++] = port;
}

/* Finds what an ingress rule's port names mean at the workload. False if that is nothing, and
 * the rule has no other ports. */
static bool
resolve_ports(struct list *l, const struct rule *rule)
{
	bool numbers = false;

	l->port_count = 0;
	for (size_t i = 0; i < rule->port_count; i++) {
		const struct port_match *match = &rule->ports[i];
		const struct named_port *ports;
		size_t count = 0;

		numbers |= match->kind != PORT_NAMED;
		if (match->kind == PORT_NAMED)
			ports = workload_ports_named(
			    l->local->workload, match->name, &count);
		for (size_t j = 0; j < count; j++) {
			enum port_column column = port_column_of(ports[j].proto);

			if (column != PORTS_OTHER &&
			    (match->proto == PROTO_ANY ||
				match->proto == ports[j].proto))
				add_port(
				    l, (struct resolved_port){column, ports[j].port});
		}
	}
	return numbers || l->port_count != 0;
}

static void
list_ports(struct list *l, struct profile_entry *e)
{
	struct resolved_port *ports =
	    ARENA_ARRAY(l->b->c->scratch, l->port_count, struct resolved_port);

	for (size_t i = 0; i < l->port_count; i++) {
		ports[i] = l->ports[i];
		key_add_u32(&l->key, (uint32_t)ports[i].column << 16 | ports[i].port);
	}
	e->ports = ports;
	e->port_count = l->port_count;
	key_add_u32(&l->key, NONE);
}

static void
list_rules(struct list *l, const struct used_policy *used, enum phase phase)
{
	uint32_t first = used->first[l->side->dir][phase];
	size_t count = policy_rules(used->policy, phase, l->side->dir)->count;

	for (uint32_t i = first; i < first + count && !l->final; i++) {
		struct used_rule *rule = &l->side->rules[i];
		const bool resolves = rule->named && l->side->dir == DIR_INGRESS &&
				      l->local->workload != NULL;
		struct profile_entry *e;

		if (resolves && !resolve_ports(l, rule->rule))
			continue; /* it matches nothing here, whoever comes */
		rule->reached = true;
		e = list_add(l, ENTRY_RULE, i);
		e->rule = i;
		if (resolves)
			list_ports(l, e);
		if (rule->rule->action == ACTION_PASS)
			l->passed = true;
		else if (rule->rule->any_peer && rule->rule->any_port && !l->passed)
			l->final = true;
	}
}

/* The allow blocks of one level: the union of all that isolate, then the deny. */
static void
list_allow(struct list *l, const uint32_t *policies, size_t count)
{
	enum direction d = l->side->dir;
	const struct policy *isolating = NULL;

	for (size_t i = 0; i < count && !l->final; i++) {
		const struct used_policy *used = &l->b->used[policies[i]];

		if (!used->policy->isolates[d])
			continue;
		if (isolating == NULL)
			isolating = used->policy;
		list_rules(l, used, PHASE_ALLOW);
	}
	if (isolating == NULL || l->final)
		return;
	list_add(l, ENTRY_ISOLATE, isolating->isolate_number[d])->number =
	    isolating->isolate_number[d];
	l->final = true;
}

/* The walk: mandatory from the root down, allow and default from the leaf up. */
static void
list_walk(struct list *l)
{
	const struct local *local = l->local;
	const struct used_policy *used = l->b->used;
	size_t end = local->count;

	for (size_t i = 0; i < local->count && !l->final; i++) {
		const struct used_policy *p = &used[local->policies[i]];

		if (i > 0 &&
		    p->policy->level != used[local->policies[i - 1]].policy->level)
			next_level(l);
		list_rules(l, p, PHASE_MANDATORY);
	}
	while (end > 0 && !l->final) {
		const struct ns *level = used[local->policies[end - 1]].policy->level;
		size_t first = end - 1;

		while (first > 0 &&
		       used[local->policies[first - 1]].policy->level == level)
			first--;
		next_level(l);
		list_allow(l, local->policies + first, end - first);
		next_level(l);
		for (size_t i = first; i < end && !l->final; i++)
			list_rules(l, &used[local->policies[i]], PHASE_DEFAULT);
		end = first;
	}
}

/* ---- profiles ---- */

static struct loc
list_loc(const struct list *l)
{
	const struct profile_entry *e = l->entries;

	if (l->count == 0)
		return (struct loc){0};
	if (e->kind == ENTRY_RULE)
		return l->side->rules[e->rule].rule->loc;
	return chains_loc(l->b->c, e->number);
}

static struct profile *
profile_of(struct list *l)
{
	struct side *s = l->side;
	struct arena *scratch = l->b->c->scratch;
	struct profile *p = map_get(&s->profile_by_key, buf_str(&l->key));

	if (p != NULL)
		return p;
	p = ARENA_NEW(scratch, struct profile);
	p->entries = ARENA_ARRAY(scratch, l->count, struct profile_entry);
	if (l->count != 0)
		memcpy(p->entries, l->entries, l->count * sizeof(*p->entries));
	p->count = l->count;
	p->loc = list_loc(l);
	if (s->profile_count == s->profile_cap) {
		s->profile_cap = s->profile_cap == 0 ? 16 : 2 * s->profile_cap;
		s->profiles = xreallocarray(
		    s->profiles, s->profile_cap, sizeof(struct profile *));
	}
	s->profiles[s->profile_count++] = p;
	(void)map_set(&s->profile_by_key, str_dup(scratch, buf_str(&l->key)), p);
	return p;
}

static void
add_to_profile(const struct universe *u, struct profile *p, uint32_t slot)
{
	for (uint32_t i = u->slot_points_first[slot];
	     i < u->slot_points_first[slot + 1]; i++) {
		if (p->point_count == p->point_cap) {
			p->point_cap = p->point_cap == 0 ? 4 : 2 * p->point_cap;
			p->points =
			    xreallocarray(p->points, p->point_cap, sizeof(*p->points));
		}
		p->points[p->point_count++] = u->points[u->slot_points[i]];
	}
}

static void
begin_list(struct list *l, const struct local *local)
{
	l->local = local;
	l->count = 0;
	l->level = 0;
	l->passed = l->final = false;
	buf_clear(&l->key);
}

/* Before all policy comes what none of it can close; in a direction that no policy speaks
 * of the node is not judged at all. */
static void
build_host_profile(struct list *l, const struct local *host)
{
	size_t safe;

	begin_list(l, host);
	list_add(l, ENTRY_FAIL_SAFE, NUMBER_FAIL_SAFE)->number = NUMBER_FAIL_SAFE;
	next_level(l);
	safe = l->count;
	list_walk(l);
	if (l->count == safe)
		return;
	profile_of(l)->host = true;
}

static void
build_profiles(struct subjects *b, struct side *s)
{
	struct list l = {.b = b, .side = s};

	for (uint32_t i = 0; i < b->local_count; i++) {
		begin_list(&l, &b->locals[i]);
		list_walk(&l);
		/* Whom no rule governs is not looked up at all. */
		if (l.count != 0 || b->c->model->options.default_deny)
			add_to_profile(
			    &b->c->universe, profile_of(&l), b->locals[i].slot);
	}
	build_host_profile(&l, &b->host);
	free(l.entries);
	free(l.ports);
	buf_free(&l.key);
}

/* ---- whose DNS answers teach something ---- */

static bool
asks_for_names(const struct subjects *b, const struct local *local)
{
	for (size_t i = 0; i < local->count; i++) {
		if (policy_rules_by_name(b->used[local->policies[i]].policy) != 0)
			return true;
	}
	return false;
}

static void
emit_askers(const struct subjects *b)
{
	if (b->c->model->options.learnt == NULL)
		return;
	for (uint32_t i = 0; i < b->local_count; i++) {
		if (asks_for_names(b, &b->locals[i]))
			emit_addresses(b->c, b->locals[i].workload,
			    b->locals[i].workload->loc, SET_ASKER4);
	}
}

/* ---- who reaches itself ---- */

/* A Route that may be about the workload; NULL: there is none. */
static const struct route_policy *
route_above(const struct workload *w)
{
	const struct ns *ns = w->ns;

	while (ns != NULL && ns->route_count == 0)
		ns = ns->parent;
	return ns != NULL ? ns->routes[0] : NULL;
}

/* By what is translated. What neither policy nor a Route governs reaches itself anyway.
 * Routes that are compiled as policies emit none of it. */
static void
emit_itself(const struct subjects *b)
{
	if (b->c->policies != NULL)
		return;
	for (uint32_t i = 0; i < b->local_count; i++) {
		const struct local *local = &b->locals[i];
		const struct route_policy *route = route_above(local->workload);
		struct loc loc = {0};

		if (local->count != 0)
			loc = b->used[local->policies[0]].policy->loc;
		else if (route != NULL)
			loc = route->loc;
		else if (!b->c->model->options.default_deny)
			continue;
		emit_addresses(b->c, local->workload, loc, SET_ITSELF4);
	}
}

void
profiles_build(struct compiler *c)
{
	struct subjects b;

	subjects_find(&b, c);
	routes_name(c);
	chains_seal(c);
	for (unsigned d = 0; d < DIRECTION_COUNT; d++)
		build_profiles(&b, &c->sides[d]);
	emit_askers(&b);
	emit_itself(&b);
	subjects_fini(&b);
}

void
profiles_fini(struct side *s)
{
	for (size_t i = 0; i < s->profile_count; i++)
		free(s->profiles[i]->points);
	free(s->profiles);
	map_fini(&s->profile_by_key);
	free(s->rules);
}
