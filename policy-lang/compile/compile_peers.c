/*
 * The distinct sets of peers that rules speak of. A set is known by what it says, in
 * bytes that are the same on every node and from one compilation to the next; from them
 * the numbers of classes are made, so that they stay when something else changes.
 */
#include "policy-lang/compile/compile_internal.h"

#include <roaring/roaring.h>
#include <stdlib.h>
#include <string.h>

#include "policy-lang/model/fqdn.h"
#include "policy-lang/model/learnt.h"
#include "policy-lang/model/peer_key.h"

/* For hashes that every node must agree on; collisions are resolved where they matter. */
#define HASH_KEY_0 0x52696e6766656e63u
#define HASH_KEY_1 0x6570656572736574u

/* ---- whom it means ---- */

static roaring_bitmap_t *
new_bitmap(void)
{
	roaring_bitmap_t *bits = roaring_bitmap_create();

	if (bits == NULL)
		base_die("out of memory");
	return bits;
}

static void
add_range(roaring_bitmap_t *bits, uint32_t first, uint32_t end)
{
	if (first < end)
		roaring_bitmap_add_range_closed(bits, first, end - 1);
}

struct scope_slots {
	const struct universe *u;
	roaring_bitmap_t *bits;
};

static bool
add_scope(uint32_t scope, void *ctx)
{
	const struct scope_slots *s = ctx;

	add_range(s->bits, s->u->scopes[scope].first, s->u->scopes[scope].end);
	return true;
}

/* Keeps of `bits` the workloads that run as the service account. */
static void
keep_service_account(
    const struct universe *u, struct str account, roaring_bitmap_t *bits)
{
	roaring_bitmap_t *kept = new_bitmap();
	roaring_uint32_iterator_t *it = roaring_create_iterator(bits);

	if (it == NULL)
		base_die("out of memory");
	for (; it->has_value; roaring_advance_uint32_iterator(it)) {
		const struct workload *w = u->slots[it->current_value];

		if (str_eq(w->shape->service_account, account))
			roaring_bitmap_add(kept, it->current_value);
	}
	roaring_free_uint32_iterator(it);
	roaring_bitmap_and_inplace(bits, kept);
	roaring_bitmap_free(kept);
}

static roaring_bitmap_t *
slots_of(const struct universe *u, const struct workload_match *match)
{
	roaring_bitmap_t *bits = new_bitmap();

	if (match->kube != NULL) {
		const struct scope *scope = universe_kube_scope(u, match->kube);

		if (match->subtree == NULL || ns_within(scope->ns, match->subtree))
			add_range(bits, scope->first, scope->end);
	} else if (match->subtree != NULL) {
		add_range(bits, u->ns_first[match->subtree->index],
		    u->ns_end[match->subtree->index]);
	} else {
		add_range(bits, 0, u->slot_count);
	}
	if (match->cluster.ptr != NULL)
		roaring_bitmap_and_inplace(bits, universe_cluster(u, match->cluster));
	if (match->ns_selector != NULL) {
		struct scope_slots in = {u, new_bitmap()};

		(void)roaring_iterate(/* add_scope never stops it */
		    label_index_select(u->scope_labels, match->ns_selector), add_scope,
		    &in);
		roaring_bitmap_and_inplace(bits, in.bits);
		roaring_bitmap_free(in.bits);
	}
	if (match->selector != NULL)
		roaring_bitmap_and_inplace(
		    bits, label_index_select(u->labels, match->selector));
	if (match->service_account.ptr != NULL)
		keep_service_account(u, match->service_account, bits);
	return bits;
}

static void
add_workloads(const struct universe *u, const struct peer *peer, struct peer_set *set)
{
	roaring_bitmap_t *bits = slots_of(u, &peer->workloads);

	if (peer->but != NULL) {
		roaring_bitmap_t *but = slots_of(u, peer->but);

		roaring_bitmap_andnot_inplace(bits, but);
		roaring_bitmap_free(but);
	}
	roaring_bitmap_or_inplace(set->slots, bits);
	roaring_bitmap_free(bits);
}

static void
add_network(const struct peer *peer, struct peer_set *set)
{
	for (unsigned f = 0; f < FAMILY_COUNT; f++) {
		struct addrset in = {0}, out = {0};

		addrset_add_prefixes(
		    &in, family_of(f), peer->prefixes, peer->prefix_count);
		addrset_add_prefixes(
		    &out, family_of(f), peer->excepts, peer->except_count);
		addrset_normalise(&in);
		addrset_normalise(&out);
		addrset_subtract(&in, &out);
		addrset_add_set(&set->nets[f], &in);
		if (peer->by_address)
			addrset_add_set(&set->pods[f], &in);
		else
			set->home = peer->cluster;
		addrset_fini(&in);
		addrset_fini(&out);
	}
}

