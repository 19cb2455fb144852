/*
 * The kernel table, as data: one description of sets, chains and rules from
 * which the printer (`ringfence compile -o nft`) and the enforcer's netlink encoder both
 * work, so that what is printed is what is enforced. Kernel-neutral: no netlink
 * here. The number of sets and the graph of chains are constants of this file; only
 * elements and rule chains vary, and which of the constant rules are left out because the
 * program has no use for them (enum table_use).
 */
#ifndef POLICY_LANG_TABLE_H
#define POLICY_LANG_TABLE_H

#include "policy-lang/model/model.h"

#define TABLE_NAME   "ringfence"
#define TABLE_FAMILY "inet"

#define TABLE_KEY_FIELDS 4

/* One field of a key or one value. In a concatenated key each takes a multiple of four
 * bytes (nf_tables registers). */
enum table_field {
	FIELD_NONE,
	FIELD_CLASSID, /* 4 bytes; nft type classid; for its order see table_set_swaps */
	FIELD_IPV4,    /* 4 bytes, network order */
	FIELD_IPV6,    /* 16 bytes */
	FIELD_IFNAME,  /* 16 bytes, `addr` of an element; alone, and an interval */
	FIELD_NFPROTO, /* 1 byte, `proto` of an element; nft type nf_proto */
	FIELD_PROTO,   /* 1 byte; nft type inet_proto */
	FIELD_SERVICE, /* 2 bytes, network order; nft type inet_service */
	FIELD_SLOT, /* 4 bytes, host order, `port_lo` of an element: one of set->slots */
	FIELD_MARK,    /* 4 bytes, host order, `addr` of an element; nft type mark */
	FIELD_VERDICT, /* values only: goto rule_N, N the element's value */
	/* Values only: `addr_end` of an element, and `port_hi`: an address and its port. */
	FIELD_IPV4_PORT,
	FIELD_IPV6_PORT,
};

/*
 * F: 4 or 6; D: in (ingress; the local end is the destination) or out. In the order that
 * table_sets lists them. How a packet is judged in one direction:
 *
 *     localF_D        is this local address governed at all?
 *     peerF_D         the other end's address -> its class; missing: ...
 *     peerF_D_net     ... the intervals; missing: class 0, "nobody mentions it"
 *     cellF_D         class . local address . protocol . port -> rule; missing: ...
 *     cellF_D_range   ... wide ports, whole protocols; missing: ...
 *     cellF_D_any     ... class . local address -> rule; missing: ...
 *     cellF_D(_range) ... the same keys with class 0: what holds towards everyone; missing:
 *     cellF_D_rest    ... local address -> rule; every governed address has one
 *     rules           rule -> goto rule_N
 *
 * The node itself is judged like a workload with every address that the node has: the key
 * of its cells, hostF_D*, has none, and the rest is class 0 of hostF_D_any.
 *
 * So a class has elements at a local address only where it differs from class 0. Exact
 * elements come before ranges. The port of a protocol without ports is no port (th dport
 * reads ICMP's checksum): whole protocols are ranges 0-65535, never exact elements.
 */
