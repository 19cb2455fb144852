/*
 * Routes that lead nowhere: gateways, targets, ports and addresses that are not there, or
 * that nobody may reach. Order among routes is lint_routes_order.c's.
 */
#include <roaring/roaring.h>

#include "policy-lang/lint/lint_routes.h"
#include "policy-lang/model/label_index.h"

/* Workloads of one target that are asked whether anybody may come in. */
#define CLOSED_ASKED 32u

/* ---- what will be asked ---- */

static void
want_match(struct lint_world *w, const struct workload_match *match)
{
	label_index_want(w->labels, match->selector);
	label_index_want(w->scope_labels, match->ns_selector);
}

static void
want_list(struct lint_world *w, const struct route_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct route_rule *rule = &list->rules[i];

		want_match(w, &rule->through);
		for (size_t j = 0; j < rule->backend_count; j++)
			want_match(w, &rule->backends[j].workloads);
		for (size_t j = 0; j < rule->from_count; j++)
			want_match(w, &rule->from[j].workloads);
		for (size_t j = 0; j < rule->to_count; j++)
			want_match(w, &rule->to[j].workloads);
	}
}

void
world_want_routes(struct lint_world *w)
{
	for (size_t i = 0; i < w->model->route_count; i++) {
		for (size_t kind = 0; kind < ROUTE_KIND_COUNT; kind++) {
			want_list(w, &w->model->routes[i]->mandatory[kind]);
			want_list(w, &w->model->routes[i]->defaults[kind]);
		}
	}
}

/* ---- every rule ---- */

void
lint_each_route_rule(struct lint *lint, lint_route_fn *each)
{
	for (size_t i = 0; i < lint->m->route_count; i++) {
		const struct route_policy *r = lint->m->routes[i];

		for (size_t kind = 0; kind < ROUTE_KIND_COUNT; kind++) {
			const struct route_list *lists[] = {
			    &r->mandatory[kind], &r->defaults[kind]};

			for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
				for (size_t j = 0; j < lists[l]->count; j++)
					each(lint, (struct route_found){
						       r, &lists[l]->rules[j]});
			}
		}
	}
}

const char *
lint_route_name(struct lint *lint, struct route_found found)
{
	if (found.rule->name.len > 0)
		return arena_printf(lint->arena, "rule \"%.*s\" of Route \"%.*s\"",
		    STR_ARG(found.rule->name), STR_ARG(found.route->name));
	return arena_printf(lint->arena, "%s rule %u of Route \"%.*s\"",
	    route_kind_name(found.rule->kind), (unsigned)found.rule->index + 1,
	    STR_ARG(found.route->name));
}

/* ---- gateways and sources ---- */

static bool
has_gateway(struct lint *lint, const struct route_rule *rule)
{
	for (size_t i = 0; i < lint->m->node_count; i++) {
		const struct node *node = lint->m->nodes[i];

		lint->work++;
		if (route_gateway_takes(rule, node->cluster, node))
			return true;
	}
	return false;
}

/* Names of nodes that are not known are the loader's to tell. */
static void
lint_gateways(struct lint *lint, struct route_found found)
{
	const struct route_rule *rule = found.rule;

	if (rule->gateway_selector == NULL || lint->m->node_count == 0 ||
	    has_gateway(lint, rule))
		return;
	lint_say(lint, CODE_GATEWAYS_MATCH_NOTHING, rule->gateway_selector->loc,
	    "no known node is a gateway of the %s: what matches is refused",
	    lint_route_name(lint, found));
}

/* True if the node, of whatever cluster, may be the rule's gateway. */
static bool
is_gateway(const struct route_rule *rule, const struct node *node)
{
	return route_gateway_takes(rule, node->cluster, node);
}

static void
say_taken(struct lint *lint, struct route_found found, const struct ip_addr *addr,
    const char *kind, struct str name, struct loc loc)
{
	char text[IP_TEXT_BYTES];
	struct diag *d = lint_say(lint, CODE_ROUTE_SOURCE_TAKEN, found.rule->loc,
	    "the %s leaves with %s, which is the address of the %s %.*s",
	    lint_route_name(lint, found), ip_format(addr, text), kind, STR_ARG(name));

	if (loc.source != NULL)
		lint_note(lint, d, loc, "here");
}

