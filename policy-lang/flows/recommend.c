/*
 * Taking records in: who the ends are, and which flows are alike.
 */
#include "policy-lang/flows/recommend.h"

#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "policy-lang/flows/flow_ends.h"
#include "policy-lang/flows/recommend_internal.h"

/* Every address that is somebody's: a prefix that is widened must hold none of them. */
static void
collect_known(struct recommend *r)
{
	const struct model *m = r->model;
	size_t count = 0;

	for (size_t i = 0; i < m->workload_count; i++)
		count += m->workloads[i]->ip_count;
	for (size_t i = 0; i < m->node_count; i++)
		count += m->nodes[i]->ip_count;
	r->known = ARENA_ARRAY(r->arena, count, struct ip_addr);
	for (size_t i = 0; i < m->workload_count; i++) {
		for (size_t j = 0; j < m->workloads[i]->ip_count; j++)
			r->known[r->known_count++] = m->workloads[i]->ips[j];
	}
	for (size_t i = 0; i < m->node_count; i++) {
		for (size_t j = 0; j < m->nodes[i]->ip_count; j++)
			r->known[r->known_count++] = m->nodes[i]->ips[j];
	}
	if (r->known_count > 1)
		qsort(r->known, r->known_count, sizeof(*r->known), ip_order);
}

struct recommend *
recommend_new(
    struct arena *arena, const struct model *m, const struct recommend_options *options)
{
	struct recommend *r = ARENA_NEW(arena, struct recommend);

	r->arena = arena;
	r->model = m;
	r->options = *options;
	r->resolver = resolver_new(arena, m);
	r->groups = groups_new(arena, m, options->kind == RECOMMEND_NETWORK_POLICY);
	collect_known(r);
	return r;
}

void
recommend_free(struct recommend *r)
{
	if (r == NULL)
		return;
	resolver_free(r->resolver);
	groups_free(r->groups);
	map_fini(&r->flows);
	buf_free(&r->key);
}

/* ---- the outside ---- */

static struct ip_prefix
prefix_around(const struct ip_addr *addr, unsigned len)
{
	struct ip_prefix prefix = {.addr = *addr, .len = (uint8_t)len};

	for (size_t i = 0; i < ip_bytes(addr->family); i++) {
		unsigned kept = len > 8 * i ? len - (unsigned)(8 * i) : 0;

		if (kept < 8)
			prefix.addr.bytes[i] &= (uint8_t)(0xff00u >> kept);
	}
	return prefix;
}

