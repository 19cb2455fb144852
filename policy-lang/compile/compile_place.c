/*
 * Who has an address of a model, and which of the peer sets that local rules speak of it is
 * in: for one address, without the indexes of a compilation.
 */
#include <stdlib.h>

#include "policy-lang/compile/compile_internal.h"
#include "policy-lang/model/learnt.h"

/* As compile_universe.c lists it. */
struct place
place_of(const struct model *m, const struct ip_addr *addr)
{
	const struct address_entry *e = address_map_find(&m->by_address, addr);
	const struct workload *w = e != NULL ? e->workload : NULL;
	struct place p = {
	    .family = family_index(addr->family),
	    .addr = addr_to_num(addr),
	};

	if (w != NULL && !w->host_network) {
		p.workload = w;
		p.ip = e->ip;
		p.exists = true;
		return p;
	}
	p.node = model_node_at(m, addr);
	if (w != NULL && p.node == NULL)
		p.node = model_node_of(m, w);
	p.outside = w == NULL && p.node == NULL && learnt_has(m->options.learnt, addr);
	p.exists = w != NULL || p.node != NULL || p.outside;
	return p;
}

/* By path: the models before and after may each have their own. */
bool
place_path_within(const struct ns *ns, const struct ns *top)
{
	while (ns != NULL && ns->depth > top->depth)
		ns = ns->parent;
	return ns != NULL && (ns == top || str_eq(ns->path, top->path));
}

bool
place_same_kube(const struct kube_ns *a, const struct kube_ns *b)
{
	return a == b || (a != NULL && b != NULL && str_eq(a->cluster, b->cluster) &&
			     str_eq(a->name, b->name));
}

static bool
match_may_be_at(
    const struct workload_match *match, const struct ns *ns, const struct kube_ns *kube)
{
	if (match->nodes != NULL)
		return false;
	if (match->kube != NULL && !place_same_kube(match->kube, kube))
		return false;
	if (match->subtree != NULL && !place_path_within(ns, match->subtree))
		return false;
	return match->ns_selector == NULL ||
	       selector_matches(
		   match->ns_selector, kube != NULL ? kube->labels : ns->labels);
}

/* Whether it means workloads of where this one is, whatever they are. */
static bool
match_is_there(const struct workload_match *match, const struct workload *w)
{
	if (!match_may_be_at(match, w->ns, w->kube))
		return false;
	if (match->cluster.ptr != NULL && !str_eq(match->cluster, w->where->cluster))
		return false;
	return true;
}

bool
place_match_takes(const struct workload_match *match, const struct workload *w)
{
	if (!match_is_there(match, w))
		return false;
	if (match->service_account.ptr != NULL &&
	    !str_eq(match->service_account, w->shape->service_account))
		return false;
	return match->selector == NULL ||
	       selector_matches(match->selector, w->shape->labels);
}

/* By what it is, not by its address. */
bool
place_set_takes_workload(const struct peer_set *set, const struct workload *w)
{
	for (size_t i = 0; i < set->rule->peer_count; i++) {
		const struct peer *peer = &set->rule->peers[i];

		if (peer->kind == PEER_WORKLOADS &&
		    place_match_takes(&peer->workloads, w) &&
		    (peer->but == NULL || !place_match_takes(peer->but, w)))
			return true;
	}
	return false;
}

bool
place_set_may_be_at(
    const struct peer_set *set, const struct ns *ns, const struct kube_ns *kube)
{
	for (size_t i = 0; i < set->rule->peer_count; i++) {
		const struct peer *peer = &set->rule->peers[i];

		if (peer->kind == PEER_WORKLOADS &&
		    match_may_be_at(&peer->workloads, ns, kube))
			return true;
	}
	return false;
}

bool
place_set_is_there(const struct peer_set *set, const struct workload *w)
{
	for (size_t i = 0; i < set->rule->peer_count; i++) {
		const struct peer *peer = &set->rule->peers[i];

		if (peer->kind == PEER_WORKLOADS && match_is_there(&peer->workloads, w))
			return true;
	}
	return false;
}

static bool
is_stranger(const struct peer_set *set, const struct workload *w)
{
	return set->home.ptr != NULL && !str_eq(w->where->cluster, set->home);
}

bool
place_set_takes_pod_addr(const struct peer_set *set, const struct place *p)
{
	if (addrset_has(&set->pods[p->family], p->addr))
		return true;
	return is_stranger(set, p->workload) &&
	       addrset_has(&set->nets[p->family], p->addr);
}

bool
place_set_asks_where(const struct peer_set *set, const struct workload *w)
{
	return set->pods[0].count + set->pods[1].count != 0 || is_stranger(set, w);
}

static bool
set_takes_node(const struct peer_set *set, const struct node *node)
{
	for (size_t i = 0; i < set->rule->peer_count; i++) {
		const struct peer *peer = &set->rule->peers[i];

		if (peer->kind == PEER_NODES && peer_takes_node(peer, node))
			return true;
	}
	return false;
}

