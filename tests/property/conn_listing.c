/*
 * What is listed against the evaluator, pair by pair, port by port.
 */
#include "tests/property/conn_trial.h"

static uint32_t
party_of(const struct conn_relation *r, const struct conn_end *end)
{
	for (uint32_t i = 0; i < r->world->party_count; i++) {
		if (r->world->parties[i].end == end)
			return i;
	}
	return UINT32_MAX;
}

static void
keep_pair(void *ctx, const struct conn_end *src, const struct conn_end *dst,
    const struct conn_set *set)
{
	struct half *h = ctx;
	uint32_t count = h->relation->world->party_count;

	if (src->kind == CONN_END_EXTERNAL || dst->kind == CONN_END_EXTERNAL) {
		if (h->outside_count == h->outside_cap) {
			h->outside_cap = h->outside_cap == 0 ? 64 : 2 * h->outside_cap;
			h->outside = xreallocarray(
			    h->outside, h->outside_cap, sizeof(*h->outside));
		}
		h->outside[h->outside_count++] = (struct connection){src, dst, set};
		return;
	}
	h->pairs[party_of(h->relation, src) * count + party_of(h->relation, dst)] = set;
}

bool
set_has_probe(const struct conn_set *set, const struct probe *s)
{
	static const uint8_t protos[] = {
	    [CONN_SCTP] = PROTO_SCTP, [CONN_TCP] = PROTO_TCP, [CONN_UDP] = PROTO_UDP};

	if (set == NULL)
		return false;
	if (s->proto == PROTO_ICMP)
		return (set->rest & CONN_ICMP) != 0;
	if (s->proto == PROTO_ICMPV6)
		return (set->rest & CONN_ICMPV6) != 0;
	for (size_t p = 0; p < CONN_PROTO_COUNT; p++) {
		const struct conn_ports *ports = &set->ports[p];

		for (size_t i = 0; protos[p] == s->proto && i < ports->count; i++) {
			if (ports->items[i].lo <= s->port &&
			    s->port <= ports->items[i].hi)
				return true;
		}
	}
	return s->proto == 253 && (set->rest & CONN_OTHER) != 0;
}

struct probe
trial_roll_probe(struct dice *dice)
{
	static const uint8_t protos[] = {PROTO_TCP, PROTO_TCP, PROTO_TCP, PROTO_UDP,
	    PROTO_UDP, PROTO_SCTP, PROTO_ICMP, PROTO_ICMPV6, 253};
	static const uint16_t ports[] = {1, 52, 53, 54, 79, 80, 81, 90, 91, 442, 443,
	    444, 5000, 5432, 8000, 8080, 8081, 9000, 9090, 9100, 65535};
	struct probe s = {protos[dice_roll(dice, ARRAY_LEN(protos))], 0};

	if (s.proto == PROTO_TCP || s.proto == PROTO_UDP || s.proto == PROTO_SCTP)
		s.port = dice_roll(dice, 4) == 0
			     ? (uint16_t)(1 + dice_roll(dice, UINT16_MAX))
			     : ports[dice_roll(dice, ARRAY_LEN(ports))];
	return s;
}

static struct endpoint
endpoint_of(const struct half *h, uint32_t party)
{
	const struct conn_end *end = h->relation->world->parties[party].end;

	return end->kind == CONN_END_NODE
		   ? endpoint_of_node(end->node)
		   : endpoint_of_workload(h->model, end->workload);
}

/* Whether a pair is told at all: nodes among themselves are not. */
static bool
is_told(const struct endpoint *src, const struct endpoint *dst,
    const struct conn_end *src_end, const struct conn_end *dst_end)
{
	return src->kind == ENDPOINT_WORKLOAD || dst->kind == ENDPOINT_WORKLOAD ||
	       (src_end->kind != CONN_END_NODE && dst_end->kind != CONN_END_NODE);
}

