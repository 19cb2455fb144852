/*
 * Lines of an audit log, as its readers see them: where jansson reads an object too, both
 * have the same user, verb, code and tenant.
 */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "authn/audit/audit_query.h"
#include "authn/audit/audit_text.h"
#include "authn/audit/audit_tool.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool condition)
{
	if (!condition)
		abort();
}

static void
same(const json_t *object, const char *key, struct str text)
{
	const json_t *value = json_object_get(object, key);

	if (json_is_string(value))
		require(text.len == json_string_length(value) &&
			memcmp(text.len != 0 ? text.ptr : "", json_string_value(value),
			    text.len) == 0);
}

static void
compare(const struct audit_record *r, const json_t *event)
{
	same(event, "verb", r->text[AUDIT_FIELD_VERB]);
	same(event, "requestURI", r->text[AUDIT_FIELD_URI]);
	same(json_object_get(event, "user"), "username", r->text[AUDIT_FIELD_USER]);
	same(json_object_get(event, "annotations"), "ringfence.dev/tenant",
	    r->text[AUDIT_FIELD_TENANT]);
	same(json_object_get(event, "objectRef"), "name", r->text[AUDIT_FIELD_NAME]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str line = {(const char *)data, size};
	struct arena *arena = arena_new();
	struct audit_record record;
	struct audit_query query;
	struct buf out = {0};
	json_t *event;

	audit_query_init(&query, arena);
	require(audit_query_add(&query, AUDIT_FILTER_TENANT, STR("/acme"), NULL) == 0);
	if (audit_record_parse(&record, arena, line, 0)) {
		event = json_loadb(
		    line.ptr, line.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
		if (event != NULL && size < 16384)
			compare(&record, event);
		json_decref(event);
		/* What the index and the needle pass over never matches. */
		if (audit_query_matches(&query, &record) &&
		    audit_query_may(&query, line))
			audit_csv_record(&out, &record);
		require(audit_record_target(&record, arena).len <= 3 * size + 2);
	}
	buf_free(&out);
	arena_free(arena);
	return 0;
}