static void
lint_source(struct lint *lint, struct route_found found, const struct ip_addr *addr)
{
	const struct route_rule *rule = found.rule;
	bool by_node = has_gateway(lint, rule);
	const struct workload *w = model_workload_at(lint->m, addr);
	const struct node *node = model_node_at(lint->m, addr);
	char text[IP_TEXT_BYTES];

	if (w != NULL && !w->host_network)
		say_taken(lint, found, addr, "workload", w->shape->display, w->loc);
	else if (node != NULL && by_node && !is_gateway(rule, node))
		say_taken(lint, found, addr, "node", node->name, node->loc);
	else if (node == NULL && by_node)
		lint_say(lint, CODE_ROUTE_SOURCE_UNOWNED, rule->loc,
		    "the %s leaves with %s, which no gateway of it is known to have",
		    lint_route_name(lint, found), ip_format(addr, text));
}

static void
lint_sources(struct lint *lint, struct route_found found)
{
	for (size_t i = 0; i < found.rule->source_count; i++) {
		const struct ip_prefix *p = &found.rule->sources[i];

		if (p->len == ip_bits(p->addr.family))
			lint_source(lint, found, &p->addr);
	}
}

/* ---- families ---- */

static bool
subject_has_family(
    struct lint *lint, const struct route_policy *route, enum ip_family family)
{
	for (size_t i = 0; i < lint->m->workload_count; i++) {
		const struct workload *w = lint->m->workloads[i];

		lint->work++;
		for (size_t j = 0; j < w->ip_count; j++) {
			if (w->ips[j].family == family &&
			    workload_match_takes(&route->subject, w))
				return true;
		}
	}
	return false;
}

static bool
leads_to_family(const struct route_rule *rule, enum ip_family family)
{
	for (size_t i = 0; i < rule->to_count; i++) {
		const struct peer *peer = &rule->to[i];

		if (peer->fqdn_count > 0)
			return true;
		for (size_t j = 0; j < peer->prefix_count; j++) {
			if (peer->prefixes[j].addr.family == family)
				return true;
		}
	}
	return rule->to_count == 0;
}

static bool
prefixes_lack(const struct ip_prefix *prefixes, size_t count, enum ip_family family)
{
	for (size_t i = 0; i < count; i++) {
		if (prefixes[i].addr.family == family)
			return false;
	}
	return count > 0;
}

static bool
hops_lack(const struct ip_addr *hops, size_t count, enum ip_family family)
{
	for (size_t i = 0; i < count; i++) {
		if (hops[i].family == family)
			return false;
	}
	return count > 0;
}

static void
lint_families(struct lint *lint, struct route_found found)
{
	static const enum ip_family families[] = {IP_V4, IP_V6};
	const struct route_rule *rule = found.rule;

	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		bool source =
		    prefixes_lack(rule->sources, rule->source_count, families[i]);

		if ((!source && !hops_lack(rule->next_hops, rule->next_hop_count,
				    families[i])) ||
		    !leads_to_family(rule, families[i]) ||
		    !subject_has_family(lint, found.route, families[i]))
			continue;
		lint_say(lint, CODE_ROUTE_FAMILY, rule->loc,
		    "the %s has no %s of IPv%d: connections over IPv%d that it "
		    "matches are refused",
		    lint_route_name(lint, found), source ? "source" : "nextHop",
		    (int)families[i], (int)families[i]);
	}
}

/* ---- workloads ---- */

static const struct roaring_bitmap_s *
target_of(struct lint *lint, const struct workload_match *match)
{
	return world_match(&lint->world, match);
}

static void
lint_target(struct lint *lint, struct route_found found,
    const struct workload_match *match, const char *what, const char *then)
{
	struct loc loc = match->selector != NULL && match->selector->loc.source != NULL
			     ? match->selector->loc
			     : found.rule->loc;

	if (lint->world.slot_count > 0 &&
	    roaring_bitmap_is_empty(target_of(lint, match)))
		lint_say(lint, CODE_ROUTE_TARGET_NOTHING, loc,
		    "%s of the %s selects no workload: %s", what,
		    lint_route_name(lint, found), then);
}

