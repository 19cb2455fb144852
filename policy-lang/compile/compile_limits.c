/*
 * The network limits of Quotas, at one node. An address is looked up once for each kind of
 * limit, and that leads to the chains of the nearest namespace with such a limit, which go on
 * to those of the next above: so a connection costs as many steps as limits hold for it.
 *
 * Sharing. A part of each limit (`guaranteedPercent`) is kept for the addresses of the
 * subtree's workloads here, for each an equal part; the rest is first come, first served.
 * What an address finds in its own part only the limit itself can deny; the rest it must
 * also find in what is first come, at each namespace. An address' own part is the smallest
 * that a limit above it leaves it, so that the parts of all together are never more than
 * what any limit keeps. With one address there is nothing to share.
 */
#include <stdlib.h>
#include <string.h>

#include "policy-lang/compile/compile_internal.h"
#include "policy-lang/model/net_limit.h"

/* A packet may be 64 KiB long before it is cut for the wire. What is in the bucket beside
 * what comes in a second; with parts for each the whole has more, so that not the last
 * packet of what is first come denies somebody his own. */
#define BYTES_BURST       UINT32_C(65536)
#define BYTES_BURST_WHOLE (4 * BYTES_BURST)

/* A limit of one kind, as it holds at one namespace here. */
struct level {
	const struct ns *ns;
	const struct quota *quota; /* NULL: there is none */
	uint64_t addresses;        /* of workloads here, at the namespace and below */
	struct level *above;       /* the next that has one */
	bool made, has_own;
	uint64_t own; /* as net_limit_value has it; 0: nobody has one */
	uint64_t own_burst;
};

struct limits {
	struct compiler *c;
	struct level *levels; /* by namespace index; of the kind at hand */
	enum net_limit kind;
	const struct point *points; /* of workloads here */
	const struct ns **homes;
	size_t point_count;
	size_t cap;
};

/* ---- amounts ---- */

static uint64_t
value_of(const struct limits *l, const struct level *v)
{
	return net_limit_value(v->quota, l->kind);
}

/* What is kept for all together. */
static uint64_t
kept(uint64_t amount, const struct level *v)
{
	const uint64_t percent = net_limit_percent(v->quota);

	return amount / 100 * percent + amount % 100 * percent / 100;
}

static uint64_t
burst_of(const struct limits *l, const struct level *v)
{
	return l->kind == NETLIM_RATE ? net_limit_burst(v->quota) : BYTES_BURST;
}

static uint64_t
at_least_one(uint64_t value)
{
	return value == 0 ? 1 : value;
}

/* What one address has to itself; 0: it shares all. */
static uint64_t
part(const struct limits *l, const struct level *v)
{
	return v->addresses > 1 ? kept(value_of(l, v), v) / v->addresses : 0;
}

/* A rate has whole packets in a second, or in something longer. */
static void
set_rate(struct table_bucket *bucket, uint64_t milli, uint64_t burst)
{
	static const uint32_t units[] = {
	    1, TABLE_MINUTE, TABLE_HOUR, TABLE_DAY, TABLE_WEEK};
	uint64_t token_ns, most;
	size_t i = 0;

	while (i < ARRAY_LEN(units) - 1 && milli * units[i] % 1000 != 0)
		i++;
	bucket->unit_s = units[i];
	bucket->rate = at_least_one(milli * units[i] / 1000);
	/* The kernel counts the bucket in nanoseconds. */
	token_ns = at_least_one(units[i] * UINT64_C(1000000000) / bucket->rate);
	most = (UINT64_C(1) << 62) / token_ns;
	if (burst > most)
		burst = most;
	bucket->burst = burst < UINT32_MAX ? (uint32_t)burst : UINT32_MAX;
}

/* A limit of so much: a bucket or a count. */
static void
set_amount(struct table_limit *out, uint64_t amount, uint64_t burst)
{
	out->nothing = amount == 0 || (out->kind == NETLIM_RATE && burst == 0);
	if (out->nothing)
		return;
	switch (out->kind) {
	case NETLIM_RATE:
		set_rate(&out->bucket, amount, burst);
		break;
	case NETLIM_COUNT:
		out->count = (uint32_t)amount;
		break;
	case NETLIM_OUT:
	case NETLIM_IN:
		out->bucket = (struct table_bucket){.rate = amount,
		    .unit_s = 1,
		    .burst = (uint32_t)burst,
		    .bytes = true};
		break;
	case NETLIM_KINDS:
		break;
	}
}

/* ---- chains ---- */

static uint32_t
number_of(const struct limits *l, const struct level *v, enum net_limit_chain which)
{
	return v == NULL ? NUMBER_NONE : v->quota->network.number[l->kind][which];
}

