/*
 * Telling the neighbours on a link that an address is here now: a gratuitous ARP request
 * (RFC 5227), an unsolicited neighbour advertisement (RFC 4861, 7.2.6).
 */
#ifndef ENFORCER_ANNOUNCE_H
#define ENFORCER_ANNOUNCE_H

#include "common/err.h"
#include "common/ip.h"

struct announce_link {
	uint32_t interface;
	bool has_mac; /* else there is nobody to tell */
	uint8_t mac[6];
};

#define ANNOUNCE_BYTES_MAX 72

/* A socket that only sends; takes CAP_NET_RAW. */
MUST_CHECK int announce_open(int *out_fd, struct err *err);
/* Tells them, as well as it can: who does not hear it asks. */
void announce(int fd, const struct announce_link *link, const struct ip_addr *addr);
/* The packet, without a link's header; returns its length. Pure. */
MUST_CHECK size_t announce_packet(const struct announce_link *link,
    const struct ip_addr *addr, uint8_t out[ANNOUNCE_BYTES_MAX]);

#endif