static void
add_nodes(const struct model *m, const struct peer *peer, struct peer_set *set)
{
	uint32_t *nodes;

	set->nodes =
	    xreallocarray(set->nodes, set->node_count + m->node_count, sizeof(*nodes));
	for (uint32_t i = 0; i < m->node_count; i++) {
		if (peer_takes_node(peer, m->nodes[i]))
			set->nodes[set->node_count++] = i;
	}
}

/* ---- sets ---- */

static struct peer_set *
new_set(struct side *s, struct str key, struct loc loc)
{
	struct peer_set *set = ARENA_NEW(s->c->scratch, struct peer_set);

	set->key = key;
	set->hash = map_siphash(HASH_KEY_0, HASH_KEY_1, key);
	set->loc = loc;
	set->slots = new_bitmap();
	if (s->set_count == s->set_cap) {
		s->set_cap = s->set_cap == 0 ? 64 : 2 * s->set_cap;
		s->sets = xreallocarray(s->sets, s->set_cap, sizeof(struct peer_set *));
	}
	set->index = (uint32_t)s->set_count;
	s->sets[s->set_count++] = set;
	(void)map_set(&s->set_by_key, key, set);
	return set;
}

/* Names mean what they mean to a tenant. */
static struct str
key_of(struct side *s, const struct used_rule *used)
{
	struct str key = peer_key_of_rule(s->c->scratch, used->rule);

	if (key.len == 0 || !rule_has_names(used->rule))
		return key;
	return STR_CONCAT(s->c->scratch, key, STR("T"), used->tenant);
}

static uint32_t
set_of_rule(struct side *s, const struct used_rule *used)
{
	const struct arena_mark mark = arena_mark(s->c->scratch);
	const struct rule *rule = used->rule;
	struct str key = key_of(s, used);
	struct peer_set *set = key.len != 0 ? map_get(&s->set_by_key, key) : NULL;

	if (key.len == 0 || set != NULL) {
		arena_rewind(s->c->scratch, &mark); /* it may be long, and said often */
		return set != NULL ? set->index : PEERS_NOBODY;
	}
	set = new_set(s, key, rule->loc);
	set->rule = rule;
	set->named = rule_has_names(rule);
	set->tenant = str_dup(s->c->scratch, used->tenant);
	set->nameless = set->named && rule->action == ACTION_DENY;
	for (size_t i = 0; i < rule->peer_count; i++) {
		const struct peer *peer = &rule->peers[i];

		if (peer->kind == PEER_WORKLOADS)
			add_workloads(&s->c->universe, peer, set);
		else if (peer->kind == PEER_NETWORK)
			add_network(peer, set);
		else if (peer->kind == PEER_NODES)
			add_nodes(s->c->model, peer, set);
	}
	for (unsigned f = 0; f < FAMILY_COUNT; f++) {
		addrset_normalise(&set->nets[f]);
		addrset_normalise(&set->pods[f]);
	}
	return set->index;
}

static void
want_labels(struct universe *u, const struct workload_match *match)
{
	label_index_want(u->labels, match->selector);
	label_index_want(u->scope_labels, match->ns_selector);
}

void
peers_announce(struct side *s)
{
	struct universe *u = &s->c->universe;

	for (size_t i = 0; i < s->rule_count; i++) {
		const struct rule *rule = s->rules[i].rule;

		if (rule->any_peer || !s->rules[i].reached)
			continue;
		for (size_t j = 0; j < rule->peer_count; j++) {
			const struct peer *peer = &rule->peers[j];

			if (peer->kind != PEER_WORKLOADS)
				continue;
			want_labels(u, &peer->workloads);
			if (peer->but != NULL)
				want_labels(u, peer->but);
		}
	}
}

/* ---- the addresses of a set ---- */

struct each_slot {
	const struct universe *u;
	void (*each)(void *ctx, uint32_t point);
	void *ctx;
};

static bool
each_point_of_slot(uint32_t slot, void *ctx)
{
	const struct each_slot *e = ctx;

	for (uint32_t i = e->u->slot_points_first[slot];
	     i < e->u->slot_points_first[slot + 1]; i++)
		e->each(e->ctx, e->u->slot_points[i]);
	return true;
}

/* Which of the points in a network are meant. */
enum point_choice {
	POINTS_OF_WORKLOADS,
	POINTS_OF_NONE,     /* of no workload */
	POINTS_OF_STRANGERS /* workloads of other clusters than the set's home */
};