static struct table_rule_chain *
add_chain(struct limits *l, const struct level *v, enum net_limit_chain which)
{
	static const char *const purposes[NETLIM_CHAINS] = {
	    [NETLIM_DENY] = "",
	    [NETLIM_ALL] = ", the whole",
	    [NETLIM_FIRST] = ", first come",
	    [NETLIM_OWN] = ", each its part",
	};
	struct compiler *c = l->c;
	struct arena *a = c->scratch;
	const struct quota *q = v->quota;
	const struct loc loc = q->network.loc[l->kind];
	struct str path = v->ns->depth > 0 ? v->ns->path : STR("");
	const char *head, *tail;
	struct table_rule_chain *chain;

	if (c->limit_count == l->cap) {
		struct table_rule_chain *more;

		l->cap = l->cap == 0 ? 32 : 2 * l->cap;
		more = ARENA_ARRAY(a, l->cap, struct table_rule_chain);
		if (c->limit_count != 0)
			memcpy(more, c->limits, c->limit_count * sizeof(*more));
		c->limits = more;
	}
	head = arena_printf(a, "Quota %.*s/%.*s", STR_ARG(path), STR_ARG(q->name));
	tail = arena_printf(a, " %s%s", net_limit_name(l->kind), purposes[which]);
	/* The place is with what denies: a chain that is another loses what it counted. */
	for (int with_path = 1; which == NETLIM_DENY && with_path >= 0; with_path--) {
		tail = arena_printf(a, " %s%s", net_limit_name(l->kind),
		    chains_place(a, loc, with_path != 0));
		if (strlen(head) + strlen(tail) <= TABLE_COMMENT_BYTES)
			break;
	}
	chain = &c->limits[c->limit_count++];
	*chain = (struct table_rule_chain){
	    .number = number_of(l, v, which),
	    .action = which == NETLIM_DENY ? ACTION_DENY : ACTION_ALLOW,
	    .quiet =
		which == NETLIM_DENY && (l->kind == NETLIM_OUT || l->kind == NETLIM_IN),
	    .comment = chains_comment(a, head, tail),
	    .loc = loc,
	    .dir = l->kind == NETLIM_IN ? DIR_INGRESS : DIR_EGRESS,
	    .policy_kind = "Quota",
	    .policy = q->name,
	    .namespace_path = v->ns->path,
	    .rule_name = str_from(net_limit_name(l->kind)),
	};
	chain->limit.kind = l->kind;
	return chain;
}

/* The limit itself, and what is first come of it. */
static void
make_shared(struct limits *l, const struct level *v, const struct level *next_own)
{
	const uint64_t amount = value_of(l, v), burst = burst_of(l, v);
	struct table_limit *limit;

	(void)add_chain(l, v, NETLIM_DENY); /* is all that it has to be */
	limit = &add_chain(l, v, NETLIM_ALL)->limit;
	limit->form = LIMIT_SHARED;
	limit->whole = true;
	limit->deny = number_of(l, v, NETLIM_DENY);
	limit->next = number_of(l, v->above, NETLIM_ALL);
	set_amount(limit, amount,
	    l->kind == NETLIM_RATE ? burst : (uint64_t)BYTES_BURST_WHOLE);
	if (!v->has_own)
		return;
	limit = &add_chain(l, v, NETLIM_FIRST)->limit;
	limit->form = LIMIT_SHARED;
	limit->deny = number_of(l, v, NETLIM_DENY);
	limit->next = number_of(l, next_own, NETLIM_FIRST);
	set_amount(limit, amount - kept(amount, v),
	    l->kind == NETLIM_RATE ? at_least_one(burst - kept(burst, v)) : burst);
}

/* From here upwards, the nearest that keeps something; NULL. */
static const struct level *
with_own(const struct level *v)
{
	while (v != NULL && !v->has_own)
		v = v->above;
	return v;
}

static void
make_level(struct limits *l, struct level *v)
{
	if (v->made)
		return;
	v->made = true;
	v->own = part(l, v);
	/* Of a burst of none nothing is kept: such a limit denies all. */
	v->has_own =
	    v->own != 0 && (l->kind != NETLIM_RATE || net_limit_burst(v->quota) != 0);
	if (v->has_own)
		v->own_burst =
		    l->kind == NETLIM_RATE
			? at_least_one(kept(burst_of(l, v), v) / v->addresses)
			: BYTES_BURST;
	if (v->above != NULL)
		make_level(l, v->above);
	make_shared(l, v, with_own(v->above));
}

