#include "authn/budget/resource_quota.h"

#include <string.h>

#include "authn/wire/json_text.h"
#include "common/map.h"
#include "policy-lang/model/quantity.h"

/* ---- what is used in each namespace ---- */

struct use {
	struct arena *arena;
	const struct budget_plan *plan;
	struct map sums; /* namespace: budget_sum_t[key_count], in the arena */
};

static void
add_use(void *arg, struct str namespace, const uint64_t *amounts)
{
	struct use *u = arg;
	budget_sum_t *sums = map_get(&u->sums, namespace);

	if (sums == NULL) {
		sums = ARENA_ARRAY(u->arena, u->plan->key_count, budget_sum_t);
		memset(sums, 0, u->plan->key_count * sizeof(*sums));
		(void)map_set(&u->sums, str_dup(u->arena, namespace), sums);
	}
	for (size_t k = 0; k < u->plan->key_count; k++)
		sums[k] += amounts[k];
}

/* ---- what each may have ---- */

static void
make_one(struct arena *arena, const struct budget_plan *plan,
    const struct budget_ledger *ledger, const budget_sum_t *used,
    struct resource_quota *q)
{
	q->lines = ARENA_ARRAY(arena, plan->key_count, struct resource_quota_line);
	for (size_t k = 0; k < plan->key_count; k++) {
		struct resource_quota_line *line = &q->lines[q->line_count];
		budget_sum_t hard = 0;

		if (!budget_ledger_room(ledger, q->level, k, &hard, &line->by))
			continue;
		hard += used != NULL ? used[k] : 0;
		line->resource = plan->keys[k].name;
		line->hard_milli = hard < UINT64_MAX ? (uint64_t)hard : UINT64_MAX;
		q->line_count++;
	}
}

const struct resource_quota *
resource_quotas_make(struct arena *arena, const struct model *model,
    const struct budget_plan *plan, const struct budget_ledger *ledger,
    size_t *out_count)
{
	struct resource_quota *all =
	    ARENA_ARRAY(arena, model->kube_count, struct resource_quota);
	struct use use = {.arena = arena, .plan = plan};
	size_t count = 0;

	budget_ledger_each(ledger, add_use, &use);
	for (size_t i = 0; i < model->kube_count; i++) {
		const struct kube_ns *kube = model->kube_namespaces[i];
		struct resource_quota q = {.namespace = kube->name, .level = kube->ns};

		if (kube->cluster.len != 0)
			continue; /* the gate's own cluster has no name */
		make_one(arena, plan, ledger, map_get(&use.sums, kube->name), &q);
		if (q.line_count != 0)
			all[count++] = q;
	}
	map_fini(&use.sums);
	*out_count = count;
	return all;
}

/* ---- as an object ---- */

static void
add_amount(struct buf *out, uint64_t milli)
{
	struct arena *arena = arena_new_sized(256);

	buf_printf(out, "\"%s\"", budget_amount_text(arena, milli));
	arena_free(arena);
}

void
resource_quota_json(struct buf *out, const struct resource_quota *q)
{
	buf_add_cstr(out,
	    "{\"apiVersion\":\"v1\",\"kind\":\"ResourceQuota\","
	    "\"metadata\":{\"name\":\"" RESOURCE_QUOTA_NAME "\",\"namespace\":");
	buf_add_json(out, q->namespace);
	buf_add_cstr(out,
	    ",\"labels\":{\"" RESOURCE_QUOTA_LABEL "\":\"" RESOURCE_QUOTA_MANAGER
	    "\"},\"annotations\":{\"ringfence.dev/namespace\":");
	buf_add_json(out, q->level->path);
	buf_add_cstr(out, "}},\"spec\":{\"hard\":{");
	for (size_t i = 0; i < q->line_count; i++) {
		if (i != 0)
			buf_add_char(out, ',');
		buf_add_json(out, q->lines[i].resource);
		buf_add_char(out, ':');
		add_amount(out, q->lines[i].hard_milli);
	}
	buf_add_cstr(out, "}}}");
}

void
resource_quota_yaml(struct buf *out, const struct resource_quota *q)
{
	struct arena *arena = arena_new_sized(1024);

	buf_add_cstr(out, "---\napiVersion: v1\nkind: ResourceQuota\nmetadata:\n  "
			  "name: " RESOURCE_QUOTA_NAME "\n  namespace: ");
	buf_add_json(out, q->namespace);
	buf_add_cstr(out,
	    "\n  labels: { " RESOURCE_QUOTA_LABEL ": " RESOURCE_QUOTA_MANAGER
	    " }\n  annotations: { ringfence.dev/namespace: ");
	buf_add_json(out, q->level->path);
	buf_add_cstr(out, " }\nspec:\n  hard:\n");
	for (size_t i = 0; i < q->line_count; i++) {
		const struct quota *by = q->lines[i].by;

		buf_add_cstr(out, "    ");
		buf_add_str(out, q->lines[i].resource);
		buf_add_cstr(out, ": ");
		add_amount(out, q->lines[i].hard_milli);
		buf_printf(out, " # Quota %.*s/%.*s (%s)\n",
		    STR_ARG(by->level->depth == 0 ? STR("") : by->level->path),
		    STR_ARG(by->name), loc_text(arena, by->loc));
	}
	arena_free(arena);
}

/* Kubernetes rounds and writes amounts in its own way: they are compared as numbers. */
static bool
same_amount(const json_t *hard, const struct resource_quota_line *line)
{
	char name[256];
	uint64_t milli;

	if (line->resource.len >= sizeof(name))
		return false;
	memcpy(name, line->resource.ptr, line->resource.len);
	name[line->resource.len] = '\0';
	return quantity_parse(json_text_at(hard, name), &milli) &&
	       milli == line->hard_milli;
}

bool
resource_quota_is(const struct resource_quota *q, const json_t *object)
{
	const json_t *metadata = json_object_get(object, "metadata");
	const json_t *hard = json_object_get(json_object_get(object, "spec"), "hard");
	bool same = json_object_size(hard) == q->line_count &&
		    str_is(json_text_at(json_object_get(metadata, "labels"),
			       RESOURCE_QUOTA_LABEL),
			RESOURCE_QUOTA_MANAGER) &&
		    str_eq(json_text_at(json_object_get(metadata, "annotations"),
			       "ringfence.dev/namespace"),
			q->level->path);

	for (size_t i = 0; i < q->line_count && same; i++)
		same = same_amount(hard, &q->lines[i]);
	return same;
}
