#include "authn/proxy/exchange_review.h"

#include "authn/access/list_request.h"
#include "authn/access/review.h"
#include "authn/access/review_rules.h"
#include "authn/proxy/exchange_list.h"
#include "authn/proxy/upstream.h"
#include "authn/proxy/worker_state.h"

struct exchange_rules {
	struct str namespace; /* that is asked about */
	int status;
	struct buf answer; /* the API server's */
};

bool
exchange_review_begin(struct exchange *x, void (*ask_upstream)(struct exchange *x))
{
	enum review_kind kind = review_kind_of(&x->info);

	if (kind != REVIEW_ACCESS && kind != REVIEW_RULES)
		return false;
	x->state = EXCHANGE_REVIEW;
	x->reviewed = ask_upstream;
	if (x->req_bytes > EXCHANGE_OWN_BODY ||
	    x->facts.content_length > (int64_t)EXCHANGE_OWN_BODY) {
		x->must_close = true;
		exchange_reply_error(x, 413, "Request entity is too large");
	} else if (x->req_ended) {
		exchange_review_complete(x);
	} else if (x->facts.expect_continue) {
		x->ops->go_ahead(x);
	}
	return true;
}

static void
reply_problem(struct exchange *x, enum review_problem problem)
{
	if (problem == REVIEW_MEDIA)
		exchange_reply_error(x, 415,
		    "the body of the request was in an unknown format - accepted media "
		    "types include: application/json, "
		    "application/vnd.kubernetes.protobuf");
	else
		exchange_reply_error(x, 400, "the review cannot be read");
}

/* The rule's document and number; where its file lies is the admins' affair. */
static struct str
reason_of(struct exchange *x, const struct access_verdict *v)
{
	if (v->policy == NULL)
		return STR("no Access document allows it");
	return str_from(arena_printf(x->arena, "denied by Access %.*s/%.*s rule %u",
	    STR_ARG(v->policy->level->depth == 0 ? STR("") : v->policy->level->path),
	    STR_ARG(v->policy->name), v->rule->index));
}

/* The answer must be one that can be read. */
static void
ask_rules(struct exchange *x, struct str namespace)
{
	struct str accept = list_request_accept(x->arena, &x->req_headers);

	if (accept.ptr == NULL) {
		exchange_reply_error(x, 406,
		    "only the following media types are accepted: application/json");
		return;
	}
	list_request_headers(x->arena, &x->req_headers, STR("application/json"));
	x->rules = ARENA_NEW(x->arena, struct exchange_rules);
	x->rules->namespace = str_dup(x->arena, namespace);
	x->reviewed(x);
}

void
exchange_review_complete(struct exchange *x)
{
	const struct header *type = header_find(&x->req_headers, HEADER_CONTENT_TYPE);
	struct buf body = {NULL, 0, 0}, answer = {NULL, 0, 0};
	struct access_request question;
	struct access_verdict verdict;
	struct access_extent extent;
	enum review_problem problem;
	struct review review;

	iobuf_copy(&x->req_body, &body);
	problem = review_parse(x->arena, review_kind_of(&x->info),
	    type != NULL ? type->value : STR(""), buf_str(&body), &review);
	if (problem != REVIEW_OK) {
		reply_problem(x, problem);
		goto out;
	}
	if (review_kind_of(&x->info) == REVIEW_RULES) {
		ask_rules(x, review.about.namespace);
		goto out;
	}
	verdict = exchange_judge(x, &review.about, &question, &extent);
	if (verdict.allow) {
		if (!extent.everywhere) /* such a list is asked in another name */
			exchange_list_ask_as(x);
		x->reviewed(x);
	} else {
		review_refusal(&answer, &x->info, &review, reason_of(x, &verdict),
		    verdict.policy != NULL);
		exchange_reply(x, 201, "application/json", buf_str(&answer));
	}
out:
	buf_free(&answer);
	buf_free(&body);
}

/* ---- the API server's answer to a rules review ---- */

void
exchange_rules_head(struct exchange *x, int status)
{
	x->rules->status = status;
}

static void
cannot_read(struct exchange *x)
{
	const struct status s = {
	    .code = 500, .message = STR("the API server's answer cannot be read")};

	exchange_answer_instead(x, &s);
}

void
exchange_rules_data(struct exchange *x, const char *data, size_t len)
{
	struct buf *answer = &x->rules->answer;

	if (answer->len + len > REVIEW_RULES_BYTES) {
		cannot_read(x);
		return;
	}
	buf_add(answer, data, len);
	if (x->up != NULL)
		upstream_consumed(x->up, len);
}

void
exchange_rules_ended(struct exchange *x)
{
	const struct access_request place = {
	    .is_resource = true, .namespace = x->rules->namespace};
	const struct review_subject subject = {
	    .id = x->id,
	    .namespace = x->rules->namespace,
	    .level = access_level(x->w->policy->model, &place, STR("")),
	};
	struct buf out = {NULL, 0, 0};
	int status = x->rules->status;

	if (status >= 400) /* says nothing about rights but that it failed */
		exchange_reply(
		    x, status, "application/json", buf_str(&x->rules->answer));
	else if (subject.level != NULL &&
		 review_rules_intersect(buf_str(&x->rules->answer), &subject, &out))
		exchange_reply(x, status, "application/json", buf_str(&out));
	else
		cannot_read(x);
	buf_free(&out);
}

void
exchange_rules_free(struct exchange *x)
{
	if (x->rules != NULL)
		buf_free(&x->rules->answer);
	x->rules = NULL;
}
