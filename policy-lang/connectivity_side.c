/*
 * What one end's policies say, interval by interval. The evaluator alone judges; here is
 * only decided which questions are the same question.
 */
#include "policy-lang/connectivity_side.h"

#include <stdlib.h>
#include <string.h>

/* A protocol that no policy can name (RFC 3692 keeps it for experiments). */
#define OTHER_PROTO 253

static const uint8_t proto_numbers[CONN_PROTO_COUNT] = {
    [CONN_SCTP] = PROTO_SCTP,
    [CONN_TCP] = PROTO_TCP,
    [CONN_UDP] = PROTO_UDP,
};

static const struct {
	enum conn_rest bit;
	uint8_t proto;
} rest_protos[] = {
    {CONN_ICMP, PROTO_ICMP},
    {CONN_ICMPV6, PROTO_ICMPV6},
    {CONN_OTHER, OTHER_PROTO},
};

/* Which faces a rule's peers take in; shared by all sides. */
struct rule_faces {
	const struct rule *rule;
	uint8_t *bits;
	uint8_t *known;
};

/* First ports of intervals, unsorted until used. */
struct bounds {
	uint32_t *items;
	size_t count;
	size_t cap;
};

struct conn_sides {
	struct arena *arena;
	const struct model *model;
	struct judge *judge;
	struct conn_pool *pool;
	size_t face_count;
	struct map rules; /* rule pointer -> struct rule_faces */
	struct map sides; /* policies, direction, names -> struct conn_side */
};

struct conn_side {
	struct conn_sides *all;
	enum direction dir;
	struct rule_faces **rules; /* those with from/to */
	size_t rule_count;
	const struct port_match **names;
	size_t name_count;
	struct bounds bounds[CONN_PROTO_COUNT];
	struct map classes;            /* what peers are alike in -> conn_set */
	struct conn_spans *outside[2]; /* IPv4, IPv6; NULL: not asked yet */
};

unsigned
conn_possible(unsigned family)
{
	return (family != IP_V6 ? CONN_ICMP : 0u) |
	       (family != IP_V4 ? CONN_ICMPV6 : 0u) | CONN_OTHER;
}

/* ---- making sides ---- */

struct conn_sides *
conn_sides_new(struct arena *arena, const struct model *m, struct conn_pool *pool,
    size_t face_count)
{
	struct conn_sides *sides = ARENA_NEW(arena, struct conn_sides);

	sides->arena = arena;
	sides->model = m;
	sides->judge = judge_new(m);
	sides->pool = pool;
	sides->face_count = face_count;
	return sides;
}

void
conn_sides_free(struct conn_sides *sides)
{
	for (size_t i = 0; i < sides->sides.len; i++) {
		struct conn_side *side = sides->sides.entries[i].value;

		map_fini(&side->classes);
		for (size_t p = 0; p < CONN_PROTO_COUNT; p++)
			free(side->bounds[p].items);
	}
	map_fini(&sides->sides);
	map_fini(&sides->rules);
	judge_free(sides->judge);
}

static void
bounds_add(struct bounds *b, uint32_t port)
{
	if (port < 1 || port > UINT16_MAX)
		return;
	if (b->count == b->cap) {
		b->cap = b->cap == 0 ? 16 : 2 * b->cap;
		b->items = xreallocarray(b->items, b->cap, sizeof(*b->items));
	}
	b->items[b->count++] = port;
}

static int
bound_cmp(const void *a, const void *b)
{
	uint32_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return x < y ? -1 : x > y;
}

static void
bounds_sort(struct bounds *b)
{
	size_t kept = 0;

	if (b->count > 1)
		qsort(b->items, b->count, sizeof(*b->items), bound_cmp);
	for (size_t i = 0; i < b->count; i++) {
		if (kept == 0 || b->items[kept - 1] != b->items[i])
			b->items[kept++] = b->items[i];
	}
	b->count = kept;
}

