/*
 * The way of one packet through our table, out of what nf_tables tells of packets that are
 * traced, others' among them. Pure.
 */
#ifndef ENFORCER_TRACE_PACKET_H
#define ENFORCER_TRACE_PACKET_H

#include "enforcer/kernel/trace.h"
#include "policy-lang/table/table.h"

/* What marks packets: one that a rule there has marked is the one that is followed. Its last
 * chain has no rules, and is behind all that judges a packet. */
#define TRACE_TABLE      TABLE_NAME "-trace"
#define TRACE_LAST_CHAIN "postrouting"

/* Zero is the start. */
struct trace_packet {
	bool followed; /* `id` is the packet's */
	uint32_t id;
	bool in_hook; /* it is in a base chain of ours ... */
	bool in_last; /* ... which is the last that judges it */
	struct trace_step steps[TRACE_STEPS_MOST]; /* and the last is for scratch */
	size_t count;
};

/* Takes what one recv gave, aligned as struct nlmsghdr is. True: the packet has left our table
 * for good. */
MUST_CHECK bool trace_packet_take(struct trace_packet *p, const void *data, size_t len);

#endif
