/*
 * Port space cut into segments, each with its fate: while the rules of a walk are
 * applied in order, every protocol and port is undecided, passed on to the next level, or
 * decided by the number of a rule. Interval algebra; it knows no rule and no model.
 */
#ifndef POLICY_LANG_PORTSET_H
#define POLICY_LANG_PORTSET_H

#include "policy-lang/model/model.h"

/* What policy can tell apart. Protocols without ports are one point: their whole column
 * has one fate. */
enum port_column {
	PORTS_TCP,
	PORTS_UDP,
	PORTS_SCTP,
	PORTS_ICMP,
	PORTS_ICMPV6,
	PORTS_OTHER, /* every other protocol */
};
#define PORT_COLUMNS 6

struct port_segment {
	uint16_t lo, hi;
	uint32_t number; /* NUMBER_NONE: undecided */
	uint32_t passed; /* the level that it was passed at; 0: none */
};

struct port_list {
	struct port_segment *items; /* cover 0..65535, in order */
	size_t count;
	size_t cap;
};

struct portset {
	struct port_list columns[PORT_COLUMNS];
	uint32_t level;
	size_t undecided; /* segments */
};

/* {0} is not usable: call portset_reset first. Frees what the set owns. */
void portset_fini(struct portset *ps);
/* Everything undecided; keeps its memory. {0} is fine. */
void portset_reset(struct portset *ps);
/* A new level: what was passed is open again. */
void portset_next_level(struct portset *ps);
/* Applies a rule to lo..hi of one column. For columns without ports, any range is the
 * whole column. Only what is undecided and not passed on this level is changed. */
void portset_apply(struct portset *ps, enum port_column column, uint16_t lo,
    uint16_t hi, enum action action, uint32_t number);
/* The same for every protocol and port. */
void portset_apply_all(struct portset *ps, enum action action, uint32_t number);
/* True if nothing is undecided: no later rule can change anything. */
MUST_CHECK bool portset_decided(const struct portset *ps);
/* Joins neighbours of equal fate; for a set that is decided. */
void portset_join(struct portset *ps);

MUST_CHECK bool port_column_has_ports(enum port_column column);
/* The column of a protocol number; PORTS_OTHER for those without one of their own. */
MUST_CHECK enum port_column port_column_of(uint8_t proto);
/* The protocol number of a column; PROTO_ANY for PORTS_OTHER. */
MUST_CHECK uint8_t port_column_proto(enum port_column column);

#endif
