/*
 * Whom an expectation is about: ends by name, by selection, and by domain name, which is
 * somebody else's to each tenant.
 */
#include "common/limits.h"
#include "policy-lang/explain/explain_internal.h"
#include "policy-lang/explain/test_internal.h"
#include "policy-lang/model/learnt.h"

/* ---- ends ---- */

static void
add_end(struct runner *r, struct found_ends *ends, const struct found_end *end)
{
	if (ends->count == ends->cap) {
		size_t cap = ends->cap == 0 ? 4 : 2 * ends->cap;
		struct found_end *items = ARENA_ARRAY(r->arena, cap, struct found_end);

		for (size_t i = 0; i < ends->count; i++)
			items[i] = ends->items[i];
		ends->items = items;
		ends->cap = cap;
	}
	ends->items[ends->count++] = *end;
}

static void
add_selected(struct trial *t, const struct test_end *end, struct found_ends *ends)
{
	const struct model *m = t->r->model;
	const struct rule rule = {.peers = end->selection, .peer_count = 1};
	const struct knower nobody = {0}; /* workloads have no names of this kind */
	size_t before = ends->count;
	struct buf problem = {0};

	for (size_t i = 0; i < m->workload_count; i++) {
		const struct workload *w = m->workloads[i];
		struct found_end found = {
		    .end = endpoint_of_workload(m, w),
		    .text = w->shape->display,
		    .selected = true,
		};

		if (rule_matches_peer(&rule, &found.end, &nobody))
			add_end(t->r, ends, &found);
	}
	if (ends->count > before)
		return;
	t->result->checks++;
	buf_add_cstr(&problem, "there is none of: ");
	explain_say_match(&problem, &end->selection->workloads);
	test_fail(t, STR(""), NULL, NULL, problem.data);
	buf_free(&problem);
}

static void
add_named(struct trial *t, const struct test_end *end, struct found_ends *ends)
{
	struct found_end found = {.text = end->text};
	struct buf why = {0};

	if (resolver_is_domain(t->r->resolver, end->text)) {
		found.is_domain = true;
		add_end(t->r, ends, &found);
	} else if (resolver_find(t->r->resolver, end->text, &found.end, &why)) {
		endpoint_print(&why, &found.end);
		found.text = str_dup(t->r->arena, buf_str(&why));
		add_end(t->r, ends, &found);
	} else {
		t->result->checks++;
		test_fail(t, STR(""), NULL, NULL, why.data);
	}
	buf_free(&why);
}

void
test_find_ends(
    struct trial *t, const struct test_end *ends, size_t count, struct found_ends *out)
{
	for (size_t i = 0; i < count; i++) {
		if (ends[i].selection != NULL)
			add_selected(t, &ends[i], out);
		else
			add_named(t, &ends[i], out);
	}
}

/* ---- domain names ---- */

/* What one tenant is led to by a name: looked for once. */
struct led_to {
	struct endpoint end;
	const char *why; /* NULL: there */
};

static const struct led_to *
follow(struct runner *r, const struct endpoint *src, struct str name)
{
	struct arena *a = r->arena;
	struct led_to *found = ARENA_NEW(a, struct led_to);
	struct buf why = {0};

	if (!resolver_find_destination(r->resolver, src, name, &found->end, &why))
		found->why = arena_strdup(a, why.data);
	buf_free(&why);
	return found;
}

static const struct led_to *
lead(struct runner *r, const struct endpoint *src, struct str name)
{
	struct str tenant =
	    src->kind == ENDPOINT_WORKLOAD ? ns_tenant(src->workload->ns) : STR("/");
	struct str key = str_from(
	    arena_printf(r->scratch, "%.*s %.*s", STR_ARG(tenant), STR_ARG(name)));
	const struct led_to *known = map_get(&r->led, key);

	if (known != NULL)
		return known;
	known = follow(r, src, name);
	(void)map_set(
	    &r->led, str_dup(r->arena, key), (void *)(uintptr_t)known); /* new */
	return known;
}

bool
test_find_domain(struct trial *t, const struct found_end *domain, struct found_end *out)
{
	const struct led_to *found = lead(t->r, &t->from->end, domain->text);

	*out = (struct found_end){.end = found->end, .text = domain->text};
	if (found->why == NULL)
		return true;
	t->result->checks++;
	test_fail(t, STR(""), NULL, NULL, found->why);
	return false;
}

void
test_names_begin(struct runner *r)
{
	r->learnt = learnt_new(LIMIT_DNS_LEARNT);
	r->with_names.options.learnt = r->learnt;
	resolver_learns(r->resolver, r->learnt);
}

void
test_names_end(struct runner *r)
{
	map_fini(&r->taught);
	map_fini(&r->led);
	r->taught = r->led = (struct map){0};
	learnt_free(r->learnt);
	r->with_names.options.learnt = r->learnt = NULL;
	resolver_learns(r->resolver, NULL);
}

static void
teach(struct learnt *learnt, struct str tenant, const struct test_name *name)
{
	for (size_t i = 0; i < name->addr_count; i++) {
		if (learnt_add(learnt, tenant, name->name, &name->addrs[i],
			LIMIT_DNS_TTL_CAP_S, 0) == LEARNT_FULL)
			base_die("more names than are read");
	}
}

void
test_names_teach(
    struct runner *r, const struct test_document *d, const struct endpoint *src)
{
	struct str tenant;

	if (src->kind != ENDPOINT_WORKLOAD)
		return;
	tenant = ns_tenant(src->workload->ns);
	if (map_get(&r->taught, tenant) != NULL)
		return;
	(void)map_set(&r->taught, tenant, r); /* new */
	for (size_t i = 0; i < d->name_count; i++)
		teach(r->learnt, tenant, &d->names[i]);
}
