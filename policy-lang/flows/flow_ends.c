#include "policy-lang/flows/flow_ends.h"

/* What Kubernetes makes of random numbers: no vowels, no digits that look like them. */
static bool
is_generated(struct str s, size_t min, size_t max)
{
	if (s.len < min || s.len > max)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (str_find(STR("bcdfghjklmnpqrstvwxz2456789"), s.ptr[i], 0) == 27)
			return false;
	}
	return true;
}

/* Cuts the last "-xxxxx" off a name, if it was generated. */
static bool
cut_suffix(struct str *name, size_t min, size_t max)
{
	size_t dash = name->len;

	while (dash > 0 && name->ptr[dash - 1] != '-' && name->ptr[dash - 1] != '/')
		dash--;
	if (dash < 2 || name->ptr[dash - 1] != '-' ||
	    !is_generated(str_slice(*name, dash, name->len), min, max))
		return false;
	*name = str_slice(*name, 0, dash - 1);
	return true;
}

/* A name that is a workload's or node's, not an address in a name's place. */
static bool
find_name(struct resolver *resolver, struct str name, struct endpoint *out_end)
{
	return name.len > 0 && resolver_knows(resolver, name, out_end);
}

/* web-5d4f8c7b9-x2x4z, then its ReplicaSet web-5d4f8c7b9, then its Deployment web. */
static bool
find_workload(
    struct resolver *resolver, const struct flowlog_end *end, struct endpoint *out_end)
{
	struct str name = end->name;

	if (find_name(resolver, name, out_end) ||
	    find_name(resolver, end->owner, out_end))
		return true;
	if (!cut_suffix(&name, 5, 5))
		return false;
	if (find_name(resolver, name, out_end))
		return true;
	return cut_suffix(&name, 8, 10) && find_name(resolver, name, out_end);
}

static bool
find_end(struct resolver *resolver, const struct model *m,
    const struct flowlog_end *end, struct endpoint *out_end)
{
	if (end->name.len > 0 || end->owner.len > 0)
		return find_workload(resolver, end, out_end);
	if (!end->has_addr)
		return false;
	*out_end = endpoint_of_addr(m, end->addr);
	return true;
}

bool
flow_ends_find(struct resolver *resolver, const struct model *m,
    const struct flowlog_record *record, struct endpoint *out_src,
    struct endpoint *out_dst, const struct flowlog_end **out_unknown)
{
	*out_unknown = &record->src;
	if (!find_end(resolver, m, &record->src, out_src))
		return false;
	*out_unknown = &record->dst;
	return find_end(resolver, m, &record->dst, out_dst);
}

unsigned
flow_ends_family(const struct flowlog_record *record)
{
	if (record->src.has_addr)
		return record->src.addr.family;
	return record->dst.has_addr ? record->dst.addr.family : 0;
}