static bool
set_takes_outside(
    const struct peer_set *set, const struct model *m, const struct place *p)
{
	struct ip_addr addr = addr_of_num(p->addr, family_of(p->family));

	return peers_take_known(set, m, &addr);
}

bool
place_in_set(const struct peer_set *set, const struct model *m, const struct place *p)
{
	if (p->workload != NULL)
		return place_set_takes_pod_addr(set, p) ||
		       place_set_takes_workload(set, p->workload);
	if (p->outside && set->named && set_takes_outside(set, m, p))
		return true;
	return addrset_has(&set->nets[p->family], p->addr) ||
	       (p->node != NULL && set_takes_node(set, p->node));
}

/* Whether some rule with the port's name may reach the workload, at any address. */
static bool
name_reaches(const struct side *side, const struct model *m, const struct port_name *n,
    const struct workload *w)
{
	for (size_t i = 0; i < n->peer_count; i++) {
		const struct peer_set *set;

		if (n->peers[i] == PEERS_EVERYONE)
			return true;
		set = side->sets[n->peers[i]];
		if (place_set_takes_workload(set, w))
			return true;
		for (size_t j = 0; j < w->ip_count; j++) {
			struct place p = place_of(m, &w->ips[j]);

			if (p.workload == w && place_set_takes_pod_addr(set, &p))
				return true;
		}
	}
	return false;
}

static void
set_list_add(struct set_list *list, uint32_t set)
{
	if (list->count == list->cap) {
		list->cap = list->cap == 0 ? 32 : 2 * list->cap;
		list->items =
		    xreallocarray(list->items, list->cap, sizeof(*list->items));
	}
	list->items[list->count++] = set;
}

struct peer_set *
place_meaning(struct side *side, const struct model *m, struct port_name *n,
    const struct workload *w)
{
	size_t count;

	if (workload_ports_named(w, n->name, &count) == NULL)
		return NULL;
	return name_reaches(side, m, n, w) ? peers_meaning(side, n, w) : NULL;
}

/* The sets of what the workload's port names mean, where rules speak of them. */
static void
add_meanings(struct side *side, const struct model *m, const struct workload *w,
    struct set_list *list)
{
	for (size_t i = 0; i < w->shape->port_count; i++) {
		const struct named_port *port = &w->shape->ports[i];
		struct port_name *n = map_get(&side->port_names, port->name);

		if (!workload_port_is_first(w, i))
			continue;
		for (; n != NULL; n = n->next) {
			struct peer_set *set = NULL;

			if (name_reaches(side, m, n, w))
				set = peers_meaning(side, n, w);
			if (set != NULL)
				set_list_add(list, set->index);
		}
	}
}

/* Those that take a workload for what it is, whichever of its addresses is meant. */
static void
find_takers(struct side *side, const struct model *m, const struct workload *w,
    struct set_list *out)
{
	const size_t sets = side->set_count; /* meanings come behind */

	out->count = 0;
	for (uint32_t i = 0; i < sets; i++) {
		if (side->sets[i]->name == NULL &&
		    place_set_takes_workload(side->sets[i], w))
			set_list_add(out, i);
	}
	if (side->port_names.len != 0)
		add_meanings(side, m, w, out);
}

static void
list_takers(struct side *side, const struct model *m, const struct place *p,
    struct placed *last, struct set_list *out)
{
	if (last->side != side || last->model != m || last->workload != p->workload)
		find_takers(side, m, p->workload, &last->takers);
	last->side = side;
	last->model = m;
	last->workload = p->workload;
	for (size_t i = 0; i < last->takers.count; i++)
		set_list_add(out, last->takers.items[i]);
	for (uint32_t i = 0; i < side->set_count; i++) {
		if (side->sets[i]->name == NULL &&
		    place_set_takes_pod_addr(side->sets[i], p))
			set_list_add(out, i);
	}
}

static void
list_others(const struct side *side, const struct model *m, const struct place *p,
    struct set_list *out)
{
	for (uint32_t i = 0; i < side->set_count; i++) {
		if (side->sets[i]->name == NULL && place_in_set(side->sets[i], m, p))
			set_list_add(out, i);
	}
}

static void
sort_once(struct set_list *list)
{
	size_t count = 0;

	if (list->count > 1)
		qsort(list->items, list->count, sizeof(*list->items), u32_cmp);
	for (size_t i = 0; i < list->count; i++) {
		if (count == 0 || list->items[count - 1] != list->items[i])
			list->items[count++] = list->items[i];
	}
	list->count = count;
}

void
placed_fini(struct placed *p)
{
	free(p->takers.items);
	*p = (struct placed){0};
}

uint32_t
place_node(struct side *side, const struct model *m, const struct place *p,
    struct placed *last)
{
	struct set_list list = {0};
	uint32_t node;

	if (p->workload != NULL)
		list_takers(side, m, p, last, &list);
	else
		list_others(side, m, p, &list);
	sort_once(&list);
	node = classes_node(side, list.items, list.count);
	free(list.items);
	return node;
}