/* The first workload of all targets; *out_named: some has the port's name. */
static const struct workload *
first_target(struct lint *lint, const struct route_rule *rule, bool *out_named)
{
	const struct workload *first = NULL;

	*out_named = rule->target_name.len == 0;
	for (size_t i = 0; i < rule->backend_count; i++) {
		const struct roaring_bitmap_s *there =
		    target_of(lint, &rule->backends[i].workloads);

		if (first == NULL)
			first = lint_first_of(lint, there);
		*out_named =
		    *out_named || roaring_bitmap_intersect(there,
				      world_port_name(&lint->world, rule->target_name,
					  rule->ports[0].proto));
	}
	return first;
}

static void
lint_target_name(struct lint *lint, struct route_found found)
{
	bool named;
	const struct workload *first = first_target(lint, found.rule, &named);
	struct diag *d;

	if (named || first == NULL)
		return;
	d = lint_say(lint, CODE_ROUTE_PORT_UNKNOWN, found.rule->loc,
	    "no workload that the %s publishes has a port named \"%.*s\"",
	    lint_route_name(lint, found), STR_ARG(found.rule->target_name));
	lint_note(
	    lint, d, first->loc, "%.*s is one of them", STR_ARG(first->shape->display));
}

/* Names are what workloads give their ports. */
static void
lint_port_names(struct lint *lint, struct route_found found)
{
	for (size_t i = 0; i < found.rule->port_count; i++) {
		const struct port_match *port = &found.rule->ports[i];

		if (port->kind == PORT_NAMED)
			lint_say(lint, CODE_ROUTE_PORT_UNKNOWN, port->loc,
			    "outside, no port has a name: \"%.*s\" matches nothing",
			    STR_ARG(port->name));
	}
}

/* ---- who may come in ---- */

/* One workload and port that something leads to. */
struct asking {
	struct lint *lint;
	struct flow flow;
};

static bool
lets_in(struct asking *ask, const struct ip_addr *client)
{
	ask->lint->work++;
	if (client->family != ask->flow.dst.addr.family)
		return false;
	ask->flow.src = endpoint_of_addr(ask->lint->m, *client);
	return ask->flow.src.kind == ENDPOINT_ADDRESS &&
	       evaluate_direction(ask->lint->m, &ask->flow, DIR_INGRESS).allow;
}

/* Addresses at the edges of what a peer takes in. */
static bool
lets_peer_in(struct asking *ask, const struct peer *peer)
{
	struct ip_addr first, last, beside;

	for (size_t i = 0; i < peer->prefix_count; i++) {
		ip_prefix_range(&peer->prefixes[i], &first, &last);
		if (lets_in(ask, &first) || lets_in(ask, &last))
			return true;
	}
	for (size_t i = 0; i < peer->except_count; i++) {
		ip_prefix_range(&peer->excepts[i], &first, &last);
		if ((ip_prev(&first, &beside) && lets_in(ask, &beside)) ||
		    (ip_next(&last, &beside) && lets_in(ask, &beside)))
			return true;
	}
	return false;
}

static bool
lets_list_in(struct asking *ask, const struct rule_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		for (size_t j = 0; j < list->rules[i].peer_count; j++) {
			if (lets_peer_in(ask, &list->rules[i].peers[j]))
				return true;
		}
	}
	return false;
}

/* Somebody whom no rule names, then whoever some rule names. */
static bool
lets_anybody_in(struct asking *ask)
{
	static const struct ip_addr nobody[] = {
	    {IP_V4, {198, 18, 0, 1}}, {IP_V6, {0x20, 0x01, 0x0d, 0xb8, [15] = 1}}};

	if (lets_in(ask, &nobody[0]) || lets_in(ask, &nobody[1]))
		return true;
	for (const struct ns *s = ask->flow.dst.workload->ns; s != NULL;
	     s = s->parent) {
		for (size_t i = 0; i < s->policy_count; i++) {
			const struct policy *p = s->policies[i];

			if (lets_list_in(ask, &p->mandatory[DIR_INGRESS]) ||
			    lets_list_in(ask, &p->allow[DIR_INGRESS]) ||
			    lets_list_in(ask, &p->defaults[DIR_INGRESS]))
				return true;
		}
	}
	return false;
}

