/*
 * Addresses, prefixes and ports.
 */
#include <string.h>

#include "policy-lang/load/load_internal.h"

/* ---- addresses ---- */

bool
load_too_many_addresses(struct loader *l, const struct doc_node *list)
{
	if (list->count <= LIMIT_ADDRESSES)
		return false;
	diag_say(l->diags, CODE_TOO_MANY, list->loc, "more than %u addresses",
	    LIMIT_ADDRESSES);
	return true;
}

bool
load_address(struct loader *l, const struct doc_node *node, struct ip_addr *out)
{
	if (node->kind != DOC_STRING)
		return schema_wrong_type(
		    l->diags, node, "an address", TYPE_STRING, LOAD_ADVICE_IP);
	if (ip_parse(node->text, out))
		return true;
	if (node->text.len != 0)
		diag_say(l->diags, CODE_BAD_ADDRESS, node->loc,
		    "\"%.*s\" is not an IP address", STR_ARG(node->text));
	return false;
}

/* ---- prefixes ---- */

/* "010.0.0.0/08" -> "10.0.0.0/8": each decimal number at or after `from` without its
 * leading zeros. False if the text does not fit. */
static bool
strip_zeros(struct str text, size_t from, char *out, size_t room, struct str *out_text)
{
	bool digits_before = false;
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		bool next_is_digit = i + 1 < text.len && text.ptr[i + 1] >= '0' &&
				     text.ptr[i + 1] <= '9';

		if (i >= from && c == '0' && !digits_before && next_is_digit)
			continue;
		digits_before = c >= '0' && c <= '9';
		if (len == room)
			return false;
		out[len++] = c;
	}
	*out_text = (struct str){out, len};
	return true;
}

/* "::ffff:10.0.0.0/104" -> "10.0.0.0/8". */
static bool
parse_mapped(struct str text, struct ip_prefix *out, bool *out_masked)
{
	size_t slash = str_find(text, '/', 0);
	char rest[IP_TEXT_BYTES];
	size_t skip;
	uint64_t len;
	struct buf v4 = {0};
	bool ok;

	if (!str_starts(text, STR("::ffff:")) && !str_starts(text, STR("::FFFF:")))
		return false;
	skip = STR("::ffff:").len;
	if (slash - skip >= sizeof(rest) || slash < skip ||
	    !str_to_u64(str_slice(text, slash + 1, text.len), 128, &len) || len < 96)
		return false;
	buf_add_str(&v4, str_slice(text, skip, slash));
	buf_printf(&v4, "/%u", (unsigned)len - 96);
	ok = ip_prefix_parse(buf_str(&v4), out, out_masked);
	buf_free(&v4);
	return ok;
}

static bool
parse_loose(struct str text, struct ip_prefix *out, bool *out_masked, bool *out_mapped)
{
	bool v4 = str_find(text, ':', 0) == text.len;
	char stripped[IP_TEXT_BYTES];
	struct str plain;

	/* The groups of an IPv6 address may have leading zeros; its length may not. */
	if (!strip_zeros(text, v4 ? 0 : str_find(text, '/', 0), stripped,
		sizeof(stripped), &plain))
		return false;
	*out_mapped = parse_mapped(plain, out, out_masked);
	return *out_mapped || ip_prefix_parse(plain, out, out_masked);
}

static bool
bad_cidr(struct loader *l, const struct doc_node *node)
{
	struct diag *d = diag_say(l->diags, CODE_BAD_CIDR, node->loc,
	    "\"%.*s\" is not an address prefix", STR_ARG(node->text));
	char text[IP_TEXT_BYTES];
	struct ip_addr addr;

	if (ip_parse(node->text, &addr))
		diag_hint(l->diags, d, "for the one address, write %s/%u",
		    ip_format(&addr, text), ip_bits(addr.family));
	return false;
}

bool
load_cidr(struct loader *l, const struct doc_node *node, bool loose,
    struct ip_prefix *out, bool *out_mapped)
{
	bool masked = false, mapped = false, odd = false;
	char text[IP_TEXT_BYTES];

	if (out_mapped != NULL)
		*out_mapped = false;
	if (node->kind != DOC_STRING)
		return schema_wrong_type(
		    l->diags, node, "a CIDR", TYPE_STRING, LOAD_ADVICE_CIDR);
	if (!ip_prefix_parse(node->text, out, &masked)) {
		odd = loose && parse_loose(node->text, out, &masked, &mapped);
		if (!odd)
			return bad_cidr(l, node);
	}
	if (masked || odd)
		diag_say(l->diags, CODE_LOOSE_CIDR, node->loc, "\"%.*s\" is read as %s",
		    STR_ARG(node->text), ip_prefix_format(out, text));
	if (out_mapped != NULL)
		*out_mapped = mapped;
	return true;
}

