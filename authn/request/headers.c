#include "authn/request/headers.h"

#include <string.h>

#define WEBSOCKET_BEARER "base64url.bearer.authorization.k8s.io."

/* What may be done with a header of this name. */
enum header_flags {
	TO_UPSTREAM = 1, /* may be copied into a request for the API server */
	TO_PROXIED = 2,  /* the same, if the request is for an application behind it */
	HOP = 4,         /* concerns one connection: never copied */
	ONCE = 8,        /* a request that repeats it is refused */
};

static const struct {
	struct str name;
	unsigned flags;
} table[HEADER_ID_COUNT] = {
    [HEADER_OTHER] = {{"", 0}, 0},
    [HEADER_ACCEPT] = {{"accept", 6}, TO_UPSTREAM},
    [HEADER_ACCEPT_ENCODING] = {{"accept-encoding", 15}, TO_UPSTREAM},
    [HEADER_ACCEPT_LANGUAGE] = {{"accept-language", 15}, TO_PROXIED},
    [HEADER_ALT_SVC] = {{"alt-svc", 7}, HOP}, /* would lead clients around the gate */
    [HEADER_AUDIT_ID] = {{"audit-id", 8}, 0},
    [HEADER_AUTHORIZATION] = {{"authorization", 13}, ONCE},
    [HEADER_BAGGAGE] = {{"baggage", 7}, TO_UPSTREAM},
    [HEADER_CACHE_CONTROL] = {{"cache-control", 13}, TO_PROXIED},
    [HEADER_CONNECTION] = {{"connection", 10}, HOP},
    [HEADER_CONTENT_ENCODING] = {{"content-encoding", 16}, TO_UPSTREAM | ONCE},
    [HEADER_CONTENT_LENGTH] = {{"content-length", 14}, ONCE},
    [HEADER_CONTENT_TYPE] = {{"content-type", 12}, TO_UPSTREAM | ONCE},
    [HEADER_COOKIE] = {{"cookie", 6}, TO_PROXIED},
    [HEADER_DATE] = {{"date", 4}, 0},
    [HEADER_EXPECT] = {{"expect", 6}, ONCE},
    [HEADER_HOST] = {{"host", 4}, ONCE},
    [HEADER_IF_MATCH] = {{"if-match", 8}, TO_UPSTREAM},
    [HEADER_IF_MODIFIED_SINCE] = {{"if-modified-since", 17}, TO_UPSTREAM},
    [HEADER_IF_NONE_MATCH] = {{"if-none-match", 13}, TO_UPSTREAM},
    [HEADER_IF_RANGE] = {{"if-range", 8}, TO_UPSTREAM},
    [HEADER_IF_UNMODIFIED_SINCE] = {{"if-unmodified-since", 19}, TO_UPSTREAM},
    [HEADER_KEEP_ALIVE] = {{"keep-alive", 10}, HOP},
    [HEADER_LAST_EVENT_ID] = {{"last-event-id", 13}, TO_PROXIED},
    [HEADER_ORIGIN] = {{"origin", 6}, TO_UPSTREAM},
    [HEADER_PRAGMA] = {{"pragma", 6}, TO_PROXIED},
    [HEADER_PROXY_AUTHENTICATE] = {{"proxy-authenticate", 18}, HOP},
    [HEADER_PROXY_AUTHENTICATION_INFO] = {{"proxy-authentication-info", 25}, HOP},
    [HEADER_PROXY_AUTHORIZATION] = {{"proxy-authorization", 19}, HOP},
    [HEADER_PROXY_CONNECTION] = {{"proxy-connection", 16}, HOP},
    [HEADER_RANGE] = {{"range", 5}, TO_UPSTREAM},
    [HEADER_REFERER] = {{"referer", 7}, TO_PROXIED},
    [HEADER_SEC_WEBSOCKET_EXTENSIONS] = {{"sec-websocket-extensions", 24}, TO_UPSTREAM},
    [HEADER_SEC_WEBSOCKET_KEY] = {{"sec-websocket-key", 17}, TO_UPSTREAM},
    [HEADER_SEC_WEBSOCKET_PROTOCOL] = {{"sec-websocket-protocol", 22},
	0}, /* rewritten */
    [HEADER_SEC_WEBSOCKET_VERSION] = {{"sec-websocket-version", 21}, TO_UPSTREAM},
    [HEADER_TE] = {{"te", 2}, HOP},
    [HEADER_TRACEPARENT] = {{"traceparent", 11}, TO_UPSTREAM},
    [HEADER_TRACESTATE] = {{"tracestate", 10}, TO_UPSTREAM},
    [HEADER_TRAILER] = {{"trailer", 7}, HOP},
    [HEADER_TRANSFER_ENCODING] = {{"transfer-encoding", 17}, HOP | ONCE},
    [HEADER_UPGRADE] = {{"upgrade", 7}, HOP | ONCE},
    [HEADER_USER_AGENT] = {{"user-agent", 10}, TO_UPSTREAM | ONCE},
    [HEADER_X_CSRF_TOKEN] = {{"x-csrf-token", 12}, TO_PROXIED},
    [HEADER_X_REQUESTED_WITH] = {{"x-requested-with", 16}, TO_PROXIED},
    [HEADER_X_STREAM_PROTOCOL_VERSION] = {{"x-stream-protocol-version", 25},
	TO_UPSTREAM},
};

