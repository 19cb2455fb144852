/*
 * Order among routes: rules that never decide, because what is before them in every walk
 * takes all of it, and two that publish the same address and port. What is said holds for
 * whatever workloads there will be; where it cannot be told so, nothing is said.
 */
#include "policy-lang/lint/lint_routes.h"
#include "policy-lang/model/fqdn.h"

/* ---- what one rule takes in of another ---- */

static bool
port_covers(const struct port_match *outer, const struct port_match *inner)
{
	if (outer->kind != inner->kind)
		return false;
	if (outer->kind == PORT_NAMED)
		return str_eq(outer->name, inner->name) &&
		       (outer->proto == PROTO_ANY || outer->proto == inner->proto);
	return (outer->proto == PROTO_ANY || outer->proto == inner->proto) &&
	       outer->lo <= inner->lo && inner->hi <= outer->hi;
}

static bool
ports_cover(
    struct lint *lint, const struct route_rule *outer, const struct route_rule *inner)
{
	if (outer->port_count == 0)
		return true;
	for (size_t i = 0; i < inner->port_count; i++) {
		bool covered = false;

		for (size_t j = 0; j < outer->port_count && !covered; j++) {
			lint->work++;
			covered = port_covers(&outer->ports[j], &inner->ports[i]);
		}
		if (!covered)
			return false;
	}
	return inner->port_count > 0;
}

static bool
prefix_covered(struct lint *lint, const struct ip_prefix *inner,
    const struct peer *outer, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < outer[i].prefix_count; j++) {
			lint->work++;
			if (outer[i].except_count == 0 &&
			    ip_prefix_covers(&outer[i].prefixes[j], inner))
				return true;
		}
	}
	return false;
}

static bool
name_covered(
    struct lint *lint, struct str inner, const struct peer *outer, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < outer[i].fqdn_count; j++) {
			lint->work++;
			if (fqdn_match(outer[i].fqdns[j], inner))
				return true;
		}
	}
	return false;
}

static bool
networks_cover(
    struct lint *lint, const struct route_rule *outer, const struct route_rule *inner)
{
	if (outer->to_count == 0)
		return true;
	for (size_t i = 0; i < inner->to_count; i++) {
		const struct peer *peer = &inner->to[i];

		for (size_t j = 0; j < peer->prefix_count; j++) {
			if (!prefix_covered(
				lint, &peer->prefixes[j], outer->to, outer->to_count))
				return false;
		}
		for (size_t j = 0; j < peer->fqdn_count; j++) {
			if (!name_covered(
				lint, peer->fqdns[j], outer->to, outer->to_count))
				return false;
		}
	}
	return inner->to_count > 0;
}

static bool
addresses_cover(
    struct lint *lint, const struct route_rule *outer, const struct route_rule *inner)
{
	for (size_t i = 0; i < inner->address_count; i++) {
		bool covered = outer->address_count == 0;

		for (size_t j = 0; j < outer->address_count && !covered; j++) {
			lint->work++;
			covered = ip_prefix_covers(
			    &outer->addresses[j], &inner->addresses[i]);
		}
		if (!covered)
			return false;
	}
	return outer->address_count == 0 || inner->address_count > 0;
}

/* ptr NULL: any. */
static bool
text_covers(struct str outer, struct str inner)
{
	return outer.ptr == NULL || (inner.ptr != NULL && str_eq(outer, inner));
}

/* A whole subtree, or the same words. */
static bool
match_covers(const struct workload_match *outer, const struct workload_match *inner)
{
	bool same_rest = outer->kube == inner->kube &&
			 text_covers(outer->cluster, inner->cluster) &&
			 text_covers(outer->service_account, inner->service_account);
	bool below =
	    outer->subtree == NULL ||
	    (inner->subtree != NULL && ns_within(inner->subtree, outer->subtree));

	if (!below || !same_rest)
		return false;
	if (outer->ns_selector != NULL &&
	    (inner->ns_selector == NULL ||
		!selector_equal(outer->ns_selector, inner->ns_selector)))
		return false;
	return outer->selector == NULL ||
	       (inner->selector != NULL &&
		   selector_equal(outer->selector, inner->selector));
}