/* True if the workload cannot be asked about: it has no address or no such port. */
static bool
ask_about(struct lint *lint, const struct route_rule *rule, const struct workload *w,
    bool *out_open)
{
	struct asking ask = {.lint = lint,
	    .flow = {.dst = {.kind = ENDPOINT_WORKLOAD, .workload = w},
		.proto = rule->ports[0].proto}};

	if (w->ip_count == 0 || !route_target_port(rule, w, ask.flow.proto,
				    rule->ports[0].lo, &ask.flow.port))
		return false;
	ask.flow.dst.has_addr = true;
	for (size_t i = 0; i < w->ip_count && !*out_open; i++) {
		ask.flow.dst.addr = w->ips[i];
		*out_open = lets_anybody_in(&ask);
	}
	return true;
}

/* Ports beside the first are not asked about: where it is closed for all, who published it
 * will want to know. */
static void
lint_closed(
    struct lint *lint, struct route_found found, const struct route_backend *backend)
{
	roaring_uint32_iterator_t *it =
	    roaring_create_iterator(target_of(lint, &backend->workloads));
	const struct workload *closed = NULL;
	bool open = false;
	struct diag *d;

	for (unsigned asked = 0; it != NULL && it->has_value && asked < CLOSED_ASKED;
	     asked++) {
		const struct workload *w = lint->world.slots[it->current_value];

		if (ask_about(lint, found.rule, w, &open) && closed == NULL)
			closed = w;
		roaring_advance_uint32_iterator(it);
	}
	open = open || (it != NULL && it->has_value);
	if (it != NULL)
		roaring_free_uint32_iterator(it);
	if (open || closed == NULL)
		return;
	d = lint_say(lint, CODE_PUBLISHED_CLOSED, found.rule->loc,
	    "the %s publishes workloads whose ingress policy lets nobody from outside "
	    "in",
	    lint_route_name(lint, found));
	lint_note(lint, d, closed->loc, "%.*s is one of them",
	    STR_ARG(closed->shape->display));
}

/* ---- via ---- */

static bool
is_end(struct lint *lint, const struct peer *peers, size_t count,
    const struct roaring_bitmap_s *through, const struct peer **out_peer)
{
	for (size_t i = 0; i < count; i++) {
		*out_peer = &peers[i];
		if (roaring_bitmap_intersect(
			target_of(lint, &peers[i].workloads), through))
			return true;
	}
	return false;
}

static void
lint_loop(struct lint *lint, struct route_found found)
{
	const struct route_rule *rule = found.rule;
	const struct roaring_bitmap_s *through = target_of(lint, &rule->through);
	const struct peer *peer = NULL;
	const struct workload *w = lint_first_of(lint, through);
	struct diag *d;

	if (w == NULL || (!is_end(lint, rule->from, rule->from_count, through, &peer) &&
			     !is_end(lint, rule->to, rule->to_count, through, &peer)))
		return;
	d = lint_say(lint, CODE_ROUTE_LOOP, peer->loc,
	    "the %s sends connections through workloads that are ends of them: these "
	    "are not sent through anything by it",
	    lint_route_name(lint, found));
	lint_note(lint, d, w->loc, "%.*s is what it goes through",
	    STR_ARG(w->shape->display));
}

/* ---- all ---- */

static void
lint_rule(struct lint *lint, struct route_found found)
{
	const struct route_rule *rule = found.rule;

	if (rule->kind == ROUTE_EGRESS)
		lint_port_names(lint, found);
	if (rule->action != ROUTE_APPLY || lint_stops(lint, LINT_ROUTES))
		return;
	if (rule->kind == ROUTE_EGRESS) {
		lint_gateways(lint, found);
		lint_sources(lint, found);
		lint_families(lint, found);
		return;
	}
	if (rule->kind == ROUTE_VIA) {
		lint_target(lint, found, &rule->through, "\"through\"",
		    rule->direct_on_failure ? "all goes direct"
					    : "what matches is refused");
		lint_loop(lint, found);
		return;
	}
	for (size_t i = 0; i < rule->backend_count; i++) {
		lint_target(lint, found, &rule->backends[i].workloads, "a target",
		    "it gets no connections");
		lint_closed(lint, found, &rule->backends[i]);
	}
	lint_target_name(lint, found);
}

void
lint_routes(struct lint *lint)
{
	lint_each_route_rule(lint, lint_rule);
	lint_route_order(lint);
}