enum table_set_id {
	SET_LOCAL4_IN,
	SET_LOCAL6_IN,
	SET_LOCAL4_OUT,
	SET_LOCAL6_OUT,
	SET_PEER4_IN,
	SET_PEER6_IN,
	SET_PEER4_OUT,
	SET_PEER6_OUT,
	SET_PEER4_IN_NET,
	SET_PEER6_IN_NET,
	SET_PEER4_OUT_NET,
	SET_PEER6_OUT_NET,
	SET_CELL4_IN,
	SET_CELL6_IN,
	SET_CELL4_OUT,
	SET_CELL6_OUT,
	SET_CELL4_IN_RANGE,
	SET_CELL6_IN_RANGE,
	SET_CELL4_OUT_RANGE,
	SET_CELL6_OUT_RANGE,
	SET_CELL4_IN_ANY,
	SET_CELL6_IN_ANY,
	SET_CELL4_OUT_ANY,
	SET_CELL6_OUT_ANY,
	SET_CELL4_IN_REST,
	SET_CELL6_IN_REST,
	SET_CELL4_OUT_REST,
	SET_CELL6_OUT_REST,
	SET_HOST4_IN,
	SET_HOST6_IN,
	SET_HOST4_OUT,
	SET_HOST6_OUT,
	SET_HOST4_IN_RANGE,
	SET_HOST6_IN_RANGE,
	SET_HOST4_OUT_RANGE,
	SET_HOST6_OUT_RANGE,
	SET_HOST4_IN_ANY,
	SET_HOST6_IN_ANY,
	SET_HOST4_OUT_ANY,
	SET_HOST6_OUT_ANY,
	SET_HOST_IN, /* families in which the node is judged; empty: it is not */
	SET_HOST_OUT,
	SET_SAFE_IN, /* where it is, what policy cannot close: by protocol and port */
	SET_SAFE_OUT,
	SET_OWN4, /* the node's workloads: it reaches them always, and in a gate ... */
	SET_OWN6,
	SET_GATE_IF,   /* ... nobody else is behind these interfaces */
	SET_UPLINK_IF, /* what comes from outside, and from other nodes, comes by these */
	SET_GATE4,
	SET_GATE6, /* intervals: addresses that are workloads' */
	SET_KNOWN4,
	SET_KNOWN6, /* workloads that are programmed, and nodes, in a gate; all nodes, if
		       settings.validate_sources */
	SET_NOBODY4,
	SET_NOBODY6, /* in a gate, and nobody's, but policy knows them by a name */
	SET_RULES,   /* number -> goto rule_N */
	SET_INSIDE4, /* workloads and nodes, wherever: nothing to them leaves by a route */
	SET_INSIDE6,
	/* Whose traffic to the outside leaves by a route, and by which: as above, but that
	 * of peers there are networks, and addresses that are known by name. */
	SET_ROUTE_LOCAL4_OUT,
	SET_ROUTE_LOCAL6_OUT,
	SET_ROUTE_PEER4_OUT,
	SET_ROUTE_PEER6_OUT,
	SET_ROUTE_PEER4_OUT_NET,
	SET_ROUTE_PEER6_OUT_NET,
	SET_ROUTE_CELL4_OUT,
	SET_ROUTE_CELL6_OUT,
	SET_ROUTE_CELL4_OUT_RANGE,
	SET_ROUTE_CELL6_OUT_RANGE,
	SET_ROUTE_CELL4_OUT_ANY,
	SET_ROUTE_CELL6_OUT_ANY,
	SET_ROUTE_CELL4_OUT_REST,
	SET_ROUTE_CELL6_OUT_REST,
	SET_PUBLISH4, /* published address . protocol . port -> what it leads to */
	SET_PUBLISH6,
	SET_PUBLISH4_RANGE, /* the same of ranges */
	SET_PUBLISH6_RANGE,
	/* What has several ends -> one of them: by the client's address, or any. */
	SET_PICK_HASH,
	SET_PICK_HASH_FINE,
	SET_PICK_RANDOM,
	SET_PICK_RANDOM_FINE,
	SET_END4, /* an end -> its address; ports stay as they are */
	SET_END6,
	SET_END4_PORT, /* an end -> its address and port */
	SET_END6_PORT,
	SET_SELF4, /* workloads here that may reach themselves by what is published */
	SET_SELF6,
	/* Workloads here that policy or Routes govern: what leads them to themselves. */
	SET_ITSELF4,
	SET_ITSELF6,
	SET_ASKER4, /* workloads here whose DNS answers teach something, and ... */
	SET_ASKER6,
	SET_RESOLVER4, /* ... whom these answers are believed from */
	SET_RESOLVER6,
	SET_TAKEN4, /* addresses that the node has for Routes: none of its own services' */
	SET_TAKEN6,
	SET_ROUTES, /* what leads somewhere -> goto rule_N, of its Route's rule */
	/* Families in which connections, or bytes, of workloads here are limited. */
	SET_LIMIT_NEW,
	SET_LIMIT_OUT,
	SET_LIMIT_IN,
	/* Whose are -> goto rule_N, of what limits them; in the order of enum net_limit. */
	SET_LIMIT4_RATE,
	SET_LIMIT6_RATE,
	SET_LIMIT4_COUNT,
	SET_LIMIT6_COUNT,
	SET_LIMIT4_OUT,
	SET_LIMIT6_OUT,
	SET_LIMIT4_IN,
	SET_LIMIT6_IN,
	/* What each of them has used of its own part: the kernel's to fill. */
	SET_OWN4_RATE,
	SET_OWN6_RATE,
	SET_OWN4_COUNT,
	SET_OWN6_COUNT,
	SET_OWN4_OUT,
	SET_OWN6_OUT,
	SET_OWN4_IN,
	SET_OWN6_IN,
	SET_STEER4, /* addresses here of which some route has a way */
	SET_STEER6,
	SET_WAYS, /* a route that has a way -> goto rule_N, of the way */
	/* Workloads, of any node, whose connections to others go through something, and
	 * through what: as above, the peers are workloads. */
	SET_VIA_LOCAL4,
	SET_VIA_LOCAL6,
	SET_VIA_PEER4,
	SET_VIA_PEER6,
	SET_VIA_CELL4_OUT,
	SET_VIA_CELL6_OUT,
	SET_VIA_CELL4_OUT_RANGE,
	SET_VIA_CELL6_OUT_RANGE,
	SET_VIA_CELL4_OUT_ANY,
	SET_VIA_CELL6_OUT_ANY,
	SET_VIA_CELL4_OUT_REST,
	SET_VIA_CELL6_OUT_REST,
	SET_VIA_KEPT, /* mark of the connection . what goes through something -> the end */
	SET_VIA_HERE,    /* ends that are workloads of this node */
	SET_VIA_REFUSED, /* what is refused -> goto rule_N, whatever came before */
	SET_COUNT,
};

