#include "authn/request/requestinfo.h"

#include <string.h>

#include "authn/request/requestquery.h"
#include "common/utf8.h"

/*
 * The server decodes the whole path first (Go's net/url) and then cuts it at slashes
 * (requestinfo.go splitPath). Cutting first and decoding each segment gives the same parts as long
 * as no segment decodes to something that contains a slash: such targets are refused,
 * and with them everything else that two parsers on the way could read differently. The
 * only place for arbitrary bytes is behind a `proxy` subresource: they belong to the
 * application behind it and are passed on untouched.
 */
#define MAX_SEGMENTS 32 /* nothing behind the sixth or so is interpreted */

struct path_parse {
	struct str raw; /* the path, without the query */
	size_t pos;     /* next byte of `raw` */
	char *decoded;  /* as long as `raw`, and a NUL */
	size_t decoded_len;
	struct str segments[MAX_SEGMENTS];
	size_t count;
	bool is_api;  /* /api or /apis */
	size_t kind;  /* index of the resource, once known; 0: not known */
	bool in_tail; /* behind the proxy subresource */
};

bool
request_unescape(struct str text, bool plus_is_space, char *out, size_t *out_len)
{
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (c == '%') {
			if (text.len - i < 3 || str_hex_digit(text.ptr[i + 1]) < 0 ||
			    str_hex_digit(text.ptr[i + 2]) < 0)
				return false;
			c = (char)(str_hex_digit(text.ptr[i + 1]) * 16 +
				   str_hex_digit(text.ptr[i + 2]));
			i += 2;
		} else if (c == '+' && plus_is_space) {
			c = ' ';
		}
		out[n++] = c;
	}
	*out_len = n;
	return true;
}

/* Origin-form, visible ASCII. Go accepts bytes above 0x7f; we do not. */
static bool
target_ok(struct str target)
{
	if (target.len == 0 || target.ptr[0] != '/')
		return false;
	for (size_t i = 0; i < target.len; i++) {
		if (target.ptr[i] <= ' ' || target.ptr[i] >= 0x7f)
			return false;
	}
	return true;
}

/* What a decoded segment must not hold, since somebody on the way might take it for a
 * separator, a parameter, or an escape to decode once more. */
static bool
segment_ambiguous(struct str s)
{
	if (str_is(s, ".") || str_is(s, ".."))
		return true;
	for (size_t i = 0; i < s.len; i++) {
		if ((unsigned char)s.ptr[i] < ' ' || s.ptr[i] == 0x7f ||
		    memchr("/\\;%#?", s.ptr[i], 6) != NULL)
			return true;
	}
	return utf8_check(s) != s.len;
}

/* Where the resource stands among the segments, once enough of them are known. */
static void
find_kind(struct path_parse *p)
{
	size_t base = p->segments[0].len == 3 ? 2 : 3; /* api/V or apis/GROUP/V */

	if (p->count <= base || p->kind != 0)
		return;
	if (str_is(p->segments[base], "proxy") || str_is(p->segments[base], "watch"))
		return; /* verbs of old; their targets have no free tail */
	if (!str_is(p->segments[base], "namespaces")) {
		p->kind = base;
	} else if (p->count > base + 2) {
		bool own = str_is(p->segments[base + 2], "status") ||
			   str_is(p->segments[base + 2], "finalize");

		p->kind = own ? base : base + 2;
	}
}

static enum request_problem
take_segment(struct path_parse *p)
{
	size_t end = str_find(p->raw, '/', p->pos), len;
	struct str text = str_slice(p->raw, p->pos, end), decoded;
	char *to = p->decoded + p->decoded_len;

	p->pos = end;
	if (text.len == 0)
		return end == p->raw.len ? REQUEST_OK : REQUEST_AMBIGUOUS;
	if (!request_unescape(text, false, to, &len))
		return REQUEST_BAD_TARGET;
	decoded = (struct str){to, len};
	if (segment_ambiguous(decoded) || p->count == MAX_SEGMENTS)
		return REQUEST_AMBIGUOUS;
	p->decoded_len += len;
	p->segments[p->count++] = decoded;
	if (p->count == 1)
		p->is_api = str_is(decoded, "api") || str_is(decoded, "apis");
	if (p->is_api)
		find_kind(p);
	p->in_tail =
	    p->kind != 0 && p->count == p->kind + 3 && str_is(decoded, "proxy");
	return REQUEST_OK;
}

