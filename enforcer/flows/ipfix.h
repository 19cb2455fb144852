/*
 * Flow records as IPFIX messages (RFC 7011), one template for each address family. Pure:
 * time is an argument. What a standard element can say is said in one; names of workloads and
 * policies have none, and are sent where an enterprise number is configured.
 */
#ifndef ENFORCER_IPFIX_H
#define ENFORCER_IPFIX_H

#include "enforcer/flows/flow_view.h"

#define IPFIX_MESSAGE_BYTES  1400 /* a datagram that no path breaks up */
#define IPFIX_TEMPLATE_NS    UINT64_C(30000000000) /* sent again, as UDP forgets */
#define IPFIX_TEMPLATE_IPV4  256
#define IPFIX_TEMPLATE_IPV6  257
#define IPFIX_TEMPLATE_CROWD 258

/* Elements of our own, beside the enterprise's number. All are strings. */
enum ipfix_own {
	IPFIX_OWN_SOURCE = 1, /* "/shop/web", "node/n1" */
	IPFIX_OWN_DESTINATION,
	IPFIX_OWN_TENANT,
	IPFIX_OWN_VERDICT, /* as in the flow log: "deny", "allow", "cut", "audit" */
	IPFIX_OWN_REASON,
};

struct ipfix {
	uint32_t domain;     /* observation domain */
	uint32_t enterprise; /* 0: none; no element of our own is sent */
	uint32_t sequence;   /* records sent before */
	bool stream; /* TCP: templates are sent once, when it begins (ipfix_begin) */
	bool has_template;
	monotime_t template_sent;
};

/* Appends what a stream begins with: a message of the templates. `next`: the message that
 * follows; empty: the next one. */
void ipfix_begin(
    struct buf *out, const struct ipfix *x, struct str next, walltime_t wall);
/* Appends whole messages: templates if it is time for them, and the record. */
void ipfix_add(struct buf *out, struct ipfix *x, const struct flow_view *view,
    monotime_t now, walltime_t wall);

#endif