/*
 * What leads somewhere by a Route has an id, which the priority bears; an end has one, too.
 * An id stays in the priority of a connection's first packet when that is translated:
 * there is no place behind it to take it out. So ids are numbers that no queue knows: their
 * low four bits, which bands are taken from, are 0, as without one, and no queueing
 * discipline has such a handle by itself (those begin at 8000:).
 */
#define TABLE_ROUTE_ID(n)  (UINT32_C(0x70000000) | (uint32_t)(n) << 4)
#define TABLE_ROUTE_IDS    (UINT32_C(1) << 24)
#define TABLE_ROUTE_DIRECT TABLE_ROUTE_ID(0) /* by no route */
/* Slots of what has several ends: where so many divide well, and where not. */
#define TABLE_SLOTS      60u
#define TABLE_SLOTS_FINE 2520u
/* Of hashes of clients' addresses: the same on every node. */
#define TABLE_HASH_SEED UINT32_C(0x72660001)

/* Addresses that have a part of a limit to themselves, in each of the sets for that. */
#define TABLE_OWN_ROOM 65536u
/* Packets that a chain which drops many logs in a second. */
#define TABLE_QUIET_LOGS 10u

/*
 * What a program may have no use for. The rules that are about it are in the kernel only
 * once some set of that use holds anything, so that nobody's packets pay for it: a look-up
 * in an empty set costs as much as in a full one. They come with its first element, in one
 * transaction, and stay until the table is made anew.
 */
