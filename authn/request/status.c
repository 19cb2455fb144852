#include "authn/request/status.h"

static const struct {
	int code;
	const char *phrase;
	const char *reason;
} table[] = {
    {100, "Continue", ""},
    {101, "Switching Protocols", ""},
    {200, "OK", ""},
    {201, "Created", ""},
    {202, "Accepted", ""},
    {203, "Non-Authoritative Information", ""},
    {204, "No Content", ""},
    {206, "Partial Content", ""},
    {301, "Moved Permanently", ""},
    {302, "Found", ""},
    {303, "See Other", ""},
    {304, "Not Modified", ""},
    {307, "Temporary Redirect", ""},
    {308, "Permanent Redirect", ""},
    {400, "Bad Request", "BadRequest"},
    {401, "Unauthorized", "Unauthorized"},
    {403, "Forbidden", "Forbidden"},
    {404, "Not Found", "NotFound"},
    {405, "Method Not Allowed", "MethodNotAllowed"},
    {406, "Not Acceptable", "NotAcceptable"},
    {408, "Request Timeout", "Timeout"},
    {409, "Conflict", "Conflict"},
    {410, "Gone", "Gone"},
    {412, "Precondition Failed", ""},
    {413, "Request Entity Too Large", "RequestEntityTooLarge"},
    {415, "Unsupported Media Type", "UnsupportedMediaType"},
    {416, "Requested Range Not Satisfiable", ""},
    {417, "Expectation Failed", "BadRequest"},
    {422, "Unprocessable Entity", "Invalid"},
    {429, "Too Many Requests", "TooManyRequests"},
    {431, "Request Header Fields Too Large", "RequestHeaderFieldsTooLarge"},
    {500, "Internal Server Error", "InternalError"},
    {501, "Not Implemented", ""},
    {502, "Bad Gateway", ""},
    {503, "Service Unavailable", "ServiceUnavailable"},
    {504, "Gateway Timeout", "Timeout"},
    {505, "HTTP Version Not Supported", "BadRequest"},
};

const char *
status_reason(int code)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (table[i].code == code)
			return table[i].reason;
	}
	return "";
}

const char *
status_phrase(int code)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (table[i].code == code)
			return table[i].phrase;
	}
	return "Unknown";
}

static void
add_member(struct buf *out, const char *key, struct str value, bool *first)
{
	if (value.len == 0)
		return;
	buf_printf(out, "%s\"%s\":", *first ? "" : ",", key);
	buf_add_json(out, value);
	*first = false;
}

void
status_encode(struct buf *out, const struct status *s)
{
	struct str reason =
	    str_from(s->reason != NULL ? s->reason : status_reason(s->code));
	bool first = true;

	buf_add_cstr(out, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},"
			  "\"status\":\"Failure\",\"message\":");
	buf_add_json(out, s->message);
	if (reason.len != 0) {
		buf_add_cstr(out, ",\"reason\":");
		buf_add_json(out, reason);
	}
	if (s->has_details || s->name.len + s->group.len + s->kind.len != 0 ||
	    s->retry_after_s != 0) {
		buf_add_cstr(out, ",\"details\":{");
		add_member(out, "name", s->name, &first);
		add_member(out, "group", s->group, &first);
		add_member(out, "kind", s->kind, &first);
		if (s->retry_after_s != 0)
			buf_printf(out, "%s\"retryAfterSeconds\":%u", first ? "" : ",",
			    s->retry_after_s);
		buf_add_char(out, '}');
	}
	buf_printf(out, ",\"code\":%d}\n", s->code);
}

/* As fmt's %q for what can stand here: quotes and backslashes escaped, control bytes as
 * \xNN. */
static void
add_quoted(struct buf *out, struct str s)
{
	buf_add_char(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (c < ' ' || c == 0x7f)
			buf_printf(out, "\\x%02x", c);
		else
			buf_add_char(out, (char)c);
	}
	buf_add_char(out, '"');
}

/* The server's own replacement against mark-up in messages. */
static struct str
sanitize(struct arena *arena, const struct buf *text)
{
	struct buf clean = {0};
	struct str copy;

	for (size_t i = 0; i < text->len; i++) {
		char c = text->data[i];

		if (c == '&')
			buf_add_cstr(&clean, "&amp;");
		else if (c == '<')
			buf_add_cstr(&clean, "&lt;");
		else if (c == '>')
			buf_add_cstr(&clean, "&gt;");
		else
			buf_add_char(&clean, c);
	}
	copy = str_dup(arena, buf_str(&clean));
	buf_free(&clean);
	return copy;
}

static void
add_attempt(struct buf *out, struct str user, const struct request_info *info)
{
	buf_add_cstr(out, "User ");
	add_quoted(out, user);
	buf_printf(out, " cannot %.*s ", STR_ARG(info->verb));
	if (!info->is_resource) {
		buf_add_cstr(out, "path ");
		add_quoted(out, info->path);
		return;
	}
	buf_printf(out, "resource \"%.*s%s%.*s\" in API group ",
	    STR_ARG(info->resource), info->subresource.len != 0 ? "/" : "",
	    STR_ARG(info->subresource));
	add_quoted(out, info->api_group);
	if (info->namespace.len != 0) {
		buf_add_cstr(out, " in the namespace ");
		add_quoted(out, info->namespace);
	} else {
		buf_add_cstr(out, " at the cluster scope");
	}
}

struct status
status_forbidden(struct arena *arena, struct str user, const struct request_info *info)
{
	struct status s = {.code = 403, .has_details = true};
	struct buf attempt = {0}, message = {0};
	struct str clean;

	add_attempt(&attempt, user, info);
	clean = sanitize(arena, &attempt);
	if (!info->is_resource) {
		buf_add_cstr(&message, "forbidden: ");
	} else {
		s.name = info->name;
		s.group = info->api_group;
		s.kind = info->resource;
		buf_add_str(&message, info->resource);
		if (info->api_group.len != 0)
			buf_printf(&message, ".%.*s", STR_ARG(info->api_group));
		if (info->name.len != 0) {
			buf_add_char(&message, ' ');
			add_quoted(&message, info->name);
		}
		buf_add_cstr(&message, " is forbidden: ");
	}
	buf_add_str(&message, clean);
	s.message = str_dup(arena, buf_str(&message));
	buf_free(&attempt);
	buf_free(&message);
	return s;
}

struct status
status_impersonation(struct arena *arena, struct str user, struct str target)
{
	struct request_info info = {
	    .is_resource = true,
	    .verb = STR("impersonate"),
	    .resource = STR("users"),
	    .name = target,
	};

	return status_forbidden(arena, user, &info);
}
