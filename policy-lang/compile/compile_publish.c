/*
 * Ingress. A published port is whose walk's rule comes first of all; the workloads that
 * walk to that rule, and are among its targets, are the ends. Each address and protocol is
 * cut where any port that is published on it begins or ends: within a piece nothing
 * changes.
 */
#include "policy-lang/compile/compile_route.h"

#include <stdlib.h>
#include <string.h>

#include "common/limits.h"

/* Ports of one rule that are published one by one, since each leads to another. */
#define SHIFTED_PORTS_MAX 1024u

/* A rule that publishes an address, at some ports of a protocol. */
struct claim {
	struct ip_addr addr;
	uint8_t proto;
	uint16_t lo, hi;
	const struct route_policy *route;
	const struct route_rule *rule;
	uint32_t order; /* of the rule, among all that publish */
};

/* Ports of an address that are alike, and the claims that are made on them. */
struct piece {
	struct ip_addr addr;
	uint8_t proto;
	uint16_t lo, hi;
	const struct claim **claims; /* in order */
	size_t claim_count;
};

struct publishing {
	struct routes *r;
	struct arena *arena;
	struct claim *claims;
	size_t count, cap;
	/* Namespaces with ingress rules that do not publish; and those that have ports. */
	bool *restricts;
	const struct route_rule **restrictions;
	size_t restriction_count, restriction_cap;
	struct route_end *ends; /* of the piece that is looked at */
	size_t end_count, end_cap;
};

/* ---- claims ---- */

/* What is somebody's already is not given to others; what another node translates goes
 * there as it is. */
static bool
may_publish(struct publishing *p, const struct route_policy *route,
    const struct route_rule *rule, const struct ip_addr *addr)
{
	const enum route_right right = routes_right(p->r, addr, route->level);
	const char *why = NULL;

	if (routes_inside(p->r->c->model, addr))
		why = "it is a workload's or a node's";
	else if (right == ROUTE_OTHERS)
		why = "it is for Routes of another subtree";
	if (why != NULL) {
		char text[IP_TEXT_BYTES];

		diag_warn(p->r->c->diags, "not-followed", rule->loc,
		    "this route publishes nothing at %s: %s", ip_format(addr, text),
		    why);
	}
	return why == NULL && right == ROUTE_MAY;
}

static void
add_claims(struct publishing *p, const struct route_policy *route,
    const struct route_rule *rule)
{
	for (size_t a = 0; a < rule->address_count; a++) {
		if (!may_publish(p, route, rule, &rule->addresses[a].addr))
			continue;
		for (size_t i = 0; i < rule->port_count; i++) {
			if (p->count == p->cap) {
				p->cap = p->cap == 0 ? 64 : 2 * p->cap;
				p->claims = xreallocarray(
				    p->claims, p->cap, sizeof(*p->claims));
			}
			p->claims[p->count++] = (struct claim){
			    .addr = rule->addresses[a].addr,
			    .proto = rule->ports[i].proto,
			    .lo = rule->ports[i].lo,
			    .hi = rule->ports[i].hi,
			    .route = route,
			    .rule = rule,
			};
		}
	}
}

static void
add_restriction(struct publishing *p, const struct route_policy *route,
    const struct route_rule *rule)
{
	p->restricts[route->level->index] = true;
	if (rule->port_count == 0)
		return; /* cuts no piece */
	if (p->restriction_count == p->restriction_cap) {
		p->restriction_cap =
		    p->restriction_cap == 0 ? 16 : 2 * p->restriction_cap;
		p->restrictions = xreallocarray(
		    p->restrictions, p->restriction_cap, sizeof(struct route_rule *));
	}
	p->restrictions[p->restriction_count++] = rule;
}

static void
read_list(struct publishing *p, const struct route_policy *route,
    const struct route_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		if (list->rules[i].action == ROUTE_APPLY)
			add_claims(p, route, &list->rules[i]);
		else
			add_restriction(p, route, &list->rules[i]);
	}
}