/* Open addressing over the table above, filled at the first question. */
#define INDEX_SLOTS 256u

static uint8_t name_index[INDEX_SLOTS]; /* an id; 0: empty */

static size_t
name_slot(struct str name)
{
	size_t h = name.len * 31 + (unsigned char)name.ptr[0] * 7 +
		   (unsigned char)name.ptr[name.len - 1] * 3 +
		   (unsigned char)name.ptr[name.len / 2];

	return h % INDEX_SLOTS;
}

static void
fill_index(void)
{
	for (enum header_id id = HEADER_OTHER + 1; id < HEADER_ID_COUNT; id++) {
		size_t slot = name_slot(table[id].name);

		while (name_index[slot] != 0)
			slot = (slot + 1) % INDEX_SLOTS;
		name_index[slot] = (uint8_t)id;
	}
}

enum header_id
header_id(struct str name)
{
	static bool filled;
	size_t slot;

	if (!filled) {
		fill_index();
		filled = true;
	}
	if (name.len == 0)
		return HEADER_OTHER;
	for (slot = name_slot(name); name_index[slot] != 0;
	     slot = (slot + 1) % INDEX_SLOTS) {
		if (str_eq(name, table[name_index[slot]].name))
			return (enum header_id)name_index[slot];
	}
	return HEADER_OTHER;
}

void
header_list_put(struct arena *arena, struct header_list *list, struct str name,
    struct str value, enum header_id id)
{
	if (list->count == list->cap) {
		size_t cap = list->cap != 0 ? list->cap * 2 : 16;
		struct header *items = ARENA_ARRAY(arena, cap, struct header);

		if (list->count != 0)
			memcpy(items, list->items, list->count * sizeof(*items));
		list->items = items;
		list->cap = cap;
	}
	list->items[list->count++] = (struct header){name, value, id};
	list->bytes += name.len + value.len + 32;
}

void
header_list_add(
    struct arena *arena, struct header_list *list, struct str name, struct str value)
{
	header_list_put(arena, list, name, value, header_id(name));
}

struct str
header_decimal(struct arena *arena, uint64_t value)
{
	char digits[20];
	size_t n = sizeof(digits);

	do {
		digits[--n] = (char)('0' + value % 10);
		value /= 10;
	} while (value != 0);
	return str_dup(arena, (struct str){digits + n, sizeof(digits) - n});
}

const struct header *
header_find(const struct header_list *list, enum header_id id)
{
	for (size_t i = 0; i < list->count; i++) {
		if (list->items[i].id == id)
			return &list->items[i];
	}
	return NULL;
}

bool
header_name_ok(struct str name)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if ((c < 'a' || c > 'z') && (c < '0' || c > '9') &&
		    (c == '\0' || strchr("-!#$%&'*+.^`|~", c) == NULL))
			return false;
	}
	return name.len != 0;
}

