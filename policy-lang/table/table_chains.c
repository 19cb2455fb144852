/*
 * The constant chains: how a packet is judged. What they look up is in table_sets.c.
 */
#include "policy-lang/table/table_words.h"

/* The `limits` of a family are gone to, and return: see forward. */
#define LIMITED(f, id, from)                                                           \
	RULE(FAMILY(f), {.kind = STMT_VMAP, .set = (id), .load = {LOAD_##from}})
#define LIMIT_RULES(text, id, from)                                                    \
	static const struct table_rule text##_rules[] = {                              \
	    LIMITED(4, SET_LIMIT4_##id, from),                                         \
	    LIMITED(6, SET_LIMIT6_##id, from),                                         \
	}
/* Only the packet that makes a connection: one that waits for an answer is new for long. */
#define LIMIT_NEW(to) RULE(IN_SET(SET_LIMIT_NEW, NFPROTO), DO(CT_UNCONFIRMED), JUMP(to))
#define PORT_CELL(id, local, port)                                                     \
	PRIORITY_MAP(id, LOAD_PRIORITY, LOAD_##local, LOAD_L4PROTO, LOAD_##port)

/*
 * The chains of one direction and family. `local` and `peer` say which end is which; the
 * priority bears the peer's class on the way into _cells, 0 in _rest, the rule's number
 * at the end. Every governed address has a rest; if it had none, decide would drop.
 */
#define CELL_RULES(kind, stage, f, d, local, port, ...)                                \
	static const struct table_rule stage##f##_rest_rules[] = {                     \
	    RULE(FAMILY(f), PORT_CELL(SET_##kind##CELL##f##_##d, local, port),         \
		__VA_ARGS__),                                                          \
	    RULE(FAMILY(f), PORT_CELL(SET_##kind##CELL##f##_##d##_RANGE, local, port), \
		__VA_ARGS__),                                                          \
	    RULE(FAMILY(f),                                                            \
		PRIORITY_MAP(SET_##kind##CELL##f##_##d##_REST, LOAD_##local),          \
		__VA_ARGS__),                                                          \
	    RULE(__VA_ARGS__),                                                         \
	};                                                                             \
	static const struct table_rule stage##f##_cells_rules[] = {                    \
	    RULE(FAMILY(f), PORT_CELL(SET_##kind##CELL##f##_##d, local, port),         \
		__VA_ARGS__),                                                          \
	    RULE(FAMILY(f), PORT_CELL(SET_##kind##CELL##f##_##d##_RANGE, local, port), \
		__VA_ARGS__),                                                          \
	    RULE(FAMILY(f),                                                            \
		PRIORITY_MAP(                                                          \
		    SET_##kind##CELL##f##_##d##_ANY, LOAD_PRIORITY, LOAD_##local),     \
		__VA_ARGS__),                                                          \
	    RULE(SET_PRIORITY(0), GOTO(#stage #f "_rest")),                            \
	}
/* The class of a peer that has one, to its cells. */
#define CLASSED(stage, f, id, peer)                                                    \
	RULE(FAMILY(f), PRIORITY_MAP(id, LOAD_##peer), GOTO(#stage #f "_cells"))
/* Known first: for most traffic that is one look-up in a hash. */
#define GATE(f, from)                                                                  \
	RULE(FAMILY(f), NOT_IN_SET(SET_KNOWN##f, from), IN_SET(SET_GATE##f, from),     \
	    SET_PRIORITY(NUMBER_GATE), GOTO("decide"))
/*
 * The gate asks of an end only what nothing else has told. An address that policy governs
 * here is known; so is one that has a class to itself, but for those of SET_NOBODY, which
 * have been refused before. To the node itself there is no gate: it has addresses among
 * its workloads' that nobody knows of.
 */
#define GATED_RULES(stage, text, f, d, peer)                                           \
	static const struct table_rule text##f##_rules[] = {                           \
	    CLASSED(stage, f, SET_PEER##f##_##d, peer),                                \
	    GATE(f, peer),                                                             \
	    CLASSED(stage, f, SET_PEER##f##_##d##_NET, peer),                          \
	    RULE(SET_PRIORITY(0), GOTO(#stage #f "_rest")),                            \
	}
#define EGRESS_RULES(f)                                                                \
	CELL_RULES(, egress, f, OUT, SADDR, DPORT, GOTO("decide"));                    \
	static const struct table_rule egress##f##_rules[] = {                         \
	    CLASSED(egress, f, SET_PEER##f##_OUT, DADDR),                              \
	    CLASSED(egress, f, SET_PEER##f##_OUT_NET, DADDR),                          \
	    RULE(SET_PRIORITY(0), GOTO("egress" #f "_rest")),                          \
	};                                                                             \
	GATED_RULES(egress, egress_on, f, OUT, DADDR)
#define INGRESS_RULES(f)                                                               \
	CELL_RULES(, ingress, f, IN, DADDR, DPORT, GOTO("decide"));                    \
	GATED_RULES(ingress, ingress, f, IN, SADDR)

EGRESS_RULES(4);
EGRESS_RULES(6);
INGRESS_RULES(4);
INGRESS_RULES(6);

/* By which route something leaves: what is found comes back in the priority. */
#define LEAVE_RULES(f)                                                                 \
	CELL_RULES(ROUTE_, route, f, OUT, SADDR, DPORT, DO(RETURN));                   \
	static const struct table_rule route##f##_rules[] = {                          \
	    RULE(FAMILY(f), IN_SET(SET_INSIDE##f, DADDR),                              \
		SET_PRIORITY(TABLE_ROUTE_DIRECT), DO(RETURN)),                         \
	    CLASSED(route, f, SET_ROUTE_PEER##f##_OUT, DADDR),                         \
	    CLASSED(route, f, SET_ROUTE_PEER##f##_OUT_NET, DADDR),                     \
	    RULE(SET_PRIORITY(0), GOTO("route" #f "_rest")),                           \
	}

LEAVE_RULES(4);
LEAVE_RULES(6);

/*
 * Through what a connection goes; the same of what comes back on it, whose ends are the other
 * way round. Both find the same, on every node.
 */
#define VIA_WALK(stage, f, client, server, port)                                       \
	CELL_RULES(VIA_, stage, f, OUT, client, port, DO(RETURN));                     \
	static const struct table_rule stage##f##_rules[] = {                          \
	    CLASSED(stage, f, SET_VIA_PEER##f, server),                                \
	    RULE(SET_PRIORITY(0), GOTO(#stage #f "_rest")),                            \
	}

VIA_WALK(via_out, 4, SADDR, DADDR, DPORT);
VIA_WALK(via_out, 6, SADDR, DADDR, DPORT);
VIA_WALK(via_back, 4, DADDR, SADDR, SPORT);
VIA_WALK(via_back, 6, DADDR, SADDR, SPORT);

/* What tells of errors, of a path's MTU among them, and of multicast listeners goes to and
 * from the node whatever policy says: without it other traffic that is allowed breaks. */
#define HOST_ICMP4                                                                     \
	RULE(FAMILY(4), ICMP(3, 3), DO(RETURN)),                                       \
	    RULE(FAMILY(4), ICMP(11, 12), DO(RETURN))
#define HOST_ICMP6                                                                     \
	RULE(ICMPV6(1, 4), DO(RETURN)), RULE(ICMPV6(130, 132), DO(RETURN)),            \
	    RULE(ICMPV6(143, 143), DO(RETURN))
/* The same for the node, whose address is no part of the key. Reached only where host_in or
 * host_out has the family; `...`: what passes before anything is looked up. */
#define HOST_CELLS(f, d)                                                               \
	RULE(PRIORITY_MAP(SET_HOST##f##_##d, LOAD_PRIORITY, LOAD_L4PROTO, LOAD_DPORT), \
	    GOTO("decide")),                                                           \
	    RULE(PRIORITY_MAP(SET_HOST##f##_##d##_RANGE, LOAD_PRIORITY, LOAD_L4PROTO,  \
		     LOAD_DPORT),                                                      \
		GOTO("decide")),                                                       \
	    RULE(PRIORITY_MAP(SET_HOST##f##_##d##_ANY, LOAD_PRIORITY), GOTO("decide"))
#define HOST_RULES(stage, f, d, peer, ...)                                             \
	static const struct table_rule stage##f##_rest_rules[] = {                     \
	    HOST_CELLS(f, d),                                                          \
	    RULE(GOTO("decide")),                                                      \
	};                                                                             \
	static const struct table_rule stage##f##_cells_rules[] = {                    \
	    HOST_CELLS(f, d),                                                          \
	    RULE(SET_PRIORITY(0), GOTO(#stage #f "_rest")),                            \
	};                                                                             \
	static const struct table_rule stage##f##_rules[] = {                          \
	    __VA_ARGS__,                                                               \
	    CLASSED(stage, f, SET_PEER##f##_##d, peer),                                \
	    CLASSED(stage, f, SET_PEER##f##_##d##_NET, peer),                          \
	    RULE(SET_PRIORITY(0), GOTO(#stage #f "_rest")),                            \
	}
#define TO_OWN(f) RULE(FAMILY(f), IN_SET(SET_OWN##f, DADDR), DO(RETURN))

HOST_RULES(host_in, 4, IN, SADDR, HOST_ICMP4);
HOST_RULES(host_in, 6, IN, SADDR, HOST_ICMP6);
HOST_RULES(host_out, 4, OUT, DADDR, HOST_ICMP4, TO_OWN(4));
HOST_RULES(host_out, 6, OUT, DADDR, HOST_ICMP6, TO_OWN(6));

static const struct table_rule host_in_rules[] = {
    RULE(FAMILY(4), GOTO("host_in4")),
    RULE(FAMILY(6), GOTO("host_in6")),
};

static const struct table_rule host_out_rules[] = {
    RULE(FAMILY(4), GOTO("host_out4")),
    RULE(FAMILY(6), GOTO("host_out6")),
};

/* A number that has no chain is a fault of ours: closed. */
static const struct table_rule decide_rules[] = {
    RULE(PRIORITY_VMAP(SET_RULES)),
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

/*
 * The same of the node's own, if policy judges it: who began, the node or the other end, is
 * not known, either. What is begun to or from a fail-safe port is no one's to end; and to
 * its own workloads the node may begin anything.
 */
#define SAFE(id, port)                                                                 \
	RULE({.kind = STMT_LOOKUP, .set = (id), .load = {LOAD_L4PROTO, LOAD_##port}},  \
	    DO(RETURN))
#define HOST_MIDSTREAM(text, here, there, peer)                                        \
	static const struct table_rule text##_rules[] = {                              \
	    SAFE(SET_SAFE_IN, here),                                                   \
	    SAFE(SET_SAFE_OUT, there),                                                 \
	    RULE(IN_SET(SET_HOST_IN, NFPROTO), SET_PRIORITY(NUMBER_MIDSTREAM),         \
		GOTO("decide")),                                                       \
	    RULE(FAMILY(4), IN_SET(SET_HOST_OUT, NFPROTO), NOT_IN_SET(SET_OWN4, peer), \
		SET_PRIORITY(NUMBER_MIDSTREAM), GOTO("decide")),                       \
	    RULE(FAMILY(6), IN_SET(SET_HOST_OUT, NFPROTO), NOT_IN_SET(SET_OWN6, peer), \
		SET_PRIORITY(NUMBER_MIDSTREAM), GOTO("decide")),                       \
	}

HOST_MIDSTREAM(host_midstream_in, DPORT, SPORT, SADDR);
HOST_MIDSTREAM(host_midstream_out, SPORT, DPORT, DADDR);

/*
 * Limits. Those of connections come last, so that what policy denies is charged to nobody;
 * open ones before new ones, so that what is denied for those costs no token. Those of bytes
 * come first, because they are of every packet; traffic of a workload with its own node is
 * not forwarded, and not charged.
 */
LIMIT_RULES(limit_count, COUNT, SADDR);
LIMIT_RULES(limit_rate, RATE, SADDR);
LIMIT_RULES(limit_out, OUT, SADDR);
LIMIT_RULES(limit_in, IN, DADDR);

/* Behind such an interface there are this node's workloads and nobody else. */
#define NOT_OWN(f, from)                                                               \
	RULE(FAMILY(f), NOT_IN_SET(SET_OWN##f, from), SET_PRIORITY(NUMBER_GATE),       \
	    GOTO("decide"))
#define GATE_IF(f, interface, from)                                                    \
	RULE(IN_SET(SET_GATE_IF, interface), FAMILY(f), NOT_IN_SET(SET_OWN##f, from),  \
	    SET_PRIORITY(NUMBER_GATE), GOTO("decide"))
/* What the node begins is free, to its workloads and through the gate; but its mid-stream may be of
 * what was begun to it, and has been ended: by the gate, or by policy for a workload's egress. */
static const struct table_rule midstream_out_rules[] = {
    GATE(4, DADDR),
    GATE(6, DADDR),
    GATE_IF(4, OIFNAME, DADDR),
    GATE_IF(6, OIFNAME, DADDR),
    MIDSTREAM(4, SET_LOCAL4_OUT, DADDR),
    MIDSTREAM(6, SET_LOCAL6_OUT, DADDR),
};

/* What is published has another destination by now, and what comes back of what left, too.
 * Else an address that is taken leads to the services of the node itself; and the midst of
 * what another gateway had is answered by the node before this one knows of it. */
#define TAKEN(f)                                                                       \
	RULE(FAMILY(f), IN_SET(SET_TAKEN##f, DADDR), SET_PRIORITY(NUMBER_UNPUBLISHED), \
	    GOTO("decide"))
#define STAGE(f, id, from, to) RULE(FAMILY(f), IN_SET(id, from), JUMP(to))

/* The number of a way has been used (STEER_RULES). */
#define UNSTEER RULE(DO(MARKED), DO(MARK))
/* DNS of workloads whom it teaches: their questions to resolvers that are believed, and what
 * comes back on the same connections. Known by whom was asked, whatever that is translated
 * to; a copy of it is read, and it goes its way. */
#define LOOKUP_CT(id, end)                                                             \
	{                                                                              \
		.kind = STMT_LOOKUP, .set = (id), .load = { LOAD_CT_##end }            \
	}
#define ASKED(f)                                                                       \
	RULE(FAMILY(f), LOOKUP_CT(SET_ASKER##f, SADDR),                                \
	    LOOKUP_CT(SET_RESOLVER##f, DADDR), DO(LOG_NAMES))
static const struct table_rule asked_rules[] = {
    ASKED(4),
    ASKED(6),
};
#define WATCH_NAMES                                                                    \
	RULE({.kind = STMT_L4PROTO, .value = PROTO_UDP},                               \
	    {.kind = STMT_CT_ASKED, .value = 53}, JUMP("asked"))

/* Between a workload and its node only what the workload began can have been ended, by policy
 * for its egress: the node reaches it always. */
static const struct table_rule midstream_in_rules[] = {
    MIDSTREAM(4, SET_LOCAL4_OUT, SADDR),
    MIDSTREAM(6, SET_LOCAL6_OUT, SADDR),
};

static const struct table_rule input_midstream_rules[] = {
    RULE(JUMP("midstream_in")),
    RULE(JUMP("host_midstream_in")),
};

static const struct table_rule output_midstream_rules[] = {
    RULE(JUMP("midstream_out")),
    RULE(JUMP("host_midstream_out")),
    RULE(SET_PRIORITY(0)),
};

/*
 * Source addresses (RFC 2827, RFC 3704): of what came by an interface that does not lead to
 * where it says that it is from. No workload of this node begins anything there; what it has begun
 * may come back by an uplink, from a firewall that sends it on as it was. What came from
 * outside may have taken another way than the one back; so all others that are known are asked
 * for only behind interfaces of a kind that workloads have, and that are no uplinks. (In IPv6
 * the kernel takes one of several ways back for the only one.)
 */
#define SPOOFED          SET_PRIORITY(NUMBER_SPOOFED), GOTO("decide")
#define BEHIND(text, to) RULE({.kind = STMT_IIF_KIND, .iif_kind = (text)}, GOTO(to))
#define SOURCE_RULES(f)                                                                \
	static const struct table_rule spoof_edge##f##_rules[] = {                     \
	    RULE(FAMILY(f), IN_SET(SET_KNOWN##f, SADDR), SPOOFED),                     \
	};                                                                             \
	static const struct table_rule spoof##f##_rules[] = {                          \
	    RULE(IN_SET(SET_UPLINK_IF, IIFNAME), DO(CT_CONFIRMED), DO(RETURN)),        \
	    RULE(FAMILY(f), IN_SET(SET_OWN##f, SADDR), SPOOFED),                       \
	    RULE(IN_SET(SET_UPLINK_IF, IIFNAME), DO(RETURN)),                          \
	    BEHIND("veth", "spoof_edge" #f),                                           \
	    BEHIND("bridge", "spoof_edge" #f),                                         \
	    BEHIND("tun", "spoof_edge" #f),                                            \
	}
#define FROM_ELSEWHERE(f) DO(CAME_ELSEWHERE), JUMP("spoof" #f)

SOURCE_RULES(4);
SOURCE_RULES(6);

/* A workload to its own node is judged as to any destination; and who reaches the node by
 * the policy for the node, if there is any. */
static const struct table_rule input_rules[] = {
    UNSTEER,
    WATCH_NAMES,
    RULE(DO(CT_ESTABLISHED), DO(ACCEPT)),
    RULE(DO(LOOPBACK), DO(ACCEPT)),
    RULE(ND, DO(ACCEPT)),
    RULE(FAMILY(4), FROM_ELSEWHERE(4)),
    RULE(FAMILY(6), FROM_ELSEWHERE(6)),
    TAKEN(4),
    TAKEN(6),
    GATE(4, SADDR),
    GATE(6, SADDR),
    GATE_IF(4, IIFNAME, SADDR),
    GATE_IF(6, IIFNAME, SADDR),
    RULE(DO(TCP_MIDSTREAM), JUMP("input_midstream")),
    STAGE(4, SET_LOCAL4_OUT, SADDR, "egress4"),
    STAGE(6, SET_LOCAL6_OUT, SADDR, "egress6"),
    RULE(IN_SET(SET_HOST_IN, NFPROTO), JUMP("host_in")),
    RULE(SET_PRIORITY(0)),
    LIMIT_NEW("limit_count"),
    LIMIT_NEW("limit_rate"),
};

/* What the node sends by itself. Where no policy judges that, not even the priority that
 * the sender chose for the packet is touched. The middle of a connection that was cut would
 * bring it back from this side, too. */
static const struct table_rule output_rules[] = {
    WATCH_NAMES,
    RULE(DO(CT_ESTABLISHED), DO(ACCEPT)),
    RULE(DO(LOOPBACK_OUT), DO(ACCEPT)),
    RULE(ND, DO(ACCEPT)),
    RULE(DO(TCP_MIDSTREAM), JUMP("output_midstream")),
    RULE(IN_SET(SET_HOST_OUT, NFPROTO), JUMP("host_out")),
    RULE(IN_SET(SET_HOST_OUT, NFPROTO), SET_PRIORITY(0)),
};

/*
 * Routes. What is published is translated before anything is judged, so that policy sees
 * the client and the workload; what leaves is judged before its source is translated.
 *
 *     client --> route_in: publish -> published -> ends: dnat
 *                  |
 *                forward: policy of both ends, route_judge (denied routes, counters)
 *                  |
 *     outside <-- route_out: source: route -> snat
 */
#define PUBLISH(f, id, dport)                                                          \
	RULE(FAMILY(f), PRIORITY_MAP(id, LOAD_DADDR, LOAD_L4PROTO, dport),             \
	    GOTO("published" #f))
#define PICK(f, id, slot)                                                              \
	RULE(FAMILY(f), PRIORITY_MAP(id, LOAD_PRIORITY, slot), GOTO("ends" #f))
#define TRANSLATE(what, id)                                                            \
	{                                                                              \
		.kind = STMT_##what, .set = (id), .load = { LOAD_PRIORITY }            \
	}
#define PORT_END(f, protocol)                                                          \
	RULE(FAMILY(f), {.kind = STMT_L4PROTO, .value = (protocol)},                   \
	    TRANSLATE(DNAT, SET_END##f##_PORT))
/* What is translated leads a workload of a set, which holds each twice, to itself. Most is
 * not translated, and is asked nothing more. */
#define BACK_TO(id, f)                                                                 \
	DO(CT_DNAT), FAMILY(f),                                                        \
	{                                                                              \
		.kind = STMT_LOOKUP, .set = SET_##id##f, .load = {                     \
			LOAD_SADDR,                                                    \
			LOAD_DADDR                                                     \
		}                                                                      \
	}
/* A workload that reaches itself by what others or Routes translate; and by what is
 * published, of which it is one. */
#define ITSELF(f) BACK_TO(ITSELF, f)
#define SELF(f)   BACK_TO(SELF, f)
#define ROUTE_RULES(f)                                                                 \
	static const struct table_rule route_judge##f##_rules[] = {                    \
	    RULE(JUMP("route" #f)),                                                    \
	    RULE(GOTO("route_count")),                                                 \
	};                                                                             \
	static const struct table_rule source##f##_rules[] = {                         \
	    RULE(JUMP("route" #f)),                                                    \
	    RULE(FAMILY(f), PRIORITY_MAP(SET_PICK_HASH, LOAD_PRIORITY, LOAD_HASH##f)), \
	    RULE(FAMILY(f),                                                            \
		PRIORITY_MAP(SET_PICK_HASH_FINE, LOAD_PRIORITY, LOAD_HASH##f)),        \
	    RULE(FAMILY(f), TRANSLATE(SNAT, SET_END##f)),                              \
	    RULE(SET_PRIORITY(0)),                                                     \
	};                                                                             \
	static const struct table_rule ends##f##_rules[] = {                           \
	    PORT_END(f, PROTO_TCP),                                                    \
	    PORT_END(f, PROTO_UDP),                                                    \
	    PORT_END(f, PROTO_SCTP),                                                   \
	    RULE(FAMILY(f), TRANSLATE(DNAT, SET_END##f)),                              \
	    RULE(SET_PRIORITY(NUMBER_UNREADY), GOTO("decide")),                        \
	};                                                                             \
	static const struct table_rule published##f##_rules[] = {                      \
	    RULE(JUMP("route_count")),                                                 \
	    PICK(f, SET_PICK_RANDOM, LOAD_RANDOM),                                     \
	    PICK(f, SET_PICK_HASH, LOAD_HASH##f),                                      \
	    PICK(f, SET_PICK_RANDOM_FINE, LOAD_RANDOM),                                \
	    PICK(f, SET_PICK_HASH_FINE, LOAD_HASH##f),                                 \
	    RULE(GOTO("ends" #f)),                                                     \
	};                                                                             \
	static const struct table_rule publish##f##_rules[] = {                        \
	    PUBLISH(f, SET_PUBLISH##f, LOAD_DPORT),                                    \
	    PUBLISH(f, SET_PUBLISH##f##_RANGE, LOAD_DPORT),                            \
	}

ROUTE_RULES(4);
ROUTE_RULES(6);

/*
 * Steering. What leaves by a way gets the way's number in its mark, before the kernel asks
 * its rules where to (policy routing), packet by packet: nothing of it is kept with the
 * connection. Replies go as the kernel has it. Once the way is chosen the number is no
 * longer needed, and a tunnel that the packet goes into would be steered by it again.
 */
#define STEER_RULES(f)                                                                 \
	static const struct table_rule steer##f##_rules[] = {                          \
	    RULE(JUMP("route" #f)),                                                    \
	    RULE(GOTO("steer_way")),                                                   \
	}

STEER_RULES(4);
STEER_RULES(6);

static const struct table_rule steer_way_rules[] = {
    RULE(PRIORITY_VMAP(SET_WAYS)),
    RULE(SET_PRIORITY(0)),
};

/*
 * Via. Both directions of a connection go to the same workload: the one that it has gone
 * through so far, or one by the hash of both ends, which is the same on every node. Who has
 * an end of the connection sends its packets there, and the node of what is gone through
 * whatever comes for it; a packet that is past it comes to other nodes like any other.
 *
 *     client --> steer: via_out -> via_send: the mark of a way
 *                  |
 *                forward: policy of both ends, via_judge    --> what it goes through
 *                                                                  |
 *     server <-- forward: came back: as it was judged       <------+
 *
 * What is translated and comes by this node again, as it is then, would be another
 * connection: that is refused, be what it goes through here or both of its ends.
 *
 * A workload that reaches itself goes through nothing.
 *
 * What comes back has the mark again, and came by the interface that the mark leads to: a
 * rule of policy routing sends that where it would go without us (enforcer/steer/steer.h).
 */
#define VIA_ENDS(f, ends)                                                              \
	RULE(PRIORITY_MAP(SET_VIA_KEPT, LOAD_CT_MARK, LOAD_PRIORITY),                  \
	    GOTO("via_send" #f)),                                                      \
	    RULE(FAMILY(f), PRIORITY_MAP(SET_PICK_HASH, LOAD_PRIORITY, LOAD_##ends),   \
		GOTO("via_send" #f)),                                                  \
	    RULE(FAMILY(f),                                                            \
		PRIORITY_MAP(SET_PICK_HASH_FINE, LOAD_PRIORITY, LOAD_##ends),          \
		GOTO("via_send" #f)),                                                  \
	    RULE(SET_PRIORITY(0))
#define VIA_RULES(f)                                                                   \
	static const struct table_rule via_send##f##_rules[] = {                       \
	    RULE(FAMILY(f), NOT_IN_SET(SET_OWN##f, SADDR),                             \
		NOT_IN_SET(SET_VIA_HERE, PRIORITY), SET_PRIORITY(0), DO(RETURN)),      \
	    RULE(IN_SET(SET_VIA_HERE, PRIORITY), DO(CT_DNAT),                          \
		SET_PRIORITY(NUMBER_VIA_TRANSLATED), GOTO("decide")),                  \
	    RULE(FAMILY(f), IN_SET(SET_OWN##f, SADDR), IN_SET(SET_OWN##f, DADDR),      \
		DO(CT_DNAT), SET_PRIORITY(NUMBER_VIA_TRANSLATED), GOTO("decide")),     \
	    RULE(PRIORITY_VMAP(SET_WAYS)),                                             \
	    RULE(SET_PRIORITY(0)),                                                     \
	};                                                                             \
	static const struct table_rule via_steer_out##f##_rules[] = {                  \
	    RULE(ITSELF(f), DO(RETURN)),                                               \
	    RULE(JUMP("via_out" #f)),                                                  \
	    VIA_ENDS(f, ENDS##f),                                                      \
	};                                                                             \
	static const struct table_rule via_steer_back##f##_rules[] = {                 \
	    RULE(ITSELF(f), DO(RETURN)),                                               \
	    RULE(JUMP("via_back" #f)),                                                 \
	    VIA_ENDS(f, ENDS##f##_BACK),                                               \
	};                                                                             \
	static const struct table_rule via_judge##f##_rules[] = {                      \
	    RULE(JUMP("via_out" #f)),                                                  \
	    RULE(GOTO("route_count")),                                                 \
	};                                                                             \
	static const struct table_rule via_still_out##f##_rules[] = {                  \
	    RULE(ITSELF(f), DO(RETURN)),                                               \
	    RULE(JUMP("via_out" #f)),                                                  \
	    RULE(PRIORITY_VMAP(SET_VIA_REFUSED)),                                      \
	    RULE(SET_PRIORITY(0)),                                                     \
	};                                                                             \
	static const struct table_rule via_still_back##f##_rules[] = {                 \
	    RULE(ITSELF(f), DO(RETURN)),                                               \
	    RULE(JUMP("via_back" #f)),                                                 \
	    RULE(PRIORITY_VMAP(SET_VIA_REFUSED)),                                      \
	    RULE(SET_PRIORITY(0)),                                                     \
	}

VIA_RULES(4);
VIA_RULES(6);

/* The client's packets, and those that come back. */
#define VIA_BOTH(f, what)                                                              \
	RULE(FAMILY(f), IN_SET(SET_VIA_LOCAL##f, SADDR), DO(CT_ORIGINAL),              \
	    JUMP("via_" what "_out" #f)),                                              \
	    RULE(FAMILY(f), IN_SET(SET_VIA_LOCAL##f, DADDR), DO(CT_REPLY),             \
		JUMP("via_" what "_back" #f))

static const struct table_rule steer_rules[] = {
    RULE(FAMILY(4), IN_SET(SET_STEER4, SADDR), DO(CT_ORIGINAL), JUMP("steer4")),
    RULE(FAMILY(6), IN_SET(SET_STEER6, SADDR), DO(CT_ORIGINAL), JUMP("steer6")),
    VIA_BOTH(4, "steer"),
    VIA_BOTH(6, "steer"),
};

/* A connection that is there does not go on past what it is to go through, either. */
static const struct table_rule via_still_rules[] = {
    VIA_BOTH(4, "still"),
    VIA_BOTH(6, "still"),
};

/* What has been through it was judged, counted and charged on its way there. Only a
 * connection that came this way before comes back; who makes one poses as somebody. */
#define POSED DO(CT_UNCONFIRMED), SET_PRIORITY(NUMBER_VIA_POSED), GOTO("decide")
static const struct table_rule via_past_rules[] = {
    RULE(DO(MARK)),
    RULE(POSED),
    RULE(DO(ACCEPT)),
};
/* And so does what begins a workload's connection by an interface that is not its. */
static const struct table_rule via_elsewhere_rules[] = {
    RULE(FAMILY(4), IN_SET(SET_OWN4, SADDR), POSED),
    RULE(FAMILY(6), IN_SET(SET_OWN6, SADDR), POSED),
    RULE(DO(CAME_BACK), GOTO("via_past")),
};

/* Behind interfaces of workloads; but what goes through one is not for it. */
static const struct table_rule gate_out_rules[] = {
    RULE(DO(CT_MARKED), DO(RETURN)),
    NOT_OWN(4, DADDR),
    NOT_OWN(6, DADDR),
};

/* Returns to whoever jumped, unless the route is denied. */
static const struct table_rule route_count_rules[] = {
    RULE(PRIORITY_VMAP(SET_ROUTES)),
};

static const struct table_rule route_in_rules[] = {
    RULE(FAMILY(4), GOTO("publish4")),
    RULE(FAMILY(6), GOTO("publish6")),
};

static const struct table_rule route_out_rules[] = {
    RULE(SELF(4), DO(MASQUERADE)),
    RULE(SELF(6), DO(MASQUERADE)),
    RULE(FAMILY(4), IN_SET(SET_ROUTE_LOCAL4_OUT, SADDR), GOTO("source4")),
    RULE(FAMILY(6), IN_SET(SET_ROUTE_LOCAL6_OUT, SADDR), GOTO("source6")),
};

/* What is of no connection is translated by none, and sent through nothing: it would leave
 * with an address that it is not to have, or past what it is to go through. */
#define STRAY(f, ...)                                                                  \
	RULE(FAMILY(f), __VA_ARGS__, SET_PRIORITY(NUMBER_STRAY), GOTO("decide"))
#define STRAYS(f)                                                                      \
	STRAY(f, NOT_IN_SET(SET_INSIDE##f, DADDR),                                     \
	    IN_SET(SET_ROUTE_LOCAL##f##_OUT, SADDR)),                                  \
	    STRAY(f, {.kind = STMT_LOOKUP,                                             \
			 .set = SET_SELF##f,                                           \
			 .load = {LOAD_SADDR, LOAD_SADDR}}),                           \
	    STRAY(f, IN_SET(SET_VIA_LOCAL##f, SADDR)),                                 \
	    STRAY(f, IN_SET(SET_VIA_LOCAL##f, DADDR))

static const struct table_rule stray_rules[] = {
    STRAYS(4),
    STRAYS(6),
};

/*
 * A connection's first packet, by its family: none pays for the other's rules. The way by
 * which it is judged returns to whoever jumped here.
 *
 *     forward4 ---> forward4_from: egress4_on, then, if its destination is governed ...
 *        |  \---------------------------------------------------> ... ingress4
 *        \--> the gate, of both ends
 */
#define NOBODY(f, from)                                                                \
	RULE(FAMILY(f), IN_SET(SET_NOBODY##f, from), SET_PRIORITY(NUMBER_GATE),        \
	    GOTO("decide"))
#define INGRESS(f) RULE(FAMILY(f), IN_SET(SET_LOCAL##f##_IN, DADDR), GOTO("ingress" #f))
#define FORWARD_PARTS(f)                                                               \
	static const struct table_rule forward##f##_from_rules[] = {                   \
	    RULE(JUMP("egress_on" #f)),                                                \
	    INGRESS(f),                                                                \
	};                                                                             \
	static const struct table_rule forward##f##_midstream_rules[] = {              \
	    GATE(f, SADDR),                                                            \
	    GATE(f, DADDR),                                                            \
	    RULE(GOTO("midstream")),                                                   \
	}
#define FORWARD(f)                                                                     \
	RULE(FROM_ELSEWHERE(f)), NOBODY(f, SADDR), NOBODY(f, DADDR),                   \
	    GATE_IF(f, IIFNAME, SADDR),                                                \
	    RULE(IN_SET(SET_GATE_IF, OIFNAME), JUMP("gate_out")),                      \
	    RULE(ITSELF(f), SET_PRIORITY(0), DO(ACCEPT)),                              \
	    RULE(DO(CT_STRAY), JUMP("stray")),                                         \
	    RULE(DO(TCP_MIDSTREAM), JUMP("forward" #f "_midstream")),                  \
	    RULE(FAMILY(f), IN_SET(SET_LOCAL##f##_OUT, SADDR),                         \
		GOTO("forward" #f "_from")),                                           \
	    INGRESS(f), GATE(f, SADDR), GATE(f, DADDR)

FORWARD_PARTS(4);
FORWARD_PARTS(6);

static const struct table_rule forward4_rules[] = {
    FORWARD(4),
};

static const struct table_rule forward6_rules[] = {
    RULE(ND, DO(ACCEPT)),
    FORWARD(6),
};

/* A connection's first packet, of a family: policy, and what there is besides. */
#define FIRST(f)                                                                       \
	RULE(JUMP("forward" #f)),                                                      \
	    STAGE(f, SET_ROUTE_LOCAL##f##_OUT, SADDR, "route_judge" #f),               \
	    STAGE(f, SET_VIA_LOCAL##f, SADDR, "via_judge" #f), RULE(SET_PRIORITY(0)),  \
	    LIMIT_NEW("limit_count"), LIMIT_NEW("limit_rate")

static const struct table_rule first6_rules[] = {
    FIRST(6),
};

/* What is not IPv6 is IPv4: nothing else comes here. Asked once, not for either family. */
static const struct table_rule forward_rules[] = {
    RULE(DO(MARKED), DO(CT_MARKED), DO(CAME_ELSEWHERE), JUMP("via_elsewhere")),
    UNSTEER,
    WATCH_NAMES,
    RULE(IN_SET(SET_LIMIT_OUT, NFPROTO), JUMP("limit_out")),
    RULE(IN_SET(SET_LIMIT_IN, NFPROTO), JUMP("limit_in")),
    RULE(DO(CT_ESTABLISHED), JUMP("via_still")),
    RULE(DO(CT_ESTABLISHED), DO(ACCEPT)),
    RULE(FAMILY(6), GOTO("first6")),
    FIRST(4),
};

/* Of some uses alone; 0: of all. */
#define CHAIN_FOR(use, text, list)                                                     \
	{                                                                              \
		.name = (text), .uses = (use), .rules = (list),                        \
		.rule_count = ARRAY_LEN(list)                                          \
	}
#define CHAIN(text, list) CHAIN_FOR(0, text, list)
#define DIRECTION_CHAINS(use, stage)                                                   \
	CHAIN_FOR(use, #stage "_rest", stage##_rest_rules),                            \
	    CHAIN_FOR(use, #stage "_cells", stage##_cells_rules),                      \
	    CHAIN_FOR(use, #stage, stage##_rules)
#define BASE_CHAIN(use, text, id, list)                                                \
	{                                                                              \
		.name = (text), .hook = (id), .uses = (use),                           \
		.priority = TABLE_PRIORITY, .rules = (list),                           \
		.rule_count = ARRAY_LEN(list)                                          \
	}

#define USE_MIDSTREAM_IN  (USE_LOCAL4_OUT | USE_LOCAL6_OUT)
#define USE_MIDSTREAM_OUT (USE_MIDSTREAM_IN | USE_GATE | USE_GATE_IF)
#define FORWARD_CHAINS(f)                                                              \
	CHAIN("forward" #f "_from", forward##f##_from_rules),                          \
	    CHAIN("forward" #f "_midstream", forward##f##_midstream_rules),            \
	    CHAIN("forward" #f, forward##f##_rules)

#define ROUTE_CHAINS(f)                                                                \
	CHAIN_FOR(USE_LEAVE, "route_judge" #f, route_judge##f##_rules),                \
	    CHAIN_FOR(USE_LEAVE, "source" #f, source##f##_rules),                      \
	    CHAIN_FOR(USE_PUBLISH, "ends" #f, ends##f##_rules),                        \
	    CHAIN_FOR(USE_PUBLISH, "published" #f, published##f##_rules),              \
	    CHAIN_FOR(USE_PUBLISH, "publish" #f, publish##f##_rules)
#define NAT_CHAIN(use, text, id, at, list)                                             \
	{                                                                              \
		.name = (text), .hook = (id), .nat = true, .uses = (use),              \
		.priority = (at), .rules = (list), .rule_count = ARRAY_LEN(list)       \
	}

#define STEER_CHAIN(use, text, list)                                                   \
	{                                                                              \
		.name = (text), .steers = true, .uses = (use), .rules = (list),        \
		.rule_count = ARRAY_LEN(list)                                          \
	}

#define SOURCE_CHAIN(text, list)                                                       \
	{                                                                              \
		.name = (text), .validates = true, .uses = USE_GATE | USE_GATE_IF,     \
		.rules = (list), .rule_count = ARRAY_LEN(list)                         \
	}
#define SOURCE_CHAINS(f)                                                               \
	SOURCE_CHAIN("spoof_edge" #f, spoof_edge##f##_rules),                          \
	    SOURCE_CHAIN("spoof" #f, spoof##f##_rules)

#define VIA_STEER_CHAINS(f)                                                            \
	STEER_CHAIN(USE_VIA, "via_send" #f, via_send##f##_rules),                      \
	    STEER_CHAIN(USE_VIA, "via_steer_out" #f, via_steer_out##f##_rules),        \
	    STEER_CHAIN(USE_VIA, "via_steer_back" #f, via_steer_back##f##_rules)
#define VIA_CHAINS(f)                                                                  \
	DIRECTION_CHAINS(USE_VIA, via_out##f), DIRECTION_CHAINS(USE_VIA, via_back##f), \
	    CHAIN_FOR(USE_VIA, "via_judge" #f, via_judge##f##_rules),                  \
	    CHAIN_FOR(USE_VIA, "via_still_out" #f, via_still_out##f##_rules),          \
	    CHAIN_FOR(USE_VIA, "via_still_back" #f, via_still_back##f##_rules)

const struct table_chain table_chains[] = {
    CHAIN("decide", decide_rules),
    CHAIN("midstream", midstream_rules),
    CHAIN_FOR(USE_MIDSTREAM_IN, "midstream_in", midstream_in_rules),
    CHAIN_FOR(USE_MIDSTREAM_OUT, "midstream_out", midstream_out_rules),
    CHAIN_FOR(USE_NAMES, "asked", asked_rules),
    DIRECTION_CHAINS(0, egress4),
    DIRECTION_CHAINS(0, egress6),
    CHAIN("egress_on4", egress_on4_rules),
    CHAIN("egress_on6", egress_on6_rules),
    DIRECTION_CHAINS(0, ingress4),
    DIRECTION_CHAINS(0, ingress6),
    DIRECTION_CHAINS(USE_HOST, host_in4),
    DIRECTION_CHAINS(USE_HOST, host_in6),
    DIRECTION_CHAINS(USE_HOST, host_out4),
    DIRECTION_CHAINS(USE_HOST, host_out6),
    CHAIN_FOR(USE_HOST, "host_midstream_in", host_midstream_in_rules),
    CHAIN_FOR(USE_HOST, "host_midstream_out", host_midstream_out_rules),
    CHAIN_FOR(USE_MIDSTREAM_IN | USE_HOST, "input_midstream", input_midstream_rules),
    CHAIN_FOR(USE_MIDSTREAM_OUT | USE_HOST, "output_midstream", output_midstream_rules),
    CHAIN_FOR(USE_HOST, "host_in", host_in_rules),
    CHAIN_FOR(USE_HOST, "host_out", host_out_rules),
    DIRECTION_CHAINS(USE_LEAVE | USE_STEER, route4),
    DIRECTION_CHAINS(USE_LEAVE | USE_STEER, route6),
    CHAIN_FOR(USE_LEAVE | USE_PUBLISH | USE_VIA, "route_count", route_count_rules),
    ROUTE_CHAINS(4),
    ROUTE_CHAINS(6),
    VIA_CHAINS(4),
    VIA_CHAINS(6),
    CHAIN_FOR(USE_VIA, "via_still", via_still_rules),
    CHAIN_FOR(USE_LEAVE | USE_PUBLISH | USE_VIA, "stray", stray_rules),
    CHAIN_FOR(USE_LIMIT_NEW, "limit_count", limit_count_rules),
    CHAIN_FOR(USE_LIMIT_NEW, "limit_rate", limit_rate_rules),
    CHAIN_FOR(USE_LIMIT_OUT, "limit_out", limit_out_rules),
    CHAIN_FOR(USE_LIMIT_IN, "limit_in", limit_in_rules),
    STEER_CHAIN(USE_STEER, "steer_way", steer_way_rules),
    STEER_CHAIN(USE_STEER, "steer4", steer4_rules),
    STEER_CHAIN(USE_STEER, "steer6", steer6_rules),
    VIA_STEER_CHAINS(4),
    VIA_STEER_CHAINS(6),
    STEER_CHAIN(USE_VIA, "via_past", via_past_rules),
    STEER_CHAIN(USE_VIA, "via_elsewhere", via_elsewhere_rules),
    CHAIN_FOR(USE_GATE_IF, "gate_out", gate_out_rules),
    SOURCE_CHAINS(4),
    SOURCE_CHAINS(6),
    FORWARD_CHAINS(4),
    FORWARD_CHAINS(6),
    CHAIN("first6", first6_rules),
    BASE_CHAIN(0, "input", HOOK_INPUT, input_rules),
    BASE_CHAIN(0, "output", HOOK_OUTPUT, output_rules),
    BASE_CHAIN(0, "forward", HOOK_FORWARD, forward_rules),
    NAT_CHAIN(
	USE_PUBLISH, "route_in", HOOK_PREROUTING, TABLE_PRIORITY_DNAT, route_in_rules),
    NAT_CHAIN(
	USE_PUBLISH, "route_local", HOOK_OUTPUT, TABLE_PRIORITY_DNAT, route_in_rules),
    NAT_CHAIN(USE_PUBLISH | USE_LEAVE, "route_out", HOOK_POSTROUTING,
	TABLE_PRIORITY_SNAT, route_out_rules),
    {.name = "steer",
	.hook = HOOK_PREROUTING,
	.steers = true,
	.uses = USE_STEER | USE_VIA,
	.priority = TABLE_PRIORITY_STEER,
	.rules = steer_rules,
	.rule_count = ARRAY_LEN(steer_rules)},
};
const size_t table_chain_count = ARRAY_LEN(table_chains);
