/*
 * Bodies of self reviews in JSON and protobuf, and an API server's answer to a rules review:
 * what comes out is JSON, and lists nothing that Access does not allow.
 */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "authn/access/review.h"
#include "authn/access/review_rules.h"
#include "authn/api/api_tokenreview.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool condition)
{
	if (!condition)
		abort();
}

static void
check_refusal(const struct review *review)
{
	const struct request_info info = {.api_version = STR("v1")};
	struct buf out = {NULL, 0, 0};
	json_t *tree;

	review_refusal(&out, &info, review, STR("a \"reason\""), true);
	tree = json_loadb(out.data, out.len, JSON_ALLOW_NUL, NULL);
	require(json_is_object(tree));
	json_decref(tree);
	buf_free(&out);
}

static void
parse(struct str body)
{
	static const char *const media[] = {
	    "application/json", "application/vnd.kubernetes.protobuf"};

	for (size_t i = 0; i < ARRAY_LEN(media); i++) {
		for (int kind = REVIEW_ACCESS; kind <= REVIEW_RULES; kind++) {
			struct arena *arena = arena_new();
			struct review review;

			if (review_parse(arena, (enum review_kind)kind,
				str_from(media[i]), body, &review) == REVIEW_OK)
				check_refusal(&review);
			arena_free(arena);
		}
	}
}

/* ann may `get pods`, and nothing else. */
static void
intersect(struct str answer)
{
	static const struct str verbs[] = {{"get", 3}}, resources[] = {{"pods", 4}};
	static const struct access_rule rule = {.action = ACTION_ALLOW,
	    .verbs = verbs,
	    .verb_count = 1,
	    .resources = resources,
	    .resource_count = 1};
	static const struct str user = {"ann", 3};
	struct access_policy policy = {
	    .users = &user, .user_count = 1, .defaults = &rule, .default_count = 1};
	struct access_policy *policies[] = {&policy};
	const struct ns root = {.access = policies, .access_count = 1};
	const struct identity ann = {.user = {"ann", 3}};
	const struct review_subject subject = {.id = &ann, .level = &root};
	struct buf out = {NULL, 0, 0};
	json_t *tree, *rule_out;
	size_t i;

	if (!review_rules_intersect(answer, &subject, &out))
		return;
	tree = json_loadb(out.data, out.len, JSON_ALLOW_NUL, NULL);
	require(tree != NULL);
	json_array_foreach(
	    json_object_get(json_object_get(tree, "status"), "resourceRules"), i,
	    rule_out)
	{
		const char *resource = json_string_value(
		    json_array_get(json_object_get(rule_out, "resources"), 0));

		require(
		    resource != NULL && (strcmp(resource, "pods") == 0 ||
					    strncmp(resource, "selfsubject", 11) == 0));
	}
	json_decref(tree);
	buf_free(&out);
}

static void
review_token(struct str body)
{
	const struct identity ann = {.user = {"ann", 3}};
	struct token_review review;
	struct buf out = {NULL, 0, 0};
	json_t *tree;

	if (!token_review_parse(body, &review))
		return;
	token_review_answer(&out, &review, &ann);
	tree = json_loadb(out.data, out.len, 0, NULL);
	require(tree != NULL);
	json_decref(tree);
	buf_free(&out);
	secret_free(&review.token);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct str text = {(const char *)data, size};

	parse(text);
	intersect(text);
	review_token(text);
	return 0;
}