static bool
holds_known(const struct recommend *r, const struct ip_prefix *prefix)
{
	size_t lo = 0, hi = r->known_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (ip_cmp(&r->known[mid], &prefix->addr) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < r->known_count && ip_in_prefix(&r->known[lo], prefix);
}

static struct ip_prefix
widen(const struct recommend *r, const struct ip_addr *addr)
{
	unsigned bits = ip_bits(addr->family);
	unsigned len = addr->family == IP_V4 ? r->options.widen4 : r->options.widen6;
	struct ip_prefix prefix = prefix_around(addr, len);

	while (len < bits && holds_known(r, &prefix))
		prefix = prefix_around(addr, ++len);
	return prefix;
}

static int
compare_prefixes(const void *a, const void *b)
{
	const struct ip_prefix *x = a, *y = b;
	int order = ip_cmp(&x->addr, &y->addr);

	return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

/* The two halves of one shorter prefix. */
static bool
are_halves(const struct ip_prefix *a, const struct ip_prefix *b)
{
	struct ip_prefix whole;

	if (a->len != b->len || a->len == 0 || a->addr.family != b->addr.family)
		return false;
	whole = prefix_around(&a->addr, a->len - 1u);
	return ip_eq(&whole.addr, &a->addr) && ip_in_prefix(&b->addr, &whole);
}

size_t
prefixes_join(struct ip_prefix *prefixes, size_t count)
{
	size_t kept = 0;

	if (count > 1)
		qsort(prefixes, count, sizeof(*prefixes), compare_prefixes);
	for (size_t i = 0; i < count; i++) {
		if (kept > 0 && ip_prefix_covers(&prefixes[kept - 1], &prefixes[i]))
			continue;
		prefixes[kept++] = prefixes[i];
		while (
		    kept > 1 && are_halves(&prefixes[kept - 2], &prefixes[kept - 1])) {
			kept--;
			prefixes[kept - 1].len--;
		}
	}
	return kept;
}

/* ---- records ---- */

static bool
see_end(struct recommend *r, const struct endpoint *end, struct seen_end *out)
{
	*out = (struct seen_end){0};
	switch (end->kind) {
	case ENDPOINT_WORKLOAD:
		out->group = groups_of(r->groups, end->workload);
		return out->group != NULL;
	case ENDPOINT_NODE:
		out->node = end->node;
		return end->node != NULL;
	case ENDPOINT_ADDRESS:
		out->prefix = widen(r, &end->addr);
		return true;
	}
	return false;
}

static void
add_end_key(struct buf *key, const struct seen_end *end)
{
	const void *parts[] = {end->group, end->node};

	buf_add(key, parts, sizeof(parts));
	if (end->group != NULL || end->node != NULL)
		return;
	buf_add(key, &end->prefix.addr.family, sizeof(end->prefix.addr.family));
	buf_add(key, end->prefix.addr.bytes, ip_bytes(end->prefix.addr.family));
	buf_add(key, &end->prefix.len, sizeof(end->prefix.len));
}

static struct seen_flow *
flow_like(struct recommend *r, const struct seen_flow *like)
{
	struct seen_flow *flow;

	buf_clear(&r->key);
	add_end_key(&r->key, &like->src);
	add_end_key(&r->key, &like->dst);
	buf_add(&r->key, &like->proto, sizeof(like->proto));
	buf_add(&r->key, &like->port, sizeof(like->port));
	flow = map_get(&r->flows, buf_str(&r->key));
	if (flow != NULL || r->flows.len >= LIMIT_RECOMMEND_KINDS)
		return flow;
	flow = ARENA_NEW(r->arena, struct seen_flow);
	*flow = *like;
	(void)map_set(&r->flows, str_dup(r->arena, buf_str(&r->key)), flow); /* new */
	return flow;
}

/* Times go into comments: what is no plain text of that length is left out. */
static void
note_time(struct seen_times *times, struct str time)
{
	if (time.len == 0 || time.len >= sizeof(times->first))
		return;
	for (size_t i = 0; i < time.len; i++) {
		if (time.ptr[i] < ' ' || time.ptr[i] > '~')
			return;
	}
	if (times->first[0] == '\0')
		memcpy(times->first, time.ptr, time.len);
	memset(times->last, 0, sizeof(times->last));
	memcpy(times->last, time.ptr, time.len);
}

/* A workload to itself needs no rule; nor does what has a policy at neither end. */
static bool
needs_no_rule(const struct endpoint *src, const struct endpoint *dst)
{
	if (src->kind == ENDPOINT_WORKLOAD && dst->kind == ENDPOINT_WORKLOAD)
		return src->workload == dst->workload;
	return src->kind != ENDPOINT_WORKLOAD && dst->kind != ENDPOINT_WORKLOAD;
}

void
recommend_add(struct recommend *r, const struct flowlog_record *record)
{
	struct seen_flow like = {.proto = record->proto, .port = record->port};
	const struct flowlog_end *unknown;
	struct endpoint src, dst;
	struct seen_flow *flow;

	r->counts.seen += record->count;
	if (record->verdict == FLOWLOG_DENY) {
		r->counts.denied += record->count;
		return;
	}
	if (!flow_ends_find(r->resolver, r->model, record, &src, &dst, &unknown) ||
	    !see_end(r, &src, &like.src) || !see_end(r, &dst, &like.dst)) {
		r->counts.unknown += record->count;
		return;
	}
	if (needs_no_rule(&src, &dst))
		return;
	flow = flow_like(r, &like);
	if (flow == NULL) {
		r->counts.beyond += record->count;
		return;
	}
	flow->count += record->count;
	note_time(&flow->times, record->time);
	note_time(&r->times, record->time);
}
