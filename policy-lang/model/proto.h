/*
 * Protocols that policy knows by name.
 */
#ifndef POLICY_LANG_PROTO_H
#define POLICY_LANG_PROTO_H

#include "common/base.h"
#include "common/str.h"

/* IP protocol numbers; PROTO_ANY is "whatever protocol". */
enum proto {
	PROTO_ANY = 0,
	PROTO_ICMP = 1,
	PROTO_TCP = 6,
	PROTO_UDP = 17,
	PROTO_ICMPV6 = 58,
	PROTO_SCTP = 132,
};

/* "tcp", "udp", "sctp", "icmp", "icmpv6", "any", else the number; `out` >= 8 bytes. */
const char *proto_name(uint8_t proto, char *out);
/* True for tcp, udp and sctp. */
MUST_CHECK bool proto_has_ports(uint8_t proto);
/* Parses tcp|udp|sctp|icmp|icmpv6 in lower or upper case. */
MUST_CHECK bool proto_parse(struct str text, uint8_t *out_proto);

#endif