static void
side_add_ports(struct conn_side *side, const struct rule *rule)
{
	for (size_t i = 0; i < rule->port_count; i++) {
		const struct port_match *match = &rule->ports[i];

		if (match->kind == PORT_NAMED) {
			side->names[side->name_count++] = match;
			continue;
		}
		for (size_t p = 0; p < CONN_PROTO_COUNT; p++) {
			if (match->proto != PROTO_ANY &&
			    match->proto != proto_numbers[p])
				continue;
			bounds_add(&side->bounds[p], match->lo);
			bounds_add(&side->bounds[p], (uint32_t)match->hi + 1);
		}
	}
}

static struct rule_faces *
faces_of_rule(struct conn_sides *sides, const struct rule *rule)
{
	struct str key = {(const char *)&rule, sizeof(struct rule *)};
	struct rule_faces *faces = map_get(&sides->rules, key);
	size_t bytes = sides->face_count / 8 + 1;

	if (faces != NULL)
		return faces;
	faces = ARENA_NEW(sides->arena, struct rule_faces);
	faces->rule = rule;
	faces->bits = ARENA_ARRAY(sides->arena, bytes, uint8_t);
	faces->known = ARENA_ARRAY(sides->arena, bytes, uint8_t);
	(void)map_set(&sides->rules, str_dup(sides->arena, key), faces); /* new */
	return faces;
}

static const struct rule_list *
list_of(const struct policy *policy, size_t i, enum direction dir)
{
	const struct rule_list *lists[] = {
	    &policy->mandatory[dir], &policy->allow[dir], &policy->defaults[dir]};

	return lists[i];
}

#define LIST_COUNT 3

static void
side_add_policy(struct conn_side *side, const struct policy *policy)
{
	for (size_t l = 0; l < LIST_COUNT; l++) {
		const struct rule_list *list = list_of(policy, l, side->dir);

		for (size_t i = 0; i < list->count; i++) {
			const struct rule *rule = &list->rules[i];

			side_add_ports(side, rule);
			if (!rule->any_peer)
				side->rules[side->rule_count++] =
				    faces_of_rule(side->all, rule);
		}
	}
}

static bool
policy_concerns(const struct policy *policy, enum direction dir)
{
	return policy->isolates[dir] || policy->mandatory[dir].count > 0 ||
	       policy->defaults[dir].count > 0;
}

/* The policies in walking order: the key of a side. */
static size_t
collect_policies(const struct workload *w, enum direction dir, struct buf *key)
{
	size_t count = 0;

	for (const struct ns *s = w->ns; s != NULL; s = s->parent) {
		for (size_t i = 0; i < s->policy_count; i++) {
			const struct policy *policy = s->policies[i];

			if (!policy_concerns(policy, dir) || !policy_applies(policy, w))
				continue;
			buf_add(key, &policy, sizeof(struct policy *));
			count++;
		}
	}
	return count;
}

static const struct policy *
policy_at(const struct buf *key, size_t i)
{
	const struct policy *policy;

	memcpy(
	    &policy, key->data + i * sizeof(struct policy *), sizeof(struct policy *));
	return policy;
}

/* Names of ports are the destination's: for ingress, the subject's own. */
static void
add_named_ports(struct buf *key, const struct workload *w)
{
	for (size_t i = 0; i < w->port_count; i++) {
		buf_add_char(key, ';');
		buf_add_str(key, w->ports[i].name);
		buf_printf(key, "=%u/%u", (unsigned)w->ports[i].proto,
		    (unsigned)w->ports[i].port);
	}
}

static void
count_rules(
    const struct policy *policy, enum direction dir, size_t *rules, size_t *ports)
{
	for (size_t l = 0; l < LIST_COUNT; l++) {
		const struct rule_list *list = list_of(policy, l, dir);

		*rules += list->count;
		for (size_t i = 0; i < list->count; i++)
			*ports += list->rules[i].port_count;
	}
}

