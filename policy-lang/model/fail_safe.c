#include "policy-lang/model/fail_safe.h"

#define BOTH_WAYS                                                                      \
	{PROTO_TCP, 179, 179}, /* BGP */                                               \
	    {PROTO_TCP, 2379, 2380} /* etcd: clients, peers */,                        \
	    {PROTO_TCP, 6443, 6443} /* the API server */,                              \
	{                                                                              \
		PROTO_TCP, 10250, 10250                                                \
	} /* kubelets */

static const struct fail_safe_port ingress[] = {
    {PROTO_TCP, 22, 22},   /* SSH */
    {PROTO_UDP, 68, 68},   /* answers of DHCP */
    {PROTO_UDP, 546, 546}, /* of DHCPv6 */
    BOTH_WAYS,
};

static const struct fail_safe_port egress[] = {
    {PROTO_TCP, 53, 53}, /* DNS */
    {PROTO_UDP, 53, 53},
    {PROTO_UDP, 67, 67},   /* DHCP */
    {PROTO_UDP, 547, 547}, /* DHCPv6 */
    BOTH_WAYS,
};

struct fail_safe
fail_safe_default(void)
{
	return (struct fail_safe){
	    .ports = {[DIR_INGRESS] = ingress, [DIR_EGRESS] = egress},
	    .count =
		{[DIR_INGRESS] = ARRAY_LEN(ingress), [DIR_EGRESS] = ARRAY_LEN(egress)},
	};
}

struct fail_safe
fail_safe_copy(struct arena *arena, const struct fail_safe *safe)
{
	struct fail_safe copy = *safe;

	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		struct fail_safe_port *ports =
		    ARENA_ARRAY(arena, safe->count[d], struct fail_safe_port);

		for (size_t i = 0; i < safe->count[d]; i++)
			ports[i] = safe->ports[d][i];
		copy.ports[d] = ports;
	}
	return copy;
}

bool
fail_safe_parse(struct str text, struct fail_safe_port *out_port)
{
	struct str proto = text;
	struct str ports = str_split(&proto, '/');
	size_t dash = str_find(ports, '-', 0);
	uint64_t lo, hi;

	if (proto.ptr == NULL || !proto_parse(proto, &out_port->proto) ||
	    !proto_has_ports(out_port->proto) ||
	    !str_to_u64(str_slice(ports, 0, dash), UINT16_MAX, &lo) || lo == 0)
		return false;
	hi = lo;
	if (dash != ports.len &&
	    !str_to_u64(str_slice(ports, dash + 1, ports.len), UINT16_MAX, &hi))
		return false;
	out_port->lo = (uint16_t)lo;
	out_port->hi = (uint16_t)hi;
	return lo <= hi;
}

bool
fail_safe_has(
    const struct fail_safe *safe, enum direction dir, uint8_t proto, uint16_t port)
{
	for (size_t i = 0; i < safe->count[dir]; i++) {
		const struct fail_safe_port *p = &safe->ports[dir][i];

		if (p->proto == proto && p->lo <= port && port <= p->hi)
			return true;
	}
	return false;
}
