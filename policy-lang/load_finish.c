/*
 * The end of loading: everything in its order, with its index and its number.
 */
#include <stdlib.h>
#include <string.h>

#include "policy-lang/load_internal.h"
#include "policy-lang/net_limit.h"

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

static int
compare_externals(const void *a, const void *b)
{
	const struct external_network *const *x = a, *const *y = b;
	int order = str_cmp((*x)->ns->path, (*y)->ns->path);

	return order != 0 ? order : str_cmp((*x)->name, (*y)->name);
}

static int
compare_services(const void *a, const void *b)
{
	const struct service *const *pa = a, *const *pb = b;
	const struct service *x = *pa, *y = *pb;
	int order = str_cmp(x->kube->cluster, y->kube->cluster);

	if (order == 0)
		order = str_cmp(x->kube->name, y->kube->name);
	if (order == 0)
		order = str_cmp(x->name, y->name);
	return order != 0 ? order : loc_cmp(x->loc, y->loc);
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

static int
compare_access(const void *a, const void *b)
{
	const struct access_policy *const *pa = a, *const *pb = b;
	const struct access_policy *x = *pa, *y = *pb;
	int order = str_cmp(x->level->path, y->level->path);

	if (order == 0)
		order = (x->priority > y->priority) - (x->priority < y->priority);
	if (order == 0)
		order = str_cmp(x->name, y->name);
	if (order == 0)
		order = str_cmp(x->namespace_text, y->namespace_text);
	return order != 0 ? order : loc_cmp(x->loc, y->loc);
}

static int
compare_quotas(const void *a, const void *b)
{
	const struct quota *const *pa = a, *const *pb = b;
	const struct quota *x = *pa, *y = *pb;
	int order = str_cmp(x->level->path, y->level->path);

	if (order == 0)
		order = str_cmp(x->name, y->name);
	return order != 0 ? order : loc_cmp(x->loc, y->loc);
}

static int
compare_routes(const void *a, const void *b)
{
	const struct route_policy *const *pa = a, *const *pb = b;
	const struct route_policy *x = *pa, *y = *pb;
	int order = str_cmp(x->level->path, y->level->path);

	if (order == 0)
		order = (x->priority > y->priority) - (x->priority < y->priority);
	if (order == 0)
		order = str_cmp(x->name, y->name);
	if (order == 0)
		order = str_cmp(x->namespace_text, y->namespace_text);
	return order != 0 ? order : loc_cmp(x->loc, y->loc);
}

static int
compare_tests(const void *a, const void *b)
{
	const struct test_document *const *pa = a, *const *pb = b;
	const struct test_document *x = *pa, *y = *pb;
	int order = str_cmp(x->ns->path, y->ns->path);

	if (order == 0)
		order = str_cmp(x->name, y->name);
	return order != 0 ? order : loc_cmp(x->loc, y->loc);
}

typedef int (*compare_fn)(const void *a, const void *b);

/* The pointers of a vector, sorted, in the arena. */
static void *
sorted(struct loader *l, const struct ptr_vec *v, compare_fn compare)
{
	void **items = ptr_vec_copy(l->arena, v);

	if (v->count > 1)
		qsort(items, v->count, sizeof(*items), compare);
	return items;
}

/* The same of what comes and goes with edits: for who keeps the model up it stays on the
 * heap. Nothing is left in the vector. */
static void *
sorted_live(struct loader *l, struct ptr_vec *v, compare_fn compare, size_t *out_count)
{
	void **items = v->items;

	*out_count = v->count;
	if (l->note == NULL) {
		items = sorted(l, v, compare);
		ptr_vec_fini(v);
	} else if (v->count > 1) {
		qsort(items, v->count, sizeof(*items), compare);
	}
	*v = (struct ptr_vec){0};
	return items;
}

/* The same for the values of a map. */
static void *
sorted_map(struct loader *l, const struct map *m, compare_fn compare, size_t *out_count)
{
	struct ptr_vec v = {0};

	for (size_t i = 0; i < m->len; i++)
		ptr_vec_push(&v, m->entries[i].value);
	return sorted_live(l, &v, compare, out_count);
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
	return w->kube != NULL || model_node_at(m, addr) == NULL;
}

void
load_warn_nodes(struct diag_list *diags, const struct model *m,
    const struct workload *w, const struct ip_addr *addr)
{
	const struct node *node = model_node_at(m, addr);
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
	    sorted_live(l, &l->workloads, load_workload_cmp, &m->workload_count);
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
	struct access_policy **access = sorted(l, &l->access, compare_access);
	struct quota **quotas = sorted(l, &l->quotas, compare_quotas);

	m->namespaces = sorted_map(l, &m->ns_by_path, load_ns_cmp, &m->ns_count);
	for (size_t i = 0; i < m->ns_count; i++)
		m->namespaces[i]->index = (uint32_t)i;
	m->kube_namespaces =
	    sorted_map(l, &m->kube_by_name, load_kube_cmp, &m->kube_count);
	m->externals = sorted(l, &l->external_list, compare_externals);
	m->external_count = l->external_list.count;
	m->services = sorted(l, &l->services, compare_services);
	m->service_count = l->services.count;
	m->tests = sorted(l, &l->tests, compare_tests);
	m->test_count = l->tests.count;
	leave_out_audit(l);
	m->policies = sorted_live(l, &l->policies, load_policy_cmp, &m->policy_count);
	load_link_policies(m);
	for (size_t i = 0; i < l->access.count; i++) {
		struct ns *level = access[i]->level;

		if (level->access_count++ == 0)
			level->access = &access[i];
	}
	m->routes = sorted(l, &l->routes, compare_routes);
	m->route_count = l->routes.count;
	for (size_t i = 0; i < m->route_count; i++) {
		struct ns *level = m->routes[i]->level;

		if (level->route_count++ == 0)
			level->routes = &m->routes[i];
	}
	for (size_t i = 0; i < l->quotas.count; i++) {
		struct ns *level = quotas[i]->level;

		if (level->quota_count++ == 0)
			level->quotas = &quotas[i];
	}
}

/* ---- numbers ---- */

/* Something that gets a number, by what it is called: the number must be the same on
 * every node and after every restart, whatever else is loaded. */
struct numbered {
	uint32_t hash;
	uint32_t order; /* the last resort */
	struct str identity;
	uint32_t *number;
	struct policy *policy; /* whose rule it is; NULL: of another kind */
};

struct numbering {
	struct loader *l;
	struct policy *policy; /* of what is added */
	struct numbered *items;
	size_t count, cap;
};

/* Hashes leave room above, so that collisions can move upwards. */
#define NUMBER_SPAN (UINT32_C(0x7f000000) - NUMBER_FIRST_RULE)

static uint32_t
identity_hash(struct str identity)
{
	/* A fixed key: the hash is a name, not a defence. */
	uint64_t hash = map_siphash(UINT64_C(0x72696e6766656e63), 1, identity);

	return (uint32_t)(hash % NUMBER_SPAN) + NUMBER_FIRST_RULE;
}

static void
number_identity(struct numbering *n, const char *id, uint32_t *number)
{
	if (n->count == n->cap) {
		n->cap = n->cap != 0 ? n->cap * 2 : 256;
		n->items = xreallocarray(n->items, n->cap, sizeof(*n->items));
	}
	n->items[n->count] = (struct numbered){identity_hash(str_from(id)),
	    (uint32_t)n->count, str_from(id), number, n->policy};
	n->count++;
}

static void
number_add(struct numbering *n, const struct policy *p, const char *phase,
    enum direction dir, const char *what, uint32_t *number)
{
	number_identity(n,
	    arena_printf(n->l->scratch, "%s\n%.*s\n%.*s\n%.*s\n%s\n%s\n%s",
		policy_kind_name(p->kind), STR_ARG(p->cluster),
		STR_ARG(p->namespace_text), STR_ARG(p->name), phase,
		direction_name(dir), what),
	    number);
}

static void
number_routes(struct numbering *n, const struct route_policy *p,
    const struct route_list lists[ROUTE_KIND_COUNT])
{
	static const char *const kinds[] = {"egress", "ingress", "via"};

	for (unsigned kind = 0; kind < ROUTE_KIND_COUNT; kind++) {
		for (size_t i = 0; i < lists[kind].count; i++) {
			struct route_rule *r = &lists[kind].rules[i];
			const char *id =
			    arena_printf(n->l->scratch, "Route\n%.*s\n%.*s\n%s\n%s\n%u",
				STR_ARG(p->level->path), STR_ARG(p->name),
				phase_name(r->phase), kinds[kind], (unsigned)r->index);

			number_identity(n, id, &r->number);
			if (r->kind != ROUTE_INGRESS && r->action == ROUTE_APPLY)
				number_identity(n,
				    arena_printf(n->l->scratch, "%s\nrefused", id),
				    &r->refuse_number);
		}
	}
}

static void
number_rules(struct numbering *n, const struct policy *p, const struct rule_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		struct rule *r = &list->rules[i];
		char index[16];

		(void)snprintf(index, sizeof(index), "%u", (unsigned)r->index);
		number_add(n, p, phase_name(r->phase), r->dir, index, &r->number);
	}
}