static bool
load_except(struct loader *l, const struct doc_node *item, enum api_style style,
    const struct ip_prefix *cidr, bool cidr_mapped, struct ip_prefix *out)
{
	char text[IP_TEXT_BYTES];
	bool mapped;

	if (item->kind == DOC_NULL && style == API_CORE) {
		diag_say(l->diags, CODE_BAD_CIDR, item->loc, "an exception is null");
		return false;
	}
	if (!load_cidr(l, item, style == API_CORE, out, &mapped))
		return false;
	if (mapped == cidr_mapped && out->len > cidr->len &&
	    ip_prefix_covers(cidr, out))
		return true;
	diag_say(l->diags, CODE_BAD_EXCEPT, item->loc,
	    "an exception must be a smaller part of %s", ip_prefix_format(cidr, text));
	return false;
}

bool
load_block(struct loader *l, const struct doc_node *cidr, const struct doc_node *except,
    enum api_style style, struct peer *peer)
{
	struct ip_prefix *prefix = ARENA_NEW(l->arena, struct ip_prefix);
	struct ip_prefix *excepts;
	bool ok = true, mapped;

	if (!load_cidr(l, cidr, style == API_CORE, prefix, &mapped))
		return false;
	peer->kind = PEER_NETWORK;
	peer->prefixes = prefix;
	peer->prefix_count = 1;
	if (except == NULL)
		return true;
	excepts = ARENA_ARRAY(l->arena, except->count, struct ip_prefix);
	for (uint32_t i = 0; i < except->count; i++)
		ok &= load_except(
		    l, except->u.items[i], style, prefix, mapped, &excepts[i]);
	peer->excepts = excepts;
	peer->except_count = except->count;
	return ok;
}

/* ---- ports, as native rules write them ---- */

static bool
bad_port(struct loader *l, const struct doc_node *node, const char *why)
{
	diag_say(l->diags, CODE_BAD_PORT, node->loc, "the port \"%.*s\" %s",
	    STR_ARG(node->text), why);
	return false;
}

/* "443" or "8000-8080". False if it is not made of digits (then it may be a name). */
static bool
is_numeric(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if ((s.ptr[i] < '0' || s.ptr[i] > '9') && s.ptr[i] != '-')
			return false;
	}
	return s.len != 0;
}

static bool
parse_range(
    struct loader *l, const struct doc_node *node, struct str s, struct port_match *out)
{
	size_t dash = str_find(s, '-', 0);
	uint64_t lo, hi;

	if (!str_to_u64(str_slice(s, 0, dash), UINT16_MAX, &lo))
		return bad_port(l, node, "must be from 1 to 65535");
	hi = lo;
	if (dash != s.len &&
	    !str_to_u64(str_slice(s, dash + 1, s.len), UINT16_MAX, &hi))
		return bad_port(l, node, "must end with a number from 1 to 65535");
	if (lo == 0)
		return bad_port(l, node, "must be from 1 to 65535");
	if (hi < lo)
		return bad_port(l, node, "ends before it begins");
	out->lo = (uint16_t)lo;
	out->hi = (uint16_t)hi;
	return true;
}

bool
load_native_port(struct loader *l, const struct doc_node *node, struct port_match *out)
{
	static const char *const protocols[] = {"tcp", "udp", "sctp", "icmp", "icmpv6"};
	struct str rest, first;
	const char *nearest;
	struct diag *d;

	*out = (struct port_match){.kind = PORT_NUMBERS, .loc = node->loc};
	if (node->kind == DOC_INT) {
		d = diag_say(
		    l->diags, CODE_BAD_PORT, node->loc, "a port needs its protocol");
		diag_hint(l->diags, d, "write %.*s/tcp", STR_ARG(node->text));
		return false;
	}
	if (node->kind == DOC_MAP) {
		d = diag_say(l->diags, CODE_WRONG_TYPE, node->loc,
		    "a port must be a string, not a map");
		diag_hint(
		    l->diags, d, "write 443/tcp, 8000-8080/tcp, or a port's name");
		return false;
	}
	if (!schema_type(l->diags, node, "a port", TYPE_STRING))
		return false;
	out->hi = UINT16_MAX;
	if (proto_parse(node->text, &out->proto))
		return true; /* the whole protocol */
	rest = node->text;
	first = str_split(&rest, '/');
	if (rest.ptr != NULL && !proto_parse(rest, &out->proto)) {
		d = diag_say(l->diags, CODE_BAD_PORT, node->loc,
		    "\"%.*s\" is not a protocol", STR_ARG(rest));
		nearest = nearest_of(rest, protocols, ARRAY_LEN(protocols));
		if (nearest != NULL)
			diag_hint(l->diags, d, "did you mean %s?", nearest);
		else
			diag_hint(l->diags, d, "tcp, udp, sctp, icmp or icmpv6");
		return false;
	}
	if (rest.ptr != NULL && !proto_has_ports(out->proto))
		return bad_port(l, node, "is of a protocol that has no ports");
	if (is_numeric(first)) {
		if (rest.ptr == NULL)
			return bad_port(l, node, "needs its protocol, as in 443/tcp");
		return parse_range(l, node, first, out);
	}
	if (!name_is_port(first)) {
		diag_say(l->diags, CODE_BAD_PORT, node->loc,
		    "\"%.*s\" is neither a port such as 443/tcp nor a port's name, "
		    "which is %s",
		    STR_ARG(first), NAME_PORT_RULE);
		return false;
	}
	out->kind = PORT_NAMED;
	out->lo = out->hi = 0;
	out->name = load_text(l, first);
	return true;
}
