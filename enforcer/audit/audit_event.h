/*
 * Audit records of the enforcer: audit.k8s.io/v1 Events, as the gate's are, so that one
 * tool searches both. What has no place of its own in an Event is an annotation.
 */
#ifndef ENFORCER_AUDIT_EVENT_H
#define ENFORCER_AUDIT_EVENT_H

#include "common/clock.h"
#include "enforcer/flows/flow_view.h"

/* What the enforcer did to the table. */
struct audit_change {
	const char *verb;  /* "apply", "heal" */
	const char *stage; /* "RequestReceived": about to; "ResponseComplete": done */
	struct str node;
	struct str detail; /* why, or what went wrong; may be "" */
	bool failed;
	uint64_t number; /* of the program */
	size_t workloads, policies, routes, rules;
	walltime_t now;
};

/* The log could not be written for a while, and can again. */
struct audit_resumed {
	struct str origin; /* of the log: "NODE/enforcer" */
	walltime_t now;
};

/* Another node is no longer used as a gateway, or is again. */
struct audit_gateway {
	struct str node; /* whose record it is */
	struct str gateway;
	const char *address;
	bool up;
	walltime_t now;
};

enum audit_name_kind {
	AUDIT_NAME_LEARNT,
	AUDIT_NAME_FORGOTTEN,
	AUDIT_NAME_REFUSED, /* the tenant knows as much as it may */
	AUDIT_NAME_COUNT
};

/* What a tenant knows by name is another. */
struct audit_name {
	enum audit_name_kind kind;
	struct str node;
	struct str tenant; /* without its / */
	struct str name;
	const struct ip_addr *addr;
	uint64_t
	    count; /* of more such, that are not told one by one: name is "" then */
	walltime_t now;
};

/* Somebody at the node asked something that tells of tenants' traffic, or said something. */
struct audit_asked {
	struct str node;
	struct str question; /* its first word */
	struct str words;    /* the rest */
	uint32_t uid;        /* UINT32_MAX: not known */
	int32_t pid;
	uint64_t passed_over; /* as many of the kind had no record of their own */
	walltime_t now;
};

/* `id`: 16 random bytes, the same for both stages. Append one JSON line each, without a
 * newline. */
void audit_event_change(
    struct buf *out, const uint8_t id[16], const struct audit_change *change);
void audit_event_flow(struct buf *out, const uint8_t id[16], struct str node,
    const struct flow_view *view);
void audit_event_gateway(
    struct buf *out, const uint8_t id[16], const struct audit_gateway *g);
void audit_event_name(
    struct buf *out, const uint8_t id[16], const struct audit_name *n);
void audit_event_asked(
    struct buf *out, const uint8_t id[16], const struct audit_asked *asked);
void audit_event_resumed(
    struct buf *out, const uint8_t id[16], const struct audit_resumed *resumed);

#endif
