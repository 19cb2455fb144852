#include "common/ip.h"

#include <stdio.h>
#include <string.h>

#define GROUPS 8 /* of 16 bits in an IPv6 address */

unsigned
ip_bits(enum ip_family family)
{
	return family == IP_V4 ? 32 : 128;
}

size_t
ip_bytes(enum ip_family family)
{
	return family == IP_V4 ? 4 : 16;
}

/* Four decimal numbers to 255 without leading zeros. */
static bool
parse_v4(struct str text, uint8_t *out)
{
	struct str rest = text;

	for (int i = 0; i < 4; i++) {
		struct str part = str_split(&rest, '.');
		uint64_t value;

		if ((rest.ptr == NULL) != (i == 3) || !str_to_u64(part, 255, &value))
			return false;
		out[i] = (uint8_t)value;
	}
	return true;
}

/* One to four hexadecimal digits. */
static bool
parse_group(struct str text, uint8_t *out)
{
	unsigned value = 0;

	if (text.len == 0 || text.len > 4)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		int digit = str_hex_digit(text.ptr[i]);

		if (digit < 0)
			return false;
		value = value << 4 | (unsigned)digit;
	}
	out[0] = (uint8_t)(value >> 8);
	out[1] = (uint8_t)value;
	return true;
}

/* Groups between colons, the last of them perhaps a dotted quad; at most `room`
 * bytes. Returns the bytes written, -1 if it is not that. Empty text has none. */
static int
parse_groups(struct str text, uint8_t *out, int room, bool quad_allowed)
{
	struct str rest = text;
	int used = 0;

	if (text.len == 0)
		return 0;
	while (rest.ptr != NULL) {
		struct str part = str_split(&rest, ':');
		bool quad = str_find(part, '.', 0) != part.len;
		int size = quad ? 4 : 2;

		if (used + size > room)
			return -1;
		if (quad &&
		    (rest.ptr != NULL || !quad_allowed || !parse_v4(part, out + used)))
			return -1;
		if (!quad && !parse_group(part, out + used))
			return -1;
		used += size;
	}
	return used;
}

/* Where "::" is; text.len if it is nowhere. */
static size_t
find_gap(struct str text)
{
	for (size_t at = str_find(text, ':', 0); at < text.len;
	     at = str_find(text, ':', at + 1)) {
		if (at + 1 < text.len && text.ptr[at + 1] == ':')
			return at;
	}
	return text.len;
}

static bool
is_v4_mapped(const uint8_t *bytes)
{
	static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(bytes, prefix, sizeof(prefix)) == 0;
}

static bool
parse_v6(struct str text, uint8_t *out)
{
	uint8_t tail[16];
	size_t gap = find_gap(text);
	int head_len, tail_len;

	if (gap == text.len) {
		if (parse_groups(text, out, 16, true) != 16)
			return false;
	} else {
		/* The gap stands for at least one group (RFC 4291 2.2). */
		head_len = parse_groups(str_slice(text, 0, gap), out, 14, false);
		if (head_len < 0)
			return false;
		tail_len = parse_groups(
		    str_slice(text, gap + 2, text.len), tail, 14 - head_len, true);
		if (tail_len < 0)
			return false;
		memset(out + head_len, 0, (size_t)(16 - head_len));
		memcpy(out + 16 - tail_len, tail, (size_t)tail_len);
	}
	return !is_v4_mapped(out);
}

bool
ip_parse(struct str text, struct ip_addr *out_addr)
{
	struct ip_addr addr = {.family = IP_V4};
	bool ok;

	if (str_find(text, ':', 0) != text.len) {
		addr.family = IP_V6;
		ok = parse_v6(text, addr.bytes);
	} else {
		ok = parse_v4(text, addr.bytes);
	}
	if (ok)
		*out_addr = addr;
	return ok;
}

/* Bits of byte `i` that belong to the first `len` bits of the address. */
static uint8_t
prefix_mask(unsigned len, size_t i)
{
	size_t before = i * 8;

	if (len >= before + 8)
		return 0xff;
	if (len <= before)
		return 0;
	return (uint8_t)(0xff00u >> (len - before));
}

bool
ip_prefix_parse(struct str text, struct ip_prefix *out_prefix, bool *out_masked)
{
	struct ip_prefix prefix;
	struct str rest = text;
	struct str addr = str_split(&rest, '/');
	bool masked = false;
	uint64_t len;

	if (rest.ptr == NULL || !ip_parse(addr, &prefix.addr) ||
	    !str_to_u64(rest, ip_bits(prefix.addr.family), &len))
		return false;
	prefix.len = (uint8_t)len;
	for (size_t i = 0; i < ip_bytes(prefix.addr.family); i++) {
		uint8_t kept = prefix.addr.bytes[i] & prefix_mask(prefix.len, i);

		masked |= kept != prefix.addr.bytes[i];
		prefix.addr.bytes[i] = kept;
	}
	*out_prefix = prefix;
	if (out_masked != NULL)
		*out_masked = masked;
	return true;
}

