#include "common/ip_socket.h"

#include <arpa/inet.h>
#include <string.h>

int
ip_socket_family(enum ip_family family)
{
	return family == IP_V6 ? AF_INET6 : AF_INET;
}

socklen_t
ip_to_socket(const struct ip_addr *addr, uint16_t port, union ip_socket *out)
{
	memset(out, 0, sizeof(*out));
	if (addr->family == IP_V6) {
		out->v6.sin6_family = AF_INET6;
		out->v6.sin6_port = htons(port);
		memcpy(&out->v6.sin6_addr, addr->bytes, sizeof(out->v6.sin6_addr));
		return sizeof(out->v6);
	}
	out->v4.sin_family = AF_INET;
	out->v4.sin_port = htons(port);
	memcpy(&out->v4.sin_addr, addr->bytes, sizeof(out->v4.sin_addr));
	return sizeof(out->v4);
}

/* Callers' bytes need not be aligned. */
static bool
from_v6(const struct sockaddr *from, struct ip_addr *out_addr, in_port_t *out_port)
{
	struct sockaddr_in6 v6;

	memcpy(&v6, from, sizeof(v6));
	*out_port = v6.sin6_port;
	if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
		*out_addr = (struct ip_addr){.family = IP_V4};
		memcpy(out_addr->bytes, v6.sin6_addr.s6_addr + 12, 4);
		return true;
	}
	*out_addr = (struct ip_addr){.family = IP_V6};
	memcpy(out_addr->bytes, &v6.sin6_addr, sizeof(v6.sin6_addr));
	return true;
}

static bool
from_v4(const struct sockaddr *from, struct ip_addr *out_addr, in_port_t *out_port)
{
	struct sockaddr_in v4;

	memcpy(&v4, from, sizeof(v4));
	*out_port = v4.sin_port;
	*out_addr = (struct ip_addr){.family = IP_V4};
	memcpy(out_addr->bytes, &v4.sin_addr, sizeof(v4.sin_addr));
	return true;
}

bool
ip_from_socket(
    const struct sockaddr *from, struct ip_addr *out_addr, uint16_t *out_port)
{
	in_port_t port = 0;
	bool ok = from != NULL &&
		  ((from->sa_family == AF_INET && from_v4(from, out_addr, &port)) ||
		      (from->sa_family == AF_INET6 && from_v6(from, out_addr, &port)));

	if (ok && out_port != NULL)
		*out_port = ntohs(port);
	return ok;
}
