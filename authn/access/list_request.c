#include "authn/access/list_request.h"

#include <string.h>

#include "authn/request/requestquery.h"

static bool
is_media(struct str text, const char *media)
{
	return text.len == strlen(media) && strncasecmp(text.ptr, media, text.len) == 0;
}

/* ---- Accept ---- */

/* One clause, as it is if it asks for JSON, made to if it asks for anything. */
static void
add_clause(struct buf *out, struct str clause)
{
	struct str parameters = clause;
	struct str media = str_trim(str_split(&parameters, ';'));

	if (!is_media(media, "application/json") && !is_media(media, "*/*") &&
	    !is_media(media, "application/*"))
		return;
	if (out->len != 0)
		buf_add_char(out, ',');
	buf_add_cstr(out, "application/json");
	if (parameters.ptr != NULL) {
		buf_add_char(out, ';');
		buf_add_str(out, str_trim(parameters));
	}
}

struct str
list_request_accept(struct arena *arena, const struct header_list *request)
{
	struct buf out = {NULL, 0, 0};
	struct str accept = {NULL, 0};
	bool any = false;

	for (size_t i = 0; i < request->count; i++) {
		struct str rest = request->items[i].value;

		if (request->items[i].id != HEADER_ACCEPT)
			continue;
		any = true;
		while (rest.ptr != NULL)
			add_clause(&out, str_split(&rest, ','));
	}
	if (!any)
		accept = STR("application/json");
	else if (out.len != 0)
		accept = str_dup(arena, buf_str(&out));
	buf_free(&out);
	return accept;
}

void
list_request_headers(
    struct arena *arena, struct header_list *headers, struct str accept)
{
	static const enum header_id dropped[] = {HEADER_ACCEPT, HEADER_ACCEPT_ENCODING,
	    HEADER_IF_MATCH, HEADER_IF_NONE_MATCH, HEADER_IF_MODIFIED_SINCE,
	    HEADER_IF_UNMODIFIED_SINCE, HEADER_IF_RANGE, HEADER_RANGE};
	struct header_list kept = {NULL, 0, 0, 0};

	for (size_t i = 0; i < headers->count; i++) {
		const struct header *h = &headers->items[i];
		bool drop = false;

		for (size_t n = 0; n < ARRAY_LEN(dropped); n++)
			drop = drop || h->id == dropped[n];
		if (!drop)
			header_list_put(arena, &kept, h->name, h->value, h->id);
	}
	header_list_put(arena, &kept, STR("accept"), accept, HEADER_ACCEPT);
	*headers = kept;
}

bool
list_answer_is_json(const struct header_list *response)
{
	const struct header *type = header_find(response, HEADER_CONTENT_TYPE);
	const struct header *encoding = header_find(response, HEADER_CONTENT_ENCODING);
	struct str media;

	if (type == NULL ||
	    (encoding != NULL && !is_media(encoding->value, "identity")))
		return false;
	media = type->value;
	return is_media(str_trim(str_split(&media, ';')), "application/json");
}

/* ---- the query ---- */

static bool
decodes_to(struct arena *arena, struct str escaped, const char *text)
{
	char *decoded = arena_alloc(arena, escaped.len + 1);
	size_t len;

	return request_unescape(escaped, true, decoded, &len) &&
	       str_is((struct str){decoded, len}, text);
}

static void
add_escaped(struct buf *out, struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			     (c >= '0' && c <= '9') || c == '-' || c == '_';

		if (plain)
			buf_add_char(out, c);
		else
			buf_printf(out, "%%%02X", (unsigned)(unsigned char)c);
	}
}

static enum list_token_result
add_token(struct arena *arena, struct str value, const struct list_keys *keys,
    struct str bound_to, struct buf *out)
{
	char *text = arena_alloc(arena, value.len + 1);
	enum list_token_result result;
	struct str opened;
	size_t len;

	if (!request_unescape(value, true, text, &len))
		return LIST_TOKEN_MALFORMED;
	if (len == 0) /* as if it were absent */
		return LIST_TOKEN_OK;
	result =
	    list_token_open(arena, keys, bound_to, (struct str){text, len}, &opened);
	if (result != LIST_TOKEN_OK)
		return result;
	buf_add_char(out, out->len == 0 ? '?' : '&');
	buf_add_cstr(out, "continue=");
	add_escaped(out, opened);
	return LIST_TOKEN_OK;
}

enum list_token_result
list_request_target(struct arena *arena, struct str target,
    const struct list_keys *keys, struct str bound_to, struct str *out_target)
{
	size_t question = str_find(target, '?', 0);
	struct str path = str_slice(target, 0, question);
	struct str query = str_slice(target, question + 1, target.len);
	enum list_token_result result = LIST_TOKEN_OK;
	struct buf out = {NULL, 0, 0}, whole = {NULL, 0, 0};

	while (query.len != 0 && result == LIST_TOKEN_OK) {
		struct str pair = str_split(&query, '&'), value = pair;
		struct str name = str_split(&value, '=');

		if (decodes_to(arena, name, "continue")) {
			result = add_token(arena, value, keys, bound_to, &out);
			continue;
		}
		/* Rows of a table must say whose they are. */
		if (pair.len == 0 || (decodes_to(arena, name, "includeObject") &&
					 decodes_to(arena, value, "None")))
			continue;
		buf_add_char(&out, out.len == 0 ? '?' : '&');
		buf_add_str(&out, pair);
	}
	buf_add_str(&whole, path);
	buf_add_str(&whole, buf_str(&out));
	*out_target = str_dup(arena, buf_str(&whole));
	buf_free(&whole);
	buf_free(&out);
	return result;
}
