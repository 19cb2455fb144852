/*
 * What a flow's record says once it is joined to the program: who the ends are, which rule
 * of which policy decided, and where that is written. Pure.
 */
#ifndef ENFORCER_FLOW_VIEW_H
#define ENFORCER_FLOW_VIEW_H

#include "enforcer/engine/program.h"
#include "enforcer/flows/flows.h"

enum flow_reason {
	FLOW_RULE,
	FLOW_ISOLATION,
	FLOW_CLUSTER_DEFAULT,
	FLOW_NOT_PROGRAMMED, /* the gate: a workload that is not programmed yet */
	FLOW_MIDSTREAM,      /* TCP of a connection that is not known */
	FLOW_LIMIT,          /* a network limit of a Quota had no room */
	FLOW_UNPUBLISHED,    /* an address of Routes, and nothing behind it */
	FLOW_VIA,            /* what it goes through cannot take it, or poses as it */
	FLOW_NOT_FOLLOWED,   /* a Route that this node cannot follow */
	FLOW_STRAY,          /* of no connection, where a route would lead it */
	FLOW_SPOOFED,        /* a source address that is not behind the interface */
	FLOW_UNKNOWN,        /* a rule of a program that is no longer in force */
};

struct flow_view {
	const struct flows_record *record;
	const struct workload *src, *dst; /* NULL: none that is known */
	const struct node *src_node, *dst_node;
	const struct table_rule_chain
	    *rule; /* NULL: FLOW_UNKNOWN, FLOW_NOT_PROGRAMMED */
	/* Of the workload that was judged; NULL: none that is known. */
	const struct workload *subject;
	bool allow;
	enum direction direction; /* at which end it was decided */
	enum flow_reason reason;
	struct str tenant; /* first part of the judged workload's path; "" if none */
	struct str
	    dst_name; /* by which the tenant knows the destination; "" if by none */
};

/* `program` NULL: nothing is known. Borrows all of them. */
void flow_view_make(struct flow_view *out_view, const struct program *program,
    const struct flows_record *record);

/* Appends it as one JSON line, without a newline. */
void flow_view_json(struct buf *out, const struct flow_view *view);

/* "shop/web", "/acme/db", "node/worker-1", else the address; appended. */
void flow_view_end(struct buf *out, const struct flow_view *view, bool source);
/* "allow", "deny", "cut", "audit". */
MUST_CHECK const char *flow_view_verdict(const struct flow_view *view);
/* "rule", "isolation", ... */
MUST_CHECK const char *flow_reason_name(enum flow_reason reason);

#endif
