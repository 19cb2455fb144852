/*
 * Addresses as sockets have them.
 */
#ifndef ENFORCER_SOCKET_ADDRESS_H
#define ENFORCER_SOCKET_ADDRESS_H

#include <netinet/in.h>

#include "common/ip.h"

struct socket_address {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} at;
	socklen_t len;
};

MUST_CHECK struct socket_address socket_address(
    const struct ip_addr *addr, uint16_t port);
/* False: of neither family. */
MUST_CHECK bool socket_address_ip(
    const struct socket_address *from, struct ip_addr *out_addr);

#endif
