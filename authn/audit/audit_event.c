/*
 * One audit.k8s.io/v1 Event as a JSON line. What a reviewer reads later is all
 * here; secrets are not: credentials in the query are replaced by their name, and header
 * values but the user agent never come in.
 */
#include "authn/audit/audit_client.h"

#include <string.h>

#include "common/uuid.h"

#define USER_AGENT_MAX 1024
#define EVENT_HEAD     "{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\""
#define METADATA       STR("Metadata")

static const char *const stage_names[] = {
    [AUDIT_REQUEST_RECEIVED] = "RequestReceived",
    [AUDIT_RESPONSE_STARTED] = "ResponseStarted",
    [AUDIT_RESPONSE_COMPLETE] = "ResponseComplete",
};

/* Query parameters whose values are credentials. */
static const struct str secret_parameters[] = {
    {"token", 5},
    {"access_token", 12},
    {"id_token", 8},
    {"refresh_token", 13},
    {"bearer", 6},
    {"password", 8},
};

static void
add_field(struct buf *out, const char *name, struct str value)
{
	if (value.len == 0)
		return;
	buf_printf(out, ",\"%s\":", name);
	buf_add_json(out, value);
}

static void
add_time(struct buf *out, const char *name, walltime_t t)
{
	char text[WALLTIME_TEXT_BYTES];

	buf_printf(out, ",\"%s\":\"%s\"", name, walltime_format(t, text));
}

/* Compares a parameter's name, percent-decoded and lower-cased, with a plain one:
 * "%74oken" names the token too. */
static bool
parameter_is(struct str raw, struct str plain)
{
	size_t n = 0;

	for (size_t i = 0; i < raw.len; i++, n++) {
		char c = raw.ptr[i];

		if (c == '%' && i + 2 < raw.len && str_hex_digit(raw.ptr[i + 1]) >= 0 &&
		    str_hex_digit(raw.ptr[i + 2]) >= 0) {
			c = (char)(str_hex_digit(raw.ptr[i + 1]) * 16 +
				   str_hex_digit(raw.ptr[i + 2]));
			i += 2;
		}
		if (c >= 'A' && c <= 'Z')
			c = (char)(c | 0x20);
		if (n >= plain.len || c != plain.ptr[n])
			return false;
	}
	return n == plain.len;
}

static bool
is_secret(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(secret_parameters); i++) {
		if (parameter_is(name, secret_parameters[i]))
			return true;
	}
	return false;
}

static void
add_uri(struct buf *out, struct str uri)
{
	size_t query = str_find(uri, '?', 0);
	struct buf safe = {NULL, 0, 0};
	struct str rest = str_slice(uri, query + 1, uri.len);

	buf_add_str(&safe, str_slice(uri, 0, query));
	for (char separator = '?'; query < uri.len && rest.ptr != NULL;
	     separator = '&') {
		struct str pair = str_split(&rest, '&');
		size_t equals = str_find(pair, '=', 0);

		buf_add_char(&safe, separator);
		if (equals < pair.len && is_secret(str_slice(pair, 0, equals))) {
			buf_add_str(&safe, str_slice(pair, 0, equals + 1));
			buf_add_cstr(&safe, "REDACTED");
		} else {
			buf_add_str(&safe, pair);
		}
	}
	buf_add_cstr(out, ",\"requestURI\":");
	buf_add_json(out, buf_str(&safe));
	buf_free(&safe);
}

static void
add_user(struct buf *out, const struct audit_event *e)
{
	buf_add_cstr(out, ",\"user\":{");
	if (e->user.len != 0) {
		buf_add_cstr(out, "\"username\":");
		buf_add_json(out, e->user);
		add_field(out, "uid", e->uid);
		if (e->group_count != 0) {
			buf_add_cstr(out, ",\"groups\":[");
			for (size_t i = 0; i < e->group_count; i++) {
				if (i != 0)
					buf_add_char(out, ',');
				buf_add_json(out, e->groups[i]);
			}
			buf_add_char(out, ']');
		}
	}
	buf_add_char(out, '}');
}

/* One of the gate's own. */
static void
add_own_object(struct buf *out, struct str resource, struct str name)
{
	buf_add_cstr(out, ",\"objectRef\":{\"resource\":");
	buf_add_json(out, resource);
	add_field(out, "name", name);
	add_field(out, "apiGroup", STR("ringfence.dev"));
	add_field(out, "apiVersion", STR("v1"));
	buf_add_char(out, '}');
}

