/*
 * The model in the order that the compiler needs: a workload's number says which scope
 * and subtree it is in, an address's number says where it lies.
 */
#include "policy-lang/compile/compile_internal.h"

#include <roaring/roaring.h>
#include <stdlib.h>
#include <string.h>

#include "policy-lang/model/learnt.h"

struct kube_scope {
	const struct kube_ns *kube;
	uint32_t scope;
};

unsigned
family_index(enum ip_family family)
{
	return family == IP_V4 ? 0 : 1;
}

enum ip_family
family_of(unsigned index)
{
	return index == 0 ? IP_V4 : IP_V6;
}

/* ---- scopes ---- */

/* Numbers the tree so that a subtree is a range: out_pre[i] is the place of namespace i,
 * out_order the namespaces by place. Parents are placed before their children. */
static void
number_tree(struct arena *scratch, const struct model *m, uint32_t *out_pre,
    const struct ns **out_order)
{
	uint32_t *size = ARENA_ARRAY(scratch, m->ns_count, uint32_t);
	uint32_t *next = ARENA_ARRAY(scratch, m->ns_count, uint32_t);
	uint32_t max_depth = 0;

	for (size_t i = 0; i < m->ns_count; i++) {
		size[i] = 1;
		if (m->namespaces[i]->depth > max_depth)
			max_depth = m->namespaces[i]->depth;
	}
	for (uint32_t depth = max_depth; depth > 0; depth--) {
		for (size_t i = 0; i < m->ns_count; i++) {
			if (m->namespaces[i]->depth == depth)
				size[m->namespaces[i]->parent->index] += size[i];
		}
	}
	for (uint32_t depth = 0; depth <= max_depth; depth++) {
		for (size_t i = 0; i < m->ns_count; i++) {
			const struct ns *ns = m->namespaces[i];

			if (ns->depth != depth)
				continue;
			out_pre[i] = depth == 0 ? 0 : next[ns->parent->index];
			if (depth != 0)
				next[ns->parent->index] += size[i];
			next[i] = out_pre[i] + 1;
			out_order[out_pre[i]] = ns;
		}
	}
}

static int
kube_scope_cmp(const void *a, const void *b)
{
	const struct kube_scope *x = a, *y = b;

	return ((uintptr_t)x->kube > (uintptr_t)y->kube) -
	       ((uintptr_t)x->kube < (uintptr_t)y->kube);
}

static uint32_t
scope_of_kube(const struct universe *u, const struct kube_ns *kube)
{
	struct kube_scope key = {.kube = kube};
	const struct kube_scope *found = bsearch(
	    &key, u->kube_scopes, u->model->kube_count, sizeof(key), kube_scope_cmp);

	if (found == NULL) /* every namespace of the model has one */
		base_die("a Kubernetes namespace that the model does not list");
	return found->scope;
}

/* Scopes in the order of the tree: each node's native workloads, then those of its
 * Kubernetes namespaces. out_native: namespace index -> its native scope. */
static void
make_scopes(struct universe *u, struct arena *scratch, const uint32_t *pre,
    const struct ns *const *order, uint32_t *out_native)
{
	const struct model *m = u->model;
	uint32_t *first = ARENA_ARRAY(scratch, m->ns_count + 1, uint32_t);

	u->scope_count = (uint32_t)(m->ns_count + m->kube_count);
	u->scopes = ARENA_ARRAY(scratch, u->scope_count, struct scope);
	u->kube_scopes = ARENA_ARRAY(scratch, m->kube_count, struct kube_scope);
	for (size_t i = 0; i < m->ns_count; i++)
		first[i + 1] = 1;
	for (size_t i = 0; i < m->kube_count; i++)
		first[pre[m->kube_namespaces[i]->ns->index] + 1]++;
	for (size_t i = 0; i < m->ns_count; i++)
		first[i + 1] += first[i];
	for (size_t i = 0; i < m->ns_count; i++) {
		out_native[order[i]->index] = first[i];
		u->scopes[first[i]++].ns = order[i];
	}
	for (size_t i = 0; i < m->kube_count; i++) {
		const struct kube_ns *kube = m->kube_namespaces[i];
		uint32_t scope = first[pre[kube->ns->index]]++;

		u->scopes[scope] = (struct scope){.ns = kube->ns, .kube = kube};
		u->kube_scopes[i] = (struct kube_scope){kube, scope};
	}
	qsort(u->kube_scopes, m->kube_count, sizeof(*u->kube_scopes), kube_scope_cmp);
}

const struct scope *
universe_kube_scope(const struct universe *u, const struct kube_ns *kube)
{
	return &u->scopes[scope_of_kube(u, kube)];
}

/* ---- slots ---- */