static bool
check_pair(struct trial *t, const struct half *h, uint32_t src, uint32_t dst)
{
	const struct conn_world *world = h->relation->world;
	struct endpoint a = endpoint_of(h, src), b = endpoint_of(h, dst);
	const struct conn_set *set = h->pairs[src * world->party_count + dst];
	bool told = is_told(&a, &b, world->parties[src].end, world->parties[dst].end);

	for (unsigned i = 0; i < PROBES; i++) {
		struct probe s = trial_roll_probe(&t->dice);
		bool comparable;
		bool want = told && evaluate_connection(h->model, &a, &b, s.proto,
					s.port, 0, &comparable);

		t->asked++;
		t->allowed += want;
		if (set_has_probe(set, &s) != want)
			return trial_fail(t,
			    "%.*s => %.*s %u/%u: listed %s, the walk says %s",
			    STR_ARG(world->parties[src].end->display),
			    STR_ARG(world->parties[dst].end->display), s.port, s.proto,
			    set == NULL ? "nothing" : set->text,
			    want ? "allow" : "deny");
	}
	return true;
}

struct ip_addr
trial_roll_address(struct trial *t)
{
	static const char *const edges[] = {"10.1.0.0", "10.1.0.200", "10.1.1.0",
	    "10.2.0.1", "192.0.2.0", "192.0.2.127", "192.0.2.128", "192.0.3.0",
	    "198.51.100.7", "0.0.0.0", "255.255.255.255", "2001:db8::1", "fd00:1::99",
	    "fd00:2::1", "::1", "ffff::1", "10.9.0.77", "203.0.113.1"};
	struct ip_addr addr;

	if (!ip_parse(str_from(edges[dice_roll(&t->dice, ARRAY_LEN(edges))]), &addr))
		base_die("address");
	if (dice_roll(&t->dice, 3) == 0)
		addr.bytes[ip_bytes(addr.family) - 1] =
		    (uint8_t)dice_roll(&t->dice, 256);
	return addr;
}

const struct conn_set *
half_outside_set(const struct half *h, const struct conn_end *end,
    const struct ip_addr *addr, enum direction dir)
{
	for (size_t i = 0; i < h->outside_count; i++) {
		const struct connection *c = &h->outside[i];
		const struct conn_end *own = dir == DIR_INGRESS ? c->dst : c->src;
		const struct conn_end *range = dir == DIR_INGRESS ? c->src : c->dst;

		if (own == end && range->kind == CONN_END_EXTERNAL &&
		    ip_cmp(addr, &range->first) >= 0 && ip_cmp(addr, &range->last) <= 0)
			return c->set;
	}
	return NULL;
}

static bool
check_outside(struct trial *t, const struct half *h, const struct ip_addr *addr)
{
	const struct conn_world *world = h->relation->world;
	struct endpoint outside = endpoint_of_addr(h->model, *addr);

	if (outside.kind != ENDPOINT_ADDRESS ||
	    (addr->family == IP_V6 && !world->outside6))
		return true;
	for (uint32_t i = 0; i < world->party_count; i++) {
		struct endpoint self = endpoint_of(h, i);

		for (size_t d = 0; d < DIRECTION_COUNT; d++) {
			struct probe s = trial_roll_probe(&t->dice);
			bool in = d == DIR_INGRESS, comparable;
			const struct conn_set *set = half_outside_set(
			    h, world->parties[i].end, addr, (enum direction)d);
			bool want = evaluate_connection(h->model, in ? &outside : &self,
			    in ? &self : &outside, s.proto, s.port, 0, &comparable);

			if (world->parties[i].end->kind == CONN_END_NODE)
				want = false; /* not told */
			t->asked++;
			if (set_has_probe(set, &s) != want)
				return trial_fail(t, "outside %s %.*s %u/%u",
				    in ? "=>" : "<=",
				    STR_ARG(world->parties[i].end->display), s.port,
				    s.proto);
		}
	}
	return true;
}

bool
check_listing(struct trial *t, unsigned which)
{
	struct half *h = &t->halves[which];
	uint32_t count;

	h->outside_count = 0;
	count = h->relation->world->party_count;
	h->pairs =
	    ARENA_ARRAY(t->arena, (size_t)count * count, const struct conn_set *);
	conn_relation_pairs(h->relation, keep_pair, h);
	for (uint32_t i = 0; i < count; i++) {
		for (uint32_t j = 0; j < count; j++) {
			if (i != j && !check_pair(t, h, i, j))
				return false;
		}
	}
	for (unsigned i = 0; i < ADDRESSES; i++) {
		struct ip_addr addr = trial_roll_address(t);

		if (!check_outside(t, h, &addr))
			return false;
	}
	return true;
}
