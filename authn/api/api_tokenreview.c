#include "authn/api/api_tokenreview.h"

#include <jansson.h>
#include <string.h>

#define TOKEN_MAX_BYTES 512

static const char *
known_version(const json_t *root)
{
	static const char *const versions[] = {
	    "authentication.k8s.io/v1", "authentication.k8s.io/v1beta1"};
	const char *given = json_string_value(json_object_get(root, "apiVersion"));

	for (size_t i = 0; i < ARRAY_LEN(versions) && given != NULL; i++) {
		if (strcmp(given, versions[i]) == 0)
			return versions[i];
	}
	return NULL;
}

/* Takes the token out of the tree and wipes it there. */
static bool
take_token(const json_t *token, struct secret *out)
{
	union {
		const char *in;
		char *out;
	} text = {.in = json_string_value(token)};
	size_t len = json_string_length(token);
	struct err err = ERR_INIT;
	bool ok = len != 0 && len <= TOKEN_MAX_BYTES &&
		  secret_set(out, text.in, len, &err) == 0;

	if (len != 0)
		secret_wipe(text.out, len);
	return ok;
}

bool
token_review_parse(struct str body, struct token_review *out_review)
{
	json_t *root = json_loadb(
	    body.ptr != NULL ? body.ptr : "", body.len, JSON_REJECT_DUPLICATES, NULL);
	const json_t *kind = json_object_get(root, "kind");
	const json_t *token = json_object_get(json_object_get(root, "spec"), "token");
	bool ok = false;

	*out_review = (struct token_review){.api_version = known_version(root)};
	if (out_review->api_version != NULL && json_is_string(kind) &&
	    strcmp(json_string_value(kind), "TokenReview") == 0 &&
	    json_is_string(token))
		ok = take_token(token, &out_review->token);
	json_decref(root);
	return ok;
}

static void
add_user(struct buf *out, const struct identity *id)
{
	bool first = true;

	buf_add_cstr(out, "\"authenticated\":true,\"user\":{\"username\":");
	buf_add_json(out, id->user);
	if (id->uid.len != 0) {
		buf_add_cstr(out, ",\"uid\":");
		buf_add_json(out, id->uid);
	}
	buf_add_cstr(out, ",\"groups\":[");
	for (size_t i = 0; i < id->group_count; i++) {
		/* The API server adds its own; no other may be claimed. */
		if (str_starts(id->groups[i], STR("system:")))
			continue;
		if (!first)
			buf_add_char(out, ',');
		buf_add_json(out, id->groups[i]);
		first = false;
	}
	buf_add_cstr(out, "],\"extra\":{\"ringfence.dev/token\":[");
	buf_add_json(out, id->token_id);
	buf_add_cstr(out, "]}}");
}

void
token_review_answer(
    struct buf *out, const struct token_review *review, const struct identity *id)
{
	buf_printf(out,
	    "{\"kind\":\"TokenReview\",\"apiVersion\":\"%s\",\"metadata\":{},\"spec\":{"
	    "},"
	    "\"status\":{",
	    review->api_version);
	/* Nor could the API server keep a service account to its node. */
	if (id != NULL && id->scope_count == 0 && id->maker.len == 0)
		add_user(out, id);
	else
		buf_printf(out, "\"authenticated\":false,\"error\":\"%s\"",
		    id != NULL
			? "the token is limited to scopes, and good for the gate "
			  "alone"
			: "invalid token");
	buf_add_cstr(out, "}}\n");
}
