/*
 * Pods without their documents: as they were in another model, and with the addresses that a
 * node's runtime announced before the API server knew them.
 */
#include "policy-lang/load/load_pod.h"

/* ---- announced addresses ---- */

bool
load_is_announced(
    const struct model *m, const struct workload *w, const struct announced_pod *pod)
{
	return (w->ip_count == 0 || w->announced) && !w->host_network &&
	       !w->is_template && w->kube != NULL &&
	       str_eq(w->where->node, m->options.here) &&
	       str_eq(pod->namespace, w->kube->name) && str_eq(pod->name, w->name);
}

void
load_announce(struct arena *a, struct workload *w, const struct announced_pod *pod)
{
	struct ip_addr *ips =
	    ARENA_ARRAY(a, pod != NULL ? pod->ip_count : 0, struct ip_addr);

	w->announced = pod != NULL;
	w->ip_count = WORKLOAD_IPS(pod != NULL ? pod->ip_count : 0);
	for (size_t i = 0; i < w->ip_count; i++)
		ips[i] = pod->ips[i];
	w->ips = ips;
}

void
pod_take_announced(const struct loader *l, struct workload *w)
{
	const struct model_options *options = &l->m->options;

	for (size_t i = 0; w->ip_count == 0 && i < options->announced_count; i++) {
		if (load_is_announced(l->m, w, &options->announced[i]))
			load_announce(l->arena, w, &options->announced[i]);
	}
}

/* ---- pods of another model ---- */

static struct label_set
copy_labels(struct loader *l, struct label_set from)
{
	struct arena_mark mark = arena_mark(l->scratch);
	struct label *items = ARENA_ARRAY(l->scratch, from.count, struct label);
	struct label_set copy = {.count = from.count};

	for (size_t i = 0; i < from.count; i++)
		items[i] = (struct label){
		    load_text(l, from.items[i].key), load_text(l, from.items[i].value)};
	copy.items = load_shared(l, items, from.count * sizeof(*items));
	arena_rewind(l->scratch, &mark);
	return copy;
}

static const struct named_port *
copy_ports(struct loader *l, const struct workload_shape *from)
{
	struct arena_mark mark = arena_mark(l->scratch);
	struct named_port *ports =
	    ARENA_ARRAY(l->scratch, from->port_count, struct named_port);
	const struct named_port *copy;

	for (size_t i = 0; i < from->port_count; i++) {
		ports[i].name = load_text(l, from->ports[i].name);
		ports[i].proto = from->ports[i].proto;
		ports[i].port = from->ports[i].port;
	}
	copy = load_shared(l, ports, from->port_count * sizeof(*ports));
	arena_rewind(l->scratch, &mark);
	return copy;
}

static const struct workload_shape *
copy_shape(struct loader *l, const struct workload_shape *from)
{
	struct workload_shape shape = *from;

	shape.labels = copy_labels(l, from->labels);
	shape.service_account = load_text(l, from->service_account);
	shape.ports = copy_ports(l, from);
	shape.display = load_text(l, from->display);
	return load_shape(l, &shape);
}

void
load_kept_pod(struct loader *l, const struct source *source, const struct workload *pod)
{
	struct workload *w = ARENA_NEW(l->arena, struct workload);
	const struct workload_where *where = pod->where;
	struct kube_node *kube = load_kube_ns(l, where->cluster, pod->kube->name);
	const struct node_word *told = pod_share_told(l, where->told);
	struct ip_addr *ips;

	*w = *pod;
	w->loc.source = source;
	if (!w->generated &&
	    !load_claim(l, "Pod", where->cluster, pod->kube->name, pod->name, w->loc))
		return;
	kube_node_known(kube);
	w->ns = NULL; /* see new_workload */
	w->kube = &kube->kube;
	w->where = load_where(l, where->cluster, where->node, told);
	w->name = load_text(l, pod->name);
	w->shape = copy_shape(l, pod->shape);
	w->ip_count = pod->announced ? 0 : pod->ip_count;
	ips = ARENA_ARRAY(l->arena, w->ip_count, struct ip_addr);
	for (size_t i = 0; i < w->ip_count; i++)
		ips[i] = pod->ips[i];
	w->ips = ips;
	w->announced = false;
	pod_take_announced(l, w);
	if (where->node.len != 0)
		pod_tell_node(l, load_node_draft(l, where->cluster, where->node), told);
	ptr_vec_push(&l->workloads, w);
}