static enum request_problem
parse_path(struct path_parse *p)
{
	enum request_problem problem;
	size_t len;

	while (p->pos < p->raw.len && !p->in_tail) {
		p->pos++; /* the slash */
		p->decoded[p->decoded_len++] = '/';
		problem = take_segment(p);
		if (problem != REQUEST_OK)
			return problem;
	}
	if (!request_unescape(str_slice(p->raw, p->pos, p->raw.len), false,
		p->decoded + p->decoded_len, &len))
		return REQUEST_BAD_TARGET;
	p->decoded_len += len;
	return REQUEST_OK;
}

static const struct {
	const char *method;
	const char *verb;
} method_verbs[] = {
    {"GET", "get"},
    {"HEAD", "get"},
    {"POST", "create"},
    {"PUT", "update"},
    {"PATCH", "patch"},
    {"DELETE", "delete"},
};

/* The server compares methods exactly; an unknown one has the empty verb. */
static struct str
resource_verb(struct str method)
{
	for (size_t i = 0; i < ARRAY_LEN(method_verbs); i++) {
		if (str_is(method, method_verbs[i].method))
			return str_from(method_verbs[i].verb);
	}
	return STR("");
}

static struct str
lower_case(struct arena *arena, struct str s)
{
	char *copy = arena_strndup(arena, s.ptr, s.len);

	for (size_t i = 0; i < s.len; i++) {
		if (copy[i] >= 'A' && copy[i] <= 'Z')
			copy[i] = (char)(copy[i] + ('a' - 'A'));
	}
	return (struct str){copy, s.len};
}

/* From the parts behind the version to verb, namespace, resource, subresource, name. */
static enum request_problem
resource_parts(
    struct request_info *info, struct str method, const struct str *parts, size_t count)
{
	info->verb = resource_verb(method);
	if (str_is(parts[0], "proxy") || str_is(parts[0], "watch")) {
		if (count < 2)
			return REQUEST_BAD_TARGET; /* the server answers 500 */
		info->verb = parts[0];
		parts++;
		count--;
	}
	if (str_is(parts[0], "namespaces") && count > 1) {
		info->namespace = parts[1];
		if (count > 2 && !str_is(parts[2], "status") &&
		    !str_is(parts[2], "finalize")) {
			parts += 2;
			count -= 2;
		}
	}
	info->resource = parts[0];
	if (count >= 2)
		info->name = parts[1];
	if (count >= 3 && !str_is(info->verb, "proxy"))
		info->subresource = parts[2];
	return REQUEST_OK;
}

static enum request_problem
classify_resource(struct arena *arena, struct str method, const struct path_parse *p,
    struct str query, struct request_info *info)
{
	bool grouped = p->segments[0].len == 4, is_log;
	size_t used = grouped ? 3 : 2;
	struct request_query q;
	enum request_problem problem;

	info->is_resource = true;
	info->api_prefix = p->segments[0];
	if (grouped)
		info->api_group = p->segments[1];
	info->api_version = p->segments[used - 1];
	problem = resource_parts(info, method, p->segments + used, p->count - used);
	if (problem != REQUEST_OK)
		return problem;
	is_log = str_is(info->subresource, "log");
	if (p->in_tail) /* the query belongs to the application behind the proxy */
		return REQUEST_OK;
	if (!request_query_parse(arena, query, &q))
		return REQUEST_BAD_QUERY;
	if (info->name.len == 0 && str_is(info->verb, "get")) {
		info->verb =
		    request_query_bool(&q, QUERY_WATCH) ? STR("watch") : STR("list");
		if (!request_query_name(arena, &q, &info->name))
			return REQUEST_BAD_QUERY;
	}
	if (info->name.len == 0 && str_is(info->verb, "delete"))
		info->verb = STR("deletecollection");
	info->is_long_running = is_log && request_query_bool(&q, QUERY_FOLLOW);
	return REQUEST_OK;
}

