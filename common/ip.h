/*
 * IP addresses and prefixes of both families. Bytes in network order; an IPv4
 * address uses the first four. Strict parsing: no leading zeros in decimal numbers, no
 * zone, no address in ::ffff:0:0/96 however it is spelt (RFC 4291 2.2, RFC 6943 3.1.1).
 */
#ifndef COMMON_IP_H
#define COMMON_IP_H

#include "common/str.h"

enum ip_family {
	IP_V4 = 4,
	IP_V6 = 6
};

struct ip_addr {
	enum ip_family family;
	uint8_t bytes[16];
};

struct ip_prefix {
	struct ip_addr addr; /* host bits zero */
	uint8_t len;
};

#define IP_TEXT_BYTES 50 /* longest address or prefix, with its NUL */

MUST_CHECK bool ip_parse(struct str text, struct ip_addr *out_addr);
/* "address/length", nothing shorter. Masks host bits; *out_masked tells whether there
 * were any (may be NULL). */
MUST_CHECK bool ip_prefix_parse(
    struct str text, struct ip_prefix *out_prefix, bool *out_masked);
/* RFC 5952 text. `out` has IP_TEXT_BYTES. Returns out. */
const char *ip_format(const struct ip_addr *addr, char *out);
const char *ip_prefix_format(const struct ip_prefix *prefix, char *out);

MUST_CHECK unsigned ip_bits(enum ip_family family); /* 32 or 128 */
MUST_CHECK size_t ip_bytes(enum ip_family family);  /* 4 or 16 */
/* Family first, then numeric order. */
MUST_CHECK int ip_cmp(const struct ip_addr *a, const struct ip_addr *b);
/* The same of two struct ip_addr, for qsort and bsearch. */
MUST_CHECK int ip_order(const void *a, const void *b);
MUST_CHECK bool ip_eq(const struct ip_addr *a, const struct ip_addr *b);
MUST_CHECK bool ip_in_prefix(
    const struct ip_addr *addr, const struct ip_prefix *prefix);
/* True if every address of `inner` is in `outer` (equal prefixes included). */
MUST_CHECK bool ip_prefix_covers(
    const struct ip_prefix *outer, const struct ip_prefix *inner);
void ip_prefix_range(const struct ip_prefix *prefix, struct ip_addr *out_first,
    struct ip_addr *out_last);
/* The next or previous address; false if there is none in the family. */
MUST_CHECK bool ip_next(const struct ip_addr *addr, struct ip_addr *out_next);
MUST_CHECK bool ip_prev(const struct ip_addr *addr, struct ip_addr *out_prev);

#endif