static bool
peers_cover(struct lint *lint, const struct peer *outer, size_t outer_count,
    const struct peer *inner, size_t inner_count)
{
	for (size_t i = 0; i < inner_count; i++) {
		bool covered = outer_count == 0;

		for (size_t j = 0; j < outer_count && !covered; j++) {
			lint->work++;
			covered =
			    match_covers(&outer[j].workloads, &inner[i].workloads);
		}
		if (!covered)
			return false;
	}
	return outer_count == 0 || inner_count > 0;
}

/* What goes through somebody leaves that one's own connections to the next rule. */
static bool
via_covers(
    struct lint *lint, const struct route_rule *outer, const struct route_rule *inner)
{
	if (outer->action == ROUTE_APPLY &&
	    (inner->action != ROUTE_APPLY ||
		!match_covers(&inner->through, &outer->through)))
		return false;
	return peers_cover(lint, outer->from, outer->from_count, inner->from,
		   inner->from_count) &&
	       peers_cover(
		   lint, outer->to, outer->to_count, inner->to, inner->to_count);
}

static bool
covers(struct lint *lint, struct route_found outer, struct route_found inner)
{
	static bool (*const kinds[ROUTE_KIND_COUNT])(struct lint * lint,
	    const struct route_rule *outer, const struct route_rule *inner) = {
	    [ROUTE_EGRESS] = networks_cover,
	    [ROUTE_INGRESS] = addresses_cover,
	    [ROUTE_VIA] = via_covers,
	};

	return match_covers(&outer.route->subject, &inner.route->subject) &&
	       ports_cover(lint, outer.rule, inner.rule) &&
	       kinds[inner.rule->kind](lint, outer.rule, inner.rule);
}

/* ---- rules that never decide ---- */

static const struct route_list *
list_of(const struct route_policy *route, enum phase phase, enum route_kind kind)
{
	return phase == PHASE_MANDATORY ? &route->mandatory[kind]
					: &route->defaults[kind];
}

/*
 * The first rule of a level and phase, before `inner` if that is among them, that takes
 * all of it. Of another level it must decide, and nothing before it may pass. None, once there
 * has been too much to compare.
 */
static struct route_found
taker_at(struct lint *lint, const struct ns *level, enum phase phase,
    struct route_found inner)
{
	bool own = level == inner.route->level && phase == inner.rule->phase;

	for (size_t i = 0; i < level->route_count; i++) {
		const struct route_list *list =
		    list_of(level->routes[i], phase, inner.rule->kind);

		for (size_t j = 0; j < list->count; j++) {
			struct route_found outer = {level->routes[i], &list->rules[j]};

			if (outer.rule == inner.rule || lint_stops(lint, LINT_ROUTES))
				return (struct route_found){0};
			lint->work++;
			if (!own && outer.rule->action == ROUTE_PASS)
				return (struct route_found){0};
			if (covers(lint, outer, inner))
				return outer;
		}
	}
	return (struct route_found){0};
}

static struct route_found
taker_of(struct lint *lint, struct route_found inner)
{
	const struct ns *level = inner.route->level;
	struct route_found taker = {0};

	for (uint32_t depth = 0; depth <= level->depth && taker.rule == NULL; depth++) {
		const struct ns *s = level;

		while (s->depth > depth)
			s = s->parent;
		if (s != level || inner.rule->phase == PHASE_DEFAULT)
			taker = taker_at(lint, s, PHASE_MANDATORY, inner);
	}
	if (taker.rule == NULL)
		taker = taker_at(lint, level, inner.rule->phase, inner);
	return taker;
}

static bool
is_publication(struct route_found found)
{
	return found.rule->kind == ROUTE_INGRESS && found.rule->action == ROUTE_APPLY;
}

static void
lint_shadowed(struct lint *lint, struct route_found found)
{
	struct route_found taker;
	struct diag *d;

	if (lint_stops(lint, LINT_ROUTES))
		return;
	taker = taker_of(lint, found);
	/* Two publications of one level are a conflict, which says more. */
	if (taker.rule == NULL || (is_publication(taker) && is_publication(found) &&
				      taker.route->level == found.route->level))
		return;
	d = lint_say(lint, CODE_ROUTE_SHADOWED, found.rule->loc,
	    "the %s never decides: what it matches is decided before it",
	    lint_route_name(lint, found));
	lint_note(lint, d, taker.rule->loc, "the %s", lint_route_name(lint, taker));
}