static void
add_object(struct buf *out, const struct audit_event *e)
{
	const struct request_info *info = e->info;

	if (e->own_resource.len != 0)
		add_own_object(out, e->own_resource, e->own_name);
	if (info == NULL || !info->is_resource)
		return;
	buf_add_cstr(out, ",\"objectRef\":{\"resource\":");
	buf_add_json(out, info->resource);
	add_field(out, "namespace", info->namespace);
	add_field(out, "name", info->name);
	add_field(out, "apiGroup", info->api_group);
	add_field(out, "apiVersion", info->api_version);
	add_field(out, "subresource", info->subresource);
	buf_add_char(out, '}');
}

static void
add_response(struct buf *out, const struct audit_event *e)
{
	if (e->code == 0)
		return;
	buf_add_cstr(out, ",\"responseStatus\":{\"metadata\":{}");
	if (e->code >= 400)
		buf_add_cstr(out, ",\"status\":\"Failure\"");
	add_field(out, "message", e->message);
	add_field(out, "reason", e->reason);
	buf_printf(out, ",\"code\":%d}", e->code);
}

static void
add_body(struct buf *out, const char *name, struct str object)
{
	if (object.len == 0)
		return;
	buf_printf(out, ",\"%s\":", name);
	buf_add_str(out, object);
}

static void
add_annotations(struct buf *out, const struct audit_event *e)
{
	const bool refused = e->code == 401 || e->code == 403 || e->code == 429;

	buf_printf(out, ",\"annotations\":{\"authorization.k8s.io/decision\":\"%s\"",
	    refused ? "forbid" : "allow");
	add_field(out, "ringfence.dev/decided-by", e->decided_by);
	add_field(out, "ringfence.dev/tenant", e->tenant);
	add_field(out, "ringfence.dev/token", e->token_id);
	add_field(out, "ringfence.dev/token-maker", e->token_maker);
	add_field(out, "ringfence.dev/token-issued", e->token_issued);
	add_field(out, "ringfence.dev/request-object", str_from(e->request_omitted));
	add_field(out, "ringfence.dev/response-object", str_from(e->response_omitted));
	if (e->cut)
		add_field(out, "ringfence.dev/cut", STR("true"));
	buf_add_char(out, '}');
}

void
audit_event_encode(struct buf *out, const struct audit_event *e)
{
	buf_add_cstr(out, EVENT_HEAD);
	add_field(out, "level", e->level != NULL ? str_from(e->level) : METADATA);
	add_field(out, "auditID", e->audit_id);
	add_field(out, "stage", str_from(stage_names[e->stage]));
	add_uri(out, e->request_uri);
	add_field(out, "verb", e->info != NULL ? e->info->verb : e->verb);
	add_user(out, e);
	buf_add_cstr(out, ",\"sourceIPs\":[");
	buf_add_json(out, e->source);
	buf_add_char(out, ']');
	add_field(out, "userAgent", str_slice(e->user_agent, 0, USER_AGENT_MAX));
	add_object(out, e);
	add_response(out, e);
	add_body(out, "requestObject", e->request_object);
	add_body(out, "responseObject", e->response_object);
	add_time(out, "requestReceivedTimestamp", e->received);
	add_time(out, "stageTimestamp", e->now);
	add_annotations(out, e);
	buf_add_char(out, '}');
}

void
audit_event_encode_own(struct buf *out, const struct audit_own_event *e)
{
	char id[UUID_TEXT_BYTES];

	uuid_format(e->id, id);
	buf_add_cstr(out, EVENT_HEAD);
	add_field(out, "level", METADATA);
	add_field(out, "auditID", str_from(id));
	buf_add_cstr(out, ",\"stage\":\"ResponseComplete\",\"requestURI\":\"\"");
	add_field(out, "verb", str_from(e->verb));
	buf_add_cstr(out, ",\"user\":{\"username\":\"ringfence:gate\"}");
	if (e->account.len != 0)
		add_own_object(out, STR("accounts"), e->account);
	buf_printf(out, ",\"responseStatus\":{\"metadata\":{},\"code\":%d}", e->code);
	add_time(out, "requestReceivedTimestamp", e->now);
	add_time(out, "stageTimestamp", e->now);
	buf_add_cstr(out, ",\"annotations\":{\"ringfence.dev/tenant\":\"/\"");
	add_field(out, "ringfence.dev/detail", e->detail);
	buf_add_cstr(out, "}}");
}
