/*
 * Nodes that no object is about: they are what the pods say that run there. How many say what
 * is counted, so that a pod which comes or goes costs a look at its own node.
 */
#include <stdlib.h>
#include <string.h>

#include "policy-lang/live/live_internal.h"

#define NODE_CHUNK_BYTES 512

/* ---- what is told ---- */

static struct str
key_of(struct live *l, struct str cluster, struct str name)
{
	l->host_key.len = 0;
	buf_add_str(&l->host_key, cluster);
	buf_add_char(&l->host_key, '/');
	buf_add_str(&l->host_key, name);
	return buf_str(&l->host_key);
}

static struct live_host *
find_host(struct live *l, struct str cluster, struct str name)
{
	return map_get(&l->hosts, key_of(l, cluster, name));
}

static struct live_host *
host_of(struct live *l, const struct workload *w)
{
	struct str key = key_of(l, w->where->cluster, w->where->node);
	struct live_host *h = map_get(&l->hosts, key);
	char *copy;

	if (h != NULL)
		return h;
	h = xcalloc(1, sizeof(*h) + key.len);
	copy = (char *)(h + 1);
	memcpy(copy, key.ptr, key.len);
	h->key = (struct str){copy, key.len};
	h->cluster = str_slice(h->key, 0, w->where->cluster.len);
	h->name = str_slice(h->key, w->where->cluster.len + 1, key.len);
	(void)map_set(&l->hosts, h->key, h); /* new */
	return h;
}

static void
touch(struct live *l, struct live_host *h)
{
	if (!h->touched)
		ptr_vec_push(&l->touched_hosts, h);
	h->touched = true;
}