static struct ip_addr
key_addr(struct str key)
{
	struct ip_addr addr = {.family = key.ptr[0] == IP_V4 ? IP_V4 : IP_V6};

	memcpy(addr.bytes, key.ptr + 1, ip_bytes(addr.family));
	return addr;
}

/* Each address has one owner: where there are as many as workloads name, nobody names
 * another's. */
static bool
is_shared(const struct model *m)
{
	size_t named = 0;

	for (size_t i = 0; i < m->workload_count; i++) {
		if (!m->workloads[i]->host_network)
			named += m->workloads[i]->ip_count;
	}
	return named != m->by_address.len;
}

static bool
owns_address(const struct universe *u, const struct workload *w, size_t ip)
{
	return !w->host_network &&
	       (!u->shared || model_workload_at(u->model, &w->ips[ip]) == w);
}

static bool
owns_some_address(const struct universe *u, const struct workload *w)
{
	for (size_t i = 0; i < w->ip_count; i++) {
		if (owns_address(u, w, i))
			return true;
	}
	return false;
}

/* Numbers the workloads that own an address. out_slot: workload index -> slot. */
static void
make_slots(struct universe *u, struct arena *scratch, const uint32_t *native,
    uint32_t *out_slot)
{
	const struct model *m = u->model;
	uint32_t *scope = ARENA_ARRAY(scratch, m->workload_count, uint32_t);
	const struct kube_ns *last = NULL;
	uint32_t last_scope = 0, next = 0;

	for (size_t i = 0; i < m->workload_count; i++)
		scope[i] = out_slot[i] = NONE;
	for (size_t i = 0; i < m->workload_count; i++) {
		const struct workload *w = m->workloads[i];

		if (!owns_some_address(u, w))
			continue;
		/* Neighbours are mostly of one namespace. */
		if (w->kube != NULL && w->kube != last) {
			last = w->kube;
			last_scope = scope_of_kube(u, last);
		}
		scope[i] = w->kube != NULL ? last_scope : native[w->ns->index];
		u->scopes[scope[i]].end++;
		u->slot_count++;
	}
	for (uint32_t i = 0; i < u->scope_count; i++) {
		u->scopes[i].first = next;
		next += u->scopes[i].end;
		u->scopes[i].end = u->scopes[i].first;
	}
	u->slots = ARENA_ARRAY(scratch, u->slot_count, const struct workload *);
	for (size_t i = 0; i < m->workload_count; i++) {
		if (scope[i] == NONE)
			continue;
		out_slot[i] = u->scopes[scope[i]].end++;
		u->slots[out_slot[i]] = m->workloads[i];
	}
}

/* A subtree's slots are those from its own first scope to its last descendant's. */
static void
make_subtrees(struct universe *u, struct arena *scratch)
{
	const struct model *m = u->model;

	u->ns_first = ARENA_ARRAY(scratch, m->ns_count, uint32_t);
	u->ns_end = ARENA_ARRAY(scratch, m->ns_count, uint32_t);
	for (size_t i = 0; i < m->ns_count; i++)
		u->ns_first[i] = NONE;
	for (uint32_t i = 0; i < u->scope_count; i++) {
		const struct scope *scope = &u->scopes[i];

		for (const struct ns *ns = scope->ns; ns != NULL; ns = ns->parent) {
			if (u->ns_first[ns->index] == NONE)
				u->ns_first[ns->index] = scope->first;
			u->ns_end[ns->index] = scope->end;
		}
	}
}

/* ---- clusters ---- */

static roaring_bitmap_t *
new_bitmap(void)
{
	roaring_bitmap_t *bits = roaring_bitmap_create();

	if (bits == NULL)
		base_die("out of memory");
	return bits;
}

/* Only with several clusters does any policy ask. */
static void
make_clusters(struct universe *u)
{
	roaring_bitmap_t *bits = NULL;
	struct str last = {0};

	u->no_slots = new_bitmap();
	for (uint32_t i = 0; u->model->options.cluster_count != 0 && i < u->slot_count;
	     i++) {
		struct str cluster = u->slots[i]->where->cluster;

		if (bits == NULL || !str_eq(cluster, last))
			bits = map_get(&u->clusters, cluster);
		if (bits == NULL) {
			bits = new_bitmap();
			(void)map_set(&u->clusters, cluster, bits); /* new */
		}
		last = cluster;
		roaring_bitmap_add(bits, i);
	}
}

const roaring_bitmap_t *
universe_cluster(const struct universe *u, struct str cluster)
{
	const roaring_bitmap_t *bits = map_get(&u->clusters, cluster);

	return bits != NULL ? bits : u->no_slots;
}

/* ---- points ---- */

static bool
same_point(const struct point *a, const struct point *b)
{
	return a->family == b->family && a->addr == b->addr;
}

