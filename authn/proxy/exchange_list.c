#include "authn/proxy/exchange_list.h"

#include <string.h>

#include "authn/access/list_filter.h"
#include "authn/access/list_request.h"
#include "authn/proxy/upstream.h"
#include "authn/proxy/worker_state.h"

struct exchange_list {
	struct list_filter filter;
	struct str bound_to;
	struct buf out; /* what the filter lets through, on its way */
	size_t owed;    /* received, and the upstream's window not given back */
	bool by_name;   /* the namespaces themselves */
	bool raw;       /* an error in plain text: not filtered */
	bool
	    may_refuse; /* nothing has gone out that would be wrong if it comes to 403 */
	bool refused;
	bool saw_namespaced;
	bool got_data;
	/* the last verdict */
	bool known, shown;
	char namespace[64];
};

/* ---- what the filter asks ---- */

/* Objects of one namespace follow each other in lists. */
static bool
namespace_shown(struct exchange *x, struct str namespace)
{
	struct exchange_list *l = x->list;

	if (l->known && str_is(namespace, l->namespace))
		return l->shown;
	l->shown = exchange_sees(x, namespace);
	l->known = namespace.len < sizeof(l->namespace);
	if (l->known) {
		memcpy(l->namespace, namespace.ptr, namespace.len);
		l->namespace[namespace.len] = '\0';
	}
	return l->shown;
}

/* An object outside of namespaces is judged at /, as a request for it would be. Where
 * objects with a namespace come, one without cannot be that. */
static bool
cluster_object_shown(struct exchange *x)
{
	bool allowed = !x->list->saw_namespaced && exchange_sees(x, STR(""));

	if (!allowed && !x->list->saw_namespaced)
		x->list->refused = true;
	return allowed;
}

static bool
shows(void *arg, const struct list_item *item)
{
	struct exchange *x = arg;

	if (x->list->by_name)
		return item->name.len != 0 && namespace_shown(x, item->name);
	if (item->namespace.len == 0)
		return cluster_object_shown(x);
	x->list->saw_namespaced = true;
	return namespace_shown(x, item->namespace);
}

static bool
seal(void *arg, struct str token, struct buf *out)
{
	struct exchange *x = arg;

	return list_token_seal(&x->w->list_keys, x->list->bound_to, token, out);
}

static const struct list_filter_ops filter_ops = {.shows = shows, .seal = seal};

/* ---- the question ---- */

static void
reply_not_acceptable(struct exchange *x)
{
	struct status s = {
	    .code = 406,
	    .message = STR("only the following media types are accepted: "
			   "application/json, application/json;stream=watch"),
	};

	exchange_reply_status(x, &s);
}

/* The other replicas' keys have not come: what was sealed with another could not be opened by
 * them, nor theirs here. */
static void
reply_not_yet(struct exchange *x)
{
	const struct status s = {.code = 503,
	    .retry_after_s = 1,
	    .message = STR("the keys of continue tokens are not known yet")};

	exchange_reply_status(x, &s);
}

static void
reply_bad_token(struct exchange *x, enum list_token_result problem)
{
	struct status malformed = {.code = 400,
	    .message = STR("continue key is not valid: it was not given out here")};
	struct status unknown = {.code = 410,
	    .reason = "Expired",
	    .message = STR("The provided continue parameter is too old to display a "
			   "consistent list result. You must start a new list without "
			   "the continue parameter.")};

	exchange_reply_status(
	    x, problem == LIST_TOKEN_MALFORMED ? &malformed : &unknown);
}

void
exchange_list_ask_as(struct exchange *x)
{
	static const struct str everyone[] = {{"system:authenticated", 20}};
	struct identity *id;

	if (x->w->settings.lists_as.len == 0)
		return;
	id = ARENA_NEW(x->arena, struct identity);
	id->user = str_dup(x->arena, x->w->settings.lists_as);
	id->groups = everyone;
	id->group_count = ARRAY_LEN(everyone);
	x->asks_as = id;
}

bool
exchange_list_prepare(struct exchange *x)
{
	struct exchange_list *l = ARENA_NEW(x->arena, struct exchange_list);
	struct str accept = list_request_accept(x->arena, &x->req_headers);
	enum list_token_result result;

	if (x->w->list_keys.count == 0) {
		reply_not_yet(x);
		return false;
	}
	/* API servers send events as WebSocket messages, too: those are not read here. */
	if (accept.ptr == NULL || x->upgrade) {
		reply_not_acceptable(x);
		return false;
	}
	l->bound_to = str_from(arena_printf(
	    x->arena, "%.*s %.*s", STR_ARG(x->id->user), STR_ARG(x->info.path)));
	result = list_request_target(
	    x->arena, x->target, &x->w->list_keys, l->bound_to, &x->up_target);
	if (result != LIST_TOKEN_OK) {
		reply_bad_token(x, result);
		return false;
	}
	list_request_headers(x->arena, &x->req_headers, accept);
	exchange_list_ask_as(x);
	l->by_name =
	    x->info.api_group.len == 0 && str_is(x->info.resource, "namespaces");
	x->list = l;
	return true;
}

