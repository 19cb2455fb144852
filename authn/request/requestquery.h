/*
 * The few query parameters that take part in classification, read as the API server
 * reads them (Go's net/url, then meta/v1 ListOptions). Pure.
 */
#ifndef AUTHN_REQUESTQUERY_H
#define AUTHN_REQUESTQUERY_H

#include "common/arena.h"
#include "common/str.h"

enum query_key {
	QUERY_WATCH,
	QUERY_FIELD_SELECTOR,
	QUERY_LABEL_SELECTOR,
	QUERY_LIMIT,
	QUERY_TIMEOUT_SECONDS,
	QUERY_FOLLOW,
	QUERY_KEY_COUNT,
};

/* The first value of each; ptr NULL when absent. */
struct request_query {
	struct str values[QUERY_KEY_COUNT];
};

/* False for what Go drops silently: bad percent-encoding, a semicolon. */
MUST_CHECK bool request_query_parse(
    struct arena *arena, struct str query, struct request_query *out_query);
/* Absent, "0" and "false" in any case are false; everything else is true. */
MUST_CHECK bool request_query_bool(const struct request_query *q, enum query_key key);
/* The name that a list asks for by the field selector metadata.name; "" without one.
 * False when the server would fail to read these options. */
MUST_CHECK bool request_query_name(
    struct arena *arena, const struct request_query *q, struct str *out_name);

/* True if the API server accepts the text as a label selector (labels.Parse). */
MUST_CHECK bool label_selector_ok(struct str text);

/* Percent-decodes; `out` has room for text.len bytes. False for a bad escape. */
MUST_CHECK bool request_unescape(
    struct str text, bool plus_is_space, char *out, size_t *out_len);

#endif