static struct conn_side *
side_new(struct conn_sides *sides, enum direction dir, const struct buf *key,
    size_t policy_count)
{
	struct conn_side *side = ARENA_NEW(sides->arena, struct conn_side);
	size_t rules = 0, ports = 0;

	side->all = sides;
	side->dir = dir;
	for (size_t i = 0; i < policy_count; i++)
		count_rules(policy_at(key, i), dir, &rules, &ports);
	side->rules = ARENA_ARRAY(sides->arena, rules, struct rule_faces *);
	side->names = ARENA_ARRAY(sides->arena, ports, const struct port_match *);
	for (size_t i = 0; i < policy_count; i++)
		side_add_policy(side, policy_at(key, i));
	for (size_t p = 0; p < CONN_PROTO_COUNT; p++) {
		bounds_add(&side->bounds[p], 1);
		bounds_sort(&side->bounds[p]);
	}
	return side;
}

struct conn_side *
conn_side_of(struct conn_sides *sides, const struct workload *w, enum direction dir)
{
	struct buf key = {0};
	size_t count = collect_policies(w, dir, &key);
	struct conn_side *side;

	buf_add_cstr(&key, direction_name(dir));
	if (dir == DIR_INGRESS)
		add_named_ports(&key, w);
	side = map_get(&sides->sides, buf_str(&key));
	if (side == NULL) {
		side = side_new(sides, dir, &key, count);
		(void)map_set(
		    &sides->sides, str_dup(sides->arena, buf_str(&key)), side);
	}
	buf_free(&key);
	return side;
}

/* ---- asking ---- */

static bool
name_fits(const struct port_match *match, const struct named_port *port)
{
	return str_eq(match->name, port->name) &&
	       (match->proto == PROTO_ANY || match->proto == port->proto);
}

/* Where named ports of the side's rules lie at this destination. */
static void
resolve_names(const struct conn_side *side, const struct endpoint *dst, struct buf *key,
    struct bounds bounds[CONN_PROTO_COUNT])
{
	const struct workload *w = dst->workload;

	if (dst->kind != ENDPOINT_WORKLOAD)
		return;
	for (size_t i = 0; i < side->name_count; i++) {
		for (size_t j = 0; j < w->port_count; j++) {
			const struct named_port *port = &w->ports[j];

			if (!name_fits(side->names[i], port))
				continue;
			if (key != NULL)
				buf_printf(key, ";%zu=%u/%u", i, (unsigned)port->proto,
				    (unsigned)port->port);
			for (size_t p = 0; bounds != NULL && p < CONN_PROTO_COUNT;
			     p++) {
				if (port->proto != proto_numbers[p])
					continue;
				bounds_add(&bounds[p], port->port);
				bounds_add(&bounds[p], (uint32_t)port->port + 1);
			}
		}
	}
}

static bool
rule_takes_in(struct rule_faces *faces, const struct conn_face *peer, bool numbered)
{
	uint8_t bit = (uint8_t)(1u << (peer->index % 8));
	size_t byte = peer->index / 8;

	if (!numbered)
		return rule_matches_peer(faces->rule, &peer->end);
	if ((faces->known[byte] & bit) == 0) {
		faces->known[byte] |= bit;
		if (rule_matches_peer(faces->rule, &peer->end))
			faces->bits[byte] |= bit;
	}
	return (faces->bits[byte] & bit) != 0;
}

/* All in which peers can differ to this side: what its rules' from/to say of them,
 * the family, and where they have the ports that rules name. */
static void
class_key(struct conn_side *side, const struct conn_face *peer, unsigned family,
    bool numbered, struct buf *key)
{
	uint8_t byte = 0;

	buf_add_char(key, (char)family);
	for (size_t i = 0; i < side->rule_count; i++) {
		if (rule_takes_in(side->rules[i], peer, numbered))
			byte |= (uint8_t)(1u << (i % 8));
		if (i % 8 == 7 || i + 1 == side->rule_count) {
			buf_add_char(key, (char)byte);
			byte = 0;
		}
	}
	if (side->dir == DIR_EGRESS)
		resolve_names(side, &peer->end, key, NULL);
}

