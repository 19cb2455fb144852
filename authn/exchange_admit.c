/*
 * May they, and how much: access, the token's scope, quota, the record, and on.
 */
#include "authn/exchange.h"
#include "authn/exchange_list.h"
#include "authn/exchange_review.h"
#include "authn/upstream.h"
#include "authn/worker_state.h"

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

static struct access_request
access_question(const struct request_info *info)
{
	return (struct access_request){
	    .is_resource = info->is_resource,
	    .verb = info->verb,
	    .api_group = info->api_group,
	    .resource = info->resource,
	    .subresource = info->subresource,
	    .name = info->name,
	    .namespace = info->namespace,
	    .path = info->path,
	};
}

static struct access_subject
access_asker(const struct exchange *x)
{
	return (struct access_subject){
	    .user = x->id->user,
	    .groups = x->id->groups,
	    .group_count = x->id->group_count,
	};
}

static struct access_verdict
ask(const struct exchange *x, const struct access_request *question)
{
	const struct access_subject subject = access_asker(x);
	struct access_verdict v =
	    access_decide(x->w->policy->model, &subject, question, STR(""));

	if (v.allow && !exchange_in_scope(x->id, question, v.level))
		v = (struct access_verdict){.allow = false, .level = v.level};
	return v;
}

/*
 * Exec, attach, port-forward and proxy change things whatever the method is: a GET (how a
 * WebSocket begins) needs the right to `create` as well, as with the API server since 1.35.
 */
static struct access_verdict
judge(const struct exchange *x, const struct request_info *info,
    struct access_request *question)
{
	struct access_verdict v;

	*question = access_question(info);
	if (info->is_discovery || info->is_self_review)
		return (struct access_verdict){
		    .allow = true, .level = x->w->policy->model->root};
	v = ask(x, question);
	if (v.allow && info->is_upgrade_subresource && str_is(question->verb, "get")) {
		question->verb = STR("create");
		v = ask(x, question);
	}
	return v;
}

bool
exchange_sees(const struct exchange *x, struct str namespace)
{
	struct access_request question = access_question(&x->info);

	question.namespace = namespace;
	return ask(x, &question).allow;
}

struct access_extent
exchange_extent(const struct exchange *x, const struct request_info *info)
{
	const struct access_levels *levels = &x->w->policy->levels;
	const struct access_request question = access_question(info);
	const struct access_subject asker = access_asker(x);
	struct access_extent extent;
	bool somewhere, everywhere;

	extent = access_extent(
	    levels, &asker, &question, ARENA_ARRAY(x->arena, levels->count, uint8_t));
	exchange_scope_extent(x->id, &question, &somewhere, &everywhere);
	extent.somewhere = extent.somewhere && somewhere;
	extent.everywhere = extent.everywhere && everywhere;
	return extent;
}

/* Across namespaces: allowed as it is, filtered, or refused. */
static struct access_verdict
judge_across(const struct exchange *x, const struct request_info *info,
    const struct access_extent *extent, struct access_request *question)
{
	*question = access_question(info);
	if (extent->somewhere && !extent->everywhere)
		return (struct access_verdict){
		    .allow = true, .level = x->w->policy->model->root};
	return ask(x, question);
}

bool
exchange_would_allow(const struct exchange *x, const struct request_info *info,
    struct access_verdict *out_verdict)
{
	struct access_request question;
	struct access_extent extent;

	if (!exchange_list_is_across(info)) {
		*out_verdict = judge(x, info, &question);
		return out_verdict->allow;
	}
	extent = exchange_extent(x, info);
	*out_verdict = judge_across(x, info, &extent, &question);
	return out_verdict->allow;
}

static void
note_decision(struct exchange *x, const struct access_verdict *v)
{
	if (v->policy == NULL) {
		x->decided_by = x->info.is_discovery ? STR("discovery")
				: v->allow           ? STR("Access of each namespace")
						     : STR("");
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
	};
	struct status s = {.code = 429, .retry_after_s = r->retry_after_s};

	x->w->stats.quota_refused++;
	if (r->quota == NULL)
		s.message = STR("Too many requests, please try again later.");
	else
		s.message = str_from(arena_printf(x->arena,
		    "Too many requests: the limit of %s %s%s in Quota %.*s/%.*s is "
		    "reached, please try again later.",
		    limit_text(x->arena, r), what[r->kind],
		    r->per_user ? " for each user" : "",
		    STR_ARG(
			r->quota->level->depth == 0 ? STR("") : r->quota->level->path),
		    STR_ARG(r->quota->name)));
	exchange_reply_status(x, &s);
}

static bool
charge(struct exchange *x, const struct ns *level)
{
	struct quota_refusal refusal = {.quota = NULL, .retry_after_s = 1};

	if (quota_admit(x->w->quota, x->w->settings.index, level, x->id->user,
		str_is(x->info.verb, "watch"), monotime_now(), x->received, &x->quota,
		&refusal)) {
		x->has_quota = true;
		return true;
	}
	reply_quota(x, &refusal);
	return false;
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

void
exchange_admit(struct exchange *x)
{
	struct access_extent extent = {.everywhere = true};
	struct access_request question;
	struct access_verdict v;

	if (!acceptable(x))
		return;
	if (exchange_list_is_across(&x->info)) {
		extent = exchange_extent(x, &x->info);
		x->extent = extent.digest;
		v = judge_across(x, &x->info, &extent, &question);
	} else {
		v = judge(x, &x->info, &question);
	}
	if (v.level == NULL) /* no namespace can have such a name */
		v.level = x->w->policy->model->root;
	note_decision(x, &v);
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

void
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

bool
exchange_still_permitted(struct exchange *x)
{
	struct access_request question;

	if (x->id == NULL || !x->classified)
		return true;
	if (x->id->revoked || walltime_now().ns >= x->id->expires.ns)
		return false;
	if (exchange_list_is_across(&x->info)) {
		struct access_extent extent = exchange_extent(x, &x->info);

		return x->list != NULL ? extent.somewhere : extent.everywhere;
	}
	return judge(x, &x->info, &question).allow;
}
