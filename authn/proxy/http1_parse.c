#include "authn/proxy/http1_parse.h"

#include <llhttp.h>
#include <stdlib.h>
#include <string.h>

#define METHOD_MAX_BYTES 32

/* Methods that may be asked for. The upstream refuses most others anyway; CONNECT and
 * TRACE mean something to proxies. */
static const char *const methods[] = {
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};

long
http1_head_length(const char *data, size_t len, size_t from)
{
	for (size_t i = from; i < len; i++) {
		const char *lf = memchr(data + i, '\n', len - i);

		if (lf == NULL)
			return 0;
		i = (size_t)(lf - data);
		if (i == 0 || data[i - 1] != '\r')
			return -1; /* a bare LF */
		if (i >= 3 && data[i - 2] == '\n')
			return (long)i + 1;
	}
	return 0;
}

static bool
is_token_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* METHOD SP target SP HTTP/1.x, one space each */
static enum http1_problem
parse_line(struct str line, struct http1_request *r)
{
	struct str version = line;
	bool known = false;

	r->method = str_split(&version, ' ');
	if (r->method.len == 0 || r->method.len > METHOD_MAX_BYTES)
		return HTTP1_BAD_LINE;
	for (size_t i = 0; i < r->method.len; i++) {
		if (!is_token_byte(r->method.ptr[i]))
			return HTTP1_BAD_LINE;
	}
	r->target = str_split(&version, ' ');
	if (version.len != 8 || !str_starts(version, STR("HTTP/")))
		return HTTP1_BAD_LINE;
	if (!str_is(version, "HTTP/1.1") && !str_is(version, "HTTP/1.0"))
		return HTTP1_VERSION;
	r->minor_1 = version.ptr[7] == '1';
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		known = known || str_is(r->method, methods[i]);
	if (!known)
		return HTTP1_BAD_METHOD;
	if (r->target.len == 0 || r->target.ptr[0] != '/')
		return HTTP1_BAD_TARGET;
	for (size_t i = 0; i < r->target.len; i++) {
		if (r->target.ptr[i] <= ' ' || r->target.ptr[i] >= 0x7f)
			return HTTP1_BAD_TARGET;
	}
	return HTTP1_OK;
}

static enum http1_problem
parse_header(struct arena *arena, char *line, size_t len, struct http1_request *r)
{
	struct str all = {line, len}, name, value;
	size_t colon = str_find(all, ':', 0);

	if (colon == len)
		return HTTP1_BAD_HEADER;
	for (size_t i = 0; i < colon; i++) {
		if (line[i] >= 'A' && line[i] <= 'Z')
			line[i] = (char)(line[i] + ('a' - 'A'));
	}
	name =
	    str_slice(all, 0, colon); /* a space in it is refused below: obs-fold too */
	value = str_slice(all, colon + 1, len);
	while (value.len != 0 && (value.ptr[0] == ' ' || value.ptr[0] == '\t'))
		value = str_slice(value, 1, value.len);
	while (value.len != 0 &&
	       (value.ptr[value.len - 1] == ' ' || value.ptr[value.len - 1] == '\t'))
		value.len--;
	if (!header_name_ok(name) || !header_value_ok(value))
		return HTTP1_BAD_HEADER;
	header_list_add(arena, &r->headers, name, value);
	return r->headers.bytes > HEADERS_MAX_BYTES ? HTTP1_TOO_LARGE : HTTP1_OK;
}

static size_t
count_headers(const struct header_list *list, enum header_id id)
{
	size_t n = 0;

	for (size_t i = 0; i < list->count; i++)
		n += list->items[i].id == id;
	return n;
}

/* reg-name or address with an optional port; enough to keep odd bytes out. */
static bool
host_ok(struct str host)
{
	for (size_t i = 0; i < host.len; i++) {
		if (!is_token_byte(host.ptr[i]) &&
		    memchr(":[]", host.ptr[i], 3) == NULL)
			return false;
	}
	return true;
}

static enum http1_problem
read_framing(struct http1_request *r)
{
	const struct header *length = header_find(&r->headers, HEADER_CONTENT_LENGTH);
	const struct header *te = header_find(&r->headers, HEADER_TRANSFER_ENCODING);
	uint64_t n;

	r->content_length = -1;
	if (count_headers(&r->headers, HEADER_CONTENT_LENGTH) > 1 ||
	    count_headers(&r->headers, HEADER_TRANSFER_ENCODING) > 1 ||
	    (length != NULL && te != NULL))
		return HTTP1_BAD_FRAMING;
	if (length != NULL) {
		if (!str_to_u64(length->value, INT64_MAX, &n))
			return HTTP1_BAD_FRAMING;
		r->content_length = (int64_t)n;
	}
	if (te != NULL) {
		if (te->value.len != 7 ||
		    strncasecmp(te->value.ptr, "chunked", 7) != 0 || !r->minor_1)
			return HTTP1_BAD_FRAMING;
		r->chunked = true;
	}
	return HTTP1_OK;
}