enum table_use {
	USE_GATE = 1 << 0,      /* networks that are workloads' */
	USE_GATE_IF = 1 << 1,   /* interfaces that are */
	USE_HOST = 1 << 2,      /* policy for the node */
	USE_NAMES = 1 << 3,     /* DNS is read */
	USE_LIMIT_NEW = 1 << 4, /* connections of workloads here are limited */
	USE_LEAVE = 1 << 5,     /* something leaves by a route */
	USE_PUBLISH = 1 << 6,   /* something is published */
	USE_TAKEN = 1 << 7,     /* the node has addresses for Routes */
	USE_STEER = 1 << 8,     /* something leaves by a way */
	USE_VIA = 1 << 9,       /* something goes through something */
	USE_NOBODY = 1 << 10,   /* a name leads to nobody's address in these networks */
	/* Something is governed, and its peers are networks, its ports ranges, or all. */
	USE_LOCAL4_IN = 1 << 11,
	USE_LOCAL6_IN = 1 << 12,
	USE_LOCAL4_OUT = 1 << 13,
	USE_LOCAL6_OUT = 1 << 14,
	USE_NET4_IN = 1 << 15,
	USE_NET6_IN = 1 << 16,
	USE_NET4_OUT = 1 << 17,
	USE_NET6_OUT = 1 << 18,
	USE_RANGE4_IN = 1 << 19,
	USE_RANGE6_IN = 1 << 20,
	USE_RANGE4_OUT = 1 << 21,
	USE_RANGE6_OUT = 1 << 22,
	USE_ANY4_IN = 1 << 23,
	USE_ANY6_IN = 1 << 24,
	USE_ANY4_OUT = 1 << 25,
	USE_ANY6_OUT = 1 << 26,
	USE_LIMIT_OUT = 1 << 27, /* their bytes are: these rules every packet meets */
	USE_LIMIT_IN = 1 << 28,
	USE_ALL = (1 << 29) - 1,
};

struct table_set {
	const char *name;
	enum table_field key[TABLE_KEY_FIELDS]; /* the rest is FIELD_NONE */
	enum table_field value;                 /* FIELD_NONE: a set; else a map */
	bool interval;  /* replaced whole, never edited in place */
	uint32_t slots; /* values of the FIELD_SLOT; 0: there is none */
	/* Rules add its elements, each with a state: at most so many. Nobody else does,
	 * and what is in it is no part of the program. 0: it is as others. */
	uint32_t room;
	uint32_t timeout_s; /* after which one goes; 0: when its state is empty */
	/* While it has an element the program has this use (enum table_use); 0: none. */
	uint32_t use;
	const char *comment;
};

extern const struct table_set table_sets[SET_COUNT];

/* ---- rules of the constant chains ---- */

enum table_stmt_kind {
	STMT_CT_ESTABLISHED, /* ct state established,related */
	STMT_FAMILY,         /* meta nfproto == value (4 or 6) */
	STMT_ICMP_TYPE,      /* icmp type from value >> 8 to value & 255 */
	STMT_ICMPV6_TYPE,    /* the same of icmpv6; what it matches is IPv6 */
	STMT_ON_LINK, /* ip6 hoplimit 255, behind STMT_ICMPV6_TYPE: no router sent it on */
	STMT_LOOPBACK,       /* iif lo: the node to itself */
	STMT_LOOPBACK_OUT,   /* oif lo */
	STMT_TCP_MIDSTREAM,  /* TCP, new to conntrack, and no SYN that opens it */
	STMT_L4PROTO,        /* meta l4proto == value */
	STMT_LOOKUP,         /* key fields in set (invert: not in set) */
	STMT_PRIORITY_MAP,   /* meta priority set <key> map @set */
	STMT_PRIORITY_CONST, /* meta priority set value */
	STMT_PRIORITY_VMAP,  /* meta priority vmap @set */
	STMT_CT_DNAT,        /* ct status dnat */
	STMT_CT_ASKED,    /* ct original proto-dst == value: the port first dialled */
	STMT_CT_ORIGINAL, /* ct direction original */
	STMT_MARKED,    /* meta mark, of which some bit of settings.steer_mask is set */
	STMT_MARK,      /* those bits become value, the others stay */
	STMT_CT_MARKED, /* the same of the connection's mark */
	STMT_CT_MARK,
	STMT_CT_REPLY, /* ct direction reply */
	STMT_CT_STRAY, /* ct state invalid,untracked */
	/* It came by an interface that does not lead to where it is from: fib saddr . iif;
	 * and by the one that its mark leads to: fib saddr . mark . iif. */
	STMT_CAME_ELSEWHERE,
	STMT_CAME_BACK,
	STMT_IIF_KIND, /* meta iifkind */
	STMT_SNAT,     /* to meta priority map @set, of the set's family */
	STMT_DNAT,
	STMT_MASQUERADE,
	STMT_CT_UNCONFIRMED, /* ct status ! confirmed: the packet that makes a connection */
	STMT_CT_CONFIRMED, /* any other of one */
	STMT_VMAP,         /* <key> vmap @set */
	STMT_LIMIT,        /* limit, as `bucket` says; invert: over it */
	STMT_CT_COUNT,     /* ct count, at most the value; invert: over it */
	STMT_OWN,          /* the same of one address: add @set { <key> ... } */
	STMT_COUNTER,
	STMT_LOG,       /* to settings.log_group, prefix = decimal of value */
	STMT_LOG_NAMES, /* to settings.names_group, prefix 0 */
	STMT_DROP,
	STMT_REJECT_RESET, /* reject with tcp reset */
	STMT_REJECT_ADMIN, /* reject with icmpx admin-prohibited */
	STMT_ACCEPT,
	STMT_RETURN,
	STMT_JUMP,        /* chain */
	STMT_GOTO,        /* chain */
	STMT_JUMP_NUMBER, /* chain rule_N, N the value */
	STMT_GOTO_NUMBER,
};