/* The longest run of at least two zero groups, the first of equals (RFC 5952 4.2). */
static void
longest_gap(const unsigned *groups, int *out_start, int *out_len)
{
	*out_start = -1;
	*out_len = 1;
	for (int i = 0; i < GROUPS; i++) {
		int len = 0;

		while (i + len < GROUPS && groups[i + len] == 0)
			len++;
		if (len > *out_len) {
			*out_start = i;
			*out_len = len;
		}
		i += len;
	}
}

static void
format_v6(const uint8_t *bytes, char *out)
{
	unsigned groups[GROUPS];
	int gap, gap_len, used = 0;

	if (is_v4_mapped(bytes)) {
		(void)snprintf(out, IP_TEXT_BYTES, "::ffff:%u.%u.%u.%u", bytes[12],
		    bytes[13], bytes[14], bytes[15]);
		return;
	}
	for (int i = 0; i < GROUPS; i++)
		groups[i] = (unsigned)bytes[2 * i] << 8 | bytes[2 * i + 1];
	longest_gap(groups, &gap, &gap_len);
	for (int i = 0; i < GROUPS; i++) {
		const char *colon = i == 0 || i == gap + gap_len ? "" : ":";

		if (i == gap) {
			used +=
			    snprintf(out + used, IP_TEXT_BYTES - (size_t)used, "::");
			i += gap_len - 1;
			continue;
		}
		if (gap < 0 && i > 0)
			colon = ":";
		used += snprintf(
		    out + used, IP_TEXT_BYTES - (size_t)used, "%s%x", colon, groups[i]);
	}
}

const char *
ip_format(const struct ip_addr *addr, char *out)
{
	const uint8_t *b = addr->bytes;

	if (addr->family == IP_V4)
		(void)snprintf(
		    out, IP_TEXT_BYTES, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
	else
		format_v6(b, out);
	return out;
}

const char *
ip_prefix_format(const struct ip_prefix *prefix, char *out)
{
	size_t used = strlen(ip_format(&prefix->addr, out));

	(void)snprintf(out + used, IP_TEXT_BYTES - used, "/%u", prefix->len);
	return out;
}

int
ip_cmp(const struct ip_addr *a, const struct ip_addr *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->bytes, b->bytes, ip_bytes(a->family));
}

int
ip_order(const void *a, const void *b)
{
	return ip_cmp(a, b);
}

bool
ip_eq(const struct ip_addr *a, const struct ip_addr *b)
{
	return ip_cmp(a, b) == 0;
}

bool
ip_in_prefix(const struct ip_addr *addr, const struct ip_prefix *prefix)
{
	if (addr->family != prefix->addr.family)
		return false;
	for (size_t i = 0; i < ip_bytes(addr->family); i++) {
		uint8_t mask = prefix_mask(prefix->len, i);

		if ((addr->bytes[i] & mask) != prefix->addr.bytes[i])
			return false;
	}
	return true;
}

bool
ip_prefix_covers(const struct ip_prefix *outer, const struct ip_prefix *inner)
{
	return inner->len >= outer->len && ip_in_prefix(&inner->addr, outer);
}

void
ip_prefix_range(
    const struct ip_prefix *prefix, struct ip_addr *out_first, struct ip_addr *out_last)
{
	struct ip_addr first = prefix->addr, last = prefix->addr;

	for (size_t i = 0; i < ip_bytes(prefix->addr.family); i++)
		last.bytes[i] |= (uint8_t)~prefix_mask(prefix->len, i);
	*out_first = first;
	*out_last = last;
}

bool
ip_next(const struct ip_addr *addr, struct ip_addr *out_next)
{
	struct ip_addr next = *addr;

	for (size_t i = ip_bytes(addr->family); i-- > 0;) {
		next.bytes[i]++;
		if (next.bytes[i] != 0) {
			*out_next = next;
			return true;
		}
	}
	return false;
}

bool
ip_prev(const struct ip_addr *addr, struct ip_addr *out_prev)
{
	struct ip_addr prev = *addr;

	for (size_t i = ip_bytes(addr->family); i-- > 0;) {
		prev.bytes[i]--;
		if (prev.bytes[i] != 0xff) {
			*out_prev = prev;
			return true;
		}
	}
	return false;
}
