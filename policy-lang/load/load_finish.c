/*
 * The end of loading: everything in its order, with its index and its number.
 */
#include <stdlib.h>
#include <string.h>

#include "policy-lang/load/load_internal.h"

/* ---- orders ---- */

int
load_ns_cmp(const void *a, const void *b)
{
	const struct ns *const *x = a, *const *y = b;

	return str_cmp((*x)->path, (*y)->path);
}

int
load_kube_cmp(const void *a, const void *b)
{
	const struct kube_ns *const *x = a, *const *y = b;
	int order = str_cmp((*x)->cluster, (*y)->cluster);

	return order != 0 ? order : str_cmp((*x)->name, (*y)->name);
}

int
load_workload_cmp(const void *a, const void *b)
{
	const struct workload *const *x = a, *const *y = b;
	int order = str_cmp((*x)->shape->display, (*y)->shape->display);

	if (order == 0)
		order = str_cmp((*x)->name, (*y)->name);
	return order != 0 ? order : loc_cmp((*x)->loc, (*y)->loc);
}

int
load_owner_cmp(const struct workload *a, const struct workload *b)
{
	if ((a->kube == NULL) != (b->kube == NULL))
		return a->kube != NULL ? -1 : 1;
	return load_workload_cmp(&a, &b);
}

int
load_node_cmp(const void *a, const void *b)
{
	const struct node *const *x = a, *const *y = b;
	int order = str_cmp((*x)->cluster, (*y)->cluster);

	return order != 0 ? order : str_cmp((*x)->name, (*y)->name);
}

int
load_policy_cmp(const void *a, const void *b)
{
	const struct policy *const *pa = a, *const *pb = b;
	const struct policy *x = *pa, *y = *pb;
	int order = str_cmp(x->level->path, y->level->path);

	if (order == 0)
		order = (x->priority > y->priority) - (x->priority < y->priority);
	if (order == 0)
		order = str_cmp(x->name, y->name);
	if (order == 0)
		order = (x->kind > y->kind) - (x->kind < y->kind);
	if (order == 0)
		order = str_cmp(x->cluster, y->cluster);
	if (order == 0)
		order = str_cmp(x->namespace_text, y->namespace_text);
	return order != 0 ? order : loc_cmp(x->loc, y->loc);
}

void *
load_sorted(
    struct loader *l, struct ptr_vec *v, load_compare_fn compare, size_t *out_count)
{
	void **items = v->items;

	*out_count = v->count;
	if (v->count > 1)
		qsort(items, v->count, sizeof(*items), compare);
	if (l->note == NULL) { /* else it comes and goes with edits */
		items = ptr_vec_copy(l->arena, v);
		ptr_vec_fini(v);
	}
	*v = (struct ptr_vec){0};
	return items;
}

/* The same for the values of a map. */
static void *
sorted_map(
    struct loader *l, const struct map *m, load_compare_fn compare, size_t *out_count)
{
	struct ptr_vec v = {0};

	for (size_t i = 0; i < m->len; i++)
		ptr_vec_push(&v, m->entries[i].value);
	return load_sorted(l, &v, compare, out_count);
}

/* ---- addresses ---- */

void
load_warn_shared(struct diag_list *diags, const struct workload *w,
    const struct workload *first, const struct ip_addr *addr)
{
	char text[IP_TEXT_BYTES];
	struct diag *d = diag_say(diags, CODE_SHARED_ADDRESS, w->loc,
	    "%.*s has the address %s of %.*s", STR_ARG(w->shape->display),
	    ip_format(addr, text), STR_ARG(first->shape->display));

	diag_note(diags, d, first->loc, "which keeps it");
}

bool
load_may_own(
    const struct model *m, const struct workload *w, const struct ip_addr *addr)
{
	return w->kube != NULL || model_node_said_at(m, addr) == NULL;
}

void
load_warn_nodes(struct diag_list *diags, const struct model *m,
    const struct workload *w, const struct ip_addr *addr)
{
	const struct node *node = model_node_said_at(m, addr);
	char text[IP_TEXT_BYTES];
	struct diag *d = diag_say(diags, CODE_SHARED_ADDRESS, w->loc,
	    "%.*s has the address %s of node %.*s", STR_ARG(w->shape->display),
	    ip_format(addr, text), STR_ARG(node->name));

	if (node->loc.source != NULL)
		diag_note(diags, d, node->loc, "which keeps it");
}