static bool
is_chosen(const struct universe *u, const struct point *p, enum point_choice choice,
    struct str home)
{
	if (p->slot == NONE)
		return choice == POINTS_OF_NONE;
	if (choice == POINTS_OF_STRANGERS)
		return !str_eq(u->slots[p->slot]->where->cluster, home);
	return choice == POINTS_OF_WORKLOADS;
}

static void
each_point_in(const struct universe *u, unsigned family, const struct addrset *ranges,
    enum point_choice choice, struct str home, const struct each_slot *e)
{
	uint32_t end = u->family_first[family + 1];

	for (size_t i = 0; i < ranges->count; i++) {
		uint32_t p = universe_find(u, family, ranges->ranges[i].lo);

		for (; p < end && u->points[p].addr <= ranges->ranges[i].hi; p++) {
			if (is_chosen(u, &u->points[p], choice, home))
				e->each(e->ctx, p);
		}
	}
}

/* The workloads that the networks of the set take in. */
static void
each_workload_in(const struct universe *u, unsigned family, const struct peer_set *set,
    const struct each_slot *e)
{
	each_point_in(u, family, &set->pods[family], POINTS_OF_WORKLOADS, set->home, e);
	if (set->home.ptr != NULL)
		each_point_in(
		    u, family, &set->nets[family], POINTS_OF_STRANGERS, set->home, e);
}

/* ---- what a tenant knows by name ---- */

static bool
is_named(const struct peer_set *set, struct str name)
{
	for (size_t i = 0; i < set->rule->peer_count; i++) {
		const struct peer *peer = &set->rule->peers[i];

		for (size_t j = 0; j < peer->fqdn_count; j++) {
			if (fqdn_match(peer->fqdns[j], name))
				return true;
		}
	}
	return false;
}

struct known {
	const struct peer_set *set;
	bool named;
};

static void
see_name(void *ctx, const struct learnt_entry *entry)
{
	struct known *k = ctx;

	k->named |= is_named(k->set, entry->name);
}

bool
peers_take_known(
    const struct peer_set *set, const struct model *m, const struct ip_addr *addr)
{
	const struct learnt *learnt = m->options.learnt;
	struct known k = {.set = set};

	if (!set->named)
		return false;
	if (learnt != NULL)
		learnt_names(learnt, set->tenant, addr, see_name, &k);
	return k.named ||
	       (set->nameless && !learnt_explains(learnt, set->tenant, addr));
}

struct each_known {
	const struct peer_set *set;
	const struct each_slot *e;
};

static void
each_known_name(void *ctx, const struct learnt_entry *entry)
{
	const struct each_known *k = ctx;
	const struct universe *u = k->e->u;
	unsigned family = family_index(entry->addr.family);
	addr_num addr = addr_to_num(&entry->addr);
	uint32_t p;

	if (!is_named(k->set, entry->name))
		return;
	p = universe_find(u, family, addr); /* every address that is known is there */
	if (p < u->family_first[family + 1] && u->points[p].addr == addr &&
	    u->points[p].outside)
		k->e->each(k->e->ctx, p);
}

static void
each_point_known(const struct peer_set *set, const struct each_slot *e)
{
	const struct learnt *learnt = e->u->model->options.learnt;
	struct each_known k = {set, e};

	if (!set->named || learnt == NULL)
		return;
	learnt_each_of(learnt, set->tenant, each_known_name, &k);
	for (uint32_t i = 0; set->nameless && i < e->u->outside_count; i++) {
		const struct point *p = &e->u->points[e->u->outside[i]];
		struct ip_addr addr = addr_of_num(p->addr, p->family);

		if (!learnt_explains(learnt, set->tenant, &addr))
			e->each(e->ctx, e->u->outside[i]);
	}
}

void
peers_each_point(const struct universe *u, const struct peer_set *set,
    void (*each)(void *ctx, uint32_t point), void *ctx)
{
	struct each_slot e = {u, each, ctx};

	(void)roaring_iterate(set->slots, each_point_of_slot, &e); /* never stopped */
	for (unsigned f = 0; f < FAMILY_COUNT; f++) {
		each_point_in(u, f, &set->nets[f], POINTS_OF_NONE, set->home, &e);
		each_workload_in(u, f, set, &e);
	}
	each_point_known(set, &e);
	for (size_t i = 0; i < set->node_count; i++) {
		for (uint32_t j = u->node_points_first[set->nodes[i]];
		     j < u->node_points_first[set->nodes[i] + 1]; j++)
			each(ctx, u->node_points[j]);
	}
}

/* ---- what egress rules' port names mean ---- */

