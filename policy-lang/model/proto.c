#include "policy-lang/model/proto.h"

#include <stdio.h>

static const struct {
	const char *lower, *upper;
	uint8_t proto;
} proto_names[] = {
    {"tcp", "TCP", PROTO_TCP},
    {"udp", "UDP", PROTO_UDP},
    {"sctp", "SCTP", PROTO_SCTP},
    {"icmp", "ICMP", PROTO_ICMP},
    {"icmpv6", "ICMPV6", PROTO_ICMPV6},
};

const char *
proto_name(uint8_t proto, char *out)
{
	const char *name = NULL;

	if (proto == PROTO_ANY)
		name = "any";
	for (size_t i = 0; i < ARRAY_LEN(proto_names); i++) {
		if (proto_names[i].proto == proto)
			name = proto_names[i].lower;
	}
	if (name != NULL)
		(void)snprintf(out, 8, "%s", name); /* the longest is icmpv6 */
	else
		(void)snprintf(out, 8, "%u", (unsigned)proto);
	return out;
}

bool
proto_has_ports(uint8_t proto)
{
	return proto == PROTO_TCP || proto == PROTO_UDP || proto == PROTO_SCTP;
}

bool
proto_parse(struct str text, uint8_t *out_proto)
{
	for (size_t i = 0; i < ARRAY_LEN(proto_names); i++) {
		if (str_is(text, proto_names[i].lower) ||
		    str_is(text, proto_names[i].upper)) {
			*out_proto = proto_names[i].proto;
			return true;
		}
	}
	return false;
}
