/*
 * A destination by its name. Which address it has is for resolvers to say; which rules take
 * it in is not: so where nobody knows an address of it, one is put in its place that no
 * rule names by number, and that the source knows by this name.
 */
#include <stdlib.h>

#include "common/limits.h"
#include "policy-lang/evaluate/query_internal.h"
#include "policy-lang/model/addrset.h"
#include "policy-lang/model/fqdn.h"
#include "policy-lang/model/learnt.h"

/* ---- an address that no rule names ---- */

/* Addresses of one family that somebody has, or that a network smaller than everything
 * has. */
struct taken {
	enum ip_family family;
	struct addrset set;
};

static void
take_prefixes(struct taken *t, const struct ip_prefix *prefixes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (prefixes[i].len > 0)
			addrset_add_prefixes(&t->set, t->family, &prefixes[i], 1);
	}
}

static void
take_address(struct taken *t, const struct ip_addr *addr)
{
	addr_num num = addr_to_num(addr);

	if (addr->family == t->family)
		addrset_add(&t->set, (struct addr_range){num, num});
}

static void
take_addresses(struct taken *t, const struct ip_addr *addrs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		take_address(t, &addrs[i]);
}

static void
take_peers(struct taken *t, const struct peer *peers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		take_prefixes(t, peers[i].prefixes, peers[i].prefix_count);
		take_prefixes(t, peers[i].excepts, peers[i].except_count);
	}
}

static void
take_policies(struct taken *t, const struct model *m)
{
	for (size_t i = 0; i < m->policy_count; i++) {
		for (unsigned j = 0; j < 3 * DIRECTION_COUNT; j++) {
			const struct rule_list *list = policy_rules(m->policies[i],
			    (enum phase)(j % 3), (enum direction)(j / 3));

			for (size_t k = 0; k < list->count; k++)
				take_peers(
				    t, list->rules[k].peers, list->rules[k].peer_count);
		}
	}
}

static void
take_route_list(struct taken *t, const struct route_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct route_rule *rule = &list->rules[i];

		take_peers(t, rule->to, rule->to_count);
		take_prefixes(t, rule->addresses, rule->address_count);
		take_prefixes(t, rule->sources, rule->source_count);
	}
}

static void
take_known(void *ctx, const struct ip_addr *addr)
{
	take_address(ctx, addr);
}

static void
take_all(struct taken *t, const struct model *m)
{
	take_policies(t, m);
	for (size_t i = 0; i < m->route_count; i++) {
		for (unsigned k = 0; k < ROUTE_KIND_COUNT; k++) {
			take_route_list(t, &m->routes[i]->mandatory[k]);
			take_route_list(t, &m->routes[i]->defaults[k]);
		}
	}
	for (size_t i = 0; i < m->workload_count; i++)
		take_addresses(t, m->workloads[i]->ips, m->workloads[i]->ip_count);
	for (size_t i = 0; i < m->node_count; i++)
		take_addresses(t, m->nodes[i]->ips, m->nodes[i]->ip_count);
	learnt_each_address(m->options.learnt, take_known, t);
	addrset_normalise(&t->set);
}

/* False: every address is named, from `first` on. */
static bool
free_address(const struct model *m, const char *first, struct ip_addr *out)
{
	struct taken t = {0};
	addr_num at;
	bool found;

	if (!ip_parse(str_from(first), out))
		base_die("an address");
	t.family = out->family;
	take_all(&t, m);
	at = addr_to_num(out);
	found = true;
	for (size_t i = 0; i < t.set.count && found; i++) {
		const struct addr_range *r = &t.set.ranges[i];

		if (r->lo > at || r->hi < at)
			continue;
		found =
		    r->hi != (t.family == IP_V4 ? (addr_num)UINT32_MAX : ~(addr_num)0);
		at = r->hi + 1;
	}
	if (found)
		*out = addr_of_num(at, t.family);
	addrset_fini(&t.set);
	return found;
}

/* ---- the end ---- */

struct found {
	const struct model *model;
	struct str name;
	struct ip_addr *addrs;
	size_t count;
	bool inside; /* it has addresses of workloads or nodes, too */
};

static void
find_entry(void *ctx, const struct learnt_entry *entry)
{
	struct found *f = ctx;

	if (!str_eq(entry->name, f->name))
		return;
	if (endpoint_of_addr(f->model, entry->addr).kind == ENDPOINT_ADDRESS)
		f->addrs[f->count++] = entry->addr;
	else
		f->inside = true;
}

static int
addr_cmp(const void *a, const void *b)
{
	const struct ip_addr *x = a, *y = b;

	if (x->family != y->family)
		return (int)x->family - (int)y->family;
	return memcmp(x->bytes, y->bytes, ip_bytes(x->family));
}

/* One of each family, which the tenant now knows by the name. */
static void
stand_in(
    const struct model *m, struct learnt *learnt, struct str tenant, struct found *f)
{
	static const char *const firsts[] = {"1.0.0.1", "2000::1"};

	for (size_t i = 0; i < ARRAY_LEN(firsts); i++) {
		struct ip_addr addr;

		if (free_address(m, firsts[i], &addr) &&
		    learnt_add(learnt, tenant, f->name, &addr, LIMIT_DNS_TTL_CAP_S,
			0) != LEARNT_FULL)
			f->addrs[f->count++] = addr;
	}
}

bool
query_find_name(struct arena *arena, const struct model *m, struct learnt *learnt,
    const struct endpoint *src, struct str text, struct endpoint *out_end,
    struct buf *why)
{
	const struct learnt *known = m->options.learnt;
	char canonical[FQDN_BYTES];
	struct found f = {.model = m, .name = fqdn_canonical(text, canonical)};
	bool is_stand_in = false;
	struct str tenant;

	if (src->kind != ENDPOINT_WORKLOAD) {
		buf_printf(why,
		    "\"%.*s\" is a name, and only workloads know addresses by names",
		    STR_ARG(text));
		return false;
	}
	tenant = ns_tenant(src->workload->ns);
	f.addrs = ARENA_ARRAY(arena,
	    known != NULL ? learnt_count_of(known, tenant) + 2 : 2, struct ip_addr);
	if (known != NULL)
		learnt_each_of(known, tenant, find_entry, &f);
	if (f.count == 0 && f.inside) {
		buf_printf(why,
		    "\"%.*s\" has addresses of workloads or nodes alone, and a name "
		    "never leads inside",
		    STR_ARG(text));
		return false;
	}
	if (f.count == 0 && learnt != NULL) {
		is_stand_in = true;
		stand_in(m, learnt, tenant, &f);
	}
	if (f.count == 0) {
		buf_printf(why, "/%.*s knows no address by the name \"%.*s\"",
		    STR_ARG(tenant), STR_ARG(text));
		return false;
	}
	qsort(f.addrs, f.count, sizeof(*f.addrs), addr_cmp);
	*out_end = (struct endpoint){
	    .kind = ENDPOINT_ADDRESS,
	    .name = str_dup(arena, f.name),
	    .stand_in = is_stand_in,
	    .name_addrs = f.addrs,
	    .name_addr_count = f.count,
	};
	return true;
}
