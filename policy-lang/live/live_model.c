/*
 * Objects put into a model that is there, and taken out: the sorted arrays, who has which
 * address, which policies stand at which level. As load_finish.c does it for all at once.
 */
#include <stdlib.h>
#include <string.h>

#include "policy-lang/live/live_internal.h"

#define ROOM 1024 /* beyond what there is, so that growing is rare */

/* ---- sorted arrays ---- */

/* The first that does not come before the item. */
static size_t
place_of(void *const *items, size_t count, void *item, live_compare_fn compare)
{
	size_t lo = 0, hi = count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (compare(&items[mid], &item) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void
live_insert(
    void ***items, size_t *count, size_t *cap, void *item, live_compare_fn compare)
{
	size_t at = place_of(*items, *count, item, compare);

	if (*count == *cap) {
		*cap = *count + *count / 8 + ROOM;
		*items = xreallocarray(*items, *cap, sizeof(**items));
	}
	memmove(*items + at + 1, *items + at, (*count - at) * sizeof(**items));
	(*items)[at] = item;
	(*count)++;
}

/* Where it is. Equal ones, if any, are next to each other. */
static size_t
index_of(void *const *items, size_t count, void *item, live_compare_fn compare)
{
	size_t at = place_of(items, count, item, compare);

	while (at < count && items[at] != item)
		at++;
	if (at == count)
		base_die("an object was lost");
	return at;
}

void
live_remove(void **items, size_t *count, void *item, live_compare_fn compare)
{
	size_t at = index_of(items, *count, item, compare);

	memmove(items + at, items + at + 1, (*count - at - 1) * sizeof(*items));
	(*count)--;
}

/* Another of the same order in its place. */
static void
live_replace(
    void **items, size_t count, void *item, void *with, live_compare_fn compare)
{
	items[index_of(items, count, item, compare)] = with;
}

static void
hold(void *array, size_t count, size_t *cap)
{
	void **items;

	memcpy(&items, array, sizeof(items));
	*cap = count + ROOM;
	items = xreallocarray(items, *cap, sizeof(*items));
	memcpy(array, &items, sizeof(items));
}

void
live_hold_arrays(struct live *l)
{
	hold(&l->model->workloads, l->model->workload_count, &l->workload_cap);
	hold(&l->model->policies, l->model->policy_count, &l->policy_cap);
	hold(&l->model->namespaces, l->model->ns_count, &l->ns_cap);
	hold(&l->model->kube_namespaces, l->model->kube_count, &l->kube_cap);
	hold(&l->model->nodes, l->model->node_count, &l->node_cap);
	for (unsigned kind = 0; kind < OTHER_KINDS; kind++)
		l->other_caps[kind] = load_other_count(l->model, (enum load_other)kind);
	load_link_policies(l->model);
}

void
live_free_arrays(struct live *l)
{
	struct model *m = l->model;

	for (unsigned kind = 0; kind < OTHER_KINDS; kind++)
		free(load_other_items(m, (enum load_other)kind));
	free(m->workloads);
	free(m->policies);
	free(m->namespaces);
	free(m->kube_namespaces);
	free(m->nodes);
}

/* ---- addresses ---- */

static struct live_sharers *
sharers_of(struct live *l, struct str key)
{
	struct live_sharers *s = map_get(&l->shared, key);

	if (s != NULL)
		return s;
	s = xcalloc(1, sizeof(*s));
	memcpy(s->key, key.ptr, key.len);
	(void)map_set(&l->shared, (struct str){s->key, key.len}, s); /* new */
	return s;
}

static void
add_sharer(struct live *l, struct str key, struct workload *w)
{
	struct live_sharers *s = sharers_of(l, key);

	if (s->count == s->cap) {
		s->cap = s->cap != 0 ? s->cap * 2 : 2;
		s->items = xreallocarray(s->items, s->cap, sizeof(*s->items));
	}
	s->items[s->count++] = w;
}

static void
free_sharers(struct live_sharers *s)
{
	free(s->items);
	free(s);
}

static struct workload *
take_sharer(struct live *l, struct str key, struct live_sharers *s, size_t at)
{
	struct workload *w = s->items[at];

	s->items[at] = s->items[--s->count];
	if (s->count == 0) {
		(void)map_remove(&l->shared, key); /* is there */
		free_sharers(s);
	}
	return w;
}

/* The first of those that wait for an address; NULL: nobody who may have it. */
static struct workload *
next_owner(struct live *l, struct str key, const struct ip_addr *addr)
{
	struct live_sharers *s = map_get(&l->shared, key);
	size_t first = 0;

	if (s == NULL)
		return NULL;
	for (size_t i = 1; i < s->count; i++) {
		if (load_owner_cmp(s->items[i], s->items[first]) < 0)
			first = i;
	}
	if (!load_may_own(l->model, s->items[first], addr))
		return NULL; /* nor may the others, which are no pods either */
	return take_sharer(l, key, s, first);
}

static void
stop_waiting(struct live *l, struct str key, const struct workload *w)
{
	struct live_sharers *s = map_get(&l->shared, key);

	for (size_t i = 0; s != NULL && i < s->count; i++) {
		if (s->items[i] == w) {
			(void)take_sharer(l, key, s, i); /* it goes */
			return;
		}
	}
}

/* Which of its addresses this is. */
static size_t
ip_of(const struct workload *w, const struct ip_addr *addr)
{
	for (size_t i = 0; i < w->ip_count; i++) {
		if (ip_eq(&w->ips[i], addr))
			return i;
	}
	base_die("a workload lost its address");
}

/* To the next, if there is one. */
static void
pass_on(struct live *l, struct str key, const struct ip_addr *addr)
{
	struct address_map *owners = &l->model->by_address;
	struct workload *next = next_owner(l, key, addr);

	if (next != NULL)
		address_map_set(owners, next, ip_of(next, addr));
	else
		address_map_remove(owners, addr);
}

static void
release(struct live *l, struct workload *w, const struct ip_addr *addr)
{
	char bytes[MODEL_ADDRESS_KEY_BYTES];
	struct str key = model_address_key(addr, bytes);

	if (model_workload_at(l->model, addr) != w)
		stop_waiting(l, key, w);
	else
		pass_on(l, key, addr);
}

void
live_claim_of_node(struct live *l, const struct ip_addr *addr, struct diag_list *diags)
{
	struct workload *owner = address_map_get(&l->model->by_address, addr);
	char bytes[MODEL_ADDRESS_KEY_BYTES];
	struct str key = model_address_key(addr, bytes);

	if (owner == NULL || load_may_own(l->model, owner, addr))
		return;
	address_map_remove(&l->model->by_address, addr);
	add_sharer(l, key, owner);
	load_warn_nodes(diags, l->model, owner, addr);
}

void
live_release_of_node(struct live *l, const struct ip_addr *addr)
{
	char bytes[MODEL_ADDRESS_KEY_BYTES];
	struct str key = model_address_key(addr, bytes);

	if (model_workload_at(l->model, addr) == NULL)
		pass_on(l, key, addr);
}

static void
claim(struct live *l, struct workload *w, size_t ip, struct diag_list *diags)
{
	struct address_map *owners = &l->model->by_address;
	const struct ip_addr *addr = &w->ips[ip];
	char bytes[MODEL_ADDRESS_KEY_BYTES];
	struct str key = model_address_key(addr, bytes);
	struct workload *owner = address_map_get(owners, addr);

	if (!load_may_own(l->model, w, addr)) {
		add_sharer(l, key, w);
		load_warn_nodes(diags, l->model, w, addr);
		return;
	}
	if (owner == w)
		return; /* it names the address twice */
	if (owner == NULL) {
		address_map_set(owners, w, ip);
		return;
	}
	if (load_owner_cmp(w, owner) < 0) {
		address_map_set(owners, w, ip);
		add_sharer(l, key, owner);
		load_warn_shared(diags, owner, w, addr);
	} else {
		add_sharer(l, key, w);
		load_warn_shared(diags, w, owner, addr);
	}
}

void
live_index_shared(struct live *l)
{
	const struct model *m = l->model;

	for (size_t i = 0; i < m->workload_count; i++) {
		struct workload *w = m->workloads[i];

		for (size_t j = 0; !w->host_network && j < w->ip_count; j++) {
			char bytes[MODEL_ADDRESS_KEY_BYTES];
			struct str key = model_address_key(&w->ips[j], bytes);

			if (address_map_get(&m->by_address, &w->ips[j]) != w)
				add_sharer(l, key, w);
		}
	}
}

void
live_free_shared(struct live *l)
{
	for (size_t i = 0; i < l->shared.len; i++)
		free_sharers(l->shared.entries[i].value);
	map_fini(&l->shared);
}

/* ---- objects ---- */

static void
release_all(struct live *l, struct workload *w)
{
	for (size_t i = 0; !w->host_network && i < w->ip_count; i++)
		release(l, w, &w->ips[i]);
}

static void
claim_all(struct live *l, struct workload *w, struct diag_list *diags)
{
	for (size_t i = 0; !w->host_network && i < w->ip_count; i++)
		claim(l, w, i, diags);
}

void
live_take_workload_out(struct live *l, struct workload *w)
{
	struct model *m = l->model;

	live_remove((void **)m->workloads, &m->workload_count, w, load_workload_cmp);
	release_all(l, w);
}

void
live_put_workload_in(struct live *l, struct workload *w, struct diag_list *diags)
{
	struct model *m = l->model;
	void **workloads = (void **)m->workloads;

	live_insert(
	    &workloads, &m->workload_count, &l->workload_cap, w, load_workload_cmp);
	m->workloads = (struct workload **)workloads;
	claim_all(l, w, diags);
}

void
live_put_ns_in(struct live *l, struct ns *ns)
{
	struct model *m = l->model;
	void **all = (void **)m->namespaces;

	live_insert(&all, &m->ns_count, &l->ns_cap, ns, load_ns_cmp);
	m->namespaces = (struct ns **)all;
	(void)map_set(&m->ns_by_path, ns->path, ns); /* new */
}

void
live_put_kube_in(struct live *l, struct kube_ns *kube)
{
	struct model *m = l->model;
	void **all = (void **)m->kube_namespaces;

	live_insert(&all, &m->kube_count, &l->kube_cap, kube, load_kube_cmp);
	m->kube_namespaces = (struct kube_ns **)all;
}

/* Whether a workload of a file is, before and after, in the same place among all others: it
 * has changed, and those behind it need not move. */
static bool
keeps_place(const struct live_file *a, const struct live_file *b, size_t i)
{
	return a != NULL && b != NULL && i < a->workload_count &&
	       i < b->workload_count &&
	       load_workload_cmp(&live_workloads_of(a)[i], &live_workloads_of(b)[i]) ==
		   0;
}

bool
live_take_out(struct live *l, const struct live_file *f, const struct live_file *after)
{
	struct model *m = l->model;
	bool policies = false;

	live_take_nodes_out(l, f);
	live_take_others_out(l, f);
	for (size_t i = 0; i < f->workload_count; i++) {
		live_unhear(l, live_workloads_of(f)[i]);
		if (!keeps_place(f, after, i)) {
			live_take_workload_out(l, live_workloads_of(f)[i]);
			continue;
		}
		live_replace((void **)m->workloads, m->workload_count,
		    live_workloads_of(f)[i], live_workloads_of(after)[i],
		    load_workload_cmp);
		release_all(l, live_workloads_of(f)[i]);
	}
	for (size_t i = 0; i < live_said(f)->policy_count; i++) {
		if (!live_in_force(l, live_said(f)->policies[i]))
			continue;
		live_remove((void **)m->policies, &m->policy_count,
		    live_said(f)->policies[i], load_policy_cmp);
		policies = true;
	}
	return policies;
}

bool
live_put_in(struct live *l, const struct live_file *f, const struct live_file *before,
    struct diag_list *diags)
{
	struct model *m = l->model;
	void **all = (void **)m->policies;
	bool policies = false;

	live_put_nodes_in(l, f, diags);
	live_put_others_in(l, f);
	for (size_t i = 0; i < f->workload_count; i++) {
		live_hear(l, live_workloads_of(f)[i]);
		if (keeps_place(before, f, i))
			claim_all(l, live_workloads_of(f)[i], diags);
		else
			live_put_workload_in(l, live_workloads_of(f)[i], diags);
	}
	for (size_t i = 0; i < live_said(f)->policy_count; i++) {
		if (!live_in_force(l, live_said(f)->policies[i]))
			continue;
		live_insert(&all, &m->policy_count, &l->policy_cap,
		    live_said(f)->policies[i], load_policy_cmp);
		policies = true;
	}
	m->policies = (struct policy **)all;
	return policies;
}
