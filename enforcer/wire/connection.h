/*
 * A connection that conntrack knows, as processes tell each other of it. Pure.
 */
#ifndef ENFORCER_CONNECTION_H
#define ENFORCER_CONNECTION_H

#include "common/ip.h"
#include "common/proc.h"

struct connection {
	uint32_t id; /* conntrack's: so that another with the same ends is not meant */
	uint16_t zone;
	bool zone_one_way; /* the zone is of this direction only */
	bool to_node;      /* ends in the node itself: policy sees it in input ... */
	bool from_node;    /* ... began there: in output; neither: in forward */
	uint8_t proto;
	/* As it began. Protocols without ports: 0; ICMP: its id, and type << 8 | code. */
	struct ip_addr src, dst;
	uint16_t src_port, dst_port;
	/* What policy judges: the first packet as it passes the hooks, its destination
	 * translated already; for one that belongs to another (FTP's data), that one. */
	struct {
		uint8_t proto;
		struct ip_addr src, dst;
		uint16_t src_port, dst_port;
	} judged;
};

/* In one message; what one answer of the kernel holds comes on top of CONNECTIONS_SOME. */
#define CONNECTIONS_MOST 1000
#define CONNECTIONS_SOME 400

MUST_CHECK bool connection_has_ports(uint8_t proto);
/* True for ICMP and ICMPv6, whose ports in a connection are none. */
MUST_CHECK bool connection_is_icmp(uint8_t proto);

void connection_put(struct buf *out, const struct connection *c);
/* Reads one; the reader is not ok afterwards if it is malformed. */
void connection_get(struct proc_reader *r, struct connection *out);
/* u32 count, then that many. Reading: into the arena; false: malformed, or more than
 * CONNECTIONS_MOST. */
void connections_put(struct buf *out, const struct connection *list, size_t count);
MUST_CHECK bool connections_get(struct arena *arena, struct proc_reader *r,
    struct connection **out_list, size_t *out_count);

#endif