/* Of the rules that are somebody's answer the first has the port: mandatory ones from the
 * root down, then default ones from the leaves up, then in the order of the model. */
static int
order_cmp(const void *a, const void *b)
{
	const struct claim *x = *(const struct claim *const *)a;
	const struct claim *y = *(const struct claim *const *)b;
	uint32_t xd = x->route->level->depth, yd = y->route->level->depth;

	if (x->rule == y->rule)
		return 0;
	if (x->rule->phase != y->rule->phase)
		return x->rule->phase == PHASE_MANDATORY ? -1 : 1;
	if (xd != yd)
		return (xd < yd) == (x->rule->phase == PHASE_MANDATORY) ? -1 : 1;
	return (x->order > y->order) - (x->order < y->order);
}

static int
place_cmp(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int order = ip_cmp(&x->addr, &y->addr);

	if (order == 0)
		order = (x->proto > y->proto) - (x->proto < y->proto);
	if (order == 0)
		order = (x->lo > y->lo) - (x->lo < y->lo);
	return order != 0 ? order : (x->order > y->order) - (x->order < y->order);
}

static void
collect(struct publishing *p)
{
	const struct model *m = p->r->c->model;

	p->restricts = ARENA_ARRAY(p->arena, m->ns_count, bool);
	for (size_t i = 0; i < m->route_count; i++) {
		read_list(p, m->routes[i], &m->routes[i]->mandatory[ROUTE_INGRESS]);
		read_list(p, m->routes[i], &m->routes[i]->defaults[ROUTE_INGRESS]);
	}
	for (size_t i = 0; i < p->count; i++)
		p->claims[i].order = (uint32_t)i;
	if (p->count > 1)
		qsort(p->claims, p->count, sizeof(*p->claims), place_cmp);
}

/* ---- a workload's walk ---- */

static bool
takes_piece(const struct route_rule *rule, const struct piece *piece)
{
	bool takes = rule->address_count == 0;

	for (size_t i = 0; i < rule->address_count && !takes; i++)
		takes = ip_in_prefix(&piece->addr, &rule->addresses[i]);
	if (!takes || rule->port_count == 0)
		return takes;
	for (size_t i = 0; i < rule->port_count; i++) {
		const struct port_match *m = &rule->ports[i];

		if ((m->proto == PROTO_ANY || m->proto == piece->proto) &&
		    m->lo <= piece->lo && piece->lo <= m->hi)
			return true;
	}
	return false;
}

static bool
is_subject(const struct route_policy *route, const struct workload *w)
{
	return place_match_takes(&route->subject, w);
}

/* The first rule of a list that takes the piece; those that publish are known already. */
static const struct route_rule *
first_in(const struct publishing *p, const struct route_policy *route, enum phase phase,
    const struct piece *piece)
{
	const struct route_list *list = phase == PHASE_MANDATORY
					    ? &route->mandatory[ROUTE_INGRESS]
					    : &route->defaults[ROUTE_INGRESS];
	const struct route_rule *found = NULL;

	for (size_t i = 0; i < piece->claim_count; i++) {
		const struct claim *claim = piece->claims[i];

		if (claim->route == route && claim->rule->phase == phase &&
		    (found == NULL || claim->rule->index < found->index))
			found = claim->rule;
	}
	if (!p->restricts[route->level->index])
		return found;
	for (size_t i = 0; i < list->count && &list->rules[i] != found; i++) {
		if (list->rules[i].action != ROUTE_APPLY &&
		    takes_piece(&list->rules[i], piece))
			return &list->rules[i];
	}
	return found;
}

/* Whether a level can have anything to say of the piece. */
static bool
speaks(const struct publishing *p, const struct ns *ns, const struct piece *piece)
{
	for (size_t i = 0; i < piece->claim_count; i++) {
		if (piece->claims[i]->route->level == ns)
			return true;
	}
	return p->restricts[ns->index];
}

