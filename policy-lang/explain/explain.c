/*
 * Both walks of a connection, level by level, and port space cut into the intervals that
 * the same rules decide. The evaluator alone judges; here is only decided which ports need
 * to be asked about.
 */
#include "policy-lang/explain/explain_cuts.h"
#include "policy-lang/explain/explain_internal.h"
#include "policy-lang/explain/explain_route.h"

const enum direction explain_order[DIRECTION_COUNT] = {DIR_EGRESS, DIR_INGRESS};

const struct endpoint *
explain_self(const struct flow *flow, enum direction dir)
{
	return dir == DIR_EGRESS ? &flow->src : &flow->dst;
}

struct loc
explain_verdict_loc(const struct verdict *verdict, enum direction dir)
{
	if (verdict->rule != NULL)
		return verdict->rule->loc;
	if (verdict->policy == NULL)
		return (struct loc){0};
	return verdict->policy->isolate_loc[dir].source != NULL
		   ? verdict->policy->isolate_loc[dir]
		   : verdict->policy->loc;
}

bool
explain_same_verdict(const struct verdict *a, const struct verdict *b)
{
	return a->allow == b->allow && a->reason == b->reason && a->rule == b->rule &&
	       a->policy == b->policy && a->level == b->level;
}

bool
explain_same_decision(
    const struct explain_decision *a, const struct explain_decision *b)
{
	return explain_same_verdict(&a->verdict, &b->verdict) &&
	       a->has_otherwise == b->has_otherwise &&
	       (!a->has_otherwise ||
		   explain_same_verdict(&a->otherwise, &b->otherwise));
}

void
explain_decide(const struct model *m, const struct flow *flow, enum direction dir,
    struct explain_decision *out_decision)
{
	struct explain_decision *d = out_decision;

	*d = (struct explain_decision){.verdict = evaluate_direction(m, flow, dir)};
	d->has_otherwise =
	    d->verdict.reason == REASON_RULE || d->verdict.reason == REASON_ISOLATION;
	if (d->has_otherwise)
		d->otherwise = evaluate_without(m, flow, dir, &d->verdict);
}

/* ---- port space ---- */

/* A protocol that no policy can name (RFC 3692 keeps it for experiments). */
#define OTHER_PROTO 253

static const struct {
	uint8_t proto; /* as asked */
	uint8_t name;  /* as told */
	bool ports;
} spaces[] = {
    {PROTO_TCP, PROTO_TCP, true},
    {PROTO_UDP, PROTO_UDP, true},
    {PROTO_SCTP, PROTO_SCTP, true},
    {PROTO_ICMP, PROTO_ICMP, false},
    {PROTO_ICMPV6, PROTO_ICMPV6, false},
    {OTHER_PROTO, PROTO_ANY, false},
};

/* ---- intervals ---- */

struct cutting {
	struct arena *arena;
	struct explanations *all;
	struct explanation *one;
	size_t cap;
};

static void
add_interval(struct cutting *c, const struct explain_interval *interval)
{
	struct explanation *one = c->one;

	if (one->interval_count == c->cap) {
		size_t cap = c->cap == 0 ? 8 : 2 * c->cap;
		struct explain_interval *items =
		    ARENA_ARRAY(c->arena, cap, struct explain_interval);

		for (size_t i = 0; i < one->interval_count; i++)
			items[i] = one->intervals[i];
		one->intervals = items;
		c->cap = cap;
	}
	one->intervals[one->interval_count++] = *interval;
}

/* Judges one port; NULL if the ends cannot be compared. */
static struct route_story *
tell(struct cutting *c, uint8_t proto, uint16_t port)
{
	struct route_story *story = ARENA_NEW(c->arena, struct route_story);
	const struct query *q = &c->all->query;

	return route_connection(c->arena, c->all->model, NULL, &q->src, &q->dst, proto,
		   port, c->one->family, story)
		   ? story
		   : NULL;
}

/* Judges one interval by its first port. False if the ends cannot be compared. */
static bool
judge_interval(struct cutting *c, uint8_t proto, struct explain_interval *interval)
{
	struct route_story *story = tell(c, proto, interval->lo);

	if (story == NULL)
		return false;
	interval->allow = story->allow;
	interval->story = story;
	for (size_t d = 0; d < DIRECTION_COUNT; d++)
		explain_decide(c->all->model, &story->flow, (enum direction)d,
		    &interval->decisions[d]);
	if (c->one->interval_count == 0 || (interval->allow && !c->one->allow)) {
		c->one->flow = story->flow;
		/* Ports of one address may lead to several workloads. */
		if (story->has[ROUTE_INGRESS])
			c->one->flow.dst = c->all->query.dst;
	}
	c->one->allow |= interval->allow;
	return true;
}

static bool
continues(const struct explain_interval *last, const struct explain_interval *next)
{
	return last->proto == next->proto && last->hi + 1u == next->lo &&
	       last->allow == next->allow &&
	       explain_route_same(last->story, next->story) &&
	       explain_same_decision(&last->decisions[0], &next->decisions[0]) &&
	       explain_same_decision(&last->decisions[1], &next->decisions[1]);
}