bool
header_value_ok(struct str value)
{
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.ptr[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static bool
equal_fold(struct str a, const char *b)
{
	return a.len == strlen(b) && strncasecmp(a.ptr, b, a.len) == 0;
}

bool
header_has_token(struct str value, const char *token)
{
	while (value.len != 0) {
		if (equal_fold(str_trim(str_split(&value, ',')), token))
			return true;
	}
	return false;
}

/*
 * Sec-WebSocket-Protocol may carry a bearer token for browsers, which cannot set
 * Authorization; it must stand beside a real protocol, and goes no further than here.
 */
static bool
read_websocket_protocols(
    struct arena *arena, struct str value, struct header_facts *facts)
{
	char *kept = arena_alloc(arena, value.len + 1);
	size_t len = 0;

	if (facts->websocket_protocols.ptr != NULL)
		return false;
	while (value.len != 0) {
		struct str protocol = str_trim(str_split(&value, ','));

		if (str_starts(protocol, STR(WEBSOCKET_BEARER))) {
			if (facts->websocket_bearer.ptr != NULL)
				return false;
			facts->websocket_bearer = str_slice(
			    protocol, sizeof(WEBSOCKET_BEARER) - 1, protocol.len);
		} else if (protocol.len != 0) {
			if (len != 0)
				kept[len++] = ',';
			memcpy(kept + len, protocol.ptr, protocol.len);
			len += protocol.len;
		}
	}
	facts->websocket_protocols = (struct str){kept, len};
	return facts->websocket_bearer.ptr == NULL || len != 0;
}

static enum header_problem
read_one(struct arena *arena, const struct header *h, struct header_facts *facts)
{
	uint64_t length;

	/* Only the few that need more than a copy of the view. */
	if (h->id == HEADER_HOST) {
		facts->host = h->value;
	} else if (h->id == HEADER_AUTHORIZATION) {
		facts->authorization = h->value;
	} else if (h->id == HEADER_USER_AGENT) {
		facts->user_agent = h->value;
	} else if (h->id == HEADER_UPGRADE) {
		facts->upgrade = h->value;
	} else if (h->id == HEADER_CONTENT_LENGTH) {
		if (!str_to_u64(h->value, INT64_MAX, &length))
			return HEADERS_LENGTH;
		facts->content_length = (int64_t)length;
	} else if (h->id == HEADER_EXPECT) {
		if (!equal_fold(h->value, "100-continue"))
			return HEADERS_EXPECTATION;
		facts->expect_continue = true;
	} else if (h->id == HEADER_SEC_WEBSOCKET_PROTOCOL) {
		if (!read_websocket_protocols(arena, h->value, facts))
			return HEADERS_REPEATED;
	} else if (str_starts(h->name, STR("impersonate-"))) {
		facts->impersonates = true;
		if (str_is(h->name, "impersonate-user"))
			facts->impersonate_user = h->value;
	}
	return HEADERS_OK;
}

enum header_problem
headers_read_request(
    struct arena *arena, const struct header_list *list, struct header_facts *out_facts)
{
	bool seen[HEADER_ID_COUNT] = {false};
	enum header_problem problem;

	*out_facts = (struct header_facts){.content_length = -1};
	if (list->bytes > HEADERS_MAX_BYTES)
		return HEADERS_TOO_LARGE;
	for (size_t i = 0; i < list->count; i++) {
		const struct header *h = &list->items[i];

		if (!header_name_ok(h->name) || !header_value_ok(h->value))
			return HEADERS_MALFORMED;
		if ((table[h->id].flags & ONCE) != 0 && seen[h->id])
			return HEADERS_REPEATED;
		seen[h->id] = true;
		problem = read_one(arena, h, out_facts);
		if (problem != HEADERS_OK)
			return problem;
	}
	return HEADERS_OK;
}

const char *
header_problem_text(enum header_problem problem)
{
	static const char *const texts[] = {
	    [HEADERS_OK] = "ok",
	    [HEADERS_TOO_LARGE] = "the request's headers exceed 64 KiB",
	    [HEADERS_MALFORMED] = "the request has a malformed header name or value",
	    [HEADERS_REPEATED] =
		"the request repeats a header that may stand only once",
	    [HEADERS_LENGTH] = "the request's Content-Length is malformed",
	    [HEADERS_EXPECTATION] =
		"the request expects something other than 100-continue",
	};

	return texts[problem];
}

/* As client-go escapes keys of X-Remote-Extra-*: bytes of a token stay, '%' does not. */
static struct str
escape_key(struct arena *arena, struct str prefix, struct str key)
{
	static const char hex[] = "0123456789ABCDEF";
	char *out = arena_alloc(arena, prefix.len + key.len * 3 + 1);
	size_t len = prefix.len;

	memcpy(out, prefix.ptr, prefix.len);
	for (size_t i = 0; i < key.len; i++) {
		struct str one = {key.ptr + i, 1};

		if (header_name_ok(one) && key.ptr[i] != '%') {
			out[len++] = key.ptr[i];
		} else {
			out[len++] = '%';
			out[len++] = hex[(unsigned char)key.ptr[i] >> 4];
			out[len++] = hex[(unsigned char)key.ptr[i] & 15];
		}
	}
	return (struct str){out, len};
}

/* Names under which an API server takes an identity. */
static const struct {
	struct str user, group, uid, extra;
} identity_names[] = {
    [IDENTITY_FRONT_PROXY] = {{"x-remote-user", 13}, {"x-remote-group", 14},
	{"x-remote-uid", 12}, {"x-remote-extra-", 15}},
    [IDENTITY_IMPERSONATE] = {{"impersonate-user", 16}, {"impersonate-group", 17},
	{"impersonate-uid", 15}, {"impersonate-extra-", 18}},
};

static void
add_identity(struct arena *arena, const struct header_identity *identity,
    struct header_list *out)
{
	const struct identity *id = identity->id;

	header_list_put(
	    arena, out, identity_names[identity->mode].user, id->user, HEADER_OTHER);
	for (size_t i = 0; i < id->group_count; i++) {
		bool everyone = str_is(id->groups[i], "system:authenticated");

		/* Impersonation adds it by itself, and would ask for a right to name it. */
		if (everyone && identity->mode == IDENTITY_IMPERSONATE)
			continue;
		if (!everyone && str_starts(id->groups[i], STR("system:")))
			continue;
		header_list_put(arena, out, identity_names[identity->mode].group,
		    id->groups[i], HEADER_OTHER);
	}
	if (id->uid.len != 0)
		header_list_put(arena, out, identity_names[identity->mode].uid, id->uid,
		    HEADER_OTHER);
	if (identity->on_behalf_of.len != 0 && identity->mode == IDENTITY_FRONT_PROXY)
		header_list_add(arena, out,
		    escape_key(arena, identity_names[identity->mode].extra,
			STR("ringfence.dev/user")),
		    identity->on_behalf_of);
	if (id->token_id.len != 0 && identity->mode == IDENTITY_FRONT_PROXY)
		header_list_add(arena, out,
		    escape_key(arena, identity_names[identity->mode].extra,
			STR("ringfence.dev/token")),
		    id->token_id);
}

void
headers_to_upstream(struct arena *arena, const struct header_list *request,
    const struct header_facts *facts, const struct request_info *info,
    const struct header_identity *identity, struct header_list *out_list)
{
	unsigned allowed = TO_UPSTREAM;

	if (str_is(info->subresource, "proxy"))
		allowed |= TO_PROXIED;
	for (size_t i = 0; i < request->count; i++) {
		const struct header *h = &request->items[i];

		if ((table[h->id].flags & allowed) != 0 ||
		    (h->id == HEADER_OTHER && str_starts(h->name, STR("kubectl-"))))
			header_list_put(arena, out_list, h->name, h->value, h->id);
	}
	if (facts->websocket_protocols.len != 0)
		header_list_add(arena, out_list, STR("sec-websocket-protocol"),
		    facts->websocket_protocols);
	header_list_put(
	    arena, out_list, STR("audit-id"), identity->audit_id, HEADER_AUDIT_ID);
	if (identity->source.len != 0)
		header_list_put(arena, out_list, STR("x-forwarded-for"),
		    identity->source, HEADER_OTHER);
	add_identity(arena, identity, out_list);
}

void
headers_to_client(struct arena *arena, const struct header_list *response,
    struct header_list *out_list)
{
	const struct header *connection = header_find(response, HEADER_CONNECTION);

	for (size_t i = 0; i < response->count; i++) {
		const struct header *h = &response->items[i];

		if ((table[h->id].flags & HOP) != 0)
			continue;
		if (connection != NULL && h->id == HEADER_OTHER &&
		    header_has_token(connection->value,
			arena_strndup(arena, h->name.ptr, h->name.len)))
			continue;
		header_list_put(arena, out_list, h->name, h->value, h->id);
	}
}
