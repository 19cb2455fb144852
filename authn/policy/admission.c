#include "authn/policy/admission.h"

#include "authn/policy/admission_wire.h"
#include "authn/wire/json_text.h"

struct answering {
	struct budget_ledger *ledger;
	const struct budget_plan *plan;
	struct arena *arena;
	monotime_t now;
	struct buf *out;
	struct str uid;
	json_t *warnings;
};

/* ---- reading ---- */

bool
admission_version(const json_t *object, uint64_t *out_version)
{
	return str_to_u64(
	    json_text_at(json_object_get(object, "metadata"), "resourceVersion"),
	    UINT64_MAX - 1, out_version);
}

bool
admission_object(const struct budget_plan *plan, size_t kind, const json_t *object,
    uint64_t *amounts, struct budget_object *out, const char **out_why)
{
	const json_t *metadata = json_object_get(object, "metadata");

	*out = (struct budget_object){
	    .kind = kind,
	    .namespace = json_text_at(metadata, "namespace"),
	    .name = json_text_at(metadata, "name"),
	    .uid = json_text_at(metadata, "uid"),
	    .amounts = amounts,
	};
	if (plan->kinds[kind].group.len == 0 &&
	    str_is(plan->kinds[kind].resource, "namespaces"))
		out->namespace = out->name;
	*out_why = "the object has no name";
	return out->name.len != 0 &&
	       budget_measure(plan, kind, object, amounts, out_why);
}

/* ---- answering ---- */

static void
respond(
    struct answering *a, bool allowed, int code, const char *reason, struct str message)
{
	const struct admission_answer answer = {
	    .allowed = allowed,
	    .code = code,
	    .reason = reason,
	    .message = message,
	    .warnings = a->warnings,
	};

	admission_answer_print(a->out, a->uid, &answer);
}

static enum admission_result
allow(struct answering *a)
{
	respond(a, true, 0, NULL, STR(""));
	return ADMISSION_ALLOWED;
}

static enum admission_result
deny(struct answering *a, const char *message)
{
	respond(a, false, 403, "Forbidden", str_from(message));
	return ADMISSION_DENIED;
}

static enum admission_result
unknown(struct answering *a, const char *message)
{
	respond(a, false, 503, "ServiceUnavailable", str_from(message));
	return ADMISSION_UNKNOWN;
}

static const char *
quota_text(struct arena *arena, const struct quota *q)
{
	return arena_printf(arena, "Quota %.*s/%.*s (%s)",
	    STR_ARG(q->level->depth == 0 ? STR("") : q->level->path), STR_ARG(q->name),
	    loc_text(arena, q->loc));
}

/* In the words of the API server's own quota, so that people and tools know it. */
static enum admission_result
deny_full(struct answering *a, const struct budget_refusal *r)
{
	const struct str name = r->limit->resource;
	const char *waits = "";

	if (r->reserved != 0)
		waits =
		    arena_printf(a->arena, ", of that admitted and not seen yet: %s",
			budget_amount_text(a->arena, r->reserved));
	return deny(
	    a, arena_printf(a->arena,
		   "exceeded quota: %s, requested: %.*s=%s, used: %.*s=%s%s, limited: "
		   "%.*s=%s",
		   quota_text(a->arena, r->quota), STR_ARG(name),
		   budget_amount_text(a->arena, r->requested), STR_ARG(name),
		   budget_amount_text(a->arena, r->used), waits, STR_ARG(name),
		   budget_amount_text(a->arena, r->limit->amount_milli)));
}

/* ---- replicas ---- */

static bool
replicas_of(const json_t *object, json_int_t *out)
{
	const json_t *n = json_object_get(json_object_get(object, "spec"), "replicas");

	*out = json_integer_value(n);
	return json_is_integer(n) && *out >= 0;
}

/* Pods are charged when they come, one by one; whoever asks for more of them than there is
 * room for is told now, while somebody looks. */
