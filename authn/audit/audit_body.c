#include "authn/audit/audit_body.h"

#include <string.h>

#include "common/json_scan.h"
#include "common/utf8.h"

#define REDACTED "\"REDACTED\""

/* Under these names in any object a string is taken for a secret. */
static const char *const secret_names[] = {
    "accessKey",
    "accessToken",
    "access_token",
    "apiKey",
    "api_key",
    "apikey",
    "auth",
    "bearerToken",
    "clientSecret",
    "client_secret",
    "credentials",
    "idToken",
    "id_token",
    "kubectl.kubernetes.io/last-applied-configuration",
    "passphrase",
    "passwd",
    "password",
    "privateKey",
    "private_key",
    "refreshToken",
    "refresh_token",
    "secretAccessKey",
    "secretKey",
    "secret_key",
    "token",
};

/* Of Secrets and ConfigMaps: whatever is under these. */
static const char *const data_names[] = {"data", "stringData", "binaryData"};

struct redacting {
	struct json_scan scan;
	struct buf *out;
	struct str body;
	size_t at;
	bool hides_data;
	bool comma;         /* something is before, in the present container */
	unsigned env_depth; /* of the array under `env`; 0: none is open */
	bool in_env;        /* the next container is it */
	enum {
		SHOW,
		HIDE_STRING, /* the next value, if it is a string */
		HIDE,        /* the next value, whatever it is */
		OMIT,        /* ... and its name was not written */
	} next;
};

static bool
listed(const char *const *names, size_t count, struct str name)
{
	for (size_t i = 0; i < count; i++) {
		if (str_is(name, names[i]))
			return true;
	}
	return false;
}

/* The token that ends at `at`, and began after `from`: white space, commas and colons are
 * between them. */
static struct str
token(const struct redacting *r, size_t from)
{
	while (from < r->at && strchr(" \t\r\n,:", r->body.ptr[from]) != NULL)
		from++;
	return str_slice(r->body, from, r->at);
}

static void
separate(struct redacting *r)
{
	if (r->comma)
		buf_add_char(r->out, ',');
	r->comma = true;
}

static void
on_key(struct redacting *r, struct str raw)
{
	struct str name = buf_str(&r->scan.text);

	r->in_env = false;
	if (str_is(name, "managedFields")) {
		r->next = OMIT;
		return;
	}
	if (r->hides_data && listed(data_names, ARRAY_LEN(data_names), name))
		r->next = HIDE;
	else if (listed(secret_names, ARRAY_LEN(secret_names), name) ||
		 (r->env_depth != 0 && str_is(name, "value")))
		r->next = HIDE_STRING;
	else
		r->next = SHOW;
	r->in_env = str_is(name, "env");
	separate(r);
	buf_add_str(r->out, raw);
	buf_add_char(r->out, ':');
	r->comma = false; /* the value follows its name */
}

static void
on_value(struct redacting *r, struct str raw, bool is_string)
{
	if (r->next != OMIT) {
		separate(r);
		if (r->next == HIDE || (r->next == HIDE_STRING && is_string))
			buf_add_cstr(r->out, REDACTED);
		else
			buf_add_str(r->out, raw);
	}
	r->next = SHOW;
	r->in_env = false;
}

static void
on_begin(struct redacting *r, char bracket)
{
	if (r->next == HIDE || r->next == OMIT) {
		if (r->next == HIDE) {
			separate(r);
			buf_add_cstr(r->out, REDACTED);
		}
		r->scan.quiet = r->scan.depth; /* until it ends */
		return;
	}
	separate(r);
	if (bracket == '[' && r->in_env && r->env_depth == 0)
		r->env_depth = r->scan.depth;
	buf_add_char(r->out, bracket);
	r->comma = false;
	r->next = SHOW;
	r->in_env = false;
}

static void
on_end(struct redacting *r, char bracket)
{
	if (r->scan.quiet != 0) { /* what was hidden has ended */
		r->scan.quiet = 0;
		r->next = SHOW;
		return;
	}
	if (r->env_depth > r->scan.depth)
		r->env_depth = 0;
	buf_add_char(r->out, bracket);
	r->comma = true;
}

static bool
rewrite(struct redacting *r)
{
	for (;;) {
		size_t from = r->at;
		enum scan_event event =
		    json_scan_next(&r->scan, r->body.ptr, r->body.len, &r->at);

		switch (event) {
		case SCAN_BAD:
			return false;
		case SCAN_MORE:
			return json_scan_complete(&r->scan);
		case SCAN_OBJECT_BEGIN:
		case SCAN_ARRAY_BEGIN:
			on_begin(r, r->body.ptr[r->at - 1]);
			break;
		case SCAN_OBJECT_END:
		case SCAN_ARRAY_END:
			on_end(r, r->body.ptr[r->at - 1]);
			break;
		case SCAN_KEY:
			on_key(r, token(r, from));
			break;
		case SCAN_STRING:
		case SCAN_NULL:
		case SCAN_SCALAR:
			on_value(r, token(r, from), event == SCAN_STRING);
			break;
		}
	}
}

const char *
audit_body_redact(struct buf *out, struct str body, const struct request_info *info)
{
	struct redacting r = {
	    .out = out,
	    .body = body,
	    .hides_data = str_is(info->resource, "secrets") ||
			  str_is(info->resource, "configmaps") ||
			  str_is(info->resource, "sealedsecrets"),
	};
	size_t start = out->len;
	bool ok;

	if (utf8_check(body) != body.len)
		return "not UTF-8";
	json_scan_init(&r.scan, false);
	r.scan.keep = true;
	ok = rewrite(&r);
	json_scan_free(&r.scan);
	if (ok)
		return NULL;
	out->len = start;
	return "not a JSON object";
}
