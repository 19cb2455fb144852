#include "policy-lang/table.h"

#include <stdio.h>
#include <string.h>

/* ---- sets ---- */

#define LOCAL_SET(f, d, what)                                                          \
	{                                                                              \
		.name = "local" #f "_" d, .key = {FIELD_IPV##f},                       \
		.comment = "addresses here that policy governs, " what                 \
	}
#define PEER_SET(f, d, what)                                                           \
	{                                                                              \
		.name = "peer" #f "_" d, .key = {FIELD_IPV##f},                        \
		.value = FIELD_CLASSID, .comment = "peer to class, " what              \
	}
#define PEER_NET_SET(f, d, what)                                                       \
	{                                                                              \
		.name = "peer" #f "_" d "_net", .key = {FIELD_IPV##f},                 \
		.value = FIELD_CLASSID, .interval = true,                              \
		.comment = "network to class, " what                                   \
	}
#define CELL_SET(f, d, what)                                                           \
	{                                                                              \
		.name = "cell" #f "_" d,                                               \
		.key = {FIELD_CLASSID, FIELD_IPV##f, FIELD_PROTO, FIELD_SERVICE},      \
		.value = FIELD_CLASSID,                                                \
		.comment = "class, local address, port to rule, " what                 \
	}
#define CELL_RANGE_SET(f, d, what)                                                     \
	{                                                                              \
		.name = "cell" #f "_" d "_range",                                      \
		.key = {FIELD_CLASSID, FIELD_IPV##f, FIELD_PROTO, FIELD_SERVICE},      \
		.value = FIELD_CLASSID, .interval = true,                              \
		.comment = "class, local address, ports to rule, " what                \
	}
#define CELL_ANY_SET(f, d, what)                                                       \
	{                                                                              \
		.name = "cell" #f "_" d "_any", .key = {FIELD_CLASSID, FIELD_IPV##f},  \
		.value = FIELD_CLASSID,                                                \
		.comment = "class, local address to rule, " what                       \
	}
#define CELL_REST_SET(f, d, what)                                                      \
	{                                                                              \
		.name = "cell" #f "_" d "_rest", .key = {FIELD_IPV##f},                \
		.value = FIELD_CLASSID, .comment = "local address to rule, " what      \
	}
#define HOST_SET(f, d, what)                                                           \
	{                                                                              \
		.name = "host" #f "_" d,                                               \
		.key = {FIELD_CLASSID, FIELD_PROTO, FIELD_SERVICE},                    \
		.value = FIELD_CLASSID,                                                \
		.comment = "class, port to rule, the node's " what                     \
	}
#define HOST_RANGE_SET(f, d, what)                                                     \
	{                                                                              \
		.name = "host" #f "_" d "_range",                                      \
		.key = {FIELD_CLASSID, FIELD_PROTO, FIELD_SERVICE},                    \
		.value = FIELD_CLASSID, .interval = true,                              \
		.comment = "class, ports to rule, the node's " what                    \
	}
#define HOST_ANY_SET(f, d, what)                                                       \
	{                                                                              \
		.name = "host" #f "_" d "_any", .key = {FIELD_CLASSID},                \
		.value = FIELD_CLASSID, .comment = "class to rule, the node's " what   \
	}
/* The four of one kind, in the order of enum table_set_id. */
#define FOUR(macro)                                                                    \
	macro(4, "in", "ingress"), macro(6, "in", "ingress"),                          \
	    macro(4, "out", "egress"), macro(6, "out", "egress")

const struct table_set table_sets[SET_COUNT] = {
    FOUR(LOCAL_SET),
    FOUR(PEER_SET),
    FOUR(PEER_NET_SET),
    FOUR(CELL_SET),
    FOUR(CELL_RANGE_SET),
    FOUR(CELL_ANY_SET),
    FOUR(CELL_REST_SET),
    FOUR(HOST_SET),
    FOUR(HOST_RANGE_SET),
    FOUR(HOST_ANY_SET),
    [SET_HOST_IN] = {.name = "host_in",
	.key = {FIELD_NFPROTO},
	.comment = "families in which policy judges the node's ingress"},
    [SET_HOST_OUT] = {.name = "host_out",
	.key = {FIELD_NFPROTO},
	.comment = "families in which policy judges the node's egress"},
    [SET_OWN4] = {.name = "own4",
	.key = {FIELD_IPV4},
	.comment = "workloads of this node"},
    [SET_OWN6] = {.name = "own6",
	.key = {FIELD_IPV6},
	.comment = "workloads of this node"},
    [SET_GATE_IF] = {.name = "gate_if",
	.key = {FIELD_IFNAME},
	.interval = true,
	.comment = "interfaces of workloads"},
    [SET_GATE4] = {.name = "gate4",
	.key = {FIELD_IPV4},
	.interval = true,
	.comment = "networks of workloads"},
    [SET_GATE6] = {.name = "gate6",
	.key = {FIELD_IPV6},
	.interval = true,
	.comment = "networks of workloads"},
    [SET_KNOWN4] = {.name = "known4",
	.key = {FIELD_IPV4},
	.comment = "addresses in them that may pass"},
    [SET_KNOWN6] = {.name = "known6",
	.key = {FIELD_IPV6},
	.comment = "addresses in them that may pass"},
    [SET_RULES] = {.name = "rules",
	.key = {FIELD_CLASSID},
	.value = FIELD_VERDICT,
	.comment = "rule number to its chain"},
};

/* ---- chains ---- */

/* A rule of the statements given. */
#define RULE(...)                                                                      \
	{                                                                              \
		.stmts = {__VA_ARGS__},                                                \
		.count = sizeof((struct table_stmt[]){__VA_ARGS__}) /                  \
			 sizeof(struct table_stmt)                                     \
	}
#define DO(what)                                                                       \
	{                                                                              \
		.kind = STMT_##what                                                    \
	}
#define FAMILY(f)                                                                      \
	{                                                                              \
		.kind = STMT_FAMILY, .value = (f)                                      \
	}
#define ICMP(from, to)                                                                 \
	{                                                                              \
		.kind = STMT_ICMP_TYPE, .value = (from) << 8 | (to)                    \
	}
#define ICMPV6(from, to)                                                               \
	{                                                                              \
		.kind = STMT_ICMPV6_TYPE, .value = (from) << 8 | (to)                  \
	}
/* Router and neighbour solicitations, advertisements, redirects. */
#define ND ICMPV6(133, 137)
#define SET_PRIORITY(n)                                                                \
	{                                                                              \
		.kind = STMT_PRIORITY_CONST, .value = (n)                              \
	}
#define JUMP(to)                                                                       \
	{                                                                              \
		.kind = STMT_JUMP, .chain = (to)                                       \
	}
#define GOTO(to)                                                                       \
	{                                                                              \
		.kind = STMT_GOTO, .chain = (to)                                       \
	}
#define IN_SET(id, from)                                                               \
	{                                                                              \
		.kind = STMT_LOOKUP, .set = (id), .load = { LOAD_##from }              \
	}
#define NOT_IN_SET(id, from)                                                           \
	{                                                                              \
		.kind = STMT_LOOKUP, .invert = true, .set = (id), .load = {            \
			LOAD_##from                                                    \
		}                                                                      \
	}
#define PRIORITY_MAP(id, ...)                                                          \
	{                                                                              \
		.kind = STMT_PRIORITY_MAP, .set = (id), .load = { __VA_ARGS__ }        \
	}
#define PORT_CELL(id, local)                                                           \
	PRIORITY_MAP(id, LOAD_PRIORITY, LOAD_##local, LOAD_L4PROTO, LOAD_DPORT)

/*
 * The chains of one direction and family. `local` and `peer` say which end is which; the
 * priority bears the peer's class on the way into _cells, 0 in _rest, the rule's number
 * into decide. Every governed address has a rest; if it had none, decide would drop.
 */
#define DIRECTION_RULES(stage, f, d, local, peer)                                      \
	static const struct table_rule stage##f##_rest_rules[] = {                     \
	    RULE(FAMILY(f), PORT_CELL(SET_CELL##f##_##d, local), GOTO("decide")),      \
	    RULE(FAMILY(f), PORT_CELL(SET_CELL##f##_##d##_RANGE, local),               \
		GOTO("decide")),                                                       \
	    RULE(FAMILY(f), PRIORITY_MAP(SET_CELL##f##_##d##_REST, LOAD_##local),      \
		GOTO("decide")),                                                       \
	    RULE(GOTO("decide")),                                                      \
	};                                                                             \
	static const struct table_rule stage##f##_cells_rules[] = {                    \
	    RULE(FAMILY(f), PORT_CELL(SET_CELL##f##_##d, local), GOTO("decide")),      \
	    RULE(FAMILY(f), PORT_CELL(SET_CELL##f##_##d##_RANGE, local),               \
		GOTO("decide")),                                                       \
	    RULE(FAMILY(f),                                                            \
		PRIORITY_MAP(SET_CELL##f##_##d##_ANY, LOAD_PRIORITY, LOAD_##local),    \
		GOTO("decide")),                                                       \
	    RULE(SET_PRIORITY(0), GOTO(#stage #f "_rest")),                            \
	};                                                                             \
	static const struct table_rule stage##f##_rules[] = {                          \
	    RULE(FAMILY(f), PRIORITY_MAP(SET_PEER##f##_##d, LOAD_##peer),              \
		GOTO(#stage #f "_cells")),                                             \
	    RULE(FAMILY(f), PRIORITY_MAP(SET_PEER##f##_##d##_NET, LOAD_##peer),        \
		GOTO(#stage #f "_cells")),                                             \
	    RULE(SET_PRIORITY(0), GOTO(#stage #f "_rest")),                            \
	}

DIRECTION_RULES(egress, 4, OUT, SADDR, DADDR);
DIRECTION_RULES(egress, 6, OUT, SADDR, DADDR);
DIRECTION_RULES(ingress, 4, IN, DADDR, SADDR);
DIRECTION_RULES(ingress, 6, IN, DADDR, SADDR);

/* The same for the node, whose address is no part of the key. Reached only where
 * host_in or host_out has the family. */
#define HOST_CELLS(f, d)                                                               \
	RULE(FAMILY(f),                                                                \
	    PRIORITY_MAP(SET_HOST##f##_##d, LOAD_PRIORITY, LOAD_L4PROTO, LOAD_DPORT),  \
	    GOTO("decide")),                                                           \
	    RULE(FAMILY(f),                                                            \
		PRIORITY_MAP(SET_HOST##f##_##d##_RANGE, LOAD_PRIORITY, LOAD_L4PROTO,   \
		    LOAD_DPORT),                                                       \
		GOTO("decide")),                                                       \
	    RULE(FAMILY(f), PRIORITY_MAP(SET_HOST##f##_##d##_ANY, LOAD_PRIORITY),      \
		GOTO("decide"))
#define HOST_RULES(stage, f, d, peer)                                                  \
	static const struct table_rule stage##f##_rest_rules[] = {                     \
	    HOST_CELLS(f, d),                                                          \
	    RULE(GOTO("decide")),                                                      \
	};                                                                             \
	static const struct table_rule stage##f##_cells_rules[] = {                    \
	    HOST_CELLS(f, d),                                                          \
	    RULE(SET_PRIORITY(0), GOTO(#stage #f "_rest")),                            \
	};                                                                             \
	static const struct table_rule stage##f##_rules[] = {                          \
	    RULE(FAMILY(f), PRIORITY_MAP(SET_PEER##f##_##d, LOAD_##peer),              \
		GOTO(#stage #f "_cells")),                                             \
	    RULE(FAMILY(f), PRIORITY_MAP(SET_PEER##f##_##d##_NET, LOAD_##peer),        \
		GOTO(#stage #f "_cells")),                                             \
	    RULE(SET_PRIORITY(0), GOTO(#stage #f "_rest")),                            \
	}

HOST_RULES(host_in, 4, IN, SADDR);
HOST_RULES(host_in, 6, IN, SADDR);
HOST_RULES(host_out, 4, OUT, DADDR);
HOST_RULES(host_out, 6, OUT, DADDR);

/* What tells of errors, of a path's MTU among them, and of multicast listeners goes to and
 * from the node whatever policy says: without it other traffic that is allowed breaks. */
#define HOST_ICMP                                                                      \
	RULE(FAMILY(4), ICMP(3, 3), DO(RETURN)),                                       \
	    RULE(FAMILY(4), ICMP(11, 12), DO(RETURN)), RULE(ICMPV6(1, 4), DO(RETURN)), \
	    RULE(ICMPV6(130, 132), DO(RETURN)), RULE(ICMPV6(143, 143), DO(RETURN))

static const struct table_rule host_in_rules[] = {
    HOST_ICMP,
    RULE(FAMILY(4), GOTO("host_in4")),
    RULE(FAMILY(6), GOTO("host_in6")),
};

static const struct table_rule host_out_rules[] = {
    HOST_ICMP,
    RULE(FAMILY(4), IN_SET(SET_OWN4, DADDR), DO(RETURN)),
    RULE(FAMILY(6), IN_SET(SET_OWN6, DADDR), DO(RETURN)),
    RULE(FAMILY(4), GOTO("host_out4")),
    RULE(FAMILY(6), GOTO("host_out6")),
};

/* A number that has no chain is a fault of ours: closed. */
static const struct table_rule decide_rules[] = {
    RULE({.kind = STMT_PRIORITY_VMAP, .set = SET_RULES, .load = {LOAD_PRIORITY}}),
    RULE(DO(COUNTER), DO(DROP)),
};

/* Which way the connection goes is not known: policy for either end, in either direction,
 * is reason enough. */
#define MIDSTREAM(f, id, from)                                                         \
	RULE(FAMILY(f), IN_SET(id, from), SET_PRIORITY(NUMBER_MIDSTREAM),              \
	    GOTO("decide"))

static const struct table_rule midstream_rules[] = {
    MIDSTREAM(4, SET_LOCAL4_OUT, SADDR),
    MIDSTREAM(4, SET_LOCAL4_IN, DADDR),
    MIDSTREAM(4, SET_LOCAL4_IN, SADDR),
    MIDSTREAM(4, SET_LOCAL4_OUT, DADDR),
    MIDSTREAM(6, SET_LOCAL6_OUT, SADDR),
    MIDSTREAM(6, SET_LOCAL6_IN, DADDR),
    MIDSTREAM(6, SET_LOCAL6_IN, SADDR),
    MIDSTREAM(6, SET_LOCAL6_OUT, DADDR),
};

/* Known first: for most traffic that is one look-up in a hash. */
#define GATE(f, from)                                                                  \
	RULE(FAMILY(f), NOT_IN_SET(SET_KNOWN##f, from), IN_SET(SET_GATE##f, from),     \
	    SET_PRIORITY(NUMBER_GATE), GOTO("decide"))
/* Behind such an interface there are this node's workloads and nobody else. */
#define GATE_IF(f, interface, from)                                                    \
	RULE(IN_SET(SET_GATE_IF, interface), FAMILY(f), NOT_IN_SET(SET_OWN##f, from),  \
	    SET_PRIORITY(NUMBER_GATE), GOTO("decide"))
#define STAGE(f, id, from, to) RULE(FAMILY(f), IN_SET(id, from), JUMP(to))

/* A workload to its own node is judged as to any destination; and who reaches the node by
 * the policy for the node, if there is any. */
static const struct table_rule input_rules[] = {
    RULE(DO(CT_ESTABLISHED), DO(ACCEPT)),
    RULE(DO(LOOPBACK), DO(ACCEPT)),
    RULE(ND, DO(ACCEPT)),
    GATE(4, SADDR),
    GATE(6, SADDR),
    GATE_IF(4, IIFNAME, SADDR),
    GATE_IF(6, IIFNAME, SADDR),
    RULE(DO(TCP_MIDSTREAM), JUMP("midstream")),
    STAGE(4, SET_LOCAL4_OUT, SADDR, "egress4"),
    STAGE(6, SET_LOCAL6_OUT, SADDR, "egress6"),
    RULE(IN_SET(SET_HOST_IN, NFPROTO), JUMP("host_in")),
    RULE(SET_PRIORITY(0)),
};

/* What the node sends by itself. Where no policy judges that, not even the priority that
 * the sender chose for the packet is touched. */
static const struct table_rule output_rules[] = {
    RULE(DO(CT_ESTABLISHED), DO(ACCEPT)),
    RULE(DO(LOOPBACK_OUT), DO(ACCEPT)),
    RULE(ND, DO(ACCEPT)),
    RULE(IN_SET(SET_HOST_OUT, NFPROTO), JUMP("host_out")),
    RULE(IN_SET(SET_HOST_OUT, NFPROTO), SET_PRIORITY(0)),
};

static const struct table_rule forward_rules[] = {
    RULE(DO(CT_ESTABLISHED), DO(ACCEPT)),
    RULE(ND, DO(ACCEPT)),
    GATE(4, SADDR),
    GATE(4, DADDR),
    GATE(6, SADDR),
    GATE(6, DADDR),
    GATE_IF(4, IIFNAME, SADDR),
    GATE_IF(4, OIFNAME, DADDR),
    GATE_IF(6, IIFNAME, SADDR),
    GATE_IF(6, OIFNAME, DADDR),
    RULE(DO(TCP_MIDSTREAM), JUMP("midstream")),
    STAGE(4, SET_LOCAL4_OUT, SADDR, "egress4"),
    STAGE(6, SET_LOCAL6_OUT, SADDR, "egress6"),
    STAGE(4, SET_LOCAL4_IN, DADDR, "ingress4"),
    STAGE(6, SET_LOCAL6_IN, DADDR, "ingress6"),
    RULE(SET_PRIORITY(0)),
};

#define CHAIN(text, list)                                                              \
	{                                                                              \
		.name = (text), .rules = (list), .rule_count = ARRAY_LEN(list)         \
	}
#define DIRECTION_CHAINS(stage)                                                        \
	CHAIN(#stage "_rest", stage##_rest_rules),                                     \
	    CHAIN(#stage "_cells", stage##_cells_rules), CHAIN(#stage, stage##_rules)
#define BASE_CHAIN(text, id, list)                                                     \
	{                                                                              \
		.name = (text), .hook = (id), .priority = TABLE_PRIORITY,              \
		.rules = (list), .rule_count = ARRAY_LEN(list)                         \
	}

const struct table_chain table_chains[] = {
    CHAIN("decide", decide_rules),
    CHAIN("midstream", midstream_rules),
    DIRECTION_CHAINS(egress4),
    DIRECTION_CHAINS(egress6),
    DIRECTION_CHAINS(ingress4),
    DIRECTION_CHAINS(ingress6),
    DIRECTION_CHAINS(host_in4),
    DIRECTION_CHAINS(host_in6),
    DIRECTION_CHAINS(host_out4),
    DIRECTION_CHAINS(host_out6),
    CHAIN("host_in", host_in_rules),
    CHAIN("host_out", host_out_rules),
    BASE_CHAIN("input", HOOK_INPUT, input_rules),
    BASE_CHAIN("output", HOOK_OUTPUT, output_rules),
    BASE_CHAIN("forward", HOOK_FORWARD, forward_rules),
};
const size_t table_chain_count = ARRAY_LEN(table_chains);

/* Appends a statement to a rule under construction. */
static void
rule_add(struct table_rule *rule, enum table_stmt_kind kind, uint32_t value)
{
	rule->stmts[rule->count++] = (struct table_stmt){.kind = kind, .value = value};
}

size_t
table_rule_chain_rules(const struct table_rule_chain *chain,
    const struct table_settings *settings, struct table_rule *out_rules)
{
	bool deny = chain->action != ACTION_ALLOW;

	memset(out_rules, 0, sizeof(*out_rules) * TABLE_RULE_CHAIN_RULES);
	out_rules[0].comment = chain->comment;
	rule_add(&out_rules[0], STMT_COUNTER, 0);
	if (deny || chain->log)
		rule_add(&out_rules[0], STMT_LOG, chain->number);
	if (!deny) {
		rule_add(&out_rules[0], STMT_RETURN, 0);
		return 1;
	}
	if (chain->reset) {
		rule_add(&out_rules[0], STMT_L4PROTO, PROTO_TCP);
		rule_add(&out_rules[0], STMT_REJECT_RESET, 0);
		return 1;
	}
	if (!settings->reject) {
		rule_add(&out_rules[0], STMT_DROP, 0);
		return 1;
	}
	rule_add(&out_rules[1], STMT_L4PROTO, PROTO_TCP);
	rule_add(&out_rules[1], STMT_REJECT_RESET, 0);
	rule_add(&out_rules[2], STMT_REJECT_ADMIN, 0);
	return 3;
}

void
table_set_midstream(
    struct table_rule_chain *chains, size_t count, enum table_midstream what)
{
	for (size_t i = 0; i < count; i++) {
		if (chains[i].number != NUMBER_MIDSTREAM)
			continue;
		chains[i].action = what == MIDSTREAM_JUDGE ? ACTION_ALLOW : ACTION_DENY;
		chains[i].reset = what == MIDSTREAM_RESET;
	}
}

/* ---- elements ---- */

#define COMPARE(a, b) (((a) > (b)) - ((a) < (b)))

int
table_element_cmp(const struct table_element *a, const struct table_element *b)
{
	int order = COMPARE(a->class_id, b->class_id);

	if (order == 0)
		order = memcmp(a->addr, b->addr, sizeof(a->addr));
	if (order == 0)
		order = COMPARE(a->proto, b->proto);
	if (order == 0)
		order = COMPARE(a->port_lo, b->port_lo);
	return order;
}

bool
table_element_equal(const struct table_element *a, const struct table_element *b)
{
	return table_element_cmp(a, b) == 0 && a->port_hi == b->port_hi &&
	       memcmp(a->addr_end, b->addr_end, sizeof(a->addr_end)) == 0 &&
	       a->value == b->value;
}

uint8_t
table_nfproto(enum ip_family family)
{
	return family == IP_V4 ? 2 : 10; /* AF_INET, AF_INET6 */
}

static size_t
field_bytes(enum table_field field)
{
	if (field == FIELD_NFPROTO)
		return 1; /* nothing is concatenated with it */
	return field == FIELD_IPV6 || field == FIELD_IFNAME ? 16 : 4;
}

static size_t
set_fields(const struct table_set *set)
{
	size_t count = 0;

	while (count < TABLE_KEY_FIELDS && set->key[count] != FIELD_NONE)
		count++;
	return count;
}

size_t
table_key_bytes(enum table_set_id set)
{
	const struct table_set *s = &table_sets[set];
	size_t bytes = 0;

	for (size_t i = 0; i < set_fields(s); i++)
		bytes += field_bytes(s->key[i]);
	return bytes;
}

bool
table_set_swaps(enum table_set_id set)
{
	return table_sets[set].interval && set_fields(&table_sets[set]) > 1;
}

/* Writes a field of the key (`end`: of its last value) into zeroed bytes. */
static void
field_write(enum table_field field, const struct table_element *e, bool end, bool swaps,
    uint8_t *out)
{
	const uint32_t id = e->class_id;
	uint16_t port = end ? e->port_hi : e->port_lo;

	switch (field) {
	case FIELD_CLASSID:
		if (swaps) {
			for (unsigned i = 0; i < 4; i++)
				out[i] = (uint8_t)(id >> (24 - 8 * i));
		} else {
			memcpy(out, &id, sizeof(id));
		}
		break;
	case FIELD_IPV4:
	case FIELD_IPV6:
	case FIELD_IFNAME:
		memcpy(out, end ? e->addr_end : e->addr, field_bytes(field));
		break;
	case FIELD_NFPROTO:
	case FIELD_PROTO:
		out[0] = e->proto;
		break;
	case FIELD_SERVICE:
		out[0] = (uint8_t)(port >> 8);
		out[1] = (uint8_t)port;
		break;
	case FIELD_NONE:
	case FIELD_VERDICT:
		break;
	}
}

void
table_element_key(enum table_set_id set, const struct table_element *e,
    uint8_t *out_key, uint8_t *out_key_end)
{
	const struct table_set *s = &table_sets[set];
	bool concatenated = table_set_swaps(set);
	struct table_element last = *e;
	size_t offset = 0;

	/* In a concatenated key only the port ranges. */
	if (concatenated)
		memcpy(last.addr_end, e->addr, sizeof(last.addr_end));
	memset(out_key, 0, table_key_bytes(set));
	if (out_key_end != NULL)
		memset(out_key_end, 0, table_key_bytes(set));
	for (size_t i = 0; i < set_fields(s); i++) {
		field_write(s->key[i], e, false, concatenated, out_key + offset);
		if (out_key_end != NULL)
			field_write(
			    s->key[i], &last, true, concatenated, out_key_end + offset);
		offset += field_bytes(s->key[i]);
	}
}
