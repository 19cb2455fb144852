/*
 * Both walks of a connection, level by level, and port space cut into the intervals that
 * the same rules decide. The evaluator alone judges; here is only decided which ports need
 * to be asked about.
 */
#include "policy-lang/explain_internal.h"

const enum direction explain_order[DIRECTION_COUNT] = {DIR_EGRESS, DIR_INGRESS};

const struct endpoint *
explain_self(const struct flow *flow, enum direction dir)
{
	return dir == DIR_EGRESS ? &flow->src : &flow->dst;
}

const struct endpoint *
explain_peer(const struct flow *flow, enum direction dir)
{
	return dir == DIR_EGRESS ? &flow->dst : &flow->src;
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

/* ---- where port space has to be cut ---- */

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

/* A bit for each port at which something may change. */
struct cuts {
	uint64_t words[(UINT16_MAX + 1) / 64];
};

static void
cut_at(struct cuts *cuts, uint32_t port)
{
	if (port >= 1 && port <= UINT16_MAX)
		cuts->words[port / 64] |= (uint64_t)1 << (port % 64);
}

/* The next cut after `port`; UINT16_MAX + 1 if there is none. */
static uint32_t
next_cut(const struct cuts *cuts, uint32_t port)
{
	uint32_t at = port + 1;

	while (at <= UINT16_MAX) {
		uint64_t word = cuts->words[at / 64] >> (at % 64);

		if (word != 0)
			return at + (uint32_t)__builtin_ctzll(word);
		at = (at / 64 + 1) * 64;
	}
	return UINT16_MAX + 1u;
}

static void
cut_for_name(
    struct cuts *cuts, const struct port_match *match, const struct workload *dst)
{
	for (size_t i = 0; dst != NULL && i < dst->port_count; i++) {
		if (!str_eq(dst->ports[i].name, match->name))
			continue;
		cut_at(cuts, dst->ports[i].port);
		cut_at(cuts, dst->ports[i].port + 1u);
	}
}

static void
cut_for_rules(struct cuts *cuts, const struct rule_list *list, uint8_t proto,
    const struct workload *dst)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct rule *rule = &list->rules[i];

		for (size_t j = 0; j < rule->port_count; j++) {
			const struct port_match *match = &rule->ports[j];

			if (match->proto != PROTO_ANY && match->proto != proto)
				continue;
			if (match->kind == PORT_NAMED) {
				cut_for_name(cuts, match, dst);
				continue;
			}
			cut_at(cuts, match->lo);
			cut_at(cuts, match->hi + 1u);
		}
	}
}

static void
cut_for_policy(struct cuts *cuts, const struct policy *p, enum direction dir,
    uint8_t proto, const struct workload *dst)
{
	cut_for_rules(cuts, &p->mandatory[dir], proto, dst);
	cut_for_rules(cuts, &p->allow[dir], proto, dst);
	cut_for_rules(cuts, &p->defaults[dir], proto, dst);
}

static void
cut_for_node(struct cuts *cuts, const struct model *m, const struct node *node,
    enum direction dir, uint8_t proto, const struct workload *dst)
{
	const struct fail_safe *safe = &m->options.fail_safe;

	for (size_t i = 0; i < safe->count[dir]; i++) {
		const struct fail_safe_port *p = &safe->ports[dir][i];

		if (p->proto == proto) {
			cut_at(cuts, p->lo);
			cut_at(cuts, p->hi + 1u);
		}
	}
	for (size_t i = 0; i < m->root->policy_count; i++) {
		if (policy_applies_to_node(m->root->policies[i], node))
			cut_for_policy(cuts, m->root->policies[i], dir, proto, dst);
	}
}

/* Only the policies of the end that is judged can tell ports apart. */
static void
cut_for_end(struct cuts *cuts, const struct model *m, const struct query *q,
    enum direction dir, uint8_t proto)
{
	const struct endpoint *self = dir == DIR_EGRESS ? &q->src : &q->dst;
	const struct workload *dst =
	    q->dst.kind == ENDPOINT_WORKLOAD ? q->dst.workload : NULL;

	if (self->kind == ENDPOINT_NODE && self->node != NULL)
		cut_for_node(cuts, m, self->node, dir, proto, dst);
	if (self->kind != ENDPOINT_WORKLOAD)
		return;
	for (const struct ns *s = self->workload->ns; s != NULL; s = s->parent) {
		for (size_t i = 0; i < s->policy_count; i++) {
			const struct policy *p = s->policies[i];

			if (policy_applies(p, self->workload))
				cut_for_policy(cuts, p, dir, proto, dst);
		}
	}
}

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

/* Judges one interval by its first port. False if the ends cannot be compared. */
static bool
judge_interval(struct cutting *c, uint8_t proto, struct explain_interval *interval)
{
	const struct query *q = &c->all->query;
	struct flow flow;
	bool comparable;

	interval->allow = evaluate_connection_flow(c->all->model, &q->src, &q->dst,
	    proto, interval->lo, c->one->family, &comparable, &flow);
	if (!comparable)
		return false;
	for (size_t d = 0; d < DIRECTION_COUNT; d++)
		explain_decide(
		    c->all->model, &flow, (enum direction)d, &interval->decisions[d]);
	if (c->one->interval_count == 0 || (interval->allow && !c->one->allow))
		c->one->flow = flow;
	c->one->allow |= interval->allow;
	return true;
}

static bool
continues(const struct explain_interval *last, const struct explain_interval *next)
{
	return last->proto == next->proto && last->hi + 1u == next->lo &&
	       last->allow == next->allow &&
	       explain_same_decision(&last->decisions[0], &next->decisions[0]) &&
	       explain_same_decision(&last->decisions[1], &next->decisions[1]);
}

static void
cut_ports(struct cutting *c, uint8_t proto)
{
	struct cuts *cuts = ARENA_NEW(c->arena, struct cuts);
	struct explain_interval interval = {.proto = proto};

	for (size_t d = 0; d < DIRECTION_COUNT; d++)
		cut_for_end(
		    cuts, c->all->model, &c->all->query, (enum direction)d, proto);
	for (uint32_t lo = 1; lo <= UINT16_MAX; lo = interval.hi + 1u) {
		size_t count = c->one->interval_count;

		interval.lo = (uint16_t)lo;
		interval.hi = (uint16_t)(next_cut(cuts, lo) - 1);
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
	struct flow flow;
	bool comparable;
	bool allow = evaluate_connection_flow(c->all->model, &q->src, &q->dst, q->proto,
	    q->port, one->family, &comparable, &flow);

	if (!comparable)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(spaces); i++) {
		if (spaces[i].proto == q->proto)
			cut_space(c, i);
	}
	keep_interval(one, q->port);
	one->allow = allow;
	one->flow = flow;
	for (size_t d = 0; d < DIRECTION_COUNT; d++)
		evaluate_trace(
		    c->arena, c->all->model, &flow, (enum direction)d, &one->walks[d]);
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