static bool
flow_allowed(struct conn_side *side, struct flow *flow, uint8_t proto, uint16_t port)
{
	flow->proto = proto;
	flow->port = port;
	return judge_direction(side->all->judge, flow, side->dir).allow;
}

static struct port_list
allowed_ports(struct conn_side *side, struct flow *flow, uint8_t proto,
    const struct bounds *bounds)
{
	struct port_range *out =
	    ARENA_ARRAY(side->all->arena, bounds->count, struct port_range);
	size_t count = 0;

	for (size_t i = 0; i < bounds->count; i++) {
		uint16_t lo = (uint16_t)bounds->items[i];
		uint16_t hi = i + 1 < bounds->count
				  ? (uint16_t)(bounds->items[i + 1] - 1)
				  : UINT16_MAX;

		if (!flow_allowed(side, flow, proto, lo))
			continue;
		if (count > 0 && out[count - 1].hi + 1 == lo)
			out[count - 1].hi = hi;
		else
			out[count++] = (struct port_range){lo, hi};
	}
	return (struct port_list){out, count};
}

static const struct conn_set *
judge_intervals(struct conn_side *side, struct flow *flow, unsigned family)
{
	struct conn_set set = {.possible = conn_possible(family)};
	struct bounds bounds[CONN_PROTO_COUNT] = {0};

	for (size_t p = 0; p < CONN_PROTO_COUNT; p++) {
		for (size_t i = 0; i < side->bounds[p].count; i++)
			bounds_add(&bounds[p], side->bounds[p].items[i]);
	}
	resolve_names(side, &flow->dst, NULL, bounds);
	for (size_t p = 0; p < CONN_PROTO_COUNT; p++) {
		bounds_sort(&bounds[p]);
		set.ports[p] = allowed_ports(side, flow, proto_numbers[p], &bounds[p]);
		free(bounds[p].items);
	}
	for (size_t i = 0; i < ARRAY_LEN(rest_protos); i++) {
		if ((set.possible & rest_protos[i].bit) != 0 &&
		    flow_allowed(side, flow, rest_protos[i].proto, 0))
			set.rest |= rest_protos[i].bit;
	}
	return conn_set_intern(side->all->pool, &set);
}

static const struct conn_set *
side_set(struct conn_side *side, const struct conn_face *self,
    const struct conn_face *peer, bool numbered)
{
	bool egress = side->dir == DIR_EGRESS;
	unsigned family = self->family != 0 ? self->family : peer->family;
	struct flow flow = {
	    .src = egress ? self->end : peer->end,
	    .dst = egress ? peer->end : self->end,
	    .proto = PROTO_TCP,
	};
	struct buf key = {0};
	const struct conn_set **kept;

	/* A workload's own node is nothing that a class of peers could share. */
	if (peer->end.kind == ENDPOINT_NODE &&
	    judge_direction(side->all->judge, &flow, side->dir).reason ==
		REASON_OWN_NODE)
		return conn_set_all(side->all->pool, conn_possible(family));
	class_key(side, peer, family, numbered, &key);
	kept = map_get(&side->classes, buf_str(&key));
	if (kept == NULL) {
		kept = ARENA_NEW(side->all->arena, const struct conn_set *);
		*kept = judge_intervals(side, &flow, family);
		(void)map_set(
		    &side->classes, str_dup(side->all->arena, buf_str(&key)), kept);
	}
	buf_free(&key);
	return *kept;
}

const struct conn_set *
conn_side_set(
    struct conn_side *side, const struct conn_face *self, const struct conn_face *peer)
{
	return side_set(side, self, peer, true);
}

