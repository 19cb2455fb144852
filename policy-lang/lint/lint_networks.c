/*
 * Address prefixes: those that nothing is left of, that forget a family, or that take in
 * addresses of the cluster itself.
 */
#include <roaring/roaring.h>
#include <stdlib.h>

#include "policy-lang/lint/lint_internal.h"

/* An address of a Service, as space_address numbers it. */
struct service_point {
	addr_num addr;
	const struct service *service;
};

struct networks {
	struct lint *lint;
	uint32_t *nodes_before; /* by point: how many points before it are nodes' */
	struct service_point *services; /* by address */
	size_t service_count;
};

/* ---- what is where ---- */

static bool
is_node_point(const struct lint_point *p)
{
	return p->slot == LINT_NONE;
}

static void
count_nodes(struct networks *n)
{
	const struct lint_world *w = &n->lint->world;

	n->nodes_before = ARENA_ARRAY(n->lint->arena, w->point_count + 1, uint32_t);
	for (size_t i = 0; i < w->point_count; i++)
		n->nodes_before[i + 1] =
		    n->nodes_before[i] + is_node_point(&w->points[i]);
}

static int
service_cmp(const void *a, const void *b)
{
	const struct service_point *x = a, *y = b;

	return (x->addr > y->addr) - (x->addr < y->addr);
}

static void
collect_services(struct networks *n)
{
	const struct model *m = n->lint->m;
	size_t cap = 0;

	for (size_t i = 0; i < m->service_count; i++)
		cap += m->services[i]->ip_count;
	n->services = ARENA_ARRAY(n->lint->arena, cap, struct service_point);
	for (size_t i = 0; i < m->service_count; i++) {
		for (size_t j = 0; j < m->services[i]->ip_count; j++)
			n->services[n->service_count++] = (struct service_point){
			    space_address(&m->services[i]->ips[j]), m->services[i]};
	}
	if (n->service_count > 1)
		qsort(n->services, n->service_count, sizeof(*n->services), service_cmp);
}

