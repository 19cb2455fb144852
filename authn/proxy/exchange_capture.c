/*
 * How much of a request goes on record, and the bodies that do: kept while they pass by, up to
 * a bound, and freed of secrets before they leave the worker.
 */
#include "authn/audit/audit_body.h"
#include "authn/proxy/exchange.h"
#include "authn/proxy/worker_state.h"
#include "common/limits.h"
#include "common/secret.h"

struct str
exchange_tenant(struct exchange *x)
{
	const struct model *m = x->w->policy->model;
	struct str namespace = x->info.namespace;
	const struct kube_ns *kube;

	if (!x->info.is_resource || namespace.len == 0 ||
	    namespace.len > LIMIT_NAME_BYTES ||
	    str_find(namespace, '/', 0) < namespace.len)
		return STR("/");
	kube = model_kube_ns(m, STR(""), namespace);
	if (kube == NULL) /* nobody placed it */
		return STR_CONCAT(x->arena, STR("/"), namespace);
	return str_dup(x->arena, kube->ns->path);
}

void
exchange_capture_begin(struct exchange *x)
{
	const struct audit_policy_question question = {
	    .info = &x->info,
	    .tenant = exchange_tenant(x),
	    .user = x->id->user,
	    .groups = x->id->groups,
	    .group_count = x->id->group_count,
	};

	x->capture.level = audit_policy_level(x->w->audit_policy, &question);
	x->capture.decided = true;
}

static void
keep(struct buf *out, bool *over, struct str data)
{
	if (*over || data.len > AUDIT_BODY_BYTES - out->len) {
		*over = true;
		return;
	}
	buf_reserve(out, AUDIT_BODY_BYTES); /* once: growing leaves copies of secrets */
	buf_add_str(out, data);
}

void
exchange_capture_request(struct exchange *x, struct str data)
{
	struct exchange_capture *c = &x->capture;

	if (c->decided && c->level >= AUDIT_LEVEL_REQUEST)
		keep(&c->request, &c->request_over, data);
}

void
exchange_capture_response(struct exchange *x, struct str data)
{
	struct exchange_capture *c = &x->capture;

	if (c->decided && c->level >= AUDIT_LEVEL_RESPONSE)
		keep(&c->response, &c->response_over, data);
}

bool
exchange_capture_silent(const struct exchange *x)
{
	return x->capture.decided && x->capture.level == AUDIT_LEVEL_NONE &&
	       !x->info.is_mutation && x->status < 400;
}

/* Adds a body to what is shown; why not, or NULL. */
static const char *
show(struct exchange *x, const struct buf *body, bool over)
{
	if (over)
		return "too long";
	if (body->len == 0)
		return NULL;
	return audit_body_redact(&x->capture.shown, buf_str(body), &x->info);
}

void
exchange_capture_show(struct exchange *x, struct audit_event *event)
{
	struct exchange_capture *c = &x->capture;
	size_t split;

	event->level = audit_level_name(c->decided ? c->level : AUDIT_LEVEL_METADATA);
	if (c->level == AUDIT_LEVEL_NONE)
		event->level = audit_level_name(AUDIT_LEVEL_METADATA);
	buf_clear(&c->shown);
	if (event->stage != AUDIT_RESPONSE_COMPLETE || c->level < AUDIT_LEVEL_REQUEST)
		return;
	event->request_omitted = show(x, &c->request, c->request_over);
	split = c->shown.len;
	event->response_omitted = show(x, &c->response, c->response_over);
	event->request_object = str_slice(buf_str(&c->shown), 0, split);
	event->response_object = str_slice(buf_str(&c->shown), split, c->shown.len);
}

static void
wipe(struct buf *b)
{
	if (b->data != NULL)
		secret_wipe(b->data, b->len);
	buf_free(b);
}

void
exchange_capture_free(struct exchange *x)
{
	wipe(&x->capture.request);
	wipe(&x->capture.response);
	wipe(&x->capture.shown);
}
