/*
 * Pods that came by edits, in as little memory as they take: they are nearly all that ever
 * changes, and of what a document was read into most is not kept. What pods of one owner or of
 * one node have in common is the base's, where that has the same.
 */
#include <string.h>

#include "policy-lang/live/live_internal.h"

#define PADDING_BYTES    24 /* of all that is kept of one pod */
#define PODS_CHUNK_BYTES 4096
#define ALIKE_MOST       8 /* of one owner that are looked at for a shape */

/* ---- what is equal ---- */

static bool
labels_equal(struct label_set a, struct label_set b)
{
	bool equal = a.count == b.count;

	for (size_t i = 0; i < a.count && equal; i++)
		equal = str_eq(a.items[i].key, b.items[i].key) &&
			str_eq(a.items[i].value, b.items[i].value);
	return equal;
}

static bool
ports_equal(const struct workload_shape *a, const struct workload_shape *b)
{
	bool equal = a->port_count == b->port_count;

	for (size_t i = 0; i < a->port_count && equal; i++)
		equal = a->ports[i].port == b->ports[i].port &&
			a->ports[i].proto == b->ports[i].proto &&
			str_eq(a->ports[i].name, b->ports[i].name);
	return equal;
}

static bool
shapes_equal(const struct workload_shape *a, const struct workload_shape *b)
{
	return a->owner_at == b->owner_at && a->owner_len == b->owner_len &&
	       str_eq(a->display, b->display) &&
	       str_eq(a->service_account, b->service_account) &&
	       labels_equal(a->labels, b->labels) && ports_equal(a, b);
}

static bool
told_equal(const struct node_word *a, const struct node_word *b)
{
	bool equal;

	if (a == NULL || b == NULL)
		return a == b;
	equal = a->count == b->count;
	for (uint32_t i = 0; i < a->count && equal; i++)
		equal = ip_eq(&a->ips[i], &b->ips[i]);
	return equal;
}

/* ---- what the base has ---- */

/* NULL: none that is found soon. */
static const struct workload_shape *
find_shape(const struct live *l, const struct workload_shape *shape)
{
	const struct model *m = l->model;
	size_t at = model_first_displayed(m, shape->display);
	size_t end =
	    at + ALIKE_MOST < m->workload_count ? at + ALIKE_MOST : m->workload_count;

	for (; at < end; at++) {
		const struct workload *w = m->workloads[at];

		if (!str_eq(w->shape->display, shape->display))
			return NULL;
		/* One that came by an edit goes with it. */
		if (live_file_of(l, w->loc.source)->arena == NULL &&
		    shapes_equal(w->shape, shape))
			return w->shape;
	}
	return NULL;
}

static const struct workload_where *
find_where(struct live *l, const struct workload_where *where)
{
	const struct workload_where *base =
	    live_host_where(l, where->cluster, where->node);

	return base != NULL && told_equal(base->told, where->told) ? base : NULL;
}

/* ---- copies ---- */

static void *
copy_bytes(struct arena *a, const void *from, size_t bytes)
{
	void *to = arena_alloc(a, bytes);

	if (bytes != 0)
		memcpy(to, from, bytes);
	return to;
}

static const struct workload_shape *
copy_shape(struct arena *a, const struct workload_shape *from)
{
	struct workload_shape *shape = copy_bytes(a, from, sizeof(*from));
	struct label *labels =
	    copy_bytes(a, from->labels.items, from->labels.count * sizeof(*labels));
	struct named_port *ports =
	    copy_bytes(a, from->ports, from->port_count * sizeof(*ports));

	for (size_t i = 0; i < from->labels.count; i++)
		labels[i] = (struct label){
		    str_dup(a, labels[i].key), str_dup(a, labels[i].value)};
	for (size_t i = 0; i < from->port_count; i++)
		ports[i].name = str_dup(a, ports[i].name);
	shape->labels.items = labels;
	shape->ports = ports;
	shape->service_account = str_dup(a, from->service_account);
	shape->display = str_dup(a, from->display);
	return shape;
}

static const struct workload_where *
copy_where(struct arena *a, const struct workload_where *from)
{
	struct workload_where *where = ARENA_NEW(a, struct workload_where);

	*where = (struct workload_where){
	    .cluster = str_dup(a, from->cluster),
	    .node = str_dup(a, from->node),
	};
	if (from->told != NULL)
		where->told = copy_bytes(a, from->told,
		    sizeof(*from->told) + from->told->count * sizeof(struct ip_addr));
	return where;
}

static struct workload *
copy_pod(struct live *l, struct arena *a, const struct source *source,
    const struct workload *from)
{
	struct workload *w = copy_bytes(a, from, sizeof(*from));
	const struct workload_shape *shape = find_shape(l, from->shape);
	const struct workload_where *where = find_where(l, from->where);

	w->loc.source = source;
	w->name = str_dup(a, from->name);
	w->ips = copy_bytes(a, from->ips, from->ip_count * sizeof(*from->ips));
	w->shape = shape != NULL ? shape : copy_shape(a, from->shape);
	w->where = where != NULL ? where : copy_where(a, from->where);
	return w;
}

/* What is kept of a file, where the base has what its pod shares with others. */
static size_t
chunk_bytes(const struct live_file *from)
{
	const struct workload *w = live_workloads_of(from)[0];
	size_t bytes = sizeof(struct source) + from->source->name.len + sizeof(*from) +
		       sizeof(*w) + w->name.len + w->ip_count * sizeof(*w->ips) +
		       PADDING_BYTES;

	return from->workload_count == 1 && bytes < PODS_CHUNK_BYTES ? bytes
								     : PODS_CHUNK_BYTES;
}

struct live_file *
live_compact(struct live *l, const struct live_file *from)
{
	struct arena *a = arena_new_sized(chunk_bytes(from));
	struct source *source = ARENA_NEW(a, struct source);
	struct live_file *f = copy_bytes(a, from, sizeof(*from));

	*source = (struct source){str_dup(a, from->source->name), STR("")};
	f->source = source;
	f->arena = a;
	f->said = NULL;
	if (f->claim_count > 1)
		f->claims.many = copy_bytes(
		    a, from->claims.many, from->claim_count * sizeof(uint64_t));
	if (f->workload_count == 1) {
		f->workloads.one = copy_pod(l, a, source, from->workloads.one);
		return f;
	}
	f->workloads.many = ARENA_ARRAY(a, from->workload_count, struct workload *);
	for (size_t i = 0; i < from->workload_count; i++)
		f->workloads.many[i] = copy_pod(l, a, source, from->workloads.many[i]);
	return f;
}
