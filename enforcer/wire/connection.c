#include "enforcer/wire/connection.h"

#include <netinet/in.h>
#include <string.h>

bool
connection_has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP ||
	       proto == IPPROTO_DCCP || proto == IPPROTO_UDPLITE;
}

bool
connection_is_icmp(uint8_t proto)
{
	return proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
}

static void
put_addr(struct buf *out, const struct ip_addr *addr)
{
	buf_add(out, addr->bytes, sizeof(addr->bytes));
}

void
connection_put(struct buf *out, const struct connection *c)
{
	proc_put_u32(out, c->id);
	proc_put_u16(out, c->zone);
	proc_put_u8(out, c->zone_one_way);
	proc_put_u8(out, c->to_node);
	proc_put_u8(out, c->from_node);
	proc_put_u8(out, (uint8_t)c->src.family);
	proc_put_u8(out, c->proto);
	put_addr(out, &c->src);
	put_addr(out, &c->dst);
	proc_put_u16(out, c->src_port);
	proc_put_u16(out, c->dst_port);
	proc_put_u8(out, c->judged.proto);
	put_addr(out, &c->judged.src);
	put_addr(out, &c->judged.dst);
	proc_put_u16(out, c->judged.src_port);
	proc_put_u16(out, c->judged.dst_port);
}

static void
get_addr(struct proc_reader *r, enum ip_family family, struct ip_addr *out)
{
	const uint8_t *bytes = proc_get_bytes(r, sizeof(out->bytes));

	out->family = family;
	if (bytes == NULL)
		return;
	memcpy(out->bytes, bytes, sizeof(out->bytes));
	/* Of an IPv4 address nothing may hide behind its four bytes. */
	for (size_t i = ip_bytes(family); i < sizeof(out->bytes); i++)
		r->ok = r->ok && out->bytes[i] == 0;
}

void
connection_get(struct proc_reader *r, struct connection *out)
{
	enum ip_family family;

	memset(out, 0, sizeof(*out));
	out->id = proc_get_u32(r);
	out->zone = proc_get_u16(r);
	out->zone_one_way = proc_get_u8(r) != 0;
	out->to_node = proc_get_u8(r) != 0;
	out->from_node = proc_get_u8(r) != 0;
	family = (enum ip_family)proc_get_u8(r);
	if (family != IP_V4 && family != IP_V6) {
		r->ok = false;
		return;
	}
	out->proto = proc_get_u8(r);
	get_addr(r, family, &out->src);
	get_addr(r, family, &out->dst);
	out->src_port = proc_get_u16(r);
	out->dst_port = proc_get_u16(r);
	out->judged.proto = proc_get_u8(r);
	get_addr(r, family, &out->judged.src);
	get_addr(r, family, &out->judged.dst);
	out->judged.src_port = proc_get_u16(r);
	out->judged.dst_port = proc_get_u16(r);
}

void
connections_put(struct buf *out, const struct connection *list, size_t count)
{
	proc_put_u32(out, (uint32_t)count);
	for (size_t i = 0; i < count; i++)
		connection_put(out, &list[i]);
}

bool
connections_get(struct arena *arena, struct proc_reader *r,
    struct connection **out_list, size_t *out_count)
{
	uint32_t count = proc_get_u32(r);

	*out_list = NULL;
	*out_count = 0;
	if (!r->ok || count > CONNECTIONS_MOST)
		return false;
	*out_list = ARENA_ARRAY(arena, count, struct connection);
	for (uint32_t i = 0; i < count && r->ok; i++)
		connection_get(r, &(*out_list)[i]);
	*out_count = count;
	return r->ok;
}