#define TABLE_MINUTE 60u
#define TABLE_HOUR   3600u
#define TABLE_DAY    86400u
#define TABLE_WEEK   604800u

/* A token bucket of the kernel's. What is in it at most: of packets, `burst`; of bytes,
 * what comes in one unit and `burst`. */
struct table_bucket {
	uint64_t rate;   /* packets or bytes per unit; 0: none */
	uint32_t unit_s; /* a second, minute, hour, day or week */
	uint32_t burst;
	bool bytes;
};

/* Where a key field of a look-up comes from. In sets of table_set_swaps the priority is
 * converted to network order once it is loaded. */
enum table_load {
	LOAD_NONE,
	LOAD_PRIORITY,
	LOAD_NFPROTO,
	LOAD_IIFNAME,
	LOAD_OIFNAME,
	LOAD_SADDR, /* ip or ip6, by the set's field */
	LOAD_DADDR,
	LOAD_L4PROTO,
	LOAD_DPORT,   /* th dport */
	LOAD_SPORT,   /* th sport */
	LOAD_CT_MARK, /* its bits of steer_mask; first, as nft lists it wrong elsewhere */
	LOAD_CT_SADDR, /* of the connection's first packet, before any translation */
	LOAD_CT_DADDR,
	/* Slots, from here on: */
	LOAD_HASH4, /* jhash ip saddr */
	LOAD_HASH6,
	LOAD_ENDS4, /* jhash ip saddr . ip daddr */
	LOAD_ENDS6,
	LOAD_ENDS4_BACK, /* jhash ip daddr . ip saddr */
	LOAD_ENDS6_BACK,
	LOAD_RANDOM, /* numgen random */
};

struct table_stmt {
	enum table_stmt_kind kind;
	uint32_t value;
	bool invert;
	enum table_set_id set;
	enum table_load load[TABLE_KEY_FIELDS]; /* as the key of `set` */
	const char *chain;
	const char *iif_kind;       /* as `ip link` calls it */
	struct table_bucket bucket; /* STMT_OWN without one: `value` connections */
};

#define TABLE_RULE_STMTS 6

struct table_rule {
	struct table_stmt stmts[TABLE_RULE_STMTS];
	size_t count;
	const char *comment; /* or NULL */
};

enum table_hook {
	HOOK_NONE,
	HOOK_FORWARD,
	HOOK_INPUT,
	HOOK_OUTPUT,
	HOOK_PREROUTING,
	HOOK_POSTROUTING
};

/* Of the base chains: a little before the filter rules of others. */
#define TABLE_PRIORITY (-10)
/* Of translation: a little before that of others (dstnat, srcnat), of whom the first that
 * translates a connection is the last. */
#define TABLE_PRIORITY_DNAT (-105)
#define TABLE_PRIORITY_SNAT 95
/* Of steering: destinations are what they are going to be, and no way is chosen yet. */
#define TABLE_PRIORITY_STEER (-95)

struct table_chain {
	const char *name;
	enum table_hook hook; /* HOOK_NONE: a regular chain */
	bool nat;             /* of type nat: sees a connection's first packet only */
	bool steers;          /* not there unless settings.steer_mask is */
	bool validates;       /* the same of settings.validate_sources */
	uint32_t uses; /* there for any of these alone (enum table_use); 0: always */
	int32_t priority;
	const struct table_rule *rules;
	size_t rule_count;
};