/* ---- publications of the same ---- */

/* Those that publish one address, in the order of the model. */
struct publication {
	struct route_found found;
	bool
	    taken; /* by a publication of its own level, which it conflicts with itself */
	struct publication *next;
};

static const struct port_match *
common_port(struct lint *lint, const struct route_rule *a, const struct route_rule *b,
    uint16_t *out_port)
{
	for (size_t i = 0; i < a->port_count; i++) {
		lint->work += b->port_count;
		for (size_t j = 0; j < b->port_count; j++) {
			const struct port_match *p = &a->ports[i], *q = &b->ports[j];

			*out_port = p->lo > q->lo ? p->lo : q->lo;
			if (p->proto == q->proto && p->lo <= q->hi && q->lo <= p->hi)
				return q;
		}
	}
	return NULL;
}

/* Who is nearer overrides, and who is further up and mandatory does: that is no conflict. */
static bool
may_both_decide(struct route_found a, struct route_found b)
{
	const struct ns *x = a.route->level, *y = b.route->level;

	return x == y ? a.rule->phase == b.rule->phase
		      : !ns_within(x, y) && !ns_within(y, x);
}

static void
say_conflict(struct lint *lint, struct route_found a, struct route_found b,
    const struct ip_prefix *addr, const struct port_match *port, uint16_t number)
{
	char text[IP_TEXT_BYTES], proto[8];
	struct diag *d = lint_say(lint, CODE_ROUTE_CONFLICT, b.rule->loc,
	    "the %s publishes %s %u/%s, and so does another Route",
	    lint_route_name(lint, b), ip_format(&addr->addr, text), (unsigned)number,
	    proto_name(port->proto, proto));

	lint_note(lint, d, a.rule->loc, "the %s", lint_route_name(lint, a));
}

static void
compare_publications(struct lint *lint, const struct publication *first,
    const struct ip_prefix *addr, struct route_found found)
{
	for (const struct publication *p = first;
	     p != NULL && !lint_stops(lint, LINT_ROUTES); p = p->next) {
		const struct port_match *port;
		uint16_t number;

		lint->work++;
		if (p->found.rule == found.rule || p->taken ||
		    !may_both_decide(p->found, found))
			continue;
		port = common_port(lint, p->found.rule, found.rule, &number);
		if (port == NULL)
			continue;
		say_conflict(lint, p->found, found, addr, port, number);
		return;
	}
}

static void
add_publication(
    struct lint *lint, struct map *by_address, struct route_found found, bool taken)
{
	for (size_t i = 0; i < found.rule->address_count; i++) {
		const struct ip_prefix *addr = &found.rule->addresses[i];
		char text[IP_TEXT_BYTES];
		struct str key = str_from(ip_format(&addr->addr, text));
		struct publication *new = ARENA_NEW(lint->arena, struct publication);
		struct publication *first = map_get(by_address, key);

		compare_publications(lint, first, addr, found);
		*new = (struct publication){found, taken, first};
		(void)map_set(by_address,
		    first != NULL ? key : str_dup(lint->arena, key), new); /* kept */
	}
}

static void
lint_conflicts(struct lint *lint)
{
	struct map by_address = {0};

	for (size_t i = 0; i < lint->m->route_count; i++) {
		const struct route_policy *r = lint->m->routes[i];
		const struct route_list *lists[] = {
		    &r->mandatory[ROUTE_INGRESS], &r->defaults[ROUTE_INGRESS]};

		for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
			for (size_t j = 0; j < lists[l]->count; j++) {
				struct route_found found = {r, &lists[l]->rules[j]};
				struct route_found taker;

				if (!is_publication(found) ||
				    lint_stops(lint, LINT_ROUTES))
					continue;
				taker = taker_of(lint, found);
				/* What never decides has no conflict but at its own
				 * level. */
				if (taker.rule == NULL || is_publication(taker))
					add_publication(lint, &by_address, found,
					    taker.rule != NULL);
			}
		}
	}
	map_fini(&by_address);
}

void
lint_route_order(struct lint *lint)
{
	lint_conflicts(lint);
	lint_each_route_rule(lint, lint_shadowed);
}