static void
index_address(struct loader *l, struct workload *w, size_t ip)
{
	const struct workload *first = address_map_get(&l->m->by_address, &w->ips[ip]);

	if (!load_may_own(l->m, w, &w->ips[ip])) {
		load_warn_nodes(l->diags, l->m, w, &w->ips[ip]);
		return;
	}
	if (first == w)
		return; /* it names the address twice */
	if (first == NULL || load_owner_cmp(w, first) < 0)
		address_map_set(&l->m->by_address, w, ip);
	if (first == NULL)
		return;
	if (load_owner_cmp(w, first) < 0)
		load_warn_shared(l->diags, first, w, &w->ips[ip]);
	else
		load_warn_shared(l->diags, w, first, &w->ips[ip]);
}

static void
finish_workloads(struct loader *l)
{
	struct model *m = l->m;
	size_t addresses = 0;

	for (size_t i = 0; i < l->workloads.count; i++) {
		struct workload *w = l->workloads.items[i];

		if (w->kube != NULL)
			w->ns = w->kube->ns;
		addresses += w->host_network ? 0 : w->ip_count;
	}
	address_map_reserve(&m->by_address, addresses);
	m->workloads =
	    load_sorted(l, &l->workloads, load_workload_cmp, &m->workload_count);
	for (size_t i = 0; i < m->workload_count; i++) {
		struct workload *w = m->workloads[i];

		w->index = (uint32_t)i;
		for (size_t j = 0; !w->host_network && j < w->ip_count; j++)
			index_address(l, w, j);
	}
}

void
load_finish_node(struct arena *a, struct node_draft *d)
{
	struct ip_addr *ips = ARENA_ARRAY(a, d->addresses.count, struct ip_addr);

	d->node.ips = ips;
	d->node.ip_count = d->addresses.count;
	for (size_t i = 0; i < d->node.ip_count; i++)
		ips[i] = *(const struct ip_addr *)d->addresses.items[i];
}

static void
finish_nodes(struct loader *l)
{
	struct model *m = l->m;

	m->nodes = sorted_map(l, &l->nodes, load_node_cmp, &m->node_count);
	for (size_t i = 0; i < m->node_count; i++) {
		struct node *n = m->nodes[i];

		n->index = (uint32_t)i;
		load_finish_node(l->arena, CONTAINER_OF(n, struct node_draft, node));
		for (size_t j = 0; j < n->ip_count; j++) {
			char bytes[MODEL_ADDRESS_KEY_BYTES];
			struct str key = model_address_key(&n->ips[j], bytes);

			if (map_get(&m->node_by_address, key) == NULL)
				(void)map_set(&m->node_by_address,
				    str_dup(l->arena, key), n); /* new */
		}
	}
}

/* ---- what stands at each level ---- */

/* Policies that are there to be told of only, unless their effect is asked for. */
static void
leave_out_audit(struct loader *l)
{
	struct ptr_vec *all = &l->policies;
	size_t kept = 0;

	for (size_t i = 0; i < all->count; i++) {
		struct policy *p = all->items[i];

		l->m->audit_count += p->audit;
		if (!p->audit || l->m->options.audit_enforced)
			all->items[kept++] = all->items[i];
		else if (l->note != NULL)
			ptr_vec_push(&l->note->audit, p);
	}
	all->count = kept;
}

/* Sorted by level, the things of one level are neighbours. */
void
load_link_policies(struct model *m)
{
	for (size_t i = 0; i < m->ns_count; i++) {
		m->namespaces[i]->policies = NULL;
		m->namespaces[i]->policy_count = 0;
	}
	for (size_t i = 0; i < m->policy_count; i++) {
		struct ns *level = m->policies[i]->level;

		if (level->policy_count++ == 0)
			level->policies = &m->policies[i];
	}
}

static void
finish_tree(struct loader *l)
{
	struct model *m = l->m;

	m->namespaces = sorted_map(l, &m->ns_by_path, load_ns_cmp, &m->ns_count);
	for (size_t i = 0; i < m->ns_count; i++)
		m->namespaces[i]->index = (uint32_t)i;
	m->kube_namespaces =
	    sorted_map(l, &m->kube_by_name, load_kube_cmp, &m->kube_count);
	leave_out_audit(l);
	m->policies = load_sorted(l, &l->policies, load_policy_cmp, &m->policy_count);
	load_link_policies(m);
	load_finish_others(l);
}

void
load_finish(struct loader *l)
{
	struct model *m = l->m;

	finish_tree(l);
	finish_nodes(l); /* whose addresses workloads may not have */
	finish_workloads(l);
	load_number(l);
	if (l->note != NULL)
		return;
	address_map_freeze(&m->by_address, l->arena);
	map_freeze(&m->node_by_address, l->arena);
	map_freeze(&m->ns_by_path, l->arena);
	map_freeze(&m->kube_by_name, l->arena);
}
