/*
 * Addresses and ports as sockets have them.
 */
#ifndef COMMON_IP_SOCKET_H
#define COMMON_IP_SOCKET_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "common/ip.h"

union ip_socket {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* AF_INET or AF_INET6. */
MUST_CHECK int ip_socket_family(enum ip_family family);
/* Returns how many bytes of it count. */
MUST_CHECK socklen_t ip_to_socket(
    const struct ip_addr *addr, uint16_t port, union ip_socket *out);
/* False for NULL, and for other families. IPv4 in IPv6 (::ffff:0:0/96) is IPv4. `out_port`
 * may be NULL. */
MUST_CHECK bool ip_from_socket(
    const struct sockaddr *from, struct ip_addr *out_addr, uint16_t *out_port);

#endif
