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
/* The same kinds for routes, of egress only; the two families of each. */
#define ROUTE_SETS(id, text, what, ...)                                                \
	[SET_ROUTE_##id] = {.name = "route_" text, .comment = what, __VA_ARGS__}
#define ROUTE_FAMILY(f)                                                                \
	[SET_INSIDE##f] = {.name = "inside" #f,                                        \
	    .key = {FIELD_IPV##f},                                                     \
	    .comment = "workloads and nodes: no route leads there"},                   \
	ROUTE_SETS(LOCAL##f##_OUT, "local" #f, "addresses here that leave by a route", \
	    .key = {FIELD_IPV##f}),                                                    \
	ROUTE_SETS(PEER##f##_OUT, "peer" #f, "address known by name to class, routes", \
	    .key = {FIELD_IPV##f}, .value = FIELD_CLASSID),                            \
	ROUTE_SETS(PEER##f##_OUT_NET, "net" #f, "network to class, routes",            \
	    .key = {FIELD_IPV##f}, .value = FIELD_CLASSID, .interval = true),          \
	ROUTE_SETS(CELL##f##_OUT, "cell" #f, "class, address here, port to route",     \
	    .key = {FIELD_CLASSID, FIELD_IPV##f, FIELD_PROTO, FIELD_SERVICE},          \
	    .value = FIELD_CLASSID),                                                   \
	ROUTE_SETS(CELL##f##_OUT_RANGE, "cell" #f "_range",                            \
	    "class, address here, ports to route",                                     \
	    .key = {FIELD_CLASSID, FIELD_IPV##f, FIELD_PROTO, FIELD_SERVICE},          \
	    .value = FIELD_CLASSID, .interval = true),                                 \
	ROUTE_SETS(CELL##f##_OUT_ANY, "cell" #f "_any",                                \
	    "class, address here to route", .key = {FIELD_CLASSID, FIELD_IPV##f},      \
	    .value = FIELD_CLASSID),                                                   \
	ROUTE_SETS(CELL##f##_OUT_REST, "cell" #f "_rest", "address here to route",     \
	    .key = {FIELD_IPV##f}, .value = FIELD_CLASSID)
/* And for what goes through something. */
#define VIA_SETS(id, text, what, ...)                                                  \
	[SET_VIA_##id] = {.name = "via_" text, .comment = what, __VA_ARGS__}
#define VIA_FAMILY(f)                                                                  \
	VIA_SETS(LOCAL##f, "local" #f, "whose connections go through something",       \
	    .key = {FIELD_IPV##f}),                                                    \
	    VIA_SETS(PEER##f, "peer" #f, "workload to class, via",                     \
		.key = {FIELD_IPV##f}, .value = FIELD_CLASSID),                        \
	    VIA_SETS(CELL##f##_OUT, "cell" #f,                                         \
		"class, client, port to what it goes through",                         \
		.key = {FIELD_CLASSID, FIELD_IPV##f, FIELD_PROTO, FIELD_SERVICE},      \
		.value = FIELD_CLASSID),                                               \
	    VIA_SETS(CELL##f##_OUT_RANGE, "cell" #f "_range",                          \
		"class, client, ports to what they go through",                        \
		.key = {FIELD_CLASSID, FIELD_IPV##f, FIELD_PROTO, FIELD_SERVICE},      \
		.value = FIELD_CLASSID, .interval = true),                             \
	    VIA_SETS(CELL##f##_OUT_ANY, "cell" #f "_any",                              \
		"class, client to what it goes through",                               \
		.key = {FIELD_CLASSID, FIELD_IPV##f}, .value = FIELD_CLASSID),         \
	    VIA_SETS(CELL##f##_OUT_REST, "cell" #f "_rest",                            \
		"client to what it goes through", .key = {FIELD_IPV##f},               \
		.value = FIELD_CLASSID)
#define PUBLISH_FAMILY(f)                                                              \
	[SET_PUBLISH##f] = {.name = "publish" #f,                                      \
	    .key = {FIELD_IPV##f, FIELD_PROTO, FIELD_SERVICE},                         \
	    .value = FIELD_CLASSID,                                                    \
	    .comment = "published address, port to what it leads to"},                 \
	[SET_PUBLISH##f##_RANGE] = {.name = "publish" #f "_range",                     \
	    .key = {FIELD_IPV##f, FIELD_PROTO, FIELD_SERVICE},                         \
	    .value = FIELD_CLASSID,                                                    \
	    .interval = true,                                                          \
	    .comment = "published address, ports to what they lead to"},               \
	[SET_END##f] = {.name = "end" #f,                                              \
	    .key = {FIELD_CLASSID},                                                    \
	    .value = FIELD_IPV##f,                                                     \
	    .comment = "end of a route to its address"},                               \
	[SET_END##f##_PORT] = {.name = "end" #f "_port",                               \
	    .key = {FIELD_CLASSID},                                                    \
	    .value = FIELD_IPV##f##_PORT,                                              \
	    .comment = "end of a route to its address and port"},                      \
	[SET_SELF##f] = {.name = "self" #f,                                            \
	    .key = {FIELD_IPV##f, FIELD_IPV##f},                                       \
	    .comment = "workloads here that are published, twice"}
#define LIMIT_GUARD(text, what)                                                        \
	{                                                                              \
		.name = (text), .key = {FIELD_NFPROTO}, .comment = (what)              \
	}
/* Of buckets that were not used for a minute nothing is left to know. */
#define LIMIT_SETS(f, id, text, seconds)                                               \
	[SET_LIMIT##f##_##id] = {.name = "limit" #f "_" text,                          \
	    .key = {FIELD_IPV##f},                                                     \
	    .value = FIELD_VERDICT,                                                    \
	    .comment = "addresses here to what limits them"},                          \
	[SET_OWN##f##_##id] = {.name = "part" #f "_" text,                             \
	    .key = {FIELD_IPV##f},                                                     \
	    .room = TABLE_OWN_ROOM,                                                    \
	    .timeout_s = (seconds),                                                    \
	    .comment = "what addresses here have used of their own part"}
#define LIMIT_KIND(id, text, seconds)                                                  \
	LIMIT_SETS(4, id, text, seconds), LIMIT_SETS(6, id, text, seconds)
#define PICK_SET(text, count, what)                                                    \
	{                                                                              \
		.name = (text), .key = {FIELD_CLASSID, FIELD_SLOT},                    \
		.value = FIELD_CLASSID, .slots = (count),                              \
		.comment = "one of several ends of a route, " what                     \
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
    ROUTE_FAMILY(4),
    ROUTE_FAMILY(6),
    PUBLISH_FAMILY(4),
    PUBLISH_FAMILY(6),
    [SET_PICK_HASH] = PICK_SET("pick_hash", TABLE_SLOTS, "by the source"),
    [SET_PICK_HASH_FINE] =
	PICK_SET("pick_hash_fine", TABLE_SLOTS_FINE, "by the source"),
    [SET_PICK_RANDOM] = PICK_SET("pick_random", TABLE_SLOTS, "any"),
    [SET_PICK_RANDOM_FINE] = PICK_SET("pick_random_fine", TABLE_SLOTS_FINE, "any"),
    [SET_ASKER4] = {.name = "asker4",
	.key = {FIELD_IPV4},
	.comment = "workloads whose DNS answers are read"},
    [SET_ASKER6] = {.name = "asker6",
	.key = {FIELD_IPV6},
	.comment = "workloads whose DNS answers are read"},
    [SET_RESOLVER4] = {.name = "resolver4",
	.key = {FIELD_IPV4},
	.comment = "resolvers that are believed"},
    [SET_RESOLVER6] = {.name = "resolver6",
	.key = {FIELD_IPV6},
	.comment = "resolvers that are believed"},
    [SET_TAKEN4] = {.name = "taken4",
	.key = {FIELD_IPV4},
	.comment = "addresses here that are for Routes"},
    [SET_TAKEN6] = {.name = "taken6",
	.key = {FIELD_IPV6},
	.comment = "addresses here that are for Routes"},
    [SET_ROUTES] = {.name = "routes",
	.key = {FIELD_CLASSID},
	.value = FIELD_VERDICT,
	.comment = "what leads somewhere to its rule's chain"},
    [SET_LIMIT_NEW] = LIMIT_GUARD("limit_new", "families with limits of connections"),
    [SET_LIMIT_OUT] = LIMIT_GUARD("limit_out", "families with limits of egress bytes"),
    [SET_LIMIT_IN] = LIMIT_GUARD("limit_in", "families with limits of ingress bytes"),
    LIMIT_KIND(RATE, "rate", 60),
    LIMIT_KIND(COUNT, "count", 0),
    LIMIT_KIND(OUT, "out", 60),
    LIMIT_KIND(IN, "in", 60),
    [SET_STEER4] = {.name = "steer4",
	.key = {FIELD_IPV4},
	.comment = "addresses here that leave by a way"},
    [SET_STEER6] = {.name = "steer6",
	.key = {FIELD_IPV6},
	.comment = "addresses here that leave by a way"},
    [SET_WAYS] = {.name = "ways",
	.key = {FIELD_CLASSID},
	.value = FIELD_VERDICT,
	.comment = "what leaves by a way to the way's chain"},
    VIA_FAMILY(4),
    VIA_FAMILY(6),
    [SET_VIA_KEPT] = {.name = "via_kept",
	.key = {FIELD_MARK, FIELD_CLASSID},
	.value = FIELD_CLASSID,
	.comment = "what a connection has gone through so far"},
    [SET_VIA_HERE] = {.name = "via_here",
	.key = {FIELD_CLASSID},
	.comment = "what is gone through on this node"},
    [SET_VIA_REFUSED] = {.name = "via_refused",
	.key = {FIELD_CLASSID},
	.value = FIELD_VERDICT,
	.comment = "what cannot go as it must to its rule's chain"},
};

/* ---- ways ---- */

/* The lowest bit of the mask. */
static uint32_t
mask_unit(uint32_t mask)
{
	return mask & (~mask + 1);
}

/* Written with digits of either base. */
static bool
parse_u32(struct str text, uint32_t *out)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t value = 0;

	if (!str_starts(text, STR("0x"))) {
		if (!str_to_u64(text, UINT32_MAX, &value))
			return false;
		*out = (uint32_t)value;
		return true;
	}
	if (text.len < 3 || text.len > 10)
		return false;
	for (size_t i = 2; i < text.len; i++) {
		const char *at = memchr(digits, text.ptr[i] | 0x20, sizeof(digits) - 1);

		if (at == NULL)
			return false;
		value = value * 16 + (uint64_t)(at - digits);
	}
	*out = (uint32_t)value;
	return true;
}

bool
table_mask_parse(struct str text, uint32_t *out_mask)
{
	uint32_t mask, ones;

	if (!parse_u32(text, &mask) || mask == 0)
		return false;
	ones = mask / mask_unit(mask);
	if ((ones & (ones + 1)) != 0)
		return false;
	*out_mask = mask;
	return true;
}

uint32_t
table_way_mark(uint32_t mask, uint32_t number)
{
	return number * mask_unit(mask) & mask;
}

uint32_t
table_way_room(uint32_t mask)
{
	uint32_t room = mask == 0 ? 0 : mask / mask_unit(mask);

	return room < TABLE_WAYS_MAX ? room : TABLE_WAYS_MAX;
}

bool
table_chain_is_on(
    const struct table_chain *chain, const struct table_settings *settings)
{
	return (!chain->steers || settings->steer_mask != 0) &&
	       (!chain->nat || !settings->no_nat);
}

/* What only a kernel that translates has: of the regular chains that it goes through, too. */
static bool
is_of_nat(const struct table_stmt *s)
{
	bool picks = false;

	for (size_t i = 0; i < ARRAY_LEN(s->load); i++)
		picks =
		    picks || (s->load[i] >= LOAD_HASH4 && s->load[i] <= LOAD_RANDOM);
	return picks || s->kind == STMT_SNAT || s->kind == STMT_DNAT ||
	       s->kind == STMT_MASQUERADE;
}

bool
table_rule_is_on(const struct table_rule *rule, const struct table_settings *settings)
{
	const enum table_stmt_kind first = rule->stmts[0].kind;

	for (size_t i = 0; settings->no_nat && i < rule->count; i++) {
		if (is_of_nat(&rule->stmts[i]))
			return false;
	}
	return settings->steer_mask != 0 ||
	       (first != STMT_MARKED && first != STMT_CT_MARKED);
}

/* ---- rule chains ---- */

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
	if (chain->limit.form != LIMIT_NONE)
		return table_limit_rules(chain, out_rules);
	rule_add(&out_rules[0], STMT_COUNTER, 0);
	if (chain->quiet) {
		rule_add(&out_rules[1], STMT_LIMIT, 0);
		out_rules[1].stmts[0].bucket = (struct table_bucket){
		    .rate = TABLE_QUIET_LOGS, .unit_s = 1, .burst = TABLE_QUIET_LOGS};
		rule_add(&out_rules[1], STMT_LOG, chain->number);
		rule_add(&out_rules[2], STMT_DROP, 0);
		return 3;
	}
	if (chain->mark != 0) {
		rule_add(&out_rules[0], STMT_MARK, chain->mark);
		if (chain->keeps)
			rule_add(&out_rules[0], STMT_CT_MARK, chain->mark);
		rule_add(&out_rules[0], STMT_PRIORITY_CONST, 0);
	}
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

bool
table_rule_chain_equal(
    const struct table_rule_chain *a, const struct table_rule_chain *b)
{
	return a->action == b->action && a->log == b->log && a->reset == b->reset &&
	       a->quiet == b->quiet && a->mark == b->mark && a->keeps == b->keeps &&
	       table_limit_equal(&a->limit, &b->limit) &&
	       strcmp(a->comment, b->comment) == 0;
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

/* The kernel makes a third more buckets than there is room, and of those a power of two.
 * Maps of verdicts cannot be copied (nft_restore): what they refer to is not there yet. */
uint32_t
table_set_room(enum table_set_id set, size_t count)
{
	uint32_t room = 3 * 4096;

	if (table_sets[set].interval || table_sets[set].value == FIELD_VERDICT ||
	    count < TABLE_ROOM_FROM)
		return 0;
	while (room / 2 < count && room <= UINT32_MAX / 2)
		room *= 2;
	return room;
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
	case FIELD_MARK:
		memcpy(out, e->addr, sizeof(uint32_t));
		break;
	case FIELD_NFPROTO:
	case FIELD_PROTO:
		out[0] = e->proto;
		break;
	case FIELD_SERVICE:
		out[0] = (uint8_t)(port >> 8);
		out[1] = (uint8_t)port;
		break;
	case FIELD_SLOT: {
		const uint32_t slot = e->port_lo;

		memcpy(out, &slot, sizeof(slot));
		break;
	}
	case FIELD_NONE:
	case FIELD_VERDICT:
	case FIELD_IPV4_PORT:
	case FIELD_IPV6_PORT:
		break;
	}
}

void
table_element_key(enum table_set_id set, const struct table_element *e,
    uint8_t *out_key, uint8_t *out_key_end)
{
	const struct table_set *s = &table_sets[set];
	bool concatenated = table_set_swaps(set);
	const size_t fields = set_fields(s);
	struct table_element last;
	size_t offset = 0;

	memset(out_key, 0, table_key_bytes(set));
	for (size_t i = 0; i < fields; i++) {
		field_write(s->key[i], e, false, concatenated, out_key + offset);
		offset += field_bytes(s->key[i]);
	}
	if (out_key_end == NULL)
		return;
	last = *e;
	/* In a concatenated key only the port ranges. */
	if (concatenated)
		memcpy(last.addr_end, e->addr, sizeof(last.addr_end));
	memset(out_key_end, 0, offset);
	offset = 0;
	for (size_t i = 0; i < fields; i++) {
		field_write(s->key[i], &last, true, concatenated, out_key_end + offset);
		offset += field_bytes(s->key[i]);
	}
}

/* ---- values ---- */

bool
table_value_is_address(enum table_field value)
{
	return value == FIELD_IPV4 || value == FIELD_IPV6 || value == FIELD_IPV4_PORT ||
	       value == FIELD_IPV6_PORT;
}

static bool
has_port(enum table_field value)
{
	return value == FIELD_IPV4_PORT || value == FIELD_IPV6_PORT;
}

static size_t
address_bytes(enum table_field value)
{
	return value == FIELD_IPV4 || value == FIELD_IPV4_PORT ? 4 : 16;
}

size_t
table_value_bytes(enum table_set_id set)
{
	enum table_field value = table_sets[set].value;

	if (value == FIELD_NONE || value == FIELD_VERDICT)
		return 0;
	if (!table_value_is_address(value))
		return 4;
	return address_bytes(value) + (has_port(value) ? 4 : 0);
}

void
table_element_value(
    enum table_set_id set, const struct table_element *e, uint8_t *out_value)
{
	enum table_field value = table_sets[set].value;
	size_t len = address_bytes(value);

	memset(out_value, 0, table_value_bytes(set));
	if (!table_value_is_address(value)) {
		memcpy(out_value, &e->value, sizeof(e->value));
		return;
	}
	memcpy(out_value, e->addr_end, len);
	if (has_port(value)) {
		out_value[len] = (uint8_t)(e->port_hi >> 8);
		out_value[len + 1] = (uint8_t)e->port_hi;
	}
}

void
table_element_set_value(
    enum table_set_id set, const uint8_t *value, struct table_element *out)
{
	enum table_field field = table_sets[set].value;
	size_t len = address_bytes(field);

	if (!table_value_is_address(field)) {
		memcpy(&out->value, value, sizeof(out->value));
		return;
	}
	memcpy(out->addr_end, value, len);
	if (has_port(field))
		out->port_hi = (uint16_t)(value[len] << 8 | value[len + 1]);
}
