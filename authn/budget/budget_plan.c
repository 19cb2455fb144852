#include "authn/budget/budget_plan.h"

#include <stdlib.h>
#include <string.h>

#include "policy-lang/model/quantity.h"

/* ---- names ---- */

/* Names that stand for themselves. */
static const struct {
	const char *name, *resource;
	enum budget_measure measure;
	const char *what;
} known[] = {
    {"pods", "pods", MEASURE_POD, ""},
    {"services", "services", MEASURE_COUNT, ""},
    {"services.loadbalancers", "services", MEASURE_LOAD_BALANCER, ""},
    {"services.nodeports", "services", MEASURE_NODE_PORT, ""},
    {"configmaps", "configmaps", MEASURE_COUNT, ""},
    {"secrets", "secrets", MEASURE_COUNT, ""},
    {"replicationcontrollers", "replicationcontrollers", MEASURE_COUNT, ""},
    {"resourcequotas", "resourcequotas", MEASURE_COUNT, ""},
    {"persistentvolumeclaims", "persistentvolumeclaims", MEASURE_CLAIM, ""},
    {"requests.storage", "persistentvolumeclaims", MEASURE_CLAIM_STORAGE, ""},
    {"cpu", "pods", MEASURE_POD_REQUEST, "cpu"},
    {"memory", "pods", MEASURE_POD_REQUEST, "memory"},
    {"ephemeral-storage", "pods", MEASURE_POD_REQUEST, "ephemeral-storage"},
};

#define CLASS_CLAIMS  ".storageclass.storage.k8s.io/persistentvolumeclaims"
#define CLASS_STORAGE ".storageclass.storage.k8s.io/requests.storage"

/* Names that end or begin with something. */
static const struct {
	const char *prefix, *suffix, *resource;
	enum budget_measure measure;
	bool whole; /* `what` is the whole name */
} patterns[] = {
    {"", CLASS_CLAIMS, "persistentvolumeclaims", MEASURE_CLAIM, false},
    {"", CLASS_STORAGE, "persistentvolumeclaims", MEASURE_CLAIM_STORAGE, false},
    {"requests.", "", "pods", MEASURE_POD_REQUEST, false},
    {"limits.", "", "pods", MEASURE_POD_LIMIT, false},
    {"hugepages-", "", "pods", MEASURE_POD_REQUEST, true},
};

struct meaning {
	struct budget_kind kind;
	enum budget_measure measure;
	struct str what;
};

/* "count/deployments.apps" */
static bool
name_counts(struct str name, struct meaning *out)
{
	const struct str prefix = STR("count/");
	size_t dot;

	if (!str_starts(name, prefix) || name.len == prefix.len)
		return false;
	name = str_slice(name, prefix.len, name.len);
	dot = str_find(name, '.', 0);
	out->kind.resource = str_slice(name, 0, dot);
	out->kind.group = str_slice(name, dot + 1, name.len);
	out->measure = MEASURE_COUNT;
	return dot != 0 && (dot == name.len || out->kind.group.len != 0);
}

static bool
name_means(struct str name, struct meaning *out)
{
	*out = (struct meaning){.what = STR("")};
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (!str_is(name, known[i].name))
			continue;
		out->kind.resource = str_from(known[i].resource);
		out->measure = known[i].measure;
		out->what = str_from(known[i].what);
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
		const struct str prefix = str_from(patterns[i].prefix);
		const struct str suffix = str_from(patterns[i].suffix);

		if (name.len <= prefix.len + suffix.len || !str_starts(name, prefix) ||
		    !str_ends(name, suffix))
			continue;
		out->kind.resource = str_from(patterns[i].resource);
		out->measure = patterns[i].measure;
		out->what = patterns[i].whole
				? name
				: str_slice(name, prefix.len, name.len - suffix.len);
		return true;
	}
	return name_counts(name, out);
}

/* ---- the plan ---- */

static int
kind_cmp(const struct budget_kind *a, const struct budget_kind *b)
{
	int c = str_cmp(a->group, b->group);

	return c != 0 ? c : str_cmp(a->resource, b->resource);
}

static int
by_kind(const void *a, const void *b)
{
	return kind_cmp(a, b);
}

static int
by_name(const void *a, const void *b)
{
	const struct budget_key *x = a, *y = b;

	return str_cmp(x->name, y->name);
}

size_t
budget_plan_kind(const struct budget_plan *plan, struct str group, struct str resource)
{
	for (size_t i = 0; i < plan->kind_count; i++) {
		if (str_eq(plan->kinds[i].group, group) &&
		    str_eq(plan->kinds[i].resource, resource))
			return i;
	}
	return SIZE_MAX;
}

