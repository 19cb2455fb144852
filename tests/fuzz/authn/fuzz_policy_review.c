/*
 * AdmissionReviews about policy, whatever they are: an answer is JSON, names the review, and keeps
 * within the API's bounds; nothing that is refused is so without a word.
 */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>

#include "authn/policy/policy_review.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool condition)
{
	if (!condition)
		abort();
}

static struct amend_base *
tree(void)
{
	static const char text[] =
	    "apiVersion: ringfence.dev/v1alpha1\nkind: Namespace\n"
	    "metadata: { name: /acme }\n"
	    "spec: { owners: [acme], kubernetes: { namespaces: [shop] } }\n---\n"
	    "apiVersion: ringfence.dev/v1alpha1\nkind: ExternalNetwork\n"
	    "metadata: { name: card, namespace: shop }\nspec: { cidrs: [10.0.0.0/8] "
	    "}\n";
	static const char user[] = "{\"apiVersion\":\"ringfence.dev/"
				   "v1alpha1\",\"kind\":\"Policy\",\"metadata\":{"
				   "\"name\":\"web\",\"namespace\":\"shop\"},\"spec\":{"
				   "\"allow\":{\"egress\":[{"
				   "\"to\":[{\"external\":\"card\"}]}]}}}";
	struct source sources[] = {
	    {{"tree.yaml", 9}, {text, sizeof(text) - 1}},
	    {{"Policy shop/web", 15}, {user, sizeof(user) - 1}},
	};
	const struct bundle bundle = {sources, ARRAY_LEN(sources)};

	return amend_base_new(&bundle);
}

static void
check_warnings(const json_t *warnings)
{
	const json_t *item;
	size_t i, bytes = 0;

	json_array_foreach(warnings, i, item)
	{
		require(json_is_string(item));
		bytes += json_string_length(item);
	}
	require(bytes <= 4096);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct amend_base *base;
	struct policy_reviewed reviewed;
	struct buf out = {NULL, 0, 0};
	const json_t *response;
	json_t *answer;

	if (base == NULL)
		base = tree();
	policy_review(base, (struct str){(const char *)data, size}, &out, &reviewed);
	if (reviewed.result != ADMISSION_MALFORMED) {
		answer = json_loadb(out.data, out.len, 0, NULL);
		response = json_object_get(answer, "response");
		require(json_is_string(json_object_get(response, "uid")));
		require(json_is_true(json_object_get(response, "allowed")) ==
			(reviewed.result == ADMISSION_ALLOWED));
		require(reviewed.result == ADMISSION_ALLOWED ||
			json_string_length(json_object_get(
			    json_object_get(response, "status"), "message")) != 0);
		check_warnings(json_object_get(response, "warnings"));
		json_decref(answer);
	}
	buf_free(&out);
	return 0;
}
