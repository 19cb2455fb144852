#include "enforcer/socket_address.h"

#include <string.h>

struct socket_address
socket_address(const struct ip_addr *addr, uint16_t port)
{
	struct socket_address out = {.len = sizeof(out.at.v4)};

	if (addr->family == IP_V6) {
		out.len = sizeof(out.at.v6);
		out.at.v6.sin6_family = AF_INET6;
		out.at.v6.sin6_port = htons(port);
		memcpy(&out.at.v6.sin6_addr, addr->bytes, 16);
	} else {
		out.at.v4.sin_family = AF_INET;
		out.at.v4.sin_port = htons(port);
		memcpy(&out.at.v4.sin_addr, addr->bytes, 4);
	}
	return out;
}

bool
socket_address_ip(const struct socket_address *from, struct ip_addr *out_addr)
{
	*out_addr = (struct ip_addr){.family = IP_V4};
	if (from->at.any.sa_family == AF_INET) {
		memcpy(out_addr->bytes, &from->at.v4.sin_addr, 4);
		return true;
	}
	out_addr->family = IP_V6;
	memcpy(out_addr->bytes, &from->at.v6.sin6_addr, 16);
	return from->at.any.sa_family == AF_INET6;
}
