#include "policy-lang/model/net_limit.h"

/* What a kernel can be told: a bucket is counted in nanoseconds, in 64 bits, a count of
 * connections in 32. */
#define RATE_MOST_MILLI (UINT64_C(1000000) * 1000)
#define COUNT_MOST      UINT32_MAX
#define BYTES_MOST      UINT64_C(16000000000)

static const struct {
	const char *name;
	size_t offset; /* in struct quota_network */
	uint64_t most;
} kinds[NETLIM_KINDS] = {
    [NETLIM_RATE] = {"connectionsPerSecond",
	offsetof(struct quota_network, per_second_milli), RATE_MOST_MILLI},
    [NETLIM_COUNT] = {"connections", offsetof(struct quota_network, connections),
	COUNT_MOST},
    [NETLIM_OUT] = {"egressBytesPerSecond",
	offsetof(struct quota_network, egress_bytes_per_second), BYTES_MOST},
    [NETLIM_IN] = {"ingressBytesPerSecond",
	offsetof(struct quota_network, ingress_bytes_per_second), BYTES_MOST},
};

const char *
net_limit_name(enum net_limit kind)
{
	return kinds[kind].name;
}

uint64_t
net_limit_value(const struct quota *q, enum net_limit kind)
{
	const char *network = (const char *)&q->network;
	uint64_t value =
	    *(const uint64_t *)(const void *)(network + kinds[kind].offset);

	return value <= kinds[kind].most ? value : QUOTA_UNSET;
}

uint64_t
net_limit_burst(const struct quota *q)
{
	uint64_t rate = q->network.per_second_milli;

	if (q->network.burst != QUOTA_UNSET)
		return q->network.burst;
	return rate < 500 ? 1 : rate / 500;
}

uint64_t
net_limit_percent(const struct quota *q)
{
	return q->network.guaranteed_percent != QUOTA_UNSET
		   ? q->network.guaranteed_percent
		   : 25;
}

/* Of rates that are the same, the one with the smaller burst. */
static bool
is_lower(const struct quota *a, const struct quota *b, enum net_limit kind)
{
	uint64_t x = net_limit_value(a, kind), y = net_limit_value(b, kind);

	return x < y || (x == y && kind == NETLIM_RATE &&
			    net_limit_burst(a) < net_limit_burst(b));
}

const struct quota *
net_limit_at(const struct ns *ns, enum net_limit kind)
{
	const struct quota *lowest = NULL;

	for (size_t i = 0; i < ns->quota_count; i++) {
		const struct quota *q = ns->quotas[i];

		if (net_limit_value(q, kind) != QUOTA_UNSET &&
		    (lowest == NULL || is_lower(q, lowest, kind)))
			lowest = q;
	}
	return lowest;
}

const struct ns *
net_limit_from(const struct ns *ns, enum net_limit kind)
{
	while (ns != NULL && net_limit_at(ns, kind) == NULL)
		ns = ns->parent;
	return ns;
}

bool
net_limit_has(const struct quota *q)
{
	bool some = false;

	for (unsigned kind = 0; kind < NETLIM_KINDS; kind++)
		some |= net_limit_value(q, (enum net_limit)kind) != QUOTA_UNSET;
	return some;
}

bool
net_limit_any(const struct model *m)
{
	for (size_t i = 0; i < m->ns_count; i++) {
		for (unsigned kind = 0; kind < NETLIM_KINDS; kind++) {
			if (net_limit_at(m->namespaces[i], (enum net_limit)kind) !=
			    NULL)
				return true;
		}
	}
	return false;
}
