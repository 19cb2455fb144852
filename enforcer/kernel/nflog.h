/*
 * NFLOG: packets that rule chains log. The kernel role opens and binds the socket; the
 * engine, which has no power over it, only reads.
 */
#ifndef ENFORCER_NFLOG_H
#define ENFORCER_NFLOG_H

#include "common/err.h"
#include "common/ip.h"

/* ---- the kernel role's part ---- */

/* Opens a socket, not bound to any group yet. */
MUST_CHECK int nflog_open(int *out_fd, struct err *err);
#define NFLOG_HEADERS 128  /* bytes: IPv6, an extension header or two, ports */
#define NFLOG_WHOLE   8192 /* more than an answer over UDP has */
/* Binds it to a group: the first bytes of packets, numbered. ERR_EXISTS while somebody else
 * has the group. */
MUST_CHECK int nflog_bind(int fd, uint16_t group, uint32_t copy_bytes, struct err *err);

/* ---- the engine's part; pure ---- */

/* One packet, as far as it says who wanted to reach whom. */
struct nflog_packet {
	uint32_t number; /* of the rule that logged it */
	struct ip_addr src, dst;
	uint8_t proto;
	bool has_ports;
	uint16_t src_port, dst_port;
	bool has_seq;
	uint32_t seq;   /* counts what the group logged: a gap is a loss */
	bool to_node;   /* seen in input, not in forward; or ... */
	bool from_node; /* ... in output */
	bool audit;     /* no packet: a connection that the rule would have denied */
	bool cut; /* no packet: a connection that was there, and that the rule ended */
	/* Of a connection that policy for its destination forbids, whatever the source's says. */
	bool at_destination;
	const uint8_t
	    *rest; /* after the IP headers; borrowed from what was read; NULL */
	size_t rest_bytes;
};

typedef void (*nflog_packet_fn)(void *arg, const struct nflog_packet *packet);

/* Reads what one recv gave; calls `each` for every packet that is understood. Returns how
 * many were not. */
MUST_CHECK size_t nflog_read(
    const uint8_t *data, size_t len, nflog_packet_fn each, void *arg);
/* Reads an IP packet's headers, of which the end may be missing. False: it is none. */
MUST_CHECK bool nflog_parse_ip(
    const uint8_t *data, size_t len, struct nflog_packet *out_packet);

#endif