struct port_name *
peers_port_name(const struct side *s, const struct port_match *match)
{
	struct port_name *n = map_get(&s->port_names, match->name);

	while (n != NULL && n->proto != match->proto)
		n = n->next;
	return n;
}

static struct port_name *
name_of(struct side *s, const struct port_match *match)
{
	struct port_name *first = map_get(&s->port_names, match->name);
	struct port_name *n = peers_port_name(s, match);

	if (n != NULL)
		return n;
	n = ARENA_NEW(s->c->scratch, struct port_name);
	n->name = match->name;
	n->proto = match->proto;
	n->loc = match->loc;
	n->next = first;
	n->reach = new_bitmap();
	(void)map_set(&s->port_names, match->name, n);
	return n;
}

static void
append(uint32_t **items, size_t *count, size_t *cap, uint32_t item)
{
	if (*count == *cap) {
		*cap = *cap == 0 ? 4 : 2 * *cap;
		*items = xreallocarray(*items, *cap, sizeof(**items));
	}
	(*items)[(*count)++] = item;
}

struct reached {
	const struct universe *u;
	roaring_bitmap_t *slots;
};

static void
add_reached(void *ctx, uint32_t point)
{
	const struct reached *r = ctx;

	roaring_bitmap_add(r->slots, r->u->points[point].slot);
}

/* Only where some rule with the name can reach does it matter what the name means. */
static void
name_reaches(const struct side *s, struct port_name *n, uint32_t peers)
{
	struct reached r = {&s->c->universe, n->reach};
	struct each_slot e = {r.u, add_reached, &r};
	const struct peer_set *set;

	append(&n->peers, &n->peer_count, &n->peer_cap, peers);
	if (peers == PEERS_EVERYONE) {
		add_range(n->reach, 0, r.u->slot_count);
		return;
	}
	set = s->sets[peers];
	roaring_bitmap_or_inplace(n->reach, set->slots);
	for (unsigned f = 0; f < FAMILY_COUNT; f++)
		each_workload_in(r.u, f, set, &e);
}

struct peer_set *
peers_meaning(struct side *s, struct port_name *n, const struct workload *w)
{
	struct resolved_port *ports;
	struct peer_set *set = NULL;
	struct buf key = {0};
	size_t named, count = 0;
	const struct named_port *of_name = workload_ports_named(w, n->name, &named);

	buf_add_char(&key, 'P');
	key_add_str(&key, n->name);
	key_add_u32(&key, n->proto);
	ports = xcalloc(named + 1, sizeof(*ports));
	for (size_t i = 0; i < named; i++) {
		const struct named_port *np = &of_name[i];
		enum port_column column = port_column_of(np->proto);

		if (column == PORTS_OTHER ||
		    (n->proto != PROTO_ANY && n->proto != np->proto))
			continue;
		ports[count++] = (struct resolved_port){column, np->port};
		key_add_u32(&key, (uint32_t)column << 16 | np->port);
	}
	if (count == 0)
		goto out;
	set = map_get(&s->set_by_key, buf_str(&key));
	if (set == NULL) {
		set = new_set(s, str_dup(s->c->scratch, buf_str(&key)), n->loc);
		set->name = n;
		set->ports =
		    memcpy(ARENA_ARRAY(s->c->scratch, count, struct resolved_port),
			ports, count * sizeof(*ports));
		set->port_count = count;
		append(&n->meanings, &n->meaning_count, &n->meaning_cap, set->index);
	}
out:
	free(ports);
	buf_free(&key);
	return set;
}

const struct peer_set *
peers_adopt_meaning(struct side *s, const struct peer_set *of)
{
	const struct peer_set *known = map_get(&s->set_by_key, of->key);
	struct port_name *n = map_get(&s->port_names, of->name->name);
	struct peer_set *set;
	struct resolved_port *ports;

	if (known != NULL)
		return known;
	while (n->proto != of->name->proto)
		n = n->next;
	set = new_set(s, str_dup(s->c->scratch, of->key), n->loc);
	ports = ARENA_ARRAY(s->c->scratch, of->port_count, struct resolved_port);
	memcpy(ports, of->ports, of->port_count * sizeof(*ports));
	set->name = n;
	set->ports = ports;
	set->port_count = of->port_count;
	append(&n->meanings, &n->meaning_count, &n->meaning_cap, set->index);
	return set;
}

/* Puts the workload into the set of those that give the name the same meaning. */
static void
resolve_name(struct side *s, struct port_name *n, uint32_t slot)
{
	struct peer_set *set = peers_meaning(s, n, s->c->universe.slots[slot]);

	if (set != NULL)
		roaring_bitmap_add(set->slots, slot);
}