/* The URLs that the role system:discovery opens. */
static bool
is_discovery(const struct request_info *info)
{
	static const char *const exact[] = {"/api", "/apis", "/healthz", "/livez",
	    "/openapi", "/readyz", "/version", "/version/"};
	static const char *const below[] = {"/api/", "/apis/", "/openapi/"};

	if (info->is_resource ||
	    (!str_is(info->verb, "get") && !str_is(info->verb, "head")))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(exact); i++) {
		if (str_is(info->path, exact[i]))
			return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(below); i++) {
		if (str_starts(info->path, str_from(below[i])))
			return true;
	}
	return false;
}

/* What the role system:basic-user opens. */
static bool
is_self_review(const struct request_info *info)
{
	static const struct {
		const char *group, *resource;
	} reviews[] = {
	    {"authorization.k8s.io", "selfsubjectaccessreviews"},
	    {"authorization.k8s.io", "selfsubjectrulesreviews"},
	    {"authentication.k8s.io", "selfsubjectreviews"},
	};

	if (!info->is_resource || !str_is(info->verb, "create") ||
	    info->namespace.len != 0 || info->name.len != 0 ||
	    info->subresource.len != 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(reviews); i++) {
		if (str_is(info->api_group, reviews[i].group) &&
		    str_is(info->resource, reviews[i].resource))
			return true;
	}
	return false;
}

void
request_info_derive(struct request_info *info)
{
	static const char *const upgrades[] = {
	    "exec", "attach", "portforward", "proxy"};
	static const char *const reads[] = {"get", "list", "watch"};

	for (size_t i = 0; i < ARRAY_LEN(upgrades); i++) {
		if (info->is_resource && str_is(info->subresource, upgrades[i]))
			info->is_upgrade_subresource = true;
	}
	info->is_discovery = is_discovery(info);
	info->is_self_review = is_self_review(info);
	if (info->is_upgrade_subresource ||
	    (info->is_resource &&
		(str_is(info->verb, "watch") || str_is(info->verb, "proxy"))))
		info->is_long_running = true;
	info->is_mutation = true;
	for (size_t i = 0; i < ARRAY_LEN(reads); i++) {
		if (str_is(info->verb, reads[i]))
			info->is_mutation = info->is_upgrade_subresource;
	}
}

enum request_problem
request_classify(struct arena *arena, struct str method, struct str target,
    struct request_info *out_info)
{
	size_t question = str_find(target, '?', 0);
	struct path_parse p = {.raw = str_slice(target, 0, question)};
	struct str query = str_slice(target, question + 1, target.len);
	enum request_problem problem;

	*out_info = (struct request_info){.is_resource = false};
	if (!target_ok(target))
		return REQUEST_BAD_TARGET;
	p.decoded = arena_alloc(arena, p.raw.len + 1);
	problem = parse_path(&p);
	if (problem != REQUEST_OK)
		return problem;
	out_info->path = (struct str){p.decoded, p.decoded_len};
	if (p.is_api && p.count >= (p.segments[0].len == 4 ? 4u : 3u)) {
		problem = classify_resource(arena, method, &p, query, out_info);
		if (problem != REQUEST_OK)
			return problem;
	} else {
		out_info->verb = lower_case(arena, method);
	}
	request_info_derive(out_info);
	return REQUEST_OK;
}

const char *
request_problem_text(enum request_problem problem)
{
	static const char *const texts[] = {
	    [REQUEST_OK] = "ok",
	    [REQUEST_BAD_TARGET] = "the request target is malformed",
	    [REQUEST_AMBIGUOUS] = "the path of the request is ambiguous",
	    [REQUEST_BAD_QUERY] = "the query of the request is malformed",
	};

	return texts[problem];
}