static void
number_quota(struct numbering *n, struct quota *q)
{
	for (unsigned kind = 0; kind < NETLIM_KINDS; kind++) {
		if (net_limit_value(q, (enum net_limit)kind) == QUOTA_UNSET)
			continue;
		for (unsigned i = 0; i < NETLIM_CHAINS; i++)
			number_identity(n,
			    arena_printf(n->l->scratch, "Quota\n%.*s\n%.*s\n%s\n%u",
				STR_ARG(q->level->path), STR_ARG(q->name),
				net_limit_name((enum net_limit)kind), i),
			    &q->network.number[kind][i]);
	}
}

static int
compare_numbered(const void *a, const void *b)
{
	const struct numbered *x = a, *y = b;
	int order = (x->hash > y->hash) - (x->hash < y->hash);

	if (order == 0)
		order = str_cmp(x->identity, y->identity);
	return order != 0 ? order : (x->order > y->order) - (x->order < y->order);
}

static void
number_policy(struct numbering *n, struct policy *p)
{
	n->policy = p;
	for (unsigned dir = 0; dir < DIRECTION_COUNT; dir++) {
		number_rules(n, p, &p->mandatory[dir]);
		number_rules(n, p, &p->allow[dir]);
		number_rules(n, p, &p->defaults[dir]);
		if (p->isolates[dir])
			number_add(n, p, phase_name(PHASE_ALLOW), (enum direction)dir,
			    "isolation", &p->isolate_number[dir]);
	}
}

