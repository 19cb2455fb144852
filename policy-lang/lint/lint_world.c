#include "policy-lang/lint/lint_world.h"

#include <roaring/roaring.h>
#include <stdlib.h>
#include <string.h>

/* ---- the tree as ranges ---- */

/* Byte order with / before everything, so that a subtree follows its top. */
static int
path_cmp(struct str a, struct str b)
{
	size_t len = a.len < b.len ? a.len : b.len;

	for (size_t i = 0; i < len; i++) {
		unsigned x = a.ptr[i] == '/' ? 0 : (unsigned char)a.ptr[i] + 1u;
		unsigned y = b.ptr[i] == '/' ? 0 : (unsigned char)b.ptr[i] + 1u;

		if (x != y)
			return x < y ? -1 : 1;
	}
	return (a.len > b.len) - (a.len < b.len);
}

static int
ns_cmp(const void *a, const void *b)
{
	const struct ns *const *x = a, *const *y = b;

	return path_cmp((*x)->path, (*y)->path);
}

static void
rank_tree(struct lint_world *w)
{
	const struct model *m = w->model;
	const struct ns **order = ARENA_ARRAY(w->arena, m->ns_count, const struct ns *);

	w->ns_rank = ARENA_ARRAY(w->arena, m->ns_count, uint32_t);
	w->ns_rank_end = ARENA_ARRAY(w->arena, m->ns_count, uint32_t);
	for (size_t i = 0; i < m->ns_count; i++)
		order[i] = m->namespaces[i];
	qsort(order, m->ns_count, sizeof(*order), ns_cmp);
	for (size_t i = 0; i < m->ns_count; i++) {
		w->ns_rank[order[i]->index] = (uint32_t)i;
		w->ns_rank_end[order[i]->index] = (uint32_t)i + 1;
	}
	for (size_t i = m->ns_count; i-- > 0;) {
		const struct ns *ns = order[i];
		uint32_t end = w->ns_rank_end[ns->index];

		if (ns->parent != NULL && w->ns_rank_end[ns->parent->index] < end)
			w->ns_rank_end[ns->parent->index] = end;
	}
}

/* ---- scopes and slots ---- */

size_t
world_kube_index(const struct model *m, const struct kube_ns *kube)
{
	size_t lo = 0, hi = m->kube_count;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;
		const struct kube_ns *k = m->kube_namespaces[mid];
		int order = str_cmp(k->cluster, kube->cluster);

		if (order == 0)
			order = str_cmp(k->name, kube->name);
		if (order <= 0)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

/* Counts into `first`, by rank; then says where the scopes of each rank begin. */
static void
make_scopes(struct lint_world *w)
{
	const struct model *m = w->model;
	uint32_t *next = ARENA_ARRAY(w->arena, m->ns_count + 1, uint32_t);

	w->scope_count = (uint32_t)(m->ns_count + m->kube_count);
	w->scopes = ARENA_ARRAY(w->arena, w->scope_count, struct lint_scope);
	w->native_scope = ARENA_ARRAY(w->arena, m->ns_count, uint32_t);
	w->kube_scope = ARENA_ARRAY(w->arena, m->kube_count, uint32_t);
	for (size_t i = 0; i < m->ns_count; i++)
		next[i + 1] = 1;
	for (size_t i = 0; i < m->kube_count; i++)
		next[w->ns_rank[m->kube_namespaces[i]->ns->index] + 1]++;
	for (size_t i = 0; i < m->ns_count; i++)
		next[i + 1] += next[i];
	for (size_t i = 0; i < m->ns_count; i++) {
		uint32_t scope = next[w->ns_rank[i]]++;

		w->native_scope[i] = scope;
		w->scopes[scope].ns = m->namespaces[i];
	}
	for (size_t i = 0; i < m->kube_count; i++) {
		const struct kube_ns *kube = m->kube_namespaces[i];
		uint32_t scope = next[w->ns_rank[kube->ns->index]]++;

		w->kube_scope[i] = scope;
		w->scopes[scope] = (struct lint_scope){.ns = kube->ns, .kube = kube};
	}
}

static void
make_slots(struct lint_world *w)
{
	const struct model *m = w->model;
	uint32_t *scope = ARENA_ARRAY(w->arena, m->workload_count, uint32_t);
	uint32_t next = 0;

	w->slot_of = ARENA_ARRAY(w->arena, m->workload_count, uint32_t);
	w->on_hosts = ARENA_ARRAY(w->arena, m->workload_count, const struct workload *);
	for (size_t i = 0; i < m->workload_count; i++) {
		const struct workload *wl = m->workloads[i];

		w->slot_of[i] = LINT_NONE;
		if (wl->host_network) {
			w->on_hosts[w->on_host_count++] = wl;
			continue;
		}
		scope[i] = wl->kube != NULL
			       ? w->kube_scope[world_kube_index(m, wl->kube)]
			       : w->native_scope[wl->ns->index];
		w->scopes[scope[i]].end++;
		w->slot_count++;
	}
	for (uint32_t i = 0; i < w->scope_count; i++) {
		w->scopes[i].first = next;
		next += w->scopes[i].end;
		w->scopes[i].end = w->scopes[i].first;
	}
	w->slots = ARENA_ARRAY(w->arena, w->slot_count, const struct workload *);
	for (size_t i = 0; i < m->workload_count; i++) {
		if (m->workloads[i]->host_network)
			continue;
		w->slot_of[i] = w->scopes[scope[i]].end++;
		w->slots[w->slot_of[i]] = m->workloads[i];
	}
}

/* A subtree's slots: from its own first scope to its last descendant's last. */
static void
make_subtrees(struct lint_world *w)
{
	const struct model *m = w->model;

	w->ns_first = ARENA_ARRAY(w->arena, m->ns_count, uint32_t);
	w->ns_end = ARENA_ARRAY(w->arena, m->ns_count, uint32_t);
	for (uint32_t i = w->scope_count; i-- > 0;) {
		const struct lint_scope *s = &w->scopes[i];
		uint32_t *end = &w->ns_end[s->ns->index];

		w->ns_first[s->ns->index] = s->first;
		if (*end < s->end)
			*end = s->end;
		if (s->ns->parent != NULL && w->ns_end[s->ns->parent->index] < *end)
			w->ns_end[s->ns->parent->index] = *end;
	}
}

/* ---- addresses ---- */

static int
point_cmp(const void *a, const void *b)
{
	const struct lint_point *x = a, *y = b;

	return (x->addr > y->addr) - (x->addr < y->addr);
}

static bool
both_families(const struct ip_addr *ips, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		if (ips[i].family != ips[0].family)
			return true;
	}
	return false;
}

