/*
 * Sets of addresses of one family, as sorted ranges that neither overlap nor touch.
 * Addresses are numbers here, so that both families are one algebra.
 */
#ifndef POLICY_LANG_ADDRSET_H
#define POLICY_LANG_ADDRSET_H

#include "common/ip.h"

/* An address of either family as a number; an IPv4 address is below 2^32. */
__extension__ typedef unsigned __int128 addr_num;

struct addr_range {
	addr_num lo, hi; /* both in */
};

struct addrset {
	struct addr_range *ranges;
	size_t count;
	size_t cap;
};

MUST_CHECK addr_num addr_to_num(const struct ip_addr *addr);
/* Network order, as in struct ip_addr: 4 or 16 bytes; the rest of 16 is zero. */
void addr_num_bytes(addr_num num, enum ip_family family, uint8_t out_bytes[16]);
MUST_CHECK struct ip_addr addr_of_num(addr_num num, enum ip_family family);
MUST_CHECK struct addr_range prefix_to_range(const struct ip_prefix *prefix);

/* {0} is the empty set. Frees what the set owns. */
void addrset_fini(struct addrset *set);
/* Adds a range in any order. Until addrset_normalise nothing else may be asked. */
void addrset_add(struct addrset *set, struct addr_range range);
/* Adds those of the prefixes that are of the family. */
void addrset_add_prefixes(struct addrset *set, enum ip_family family,
    const struct ip_prefix *prefixes, size_t count);
void addrset_add_set(struct addrset *set, const struct addrset *other);
/* Sorts, and joins ranges that overlap or touch. */
void addrset_normalise(struct addrset *set);
/* Takes out what is in `other`; both normalised. */
void addrset_subtract(struct addrset *set, const struct addrset *other);
/* True if the address is in the (normalised) set. */
MUST_CHECK bool addrset_has(const struct addrset *set, addr_num addr);

#endif