/* Where addresses whose nearest limit this is begin; made when it is first asked for. */
static uint32_t
entry_of(struct limits *l, struct level *v, bool *made)
{
	const struct level *first = with_own(v);
	uint64_t own = UINT64_MAX, burst = UINT64_MAX;
	struct table_limit *limit;

	if (first == NULL)
		return number_of(l, v, NETLIM_ALL);
	if (*made)
		return number_of(l, v, NETLIM_OWN);
	*made = true;
	for (const struct level *at = first; at != NULL; at = with_own(at->above)) {
		own = at->own < own ? at->own : own;
		burst = at->own_burst < burst ? at->own_burst : burst;
	}
	limit = &add_chain(l, v, NETLIM_OWN)->limit;
	limit->form = LIMIT_OWN;
	limit->first = number_of(l, first, NETLIM_FIRST);
	limit->next = number_of(l, v, NETLIM_ALL);
	set_amount(limit, own, burst);
	return number_of(l, v, NETLIM_OWN);
}

/* ---- whom they limit ---- */

/* The addresses of the node's own workloads, and where those are. */
static void
find_points(struct limits *l)
{
	const struct universe *u = &l->c->universe;
	struct point *points = NULL;
	size_t cap = 0;

	for (uint32_t i = 0; i < u->point_count; i++) {
		const struct point *p = &u->points[i];
		const struct workload *w = p->slot != NONE ? u->slots[p->slot] : NULL;

		if (w == NULL || w->host_network || !compiler_is_local(l->c, w))
			continue;
		if (l->point_count == cap) {
			cap = cap == 0 ? 64 : 2 * cap;
			points = xreallocarray(points, cap, sizeof(*points));
			l->homes = xreallocarray(l->homes, cap, sizeof(*l->homes));
		}
		points[l->point_count] = *p;
		l->homes[l->point_count++] = w->ns;
	}
	l->points = points;
}

static struct level *
level_of(const struct limits *l, const struct ns *ns)
{
	return ns == NULL ? NULL : &l->levels[ns->index];
}

static void
find_levels(struct limits *l)
{
	const struct model *m = l->c->model;

	memset(l->levels, 0, m->ns_count * sizeof(*l->levels));
	for (size_t i = 0; i < m->ns_count; i++) {
		struct level *v = &l->levels[i];

		v->ns = m->namespaces[i];
		v->quota = net_limit_at(v->ns, l->kind);
		v->above = level_of(l, net_limit_from(v->ns->parent, l->kind));
	}
	for (size_t i = 0; i < l->point_count; i++) {
		for (const struct ns *s = l->homes[i]; s != NULL; s = s->parent)
			l->levels[s->index].addresses++;
	}
}

static void
emit_family(struct compiler *c, enum net_limit kind, enum ip_family family)
{
	struct table_element e = {.proto = table_nfproto(family)};
	enum table_set_id set = kind == NETLIM_OUT  ? SET_LIMIT_OUT
				: kind == NETLIM_IN ? SET_LIMIT_IN
						    : SET_LIMIT_NEW;

	for (size_t i = 0; i < c->lists[set].count; i++) {
		if (c->lists[set].items[i].proto == e.proto)
			return;
	}
	emit(c, set, &e);
}

static void
build_kind(struct limits *l)
{
	struct compiler *c = l->c;
	bool *entries = ARENA_ARRAY(c->scratch, c->model->ns_count, bool);

	find_levels(l);
	for (size_t i = 0; i < l->point_count; i++) {
		const struct point *p = &l->points[i];
		struct level *v = level_of(l, net_limit_from(l->homes[i], l->kind));
		struct table_element e = {0};

		if (v == NULL)
			continue;
		make_level(l, v);
		e.loc = v->quota->network.loc[l->kind];
		e.value = entry_of(l, v, &entries[v->ns->index]);
		addr_num_bytes(p->addr, p->family, e.addr);
		emit(c, table_limit_set(l->kind, p->family), &e);
		emit_family(c, l->kind, p->family);
	}
}

static int
chain_cmp(const void *a, const void *b)
{
	const struct table_rule_chain *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

void
limits_build(struct compiler *c)
{
	struct limits l = {.c = c};

	/* The routes' compiler (compile_leave.c) has no limits of its own. */
	if (c->policies != NULL || c->failed || !net_limit_any(c->model))
		return;
	l.levels = ARENA_ARRAY(c->scratch, c->model->ns_count, struct level);
	find_points(&l);
	for (unsigned kind = 0; kind < NETLIM_KINDS; kind++) {
		l.kind = (enum net_limit)kind;
		build_kind(&l);
	}
	if (c->limit_count > 1)
		qsort(c->limits, c->limit_count, sizeof(*c->limits), chain_cmp);
	free((void *)(uintptr_t)l.points);
	free(l.homes);
}

void
limits_copy_chain(
    struct arena *a, const struct table_rule_chain *chain, struct table_rule_chain *out)
{
	*out = *chain;
	out->comment = arena_strndup(a, chain->comment, strlen(chain->comment));
}