static void
warn_of_replicas(struct answering *a, const struct admission_asked *q)
{
	const size_t key = budget_plan_key(a->plan, STR("pods"));
	const struct ns *level = budget_ledger_level(a->ledger, q->namespace);
	const struct quota *quota = NULL;
	json_int_t wanted, before = 0;
	budget_sum_t room;

	if (key == SIZE_MAX || !replicas_of(q->object, &wanted))
		return;
	if (!replicas_of(q->old_object, &before))
		before = 0;
	if (wanted <= before ||
	    !budget_ledger_room(a->ledger, level, key, &room, &quota) ||
	    (budget_sum_t)(wanted - before) * 1000 <= room)
		return;
	if (json_array_append_new(a->warnings,
		json_string(arena_printf(a->arena,
		    "%lld more replicas are asked for, and %s has room for %s pods",
		    (long long)(wanted - before), quota_text(a->arena, quota),
		    budget_amount_text(a->arena, room)))) != 0)
		base_die("out of memory");
}

/* ---- judging ---- */

/* Subresources that change what an object holds; others leave it as it is. */
static bool
subresource_counts(const struct admission_asked *q)
{
	return q->subresource.len == 0 || str_is(q->subresource, "resize");
}

static enum admission_result
judge_object(struct answering *a, const struct admission_asked *q, size_t kind)
{
	const bool is_new = str_is(q->operation, "CREATE");
	uint64_t amounts[BUDGET_KEYS_MAX];
	struct budget_refusal refusal;
	struct budget_object o;
	struct buf lacking = {NULL, 0, 0};
	const char *why = NULL, *text;

	if (!admission_object(a->plan, kind, q->object, amounts, &o, &why) ||
	    (!is_new && !admission_version(q->old_object, &o.version)))
		return deny(a, why != NULL ? why : "the object has no resourceVersion");
	/* Who asks says where it is; the two are the same. */
	if (q->namespace.len != 0)
		o.namespace = q->namespace;
	if (is_new && str_is(a->plan->kinds[kind].resource, "pods") &&
	    budget_pod_lacks(a->plan, budget_ledger_level(a->ledger, o.namespace),
		q->object, &lacking)) {
		text = arena_printf(a->arena, "failed quota: must specify %.*s",
		    STR_ARG(buf_str(&lacking)));
		buf_free(&lacking);
		return deny(a, text);
	}
	switch (
	    budget_ledger_admit(a->ledger, &o, is_new, q->dry_run, a->now, &refusal)) {
	case BUDGET_FITS:
		return allow(a);
	case BUDGET_FULL:
		return deny_full(a, &refusal);
	case BUDGET_CROWDED:
		return unknown(a, "too many requests wait to be seen; try again");
	case BUDGET_UNKNOWN:
		break;
	}
	return unknown(a, "what the budgets hold is not known yet; try again");
}

static enum admission_result
judge(struct answering *a, const struct admission_asked *q)
{
	const size_t kind = budget_plan_kind(a->plan, q->group, q->resource);
	const bool is_new = str_is(q->operation, "CREATE");

	/* A deletion is counted once it has happened. */
	if (!is_new && !str_is(q->operation, "UPDATE"))
		return allow(a);
	warn_of_replicas(a, q);
	if (kind == SIZE_MAX || !subresource_counts(q))
		return allow(a);
	return judge_object(a, q, kind);
}

/* Judges with `a`, whose ledger says what there is; without one nothing can be said. */
static enum admission_result
review(struct answering *a, struct str body, const char *no_ledger)
{
	json_error_t error;
	json_t *json = json_loadb(body.ptr, body.len, JSON_REJECT_DUPLICATES, &error);
	enum admission_result result = ADMISSION_MALFORMED;
	struct admission_asked q;

	a->warnings = json_array();
	a->arena = arena_new_sized(1024);
	if (json == NULL) {
		buf_printf(a->out, "not JSON: %s\n", error.text);
	} else if (!admission_asked_read(json, &q)) {
		buf_add_cstr(a->out, "no AdmissionReview of admission.k8s.io/v1\n");
	} else {
		a->uid = q.uid;
		result = a->ledger != NULL ? judge(a, &q) : unknown(a, no_ledger);
	}
	json_decref(a->warnings);
	json_decref(json);
	arena_free(a->arena);
	return result;
}

enum admission_result
admission_review(struct budget_ledger *ledger, const struct budget_plan *plan,
    struct str body, monotime_t now, struct buf *out)
{
	struct answering a = {.ledger = ledger, .plan = plan, .now = now, .out = out};

	return review(&a, body, NULL);
}

enum admission_result
admission_unknown(struct str body, const char *message, struct buf *out)
{
	struct answering a = {.out = out};

	return review(&a, body, message);
}