static void
resolve_names_of(struct side *s, uint32_t slot)
{
	const struct workload *w = s->c->universe.slots[slot];

	for (size_t i = 0; i < w->shape->port_count; i++) {
		const struct named_port *port = &w->shape->ports[i];
		struct port_name *n = map_get(&s->port_names, port->name);

		if (!workload_port_is_first(w, i))
			continue;
		for (; n != NULL; n = n->next) {
			if (roaring_bitmap_contains(n->reach, slot))
				resolve_name(s, n, slot);
		}
	}
}

/* Ingress rules' names are resolved at the local workload, in its profile. */
static void
collect_names(struct side *s)
{
	for (size_t i = 0; i < s->rule_count; i++) {
		const struct used_rule *used = &s->rules[i];

		if (!used->named || used->peers == PEERS_NOBODY)
			continue;
		for (size_t j = 0; j < used->rule->port_count; j++) {
			if (used->rule->ports[j].kind == PORT_NAMED)
				name_reaches(
				    s, name_of(s, &used->rule->ports[j]), used->peers);
		}
	}
	for (uint32_t i = 0; s->port_names.len != 0 && i < s->c->universe.slot_count;
	     i++)
		resolve_names_of(s, i);
}

void
peers_collect(struct side *s)
{
	for (size_t i = 0; i < s->rule_count; i++) {
		struct used_rule *used = &s->rules[i];

		if (!used->reached)
			continue;
		used->peers =
		    used->rule->any_peer ? PEERS_EVERYONE : set_of_rule(s, used);
	}
	if (s->dir == DIR_EGRESS)
		collect_names(s);
}

static int
key_cmp(const void *a, const void *b)
{
	const struct str *x = a, *y = b;

	return str_cmp(*x, *y);
}

/* What the peers of rules with a name are called, each once, sorted; on the heap. */
static struct str *
keys_of(const struct side *s, const struct port_name *n, size_t *out_count)
{
	struct str *keys = xcalloc(n->peer_count + 1, sizeof(*keys));
	size_t count = 0;

	for (size_t i = 0; i < n->peer_count; i++) /* no set's key is empty */
		keys[i] =
		    n->peers[i] == PEERS_EVERYONE ? STR("") : s->sets[n->peers[i]]->key;
	if (n->peer_count > 1)
		qsort(keys, n->peer_count, sizeof(*keys), key_cmp);
	for (size_t i = 0; i < n->peer_count; i++) {
		if (i == 0 || !str_eq(keys[i], keys[i - 1]))
			keys[count++] = keys[i];
	}
	*out_count = count;
	return keys;
}

static bool
same_name(const struct side *a, const struct port_name *x, const struct side *b,
    const struct port_name *y)
{
	size_t x_count, y_count;
	struct str *x_keys = keys_of(a, x, &x_count);
	struct str *y_keys = keys_of(b, y, &y_count);
	bool same = x_count == y_count;

	for (size_t i = 0; i < x_count && same; i++)
		same = str_eq(x_keys[i], y_keys[i]);
	free(x_keys);
	free(y_keys);
	return same;
}

struct port_name *
peers_same_name(
    const struct side *s, const struct side *of, const struct port_name *name)
{
	const struct port_match match = {.name = name->name, .proto = name->proto};
	struct port_name *n = peers_port_name(s, &match);

	return n != NULL && same_name(of, name, s, n) ? n : NULL;
}

static void
forget_bitmap(struct roaring_bitmap_s **bits)
{
	if (*bits != NULL)
		roaring_bitmap_free(*bits);
	*bits = NULL;
}

void
peers_forget_slots(struct side *s)
{
	for (size_t i = 0; i < s->set_count; i++)
		forget_bitmap(&s->sets[i]->slots);
	for (size_t i = 0; i < s->port_names.len; i++) {
		struct port_name *n = s->port_names.entries[i].value;

		for (; n != NULL; n = n->next)
			forget_bitmap(&n->reach);
	}
}

void
peers_fini(struct side *s)
{
	peers_forget_slots(s);
	for (size_t i = 0; i < s->set_count; i++) {
		struct peer_set *set = s->sets[i];

		for (unsigned f = 0; f < FAMILY_COUNT; f++) {
			addrset_fini(&set->nets[f]);
			addrset_fini(&set->pods[f]);
		}
		free(set->nodes);
	}
	free(s->sets);
	for (size_t i = 0; i < s->port_names.len; i++) {
		struct port_name *n = s->port_names.entries[i].value;

		for (; n != NULL; n = n->next) {
			free(n->meanings);
			free(n->peers);
		}
	}
	map_fini(&s->port_names);
	map_fini(&s->set_by_key);
}