static const struct route_rule *
at_level(const struct publishing *p, const struct workload *w, const struct ns *ns,
    enum phase phase, const struct piece *piece)
{
	if (!speaks(p, ns, piece))
		return NULL;
	for (size_t i = 0; i < ns->route_count; i++) {
		const struct route_rule *rule;

		if (!is_subject(ns->routes[i], w))
			continue;
		rule = first_in(p, ns->routes[i], phase, piece);
		if (rule != NULL)
			return rule->action == ROUTE_PASS ? NULL : rule;
	}
	return NULL;
}

static const struct route_rule *
walk(const struct publishing *p, const struct workload *w, const struct piece *piece)
{
	const struct ns *path[LIMIT_PATH_DEPTH + 1];
	const struct route_rule *rule = NULL;
	size_t depth = 0;

	for (const struct ns *ns = w->ns; ns != NULL; ns = ns->parent)
		path[depth++] = ns;
	for (size_t i = depth; i > 0 && rule == NULL; i--)
		rule = at_level(p, w, path[i - 1], PHASE_MANDATORY, piece);
	for (size_t i = 0; i < depth && rule == NULL; i++)
		rule = at_level(p, w, path[i], PHASE_DEFAULT, piece);
	return rule;
}

/* ---- ends ---- */

static bool
target_port(const struct route_rule *rule, const struct workload *w,
    const struct piece *piece, uint16_t *out_port)
{
	if (rule->target_name.len == 0) {
		*out_port = rule->target_port == 0
				? 0
				: (uint16_t)(rule->target_port +
					     (piece->lo - rule->ports[0].lo));
		return true;
	}
	for (size_t i = 0; i < w->shape->port_count; i++) {
		if (w->shape->ports[i].proto == piece->proto &&
		    str_eq(w->shape->ports[i].name, rule->target_name)) {
			*out_port = w->shape->ports[i].port;
			return true;
		}
	}
	return false;
}

/* Parts of a target's weight: divides well by how many workloads share it. */
#define WEIGHT_PARTS (UINT64_C(1) << 20)

/* The rule's first target that takes the workload in; none: backend_count. */
static size_t
target_of(const struct route_rule *rule, const struct workload *w)
{
	size_t i = 0;

	while (i < rule->backend_count &&
	       !place_match_takes(&rule->backends[i].workloads, w))
		i++;
	return i;
}

static void
add_end(struct publishing *p, const struct route_end *end)
{
	if (p->end_count == p->end_cap) {
		p->end_cap = p->end_cap == 0 ? 64 : 2 * p->end_cap;
		p->ends = xreallocarray(p->ends, p->end_cap, sizeof(*p->ends));
	}
	p->ends[p->end_count++] = *end;
}

/* The ready workloads that walk to the rule and are among its targets. ends[].weight is
 * the number of their target at first. */
static void
find_ends(struct publishing *p, const struct claim *claim, const struct piece *piece)
{
	const struct universe *u = p->r->universe;
	uint32_t ns = claim->route->level->index;

	p->end_count = 0;
	for (uint32_t i = u->ns_first[ns]; i < u->ns_end[ns]; i++) {
		const struct workload *w = u->slots[i];
		const struct ip_addr *addr = routes_address(w, piece->addr.family);
		size_t target = target_of(claim->rule, w);
		struct route_end end = {.weight = target, .loc = claim->rule->loc};

		if (target == claim->rule->backend_count || addr == NULL ||
		    w->not_ready || walk(p, w, piece) != claim->rule ||
		    !target_port(claim->rule, w, piece, &end.port))
			continue;
		end.addr = *addr;
		add_end(p, &end);
	}
}