void
load_number_alone(
    struct loader *l, struct policy *p, uint32_t **out_numbers, size_t *out_count)
{
	struct numbering n = {.l = l};

	number_policy(&n, p);
	if (n.count != 0)
		*out_numbers = xreallocarray(
		    *out_numbers, *out_count + n.count, sizeof(**out_numbers));
	for (size_t i = 0; i < n.count; i++) {
		*n.items[i].number = n.items[i].hash;
		(*out_numbers)[(*out_count)++] = n.items[i].hash;
	}
	free(n.items);
}

/* The number of item `at` has moved: it, and that of the item before, go together. */
static void
note_collision(struct load_note *note, const struct numbering *n, size_t at)
{
	for (size_t i = at - 1; note != NULL && i <= at; i++) {
		if (n->items[i].policy != NULL)
			ptr_vec_push(&note->collided, n->items[i].policy);
	}
}

static void
finish_numbers(struct loader *l)
{
	struct numbering n = {.l = l};
	uint32_t last = 0;

	for (size_t i = 0; i < l->m->policy_count; i++)
		number_policy(&n, l->m->policies[i]);
	n.policy = NULL;
	for (size_t i = 0; i < l->m->route_count; i++) {
		number_routes(&n, l->m->routes[i], l->m->routes[i]->mandatory);
		number_routes(&n, l->m->routes[i], l->m->routes[i]->defaults);
	}
	for (size_t i = 0; i < l->m->ns_count; i++) {
		const struct ns *ns = l->m->namespaces[i];

		for (size_t j = 0; j < ns->quota_count; j++)
			number_quota(&n, ns->quotas[j]);
	}
	if (n.count > 1)
		qsort(n.items, n.count, sizeof(*n.items), compare_numbered);
	for (size_t i = 0; i < n.count; i++) {
		last = n.items[i].hash > last ? n.items[i].hash : last + 1;
		*n.items[i].number = last;
		if (last != n.items[i].hash)
			note_collision(l->note, &n, i);
	}
	free(n.items);
}

void
load_finish(struct loader *l)
{
	struct model *m = l->m;

	finish_tree(l);
	finish_nodes(l); /* whose addresses workloads may not have */
	finish_workloads(l);
	finish_numbers(l);
	if (l->note != NULL)
		return;
	address_map_freeze(&m->by_address, l->arena);
	map_freeze(&m->node_by_address, l->arena);
	map_freeze(&m->ns_by_path, l->arena);
	map_freeze(&m->kube_by_name, l->arena);
}
