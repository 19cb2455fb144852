#include "policy-lang/model/addrset.h"

#include <stdlib.h>
#include <string.h>

addr_num
addr_to_num(const struct ip_addr *addr)
{
	addr_num num = 0;

	for (size_t i = 0; i < ip_bytes(addr->family); i++)
		num = num << 8 | addr->bytes[i];
	return num;
}

void
addr_num_bytes(addr_num num, enum ip_family family, uint8_t out_bytes[16])
{
	memset(out_bytes, 0, 16);
	for (size_t i = ip_bytes(family); i-- > 0; num >>= 8)
		out_bytes[i] = (uint8_t)num;
}

struct ip_addr
addr_of_num(addr_num num, enum ip_family family)
{
	struct ip_addr addr = {.family = family};
	uint8_t bytes[16];

	addr_num_bytes(num, family, bytes);
	memcpy(addr.bytes, bytes, ip_bytes(family));
	return addr;
}

struct addr_range
prefix_to_range(const struct ip_prefix *prefix)
{
	struct ip_addr first, last;

	ip_prefix_range(prefix, &first, &last);
	return (struct addr_range){addr_to_num(&first), addr_to_num(&last)};
}

void
addrset_fini(struct addrset *set)
{
	free(set->ranges);
	memset(set, 0, sizeof(*set));
}

void
addrset_add(struct addrset *set, struct addr_range range)
{
	if (set->count == set->cap) {
		set->cap = set->cap == 0 ? 4 : 2 * set->cap;
		set->ranges =
		    xreallocarray(set->ranges, set->cap, sizeof(*set->ranges));
	}
	set->ranges[set->count++] = range;
}

void
addrset_add_prefixes(struct addrset *set, enum ip_family family,
    const struct ip_prefix *prefixes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (prefixes[i].addr.family == family)
			addrset_add(set, prefix_to_range(&prefixes[i]));
	}
}

void
addrset_add_set(struct addrset *set, const struct addrset *other)
{
	for (size_t i = 0; i < other->count; i++)
		addrset_add(set, other->ranges[i]);
}

static int
range_cmp(const void *a, const void *b)
{
	const struct addr_range *x = a, *y = b;

	if (x->lo != y->lo)
		return x->lo < y->lo ? -1 : 1;
	return (x->hi > y->hi) - (x->hi < y->hi);
}

void
addrset_normalise(struct addrset *set)
{
	size_t kept = 0;

	if (set->count == 0)
		return;
	qsort(set->ranges, set->count, sizeof(*set->ranges), range_cmp);
	for (size_t i = 1; i < set->count; i++) {
		struct addr_range *last = &set->ranges[kept];
		const struct addr_range *r = &set->ranges[i];

		/* Touching: r->lo is not 0 unless it overlaps, so no wrap-around. */
		if (r->lo <= last->hi || r->lo - 1 == last->hi) {
			if (r->hi > last->hi)
				last->hi = r->hi;
		} else {
			set->ranges[++kept] = *r;
		}
	}
	set->count = kept + 1;
}

void
addrset_subtract(struct addrset *set, const struct addrset *other)
{
	struct addrset left = {0};
	size_t j = 0;

	for (size_t i = 0; i < set->count; i++) {
		struct addr_range rest = set->ranges[i];
		bool any = true;

		while (j < other->count && other->ranges[j].hi < rest.lo)
			j++;
		/* The last of them may reach into the next range too: do not skip it. */
		for (size_t k = j; k < other->count && other->ranges[k].lo <= rest.hi;
		     k++) {
			const struct addr_range *cut = &other->ranges[k];

			if (cut->lo > rest.lo)
				addrset_add(
				    &left, (struct addr_range){rest.lo, cut->lo - 1});
			if (cut->hi >= rest.hi) {
				any = false;
				break;
			}
			rest.lo = cut->hi + 1;
		}
		if (any)
			addrset_add(&left, rest);
	}
	addrset_fini(set);
	*set = left;
}

bool
addrset_has(const struct addrset *set, addr_num addr)
{
	size_t lo = 0, hi = set->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (addr < set->ranges[mid].lo)
			hi = mid;
		else if (addr > set->ranges[mid].hi)
			lo = mid + 1;
		else
			return true;
	}
	return false;
}