/* In an order in which each chain is defined before it is referred to. A rule asks
 * for the family (STMT_FAMILY) before it looks at addresses. Traffic that no chain decides is accepted. */
extern const struct table_chain table_chains[];
extern const size_t table_chain_count;

/* ---- what varies ---- */

/* Addresses that this node puts on while none of the gateways before it is up. */
struct table_standby {
	struct ip_prefix sources;
	const struct table_hop *before;
	size_t before_count; /* 0: always */
	bool shared;         /* other nodes may have them at other times */
};

/* An element of any set; fields that the set's key has not are zero. For interval sets
 * the field that ranges has an end, inclusive: port_hi if there is a port, else addr_end.
 * In other sets both ends are zero, unless they are a value. */
struct table_element {
	uint32_t class_id;
	uint8_t addr[16];
	uint8_t addr_end[16];
	uint8_t proto;
	uint16_t port_lo, port_hi;
	uint32_t value; /* maps: class, rule number or id; not of maps to addresses */
	struct loc loc; /* the policy line that it comes from; for kernel refusals */
};

/*
 * What becomes of TCP that conntrack does not know and that does not open a connection, when
 * either end is governed: the middle of one that was cut, or that was there before anyone
 * tracked it. Judged like a packet that opens one, it would make one, perhaps in the
 * other direction, so that what was cut goes on.
 */
enum table_midstream {
	MIDSTREAM_RESET, /* answered with a reset, whatever settings say of denied packets */
	MIDSTREAM_HOLD,  /* dropped, while it is found out whether it may go on */
	MIDSTREAM_JUDGE, /* judged like any other packet: nothing is ever cut */
};

/*
 * Limits: how a chain of a Quota's network limit goes on. Four kinds of chains, for each
 * namespace that has a limit of a kind (compile_limits.c):
 *
 *     deny    counter, log, drop: an ordinary rule chain
 *     all     over the limit: goto deny; else goto the `all` of the next above
 *     first   over what is first come, first served: goto deny; else goto the next above
 *     own     within what an address has to itself: goto all; else jump first; goto all
 *
 * What a bucket holds, and who is counted, is in the rules of `all` and `first`, and in the
 * elements that `own` adds: they go on for as long as the chain is the same.
 */
struct table_limit {
	enum table_limit_form {
		LIMIT_NONE, /* it is no such chain */
		LIMIT_SHARED,
		LIMIT_OWN,
	} form;
	enum net_limit kind;
	bool nothing;               /* everything is over it */
	struct table_bucket bucket; /* NETLIM_COUNT: none */
	uint32_t count;             /* NETLIM_COUNT: at most */
	uint32_t deny;  /* LIMIT_SHARED: where it ends; a rule chain's number */
	uint32_t first; /* LIMIT_OWN: jumped to */
	uint32_t next;  /* where it goes on; NUMBER_NONE: it returns */
	bool whole;     /* of `all`; for who reads it, not for the kernel */
};

/* A chain rule_N: counter; deny: log group G prefix "N", drop or reject; allow: return, to
 * whoever jumped to the direction's first chain. Of a way: the mark, and back. */
struct table_rule_chain {
	uint32_t number;
	enum action action; /* ACTION_ALLOW or ACTION_DENY */
	bool log;           /* allowed flows on request; denied ones always */
	bool reset;         /* denied TCP is reset; the chain sees nothing else */
	bool
	    quiet; /* packets of connections: never rejected, and some of them logged */
	struct table_limit
	    limit;     /* unless LIMIT_NONE it is all but comment and place */
	uint32_t mark; /* of a way, else 0: what the bits of the mask become */
	bool keeps;    /* and the same bits of the connection's mark */
	/* "NetworkPolicy shop-prod/web ingress rule 0 web.yaml:12", of the chain's first
	 * rule; printable ASCII without quotes, at most TABLE_COMMENT_BYTES. */
	const char *comment;
	struct loc loc;
	/* For logs and status: */
	enum direction dir;
	enum phase phase;
	const char *policy_kind;
	struct str policy; /* name */
	struct str namespace_path;
	struct str rule_name;
	uint32_t rule_index;
	bool isolation;
	bool unfollowed; /* a Route's rule that this node cannot follow */
	bool host;       /* of a policy for nodes */
};