static void
add_point(struct universe *u, const struct ip_addr *addr, struct point p)
{
	p.addr = addr_to_num(addr);
	p.family = (uint8_t)addr->family;
	u->points[u->point_count++] = p;
}

static void
add_points_of(struct universe *u, const struct workload *w, uint32_t slot)
{
	for (uint32_t i = 0; i < w->ip_count; i++) {
		if (owns_address(u, w, i))
			add_point(u, &w->ips[i],
			    (struct point){.slot = slot, .ip = i, .node = NONE});
	}
}

/* The last is the family. */
#define POINT_DIGITS 17u

static unsigned
point_digit(const struct point *p, unsigned digit)
{
	return digit < POINT_DIGITS - 1 ? (unsigned)(p->addr >> (8 * digit)) & UINT8_MAX
					: family_index(p->family);
}

/* In which digits some point differs from the first: a bit for each. Networks of a cluster
 * share most digits of their addresses. */
static uint32_t
digits_that_differ(const struct point *points, uint32_t count)
{
	addr_num addr = 0;
	uint32_t digits = 0;

	for (uint32_t i = 1; i < count; i++) {
		addr |= points[i].addr ^ points[0].addr;
		if (points[i].family != points[0].family)
			digits = 1u << (POINT_DIGITS - 1);
	}
	for (unsigned digit = 0; digit < POINT_DIGITS - 1; digit++) {
		if (((unsigned)(addr >> (8 * digit)) & UINT8_MAX) != 0)
			digits |= 1u << digit;
	}
	return digits;
}

/* By one digit of 256. */
static void
sort_by_digit(
    const struct point *from, struct point *to, uint32_t count, unsigned digit)
{
	uint32_t first[257] = {0};

	for (uint32_t i = 0; i < count; i++)
		first[point_digit(&from[i], digit) + 1]++;
	for (unsigned i = 1; i < 256; i++)
		first[i] += first[i - 1];
	for (uint32_t i = 0; i < count; i++)
		to[first[point_digit(&from[i], digit)]++] = from[i];
}

/* By family and address: from the last digit to the first. Sorted, an address that its
 * owner names twice is next to itself. */
static void
sort_points(struct universe *u)
{
	struct point *other = xcalloc(u->point_count, sizeof(*other)),
		     *from = u->points;
	const uint32_t digits = digits_that_differ(from, u->point_count);
	uint32_t kept = 0;

	for (unsigned digit = 0; digit < POINT_DIGITS; digit++) {
		struct point *to = from == other ? u->points : other;

		if ((digits & 1u << digit) == 0)
			continue;
		sort_by_digit(from, to, u->point_count, digit);
		from = to;
	}
	for (uint32_t i = 0; i < u->point_count; i++) {
		if (kept == 0 || !same_point(&u->points[kept - 1], &from[i]))
			u->points[kept++] = from[i];
	}
	u->point_count = kept;
	free(other);
}

static void
count_one(void *ctx, const struct ip_addr *addr UNUSED)
{
	size_t *count = ctx;

	++*count;
}

static size_t
count_addresses(const struct model *m)
{
	size_t count = m->node_by_address.len + m->options.own_count;

	for (size_t i = 0; i < m->workload_count; i++)
		count += m->workloads[i]->ip_count;
	return count;
}

/* What is somebody's is that, by whatever name it is known. */
static void
add_outside(void *ctx, const struct ip_addr *addr)
{
	struct universe *u = ctx;

	if (model_workload_at(u->model, addr) != NULL ||
	    model_node_at(u->model, addr) != NULL)
		return;
	add_point(u, addr, (struct point){.slot = NONE, .node = NONE, .outside = true});
}

static void
list_outside(struct universe *u, struct arena *scratch, size_t count)
{
	u->outside = ARENA_ARRAY(scratch, count, uint32_t);
	for (uint32_t i = 0; i < u->point_count && u->outside_count < count; i++) {
		if (u->points[i].outside)
			u->outside[u->outside_count++] = i;
	}
}

static void
add_node(struct universe *u, const struct node *node, const struct ip_addr *addr)
{
	if (node != NULL && model_workload_at(u->model, addr) == NULL)
		add_point(u, addr, (struct point){.slot = NONE, .node = node->index});
}

static void
add_points_of_nodes(struct universe *u)
{
	const struct model *m = u->model;
	const struct node *here =
	    m->options.own_count != 0 ? model_node(m, m->options.here) : NULL;

	for (size_t i = 0; i < m->node_by_address.len; i++) {
		struct ip_addr addr = key_addr(m->node_by_address.entries[i].key);

		add_node(u, m->node_by_address.entries[i].value, &addr);
	}
	for (size_t i = 0; i < m->options.own_count; i++) {
		if (model_node_said_at(m, &m->options.own[i]) == NULL)
			add_node(u, here, &m->options.own[i]);
	}
}

