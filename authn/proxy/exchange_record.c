/*
 * What is put on record, and what waits for it. A change has a record on disk before it is
 * forwarded and another before its answer ends; a read has one, and does not wait; a
 * long-running request has one at its start and one at its end.
 */
#include <string.h>

#include "authn/api/api_service.h"
#include "authn/proxy/exchange.h"
#include "authn/proxy/worker_state.h"

bool
exchange_must_record(const struct exchange *x)
{
	return x->forwarded && x->info.is_mutation;
}

/* Tokens and service accounts are objects of our own: by their names a reviewer finds what became
 * of them. */
static void
name_token(const struct exchange *x, struct audit_event *e)
{
	struct str tokens = STR("/ringfence/v1/tokens");
	struct str rest = str_slice(x->info.path, tokens.len, x->info.path.len);

	if (api_service_object(
		x->info.path, x->method, &e->tenant, &e->own_resource, &e->own_name)) {
		if (e->own_name.len == 0)
			e->own_name = x->token_issued;
		return;
	}
	if (!str_starts(x->info.path, tokens) || (rest.len != 0 && rest.ptr[0] != '/'))
		return;
	rest = str_slice(rest, 1, rest.len);
	e->own_resource = STR("tokens");
	e->own_name = str_slice(rest, 0, str_find(rest, '/', 0));
	if (e->own_name.len == 0)
		e->own_name = x->token_issued;
}

static void
fill_event(struct exchange *x, enum audit_stage stage, struct audit_event *e)
{
	*e = (struct audit_event){
	    .stage = stage,
	    .audit_id = str_from(x->audit_id),
	    .request_uri = x->target,
	    .info = x->classified ? &x->info : NULL,
	    .source = x->source,
	    .user_agent = x->facts.user_agent,
	    .code = stage == AUDIT_REQUEST_RECEIVED ? 0 : x->status,
	    .reason = str_from(x->reason),
	    .message = x->message,
	    .decided_by = x->decided_by,
	    .user = x->user,
	    .received = x->received,
	    .now = walltime_now(),
	};
	e->token_issued = x->token_issued;
	if (x->classified) {
		e->tenant = exchange_tenant(x);
		name_token(x, e);
	}
	if (!x->classified) {
		char *verb = arena_strndup(x->arena, x->method.ptr, x->method.len);

		for (size_t i = 0; i < x->method.len; i++) {
			if (verb[i] >= 'A' && verb[i] <= 'Z')
				verb[i] = (char)(verb[i] + ('a' - 'A'));
		}
		e->verb = (struct str){verb, x->method.len};
	}
	if (x->id != NULL) {
		e->user = x->id->user;
		e->uid = x->id->uid;
		e->groups = x->id->groups;
		e->group_count = x->id->group_count;
		e->token_id = x->id->token_id;
		e->token_maker = x->id->maker;
	}
	exchange_capture_show(x, e);
}

void
exchange_record_received(struct exchange *x, audit_done_fn done)
{
	struct audit_event e;
	audit_ticket_t ticket;

	x->state = EXCHANGE_RECORD;
	fill_event(x, AUDIT_REQUEST_RECEIVED, &e);
	ticket = audit_client_send(x->w->audit, &e, done, x);
	if (x->state == EXCHANGE_RECORD) /* not answered from within the call */
		x->audit_ticket = ticket;
}

void
exchange_record_started(struct exchange *x)
{
	struct audit_event e;

	if (exchange_capture_silent(x))
		return;
	fill_event(x, AUDIT_RESPONSE_STARTED, &e);
	(void)audit_client_send(x->w->audit, &e, NULL, NULL);
}

/* The record that allows the end of an answer is on disk, or cannot be. */
static void
on_complete_recorded(void *arg, bool ok)
{
	struct exchange *x = arg;

	x->audit_ticket = 0;
	if (ok) {
		x->res_complete = true;
		if (!x->res_sent) {
			x->res_sent = true;
			x->ops->respond(x);
		} else {
			x->ops->more(x);
		}
		return;
	}
	/* The change was made but is not on record: its answer must not look like success. */
	x->ops->cut(x);
}

void
exchange_record_complete(struct exchange *x)
{
	struct audit_event e;
	audit_ticket_t ticket;

	if (x->end_recorded)
		return;
	x->end_recorded = true;
	if (!x->on_record || exchange_capture_silent(x)) {
		x->res_complete = true; /* never became a request, or is not wanted */
	} else if (!exchange_must_record(x)) {
		fill_event(x, AUDIT_RESPONSE_COMPLETE, &e);
		(void)audit_client_send(x->w->audit, &e, NULL, NULL);
		x->res_complete = true;
	} else {
		fill_event(x, AUDIT_RESPONSE_COMPLETE, &e);
		ticket = audit_client_send(x->w->audit, &e, on_complete_recorded, x);
		x->audit_ticket = x->res_complete ? 0 : ticket;
		return;
	}
	if (x->res_sent)
		x->ops->more(x);
}