/* A target's weight is shared by its workloads. */
static void
weigh(struct publishing *p, const struct route_rule *rule)
{
	uint32_t *among = xcalloc(rule->backend_count, sizeof(*among));

	for (size_t i = 0; i < p->end_count; i++)
		among[p->ends[i].weight]++;
	for (size_t i = 0; i < p->end_count; i++) {
		size_t target = (size_t)p->ends[i].weight;

		p->ends[i].weight =
		    WEIGHT_PARTS * rule->backends[target].weight / among[target];
	}
	free(among);
}

/* ---- pieces ---- */

/* Some workload's walk leads to the rule, be it one of its targets or not. */
static bool
is_answer(
    const struct publishing *p, const struct claim *claim, const struct piece *piece)
{
	const struct universe *u = p->r->universe;
	uint32_t ns = claim->route->level->index;

	if (u->ns_first[ns] == NONE)
		return false;
	for (uint32_t i = u->ns_first[ns]; i < u->ns_end[ns]; i++) {
		if (walk(p, u->slots[i], piece) == claim->rule)
			return true;
	}
	return false;
}

static void
emit_piece(struct publishing *p, const struct piece *piece, const struct claim *claim,
    uint32_t id)
{
	bool six = piece->addr.family == IP_V6, one = piece->lo == piece->hi;
	struct table_element e = {.proto = piece->proto,
	    .port_lo = piece->lo,
	    .port_hi = one ? 0 : piece->hi,
	    .value = id,
	    .loc = claim->rule->loc};
	unsigned set = one ? SET_PUBLISH4 : SET_PUBLISH4_RANGE;

	memcpy(e.addr, piece->addr.bytes, ip_bytes(piece->addr.family));
	emit(p->r->c, (enum table_set_id)(set + six), &e);
}

/* One that has no end leads to ends all the same, where it is denied. */
static void
lead(struct publishing *p, const struct piece *piece, const struct claim *claim)
{
	struct buf key = {0};
	uint32_t id;

	buf_add_cstr(&key, "publish");
	key_add_u32(&key, claim->rule->number);
	key_add_u32(&key, piece->addr.family);
	buf_add(&key, piece->addr.bytes, ip_bytes(piece->addr.family));
	key_add_u32(&key, (uint32_t)piece->proto << 16 | piece->lo);
	id = routes_new_id(p->r, buf_str(&key));
	buf_free(&key);
	emit_piece(p, piece, claim, id);
	routes_count(p->r, id, claim->rule->number);
	if (!routes_lead(p->r, id, p->ends, p->end_count,
		claim->rule->balance == BALANCE_HASH ? PICK_HASH : PICK_RANDOM,
		claim->rule->loc))
		(void)chains_use(p->r->c, NUMBER_UNREADY);
}

static void
publish_piece(
    struct publishing *p, const struct piece *piece, const struct claim *claim)
{
	find_ends(p, claim, piece);
	weigh(p, claim->rule);
	if (claim->rule->target_port == 0 || piece->lo == piece->hi) {
		lead(p, piece, claim);
		return;
	}
	if (piece->hi - piece->lo >= (int)SHIFTED_PORTS_MAX) {
		diag_warn(p->r->c->diags, "not-followed", claim->rule->loc,
		    "what this route publishes is denied: a range of more than %u "
		    "ports cannot lead to other ports",
		    SHIFTED_PORTS_MAX);
		p->end_count = 0;
		lead(p, piece, claim);
		return;
	}
	for (uint32_t port = piece->lo; port <= piece->hi; port++) {
		struct piece one = *piece;

		one.lo = one.hi = (uint16_t)port;
		lead(p, &one, claim);
		for (size_t i = 0; i < p->end_count; i++)
			p->ends[i].port++;
	}
}

static void
decide_piece(struct publishing *p, struct piece *piece)
{
	if (piece->claim_count > 1)
		qsort(piece->claims, piece->claim_count, sizeof(*piece->claims),
		    order_cmp);
	for (size_t i = 0; i < piece->claim_count && !p->r->c->failed; i++) {
		if (is_answer(p, piece->claims[i], piece)) {
			publish_piece(p, piece, piece->claims[i]);
			return;
		}
	}
}