/* ---- the outside ---- */

struct cuts {
	struct ip_addr *items; /* first addresses of ranges */
	size_t count;
	size_t cap;
};

static void
cuts_add(struct cuts *cuts, const struct ip_addr *addr)
{
	if (cuts->count == cuts->cap) {
		cuts->cap = cuts->cap == 0 ? 16 : 2 * cuts->cap;
		cuts->items =
		    xreallocarray(cuts->items, cuts->cap, sizeof(*cuts->items));
	}
	cuts->items[cuts->count++] = *addr;
}

static void
cuts_add_prefixes(struct cuts *cuts, const struct ip_prefix *prefixes, size_t count,
    enum ip_family family)
{
	for (size_t i = 0; i < count; i++) {
		struct ip_addr first, last, next;

		if (prefixes[i].addr.family != family)
			continue;
		ip_prefix_range(&prefixes[i], &first, &last);
		cuts_add(cuts, &first);
		if (ip_next(&last, &next))
			cuts_add(cuts, &next);
	}
}

static int
addr_cmp(const void *a, const void *b)
{
	return ip_cmp(a, b);
}

static struct cuts
side_cuts(const struct conn_side *side, enum ip_family family)
{
	struct ip_prefix everything = {.addr = {.family = family}};
	struct cuts cuts = {0};
	size_t kept = 0;

	cuts_add_prefixes(&cuts, &everything, 1, family);
	for (size_t i = 0; i < side->rule_count; i++) {
		const struct rule *rule = side->rules[i]->rule;

		for (size_t j = 0; j < rule->peer_count; j++) {
			const struct peer *peer = &rule->peers[j];

			if (peer->kind != PEER_NETWORK)
				continue;
			cuts_add_prefixes(
			    &cuts, peer->prefixes, peer->prefix_count, family);
			cuts_add_prefixes(
			    &cuts, peer->excepts, peer->except_count, family);
		}
	}
	qsort(cuts.items, cuts.count, sizeof(*cuts.items), addr_cmp);
	for (size_t i = 0; i < cuts.count; i++) {
		if (kept == 0 || !ip_eq(&cuts.items[kept - 1], &cuts.items[i]))
			cuts.items[kept++] = cuts.items[i];
	}
	cuts.count = kept;
	return cuts;
}

static struct ip_addr
last_of(const struct cuts *cuts, size_t i, enum ip_family family)
{
	struct ip_prefix everything = {.addr = {.family = family}};
	struct ip_addr first, last;

	ip_prefix_range(&everything, &first, &last);
	if (i + 1 < cuts->count && ip_prev(&cuts->items[i + 1], &first))
		return first;
	return last;
}

const struct conn_spans *
conn_side_outside(
    struct conn_side *side, const struct conn_face *self, enum ip_family family)
{
	struct conn_spans **slot = &side->outside[family == IP_V6];
	struct conn_spans *spans = *slot;
	struct cuts cuts;

	if (spans != NULL)
		return spans;
	cuts = side_cuts(side, family);
	spans = ARENA_NEW(side->all->arena, struct conn_spans);
	spans->items = ARENA_ARRAY(side->all->arena, cuts.count, struct conn_span);
	for (size_t i = 0; i < cuts.count; i++) {
		struct conn_face peer = {
		    .end = {.kind = ENDPOINT_ADDRESS,
			.has_addr = true,
			.addr = cuts.items[i]},
		    .family = family,
		};
		const struct conn_set *set = side_set(side, self, &peer, false);
		struct ip_addr last = last_of(&cuts, i, family);

		if (spans->count > 0 && spans->items[spans->count - 1].set == set)
			spans->items[spans->count - 1].last = last;
		else
			spans->items[spans->count++] =
			    (struct conn_span){cuts.items[i], last, set};
	}
	free(cuts.items);
	*slot = spans;
	return spans;
}