size_t
budget_plan_key(const struct budget_plan *plan, struct str name)
{
	const struct budget_key wanted = {.name = name};
	const struct budget_key *found =
	    plan->key_count == 0 ? NULL
				 : bsearch(&wanted, plan->keys, plan->key_count,
				       sizeof(wanted), by_name);

	return found != NULL ? (size_t)(found - plan->keys) : SIZE_MAX;
}

struct collecting {
	struct arena *arena;
	struct buf *problem;
	struct budget_key keys[BUDGET_KEYS_MAX];
	struct budget_kind kinds[BUDGET_KEYS_MAX]; /* of each key */
	size_t count;
	bool ok;
};

static void
collect_name(struct collecting *c, const struct quota *q, struct str name)
{
	struct meaning m;

	for (size_t i = 0; i < c->count; i++) {
		if (str_eq(c->keys[i].name, name))
			return;
	}
	if (!name_means(name, &m)) {
		buf_printf(c->problem,
		    "%s: error: Quota \"%.*s\": no budget is kept for \"%.*s\": write "
		    "a "
		    "name of a ResourceQuota, such as count/deployments.apps "
		    "[budget-name]\n",
		    loc_text(c->arena, q->loc), STR_ARG(q->name), STR_ARG(name));
		c->ok = false;
	} else if (c->count == BUDGET_KEYS_MAX) {
		buf_printf(c->problem,
		    "%s: error: Quotas limit more than %u kinds of resources "
		    "[budget-name]\n",
		    loc_text(c->arena, q->loc), BUDGET_KEYS_MAX);
		c->ok = false;
	} else {
		c->kinds[c->count] = m.kind;
		c->keys[c->count++] = (struct budget_key){
		    .name = name, .measure = m.measure, .what = m.what};
	}
}

static size_t
distinct(struct budget_kind *kinds, size_t count)
{
	size_t n = 0;

	if (count != 0)
		qsort(kinds, count, sizeof(*kinds), by_kind);
	for (size_t i = 0; i < count; i++) {
		if (n == 0 || kind_cmp(&kinds[n - 1], &kinds[i]) != 0)
			kinds[n++] = kinds[i];
	}
	return n;
}

bool
budget_plan_make(struct arena *arena, const struct model *model, struct buf *problem,
    struct budget_plan *out_plan)
{
	struct collecting c = {.arena = arena, .problem = problem, .ok = true};
	struct budget_key *keys;
	struct budget_kind *kinds;

	for (size_t n = 0; n < model->ns_count; n++) {
		const struct ns *ns = model->namespaces[n];

		for (size_t i = 0; i < ns->quota_count; i++) {
			const struct quota *q = ns->quotas[i];

			for (size_t k = 0; k < q->object_count && c.ok; k++)
				collect_name(&c, q, q->objects[k].resource);
		}
	}
	keys = ARENA_ARRAY(arena, c.count, struct budget_key);
	kinds = ARENA_ARRAY(arena, c.count, struct budget_kind);
	if (c.count != 0)
		memcpy(kinds, c.kinds, c.count * sizeof(*kinds));
	*out_plan = (struct budget_plan){.keys = keys,
	    .key_count = c.count,
	    .kinds = kinds,
	    .kind_count = distinct(kinds, c.count)};
	for (size_t i = 0; i < c.count; i++) {
		keys[i] = c.keys[i];
		keys[i].kind =
		    budget_plan_kind(out_plan, c.kinds[i].group, c.kinds[i].resource);
	}
	if (c.count != 0)
		qsort(keys, c.count, sizeof(*keys), by_name);
	return c.ok;
}

bool
budget_plan_equal(const struct budget_plan *a, const struct budget_plan *b)
{
	if (a->key_count != b->key_count)
		return false;
	for (size_t i = 0; i < a->key_count; i++) {
		/* The rest follows from the names. */
		if (!str_eq(a->keys[i].name, b->keys[i].name))
			return false;
	}
	return true;
}

/* ---- amounts ---- */

const char *
budget_amount_text(struct arena *arena, budget_sum_t milli)
{
	static const char *const suffixes[] = {"Ti", "Gi", "Mi", "Ki"};
	budget_sum_t whole = milli / 1000;
	unsigned long long n;

	if (milli % 1000 != 0)
		return arena_printf(arena, "%llum", (unsigned long long)milli);
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		unsigned shift = 10 * (unsigned)(ARRAY_LEN(suffixes) - i);

		if (whole >> shift != 0 && (whole & ((1ull << shift) - 1)) == 0 &&
		    whole >= 1ull << 20)
			return arena_printf(arena, "%llu%s",
			    (unsigned long long)(whole >> shift), suffixes[i]);
	}
	n = (unsigned long long)whole;
	return arena_printf(arena, "%llu", n);
}