/* ---- one address and protocol ---- */

static size_t
restricted_ports(const struct publishing *p)
{
	size_t count = 0;

	for (size_t i = 0; i < p->restriction_count; i++)
		count += p->restrictions[i]->port_count;
	return count;
}

/* Where rules that do not publish begin and end. Returns how many. */
static size_t
add_cuts(const struct publishing *p, const struct claim *where, uint32_t *out)
{
	size_t count = 0;

	for (size_t i = 0; i < p->restriction_count; i++) {
		const struct route_rule *rule = p->restrictions[i];

		for (size_t j = 0; j < rule->port_count; j++) {
			if (rule->ports[j].proto != where->proto)
				continue;
			out[count++] = rule->ports[j].lo;
			out[count++] = (uint32_t)rule->ports[j].hi + 1;
		}
	}
	return count;
}

/* Claims [first, end) are of one address and protocol, by their first port. `open` are
 * those that the piece may be in. */
static void
cut(struct publishing *p, size_t first, size_t end)
{
	size_t count = end - first, cuts = 0, next = first, open = 0;
	uint32_t *at = xcalloc(2 * (count + restricted_ports(p)), sizeof(*at));
	const struct claim **active = xcalloc(count, sizeof(struct claim *));

	for (size_t i = first; i < end; i++) {
		at[cuts++] = p->claims[i].lo;
		at[cuts++] = (uint32_t)p->claims[i].hi + 1;
	}
	cuts += add_cuts(p, &p->claims[first], at + cuts);
	qsort(at, cuts, sizeof(*at), u32_cmp);
	for (size_t i = 0; i + 1 < cuts && !p->r->c->failed; i++) {
		struct piece piece = {.addr = p->claims[first].addr,
		    .proto = p->claims[first].proto,
		    .lo = (uint16_t)at[i],
		    .hi = (uint16_t)(at[i + 1] - 1)};
		size_t kept = 0;

		if (at[i] == at[i + 1])
			continue;
		while (next < end && p->claims[next].lo <= at[i])
			active[open++] = &p->claims[next++];
		for (size_t j = 0; j < open; j++) {
			if (active[j]->hi >= at[i])
				active[kept++] = active[j];
		}
		open = kept;
		if (open == 0)
			continue;
		piece.claims = active;
		piece.claim_count = open;
		decide_piece(p, &piece);
	}
	free(active);
	free(at);
}

/* ---- workloads that reach themselves ---- */

static void
emit_selves(struct publishing *p)
{
	struct compiler *c = p->r->c;

	for (size_t i = 0; i < c->local_count && p->count != 0; i++) {
		const struct workload *w = c->locals[i];
		bool is_target = false;

		for (size_t j = 0; j < p->count && !is_target; j++)
			is_target = target_of(p->claims[j].rule, w) <
				    p->claims[j].rule->backend_count;
		if (is_target)
			emit_addresses(c, w, w->loc, SET_SELF4);
	}
}

void
publish_build(struct routes *r)
{
	struct publishing p = {.r = r, .arena = r->arena};
	size_t first = 0;

	collect(&p);
	for (size_t i = 1; i <= p.count; i++) {
		if (i < p.count && ip_eq(&p.claims[i].addr, &p.claims[first].addr) &&
		    p.claims[i].proto == p.claims[first].proto)
			continue;
		cut(&p, first, i);
		first = i;
	}
	emit_selves(&p);
	free(p.claims);
	free(p.restrictions);
	free(p.ends);
}

bool
publish_is_by(const struct route_policy *route)
{
	return routes_rule_count(route, ROUTE_INGRESS) != 0;
}

bool
publish_depends_on(const struct workload *w)
{
	for (const struct ns *ns = w->ns; ns != NULL; ns = ns->parent) {
		for (size_t i = 0; i < ns->route_count; i++) {
			if (publish_is_by(ns->routes[i]))
				return true;
		}
	}
	return false;
}
