/*
 * Header lists, the same for HTTP/1.1 and HTTP/2: names in lower case. What reaches the
 * API server is rebuilt from a list of names that are allowed, identity last; nothing
 * that a client sends is copied unseen. Pure.
 */
#ifndef AUTHN_HEADERS_H
#define AUTHN_HEADERS_H

#include "authn/config/config.h"
#include "authn/request/identity.h"
#include "authn/request/requestinfo.h"
#include "common/arena.h"
#include "common/str.h"

#define HEADERS_MAX_BYTES (64u * 1024) /* names, values, and 32 for each pair */

enum header_id {
	HEADER_OTHER,
	HEADER_ACCEPT,
	HEADER_ACCEPT_ENCODING,
	HEADER_ACCEPT_LANGUAGE,
	HEADER_ALT_SVC,
	HEADER_AUDIT_ID,
	HEADER_AUTHORIZATION,
	HEADER_BAGGAGE,
	HEADER_CACHE_CONTROL,
	HEADER_CONNECTION,
	HEADER_CONTENT_ENCODING,
	HEADER_CONTENT_LENGTH,
	HEADER_CONTENT_TYPE,
	HEADER_COOKIE,
	HEADER_DATE,
	HEADER_EXPECT,
	HEADER_HOST,
	HEADER_IF_MATCH,
	HEADER_IF_MODIFIED_SINCE,
	HEADER_IF_NONE_MATCH,
	HEADER_IF_RANGE,
	HEADER_IF_UNMODIFIED_SINCE,
	HEADER_KEEP_ALIVE,
	HEADER_LAST_EVENT_ID,
	HEADER_ORIGIN,
	HEADER_PRAGMA,
	HEADER_PROXY_AUTHENTICATE,
	HEADER_PROXY_AUTHENTICATION_INFO,
	HEADER_PROXY_AUTHORIZATION,
	HEADER_PROXY_CONNECTION,
	HEADER_RANGE,
	HEADER_REFERER,
	HEADER_SEC_WEBSOCKET_EXTENSIONS,
	HEADER_SEC_WEBSOCKET_KEY,
	HEADER_SEC_WEBSOCKET_PROTOCOL,
	HEADER_SEC_WEBSOCKET_VERSION,
	HEADER_TE,
	HEADER_TRACEPARENT,
	HEADER_TRACESTATE,
	HEADER_TRAILER,
	HEADER_TRANSFER_ENCODING,
	HEADER_UPGRADE,
	HEADER_USER_AGENT,
	HEADER_X_CSRF_TOKEN,
	HEADER_X_REQUESTED_WITH,
	HEADER_X_STREAM_PROTOCOL_VERSION,
	HEADER_ID_COUNT,
};

struct header {
	struct str name; /* lower case */
	struct str value;
	enum header_id id;
};

struct header_list {
	struct header *items;
	size_t count;
	size_t cap;
	size_t bytes; /* as SETTINGS_MAX_HEADER_LIST_SIZE counts */
};

/* Appends; the strings are borrowed, the array lives in the arena. `name` is lower case. */
void header_list_add(
    struct arena *arena, struct header_list *list, struct str name, struct str value);
/* The same where the name's id is known. */
void header_list_put(struct arena *arena, struct header_list *list, struct str name,
    struct str value, enum header_id id);
/* A number in decimal, in the arena. */
MUST_CHECK struct str header_decimal(struct arena *arena, uint64_t value);
/* The first of that id, or NULL. */
MUST_CHECK const struct header *header_find(
    const struct header_list *list, enum header_id id);
/* The id of a lower-case name. */
MUST_CHECK enum header_id header_id(struct str name);
/* A token in lower case without '_' (some servers read it as '-'). */
MUST_CHECK bool header_name_ok(struct str name);
/* No control characters but tabs. */
MUST_CHECK bool header_value_ok(struct str value);
/* True if a comma-separated list such as Connection holds the token (any case). */
MUST_CHECK bool header_has_token(struct str value, const char *token);

enum header_problem {
	HEADERS_OK,
	HEADERS_TOO_LARGE,   /* 431 */
	HEADERS_MALFORMED,   /* 400: name, value */
	HEADERS_REPEATED,    /* 400: one that may stand once only */
	HEADERS_LENGTH,      /* 400: Content-Length is no plain number */
	HEADERS_EXPECTATION, /* 417 */
};

/* What the gate itself reads of a request's headers. ptr NULL: absent. */
struct header_facts {
	struct str host;
	struct str authorization;
	struct str user_agent;
	struct str upgrade;
	struct str websocket_protocols; /* without the bearer token */
	struct str websocket_bearer;    /* still base64url */
	int64_t content_length;         /* -1: absent */
	bool expect_continue;
	bool impersonates; /* some Impersonate-* header is present */
	struct str impersonate_user;
};

/* Checks a request's list as a whole and picks out what the gate needs. */
MUST_CHECK enum header_problem headers_read_request(struct arena *arena,
    const struct header_list *list, struct header_facts *out_facts);
MUST_CHECK const char *header_problem_text(enum header_problem problem);

/* What the gate says of the request to the API server. */
struct header_identity {
	enum gate_identity_mode mode;
	const struct identity *id;
	struct str on_behalf_of; /* "" or the user for whom `id` asks */
	struct str audit_id;
	struct str source; /* the client's address */
};

/*
 * The headers for the API server, without Host, framing, and Connection: allowed ones
 * of the client's, then Audit-ID, X-Forwarded-For and the identity. `info` decides about the few
 * that only matter to an application behind a proxy subresource.
 */
void headers_to_upstream(struct arena *arena, const struct header_list *request,
    const struct header_facts *facts, const struct request_info *info,
    const struct header_identity *identity, struct header_list *out_list);

/* The headers for the client: all but those of one connection only. */
void headers_to_client(struct arena *arena, const struct header_list *response,
    struct header_list *out_list);

#endif