static enum http1_problem
read_connection(struct http1_request *r)
{
	const struct header *host = header_find(&r->headers, HEADER_HOST);
	bool close = false, keep = false;

	if (count_headers(&r->headers, HEADER_HOST) > 1 ||
	    (host == NULL && r->minor_1) || (host != NULL && !host_ok(host->value)))
		return HTTP1_BAD_HOST;
	for (size_t i = 0; i < r->headers.count; i++) {
		const struct header *h = &r->headers.items[i];

		if (h->id != HEADER_CONNECTION)
			continue;
		close = close || header_has_token(h->value, "close");
		keep = keep || header_has_token(h->value, "keep-alive");
		if (header_has_token(h->value, "upgrade"))
			r->wants_upgrade = r->minor_1 && header_find(&r->headers,
							     HEADER_UPGRADE) != NULL;
	}
	r->keep_alive = !close && (r->minor_1 || keep);
	return HTTP1_OK;
}

/* ---- the second reader ---- */

struct second_reading {
	bool complete;
	uint64_t content_length;
	bool has_length, chunked;
	const char *method;
};

static int
on_headers_complete(llhttp_t *p)
{
	struct second_reading *second = p->data;

	second->complete = true;
	second->content_length = p->content_length;
	second->has_length = (p->flags & F_CONTENT_LENGTH) != 0;
	second->chunked = (p->flags & F_CHUNKED) != 0;
	second->method = llhttp_method_name((llhttp_method_t)p->method);
	return HPE_PAUSED; /* the body is not its affair */
}

static bool
llhttp_agrees(const char *head, size_t len, const struct http1_request *r)
{
	struct second_reading second = {.complete = false};
	llhttp_settings_t settings;
	llhttp_t parser;
	llhttp_errno_t rc;

	llhttp_settings_init(&settings);
	settings.on_headers_complete = on_headers_complete;
	llhttp_init(&parser, HTTP_REQUEST, &settings);
	parser.data = &second;
	rc = llhttp_execute(&parser, head, len);
	if (!second.complete ||
	    (rc != HPE_OK && rc != HPE_PAUSED && rc != HPE_PAUSED_UPGRADE))
		return false;
	return str_is(r->method, second.method) && r->chunked == second.chunked &&
	       (r->content_length >= 0) == second.has_length &&
	       (r->content_length < 0 ||
		   (uint64_t)r->content_length == second.content_length) &&
	       parser.http_major == 1 && parser.http_minor == (r->minor_1 ? 1 : 0);
}

enum http1_problem
http1_parse_head(
    struct arena *arena, char *head, size_t len, struct http1_request *out_request)
{
	enum http1_problem problem = HTTP1_OK;
	size_t pos = 0;

	*out_request = (struct http1_request){.content_length = -1};
	if (len < 4 || len > HEADERS_MAX_BYTES)
		return len < 4 ? HTTP1_BAD_LINE : HTTP1_TOO_LARGE;
	/* The empty line at the end is the loop's end; http1_head_length saw to CRLFs. */
	while (problem == HTTP1_OK && pos < len - 2) {
		char *lf = memchr(head + pos, '\n', len - pos);
		size_t end = lf != NULL ? (size_t)(lf - head) : len;

		if (lf == NULL || end == pos || head[end - 1] != '\r' ||
		    memchr(head + pos, '\r', end - pos) != head + end - 1)
			return pos == 0 ? HTTP1_BAD_LINE : HTTP1_BAD_HEADER;
		if (pos == 0)
			problem = parse_line((struct str){head, end - 1}, out_request);
		else
			problem =
			    parse_header(arena, head + pos, end - 1 - pos, out_request);
		pos = end + 1;
	}
	if (problem == HTTP1_OK)
		problem = read_framing(out_request);
	if (problem == HTTP1_OK)
		problem = read_connection(out_request);
	if (problem == HTTP1_OK && !llhttp_agrees(head, len, out_request))
		problem = HTTP1_DISAGREE;
	return problem;
}

static const struct {
	int code;
	const char *text;
} problems[] = {
    [HTTP1_OK] = {200, "ok"},
    [HTTP1_BAD_LINE] = {400, "the request line is malformed"},
    [HTTP1_BAD_TARGET] = {400, "the request target must begin with a slash"},
    [HTTP1_BAD_HEADER] = {400, "a header line is malformed"},
    [HTTP1_BAD_FRAMING] = {400,
	"Content-Length or Transfer-Encoding is repeated, contradictory or malformed"},
    [HTTP1_BAD_HOST] = {400, "the Host header is missing, repeated or malformed"},
    [HTTP1_BAD_METHOD] = {405,
	"the server does not allow this method on the requested resource"},
    [HTTP1_VERSION] = {505, "the protocol version is not supported"},
    [HTTP1_TOO_LARGE] = {431, "the request's headers exceed 64 KiB"},
    [HTTP1_DISAGREE] = {400, "the request could be read in two ways"},
};

int
http1_problem_code(enum http1_problem problem)
{
	return problems[problem].code;
}

const char *
http1_problem_text(enum http1_problem problem)
{
	return problems[problem].text;
}
