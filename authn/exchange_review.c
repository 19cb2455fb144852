#include "authn/exchange_review.h"

#include "authn/review.h"
#include "authn/worker_state.h"

bool
exchange_review_begin(struct exchange *x, void (*ask_upstream)(struct exchange *x))
{
	enum review_kind kind = review_kind_of(&x->info);

	if (kind != REVIEW_ACCESS)
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

void
exchange_review_complete(struct exchange *x)
{
	const struct header *type = header_find(&x->req_headers, HEADER_CONTENT_TYPE);
	struct buf body = {NULL, 0, 0}, answer = {NULL, 0, 0};
	struct access_verdict verdict;
	enum review_problem problem;
	struct review review;

	iobuf_copy(&x->req_body, &body);
	problem = review_parse(x->arena, review_kind_of(&x->info),
	    type != NULL ? type->value : STR(""), buf_str(&body), &review);
	if (problem != REVIEW_OK) {
		reply_problem(x, problem);
	} else if (exchange_would_allow(x, &review.about, &verdict)) {
		x->reviewed(x);
	} else {
		review_refusal(&answer, &x->info, &review, reason_of(x, &verdict),
		    verdict.policy != NULL);
		exchange_reply(x, 201, "application/json", buf_str(&answer));
	}
	buf_free(&answer);
	buf_free(&body);
}