#define TABLE_COMMENT_BYTES    127 /* without the NUL; nft allows 128 */
#define TABLE_RULE_CHAIN_RULES 4

struct table_settings {
	uint16_t log_group;   /* NFLOG group */
	uint16_t names_group; /* the same, of DNS questions and answers */
	bool reject;          /* denied packets: reject instead of drop */
	/* Bits of packet marks, side by side, that say which way a packet goes; nobody
	 * else's may be among them. 0: nothing is steered. */
	uint32_t steer_mask;
	bool
	    no_nat; /* for kernels that translate nothing: without chains of type nat */
	/* Where there are networks or interfaces that are workloads', nobody has an address
	 * of theirs that does not lead back to where he is. */
	bool validate_sources;
	uint32_t uses; /* of which there are rules (enum table_use) */
};

/* More ways than this have no number, whatever the mask has room for. */
#define TABLE_WAYS_MAX 255u
/* Next hops of one way. */
#define TABLE_HOPS_MAX 16u

/* Where a way leads: of nodes, the first that is up. */
struct table_hop {
	struct str node;        /* "": none, it is a next hop as it is written */
	struct ip_addr addr[2]; /* IPv4, IPv6; of no family: none */
};

/* What kind of way it is: of `via` the connections keep it, in their own marks. */
enum table_way_kind {
	WAY_OUT,      /* of what leaves */
	WAY_VIA,      /* to the nodes of workloads that something goes through */
	WAY_INSTANCE, /* to one that is here: its own addresses are the hop */
	WAY_KIND_COUNT
};

/* What the packets that bear a number are to leave by, in one table of routes or another. */
struct table_way {
	uint32_t number; /* 1 to TABLE_WAYS_MAX */
	enum table_way_kind kind;
	uint32_t table;               /* of the node's own; 0: by the hops */
	const struct table_hop *hops; /* in order of preference */
	size_t hop_count;
	const char *comment; /* "way 3: gateways gw-1, gw-2" */
	struct loc loc;      /* of a rule that needs it */
};

/* The whole program of one node. Arrays are sorted (elements by key as
 * table_element_cmp orders, rule chains by number) and free of duplicates. */
struct table_content {
	struct table_settings settings;
	struct table_element *elements[SET_COUNT];
	size_t element_count[SET_COUNT];
	struct table_rule_chain *rule_chains;
	size_t rule_chain_count;
	const struct table_way *ways; /* that chains steer to, by number */
	size_t way_count;
	const struct table_standby *standbys;
	size_t standby_count;
};

/* Order by class, address, protocol, port (the key only): <0, 0, >0. */
MUST_CHECK int table_element_cmp(
    const struct table_element *a, const struct table_element *b);
/* True if both say the same: key, end and value (not the place). */
MUST_CHECK bool table_element_equal(
    const struct table_element *a, const struct table_element *b);

/* True if the kernel is told the same of both. */
MUST_CHECK bool table_rule_chain_equal(
    const struct table_rule_chain *a, const struct table_rule_chain *b);

/* What an address family is called in a FIELD_NFPROTO. */
MUST_CHECK uint8_t table_nfproto(enum ip_family family);

#define TABLE_KEY_BYTES_MAX   32
#define TABLE_VALUE_BYTES_MAX 20

/* How many fields a set's key has. */
MUST_CHECK size_t table_key_fields(const struct table_set *set);
/* True for interval sets of one field: their elements' addresses have an end. */
MUST_CHECK bool table_set_ranges(const struct table_set *set);
/* Number of bytes of a set's key as nf_tables wants it (fields padded to 4). */
MUST_CHECK size_t table_key_bytes(enum table_set_id set);
/* True for interval sets with several fields: nft keeps host-order fields in them in
 * network order, so what is looked up there must be converted after loading. */
