/*
 * May they, and how much: access, the token's scope, quota, the record, and on.
 */
#include "authn/access/rights.h"
#include "authn/proxy/exchange.h"
#include "authn/proxy/exchange_list.h"
#include "authn/proxy/exchange_review.h"
#include "authn/proxy/upstream.h"
#include "authn/proxy/worker_state.h"

/* Groups become header lines: more than an API server takes is refused, never cut. */
#define MAX_GROUPS      256
#define MAX_GROUP_BYTES (48u * 1024)

static const char *const methods[] = {
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};

static bool
method_known(struct str method)
{
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		if (str_is(method, methods[i]))
			return true;
	}
	return false;
}

static bool
groups_fit(const struct identity *id)
{
	size_t bytes = 0;

	for (size_t i = 0; i < id->group_count; i++)
		bytes += id->groups[i].len + 48; /* the name and framing */
	return id->group_count <= MAX_GROUPS && bytes <= MAX_GROUP_BYTES;
}

static struct rights
rights_of(const struct exchange *x)
{
	return (struct rights){
	    .model = x->w->policy->model,
	    .levels = &x->w->policy->levels,
	    .subject =
		{
		    .user = x->id->user,
		    .groups = x->id->groups,
		    .group_count = x->id->group_count,
		},
	    .id = x->id,
	};
}

bool
exchange_sees(const struct exchange *x, struct str namespace)
{
	struct access_request question = rights_question(&x->info);
	const struct rights rights = rights_of(x);

	question.namespace = namespace;
	return rights_ask(&rights, &question).allow;
}

struct access_extent
exchange_extent(const struct exchange *x)
{
	const struct rights rights = rights_of(x);
	struct access_extent extent = rights_extent(&rights, &x->info, x->w->scratch);

	arena_reset(x->w->scratch);
	return extent;
}

struct access_verdict
exchange_judge(const struct exchange *x, const struct request_info *info,
    struct access_request *out_question, struct access_extent *out_extent)
{
	const struct rights rights = rights_of(x);
	struct access_verdict v =
	    rights_decide(&rights, info, x->w->scratch, out_question, out_extent);

	arena_reset(x->w->scratch);
	return v;
}

static void
note_decision(struct exchange *x, const struct access_verdict *v)
{
	if (v->policy == NULL) {
		if (x->info.is_discovery)
			x->decided_by = STR("discovery");
		else if (x->info.is_self_review)
			x->decided_by = STR("self review");
		else if (v->allow)
			x->decided_by = STR("Access of each namespace");
		return;
	}
	/* The policy may be replaced while the request runs. */
	x->decided_by =
	    str_dup(x->arena, worker_policy_decision(x->w->policy, v->rule));
}

/* A rate may have a fraction; the rest are whole numbers. */
static const char *
limit_text(struct arena *arena, const struct quota_refusal *r)
{
	unsigned long long n = r->limit;

	if (r->kind != QUOTA_RATE)
		return arena_printf(arena, "%llu", n);
	if (n % 1000 == 0)
		return arena_printf(arena, "%llu", n / 1000);
	return arena_printf(arena, "%llu.%03llu", n / 1000, n % 1000);
}

static void
reply_quota(struct exchange *x, const struct quota_refusal *r)
{
	static const char *const what[] = {
	    [QUOTA_RATE] = "requests per second",
	    [QUOTA_IN_FLIGHT] = "requests at a time",
	    [QUOTA_WATCHES] = "watches",
	    [QUOTA_PER_DAY] = "requests a day",
	    [QUOTA_BODY] = "bytes of body",
	    [QUOTA_ACCOUNT] = "",
	    [QUOTA_CUT_OFF] = "",
	};
	static const char *const whom[] = {
	    [QUOTA_FOR_ALL] = "",
	    [QUOTA_FOR_USER] = " for each user",
	    [QUOTA_FOR_TOKEN] = " for each token",
	};
	struct status s = {.code = 429, .retry_after_s = r->retry_after_s};

	x->w->stats.quota_refused++;
	if (r->quota == NULL)
		s.message = STR("Too many requests, please try again later.");
	else
		s.message = str_from(arena_printf(x->arena,
		    "Too many requests: the limit of %s %s%s in Quota %.*s/%.*s is "
		    "reached, please try again later.",
		    limit_text(x->arena, r), what[r->kind], whom[r->whom],
		    STR_ARG(
			r->quota->level->depth == 0 ? STR("") : r->quota->level->path),
		    STR_ARG(r->quota->name)));
	exchange_reply_status(x, &s);
}

