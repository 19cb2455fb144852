/*
 * The constant sets: what the constant chains (table_chains.c) look up.
 */
#include "policy-lang/table/table.h"

#define LOCAL_SET(f, D, d, what)                                                       \
	{                                                                              \
		.name = "local" #f "_" d, .key = {FIELD_IPV##f},                       \
		.use = USE_LOCAL##f##_##D,                                             \
		.comment = "addresses here that policy governs, " what                 \
	}
#define PEER_SET(f, D, d, what)                                                        \
	{                                                                              \
		.name = "peer" #f "_" d, .key = {FIELD_IPV##f},                        \
		.value = FIELD_CLASSID, .comment = "peer to class, " what              \
	}
#define PEER_NET_SET(f, D, d, what)                                                    \
	{                                                                              \
		.name = "peer" #f "_" d "_net", .key = {FIELD_IPV##f},                 \
		.value = FIELD_CLASSID, .interval = true, .use = USE_NET##f##_##D,     \
		.comment = "network to class, " what                                   \
	}
#define CELL_SET(f, D, d, what)                                                        \
	{                                                                              \
		.name = "cell" #f "_" d,                                               \
		.key = {FIELD_CLASSID, FIELD_IPV##f, FIELD_PROTO, FIELD_SERVICE},      \
		.value = FIELD_CLASSID,                                                \
		.comment = "class, local address, port to rule, " what                 \
	}
#define CELL_RANGE_SET(f, D, d, what)                                                  \
	{                                                                              \
		.name = "cell" #f "_" d "_range",                                      \
		.key = {FIELD_CLASSID, FIELD_IPV##f, FIELD_PROTO, FIELD_SERVICE},      \
		.value = FIELD_CLASSID, .interval = true, .use = USE_RANGE##f##_##D,   \
		.comment = "class, local address, ports to rule, " what                \
	}
#define CELL_ANY_SET(f, D, d, what)                                                    \
	{                                                                              \
		.name = "cell" #f "_" d "_any", .key = {FIELD_CLASSID, FIELD_IPV##f},  \
		.value = FIELD_CLASSID, .use = USE_ANY##f##_##D,                       \
		.comment = "class, local address to rule, " what                       \
	}
#define CELL_REST_SET(f, D, d, what)                                                   \
	{                                                                              \
		.name = "cell" #f "_" d "_rest", .key = {FIELD_IPV##f},                \
		.value = FIELD_CLASSID, .comment = "local address to rule, " what      \
	}
#define HOST_SET(f, D, d, what)                                                        \
	{                                                                              \
		.name = "host" #f "_" d,                                               \
		.key = {FIELD_CLASSID, FIELD_PROTO, FIELD_SERVICE},                    \
		.value = FIELD_CLASSID,                                                \
		.comment = "class, port to rule, the node's " what                     \
	}
#define HOST_RANGE_SET(f, D, d, what)                                                  \
	{                                                                              \
		.name = "host" #f "_" d "_range",                                      \
		.key = {FIELD_CLASSID, FIELD_PROTO, FIELD_SERVICE},                    \
		.value = FIELD_CLASSID, .interval = true,                              \
		.comment = "class, ports to rule, the node's " what                    \
	}
#define HOST_ANY_SET(f, D, d, what)                                                    \
	{                                                                              \
		.name = "host" #f "_" d "_any", .key = {FIELD_CLASSID},                \
		.value = FIELD_CLASSID, .comment = "class to rule, the node's " what   \
	}
#define SAFE_SET(d, what)                                                              \
	{                                                                              \
		.name = "safe_" d, .key = {FIELD_PROTO, FIELD_SERVICE},                \
		.interval = true, .use = USE_HOST, .comment = "fail-safe ports, " what \
	}
/* The same kinds for routes, of egress only; the two families of each. */
#define ROUTE_SETS(id, text, what, ...)                                                \
	[SET_ROUTE_##id] = {.name = "route_" text, .comment = what, __VA_ARGS__}
#define ROUTE_FAMILY(f)                                                                \
	[SET_INSIDE##f] = {.name = "inside" #f,                                        \
	    .key = {FIELD_IPV##f},                                                     \
	    .comment = "workloads and nodes: no route leads there"},                   \
	ROUTE_SETS(LOCAL##f##_OUT, "local" #f, "addresses here that leave by a route", \
	    .key = {FIELD_IPV##f}, .use = USE_LEAVE),                                  \
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
	    .key = {FIELD_IPV##f}, .use = USE_VIA),                                    \
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
	    .use = USE_PUBLISH,                                                        \
	    .comment = "published address, port to what it leads to"},                 \
	[SET_PUBLISH##f##_RANGE] = {.name = "publish" #f "_range",                     \
	    .key = {FIELD_IPV##f, FIELD_PROTO, FIELD_SERVICE},                         \
	    .value = FIELD_CLASSID,                                                    \
	    .interval = true,                                                          \
	    .use = USE_PUBLISH,                                                        \
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
	    .use = USE_PUBLISH,                                                        \
	    .comment = "workloads here that are published, twice"},                    \
	[SET_ITSELF##f] = {.name = "itself" #f,                                        \
	    .key = {FIELD_IPV##f, FIELD_IPV##f},                                       \
	    .comment = "workloads here that policy or Routes govern, twice"}
#define LIMIT_GUARD(id, text, what)                                                    \
	{                                                                              \
		.name = (text), .key = {FIELD_NFPROTO}, .use = USE_LIMIT_##id,         \
		.comment = (what)                                                      \
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
	macro(4, IN, "in", "ingress"), macro(6, IN, "in", "ingress"),                  \
	    macro(4, OUT, "out", "egress"), macro(6, OUT, "out", "egress")

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
	.use = USE_HOST,
	.comment = "families in which policy judges the node's ingress"},
    [SET_HOST_OUT] = {.name = "host_out",
	.key = {FIELD_NFPROTO},
	.use = USE_HOST,
	.comment = "families in which policy judges the node's egress"},
    [SET_SAFE_IN] = SAFE_SET("in", "of the node itself"),
    [SET_SAFE_OUT] = SAFE_SET("out", "that the node reaches"),
    [SET_OWN4] = {.name = "own4",
	.key = {FIELD_IPV4},
	.comment = "workloads of this node"},
    [SET_OWN6] = {.name = "own6",
	.key = {FIELD_IPV6},
	.comment = "workloads of this node"},
    [SET_GATE_IF] = {.name = "gate_if",
	.key = {FIELD_IFNAME},
	.interval = true,
	.use = USE_GATE_IF,
	.comment = "interfaces of workloads"},
    [SET_UPLINK_IF] = {.name = "uplink_if",
	.key = {FIELD_IFNAME},
	.interval = true,
	.comment = "interfaces by which others come"},
    [SET_GATE4] = {.name = "gate4",
	.key = {FIELD_IPV4},
	.interval = true,
	.use = USE_GATE,
	.comment = "networks of workloads"},
    [SET_GATE6] = {.name = "gate6",
	.key = {FIELD_IPV6},
	.interval = true,
	.use = USE_GATE,
	.comment = "networks of workloads"},
    [SET_KNOWN4] = {.name = "known4",
	.key = {FIELD_IPV4},
	.comment = "addresses in them that may pass"},
    [SET_KNOWN6] = {.name = "known6",
	.key = {FIELD_IPV6},
	.comment = "addresses in them that may pass"},
    [SET_NOBODY4] = {.name = "nobody4",
	.key = {FIELD_IPV4},
	.use = USE_NOBODY,
	.comment = "addresses in them that are known by name alone"},
    [SET_NOBODY6] = {.name = "nobody6",
	.key = {FIELD_IPV6},
	.use = USE_NOBODY,
	.comment = "addresses in them that are known by name alone"},
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
	.use = USE_NAMES,
	.comment = "workloads whose DNS answers are read"},
    [SET_ASKER6] = {.name = "asker6",
	.key = {FIELD_IPV6},
	.use = USE_NAMES,
	.comment = "workloads whose DNS answers are read"},
    [SET_RESOLVER4] = {.name = "resolver4",
	.key = {FIELD_IPV4},
	.comment = "resolvers that are believed"},
    [SET_RESOLVER6] = {.name = "resolver6",
	.key = {FIELD_IPV6},
	.comment = "resolvers that are believed"},
    [SET_TAKEN4] = {.name = "taken4",
	.key = {FIELD_IPV4},
	.use = USE_TAKEN,
	.comment = "addresses here that are for Routes"},
    [SET_TAKEN6] = {.name = "taken6",
	.key = {FIELD_IPV6},
	.use = USE_TAKEN,
	.comment = "addresses here that are for Routes"},
    [SET_ROUTES] = {.name = "routes",
	.key = {FIELD_CLASSID},
	.value = FIELD_VERDICT,
	.comment = "what leads somewhere to its rule's chain"},
    [SET_LIMIT_NEW] =
	LIMIT_GUARD(NEW, "limit_new", "families with limits of connections"),
    [SET_LIMIT_OUT] =
	LIMIT_GUARD(OUT, "limit_out", "families with limits of egress bytes"),
    [SET_LIMIT_IN] =
	LIMIT_GUARD(IN, "limit_in", "families with limits of ingress bytes"),
    LIMIT_KIND(RATE, "rate", 60),
    LIMIT_KIND(COUNT, "count", 0),
    LIMIT_KIND(OUT, "out", 60),
    LIMIT_KIND(IN, "in", 60),
    [SET_STEER4] = {.name = "steer4",
	.key = {FIELD_IPV4},
	.use = USE_STEER,
	.comment = "addresses here that leave by a way"},
    [SET_STEER6] = {.name = "steer6",
	.key = {FIELD_IPV6},
	.use = USE_STEER,
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
	.use = USE_VIA,
	.comment = "what is gone through on this node"},
    [SET_VIA_REFUSED] = {.name = "via_refused",
	.key = {FIELD_CLASSID},
	.value = FIELD_VERDICT,
	.comment = "what cannot go as it must to its rule's chain"},
};