static void
cut_ports(struct cutting *c, uint8_t proto)
{
	struct explain_cuts *cuts = ARENA_NEW(c->arena, struct explain_cuts);
	struct explain_interval interval = {.proto = proto};

	explain_cuts_find(cuts, c->all->model, &c->all->query, proto);
	for (uint32_t lo = 1; lo <= UINT16_MAX; lo = interval.hi + 1u) {
		size_t count = c->one->interval_count;

		interval.lo = (uint16_t)lo;
		interval.hi = (uint16_t)(explain_cuts_next(cuts, lo) - 1);
		if (!judge_interval(c, proto, &interval))
			return;
		if (count > 0 && continues(&c->one->intervals[count - 1], &interval))
			c->one->intervals[count - 1].hi = interval.hi;
		else
			add_interval(c, &interval);
	}
}

static void
cut_space(struct cutting *c, size_t space)
{
	struct explain_interval interval = {.proto = spaces[space].name};

	if (spaces[space].ports)
		cut_ports(c, spaces[space].proto);
	else if (judge_interval(c, spaces[space].proto, &interval))
		add_interval(c, &interval);
}

/* ---- one family ---- */

/* What has no space of its own is of the last. */
static size_t
space_of(uint8_t proto)
{
	size_t i = 0;

	while (i + 1 < ARRAY_LEN(spaces) && spaces[i].proto != proto)
		i++;
	return i;
}

/* Of all intervals, the one that the port asked about is in. */
static void
keep_interval(struct explanation *one, uint16_t port)
{
	for (size_t i = 0; i < one->interval_count; i++) {
		const struct explain_interval *interval = &one->intervals[i];

		if (interval->lo > port || port > interval->hi)
			continue;
		one->intervals[0] = *interval;
		one->interval_count = 1;
		return;
	}
}

/* The walks of the port itself, which is what was asked about. */
static bool
explain_service(struct cutting *c)
{
	const struct query *q = &c->all->query;
	struct explanation *one = c->one;
	struct route_story *story = tell(c, q->proto, q->port);

	if (story == NULL)
		return false;
	cut_space(c, space_of(q->proto));
	keep_interval(one, q->port);
	one->allow = story->allow;
	one->flow = story->flow;
	one->story = story;
	for (size_t d = 0; d < DIRECTION_COUNT; d++)
		evaluate_trace(c->arena, c->all->model, &story->flow, (enum direction)d,
		    &one->walks[d]);
	return true;
}

static void
add_family(struct arena *a, struct explanations *all, unsigned family)
{
	struct explanation *one = &all->items[all->count];
	struct cutting c = {.arena = a, .all = all, .one = one};

	*one = (struct explanation){.family = family};
	if (all->query.span == QUERY_SERVICE) {
		if (!explain_service(&c))
			return;
	} else {
		for (size_t i = 0; i < ARRAY_LEN(spaces); i++) {
			if (all->query.span == QUERY_EVERYTHING ||
			    spaces[i].proto == all->query.proto)
				cut_space(&c, i);
		}
		if (one->interval_count == 0)
			return;
	}
	all->allow = all->allow || one->allow;
	all->count++;
}

static bool
is_unknown(const struct explain_gate *gate, const struct endpoint *end)
{
	if (end->kind != ENDPOINT_ADDRESS || !end->has_addr || end->stand_in)
		return false;
	for (size_t i = 0; i < gate->network_count; i++) {
		if (ip_in_prefix(&end->addr, &gate->networks[i]))
			return true;
	}
	return false;
}

static const struct endpoint *
closed_end(const struct explain_gate *gate, const struct flow *flow)
{
	if (is_unknown(gate, &flow->src))
		return &flow->src;
	if (!is_unknown(gate, &flow->dst) ||
	    (flow->src.kind == ENDPOINT_NODE && flow->src.node != NULL &&
		str_eq(flow->src.node->name, gate->node)))
		return NULL;
	return &flow->dst;
}

static void
deny_here(struct explanations *all, struct explanation *one)
{
	one->allow = false;
	for (size_t k = 0; k < one->interval_count; k++)
		one->intervals[k].allow = false;
	all->allow = false;
	for (size_t i = 0; i < all->count; i++)
		all->allow = all->allow || all->items[i].allow;
}

void
explain_refuse(
    struct explanations *all, struct explanation *one, uint32_t number, const char *by)
{
	one->refused_by = by;
	one->refused_number = number;
	deny_here(all, one);
}

void
explain_close(struct explanations *all, const struct explain_gate *gate)
{
	for (size_t i = 0; i < all->count; i++) {
		struct explanation *one = &all->items[i];

		one->closed = closed_end(gate, &one->flow);
		if (one->closed != NULL)
			deny_here(all, one);
	}
}

static bool
has_some_addr(const struct endpoint *end)
{
	size_t count;

	return endpoint_addrs(end, &count) != NULL && count > 0;
}

bool
explain_query(struct arena *a, const struct model *m, const struct query *query,
    unsigned family, struct explanations *out_all)
{
	*out_all = (struct explanations){.model = m, .query = *query};
	if (family != 0) {
		add_family(a, out_all, family);
	} else if (!has_some_addr(&query->src) && !has_some_addr(&query->dst)) {
		add_family(a, out_all, 0);
	} else {
		add_family(a, out_all, IP_V4);
		add_family(a, out_all, IP_V6);
	}
	return out_all->count > 0;
}
