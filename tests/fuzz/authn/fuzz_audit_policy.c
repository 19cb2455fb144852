/*
 * An audit.k8s.io/v1 Policy: any text is one, or gives at least one diagnostic; and whatever it
 * says, what is all secret is never recorded with its bodies.
 */
#include <stdlib.h>

#include "authn/audit/audit_policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
	const char *method, *target;
	bool secret;
} requests[] = {
    {"GET", "/api/v1/namespaces/a/pods", false},
    {"POST", "/api/v1/namespaces/a/serviceaccounts/b/token", true},
    {"POST", "/apis/authentication.k8s.io/v1/tokenreviews", true},
    {"GET", "/metrics", false},
};

static void
ask(struct arena *arena, const struct audit_policy *policy)
{
	const struct str groups[] = {{"a", 1}, {"system:authenticated", 20}};

	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		struct request_info info;
		enum audit_level level;

		if (request_classify(arena, str_from(requests[i].method),
			str_from(requests[i].target), &info) != REQUEST_OK)
			abort();
		level = audit_policy_level(
		    policy, &(struct audit_policy_question){.info = &info,
				.tenant = STR("/acme/a"),
				.user = STR("alice"),
				.groups = groups,
				.group_count = ARRAY_LEN(groups)});
		if (requests[i].secret && level > AUDIT_LEVEL_METADATA)
			abort();
		(void)audit_level_name(level);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct source source = {
	    .name = STR("policy.yaml"), .text = {(const char *)data, size}};
	struct arena *arena = arena_new();
	struct buf text = {NULL, 0, 0};
	const struct audit_policy *policy;
	struct diag_list diags;

	diag_list_init(&diags, arena);
	policy = audit_policy_load(arena, &source, &diags);
	if ((policy != NULL) != (diags.errors == 0))
		abort();
	if (policy != NULL)
		ask(arena, policy);
	diag_render_text(&text, &diags);
	buf_free(&text);
	arena_free(arena);
	return 0;
}
