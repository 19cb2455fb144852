/*
 * Nodes: what their own objects say, and until then what pods tell of the nodes that they run
 * on.
 */
#include <string.h>

#include "policy-lang/load/load_pod.h"

struct node_draft *
load_node_draft(struct loader *l, struct str cluster, struct str name)
{
	struct arena_mark mark = arena_mark(l->scratch);
	struct str key = STR_CONCAT(l->scratch, cluster, STR("/"), name);
	struct node_draft *d = map_get(&l->nodes, key);

	if (d != NULL) {
		arena_rewind(l->scratch, &mark);
		return d;
	}
	d = ARENA_NEW(l->arena, struct node_draft);
	d->node.cluster = load_text(l, cluster);
	d->node.name = load_text(l, name);
	map_set(&l->nodes, key, d);
	return d;
}

bool
load_node_known(const struct loader *l, struct str cluster, struct str name)
{
	const char *key =
	    arena_printf(l->scratch, "%.*s/%.*s", STR_ARG(cluster), STR_ARG(name));

	if (l->note != NULL && l->note->part &&
	    model_cluster_node(l->m, cluster, name) != NULL)
		return true;
	return map_get(&l->nodes, str_from(key)) != NULL;
}

static void
node_draft_add(struct loader *l, struct node_draft *d, const struct ip_addr *addr)
{
	struct ip_addr *copy;

	for (size_t i = 0; i < d->addresses.count; i++) {
		if (ip_eq(d->addresses.items[i], addr))
			return;
	}
	copy = ARENA_NEW(l->arena, struct ip_addr);
	*copy = *addr;
	ptr_vec_push(&d->addresses, copy);
}

/* What pods tell has no order, and may be anything: it is sorted, and the last of very many are
 * left out. */
static void
node_draft_hear(struct loader *l, struct node_draft *d, const struct ip_addr *addr)
{
	void **items = d->addresses.items;
	size_t at = d->addresses.count, last = at;
	struct ip_addr *copy;

	while (at > 0 && ip_cmp(addr, items[at - 1]) < 0)
		at--;
	if ((at > 0 && ip_eq(items[at - 1], addr)) || at == LIMIT_ADDRESSES)
		return;
	if (last < LIMIT_ADDRESSES) {
		copy = ARENA_NEW(l->arena, struct ip_addr);
		ptr_vec_push(&d->addresses, copy);
		items = d->addresses.items;
	} else {
		copy = items[--last]; /* beyond what is kept now */
	}
	*copy = *addr;
	memmove(&items[at + 1], &items[at], (last - at) * sizeof(*items));
	items[at] = copy;
}

void
pod_tell_node(struct loader *l, struct node_draft *d, const struct node_word *told)
{
	if (d->declared || told == NULL || told == d->heard)
		return;
	d->heard = told;
	for (uint32_t i = 0; i < told->count; i++)
		node_draft_hear(l, d, &told->ips[i]);
}

enum {
	NADDR_TYPE,
	NADDR_ADDRESS
};

static const struct schema_field naddr_fields[] = {
    [NADDR_TYPE] = {"type", TYPE_STRING, true, NULL},
    [NADDR_ADDRESS] = {"address", TYPE_STRING, true, LOAD_ADVICE_IP},
};
static const struct schema naddr_schema = SCHEMA_OPEN("a node's address", naddr_fields);

static void
read_node_address(struct loader *l, const struct doc_node *node, struct node_draft *d)
{
	const struct doc_node *v[ARRAY_LEN(naddr_fields)];
	struct ip_addr addr;

	if (!schema_read(l->diags, &naddr_schema, node, v))
		return;
	/* The other types are names. */
	if (!str_is(v[NADDR_TYPE]->text, "InternalIP") &&
	    !str_is(v[NADDR_TYPE]->text, "ExternalIP"))
		return;
	if (load_address(l, v[NADDR_ADDRESS], &addr))
		node_draft_add(l, d, &addr);
}

void
load_node(struct loader *l, const struct load_object *o)
{
	const struct doc_node *status = doc_value(o->doc, "status");
	const struct doc_node *list =
	    status != NULL ? doc_value(status, "addresses") : NULL;
	struct node_draft *d;
	struct meta meta;

	if (!load_meta(l, o, META_CLUSTER, true, &meta) ||
	    !load_claim(l, "Node", o->cluster, (struct str){0}, meta.name, meta.loc))
		return;
	d = load_node_draft(l, o->cluster, meta.name);
	d->node.labels = meta.labels;
	d->node.loc = meta.loc;
	d->declared = true;
	d->addresses.count = 0; /* what its pods said */
	if (list == NULL || !schema_type(l->diags, list, "\"addresses\"", TYPE_LIST) ||
	    load_too_many_addresses(l, list))
		return;
	for (uint32_t i = 0; i < list->count; i++)
		read_node_address(l, list->u.items[i], d);
}
