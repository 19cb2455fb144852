/*
 * What bodies of the token API ask for, and whether they are well-formed.
 */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "authn/auth/auth_messages.h"
#include "authn/token/token_api.h"

#define NAME_MAX_BYTES 128
#define OVERLAP_MAX_S  (7u * 86400)

static bool
strings_ok(const json_t *list)
{
	size_t i;
	json_t *item;

	if (list == NULL)
		return true;
	if (!json_is_array(list) || json_array_size(list) > SCOPE_MAX_ITEMS)
		return false;
	json_array_foreach(list, i, item)
	{
		if (!json_is_string(item) || json_string_length(item) == 0 ||
		    json_string_length(item) > 512)
			return false;
	}
	return true;
}

/* A scope has at least one of its parts; an empty list would mean "everything". */
static bool
scope_ok(const json_t *scope)
{
	static const char *const parts[] = {"namespaces", "verbs", "resources"};
	size_t given = 0;

	if (!json_is_object(scope))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		const json_t *list = json_object_get(scope, parts[i]);

		if (!strings_ok(list) || (list != NULL && json_array_size(list) == 0))
			return false;
		given += list != NULL;
	}
	return given != 0 && given == json_object_size(scope);
}

static bool
read_scopes(struct arena *arena, const json_t *scopes, struct token_request *out)
{
	char *text;
	size_t i;
	json_t *scope;

	if (!json_is_array(scopes) || json_array_size(scopes) == 0 ||
	    json_array_size(scopes) > IDENTITY_MAX_SCOPES)
		return false;
	json_array_foreach(scopes, i, scope)
	{
		if (!scope_ok(scope))
			return false;
	}
	text = json_dumps(scopes, JSON_COMPACT | JSON_SORT_KEYS);
	if (text == NULL)
		return false;
	out->scopes = str_dup(arena, str_from(text));
	out->has_scopes = true;
	free(text);
	return true;
}

static const char *
read_request(struct arena *arena, const json_t *root, struct token_request *out)
{
	const char *key;
	json_t *value;

	if (!json_is_object(root))
		return "the body is a JSON object";
	json_object_foreach((json_t *)(uintptr_t)root, key, value)
	{
		if (strcmp(key, "name") == 0) {
			if (!json_is_string(value) ||
			    json_string_length(value) > NAME_MAX_BYTES)
				return "\"name\" is a string of at most 128 bytes";
			out->name =
			    str_dup(arena, (struct str){json_string_value(value),
					       json_string_length(value)});
		} else if (strcmp(key, "ttl") == 0) {
			if (!json_is_string(value) ||
			    !duration_parse(
				str_from(json_string_value(value)), &out->ttl_s))
				return "\"ttl\" is a duration such as \"720h\" or "
				       "\"12h30m\"";
		} else if (strcmp(key, "scopes") == 0) {
			if (!read_scopes(arena, value, out))
				return "\"scopes\" is a list of objects with "
				       "\"namespaces\", "
				       "\"verbs\" or \"resources\", each a list of "
				       "strings "
				       "that is not empty";
		} else {
			return "the body has \"name\", \"ttl\" and \"scopes\", nothing "
			       "else";
		}
	}
	return NULL;
}

static const char *
read_rotation(struct arena *arena, const json_t *root, struct token_request *out)
{
	const char *key;
	json_t *value;

	(void)arena; /* nothing is kept */
	if (!json_is_object(root))
		return "the body is a JSON object";
	json_object_foreach((json_t *)(uintptr_t)root, key, value)
	{
		const char *text = json_string_value(value);

		if (strcmp(key, "ttl") == 0) {
			if (text == NULL ||
			    !duration_parse(str_from(text), &out->ttl_s))
				return "\"ttl\" is a duration such as \"720h\" or "
				       "\"12h30m\"";
		} else if (strcmp(key, "overlap") == 0) {
			if (text == NULL ||
			    !duration_parse(str_from(text), &out->overlap_s) ||
			    out->overlap_s > OVERLAP_MAX_S)
				return "\"overlap\" is a duration such as \"1h\", "
				       "168h at most";
		} else {
			return "the body has \"overlap\" and \"ttl\", nothing else";
		}
	}
	return NULL;
}

typedef const char *(*reader_fn)(
    struct arena *arena, const json_t *root, struct token_request *out);

static bool
parse(struct arena *arena, struct str body, reader_fn reader,
    struct token_request *out_request, struct auth_answer *out_answer)
{
	const char *problem;
	json_error_t error;
	json_t *root;

	*out_request = (struct token_request){.scopes = STR("[]")};
	if (str_trim(body).len == 0)
		return true;
	root = json_loadb(body.ptr, body.len, JSON_REJECT_DUPLICATES, &error);
	problem = root == NULL ? error.text : reader(arena, root, out_request);
	if (problem != NULL)
		token_api_refuse(out_answer, arena, 400, "BadRequest", "%s", problem);
	json_decref(root);
	return problem == NULL;
}

bool
token_api_parse(struct arena *arena, struct str body, struct token_request *out_request,
    struct auth_answer *out_answer)
{
	return parse(arena, body, read_request, out_request, out_answer);
}

bool
token_api_parse_rotation(struct arena *arena, struct str body,
    struct token_request *out_request, struct auth_answer *out_answer)
{
	return parse(arena, body, read_rotation, out_request, out_answer);
}