MUST_CHECK bool table_set_swaps(enum table_set_id set);
/*
 * Elements that a set made to hold `count` has room for; 0: as many as there may be. A hash
 * that is told its size has its buckets from the beginning, which halves what it costs to
 * fill one: otherwise it grows while it is filled. It takes no more than that. So only sets
 * that are large have one, and it is at least twice of what is in them.
 */
#define TABLE_ROOM_FROM 10000
MUST_CHECK uint32_t table_set_room(enum table_set_id set, size_t count);

/* Writes an element's key (and for interval sets its end, inclusive) in that form:
 * table_key_bytes bytes each. `out_key_end` may be NULL. */
void table_element_key(enum table_set_id set, const struct table_element *e,
    uint8_t *out_key, uint8_t *out_key_end);

/* Number of bytes of a map's value in that form; 0: verdicts, and sets without. */
MUST_CHECK size_t table_value_bytes(enum table_set_id set);
/* Writes an element's value (not a verdict), and reads it back: table_value_bytes. */
void table_element_value(
    enum table_set_id set, const struct table_element *e, uint8_t *out_value);
void table_element_set_value(
    enum table_set_id set, const uint8_t *value, struct table_element *out);
/* True for maps to addresses. */
MUST_CHECK bool table_value_is_address(enum table_field value);
/* Of such: the address's family, and whether a port is beside it. */
MUST_CHECK enum ip_family table_value_family(enum table_field value);
MUST_CHECK bool table_value_has_port(enum table_field value);

/* Reads a mask of bits side by side, 0x0ff00000; false: it is none. */
MUST_CHECK bool table_mask_parse(struct str text, uint32_t *out_mask);
/* What a way's number is in a mark. */
MUST_CHECK uint32_t table_way_mark(uint32_t mask, uint32_t number);
/* How many ways a mask has numbers for. */
MUST_CHECK uint32_t table_way_room(uint32_t mask);
/* The constant chain of that name; NULL: there is none. */
MUST_CHECK const struct table_chain *table_chain_find(const char *name);
/* What the sets that hold something are for, of so many elements each. */
MUST_CHECK uint32_t table_uses(const size_t counts[SET_COUNT]);
/* Whether a chain, or a rule, is there with these settings: a rule is not that looks for
 * something in a set of no use, or leads to a chain that is not there. */
MUST_CHECK bool table_chain_is_on(
    const struct table_chain *chain, const struct table_settings *settings);
MUST_CHECK bool table_rule_is_on(
    const struct table_rule *rule, const struct table_settings *settings);

/* Writes the rules of a chain rule_N; returns how many. The first bears the comment. */
MUST_CHECK size_t table_rule_chain_rules(const struct table_rule_chain *chain,
    const struct table_settings *settings, struct table_rule *out_rules);

/* table_limits.c: the same of chains of limits, for it. */
MUST_CHECK size_t table_limit_rules(
    const struct table_rule_chain *chain, struct table_rule *out_rules);
/* Of a Quota's chains: what denies, or the whole limit, whose counter is what passed it. */
MUST_CHECK bool table_limit_is_whole(const struct table_rule_chain *chain);
/* Whether rules add the elements of a set. */
MUST_CHECK bool table_set_is_kernels(enum table_set_id set);
/* The set in which addresses find the chain that limits them. */
MUST_CHECK enum table_set_id table_limit_set(
    enum net_limit kind, enum ip_family family);
/* True if they are made alike. */
MUST_CHECK bool table_limit_equal(
    const struct table_limit *a, const struct table_limit *b);

/* The whole table as text that `nft -f` loads: replaces a table of that name. */
void table_print_nft(struct buf *out, const struct table_content *content);
/* The same as JSON: {"sets": {name: [...]}, "rules": [...]} for tests and tools. */
void table_print_json(struct buf *out, const struct table_content *content);

/* Makes the content's chain for NUMBER_MIDSTREAM, if it has one, say what becomes of such
 * packets (MIDSTREAM_RESET as it is compiled). */
void table_set_midstream(
    struct table_rule_chain *chains, size_t count, enum table_midstream what);

#endif