static bool
charge(struct exchange *x, const struct ns *level)
{
	struct quota_refusal refusal = {.quota = NULL, .retry_after_s = 1};

	const struct quota_request request = {.level = level,
	    .user = x->id->user,
	    .token = x->id->token_id,
	    .is_watch = str_is(x->info.verb, "watch")};

	if (quota_admit(x->w->quota, x->w->settings.index, &request, monotime_now(),
		x->received, &x->quota, &refusal)) {
		x->has_quota = true;
		return true;
	}
	if (refusal.kind == QUOTA_CUT_OFF) {
		exchange_reply_unavailable(x, "this gate is cut off from the others");
		return false;
	}
	reply_quota(x, &refusal);
	return false;
}

static void
exchange_forward(struct exchange *x)
{
	x->state = EXCHANGE_UPSTREAM;
	x->forwarded = true;
	if (x->up_target.ptr == NULL)
		x->up_target = x->target;
	if (x->facts.expect_continue && !x->req_ended)
		x->ops->go_ahead(x);
	upstream_start(x->w->upstreams, x);
}

static void
on_received_recorded(void *arg, bool ok)
{
	struct exchange *x = arg;

	x->audit_ticket = 0;
	if (ok) {
		exchange_forward(x);
		return;
	}
	exchange_reply_unavailable(x, "the audit log cannot be written");
}

/* Everything is decided: on record, if it must be, and on. */
static void
begin(struct exchange *x)
{
	exchange_capture_begin(x);
	if (x->info.is_mutation)
		exchange_record_received(x, on_received_recorded);
	else
		exchange_forward(x);
}

/* What speaks against the request before anybody's rights matter. */
static bool
acceptable(struct exchange *x)
{
	if (x->problem != REQUEST_OK) {
		exchange_reply_error(x, 400, request_problem_text(x->problem));
		return false;
	}
	if (!method_known(x->method)) {
		exchange_reply_error(x, 405,
		    "the server does not allow this method on the requested resource");
		return false;
	}
	if (x->facts.impersonates) {
		struct status s = status_impersonation(
		    x->arena, x->id->user, x->facts.impersonate_user);

		x->w->stats.denied++;
		exchange_reply_status(x, &s);
		return false;
	}
	if (!groups_fit(x->id)) {
		exchange_reply_error(x, 431, "the user is in too many groups");
		return false;
	}
	return true;
}

static bool
body_fits(struct exchange *x)
{
	if (x->quota.body_bytes == QUOTA_UNSET ||
	    (x->facts.content_length <= 0 && x->req_bytes <= x->quota.body_bytes) ||
	    (x->facts.content_length > 0 &&
		(uint64_t)x->facts.content_length <= x->quota.body_bytes))
		return true;
	x->must_close = true;
	exchange_reply_error(x, 413,
	    arena_printf(x->arena, "Request entity is too large: limit is %llu",
		(unsigned long long)x->quota.body_bytes));
	return false;
}

/* The subtree that shares with others when there is not enough for all. */
static struct str
tenant_of(struct arena *arena, const struct ns *level)
{
	while (level->depth > 1)
		level = level->parent;
	return str_dup(arena, level->path); /* policy may be replaced meanwhile */
}

void
exchange_admit(struct exchange *x)
{
	struct access_request question;
	struct access_extent extent;
	struct access_verdict v;

	if (!acceptable(x))
		return;
	v = exchange_judge(x, &x->info, &question, &extent);
	x->extent = extent.digest;
	if (v.level == NULL) /* no namespace can have such a name */
		v.level = x->w->policy->model->root;
	note_decision(x, &v);
	x->tenant = tenant_of(x->arena, v.level);
	/* What is denied is charged too, so that probing has a price. */
	if (!charge(x, v.level))
		return;
	if (!v.allow) {
		struct request_info asked = x->info;
		struct status s;

		asked.verb = question.verb;
		s = status_forbidden(x->arena, x->id->user, &asked);
		x->w->stats.denied++;
		exchange_reply_status(x, &s);
		return;
	}
	if (!body_fits(x))
		return;
	if (!audit_client_ready(x->w->audit)) {
		exchange_reply_unavailable(x, "the audit log cannot be written");
		return;
	}
	if (!extent.everywhere && !exchange_list_prepare(x))
		return;
	if (!exchange_review_begin(x, begin))
		begin(x);
}

bool
exchange_still_permitted(struct exchange *x)
{
	struct access_request question;
	struct access_extent extent;
	bool allowed;

	if (x->id == NULL || !x->classified)
		return true;
	if (exchange_signed_out(x, walltime_now()))
		return false;
	allowed = exchange_judge(x, &x->info, &question, &extent).allow;
	return allowed && (x->list != NULL || extent.everywhere);
}