/* Every address once: a workload's own, else its node's. */
static void
make_points(struct universe *u, struct arena *scratch, const uint32_t *slot_of)
{
	const struct model *m = u->model;

	size_t outside = 0;

	learnt_each_address(m->options.learnt, count_one, &outside);
	u->points = ARENA_ARRAY(scratch, count_addresses(m) + outside, struct point);
	for (size_t i = 0; i < m->workload_count; i++)
		add_points_of(u, m->workloads[i], slot_of[i]);
	add_points_of_nodes(u);
	learnt_each_address(m->options.learnt, add_outside, u);
	sort_points(u);
	list_outside(u, scratch, outside);
	for (unsigned f = 0; f < FAMILY_COUNT; f++) {
		u->family_first[f + 1] = u->family_first[f];
		while (u->family_first[f + 1] < u->point_count &&
		       u->points[u->family_first[f + 1]].family == family_of(f))
			u->family_first[f + 1]++;
	}
}

/* owner -> its points, as two arrays; `of` gives a point's owner. */
static void
group_points(const struct universe *u, struct arena *scratch, size_t owners,
    uint32_t (*of)(const struct point *), uint32_t **out_first, uint32_t **out_points)
{
	uint32_t *first = ARENA_ARRAY(scratch, owners + 2, uint32_t);
	uint32_t *points = ARENA_ARRAY(scratch, u->point_count, uint32_t);

	/* Counted two places behind, so that filling leaves the starts in place. */
	for (uint32_t i = 0; i < u->point_count; i++) {
		if (of(&u->points[i]) != NONE)
			first[of(&u->points[i]) + 2]++;
	}
	for (size_t i = 2; i < owners + 2; i++)
		first[i] += first[i - 1];
	for (uint32_t i = 0; i < u->point_count; i++) {
		if (of(&u->points[i]) != NONE)
			points[first[of(&u->points[i]) + 1]++] = i;
	}
	*out_first = first;
	*out_points = points;
}

static uint32_t
point_slot(const struct point *p)
{
	return p->slot;
}

static uint32_t
point_node(const struct point *p)
{
	return p->slot == NONE ? p->node : NONE;
}

uint32_t
universe_find(const struct universe *u, unsigned family, addr_num addr)
{
	uint32_t lo = u->family_first[family], hi = u->family_first[family + 1];

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (u->points[mid].addr < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* ---- all of it ---- */

static struct label_set
slot_labels(const void *ctx, uint32_t slot)
{
	const struct universe *u = ctx;

	return u->slots[slot]->shape->labels;
}

/* Selected for its slots: without any, whatever it is selected by. */
static struct label_set
labels_of_scope(const void *ctx, uint32_t scope)
{
	const struct scope *s = &((const struct universe *)ctx)->scopes[scope];

	if (s->first == s->end)
		return (struct label_set){0};
	return s->kube != NULL ? s->kube->labels : s->ns->labels;
}

void
universe_init(struct universe *u, const struct model *m, bool whole)
{
	struct arena *scratch = arena_new();
	uint32_t *pre = ARENA_ARRAY(scratch, m->ns_count, uint32_t);
	uint32_t *native = ARENA_ARRAY(scratch, m->ns_count, uint32_t);
	uint32_t *slot_of = ARENA_ARRAY(scratch, m->workload_count, uint32_t);
	const struct ns **order = ARENA_ARRAY(scratch, m->ns_count, const struct ns *);

	memset(u, 0, sizeof(*u));
	u->arena = scratch;
	u->model = m;
	u->shared = !whole || is_shared(m);
	number_tree(scratch, m, pre, order);
	make_scopes(u, scratch, pre, order, native);
	make_slots(u, scratch, native, slot_of);
	make_subtrees(u, scratch);
	make_clusters(u);
	make_points(u, scratch, slot_of);
	group_points(u, scratch, u->slot_count, point_slot, &u->slot_points_first,
	    &u->slot_points);
	group_points(u, scratch, m->node_count, point_node, &u->node_points_first,
	    &u->node_points);
	u->labels = label_index_new(u->slot_count, slot_labels, u);
	u->scope_labels = label_index_new(u->scope_count, labels_of_scope, u);
}

void
universe_fini(struct universe *u)
{
	label_index_free(u->labels);
	label_index_free(u->scope_labels);
	for (size_t i = 0; i < u->clusters.len; i++)
		roaring_bitmap_free(u->clusters.entries[i].value);
	map_fini(&u->clusters);
	if (u->no_slots != NULL)
		roaring_bitmap_free(u->no_slots);
	arena_free(u->arena);
	memset(u, 0, sizeof(*u));
}