static void
make_points(struct lint_world *w)
{
	const struct model *m = w->model;
	size_t cap = 0;

	for (size_t i = 0; i < m->workload_count; i++)
		cap += m->workloads[i]->ip_count;
	for (size_t i = 0; i < m->node_count; i++)
		cap += m->nodes[i]->ip_count;
	w->points = ARENA_ARRAY(w->arena, cap, struct lint_point);
	for (size_t i = 0; i < m->workload_count; i++) {
		const struct workload *wl = m->workloads[i];

		w->dual_stack |= both_families(wl->ips, wl->ip_count);
		for (size_t j = 0; j < wl->ip_count; j++)
			w->points[w->point_count++] = (struct lint_point){
			    .addr = space_address(&wl->ips[j]),
			    .slot = w->slot_of[i],
			    .on_host = wl->host_network ? wl : NULL,
			};
	}
	for (size_t i = 0; i < m->node_count; i++) {
		const struct node *node = m->nodes[i];

		w->dual_stack |= both_families(node->ips, node->ip_count);
		for (size_t j = 0; j < node->ip_count; j++)
			w->points[w->point_count++] = (struct lint_point){
			    .addr = space_address(&node->ips[j]),
			    .slot = LINT_NONE,
			    .node = node,
			};
	}
	qsort(w->points, w->point_count, sizeof(*w->points), point_cmp);
}

size_t
world_find(const struct lint_world *w, addr_num addr)
{
	size_t lo = 0, hi = w->point_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (w->points[mid].addr < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* ---- labels ---- */

static struct label_set
slot_labels(const void *ctx, uint32_t slot)
{
	return ((const struct lint_world *)ctx)->slots[slot]->shape->labels;
}

static struct label_set
labels_of_scope(const void *ctx, uint32_t scope)
{
	const struct lint_scope *s = &((const struct lint_world *)ctx)->scopes[scope];

	return s->kube != NULL ? s->kube->labels : s->ns->labels;
}

static struct label_set
labels_of_node(const void *ctx, uint32_t node)
{
	return ((const struct lint_world *)ctx)->model->nodes[node]->labels;
}

static void
want_match(struct lint_world *w, const struct workload_match *match)
{
	label_index_want(w->labels, match->selector);
	label_index_want(w->scope_labels, match->ns_selector);
}

static void
want_rules(struct lint_world *w, const struct rule_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct rule *rule = &list->rules[i];

		for (size_t j = 0; j < rule->peer_count; j++) {
			want_match(w, &rule->peers[j].workloads);
			label_index_want(w->node_labels, rule->peers[j].node_selector);
		}
	}
}

static void
index_labels(struct lint_world *w, const struct source *only)
{
	const struct model *m = w->model;

	w->labels = label_index_new(w->slot_count, slot_labels, w);
	w->scope_labels = label_index_new(w->scope_count, labels_of_scope, w);
	w->node_labels = label_index_new((uint32_t)m->node_count, labels_of_node, w);
	for (size_t i = 0; i < m->policy_count; i++) {
		const struct policy *p = m->policies[i];

		if (only != NULL && w->slot_count == 0 && p->loc.source != only)
			continue;
		want_match(w, &p->subject);
		for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
			want_rules(w, &p->mandatory[d]);
			want_rules(w, &p->allow[d]);
			want_rules(w, &p->defaults[d]);
		}
	}
	for (size_t i = 0; i < m->service_count; i++)
		label_index_want(w->labels, m->services[i]->selector);
	world_want_routes(w);
	label_index_fill(w->labels);
	label_index_fill(w->scope_labels);
	label_index_fill(w->node_labels);
}

void
world_init(struct lint_world *w, struct arena *arena, const struct model *m,
    const struct source *only)
{
	*w = (struct lint_world){.model = m, .arena = arena};
	rank_tree(w);
	make_scopes(w);
	make_slots(w);
	make_subtrees(w);
	make_points(w);
	index_labels(w, only);
}

void
world_fini(struct lint_world *w)
{
	for (size_t i = 0; i < w->memos.len; i++)
		roaring_bitmap_free(w->memos.entries[i].value);
	map_fini(&w->memos);
	label_index_free(w->labels);
	label_index_free(w->scope_labels);
	label_index_free(w->node_labels);
}
