/*
 * What Node objects say, and what this node has. An address that two nodes have is the first one's, in the order
 * of nodes, as load_finish.c gives it.
 */
#include <stdlib.h>
#include <string.h>

#include "policy-lang/live/live_internal.h"

static bool
has_address(const struct node *node, const struct ip_addr *addr)
{
	for (size_t i = 0; i < node->ip_count; i++) {
		if (ip_eq(&node->ips[i], addr))
			return true;
	}
	return false;
}

/* Keys last as long as whose they are. */
static struct arena *
home_of(struct live *l, const struct node *node)
{
	const struct live_file *f;

	if (node->loc.source == NULL)
		return live_host_home(l, node);
	f = live_file_of(l, node->loc.source);
	return f != NULL && f->arena != NULL ? f->arena : l->arena;
}

static void
give(struct live *l, const struct ip_addr *addr, struct node *node, struct arena *home)
{
	char bytes[MODEL_ADDRESS_KEY_BYTES];
	struct str key = model_address_key(addr, bytes);

	(void)map_remove(&l->model->node_by_address, key); /* with the key of another */
	if (node != NULL)
		(void)map_set(
		    &l->model->node_by_address, str_dup(home, key), node); /* new */
}

void
live_number_nodes(struct live *l)
{
	for (size_t i = 0; i < l->model->node_count; i++)
		l->model->nodes[i]->index = (uint32_t)i;
}

void
live_take_node_out(struct live *l, struct node *node)
{
	struct model *m = l->model;

	live_remove((void **)m->nodes, &m->node_count, node, load_node_cmp);
	for (size_t i = 0; i < node->ip_count; i++) {
		struct node *next = NULL;

		if (model_node_said_at(m, &node->ips[i]) != node)
			continue;
		for (size_t j = 0; j < m->node_count && next == NULL; j++) {
			if (has_address(m->nodes[j], &node->ips[i]))
				next = m->nodes[j];
		}
		give(l, &node->ips[i], next, next != NULL ? home_of(l, next) : NULL);
		if (next == NULL)
			live_release_of_node(l, &node->ips[i]);
	}
}

void
live_put_node_in(
    struct live *l, struct node *node, struct arena *home, struct diag_list *diags)
{
	struct model *m = l->model;
	struct node *known = model_cluster_node(m, node->cluster, node->name);
	void **all;

	if (known != NULL) /* by what pods say alone */
		live_take_node_out(l, known);
	all = (void **)m->nodes;
	live_insert(&all, &m->node_count, &l->node_cap, node, load_node_cmp);
	m->nodes = (struct node **)all;
	for (size_t i = 0; i < node->ip_count; i++) {
		const struct node *owner = model_node_said_at(m, &node->ips[i]);

		if (owner == NULL || load_node_cmp(&node, &owner) < 0)
			give(l, &node->ips[i], node, home);
		live_claim_of_node(l, &node->ips[i], diags);
	}
}

void
live_take_nodes_out(struct live *l, const struct live_file *f)
{
	for (size_t i = 0; i < live_said(f)->node_count; i++) {
		live_take_node_out(l, live_said(f)->nodes[i]);
		live_touch_host(l, live_said(f)->nodes[i]);
	}
	if (live_said(f)->node_count != 0)
		live_number_nodes(l);
}

void
live_put_nodes_in(struct live *l, const struct live_file *f, struct diag_list *diags)
{
	for (size_t i = 0; i < live_said(f)->node_count; i++)
		live_put_node_in(l, live_said(f)->nodes[i], f->arena, diags);
	if (live_said(f)->node_count != 0)
		live_number_nodes(l);
}

void
live_tell_nodes(const struct live *l, const struct live_file *f, bool after,
    struct compile_change *changes, size_t *count)
{
	for (size_t i = 0; i < live_said(f)->node_count; i++) {
		const struct node *node = live_said(f)->nodes[i];

		changes[(*count)++] = (struct compile_change){
		    .kind = CHANGE_NODE,
		    .node_before =
			after ? model_cluster_node(l->model, node->cluster, node->name)
			      : node,
		    .node_after = after ? node : NULL,
		};
	}
}

/* ---- addresses of the node itself ---- */

/* Those of either list that are not in the other: both are sorted. */
void
live_own(struct live *l, const struct ip_addr *addrs, size_t count, struct arena *arena,
    struct compile_change **out_changes, size_t *out_count)
{
	struct model_options *o = &l->model->options;
	struct compile_change *changes =
	    ARENA_ARRAY(arena, o->own_count + count, struct compile_change);
	struct ip_addr *now = xcalloc(count + 1, sizeof(*now));
	size_t changed = 0;

	for (size_t i = 0, j = 0; i < o->own_count || j < count;) {
		const int order = i == o->own_count ? 1
				  : j == count      ? -1
						    : ip_cmp(&o->own[i], &addrs[j]);

		if (order != 0)
			changes[changed++] = (struct compile_change){.kind = CHANGE_OWN,
			    .addr = order < 0 ? o->own[i] : addrs[j]};
		i += order <= 0;
		j += order >= 0;
	}
	if (count != 0)
		memcpy(now, addrs, count * sizeof(*now));
	free(l->own);
	l->own = now;
	o->own = now;
	o->own_count = count;
	*out_changes = changes;
	*out_count = changed;
}
