/*
 * Bodies for the audit log. What is shown is one JSON object on one line; jansson reads it as it
 * reads the body, but for what is hidden; and showing it again changes nothing.
 */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "authn/audit/audit_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool condition)
{
	if (!condition)
		abort();
}

/* No managed fields are left, and no data of a Secret. */
static void
look(const json_t *value, unsigned depth)
{
	const char *key;
	json_t *member;
	size_t i;

	if (depth > 600)
		return;
	json_array_foreach(value, i, member) look(member, depth + 1);
	json_object_foreach((json_t *)(uintptr_t)value, key, member)
	{
		require(strcmp(key, "managedFields") != 0);
		if (strcmp(key, "data") == 0 || strcmp(key, "stringData") == 0)
			require(json_is_string(member) &&
				strcmp(json_string_value(member), "REDACTED") == 0);
		if (strcmp(key, "password") == 0 && json_is_string(member))
			require(strcmp(json_string_value(member), "REDACTED") == 0);
		look(member, depth + 1);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct request_info info = {.resource = STR("secrets")};
	struct str body = {(const char *)data, size};
	struct buf once = {0}, twice = {0};
	json_t *shown;

	if (size > AUDIT_BODY_BYTES)
		return 0;
	if (audit_body_redact(&once, body, &info) == NULL) {
		require(memchr(once.data, '\n', once.len) == NULL);
		shown = json_loadb(once.data, once.len, JSON_ALLOW_NUL, NULL);
		if (shown != NULL) /* jansson refuses some numbers */
			look(shown, 0);
		json_decref(shown);
		require(audit_body_redact(&twice, buf_str(&once), &info) == NULL);
		require(str_eq(buf_str(&once), buf_str(&twice)));
	}
	buf_free(&once);
	buf_free(&twice);
	return 0;
}