static size_t
find_service(const struct networks *n, addr_num addr)
{
	size_t lo = 0, hi = n->service_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (n->services[mid].addr < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Nodes' points in the set; *out_first is the first of them. */
static uint32_t
nodes_in(const struct networks *n, const struct space_set *set,
    const struct lint_point **out)
{
	const struct lint_world *w = &n->lint->world;
	uint32_t count = 0;

	*out = NULL;
	for (size_t i = 0; i < set->count; i++) {
		size_t lo = world_find(w, set->ranges[i].lo), hi = lo;
		const struct addr_range *r = &set->ranges[i];

		hi = r->hi == ~(addr_num)0 ? w->point_count : world_find(w, r->hi + 1);
		count += n->nodes_before[hi] - n->nodes_before[lo];
		while (*out == NULL && lo < hi && !is_node_point(&w->points[lo]))
			lo++;
		if (*out == NULL && lo < hi)
			*out = &w->points[lo];
	}
	return count;
}

/* ---- messages ---- */

static const char *
network_text(struct lint *lint, const struct peer *peer)
{
	char text[IP_TEXT_BYTES];

	return arena_printf(lint->arena, "%s%s",
	    ip_prefix_format(&peer->prefixes[0], text),
	    peer->prefix_count > 1 ? " and others" : "");
}

static void
say_workloads(
    struct networks *n, const struct peer *peer, const struct roaring_bitmap_s *bits)
{
	struct lint *lint = n->lint;
	const struct workload *first = lint_first_of(lint, bits);
	uint64_t count = roaring_bitmap_get_cardinality(bits);
	struct diag *d;

	if (first == NULL)
		return;
	d = lint_say(lint, CODE_CIDR_COVERS_WORKLOADS, peer->loc,
	    "%s takes in %" PRIu64 " workload%s by address", network_text(lint, peer),
	    count, count == 1 ? "" : "s");
	lint_note(lint, d, first->loc, "%.*s is one", STR_ARG(first->shape->display));
}

static void
say_nodes(struct networks *n, const struct peer *peer, const struct space_set *set)
{
	const struct lint_point *first;
	uint32_t count = nodes_in(n, set, &first);
	struct diag *d;

	if (count == 0)
		return;
	d = lint_say(n->lint, CODE_CIDR_COVERS_NODES, peer->loc,
	    "%s takes in %u address%s of nodes", network_text(n->lint, peer), count,
	    count == 1 ? "" : "es");
	if (first->node != NULL && first->node->loc.source != NULL)
		lint_note(n->lint, d, first->node->loc, "node %.*s has one",
		    STR_ARG(first->node->name));
	else if (first->on_host != NULL)
		lint_note(n->lint, d, first->on_host->loc, "%.*s is on its node",
		    STR_ARG(first->on_host->shape->display));
}

/* True if policy sees other addresses behind the Service's than the network has. */
static bool
misses_ends(struct networks *n, const struct service *s, const struct space_set *set,
    const struct roaring_bitmap_s *bits)
{
	struct workload_match ends = {.kube = s->kube, .selector = s->selector};
	const struct lint_point *node;

	if (s->selector == NULL) /* whose ends they are is not known */
		return roaring_bitmap_is_empty(bits) && nodes_in(n, set, &node) == 0;
	return !roaring_bitmap_is_subset(world_match(&n->lint->world, &ends), bits);
}

static void
say_services(struct networks *n, const struct peer *peer, const struct space_set *set,
    const struct roaring_bitmap_s *bits)
{
	struct lint *lint = n->lint;

	for (size_t i = 0; i < set->count; i++) {
		size_t at = find_service(n, set->ranges[i].lo);

		for (; at < n->service_count &&
		       n->services[at].addr <= set->ranges[i].hi &&
		       !lint_stops(lint, LINT_SERVICE_ADDRESSES);
		     at++) {
			const struct service *s = n->services[at].service;
			struct diag *d;

			lint->work += 16;
			if (!misses_ends(n, s, set, bits))
				continue;
			d = lint_say(lint, CODE_CIDR_COVERS_SERVICES, peer->loc,
			    "%s takes in the address of the Service \"%.*s\", which no "
			    "policy sees",
			    network_text(lint, peer), STR_ARG(s->name));
			lint_note(lint, d, s->loc,
			    "connections to it are judged by the addresses behind it");
			return;
		}
	}
}

/* ---- rules ---- */

/* To look a range up among services and nodes takes a fraction of a comparison of rules. */
#define RANGES_OF_WORK 4

static void
lint_network(struct networks *n, const struct peer *peer)
{
	struct space_set set;
	const struct roaring_bitmap_s *bits;

	if (lint_stops(n->lint, LINT_SERVICE_ADDRESSES))
		return;
	set = space_network(&n->lint->space, peer);
	n->lint->work += set.count / RANGES_OF_WORK;
	if (set.count == 0 && peer->prefix_count > 0) {
		lint_say(n->lint, CODE_EXCEPT_CANCELS, peer->loc,
		    "the exceptions leave nothing of %s", network_text(n->lint, peer));
	} else if (set.count > 0) {
		bits = world_peer(&n->lint->world, peer);
		say_services(n, peer, &set, bits);
		say_workloads(n, peer, bits);
		say_nodes(n, peer, &set);
	}
}

static const struct peer *
whole_family(const struct rule *rule, enum ip_family family)
{
	for (size_t i = 0; i < rule->peer_count; i++) {
		const struct peer *p = &rule->peers[i];

		for (size_t j = 0; p->kind == PEER_NETWORK && j < p->prefix_count;
		     j++) {
			if (p->prefixes[j].len == 0 &&
			    p->prefixes[j].addr.family == family)
				return p;
		}
	}
	return NULL;
}

static void
lint_families(struct lint *lint, const struct rule *rule)
{
	const struct peer *v4 = whole_family(rule, IP_V4);
	const struct peer *v6 = whole_family(rule, IP_V6);
	struct diag *d;

	if (!lint->world.dual_stack || (v4 == NULL) == (v6 == NULL))
		return;
	d = lint_say(lint, CODE_ONE_FAMILY, v4 != NULL ? v4->loc : v6->loc,
	    "%s says nothing of IPv%d, which workloads here use too",
	    v4 != NULL ? "0.0.0.0/0" : "::/0", v4 != NULL ? 6 : 4);
	lint_hint(
	    lint, d, "add %s if that is meant", v4 != NULL ? "::/0" : "0.0.0.0/0");
}

void
lint_networks(struct lint *lint)
{
	struct networks n = {.lint = lint};

	count_nodes(&n);
	collect_services(&n);
	for (size_t i = 0; i < lint->m->policy_count; i++) {
		const struct policy *p = lint->m->policies[i];

		for (unsigned k = 0; lint_asks(lint, p) && k < DIRECTION_COUNT * 3;
		     k++) {
			const struct rule_list *list = policy_rules(
			    p, (enum phase)(k / 2), (enum direction)(k % 2));

			for (size_t j = 0; j < list->count; j++) {
				const struct rule *rule = &list->rules[j];

				lint_families(lint, rule);
				for (size_t peer = 0; peer < rule->peer_count; peer++) {
					if (rule->peers[peer].kind == PEER_NETWORK)
						lint_network(&n, &rule->peers[peer]);
				}
			}
		}
	}
}