/* Where an address is among those that are told, or would be. */
static size_t
place_of_told(const struct live_host *h, const struct ip_addr *addr)
{
	size_t lo = 0, hi = h->told_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (ip_cmp(&h->told[mid].addr, addr) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void
hear_address(struct live_host *h, const struct ip_addr *addr)
{
	size_t at = place_of_told(h, addr);

	if (at < h->told_count && ip_eq(&h->told[at].addr, addr)) {
		h->told[at].count++;
		return;
	}
	if (h->told_count == h->told_cap) {
		h->told_cap = h->told_cap != 0 ? 2 * h->told_cap : 2;
		h->told = xreallocarray(h->told, h->told_cap, sizeof(*h->told));
	}
	memmove(
	    &h->told[at + 1], &h->told[at], (h->told_count - at) * sizeof(*h->told));
	h->told[at] = (struct live_told){*addr, 1};
	h->told_count++;
}

static void
unhear_address(struct live_host *h, const struct ip_addr *addr)
{
	size_t at = place_of_told(h, addr);

	if (--h->told[at].count != 0)
		return;
	h->told_count--;
	memmove(
	    &h->told[at], &h->told[at + 1], (h->told_count - at) * sizeof(*h->told));
}

void
live_hear(struct live *l, const struct workload *w)
{
	struct live_host *h;

	if (w->where->node.len == 0)
		return;
	h = host_of(l, w);
	touch(l, h);
	h->pods++;
	for (uint32_t i = 0; w->where->told != NULL && i < w->where->told->count; i++)
		hear_address(h, &w->where->told->ips[i]);
}

void
live_unhear(struct live *l, const struct workload *w)
{
	struct live_host *h;

	if (w->where->node.len == 0)
		return;
	h = host_of(l, w);
	touch(l, h);
	h->pods--;
	for (uint32_t i = 0; w->where->told != NULL && i < w->where->told->count; i++)
		unhear_address(h, &w->where->told->ips[i]);
}

void
live_touch_host(struct live *l, const struct node *node)
{
	struct live_host *h = find_host(l, node->cluster, node->name);

	if (h != NULL)
		touch(l, h);
}

struct arena *
live_host_home(struct live *l, const struct node *node)
{
	const struct live_host *h = find_host(l, node->cluster, node->name);

	return h != NULL && h->arena != NULL ? h->arena : l->arena;
}

static void
forget_touched(struct live *l)
{
	for (size_t i = 0; i < l->touched_hosts.count; i++)
		((struct live_host *)l->touched_hosts.items[i])->touched = false;
	l->touched_hosts.count = 0;
}

const struct workload_where *
live_host_where(struct live *l, struct str cluster, struct str name)
{
	const struct live_host *h = find_host(l, cluster, name);

	return h != NULL ? h->where : NULL;
}

void
live_index_hosts(struct live *l)
{
	for (size_t i = 0; i < l->model->workload_count; i++) {
		const struct workload *w = l->model->workloads[i];

		live_hear(l, w);
		if (w->where->node.len != 0)
			host_of(l, w)->where = w->where;
	}
	forget_touched(l);
}

static void
free_host(struct live_host *h)
{
	free(h->told);
	free(h);
}

void
live_free_hosts(struct live *l)
{
	for (size_t i = 0; i < l->hosts.len; i++) {
		struct live_host *h = l->hosts.entries[i].value;

		arena_free(h->arena);
		free_host(h);
	}
	map_fini(&l->hosts);
	ptr_vec_fini(&l->touched_hosts);
	buf_free(&l->host_key);
}

/* ---- the nodes that follow from it ---- */

static size_t
address_count(const struct live_host *h)
{
	return h->told_count < LIMIT_ADDRESSES ? h->told_count : LIMIT_ADDRESSES;
}

static bool
is_as_told(const struct node *node, const struct live_host *h)
{
	bool same = node->ip_count == address_count(h);

	for (size_t i = 0; i < node->ip_count && same; i++)
		same = ip_eq(&node->ips[i], &h->told[i].addr);
	return same;
}

static struct node *
node_of(const struct live_host *h, struct arena *arena)
{
	struct node *node = ARENA_NEW(arena, struct node);
	struct ip_addr *ips = ARENA_ARRAY(arena, address_count(h), struct ip_addr);

	node->cluster = str_dup(arena, h->cluster);
	node->name = str_dup(arena, h->name);
	node->ips = ips;
	node->ip_count = address_count(h);
	for (size_t i = 0; i < node->ip_count; i++)
		ips[i] = h->told[i].addr;
	return node;
}

/* `node`: what there is of it; NULL: nothing. */
static void
renew(struct live *l, struct live_host *h, struct node *node,
    struct compile_change *changes, size_t *count, struct diag_list *diags)
{
	struct arena *old = h->arena;
	struct node *now = NULL;

	if (h->pods != 0 && node != NULL && is_as_told(node, h))
		return;
	h->arena = NULL;
	if (h->pods != 0) {
		h->arena = arena_new_sized(NODE_CHUNK_BYTES);
		now = node_of(h, h->arena);
		live_put_node_in(l, now, h->arena, diags);
	} else if (node != NULL) {
		live_take_node_out(l, node);
	}
	if (old != NULL)
		ptr_vec_push(&l->garbage, old);
	if (node != NULL || now != NULL)
		changes[(*count)++] = (struct compile_change){
		    .kind = CHANGE_NODE, .node_before = node, .node_after = now};
}

void
live_settle_hosts(struct live *l, struct compile_change *changes, size_t *count,
    struct diag_list *diags)
{
	for (size_t i = 0; i < l->touched_hosts.count; i++) {
		struct live_host *h = l->touched_hosts.items[i];
		struct node *node = model_cluster_node(l->model, h->cluster, h->name);

		if (node == NULL || node->loc.source == NULL)
			renew(l, h, node, changes, count, diags);
	}
	if (l->touched_hosts.count != 0)
		live_number_nodes(l);
	for (size_t i = 0; i < l->touched_hosts.count; i++) {
		struct live_host *h = l->touched_hosts.items[i];

		h->touched = false;
		if (h->pods != 0)
			continue;
		(void)map_remove(&l->hosts, h->key); /* is there */
		if (h->arena != NULL)                /* an object has taken its place */
			ptr_vec_push(&l->garbage, h->arena);
		free_host(h);
	}
	l->touched_hosts.count = 0;
}

/* ---- workloads that say a node's name alone ---- */

static bool
is_named(const struct workload *w, struct str node)
{
	return w->kube == NULL && str_eq(w->where->node, node);
}

/* Native workloads are of the one cluster that has their node. */
static bool
some_native_names(const struct live_edit *e, struct str node)
{
	const struct model *m = e->l->model;
	bool found = false;

	for (size_t i = model_first_displayed(m, STR("/"));
	     i < m->workload_count && !found &&
	     str_starts(m->workloads[i]->shape->display, STR("/"));
	     i++)
		found = is_named(m->workloads[i], node);
	for (size_t i = 0; i < e->count && !found; i++) {
		const struct live_file *f = e->items[i].after;

		for (size_t j = 0; f != NULL && j < f->workload_count && !found; j++)
			found = is_named(live_workloads_of(f)[j], node);
	}
	return found;
}

static bool
has_node(const struct live_file *f, const struct node *node)
{
	for (size_t i = 0; i < live_said(f)->node_count; i++) {
		if (load_node_cmp(&live_said(f)->nodes[i], &node) == 0)
			return true;
	}
	return false;
}

/* Of what a file said or says, whether a node may come or go that some native workload names. */
static bool
brings_node(
    const struct live_edit *e, const struct live_file *f, const struct live_file *other)
{
	bool brings = false;

	for (size_t i = 0; i < live_said(f)->node_count && !brings; i++)
		brings = !has_node(other, live_said(f)->nodes[i]) &&
			 some_native_names(e, live_said(f)->nodes[i]->name);
	for (size_t i = 0; f != NULL && i < f->workload_count && !brings; i++) {
		const struct workload *w = live_workloads_of(f)[i];
		const struct node *node = model_node_of(e->l->model, w);

		brings = w->where->node.len != 0 &&
			 (node == NULL || node->loc.source == NULL) &&
			 some_native_names(e, w->where->node);
	}
	return brings;
}

bool
live_nodes_stand_alone(const struct live_edit *e)
{
	bool brings = false;

	if (e->l->model->options.cluster_count <= 1)
		return true;
	for (size_t i = 0; i < e->count && !brings; i++)
		brings = brings_node(e, e->items[i].before, e->items[i].after) ||
			 brings_node(e, e->items[i].after, e->items[i].before);
	return !brings;
}