void
exchange_list_free(struct exchange *x)
{
	if (x->list == NULL)
		return;
	list_filter_fini(&x->list->filter);
	buf_free(&x->list->out);
	x->list = NULL;
}

/* ---- the answer ---- */

static void
cannot_filter(struct exchange *x)
{
	const struct status s = {.code = 500,
	    .message = STR("the API server's answer cannot be limited to what you may "
			   "see")};

	if (x->res_sent)
		exchange_end_stream(x, "the answer cannot be filtered");
	else
		exchange_answer_instead(x, &s);
}

/* It turned out that no namespace could have allowed this. */
static void
refuse(struct exchange *x)
{
	struct status s = status_forbidden(x->arena, x->id->user, &x->info);

	x->w->stats.denied++;
	exchange_answer_instead(x, &s);
}

static bool
is_text(const struct header_list *headers)
{
	const struct header *type = header_find(headers, HEADER_CONTENT_TYPE);

	return type == NULL || str_starts(type->value, STR("text/plain"));
}

bool
exchange_list_head(struct exchange *x, int status, const struct header_list *headers,
    struct header_list *out_headers)
{
	struct exchange_list *l = x->list;
	bool watch = status == 200 && str_is(x->info.verb, "watch");
	bool json = list_answer_is_json(headers);

	/* Of other successes nobody knows what they are; an error has no items. */
	if ((status != 200 && status < 400) ||
	    (!json && !(status >= 400 && is_text(headers)))) {
		cannot_filter(x);
		return false;
	}
	l->raw = !json;
	l->may_refuse =
	    status == 200 && !watch && !l->by_name && !str_is(x->method, "HEAD");
	list_filter_init(
	    &l->filter, watch ? LIST_FILTER_WATCH : LIST_FILTER_LIST, &filter_ops, x);
	for (size_t i = 0; i < headers->count; i++) {
		const struct header *h = &headers->items[i];

		if (h->id != HEADER_CONTENT_LENGTH && !str_is(h->name, "etag"))
			header_list_put(
			    x->arena, out_headers, h->name, h->value, h->id);
	}
	return true;
}

bool
exchange_list_decided(const struct exchange *x)
{
	return !x->list->may_refuse || x->list->filter.items != 0 || x->res_ended;
}

void
exchange_list_data(struct exchange *x, const char *data, size_t len)
{
	struct exchange_list *l = x->list;

	l->owed += len;
	l->got_data = true;
	buf_clear(&l->out);
	if (l->raw) {
		buf_add(&l->out, data, len);
	} else if (!list_filter_feed(&l->filter, data, len, &l->out)) {
		cannot_filter(x);
		return;
	}
	if (l->refused && l->may_refuse && !x->res_sent) {
		refuse(x);
		return;
	}
	exchange_append(x, l->out.data, l->out.len);
	if (l->out.cap > EXCHANGE_BUFFER_HIGH)
		buf_free(&l->out);
	exchange_list_settle(x);
	exchange_send_head(x);
	if (x->res_sent && x->res_body.len != 0)
		x->ops->more(x);
}

void
exchange_list_settle(struct exchange *x)
{
	size_t waits = x->res_body.len, gone;

	if (x->list->owed <= waits)
		return;
	gone = x->list->owed - waits;
	x->list->owed = waits;
	if (x->up != NULL)
		upstream_consumed(x->up, gone);
}

bool
exchange_list_ended(struct exchange *x)
{
	struct exchange_list *l = x->list;
	bool may_be_empty = x->status != 200 || str_is(x->method, "HEAD");

	/* The rest of an event that was begun is not shown; its watch ends as watches do. */
	if (l->raw || l->filter.mode == LIST_FILTER_WATCH ||
	    (may_be_empty && !l->got_data) || list_filter_complete(&l->filter))
		return true;
	cannot_filter(x);
	return false;
}

/* ---- while it runs ---- */

void
exchange_list_policy_changed(struct exchange *x)
{
	static const char event[] =
	    "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"apiVersion\":\"v1\","
	    "\"metadata\":{},\"status\":\"Failure\",\"message\":\"too old resource "
	    "version: the namespaces that may be seen have changed\",\"reason\":"
	    "\"Expired\",\"code\":410}}\n";
	uint64_t before = x->extent;

	x->list->known = false;
	x->extent = exchange_extent(x).digest;
	if (x->extent == before || !x->res_head ||
	    x->list->filter.mode != LIST_FILTER_WATCH)
		return;
	/* A client that went on would keep what it has lost, and never get what it won. */
	exchange_append(x, event, sizeof(event) - 1);
	exchange_end_stream(x, "the namespaces that may be seen have changed");
}
