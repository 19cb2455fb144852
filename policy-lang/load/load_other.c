/*
 * Kinds of which a cluster has few objects. What all of them have in common is told by a table:
 * where the model keeps them, in which order, and whether namespaces know theirs.
 */
#include <stddef.h>
#include <string.h>

#include "policy-lang/load/load_internal.h"

/* ---- orders ---- */

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

/* ---- kinds ---- */

#define IN_MODEL(array, number)                                                        \
	.items = offsetof(struct model, array), .count = offsetof(struct model, number)
#define IN_TREE(type, where)                                                           \
	.loc = offsetof(struct type, loc), .has_ns = true,                             \
	.ns = offsetof(struct type, where)
#define LINKED(array, number)                                                          \
	.is_linked = true, .ns_items = offsetof(struct ns, array),                     \
	.ns_count = offsetof(struct ns, number)

const struct load_other_kind load_other_kinds[OTHER_KINDS] = {
    [OTHER_ACCESS] = {IN_MODEL(access, access_count), .compare = compare_access,
	IN_TREE(access_policy, level), LINKED(access, access_count)},
    [OTHER_EXTERNAL] = {IN_MODEL(externals, external_count),
	.compare = compare_externals, IN_TREE(external_network, ns)},
    [OTHER_QUOTA] = {IN_MODEL(quotas, quota_count), .compare = compare_quotas,
	IN_TREE(quota, level), LINKED(quotas, quota_count)},
    [OTHER_ROUTE] = {IN_MODEL(routes, route_count), .compare = compare_routes,
	IN_TREE(route_policy, level), LINKED(routes, route_count)},
    [OTHER_SERVICE] = {IN_MODEL(services, service_count), .compare = compare_services,
	.loc = offsetof(struct service, loc)},
    [OTHER_TEST] = {IN_MODEL(tests, test_count), .compare = compare_tests,
	IN_TREE(test_document, ns)},
};

struct loc
load_other_loc(enum load_other kind, const void *object)
{
	struct loc loc;

	memcpy(&loc, (const char *)object + load_other_kinds[kind].loc, sizeof(loc));
	return loc;
}

static void *
pointer_at(const void *in, size_t offset)
{
	void *pointer;

	memcpy(&pointer, (const char *)in + offset, sizeof(pointer));
	return pointer;
}

static size_t
count_at(const void *in, size_t offset)
{
	size_t count;

	memcpy(&count, (const char *)in + offset, sizeof(count));
	return count;
}

/* An array, and how many it has. */
static void
set_array(void *in, size_t items_at, void **items, size_t count_at_, size_t count)
{
	memcpy((char *)in + items_at, &items, sizeof(items));
	memcpy((char *)in + count_at_, &count, sizeof(count));
}

static struct ns *
ns_of(enum load_other kind, const void *object)
{
	return load_other_kinds[kind].has_ns
		   ? pointer_at(object, load_other_kinds[kind].ns)
		   : NULL;
}

const struct ns *
load_other_ns(enum load_other kind, const void *object)
{
	return ns_of(kind, object);
}

void **
load_other_items(const struct model *m, enum load_other kind)
{
	return pointer_at(m, load_other_kinds[kind].items);
}

size_t
load_other_count(const struct model *m, enum load_other kind)
{
	return count_at(m, load_other_kinds[kind].count);
}

void
load_set_other_items(struct model *m, enum load_other kind, void **items, size_t count)
{
	const struct load_other_kind *k = &load_other_kinds[kind];

	set_array(m, k->items, items, k->count, count);
}

/* ---- the model ---- */

/* Sorted, those of a namespace are neighbours. */
void
load_link_others(struct model *m, enum load_other kind)
{
	const struct load_other_kind *k = &load_other_kinds[kind];
	const size_t count = load_other_count(m, kind);
	void **items = load_other_items(m, kind);

	for (size_t i = 0; i < m->ns_count && k->is_linked; i++)
		set_array(m->namespaces[i], k->ns_items, NULL, k->ns_count, 0);
	for (size_t i = 0; i < count && k->is_linked; i++) {
		struct ns *ns = ns_of(kind, items[i]);
		const size_t before = count_at(ns, k->ns_count);

		set_array(ns, k->ns_items, &items[i - before], k->ns_count, before + 1);
	}
}

void
load_finish_others(struct loader *l)
{
	for (unsigned kind = 0; kind < OTHER_KINDS; kind++) {
		size_t count;
		void **items = load_sorted(
		    l, &l->others[kind], load_other_kinds[kind].compare, &count);

		load_set_other_items(l->m, (enum load_other)kind, items, count);
		load_link_others(l->m, (enum load_other)kind);
	}
}
