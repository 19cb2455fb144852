#include "policy-lang/model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what connects ---- */

bool
peer_takes_node(const struct peer *peer, const struct node *node)
{
	if (peer->cluster.ptr != NULL && !str_eq(peer->cluster, node->cluster))
		return false;
	if (peer->node_name.ptr != NULL && !str_eq(peer->node_name, node->name))
		return false;
	return selector_matches(peer->node_selector, node->labels);
}

struct str
workload_owner(const struct workload *w)
{
	return str_slice(w->shape->display, w->shape->owner_at,
	    w->shape->owner_at + w->shape->owner_len);
}

struct str
workload_owner_kind(const struct workload *w)
{
	size_t at = (size_t)w->shape->owner_at + w->shape->owner_len + 1;

	return at < w->shape->display.len
		   ? str_slice(w->shape->display, at, w->shape->display.len - 1)
		   : (struct str){0};
}

struct label_set
workload_ns_labels(const struct workload *w)
{
	return w->kube != NULL ? w->kube->labels : w->ns->labels;
}

/* ---- looking things up ---- */

struct str
ns_tenant(const struct ns *ns)
{
	struct str rest = str_slice(ns->path, 1, ns->path.len);

	return ns->depth == 0 ? STR("") : str_split(&rest, '/');
}

bool
ns_within(const struct ns *ns, const struct ns *top)
{
	while (ns != NULL && ns->depth > top->depth)
		ns = ns->parent;
	return ns == top;
}

struct str
model_display_of_kube(struct arena *a, struct str cluster, struct str name)
{
	return STR_CONCAT(
	    a, cluster, cluster.len != 0 ? STR("/") : STR(""), name, STR("/"));
}

struct str
model_display_of_ns(struct arena *a, const struct ns *ns)
{
	return STR_CONCAT(a, ns->path, ns->parent != NULL ? STR("/") : STR(""));
}

const struct named_port *
workload_ports_named(const struct workload *w, struct str name, size_t *out_count)
{
	const struct named_port *ports = w->shape->ports;
	size_t lo = 0, hi = w->shape->port_count, end;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (str_cmp(ports[mid].name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (end = lo; end < w->shape->port_count && str_eq(ports[end].name, name);)
		end++;
	*out_count = end - lo;
	return end != lo ? ports + lo : NULL;
}

bool
workload_port_is_first(const struct workload *w, size_t i)
{
	const struct named_port *ports = w->shape->ports;

	return i == 0 || !str_eq(ports[i].name, ports[i - 1].name);
}

size_t
model_first_displayed(const struct model *m, struct str text)
{
	size_t lo = 0, hi = m->workload_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (str_cmp(m->workloads[mid]->shape->display, text) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct ns *
model_ns(const struct model *m, struct str path)
{
	return map_get(&m->ns_by_path, path);
}

const struct kube_ns *
model_kube_ns(const struct model *m, struct str cluster, struct str name)
{
	size_t lo = 0, hi = m->kube_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct kube_ns *k = m->kube_namespaces[mid];
		int order = str_cmp(k->cluster, cluster);

		if (order == 0)
			order = str_cmp(k->name, name);
		if (order == 0)
			return k;
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

struct str
model_address_key(const struct ip_addr *addr, char bytes[MODEL_ADDRESS_KEY_BYTES])
{
	size_t len = ip_bytes(addr->family);

	bytes[0] = (char)addr->family;
	memcpy(bytes + 1, addr->bytes, len);
	return (struct str){bytes, 1 + len};
}

static void *
model_at(const struct map *map, const struct ip_addr *addr)
{
	char bytes[MODEL_ADDRESS_KEY_BYTES];

	return map_get(map, model_address_key(addr, bytes));
}

const struct workload *
model_workload_at(const struct model *m, const struct ip_addr *addr)
{
	return address_map_get(&m->by_address, addr);
}

const struct node *
model_node_said_at(const struct model *m, const struct ip_addr *addr)
{
	return model_at(&m->node_by_address, addr);
}

const struct node *
model_node_at(const struct model *m, const struct ip_addr *addr)
{
	const struct model_options *o = &m->options;
	const struct node *said = model_node_said_at(m, addr);

	if (said != NULL || o->own_count == 0 ||
	    bsearch(addr, o->own, o->own_count, sizeof(*o->own), ip_order) == NULL)
		return said;
	return model_node(m, o->here);
}

struct node *
model_cluster_node(const struct model *m, struct str cluster, struct str name)
{
	size_t lo = 0, hi = m->node_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		struct node *n = m->nodes[mid];
		int order = str_cmp(n->cluster, cluster);

		if (order == 0)
			order = str_cmp(n->name, name);
		if (order == 0)
			return n;
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

const struct node *
model_node(const struct model *m, struct str name)
{
	size_t slash = str_find(name, '/', 0);
	const struct node *found;

	if (slash != name.len)
		return model_cluster_node(
		    m, str_slice(name, 0, slash), str_slice(name, slash + 1, name.len));
	found = model_cluster_node(m, (struct str){0}, name);
	for (size_t i = 0; i < m->options.cluster_count; i++) {
		const struct node *n =
		    model_cluster_node(m, m->options.clusters[i].name, name);

		if (n != NULL && found != NULL && n != found)
			return NULL;
		found = n != NULL ? n : found;
	}
	return found;
}

const struct node *
model_node_of(const struct model *m, const struct workload *w)
{
	return w->where->node.len != 0
		   ? model_cluster_node(m, w->where->cluster, w->where->node)
		   : NULL;
}
